// What lat_conv3d, lat_subm_conv3d, lat_conv3d_algorithm and lat_conv3d_candidates refuse: status, text, NULL, nothing
// leaked.
// null arguments: lat_conv3d_candidates
#include <string.h>

#include <lattice/lattice.h>

#include "coords/tensor_internal.h"
#include "core/array_internal.h"
#include "support/test_allocator.h"
#include "support/test_support.h"

enum { N = 3, C_IN = 2, C_OUT = 4, K = 27 };

static const int32_t rows[N][4] = {{0, 0, 0, 0}, {0, 1, 0, 0}, {0, 2, 0, 0}};
static const float feats[N][C_IN] = {{1, 2}, {3, 4}, {5, 6}};
static float values[1024]; // weights and biases whose content does not matter

static lat_test_allocator counter;
static lat_context *context;
static lat_coords *coords;
static lat_tensor *x;

static int set_up(void **state) {
  (void)state;
  memset(&counter, 0, sizeof counter);
  context = lat_test_context_create(&counter, 1);
  lat_array_view row_view = lat_view_2d(rows, LAT_DTYPE_I32, N, 4);
  lat_array_view feat_view = lat_view_2d(feats, LAT_DTYPE_F32, N, C_IN);
  lat_test_assert_ok(lat_coords_create(context, &row_view, NULL, &coords));
  lat_test_assert_ok(lat_tensor_create(context, coords, &feat_view, NULL, &x));
  return 0;
}

static int tear_down(void **state) {
  (void)state;
  lat_tensor_release(x);
  lat_coords_release(coords);
  lat_test_context_finish(context, &counter);
  return 0;
}

typedef lat_status (*conv_fn)(lat_context *, const lat_tensor *, const lat_weight *, const lat_array_view *,
                              const lat_conv3d_opts *, lat_tensor **);
static const conv_fn convs[2] = {lat_conv3d, lat_subm_conv3d};

static lat_weight weight_of(lat_dtype dtype, int32_t rank, const int64_t *shape) {
  return lat_weight_dense(lat_view(values, dtype, rank, shape));
}

static lat_weight good_weight(void) {
  const int64_t shape[3] = {K, C_IN, C_OUT};
  return weight_of(LAT_DTYPE_F32, 3, shape);
}

/// `which`: 0 conv3d, 1 subm_conv3d.
static void refuse(int which, const lat_weight *weight, const lat_array_view *bias, const lat_conv3d_opts *opts,
                   lat_status expected, const char *fragment) {
  lat_tensor *out = x;
  lat_test_assert_error(convs[which](context, x, weight, bias, opts, &out), expected, fragment);
  assert_null(out);
}

static void refuse_both(const lat_weight *weight, const lat_array_view *bias, const lat_conv3d_opts *opts,
                        lat_status expected, const char *fragment) {
  for (int i = 0; i < 2; i++) refuse(i, weight, bias, opts, expected, fragment);
}

static void test_null(void **state) {
  (void)state;
  lat_weight weight = good_weight();
  for (int i = 0; i < 2; i++) {
    lat_tensor *out = x;
    lat_test_assert_error(convs[i](NULL, x, &weight, NULL, NULL, &out), LAT_STATUS_INVALID_ARGUMENT,
                          "context: got NULL");
    assert_null(out);
    out = x;
    lat_test_assert_error(convs[i](context, NULL, &weight, NULL, NULL, &out), LAT_STATUS_INVALID_ARGUMENT,
                          "x: got NULL");
    assert_null(out);
    refuse(i, NULL, NULL, NULL, LAT_STATUS_INVALID_ARGUMENT, "weight: got NULL");
    lat_test_assert_error(convs[i](context, x, &weight, NULL, NULL, NULL), LAT_STATUS_INVALID_ARGUMENT,
                          "out: got NULL");
  }
  weight.dense.data = NULL;
  refuse_both(&weight, NULL, NULL, LAT_STATUS_INVALID_ARGUMENT, "weight");
}

