// Gradients of sparse algebra, of chosen and matched rows, of neighbour features and of global pools on random problems:
// small integers and exact shares of them against naive sums, rounded once; duplicates, every join, fills, mixed dtypes.
//
// covers: lat_sparse_binary_backward lat_sparse_cat_backward lat_gather_aligned_features_backward
// covers: lat_reindex_sparse_backward lat_prune_backward lat_prune_mask_backward lat_crop_backward
// covers: lat_gather_neighbor_features_backward lat_global_pool_backward
#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include <lattice/lattice.h>

#include "ref/ref_algebra.h"
#include "support/tensor_cases.h"
#include "support/test_support.h"

enum { MAX_TENSORS = 4, CHANNELS = 6 };

static const lat_dtype dtypes[3] = {LAT_DTYPE_F32, LAT_DTYPE_F16, LAT_DTYPE_BF16};
static lat_context *contexts[3]; // 1, 2 and 5 threads

static int set_up(void **state) {
  const int32_t threads[3] = {1, 2, 5};
  (void)state;
  for (int i = 0; i < 3; i++) {
    lat_context_opts opts = LAT_CONTEXT_OPTS_INIT;
    opts.n_threads = threads[i];
    if (lat_context_create(&opts, &contexts[i])) return 1;
  }
  return 0;
}

static int tear_down(void **state) {
  (void)state;
  for (int i = 0; i < 3; i++) lat_context_destroy(contexts[i]);
  return 0;
}

static double rounded(lat_dtype dtype, double value) {
  if (dtype == LAT_DTYPE_F16) return (double)lat_f16_to_f32(lat_f32_to_f16((float)value));
  if (dtype == LAT_DTYPE_BF16) return (double)lat_bf16_to_f32(lat_f32_to_bf16((float)value));
  return (double)(float)value;
}

/// Small integers with many ties. From malloc.
static double *integers(lat_test_random *random, int64_t n) {
  double *values = malloc((size_t)(n + 1) * sizeof *values);
  for (int64_t i = 0; i < n; i++) values[i] = (double)(lat_test_below(random, 7) - 3);
  return values;
}

static lat_array *make_array(lat_context *context, const double *values, int64_t n, int64_t channels, lat_dtype dtype) {
  float *floats = malloc((size_t)(n * channels + 1) * sizeof *floats);
  lat_array *result = NULL;
  for (int64_t i = 0; i < n * channels; i++) floats[i] = (float)values[i];
  lat_array_view view = lat_view_2d(floats, LAT_DTYPE_F32, n, channels);
  lat_test_assert_ok(lat_array_cast(context, &view, dtype, &result));
  free(floats);
  return result;
}

static void assert_gradient(const char *what, uint64_t seed, const lat_array *got, lat_dtype dtype,
                            const double *expected, int64_t n, int64_t channels) {
  lat_array_view view = lat_array_as_view(got);
  double *values = lat_test_read(view);
  assert_true(view.rank == 2 && view.shape[0] == n && view.shape[1] == channels && view.dtype == dtype);
  for (int64_t i = 0; i < n * channels; i++) {
    if (values[i] == rounded(dtype, expected[i])) continue;
    fail_msg("%s, seed %d: element %d: got %g, expected %g", what, (int)seed, (int)i, values[i], expected[i]);
  }
  free(values);
}

typedef struct side {
  int64_t n, channels;
  int32_t *rows;
  double *values;
  lat_dtype dtype;
  lat_coords *coords;
  lat_tensor *x;
} side;

/// Random rows; `like` not NULL: the same set.
static side open_side(lat_context *context, lat_test_random *random, int64_t channels, const side *like) {
  side s = {.n = like ? like->n : lat_test_below(random, 120), .channels = channels};
  s.rows = lat_test_random_rows(random, s.n, 2, 3, lat_test_below(random, 2) == 0);
  if (like) memcpy(s.rows, like->rows, (size_t)s.n * 16);
  s.values = integers(random, s.n * channels);
  s.dtype = dtypes[lat_test_below(random, 3)];
  s.coords = like ? lat_coords_retain(like->coords) : lat_test_coords(context, s.rows, s.n);
  s.x = lat_test_tensor_on(context, s.coords, s.values, channels, s.dtype, NULL);
  return s;
}

