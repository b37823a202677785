// Binary operations with fills, concatenation of many, pruning, cropping, best rows, matching features to other rows:
// random tensors against loops that are the definitions, worked cases, refusals.
//
// covers: lat_sparse_sub lat_sparse_mul lat_sparse_maximum lat_sparse_minimum lat_sparse_binary lat_sparse_cat
// covers: lat_gather_aligned_features lat_reindex_sparse lat_prune lat_prune_mask lat_crop lat_topk_rows
//
// null arguments: lat_sparse_sub lat_sparse_mul lat_sparse_maximum lat_sparse_minimum lat_sparse_binary lat_sparse_cat
// null arguments: lat_gather_aligned_features lat_reindex_sparse lat_prune lat_prune_mask lat_crop lat_topk_rows
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include <lattice/lattice.h>

#include "support/test_allocator.h"
#include "support/test_support.h"

#define MAX_ROWS 60
#define C 3

static lat_test_allocator counter;
static lat_context *context;

typedef struct rows_of_test {
  int64_t n;
  int32_t rows[MAX_ROWS][4];
  float feats[MAX_ROWS][C];
} rows_of_test;

static uint32_t draw(uint64_t stream, uint64_t at) {
  uint32_t block[4];
  lat_random_block(99, stream, at, block);
  return block[0];
}

/// Distinct rows in two batches with small integer features.
static rows_of_test random_rows(uint64_t stream) {
  rows_of_test t = {.n = 0};
  int64_t wanted = draw(stream, 0) % MAX_ROWS;
  for (uint64_t i = 1; t.n < wanted && i < 400; i++) {
    int32_t row[4] = {(int32_t)(draw(stream, 10 * i) % 2), (int32_t)(draw(stream, 10 * i + 1) % 5) - 2,
                      (int32_t)(draw(stream, 10 * i + 2) % 5) - 2, (int32_t)(draw(stream, 10 * i + 3) % 3)};
    int seen = 0;
    for (int64_t r = 0; r < t.n; r++) seen = seen || memcmp(t.rows[r], row, sizeof row) == 0;
    if (seen) continue;
    memcpy(t.rows[t.n], row, sizeof row);
    for (int c = 0; c < C; c++) t.feats[t.n][c] = (float)(draw(stream, 10 * i + 4 + (uint64_t)c) % 9) - 4.0F;
    t.n++;
  }
  return t;
}

static lat_tensor *make(const rows_of_test *t, int declares) {
  lat_coords *coords = NULL;
  lat_tensor *tensor = NULL;
  int64_t counts[2] = {0, 0};
  lat_tensor_opts opts = LAT_TENSOR_OPTS_INIT;
  lat_array_view rows = lat_view_2d(t->rows, LAT_DTYPE_I32, t->n, 4),
                 feats = lat_view_2d(t->feats, LAT_DTYPE_F32, t->n, C);
  for (int64_t r = 0; r < t->n; r++) counts[t->rows[r][0]]++;
  if (declares) opts.batch_counts = counts, opts.n_batches = 2;
  lat_test_assert_ok(lat_coords_create(context, &rows, NULL, &coords));
  lat_test_assert_ok(lat_tensor_create(context, coords, &feats, &opts, &tensor));
  lat_coords_release(coords);
  return tensor;
}

static int64_t find(const rows_of_test *t, const int32_t *row) {
  for (int64_t r = 0; r < t->n; r++) {
    if (memcmp(t->rows[r], row, sizeof t->rows[r]) == 0) return r;
  }
  return -1;
}

static float apply(lat_binary op, float a, float b) {
  if (op == LAT_BINARY_ADD) return a + b;
  if (op == LAT_BINARY_SUB) return a - b;
  if (op == LAT_BINARY_MUL) return a * b;
  if (isnan(a) || isnan(b)) return NAN;
  if (op == LAT_BINARY_MAXIMUM) return a > b ? a : b;
  return a < b ? a : b;
}

static const float *feats_of(const lat_tensor *t) {
  return lat_tensor_feats(t).data;
}

static const int32_t *rows_of(const lat_tensor *t) {
  return lat_coords_rows(lat_tensor_coords(t)).data;
}

