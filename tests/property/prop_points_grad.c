// Max reduction, the capped voxelizer and the gradients of points and voxels against the naive references and against central differences of
// the forward references, for random clouds of every dtype and 1, 2 and 5 threads.
// covers: lat_voxelize_quantized lat_voxelize_backward lat_interpolate_backward
// covers: lat_voxelize_capped
#include "support/test_support.h"

#include <math.h>
#include <stdlib.h>

#include <lattice/lattice.h>

#include "ref/ref_points.h"

#define N_CONTEXTS 3

static const int32_t thread_counts[N_CONTEXTS] = {1, 2, 5};
static lat_context *contexts[N_CONTEXTS];

/// Random points and lattice features. Every float value is one that the feature dtype holds.
typedef struct problem {
  uint64_t seed, drawn;
  int64_t n, channels;
  lat_dtype dtype;
  int linear;
  double *points;
  lat_voxel_grid grid;
  lat_quantization *quantization;
  int64_t n_voxels;
  const int32_t *inverse;
} problem;

static int set_up(void **state) {
  (void)state;
  for (int i = 0; i < N_CONTEXTS; i++) {
    lat_context_opts opts = LAT_CONTEXT_OPTS_INIT;
    opts.n_threads = thread_counts[i];
    if (lat_context_create(&opts, &contexts[i])) return 1;
  }
  return 0;
}

static int tear_down(void **state) {
  (void)state;
  for (int i = 0; i < N_CONTEXTS; i++) lat_context_destroy(contexts[i]);
  return 0;
}

static double draw(problem *p) {
  uint32_t words[4];
  lat_random_block(p->seed, 92, p->drawn++, words);
  return (double)words[0] * 0x1p-32;
}

static void *allocate(int64_t count, size_t bytes) {
  void *memory = calloc((size_t)count + 1, bytes);
  if (memory == NULL) fail_msg("out of memory");
  return memory;
}

static double load(lat_array_view view, int64_t i) {
  if (view.dtype == LAT_DTYPE_F16) return (double)lat_f16_to_f32(((const uint16_t *)view.data)[i]);
  if (view.dtype == LAT_DTYPE_BF16) return (double)lat_bf16_to_f32(((const uint16_t *)view.data)[i]);
  return (double)((const float *)view.data)[i];
}

/// A `(rows, channels)` array of quarters, so that ties are many and every dtype holds them.
static lat_array_view draw_values(problem *p, int64_t rows, double **wide) {
  int64_t count = rows * p->channels;
  void *stored = allocate(count, sizeof(float));
  *wide = allocate(count, sizeof(double));
  for (int64_t i = 0; i < count; i++) {
    float value = (float)floor(32.0 * draw(p)) * 0.25f - 4.0f;
    (*wide)[i] = value;
    if (p->dtype == LAT_DTYPE_F32) ((float *)stored)[i] = value;
    if (p->dtype == LAT_DTYPE_F16) ((uint16_t *)stored)[i] = lat_f32_to_f16(value);
    if (p->dtype == LAT_DTYPE_BF16) ((uint16_t *)stored)[i] = lat_f32_to_bf16(value);
  }
  return lat_view_2d(stored, p->dtype, rows, p->channels);
}

static problem make_problem(uint64_t seed) {
  static const int64_t counts[] = {0, 1, 2, 40, 300, 2500}, channel_counts[] = {0, 1, 3, 8, 33};
  static const lat_dtype dtypes[] = {LAT_DTYPE_F32, LAT_DTYPE_F16, LAT_DTYPE_BF16};
  problem p = {.seed = seed};
  p.n = counts[seed % 6];
  p.channels = channel_counts[(int)(5.0 * draw(&p))];
  p.dtype = dtypes[(int)(3.0 * draw(&p))];
  p.linear = draw(&p) < 0.7;
  p.points = allocate(3 * p.n, sizeof(double));
  double extent = 1.0 + 6.0 * draw(&p);
  for (int64_t i = 0; i < 3 * p.n; i++) p.points[i] = extent * (2.0 * draw(&p) - 1.0);
  p.grid = lat_voxel_grid_cube(0.5 + draw(&p));
  lat_array_view view = lat_view_2d(p.points, LAT_DTYPE_F64, p.n, 3);
  lat_test_assert_ok(lat_sparse_quantize(contexts[0], &view, &p.grid, &p.quantization));
  p.n_voxels = lat_coords_count(lat_quantization_coords(p.quantization));
  p.inverse = lat_quantization_inverse_rows(p.quantization).data;
  return p;
}

static void free_problem(problem *p) {
  free(p->points);
  lat_quantization_release(p->quantization);
}

