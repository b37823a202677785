// Local pools: the worked examples of the specification, rows without edges, dtypes, identity, geometry errors.
// covers: lat_pool3d
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include <lattice/pool.h>

#include "support/tensor_cases.h"
#include "support/test_allocator.h"
#include "support/test_support.h"

static lat_context *context;
static lat_test_allocator counter;
static lat_tensor *const poison = (lat_tensor *)&counter;

static const int32_t line[16] = {0, 0, 0, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0, 3, 0, 0};
static const lat_pool_mode modes[3] = {LAT_POOL_SUM, LAT_POOL_MAX, LAT_POOL_AVG};
static const lat_dtype dtypes[2] = {LAT_DTYPE_F32, LAT_DTYPE_F16};

static int set_up(void **state) {
  (void)state;
  memset(&counter, 0, sizeof counter);
  context = lat_test_context_create(&counter, 2);
  return 0;
}

static int tear_down(void **state) {
  (void)state;
  lat_test_context_finish(context, &counter);
  return 0;
}

static lat_kernel_opts opts_of(lat_triple size, lat_triple stride, lat_triple padding) {
  lat_kernel_opts opts = LAT_KERNEL_OPTS_INIT;
  opts.kernel_size = size;
  opts.stride = stride;
  opts.padding = padding;
  return opts;
}

static void check(const lat_tensor *x, lat_pool_mode mode, const lat_kernel_opts *opts, const double *expected,
                  int64_t n) {
  lat_tensor *y = NULL;
  lat_test_assert_ok(lat_pool3d(context, x, mode, opts, &y));
  assert_int_equal(lat_tensor_dtype(y), lat_tensor_dtype(x));
  lat_test_assert_values(lat_tensor_feats(y), expected, n);
  lat_tensor_release(y);
}

static void test_default_kernel_and_stride(void **state) {
  (void)state;
  const double values[8] = {1, -4, 2, 3, 5, 0, 7, -1}; // rows x = 0 .. 3, two channels
  const double expected[3][4] = {{3, -1, 12, -1}, {2, 3, 7, 0}, {1.5, -0.5, 6, -0.5}};
  const int32_t support[8] = {0, 0, 0, 0, 0, 1, 0, 0};
  for (int d = 0; d < 2; d++) {
    lat_tensor *x = lat_test_tensor(context, line, 4, values, 2, dtypes[d], NULL);
    for (int m = 0; m < 3; m++) check(x, modes[m], NULL, expected[m], 4);
    lat_tensor *y = NULL;
    lat_test_assert_ok(lat_pool3d(context, x, LAT_POOL_SUM, NULL, &y));
    assert_memory_equal(lat_coords_rows(lat_tensor_coords(y)).data, support, sizeof support);
    assert_int_equal(lat_tensor_stride(y).x, 2);
    assert_int_equal(lat_tensor_stride(y).z, 2);
    lat_tensor_release(y);
    lat_tensor_release(x);
  }
}

// The line x = 0, 1, 2 with kernel (3, 1, 1), padding (1, 0, 0): out rows 0, 1, 1, 2, 2, 2 from in rows 0, 0, 1, 0, 1, 2.
static void test_padding_shifts_the_window(void **state) {
  (void)state;
  const double values[3] = {2, 3, 4};
  const double expected[3][3] = {{2, 5, 9}, {2, 3, 4}, {2, 2.5, 3}};
  lat_kernel_opts opts = opts_of((lat_triple){3, 1, 1}, lat_triple_all(1), (lat_triple){1, 0, 0});
  for (int d = 0; d < 2; d++) {
    lat_tensor *x = lat_test_tensor(context, line, 3, values, 1, dtypes[d], NULL);
    for (int m = 0; m < 3; m++) check(x, modes[m], &opts, expected[m], 3);
    lat_tensor_release(x);
  }
}

// Averages divide by contributors, by a reciprocal: 9 * (1 / 3) in float32.
static void test_average_multiplies_by_the_reciprocal(void **state) {
  (void)state;
  const double values[3] = {0.1, 0.2, 0.4};
  lat_kernel_opts opts = opts_of((lat_triple){3, 1, 1}, lat_triple_all(1), (lat_triple){0, 0, 0});
  lat_tensor *x = lat_test_tensor(context, line, 3, values, 1, LAT_DTYPE_F32, NULL);
  const float two = (0.1f + 0.2f) * 0.5f, three = ((0.1f + 0.2f) + 0.4f) * (1.0f / 3.0f), last = (0.2f + 0.4f) * 0.5f;
  const double expected[3] = {(double)two, (double)three, (double)last};
  check(x, LAT_POOL_AVG, &opts, expected, 3);
  lat_tensor_release(x);
}

