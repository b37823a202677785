// The worked examples of the specification's sections 4, 5 and 8, each with its section. Those of sections 9 and 10 are
// in golden_quant.c and golden_entropy.c.
// covers: lat_normalized_subm_conv3d lat_conv3d lat_subm_conv3d lat_conv3d_backward lat_subm_conv3d_backward
// covers: lat_conv3d_jvp lat_pool3d_backward lat_pool3d_jvp lat_pool_transpose3d
// covers: lat_trilinear_upsample3d lat_sparse_quantize lat_voxelize lat_devoxelize lat_prune lat_topk_rows
#include "support/test_support.h"

#include <math.h>
#include <stdlib.h>

#include <lattice/lattice.h>

#include "support/tensor_cases.h"

static lat_context *context;

static int set_up(void **state) {
  (void)state;
  lat_test_assert_ok(lat_context_create(NULL, &context));
  return 0;
}

static int tear_down(void **state) {
  (void)state;
  lat_context_destroy(context);
  return 0;
}

/// One channel on the x axis of batch item 0.
static lat_tensor *on_x_axis(const int32_t *x, const double *values, int64_t n, lat_triple stride) {
  int32_t rows[8][4] = {{0}};
  lat_coords *coords = NULL;
  for (int64_t r = 0; r < n; r++) rows[r][1] = x[r];
  lat_array_view view = lat_view_2d(rows, LAT_DTYPE_I32, n, 4);
  lat_coords_opts opts = {sizeof opts, stride};
  lat_test_assert_ok(lat_coords_create(context, &view, &opts, &coords));
  lat_tensor *tensor = lat_test_tensor_on(context, coords, values, 1, LAT_DTYPE_F32, NULL);
  lat_coords_release(coords);
  return tensor;
}

static lat_tensor *line_of(double a, double b, double c) {
  return on_x_axis((const int32_t[]){0, 1, 2}, (const double[]){a, b, c}, 3, lat_triple_all(1));
}

/// Fails unless `got` holds n values within a float32 rounding or two of `expected`; takes the array.
static void assert_near(lat_array *got, const double *expected, int64_t n) {
  double *values = lat_test_read(lat_array_as_view(got));
  assert_int_equal(lat_array_count(got), n);
  for (int64_t i = 0; i < n; i++) {
    if (!(fabs(values[i] - expected[i]) <= 2e-7 * fabs(expected[i]))) {
      fail_msg("value %lld: got %.9g, expected %.9g", (long long)i, values[i], expected[i]);
    }
  }
  free(values);
  lat_array_release(got);
}

static void assert_array(lat_array *got, const double *expected, int64_t n) {
  lat_test_assert_values(lat_array_as_view(got), expected, n);
  lat_array_release(got);
}

static void assert_feats(lat_tensor *got, const double *expected, int64_t n) {
  lat_test_assert_values(lat_tensor_feats(got), expected, n);
  lat_tensor_release(got);
}

static const float one_two_three[3] = {1, 2, 3};
static const float ones[3] = {1, 1, 1};

static lat_weight taps(void) {
  return lat_weight_dense(lat_view(one_two_three, LAT_DTYPE_F32, 3, (const int64_t[]){3, 1, 1}));
}

static lat_conv3d_opts line_kernel(void) {
  lat_conv3d_opts opts = LAT_CONV3D_OPTS_INIT;
  opts.kernel_size = (lat_triple){3, 1, 1};
  return opts;
}

/// 4.7.
static void normalized_line(void **state) {
  (void)state;
  const double expected[3] = {8 / sqrt(13) + 0.25, 14 / sqrt(14) + 0.25, 8 / sqrt(5) + 0.25};
  const float quarter = 0.25F;
  lat_array_view bias = lat_view_1d(&quarter, LAT_DTYPE_F32, 1);
  lat_conv3d_opts opts = line_kernel();
  lat_weight weight = taps();
  lat_tensor *x = line_of(1, 2, 3), *y = NULL;
  lat_test_assert_ok(lat_normalized_subm_conv3d(context, x, &weight, &bias, &opts, &y));
  lat_array *feats = lat_array_retain(lat_tensor_feats_array(y));
  assert_near(feats, expected, 3);
  lat_tensor_release(y);
  lat_tensor_release(x);
}

