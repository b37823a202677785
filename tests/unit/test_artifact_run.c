// Artifacts run: every operation of both versions, and models that were built in C, give the same bits after they were
// written and read again.
#include <stdio.h>
#include <string.h>

#include <lattice/lattice.h>

#include "model/graph.h"
#include "model/safetensors_internal.h"
#include "support/artifact_cases.h"
#include "support/io_cases.h"
#include "support/test_allocator.h"
#include "support/test_support.h"

enum { ROWS = 6, CHANNELS = 4 };

static const int32_t rows[ROWS][4] = {{0, 0, 0, 0}, {0, 1, 0, 0}, {0, 1, 2, 0},
                                      {1, 2, 3, 1}, {1, 5, 5, 5}, {1, 5, 4, 5}};
static float feats[ROWS][CHANNELS];

static lat_test_allocator counter;
static lat_context *context;

static int set_up(void **state) {
  (void)state;
  memset(&counter, 0, sizeof counter);
  context = lat_test_context_create(&counter, 1);
  lat_test_folder_make();
  for (int i = 0; i < ROWS * CHANNELS; i++) feats[i / CHANNELS][i % CHANNELS] = (float)(i * 7 % 11) * 0.25F - 1.0F;
  return 0;
}

static int tear_down(void **state) {
  (void)state;
  lat_test_folder_remove();
  lat_test_context_finish(context, &counter);
  return 0;
}

static lat_results *run(const lat_model *model, const lat_binding *inputs, int64_t n) {
  lat_program *program = NULL;
  lat_results *results = NULL;
  lat_test_assert_ok(lat_model_compile(context, model, NULL, &program));
  lat_test_assert_ok(lat_program_run(context, program, inputs, n, NULL, &results));
  lat_program_release(program);
  return results;
}

static void assert_same(const lat_results *a, const lat_results *b) {
  assert_int_equal(lat_results_count(a), lat_results_count(b));
  for (int64_t i = 0; i < lat_results_count(a); i++) {
    const char *name = lat_results_name(a, i);
    const lat_tensor *x = lat_results_tensor(a, name), *y = lat_results_tensor(b, name);
    lat_array_view p = x ? lat_tensor_feats(x) : lat_array_as_view(lat_results_array(a, name));
    lat_array_view q = y ? lat_tensor_feats(y) : lat_array_as_view(lat_results_array(b, name));
    assert_int_equal(x != NULL, y != NULL);
    assert_int_equal(p.shape[0], q.shape[0]);
    assert_int_equal(p.shape[1], q.shape[1]);
    assert_true(p.shape[0] > 0);
    assert_memory_equal(p.data, q.data, (size_t)(p.shape[0] * p.shape[1]) * sizeof(float));
    if (!x) continue;
    lat_array_view c = lat_coords_rows(lat_tensor_coords(x)), d = lat_coords_rows(lat_tensor_coords(y));
    assert_memory_equal(c.data, d.data, (size_t)c.shape[0] * sizeof rows[0]);
  }
}

/// Runs a model, writes and reads it, runs what was read; both give the same bits.
static void check_model(const lat_model *model, const lat_binding *inputs, int64_t n, int version) {
  lat_model *read = NULL;
  char part[1300];
  const char *folder = lat_test_folder_path("net");
  lat_results *first = run(model, inputs, n);
  lat_test_assert_ok(lat_model_save(context, model, folder));
  lat_test_assert_ok(lat_model_load(context, folder, NULL, &read));
  assert_int_equal(lat_model_version(read), version);
  lat_results *second = run(read, inputs, n);
  assert_same(first, second);
  lat_results_release(first);
  lat_results_release(second);
  lat_model_release(read);
  snprintf(part, sizeof part, "%s/graph.mlir", folder);
  remove(part);
  snprintf(part, sizeof part, "%s/weights.safetensors", folder);
  remove(part);
  remove(folder);
}

