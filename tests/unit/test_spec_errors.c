// Every error that the specification names in sections 0 to 4, one line each: section, call, status, the quoted text.
// Sections 5 to 10 are in test_spec_errors_families.c. What has no C form is listed where it would stand: an argument that
// Python alone takes (active_rows, managers and keys), a class that C has not, a dtype that 0.21 allows.
#include <limits.h>
#include <math.h>
#include <string.h>

#include "support/spec_errors.h"

static lat_triple triple(int32_t x, int32_t y, int32_t z) {
  lat_triple value = {x, y, z};
  return value;
}

static lat_status create_coords(lat_array_view rows, int32_t stride) {
  lat_coords_opts opts = LAT_COORDS_OPTS_INIT;
  opts.stride = triple(stride, 1, 1);
  return lat_coords_create(line.context, &rows, stride == 1 ? NULL : &opts, &out.coords);
}

static lat_status create_tensor(lat_array_view feats, const int64_t *counts, int64_t n_batches) {
  lat_tensor_opts opts = {sizeof opts, counts, n_batches};
  return lat_tensor_create(line.context, line.coords, &feats, &opts, &out.tensor);
}

// --- section 0 ---

static void test_section_0(void **state) {
  (void)state;
  lat_array_view feats = some_2d(LAT_DTYPE_F32, 3, 1);
  refused("0.15", create_coords(some_2d(LAT_DTYPE_I32, 3, 4), 0), ARGUMENT, "stride values must be positive");
  refused("0.15", create_coords(some_2d(LAT_DTYPE_I32, 3, 4), -1), ARGUMENT, "stride values must be positive");
  refused("0.19", create_tensor(feats, (int64_t[]){2, 1}, 2), ARGUMENT, "batch_counts must equal the batch column");
  refused("0.20", create_coords(some_2d(LAT_DTYPE_I32, (int64_t)INT32_MAX + 1, 4), 1), OVERFLOWS, "too many rows");
  int64_t large[4] = {0, (int64_t)INT32_MAX + 1, 0, 0};
  refused("0.21", create_coords(lat_view_2d(large, LAT_DTYPE_I64, 1, 4), 1), OVERFLOWS,
          "leaves int32: got 2147483648 at row 0");
  // 0.1, an active_rows outside 0 .. N: Python. 0.16 and the packed normalized convolution: section 4.7 below.
}

static lat_status quantize_one(double x, double voxel_size, lat_dtype dtype) {
  double doubles[6] = {0, 0, 0, x, 0, 0};
  float floats[6] = {0, 0, 0, (float)x, 0, 0};
  lat_voxel_grid grid = lat_voxel_grid_cube(voxel_size);
  lat_array_view points = lat_view_2d(dtype == LAT_DTYPE_F64 ? (void *)doubles : (void *)floats, dtype, 2, 3);
  return lat_sparse_quantize(line.context, &points, &grid, &out.quantization);
}

static void test_points_of_section_0(void **state) {
  (void)state;
  refused("0.18", quantize_one(4e6, 0.1, LAT_DTYPE_F32), ARGUMENT, "at most a quarter of 0.1");
  refused("0.18", quantize_one(4e6, 0.1, LAT_DTYPE_F32), ARGUMENT, "use float64 points, or subtract the origin");
  refused("0.18", quantize_one(NAN, 1, LAT_DTYPE_F32), ARGUMENT, "point 1");
  refused("0.18", quantize_one(NAN, 1, LAT_DTYPE_F64), ARGUMENT, "point 1");
  refused("0.18", quantize_one((double)INFINITY, 1, LAT_DTYPE_F64), ARGUMENT, "point 1");
  refused("0.18", quantize_one(3e9, 1, LAT_DTYPE_F64), OVERFLOWS, "point 1");
}

// --- section 1 ---

