// Gradients and forward-mode products of the whole convolution family, every route, grouped, depthwise and not: small
// integers over the reference's edges, exactly (16-bit results: that sum rounded once).
//
// covers: lat_conv3d_backward lat_subm_conv3d_backward lat_conv_transpose3d_backward
// covers: lat_generative_conv_transpose3d_backward lat_inverse_conv3d_backward lat_conv3d_jvp lat_subm_conv3d_jvp
// covers: lat_conv_transpose3d_jvp lat_generative_conv_transpose3d_jvp lat_inverse_conv3d_jvp
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include <lattice/lattice.h>

#include "ref/ref_conv_grad.h"
#include "ref/ref_half.h"
#include "ref/ref_reach.h"
#include "ref/ref_transposed.h"
#include "support/tensor_cases.h"
#include "support/test_support.h"

enum { N_PROBLEMS = 70 };

typedef enum route { TRANSPOSED, GENERATIVE, INVERSE, TARGET_TRANSPOSED, FORWARD, TARGET, SUBM, N_ROUTES } route;

typedef lat_status (*backward_fn)(lat_context *, const lat_tensor *, const lat_weight *, const lat_array_view *,
                                  const lat_conv3d_backward_opts *, lat_conv_grads *);
typedef lat_status (*jvp_fn)(lat_context *, const lat_tensor *, const lat_weight *, const lat_conv_tangents *,
                             const lat_conv3d_opts *, lat_tensor **);

static const backward_fn backwards[N_ROUTES] = {lat_conv_transpose3d_backward, lat_generative_conv_transpose3d_backward,
                                                lat_inverse_conv3d_backward,   lat_conv_transpose3d_backward,
                                                lat_conv3d_backward,           lat_conv3d_backward,
                                                lat_subm_conv3d_backward};
static const jvp_fn jvps[N_ROUTES] = {lat_conv_transpose3d_jvp, lat_generative_conv_transpose3d_jvp,
                                      lat_inverse_conv3d_jvp,   lat_conv_transpose3d_jvp,
                                      lat_conv3d_jvp,           lat_conv3d_jvp,
                                      lat_subm_conv3d_jvp};

/// One problem: x lies on `in`, the result on n_out rows.
typedef struct family_case {
  route route;
  lat_triple size, stride;
  lat_support support; ///< forward, target and inverse
  int64_t n_in, n_given, n_out, volume, groups, c_in, c_out;
  int32_t *in, *given;
  ref_edges *edges;
  lat_dtype dtype;
  int kernel_major;
  double *x, *w, *g; ///< small integers
} family_case;

static double *integers(lat_test_random *random, int64_t n) {
  double *values = malloc((size_t)(n + 1) * sizeof *values);
  for (int64_t i = 0; i < n; i++) values[i] = (double)(lat_test_below(random, 7) - 3);
  return values;
}

static lat_triple draw_triple(lat_test_random *random, int32_t high) {
  int32_t v[3];
  for (int i = 0; i < 3; i++) v[i] = 1 + (int32_t)lat_test_below(random, high);
  return (lat_triple){v[0], v[1], v[2]};
}

static ref_reach reach_of(const family_case *c) {
  return (ref_reach){{c->size.x, c->size.y, c->size.z}, {c->stride.x, c->stride.y, c->stride.z}, {0}, {1, 1, 1}, {0}};
}

/// Edges of a forward relation under the case's support rule.
static ref_edges *forward_edges(const family_case *c, const int32_t *in, int64_t n_in, const int32_t *out,
                                int64_t n_out) {
  ref_reach g = reach_of(c);
  if (c->support == LAT_SUPPORT_REACH) return ref_reach_edges(in, n_in, out, n_out, &g);
  return ref_relation_edges(in, n_in, out, n_out, g.size, g.stride, g.padding, g.dilation);
}

