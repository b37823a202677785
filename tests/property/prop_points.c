// Points and voxels against the naive references: random clouds of both precisions, thread counts, permutations, strides,
// identities of voxelize and devoxelize, and real scans.
// covers: lat_sparse_quantize lat_voxelize lat_voxelize_quantized lat_devoxelize lat_point_map_create lat_interpolate
#include "support/test_support.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <lattice/lattice.h>

#include "ref/ref_half.h"
#include "ref/ref_points.h"
#include "ref/ref_relation.h"

#define N_CONTEXTS 3
#define MAX_CHANNELS 70

typedef struct problem {
  uint64_t seed;
  lat_dtype points_dtype, feature_dtype;
  int64_t n, channels;
  double size[3], origin[3];
  int has_batches, linear, sum;
  float *narrow;
  double *wide;
  int32_t *batches;
  float *features; ///< values that the feature dtype holds
  void *stored;    ///< the same in the feature dtype
} problem;

static const int32_t thread_counts[N_CONTEXTS] = {1, 2, 5};
static lat_context *contexts[N_CONTEXTS];

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

static double draw_unit(uint64_t seed, uint64_t *n) {
  uint32_t words[4];
  lat_random_block(seed, 91, (*n)++, words);
  return (double)words[0] * 0x1p-32;
}

static int64_t draw(uint64_t seed, uint64_t *n, int64_t bound) {
  return (int64_t)(draw_unit(seed, n) * (double)bound);
}

static void *allocate(int64_t count, size_t bytes) {
  void *memory = calloc((size_t)count + 1, bytes);
  if (memory == NULL) fail_msg("out of memory");
  return memory;
}

static void draw_features(problem *p, uint64_t *n) {
  p->features = allocate(p->n * p->channels, sizeof(float));
  p->stored = allocate(p->n * p->channels, sizeof(float));
  for (int64_t i = 0; i < p->n * p->channels; i++) {
    double value = 8.0 * draw_unit(p->seed, n) - 4.0;
    if (p->feature_dtype == LAT_DTYPE_F16) {
      p->features[i] = (float)ref_half_round(value);
      ((uint16_t *)p->stored)[i] = lat_f32_to_f16(p->features[i]);
    } else {
      p->features[i] = (float)value;
      ((float *)p->stored)[i] = p->features[i];
    }
  }
}

// Coordinates near the origin of the grid, a third of them as close to a voxel border as the precision allows.
static void draw_points(problem *p, uint64_t *n) {
  p->narrow = allocate(p->n * 3, sizeof(float));
  p->wide = allocate(p->n * 3, sizeof(double));
  p->batches = allocate(p->n, sizeof(int32_t));
  double extent = 1.0 + 30.0 * draw_unit(p->seed, n);
  for (int64_t i = 0; i < p->n * 3; i++) {
    double q = extent * (2.0 * draw_unit(p->seed, n) - 1.0);
    if (draw(p->seed, n, 3) == 0) q = floor(q);
    p->wide[i] = p->origin[i % 3] + q * p->size[i % 3];
    p->narrow[i] = (float)p->wide[i];
  }
  for (int64_t i = 0; i < p->n; i++) p->batches[i] = (int32_t)draw(p->seed, n, 4) - 1;
}

static problem make_problem(uint64_t seed) {
  static const int64_t counts[] = {0, 1, 2, 37, 700, 6000, 20000};
  static const int64_t channel_counts[] = {0, 1, 3, 4, 32, 33, MAX_CHANNELS};
  static const double sizes[] = {0.1, 0.05, 1.0, 0.37, 2.5};
  uint64_t n = 0;
  problem p = {.seed = seed};
  p.points_dtype = draw(seed, &n, 2) ? LAT_DTYPE_F32 : LAT_DTYPE_F64;
  p.feature_dtype = draw(seed, &n, 2) ? LAT_DTYPE_F32 : LAT_DTYPE_F16;
  p.n = counts[draw(seed, &n, 7)];
  p.channels = channel_counts[draw(seed, &n, p.n > 5000 ? 4 : 7)];
  p.has_batches = (int)draw(seed, &n, 2);
  p.linear = (int)draw(seed, &n, 2);
  p.sum = (int)draw(seed, &n, 2);
  for (int axis = 0; axis < 3; axis++) {
    p.size[axis] = sizes[draw(seed, &n, 5)];
    p.origin[axis] = draw(seed, &n, 3) == 0 ? 0.0 : 200.0 * draw_unit(seed, &n) - 100.0;
    if (p.points_dtype == LAT_DTYPE_F64 && draw(seed, &n, 3) == 0) p.origin[axis] += 5403547.5;
  }
  draw_points(&p, &n);
  draw_features(&p, &n);
  return p;
}

