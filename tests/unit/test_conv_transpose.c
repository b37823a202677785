// Transposed, generative and inverse convolutions: worked examples, identity, strides, batch metadata, packed weights on
// every route, and everything they refuse.
//
// covers: lat_conv_transpose3d lat_generative_conv_transpose3d lat_inverse_conv3d
// null arguments: lat_conv_transpose3d lat_generative_conv_transpose3d lat_inverse_conv3d
#include <string.h>

#include <lattice/lattice.h>

#include "coords/tensor_internal.h"
#include "core/array_internal.h"
#include "support/test_allocator.h"
#include "support/test_support.h"

static lat_test_allocator counter;
static lat_context *context;
static float values[4096]; // weights and biases whose content does not matter

static int set_up(void **state) {
  (void)state;
  memset(&counter, 0, sizeof counter);
  context = lat_test_context_create(&counter, 2);
  return 0;
}

static int tear_down(void **state) {
  (void)state;
  lat_test_context_finish(context, &counter);
  return 0;
}

static lat_coords *make_coords(const void *rows, int64_t n, int32_t stride) {
  lat_array_view view = lat_view_2d(rows, LAT_DTYPE_I32, n, 4);
  lat_coords_opts opts = LAT_COORDS_OPTS_INIT;
  lat_coords *coords = NULL;
  opts.stride = lat_triple_all(stride);
  lat_test_assert_ok(lat_coords_create(context, &view, &opts, &coords));
  return coords;
}

static lat_tensor *make_tensor(const void *rows, int64_t n, int32_t stride, const float *feats, int64_t channels) {
  lat_coords *coords = make_coords(rows, n, stride);
  lat_array_view view = lat_view_2d(feats, LAT_DTYPE_F32, n, channels);
  lat_tensor_opts opts = LAT_TENSOR_OPTS_INIT;
  lat_tensor *x = NULL;
  opts.n_batches = 3;
  lat_test_assert_ok(lat_tensor_create(context, coords, &view, &opts, &x));
  lat_coords_release(coords);
  return x;
}

static lat_weight kernel_major(const float *data, int64_t k, int64_t c_in, int64_t c_out) {
  return lat_weight_dense(lat_view(data, LAT_DTYPE_F32, 3, (const int64_t[3]){k, c_in, c_out}));
}

static lat_conv3d_opts line_opts(int32_t size, int32_t stride) {
  lat_conv3d_opts opts = LAT_CONV3D_OPTS_INIT;
  opts.kernel_size = (lat_triple){size, 1, 1};
  opts.stride = (lat_triple){stride, 1, 1};
  return opts;
}

static void assert_line(const lat_tensor *y, const int32_t *xs, const float *expected, int64_t n) {
  assert_int_equal(lat_tensor_count(y), n);
  const int32_t *rows = lat_coords_rows(lat_tensor_coords(y)).data;
  const float *feats = lat_tensor_feats(y).data;
  for (int64_t r = 0; r < n; r++) {
    assert_int_equal(rows[4 * r + 1], xs[r]);
    if (feats[r] != expected[r]) fail_msg("row %d: got %g, expected %g", (int)r, (double)feats[r], (double)expected[r]);
  }
  assert_int_equal(lat_tensor_batch_size(y), 3);
}

static const int32_t line_rows[3][4] = {{0, 0, 0, 0}, {0, 1, 0, 0}, {0, 2, 0, 0}};
static const float line_feats[3] = {1, 2, 3};
static const float line_weight[3] = {1, 10, 100};

// --- worked examples --------------------------------------------------------------------------------------------------

static void test_transpose(void **state) {
  (void)state;
  // x = 0, 1; size 3, stride 2, padding 1: outputs -1, 0, 1, 2, 3, and 1 has two sources.
  static const int32_t xs[5] = {-1, 0, 1, 2, 3};
  static const float expected[5] = {1, 10, 102, 20, 200}, bias = 0.5f;
  float with_bias[5];
  for (int i = 0; i < 5; i++) with_bias[i] = expected[i] + bias;
  lat_tensor *x = make_tensor(line_rows, 2, 4, line_feats, 1), *y = NULL, *again = NULL;
  lat_weight weight = kernel_major(line_weight, 3, 1, 1);
  lat_conv3d_opts opts = line_opts(3, 2);
  lat_array_view bias_view = lat_view_1d(&bias, LAT_DTYPE_F32, 1);
  opts.padding = (lat_triple){1, 0, 0};
  lat_test_assert_ok(lat_conv_transpose3d(context, x, &weight, NULL, &opts, &y));
  assert_line(y, xs, expected, 5);
  lat_triple stride = lat_tensor_stride(y);
  assert_true(stride.x == 2 && stride.y == 4 && stride.z == 4);
  lat_test_assert_ok(lat_conv_transpose3d(context, x, &weight, &bias_view, &opts, &again));
  assert_line(again, xs, with_bias, 5);
  assert_true(lat_tensor_same_coords(y, again));
  lat_tensor_release(again);
  lat_tensor_release(y);
  lat_tensor_release(x);
}