static void draw_edges(family_case *c) {
  ref_transposed_geometry g = {
      {c->size.x, c->size.y, c->size.z}, {c->stride.x, c->stride.y, c->stride.z}, {0, 0, 0}, {1, 1, 1}};
  int32_t *out = NULL;
  if (c->route == TRANSPOSED || c->route == GENERATIVE) {
    bool overlaps = false;
    for (int axis = 0; axis < 3; axis++) overlaps |= g.stride[axis] <= g.size[axis] - 1;
    c->edges = ref_transposed_edges(c->in, c->n_in, &g, c->route == TRANSPOSED && overlaps, &out, &c->n_out);
    free(out);
    return;
  }
  if (c->route == TARGET_TRANSPOSED) {
    c->n_out = c->n_given;
    c->edges = ref_target_transposed_edges(c->in, c->n_in, c->given, c->n_given, &g);
    return;
  }
  if (c->route == TARGET) {
    c->n_out = c->n_given;
    c->edges = forward_edges(c, c->in, c->n_in, c->given, c->n_given);
    return;
  }
  // Forward: from `given` down to the coarse rows; the inverse walks the same edges back.
  int32_t *coarse = malloc((size_t)(c->n_given + 1) * 16);
  int64_t n_coarse = c->n_given;
  ref_reach reach = reach_of(c);
  bool still = c->stride.x == 1 && c->stride.y == 1 && c->stride.z == 1;
  if (c->support == LAT_SUPPORT_REACH && !(still && c->volume == 1)) {
    free(coarse);
    n_coarse = ref_reach_support(c->given, c->n_given, &reach, &coarse);
  } else if (still) {
    memcpy(coarse, c->given, (size_t)c->n_given * 16);
  } else {
    n_coarse = ref_floor_support(c->given, c->n_given, g.stride, coarse);
  }
  c->edges = forward_edges(c, c->given, c->n_given, coarse, n_coarse);
  free(c->in);
  if (c->route != INVERSE) {
    free(coarse);
    c->in = malloc((size_t)(c->n_given + 1) * 16);
    memcpy(c->in, c->given, (size_t)c->n_given * 16);
    c->n_in = c->n_given;
    c->n_out = n_coarse;
    return;
  }
  c->in = coarse;
  c->n_in = n_coarse;
  c->n_out = c->n_given;
  int32_t *swap = c->edges->in;
  c->edges->in = c->edges->out;
  c->edges->out = swap;
}

static void draw_channels(family_case *c, lat_test_random *random) {
  c->groups = lat_test_below(random, 2) ? 1 : 1 + lat_test_below(random, 5);
  int64_t depth = 1 + lat_test_below(random, 6), width = 1 + lat_test_below(random, 9);
  if (c->groups > 1 && lat_test_below(random, 2)) {
    c->groups = 1 + lat_test_below(random, 40); // depthwise
    depth = width = 1;
  }
  c->c_in = c->groups * depth;
  c->c_out = c->groups * width;
}

static family_case open_case(uint64_t seed, route route) {
  lat_test_random random = {seed, 0};
  family_case c = {.route = route, .size = draw_triple(&random, 3), .stride = draw_triple(&random, 2)};
  bool repeats = lat_test_below(&random, 3) == 0;
  bool forward = route == FORWARD || route == INVERSE || route == TARGET;
  if (forward && lat_test_below(&random, 2)) c.support = LAT_SUPPORT_REACH;
  if (route == SUBM) {
    c.stride = lat_triple_all(1);
    c.size.x |= 1, c.size.y |= 1, c.size.z |= 1;
  }
  c.volume = (int64_t)c.size.x * c.size.y * c.size.z;
  if (c.volume == 1) repeats = false; // the pointwise form takes each row's own features, the reference looks rows up
  c.n_in = lat_test_below(&random, 4) == 0 ? 600 : lat_test_below(&random, 40);
  c.n_given = 1 + lat_test_below(&random, 60);
  c.in = lat_test_random_rows(&random, c.n_in, 2, c.n_in > 100 ? 6 : 2, repeats);
  c.given = lat_test_random_rows(&random, c.n_given, 2, 3, repeats && route != INVERSE);
  draw_edges(&c);
  draw_channels(&c, &random);
  static const lat_dtype dtypes[4] = {LAT_DTYPE_F32, LAT_DTYPE_F32, LAT_DTYPE_F16, LAT_DTYPE_BF16};
  c.dtype = dtypes[lat_test_below(&random, 4)];
  c.kernel_major = (int)lat_test_below(&random, 2);
  c.x = integers(&random, c.n_in * c.c_in);
  c.w = integers(&random, c.volume * c.c_in / c.groups * c.c_out);
  c.g = integers(&random, c.n_out * c.c_out);
  return c;
}

static void close_case(family_case *c) {
  ref_edges_free(c->edges);
  void *memory[] = {c->in, c->given, c->x, c->w, c->g};
  for (size_t i = 0; i < sizeof memory / sizeof memory[0]; i++) free(memory[i]);
}

