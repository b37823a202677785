// sparse_add and sparse_cat_aligned on random sets against the naive join: duplicates, every pair of dtypes, wide rows,
// 1, 2 and 5 threads bit for bit; commutativity.
// covers: lat_sparse_add lat_sparse_cat_aligned
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include <lattice/algebra.h>

#include "ref/ref_algebra.h"
#include "support/tensor_cases.h"
#include "support/test_support.h"

#define N_CONTEXTS 3

static lat_context *contexts[N_CONTEXTS]; // 1, 2 and 5 threads

static const lat_dtype dtypes[3] = {LAT_DTYPE_F32, LAT_DTYPE_F16, LAT_DTYPE_BF16};

static int set_up(void **state) {
  const int32_t threads[N_CONTEXTS] = {1, 2, 5};
  (void)state;
  for (int i = 0; i < N_CONTEXTS; i++) {
    lat_context_opts opts = LAT_CONTEXT_OPTS_INIT;
    opts.n_threads = threads[i];
    if (lat_context_create(&opts, &contexts[i])) return 1;
  }
  return 0;
}

static int tear_down(void **state) {
  (void)state;
  for (int i = 0; i < N_CONTEXTS; i++) lat_context_destroy(contexts[i]);
  return 0;
}

typedef struct side {
  int64_t n, channels;
  lat_dtype dtype;
  int32_t *rows;
  double *values; // as drawn, then as the tensor holds them
} side;

static void draw_side(lat_test_random *random, int64_t max_rows, int64_t channels, side *s) {
  s->n = lat_test_below(random, max_rows);
  s->channels = channels;
  s->dtype = dtypes[lat_test_below(random, 3)];
  s->rows = lat_test_random_rows(random, s->n, 2, 4, lat_test_below(random, 3) == 0);
  s->values = lat_test_random_values(random, s->n * channels, -8, 8);
}

static void drop_side(side *s) {
  free(s->rows);
  free(s->values);
}

static float rounded(lat_dtype dtype, float value) {
  if (dtype == LAT_DTYPE_F16) return lat_f16_to_f32(lat_f32_to_f16(value));
  return dtype == LAT_DTYPE_BF16 ? lat_bf16_to_f32(lat_f32_to_bf16(value)) : value;
}

static double value_at(const double *values, int32_t row, int64_t channels, int64_t c) {
  return row < 0 ? 0.0 : values[row * channels + c];
}

/// Every element of the result: sums and copies have one right answer.
static void check_result(const side *lhs, const side *rhs, ref_join join, int concatenates, const lat_tensor *x,
                         const lat_tensor *z, const lat_tensor *y) {
  size_t room = (size_t)(lhs->n + rhs->n + 1);
  int32_t *rows = malloc(room * 4 * sizeof *rows), *lhs_rows = malloc(room * sizeof *rows),
          *rhs_rows = malloc(room * sizeof *rows);
  double *a = lat_test_read_feats(x), *b = lat_test_read_feats(z), *got = lat_test_read_feats(y);
  int64_t n = ref_align(join, lhs->rows, lhs->n, rhs->rows, rhs->n, rows, lhs_rows, rhs_rows);
  lat_dtype dtype = lhs->dtype == rhs->dtype ? lhs->dtype : LAT_DTYPE_F32;
  assert_int_equal(lat_tensor_count(y), n);
  assert_int_equal(lat_tensor_dtype(y), dtype);
  if (n > 0) assert_memory_equal(lat_coords_rows(lat_tensor_coords(y)).data, rows, (size_t)n * 4 * sizeof *rows);
  int64_t channels = concatenates ? lhs->channels + rhs->channels : lhs->channels;
  for (int64_t i = 0; i < n * channels; i++) {
    int64_t r = i / channels, c = i % channels;
    double expected = 0;
    if (!concatenates) {
      expected = value_at(a, lhs_rows[r], channels, c) + value_at(b, rhs_rows[r], channels, c);
    } else if (c < lhs->channels) {
      expected = value_at(a, lhs_rows[r], lhs->channels, c);
    } else {
      expected = value_at(b, rhs_rows[r], rhs->channels, c - lhs->channels);
    }
    assert_true(got[i] == (double)rounded(dtype, (float)expected));
  }
  free(rows), free(lhs_rows), free(rhs_rows), free(a), free(b), free(got);
}

static void check_case(uint64_t seed) {
  lat_test_random random = {seed, 0};
  side lhs, rhs;
  int concatenates = (int)(seed % 2);
  ref_join join = (ref_join)(1 + seed / 2 % 4);
  int64_t channels = seed % 11 == 0 ? 1024 + lat_test_below(&random, 600) : lat_test_below(&random, 20);
  draw_side(&random, 200, channels, &lhs);
  draw_side(&random, 200, concatenates ? lat_test_below(&random, 20) : channels, &rhs);
  lat_tensor *first = NULL;
  for (int i = 0; i < N_CONTEXTS; i++) {
    lat_tensor *x = lat_test_tensor(contexts[i], lhs.rows, lhs.n, lhs.values, lhs.channels, lhs.dtype, NULL), *y = NULL;
    lat_tensor *z = lat_test_tensor(contexts[i], rhs.rows, rhs.n, rhs.values, rhs.channels, rhs.dtype, NULL);
    lat_test_assert_ok(concatenates ? lat_sparse_cat_aligned(contexts[i], x, z, (lat_join)join, &y)
                                    : lat_sparse_add(contexts[i], x, z, (lat_join)join, &y));
    if (!first) {
      first = lat_tensor_retain(y);
      check_result(&lhs, &rhs, join, concatenates, x, z, y);
    }
    lat_test_assert_same_view(lat_tensor_feats(first), lat_tensor_feats(y));
    lat_tensor_release(x), lat_tensor_release(y), lat_tensor_release(z);
  }
  lat_tensor_release(first);
  drop_side(&lhs);
  drop_side(&rhs);
}

