/// \file algebra.h
/// Algebra between sparse tensors, aligned by coordinate value.
///
/// Tensors that share a coordinate set (identity) are combined row by row. Otherwise rows are matched by coordinates and
/// a missing row counts as zeros, exactly. Adding `feats` arrays of different row orders directly is a mistake: use these.
#ifndef LATTICE_ALGEBRA_H
#define LATTICE_ALGEBRA_H

#include <lattice/tensor.h>

#ifdef __cplusplus
extern "C" {
#endif

/// Which rows the result has.
typedef enum lat_join {
  LAT_JOIN_DEFAULT = 0, ///< the operation's default
  LAT_JOIN_INNER = 1,   ///< rows of A that are in B, in A's order
  LAT_JOIN_LEFT = 2,    ///< A's rows
  LAT_JOIN_RIGHT = 3,   ///< B's rows
  LAT_JOIN_OUTER = 4    ///< A's rows, then B's rows that A lacks
} lat_join;

/// `lhs + rhs`; default join outer. Shared identity: the join is ignored and lhs's set and batch metadata are kept.
/// Otherwise the result has a new set (aligning the same two sets by the same join again gives the same set), and the
/// larger declared batch size carries over. Features are promoted as in feature.h.
/// Errors: INVALID_ARGUMENT (NULL; "join must be 'inner', 'left', 'right', or 'outer'"; "sparse tensor strides must
/// match"), INVALID_SHAPE ("sparse binary operands must have matching channels"), OVERFLOW (2^31 rows), OUT_OF_MEMORY.
LAT_API LAT_CHECKED lat_status lat_sparse_add(lat_context *context, const lat_tensor *lhs, const lat_tensor *rhs,
                                              lat_join join, lat_tensor **out);

/// Channels of lhs, then of rhs; default join inner; missing rows are zeros. Otherwise as lat_sparse_add (channel counts
/// may differ).
LAT_API LAT_CHECKED lat_status lat_sparse_cat_aligned(lat_context *context, const lat_tensor *lhs,
                                                      const lat_tensor *rhs, lat_join join, lat_tensor **out);

/// `lhs - rhs`; default join outer. Otherwise as lat_sparse_add.
LAT_API LAT_CHECKED lat_status lat_sparse_sub(lat_context *context, const lat_tensor *lhs, const lat_tensor *rhs,
                                              lat_join join, lat_tensor **out);

/// `lhs * rhs`; default join inner. Otherwise as lat_sparse_add.
LAT_API LAT_CHECKED lat_status lat_sparse_mul(lat_context *context, const lat_tensor *lhs, const lat_tensor *rhs,
                                              lat_join join, lat_tensor **out);

/// The larger of the two; NaN wins; default join inner. Otherwise as lat_sparse_add.
LAT_API LAT_CHECKED lat_status lat_sparse_maximum(lat_context *context, const lat_tensor *lhs, const lat_tensor *rhs,
                                                  lat_join join, lat_tensor **out);

/// The smaller of the two; NaN wins; default join inner. Otherwise as lat_sparse_add.
LAT_API LAT_CHECKED lat_status lat_sparse_minimum(lat_context *context, const lat_tensor *lhs, const lat_tensor *rhs,
                                                  lat_join join, lat_tensor **out);

/// Element-wise operations.
typedef enum lat_binary {
  LAT_BINARY_ADD = 0,
  LAT_BINARY_SUB = 1,
  LAT_BINARY_MUL = 2,
  LAT_BINARY_MAXIMUM = 3,
  LAT_BINARY_MINIMUM = 4
} lat_binary;

/// Options of lat_sparse_binary. NULL or zero fields: addition, outer join, fills of 0.
typedef struct lat_binary_opts {
  size_t struct_bytes; ///< sizeof(lat_binary_opts)
  lat_binary op;
  lat_join join;             ///< DEFAULT: outer, for every operation
  double lhs_fill, rhs_fill; ///< what a missing row of that side is made of (float32)
} lat_binary_opts;

#define LAT_BINARY_OPTS_INIT                                                                                           \
  { sizeof(lat_binary_opts), LAT_BINARY_ADD, LAT_JOIN_DEFAULT, 0.0, 0.0 }

/// Any operation with any join and fills. Shared identity: join and fills are ignored.
/// Errors: as lat_sparse_add; INVALID_ARGUMENT ("unknown sparse binary op").
LAT_API LAT_CHECKED lat_status lat_sparse_binary(lat_context *context, const lat_tensor *lhs, const lat_tensor *rhs,
                                                 const lat_binary_opts *opts, lat_tensor **out);

/// Gradients of the two sides: owned arrays (release each) of the shape and dtype of their features. On failure both are
/// NULL.
typedef struct lat_binary_grads {
  lat_array *lhs, *rhs;
} lat_binary_grads;

/// Gradients of lat_sparse_binary; of the operations above with `opts->op` and their join (where it is not outer it must be
/// named). `grad_out` is the gradient of the result's features, of any float dtype. A row that takes part in several rows of
/// the result (duplicates) sums their gradients, in double with one rounding; a row in none gets 0; fills have no gradient.
/// Of maximum and minimum the side that wins gets all, each of two equal ones half (the rule of lat_pool3d_backward); NaN
/// wins.
/// Errors: as lat_sparse_binary; INVALID_SHAPE, INVALID_DTYPE ("grad_out").
LAT_API LAT_CHECKED lat_status lat_sparse_binary_backward(lat_context *context, const lat_tensor *lhs,
                                                          const lat_tensor *rhs, const lat_binary_opts *opts,
                                                          const lat_array_view *grad_out, lat_binary_grads *out);

/// lat_sparse_cat_aligned of any number of tensors, joined pairwise from the left; one tensor is returned as it is.
/// Errors: as lat_sparse_cat_aligned; INVALID_ARGUMENT ("expected at least one sparse tensor").
LAT_API LAT_CHECKED lat_status lat_sparse_cat(lat_context *context, const lat_tensor *const *tensors, int64_t n_tensors,
                                              lat_join join, lat_tensor **out);

/// Gradients of lat_sparse_cat (and of lat_sparse_cat_aligned: two tensors): `grads` has room for n_tensors arrays, each of
/// the shape and dtype of its tensor's features, summed as in lat_sparse_binary_backward. On failure all are NULL.
/// Errors: as lat_sparse_cat; INVALID_SHAPE, INVALID_DTYPE ("grad_out").
LAT_API LAT_CHECKED lat_status lat_sparse_cat_backward(lat_context *context, const lat_tensor *const *tensors,
                                                       int64_t n_tensors, lat_join join, const lat_array_view *grad_out,
                                                       lat_array **grads);

/// Which rows of two sets meet. Owned: release each.
typedef struct lat_sparse_alignment {
  lat_coords *coords;  ///< the rows of the join
  lat_array *lhs_rows; ///< int32: for each the row of lhs, or -1
  lat_array *rhs_rows; ///< int32: likewise
} lat_sparse_alignment;

/// Aligns two sets by coordinates; default join inner. Of a set's own duplicates each row is kept as the join says, and
/// the other set's rows meet the first. Aligning the same two sets by the same join again gives the same set. With
/// lat_gather_aligned_features this is what the operations above are made of. On failure `*out` is all NULL.
/// Errors: INVALID_ARGUMENT (NULL; "join must be 'inner', 'left', 'right', or 'outer'"; "sparse tensor strides must
/// match"), OVERFLOW (2^31 rows), OUT_OF_MEMORY.
LAT_API LAT_CHECKED lat_status lat_sparse_align(lat_context *context, const lat_coords *lhs, const lat_coords *rhs,
                                                lat_join join, lat_sparse_alignment *out);

/// Row `rows[r]` of an `(N, C)` float view for every r: a new `(len(rows), C)` array. A negative row number gives a row of
/// `fill`, exactly. `rows` is an int32 view of rank 1.
/// Errors: INVALID_ARGUMENT (NULL; a row number of N or more: names it), INVALID_SHAPE, INVALID_DTYPE, OUT_OF_MEMORY.
LAT_API LAT_CHECKED lat_status lat_gather_aligned_features(lat_context *context, const lat_array_view *features,
                                                           const lat_array_view *rows, double fill, lat_array **out);

/// Gradient of the features of lat_gather_aligned_features, `(N, C)` in their dtype: row v is the sum of the rows of
/// `grad_out` that took it, in ascending order, in double, rounded once. Of `features` shape and dtype count.
/// Errors: as lat_gather_aligned_features; INVALID_SHAPE, INVALID_DTYPE ("grad_out").
LAT_API LAT_CHECKED lat_status lat_gather_aligned_features_backward(lat_context *context,
                                                                    const lat_array_view *features,
                                                                    const lat_array_view *rows,
                                                                    const lat_array_view *grad_out, lat_array **out);

/// `input`'s features on `target`'s set, matched by coordinates; rows that `input` lacks get `fill`. The result has the
/// target's set and batch metadata.
/// Errors: INVALID_ARGUMENT (NULL; "sparse tensor strides must match"), OUT_OF_MEMORY.
LAT_API LAT_CHECKED lat_status lat_reindex_sparse(lat_context *context, const lat_tensor *input,
                                                  const lat_tensor *target, double fill, lat_tensor **out);

/// Gradient of `input`'s features through lat_reindex_sparse, summed as in lat_gather_aligned_features_backward.
/// Errors: as lat_reindex_sparse; INVALID_SHAPE, INVALID_DTYPE ("grad_out").
LAT_API LAT_CHECKED lat_status lat_reindex_sparse_backward(lat_context *context, const lat_tensor *input,
                                                           const lat_tensor *target, const lat_array_view *grad_out,
                                                           lat_array **out);

/// The rows of `x` that an int32 view of rank 1 names, in its order, repetitions included, on a new set. Declared batch
/// counts are counted again.
/// Errors: INVALID_ARGUMENT (NULL; "rows must index active sparse rows": names the first bad one), INVALID_SHAPE,
/// INVALID_DTYPE, OVERFLOW (2^31 rows), OUT_OF_MEMORY.
LAT_API LAT_CHECKED lat_status lat_prune(lat_context *context, const lat_tensor *x, const lat_array_view *rows,
                                         lat_tensor **out);

/// The rows of `x` whose entry of a uint8 `(N,)` mask is not 0, ascending, on a new set. Otherwise as lat_prune.
/// Errors: INVALID_SHAPE ("mask must match the sparse tensor capacity"), INVALID_DTYPE ("mask must be boolean": not uint8).
LAT_API LAT_CHECKED lat_status lat_prune_mask(lat_context *context, const lat_tensor *x, const lat_array_view *mask,
                                              lat_tensor **out);

/// The rows of `x` inside a box of logical coordinates, both corners included, ascending. Otherwise as lat_prune.
/// Errors: INVALID_ARGUMENT (NULL; "min_coord must not exceed max_coord").
LAT_API LAT_CHECKED lat_status lat_crop(lat_context *context, const lat_tensor *x, lat_triple min_coord,
                                        lat_triple max_coord, lat_tensor **out);

/// Gradients of x's features through lat_prune, lat_prune_mask and lat_crop, summed as in
/// lat_gather_aligned_features_backward; rows that were not chosen get 0.
/// Errors: as the forward call; INVALID_SHAPE, INVALID_DTYPE ("grad_out").
LAT_API LAT_CHECKED lat_status lat_prune_backward(lat_context *context, const lat_tensor *x, const lat_array_view *rows,
                                                  const lat_array_view *grad_out, lat_array **out);
LAT_API LAT_CHECKED lat_status lat_prune_mask_backward(lat_context *context, const lat_tensor *x,
                                                       const lat_array_view *mask, const lat_array_view *grad_out,
                                                       lat_array **out);
LAT_API LAT_CHECKED lat_status lat_crop_backward(lat_context *context, const lat_tensor *x, lat_triple min_coord,
                                                 lat_triple max_coord, const lat_array_view *grad_out, lat_array **out);

/// For every batch item the rows with the highest scores, an int32 array for lat_prune: of item b the last
/// `min(int(counts[b] * rho), rows of b)` rows in ascending order of channel 0, ties in row order. Rows go by the batch
/// column; `counts` has one entry for each declared batch item.
/// Errors: INVALID_ARGUMENT (NULL; "batch_counts metadata is required" when x declares none; a negative count; rho not
/// positive and finite), INVALID_SHAPE (no channels; the number of counts), OUT_OF_MEMORY.
LAT_API LAT_CHECKED lat_status lat_topk_rows(lat_context *context, const lat_tensor *x, const int64_t *counts,
                                             int64_t n_counts, double rho, lat_array **out);

#ifdef __cplusplus
}
#endif
#endif
