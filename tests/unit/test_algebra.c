// sparse_add and sparse_cat_aligned: the four joins, identity, duplicates, missing rows, promotion, errors.
// covers: lat_sparse_add lat_sparse_cat_aligned
#include <math.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include <lattice/algebra.h>

#include "support/tensor_cases.h"
#include "support/test_allocator.h"
#include "support/test_support.h"

static lat_context *context;
static lat_test_allocator counter;
static lat_tensor *const poison = (lat_tensor *)&counter;

typedef lat_status (*algebra_fn)(lat_context *used, const lat_tensor *lhs, const lat_tensor *rhs, lat_join join,
                                 lat_tensor **out);

// lhs has x = 0, 1, 2; rhs has x = 2, 5, 0.
static const int32_t left_rows[12] = {0, 0, 0, 0, 0, 1, 0, 0, 0, 2, 0, 0};
static const int32_t right_rows[12] = {0, 2, 0, 0, 0, 5, 0, 0, 0, 0, 0, 0};
static const double left_values[3] = {1, 2, 3}, right_values[3] = {10, 20, 30};

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

static void check(algebra_fn fn, const lat_tensor *lhs, const lat_tensor *rhs, lat_join join, const int32_t *x_column,
                  const double *expected, int64_t n, int64_t channels) {
  lat_tensor *y = NULL;
  lat_test_assert_ok(fn(context, lhs, rhs, join, &y));
  assert_int_equal(lat_tensor_count(y), n);
  assert_int_equal(lat_tensor_channels(y), channels);
  const int32_t *rows = lat_coords_rows(lat_tensor_coords(y)).data;
  for (int64_t r = 0; r < n; r++) assert_int_equal(rows[4 * r + 1], x_column[r]);
  lat_test_assert_values(lat_tensor_feats(y), expected, n * channels);
  lat_tensor_release(y);
}

static const int32_t inner_x[2] = {0, 2}, left_x[3] = {0, 1, 2}, right_x[3] = {2, 5, 0}, outer_x[4] = {0, 1, 2, 5};

static void test_add_joins(void **state) {
  (void)state;
  const double inner[2] = {31, 13}, left[3] = {31, 2, 13}, right[3] = {13, 20, 31}, outer[4] = {31, 2, 13, 20};
  const lat_dtype dtypes[2] = {LAT_DTYPE_F32, LAT_DTYPE_F16};
  for (int d = 0; d < 2; d++) {
    lat_tensor *lhs = lat_test_tensor(context, left_rows, 3, left_values, 1, dtypes[d], NULL);
    lat_tensor *rhs = lat_test_tensor(context, right_rows, 3, right_values, 1, dtypes[d], NULL);
    check(lat_sparse_add, lhs, rhs, LAT_JOIN_INNER, inner_x, inner, 2, 1);
    check(lat_sparse_add, lhs, rhs, LAT_JOIN_LEFT, left_x, left, 3, 1);
    check(lat_sparse_add, lhs, rhs, LAT_JOIN_RIGHT, right_x, right, 3, 1);
    check(lat_sparse_add, lhs, rhs, LAT_JOIN_OUTER, outer_x, outer, 4, 1);
    check(lat_sparse_add, lhs, rhs, LAT_JOIN_DEFAULT, outer_x, outer, 4, 1);
    lat_tensor_release(lhs);
    lat_tensor_release(rhs);
  }
}

