// Forward-mode products of the convolution family and the gradients of the normalized convolutions: a worked example, no
// rows, and everything they refuse.
//
// covers: lat_subm_conv3d_jvp lat_conv_transpose3d_jvp lat_generative_conv_transpose3d_jvp lat_inverse_conv3d_jvp
// covers: lat_normalized_subm_conv3d_jvp lat_normalized_conv_transpose3d_jvp
// covers: lat_normalized_generative_conv_transpose3d_jvp lat_normalized_subm_conv3d_backward
// covers: lat_normalized_conv_transpose3d_backward lat_normalized_generative_conv_transpose3d_backward
//
// null arguments: lat_subm_conv3d_jvp lat_conv_transpose3d_jvp lat_generative_conv_transpose3d_jvp lat_inverse_conv3d_jvp
// null arguments: lat_normalized_subm_conv3d_jvp lat_normalized_conv_transpose3d_jvp
// null arguments: lat_normalized_generative_conv_transpose3d_jvp lat_normalized_subm_conv3d_backward
// null arguments: lat_normalized_conv_transpose3d_backward lat_normalized_generative_conv_transpose3d_backward
#include <stdbool.h>
#include <string.h>

#include <lattice/lattice.h>

#include "support/tensor_cases.h"
#include "support/test_allocator.h"
#include "support/test_support.h"

typedef lat_status (*jvp_fn)(lat_context *, const lat_tensor *, const lat_weight *, const lat_conv_tangents *,
                             const lat_conv3d_opts *, lat_tensor **);
static const jvp_fn jvps[] = {lat_subm_conv3d_jvp,
                              lat_conv_transpose3d_jvp,
                              lat_generative_conv_transpose3d_jvp,
                              lat_inverse_conv3d_jvp,
                              lat_normalized_subm_conv3d_jvp,
                              lat_normalized_conv_transpose3d_jvp,
                              lat_normalized_generative_conv_transpose3d_jvp};
typedef lat_status (*backward_fn)(lat_context *, const lat_tensor *, const lat_weight *, const lat_array_view *,
                                  const lat_conv3d_backward_opts *, lat_conv_grads *);
static const backward_fn backwards[] = {lat_normalized_subm_conv3d_backward, lat_normalized_conv_transpose3d_backward,
                                        lat_normalized_generative_conv_transpose3d_backward};
enum { N_JVPS = sizeof jvps / sizeof jvps[0], FIRST_NORMALIZED = 4, N_BACKWARDS = 3 };

static const int32_t rows[3][4] = {{0, 0, 0, 0}, {0, 1, 0, 0}, {0, 2, 0, 0}};
static const float values[3] = {1, 2, 3}, ones[81] = {1, 1, 1, 1, 1, 1};

static lat_test_allocator counter;
static lat_context *context;
static lat_coords *coords;
static lat_tensor *x;
static lat_conv3d_opts opts; ///< one kernel element; the inverse walks from the set to itself
static lat_weight weight;
static lat_array_view dx, dw, db, g;

static int set_up(void **state) {
  (void)state;
  memset(&counter, 0, sizeof counter);
  context = lat_test_context_create(&counter, 2);
  coords = lat_test_coords(context, rows[0], 3);
  x = lat_test_tensor_on(context, coords, (const double[3]){1, 2, 3}, 1, LAT_DTYPE_F32, NULL);
  opts = (lat_conv3d_opts)LAT_CONV3D_OPTS_INIT;
  opts.kernel_size = opts.stride = lat_triple_all(1);
  dw = lat_view(ones, LAT_DTYPE_F32, 3, (const int64_t[3]){1, 1, 1});
  weight = lat_weight_dense(dw);
  dx = g = lat_view_2d(ones, LAT_DTYPE_F32, 3, 1);
  db = lat_view_1d(ones, LAT_DTYPE_F32, 1);
  return 0;
}

static int tear_down(void **state) {
  (void)state;
  lat_tensor_release(x);
  lat_coords_release(coords);
  lat_test_context_finish(context, &counter);
  return 0;
}

// y = x w / sqrt(w^2 + 3) + b at w = 1: dy / dx = 1 / 2, dy / dw = 3 x / 8. The submanifold form of one kernel element is
// not divided: 1 and x.
static void test_worked_example(void **state) {
  (void)state;
  for (int i = 0; i < N_JVPS; i++) {
    bool divided = i > FIRST_NORMALIZED;
    lat_conv3d_opts o = opts;
    lat_tensor *y = NULL;
    if (i >= FIRST_NORMALIZED) o.eps = 3.0;
    if (jvps[i] == lat_inverse_conv3d_jvp) o.coordinates = coords;
    for (int which = 1; which < 8; which++) {
      lat_conv_tangents tangents = {which & 1 ? &dx : NULL, which & 2 ? &dw : NULL, which & 4 ? &db : NULL};
      double expected[3];
      for (int r = 0; r < 3; r++) {
        expected[r] = which & 1 ? (divided ? 0.5 : 1.0) : 0.0;
        if (which & 2) expected[r] += (double)values[r] * (divided ? 0.375 : 1.0);
        if (which & 4) expected[r] += 1.0;
      }
      lat_test_assert_ok(jvps[i](context, x, &weight, &tangents, &o, &y));
      lat_test_assert_values(lat_tensor_feats(y), expected, 3);
      lat_tensor_release(y);
    }
  }
}

