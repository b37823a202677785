// Gradients and products of local pools, pool_transpose3d and trilinear_upsample3d: the worked examples, random tensors
// against double loops over reference edges, 1, 2 and 5 threads bit for bit, refusals.
//
// covers: lat_pool3d_backward lat_pool3d_jvp lat_pool_transpose3d lat_pool_transpose3d_backward lat_trilinear_upsample3d
// covers: lat_trilinear_upsample3d_backward
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include <lattice/lattice.h>

#include "ref/ref_reach.h"
#include "ref/ref_relation.h"
#include "ref/ref_transposed.h"
#include "support/tensor_cases.h"
#include "support/test_support.h"

#define N_CONTEXTS 3

static lat_context *contexts[N_CONTEXTS];

/// One reduction over edges with weights by kernel element: y[o] = scale(o) * sum w x.
typedef struct reduction {
  const ref_edges *edges;
  const double *weights; ///< by kernel element, or NULL: ones
  int64_t n_in, n_out, channels;
  lat_pool_mode mode;
} reduction;

static double total_of(const reduction *r, int64_t out) {
  double total = 0;
  for (int64_t e = 0; e < r->edges->n; e++) {
    if (r->edges->out[e] == out) total += r->weights ? r->weights[r->edges->kernel[e]] : 1.0;
  }
  return total > 0 && r->mode == LAT_POOL_AVG ? total : 1.0;
}

static double largest_of(const reduction *r, const double *x, int64_t out, int64_t c) {
  double largest = -INFINITY;
  for (int64_t e = 0; e < r->edges->n; e++) {
    if (r->edges->out[e] == out) largest = fmax(largest, x[r->edges->in[e] * r->channels + c]);
  }
  return largest;
}

/// Result of a sum or average; rows of `x` are inputs.
static double *expected_forward(const reduction *r, const double *x) {
  double *y = calloc((size_t)(r->n_out * r->channels + 1), sizeof *y);
  for (int64_t e = 0; e < r->edges->n; e++) {
    double weight = (r->weights ? r->weights[r->edges->kernel[e]] : 1.0) / total_of(r, r->edges->out[e]);
    for (int64_t c = 0; c < r->channels; c++) {
      y[r->edges->out[e] * r->channels + c] += weight * x[r->edges->in[e] * r->channels + c];
    }
  }
  return y;
}

static double *expected_gradient(const reduction *r, const double *x, const double *g) {
  double *dx = calloc((size_t)(r->n_in * r->channels + 1), sizeof *dx);
  for (int64_t e = 0; e < r->edges->n; e++) {
    int64_t in = r->edges->in[e], out = r->edges->out[e];
    double weight = (r->weights ? r->weights[r->edges->kernel[e]] : 1.0) / total_of(r, out);
    for (int64_t c = 0; c < r->channels; c++) {
      double share = weight;
      if (r->mode == LAT_POOL_MAX) {
        double largest = largest_of(r, x, out, c), ties = 0;
        for (int64_t f = 0; f < r->edges->n; f++) {
          ties += r->edges->out[f] == out && x[r->edges->in[f] * r->channels + c] == largest;
        }
        share = x[in * r->channels + c] == largest ? 1.0 / ties : 0.0;
      }
      dx[in * r->channels + c] += share * g[out * r->channels + c];
    }
  }
  return dx;
}

/// Tangent of the tied input with the smallest in * volume + kernel.
static double *expected_max_jvp(const reduction *r, const double *x, const double *t, int64_t volume) {
  double *y = calloc((size_t)(r->n_out * r->channels + 1), sizeof *y);
  for (int64_t out = 0; out < r->n_out; out++) {
    for (int64_t c = 0; c < r->channels; c++) {
      double largest = largest_of(r, x, out, c);
      int64_t best = INT64_MAX;
      for (int64_t e = 0; e < r->edges->n; e++) {
        int64_t id = r->edges->in[e] * volume + r->edges->kernel[e];
        bool tied = r->edges->out[e] == out && x[r->edges->in[e] * r->channels + c] == largest;
        if (tied && id < best) best = id, y[out * r->channels + c] = t[r->edges->in[e] * r->channels + c];
      }
    }
  }
  return y;
}

