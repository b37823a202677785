// Pools on random tensors against the double reference, for three dtypes and 1, 2 and 5 threads bit for bit; permuted
// rows; the bits of a batch item do not depend on the others.
// covers: lat_pool3d lat_global_pool
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include <lattice/pool.h>

#include "ref/ref_pool.h"
#include "ref/ref_reach.h"
#include "support/tensor_cases.h"
#include "support/test_support.h"

#define N_CONTEXTS 3

static lat_context *contexts[N_CONTEXTS]; // 1, 2 and 5 threads

static const lat_dtype dtypes[3] = {LAT_DTYPE_F32, LAT_DTYPE_F16, LAT_DTYPE_BF16};

static int set_up(void **state) {
  const int32_t threads[N_CONTEXTS] = {1, 2, 5};
  (void)state;
  for (int i = 0; i < N_CONTEXTS; i++) {
    lat_context_opts opts = LAT_CONTEXT_OPTS_INIT;
    opts.n_threads = threads[i];
    if (lat_context_create(&opts, &contexts[i])) return 1;
  }
  return 0;
}

static int tear_down(void **state) {
  (void)state;
  for (int i = 0; i < N_CONTEXTS; i++) lat_context_destroy(contexts[i]);
  return 0;
}

/// A float32 sum of n terms is off by at most n 2^-24 sum |x|; then one rounding to the dtype. The maximum is exact.
static void assert_close(const double *got, const double *expected, const double *magnitude, int64_t n, int64_t terms,
                         ref_pool_mode mode, lat_dtype dtype) {
  double rounding = dtype == LAT_DTYPE_F32 ? 0 : dtype == LAT_DTYPE_F16 ? 0x1p-11 : 0x1p-8;
  for (int64_t i = 0; i < n; i++) {
    double error = mode == REF_POOL_MAX ? 0 : (double)(terms + 2) * 0x1p-24 * magnitude[i];
    error += mode == REF_POOL_MAX ? 0 : rounding * (fabs(expected[i]) + error) + 0x1p-25;
    if (!(got[i] == expected[i] || fabs(got[i] - expected[i]) <= error)) {
      fail_msg("mode %d, %s, element %lld: got %.9g, expected %.9g within %.3g", (int)mode, lat_dtype_name(dtype),
               (long long)i, got[i], expected[i], error);
    }
  }
}

static lat_triple triple_of(const int32_t v[3]) {
  lat_triple triple = {v[0], v[1], v[2]};
  return triple;
}

static void draw_triple(lat_test_random *random, int32_t low, int32_t high, int32_t out[3]) {
  for (int a = 0; a < 3; a++) out[a] = low + (int32_t)lat_test_below(random, high - low + 1);
}