static void close_side(side *s) {
  free(s->rows);
  free(s->values);
  lat_tensor_release(s->x);
  lat_coords_release(s->coords);
}

/// Derivative of the operation by its first (`side` 0) or second argument.
static double slope(lat_binary op, double a, double b, int which) {
  if (op == LAT_BINARY_ADD) return 1.0;
  if (op == LAT_BINARY_SUB) return which ? -1.0 : 1.0;
  if (op == LAT_BINARY_MUL) return which ? a : b;
  if (a == b) return 0.5;
  return (a > b) == (op == LAT_BINARY_MAXIMUM) ? !which : which;
}

static void check_binary(uint64_t seed) {
  lat_test_random random = {seed, 0};
  lat_context *context = contexts[seed % 3];
  side lhs = open_side(context, &random, CHANNELS, NULL);
  side rhs = open_side(context, &random, CHANNELS, seed % 7 == 0 ? &lhs : NULL);
  bool shared = lhs.coords == rhs.coords;
  lat_binary_opts opts = LAT_BINARY_OPTS_INIT;
  opts.op = (lat_binary)(seed % 5);
  opts.join = (lat_join)(seed / 5 % 5);
  opts.lhs_fill = (double)lat_test_below(&random, 3);
  opts.rhs_fill = -(double)lat_test_below(&random, 3);
  int64_t room = lhs.n + rhs.n + 1, n = lhs.n;
  int32_t *rows = malloc((size_t)room * 16), *at[2] = {malloc((size_t)room * 4), malloc((size_t)room * 4)};
  if (shared) {
    for (int64_t r = 0; r < n; r++) at[0][r] = at[1][r] = (int32_t)r;
  } else {
    ref_join join = opts.join ? (ref_join)opts.join : REF_JOIN_OUTER;
    n = ref_align(join, lhs.rows, lhs.n, rhs.rows, rhs.n, rows, at[0], at[1]);
  }
  double *g = integers(&random, n * CHANNELS);
  lat_array *grad = make_array(context, g, n, CHANNELS, dtypes[seed / 3 % 3]);
  lat_array_view view = lat_array_as_view(grad);
  lat_binary_grads grads;
  lat_test_assert_ok(lat_sparse_binary_backward(context, lhs.x, rhs.x, &opts, &view, &grads));
  const side *sides[2] = {&lhs, &rhs};
  for (int which = 0; which < 2; which++) {
    double *expected = calloc((size_t)(sides[which]->n * CHANNELS + 1), sizeof *expected);
    for (int64_t i = 0; i < n * CHANNELS; i++) {
      int64_t r = i / CHANNELS, c = i % CHANNELS;
      if (at[which][r] < 0) continue;
      double a = at[0][r] < 0 ? opts.lhs_fill : lhs.values[at[0][r] * CHANNELS + c];
      double b = at[1][r] < 0 ? opts.rhs_fill : rhs.values[at[1][r] * CHANNELS + c];
      expected[at[which][r] * CHANNELS + c] += g[i] * slope(opts.op, a, b, which);
    }
    assert_gradient(which ? "rhs" : "lhs", seed, which ? grads.rhs : grads.lhs, sides[which]->dtype, expected,
                    sides[which]->n, CHANNELS);
    free(expected);
  }
  lat_array_release(grads.lhs);
  lat_array_release(grads.rhs);
  lat_array_release(grad);
  void *memory[] = {rows, at[0], at[1], g};
  for (int i = 0; i < 4; i++) free(memory[i]);
  close_side(&lhs);
  close_side(&rhs);
}

static void test_binary(void **state) {
  (void)state;
  for (uint64_t seed = 1; seed <= 150; seed++) check_binary(seed);
}

