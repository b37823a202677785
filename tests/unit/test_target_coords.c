// The three forms of a target - a tensor's set, a set of the caller's, rows of coordinates - give the same rows, edges and
// features, and each is held to the stride rule.
//
// covers: lat_target_coords_create
// null arguments: lat_target_coords_create
#include <string.h>

#include <lattice/lattice.h>

#include "support/tensor_cases.h"
#include "support/test_support.h"

static lat_context *context;

static const int32_t in_rows[] = {0, 0, 0, 0, 0, 1, 0, 0, 0, 2, 0, 0, 1, 5, -3, 2};
static const int32_t coarse_rows[] = {0, 1, 0, 0, 0, 0, 0, 0, 1, 2, -2, 1, 0, 1, 0, 0};
static const double values[] = {1, 2, 4, 8};

static int set_up(void **state) {
  (void)state;
  return lat_context_create(NULL, &context) ? 1 : 0;
}

static int tear_down(void **state) {
  (void)state;
  lat_context_destroy(context);
  return 0;
}

static lat_coords *make_coords(const int32_t *rows, int32_t stride) {
  lat_coords *coords = NULL;
  lat_coords_opts opts = LAT_COORDS_OPTS_INIT;
  lat_array_view view = lat_view_2d(rows, LAT_DTYPE_I32, 4, 4);
  opts.stride = lat_triple_all(stride);
  lat_test_assert_ok(lat_coords_create(context, &view, &opts, &coords));
  return coords;
}

typedef lat_status (*conv_fn)(lat_context *, const lat_tensor *, const lat_weight *, const lat_array_view *,
                              const lat_conv3d_opts *, lat_tensor **);

/// Runs `call` onto a tensor's set, onto that set again, and onto a set made from its rows; all agree.
static void check_forms(conv_fn call, const lat_tensor *x, const lat_tensor *target, lat_relation_kind kind) {
  float weights[8];
  const int64_t shape[3] = {8, 1, 1};
  for (int k = 0; k < 8; k++) weights[k] = (float)(1 << k);
  lat_weight weight = lat_weight_dense(lat_view(weights, LAT_DTYPE_F32, 3, shape));
  lat_conv3d_opts opts = LAT_CONV3D_OPTS_INIT;
  lat_kernel_opts kernel = LAT_KERNEL_OPTS_INIT;
  opts.kernel_size = opts.stride = kernel.kernel_size = kernel.stride = lat_triple_all(2);
  lat_array_view rows = lat_coords_rows(lat_tensor_coords(target));
  lat_coords *forms[3] = {lat_coords_retain(lat_tensor_coords(target)), NULL, NULL};
  forms[1] = lat_coords_retain(forms[0]);
  lat_test_assert_ok(lat_target_coords_create(context, lat_tensor_coords(x), &rows, kind, &kernel, &forms[2]));
  assert_ptr_not_equal(forms[2], forms[0]);
  assert_int_equal(lat_coords_stride(forms[2]).y, lat_coords_stride(forms[0]).y);
  lat_tensor *first = NULL;
  for (int form = 0; form < 3; form++) {
    lat_tensor *y = NULL;
    opts.coordinates = forms[form];
    lat_test_assert_ok(call(context, x, &weight, NULL, &opts, &y));
    assert_ptr_equal(lat_tensor_coords(y), forms[form]);
    if (!first) first = lat_tensor_retain(y);
    lat_test_assert_same_view(lat_tensor_feats(y), lat_tensor_feats(first));
    lat_tensor_release(y);
    lat_coords_release(forms[form]);
  }
  const float *feats = lat_tensor_feats(first).data;
  assert_true(feats[0] + feats[1] > 0);
  lat_tensor_release(first);
}

static void forms_agree(void **state) {
  (void)state;
  lat_coords *fine = make_coords(in_rows, 2), *coarse = make_coords(coarse_rows, 4);
  lat_tensor *x = lat_test_tensor_on(context, fine, values, 1, LAT_DTYPE_F32, NULL);
  lat_tensor *y = lat_test_tensor_on(context, coarse, values, 1, LAT_DTYPE_F32, NULL);
  check_forms(lat_conv3d, x, y, LAT_RELATION_TARGET);
  check_forms(lat_conv_transpose3d, y, x, LAT_RELATION_TARGET_TRANSPOSED);
  check_forms(lat_generative_conv_transpose3d, y, x, LAT_RELATION_TARGET_TRANSPOSED);
  lat_tensor_release(x), lat_tensor_release(y);
  lat_coords_release(fine), lat_coords_release(coarse);
}

