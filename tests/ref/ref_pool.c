// One element at a time, counting contributors.
#include "ref/ref_pool.h"

#include <math.h>
#include <stdlib.h>

static double combined(ref_pool_mode mode, double sum, double value) {
  if (mode != REF_POOL_MAX) return sum + value;
  if (isnan(sum) || isnan(value)) return NAN;
  return value > sum ? value : sum;
}

/// One channel of one output: the rows where `target_of` equals `target`.
static void reduce(ref_pool_mode mode, const int32_t *in, const int32_t *target_of, int64_t target_step, int64_t n,
                   int64_t target, const double *x, int64_t step, double *y, double *magnitude) {
  double sum = mode == REF_POOL_MAX ? -INFINITY : 0.0, absolute = 0.0;
  int64_t count = 0;
  for (int64_t i = 0; i < n; i++) {
    if (target_of[i * target_step] != target) continue;
    double value = x[(in ? in[i] : i) * step];
    sum = combined(mode, sum, value);
    absolute += fabs(value);
    count++;
  }
  double scale = mode == REF_POOL_AVG && count > 0 ? 1.0 / (double)count : 1.0;
  *y = sum * scale;
  if (magnitude) *magnitude = absolute * scale;
}

void ref_pool(ref_pool_mode mode, const ref_edges *edges, const double *x, int64_t channels, int64_t n_out, double *y,
              double *magnitude) {
  for (int64_t o = 0; o < n_out; o++) {
    for (int64_t c = 0; c < channels; c++) {
      int64_t at = o * channels + c;
      reduce(mode, edges->in, edges->out, 1, edges->n, o, x + c, channels, y + at, magnitude ? magnitude + at : NULL);
    }
  }
}

void ref_global_pool(ref_pool_mode mode, const int32_t *rows, int64_t n, const double *x, int64_t channels,
                     int64_t n_items, double *y, double *magnitude) {
  for (int64_t b = 0; b < n_items; b++) {
    for (int64_t c = 0; c < channels; c++) {
      int64_t at = b * channels + c;
      reduce(mode, NULL, rows, 4, n, b, x + c, channels, y + at, magnitude ? magnitude + at : NULL);
    }
  }
}