static void test_cat_joins(void **state) {
  (void)state;
  const double wide[6] = {10, 11, 20, 21, 30, 31};
  const double inner[6] = {1, 30, 31, 3, 10, 11}, left[9] = {1, 30, 31, 2, 0, 0, 3, 10, 11};
  const double right[9] = {3, 10, 11, 0, 20, 21, 1, 30, 31}, outer[12] = {1, 30, 31, 2, 0, 0, 3, 10, 11, 0, 20, 21};
  const lat_dtype dtypes[2] = {LAT_DTYPE_F32, LAT_DTYPE_F16};
  for (int d = 0; d < 2; d++) {
    lat_tensor *lhs = lat_test_tensor(context, left_rows, 3, left_values, 1, dtypes[d], NULL);
    lat_tensor *rhs = lat_test_tensor(context, right_rows, 3, wide, 2, dtypes[d], NULL);
    check(lat_sparse_cat_aligned, lhs, rhs, LAT_JOIN_INNER, inner_x, inner, 2, 3);
    check(lat_sparse_cat_aligned, lhs, rhs, LAT_JOIN_DEFAULT, inner_x, inner, 2, 3);
    check(lat_sparse_cat_aligned, lhs, rhs, LAT_JOIN_LEFT, left_x, left, 3, 3);
    check(lat_sparse_cat_aligned, lhs, rhs, LAT_JOIN_RIGHT, right_x, right, 3, 3);
    check(lat_sparse_cat_aligned, lhs, rhs, LAT_JOIN_OUTER, outer_x, outer, 4, 3);
    lat_tensor_release(lhs);
    lat_tensor_release(rhs);
  }
}

static void test_shared_identity_ignores_the_join(void **state) {
  (void)state;
  const int64_t counts[2] = {3, 0};
  const double sums[3] = {11, 22, 33}, pairs[6] = {1, 10, 2, 20, 3, 30};
  lat_tensor_opts opts = LAT_TENSOR_OPTS_INIT;
  opts.batch_counts = counts;
  opts.n_batches = 2;
  lat_coords *coords = lat_test_coords(context, left_rows, 3);
  lat_tensor *lhs = lat_test_tensor_on(context, coords, left_values, 1, LAT_DTYPE_F32, &opts), *y = NULL;
  lat_tensor *rhs = lat_test_tensor_on(context, coords, right_values, 1, LAT_DTYPE_F32, NULL);
  for (int join = LAT_JOIN_DEFAULT; join <= LAT_JOIN_OUTER; join++) {
    check(lat_sparse_add, lhs, rhs, (lat_join)join, left_x, sums, 3, 1);
    check(lat_sparse_cat_aligned, lhs, rhs, (lat_join)join, left_x, pairs, 3, 2);
  }
  lat_test_assert_ok(lat_sparse_add(context, lhs, rhs, LAT_JOIN_DEFAULT, &y));
  assert_true(lat_tensor_same_coords(y, lhs));
  assert_memory_equal(lat_tensor_batch_counts(y), counts, sizeof counts); // lhs's batch metadata
  lat_tensor_release(y);
  lat_test_assert_ok(lat_sparse_cat_aligned(context, rhs, lhs, LAT_JOIN_DEFAULT, &y));
  assert_null(lat_tensor_batch_counts(y));
  assert_int_equal(lat_tensor_batch_size(y), -1);
  lat_tensor_release(y);
  lat_tensor_release(lhs);
  lat_tensor_release(rhs);
  lat_coords_release(coords);
}

static void test_same_join_gives_the_same_set(void **state) {
  (void)state;
  lat_tensor *lhs = lat_test_tensor(context, left_rows, 3, left_values, 1, LAT_DTYPE_F32, NULL);
  lat_tensor *rhs = lat_test_tensor(context, right_rows, 3, right_values, 1, LAT_DTYPE_F32, NULL);
  lat_tensor *first = NULL, *second = NULL, *other = NULL;
  for (int join = LAT_JOIN_INNER; join <= LAT_JOIN_OUTER; join++) {
    lat_test_assert_ok(lat_sparse_add(context, lhs, rhs, (lat_join)join, &first));
    lat_test_assert_ok(lat_sparse_cat_aligned(context, lhs, rhs, (lat_join)join, &second));
    assert_true(lat_tensor_same_coords(first, second));
    assert_false(lat_tensor_same_coords(first, lhs));
    assert_false(lat_tensor_same_coords(first, rhs));
    lat_test_assert_ok(lat_sparse_add(context, rhs, lhs, (lat_join)join, &other));
    assert_false(lat_tensor_same_coords(first, other));
    lat_tensor_release(other);
    other = NULL;
    // Algebra between the two results needs no alignment any more.
    lat_test_assert_ok(lat_sparse_cat_aligned(context, first, second, LAT_JOIN_OUTER, &other));
    assert_true(lat_tensor_same_coords(first, other));
    lat_tensor_release(other);
    lat_tensor_release(first);
    lat_tensor_release(second);
  }
  lat_tensor_release(lhs);
  lat_tensor_release(rhs);
}