/// Every row of the result is the operation on both sides or their fills, and every row that the join asks for is there.
static void check_binary(const rows_of_test *a, const rows_of_test *b, const lat_binary_opts *opts,
                         const lat_tensor *result) {
  int64_t n = lat_tensor_count(result), expected = 0;
  lat_join join = opts->join ? opts->join : LAT_JOIN_OUTER;
  for (int64_t r = 0; r < n; r++) {
    const int32_t *row = rows_of(result) + 4 * r;
    int64_t in_a = find(a, row), in_b = find(b, row);
    for (int c = 0; c < C; c++) {
      float x = in_a < 0 ? (float)opts->lhs_fill : a->feats[in_a][c];
      float y = in_b < 0 ? (float)opts->rhs_fill : b->feats[in_b][c];
      float want = apply(opts->op, x, y), got = feats_of(result)[r * C + c];
      assert_true(want == got || (isnan(want) && isnan(got)));
    }
  }
  for (int64_t r = 0; r < a->n; r++)
    expected += join != LAT_JOIN_RIGHT && (join != LAT_JOIN_INNER || find(b, a->rows[r]) >= 0);
  for (int64_t r = 0; r < b->n; r++) {
    expected += join == LAT_JOIN_RIGHT || (join == LAT_JOIN_OUTER && find(a, b->rows[r]) < 0);
  }
  assert_int_equal(n, expected);
}

static void binary_operations(void **state) {
  (void)state;
  for (uint64_t i = 0; i < 12; i++) {
    rows_of_test a = random_rows(2 * i), b = random_rows(2 * i + 1);
    if (i == 3 && a.n > 0) a.feats[0][0] = NAN;
    lat_tensor *x = make(&a, 0), *y = make(&b, 0), *z = NULL;
    for (int op = LAT_BINARY_ADD; op <= LAT_BINARY_MINIMUM; op++) {
      for (int join = LAT_JOIN_DEFAULT; join <= LAT_JOIN_OUTER; join++) {
        lat_binary_opts opts = LAT_BINARY_OPTS_INIT;
        opts.op = (lat_binary)op, opts.join = (lat_join)join, opts.lhs_fill = -1.5, opts.rhs_fill = INFINITY;
        lat_test_assert_ok(lat_sparse_binary(context, x, y, &opts, &z));
        check_binary(&a, &b, &opts, z);
        lat_tensor_release(z);
      }
    }
    lat_status (*named[4])(lat_context *, const lat_tensor *, const lat_tensor *, lat_join,
                           lat_tensor **) = {lat_sparse_sub, lat_sparse_mul, lat_sparse_maximum, lat_sparse_minimum};
    for (int f = 0; f < 4; f++) {
      lat_binary_opts opts = LAT_BINARY_OPTS_INIT;
      opts.op = (lat_binary)(f + 1), opts.join = f == 0 ? LAT_JOIN_OUTER : LAT_JOIN_INNER;
      lat_test_assert_ok(named[f](context, x, y, LAT_JOIN_DEFAULT, &z));
      check_binary(&a, &b, &opts, z);
      lat_tensor_release(z);
    }
    lat_tensor_release(x);
    lat_tensor_release(y);
  }
}

/// Shared identity: row meets row, join and fills do not matter, the set is kept.
static void binary_on_one_set(void **state) {
  (void)state;
  rows_of_test a = random_rows(50);
  lat_tensor *x = make(&a, 1), *z = NULL;
  lat_binary_opts opts = LAT_BINARY_OPTS_INIT;
  opts.op = LAT_BINARY_MUL, opts.lhs_fill = 7.0;
  lat_test_assert_ok(lat_sparse_binary(context, x, x, &opts, &z));
  assert_true(lat_tensor_same_coords(x, z));
  assert_non_null(lat_tensor_batch_counts(z));
  for (int64_t i = 0; i < a.n * C; i++) assert_true(feats_of(z)[i] == feats_of(x)[i] * feats_of(x)[i]);
  lat_tensor_release(z);
  lat_tensor_release(x);
}