static void test_worked_gradients(void **state) {
  (void)state;
  lat_conv3d_backward_opts backward = LAT_CONV3D_BACKWARD_OPTS_INIT;
  backward.forward = &opts;
  opts.eps = 3.0;
  for (int i = 0; i < N_BACKWARDS; i++) {
    lat_conv_grads grads;
    double share = i ? 0.5 : 1.0;
    lat_test_assert_ok(backwards[i](context, x, &weight, &g, &backward, &grads));
    lat_test_assert_values(lat_array_as_view(grads.x), (const double[3]){share, share, share}, 3);
    lat_test_assert_values(lat_array_as_view(grads.weight), (const double[1]){i ? 2.25 : 6.0}, 1);
    lat_test_assert_values(lat_array_as_view(grads.bias), (const double[1]){3.0}, 1);
    lat_array_release(grads.x);
    lat_array_release(grads.weight);
    lat_array_release(grads.bias);
  }
}

static void test_no_rows(void **state) {
  (void)state;
  lat_coords *none = lat_test_coords(context, rows[0], 0);
  lat_tensor *empty = lat_test_tensor_on(context, none, (const double[1]){0}, 1, LAT_DTYPE_F32, NULL), *y = NULL;
  lat_array_view nothing = lat_view_2d(ones, LAT_DTYPE_F32, 0, 1);
  lat_conv_tangents tangents = {&nothing, &dw, &db};
  lat_conv3d_backward_opts backward = LAT_CONV3D_BACKWARD_OPTS_INIT;
  backward.forward = &opts;
  for (int i = 0; i < N_JVPS; i++) {
    opts.coordinates = jvps[i] == lat_inverse_conv3d_jvp ? none : NULL;
    lat_test_assert_ok(jvps[i](context, empty, &weight, &tangents, &opts, &y));
    assert_int_equal(lat_tensor_count(y), 0);
    lat_tensor_release(y);
  }
  for (int i = 0; i < N_BACKWARDS; i++) {
    lat_conv_grads grads;
    lat_test_assert_ok(backwards[i](context, empty, &weight, &nothing, &backward, &grads));
    assert_int_equal(lat_array_count(grads.x), 0);
    lat_test_assert_values(lat_array_as_view(grads.weight), (const double[1]){0.0}, 1);
    lat_test_assert_values(lat_array_as_view(grads.bias), (const double[1]){0.0}, 1);
    lat_array_release(grads.x);
    lat_array_release(grads.weight);
    lat_array_release(grads.bias);
  }
  lat_tensor_release(empty);
  lat_coords_release(none);
}

static void refuse_jvp(int i, const lat_tensor *on, const lat_weight *w, const lat_conv_tangents *tangents,
                       const lat_conv3d_opts *o, lat_status expected, const char *fragment) {
  lat_tensor *out = x;
  lat_test_assert_error(jvps[i](context, on, w, tangents, o, &out), expected, fragment);
  assert_null(out);
}

