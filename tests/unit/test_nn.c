// Building models: what every module appends (operation, parameters, shapes, initial values), names and
// scopes.
//
// covers: lat_nn_create lat_nn_finish lat_nn_stream lat_nn_begin lat_nn_end
// covers: lat_nn_input lat_nn_input_array lat_nn_output lat_nn_channels lat_nn_conv3d lat_nn_subm_conv3d
// covers: lat_nn_normalized_subm_conv3d lat_nn_conv_transpose3d lat_nn_normalized_conv_transpose3d
// covers: lat_nn_generative_conv_transpose3d lat_nn_normalized_generative_conv_transpose3d lat_nn_quantized_conv3d
// covers: lat_nn_quantized_subm_conv3d lat_nn_quantized_conv_transpose3d lat_nn_quantized_generative_conv_transpose3d
// covers: lat_nn_linear lat_nn_quantized_linear lat_nn_batch_norm lat_nn_layer_norm lat_nn_rms_norm lat_nn_instance_norm
// covers: lat_nn_group_norm lat_nn_relu lat_nn_sigmoid lat_nn_silu lat_nn_tanh lat_nn_gelu lat_nn_leaky_relu
// covers: lat_nn_softplus lat_nn_dropout lat_nn_exp lat_nn_round lat_nn_softmax lat_nn_embedding
// covers: lat_nn_sum_pool3d lat_nn_max_pool3d lat_nn_avg_pool3d lat_nn_pool_transpose3d lat_nn_trilinear_upsample3d
// covers: lat_nn_global_sum_pool lat_nn_global_avg_pool lat_nn_global_max_pool lat_nn_add lat_nn_binary lat_nn_cat
// covers: lat_nn_reindex lat_nn_features lat_nn_with_features lat_nn_to_dense lat_nn_input_points lat_nn_voxelize
// covers: lat_nn_devoxelize
#include <math.h>
#include <stdio.h>
#include <string.h>

#include <lattice/lattice.h>

#include "model/graph.h"
#include "model/nn_internal.h"
#include "support/tensor_cases.h"
#include "support/test_allocator.h"
#include "support/test_support.h"

static lat_test_allocator counter;
static lat_context *context;
static lat_nn *nn;
static lat_model *model;

static int set_up(void **state) {
  (void)state;
  memset(&counter, 0, sizeof counter);
  context = lat_test_context_create(&counter, 1);
  lat_test_assert_ok(lat_nn_create(context, &nn));
  model = NULL;
  return 0;
}

static int tear_down(void **state) {
  (void)state;
  lat_nn_destroy(nn);
  nn = NULL;
  lat_model_release(model);
  lat_test_context_finish(context, &counter);
  return 0;
}

/// Ends the builder. `model` becomes the graph as it was built, whose values have the builder's numbers; the finished
/// model is the same with its inputs first.
static void finish(void) {
  lat_model *finished = NULL;
  model = lat_model_retain(nn->model);
  lat_test_assert_ok(lat_nn_finish(nn, &finished));
  nn = NULL;
  assert_int_equal(finished->n_ops, model->n_ops);
  assert_int_equal(finished->n_values, model->n_values);
  assert_int_equal(finished->n_parameters, model->n_parameters);
  for (int64_t i = 0; i < finished->n_inputs; i++) assert_int_equal(finished->inputs[i].value, i);
  for (int64_t i = 0; i < model->n_ops; i++) {
    const lat__op *a = &model->ops[i], *b = &finished->ops[i];
    assert_int_equal(a->kind, b->kind);
    for (int32_t k = 0; k < a->n_operands; k++) {
      const lat__value *from = &model->values[a->operands[k]], *to = &finished->values[b->operands[k]];
      assert_int_equal(from->op, to->op);
      assert_int_equal(from->result, to->result);
      assert_true(b->operands[k] < b->results[0]);
    }
  }
  lat_model_release(finished);
}

