// Programs: what is refused, by code and text, and NULLs.
//
// covers: lat_model_compile lat_session_create lat_session_run lat_program_run lat_model_update_statistics
// covers: lat_context_get_opts
// null arguments: lat_model_compile lat_session_create lat_session_run lat_program_run lat_model_update_statistics
// null arguments: lat_context_get_opts
#include <string.h>

#include <lattice/lattice.h>

#include "model/graph.h"
#include "support/test_allocator.h"
#include "support/test_support.h"

static const int32_t rows[2][4] = {{0, 0, 0, 0}, {0, 2, 4, 6}};
static const float feats[2][3] = {{1, 2, 3}, {4, 5, 6}};

static lat_test_allocator counter;
static lat_context *context;
static lat_model *model;
static lat_program *program;
static lat_tensor *x;
static lat_array_view rows_view, feats_view;

/// Input of stride 2 with 3 channels, one normalized batch.
static lat_model *make_model(void) {
  lat_nn *nn = NULL;
  lat_model *made = NULL;
  lat_test_assert_ok(lat_nn_create(context, &nn));
  lat_value h = lat_nn_input(nn, "x", 3, LAT_OPTS(lat_nn_input_opts, .stride = {2, 2, 2}));
  h = lat_nn_batch_norm(nn, h, 3, NULL);
  h = lat_nn_conv_transpose3d(nn, h, 3, 2, LAT_OPTS(lat_nn_conv_opts, .name = "up", .stride = {2, 2, 2}));
  lat_nn_output(nn, "y", h);
  lat_test_assert_ok(lat_nn_finish(nn, &made));
  return made;
}

static int set_up(void **state) {
  (void)state;
  memset(&counter, 0, sizeof counter);
  context = lat_test_context_create(&counter, 1);
  rows_view = lat_view_2d(rows, LAT_DTYPE_I32, 2, 4);
  feats_view = lat_view_2d(feats, LAT_DTYPE_F32, 2, 3);
  lat_coords *coords = NULL;
  lat_coords_opts opts = LAT_COORDS_OPTS_INIT;
  opts.stride = lat_triple_all(2);
  lat_test_assert_ok(lat_coords_create(context, &rows_view, &opts, &coords));
  lat_test_assert_ok(lat_tensor_create(context, coords, &feats_view, NULL, &x));
  lat_coords_release(coords);
  model = make_model();
  lat_test_assert_ok(lat_model_compile(context, model, NULL, &program));
  return 0;
}

static int tear_down(void **state) {
  (void)state;
  lat_tensor_release(x);
  lat_program_release(program);
  lat_model_release(model);
  lat_test_context_finish(context, &counter);
  return 0;
}

static void refuse(const lat_binding *inputs, int64_t n, lat_status status, const char *fragment) {
  lat_results *results = (lat_results *)&counter;
  lat_test_assert_error(lat_program_run(context, program, inputs, n, NULL, &results), status, fragment);
  assert_null(results);
}