static void test_defaults(void **state) {
  (void)state;
  // Kernel 2, stride 2: row in * 8 + k.
  static float ones[8];
  lat_tensor *x = make_tensor(line_rows, 3, 2, line_feats, 1), *y[2] = {NULL, NULL};
  for (int k = 0; k < 8; k++) ones[k] = (float)(k + 1);
  lat_weight weight = kernel_major(ones, 8, 1, 1);
  lat_test_assert_ok(lat_conv_transpose3d(context, x, &weight, NULL, NULL, &y[0]));
  lat_test_assert_ok(lat_generative_conv_transpose3d(context, x, &weight, NULL, NULL, &y[1]));
  for (int i = 0; i < 2; i++) {
    assert_int_equal(lat_tensor_count(y[i]), 24);
    assert_int_equal(lat_tensor_stride(y[i]).z, 1);
    const int32_t *rows = lat_coords_rows(lat_tensor_coords(y[i])).data;
    const float *feats = lat_tensor_feats(y[i]).data;
    for (int r = 0; r < 24; r++) {
      const int32_t row[4] = {0, r / 8 * 2 + r / 4 % 2, r / 2 % 2, r % 2};
      assert_memory_equal(rows + 4 * r, row, sizeof row);
      assert_true(feats[r] == line_feats[r / 8] * (float)(r % 8 + 1));
    }
    lat_tensor_release(y[i]);
  }
  lat_tensor_release(x);
}

static void test_generative_keeps_duplicates(void **state) {
  (void)state;
  static const int32_t xs[6] = {0, 1, 2, 1, 2, 3};
  static const float expected[6] = {1, 10, 100, 2, 20, 200};
  lat_tensor *x = make_tensor(line_rows, 2, 1, line_feats, 1), *y = NULL;
  lat_weight weight = kernel_major(line_weight, 3, 1, 1);
  lat_conv3d_opts opts = line_opts(3, 1);
  lat_test_assert_ok(lat_generative_conv_transpose3d(context, x, &weight, NULL, &opts, &y));
  assert_line(y, xs, expected, 6);
  lat_tensor_release(y);
  lat_tensor_release(x);
}

static void test_duplicated_inputs_add(void **state) {
  (void)state;
  static const int32_t rows[3][4] = {{0, 0, 0, 0}, {0, 0, 0, 0}, {0, 0, 0, 0}}, xs[2] = {0, 1};
  static const float expected[2] = {6, 60};
  lat_tensor *x = make_tensor(rows, 3, 1, line_feats, 1), *y = NULL;
  lat_weight weight = kernel_major(line_weight, 2, 1, 1);
  lat_conv3d_opts opts = line_opts(2, 1);
  lat_test_assert_ok(lat_conv_transpose3d(context, x, &weight, NULL, &opts, &y));
  assert_line(y, xs, expected, 2);
  lat_tensor_release(y);
  lat_tensor_release(x);
}

static void test_target(void **state) {
  (void)state;
  static const int32_t rows[3][4] = {{0, 3, 0, 0}, {0, 9, 0, 0}, {0, 0, 0, 0}}, xs[3] = {3, 9, 0};
  static const float expected[3] = {20, 0, 1};
  lat_tensor *x = make_tensor(line_rows, 3, 2, line_feats, 1), *y = NULL;
  lat_array_view row_view = lat_view_2d(rows, LAT_DTYPE_I32, 3, 4);
  lat_coords_opts coords_opts = LAT_COORDS_OPTS_INIT;
  lat_coords *target = NULL;
  coords_opts.stride = (lat_triple){1, 2, 2};
  lat_test_assert_ok(lat_coords_create(context, &row_view, &coords_opts, &target));
  lat_weight weight = kernel_major(line_weight, 2, 1, 1);
  lat_conv3d_opts opts = line_opts(2, 2);
  opts.coordinates = target;
  for (int i = 0; i < 2; i++) {
    lat_test_assert_ok(
        (i ? lat_generative_conv_transpose3d : lat_conv_transpose3d)(context, x, &weight, NULL, &opts, &y));
    assert_line(y, xs, expected, 3);
    assert_ptr_equal(lat_tensor_coords(y), target);
    lat_tensor_release(y);
  }
  lat_coords_release(target);
  lat_tensor_release(x);
}

