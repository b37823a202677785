/// Naive reduction of equal rows, in double, every pair of rows compared.
#ifndef LAT_REF_DUPLICATES_H
#define LAT_REF_DUPLICATES_H

#include <stdint.h>

/// How equal rows become one: numbered as lat_duplicates.
enum { REF_FIRST = 2, REF_SUM = 3, REF_MEAN = 4, REF_MAX = 5 };

/// Writes the distinct rows, first-seen, to `out_rows` and their features to `y` (room for n rows each); returns their
/// number. x is (n, channels).
int64_t ref_reduce_duplicates(const int32_t *rows, int64_t n, int rule, const double *x, int64_t channels,
                              int32_t *out_rows, double *y);

#endif