static void assert_close(lat_array_view got, const double *expected, int64_t count, double scale) {
  double unit = got.dtype == LAT_DTYPE_F32 ? 0x1p-21 : got.dtype == LAT_DTYPE_F16 ? 0x1p-10 : 0x1p-7;
  for (int64_t i = 0; i < count; i++) {
    assert_true(fabs(load(got, i) - expected[i]) <= unit * fabs(expected[i]) + 1e-5 * scale);
  }
}

static void assert_same(const lat_array *a, const lat_array *b) {
  lat_array_view x = lat_array_as_view(a), y = lat_array_as_view(b);
  size_t bytes = (size_t)lat_array_count(a) * lat_dtype_bytes(x.dtype);
  assert_int_equal(x.shape[0], y.shape[0]);
  assert_int_equal(x.shape[1], y.shape[1]);
  if (bytes > 0) assert_memory_equal(x.data, y.data, bytes);
}

/// The gradient on every context; the first one, for the caller to release.
static lat_array *voxelize_gradient(const problem *p, const lat_array_view *x, const lat_array_view *grad, int mode) {
  lat_voxelize_opts opts = LAT_VOXELIZE_OPTS_INIT;
  lat_array *made[N_CONTEXTS] = {NULL};
  opts.reduction = (lat_voxel_reduction)mode;
  for (int i = 0; i < N_CONTEXTS; i++) {
    lat_test_assert_ok(lat_voxelize_backward(contexts[i], p->quantization, x, grad, &opts, &made[i]));
    assert_same(made[i], made[0]);
    if (i > 0) lat_array_release(made[i]);
  }
  return made[0];
}

static void max_matches_the_reference(void **state) {
  (void)state;
  for (uint64_t seed = 1; seed <= 24; seed++) {
    problem p = make_problem(seed);
    lat_voxelize_opts opts = LAT_VOXELIZE_OPTS_INIT;
    double *x = NULL, *y = allocate(p.n_voxels * p.channels, sizeof(double));
    lat_array_view view = draw_values(&p, p.n, &x);
    opts.reduction = LAT_VOXEL_MAX;
    ref_voxel_max(p.inverse, p.n, p.n_voxels, x, p.channels, y);
    for (int i = 0; i < N_CONTEXTS; i++) {
      lat_tensor *voxels = NULL;
      lat_test_assert_ok(lat_voxelize_quantized(contexts[i], p.quantization, &view, &opts, &voxels));
      lat_array_view feats = lat_tensor_feats(voxels);
      for (int64_t j = 0; j < p.n_voxels * p.channels; j++) assert_true(load(feats, j) == y[j]);
      lat_tensor_release(voxels);
    }
    free((void *)view.data);
    free(x);
    free(y);
    free_problem(&p);
  }
}

static void voxelize_gradients_match_the_reference(void **state) {
  (void)state;
  for (uint64_t seed = 100; seed < 124; seed++) {
    problem p = make_problem(seed);
    double *x = NULL, *g = NULL, *expected = allocate(p.n * p.channels, sizeof(double));
    lat_array_view features = draw_values(&p, p.n, &x), grad = draw_values(&p, p.n_voxels, &g);
    for (int mode = 0; mode < 3; mode++) {
      lat_array *made = voxelize_gradient(&p, mode == 2 ? &features : NULL, &grad, mode);
      ref_voxel_grad(p.inverse, p.n, x, g, p.channels, mode, expected);
      assert_close(lat_array_as_view(made), expected, p.n * p.channels, 0.0);
      lat_array_release(made);
    }
    free((void *)features.data);
    free((void *)grad.data);
    free(x);
    free(g);
    free(expected);
    free_problem(&p);
  }
}

static void reduce(const problem *p, const double *x, int mode, double *y) {
  if (mode == 2) {
    ref_voxel_max(p->inverse, p->n, p->n_voxels, x, p->channels, y);
  } else {
    ref_voxel_reduce(p->inverse, p->n, p->n_voxels, x, p->channels, mode == 0, y);
  }
}

/// d/dt of sum(grad * reduce(x + t e_i)) by central differences.
static double difference(const problem *p, double *x, int64_t i, const double *grad, int mode, double *y) {
  const double step = 0x1p-10, kept = x[i];
  double sums[2] = {0.0, 0.0};
  for (int side = 0; side < 2; side++) {
    x[i] = side ? kept + step : kept - step;
    reduce(p, x, mode, y);
    for (int64_t j = 0; j < p->n_voxels * p->channels; j++) sums[side] += grad[j] * y[j];
  }
  x[i] = kept;
  return (sums[1] - sums[0]) / (2.0 * step);
}

