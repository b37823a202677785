// Out of memory in transposed, generative, inverse, normalized and grouped convolutions, with the n-th allocation refused for every n.
#include <lattice/lattice.h>

#include "support/oom_inputs.h"
#include "support/test_allocator.h"
#include "support/test_support.h"

#define C_IN LAT_TEST_OOM_CHANNELS
#define C_OUT 12

typedef lat_status (*conv_fn)(lat_context *, const lat_tensor *, const lat_weight *, const lat_array_view *,
                              const lat_conv3d_opts *, lat_tensor **);

/// `conv` of x with a (c_out, size, size, size, C_IN / groups) weight; the result is recorded.
static lat_status run_on(lat_context *context, const lat_tensor *x, conv_fn conv, int32_t size,
                         const lat_conv3d_opts *opts) {
  const int64_t groups = opts->groups > 1 ? opts->groups : 1, c_out = groups == C_IN ? C_IN : C_OUT;
  const int64_t shape[5] = {c_out, size, size, size, C_IN / groups};
  const float bias[C_IN] = {1, 2, 3};
  lat_array_view bias_view = lat_view_1d(bias, LAT_DTYPE_F32, c_out);
  lat_array *dense = NULL;
  lat_tensor *y = NULL;
  lat_status status = lat_test_oom_make_array(context, lat_tensor_dtype(x), 5, shape, &dense);
  if (status == LAT_STATUS_OK) {
    lat_weight weight = lat_weight_dense(lat_array_as_view(dense));
    status = conv(context, x, &weight, &bias_view, opts, &y);
  }
  status = lat_test_oom_finish_tensor(status, y);
  lat_array_release(dense);
  return status;
}

static lat_status run(lat_context *context, lat_dtype dtype, conv_fn conv, const lat_conv3d_opts *opts) {
  lat_tensor *x = NULL;
  lat_status status = lat_test_oom_make_tensor(context, dtype, &x);
  if (status == LAT_STATUS_OK) status = run_on(context, x, conv, 2, opts);
  lat_tensor_release(x);
  return status;
}

/// Tensors of these tests have stride 1, which only stride 1 divides; kernel 2 then merges outputs.
static lat_conv3d_opts stride_one(void) {
  lat_conv3d_opts opts = LAT_CONV3D_OPTS_INIT;
  opts.stride = lat_triple_all(1);
  return opts;
}

static lat_status transpose_body(lat_context *context) {
  lat_conv3d_opts opts = stride_one();
  return run(context, LAT_DTYPE_F32, lat_conv_transpose3d, &opts);
}

static lat_status transpose_f16_body(lat_context *context) {
  lat_conv3d_opts opts = stride_one();
  return run(context, LAT_DTYPE_F16, lat_conv_transpose3d, &opts);
}

static lat_status generative_body(lat_context *context) {
  lat_conv3d_opts opts = stride_one();
  return run(context, LAT_DTYPE_F32, lat_generative_conv_transpose3d, &opts);
}

static lat_status normalized_body(lat_context *context) {
  lat_conv3d_opts opts = stride_one();
  return run(context, LAT_DTYPE_F16, lat_normalized_conv_transpose3d, &opts);
}

static lat_status grouped_body(lat_context *context) {
  lat_conv3d_opts opts = stride_one();
  opts.groups = 4;
  return run(context, LAT_DTYPE_F16, lat_conv_transpose3d, &opts);
}

static lat_status depthwise_body(lat_context *context) {
  lat_conv3d_opts opts = stride_one();
  opts.groups = C_IN;
  return run(context, LAT_DTYPE_F16, lat_conv_transpose3d, &opts);
}

static lat_status target_body(lat_context *context) {
  static const int32_t rows[3][4] = {{0, 0, 0, 0}, {1, 3, 2, 1}, {0, 9, 9, 9}};
  lat_array_view row_view = lat_view_2d(rows, LAT_DTYPE_I32, 3, 4);
  lat_conv3d_opts opts = stride_one();
  lat_coords *target = NULL;
  lat_status status = lat_coords_create(context, &row_view, NULL, &target);
  opts.coordinates = target;
  if (status == LAT_STATUS_OK) status = run(context, LAT_DTYPE_F32, lat_conv_transpose3d, &opts);
  lat_coords_release(target);
  return status;
}

/// Down with stride 2 and back.
static lat_status inverse_body(lat_context *context) {
  const int64_t shape[5] = {C_IN, 3, 3, 3, C_IN};
  lat_conv3d_opts opts = LAT_CONV3D_OPTS_INIT;
  lat_tensor *x = NULL;
  lat_tensor *coarse = NULL;
  lat_array *dense = NULL;
  opts.stride = lat_triple_all(2);
  lat_status status = lat_test_oom_make_tensor(context, LAT_DTYPE_F32, &x);
  if (status == LAT_STATUS_OK) status = lat_test_oom_make_array(context, LAT_DTYPE_F32, 5, shape, &dense);
  if (status == LAT_STATUS_OK) {
    lat_weight weight = lat_weight_dense(lat_array_as_view(dense));
    status = lat_conv3d(context, x, &weight, NULL, &opts, &coarse);
  }
  if (status == LAT_STATUS_OK) {
    opts.coordinates = lat_tensor_coords(x);
    status = run_on(context, coarse, lat_inverse_conv3d, 3, &opts);
  }
  lat_tensor_release(coarse);
  lat_array_release(dense);
  lat_tensor_release(x);
  return status;
}

#define OOM_TEST(body)                                                                                                 \
  static void body##_survives(void **state) {                                                                          \
    (void)state;                                                                                                       \
    lat_test_oom(#body, body);                                                                                         \
  }
OOM_TEST(transpose_body)
OOM_TEST(transpose_f16_body)
OOM_TEST(generative_body)
OOM_TEST(normalized_body)
OOM_TEST(grouped_body)
OOM_TEST(depthwise_body)
OOM_TEST(target_body)
OOM_TEST(inverse_body)

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(transpose_body_survives),  cmocka_unit_test(transpose_f16_body_survives),
      cmocka_unit_test(generative_body_survives), cmocka_unit_test(target_body_survives),
      cmocka_unit_test(inverse_body_survives),    cmocka_unit_test(normalized_body_survives),
      cmocka_unit_test(grouped_body_survives),    cmocka_unit_test(depthwise_body_survives),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
