// Batch, layer and RMS norm: worked values, statistics far from zero, dtypes and promotion, options, empty tensors, errors.
// covers: lat_batch_norm lat_layer_norm lat_rms_norm
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <lattice/feature.h>

#include "ref/ref_feature.h"
#include "support/tensor_cases.h"
#include "support/test_allocator.h"
#include "support/test_support.h"

static lat_context *context;
static lat_test_allocator counter;
static lat_tensor *const poison = (lat_tensor *)&counter;

typedef lat_status (*norm_fn)(lat_context *used, const lat_tensor *x, const lat_norm_opts *opts, lat_tensor **out);
typedef void (*ref_fn)(const ref_norm *norm, const double *x, double *y);

static const struct {
  norm_fn fn;
  ref_fn reference;
  const char *name;
} norms[3] = {{lat_batch_norm, ref_batch_norm, "batch_norm"},
              {lat_layer_norm, ref_layer_norm, "layer_norm"},
              {lat_rms_norm, ref_rms_norm, "rms_norm"}};

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

static lat_tensor *line_tensor(const double *values, int64_t n, int64_t channels, lat_dtype dtype) {
  int32_t *rows = calloc((size_t)(n > 0 ? n : 1) * 4, sizeof *rows);
  for (int64_t r = 0; r < n; r++) rows[4 * r + 3] = (int32_t)r;
  lat_tensor *tensor = lat_test_tensor(context, rows, n, values, channels, dtype, NULL);
  free(rows);
  return tensor;
}

/// Checks a result against the reference on the tensor's own values, within `tolerance` * (1 + |expected|).
static void check_against(int kind, const lat_tensor *x, const lat_tensor *y, const ref_norm *norm, double tolerance) {
  int64_t n = lat_tensor_count(x) * lat_tensor_channels(x);
  double *values = lat_test_read_feats(x), *got = lat_test_read_feats(y);
  double *expected = malloc((size_t)n * sizeof *expected);
  norms[kind].reference(norm, values, expected);
  for (int64_t i = 0; i < n; i++) {
    if (!(fabs(got[i] - expected[i]) <= tolerance * (1 + fabs(expected[i])))) {
      fail_msg("%s element %lld: got %.9g, expected %.9g", norms[kind].name, (long long)i, got[i], expected[i]);
    }
  }
  free(values);
  free(got);
  free(expected);
}

static void test_batch_norm_worked(void **state) {
  (void)state;
  // Channel 0: mean 3, variance 5; channel 1: constant.
  const double values[8] = {0, 7, 2, 7, 4, 7, 6, 7};
  lat_tensor *x = line_tensor(values, 4, 2, LAT_DTYPE_F32), *y = NULL;
  lat_norm_opts opts = LAT_NORM_OPTS_INIT;
  opts.eps = 4.0; // sqrt(5 + 4) = 3
  lat_test_assert_ok(lat_batch_norm(context, x, &opts, &y));
  const float third = 1.0f / 3.0f;
  const double expected[8] = {(double)(-3 * third), 0, (double)(-1 * third), 0,
                              (double)third,        0, (double)(3 * third),  0};
  lat_test_assert_values(lat_tensor_feats(y), expected, 8);
  assert_true(lat_tensor_same_coords(x, y));
  lat_tensor_release(y);
  const float weight[2] = {6, 2}, bias[2] = {10, -1}, mean[2] = {4, 5}, var[2] = {0, 12};
  lat_array_view views[4] = {lat_view_1d(weight, LAT_DTYPE_F32, 2), lat_view_1d(bias, LAT_DTYPE_F32, 2),
                             lat_view_1d(mean, LAT_DTYPE_F32, 2), lat_view_1d(var, LAT_DTYPE_F32, 2)};
  opts.weight = &views[0];
  opts.bias = &views[1];
  opts.mean = &views[2];
  opts.var = &views[3];
  lat_test_assert_ok(lat_batch_norm(context, x, &opts, &y)); // scales 6 / 2 and 2 / 4
  const double affine[8] = {-2, 0, 4, 0, 10, 0, 16, 0};
  lat_test_assert_values(lat_tensor_feats(y), affine, 8);
  lat_tensor_release(y);
  lat_tensor_release(x);
}