static void concatenation_of_many(void **state) {
  (void)state;
  rows_of_test t[3] = {random_rows(60), random_rows(61), random_rows(62)};
  lat_tensor *x[3] = {make(&t[0], 0), make(&t[1], 0), make(&t[2], 0)}, *z = NULL;
  lat_test_assert_ok(lat_sparse_cat(context, (const lat_tensor *const *)x, 3, LAT_JOIN_OUTER, &z));
  assert_int_equal(lat_tensor_channels(z), 3 * C);
  for (int64_t r = 0; r < lat_tensor_count(z); r++) {
    for (int i = 0; i < 3; i++) {
      int64_t row = find(&t[i], rows_of(z) + 4 * r);
      for (int c = 0; c < C; c++) {
        assert_true(feats_of(z)[r * 3 * C + i * C + c] == (row < 0 ? 0.0F : t[i].feats[row][c]));
      }
    }
  }
  lat_tensor_release(z);
  lat_test_assert_ok(lat_sparse_cat(context, (const lat_tensor *const *)x, 1, LAT_JOIN_DEFAULT, &z));
  assert_ptr_equal(z, x[0]);
  lat_tensor_release(z);
  for (int i = 0; i < 3; i++) lat_tensor_release(x[i]);
}

static void assert_chosen(const rows_of_test *t, const lat_tensor *z, const int32_t *rows, int64_t n) {
  int64_t counts[2] = {0, 0};
  assert_int_equal(lat_tensor_count(z), n);
  for (int64_t r = 0; r < n; r++) {
    assert_memory_equal(rows_of(z) + 4 * r, t->rows[rows[r]], sizeof t->rows[0]);
    assert_memory_equal(feats_of(z) + C * r, t->feats[rows[r]], sizeof t->feats[0]);
    counts[t->rows[rows[r]][0]]++;
  }
  assert_int_equal(lat_tensor_batch_size(z), 2);
  assert_memory_equal(lat_tensor_batch_counts(z), counts, sizeof counts);
}

static void pruning(void **state) {
  (void)state;
  for (uint64_t i = 70; i < 80; i++) {
    rows_of_test t = random_rows(i);
    lat_tensor *x = make(&t, 1), *z = NULL;
    int32_t rows[2 * MAX_ROWS], inside[MAX_ROWS];
    uint8_t mask[MAX_ROWS];
    int64_t n = 0, n_inside = 0, n_picked = t.n ? draw(i, 7) % (2 * MAX_ROWS) : 0;
    for (int64_t r = 0; r < n_picked; r++) rows[r] = (int32_t)(draw(i + 500, (uint64_t)r) % (uint32_t)t.n);
    lat_array_view view = lat_view_1d(rows, LAT_DTYPE_I32, n_picked);
    lat_test_assert_ok(lat_prune(context, x, &view, &z));
    assert_chosen(&t, z, rows, n_picked);
    lat_tensor_release(z);
    for (int64_t r = 0; r < t.n; r++) {
      mask[r] = draw(i + 600, (uint64_t)r) % 3 == 0 ? 4 : 0;
      if (mask[r]) rows[n++] = (int32_t)r;
      const int32_t *p = t.rows[r];
      if (p[1] >= -1 && p[1] <= 1 && p[2] >= 0 && p[2] <= 2 && p[3] == 1) inside[n_inside++] = (int32_t)r;
    }
    view = lat_view_1d(mask, LAT_DTYPE_U8, t.n);
    lat_test_assert_ok(lat_prune_mask(context, x, &view, &z));
    assert_chosen(&t, z, rows, n);
    lat_tensor_release(z);
    lat_test_assert_ok(lat_crop(context, x, (lat_triple){-1, 0, 1}, (lat_triple){1, 2, 1}, &z));
    assert_chosen(&t, z, inside, n_inside);
    lat_tensor_release(z);
    lat_tensor_release(x);
  }
}

/// The definition by selection: repeatedly the lowest (score, row) of what is left; the last k of that order.
static void best_rows(void **state) {
  (void)state;
  for (uint64_t i = 90; i < 100; i++) {
    rows_of_test t = random_rows(i);
    lat_tensor *x = make(&t, 1);
    int64_t counts[2] = {draw(i, 3) % 20, draw(i, 4) % 20}, at = 0;
    double rho = i % 2 ? 0.5 : 1.7;
    lat_array *rows = NULL;
    lat_test_assert_ok(lat_topk_rows(context, x, counts, 2, rho, &rows));
    for (int32_t b = 0; b < 2; b++) {
      int32_t order[MAX_ROWS];
      int64_t n = 0;
      char used[MAX_ROWS] = {0};
      for (;;) {
        int64_t best = -1;
        for (int64_t r = 0; r < t.n; r++) {
          if (t.rows[r][0] == b && !used[r] && (best < 0 || t.feats[r][0] < t.feats[best][0])) best = r;
        }
        if (best < 0) break;
        used[best] = 1;
        order[n++] = (int32_t)best;
      }
      int64_t k = (int64_t)((double)counts[b] * rho);
      k = k < n ? k : n;
      for (int64_t j = n - k; j < n; j++) assert_int_equal(((int32_t *)lat_array_data(rows))[at++], order[j]);
    }
    assert_int_equal(lat_array_count(rows), at);
    lat_array_release(rows);
    lat_tensor_release(x);
  }
}

