// Gradients of the norms on random features against central differences of the double reference: three dtypes, statistics
// from the rows and given, 1, 2 and 5 threads bit for bit; instance and group norm forward as well.
// covers: lat_batch_norm_backward lat_layer_norm_backward lat_rms_norm_backward lat_instance_norm_backward
// covers: lat_group_norm_backward lat_instance_norm lat_group_norm
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include <lattice/feature.h>

#include "ref/ref_feature.h"
#include "support/tensor_cases.h"
#include "support/test_support.h"

#define N_CONTEXTS 3
#define STEP 1e-4
#define EPS 0.1 // keeps the third derivatives small, so that the differences are exact enough

static lat_context *contexts[N_CONTEXTS]; // 1, 2 and 5 threads

static const lat_dtype dtypes[3] = {LAT_DTYPE_F32, LAT_DTYPE_F16, LAT_DTYPE_BF16};

typedef enum norm_kind { BATCH, LAYER, RMS, INSTANCE, GROUP } norm_kind;

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

typedef struct grad_case {
  norm_kind kind;
  int64_t n_rows, channels, groups;
  lat_dtype dtype, dtype_grad;
  int affine, given_mean, given_var;
} grad_case;

/// What one case works on, as the library rounded it.
typedef struct grad_problem {
  const grad_case *c;
  int32_t *rows;
  double *x, *dy, *y;
  double *parameters[4]; ///< weight, bias, mean, var; NULL: absent
} grad_problem;

static void reference(const grad_problem *p, double *y) {
  const grad_case *c = p->c;
  ref_norm norm = {c->n_rows, c->channels, p->parameters[0], p->parameters[1], p->parameters[2], p->parameters[3], EPS};
  if (c->kind == BATCH) ref_batch_norm(&norm, p->x, y);
  if (c->kind == LAYER) ref_layer_norm(&norm, p->x, y);
  if (c->kind == RMS) ref_rms_norm(&norm, p->x, y);
  if (c->kind == INSTANCE) ref_group_norm(&norm, p->rows, c->channels, p->x, y);
  if (c->kind == GROUP) ref_group_norm(&norm, p->rows, c->groups, p->x, y);
}

/// Derivative of sum(dy y) by one number that the reference reads.
static double difference(const grad_problem *p, double *value) {
  double kept = *value, sums[2] = {0, 0};
  int64_t n = p->c->n_rows * p->c->channels;
  for (int side = 0; side < 2; side++) {
    *value = kept + (side ? -STEP : STEP);
    reference(p, p->y);
    for (int64_t i = 0; i < n; i++) sums[side] += p->dy[i] * p->y[i];
  }
  *value = kept;
  return (sums[0] - sums[1]) / (2 * STEP);
}

static lat_status forward(lat_context *context, const grad_case *c, const lat_tensor *x, const lat_norm_opts *opts,
                          lat_tensor **out) {
  if (c->kind == INSTANCE) return lat_instance_norm(context, x, opts, out);
  return lat_group_norm(context, x, c->groups, opts, out);
}

static lat_status backward(lat_context *context, const grad_case *c, const lat_tensor *x, const lat_array_view *grad,
                           const lat_norm_opts *opts, lat_norm_grads *out) {
  if (c->kind == BATCH) return lat_batch_norm_backward(context, x, grad, opts, LAT_GRAD_ALL, out);
  if (c->kind == LAYER) return lat_layer_norm_backward(context, x, grad, opts, LAT_GRAD_ALL, out);
  if (c->kind == RMS) return lat_rms_norm_backward(context, x, grad, opts, LAT_GRAD_ALL, out);
  if (c->kind == INSTANCE) return lat_instance_norm_backward(context, x, grad, opts, LAT_GRAD_ALL, out);
  return lat_group_norm_backward(context, x, c->groups, grad, opts, LAT_GRAD_ALL, out);
}

static void check_close(const grad_problem *p, const char *what, int64_t i, double got, double expected,
                        lat_dtype dtype) {
  double relative = dtype == LAT_DTYPE_F32 ? 0x1p-23 : dtype == LAT_DTYPE_F16 ? 0x1.02p-11 : 0x1.02p-8;
  double bound = relative * fabs(expected) + 4e-6;
  if (!(fabs(got - expected) <= bound)) {
    fail_msg("norm %d, %lld x %lld, %s, %s of element %lld: got %.9g, expected %.9g within %.3g", (int)p->c->kind,
             (long long)p->c->n_rows, (long long)p->c->channels, lat_dtype_name(dtype), what, (long long)i, got,
             expected, bound);
  }
}

/// Checks the gradients of all parameters and of at most 60 elements of x.
static void check_gradients(lat_test_random *random, grad_problem *p, const lat_norm_grads *grads) {
  const grad_case *c = p->c;
  lat_array *const arrays[2] = {grads->weight, grads->bias};
  int64_t n = c->n_rows * c->channels;
  double *got = lat_test_read(lat_array_as_view(grads->x));
  assert_int_equal(lat_array_as_view(grads->x).dtype, c->dtype);
  for (int64_t k = 0; k < (n < 60 ? n : 60); k++) {
    int64_t i = n < 60 ? k : lat_test_below(random, n);
    check_close(p, "gradient", i, got[i], difference(p, &p->x[i]), c->dtype);
  }
  free(got);
  for (int a = 0; a < 2; a++) {
    assert_int_equal(arrays[a] != NULL, p->parameters[a] != NULL);
    if (!arrays[a]) continue;
    lat_array_view view = lat_array_as_view(arrays[a]);
    got = lat_test_read(view);
    for (int64_t i = 0; i < c->channels; i++) {
      check_close(p, a ? "bias gradient" : "weight gradient", i, got[i], difference(p, &p->parameters[a][i]),
                  view.dtype);
    }
    free(got);
  }
}