/// 4.9: gradients and the forward-mode product of the line, submanifold and general.
static void line_gradients(void **state) {
  (void)state;
  const double expected_y[3] = {8, 14, 8}, expected[3] = {3, 6, 5}, expected_jvp[3] = {8, 12, 8};
  lat_array_view one = lat_view_2d(ones, LAT_DTYPE_F32, 3, 1);
  lat_array_view one_taps = lat_view(ones, LAT_DTYPE_F32, 3, (const int64_t[]){3, 1, 1});
  lat_conv3d_opts opts = line_kernel();
  lat_conv3d_backward_opts backward = {sizeof backward, &opts, LAT_GRAD_ALL};
  lat_conv_tangents tangents = {&one, &one_taps, NULL};
  lat_weight weight = taps();
  lat_conv_grads grads[2];
  lat_tensor *x = line_of(1, 2, 3), *y = NULL, *jvp = NULL;
  lat_test_assert_ok(lat_conv3d_backward(context, x, &weight, &one, &backward, &grads[0]));
  lat_test_assert_ok(lat_subm_conv3d_backward(context, x, &weight, &one, &backward, &grads[1]));
  for (int i = 0; i < 2; i++) {
    assert_array(grads[i].x, expected, 3);
    assert_array(grads[i].weight, expected, 3);
    lat_array_release(grads[i].bias);
  }
  lat_test_assert_ok(lat_conv3d_jvp(context, x, &weight, &tangents, &opts, &jvp));
  assert_feats(jvp, expected_jvp, 3);
  lat_test_assert_ok(lat_subm_conv3d(context, x, &weight, NULL, &opts, &y));
  assert_feats(y, expected_y, 3);
  lat_tensor_release(x);
}

/// 4.9: the same onto the target rows x = 1 and x = 3.
static void target_gradients(void **state) {
  (void)state;
  const double expected[2] = {14, 3}, expected_x[3] = {1, 2, 4}, expected_w[3] = {4, 2, 3};
  lat_array_view one = lat_view_2d(ones, LAT_DTYPE_F32, 2, 1);
  lat_conv3d_opts opts = line_kernel();
  lat_conv3d_backward_opts backward = {sizeof backward, &opts, LAT_GRAD_ALL};
  lat_weight weight = taps();
  lat_conv_grads grads;
  lat_tensor *x = line_of(1, 2, 3), *y = NULL;
  lat_coords *target = lat_test_coords(context, (const int32_t[]){0, 1, 0, 0, 0, 3, 0, 0}, 2);
  opts.coordinates = target;
  lat_test_assert_ok(lat_conv3d(context, x, &weight, NULL, &opts, &y));
  assert_feats(y, expected, 2);
  lat_test_assert_ok(lat_conv3d_backward(context, x, &weight, &one, &backward, &grads));
  assert_array(grads.x, expected_x, 3);
  assert_array(grads.weight, expected_w, 3);
  lat_array_release(grads.bias);
  lat_coords_release(target);
  lat_tensor_release(x);
}

static lat_kernel_opts pool_kernel(void) {
  lat_kernel_opts opts = LAT_KERNEL_OPTS_INIT;
  opts.kernel_size = (lat_triple){3, 1, 1};
  opts.stride = lat_triple_all(1);
  return opts;
}

/// 5.1: tied maxima share the gradient; the forward-mode product takes one of them.
static void max_pool_ties(void **state) {
  (void)state;
  const float tangent_values[3] = {10, 20, 30};
  const double expected_grad[3] = {1, 2, 0}, expected_jvp[3] = {10, 10, 20};
  lat_array_view one = lat_view_2d(ones, LAT_DTYPE_F32, 3, 1),
                 tangent = lat_view_2d(tangent_values, LAT_DTYPE_F32, 3, 1);
  lat_kernel_opts opts = pool_kernel();
  lat_tensor *x = line_of(2, 2, 1);
  lat_array *grad = NULL, *jvp = NULL;
  lat_test_assert_ok(lat_pool3d_backward(context, x, LAT_POOL_MAX, &opts, &one, &grad));
  lat_test_assert_ok(lat_pool3d_jvp(context, x, LAT_POOL_MAX, &opts, &tangent, &jvp));
  assert_array(grad, expected_grad, 3);
  assert_array(jvp, expected_jvp, 3);
  lat_tensor_release(x);
}