static void test_inputs(void **state) {
  (void)state;
  const lat_status argument = LAT_STATUS_INVALID_ARGUMENT, shape = LAT_STATUS_INVALID_SHAPE;
  static const int32_t two = 2, three = 3, minus = -1;
  static const int32_t odd_rows[2][4] = {{0, 0, 0, 0}, {0, 2, 3, 6}};
  const lat_array_view active = lat_view_1d(&two, LAT_DTYPE_I32, 1), many = lat_view_1d(&three, LAT_DTYPE_I32, 1);
  const lat_array_view less = lat_view_1d(&minus, LAT_DTYPE_I32, 1), odd = lat_view_2d(odd_rows, LAT_DTYPE_I32, 2, 4);
  const lat_array_view wide = lat_view_2d(feats, LAT_DTYPE_F32, 3, 2), few = lat_view_2d(feats, LAT_DTYPE_F32, 1, 3);
  const lat_array_view flat = lat_view_1d(feats, LAT_DTYPE_F32, 6), ints = lat_view_2d(rows, LAT_DTYPE_I32, 2, 3);
  const lat_binding whole = {"x", x, NULL}, c = {"x_coords", NULL, &rows_view}, f = {"x_features", NULL, &feats_view};
  const lat_binding a = {"x_active", NULL, &active};
  refuse(NULL, 0, argument, "missing artifact input: x_coords");
  refuse((lat_binding[]){c, f}, 2, argument, "missing artifact input: x_active");
  refuse((lat_binding[]){whole, {"z", x, NULL}}, 2, argument, "unexpected artifact inputs: z");
  refuse((lat_binding[]){whole, {"z", NULL, &active}}, 2, argument, "unexpected artifact inputs: z");
  refuse((lat_binding[]){whole, whole}, 2, argument, "input x cannot be combined with its arrays");
  refuse((lat_binding[]){c, whole}, 2, argument, "cannot be combined with its arrays: got x_coords");
  refuse((lat_binding[]){c, c}, 2, argument, "input x_coords is given twice");
  refuse((lat_binding[]){{NULL, x, NULL}}, 1, argument, "without a name");
  refuse((lat_binding[]){{"x", NULL, NULL}}, 1, argument, "got none, expected a name and a tensor or an array");
  refuse((lat_binding[]){{"x", x, &active}}, 1, argument, "got both");
  refuse((lat_binding[]){c, {"x_features", NULL, &wide}, a}, 3, shape, "length of axis 1: got 2, expected 3");
  refuse((lat_binding[]){c, {"x_features", NULL, &flat}, a}, 3, shape, "rank: got 1, expected 2");
  refuse((lat_binding[]){c, {"x_features", NULL, &few}, a}, 3, shape, "must have the same rows: got 1, expected 2");
  refuse((lat_binding[]){c, {"x_features", NULL, &ints}, a}, 3, LAT_STATUS_INVALID_DTYPE, "got int32, expected floats");
  refuse((lat_binding[]){{"x_coords", NULL, &feats_view}, f, a}, 3, LAT_STATUS_INVALID_DTYPE, "expected int32");
  refuse((lat_binding[]){c, f, {"x_active", NULL, &many}}, 3, argument, "active: got 3 rows, expected 0 to 2");
  refuse((lat_binding[]){c, f, {"x_active", NULL, &less}}, 3, argument, "active: got -1 rows");
  refuse((lat_binding[]){{"x_coords", NULL, &odd}, f, a}, 3, argument,
         "run: x: physical coordinates must be exactly divisible by the stride: got 3 in row 1");
}

static void test_tensors(void **state) {
  (void)state;
  lat_coords *coords = NULL;
  lat_tensor *unit = NULL, *narrow = NULL;
  lat_array_view two_channels = lat_view_2d(feats, LAT_DTYPE_F32, 2, 2);
  lat_test_assert_ok(lat_coords_create(context, &rows_view, NULL, &coords));
  lat_test_assert_ok(lat_tensor_create(context, coords, &feats_view, NULL, &unit));
  lat_test_assert_ok(lat_tensor_create(context, coords, &two_channels, NULL, &narrow));
  refuse((lat_binding[]){{"x", unit, NULL}}, 1, LAT_STATUS_INVALID_ARGUMENT,
         "run: x: the tensor's stride must match: got (1, 1, 1), expected (2, 2, 2)");
  refuse((lat_binding[]){{"x", narrow, NULL}}, 1, LAT_STATUS_INVALID_SHAPE, "channels: got 2, expected 3");
  lat_tensor_release(unit);
  lat_tensor_release(narrow);
  lat_coords_release(coords);
}

// An operation's own error comes with the name of its module.
static void test_named_error(void **state) {
  (void)state;
  for (int64_t i = 0; i < model->n_ops; i++) {
    lat__op *op = &model->ops[i];
    if (op->kind == LAT__OP_CONV_TRANSPOSE3D) lat__op_set_triple(op, LAT__ATTR_STRIDE, lat_triple_all(3));
  }
  lat_program_release(program);
  lat_test_assert_ok(lat_model_compile(context, model, NULL, &program));
  refuse((lat_binding[]){{"x", x, NULL}}, 1, LAT_STATUS_INVALID_ARGUMENT, "run: up: conv_transpose3d");
}

static void test_compile(void **state) {
  (void)state;
  lat_compile_opts opts = LAT_COMPILE_OPTS_INIT;
  lat_program *out = (lat_program *)&counter;
  opts.dtype = LAT_DTYPE_F64;
  lat_test_assert_error(lat_model_compile(context, model, &opts, &out), LAT_STATUS_INVALID_DTYPE, "dtype: got float64");
  assert_null(out);
  opts = (lat_compile_opts){.struct_bytes = 3};
  lat_test_assert_error(lat_model_compile(context, model, &opts, &out), LAT_STATUS_INVALID_ARGUMENT, "struct_bytes");
  lat_array *held = model->parameters[0].dense;
  model->parameters[0].dense = NULL;
  lat_test_assert_error(lat_model_compile(context, model, NULL, &out), LAT_STATUS_INVALID_ARGUMENT,
                        "parameter 0.weight has no values");
  model->parameters[0].dense = held;
}

