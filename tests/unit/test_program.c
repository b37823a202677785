// Programs: whole models give the bits of the public calls one after the other, evaluating and training, in every dtype;
// inputs as tensors and as arrays; memory that is kept; sessions in several threads.
//
// covers: lat_model_compile lat_program_retain lat_program_release lat_session_create lat_session_destroy lat_session_run
// covers: lat_session_memory_of lat_program_run lat_results_count lat_results_name lat_results_tensor lat_results_array
// covers: lat_model_update_statistics lat_results_retain lat_results_release
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <lattice/lattice.h>

#include "model/graph.h"
#include "support/tensor_cases.h"
#include "support/test_allocator.h"
#include "support/test_support.h"

static lat_test_allocator counter;
static lat_context *context;
static lat_nn *nn;
static lat_model *model;
static lat_program *program;
static lat_results *results;
static lat_tensor *x;

enum { N_ROWS = 300, C = 16 };

static lat_tensor *random_tensor(uint64_t seed, int64_t channels, lat_dtype dtype) {
  lat_test_random random = {seed, 0};
  const int64_t counts[2] = {-1, -1};
  (void)counts;
  lat_tensor_opts opts = LAT_TENSOR_OPTS_INIT;
  opts.n_batches = 2;
  int32_t *rows = lat_test_random_rows(&random, N_ROWS, 2, 6, 0);
  double *values = lat_test_random_values(&random, N_ROWS * channels, -1.0, 1.0);
  lat_tensor *tensor = lat_test_tensor(context, rows, N_ROWS, values, channels, dtype, &opts);
  free(rows);
  free(values);
  return tensor;
}

static int set_up(void **state) {
  (void)state;
  memset(&counter, 0, sizeof counter);
  context = lat_test_context_create(&counter, 2);
  lat_test_assert_ok(lat_nn_create(context, &nn));
  model = NULL;
  program = NULL;
  results = NULL;
  x = random_tensor(1, C, LAT_DTYPE_F32);
  return 0;
}

static int tear_down(void **state) {
  (void)state;
  lat_tensor_release(x);
  lat_results_release(results);
  lat_program_release(program);
  lat_model_release(model);
  lat_nn_destroy(nn);
  nn = NULL;
  lat_test_context_finish(context, &counter);
  return 0;
}

static void finish(const lat_compile_opts *opts) {
  lat_test_assert_ok(lat_nn_finish(nn, &model));
  nn = NULL;
  lat_test_assert_ok(lat_model_compile(context, model, opts, &program));
}

static void run_with(const lat_tensor *tensor) {
  const lat_binding input = {"x", tensor, NULL};
  lat_results_release(results);
  results = NULL;
  lat_test_assert_ok(lat_program_run(context, program, &input, 1, NULL, &results));
}

static lat_array_view param(const char *key) {
  return lat_array_as_view(model->parameters[lat__model_find_parameter(model, key)].dense);
}

static void assert_same_tensor(const lat_tensor *got, const lat_tensor *expected) {
  assert_non_null(got);
  lat_test_assert_same_view(lat_coords_rows(lat_tensor_coords(got)), lat_coords_rows(lat_tensor_coords(expected)));
  lat_test_assert_same_view(lat_tensor_feats(got), lat_tensor_feats(expected));
  lat_triple a = lat_tensor_stride(got), b = lat_tensor_stride(expected);
  assert_memory_equal(&a, &b, sizeof a);
  assert_int_equal(lat_tensor_batch_size(got), lat_tensor_batch_size(expected));
}

// --- the quickstart ---------------------------------------------------------------------------------------------------

static void build_quickstart(void) {
  lat_value h = lat_nn_input(nn, "x", C, NULL);
  h = lat_nn_conv3d(nn, h, C, 32, NULL);
  h = lat_nn_batch_norm(nn, h, 32, NULL);
  h = lat_nn_relu(nn, h);
  h = lat_nn_subm_conv3d(nn, h, 32, 32, NULL);
  h = lat_nn_layer_norm(nn, h, 32, NULL);
  lat_nn_output(nn, "y", h);
}