// The cached alignment must keep neither side alive, whichever goes first.
static void test_results_outlive_their_operands(void **state) {
  (void)state;
  for (int order = 0; order < 2; order++) {
    lat_tensor *lhs = lat_test_tensor(context, left_rows, 3, left_values, 1, LAT_DTYPE_F32, NULL), *y = NULL;
    lat_tensor *rhs = lat_test_tensor(context, right_rows, 3, right_values, 1, LAT_DTYPE_F32, NULL);
    lat_test_assert_ok(lat_sparse_add(context, lhs, rhs, LAT_JOIN_LEFT, &y));
    lat_tensor_release(order ? lhs : rhs);
    lat_tensor_release(order ? rhs : lhs);
    const double left[3] = {31, 2, 13};
    lat_test_assert_values(lat_tensor_feats(y), left, 3);
    assert_memory_equal(lat_coords_rows(lat_tensor_coords(y)).data, left_rows, sizeof left_rows);
    lat_tensor_release(y);
  }
}

// Each side's own duplicates stay; the other side's rows meet the first of them.
static void test_duplicates(void **state) {
  (void)state;
  const int32_t lhs_rows[16] = {0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 7, 0, 0};
  const int32_t rhs_rows[16] = {0, 0, 0, 0, 0, 9, 0, 0, 0, 0, 0, 0, 0, 9, 0, 0};
  const double lhs_values[4] = {1, 2, 3, 4}, rhs_values[4] = {10, 20, 30, 40};
  lat_tensor *lhs = lat_test_tensor(context, lhs_rows, 4, lhs_values, 1, LAT_DTYPE_F32, NULL);
  lat_tensor *rhs = lat_test_tensor(context, rhs_rows, 4, rhs_values, 1, LAT_DTYPE_F32, NULL);
  const int32_t x_inner[2] = {0, 0}, x_left[4] = {0, 1, 0, 7}, x_right[4] = {0, 9, 0, 9},
                x_outer[6] = {0, 1, 0, 7, 9, 9};
  const double inner[2] = {11, 13}, left[4] = {11, 2, 13, 4}, right[4] = {11, 20, 31, 40};
  const double outer[6] = {11, 2, 13, 4, 20, 40};
  check(lat_sparse_add, lhs, rhs, LAT_JOIN_INNER, x_inner, inner, 2, 1);
  check(lat_sparse_add, lhs, rhs, LAT_JOIN_LEFT, x_left, left, 4, 1);
  check(lat_sparse_add, lhs, rhs, LAT_JOIN_RIGHT, x_right, right, 4, 1);
  check(lat_sparse_add, lhs, rhs, LAT_JOIN_OUTER, x_outer, outer, 6, 1);
  lat_tensor_release(lhs);
  lat_tensor_release(rhs);
}

static void test_nothing_leaks_into_missing_rows(void **state) {
  (void)state;
  const double lhs_values[3] = {INFINITY, 2, NAN}, rhs_values[3] = {NAN, 20, INFINITY};
  const double sums[4] = {INFINITY, 2, NAN, 20}, pairs[8] = {INFINITY, INFINITY, 2, 0, NAN, NAN, 0, 20};
  for (int d = 0; d < 4; d++) { // all pairs of dtypes
    lat_tensor *lhs =
        lat_test_tensor(context, left_rows, 3, lhs_values, 1, d & 1 ? LAT_DTYPE_F16 : LAT_DTYPE_F32, NULL);
    lat_tensor *rhs =
        lat_test_tensor(context, right_rows, 3, rhs_values, 1, d & 2 ? LAT_DTYPE_F16 : LAT_DTYPE_F32, NULL);
    check(lat_sparse_add, lhs, rhs, LAT_JOIN_OUTER, outer_x, sums, 4, 1);
    check(lat_sparse_cat_aligned, lhs, rhs, LAT_JOIN_OUTER, outer_x, pairs, 4, 2);
    lat_tensor_release(lhs);
    lat_tensor_release(rhs);
  }
}

