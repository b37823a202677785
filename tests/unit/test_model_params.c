// The state of a model: listed, read and replaced by name, saved and strictly loaded; conversion to other dtypes and to
// packed weights, which run like the dense model within what they round.
//
// covers: lat_model_state_count lat_model_state_entry lat_model_count_elements lat_model_state_get lat_model_state_set
// covers: lat_model_state_load lat_model_state_save lat_model_convert
// null arguments: lat_model_state_get lat_model_state_set lat_model_state_load lat_model_state_save lat_model_convert
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <lattice/lattice.h>

#include "model/graph.h"
#include "support/tensor_cases.h"
#include "support/test_allocator.h"
#include "support/test_support.h"

static lat_test_allocator counter;
static lat_context *context;
static lat_model *model;
static char path[64];

enum { C = 32 };

static lat_model *make_model(int normalized, int more) {
  lat_nn *nn = NULL;
  lat_model *made = NULL;
  lat_test_assert_ok(lat_nn_create(context, &nn));
  lat_value h = lat_nn_input(nn, "x", C, NULL);
  h = normalized ? lat_nn_normalized_subm_conv3d(nn, h, C, C, LAT_OPTS(lat_nn_conv_opts, .name = "conv"))
                 : lat_nn_subm_conv3d(nn, h, C, C, LAT_OPTS(lat_nn_conv_opts, .name = "conv"));
  h = lat_nn_batch_norm(nn, h, C, LAT_OPTS(lat_nn_norm_opts, .name = "bn"));
  h = lat_nn_layer_norm(nn, h, C, LAT_OPTS(lat_nn_norm_opts, .name = "ln", .no_bias = 1));
  h = lat_nn_linear(nn, h, C, 4, LAT_OPTS(lat_nn_linear_opts, .name = "fc"));
  if (more) h = lat_nn_linear(nn, h, 4, 4, LAT_OPTS(lat_nn_linear_opts, .name = "extra"));
  lat_nn_output(nn, "y", h);
  lat_test_assert_ok(lat_nn_finish(nn, &made));
  return made;
}

static int set_up(void **state) {
  (void)state;
  memset(&counter, 0, sizeof counter);
  context = lat_test_context_create(&counter, 1);
  model = make_model(0, 0);
  snprintf(path, sizeof path, "test_model_params_%ld.safetensors", (long)getpid());
  return 0;
}

static int tear_down(void **state) {
  (void)state;
  remove(path);
  lat_model_release(model);
  lat_test_context_finish(context, &counter);
  return 0;
}

static const char *const dense_names[] = {"conv.weight",    "conv.bias", "bn.weight", "bn.bias", "bn.running_mean",
                                          "bn.running_var", "ln.weight", "fc.weight", "fc.bias"};

static void test_list(void **state) {
  (void)state;
  assert_int_equal(lat_model_state_count(model), 9);
  for (int i = 0; i < 9; i++) {
    lat_state_entry entry = lat_model_state_entry(model, i);
    assert_string_equal(entry.name, dense_names[i]);
    assert_int_equal(entry.kind, i == 4 || i == 5 ? LAT_STATE_STATISTIC : LAT_STATE_PARAMETER);
    assert_non_null(entry.values);
  }
  assert_int_equal(lat_model_count_elements(model), 27 * C * C + C + 2 * C + C + 4 * C + 4);
  assert_null(lat_model_state_entry(model, 9).values);
  assert_string_equal(lat_model_state_entry(model, -1).name, "");
  assert_int_equal(lat_model_state_count(NULL), 0);
  assert_int_equal(lat_model_count_elements(NULL), 0);
}

