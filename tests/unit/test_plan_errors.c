// What plans refuse: in their creators, and before a run writes anything.
//
// null arguments: lat_conv3d_plan_create lat_subm_conv3d_plan_create lat_conv_transpose3d_plan_create
// null arguments: lat_generative_conv_transpose3d_plan_create lat_inverse_conv3d_plan_create
// null arguments: lat_normalized_subm_conv3d_plan_create lat_normalized_conv_transpose3d_plan_create
// null arguments: lat_normalized_generative_conv_transpose3d_plan_create lat_linear_plan_create
// null arguments: lat_plan_workspace_bytes lat_plan_run lat_plan_apply lat_plan_explain
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include <lattice/lattice.h>

#include "support/tensor_cases.h"
#include "support/test_allocator.h"
#include "support/test_support.h"

enum { N = 4, C_IN = 2, C_OUT = 3 };

typedef lat_status (*plan_fn)(lat_context *, const lat_plan_input *, const lat_weight *, const lat_conv3d_opts *,
                              const lat_plan_opts *, lat_plan **);

static lat_status linear_plan(lat_context *context, const lat_plan_input *input, const lat_weight *weight,
                              const lat_conv3d_opts *opts, const lat_plan_opts *plan_opts, lat_plan **out) {
  (void)opts;
  return lat_linear_plan_create(context, input, weight, plan_opts, out);
}

static lat_test_allocator counter;
static lat_context *context;
static lat_coords *coords;
static float numbers[8 * C_IN * C_OUT];

static int set_up(void **state) {
  static const int32_t rows[N][4] = {{0, 0, 0, 0}, {0, 1, 0, 0}, {0, 1, 1, 0}, {0, 2, 1, 0}};
  lat_coords_opts opts = LAT_COORDS_OPTS_INIT;
  lat_array_view view = lat_view_2d(rows, LAT_DTYPE_I32, N, 4);
  (void)state;
  memset(&counter, 0, sizeof counter);
  context = lat_test_context_create(&counter, 1);
  opts.stride = lat_triple_all(2);
  lat_test_assert_ok(lat_coords_create(context, &view, &opts, &coords));
  for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++) numbers[i] = (float)i * 0.25f;
  return 0;
}

static int tear_down(void **state) {
  (void)state;
  lat_coords_release(coords);
  lat_test_context_finish(context, &counter);
  return 0;
}

static lat_weight weight_of(int64_t volume) {
  const int64_t shape[3] = {volume, C_IN, C_OUT};
  return lat_weight_dense(lat_view(numbers, LAT_DTYPE_F32, 3, shape));
}

static lat_plan_input good_input(void) {
  lat_plan_input input = {sizeof input, coords, C_IN, LAT_DTYPE_F32};
  return input;
}

/// A pointwise plan with these options.
static lat_plan *make_plan(const lat_plan_opts *plan_opts) {
  lat_conv3d_opts opts = LAT_CONV3D_OPTS_INIT;
  lat_plan_input input = good_input();
  lat_weight weight = weight_of(1);
  lat_plan *plan = NULL;
  opts.kernel_size = lat_triple_all(1);
  lat_test_assert_ok(lat_conv3d_plan_create(context, &input, &weight, &opts, plan_opts, &plan));
  return plan;
}

