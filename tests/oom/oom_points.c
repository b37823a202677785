// Out of memory in quantizing, voxelizing and devoxelizing points, with the n-th allocation refused for every n.
#include <lattice/lattice.h>

#include "support/oom_inputs.h"
#include "support/test_allocator.h"
#include "support/test_support.h"

#define N_POINTS 100

static float points[N_POINTS][3];
static double fine_points[N_POINTS][3];
static int32_t batches[N_POINTS];

static int fill_inputs(void **state) {
  (void)state;
  for (int i = 0; i < N_POINTS; i++) {
    for (int axis = 0; axis < 3; axis++) points[i][axis] = (float)((i * (axis + 3)) % 17) * 0.3F - 2.0F;
    for (int axis = 0; axis < 3; axis++) fine_points[i][axis] = 1e9 + points[i][axis];
    batches[i] = i % 3;
  }
  return 0;
}

// Every second point: views with gaps are copied first.
static lat_status quantize_body(lat_context *context) {
  lat_array_view point_view = lat_view_2d(fine_points, LAT_DTYPE_F64, N_POINTS / 2, 3);
  lat_array_view batch_view = lat_view_1d(batches, LAT_DTYPE_I32, N_POINTS / 2);
  point_view.stride[0] = 6;
  batch_view.stride[0] = 2;
  lat_voxel_grid grid = lat_voxel_grid_cube(0.5);
  lat_quantization *quantization = NULL;
  grid.batch_indices = &batch_view;
  lat_status status = lat_sparse_quantize(context, &point_view, &grid, &quantization);
  if (status == LAT_STATUS_OK) {
    lat_test_oom_record_view(lat_coords_rows(lat_quantization_coords(quantization)));
    lat_test_oom_record_view(lat_quantization_inverse_rows(quantization));
    lat_test_oom_record_view(lat_quantization_counts(quantization));
  } else {
    assert_null(quantization);
  }
  lat_quantization_release(quantization);
  return status;
}

static lat_status voxelize_points(lat_context *context, lat_tensor **out) {
  lat_array_view point_view = lat_view_2d(points, LAT_DTYPE_F32, N_POINTS, 3);
  lat_voxel_grid grid = lat_voxel_grid_cube(0.5);
  return lat_voxelize(context, &point_view, &point_view, &grid, LAT_VOXEL_MEAN, out);
}

static lat_status voxelize_body(lat_context *context) {
  lat_tensor *voxels = NULL;
  lat_status status = voxelize_points(context, &voxels);
  return lat_test_oom_finish_tensor(status, voxels);
}

static lat_status devoxelize_with(lat_context *context, lat_interpolation interpolation) {
  lat_array_view point_view = lat_view_2d(points, LAT_DTYPE_F32, N_POINTS, 3);
  lat_voxel_grid grid = lat_voxel_grid_cube(0.5);
  lat_tensor *voxels = NULL;
  lat_array *feats = NULL;
  lat_status status = voxelize_points(context, &voxels);
  if (status == LAT_STATUS_OK) status = lat_devoxelize(context, &point_view, voxels, &grid, interpolation, &feats);
  status = lat_test_oom_finish_array(status, feats);
  lat_tensor_release(voxels);
  return status;
}

static lat_status linear_body(lat_context *context) {
  return devoxelize_with(context, LAT_INTERPOLATION_LINEAR);
}

static lat_status nearest_body(lat_context *context) {
  return devoxelize_with(context, LAT_INTERPOLATION_NEAREST);
}

// 16-bit rows pass through workspace.
static lat_status half_body(lat_context *context) {
  static const uint16_t halves[N_POINTS][4];
  lat_array_view point_view = lat_view_2d(points, LAT_DTYPE_F32, N_POINTS, 3);
  lat_array_view half_view = lat_view_2d(halves, LAT_DTYPE_F16, N_POINTS, 4);
  lat_voxel_grid grid = lat_voxel_grid_cube(0.5);
  lat_tensor *voxels = NULL;
  lat_array *feats = NULL;
  lat_status status = lat_voxelize(context, &point_view, &half_view, &grid, LAT_VOXEL_SUM, &voxels);
  if (status == LAT_STATUS_OK) {
    status = lat_devoxelize(context, &point_view, voxels, &grid, LAT_INTERPOLATION_LINEAR, &feats);
  } else {
    assert_null(voxels);
  }
  lat_tensor_release(voxels);
  return lat_test_oom_finish_array(status, feats);
}

// Another stride makes another set, which the quantization's own set keeps.
static lat_status quantized_body(lat_context *context) {
  lat_array_view point_view = lat_view_2d(points, LAT_DTYPE_F32, N_POINTS, 3);
  lat_voxel_grid grid = lat_voxel_grid_cube(0.5);
  lat_voxelize_opts opts = LAT_VOXELIZE_OPTS_INIT;
  lat_quantization *quantization = NULL;
  lat_tensor *voxels = NULL;
  opts.stride = lat_triple_all(2);
  lat_status status = lat_sparse_quantize(context, &point_view, &grid, &quantization);
  if (status == LAT_STATUS_OK) {
    status = lat_voxelize_quantized(context, quantization, &point_view, &opts, &voxels);
  }
  lat_quantization_release(quantization);
  return lat_test_oom_finish_tensor(status, voxels);
}