static void check_same(lat_array *a, lat_array *b) {
  assert_int_equal(a != NULL, b != NULL);
  if (a) lat_test_assert_same_view(lat_array_as_view(a), lat_array_as_view(b));
}

static void release_grads(lat_norm_grads *grads) {
  lat_array_release(grads->x);
  lat_array_release(grads->weight);
  lat_array_release(grads->bias);
}

static void check_forward(lat_context *context, const grad_problem *p, const lat_tensor *x, const lat_norm_opts *opts,
                          lat_tensor **first) {
  lat_tensor *y = NULL;
  lat_test_assert_ok(forward(context, p->c, x, opts, &y));
  if (!*first) {
    *first = lat_tensor_retain(y);
    double *got = lat_test_read_feats(y);
    reference(p, p->y);
    for (int64_t i = 0; i < p->c->n_rows * p->c->channels; i++) {
      check_close(p, "value", i, got[i], p->y[i], lat_tensor_dtype(y));
    }
    free(got);
  }
  lat_test_assert_same_view(lat_tensor_feats(*first), lat_tensor_feats(y));
  lat_tensor_release(y);
}

static void check_case(lat_test_random *random, const grad_case *c) {
  int64_t n = c->n_rows * c->channels;
  const int present[4] = {c->affine, c->affine && c->kind != RMS, c->given_mean, c->given_var};
  grad_problem p = {.c = c, .rows = lat_test_random_rows(random, c->n_rows, 3, 30, 0)};
  double *drawn = lat_test_random_values(random, n, -2, 2), *grads = lat_test_random_values(random, n, -2, 2);
  float *given[4] = {NULL};
  lat_norm_grads first = {NULL, NULL, NULL};
  lat_tensor *first_y = NULL;
  p.y = malloc((size_t)n * sizeof *p.y);
  for (int k = 0; k < 4; k++) {
    if (!present[k]) continue;
    given[k] = malloc((size_t)c->channels * sizeof *given[k]);
    for (int64_t i = 0; i < c->channels; i++) given[k][i] = (float)lat_test_uniform(random, 0.5, 1.5);
  }
  for (int i = 0; i < N_CONTEXTS; i++) {
    lat_norm_opts opts = LAT_NORM_OPTS_INIT;
    lat_array_view views[4];
    lat_norm_grads got = {NULL, NULL, NULL};
    for (int k = 0; k < 4; k++) views[k] = lat_view_1d(given[k], LAT_DTYPE_F32, c->channels);
    opts.eps = EPS;
    opts.weight = given[0] ? &views[0] : NULL;
    opts.bias = given[1] ? &views[1] : NULL;
    opts.mean = given[2] ? &views[2] : NULL;
    opts.var = given[3] ? &views[3] : NULL;
    lat_tensor *x = lat_test_tensor(contexts[i], p.rows, c->n_rows, drawn, c->channels, c->dtype, NULL);
    lat_tensor *g = lat_test_tensor(contexts[i], p.rows, c->n_rows, grads, c->channels, c->dtype_grad, NULL);
    lat_array_view grad = lat_tensor_feats(g);
    lat_test_assert_ok(backward(contexts[i], c, x, &grad, &opts, &got));
    if (i == 0) {
      p.x = lat_test_read_feats(x);
      p.dy = lat_test_read_feats(g);
      for (int k = 0; k < 4; k++) p.parameters[k] = given[k] ? lat_test_read(views[k]) : NULL;
      check_gradients(random, &p, &got);
      first.x = lat_array_retain(got.x);
      first.weight = lat_array_retain(got.weight);
      first.bias = lat_array_retain(got.bias);
    }
    check_same(first.x, got.x);
    check_same(first.weight, got.weight);
    check_same(first.bias, got.bias);
    if (c->kind >= INSTANCE) check_forward(contexts[i], &p, x, &opts, &first_y);
    release_grads(&got);
    lat_tensor_release(g);
    lat_tensor_release(x);
  }
  release_grads(&first);
  lat_tensor_release(first_y);
  for (int k = 0; k < 4; k++) free(given[k]), free(p.parameters[k]);
  free(p.rows), free(p.x), free(p.dy), free(p.y), free(drawn), free(grads);
}

static void test_small(void **state) {
  (void)state;
  lat_test_random random = {51, 0};
  for (int round = 0; round < 12; round++) {
    for (int kind = BATCH; kind <= GROUP; kind++) {
      grad_case c = {.kind = (norm_kind)kind,
                     .n_rows = 1 + lat_test_below(&random, 25),
                     .groups = 1 + round % 3,
                     .dtype = dtypes[round % 3],
                     .dtype_grad = dtypes[(round / 3) % 3],
                     .affine = round % 2};
      c.channels = c.groups * (1 + lat_test_below(&random, 5));
      if (kind == BATCH) c.given_mean = round / 2 % 2, c.given_var = round / 4 % 2;
      check_case(&random, &c);
    }
  }
}

// Beyond one chunk of 256 rows.
static void test_many_rows(void **state) {
  (void)state;
  lat_test_random random = {52, 0};
  for (int kind = BATCH; kind <= GROUP; kind++) {
    grad_case c = {.kind = (norm_kind)kind,
                   .n_rows = 1100,
                   .channels = 4,
                   .groups = 2,
                   .dtype = LAT_DTYPE_F32,
                   .dtype_grad = LAT_DTYPE_F32,
                   .affine = 1};
    check_case(&random, &c);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(test_small), cmocka_unit_test(test_many_rows)};
  return cmocka_run_group_tests(tests, set_up, tear_down);
}
