// Global pools: by the batch column, in any order of rows; declared counts and sizes; empty items; errors.
// covers: lat_global_pool
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include <lattice/pool.h>

#include "support/tensor_cases.h"
#include "support/test_allocator.h"
#include "support/test_support.h"

static lat_context *context;
static lat_test_allocator counter;
static lat_array *const poison = (lat_array *)&counter;

static const lat_pool_mode modes[3] = {LAT_POOL_SUM, LAT_POOL_MAX, LAT_POOL_AVG};
static const lat_dtype dtypes[2] = {LAT_DTYPE_F32, LAT_DTYPE_F16};

// Batch column 2 0 2 0 2: item 1 is empty.
static const int32_t mixed[20] = {2, 0, 0, 0, 0, 1, 0, 0, 2, 2, 0, 0, 0, 3, 0, 0, 2, 4, 0, 0};
static const double mixed_values[10] = {1, -1, 2, -2, 3, -3, 4, -4, 5, -5};

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

static lat_tensor *mixed_tensor(lat_dtype dtype, const int64_t *counts, int64_t n_batches) {
  lat_tensor_opts opts = LAT_TENSOR_OPTS_INIT;
  opts.batch_counts = counts;
  opts.n_batches = n_batches;
  return lat_test_tensor(context, mixed, 5, mixed_values, 2, dtype, &opts);
}

static void check(const lat_tensor *x, lat_pool_mode mode, int64_t batch_size, const double *expected,
                  int64_t n_items) {
  lat_array *y = NULL;
  lat_test_assert_ok(lat_global_pool(context, x, mode, batch_size, &y));
  lat_array_view view = lat_array_as_view(y);
  assert_int_equal(view.rank, 2);
  assert_int_equal(view.shape[0], n_items);
  assert_int_equal(view.shape[1], lat_tensor_channels(x));
  assert_int_equal(view.dtype, lat_tensor_dtype(x));
  lat_test_assert_values(view, expected, n_items * lat_tensor_channels(x));
  lat_array_release(y);
}

static void test_rows_go_by_the_batch_column(void **state) {
  (void)state;
  const double sums[6] = {6, -6, 0, 0, 9, -9}, averages[6] = {3, -3, 0, 0, 3, -3};
  for (int d = 0; d < 2; d++) {
    lat_tensor *x = mixed_tensor(dtypes[d], NULL, 0);
    check(x, LAT_POOL_SUM, -1, sums, 3);
    check(x, LAT_POOL_AVG, -1, averages, 3);
    lat_tensor_release(x);
  }
}

static void test_max_of_rows_in_any_order(void **state) {
  (void)state;
  const int32_t rows[16] = {1, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 0, 9, 9, 9};
  const double values[4] = {-3, -7, -5, -8}, expected[2] = {-7, -3};
  for (int d = 0; d < 2; d++) {
    lat_tensor *x = lat_test_tensor(context, rows, 4, values, 1, dtypes[d], NULL);
    check(x, LAT_POOL_MAX, -1, expected, 2);
    lat_tensor_release(x);
  }
}

static void test_batch_sizes(void **state) {
  (void)state;
  const int64_t counts[4] = {2, 0, 3, 0};
  const double sums[10] = {6, -6, 0, 0, 9, -9, 0, 0, 0, 0};
  lat_tensor *undeclared = mixed_tensor(LAT_DTYPE_F32, NULL, 0);
  check(undeclared, LAT_POOL_SUM, 5, sums, 5); // trailing empty items
  check(undeclared, LAT_POOL_SUM, 1, sums, 1); // rows of items past the end take no part
  check(undeclared, LAT_POOL_SUM, 0, sums, 0);
  lat_tensor_release(undeclared);
  lat_tensor *sized = mixed_tensor(LAT_DTYPE_F32, NULL, 4);
  check(sized, LAT_POOL_SUM, -1, sums, 4);
  check(sized, LAT_POOL_SUM, 5, sums, 5); // an explicit size wins over a carried one
  lat_tensor_release(sized);
  lat_tensor *counted = mixed_tensor(LAT_DTYPE_F32, counts, 4);
  check(counted, LAT_POOL_SUM, -1, sums, 4);
  check(counted, LAT_POOL_SUM, 4, sums, 4);
  lat_array *y = poison;
  lat_test_assert_error(lat_global_pool(context, counted, LAT_POOL_SUM, 5, &y), LAT_STATUS_INVALID_ARGUMENT,
                        "batch_size must match batch_counts length: got 5, expected 4");
  assert_null(y);
  lat_tensor_release(counted);
}