static void test_promotion(void **state) {
  (void)state;
  const double third[3] = {1.0 / 3, 1, 2049};
  const lat_dtype table[4][3] = {{LAT_DTYPE_F32, LAT_DTYPE_F32, LAT_DTYPE_F32},
                                 {LAT_DTYPE_F16, LAT_DTYPE_F32, LAT_DTYPE_F32},
                                 {LAT_DTYPE_F32, LAT_DTYPE_F16, LAT_DTYPE_F32},
                                 {LAT_DTYPE_F16, LAT_DTYPE_F16, LAT_DTYPE_F16}};
  for (int i = 0; i < 4; i++) {
    for (int shared = 0; shared < 2; shared++) {
      lat_coords *coords = lat_test_coords(context, left_rows, 3);
      lat_coords *twin = shared ? lat_coords_retain(coords) : lat_test_coords(context, left_rows, 3);
      lat_tensor *lhs = lat_test_tensor_on(context, coords, third, 1, table[i][0], NULL), *y = NULL;
      lat_tensor *rhs = lat_test_tensor_on(context, twin, left_values, 1, table[i][1], NULL);
      double *a = lat_test_read_feats(lhs), *b = lat_test_read_feats(rhs);
      lat_test_assert_ok(lat_sparse_add(context, lhs, rhs, LAT_JOIN_DEFAULT, &y));
      assert_int_equal(lat_tensor_dtype(y), table[i][2]);
      double *got = lat_test_read_feats(y);
      for (int r = 0; r < 3; r++) {
        float sum = (float)(a[r] + b[r]); // exact in double, one rounding
        assert_true(got[r] ==
                    (table[i][2] == LAT_DTYPE_F32 ? (double)sum : (double)lat_f16_to_f32(lat_f32_to_f16(sum))));
      }
      free(got);
      lat_tensor_release(y);
      lat_test_assert_ok(lat_sparse_cat_aligned(context, lhs, rhs, LAT_JOIN_DEFAULT, &y));
      assert_int_equal(lat_tensor_dtype(y), table[i][2]);
      got = lat_test_read_feats(y);
      for (int r = 0; r < 3; r++) assert_true(got[2 * r] == a[r] && got[2 * r + 1] == b[r]);
      free(got);
      free(a);
      free(b);
      lat_tensor_release(y);
      lat_tensor_release(lhs);
      lat_tensor_release(rhs);
      lat_coords_release(coords);
      lat_coords_release(twin);
    }
  }
}

static void test_batch_sizes_carry(void **state) {
  (void)state;
  const int64_t counts[3] = {3, 0, 0};
  const int64_t sizes[4][3] = {{-1, -1, -1}, {5, -1, 5}, {-1, 4, 4}, {2, 7, 7}};
  for (int i = 0; i < 4; i++) {
    lat_tensor_opts lhs_opts = LAT_TENSOR_OPTS_INIT, rhs_opts = LAT_TENSOR_OPTS_INIT;
    lhs_opts.n_batches = sizes[i][0] < 0 ? 0 : sizes[i][0];
    rhs_opts.n_batches = sizes[i][1] < 0 ? 0 : sizes[i][1];
    lat_tensor *lhs = lat_test_tensor(context, left_rows, 3, left_values, 1, LAT_DTYPE_F32, &lhs_opts), *y = NULL;
    lat_tensor *rhs = lat_test_tensor(context, right_rows, 3, right_values, 1, LAT_DTYPE_F32, &rhs_opts);
    lat_test_assert_ok(lat_sparse_add(context, lhs, rhs, LAT_JOIN_OUTER, &y));
    assert_int_equal(lat_tensor_batch_size(y), sizes[i][2]);
    assert_null(lat_tensor_batch_counts(y));
    lat_tensor_release(y);
    lat_tensor_release(lhs);
    lat_tensor_release(rhs);
  }
  lat_tensor_opts opts = LAT_TENSOR_OPTS_INIT;
  opts.batch_counts = counts;
  opts.n_batches = 3;
  lat_tensor *lhs = lat_test_tensor(context, left_rows, 3, left_values, 1, LAT_DTYPE_F32, &opts), *y = NULL;
  lat_tensor *rhs = lat_test_tensor(context, right_rows, 3, right_values, 1, LAT_DTYPE_F32, NULL);
  lat_test_assert_ok(lat_sparse_add(context, lhs, rhs, LAT_JOIN_LEFT, &y)); // counts go with the set
  assert_int_equal(lat_tensor_batch_size(y), 3);
  assert_null(lat_tensor_batch_counts(y));
  lat_tensor_release(y);
  lat_tensor_release(lhs);
  lat_tensor_release(rhs);
}

