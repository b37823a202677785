// Normalized convolutions: the worked example, rows without edges in float16, the pointwise form, what they refuse.
//
// covers: lat_normalized_subm_conv3d lat_normalized_conv_transpose3d lat_normalized_generative_conv_transpose3d
// null arguments: lat_normalized_subm_conv3d lat_normalized_conv_transpose3d
// null arguments: lat_normalized_generative_conv_transpose3d
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include <lattice/lattice.h>

#include "coords/tensor_internal.h"
#include "core/array_internal.h"
#include "support/tensor_cases.h"
#include "support/test_allocator.h"
#include "support/test_support.h"

typedef lat_status (*conv_fn)(lat_context *, const lat_tensor *, const lat_weight *, const lat_array_view *,
                              const lat_conv3d_opts *, lat_tensor **);
static const conv_fn convs[3] = {lat_normalized_subm_conv3d, lat_normalized_conv_transpose3d,
                                 lat_normalized_generative_conv_transpose3d};
static const conv_fn plain[3] = {lat_subm_conv3d, lat_conv_transpose3d, lat_generative_conv_transpose3d};

static lat_test_allocator counter;
static lat_context *context;
static const int32_t line_rows[3][4] = {{0, 0, 0, 0}, {0, 1, 0, 0}, {0, 2, 0, 0}};
static const double line_feats[3] = {1, 2, 3};
static float values[512];

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

static lat_tensor *line(lat_dtype dtype) {
  return lat_test_tensor(context, line_rows[0], 3, line_feats, 1, dtype, NULL);
}

static lat_weight kernel_major(const void *data, lat_dtype dtype, int64_t k, int64_t c_in, int64_t c_out) {
  return lat_weight_dense(lat_view(data, dtype, 3, (const int64_t[3]){k, c_in, c_out}));
}

static lat_conv3d_opts line_opts(int32_t size) {
  lat_conv3d_opts opts = LAT_CONV3D_OPTS_INIT;
  opts.kernel_size = (lat_triple){size, 1, 1};
  opts.stride = lat_triple_all(1);
  return opts;
}

static void assert_near(const lat_tensor *y, const double *expected, int64_t n) {
  double *got = lat_test_read_feats(y);
  assert_int_equal(lat_tensor_count(y) * lat_tensor_channels(y), n);
  for (int64_t i = 0; i < n; i++) {
    if (!(fabs(got[i] - expected[i]) <= 1e-6))
      fail_msg("element %d: got %.9g, expected %.9g", (int)i, got[i], expected[i]);
  }
  free(got);
}

static void test_subm(void **state) {
  (void)state;
  static const float weight_data[3] = {1, 2, 3}, bias = 0.25f;
  const double expected[3] = {8 / sqrt(13.0) + 0.25, 14 / sqrt(14.0) + 0.25, 8 / sqrt(5.0) + 0.25};
  const double wide_eps[3] = {8 / sqrt(16.0) + 0.25, 14 / sqrt(17.0) + 0.25, 8 / sqrt(8.0) + 0.25};
  lat_tensor *x = line(LAT_DTYPE_F32), *y = NULL;
  lat_weight weight = kernel_major(weight_data, LAT_DTYPE_F32, 3, 1, 1);
  lat_array_view bias_view = lat_view_1d(&bias, LAT_DTYPE_F32, 1);
  lat_conv3d_opts opts = line_opts(3);
  lat_test_assert_ok(lat_normalized_subm_conv3d(context, x, &weight, &bias_view, &opts, &y));
  assert_near(y, expected, 3);
  assert_true(lat_tensor_same_coords(x, y));
  lat_tensor_release(y);
  opts.eps = 3.0;
  lat_test_assert_ok(lat_normalized_subm_conv3d(context, x, &weight, &bias_view, &opts, &y));
  assert_near(y, wide_eps, 3);
  lat_tensor_release(y);
  // A pointwise kernel is not divided.
  opts.kernel_size = lat_triple_all(1);
  weight = kernel_major(&weight_data[2], LAT_DTYPE_F32, 1, 1, 1);
  lat_test_assert_ok(lat_normalized_subm_conv3d(context, x, &weight, NULL, &opts, &y));
  lat_test_assert_values(lat_tensor_feats(y), (const double[3]){3, 6, 9}, 3);
  lat_tensor_release(y);
  lat_tensor_release(x);
}