/// The dense parameter under `key`, which must have the given shape ("4,3,3,3,2").
static const lat__parameter *parameter(const char *key, const char *shape) {
  int32_t index = lat__model_find_parameter(model, key);
  if (index < 0) fail_msg("no parameter %s", key);
  const lat__parameter *p = &model->parameters[index];
  const lat_array *array = p->packing.bits ? p->words : p->dense;
  assert_non_null(array);
  lat_array_view view = lat_array_as_view(array);
  char text[64] = "";
  for (int32_t axis = 0; axis < view.rank; axis++) {
    size_t at = strlen(text);
    snprintf(text + at, sizeof text - at, axis ? ",%lld" : "%lld", (long long)view.shape[axis]);
  }
  assert_string_equal(text, shape);
  return p;
}

static void assert_all(const char *key, float value) {
  const lat__parameter *p = &model->parameters[lat__model_find_parameter(model, key)];
  const float *data = lat_array_data(p->dense);
  for (int64_t i = 0; i < lat_array_count(p->dense); i++) assert_true(data[i] == value);
}

/// The values are the generator's, uniform within `bound`, from the stream of the name.
static void assert_drawn(const char *key, double bound) {
  const lat__parameter *p = &model->parameters[lat__model_find_parameter(model, key)];
  lat_array_view view = lat_array_as_view(p->dense);
  const double range[2] = {-bound, bound};
  lat_array *expected = NULL;
  lat_test_assert_ok(
      lat_array_uniform(context, LAT_DTYPE_F32, view.rank, view.shape, range, lat_nn_stream(key), &expected));
  lat_test_assert_same_view(view, lat_array_as_view(expected));
  lat_array_release(expected);
}

/// The last operation of a kind.
static const lat__op *last_op(lat__op_kind kind) {
  for (int64_t i = model->n_ops - 1; i >= 0; i--) {
    if (model->ops[i].kind == kind) return &model->ops[i];
  }
  fail_msg("no operation %s", lat__op_table[kind].name);
  return NULL;
}

// --- the quickstart ---------------------------------------------------------------------------------------------------

static void test_quickstart(void **state) {
  (void)state;
  lat_value h = lat_nn_input(nn, "x", 16, NULL);
  h = lat_nn_conv3d(nn, h, 16, 32, NULL);
  h = lat_nn_batch_norm(nn, h, 32, NULL);
  h = lat_nn_relu(nn, h);
  h = lat_nn_subm_conv3d(nn, h, 32, 32, NULL);
  h = lat_nn_layer_norm(nn, h, 32, NULL);
  lat_nn_output(nn, "y", h);
  assert_int_equal(lat_nn_channels(nn, h), 32);
  finish();
  static const char *const keys[] = {"0.weight",      "0.bias",   "1.weight", "1.bias",   "1.running_mean",
                                     "1.running_var", "3.weight", "3.bias",   "4.weight", "4.bias"};
  assert_int_equal(model->n_parameters, 10);
  for (int i = 0; i < 10; i++) assert_string_equal(model->parameters[i].key, keys[i]);
  parameter("0.weight", "32,3,3,3,16");
  parameter("0.bias", "32");
  assert_drawn("0.weight", sqrt(1.0 / (16 * 27)));
  assert_all("0.bias", 0.0f);
  assert_all("1.weight", 1.0f);
  assert_all("1.bias", 0.0f);
  assert_all("1.running_mean", 0.0f);
  assert_all("1.running_var", 1.0f);
  assert_true(parameter("1.running_mean", "32")->is_statistic);
  assert_false(parameter("1.weight", "32")->is_statistic);
  assert_int_equal(model->n_inputs, 3);
  assert_string_equal(model->inputs[0].name, "x_coords");
  assert_string_equal(model->inputs[1].name, "x_features");
  assert_string_equal(model->inputs[2].name, "x_active");
  assert_int_equal(model->outputs[0].role, LAT__ROLE_SPARSE_TENSOR);
  assert_string_equal(model->values[last_op(LAT__OP_SUBM_CONV3D)->results[0]].name, "3");
}

