// Gradients and forward-mode products of the normalized convolutions against central differences of the naive reference in
// double: every route, groups, layouts, dtypes, rows without edges; the same bits for any thread count.
//
// covers: lat_normalized_subm_conv3d_backward lat_normalized_conv_transpose3d_backward
// covers: lat_normalized_generative_conv_transpose3d_backward lat_normalized_subm_conv3d_jvp
// covers: lat_normalized_conv_transpose3d_jvp lat_normalized_generative_conv_transpose3d_jvp
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include <lattice/lattice.h>

#include "ref/ref_conv_edges.h"
#include "ref/ref_transposed.h"
#include "support/tensor_cases.h"
#include "support/test_support.h"

enum { N_PROBLEMS = 48, N_PROBES = 12 };

typedef enum route { SUBM, TRANSPOSED, GENERATIVE, TARGET, N_ROUTES } route;

typedef lat_status (*backward_fn)(lat_context *, const lat_tensor *, const lat_weight *, const lat_array_view *,
                                  const lat_conv3d_backward_opts *, lat_conv_grads *);
typedef lat_status (*jvp_fn)(lat_context *, const lat_tensor *, const lat_weight *, const lat_conv_tangents *,
                             const lat_conv3d_opts *, lat_tensor **);
static const backward_fn backwards[N_ROUTES] = {
    lat_normalized_subm_conv3d_backward, lat_normalized_conv_transpose3d_backward,
    lat_normalized_generative_conv_transpose3d_backward, lat_normalized_conv_transpose3d_backward};
static const jvp_fn jvps[N_ROUTES] = {lat_normalized_subm_conv3d_jvp, lat_normalized_conv_transpose3d_jvp,
                                      lat_normalized_generative_conv_transpose3d_jvp,
                                      lat_normalized_conv_transpose3d_jvp};

/// A problem: the forward's reference and tangents or gradients of its operands.
typedef struct norm_case {
  route route;
  lat_triple size, stride;
  int64_t n_in, n_target, n_x, n_w, n_y;
  int32_t *in, *target;
  lat_dtype dtype;
  double *x, *w, *bias, *g; ///< exact in every dtype
  double *dx, *dw, *db;
  ref_edge_conv ref;
} norm_case;

/// Multiples of 1/32 that 16 bits hold; no weight is so small that the divisor vanishes.
static double *draw_values(lat_test_random *random, int64_t n, int64_t least) {
  double *values = malloc((size_t)(n + 1) * sizeof *values);
  for (int64_t i = 0; i < n; i++) {
    double value = (double)(least + lat_test_below(random, 48)) / 32.0;
    values[i] = lat_test_below(random, 2) ? value : -value;
  }
  return values;
}

