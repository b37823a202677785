// The six artifacts of another library's exporter: read, run on the inputs beside them, compared with the results beside
// them at 1e-6 (packed weights 3e-4), coordinates exactly. Skipped by name without the shared data. Each artifact is also
// written and read again, and must give the same bits.
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <lattice/lattice.h>

#include "support/io_cases.h"
#include "support/test_allocator.h"
#include "support/test_support.h"

enum { PATH_BYTES = 1400, MOST_INPUTS = 16 };

static lat_test_allocator counter;
static lat_context *context;

static int set_up(void **state) {
  (void)state;
  memset(&counter, 0, sizeof counter);
  context = lat_test_context_create(&counter, 1);
  return 0;
}

static int tear_down(void **state) {
  (void)state;
  lat_test_context_finish(context, &counter);
  return 0;
}

static lat_results *run(const lat_model *model, const char *inputs_path, int logical) {
  lat_safetensors *file = NULL;
  lat_program *program = NULL;
  lat_results *results = NULL;
  lat_run_opts opts = LAT_RUN_OPTS_INIT;
  lat_binding inputs[MOST_INPUTS];
  lat_array_view views[MOST_INPUTS];
  opts.logical_coords = logical;
  lat_test_assert_ok(lat_safetensors_open(context, inputs_path, &file));
  int64_t n = lat_safetensors_count(file);
  assert_in_range(n, 1, MOST_INPUTS);
  for (int64_t i = 0; i < n; i++) {
    views[i] = lat_array_as_view(lat_safetensors_array(file, i));
    inputs[i] = (lat_binding){lat_safetensors_name(file, i), NULL, &views[i]};
  }
  lat_test_assert_ok(lat_model_compile(context, model, NULL, &program));
  lat_test_assert_ok(lat_program_run(context, program, inputs, n, &opts, &results));
  lat_program_release(program);
  lat_safetensors_release(file);
  return results;
}

/// An array of the expected file by its full name.
static lat_array_view expected_array(const lat_safetensors *file, const char *name, const char *ending) {
  char full[300];
  snprintf(full, sizeof full, "%s%s", name, ending);
  int64_t index = lat_safetensors_find(file, full);
  if (index < 0) fail_msg("no %s among the expected results", full);
  return lat_array_as_view(lat_safetensors_array(file, index));
}

static void check_floats(const char *what, lat_array_view got, lat_array_view expected, double tolerance) {
  assert_int_equal(got.dtype, LAT_DTYPE_F32);
  assert_int_equal(got.rank, expected.rank);
  int64_t n = 1;
  for (int axis = 0; axis < got.rank; axis++) {
    assert_int_equal(got.shape[axis], expected.shape[axis]);
    n *= got.shape[axis];
  }
  for (int64_t i = 0; i < n; i++) {
    double a = (double)((const float *)got.data)[i], b = (double)((const float *)expected.data)[i];
    if (!(fabs(a - b) <= tolerance + tolerance * fabs(b)))
      fail_msg("%s[%lld]: got %.9g, expected %.9g", what, (long long)i, a, b);
  }
}

static void check_tensor(const char *name, const lat_tensor *tensor, const lat_safetensors *file, int logical,
                         double tolerance) {
  lat_array_view rows = lat_coords_rows(lat_tensor_coords(tensor)), expected = expected_array(file, name, ".coords");
  lat_array_view active = expected_array(file, name, ".active");
  lat_triple stride = lat_tensor_stride(tensor);
  const int32_t steps[4] = {1, logical ? 1 : stride.x, logical ? 1 : stride.y, logical ? 1 : stride.z};
  assert_int_equal(rows.shape[0], expected.shape[0]);
  assert_int_equal(rows.shape[0], *(const int32_t *)active.data);
  for (int64_t i = 0; i < 4 * rows.shape[0]; i++) {
    assert_int_equal(((const int32_t *)rows.data)[i] * steps[i % 4], ((const int32_t *)expected.data)[i]);
  }
  check_floats(name, lat_tensor_feats(tensor), expected_array(file, name, ".features"), tolerance);
}

static void check_same_bits(const lat_results *a, const lat_results *b) {
  for (int64_t i = 0; i < lat_results_count(a); i++) {
    const char *name = lat_results_name(a, i);
    const lat_tensor *x = lat_results_tensor(a, name), *y = lat_results_tensor(b, name);
    lat_array_view p = x ? lat_tensor_feats(x) : lat_array_as_view(lat_results_array(a, name));
    lat_array_view q = y ? lat_tensor_feats(y) : lat_array_as_view(lat_results_array(b, name));
    assert_memory_equal(p.data, q.data, (size_t)(p.shape[0] * p.shape[1]) * sizeof(float));
  }
}

