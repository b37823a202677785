// lat_conv3d and lat_subm_conv3d: worked examples, identity and batch metadata, layouts, packed weights, edge cases.
// Their errors are in test_conv3d_errors.c.
// covers: lat_conv3d lat_subm_conv3d lat_conv3d_algorithm
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include <lattice/lattice.h>

#include "support/test_allocator.h"
#include "support/test_support.h"

static const int32_t line_rows[3][4] = {{0, 0, 0, 0}, {0, 1, 0, 0}, {0, 2, 0, 0}};
static const float line_feats[3] = {1, 2, 3};
static const float line_weight[3] = {1, 2, 3}; // (K = 3, 1, 1)

static lat_test_allocator counter;
static lat_context *context;

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
  opts.stride = lat_triple_all(stride);
  lat_coords *coords = NULL;
  lat_test_assert_ok(lat_coords_create(context, &view, &opts, &coords));
  return coords;
}

static lat_tensor *make_tensor(const void *rows, int64_t n, const void *feats, lat_dtype dtype, int64_t channels) {
  lat_coords *coords = make_coords(rows, n, 1);
  lat_array_view view = lat_view_2d(feats, dtype, n, channels);
  lat_tensor *x = NULL;
  lat_test_assert_ok(lat_tensor_create(context, coords, &view, NULL, &x));
  lat_coords_release(coords);
  return x;
}

static lat_weight kernel_major(const void *data, lat_dtype dtype, int64_t k, int64_t c_in, int64_t c_out) {
  const int64_t shape[3] = {k, c_in, c_out};
  return lat_weight_dense(lat_view(data, dtype, 3, shape));
}

static lat_conv3d_opts line_opts(void) {
  lat_conv3d_opts opts = LAT_CONV3D_OPTS_INIT;
  opts.kernel_size = (lat_triple){3, 1, 1};
  return opts;
}

static const float *floats_of(const lat_tensor *t) {
  return lat_tensor_feats(t).data;
}

static void assert_floats(const lat_tensor *t, const float *expected, int64_t n) {
  assert_int_equal(lat_tensor_dtype(t), LAT_DTYPE_F32);
  assert_int_equal(lat_tensor_count(t) * lat_tensor_channels(t), n);
  for (int64_t i = 0; i < n; i++) {
    if (floats_of(t)[i] != expected[i]) {
      fail_msg("element %lld: got %g, expected %g", (long long)i, (double)floats_of(t)[i], (double)expected[i]);
    }
  }
}

static void assert_same_feats(const lat_tensor *a, const lat_tensor *b) {
  assert_int_equal(lat_tensor_dtype(a), lat_tensor_dtype(b));
  assert_int_equal(lat_tensor_count(a), lat_tensor_count(b));
  assert_int_equal(lat_tensor_channels(a), lat_tensor_channels(b));
  size_t bytes = (size_t)(lat_tensor_count(a) * lat_tensor_channels(a)) * lat_dtype_bytes(lat_tensor_dtype(a));
  assert_memory_equal(lat_tensor_feats(a).data, lat_tensor_feats(b).data, bytes);
}

// --- worked examples --------------------------------------------------------------------------------------------------

static void test_line(void **state) {
  (void)state;
  const float expected[3] = {8, 14, 8}, with_bias[3] = {8.25f, 14.25f, 8.25f}, bias = 0.25f;
  lat_tensor *x = make_tensor(line_rows, 3, line_feats, LAT_DTYPE_F32, 1), *y = NULL;
  lat_weight weight = kernel_major(line_weight, LAT_DTYPE_F32, 3, 1, 1);
  lat_conv3d_opts opts = line_opts();
  lat_array_view bias_view = lat_view_1d(&bias, LAT_DTYPE_F32, 1);
  lat_test_assert_ok(lat_subm_conv3d(context, x, &weight, NULL, &opts, &y));
  assert_floats(y, expected, 3);
  lat_tensor_release(y);
  lat_test_assert_ok(lat_conv3d(context, x, &weight, &bias_view, &opts, &y));
  assert_floats(y, with_bias, 3);
  lat_tensor_release(y);
  lat_tensor_release(x);
}

