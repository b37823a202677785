// Points and voxels: worked vectors, boundaries of the lattice, and every error with its status and text.
// covers: lat_sparse_quantize lat_quantization_coords lat_quantization_inverse_rows lat_quantization_counts
// covers: lat_quantization_retain lat_quantization_release lat_voxelize lat_devoxelize
#include "support/test_support.h"

#include <float.h>
#include <math.h>
#include <string.h>

#include <lattice/lattice.h>

static lat_context *context;

static int set_up(void **state) {
  (void)state;
  return lat_context_create(NULL, &context);
}

static int tear_down(void **state) {
  (void)state;
  lat_context_destroy(context);
  return 0;
}

static void assert_rows(const lat_coords *coords, const int32_t (*expected)[4], int64_t n) {
  lat_array_view view = lat_coords_rows(coords);
  assert_int_equal(view.shape[0], n);
  if (n > 0) assert_memory_equal(view.data, expected, (size_t)n * sizeof *expected);
}

static void assert_ints(lat_array_view view, const int32_t *expected, int64_t n) {
  assert_int_equal(view.dtype, LAT_DTYPE_I32);
  assert_int_equal(view.rank, 1);
  assert_int_equal(view.shape[0], n);
  if (n > 0) assert_memory_equal(view.data, expected, (size_t)n * sizeof *expected);
}

static const float five_points[5][3] = {
    {0.2f, 0.2f, 0.2f}, {0.8f, 0.8f, 0.8f}, {1.2f, 0.2f, 0.2f}, {-0.1f, 0.2f, 0.2f}, {0.0f, 2.1f, 0.0f}};
static const int32_t five_batches[5] = {0, 0, 0, 0, 1};
static const int32_t five_voxels[4][4] = {{0, 0, 0, 0}, {0, 1, 0, 0}, {0, -1, 0, 0}, {1, 0, 2, 0}};
static const int32_t five_inverse[5] = {0, 0, 1, 2, 3};
static const int32_t five_counts[4] = {2, 1, 1, 1};

static void quantize_worked_vector(void **state) {
  (void)state;
  lat_array_view points = lat_view_2d(five_points, LAT_DTYPE_F32, 5, 3);
  lat_array_view batches = lat_view_1d(five_batches, LAT_DTYPE_I32, 5);
  lat_voxel_grid grid = lat_voxel_grid_cube(1.0);
  lat_quantization *quantization = NULL;
  grid.batch_indices = &batches;
  lat_test_assert_ok(lat_sparse_quantize(context, &points, &grid, &quantization));
  assert_rows(lat_quantization_coords(quantization), five_voxels, 4);
  assert_ints(lat_quantization_inverse_rows(quantization), five_inverse, 5);
  assert_ints(lat_quantization_counts(quantization), five_counts, 4);
  lat_triple stride = lat_coords_stride(lat_quantization_coords(quantization));
  assert_true(stride.x == 1 && stride.y == 1 && stride.z == 1);
  assert_ptr_equal(lat_quantization_retain(quantization), quantization);
  lat_quantization_release(quantization);
  lat_quantization_release(quantization);
  lat_quantization_release(NULL);
  assert_null(lat_quantization_retain(NULL));
}

static void voxelize_means_and_sums(void **state) {
  (void)state;
  const float features[5][2] = {{1, 10}, {3, 30}, {5, 50}, {7, 70}, {9, 90}};
  const float means[4][2] = {{2, 20}, {5, 50}, {7, 70}, {9, 90}};
  const float sums[4][2] = {{4, 40}, {5, 50}, {7, 70}, {9, 90}};
  lat_array_view points = lat_view_2d(five_points, LAT_DTYPE_F32, 5, 3);
  lat_array_view x = lat_view_2d(features, LAT_DTYPE_F32, 5, 2);
  lat_array_view batches = lat_view_1d(five_batches, LAT_DTYPE_I32, 5);
  lat_voxel_grid grid = lat_voxel_grid_cube(1.0);
  grid.batch_indices = &batches;
  for (int sum = 0; sum < 2; sum++) {
    lat_tensor *voxels = NULL;
    lat_test_assert_ok(lat_voxelize(context, &points, &x, &grid, sum ? LAT_VOXEL_SUM : LAT_VOXEL_MEAN, &voxels));
    assert_rows(lat_tensor_coords(voxels), five_voxels, 4);
    assert_memory_equal(lat_tensor_feats(voxels).data, sum ? sums : means, sizeof means);
    assert_int_equal(lat_tensor_batch_size(voxels), -1);
    assert_null(lat_tensor_batch_counts(voxels));
    lat_tensor_release(voxels);
  }
}

