// Out of memory in gradients of convolutions, with the n-th allocation refused for every n.
#include <lattice/lattice.h>

#include "support/oom_inputs.h"
#include "support/test_allocator.h"
#include "support/test_support.h"

#define C_IN LAT_TEST_OOM_CHANNELS
#define C_OUT 13

typedef lat_status (*backward_fn)(lat_context *, const lat_tensor *, const lat_weight *, const lat_array_view *,
                                  const lat_conv3d_backward_opts *, lat_conv_grads *);

static lat_status finish_grads(lat_status status, const lat_conv_grads *grads) {
  lat_array *arrays[3] = {grads->x, grads->weight, grads->bias};
  for (int i = 0; i < 3; i++) status = lat_test_oom_finish_array(status, arrays[i]);
  return status;
}

/// x, a (C_OUT, 3, 3, 3, C_IN) weight and a gradient for every row go in.
static lat_status run_conv(lat_context *context, lat_dtype dtype, backward_fn backward) {
  const int64_t shape[5] = {C_OUT, 3, 3, 3, C_IN}, g_shape[2] = {LAT_TEST_OOM_ROWS, C_OUT};
  lat_tensor *x = NULL;
  lat_array *dense = NULL, *g = NULL;
  lat_conv_grads grads = {NULL, NULL, NULL};
  lat_status status = lat_test_oom_make_tensor(context, dtype, &x);
  if (status == LAT_STATUS_OK) status = lat_test_oom_make_array(context, dtype, 5, shape, &dense);
  if (status == LAT_STATUS_OK) status = lat_test_oom_make_array(context, dtype, 2, g_shape, &g);
  if (status == LAT_STATUS_OK) {
    lat_weight weight = lat_weight_dense(lat_array_as_view(dense));
    lat_array_view g_view = lat_array_as_view(g);
    status = backward(context, x, &weight, &g_view, NULL, &grads);
  }
  status = finish_grads(status, &grads);
  lat_array_release(g);
  lat_array_release(dense);
  lat_tensor_release(x);
  return status;
}

static lat_status conv_body(lat_context *context) {
  return run_conv(context, LAT_DTYPE_F32, lat_conv3d_backward);
}

static lat_status subm_f16_body(lat_context *context) {
  return run_conv(context, LAT_DTYPE_F16, lat_subm_conv3d_backward);
}

// A transposed gradient is copied.
static lat_status linear_body(lat_context *context) {
  const int64_t shape[2] = {C_OUT, C_IN}, g_shape[2] = {C_OUT, LAT_TEST_OOM_ROWS};
  lat_tensor *x = NULL;
  lat_array *dense = NULL, *g = NULL;
  lat_conv_grads grads = {NULL, NULL, NULL};
  lat_status status = lat_test_oom_make_tensor(context, LAT_DTYPE_BF16, &x);
  if (status == LAT_STATUS_OK) status = lat_test_oom_make_array(context, LAT_DTYPE_F16, 2, shape, &dense);
  if (status == LAT_STATUS_OK) status = lat_test_oom_make_array(context, LAT_DTYPE_F16, 2, g_shape, &g);
  if (status == LAT_STATUS_OK) {
    lat_weight weight = lat_weight_dense(lat_array_as_view(dense));
    lat_array_view view = lat_array_as_view(g);
    lat_array_view g_view = lat_view_2d(view.data, view.dtype, LAT_TEST_OOM_ROWS, C_OUT);
    g_view.stride[0] = 1;
    g_view.stride[1] = LAT_TEST_OOM_ROWS;
    status = lat_linear_backward(context, x, &weight, &g_view, LAT_GRAD_ALL, &grads);
  }
  status = finish_grads(status, &grads);
  lat_array_release(g);
  lat_array_release(dense);
  lat_tensor_release(x);
  return status;
}

static lat_status transposed_body(lat_context *context) {
  const int64_t shape[3] = {1, C_IN, C_OUT}, g_shape[2] = {LAT_TEST_OOM_ROWS, C_OUT};
  lat_conv3d_opts forward = LAT_CONV3D_OPTS_INIT;
  lat_conv3d_backward_opts opts = LAT_CONV3D_BACKWARD_OPTS_INIT;
  lat_tensor *x = NULL;
  lat_array *dense = NULL, *g = NULL;
  lat_conv_grads grads = {NULL, NULL, NULL};
  forward.kernel_size = lat_triple_all(1);
  forward.stride = lat_triple_all(1);
  opts.forward = &forward;
  lat_status status = lat_test_oom_make_tensor(context, LAT_DTYPE_F32, &x);
  if (status == LAT_STATUS_OK) status = lat_test_oom_make_array(context, LAT_DTYPE_F32, 3, shape, &dense);
  if (status == LAT_STATUS_OK) status = lat_test_oom_make_array(context, LAT_DTYPE_F32, 2, g_shape, &g);
  if (status == LAT_STATUS_OK) {
    lat_weight weight = lat_weight_dense(lat_array_as_view(dense));
    lat_array_view g_view = lat_array_as_view(g);
    status = lat_conv_transpose3d_backward(context, x, &weight, &g_view, &opts, &grads);
  }
  status = finish_grads(status, &grads);
  lat_array_release(g);
  lat_array_release(dense);
  lat_tensor_release(x);
  return status;
}

