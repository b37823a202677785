// Quantized points voxelized again, point-voxel maps and interpolation: worked vectors and every error.
// covers: lat_voxelize_quantized lat_point_map_create lat_point_map_rows lat_point_map_weights lat_point_map_voxel_count
// covers: lat_point_map_retain lat_point_map_release lat_interpolate
// null arguments: lat_voxelize_quantized lat_point_map_create lat_interpolate
#include "support/test_support.h"

#include <math.h>

#include <lattice/lattice.h>

#define N 5

static lat_context *context;
static lat_quantization *quantization; ///< of `points`: voxels 0 0 1 2 3
static lat_coords *lattice;            ///< (0 0 0 0), (0 1 0 0), (0 0 0 0) again, (1 0 0 0)
static lat_point_map *map;             ///< of `points` on `lattice`
static const float points[N][3] = {
    {0.25f, 0.0f, 0.0f}, {0.5f, 0.5f, 0.0f}, {1.0f, 0.0f, 0.0f}, {-0.25f, 0.0f, 0.0f}, {0.0f, 2.0f, 0.0f}};
static const float features[N][2] = {{1, 10}, {3, 30}, {5, 50}, {7, 70}, {9, 90}};
static lat_array_view point_view, feature_view;
static lat_voxel_grid grid;

static int set_up(void **state) {
  (void)state;
  static const int32_t rows[4][4] = {{0, 0, 0, 0}, {0, 1, 0, 0}, {0, 0, 0, 0}, {1, 0, 0, 0}};
  lat_array_view row_view = lat_view_2d(rows, LAT_DTYPE_I32, 4, 4);
  point_view = lat_view_2d(points, LAT_DTYPE_F32, N, 3);
  feature_view = lat_view_2d(features, LAT_DTYPE_F32, N, 2);
  grid = lat_voxel_grid_cube(1.0);
  if (lat_context_create(NULL, &context)) return 1;
  if (lat_sparse_quantize(context, &point_view, &grid, &quantization)) return 1;
  if (lat_coords_create(context, &row_view, NULL, &lattice)) return 1;
  return lat_point_map_create(context, &point_view, lattice, &grid, LAT_INTERPOLATION_LINEAR, &map);
}

static int tear_down(void **state) {
  (void)state;
  lat_point_map_release(map);
  lat_coords_release(lattice);
  lat_quantization_release(quantization);
  lat_context_destroy(context);
  return 0;
}

static void voxelize_again_gives_the_bits_of_voxelize(void **state) {
  (void)state;
  for (int sum = 0; sum < 2; sum++) {
    lat_voxelize_opts opts = LAT_VOXELIZE_OPTS_INIT;
    lat_tensor *once = NULL, *again = NULL;
    opts.reduction = sum ? LAT_VOXEL_SUM : LAT_VOXEL_MEAN;
    lat_test_assert_ok(lat_voxelize(context, &point_view, &feature_view, &grid, opts.reduction, &once));
    lat_test_assert_ok(lat_voxelize_quantized(context, quantization, &feature_view, sum ? &opts : NULL, &again));
    assert_int_equal(lat_tensor_count(again), 4);
    assert_memory_equal(lat_tensor_feats(again).data, lat_tensor_feats(once).data, 8 * sizeof(float));
    assert_memory_equal(lat_coords_rows(lat_tensor_coords(again)).data, lat_coords_rows(lat_tensor_coords(once)).data,
                        16 * sizeof(int32_t));
    assert_ptr_equal(lat_tensor_coords(again), lat_quantization_coords(quantization));
    lat_tensor_release(once);
    lat_tensor_release(again);
  }
}

// The stride is metadata, one set for each stride; a tensor to be like brings its set, stride and batches.
static void stride_and_like_choose_the_set(void **state) {
  (void)state;
  lat_voxelize_opts opts = LAT_VOXELIZE_OPTS_INIT;
  lat_tensor *first = NULL, *second = NULL, *like = NULL;
  lat_tensor_opts batches = LAT_TENSOR_OPTS_INIT;
  const int64_t counts[1] = {4};
  opts.stride = (lat_triple){2, 3, 4};
  lat_test_assert_ok(lat_voxelize_quantized(context, quantization, &feature_view, &opts, &first));
  lat_test_assert_ok(lat_voxelize_quantized(context, quantization, &feature_view, &opts, &second));
  assert_true(lat_tensor_same_coords(first, second));
  assert_int_equal(lat_tensor_stride(first).y, 3);
  assert_memory_equal(lat_coords_rows(lat_tensor_coords(first)).data,
                      lat_coords_rows(lat_quantization_coords(quantization)).data, 16 * sizeof(int32_t));
  lat_tensor_release(second);
  batches.batch_counts = counts;
  batches.n_batches = 1;
  lat_test_assert_ok(
      lat_tensor_share(context, lat_tensor_coords(first), lat_tensor_feats_array(first), &batches, &like));
  opts.stride = lat_triple_all(7);
  opts.like = like;
  lat_test_assert_ok(lat_voxelize_quantized(context, quantization, &feature_view, &opts, &second));
  assert_true(lat_tensor_same_coords(second, like));
  assert_int_equal(lat_tensor_stride(second).z, 4);
  assert_int_equal(lat_tensor_batch_size(second), 1);
  assert_int_equal(lat_tensor_batch_counts(second)[0], 4);
  lat_tensor_release(second);
  lat_tensor_release(like);
  lat_tensor_release(first);
}

