// ctest-label: slow
// The reference networks: as many parameters as their layer lists say, and on a small cloud the numbers of a slow
// evaluation in double.
//
// covers: lat_zoo_count lat_zoo_name lat_zoo_build
// null arguments: lat_zoo_build
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <lattice/lattice.h>

#include "support/network_walk.h"
#include "support/tensor_cases.h"
#include "support/test_allocator.h"
#include "support/test_support.h"

static lat_test_allocator counter;
static lat_context *context;

static int set_up(void **state) {
  (void)state;
  memset(&counter, 0, sizeof counter);
  context = lat_test_context_create(&counter, 2);
  return 0;
}

static int tear_down(void **state) {
  (void)state;
  lat_test_context_finish(context, &counter);
  return 0;
}

static lat_model *build(const char *name, const lat_zoo_opts *opts) {
  lat_model *model = NULL;
  lat_test_assert_ok(lat_zoo_build(context, name, opts, &model));
  return model;
}

// --- parameters by the layer lists ------------------------------------------------------------------------------------

/// A convolution of `taps` elements without bias, and its norm.
static int64_t step(int64_t taps, int64_t c_in, int64_t c_out) {
  return taps * c_in * c_out + 2 * c_out;
}

/// Residual block; `biases` for its two convolutions.
static int64_t block(int64_t c_in, int64_t c_out, int64_t biases) {
  return step(27, c_in, c_out) + step(27, c_out, c_out) + biases * 2 * c_out +
         (c_in == c_out ? 0 : step(1, c_in, c_out));
}

static int64_t blocks(int64_t n, int64_t c_in, int64_t c_out) {
  return block(c_in, c_out, 0) + (n - 1) * block(c_out, c_out, 0);
}

/// D1 and, with two layers everywhere, the rest of a U-Net of widths 32, 32, 64, 128, 256 and `up`.
static int64_t unet(const int64_t layers[8], const int64_t up[4]) {
  static const int64_t down[5] = {32, 32, 64, 128, 256};
  int64_t sum = 0, width = 256;
  for (int i = 0; i < 4; i++) sum += step(8, down[i], down[i]) + blocks(layers[i], down[i], down[i + 1]);
  for (int i = 0; i < 4; i++) {
    sum += step(8, width, up[i]) + blocks(layers[4 + i], up[i] + down[3 - i], up[i]);
    width = up[i];
  }
  return sum;
}

static void expect_count(const char *name, int64_t expected) {
  lat_model *model = build(name, NULL);
  if (lat_model_count_elements(model) != expected) {
    fail_msg("%s: %lld parameters, expected %lld", name, (long long)lat_model_count_elements(model),
             (long long)expected);
  }
  lat_model_release(model);
}

static void test_parameter_counts(void **state) {
  (void)state;
  static const int64_t ones[8] = {1, 1, 1, 1, 1, 1, 1, 1}, twos[8] = {2, 2, 2, 2, 2, 2, 2, 2};
  static const int64_t deep[8] = {2, 3, 4, 6, 2, 2, 2, 2}, base[4] = {256, 128, 96, 96}, a[4] = {128, 128, 96, 96};
  const int64_t stem = step(125, 4, 32), head = 96 * 20 + 20, pair = step(27, 4, 32) + step(27, 32, 32);
  expect_count("minkunet14", stem + unet(ones, base) + head);
  expect_count("minkunet18a", stem + unet(twos, a) + head);
  expect_count("minkunet34c", stem + unet(deep, base) + head);
  expect_count("sparse_resunet42", pair + unet(twos, base));
  expect_count("spvcnn",
               pair + unet(twos, base) + head + (32 * 256 + 3 * 256) + (256 * 128 + 3 * 128) + (128 * 96 + 3 * 96));
  expect_count("sparse_resnet21d", step(27, 4, 16) + 2 * block(16, 16, 0) + step(27, 16, 32) + 2 * block(32, 32, 0) +
                                       step(27, 32, 64) + 2 * block(64, 64, 0) + step(27, 64, 128) +
                                       2 * block(128, 128, 0) + step(3, 128, 128));
  expect_count("voxel_backbone8x", step(27, 4, 16) + step(27, 16, 16) + step(27, 16, 32) + 2 * step(27, 32, 32) +
                                       step(27, 32, 64) + 2 * step(27, 64, 64) + 3 * step(27, 64, 64) +
                                       step(3, 64, 128));
  const int64_t res = step(27, 4, 16) + 2 * block(16, 16, 1) + step(27, 16, 32) + 2 * block(32, 32, 1) +
                      step(27, 32, 64) + 2 * block(64, 64, 1) + step(27, 64, 128) + 2 * block(128, 128, 1);
  expect_count("voxel_res_backbone8x", res + step(3, 128, 128));
  expect_count("voxelnext", res + 2 * (step(27, 128, 128) + 2 * block(128, 128, 1)) + 2 * step(9, 128, 128) + 128);
}