static void check_graph(const char *name, int version) {
  static const float points[ROWS][3] = {{0.1F, 0.2F, 0.3F}, {1, 1, 1},          {2.5F, 3, 1},
                                        {0, 0, 0},          {-1, -2.5F, 0.75F}, {0.25F, 0, 0.25F}};
  static const int32_t batch[ROWS] = {0, 0, 1, 1, 0, 1}, ids[ROWS] = {3, 0, 1, 2, 2, 0}, active = ROWS;
  const lat_array_view views[] = {
      lat_view_2d(rows, LAT_DTYPE_I32, ROWS, 4), lat_view_2d(feats, LAT_DTYPE_F32, ROWS, CHANNELS),
      lat_view_1d(&active, LAT_DTYPE_I32, 1),    lat_view_2d(points, LAT_DTYPE_F32, ROWS, 3),
      lat_view_1d(batch, LAT_DTYPE_I32, ROWS),   lat_view_1d(ids, LAT_DTYPE_I32, ROWS)};
  static const char *const names[] = {"rows", "feats", "active", "points", "batch", "ids"};
  lat_binding inputs[6];
  lat_model *model = NULL;
  for (int i = 0; i < 6; i++) inputs[i] = (lat_binding){names[i], NULL, &views[i]};
  lat_test_assert_ok(lat_test_parse_graph(context, lat_test_graph(name), &model));
  if (version == 3) { // groups = 2
    const int64_t shape[5] = {CHANNELS, 3, 3, 3, CHANNELS / 2};
    lat__parameter *weight = &model->parameters[lat__model_find_parameter(model, "conv.weight")];
    lat_test_assert_ok(lat_array_full(context, LAT_DTYPE_F32, 5, shape, 0.25, &weight->dense));
  }
  lat_test_assert_ok(lat_test_fill_parameters(context, model, lat_triple_all(3), CHANNELS));
  check_model(model, inputs, 6, version);
  lat_model_release(model);
}

static void every_operation_of_version_2(void **state) {
  (void)state;
  check_graph("all", 2);
}

static void every_operation_of_version_3(void **state) {
  (void)state;
  check_graph("version3", 3);
}

/// An encoder and a decoder with a skip, packed weights, norms, activations, a head; `version3` with a group norm.
static lat_model *build(int version3) {
  lat_nn *nn = NULL;
  lat_model *model = NULL;
  lat_test_assert_ok(lat_nn_create(context, &nn));
  lat_value x = lat_nn_input(nn, "x", CHANNELS, NULL);
  lat_value a = lat_nn_subm_conv3d(nn, x, CHANNELS, 8, LAT_OPTS(lat_nn_conv_opts, .name = "stem"));
  a = lat_nn_batch_norm(nn, a, 8, NULL);
  a = lat_nn_gelu(nn, a, LAT_GELU_TANH);
  lat_value down =
      lat_nn_conv3d(nn, a, 8, 16, LAT_OPTS(lat_nn_conv_opts, .kernel_size = {2, 2, 2}, .stride = {2, 2, 2}));
  lat_nn_begin(nn, "deep");
  down = lat_nn_quantized_subm_conv3d(nn, down, 16, 16, LAT_OPTS(lat_nn_conv_opts, .bits = 8));
  down = lat_nn_layer_norm(nn, down, 16, LAT_OPTS(lat_nn_norm_opts, .no_bias = 1));
  down = lat_nn_leaky_relu(nn, down, 0.125);
  lat_nn_end(nn);
  lat_value up = lat_nn_conv_transpose3d(nn, down, 16, 8, LAT_OPTS(lat_nn_conv_opts, .target = a));
  lat_value both = lat_nn_cat(nn, (lat_value[]){up, a}, 2, LAT_JOIN_DEFAULT);
  if (version3) both = lat_nn_group_norm(nn, both, 4, 16, NULL);
  both = lat_nn_rms_norm(nn, both, 16, NULL);
  lat_value head = lat_nn_quantized_linear(nn, lat_nn_global_avg_pool(nn, both), 16, 3, NULL);
  lat_nn_output(nn, "points", both);
  lat_nn_output(nn, "class", lat_nn_softmax(nn, head));
  lat_test_assert_ok(lat_nn_finish(nn, &model));
  return model;
}

static lat_tensor *small_tensor(void) {
  lat_coords *coords = NULL;
  lat_tensor *tensor = NULL;
  const lat_array_view row_view = lat_view_2d(rows, LAT_DTYPE_I32, ROWS, 4);
  const lat_array_view feat_view = lat_view_2d(feats, LAT_DTYPE_F32, ROWS, CHANNELS);
  lat_test_assert_ok(lat_coords_create(context, &row_view, NULL, &coords));
  lat_test_assert_ok(lat_tensor_create(context, coords, &feat_view, NULL, &tensor));
  lat_coords_release(coords);
  return tensor;
}

static void built_models(void **state) {
  (void)state;
  lat_tensor *tensor = small_tensor();
  const lat_binding input = {"x", tensor, NULL};
  for (int version3 = 0; version3 < 2; version3++) {
    lat_model *model = build(version3);
    check_model(model, &input, 1, version3 ? 3 : 2);
    lat_model_release(model);
  }
  lat_tensor_release(tensor);
}

/// One batch norm with the given options; `drop`: dropout behind it.
static lat_model *one_norm(const lat_nn_norm_opts *opts, int drop) {
  lat_nn *nn = NULL;
  lat_model *model = NULL;
  lat_test_assert_ok(lat_nn_create(context, &nn));
  lat_value y = lat_nn_batch_norm(nn, lat_nn_input(nn, "x", CHANNELS, NULL), CHANNELS, opts);
  lat_nn_output(nn, "y", drop ? lat_nn_dropout(nn, y, 0.5) : y);
  lat_test_assert_ok(lat_nn_finish(nn, &model));
  return model;
}

