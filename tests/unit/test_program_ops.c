// Every operation of a program is the public call of the same meaning: one model of one module each, against that call.
//
// covers: lat_program_run lat_results_tensor lat_results_array
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include <lattice/lattice.h>

#include "model/graph.h"
#include "support/tensor_cases.h"
#include "support/test_allocator.h"
#include "support/test_support.h"

enum { N = 200, C = 32, N_POINTS = 60 };

static lat_test_allocator counter;
static lat_context *context;
static lat_model *model;
static lat_tensor *x, *other, *coarse; ///< coarse: the set of x at stride 2
static float points[N_POINTS][3];
static int32_t batch[N_POINTS];

static lat_tensor *random_tensor(uint64_t seed) {
  lat_test_random random = {seed, 0};
  lat_tensor_opts opts = LAT_TENSOR_OPTS_INIT;
  opts.n_batches = 2;
  int32_t *rows = lat_test_random_rows(&random, N, 2, 4, 0);
  double *values = lat_test_random_values(&random, N * C, -1.0, 1.0);
  lat_tensor *tensor = lat_test_tensor(context, rows, N, values, C, LAT_DTYPE_F32, &opts);
  free(rows);
  free(values);
  return tensor;
}

static int set_up(void **state) {
  (void)state;
  memset(&counter, 0, sizeof counter);
  context = lat_test_context_create(&counter, 1);
  x = random_tensor(1);
  other = random_tensor(2);
  lat_test_assert_ok(lat_pool3d(context, x, LAT_POOL_AVG, NULL, &coarse));
  lat_test_random random = {3, 0};
  for (int i = 0; i < N_POINTS; i++) {
    for (int k = 0; k < 3; k++) points[i][k] = (float)lat_test_uniform(&random, -4.0, 4.0);
    batch[i] = i % 2;
  }
  return 0;
}

static int tear_down(void **state) {
  (void)state;
  lat_tensor_release(x);
  lat_tensor_release(other);
  lat_tensor_release(coarse);
  lat_model_release(model);
  model = NULL;
  lat_test_context_finish(context, &counter);
  return 0;
}

/// What one case appends: a value from the model's inputs x, other and coarse.
typedef lat_value (*build_fn)(lat_nn *nn, lat_value x, lat_value other, lat_value coarse);

/// The same by a public call: a tensor or an array.
typedef lat_status (*call_fn)(lat_tensor **tensor, lat_array **array);

static lat_array_view param(const char *key) {
  return lat_array_as_view(model->parameters[lat__model_find_parameter(model, key)].dense);
}

static lat_results *run_model(void) {
  lat_program *program = NULL;
  lat_results *results = NULL;
  const lat_binding inputs[3] = {{"x", x, NULL}, {"other", other, NULL}, {"coarse", coarse, NULL}};
  lat_test_assert_ok(lat_model_compile(context, model, NULL, &program));
  lat_test_assert_ok(lat_program_run(context, program, inputs, 3, NULL, &results));
  lat_program_release(program);
  return results;
}

static void build_model(build_fn build) {
  lat_nn *nn = NULL;
  lat_model_release(model);
  model = NULL;
  lat_test_assert_ok(lat_nn_create(context, &nn));
  lat_value a = lat_nn_input(nn, "x", C, NULL), b = lat_nn_input(nn, "other", C, NULL);
  lat_value c = lat_nn_input(nn, "coarse", C, LAT_OPTS(lat_nn_input_opts, .stride = {2, 2, 2}));
  lat_nn_output(nn, "y", build(nn, a, b, c));
  lat_test_assert_ok(lat_nn_finish(nn, &model));
}