static void test_null_arguments_of_creators(void **state) {
  static const struct {
    plan_fn create;
    const char *name;
    int32_t size;
  } creators[] = {
      {lat_conv3d_plan_create, "conv3d_plan_create: ", 1},
      {lat_subm_conv3d_plan_create, "subm_conv3d_plan_create: ", 1},
      {lat_conv_transpose3d_plan_create, "conv_transpose3d_plan_create: ", 2},
      {lat_generative_conv_transpose3d_plan_create, "generative_conv_transpose3d_plan_create: ", 2},
      {lat_inverse_conv3d_plan_create, "inverse_conv3d_plan_create: ", 1},
      {lat_normalized_subm_conv3d_plan_create, "normalized_subm_conv3d_plan_create: ", 1},
      {lat_normalized_conv_transpose3d_plan_create, "normalized_conv_transpose3d_plan_create: ", 2},
      {lat_normalized_generative_conv_transpose3d_plan_create,
       "normalized_generative_conv_transpose3d_plan_create: ", 2},
      {linear_plan, "linear_plan_create: ", 1},
  };
  static const char *const missing[] = {"context: got NULL", "input: got NULL", "weight: got NULL", "out: got NULL"};
  (void)state;
  for (size_t i = 0; i < sizeof creators / sizeof creators[0]; i++) {
    lat_conv3d_opts opts = LAT_CONV3D_OPTS_INIT;
    lat_plan_input input = good_input();
    lat_weight weight = weight_of(creators[i].size == 2 ? 8 : 1);
    if (creators[i].create == linear_plan) {
      weight = lat_weight_dense(lat_view_2d(numbers, LAT_DTYPE_F32, C_OUT, C_IN));
    }
    opts.kernel_size = lat_triple_all(creators[i].size);
    if (creators[i].create == lat_inverse_conv3d_plan_create) opts.coordinates = coords;
    for (int which = 0; which <= 4; which++) {
      lat_plan *plan = (lat_plan *)&input; // to be cleared
      lat_status status = creators[i].create(which == 0 ? NULL : context, which == 1 ? NULL : &input,
                                             which == 2 ? NULL : &weight, &opts, NULL, which == 3 ? NULL : &plan);
      if (which == 4) {
        lat_test_assert_ok(status);
        lat_plan_release(plan);
        continue;
      }
      lat_test_assert_error(status, LAT_STATUS_INVALID_ARGUMENT, missing[which]);
      assert_ptr_equal(strstr(lat_last_error(), creators[i].name), lat_last_error());
      if (which != 3) assert_null(plan);
    }
  }
}

static void refuse(const lat_plan_input *input, const lat_weight *weight, const lat_conv3d_opts *opts,
                   const lat_plan_opts *plan_opts, lat_status expected, const char *fragment) {
  lat_plan *plan = (lat_plan *)&counter;
  lat_test_assert_error(lat_conv3d_plan_create(context, input, weight, opts, plan_opts, &plan), expected, fragment);
  assert_null(plan);
}

static void test_input(void **state) {
  (void)state;
  lat_weight weight = weight_of(1);
  lat_conv3d_opts opts = LAT_CONV3D_OPTS_INIT;
  opts.kernel_size = lat_triple_all(1);
  lat_plan_input input = good_input();
  input.coords = NULL;
  refuse(&input, &weight, &opts, NULL, LAT_STATUS_INVALID_ARGUMENT, "input.coords: got NULL");
  input = good_input();
  input.channels = -1;
  refuse(&input, &weight, &opts, NULL, LAT_STATUS_INVALID_SHAPE, "channels must be non-negative: got -1");
  input.channels = INT64_MAX / 2;
  refuse(&input, &weight, &opts, NULL, LAT_STATUS_OVERFLOW, "input size: got 4 rows");
  input.channels = C_IN + 1;
  refuse(&input, &weight, &opts, NULL, LAT_STATUS_INVALID_SHAPE,
         "conv3d_plan_create: weight input channels must match x.channels: got 2, expected 3");
  input = good_input();
  input.dtype = LAT_DTYPE_I32;
  refuse(&input, &weight, &opts, NULL, LAT_STATUS_INVALID_DTYPE, "input dtype: got int32");
  input.dtype = LAT_DTYPE_F16;
  refuse(&input, &weight, &opts, NULL, LAT_STATUS_INVALID_DTYPE, "weights must match feature dtype");
  input = good_input();
  input.struct_bytes = 3;
  refuse(&input, &weight, &opts, NULL, LAT_STATUS_INVALID_ARGUMENT, "conv3d_plan_create");
  input = good_input();
  opts.stride.x = -1;
  refuse(&input, &weight, &opts, NULL, LAT_STATUS_INVALID_ARGUMENT, "stride");
}

