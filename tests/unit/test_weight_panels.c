// Weight panels: plans of one layer on two coordinate sets share them, give the same bits and neither pack nor copy; plans
// that would make others make their own; every refused weight.
//
// covers: lat_weight_panels_create lat_weight_panels_bytes lat_weight_panels_retain lat_weight_panels_release
// covers: lat_plan_panels
// null arguments: lat_weight_panels_create
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include <lattice/lattice.h>

#include "support/tensor_cases.h"
#include "support/test_allocator.h"
#include "support/test_support.h"

typedef lat_status (*plan_fn)(lat_context *, const lat_plan_input *, const lat_weight *, const lat_conv3d_opts *,
                              const lat_plan_opts *, lat_plan **);

static lat_status linear_plan(lat_context *context, const lat_plan_input *input, const lat_weight *weight,
                              const lat_conv3d_opts *opts, const lat_plan_opts *plan_opts, lat_plan **out) {
  (void)opts;
  return lat_linear_plan_create(context, input, weight, plan_opts, out);
}

/// A layer: how its plans are made, and its weight.
typedef struct layer {
  plan_fn plan;
  int64_t c_in, c_out;
  int32_t size, groups, bits; ///< bits 0: dense
  lat_dtype dtype;
  bool linear, normalized, quantizes;
} layer;

static const layer layers[] = {
    {lat_subm_conv3d_plan_create, 48, 40, 3, 1, 0, LAT_DTYPE_F32, false, false, false},
    {lat_subm_conv3d_plan_create, 4, 32, 3, 1, 0, LAT_DTYPE_F32, false, false, false}, // the kernel of few channels
    {lat_conv3d_plan_create, 16, 32, 1, 1, 0, LAT_DTYPE_F32, false, false, false},
    {lat_subm_conv3d_plan_create, 32, 64, 3, 4, 0, LAT_DTYPE_F16, false, false, false},
    {lat_subm_conv3d_plan_create, 64, 64, 3, 64, 0, LAT_DTYPE_F32, false, false, false},
    {lat_subm_conv3d_plan_create, 64, 48, 3, 1, 8, LAT_DTYPE_F32, false, false, false},
    {lat_subm_conv3d_plan_create, 64, 48, 3, 1, 4, LAT_DTYPE_F32, false, false, true},
    {lat_subm_conv3d_plan_create, 30, 20, 3, 1, 0, LAT_DTYPE_F32, false, false, true},
    {lat_normalized_subm_conv3d_plan_create, 32, 48, 3, 1, 0, LAT_DTYPE_F32, false, true, false},
    {linear_plan, 96, 160, 1, 1, 0, LAT_DTYPE_BF16, true, false, false},
    {linear_plan, 96, 160, 1, 1, 8, LAT_DTYPE_F16, true, false, false},
};
enum { N_LAYERS = sizeof layers / sizeof layers[0], N_ROWS = 40 };

static lat_test_allocator counter;
static lat_context *context;
static lat_coords *sets[2];

static int set_up(void **state) {
  (void)state;
  memset(&counter, 0, sizeof counter);
  context = lat_test_context_create(&counter, 2);
  lat_test_random random = {11, 0};
  for (int i = 0; i < 2; i++) {
    int32_t *rows = lat_test_random_rows(&random, N_ROWS, 1, 6, 0);
    sets[i] = lat_test_coords(context, rows, N_ROWS);
    free(rows);
  }
  return 0;
}

static int tear_down(void **state) {
  (void)state;
  for (int i = 0; i < 2; i++) lat_coords_release(sets[i]);
  lat_test_context_finish(context, &counter);
  return 0;
}

/// Uniform values of a shape.
static lat_array *make_array(lat_dtype dtype, int32_t rank, const int64_t *shape, uint64_t stream) {
  const double range[2] = {-1.0, 1.0};
  lat_array *wide = NULL, *array = NULL;
  lat_test_assert_ok(lat_array_uniform(context, LAT_DTYPE_F32, rank, shape, range, stream, &wide));
  lat_array_view view = lat_array_as_view(wide);
  lat_test_assert_ok(lat_array_cast(context, &view, dtype, &array));
  lat_array_release(wide);
  return array;
}

/// The weight of a layer; the caller releases both.
static lat_weight make_weight(const layer *l, lat_array **dense, lat_quantized_weight **packed) {
  const int64_t wide[5] = {l->c_out, l->size, l->size, l->size, l->c_in / l->groups}, flat[2] = {l->c_out, l->c_in};
  lat_quantize_opts opts = {sizeof opts, l->bits, 32};
  *packed = NULL;
  *dense = make_array(l->bits ? LAT_DTYPE_F32 : l->dtype, l->linear ? 2 : 5, l->linear ? flat : wide, 3);
  lat_array_view view = lat_array_as_view(*dense);
  if (!l->bits) return lat_weight_dense(view);
  lat_test_assert_ok(lat_quantize_weight(context, &view, &opts, packed));
  return lat_weight_packed(*packed);
}

