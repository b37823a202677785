// Laws of the whole convolution family, groups included, on random problems: the naive sum over naive edges, small integers exactly,
// the same bits at every level, thread count and batch composition.
//
// covers: lat_conv_transpose3d lat_generative_conv_transpose3d lat_inverse_conv3d lat_normalized_subm_conv3d
// covers: lat_normalized_conv_transpose3d lat_normalized_generative_conv_transpose3d lat_conv3d lat_subm_conv3d
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <lattice/lattice.h>

#include "ref/ref_conv_edges.h"
#include "ref/ref_reach.h"
#include "ref/ref_transposed.h"
#include "support/tensor_cases.h"
#include "support/test_support.h"

enum { N_PROBLEMS = 240, N_BATCHES = 3 };

typedef lat_status (*conv_fn)(lat_context *, const lat_tensor *, const lat_weight *, const lat_array_view *,
                              const lat_conv3d_opts *, lat_tensor **);

typedef enum route { ROUTE_TRANSPOSED, ROUTE_GENERATIVE, ROUTE_INVERSE, ROUTE_SUBM, ROUTE_FORWARD } route;

typedef struct family_op {
  conv_fn run;
  route route;
  bool normalized;
} family_op;

static const family_op ops[] = {
    {lat_conv_transpose3d, ROUTE_TRANSPOSED, false},
    {lat_generative_conv_transpose3d, ROUTE_GENERATIVE, false},
    {lat_inverse_conv3d, ROUTE_INVERSE, false},
    {lat_normalized_subm_conv3d, ROUTE_SUBM, true},
    {lat_normalized_conv_transpose3d, ROUTE_TRANSPOSED, true},
    {lat_normalized_generative_conv_transpose3d, ROUTE_GENERATIVE, true},
    {lat_subm_conv3d, ROUTE_SUBM, false},
    {lat_conv3d, ROUTE_FORWARD, false},
};
enum { N_OPS = sizeof ops / sizeof ops[0] };

/// One problem; arrays are malloc'ed, values exact in the dtype.
typedef struct family_problem {
  const family_op *op;
  lat_conv3d_opts opts; ///< every triple given; no coordinates
  lat_triple x_stride;
  int32_t *in, *given; ///< rows of x; coordinates that are given, or NULL
  int64_t n_in, n_given, volume, c_in, c_out, depth;
  lat_dtype dtype;
  int layout; ///< ref_weight_layout
  bool integers, has_bias;
  double *x;
  float *w, *bias; ///< bias rounded to the dtype
  char text[160];
} family_problem;

static lat_triple draw_triple(lat_test_random *random, int32_t low, int32_t high) {
  int32_t v[3];
  for (int i = 0; i < 3; i++) v[i] = low + (int32_t)lat_test_below(random, high - low + 1);
  return (lat_triple){v[0], v[1], v[2]};
}

static void to_array(lat_triple t, int32_t out[3]) {
  out[0] = t.x, out[1] = t.y, out[2] = t.z;
}

static float rounded(double value, lat_dtype dtype) {
  if (dtype == LAT_DTYPE_F16) return lat_f16_to_f32(lat_f32_to_f16((float)value));
  if (dtype == LAT_DTYPE_BF16) return lat_bf16_to_f32(lat_f32_to_bf16((float)value));
  return (float)value;
}

static float *draw_values(lat_test_random *random, int64_t n, const family_problem *p) {
  float *values = malloc(((size_t)n + 1) * sizeof *values);
  for (int64_t i = 0; i < n; i++) {
    double value = lat_test_uniform(random, -1.0, 1.0);
    values[i] = p->integers ? (float)(lat_test_below(random, 7) - 3) : rounded(value, p->dtype);
  }
  return values;
}

