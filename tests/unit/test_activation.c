// Activations with parameters, their dispatcher, exp, round: special values, error bounds, levels, parameters, errors.
// covers: lat_sigmoid lat_silu lat_tanh lat_leaky_relu lat_softplus lat_activation lat_activation_features
// covers: lat_exp lat_round lat_activation_backward
// null arguments: lat_sigmoid lat_silu lat_tanh lat_leaky_relu lat_softplus lat_activation lat_activation_features
// null arguments: lat_exp lat_round lat_activation_backward
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <lattice/feature.h>

#include "ref/ref_feature.h"
#include "support/tensor_cases.h"
#include "support/test_allocator.h"
#include "support/test_support.h"

#define N_KINDS 10

static lat_context *context;
static lat_test_allocator counter;
static lat_tensor *const poison = (lat_tensor *)&counter;
static lat_array *const poison_array = (lat_array *)&counter;

static const int32_t line[32] = {0, 0, 0, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0, 3, 0, 0,
                                 0, 4, 0, 0, 0, 5, 0, 0, 0, 6, 0, 0, 0, 7, 0, 0};

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

/// Every stride-th float32 pattern that is finite, from malloc.
static float *sweep(uint32_t stride, int64_t *n) {
  float *values = malloc(((size_t)UINT32_MAX / stride + 1) * sizeof *values);
  *n = 0;
  for (uint64_t pattern = 0; pattern <= UINT32_MAX; pattern += stride) {
    uint32_t bits = (uint32_t)pattern;
    if ((bits & 0x7F800000) == 0x7F800000) continue;
    memcpy(&values[(*n)++], &bits, sizeof bits);
  }
  return values;
}

static double ulp_of(double value) {
  int exponent = 0;
  frexp(value, &exponent);
  return ldexp(1.0, (exponent < -125 ? -125 : exponent) - 24);
}

/// A tensor of n rows of one channel over the caller's float32 memory.
static lat_tensor *tensor_over(lat_context *owner, const float *values, int64_t n) {
  int32_t *rows = calloc((size_t)n * 4, sizeof *rows);
  for (int64_t r = 0; r < n; r++) rows[4 * r + 1] = (int32_t)r;
  lat_coords *coords = lat_test_coords(owner, rows, n);
  lat_array_view view = lat_view_2d(values, LAT_DTYPE_F32, n, 1);
  lat_tensor *tensor = NULL;
  lat_test_assert_ok(lat_tensor_create(owner, coords, &view, NULL, &tensor));
  lat_coords_release(coords);
  free(rows);
  return tensor;
}

/// |got - exact| in ulp of the exact value.
static double error_of(float got, double exact) {
  if (fabs(exact) >= 0x1.ffffffp127) return isinf(got) ? 0.0 : 1e9;
  return fabs((double)got - exact) / ulp_of(exact);
}

static void check_bound(int kind, const char *what, double worst, double bound) {
  print_message("kind %d %s: %.6f ulp at most\n", kind, what, worst);
  if (!(worst <= bound)) fail_msg("kind %d %s: %g ulp, expected at most %g", kind, what, worst, bound);
}

// The bounds of docs/numerics.md, by kind. The forms of gelu have a sweep of their own (test_feature.c).
static const double value_bound_ulp[N_KINDS] = {0, 2, 3, 3, 0.501, 4, 3, 3, 2.5, 1};

