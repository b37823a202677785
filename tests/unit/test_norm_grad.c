// Gradients of the norms, instance and group norm, running statistics: worked values, flags, dtypes, empty inputs, errors.
// covers: lat_instance_norm lat_group_norm lat_batch_norm_backward lat_layer_norm_backward lat_rms_norm_backward
// covers: lat_instance_norm_backward lat_group_norm_backward lat_batch_norm_update_running
// null arguments: lat_instance_norm lat_group_norm lat_batch_norm_backward lat_layer_norm_backward lat_rms_norm_backward
// null arguments: lat_instance_norm_backward lat_group_norm_backward lat_batch_norm_update_running
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <lattice/feature.h>

#include "support/tensor_cases.h"
#include "support/test_allocator.h"
#include "support/test_support.h"

static lat_context *context;
static lat_test_allocator counter;
static lat_tensor *const poison = (lat_tensor *)&counter;
static lat_array *const poison_array = (lat_array *)&counter;

static const int32_t line[16] = {0, 0, 0, 0, 1, 1, 0, 0, 0, 2, 0, 0, 1, 3, 0, 0}; // batches 0, 1, 0, 1
static const double values[8] = {1, 2, 3, 4, 5, 6, 7, 8};
static const float floats[8] = {1, -1, 2, 1, 0, 3, 1, 1};

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

typedef lat_status (*grad_fn)(lat_context *used, const lat_tensor *x, const lat_array_view *grad,
                              const lat_norm_opts *opts, int32_t grads, lat_norm_grads *out);

static lat_status group_backward(lat_context *used, const lat_tensor *x, const lat_array_view *grad,
                                 const lat_norm_opts *opts, int32_t grads, lat_norm_grads *out) {
  return lat_group_norm_backward(used, x, 1, grad, opts, grads, out);
}

static lat_status group_forward(lat_context *used, const lat_tensor *x, const lat_norm_opts *opts, lat_tensor **out) {
  return lat_group_norm(used, x, 2, opts, out);
}

static const struct {
  grad_fn fn;
  const char *name;
} backwards[5] = {{lat_batch_norm_backward, "batch_norm_backward"},
                  {lat_layer_norm_backward, "layer_norm_backward"},
                  {lat_rms_norm_backward, "rms_norm_backward"},
                  {lat_instance_norm_backward, "instance_norm_backward"},
                  {group_backward, "group_norm_backward"}};

static const struct {
  lat_status (*fn)(lat_context *used, const lat_tensor *x, const lat_norm_opts *opts, lat_tensor **out);
  const char *name;
} forwards[2] = {{lat_instance_norm, "instance_norm"}, {group_forward, "group_norm"}};

static void release_grads(lat_norm_grads *grads) {
  lat_array_release(grads->x);
  lat_array_release(grads->weight);
  lat_array_release(grads->bias);
}

// Rows 0, 2 and rows 1, 3 are the items: each channel of an item holds a - 2 and a + 2.
static void test_instance_norm(void **state) {
  (void)state;
  const double expected[8] = {-1, -1, -1, -1, 1, 1, 1, 1};
  lat_tensor *x = lat_test_tensor(context, line, 4, values, 2, LAT_DTYPE_F32, NULL);
  lat_norm_opts opts = LAT_NORM_OPTS_INIT;
  opts.eps = 1e-12;
  for (int i = 0; i < 2; i++) { // two groups of two channels: the same thing
    lat_tensor *y = NULL;
    lat_test_assert_ok(forwards[i].fn(context, x, &opts, &y));
    lat_test_assert_values(lat_tensor_feats(y), expected, 8);
    assert_true(lat_tensor_same_coords(x, y));
    lat_tensor_release(y);
  }
  lat_tensor_release(x);
}

