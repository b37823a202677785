// Chains of a program: a convolution with its norm, residual and activation in one pass gives the bits of the operations
// one after the other, in every dtype; what cannot be fused runs by itself. And what version 3 adds on supports.
//
// covers: lat_model_compile lat_nn_concat_reduce
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include <lattice/lattice.h>

#include "model/program_internal.h"
#include "support/tensor_cases.h"
#include "support/test_allocator.h"
#include "support/test_support.h"

enum { N = 250, C = 16 };

static lat_test_allocator counter;
static lat_context *context;
static lat_nn *nn;
static lat_model *model;
static lat_tensor *x, *other;

static lat_tensor *random_tensor(uint64_t seed, lat_dtype dtype) {
  lat_test_random random = {seed, 0};
  int32_t *rows = lat_test_random_rows(&random, N, 2, 5, 0);
  double *values = lat_test_random_values(&random, N * C, -1.0, 1.0);
  lat_tensor *tensor = lat_test_tensor(context, rows, N, values, C, dtype, NULL);
  free(rows);
  free(values);
  return tensor;
}

static int set_up(void **state) {
  (void)state;
  memset(&counter, 0, sizeof counter);
  context = lat_test_context_create(&counter, 2);
  lat_test_assert_ok(lat_nn_create(context, &nn));
  x = random_tensor(1, LAT_DTYPE_F32);
  other = random_tensor(2, LAT_DTYPE_F32);
  model = NULL;
  return 0;
}

static int tear_down(void **state) {
  (void)state;
  lat_tensor_release(x);
  lat_tensor_release(other);
  lat_nn_destroy(nn);
  nn = NULL;
  lat_model_release(model);
  lat_test_context_finish(context, &counter);
  return 0;
}

static void finish(void) {
  lat_test_assert_ok(lat_nn_finish(nn, &model));
  nn = NULL;
}

/// Norm parameters that do something.
static void stir_norms(void) {
  lat_test_random random = {9, 0};
  for (int64_t i = 0; i < model->n_parameters; i++) {
    lat__parameter *p = &model->parameters[i];
    if (p->packing.bits || (p->family != LAT__FAMILY_CHANNEL && p->family != LAT__FAMILY_BIAS)) continue;
    lat_array_view view = lat_array_as_view(p->dense);
    lat_array *values = NULL;
    lat_test_assert_ok(lat_array_create(context, &view, &values));
    for (int64_t k = 0; k < view.shape[0]; k++) {
      ((float *)lat_array_data(values))[k] = (float)lat_test_uniform(&random, 0.25, 1.5);
    }
    lat__parameter_set(&p->dense, values);
    lat_array_release(values);
  }
}

static lat_results *run(const lat_compile_opts *opts, const lat_binding *inputs, int64_t n, int64_t *n_chained) {
  lat_program *program = NULL;
  lat_results *results = NULL;
  lat_test_assert_ok(lat_model_compile(context, model, opts, &program));
  *n_chained = 0;
  for (int64_t i = 0; i < program->n_chains; i++) *n_chained += program->chains[i].n_ops;
  lat_test_assert_ok(lat_program_run(context, program, inputs, n, NULL, &results));
  lat_program_release(program);
  return results;
}

/// Fused and not: the same sets and bits; `n_ops` operations are in chains when fused.
static void compare(lat_dtype dtype, int64_t n_inputs, int64_t n_ops) {
  const lat_binding inputs[2] = {{"x", x, NULL}, {"other", other, NULL}};
  lat_compile_opts opts = LAT_COMPILE_OPTS_INIT;
  int64_t n_fused = 0, n_apart = 0;
  opts.dtype = dtype;
  lat_results *fused = run(&opts, inputs, n_inputs, &n_fused);
  opts.no_fusion = 1;
  lat_results *apart = run(&opts, inputs, n_inputs, &n_apart);
  assert_int_equal(n_fused, n_ops);
  assert_true(n_apart < n_fused);
  const lat_tensor *a = lat_results_tensor(fused, "y"), *b = lat_results_tensor(apart, "y");
  lat_test_assert_same_view(lat_coords_rows(lat_tensor_coords(a)), lat_coords_rows(lat_tensor_coords(b)));
  lat_test_assert_same_view(lat_tensor_feats(a), lat_tensor_feats(b));
  assert_int_equal(lat_tensor_batch_size(a), lat_tensor_batch_size(b));
  lat_results_release(fused);
  lat_results_release(apart);
}