static lat_status inverse_body(lat_context *context) {
  const int64_t shape[5] = {C_OUT, 3, 3, 3, C_IN}, g_shape[2] = {LAT_TEST_OOM_ROWS, C_OUT};
  lat_conv3d_opts forward = LAT_CONV3D_OPTS_INIT;
  lat_conv3d_backward_opts opts = LAT_CONV3D_BACKWARD_OPTS_INIT;
  lat_tensor *x = NULL;
  lat_array *dense = NULL, *g = NULL;
  lat_conv_grads grads = {NULL, NULL, NULL};
  opts.forward = &forward;
  lat_status status = lat_test_oom_make_tensor(context, LAT_DTYPE_F32, &x);
  if (status == LAT_STATUS_OK) status = lat_test_oom_make_array(context, LAT_DTYPE_F32, 5, shape, &dense);
  if (status == LAT_STATUS_OK) status = lat_test_oom_make_array(context, LAT_DTYPE_F32, 2, g_shape, &g);
  if (status == LAT_STATUS_OK) {
    lat_weight weight = lat_weight_dense(lat_array_as_view(dense));
    lat_array_view g_view = lat_array_as_view(g);
    forward.coordinates = lat_tensor_coords(x);
    status = lat_inverse_conv3d_backward(context, x, &weight, &g_view, &opts, &grads);
  }
  status = finish_grads(status, &grads);
  lat_array_release(g);
  lat_array_release(dense);
  lat_tensor_release(x);
  return status;
}

static lat_status jvp_body(lat_context *context) {
  const int64_t shape[5] = {C_OUT, 3, 3, 3, C_IN};
  lat_tensor *x = NULL, *y = NULL;
  lat_array *dense = NULL;
  lat_status status = lat_test_oom_make_tensor(context, LAT_DTYPE_F32, &x);
  if (status == LAT_STATUS_OK) status = lat_test_oom_make_array(context, LAT_DTYPE_F32, 5, shape, &dense);
  if (status == LAT_STATUS_OK) {
    lat_array_view view = lat_array_as_view(dense), feats = lat_tensor_feats(x);
    lat_weight weight = lat_weight_dense(view);
    lat_conv_tangents tangents = {&feats, &view, NULL};
    status = lat_conv3d_jvp(context, x, &weight, &tangents, NULL, &y);
  }
  status = lat_test_oom_finish_tensor(status, y);
  lat_array_release(dense);
  lat_tensor_release(x);
  return status;
}

static lat_status normalized_body(lat_context *context) {
  return run_conv(context, LAT_DTYPE_F16, lat_normalized_subm_conv3d_backward);
}

static lat_status normalized_jvp_body(lat_context *context) {
  const int64_t shape[5] = {C_OUT, 3, 3, 3, C_IN};
  lat_tensor *x = NULL, *y = NULL;
  lat_array *dense = NULL;
  lat_status status = lat_test_oom_make_tensor(context, LAT_DTYPE_F32, &x);
  if (status == LAT_STATUS_OK) status = lat_test_oom_make_array(context, LAT_DTYPE_F32, 5, shape, &dense);
  if (status == LAT_STATUS_OK) {
    lat_array_view view = lat_array_as_view(dense), feats = lat_tensor_feats(x);
    lat_weight weight = lat_weight_dense(view);
    lat_conv_tangents tangents = {&feats, &view, NULL};
    status = lat_normalized_subm_conv3d_jvp(context, x, &weight, &tangents, NULL, &y);
  }
  status = lat_test_oom_finish_tensor(status, y);
  lat_array_release(dense);
  lat_tensor_release(x);
  return status;
}

#define OOM_TEST(body)                                                                                                 \
  static void body##_survives(void **state) {                                                                          \
    (void)state;                                                                                                       \
    lat_test_oom(#body, body);                                                                                         \
  }
OOM_TEST(conv_body)
OOM_TEST(subm_f16_body)
OOM_TEST(linear_body)
OOM_TEST(transposed_body)
OOM_TEST(inverse_body)
OOM_TEST(jvp_body)
OOM_TEST(normalized_body)
OOM_TEST(normalized_jvp_body)

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(conv_body_survives),       cmocka_unit_test(subm_f16_body_survives),
      cmocka_unit_test(linear_body_survives),     cmocka_unit_test(transposed_body_survives),
      cmocka_unit_test(inverse_body_survives),    cmocka_unit_test(jvp_body_survives),
      cmocka_unit_test(normalized_body_survives), cmocka_unit_test(normalized_jvp_body_survives),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