static void test_section_1(void **state) {
  (void)state;
  lat_array_view feats = some_2d(LAT_DTYPE_F32, 3, 1);
  refused("1.2", create_coords(some_2d(LAT_DTYPE_I32, 3, 3), 1), SHAPE, "coords must have shape (N, 4)");
  refused("1.2", create_coords(some_1d(LAT_DTYPE_I32, 4), 1), SHAPE, "coords must have shape (N, 4)");
  refused("1.2", create_coords(some_2d(LAT_DTYPE_F32, 3, 4), 1), DTYPE, "coords must be int32 or int64");
  refused("1.2", create_tensor(some_1d(LAT_DTYPE_F32, 3), NULL, 0), SHAPE, "feats must have shape (N, C)");
  refused("1.2", create_tensor(some_2d(LAT_DTYPE_F32, 2, 1), NULL, 0), SHAPE,
          "coords and feats must have the same row count");
  refused("1.2", create_tensor(feats, (int64_t[]){4, -1}, 2), ARGUMENT, "batch_counts must be non-negative");
  refused("1.2", create_tensor(feats, (int64_t[]){2}, 1), ARGUMENT, "batch_counts must cover all sparse rows");
  refused("1.2", create_tensor(feats, (int64_t[]){4}, 1), ARGUMENT, "batch_counts must cover all sparse rows");
  refused("1.4", create_tensor(some_2d(LAT_DTYPE_I32, 3, 1), NULL, 0), DTYPE, "feats");
  refused("1.4", create_tensor(some_2d(LAT_DTYPE_F64, 3, 1), NULL, 0), DTYPE, "feats");
  // triple, coord_manager and coord_key, manager-owned arrays, active_rows: Python.
}

// --- section 2 ---

static void test_section_2(void **state) {
  (void)state;
  refused("2.1", lat_coords_downsample(line.context, line.coords, triple(2, 0, 2), &out.coords), ARGUMENT,
          "stride values must be positive");
  refused("2.1", lat_coords_downsample(line.context, line.coords, triple(-1, 1, 1), &out.coords), ARGUMENT,
          "stride values must be positive");
  lat_array_view three = some_1d(LAT_DTYPE_I32, 3), two = some_1d(LAT_DTYPE_I32, 2), floats = some_1d(LAT_DTYPE_F32, 3);
  lat_array_view matrix = some_2d(LAT_DTYPE_I32, 3, 1);
  refused("2.3", lat_occupancy_expand(line.context, line.twice, &floats, &out.coords, NULL, NULL), DTYPE,
          "occupancy must be int32");
  refused("2.3", lat_occupancy_expand(line.context, line.twice, &two, &out.coords, NULL, NULL), SHAPE, "occupancy");
  refused("2.3", lat_occupancy_expand(line.context, line.twice, &matrix, &out.coords, NULL, NULL), SHAPE, "occupancy");
  refused("2.3", lat_child_coords(line.context, line.twice, &floats, &out.coords), DTYPE,
          "child_indices must be int32");
  refused("2.3", lat_child_coords(line.context, line.twice, &two, &out.coords), SHAPE, "child_indices");
  refused("2.3", lat_child_coords(line.context, line.coords, &three, &out.coords), ARGUMENT, "must divide");
  refused("2.4", lat_sparse_add(line.context, line.x, line.on_twice, LAT_JOIN_INNER, &out.tensor), ARGUMENT,
          "sparse tensor strides must match");
  refused("2.4", lat_sparse_add(line.context, line.x, line.x, (lat_join)9, &out.tensor), ARGUMENT,
          "join must be 'inner', 'left', 'right', or 'outer'");
  // "coordinate arrays must have matching dtype", int32 alignment: 0.21 allows both dtypes.
}