static void test_target(void **state) {
  (void)state;
  const int32_t target_rows[2][4] = {{0, 1, 0, 0}, {0, 3, 0, 0}};
  const float expected[2] = {14, 3};
  lat_tensor *x = make_tensor(line_rows, 3, line_feats, LAT_DTYPE_F32, 1), *y = NULL;
  lat_coords *target = make_coords(target_rows, 2, 1);
  lat_weight weight = kernel_major(line_weight, LAT_DTYPE_F32, 3, 1, 1);
  lat_conv3d_opts opts = line_opts();
  opts.coordinates = target;
  lat_test_assert_ok(lat_conv3d(context, x, &weight, NULL, &opts, &y));
  assert_floats(y, expected, 2);
  assert_ptr_equal(lat_tensor_coords(y), target);
  lat_tensor_release(y);
  lat_coords_release(target);
  lat_tensor_release(x);
}

static void test_quickstart(void **state) {
  (void)state;
  static const int32_t rows[4][4] = {{0, 0, 0, 0}, {0, 1, 0, 0}, {0, 1, 1, 0}, {0, 2, 1, 0}};
  static const double expected[4] = {48, 64, 64, 48};
  const int64_t feats_shape[2] = {4, 16}, weight_shape[5] = {32, 3, 3, 3, 16};
  lat_array *feats = NULL, *ones = NULL;
  lat_tensor *x = NULL, *y[2] = {NULL, NULL};
  lat_coords *coords = make_coords(rows, 4, 1);
  lat_test_assert_ok(lat_array_full(context, LAT_DTYPE_F16, 2, feats_shape, 1.0, &feats));
  lat_test_assert_ok(lat_array_full(context, LAT_DTYPE_F16, 5, weight_shape, 1.0, &ones));
  lat_test_assert_ok(lat_tensor_share(context, coords, feats, NULL, &x));
  lat_weight weight = lat_weight_dense(lat_array_as_view(ones));
  lat_test_assert_ok(lat_subm_conv3d(context, x, &weight, NULL, NULL, &y[0]));
  lat_test_assert_ok(lat_conv3d(context, x, &weight, NULL, NULL, &y[1]));
  for (int i = 0; i < 2; i++) {
    assert_int_equal(lat_tensor_dtype(y[i]), LAT_DTYPE_F16);
    assert_int_equal(lat_tensor_channels(y[i]), 32);
    assert_true(lat_tensor_same_coords(x, y[i]));
    const uint16_t *values = lat_tensor_feats(y[i]).data;
    for (int r = 0; r < 4; r++) {
      for (int c = 0; c < 32; c++) assert_true((double)lat_f16_to_f32(values[r * 32 + c]) == expected[r]);
    }
    lat_tensor_release(y[i]);
  }
  lat_tensor_release(x);
  lat_array_release(feats);
  lat_array_release(ones);
  lat_coords_release(coords);
}

static void test_strided_output(void **state) {
  (void)state;
  // floor(x / 2): cells -1, 0, 1 in first-seen order 0, -1, 1; taps 0 and 1 of an even kernel.
  static const int32_t rows[4][4] = {{1, 1, 0, 0}, {1, -1, 0, 0}, {1, 0, 0, 0}, {1, 2, 0, 0}};
  static const float feats[4] = {1, 10, 100, 1000}, weight_data[2] = {2, 3};
  static const int32_t expected_rows[3][4] = {{1, 0, 0, 0}, {1, -1, 0, 0}, {1, 1, 0, 0}};
  static const float expected[3] = {203, 30, 2000};
  lat_tensor *x = make_tensor(rows, 4, feats, LAT_DTYPE_F32, 1), *y = NULL, *again = NULL;
  lat_weight weight = kernel_major(weight_data, LAT_DTYPE_F32, 2, 1, 1);
  lat_conv3d_opts opts = LAT_CONV3D_OPTS_INIT;
  opts.kernel_size = (lat_triple){2, 1, 1};
  opts.stride = (lat_triple){2, 1, 3};
  lat_test_assert_ok(lat_conv3d(context, x, &weight, NULL, &opts, &y));
  assert_floats(y, expected, 3);
  assert_memory_equal(lat_coords_rows(lat_tensor_coords(y)).data, expected_rows, sizeof expected_rows);
  lat_triple stride = lat_tensor_stride(y);
  assert_true(stride.x == 2 && stride.y == 1 && stride.z == 3);
  lat_test_assert_ok(lat_conv3d(context, x, &weight, NULL, &opts, &again));
  assert_true(lat_tensor_same_coords(y, again)); // same input identity and geometry: same output identity
  lat_tensor_release(again);
  lat_tensor_release(y);
  lat_tensor_release(x);
}