static void test_random_joins(void **state) {
  (void)state;
  for (uint64_t seed = 1; seed <= 120; seed++) check_case(seed);
}

// Row meets row over one set: flat tiles and their remainder.
static void test_shared_sets(void **state) {
  (void)state;
  lat_test_random random = {9, 0};
  const int64_t sizes[][2] = {{1, 1}, {31, 33}, {32, 32}, {1, 1024}, {1025, 1}, {700, 100}, {0, 5}, {5, 0}};
  for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
    int64_t n = sizes[i][0], count = n * sizes[i][1];
    lat_dtype left = dtypes[i % 3], right = dtypes[i / 3 % 3];
    int32_t *rows = lat_test_random_rows(&random, n, 1, 20, 0);
    double *a = lat_test_random_values(&random, count, -8, 8), *b = lat_test_random_values(&random, count, -8, 8);
    lat_tensor *first = NULL;
    for (int k = 0; k < N_CONTEXTS; k++) {
      lat_coords *coords = lat_test_coords(contexts[k], rows, n);
      lat_tensor *x = lat_test_tensor_on(contexts[k], coords, a, sizes[i][1], left, NULL), *y = NULL;
      lat_tensor *z = lat_test_tensor_on(contexts[k], coords, b, sizes[i][1], right, NULL);
      lat_test_assert_ok(lat_sparse_add(contexts[k], x, z, LAT_JOIN_DEFAULT, &y));
      if (!first) {
        first = lat_tensor_retain(y);
        double *p = lat_test_read_feats(x), *q = lat_test_read_feats(z), *got = lat_test_read_feats(y);
        for (int64_t e = 0; e < count; e++) {
          assert_true(got[e] == (double)rounded(left == right ? left : LAT_DTYPE_F32, (float)(p[e] + q[e])));
        }
        free(p), free(q), free(got);
      }
      lat_test_assert_same_view(lat_tensor_feats(first), lat_tensor_feats(y));
      lat_tensor_release(x), lat_tensor_release(y), lat_tensor_release(z);
      lat_coords_release(coords);
    }
    lat_tensor_release(first);
    free(rows), free(a), free(b);
  }
}

// a + b and b + a over the inner join of sets without duplicates hold the same values, in each left side's order.
static void test_addition_commutes(void **state) {
  (void)state;
  lat_test_random random = {10, 0};
  enum { n = 300, channels = 4 };
  int32_t *left = lat_test_random_rows(&random, n, 1, 4, 0), *right = lat_test_random_rows(&random, n, 1, 4, 0);
  double *a = lat_test_random_values(&random, n * channels, -8, 8),
         *b = lat_test_random_values(&random, n * channels, -8, 8);
  lat_tensor *x = lat_test_tensor(contexts[1], left, n, a, channels, LAT_DTYPE_F32, NULL), *xz = NULL, *zx = NULL;
  lat_tensor *z = lat_test_tensor(contexts[1], right, n, b, channels, LAT_DTYPE_F32, NULL);
  lat_test_assert_ok(lat_sparse_add(contexts[1], x, z, LAT_JOIN_OUTER, &xz));
  lat_test_assert_ok(lat_sparse_add(contexts[1], z, x, LAT_JOIN_OUTER, &zx));
  lat_array_view rows = lat_coords_rows(lat_tensor_coords(xz));
  lat_array *found = NULL;
  assert_int_equal(lat_tensor_count(xz), lat_tensor_count(zx));
  assert_true(lat_tensor_count(xz) > n && lat_tensor_count(xz) < 2 * n); // some meet, some do not
  lat_test_assert_ok(lat_coords_lookup(contexts[1], lat_tensor_coords(zx), &rows, &found));
  const float *p = lat_tensor_feats(xz).data, *q = lat_tensor_feats(zx).data;
  for (int64_t r = 0; r < rows.shape[0]; r++) {
    int32_t other = ((const int32_t *)lat_array_data(found))[r];
    assert_true(other >= 0);
    assert_memory_equal(p + r * channels, q + other * channels, channels * sizeof *p);
  }
  lat_array_release(found);
  lat_tensor_release(x), lat_tensor_release(z), lat_tensor_release(xz), lat_tensor_release(zx);
  free(left), free(right), free(a), free(b);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_random_joins),
      cmocka_unit_test(test_shared_sets),
      cmocka_unit_test(test_addition_commutes),
  };
  return cmocka_run_group_tests(tests, set_up, tear_down);
}