// Features are distinct here, so that max has a derivative.
static void voxelize_gradients_match_differences(void **state) {
  (void)state;
  for (uint64_t seed = 201; seed < 206; seed++) {
    problem p = make_problem(6 * seed + 3);
    p.dtype = LAT_DTYPE_F32;
    p.channels = 2;
    double *x = NULL, *g = NULL, *y = allocate(p.n_voxels * p.channels, sizeof(double));
    lat_array_view features = draw_values(&p, p.n, &x), grad = draw_values(&p, p.n_voxels, &g);
    for (int64_t i = 0; i < p.n * p.channels; i++) {
      x[i] += (double)i * 0x1p-8;
      ((float *)(void *)features.data)[i] = (float)x[i];
    }
    for (int mode = 0; mode < 3; mode++) {
      lat_array *made = voxelize_gradient(&p, &features, &grad, mode);
      for (int64_t i = 0; i < p.n * p.channels; i++) {
        assert_true(fabs(load(lat_array_as_view(made), i) - difference(&p, x, i, g, mode, y)) <= 1e-5);
      }
      lat_array_release(made);
    }
    free((void *)features.data);
    free((void *)grad.data);
    free(x);
    free(g);
    free(y);
    free_problem(&p);
  }
}

/// The map of the problem's points and its gradient on every context; the first one, for the caller to release.
static lat_array *interpolate_gradient(const problem *p, const lat_array_view *grad) {
  lat_array_view points = lat_view_2d(p->points, LAT_DTYPE_F64, p->n, 3);
  lat_array *made[N_CONTEXTS] = {NULL};
  for (int i = 0; i < N_CONTEXTS; i++) {
    lat_point_map *map = NULL;
    lat_test_assert_ok(lat_point_map_create(contexts[i], &points, lat_quantization_coords(p->quantization), &p->grid,
                                            p->linear ? LAT_INTERPOLATION_LINEAR : LAT_INTERPOLATION_NEAREST, &map));
    lat_test_assert_ok(lat_interpolate_backward(contexts[i], map, grad, &made[i]));
    assert_same(made[i], made[0]);
    if (i > 0) lat_array_release(made[i]);
    lat_point_map_release(map);
  }
  return made[0];
}

static ref_cloud make_cloud(const problem *p) {
  ref_cloud cloud = {.wide = p->points, .n = p->n};
  for (int axis = 0; axis < 3; axis++) cloud.size[axis] = p->grid.voxel_size[axis];
  return cloud;
}

static void interpolate_gradients_match_the_reference(void **state) {
  (void)state;
  for (uint64_t seed = 300; seed < 330; seed++) {
    problem p = make_problem(seed);
    ref_cloud cloud = make_cloud(&p);
    double *g = NULL, *expected = allocate(p.n_voxels * p.channels, sizeof(double));
    double *weights = allocate(8 * p.n, sizeof(double));
    int32_t *rows = allocate(8 * p.n, sizeof(int32_t));
    lat_array_view grad = draw_values(&p, p.n, &g);
    ref_point_map(&cloud, lat_coords_rows(lat_quantization_coords(p.quantization)).data, p.n_voxels, !p.linear, rows,
                  weights);
    ref_interpolate_grad(rows, weights, p.n, g, p.channels, p.n_voxels, expected);
    lat_array *made = interpolate_gradient(&p, &grad);
    assert_close(lat_array_as_view(made), expected, p.n_voxels * p.channels, 1.0);
    lat_array_release(made);
    free((void *)grad.data);
    free(g);
    free(expected);
    free(weights);
    free(rows);
    free_problem(&p);
  }
}

// Each voxel feature moved in turn, read with the forward reference of devoxelize.
static void interpolate_gradients_match_differences(void **state) {
  (void)state;
  for (uint64_t seed = 401; seed < 405; seed++) {
    problem p = make_problem(6 * seed + 3);
    p.dtype = LAT_DTYPE_F32;
    p.channels = 2;
    ref_cloud cloud = make_cloud(&p);
    const int32_t *lattice = lat_coords_rows(lat_quantization_coords(p.quantization)).data;
    double *x = NULL, *g = NULL, *y = allocate(p.n * p.channels, sizeof(double));
    lat_array_view features = draw_values(&p, p.n_voxels, &x), grad = draw_values(&p, p.n, &g);
    lat_array *made = interpolate_gradient(&p, &grad);
    for (int64_t i = 0; i < p.n_voxels * p.channels; i++) {
      double sums[2] = {0.0, 0.0}, kept = x[i];
      for (int side = 0; side < 2; side++) {
        x[i] = side ? kept + 0.5 : kept - 0.5;
        ref_devoxelize(&cloud, lattice, p.n_voxels, x, p.channels, !p.linear, y);
        for (int64_t j = 0; j < p.n * p.channels; j++) sums[side] += g[j] * y[j];
      }
      x[i] = kept;
      assert_true(fabs(load(lat_array_as_view(made), i) - (sums[1] - sums[0])) <= 2e-5);
    }
    lat_array_release(made);
    free((void *)features.data);
    free((void *)grad.data);
    free(x);
    free(g);
    free(y);
    free_problem(&p);
  }
}

