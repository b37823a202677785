// Gradients of the convolutions and linear on random problems: the naive reference over the reference's edges, that
// reference against central differences, and the same bits at every level and thread count.
//
// covers: lat_conv3d_backward lat_subm_conv3d_backward lat_linear_backward
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <lattice/lattice.h>

#include "ref/ref_conv_grad.h"
#include "support/conv_problem.h"
#include "support/tensor_cases.h"
#include "support/test_support.h"

enum { N_PROBLEMS = 36, N_LARGE = 4 };

/// A problem in the library's terms.
typedef struct grad_case {
  conv_problem p;
  bool submanifold;
  lat_coords *target;
  lat_tensor *x;
  lat_conv3d_opts opts;
  lat_array *w, *g;
  double *g_values;
  int32_t *out_rows;
  int64_t n_out;
} grad_case;

static lat_context *make_context(int32_t n_threads, lat_cpu_level level) {
  lat_context_opts opts = LAT_CONTEXT_OPTS_INIT;
  lat_context *context = NULL;
  opts.n_threads = n_threads;
  opts.cpu_level = level;
  lat_test_assert_ok(lat_context_create(&opts, &context));
  return context;
}

static conv_problem_opts problem_opts(uint64_t seed) {
  return (conv_problem_opts){
      .submanifold = seed % 3 == 0, .pointwise = seed % 10 == 1, .large = seed > N_PROBLEMS, .integers = seed % 7 == 2};
}

/// Values of a dtype as an array of the given shape.
static lat_array *make_array(lat_context *context, const double *values, int64_t n, lat_dtype dtype, int32_t rank,
                             const int64_t *shape) {
  float *floats = malloc((size_t)(n + 1) * sizeof *floats);
  lat_array *result = NULL;
  for (int64_t i = 0; i < n; i++) floats[i] = (float)values[i];
  lat_array_view view = lat_view(floats, LAT_DTYPE_F32, rank, shape);
  lat_test_assert_ok(lat_array_cast(context, &view, dtype, &result));
  free(floats);
  return result;
}

static lat_array *make_weight(lat_context *context, const conv_problem *p) {
  lat_triple k = p->opts.kernel_size;
  const int64_t shapes[3][5] = {
      {p->c_out, k.x, k.y, k.z, p->c_in}, {p->volume, p->c_in, p->c_out}, {p->c_out, p->c_in}};
  static const int32_t ranks[3] = {5, 3, 2};
  return make_array(context, p->w, p->volume * p->c_in * p->c_out, p->dtype, ranks[p->layout], shapes[p->layout]);
}

static grad_case open_case(lat_context *context, uint64_t seed) {
  grad_case c = {.submanifold = seed % 3 == 0};
  c.p = conv_problem_create(seed, problem_opts(seed));
  conv_problem *p = &c.p;
  c.opts = p->opts;
  c.x = lat_test_tensor(context, p->rows, p->n, p->x, p->c_in, p->dtype, NULL);
  if (p->target) {
    lat_coords_opts coords_opts = LAT_COORDS_OPTS_INIT;
    coords_opts.stride = p->opts.stride.x ? p->opts.stride : lat_triple_all(1);
    lat_array_view rows = lat_view_2d(p->target, LAT_DTYPE_I32, p->n_target, 4);
    lat_test_assert_ok(lat_coords_create(context, &rows, &coords_opts, &c.target));
    c.opts.coordinates = c.target;
  }
  c.w = make_weight(context, p);
  lat_tensor *y = NULL; // the forward's rows
  lat_weight weight = lat_weight_dense(lat_array_as_view(c.w));
  lat_test_assert_ok((c.submanifold ? lat_subm_conv3d : lat_conv3d)(context, c.x, &weight, NULL, &c.opts, &y));
  c.n_out = lat_tensor_count(y);
  c.out_rows = malloc((size_t)(c.n_out + 1) * 4 * sizeof *c.out_rows);
  memcpy(c.out_rows, lat_coords_rows(lat_tensor_coords(y)).data, (size_t)c.n_out * 4 * sizeof *c.out_rows);
  lat_tensor_release(y);
  int64_t n_g = c.n_out * p->c_out;
  uint64_t random = seed + 99;
  c.g_values = malloc((size_t)(n_g + 1) * sizeof *c.g_values);
  for (int64_t i = 0; i < n_g; i++) c.g_values[i] = (double)(conv_random_below(&random, 65) - 32) / 32.0;
  c.g = make_array(context, c.g_values, n_g, p->dtype, 2, (const int64_t[2]){c.n_out, p->c_out});
  return c;
}