static void test_get_and_set(void **state) {
  (void)state;
  float values[4] = {1, 2, 3, 4};
  lat_array *got = NULL;
  lat_array_view view = lat_view_1d(values, LAT_DTYPE_F32, 4), shorter = lat_view_1d(values, LAT_DTYPE_F32, 3);
  lat_array_view other = lat_view_1d(values, LAT_DTYPE_I32, 4);
  lat_test_assert_ok(lat_model_state_set(context, model, "fc.bias", &view));
  values[0] = 9; // it was copied
  lat_test_assert_ok(lat_model_state_get(model, "fc.bias", &got));
  assert_true(((const float *)lat_array_data(got))[0] == 1.0f && ((const float *)lat_array_data(got))[3] == 4.0f);
  lat_array_release(got);
  lat_test_assert_error(lat_model_state_set(context, model, "fc.bias", &shorter), LAT_STATUS_INVALID_SHAPE,
                        "fc.bias: shape: got (3), expected (4)");
  lat_test_assert_error(lat_model_state_set(context, model, "fc.bias", &other), LAT_STATUS_INVALID_DTYPE,
                        "fc.bias: dtype: got int32, expected float32");
  lat_test_assert_error(lat_model_state_set(context, model, "nothing", &view), LAT_STATUS_INVALID_ARGUMENT,
                        "no array of that name: got \"nothing\"");
  got = (lat_array *)&counter;
  lat_test_assert_error(lat_model_state_get(model, "ln.bias", &got), LAT_STATUS_INVALID_ARGUMENT,
                        "no array of that name: got \"ln.bias\"");
  assert_null(got);
}

// --- files ------------------------------------------------------------------------------------------------------------

static void assert_same_state(const lat_model *a, const lat_model *b) {
  assert_int_equal(lat_model_state_count(a), lat_model_state_count(b));
  for (int64_t i = 0; i < lat_model_state_count(a); i++) {
    lat_state_entry x = lat_model_state_entry(a, i), y = lat_model_state_entry(b, i);
    assert_string_equal(x.name, y.name);
    lat_test_assert_same_view(lat_array_as_view(x.values), lat_array_as_view(y.values));
  }
}

static void test_round_trip(void **state) {
  (void)state;
  const float values[4] = {1, 2, 3, 4};
  lat_array_view view = lat_view_1d(values, LAT_DTYPE_F32, 4);
  lat_model *fresh = make_model(0, 0);
  lat_test_assert_ok(lat_model_state_set(context, model, "fc.bias", &view));
  lat_test_assert_ok(lat_model_state_save(context, model, path));
  lat_test_assert_ok(lat_model_state_load(context, fresh, path));
  assert_same_state(fresh, model);
  lat_model_release(fresh);
}

/// Writes the state with changes: an array less, one more, one of another shape, one of another dtype.
static void write_wrong(void) {
  static const float few[3] = {0};
  lat_named_array arrays[9];
  lat_array *half = NULL;
  lat_state_entry last = lat_model_state_entry(model, 8);
  lat_array_view view = lat_array_as_view(last.values);
  lat_test_assert_ok(lat_array_cast(context, &view, LAT_DTYPE_F16, &half));
  for (int i = 0; i < 9; i++) {
    arrays[i].name = dense_names[i];
    arrays[i].array = lat_array_as_view(lat_model_state_entry(model, i).values);
  }
  arrays[0].name = "conv.wheight";
  arrays[2].array = lat_view_1d(few, LAT_DTYPE_F32, 3);
  arrays[8].array = lat_array_as_view(half);
  lat_test_assert_ok(lat_safetensors_write(context, path, arrays, 9));
  lat_array_release(half);
}