/// Coordinates that leave int32 after scaling.
static void test_overflow_after_scaling(void **state) {
  (void)state;
  int32_t rows[2][4] = {{0, 0, 0, 0}, {0, INT32_MAX / 2 + 1, 0, 0}};
  lat_array_view view = lat_view_2d(rows, LAT_DTYPE_I32, 2, 4), mask = some_1d(LAT_DTYPE_I32, 2);
  int32_t bits[2] = {1, 1};
  mask.data = bits;
  lat_coords_opts twice = LAT_COORDS_OPTS_INIT;
  twice.stride = lat_triple_all(2);
  lat_coords *coords = NULL;
  lat_test_assert_ok(lat_coords_create(line.context, &view, &twice, &coords));
  refused("2.3", lat_occupancy_expand(line.context, coords, &mask, &out.coords, NULL, NULL), OVERFLOWS, "leaves int32");
  refused("2.3", lat_child_coords(line.context, coords, &mask, &out.coords), OVERFLOWS, "leaves int32");
  refused("2.1", lat_coords_downsample(line.context, coords, lat_triple_all(INT32_MAX), &out.coords), OVERFLOWS,
          "stride leaves int32");
  lat_kernel_opts opts = LAT_KERNEL_OPTS_INIT;
  refused("3.4", lat_relation_create_transposed(line.context, coords, &opts, &out.relation), OVERFLOWS, "int32");
  refused("3.5", lat_relation_create_generative(line.context, coords, &opts, &out.relation), OVERFLOWS, "int32");
  opts.stride = lat_triple_all(INT32_MAX);
  refused("3.3", lat_relation_create_forward(line.context, coords, &opts, &out.relation), OVERFLOWS,
          "stride leaves int32");
  opts.stride = lat_triple_all(1);
  opts.dilation = lat_triple_all(INT32_MAX);
  opts.kernel_size = lat_triple_all(5);
  refused("3.2", lat_kernel_offsets(line.context, &opts, &out.array), OVERFLOWS, "int32");
  lat_coords_release(coords);
}

// --- section 3 ---

static lat_status forward_with(int32_t size, int32_t stride, int32_t padding, int32_t dilation) {
  lat_kernel_opts opts = {
      sizeof opts,       triple(size, 3, 3), triple(1, stride, 1), triple(0, 0, padding), triple(dilation, 1, 1),
      LAT_SUPPORT_FLOOR, {0, 0, 0}};
  return lat_relation_create_forward(line.context, line.coords, &opts, &out.relation);
}

static void test_section_3(void **state) {
  (void)state;
  refused("3.1", forward_with(0, 1, 0, 1), ARGUMENT, "kernel_size values must be positive");
  refused("3.1", forward_with(-3, 1, 0, 1), ARGUMENT, "kernel_size values must be positive");
  refused("3.1", forward_with(3, 0, 0, 1), ARGUMENT, "stride values must be positive");
  refused("3.1", forward_with(3, 1, -1, 1), ARGUMENT, "padding values must be non-negative");
  refused("3.1", forward_with(3, 1, 0, 0), ARGUMENT, "dilation values must be positive");
  lat_kernel_opts even = LAT_KERNEL_OPTS_INIT;
  even.kernel_size = triple(3, 2, 3);
  refused("3.7", lat_relation_create_subm(line.context, line.coords, &even, &out.relation), ARGUMENT,
          "odd kernel_size");
  lat_kernel_opts transposed = LAT_KERNEL_OPTS_INIT;
  transposed.stride = lat_triple_all(3);
  refused("4.5", lat_relation_create_transposed(line.context, line.twice, &transposed, &out.relation), ARGUMENT,
          "must divide");
  lat_radius_opts radius = {sizeof radius, 1.0, 0};
  refused("3.7", lat_neighbors_create_radius(line.context, line.coords, line.twice, &radius, &out.neighbors), ARGUMENT,
          "same coordinate stride");
  radius.radius = -1;
  refused("3.9", lat_neighbors_create_radius(line.context, line.coords, NULL, &radius, &out.neighbors), ARGUMENT,
          "radius must be non-negative");
  radius = (lat_radius_opts){sizeof radius, 1.0, -1};
  refused("3.9", lat_neighbors_create_radius(line.context, line.coords, NULL, &radius, &out.neighbors), ARGUMENT,
          "max_neighbors must be positive");
  lat_knn_opts nearest = {sizeof nearest, 0};
  refused("3.9", lat_neighbors_create_knn(line.context, line.coords, NULL, &nearest, &out.neighbors), ARGUMENT,
          "k must be positive");
  nearest.k = -2;
  refused("3.9", lat_neighbors_create_knn(line.context, line.coords, NULL, &nearest, &out.neighbors), ARGUMENT,
          "k must be positive");
  nearest.k = 1;
  refused("3.7", lat_neighbors_create_knn(line.context, line.coords, line.twice, &nearest, &out.neighbors), ARGUMENT,
          "same coordinate stride");
  // Unequal edge lengths, counts, capacities of a relation that a user puts together: Python.
}