#define CONV(...) LAT_OPTS(lat_nn_conv_opts, __VA_ARGS__)

/// Residual block: 1 + 3 + 3 operations, then 1 + 3 + 1 + 3; with a projection 1 + 3 more.
static lat_value residual_block(lat_value h, int64_t c_in, int64_t c_out) {
  lat_value y = lat_nn_subm_conv3d(nn, h, c_in, c_out, CONV(.no_bias = 1));
  y = lat_nn_relu(nn, lat_nn_batch_norm(nn, y, c_out, NULL));
  y = lat_nn_batch_norm(nn, lat_nn_subm_conv3d(nn, y, c_out, c_out, NULL), c_out, NULL);
  if (c_in != c_out)
    h = lat_nn_batch_norm(nn, lat_nn_conv3d(nn, h, c_in, c_out, CONV(.kernel_size = {1, 1, 1})), c_out, NULL);
  return lat_nn_relu(nn, lat_nn_add(nn, y, h));
}

static void test_residual_network(void **state) {
  (void)state;
  lat_value h = lat_nn_input(nn, "x", C, NULL);
  h = residual_block(h, C, 32);
  lat_value down = lat_nn_conv3d(nn, h, 32, 32, CONV(.kernel_size = {2, 2, 2}, .stride = {2, 2, 2}));
  down = residual_block(lat_nn_silu(nn, down), 32, 32);
  lat_value up = lat_nn_conv_transpose3d(nn, down, 32, 32, CONV(.target = h));
  up = lat_nn_leaky_relu(nn, lat_nn_batch_norm(nn, up, 32, NULL), 0.125);
  const lat_value skip[2] = {up, h};
  lat_nn_output(nn, "y",
                lat_nn_gelu(nn, lat_nn_quantized_conv3d(nn, lat_nn_cat(nn, skip, 2, 0), 64, 8, NULL), LAT_GELU_TANH));
  finish();
  stir_norms();
  static const lat_dtype dtypes[3] = {LAT_DTYPE_F32, LAT_DTYPE_F16, LAT_DTYPE_BF16};
  for (int d = 0; d < 3; d++) compare(dtypes[d], 1, (7 + 8 + 4) + 4 + (7 + 8) + 7 + 4);
}

/// Largest difference and largest value of two results.
static void differ(const lat_results *a, const lat_results *b, double *most, double *largest) {
  double *x_values = lat_test_read_feats(lat_results_tensor(a, "y")),
         *y = lat_test_read_feats(lat_results_tensor(b, "y"));
  int64_t n = lat_tensor_count(lat_results_tensor(a, "y")) * lat_tensor_channels(lat_results_tensor(a, "y"));
  *most = *largest = 0.0;
  for (int64_t i = 0; i < n; i++) {
    *most = fmax(*most, fabs(x_values[i] - y[i]));
    *largest = fmax(*largest, fabs(y[i]));
  }
  free(x_values);
  free(y);
}

// Folded norms: another rounding of the same numbers; packed and normalized convolutions keep theirs.
static void test_folded_norms(void **state) {
  (void)state;
  lat_value h = lat_nn_input(nn, "x", C, NULL);
  h = residual_block(h, C, 32);
  h = lat_nn_batch_norm(nn, lat_nn_normalized_subm_conv3d(nn, h, 32, 32, NULL), 32, NULL);
  h = lat_nn_batch_norm(nn, lat_nn_quantized_conv3d(nn, h, 32, 32, NULL), 32, NULL);
  lat_nn_output(nn, "y", h);
  finish();
  stir_norms();
  static const double bounds[3] = {2e-6, 4e-3, 3e-2};
  static const lat_dtype dtypes[3] = {LAT_DTYPE_F32, LAT_DTYPE_F16, LAT_DTYPE_BF16};
  const lat_binding input = {"x", x, NULL};
  for (int d = 0; d < 3; d++) {
    lat_compile_opts opts = LAT_COMPILE_OPTS_INIT;
    int64_t n = 0;
    double most = 0.0, largest = 0.0;
    opts.dtype = dtypes[d];
    lat_results *plain = run(&opts, &input, 1, &n);
    opts.fold_norms = 1;
    lat_results *folded = run(&opts, &input, 1, &n);
    differ(folded, plain, &most, &largest);
    assert_true(most > 0.0 && most <= bounds[d] * largest);
    lat_results_release(plain);
    lat_results_release(folded);
  }
}

