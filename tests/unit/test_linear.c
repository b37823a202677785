// lat_linear, lat_measure_fma_peak and lat_measure_product_peak: values, the dtype rule, packed weights, errors.
// covers: lat_linear lat_measure_fma_peak lat_measure_product_peak
// null arguments: lat_measure_product_peak
#include <math.h>
#include <stdbool.h>
#include <string.h>

#include <lattice/lattice.h>

#include "support/test_allocator.h"
#include "support/test_support.h"

enum { N = 2, C_IN = 3, C_OUT = 2 };

static const int32_t rows[N][4] = {{0, 0, 0, 0}, {1, 1, 0, 0}};
static const float feats[N][C_IN] = {{1, 2, 3}, {4, 5, 6}};
static const float weights[C_OUT][C_IN] = {{1, 0, -1}, {2, 1, 0.5f}};
static const float biases[C_OUT] = {0.5f, -1};
static const float plain[N][C_OUT] = {{-2, 5.5f}, {-2, 16}};

static lat_test_allocator counter;
static lat_context *context;
static lat_coords *coords;
static lat_tensor *x, *x_half;

static lat_array *to_half(const lat_array_view *view) {
  lat_array *half = NULL;
  lat_test_assert_ok(lat_array_cast(context, view, LAT_DTYPE_F16, &half));
  return half;
}

static int set_up(void **state) {
  (void)state;
  static const int64_t counts[2] = {1, 1};
  memset(&counter, 0, sizeof counter);
  context = lat_test_context_create(&counter, 1);
  lat_array_view row_view = lat_view_2d(rows, LAT_DTYPE_I32, N, 4), view = lat_view_2d(feats, LAT_DTYPE_F32, N, C_IN);
  lat_tensor_opts opts = LAT_TENSOR_OPTS_INIT;
  opts.n_batches = 2;
  opts.batch_counts = counts;
  lat_test_assert_ok(lat_coords_create(context, &row_view, NULL, &coords));
  lat_test_assert_ok(lat_tensor_create(context, coords, &view, &opts, &x));
  lat_array *half = to_half(&view);
  lat_test_assert_ok(lat_tensor_share(context, coords, half, &opts, &x_half));
  lat_array_release(half);
  return 0;
}

static int tear_down(void **state) {
  (void)state;
  lat_tensor_release(x);
  lat_tensor_release(x_half);
  lat_coords_release(coords);
  lat_test_context_finish(context, &counter);
  return 0;
}

static void assert_values(const lat_tensor *y, lat_dtype dtype, bool with_bias) {
  assert_int_equal(lat_tensor_dtype(y), dtype);
  assert_int_equal(lat_tensor_channels(y), C_OUT);
  assert_true(lat_tensor_same_coords(x, y));
  assert_int_equal(lat_tensor_batch_counts(y)[1], 1);
  for (int r = 0; r < N; r++) {
    for (int c = 0; c < C_OUT; c++) {
      const void *data = lat_tensor_feats(y).data;
      int at = r * C_OUT + c;
      float got = dtype == LAT_DTYPE_F16 ? lat_f16_to_f32(((const uint16_t *)data)[at]) : ((const float *)data)[at];
      assert_true(got == plain[r][c] + (with_bias ? biases[c] : 0.0f));
    }
  }
}

// Every combination of dtypes; the numbers are exact in both.
static void test_promotion(void **state) {
  (void)state;
  lat_array_view weight_view = lat_view_2d(weights, LAT_DTYPE_F32, C_OUT, C_IN);
  lat_array_view bias_view = lat_view_1d(biases, LAT_DTYPE_F32, C_OUT);
  lat_array *half_weight = to_half(&weight_view), *half_bias = to_half(&bias_view);
  for (int i = 0; i < 12; i++) {
    bool half_x = i & 1, half_w = i & 2;
    int bias_kind = i / 4; // none, float32, float16
    lat_array_view half_bias_view = lat_array_as_view(half_bias);
    const lat_array_view *bias = bias_kind == 0 ? NULL : bias_kind == 1 ? &bias_view : &half_bias_view;
    lat_weight weight = lat_weight_dense(half_w ? lat_array_as_view(half_weight) : weight_view);
    bool half_y = half_x && half_w && bias_kind != 1;
    lat_tensor *y = NULL;
    lat_test_assert_ok(lat_linear(context, half_x ? x_half : x, &weight, bias, &y));
    assert_values(y, half_y ? LAT_DTYPE_F16 : LAT_DTYPE_F32, bias != NULL);
    lat_tensor_release(y);
  }
  lat_array_release(half_weight);
  lat_array_release(half_bias);
}

