// Law: an operation on 16-bit features is the float32 operation on the widened features, rounded once. Holds bit for bit
// for every operation whose parameters are 16-bit values too, in float16 and in bfloat16.
// covers: lat_linear lat_pool3d lat_global_pool lat_batch_norm lat_layer_norm lat_rms_norm lat_cast lat_gelu lat_relu
// covers: lat_sparse_add lat_sparse_cat_aligned
#include <stdlib.h>
#include <string.h>

#include <lattice/lattice.h>

#include "support/test_support.h"

#define ROWS 700
#define C_IN 21
#define C_OUT 18

static lat_context *context;
static lat_coords *coords, *other_coords;
static lat_dtype half_dtype;

/// Random 16-bit values of the dtype under test, and the same values as float32.
typedef struct pair {
  lat_array *half, *wide;
} pair;

static pair draw(int32_t rank, const int64_t *shape, uint64_t stream) {
  const double range[2] = {-2.0, 2.0};
  pair p = {NULL, NULL};
  lat_test_assert_ok(lat_array_uniform(context, half_dtype, rank, shape, range, stream, &p.half));
  lat_array_view view = lat_array_as_view(p.half);
  lat_test_assert_ok(lat_array_cast(context, &view, LAT_DTYPE_F32, &p.wide));
  return p;
}

static void drop(pair *p) {
  lat_array_release(p->half);
  lat_array_release(p->wide);
}

static void assert_rounded(const char *what, const lat_array *half, const lat_array *wide) {
  lat_array *rounded = NULL;
  lat_array_view view = lat_array_as_view(wide);
  assert_int_equal(lat_array_as_view(half).dtype, half_dtype);
  lat_test_assert_ok(lat_array_cast(context, &view, half_dtype, &rounded));
  assert_int_equal(lat_array_count(half), lat_array_count(rounded));
  assert_true(lat_array_count(half) > 0);
  if (memcmp(lat_array_as_view(half).data, lat_array_data(rounded), (size_t)lat_array_count(half) * 2) != 0) {
    fail_msg("%s in %s is not the float32 result rounded once", what, lat_dtype_name(half_dtype));
  }
  lat_array_release(rounded);
}

/// Runs `run` on 16-bit and on widened features and compares.
static void check(const char *what, lat_status (*run)(const lat_tensor *x, int wide, lat_tensor **y)) {
  const int64_t shape[2] = {ROWS, C_IN};
  lat_tensor *x[2] = {NULL}, *y[2] = {NULL};
  pair feats = draw(2, shape, 1);
  lat_test_assert_ok(lat_tensor_share(context, coords, feats.half, NULL, &x[0]));
  lat_test_assert_ok(lat_tensor_share(context, coords, feats.wide, NULL, &x[1]));
  for (int wide = 0; wide < 2; wide++) lat_test_assert_ok(run(x[wide], wide, &y[wide]));
  assert_rounded(what, lat_tensor_feats_array(y[0]), lat_tensor_feats_array(y[1]));
  for (int wide = 0; wide < 2; wide++) {
    lat_tensor_release(x[wide]);
    lat_tensor_release(y[wide]);
  }
  drop(&feats);
}

static lat_status run_conv(const lat_tensor *x, int wide, lat_tensor **y) {
  const int64_t weight_shape[5] = {C_OUT, 3, 3, 3, C_IN}, bias_shape[1] = {C_OUT};
  pair w = draw(5, weight_shape, 2), b = draw(1, bias_shape, 3);
  lat_weight weight = lat_weight_dense(lat_array_as_view(wide ? w.wide : w.half));
  lat_array_view bias = lat_array_as_view(wide ? b.wide : b.half);
  lat_conv3d_opts opts = LAT_CONV3D_OPTS_INIT;
  opts.stride = lat_triple_all(2);
  lat_status status = lat_conv3d(context, x, &weight, &bias, &opts, y);
  drop(&w);
  drop(&b);
  return status;
}

static lat_status run_linear(const lat_tensor *x, int wide, lat_tensor **y) {
  const int64_t shape[2] = {C_OUT, C_IN};
  pair w = draw(2, shape, 4);
  lat_weight weight = lat_weight_dense(lat_array_as_view(wide ? w.wide : w.half));
  lat_status status = lat_linear(context, x, &weight, NULL, y);
  drop(&w);
  return status;
}