static void test_strict_load(void **state) {
  (void)state;
  lat_model *fresh = make_model(0, 0), *larger = make_model(0, 1);
  const float values[4] = {1, 2, 3, 4};
  lat_array_view view = lat_view_1d(values, LAT_DTYPE_F32, 4);
  lat_test_assert_ok(lat_model_state_set(context, model, "fc.bias", &view));
  write_wrong();
  const lat_status bad = LAT_STATUS_BAD_DATA;
  lat_test_assert_error(lat_model_state_load(context, fresh, path), bad,
                        "1 missing: conv.weight; 1 unexpected: conv.wheight;");
  lat_test_assert_error(lat_model_state_load(context, fresh, path), bad,
                        "1 of another shape: bn.weight (got (3), expected (32));");
  lat_test_assert_error(lat_model_state_load(context, fresh, path), bad,
                        "1 of another dtype: fc.bias (got float16, expected float32)");
  lat_model *untouched = make_model(0, 0);
  assert_same_state(fresh, untouched); // nothing was changed
  lat_test_assert_ok(lat_model_state_save(context, larger, path));
  lat_test_assert_error(lat_model_state_load(context, fresh, path), bad, "2 unexpected: ");
  lat_test_assert_error(lat_model_state_load(context, fresh, "no such file"), LAT_STATUS_IO_ERROR, "no such file");
  lat_model_release(untouched);
  lat_model_release(fresh);
  lat_model_release(larger);
}

static void test_no_values(void **state) {
  (void)state;
  lat__parameter_set(&model->parameters[0].dense, NULL);
  lat_test_assert_error(lat_model_state_save(context, model, path), LAT_STATUS_INVALID_ARGUMENT,
                        "conv.weight has no values");
  lat_array *got = NULL;
  lat_test_assert_error(lat_model_state_get(model, "conv.weight", &got), LAT_STATUS_INVALID_ARGUMENT, "no array");
}

// --- conversion -------------------------------------------------------------------------------------------------------

static lat_tensor *random_tensor(lat_dtype dtype) {
  lat_test_random random = {5, 0};
  int32_t *rows = lat_test_random_rows(&random, 100, 1, 3, 0);
  double *values = lat_test_random_values(&random, 100 * C, -1.0, 1.0);
  lat_tensor *x = lat_test_tensor(context, rows, 100, values, C, dtype, NULL);
  free(rows);
  free(values);
  return x;
}

static double *run(const lat_model *m, lat_dtype dtype, lat_dtype expected) {
  lat_tensor *x = random_tensor(dtype);
  lat_program *program = NULL;
  lat_results *results = NULL;
  const lat_binding input = {"x", x, NULL};
  lat_test_assert_ok(lat_model_compile(context, m, NULL, &program));
  lat_test_assert_ok(lat_program_run(context, program, &input, 1, NULL, &results));
  const lat_tensor *y = lat_results_tensor(results, "y");
  assert_int_equal(lat_tensor_dtype(y), expected);
  double *values = lat_test_read_feats(y);
  lat_results_release(results);
  lat_program_release(program);
  lat_tensor_release(x);
  return values;
}

/// Largest difference of the converted model's result to the dense float32 one's.
static double difference(const lat_model *converted, lat_dtype dtype) {
  double *a = run(model, LAT_DTYPE_F32, LAT_DTYPE_F32), *b = run(converted, dtype, dtype), most = 0.0;
  for (int i = 0; i < 100 * 4; i++) most = fmax(most, fabs(a[i] - b[i]));
  free(a);
  free(b);
  return most;
}

static void test_to_half(void **state) {
  (void)state;
  static const lat_dtype dtypes[2] = {LAT_DTYPE_F16, LAT_DTYPE_BF16};
  for (int d = 0; d < 2; d++) {
    lat_convert_opts opts = LAT_CONVERT_OPTS_INIT;
    lat_model *half = NULL;
    opts.dtype = dtypes[d];
    lat_test_assert_ok(lat_model_convert(context, model, &opts, &half));
    for (int i = 0; i < 9; i++) {
      bool norm = i >= 2 && i <= 6;
      lat_dtype dtype = lat_array_as_view(lat_model_state_entry(half, i).values).dtype;
      assert_int_equal(dtype, norm ? LAT_DTYPE_F32 : dtypes[d]);
      assert_int_equal(lat_array_as_view(lat_model_state_entry(model, i).values).dtype, LAT_DTYPE_F32);
    }
    assert_int_equal(half->values[half->outputs[0].value].type.elem, lat__dtype_elem(dtypes[d]));
    double most = difference(half, dtypes[d]);
    assert_true(most > 0.0 && most < (d ? 0.1 : 0.02));
    lat_model_release(half);
  }
}

