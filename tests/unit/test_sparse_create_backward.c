// The gradient of sparse tensors from arrays: small cases with ties of maxima, 16-bit gradients, and every refusal.
// null arguments: lat_sparse_from_coordinates_backward
// covers: lat_sparse_from_coordinates_backward
#include "support/test_support.h"

#include <lattice/lattice.h>

static lat_context *context;

static int set_up(void **state) {
  (void)state;
  return lat_context_create(NULL, &context) != LAT_STATUS_OK;
}

static int tear_down(void **state) {
  (void)state;
  lat_context_destroy(context);
  return 0;
}

static lat_from_coordinates_opts opts_of(int rule) {
  lat_from_coordinates_opts opts = LAT_FROM_COORDINATES_OPTS_INIT;
  opts.duplicates = (lat_duplicates)rule;
  return opts;
}

static const int32_t twins[] = {0, 1, 1, 1, 0, 2, 2, 2, 0, 1, 1, 1, 0, 1, 1, 1};

static void expect_gradient(int rule, const float *feats, const float *grad, int64_t n_grad, const float *expected) {
  lat_array_view coords = lat_view_2d(twins, LAT_DTYPE_I32, 4, 4), x = lat_view_2d(feats, LAT_DTYPE_F32, 4, 1);
  lat_array_view grad_view = lat_view_2d(grad, LAT_DTYPE_F32, n_grad, 1);
  lat_from_coordinates_opts opts = opts_of(rule);
  lat_array *got = NULL;
  lat_test_assert_ok(lat_sparse_from_coordinates_backward(context, &coords, &x, &grad_view, &opts, &got));
  assert_int_equal(lat_array_count(got), 4);
  assert_memory_equal(lat_array_data(got), expected, 4 * sizeof(float));
  lat_array_release(got);
}

static void small_cases_are_exact(void **state) {
  (void)state;
  static const float x[] = {5, 0, 3, 5}, grad[] = {6, 7}, all[] = {1, 2, 3, 4};
  expect_gradient(LAT_DUPLICATES_NONE, x, all, 4, all);
  expect_gradient(LAT_DUPLICATES_ERROR, x, all, 4, all);
  expect_gradient(LAT_DUPLICATES_FIRST, x, grad, 2, (const float[]){6, 7, 0, 0});
  expect_gradient(LAT_DUPLICATES_SUM, x, grad, 2, (const float[]){6, 7, 6, 6});
  expect_gradient(LAT_DUPLICATES_MEAN, x, grad, 2, (const float[]){2, 7, 2, 2});
  expect_gradient(LAT_DUPLICATES_MAX, x, grad, 2, (const float[]){3, 7, 0, 3}); // two hold the largest
}

static void sixteen_bit_gradients_round_once(void **state) {
  (void)state;
  static const float grad[] = {1, 2};
  lat_array_view coords = lat_view_2d(twins, LAT_DTYPE_I32, 4, 4), wide = lat_view_2d(grad, LAT_DTYPE_F32, 2, 1);
  lat_from_coordinates_opts opts = opts_of(LAT_DUPLICATES_MEAN);
  lat_array *narrow = NULL, *got = NULL;
  lat_test_assert_ok(lat_array_cast(context, &wide, LAT_DTYPE_F16, &narrow));
  lat_array_view narrow_view = lat_array_as_view(narrow);
  lat_test_assert_ok(lat_sparse_from_coordinates_backward(context, &coords, NULL, &narrow_view, &opts, &got));
  assert_int_equal(lat_array_as_view(got).dtype, LAT_DTYPE_F16);
  assert_int_equal(((const uint16_t *)lat_array_data(got))[0], lat_f32_to_f16(1.0f / 3));
  assert_int_equal(((const uint16_t *)lat_array_data(got))[1], lat_f32_to_f16(2));
  lat_array_release(got);
  lat_array_release(narrow);
}

