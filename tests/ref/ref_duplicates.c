// Naive reduction of equal rows.

#include "ref/ref_duplicates.h"

#include <math.h>
#include <string.h>

static int equal(const int32_t *a, const int32_t *b) {
  return memcmp(a, b, 4 * sizeof *a) == 0;
}

static double reduce(const int32_t *rows, int64_t n, int rule, const double *x, int64_t channels, int64_t row) {
  double sum = 0, largest = -INFINITY;
  int64_t count = 0;
  for (int64_t r = 0; r < n; r++) {
    if (!equal(rows + 4 * r, rows + 4 * row)) continue;
    if (rule == REF_FIRST) return x[r * channels];
    sum += x[r * channels];
    if (isnan(x[r * channels]) || x[r * channels] > largest) largest = x[r * channels];
    if (isnan(x[r * channels])) return rule == REF_MAX ? NAN : sum;
    count++;
  }
  return rule == REF_MAX ? largest : rule == REF_MEAN ? sum / (double)count : sum;
}

int64_t ref_reduce_duplicates(const int32_t *rows, int64_t n, int rule, const double *x, int64_t channels,
                              int32_t *out_rows, double *y) {
  int64_t n_out = 0;
  for (int64_t r = 0; r < n; r++) {
    int seen = 0;
    for (int64_t o = 0; o < n_out; o++) seen |= equal(rows + 4 * r, out_rows + 4 * o);
    if (seen) continue;
    memcpy(out_rows + 4 * n_out, rows + 4 * r, 4 * sizeof *rows);
    for (int64_t c = 0; c < channels; c++) y[n_out * channels + c] = reduce(rows, n, rule, x + c, channels, r);
    n_out++;
  }
  return n_out;
}
