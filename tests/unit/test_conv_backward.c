// lat_conv3d_backward, lat_subm_conv3d_backward, lat_linear_backward: worked examples, layouts, packed weights, what is
// asked for, repeated rows, empty tensors, and everything they refuse.
//
// covers: lat_conv3d_backward lat_subm_conv3d_backward lat_linear_backward
//
// null arguments: lat_conv3d_backward lat_subm_conv3d_backward lat_linear_backward
#include <math.h>
#include <string.h>

#include <lattice/lattice.h>

#include "coords/tensor_internal.h"
#include "core/array_internal.h"
#include "support/test_allocator.h"
#include "support/test_support.h"

static const int32_t line_rows[3][4] = {{0, 0, 0, 0}, {0, 1, 0, 0}, {0, 2, 0, 0}};
static const float line_values[3] = {1, 2, 3}, ones[64] = {1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1};

static lat_test_allocator counter;
static lat_context *context;
static lat_coords *coords;
static lat_tensor *line;
static lat_conv3d_opts line_opts;
static lat_conv3d_backward_opts opts;
static lat_weight line_weight;

static int set_up(void **state) {
  (void)state;
  memset(&counter, 0, sizeof counter);
  context = lat_test_context_create(&counter, 2);
  lat_array_view rows = lat_view_2d(line_rows, LAT_DTYPE_I32, 3, 4),
                 feats = lat_view_2d(line_values, LAT_DTYPE_F32, 3, 1);
  lat_test_assert_ok(lat_coords_create(context, &rows, NULL, &coords));
  lat_test_assert_ok(lat_tensor_create(context, coords, &feats, NULL, &line));
  line_opts = (lat_conv3d_opts)LAT_CONV3D_OPTS_INIT;
  line_opts.kernel_size = (lat_triple){3, 1, 1};
  opts = (lat_conv3d_backward_opts)LAT_CONV3D_BACKWARD_OPTS_INIT;
  opts.forward = &line_opts;
  line_weight = lat_weight_dense(lat_view(line_values, LAT_DTYPE_F32, 3, (const int64_t[3]){3, 1, 1}));
  return 0;
}

static int tear_down(void **state) {
  (void)state;
  lat_tensor_release(line);
  lat_coords_release(coords);
  lat_test_context_finish(context, &counter);
  return 0;
}

typedef lat_status (*backward_fn)(lat_context *, const lat_tensor *, const lat_weight *, const lat_array_view *,
                                  const lat_conv3d_backward_opts *, lat_conv_grads *);
static const backward_fn backwards[2] = {lat_conv3d_backward, lat_subm_conv3d_backward};

static void assert_floats(const lat_array *array, const float *expected, int64_t n) {
  lat_array_view view = lat_array_as_view(array);
  assert_int_equal(view.dtype, LAT_DTYPE_F32);
  assert_int_equal(lat_array_count(array), n);
  for (int64_t i = 0; i < n; i++) {
    float got = ((const float *)view.data)[i];
    if (got != expected[i]) {
      fail_msg("element %lld: got %g, expected %g", (long long)i, (double)got, (double)expected[i]);
    }
  }
}

static void free_grads(lat_conv_grads *grads) {
  lat_array_release(grads->x);
  lat_array_release(grads->weight);
  lat_array_release(grads->bias);
  *grads = (lat_conv_grads){NULL, NULL, NULL};
}

// --- worked examples --------------------------------------------------------------------------------------------------

static void test_line(void **state) {
  (void)state;
  const float dx[3] = {3, 6, 5}, dw[3] = {3, 6, 5}, db[1] = {3};
  const int64_t shapes[2][5] = {{3, 1, 1}, {1, 3, 1, 1, 1}};
  lat_array_view g = lat_view_2d(ones, LAT_DTYPE_F32, 3, 1);
  for (int which = 0; which < 2; which++) {
    for (int layout = 0; layout < 2; layout++) {
      lat_weight weight = lat_weight_dense(lat_view(line_values, LAT_DTYPE_F32, layout ? 5 : 3, shapes[layout]));
      lat_conv_grads grads;
      lat_test_assert_ok(backwards[which](context, line, &weight, &g, &opts, &grads));
      assert_floats(grads.x, dx, 3);
      assert_floats(grads.weight, dw, 3);
      assert_floats(grads.bias, db, 1);
      assert_int_equal(lat_array_as_view(grads.weight).rank, layout ? 5 : 3);
      free_grads(&grads);
    }
  }
}