/// Values are small: 40 float32 roundings of sums of at most 30 terms, then one to the dtype.
static void assert_close(const char *what, lat_array_view got, const double *expected, int64_t n) {
  double rounding = got.dtype == LAT_DTYPE_F32 ? 0x1p-22 : got.dtype == LAT_DTYPE_F16 ? 0x1p-10 : 0x1p-7;
  double *values = lat_test_read(got);
  for (int64_t i = 0; i < n; i++) {
    if (fabs(values[i] - expected[i]) > rounding * (fabs(expected[i]) + 1.0)) {
      fail_msg("%s, %s, element %lld: got %.9g, expected %.9g", what, lat_dtype_name(got.dtype), (long long)i,
               values[i], expected[i]);
    }
  }
  free(values);
}

/// Runs on every context, keeps the first result and compares the others bit by bit.
#define ON_ALL(result, call)                                                                                           \
  for (int i_ = 0; i_ < N_CONTEXTS; i_++) {                                                                            \
    lat_context *context = contexts[i_];                                                                               \
    lat_array *again_ = NULL, **out = i_ ? &again_ : &(result);                                                        \
    lat_test_assert_ok(call);                                                                                          \
    if (i_) lat_test_assert_same_view(lat_array_as_view(again_), lat_array_as_view(result));                           \
    lat_array_release(again_);                                                                                         \
  }

/// A random `(n, channels)` array of small multiples of 1/4, exact in every dtype.
static lat_array *random_array(lat_test_random *random, int64_t n, int64_t channels, lat_dtype dtype, double **values) {
  lat_array *wide = NULL, *array = NULL;
  const int64_t shape[2] = {n, channels};
  *values = calloc((size_t)(n * channels + 1), sizeof **values);
  for (int64_t i = 0; i < n * channels; i++) (*values)[i] = (double)(lat_test_below(random, 17) - 8) / 4;
  lat_array_view view = lat_view(*values, LAT_DTYPE_F64, 2, shape);
  lat_test_assert_ok(lat_array_create(contexts[0], &view, &wide));
  view = lat_array_as_view(wide);
  lat_test_assert_ok(lat_array_cast(contexts[0], &view, dtype, &array));
  lat_array_release(wide);
  return array;
}

