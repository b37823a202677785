// Gradients of sparse algebra, chosen rows, neighbour features and global pools: worked examples, NaN and ties, empty items,
// no rows, and everything they refuse.
//
// covers: lat_sparse_binary_backward lat_sparse_cat_backward lat_gather_aligned_features_backward
// covers: lat_reindex_sparse_backward lat_prune_backward lat_prune_mask_backward lat_crop_backward
// covers: lat_gather_neighbor_features_backward lat_global_pool_backward
//
// null arguments: lat_sparse_binary_backward lat_sparse_cat_backward lat_gather_aligned_features_backward
// null arguments: lat_reindex_sparse_backward lat_prune_backward lat_prune_mask_backward lat_crop_backward
// null arguments: lat_gather_neighbor_features_backward lat_global_pool_backward
#include <math.h>
#include <string.h>

#include <lattice/lattice.h>

#include "support/tensor_cases.h"
#include "support/test_allocator.h"
#include "support/test_support.h"

static const int32_t left_rows[3][4] = {{0, 0, 0, 0}, {0, 1, 0, 0}, {1, 2, 0, 0}},
                     right_rows[2][4] = {{0, 1, 0, 0}, {0, 5, 0, 0}};
static const float ones[64] = {1, 2, 3, 4, 5, 6, 7, 8};
static const int32_t chosen[2] = {2, 0};
static const uint8_t mask[3] = {1, 0, 1};

static lat_test_allocator counter;
static lat_context *context;
static lat_coords *left_set, *right_set;
static lat_tensor *left, *right;
static lat_array_view g4, g3, g2, half_g, rows_view, mask_view, feats;
static lat_neighbors *neighbors;

static int set_up(void **state) {
  (void)state;
  memset(&counter, 0, sizeof counter);
  context = lat_test_context_create(&counter, 2);
  left_set = lat_test_coords(context, left_rows[0], 3);
  right_set = lat_test_coords(context, right_rows[0], 2);
  left = lat_test_tensor_on(context, left_set, (const double[3]){1, 2, 3}, 1, LAT_DTYPE_F32, NULL);
  right = lat_test_tensor_on(context, right_set, (const double[2]){2, 5}, 1, LAT_DTYPE_F32, NULL);
  g4 = lat_view_2d(ones, LAT_DTYPE_F32, 4, 1);
  g3 = lat_view_2d(ones, LAT_DTYPE_F32, 3, 1);
  g2 = lat_view_2d(ones, LAT_DTYPE_F32, 2, 1);
  half_g = lat_view_2d(ones, LAT_DTYPE_F64, 4, 1);
  rows_view = lat_view_1d(chosen, LAT_DTYPE_I32, 2);
  mask_view = lat_view_1d(mask, LAT_DTYPE_U8, 3);
  feats = lat_tensor_feats(left);
  lat_radius_opts ball = LAT_RADIUS_OPTS_INIT;
  ball.radius = 1.0;
  lat_test_assert_ok(lat_neighbors_create_radius(context, left_set, NULL, &ball, &neighbors));
  return 0;
}

static int tear_down(void **state) {
  (void)state;
  lat_neighbors_release(neighbors);
  lat_tensor_release(left);
  lat_tensor_release(right);
  lat_coords_release(left_set);
  lat_coords_release(right_set);
  lat_test_context_finish(context, &counter);
  return 0;
}

static void assert_and_release(lat_array *got, const double *expected, int64_t n) {
  lat_test_assert_values(lat_array_as_view(got), expected, n);
  lat_array_release(got);
}