static void check_local(uint64_t seed) {
  lat_test_random random = {seed, 0};
  int32_t size[3], stride[3], padding[3], dilation[3];
  int64_t n = lat_test_below(&random, seed % 5 == 0 ? 2500 : 300), channels = lat_test_below(&random, 40);
  draw_triple(&random, 1, 3, size);
  draw_triple(&random, 1, 3, stride);
  draw_triple(&random, 0, 1, padding);
  draw_triple(&random, 1, 2, dilation);
  lat_dtype dtype = dtypes[seed % 3];
  ref_pool_mode mode = (ref_pool_mode)(seed / 3 % 3);
  lat_kernel_opts opts = {sizeof opts,
                          triple_of(size),
                          triple_of(stride),
                          triple_of(padding),
                          triple_of(dilation),
                          seed % 4 == 0 ? LAT_SUPPORT_REACH : LAT_SUPPORT_FLOOR,
                          {0}};
  ref_reach reach = {.bounds = {0}};
  memcpy(reach.size, size, sizeof size);
  memcpy(reach.stride, stride, sizeof stride);
  memcpy(reach.padding, padding, sizeof padding);
  memcpy(reach.dilation, dilation, sizeof dilation);
  int32_t *rows = lat_test_random_rows(&random, n, 2, 7, seed % 7 == 0);
  double *values = lat_test_random_values(&random, n * channels, -4, 4);
  lat_tensor *first = NULL;
  for (int i = 0; i < N_CONTEXTS; i++) {
    lat_tensor *x = lat_test_tensor(contexts[i], rows, n, values, channels, dtype, NULL), *y = NULL;
    lat_test_assert_ok(lat_pool3d(contexts[i], x, (lat_pool_mode)mode, &opts, &y));
    if (!first) {
      first = lat_tensor_retain(y);
      int64_t n_out = lat_tensor_count(y), count = n_out * channels;
      const int32_t *out_rows = lat_coords_rows(lat_tensor_coords(y)).data;
      ref_edges *edges = opts.support == LAT_SUPPORT_REACH
                             ? ref_reach_edges(rows, n, out_rows, n_out, &reach)
                             : ref_relation_edges(rows, n, out_rows, n_out, size, stride, padding, dilation);
      double *in = lat_test_read_feats(x), *got = lat_test_read_feats(y);
      double *expected = malloc(((size_t)count + 1) * sizeof *got),
             *magnitude = malloc(((size_t)count + 1) * sizeof *got);
      ref_pool(mode, edges, in, channels, n_out, expected, magnitude);
      assert_close(got, expected, magnitude, count, 27, mode, dtype);
      ref_edges_free(edges);
      free(in), free(got), free(expected), free(magnitude);
    }
    lat_test_assert_same_view(lat_tensor_feats(first), lat_tensor_feats(y));
    lat_tensor_release(y);
    lat_tensor_release(x);
  }
  lat_tensor_release(first);
  free(rows), free(values);
}

static void test_local_pools(void **state) {
  (void)state;
  for (uint64_t seed = 1; seed <= 60; seed++) check_local(seed);
}

static void check_global(uint64_t seed) {
  lat_test_random random = {seed, 0};
  int64_t n_items = 1 + lat_test_below(&random, 5), n = 1 + lat_test_below(&random, 4000),
          channels = lat_test_below(&random, 9);
  lat_dtype dtype = dtypes[seed % 3];
  ref_pool_mode mode = (ref_pool_mode)(seed / 3 % 3);
  int32_t *rows = lat_test_random_rows(&random, n, n_items, 30, 0);
  for (int64_t b = 0; b < n_items && b < n; b++) rows[4 * b] = (int32_t)b; // no item is empty
  if (n < n_items) n_items = n;
  for (int64_t r = 0; r < n; r++) rows[4 * r] %= (int32_t)n_items;
  double *values = lat_test_random_values(&random, n * channels, -4, 4);
  lat_array *first = NULL;
  for (int i = 0; i < N_CONTEXTS; i++) {
    lat_tensor *x = lat_test_tensor(contexts[i], rows, n, values, channels, dtype, NULL);
    lat_array *y = NULL;
    lat_test_assert_ok(lat_global_pool(contexts[i], x, (lat_pool_mode)mode, n_items, &y));
    if (!first) {
      first = lat_array_retain(y);
      int64_t count = n_items * channels;
      double *in = lat_test_read_feats(x), *got = lat_test_read(lat_array_as_view(y));
      double *expected = malloc(((size_t)count + 1) * sizeof *got),
             *magnitude = malloc(((size_t)count + 1) * sizeof *got);
      ref_global_pool(mode, rows, n, in, channels, n_items, expected, magnitude);
      assert_close(got, expected, magnitude, count, 256 + n / 256, mode, dtype);
      free(in), free(got), free(expected), free(magnitude);
    }
    lat_test_assert_same_view(lat_array_as_view(first), lat_array_as_view(y));
    lat_array_release(y);
    lat_tensor_release(x);
  }
  lat_array_release(first);
  free(rows), free(values);
}

static void test_global_pools(void **state) {
  (void)state;
  for (uint64_t seed = 1; seed <= 45; seed++) check_global(seed);
}