static void check_pool(uint64_t seed, lat_dtype dtype) {
  lat_test_random random = {seed, 0};
  int64_t n = lat_test_below(&random, seed % 5 ? 90 : 3), channels = 1 + lat_test_below(&random, 5);
  int32_t size[3], stride[3], zero[3] = {0, 0, 0}, one[3] = {1, 1, 1};
  for (int a = 0; a < 3; a++)
    size[a] = 1 + (int32_t)lat_test_below(&random, 3), stride[a] = 1 + (int32_t)lat_test_below(&random, 2);
  stride[0] = 2;
  int32_t *rows = lat_test_random_rows(&random, n, 2, 3, 0), *out_rows = malloc((size_t)(n + 1) * 16);
  bool reaches = seed % 3 == 1;
  ref_reach reach = {{size[0], size[1], size[2]}, {stride[0], stride[1], stride[2]}, {0}, {1, 1, 1}, {0}};
  reduction r = {.n_in = n, .channels = channels, .n_out = ref_floor_support(rows, n, stride, out_rows)};
  if (reaches) {
    free(out_rows);
    r.n_out = ref_reach_support(rows, n, &reach, &out_rows);
  }
  ref_edges *edges = reaches ? ref_reach_edges(rows, n, out_rows, r.n_out, &reach)
                             : ref_relation_edges(rows, n, out_rows, r.n_out, size, stride, zero, one);
  r.edges = edges;
  double *x_values, *g_values, *t_values;
  lat_array *x_array = random_array(&random, n, channels, dtype, &x_values);
  lat_array *g_array = random_array(&random, r.n_out, channels, dtype, &g_values);
  lat_array *t_array = random_array(&random, n, channels, dtype, &t_values);
  lat_coords *coords = lat_test_coords(contexts[0], rows, n);
  lat_tensor *x = NULL;
  lat_test_assert_ok(lat_tensor_share(contexts[0], coords, x_array, NULL, &x));
  lat_array_view g = lat_array_as_view(g_array), t = lat_array_as_view(t_array);
  lat_kernel_opts opts = {sizeof opts,
                          {size[0], size[1], size[2]},
                          {stride[0], stride[1], stride[2]},
                          {0},
                          {0},
                          reaches ? LAT_SUPPORT_REACH : LAT_SUPPORT_FLOOR,
                          {0}};
  for (int mode = LAT_POOL_SUM; mode <= LAT_POOL_AVG; mode++) {
    lat_array *dx = NULL, *jvp = NULL;
    r.mode = (lat_pool_mode)mode;
    double *want = expected_gradient(&r, x_values, g_values);
    double *want_jvp = mode == LAT_POOL_MAX ? expected_max_jvp(&r, x_values, t_values, size[0] * size[1] * size[2])
                                            : expected_forward(&r, t_values);
    ON_ALL(dx, lat_pool3d_backward(context, x, r.mode, &opts, &g, out));
    ON_ALL(jvp, lat_pool3d_jvp(context, x, r.mode, &opts, &t, out));
    assert_close("pool3d_backward", lat_array_as_view(dx), want, n * channels);
    assert_close("pool3d_jvp", lat_array_as_view(jvp), want_jvp, r.n_out * channels);
    free(want);
    free(want_jvp);
    lat_array_release(dx);
    lat_array_release(jvp);
  }
  lat_tensor_release(x);
  lat_coords_release(coords);
  lat_array_release(x_array);
  lat_array_release(g_array);
  lat_array_release(t_array);
  ref_edges_free(edges);
  free(rows), free(out_rows), free(x_values), free(g_values), free(t_values);
}

static void pools(void **state) {
  (void)state;
  const lat_dtype dtypes[3] = {LAT_DTYPE_F32, LAT_DTYPE_F16, LAT_DTYPE_BF16};
  for (uint64_t seed = 0; seed < 24; seed++) check_pool(seed, dtypes[seed % 3]);
}