/// Statistics of the rows, always: version 3 says it by leaving mean and variance out.
static void batch_norm_without_statistics(void **state) {
  (void)state;
  lat_tensor *tensor = small_tensor();
  const lat_binding input = {"x", tensor, NULL};
  lat_model *model = one_norm(LAT_OPTS(lat_nn_norm_opts, .name = "n", .no_running_stats = 1), 0);
  check_model(model, &input, 1, 3);
  lat_model_release(model);
  lat_tensor_release(tensor);
}

/// A norm without an affine map is stored with one, which stays no part of the state; version 2 says the graph.
static void constants_stay_constants(void **state) {
  (void)state;
  char part[1300];
  const char *folder = lat_test_folder_path("net");
  lat_model *read[2] = {NULL, NULL}, *model = one_norm(LAT_OPTS(lat_nn_norm_opts, .name = "n", .no_affine = 1), 0);
  lat_test_assert_ok(lat_model_save(context, model, folder));
  lat_test_assert_ok(lat_model_load(context, folder, NULL, &read[0]));
  lat_test_assert_ok(lat_model_save(context, read[0], folder));
  lat_test_assert_ok(lat_model_load(context, folder, NULL, &read[1]));
  for (int i = 0; i < 2; i++) {
    assert_int_equal(lat_model_version(read[i]), 2);
    assert_int_equal(lat_model_n_parameters(read[i]), 4);
    assert_int_equal(lat_model_state_count(read[i]), 2);
    assert_string_equal(lat_model_state_entry(read[i], 0).name, "n.running_mean");
    assert_int_equal(lat_model_count_elements(read[i]), 0);
    lat_model_release(read[i]);
  }
  lat_model_release(model);
  snprintf(part, sizeof part, "%s/graph.mlir", folder);
  remove(part);
  snprintf(part, sizeof part, "%s/weights.safetensors", folder);
  // What the file says of other names, and of statistics, is passed over.
  const float ones[CHANNELS] = {1, 1, 1, 1};
  const lat_array_view view = lat_view_1d(ones, LAT_DTYPE_F32, CHANNELS);
  const lat_named_array arrays[4] = {
      {"n.weight", view}, {"n.bias", view}, {"n.running_mean", view}, {"n.running_var", view}};
  model = one_norm(LAT_OPTS(lat_nn_norm_opts, .name = "n"), 0);
  lat_test_assert_ok(lat_model_save(context, model, folder));
  lat_test_assert_ok(
      lat__safetensors_write(context, part, arrays, 4, "lattice.constants", "\nnone\nn.running_var\nn.bias"));
  lat_test_assert_ok(lat_model_load(context, folder, NULL, &read[0]));
  assert_int_equal(lat_model_state_count(read[0]), 3);
  assert_int_equal(lat_model_count_elements(read[0]), CHANNELS);
  lat_model_release(read[0]);
  lat_model_release(model);
  remove(part);
  snprintf(part, sizeof part, "%s/graph.mlir", folder);
  remove(part);
  remove(folder);
}

/// Dropout and a momentum are version 3's; what runs alone is said by version 2, with the same numbers.
static void inference_in_version_2(void **state) {
  (void)state;
  lat_tensor *tensor = small_tensor();
  const lat_binding input = {"x", tensor, NULL};
  lat_model *lowered = NULL, *model = one_norm(LAT_OPTS(lat_nn_norm_opts, .name = "n", .momentum = 0.01), 1);
  check_model(model, &input, 1, 3);
  lat_test_assert_ok(lat_model_convert(context, model, LAT_OPTS(lat_convert_opts, .inference = 1), &lowered));
  assert_int_equal(lat_model_version(model), 3);
  assert_int_equal(lat_model_n_operations(lowered), lat_model_n_operations(model) - 1);
  check_model(lowered, &input, 1, 2);
  lat_results *results[2] = {run(model, &input, 1), run(lowered, &input, 1)};
  assert_same(results[0], results[1]);
  for (int i = 0; i < 2; i++) lat_results_release(results[i]);
  lat_model_release(lowered);
  lat_model_release(model);
  lat_tensor_release(tensor);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test_setup_teardown(every_operation_of_version_2, set_up, tear_down),
      cmocka_unit_test_setup_teardown(every_operation_of_version_3, set_up, tear_down),
      cmocka_unit_test_setup_teardown(built_models, set_up, tear_down),
      cmocka_unit_test_setup_teardown(batch_norm_without_statistics, set_up, tear_down),
      cmocka_unit_test_setup_teardown(constants_stay_constants, set_up, tear_down),
      cmocka_unit_test_setup_teardown(inference_in_version_2, set_up, tear_down),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
