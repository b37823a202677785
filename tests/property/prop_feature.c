// Norms and activations on random tensors against the double reference: sizes across every lane and chunk border, rows far
// from zero, three dtypes, 1, 2 and 5 threads bit for bit, permuted rows.
// covers: lat_relu lat_gelu lat_batch_norm lat_layer_norm lat_rms_norm
#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include <lattice/feature.h>

#include "ref/ref_feature.h"
#include "support/tensor_cases.h"
#include "support/test_support.h"

#define N_CONTEXTS 4

static lat_context *contexts[N_CONTEXTS]; // 1, 2 and 5 threads; the last one with 2 threads at the scalar level

typedef enum norm_kind { BATCH = 0, LAYER = 1, RMS = 2 } norm_kind;

static const lat_dtype dtypes[3] = {LAT_DTYPE_F32, LAT_DTYPE_F16, LAT_DTYPE_BF16};

static int set_up(void **state) {
  const int32_t threads[N_CONTEXTS] = {1, 2, 5, 2};
  (void)state;
  for (int i = 0; i < N_CONTEXTS; i++) {
    lat_context_opts opts = LAT_CONTEXT_OPTS_INIT;
    opts.n_threads = threads[i];
    if (i == 3) opts.cpu_level = LAT_CPU_LEVEL_SCALAR;
    if (lat_context_create(&opts, &contexts[i])) return 1;
  }
  return 0;
}

static int tear_down(void **state) {
  (void)state;
  for (int i = 0; i < N_CONTEXTS; i++) lat_context_destroy(contexts[i]);
  return 0;
}

static lat_status run(lat_context *context, norm_kind kind, const lat_tensor *x, const lat_norm_opts *opts,
                      lat_tensor **y) {
  if (kind == BATCH) return lat_batch_norm(context, x, opts, y);
  return kind == LAYER ? lat_layer_norm(context, x, opts, y) : lat_rms_norm(context, x, opts, y);
}

static void reference(norm_kind kind, const ref_norm *norm, const double *x, double *y) {
  if (kind == BATCH) ref_batch_norm(norm, x, y);
  if (kind == LAYER) ref_layer_norm(norm, x, y);
  if (kind == RMS) ref_rms_norm(norm, x, y);
}

typedef struct norm_case {
  norm_kind kind;
  int64_t n_rows, channels;
  double offset; // of the values, in deviations
  lat_dtype dtype;
  int affine; // weight and bias (rms: weight)
} norm_case;

static double epsilon_of(lat_dtype dtype) {
  if (dtype == LAT_DTYPE_F32) return 0;
  return dtype == LAT_DTYPE_F16 ? 0x1p-11 : 0x1p-8;
}

/// What docs/numerics.md states: a few roundings of values of size |result|, weight and bias, and in batch norm half an
/// ulp of the mean, which counts in deviations (0.98 here).
static double tolerance_of(const norm_case *c, double expected, double scale) {
  double float_error = 0x1p-24 * (8 + log2((double)c->channels + 1)) * (fabs(expected) + 2 * scale + 1);
  if (c->kind == BATCH) float_error += 0x1p-24 * 1.3 * scale * fabs(c->offset);
  return float_error + epsilon_of(c->dtype) * (fabs(expected) + float_error) + 0x1p-24;
}