// --- identity and batch metadata --------------------------------------------------------------------------------------

static lat_tensor *make_batched(void) {
  static const int32_t rows[4][4] = {{0, 0, 0, 0}, {0, 1, 0, 0}, {1, 0, 0, 0}, {1, 1, 0, 0}};
  static const float feats[4] = {1, 2, 3, 4};
  static const int64_t counts[3] = {2, 2, 0};
  lat_coords *coords = make_coords(rows, 4, 2);
  lat_array_view view = lat_view_2d(feats, LAT_DTYPE_F32, 4, 1);
  lat_tensor_opts opts = LAT_TENSOR_OPTS_INIT;
  opts.n_batches = 3;
  opts.batch_counts = counts;
  lat_tensor *x = NULL;
  lat_test_assert_ok(lat_tensor_create(context, coords, &view, &opts, &x));
  lat_coords_release(coords);
  return x;
}

/// Runs with `opts` and a weight of ones; asserts whether identity and counts are kept. Returns the result.
static lat_tensor *run_batched(const lat_tensor *x, const lat_conv3d_opts *opts, int64_t volume, bool keeps_identity) {
  static const float ones[27] = {1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1};
  lat_weight weight = kernel_major(ones, LAT_DTYPE_F32, volume, 1, 1);
  lat_tensor *y = NULL;
  lat_test_assert_ok(lat_conv3d(context, x, &weight, NULL, opts, &y));
  assert_int_equal(lat_tensor_same_coords(x, y), keeps_identity);
  assert_int_equal(lat_tensor_batch_size(y), 3);
  const int64_t *counts = lat_tensor_batch_counts(y);
  if (keeps_identity) {
    assert_non_null(counts);
    assert_true(counts[0] == 2 && counts[1] == 2 && counts[2] == 0);
  } else {
    assert_null(counts);
  }
  return y;
}

static void test_identity(void **state) {
  (void)state;
  static const float doubled[4] = {3, 3, 7, 7};
  lat_tensor *x = make_batched(), *y = NULL;
  lat_conv3d_opts pointwise = LAT_CONV3D_OPTS_INIT, own = LAT_CONV3D_OPTS_INIT, strided = LAT_CONV3D_OPTS_INIT;
  pointwise.kernel_size = lat_triple_all(1);
  own.coordinates = lat_tensor_coords(x);
  strided.stride = lat_triple_all(2);
  lat_tensor_release(run_batched(x, &pointwise, 1, true));
  lat_tensor_release(run_batched(x, NULL, 27, true));
  y = run_batched(x, &own, 27, true);
  assert_floats(y, doubled, 4);
  lat_tensor_release(y);
  own.padding = lat_triple_all(1); // the forward relation would make its own set: the identity is kept all the same
  lat_tensor_release(run_batched(x, &own, 27, true));
  y = run_batched(x, &strided, 27, false);
  assert_int_equal(lat_tensor_stride(y).x, 4);
  lat_tensor_release(y);
  pointwise.stride = lat_triple_all(2); // kernel volume 1, yet no pointwise convolution
  y = run_batched(x, &pointwise, 1, false);
  assert_int_equal(lat_tensor_count(y), 2);
  lat_tensor_release(y);
  // An equal set is another identity: the result lies on it.
  lat_coords *target = make_coords(lat_coords_rows(lat_tensor_coords(x)).data, 4, 2);
  lat_conv3d_opts other = LAT_CONV3D_OPTS_INIT;
  other.coordinates = target;
  y = run_batched(x, &other, 27, false);
  assert_ptr_equal(lat_tensor_coords(y), target);
  assert_floats(y, doubled, 4);
  lat_coords_release(target);
  lat_tensor_release(y);
  lat_tensor_release(x);
}