// The outer join has rows 0, 1, 2 of the left, then (0, 5, 0, 0); (0, 1, 0, 0) is on both sides, where 2 meets 2.
static void test_binary(void **state) {
  (void)state;
  static const double lhs[5][3] = {{1, 2, 3}, {1, 2, 3}, {7, 4, 21}, {0, 1, 0}, {1, 1, 3}},
                      rhs[5][2] = {{2, 4}, {-2, -4}, {4, -4}, {1, 4}, {1, 0}};
  lat_binary_opts opts = LAT_BINARY_OPTS_INIT;
  opts.lhs_fill = -1; // 5 meets -1
  opts.rhs_fill = 7;  // 1 and 3 meet 7
  for (int op = LAT_BINARY_ADD; op <= LAT_BINARY_MINIMUM; op++) {
    lat_binary_grads grads;
    opts.op = (lat_binary)op;
    lat_test_assert_ok(lat_sparse_binary_backward(context, left, right, &opts, &g4, &grads));
    assert_and_release(grads.lhs, lhs[op], 3);
    assert_and_release(grads.rhs, rhs[op], 2);
  }
}

static void test_nan_wins(void **state) {
  (void)state;
  static const double a[3] = {(double)NAN, 1, (double)NAN}, b[3] = {1, (double)NAN, (double)NAN};
  lat_tensor *x = lat_test_tensor_on(context, left_set, a, 1, LAT_DTYPE_F32, NULL);
  lat_tensor *z = lat_test_tensor_on(context, left_set, b, 1, LAT_DTYPE_F32, NULL);
  lat_binary_opts opts = LAT_BINARY_OPTS_INIT;
  for (int op = LAT_BINARY_MAXIMUM; op <= LAT_BINARY_MINIMUM; op++) {
    lat_binary_grads grads;
    opts.op = (lat_binary)op;
    lat_test_assert_ok(lat_sparse_binary_backward(context, x, z, &opts, &g3, &grads));
    assert_and_release(grads.lhs, (const double[3]){1, 0, 1.5}, 3);
    assert_and_release(grads.rhs, (const double[3]){0, 2, 1.5}, 3);
  }
  lat_tensor_release(x);
  lat_tensor_release(z);
}

static void test_cat(void **state) {
  (void)state;
  const lat_tensor *tensors[3] = {left, right, left};
  lat_array *grads[3] = {NULL, NULL, NULL};
  lat_array_view g = lat_view_2d(ones, LAT_DTYPE_F32, 1, 3); // the inner join is (0, 1, 0, 0) alone
  lat_test_assert_ok(lat_sparse_cat_backward(context, tensors, 3, LAT_JOIN_DEFAULT, &g, grads));
  assert_and_release(grads[0], (const double[3]){0, 1, 0}, 3);
  assert_and_release(grads[1], (const double[2]){2, 0}, 2);
  assert_and_release(grads[2], (const double[3]){0, 3, 0}, 3);
  lat_test_assert_ok(lat_sparse_cat_backward(context, tensors, 1, LAT_JOIN_DEFAULT, &g3, grads));
  assert_and_release(grads[0], (const double[3]){1, 2, 3}, 3);
}

static void test_rows(void **state) {
  (void)state;
  lat_array *out = NULL;
  lat_test_assert_ok(lat_gather_aligned_features_backward(context, &feats, &rows_view, &g2, &out));
  assert_and_release(out, (const double[3]){2, 0, 1}, 3);
  lat_test_assert_ok(lat_reindex_sparse_backward(context, left, right, &g2, &out));
  assert_and_release(out, (const double[3]){0, 1, 0}, 3);
  lat_test_assert_ok(lat_reindex_sparse_backward(context, left, left, &g3, &out));
  assert_and_release(out, (const double[3]){1, 2, 3}, 3);
  lat_test_assert_ok(lat_prune_backward(context, left, &rows_view, &g2, &out));
  assert_and_release(out, (const double[3]){2, 0, 1}, 3);
  lat_test_assert_ok(lat_prune_mask_backward(context, left, &mask_view, &g2, &out));
  assert_and_release(out, (const double[3]){1, 0, 2}, 3);
  lat_test_assert_ok(lat_crop_backward(context, left, (lat_triple){1, 0, 0}, (lat_triple){2, 0, 0}, &g2, &out));
  assert_and_release(out, (const double[3]){0, 1, 2}, 3);
  // Edges (query, source): (0, 0) (0, 1) (1, 1) (1, 0) (2, 2).
  lat_array_view g5 = lat_view_2d(ones, LAT_DTYPE_F32, 5, 1);
  lat_test_assert_ok(lat_gather_neighbor_features_backward(context, &feats, neighbors, &g5, &out));
  assert_and_release(out, (const double[3]){5, 5, 5}, 3);
}