static void close_case(grad_case *c) {
  lat_tensor_release(c->x);
  lat_coords_release(c->target);
  lat_array_release(c->w);
  lat_array_release(c->g);
  free(c->g_values);
  free(c->out_rows);
  conv_problem_free(&c->p);
}

static lat_conv_grads run_case(lat_context *context, const grad_case *c, int32_t flags) {
  lat_conv_grads grads;
  lat_conv3d_backward_opts opts = LAT_CONV3D_BACKWARD_OPTS_INIT;
  opts.forward = &c->opts;
  opts.grads = flags;
  lat_weight weight = lat_weight_dense(lat_array_as_view(c->w));
  lat_array_view g = lat_array_as_view(c->g);
  lat_test_assert_ok(
      (c->submanifold ? lat_subm_conv3d_backward : lat_conv3d_backward)(context, c->x, &weight, &g, &opts, &grads));
  return grads;
}

static void free_grads(lat_conv_grads *grads) {
  lat_array_release(grads->x);
  lat_array_release(grads->weight);
  lat_array_release(grads->bias);
}

static ref_edges *edges_of(const grad_case *c) {
  const lat_conv3d_opts *o = &c->p.opts;
  bool default_stride = o->stride.x == 0, default_dilation = o->dilation.x == 0;
  const int32_t size[3] = {o->kernel_size.x, o->kernel_size.y, o->kernel_size.z},
                stride[3] = {default_stride ? 1 : o->stride.x, default_stride ? 1 : o->stride.y,
                             default_stride ? 1 : o->stride.z},
                padding[3] = {o->padding.x, o->padding.y, o->padding.z},
                dilation[3] = {default_dilation ? 1 : o->dilation.x, default_dilation ? 1 : o->dilation.y,
                               default_dilation ? 1 : o->dilation.z};
  if (o->support == LAT_SUPPORT_REACH) {
    ref_reach reach = conv_problem_reach(&c->p);
    return ref_reach_edges(c->p.rows, c->p.n, c->out_rows, c->n_out, &reach);
  }
  return ref_relation_edges(c->p.rows, c->p.n, c->out_rows, c->n_out, size, stride, padding, dilation);
}

static ref_conv_grad reference_of(const grad_case *c, const ref_edges *edges) {
  const conv_problem *p = &c->p;
  return (ref_conv_grad){edges,          p->n, c->n_out, p->c_in,     p->c_out, p->volume,
                         p->layout == 1, p->x, p->w,     c->g_values, 1};
}

static void check_gradient(const conv_problem *p, const char *what, const lat_array *got, const ref_sum *expected,
                           int64_t n) {
  lat_array_view view = lat_array_as_view(got);
  double *values = lat_test_read(view);
  assert_int_equal(lat_array_count(got), n);
  assert_int_equal(view.dtype, p->dtype);
  for (int64_t i = 0; i < n; i++) {
    double bound = 4.0 * sqrt((double)expected[i].terms) * 0x1p-23 * expected[i].magnitude;
    if (p->dtype == LAT_DTYPE_F16) bound += 0x1p-11 * (fabs(expected[i].value) + bound) + 0x1p-25;
    if (p->dtype == LAT_DTYPE_BF16) bound += 0x1p-8 * (fabs(expected[i].value) + bound);
    if (!(fabs(values[i] - expected[i].value) <= bound)) {
      fail_msg("%s: gradient of %s, element %lld: got %.9g, expected %.9g within %.3g", p->text, what, (long long)i,
               values[i], expected[i].value, bound);
    }
  }
  free(values);
}