// Published: 37.9 million for MinkUNet34C with three input channels and 20 classes, 21.8 million for SPVCNN with 19.
static void test_published_counts(void **state) {
  (void)state;
  lat_model *mink = build("minkunet34c", LAT_OPTS(lat_zoo_opts, .in_channels = 3));
  lat_model *spvcnn = build("spvcnn", LAT_OPTS(lat_zoo_opts, .classes = 19));
  assert_int_equal(lat_model_count_elements(mink) / 100000, 378);
  assert_int_equal(lat_model_count_elements(spvcnn) / 100000, 217);
  lat_model_release(mink);
  lat_model_release(spvcnn);
}

// --- numbers ----------------------------------------------------------------------------------------------------------

enum { N = 60, C = 4 };

/// A clump of rows of one batch item in the box [0, extent).
static ref_net_value *cloud(int32_t extent, int64_t n, int64_t channels) {
  lat_test_random random = {11, 0};
  ref_net_value *x = ref_net_new(n, channels, 1);
  for (int64_t i = 0; i < n; i++) {
    int seen = 1;
    while (seen) {
      for (int a = 0; a < 3; a++) x->rows[4 * i + a + 1] = (int32_t)lat_test_below(&random, extent);
      seen = 0;
      for (int64_t k = 0; k < i; k++) seen |= memcmp(x->rows + 4 * k, x->rows + 4 * i, 16) == 0;
    }
  }
  for (int64_t i = 0; i < n * channels; i++) x->feats[i] = (float)lat_test_uniform(&random, -1.0, 1.0);
  return x;
}

/// Largest difference relative to the largest value.
static void assert_close(const char *name, const double *got, const double *expected, int64_t n) {
  double most = 0.0, largest = 0.0;
  for (int64_t i = 0; i < n; i++) {
    most = fmax(most, fabs(got[i] - expected[i]));
    largest = fmax(largest, fabs(expected[i]));
  }
  if (!(largest > 0.0) || !(most <= 2e-5 * largest)) fail_msg("%s: off by %g, values to %g", name, most, largest);
}

static void assert_same_sparse(const char *name, const lat_tensor *y, const ref_net_value *expected) {
  assert_non_null(y);
  assert_int_equal(lat_tensor_count(y), expected->n);
  assert_memory_equal(lat_coords_rows(lat_tensor_coords(y)).data, expected->rows, (size_t)expected->n * 16);
  assert_int_equal(lat_tensor_stride(y).x, expected->stride[0]);
  double *got = lat_test_read_feats(y);
  assert_close(name, got, expected->feats, expected->n * expected->c);
  free(got);
}

/// The rows of `expected` in a dense array (B, C Z, Y, X), zeros elsewhere.
static void assert_same_dense(const char *name, const lat_array *y, const ref_net_value *expected) {
  assert_non_null(y);
  lat_array_view view = lat_array_as_view(y);
  double *got = lat_test_read(view), *dense = calloc((size_t)lat_array_count(y), sizeof *dense);
  int64_t depth = view.shape[1] / expected->c;
  for (int64_t i = 0; i < expected->n * expected->c; i++) {
    const int32_t *row = expected->rows + i / expected->c * 4;
    int64_t channel = i % expected->c * depth + row[3];
    dense[((row[0] * view.shape[1] + channel) * view.shape[2] + row[2]) * view.shape[3] + row[1]] = expected->feats[i];
  }
  assert_close(name, got, dense, lat_array_count(y));
  free(got);
  free(dense);
}

