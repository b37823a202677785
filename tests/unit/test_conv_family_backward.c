// Gradients of the transposed, generative and inverse convolutions and lat_conv3d_jvp: worked examples and refusals.
//
// covers: lat_conv_transpose3d_backward lat_generative_conv_transpose3d_backward lat_inverse_conv3d_backward
// covers: lat_conv3d_jvp
//
// null arguments: lat_conv_transpose3d_backward lat_generative_conv_transpose3d_backward lat_inverse_conv3d_backward
// null arguments: lat_conv3d_jvp
#include <string.h>

#include <lattice/lattice.h>

#include "support/test_allocator.h"
#include "support/test_support.h"

static const int32_t line_rows[3][4] = {{0, 0, 0, 0}, {0, 1, 0, 0}, {0, 2, 0, 0}};
static const float line_values[3] = {1, 2, 3}, ones[8] = {1, 1, 1, 1, 1, 1, 1, 1};

static lat_test_allocator counter;
static lat_context *context;
static lat_coords *coords, *fine;
static lat_tensor *line; // stride 2
static lat_conv3d_opts forward;
static lat_conv3d_backward_opts opts;
static lat_weight pair_weight, line_weight;

static int set_up(void **state) {
  (void)state;
  memset(&counter, 0, sizeof counter);
  context = lat_test_context_create(&counter, 2);
  lat_array_view rows = lat_view_2d(line_rows, LAT_DTYPE_I32, 3, 4),
                 feats = lat_view_2d(line_values, LAT_DTYPE_F32, 3, 1);
  lat_coords_opts coords_opts = LAT_COORDS_OPTS_INIT;
  coords_opts.stride = lat_triple_all(2);
  lat_test_assert_ok(lat_coords_create(context, &rows, &coords_opts, &coords));
  lat_test_assert_ok(lat_coords_create(context, &rows, NULL, &fine));
  lat_test_assert_ok(lat_tensor_create(context, coords, &feats, NULL, &line));
  forward = (lat_conv3d_opts)LAT_CONV3D_OPTS_INIT;
  forward.kernel_size = (lat_triple){2, 1, 1};
  forward.stride = (lat_triple){2, 1, 1};
  opts = (lat_conv3d_backward_opts)LAT_CONV3D_BACKWARD_OPTS_INIT;
  opts.forward = &forward;
  pair_weight = lat_weight_dense(lat_view(line_values, LAT_DTYPE_F32, 3, (const int64_t[3]){2, 1, 1}));
  line_weight = lat_weight_dense(lat_view(line_values, LAT_DTYPE_F32, 3, (const int64_t[3]){3, 1, 1}));
  return 0;
}

static int tear_down(void **state) {
  (void)state;
  lat_tensor_release(line);
  lat_coords_release(coords);
  lat_coords_release(fine);
  lat_test_context_finish(context, &counter);
  return 0;
}

typedef lat_status (*backward_fn)(lat_context *, const lat_tensor *, const lat_weight *, const lat_array_view *,
                                  const lat_conv3d_backward_opts *, lat_conv_grads *);
static const backward_fn backwards[3] = {lat_conv_transpose3d_backward, lat_generative_conv_transpose3d_backward,
                                         lat_inverse_conv3d_backward};

static void assert_floats(lat_array_view view, const float *expected, int64_t n) {
  assert_int_equal(view.dtype, LAT_DTYPE_F32);
  assert_int_equal(view.shape[0] * (view.rank > 1 ? view.shape[1] : 1) * (view.rank > 2 ? view.shape[2] : 1), n);
  for (int64_t i = 0; i < n; i++) {
    float got = ((const float *)view.data)[i];
    if (got != expected[i]) fail_msg("element %d: got %g, expected %g", (int)i, (double)got, (double)expected[i]);
  }
}