static lat_plan *make_plan(const layer *l, const lat_coords *set, const lat_weight *weight,
                           const lat_weight_panels *panels) {
  lat_plan_input input = {sizeof input, set, l->c_in, l->dtype};
  lat_conv3d_opts opts = LAT_CONV3D_OPTS_INIT;
  lat_plan_opts plan_opts = LAT_PLAN_OPTS_INIT;
  lat_plan *plan = NULL;
  opts.kernel_size = lat_triple_all(l->size);
  opts.groups = l->groups;
  plan_opts.quantizes_features = l->quantizes;
  plan_opts.panels = panels;
  lat_test_assert_ok(l->plan(context, &input, weight, &opts, &plan_opts, &plan));
  return plan;
}

static lat_weight_panels *make_panels(const layer *l, const lat_weight *weight) {
  lat_weight_panels_opts opts = LAT_WEIGHT_PANELS_OPTS_INIT;
  lat_weight_panels *panels = NULL;
  opts.dtype = l->dtype;
  opts.groups = l->groups;
  opts.normalized = l->normalized;
  opts.quantizes_features = l->quantizes;
  lat_test_assert_ok(lat_weight_panels_create(context, weight, &opts, &panels));
  return panels;
}

/// Both plans give the same bits on features of their set.
static void assert_same_results(const layer *l, const lat_coords *set, const lat_plan *a, const lat_plan *b) {
  const int64_t shape[2] = {N_ROWS, l->c_in};
  lat_array *feats = make_array(l->dtype, 2, shape, 8);
  lat_tensor *x = NULL, *ya = NULL, *yb = NULL;
  lat_test_assert_ok(lat_tensor_share(context, set, feats, NULL, &x));
  lat_test_assert_ok(lat_plan_apply(context, a, x, NULL, &ya));
  lat_test_assert_ok(lat_plan_apply(context, b, x, NULL, &yb));
  lat_test_assert_same_view(lat_tensor_feats(ya), lat_tensor_feats(yb));
  lat_array_release(feats);
  lat_tensor_release(x);
  lat_tensor_release(ya);
  lat_tensor_release(yb);
}

static void test_plans_share(void **state) {
  (void)state;
  for (int i = 0; i < N_LAYERS; i++) {
    const layer *l = &layers[i];
    lat_array *dense = NULL;
    lat_quantized_weight *packed = NULL;
    lat_weight weight = make_weight(l, &dense, &packed);
    lat_weight_panels *panels = make_panels(l, &weight);
    assert_int_equal(lat_weight_panels_bytes(NULL), 0);
    for (int k = 0; k < 2; k++) {
      lat_plan *own = make_plan(l, sets[k], &weight, NULL);
      lat_context_reset_peak(context);
      uint64_t before = lat_context_bytes(context);
      lat_plan *sharing = make_plan(l, sets[k], &weight, panels);
      assert_ptr_equal(lat_plan_panels(sharing), panels);
      assert_true(lat_plan_panels(own) != panels);
      assert_int_equal(lat_plan_info(sharing).weight_bytes, lat_weight_panels_bytes(panels));
      assert_int_equal(lat_plan_info(own).weight_bytes, lat_weight_panels_bytes(panels));
      // The relation is cached: what is left is the plan itself, no trace of the weight.
      assert_true(lat_context_peak_bytes(context) - before < 3000);
      assert_true(lat_weight_panels_bytes(panels) > (l->c_in == 16 ? 2000 : 6000));
      assert_same_results(l, sets[k], own, sharing);
      lat_plan_release(own);
      if (k == 1) lat_weight_panels_release(panels); // the plan holds them
      assert_true(lat_weight_panels_bytes(lat_plan_panels(sharing)) > 0);
      lat_plan_release(sharing);
    }
    lat_array_release(dense);
    lat_quantized_weight_release(packed);
  }
}

