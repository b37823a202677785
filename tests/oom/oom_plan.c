// Out of memory while plans are made and applied, with the n-th allocation refused for every n.
#include <lattice/lattice.h>

#include "support/oom_inputs.h"
#include "support/test_allocator.h"
#include "support/test_support.h"

#define C_IN LAT_TEST_OOM_CHANNELS
#define C_OUT 12

typedef lat_status (*plan_fn)(lat_context *, const lat_plan_input *, const lat_weight *, const lat_conv3d_opts *,
                              const lat_plan_opts *, lat_plan **);

/// A plan with a full epilogue is made and applied to a tensor of `dtype`; the result is recorded. `packs`: with a packed
/// weight and quantized features.
static lat_status run_plan(lat_context *context, lat_dtype dtype, plan_fn create, int packs) {
  const int64_t shape[5] = {C_OUT, 3, 3, 3, C_IN};
  const float params[C_OUT] = {1, 2, 3};
  lat_array_view view = lat_view_1d(params, LAT_DTYPE_F32, C_OUT);
  lat_norm_opts norm = {sizeof norm, &view, &view, &view, &view, 0.0};
  lat_conv3d_opts opts = LAT_CONV3D_OPTS_INIT;
  opts.kernel_size = lat_triple_all(3);
  opts.stride = lat_triple_all(1);
  lat_plan_opts plan_opts = {
      sizeof plan_opts, &view, &norm, LAT_RESIDUAL_NONE, 1, LAT_ACTIVATION_SILU, NULL, packs, NULL};
  lat_weight_panels_opts panels_opts = {sizeof panels_opts, dtype, 0, 0, packs};
  lat_weight_panels *panels = NULL;
  lat_tensor *x = NULL, *y = NULL;
  lat_array *dense = NULL;
  lat_plan *plan = NULL;
  lat_quantized_weight *packed = NULL;
  lat_status status = lat_test_oom_make_tensor(context, dtype, &x);
  if (!status) status = lat_test_oom_make_array(context, packs ? LAT_DTYPE_F32 : dtype, 5, shape, &dense);
  if (!status && packs) {
    lat_array_view dense_view = lat_array_as_view(dense);
    status = lat_quantize_weight(context, &dense_view, NULL, &packed);
  }
  if (!status) {
    lat_weight weight = packs ? lat_weight_packed(packed) : lat_weight_dense(lat_array_as_view(dense));
    lat_plan_input input = {sizeof input, lat_tensor_coords(x), C_IN, dtype};
    status = lat_weight_panels_create(context, &weight, &panels_opts, &panels);
    if (status) assert_null(panels);
    plan_opts.panels = panels; // a normalized convolution makes its own
    if (!status) status = create(context, &input, &weight, &opts, &plan_opts, &plan);
    if (status) assert_null(plan);
  }
  if (!status) status = lat_plan_apply(context, plan, x, NULL, &y);
  status = lat_test_oom_finish_tensor(status, y);
  lat_plan_release(plan);
  lat_weight_panels_release(panels);
  lat_quantized_weight_release(packed);
  lat_array_release(dense);
  lat_tensor_release(x);
  return status;
}

static lat_status subm_body(lat_context *context) {
  return run_plan(context, LAT_DTYPE_F32, lat_subm_conv3d_plan_create, 0);
}

static lat_status strided_f16_body(lat_context *context) {
  return run_plan(context, LAT_DTYPE_F16, lat_conv3d_plan_create, 0);
}

static lat_status normalized_body(lat_context *context) {
  return run_plan(context, LAT_DTYPE_BF16, lat_normalized_subm_conv3d_plan_create, 0);
}

static lat_status quantized_body(lat_context *context) {
  return run_plan(context, LAT_DTYPE_F16, lat_conv3d_plan_create, 1);
}

static void test_quantized(void **state) {
  (void)state;
  lat_test_oom("plan with quantized features", quantized_body);
}

static void test_subm(void **state) {
  (void)state;
  lat_test_oom("subm plan", subm_body);
}

static void test_strided_f16(void **state) {
  (void)state;
  lat_test_oom("strided float16 plan", strided_f16_body);
}

static void test_normalized(void **state) {
  (void)state;
  lat_test_oom("normalized plan", normalized_body);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_subm),
      cmocka_unit_test(test_strided_f16),
      cmocka_unit_test(test_normalized),
      cmocka_unit_test(test_quantized),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
