// Laws of the convolutions on random problems: the naive reference, the same bits at every level, thread count and batch
// composition, permutation of rows, linearity.
// covers: lat_conv3d lat_subm_conv3d
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include <lattice/lattice.h>

#include "support/conv_problem.h"
#include "support/test_support.h"

enum { N_PROBLEMS = 60, N_LARGE = 6 };

static lat_context *make_context(int32_t n_threads, lat_cpu_level level) {
  lat_context_opts opts = LAT_CONTEXT_OPTS_INIT;
  lat_context *context = NULL;
  opts.n_threads = n_threads;
  opts.cpu_level = level;
  lat_test_assert_ok(lat_context_create(&opts, &context));
  return context;
}

static void test_reference(void **state) {
  (void)state;
  lat_context *context = make_context(2, LAT_CPU_LEVEL_AUTO);
  for (uint64_t seed = 1; seed <= N_PROBLEMS + N_LARGE; seed++) {
    bool submanifold = seed % 3 == 0;
    conv_problem_opts opts = {.submanifold = submanifold, .pointwise = seed % 10 == 1, .large = seed > N_PROBLEMS};
    conv_problem p = conv_problem_create(seed, opts);
    lat_tensor *y = conv_problem_run(context, &p, p.rows, p.n, p.x, submanifold);
    conv_problem_check(&p, y, false);
    lat_tensor_release(y);
    conv_problem_free(&p);
  }
  lat_context_destroy(context);
}

static void test_integers_are_exact(void **state) {
  (void)state;
  lat_context *context = make_context(1, LAT_CPU_LEVEL_AUTO);
  for (uint64_t seed = 100; seed < 100 + N_PROBLEMS / 2; seed++) {
    bool submanifold = seed % 3 == 0;
    conv_problem p = conv_problem_create(seed, (conv_problem_opts){.submanifold = submanifold, .integers = true});
    lat_tensor *y = conv_problem_run(context, &p, p.rows, p.n, p.x, submanifold);
    // Sums of small integers are exact in float32; float16 holds them up to 2048, beyond that it rounds.
    conv_problem_check(&p, y, p.dtype == LAT_DTYPE_F32);
    lat_tensor_release(y);
    conv_problem_free(&p);
  }
  lat_context_destroy(context);
}

/// Runs a problem at a level and thread count; returns NULL when the machine lacks the level.
static lat_tensor *run_at(const conv_problem *p, int32_t n_threads, lat_cpu_level level, bool submanifold) {
  lat_context *context = make_context(n_threads, level);
  lat_tensor *y = NULL;
  if (lat_context_cpu_level(context) == level) y = conv_problem_run(context, p, p->rows, p->n, p->x, submanifold);
  lat_context_destroy(context);
  return y;
}

static void test_levels_and_threads(void **state) {
  (void)state;
  static const lat_cpu_level levels[] = {LAT_CPU_LEVEL_SCALAR, LAT_CPU_LEVEL_NEON, LAT_CPU_LEVEL_AVX2,
                                         LAT_CPU_LEVEL_AVX512};
  static const int32_t threads[] = {1, 2, 5};
  for (uint64_t seed = 200; seed < 200 + N_PROBLEMS / 2 + N_LARGE; seed++) {
    bool submanifold = seed % 3 == 0;
    conv_problem_opts opts = {.submanifold = submanifold, .large = seed >= 200 + N_PROBLEMS / 2};
    conv_problem p = conv_problem_create(seed, opts);
    lat_tensor *first = run_at(&p, 1, LAT_CPU_LEVEL_SCALAR, submanifold);
    for (size_t level = 0; level < sizeof levels / sizeof levels[0]; level++) {
      for (size_t t = 0; t < sizeof threads / sizeof threads[0]; t++) {
        lat_tensor *y = run_at(&p, threads[t], levels[level], submanifold);
        if (y) conv_problem_assert_same(&p, y, first, lat_cpu_level_name(levels[level]));
        lat_tensor_release(y);
      }
    }
    lat_tensor_release(first);
    conv_problem_free(&p);
  }
}

/// Copies the rows of one batch item, or every row in the order of `order`; features alongside. Returns their number.
static int64_t take_rows(const conv_problem *p, int32_t batch, const int64_t *order, int32_t *rows, double *x) {
  int64_t n = 0;
  for (int64_t r = 0; r < p->n; r++) {
    int64_t from = order ? order[r] : r;
    if (batch >= 0 && p->rows[4 * from] != batch) continue;
    memcpy(rows + 4 * n, p->rows + 4 * from, 4 * sizeof *rows);
    memcpy(x + n * p->c_in, p->x + from * p->c_in, (size_t)p->c_in * sizeof *x);
    n++;
  }
  return n;
}

/// Asserts that row r of `part` equals the next row of `whole` in its batch item, coordinates and bits.
static void assert_rows_of_batch(const conv_problem *p, const lat_tensor *whole, const lat_tensor *part,
                                 int32_t batch) {
  const int32_t *whole_rows = lat_coords_rows(lat_tensor_coords(whole)).data;
  const int32_t *part_rows = lat_coords_rows(lat_tensor_coords(part)).data;
  size_t row_bytes = (size_t)p->c_out * lat_dtype_bytes(p->dtype);
  int64_t at = 0;
  for (int64_t r = 0; r < lat_tensor_count(whole); r++) {
    if (whole_rows[4 * r] != batch) continue;
    if (at >= lat_tensor_count(part) || memcmp(whole_rows + 4 * r, part_rows + 4 * at, 16) != 0 ||
        memcmp((const char *)lat_tensor_feats(whole).data + (size_t)r * row_bytes,
               (const char *)lat_tensor_feats(part).data + (size_t)at * row_bytes, row_bytes) != 0) {
      fail_msg("%s: batch item %d alone gives other bits at row %lld", p->text, (int)batch, (long long)at);
    }
    at++;
  }
  if (!p->target) assert_int_equal(at, lat_tensor_count(part));
}