static void test_inverse(void **state) {
  (void)state;
  // Fine 0, 1, 2; size 3, stride 2: coarse 0 has taps -1, 0, 1 and coarse 1 has taps 1, 2, 3.
  static const int32_t xs[3] = {0, 1, 2};
  static const float coarse_feats[2] = {1, 2}, expected[3] = {10, 102, 20};
  lat_tensor *fine = make_tensor(line_rows, 3, 1, line_feats, 1), *down = NULL, *y = NULL, *same = NULL;
  lat_weight weight = kernel_major(line_weight, 3, 1, 1);
  lat_conv3d_opts opts = line_opts(3, 2);
  lat_test_assert_ok(lat_conv3d(context, fine, &weight, NULL, &opts, &down));
  lat_array_view view = lat_view_2d(coarse_feats, LAT_DTYPE_F32, 2, 1);
  lat_array *feats = NULL;
  lat_tensor *coarse = NULL;
  lat_test_assert_ok(lat_array_create(context, &view, &feats));
  lat_test_assert_ok(lat_tensor_with_feats(context, down, feats, &coarse));
  opts.coordinates = lat_tensor_coords(fine);
  lat_test_assert_ok(lat_inverse_conv3d(context, coarse, &weight, NULL, &opts, &y));
  assert_line(y, xs, expected, 3);
  assert_true(lat_tensor_same_coords(fine, y));
  // A set with the rows and stride of the forward convolution's output will do.
  lat_coords *twin = NULL;
  lat_array_view rows = lat_coords_rows(lat_tensor_coords(down));
  lat_coords_opts twin_opts = LAT_COORDS_OPTS_INIT;
  twin_opts.stride = lat_tensor_stride(down);
  lat_test_assert_ok(lat_coords_create(context, &rows, &twin_opts, &twin));
  lat_tensor *twin_x = NULL;
  lat_test_assert_ok(lat_tensor_share(context, twin, feats, NULL, &twin_x));
  lat_test_assert_ok(lat_inverse_conv3d(context, twin_x, &weight, NULL, &opts, &same));
  assert_memory_equal(lat_tensor_feats(same).data, expected, sizeof expected);
  lat_tensor *tensors[] = {fine, down, y, same, coarse, twin_x};
  for (size_t i = 0; i < sizeof tensors / sizeof tensors[0]; i++) lat_tensor_release(tensors[i]);
  lat_coords_release(twin);
  lat_array_release(feats);
}

static void test_empty(void **state) {
  (void)state;
  lat_tensor *x = make_tensor(NULL, 0, 2, NULL, 1), *y = NULL;
  lat_weight weight = kernel_major(values, 8, 1, 2);
  lat_conv3d_opts opts = LAT_CONV3D_OPTS_INIT;
  lat_test_assert_ok(lat_conv_transpose3d(context, x, &weight, NULL, NULL, &y));
  assert_int_equal(lat_tensor_count(y), 0);
  lat_tensor_release(y);
  lat_test_assert_ok(lat_generative_conv_transpose3d(context, x, &weight, NULL, NULL, &y));
  assert_int_equal(lat_tensor_channels(y), 2);
  lat_tensor_release(y);
  opts.kernel_size = lat_triple_all(2);
  opts.coordinates = lat_tensor_coords(x);
  lat_test_assert_ok(lat_inverse_conv3d(context, x, &weight, NULL, &opts, &y));
  assert_int_equal(lat_tensor_count(y), 0);
  lat_tensor_release(y);
  lat_tensor_release(x);
}

// --- packed weights ---------------------------------------------------------------------------------------------------

typedef lat_status (*conv_fn)(lat_context *, const lat_tensor *, const lat_weight *, const lat_array_view *,
                              const lat_conv3d_opts *, lat_tensor **);
static const conv_fn convs[3] = {lat_conv_transpose3d, lat_generative_conv_transpose3d, lat_inverse_conv3d};