// The walk of the quickstart: three points, voxels of 0.1.
static void quickstart_walk(void **state) {
  (void)state;
  const float points[3][3] = {{0.05f, 0.05f, 0.05f}, {0.12f, 0.08f, 0.05f}, {1.10f, 0.95f, 0.80f}};
  const int32_t expected[3][4] = {{0, 0, 0, 0}, {0, 1, 0, 0}, {0, 11, 9, 8}};
  float ones[3][8];
  for (int i = 0; i < 24; i++) ones[i / 8][i % 8] = 1.0f;
  lat_array_view p = lat_view_2d(points, LAT_DTYPE_F32, 3, 3);
  lat_array_view x = lat_view_2d(ones, LAT_DTYPE_F32, 3, 8);
  lat_voxel_grid grid = lat_voxel_grid_cube(0.1);
  lat_tensor *voxels = NULL;
  lat_array *again = NULL;
  lat_test_assert_ok(lat_voxelize(context, &p, &x, &grid, LAT_VOXEL_MEAN, &voxels));
  assert_rows(lat_tensor_coords(voxels), expected, 3);
  assert_memory_equal(lat_tensor_feats(voxels).data, ones, sizeof ones);
  lat_test_assert_ok(lat_devoxelize(context, &p, voxels, &grid, LAT_INTERPOLATION_LINEAR, &again));
  lat_array_view view = lat_array_as_view(again);
  assert_int_equal(view.shape[0], 3);
  assert_int_equal(view.shape[1], 8);
  // The first point is half way on every axis: voxels (0,0,0) and (1,0,0) of its eight corners exist.
  assert_float_equal(((const float *)view.data)[0], 0.25f, 1e-6f);
  // (1.2, 0.8, 0.5): only (1,0,0) exists, weight 0.8 * 0.2 * 0.5.
  assert_float_equal(((const float *)view.data)[8], 0.08f, 1e-6f);
  lat_array_release(again);
  lat_tensor_release(voxels);
}

static lat_tensor *make_voxels(const int32_t (*rows)[4], const float *feats, int64_t n, int64_t channels) {
  lat_array_view row_view = lat_view_2d(rows, LAT_DTYPE_I32, n, 4);
  lat_array_view feat_view = lat_view_2d(feats, LAT_DTYPE_F32, n, channels);
  lat_coords *coords = NULL;
  lat_tensor *voxels = NULL;
  lat_test_assert_ok(lat_coords_create(context, &row_view, NULL, &coords));
  lat_test_assert_ok(lat_tensor_create(context, coords, &feat_view, NULL, &voxels));
  lat_coords_release(coords);
  return voxels;
}

// Reads `voxels` at one float64 point with voxels of size 1.
static float read_one(const lat_tensor *voxels, double x, double y, double z, lat_interpolation interpolation) {
  const double point[3] = {x, y, z};
  lat_array_view view = lat_view_2d(point, LAT_DTYPE_F64, 1, 3);
  lat_voxel_grid grid = lat_voxel_grid_cube(1.0);
  lat_array *result = NULL;
  lat_test_assert_ok(lat_devoxelize(context, &view, voxels, &grid, interpolation, &result));
  float value = *(const float *)lat_array_as_view(result).data;
  lat_array_release(result);
  return value;
}

static void linear_weights_belong_to_their_corners(void **state) {
  (void)state;
  const int32_t rows[8][4] = {{0, 4, 5, 6}, {0, 5, 5, 6}, {0, 4, 6, 6}, {0, 5, 6, 6},
                              {0, 4, 5, 7}, {0, 5, 5, 7}, {0, 4, 6, 7}, {0, 5, 6, 7}};
  for (int corner = 0; corner < 8; corner++) {
    float feats[8] = {0};
    feats[corner] = 64.0f;
    lat_tensor *voxels = make_voxels(rows, feats, 8, 1);
    double wx = corner & 1 ? 0.25 : 0.75, wy = corner & 2 ? 0.5 : 0.5, wz = corner & 4 ? 0.125 : 0.875;
    float value = read_one(voxels, 4.25, 5.5, 6.125, LAT_INTERPOLATION_LINEAR);
    assert_true(value == (float)(64.0 * wx * wy * wz));
    lat_tensor_release(voxels);
  }
}