// Relations take a set of any stride; rows give the edges of the set they came from.
static void relations_agree(void **state) {
  (void)state;
  lat_coords *fine = make_coords(in_rows, 2), *coarse = make_coords(coarse_rows, 4), *rows_as_set = NULL;
  lat_array_view rows = lat_coords_rows(coarse);
  lat_kernel_opts opts = LAT_KERNEL_OPTS_INIT;
  lat_relation *a = NULL, *b = NULL;
  lat_relation_edge_list edges[2];
  opts.stride = lat_triple_all(2);
  lat_test_assert_ok(lat_target_coords_create(context, fine, &rows, LAT_RELATION_TARGET, &opts, &rows_as_set));
  lat_test_assert_ok(lat_relation_create_target(context, fine, coarse, &opts, &a));
  lat_test_assert_ok(lat_relation_create_target(context, fine, rows_as_set, &opts, &b));
  lat_test_assert_ok(lat_relation_edges(context, a, &edges[0]));
  lat_test_assert_ok(lat_relation_edges(context, b, &edges[1]));
  assert_true(edges[0].n_edges > 0);
  assert_int_equal(edges[0].n_edges, edges[1].n_edges);
  size_t bytes = (size_t)edges[0].n_edges * sizeof(int32_t);
  assert_memory_equal(edges[0].in_rows, edges[1].in_rows, bytes);
  assert_memory_equal(edges[0].out_rows, edges[1].out_rows, bytes);
  assert_memory_equal(edges[0].kernel_ids, edges[1].kernel_ids, bytes);
  lat_relation_release(a), lat_relation_release(b);
  lat_coords_release(fine), lat_coords_release(coarse), lat_coords_release(rows_as_set);
}

static void defaults_and_int64(void **state) {
  (void)state;
  const int64_t wide_rows[] = {0, -7, INT32_MAX, INT32_MIN};
  lat_coords *input = make_coords(in_rows, 6), *target = NULL;
  lat_array_view rows = lat_view_2d(wide_rows, LAT_DTYPE_I64, 1, 4);
  lat_test_assert_ok(lat_target_coords_create(context, input, &rows, LAT_RELATION_TARGET, NULL, &target));
  assert_int_equal(lat_coords_stride(target).x, 6); // stride 1
  assert_int_equal(((const int32_t *)lat_coords_rows(target).data)[3], INT32_MIN);
  lat_coords_release(target);
  lat_test_assert_ok(lat_target_coords_create(context, input, &rows, LAT_RELATION_TARGET_TRANSPOSED, NULL, &target));
  assert_int_equal(lat_coords_stride(target).x, 3); // stride 2
  lat_coords_release(target);
  rows.shape[0] = 0;
  lat_test_assert_ok(lat_target_coords_create(context, input, &rows, LAT_RELATION_TARGET, NULL, &target));
  assert_int_equal(lat_coords_count(target), 0);
  lat_coords_release(target);
  lat_coords_release(input);
}

// A set of another stride is refused whichever form it came from.
static void stride_rule(void **state) {
  (void)state;
  const lat_status bad = LAT_STATUS_INVALID_ARGUMENT;
  const float weights[8] = {0};
  const int64_t shape[3] = {8, 1, 1};
  lat_weight weight = lat_weight_dense(lat_view(weights, LAT_DTYPE_F32, 3, shape));
  lat_coords *input = make_coords(in_rows, 2), *wrong = NULL;
  lat_tensor *x = lat_test_tensor_on(context, input, values, 1, LAT_DTYPE_F32, NULL), *y = NULL;
  lat_array_view rows = lat_view_2d(coarse_rows, LAT_DTYPE_I32, 4, 4);
  lat_kernel_opts by_three = LAT_KERNEL_OPTS_INIT;
  lat_conv3d_opts opts = LAT_CONV3D_OPTS_INIT;
  by_three.stride = lat_triple_all(3);
  opts.kernel_size = opts.stride = lat_triple_all(2);
  lat_test_assert_ok(lat_target_coords_create(context, input, &rows, LAT_RELATION_TARGET, &by_three, &wrong));
  opts.coordinates = wrong;
  static const char forward[] = "must use the convolution output stride: got (6, 6, 6), expected (4, 4, 4)";
  static const char transposed[] = "must use the convolution output stride: got (6, 6, 6), expected (1, 1, 1)";
  lat_test_assert_error(lat_conv3d(context, x, &weight, NULL, &opts, &y), bad, forward);
  assert_null(y);
  lat_test_assert_error(lat_conv_transpose3d(context, x, &weight, NULL, &opts, &y), bad, transposed);
  assert_null(y);
  lat_test_assert_error(lat_generative_conv_transpose3d(context, x, &weight, NULL, &opts, &y), bad, transposed);
  lat_coords_release(wrong);
  lat_tensor_release(x);
  lat_coords_release(input);
}