static void test_nulls(void **state) {
  (void)state;
  const lat_status argument = LAT_STATUS_INVALID_ARGUMENT;
  lat_program *p = (lat_program *)&counter;
  lat_test_assert_error(lat_model_compile(NULL, model, NULL, &p), argument, "model_compile: context: got NULL");
  assert_null(p);
  lat_test_assert_error(lat_model_compile(context, NULL, NULL, &p), argument, "model_compile: model: got NULL");
  lat_test_assert_error(lat_model_compile(context, model, NULL, NULL), argument, "model_compile: out: got NULL");
  lat_session *s = (lat_session *)&counter;
  lat_test_assert_error(lat_session_create(NULL, program, &s), argument, "session_create: context: got NULL");
  assert_null(s);
  lat_test_assert_error(lat_session_create(context, NULL, &s), argument, "session_create: program: got NULL");
  lat_test_assert_error(lat_session_create(context, program, NULL), argument, "session_create: out: got NULL");
  lat_results *r = (lat_results *)&counter;
  const lat_binding input = {"x", x, NULL};
  lat_test_assert_error(lat_session_run(NULL, &input, 1, NULL, &r), argument, "session_run: session: got NULL");
  assert_null(r);
  lat_test_assert_ok(lat_session_create(context, program, &s));
  lat_test_assert_error(lat_session_run(s, NULL, 1, NULL, &r), argument, "session_run: inputs: got NULL");
  lat_test_assert_error(lat_session_run(s, &input, 1, NULL, NULL), argument, "session_run: out: got NULL");
  lat_test_assert_error(lat_program_run(NULL, program, &input, 1, NULL, &r), argument,
                        "program_run: context: got NULL");
  lat_test_assert_error(lat_program_run(context, NULL, &input, 1, NULL, &r), argument,
                        "program_run: program: got NULL");
  lat_test_assert_error(lat_program_run(context, program, NULL, 1, NULL, &r), argument,
                        "program_run: inputs: got NULL");
  lat_test_assert_error(lat_program_run(context, program, &input, 1, NULL, NULL), argument,
                        "program_run: out: got NULL");
  lat_test_assert_ok(lat_session_run(s, &input, 1, NULL, &r));
  lat_test_assert_error(lat_model_update_statistics(NULL, r), argument, "model_update_statistics: model: got NULL");
  lat_test_assert_error(lat_model_update_statistics(model, NULL), argument, "results: got NULL");
  lat_results_release(r);
  lat_session_destroy(s);
  lat_context_opts opts;
  lat_test_assert_error(lat_context_get_opts(NULL, &opts), argument, "context_get_opts: context: got NULL");
  lat_test_assert_error(lat_context_get_opts(context, NULL), argument, "context_get_opts: out: got NULL");
  assert_int_equal(lat_results_count(NULL), 0);
  assert_null(lat_results_name(NULL, 0));
  assert_null(lat_results_tensor(NULL, "y"));
  assert_null(lat_results_array(NULL, "y"));
  lat_session_destroy(NULL);
  lat_results_release(NULL);
  lat_program_release(NULL);
}

// Running statistics go to parameters of the same name.
static void test_statistics_of_another_model(void **state) {
  (void)state;
  lat_compile_opts opts = LAT_COMPILE_OPTS_INIT;
  lat_nn *nn = NULL;
  lat_model *plain = NULL;
  lat_results *results = NULL;
  const lat_binding input = {"x", x, NULL};
  opts.training = 1;
  lat_program_release(program);
  lat_test_assert_ok(lat_model_compile(context, model, &opts, &program));
  lat_test_assert_ok(lat_program_run(context, program, &input, 1, NULL, &results));
  lat_test_assert_ok(lat_nn_create(context, &nn));
  lat_nn_output(nn, "y", lat_nn_input(nn, "x", 3, NULL));
  lat_test_assert_ok(lat_nn_finish(nn, &plain));
  lat_test_assert_error(lat_model_update_statistics(plain, results), LAT_STATUS_INVALID_ARGUMENT,
                        "no parameter 0.running_mean");
  lat_results_release(results);
  lat_model_release(plain);
}

int main(void) {
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
  const struct CMUnitTest tests[] = {TEST(test_inputs),  TEST(test_tensors), TEST(test_named_error),
                                     TEST(test_compile), TEST(test_nulls),   TEST(test_statistics_of_another_model)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