/// Joins pairwise from the left; at[i][r] becomes the row of tensor i that row r of the result is, or -1. Returns the rows.
static int64_t join_all(side *sides, int n_tensors, lat_join join, int32_t *at[MAX_TENSORS], int64_t room) {
  int32_t *joined = malloc((size_t)room * 16), *next = malloc((size_t)room * 16), *left = malloc((size_t)room * 4);
  int64_t n = sides[0].n;
  lat_coords *set = sides[0].coords;
  memcpy(joined, sides[0].rows, (size_t)n * 16);
  for (int64_t r = 0; r < n; r++) at[0][r] = (int32_t)r;
  for (int i = 1; i < n_tensors; i++) {
    if (set == sides[i].coords) {
      for (int64_t r = 0; r < n; r++) at[i][r] = (int32_t)r;
      continue;
    }
    ref_join how = join ? (ref_join)join : REF_JOIN_INNER;
    n = ref_align(how, joined, n, sides[i].rows, sides[i].n, next, left, at[i]);
    set = NULL;
    for (int k = 0; k < i; k++) {
      int32_t *moved = malloc((size_t)room * 4);
      for (int64_t r = 0; r < n; r++) moved[r] = left[r] < 0 ? -1 : at[k][left[r]];
      free(at[k]);
      at[k] = moved;
    }
    int32_t *swap = joined;
    joined = next;
    next = swap;
  }
  free(joined);
  free(next);
  free(left);
  return n;
}

static void check_cat(uint64_t seed) {
  lat_test_random random = {seed + 1000, 0};
  lat_context *context = contexts[seed % 3];
  int n_tensors = 1 + (int)(seed % MAX_TENSORS);
  lat_join join = (lat_join)(seed / 4 % 5);
  side sides[MAX_TENSORS];
  const lat_tensor *tensors[MAX_TENSORS];
  int32_t *at[MAX_TENSORS];
  int64_t room = 1, channels = 0, first = 0;
  for (int i = 0; i < n_tensors; i++) {
    bool shared = i > 0 && lat_test_below(&random, 4) == 0;
    sides[i] = open_side(context, &random, 1 + lat_test_below(&random, 5), shared ? &sides[0] : NULL);
    tensors[i] = sides[i].x;
    room += sides[i].n;
    channels += sides[i].channels;
  }
  for (int i = 0; i < n_tensors; i++) at[i] = malloc((size_t)room * 4);
  int64_t n = join_all(sides, n_tensors, join, at, room);
  double *g = integers(&random, n * channels);
  lat_array *grad = make_array(context, g, n, channels, dtypes[seed % 3]), *grads[MAX_TENSORS];
  lat_array_view view = lat_array_as_view(grad);
  lat_test_assert_ok(lat_sparse_cat_backward(context, tensors, n_tensors, join, &view, grads));
  for (int i = 0; i < n_tensors; i++) {
    double *expected = calloc((size_t)(sides[i].n * sides[i].channels + 1), sizeof *expected);
    for (int64_t r = 0; r < n; r++) {
      for (int64_t c = 0; at[i][r] >= 0 && c < sides[i].channels; c++) {
        expected[at[i][r] * sides[i].channels + c] += g[r * channels + first + c];
      }
    }
    assert_gradient("cat", seed, grads[i], sides[i].dtype, expected, sides[i].n, sides[i].channels);
    first += sides[i].channels;
    free(expected);
    free(at[i]);
    lat_array_release(grads[i]);
  }
  free(g);
  lat_array_release(grad);
  for (int i = 0; i < n_tensors; i++) close_side(&sides[i]);
}

static void test_cat(void **state) {
  (void)state;
  for (uint64_t seed = 1; seed <= 120; seed++) check_cat(seed);
}

/// Row r of a result came from row rows[r] of the source (-1: from none).
typedef struct taken {
  int32_t *rows;
  int64_t n;
} taken;

typedef enum choice { GATHER, REINDEX, PRUNE, MASK, CROP, NEIGHBORS, N_CHOICES } choice;