static void draw_geometry(lat_test_random *random, family_problem *p) {
  lat_conv3d_opts *o = &p->opts;
  *o = (lat_conv3d_opts)LAT_CONV3D_OPTS_INIT;
  o->kernel_size = draw_triple(random, 1, 3);
  o->stride = draw_triple(random, 1, 3);
  o->dilation = lat_triple_all(1);
  if (p->op->route != ROUTE_GENERATIVE) {
    o->dilation = draw_triple(random, 1, 2);
    if (lat_test_below(random, 2)) o->padding = draw_triple(random, 0, 2);
  }
  if (p->op->route == ROUTE_SUBM) {
    o->stride = lat_triple_all(1);
    o->padding = lat_triple_all(0);
    o->kernel_size.x |= 1, o->kernel_size.y |= 1, o->kernel_size.z |= 1;
  }
  if ((p->op->route == ROUTE_INVERSE || p->op->route == ROUTE_FORWARD) && lat_test_below(random, 2)) {
    o->support = LAT_SUPPORT_REACH;
    o->kernel_size.z = 1 + o->kernel_size.z % 2; // rows multiply
    if (lat_test_below(random, 3) == 0) o->bounds = draw_triple(random, 1, 9);
  }
  if (p->op->normalized && lat_test_below(random, 2)) o->eps = lat_test_uniform(random, 1e-6, 0.5);
  p->volume = (int64_t)o->kernel_size.x * o->kernel_size.y * o->kernel_size.z;
  lat_triple scale = draw_triple(random, 1, 2);
  p->x_stride = (lat_triple){o->stride.x * scale.x, o->stride.y * scale.y, o->stride.z * scale.z};
}

static bool is_one(lat_triple t) {
  return t.x == 1 && t.y == 1 && t.z == 1;
}

static bool is_zero(lat_triple t) {
  return t.x == 0 && t.y == 0 && t.z == 0;
}

static ref_reach reach_of(const family_problem *p) {
  ref_reach reach;
  to_array(p->opts.kernel_size, reach.size);
  to_array(p->opts.stride, reach.stride);
  to_array(p->opts.padding, reach.padding);
  to_array(p->opts.dilation, reach.dilation);
  to_array(p->opts.bounds, reach.bounds);
  return reach;
}

/// Edges of a forward relation under the problem's support rule.
static ref_edges *forward_edges(const family_problem *p, const int32_t *in, int64_t n_in, const int32_t *out,
                                int64_t n_out) {
  ref_reach g = reach_of(p);
  if (p->opts.support == LAT_SUPPORT_REACH) return ref_reach_edges(in, n_in, out, n_out, &g);
  return ref_relation_edges(in, n_in, out, n_out, g.size, g.stride, g.padding, g.dilation);
}

/// Rows of the forward convolution's output for the given finer rows.
static int32_t *coarse_rows(const family_problem *p, const int32_t *fine, int64_t n_fine, int64_t *n) {
  ref_reach reach = reach_of(p);
  int32_t *rows = NULL;
  if (p->opts.support == LAT_SUPPORT_REACH && !(p->volume == 1 && is_one(p->opts.stride) && is_zero(p->opts.padding))) {
    *n = ref_reach_support(fine, n_fine, &reach, &rows);
    return rows;
  }
  rows = malloc(((size_t)n_fine + 1) * 16);
  *n = n_fine;
  if (is_one(p->opts.stride) && is_zero(p->opts.padding)) {
    if (n_fine > 0) memcpy(rows, fine, (size_t)n_fine * 16);
  } else {
    *n = ref_floor_support(fine, n_fine, reach.stride, rows);
  }
  return rows;
}

static void draw_rows(lat_test_random *random, family_problem *p) {
  int64_t n = lat_test_below(random, 5) == 0 ? 600 : lat_test_below(random, 60);
  int64_t extent = n > 100 ? 6 : 2;
  // A pointwise form takes each row's own features, which edges found by coordinates cannot say of duplicated rows.
  bool duplicates = lat_test_below(random, 4) == 0 && p->volume > 1;
  int32_t *rows = lat_test_random_rows(random, n, N_BATCHES, extent, duplicates);
  if (p->op->route == ROUTE_INVERSE) {
    p->given = rows;
    p->n_given = n;
    p->in = coarse_rows(p, rows, n, &p->n_in);
    return;
  }
  p->in = rows;
  p->n_in = n;
  if (p->op->route != ROUTE_SUBM && p->op->route != ROUTE_FORWARD && lat_test_below(random, 3) == 0) {
    p->n_given = lat_test_below(random, 80);
    p->given = lat_test_random_rows(random, p->n_given, N_BATCHES, 4, 1);
  }
}