/// A packed weight and its dequantized twin give the same bits.
static void check_packed(conv_fn conv, const lat_tensor *x, const lat_array_view *dense, const lat_conv3d_opts *opts) {
  for (int32_t bits = 4; bits <= 8; bits += 4) {
    lat_quantized_weight *packed = NULL;
    lat_array *unpacked = NULL;
    lat_tensor *y[2] = {NULL, NULL};
    lat_quantize_opts quantize = LAT_QUANTIZE_OPTS_INIT;
    quantize.bits = bits;
    lat_test_assert_ok(lat_quantize_weight(context, dense, &quantize, &packed));
    lat_test_assert_ok(lat_dequantize_weight(context, packed, &unpacked));
    lat_weight weights[2] = {lat_weight_packed(packed), lat_weight_dense(lat_array_as_view(unpacked))};
    for (int i = 0; i < 2; i++) lat_test_assert_ok(conv(context, x, &weights[i], NULL, opts, &y[i]));
    assert_int_equal(lat_tensor_count(y[0]), lat_tensor_count(y[1]));
    size_t bytes = (size_t)(lat_tensor_count(y[0]) * lat_tensor_channels(y[0])) * sizeof(float);
    assert_true(bytes > 0);
    assert_memory_equal(lat_tensor_feats(y[0]).data, lat_tensor_feats(y[1]).data, bytes);
    for (int i = 0; i < 2; i++) lat_tensor_release(y[i]);
    lat_array_release(unpacked);
    lat_quantized_weight_release(packed);
  }
}

static void test_packed(void **state) {
  (void)state;
  enum { N = 3, C_IN = 40, C_OUT = 11 };
  static float feats[N * C_IN], weight[8 * C_IN * C_OUT];
  for (int i = 0; i < N * C_IN; i++) feats[i] = (float)(i * 37 % 101 - 50) / 16.0f;
  for (int i = 0; i < 8 * C_IN * C_OUT; i++) weight[i] = (float)(i * 53 % 211 - 100) / 64.0f;
  lat_tensor *x = make_tensor(line_rows, N, 2, feats, C_IN);
  lat_coords *fine = make_coords(line_rows, N, 1), *own = make_coords(line_rows, N, 2);
  lat_array_view dense[2] = {lat_view(weight, LAT_DTYPE_F32, 5, (const int64_t[5]){C_OUT, 2, 2, 2, C_IN}),
                             lat_view(weight, LAT_DTYPE_F32, 3, (const int64_t[3]){8, C_IN, C_OUT})};
  lat_array_view point = lat_view(weight, LAT_DTYPE_F32, 5, (const int64_t[5]){C_OUT, 1, 1, 1, C_IN});
  for (int i = 0; i < 2; i++) {
    lat_conv3d_opts opts = LAT_CONV3D_OPTS_INIT;
    for (int f = 0; f < 2; f++) check_packed(convs[f], x, &dense[i], &opts);
    opts.coordinates = fine; // the route onto a target
    for (int f = 0; f < 2; f++) check_packed(convs[f], x, &dense[i], &opts);
    opts.coordinates = lat_tensor_coords(x);
    opts.kernel_size = lat_triple_all(2);
    check_packed(lat_inverse_conv3d, x, &dense[i], &opts);
  }
  for (int32_t stride = 1; stride <= 2; stride++) { // one kernel element: channel-major storage
    lat_conv3d_opts opts = LAT_CONV3D_OPTS_INIT;
    opts.kernel_size = lat_triple_all(1);
    opts.stride = lat_triple_all(stride);
    for (int f = 0; f < 2; f++) check_packed(convs[f], x, &point, &opts);
    opts.coordinates = stride == 1 ? own : fine;
    for (int f = 0; f < 2; f++) check_packed(convs[f], x, &point, &opts);
  }
  lat_coords_release(own);
  lat_coords_release(fine);
  lat_tensor_release(x);
}

// --- refusals ---------------------------------------------------------------------------------------------------------

enum { C_IN = 2, C_OUT = 4 };

/// What is good but for one thing, for all three functions; the inverse has its own set as coordinates.
typedef struct good_call {
  lat_tensor *x;
  lat_conv3d_opts opts;
  lat_weight weight;
} good_call;

static good_call good_for(int which) {
  good_call good = {make_tensor(line_rows, 3, 2, values, C_IN), LAT_CONV3D_OPTS_INIT,
                    kernel_major(values, 8, C_IN, C_OUT)};
  if (which == 2) {
    good.opts.kernel_size = lat_triple_all(2);
    good.opts.coordinates = lat_tensor_coords(good.x);
  }
  return good;
}