static void test_given_statistics_are_constants(void **state) {
  (void)state;
  const float mean[2] = {1, 2}, var[2] = {3, 0}, weight[2] = {4, 5}, bias[2] = {0, 0};
  const lat_array_view views[4] = {lat_view_1d(mean, LAT_DTYPE_F32, 2), lat_view_1d(var, LAT_DTYPE_F32, 2),
                                   lat_view_1d(weight, LAT_DTYPE_F32, 2), lat_view_1d(bias, LAT_DTYPE_F32, 2)};
  const double dx[8] = {2, -5, 4, 5, 0, 15, 2, 5}; // 4 / sqrt(3 + 1), 5 / sqrt(0 + 1)
  const double dw[2] = {0 * 1 + 1 * 2 + 2 * 0 + 3 * 1, 0 * -1 + 2 * 1 + 4 * 3 + 6 * 1}, db[2] = {4, 4};
  lat_tensor *x = lat_test_tensor(context, line, 4, values, 2, LAT_DTYPE_F32, NULL);
  lat_array_view grad = lat_view_2d(floats, LAT_DTYPE_F32, 4, 2);
  lat_norm_opts opts = {sizeof opts, &views[2], &views[3], &views[0], &views[1], 1.0};
  lat_norm_grads grads;
  lat_test_assert_ok(lat_batch_norm_backward(context, x, &grad, &opts, LAT_GRAD_ALL, &grads));
  lat_test_assert_values(lat_array_as_view(grads.x), dx, 8);
  lat_test_assert_values(lat_array_as_view(grads.weight), dw, 2);
  lat_test_assert_values(lat_array_as_view(grads.bias), db, 2);
  release_grads(&grads);
  lat_tensor_release(x);
}

static void test_flags_dtypes_and_empty(void **state) {
  (void)state;
  const uint16_t ones[2] = {0x3C00, 0x3C00};
  lat_array_view weight = lat_view_1d(ones, LAT_DTYPE_F16, 2), bias = lat_view_1d(floats, LAT_DTYPE_F32, 2);
  lat_array_view grad = lat_view_2d(floats, LAT_DTYPE_F32, 4, 2), no_grad = lat_view_2d(floats, LAT_DTYPE_F32, 0, 2);
  lat_tensor *x = lat_test_tensor(context, line, 4, values, 2, LAT_DTYPE_BF16, NULL);
  lat_tensor *empty = lat_test_tensor(context, line, 0, NULL, 2, LAT_DTYPE_F32, NULL);
  const double zeros[2] = {0, 0};
  for (int i = 0; i < 5; i++) {
    lat_norm_opts opts = LAT_NORM_OPTS_INIT;
    lat_norm_grads grads;
    opts.weight = &weight;
    opts.bias = i == 2 ? NULL : &bias;
    lat_test_assert_ok(backwards[i].fn(context, x, &grad, &opts, LAT_GRAD_X, &grads));
    assert_true(grads.x && !grads.weight && !grads.bias);
    assert_int_equal(lat_array_as_view(grads.x).dtype, LAT_DTYPE_BF16);
    release_grads(&grads);
    lat_test_assert_ok(backwards[i].fn(context, x, &grad, &opts, LAT_GRAD_WEIGHT, &grads));
    assert_true(!grads.x && grads.weight && !grads.bias);
    assert_int_equal(lat_array_as_view(grads.weight).dtype, LAT_DTYPE_F16);
    release_grads(&grads);
    lat_test_assert_ok(backwards[i].fn(context, x, &grad, NULL, LAT_GRAD_ALL, &grads));
    assert_true(grads.x && !grads.weight && !grads.bias);
    release_grads(&grads);
    lat_test_assert_ok(backwards[i].fn(context, empty, &no_grad, &opts, LAT_GRAD_ALL, &grads));
    assert_int_equal(lat_array_as_view(grads.x).shape[0], 0);
    lat_test_assert_values(lat_array_as_view(grads.weight), zeros, 2);
    release_grads(&grads);
  }
  for (int i = 0; i < 2; i++) {
    lat_tensor *y = NULL;
    lat_test_assert_ok(forwards[i].fn(context, empty, NULL, &y));
    assert_int_equal(lat_tensor_count(y), 0);
    lat_tensor_release(y);
  }
  lat_tensor_release(empty);
  lat_tensor_release(x);
}

