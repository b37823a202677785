/// Pools in double: local over a list of edges, global by the batch column.
#ifndef LAT_REF_POOL_H
#define LAT_REF_POOL_H

#include <stdint.h>

#include "ref/ref_relation.h"

/// How rows are reduced; an output without rows gets 0, the maximum -inf.
typedef enum ref_pool_mode { REF_POOL_SUM = 0, REF_POOL_MAX = 1, REF_POOL_AVG = 2 } ref_pool_mode;

/// y (n_out, channels) from x (…, channels); magnitude (may be NULL) gets the sum of |x|, what an error bound is made of.
void ref_pool(ref_pool_mode mode, const ref_edges *edges, const double *x, int64_t channels, int64_t n_out, double *y,
              double *magnitude);

/// y (n_items, channels) from the n rows of x whose batch is below n_items and not negative.
void ref_global_pool(ref_pool_mode mode, const int32_t *rows, int64_t n, const double *x, int64_t channels,
                     int64_t n_items, double *y, double *magnitude);

#endif