static void test_subm_identity(void **state) {
  (void)state;
  static const float ones[27] = {1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1};
  lat_tensor *x = make_batched();
  for (int32_t size = 1; size <= 3; size += 2) {
    lat_conv3d_opts opts = LAT_CONV3D_OPTS_INIT;
    opts.kernel_size = lat_triple_all(size);
    lat_weight weight = kernel_major(ones, LAT_DTYPE_F32, size * size * size, 1, 1);
    lat_tensor *y = NULL;
    lat_test_assert_ok(lat_subm_conv3d(context, x, &weight, NULL, &opts, &y));
    assert_true(lat_tensor_same_coords(x, y));
    assert_int_equal(lat_tensor_batch_counts(y)[1], 2);
    lat_tensor_release(y);
  }
  lat_tensor_release(x);
}

// --- weights ----------------------------------------------------------------------------------------------------------

enum { L_ROWS = 9, L_IN = 5, L_OUT = 3, L_K = 27 };

static float layout_feats[L_ROWS][L_IN];
static int32_t layout_rows[L_ROWS][4];
static float w_5d[L_OUT][L_K][L_IN], w_major[L_K][L_IN][L_OUT];

static lat_tensor *make_layout_problem(void) {
  for (int r = 0; r < L_ROWS; r++) {
    const int32_t row[4] = {0, r % 3, r / 3, -1};
    memcpy(layout_rows[r], row, sizeof row);
    for (int c = 0; c < L_IN; c++) layout_feats[r][c] = 0.1f * (float)(r + 1) - 0.3f * (float)c;
  }
  for (int co = 0; co < L_OUT; co++) {
    for (int k = 0; k < L_K; k++) {
      for (int ci = 0; ci < L_IN; ci++) {
        w_5d[co][k][ci] = 0.01f * (float)(k * 7 + ci * 3 - co * 11);
        w_major[k][ci][co] = w_5d[co][k][ci];
      }
    }
  }
  return make_tensor(layout_rows, L_ROWS, layout_feats, LAT_DTYPE_F32, L_IN);
}

static void test_layouts(void **state) {
  (void)state;
  lat_tensor *x = make_layout_problem(), *y[3] = {NULL, NULL, NULL};
  const int64_t shape_5d[5] = {L_OUT, 3, 3, 3, L_IN};
  lat_array_view strided = lat_view(w_major, LAT_DTYPE_F32, 3, (const int64_t[3]){L_K, L_IN, L_OUT});
  // The 5-D shape over the kernel-major memory.
  const int64_t strides[5] = {1, 9 * L_IN * L_OUT, 3 * L_IN * L_OUT, L_IN * L_OUT, L_OUT};
  strided.rank = 5;
  memcpy(strided.shape, shape_5d, sizeof shape_5d);
  memcpy(strided.stride, strides, sizeof strides);
  lat_weight weights[3] = {lat_weight_dense(lat_view(w_5d, LAT_DTYPE_F32, 5, shape_5d)),
                           kernel_major(w_major, LAT_DTYPE_F32, L_K, L_IN, L_OUT), lat_weight_dense(strided)};
  for (int i = 0; i < 3; i++) lat_test_assert_ok(lat_subm_conv3d(context, x, &weights[i], NULL, NULL, &y[i]));
  assert_same_feats(y[0], y[1]);
  assert_same_feats(y[0], y[2]);
  for (int i = 0; i < 3; i++) lat_tensor_release(y[i]);

  lat_conv3d_opts opts = LAT_CONV3D_OPTS_INIT;
  opts.kernel_size = lat_triple_all(1);
  // Kernel element 4 of each layout as a pointwise weight; the first one is (C_out, C_in) with a stride.
  lat_array_view matrix = lat_view_2d(w_5d[0][4], LAT_DTYPE_F32, L_OUT, L_IN);
  matrix.stride[0] = L_K * L_IN;
  lat_array_view column = lat_view(w_5d[0][4], LAT_DTYPE_F32, 5, (const int64_t[5]){L_OUT, 1, 1, 1, L_IN});
  column.stride[0] = L_K * L_IN;
  lat_weight pointwise[3] = {lat_weight_dense(matrix), lat_weight_dense(column),
                             kernel_major(w_major[4], LAT_DTYPE_F32, 1, L_IN, L_OUT)};
  for (int i = 0; i < 3; i++) lat_test_assert_ok(lat_conv3d(context, x, &pointwise[i], NULL, &opts, &y[i]));
  assert_same_feats(y[0], y[1]);
  assert_same_feats(y[0], y[2]);
  for (int i = 0; i < 3; i++) lat_tensor_release(y[i]);
  opts.coordinates = lat_tensor_coords(x); // through a relation, with the (C_out, C_in) weight
  lat_test_assert_ok(lat_conv3d(context, x, &pointwise[0], NULL, &opts, &y[0]));
  opts.coordinates = NULL;
  lat_test_assert_ok(lat_conv3d(context, x, &pointwise[2], NULL, &opts, &y[1]));
  assert_same_feats(y[0], y[1]);
  for (int i = 0; i < 2; i++) lat_tensor_release(y[i]);
  lat_tensor_release(x);
}