static void test_target(void **state) {
  (void)state;
  static const int32_t target_rows[2][4] = {{0, 1, 0, 0}, {0, 3, 0, 0}};
  const float dx[3] = {1, 2, 4}, dw[3] = {4, 2, 3}, db[1] = {2};
  lat_array_view rows = lat_view_2d(target_rows, LAT_DTYPE_I32, 2, 4), g = lat_view_2d(ones, LAT_DTYPE_F32, 2, 1);
  lat_coords *target = NULL;
  lat_conv_grads grads;
  lat_test_assert_ok(lat_coords_create(context, &rows, NULL, &target));
  line_opts.coordinates = target;
  lat_test_assert_ok(lat_conv3d_backward(context, line, &line_weight, &g, &opts, &grads));
  assert_floats(grads.x, dx, 3);
  assert_floats(grads.weight, dw, 3);
  assert_floats(grads.bias, db, 1);
  free_grads(&grads);
  lat_coords_release(target);
}

static void test_repeated_rows(void **state) {
  (void)state;
  // The first of equal input rows is the one that was read; equal target rows give their gradients to it both.
  static const int32_t twice[4][4] = {{0, 0, 0, 0}, {0, 0, 0, 0}, {0, 1, 0, 0}, {0, 0, 0, 0}};
  const float values[4] = {1, 10, 2, 100};
  // Edges: rows 0, 1, 3 (x = 0) read row 0 under the middle and row 2 under the last element; row 2 reads 0 and itself.
  const float dx[4] = {3 * 2 + 1, 0, 3 * 3 + 2, 0}, dw[3] = {1, 3 * 1 + 2, 3 * 2}, db[1] = {4};
  lat_array_view rows = lat_view_2d(twice, LAT_DTYPE_I32, 4, 4), feats = lat_view_2d(values, LAT_DTYPE_F32, 4, 1),
                 g = lat_view_2d(ones, LAT_DTYPE_F32, 4, 1);
  lat_coords *set = NULL;
  lat_tensor *x = NULL;
  lat_test_assert_ok(lat_coords_create(context, &rows, NULL, &set));
  lat_test_assert_ok(lat_tensor_create(context, set, &feats, NULL, &x));
  for (int which = 0; which < 2; which++) {
    lat_conv_grads grads;
    lat_test_assert_ok(backwards[which](context, x, &line_weight, &g, &opts, &grads));
    assert_floats(grads.x, dx, 4);
    assert_floats(grads.weight, dw, 3);
    assert_floats(grads.bias, db, 1);
    free_grads(&grads);
  }
  lat_tensor_release(x);
  lat_coords_release(set);
}

static void test_linear(void **state) {
  (void)state;
  // W = (1, 2)^T, g = ones: dX = 1 + 2 for every row, dW = (6, 6), dbias = (3, 3).
  const float dx[3] = {3, 3, 3}, dw[2] = {6, 6}, db[2] = {3, 3};
  lat_array_view g = lat_view_2d(ones, LAT_DTYPE_F32, 3, 2);
  lat_weight weight = lat_weight_dense(lat_view_2d(line_values, LAT_DTYPE_F32, 2, 1));
  lat_conv_grads grads;
  lat_test_assert_ok(lat_linear_backward(context, line, &weight, &g, LAT_GRAD_ALL, &grads));
  assert_floats(grads.x, dx, 3);
  assert_floats(grads.weight, dw, 2);
  assert_floats(grads.bias, db, 2);
  free_grads(&grads);
  line_opts.kernel_size = lat_triple_all(1); // the pointwise convolutions are the same
  for (int which = 0; which < 2; which++) {
    lat_test_assert_ok(backwards[which](context, line, &weight, &g, &opts, &grads));
    assert_floats(grads.x, dx, 3);
    assert_floats(grads.weight, dw, 2);
    assert_floats(grads.bias, db, 2);
    free_grads(&grads);
  }
}