// --- convolutions -----------------------------------------------------------------------------------------------------

typedef lat_value (*conv_builder)(lat_nn *, lat_value, int64_t, int64_t, const lat_nn_conv_opts *);

static const struct {
  const char *name;
  conv_builder build;
  lat__op_kind op;
  int32_t size, stride; ///< defaults; stride 0: the operation has none
  int bits;
} convs[] = {
    {"conv3d", lat_nn_conv3d, LAT__OP_CONV3D, 3, 1, 0},
    {"subm", lat_nn_subm_conv3d, LAT__OP_SUBM_CONV3D, 3, 0, 0},
    {"nsubm", lat_nn_normalized_subm_conv3d, LAT__OP_NORMALIZED_SUBM_CONV3D, 3, 0, 0},
    {"up", lat_nn_conv_transpose3d, LAT__OP_CONV_TRANSPOSE3D, 2, 2, 0},
    {"nup", lat_nn_normalized_conv_transpose3d, LAT__OP_NORMALIZED_CONV_TRANSPOSE3D, 2, 2, 0},
    {"gen", lat_nn_generative_conv_transpose3d, LAT__OP_GENERATIVE_CONV_TRANSPOSE3D, 2, 2, 0},
    {"ngen", lat_nn_normalized_generative_conv_transpose3d, LAT__OP_NORMALIZED_GENERATIVE_CONV_TRANSPOSE3D, 2, 2, 0},
    {"qconv3d", lat_nn_quantized_conv3d, LAT__OP_CONV3D, 3, 1, 4},
    {"qsubm", lat_nn_quantized_subm_conv3d, LAT__OP_SUBM_CONV3D, 3, 0, 4},
    {"qup", lat_nn_quantized_conv_transpose3d, LAT__OP_CONV_TRANSPOSE3D, 2, 2, 4},
    {"qgen", lat_nn_quantized_generative_conv_transpose3d, LAT__OP_GENERATIVE_CONV_TRANSPOSE3D, 2, 2, 4},
};

static void check_conv(int i, const lat__op *op) {
  char key[64], shape[64];
  int32_t size = convs[i].size, volume = size * size * size;
  assert_int_equal(op->kind, convs[i].op);
  assert_int_equal(op->n_operands, 3);
  assert_int_equal(lat__op_triple(op, LAT__ATTR_KERNEL_SIZE, lat_triple_all(0)).y, size);
  assert_int_equal(lat__op_triple(op, LAT__ATTR_STRIDE, lat_triple_all(0)).z, convs[i].stride);
  snprintf(key, sizeof key, convs[i].bits ? "%s" : "%s.weight", convs[i].name);
  if (convs[i].bits) {
    snprintf(shape, sizeof shape, "%d,4,8", volume); // 32 channels of 4 bits: 4 words
    const lat__parameter *p = parameter(key, shape);
    assert_int_equal(lat_array_as_view(p->scales).shape[1], 1);
    assert_int_equal(lat_array_as_view(p->biases).dtype, LAT_DTYPE_F32);
    assert_null(p->dense);
  } else {
    snprintf(shape, sizeof shape, "8,%d,%d,%d,32", size, size, size);
    parameter(key, shape);
    assert_drawn(key, sqrt(1.0 / (32.0 * volume)));
  }
  snprintf(key, sizeof key, "%s.bias", convs[i].name);
  parameter(key, "8");
  assert_all(key, 0.0f);
}

static void test_convolutions(void **state) {
  (void)state;
  enum { N = sizeof convs / sizeof *convs };
  int32_t at[N];
  lat_value x = lat_nn_input(nn, "x", 32, NULL);
  for (int i = 0; i < N; i++) {
    lat_nn_conv_opts opts = LAT_NN_CONV_OPTS_INIT;
    opts.name = convs[i].name;
    lat_value y = convs[i].build(nn, x, 32, 8, &opts);
    assert_int_equal(lat_nn_channels(nn, y), 8);
    lat_nn_output(nn, convs[i].name, y);
    at[i] = nn->model->values[y - 1].op;
  }
  finish();
  for (int i = 0; i < N; i++) check_conv(i, &model->ops[at[i]]);
}