static void nearest_rounds_half_up(void **state) {
  (void)state;
  const int32_t rows[3][4] = {{0, 0, 0, 0}, {0, 1, 0, 0}, {0, -1, 0, 0}};
  const float feats[3] = {10.0f, 20.0f, 30.0f};
  lat_tensor *voxels = make_voxels(rows, feats, 3, 1);
  assert_true(read_one(voxels, 0.9, 0.0, 0.0, LAT_INTERPOLATION_NEAREST) == 20.0f);
  assert_true(read_one(voxels, 0.5, 0.0, 0.0, LAT_INTERPOLATION_NEAREST) == 20.0f);
  assert_true(read_one(voxels, 0.4999, 0.0, 0.0, LAT_INTERPOLATION_NEAREST) == 10.0f);
  assert_true(read_one(voxels, -0.5, 0.0, 0.0, LAT_INTERPOLATION_NEAREST) == 10.0f);
  assert_true(read_one(voxels, -0.51, 0.0, 0.0, LAT_INTERPOLATION_NEAREST) == 30.0f);
  assert_true(read_one(voxels, 7.0, 0.0, 0.0, LAT_INTERPOLATION_NEAREST) == 0.0f);
  lat_tensor_release(voxels);
}

// A missing voxel counts as zero and the rest is not scaled up; another batch item is missing too.
static void missing_voxels_are_dropped(void **state) {
  (void)state;
  const int32_t rows[2][4] = {{0, 0, 0, 0}, {1, 1, 0, 0}};
  const float feats[2] = {8.0f, INFINITY};
  lat_tensor *voxels = make_voxels(rows, feats, 2, 1);
  assert_true(read_one(voxels, 0.5, 0.0, 0.0, LAT_INTERPOLATION_LINEAR) == 4.0f);
  assert_true(read_one(voxels, 0.0, 0.0, 0.0, LAT_INTERPOLATION_LINEAR) == 8.0f);
  assert_true(read_one(voxels, -3.5, 0.0, 0.0, LAT_INTERPOLATION_LINEAR) == 0.0f);
  lat_tensor_release(voxels);
}

static void duplicated_voxels_are_read_once(void **state) {
  (void)state;
  const int32_t rows[2][4] = {{0, 0, 0, 0}, {0, 0, 0, 0}};
  const float feats[2] = {8.0f, 100.0f};
  lat_tensor *voxels = make_voxels(rows, feats, 2, 1);
  assert_true(read_one(voxels, 0.0, 0.0, 0.0, LAT_INTERPOLATION_LINEAR) == 8.0f);
  assert_true(read_one(voxels, 0.0, 0.0, 0.0, LAT_INTERPOLATION_NEAREST) == 8.0f);
  lat_tensor_release(voxels);
}

static void the_whole_int32_range_is_legal(void **state) {
  (void)state;
  const double points[4][3] = {{-2147483648.0, 2147483647.0, 0.0},
                               {2147483647.9, -2147483647.5, -1e-300},
                               {2147483647.0, -2147483648.0, -0.0},
                               {nextafter(2147483648.0, 0.0), -2147483648.0, nextafter(1.0, 0.0)}};
  const int32_t expected[3][4] = {
      {0, INT32_MIN, INT32_MAX, 0}, {0, INT32_MAX, INT32_MIN, -1}, {0, INT32_MAX, INT32_MIN, 0}};
  const int32_t inverse[4] = {0, 1, 2, 2};
  lat_array_view view = lat_view_2d(points, LAT_DTYPE_F64, 4, 3);
  lat_voxel_grid grid = lat_voxel_grid_cube(1.0);
  lat_quantization *quantization = NULL;
  lat_test_assert_ok(lat_sparse_quantize(context, &view, &grid, &quantization));
  assert_rows(lat_quantization_coords(quantization), expected, 3);
  assert_ints(lat_quantization_inverse_rows(quantization), inverse, 4);
  lat_quantization_release(quantization);
}

// float32 points reach the ends of int32 only through the origin: their own spacing would be too coarse.
static void float32_points_reach_the_ends_through_the_origin(void **state) {
  (void)state;
  const float points[2][3] = {{0.0f, 1.0f, 0.0f}, {0.0f, 0.0f, 0.0f}};
  const int32_t expected[1][4] = {{0, INT32_MIN, 0, 0}};
  lat_array_view view = lat_view_2d(points, LAT_DTYPE_F32, 1, 3);
  lat_voxel_grid grid = {{1.0, 1.0, 1.0}, {2147483648.0, 1.0, 0.0}, NULL};
  lat_quantization *quantization = NULL;
  lat_test_assert_ok(lat_sparse_quantize(context, &view, &grid, &quantization));
  assert_rows(lat_quantization_coords(quantization), expected, 1);
  lat_quantization_release(quantization);
  grid.origin[0] = -2147483648.0;
  lat_test_assert_error(lat_sparse_quantize(context, &view, &grid, &quantization), LAT_STATUS_OVERFLOW,
                        "voxel leaves int32: got 2147483648 at point 0");
  assert_null(quantization);
}