static void matching(void **state) {
  (void)state;
  rows_of_test a = random_rows(110), b = random_rows(111);
  if (a.n > 0) a.feats[0][0] = INFINITY; // must not leak into missing rows
  lat_tensor *x = make(&a, 0), *target = make(&b, 1), *z = NULL;
  lat_test_assert_ok(lat_reindex_sparse(context, x, target, 2.5, &z));
  assert_true(lat_tensor_same_coords(z, target));
  assert_non_null(lat_tensor_batch_counts(z));
  for (int64_t r = 0; r < b.n; r++) {
    int64_t row = find(&a, b.rows[r]);
    for (int c = 0; c < C; c++) assert_true(feats_of(z)[r * C + c] == (row < 0 ? 2.5F : a.feats[row][c]));
  }
  lat_tensor_release(z);
  lat_test_assert_ok(lat_reindex_sparse(context, target, target, 1.0, &z));
  assert_ptr_equal(lat_tensor_feats_array(z), lat_tensor_feats_array(target));
  lat_tensor_release(z);
  const float feats[] = {1, 2, 3, 4};
  const int32_t rows[] = {1, -1, 0, -7, 1};
  const float expected[] = {3, 4, -2, -2, 1, 2, -2, -2, 3, 4};
  lat_array *out = NULL;
  lat_array_view f = lat_view_2d(feats, LAT_DTYPE_F32, 2, 2), r = lat_view_1d(rows, LAT_DTYPE_I32, 5);
  lat_test_assert_ok(lat_gather_aligned_features(context, &f, &r, -2.0, &out));
  assert_memory_equal(lat_array_data(out), expected, sizeof expected);
  lat_array_release(out);
  f = lat_view_2d(NULL, LAT_DTYPE_F32, 0, 2);
  const int32_t none[] = {-1, -1};
  r = lat_view_1d(none, LAT_DTYPE_I32, 2);
  lat_test_assert_ok(lat_gather_aligned_features(context, &f, &r, 0.0, &out));
  for (int i = 0; i < 4; i++) assert_true(((float *)lat_array_data(out))[i] == 0.0F);
  lat_array_release(out);
  lat_tensor_release(x);
  lat_tensor_release(target);
}

#define REFUSES(call, status, text) lat_test_assert_error((call), LAT_STATUS_##status, text)