/// 5.1: gradients of the three modes over 1, 2, 3.
static void pool_gradients(void **state) {
  (void)state;
  const double expected[3][3] = {{2, 3, 2}, {0, 1, 2}, {1. / 2 + 1. / 3, 1. / 2 + 1. / 3 + 1. / 2, 1. / 3 + 1. / 2}};
  lat_array_view one = lat_view_2d(ones, LAT_DTYPE_F32, 3, 1);
  lat_kernel_opts opts = pool_kernel();
  lat_tensor *x = line_of(1, 2, 3);
  for (int mode = LAT_POOL_SUM; mode <= LAT_POOL_AVG; mode++) {
    lat_array *grad = NULL;
    lat_test_assert_ok(lat_pool3d_backward(context, x, (lat_pool_mode)mode, &opts, &one, &grad));
    assert_near(grad, expected[mode], 3);
  }
  lat_tensor_release(x);
}

/// 5.2: two coarse rows onto three fine ones.
static void pool_transpose_onto_target(void **state) {
  (void)state;
  const double expected[3] = {2, 4, 6};
  lat_kernel_opts opts = LAT_KERNEL_OPTS_INIT;
  opts.kernel_size = (lat_triple){3, 1, 1};
  opts.stride = (lat_triple){2, 1, 1};
  opts.padding = (lat_triple){1, 0, 0};
  lat_tensor *coarse = on_x_axis((const int32_t[]){0, 1}, (const double[]){2, 6}, 2, (lat_triple){2, 1, 1});
  lat_tensor *target = line_of(0, 0, 0), *y = NULL;
  lat_test_assert_ok(lat_pool_transpose3d(context, coarse, target, &opts, &y));
  assert_int_equal(lat_tensor_same_coords(y, target), 1);
  assert_feats(y, expected, 3);
  lat_tensor_release(target);
  lat_tensor_release(coarse);
}

/// 5.3: onto targets 0 to 3; and the support without a target, neighbours outside included.
static void trilinear(void **state) {
  (void)state;
  const double expected[4] = {2, 4, 6, 6}, zeros[4] = {0};
  const int32_t support[3] = {-1, 0, 1};
  const lat_triple twice = {2, 1, 1};
  lat_tensor *coarse = on_x_axis((const int32_t[]){0, 1}, (const double[]){2, 6}, 2, twice);
  lat_tensor *target = on_x_axis((const int32_t[]){0, 1, 2, 3}, zeros, 4, lat_triple_all(1));
  lat_tensor *single = on_x_axis((const int32_t[]){0}, (const double[]){2}, 1, twice), *y = NULL;
  lat_test_assert_ok(lat_trilinear_upsample3d(context, coarse, target, twice, &y));
  assert_feats(y, expected, 4);
  lat_test_assert_ok(lat_trilinear_upsample3d(context, single, NULL, twice, &y));
  assert_int_equal(lat_tensor_count(y), 3);
  for (int r = 0; r < 3; r++) {
    assert_int_equal(((const int32_t *)lat_coords_rows(lat_tensor_coords(y)).data)[4 * r + 1], support[r]);
  }
  lat_tensor_release(y);
  lat_tensor_release(single);
  lat_tensor_release(target);
  lat_tensor_release(coarse);
}