// A packed weight is the dense module's initial weight, packed.
static void test_quantized_values(void **state) {
  (void)state;
  lat_value x = lat_nn_input(nn, "x", 40, NULL);
  lat_nn_output(nn, "y", lat_nn_quantized_conv3d(nn, x, 40, 8, LAT_OPTS(lat_nn_conv_opts, .name = "q", .bits = 8)));
  finish();
  const lat__parameter *p = parameter("q", "27,16,8");
  const double bound = sqrt(1.0 / (40.0 * 27.0)), range[2] = {-bound, bound};
  const int64_t shape[5] = {8, 3, 3, 3, 40};
  lat_array *dense = NULL;
  lat_quantized_weight *packed = NULL;
  lat_quantize_opts opts = LAT_QUANTIZE_OPTS_INIT;
  opts.bits = 8;
  lat_test_assert_ok(lat_array_uniform(context, LAT_DTYPE_F32, 5, shape, range, lat_nn_stream("q.weight"), &dense));
  lat_array_view view = lat_array_as_view(dense);
  lat_test_assert_ok(lat_quantize_weight(context, &view, &opts, &packed));
  lat_quantized_info info = lat_quantized_weight_info(packed);
  lat_test_assert_same_view(lat_array_as_view(p->words), info.words);
  lat_test_assert_same_view(lat_array_as_view(p->scales), info.scales);
  lat_test_assert_same_view(lat_array_as_view(p->biases), info.biases);
  assert_int_equal(p->packing.group_size, 32);
  lat_quantized_weight_release(packed);
  lat_array_release(dense);
}

static void test_conv_options(void **state) {
  (void)state;
  lat_value x = lat_nn_input(nn, "x", 8, LAT_OPTS(lat_nn_input_opts, .stride = {2, 2, 2}, .dtype = LAT_DTYPE_F16));
  lat_value y = lat_nn_conv3d(nn, x, 8, 16,
                              LAT_OPTS(lat_nn_conv_opts, .name = "a", .kernel_size = {5, 3, 1}, .stride = {2, 1, 1},
                                       .padding = {1, 0, 0}, .dilation = {1, 2, 1}, .groups = 4, .no_bias = 1));
  lat_value z = lat_nn_generative_conv_transpose3d(nn, y, 16, 4, LAT_OPTS(lat_nn_conv_opts, .name = "b", .target = x));
  lat_nn_normalized_subm_conv3d(nn, z, 4, 4, LAT_OPTS(lat_nn_conv_opts, .name = "c", .eps = 0.5));
  lat_nn_output(nn, "z", z);
  finish();
  parameter("a.weight", "16,5,3,1,2");
  assert_drawn("a.weight", sqrt(1.0 / (2.0 * 15.0)));
  assert_int_equal(lat__model_find_parameter(model, "a.bias"), -1);
  const lat__op *op = last_op(LAT__OP_CONV3D);
  assert_int_equal(op->n_operands, 2);
  assert_int_equal(lat__op_int(op, LAT__ATTR_GROUPS, 1), 4);
  assert_int_equal(lat__op_triple(op, LAT__ATTR_STRIDE, lat_triple_all(0)).x, 2);
  assert_int_equal(lat__op_triple(op, LAT__ATTR_PADDING, lat_triple_all(0)).x, 1);
  assert_int_equal(lat__op_triple(op, LAT__ATTR_DILATION, lat_triple_all(0)).y, 2);
  assert_int_equal(last_op(LAT__OP_TARGET_CONV_TRANSPOSE3D)->operands[1], x - 1);
  assert_true(lat__op_float(last_op(LAT__OP_NORMALIZED_SUBM_CONV3D), LAT__ATTR_EPS, 0.0) == 0.5);
  assert_int_equal(lat__op_triple(last_op(LAT__OP_SPARSE_MAKE), LAT__ATTR_STRIDE, lat_triple_all(0)).y, 2);
  assert_int_equal(model->values[x - 1].type.elem, LAT__ELEM_F16);
}