static void bad_arguments(void **state) {
  (void)state;
  const lat_status bad = LAT_STATUS_INVALID_ARGUMENT;
  lat_coords *input = make_coords(in_rows, 2), *wide = make_coords(in_rows, 1 << 30), *out = input;
  lat_array_view rows = lat_view_2d(coarse_rows, LAT_DTYPE_I32, 4, 4),
                 narrow = lat_view_2d(coarse_rows, LAT_DTYPE_I32, 5, 3);
  lat_array_view floats = lat_view_2d(coarse_rows, LAT_DTYPE_F32, 4, 4);
  const int64_t far[] = {0, 0, INT64_C(1) << 31, 0};
  lat_array_view outside = lat_view_2d(far, LAT_DTYPE_I64, 1, 4), many = rows;
  lat_kernel_opts opts = LAT_KERNEL_OPTS_INIT;
  const lat_relation_kind target = LAT_RELATION_TARGET, transposed = LAT_RELATION_TARGET_TRANSPOSED;
  many.shape[0] = INT64_C(1) << 31;
#define REFUSED(call, status, fragment)                                                                                \
  out = input;                                                                                                         \
  lat_test_assert_error(call, status, fragment);                                                                       \
  assert_null(out);
  REFUSED(lat_target_coords_create(NULL, input, &rows, target, NULL, &out), bad, "context: got NULL");
  REFUSED(lat_target_coords_create(context, NULL, &rows, target, NULL, &out), bad, "input: got NULL");
  REFUSED(lat_target_coords_create(context, input, NULL, target, NULL, &out), bad, "rows: got NULL");
  lat_test_assert_error(lat_target_coords_create(context, input, &rows, target, NULL, NULL), bad, "out: got NULL");
  REFUSED(lat_target_coords_create(context, input, &rows, LAT_RELATION_FORWARD, NULL, &out), bad,
          "kind has no target: got 0, expected 2 (target) or 5 (target transposed)");
  REFUSED(lat_target_coords_create(context, input, &rows, (lat_relation_kind)9, NULL, &out), bad, "got 9");
  REFUSED(lat_target_coords_create(context, input, &narrow, target, NULL, &out), LAT_STATUS_INVALID_SHAPE,
          "rows must have shape (N, 4)");
  REFUSED(lat_target_coords_create(context, input, &floats, target, NULL, &out), LAT_STATUS_INVALID_DTYPE,
          "rows must be int32 or int64");
  REFUSED(lat_target_coords_create(context, input, &outside, target, NULL, &out), LAT_STATUS_OVERFLOW,
          "rows leaves int32: got 2147483648 at row 0");
  REFUSED(lat_target_coords_create(context, input, &many, target, NULL, &out), LAT_STATUS_OVERFLOW,
          "rows has too many rows: got 2147483648");
  opts.stride = lat_triple_all(4);
  REFUSED(lat_target_coords_create(context, input, &rows, transposed, &opts, &out), bad, "must divide");
  REFUSED(lat_target_coords_create(context, wide, &rows, target, &opts, &out), LAT_STATUS_OVERFLOW,
          "output stride leaves int32");
  opts.stride = lat_triple_all(-1);
  REFUSED(lat_target_coords_create(context, input, &rows, target, &opts, &out), bad, "stride values must be positive");
  lat_coords_release(input), lat_coords_release(wide);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(forms_agree), cmocka_unit_test(relations_agree), cmocka_unit_test(defaults_and_int64),
      cmocka_unit_test(stride_rule), cmocka_unit_test(bad_arguments),
  };
  return cmocka_run_group_tests(tests, set_up, tear_down);
}