static void refuse(int which, const good_call *call, const lat_array_view *bias, lat_status expected,
                   const char *fragment) {
  lat_tensor *out = call->x;
  lat_test_assert_error(convs[which](context, call->x, &call->weight, bias, &call->opts, &out), expected, fragment);
  assert_null(out);
}

static void test_null(void **state) {
  (void)state;
  for (int which = 0; which < 3; which++) {
    good_call good = good_for(which);
    lat_tensor *out = good.x;
    lat_test_assert_error(convs[which](NULL, good.x, &good.weight, NULL, &good.opts, &out), LAT_STATUS_INVALID_ARGUMENT,
                          "context: got NULL");
    assert_null(out);
    out = good.x;
    lat_test_assert_error(convs[which](context, NULL, &good.weight, NULL, &good.opts, &out),
                          LAT_STATUS_INVALID_ARGUMENT, "x: got NULL");
    assert_null(out);
    out = good.x;
    lat_test_assert_error(convs[which](context, good.x, NULL, NULL, &good.opts, &out), LAT_STATUS_INVALID_ARGUMENT,
                          "weight: got NULL");
    assert_null(out);
    lat_test_assert_error(convs[which](context, good.x, &good.weight, NULL, &good.opts, NULL),
                          LAT_STATUS_INVALID_ARGUMENT, "out: got NULL");
    lat_tensor_release(good.x);
  }
  good_call good = good_for(2);
  good.opts.coordinates = NULL;
  refuse(2, &good, NULL, LAT_STATUS_INVALID_ARGUMENT, "inverse_conv3d: coordinates: got NULL");
  lat_tensor *out = good.x;
  lat_test_assert_error(lat_inverse_conv3d(context, good.x, &good.weight, NULL, NULL, &out),
                        LAT_STATUS_INVALID_ARGUMENT, "coordinates: got NULL");
  assert_null(out);
  lat_tensor_release(good.x);
}

static void test_geometry(void **state) {
  (void)state;
  for (int which = 0; which < 3; which++) {
    good_call good = good_for(which), bad = good;
    bad.opts.kernel_size = (lat_triple){2, 0, 2};
    refuse(which, &bad, NULL, LAT_STATUS_INVALID_ARGUMENT, "kernel_size values must be positive");
    bad = good;
    bad.opts.stride = (lat_triple){1, -1, 1};
    refuse(which, &bad, NULL, LAT_STATUS_INVALID_ARGUMENT, "stride values must be positive");
    bad = good;
    bad.opts.padding = (lat_triple){0, 0, -1};
    refuse(which, &bad, NULL, LAT_STATUS_INVALID_ARGUMENT, "padding values must be non-negative");
    bad = good;
    bad.opts.dilation = (lat_triple){1, 0, 1};
    refuse(which, &bad, NULL, LAT_STATUS_INVALID_ARGUMENT, "dilation values must be positive");
    bad = good;
    bad.opts.kernel_size = lat_triple_all(1 << 20);
    refuse(which, &bad, NULL, LAT_STATUS_OVERFLOW, "kernel volume leaves int32");
    bad = good;
    bad.opts.struct_bytes = 3;
    refuse(which, &bad, NULL, LAT_STATUS_INVALID_ARGUMENT, "struct_bytes");
    lat_tensor_release(good.x);
  }
  good_call good = good_for(1), bad = good;
  bad.opts.padding = lat_triple_all(1);
  refuse(1, &bad, NULL, LAT_STATUS_INVALID_ARGUMENT, "padding and dilation must be 0 and 1");
  bad = good;
  bad.opts.dilation = lat_triple_all(2);
  refuse(1, &bad, NULL, LAT_STATUS_INVALID_ARGUMENT, "padding and dilation must be 0 and 1");
  lat_tensor_release(good.x);
}