static void test_running_statistics(void **state) {
  (void)state;
  const float mean[2] = {8, 0}, var[2] = {1, 9};
  const double new_mean[2] = {0.75 * 8 + 0.25 * 4, 0.25 * 5}, new_var[2] = {0.75 + 0.25 * 5, 0.75 * 9 + 0.25 * 5};
  const double old_mean[2] = {8, 0}, old_var[2] = {1, 9};
  lat_array_view mean_view = lat_view_1d(mean, LAT_DTYPE_F32, 2), var_view = lat_view_1d(var, LAT_DTYPE_F32, 2);
  lat_tensor *x = lat_test_tensor(context, line, 4, values, 2, LAT_DTYPE_F16, NULL);
  lat_tensor *empty = lat_test_tensor(context, line, 0, NULL, 2, LAT_DTYPE_F32, NULL);
  lat_running_stats stats;
  lat_test_assert_ok(lat_batch_norm_update_running(context, x, &mean_view, &var_view, 0.25, &stats));
  lat_test_assert_values(lat_array_as_view(stats.mean), new_mean, 2); // of 1, 3, 5, 7: mean 4, biased variance 5
  lat_test_assert_values(lat_array_as_view(stats.var), new_var, 2);
  lat_array_release(stats.mean), lat_array_release(stats.var);
  lat_test_assert_ok(lat_batch_norm_update_running(context, empty, &mean_view, &var_view, 0.25, &stats));
  lat_test_assert_values(lat_array_as_view(stats.mean), old_mean, 2);
  lat_test_assert_values(lat_array_as_view(stats.var), old_var, 2);
  lat_array_release(stats.mean), lat_array_release(stats.var);
  lat_tensor_release(empty);
  lat_tensor_release(x);
}

