// Out of memory in convolutions, with the n-th allocation refused for every n.
#include <lattice/lattice.h>

#include "support/oom_inputs.h"
#include "support/test_allocator.h"
#include "support/test_support.h"

#define C_IN LAT_TEST_OOM_CHANNELS
#define C_OUT 16

typedef lat_status (*conv_fn)(lat_context *, const lat_tensor *, const lat_weight *, const lat_array_view *,
                              const lat_conv3d_opts *, lat_tensor **);

// x and a dense (C_OUT, 3, 3, 3, C_IN) weight go in, the result is recorded.
static lat_status run_conv(lat_context *context, lat_dtype dtype, conv_fn conv, const lat_conv3d_opts *opts) {
  const int64_t shape[5] = {C_OUT, 3, 3, 3, C_IN};
  const float bias[C_OUT] = {1, 2, 3};
  lat_array_view bias_view = lat_view_1d(bias, LAT_DTYPE_F32, C_OUT);
  lat_tensor *x = NULL;
  lat_array *dense = NULL;
  lat_tensor *y = NULL;
  lat_status status = lat_test_oom_make_tensor(context, dtype, &x);
  if (status == LAT_STATUS_OK) status = lat_test_oom_make_array(context, dtype, 5, shape, &dense);
  if (status == LAT_STATUS_OK) {
    lat_weight weight = lat_weight_dense(lat_array_as_view(dense));
    status = conv(context, x, &weight, &bias_view, opts, &y);
  }
  status = lat_test_oom_finish_tensor(status, y);
  lat_array_release(dense);
  lat_tensor_release(x);
  return status;
}

static lat_status strided_body(lat_context *context) {
  lat_conv3d_opts opts = LAT_CONV3D_OPTS_INIT;
  opts.stride = lat_triple_all(2);
  opts.padding = lat_triple_all(1);
  return run_conv(context, LAT_DTYPE_F32, lat_conv3d, &opts);
}

static lat_status strided_f16_body(lat_context *context) {
  lat_conv3d_opts opts = LAT_CONV3D_OPTS_INIT;
  opts.stride = lat_triple_all(2);
  return run_conv(context, LAT_DTYPE_F16, lat_conv3d, &opts);
}

static lat_status subm_conv_body(lat_context *context) {
  return run_conv(context, LAT_DTYPE_F32, lat_subm_conv3d, NULL);
}

static lat_status subm_conv_f16_body(lat_context *context) {
  return run_conv(context, LAT_DTYPE_F16, lat_subm_conv3d, NULL);
}

static lat_status target_conv_body(lat_context *context) {
  static const int32_t rows[3][4] = {{0, 0, 0, 0}, {1, 3, 2, 1}, {0, 9, 9, 9}};
  lat_array_view row_view = lat_view_2d(rows, LAT_DTYPE_I32, 3, 4);
  lat_conv3d_opts opts = LAT_CONV3D_OPTS_INIT;
  lat_coords *target = NULL;
  lat_status status = lat_coords_create(context, &row_view, NULL, &target);
  opts.coordinates = target;
  if (status == LAT_STATUS_OK) status = run_conv(context, LAT_DTYPE_F32, lat_conv3d, &opts);
  lat_coords_release(target);
  return status;
}

// Two layers of one geometry: the second uses the cached relation, both use kept blocks.
static lat_status chain_body(lat_context *context) {
  const int64_t shape[5] = {C_IN, 3, 3, 3, C_IN};
  lat_tensor *x = NULL;
  lat_array *dense = NULL;
  lat_tensor *y = NULL;
  lat_tensor *z = NULL;
  lat_status status = lat_test_oom_make_tensor(context, LAT_DTYPE_F32, &x);
  if (status == LAT_STATUS_OK) status = lat_test_oom_make_array(context, LAT_DTYPE_F32, 5, shape, &dense);
  if (status == LAT_STATUS_OK) {
    lat_weight weight = lat_weight_dense(lat_array_as_view(dense));
    status = lat_subm_conv3d(context, x, &weight, NULL, NULL, &y);
    if (status == LAT_STATUS_OK) status = lat_subm_conv3d(context, y, &weight, NULL, NULL, &z);
  }
  status = lat_test_oom_finish_tensor(status, z);
  lat_tensor_release(y);
  lat_array_release(dense);
  lat_tensor_release(x);
  return status;
}

// A transposed view is copied, 13 columns are no whole vectors, float16 is widened: every kind of scratch, with a bias.
static lat_status linear_scratch_body(lat_context *context) {
  enum { ODD_OUT = 13 };
  const int64_t weight_shape[2] = {LAT_TEST_OOM_CHANNELS, ODD_OUT}, bias_shape[1] = {ODD_OUT};
  lat_tensor *x = NULL, *y = NULL;
  lat_array *dense = NULL, *bias = NULL;
  lat_status status = lat_test_oom_make_tensor(context, LAT_DTYPE_F16, &x);
  if (status == LAT_STATUS_OK) status = lat_test_oom_make_array(context, LAT_DTYPE_F16, 2, weight_shape, &dense);
  if (status == LAT_STATUS_OK) status = lat_test_oom_make_array(context, LAT_DTYPE_F16, 1, bias_shape, &bias);
  if (status == LAT_STATUS_OK) {
    lat_array_view view = lat_array_as_view(dense), bias_view = lat_array_as_view(bias);
    lat_array_view transposed = lat_view_2d(view.data, view.dtype, ODD_OUT, LAT_TEST_OOM_CHANNELS);
    transposed.stride[0] = 1;
    transposed.stride[1] = ODD_OUT;
    lat_weight weight = lat_weight_dense(transposed);
    status = lat_linear(context, x, &weight, &bias_view, &y);
  }
  status = lat_test_oom_finish_tensor(status, y);
  lat_array_release(bias);
  lat_array_release(dense);
  lat_tensor_release(x);
  return status;
}

static lat_status fma_peak_body(lat_context *context) {
  double gflops = 0.0;
  return lat_measure_fma_peak(context, 1e-4, &gflops);
}

#define OOM_TEST(body)                                                                                                 \
  static void body##_survives(void **state) {                                                                          \
    (void)state;                                                                                                       \
    lat_test_oom(#body, body);                                                                                         \
  }
OOM_TEST(strided_body)
OOM_TEST(strided_f16_body)
OOM_TEST(subm_conv_body)
OOM_TEST(subm_conv_f16_body)
OOM_TEST(target_conv_body)
OOM_TEST(chain_body)
OOM_TEST(linear_scratch_body)
OOM_TEST(fma_peak_body)

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(strided_body_survives),        cmocka_unit_test(strided_f16_body_survives),
      cmocka_unit_test(subm_conv_body_survives),      cmocka_unit_test(subm_conv_f16_body_survives),
      cmocka_unit_test(target_conv_body_survives),    cmocka_unit_test(chain_body_survives),
      cmocka_unit_test(linear_scratch_body_survives), cmocka_unit_test(fma_peak_body_survives),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