// The slope of gelu passes zero,
// where the double arithmetic leaves 1e-11 of the terms that cancel.
static void test_error_bounds(void **state) {
  (void)state;
  int64_t n = 0;
  float *values = sweep(40009, &n), *ones = malloc((size_t)n * sizeof *ones);
  for (int64_t i = 0; i < n; i++) ones[i] = 1.0f;
  lat_tensor *x = tensor_over(context, values, n);
  lat_array_view ones_view = lat_view_2d(ones, LAT_DTYPE_F32, n, 1);
  for (int kind = 0; kind < N_KINDS; kind++) {
    const ref_activation activation = {kind, (double)0.01f, 1.0, 20.0};
    lat_tensor *y = NULL;
    lat_array *slope = NULL;
    double worst = 0, worst_slope = 0;
    lat_test_assert_ok(lat_activation(context, x, (lat_activation_kind)kind, NULL, &y));
    lat_test_assert_ok(lat_activation_backward(context, x, (lat_activation_kind)kind, &ones_view, NULL, &slope));
    const float *got = lat_tensor_feats(y).data, *got_slope = lat_array_as_view(slope).data;
    for (int64_t i = 0; i < n; i++) {
      double exact = ref_activation_slope(&activation, (double)values[i]);
      worst = fmax(worst, error_of(got[i], ref_activation_value(&activation, (double)values[i])));
      if (fabs((double)got_slope[i] - exact) > 1e-11 * fabs(exact) + (fabs(exact) > 0.01 ? 1e-11 : 0)) {
        worst_slope = fmax(worst_slope, error_of(got_slope[i], exact));
      }
    }
    if (kind < 5 || kind > 7) check_bound(kind, "value", worst, value_bound_ulp[kind]);
    check_bound(kind, "slope", worst_slope, 0.501);
    lat_array_release(slope);
    lat_tensor_release(y);
  }
  lat_tensor_release(x);
  free(values), free(ones);
}

static void test_special_values(void **state) {
  (void)state;
  const double values[6] = {0.0, -0.0, INFINITY, -INFINITY, NAN, 1.0}; // the last one is not exact
  for (int kind = 0; kind < N_KINDS; kind++) {
    const ref_activation activation = {kind, (double)0.01f, 1.0, 20.0};
    double expected[6], slopes[6];
    lat_tensor *x = lat_test_tensor(context, line, 6, values, 1, LAT_DTYPE_F32, NULL), *y = NULL;
    lat_array_view ones = lat_tensor_feats(x);
    const float one[6] = {1, 1, 1, 1, 1, 1};
    lat_array *slope = NULL;
    ones.data = one;
    for (int i = 0; i < 6; i++) {
      expected[i] = (double)(float)ref_activation_value(&activation, values[i]);
      slopes[i] = (double)(float)ref_activation_slope(&activation, values[i]);
    }
    lat_test_assert_ok(lat_activation(context, x, (lat_activation_kind)kind, NULL, &y));
    lat_test_assert_ok(lat_activation_backward(context, x, (lat_activation_kind)kind, &ones, NULL, &slope));
    lat_array_view special = lat_tensor_feats(y);
    special.shape[0] = 5;
    if (kind < 5 || kind > 7) lat_test_assert_values(special, expected, 5);
    assert_true(error_of(((const float *)lat_tensor_feats(y).data)[5], expected[5]) <= value_bound_ulp[kind] + 0.5);
    lat_test_assert_values(lat_array_as_view(slope), slopes, 6);
    lat_array_release(slope);
    lat_tensor_release(y);
    lat_tensor_release(x);
  }
}

typedef lat_status (*tensor_fn)(lat_context *used, const lat_tensor *x, lat_tensor **out);

static lat_status call_leaky(lat_context *used, const lat_tensor *x, lat_tensor **out) {
  return lat_leaky_relu(used, x, 0.01, out);
}
static lat_status call_softplus(lat_context *used, const lat_tensor *x, lat_tensor **out) {
  return lat_softplus(used, x, 1.0, 20.0, out);
}
static lat_status call_dispatcher(lat_context *used, const lat_tensor *x, lat_tensor **out) {
  return lat_activation(used, x, LAT_ACTIVATION_EXP, NULL, out);
}
static lat_status call_gelu(lat_context *used, const lat_tensor *x, lat_tensor **out) {
  return lat_gelu(used, x, LAT_GELU_NONE, out);
}
static lat_status call_gelu_tanh(lat_context *used, const lat_tensor *x, lat_tensor **out) {
  return lat_gelu(used, x, LAT_GELU_TANH, out);
}
static lat_status call_gelu_fast(lat_context *used, const lat_tensor *x, lat_tensor **out) {
  return lat_gelu(used, x, LAT_GELU_FAST, out);
}

