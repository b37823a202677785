// Out of memory in feature operations, tensor algebra and packed weights, with the n-th allocation refused for every n.
#include <lattice/lattice.h>

#include "support/oom_inputs.h"
#include "support/test_allocator.h"
#include "support/test_support.h"

#define C_IN LAT_TEST_OOM_CHANNELS
#define C_OUT 8

static lat_status linear_body(lat_context *context) {
  const int64_t shape[2] = {C_OUT, C_IN};
  lat_tensor *x = NULL;
  lat_array *dense = NULL;
  lat_tensor *y = NULL;
  lat_status status = lat_test_oom_make_tensor(context, LAT_DTYPE_F16, &x);
  if (status == LAT_STATUS_OK) status = lat_test_oom_make_array(context, LAT_DTYPE_F32, 2, shape, &dense);
  if (status == LAT_STATUS_OK) {
    lat_weight weight = lat_weight_dense(lat_array_as_view(dense));
    status = lat_linear(context, x, &weight, NULL, &y);
  }
  status = lat_test_oom_finish_tensor(status, y);
  lat_array_release(dense);
  lat_tensor_release(x);
  return status;
}

static lat_status relu_of(lat_context *context, const lat_tensor *x, lat_tensor **out) {
  return lat_relu(context, x, out);
}

static lat_status gelu_of(lat_context *context, const lat_tensor *x, lat_tensor **out) {
  return lat_gelu(context, x, LAT_GELU_TANH, out);
}

static lat_status batch_norm_of(lat_context *context, const lat_tensor *x, lat_tensor **out) {
  return lat_batch_norm(context, x, NULL, out);
}

static lat_status layer_norm_of(lat_context *context, const lat_tensor *x, lat_tensor **out) {
  const float scale[C_IN] = {2, 3};
  lat_array_view view = lat_view_1d(scale, LAT_DTYPE_F32, C_IN);
  lat_norm_opts opts = LAT_NORM_OPTS_INIT;
  opts.weight = &view;
  return lat_layer_norm(context, x, &opts, out);
}

static lat_status rms_norm_of(lat_context *context, const lat_tensor *x, lat_tensor **out) {
  return lat_rms_norm(context, x, NULL, out);
}

static lat_status cast_of(lat_context *context, const lat_tensor *x, lat_tensor **out) {
  return lat_cast(context, x, LAT_DTYPE_F32, out);
}

static lat_status run_unary(lat_context *context, lat_status (*op)(lat_context *, const lat_tensor *, lat_tensor **)) {
  lat_tensor *x = NULL;
  lat_tensor *y = NULL;
  lat_status status = lat_test_oom_make_tensor(context, LAT_DTYPE_F16, &x);
  if (status == LAT_STATUS_OK) status = op(context, x, &y);
  status = lat_test_oom_finish_tensor(status, y);
  lat_tensor_release(x);
  return status;
}

static lat_status relu_body(lat_context *context) {
  return run_unary(context, relu_of);
}

static lat_status gelu_body(lat_context *context) {
  return run_unary(context, gelu_of);
}

static lat_status batch_norm_body(lat_context *context) {
  return run_unary(context, batch_norm_of);
}

static lat_status layer_norm_body(lat_context *context) {
  return run_unary(context, layer_norm_of);
}

static lat_status rms_norm_body(lat_context *context) {
  return run_unary(context, rms_norm_of);
}

static lat_status cast_body(lat_context *context) {
  return run_unary(context, cast_of);
}

// Two tensors over sets of different identity, so that the rows must be aligned.
static lat_status run_binary(lat_context *context, int concatenate, lat_join join) {
  static const int32_t rows[3][4] = {{0, 0, 0, 0}, {1, 1, 1, 1}, {0, 50, 0, 0}};
  const int64_t shape[2] = {3, C_IN};
  lat_array_view row_view = lat_view_2d(rows, LAT_DTYPE_I32, 3, 4);
  lat_coords *coords = NULL;
  lat_array *feats = NULL;
  lat_tensor *lhs = NULL;
  lat_tensor *rhs = NULL;
  lat_tensor *y = NULL;
  lat_status status = lat_test_oom_make_tensor(context, LAT_DTYPE_F32, &lhs);
  if (status == LAT_STATUS_OK) status = lat_coords_create(context, &row_view, NULL, &coords);
  if (status == LAT_STATUS_OK) status = lat_test_oom_make_array(context, LAT_DTYPE_F32, 2, shape, &feats);
  if (status == LAT_STATUS_OK) status = lat_tensor_share(context, coords, feats, NULL, &rhs);
  if (status == LAT_STATUS_OK && concatenate) status = lat_sparse_cat_aligned(context, lhs, rhs, join, &y);
  if (status == LAT_STATUS_OK && !concatenate) status = lat_sparse_add(context, lhs, rhs, join, &y);
  status = lat_test_oom_finish_tensor(status, y);
  lat_tensor_release(rhs);
  lat_tensor_release(lhs);
  lat_array_release(feats);
  lat_coords_release(coords);
  return status;
}