// Corner x + 1 of the last cell would be 2^31: missing, not wrapped to INT32_MIN and not the cell itself.
static void corners_beyond_int32_are_missing(void **state) {
  (void)state;
  const int32_t rows[2][4] = {{0, INT32_MAX, 0, 0}, {0, INT32_MIN, 0, 0}};
  const float feats[2] = {8.0f, 100.0f};
  lat_tensor *voxels = make_voxels(rows, feats, 2, 1);
  assert_true(read_one(voxels, 2147483647.25, 0.0, 0.0, LAT_INTERPOLATION_LINEAR) == 6.0f);
  assert_true(read_one(voxels, 2147483647.25, 0.0, 0.0, LAT_INTERPOLATION_NEAREST) == 8.0f);
  lat_tensor_release(voxels);
}

// The division is a float32 division, not a product with the reciprocal and not a double one.
static void borders_follow_float32_division(void **state) {
  (void)state;
  float points[2000][3];
  int n_differ = 0;
  lat_voxel_grid grid = lat_voxel_grid_cube(0.1);
  lat_array_view view = lat_view_2d(points, LAT_DTYPE_F32, 2000, 3);
  lat_quantization *quantization = NULL;
  for (int i = 0; i < 2000; i++) {
    points[i][0] = (float)i * 0.1f; // near the border of voxel i
    points[i][1] = (float)(0.1 * i);
    points[i][2] = -(float)(0.1 * i);
  }
  lat_test_assert_ok(lat_sparse_quantize(context, &view, &grid, &quantization));
  const int32_t *rows = lat_coords_rows(lat_quantization_coords(quantization)).data;
  const int32_t *inverse = lat_quantization_inverse_rows(quantization).data;
  for (int i = 0; i < 2000; i++) {
    for (int axis = 0; axis < 3; axis++) {
      float quotient = points[i][axis] / 0.1f;
      assert_int_equal(rows[4 * inverse[i] + 1 + axis], (int32_t)floorf(quotient));
      n_differ += floor((double)points[i][axis] / 0.1) != (double)floorf(quotient);
    }
  }
  assert_true(n_differ > 100); // the points are where the two arithmetics part
  lat_quantization_release(quantization);
}

// UTM northing in float64 with voxels of 5 cm: every voxel index is known in integers.
static void large_coordinates_need_float64(void **state) {
  (void)state;
  double points[400][3];
  float narrow[400][3];
  lat_voxel_grid grid = lat_voxel_grid_cube(0.05);
  lat_quantization *quantization = NULL;
  for (int i = 0; i < 400; i++) {
    const double p[3] = {512700.0 + 0.05 * i + 0.025, 5403547.5 + 0.05 * i + 0.025, 295.0 + 0.025};
    for (int axis = 0; axis < 3; axis++) {
      points[i][axis] = p[axis];
      narrow[i][axis] = (float)p[axis];
    }
  }
  lat_array_view view = lat_view_2d(points, LAT_DTYPE_F64, 400, 3);
  lat_test_assert_ok(lat_sparse_quantize(context, &view, &grid, &quantization));
  const int32_t *rows = lat_coords_rows(lat_quantization_coords(quantization)).data;
  assert_int_equal(lat_coords_count(lat_quantization_coords(quantization)), 400);
  for (int i = 0; i < 400; i++) {
    const int32_t expected[4] = {0, 10254000 + i, 108070950 + i, 5900};
    assert_memory_equal(rows + 4 * i, expected, sizeof expected);
  }
  lat_quantization_release(quantization);
  view = lat_view_2d(narrow, LAT_DTYPE_F32, 400, 3);
  lat_test_assert_error(lat_sparse_quantize(context, &view, &grid, &quantization), LAT_STATUS_INVALID_ARGUMENT,
                        "use float64 points, or subtract the origin");
  assert_null(quantization);
}

static lat_status quantize_x(float x, double voxel_size) {
  const float point[3] = {x, 0.0f, 0.0f};
  lat_array_view view = lat_view_2d(point, LAT_DTYPE_F32, 1, 3);
  lat_voxel_grid grid = lat_voxel_grid_cube(voxel_size);
  lat_quantization *quantization = NULL;
  lat_status status = lat_sparse_quantize(context, &view, &grid, &quantization);
  assert_true((status == LAT_STATUS_OK) == (quantization != NULL));
  lat_quantization_release(quantization);
  return status;
}