static void test_jvp_refusals(void **state) {
  (void)state;
  lat_array_view wide = lat_view_2d(ones, LAT_DTYPE_F32, 3, 2), half = lat_view_2d(ones, LAT_DTYPE_F16, 3, 1),
                 long_bias = lat_view_1d(ones, LAT_DTYPE_F32, 2);
  lat_conv_tangents good = {&dx, &dw, &db}, none = {NULL, NULL, NULL};
  lat_quantized_weight *packed = NULL;
  lat_test_assert_ok(lat_quantize_weight(context, &dw, NULL, &packed));
  lat_weight packed_weight = lat_weight_packed(packed);
  for (int i = 0; i < N_JVPS; i++) {
    lat_tensor *out = x;
    lat_conv3d_opts o = opts, bad;
    if (jvps[i] == lat_inverse_conv3d_jvp) o.coordinates = coords;
    lat_test_assert_error(jvps[i](NULL, x, &weight, &good, &o, &out), LAT_STATUS_INVALID_ARGUMENT, "context: got NULL");
    assert_null(out);
    lat_test_assert_error(jvps[i](context, x, &weight, &good, &o, NULL), LAT_STATUS_INVALID_ARGUMENT, "out: got NULL");
    refuse_jvp(i, NULL, &weight, &good, &o, LAT_STATUS_INVALID_ARGUMENT, "x: got NULL");
    refuse_jvp(i, x, NULL, &good, &o, LAT_STATUS_INVALID_ARGUMENT, "weight: got NULL");
    refuse_jvp(i, x, &weight, NULL, &o, LAT_STATUS_INVALID_ARGUMENT, "tangents: got NULL");
    refuse_jvp(i, x, &weight, &none, &o, LAT_STATUS_INVALID_ARGUMENT, "no tangent was given");
    refuse_jvp(i, x, &weight, &(lat_conv_tangents){&wide, NULL, NULL}, &o, LAT_STATUS_INVALID_SHAPE,
               "the tangent of x must have its shape: got (3, 2), expected (3, 1)");
    refuse_jvp(i, x, &weight, &(lat_conv_tangents){&half, NULL, NULL}, &o, LAT_STATUS_INVALID_DTYPE,
               "the tangent of x must have its dtype");
    refuse_jvp(i, x, &weight, &(lat_conv_tangents){NULL, &dx, NULL}, &o, LAT_STATUS_INVALID_SHAPE,
               "the tangent of weight must have its shape");
    refuse_jvp(i, x, &weight, &(lat_conv_tangents){NULL, NULL, &long_bias}, &o, LAT_STATUS_INVALID_SHAPE,
               "bias channels must match output channels");
    refuse_jvp(i, x, &packed_weight, &good, &o, LAT_STATUS_INVALID_ARGUMENT,
               i < FIRST_NORMALIZED ? "a packed weight has no tangent" : "does not support packed weights");
    bad = o;
    bad.groups = 2;
    refuse_jvp(i, x, &weight, &good, &bad, LAT_STATUS_INVALID_SHAPE, "groups must divide x.channels");
    bad = o;
    bad.kernel_size.x = -1;
    refuse_jvp(i, x, &weight, &good, &bad, LAT_STATUS_INVALID_ARGUMENT, "kernel_size values must be positive");
    bad = o;
    bad.eps = -1.0;
    refuse_jvp(i, x, &weight, &good, &bad, LAT_STATUS_INVALID_ARGUMENT,
               i < FIRST_NORMALIZED ? "eps is for normalized convolutions" : "eps must be positive");
  }
  lat_quantized_weight_release(packed);
}

static void test_backward_refusals(void **state) {
  (void)state;
  lat_conv3d_backward_opts backward = LAT_CONV3D_BACKWARD_OPTS_INIT, bad;
  lat_array_view short_g = lat_view_2d(ones, LAT_DTYPE_F32, 2, 1), half = lat_view_2d(ones, LAT_DTYPE_F16, 3, 1);
  lat_quantized_weight *packed = NULL;
  lat_test_assert_ok(lat_quantize_weight(context, &dw, NULL, &packed));
  lat_weight packed_weight = lat_weight_packed(packed);
  lat_array *stale = (lat_array *)(void *)&counter;
  backward.forward = &opts;
  for (int i = 0; i < N_BACKWARDS; i++) {
    lat_conv_grads grads = {stale, stale, stale};
    const lat_status argument = LAT_STATUS_INVALID_ARGUMENT;
    lat_test_assert_error(backwards[i](NULL, x, &weight, &g, &backward, &grads), argument, "context: got NULL");
    assert_true(!grads.x && !grads.weight && !grads.bias);
    lat_test_assert_error(backwards[i](context, NULL, &weight, &g, &backward, &grads), argument, "x: got NULL");
    lat_test_assert_error(backwards[i](context, x, NULL, &g, &backward, &grads), argument, "weight: got NULL");
    lat_test_assert_error(backwards[i](context, x, &weight, NULL, &backward, &grads), argument, "grad_out: got NULL");
    lat_test_assert_error(backwards[i](context, x, &weight, &g, &backward, NULL), argument, "out: got NULL");
    lat_test_assert_error(backwards[i](context, x, &weight, &short_g, &backward, &grads), LAT_STATUS_INVALID_SHAPE,
                          "grad_out must have shape (rows, C_out)");
    lat_test_assert_error(backwards[i](context, x, &weight, &half, &backward, &grads), LAT_STATUS_INVALID_DTYPE,
                          "grad_out must match feature dtype");
    bad = backward;
    bad.grads = 8;
    lat_test_assert_error(backwards[i](context, x, &weight, &g, &bad, &grads), argument, "grads: got 8");
    bad.grads = LAT_GRAD_X;
    lat_test_assert_error(backwards[i](context, x, &packed_weight, &g, &bad, &grads), argument,
                          "does not support packed weights");
    opts.eps = -1.0;
    lat_test_assert_error(backwards[i](context, x, &weight, &g, &backward, &grads), argument, "eps must be positive");
    opts.eps = 0.0;
    assert_true(!grads.x && !grads.weight && !grads.bias);
  }
  lat_quantized_weight_release(packed);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void) {
  const struct CMUnitTest tests[] = {TEST(test_worked_example), TEST(test_worked_gradients), TEST(test_no_rows),
                                     TEST(test_jvp_refusals), TEST(test_backward_refusals)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