static void free_problem(problem *p) {
  free(p->narrow);
  free(p->wide);
  free(p->batches);
  free(p->features);
  free(p->stored);
}

static lat_array_view points_view(const problem *p) {
  const void *data = p->points_dtype == LAT_DTYPE_F32 ? (const void *)p->narrow : (const void *)p->wide;
  return lat_view_2d(data, p->points_dtype, p->n, 3);
}

static lat_array_view features_view(const problem *p) {
  return lat_view_2d(p->stored, p->feature_dtype, p->n, p->channels);
}

static lat_voxel_grid make_grid(const problem *p, lat_array_view *batches) {
  lat_voxel_grid grid = {{p->size[0], p->size[1], p->size[2]}, {p->origin[0], p->origin[1], p->origin[2]}, NULL};
  *batches = lat_view_1d(p->batches, LAT_DTYPE_I32, p->n);
  if (p->has_batches) grid.batch_indices = batches;
  return grid;
}

static ref_cloud make_cloud(const problem *p) {
  ref_cloud cloud = {.n = p->n, .batches = p->has_batches ? p->batches : NULL};
  if (p->points_dtype == LAT_DTYPE_F32) {
    cloud.narrow = p->narrow;
  } else {
    cloud.wide = p->wide;
  }
  memcpy(cloud.size, p->size, sizeof cloud.size);
  memcpy(cloud.origin, p->origin, sizeof cloud.origin);
  return cloud;
}

static double value_at(lat_array_view view, int64_t i) {
  if (view.dtype == LAT_DTYPE_F16) return (double)lat_f16_to_f32(((const uint16_t *)view.data)[i]);
  return (double)((const float *)view.data)[i];
}

static void assert_same_bytes(lat_array_view a, lat_array_view b) {
  int64_t count = 1;
  assert_int_equal(a.dtype, b.dtype);
  assert_int_equal(a.rank, b.rank);
  for (int axis = 0; axis < a.rank; axis++) {
    assert_int_equal(a.shape[axis], b.shape[axis]);
    count *= a.shape[axis];
  }
  if (count > 0) assert_memory_equal(a.data, b.data, (size_t)count * lat_dtype_bytes(a.dtype));
}

// sparse_quantize on every context: rows, inverse rows and counts are the reference's.
static void check_quantize(const problem *p) {
  lat_array_view batches, points = points_view(p);
  lat_voxel_grid grid = make_grid(p, &batches);
  ref_cloud cloud = make_cloud(p);
  int32_t *cells = allocate(p->n * 4, sizeof(int32_t)), *unique = allocate(p->n * 4, sizeof(int32_t));
  int32_t *inverse = allocate(p->n, sizeof(int32_t)), *counts = allocate(p->n, sizeof(int32_t));
  ref_point_cells(&cloud, cells);
  int64_t n_voxels = ref_unique_rows(cells, p->n, unique, inverse);
  for (int64_t i = 0; i < p->n; i++) counts[inverse[i]]++;
  for (int i = 0; i < N_CONTEXTS; i++) {
    lat_quantization *quantization = NULL;
    lat_test_assert_ok(lat_sparse_quantize(contexts[i], &points, &grid, &quantization));
    assert_same_bytes(lat_coords_rows(lat_quantization_coords(quantization)),
                      lat_view_2d(unique, LAT_DTYPE_I32, n_voxels, 4));
    assert_same_bytes(lat_quantization_inverse_rows(quantization), lat_view_1d(inverse, LAT_DTYPE_I32, p->n));
    assert_same_bytes(lat_quantization_counts(quantization), lat_view_1d(counts, LAT_DTYPE_I32, n_voxels));
    lat_quantization_release(quantization);
  }
  free(cells);
  free(unique);
  free(inverse);
  free(counts);
}