/// 3.8: who has no implicit-GEMM view, and no sorted one. (They write into structs, which are zero then.)
static void test_views(void **state) {
  (void)state;
  lat_relation *generative = NULL, *wide = NULL;
  lat_implicit_gemm gemm;
  lat_sorted_implicit_gemm sorted;
  lat_kernel_opts opts = LAT_KERNEL_OPTS_INIT;
  lat_test_assert_ok(lat_relation_create_generative(line.context, line.twice, NULL, &generative));
  opts.kernel_size = triple(33, 1, 1);
  lat_test_assert_ok(lat_relation_create_forward(line.context, line.coords, &opts, &wide));
  lat_test_assert_error(lat_relation_implicit_gemm(line.context, generative, &gemm), LAT_STATUS_INVALID_ARGUMENT,
                        "implicit GEMM needs");
  assert_null(gemm.out_in_map);
  lat_test_assert_error(lat_relation_sorted_implicit_gemm(line.context, wide, &sorted), LAT_STATUS_INVALID_ARGUMENT,
                        "at most 32 kernel elements");
  assert_null(sorted.reorder_rows);
  lat_relation_release(wide);
  lat_relation_release(generative);
}

// --- section 4 ---

typedef lat_status (*conv_fn)(lat_context *, const lat_tensor *, const lat_weight *, const lat_array_view *,
                              const lat_conv3d_opts *, lat_tensor **);

static const lat_conv3d_opts taps_of_three = {
    sizeof taps_of_three, {3, 1, 1}, {0, 0, 0}, {0, 0, 0}, {0, 0, 0}, NULL, 0, 0, LAT_SUPPORT_FLOOR, {0, 0, 0}};

/// A convolution of `x` with a dense weight of zeros.
static lat_status conv(conv_fn call, const lat_tensor *x, lat_dtype dtype, int32_t rank, const int64_t *shape,
                       const lat_array_view *bias, const lat_conv3d_opts *opts) {
  lat_weight weight = lat_weight_dense(some(dtype, rank, shape));
  return call(line.context, x, &weight, bias, opts, &out.tensor);
}

#define F32 LAT_DTYPE_F32
#define SHAPE_OF(...) ((const int64_t[]){__VA_ARGS__})

static void check_common(const char *section, conv_fn call, const lat_tensor *x) {
  const lat_conv3d_opts *opts = &taps_of_three;
  lat_array_view matrix = some_2d(F32, 1, 1), long_bias = some_1d(F32, 2);
  refused(section, conv(call, line.half, F32, 3, SHAPE_OF(3, 1, 1), NULL, opts), DTYPE,
          "convolution weights must match feature dtype");
  refused(section, conv(call, x, F32, 3, SHAPE_OF(3, 2, 1), NULL, opts), SHAPE,
          "weight input channels must match x.channels");
  refused(section, conv(call, x, F32, 5, SHAPE_OF(1, 3, 1, 1, 2), NULL, opts), SHAPE,
          "weight input channels must match x.channels");
  refused(section, conv(call, x, F32, 3, SHAPE_OF(2, 1, 1), NULL, opts), SHAPE,
          "weight kernel rows must match the convolution kernel");
  refused(section, conv(call, x, F32, 5, SHAPE_OF(1, 3, 3, 1, 1), NULL, opts), SHAPE,
          "weight kernel rows must match the convolution kernel");
  refused(section, conv(call, x, F32, 4, SHAPE_OF(3, 1, 1, 1), NULL, opts), SHAPE,
          "mapped convolution weight must have shape (K, C_in, C_out) or (C_out, Kx, Ky, Kz, C_in)");
  refused(section, conv(call, x, F32, 2, SHAPE_OF(1, 1), NULL, opts), SHAPE,
          "mapped convolution weight must have shape (K, C_in, C_out) or (C_out, Kx, Ky, Kz, C_in)");
  refused(section, conv(call, x, F32, 3, SHAPE_OF(3, 1, 1), &matrix, opts), SHAPE, "bias must have shape (C_out,)");
  refused(section, conv(call, x, F32, 3, SHAPE_OF(3, 1, 1), &long_bias, opts), SHAPE,
          "bias channels must match output channels");
}