static void check(const char *name, build_fn build, call_fn call) {
  lat_tensor *tensor = NULL;
  lat_array *array = NULL;
  build_model(build);
  lat_results *results = run_model();
  lat_status status = call(&tensor, &array);
  if (status) fail_msg("%s: %s", name, lat_last_error());
  const lat_tensor *got = lat_results_tensor(results, "y");
  if (tensor) {
    if (!got) fail_msg("%s: no sparse result", name);
    lat_test_assert_same_view(lat_coords_rows(lat_tensor_coords(got)), lat_coords_rows(lat_tensor_coords(tensor)));
    lat_test_assert_same_view(lat_tensor_feats(got), lat_tensor_feats(tensor));
    lat_triple a = lat_tensor_stride(got), b = lat_tensor_stride(tensor);
    assert_memory_equal(&a, &b, sizeof a);
    assert_int_equal(lat_tensor_batch_size(got), lat_tensor_batch_size(tensor));
  } else {
    lat_test_assert_same_view(lat_array_as_view(lat_results_array(results, "y")), lat_array_as_view(array));
  }
  lat_tensor_release(tensor);
  lat_array_release(array);
  lat_results_release(results);
}

/// A pair of functions `b_NAME` and `c_NAME`.
#define BUILD(name, expression)                                                                                        \
  static lat_value b_##name(lat_nn *nn, lat_value a, lat_value b, lat_value c) {                                       \
    (void)a, (void)b, (void)c;                                                                                         \
    return expression;                                                                                                 \
  }
#define CALL(name, expression)                                                                                         \
  static lat_status c_##name(lat_tensor **t, lat_array **r) {                                                          \
    (void)t, (void)r;                                                                                                  \
    return expression;                                                                                                 \
  }
#define CONV(...) LAT_OPTS(lat_nn_conv_opts, .name = "m", __VA_ARGS__)
#define POOL(...) LAT_OPTS(lat_nn_pool_opts, __VA_ARGS__)

// --- convolutions -----------------------------------------------------------------------------------------------------

typedef lat_status (*conv_call)(lat_context *, const lat_tensor *, const lat_weight *, const lat_array_view *,
                                const lat_conv3d_opts *, lat_tensor **);

static lat_status conv(conv_call call, const lat_tensor *input, const lat_conv3d_opts *opts, lat_tensor **out) {
  lat_array_view bias = param("m.bias");
  lat_weight weight = lat_weight_dense(param("m.weight"));
  return call(context, input, &weight, &bias, opts, out);
}

static const lat_coords *set_of(const lat_tensor *tensor) {
  return lat_tensor_coords(tensor);
}

#define OPTS(...) LAT_OPTS(lat_conv3d_opts, __VA_ARGS__)
BUILD(conv,
      lat_nn_conv3d(nn, a, C, 8,
                    CONV(.kernel_size = {3, 2, 3}, .stride = {2, 1, 1}, .padding = {1, 0, 0}, .dilation = {1, 2, 1})))
CALL(conv, conv(lat_conv3d, x,
                OPTS(.kernel_size = {3, 2, 3}, .stride = {2, 1, 1}, .padding = {1, 0, 0}, .dilation = {1, 2, 1}), t))
