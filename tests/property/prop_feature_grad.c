// Gradients of feature operations on random features: central differences of the double reference, three dtypes, 1, 2 and
// 5 threads bit for bit.
// covers: lat_activation_backward lat_softmax_backward lat_dropout_backward lat_embedding_backward
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include <lattice/feature.h>

#include "ref/ref_feature.h"
#include "support/tensor_cases.h"
#include "support/test_support.h"

#define N_CONTEXTS 3
#define STEP 1e-5

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

/// Half an ulp of the dtype, relative.
static double epsilon_of(lat_dtype dtype) {
  if (dtype == LAT_DTYPE_F32) return 0x1p-24;
  return dtype == LAT_DTYPE_F16 ? 0x1p-11 : 0x1p-8;
}

/// One rounding of the exact value, and `slack` for the differences (and for float16 below its normal range).
static void check_close(const char *what, int64_t i, double got, double expected, lat_dtype dtype, double slack) {
  double bound = 1.01 * epsilon_of(dtype) * fabs(expected) + slack + (dtype == LAT_DTYPE_F16 ? 0x1p-25 : 0);
  if (!(fabs(got - expected) <= bound)) {
    fail_msg("%s, %s, element %lld: got %.9g, expected %.9g within %.3g", what, lat_dtype_name(dtype), (long long)i,
             got, expected, bound);
  }
}

static void test_activations(void **state) {
  (void)state;
  enum { n = 400, channels = 5 };
  lat_test_random random = {41, 0};
  int32_t *rows = lat_test_random_rows(&random, n, 2, 20, 0);
  lat_activation_opts opts = LAT_ACTIVATION_OPTS_INIT;
  opts.alpha = 0.125, opts.beta = 1.5, opts.threshold = 3.0;
  for (int kind = 0; kind < 10; kind++) {
    for (int d = 0; d < 3; d++) {
      const ref_activation activation = {kind, 0.125, 1.5, 3.0};
      double *drawn = lat_test_random_values(&random, n * channels, -6, 6);
      double *grads = lat_test_random_values(&random, n * channels, -2, 2);
      lat_array *first = NULL;
      for (int i = 0; i < N_CONTEXTS; i++) {
        lat_tensor *x = lat_test_tensor(contexts[i], rows, n, drawn, channels, dtypes[d], NULL);
        lat_tensor *g = lat_test_tensor(contexts[i], rows, n, grads, channels, dtypes[(d + kind) % 3], NULL);
        lat_array_view grad = lat_tensor_feats(g);
        lat_array *dx = NULL;
        lat_test_assert_ok(lat_activation_backward(contexts[i], x, (lat_activation_kind)kind, &grad, &opts, &dx));
        assert_int_equal(lat_array_as_view(dx).dtype, dtypes[d]);
        if (!first) {
          first = lat_array_retain(dx);
          double *values = lat_test_read_feats(x), *dy = lat_test_read_feats(g);
          double *got = lat_test_read(lat_array_as_view(dx));
          for (int64_t e = 0; e < n * channels; e++) {
            if (fabs(values[e]) < STEP || fabs(values[e] * 1.5 - 3.0) < 2 * STEP) continue; // at a kink
            double slope = (ref_activation_value(&activation, values[e] + STEP) -
                            ref_activation_value(&activation, values[e] - STEP)) /
                           (2 * STEP);
            check_close("activation", e, got[e], dy[e] * slope, dtypes[d], 1e-7 + (kind == 9 ? 1e-9 * slope : 0));
          }
          free(values), free(dy), free(got);
        }
        lat_test_assert_same_view(lat_array_as_view(first), lat_array_as_view(dx));
        lat_array_release(dx);
        lat_tensor_release(g);
        lat_tensor_release(x);
      }
      lat_array_release(first);
      free(drawn), free(grads);
    }
  }
  free(rows);
}