/// Takes `*h` and puts the result of a call there.
static void step(lat_tensor **h, lat_status status, lat_tensor **next) {
  lat_test_assert_ok(status);
  lat_tensor_release(*h);
  *h = *next;
  *next = NULL;
}

static void conv_step(lat_tensor **h, const char *name, bool subm) {
  char key[32];
  lat_tensor *y = NULL;
  lat_array *weight = NULL, *bias = NULL;
  lat_conv3d_opts opts = LAT_CONV3D_OPTS_INIT;
  snprintf(key, sizeof key, "%s.weight", name);
  lat_array_view view = param(key);
  lat_test_assert_ok(lat_array_cast(context, &view, lat_tensor_dtype(*h), &weight));
  snprintf(key, sizeof key, "%s.bias", name);
  view = param(key);
  lat_test_assert_ok(lat_array_cast(context, &view, lat_tensor_dtype(*h), &bias));
  lat_weight dense = lat_weight_dense(lat_array_as_view(weight));
  view = lat_array_as_view(bias);
  step(h,
       subm ? lat_subm_conv3d(context, *h, &dense, &view, &opts, &y)
            : lat_conv3d(context, *h, &dense, &view, &opts, &y),
       &y);
  lat_array_release(weight);
  lat_array_release(bias);
}

/// A norm with float32 parameters, back in the dtype of its input.
static void norm_step(lat_tensor **h, bool batch, bool training) {
  lat_array_view weight = param(batch ? "1.weight" : "4.weight"), bias = param(batch ? "1.bias" : "4.bias"), mean, var;
  lat_norm_opts opts = LAT_NORM_OPTS_INIT;
  lat_dtype dtype = lat_tensor_dtype(*h);
  lat_tensor *y = NULL;
  opts.weight = &weight;
  opts.bias = &bias;
  opts.eps = (double)1e-5f;
  if (batch && !training) {
    mean = param("1.running_mean");
    var = param("1.running_var");
    opts.mean = &mean;
    opts.var = &var;
  }
  step(h, batch ? lat_batch_norm(context, *h, &opts, &y) : lat_layer_norm(context, *h, &opts, &y), &y);
  step(h, lat_cast(context, *h, dtype, &y), &y);
}

static lat_tensor *quickstart_by_hand(const lat_tensor *tensor, bool training) {
  lat_tensor *h = lat_tensor_retain(tensor), *y = NULL;
  conv_step(&h, "0", false);
  norm_step(&h, true, training);
  step(&h, lat_relu(context, h, &y), &y);
  conv_step(&h, "3", true);
  norm_step(&h, false, training);
  return h;
}

static void check_quickstart(bool training, lat_dtype dtype, lat_dtype compiled) {
  lat_compile_opts opts = LAT_COMPILE_OPTS_INIT;
  lat_tensor *input = random_tensor(2, C, dtype), *cast = NULL;
  opts.training = training;
  opts.dtype = compiled;
  lat_program_release(program);
  program = NULL;
  lat_test_assert_ok(lat_model_compile(context, model, &opts, &program));
  run_with(input);
  lat_test_assert_ok(lat_cast(context, input, compiled ? compiled : dtype, &cast));
  lat_tensor *expected = quickstart_by_hand(cast, training);
  assert_same_tensor(lat_results_tensor(results, "y"), expected);
  lat_tensor_release(expected);
  lat_tensor_release(cast);
  lat_tensor_release(input);
}

static void test_quickstart(void **state) {
  (void)state;
  build_quickstart();
  finish(NULL);
  for (int training = 0; training < 2; training++) {
    check_quickstart(training, LAT_DTYPE_F32, 0);
    check_quickstart(training, LAT_DTYPE_F16, 0);
    check_quickstart(training, LAT_DTYPE_BF16, 0);
    check_quickstart(training, LAT_DTYPE_F32, LAT_DTYPE_F16);
    check_quickstart(training, LAT_DTYPE_F32, LAT_DTYPE_BF16);
  }
  assert_int_equal(lat_results_count(results), 1);
  assert_string_equal(lat_results_name(results, 0), "y");
  assert_null(lat_results_name(results, 1));
  assert_null(lat_results_array(results, "y"));
  assert_null(lat_results_tensor(results, "z"));
}