static void refusals(void **state) {
  (void)state;
  rows_of_test t = {.n = 2, .rows = {{0, 1, 1, 1}, {1, 2, 2, 2}}};
  lat_tensor *x = make(&t, 1), *bare = make(&t, 0), *z = NULL, *coarse = NULL;
  lat_array *out = NULL;
  const int32_t bad_rows[] = {0, 2}, negative[] = {-1};
  const int64_t counts[] = {1, -1, 1};
  const float wrong[] = {0, 0};
  lat_binary_opts opts = LAT_BINARY_OPTS_INIT;
  lat_array_view r = lat_view_1d(bad_rows, LAT_DTYPE_I32, 2), w = lat_view_1d(wrong, LAT_DTYPE_F32, 2);
  lat_coords *coords = NULL;
  lat_coords_opts two = LAT_COORDS_OPTS_INIT;
  two.stride = lat_triple_all(2);
  lat_array_view rows = lat_view_2d(t.rows, LAT_DTYPE_I32, 2, 4);
  lat_test_assert_ok(lat_coords_create(context, &rows, &two, &coords));
  lat_test_assert_ok(lat_tensor_share(context, coords, lat_tensor_feats_array(x), NULL, &coarse));
  opts.op = (lat_binary)9;
  REFUSES(lat_sparse_binary(context, x, bare, &opts, &z), INVALID_ARGUMENT, "unknown sparse binary op: got 9");
  opts.op = LAT_BINARY_ADD, opts.join = (lat_join)8;
  REFUSES(lat_sparse_binary(context, x, bare, &opts, &z), INVALID_ARGUMENT, "join must be");
  REFUSES(lat_sparse_mul(context, x, coarse, LAT_JOIN_DEFAULT, &z), INVALID_ARGUMENT, "strides must match");
  REFUSES(lat_sparse_cat(context, (const lat_tensor *const[]){x}, 0, LAT_JOIN_INNER, &z), INVALID_ARGUMENT,
          "at least one sparse tensor");
  REFUSES(lat_sparse_cat(context, (const lat_tensor *const[]){x}, 1, (lat_join)7, &z), INVALID_ARGUMENT,
          "join must be");
  REFUSES(lat_reindex_sparse(context, x, coarse, 0.0, &z), INVALID_ARGUMENT, "strides must match");
  REFUSES(lat_prune(context, x, &r, &z), INVALID_ARGUMENT, "rows must index active sparse rows: got 2 at entry 1");
  r = lat_view_1d(negative, LAT_DTYPE_I32, 1);
  REFUSES(lat_prune(context, x, &r, &z), INVALID_ARGUMENT, "got -1 at entry 0, expected 0 to 1");
  REFUSES(lat_prune(context, x, &w, &z), INVALID_DTYPE, "rows must be int32");
  r = lat_view_2d(bad_rows, LAT_DTYPE_I32, 1, 2);
  REFUSES(lat_prune(context, x, &r, &z), INVALID_SHAPE, "(N,)");
  REFUSES(lat_prune_mask(context, x, &w, &z), INVALID_DTYPE, "mask must be boolean");
  r = lat_view_1d(bad_rows, LAT_DTYPE_U8, 3);
  REFUSES(lat_prune_mask(context, x, &r, &z), INVALID_SHAPE, "mask must match the sparse tensor");
  REFUSES(lat_crop(context, x, (lat_triple){0, 3, 0}, (lat_triple){1, 2, 1}, &z), INVALID_ARGUMENT, "must not exceed");
  REFUSES(lat_topk_rows(context, bare, counts, 2, 1.0, &out), INVALID_ARGUMENT, "batch_counts metadata is required");
  REFUSES(lat_topk_rows(context, x, counts, 3, 1.0, &out), INVALID_SHAPE, "got 3, expected 2");
  REFUSES(lat_topk_rows(context, x, counts, 2, 0.0, &out), INVALID_ARGUMENT, "rho must be positive");
  REFUSES(lat_topk_rows(context, x, counts, 2, NAN, &out), INVALID_ARGUMENT, "rho must be positive");
  REFUSES(lat_topk_rows(context, x, counts, 2, 1.0, &out), INVALID_ARGUMENT, "got -1 for batch item 1");
  lat_array_view f = lat_tensor_feats(x);
  r = lat_view_1d(bad_rows, LAT_DTYPE_I32, 2);
  REFUSES(lat_gather_aligned_features(context, &f, &r, 0.0, &out), INVALID_ARGUMENT, "got 2 at entry 1");
  REFUSES(lat_gather_aligned_features(context, &w, &r, 0.0, &out), INVALID_SHAPE, "(N, C)");
  REFUSES(lat_gather_aligned_features(context, &rows, &r, 0.0, &out), INVALID_DTYPE, "int32");
  assert_null(z);
  assert_null(out);
  lat_coords_release(coords);
  lat_tensor_release(coarse);
  lat_tensor_release(x);
  lat_tensor_release(bare);
}

#define NULLED(call, what) lat_test_assert_error((call), LAT_STATUS_INVALID_ARGUMENT, what)