BUILD(groups, lat_nn_conv3d(nn, a, C, 8, CONV(.groups = 4)))
CALL(groups, conv(lat_conv3d, x, OPTS(.groups = 4), t))
BUILD(target, lat_nn_conv3d(nn, a, C, 8, CONV(.target = b)))
CALL(target, conv(lat_conv3d, x, OPTS(.coordinates = set_of(other)), t))
BUILD(subm, lat_nn_subm_conv3d(nn, a, C, 8, CONV(.kernel_size = {5, 3, 1}, .dilation = {2, 1, 1})))
CALL(subm, conv(lat_subm_conv3d, x, OPTS(.kernel_size = {5, 3, 1}, .dilation = {2, 1, 1}), t))
BUILD(nsubm, lat_nn_normalized_subm_conv3d(nn, a, C, 8, CONV(.eps = 0.5)))
CALL(nsubm, conv(lat_normalized_subm_conv3d, x, OPTS(.eps = 0.5), t))
BUILD(up, lat_nn_conv_transpose3d(nn, c, C, 8, CONV(.kernel_size = {3, 3, 3}, .padding = {1, 1, 1})))
CALL(up, conv(lat_conv_transpose3d, coarse, OPTS(.kernel_size = {3, 3, 3}, .padding = {1, 1, 1}), t))
BUILD(up_target, lat_nn_conv_transpose3d(nn, c, C, 8, CONV(.target = a)))
CALL(up_target, conv(lat_conv_transpose3d, coarse, OPTS(.coordinates = set_of(x)), t))
BUILD(nup, lat_nn_normalized_conv_transpose3d(nn, c, C, 8, CONV(.eps = 0.5)))
CALL(nup, conv(lat_normalized_conv_transpose3d, coarse, OPTS(.eps = 0.5), t))
BUILD(nup_target, lat_nn_normalized_conv_transpose3d(nn, c, C, 8, CONV(.eps = 0.5, .target = a)))
CALL(nup_target, conv(lat_normalized_conv_transpose3d, coarse, OPTS(.eps = 0.5, .coordinates = set_of(x)), t))
BUILD(gen, lat_nn_generative_conv_transpose3d(nn, c, C, 8, CONV(.kernel_size = {3, 3, 3})))
CALL(gen, conv(lat_generative_conv_transpose3d, coarse, OPTS(.kernel_size = {3, 3, 3}), t))
BUILD(gen_target, lat_nn_generative_conv_transpose3d(nn, c, C, 8, CONV(.target = a)))
CALL(gen_target, conv(lat_generative_conv_transpose3d, coarse, OPTS(.coordinates = set_of(x)), t))
BUILD(ngen, lat_nn_normalized_generative_conv_transpose3d(nn, c, C, 8, CONV(.eps = 0.5)))
CALL(ngen, conv(lat_normalized_generative_conv_transpose3d, coarse, OPTS(.eps = 0.5), t))

/// The packed weight of "m" by its parts.
static lat_status packed_conv(conv_call call, bool linear, const lat_tensor *input, lat_tensor **out) {
  const lat__parameter *p = &model->parameters[lat__model_find_parameter(model, "m")];
  const bool subm = call == lat_subm_conv3d || call == lat_conv3d;
  lat_quantized_weight *packed = NULL;
  lat_quantized_info info = {.bits = 8, .group_size = 32, .in_channels = C, .out_channels = 8};
  info.kernel_size = lat_triple_all(linear ? 1 : subm ? 3 : 2);
  info.layout = linear ? LAT_WEIGHT_LAYOUT_LINEAR : LAT_WEIGHT_LAYOUT_DENSE_5D;
  info.words = lat_array_as_view(p->words);
  info.scales = lat_array_as_view(p->scales);
  info.biases = lat_array_as_view(p->biases);
  lat_array_view bias = param("m.bias");
  lat_status status = lat_quantized_weight_create(context, &info, &packed);
  lat_weight weight = lat_weight_packed(packed);
  if (!status)
    status = linear ? lat_linear(context, input, &weight, &bias, out) : call(context, input, &weight, &bias, NULL, out);
  lat_quantized_weight_release(packed);
  return status;
}

BUILD(qconv, lat_nn_quantized_conv3d(nn, a, C, 8, CONV(.bits = 8)))
CALL(qconv, packed_conv(lat_conv3d, false, x, t))
BUILD(qsubm, lat_nn_quantized_subm_conv3d(nn, a, C, 8, CONV(.bits = 8)))
CALL(qsubm, packed_conv(lat_subm_conv3d, false, x, t))
BUILD(qup, lat_nn_quantized_conv_transpose3d(nn, c, C, 8, CONV(.bits = 8)))
CALL(qup, packed_conv(lat_conv_transpose3d, false, coarse, t))
BUILD(qgen, lat_nn_quantized_generative_conv_transpose3d(nn, c, C, 8, CONV(.bits = 8)))
CALL(qgen, packed_conv(lat_generative_conv_transpose3d, false, coarse, t))
BUILD(qlinear, lat_nn_quantized_linear(nn, a, C, 8, LAT_OPTS(lat_nn_linear_opts, .name = "m", .bits = 8)))
CALL(qlinear, packed_conv(NULL, true, x, t))