static void test_epilogue(void **state) {
  (void)state;
  const float three[C_OUT] = {1, 2, 3}, nan_slope = NAN;
  lat_array_view good = lat_view_1d(three, LAT_DTYPE_F32, C_OUT), shorter = lat_view_1d(three, LAT_DTYPE_F32, 2);
  lat_weight weight = weight_of(1);
  lat_plan_input input = good_input();
  lat_conv3d_opts opts = LAT_CONV3D_OPTS_INIT;
  opts.kernel_size = lat_triple_all(1);
  lat_plan_opts plan_opts = LAT_PLAN_OPTS_INIT;
  plan_opts.residual = (lat_residual)3;
  refuse(&input, &weight, &opts, &plan_opts, LAT_STATUS_INVALID_ARGUMENT, "residual: got 3");
  plan_opts = (lat_plan_opts)LAT_PLAN_OPTS_INIT;
  plan_opts.bias = &shorter;
  refuse(&input, &weight, &opts, &plan_opts, LAT_STATUS_INVALID_SHAPE, "bias channels must match output channels");
  plan_opts = (lat_plan_opts)LAT_PLAN_OPTS_INIT;
  lat_norm_opts norm = {sizeof norm, NULL, NULL, &good, NULL, 0.0};
  plan_opts.norm = &norm;
  refuse(&input, &weight, &opts, &plan_opts, LAT_STATUS_INVALID_ARGUMENT, "norm needs mean and var");
  norm.var = &shorter;
  refuse(&input, &weight, &opts, &plan_opts, LAT_STATUS_INVALID_SHAPE, "var must have shape (C,)");
  norm.var = &good;
  norm.eps = -1.0;
  refuse(&input, &weight, &opts, &plan_opts, LAT_STATUS_INVALID_ARGUMENT, "eps must be positive");
  plan_opts = (lat_plan_opts)LAT_PLAN_OPTS_INIT;
  plan_opts.activates = 1;
  plan_opts.activation = (lat_activation_kind)77;
  refuse(&input, &weight, &opts, &plan_opts, LAT_STATUS_INVALID_ARGUMENT, "kind: got 77");
  lat_activation_opts activation = {sizeof activation, (double)nan_slope, 0.0, 0.0};
  plan_opts.activation = LAT_ACTIVATION_LEAKY_RELU;
  plan_opts.activation_opts = &activation;
  refuse(&input, &weight, &opts, &plan_opts, LAT_STATUS_INVALID_ARGUMENT, "alpha must be finite");
}

/// Good buffers of a pointwise plan. y and the workspace lie in one block, so that tests can move them over each other.
typedef struct buffers_case {
  float x[N * C_IN], memory[16384];
  lat_array_view x_view, residual_view;
  float residual[N * C_OUT];
  lat_plan_buffers buffers;
} buffers_case;

static buffers_case *open_buffers(const lat_plan *plan) {
  size_t need = 0;
  buffers_case *b = calloc(1, sizeof *b);
  lat_test_assert_ok(lat_plan_workspace_bytes(context, plan, &need));
  assert_true(need <= sizeof b->memory - 1024); // 0 without a residual at level scalar, where C_OUT fills its vectors
  b->x_view = lat_view_2d(b->x, LAT_DTYPE_F32, N, C_IN);
  b->residual_view = lat_view_2d(b->residual, LAT_DTYPE_F32, N, C_OUT);
  b->buffers = (lat_plan_buffers)LAT_PLAN_BUFFERS_INIT;
  b->buffers.x = &b->x_view;
  b->buffers.residual = lat_plan_info(plan).residual ? &b->residual_view : NULL;
  b->buffers.y = b->memory;
  b->buffers.y_bytes = lat_plan_info(plan).out_bytes;
  b->buffers.workspace = b->memory + 64;
  b->buffers.workspace_bytes = need;
  return b;
}

/// The call fails, and nothing was written.
static void refuse_run(const lat_plan *plan, buffers_case *b, lat_status expected, const char *fragment) {
  lat_test_assert_error(lat_plan_run(context, plan, &b->buffers), expected, fragment);
  for (size_t i = 0; i < sizeof b->memory / sizeof b->memory[0]; i++) assert_float_equal(b->memory[i], 0.0f, 0.0f);
  free(b);
}

static void test_null_arguments_of_runs(void **state) {
  (void)state;
  lat_plan *plan = make_plan(NULL);
  buffers_case *b = open_buffers(plan);
  size_t bytes = 0;
  char text[8];
  lat_test_assert_error(lat_plan_workspace_bytes(NULL, plan, &bytes), LAT_STATUS_INVALID_ARGUMENT, "context: got NULL");
  lat_test_assert_error(lat_plan_workspace_bytes(context, NULL, &bytes), LAT_STATUS_INVALID_ARGUMENT, "plan: got NULL");
  lat_test_assert_error(lat_plan_workspace_bytes(context, plan, NULL), LAT_STATUS_INVALID_ARGUMENT,
                        "plan_workspace_bytes: bytes: got NULL");
  lat_test_assert_error(lat_plan_run(NULL, plan, &b->buffers), LAT_STATUS_INVALID_ARGUMENT, "context: got NULL");
  lat_test_assert_error(lat_plan_run(context, NULL, &b->buffers), LAT_STATUS_INVALID_ARGUMENT, "plan: got NULL");
  lat_test_assert_error(lat_plan_run(context, plan, NULL), LAT_STATUS_INVALID_ARGUMENT, "plan_run: buffers: got NULL");
  lat_test_assert_error(lat_plan_explain(NULL, plan, text, sizeof text), LAT_STATUS_INVALID_ARGUMENT,
                        "context: got NULL");
  lat_test_assert_error(lat_plan_explain(context, NULL, text, sizeof text), LAT_STATUS_INVALID_ARGUMENT,
                        "plan: got NULL");
  lat_test_assert_error(lat_plan_explain(context, plan, NULL, 8), LAT_STATUS_INVALID_ARGUMENT,
                        "plan_explain: text: got NULL");
  lat_test_assert_ok(lat_plan_run(context, plan, &b->buffers)); // all the others are good
  free(b);
  lat_plan_release(plan);
}