static const struct {
  tensor_fn fn;
  const char *name;
} functions[N_KINDS] = {{lat_relu, "relu"},          {lat_sigmoid, "sigmoid"},
                        {lat_silu, "silu"},          {lat_tanh, "tanh"},
                        {call_leaky, "leaky_relu"},  {call_gelu, "gelu"},
                        {call_gelu_tanh, "gelu"},    {call_gelu_fast, "gelu"},
                        {call_softplus, "softplus"}, {call_dispatcher, "activation"}};

// One set of bits: function, dispatcher and dense dispatcher, at every level, 1, 2 and 5 threads, in three dtypes.
static void test_dispatcher_levels_and_threads(void **state) {
  (void)state;
  enum { n = 33000 };
  const lat_cpu_level levels[3] = {LAT_CPU_LEVEL_SCALAR, LAT_CPU_LEVEL_AUTO, LAT_CPU_LEVEL_AUTO};
  const int32_t threads[3] = {1, 2, 5};
  const lat_dtype dtypes[3] = {LAT_DTYPE_F32, LAT_DTYPE_F16, LAT_DTYPE_BF16};
  lat_test_random random = {21, 0};
  int32_t *rows = lat_test_random_rows(&random, n, 1, 40, 0);
  double *values = lat_test_random_values(&random, n, -12, 12);
  for (int kind = 0; kind < N_KINDS; kind++) {
    lat_tensor *first = NULL;
    lat_array *first_slope = NULL;
    for (int l = 0; l < 3; l++) {
      lat_context_opts opts = LAT_CONTEXT_OPTS_INIT;
      lat_context *other = NULL;
      lat_tensor *y = NULL, *named = NULL;
      lat_array *dense = NULL, *slope = NULL;
      opts.cpu_level = levels[l];
      opts.n_threads = threads[l];
      lat_test_assert_ok(lat_context_create(&opts, &other));
      lat_tensor *x = lat_test_tensor(other, rows, n, values, 1, dtypes[kind % 3], NULL);
      lat_array_view view = lat_tensor_feats(x);
      lat_test_assert_ok(lat_activation(other, x, (lat_activation_kind)kind, NULL, &y));
      lat_test_assert_ok(functions[kind].fn(other, x, &named));
      lat_test_assert_ok(lat_activation_features(other, &view, (lat_activation_kind)kind, NULL, &dense));
      lat_test_assert_ok(lat_activation_backward(other, x, (lat_activation_kind)kind, &view, NULL, &slope));
      assert_int_equal(lat_array_as_view(slope).dtype, dtypes[kind % 3]);
      if (!first) {
        first = lat_tensor_retain(y);
        first_slope = lat_array_retain(slope);
      }
      lat_test_assert_same_view(lat_tensor_feats(first), lat_tensor_feats(y));
      lat_test_assert_same_view(lat_tensor_feats(first), lat_tensor_feats(named));
      lat_test_assert_same_view(lat_tensor_feats(first), lat_array_as_view(dense));
      lat_test_assert_same_view(lat_array_as_view(first_slope), lat_array_as_view(slope));
      assert_true(lat_tensor_same_coords(x, y));
      lat_array_release(slope);
      lat_array_release(dense);
      lat_tensor_release(named);
      lat_tensor_release(y);
      lat_tensor_release(x);
      lat_context_destroy(other);
    }
    lat_array_release(first_slope);
    lat_tensor_release(first);
  }
  free(rows), free(values);
}