// Features of `voxels` against float32 sums in point order (to the bit) and against double sums (to rounding).
static void check_voxel_features(const problem *p, const int32_t *inverse, const lat_tensor *voxels) {
  int64_t n_voxels = lat_tensor_count(voxels), count = n_voxels * p->channels;
  float *sums = allocate(count, sizeof(float));
  double *exact = allocate(count, sizeof(double)), *x = allocate(p->n * p->channels, sizeof(double));
  lat_array_view feats = lat_tensor_feats(voxels);
  for (int64_t i = 0; i < p->n * p->channels; i++) x[i] = p->features[i];
  ref_voxel_reduce_f32(inverse, p->n, n_voxels, p->features, p->channels, !p->sum, sums);
  ref_voxel_reduce(inverse, p->n, n_voxels, x, p->channels, !p->sum, exact);
  for (int64_t i = 0; i < count; i++) {
    double half = p->feature_dtype == LAT_DTYPE_F16 ? ref_half_round(sums[i]) : (double)sums[i];
    assert_true(value_at(feats, i) == half);
    double bound = (p->feature_dtype == LAT_DTYPE_F16 ? 0x1p-10 : 1e-5) * (1.0 + fabs(exact[i])) + 1e-3 * p->sum;
    assert_true(fabs(value_at(feats, i) - exact[i]) <= bound);
  }
  free(sums);
  free(exact);
  free(x);
}

static lat_tensor *check_voxelize(const problem *p) {
  lat_array_view batches, points = points_view(p), features = features_view(p);
  lat_voxel_grid grid = make_grid(p, &batches);
  lat_tensor *first = NULL;
  lat_quantization *quantization = NULL;
  lat_test_assert_ok(lat_sparse_quantize(contexts[0], &points, &grid, &quantization));
  for (int i = 0; i < N_CONTEXTS; i++) {
    lat_tensor *voxels = NULL;
    lat_test_assert_ok(
        lat_voxelize(contexts[i], &points, &features, &grid, p->sum ? LAT_VOXEL_SUM : LAT_VOXEL_MEAN, &voxels));
    if (first == NULL) {
      first = lat_tensor_retain(voxels);
      assert_same_bytes(lat_coords_rows(lat_tensor_coords(voxels)),
                        lat_coords_rows(lat_quantization_coords(quantization)));
      check_voxel_features(p, lat_quantization_inverse_rows(quantization).data, voxels);
    }
    assert_same_bytes(lat_tensor_feats(voxels), lat_tensor_feats(first));
    assert_same_bytes(lat_coords_rows(lat_tensor_coords(voxels)), lat_coords_rows(lat_tensor_coords(first)));
    lat_tensor_release(voxels);
    lat_voxelize_opts opts = LAT_VOXELIZE_OPTS_INIT;
    opts.reduction = p->sum ? LAT_VOXEL_SUM : LAT_VOXEL_MEAN;
    lat_test_assert_ok(lat_voxelize_quantized(contexts[i], quantization, &features, &opts, &voxels));
    assert_same_bytes(lat_tensor_feats(voxels), lat_tensor_feats(first));
    lat_tensor_release(voxels);
  }
  lat_quantization_release(quantization);
  return first;
}

/// Rows of the map are the reference's, weights within a rounding or three, and what is read through it are the bits of
/// devoxelize.
static void check_map(const problem *p, const lat_tensor *voxels, const lat_array *read) {
  lat_array_view batches, points = points_view(p), feats = lat_tensor_feats(voxels);
  lat_voxel_grid grid = make_grid(p, &batches);
  ref_cloud cloud = make_cloud(p);
  int32_t *rows = allocate(8 * p->n, sizeof(int32_t));
  double *weights = allocate(8 * p->n, sizeof(double));
  ref_point_map(&cloud, lat_coords_rows(lat_tensor_coords(voxels)).data, lat_tensor_count(voxels), !p->linear, rows,
                weights);
  for (int i = 0; i < N_CONTEXTS; i++) {
    lat_point_map *map = NULL;
    lat_array *through = NULL;
    lat_test_assert_ok(lat_point_map_create(contexts[i], &points, lat_tensor_coords(voxels), &grid,
                                            p->linear ? LAT_INTERPOLATION_LINEAR : LAT_INTERPOLATION_NEAREST, &map));
    assert_same_bytes(lat_point_map_rows(map), lat_view_2d(rows, LAT_DTYPE_I32, p->n, 8));
    const float *made = lat_point_map_weights(map).data;
    for (int64_t slot = 0; slot < 8 * p->n; slot++) assert_true(fabs(made[slot] - weights[slot]) <= 0x1p-21);
    lat_test_assert_ok(lat_interpolate(contexts[i], &feats, map, &through));
    assert_same_bytes(lat_array_as_view(through), lat_array_as_view(read));
    lat_array_release(through);
    lat_point_map_release(map);
  }
  free(rows);
  free(weights);
}

