// Explanations: every layer with its rows, edges, support and algorithm; memory; NULLs and errors.
//
// covers: lat_program_explain lat_explanation_count lat_explanation_layer lat_explanation_memory lat_explanation_release
// null arguments: lat_program_explain
#include <stdbool.h>
#include <string.h>

#include <lattice/lattice.h>

#include "support/test_allocator.h"
#include "support/test_support.h"

static const int32_t rows[4][4] = {{0, 0, 0, 0}, {0, 1, 0, 0}, {0, 1, 1, 0}, {0, 2, 1, 0}};
static const float feats[4][2] = {{1, 2}, {3, 4}, {5, 6}, {7, 8}};

static lat_test_allocator counter;
static lat_context *context;
static lat_model *model;
static lat_program *program;
static lat_tensor *x;

#define CONV(...) LAT_OPTS(lat_nn_conv_opts, __VA_ARGS__)

static int set_up(void **state) {
  (void)state;
  lat_nn *nn = NULL;
  lat_coords *coords = NULL;
  lat_array_view row_view = lat_view_2d(rows, LAT_DTYPE_I32, 4, 4), view = lat_view_2d(feats, LAT_DTYPE_F32, 4, 2);
  memset(&counter, 0, sizeof counter);
  context = lat_test_context_create(&counter, 1);
  lat_test_assert_ok(lat_coords_create(context, &row_view, NULL, &coords));
  lat_test_assert_ok(lat_tensor_create(context, coords, &view, NULL, &x));
  lat_coords_release(coords);
  lat_test_assert_ok(lat_nn_create(context, &nn));
  lat_value in = lat_nn_input(nn, "x", 2, NULL);
  lat_value h = lat_nn_batch_norm(nn, lat_nn_subm_conv3d(nn, in, 2, 4, CONV(.name = "a")), 4, NULL);
  h = lat_nn_relu(nn, h);
  lat_value down = lat_nn_conv3d(nn, h, 4, 4, CONV(.name = "b", .kernel_size = {2, 2, 2}, .stride = {2, 2, 2}));
  lat_value up = lat_nn_conv_transpose3d(nn, down, 4, 4, CONV(.name = "c", .target = h));
  lat_value reach = lat_nn_conv3d(nn, up, 4, 4, CONV(.name = "d", .support = LAT_SUPPORT_REACH));
  lat_value point = lat_nn_conv3d(nn, reach, 4, 3, CONV(.name = "e", .kernel_size = {1, 1, 1}));
  lat_nn_output(nn, "y", lat_nn_linear(nn, lat_nn_global_avg_pool(nn, point), 3, 2, NULL));
  lat_nn_output(nn, "g", lat_nn_generative_conv_transpose3d(nn, down, 4, 1, CONV(.name = "f")));
  lat_nn_output(nn, "p", lat_nn_max_pool3d(nn, h, NULL));
  lat_test_assert_ok(lat_nn_finish(nn, &model));
  lat_test_assert_ok(lat_model_compile(context, model, NULL, &program));
  return 0;
}

static int tear_down(void **state) {
  (void)state;
  lat_program_release(program);
  lat_model_release(model);
  lat_tensor_release(x);
  lat_test_context_finish(context, &counter);
  return 0;
}

typedef struct expected_layer {
  const char *name, *op, *support;
  int64_t rows, channels, edges;
} expected_layer;

static void test_layers(void **state) {
  (void)state;
  static const expected_layer expected[] = {
      {"x", "sparse.make", "", 4, 2, -1},
      {"a", "subm_conv3d + batch_norm + relu", "same", 4, 4, 14},
      {"b", "conv3d", "floor", 2, 4, 4},
      {"c", "target_conv_transpose3d", "target", 4, 4, 4},
      {"d", "conv3d", "reach", -2, 4, -2},
      {"e", "conv3d", "pointwise", -2, 3, -1},
      {"5", "global_pool", "", 1, 3, -1},
      {"6", "linear", "", 1, 2, -1},
      {"f", "generative_conv_transpose3d", "generative", 16, 1, 16},
      {"7", "pool3d", "floor", 2, 4, 4},
  };
  const lat_binding input = {"x", x, NULL};
  lat_explanation *explanation = NULL;
  lat_test_assert_ok(lat_program_explain(context, program, &input, 1, NULL, &explanation));
  assert_int_equal(lat_explanation_count(explanation), sizeof expected / sizeof *expected);
  for (int64_t i = 0; i < lat_explanation_count(explanation); i++) {
    const lat_layer *layer = lat_explanation_layer(explanation, i);
    const expected_layer *e = &expected[i];
    if (i < 6) assert_string_equal(layer->name, e->name);
    assert_string_equal(layer->op, e->op);
    assert_string_equal(layer->support, e->support);
    if (e->rows > -2) assert_int_equal(layer->rows, e->rows);
    if (e->edges > -2) assert_int_equal(layer->edges, e->edges);
    assert_int_equal(layer->channels, e->channels);
    if (layer->edges > 0) assert_true(layer->neighbors == (double)layer->edges / (double)layer->rows);
    assert_int_equal(layer->bytes, (uint64_t)(layer->rows * layer->channels) * 4);
    bool multiplies = strstr(e->op, "conv") || strstr(e->op, "linear");
    assert_int_equal(layer->algorithm[0] != 0, multiplies);
    assert_int_equal(layer->weight_bytes > 0, multiplies);
    assert_int_equal(layer->products > 0.0, multiplies);
    assert_true(layer->map_ms >= 0.0 && layer->compute_ms >= 0.0);
  }
  assert_non_null(strstr(lat_explanation_layer(explanation, 1)->algorithm, "subm_conv3d: "));
  assert_int_equal(lat_explanation_layer(explanation, 1)->in_channels, 2);
  assert_true(lat_explanation_layer(explanation, 1)->products == 14.0 * 2 * 4);
  assert_null(lat_explanation_layer(explanation, 10));
  assert_null(lat_explanation_layer(explanation, -1));
  lat_session_memory memory = lat_explanation_memory(explanation);
  assert_true(memory.peak_bytes > 0 && memory.total_bytes > memory.live_bytes);
  lat_explanation_release(explanation);
}

static void test_refused(void **state) {
  (void)state;
  const lat_status argument = LAT_STATUS_INVALID_ARGUMENT;
  const lat_binding input = {"x", x, NULL};
  lat_explanation *out = (lat_explanation *)&counter;
  lat_test_assert_error(lat_program_explain(NULL, program, &input, 1, NULL, &out), argument, "context: got NULL");
  assert_null(out);
  lat_test_assert_error(lat_program_explain(context, NULL, &input, 1, NULL, &out), argument, "program: got NULL");
  lat_test_assert_error(lat_program_explain(context, program, NULL, 1, NULL, &out), argument, "inputs: got NULL");
  lat_test_assert_error(lat_program_explain(context, program, &input, 1, NULL, NULL), argument, "out: got NULL");
  lat_test_assert_error(lat_program_explain(context, program, NULL, 0, NULL, &out), argument, "missing artifact input");
  assert_null(out);
  assert_int_equal(lat_explanation_count(NULL), 0);
  assert_null(lat_explanation_layer(NULL, 0));
  assert_int_equal(lat_explanation_memory(NULL).peak_bytes, 0);
  lat_explanation_release(NULL);
}

int main(void) {
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
  const struct CMUnitTest tests[] = {TEST(test_layers), TEST(test_refused)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