static void check_grads(lat_conv_grads *grads, const float *dx, int64_t n_x, const float *dw, float db) {
  assert_floats(lat_array_as_view(grads->x), dx, n_x);
  assert_floats(lat_array_as_view(grads->weight), dw, 2);
  assert_floats(lat_array_as_view(grads->bias), &db, 1);
  lat_array_release(grads->x);
  lat_array_release(grads->weight);
  lat_array_release(grads->bias);
}

// Every row meets both elements of W = (1, 2) once: dX = 3, dW = 1 + 2 + 3 twice, dbias = 6 rows.
static void test_transposed(void **state) {
  (void)state;
  const float dx[3] = {3, 3, 3}, dw[2] = {6, 6};
  lat_array_view g = lat_view_2d(ones, LAT_DTYPE_F32, 6, 1);
  for (int i = 0; i < 2; i++) {
    lat_conv_grads grads;
    lat_test_assert_ok(backwards[i](context, line, &pair_weight, &g, &opts, &grads));
    check_grads(&grads, dx, 3, dw, 6.0f);
  }
}

// Fine rows 0, 1, 2 came from coarse rows 0 and 1: edges (0, 0, 0), (1, 0, 1), (2, 1, 0). x = (1, 2): dX = 1 + 2 and 1,
// dW = 1 + 2 and 1.
static void test_inverse(void **state) {
  (void)state;
  const float dx[2] = {3, 1}, dw[2] = {3, 1};
  lat_array_view rows = lat_view_2d(line_rows, LAT_DTYPE_I32, 2, 4),
                 feats = lat_view_2d(line_values, LAT_DTYPE_F32, 2, 1), g = lat_view_2d(ones, LAT_DTYPE_F32, 3, 1);
  lat_coords_opts coords_opts = LAT_COORDS_OPTS_INIT;
  lat_coords *coarse = NULL;
  lat_tensor *x = NULL;
  lat_conv_grads grads;
  coords_opts.stride = (lat_triple){2, 1, 1};
  lat_test_assert_ok(lat_coords_create(context, &rows, &coords_opts, &coarse));
  lat_test_assert_ok(lat_tensor_create(context, coarse, &feats, NULL, &x));
  forward.coordinates = fine;
  lat_test_assert_ok(lat_inverse_conv3d_backward(context, x, &pair_weight, &g, &opts, &grads));
  check_grads(&grads, dx, 2, dw, 3.0f);
  lat_tensor_release(x);
  lat_coords_release(coarse);
}