static void test_global_pool(void **state) {
  (void)state;
  lat_array *out = NULL;
  lat_tensor *ties = lat_test_tensor_on(context, left_set, (const double[3]){4, 4, 1}, 1, LAT_DTYPE_F32, NULL);
  lat_test_assert_ok(lat_global_pool_backward(context, left, LAT_POOL_SUM, -1, &g2, &out));
  assert_and_release(out, (const double[3]){1, 1, 2}, 3);
  lat_test_assert_ok(lat_global_pool_backward(context, left, LAT_POOL_AVG, 4, &g4, &out)); // two empty items
  assert_and_release(out, (const double[3]){0.5, 0.5, 2}, 3);
  lat_test_assert_ok(lat_global_pool_backward(context, ties, LAT_POOL_MAX, -1, &g2, &out));
  assert_and_release(out, (const double[3]){0.5, 0.5, 2}, 3);
  lat_array_view g1 = lat_view_2d(ones, LAT_DTYPE_F32, 1, 1), g0 = lat_view_2d(ones, LAT_DTYPE_F32, 0, 1);
  lat_test_assert_ok(lat_global_pool_backward(context, left, LAT_POOL_MAX, 1, &g1, &out)); // row 2 is in no item
  assert_and_release(out, (const double[3]){0, 1, 0}, 3);
  lat_test_assert_ok(lat_global_pool_backward(context, left, LAT_POOL_SUM, 0, &g0, &out));
  assert_and_release(out, (const double[3]){0, 0, 0}, 3);
  lat_tensor_release(ties);
}

static void test_no_rows(void **state) {
  (void)state;
  lat_coords *set = lat_test_coords(context, left_rows[0], 0);
  lat_tensor *none = lat_test_tensor_on(context, set, (const double[1]){0}, 1, LAT_DTYPE_F16, NULL);
  lat_array_view g0 = lat_view_2d(ones, LAT_DTYPE_F32, 0, 1), g0_wide = lat_view_2d(ones, LAT_DTYPE_F32, 0, 2);
  const lat_tensor *tensors[2] = {none, left};
  lat_array *grads[2] = {NULL, NULL};
  lat_binary_grads both;
  lat_binary_opts opts = LAT_BINARY_OPTS_INIT;
  lat_test_assert_ok(lat_sparse_cat_backward(context, tensors, 2, LAT_JOIN_INNER, &g0_wide, grads));
  assert_and_release(grads[0], (const double[1]){0}, 0);
  assert_and_release(grads[1], (const double[3]){0, 0, 0}, 3);
  lat_test_assert_ok(lat_sparse_binary_backward(context, none, left, &opts, &g3, &both));
  assert_and_release(both.lhs, (const double[1]){0}, 0);
  assert_and_release(both.rhs, (const double[3]){1, 2, 3}, 3);
  lat_test_assert_ok(lat_global_pool_backward(context, none, LAT_POOL_AVG, -1, &g0, &grads[0]));
  assert_and_release(grads[0], (const double[1]){0}, 0);
  lat_tensor_release(none);
  lat_coords_release(set);
}

static void refuse_binary(const lat_tensor *a, const lat_tensor *b, const lat_binary_opts *opts,
                          const lat_array_view *g, lat_status expected, const char *fragment) {
  lat_array *stale = (lat_array *)(void *)&counter;
  lat_binary_grads grads = {stale, stale};
  lat_test_assert_error(lat_sparse_binary_backward(context, a, b, opts, g, &grads), expected, fragment);
  assert_true(!grads.lhs && !grads.rhs);
}