static void test_reference(void **state) {
  (void)state;
  lat_context *context = make_context(2, LAT_CPU_LEVEL_AUTO);
  for (uint64_t seed = 1; seed <= N_PROBLEMS + N_LARGE; seed++) {
    grad_case c = open_case(context, seed);
    conv_problem *p = &c.p;
    lat_conv_grads grads = run_case(context, &c, LAT_GRAD_ALL);
    ref_edges *edges = edges_of(&c);
    ref_conv_grad ref = reference_of(&c, edges);
    int64_t n_x = p->n * p->c_in, n_w = p->volume * p->c_in * p->c_out;
    ref_sum *sums = malloc((size_t)(n_x + n_w + p->c_out + 1) * sizeof *sums);
    ref_conv_grad_x(&ref, sums);
    check_gradient(p, "x", grads.x, sums, n_x);
    ref_conv_grad_w(&ref, sums);
    check_gradient(p, "weight", grads.weight, sums, n_w);
    ref_conv_grad_bias(&ref, sums);
    check_gradient(p, "bias", grads.bias, sums, p->c_out);
    lat_array_view got = lat_array_as_view(grads.weight), given = lat_array_as_view(c.w);
    assert_int_equal(got.rank, given.rank);
    assert_memory_equal(got.shape, given.shape, (size_t)got.rank * sizeof got.shape[0]);
    free(sums);
    ref_edges_free(edges);
    free_grads(&grads);
    close_case(&c);
  }
  lat_context_destroy(context);
}

/// (f(v + h e) - f(v - h e)) / 2h in the coordinate `at` of `values`.
static double difference(const ref_conv_grad *ref, const double *x, const double *w, double *values, int64_t at) {
  const double h = 0x1p-10, kept = values[at];
  values[at] = kept + h;
  double above = ref_conv_grad_loss(ref, x, w);
  values[at] = kept - h;
  double below = ref_conv_grad_loss(ref, x, w);
  values[at] = kept;
  return (above - below) / (2.0 * h);
}

static void test_central_differences(void **state) {
  (void)state;
  lat_context *context = make_context(1, LAT_CPU_LEVEL_AUTO);
  for (uint64_t seed = 1; seed <= 12; seed++) {
    grad_case c = open_case(context, seed);
    conv_problem *p = &c.p;
    ref_edges *edges = edges_of(&c);
    ref_conv_grad ref = reference_of(&c, edges);
    int64_t n_x = p->n * p->c_in, n_w = p->volume * p->c_in * p->c_out;
    ref_sum *dx = malloc((size_t)(n_x + 1) * sizeof *dx), *dw = malloc((size_t)(n_w + 1) * sizeof *dw);
    ref_conv_grad_x(&ref, dx);
    ref_conv_grad_w(&ref, dw);
    uint64_t random = seed;
    for (int draw = 0; draw < 3; draw++) {
      int64_t w_at = conv_random_below(&random, n_w), x_at = n_x > 0 ? conv_random_below(&random, n_x) : -1;
      double by_w = difference(&ref, p->x, p->w, p->w, w_at);
      assert_true(fabs(by_w - dw[w_at].value) <= 1e-7 * (1.0 + dw[w_at].magnitude));
      if (x_at < 0) continue;
      double by_x = difference(&ref, p->x, p->w, p->x, x_at);
      assert_true(fabs(by_x - dx[x_at].value) <= 1e-7 * (1.0 + dx[x_at].magnitude));
    }
    free(dx);
    free(dw);
    ref_edges_free(edges);
    close_case(&c);
  }
  lat_context_destroy(context);
}

static void assert_same_grads(const conv_problem *p, const lat_conv_grads *a, const lat_conv_grads *b,
                              const char *what) {
  if (memcmp(lat_array_as_view(a->x).data, lat_array_as_view(b->x).data,
             (size_t)lat_array_count(a->x) * lat_dtype_bytes(p->dtype)) != 0 ||
      memcmp(lat_array_as_view(a->weight).data, lat_array_as_view(b->weight).data,
             (size_t)lat_array_count(a->weight) * lat_dtype_bytes(p->dtype)) != 0 ||
      memcmp(lat_array_as_view(a->bias).data, lat_array_as_view(b->bias).data,
             (size_t)lat_array_count(a->bias) * lat_dtype_bytes(p->dtype)) != 0) {
    fail_msg("%s: other bits: %s", p->text, what);
  }
}