#define CASE(name) check(#name, b_##name, c_##name)

static void test_convolutions(void **state) {
  (void)state;
  CASE(conv);
  CASE(groups);
  CASE(target);
  CASE(subm);
  CASE(nsubm);
  CASE(up);
  CASE(up_target);
  CASE(nup);
  CASE(nup_target);
  CASE(gen);
  CASE(gen_target);
  CASE(ngen);
}

static void test_packed(void **state) {
  (void)state;
  CASE(qconv);
  CASE(qsubm);
  CASE(qup);
  CASE(qgen);
  CASE(qlinear);
}

// --- features ---------------------------------------------------------------------------------------------------------

static lat_status linear(lat_tensor **out) {
  lat_weight weight = lat_weight_dense(param("m.weight"));
  lat_array_view bias = param("m.bias");
  return lat_linear(context, x, &weight, &bias, out);
}

/// A norm with its weight and bias where it has them.
static lat_status norm(int kind, lat_tensor **out) {
  lat_array_view weight = param("m.weight"), bias;
  lat_norm_opts opts = LAT_NORM_OPTS_INIT;
  opts.weight = &weight;
  opts.eps = (double)0.125f;
  if (kind != 1) {
    bias = param("m.bias");
    opts.bias = &bias;
  }
  switch (kind) {
  case 0:
    return lat_layer_norm(context, x, &opts, out);
  case 1:
    return lat_rms_norm(context, x, &opts, out);
  case 2:
    return lat_instance_norm(context, x, &opts, out);
  default:
    return lat_group_norm(context, x, 4, &opts, out);
  }
}

static lat_status dense_linear(lat_array **out) { // linear of a global pool: dense in, dense out
  lat_array *pooled = NULL;
  lat_tensor *tensor = NULL, *y = NULL;
  lat_coords *coords = NULL;
  const int32_t zeros[2][4] = {{0}};
  lat_array_view rows = lat_view_2d(zeros, LAT_DTYPE_I32, 2, 4);
  lat_weight weight = lat_weight_dense(param("m.weight"));
  lat_array_view bias = param("m.bias");
  lat_test_assert_ok(lat_global_pool(context, x, LAT_POOL_MAX, -1, &pooled));
  lat_test_assert_ok(lat_coords_create(context, &rows, NULL, &coords));
  lat_test_assert_ok(lat_tensor_share(context, coords, pooled, NULL, &tensor));
  lat_test_assert_ok(lat_linear(context, tensor, &weight, &bias, &y));
  *out = lat_array_retain(lat_tensor_feats_array(y));
  lat_tensor_release(y);
  lat_tensor_release(tensor);
  lat_coords_release(coords);
  lat_array_release(pooled);
  return LAT_STATUS_OK;
}

static lat_status softmax_round_exp(lat_array **out) {
  lat_array *e = NULL, *r = NULL;
  lat_array_view feats = lat_tensor_feats(x);
  lat_test_assert_ok(lat_exp(context, &feats, &e));
  lat_array_view view = lat_array_as_view(e);
  lat_test_assert_ok(lat_round(context, &view, &r));
  view = lat_array_as_view(r);
  lat_status status = lat_softmax(context, &view, out);
  lat_array_release(e);
  lat_array_release(r);
  return status;
}