static void check_softmax(lat_test_random *random, int64_t n, int64_t channels, lat_dtype dtype) {
  int64_t count = n * channels;
  int32_t *rows = lat_test_random_rows(random, n, 1, 30, 0);
  double *drawn = lat_test_random_values(random, count, -4, 4), *grads = lat_test_random_values(random, count, -2, 2);
  double *soft = malloc((size_t)count * sizeof *soft), *high = malloc((size_t)count * sizeof *high);
  double *low = malloc((size_t)count * sizeof *low);
  lat_array *first = NULL, *first_dx = NULL;
  for (int i = 0; i < N_CONTEXTS; i++) {
    lat_tensor *x = lat_test_tensor(contexts[i], rows, n, drawn, channels, dtype, NULL);
    lat_tensor *g = lat_test_tensor(contexts[i], rows, n, grads, channels, LAT_DTYPE_F32, NULL);
    lat_array_view view = lat_tensor_feats(x), grad = lat_tensor_feats(g);
    lat_array *y = NULL, *dx = NULL;
    lat_test_assert_ok(lat_softmax(contexts[i], &view, &y));
    lat_test_assert_ok(lat_softmax_backward(contexts[i], &view, &grad, &dx));
    if (!first) {
      first = lat_array_retain(y);
      first_dx = lat_array_retain(dx);
      double *values = lat_test_read_feats(x), *dy = lat_test_read_feats(g);
      double *got = lat_test_read(lat_array_as_view(y)), *got_dx = lat_test_read(lat_array_as_view(dx));
      ref_softmax(values, n, channels, soft);
      for (int64_t e = 0; e < count; e++) check_close("softmax", e, got[e], soft[e], LAT_DTYPE_F32, 1e-12);
      for (int64_t c = 0; c < channels; c++) { // rows do not touch each other: one channel of all rows at a time
        for (int64_t r = 0; r < n; r++) values[r * channels + c] += STEP;
        ref_softmax(values, n, channels, high);
        for (int64_t r = 0; r < n; r++) values[r * channels + c] -= 2 * STEP;
        ref_softmax(values, n, channels, low);
        for (int64_t r = 0; r < n; r++) values[r * channels + c] += STEP;
        for (int64_t r = 0; r < n; r++) {
          double sum = 0, size = 0;
          for (int64_t k = r * channels; k < (r + 1) * channels; k++) {
            sum += dy[k] * (high[k] - low[k]) / (2 * STEP);
            size += fabs(dy[k]) * soft[k];
          }
          check_close("softmax_backward", r * channels + c, got_dx[r * channels + c], sum, dtype,
                      1e-8 + 0x1p-23 * size * soft[r * channels + c]);
        }
      }
      free(values), free(dy), free(got), free(got_dx);
    }
    lat_test_assert_same_view(lat_array_as_view(first), lat_array_as_view(y));
    lat_test_assert_same_view(lat_array_as_view(first_dx), lat_array_as_view(dx));
    lat_array_release(y);
    lat_array_release(dx);
    lat_tensor_release(g);
    lat_tensor_release(x);
  }
  lat_array_release(first);
  lat_array_release(first_dx);
  free(rows), free(drawn), free(grads), free(soft), free(high), free(low);
}

static void test_softmax(void **state) {
  (void)state;
  lat_test_random random = {42, 0};
  for (int64_t channels = 1; channels <= 40; channels += 3) check_softmax(&random, 30, channels, dtypes[channels % 3]);
  check_softmax(&random, 3000, 6, LAT_DTYPE_F32);
}