static void test_wanted(void **state) {
  (void)state;
  lat_array_view g = lat_view_2d(ones, LAT_DTYPE_F32, 3, 1);
  lat_weight matrix = lat_weight_dense(lat_view_2d(line_values, LAT_DTYPE_F32, 1, 1));
  for (int32_t flags = 1; flags < 8; flags++) {
    for (int which = 0; which < 3; which++) {
      lat_conv_grads grads;
      opts.grads = flags;
      if (which < 2) {
        lat_test_assert_ok(backwards[which](context, line, &line_weight, &g, &opts, &grads));
      } else {
        lat_test_assert_ok(lat_linear_backward(context, line, &matrix, &g, flags, &grads));
      }
      assert_int_equal(grads.x != NULL, (flags & LAT_GRAD_X) != 0);
      assert_int_equal(grads.weight != NULL, (flags & LAT_GRAD_WEIGHT) != 0);
      assert_int_equal(grads.bias != NULL, (flags & LAT_GRAD_BIAS) != 0);
      free_grads(&grads);
    }
  }
}

static void test_empty(void **state) {
  (void)state;
  const float zeros[3] = {0, 0, 0};
  lat_array_view rows = lat_view_2d(NULL, LAT_DTYPE_I32, 0, 4), feats = lat_view_2d(NULL, LAT_DTYPE_F32, 0, 1);
  lat_coords *set = NULL;
  lat_tensor *x = NULL;
  lat_test_assert_ok(lat_coords_create(context, &rows, NULL, &set));
  lat_test_assert_ok(lat_tensor_create(context, set, &feats, NULL, &x));
  for (int which = 0; which < 2; which++) {
    lat_conv_grads grads;
    lat_test_assert_ok(backwards[which](context, x, &line_weight, &feats, &opts, &grads));
    assert_int_equal(lat_array_count(grads.x), 0);
    assert_floats(grads.weight, zeros, 3);
    assert_floats(grads.bias, zeros, 1);
    free_grads(&grads);
  }
  lat_tensor_release(x);
  lat_coords_release(set);
}

// Packed weights of every storage and width: the gradient of x is that of the dense weight they stand for.
static void test_packed(void **state) {
  (void)state;
  enum { C_IN = 5, C_OUT = 7, MAX = 27 * C_IN * C_OUT };
  static float values[MAX], feats[3 * C_IN], g_values[3 * C_OUT];
  static const int64_t shapes[3][5] = {{C_OUT, C_IN}, {3, C_IN, C_OUT}, {C_OUT, 3, 1, 1, C_IN}};
  static const int32_t ranks[3] = {2, 3, 5};
  for (int i = 0; i < MAX; i++) values[i] = (float)(i * 37 % 101 - 50) / 16.0f;
  for (int i = 0; i < 3 * C_OUT; i++) g_values[i] = (float)(i % 5 - 2);
  lat_array_view feat_view = lat_view_2d(feats, LAT_DTYPE_F32, 3, C_IN),
                 g = lat_view_2d(g_values, LAT_DTYPE_F32, 3, C_OUT);
  lat_tensor *x = NULL;
  lat_test_assert_ok(lat_tensor_create(context, coords, &feat_view, NULL, &x));
  for (int i = 0; i < 6; i++) {
    int layout = i % 3;
    lat_quantize_opts quantize = LAT_QUANTIZE_OPTS_INIT;
    quantize.bits = i < 3 ? 4 : 8;
    lat_array_view view = lat_view(values, LAT_DTYPE_F32, ranks[layout], shapes[layout]);
    lat_quantized_weight *packed = NULL;
    lat_array *dense = NULL;
    lat_test_assert_ok(lat_quantize_weight(context, &view, &quantize, &packed));
    lat_test_assert_ok(lat_dequantize_weight(context, packed, &dense));
    lat_weight weights[2] = {lat_weight_packed(packed), lat_weight_dense(lat_array_as_view(dense))};
    lat_conv_grads grads[2];
    line_opts.kernel_size = layout == 0 ? lat_triple_all(1) : (lat_triple){3, 1, 1};
    opts.grads = LAT_GRAD_X | LAT_GRAD_BIAS;
    for (int w = 0; w < 2; w++) {
      lat_test_assert_ok(lat_conv3d_backward(context, x, &weights[w], &g, &opts, &grads[w]));
    }
    assert_floats(grads[0].x, lat_array_as_view(grads[1].x).data, 3 * C_IN);
    assert_floats(grads[0].bias, lat_array_as_view(grads[1].bias).data, C_OUT);
    for (int w = 0; w < 2; w++) free_grads(&grads[w]);
    if (layout == 0) {
      for (int w = 0; w < 2; w++) {
        lat_test_assert_ok(lat_linear_backward(context, x, &weights[w], &g, LAT_GRAD_X, &grads[w]));
      }
      assert_floats(grads[0].x, lat_array_as_view(grads[1].x).data, 3 * C_IN);
      for (int w = 0; w < 2; w++) free_grads(&grads[w]);
      assert_true(lat_linear_backward(context, x, &weights[0], &g, LAT_GRAD_WEIGHT, &grads[0]) ==
                  LAT_STATUS_INVALID_ARGUMENT);
    }
    opts.grads = LAT_GRAD_ALL;
    grads[0].x = dense; // a handle that the failing call clears
    lat_test_assert_error(lat_conv3d_backward(context, x, &weights[0], &g, &opts, &grads[0]),
                          LAT_STATUS_INVALID_ARGUMENT, "a packed weight has no gradient");
    assert_null(grads[0].x);
    lat_array_release(dense);
    lat_quantized_weight_release(packed);
  }
  lat_tensor_release(x);
}

