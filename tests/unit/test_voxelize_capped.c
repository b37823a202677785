// The capped voxelizer: a worked vector, the use of what it gives, and every error.
// covers: lat_voxelize_capped lat_voxelize_quantized lat_voxelize_backward
// null arguments: lat_voxelize_capped
#include "support/test_support.h"

#include <math.h>

#include <lattice/lattice.h>

#define N 8

static lat_context *context;
static const float points[N][3] = {{0.5f, 0.0f, 0.0f}, {0.5f, 0.5f, 0.0f}, {1.5f, 0.0f, 0.0f}, {2.5f, 0.0f, 0.0f},
                                   {0.0f, 0.0f, 0.5f}, {1.0f, 0.0f, 0.0f}, {2.0f, 0.0f, 0.0f}, {0.0f, 0.0f, 0.0f}};
static const int32_t batches[N] = {-3, -3, -3, -3, -3, -3, -3, 7};
static const float features[N][1] = {{1}, {3}, {10}, {100}, {50}, {20}, {200}, {1000}};
static lat_array_view point_view, feature_view, batch_view;
static lat_voxel_grid grid;

static int set_up(void **state) {
  (void)state;
  point_view = lat_view_2d(points, LAT_DTYPE_F32, N, 3);
  feature_view = lat_view_2d(features, LAT_DTYPE_F32, N, 1);
  batch_view = lat_view_1d(batches, LAT_DTYPE_I32, N);
  grid = lat_voxel_grid_cube(1.0);
  grid.batch_indices = &batch_view;
  return lat_context_create(NULL, &context);
}

static int tear_down(void **state) {
  (void)state;
  lat_context_destroy(context);
  return 0;
}

static void release(lat_capped_voxels *capped) {
  lat_tensor_release(capped->voxels);
  lat_quantization_release(capped->quantization);
}

// Item -3 keeps voxels 0 and 1 of its three; voxel 0 keeps two of its three points; item 7 has room of its own, and
// point 5 counts though its item is full.
static void worked_vector(void **state) {
  (void)state;
  static const int32_t rows[3][4] = {{-3, 0, 0, 0}, {-3, 1, 0, 0}, {7, 0, 0, 0}};
  static const int32_t inverse[N] = {0, 0, 1, -1, -1, 1, -1, 2}, counts[3] = {2, 2, 1};
  static const float means[3] = {2, 15, 1000}, sums[3] = {4, 30, 1000}, largest[3] = {3, 20, 1000};
  static const float ones[3] = {1, 1, 1}, gradient[N] = {0.5f, 0.5f, 0.5f, 0, 0, 0.5f, 0, 1};
  static const float max_gradient[N] = {0, 1, 0, 0, 0, 1, 0, 1};
  lat_array_view one_view = lat_view_2d(ones, LAT_DTYPE_F32, 3, 1);
  lat_capped_opts opts = LAT_CAPPED_OPTS_INIT;
  lat_voxelize_opts reduce = LAT_VOXELIZE_OPTS_INIT;
  lat_capped_voxels capped;
  lat_tensor *again = NULL;
  lat_array *back = NULL;
  opts.max_points = 2;
  opts.max_voxels = 2;
  lat_test_assert_ok(lat_voxelize_capped(context, &point_view, &feature_view, &grid, &opts, &capped));
  assert_int_equal(lat_tensor_count(capped.voxels), 3);
  assert_ptr_equal(lat_tensor_coords(capped.voxels), lat_quantization_coords(capped.quantization));
  assert_memory_equal(lat_coords_rows(lat_tensor_coords(capped.voxels)).data, rows, sizeof rows);
  assert_memory_equal(lat_tensor_feats(capped.voxels).data, means, sizeof means);
  assert_memory_equal(lat_quantization_inverse_rows(capped.quantization).data, inverse, sizeof inverse);
  assert_memory_equal(lat_quantization_counts(capped.quantization).data, counts, sizeof counts);
  assert_int_equal(capped.n_points_over, 1);
  assert_int_equal(capped.n_points_outside, 2);
  assert_int_equal(capped.n_voxels_dropped, 1);
  for (int max = 0; max < 2; max++) {
    reduce.reduction = max ? LAT_VOXEL_MAX : LAT_VOXEL_SUM;
    lat_test_assert_ok(lat_voxelize_quantized(context, capped.quantization, &feature_view, &reduce, &again));
    assert_memory_equal(lat_tensor_feats(again).data, max ? largest : sums, sizeof sums);
    lat_tensor_release(again);
    reduce.reduction = max ? LAT_VOXEL_MAX : LAT_VOXEL_MEAN;
    lat_test_assert_ok(lat_voxelize_backward(context, capped.quantization, &feature_view, &one_view, &reduce, &back));
    assert_memory_equal(lat_array_data(back), max ? max_gradient : gradient, sizeof gradient);
    lat_array_release(back);
  }
  release(&capped);
}