static void test_to_packed(void **state) {
  (void)state;
  static const char *const names[] = {"conv.weight", "conv.scales",     "conv.biases",    "conv.bias", "bn.weight",
                                      "bn.bias",     "bn.running_mean", "bn.running_var", "ln.weight", "fc.weight",
                                      "fc.scales",   "fc.biases",       "fc.bias"};
  for (int bits = 4; bits <= 8; bits += 4) {
    lat_convert_opts opts = LAT_CONVERT_OPTS_INIT;
    lat_model *packed = NULL;
    opts.bits = bits;
    lat_test_assert_ok(lat_model_convert(context, model, &opts, &packed));
    assert_int_equal(lat_model_state_count(packed), 13);
    for (int i = 0; i < 13; i++) assert_string_equal(lat_model_state_entry(packed, i).name, names[i]);
    assert_int_equal(lat_model_state_entry(packed, 1).kind, LAT_STATE_PACKED);
    assert_int_equal(lat_array_as_view(lat_model_state_entry(packed, 0).values).dtype, LAT_DTYPE_U32);
    assert_int_equal(lat_model_count_elements(packed), C + 2 * C + C + 4);
    double most = difference(packed, LAT_DTYPE_F32);
    assert_true(most > 0.0 && most < (bits == 4 ? 0.6 : 0.05));
    // Packed weights are saved and loaded like the rest; packing again changes nothing.
    lat_model *again = NULL, *same = NULL;
    lat_test_assert_ok(lat_model_convert(context, packed, &opts, &again));
    lat_test_assert_ok(lat_model_state_save(context, packed, path));
    lat_test_assert_ok(lat_model_convert(context, model, &opts, &same));
    lat_test_assert_ok(lat_model_state_load(context, same, path));
    assert_same_state(again, packed);
    assert_same_state(same, packed);
    lat_model_release(again);
    lat_model_release(same);
    lat_model_release(packed);
  }
}

// from_linear: one module; it has the bits of a quantized module made with the same weight.
static void test_one_module(void **state) {
  (void)state;
  lat_convert_opts opts = LAT_CONVERT_OPTS_INIT;
  lat_model *packed = NULL;
  opts.bits = 8;
  opts.module = "fc";
  lat_test_assert_ok(lat_model_convert(context, model, &opts, &packed));
  assert_int_equal(lat_model_state_count(packed), 11);
  lat_array *weight = NULL;
  lat_test_assert_ok(lat_model_state_get(packed, "conv.weight", &weight));
  assert_int_equal(lat_array_as_view(weight).dtype, LAT_DTYPE_F32);
  lat_array_release(weight);
  lat_test_assert_ok(lat_model_state_get(packed, "fc.weight", &weight));
  lat_array_view dense = lat_array_as_view(lat_model_state_entry(model, 7).values);
  lat_quantize_opts quantize = LAT_QUANTIZE_OPTS_INIT;
  lat_quantized_weight *expected = NULL;
  quantize.bits = 8;
  lat_test_assert_ok(lat_quantize_weight(context, &dense, &quantize, &expected));
  lat_test_assert_same_view(lat_array_as_view(weight), lat_quantized_weight_info(expected).words);
  lat_quantized_weight_release(expected);
  lat_array_release(weight);
  lat_model_release(packed);
}

static void refuse(const lat_model *m, const lat_convert_opts *opts, lat_status status, const char *fragment) {
  lat_model *out = (lat_model *)&counter;
  lat_test_assert_error(lat_model_convert(context, m, opts, &out), status, fragment);
  assert_null(out);
}

