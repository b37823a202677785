/// Alignment of two coordinate sets by value: which row meets which.
#ifndef LATTICE_COORDS_ALIGNMENT_H
#define LATTICE_COORDS_ALIGNMENT_H

#include <stdatomic.h>

#include <lattice/algebra.h>

/// The rows of a join. Immutable and reference-counted; holds neither of the two sets.
typedef struct lat__alignment {
  atomic_int refcount;
  lat_context *context; ///< retained
  lat_coords *coords;   ///< the join's rows: a set of its own
  int32_t *lhs_rows;    ///< row of the left set, or -1; NULL: row r of the join is row r
  int32_t *rhs_rows;    ///< likewise
} lat__alignment;

/// Alignment of `lhs` and `rhs` (equal strides) by `join`, which is not DEFAULT; retained for the caller. Cached on
/// `lhs`, so that the same two sets joined again give the same set. Where a set has duplicate rows, each of its own rows
/// is kept as the join says, and the other set's rows meet the first. Errors: OVERFLOW (2^31 rows), OUT_OF_MEMORY.
LAT_CHECKED lat_status lat__alignment_of(lat_context *context, const char *op, const lat_coords *lhs,
                                         const lat_coords *rhs, lat_join join, lat__alignment **out);

void lat__alignment_release(lat__alignment *alignment);

#endif