static norm_case open_case(uint64_t seed) {
  static const lat_dtype dtypes[4] = {LAT_DTYPE_F32, LAT_DTYPE_F16, LAT_DTYPE_F32, LAT_DTYPE_BF16};
  lat_test_random random = {seed, 0};
  norm_case c = {.route = (route)(seed % N_ROUTES), .dtype = dtypes[seed / N_ROUTES % 4]};
  int32_t size = c.route == SUBM ? 3 : 2;
  c.size = (lat_triple){size, size, 1};
  c.stride = c.route == SUBM ? lat_triple_all(1) : (lat_triple){1 + (int32_t)(seed % 2), 2, 1};
  c.n_in = seed % 11 == 5 ? 700 : 1 + lat_test_below(&random, 20);
  c.in = lat_test_random_rows(&random, c.n_in, 2, c.n_in > 100 ? 6 : 2, 0);
  c.n_target = 1 + lat_test_below(&random, 30);
  c.target = lat_test_random_rows(&random, c.n_target, 2, 4, 0); // some have no edges
  ref_transposed_geometry g = {{size, size, 1}, {c.stride.x, c.stride.y, c.stride.z}, {0, 0, 0}, {1, 1, 1}};
  int32_t *out = NULL;
  ref_edge_conv *ref = &c.ref;
  ref->n_out = c.n_in;
  if (c.route == SUBM) {
    ref->edges = ref_relation_edges(c.in, c.n_in, c.in, c.n_in, g.size, g.stride, g.padding, g.dilation);
  } else if (c.route == TARGET) {
    ref->n_out = c.n_target;
    ref->edges = ref_target_transposed_edges(c.in, c.n_in, c.target, c.n_target, &g);
  } else {
    bool merges = c.route == TRANSPOSED && c.stride.x == 1;
    ref->edges = ref_transposed_edges(c.in, c.n_in, &g, merges, &out, &ref->n_out);
    free(out);
  }
  ref->n_kernels = (int64_t)size * size;
  ref->groups = 1 + lat_test_below(&random, 3);
  bool depthwise = lat_test_below(&random, 4) == 0;
  ref->c_in = ref->groups * (depthwise ? 1 : 1 + lat_test_below(&random, 4));
  ref->c_out = ref->groups * (depthwise ? 1 : 1 + lat_test_below(&random, 4));
  ref->layout = lat_test_below(&random, 2) ? REF_WEIGHT_KERNEL_IN_OUT : REF_WEIGHT_OUT_KERNEL_IN;
  ref->eps = seed % 3 ? 1e-8 : 0.5;
  c.n_x = c.n_in * ref->c_in;
  c.n_w = ref->n_kernels * ref->c_in / ref->groups * ref->c_out;
  c.n_y = ref->n_out * ref->c_out;
  ref->x = c.x = draw_values(&random, c.n_x, 0);
  ref->w = c.w = draw_values(&random, c.n_w, 12);
  ref->bias = c.bias = draw_values(&random, ref->c_out, 0);
  c.g = draw_values(&random, c.n_y, 0);
  c.dx = draw_values(&random, c.n_x, 0);
  c.dw = draw_values(&random, c.n_w, 0);
  c.db = draw_values(&random, ref->c_out, 0);
  return c;
}

static void close_case(norm_case *c) {
  ref_edges_free((ref_edges *)c->ref.edges);
  void *memory[] = {c->in, c->target, c->x, c->w, c->bias, c->g, c->dx, c->dw, c->db};
  for (size_t i = 0; i < sizeof memory / sizeof memory[0]; i++) free(memory[i]);
}

/// The reference's result. From malloc.
static double *forward(const norm_case *c) {
  double *y = malloc((size_t)(c->n_y + 1) * sizeof *y), *magnitude = malloc((size_t)(c->n_y + 1) * sizeof *y);
  int64_t *terms = malloc((size_t)(c->n_y + 1) * sizeof *terms);
  ref_conv_edges(&c->ref, y, magnitude, terms);
  free(magnitude);
  free(terms);
  return y;
}

static double loss(const norm_case *c) {
  double *y = forward(c), sum = 0.0;
  for (int64_t i = 0; i < c->n_y; i++) sum += y[i] * c->g[i];
  free(y);
  return sum;
}

static double difference(const norm_case *c, double *values, int64_t at) {
  const double h = 0x1p-12, kept = values[at];
  values[at] = kept + h;
  double above = loss(c);
  values[at] = kept - h;
  double below = loss(c);
  values[at] = kept;
  return (above - below) / (2.0 * h);
}

static double tolerance(lat_dtype dtype, double expected, double scale) {
  double unit = dtype == LAT_DTYPE_F32 ? 0 : dtype == LAT_DTYPE_F16 ? 0x1p-11 : 0x1p-8;
  return 1e-5 * scale + unit * fabs(expected) * 1.001;
}

/// A case in the library's terms.
typedef struct opened {
  lat_context *context;
  lat_coords *coords, *target;
  lat_tensor *x;
  lat_array *w;
  lat_weight weight;
  lat_conv3d_opts opts;
} opened;

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

static lat_array *make_weight(lat_context *context, const norm_case *c, const double *values) {
  int64_t depth = c->ref.c_in / c->ref.groups;
  const int64_t dense[5] = {c->ref.c_out, c->size.x, c->size.y, c->size.z, depth},
                major[3] = {c->ref.n_kernels, depth, c->ref.c_out};
  bool by_kernel = c->ref.layout == REF_WEIGHT_KERNEL_IN_OUT;
  return make_array(context, values, c->n_w, c->dtype, by_kernel ? 3 : 5, by_kernel ? major : dense);
}