// An item alone, in front of others, behind them, and interleaved with them: the same bits.
static void test_items_do_not_feel_each_other(void **state) {
  (void)state;
  enum { n_own = 1100, n_other = 777, channels = 3 };
  lat_test_random random = {5, 0};
  double *own = lat_test_random_values(&random, n_own * channels, -4, 4);
  double *other = lat_test_random_values(&random, n_other * channels, -4, 4);
  double *values = malloc((size_t)(n_own + n_other) * channels * sizeof *values);
  int32_t *rows = calloc((size_t)(n_own + n_other) * 4, sizeof *rows);
  for (int mode = 0; mode < 3; mode++) {
    float alone[channels];
    for (int form = 0; form < 4; form++) { // alone, first, last, interleaved
      int64_t n = 0, at_own = 0, at_other = form == 0 ? n_other : 0;
      while (at_own < n_own || at_other < n_other) {
        int take_own =
            at_other == n_other || (at_own < n_own && (form == 1 || (form == 3 && lat_test_below(&random, 2))));
        rows[4 * n] = take_own && form > 0 ? 1 : 0;
        rows[4 * n + 1] = (int32_t)n;
        const double *source = take_own ? own + channels * at_own++ : other + channels * at_other++;
        memcpy(values + channels * n++, source, channels * sizeof *values);
      }
      lat_tensor *x = lat_test_tensor(contexts[form % N_CONTEXTS], rows, n, values, channels, LAT_DTYPE_F32, NULL);
      lat_array *y = NULL;
      lat_test_assert_ok(lat_global_pool(contexts[form % N_CONTEXTS], x, (lat_pool_mode)mode, -1, &y));
      const float *got = (const float *)lat_array_as_view(y).data + (lat_array_as_view(y).shape[0] - 1) * channels;
      if (form == 0) memcpy(alone, got, sizeof alone);
      assert_memory_equal(alone, got, sizeof alone);
      lat_array_release(y);
      lat_tensor_release(x);
    }
  }
  free(own), free(other), free(values), free(rows);
}

// The maximum does not depend on the order of the rows at all: reversed rows give reversed results, bit for bit.
static void test_reversed_rows(void **state) {
  (void)state;
  enum { n = 900, channels = 5 };
  lat_test_random random = {6, 0};
  int32_t *rows = lat_test_random_rows(&random, n, 2, 6, 0), *reversed_rows = malloc(n * 4 * sizeof *rows);
  double *values = lat_test_random_values(&random, n * channels, -4, 4),
         *reversed = malloc(n * channels * sizeof *values);
  for (int r = 0; r < n; r++) {
    memcpy(reversed_rows + 4 * r, rows + 4 * (n - 1 - r), 4 * sizeof *rows);
    memcpy(reversed + channels * r, values + channels * (n - 1 - r), channels * sizeof *values);
  }
  lat_kernel_opts opts = LAT_KERNEL_OPTS_INIT;
  opts.kernel_size = lat_triple_all(3);
  opts.stride = lat_triple_all(1);
  for (int mode = 0; mode < 3; mode++) {
    lat_tensor *x = lat_test_tensor(contexts[1], rows, n, values, channels, LAT_DTYPE_F32, NULL), *y = NULL;
    lat_tensor *back = lat_test_tensor(contexts[1], reversed_rows, n, reversed, channels, LAT_DTYPE_F32, NULL),
               *z = NULL;
    lat_test_assert_ok(lat_pool3d(contexts[1], x, (lat_pool_mode)mode, &opts, &y)); // stride 1: sums by kernel element
    lat_test_assert_ok(lat_pool3d(contexts[1], back, (lat_pool_mode)mode, &opts, &z));
    const float *a = lat_tensor_feats(y).data, *b = lat_tensor_feats(z).data;
    for (int r = 0; r < n; r++) assert_memory_equal(a + channels * r, b + channels * (n - 1 - r), channels * sizeof *a);
    lat_tensor_release(x), lat_tensor_release(y), lat_tensor_release(back), lat_tensor_release(z);
  }
  free(rows), free(reversed_rows), free(values), free(reversed);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_local_pools),
      cmocka_unit_test(test_global_pools),
      cmocka_unit_test(test_items_do_not_feel_each_other),
      cmocka_unit_test(test_reversed_rows),
  };
  return cmocka_run_group_tests(tests, set_up, tear_down);
}