static void test_backward_errors(void **state) {
  (void)state;
  const int32_t integers[8] = {0};
  lat_tensor *x = lat_test_tensor(context, line, 4, values, 2, LAT_DTYPE_F32, NULL);
  lat_array_view good = lat_view_2d(floats, LAT_DTYPE_F32, 4, 2), wide = lat_view_2d(floats, LAT_DTYPE_F32, 2, 4);
  lat_array_view wrong = lat_view_2d(integers, LAT_DTYPE_I32, 4, 2), flat = lat_view_1d(floats, LAT_DTYPE_F32, 8);
  lat_array_view vector = lat_view_1d(floats, LAT_DTYPE_F32, 3);
  lat_norm_opts bad_eps = LAT_NORM_OPTS_INIT, bad_weight = LAT_NORM_OPTS_INIT;
  bad_eps.eps = -1;
  bad_weight.weight = &vector;
  const struct {
    lat_context *context;
    const lat_tensor *x;
    const lat_array_view *grad;
    const lat_norm_opts *opts;
    int32_t grads;
    lat_status status;
    const char *fragment;
  } cases[12] = {
      {NULL, x, &good, NULL, 0, LAT_STATUS_INVALID_ARGUMENT, "context: got NULL"},
      {context, NULL, &good, NULL, 0, LAT_STATUS_INVALID_ARGUMENT, "x: got NULL"},
      {context, x, NULL, NULL, 0, LAT_STATUS_INVALID_ARGUMENT, "grad_out: got NULL"},
      {context, x, &wide, NULL, 0, LAT_STATUS_INVALID_SHAPE, "grad_out must have the shape of the result: got (2, 4)"},
      {context, x, &flat, NULL, 0, LAT_STATUS_INVALID_SHAPE, "grad_out expects a rank-2 array"},
      {context, x, &wrong, NULL, 0, LAT_STATUS_INVALID_DTYPE, "grad_out dtype: got int32"},
      {context, x, &good, NULL, 8, LAT_STATUS_INVALID_ARGUMENT, "grads: got 8"},
      {context, x, &good, NULL, -1, LAT_STATUS_INVALID_ARGUMENT, "grads: got -1"},
      {context, x, &good, NULL, LAT_GRAD_WEIGHT, LAT_STATUS_INVALID_ARGUMENT, "the weight's without a weight"},
      {context, x, &good, NULL, LAT_GRAD_BIAS, LAT_STATUS_INVALID_ARGUMENT, "the bias's without a bias"},
      {context, x, &good, &bad_eps, 0, LAT_STATUS_INVALID_ARGUMENT, "eps must be positive"},
      {context, x, &good, &bad_weight, 0, LAT_STATUS_INVALID_SHAPE, "weight must have shape (C,)"}};
  for (int f = 0; f < 5; f++) {
    char fragment[64];
    for (int i = 0; i < 12; i++) {
      lat_norm_grads grads = {poison_array, poison_array, poison_array};
      lat_test_assert_error(
          backwards[f].fn(cases[i].context, cases[i].x, cases[i].grad, cases[i].opts, cases[i].grads, &grads),
          cases[i].status, cases[i].fragment);
      assert_true(!grads.x && !grads.weight && !grads.bias);
    }
    snprintf(fragment, sizeof fragment, "%s: out: got NULL", backwards[f].name);
    lat_test_assert_error(backwards[f].fn(context, x, &good, NULL, 0, NULL), LAT_STATUS_INVALID_ARGUMENT, fragment);
    lat_norm_opts given = LAT_NORM_OPTS_INIT;
    given.mean = &vector;
    lat_norm_grads grads = {poison_array, poison_array, poison_array};
    lat_test_assert_error(backwards[f].fn(context, x, &good, &given, 0, &grads),
                          f ? LAT_STATUS_INVALID_ARGUMENT : LAT_STATUS_INVALID_SHAPE,
                          f ? "mean is not used by this norm" : "mean must have shape (C,)");
    assert_true(!grads.x && !grads.weight && !grads.bias);
  }
  lat_tensor_release(x);
}

static void test_group_errors(void **state) {
  (void)state;
  const int32_t negative[4] = {-1, 0, 0, 0};
  lat_tensor *x = lat_test_tensor(context, line, 4, values, 2, LAT_DTYPE_F32, NULL), *y = poison;
  lat_tensor *below = lat_test_tensor(context, negative, 1, values, 2, LAT_DTYPE_F32, NULL);
  lat_array_view grad = lat_view_2d(floats, LAT_DTYPE_F32, 4, 2), vector = lat_view_1d(floats, LAT_DTYPE_F32, 2);
  const int64_t bad_groups[3] = {0, -1, 3};
  char fragment[64];
  for (int i = 0; i < 3; i++) {
    lat_norm_grads grads = {poison_array, poison_array, poison_array};
    y = poison;
    lat_test_assert_error(lat_group_norm(context, x, bad_groups[i], NULL, &y), LAT_STATUS_INVALID_ARGUMENT,
                          "group_norm: groups must divide the channels");
    assert_null(y);
    lat_test_assert_error(lat_group_norm_backward(context, x, bad_groups[i], &grad, NULL, 0, &grads),
                          LAT_STATUS_INVALID_ARGUMENT, "group_norm_backward: groups must divide the channels");
    assert_true(!grads.x && !grads.weight && !grads.bias);
  }
  for (int i = 0; i < 2; i++) {
    lat_norm_opts opts = LAT_NORM_OPTS_INIT;
    y = poison;
    lat_test_assert_error(forwards[i].fn(context, below, NULL, &y), LAT_STATUS_INVALID_ARGUMENT,
                          "batch index of row 0: got -1");
    assert_null(y);
    y = poison;
    snprintf(fragment, sizeof fragment, "%s: context: got NULL", forwards[i].name);
    lat_test_assert_error(forwards[i].fn(NULL, x, NULL, &y), LAT_STATUS_INVALID_ARGUMENT, fragment);
    assert_null(y);
    y = poison;
    snprintf(fragment, sizeof fragment, "%s: x: got NULL", forwards[i].name);
    lat_test_assert_error(forwards[i].fn(context, NULL, NULL, &y), LAT_STATUS_INVALID_ARGUMENT, fragment);
    assert_null(y);
    snprintf(fragment, sizeof fragment, "%s: out: got NULL", forwards[i].name);
    lat_test_assert_error(forwards[i].fn(context, x, NULL, NULL), LAT_STATUS_INVALID_ARGUMENT, fragment);
    y = poison;
    opts.var = &vector;
    lat_test_assert_error(forwards[i].fn(context, x, &opts, &y), LAT_STATUS_INVALID_ARGUMENT, "var is not used");
    assert_null(y);
  }
  lat_tensor_release(below);
  lat_tensor_release(x);
}