static lat_coords *make_coords(lat_context *context, const int32_t *rows, int64_t n, lat_triple stride) {
  lat_coords_opts opts = LAT_COORDS_OPTS_INIT;
  lat_array_view view = lat_view_2d(rows, LAT_DTYPE_I32, n, 4);
  lat_coords *coords = NULL;
  opts.stride = stride;
  lat_test_assert_ok(lat_coords_create(context, &view, &opts, &coords));
  return coords;
}

static opened open_operands(const norm_case *c, int32_t n_threads) {
  lat_context_opts context_opts = LAT_CONTEXT_OPTS_INIT;
  opened o = {.opts = LAT_CONV3D_OPTS_INIT};
  context_opts.n_threads = n_threads;
  lat_test_assert_ok(lat_context_create(&context_opts, &o.context));
  o.coords = make_coords(o.context, c->in, c->n_in, c->stride);
  o.x = lat_test_tensor_on(o.context, o.coords, c->x, c->ref.c_in, c->dtype, NULL);
  o.w = make_weight(o.context, c, c->w);
  o.weight = lat_weight_dense(lat_array_as_view(o.w));
  o.opts.kernel_size = c->size;
  if (c->route != SUBM) o.opts.stride = c->stride;
  o.opts.groups = (int32_t)c->ref.groups;
  o.opts.eps = c->ref.eps;
  if (c->route == TARGET) {
    o.target = make_coords(o.context, c->target, c->n_target, lat_triple_all(1));
    o.opts.coordinates = o.target;
  }
  return o;
}

static void close_operands(opened *o) {
  lat_tensor_release(o->x);
  lat_array_release(o->w);
  lat_coords_release(o->coords);
  lat_coords_release(o->target);
  lat_context_destroy(o->context);
}

static lat_conv_grads run_backward(const norm_case *c, int32_t n_threads) {
  opened o = open_operands(c, n_threads);
  lat_array *g = make_array(o.context, c->g, c->n_y, c->dtype, 2, (const int64_t[2]){c->ref.n_out, c->ref.c_out});
  lat_array_view g_view = lat_array_as_view(g);
  lat_conv3d_backward_opts opts = LAT_CONV3D_BACKWARD_OPTS_INIT;
  lat_conv_grads grads;
  opts.forward = &o.opts;
  lat_test_assert_ok(backwards[c->route](o.context, o.x, &o.weight, &g_view, &opts, &grads));
  lat_array_release(g);
  close_operands(&o);
  return grads;
}

static void free_grads(lat_conv_grads *grads) {
  lat_array_release(grads->x);
  lat_array_release(grads->weight);
  lat_array_release(grads->bias);
}

static void check_gradient(const norm_case *c, const char *what, const lat_array *got, double *values, int64_t n,
                           lat_test_random *random) {
  double *grads = lat_test_read(lat_array_as_view(got));
  assert_int_equal(lat_array_count(got), n);
  for (int probe = 0; probe < N_PROBES && n > 0; probe++) {
    int64_t at = n <= N_PROBES ? probe % n : lat_test_below(random, n);
    double expected = difference(c, values, at);
    if (!(fabs(grads[at] - expected) <= tolerance(c->dtype, expected, 1.0 + sqrt((double)c->ref.n_out)))) {
      fail_msg("route %d, %s: gradient of %s, element %d: got %.9g, expected %.9g", (int)c->route,
               lat_dtype_name(c->dtype), what, (int)at, grads[at], expected);
    }
  }
  free(grads);
}

static void test_gradients(void **state) {
  (void)state;
  lat_test_random random = {3, 0};
  for (uint64_t seed = 1; seed <= N_PROBLEMS; seed++) {
    norm_case c = open_case(seed);
    lat_conv_grads grads = run_backward(&c, 2);
    check_gradient(&c, "x", grads.x, c.x, c.n_x, &random);
    check_gradient(&c, "weight", grads.weight, c.w, c.n_w, &random);
    check_gradient(&c, "bias", grads.bias, c.bias, c.ref.c_out, &random);
    free_grads(&grads);
    close_case(&c);
  }
}