static lat_coords *make_coords(lat_context *context, const int32_t *rows, int64_t n, lat_triple stride) {
  lat_coords_opts opts = LAT_COORDS_OPTS_INIT;
  lat_array_view view = lat_view_2d(rows, LAT_DTYPE_I32, n, 4);
  lat_coords *coords = NULL;
  opts.stride = stride;
  lat_test_assert_ok(lat_coords_create(context, &view, &opts, &coords));
  return coords;
}

static lat_context *make_context(int32_t n_threads) {
  lat_context_opts opts = LAT_CONTEXT_OPTS_INIT;
  lat_context *context = NULL;
  opts.n_threads = n_threads;
  lat_test_assert_ok(lat_context_create(&opts, &context));
  return context;
}

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

/// Values in the shape and dtype of the case's weight.
static lat_array *make_weight(lat_context *context, const family_case *c, const double *values) {
  int64_t depth = c->c_in / c->groups;
  const int64_t shapes[2][5] = {{c->c_out, c->size.x, c->size.y, c->size.z, depth}, {c->volume, depth, c->c_out}};
  return make_array(context, values, c->volume * depth * c->c_out, c->dtype, c->kernel_major ? 3 : 5,
                    shapes[c->kernel_major]);
}

/// A case in the library's terms.
typedef struct opened {
  lat_context *context;
  lat_coords *coords, *given;
  lat_tensor *x;
  lat_array *w;
  lat_weight weight;
  lat_conv3d_opts forward;
} opened;

static opened open_operands(const family_case *c, int32_t n_threads) {
  bool fine = c->route == FORWARD || c->route == TARGET || c->route == SUBM;
  opened o = {.context = make_context(n_threads), .forward = LAT_CONV3D_OPTS_INIT};
  o.forward.kernel_size = c->size;
  o.forward.stride = c->stride;
  o.forward.support = c->support;
  o.forward.groups = (int32_t)c->groups;
  o.coords = make_coords(o.context, c->in, c->n_in, fine ? lat_triple_all(1) : c->stride);
  if (c->route == INVERSE || c->route == TARGET_TRANSPOSED || c->route == TARGET) {
    o.given = make_coords(o.context, c->given, c->n_given, c->route == TARGET ? c->stride : lat_triple_all(1));
    o.forward.coordinates = o.given;
  }
  o.x = lat_test_tensor_on(o.context, o.coords, c->x, c->c_in, c->dtype, NULL);
  o.w = make_weight(o.context, c, c->w);
  o.weight = lat_weight_dense(lat_array_as_view(o.w));
  return o;
}

static void close_operands(opened *o) {
  lat_tensor_release(o->x);
  lat_coords_release(o->coords);
  lat_coords_release(o->given);
  lat_array_release(o->w);
  lat_context_destroy(o->context);
}

static double rounded(lat_dtype dtype, double value) {
  if (dtype == LAT_DTYPE_F16) return (double)lat_f16_to_f32(lat_f32_to_f16((float)value));
  if (dtype == LAT_DTYPE_BF16) return (double)lat_bf16_to_f32(lat_f32_to_bf16((float)value));
  return value;
}

static void assert_exact(const family_case *c, const char *what, const lat_array *got, const ref_sum *expected,
                         int64_t n) {
  double *values = lat_test_read(lat_array_as_view(got));
  assert_int_equal(lat_array_count(got), n);
  assert_int_equal(lat_array_as_view(got).dtype, c->dtype);
  for (int64_t i = 0; i < n; i++) {
    if (values[i] != rounded(c->dtype, expected[i].value)) {
      fail_msg("route %d, %d groups, %d to %d channels, %s: %s, element %d: got %g, expected %g", (int)c->route,
               (int)c->groups, (int)c->c_in, (int)c->c_out, lat_dtype_name(c->dtype), what, (int)i, values[i],
               expected[i].value);
    }
  }
  free(values);
}

static void check_backward(const family_case *c, int32_t n_threads) {
  opened o = open_operands(c, n_threads);
  int64_t n_x = c->n_in * c->c_in, n_w = c->volume * c->c_in / c->groups * c->c_out;
  lat_array *g = make_array(o.context, c->g, c->n_out * c->c_out, c->dtype, 2, (const int64_t[2]){c->n_out, c->c_out});
  lat_array_view g_view = lat_array_as_view(g);
  lat_conv3d_backward_opts opts = LAT_CONV3D_BACKWARD_OPTS_INIT;
  lat_conv_grads grads;
  opts.forward = &o.forward;
  lat_test_assert_ok(backwards[c->route](o.context, o.x, &o.weight, &g_view, &opts, &grads));
  ref_conv_grad ref = {c->edges,        c->n_in, c->n_out, c->c_in, c->c_out, c->volume,
                       c->kernel_major, c->x,    c->w,     c->g,    c->groups};
  ref_sum *sums = malloc((size_t)(n_x + n_w + c->c_out) * sizeof *sums);
  ref_conv_grad_x(&ref, sums);
  assert_exact(c, "x", grads.x, sums, n_x);
  ref_conv_grad_w(&ref, sums);
  assert_exact(c, "weight", grads.weight, sums, n_w);
  ref_conv_grad_bias(&ref, sums);
  assert_exact(c, "bias", grads.bias, sums, c->c_out);
  free(sums);
  lat_array_release(grads.x);
  lat_array_release(grads.weight);
  lat_array_release(grads.bias);
  lat_array_release(g);
  close_operands(&o);
}