static void check_devoxelize(const problem *p, const lat_tensor *voxels) {
  lat_array_view batches, points = points_view(p);
  lat_voxel_grid grid = make_grid(p, &batches);
  ref_cloud cloud = make_cloud(p);
  int64_t count = p->n * p->channels, n_voxels = lat_tensor_count(voxels);
  double *x = allocate(n_voxels * p->channels, sizeof(double)), *y = allocate(count, sizeof(double));
  lat_array *first = NULL;
  for (int64_t i = 0; i < n_voxels * p->channels; i++) x[i] = value_at(lat_tensor_feats(voxels), i);
  ref_devoxelize(&cloud, lat_coords_rows(lat_tensor_coords(voxels)).data, n_voxels, x, p->channels, !p->linear, y);
  for (int i = 0; i < N_CONTEXTS; i++) {
    lat_array *read = NULL;
    lat_test_assert_ok(lat_devoxelize(contexts[i], &points, voxels, &grid,
                                      p->linear ? LAT_INTERPOLATION_LINEAR : LAT_INTERPOLATION_NEAREST, &read));
    if (first == NULL) first = lat_array_retain(read);
    assert_same_bytes(lat_array_as_view(read), lat_array_as_view(first));
    lat_array_release(read);
  }
  for (int64_t i = 0; i < count; i++) {
    double precision = p->feature_dtype == LAT_DTYPE_F16 ? 0x1p-10 : 1e-6;
    assert_true(fabs(value_at(lat_array_as_view(first), i) - y[i]) <= precision * (1.0 + fabs(y[i])) + 2e-4 * p->sum);
  }
  check_map(p, voxels, first);
  lat_array_release(first);
  free(x);
  free(y);
}

static void random_clouds_match_the_reference(void **state) {
  (void)state;
  for (uint64_t seed = 1; seed <= 60; seed++) {
    problem p = make_problem(seed);
    check_quantize(&p);
    lat_tensor *voxels = check_voxelize(&p);
    check_devoxelize(&p, voxels);
    lat_tensor_release(voxels);
    free_problem(&p);
  }
}

// Permuting the points permutes the voxels into the order in which the permuted points see them.
static void permuted_points_permute_the_voxels(void **state) {
  (void)state;
  for (uint64_t seed = 100; seed < 110; seed++) {
    problem p = make_problem(seed);
    uint64_t n = 1000000;
    p.points_dtype = LAT_DTYPE_F64;
    check_quantize(&p);
    for (int64_t i = p.n - 1; i > 0; i--) {
      int64_t j = draw(seed, &n, i + 1);
      for (int axis = 0; axis < 3; axis++) {
        double swapped = p.wide[3 * i + axis];
        p.wide[3 * i + axis] = p.wide[3 * j + axis];
        p.wide[3 * j + axis] = swapped;
      }
      int32_t batch = p.batches[i];
      p.batches[i] = p.batches[j];
      p.batches[j] = batch;
    }
    check_quantize(&p);
    free_problem(&p);
  }
}

