// Out of memory while a program is compiled and run.
#include <lattice/lattice.h>

#include "support/test_allocator.h"
#include "support/test_support.h"

static lat_status make_input(lat_context *context, lat_tensor **out) {
  enum { N = 40 };
  static int32_t rows[N][4];
  static float feats[N][8];
  lat_coords *coords = NULL;
  lat_array_view row_view = lat_view_2d(rows, LAT_DTYPE_I32, N, 4), view = lat_view_2d(feats, LAT_DTYPE_F32, N, 8);
  for (int i = 0; i < N; i++) {
    rows[i][1] = i % 5;
    rows[i][2] = i / 5;
    feats[i][i % 8] = 1.0f;
  }
  lat_status status = lat_coords_create(context, &row_view, NULL, &coords);
  if (!status) status = lat_tensor_create(context, coords, &view, NULL, out);
  lat_coords_release(coords);
  return status;
}

static lat_status make_model(lat_context *context, lat_model **out) {
  lat_nn *nn = NULL;
  lat_status status = lat_nn_create(context, &nn);
  if (status) return status;
  lat_value x = lat_nn_input(nn, "x", 8, NULL);
  lat_value h = lat_nn_relu(nn, lat_nn_batch_norm(nn, lat_nn_subm_conv3d(nn, x, 8, 8, NULL), 8, NULL));
  lat_nn_output(nn, "y", lat_nn_add(nn, h, x));
  lat_nn_output(nn, "q", lat_nn_quantized_linear(nn, lat_nn_global_avg_pool(nn, h), 8, 4, NULL));
  return lat_nn_finish(nn, out);
}

static lat_status run(lat_context *context) {
  lat_tensor *x = NULL;
  lat_model *model = NULL;
  lat_program *program = NULL;
  lat_session *session = NULL;
  lat_results *results = NULL;
  lat_compile_opts opts = LAT_COMPILE_OPTS_INIT;
  opts.training = 1;
  lat_status status = make_input(context, &x);
  if (!status) status = make_model(context, &model);
  if (!status) status = lat_model_compile(context, model, &opts, &program);
  if (!status) status = lat_session_create(context, program, &session);
  const lat_binding input = {"x", x, NULL};
  for (int i = 0; i < 2 && !status; i++) {
    lat_results_release(results);
    status = lat_session_run(session, &input, 1, NULL, &results);
  }
  if (!status) {
    lat_test_oom_record_tensor(lat_results_tensor(results, "y"));
    lat_test_oom_record_view(lat_array_as_view(lat_results_array(results, "q")));
  } else {
    assert_null(results);
  }
  lat_results_release(results);
  lat_session_destroy(session);
  lat_program_release(program);
  lat_model_release(model);
  lat_tensor_release(x);
  return status;
}

// Conversion, folded norms, the state, an explanation.
static lat_status around(lat_context *context) {
  lat_tensor *x = NULL;
  lat_model *model = NULL, *half = NULL, *packed = NULL;
  lat_program *program = NULL;
  lat_explanation *explanation = NULL;
  lat_array *weight = NULL;
  lat_compile_opts compile = LAT_COMPILE_OPTS_INIT;
  lat_convert_opts to_half = LAT_CONVERT_OPTS_INIT, to_packed = LAT_CONVERT_OPTS_INIT;
  compile.fold_norms = 1;
  to_half.dtype = LAT_DTYPE_F16;
  to_packed.bits = 8;
  lat_status status = make_input(context, &x);
  if (!status) status = make_model(context, &model);
  if (!status) status = lat_model_convert(context, model, &to_half, &half);
  if (!status) status = lat_model_convert(context, model, &to_packed, &packed);
  if (!status) status = lat_model_state_get(model, "0.weight", &weight);
  lat_array_view view = weight ? lat_array_as_view(weight) : (lat_array_view){0};
  if (!status) status = lat_model_state_set(context, model, "0.weight", &view);
  if (!status) status = lat_model_compile(context, model, &compile, &program);
  const lat_binding input = {"x", x, NULL};
  if (!status) status = lat_program_explain(context, program, &input, 1, NULL, &explanation);
  if (status) assert_null(explanation);
  lat_explanation_release(explanation);
  lat_program_release(program);
  lat_array_release(weight);
  lat_model_release(packed);
  lat_model_release(half);
  lat_model_release(model);
  lat_tensor_release(x);
  return status;
}

static void test_around(void **state) {
  (void)state;
  lat_test_oom("around a program", around);
}

static void test_run(void **state) {
  (void)state;
  lat_test_oom("program", run);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(test_run), cmocka_unit_test(test_around)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