static void test_transposed_weight(void **state) {
  (void)state;
  static const float transposed[C_IN][C_OUT] = {{1, 2}, {0, 1}, {-1, 0.5f}};
  lat_array_view view = lat_view_2d(transposed, LAT_DTYPE_F32, C_OUT, C_IN);
  view.stride[0] = 1;
  view.stride[1] = C_OUT;
  lat_weight weight = lat_weight_dense(view);
  lat_tensor *y = NULL;
  lat_test_assert_ok(lat_linear(context, x, &weight, NULL, &y));
  assert_values(y, LAT_DTYPE_F32, false);
  lat_tensor_release(y);
}

// One rounding at the end: 2048 + 1 is no float16, 2048 + 1 + 1 is.
static void test_one_rounding(void **state) {
  (void)state;
  static const uint16_t big[3] = {0x6800, 0x3C00, 0x3C00}, ones[3] = {0x3C00, 0x3C00, 0x3C00}; // 2048, 1, 1
  lat_array_view row_view = lat_view_2d(rows, LAT_DTYPE_I32, 1, 4), view = lat_view_2d(big, LAT_DTYPE_F16, 1, 3);
  lat_coords *one_row = NULL;
  lat_tensor *t = NULL, *y = NULL;
  lat_test_assert_ok(lat_coords_create(context, &row_view, NULL, &one_row));
  lat_test_assert_ok(lat_tensor_create(context, one_row, &view, NULL, &t));
  lat_weight weight = lat_weight_dense(lat_view_2d(ones, LAT_DTYPE_F16, 1, 3));
  lat_test_assert_ok(lat_linear(context, t, &weight, NULL, &y));
  assert_true(lat_f16_to_f32(((const uint16_t *)lat_tensor_feats(y).data)[0]) == 2050.0f);
  lat_tensor_release(y);
  lat_tensor_release(t);
  lat_coords_release(one_row);
}

static void test_packed(void **state) {
  (void)state;
  // Codes of eight bits; float32 scales do not promote float16 features, nor does a float32 bias.
  lat_array_view dense = lat_view_2d(weights, LAT_DTYPE_F32, C_OUT, C_IN),
                 bias = lat_view_1d(biases, LAT_DTYPE_F32, C_OUT);
  lat_quantize_opts opts = LAT_QUANTIZE_OPTS_INIT;
  opts.bits = 8;
  lat_quantized_weight *packed = NULL;
  lat_array *unpacked = NULL;
  lat_tensor *y = NULL, *expected = NULL;
  lat_test_assert_ok(lat_quantize_weight(context, &dense, &opts, &packed));
  lat_test_assert_ok(lat_dequantize_weight(context, packed, &unpacked));
  lat_weight weight = lat_weight_packed(packed), same = lat_weight_dense(lat_array_as_view(unpacked));
  lat_test_assert_ok(lat_linear(context, x, &weight, &bias, &y));
  lat_test_assert_ok(lat_linear(context, x, &same, &bias, &expected));
  assert_memory_equal(lat_tensor_feats(y).data, lat_tensor_feats(expected).data, sizeof plain);
  lat_tensor_release(y);
  lat_test_assert_ok(lat_linear(context, x_half, &weight, &bias, &y));
  assert_int_equal(lat_tensor_dtype(y), LAT_DTYPE_F16);
  for (int i = 0; i < N * C_OUT; i++) {
    uint16_t rounded = lat_f32_to_f16(((const float *)lat_tensor_feats(expected).data)[i]);
    assert_int_equal(((const uint16_t *)lat_tensor_feats(y).data)[i], rounded);
  }
  lat_tensor_release(y);
  lat_tensor_release(expected);
  lat_array_release(unpacked);
  lat_quantized_weight_release(packed);
}