static void refuse_voxelize(const lat_array_view *feats, const lat_voxelize_opts *opts, lat_status expected,
                            const char *fragment) {
  lat_tensor *out = (lat_tensor *)map;
  lat_test_assert_error(lat_voxelize_quantized(context, quantization, feats, opts, &out), expected, fragment);
  assert_null(out);
}

static void bad_arguments_of_voxelize_quantized_are_refused(void **state) {
  (void)state;
  lat_voxelize_opts opts = LAT_VOXELIZE_OPTS_INIT;
  lat_tensor *out = (lat_tensor *)map, *stranger = NULL;
  lat_test_assert_error(lat_voxelize_quantized(NULL, quantization, &feature_view, NULL, &out),
                        LAT_STATUS_INVALID_ARGUMENT, "voxelize_quantized: context: got NULL");
  assert_null(out);
  out = (lat_tensor *)map;
  lat_test_assert_error(lat_voxelize_quantized(context, NULL, &feature_view, NULL, &out), LAT_STATUS_INVALID_ARGUMENT,
                        "voxelize_quantized: quantization: got NULL");
  assert_null(out);
  lat_test_assert_error(lat_voxelize_quantized(context, quantization, &feature_view, NULL, NULL),
                        LAT_STATUS_INVALID_ARGUMENT, "voxelize_quantized: out: got NULL");
  refuse_voxelize(NULL, NULL, LAT_STATUS_INVALID_ARGUMENT, "features: got NULL");
  lat_array_view bad = lat_view_2d(features, LAT_DTYPE_F32, 4, 2);
  refuse_voxelize(&bad, NULL, LAT_STATUS_INVALID_SHAPE,
                  "points and features must have matching rows: got features of shape (4, 2), expected (5, C)");
  bad = lat_view_1d(features, LAT_DTYPE_F32, 5);
  refuse_voxelize(&bad, NULL, LAT_STATUS_INVALID_SHAPE, "matching rows");
  bad = lat_view_2d(features, LAT_DTYPE_I32, 5, 2);
  refuse_voxelize(&bad, NULL, LAT_STATUS_INVALID_DTYPE, "features dtype: got int32");
  opts.reduction = (lat_voxel_reduction)9;
  refuse_voxelize(&feature_view, &opts, LAT_STATUS_INVALID_ARGUMENT, "reduction: got 9");
  opts.reduction = LAT_VOXEL_MEAN;
  opts.stride = (lat_triple){1, 0, 1};
  refuse_voxelize(&feature_view, &opts, LAT_STATUS_INVALID_ARGUMENT, "stride must be positive: got (1, 0, 1)");
  opts.stride = (lat_triple){1, 1, -2};
  refuse_voxelize(&feature_view, &opts, LAT_STATUS_INVALID_ARGUMENT, "stride must be positive");
  lat_test_assert_ok(lat_voxelize(context, &point_view, &feature_view, &grid, LAT_VOXEL_MEAN, &stranger));
  opts.like = stranger; // equal values, another set
  refuse_voxelize(&feature_view, &opts, LAT_STATUS_INVALID_ARGUMENT,
                  "like must be built on the coordinates of the quantization");
  lat_tensor_release(stranger);
  opts = (lat_voxelize_opts){.struct_bytes = 3};
  refuse_voxelize(&feature_view, &opts, LAT_STATUS_INVALID_ARGUMENT, "struct_bytes");
}

static void assert_map(const lat_point_map *made, const int32_t (*rows)[8], const float (*weights)[8]) {
  lat_array_view r = lat_point_map_rows(made), w = lat_point_map_weights(made);
  assert_int_equal(r.dtype, LAT_DTYPE_I32);
  assert_int_equal(w.dtype, LAT_DTYPE_F32);
  for (int i = 0; i < 2; i++) {
    assert_int_equal((i ? w : r).rank, 2);
    assert_int_equal((i ? w : r).shape[0], N);
    assert_int_equal((i ? w : r).shape[1], 8);
  }
  assert_memory_equal(r.data, rows, N * 8 * sizeof(int32_t));
  assert_memory_equal(w.data, weights, N * 8 * sizeof(float));
}