// --- features ---------------------------------------------------------------------------------------------------------

static void test_linear_and_embedding(void **state) {
  (void)state;
  lat_value x = lat_nn_input(nn, "x", 64, NULL), i = lat_nn_input_array(nn, "i", 0, LAT_DTYPE_I32);
  lat_value y = lat_nn_linear(nn, x, 64, 3, NULL);
  lat_value d = lat_nn_input_array(nn, "d", 64, LAT_DTYPE_F32);
  lat_value q = lat_nn_quantized_linear(nn, d, 64, 4, LAT_OPTS(lat_nn_linear_opts, .name = "q", .bits = 8));
  lat_value e = lat_nn_embedding(nn, i, 5, 7, "table");
  assert_int_equal(lat_nn_channels(nn, y), 3);
  assert_int_equal(lat_nn_channels(nn, e), 7);
  lat_nn_output(nn, "y", y);
  lat_nn_output(nn, "q", lat_nn_softmax(nn, lat_nn_round(nn, lat_nn_exp(nn, q))));
  lat_nn_output(nn, "e", e);
  finish();
  parameter("0.weight", "3,64");
  assert_drawn("0.weight", 1.0 / 8.0);
  parameter("0.bias", "3");
  assert_drawn("0.bias", 1.0 / 8.0);
  assert_int_equal(parameter("q", "1,4,16")->packing.group_size, 64);
  parameter("table.weight", "5,7");
  assert_drawn("table.weight", sqrt(1.0 / 7.0));
  assert_int_equal(model->outputs[0].role, LAT__ROLE_SPARSE_TENSOR);
  assert_int_equal(model->outputs[1].role, LAT__ROLE_TENSOR);
}

static void test_norms(void **state) {
  (void)state;
  lat_value h = lat_nn_input(nn, "x", 6, NULL);
  h = lat_nn_batch_norm(nn, h, 6,
                        LAT_OPTS(lat_nn_norm_opts, .name = "b", .eps = 1e-3, .momentum = 0.01, .no_affine = 1));
  h = lat_nn_layer_norm(nn, h, 6, LAT_OPTS(lat_nn_norm_opts, .name = "l", .no_bias = 1));
  h = lat_nn_rms_norm(nn, h, 6, LAT_OPTS(lat_nn_norm_opts, .name = "r"));
  h = lat_nn_instance_norm(nn, h, 6, LAT_OPTS(lat_nn_norm_opts, .name = "i", .no_affine = 1));
  h = lat_nn_group_norm(nn, h, 3, 6, LAT_OPTS(lat_nn_norm_opts, .name = "g"));
  lat_value free_norm = lat_nn_batch_norm(nn, h, 6, LAT_OPTS(lat_nn_norm_opts, .name = "f", .no_running_stats = 1));
  lat_nn_output(nn, "y", free_norm);
  int32_t at = nn->model->values[free_norm - 1].op;
  finish();
  // What the module does not have and the graph requires is there, but is no parameter.
  assert_true(parameter("b.weight", "6")->is_constant && parameter("b.bias", "6")->is_constant);
  assert_false(parameter("b.running_var", "6")->is_constant);
  assert_false(parameter("l.weight", "6")->is_constant);
  assert_true(parameter("l.bias", "6")->is_constant);
  assert_false(parameter("r.weight", "6")->is_constant);
  assert_int_equal(lat__model_find_parameter(model, "r.bias"), -1);
  assert_int_equal(lat__model_find_parameter(model, "i.weight"), -1);
  parameter("g.bias", "6");
  assert_int_equal(lat__model_find_parameter(model, "f.running_mean"), -1);
  assert_int_equal(last_op(LAT__OP_BATCH_NORM)->n_operands, 3);
  assert_int_equal(lat__op_int(last_op(LAT__OP_GROUP_NORM), LAT__ATTR_GROUPS, 0), 3);
  assert_int_equal(last_op(LAT__OP_INSTANCE_NORM)->n_operands, 1);
  assert_int_equal(model->ops[at].kind, LAT__OP_SPARSE_WITH_FEATURES);
  const lat__op *first = NULL;
  for (int64_t i = 0; i < model->n_ops && !first; i++) {
    if (model->ops[i].kind == LAT__OP_BATCH_NORM) first = &model->ops[i];
  }
  assert_true(lat__op_float(first, LAT__ATTR_MOMENTUM, 0.1) == (double)0.01f);
  assert_true(lat__op_float(first, LAT__ATTR_EPS, 0.0) == (double)1e-3f);
  assert_true(lat__op_float(last_op(LAT__OP_BATCH_NORM), LAT__ATTR_MOMENTUM, 0.1) == 0.1);
}