static void test_bias_is_rounded(void **state) {
  (void)state;
  // 0.1 lies between binary16 numbers; a row without edges gives the bias as float16 has it.
  static const uint16_t feat = 0x3C00, weight_data = 0x3C00;
  static const int32_t far_rows[1][4] = {{0, 9, 9, 9}};
  const double bias = 0.1;
  float narrow = (float)bias;
  lat_tensor *x = make_tensor(line_rows, 1, &feat, LAT_DTYPE_F16, 1), *y = NULL;
  lat_coords *target = make_coords(far_rows, 1, 1);
  lat_weight weight = kernel_major(&weight_data, LAT_DTYPE_F16, 1, 1, 1);
  lat_conv3d_opts opts = LAT_CONV3D_OPTS_INIT;
  opts.kernel_size = lat_triple_all(1);
  opts.coordinates = target;
  lat_array_view view = lat_view_1d(&narrow, LAT_DTYPE_F32, 1);
  lat_test_assert_ok(lat_conv3d(context, x, &weight, &view, &opts, &y));
  assert_int_equal(((const uint16_t *)lat_tensor_feats(y).data)[0], lat_f32_to_f16(narrow));
  lat_tensor_release(y);
  lat_tensor_release(x);
  // float32 features with a float16 bias: exact.
  uint16_t half = lat_f32_to_f16(narrow);
  float one = 1.0f, expected = lat_f16_to_f32(half);
  x = make_tensor(line_rows, 1, &one, LAT_DTYPE_F32, 1);
  weight = kernel_major(&one, LAT_DTYPE_F32, 1, 1, 1);
  view = lat_view_1d(&half, LAT_DTYPE_F16, 1);
  lat_test_assert_ok(lat_conv3d(context, x, &weight, &view, &opts, &y));
  assert_floats(y, &expected, 1);
  lat_tensor_release(y);
  lat_tensor_release(x);
  lat_coords_release(target);
}

/// A packed weight and its dequantized twin give the same bits; `opts` as given.
static void check_packed(const lat_tensor *x, const lat_array_view *dense, int32_t bits, const lat_conv3d_opts *opts) {
  lat_quantized_weight *packed = NULL;
  lat_array *unpacked = NULL;
  lat_tensor *y[2] = {NULL, NULL};
  lat_quantize_opts quantize = LAT_QUANTIZE_OPTS_INIT;
  quantize.bits = bits;
  quantize.group_size = 32;
  lat_test_assert_ok(lat_quantize_weight(context, dense, &quantize, &packed));
  lat_test_assert_ok(lat_dequantize_weight(context, packed, &unpacked));
  lat_weight weights[2] = {lat_weight_packed(packed), lat_weight_dense(lat_array_as_view(unpacked))};
  for (int i = 0; i < 2; i++) lat_test_assert_ok(lat_conv3d(context, x, &weights[i], NULL, opts, &y[i]));
  assert_same_feats(y[0], y[1]);
  for (int i = 0; i < 2; i++) lat_tensor_release(y[i]);
  lat_array_release(unpacked);
  lat_quantized_weight_release(packed);
}

