// Building models: the first error is kept and reported with the module's name; NULLs.
//
// covers: lat_nn_destroy lat_nn_status lat_nn_fail lat_nn_pool3d
// null arguments: lat_nn_create lat_nn_finish lat_nn_status
#include <string.h>

#include <lattice/lattice.h>

#include "model/nn_internal.h"
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

// --- errors -----------------------------------------------------------------------------------------------------------

#define CASE(name, call)                                                                                               \
  static lat_value name(lat_value x) {                                                                                 \
    (void)x;                                                                                                           \
    return call;                                                                                                       \
  }
#define CONV(...) LAT_OPTS(lat_nn_conv_opts, __VA_ARGS__)

static lat_value wrong_channels(lat_value x) {
  lat_nn_begin(nn, "stem");
  return lat_nn_conv3d(nn, x, 16, 8, NULL);
}
static lat_value same_name(lat_value x) {
  lat_nn_conv3d(nn, x, 8, 8, CONV(.name = "a"));
  return lat_nn_conv3d(nn, x, 8, 8, CONV(.name = "a"));
}
static lat_value same_input(lat_value x) {
  (void)x;
  return lat_nn_input(nn, "x", 3, NULL);
}
static lat_value same_output(lat_value x) {
  lat_nn_output(nn, "y", x);
  lat_nn_output(nn, "y", x);
  return lat_nn_relu(nn, x);
}
static lat_value long_name(lat_value x) {
  char name[300];
  memset(name, 'n', sizeof name);
  name[299] = 0;
  return lat_nn_conv3d(nn, x, 8, 8, CONV(.name = name));
}
static lat_value deep(lat_value x) {
  for (int i = 0; i < LAT__NN_MAX_DEPTH; i++) lat_nn_begin(nn, "a");
  return lat_nn_relu(nn, x);
}
static lat_value too_many_ends(lat_value x) {
  lat_nn_end(nn);
  return lat_nn_relu(nn, x);
}
static lat_value own_error(lat_value x) {
  (void)x;
  return lat_nn_fail(nn, LAT_STATUS_UNSUPPORTED, "my_block: width: got %d, expected %d", 3, 4);
}
static lat_value input_points(lat_value x) {
  (void)x;
  return lat_nn_input_points(nn, "p", 0).points;
}
static lat_value short_options(lat_value x) {
  const lat_nn_conv_opts opts = {.struct_bytes = 1};
  return lat_nn_conv3d(nn, x, 8, 8, &opts);
}
static lat_value no_opts_size(lat_value x) {
  lat_nn_points p = lat_nn_input_points(nn, "p", 4);
  (void)x;
  return lat_nn_voxelize(nn, &p, p.features, NULL);
}
static lat_value bad_interpolation(lat_value x) {
  lat_nn_points p = lat_nn_input_points(nn, "p", 4);
  return lat_nn_devoxelize(nn, &p, x,
                           LAT_OPTS(lat_nn_voxel_opts, .voxel_size = {1, 1, 1}, .interpolation = (lat_interpolation)9));
}
static lat_value no_features(lat_value x) {
  lat_nn_points p = lat_nn_input_points(nn, "p", 4);
  (void)x;
  return lat_nn_voxelize(nn, &p, p.active, LAT_OPTS(lat_nn_voxel_opts, .voxel_size = {1, 1, 1}));
}
static lat_value other_channels(lat_value x) {
  return lat_nn_add(nn, x, lat_nn_linear(nn, x, 8, 3, NULL));
}
static lat_value other_concat(lat_value x) {
  const lat_value values[2] = {x, lat_nn_linear(nn, x, 8, 3, NULL)};
  return lat_nn_concat_reduce(nn, values, 2, LAT_DUPLICATES_SUM);
}
static lat_value dense_operand(lat_value x) {
  return lat_nn_add(nn, x, lat_nn_features(nn, x));
}
CASE(no_value, lat_nn_conv3d(nn, 999, 8, 8, NULL))
CASE(no_outputs, lat_nn_conv3d(nn, x, 8, 0, NULL))
CASE(dense_x, lat_nn_conv3d(nn, lat_nn_features(nn, x), 8, 8, NULL))
CASE(bad_kernel, lat_nn_conv3d(nn, x, 8, 8, CONV(.kernel_size = {3, 0, 3})))
CASE(bad_padding, lat_nn_conv3d(nn, x, 8, 8, CONV(.padding = {-1, 0, 0})))
CASE(even_subm, lat_nn_subm_conv3d(nn, x, 8, 8, CONV(.kernel_size = {2, 3, 3})))
CASE(strided_subm, lat_nn_subm_conv3d(nn, x, 8, 8, CONV(.stride = {2, 2, 2})))
CASE(padded_generative, lat_nn_generative_conv_transpose3d(nn, x, 8, 8, CONV(.padding = {1, 1, 1})))
CASE(bad_groups, lat_nn_conv3d(nn, x, 8, 8, CONV(.groups = 3)))
CASE(bad_conv_eps, lat_nn_normalized_subm_conv3d(nn, x, 8, 8, CONV(.eps = -1.0)))
CASE(bits_of_dense, lat_nn_conv3d(nn, x, 8, 8, CONV(.bits = 4)))
CASE(bad_bits, lat_nn_quantized_conv3d(nn, x, 8, 8, CONV(.bits = 5)))
CASE(bad_group_size, lat_nn_quantized_conv3d(nn, x, 8, 8, CONV(.group_size = 48)))
CASE(bad_name, lat_nn_conv3d(nn, x, 8, 8, CONV(.name = "a b")))
CASE(bad_target, lat_nn_conv3d(nn, x, 8, 8, CONV(.target = lat_nn_features(nn, x))))
CASE(bad_support, lat_nn_conv3d(nn, x, 8, 8, CONV(.support = (lat_support)5)))
CASE(floor_bounds, lat_nn_conv3d(nn, x, 8, 8, CONV(.bounds = {4, 4, 4})))
CASE(bad_bounds, lat_nn_conv3d(nn, x, 8, 8, CONV(.support = LAT_SUPPORT_REACH, .bounds = {4, 0, 4})))
CASE(reach_subm, lat_nn_subm_conv3d(nn, x, 8, 8, CONV(.support = LAT_SUPPORT_REACH)))
CASE(pool_support, lat_nn_max_pool3d(nn, x, LAT_OPTS(lat_nn_pool_opts, .support = (lat_support)5)))
CASE(empty_concat, lat_nn_concat_reduce(nn, NULL, 0, LAT_DUPLICATES_SUM))
CASE(bad_duplicates, lat_nn_concat_reduce(nn, &x, 1, (lat_duplicates)9))
CASE(linear_dims, lat_nn_linear(nn, x, 9, 8, NULL))
CASE(linear_out, lat_nn_linear(nn, x, 8, -1, NULL))
CASE(linear_bits, lat_nn_linear(nn, x, 8, 8, LAT_OPTS(lat_nn_linear_opts, .bits = 8)))
CASE(norm_channels, lat_nn_batch_norm(nn, x, 7, NULL))
CASE(norm_eps, lat_nn_layer_norm(nn, x, 8, LAT_OPTS(lat_nn_norm_opts, .eps = -1.0)))
CASE(norm_momentum, lat_nn_batch_norm(nn, x, 8, LAT_OPTS(lat_nn_norm_opts, .momentum = 2.0)))
CASE(norm_stats, lat_nn_layer_norm(nn, x, 8, LAT_OPTS(lat_nn_norm_opts, .no_running_stats = 1)))
CASE(norm_groups, lat_nn_group_norm(nn, x, 3, 8, NULL))
CASE(norm_dense, lat_nn_instance_norm(nn, lat_nn_features(nn, x), 8, NULL))
CASE(drop_all, lat_nn_dropout(nn, x, 1.0))
CASE(bad_gelu, lat_nn_gelu(nn, x, (lat_gelu_approx)7))
CASE(bad_slope, lat_nn_leaky_relu(nn, x, -1.0))
CASE(sparse_exp, lat_nn_exp(nn, x))
CASE(vector_relu, lat_nn_relu(nn, lat_nn_input_array(nn, "v", 0, LAT_DTYPE_F32)))
CASE(embed_sparse, lat_nn_embedding(nn, x, 4, 4, NULL))
CASE(embed_none, lat_nn_embedding(nn, lat_nn_input_array(nn, "i", 0, LAT_DTYPE_I32), 0, 4, NULL))
CASE(pool_mode, lat_nn_pool3d(nn, x, (lat_pool_mode)5, NULL))
CASE(pool_target, lat_nn_max_pool3d(nn, x, LAT_OPTS(lat_nn_pool_opts, .target = x)))
CASE(bad_binary, lat_nn_binary(nn, x, x, LAT_OPTS(lat_binary_opts, .op = (lat_binary)9)))
CASE(empty_cat, lat_nn_cat(nn, NULL, 0, LAT_JOIN_INNER))
CASE(bad_with, lat_nn_with_features(nn, x, x))
CASE(bad_dense, lat_nn_to_dense(nn, x, 0, LAT_OPTS(lat_dense_opts, .fold = (lat_dense_fold)8)))
CASE(input_channels, lat_nn_input(nn, "z", 0, NULL))
CASE(input_dtype, lat_nn_input(nn, "z", 1, LAT_OPTS(lat_nn_input_opts, .dtype = LAT_DTYPE_I32)))
CASE(input_name, lat_nn_input(nn, NULL, 1, NULL))
CASE(array_dtype, lat_nn_input_array(nn, "z", 1, LAT_DTYPE_U8))
CASE(array_channels, lat_nn_input_array(nn, "z", -1, LAT_DTYPE_F32))
CASE(no_points, lat_nn_voxelize(nn, NULL, x, LAT_OPTS(lat_nn_voxel_opts, .voxel_size = {1, 1, 1})))