static void test_activations(void **state) {
  (void)state;
  static const lat__activation kinds[] = {
      LAT__ACTIVATION_RELU, LAT__ACTIVATION_SIGMOID,    LAT__ACTIVATION_SILU,       LAT__ACTIVATION_TANH,
      LAT__ACTIVATION_GELU, LAT__ACTIVATION_LEAKY_RELU, LAT__ACTIVATION_LEAKY_RELU, LAT__ACTIVATION_SOFTPLUS};
  static const double alphas[] = {0.01, 0.01, 0.01, 0.01, 0.01, 0.01, 0.25, 0.01};
  lat_value h = lat_nn_input(nn, "x", 6, NULL);
  h = lat_nn_tanh(nn, lat_nn_silu(nn, lat_nn_sigmoid(nn, lat_nn_relu(nn, h))));
  h = lat_nn_leaky_relu(nn, lat_nn_leaky_relu(nn, lat_nn_gelu(nn, h, LAT_GELU_TANH), 0.0), 0.25);
  h = lat_nn_dropout(nn, lat_nn_softplus(nn, h), 0.25);
  lat_nn_output(nn, "y", h);
  finish();
  int n = 0;
  for (int64_t i = 0; i < model->n_ops; i++) {
    const lat__op *op = &model->ops[i];
    if (op->kind != LAT__OP_ACTIVATION) continue;
    assert_int_equal(lat__op_choice(op, LAT__ATTR_ACTIVATION_KIND, -1), kinds[n]);
    assert_int_equal(lat__op_choice(op, LAT__ATTR_APPROXIMATE, -1), n == 4 ? LAT_GELU_TANH : LAT_GELU_NONE);
    assert_true(lat__op_float(op, LAT__ATTR_ALPHA, 0.0) == (double)(float)alphas[n]);
    assert_true(lat__op_float(op, LAT__ATTR_BETA, 0.0) == 1.0);
    assert_true(lat__op_float(op, LAT__ATTR_THRESHOLD, 0.0) == 20.0);
    n++;
  }
  assert_int_equal(n, 8);
  assert_true(lat__op_float(last_op(LAT__OP_DROPOUT), LAT__ATTR_P, 0.0) == 0.25);
  assert_int_equal(model->n_parameters, 0);
}

// --- supports ---------------------------------------------------------------------------------------------------------