static void maps_of_the_worked_points(void **state) {
  (void)state;
  static const int32_t linear_rows[N][8] = {{0, 1, -1, -1, -1, -1, -1, -1},
                                            {0, 1, -1, -1, -1, -1, -1, -1},
                                            {1, -1, -1, -1, -1, -1, -1, -1},
                                            {-1, 0, -1, -1, -1, -1, -1, -1},
                                            {-1, -1, -1, -1, -1, -1, -1, -1}};
  static const float linear_weights[N][8] = {{0.75f, 0.25f}, {0.25f, 0.25f}, {1.0f}, {0.0f, 0.75f}, {0.0f}};
  static const int32_t nearest_rows[N][8] = {{0, -1, -1, -1, -1, -1, -1, -1},
                                             {-1, -1, -1, -1, -1, -1, -1, -1},
                                             {1, -1, -1, -1, -1, -1, -1, -1},
                                             {0, -1, -1, -1, -1, -1, -1, -1},
                                             {-1, -1, -1, -1, -1, -1, -1, -1}};
  static const float nearest_weights[N][8] = {{1.0f}, {0.0f}, {1.0f}, {1.0f}, {0.0f}};
  lat_point_map *nearest = NULL;
  assert_map(map, linear_rows, linear_weights);
  lat_test_assert_ok(lat_point_map_create(context, &point_view, lattice, &grid, LAT_INTERPOLATION_NEAREST, &nearest));
  assert_map(nearest, nearest_rows, nearest_weights);
  assert_int_equal(lat_point_map_voxel_count(nearest), 4);
  assert_ptr_equal(lat_point_map_retain(nearest), nearest);
  lat_point_map_release(nearest);
  lat_point_map_release(nearest);
  lat_point_map_release(NULL);
  assert_null(lat_point_map_retain(NULL));
}

static void interpolate_reads_through_the_map(void **state) {
  (void)state;
  const float voxels[2][4] = {{8, 16, 1000, 1000}, {80, 160, 1000, 1000}}; // by channel
  const float expected[N][2] = {{10, 100}, {6, 60}, {16, 160}, {6, 60}, {0, 0}};
  lat_array_view x = lat_view_2d(voxels, LAT_DTYPE_F32, 4, 2);
  x.stride[0] = 1;
  x.stride[1] = 4;
  lat_array *y = NULL;
  lat_test_assert_ok(lat_interpolate(context, &x, map, &y));
  assert_int_equal(lat_array_as_view(y).shape[0], N);
  assert_int_equal(lat_array_as_view(y).shape[1], 2);
  assert_memory_equal(lat_array_as_view(y).data, expected, sizeof expected);
  lat_array_release(y);
}

static void empty_maps_work(void **state) {
  (void)state;
  lat_array_view none = lat_view_2d(NULL, LAT_DTYPE_F64, 0, 3), no_rows = lat_view_2d(NULL, LAT_DTYPE_I32, 0, 4);
  lat_array_view no_feats = lat_view_2d(NULL, LAT_DTYPE_BF16, 0, 3);
  lat_coords *empty = NULL;
  lat_test_assert_ok(lat_coords_create(context, &no_rows, NULL, &empty));
  for (int points_too = 0; points_too < 2; points_too++) {
    lat_point_map *made = NULL;
    lat_array *y = NULL;
    lat_test_assert_ok(
        lat_point_map_create(context, points_too ? &none : &point_view, empty, &grid, LAT_INTERPOLATION_LINEAR, &made));
    assert_int_equal(lat_point_map_rows(made).shape[0], points_too ? 0 : N);
    lat_test_assert_ok(lat_interpolate(context, &no_feats, made, &y));
    for (int i = 0; i < (points_too ? 0 : 3 * N); i++) assert_int_equal(((uint16_t *)lat_array_data(y))[i], 0);
    lat_array_release(y);
    lat_point_map_release(made);
  }
  lat_coords_release(empty);
}

static void refuse_map(const lat_array_view *p, const lat_coords *coords, const lat_voxel_grid *g, int interpolation,
                       lat_status expected, const char *fragment) {
  lat_point_map *out = map;
  lat_test_assert_error(lat_point_map_create(context, p, coords, g, (lat_interpolation)interpolation, &out), expected,
                        fragment);
  assert_null(out);
}