// Linear layers on dense features, with the norm and activation on their result.
static void test_linear_layers(void **state) {
  (void)state;
  static const lat_dtype dtypes[] = {LAT_DTYPE_F32, LAT_DTYPE_F16, LAT_DTYPE_BF16};
  lat_value h = lat_nn_input(nn, "x", C, NULL);
  lat_value f = lat_nn_linear(nn, lat_nn_features(nn, h), C, 24, NULL);
  f = lat_nn_relu(nn, lat_nn_batch_norm(nn, f, 24, NULL));
  f = lat_nn_silu(nn, lat_nn_linear(nn, f, 24, 8, NULL));
  lat_nn_output(nn, "y", lat_nn_with_features(nn, h, f));
  finish();
  stir_norms();
  for (int i = 0; i < 3; i++) compare(dtypes[i], 1, 3 + 2);
}

// A residual on another set, of the same channels: joined by value, one operation after the other.
static void test_residual_on_another_set(void **state) {
  (void)state;
  lat_value h = lat_nn_input(nn, "x", C, NULL), b = lat_nn_input(nn, "other", C, NULL);
  lat_value y = lat_nn_batch_norm(nn, lat_nn_subm_conv3d(nn, h, C, C, NULL), C, NULL);
  lat_nn_output(nn, "y", lat_nn_tanh(nn, lat_nn_add(nn, b, y)));
  finish();
  stir_norms();
  compare(LAT_DTYPE_F32, 2, 8);
}

// A value that somebody else reads stays; norms that learn stay.
static void test_values_in_between(void **state) {
  (void)state;
  int64_t n_ops = 0;
  const lat_binding input = {"x", x, NULL};
  lat_value h = lat_nn_input(nn, "x", C, NULL);
  lat_value y = lat_nn_subm_conv3d(nn, h, C, C, NULL);
  lat_value z = lat_nn_batch_norm(nn, y, C, NULL);
  lat_nn_output(nn, "conv", y);
  lat_nn_output(nn, "y", lat_nn_relu(nn, z));
  finish();
  lat_results *results = run(NULL, &input, 1, &n_ops);
  assert_int_equal(n_ops, 1);
  assert_non_null(lat_results_tensor(results, "conv"));
  lat_results_release(results);
  lat_model_release(model);
  lat_test_assert_ok(lat_nn_create(context, &nn));
  h = lat_nn_input(nn, "x", C, NULL);
  lat_nn_output(nn, "y", lat_nn_relu(nn, lat_nn_batch_norm(nn, lat_nn_subm_conv3d(nn, h, C, C, NULL), C, NULL)));
  finish();
  lat_compile_opts opts = LAT_COMPILE_OPTS_INIT;
  opts.training = 1;
  results = run(&opts, &input, 1, &n_ops);
  assert_int_equal(n_ops, 1);
  lat_results_release(results);
}

// Two convolutions meet in a sum: one of them takes it.
static void test_two_convolutions_in_a_sum(void **state) {
  (void)state;
  lat_value h = lat_nn_input(nn, "x", C, NULL);
  lat_value a = lat_nn_subm_conv3d(nn, h, C, C, NULL), b = lat_nn_subm_conv3d(nn, h, C, C, NULL);
  lat_nn_output(nn, "y", lat_nn_relu(nn, lat_nn_add(nn, b, a)));
  finish();
  compare(LAT_DTYPE_F32, 1, 1 + 1 + 1 + 3);
}