static void test_batch_composition(void **state) {
  (void)state;
  lat_context *context = make_context(2, LAT_CPU_LEVEL_AUTO);
  for (uint64_t seed = 300; seed < 300 + N_PROBLEMS / 2 + N_LARGE; seed++) {
    bool submanifold = seed % 3 == 0;
    conv_problem_opts opts = {.submanifold = submanifold, .large = seed >= 300 + N_PROBLEMS / 2};
    conv_problem p = conv_problem_create(seed, opts);
    free(p.target); // a target holds rows of every item
    p.target = NULL;
    int32_t *rows = malloc((size_t)(p.n + 1) * 4 * sizeof *rows);
    double *x = malloc((size_t)(p.n + 1) * (size_t)p.c_in * sizeof *x);
    lat_tensor *whole = conv_problem_run(context, &p, p.rows, p.n, p.x, submanifold);
    for (int32_t batch = 0; batch < 3; batch++) {
      int64_t n = take_rows(&p, batch, NULL, rows, x);
      lat_tensor *part = conv_problem_run(context, &p, rows, n, x, submanifold);
      assert_rows_of_batch(&p, whole, part, batch);
      lat_tensor_release(part);
    }
    lat_tensor_release(whole);
    free(rows);
    free(x);
    conv_problem_free(&p);
  }
  lat_context_destroy(context);
}

static void test_permutation(void **state) {
  (void)state;
  lat_context *context = make_context(2, LAT_CPU_LEVEL_AUTO);
  for (uint64_t seed = 400; seed < 400 + N_PROBLEMS / 2; seed++) {
    // Stride 1 without padding: output row r belongs to input row r, so a permutation of the input permutes the output.
    conv_problem p = conv_problem_create(seed, (conv_problem_opts){.submanifold = true, .large = seed % 10 == 0});
    if (p.duplicates) { // which of equal rows comes first is what a permutation changes
      conv_problem_free(&p);
      continue;
    }
    uint64_t random = seed;
    int64_t *order = calloc((size_t)(p.n + 1), sizeof *order);
    int32_t *rows = malloc((size_t)(p.n + 1) * 4 * sizeof *rows);
    double *x = malloc((size_t)(p.n + 1) * (size_t)p.c_in * sizeof *x);
    for (int64_t r = 0; r < p.n; r++) {
      int64_t other = conv_random_below(&random, r + 1);
      order[r] = order[other];
      order[other] = r;
    }
    take_rows(&p, -1, order, rows, x);
    lat_tensor *plain = conv_problem_run(context, &p, p.rows, p.n, p.x, seed % 2 == 0);
    lat_tensor *permuted = conv_problem_run(context, &p, rows, p.n, x, seed % 2 == 0);
    for (int64_t i = 0; i < p.n * p.c_out; i++) {
      double expected = conv_problem_value(plain, order[i / p.c_out] * p.c_out + i % p.c_out);
      if (conv_problem_value(permuted, i) != expected) fail_msg("%s: permuted rows give other values", p.text);
    }
    lat_tensor_release(plain);
    lat_tensor_release(permuted);
    free(order);
    free(rows);
    free(x);
    conv_problem_free(&p);
  }
  lat_context_destroy(context);
}

static void test_linearity(void **state) {
  (void)state;
  lat_context *context = make_context(1, LAT_CPU_LEVEL_AUTO);
  for (uint64_t seed = 500; seed < 500 + N_PROBLEMS / 2; seed++) {
    conv_problem p = conv_problem_create(seed, (conv_problem_opts){.integers = true});
    int64_t n = p.n * p.c_in;
    double *other = malloc((size_t)(n + 1) * sizeof *other), *mixed = malloc((size_t)(n + 1) * sizeof *mixed);
    uint64_t random = seed;
    p.has_bias = false;
    p.dtype = LAT_DTYPE_F32; // exact: the law holds without a tolerance
    for (int64_t i = 0; i < n; i++) {
      other[i] = (double)(conv_random_below(&random, 9) - 4);
      mixed[i] = 2.0 * p.x[i] - 3.0 * other[i];
    }
    lat_tensor *a = conv_problem_run(context, &p, p.rows, p.n, p.x, false);
    lat_tensor *b = conv_problem_run(context, &p, p.rows, p.n, other, false);
    lat_tensor *both = conv_problem_run(context, &p, p.rows, p.n, mixed, false);
    for (int64_t i = 0; i < lat_tensor_count(a) * p.c_out; i++) {
      double expected = 2.0 * conv_problem_value(a, i) - 3.0 * conv_problem_value(b, i);
      if (conv_problem_value(both, i) != expected) fail_msg("%s: not linear", p.text);
    }
    lat_tensor_release(a);
    lat_tensor_release(b);
    lat_tensor_release(both);
    free(other);
    free(mixed);
    conv_problem_free(&p);
  }
  lat_context_destroy(context);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_reference),          cmocka_unit_test(test_integers_are_exact),
      cmocka_unit_test(test_levels_and_threads), cmocka_unit_test(test_batch_composition),
      cmocka_unit_test(test_permutation),        cmocka_unit_test(test_linearity),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