// Scattering is linear: the gradient of the table against sums in double.
static void test_embedding(void **state) {
  (void)state;
  lat_test_random random = {43, 0};
  for (int d = 0; d < 3; d++) {
    enum { n = 5000, n_table = 70, channels = 9 };
    int32_t *rows = lat_test_random_rows(&random, n, 1, 40, 0),
            *table_rows = lat_test_random_rows(&random, n_table, 1, 9, 0);
    int32_t *indices = malloc(n * sizeof *indices);
    double *grads = lat_test_random_values(&random, n * channels, -2, 2);
    double *table_values = lat_test_random_values(&random, n_table * channels, -2, 2);
    lat_array *first = NULL;
    for (int64_t i = 0; i < n; i++) indices[i] = (int32_t)lat_test_below(&random, n_table);
    for (int i = 0; i < N_CONTEXTS; i++) {
      lat_tensor *g = lat_test_tensor(contexts[i], rows, n, grads, channels, dtypes[d], NULL);
      lat_tensor *t = lat_test_tensor(contexts[i], table_rows, n_table, table_values, channels, dtypes[2 - d], NULL);
      lat_array_view grad = lat_tensor_feats(g), table = lat_tensor_feats(t);
      lat_array_view index_view = lat_view_1d(indices, LAT_DTYPE_I32, n);
      lat_array *dt = NULL;
      lat_test_assert_ok(lat_embedding_backward(contexts[i], &index_view, &table, &grad, &dt));
      if (!first) {
        double sums[n_table * channels] = {0};
        double *dy = lat_test_read_feats(g), *got = lat_test_read(lat_array_as_view(dt));
        first = lat_array_retain(dt);
        for (int64_t e = 0; e < n * channels; e++) sums[indices[e / channels] * channels + e % channels] += dy[e];
        for (int64_t e = 0; e < n_table * channels; e++)
          check_close("embedding", e, got[e], sums[e], dtypes[2 - d], 1e-12);
        free(dy), free(got);
      }
      lat_test_assert_same_view(lat_array_as_view(first), lat_array_as_view(dt));
      lat_array_release(dt);
      lat_tensor_release(t);
      lat_tensor_release(g);
    }
    lat_array_release(first);
    free(rows), free(table_rows), free(indices), free(grads), free(table_values);
  }
}

// Dropout is linear in x under a fixed mask: <dropout(x), g> = <x, dropout_backward(g)>.
static void test_dropout_is_its_own_adjoint(void **state) {
  (void)state;
  enum { n = 900, channels = 7 };
  lat_test_random random = {44, 0};
  int32_t *rows = lat_test_random_rows(&random, n, 1, 20, 0);
  double *values = lat_test_random_values(&random, n * channels, -2, 2);
  double *grads = lat_test_random_values(&random, n * channels, -2, 2);
  for (int d = 0; d < 3; d++) {
    lat_dropout_opts opts = LAT_DROPOUT_OPTS_INIT;
    opts.p = 0.4, opts.stream = 3;
    lat_tensor *x = lat_test_tensor(contexts[1], rows, n, values, channels, dtypes[d], NULL), *y = NULL;
    lat_tensor *g = lat_test_tensor(contexts[1], rows, n, grads, channels, dtypes[d], NULL);
    lat_array_view grad = lat_tensor_feats(g);
    lat_array *dx = NULL;
    double left = 0, right = 0, size = 0;
    lat_test_assert_ok(lat_dropout(contexts[1], x, &opts, &y));
    lat_test_assert_ok(lat_dropout_backward(contexts[1], x, &grad, &opts, &dx));
    double *in = lat_test_read_feats(x), *out = lat_test_read_feats(y), *dy = lat_test_read_feats(g);
    double *back = lat_test_read(lat_array_as_view(dx));
    for (int64_t e = 0; e < n * channels; e++) {
      assert_true((out[e] == 0) == (back[e] == 0) || in[e] == 0 || dy[e] == 0);
      left += out[e] * dy[e], right += in[e] * back[e], size += fabs(out[e] * dy[e]);
    }
    assert_true(fabs(left - right) <= 2.1 * epsilon_of(dtypes[d]) * size);
    free(in), free(out), free(dy), free(back);
    lat_array_release(dx);
    lat_tensor_release(y), lat_tensor_release(g), lat_tensor_release(x);
  }
  free(rows), free(values), free(grads);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_activations),
      cmocka_unit_test(test_softmax),
      cmocka_unit_test(test_embedding),
      cmocka_unit_test(test_dropout_is_its_own_adjoint),
  };
  return cmocka_run_group_tests(tests, set_up, tear_down);
}
