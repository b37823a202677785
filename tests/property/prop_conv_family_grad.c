// Gradients of the transposed, generative and inverse convolutions and the forward-mode product of lat_conv3d: small
// integers over the reference's edges, exactly.
//
// covers: lat_conv_transpose3d_backward lat_generative_conv_transpose3d_backward lat_inverse_conv3d_backward
// covers: lat_conv3d_jvp
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include <lattice/lattice.h>

#include "ref/ref_conv_grad.h"
#include "ref/ref_transposed.h"
#include "support/tensor_cases.h"
#include "support/test_support.h"

enum { N_PROBLEMS = 48, C_IN = 5, C_OUT = 7 };

typedef enum route { TRANSPOSED, GENERATIVE, INVERSE, TARGET, FORWARD } route;

typedef lat_status (*backward_fn)(lat_context *, const lat_tensor *, const lat_weight *, const lat_array_view *,
                                  const lat_conv3d_backward_opts *, lat_conv_grads *);

/// One problem: x lies on `in`, the result on n_out rows.
typedef struct family_case {
  route route;
  lat_triple size, stride;
  int64_t n_in, n_given, n_out, volume;
  int32_t *in, *given;
  ref_edges *edges;
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
  if (c->route == TARGET) {
    c->n_out = c->n_given;
    c->edges = ref_target_transposed_edges(c->in, c->n_in, c->given, c->n_given, &g);
    return;
  }
  // Forward: from `given` down to the coarse rows; the inverse walks the same edges back.
  int32_t *coarse = malloc((size_t)(c->n_given + 1) * 16);
  int64_t n_coarse = c->n_given;
  if (c->stride.x == 1 && c->stride.y == 1 && c->stride.z == 1) {
    memcpy(coarse, c->given, (size_t)c->n_given * 16);
  } else {
    n_coarse = ref_floor_support(c->given, c->n_given, g.stride, coarse);
  }
  c->edges = ref_relation_edges(c->given, c->n_given, coarse, n_coarse, g.size, g.stride, g.padding, g.dilation);
  free(c->in);
  if (c->route == FORWARD) {
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

static family_case open_case(uint64_t seed, route route) {
  lat_test_random random = {seed, 0};
  family_case c = {.route = route, .size = draw_triple(&random, 3), .stride = draw_triple(&random, 2)};
  bool repeats = lat_test_below(&random, 3) == 0;
  c.volume = (int64_t)c.size.x * c.size.y * c.size.z;
  c.n_in = lat_test_below(&random, 4) == 0 ? 600 : lat_test_below(&random, 40);
  c.n_given = 1 + lat_test_below(&random, 60);
  c.in = lat_test_random_rows(&random, c.n_in, 2, c.n_in > 100 ? 6 : 2, repeats);
  c.given = lat_test_random_rows(&random, c.n_given, 2, 3, repeats && route != INVERSE);
  draw_edges(&c);
  c.x = integers(&random, c.n_in * C_IN);
  c.w = integers(&random, c.volume * C_IN * C_OUT);
  c.g = integers(&random, c.n_out * C_OUT);
  return c;
}

static void close_case(family_case *c) {
  ref_edges_free(c->edges);
  void *memory[] = {c->in, c->given, c->x, c->w, c->g};
  for (size_t i = 0; i < sizeof memory / sizeof memory[0]; i++) free(memory[i]);
}

static float *to_floats(const double *values, int64_t n) {
  float *out = malloc((size_t)(n + 1) * sizeof *out);
  for (int64_t i = 0; i < n; i++) out[i] = (float)values[i];
  return out;
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

static void assert_exact(const char *what, const lat_array *got, const ref_sum *expected, int64_t n) {
  const float *values = lat_array_as_view(got).data;
  assert_int_equal(lat_array_count(got), n);
  for (int64_t i = 0; i < n; i++) {
    if ((double)values[i] != expected[i].value) {
      fail_msg("%s, element %d: got %g, expected %g", what, (int)i, (double)values[i], expected[i].value);
    }
  }
}

static void check_backward(family_case *c, int32_t n_threads) {
  static const backward_fn functions[] = {lat_conv_transpose3d_backward, lat_generative_conv_transpose3d_backward,
                                          lat_inverse_conv3d_backward, lat_conv_transpose3d_backward,
                                          lat_conv3d_backward};
  lat_context *context = make_context(n_threads);
  int64_t n_x = c->n_in * C_IN, n_w = c->volume * C_IN * C_OUT;
  float *w = to_floats(c->w, n_w), *g = to_floats(c->g, c->n_out * C_OUT);
  lat_conv3d_opts forward = LAT_CONV3D_OPTS_INIT;
  forward.kernel_size = c->size;
  forward.stride = c->stride;
  lat_coords *coords = make_coords(context, c->in, c->n_in, c->route == FORWARD ? lat_triple_all(1) : c->stride);
  lat_coords *given = NULL;
  if (c->route == INVERSE || c->route == TARGET) {
    given = make_coords(context, c->given, c->n_given, lat_triple_all(1));
    forward.coordinates = given;
  }
  lat_tensor *x = lat_test_tensor_on(context, coords, c->x, C_IN, LAT_DTYPE_F32, NULL);
  lat_weight weight = lat_weight_dense(lat_view(w, LAT_DTYPE_F32, 3, (const int64_t[3]){c->volume, C_IN, C_OUT}));
  lat_array_view g_view = lat_view_2d(g, LAT_DTYPE_F32, c->n_out, C_OUT);
  lat_conv3d_backward_opts opts = LAT_CONV3D_BACKWARD_OPTS_INIT;
  lat_conv_grads grads;
  opts.forward = &forward;
  lat_test_assert_ok(functions[c->route](context, x, &weight, &g_view, &opts, &grads));
  ref_conv_grad ref = {c->edges, c->n_in, c->n_out, C_IN, C_OUT, c->volume, 1, c->x, c->w, c->g};
  ref_sum *sums = malloc((size_t)(n_x + n_w + C_OUT) * sizeof *sums);
  ref_conv_grad_x(&ref, sums);
  assert_exact("x", grads.x, sums, n_x);
  ref_conv_grad_w(&ref, sums);
  assert_exact("weight", grads.weight, sums, n_w);
  ref_conv_grad_bias(&ref, sums);
  assert_exact("bias", grads.bias, sums, C_OUT);
  free(sums);
  lat_array_release(grads.x);
  lat_array_release(grads.weight);
  lat_array_release(grads.bias);
  lat_tensor_release(x);
  lat_coords_release(coords);
  lat_coords_release(given);
  free(w);
  free(g);
  lat_context_destroy(context);
}

static void test_backward(void **state) {
  (void)state;
  static const int32_t threads[3] = {1, 2, 5};
  for (uint64_t seed = 1; seed <= N_PROBLEMS; seed++) {
    family_case c = open_case(seed, (route)(seed % 5));
    check_backward(&c, threads[seed % 3]);
    close_case(&c);
  }
}

/// One product with the tangents that `which` has bits for (1 x, 2 weight, 4 bias), in a layout.
static void check_jvp(family_case *c, lat_test_random *random, int which, int layout) {
  lat_context *context = make_context(2);
  int64_t n_x = c->n_in * C_IN, n_w = c->volume * C_IN * C_OUT;
  double *dx_values = integers(random, n_x), *dw_values = integers(random, n_w), *db_values = integers(random, C_OUT);
  float *dx = to_floats(dx_values, n_x), *dw = to_floats(dw_values, n_w), *db = to_floats(db_values, C_OUT),
        *w = to_floats(c->w, n_w);
  const int64_t shapes[2][5] = {{C_OUT, c->size.x, c->size.y, c->size.z, C_IN}, {c->volume, C_IN, C_OUT}};
  int32_t rank = layout ? 3 : 5;
  lat_array_view dx_view = lat_view_2d(dx, LAT_DTYPE_F32, c->n_in, C_IN),
                 dw_view = lat_view(dw, LAT_DTYPE_F32, rank, shapes[layout]),
                 db_view = lat_view_1d(db, LAT_DTYPE_F32, C_OUT);
  lat_conv_tangents tangents = {which & 1 ? &dx_view : NULL, which & 2 ? &dw_view : NULL, which & 4 ? &db_view : NULL};
  lat_weight weight = lat_weight_dense(lat_view(w, LAT_DTYPE_F32, rank, shapes[layout]));
  lat_tensor *x = lat_test_tensor(context, c->in, c->n_in, c->x, C_IN, LAT_DTYPE_F32, NULL), *y = NULL;
  lat_conv3d_opts opts = LAT_CONV3D_OPTS_INIT;
  opts.kernel_size = c->size;
  opts.stride = c->stride;
  lat_test_assert_ok(lat_conv3d_jvp(context, x, &weight, &tangents, &opts, &y));
  double *expected = calloc((size_t)(c->n_out * C_OUT + 1), sizeof *expected);
  for (int64_t i = 0; which & 4 && i < c->n_out * C_OUT; i++) expected[i] = db_values[i % C_OUT];
  for (int64_t e = 0; e < c->edges->n; e++) {
    for (int64_t ci = 0; ci < C_IN; ci++) {
      for (int64_t co = 0; co < C_OUT; co++) {
        int64_t k = c->edges->kernel[e], i = c->edges->in[e] * C_IN + ci;
        int64_t at = layout ? (k * C_IN + ci) * C_OUT + co : (co * c->volume + k) * C_IN + ci;
        if (which & 1) expected[c->edges->out[e] * C_OUT + co] += dx_values[i] * c->w[at];
        if (which & 2) expected[c->edges->out[e] * C_OUT + co] += c->x[i] * dw_values[at];
      }
    }
  }
  lat_test_assert_values(lat_tensor_feats(y), expected, c->n_out * C_OUT);
  lat_tensor_release(y);
  lat_tensor_release(x);
  void *memory[] = {dx_values, dw_values, db_values, dx, dw, db, w, expected};
  for (size_t i = 0; i < sizeof memory / sizeof memory[0]; i++) free(memory[i]);
  lat_context_destroy(context);
}

static void test_jvp(void **state) {
  (void)state;
  lat_test_random random = {9, 0};
  for (uint64_t seed = 100; seed < 100 + N_PROBLEMS / 2; seed++) {
    family_case c = open_case(seed, FORWARD);
    if (c.volume > 1) check_jvp(&c, &random, 1 + (int)(seed % 7), (int)(seed % 2));
    close_case(&c);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(test_backward), cmocka_unit_test(test_jvp)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