static void test_parameters(void **state) {
  (void)state;
  const double values[4] = {-2, -0.5, 0.5, 3};
  const double leaky[4] = {-0.5, -0.125, 0.5, 3};
  lat_activation_opts opts = LAT_ACTIVATION_OPTS_INIT;
  lat_tensor *x = lat_test_tensor(context, line, 4, values, 1, LAT_DTYPE_F16, NULL), *y = NULL;
  opts.alpha = 0.25;
  opts.beta = 4.0;
  opts.threshold = 8.0;
  lat_test_assert_ok(lat_activation(context, x, LAT_ACTIVATION_LEAKY_RELU, &opts, &y));
  lat_test_assert_values(lat_tensor_feats(y), leaky, 4);
  lat_tensor_release(y);
  lat_tensor_release(x);
  x = lat_test_tensor(context, line, 4, values, 1, LAT_DTYPE_F32, NULL);
  lat_test_assert_ok(lat_activation(context, x, LAT_ACTIVATION_SOFTPLUS, &opts, &y));
  double *got = lat_test_read_feats(y);
  for (int i = 0; i < 4; i++) { // 3 * 4 is above the threshold
    double expected = i == 3 ? 3.0 : log1p(exp(4 * values[i])) / 4;
    assert_true(fabs(got[i] - expected) <= 0x1p-23 * expected);
  }
  free(got);
  lat_tensor_release(y);
  lat_test_assert_ok(lat_leaky_relu(context, x, 0.0, &y)); // taken as it is
  got = lat_test_read_feats(y);
  assert_true(got[0] == 0.0 && got[3] == 3.0);
  free(got);
  lat_tensor_release(y);
  lat_tensor_release(x);
}

static void test_exp_and_round(void **state) {
  (void)state;
  const double values[8] = {-2.5, -0.5, 0.5, 1.5, 2.5, 8388609, -7.4999, 0};
  const double rounded[8] = {-2, -0.0, 0, 2, 2, 8388609, -7, 0};
  for (int half = 0; half < 2; half++) {
    lat_tensor *x = lat_test_tensor(context, line, half ? 5 : 8, values, 1, half ? LAT_DTYPE_F16 : LAT_DTYPE_F32, NULL);
    lat_array_view view = lat_tensor_feats(x);
    lat_array *y = NULL;
    lat_test_assert_ok(lat_round(context, &view, &y));
    assert_int_equal(lat_array_as_view(y).dtype, LAT_DTYPE_F32);
    lat_test_assert_values(lat_array_as_view(y), rounded, half ? 5 : 8);
    assert_true(signbit(((const float *)lat_array_as_view(y).data)[1]));
    lat_array_release(y);
    lat_test_assert_ok(lat_exp(context, &view, &y));
    assert_int_equal(lat_array_as_view(y).dtype, view.dtype);
    double *got = lat_test_read(lat_array_as_view(y));
    for (int i = 0; i < 5; i++) assert_true(fabs(got[i] - exp(values[i])) <= 0x1p-11 * exp(values[i]));
    free(got);
    lat_array_release(y);
    lat_tensor_release(x);
  }
}

static void test_empty(void **state) {
  (void)state;
  lat_tensor *x = lat_test_tensor(context, line, 0, NULL, 3, LAT_DTYPE_F32, NULL), *y = NULL;
  lat_array_view view = lat_tensor_feats(x);
  lat_array *array = NULL;
  lat_test_assert_ok(lat_sigmoid(context, x, &y));
  assert_int_equal(lat_tensor_count(y), 0);
  lat_test_assert_ok(lat_activation_backward(context, x, LAT_ACTIVATION_SILU, &view, NULL, &array));
  assert_int_equal(lat_array_as_view(array).shape[1], 3);
  lat_array_release(array);
  lat_test_assert_ok(lat_round(context, &view, &array));
  assert_int_equal(lat_array_as_view(array).shape[0], 0);
  lat_array_release(array);
  lat_tensor_release(y);
  lat_tensor_release(x);
}

static void test_null_arguments(void **state) {
  (void)state;
  const double values[2] = {1, 2};
  char fragment[64];
  lat_tensor *x = lat_test_tensor(context, line, 2, values, 1, LAT_DTYPE_F32, NULL);
  for (int i = 1; i < N_KINDS; i++) {
    lat_tensor *y = poison;
    snprintf(fragment, sizeof fragment, "%s: context: got NULL", functions[i].name);
    lat_test_assert_error(functions[i].fn(NULL, x, &y), LAT_STATUS_INVALID_ARGUMENT, fragment);
    assert_null(y);
    y = poison;
    snprintf(fragment, sizeof fragment, "%s: x: got NULL", functions[i].name);
    lat_test_assert_error(functions[i].fn(context, NULL, &y), LAT_STATUS_INVALID_ARGUMENT, fragment);
    assert_null(y);
    snprintf(fragment, sizeof fragment, "%s: out: got NULL", functions[i].name);
    lat_test_assert_error(functions[i].fn(context, x, NULL), LAT_STATUS_INVALID_ARGUMENT, fragment);
  }
  lat_tensor_release(x);
}