/// Paths of the case's files, or 0 without shared data.
static int find_case(const char *name, char folder[PATH_BYTES], char inputs[PATH_BYTES], char expected[PATH_BYTES]) {
  char relative[200];
  snprintf(relative, sizeof relative, "fixtures/%s/graph.mlir", name);
  if (!lat_test_shared_path(relative, folder, PATH_BYTES)) return 0;
  *strrchr(folder, '/') = '\0';
  snprintf(relative, sizeof relative, "fixtures/%s/inputs.safetensors", name);
  assert_true(lat_test_shared_path(relative, inputs, PATH_BYTES));
  snprintf(relative, sizeof relative, "fixtures/%s/expected.safetensors", name);
  assert_true(lat_test_shared_path(relative, expected, PATH_BYTES));
  return 1;
}

static void check_case(const char *name, int logical, double tolerance) {
  char folder[PATH_BYTES], inputs[PATH_BYTES], expected[PATH_BYTES], part[PATH_BYTES];
  lat_model *model = NULL, *again = NULL;
  lat_safetensors *file = NULL;
  if (!find_case(name, folder, inputs, expected)) skip();
  lat_test_assert_ok(lat_model_load(context, folder, NULL, &model));
  assert_int_equal(lat_model_version(model), 2);
  lat_results *results = run(model, inputs, logical);
  lat_test_assert_ok(lat_safetensors_open(context, expected, &file));
  for (int64_t i = 0; i < lat_results_count(results); i++) {
    const char *output = lat_results_name(results, i);
    const lat_tensor *tensor = lat_results_tensor(results, output);
    if (tensor) {
      check_tensor(output, tensor, file, logical, tolerance);
    } else {
      check_floats(output, lat_array_as_view(lat_results_array(results, output)), expected_array(file, output, ""),
                   tolerance);
    }
  }
  lat_test_folder_make();
  const char *copy = lat_test_folder_path("copy");
  lat_test_assert_ok(lat_model_save(context, model, copy));
  lat_test_assert_ok(lat_model_load(context, copy, NULL, &again));
  lat_results *same = run(again, inputs, logical);
  check_same_bits(results, same);
  snprintf(part, sizeof part, "%s/graph.mlir", copy);
  remove(part);
  snprintf(part, sizeof part, "%s/weights.safetensors", copy);
  remove(part);
  remove(copy);
  lat_test_folder_remove();
  lat_results_release(same);
  lat_results_release(results);
  lat_model_release(again);
  lat_model_release(model);
  lat_safetensors_release(file);
}

static void canonical_kernel_layout(void **state) {
  (void)state;
  check_case("canonical_kernel_layout", 0, 1e-6);
}

static void sparse_classifier(void **state) {
  (void)state;
  check_case("sparse_classifier", 0, 1e-6);
}

static void target_branch(void **state) {
  (void)state;
  check_case("target_branch", 0, 1e-6);
}

static void point_voxel(void **state) {
  (void)state;
  check_case("point_voxel", 0, 1e-6);
}

static void quantized_classifier_int8(void **state) {
  (void)state;
  check_case("quantized_classifier_int8", 0, 3e-4);
}

/// Its coordinates are logical (semantics 0.13): read as physical, they are refused.
static void pool_transpose(void **state) {
  (void)state;
  char folder[PATH_BYTES], inputs[PATH_BYTES], expected[PATH_BYTES];
  lat_model *model = NULL;
  lat_program *program = NULL;
  lat_results *results = NULL;
  lat_safetensors *file = NULL;
  lat_binding bindings[MOST_INPUTS];
  lat_array_view views[MOST_INPUTS];
  if (!find_case("pool_transpose", folder, inputs, expected)) skip();
  check_case("pool_transpose", 1, 1e-6);
  lat_test_assert_ok(lat_model_load(context, folder, NULL, &model));
  lat_test_assert_ok(lat_model_compile(context, model, NULL, &program));
  lat_test_assert_ok(lat_safetensors_open(context, inputs, &file));
  int64_t n = lat_safetensors_count(file);
  for (int64_t i = 0; i < n && i < MOST_INPUTS; i++) {
    views[i] = lat_array_as_view(lat_safetensors_array(file, i));
    bindings[i] = (lat_binding){lat_safetensors_name(file, i), NULL, &views[i]};
  }
  lat_test_assert_error(lat_program_run(context, program, bindings, n, NULL, &results), LAT_STATUS_INVALID_ARGUMENT,
                        "exactly divisible");
  assert_null(results);
  lat_safetensors_release(file);
  lat_program_release(program);
  lat_model_release(model);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test_setup_teardown(canonical_kernel_layout, set_up, tear_down),
      cmocka_unit_test_setup_teardown(sparse_classifier, set_up, tear_down),
      cmocka_unit_test_setup_teardown(target_branch, set_up, tear_down),
      cmocka_unit_test_setup_teardown(point_voxel, set_up, tear_down),
      cmocka_unit_test_setup_teardown(quantized_classifier_int8, set_up, tear_down),
      cmocka_unit_test_setup_teardown(pool_transpose, set_up, tear_down),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