static void test_geometry(void **state) {
  (void)state;
  lat_weight weight = good_weight();
  lat_conv3d_opts opts = LAT_CONV3D_OPTS_INIT;
  opts.kernel_size = (lat_triple){3, 0, 3};
  refuse_both(&weight, NULL, &opts, LAT_STATUS_INVALID_ARGUMENT, "kernel_size values must be positive");
  opts.kernel_size = (lat_triple){3, 3, -3};
  refuse_both(&weight, NULL, &opts, LAT_STATUS_INVALID_ARGUMENT, "kernel_size values must be positive");
  opts = (lat_conv3d_opts)LAT_CONV3D_OPTS_INIT;
  opts.stride = (lat_triple){1, 1, -1};
  refuse_both(&weight, NULL, &opts, LAT_STATUS_INVALID_ARGUMENT, "stride values must be positive");
  opts = (lat_conv3d_opts)LAT_CONV3D_OPTS_INIT;
  opts.padding = (lat_triple){1, -1, 1};
  refuse_both(&weight, NULL, &opts, LAT_STATUS_INVALID_ARGUMENT, "padding values must be non-negative");
  opts = (lat_conv3d_opts)LAT_CONV3D_OPTS_INIT;
  opts.dilation = (lat_triple){1, 0, 1};
  refuse_both(&weight, NULL, &opts, LAT_STATUS_INVALID_ARGUMENT, "dilation values must be positive");
  opts = (lat_conv3d_opts)LAT_CONV3D_OPTS_INIT;
  opts.dilation = lat_triple_all(INT32_MAX);
  opts.kernel_size = lat_triple_all(5);
  refuse_both(&weight, NULL, &opts, LAT_STATUS_OVERFLOW, "kernel offsets leave int32");
  opts = (lat_conv3d_opts)LAT_CONV3D_OPTS_INIT;
  opts.struct_bytes = 3;
  refuse_both(&weight, NULL, &opts, LAT_STATUS_INVALID_ARGUMENT, "struct_bytes");
}

static void test_subm_geometry(void **state) {
  (void)state;
  lat_weight weight = good_weight();
  lat_conv3d_opts opts = LAT_CONV3D_OPTS_INIT;
  opts.kernel_size = (lat_triple){3, 2, 3};
  refuse(1, &weight, NULL, &opts, LAT_STATUS_INVALID_ARGUMENT, "subm_conv3d requires odd kernel_size values");
  opts = (lat_conv3d_opts)LAT_CONV3D_OPTS_INIT;
  opts.stride = lat_triple_all(2);
  refuse(1, &weight, NULL, &opts, LAT_STATUS_INVALID_ARGUMENT, "stride must be 1");
  opts = (lat_conv3d_opts)LAT_CONV3D_OPTS_INIT;
  opts.padding = lat_triple_all(1);
  refuse(1, &weight, NULL, &opts, LAT_STATUS_INVALID_ARGUMENT, "padding must be 0");
  opts = (lat_conv3d_opts)LAT_CONV3D_OPTS_INIT;
  opts.coordinates = coords;
  refuse(1, &weight, NULL, &opts, LAT_STATUS_INVALID_ARGUMENT, "coordinates must be NULL");
}

static void test_target_stride(void **state) {
  (void)state;
  lat_weight weight = good_weight();
  lat_conv3d_opts opts = LAT_CONV3D_OPTS_INIT;
  opts.coordinates = coords;
  opts.stride = (lat_triple){1, 2, 1};
  refuse(0, &weight, NULL, &opts, LAT_STATUS_INVALID_ARGUMENT, "must use the convolution output stride");
  // A tensor stride that the convolution's stride carries out of int32, with and without coordinates.
  lat_coords *coarse = NULL;
  lat_tensor *coarse_x = NULL, *out = x;
  lat_coords_opts coords_opts = LAT_COORDS_OPTS_INIT;
  coords_opts.stride = lat_triple_all(1 << 30);
  lat_array_view row_view = lat_view_2d(rows, LAT_DTYPE_I32, N, 4),
                 feat_view = lat_view_2d(feats, LAT_DTYPE_F32, N, C_IN);
  lat_test_assert_ok(lat_coords_create(context, &row_view, &coords_opts, &coarse));
  lat_test_assert_ok(lat_tensor_create(context, coarse, &feat_view, NULL, &coarse_x));
  opts.stride = lat_triple_all(2);
  lat_test_assert_error(lat_conv3d(context, coarse_x, &weight, NULL, &opts, &out), LAT_STATUS_OVERFLOW,
                        "output stride leaves int32");
  assert_null(out);
  opts.coordinates = NULL;
  out = x;
  lat_test_assert_error(lat_conv3d(context, coarse_x, &weight, NULL, &opts, &out), LAT_STATUS_OVERFLOW, "stride");
  assert_null(out);
  lat_tensor_release(coarse_x);
  lat_coords_release(coarse);
}