static void refuse(const lat_weight *weight, const lat_array_view *bias, lat_status expected, const char *fragment) {
  lat_tensor *out = x;
  lat_test_assert_error(lat_linear(context, x, weight, bias, &out), expected, fragment);
  assert_null(out);
}

static void test_errors(void **state) {
  (void)state;
  static const float many[8 * C_IN * C_OUT];
  lat_tensor *out = x;
  lat_weight weight = lat_weight_dense(lat_view_2d(weights, LAT_DTYPE_F32, C_OUT, C_IN)), bad = weight;
  lat_test_assert_error(lat_linear(NULL, x, &weight, NULL, &out), LAT_STATUS_INVALID_ARGUMENT, "context: got NULL");
  assert_null(out);
  out = x;
  lat_test_assert_error(lat_linear(context, NULL, &weight, NULL, &out), LAT_STATUS_INVALID_ARGUMENT, "x: got NULL");
  assert_null(out);
  lat_test_assert_error(lat_linear(context, x, &weight, NULL, NULL), LAT_STATUS_INVALID_ARGUMENT, "out: got NULL");
  refuse(NULL, NULL, LAT_STATUS_INVALID_ARGUMENT, "linear: weight: got NULL");
  bad.dense.data = NULL;
  refuse(&bad, NULL, LAT_STATUS_INVALID_ARGUMENT, "linear: weight");
  bad = lat_weight_dense(lat_view_1d(weights, LAT_DTYPE_F32, C_IN));
  refuse(&bad, NULL, LAT_STATUS_INVALID_SHAPE, "linear: weight must have shape (C_out, C_in)");
  bad = lat_weight_dense(lat_view_2d(weights, LAT_DTYPE_F32, C_IN, C_OUT));
  refuse(&bad, NULL, LAT_STATUS_INVALID_SHAPE,
         "linear: weight input channels must match x.channels: got 2, expected 3");
  bad = lat_weight_dense(lat_view_2d(weights, LAT_DTYPE_I32, C_OUT, C_IN));
  refuse(&bad, NULL, LAT_STATUS_INVALID_DTYPE, "linear: weight dtype");
  lat_array_view bias = lat_view_2d(biases, LAT_DTYPE_F32, 1, C_OUT);
  refuse(&weight, &bias, LAT_STATUS_INVALID_SHAPE, "linear: bias must have shape (C_out,)");
  bias = lat_view_1d(biases, LAT_DTYPE_F32, 1);
  refuse(&weight, &bias, LAT_STATUS_INVALID_SHAPE, "linear: bias channels must match output channels");
  bias = lat_view_1d(biases, LAT_DTYPE_U32, C_OUT);
  refuse(&weight, &bias, LAT_STATUS_INVALID_DTYPE, "linear: bias dtype");
  bias = lat_view_1d(NULL, LAT_DTYPE_F32, C_OUT);
  refuse(&weight, &bias, LAT_STATUS_INVALID_ARGUMENT, "linear: bias");
  lat_quantized_weight *packed = NULL;
  lat_array_view dense = lat_view(many, LAT_DTYPE_F32, 3, (const int64_t[3]){8, C_IN, C_OUT});
  lat_test_assert_ok(lat_quantize_weight(context, &dense, NULL, &packed));
  bad = lat_weight_packed(packed);
  refuse(&bad, NULL, LAT_STATUS_INVALID_ARGUMENT, "linear: quantized matmul requires a pointwise weight");
  lat_quantized_weight_release(packed);
  dense = lat_view_2d(many, LAT_DTYPE_F32, C_OUT, C_IN + 1);
  lat_test_assert_ok(lat_quantize_weight(context, &dense, NULL, &packed));
  bad = lat_weight_packed(packed);
  refuse(&bad, NULL, LAT_STATUS_INVALID_SHAPE,
         "linear: weight input channels must match x.channels: got 4, expected 3");
  lat_quantized_weight_release(packed);
}