// The spacing of float32 is 2^-3 in [2^20, 2^21): allowed for voxels of 0.5, too coarse for anything smaller.
static void coarse_float32_points_are_refused(void **state) {
  (void)state;
  const float below = nextafterf(2097152.0f, 0.0f);
  lat_test_assert_ok(quantize_x(below, 0.5));
  lat_test_assert_ok(quantize_x(-below, 0.5));
  lat_test_assert_error(quantize_x(2097152.0f, 0.5), LAT_STATUS_INVALID_ARGUMENT,
                        "float32 points are too coarse for the voxel size: got a spacing of 0.25 at point 0 (2097152, "
                        "0, 0), expected at most a quarter of 0.5");
  lat_test_assert_error(quantize_x(-2097152.0f, 0.5), LAT_STATUS_INVALID_ARGUMENT, "too coarse");
  lat_test_assert_error(quantize_x(below, 0.49), LAT_STATUS_INVALID_ARGUMENT, "too coarse");
  lat_test_assert_ok(quantize_x(below, 0.75));
  lat_test_assert_ok(quantize_x(FLT_MAX, 8.2e31)); // spacing 2^104 = 2.03e31: a quarter of 8.1e31
  lat_test_assert_error(quantize_x(FLT_MAX, 8e31), LAT_STATUS_INVALID_ARGUMENT, "a spacing of 2.02824e+31");
}

static void coarse_limit_counts_from_the_spacing(void **state) {
  (void)state;
  lat_test_assert_error(quantize_x(1.0f, 1e-9), LAT_STATUS_INVALID_ARGUMENT, "too coarse");
  lat_test_assert_ok(quantize_x(1e-9f, 1e-9));
  lat_test_assert_error(quantize_x(0.0f, 1e-45), LAT_STATUS_INVALID_ARGUMENT, "too coarse");
  lat_test_assert_ok(quantize_x(0.0f, 0x1p-147));
}

// Calls the three operations with the same points and grid, all of which must fail alike.
static void assert_refused(const lat_array_view *points, const lat_voxel_grid *grid, lat_status expected,
                           const char *fragment) {
  const int32_t rows[1][4] = {{0, 0, 0, 0}};
  const float feats[8] = {1.0f};
  lat_tensor *voxels = make_voxels(rows, feats, 1, 1);
  lat_array_view x = lat_view_2d(feats, LAT_DTYPE_F32, points ? points->shape[0] : 1, 1);
  lat_quantization *quantization = (lat_quantization *)voxels;
  lat_tensor *tensor = voxels;
  lat_array *array = (lat_array *)voxels;
  lat_test_assert_error(lat_sparse_quantize(context, points, grid, &quantization), expected, fragment);
  assert_null(quantization);
  lat_test_assert_error(lat_voxelize(context, points, &x, grid, LAT_VOXEL_MEAN, &tensor), expected, fragment);
  assert_null(tensor);
  lat_test_assert_error(lat_devoxelize(context, points, voxels, grid, LAT_INTERPOLATION_LINEAR, &array), expected,
                        fragment);
  assert_null(array);
  lat_tensor_release(voxels);
}

static void bad_points_are_refused(void **state) {
  (void)state;
  double p[4][3] = {{0}};
  float narrow[4][3] = {{0}};
  const lat_voxel_grid grid = lat_voxel_grid_cube(1.0);
  lat_array_view view = lat_view_2d(p, LAT_DTYPE_F64, 4, 3);
  lat_array_view narrow_view = lat_view_2d(narrow, LAT_DTYPE_F32, 4, 3);
  assert_refused(NULL, &grid, LAT_STATUS_INVALID_ARGUMENT, "points: got NULL");
  p[3][0] = NAN, p[2][1] = NAN;
  assert_refused(&view, &grid, LAT_STATUS_INVALID_ARGUMENT, "points must be finite: got (0, nan, 0) at point 2");
  p[2][1] = -INFINITY;
  assert_refused(&view, &grid, LAT_STATUS_INVALID_ARGUMENT, "points must be finite: got (0, -inf, 0) at point 2");
  narrow[1][2] = NAN;
  assert_refused(&narrow_view, &grid, LAT_STATUS_INVALID_ARGUMENT, "points must be finite: got (0, 0, nan) at point 1");
  p[1][2] = 2147483648.0;
  assert_refused(&view, &grid, LAT_STATUS_OVERFLOW,
                 "voxel leaves int32: got 2147483648 at point 1 (0, 0, 2.14748365e+09)");
  p[1][2] = -2147483648.5;
  assert_refused(&view, &grid, LAT_STATUS_OVERFLOW, "voxel leaves int32: got -2147483649 at point 1");
  p[1][2] = 1e300;
  assert_refused(&view, &grid, LAT_STATUS_OVERFLOW, "at point 1");
  narrow[0][0] = 1e30f;
  assert_refused(&narrow_view, &grid, LAT_STATUS_OVERFLOW, "voxel leaves int32");
}