static void test_strided_view(void **state) {
  (void)state;
  const float dx[3] = {3, 6, 5}, every_other[6] = {1, -9, 1, -9, 1, -9};
  lat_array_view g = lat_view_2d(every_other, LAT_DTYPE_F32, 3, 1);
  lat_conv_grads grads;
  g.stride[0] = 2;
  lat_test_assert_ok(lat_conv3d_backward(context, line, &line_weight, &g, &opts, &grads));
  assert_floats(grads.x, dx, 3);
  free_grads(&grads);
}

// --- refusals ---------------------------------------------------------------------------------------------------------

static void refuse(int which, const lat_tensor *x, const lat_weight *weight, const lat_array_view *g,
                   lat_status expected, const char *fragment) {
  lat_array *stale = (lat_array *)(void *)&counter;
  lat_conv_grads grads = {stale, stale, stale};
  lat_test_assert_error(backwards[which](context, x, weight, g, &opts, &grads), expected, fragment);
  assert_null(grads.x);
  assert_null(grads.weight);
  assert_null(grads.bias);
}

static void refuse_linear(const lat_tensor *x, const lat_weight *weight, const lat_array_view *g, int32_t flags,
                          lat_status expected, const char *fragment) {
  lat_array *stale = (lat_array *)(void *)&counter;
  lat_conv_grads grads = {stale, stale, stale};
  lat_test_assert_error(lat_linear_backward(context, x, weight, g, flags, &grads), expected, fragment);
  assert_null(grads.x);
  assert_null(grads.weight);
  assert_null(grads.bias);
}

static void test_null(void **state) {
  (void)state;
  lat_array_view g = lat_view_2d(ones, LAT_DTYPE_F32, 3, 1), no_data = lat_view_2d(NULL, LAT_DTYPE_F32, 3, 1);
  lat_weight matrix = lat_weight_dense(lat_view_2d(line_values, LAT_DTYPE_F32, 1, 1));
  lat_conv_grads grads;
  for (int i = 0; i < 2; i++) {
    lat_test_assert_error(backwards[i](NULL, line, &line_weight, &g, &opts, &grads), LAT_STATUS_INVALID_ARGUMENT,
                          "context: got NULL");
    assert_null(grads.x);
    refuse(i, NULL, &line_weight, &g, LAT_STATUS_INVALID_ARGUMENT, "x: got NULL");
    refuse(i, line, NULL, &g, LAT_STATUS_INVALID_ARGUMENT, "weight: got NULL");
    refuse(i, line, &line_weight, NULL, LAT_STATUS_INVALID_ARGUMENT, "grad_out");
    refuse(i, line, &line_weight, &no_data, LAT_STATUS_INVALID_ARGUMENT, "grad_out");
    lat_test_assert_error(backwards[i](context, line, &line_weight, &g, &opts, NULL), LAT_STATUS_INVALID_ARGUMENT,
                          "out: got NULL");
  }
  lat_test_assert_error(lat_linear_backward(NULL, line, &matrix, &g, 0, &grads), LAT_STATUS_INVALID_ARGUMENT,
                        "context: got NULL");
  refuse_linear(NULL, &matrix, &g, 0, LAT_STATUS_INVALID_ARGUMENT, "x: got NULL");
  refuse_linear(line, NULL, &g, 0, LAT_STATUS_INVALID_ARGUMENT, "weight: got NULL");
  refuse_linear(line, &matrix, NULL, 0, LAT_STATUS_INVALID_ARGUMENT, "grad_out");
  lat_test_assert_error(lat_linear_backward(context, line, &matrix, &g, 0, NULL), LAT_STATUS_INVALID_ARGUMENT,
                        "out: got NULL");
}