static void test_threads(void **state) {
  (void)state;
  for (uint64_t seed = 5; seed <= N_PROBLEMS; seed += 11) {
    norm_case c = open_case(seed);
    lat_conv_grads base = run_backward(&c, 1);
    for (int32_t n_threads = 2; n_threads <= 5; n_threads += 3) {
      lat_conv_grads grads = run_backward(&c, n_threads);
      lat_test_assert_same_view(lat_array_as_view(base.x), lat_array_as_view(grads.x));
      lat_test_assert_same_view(lat_array_as_view(base.weight), lat_array_as_view(grads.weight));
      lat_test_assert_same_view(lat_array_as_view(base.bias), lat_array_as_view(grads.bias));
      free_grads(&grads);
    }
    free_grads(&base);
    close_case(&c);
  }
}

/// values + by * tangent, in place.
static void move(double *values, const double *tangent, int64_t n, double by) {
  for (int64_t i = 0; i < n; i++) values[i] += by * tangent[i];
}

/// The reference's result when what `which` has bits for (1 x, 2 weight, 4 bias) moves by h along its tangent.
static double *moved_forward(norm_case *c, int which, double h) {
  double *kept = malloc((size_t)(c->n_x + c->n_w + c->ref.c_out + 1) * sizeof *kept);
  memcpy(kept, c->x, (size_t)c->n_x * sizeof *kept);
  memcpy(kept + c->n_x, c->w, (size_t)c->n_w * sizeof *kept);
  memcpy(kept + c->n_x + c->n_w, c->bias, (size_t)c->ref.c_out * sizeof *kept);
  if (which & 1) move(c->x, c->dx, c->n_x, h);
  if (which & 2) move(c->w, c->dw, c->n_w, h);
  if (which & 4) move(c->bias, c->db, c->ref.c_out, h);
  double *y = forward(c);
  memcpy(c->x, kept, (size_t)c->n_x * sizeof *kept);
  memcpy(c->w, kept + c->n_x, (size_t)c->n_w * sizeof *kept);
  memcpy(c->bias, kept + c->n_x + c->n_w, (size_t)c->ref.c_out * sizeof *kept);
  free(kept);
  return y;
}

static void check_jvp(norm_case *c, int which) {
  const double h = 0x1p-14;
  opened o = open_operands(c, 2);
  lat_array *arrays[3] = {make_array(o.context, c->dx, c->n_x, c->dtype, 2, (const int64_t[2]){c->n_in, c->ref.c_in}),
                          make_weight(o.context, c, c->dw),
                          make_array(o.context, c->db, c->ref.c_out, LAT_DTYPE_F32, 1, &c->ref.c_out)};
  lat_array_view views[3];
  for (int i = 0; i < 3; i++) views[i] = lat_array_as_view(arrays[i]);
  lat_conv_tangents tangents = {which & 1 ? &views[0] : NULL, which & 2 ? &views[1] : NULL,
                                which & 4 ? &views[2] : NULL};
  lat_tensor *y = NULL;
  lat_test_assert_ok(jvps[c->route](o.context, o.x, &o.weight, &tangents, &o.opts, &y));
  double *got = lat_test_read_feats(y), *above = moved_forward(c, which, h), *below = moved_forward(c, which, -h);
  assert_int_equal(lat_tensor_count(y), c->ref.n_out);
  for (int64_t i = 0; i < c->n_y; i++) {
    double expected = (above[i] - below[i]) / (2.0 * h);
    if (!(fabs(got[i] - expected) <= tolerance(c->dtype, expected, 3.0))) {
      fail_msg("route %d, %s, tangents %d: element %d: got %.9g, expected %.9g", (int)c->route,
               lat_dtype_name(c->dtype), which, (int)i, got[i], expected);
    }
  }
  free(got);
  free(above);
  free(below);
  lat_tensor_release(y);
  for (int i = 0; i < 3; i++) lat_array_release(arrays[i]);
  close_operands(&o);
}

static void test_jvp(void **state) {
  (void)state;
  for (uint64_t seed = 1; seed <= N_PROBLEMS; seed++) {
    norm_case c = open_case(seed);
    check_jvp(&c, 1 + (int)(seed / N_ROUTES % 7));
    close_case(&c);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(test_gradients), cmocka_unit_test(test_threads),
                                     cmocka_unit_test(test_jvp)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