/// 7: the last k in ascending order of score, of tied rows the later ones; k = int(keep * rho).
static void top_rows(void **state) {
  (void)state;
  const int64_t counts[1] = {4};
  const double scores[4] = {3, 5, 5, 1};
  const int32_t expected[2] = {1, 2};
  lat_tensor_opts opts = {sizeof opts, counts, 1};
  lat_coords *coords = lat_test_coords(context, (const int32_t[]){0, 0, 0, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0, 3, 0, 0}, 4);
  lat_tensor *x = lat_test_tensor_on(context, coords, scores, 1, LAT_DTYPE_F32, &opts), *kept = NULL;
  lat_array *rows = NULL;
  lat_test_assert_ok(lat_topk_rows(context, x, (const int64_t[]){3}, 1, 0.9, &rows));
  assert_int_equal(lat_array_count(rows), 2);
  for (int i = 0; i < 2; i++) assert_int_equal(((const int32_t *)lat_array_data(rows))[i], expected[i]);
  lat_array_view view = lat_array_as_view(rows);
  lat_test_assert_ok(lat_prune(context, x, &view, &kept));
  assert_int_equal(lat_tensor_batch_counts(kept)[0], 2);
  assert_feats(kept, (const double[]){5, 5}, 2);
  lat_array_release(rows);
  lat_tensor_release(x);
  lat_coords_release(coords);
}

/// 8: five points of two batch items.
static void quantized_points(void **state) {
  (void)state;
  const float points[5][3] = {{0.2F, 0, 0}, {0.8F, 0, 0}, {1.2F, 0, 0}, {-0.1F, 0, 0}, {0, 2.1F, 0}};
  const int32_t batch[5] = {0, 0, 0, 0, 1};
  const int32_t rows[16] = {0, 0, 0, 0, 0, 1, 0, 0, 0, -1, 0, 0, 1, 0, 2, 0};
  const int32_t inverse[5] = {0, 0, 1, 2, 3}, counts[4] = {2, 1, 1, 1};
  lat_array_view point_view = lat_view_2d(points, LAT_DTYPE_F32, 5, 3),
                 batch_view = lat_view_1d(batch, LAT_DTYPE_I32, 5);
  lat_voxel_grid grid = lat_voxel_grid_cube(1);
  lat_quantization *got = NULL;
  grid.batch_indices = &batch_view;
  lat_test_assert_ok(lat_sparse_quantize(context, &point_view, &grid, &got));
  lat_array_view voxels = lat_coords_rows(lat_quantization_coords(got));
  lat_array_view rows_of_points = lat_quantization_inverse_rows(got), n_points = lat_quantization_counts(got);
  assert_int_equal(voxels.shape[0], 4);
  assert_int_equal(rows_of_points.shape[0], 5);
  assert_int_equal(n_points.shape[0], 4);
  assert_memory_equal(voxels.data, rows, sizeof rows);
  assert_memory_equal(rows_of_points.data, inverse, sizeof inverse);
  assert_memory_equal(n_points.data, counts, sizeof counts);
  lat_quantization_release(got);
}

/// 8: voxelize takes the floor, nearest devoxelize rounds: a point at 0.9 goes into voxel 0 and reads voxel 1.
static void floor_and_nearest(void **state) {
  (void)state;
  const float points[2][3] = {{0.9F, 0, 0}, {1.1F, 0, 0}}, feats[2] = {5, 7};
  const double voxel_feats[2] = {5, 7}, read[2] = {7, 7};
  lat_array_view point_view = lat_view_2d(points, LAT_DTYPE_F32, 2, 3),
                 feat_view = lat_view_2d(feats, LAT_DTYPE_F32, 2, 1);
  lat_voxel_grid grid = lat_voxel_grid_cube(1);
  lat_tensor *voxels = NULL;
  lat_array *got = NULL;
  lat_test_assert_ok(lat_voxelize(context, &point_view, &feat_view, &grid, LAT_VOXEL_MEAN, &voxels));
  lat_test_assert_values(lat_tensor_feats(voxels), voxel_feats, 2);
  lat_test_assert_ok(lat_devoxelize(context, &point_view, voxels, &grid, LAT_INTERPOLATION_NEAREST, &got));
  assert_array(got, read, 2);
  lat_tensor_release(voxels);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(normalized_line),  cmocka_unit_test(line_gradients),
      cmocka_unit_test(target_gradients), cmocka_unit_test(max_pool_ties),
      cmocka_unit_test(pool_gradients),   cmocka_unit_test(pool_transpose_onto_target),
      cmocka_unit_test(trilinear),        cmocka_unit_test(top_rows),
      cmocka_unit_test(quantized_points), cmocka_unit_test(floor_and_nearest),
  };
  return cmocka_run_group_tests(tests, set_up, tear_down);
}