static void test_binary_refusals(void **state) {
  (void)state;
  const lat_status argument = LAT_STATUS_INVALID_ARGUMENT;
  lat_binary_opts opts = LAT_BINARY_OPTS_INIT, bad = opts;
  lat_binary_grads grads;
  lat_tensor *wide = lat_test_tensor_on(context, left_set, (const double[6]){1, 2, 3, 4, 5, 6}, 2, LAT_DTYPE_F32, NULL);
  lat_test_assert_error(lat_sparse_binary_backward(NULL, left, right, &opts, &g4, &grads), argument,
                        "context: got NULL");
  lat_test_assert_error(lat_sparse_binary_backward(context, left, right, &opts, &g4, NULL), argument, "out: got NULL");
  refuse_binary(NULL, right, &opts, &g4, argument, "lhs: got NULL");
  refuse_binary(left, NULL, &opts, &g4, argument, "rhs: got NULL");
  refuse_binary(left, right, &opts, NULL, argument, "grad_out: got NULL");
  refuse_binary(left, right, &opts, &g3, LAT_STATUS_INVALID_SHAPE, "grad_out must have the shape of the result");
  refuse_binary(left, right, &opts, &half_g, LAT_STATUS_INVALID_DTYPE, "grad_out dtype: got float64");
  refuse_binary(left, wide, &opts, &g4, LAT_STATUS_INVALID_SHAPE, "operands must have matching channels");
  bad.op = (lat_binary)9;
  refuse_binary(left, right, &bad, &g4, argument, "unknown sparse binary op: got 9");
  bad = opts;
  bad.join = (lat_join)7;
  refuse_binary(left, right, &bad, &g4, argument, "join must be 'inner', 'left', 'right', or 'outer'");
  lat_tensor_release(wide);
}

static void refuse_cat(const lat_tensor *const *tensors, int64_t n, lat_join join, const lat_array_view *g,
                       lat_status expected, const char *fragment) {
  lat_array *stale = (lat_array *)(void *)&counter, *grads[2] = {stale, stale};
  lat_test_assert_error(lat_sparse_cat_backward(context, tensors, n, join, g, grads), expected, fragment);
  for (int64_t i = 0; i < n; i++) assert_null(grads[i]);
}

static void test_cat_refusals(void **state) {
  (void)state;
  const lat_status argument = LAT_STATUS_INVALID_ARGUMENT;
  const lat_tensor *tensors[2] = {left, right}, *with_null[2] = {left, NULL};
  lat_array *grads[2] = {NULL, NULL};
  lat_array_view g = lat_view_2d(ones, LAT_DTYPE_F32, 1, 2);
  lat_test_assert_error(lat_sparse_cat_backward(NULL, tensors, 2, LAT_JOIN_INNER, &g, grads), argument,
                        "context: got NULL");
  lat_test_assert_error(lat_sparse_cat_backward(context, tensors, 2, LAT_JOIN_INNER, &g, NULL), argument, "grads");
  refuse_cat(NULL, 2, LAT_JOIN_INNER, &g, argument, "expected at least one sparse tensor");
  refuse_cat(tensors, 0, LAT_JOIN_INNER, &g, argument, "expected at least one sparse tensor");
  refuse_cat(with_null, 2, LAT_JOIN_INNER, &g, argument, "tensors[1]: got NULL");
  refuse_cat(tensors, 2, (lat_join)5, &g, argument, "join must be");
  refuse_cat(tensors, 2, LAT_JOIN_INNER, NULL, argument, "grad_out: got NULL");
  refuse_cat(tensors, 2, LAT_JOIN_OUTER, &g, LAT_STATUS_INVALID_SHAPE, "grad_out must have the shape of the result");
}