// Views with any steps: columns of wider rows, rows in reverse, features by column, one batch index for all points.
static void strides_of_views_do_not_matter(void **state) {
  (void)state;
  enum { n = 300 };
  static float wide[n][7], dense[n][3], feats[n][2], columns[2][n];
  const int32_t one_batch = 5;
  uint64_t drawn = 0;
  lat_tensor *results[3] = {NULL};
  for (int i = 0; i < n; i++) {
    for (int c = 0; c < 7; c++) wide[i][c] = (float)(4.0 * draw_unit(9, &drawn));
    for (int axis = 0; axis < 3; axis++) dense[n - 1 - i][axis] = wide[i][2 * axis];
    for (int c = 0; c < 2; c++) feats[n - 1 - i][c] = columns[c][n - 1 - i] = wide[i][c + 5];
  }
  for (int strided = 0; strided < 3; strided++) {
    lat_array_view points = lat_view_2d(dense, LAT_DTYPE_F32, n, 3), x = lat_view_2d(feats, LAT_DTYPE_F32, n, 2);
    lat_array_view batches = lat_view_1d(&one_batch, LAT_DTYPE_I32, n);
    batches.stride[0] = 0;
    if (strided == 2) {
      x.data = columns, x.stride[0] = 1, x.stride[1] = n;
    } else if (strided == 1) {
      points.data = &wide[n - 1][0], points.stride[0] = -7, points.stride[1] = 2;
      x.data = &wide[n - 1][5], x.stride[0] = -7;
    }
    lat_voxel_grid grid = lat_voxel_grid_cube(1.0);
    grid.batch_indices = &batches;
    lat_test_assert_ok(lat_voxelize(contexts[0], &points, &x, &grid, LAT_VOXEL_MEAN, &results[strided]));
  }
  assert_int_equal(((const int32_t *)lat_coords_rows(lat_tensor_coords(results[1])).data)[0], 5);
  assert_same_bytes(lat_coords_rows(lat_tensor_coords(results[0])), lat_coords_rows(lat_tensor_coords(results[1])));
  for (int i = 1; i < 3; i++) assert_same_bytes(lat_tensor_feats(results[0]), lat_tensor_feats(results[i]));
  for (int i = 0; i < 3; i++) lat_tensor_release(results[i]);
}

// At distinct lattice points every way of reading gives back what was written; so does an affine function between them.
static void devoxelize_undoes_voxelize_at_lattice_points(void **state) {
  (void)state;
  enum { side = 9, n = side * side * side };
  static float points[n][3], feats[n][2], between[n][3];
  for (int i = 0; i < n; i++) {
    const int cell[3] = {i % side - 4, i / side % side - 4, i / (side * side) - 4};
    for (int axis = 0; axis < 3; axis++) {
      points[i][axis] = 0.25f * (float)cell[axis];
      between[i][axis] = 0.25f * ((float)(cell[axis] > 3 ? 3 : cell[axis]) + 0.125f * (float)(i % 7));
    }
    feats[i][0] = (float)i / 3.0f;
    feats[i][1] = 8.0f * points[i][0] - 4.0f * points[i][1] + 2.0f * points[i][2] + 1.0f;
  }
  lat_array_view p = lat_view_2d(points, LAT_DTYPE_F32, n, 3), x = lat_view_2d(feats, LAT_DTYPE_F32, n, 2);
  lat_array_view q = lat_view_2d(between, LAT_DTYPE_F32, n, 3);
  lat_voxel_grid grid = lat_voxel_grid_cube(0.25);
  lat_tensor *voxels = NULL;
  lat_array *read = NULL;
  lat_test_assert_ok(lat_voxelize(contexts[1], &p, &x, &grid, LAT_VOXEL_MEAN, &voxels));
  for (int mode = 0; mode < 2; mode++) {
    lat_test_assert_ok(lat_devoxelize(contexts[1], &p, voxels, &grid, (lat_interpolation)mode, &read));
    assert_memory_equal(lat_array_as_view(read).data, feats, sizeof feats);
    lat_array_release(read);
  }
  lat_test_assert_ok(lat_devoxelize(contexts[1], &q, voxels, &grid, LAT_INTERPOLATION_LINEAR, &read));
  const float *values = lat_array_as_view(read).data;
  for (int i = 0; i < n; i++) {
    float expected = 8.0f * between[i][0] - 4.0f * between[i][1] + 2.0f * between[i][2] + 1.0f;
    assert_true(fabsf(values[2 * i + 1] - expected) <= 1e-5f);
  }
  lat_array_release(read);
  lat_tensor_release(voxels);
}