static void test_backward_refusals(void **state) {
  (void)state;
  lat_array_view g = lat_view_2d(ones, LAT_DTYPE_F32, 6, 1), short_g = lat_view_2d(ones, LAT_DTYPE_F32, 5, 1),
                 half = lat_view_2d(ones, LAT_DTYPE_F16, 6, 1);
  lat_quantized_weight *packed = NULL;
  lat_test_assert_ok(lat_quantize_weight(context, &pair_weight.dense, NULL, &packed));
  lat_weight packed_weight = lat_weight_packed(packed);
  lat_array *stale = (lat_array *)(void *)&counter;
  for (int i = 0; i < 3; i++) {
    lat_conv_grads grads = {stale, stale, stale};
    forward.coordinates = i == 2 ? fine : NULL;
    lat_test_assert_error(backwards[i](NULL, line, &pair_weight, &g, &opts, &grads), LAT_STATUS_INVALID_ARGUMENT,
                          "context: got NULL");
    assert_true(!grads.x && !grads.weight && !grads.bias);
    lat_test_assert_error(backwards[i](context, NULL, &pair_weight, &g, &opts, &grads), LAT_STATUS_INVALID_ARGUMENT,
                          "x: got NULL");
    lat_test_assert_error(backwards[i](context, line, NULL, &g, &opts, &grads), LAT_STATUS_INVALID_ARGUMENT,
                          "weight: got NULL");
    lat_test_assert_error(backwards[i](context, line, &pair_weight, NULL, &opts, &grads), LAT_STATUS_INVALID_ARGUMENT,
                          "grad_out");
    lat_test_assert_error(backwards[i](context, line, &pair_weight, &g, &opts, NULL), LAT_STATUS_INVALID_ARGUMENT,
                          "out: got NULL");
    lat_test_assert_error(backwards[i](context, line, &pair_weight, &half, &opts, &grads), LAT_STATUS_INVALID_DTYPE,
                          "grad_out must match feature dtype");
    lat_test_assert_error(backwards[i](context, line, &packed_weight, &g, &opts, &grads), LAT_STATUS_INVALID_ARGUMENT,
                          "a packed weight has no gradient");
    if (i < 2) {
      lat_test_assert_error(backwards[i](context, line, &pair_weight, &short_g, &opts, &grads),
                            LAT_STATUS_INVALID_SHAPE, "grad_out must have shape (rows, C_out) of the result");
    } else {
      lat_test_assert_error(backwards[i](context, line, &pair_weight, &g, &opts, &grads), LAT_STATUS_INVALID_ARGUMENT,
                            "x must lie on the output set of the forward convolution");
      forward.coordinates = NULL;
      lat_test_assert_error(backwards[i](context, line, &pair_weight, &g, &opts, &grads), LAT_STATUS_INVALID_ARGUMENT,
                            "coordinates: got NULL");
    }
    assert_true(!grads.x && !grads.weight && !grads.bias);
  }
  lat_conv_grads grads;
  forward.coordinates = NULL;
  forward.stride = (lat_triple){3, 1, 1};
  lat_test_assert_error(backwards[0](context, line, &pair_weight, &g, &opts, &grads), LAT_STATUS_INVALID_ARGUMENT,
                        "transpose stride must divide the input tensor stride");
  lat_quantized_weight_release(packed);
}

// 4.9: feats 1, 2, 3, W 1, 2, 3, both tangents ones.
static void test_jvp(void **state) {
  (void)state;
  const float expected[3] = {8, 12, 8}, with_bias[3] = {9, 13, 9}, of_x[3] = {5, 6, 3}, of_w[3] = {3, 6, 5};
  lat_array_view dx = lat_view_2d(ones, LAT_DTYPE_F32, 3, 1), db = lat_view_1d(ones, LAT_DTYPE_F32, 1);
  lat_array_view dw = lat_view(ones, LAT_DTYPE_F32, 3, (const int64_t[3]){3, 1, 1});
  const lat_conv_tangents tangents[5] = {
      {&dx, &dw, NULL}, {&dx, &dw, &db}, {&dx, NULL, NULL}, {NULL, &dw, NULL}, {NULL, NULL, &db}};
  const float *values[5] = {expected, with_bias, of_x, of_w, ones};
  forward.kernel_size = (lat_triple){3, 1, 1};
  forward.stride = lat_triple_all(1);
  for (int i = 0; i < 5; i++) {
    lat_tensor *y = NULL;
    lat_test_assert_ok(lat_conv3d_jvp(context, line, &line_weight, &tangents[i], &forward, &y));
    assert_floats(lat_tensor_feats(y), values[i], 3);
    assert_true(lat_tensor_same_coords(y, line));
    lat_tensor_release(y);
  }
}

static void refuse_jvp(const lat_weight *weight, const lat_conv_tangents *tangents, lat_status expected,
                       const char *fragment) {
  lat_tensor *out = line;
  lat_test_assert_error(lat_conv3d_jvp(context, line, weight, tangents, &forward, &out), expected, fragment);
  assert_null(out);
}