// --- training ---------------------------------------------------------------------------------------------------------

static void test_running_statistics(void **state) {
  (void)state;
  lat_compile_opts opts = LAT_COMPILE_OPTS_INIT;
  opts.training = 1;
  lat_value h = lat_nn_input(nn, "x", C, NULL);
  h = lat_nn_batch_norm(nn, h, C, LAT_OPTS(lat_nn_norm_opts, .momentum = 0.25));
  lat_nn_output(nn, "y", lat_nn_batch_norm(nn, h, C, LAT_OPTS(lat_nn_norm_opts, .no_running_stats = 1)));
  finish(&opts);
  run_with(x);
  lat_array_view mean = param("0.running_mean"), var = param("0.running_var");
  lat_running_stats expected = {NULL, NULL};
  lat_test_assert_ok(lat_batch_norm_update_running(context, x, &mean, &var, 0.25, &expected));
  assert_true(((const float *)mean.data)[0] == 0.0f); // the model is as it was
  lat_test_assert_ok(lat_model_update_statistics(model, results));
  lat_test_assert_same_view(param("0.running_mean"), lat_array_as_view(expected.mean));
  lat_test_assert_same_view(param("0.running_var"), lat_array_as_view(expected.var));
  lat_array_release(expected.mean);
  lat_array_release(expected.var);
}

static void test_dropout(void **state) {
  (void)state;
  lat_compile_opts opts = LAT_COMPILE_OPTS_INIT;
  lat_run_opts run = LAT_RUN_OPTS_INIT;
  lat_value h = lat_nn_input(nn, "x", C, NULL);
  lat_nn_output(nn, "y", lat_nn_dropout(nn, h, 0.5));
  finish(NULL);
  run_with(x);
  assert_same_tensor(lat_results_tensor(results, "y"), x); // evaluating: nothing happens
  lat_program_release(program);
  opts.training = 1;
  lat_test_assert_ok(lat_model_compile(context, model, &opts, &program));
  lat_array *draws[3];
  const lat_binding input = {"x", x, NULL};
  for (int i = 0; i < 3; i++) {
    run.dropout_stream = i == 2 ? 7 : 3;
    lat_results_release(results);
    results = NULL;
    lat_test_assert_ok(lat_program_run(context, program, &input, 1, &run, &results));
    draws[i] = lat_array_retain(lat_tensor_feats_array(lat_results_tensor(results, "y")));
  }
  const float *a = lat_array_data(draws[0]), *b = lat_array_data(draws[2]), *in = lat_tensor_feats(x).data;
  int64_t n_dropped = 0, n_other = 0;
  for (int64_t i = 0; i < N_ROWS * C; i++) {
    assert_true(a[i] == 0.0f || a[i] == 2.0f * in[i]);
    n_dropped += a[i] == 0.0f;
    n_other += (a[i] == 0.0f) != (b[i] == 0.0f);
  }
  assert_in_range(n_dropped, N_ROWS * C / 3, N_ROWS * C * 2 / 3);
  assert_true(n_other > N_ROWS);
  lat_test_assert_same_view(lat_array_as_view(draws[0]), lat_array_as_view(draws[1]));
  for (int i = 0; i < 3; i++) lat_array_release(draws[i]);
}

// --- inputs -----------------------------------------------------------------------------------------------------------

static void build_conv(lat_triple stride) {
  lat_nn_input_opts opts = LAT_NN_INPUT_OPTS_INIT;
  opts.stride = stride;
  lat_value h = lat_nn_input(nn, "x", C, &opts);
  lat_nn_output(nn, "y", lat_nn_subm_conv3d(nn, h, C, C, NULL));
}