static void test_dtypes(void **state) {
  (void)state;
  const int64_t shape[3] = {K, C_IN, C_OUT};
  lat_weight weight = weight_of(LAT_DTYPE_F16, 3, shape);
  refuse_both(&weight, NULL, NULL, LAT_STATUS_INVALID_DTYPE, "convolution weights must match feature dtype");
  weight = weight_of(LAT_DTYPE_I32, 3, shape);
  refuse_both(&weight, NULL, NULL, LAT_STATUS_INVALID_DTYPE, "convolution weights must match feature dtype");
  weight = weight_of((lat_dtype)99, 3, shape);
  refuse_both(&weight, NULL, NULL, LAT_STATUS_INVALID_DTYPE, "weight");
  weight = good_weight();
  lat_array_view bias = lat_view_1d(values, LAT_DTYPE_I32, C_OUT);
  refuse_both(&weight, &bias, NULL, LAT_STATUS_INVALID_DTYPE, "bias dtype");
  // No public call makes a tensor of doubles.
  lat_array *doubles = NULL;
  lat_tensor *odd = NULL;
  lat_test_assert_ok(lat__array_new_2d(context, "test", LAT_DTYPE_F64, N, C_IN, &doubles));
  lat_test_assert_ok(lat__tensor_new(context, "test", coords, doubles, NULL, &odd));
  for (int i = 0; i < 2; i++) {
    lat_tensor *out = x;
    lat_test_assert_error(convs[i](context, odd, &weight, NULL, NULL, &out), LAT_STATUS_INVALID_DTYPE,
                          "convolution supports float32 and float16 tensors");
    assert_null(out);
  }
  lat_tensor_release(odd);
  lat_array_release(doubles);
}

typedef struct shape_case {
  int32_t rank;
  int64_t shape[6];
  const char *fragment;
} shape_case;

static void test_shapes(void **state) {
  (void)state;
  static const shape_case cases[] = {
      {2, {C_OUT, C_IN}, "mapped convolution weight must have shape (K, C_in, C_out) or (C_out, Kx, Ky, Kz, C_in)"},
      {4, {C_OUT, 3, 3, C_IN}, "mapped convolution weight must have shape"},
      {1, {8}, "mapped convolution weight must have shape"},
      {3, {K, C_IN + 1, C_OUT}, "weight input channels must match x.channels: got 3, expected 2"},
      {5, {C_OUT, 3, 3, 3, 1}, "weight input channels must match x.channels"},
      {3, {K - 1, C_IN, C_OUT}, "weight kernel rows must match the convolution kernel: got 26, expected 27"},
      {5, {C_OUT, 3, 3, 1, C_IN}, "weight kernel rows must match the convolution kernel"},
      {3, {0, C_IN, C_OUT}, "weight kernel rows must match the convolution kernel"},
  };
  static const shape_case pointwise[] = {
      {4, {C_OUT, 1, 1, C_IN}, "pointwise convolution weight must have shape (C_out, C_in), (1, C_in, C_out) or"},
      {2, {C_IN, C_OUT}, "weight input channels must match x.channels"},
      {3, {2, C_IN, C_OUT}, "weight kernel rows must match the convolution kernel"},
  };
  for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
    lat_weight weight = weight_of(LAT_DTYPE_F32, cases[i].rank, cases[i].shape);
    refuse_both(&weight, NULL, NULL, LAT_STATUS_INVALID_SHAPE, cases[i].fragment);
  }
  lat_conv3d_opts opts = LAT_CONV3D_OPTS_INIT;
  opts.kernel_size = lat_triple_all(1);
  for (size_t i = 0; i < sizeof pointwise / sizeof pointwise[0]; i++) {
    lat_weight weight = weight_of(LAT_DTYPE_F32, pointwise[i].rank, pointwise[i].shape);
    refuse_both(&weight, NULL, &opts, LAT_STATUS_INVALID_SHAPE, pointwise[i].fragment);
  }
  // Kernel volume 1 with a stride is no pointwise convolution: a matrix is no weight for it.
  opts.stride = lat_triple_all(2);
  lat_weight matrix = weight_of(LAT_DTYPE_F32, 2, (const int64_t[2]){C_OUT, C_IN});
  refuse(0, &matrix, NULL, &opts, LAT_STATUS_INVALID_SHAPE, "mapped convolution weight must have shape");
}

static void test_huge_kernel_axes(void **state) {
  (void)state;
  // An empty weight may claim any kernel: the product of its axes must not wrap around to a match.
  const int64_t shape[5] = {0, (int64_t)1 << 40, (int64_t)1 << 40, 3, C_IN};
  lat_weight weight = weight_of(LAT_DTYPE_F32, 5, shape);
  for (int i = 0; i < 2; i++) {
    lat_tensor *out = x;
    lat_status status = convs[i](context, x, &weight, NULL, NULL, &out);
    assert_true(status == LAT_STATUS_OVERFLOW || status == LAT_STATUS_INVALID_SHAPE);
    assert_non_null(strstr(lat_last_error(), "weight"));
    assert_null(out);
  }
}