// Panels of another dtype, grouping, kind or CPU level are not read, and results are right all the same.
static void test_others_do_not_fit(void **state) {
  (void)state;
  const layer l = layers[0];
  lat_array *dense = NULL;
  lat_quantized_weight *packed = NULL;
  lat_weight weight = make_weight(&l, &dense, &packed);
  lat_weight_panels *others[4] = {NULL};
  layer other = l;
  other.dtype = LAT_DTYPE_F16;
  others[0] = make_panels(&other, &weight);
  other = l;
  other.normalized = true;
  others[1] = make_panels(&other, &weight);
  other = layers[3];
  lat_array *half = NULL;
  lat_weight grouped = make_weight(&other, &half, &packed);
  others[2] = make_panels(&other, &grouped);
  lat_context *scalar = NULL;
  lat_context_opts opts = LAT_CONTEXT_OPTS_INIT;
  opts.cpu_level = LAT_CPU_LEVEL_SCALAR;
  lat_test_assert_ok(lat_context_create(&opts, &scalar));
  lat_test_assert_ok(lat_weight_panels_create(scalar, &weight, NULL, &others[3]));
  lat_plan *own = make_plan(&l, sets[0], &weight, NULL);
  for (int i = 0; i < 4; i++) {
    bool fits = i == 3 && lat_context_cpu_level(context) == LAT_CPU_LEVEL_SCALAR;
    lat_plan *plan = make_plan(&l, sets[0], &weight, others[i]);
    assert_int_equal(lat_plan_panels(plan) == others[i], fits);
    assert_same_results(&l, sets[0], own, plan);
    lat_plan_release(plan);
    lat_weight_panels_release(others[i]);
  }
  lat_plan_release(own);
  lat_array_release(dense);
  lat_array_release(half);
  lat_context_destroy(scalar);
}

static void test_references(void **state) {
  (void)state;
  lat_array *dense = NULL;
  lat_quantized_weight *packed = NULL;
  lat_weight weight = make_weight(&layers[2], &dense, &packed);
  lat_weight_panels *panels = make_panels(&layers[2], &weight), *again = lat_weight_panels_retain(panels);
  lat_array_release(dense); // copied
  assert_ptr_equal(again, panels);
  lat_weight_panels_release(panels);
  assert_true(lat_weight_panels_bytes(again) >= 16 * 32 * sizeof(float));
  lat_weight_panels_release(again);
  lat_weight_panels_release(NULL);
  assert_null(lat_weight_panels_retain(NULL));
}

static void refuse(const lat_weight *weight, const lat_weight_panels_opts *opts, lat_status status, const char *text) {
  lat_weight_panels *panels = (lat_weight_panels *)&counter;
  lat_test_assert_error(lat_weight_panels_create(context, weight, opts, &panels), status, text);
  assert_null(panels);
}

static void test_refused(void **state) {
  (void)state;
  const layer int8 = layers[5];
  lat_array *dense = NULL;
  lat_quantized_weight *packed = NULL;
  lat_weight quantized = make_weight(&int8, &dense, &packed);
  lat_weight weight = lat_weight_dense(lat_array_as_view(dense)), wrong = weight;
  lat_weight_panels_opts opts = LAT_WEIGHT_PANELS_OPTS_INIT;
  lat_weight_panels *panels = (lat_weight_panels *)&counter;
  lat_test_assert_error(lat_weight_panels_create(NULL, &weight, NULL, &panels), LAT_STATUS_INVALID_ARGUMENT,
                        "weight_panels_create: context: got NULL");
  assert_null(panels);
  refuse(NULL, NULL, LAT_STATUS_INVALID_ARGUMENT, "weight: got NULL");
  lat_test_assert_error(lat_weight_panels_create(context, &weight, NULL, NULL), LAT_STATUS_INVALID_ARGUMENT,
                        "out: got NULL");
  opts.groups = -1;
  refuse(&weight, &opts, LAT_STATUS_INVALID_ARGUMENT, "groups must be positive: got -1");
  opts.groups = 7;
  refuse(&weight, &opts, LAT_STATUS_INVALID_SHAPE, "groups must divide output channels: got 7 groups");
  opts.groups = 0;
  opts.dtype = LAT_DTYPE_I32;
  refuse(&weight, &opts, LAT_STATUS_INVALID_DTYPE, "dtype: got int32");
  opts.dtype = LAT_DTYPE_F32;
  opts.quantizes_features = 1;
  opts.groups = 2;
  refuse(&weight, &opts, LAT_STATUS_INVALID_ARGUMENT, "quantized features need a weight of one group: got 2 groups");
  opts.groups = opts.quantizes_features = 0;
  opts.normalized = 1;
  refuse(&quantized, &opts, LAT_STATUS_INVALID_ARGUMENT, "normalized convolution does not support packed weights");
  wrong.dense.rank = 4;
  refuse(&wrong, NULL, LAT_STATUS_INVALID_SHAPE, "weight must have shape");
  wrong = weight;
  wrong.dense.dtype = LAT_DTYPE_I64;
  refuse(&wrong, NULL, LAT_STATUS_INVALID_DTYPE, "weight dtype: got int64");
  wrong = weight;
  wrong.dense.data = NULL;
  refuse(&wrong, NULL, LAT_STATUS_INVALID_ARGUMENT, "weight data: got NULL");
  lat_array_release(dense);
  lat_quantized_weight_release(packed);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test_setup_teardown(test_plans_share, set_up, tear_down),
      cmocka_unit_test_setup_teardown(test_others_do_not_fit, set_up, tear_down),
      cmocka_unit_test_setup_teardown(test_references, set_up, tear_down),
      cmocka_unit_test_setup_teardown(test_refused, set_up, tear_down),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
