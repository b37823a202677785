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

#ifdef __cplusplus
}
#endif
#endif