static void test_grad_out(void **state) {
  (void)state;
  lat_array_view flat = lat_view_1d(ones, LAT_DTYPE_F32, 3), short_one = lat_view_2d(ones, LAT_DTYPE_F32, 2, 1),
                 wide = lat_view_2d(ones, LAT_DTYPE_F32, 3, 2), half = lat_view_2d(ones, LAT_DTYPE_F16, 3, 1),
                 ints = lat_view_2d(ones, LAT_DTYPE_I32, 3, 1);
  lat_weight matrix = lat_weight_dense(lat_view_2d(line_values, LAT_DTYPE_F32, 1, 1));
  const char shape_text[] = "grad_out must have shape (rows, C_out) of the result: got ";
  for (int i = 0; i < 2; i++) {
    refuse(i, line, &line_weight, &flat, LAT_STATUS_INVALID_SHAPE, shape_text);
    refuse(i, line, &line_weight, &short_one, LAT_STATUS_INVALID_SHAPE, "expected (3, 1)");
    refuse(i, line, &line_weight, &wide, LAT_STATUS_INVALID_SHAPE, shape_text);
    refuse(i, line, &line_weight, &half, LAT_STATUS_INVALID_DTYPE, "grad_out must match feature dtype: got float16");
  }
  refuse_linear(line, &matrix, &flat, 0, LAT_STATUS_INVALID_SHAPE, shape_text);
  refuse_linear(line, &matrix, &wide, 0, LAT_STATUS_INVALID_SHAPE, shape_text);
  refuse_linear(line, &matrix, &ints, 0, LAT_STATUS_INVALID_DTYPE, "grad_out dtype: got int32");
  line_opts.stride = (lat_triple){2, 1, 1}; // two rows come out
  lat_array_view three = lat_view_2d(ones, LAT_DTYPE_F32, 3, 1);
  refuse(0, line, &line_weight, &three, LAT_STATUS_INVALID_SHAPE, "expected (2, 1)");
}

static void test_options(void **state) {
  (void)state;
  lat_array_view g = lat_view_2d(ones, LAT_DTYPE_F32, 3, 1);
  lat_weight matrix = lat_weight_dense(lat_view_2d(line_values, LAT_DTYPE_F32, 1, 1));
  const int32_t bad[2] = {8, -1};
  for (int i = 0; i < 2; i++) {
    opts.grads = bad[i];
    refuse(0, line, &line_weight, &g, LAT_STATUS_INVALID_ARGUMENT, "grads: got");
    refuse(1, line, &line_weight, &g, LAT_STATUS_INVALID_ARGUMENT, "grads: got");
    refuse_linear(line, &matrix, &g, bad[i], LAT_STATUS_INVALID_ARGUMENT, "grads: got");
  }
  opts.grads = 0;
  opts.struct_bytes = 3;
  refuse(0, line, &line_weight, &g, LAT_STATUS_INVALID_ARGUMENT, "struct_bytes");
  refuse(1, line, &line_weight, &g, LAT_STATUS_INVALID_ARGUMENT, "struct_bytes");
  opts.struct_bytes = sizeof opts;
  line_opts.kernel_size = (lat_triple){3, -1, 1};
  refuse(0, line, &line_weight, &g, LAT_STATUS_INVALID_ARGUMENT, "kernel_size values must be positive");
  refuse(1, line, &line_weight, &g, LAT_STATUS_INVALID_ARGUMENT, "kernel_size values must be positive");
  line_opts.kernel_size = (lat_triple){2, 1, 1};
  refuse(1, line, &line_weight, &g, LAT_STATUS_INVALID_ARGUMENT, "requires odd kernel_size values");
  line_opts.kernel_size = (lat_triple){3, 1, 1};
  line_opts.stride = (lat_triple){2, 1, 1};
  line_opts.coordinates = coords;
  refuse(0, line, &line_weight, &g, LAT_STATUS_INVALID_ARGUMENT, "must use the convolution output stride");
  opts.forward = NULL; // the defaults: 27 elements
  refuse(0, line, &line_weight, &g, LAT_STATUS_INVALID_SHAPE, "weight kernel rows must match the convolution kernel");
  refuse(1, line, &line_weight, &g, LAT_STATUS_INVALID_SHAPE, "weight kernel rows must match the convolution kernel");
}