static lat_status run_packed(const lat_tensor *x, int wide, lat_tensor **y) {
  const int64_t shape[2] = {C_OUT, C_IN};
  const double range[2] = {-1.0, 1.0};
  lat_array *dense = NULL;
  lat_quantized_weight *packed = NULL;
  (void)wide;
  lat_test_assert_ok(lat_array_uniform(context, LAT_DTYPE_F32, 2, shape, range, 5, &dense));
  lat_array_view view = lat_array_as_view(dense);
  lat_test_assert_ok(lat_quantize_weight(context, &view, NULL, &packed));
  lat_weight weight = lat_weight_packed(packed);
  lat_status status = lat_linear(context, x, &weight, NULL, y);
  lat_quantized_weight_release(packed);
  lat_array_release(dense);
  return status;
}

static lat_status run_gelu(const lat_tensor *x, int wide, lat_tensor **y) {
  (void)wide;
  return lat_gelu(context, x, LAT_GELU_NONE, y);
}

static lat_status run_relu(const lat_tensor *x, int wide, lat_tensor **y) {
  (void)wide;
  return lat_relu(context, x, y);
}

static lat_status run_batch_norm(const lat_tensor *x, int wide, lat_tensor **y) {
  (void)wide;
  return lat_batch_norm(context, x, NULL, y);
}

static lat_status run_layer_norm(const lat_tensor *x, int wide, lat_tensor **y) {
  (void)wide;
  return lat_layer_norm(context, x, NULL, y);
}

static lat_status run_rms_norm(const lat_tensor *x, int wide, lat_tensor **y) {
  (void)wide;
  return lat_rms_norm(context, x, NULL, y);
}

static lat_status run_sum_pool(const lat_tensor *x, int wide, lat_tensor **y) {
  (void)wide;
  return lat_pool3d(context, x, LAT_POOL_SUM, NULL, y);
}

static lat_status run_max_pool(const lat_tensor *x, int wide, lat_tensor **y) {
  (void)wide;
  return lat_pool3d(context, x, LAT_POOL_MAX, NULL, y);
}

static lat_status run_avg_pool(const lat_tensor *x, int wide, lat_tensor **y) {
  (void)wide;
  return lat_pool3d(context, x, LAT_POOL_AVG, NULL, y);
}

/// Algebra against a tensor on another set, half of whose rows are shared.
static lat_status run_algebra(const lat_tensor *x, int wide, lat_tensor **y, int concatenates) {
  const int64_t shape[2] = {ROWS, C_IN};
  lat_tensor *other = NULL;
  pair feats = draw(2, shape, 6);
  lat_test_assert_ok(lat_tensor_share(context, other_coords, wide ? feats.wide : feats.half, NULL, &other));
  lat_status status = concatenates ? lat_sparse_cat_aligned(context, x, other, LAT_JOIN_OUTER, y)
                                   : lat_sparse_add(context, x, other, LAT_JOIN_OUTER, y);
  lat_tensor_release(other);
  drop(&feats);
  return status;
}

static lat_status run_add(const lat_tensor *x, int wide, lat_tensor **y) {
  return run_algebra(x, wide, y, 0);
}

static lat_status run_cat(const lat_tensor *x, int wide, lat_tensor **y) {
  return run_algebra(x, wide, y, 1);
}

static void check_global_pools(void) {
  const int64_t shape[2] = {ROWS, C_IN};
  pair feats = draw(2, shape, 7);
  for (int mode = LAT_POOL_SUM; mode <= LAT_POOL_AVG; mode++) {
    lat_tensor *x[2] = {NULL};
    lat_array *y[2] = {NULL};
    lat_test_assert_ok(lat_tensor_share(context, coords, feats.half, NULL, &x[0]));
    lat_test_assert_ok(lat_tensor_share(context, coords, feats.wide, NULL, &x[1]));
    for (int i = 0; i < 2; i++) lat_test_assert_ok(lat_global_pool(context, x[i], (lat_pool_mode)mode, -1, &y[i]));
    assert_rounded("global_pool", y[0], y[1]);
    for (int i = 0; i < 2; i++) lat_tensor_release(x[i]), lat_array_release(y[i]);
  }
  drop(&feats);
}