static void test_stride_one_keeps_the_set(void **state) {
  (void)state;
  const double values[4] = {1, 2, 3, 4};
  const int64_t counts[1] = {4};
  lat_tensor_opts batches = LAT_TENSOR_OPTS_INIT;
  batches.batch_counts = counts;
  batches.n_batches = 1;
  lat_kernel_opts opts = opts_of(lat_triple_all(3), lat_triple_all(1), lat_triple_all(0));
  lat_tensor *x = lat_test_tensor(context, line, 4, values, 1, LAT_DTYPE_F32, &batches), *y = NULL, *again = NULL;
  lat_test_assert_ok(lat_pool3d(context, x, LAT_POOL_MAX, &opts, &y));
  assert_true(lat_tensor_same_coords(x, y));
  assert_int_equal(lat_tensor_batch_counts(y)[0], 4);
  lat_tensor_release(y);
  lat_test_assert_ok(lat_pool3d(context, x, LAT_POOL_MAX, NULL, &y)); // stride 2: counts go, the batch size stays
  lat_test_assert_ok(lat_pool3d(context, x, LAT_POOL_AVG, NULL, &again));
  assert_false(lat_tensor_same_coords(x, y));
  assert_true(lat_tensor_same_coords(y, again)); // the same geometry gives the same set
  assert_int_equal(lat_tensor_batch_size(y), 1);
  assert_null(lat_tensor_batch_counts(y));
  lat_tensor_release(again);
  lat_tensor_release(y);
  lat_tensor_release(x);
}

// Kernel 1 at stride 2 meets even coordinates only: the odd one's output row exists and is empty.
static void test_rows_without_edges(void **state) {
  (void)state;
  const int32_t rows[8] = {0, 1, 1, 1, 0, 4, 0, 0};
  const double values[2] = {5, 6};
  const double expected[3][2] = {{0, 6}, {-INFINITY, 6}, {0, 6}};
  lat_kernel_opts opts = opts_of(lat_triple_all(1), lat_triple_all(2), lat_triple_all(0));
  for (int d = 0; d < 2; d++) {
    lat_tensor *x = lat_test_tensor(context, rows, 2, values, 1, dtypes[d], NULL);
    for (int m = 0; m < 3; m++) check(x, modes[m], &opts, expected[m], 2);
    lat_tensor_release(x);
  }
}

static void test_nan_wins_in_max(void **state) {
  (void)state;
  const double first[4] = {NAN, 1, 5, 6}, second[4] = {1, NAN, INFINITY, -INFINITY};
  const double expected_first[2] = {NAN, 6}, expected_second[2] = {NAN, INFINITY};
  for (int d = 0; d < 2; d++) {
    lat_tensor *x = lat_test_tensor(context, line, 4, first, 1, dtypes[d], NULL);
    check(x, LAT_POOL_MAX, NULL, expected_first, 2);
    lat_tensor_release(x);
    x = lat_test_tensor(context, line, 4, second, 1, dtypes[d], NULL);
    check(x, LAT_POOL_MAX, NULL, expected_second, 2);
    lat_tensor_release(x);
  }
}

// A float16 sum that would overflow or lose digits if it were rounded after every addition.
static void test_float16_accumulates_in_float32(void **state) {
  (void)state;
  const double values[4] = {60000, 60000, 2048, 3};
  const double average[2] = {60000, 1026}, sum[2] = {INFINITY, 2052}; // 1025.5 and 2051 are ties: to even
  lat_tensor *x = lat_test_tensor(context, line, 4, values, 1, LAT_DTYPE_F16, NULL);
  check(x, LAT_POOL_AVG, NULL, average, 2);
  check(x, LAT_POOL_SUM, NULL, sum, 2);
  lat_tensor_release(x);
}