static void test_every_convolution(void **state) {
  (void)state;
  check_common("4.2 4.3", lat_conv3d, line.x);
  check_common("4.2 4.4", lat_subm_conv3d, line.x);
  check_common("4.2 4.7", lat_normalized_subm_conv3d, line.x);
  lat_weight packed = lat_weight_packed(line.packed_line);
  refused("4.2", lat_conv3d(line.context, line.wide, &packed, NULL, &taps_of_three, &out.tensor), SHAPE,
          "quantized weight input channels must match x.channels");
  lat_conv3d_opts five = taps_of_three;
  five.kernel_size = triple(5, 1, 1);
  refused("4.2", lat_conv3d(line.context, line.x, &packed, NULL, &five, &out.tensor), SHAPE,
          "quantized weight kernel rows must match the convolution kernel");
  // "convolution supports float32 and float16 tensors": a tensor of another dtype cannot be made (1.4).
}

static void test_pointwise_and_target(void **state) {
  (void)state;
  lat_conv3d_opts point = LAT_CONV3D_OPTS_INIT;
  point.kernel_size = lat_triple_all(1);
  refused("4.3", conv(lat_conv3d, line.x, F32, 1, SHAPE_OF(1), NULL, &point), SHAPE, "(C_out, C_in)");
  refused("4.3", conv(lat_conv3d, line.x, F32, 4, SHAPE_OF(1, 1, 1, 1), NULL, &point), SHAPE, "(C_out, C_in)");
  refused("4.3", conv(lat_conv3d, line.x, F32, 2, SHAPE_OF(1, 2), NULL, &point), SHAPE,
          "weight input channels must match x.channels");
  lat_conv3d_opts onto = taps_of_three;
  onto.coordinates = line.twice;
  refused("4.3", conv(lat_conv3d, line.x, F32, 3, SHAPE_OF(3, 1, 1), NULL, &onto), ARGUMENT,
          "must use the convolution output stride");
  lat_conv3d_opts strided_point = point;
  strided_point.stride = lat_triple_all(2);
  refused("4.3", conv(lat_conv3d, line.x, F32, 2, SHAPE_OF(1, 1), NULL, &strided_point), SHAPE,
          "mapped convolution weight");
  lat_conv3d_opts even = LAT_CONV3D_OPTS_INIT;
  even.kernel_size = triple(2, 1, 1);
  refused("4.4", conv(lat_subm_conv3d, line.x, F32, 3, SHAPE_OF(2, 1, 1), NULL, &even), ARGUMENT,
          "subm_conv3d requires odd kernel_size values");
  refused("4.7", conv(lat_normalized_subm_conv3d, line.x, F32, 3, SHAPE_OF(2, 1, 1), NULL, &even), ARGUMENT,
          "odd kernel_size");
  lat_conv3d_opts uneven = LAT_CONV3D_OPTS_INIT;
  uneven.groups = 2;
  uneven.kernel_size = triple(3, 1, 1);
  refused("0.11", conv(lat_conv3d, line.x, F32, 3, SHAPE_OF(3, 1, 2), NULL, &uneven), SHAPE, "groups must divide");
}

static void test_support(void **state) {
  (void)state;
  lat_conv3d_opts boxed = taps_of_three;
  boxed.bounds = lat_triple_all(4);
  refused("0.10", conv(lat_conv3d, line.x, F32, 3, SHAPE_OF(3, 1, 1), NULL, &boxed), ARGUMENT,
          "bounds without reach support");
  refused("0.10", conv(lat_inverse_conv3d, line.x, F32, 3, SHAPE_OF(3, 1, 1), NULL, &boxed), ARGUMENT,
          "bounds without reach support");
  boxed.support = LAT_SUPPORT_REACH;
  boxed.bounds.y = -4;
  refused("0.10", conv(lat_conv3d, line.x, F32, 3, SHAPE_OF(3, 1, 1), NULL, &boxed), ARGUMENT,
          "bounds values must be positive");
  boxed.bounds.y = 4;
  boxed.coordinates = line.coords;
  refused("0.10", conv(lat_conv3d, line.x, F32, 3, SHAPE_OF(3, 1, 1), NULL, &boxed), ARGUMENT, "bounds must be absent");
  boxed.support = (lat_support)2;
  refused("0.10", conv(lat_conv3d, line.x, F32, 3, SHAPE_OF(3, 1, 1), NULL, &boxed), ARGUMENT, "support is unknown");
}