static void null_arguments(void **state) {
  (void)state;
  rows_of_test t = {.n = 1, .rows = {{0, 1, 1, 1}}};
  lat_tensor *x = make(&t, 1), *z = NULL;
  lat_array *out = NULL;
  const int32_t zero[] = {0};
  const int64_t one[] = {1};
  lat_array_view r = lat_view_1d(zero, LAT_DTYPE_I32, 1), m = lat_view_1d(zero, LAT_DTYPE_U8, 1),
                 f = lat_tensor_feats(x);
  lat_status (*named[4])(lat_context *, const lat_tensor *, const lat_tensor *, lat_join,
                         lat_tensor **) = {lat_sparse_sub, lat_sparse_mul, lat_sparse_maximum, lat_sparse_minimum};
  for (int i = 0; i < 4; i++) {
    NULLED(named[i](NULL, x, x, LAT_JOIN_DEFAULT, &z), "context: got NULL");
    NULLED(named[i](context, NULL, x, LAT_JOIN_DEFAULT, &z), "lhs: got NULL");
    NULLED(named[i](context, x, NULL, LAT_JOIN_DEFAULT, &z), "rhs: got NULL");
    NULLED(named[i](context, x, x, LAT_JOIN_DEFAULT, NULL), "out: got NULL");
  }
  NULLED(lat_sparse_binary(NULL, x, x, NULL, &z), "context: got NULL");
  NULLED(lat_sparse_binary(context, NULL, x, NULL, &z), "lhs: got NULL");
  NULLED(lat_sparse_binary(context, x, NULL, NULL, &z), "rhs: got NULL");
  NULLED(lat_sparse_binary(context, x, x, NULL, NULL), "out: got NULL");
  NULLED(lat_sparse_cat(NULL, (const lat_tensor *const[]){x, x}, 2, LAT_JOIN_DEFAULT, &z), "context: got NULL");
  NULLED(lat_sparse_cat(context, NULL, 2, LAT_JOIN_DEFAULT, &z), "tensors: ");
  NULLED(lat_sparse_cat(context, (const lat_tensor *const[]){x, NULL}, 2, LAT_JOIN_DEFAULT, &z), "got NULL");
  NULLED(lat_sparse_cat(context, (const lat_tensor *const[]){x, x}, 2, LAT_JOIN_DEFAULT, NULL), "out: got NULL");
  NULLED(lat_gather_aligned_features(NULL, &f, &r, 0.0, &out), "context: got NULL");
  NULLED(lat_gather_aligned_features(context, NULL, &r, 0.0, &out), "features: got NULL");
  NULLED(lat_gather_aligned_features(context, &f, NULL, 0.0, &out), "rows: got NULL");
  NULLED(lat_gather_aligned_features(context, &f, &r, 0.0, NULL), "out: got NULL");
  NULLED(lat_reindex_sparse(NULL, x, x, 0.0, &z), "context: got NULL");
  NULLED(lat_reindex_sparse(context, NULL, x, 0.0, &z), "input: got NULL");
  NULLED(lat_reindex_sparse(context, x, NULL, 0.0, &z), "target: got NULL");
  NULLED(lat_reindex_sparse(context, x, x, 0.0, NULL), "out: got NULL");
  NULLED(lat_prune(NULL, x, &r, &z), "context: got NULL");
  NULLED(lat_prune(context, NULL, &r, &z), "x: got NULL");
  NULLED(lat_prune(context, x, NULL, &z), "rows: got NULL");
  NULLED(lat_prune(context, x, &r, NULL), "out: got NULL");
  NULLED(lat_prune_mask(NULL, x, &m, &z), "context: got NULL");
  NULLED(lat_prune_mask(context, NULL, &m, &z), "x: got NULL");
  NULLED(lat_prune_mask(context, x, NULL, &z), "mask: got NULL");
  NULLED(lat_prune_mask(context, x, &m, NULL), "out: got NULL");
  NULLED(lat_crop(NULL, x, lat_triple_all(0), lat_triple_all(1), &z), "context: got NULL");
  NULLED(lat_crop(context, NULL, lat_triple_all(0), lat_triple_all(1), &z), "x: got NULL");
  NULLED(lat_crop(context, x, lat_triple_all(0), lat_triple_all(1), NULL), "out: got NULL");
  NULLED(lat_topk_rows(NULL, x, one, 1, 1.0, &out), "context: got NULL");
  NULLED(lat_topk_rows(context, NULL, one, 1, 1.0, &out), "x: got NULL");
  NULLED(lat_topk_rows(context, x, NULL, 1, 1.0, &out), "counts: got NULL");
  NULLED(lat_topk_rows(context, x, one, 1, 1.0, NULL), "out: got NULL");
  assert_null(z);
  assert_null(out);
  lat_tensor_release(x);
}

static int set_up(void **state) {
  (void)state;
  context = lat_test_context_create(&counter, 2);
  return 0;
}

static int tear_down(void **state) {
  (void)state;
  lat_test_context_finish(context, &counter);
  return 0;
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(binary_operations), cmocka_unit_test(binary_on_one_set), cmocka_unit_test(concatenation_of_many),
      cmocka_unit_test(pruning),           cmocka_unit_test(best_rows),         cmocka_unit_test(matching),
      cmocka_unit_test(refusals),          cmocka_unit_test(null_arguments),
  };
  return cmocka_run_group_tests(tests, set_up, tear_down);
}