static void test_batches_do_not_mix(void **state) {
  (void)state;
  const int32_t rows[16] = {0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 1, 1, 1, 1, 1, 1};
  const double values[4] = {1, 10, 2, 20}, expected[2] = {3, 30};
  lat_tensor *x = lat_test_tensor(context, rows, 4, values, 1, LAT_DTYPE_F32, NULL);
  check(x, LAT_POOL_SUM, NULL, expected, 2);
  lat_tensor_release(x);
}

static void test_empty_tensors(void **state) {
  (void)state;
  for (int d = 0; d < 2; d++) {
    lat_tensor *no_rows = lat_test_tensor(context, line, 0, NULL, 3, dtypes[d], NULL), *y = NULL;
    lat_tensor *no_channels = lat_test_tensor(context, line, 4, NULL, 0, dtypes[d], NULL);
    for (int m = 0; m < 3; m++) {
      lat_test_assert_ok(lat_pool3d(context, no_rows, modes[m], NULL, &y));
      assert_int_equal(lat_tensor_count(y), 0);
      assert_int_equal(lat_tensor_channels(y), 3);
      lat_tensor_release(y);
      lat_test_assert_ok(lat_pool3d(context, no_channels, modes[m], NULL, &y));
      assert_int_equal(lat_tensor_count(y), 2);
      lat_tensor_release(y);
    }
    lat_tensor_release(no_rows);
    lat_tensor_release(no_channels);
  }
}

static void test_errors(void **state) {
  (void)state;
  const double values[4] = {1, 2, 3, 4};
  lat_tensor *x = lat_test_tensor(context, line, 4, values, 1, LAT_DTYPE_F32, NULL), *y = poison;
  lat_test_assert_error(lat_pool3d(NULL, x, LAT_POOL_SUM, NULL, &y), LAT_STATUS_INVALID_ARGUMENT, "pool3d: context");
  assert_null(y);
  lat_test_assert_error(lat_pool3d(context, NULL, LAT_POOL_SUM, NULL, &y), LAT_STATUS_INVALID_ARGUMENT, "pool3d: x");
  lat_test_assert_error(lat_pool3d(context, x, LAT_POOL_SUM, NULL, NULL), LAT_STATUS_INVALID_ARGUMENT, "pool3d: out");
  y = poison;
  lat_test_assert_error(lat_pool3d(context, x, (lat_pool_mode)3, NULL, &y), LAT_STATUS_INVALID_ARGUMENT,
                        "pool3d: mode: got 3");
  assert_null(y);
  y = poison;
  lat_test_assert_error(lat_pool3d(context, x, (lat_pool_mode)-1, NULL, &y), LAT_STATUS_INVALID_ARGUMENT,
                        "mode: got -1");
  assert_null(y);
  const struct {
    lat_kernel_opts opts;
    lat_status status;
    const char *fragment;
  } bad[] = {
      {opts_of((lat_triple){2, 0, 2}, lat_triple_all(2), lat_triple_all(0)), LAT_STATUS_INVALID_ARGUMENT,
       "kernel_size values must be positive"},
      {opts_of(lat_triple_all(2), (lat_triple){-1, 2, 2}, lat_triple_all(0)), LAT_STATUS_INVALID_ARGUMENT,
       "stride values must be positive"},
      {opts_of(lat_triple_all(2), lat_triple_all(2), (lat_triple){0, 0, -1}), LAT_STATUS_INVALID_ARGUMENT,
       "padding values must be non-negative"},
      {opts_of(lat_triple_all(2), lat_triple_all(0), lat_triple_all(0)), LAT_STATUS_INVALID_ARGUMENT, "struct_bytes"},
  };
  for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
    lat_kernel_opts opts = bad[i].opts;
    if (i == 3) opts.struct_bytes = 1;
    y = poison;
    lat_test_assert_error(lat_pool3d(context, x, LAT_POOL_SUM, &opts, &y), bad[i].status, bad[i].fragment);
    assert_null(y);
  }
  lat_tensor_release(x);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void) {
  const struct CMUnitTest tests[] = {
      TEST(test_default_kernel_and_stride),
      TEST(test_padding_shifts_the_window),
      TEST(test_average_multiplies_by_the_reciprocal),
      TEST(test_stride_one_keeps_the_set),
      TEST(test_rows_without_edges),
      TEST(test_nan_wins_in_max),
      TEST(test_float16_accumulates_in_float32),
      TEST(test_batches_do_not_mix),
      TEST(test_empty_tensors),
      TEST(test_errors),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