static void test_layer_and_rms_worked(void **state) {
  (void)state;
  const double values[8] = {0, 2, 4, 6, 3, 3, -3, -3}; // row 0: mean 3, variance 5; row 1: mean 0, variance 9
  lat_tensor *x = line_tensor(values, 2, 4, LAT_DTYPE_F32), *y = NULL;
  lat_norm_opts opts = LAT_NORM_OPTS_INIT;
  opts.eps = 4.0;
  lat_test_assert_ok(lat_layer_norm(context, x, &opts, &y));
  const float third = 1.0f / 3.0f, root = 1.0f / sqrtf(13.0f);
  const double layer[8] = {(double)(-3 * third), (double)-third,     (double)third,       (double)(3 * third),
                           (double)(3 * root),   (double)(3 * root), (double)(-3 * root), (double)(-3 * root)};
  lat_test_assert_values(lat_tensor_feats(y), layer, 8);
  lat_tensor_release(y);
  opts.eps = 2.0; // row 0: mean square 14, sqrt 16 = 4
  lat_test_assert_ok(lat_rms_norm(context, x, &opts, &y));
  const float small = 1.0f / sqrtf(11.0f);
  const double rms[8] = {
      0, 0.5, 1, 1.5, (double)(3 * small), (double)(3 * small), (double)(-3 * small), (double)(-3 * small)};
  lat_test_assert_values(lat_tensor_feats(y), rms, 8);
  lat_tensor_release(y);
  lat_tensor_release(x);
}

// Means a thousand deviations away from zero: E[x^2] - E[x]^2 in float32 would leave nothing.
static void test_offset_rows_keep_their_variance(void **state) {
  (void)state;
  lat_test_random random = {1, 0};
  for (int kind = 0; kind < 2; kind++) {
    double *values = lat_test_random_values(&random, 500 * 24, 4095.0, 4097.0);
    lat_tensor *x = line_tensor(values, 500, 24, LAT_DTYPE_F32), *y = NULL;
    ref_norm norm = {.n_rows = 500, .channels = 24, .eps = 1e-5};
    lat_test_assert_ok(norms[kind].fn(context, x, NULL, &y));
    // The mean is rounded to float32 in batch norm: half an ulp of 4096 over a deviation of 0.577.
    check_against(kind, x, y, &norm, kind == 0 ? 5e-4 : 5e-6);
    lat_tensor_release(y);
    lat_tensor_release(x);
    free(values);
  }
}

static void test_one_row_and_constant_rows(void **state) {
  (void)state;
  const double values[3] = {5, -1, 2}, zeros[3] = {0, 0, 0}, constant[3] = {7, 7, 7};
  lat_tensor *x = line_tensor(values, 1, 3, LAT_DTYPE_F32), *y = NULL;
  lat_test_assert_ok(lat_batch_norm(context, x, NULL, &y)); // no spread: zeros
  lat_test_assert_values(lat_tensor_feats(y), zeros, 3);
  lat_tensor_release(y);
  lat_tensor_release(x);
  x = line_tensor(constant, 1, 3, LAT_DTYPE_F32);
  lat_test_assert_ok(lat_layer_norm(context, x, NULL, &y));
  lat_test_assert_values(lat_tensor_feats(y), zeros, 3);
  lat_tensor_release(y);
  lat_tensor_release(x);
}