/// One group, a depthwise convolution, or a few groups.
static void draw_channels(lat_test_random *random, family_problem *p) {
  int64_t most = p->n_in > 100 ? 6 : 40, kind = lat_test_below(random, 3);
  p->opts.groups = (int32_t)(kind == 0 ? lat_test_below(random, 2) : 1 + lat_test_below(random, kind == 1 ? most : 4));
  int64_t groups = p->opts.groups > 0 ? p->opts.groups : 1;
  p->c_in = groups * (kind == 1 ? 1 : 1 + lat_test_below(random, most / groups));
  p->c_out = groups * (kind == 1 ? 1 : 1 + lat_test_below(random, most / groups));
  p->depth = p->c_in / groups;
}

static family_problem make_problem(uint64_t seed) {
  static const lat_dtype dtypes[] = {LAT_DTYPE_F32, LAT_DTYPE_F32, LAT_DTYPE_F16, LAT_DTYPE_BF16};
  lat_test_random random = {seed, 0};
  family_problem p = {.op = &ops[seed % N_OPS], .integers = seed / N_OPS % 4 == 0};
  p.dtype = dtypes[lat_test_below(&random, 4)];
  draw_geometry(&random, &p);
  draw_rows(&random, &p);
  draw_channels(&random, &p);
  p.layout = (int)lat_test_below(&random, 2);
  p.has_bias = lat_test_below(&random, 2);
  float *x = draw_values(&random, p.n_in * p.c_in, &p);
  p.x = malloc(((size_t)(p.n_in * p.c_in) + 1) * sizeof *p.x);
  for (int64_t i = 0; i < p.n_in * p.c_in; i++) p.x[i] = (double)x[i];
  free(x);
  p.w = draw_values(&random, p.volume * p.depth * p.c_out, &p);
  p.bias = draw_values(&random, p.c_out, &p);
  const lat_conv3d_opts *o = &p.opts;
  snprintf(p.text, sizeof p.text,
           "seed %d op %d: %d groups, %d rows, %d to %d channels, kernel (%d,%d,%d) stride (%d,%d,%d) %s layout %d%s%s",
           (int)seed, (int)(seed % N_OPS), (int)o->groups, (int)p.n_in, (int)p.c_in, (int)p.c_out,
           (int)o->kernel_size.x, (int)o->kernel_size.y, (int)o->kernel_size.z, (int)o->stride.x, (int)o->stride.y,
           (int)o->stride.z, lat_dtype_name(p.dtype), p.layout, o->support ? ", reach" : "",
           p.given ? ", coordinates" : "");
  return p;
}

static void free_problem(family_problem *p) {
  void *memory[] = {p->in, p->given, p->x, p->w, p->bias};
  for (size_t i = 0; i < sizeof memory / sizeof memory[0]; i++) free(memory[i]);
}

// --- running ----------------------------------------------------------------------------------------------------------

static lat_coords *make_coords(lat_context *context, const int32_t *rows, int64_t n, lat_triple stride) {
  lat_coords_opts opts = LAT_COORDS_OPTS_INIT;
  lat_array_view view = lat_view_2d(rows, LAT_DTYPE_I32, n, 4);
  lat_coords *coords = NULL;
  opts.stride = stride;
  lat_test_assert_ok(lat_coords_create(context, &view, &opts, &coords));
  return coords;
}

/// Rows of one batch item (all for -1), features alongside where there are any. Returns their number.
static int64_t take_batch(const int32_t *rows, int64_t n, int32_t batch, const double *x, int64_t channels,
                          int32_t *taken, double *taken_x) {
  int64_t at = 0;
  for (int64_t r = 0; r < n; r++) {
    if (batch >= 0 && rows[4 * r] != batch) continue;
    memcpy(taken + 4 * at, rows + 4 * r, 16);
    if (x) memcpy(taken_x + at * channels, x + r * channels, (size_t)channels * sizeof *x);
    at++;
  }
  return at;
}