typedef struct join_thread {
  const lat_tensor *lhs, *rhs;
  lat_tensor *results[4]; // by join
  int failed;
} join_thread;

static void *join_all(void *arg) {
  join_thread *t = arg;
  lat_context *own = NULL;
  if (lat_context_create(NULL, &own)) {
    t->failed = 1;
    return NULL;
  }
  for (int join = LAT_JOIN_INNER; join <= LAT_JOIN_OUTER; join++) {
    if (lat_sparse_add(own, t->lhs, t->rhs, (lat_join)join, &t->results[join - 1])) t->failed = 1;
  }
  lat_context_destroy(own);
  return NULL;
}

// Tensors are shared, contexts are not: whoever builds an alignment first, all get the same set.
static void test_threads_share_alignments(void **state) {
  (void)state;
  enum { n_threads = 4 };
  pthread_t threads[n_threads];
  join_thread work[n_threads];
  const double sums[4][4] = {{31, 13}, {31, 2, 13}, {13, 20, 31}, {31, 2, 13, 20}};
  const int64_t counts[4] = {2, 3, 3, 4};
  lat_tensor *lhs = lat_test_tensor(context, left_rows, 3, left_values, 1, LAT_DTYPE_F32, NULL);
  lat_tensor *rhs = lat_test_tensor(context, right_rows, 3, right_values, 1, LAT_DTYPE_F32, NULL);
  for (int i = 0; i < n_threads; i++) {
    work[i] = (join_thread){.lhs = lhs, .rhs = rhs};
    assert_int_equal(pthread_create(&threads[i], NULL, join_all, &work[i]), 0);
  }
  for (int i = 0; i < n_threads; i++) assert_int_equal(pthread_join(threads[i], NULL), 0);
  for (int i = 0; i < n_threads; i++) {
    assert_int_equal(work[i].failed, 0);
    for (int j = 0; j < 4; j++) {
      assert_true(lat_tensor_same_coords(work[i].results[j], work[0].results[j]));
      lat_test_assert_values(lat_tensor_feats(work[i].results[j]), sums[j], counts[j]);
    }
  }
  for (int i = 0; i < n_threads; i++) {
    for (int j = 0; j < 4; j++) lat_tensor_release(work[i].results[j]);
  }
  lat_tensor_release(lhs);
  lat_tensor_release(rhs);
}

static void test_empty_tensors(void **state) {
  (void)state;
  lat_tensor *lhs = lat_test_tensor(context, left_rows, 3, left_values, 1, LAT_DTYPE_F32, NULL);
  lat_tensor *none = lat_test_tensor(context, left_rows, 0, NULL, 1, LAT_DTYPE_F32, NULL);
  lat_tensor *flat = lat_test_tensor(context, right_rows, 3, NULL, 0, LAT_DTYPE_F32, NULL);
  const double padded[6] = {1, 0, 2, 0, 3, 0};
  check(lat_sparse_add, lhs, none, LAT_JOIN_OUTER, left_x, left_values, 3, 1);
  check(lat_sparse_add, none, lhs, LAT_JOIN_OUTER, left_x, left_values, 3, 1);
  check(lat_sparse_add, lhs, none, LAT_JOIN_INNER, left_x, NULL, 0, 1);
  check(lat_sparse_add, lhs, none, LAT_JOIN_RIGHT, left_x, NULL, 0, 1);
  check(lat_sparse_add, none, none, LAT_JOIN_OUTER, left_x, NULL, 0, 1);
  check(lat_sparse_cat_aligned, lhs, none, LAT_JOIN_LEFT, left_x, padded, 3, 2);
  const double inner[2] = {1, 3};
  check(lat_sparse_cat_aligned, lhs, flat, LAT_JOIN_INNER, inner_x, inner, 2, 1);
  check(lat_sparse_cat_aligned, flat, flat, LAT_JOIN_INNER, right_x, NULL, 3, 0);
  check(lat_sparse_add, flat, flat, LAT_JOIN_INNER, right_x, NULL, 3, 0);
  lat_tensor_release(lhs);
  lat_tensor_release(none);
  lat_tensor_release(flat);
}