static lat_status features_of(lat_context *used, const lat_array_view *x, lat_array **out) {
  return lat_activation_features(used, x, LAT_ACTIVATION_TANH, NULL, out);
}

static void test_dense_errors(void **state) {
  (void)state;
  static const struct {
    lat_status (*fn)(lat_context *used, const lat_array_view *x, lat_array **out);
    const char *name;
  } dense[3] = {{features_of, "activation_features"}, {lat_exp, "exp"}, {lat_round, "round"}};
  const float values[4] = {1, 2, 3, 4};
  const int32_t integers[4] = {1, 2, 3, 4};
  lat_array_view good = lat_view_2d(values, LAT_DTYPE_F32, 2, 2), flat = lat_view_1d(values, LAT_DTYPE_F32, 4);
  lat_array_view wrong = lat_view_2d(integers, LAT_DTYPE_I32, 2, 2);
  char fragment[64];
  for (int i = 0; i < 3; i++) {
    lat_array *y = poison_array;
    snprintf(fragment, sizeof fragment, "%s: context: got NULL", dense[i].name);
    lat_test_assert_error(dense[i].fn(NULL, &good, &y), LAT_STATUS_INVALID_ARGUMENT, fragment);
    assert_null(y);
    y = poison_array;
    snprintf(fragment, sizeof fragment, "%s: x: got NULL", dense[i].name);
    lat_test_assert_error(dense[i].fn(context, NULL, &y), LAT_STATUS_INVALID_ARGUMENT, fragment);
    assert_null(y);
    snprintf(fragment, sizeof fragment, "%s: out: got NULL", dense[i].name);
    lat_test_assert_error(dense[i].fn(context, &good, NULL), LAT_STATUS_INVALID_ARGUMENT, fragment);
    y = poison_array;
    lat_test_assert_error(dense[i].fn(context, &flat, &y), LAT_STATUS_INVALID_SHAPE, "x expects a rank-2 array");
    assert_null(y);
    y = poison_array;
    lat_test_assert_error(dense[i].fn(context, &wrong, &y), LAT_STATUS_INVALID_DTYPE, "x dtype: got int32");
    assert_null(y);
  }
}

static void expect_activation_error(const lat_tensor *x, int kind, const lat_activation_opts *opts,
                                    const char *fragment) {
  const float values[2] = {1, 2};
  lat_array_view grad = lat_view_2d(values, LAT_DTYPE_F32, 2, 1);
  lat_tensor *y = poison;
  lat_array *g = poison_array;
  lat_test_assert_error(lat_activation(context, x, (lat_activation_kind)kind, opts, &y), LAT_STATUS_INVALID_ARGUMENT,
                        fragment);
  assert_null(y);
  lat_test_assert_error(lat_activation_backward(context, x, (lat_activation_kind)kind, &grad, opts, &g),
                        LAT_STATUS_INVALID_ARGUMENT, fragment);
  assert_null(g);
}