/// Calls the backward function of a choice and says which rows it is about; `*grad` is what it got.
static taken run_choice(lat_context *context, lat_test_random *random, choice which, const side *s, double **g,
                        lat_array **out) {
  taken t = {NULL, 10 + lat_test_below(random, 200)};
  lat_dtype dtype = dtypes[lat_test_below(random, 3)];
  side target = open_side(context, random, 1, NULL);
  uint8_t *mask = malloc((size_t)s->n + 1);
  lat_triple low = {-1, -2, 0}, high = {2, 1, 3};
  lat_neighbors *neighbors = NULL;
  lat_radius_opts ball = LAT_RADIUS_OPTS_INIT;
  lat_array_view feats = lat_tensor_feats(s->x);
  t.rows = malloc((size_t)(t.n + s->n + target.n + 1) * sizeof *t.rows);
  ball.radius = 1.5;
  if (which == GATHER || which == PRUNE) {
    int64_t lowest = which == GATHER ? -1 : 0;
    if (which == PRUNE && s->n == 0) t.n = 0;
    for (int64_t r = 0; r < t.n; r++) t.rows[r] = (int32_t)(lowest + lat_test_below(random, s->n - lowest));
  } else if (which == REINDEX) {
    t.n = target.n;
    for (int64_t r = 0; r < t.n; r++) {
      t.rows[r] = -1;
      for (int64_t i = s->n - 1; i >= 0; i--) {
        if (memcmp(s->rows + 4 * i, target.rows + 4 * r, 16) == 0) t.rows[r] = (int32_t)i;
      }
    }
  } else if (which == NEIGHBORS) {
    lat_test_assert_ok(lat_neighbors_create_radius(context, s->coords, NULL, &ball, &neighbors));
    lat_neighbor_list list = lat_neighbors_edges(neighbors);
    t.n = list.n_edges;
    free(t.rows);
    t.rows = malloc((size_t)(t.n + 1) * sizeof *t.rows);
    for (int64_t e = 0; e < t.n; e++) t.rows[e] = list.source_rows[e];
  } else {
    t.n = 0;
    for (int64_t r = 0; r < s->n; r++) {
      const int32_t *row = s->rows + 4 * r;
      mask[r] = (uint8_t)lat_test_below(random, 3);
      bool inside = row[1] >= low.x && row[1] <= high.x && row[2] >= low.y && row[2] <= high.y && row[3] >= low.z &&
                    row[3] <= high.z;
      if (which == MASK ? mask[r] != 0 : inside) t.rows[t.n++] = (int32_t)r;
    }
  }
  *g = integers(random, t.n * s->channels);
  lat_array *grad = make_array(context, *g, t.n, s->channels, dtype);
  lat_array_view view = lat_array_as_view(grad), rows = lat_view_1d(t.rows, LAT_DTYPE_I32, t.n),
                 mask_view = lat_view_1d(mask, LAT_DTYPE_U8, s->n);
  lat_status status = LAT_STATUS_OK;
  if (which == GATHER) status = lat_gather_aligned_features_backward(context, &feats, &rows, &view, out);
  if (which == REINDEX) status = lat_reindex_sparse_backward(context, s->x, target.x, &view, out);
  if (which == PRUNE) status = lat_prune_backward(context, s->x, &rows, &view, out);
  if (which == MASK) status = lat_prune_mask_backward(context, s->x, &mask_view, &view, out);
  if (which == CROP) status = lat_crop_backward(context, s->x, low, high, &view, out);
  if (which == NEIGHBORS) status = lat_gather_neighbor_features_backward(context, &feats, neighbors, &view, out);
  lat_test_assert_ok(status);
  lat_array_release(grad);
  lat_neighbors_release(neighbors);
  free(mask);
  close_side(&target);
  return t;
}

static void test_chosen_rows(void **state) {
  (void)state;
  static const char *const names[N_CHOICES] = {"gather", "reindex", "prune", "mask", "crop", "neighbours"};
  for (uint64_t seed = 1; seed <= 120; seed++) {
    lat_test_random random = {seed + 5000, 0};
    lat_context *context = contexts[seed % 3];
    choice which = (choice)(seed % N_CHOICES);
    side s = open_side(context, &random, 1 + lat_test_below(&random, 20), NULL);
    double *g = NULL, *expected = calloc((size_t)(s.n * s.channels + 1), sizeof *expected);
    lat_array *out = NULL;
    taken t = run_choice(context, &random, which, &s, &g, &out);
    for (int64_t r = 0; r < t.n; r++) {
      for (int64_t c = 0; t.rows[r] >= 0 && c < s.channels; c++) {
        expected[t.rows[r] * s.channels + c] += g[r * s.channels + c];
      }
    }
    assert_gradient(names[which], seed, out, s.dtype, expected, s.n, s.channels);
    lat_array_release(out);
    free(t.rows);
    free(g);
    free(expected);
    close_side(&s);
  }
}