// Nearest rounds up, so its last legal position is half a voxel earlier.
static void nearest_has_its_own_range(void **state) {
  (void)state;
  const int32_t rows[1][4] = {{0, INT32_MIN, 0, 0}};
  const float feats[1] = {5.0f};
  const double over[3] = {2147483647.5, 0.0, 0.0};
  lat_array_view view = lat_view_2d(over, LAT_DTYPE_F64, 1, 3);
  lat_voxel_grid grid = lat_voxel_grid_cube(1.0);
  lat_tensor *voxels = make_voxels(rows, feats, 1, 1);
  lat_array *result = NULL;
  lat_test_assert_error(lat_devoxelize(context, &view, voxels, &grid, LAT_INTERPOLATION_NEAREST, &result),
                        LAT_STATUS_OVERFLOW, "devoxelize: voxel leaves int32: got 2147483648 at point 0");
  assert_null(result);
  assert_true(read_one(voxels, -2147483648.5, 0.0, 0.0, LAT_INTERPOLATION_NEAREST) == 5.0f);
  lat_tensor_release(voxels);
}

static void bad_shapes_and_dtypes_are_refused(void **state) {
  (void)state;
  const float p[12] = {0};
  const int64_t cube[3] = {2, 2, 3};
  const int32_t batches[4] = {0};
  const lat_voxel_grid grid = lat_voxel_grid_cube(1.0);
  lat_array_view view = lat_view_2d(p, LAT_DTYPE_F32, 3, 4);
  assert_refused(&view, &grid, LAT_STATUS_INVALID_SHAPE, "points must have shape (N, 3): got (3, 4)");
  view = lat_view(p, LAT_DTYPE_F32, 3, cube);
  assert_refused(&view, &grid, LAT_STATUS_INVALID_SHAPE, "points must have shape (N, 3): got (2, 2, 3)");
  view = lat_view_2d(p, LAT_DTYPE_F16, 4, 3);
  assert_refused(&view, &grid, LAT_STATUS_INVALID_DTYPE, "points must be float32 or float64: got float16");
  view = lat_view_2d(p, LAT_DTYPE_I32, 4, 3);
  assert_refused(&view, &grid, LAT_STATUS_INVALID_DTYPE, "points must be float32 or float64: got int32");
  view = lat_view_2d(NULL, LAT_DTYPE_F32, 4, 3);
  assert_refused(&view, &grid, LAT_STATUS_INVALID_ARGUMENT, "points data: got NULL");
  view = lat_view_2d(p, LAT_DTYPE_F32, 4, 3);
  assert_refused(&view, NULL, LAT_STATUS_INVALID_ARGUMENT, "grid: got NULL");
  lat_voxel_grid with_batches = grid;
  lat_array_view batch_view = lat_view_1d(batches, LAT_DTYPE_I32, 3);
  with_batches.batch_indices = &batch_view;
  assert_refused(&view, &with_batches, LAT_STATUS_INVALID_SHAPE,
                 "batch_indices must have shape (N,): got (3,), expected (4,)");
  batch_view = lat_view_2d(batches, LAT_DTYPE_I32, 4, 1);
  assert_refused(&view, &with_batches, LAT_STATUS_INVALID_SHAPE, "batch_indices must have shape (N,): got (4, 1)");
  batch_view = lat_view_1d(batches, LAT_DTYPE_F32, 4);
  assert_refused(&view, &with_batches, LAT_STATUS_INVALID_DTYPE, "batch_indices must be int32: got float32");
}

static void bad_geometry_is_refused(void **state) {
  (void)state;
  const double p[12] = {0};
  const float narrow[12] = {0};
  const double bad_sizes[] = {0.0, -0.1, NAN, INFINITY, -INFINITY};
  lat_array_view view = lat_view_2d(p, LAT_DTYPE_F64, 4, 3);
  lat_array_view narrow_view = lat_view_2d(narrow, LAT_DTYPE_F32, 4, 3);
  for (int axis = 0; axis < 3; axis++) {
    for (size_t i = 0; i < sizeof bad_sizes / sizeof bad_sizes[0]; i++) {
      lat_voxel_grid grid = lat_voxel_grid_cube(0.1);
      grid.voxel_size[axis] = bad_sizes[i];
      assert_refused(&view, &grid, LAT_STATUS_INVALID_ARGUMENT, "voxel_size must be positive");
      assert_refused(&narrow_view, &grid, LAT_STATUS_INVALID_ARGUMENT, "voxel_size must be positive");
    }
    lat_voxel_grid grid = lat_voxel_grid_cube(0.1);
    grid.origin[axis] = NAN;
    assert_refused(&view, &grid, LAT_STATUS_INVALID_ARGUMENT, "origin must be finite");
    grid.origin[axis] = 1e300;
    assert_refused(&narrow_view, &grid, LAT_STATUS_INVALID_ARGUMENT, "origin must be finite");
  }
  lat_voxel_grid tiny = lat_voxel_grid_cube(1e-60);
  assert_refused(&narrow_view, &tiny, LAT_STATUS_INVALID_ARGUMENT, "voxel_size must be positive: got (1e-60");
}