#define NORM LAT_OPTS(lat_nn_norm_opts, .name = "m", .eps = 0.125)
BUILD(linear, lat_nn_linear(nn, a, C, 8, LAT_OPTS(lat_nn_linear_opts, .name = "m")))
CALL(linear, linear(t))
BUILD(dense_linear, lat_nn_linear(nn, lat_nn_global_max_pool(nn, a), C, 8, LAT_OPTS(lat_nn_linear_opts, .name = "m")))
CALL(dense_linear, dense_linear(r))
BUILD(layer, lat_nn_layer_norm(nn, a, C, NORM))
CALL(layer, norm(0, t))
BUILD(rms, lat_nn_rms_norm(nn, a, C, NORM))
CALL(rms, norm(1, t))
BUILD(instance, lat_nn_instance_norm(nn, a, C, NORM))
CALL(instance, norm(2, t))
BUILD(group, lat_nn_group_norm(nn, a, 4, C, NORM))
CALL(group, norm(3, t))
BUILD(relu, lat_nn_relu(nn, a))
CALL(relu, lat_relu(context, x, t))
BUILD(sigmoid, lat_nn_sigmoid(nn, a))
CALL(sigmoid, lat_sigmoid(context, x, t))
BUILD(silu, lat_nn_silu(nn, a))
CALL(silu, lat_silu(context, x, t))
BUILD(tanh, lat_nn_tanh(nn, a))
CALL(tanh, lat_tanh(context, x, t))
BUILD(gelu, lat_nn_gelu(nn, a, LAT_GELU_NONE))
CALL(gelu, lat_gelu(context, x, LAT_GELU_NONE, t))
BUILD(gelu_tanh, lat_nn_gelu(nn, a, LAT_GELU_TANH))
CALL(gelu_tanh, lat_gelu(context, x, LAT_GELU_TANH, t))
BUILD(gelu_fast, lat_nn_gelu(nn, a, LAT_GELU_FAST))
CALL(gelu_fast, lat_gelu(context, x, LAT_GELU_FAST, t))
BUILD(leaky, lat_nn_leaky_relu(nn, a, 0.25))
CALL(leaky, lat_leaky_relu(context, x, 0.25, t))
BUILD(softplus, lat_nn_softplus(nn, a))
CALL(softplus, lat_softplus(context, x, 1.0, 20.0, t))
BUILD(chain, lat_nn_softmax(nn, lat_nn_round(nn, lat_nn_exp(nn, lat_nn_features(nn, a)))))
CALL(chain, softmax_round_exp(r))

static void test_features(void **state) {
  (void)state;
  CASE(linear);
  CASE(dense_linear);
  CASE(layer);
  CASE(rms);
  CASE(instance);
  CASE(group);
  CASE(chain);
}

static void test_activations(void **state) {
  (void)state;
  CASE(relu);
  CASE(sigmoid);
  CASE(silu);
  CASE(tanh);
  CASE(gelu);
  CASE(gelu_tanh);
  CASE(gelu_fast);
  CASE(leaky);
  CASE(softplus);
}

// --- supports ---------------------------------------------------------------------------------------------------------

static lat_status cat_three(lat_tensor **out) {
  const lat_tensor *all[3] = {x, other, x};
  return lat_sparse_cat(context, all, 3, LAT_JOIN_LEFT, out);
}

static lat_value build_cat(lat_nn *nn, lat_value a, lat_value b) {
  const lat_value all[3] = {a, b, a};
  return lat_nn_cat(nn, all, 3, LAT_JOIN_LEFT);
}