static void check_global_pool(uint64_t seed) {
  lat_test_random random = {seed + 9000, 0};
  lat_context *context = contexts[seed % 3];
  static const lat_pool_mode modes[3] = {LAT_POOL_SUM, LAT_POOL_AVG, LAT_POOL_MAX};
  lat_pool_mode mode = modes[seed / 3 % 3];
  int64_t channels = 1 + lat_test_below(&random, 9), n_items = 1 + lat_test_below(&random, 3);
  int64_t n = seed % 15 == 0 ? 2100 : n_items + lat_test_below(&random, 60);
  int32_t *rows = lat_test_random_rows(&random, n, n_items, 30, 0);
  for (int32_t b = 0; b < n_items; b++) rows[4 * b] = b; // none is empty
  lat_dtype dtype = dtypes[lat_test_below(&random, 3)];
  double *x = integers(&random, n * channels);
  for (int64_t i = 0; i < n * channels && seed % 5 == 0; i++) {
    if (lat_test_below(&random, 9) == 0) x[i] = (double)NAN;
  }
  // A batch size of its own: rows beyond it take no part; items beyond the rows are empty (not for the maximum).
  int64_t batch_size = mode == LAT_POOL_MAX ? 1 + lat_test_below(&random, n_items) : lat_test_below(&random, 5);
  if (seed % 2) batch_size = -1;
  int64_t n_out = batch_size < 0 ? 0 : batch_size;
  for (int64_t r = 0; batch_size < 0 && r < n; r++) n_out = n_out > rows[4 * r] + 1 ? n_out : rows[4 * r] + 1;
  double *g = integers(&random, n_out * channels);
  double *expected = calloc((size_t)(n * channels), sizeof *expected);
  for (int64_t i = 0; i < n * channels; i++) {
    int64_t b = rows[4 * (i / channels)], c = i % channels, count = 0, ties = 0;
    double largest = -(double)INFINITY;
    if (b >= n_out) continue;
    for (int64_t r = 0; r < n; r++) {
      if (rows[4 * r] != b) continue;
      double value = x[r * channels + c];
      count++;
      if (isnan(value) ? !isnan(largest) : value > largest) {
        largest = value;
        ties = 0;
      }
      ties += value == largest || (isnan(value) && isnan(largest));
    }
    bool wins = x[i] == largest || (isnan(x[i]) && isnan(largest));
    double whole = g[b * channels + c];
    expected[i] = mode == LAT_POOL_SUM   ? whole
                  : mode == LAT_POOL_AVG ? whole / (double)count
                  : wins                 ? whole / (double)ties
                                         : 0.0;
  }
  lat_tensor *tensor = lat_test_tensor(context, rows, n, x, channels, dtype, NULL);
  lat_array *grad = make_array(context, g, n_out, channels, dtypes[seed % 3]), *out = NULL;
  lat_array_view view = lat_array_as_view(grad);
  lat_test_assert_ok(lat_global_pool_backward(context, tensor, mode, batch_size, &view, &out));
  // A quotient of small integers lies far from the middle between two 16-bit numbers: through float32 it rounds alike.
  assert_gradient("global pool", seed, out, dtype, expected, n, channels);
  lat_array_release(out);
  lat_array_release(grad);
  lat_tensor_release(tensor);
  void *memory[] = {rows, x, g, expected};
  for (int i = 0; i < 4; i++) free(memory[i]);
}

static void test_global_pools(void **state) {
  (void)state;
  for (uint64_t seed = 1; seed <= 90; seed++) check_global_pool(seed);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(test_binary), cmocka_unit_test(test_cat),
                                     cmocka_unit_test(test_chosen_rows), cmocka_unit_test(test_global_pools)};
  return cmocka_run_group_tests(tests, set_up, tear_down);
}