static void bad_features_and_choices_are_refused(void **state) {
  (void)state;
  const float p[12] = {0};
  const int32_t rows[1][4] = {{0, 0, 0, 0}};
  lat_array_view points = lat_view_2d(p, LAT_DTYPE_F32, 4, 3);
  lat_array_view x = lat_view_2d(p, LAT_DTYPE_F32, 3, 4);
  lat_voxel_grid grid = lat_voxel_grid_cube(1.0);
  lat_tensor *tensor = NULL;
  lat_array *array = NULL;
  lat_test_assert_error(
      lat_voxelize(context, &points, &x, &grid, LAT_VOXEL_MEAN, &tensor), LAT_STATUS_INVALID_SHAPE,
      "voxelize: points and features must have matching rows: got features of shape (3, 4), expected (4, C)");
  assert_null(tensor);
  x = lat_view_1d(p, LAT_DTYPE_F32, 4);
  lat_test_assert_error(lat_voxelize(context, &points, &x, &grid, LAT_VOXEL_MEAN, &tensor), LAT_STATUS_INVALID_SHAPE,
                        "matching rows");
  assert_null(tensor);
  x = lat_view_2d(p, LAT_DTYPE_F64, 4, 1);
  lat_test_assert_error(lat_voxelize(context, &points, &x, &grid, LAT_VOXEL_MEAN, &tensor), LAT_STATUS_INVALID_DTYPE,
                        "features dtype: got float64");
  assert_null(tensor);
  lat_test_assert_error(lat_voxelize(context, &points, NULL, &grid, LAT_VOXEL_MEAN, &tensor),
                        LAT_STATUS_INVALID_ARGUMENT, "features: got NULL");
  assert_null(tensor);
  x = lat_view_2d(p, LAT_DTYPE_F32, 4, 1);
  lat_test_assert_error(lat_voxelize(context, &points, &x, &grid, (lat_voxel_reduction)3, &tensor),
                        LAT_STATUS_INVALID_ARGUMENT, "reduction: got 3");
  assert_null(tensor);
  lat_tensor *voxels = make_voxels(rows, p, 1, 1);
  lat_test_assert_error(lat_devoxelize(context, &points, voxels, &grid, (lat_interpolation)9, &array),
                        LAT_STATUS_INVALID_ARGUMENT, "interpolation: got 9");
  assert_null(array);
  lat_test_assert_error(lat_devoxelize(context, &points, NULL, &grid, LAT_INTERPOLATION_LINEAR, &array),
                        LAT_STATUS_INVALID_ARGUMENT, "voxels: got NULL");
  assert_null(array);
  lat_tensor_release(voxels);
}

static void null_handles_are_refused(void **state) {
  (void)state;
  const float p[3] = {0};
  const int32_t rows[1][4] = {{0, 0, 0, 0}};
  lat_array_view points = lat_view_2d(p, LAT_DTYPE_F32, 1, 3);
  lat_voxel_grid grid = lat_voxel_grid_cube(1.0);
  lat_tensor *voxels = make_voxels(rows, p, 1, 1);
  lat_quantization *quantization = (lat_quantization *)voxels;
  lat_tensor *tensor = voxels;
  lat_array *array = (lat_array *)voxels;
  lat_test_assert_error(lat_sparse_quantize(NULL, &points, &grid, &quantization), LAT_STATUS_INVALID_ARGUMENT,
                        "sparse_quantize: context: got NULL");
  lat_test_assert_error(lat_voxelize(NULL, &points, &points, &grid, LAT_VOXEL_MEAN, &tensor),
                        LAT_STATUS_INVALID_ARGUMENT, "voxelize: context: got NULL");
  lat_test_assert_error(lat_devoxelize(NULL, &points, voxels, &grid, LAT_INTERPOLATION_LINEAR, &array),
                        LAT_STATUS_INVALID_ARGUMENT, "devoxelize: context: got NULL");
  assert_null(quantization);
  assert_null(tensor);
  assert_null(array);
  lat_test_assert_error(lat_sparse_quantize(context, &points, &grid, NULL), LAT_STATUS_INVALID_ARGUMENT,
                        "sparse_quantize: out: got NULL");
  lat_test_assert_error(lat_voxelize(context, &points, &points, &grid, LAT_VOXEL_MEAN, NULL),
                        LAT_STATUS_INVALID_ARGUMENT, "voxelize: out: got NULL");
  lat_test_assert_error(lat_devoxelize(context, &points, voxels, &grid, LAT_INTERPOLATION_LINEAR, NULL),
                        LAT_STATUS_INVALID_ARGUMENT, "devoxelize: out: got NULL");
  lat_tensor_release(voxels);
}

