// Linear and norms on dense features: the bits of the operations on tensors, and every refusal.
// covers: lat_linear_features lat_batch_norm_features lat_layer_norm_features lat_rms_norm_features
// null arguments: lat_linear_features lat_batch_norm_features lat_layer_norm_features lat_rms_norm_features
#include <string.h>

#include <lattice/lattice.h>

#include "support/test_support.h"

#define ROWS 37
#define CHANNELS 5
#define OUT 3

typedef lat_status (*dense_norm)(lat_context *, const lat_array_view *, const lat_norm_opts *, lat_array **);
typedef lat_status (*sparse_norm)(lat_context *, const lat_tensor *, const lat_norm_opts *, lat_tensor **);

static lat_context *context;
static lat_tensor *x;
static float values[ROWS][CHANNELS], weights[OUT][CHANNELS], channel[4][CHANNELS];
static lat_array_view x_view, channel_view[4];

static int set_up(void **state) {
  (void)state;
  int32_t rows[ROWS][4];
  for (int i = 0; i < ROWS; i++) {
    int32_t row[4] = {0, i, 0, 0};
    memcpy(rows[i], row, sizeof row);
    for (int c = 0; c < CHANNELS; c++) values[i][c] = (float)((i * 31 + c * 17) % 23) * 0.37F - 3.0F;
  }
  for (int i = 0; i < OUT * CHANNELS; i++) weights[i / CHANNELS][i % CHANNELS] = (float)(i % 7) * 0.3F - 0.8F;
  for (int i = 0; i < 4 * CHANNELS; i++) channel[i / CHANNELS][i % CHANNELS] = 0.5F + (float)(i % 5) * 0.25F;
  for (int i = 0; i < 4; i++) channel_view[i] = lat_view_1d(channel[i], LAT_DTYPE_F32, CHANNELS);
  x_view = lat_view_2d(values, LAT_DTYPE_F32, ROWS, CHANNELS);
  lat_array_view row_view = lat_view_2d(rows, LAT_DTYPE_I32, ROWS, 4);
  lat_coords *coords = NULL;
  int failed = lat_context_create(NULL, &context) || lat_coords_create(context, &row_view, NULL, &coords) ||
               lat_tensor_create(context, coords, &x_view, NULL, &x);
  lat_coords_release(coords);
  return failed;
}

static int tear_down(void **state) {
  (void)state;
  lat_tensor_release(x);
  lat_context_destroy(context);
  return 0;
}

static void assert_same_bits(lat_array *dense, lat_tensor *sparse, int64_t columns) {
  lat_array_view got = lat_array_as_view(dense), expected = lat_tensor_feats(sparse);
  assert_int_equal(got.dtype, expected.dtype);
  assert_int_equal(got.shape[0], ROWS);
  assert_int_equal(got.shape[1], columns);
  assert_memory_equal(got.data, expected.data, (size_t)(ROWS * columns) * lat_dtype_bytes(got.dtype));
  lat_array_release(dense);
  lat_tensor_release(sparse);
}

static lat_norm_opts norm_opts(int n_given) {
  lat_norm_opts opts = LAT_NORM_OPTS_INIT;
  if (n_given > 0) opts.weight = &channel_view[0];
  if (n_given > 1) opts.bias = &channel_view[1];
  if (n_given > 2) opts.mean = &channel_view[2];
  if (n_given > 3) opts.var = &channel_view[3];
  return opts;
}

static void gives_the_bits_of_the_tensor_form(void **state) {
  (void)state;
  const dense_norm dense[3] = {lat_batch_norm_features, lat_layer_norm_features, lat_rms_norm_features};
  const sparse_norm sparse[3] = {lat_batch_norm, lat_layer_norm, lat_rms_norm};
  const int n_given[3] = {4, 2, 1};
  lat_array *out = NULL;
  lat_tensor *y = NULL;
  for (int i = 0; i < 3; i++) {
    lat_norm_opts opts = norm_opts(n_given[i]);
    lat_test_assert_ok(dense[i](context, &x_view, &opts, &out));
    lat_test_assert_ok(sparse[i](context, x, &opts, &y));
    assert_same_bits(out, y, CHANNELS);
  }
  lat_weight weight = {.dense = lat_view_2d(weights, LAT_DTYPE_F32, OUT, CHANNELS)};
  lat_array_view bias = lat_view_1d(channel[1], LAT_DTYPE_F32, OUT);
  lat_test_assert_ok(lat_linear_features(context, &x_view, &weight, &bias, &out));
  lat_test_assert_ok(lat_linear(context, x, &weight, &bias, &y));
  assert_same_bits(out, y, OUT);
  lat_array_view turned = x_view; // rows read backwards
  turned.data = values[ROWS - 1];
  turned.stride[0] = -CHANNELS;
  lat_test_assert_ok(lat_linear_features(context, &turned, &weight, NULL, &out));
  lat_test_assert_ok(lat_linear(context, x, &weight, NULL, &y));
  const float *forward = lat_tensor_feats(y).data, *backward = lat_array_data(out);
  for (int i = 0; i < ROWS; i++) {
    assert_memory_equal(forward + (ptrdiff_t)OUT * i, backward + (ptrdiff_t)OUT * (ROWS - 1 - i), OUT * sizeof(float));
  }
  lat_array_release(out);
  lat_tensor_release(y);
  lat_array_view none = lat_view_2d(NULL, LAT_DTYPE_F32, 0, CHANNELS);
  lat_test_assert_ok(lat_linear_features(context, &none, &weight, NULL, &out));
  assert_int_equal(lat_array_as_view(out).shape[0], 0);
  lat_array_release(out);
}