/// A refused call, whose last argument is &out of a stale pointer that it clears.
#define REFUSED(call, status, text)                                                                                    \
  do {                                                                                                                 \
    out = (lat_array *)(void *)&counter;                                                                               \
    lat_test_assert_error(call, status, text);                                                                         \
    assert_null(out);                                                                                                  \
  } while (0)

static void test_row_refusals(void **state) {
  (void)state;
  const lat_status argument = LAT_STATUS_INVALID_ARGUMENT, shape = LAT_STATUS_INVALID_SHAPE;
  static const int32_t beyond[2] = {0, 3};
  lat_array_view bad_rows = lat_view_1d(beyond, LAT_DTYPE_I32, 2), short_mask = lat_view_1d(mask, LAT_DTYPE_U8, 2);
  lat_triple low = {1, 0, 0}, high = {2, 0, 0};
  lat_array *out = NULL;
  REFUSED(lat_gather_aligned_features_backward(NULL, &feats, &rows_view, &g2, &out), argument, "context: got NULL");
  REFUSED(lat_gather_aligned_features_backward(context, NULL, &rows_view, &g2, &out), argument, "features: got NULL");
  REFUSED(lat_gather_aligned_features_backward(context, &feats, NULL, &g2, &out), argument, "rows: got NULL");
  REFUSED(lat_gather_aligned_features_backward(context, &feats, &rows_view, NULL, &out), argument,
          "grad_out: got NULL");
  REFUSED(lat_gather_aligned_features_backward(context, &feats, &bad_rows, &g2, &out), argument,
          "rows must index active sparse rows: got 3");
  REFUSED(lat_gather_aligned_features_backward(context, &feats, &rows_view, &g3, &out), shape, "grad_out must have");
  REFUSED(lat_reindex_sparse_backward(NULL, left, right, &g2, &out), argument, "context: got NULL");
  REFUSED(lat_reindex_sparse_backward(context, NULL, right, &g2, &out), argument, "input: got NULL");
  REFUSED(lat_reindex_sparse_backward(context, left, NULL, &g2, &out), argument, "target: got NULL");
  REFUSED(lat_reindex_sparse_backward(context, left, right, NULL, &out), argument, "grad_out: got NULL");
  REFUSED(lat_reindex_sparse_backward(context, left, right, &g3, &out), shape, "grad_out must have");
  REFUSED(lat_prune_backward(NULL, left, &rows_view, &g2, &out), argument, "context: got NULL");
  REFUSED(lat_prune_backward(context, NULL, &rows_view, &g2, &out), argument, "x: got NULL");
  REFUSED(lat_prune_backward(context, left, NULL, &g2, &out), argument, "rows: got NULL");
  REFUSED(lat_prune_backward(context, left, &rows_view, NULL, &out), argument, "grad_out: got NULL");
  REFUSED(lat_prune_backward(context, left, &bad_rows, &g2, &out), argument,
          "rows must index active sparse rows: got 3");
  REFUSED(lat_prune_backward(context, left, &rows_view, &g3, &out), shape, "grad_out must have");
  REFUSED(lat_prune_mask_backward(NULL, left, &mask_view, &g2, &out), argument, "context: got NULL");
  REFUSED(lat_prune_mask_backward(context, NULL, &mask_view, &g2, &out), argument, "x: got NULL");
  REFUSED(lat_prune_mask_backward(context, left, NULL, &g2, &out), argument, "mask: got NULL");
  REFUSED(lat_prune_mask_backward(context, left, &mask_view, NULL, &out), argument, "grad_out: got NULL");
  REFUSED(lat_prune_mask_backward(context, left, &short_mask, &g2, &out), shape, "mask must match the sparse tensor");
  REFUSED(lat_prune_mask_backward(context, left, &mask_view, &g3, &out), shape, "grad_out must have");
  REFUSED(lat_crop_backward(NULL, left, low, high, &g2, &out), argument, "context: got NULL");
  REFUSED(lat_crop_backward(context, NULL, low, high, &g2, &out), argument, "x: got NULL");
  REFUSED(lat_crop_backward(context, left, low, high, NULL, &out), argument, "grad_out: got NULL");
  REFUSED(lat_crop_backward(context, left, high, low, &g2, &out), argument, "min_coord must not exceed max_coord");
  REFUSED(lat_crop_backward(context, left, low, high, &g3, &out), shape, "grad_out must have");
  REFUSED(lat_gather_neighbor_features_backward(NULL, &feats, neighbors, &g2, &out), argument, "context: got NULL");
  REFUSED(lat_gather_neighbor_features_backward(context, NULL, neighbors, &g2, &out), argument, "features: got NULL");
  REFUSED(lat_gather_neighbor_features_backward(context, &feats, NULL, &g2, &out), argument, "neighbors: got NULL");
  REFUSED(lat_gather_neighbor_features_backward(context, &feats, neighbors, NULL, &out), argument,
          "grad_out: got NULL");
  REFUSED(lat_gather_neighbor_features_backward(context, &feats, neighbors, &g2, &out), shape, "grad_out must have");
  lat_test_assert_error(lat_gather_aligned_features_backward(context, &feats, &rows_view, &g2, NULL), argument, "out");
  lat_test_assert_error(lat_reindex_sparse_backward(context, left, right, &g2, NULL), argument, "out");
  lat_test_assert_error(lat_prune_backward(context, left, &rows_view, &g2, NULL), argument, "out");
  lat_test_assert_error(lat_prune_mask_backward(context, left, &mask_view, &g2, NULL), argument, "out");
  lat_test_assert_error(lat_crop_backward(context, left, low, high, &g2, NULL), argument, "out");
  lat_test_assert_error(lat_gather_neighbor_features_backward(context, &feats, neighbors, &g2, NULL), argument, "out");
}