#define KERNEL(...) LAT_OPTS(lat_kernel_opts, __VA_ARGS__)
BUILD(sum_pool, lat_nn_sum_pool3d(nn, a, POOL(.kernel_size = {3, 3, 3}, .padding = {1, 1, 1})))
CALL(sum_pool, lat_pool3d(context, x, LAT_POOL_SUM, KERNEL(.kernel_size = {3, 3, 3}, .padding = {1, 1, 1}), t))
BUILD(max_pool, lat_nn_max_pool3d(nn, a, NULL))
CALL(max_pool, lat_pool3d(context, x, LAT_POOL_MAX, NULL, t))
BUILD(avg_pool, lat_nn_avg_pool3d(nn, a, POOL(.dilation = {2, 1, 1})))
CALL(avg_pool, lat_pool3d(context, x, LAT_POOL_AVG, KERNEL(.dilation = {2, 1, 1}), t))
BUILD(unpool, lat_nn_pool_transpose3d(nn, c, NULL))
CALL(unpool, lat_pool_transpose3d(context, coarse, NULL, NULL, t))
BUILD(unpool_target, lat_nn_pool_transpose3d(nn, c, POOL(.target = a)))
CALL(unpool_target, lat_pool_transpose3d(context, coarse, x, NULL, t))
BUILD(trilinear, lat_nn_trilinear_upsample3d(nn, c, NULL))
CALL(trilinear, lat_trilinear_upsample3d(context, coarse, NULL, lat_triple_all(2), t))
BUILD(trilinear_target, lat_nn_trilinear_upsample3d(nn, c, POOL(.target = a)))
CALL(trilinear_target, lat_trilinear_upsample3d(context, coarse, x, lat_triple_all(2), t))
BUILD(global_sum, lat_nn_global_sum_pool(nn, a))
CALL(global_sum, lat_global_pool(context, x, LAT_POOL_SUM, -1, r))
BUILD(global_avg, lat_nn_global_avg_pool(nn, a))
CALL(global_avg, lat_global_pool(context, x, LAT_POOL_AVG, -1, r))
BUILD(add, lat_nn_add(nn, a, b))
CALL(add, lat_sparse_add(context, x, other, LAT_JOIN_OUTER, t))
#define MAXIMUM .op = LAT_BINARY_MAXIMUM, .join = LAT_JOIN_RIGHT, .lhs_fill = -5.0, .rhs_fill = 0.5
BUILD(binary, lat_nn_binary(nn, a, b, LAT_OPTS(lat_binary_opts, MAXIMUM)))
CALL(binary, lat_sparse_binary(context, x, other, LAT_OPTS(lat_binary_opts, MAXIMUM), t))
BUILD(cat, build_cat(nn, a, b))
CALL(cat, cat_three(t))
BUILD(reindex, lat_nn_reindex(nn, a, b, 2.0))
CALL(reindex, lat_reindex_sparse(context, x, other, 2.0, t))
#define DENSE                                                                                                          \
  .min_coord = {-4, -4, -4}, .shape = {9, 9, 9}, .fold = LAT_DENSE_FOLD_Z, .layout = LAT_DENSE_CHANNELS_FIRST
BUILD(dense, lat_nn_to_dense(nn, a, 0, LAT_OPTS(lat_dense_opts, DENSE)))
CALL(dense, lat_to_dense(context, x, LAT_OPTS(lat_dense_opts, DENSE), r))
BUILD(with, lat_nn_with_features(nn, a, lat_nn_features(nn, b)))
CALL(with, lat_tensor_with_feats(context, x, lat_tensor_feats_array(other), t))

static void test_pools(void **state) {
  (void)state;
  CASE(sum_pool);
  CASE(max_pool);
  CASE(avg_pool);
  CASE(unpool);
  CASE(unpool_target);
  CASE(trilinear);
  CASE(trilinear_target);
  CASE(global_sum);
  CASE(global_avg);
}

static void test_algebra(void **state) {
  (void)state;
  CASE(add);
  CASE(binary);
  CASE(cat);
  CASE(reindex);
  CASE(dense);
  CASE(with);
}

// --- points and tables ------------------------------------------------------------------------------------------------

/// voxelize and devoxelize of the first `n_active` points.
static lat_array *points_by_hand(int32_t n_active, const lat_array_view *feats) {
  lat_voxel_grid grid = {{0.5, 0.5, 1.0}, {0.25, 0.0, 0.0}, NULL};
  lat_array_view xyz = lat_view_2d(points, LAT_DTYPE_F32, n_active, 3), b = lat_view_1d(batch, LAT_DTYPE_I32, n_active);
  lat_array_view some = *feats;
  lat_tensor *voxels = NULL;
  lat_array *rows = NULL;
  some.shape[0] = n_active;
  grid.batch_indices = &b;
  lat_test_assert_ok(lat_voxelize(context, &xyz, &some, &grid, LAT_VOXEL_SUM, &voxels));
  lat_test_assert_ok(lat_devoxelize(context, &xyz, voxels, &grid, LAT_INTERPOLATION_LINEAR, &rows));
  lat_tensor_release(voxels);
  return rows;
}

