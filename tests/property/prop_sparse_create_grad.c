// The gradient of sparse tensors from arrays against central differences of the naive reference in double.
// covers: lat_sparse_from_coordinates_backward
#include "support/test_support.h"

#include <math.h>
#include <string.h>

#include <lattice/lattice.h>

#include "ref/ref_duplicates.h"

enum { MAX_ROWS = 40, CHANNELS = 2 };

static lat_context *contexts[2]; // one thread, five

static int set_up(void **state) {
  (void)state;
  for (int i = 0; i < 2; i++) {
    lat_context_opts opts = LAT_CONTEXT_OPTS_INIT;
    opts.n_threads = i ? 5 : 1;
    if (lat_context_create(&opts, &contexts[i])) return 1;
  }
  return 0;
}

static int tear_down(void **state) {
  (void)state;
  lat_context_destroy(contexts[0]);
  lat_context_destroy(contexts[1]);
  return 0;
}

static uint32_t draw(uint64_t seed, uint64_t *n, uint32_t bound) {
  uint32_t words[4];
  lat_random_block(seed, 9, (*n)++, words);
  return words[0] % bound;
}

static lat_from_coordinates_opts opts_of(int rule) {
  lat_from_coordinates_opts opts = LAT_FROM_COORDINATES_OPTS_INIT;
  opts.duplicates = (lat_duplicates)rule;
  return opts;
}

/// sum of grad * forward(x)
static double objective(const int32_t *rows, int64_t n, int rule, const double *x, const float *grad) {
  static int32_t out_rows[4 * MAX_ROWS];
  static double y[MAX_ROWS * CHANNELS];
  int64_t n_out = ref_reduce_duplicates(rows, n, rule, x, CHANNELS, out_rows, y);
  double sum = 0;
  for (int64_t i = 0; i < n_out * CHANNELS; i++) sum += (double)grad[i] * y[i];
  return sum;
}

static void check_case(uint64_t seed, int rule) {
  uint64_t count = 0;
  static int32_t rows[4 * MAX_ROWS], out_rows[4 * MAX_ROWS];
  static float feats[MAX_ROWS * CHANNELS], grad[MAX_ROWS * CHANNELS];
  static double x[MAX_ROWS * CHANNELS], y[MAX_ROWS * CHANNELS];
  int64_t n = draw(seed, &count, MAX_ROWS + 1);
  for (int64_t i = 0; i < 4 * n; i++) rows[i] = (int32_t)draw(seed, &count, 2) - (i % 4 != 0);
  for (int64_t i = 0; i < n * CHANNELS; i++) { // all different: maxima have no ties
    feats[i] = (float)((int64_t)draw(seed, &count, 1000) * MAX_ROWS * CHANNELS + i) / 4096;
    x[i] = (double)feats[i];
    grad[i] = (float)draw(seed, &count, 2001) / 1000 - 1;
  }
  int64_t n_out = ref_reduce_duplicates(rows, n, rule, x, CHANNELS, out_rows, y);
  lat_array_view coords = lat_view_2d(rows, LAT_DTYPE_I32, n, 4),
                 x_view = lat_view_2d(feats, LAT_DTYPE_F32, n, CHANNELS);
  lat_array_view grad_view = lat_view_2d(grad, LAT_DTYPE_F32, n_out, CHANNELS);
  lat_from_coordinates_opts opts = opts_of(rule);
  lat_array *got[2] = {NULL};
  for (int i = 0; i < 2; i++) {
    const lat_array_view *needed = rule == REF_MAX || i ? &x_view : NULL;
    lat_test_assert_ok(lat_sparse_from_coordinates_backward(contexts[i], &coords, needed, &grad_view, &opts, &got[i]));
    assert_int_equal(lat_array_count(got[i]), n * CHANNELS);
  }
  assert_memory_equal(lat_array_data(got[0]), lat_array_data(got[1]), (size_t)(n * CHANNELS) * sizeof(float));
  for (int64_t i = 0; i < n * CHANNELS; i++) {
    const double step = 1.0 / 16384, at = x[i];
    x[i] = at + step;
    double above = objective(rows, n, rule, x, grad);
    x[i] = at - step;
    double expected = (above - objective(rows, n, rule, x, grad)) / (2 * step);
    x[i] = at;
    double value = (double)((const float *)lat_array_data(got[0]))[i];
    if (fabs(value - expected) > 1e-6 * (1 + fabs(expected))) {
      fail_msg("rule %d, seed %d, element %d: got %.9g, expected %.9g", rule, (int)seed, (int)i, value, expected);
    }
  }
  lat_array_release(got[0]);
  lat_array_release(got[1]);
}

static void gradients_match_central_differences(void **state) {
  (void)state;
  for (uint64_t seed = 1; seed <= 25; seed++) {
    for (int rule = REF_FIRST; rule <= REF_MAX; rule++) check_case(seed, rule);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(gradients_match_central_differences),
  };
  return cmocka_run_group_tests(tests, set_up, tear_down);
}