static void test_parameter_errors(void **state) {
  (void)state;
  const double values[2] = {1, 2}, bad_betas[4] = {-1.0, 1e-60, NAN, INFINITY};
  lat_tensor *x = lat_test_tensor(context, line, 2, values, 1, LAT_DTYPE_F32, NULL), *y = poison;
  lat_activation_opts opts = LAT_ACTIVATION_OPTS_INIT;
  expect_activation_error(x, -1, NULL, "kind: got -1, expected 0 (relu)");
  expect_activation_error(x, 10, NULL, "kind: got 10");
  for (int i = 0; i < 4; i++) {
    opts.beta = bad_betas[i];
    expect_activation_error(x, LAT_ACTIVATION_SOFTPLUS, &opts, "beta must be positive");
    y = poison;
    lat_test_assert_error(lat_softplus(context, x, bad_betas[i], 20, &y), LAT_STATUS_INVALID_ARGUMENT,
                          "softplus: beta must be positive");
    assert_null(y);
  }
  opts = (lat_activation_opts)LAT_ACTIVATION_OPTS_INIT;
  opts.threshold = NAN;
  expect_activation_error(x, LAT_ACTIVATION_SOFTPLUS, &opts, "threshold must be a number");
  y = poison;
  lat_test_assert_error(lat_softplus(context, x, 0.0, 20, &y), LAT_STATUS_INVALID_ARGUMENT, "beta must be positive");
  assert_null(y);
  y = poison;
  lat_test_assert_error(lat_softplus(context, x, 1.0, NAN, &y), LAT_STATUS_INVALID_ARGUMENT, "threshold must be");
  assert_null(y);
  opts = (lat_activation_opts)LAT_ACTIVATION_OPTS_INIT;
  opts.alpha = INFINITY;
  expect_activation_error(x, LAT_ACTIVATION_LEAKY_RELU, &opts, "alpha must be finite");
  y = poison;
  lat_test_assert_error(lat_leaky_relu(context, x, NAN, &y), LAT_STATUS_INVALID_ARGUMENT,
                        "leaky_relu: negative_slope must be finite");
  assert_null(y);
  opts.struct_bytes = 1;
  expect_activation_error(x, LAT_ACTIVATION_TANH, &opts, "activation");
  lat_tensor_release(x);
}

static void test_backward_errors(void **state) {
  (void)state;
  const double values[2] = {1, 2};
  const float grads[4] = {1, 2, 3, 4};
  const int32_t integers[2] = {1, 2};
  lat_tensor *x = lat_test_tensor(context, line, 2, values, 1, LAT_DTYPE_F32, NULL);
  lat_array_view good = lat_view_2d(grads, LAT_DTYPE_F32, 2, 1);
  lat_array_view wide = lat_view_2d(grads, LAT_DTYPE_F32, 2, 2), wrong = lat_view_2d(integers, LAT_DTYPE_I32, 2, 1);
  const struct {
    lat_context *context;
    const lat_tensor *x;
    const lat_array_view *grad;
    lat_status status;
    const char *fragment;
  } cases[5] = {{NULL, x, &good, LAT_STATUS_INVALID_ARGUMENT, "context: got NULL"},
                {context, NULL, &good, LAT_STATUS_INVALID_ARGUMENT, "x: got NULL"},
                {context, x, NULL, LAT_STATUS_INVALID_ARGUMENT, "grad_out: got NULL"},
                {context, x, &wide, LAT_STATUS_INVALID_SHAPE, "grad_out must have the shape of the result: got (2, 2)"},
                {context, x, &wrong, LAT_STATUS_INVALID_DTYPE, "grad_out dtype: got int32"}};
  for (int i = 0; i < 5; i++) {
    lat_array *g = poison_array;
    lat_test_assert_error(
        lat_activation_backward(cases[i].context, cases[i].x, LAT_ACTIVATION_TANH, cases[i].grad, NULL, &g),
        cases[i].status, cases[i].fragment);
    assert_null(g);
  }
  lat_test_assert_error(lat_activation_backward(context, x, LAT_ACTIVATION_TANH, &good, NULL, NULL),
                        LAT_STATUS_INVALID_ARGUMENT, "activation_backward: out: got NULL");
  lat_tensor_release(x);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void) {
  const struct CMUnitTest tests[] = {
      TEST(test_error_bounds),    TEST(test_special_values), TEST(test_dispatcher_levels_and_threads),
      TEST(test_parameters),      TEST(test_exp_and_round),  TEST(test_empty),
      TEST(test_null_arguments),  TEST(test_dense_errors),   TEST(test_parameter_errors),
      TEST(test_backward_errors),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