static void test_fma_peak(void **state) {
  (void)state;
  double gflops = -1.0;
  lat_test_assert_error(lat_measure_fma_peak(NULL, 0.01, &gflops), LAT_STATUS_INVALID_ARGUMENT, "context: got NULL");
  lat_test_assert_error(lat_measure_fma_peak(context, 0.01, NULL), LAT_STATUS_INVALID_ARGUMENT, "gflops: got NULL");
  const double bad[] = {0.0, -1.0, 61.0, (double)NAN, (double)INFINITY};
  for (int i = 0; i < 5; i++) {
    lat_test_assert_error(lat_measure_fma_peak(context, bad[i], &gflops), LAT_STATUS_INVALID_ARGUMENT, "seconds: got");
  }
  assert_true(gflops == -1.0);
  lat_context_opts opts = LAT_CONTEXT_OPTS_INIT;
  opts.n_threads = 3;
  for (int level = LAT_CPU_LEVEL_AUTO; level <= LAT_CPU_LEVEL_SCALAR; level++) {
    lat_context *threads = NULL;
    opts.cpu_level = (lat_cpu_level)level;
    lat_test_assert_ok(lat_context_create(&opts, &threads));
    lat_test_assert_ok(lat_measure_fma_peak(threads, 0.01, &gflops));
    assert_true(gflops > 0.0 && gflops < 1e7);
    lat_context_destroy(threads);
  }
}

static void test_product_peak(void **state) {
  (void)state;
  double gops = -1.0;
  lat_test_assert_error(lat_measure_product_peak(NULL, LAT_PRODUCT_INT8, 0.01, &gops), LAT_STATUS_INVALID_ARGUMENT,
                        "measure_product_peak: context: got NULL");
  lat_test_assert_error(lat_measure_product_peak(context, LAT_PRODUCT_INT8, 0.01, NULL), LAT_STATUS_INVALID_ARGUMENT,
                        "measure_product_peak: gops: got NULL");
  lat_test_assert_error(lat_measure_product_peak(context, LAT_PRODUCT_INT8, 0.0, &gops), LAT_STATUS_INVALID_ARGUMENT,
                        "measure_product_peak: seconds: got 0");
  lat_test_assert_error(lat_measure_product_peak(context, (lat_product)3, 0.01, &gops), LAT_STATUS_INVALID_ARGUMENT,
                        "measure_product_peak: product: got 3, expected 0 to 2");
  lat_test_assert_error(lat_measure_product_peak(context, (lat_product)-1, 0.01, &gops), LAT_STATUS_INVALID_ARGUMENT,
                        "measure_product_peak: product: got -1");
  assert_true(gops == -1.0);
  for (int level = LAT_CPU_LEVEL_AUTO; level <= LAT_CPU_LEVEL_AVX512; level++) {
    lat_context_opts opts = LAT_CONTEXT_OPTS_INIT;
    lat_context *capped = NULL;
    opts.cpu_level = (lat_cpu_level)level;
    lat_test_assert_ok(lat_context_create(&opts, &capped));
    for (int product = LAT_PRODUCT_F32; product <= LAT_PRODUCT_INT8; product++) {
      lat_test_assert_ok(lat_measure_product_peak(capped, (lat_product)product, 0.005, &gops));
      assert_true(gops > 0.0 && gops < 1e7);
    }
    lat_context_destroy(capped);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_promotion),    cmocka_unit_test(test_transposed_weight),
      cmocka_unit_test(test_one_rounding), cmocka_unit_test(test_packed),
      cmocka_unit_test(test_errors),       cmocka_unit_test(test_fma_peak),
      cmocka_unit_test(test_product_peak),
  };
  return cmocka_run_group_tests(tests, set_up, tear_down);
}