/// Runs with three arrays.
static lat_status run_arrays(lat_session *session, const lat_array_view *rows, const lat_array_view *feats,
                             int32_t n_active, int logical) {
  const lat_array_view active = lat_view_1d(&n_active, LAT_DTYPE_I32, 1);
  const lat_binding inputs[3] = {{"x_active", NULL, &active}, {"x_coords", NULL, rows}, {"x_features", NULL, feats}};
  lat_run_opts opts = LAT_RUN_OPTS_INIT;
  opts.logical_coords = logical;
  lat_results_release(results);
  results = NULL;
  return lat_session_run(session, inputs, 3, &opts, &results);
}

static void test_arrays(void **state) {
  (void)state;
  lat_session *session = NULL;
  build_conv(lat_triple_all(2));
  finish(NULL);
  lat_test_assert_ok(lat_session_create(context, program, &session));
  lat_coords_opts stride_two = LAT_COORDS_OPTS_INIT;
  stride_two.stride = lat_triple_all(2);
  lat_array_view logical = lat_coords_rows(lat_tensor_coords(x)), feats = lat_tensor_feats(x);
  lat_coords *set = NULL;
  lat_tensor *input = NULL, *expected = NULL;
  lat_test_assert_ok(lat_coords_create(context, &logical, &stride_two, &set));
  lat_test_assert_ok(lat_tensor_create(context, set, &feats, NULL, &input));
  lat_array *physical = NULL;
  lat_test_assert_ok(lat_array_create(context, &logical, &physical));
  int32_t *data = lat_array_data(physical);
  for (int i = 0; i < N_ROWS * 4; i++) data[i] *= i % 4 ? 2 : 1;
  lat_array_view physical_view = lat_array_as_view(physical), weight_view = param("0.weight"), bias = param("0.bias");
  lat_weight weight = lat_weight_dense(weight_view);
  lat_test_assert_ok(lat_subm_conv3d(context, input, &weight, &bias, NULL, &expected));

  lat_test_assert_ok(run_arrays(session, &physical_view, &feats, N_ROWS, 0));
  assert_same_tensor(lat_results_tensor(results, "y"), expected);
  uint64_t id = lat_coords_id(lat_tensor_coords(lat_results_tensor(results, "y")));
  lat_test_assert_ok(run_arrays(session, &logical, &feats, N_ROWS, 1));
  assert_same_tensor(lat_results_tensor(results, "y"), expected);
  // Equal rows are the same set again, whatever array they came in.
  assert_true(lat_coords_id(lat_tensor_coords(lat_results_tensor(results, "y"))) == id);
  // The first rows alone.
  lat_test_assert_ok(run_arrays(session, &physical_view, &feats, 17, 0));
  assert_int_equal(lat_tensor_count(lat_results_tensor(results, "y")), 17);
  assert_false(lat_coords_id(lat_tensor_coords(lat_results_tensor(results, "y"))) == id);
  lat_test_assert_ok(run_arrays(session, &physical_view, &feats, 0, 0));
  assert_int_equal(lat_tensor_count(lat_results_tensor(results, "y")), 0);
  // The tensor itself.
  const lat_binding bound = {"x", input, NULL};
  lat_results_release(results);
  lat_test_assert_ok(lat_session_run(session, &bound, 1, NULL, &results));
  assert_same_tensor(lat_results_tensor(results, "y"), expected);
  lat_array_release(physical);
  lat_tensor_release(expected);
  lat_tensor_release(input);
  lat_coords_release(set);
  lat_session_destroy(session);
}