static lat_array *rounded_array(lat_context *context, const float *values, int32_t rank, const int64_t *shape,
                                lat_dtype dtype) {
  lat_array *array = NULL;
  lat_array_view view = lat_view(values, LAT_DTYPE_F32, rank, shape);
  lat_test_assert_ok(lat_array_cast(context, &view, dtype, &array));
  return array;
}

static lat_triple divided(lat_triple a, lat_triple b) {
  return (lat_triple){a.x / b.x, a.y / b.y, a.z / b.z};
}

/// The problem restricted to one batch item (-1: the whole).
static lat_tensor *run(lat_context *context, const family_problem *p, int32_t batch) {
  lat_triple k = p->opts.kernel_size;
  const int64_t shapes[2][5] = {{p->c_out, k.x, k.y, k.z, p->depth}, {p->volume, p->depth, p->c_out}};
  int32_t *rows = malloc(((size_t)(p->n_in + p->n_given) + 1) * 16);
  double *x = malloc(((size_t)(p->n_in * p->c_in) + 1) * sizeof *x);
  lat_array *w =
      rounded_array(context, p->w, p->layout == REF_WEIGHT_KERNEL_IN_OUT ? 3 : 5, shapes[p->layout], p->dtype);
  lat_array_view bias = lat_view_1d(p->bias, LAT_DTYPE_F32, p->c_out);
  lat_conv3d_opts opts = p->opts;
  lat_coords *given = NULL;
  if (p->given) {
    int64_t n = take_batch(p->given, p->n_given, batch, NULL, 0, rows, NULL);
    given = make_coords(context, rows, n, divided(p->x_stride, p->opts.stride));
    opts.coordinates = given;
  }
  int64_t n = take_batch(p->in, p->n_in, batch, p->x, p->c_in, rows, x);
  lat_coords *coords = make_coords(context, rows, n, p->x_stride);
  lat_tensor *tensor = lat_test_tensor_on(context, coords, x, p->c_in, p->dtype, NULL), *y = NULL;
  lat_weight weight = lat_weight_dense(lat_array_as_view(w));
  lat_status status = p->op->run(context, tensor, &weight, p->has_bias ? &bias : NULL, &opts, &y);
  if (status) fail_msg("%s: %s", p->text, lat_last_error());
  if (given) assert_ptr_equal(lat_tensor_coords(y), given);
  lat_tensor_release(tensor);
  lat_coords_release(coords);
  lat_coords_release(given);
  lat_array_release(w);
  free(rows);
  free(x);
  return y;
}

static lat_context *make_context(int32_t n_threads, lat_cpu_level level) {
  lat_context_opts opts = LAT_CONTEXT_OPTS_INIT;
  lat_context *context = NULL;
  opts.n_threads = n_threads;
  opts.cpu_level = level;
  lat_test_assert_ok(lat_context_create(&opts, &context));
  return context;
}

// --- the naive answer -------------------------------------------------------------------------------------------------

static bool overlaps(const ref_transposed_geometry *g) {
  bool any = false;
  for (int axis = 0; axis < 3; axis++) any |= g->stride[axis] <= (g->size[axis] - 1) * g->dilation[axis];
  return any;
}