static lat_status add_body(lat_context *context) {
  return run_binary(context, 0, LAT_JOIN_OUTER);
}

static lat_status cat_body(lat_context *context) {
  return run_binary(context, 1, LAT_JOIN_RIGHT);
}

// Packs a weight and hands back its dense form.
static lat_status quantize_body(lat_context *context) {
  const int64_t shape[3] = {8, 40, C_OUT}; // 40 input channels: padded to 64
  lat_array *dense = NULL;
  lat_quantized_weight *packed = NULL;
  lat_array *unpacked = NULL;
  lat_status status = lat_test_oom_make_array(context, LAT_DTYPE_F32, 3, shape, &dense);
  if (status == LAT_STATUS_OK) {
    lat_array_view view = lat_array_as_view(dense);
    status = lat_quantize_weight(context, &view, NULL, &packed);
    if (status != LAT_STATUS_OK) assert_null(packed);
  }
  if (status == LAT_STATUS_OK) status = lat_dequantize_weight(context, packed, &unpacked);
  status = lat_test_oom_finish_array(status, unpacked);
  lat_quantized_weight_release(packed);
  lat_array_release(dense);
  return status;
}

static lat_status packed_linear_body(lat_context *context) {
  const int64_t shape[2] = {C_OUT, C_IN};
  lat_quantize_opts opts = LAT_QUANTIZE_OPTS_INIT;
  lat_tensor *x = NULL;
  lat_array *dense = NULL;
  lat_quantized_weight *packed = NULL;
  lat_tensor *y = NULL;
  opts.bits = 8;
  lat_status status = lat_test_oom_make_tensor(context, LAT_DTYPE_F32, &x);
  if (status == LAT_STATUS_OK) status = lat_test_oom_make_array(context, LAT_DTYPE_F32, 2, shape, &dense);
  if (status == LAT_STATUS_OK) {
    lat_array_view view = lat_array_as_view(dense);
    status = lat_quantize_weight(context, &view, &opts, &packed);
  }
  if (status == LAT_STATUS_OK) {
    lat_weight weight = lat_weight_packed(packed);
    status = lat_linear(context, x, &weight, NULL, &y);
  }
  status = lat_test_oom_finish_tensor(status, y);
  lat_quantized_weight_release(packed);
  lat_array_release(dense);
  lat_tensor_release(x);
  return status;
}

#define OOM_TEST(body)                                                                                                 \
  static void body##_survives(void **state) {                                                                          \
    (void)state;                                                                                                       \
    lat_test_oom(#body, body);                                                                                         \
  }
OOM_TEST(linear_body)
OOM_TEST(relu_body)
OOM_TEST(gelu_body)
OOM_TEST(batch_norm_body)
OOM_TEST(layer_norm_body)
OOM_TEST(rms_norm_body)
OOM_TEST(cast_body)
OOM_TEST(add_body)
OOM_TEST(cat_body)
OOM_TEST(quantize_body)
OOM_TEST(packed_linear_body)

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(linear_body_survives),        cmocka_unit_test(relu_body_survives),
      cmocka_unit_test(gelu_body_survives),          cmocka_unit_test(batch_norm_body_survives),
      cmocka_unit_test(layer_norm_body_survives),    cmocka_unit_test(rms_norm_body_survives),
      cmocka_unit_test(cast_body_survives),          cmocka_unit_test(add_body_survives),
      cmocka_unit_test(cat_body_survives),           cmocka_unit_test(quantize_body_survives),
      cmocka_unit_test(packed_linear_body_survives),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