static void test_default_eps(void **state) {
  (void)state;
  const double values[4] = {1e-3, -1e-3, 2e-3, 0};
  lat_tensor *x = line_tensor(values, 2, 2, LAT_DTYPE_F32);
  for (int kind = 0; kind < 3; kind++) {
    lat_tensor *by_null = NULL, *by_zero = NULL, *by_value = NULL;
    lat_norm_opts opts = LAT_NORM_OPTS_INIT;
    lat_test_assert_ok(norms[kind].fn(context, x, NULL, &by_null));
    lat_test_assert_ok(norms[kind].fn(context, x, &opts, &by_zero));
    opts.eps = 1e-5;
    lat_test_assert_ok(norms[kind].fn(context, x, &opts, &by_value));
    lat_test_assert_same_view(lat_tensor_feats(by_null), lat_tensor_feats(by_zero));
    lat_test_assert_same_view(lat_tensor_feats(by_null), lat_tensor_feats(by_value));
    ref_norm norm = {.n_rows = 2, .channels = 2, .eps = 1e-5};
    check_against(kind, x, by_null, &norm, 1e-6);
    lat_tensor_release(by_null);
    lat_tensor_release(by_zero);
    lat_tensor_release(by_value);
  }
  lat_tensor_release(x);
}

// Equal dtypes stay, float16 with float32 gives float32; a float16 result is the float32 one rounded once.
static void test_promotion(void **state) {
  (void)state;
  lat_test_random random = {3, 0};
  double *values = lat_test_random_values(&random, 40, -2, 2);
  const float weight[4] = {1, 2, 3, 4};
  const uint16_t halves[4] = {0x3C00, 0x4000, 0x4200, 0x4400}; // the same values
  lat_array_view wide_view = lat_view_1d(weight, LAT_DTYPE_F32, 4), half_view = lat_view_1d(halves, LAT_DTYPE_F16, 4);
  for (int kind = 0; kind < 3; kind++) {
    lat_norm_opts opts = LAT_NORM_OPTS_INIT;
    lat_tensor *x = line_tensor(values, 10, 4, LAT_DTYPE_F16), *plain = NULL, *narrow = NULL, *wide = NULL;
    lat_test_assert_ok(norms[kind].fn(context, x, NULL, &plain));
    assert_int_equal(lat_tensor_dtype(plain), LAT_DTYPE_F16);
    opts.weight = &half_view;
    lat_test_assert_ok(norms[kind].fn(context, x, &opts, &narrow));
    assert_int_equal(lat_tensor_dtype(narrow), LAT_DTYPE_F16);
    opts.weight = &wide_view;
    lat_test_assert_ok(norms[kind].fn(context, x, &opts, &wide));
    assert_int_equal(lat_tensor_dtype(wide), LAT_DTYPE_F32);
    const float *full = lat_tensor_feats(wide).data;
    const uint16_t *rounded = lat_tensor_feats(narrow).data;
    for (int i = 0; i < 40; i++) assert_int_equal(rounded[i], lat_f32_to_f16(full[i]));
    const double weights[4] = {1, 2, 3, 4};
    ref_norm norm = {.n_rows = 10, .channels = 4, .weight = weights, .eps = 1e-5};
    check_against(kind, x, wide, &norm, 2e-6);
    lat_tensor_release(plain);
    lat_tensor_release(narrow);
    lat_tensor_release(wide);
    lat_tensor_release(x);
    x = line_tensor(values, 10, 4, LAT_DTYPE_F32); // float32 features with a float16 parameter
    opts.weight = &half_view;
    lat_test_assert_ok(norms[kind].fn(context, x, &opts, &wide));
    assert_int_equal(lat_tensor_dtype(wide), LAT_DTYPE_F32);
    lat_tensor_release(wide);
    lat_tensor_release(x);
  }
  free(values);
}