static void check_norm(lat_test_random *random, const norm_case *c) {
  int64_t n = c->n_rows * c->channels;
  int32_t *rows = lat_test_random_rows(random, c->n_rows, 2, 40, 0);
  double *drawn = lat_test_random_values(random, n, c->offset - 1.7, c->offset + 1.7);
  double *weight = lat_test_random_values(random, c->channels, -2, 2);
  double *bias = lat_test_random_values(random, c->channels, -1, 1),
         *expected = malloc(((size_t)n + 1) * sizeof *drawn);
  lat_tensor *first = NULL;
  for (int i = 0; i < N_CONTEXTS; i++) {
    lat_tensor *x = lat_test_tensor(contexts[i], rows, c->n_rows, drawn, c->channels, c->dtype, NULL), *y = NULL;
    lat_array_view weight_view = lat_view_1d(weight, LAT_DTYPE_F64, c->channels);
    lat_array_view bias_view = lat_view_1d(bias, LAT_DTYPE_F64, c->channels);
    lat_array *weight_array = NULL, *bias_array = NULL;
    lat_norm_opts opts = LAT_NORM_OPTS_INIT;
    lat_test_assert_ok(lat_array_cast(contexts[i], &weight_view, c->dtype, &weight_array));
    lat_test_assert_ok(lat_array_cast(contexts[i], &bias_view, c->dtype, &bias_array));
    weight_view = lat_array_as_view(weight_array);
    bias_view = lat_array_as_view(bias_array);
    if (c->affine) opts.weight = &weight_view;
    if (c->affine && c->kind != RMS) opts.bias = &bias_view;
    lat_test_assert_ok(run(contexts[i], c->kind, x, &opts, &y));
    if (!first) {
      first = lat_tensor_retain(y);
      double *values = lat_test_read_feats(x), *got = lat_test_read_feats(y);
      double *w = lat_test_read(weight_view), *b = lat_test_read(bias_view);
      ref_norm norm = {.n_rows = c->n_rows, .channels = c->channels, .eps = 1e-5};
      norm.weight = opts.weight ? w : NULL;
      norm.bias = opts.bias ? b : NULL;
      reference(c->kind, &norm, values, expected);
      for (int64_t e = 0; e < n; e++) {
        double bound = tolerance_of(c, expected[e], norm.weight ? fabs(w[e % c->channels]) : 1.0);
        if (!(fabs(got[e] - expected[e]) <= bound)) {
          fail_msg("norm %d, %lld x %lld, offset %g, %s, element %lld: got %.9g, expected %.9g within %.3g",
                   (int)c->kind, (long long)c->n_rows, (long long)c->channels, c->offset, lat_dtype_name(c->dtype),
                   (long long)e, got[e], expected[e], bound);
        }
      }
      free(values), free(got), free(w), free(b);
    }
    lat_test_assert_same_view(lat_tensor_feats(first), lat_tensor_feats(y));
    lat_tensor_release(y);
    lat_tensor_release(x);
    lat_array_release(weight_array);
    lat_array_release(bias_array);
  }
  lat_tensor_release(first);
  free(rows), free(drawn), free(weight), free(bias), free(expected);
}

static void test_norms_of_every_width(void **state) {
  (void)state;
  lat_test_random random = {11, 0};
  for (int64_t channels = 1; channels <= 50; channels++) {
    norm_case c = {.n_rows = 1 + lat_test_below(&random, 40), .channels = channels, .affine = (int)(channels % 2)};
    c.dtype = dtypes[channels % 3];
    for (int kind = BATCH; kind <= RMS; kind++) {
      c.kind = (norm_kind)kind;
      check_norm(&random, &c);
    }
  }
}

// Around the chunk of 256 rows and the tiles of 4096 elements, and a row longer than a tile.
static void test_norms_of_many_rows(void **state) {
  (void)state;
  lat_test_random random = {12, 0};
  const int64_t sizes[][2] = {{255, 3}, {256, 3}, {257, 3}, {4097, 2}, {700, 33}, {3, 5000}, {1, 4096}, {20000, 4}};
  for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
    norm_case c = {.n_rows = sizes[i][0], .channels = sizes[i][1], .affine = 1};
    for (int kind = BATCH; kind <= RMS; kind++) {
      c.kind = (norm_kind)kind;
      c.dtype = dtypes[(i + (size_t)kind) % 3];
      check_norm(&random, &c);
    }
  }
}

static void test_norms_far_from_zero(void **state) {
  (void)state;
  lat_test_random random = {13, 0};
  const double offsets[3] = {30, -1000, 20000};
  for (int i = 0; i < 3; i++) {
    norm_case c = {.kind = BATCH, .n_rows = 900, .channels = 17, .offset = offsets[i], .dtype = LAT_DTYPE_F32};
    check_norm(&random, &c);
    c.kind = LAYER;
    check_norm(&random, &c);
  }
}

/// Rows in the order `order`: row r of the result is row order[r] of `values`.
static double *permuted(const double *values, const int64_t *order, int64_t n_rows, int64_t channels) {
  double *result = malloc((size_t)(n_rows * channels) * sizeof *result);
  for (int64_t r = 0; r < n_rows; r++) {
    memcpy(result + r * channels, values + order[r] * channels, (size_t)channels * sizeof *result);
  }
  return result;
}