/// Runs `build` on a fresh builder with an input "x" of 8 channels; it must fail with the status and text.
static void expect(lat_value (*build)(lat_value x), lat_status status, const char *fragment) {
  lat_nn_destroy(nn);
  lat_test_assert_ok(lat_nn_create(context, &nn));
  lat_value x = lat_nn_input(nn, "x", 8, NULL);
  lat_test_assert_ok(lat_nn_status(nn));
  assert_int_equal(build(x), 0);
  lat_test_assert_error(lat_nn_status(nn), status, fragment);
  assert_int_equal(lat_nn_relu(nn, x), 0); // later calls do nothing
  lat_nn_output(nn, "y", x);
  lat_model *out = (lat_model *)&counter;
  lat_test_assert_error(lat_nn_finish(nn, &out), status, fragment);
  assert_null(out);
  nn = NULL;
}

static void test_errors(void **state) {
  (void)state;
  const lat_status argument = LAT_STATUS_INVALID_ARGUMENT, shape = LAT_STATUS_INVALID_SHAPE;
  const lat_status dtype = LAT_STATUS_INVALID_DTYPE;
  expect(wrong_channels, shape, "conv3d: stem.0: in_channels must match the input: got 16, expected 8");
  expect(no_outputs, shape, "out_channels: got 0");
  expect(no_value, argument, "x: got value 999");
  expect(dense_x, argument, "x: got a tensor, expected a sparse tensor");
  expect(same_name, argument, "name is taken: got a second a.weight");
  expect(same_input, argument, "name is taken: got a second x_coords");
  expect(same_output, argument, "name is taken: got a second y");
  expect(long_name, argument, "expected at most 255");
  expect(bad_name, argument, "name: got \"a b\"");
  expect(deep, argument, "too many scopes");
  expect(too_many_ends, argument, "nn_end: no scope is open");
  expect(own_error, LAT_STATUS_UNSUPPORTED, "my_block: width: got 3, expected 4");
  expect(short_options, argument, "struct_bytes");
  expect(bad_kernel, argument, "kernel_size values must be positive: got (3, 0, 3)");
  expect(bad_padding, argument, "padding values must be non-negative");
  expect(even_subm, argument, "subm_conv3d: 0: subm_conv3d requires odd kernel_size values: got (2, 3, 3)");
  expect(strided_subm, argument, "got a stride, padding or target");
  expect(padded_generative, argument, "a generative convolution has none");
  expect(bad_groups, argument, "groups must divide the channels: got 3");
  expect(bad_conv_eps, argument, "eps must be positive");
  expect(bits_of_dense, argument, "expected none for a dense module");
  expect(bad_bits, argument, "bits: got 5");
  expect(bad_group_size, argument, "group_size must be 32, 64, or 128: got 48");
  expect(bad_target, argument, "target: got a tensor");
  expect(bad_support, argument, "support: got 5, expected a lat_support");
  expect(floor_bounds, argument, "bounds: got some with floor support");
  expect(bad_bounds, argument, "bounds values must be positive: got (4, 0, 4)");
  expect(reach_subm, argument, "support and bounds: got reach");
  expect(pool_support, argument, "pool3d: 0: support: got 5");
  expect(empty_concat, argument, "values and duplicates: got 0");
  expect(bad_duplicates, argument, "values and duplicates: got 1 and 9");
  expect(other_concat, shape, "values must have matching channels: got 3, expected 8");
  expect(linear_dims, shape, "input_dims must match the input: got 9, expected 8");
  expect(linear_out, shape, "output_dims: got -1");
  expect(linear_bits, argument, "expected none for a dense module");
  expect(norm_channels, shape, "channels must match the input: got 7, expected 8");
  expect(norm_eps, argument, "eps must be positive: got -1");
  expect(norm_momentum, argument, "momentum must be at most 1");
  expect(norm_stats, argument, "no_running_stats");
  expect(norm_groups, argument, "groups must divide the channels: got 3");
  expect(norm_dense, argument, "expected a sparse tensor");
  expect(drop_all, argument, "p must be in [0, 1): got 1");
  expect(bad_gelu, argument, "approximate: got 7");
  expect(bad_slope, argument, "negative_slope: got -1");
  expect(sparse_exp, argument, "expected a rank-2 tensor");
  expect(vector_relu, shape, "without channels");
  expect(embed_sparse, dtype, "expected an int32 tensor of rank 1");
  expect(embed_none, shape, "num_embeddings and dims");
  expect(pool_mode, argument, "mode and target: got 5");
  expect(pool_target, argument, "mode and target");
  expect(bad_binary, argument, "op and join: got 9");
  expect(other_channels, shape, "operands must have matching channels: got 8 and 3");
  expect(dense_operand, argument, "b: got a tensor");
  expect(empty_cat, argument, "values and join: got 0");
  expect(bad_with, shape, "features: got a sparse tensor");
  expect(bad_dense, argument, "layout, fold, outside, batch_size: got 0, 8");
  expect(input_channels, shape, "nn_input: z: channels: got 0");
  expect(input_dtype, dtype, "dtype: got int32");
  expect(input_name, argument, "name: got none");
  expect(array_dtype, dtype, "dtype: got uint8");
  expect(array_channels, shape, "channels: got -1");
  expect(input_points, shape, "channels: got 0");
  expect(no_points, argument, "points: got NULL");
  expect(no_opts_size, argument, "voxel_size must be positive");
  expect(bad_interpolation, argument, "interpolation: got 9");
  expect(no_features, argument, "features and reduction: got 0 channels");
}