// New sets under the same session: plans follow the input.
static void test_plans_follow_the_set(void **state) {
  (void)state;
  lat_program *program = NULL;
  lat_session *session = NULL;
  lat_nn_output(nn, "y", lat_nn_subm_conv3d(nn, lat_nn_input(nn, "x", C, NULL), C, C, NULL));
  finish();
  lat_tensor *half = random_tensor(1, LAT_DTYPE_F16);
  const lat_tensor *inputs[4] = {x, other, x, half};
  lat_test_assert_ok(lat_model_compile(context, model, NULL, &program));
  lat_test_assert_ok(lat_session_create(context, program, &session));
  for (int i = 0; i < 4; i++) {
    const lat_binding input = {"x", inputs[i], NULL};
    lat_results *a = NULL, *b = NULL;
    lat_test_assert_ok(lat_session_run(session, &input, 1, NULL, &a));
    lat_test_assert_ok(lat_program_run(context, program, &input, 1, NULL, &b));
    lat_test_assert_same_view(lat_tensor_feats(lat_results_tensor(a, "y")),
                              lat_tensor_feats(lat_results_tensor(b, "y")));
    lat_results_release(a);
    lat_results_release(b);
  }
  lat_session_destroy(session);
  lat_program_release(program);
  lat_tensor_release(half);
}

// --- version 3 --------------------------------------------------------------------------------------------------------

static void test_reach(void **state) {
  (void)state;
  int64_t n = 0;
  const lat_binding input = {"x", x, NULL};
  const lat_triple two = {2, 2, 2}, three = {3, 3, 3}, one = {1, 1, 1}, box = {5, 4, 6};
  lat_value h = lat_nn_input(nn, "x", C, NULL);
  lat_nn_output(
      nn, "y",
      lat_nn_conv3d(nn, h, C, 4, CONV(.stride = two, .padding = one, .support = LAT_SUPPORT_REACH, .bounds = box)));
  lat_nn_output(nn, "p",
                lat_nn_max_pool3d(nn, h,
                                  LAT_OPTS(lat_nn_pool_opts, .kernel_size = three, .stride = two,
                                           .support = LAT_SUPPORT_REACH, .bounds = box)));
  finish();
  lat_results *results = run(NULL, &input, 1, &n);
  lat_conv3d_opts opts = LAT_CONV3D_OPTS_INIT;
  opts.stride = two;
  opts.padding = one;
  opts.support = LAT_SUPPORT_REACH;
  opts.bounds = box;
  lat_kernel_opts pool = LAT_KERNEL_OPTS_INIT;
  pool.kernel_size = three;
  pool.stride = two;
  pool.support = LAT_SUPPORT_REACH;
  pool.bounds = box;
  lat_weight weight = lat_weight_dense(lat_array_as_view(model->parameters[0].dense));
  lat_array_view bias = lat_array_as_view(model->parameters[1].dense);
  lat_tensor *y = NULL, *p = NULL;
  lat_test_assert_ok(lat_conv3d(context, x, &weight, &bias, &opts, &y));
  lat_test_assert_ok(lat_pool3d(context, x, LAT_POOL_MAX, &pool, &p));
  lat_test_assert_same_view(lat_tensor_feats(lat_results_tensor(results, "y")), lat_tensor_feats(y));
  lat_test_assert_same_view(lat_tensor_feats(lat_results_tensor(results, "p")), lat_tensor_feats(p));
  lat_tensor_release(y);
  lat_tensor_release(p);
  lat_results_release(results);
}

// Rows on two strides, put on the first one's, equal ones summed.
static void test_concat_reduce(void **state) {
  (void)state;
  static const int32_t fine[3][4] = {{0, 0, 0, 0}, {0, 2, 0, 0}, {0, 3, 1, 1}},
                       coarse[2][4] = {{0, 1, 0, 0}, {0, 2, 0, 0}};
  static const double fine_values[3] = {1, 2, 4}, coarse_values[2] = {8, 16};
  static const int32_t rows[4][4] = {{0, 0, 0, 0}, {0, 2, 0, 0}, {0, 3, 1, 1}, {0, 4, 0, 0}};
  static const double values[4] = {1, 10, 4, 16};
  int64_t n = 0;
  lat_value a = lat_nn_input(nn, "a", 1, NULL),
            b = lat_nn_input(nn, "b", 1, LAT_OPTS(lat_nn_input_opts, .stride = {2, 2, 2}));
  lat_nn_output(nn, "y", lat_nn_concat_reduce(nn, (lat_value[]){a, b}, 2, LAT_DUPLICATES_SUM));
  finish();
  lat_tensor *first = lat_test_tensor(context, fine[0], 3, fine_values, 1, LAT_DTYPE_F32, NULL);
  lat_coords_opts opts = LAT_COORDS_OPTS_INIT;
  opts.stride = lat_triple_all(2);
  lat_array_view view = lat_view_2d(coarse, LAT_DTYPE_I32, 2, 4);
  lat_coords *set = NULL;
  lat_test_assert_ok(lat_coords_create(context, &view, &opts, &set));
  lat_tensor *second = lat_test_tensor_on(context, set, coarse_values, 1, LAT_DTYPE_F32, NULL);
  const lat_binding inputs[2] = {{"a", first, NULL}, {"b", second, NULL}};
  lat_results *results = run(NULL, inputs, 2, &n);
  const lat_tensor *y = lat_results_tensor(results, "y");
  assert_int_equal(lat_tensor_count(y), 4);
  assert_memory_equal(lat_coords_rows(lat_tensor_coords(y)).data, rows, sizeof rows);
  lat_test_assert_values(lat_tensor_feats(y), values, 4);
  lat_results_release(results);
  lat_tensor_release(first);
  lat_tensor_release(second);
  lat_coords_release(set);
}