/// On the twins.
static void expect_refused(const lat_array_view *feats, const lat_array_view *grad,
                           const lat_from_coordinates_opts *opts, lat_status status, const char *fragment) {
  lat_array_view coords = lat_view_2d(twins, LAT_DTYPE_I32, 4, 4);
  lat_array *out = (lat_array *)&context;
  lat_test_assert_error(lat_sparse_from_coordinates_backward(context, &coords, feats, grad, opts, &out), status,
                        fragment);
  assert_null(out);
}

static void bad_arguments_are_refused(void **state) {
  (void)state;
  static const float zeros[8] = {0};
  static const int64_t far[] = {0, 0, 0, INT64_MAX};
  lat_array_view x = lat_view_2d(zeros, LAT_DTYPE_F32, 4, 1), grad = lat_view_2d(zeros, LAT_DTYPE_F32, 2, 1);
  lat_array_view other = lat_view_2d(zeros, LAT_DTYPE_F32, 4, 2), coords = lat_view_2d(twins, LAT_DTYPE_I32, 4, 4);
  lat_from_coordinates_opts opts = opts_of(LAT_DUPLICATES_MAX);
  lat_array *out = (lat_array *)&context;
  expect_refused(NULL, &grad, &opts, LAT_STATUS_INVALID_ARGUMENT,
                 "feats: got NULL, expected those of the forward call");
  expect_refused(&grad, &grad, &opts, LAT_STATUS_INVALID_SHAPE, "feats must have one row for each row of coords");
  expect_refused(&other, &grad, &opts, LAT_STATUS_INVALID_SHAPE, "feats and grad_out must have the same channels");
  other = lat_view_2d(zeros, LAT_DTYPE_F16, 4, 1);
  expect_refused(&other, &grad, &opts, LAT_STATUS_INVALID_DTYPE, "feats and grad_out must have the same dtype");
  expect_refused(&x, &x, &opts, LAT_STATUS_INVALID_SHAPE,
                 "grad_out must have one row for each row of the result: got (4, 1), expected (2, C)");
  other = lat_view_2d(zeros, LAT_DTYPE_I32, 2, 1);
  expect_refused(&x, &other, &opts, LAT_STATUS_INVALID_DTYPE, "grad_out dtype: got int32");
  expect_refused(&x, NULL, &opts, LAT_STATUS_INVALID_ARGUMENT, "grad_out: got NULL");
  opts = opts_of(LAT_DUPLICATES_NONE);
  expect_refused(&x, &grad, &opts, LAT_STATUS_INVALID_SHAPE, "one row for each row of the result: got (2, 1)");
  opts = opts_of(77);
  expect_refused(&x, &grad, &opts, LAT_STATUS_INVALID_ARGUMENT, "duplicate_reduction is unknown: got 77");
  opts.struct_bytes = 3;
  expect_refused(&x, &grad, &opts, LAT_STATUS_INVALID_ARGUMENT, "struct_bytes");
  other = lat_view_2d(far, LAT_DTYPE_I64, 1, 4);
  lat_test_assert_error(lat_sparse_from_coordinates_backward(context, &other, &x, &grad, NULL, &out),
                        LAT_STATUS_OVERFLOW, "coords leaves int32");
  assert_null(out);
  lat_test_assert_error(lat_sparse_from_coordinates_backward(context, NULL, &x, &grad, NULL, &out),
                        LAT_STATUS_INVALID_ARGUMENT, "coords: got NULL");
  lat_test_assert_error(lat_sparse_from_coordinates_backward(NULL, &coords, &x, &grad, NULL, &out),
                        LAT_STATUS_INVALID_ARGUMENT, "context: got NULL");
  lat_test_assert_error(lat_sparse_from_coordinates_backward(context, &coords, &x, &grad, NULL, NULL),
                        LAT_STATUS_INVALID_ARGUMENT, "out: got NULL");
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(small_cases_are_exact),
      cmocka_unit_test(sixteen_bit_gradients_round_once),
      cmocka_unit_test(bad_arguments_are_refused),
  };
  return cmocka_run_group_tests(tests, set_up, tear_down);
}
