// Support rule and bounds of a graph's convolutions and pools reach the operators.
//
// covers: lat_program_run
#include <stdlib.h>

#include <lattice/lattice.h>

#include "model/graph.h"
#include "support/tensor_cases.h"
#include "support/test_support.h"

enum { N = 120, C = 3 };

/// Sets both attributes of every operation that has them. Returns how many there are.
static int choose_reach(lat_model *model, lat_triple bounds) {
  int n = 0;
  for (int64_t i = 0; i < model->n_ops; i++) {
    lat__op *op = &model->ops[i];
    if (!lat__op_attr_of(op, LAT__ATTR_SUPPORT)) continue;
    lat__op_set_choice(op, LAT__ATTR_SUPPORT, LAT_SUPPORT_REACH);
    if (bounds.x > 0) lat__op_set_triple(op, LAT__ATTR_BOUNDS, bounds);
    n++;
  }
  return n;
}

static lat_model *make_model(lat_context *context, bool pools, lat_triple bounds) {
  lat_nn *nn = NULL;
  lat_model *model = NULL;
  lat_test_assert_ok(lat_nn_create(context, &nn));
  lat_value x = lat_nn_input(nn, "x", C, NULL);
  lat_nn_output(nn, "y",
                pools ? lat_nn_max_pool3d(nn, x, LAT_OPTS(lat_nn_pool_opts, .kernel_size = {3, 3, 3}))
                      : lat_nn_conv3d(nn, x, C, 4, LAT_OPTS(lat_nn_conv_opts, .name = "m", .stride = {2, 2, 2})));
  lat_test_assert_ok(lat_nn_finish(nn, &model));
  assert_int_equal(choose_reach(model, bounds), 1);
  return model;
}

static lat_tensor *call(lat_context *context, const lat_model *model, bool pools, lat_triple bounds,
                        const lat_tensor *x) {
  lat_tensor *y = NULL;
  if (pools) {
    lat_kernel_opts opts = LAT_KERNEL_OPTS_INIT;
    opts.kernel_size = lat_triple_all(3);
    opts.support = LAT_SUPPORT_REACH;
    opts.bounds = bounds;
    lat_test_assert_ok(lat_pool3d(context, x, LAT_POOL_MAX, &opts, &y));
    return y;
  }
  lat_conv3d_opts opts = LAT_CONV3D_OPTS_INIT;
  opts.stride = lat_triple_all(2);
  opts.support = LAT_SUPPORT_REACH;
  opts.bounds = bounds;
  lat_array_view bias = lat_array_as_view(model->parameters[lat__model_find_parameter(model, "m.bias")].dense);
  lat_weight weight =
      lat_weight_dense(lat_array_as_view(model->parameters[lat__model_find_parameter(model, "m.weight")].dense));
  lat_test_assert_ok(lat_conv3d(context, x, &weight, &bias, &opts, &y));
  return y;
}

static void check(lat_context *context, bool pools, lat_triple bounds, const lat_tensor *x) {
  lat_model *model = make_model(context, pools, bounds);
  lat_program *program = NULL;
  lat_results *results = NULL;
  const lat_binding input = {"x", x, NULL};
  lat_test_assert_ok(lat_model_compile(context, model, NULL, &program));
  lat_test_assert_ok(lat_program_run(context, program, &input, 1, NULL, &results));
  const lat_tensor *got = lat_results_tensor(results, "y");
  lat_tensor *expected = call(context, model, pools, bounds, x);
  assert_true(lat_tensor_count(expected) > 0);
  lat_test_assert_same_view(lat_coords_rows(lat_tensor_coords(got)), lat_coords_rows(lat_tensor_coords(expected)));
  lat_test_assert_same_view(lat_tensor_feats(got), lat_tensor_feats(expected));
  lat_tensor_release(expected);
  lat_results_release(results);
  lat_program_release(program);
  lat_model_release(model);
}

static void attributes_reach_the_operators(void **state) {
  (void)state;
  const lat_triple none = {0, 0, 0}, box = {4, 3, 4};
  lat_context *context = NULL;
  lat_test_random random = {17, 0};
  lat_test_assert_ok(lat_context_create(NULL, &context));
  int32_t *rows = lat_test_random_rows(&random, N, 2, 3, 0);
  double *values = lat_test_random_values(&random, N * C, -1, 1);
  lat_tensor *x = lat_test_tensor(context, rows, N, values, C, LAT_DTYPE_F32, NULL);
  for (int pools = 0; pools < 2; pools++) {
    check(context, pools, none, x);
    check(context, pools, box, x);
  }
  lat_tensor_release(x);
  free(rows), free(values);
  lat_context_destroy(context);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(attributes_reach_the_operators)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