static void test_runs_refuse_features(void **state) {
  (void)state;
  lat_plan_opts opts = LAT_PLAN_OPTS_INIT;
  opts.residual = LAT_RESIDUAL_BEFORE_ACTIVATION;
  lat_plan *plan = make_plan(NULL), *adding = make_plan(&opts);
  buffers_case *b = open_buffers(plan);
  b->buffers.x = NULL;
  refuse_run(plan, b, LAT_STATUS_INVALID_ARGUMENT, "x: got NULL");
  b = open_buffers(plan);
  b->x_view = lat_view_2d(b->x, LAT_DTYPE_F32, N - 1, C_IN);
  refuse_run(plan, b, LAT_STATUS_INVALID_SHAPE, "x must have shape (rows, channels): got (3, 2), expected (4, 2)");
  b = open_buffers(plan);
  b->x_view = lat_view_2d(b->x, LAT_DTYPE_F32, N, 1);
  refuse_run(plan, b, LAT_STATUS_INVALID_SHAPE, "x must have shape");
  b = open_buffers(plan);
  b->x_view = lat_view_1d(b->x, LAT_DTYPE_F32, N * C_IN);
  refuse_run(plan, b, LAT_STATUS_INVALID_SHAPE, "x must have shape");
  b = open_buffers(plan);
  b->x_view.dtype = LAT_DTYPE_F16;
  refuse_run(plan, b, LAT_STATUS_INVALID_DTYPE, "x dtype: got float16, expected float32");
  b = open_buffers(plan);
  b->x_view.stride[0] = 0;
  refuse_run(plan, b, LAT_STATUS_INVALID_SHAPE, "x must be contiguous: got strides (0, 1)");
  b = open_buffers(plan);
  b->buffers.residual = &b->residual_view;
  refuse_run(plan, b, LAT_STATUS_INVALID_ARGUMENT, "residual: got one, expected NULL");
  b = open_buffers(adding);
  b->buffers.residual = NULL;
  refuse_run(adding, b, LAT_STATUS_INVALID_ARGUMENT, "residual: got NULL, expected (4, 3) float32 features");
  b = open_buffers(adding);
  b->residual_view.shape[1] = 2;
  refuse_run(adding, b, LAT_STATUS_INVALID_SHAPE, "residual must have shape");
  b = open_buffers(adding);
  b->residual_view.dtype = LAT_DTYPE_BF16;
  refuse_run(adding, b, LAT_STATUS_INVALID_DTYPE, "residual dtype: got bfloat16");
  lat_plan_release(plan);
  lat_plan_release(adding);
}