static void test_packed(void **state) {
  (void)state;
  enum { N = 12, C_IN = 40, C_OUT = 11 };
  static float feats[N][C_IN], weight[27 * C_IN * C_OUT];
  static int32_t rows[N][4];
  for (int i = 0; i < N * C_IN; i++) feats[i / C_IN][i % C_IN] = (float)(i * 37 % 101 - 50) / 16.0f;
  for (int i = 0; i < 27 * C_IN * C_OUT; i++) weight[i] = (float)(i * 53 % 211 - 100) / 64.0f;
  for (int r = 0; r < N; r++) rows[r][1] = r / 2, rows[r][2] = r % 2;
  lat_tensor *x = make_tensor(rows, N, feats, LAT_DTYPE_F32, C_IN);
  lat_array_view dense[4] = {lat_view(weight, LAT_DTYPE_F32, 5, (const int64_t[5]){C_OUT, 3, 3, 3, C_IN}),
                             lat_view(weight, LAT_DTYPE_F32, 3, (const int64_t[3]){27, C_IN, C_OUT}),
                             lat_view(weight, LAT_DTYPE_F32, 5, (const int64_t[5]){C_OUT, 1, 1, 1, C_IN}),
                             lat_view_2d(weight, LAT_DTYPE_F32, C_OUT, C_IN)};
  for (int32_t bits = 4; bits <= 8; bits += 4) {
    lat_conv3d_opts opts = LAT_CONV3D_OPTS_INIT;
    for (int i = 0; i < 2; i++) check_packed(x, &dense[i], bits, &opts);
    opts.kernel_size = lat_triple_all(1);
    for (int i = 2; i < 4; i++) check_packed(x, &dense[i], bits, &opts);
    opts.coordinates = lat_tensor_coords(x); // pointwise storage through a relation
    for (int i = 2; i < 4; i++) check_packed(x, &dense[i], bits, &opts);
    opts.coordinates = NULL;
    opts.stride = lat_triple_all(2);
    check_packed(x, &dense[2], bits, &opts);
  }
  lat_tensor_release(x);
}

static void test_packed_float16_features(void **state) {
  (void)state;
  // float16 features with float32 scales: features widen, nothing narrows before the one rounding.
  enum { C_IN = 32 };
  static float weight[C_IN], feats[C_IN];
  static uint16_t halves[C_IN];
  for (int c = 0; c < C_IN; c++) {
    weight[c] = (float)(c * 29 % 31) * 0.013f - 0.2f;
    halves[c] = lat_f32_to_f16((float)(c % 5) * 0.37f);
    feats[c] = lat_f16_to_f32(halves[c]);
  }
  lat_array_view dense = lat_view_2d(weight, LAT_DTYPE_F32, 1, C_IN);
  lat_quantized_weight *packed = NULL;
  lat_test_assert_ok(lat_quantize_weight(context, &dense, NULL, &packed));
  lat_weight w = lat_weight_packed(packed);
  lat_conv3d_opts opts = LAT_CONV3D_OPTS_INIT;
  opts.kernel_size = lat_triple_all(1);
  lat_tensor *narrow = make_tensor(line_rows, 1, halves, LAT_DTYPE_F16, C_IN), *y = NULL, *wide_y = NULL;
  lat_tensor *wide = make_tensor(line_rows, 1, feats, LAT_DTYPE_F32, C_IN);
  lat_test_assert_ok(lat_conv3d(context, narrow, &w, NULL, &opts, &y));
  lat_test_assert_ok(lat_conv3d(context, wide, &w, NULL, &opts, &wide_y));
  assert_int_equal(lat_tensor_dtype(y), LAT_DTYPE_F16);
  assert_int_equal(((const uint16_t *)lat_tensor_feats(y).data)[0], lat_f32_to_f16(floats_of(wide_y)[0]));
  lat_tensor_release(y);
  lat_tensor_release(wide_y);
  lat_tensor_release(narrow);
  lat_tensor_release(wide);
  lat_quantized_weight_release(packed);
}

// --- edge cases -------------------------------------------------------------------------------------------------------