static void without_limits_it_is_voxelize(void **state) {
  (void)state;
  lat_capped_voxels capped;
  lat_tensor *voxels = NULL;
  lat_test_assert_ok(lat_voxelize(context, &point_view, &feature_view, &grid, LAT_VOXEL_MEAN, &voxels));
  lat_test_assert_ok(lat_voxelize_capped(context, &point_view, &feature_view, &grid, NULL, &capped));
  assert_int_equal(lat_tensor_count(capped.voxels), 4);
  assert_memory_equal(lat_tensor_feats(capped.voxels).data, lat_tensor_feats(voxels).data, 4 * sizeof(float));
  assert_int_equal(capped.n_points_over + capped.n_points_outside + capped.n_voxels_dropped, 0);
  release(&capped);
  lat_tensor_release(voxels);
}

static void no_points_work(void **state) {
  (void)state;
  lat_array_view none = lat_view_2d(NULL, LAT_DTYPE_F64, 0, 3), no_features = lat_view_2d(NULL, LAT_DTYPE_F16, 0, 2);
  lat_voxel_grid plain = lat_voxel_grid_cube(1.0);
  lat_capped_opts opts = LAT_CAPPED_OPTS_INIT;
  lat_capped_voxels capped;
  opts.max_points = opts.max_voxels = 1;
  lat_test_assert_ok(lat_voxelize_capped(context, &none, &no_features, &plain, &opts, &capped));
  assert_int_equal(lat_tensor_count(capped.voxels), 0);
  assert_int_equal(lat_tensor_channels(capped.voxels), 2);
  release(&capped);
}

static void refuse(const lat_array_view *p, const lat_array_view *x, const lat_voxel_grid *g,
                   const lat_capped_opts *opts, lat_status expected, const char *fragment) {
  lat_capped_voxels out = {(lat_tensor *)context, (lat_quantization *)context, 1, 2, 3};
  lat_test_assert_error(lat_voxelize_capped(context, p, x, g, opts, &out), expected, fragment);
  assert_null(out.voxels);
  assert_null(out.quantization);
  assert_int_equal(out.n_points_over + out.n_points_outside + out.n_voxels_dropped, 0);
}

static void bad_arguments_are_refused(void **state) {
  (void)state;
  const lat_array_view *p = &point_view, *x = &feature_view;
  const float nan_points[N][3] = {{0, 0, 0}, {0, NAN, 0}};
  lat_capped_opts opts = LAT_CAPPED_OPTS_INIT;
  lat_capped_voxels out = {(lat_tensor *)context, (lat_quantization *)context, 1, 2, 3};
  lat_voxel_grid flat = lat_voxel_grid_cube(0.0);
  lat_test_assert_error(lat_voxelize_capped(NULL, p, x, &grid, NULL, &out), LAT_STATUS_INVALID_ARGUMENT,
                        "voxelize_capped: context: got NULL");
  assert_null(out.voxels);
  assert_null(out.quantization);
  lat_test_assert_error(lat_voxelize_capped(context, p, x, &grid, NULL, NULL), LAT_STATUS_INVALID_ARGUMENT,
                        "voxelize_capped: out: got NULL");
  refuse(NULL, x, &grid, NULL, LAT_STATUS_INVALID_ARGUMENT, "voxelize_capped: points: got NULL");
  refuse(p, NULL, &grid, NULL, LAT_STATUS_INVALID_ARGUMENT, "voxelize_capped: features: got NULL");
  refuse(p, x, NULL, NULL, LAT_STATUS_INVALID_ARGUMENT, "voxelize_capped: grid: got NULL");
  refuse(x, x, &grid, NULL, LAT_STATUS_INVALID_SHAPE, "points must have shape (N, 3)");
  refuse(p, x, &flat, NULL, LAT_STATUS_INVALID_ARGUMENT, "voxel_size must be positive");
  lat_array_view bad = lat_view_2d(features, LAT_DTYPE_F32, N - 1, 1);
  refuse(p, &bad, &grid, NULL, LAT_STATUS_INVALID_SHAPE, "points and features must have matching rows");
  bad = lat_view_2d(features, LAT_DTYPE_I32, N, 1);
  refuse(p, &bad, &grid, NULL, LAT_STATUS_INVALID_DTYPE, "features dtype: got int32");
  bad = lat_view_2d(nan_points, LAT_DTYPE_F32, N, 3);
  refuse(&bad, x, &grid, NULL, LAT_STATUS_INVALID_ARGUMENT, "points must be finite: got (0, nan, 0) at point 1");
  opts.max_points = -1;
  refuse(p, x, &grid, &opts, LAT_STATUS_INVALID_ARGUMENT, "max_points must be non-negative: got -1");
  opts.max_points = 0;
  opts.max_voxels = -5;
  refuse(p, x, &grid, &opts, LAT_STATUS_INVALID_ARGUMENT, "max_voxels must be non-negative: got -5");
  opts.struct_bytes = 2;
  refuse(p, x, &grid, &opts, LAT_STATUS_INVALID_ARGUMENT, "struct_bytes");
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(worked_vector),
      cmocka_unit_test(without_limits_it_is_voxelize),
      cmocka_unit_test(no_points_work),
      cmocka_unit_test(bad_arguments_are_refused),
  };
  return cmocka_run_group_tests(tests, set_up, tear_down);
}