static void test_runs_refuse_memory(void **state) {
  (void)state;
  lat_plan_opts opts = LAT_PLAN_OPTS_INIT;
  opts.residual = LAT_RESIDUAL_AFTER_ACTIVATION;
  lat_plan *plan = make_plan(&opts);
  buffers_case *b = open_buffers(plan);
  assert_true(b->buffers.workspace_bytes > 0);
  b->buffers.y = NULL;
  refuse_run(plan, b, LAT_STATUS_INVALID_ARGUMENT, "y: got NULL, expected 48 bytes");
  b = open_buffers(plan);
  b->buffers.y_bytes--;
  refuse_run(plan, b, LAT_STATUS_INVALID_ARGUMENT, "y is too small: got 47 bytes, expected 48");
  b = open_buffers(plan);
  b->buffers.y = (char *)b->buffers.y + 1;
  refuse_run(plan, b, LAT_STATUS_INVALID_ARGUMENT, "y must be aligned to its elements");
  b = open_buffers(plan);
  b->buffers.workspace_bytes--;
  refuse_run(plan, b, LAT_STATUS_INVALID_ARGUMENT, "workspace is too small");
  b = open_buffers(plan);
  b->buffers.workspace = NULL;
  refuse_run(plan, b, LAT_STATUS_INVALID_ARGUMENT, "workspace: got NULL");
  b = open_buffers(plan);
  b->buffers.workspace = b->memory + 11; // the last element of y
  refuse_run(plan, b, LAT_STATUS_INVALID_ARGUMENT, "y must not overlap workspace");
  b = open_buffers(plan);
  b->x_view.data = b->memory + 5;
  refuse_run(plan, b, LAT_STATUS_INVALID_ARGUMENT, "y must not overlap x");
  b = open_buffers(plan);
  b->residual_view.data = b->memory;
  refuse_run(plan, b, LAT_STATUS_INVALID_ARGUMENT, "y must not overlap residual");
  b = open_buffers(plan);
  b->x_view.data = b->memory + 70;
  refuse_run(plan, b, LAT_STATUS_INVALID_ARGUMENT, "workspace must not overlap x");
  b = open_buffers(plan);
  b->residual_view.data = b->memory + 70;
  refuse_run(plan, b, LAT_STATUS_INVALID_ARGUMENT, "workspace must not overlap residual");
  b = open_buffers(plan);
  b->buffers.struct_bytes = 1;
  refuse_run(plan, b, LAT_STATUS_INVALID_ARGUMENT, "plan_run");
  b = open_buffers(plan);
  b->buffers.workspace = b->memory + 12; // touching is not overlapping
  lat_test_assert_ok(lat_plan_run(context, plan, &b->buffers));
  free(b);
  lat_plan_release(plan);
}

static void test_apply(void **state) {
  (void)state;
  static const double feats[N * C_OUT] = {1};
  lat_plan_opts opts = LAT_PLAN_OPTS_INIT;
  opts.residual = LAT_RESIDUAL_BEFORE_ACTIVATION;
  lat_plan *plan = make_plan(&opts);
  lat_coords *twin = lat_test_coords(context, (const int32_t[]){0, 0, 0, 0, 0, 1, 0, 0, 0, 1, 1, 0, 0, 2, 1, 0}, N);
  lat_tensor *x = lat_test_tensor_on(context, coords, feats, C_IN, LAT_DTYPE_F32, NULL);
  lat_tensor *y = lat_test_tensor_on(context, coords, feats, C_OUT, LAT_DTYPE_F32, NULL);
  lat_tensor *strange = lat_test_tensor_on(context, twin, feats, C_IN, LAT_DTYPE_F32, NULL), *out = x;
  lat_test_assert_error(lat_plan_apply(NULL, plan, x, y, &out), LAT_STATUS_INVALID_ARGUMENT,
                        "plan_apply: context: got NULL");
  assert_null(out);
  lat_test_assert_error(lat_plan_apply(context, NULL, x, y, &out), LAT_STATUS_INVALID_ARGUMENT, "plan: got NULL");
  lat_test_assert_error(lat_plan_apply(context, plan, NULL, y, &out), LAT_STATUS_INVALID_ARGUMENT, "x: got NULL");
  lat_test_assert_error(lat_plan_apply(context, plan, x, y, NULL), LAT_STATUS_INVALID_ARGUMENT, "out: got NULL");
  lat_test_assert_error(lat_plan_apply(context, plan, strange, y, &out), LAT_STATUS_INVALID_ARGUMENT,
                        "x must lie on the plan's input set");
  assert_null(out);
  lat_test_assert_error(lat_plan_apply(context, plan, x, strange, &out), LAT_STATUS_INVALID_ARGUMENT,
                        "residual must lie on the plan's output set");
  lat_test_assert_error(lat_plan_apply(context, plan, x, NULL, &out), LAT_STATUS_INVALID_ARGUMENT,
                        "residual: got NULL");
  lat_test_assert_error(lat_plan_apply(context, plan, y, y, &out), LAT_STATUS_INVALID_SHAPE, "x must have shape");
  assert_null(out);
  lat_tensor_release(x);
  lat_tensor_release(y);
  lat_tensor_release(strange);
  lat_coords_release(twin);
  lat_plan_release(plan);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test_setup_teardown(test_null_arguments_of_creators, set_up, tear_down),
      cmocka_unit_test_setup_teardown(test_input, set_up, tear_down),
      cmocka_unit_test_setup_teardown(test_epilogue, set_up, tear_down),
      cmocka_unit_test_setup_teardown(test_null_arguments_of_runs, set_up, tear_down),
      cmocka_unit_test_setup_teardown(test_runs_refuse_features, set_up, tear_down),
      cmocka_unit_test_setup_teardown(test_runs_refuse_memory, set_up, tear_down),
      cmocka_unit_test_setup_teardown(test_apply, set_up, tear_down),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