static void test_pools(void **state) {
  (void)state;
  lat_value x = lat_nn_input(nn, "x", 6, NULL);
  lat_value s = lat_nn_sum_pool3d(nn, x, NULL),
            m = lat_nn_max_pool3d(nn, x, LAT_OPTS(lat_nn_pool_opts, .stride = {3, 1, 1}));
  lat_value a = lat_nn_avg_pool3d(nn, x, LAT_OPTS(lat_nn_pool_opts, .kernel_size = {3, 3, 3}, .padding = {1, 1, 1}));
  lat_value t = lat_nn_pool_transpose3d(nn, s, LAT_OPTS(lat_nn_pool_opts, .target = x));
  lat_value u = lat_nn_trilinear_upsample3d(nn, m, LAT_OPTS(lat_nn_pool_opts, .stride = {3, 1, 1}));
  lat_nn_output(nn, "t", t);
  lat_nn_output(nn, "u", u);
  lat_nn_output(nn, "gs", lat_nn_global_sum_pool(nn, a));
  lat_nn_output(nn, "ga", lat_nn_global_avg_pool(nn, a));
  lat_nn_output(nn, "gm", lat_nn_global_max_pool(nn, a));
  finish();
  const lat__op *ops = model->ops;
  assert_int_equal(lat__op_choice(&ops[model->values[s - 1].op], LAT__ATTR_POOL_MODE, -1), LAT_POOL_SUM);
  assert_int_equal(lat__op_choice(&ops[model->values[m - 1].op], LAT__ATTR_POOL_MODE, -1), LAT_POOL_MAX);
  assert_int_equal(lat__op_choice(&ops[model->values[a - 1].op], LAT__ATTR_POOL_MODE, -1), LAT_POOL_AVG);
  assert_int_equal(lat__op_triple(&ops[model->values[s - 1].op], LAT__ATTR_KERNEL_SIZE, lat_triple_all(0)).x, 2);
  assert_int_equal(lat__op_triple(&ops[model->values[m - 1].op], LAT__ATTR_STRIDE, lat_triple_all(0)).x, 3);
  assert_int_equal(lat__op_triple(&ops[model->values[a - 1].op], LAT__ATTR_PADDING, lat_triple_all(0)).x, 1);
  assert_int_equal(ops[model->values[t - 1].op].operands[1], x - 1);
  assert_int_equal(ops[model->values[u - 1].op].n_operands, 1);
  const lat__op *global = last_op(LAT__OP_GLOBAL_POOL);
  assert_int_equal(lat__op_choice(global, LAT__ATTR_POOL_MODE, -1), LAT_POOL_MAX);
  assert_int_equal(lat__op_int(global, LAT__ATTR_BATCH_SIZE, 0), -1);
}

static void test_algebra(void **state) {
  (void)state;
  lat_value x = lat_nn_input(nn, "x", 6, NULL), y = lat_nn_input(nn, "y", 6, NULL);
  lat_value sum = lat_nn_add(nn, x, y);
  lat_value product = lat_nn_binary(nn, x, y, LAT_OPTS(lat_binary_opts, .op = LAT_BINARY_MUL, .join = LAT_JOIN_INNER));
  const lat_value all[3] = {x, sum, product};
  lat_value cat = lat_nn_cat(nn, all, 3, LAT_JOIN_DEFAULT);
  assert_int_equal(lat_nn_channels(nn, cat), 18);
  assert_int_equal(lat_nn_cat(nn, &x, 1, LAT_JOIN_OUTER), x);
  lat_value r = lat_nn_reindex(nn, cat, y, -1.0);
  lat_value f = lat_nn_features(nn, sum);
  lat_nn_output(nn, "w", lat_nn_with_features(nn, r, f));
  lat_nn_output(nn, "d", lat_nn_to_dense(nn, r, 0, LAT_OPTS(lat_dense_opts, .fold = LAT_DENSE_FOLD_Z)));
  finish();
  const lat__op *ops = model->ops;
  assert_int_equal(lat__op_choice(&ops[model->values[sum - 1].op], LAT__ATTR_BINARY_OP, -1), LAT_BINARY_ADD);
  assert_int_equal(lat__op_choice(&ops[model->values[sum - 1].op], LAT__ATTR_JOIN, -1), LAT_JOIN_OUTER - 1);
  assert_int_equal(lat__op_choice(&ops[model->values[product - 1].op], LAT__ATTR_JOIN, -1), LAT_JOIN_INNER - 1);
  assert_int_equal(ops[model->values[cat - 1].op].n_operands, 3);
  assert_true(lat__op_float(&ops[model->values[r - 1].op], LAT__ATTR_FILL, 0.0) == -1.0);
  assert_int_equal(lat__op_choice(last_op(LAT__OP_TO_DENSE), LAT__ATTR_FOLD, -1), LAT_DENSE_FOLD_Z);
}