static void check_voxels(const char *name, const lat_zoo_opts *opts, int32_t extent) {
  lat_model *model = build(name, opts);
  lat_program *program = NULL;
  lat_results *results = NULL;
  ref_net_value *x = cloud(extent, N, C);
  lat_tensor *tensor = lat_test_tensor(context, x->rows, N, x->feats, C, LAT_DTYPE_F32, NULL);
  const network_input walked = {"x_coords", x, NULL, NULL};
  const lat_binding input = {"x", tensor, NULL};
  ref_net_value *expected = network_walk(model, &walked, 1);
  lat_test_assert_ok(lat_model_compile(context, model, NULL, &program));
  lat_test_assert_ok(lat_program_run(context, program, &input, 1, NULL, &results));
  if (lat_results_array(results, "y")) {
    assert_same_dense(name, lat_results_array(results, "y"), expected);
  } else {
    assert_same_sparse(name, lat_results_tensor(results, "y"), expected);
  }
  ref_net_free(expected);
  ref_net_free(x);
  lat_tensor_release(tensor);
  lat_results_release(results);
  lat_program_release(program);
  lat_model_release(model);
}

static void test_unets(void **state) {
  (void)state;
  check_voxels("minkunet14", LAT_OPTS(lat_zoo_opts, .classes = 5), 9);
  check_voxels("sparse_resunet42", NULL, 9);
  check_voxels("sparse_resnet21d", NULL, 12);
}

static void test_detection(void **state) {
  (void)state;
  const lat_zoo_opts *opts = LAT_OPTS(lat_zoo_opts, .grid = {24, 20, 41});
  check_voxels("voxel_backbone8x", opts, 12);
  check_voxels("voxel_res_backbone8x", opts, 12);
  check_voxels("voxelnext", opts, 12);
}

static void test_spvcnn(void **state) {
  (void)state;
  float points[N][3];
  int32_t batch[N] = {0}, active = N;
  float feats[N][C], zeros[N] = {0};
  lat_test_random random = {4, 0};
  ref_net_value *p = ref_net_new(N, C, 0), *rows = cloud(9, N, 1);
  for (int i = 0; i < N; i++) {
    for (int a = 0; a < 3; a++) points[i][a] = (float)lat_test_uniform(&random, -0.2, 0.3);
    for (int c = 0; c < C; c++)
      feats[i][c] = (float)(p->feats[i * C + c] = (float)lat_test_uniform(&random, -1.0, 1.0));
  }
  lat_model *model = build("spvcnn", NULL);
  lat_program *program = NULL;
  lat_results *results = NULL;
  lat_tensor *set = lat_test_tensor(context, rows->rows, N, rows->feats, 1, LAT_DTYPE_F32, NULL);
  const lat_array_view xyz = lat_view_2d(points, LAT_DTYPE_F32, N, 3), f = lat_view_2d(feats, LAT_DTYPE_F32, N, C);
  const lat_array_view b = lat_view_1d(batch, LAT_DTYPE_I32, N), n = lat_view_1d(&active, LAT_DTYPE_I32, 1);
  const lat_binding inputs[5] = {{"p_points", NULL, &xyz},
                                 {"p_features", NULL, &f},
                                 {"p_batch", NULL, &b},
                                 {"p_active", NULL, &n},
                                 {"rows", set, NULL}};
  const network_input walked[3] = {
      {"p_points", p, points[0], batch}, {"p_features", p, NULL, NULL}, {"rows_coords", rows, NULL, NULL}};
  ref_net_value *expected = network_walk(model, walked, 3);
  (void)zeros;
  lat_test_assert_ok(lat_model_compile(context, model, NULL, &program));
  lat_test_assert_ok(lat_program_run(context, program, inputs, 5, NULL, &results));
  double *got = lat_test_read(lat_array_as_view(lat_results_array(results, "y")));
  assert_int_equal(lat_array_as_view(lat_results_array(results, "y")).shape[1], 20);
  assert_close("spvcnn", got, expected->feats, N * 20);
  free(got);
  ref_net_free(expected);
  ref_net_free(p);
  ref_net_free(rows);
  lat_tensor_release(set);
  lat_results_release(results);
  lat_program_release(program);
  lat_model_release(model);
}