static void test_bias(void **state) {
  (void)state;
  lat_weight weight = good_weight();
  lat_array_view bias = lat_view_2d(values, LAT_DTYPE_F32, 1, C_OUT);
  refuse_both(&weight, &bias, NULL, LAT_STATUS_INVALID_SHAPE, "bias must have shape (C_out,)");
  bias = lat_view_1d(values, LAT_DTYPE_F32, C_OUT - 1);
  refuse_both(&weight, &bias, NULL, LAT_STATUS_INVALID_SHAPE,
              "bias channels must match output channels: got 3, expected 4");
  bias = lat_view_1d(NULL, LAT_DTYPE_F32, C_OUT);
  refuse_both(&weight, &bias, NULL, LAT_STATUS_INVALID_ARGUMENT, "bias");
}

static void test_packed(void **state) {
  (void)state;
  lat_quantized_weight *packed = NULL;
  lat_array_view dense = lat_view(values, LAT_DTYPE_F32, 3, (const int64_t[3]){8, C_IN, C_OUT});
  lat_test_assert_ok(lat_quantize_weight(context, &dense, NULL, &packed));
  lat_weight weight = lat_weight_packed(packed);
  refuse_both(&weight, NULL, NULL, LAT_STATUS_INVALID_SHAPE,
              "quantized weight kernel rows must match the convolution kernel: got 8, expected 27");
  lat_quantized_weight_release(packed);
  dense = lat_view(values, LAT_DTYPE_F32, 3, (const int64_t[3]){K, C_IN + 1, C_OUT});
  lat_test_assert_ok(lat_quantize_weight(context, &dense, NULL, &packed));
  weight = lat_weight_packed(packed);
  refuse_both(&weight, NULL, NULL, LAT_STATUS_INVALID_SHAPE,
              "quantized weight input channels must match x.channels: got 3, expected 2");
  lat_quantized_weight_release(packed);
}

static void test_algorithm(void **state) {
  (void)state;
  char name[LAT_ALGORITHM_NAME_BYTES] = "untouched";
  lat_weight weight = good_weight();
  lat_test_assert_error(lat_conv3d_algorithm(NULL, x, &weight, NULL, name, sizeof name), LAT_STATUS_INVALID_ARGUMENT,
                        "context: got NULL");
  lat_test_assert_error(lat_conv3d_algorithm(context, NULL, &weight, NULL, name, sizeof name),
                        LAT_STATUS_INVALID_ARGUMENT, "x: got NULL");
  lat_test_assert_error(lat_conv3d_algorithm(context, x, &weight, NULL, NULL, 0), LAT_STATUS_INVALID_ARGUMENT,
                        "name: got NULL");
  lat_test_assert_error(lat_conv3d_algorithm(context, x, NULL, NULL, name, sizeof name), LAT_STATUS_INVALID_ARGUMENT,
                        "weight: got NULL");
  weight = weight_of(LAT_DTYPE_F32, 3, (const int64_t[3]){8, C_IN, C_OUT});
  lat_test_assert_error(lat_conv3d_algorithm(context, x, &weight, NULL, name, sizeof name), LAT_STATUS_INVALID_SHAPE,
                        "weight kernel rows");
  assert_string_equal(name, "untouched");

  lat_conv_candidates list = {.count = -7};
  lat_test_assert_error(lat_conv3d_candidates(context, x, &weight, NULL, &list), LAT_STATUS_INVALID_SHAPE,
                        "weight kernel rows");
  weight = good_weight();
  lat_test_assert_error(lat_conv3d_candidates(NULL, x, &weight, NULL, &list), LAT_STATUS_INVALID_ARGUMENT,
                        "context: got NULL");
  lat_test_assert_error(lat_conv3d_candidates(context, NULL, &weight, NULL, &list), LAT_STATUS_INVALID_ARGUMENT,
                        "x: got NULL");
  lat_test_assert_error(lat_conv3d_candidates(context, x, NULL, NULL, &list), LAT_STATUS_INVALID_ARGUMENT,
                        "weight: got NULL");
  lat_test_assert_error(lat_conv3d_candidates(context, x, &weight, NULL, NULL), LAT_STATUS_INVALID_ARGUMENT,
                        "out: got NULL, expected a place for the list");
  assert_int_equal(list.count, -7);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_null),      cmocka_unit_test(test_geometry),         cmocka_unit_test(test_subm_geometry),
      cmocka_unit_test(test_dtypes),    cmocka_unit_test(test_target_stride),    cmocka_unit_test(test_shapes),
      cmocka_unit_test(test_bias),      cmocka_unit_test(test_huge_kernel_axes), cmocka_unit_test(test_packed),
      cmocka_unit_test(test_algorithm),
  };
  return cmocka_run_group_tests(tests, set_up, tear_down);
}
