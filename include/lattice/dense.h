/// \file dense.h
/// Sparse tensors to dense arrays and back, also in bird's-eye form.
///
/// A dense array has the axes `(B, X, Y, Z, C)` (channels last) or `(B, C, X, Y, Z)` (channels first). Cell (b, i, j, k)
/// is the lattice coordinate (b, min_coord + (i, j, k)); the tensor's stride plays no part. Folding one axis of length E
/// takes that axis away and gives C * E channels: channel c of its cell e becomes channel `c * E + e`, which is what
/// stacking heights into channels (and `reshape(B, C * Z, ...)` of a channels-first array) gives.
#ifndef LATTICE_DENSE_H
#define LATTICE_DENSE_H

#include <lattice/tensor.h>

#ifdef __cplusplus
extern "C" {
#endif

/// Where the channels of a dense array lie.
typedef enum lat_dense_layout {
  LAT_DENSE_CHANNELS_LAST = 0, ///< (B, X, Y, Z, C)
  LAT_DENSE_CHANNELS_FIRST = 1 ///< (B, C, X, Y, Z)
} lat_dense_layout;

/// Which axis goes into the channels.
typedef enum lat_dense_fold {
  LAT_DENSE_FOLD_NONE = 0,
  LAT_DENSE_FOLD_X = 1,
  LAT_DENSE_FOLD_Y = 2,
  LAT_DENSE_FOLD_Z = 3 ///< bird's-eye form
} lat_dense_fold;

/// What becomes of rows outside the box.
typedef enum lat_dense_outside {
  LAT_DENSE_OUTSIDE_ERROR = 0, ///< the call fails and names the first
  LAT_DENSE_OUTSIDE_DROP = 1   ///< they are left out; their gradient is zero
} lat_dense_outside;

/// Form of the dense array.
typedef struct lat_dense_opts {
  size_t struct_bytes;     ///< sizeof(lat_dense_opts)
  lat_triple min_coord;    ///< coordinate of the first cell
  lat_triple shape;        ///< cells along x, y, z. To dense: (0, 0, 0): up to the largest coordinates. From dense: the
                           ///< array's own; the folded axis needs its length here, other entries are 0 or match
  int64_t batch_size;      ///< to dense: number of items B; 0: as declared, else the largest batch index + 1
  lat_dense_layout layout; ///< default channels last
  lat_dense_fold fold;     ///< default none
  lat_dense_outside outside; ///< to dense; default error
  lat_triple stride;         ///< from dense: stride of the new set, positive; (0, 0, 0): 1
  const lat_array_view
      *mask; ///< from dense: `(B, X, Y, Z)` uint8, whatever the layout: cells that are not 0 become rows.
             ///< NULL: cells with a channel that is not zero (NaN is not). Borrows until return
} lat_dense_opts;

#define LAT_DENSE_OPTS_INIT                                                                                            \
  {                                                                                                                    \
    sizeof(lat_dense_opts), {0, 0, 0}, {0, 0, 0}, 0, LAT_DENSE_CHANNELS_LAST, LAT_DENSE_FOLD_NONE,                     \
        LAT_DENSE_OUTSIDE_ERROR, {0, 0, 0}, NULL                                                                       \
  }

/// Writes the rows of `x` into a dense array of its dtype, zero elsewhere. Copies. `opts` NULL: defaults.
/// Errors: INVALID_ARGUMENT (NULL; "layout"; "fold"; "outside"; "batch_size must be non-negative"; "shape must be
/// positive"; "row lies outside of the box"; "duplicate coordinates": names both rows), OVERFLOW ("dense array is too
/// large"), OUT_OF_MEMORY.
LAT_API LAT_CHECKED lat_status lat_to_dense(lat_context *context, const lat_tensor *x, const lat_dense_opts *opts,
                                            lat_array **out);

/// Gradient of lat_to_dense with respect to the features of `x`, `(N, C)` of its dtype: reads `grad_out`, which has the
/// forward's shape and dtype, at the rows. The map is linear: its forward-mode product is lat_to_dense of the tangent.
/// Errors: as lat_to_dense; INVALID_SHAPE ("grad_out must have the shape of the dense array"), INVALID_DTYPE.
LAT_API LAT_CHECKED lat_status lat_to_dense_backward(lat_context *context, const lat_tensor *x,
                                                     const lat_array_view *grad_out, const lat_dense_opts *opts,
                                                     lat_array **out);

/// Makes a tensor of the chosen cells of a dense float32, float16 or bfloat16 array, in the order of (b, x, y, z), with
/// B declared batch items. Copies. `opts` NULL: defaults.
/// Errors: INVALID_ARGUMENT (NULL; "layout"; "fold"; "outside"; "stride must be positive"; "shape must give the length of
/// the folded axis"), INVALID_SHAPE ("dense must have 5 axes", 4 when folded; "channels must be a multiple of the folded
/// axis"; "shape must match the dense array"; "mask must have shape (B, X, Y, Z)"), INVALID_DTYPE ("dense dtype"; "mask
/// must be uint8"), OVERFLOW ("coordinates leave int32"; more than 2^31 - 1 rows), OUT_OF_MEMORY.
LAT_API LAT_CHECKED lat_status lat_from_dense(lat_context *context, const lat_array_view *dense,
                                              const lat_dense_opts *opts, lat_tensor **out);

/// Gradient of lat_from_dense with respect to `dense`: an array of its shape and dtype that holds the rows of `grad_out`,
/// `(N, C)`, at the rows of `result`, what the forward call gave, and zero elsewhere. Of `dense` shape and dtype alone
/// count. Errors: as lat_from_dense; INVALID_SHAPE ("grad_out must have the shape of the result's features"),
/// INVALID_DTYPE; INVALID_ARGUMENT ("row lies outside of the box"; "duplicate coordinates").
LAT_API LAT_CHECKED lat_status lat_from_dense_backward(lat_context *context, const lat_array_view *dense,
                                                       const lat_tensor *result, const lat_array_view *grad_out,
                                                       const lat_dense_opts *opts, lat_array **out);

#ifdef __cplusplus
}
#endif
#endif