static void empty_clouds_and_supports_work(void **state) {
  (void)state;
  const float p[3] = {0.5f, 0.5f, 0.5f};
  lat_array_view none = lat_view_2d(NULL, LAT_DTYPE_F32, 0, 3);
  lat_array_view no_features = lat_view_2d(NULL, LAT_DTYPE_F16, 0, 7);
  lat_array_view no_batches = lat_view_1d(NULL, LAT_DTYPE_I32, 0);
  lat_array_view one = lat_view_2d(p, LAT_DTYPE_F32, 1, 3);
  lat_voxel_grid grid = lat_voxel_grid_cube(1.0);
  lat_tensor *voxels = NULL;
  lat_array *read = NULL;
  lat_quantization *quantization = NULL;
  grid.batch_indices = &no_batches;
  lat_test_assert_ok(lat_sparse_quantize(context, &none, &grid, &quantization));
  assert_int_equal(lat_coords_count(lat_quantization_coords(quantization)), 0);
  assert_ints(lat_quantization_inverse_rows(quantization), NULL, 0);
  assert_ints(lat_quantization_counts(quantization), NULL, 0);
  lat_test_assert_ok(lat_voxelize(context, &none, &no_features, &grid, LAT_VOXEL_MEAN, &voxels));
  assert_int_equal(lat_tensor_count(voxels), 0);
  assert_int_equal(lat_tensor_channels(voxels), 7);
  assert_int_equal(lat_tensor_dtype(voxels), LAT_DTYPE_F16);
  lat_test_assert_ok(lat_devoxelize(context, &none, voxels, &grid, LAT_INTERPOLATION_NEAREST, &read));
  assert_int_equal(lat_array_as_view(read).shape[0], 0);
  lat_array_release(read);
  grid.batch_indices = NULL;
  lat_test_assert_ok(lat_devoxelize(context, &one, voxels, &grid, LAT_INTERPOLATION_LINEAR, &read));
  assert_int_equal(lat_array_as_view(read).shape[1], 7);
  for (int c = 0; c < 7; c++) assert_int_equal(((const uint16_t *)lat_array_as_view(read).data)[c], 0);
  lat_array_release(read);
  lat_tensor_release(voxels);
  lat_quantization_release(quantization);
}

// 2049 times 1 in float16: a float16 running sum would stop at 2048.
static void float16_sums_round_once(void **state) {
  (void)state;
  static float points[2050][3];
  static uint16_t ones[2050];
  lat_array_view p = lat_view_2d(points, LAT_DTYPE_F32, 2050, 3);
  lat_array_view x = lat_view_2d(ones, LAT_DTYPE_F16, 2050, 1);
  lat_voxel_grid grid = lat_voxel_grid_cube(1.0);
  lat_tensor *voxels = NULL;
  for (int i = 0; i < 2050; i++) ones[i] = 0x3C00;
  lat_test_assert_ok(lat_voxelize(context, &p, &x, &grid, LAT_VOXEL_SUM, &voxels));
  assert_int_equal(lat_tensor_count(voxels), 1);
  assert_int_equal(*(const uint16_t *)lat_tensor_feats(voxels).data, lat_f32_to_f16(2050.0f));
  lat_tensor_release(voxels);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(quantize_worked_vector),
      cmocka_unit_test(voxelize_means_and_sums),
      cmocka_unit_test(quickstart_walk),
      cmocka_unit_test(linear_weights_belong_to_their_corners),
      cmocka_unit_test(nearest_rounds_half_up),
      cmocka_unit_test(missing_voxels_are_dropped),
      cmocka_unit_test(duplicated_voxels_are_read_once),
      cmocka_unit_test(the_whole_int32_range_is_legal),
      cmocka_unit_test(float32_points_reach_the_ends_through_the_origin),
      cmocka_unit_test(corners_beyond_int32_are_missing),
      cmocka_unit_test(borders_follow_float32_division),
      cmocka_unit_test(large_coordinates_need_float64),
      cmocka_unit_test(coarse_float32_points_are_refused),
      cmocka_unit_test(coarse_limit_counts_from_the_spacing),
      cmocka_unit_test(bad_points_are_refused),
      cmocka_unit_test(nearest_has_its_own_range),
      cmocka_unit_test(bad_shapes_and_dtypes_are_refused),
      cmocka_unit_test(bad_geometry_is_refused),
      cmocka_unit_test(bad_features_and_choices_are_refused),
      cmocka_unit_test(null_handles_are_refused),
      cmocka_unit_test(empty_clouds_and_supports_work),
      cmocka_unit_test(float16_sums_round_once),
  };
  return cmocka_run_group_tests(tests, set_up, tear_down);
}