// Row-wise operations know no other rows: permuting the rows permutes the bits. Batch norm may round its sums otherwise.
static void test_permuting_rows_permutes_results(void **state) {
  (void)state;
  enum { n_rows = 600, channels = 9 };
  lat_test_random random = {14, 0};
  int64_t order[n_rows];
  for (int64_t r = 0; r < n_rows; r++) order[r] = r;
  for (int64_t r = n_rows - 1; r > 0; r--) {
    int64_t other = lat_test_below(&random, r + 1), kept = order[r];
    order[r] = order[other];
    order[other] = kept;
  }
  int32_t *rows = lat_test_random_rows(&random, n_rows, 1, 20, 0);
  double *values = lat_test_random_values(&random, n_rows * channels, -3, 3);
  double *moved = permuted(values, order, n_rows, channels);
  for (int kind = BATCH; kind <= RMS; kind++) {
    lat_tensor *x = lat_test_tensor(contexts[1], rows, n_rows, values, channels, LAT_DTYPE_F32, NULL), *y = NULL;
    lat_tensor *moved_x = lat_test_tensor(contexts[1], rows, n_rows, moved, channels, LAT_DTYPE_F32, NULL),
               *moved_y = NULL;
    lat_test_assert_ok(run(contexts[1], (norm_kind)kind, x, NULL, &y));
    lat_test_assert_ok(run(contexts[1], (norm_kind)kind, moved_x, NULL, &moved_y));
    double *plain = lat_test_read_feats(y), *got = lat_test_read_feats(moved_y);
    double *expected = permuted(plain, order, n_rows, channels);
    for (int64_t i = 0; i < n_rows * channels; i++) {
      assert_true(fabs(got[i] - expected[i]) <= (kind == BATCH ? 4 * 0x1p-24 * (1 + fabs(expected[i])) : 0));
    }
    free(plain), free(got), free(expected);
    lat_tensor_release(x), lat_tensor_release(y), lat_tensor_release(moved_x), lat_tensor_release(moved_y);
  }
  free(rows), free(values), free(moved);
}

// gelu(x) - gelu(-x) = x for all three forms, up to rounding; relu(x) - relu(-x) = x exactly.
static void test_odd_parts(void **state) {
  (void)state;
  lat_test_random random = {15, 0};
  enum { n = 5000 };
  int32_t *rows = lat_test_random_rows(&random, n, 1, 20, 0);
  double *values = lat_test_random_values(&random, n, -20, 20), *negated = malloc(n * sizeof *negated);
  for (int i = 0; i < n; i++) negated[i] = -values[i];
  for (int form = -1; form < 3; form++) {
    lat_tensor *x = lat_test_tensor(contexts[2], rows, n, values, 1, LAT_DTYPE_F32, NULL), *y = NULL, *z = NULL;
    lat_tensor *minus = lat_test_tensor(contexts[2], rows, n, negated, 1, LAT_DTYPE_F32, NULL);
    lat_test_assert_ok(form < 0 ? lat_relu(contexts[2], x, &y) : lat_gelu(contexts[2], x, (lat_gelu_approx)form, &y));
    lat_test_assert_ok(form < 0 ? lat_relu(contexts[2], minus, &z)
                                : lat_gelu(contexts[2], minus, (lat_gelu_approx)form, &z));
    double *in = lat_test_read_feats(x), *a = lat_test_read_feats(y), *b = lat_test_read_feats(z);
    for (int i = 0; i < n; i++) assert_true(fabs(a[i] - b[i] - in[i]) <= (form < 0 ? 0 : 4 * 0x1p-24 * fabs(in[i])));
    free(in), free(a), free(b);
    lat_tensor_release(x), lat_tensor_release(y), lat_tensor_release(z), lat_tensor_release(minus);
  }
  free(rows), free(values), free(negated);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_norms_of_every_width),
      cmocka_unit_test(test_norms_of_many_rows),
      cmocka_unit_test(test_norms_far_from_zero),
      cmocka_unit_test(test_permuting_rows_permutes_results),
      cmocka_unit_test(test_odd_parts),
  };
  return cmocka_run_group_tests(tests, set_up, tear_down);
}
