// Max reduction and the gradients of points and voxels: worked vectors, ties, NaN, and every error.
// covers: lat_voxelize lat_voxelize_quantized lat_voxelize_backward lat_interpolate_backward
// null arguments: lat_voxelize_backward lat_interpolate_backward
#include "support/test_support.h"

#include <math.h>

#include <lattice/lattice.h>

#define N 5
#define V 4

static lat_context *context;
static lat_quantization *quantization; ///< voxels 0 0 1 2 0
static lat_point_map *map;             ///< of the points on `lattice`: 4 voxels
static const float points[N][3] = {
    {0.25f, 0.0f, 0.0f}, {0.5f, 0.5f, 0.0f}, {1.0f, 0.0f, 0.0f}, {-0.25f, 0.0f, 0.0f}, {0.0f, 0.75f, 0.0f}};
static const float features[N][2] = {{1, 10}, {3, 30}, {5, 50}, {7, 70}, {3, -30}};
static lat_array_view point_view, feature_view, voxel_grad_view, point_grad_view;
static const float voxel_grad[3][2] = {{6, 60}, {1, 2}, {3, 4}};
static const float point_grad[N][2] = {{4, 40}, {8, 80}, {16, 160}, {32, 320}, {64, 640}};

static int set_up(void **state) {
  (void)state;
  static const int32_t rows[V][4] = {{0, 0, 0, 0}, {0, 1, 0, 0}, {0, 0, 0, 0}, {0, 0, 1, 0}};
  lat_array_view row_view = lat_view_2d(rows, LAT_DTYPE_I32, V, 4);
  lat_voxel_grid grid = lat_voxel_grid_cube(1.0);
  lat_coords *lattice = NULL;
  point_view = lat_view_2d(points, LAT_DTYPE_F32, N, 3);
  feature_view = lat_view_2d(features, LAT_DTYPE_F32, N, 2);
  voxel_grad_view = lat_view_2d(voxel_grad, LAT_DTYPE_F32, 3, 2);
  point_grad_view = lat_view_2d(point_grad, LAT_DTYPE_F32, N, 2);
  if (lat_context_create(NULL, &context)) return 1;
  if (lat_sparse_quantize(context, &point_view, &grid, &quantization)) return 1;
  if (lat_coords_create(context, &row_view, NULL, &lattice)) return 1;
  if (lat_point_map_create(context, &point_view, lattice, &grid, LAT_INTERPOLATION_LINEAR, &map)) return 1;
  lat_coords_release(lattice);
  return 0;
}

static int tear_down(void **state) {
  (void)state;
  lat_point_map_release(map);
  lat_quantization_release(quantization);
  lat_context_destroy(context);
  return 0;
}

static void max_takes_the_largest(void **state) {
  (void)state;
  const float expected[3][2] = {{3, 30}, {5, 50}, {7, 70}};
  lat_voxelize_opts opts = LAT_VOXELIZE_OPTS_INIT;
  lat_voxel_grid grid = lat_voxel_grid_cube(1.0);
  lat_tensor *voxels = NULL;
  opts.reduction = LAT_VOXEL_MAX;
  lat_test_assert_ok(lat_voxelize_quantized(context, quantization, &feature_view, &opts, &voxels));
  assert_memory_equal(lat_tensor_feats(voxels).data, expected, sizeof expected);
  lat_tensor_release(voxels);
  lat_test_assert_ok(lat_voxelize(context, &point_view, &feature_view, &grid, LAT_VOXEL_MAX, &voxels));
  assert_memory_equal(lat_tensor_feats(voxels).data, expected, sizeof expected);
  lat_tensor_release(voxels);
}

static void max_of_nan_and_infinity(void **state) {
  (void)state;
  const float x[N] = {NAN, 3.0f, -INFINITY, INFINITY, 4.0f};
  lat_array_view view = lat_view_2d(x, LAT_DTYPE_F32, N, 1), grad = lat_view_2d(voxel_grad, LAT_DTYPE_F32, 3, 1);
  lat_voxelize_opts opts = LAT_VOXELIZE_OPTS_INIT;
  lat_tensor *voxels = NULL;
  lat_array *back = NULL;
  opts.reduction = LAT_VOXEL_MAX;
  lat_test_assert_ok(lat_voxelize_quantized(context, quantization, &view, &opts, &voxels));
  const float *y = lat_tensor_feats(voxels).data;
  assert_true(isnan(y[0]) && y[1] == -INFINITY && y[2] == INFINITY);
  lat_tensor_release(voxels);
  lat_test_assert_ok(lat_voxelize_backward(context, quantization, &view, &grad, &opts, &back));
  const float *dx = lat_array_data(back); // the NaN holds the maximum of its voxel
  const float expected[N] = {6.0f, 0.0f, 60.0f, 1.0f, 0.0f};
  assert_memory_equal(dx, expected, sizeof expected);
  lat_array_release(back);
}

