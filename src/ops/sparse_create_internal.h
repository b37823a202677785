/// Reduction of equal rows, as the forward call and its gradient share it.
#ifndef LATTICE_OPS_SPARSE_CREATE_INTERNAL_H
#define LATTICE_OPS_SPARSE_CREATE_INTERNAL_H

#include <lattice/sparse_create.h>

/// Distinct rows in first-seen order; from lat__alloc.
typedef struct lat__unique_rows {
  int64_t n;
  int32_t *rows;    ///< (n, 4)
  int32_t *inverse; ///< place of each given row
  int32_t *counts;  ///< (n,): how many rows are equal
} lat__unique_rows;

/// Finds the distinct rows of `rows` (n, 4). Free `out` whatever comes back.
LAT_CHECKED lat_status lat__unique_rows_take(lat_context *context, const char *op, const int32_t *rows, int64_t n,
                                             lat__unique_rows *out);
void lat__unique_rows_free(lat_context *context, lat__unique_rows *unique);

/// Checks a rule for duplicates. Errors: INVALID_ARGUMENT ("duplicate_reduction").
LAT_CHECKED lat_status lat__duplicates_check(const char *op, lat_duplicates duplicates);

/// What the device does for SUM, MEAN and MAX.
int lat__duplicates_reduction(lat_duplicates duplicates);

#endif