/// Coarse tensor at stride `s`; target rows (n_target 0 and targets NULL: none).
static void check_up(uint64_t seed, lat_dtype dtype, bool trilinear, bool has_target) {
  lat_test_random random = {seed, 0};
  int64_t n = lat_test_below(&random, 40), n_target = lat_test_below(&random, 150),
          channels = 1 + lat_test_below(&random, 4);
  ref_transposed_geometry geometry;
  double weights[125];
  for (int a = 0; a < 3; a++) {
    int32_t s = 1 + (int32_t)lat_test_below(&random, 3);
    geometry.stride[a] = s;
    geometry.size[a] = trilinear ? 2 * s - 1 : 1 + (int32_t)lat_test_below(&random, 3);
    geometry.padding[a] = trilinear ? s - 1 : 0;
    geometry.dilation[a] = 1;
  }
  for (int32_t k = 0; k < geometry.size[0] * geometry.size[1] * geometry.size[2]; k++) {
    int32_t j[3] = {k / (geometry.size[1] * geometry.size[2]), k / geometry.size[2] % geometry.size[1],
                    k % geometry.size[2]};
    weights[k] = 1.0;
    for (int a = 0; a < 3 && trilinear; a++)
      weights[k] *= 1.0 - fabs((double)(j[a] - (geometry.stride[a] - 1))) / geometry.stride[a];
  }
  lat_triple stride = {geometry.stride[0], geometry.stride[1], geometry.stride[2]};
  int32_t *rows = lat_test_random_rows(&random, n, 2, 2, 0),
          *targets = lat_test_random_rows(&random, n_target, 2, 6, 0), *out_rows = NULL;
  reduction r = {.weights = weights, .n_in = n, .n_out = n_target, .channels = channels, .mode = LAT_POOL_AVG};
  ref_edges *edges = has_target ? ref_target_transposed_edges(rows, n, targets, n_target, &geometry)
                                : ref_transposed_edges(rows, n, &geometry, true, &out_rows, &r.n_out);
  r.edges = edges;
  double *x_values, *g_values;
  lat_array *x_array = random_array(&random, n, channels, dtype, &x_values),
            *g_array = random_array(&random, r.n_out, channels, dtype, &g_values);
  lat_coords_opts coarse = {sizeof coarse, stride};
  lat_array_view row_view = lat_view_2d(rows, LAT_DTYPE_I32, n, 4), g = lat_array_as_view(g_array);
  lat_coords *coords = NULL, *target_coords = lat_test_coords(contexts[0], targets, n_target);
  lat_tensor *x = NULL, *target = NULL, *y = NULL;
  double *zeros = calloc((size_t)n_target + 1, sizeof *zeros);
  lat_test_assert_ok(lat_coords_create(contexts[0], &row_view, &coarse, &coords));
  lat_test_assert_ok(lat_tensor_share(contexts[0], coords, x_array, NULL, &x));
  if (has_target) target = lat_test_tensor_on(contexts[0], target_coords, zeros, 1, LAT_DTYPE_F32, NULL);
  lat_kernel_opts opts = {
      sizeof opts, {geometry.size[0], geometry.size[1], geometry.size[2]}, stride, {0}, {0}, LAT_SUPPORT_FLOOR, {0}};
  lat_array *dx = NULL;
  if (trilinear) {
    lat_test_assert_ok(lat_trilinear_upsample3d(contexts[1], x, target, stride, &y));
    ON_ALL(dx, lat_trilinear_upsample3d_backward(context, x, target, stride, &g, out));
  } else {
    lat_test_assert_ok(lat_pool_transpose3d(contexts[1], x, target, &opts, &y));
    ON_ALL(dx, lat_pool_transpose3d_backward(context, x, target, &opts, &g, out));
  }
  if (has_target) assert_true(lat_tensor_same_coords(y, target));
  assert_int_equal(lat_tensor_count(y), r.n_out);
  assert_int_equal(lat_tensor_stride(y).x, 1);
  double *want = expected_forward(&r, x_values), *want_dx = expected_gradient(&r, x_values, g_values);
  assert_close("up", lat_tensor_feats(y), want, r.n_out * channels);
  assert_close("up backward", lat_array_as_view(dx), want_dx, n * channels);
  lat_array_release(dx), lat_array_release(x_array), lat_array_release(g_array);
  lat_tensor_release(x), lat_tensor_release(y), lat_tensor_release(target);
  lat_coords_release(coords), lat_coords_release(target_coords);
  ref_edges_free(edges);
  free(rows), free(targets), free(out_rows), free(x_values), free(g_values), free(zeros), free(want), free(want_dx);
}

static void up(void **state) {
  (void)state;
  const lat_dtype dtypes[3] = {LAT_DTYPE_F32, LAT_DTYPE_F16, LAT_DTYPE_BF16};
  for (uint64_t seed = 100; seed < 132; seed++) check_up(seed, dtypes[seed % 3], seed % 2, seed / 2 % 2);
}

static void assert_floats(lat_array_view got, const float *expected, int64_t n) {
  for (int64_t i = 0; i < n; i++) assert_float_equal(((const float *)got.data)[i], expected[i], 1e-4F);
}