// Coordinate columns z, y, x come in; a dense array with its axes in that order goes out.
static void test_zyx(void **state) {
  (void)state;
  static const int32_t zyx[2][4] = {{0, 1, 2, 0}, {0, 0, 1, 3}}; // (b, z, y, x)
  static const float feats[2][1] = {{5}, {7}};
  static const int32_t active = 2;
  lat_program *program = NULL;
  lat_results *results = NULL;
  lat_value h = lat_nn_input(nn, "x", 1, LAT_OPTS(lat_nn_input_opts, .zyx = 1));
  lat_nn_output(
      nn, "y",
      lat_nn_to_dense(nn, h, 1, LAT_OPTS(lat_dense_opts, .shape = {4, 3, 2}, .layout = LAT_DENSE_CHANNELS_FIRST)));
  lat_nn_output(nn, "b",
                lat_nn_to_dense(nn, h, 1, LAT_OPTS(lat_dense_opts, .shape = {4, 3, 2}, .fold = LAT_DENSE_FOLD_Z)));
  finish();
  lat_array_view rows = lat_view_2d(zyx, LAT_DTYPE_I32, 2, 4), f = lat_view_2d(feats, LAT_DTYPE_F32, 2, 1);
  lat_array_view a = lat_view_1d(&active, LAT_DTYPE_I32, 1);
  const lat_binding inputs[3] = {{"x_coords", NULL, &rows}, {"x_features", NULL, &f}, {"x_active", NULL, &a}};
  lat_test_assert_ok(lat_model_compile(context, model, NULL, &program));
  lat_test_assert_ok(lat_program_run(context, program, inputs, 3, NULL, &results));
  lat_array_view dense = lat_array_as_view(lat_results_array(results, "y"));
  const int64_t shape[5] = {1, 1, 2, 3, 4}; // (B, C, Z, Y, X)
  assert_memory_equal(dense.shape, shape, sizeof shape);
  const float *values = dense.data;
  for (int i = 0; i < 24; i++) assert_true(values[i] == (i == 12 + 2 * 4 ? 5.0f : i == 4 + 3 ? 7.0f : 0.0f));
  lat_array_view bird = lat_array_as_view(lat_results_array(results, "b"));
  const int64_t bird_shape[4] = {1, 3, 4, 2}; // (B, Y, X, C * Z)
  assert_memory_equal(bird.shape, bird_shape, sizeof bird_shape);
  values = bird.data;
  for (int i = 0; i < 24; i++) assert_true(values[i] == (i == (2 * 4) * 2 + 1 ? 5.0f : i == (4 + 3) * 2 ? 7.0f : 0.0f));
  lat_results_release(results);
  lat_program_release(program);
}

int main(void) {
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
  const struct CMUnitTest tests[] = {TEST(test_residual_network),        TEST(test_linear_layers),
                                     TEST(test_residual_on_another_set), TEST(test_folded_norms),
                                     TEST(test_values_in_between),       TEST(test_two_convolutions_in_a_sum),
                                     TEST(test_plans_follow_the_set),    TEST(test_reach),
                                     TEST(test_concat_reduce),           TEST(test_zyx)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