// A transposed view of 16-bit features is copied, then read through workspace.
static lat_status map_body(lat_context *context) {
  static const uint16_t halves[4 * N_POINTS];
  lat_array_view point_view = lat_view_2d(points, LAT_DTYPE_F32, N_POINTS, 3);
  lat_voxel_grid grid = lat_voxel_grid_cube(0.5);
  lat_quantization *quantization = NULL;
  lat_point_map *map = NULL;
  lat_array *read = NULL;
  lat_status status = lat_sparse_quantize(context, &point_view, &grid, &quantization);
  if (status == LAT_STATUS_OK) {
    status = lat_point_map_create(context, &point_view, lat_quantization_coords(quantization), &grid,
                                  LAT_INTERPOLATION_LINEAR, &map);
  }
  if (status == LAT_STATUS_OK) {
    int64_t n_voxels = lat_point_map_voxel_count(map);
    lat_array_view x = lat_view_2d(halves, LAT_DTYPE_F16, n_voxels, 4);
    x.stride[0] = 1;
    x.stride[1] = n_voxels;
    lat_test_oom_record_view(lat_point_map_rows(map));
    lat_test_oom_record_view(lat_point_map_weights(map));
    status = lat_interpolate(context, &x, map, &read);
  } else {
    assert_null(map);
  }
  lat_point_map_release(map);
  lat_quantization_release(quantization);
  return lat_test_oom_finish_array(status, read);
}

/// The gradient of max over 16-bit features: lists of points, workspace.
static lat_status max_gradient_body(lat_context *context) {
  static const uint16_t halves[4 * N_POINTS];
  lat_array_view point_view = lat_view_2d(points, LAT_DTYPE_F32, N_POINTS, 3);
  lat_array_view half_view = lat_view_2d(halves, LAT_DTYPE_BF16, N_POINTS, 4);
  lat_voxel_grid grid = lat_voxel_grid_cube(0.5);
  lat_voxelize_opts opts = LAT_VOXELIZE_OPTS_INIT;
  lat_quantization *quantization = NULL;
  lat_array *grad = NULL;
  opts.reduction = LAT_VOXEL_MAX;
  lat_status status = lat_sparse_quantize(context, &point_view, &grid, &quantization);
  if (status == LAT_STATUS_OK) {
    int64_t n_voxels = lat_coords_count(lat_quantization_coords(quantization));
    lat_array_view grad_view = lat_view_2d(halves, LAT_DTYPE_BF16, n_voxels, 4);
    status = lat_voxelize_backward(context, quantization, &half_view, &grad_view, &opts, &grad);
  }
  lat_quantization_release(quantization);
  return lat_test_oom_finish_array(status, grad);
}

static lat_status map_gradient_body(lat_context *context) {
  lat_array_view point_view = lat_view_2d(points, LAT_DTYPE_F32, N_POINTS, 3);
  lat_voxel_grid grid = lat_voxel_grid_cube(0.5);
  lat_tensor *voxels = NULL;
  lat_point_map *map = NULL;
  lat_array *grad = NULL;
  lat_status status = voxelize_points(context, &voxels);
  if (status == LAT_STATUS_OK) {
    status =
        lat_point_map_create(context, &point_view, lat_tensor_coords(voxels), &grid, LAT_INTERPOLATION_NEAREST, &map);
  }
  if (status == LAT_STATUS_OK) status = lat_interpolate_backward(context, map, &point_view, &grad);
  lat_point_map_release(map);
  lat_tensor_release(voxels);
  return lat_test_oom_finish_array(status, grad);
}

static lat_status capped_body(lat_context *context) {
  lat_array_view point_view = lat_view_2d(points, LAT_DTYPE_F32, N_POINTS, 3);
  lat_array_view batch_view = lat_view_1d(batches, LAT_DTYPE_I32, N_POINTS);
  lat_voxel_grid grid = lat_voxel_grid_cube(0.5);
  lat_capped_opts opts = LAT_CAPPED_OPTS_INIT;
  lat_capped_voxels capped;
  opts.max_points = 2;
  opts.max_voxels = 7;
  grid.batch_indices = &batch_view;
  lat_status status = lat_voxelize_capped(context, &point_view, &point_view, &grid, &opts, &capped);
  if (status == LAT_STATUS_OK) {
    lat_test_oom_record_view(lat_quantization_inverse_rows(capped.quantization));
  } else {
    assert_null(capped.quantization);
  }
  lat_quantization_release(capped.quantization);
  return lat_test_oom_finish_tensor(status, capped.voxels);
}

#define OOM_TEST(body)                                                                                                 \
  static void body##_survives(void **state) {                                                                          \
    (void)state;                                                                                                       \
    lat_test_oom(#body, body);                                                                                         \
  }
OOM_TEST(quantize_body)
OOM_TEST(voxelize_body)
OOM_TEST(linear_body)
OOM_TEST(nearest_body)
OOM_TEST(half_body)
OOM_TEST(quantized_body)
OOM_TEST(map_body)
OOM_TEST(max_gradient_body)
OOM_TEST(map_gradient_body)
OOM_TEST(capped_body)

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(quantize_body_survives),     cmocka_unit_test(voxelize_body_survives),
      cmocka_unit_test(linear_body_survives),       cmocka_unit_test(nearest_body_survives),
      cmocka_unit_test(half_body_survives),         cmocka_unit_test(quantized_body_survives),
      cmocka_unit_test(map_body_survives),          cmocka_unit_test(max_gradient_body_survives),
      cmocka_unit_test(map_gradient_body_survives), cmocka_unit_test(capped_body_survives),
  };
  return cmocka_run_group_tests(tests, fill_inputs, NULL);
}