// The name of the first point at fault does not depend on the threads.
static void the_first_fault_is_named_by_all_thread_counts(void **state) {
  (void)state;
  enum { n = 60000 };
  static float points[n][3];
  const int32_t row[1][4] = {{0, 0, 0, 0}};
  for (int64_t i = 31234; i < n; i += 777) points[i][i % 3] = NAN;
  lat_array_view rows = lat_view_2d(row, LAT_DTYPE_I32, 1, 4), feats = lat_view_2d(points, LAT_DTYPE_F32, 1, 1);
  lat_coords *coords = NULL;
  lat_tensor *voxels = NULL;
  lat_test_assert_ok(lat_coords_create(contexts[0], &rows, NULL, &coords));
  lat_test_assert_ok(lat_tensor_create(contexts[0], coords, &feats, NULL, &voxels));
  lat_array_view view = lat_view_2d(points, LAT_DTYPE_F32, n, 3);
  lat_voxel_grid grid = lat_voxel_grid_cube(1.0);
  for (int i = 0; i < N_CONTEXTS; i++) {
    for (int repeat = 0; repeat < 5; repeat++) {
      lat_quantization *quantization = NULL;
      lat_test_assert_error(lat_sparse_quantize(contexts[i], &view, &grid, &quantization), LAT_STATUS_INVALID_ARGUMENT,
                            "at point 31234,");
      assert_null(quantization);
      lat_array *read = NULL;
      lat_test_assert_error(lat_devoxelize(contexts[i], &view, voxels, &grid, (lat_interpolation)(repeat % 2), &read),
                            LAT_STATUS_INVALID_ARGUMENT, "at point 31234,");
      assert_null(read);
    }
  }
  lat_tensor_release(voxels);
  lat_coords_release(coords);
}

// Reads a scan of rows of `fields` floats: its points and last field.
static int read_scan(const char *path, int fields, problem *p) {
  char name[1024];
  if (!lat_test_shared_path(path, name, sizeof name)) return 0;
  FILE *file = fopen(name, "rb");
  assert_non_null(file);
  float row[8];
  const int64_t capacity = 200000;
  p->narrow = allocate(capacity * 3, sizeof(float));
  p->features = allocate(capacity, sizeof(float));
  p->stored = allocate(capacity, sizeof(float));
  while (p->n < capacity && fread(row, sizeof(float), (size_t)fields, file) == (size_t)fields) {
    memcpy(p->narrow + 3 * p->n, row, 3 * sizeof(float));
    p->features[p->n] = row[3];
    ((float *)p->stored)[p->n] = row[3];
    p->n++;
  }
  fclose(file);
  return 1;
}

static void real_scans_match_the_reference(void **state) {
  (void)state;
  static const struct {
    const char *path;
    int fields;
    int64_t n_points;
  } scans[] = {{"data/kitti_det_000001.bin", 4, 120268},
               {"data/nuscenes_n015_LIDAR_TOP_1532402927647951.pcd.bin", 5, 34688}};
  for (int i = 0; i < 2; i++) {
    problem p = {.points_dtype = LAT_DTYPE_F32, .feature_dtype = LAT_DTYPE_F32, .channels = 1, .linear = 1};
    for (int axis = 0; axis < 3; axis++) p.size[axis] = 0.05;
    if (!read_scan(scans[i].path, scans[i].fields, &p)) skip();
    assert_int_equal(p.n, scans[i].n_points);
    check_quantize(&p);
    lat_tensor *voxels = check_voxelize(&p);
    if (p.n < 100000) check_devoxelize(&p, voxels); // the reference takes seconds for more
    lat_tensor_release(voxels);
    free_problem(&p);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(random_clouds_match_the_reference),
      cmocka_unit_test(permuted_points_permute_the_voxels),
      cmocka_unit_test(strides_of_views_do_not_matter),
      cmocka_unit_test(devoxelize_undoes_voxelize_at_lattice_points),
      cmocka_unit_test(the_first_fault_is_named_by_all_thread_counts),
      cmocka_unit_test(real_scans_match_the_reference),
  };
  return cmocka_run_group_tests(tests, set_up, tear_down);
}