static void bad_arguments_of_maps_are_refused(void **state) {
  (void)state;
  const float nan_point[3] = {0.0f, NAN, 0.0f};
  const double far_point[3] = {0.0, 0.0, 3e9};
  lat_point_map *out = map;
  lat_voxel_grid bad_grid = lat_voxel_grid_cube(0.0);
  lat_test_assert_error(lat_point_map_create(NULL, &point_view, lattice, &grid, LAT_INTERPOLATION_LINEAR, &out),
                        LAT_STATUS_INVALID_ARGUMENT, "point_map_create: context: got NULL");
  assert_null(out);
  lat_test_assert_error(lat_point_map_create(context, &point_view, lattice, &grid, LAT_INTERPOLATION_LINEAR, NULL),
                        LAT_STATUS_INVALID_ARGUMENT, "point_map_create: out: got NULL");
  refuse_map(NULL, lattice, &grid, 0, LAT_STATUS_INVALID_ARGUMENT, "point_map_create: points: got NULL");
  refuse_map(&point_view, NULL, &grid, 0, LAT_STATUS_INVALID_ARGUMENT, "point_map_create: coords: got NULL");
  refuse_map(&point_view, lattice, NULL, 0, LAT_STATUS_INVALID_ARGUMENT, "point_map_create: grid: got NULL");
  refuse_map(&point_view, lattice, &grid, 2, LAT_STATUS_INVALID_ARGUMENT, "interpolation: got 2");
  refuse_map(&point_view, lattice, &bad_grid, 0, LAT_STATUS_INVALID_ARGUMENT, "voxel_size must be positive");
  refuse_map(&feature_view, lattice, &grid, 0, LAT_STATUS_INVALID_SHAPE, "points must have shape (N, 3)");
  lat_array_view bad = lat_view_2d(nan_point, LAT_DTYPE_F32, 1, 3);
  refuse_map(&bad, lattice, &grid, 0, LAT_STATUS_INVALID_ARGUMENT, "points must be finite");
  refuse_map(&bad, lattice, &grid, 1, LAT_STATUS_INVALID_ARGUMENT, "points must be finite");
  bad = lat_view_2d(far_point, LAT_DTYPE_F64, 1, 3);
  refuse_map(&bad, lattice, &grid, 0, LAT_STATUS_OVERFLOW, "voxel leaves int32");
  bad = lat_view_2d(points, LAT_DTYPE_F16, 1, 3);
  refuse_map(&bad, lattice, &grid, 0, LAT_STATUS_INVALID_DTYPE, "points must be float32 or float64");
}

static void refuse_interpolate(const lat_array_view *x, lat_status expected, const char *fragment) {
  lat_array *out = (lat_array *)map;
  lat_test_assert_error(lat_interpolate(context, x, map, &out), expected, fragment);
  assert_null(out);
}

static void bad_arguments_of_interpolate_are_refused(void **state) {
  (void)state;
  lat_array_view x = lat_view_2d(features, LAT_DTYPE_F32, 4, 2);
  lat_array *out = (lat_array *)map;
  lat_test_assert_error(lat_interpolate(NULL, &x, map, &out), LAT_STATUS_INVALID_ARGUMENT,
                        "interpolate: context: got NULL");
  assert_null(out);
  out = (lat_array *)map;
  lat_test_assert_error(lat_interpolate(context, &x, NULL, &out), LAT_STATUS_INVALID_ARGUMENT,
                        "interpolate: map: got NULL");
  assert_null(out);
  lat_test_assert_error(lat_interpolate(context, &x, map, NULL), LAT_STATUS_INVALID_ARGUMENT,
                        "interpolate: out: got NULL");
  refuse_interpolate(NULL, LAT_STATUS_INVALID_ARGUMENT, "interpolate: features: got NULL");
  x = lat_view_2d(features, LAT_DTYPE_F32, 5, 2);
  refuse_interpolate(&x, LAT_STATUS_INVALID_SHAPE,
                     "features must have one row for each voxel of the map: got shape (5, 2), expected (4, C)");
  x = lat_view_1d(features, LAT_DTYPE_F32, 4);
  refuse_interpolate(&x, LAT_STATUS_INVALID_SHAPE, "one row for each voxel");
  x = lat_view_2d(features, LAT_DTYPE_F64, 4, 1);
  refuse_interpolate(&x, LAT_STATUS_INVALID_DTYPE, "features dtype: got float64");
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(voxelize_again_gives_the_bits_of_voxelize),
      cmocka_unit_test(stride_and_like_choose_the_set),
      cmocka_unit_test(bad_arguments_of_voxelize_quantized_are_refused),
      cmocka_unit_test(maps_of_the_worked_points),
      cmocka_unit_test(interpolate_reads_through_the_map),
      cmocka_unit_test(empty_maps_work),
      cmocka_unit_test(bad_arguments_of_maps_are_refused),
      cmocka_unit_test(bad_arguments_of_interpolate_are_refused),
  };
  return cmocka_run_group_tests(tests, set_up, tear_down);
}