static void test_empty(void **state) {
  (void)state;
  lat_tensor *x = make_tensor(line_rows, 0, line_feats, LAT_DTYPE_F32, 1), *y = NULL;
  lat_weight weight = kernel_major(line_weight, LAT_DTYPE_F32, 3, 1, 1);
  lat_conv3d_opts opts = line_opts();
  lat_test_assert_ok(lat_subm_conv3d(context, x, &weight, NULL, &opts, &y));
  assert_int_equal(lat_tensor_count(y), 0);
  lat_tensor_release(y);
  opts.stride = lat_triple_all(2);
  lat_test_assert_ok(lat_conv3d(context, x, &weight, NULL, &opts, &y));
  assert_int_equal(lat_tensor_count(y), 0);
  lat_tensor_release(y);
  lat_tensor_release(x);
}

static void test_no_channels(void **state) {
  (void)state;
  const float bias[2] = {3, -4}, expected[6] = {3, -4, 3, -4, 3, -4}, zeros[3] = {0};
  lat_tensor *none = make_tensor(line_rows, 3, line_feats, LAT_DTYPE_F32, 0), *y = NULL;
  lat_conv3d_opts opts = line_opts();
  lat_array_view view = lat_view_1d(bias, LAT_DTYPE_F32, 2);
  lat_weight weight = kernel_major(line_weight, LAT_DTYPE_F32, 3, 0, 2);
  lat_test_assert_ok(lat_subm_conv3d(context, none, &weight, &view, &opts, &y));
  assert_floats(y, expected, 6);
  lat_tensor_release(y);
  weight = kernel_major(line_weight, LAT_DTYPE_F32, 3, 0, 1);
  lat_test_assert_ok(lat_subm_conv3d(context, none, &weight, NULL, &opts, &y));
  assert_floats(y, zeros, 3);
  lat_tensor_release(y);
  lat_tensor_release(none);
  lat_tensor *x = make_tensor(line_rows, 3, line_feats, LAT_DTYPE_F32, 1);
  weight = kernel_major(line_weight, LAT_DTYPE_F32, 3, 1, 0);
  lat_test_assert_ok(lat_subm_conv3d(context, x, &weight, NULL, &opts, &y));
  assert_int_equal(lat_tensor_channels(y), 0);
  assert_int_equal(lat_tensor_count(y), 3);
  lat_tensor_release(y);
  lat_tensor_release(x);
}

static void test_duplicates(void **state) {
  (void)state;
  static const int32_t rows[3][4] = {{0, 5, 0, 0}, {0, 5, 0, 0}, {0, 6, 0, 0}};
  static const float feats[3] = {1, 100, 1000}, expected[3] = {3002, 3002, 2001}, own[3] = {2, 200, 2000};
  lat_tensor *x = make_tensor(rows, 3, feats, LAT_DTYPE_F32, 1), *y = NULL;
  lat_weight weight = kernel_major(line_weight, LAT_DTYPE_F32, 3, 1, 1);
  lat_conv3d_opts opts = line_opts();
  lat_test_assert_ok(lat_conv3d(context, x, &weight, NULL, &opts, &y));
  assert_floats(y, expected, 3); // a lookup finds the first of equal rows; all rows are kept
  lat_tensor_release(y);
  opts.kernel_size = lat_triple_all(1);
  weight = kernel_major(&line_weight[1], LAT_DTYPE_F32, 1, 1, 1);
  lat_test_assert_ok(lat_conv3d(context, x, &weight, NULL, &opts, &y));
  assert_floats(y, own, 3); // a pointwise convolution takes each row's own features
  lat_tensor_release(y);
  lat_tensor_release(x);
}

static void test_inf_stays_in_its_rows(void **state) {
  (void)state;
  static const int32_t rows[3][4] = {{0, 0, 0, 0}, {0, 50, 0, 0}, {0, 51, 0, 0}};
  const float feats[3] = {INFINITY, 2, 3};
  lat_tensor *x = make_tensor(rows, 3, feats, LAT_DTYPE_F32, 1), *y = NULL;
  lat_weight weight = kernel_major(line_weight, LAT_DTYPE_F32, 3, 1, 1);
  lat_conv3d_opts opts = line_opts();
  lat_test_assert_ok(lat_subm_conv3d(context, x, &weight, NULL, &opts, &y));
  assert_true(isinf(floats_of(y)[0]));
  assert_true(floats_of(y)[1] == 13.0f && floats_of(y)[2] == 8.0f);
  lat_tensor_release(y);
  lat_tensor_release(x);
}

