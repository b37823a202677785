/// \file sparse_create.h
/// Sparse tensors from coordinate and feature arrays, with a rule for duplicates; several clouds into one tensor, and a
/// tensor back into its batch items.
#ifndef LATTICE_SPARSE_CREATE_H
#define LATTICE_SPARSE_CREATE_H

#include <lattice/tensor.h>

#ifdef __cplusplus
extern "C" {
#endif

/// What becomes of rows with equal coordinates. All but NONE give distinct rows in first-seen order. Reductions are
/// computed in float32 over the rows ascending and rounded once to the feature dtype.
typedef enum lat_duplicates {
  LAT_DUPLICATES_NONE = 0,  ///< nothing is looked for: every row stays
  LAT_DUPLICATES_ERROR = 1, ///< refused
  LAT_DUPLICATES_FIRST = 2, ///< the first row counts
  LAT_DUPLICATES_SUM = 3,
  LAT_DUPLICATES_MEAN = 4, ///< the sum, divided by the number of rows
  LAT_DUPLICATES_MAX = 5   ///< of each channel; NaN wins
} lat_duplicates;

/// Options of lat_sparse_from_coordinates. NULL or zero fields: stride 1, duplicates are kept, nothing is declared.
typedef struct lat_from_coordinates_opts {
  size_t struct_bytes; ///< sizeof(lat_from_coordinates_opts)
  lat_triple stride;   ///< of the set; all zero: (1, 1, 1)
  lat_duplicates duplicates;
  const int64_t *batch_counts; ///< as lat_tensor_opts, of the rows as they are given; counted again after a reduction.
                               ///< Borrows until return
  int64_t n_batches;           ///< as lat_tensor_opts
} lat_from_coordinates_opts;

#define LAT_FROM_COORDINATES_OPTS_INIT                                                                                 \
  { sizeof(lat_from_coordinates_opts), {0, 0, 0}, LAT_DUPLICATES_NONE, NULL, 0 }

/// A tensor on a new set of `(N, 4)` int32 or int64 rows with `(N, C)` float32, float16 or bfloat16 features. Copies.
/// Errors: those of lat_coords_create and lat_tensor_create; INVALID_ARGUMENT ("duplicate_reduction": not of the enum;
/// "duplicate coordinates": names the first row that repeats another).
LAT_API LAT_CHECKED lat_status lat_sparse_from_coordinates(lat_context *context, const lat_array_view *coords,
                                                           const lat_array_view *feats,
                                                           const lat_from_coordinates_opts *opts, lat_tensor **out);

/// Gradient of lat_sparse_from_coordinates by the features: `(N, C)` of the dtype of `grad_out`, which has one row for
/// each row of the result. NONE and ERROR: `grad_out` itself; FIRST: the first row of equal ones gets it, the others zero;
/// SUM: every row; MEAN: divided by their number; MAX: shared equally by the rows that hold the largest value of their
/// channel. `feats` are those of the forward call; they may be NULL but for MAX. Of `opts` the duplicates alone count. All but
/// MAX are linear in the features: their forward-mode product is the forward call on the tangent.
/// Errors: INVALID_ARGUMENT (NULL; "duplicate_reduction"; "feats: … expected those of the forward call"), INVALID_SHAPE
/// ("grad_out must have one row for each row of the result"), INVALID_DTYPE, OVERFLOW, OUT_OF_MEMORY.
LAT_API LAT_CHECKED lat_status lat_sparse_from_coordinates_backward(lat_context *context, const lat_array_view *coords,
                                                                    const lat_array_view *feats,
                                                                    const lat_array_view *grad_out,
                                                                    const lat_from_coordinates_opts *opts,
                                                                    lat_array **grad_feats);

/// Options of lat_sparse_collate. NULL or zero fields: stride 1, duplicates are kept.
typedef struct lat_collate_opts {
  size_t struct_bytes; ///< sizeof(lat_collate_opts)
  lat_triple stride;   ///< of the set; all zero: (1, 1, 1)
  lat_duplicates duplicates;
} lat_collate_opts;

#define LAT_COLLATE_OPTS_INIT                                                                                          \
  { sizeof(lat_collate_opts), {0, 0, 0}, LAT_DUPLICATES_NONE }

/// One tensor from the clouds of n batch items: `coords[b]` is `(N_b, 3)` int32 or int64 and `feats[b]` is `(N_b, C)`, with
/// the same C and dtype in all of them. Item b gets the batch index b; the rows of every item are declared. Copies. The
/// features pass unchanged, row for row, unless duplicates are reduced: then the gradient is that of
/// lat_sparse_from_coordinates on the joined rows.
/// Errors: those of lat_sparse_from_coordinates, naming the item ("coords[2] must have shape (N, 3)"); INVALID_ARGUMENT
/// ("expected at least one sparse tensor batch"), INVALID_SHAPE ("must have the same channels"), INVALID_DTYPE ("must
/// have the same dtype").
LAT_API LAT_CHECKED lat_status lat_sparse_collate(lat_context *context, const lat_array_view *coords,
                                                  const lat_array_view *feats, int64_t n, const lat_collate_opts *opts,
                                                  lat_tensor **out);

/// A tensor taken apart by batch item: the rows of item b are entries `offsets[b] .. offsets[b + 1]` of the three others.
/// Owned arrays: release each.
typedef struct lat_tensor_items {
  int64_t n_items;
  lat_array *offsets; ///< (n_items + 1,) int64
  lat_array *rows;    ///< (M,) int32: row of the tensor, ascending within an item
  lat_array *coords;  ///< (M, 3) int32: x, y, z
  lat_array *feats;   ///< (M, C)
} lat_tensor_items;

/// Groups rows by the batch column, which decides, not their order. The number of items is the declared one, or one more
/// than the largest batch index; M counts the rows whose batch index is in that range. On failure `*out` is all zero.
/// Errors: INVALID_ARGUMENT (NULL), OUT_OF_MEMORY.
LAT_API LAT_CHECKED lat_status lat_tensor_decompose(lat_context *context, const lat_tensor *x, lat_tensor_items *out);

#ifdef __cplusplus
}
#endif
#endif