// Any one of the four parameters promotes; strides of the parameters are read.
static void test_every_parameter_promotes(void **state) {
  (void)state;
  const double values[4] = {1, 2, 3, 5};
  const float spread[3] = {0.5f, 99, 0.25f};
  lat_array_view view = lat_view_1d(spread, LAT_DTYPE_F32, 2);
  view.stride[0] = 2;
  lat_tensor *x = line_tensor(values, 2, 2, LAT_DTYPE_F16);
  for (int which = 0; which < 4; which++) {
    lat_norm_opts opts = LAT_NORM_OPTS_INIT;
    lat_tensor *y = NULL;
    const lat_array_view **fields[4] = {&opts.weight, &opts.bias, &opts.mean, &opts.var};
    const double doubles[2] = {0.5, 0.25};
    ref_norm norm = {.n_rows = 2, .channels = 2, .eps = 1e-5};
    const double **ref_fields[4] = {&norm.weight, &norm.bias, &norm.mean, &norm.var};
    *fields[which] = &view;
    *ref_fields[which] = doubles;
    lat_test_assert_ok(lat_batch_norm(context, x, &opts, &y));
    assert_int_equal(lat_tensor_dtype(y), LAT_DTYPE_F32);
    check_against(0, x, y, &norm, 1e-6);
    lat_tensor_release(y);
  }
  lat_tensor_release(x);
}

static void test_nan_and_infinity_stay_where_they_are(void **state) {
  (void)state;
  const double values[6] = {1, 2, INFINITY, 4, NAN, 6};
  lat_tensor *x = line_tensor(values, 3, 2, LAT_DTYPE_F32), *y = NULL;
  for (int kind = 1; kind < 3; kind++) { // per row: row 0 must not feel rows 1 and 2
    lat_test_assert_ok(norms[kind].fn(context, x, NULL, &y));
    double *got = lat_test_read_feats(y);
    assert_true(isfinite(got[0]) && isfinite(got[1]) && isnan(got[4]) && isnan(got[5]));
    free(got);
    lat_tensor_release(y);
  }
  lat_test_assert_ok(lat_batch_norm(context, x, NULL, &y)); // per channel: channel 0 is lost, channel 1 is not
  double *got = lat_test_read_feats(y);
  for (int r = 0; r < 3; r++) assert_true(isnan(got[2 * r]) && isfinite(got[2 * r + 1]));
  free(got);
  lat_tensor_release(y);
  lat_tensor_release(x);
}

static void test_empty_tensors(void **state) {
  (void)state;
  const float ones[3] = {1, 1, 1};
  lat_array_view view = lat_view_1d(ones, LAT_DTYPE_F32, 3), none = lat_view_1d(NULL, LAT_DTYPE_F32, 0);
  lat_tensor *no_rows = line_tensor(NULL, 0, 3, LAT_DTYPE_F16), *no_channels = line_tensor(NULL, 4, 0, LAT_DTYPE_F32);
  for (int kind = 0; kind < 3; kind++) {
    lat_norm_opts opts = LAT_NORM_OPTS_INIT;
    lat_tensor *y = NULL;
    opts.weight = &view;
    lat_test_assert_ok(norms[kind].fn(context, no_rows, &opts, &y));
    assert_int_equal(lat_tensor_count(y), 0);
    assert_int_equal(lat_tensor_channels(y), 3);
    assert_int_equal(lat_tensor_dtype(y), LAT_DTYPE_F32);
    lat_tensor_release(y);
    opts.weight = &none;
    lat_test_assert_ok(norms[kind].fn(context, no_channels, &opts, &y));
    assert_int_equal(lat_tensor_count(y), 4);
    lat_tensor_release(y);
  }
  lat_tensor_release(no_rows);
  lat_tensor_release(no_channels);
}

static void assert_refused(int kind, const lat_tensor *x, const lat_norm_opts *opts, lat_status status,
                           const char *fragment) {
  lat_tensor *y = poison;
  lat_test_assert_error(norms[kind].fn(context, x, opts, &y), status, fragment);
  assert_null(y);
  assert_non_null(strstr(lat_last_error(), norms[kind].name));
}

