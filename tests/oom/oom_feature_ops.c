// Out of memory in activations with parameters, softmax, dropout, embedding and their gradients.
#include <lattice/lattice.h>

#include "support/oom_inputs.h"
#include "support/test_allocator.h"
#include "support/test_support.h"

typedef lat_status (*array_op)(lat_context *context, const lat_tensor *x, lat_array_view feats, lat_array **out);
typedef lat_status (*tensor_op)(lat_context *context, const lat_tensor *x, lat_tensor **out);

static const int32_t indices[LAT_TEST_OOM_ROWS] = {3, 1, 3};

static lat_status run_array(lat_context *context, array_op op) {
  lat_tensor *x = NULL;
  lat_array *y = NULL;
  lat_status status = lat_test_oom_make_tensor(context, LAT_DTYPE_F16, &x);
  if (status == LAT_STATUS_OK) status = op(context, x, lat_tensor_feats(x), &y);
  status = lat_test_oom_finish_array(status, y);
  lat_tensor_release(x);
  return status;
}

static lat_status run_tensor(lat_context *context, tensor_op op) {
  lat_tensor *x = NULL, *y = NULL;
  lat_status status = lat_test_oom_make_tensor(context, LAT_DTYPE_F16, &x);
  if (status == LAT_STATUS_OK) status = op(context, x, &y);
  status = lat_test_oom_finish_tensor(status, y);
  lat_tensor_release(x);
  return status;
}

static lat_status activation_of(lat_context *context, const lat_tensor *x, lat_tensor **out) {
  return lat_activation(context, x, LAT_ACTIVATION_SOFTPLUS, NULL, out);
}
static lat_status dropout_of(lat_context *context, const lat_tensor *x, lat_tensor **out) {
  return lat_dropout(context, x, NULL, out);
}
static lat_status norm_features_of(lat_context *context, const lat_tensor *x, lat_array_view feats, lat_array **out) {
  lat_norm_opts opts = LAT_NORM_OPTS_INIT;
  lat_array_view scale = feats;
  (void)x;
  scale.rank = 1;
  scale.shape[0] = feats.shape[1];
  scale.stride[0] = feats.stride[1];
  opts.weight = &scale;
  return lat_rms_norm_features(context, &feats, &opts, out);
}
static lat_status linear_features_of(lat_context *context, const lat_tensor *x, lat_array_view feats, lat_array **out) {
  (void)x;
  lat_weight weight = {.dense = feats};
  return lat_linear_features(context, &feats, &weight, NULL, out);
}
static lat_status round_of(lat_context *context, const lat_tensor *x, lat_array_view feats, lat_array **out) {
  (void)x;
  return lat_round(context, &feats, out);
}
static lat_status exp_of(lat_context *context, const lat_tensor *x, lat_array_view feats, lat_array **out) {
  (void)x;
  return lat_exp(context, &feats, out);
}
static lat_status softmax_of(lat_context *context, const lat_tensor *x, lat_array_view feats, lat_array **out) {
  (void)x;
  return lat_softmax(context, &feats, out);
}
static lat_status softmax_backward_of(lat_context *context, const lat_tensor *x, lat_array_view feats,
                                      lat_array **out) {
  (void)x;
  return lat_softmax_backward(context, &feats, &feats, out);
}
static lat_status activation_backward_of(lat_context *context, const lat_tensor *x, lat_array_view feats,
                                         lat_array **out) {
  return lat_activation_backward(context, x, LAT_ACTIVATION_GELU, &feats, NULL, out);
}
static lat_status dropout_backward_of(lat_context *context, const lat_tensor *x, lat_array_view feats,
                                      lat_array **out) {
  return lat_dropout_backward(context, x, &feats, NULL, out);
}
static lat_status lookup_of(lat_context *context, const lat_tensor *x, lat_array_view feats, lat_array **out) {
  lat_array_view view = lat_view_1d(indices, LAT_DTYPE_I32, LAT_TEST_OOM_ROWS);
  (void)x;
  return lat_embedding_lookup(context, &view, &feats, out);
}
static lat_status embedding_backward_of(lat_context *context, const lat_tensor *x, lat_array_view feats,
                                        lat_array **out) {
  lat_array_view view = lat_view_1d(indices, LAT_DTYPE_I32, LAT_TEST_OOM_ROWS);
  (void)x;
  return lat_embedding_backward(context, &view, &feats, &feats, out);
}

#define OOM_TEST(runner, name)                                                                                         \
  static lat_status name##_body(lat_context *context) {                                                                \
    return runner(context, name##_of);                                                                                 \
  }                                                                                                                    \
  static void name##_survives(void **state) {                                                                          \
    (void)state;                                                                                                       \
    lat_test_oom(#name, name##_body);                                                                                  \
  }
OOM_TEST(run_tensor, activation)
OOM_TEST(run_tensor, dropout)
OOM_TEST(run_array, round)
OOM_TEST(run_array, exp)
OOM_TEST(run_array, softmax)
OOM_TEST(run_array, softmax_backward)
OOM_TEST(run_array, activation_backward)
OOM_TEST(run_array, dropout_backward)
OOM_TEST(run_array, lookup)
OOM_TEST(run_array, embedding_backward)
OOM_TEST(run_array, norm_features)
OOM_TEST(run_array, linear_features)

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(activation_survives),
      cmocka_unit_test(dropout_survives),
      cmocka_unit_test(round_survives),
      cmocka_unit_test(exp_survives),
      cmocka_unit_test(softmax_survives),
      cmocka_unit_test(softmax_backward_survives),
      cmocka_unit_test(activation_backward_survives),
      cmocka_unit_test(dropout_backward_survives),
      cmocka_unit_test(lookup_survives),
      cmocka_unit_test(embedding_backward_survives),
      cmocka_unit_test(norm_features_survives),
      cmocka_unit_test(linear_features_survives),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