static void test_conversion_errors(void **state) {
  (void)state;
  const lat_status argument = LAT_STATUS_INVALID_ARGUMENT;
#define OPTS(...) LAT_OPTS(lat_convert_opts, __VA_ARGS__)
  refuse(model, OPTS(.dtype = 0), argument, "got none, expected exactly one");
  refuse(model, OPTS(.dtype = LAT_DTYPE_F16, .bits = 4), argument, "got more than one");
  refuse(model, OPTS(.bits = 4, .inference = 1), argument, "got more than one");
  refuse(model, OPTS(.inference = 1, .group_size = 32), argument, "got one without bits");
  refuse(model, OPTS(.dtype = LAT_DTYPE_I32), LAT_STATUS_INVALID_DTYPE, "dtype: got int32");
  refuse(model, OPTS(.bits = 3), argument, "bits: got 3, expected 4 or 8");
  refuse(model, OPTS(.bits = 4, .group_size = 16), argument, "group_size must be 32, 64, or 128: got 16");
  refuse(model, OPTS(.dtype = LAT_DTYPE_F16, .module = "fc"), argument, "got one without bits");
  refuse(model, OPTS(.bits = 4, .module = "bn"), argument, "no convolution or linear layer of that name: got \"bn\"");
  lat_model *normalized = make_model(1, 0);
  refuse(normalized, OPTS(.bits = 4), argument, "model_convert: conv: packing would drop the normalization");
  refuse(normalized, OPTS(.bits = 4, .module = "conv"), argument, "packing would drop the normalization");
  lat_model_release(normalized);
}

static void test_nulls(void **state) {
  (void)state;
  const lat_status argument = LAT_STATUS_INVALID_ARGUMENT;
  const float one = 1;
  lat_array_view view = lat_view_1d(&one, LAT_DTYPE_F32, 1);
  lat_array *array = NULL;
  lat_model *out = NULL;
  lat_test_assert_error(lat_model_state_get(NULL, "a", &array), argument, "model_state_get: model: got NULL");
  lat_test_assert_error(lat_model_state_get(model, NULL, &array), argument, "model_state_get: name: got NULL");
  lat_test_assert_error(lat_model_state_get(model, "a", NULL), argument, "model_state_get: out: got NULL");
  lat_test_assert_error(lat_model_state_set(NULL, model, "a", &view), argument, "model_state_set: context: got NULL");
  lat_test_assert_error(lat_model_state_set(context, NULL, "a", &view), argument, "model_state_set: model: got NULL");
  lat_test_assert_error(lat_model_state_set(context, model, NULL, &view), argument, "model_state_set: name: got NULL");
  lat_test_assert_error(lat_model_state_set(context, model, "a", NULL), argument, "model_state_set: values: got NULL");
  lat_test_assert_error(lat_model_state_load(NULL, model, path), argument, "model_state_load: context: got NULL");
  lat_test_assert_error(lat_model_state_load(context, NULL, path), argument, "model_state_load: model: got NULL");
  lat_test_assert_error(lat_model_state_load(context, model, NULL), argument, "model_state_load: path: got NULL");
  lat_test_assert_error(lat_model_state_save(NULL, model, path), argument, "model_state_save: context: got NULL");
  lat_test_assert_error(lat_model_state_save(context, NULL, path), argument, "model_state_save: model: got NULL");
  lat_test_assert_error(lat_model_state_save(context, model, NULL), argument, "model_state_save: path: got NULL");
  const lat_convert_opts *opts = OPTS(.bits = 4);
  lat_test_assert_error(lat_model_convert(NULL, model, opts, &out), argument, "model_convert: context: got NULL");
  lat_test_assert_error(lat_model_convert(context, NULL, opts, &out), argument, "model_convert: model: got NULL");
  lat_test_assert_error(lat_model_convert(context, model, NULL, &out), argument, "model_convert: opts: got NULL");
  lat_test_assert_error(lat_model_convert(context, model, opts, NULL), argument, "model_convert: out: got NULL");
}

int main(void) {
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
  const struct CMUnitTest tests[] = {TEST(test_list),        TEST(test_get_and_set), TEST(test_round_trip),
                                     TEST(test_strict_load), TEST(test_no_values),   TEST(test_to_half),
                                     TEST(test_to_packed),   TEST(test_one_module),  TEST(test_conversion_errors),
                                     TEST(test_nulls)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