static void check_points(void) {
  const int64_t point_shape[2] = {ROWS, 3}, feat_shape[2] = {ROWS, C_IN};
  const double range[2] = {-3.0, 3.0};
  lat_array *points = NULL, *back[2] = {NULL};
  lat_tensor *voxels[2] = {NULL};
  pair feats = draw(2, feat_shape, 8);
  lat_voxel_grid grid = lat_voxel_grid_cube(0.7);
  lat_test_assert_ok(lat_array_uniform(context, LAT_DTYPE_F32, 2, point_shape, range, 9, &points));
  lat_array_view p = lat_array_as_view(points), f[2] = {lat_array_as_view(feats.half), lat_array_as_view(feats.wide)};
  for (int i = 0; i < 2; i++) lat_test_assert_ok(lat_voxelize(context, &p, &f[i], &grid, LAT_VOXEL_MEAN, &voxels[i]));
  assert_rounded("voxelize", lat_tensor_feats_array(voxels[0]), lat_tensor_feats_array(voxels[1]));
  // Devoxelize from the same 16-bit voxel values.
  lat_tensor *wide = NULL;
  lat_test_assert_ok(lat_cast(context, voxels[0], LAT_DTYPE_F32, &wide));
  lat_test_assert_ok(lat_devoxelize(context, &p, voxels[0], &grid, LAT_INTERPOLATION_LINEAR, &back[0]));
  lat_test_assert_ok(lat_devoxelize(context, &p, wide, &grid, LAT_INTERPOLATION_LINEAR, &back[1]));
  assert_rounded("devoxelize", back[0], back[1]);
  for (int i = 0; i < 2; i++) lat_tensor_release(voxels[i]), lat_array_release(back[i]);
  lat_tensor_release(wide);
  lat_array_release(points);
  drop(&feats);
}

static void one_rounding(void **state) {
  (void)state;
  const lat_dtype dtypes[2] = {LAT_DTYPE_F16, LAT_DTYPE_BF16};
  for (int i = 0; i < 2; i++) {
    half_dtype = dtypes[i];
    check("conv3d", run_conv);
    check("linear", run_linear);
    check("packed linear", run_packed);
    check("relu", run_relu);
    check("gelu", run_gelu);
    check("batch_norm", run_batch_norm);
    check("layer_norm", run_layer_norm);
    check("rms_norm", run_rms_norm);
    check("sum pool3d", run_sum_pool);
    check("max pool3d", run_max_pool);
    check("avg pool3d", run_avg_pool);
    check("sparse_add", run_add);
    check("sparse_cat_aligned", run_cat);
    check_global_pools();
    check_points();
  }
}

/// Any two different 16-bit dtypes meet in float32.
static void promotion(void **state) {
  (void)state;
  const int64_t shape[2] = {ROWS, 3};
  lat_array *a = NULL, *b = NULL;
  lat_tensor *x = NULL, *y = NULL, *sum = NULL;
  lat_test_assert_ok(lat_array_full(context, LAT_DTYPE_F16, 2, shape, 1.0 + 0x1p-10, &a));
  lat_test_assert_ok(lat_array_full(context, LAT_DTYPE_BF16, 2, shape, 0x1p-20, &b));
  lat_test_assert_ok(lat_tensor_share(context, coords, a, NULL, &x));
  lat_test_assert_ok(lat_tensor_share(context, coords, b, NULL, &y));
  lat_test_assert_ok(lat_sparse_add(context, x, y, LAT_JOIN_DEFAULT, &sum));
  assert_int_equal(lat_tensor_dtype(sum), LAT_DTYPE_F32);
  assert_true(((const float *)lat_tensor_feats(sum).data)[0] == 1.0F + 0x1p-10F + 0x1p-20F);
  lat_tensor_release(x);
  lat_tensor_release(y);
  lat_tensor_release(sum);
  lat_array_release(a);
  lat_array_release(b);
}

static void make_coords(int32_t shift, lat_coords **out) {
  int32_t rows[ROWS][4];
  for (int32_t r = 0; r < ROWS; r++) {
    rows[r][0] = r % 2;
    rows[r][1] = r / 2 % 8 + shift;
    rows[r][2] = r / 16 % 8 - 4;
    rows[r][3] = r / 128;
  }
  lat_array_view view = lat_view_2d(rows, LAT_DTYPE_I32, ROWS, 4);
  lat_test_assert_ok(lat_coords_create(context, &view, NULL, out));
}

static int set_up(void **state) {
  (void)state;
  lat_test_assert_ok(lat_context_create(NULL, &context));
  make_coords(0, &coords);
  make_coords(4, &other_coords);
  return 0;
}

static int tear_down(void **state) {
  (void)state;
  lat_coords_release(coords);
  lat_coords_release(other_coords);
  lat_context_destroy(context);
  return 0;
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(one_rounding), cmocka_unit_test(promotion)};
  return cmocka_run_group_tests(tests, set_up, tear_down);
}