static void test_extreme_coordinates(void **state) {
  (void)state;
  // The corners of int32: no neighbour wraps around to the other end.
  static const int32_t rows[2][4] = {{0, INT32_MAX, 0, 0}, {0, INT32_MIN, 0, 0}};
  static const float feats[2] = {1, 10}, expected[2] = {2, 20};
  lat_tensor *x = make_tensor(rows, 2, feats, LAT_DTYPE_F32, 1), *y = NULL;
  lat_weight weight = kernel_major(line_weight, LAT_DTYPE_F32, 3, 1, 1);
  lat_conv3d_opts opts = line_opts();
  lat_test_assert_ok(lat_subm_conv3d(context, x, &weight, NULL, &opts, &y));
  assert_floats(y, expected, 2);
  lat_tensor_release(y);
  lat_tensor_release(x);
}

static char last_line[512];

static void keep_line(void *user, lat_log_level level, const char *message) {
  (void)user;
  if (level == LAT_LOG_DEBUG) snprintf(last_line, sizeof last_line, "%s", message);
}

static void test_algorithm(void **state) {
  (void)state;
  lat_context_opts context_opts = LAT_CONTEXT_OPTS_INIT;
  lat_context *scalar = NULL;
  context_opts.cpu_level = LAT_CPU_LEVEL_SCALAR;
  context_opts.log = keep_line;
  lat_test_assert_ok(lat_context_create(&context_opts, &scalar));
  lat_tensor *x = make_tensor(line_rows, 3, line_feats, LAT_DTYPE_F32, 1), *y = NULL;
  lat_weight weight = kernel_major(line_weight, LAT_DTYPE_F32, 3, 1, 1);
  lat_conv3d_opts opts = line_opts();
  char name[LAT_ALGORITHM_NAME_BYTES], cut[5];
  lat_test_assert_ok(lat_conv3d_algorithm(scalar, x, &weight, &opts, name, sizeof name));
  assert_non_null(strstr(name, "gather_gemm_f32"));
  assert_non_null(strstr(name, "_scalar"));
  lat_test_assert_ok(lat_conv3d_algorithm(scalar, x, &weight, &opts, cut, sizeof cut));
  assert_string_equal(cut, "gath");
  lat_test_assert_ok(lat_subm_conv3d(scalar, x, &weight, NULL, &opts, &y));
  assert_non_null(strstr(last_line, "subm_conv3d"));
  assert_non_null(strstr(last_line, name)); // what ran is what was announced
  lat_tensor_release(y);
  opts.kernel_size = lat_triple_all(1);
  weight = kernel_major(line_weight, LAT_DTYPE_F32, 1, 1, 1);
  lat_test_assert_ok(lat_conv3d_algorithm(scalar, x, &weight, &opts, name, sizeof name));
  assert_non_null(strstr(name, "identity_gemm_f32"));
  lat_tensor_release(x);
  lat_context_destroy(scalar);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_line),
      cmocka_unit_test(test_target),
      cmocka_unit_test(test_quickstart),
      cmocka_unit_test(test_strided_output),
      cmocka_unit_test(test_identity),
      cmocka_unit_test(test_subm_identity),
      cmocka_unit_test(test_layouts),
      cmocka_unit_test(test_bias_is_rounded),
      cmocka_unit_test(test_packed),
      cmocka_unit_test(test_packed_float16_features),
      cmocka_unit_test(test_empty),
      cmocka_unit_test(test_no_channels),
      cmocka_unit_test(test_duplicates),
      cmocka_unit_test(test_inf_stays_in_its_rows),
      cmocka_unit_test(test_extreme_coordinates),
      cmocka_unit_test(test_algorithm),
  };
  return cmocka_run_group_tests(tests, set_up, tear_down);
}