static void gradients_of_voxelize(void **state) {
  (void)state;
  static const float expected[3][N][2] = {{{2, 20}, {2, 20}, {1, 2}, {3, 4}, {2, 20}},
                                          {{6, 60}, {6, 60}, {1, 2}, {3, 4}, {6, 60}},
                                          {{0, 0}, {3, 60}, {1, 2}, {3, 4}, {3, 0}}};
  for (int mode = 0; mode < 3; mode++) {
    for (int with_features = mode == 2; with_features < 2; with_features++) {
      lat_voxelize_opts opts = LAT_VOXELIZE_OPTS_INIT;
      lat_array *grad = NULL;
      opts.reduction = (lat_voxel_reduction)mode;
      lat_test_assert_ok(lat_voxelize_backward(context, quantization, with_features ? &feature_view : NULL,
                                               &voxel_grad_view, mode ? &opts : NULL, &grad));
      lat_array_view view = lat_array_as_view(grad);
      assert_int_equal(view.shape[0], N);
      assert_int_equal(view.shape[1], 2);
      for (int i = 0; i < 2 * N; i++) {
        assert_float_equal(((const float *)view.data)[i], expected[mode][i / 2][i % 2], 1e-5f);
      }
      lat_array_release(grad);
    }
  }
}

static void gradient_of_interpolate(void **state) {
  (void)state;
  // voxel 0 is read by point 0 (.75), 1 (.25), 3 (.75), 4 (.25); voxel 1 by 0 (.25), 1 (.25), 2 (1); voxel 2 (twin of 0)
  // by none; voxel 3 by 1 (.25), 4 (.75).
  const float expected[V][2] = {{45, 450}, {19, 190}, {0, 0}, {50, 500}};
  float columns[2][N];
  for (int i = 0; i < 2 * N; i++) columns[i % 2][i / 2] = point_grad[i / 2][i % 2];
  for (int strided = 0; strided < 2; strided++) {
    lat_array_view view = lat_view_2d(columns, LAT_DTYPE_F32, N, 2);
    lat_array *grad = NULL;
    view.stride[0] = 1;
    view.stride[1] = N;
    lat_test_assert_ok(lat_interpolate_backward(context, map, strided ? &view : &point_grad_view, &grad));
    assert_int_equal(lat_array_as_view(grad).shape[0], V);
    assert_int_equal(lat_array_as_view(grad).shape[1], 2);
    assert_memory_equal(lat_array_data(grad), expected, sizeof expected);
    lat_array_release(grad);
  }
}

static void empty_gradients_work(void **state) {
  (void)state;
  lat_array_view none = lat_view_2d(NULL, LAT_DTYPE_F32, 0, 3), no_rows = lat_view_2d(NULL, LAT_DTYPE_I32, 0, 4);
  lat_array_view no_grad = lat_view_2d(NULL, LAT_DTYPE_F16, 0, 2), thin = lat_view_2d(NULL, LAT_DTYPE_F32, 3, 0);
  lat_voxel_grid grid = lat_voxel_grid_cube(1.0);
  lat_quantization *nothing = NULL;
  lat_coords *empty = NULL;
  lat_point_map *empty_map = NULL;
  lat_array *grad = NULL;
  lat_test_assert_ok(lat_sparse_quantize(context, &none, &grid, &nothing));
  lat_test_assert_ok(lat_voxelize_backward(context, nothing, NULL, &no_grad, NULL, &grad));
  assert_int_equal(lat_array_as_view(grad).shape[0], 0);
  assert_int_equal(lat_array_as_view(grad).dtype, LAT_DTYPE_F16);
  lat_array_release(grad);
  lat_test_assert_ok(lat_voxelize_backward(context, quantization, NULL, &thin, NULL, &grad));
  assert_int_equal(lat_array_count(grad), 0);
  lat_array_release(grad);
  lat_test_assert_ok(lat_coords_create(context, &no_rows, NULL, &empty));
  lat_test_assert_ok(lat_point_map_create(context, &point_view, empty, &grid, LAT_INTERPOLATION_NEAREST, &empty_map));
  lat_test_assert_ok(lat_interpolate_backward(context, empty_map, &point_grad_view, &grad));
  assert_int_equal(lat_array_as_view(grad).shape[0], 0);
  lat_array_release(grad);
  lat_point_map_release(empty_map);
  lat_coords_release(empty);
  lat_quantization_release(nothing);
}

static void refuse_voxelize(const lat_array_view *x, const lat_array_view *grad, const lat_voxelize_opts *opts,
                            lat_status expected, const char *fragment) {
  lat_array *out = (lat_array *)map;
  lat_test_assert_error(lat_voxelize_backward(context, quantization, x, grad, opts, &out), expected, fragment);
  assert_null(out);
}