static void test_carried_size_keeps_trailing_items(void **state) {
  (void)state;
  const int32_t rows[8] = {0, 0, 0, 0, 0, 1, 0, 0};
  const int64_t counts[3] = {2, 0, 0};
  const double values[2] = {1, 2}, sums[3] = {3, 0, 0};
  lat_tensor_opts opts = LAT_TENSOR_OPTS_INIT;
  opts.batch_counts = counts;
  opts.n_batches = 3;
  lat_tensor *x = lat_test_tensor(context, rows, 2, values, 1, LAT_DTYPE_F32, &opts), *pooled = NULL;
  lat_test_assert_ok(lat_pool3d(context, x, LAT_POOL_SUM, NULL, &pooled));
  check(pooled, LAT_POOL_SUM, -1, sums, 3);
  lat_tensor_release(pooled);
  lat_tensor_release(x);
}

static void test_batch_indices_outside_take_no_part(void **state) {
  (void)state;
  const int32_t rows[12] = {-1, 0, 0, 0, 0, 0, 0, 0, INT32_MIN, 1, 1, 1};
  const double values[3] = {100, 1, 1000}, expected[1] = {1}, nothing[1] = {0};
  lat_tensor *x = lat_test_tensor(context, rows, 3, values, 1, LAT_DTYPE_F32, NULL);
  for (int m = 0; m < 3; m++) check(x, modes[m], -1, expected, 1);
  lat_tensor_release(x);
  x = lat_test_tensor(context, rows, 1, values, 1, LAT_DTYPE_F32, NULL); // negative rows alone: no items
  check(x, LAT_POOL_SUM, -1, nothing, 0);
  lat_tensor_release(x);
}

static void test_average_multiplies_by_the_reciprocal(void **state) {
  (void)state;
  const int32_t rows[12] = {0, 0, 0, 0, 0, 1, 0, 0, 0, 2, 0, 0};
  const double values[3] = {0.1, 0.2, 0.4};
  const float average = ((0.1f + 0.2f) + 0.4f) * (1.0f / 3.0f);
  const double expected[1] = {(double)average};
  lat_tensor *x = lat_test_tensor(context, rows, 3, values, 1, LAT_DTYPE_F32, NULL);
  check(x, LAT_POOL_AVG, -1, expected, 1);
  lat_tensor_release(x);
}

static void test_nan_wins_in_max(void **state) {
  (void)state;
  const int32_t rows[12] = {0, 0, 0, 0, 0, 1, 0, 0, 1, 2, 0, 0};
  const double values[3] = {NAN, INFINITY, 2}, expected[2] = {NAN, 2};
  for (int d = 0; d < 2; d++) {
    lat_tensor *x = lat_test_tensor(context, rows, 3, values, 1, dtypes[d], NULL);
    check(x, LAT_POOL_MAX, -1, expected, 2);
    lat_tensor_release(x);
  }
}

// 100 000 rows of 1/8: a float16 sum that is exact in float32, far beyond what float16 steps could add.
static void test_long_items_accumulate_in_float32(void **state) {
  (void)state;
  enum { n = 100000 };
  int32_t *rows = calloc((size_t)n * 4, sizeof *rows);
  double *values = malloc((size_t)n * sizeof *values);
  for (int32_t i = 0; i < n; i++) {
    rows[4 * i + 1] = i;
    values[i] = 0.125;
  }
  const double sum[1] = {12500}, average[1] = {0.125};
  for (int d = 0; d < 2; d++) {
    lat_tensor *x = lat_test_tensor(context, rows, n, values, 1, dtypes[d], NULL);
    const double rounded[1] = {d == 0 ? sum[0] : 12496}; // multiples of 8 in float16: 12500 is a tie, to even
    check(x, LAT_POOL_SUM, -1, rounded, 1);
    lat_array *y = NULL;
    lat_test_assert_ok(lat_global_pool(context, x, LAT_POOL_AVG, -1, &y));
    double *got = lat_test_read(lat_array_as_view(y));
    assert_true(fabs(got[0] - average[0]) < 1e-7);
    free(got);
    lat_array_release(y);
    lat_tensor_release(x);
  }
  free(rows);
  free(values);
}