// Coordinates, active count and features of a bound tensor as arrays, and out again: physical.
static void test_components(void **state) {
  (void)state;
  int32_t at = -1;
  lat_value h = lat_nn_input(nn, "x", C, LAT_OPTS(lat_nn_input_opts, .stride = {2, 3, 1}));
  lat_nn_output(nn, "f", lat_nn_features(nn, h));
  lat_test_assert_ok(lat_nn_finish(nn, &model));
  nn = NULL;
  const int32_t operand = h - 1;
  lat_test_assert_ok(lat__model_add_op(context, model, LAT__OP_SPARSE_DECOMPOSE, &operand, 1, &at));
  lat_test_assert_ok(lat__model_add_output(context, model, "c", LAT__ROLE_TENSOR, model->ops[at].results[0]));
  lat_test_assert_ok(lat__model_add_output(context, model, "a", LAT__ROLE_TENSOR, model->ops[at].results[2]));
  lat_test_assert_ok(lat__model_add_output(context, model, "c_in", LAT__ROLE_TENSOR, model->inputs[0].value));
  lat_test_assert_ok(lat__model_add_output(context, model, "a_in", LAT__ROLE_TENSOR, model->inputs[2].value));
  lat_test_assert_ok(lat_model_compile(context, model, NULL, &program));
  lat_array_view rows = lat_coords_rows(lat_tensor_coords(x)), feats = lat_tensor_feats(x);
  lat_coords_opts opts = LAT_COORDS_OPTS_INIT;
  opts.stride = (lat_triple){2, 3, 1};
  lat_coords *set = NULL;
  lat_tensor *input = NULL;
  lat_test_assert_ok(lat_coords_create(context, &rows, &opts, &set));
  lat_test_assert_ok(lat_tensor_create(context, set, &feats, NULL, &input));
  run_with(input);
  static const char *const names[2][2] = {{"c", "c_in"}, {"a", "a_in"}};
  for (int k = 0; k < 2; k++) {
    const int32_t *got = lat_array_as_view(lat_results_array(results, names[0][k])).data, *in = rows.data;
    for (int i = 0; i < N_ROWS * 4; i++) assert_int_equal(got[i], in[i] * (i % 4 == 1 ? 2 : i % 4 == 2 ? 3 : 1));
    assert_int_equal(*(const int32_t *)lat_array_as_view(lat_results_array(results, names[1][k])).data, N_ROWS);
  }
  lat_test_assert_same_view(lat_array_as_view(lat_results_array(results, "f")), feats);
  lat_tensor_release(input);
  lat_coords_release(set);
}

// --- memory and threads -----------------------------------------------------------------------------------------------

static void test_second_run_allocates_nothing(void **state) {
  (void)state;
  lat_session *session = NULL;
  build_quickstart();
  finish(NULL);
  lat_test_assert_ok(lat_session_create(context, program, &session));
  const lat_binding bound = {"x", x, NULL};
  lat_array_view rows = lat_coords_rows(lat_tensor_coords(x)), feats = lat_tensor_feats(x);
  long long n_calls = 0;
  for (int way = 0; way < 2; way++) {
    for (int run = 0; run < 4; run++) {
      lat_results_release(results);
      results = NULL;
      if (run == 1) n_calls = counter.n_calls;
      if (way) {
        lat_test_assert_ok(run_arrays(session, &rows, &feats, N_ROWS, 0));
      } else {
        lat_test_assert_ok(lat_session_run(session, &bound, 1, NULL, &results));
      }
    }
    assert_int_equal(counter.n_calls, n_calls);
  }
  lat_session_memory memory = lat_session_memory_of(session);
  assert_true(memory.total_bytes >= 3 * N_ROWS * 32 * 4);
  assert_true(memory.live_bytes < memory.total_bytes); // the first convolution had gone
  assert_true(memory.live_bytes >= 2 * N_ROWS * 32 * 4);
  assert_true(memory.peak_bytes >= memory.live_bytes);
  assert_true(memory.held_bytes >= memory.peak_bytes);
  assert_int_equal(lat_session_memory_of(NULL).held_bytes, 0);
  // Results outlive the session and the program.
  lat_session_destroy(session);
  lat_program_release(program);
  program = NULL;
  assert_int_equal(lat_tensor_count(lat_results_tensor(results, "y")), N_ROWS);
}

/// One thread's runs of the shared program, with a context of its own.
static void *runs_of_a_thread(void *argument) {
  lat_results **out = argument;
  lat_context *own = NULL;
  lat_session *session = NULL;
  const lat_binding bound = {"x", x, NULL};
  if (lat_context_create(NULL, &own) || lat_session_create(own, program, &session)) return NULL;
  for (int run = 0; run < 5; run++) {
    lat_results_release(*out);
    *out = NULL;
    if (lat_session_run(session, &bound, 1, NULL, out)) break;
  }
  lat_session_destroy(session);
  lat_context_destroy(own);
  return NULL;
}