static void bad_arguments_of_voxelize_backward_are_refused(void **state) {
  (void)state;
  const lat_array_view *x = &feature_view, *g = &voxel_grad_view;
  lat_voxelize_opts opts = LAT_VOXELIZE_OPTS_INIT;
  lat_array *out = (lat_array *)map;
  lat_test_assert_error(lat_voxelize_backward(NULL, quantization, x, g, NULL, &out), LAT_STATUS_INVALID_ARGUMENT,
                        "voxelize_backward: context: got NULL");
  assert_null(out);
  out = (lat_array *)map;
  lat_test_assert_error(lat_voxelize_backward(context, NULL, x, g, NULL, &out), LAT_STATUS_INVALID_ARGUMENT,
                        "voxelize_backward: quantization: got NULL");
  assert_null(out);
  lat_test_assert_error(lat_voxelize_backward(context, quantization, x, g, NULL, NULL), LAT_STATUS_INVALID_ARGUMENT,
                        "voxelize_backward: out: got NULL");
  refuse_voxelize(x, NULL, NULL, LAT_STATUS_INVALID_ARGUMENT, "grad_out: got NULL");
  refuse_voxelize(x, x, NULL, LAT_STATUS_INVALID_SHAPE, "grad_out must have shape (V, C): got (5, 2), expected (3, C)");
  lat_array_view bad = lat_view_1d(voxel_grad, LAT_DTYPE_F32, 3);
  refuse_voxelize(x, &bad, NULL, LAT_STATUS_INVALID_SHAPE, "grad_out must have shape (V, C)");
  bad = lat_view_2d(voxel_grad, LAT_DTYPE_I32, 3, 2);
  refuse_voxelize(x, &bad, NULL, LAT_STATUS_INVALID_DTYPE, "grad_out dtype: got int32");
  refuse_voxelize(g, g, NULL, LAT_STATUS_INVALID_SHAPE, "points and features must have matching rows");
  bad = lat_view_2d(features, LAT_DTYPE_F64, N, 1);
  refuse_voxelize(&bad, g, NULL, LAT_STATUS_INVALID_DTYPE, "features dtype: got float64");
  bad = lat_view_2d(features, LAT_DTYPE_F32, N, 1);
  refuse_voxelize(&bad, g, NULL, LAT_STATUS_INVALID_SHAPE, "features and grad_out must have the same channels");
  bad = lat_view_2d(features, LAT_DTYPE_F16, N, 2);
  refuse_voxelize(&bad, g, NULL, LAT_STATUS_INVALID_DTYPE, "features and grad_out must have the same dtype");
  opts.reduction = LAT_VOXEL_MAX;
  refuse_voxelize(NULL, g, &opts, LAT_STATUS_INVALID_ARGUMENT, "features: got NULL with LAT_VOXEL_MAX");
  opts.reduction = (lat_voxel_reduction)-1;
  refuse_voxelize(x, g, &opts, LAT_STATUS_INVALID_ARGUMENT, "reduction: got -1");
  opts.struct_bytes = 1;
  refuse_voxelize(x, g, &opts, LAT_STATUS_INVALID_ARGUMENT, "struct_bytes");
}

static void bad_arguments_of_interpolate_backward_are_refused(void **state) {
  (void)state;
  lat_array *out = (lat_array *)map;
  lat_test_assert_error(lat_interpolate_backward(NULL, map, &point_grad_view, &out), LAT_STATUS_INVALID_ARGUMENT,
                        "interpolate_backward: context: got NULL");
  assert_null(out);
  out = (lat_array *)map;
  lat_test_assert_error(lat_interpolate_backward(context, NULL, &point_grad_view, &out), LAT_STATUS_INVALID_ARGUMENT,
                        "interpolate_backward: map: got NULL");
  assert_null(out);
  lat_test_assert_error(lat_interpolate_backward(context, map, &point_grad_view, NULL), LAT_STATUS_INVALID_ARGUMENT,
                        "interpolate_backward: out: got NULL");
  out = (lat_array *)map;
  lat_test_assert_error(lat_interpolate_backward(context, map, NULL, &out), LAT_STATUS_INVALID_ARGUMENT,
                        "interpolate_backward: grad_out: got NULL");
  assert_null(out);
  out = (lat_array *)map;
  lat_test_assert_error(lat_interpolate_backward(context, map, &voxel_grad_view, &out), LAT_STATUS_INVALID_SHAPE,
                        "grad_out must have one row for each point of the map: got (3, 2), expected (5, C)");
  assert_null(out);
  lat_array_view bad = lat_view_2d(point_grad, LAT_DTYPE_U8, N, 2);
  out = (lat_array *)map;
  lat_test_assert_error(lat_interpolate_backward(context, map, &bad, &out), LAT_STATUS_INVALID_DTYPE,
                        "grad_out dtype: got uint8");
  assert_null(out);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(max_takes_the_largest),
      cmocka_unit_test(max_of_nan_and_infinity),
      cmocka_unit_test(gradients_of_voxelize),
      cmocka_unit_test(gradient_of_interpolate),
      cmocka_unit_test(empty_gradients_work),
      cmocka_unit_test(bad_arguments_of_voxelize_backward_are_refused),
      cmocka_unit_test(bad_arguments_of_interpolate_backward_are_refused),
  };
  return cmocka_run_group_tests(tests, set_up, tear_down);
}