static void test_points(void **state) {
  (void)state;
  lat_nn_points p = lat_nn_input_points(nn, "p", 4);
  const lat_nn_voxel_opts *grid = LAT_OPTS(lat_nn_voxel_opts, .voxel_size = {0.1, 0.1, 0.2});
  lat_value v = lat_nn_voxelize(nn, &p, p.features, grid);
  assert_int_equal(lat_nn_channels(nn, v), 4);
  lat_value back = lat_nn_devoxelize(nn, &p, v, grid);
  assert_int_equal(lat_nn_channels(nn, back), 4);
  lat_nn_output(nn, "y", back);
  finish();
  assert_int_equal(model->n_inputs, 4);
  assert_string_equal(model->inputs[2].name, "p_batch");
  const lat__attr *size = lat__op_attr_of(last_op(LAT__OP_VOXELIZE), LAT__ATTR_VOXEL_SIZE);
  assert_true(size->u.f64[2] == 0.2);
  assert_int_equal(lat__op_choice(last_op(LAT__OP_DEVOXELIZE), LAT__ATTR_INTERPOLATION, -1), LAT_INTERPOLATION_LINEAR);
}

// --- names ------------------------------------------------------------------------------------------------------------

/// A user's block.
static lat_value residual(lat_value x, int64_t channels) {
  lat_nn_begin(nn, NULL);
  lat_value h = lat_nn_subm_conv3d(nn, x, channels, channels, LAT_OPTS(lat_nn_conv_opts, .name = "conv1"));
  h = lat_nn_relu(nn, h);
  lat_nn_begin(nn, "tail");
  h = lat_nn_subm_conv3d(nn, h, channels, channels, NULL);
  lat_nn_end(nn);
  h = lat_nn_add(nn, h, x);
  lat_nn_end(nn);
  return h;
}

static void test_scopes(void **state) {
  (void)state;
  lat_value h = lat_nn_input(nn, "x", 4, NULL);
  lat_nn_begin(nn, "stage");
  h = residual(residual(h, 4), 4);
  lat_nn_end(nn);
  h = lat_nn_linear(nn, h, 4, 4, NULL);
  lat_nn_output(nn, "y", h);
  finish();
  static const char *const keys[] = {"stage.0.conv1.weight",
                                     "stage.0.conv1.bias",
                                     "stage.0.tail.0.weight",
                                     "stage.0.tail.0.bias",
                                     "stage.1.conv1.weight",
                                     "stage.1.conv1.bias",
                                     "stage.1.tail.0.weight",
                                     "stage.1.tail.0.bias",
                                     "0.weight",
                                     "0.bias"};
  assert_int_equal(model->n_parameters, 10);
  for (int i = 0; i < 10; i++) assert_string_equal(model->parameters[i].key, keys[i]);
  assert_true(lat_nn_stream("a") == UINT64_C(0xaf63dc4c8601ec8c)); // published test vector of FNV-1a
}

int main(void) {
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
  const struct CMUnitTest tests[] = {TEST(test_quickstart),
                                     TEST(test_convolutions),
                                     TEST(test_quantized_values),
                                     TEST(test_conv_options),
                                     TEST(test_linear_and_embedding),
                                     TEST(test_norms),
                                     TEST(test_activations),
                                     TEST(test_pools),
                                     TEST(test_algebra),
                                     TEST(test_points),
                                     TEST(test_scopes)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