/// One cloud with limits on every context.
static void check_capped(problem *p, int64_t max_points, int64_t max_voxels) {
  ref_cloud cloud = make_cloud(p);
  double *x = NULL;
  int64_t dropped[3];
  int32_t *batches = allocate(p->n, sizeof(int32_t)), *cells = allocate(4 * p->n, sizeof(int32_t));
  int32_t *rows = allocate(4 * p->n, sizeof(int32_t)), *inverse = allocate(p->n, sizeof(int32_t));
  for (int64_t i = 0; i < p->n; i++) batches[i] = (int32_t)(3.0 * draw(p)) - 1;
  cloud.batches = batches;
  ref_point_cells(&cloud, cells);
  int64_t n_kept = ref_cap(cells, p->n, max_points, max_voxels, rows, inverse, dropped);
  lat_array_view features = draw_values(p, p->n, &x), points = lat_view_2d(p->points, LAT_DTYPE_F64, p->n, 3);
  lat_array_view batch_view = lat_view_1d(batches, LAT_DTYPE_I32, p->n);
  double *means = allocate(n_kept * p->channels, sizeof(double)), *counts = allocate(n_kept, sizeof(double));
  for (int64_t i = 0; i < p->n; i++) {
    if (inverse[i] < 0) continue;
    counts[inverse[i]] += 1.0;
    for (int64_t c = 0; c < p->channels; c++) means[inverse[i] * p->channels + c] += x[i * p->channels + c];
  }
  for (int64_t j = 0; j < n_kept * p->channels; j++) means[j] /= counts[j / p->channels];
  lat_voxel_grid grid = p->grid;
  grid.batch_indices = &batch_view;
  for (int i = 0; i < N_CONTEXTS; i++) {
    lat_capped_opts opts = LAT_CAPPED_OPTS_INIT;
    lat_capped_voxels capped;
    opts.max_points = max_points;
    opts.max_voxels = max_voxels;
    lat_test_assert_ok(lat_voxelize_capped(contexts[i], &points, &features, &grid, &opts, &capped));
    assert_int_equal(lat_tensor_count(capped.voxels), n_kept);
    const int32_t *kept = lat_coords_rows(lat_tensor_coords(capped.voxels)).data;
    const int32_t *of_point = lat_quantization_inverse_rows(capped.quantization).data;
    for (int64_t j = 0; j < 4 * n_kept; j++) assert_int_equal(kept[j], rows[j]);
    for (int64_t j = 0; j < p->n; j++) assert_int_equal(of_point[j], inverse[j]);
    assert_close(lat_tensor_feats(capped.voxels), means, n_kept * p->channels, 1.0);
    assert_int_equal(capped.n_points_over, dropped[0]);
    assert_int_equal(capped.n_points_outside, dropped[1]);
    assert_int_equal(capped.n_voxels_dropped, dropped[2]);
    lat_tensor_release(capped.voxels);
    lat_quantization_release(capped.quantization);
  }
  free((void *)features.data);
  free(batches), free(cells), free(rows), free(inverse), free(x), free(means), free(counts);
}

static void capped_voxels_match_the_reference(void **state) {
  (void)state;
  for (uint64_t seed = 500; seed < 524; seed++) {
    problem p = make_problem(seed);
    if (p.n < 2000) {
      check_capped(&p, (int64_t)(4.0 * draw(&p)), (int64_t)(60.0 * draw(&p)));
      check_capped(&p, 1, 1);
    }
    free_problem(&p);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(max_matches_the_reference),
      cmocka_unit_test(voxelize_gradients_match_the_reference),
      cmocka_unit_test(voxelize_gradients_match_differences),
      cmocka_unit_test(interpolate_gradients_match_the_reference),
      cmocka_unit_test(interpolate_gradients_match_differences),
      cmocka_unit_test(capped_voxels_match_the_reference),
  };
  return cmocka_run_group_tests(tests, set_up, tear_down);
}