static void test_life(void **state) {
  (void)state;
  lat_nn *other = (lat_nn *)&counter;
  lat_test_assert_error(lat_nn_create(NULL, &other), LAT_STATUS_INVALID_ARGUMENT, "nn_create: context: got NULL");
  assert_null(other);
  lat_test_assert_error(lat_nn_create(context, NULL), LAT_STATUS_INVALID_ARGUMENT, "nn_create: out: got NULL");
  lat_test_assert_error(lat_nn_finish(NULL, &model), LAT_STATUS_INVALID_ARGUMENT, "nn_finish: nn: got NULL");
  lat_test_assert_error(lat_nn_status(NULL), LAT_STATUS_INVALID_ARGUMENT, "nn_status: nn: got NULL");
  lat_test_assert_ok(lat_nn_create(context, &other));
  lat_value x = lat_nn_input(other, "x", 1, NULL);
  lat_nn_output(other, "y", x);
  lat_test_assert_error(lat_nn_finish(other, NULL), LAT_STATUS_INVALID_ARGUMENT, "nn_finish: out: got NULL");
  lat_test_assert_ok(lat_nn_create(context, &other));
  lat_nn_begin(other, "open");
  lat_test_assert_error(lat_nn_finish(other, &model), LAT_STATUS_INVALID_ARGUMENT, "scope \"open\" is open");
  assert_null(model);
  lat_test_assert_ok(lat_nn_create(context, &other));
  lat_test_assert_error(lat_nn_finish(other, &model), LAT_STATUS_INVALID_ARGUMENT, "the model has no output");
  // Without a builder every call is refused quietly.
  assert_int_equal(lat_nn_input(NULL, "x", 1, NULL), 0);
  assert_int_equal(lat_nn_relu(NULL, 1), 0);
  assert_int_equal(lat_nn_add(NULL, 1, 1), 0);
  assert_int_equal(lat_nn_channels(NULL, 1), 0);
  assert_int_equal(lat_nn_fail(NULL, LAT_STATUS_UNSUPPORTED, "x"), 0);
  lat_nn_begin(NULL, NULL);
  lat_nn_end(NULL);
  lat_nn_output(NULL, "y", 1);
  lat_nn_destroy(NULL);
}

int main(void) {
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
  const struct CMUnitTest tests[] = {TEST(test_errors), TEST(test_life)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