static void test_levels_and_threads(void **state) {
  (void)state;
  static const lat_cpu_level levels[] = {LAT_CPU_LEVEL_SCALAR, LAT_CPU_LEVEL_NEON, LAT_CPU_LEVEL_AVX2,
                                         LAT_CPU_LEVEL_AVX512};
  static const int32_t threads[] = {1, 2, 5};
  for (uint64_t seed = N_PROBLEMS - 9; seed <= N_PROBLEMS + N_LARGE; seed++) {
    lat_conv_grads first = {NULL, NULL, NULL};
    for (size_t level = 0; level < sizeof levels / sizeof levels[0]; level++) {
      for (size_t t = 0; t < sizeof threads / sizeof threads[0]; t++) {
        lat_context *context = make_context(threads[t], levels[level]);
        if (lat_context_cpu_level(context) == levels[level]) {
          grad_case c = open_case(context, seed);
          lat_conv_grads grads = run_case(context, &c, LAT_GRAD_ALL);
          if (first.x) {
            assert_same_grads(&c.p, &grads, &first, lat_cpu_level_name(levels[level]));
            free_grads(&grads);
          } else {
            first = grads;
          }
          close_case(&c);
        }
        lat_context_destroy(context);
      }
    }
    free_grads(&first);
  }
}

// linear: every combination of dtypes, against the reference with row i meeting row i.
static void test_linear(void **state) {
  (void)state;
  enum { N = 700, C_IN = 19, C_OUT = 11 };
  static const lat_dtype dtypes[3] = {LAT_DTYPE_F32, LAT_DTYPE_F16, LAT_DTYPE_BF16};
  lat_context *context = make_context(2, LAT_CPU_LEVEL_AUTO);
  lat_test_random random = {5, 0};
  int32_t *rows = lat_test_random_rows(&random, N, 2, 30, 0), in[N], zeros[N] = {0};
  double *x_values = malloc(N * C_IN * sizeof(double)), *g_values = malloc(N * C_OUT * sizeof(double)),
         w_values[C_OUT * C_IN];
  for (int i = 0; i < N * C_IN; i++) x_values[i] = (double)(lat_test_below(&random, 65) - 32) / 32.0;
  for (int i = 0; i < N * C_OUT; i++) g_values[i] = (double)(lat_test_below(&random, 65) - 32) / 32.0;
  for (int i = 0; i < C_OUT * C_IN; i++) w_values[i] = (double)(lat_test_below(&random, 65) - 32) / 32.0;
  for (int i = 0; i < N; i++) in[i] = i;
  ref_edges edges = {N, in, in, zeros};
  ref_conv_grad ref = {&edges, N, N, C_IN, C_OUT, 1, 0, x_values, w_values, g_values, 1};
  ref_sum *sums = malloc(N * C_IN * sizeof *sums);
  for (int i = 0; i < 27; i++) {
    lat_dtype dtype = dtypes[i % 3], w_dtype = dtypes[i / 3 % 3], g_dtype = dtypes[i / 9];
    conv_problem p = {.text = "linear"};
    lat_tensor *x = lat_test_tensor(context, rows, N, x_values, C_IN, dtype, NULL);
    lat_array *w = make_array(context, w_values, C_OUT * C_IN, w_dtype, 2, (const int64_t[2]){C_OUT, C_IN});
    lat_array *g = make_array(context, g_values, N * C_OUT, g_dtype, 2, (const int64_t[2]){N, C_OUT});
    lat_weight weight = lat_weight_dense(lat_array_as_view(w));
    lat_array_view g_view = lat_array_as_view(g);
    lat_conv_grads grads;
    lat_test_assert_ok(lat_linear_backward(context, x, &weight, &g_view, LAT_GRAD_ALL, &grads));
    p.dtype = dtype;
    ref_conv_grad_x(&ref, sums);
    check_gradient(&p, "x", grads.x, sums, N * C_IN);
    p.dtype = w_dtype;
    ref_conv_grad_w(&ref, sums);
    check_gradient(&p, "weight", grads.weight, sums, C_OUT * C_IN);
    p.dtype = g_dtype;
    ref_conv_grad_bias(&ref, sums);
    check_gradient(&p, "bias", grads.bias, sums, C_OUT);
    free_grads(&grads);
    lat_array_release(g);
    lat_array_release(w);
    lat_tensor_release(x);
  }
  free(sums);
  free(rows);
  free(x_values);
  free(g_values);
  lat_context_destroy(context);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_reference),
      cmocka_unit_test(test_central_differences),
      cmocka_unit_test(test_levels_and_threads),
      cmocka_unit_test(test_linear),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