/// Edges of the problem and the rows they lead to, both malloc'ed.
static ref_edges *expected_edges(const family_problem *p, int32_t **out, int64_t *n_out) {
  ref_transposed_geometry g;
  to_array(p->opts.kernel_size, g.size);
  to_array(p->opts.stride, g.stride);
  to_array(p->opts.padding, g.padding);
  to_array(p->opts.dilation, g.dilation);
  if (p->op->route == ROUTE_SUBM) {
    *out = malloc(((size_t)p->n_in + 1) * 16);
    if (p->n_in > 0) memcpy(*out, p->in, (size_t)p->n_in * 16);
    *n_out = p->n_in;
    return ref_relation_edges(p->in, p->n_in, p->in, p->n_in, g.size, g.stride, g.padding, g.dilation);
  }
  if (p->op->route == ROUTE_FORWARD) {
    *out = coarse_rows(p, p->in, p->n_in, n_out);
    return forward_edges(p, p->in, p->n_in, *out, *n_out);
  }
  if (!p->given) {
    return ref_transposed_edges(p->in, p->n_in, &g, p->op->route == ROUTE_TRANSPOSED && overlaps(&g), out, n_out);
  }
  *out = malloc(((size_t)p->n_given + 1) * 16);
  if (p->n_given > 0) memcpy(*out, p->given, (size_t)p->n_given * 16);
  *n_out = p->n_given;
  if (p->op->route != ROUTE_INVERSE) return ref_target_transposed_edges(p->in, p->n_in, p->given, p->n_given, &g);
  ref_edges *edges = forward_edges(p, p->given, p->n_given, p->in, p->n_in);
  int32_t *forward_in = edges->in;
  edges->in = edges->out;
  edges->out = forward_in;
  return edges;
}

static double bound_of(const family_problem *p, double expected, double magnitude, int64_t terms) {
  if (p->integers && !p->op->normalized && p->dtype == LAT_DTYPE_F32) return 0.0;
  double bound = sqrt((double)terms) * 0x1p-23 * magnitude;
  if (p->op->normalized) bound = 1.5 * bound + 0x1p-22 * magnitude; // the divisor's rounding
  if (p->dtype == LAT_DTYPE_F16) bound += 0x1p-11 * (fabs(expected) + bound) + 0x1p-25;
  if (p->dtype == LAT_DTYPE_BF16) bound += 0x1p-8 * (fabs(expected) + bound);
  return bound;
}

static double *to_doubles(const float *values, int64_t n) {
  double *out = malloc(((size_t)n + 1) * sizeof *out);
  for (int64_t i = 0; i < n; i++) out[i] = (double)values[i];
  return out;
}

static void check_values(const family_problem *p, const lat_tensor *y, const ref_edges *edges, int64_t n_out) {
  int64_t n = n_out * p->c_out;
  double *w = to_doubles(p->w, p->volume * p->depth * p->c_out), *bias = to_doubles(p->bias, p->c_out);
  double *expected = malloc(((size_t)n + 1) * sizeof *expected),
         *magnitude = malloc(((size_t)n + 1) * sizeof *expected);
  int64_t *terms = malloc(((size_t)n + 1) * sizeof *terms);
  ref_edge_conv ref = {.edges = edges,
                       .n_out = n_out,
                       .n_kernels = p->volume,
                       .c_in = p->c_in,
                       .c_out = p->c_out,
                       .groups = p->c_in / p->depth,
                       .x = p->x,
                       .w = w,
                       .layout = (ref_weight_layout)p->layout,
                       .bias = p->has_bias ? bias : NULL};
  if (p->op->normalized && !(p->op->route == ROUTE_SUBM && p->volume == 1)) {
    ref.eps = p->opts.eps > 0.0 ? (double)(float)p->opts.eps : 1e-8;
  }
  ref_conv_edges(&ref, expected, magnitude, terms);
  double *got = lat_test_read_feats(y);
  for (int64_t i = 0; i < n; i++) {
    double bound = bound_of(p, expected[i], magnitude[i], terms[i]);
    if (!(fabs(got[i] - expected[i]) <= bound)) {
      fail_msg("%s: element %lld: got %.9g, expected %.9g within %.3g", p->text, (long long)i, got[i], expected[i],
               bound);
    }
  }
  void *memory[] = {w, bias, expected, magnitude, terms, got};
  for (size_t i = 0; i < sizeof memory / sizeof memory[0]; i++) free(memory[i]);
}