static void test_transposed(void **state) {
  (void)state;
  static const conv_fn calls[] = {lat_conv_transpose3d, lat_generative_conv_transpose3d,
                                  lat_normalized_conv_transpose3d, lat_normalized_generative_conv_transpose3d};
  for (int i = 0; i < 4; i++)
    refused("4.5 4.6 4.7", conv(calls[i], line.x, F32, 3, SHAPE_OF(8, 1, 1), NULL, NULL), ARGUMENT,
            "transpose stride must divide the input tensor stride");
  lat_conv3d_opts padded = LAT_CONV3D_OPTS_INIT;
  padded.padding = lat_triple_all(1);
  refused("4.6", conv(lat_generative_conv_transpose3d, line.on_twice, F32, 3, SHAPE_OF(8, 1, 1), NULL, &padded),
          ARGUMENT, "padding");
  lat_conv3d_opts onto = LAT_CONV3D_OPTS_INIT;
  onto.coordinates = line.twice;
  refused("4.5", conv(lat_conv_transpose3d, line.on_twice, F32, 3, SHAPE_OF(8, 1, 1), NULL, &onto), ARGUMENT,
          "must use the convolution output stride");
  refused("0.10", conv(lat_inverse_conv3d, line.on_twice, F32, 3, SHAPE_OF(27, 1, 1), NULL, NULL), ARGUMENT,
          "coordinates: got NULL");
}

static void test_normalized(void **state) {
  (void)state;
  lat_conv3d_opts opts = taps_of_three, point = LAT_CONV3D_OPTS_INIT;
  opts.eps = -1;
  refused("4.7", conv(lat_normalized_subm_conv3d, line.x, F32, 3, SHAPE_OF(3, 1, 1), NULL, &opts), ARGUMENT,
          "eps must be positive");
  lat_conv3d_opts bad = LAT_CONV3D_OPTS_INIT;
  bad.eps = -1;
  refused("4.7", conv(lat_normalized_conv_transpose3d, line.on_twice, F32, 3, SHAPE_OF(8, 1, 1), NULL, &bad), ARGUMENT,
          "eps must be positive");
  refused("4.7", conv(lat_normalized_generative_conv_transpose3d, line.on_twice, F32, 3, SHAPE_OF(8, 1, 1), NULL, &bad),
          ARGUMENT, "eps must be positive");
  lat_weight packed = lat_weight_packed(line.packed_line), packed_point = lat_weight_packed(line.packed_point);
  refused("0.16 4.7", lat_normalized_subm_conv3d(line.context, line.x, &packed, NULL, &taps_of_three, &out.tensor),
          ARGUMENT, "normalized convolution does not support packed weights");
  point.kernel_size = lat_triple_all(1);
  refused("0.16 4.7", lat_normalized_subm_conv3d(line.context, line.x, &packed_point, NULL, &point, &out.tensor),
          ARGUMENT, "normalized convolution does not support packed weights");
}

/// 4.9: a packed weight has no gradient; so are quantized convolutions in forward mode.
static void test_gradients(void **state) {
  (void)state;
  lat_weight packed = lat_weight_packed(line.packed_line);
  lat_array_view grad = some_2d(F32, 3, 1);
  lat_conv3d_backward_opts opts = {sizeof opts, &taps_of_three, LAT_GRAD_WEIGHT};
  lat_conv_grads grads = {NULL, NULL, NULL};
  lat_test_assert_error(lat_subm_conv3d_backward(line.context, line.x, &packed, &grad, &opts, &grads),
                        LAT_STATUS_INVALID_ARGUMENT, "a packed weight has no gradient");
  assert_null(grads.weight);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_section_0),
      cmocka_unit_test(test_points_of_section_0),
      cmocka_unit_test(test_section_1),
      cmocka_unit_test(test_section_2),
      cmocka_unit_test(test_overflow_after_scaling),
      cmocka_unit_test(test_section_3),
      cmocka_unit_test(test_views),
      cmocka_unit_test(test_every_convolution),
      cmocka_unit_test(test_pointwise_and_target),
      cmocka_unit_test(test_support),
      cmocka_unit_test(test_transposed),
      cmocka_unit_test(test_normalized),
      cmocka_unit_test(test_gradients),
  };
  return cmocka_run_group_tests(tests, spec_line_set_up, spec_line_tear_down);
}