static void test_weights(void **state) {
  (void)state;
  lat_array_view g = lat_view_2d(ones, LAT_DTYPE_F32, 3, 1);
  lat_weight half = lat_weight_dense(lat_view(line_values, LAT_DTYPE_F16, 3, (const int64_t[3]){3, 1, 1})),
             wide = lat_weight_dense(lat_view(ones, LAT_DTYPE_F32, 3, (const int64_t[3]){3, 2, 1})),
             flat = lat_weight_dense(lat_view_1d(ones, LAT_DTYPE_F32, 3)),
             matrix = lat_weight_dense(lat_view_2d(ones, LAT_DTYPE_F32, 1, 2)),
             ints = lat_weight_dense(lat_view_2d(ones, LAT_DTYPE_I32, 1, 1));
  for (int i = 0; i < 2; i++) {
    refuse(i, line, &half, &g, LAT_STATUS_INVALID_DTYPE, "convolution weights must match feature dtype");
    refuse(i, line, &wide, &g, LAT_STATUS_INVALID_SHAPE, "weight input channels must match x.channels");
    refuse(i, line, &flat, &g, LAT_STATUS_INVALID_SHAPE, "mapped convolution weight must have shape");
  }
  refuse_linear(line, &flat, &g, 0, LAT_STATUS_INVALID_SHAPE, "weight must have shape (C_out, C_in)");
  refuse_linear(line, &matrix, &g, 0, LAT_STATUS_INVALID_SHAPE, "weight input channels must match x.channels");
  refuse_linear(line, &ints, &g, 0, LAT_STATUS_INVALID_DTYPE, "weight dtype: got int32");
  lat_quantized_weight *packed = NULL;
  lat_array_view dense = lat_view(line_values, LAT_DTYPE_F32, 3, (const int64_t[3]){3, 1, 1});
  lat_test_assert_ok(lat_quantize_weight(context, &dense, NULL, &packed));
  lat_weight weight = lat_weight_packed(packed);
  refuse_linear(line, &weight, &g, LAT_GRAD_X, LAT_STATUS_INVALID_ARGUMENT,
                "quantized matmul requires a pointwise weight");
  refuse_linear(line, &weight, &g, 0, LAT_STATUS_INVALID_ARGUMENT, "a packed weight has no gradient");
  refuse(1, line, &weight, &g, LAT_STATUS_INVALID_ARGUMENT, "a packed weight has no gradient");
  lat_quantized_weight_release(packed);
  // No public call makes a tensor of doubles.
  lat_array *doubles = NULL;
  lat_tensor *odd = NULL;
  lat_test_assert_ok(lat__array_new_2d(context, "test", LAT_DTYPE_F64, 3, 1, &doubles));
  lat_test_assert_ok(lat__tensor_new(context, "test", coords, doubles, NULL, &odd));
  for (int i = 0; i < 2; i++) {
    refuse(i, odd, &line_weight, &g, LAT_STATUS_INVALID_DTYPE, "convolution supports float32 and float16 tensors");
  }
  lat_tensor_release(odd);
  lat_array_release(doubles);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void) {
  const struct CMUnitTest tests[] = {
      TEST(test_line),   TEST(test_target),   TEST(test_repeated_rows), TEST(test_linear),
      TEST(test_wanted), TEST(test_empty),    TEST(test_packed),        TEST(test_strided_view),
      TEST(test_null),   TEST(test_grad_out), TEST(test_options),       TEST(test_weights),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