static void test_reference(void **state) {
  (void)state;
  lat_context *context = make_context(2, LAT_CPU_LEVEL_AUTO);
  for (uint64_t seed = 1; seed <= N_PROBLEMS; seed++) {
    family_problem p = make_problem(seed);
    int32_t *out = NULL;
    int64_t n_out = 0;
    ref_edges *edges = expected_edges(&p, &out, &n_out);
    lat_tensor *y = run(context, &p, -1);
    if (lat_tensor_count(y) != n_out) fail_msg("%s: got %d rows, not %d", p.text, (int)lat_tensor_count(y), (int)n_out);
    if (n_out > 0 && memcmp(lat_coords_rows(lat_tensor_coords(y)).data, out, (size_t)n_out * 16) != 0) {
      fail_msg("%s: other output rows", p.text);
    }
    assert_int_equal(lat_tensor_dtype(y), p.dtype);
    check_values(&p, y, edges, n_out);
    lat_tensor_release(y);
    ref_edges_free(edges);
    free(out);
    free_problem(&p);
  }
  lat_context_destroy(context);
}

// --- bits -------------------------------------------------------------------------------------------------------------

static void test_levels_and_threads(void **state) {
  (void)state;
  static const lat_cpu_level levels[] = {LAT_CPU_LEVEL_SCALAR, LAT_CPU_LEVEL_NEON, LAT_CPU_LEVEL_AVX2,
                                         LAT_CPU_LEVEL_AVX512};
  static const int32_t threads[] = {1, 2, 5};
  for (uint64_t seed = 300; seed < 300 + N_PROBLEMS / 2; seed++) {
    family_problem p = make_problem(seed);
    lat_context *context = make_context(1, LAT_CPU_LEVEL_SCALAR);
    lat_tensor *first = run(context, &p, -1);
    lat_context_destroy(context);
    for (int i = 0; i < 12; i++) {
      context = make_context(threads[i % 3], levels[i / 3]);
      if (lat_context_cpu_level(context) == levels[i / 3]) {
        lat_tensor *y = run(context, &p, -1);
        lat_test_assert_same_view(lat_tensor_feats(y), lat_tensor_feats(first));
        lat_tensor_release(y);
      }
      lat_context_destroy(context);
    }
    lat_tensor_release(first);
    free_problem(&p);
  }
}

/// Asserts that the rows of one item in `whole` are the rows of `part`, coordinates and bits.
static void assert_batch(const family_problem *p, const lat_tensor *whole, const lat_tensor *part, int32_t batch) {
  const int32_t *whole_rows = lat_coords_rows(lat_tensor_coords(whole)).data;
  const int32_t *part_rows = lat_coords_rows(lat_tensor_coords(part)).data;
  size_t bytes = (size_t)p->c_out * lat_dtype_bytes(p->dtype);
  int64_t at = 0;
  for (int64_t r = 0; r < lat_tensor_count(whole); r++) {
    if (whole_rows[4 * r] != batch) continue;
    if (at >= lat_tensor_count(part) || memcmp(whole_rows + 4 * r, part_rows + 4 * at, 16) != 0 ||
        memcmp((const char *)lat_tensor_feats(whole).data + (size_t)r * bytes,
               (const char *)lat_tensor_feats(part).data + (size_t)at * bytes, bytes) != 0) {
      fail_msg("%s: item %d alone gives other bits at row %d", p->text, (int)batch, (int)at);
    }
    at++;
  }
  assert_int_equal(at, lat_tensor_count(part));
}

static void test_batch_composition(void **state) {
  (void)state;
  lat_context *context = make_context(2, LAT_CPU_LEVEL_AUTO);
  for (uint64_t seed = 500; seed < 500 + N_PROBLEMS / 2; seed++) {
    family_problem p = make_problem(seed);
    lat_tensor *whole = run(context, &p, -1);
    for (int32_t batch = 0; batch < N_BATCHES; batch++) {
      lat_tensor *part = run(context, &p, batch);
      assert_batch(&p, whole, part, batch);
      lat_tensor_release(part);
    }
    lat_tensor_release(whole);
    free_problem(&p);
  }
  lat_context_destroy(context);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_reference),
      cmocka_unit_test(test_levels_and_threads),
      cmocka_unit_test(test_batch_composition),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