static void test_errors(void **state) {
  (void)state;
  const double values[4] = {1, 2, 3, 4};
  const float floats[3] = {1, 1, 1};
  const double wrong[2] = {1, 1};
  lat_tensor *x = line_tensor(values, 2, 2, LAT_DTYPE_F32), *y = poison;
  lat_array_view fits = lat_view_1d(floats, LAT_DTYPE_F32, 2), long_one = lat_view_1d(floats, LAT_DTYPE_F32, 3);
  lat_array_view rank_2 = lat_view_2d(floats, LAT_DTYPE_F32, 1, 2), doubles = lat_view_1d(wrong, LAT_DTYPE_F64, 2);
  const double bad_eps[4] = {-1e-5, NAN, INFINITY, 1e-60};
  for (int kind = 0; kind < 3; kind++) {
    lat_norm_opts opts = LAT_NORM_OPTS_INIT;
    lat_test_assert_error(norms[kind].fn(NULL, x, NULL, &y), LAT_STATUS_INVALID_ARGUMENT, "context: got NULL");
    assert_null(y);
    lat_test_assert_error(norms[kind].fn(context, x, NULL, NULL), LAT_STATUS_INVALID_ARGUMENT, "out: got NULL");
    assert_refused(kind, NULL, NULL, LAT_STATUS_INVALID_ARGUMENT, "x: got NULL");
    for (int i = 0; i < 4; i++) {
      opts.eps = bad_eps[i];
      assert_refused(kind, x, &opts, LAT_STATUS_INVALID_ARGUMENT, "eps must be positive");
    }
    opts.eps = 0;
    opts.struct_bytes = 2;
    assert_refused(kind, x, &opts, LAT_STATUS_INVALID_ARGUMENT, "opts.struct_bytes");
    opts.struct_bytes = sizeof opts;
    opts.weight = &long_one;
    assert_refused(kind, x, &opts, LAT_STATUS_INVALID_SHAPE, "weight must have shape (C,): got (3,), expected (2,)");
    opts.weight = &rank_2;
    assert_refused(kind, x, &opts, LAT_STATUS_INVALID_SHAPE, "weight must have shape (C,): got (1, 2)");
    opts.weight = &doubles;
    assert_refused(kind, x, &opts, LAT_STATUS_INVALID_DTYPE, "weight dtype: got float64");
    opts.weight = NULL;
    opts.bias = &long_one;
    if (kind < 2) assert_refused(kind, x, &opts, LAT_STATUS_INVALID_SHAPE, "bias must have shape (C,)");
    if (kind == 2) assert_refused(kind, x, &opts, LAT_STATUS_INVALID_ARGUMENT, "bias is not used by this norm");
    opts.bias = NULL;
    opts.mean = kind == 0 ? &long_one : &fits;
    if (kind == 0) assert_refused(kind, x, &opts, LAT_STATUS_INVALID_SHAPE, "mean must have shape (C,)");
    if (kind > 0) assert_refused(kind, x, &opts, LAT_STATUS_INVALID_ARGUMENT, "mean is not used by this norm");
    opts.mean = NULL;
    opts.var = kind == 0 ? &doubles : &fits;
    if (kind == 0) assert_refused(kind, x, &opts, LAT_STATUS_INVALID_DTYPE, "var dtype: got float64");
    if (kind > 0) assert_refused(kind, x, &opts, LAT_STATUS_INVALID_ARGUMENT, "var is not used by this norm");
  }
  lat_tensor_release(x);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void) {
  const struct CMUnitTest tests[] = {
      TEST(test_batch_norm_worked),
      TEST(test_layer_and_rms_worked),
      TEST(test_offset_rows_keep_their_variance),
      TEST(test_one_row_and_constant_rows),
      TEST(test_default_eps),
      TEST(test_promotion),
      TEST(test_every_parameter_promotes),
      TEST(test_nan_and_infinity_stay_where_they_are),
      TEST(test_empty_tensors),
      TEST(test_errors),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