static void check_points(lat_program *program, int32_t n_active, const lat_array_view *feats) {
  const lat_array_view xyz = lat_view_2d(points, LAT_DTYPE_F32, N_POINTS, 3);
  const lat_array_view b = lat_view_1d(batch, LAT_DTYPE_I32, N_POINTS), n = lat_view_1d(&n_active, LAT_DTYPE_I32, 1);
  const lat_binding inputs[4] = {
      {"p_points", NULL, &xyz}, {"p_features", NULL, feats}, {"p_batch", NULL, &b}, {"p_active", NULL, &n}};
  lat_results *results = NULL;
  lat_test_assert_ok(lat_program_run(context, program, inputs, 4, NULL, &results));
  lat_array *expected = points_by_hand(n_active, feats);
  lat_array_view got = lat_array_as_view(lat_results_array(results, "y"));
  assert_int_equal(got.shape[0], N_POINTS);
  const float *values = got.data;
  assert_memory_equal(values, lat_array_data(expected), (size_t)n_active * 4 * sizeof *values);
  for (int i = n_active * 4; i < N_POINTS * 4; i++) assert_true(values[i] == 0.0f);
  lat_array_release(expected);
  lat_results_release(results);
}

static void test_points(void **state) {
  (void)state;
  lat_nn *nn = NULL;
  lat_program *program = NULL;
  lat_array_view feats = lat_tensor_feats(x);
  feats = lat_view_2d(feats.data, LAT_DTYPE_F32, N_POINTS, 4);
  lat_test_assert_ok(lat_nn_create(context, &nn));
  lat_nn_points p = lat_nn_input_points(nn, "p", 4);
  const lat_nn_voxel_opts *grid = LAT_OPTS(lat_nn_voxel_opts, .voxel_size = {0.5, 0.5, 1.0}, .origin = {0.25, 0.0, 0.0},
                                           .reduction = LAT_VOXEL_SUM);
  lat_nn_output(nn, "y", lat_nn_devoxelize(nn, &p, lat_nn_voxelize(nn, &p, p.features, grid), grid));
  lat_test_assert_ok(lat_nn_finish(nn, &model));
  lat_test_assert_ok(lat_model_compile(context, model, NULL, &program));
  check_points(program, N_POINTS, &feats);
  check_points(program, 7, &feats);
  check_points(program, 0, &feats);
  lat_program_release(program);
}

static void test_embedding(void **state) {
  (void)state;
  static const int32_t indices[5] = {0, 3, 3, 1, 2};
  lat_nn *nn = NULL;
  lat_program *program = NULL;
  lat_results *results = NULL;
  lat_array *expected = NULL;
  lat_test_assert_ok(lat_nn_create(context, &nn));
  lat_value i = lat_nn_input_array(nn, "i", 0, LAT_DTYPE_I32);
  lat_nn_output(nn, "y", lat_nn_embedding(nn, i, 4, 6, "m"));
  lat_test_assert_ok(lat_nn_finish(nn, &model));
  lat_test_assert_ok(lat_model_compile(context, model, NULL, &program));
  const lat_array_view view = lat_view_1d(indices, LAT_DTYPE_I32, 5);
  const lat_binding input = {"i", NULL, &view};
  lat_test_assert_ok(lat_program_run(context, program, &input, 1, NULL, &results));
  lat_array_view table = param("m.weight");
  lat_test_assert_ok(lat_embedding_lookup(context, &view, &table, &expected));
  lat_test_assert_same_view(lat_array_as_view(lat_results_array(results, "y")), lat_array_as_view(expected));
  lat_array_release(expected);
  lat_results_release(results);
  lat_program_release(program);
}

int main(void) {
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
  const struct CMUnitTest tests[] = {TEST(test_convolutions), TEST(test_packed),   TEST(test_features),
                                     TEST(test_activations),  TEST(test_pools),    TEST(test_algebra),
                                     TEST(test_points),       TEST(test_embedding)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
