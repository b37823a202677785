// Out of memory in instance and group norm, the gradients of norms and the running statistics.
#include <lattice/lattice.h>

#include "support/oom_inputs.h"
#include "support/test_allocator.h"
#include "support/test_support.h"

typedef lat_status (*grad_fn)(lat_context *context, const lat_tensor *x, const lat_array_view *grad,
                              const lat_norm_opts *opts, lat_norm_grads *out);

static const float ones[LAT_TEST_OOM_CHANNELS] = {1, 2, 3};

static lat_status run_backward(lat_context *context, grad_fn fn, int has_bias) {
  lat_array_view view = lat_view_1d(ones, LAT_DTYPE_F32, LAT_TEST_OOM_CHANNELS);
  lat_norm_opts opts = LAT_NORM_OPTS_INIT;
  lat_tensor *x = NULL;
  lat_norm_grads grads = {NULL, NULL, NULL};
  opts.weight = &view;
  opts.bias = has_bias ? &view : NULL;
  lat_status status = lat_test_oom_make_tensor(context, LAT_DTYPE_F16, &x);
  if (status == LAT_STATUS_OK) {
    lat_array_view feats = lat_tensor_feats(x);
    status = fn(context, x, &feats, &opts, &grads);
  }
  if (status != LAT_STATUS_OK) assert_true(!grads.x && !grads.weight && !grads.bias);
  if (grads.weight) (void)!lat_test_oom_finish_array(status, lat_array_retain(grads.weight));
  if (grads.bias) (void)!lat_test_oom_finish_array(status, lat_array_retain(grads.bias));
  status = lat_test_oom_finish_array(status, grads.x);
  lat_array_release(grads.weight);
  lat_array_release(grads.bias);
  lat_tensor_release(x);
  return status;
}

static lat_status batch(lat_context *context, const lat_tensor *x, const lat_array_view *grad,
                        const lat_norm_opts *opts, lat_norm_grads *out) {
  return lat_batch_norm_backward(context, x, grad, opts, LAT_GRAD_ALL, out);
}
static lat_status layer(lat_context *context, const lat_tensor *x, const lat_array_view *grad,
                        const lat_norm_opts *opts, lat_norm_grads *out) {
  return lat_layer_norm_backward(context, x, grad, opts, LAT_GRAD_ALL, out);
}
static lat_status rms(lat_context *context, const lat_tensor *x, const lat_array_view *grad, const lat_norm_opts *opts,
                      lat_norm_grads *out) {
  return lat_rms_norm_backward(context, x, grad, opts, LAT_GRAD_ALL, out);
}
static lat_status instance(lat_context *context, const lat_tensor *x, const lat_array_view *grad,
                           const lat_norm_opts *opts, lat_norm_grads *out) {
  return lat_instance_norm_backward(context, x, grad, opts, LAT_GRAD_ALL, out);
}
static lat_status group(lat_context *context, const lat_tensor *x, const lat_array_view *grad,
                        const lat_norm_opts *opts, lat_norm_grads *out) {
  return lat_group_norm_backward(context, x, 4, grad, opts, LAT_GRAD_ALL, out);
}

static lat_status batch_body(lat_context *context) {
  return run_backward(context, batch, 1);
}
static lat_status layer_body(lat_context *context) {
  return run_backward(context, layer, 1);
}
static lat_status rms_body(lat_context *context) {
  return run_backward(context, rms, 0);
}
static lat_status instance_body(lat_context *context) {
  return run_backward(context, instance, 1);
}
static lat_status group_body(lat_context *context) {
  return run_backward(context, group, 1);
}

static lat_status forward_body(lat_context *context) {
  lat_tensor *x = NULL, *y = NULL, *z = NULL;
  lat_status status = lat_test_oom_make_tensor(context, LAT_DTYPE_F16, &x);
  if (status == LAT_STATUS_OK) status = lat_instance_norm(context, x, NULL, &y);
  if (status == LAT_STATUS_OK) status = lat_group_norm(context, x, 2, NULL, &z);
  status = lat_test_oom_finish_tensor(status, z);
  lat_tensor_release(y);
  lat_tensor_release(x);
  return status;
}

static lat_status running_body(lat_context *context) {
  lat_array_view view = lat_view_1d(ones, LAT_DTYPE_F32, LAT_TEST_OOM_CHANNELS);
  lat_tensor *x = NULL;
  lat_running_stats stats = {NULL, NULL};
  lat_status status = lat_test_oom_make_tensor(context, LAT_DTYPE_F16, &x);
  if (status == LAT_STATUS_OK) status = lat_batch_norm_update_running(context, x, &view, &view, 0.1, &stats);
  if (status != LAT_STATUS_OK) assert_null(stats.mean);
  lat_array_release(stats.mean);
  status = lat_test_oom_finish_array(status, stats.var);
  lat_tensor_release(x);
  return status;
}

#define OOM_TEST(body)                                                                                                 \
  static void body##_survives(void **state) {                                                                          \
    (void)state;                                                                                                       \
    lat_test_oom(#body, body);                                                                                         \
  }
OOM_TEST(batch_body)
OOM_TEST(layer_body)
OOM_TEST(rms_body)
OOM_TEST(instance_body)
OOM_TEST(group_body)
OOM_TEST(forward_body)
OOM_TEST(running_body)

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(batch_body_survives),   cmocka_unit_test(layer_body_survives),
      cmocka_unit_test(rms_body_survives),     cmocka_unit_test(instance_body_survives),
      cmocka_unit_test(group_body_survives),   cmocka_unit_test(forward_body_survives),
      cmocka_unit_test(running_body_survives),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