static void test_threads_share_a_program(void **state) {
  (void)state;
  enum { N_THREADS = 4 };
  pthread_t threads[N_THREADS];
  lat_results *outs[N_THREADS] = {NULL};
  build_quickstart();
  finish(NULL);
  run_with(x);
  for (int i = 0; i < N_THREADS; i++) {
    assert_int_equal(pthread_create(&threads[i], NULL, runs_of_a_thread, &outs[i]), 0);
  }
  for (int i = 0; i < N_THREADS; i++) {
    pthread_join(threads[i], NULL);
    assert_same_tensor(lat_results_tensor(outs[i], "y"), lat_results_tensor(results, "y"));
    lat_results_release(outs[i]);
  }
}

// A program keeps the parameters it was compiled with.
static void test_program_is_a_snapshot(void **state) {
  (void)state;
  build_conv(lat_triple_all(1));
  finish(NULL);
  run_with(x);
  lat_array *before = lat_array_retain(lat_tensor_feats_array(lat_results_tensor(results, "y"))), *zeros = NULL;
  lat__parameter *weight = &model->parameters[lat__model_find_parameter(model, "0.weight")];
  lat_array_view view = lat_array_as_view(weight->dense);
  lat_test_assert_ok(lat_array_full(context, LAT_DTYPE_F32, 5, view.shape, 0.0, &zeros));
  lat__parameter_set(&weight->dense, zeros);
  lat_array_release(zeros);
  run_with(x);
  lat_test_assert_same_view(lat_tensor_feats(lat_results_tensor(results, "y")), lat_array_as_view(before));
  lat_array_release(before);
  lat_program *same = lat_program_retain(program);
  lat_program_release(same);
  lat_results *held = lat_results_retain(results);
  lat_results_release(held);
  assert_null(lat_program_retain(NULL));
  assert_null(lat_results_retain(NULL));
}

/// Points at the lattice points of x read the result that lies there.
static void look_up(const lat_tensor *y) {
  float point[3] = {0};
  lat_array *values = NULL;
  const lat_array_view rows = lat_coords_rows(lat_tensor_coords(y));
  for (int a = 0; a < 3; a++) point[a] = (float)((const int32_t *)rows.data)[a + 1];
  const lat_array_view view = lat_view_2d(point, LAT_DTYPE_F32, 1, 3);
  const lat_array_view batch = lat_view_1d(rows.data, LAT_DTYPE_I32, 1);
  lat_voxel_grid grid = lat_voxel_grid_cube(1.0);
  grid.batch_indices = &batch;
  lat_test_assert_ok(lat_devoxelize(context, &view, y, &grid, LAT_INTERPOLATION_NEAREST, &values));
  assert_memory_equal(lat_array_data(values), lat_tensor_feats(y).data, 32 * sizeof(float));
  lat_array_release(values);
}

// A result is a tensor like any other, also when the session and the context that made its set are gone: what looks a
// row up makes the set's index then.
static void test_results_are_looked_up(void **state) {
  (void)state;
  lat_value h = lat_nn_input(nn, "x", C, NULL);
  lat_nn_output(nn, "y", lat_nn_conv3d(nn, h, C, 32, LAT_OPTS(lat_nn_conv_opts, .stride = {2, 2, 2})));
  finish(NULL);
  run_with(x);
  look_up(lat_results_tensor(results, "y"));
  lat_results *other = NULL;
  pthread_t thread;
  assert_int_equal(pthread_create(&thread, NULL, runs_of_a_thread, &other), 0);
  pthread_join(thread, NULL);
  assert_non_null(other);
  look_up(lat_results_tensor(other, "y"));
  lat_results_release(other);
}

int main(void) {
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
  const struct CMUnitTest tests[] = {
      TEST(test_quickstart),
      TEST(test_running_statistics),
      TEST(test_dropout),
      TEST(test_arrays),
      TEST(test_components),
      TEST(test_second_run_allocates_nothing),
      TEST(test_threads_share_a_program),
      TEST(test_program_is_a_snapshot),
      TEST(test_results_are_looked_up),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