static void worked_examples(void **state) {
  (void)state;
  const int32_t line[] = {0, 0, 0, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0, 3, 0, 0};
  const double tied[] = {2, 2, 1}, rising[] = {1, 2, 3}, coarse_values[] = {2, 6};
  const float ones[] = {1, 1, 1}, tangent[] = {10, 20, 30};
  const float max_grad[] = {1, 2, 0}, max_jvp[] = {10, 10, 20}, sum_grad[] = {2, 3, 2}, rising_max[] = {0, 1, 2};
  const float avg_grad[] = {0.8333F, 1.3333F, 0.8333F}, up_pool[] = {2, 4, 6}, up_linear[] = {2, 4, 6, 6};
  lat_context *context = contexts[0];
  lat_kernel_opts opts = {sizeof opts, {3, 1, 1}, {1, 1, 1}, {0}, {0}, LAT_SUPPORT_FLOOR, {0}};
  lat_tensor *a = lat_test_tensor(context, line, 3, tied, 1, LAT_DTYPE_F32, NULL), *y = NULL;
  lat_tensor *b = lat_test_tensor(context, line, 3, rising, 1, LAT_DTYPE_F32, NULL);
  lat_array_view g = lat_view_2d(ones, LAT_DTYPE_F32, 3, 1), t = lat_view_2d(tangent, LAT_DTYPE_F32, 3, 1);
  lat_array *out = NULL;
  lat_test_assert_ok(lat_pool3d_backward(context, a, LAT_POOL_MAX, &opts, &g, &out));
  assert_floats(lat_array_as_view(out), max_grad, 3);
  lat_array_release(out);
  lat_test_assert_ok(lat_pool3d_jvp(context, a, LAT_POOL_MAX, &opts, &t, &out));
  assert_floats(lat_array_as_view(out), max_jvp, 3);
  lat_array_release(out);
  lat_test_assert_ok(lat_pool3d_backward(context, b, LAT_POOL_SUM, &opts, &g, &out));
  assert_floats(lat_array_as_view(out), sum_grad, 3);
  lat_array_release(out);
  lat_test_assert_ok(lat_pool3d_backward(context, b, LAT_POOL_AVG, &opts, &g, &out));
  assert_floats(lat_array_as_view(out), avg_grad, 3);
  lat_array_release(out);
  lat_test_assert_ok(lat_pool3d_backward(context, b, LAT_POOL_MAX, &opts, &g, &out));
  assert_floats(lat_array_as_view(out), rising_max, 3);
  lat_array_release(out);
  lat_coords *coarse = NULL;
  lat_coords_opts by_two = {sizeof by_two, {2, 1, 1}};
  lat_array_view rows = lat_view_2d(line, LAT_DTYPE_I32, 2, 4);
  lat_test_assert_ok(lat_coords_create(context, &rows, &by_two, &coarse));
  lat_tensor *x = lat_test_tensor_on(context, coarse, coarse_values, 1, LAT_DTYPE_F32, NULL);
  lat_tensor *three = lat_test_tensor(context, line, 3, rising, 1, LAT_DTYPE_F32, NULL);
  const double four_values[] = {0, 0, 0, 0};
  lat_tensor *four = lat_test_tensor(context, line, 4, four_values, 1, LAT_DTYPE_F32, NULL);
  lat_kernel_opts up_opts = {sizeof up_opts, {3, 1, 1}, {2, 1, 1}, {1, 0, 0}, {0}, LAT_SUPPORT_FLOOR, {0}};
  lat_test_assert_ok(lat_pool_transpose3d(context, x, three, &up_opts, &y));
  assert_floats(lat_tensor_feats(y), up_pool, 3);
  lat_tensor_release(y);
  lat_test_assert_ok(lat_trilinear_upsample3d(context, x, four, (lat_triple){2, 1, 1}, &y));
  assert_floats(lat_tensor_feats(y), up_linear, 4);
  lat_tensor_release(y), lat_tensor_release(a), lat_tensor_release(b), lat_tensor_release(x);
  lat_tensor_release(three), lat_tensor_release(four);
  lat_coords_release(coarse);
}

static int set_up(void **state) {
  const int32_t threads[N_CONTEXTS] = {1, 2, 5};
  (void)state;
  for (int i = 0; i < N_CONTEXTS; i++) {
    lat_context_opts opts = LAT_CONTEXT_OPTS_INIT;
    opts.n_threads = threads[i];
    lat_test_assert_ok(lat_context_create(&opts, &contexts[i]));
  }
  return 0;
}

static int tear_down(void **state) {
  (void)state;
  for (int i = 0; i < N_CONTEXTS; i++) lat_context_destroy(contexts[i]);
  return 0;
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(worked_examples), cmocka_unit_test(pools), cmocka_unit_test(up)};
  return cmocka_run_group_tests(tests, set_up, tear_down);
}