static void test_strides(void **state) {
  (void)state;
  lat_coords *odd = make_coords(line_rows, 3, 3);
  for (int which = 0; which < 2; which++) {
    good_call good = good_for(which), bad = good;
    bad.opts.stride = (lat_triple){2, 3, 2};
    refuse(which, &bad, NULL, LAT_STATUS_INVALID_ARGUMENT, "transpose stride must divide the input tensor stride");
    bad.opts.coordinates = odd;
    refuse(which, &bad, NULL, LAT_STATUS_INVALID_ARGUMENT, "transpose stride must divide the input tensor stride");
    bad.opts.stride = lat_triple_all(2);
    refuse(which, &bad, NULL, LAT_STATUS_INVALID_ARGUMENT,
           "coordinates must use the convolution output stride: got (3, 3, 3), expected (1, 1, 1)");
    lat_tensor_release(good.x);
  }
  // The inverse: another stride, another number of rows, other rows.
  static const int32_t other_rows[3][4] = {{0, 0, 0, 0}, {0, 1, 0, 0}, {0, 2, 0, 1}};
  good_call good = good_for(2);
  lat_coords *sets[3] = {odd, make_coords(line_rows, 2, 2), make_coords(other_rows, 3, 2)};
  for (int i = 0; i < 3; i++) {
    good.opts.coordinates = sets[i];
    refuse(2, &good, NULL, LAT_STATUS_INVALID_ARGUMENT, "x must lie on the output set of the forward convolution");
    lat_coords_release(sets[i]);
  }
  lat_tensor_release(good.x);
}

static void test_overflow(void **state) {
  (void)state;
  static const int32_t rows[1][4] = {{0, INT32_MAX - 5, 0, 0}};
  lat_tensor *x = make_tensor(rows, 1, 2, line_feats, 1), *out = x;
  lat_weight weight = kernel_major(values, 8, 1, 1);
  for (int which = 0; which < 2; which++) {
    lat_test_assert_error(convs[which](context, x, &weight, NULL, NULL, &out), LAT_STATUS_OVERFLOW,
                          "an output coordinate leaves int32");
    assert_null(out);
    out = x;
  }
  lat_tensor_release(x);
}

static void test_operands(void **state) {
  (void)state;
  for (int which = 0; which < 3; which++) {
    good_call good = good_for(which), bad = good;
    bad.weight.dense.dtype = LAT_DTYPE_F16;
    refuse(which, &bad, NULL, LAT_STATUS_INVALID_DTYPE, "convolution weights must match feature dtype");
    bad.weight = kernel_major(values, 8, C_IN + 1, C_OUT);
    refuse(which, &bad, NULL, LAT_STATUS_INVALID_SHAPE,
           "weight input channels must match x.channels: got 3, expected 2");
    bad.weight = kernel_major(values, 7, C_IN, C_OUT);
    refuse(which, &bad, NULL, LAT_STATUS_INVALID_SHAPE, "weight kernel rows must match the convolution kernel");
    bad.weight = lat_weight_dense(lat_view_2d(values, LAT_DTYPE_F32, C_OUT, C_IN));
    refuse(which, &bad, NULL, LAT_STATUS_INVALID_SHAPE, "mapped convolution weight must have shape");
    lat_array_view bias = lat_view_2d(values, LAT_DTYPE_F32, 1, C_OUT);
    refuse(which, &good, &bias, LAT_STATUS_INVALID_SHAPE, "bias must have shape (C_out,)");
    bias = lat_view_1d(values, LAT_DTYPE_F32, C_OUT + 1);
    refuse(which, &good, &bias, LAT_STATUS_INVALID_SHAPE,
           "bias channels must match output channels: got 5, expected 4");
    bias = lat_view_1d(values, LAT_DTYPE_I32, C_OUT);
    refuse(which, &good, &bias, LAT_STATUS_INVALID_DTYPE, "bias dtype");
    // No public call makes a tensor of doubles.
    lat_array *doubles = NULL;
    lat_tensor *x = good.x;
    lat_test_assert_ok(lat__array_new_2d(context, "test", LAT_DTYPE_F64, 3, C_IN, &doubles));
    lat_test_assert_ok(lat__tensor_new(context, "test", lat_tensor_coords(x), doubles, NULL, &good.x));
    refuse(which, &good, NULL, LAT_STATUS_INVALID_DTYPE, "convolution supports float32 and float16 tensors");
    lat_tensor_release(good.x);
    lat_array_release(doubles);
    lat_tensor_release(x);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_transpose),
      cmocka_unit_test(test_defaults),
      cmocka_unit_test(test_generative_keeps_duplicates),
      cmocka_unit_test(test_duplicated_inputs_add),
      cmocka_unit_test(test_target),
      cmocka_unit_test(test_inverse),
      cmocka_unit_test(test_empty),
      cmocka_unit_test(test_packed),
      cmocka_unit_test(test_null),
      cmocka_unit_test(test_geometry),
      cmocka_unit_test(test_strides),
      cmocka_unit_test(test_overflow),
      cmocka_unit_test(test_operands),
  };
  return cmocka_run_group_tests(tests, set_up, tear_down);
}