static void test_empty_tensors(void **state) {
  (void)state;
  const int32_t none[4] = {0, 0, 0, 0};
  const double zeros[6] = {0};
  for (int d = 0; d < 2; d++) {
    lat_tensor *no_rows = lat_test_tensor(context, none, 0, NULL, 2, dtypes[d], NULL);
    check(no_rows, LAT_POOL_SUM, -1, zeros, 0);
    check(no_rows, LAT_POOL_AVG, 3, zeros, 3);
    lat_tensor_release(no_rows);
    lat_tensor *no_channels = lat_test_tensor(context, none, 1, NULL, 0, dtypes[d], NULL);
    for (int m = 0; m < 3; m++) check(no_channels, modes[m], -1, zeros, 1);
    lat_tensor_release(no_channels);
  }
}

static void test_max_refuses_empty_items(void **state) {
  (void)state;
  const char *fragment = "global_max_pool does not support empty batches";
  lat_tensor *x = mixed_tensor(LAT_DTYPE_F32, NULL, 0);
  lat_tensor *none = lat_test_tensor(context, mixed, 0, NULL, 2, LAT_DTYPE_F32, NULL);
  lat_array *y = poison;
  lat_test_assert_error(lat_global_pool(context, x, LAT_POOL_MAX, -1, &y), LAT_STATUS_INVALID_ARGUMENT, fragment);
  assert_null(y);
  assert_non_null(strstr(lat_last_error(), "item 1 has no rows"));
  y = poison;
  lat_test_assert_error(lat_global_pool(context, x, LAT_POOL_MAX, 0, &y), LAT_STATUS_INVALID_ARGUMENT, fragment);
  assert_null(y);
  y = poison;
  lat_test_assert_error(lat_global_pool(context, none, LAT_POOL_MAX, -1, &y), LAT_STATUS_INVALID_ARGUMENT, fragment);
  assert_null(y);
  lat_tensor_release(x);
  lat_tensor_release(none);
}

static void test_errors(void **state) {
  (void)state;
  lat_tensor *x = mixed_tensor(LAT_DTYPE_F32, NULL, 0);
  lat_array *y = poison;
  lat_test_assert_error(lat_global_pool(NULL, x, LAT_POOL_SUM, -1, &y), LAT_STATUS_INVALID_ARGUMENT,
                        "global_pool: context: got NULL");
  assert_null(y);
  y = poison;
  lat_test_assert_error(lat_global_pool(context, NULL, LAT_POOL_SUM, -1, &y), LAT_STATUS_INVALID_ARGUMENT,
                        "global_pool: x: got NULL");
  assert_null(y);
  lat_test_assert_error(lat_global_pool(context, x, LAT_POOL_SUM, -1, NULL), LAT_STATUS_INVALID_ARGUMENT,
                        "global_pool: out: got NULL");
  y = poison;
  lat_test_assert_error(lat_global_pool(context, x, (lat_pool_mode)7, -1, &y), LAT_STATUS_INVALID_ARGUMENT,
                        "global_pool: mode: got 7");
  assert_null(y);
  y = poison;
  lat_test_assert_error(lat_global_pool(context, x, LAT_POOL_SUM, -2, &y), LAT_STATUS_INVALID_ARGUMENT,
                        "batch_size must be non-negative: got -2");
  assert_null(y);
  y = poison;
  lat_test_assert_error(lat_global_pool(context, x, LAT_POOL_SUM, INT64_MAX, &y), LAT_STATUS_OVERFLOW, "global_pool");
  assert_null(y);
  lat_tensor_release(x);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void) {
  const struct CMUnitTest tests[] = {
      TEST(test_rows_go_by_the_batch_column),
      TEST(test_max_of_rows_in_any_order),
      TEST(test_batch_sizes),
      TEST(test_carried_size_keeps_trailing_items),
      TEST(test_batch_indices_outside_take_no_part),
      TEST(test_average_multiplies_by_the_reciprocal),
      TEST(test_nan_wins_in_max),
      TEST(test_long_items_accumulate_in_float32),
      TEST(test_empty_tensors),
      TEST(test_max_refuses_empty_items),
      TEST(test_errors),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