static void test_transposed(void **state) {
  (void)state;
  // Outputs 0 .. 3 of kernel 2, stride 1: merged ones have both weights below the root. One kernel element divides too.
  static const float weight_data[2] = {3, 4};
  const double merged[4] = {1, 10 / 5.0, 17 / 5.0, 3}, apart[6] = {1, 1, 2, 2, 3, 3}, single[3] = {1, 2, 3};
  lat_tensor *x = line(LAT_DTYPE_F32), *y = NULL;
  lat_weight weight = kernel_major(weight_data, LAT_DTYPE_F32, 2, 1, 1);
  lat_conv3d_opts opts = line_opts(2);
  lat_test_assert_ok(lat_normalized_conv_transpose3d(context, x, &weight, NULL, &opts, &y));
  assert_near(y, merged, 4);
  lat_tensor_release(y);
  lat_test_assert_ok(lat_normalized_generative_conv_transpose3d(context, x, &weight, NULL, &opts, &y));
  assert_near(y, apart, 6);
  lat_tensor_release(y);
  opts.kernel_size = lat_triple_all(1);
  weight = kernel_major(weight_data, LAT_DTYPE_F32, 1, 1, 1);
  for (int i = 1; i < 3; i++) {
    lat_test_assert_ok(convs[i](context, x, &weight, NULL, &opts, &y));
    assert_near(y, single, 3);
    lat_tensor_release(y);
  }
  lat_tensor_release(x);
}

static void test_rows_without_edges(void **state) {
  (void)state;
  static const int32_t far_rows[2][4] = {{0, 9, 9, 9}, {0, 1, 0, 0}};
  static const lat_dtype dtypes[3] = {LAT_DTYPE_F32, LAT_DTYPE_F16, LAT_DTYPE_BF16};
  static const uint16_t ones[3][2] = {{0, 0}, {0x3C00, 0x3C00}, {0x3F80, 0x3F80}};
  static const float wide_ones[2] = {1, 1}, bias = 0.5f;
  for (int i = 0; i < 3; i++) {
    for (int with_bias = 0; with_bias < 2; with_bias++) {
      lat_tensor *x = line(dtypes[i]), *y = NULL;
      lat_coords *far = lat_test_coords(context, far_rows[0], 2);
      lat_weight weight = kernel_major(i ? (const void *)ones[i] : wide_ones, dtypes[i], 1, 1, 1);
      lat_array_view bias_view = lat_view_1d(&bias, LAT_DTYPE_F32, 1);
      lat_conv3d_opts opts = line_opts(1);
      opts.coordinates = far;
      for (int f = 1; f < 3; f++) {
        lat_test_assert_ok(convs[f](context, x, &weight, with_bias ? &bias_view : NULL, &opts, &y));
        lat_test_assert_values(lat_tensor_feats(y), (const double[2]){0.5 * with_bias, 2 + 0.5 * with_bias}, 2);
        assert_int_equal(lat_tensor_dtype(y), dtypes[i]);
        lat_tensor_release(y);
      }
      lat_coords_release(far);
      lat_tensor_release(x);
    }
  }
}

static void refuse(int which, const lat_tensor *x, const lat_weight *weight, const lat_array_view *bias,
                   const lat_conv3d_opts *opts, lat_status expected, const char *fragment) {
  lat_tensor *out = (lat_tensor *)x;
  lat_test_assert_error(convs[which](context, x, weight, bias, opts, &out), expected, fragment);
  assert_null(out);
}