static void refuses_bad_arguments(void **state) {
  (void)state;
  lat_array *out = NULL;
  lat_weight weight = {.dense = lat_view_2d(weights, LAT_DTYPE_F32, OUT, CHANNELS)};
  lat_array_view flat = lat_view_1d(values, LAT_DTYPE_F32, CHANNELS);
  const dense_norm norms[3] = {lat_batch_norm_features, lat_layer_norm_features, lat_rms_norm_features};
  for (int i = 0; i < 3; i++) {
    lat_norm_opts opts = norm_opts(i == 0 ? 4 : i == 1 ? 2 : 1);
    lat_test_assert_error(norms[i](NULL, &x_view, &opts, &out), LAT_STATUS_INVALID_ARGUMENT, "context: got NULL");
    lat_test_assert_error(norms[i](context, NULL, &opts, &out), LAT_STATUS_INVALID_ARGUMENT, "x: got NULL");
    lat_test_assert_error(norms[i](context, &x_view, NULL, &out), LAT_STATUS_INVALID_ARGUMENT, "weight: got NULL");
    lat_test_assert_error(norms[i](context, &x_view, &opts, NULL), LAT_STATUS_INVALID_ARGUMENT, "out: got NULL");
    lat_test_assert_error(norms[i](context, &flat, &opts, &out), LAT_STATUS_INVALID_SHAPE, "expects a rank-2");
    opts.eps = -1.0;
    lat_test_assert_error(norms[i](context, &x_view, &opts, &out), LAT_STATUS_INVALID_ARGUMENT, "eps must be positive");
    assert_null(out);
  }
  lat_norm_opts opts = norm_opts(1);
  lat_test_assert_error(lat_layer_norm_features(context, &x_view, &opts, &out), LAT_STATUS_INVALID_ARGUMENT,
                        "layer_norm_features: bias: got NULL");
  opts = norm_opts(2);
  lat_test_assert_error(lat_batch_norm_features(context, &x_view, &opts, &out), LAT_STATUS_INVALID_ARGUMENT,
                        "mean: got NULL");
  opts = norm_opts(3);
  lat_test_assert_error(lat_batch_norm_features(context, &x_view, &opts, &out), LAT_STATUS_INVALID_ARGUMENT,
                        "var: got NULL");
  lat_test_assert_error(lat_linear_features(NULL, &x_view, &weight, NULL, &out), LAT_STATUS_INVALID_ARGUMENT,
                        "context: got NULL");
  lat_test_assert_error(lat_linear_features(context, NULL, &weight, NULL, &out), LAT_STATUS_INVALID_ARGUMENT,
                        "x: got NULL");
  lat_test_assert_error(lat_linear_features(context, &x_view, NULL, NULL, &out), LAT_STATUS_INVALID_ARGUMENT,
                        "weight: got NULL");
  lat_test_assert_error(lat_linear_features(context, &x_view, &weight, NULL, NULL), LAT_STATUS_INVALID_ARGUMENT,
                        "out: got NULL");
  lat_test_assert_error(lat_linear_features(context, &flat, &weight, NULL, &out), LAT_STATUS_INVALID_SHAPE,
                        "linear_features: x expects a rank-2");
  weight.dense = lat_view_2d(weights, LAT_DTYPE_F32, CHANNELS, OUT);
  lat_test_assert_error(lat_linear_features(context, &x_view, &weight, NULL, &out), LAT_STATUS_INVALID_SHAPE,
                        "linear_features: weight input channels must match");
  assert_null(out);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(gives_the_bits_of_the_tensor_form),
      cmocka_unit_test(refuses_bad_arguments),
  };
  return cmocka_run_group_tests(tests, set_up, tear_down);
}