// --- artifacts --------------------------------------------------------------------------------------------------------

/// A network written as an artifact and read again: the same graph, parameters and bits.
static void check_artifact(const char *name, const lat_zoo_opts *opts, int32_t extent, int version) {
  char folder[64], file[96];
  lat_model *models[2] = {build(name, opts), NULL};
  lat_array *values[2] = {NULL, NULL};
  snprintf(folder, sizeof folder, "test_zoo_%ld", (long)getpid());
  lat_test_assert_ok(lat_model_save(context, models[0], folder));
  lat_test_assert_ok(lat_model_load(context, folder, NULL, &models[1]));
  assert_int_equal(lat_model_version(models[1]), version);
  ref_net_value *x = cloud(extent, N, C);
  lat_tensor *tensor = lat_test_tensor(context, x->rows, N, x->feats, C, LAT_DTYPE_F32, NULL);
  const lat_binding input = {"x", tensor, NULL};
  for (int i = 0; i < 2; i++) {
    lat_program *program = NULL;
    lat_results *results = NULL;
    lat_test_assert_ok(lat_model_compile(context, models[i], NULL, &program));
    lat_test_assert_ok(lat_program_run(context, program, &input, 1, NULL, &results));
    const lat_tensor *y = lat_results_tensor(results, "y");
    values[i] = lat_array_retain(y ? lat_tensor_feats_array(y) : lat_results_array(results, "y"));
    lat_results_release(results);
    lat_program_release(program);
  }
  lat_test_assert_same_view(lat_array_as_view(values[0]), lat_array_as_view(values[1]));
  for (int i = 0; i < 2; i++) {
    lat_array_release(values[i]);
    lat_model_release(models[i]);
  }
  ref_net_free(x);
  lat_tensor_release(tensor);
  snprintf(file, sizeof file, "%s/graph.mlir", folder);
  remove(file);
  snprintf(file, sizeof file, "%s/weights.safetensors", folder);
  remove(file);
  rmdir(folder);
}

static void test_artifacts(void **state) {
  (void)state;
  const lat_zoo_opts *box = LAT_OPTS(lat_zoo_opts, .grid = {24, 20, 41});
  check_artifact("minkunet14", NULL, 9, 2);
  check_artifact("sparse_resnet21d", NULL, 12, 2);
  check_artifact("voxel_backbone8x", box, 12, 3);
  check_artifact("voxel_res_backbone8x", box, 12, 3);
  check_artifact("voxelnext", box, 12, 3);
}

// --- names and errors -------------------------------------------------------------------------------------------------

static void test_names_and_errors(void **state) {
  (void)state;
  const lat_status argument = LAT_STATUS_INVALID_ARGUMENT;
  lat_model *out = (lat_model *)&counter;
  assert_int_equal(lat_zoo_count(), 9);
  assert_string_equal(lat_zoo_name(0), "minkunet14");
  assert_null(lat_zoo_name(9));
  assert_null(lat_zoo_name(-1));
  lat_test_assert_error(lat_zoo_build(context, "alexnet", NULL, &out), argument,
                        "no network of that name: got \"alexnet\"");
  assert_null(out);
  lat_test_assert_error(lat_zoo_build(NULL, "minkunet14", NULL, &out), argument, "zoo_build: context: got NULL");
  lat_test_assert_error(lat_zoo_build(context, NULL, NULL, &out), argument, "zoo_build: name: got NULL");
  lat_test_assert_error(lat_zoo_build(context, "minkunet14", NULL, NULL), argument, "zoo_build: out: got NULL");
  lat_test_assert_error(lat_zoo_build(context, "minkunet14", LAT_OPTS(lat_zoo_opts, .classes = -1), &out),
                        LAT_STATUS_INVALID_SHAPE, "conv3d: final: out_channels: got -1");
  assert_null(out);
}

int main(void) {
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
  const struct CMUnitTest tests[] = {TEST(test_parameter_counts), TEST(test_published_counts), TEST(test_unets),
                                     TEST(test_detection),        TEST(test_spvcnn),           TEST(test_artifacts),
                                     TEST(test_names_and_errors)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
