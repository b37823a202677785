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

/// What a network runs on: bindings for a program, the same values for the reference.
typedef struct network_case {
  lat_binding inputs[5];
  int64_t n_inputs;
  network_input walked[3];
  int n_walked;
  ref_net_value *held[2];
  lat_tensor *tensor;
  float points[N][3], feats[N][C];
  int32_t batch[N], active;
  lat_array_view views[4];
} network_case;

/// One sparse input of N voxels in the box [0, extent).
static network_case *voxel_case(int32_t extent) {
  network_case *on = calloc(1, sizeof *on);
  assert_non_null(on);
  ref_net_value *x = on->held[0] = cloud(extent, N, C);
  on->tensor = lat_test_tensor(context, x->rows, N, x->feats, C, LAT_DTYPE_F32, NULL);
  on->inputs[on->n_inputs++] = (lat_binding){"x", on->tensor, NULL};
  on->walked[on->n_walked++] = (network_input){"x_coords", x, NULL, NULL};
  return on;
}

/// N points, and a sparse input for the rows that the voxels are put on.
static network_case *point_case(void) {
  network_case *on = calloc(1, sizeof *on);
  assert_non_null(on);
  lat_test_random random = {4, 0};
  ref_net_value *p = on->held[0] = ref_net_new(N, C, 0), *rows = on->held[1] = cloud(9, N, 1);
  for (int i = 0; i < N; i++) {
    for (int a = 0; a < 3; a++) on->points[i][a] = (float)lat_test_uniform(&random, -0.2, 0.3);
    for (int c = 0; c < C; c++)
      on->feats[i][c] = (float)(p->feats[i * C + c] = (float)lat_test_uniform(&random, -1.0, 1.0));
  }
  on->active = N;
  on->tensor = lat_test_tensor(context, rows->rows, N, rows->feats, 1, LAT_DTYPE_F32, NULL);
  on->views[0] = lat_view_2d(on->points, LAT_DTYPE_F32, N, 3);
  on->views[1] = lat_view_2d(on->feats, LAT_DTYPE_F32, N, C);
  on->views[2] = lat_view_1d(on->batch, LAT_DTYPE_I32, N);
  on->views[3] = lat_view_1d(&on->active, LAT_DTYPE_I32, 1);
  static const char *const names[4] = {"p_points", "p_features", "p_batch", "p_active"};
  for (int i = 0; i < 4; i++) on->inputs[on->n_inputs++] = (lat_binding){names[i], NULL, &on->views[i]};
  on->inputs[on->n_inputs++] = (lat_binding){"rows", on->tensor, NULL};
  on->walked[0] = (network_input){"p_points", p, on->points[0], on->batch};
  on->walked[1] = (network_input){"p_features", p, NULL, NULL};
  on->walked[2] = (network_input){"rows_coords", rows, NULL, NULL};
  on->n_walked = 3;
  return on;
}

static void free_case(network_case *on) {
  lat_tensor_release(on->tensor);
  for (int i = 0; i < 2; i++) {
    if (on->held[i]) ref_net_free(on->held[i]);
  }
  free(on);
}

static lat_results *run(const lat_model *model, const network_case *on) {
  lat_program *program = NULL;
  lat_results *results = NULL;
  lat_test_assert_ok(lat_model_compile(context, model, NULL, &program));
  lat_test_assert_ok(lat_program_run(context, program, on->inputs, on->n_inputs, NULL, &results));
  lat_program_release(program);
  return results;
}

/// The output of a network, whatever kind it has.
static lat_array *output_of(const lat_results *results) {
  const lat_tensor *y = lat_results_tensor(results, "y");
  return lat_array_retain(y ? lat_tensor_feats_array(y) : lat_results_array(results, "y"));
}

/// The network's numbers are the reference's.
static void check_numbers(const char *name, const lat_model *model, const lat_results *results,
                          const network_case *on) {
  ref_net_value *expected = network_walk(model, on->walked, on->n_walked);
  const lat_array *dense = lat_results_array(results, "y");
  if (!dense) {
    assert_same_sparse(name, lat_results_tensor(results, "y"), expected);
  } else if (lat_array_as_view(dense).rank > 2) {
    assert_same_dense(name, dense, expected);
  } else {
    double *got = lat_test_read(lat_array_as_view(dense));
    assert_int_equal(lat_array_count(dense), expected->n * expected->c);
    assert_close(name, got, expected->feats, expected->n * expected->c);
    free(got);
  }
  ref_net_free(expected);
}

/// Written as an artifact and read again: the version that is expected, and the same bits.
static void check_artifact(const lat_model *model, const lat_results *results, const network_case *on, int version) {
  char folder[64], file[96];
  lat_model *read = NULL;
  snprintf(folder, sizeof folder, "test_zoo_%ld", (long)getpid());
  lat_test_assert_ok(lat_model_save(context, model, folder));
  lat_test_assert_ok(lat_model_load(context, folder, NULL, &read));
  assert_int_equal(lat_model_version(read), version);
  lat_results *again = run(read, on);
  lat_array *values[2] = {output_of(results), output_of(again)};
  lat_test_assert_same_view(lat_array_as_view(values[0]), lat_array_as_view(values[1]));
  for (int i = 0; i < 2; i++) lat_array_release(values[i]);
  lat_results_release(again);
  lat_model_release(read);
  snprintf(file, sizeof file, "%s/graph.mlir", folder);
  remove(file);
  snprintf(file, sizeof file, "%s/weights.safetensors", folder);
  remove(file);
  rmdir(folder);
}

static void check(const char *name, const lat_zoo_opts *opts, network_case *on, int version) {
  lat_model *model = build(name, opts);
  lat_results *results = run(model, on);
  check_numbers(name, model, results, on);
  check_artifact(model, results, on, version);
  lat_results_release(results);
  lat_model_release(model);
  free_case(on);
}

static void test_mink_unets(void **state) {
  (void)state;
  check("minkunet14", LAT_OPTS(lat_zoo_opts, .classes = 5), voxel_case(9), 2);
  check("minkunet18a", NULL, voxel_case(9), 2);
  check("minkunet34c", NULL, voxel_case(9), 2);
}

static void test_res_nets(void **state) {
  (void)state;
  check("sparse_resunet42", NULL, voxel_case(9), 2);
  check("sparse_resnet21d", NULL, voxel_case(12), 2);
}

static void test_detection(void **state) {
  (void)state;
  const lat_zoo_opts *box = LAT_OPTS(lat_zoo_opts, .grid = {24, 20, 41});
  check("voxel_backbone8x", box, voxel_case(12), 3);
  check("voxel_res_backbone8x", box, voxel_case(12), 3);
  check("voxelnext", box, voxel_case(12), 3);
}

static void test_spvcnn(void **state) {
  (void)state;
  check("spvcnn", NULL, point_case(), 3);
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
  const struct CMUnitTest tests[] = {TEST(test_parameter_counts), TEST(test_published_counts), TEST(test_mink_unets),
                                     TEST(test_res_nets),         TEST(test_detection),        TEST(test_spvcnn),
                                     TEST(test_names_and_errors)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