static void test_running_errors(void **state) {
  (void)state;
  lat_tensor *x = lat_test_tensor(context, line, 4, values, 2, LAT_DTYPE_F32, NULL);
  lat_array_view good = lat_view_1d(floats, LAT_DTYPE_F32, 2), wide = lat_view_1d(floats, LAT_DTYPE_F32, 3);
  const struct {
    lat_context *context;
    const lat_tensor *x;
    const lat_array_view *mean, *var;
    double momentum;
    lat_status status;
    const char *fragment;
  } cases[9] = {{NULL, x, &good, &good, 0.1, LAT_STATUS_INVALID_ARGUMENT, "context: got NULL"},
                {context, NULL, &good, &good, 0.1, LAT_STATUS_INVALID_ARGUMENT, "x: got NULL"},
                {context, x, NULL, &good, 0.1, LAT_STATUS_INVALID_ARGUMENT, "running_mean: got NULL"},
                {context, x, &good, NULL, 0.1, LAT_STATUS_INVALID_ARGUMENT, "running_var: got NULL"},
                {context, x, &wide, &good, 0.1, LAT_STATUS_INVALID_SHAPE, "running_mean must have shape (C,)"},
                {context, x, &good, &wide, 0.1, LAT_STATUS_INVALID_SHAPE, "running_var must have shape (C,)"},
                {context, x, &good, &good, -0.1, LAT_STATUS_INVALID_ARGUMENT, "momentum must be in [0, 1]"},
                {context, x, &good, &good, 1.1, LAT_STATUS_INVALID_ARGUMENT, "momentum must be in [0, 1]"},
                {context, x, &good, &good, NAN, LAT_STATUS_INVALID_ARGUMENT, "momentum must be in [0, 1]"}};
  for (int i = 0; i < 9; i++) {
    lat_running_stats stats = {poison_array, poison_array};
    lat_test_assert_error(lat_batch_norm_update_running(cases[i].context, cases[i].x, cases[i].mean, cases[i].var,
                                                        cases[i].momentum, &stats),
                          cases[i].status, cases[i].fragment);
    assert_true(!stats.mean && !stats.var);
  }
  lat_test_assert_error(lat_batch_norm_update_running(context, x, &good, &good, 0.1, NULL), LAT_STATUS_INVALID_ARGUMENT,
                        "batch_norm_update_running: out: got NULL");
  lat_tensor_release(x);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void) {
  const struct CMUnitTest tests[] = {
      TEST(test_instance_norm),          TEST(test_given_statistics_are_constants),
      TEST(test_flags_dtypes_and_empty), TEST(test_running_statistics),
      TEST(test_backward_errors),        TEST(test_group_errors),
      TEST(test_running_errors),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