static void test_errors(void **state) {
  (void)state;
  const algebra_fn fns[2] = {lat_sparse_add, lat_sparse_cat_aligned};
  const double wide[6] = {0};
  lat_tensor *lhs = lat_test_tensor(context, left_rows, 3, left_values, 1, LAT_DTYPE_F32, NULL);
  lat_tensor *two = lat_test_tensor(context, right_rows, 3, wide, 2, LAT_DTYPE_F32, NULL), *y = poison;
  lat_array_view view = lat_view_2d(left_rows, LAT_DTYPE_I32, 3, 4);
  lat_coords_opts opts = LAT_COORDS_OPTS_INIT;
  lat_coords *scaled = NULL;
  opts.stride = (lat_triple){1, 2, 1};
  lat_test_assert_ok(lat_coords_create(context, &view, &opts, &scaled));
  lat_tensor *other_stride = lat_test_tensor_on(context, scaled, left_values, 1, LAT_DTYPE_F32, NULL);
  for (int f = 0; f < 2; f++) {
    const char *name = f == 0 ? "sparse_add: " : "sparse_cat_aligned: ";
    lat_test_assert_error(fns[f](NULL, lhs, lhs, LAT_JOIN_INNER, &y), LAT_STATUS_INVALID_ARGUMENT, "context: got NULL");
    assert_null(y);
    lat_test_assert_error(fns[f](context, NULL, lhs, LAT_JOIN_INNER, &y), LAT_STATUS_INVALID_ARGUMENT, "lhs: got NULL");
    lat_test_assert_error(fns[f](context, lhs, NULL, LAT_JOIN_INNER, &y), LAT_STATUS_INVALID_ARGUMENT, "rhs: got NULL");
    assert_non_null(strstr(lat_last_error(), name));
    lat_test_assert_error(fns[f](context, lhs, lhs, LAT_JOIN_INNER, NULL), LAT_STATUS_INVALID_ARGUMENT,
                          "out: got NULL");
    const int bad_joins[2] = {-1, 5};
    for (int j = 0; j < 2; j++) {
      y = poison;
      lat_test_assert_error(fns[f](context, lhs, lhs, (lat_join)bad_joins[j], &y), LAT_STATUS_INVALID_ARGUMENT,
                            "join must be 'inner', 'left', 'right', or 'outer'");
      assert_null(y);
    }
    y = poison;
    lat_test_assert_error(fns[f](context, lhs, other_stride, LAT_JOIN_OUTER, &y), LAT_STATUS_INVALID_ARGUMENT,
                          "sparse tensor strides must match: got (1, 2, 1), expected (1, 1, 1)");
    assert_null(y);
  }
  y = poison;
  lat_test_assert_error(lat_sparse_add(context, lhs, two, LAT_JOIN_OUTER, &y), LAT_STATUS_INVALID_SHAPE,
                        "sparse binary operands must have matching channels: got 2, expected 1");
  assert_null(y);
  lat_tensor_release(lhs);
  lat_tensor_release(two);
  lat_tensor_release(other_stride);
  lat_coords_release(scaled);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void) {
  const struct CMUnitTest tests[] = {
      TEST(test_add_joins),
      TEST(test_cat_joins),
      TEST(test_shared_identity_ignores_the_join),
      TEST(test_same_join_gives_the_same_set),
      TEST(test_results_outlive_their_operands),
      TEST(test_duplicates),
      TEST(test_nothing_leaks_into_missing_rows),
      TEST(test_promotion),
      TEST(test_batch_sizes_carry),
      TEST(test_threads_share_alignments),
      TEST(test_empty_tensors),
      TEST(test_errors),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