static void test_backward(void **state) {
  (void)state;
  static const int32_t threads[3] = {1, 2, 5};
  for (uint64_t seed = 1; seed <= N_PROBLEMS; seed++) {
    family_case c = open_case(seed, (route)(seed % N_ROUTES));
    check_backward(&c, threads[seed % 3]);
    close_case(&c);
  }
}

/// expected = conv(dx, w) + conv(x, dw) + db, as far as `which` has bits for them (1, 2, 4).
static ref_sum *expected_jvp(const family_case *c, int which, const double *dx, const double *dw, const double *db) {
  int64_t depth = c->c_in / c->groups, width = c->c_out / c->groups;
  ref_sum *expected = calloc((size_t)(c->n_out * c->c_out + 1), sizeof *expected);
  for (int64_t i = 0; which & 4 && i < c->n_out * c->c_out; i++) expected[i].value = db[i % c->c_out];
  for (int64_t e = 0; e < c->edges->n; e++) {
    for (int64_t ci = 0; ci < depth; ci++) {
      for (int64_t co = 0; co < c->c_out; co++) {
        int64_t k = c->edges->kernel[e], i = c->edges->in[e] * c->c_in + co / width * depth + ci;
        int64_t at = c->kernel_major ? (k * depth + ci) * c->c_out + co : (co * c->volume + k) * depth + ci;
        double *sum = &expected[c->edges->out[e] * c->c_out + co].value;
        if (which & 1) *sum += dx[i] * c->w[at];
        if (which & 2) *sum += c->x[i] * dw[at];
      }
    }
  }
  return expected;
}

/// One product with the tangents that `which` has bits for (1 x, 2 weight, 4 bias).
static void check_jvp(const family_case *c, lat_test_random *random, int which) {
  opened o = open_operands(c, 2);
  int64_t n_x = c->n_in * c->c_in, n_w = c->volume * c->c_in / c->groups * c->c_out;
  double *dx = integers(random, n_x), *dw = integers(random, n_w), *db = integers(random, c->c_out);
  lat_array *arrays[3] = {make_array(o.context, dx, n_x, c->dtype, 2, (const int64_t[2]){c->n_in, c->c_in}),
                          make_weight(o.context, c, dw),
                          make_array(o.context, db, c->c_out, LAT_DTYPE_F32, 1, &c->c_out)};
  lat_array_view views[3];
  for (int i = 0; i < 3; i++) views[i] = lat_array_as_view(arrays[i]);
  lat_conv_tangents tangents = {which & 1 ? &views[0] : NULL, which & 2 ? &views[1] : NULL,
                                which & 4 ? &views[2] : NULL};
  lat_tensor *y = NULL;
  lat_test_assert_ok(jvps[c->route](o.context, o.x, &o.weight, &tangents, &o.forward, &y));
  ref_sum *expected = expected_jvp(c, which, dx, dw, db);
  assert_exact(c, "jvp", lat_tensor_feats_array(y), expected, c->n_out * c->c_out);
  lat_tensor_release(y);
  for (int i = 0; i < 3; i++) lat_array_release(arrays[i]);
  void *memory[] = {dx, dw, db, expected};
  for (size_t i = 0; i < sizeof memory / sizeof memory[0]; i++) free(memory[i]);
  close_operands(&o);
}

static void test_jvp(void **state) {
  (void)state;
  lat_test_random random = {9, 0};
  for (uint64_t seed = 100; seed < 100 + N_PROBLEMS; seed++) {
    family_case c = open_case(seed, (route)(seed % N_ROUTES));
    check_jvp(&c, &random, 1 + (int)(seed / N_ROUTES % 7));
    close_case(&c);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(test_backward), cmocka_unit_test(test_jvp)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