static void test_jvp_refusals(void **state) {
  (void)state;
  lat_array_view dx = lat_view_2d(ones, LAT_DTYPE_F32, 3, 1), wide = lat_view_2d(ones, LAT_DTYPE_F32, 3, 2),
                 half = lat_view_2d(ones, LAT_DTYPE_F16, 3, 1), flat = lat_view_1d(ones, LAT_DTYPE_F32, 3),
                 no_data = lat_view_2d(NULL, LAT_DTYPE_F32, 3, 1);
  lat_array_view dw = lat_view(ones, LAT_DTYPE_F32, 3, (const int64_t[3]){3, 1, 1}),
                 dw_half = lat_view(ones, LAT_DTYPE_F16, 3, (const int64_t[3]){3, 1, 1});
  lat_conv_tangents good = {&dx, &dw, NULL};
  lat_tensor *out = line;
  forward.kernel_size = (lat_triple){3, 1, 1};
  forward.stride = lat_triple_all(1);
  lat_test_assert_error(lat_conv3d_jvp(NULL, line, &line_weight, &good, &forward, &out), LAT_STATUS_INVALID_ARGUMENT,
                        "context: got NULL");
  assert_null(out);
  lat_test_assert_error(lat_conv3d_jvp(context, NULL, &line_weight, &good, &forward, &out), LAT_STATUS_INVALID_ARGUMENT,
                        "x: got NULL");
  lat_test_assert_error(lat_conv3d_jvp(context, line, &line_weight, &good, &forward, NULL), LAT_STATUS_INVALID_ARGUMENT,
                        "out: got NULL");
  refuse_jvp(NULL, &good, LAT_STATUS_INVALID_ARGUMENT, "weight: got NULL");
  refuse_jvp(&line_weight, NULL, LAT_STATUS_INVALID_ARGUMENT, "tangents: got NULL");
  refuse_jvp(&line_weight, &(lat_conv_tangents){NULL, NULL, NULL}, LAT_STATUS_INVALID_ARGUMENT, "no tangent was given");
  refuse_jvp(&line_weight, &(lat_conv_tangents){&wide, NULL, NULL}, LAT_STATUS_INVALID_SHAPE,
             "the tangent of x must have its shape: got (3, 2), expected (3, 1)");
  refuse_jvp(&line_weight, &(lat_conv_tangents){&flat, &dw, NULL}, LAT_STATUS_INVALID_SHAPE,
             "the tangent of x must have its shape");
  refuse_jvp(&line_weight, &(lat_conv_tangents){&half, NULL, NULL}, LAT_STATUS_INVALID_DTYPE,
             "the tangent of x must have its dtype");
  refuse_jvp(&line_weight, &(lat_conv_tangents){&no_data, NULL, NULL}, LAT_STATUS_INVALID_ARGUMENT, "x");
  refuse_jvp(&line_weight, &(lat_conv_tangents){NULL, &dx, NULL}, LAT_STATUS_INVALID_SHAPE,
             "the tangent of weight must have its shape");
  refuse_jvp(&line_weight, &(lat_conv_tangents){NULL, &dw_half, NULL}, LAT_STATUS_INVALID_DTYPE,
             "the tangent of weight must have its dtype");
  refuse_jvp(&line_weight, &(lat_conv_tangents){NULL, NULL, &flat}, LAT_STATUS_INVALID_SHAPE,
             "bias channels must match output channels");
  refuse_jvp(&pair_weight, &good, LAT_STATUS_INVALID_SHAPE, "weight kernel rows must match");
  lat_quantized_weight *packed = NULL;
  lat_test_assert_ok(lat_quantize_weight(context, &line_weight.dense, NULL, &packed));
  lat_weight packed_weight = lat_weight_packed(packed);
  refuse_jvp(&packed_weight, &good, LAT_STATUS_INVALID_ARGUMENT, "a packed weight has no tangent");
  lat_quantized_weight_release(packed);
  forward.kernel_size = (lat_triple){-3, 1, 1};
  refuse_jvp(&line_weight, &good, LAT_STATUS_INVALID_ARGUMENT, "kernel_size values must be positive");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void) {
  const struct CMUnitTest tests[] = {
      TEST(test_transposed), TEST(test_inverse), TEST(test_backward_refusals), TEST(test_jvp), TEST(test_jvp_refusals),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