static void test_refusals(void **state) {
  (void)state;
  lat_tensor *x = line(LAT_DTYPE_F32), *out = x;
  for (int which = 0; which < 3; which++) {
    lat_conv3d_opts opts = line_opts(3), bad = opts;
    lat_weight weight = kernel_major(values, LAT_DTYPE_F32, 3, 1, 4), bad_weight;
    out = x;
    lat_test_assert_error(convs[which](NULL, x, &weight, NULL, &opts, &out), LAT_STATUS_INVALID_ARGUMENT,
                          "context: got NULL");
    assert_null(out);
    refuse(which, NULL, &weight, NULL, &opts, LAT_STATUS_INVALID_ARGUMENT, "x: got NULL");
    refuse(which, x, NULL, NULL, &opts, LAT_STATUS_INVALID_ARGUMENT, "weight: got NULL");
    lat_test_assert_error(convs[which](context, x, &weight, NULL, &opts, NULL), LAT_STATUS_INVALID_ARGUMENT,
                          "out: got NULL");
    static const double wrong[] = {-1e-8, 1e-300, 1e300, INFINITY, NAN};
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
      bad.eps = wrong[i];
      refuse(which, x, &weight, NULL, &bad, LAT_STATUS_INVALID_ARGUMENT, "eps must be positive");
    }
    bad.eps = 1e-3; // an option of these operators alone
    out = x;
    lat_test_assert_error(plain[which](context, x, &weight, NULL, &bad, &out), LAT_STATUS_INVALID_ARGUMENT,
                          "eps is for normalized convolutions: got 0.001");
    assert_null(out);
    bad = opts;
    bad.kernel_size.y = -1;
    refuse(which, x, &weight, NULL, &bad, LAT_STATUS_INVALID_ARGUMENT, "kernel_size values must be positive");
    bad_weight = kernel_major(values, LAT_DTYPE_F16, 3, 1, 4);
    refuse(which, x, &bad_weight, NULL, &opts, LAT_STATUS_INVALID_DTYPE, "weights must match feature dtype");
    bad_weight = kernel_major(values, LAT_DTYPE_F32, 3, 2, 4);
    refuse(which, x, &bad_weight, NULL, &opts, LAT_STATUS_INVALID_SHAPE, "weight input channels must match x.channels");
    lat_array_view bias = lat_view_1d(values, LAT_DTYPE_F32, 3);
    refuse(which, x, &weight, &bias, &opts, LAT_STATUS_INVALID_SHAPE, "bias channels must match output channels");
  }
  lat_conv3d_opts opts = line_opts(2);
  lat_weight weight = kernel_major(values, LAT_DTYPE_F32, 2, 1, 4);
  refuse(0, x, &weight, NULL, &opts, LAT_STATUS_INVALID_ARGUMENT, "normalized_subm_conv3d requires odd kernel_size");
  opts.stride.x = 2;
  refuse(1, x, &weight, NULL, &opts, LAT_STATUS_INVALID_ARGUMENT, "transpose stride must divide");
  opts.stride.x = 1;
  opts.dilation = lat_triple_all(2);
  refuse(2, x, &weight, NULL, &opts, LAT_STATUS_INVALID_ARGUMENT, "padding and dilation must be 0 and 1");
  lat_tensor_release(x);
}

static void test_packed_is_refused(void **state) {
  (void)state;
  lat_tensor *x = line(LAT_DTYPE_F32);
  for (int64_t volume = 1; volume <= 3; volume += 2) { // the pointwise form, which divides nothing, too
    lat_array_view dense = lat_view(values, LAT_DTYPE_F32, 3, (const int64_t[3]){volume, 1, 4});
    lat_quantized_weight *packed = NULL;
    lat_test_assert_ok(lat_quantize_weight(context, &dense, NULL, &packed));
    lat_weight weight = lat_weight_packed(packed);
    lat_conv3d_opts opts = line_opts((int32_t)volume);
    for (int which = 0; which < 3; which++) {
      refuse(which, x, &weight, NULL, &opts, LAT_STATUS_INVALID_ARGUMENT,
             "normalized convolution does not support packed weights: got an int4 weight");
    }
    lat_quantized_weight_release(packed);
  }
  lat_tensor_release(x);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_subm),
      cmocka_unit_test(test_transposed),
      cmocka_unit_test(test_rows_without_edges),
      cmocka_unit_test(test_refusals),
      cmocka_unit_test(test_packed_is_refused),
  };
  return cmocka_run_group_tests(tests, set_up, tear_down);
}