static void refuse_pool(const lat_tensor *x, lat_pool_mode mode, int64_t batch_size, const lat_array_view *g,
                        lat_status expected, const char *fragment) {
  lat_array *out = (lat_array *)(void *)&counter;
  lat_test_assert_error(lat_global_pool_backward(context, x, mode, batch_size, g, &out), expected, fragment);
  assert_null(out);
}

static void test_pool_refusals(void **state) {
  (void)state;
  const lat_status argument = LAT_STATUS_INVALID_ARGUMENT;
  lat_array *out = NULL;
  lat_test_assert_error(lat_global_pool_backward(NULL, left, LAT_POOL_SUM, -1, &g2, &out), argument,
                        "context: got NULL");
  lat_test_assert_error(lat_global_pool_backward(context, left, LAT_POOL_SUM, -1, &g2, NULL), argument, "out");
  refuse_pool(NULL, LAT_POOL_SUM, -1, &g2, argument, "x: got NULL");
  refuse_pool(left, LAT_POOL_SUM, -1, NULL, argument, "grad_out: got NULL");
  refuse_pool(left, (lat_pool_mode)5, -1, &g2, argument, "mode: got 5");
  refuse_pool(left, LAT_POOL_SUM, -2, &g2, argument, "batch_size must be non-negative");
  refuse_pool(left, LAT_POOL_SUM, -1, &g3, LAT_STATUS_INVALID_SHAPE, "grad_out must have the shape of the result");
  refuse_pool(left, LAT_POOL_MAX, 3, &g3, argument, "does not support empty batches");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void) {
  const struct CMUnitTest tests[] = {
      TEST(test_binary),
      TEST(test_nan_wins),
      TEST(test_cat),
      TEST(test_rows),
      TEST(test_global_pool),
      TEST(test_no_rows),
      TEST(test_binary_refusals),
      TEST(test_cat_refusals),
      TEST(test_row_refusals),
      TEST(test_pool_refusals),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
