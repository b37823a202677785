/// Scenes: made up, read from the shared data, or taken from a point file.
#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "scene.h"
#include "simulate_street.h"

#define TRY(expr, label)                                                                                               \
  do {                                                                                                                 \
    status = (expr);                                                                                                   \
    if (status) goto label;                                                                                            \
  } while (0)

enum { DEFAULT_COUNT = 100000 };

/// Streams of the random generator.
enum { STREAM_CELLS = 1001, STREAM_JITTER = 1002 };

static int64_t wanted_count(const problem *item) {
  return item->n == PROBLEM_ANY_COUNT ? DEFAULT_COUNT : item->n;
}

static int64_t at_most(int64_t count, const problem *item) {
  return item->n != PROBLEM_ANY_COUNT && item->n < count ? item->n : count;
}

static lat_status new_array(lat_context *context, lat_dtype dtype, int64_t rows, int64_t columns, lat_array **out) {
  const int64_t shape[2] = {rows, columns};
  return lat_array_full(context, dtype, columns ? 2 : 1, shape, 0.0, out);
}

// --- random voxels --------------------------------------------------------------------------------------------------

/// A permutation of the numbers below 2^n_bits: three rounds of add, multiply by an odd number, fold the high bits down.
static uint64_t permute(uint64_t value, int n_bits, const uint32_t keys[4]) {
  uint64_t mask = n_bits ? UINT64_MAX >> (64 - n_bits) : 0;
  for (int round = 0; round < 3; round++) {
    value = (value + keys[round]) & mask;
    value = (value * (((uint64_t)keys[round] << 32 ^ keys[3]) | 1)) & mask;
    value ^= value >> (n_bits / 2 + 1);
  }
  return value;
}

static lat_status random_rows(lat_context *context, const problem *item, int64_t n, lat_array **out) {
  int64_t side = 1;
  while ((double)side * (double)side * (double)side * item->batch * item->density < (double)n) side++;
  uint64_t cube = (uint64_t)side * (uint64_t)side * (uint64_t)side, n_cells = cube * (uint64_t)item->batch;
  int n_bits = 0;
  while (n_bits < 63 && (1ull << n_bits) < n_cells) n_bits++;
  uint32_t keys[4];
  lat_random_block(item->seed, STREAM_CELLS, 0, keys);
  lat_status status = new_array(context, LAT_DTYPE_I32, n, 4, out);
  if (status) return status;
  int32_t *row = lat_array_data(*out);
  for (int64_t i = 0, candidate = 0; i < n; candidate++) {
    uint64_t cell = permute((uint64_t)candidate, n_bits, keys);
    if (cell >= n_cells) continue;
    uint64_t place = cell % cube;
    row[0] = (int32_t)(cell / cube);
    row[1] = (int32_t)(place / ((uint64_t)side * (uint64_t)side)) - (int32_t)(side / 2);
    row[2] = (int32_t)(place / (uint64_t)side % (uint64_t)side) - (int32_t)(side / 2);
    row[3] = (int32_t)(place % (uint64_t)side) - (int32_t)(side / 2);
    row += 4;
    i++;
  }
  return LAT_STATUS_OK;
}

/// Two points in each voxel, somewhere inside it.
static lat_status random_points(lat_context *context, const problem *item, lat_array **points, lat_array **batches) {
  int64_t n = wanted_count(item);
  lat_array *rows = NULL;
  lat_status status;
  TRY(random_rows(context, item, n / 2 + n % 2, &rows), done);
  TRY(new_array(context, LAT_DTYPE_F32, n, 3, points), done);
  TRY(new_array(context, LAT_DTYPE_I32, n, 0, batches), done);
  const int32_t *row = lat_array_data(rows);
  float *point = lat_array_data(*points);
  int32_t *batch = lat_array_data(*batches);
  for (int64_t i = 0; i < n; i++) {
    uint32_t draw[4];
    lat_random_block(item->seed, STREAM_JITTER, (uint64_t)i, draw);
    for (int axis = 0; axis < 3; axis++) {
      double place = (double)row[i / 2 * 4 + 1 + axis] + (double)draw[axis] * 0x1p-32;
      point[i * 3 + axis] = (float)(place * item->voxel);
    }
    batch[i] = row[i / 2 * 4];
  }
done:
  lat_array_release(rows);
  return status;
}

// --- voxel lists of the shared data ---------------------------------------------------------------------------------

static lat_status open_voxels(const problem *item, char *path, size_t path_bytes, FILE **out) {
  const char *shared = getenv("LATTICE_SHARED");
  snprintf(path, path_bytes, "%s/bench/%s.bin", shared && *shared ? shared : "../shared",
           problem_scene_name(item->scene));
  *out = fopen(path, "rb");
  if (*out) return LAT_STATUS_OK;
  return lat_fail(LAT_STATUS_IO_ERROR,
                  "scene: cannot open '%s': %s; set LATTICE_SHARED to the folder that has bench/%s.bin, or use "
                  "scene=street or scene=random",
                  path, strerror(errno), problem_scene_name(item->scene));
}

/// `(N, 3)` int32 voxels: a count, then x, y, z of each, little endian.
static lat_status read_voxels(lat_context *context, const problem *item, lat_array **out) {
  char path[1024];
  FILE *file = NULL;
  int32_t count = 0;
  lat_status status = open_voxels(item, path, sizeof path, &file);
  if (status) return status;
  long size = fseek(file, 0, SEEK_END) == 0 ? ftell(file) : -1;
  rewind(file);
  if (fread(&count, sizeof count, 1, file) != 1 || count < 0 || size != 4 + 12 * (long)count) {
    status = lat_fail(LAT_STATUS_BAD_DATA, "scene: '%s' is no voxel list: got %ld bytes, expected 4 + 12 * %d", path,
                      size, count);
  }
  int64_t n = at_most(count, item);
  if (!status) status = new_array(context, LAT_DTYPE_I32, n, 3, out);
  if (!status && fread(lat_array_data(*out), 12, (size_t)n, file) != (size_t)n) {
    status = lat_fail(LAT_STATUS_IO_ERROR, "scene: cannot read '%s'", path);
  }
  fclose(file);
  return status;
}

// --- point clouds ---------------------------------------------------------------------------------------------------

/// The first `n` points of a cloud's positions.
static lat_array_view first_rows(lat_array_view view, int64_t n) {
  view.shape[0] = n;
  return view;
}

/// Copies of the `(N, 3)` view, one after another, for each batch item, with their batch indices.
static lat_status repeat_points(lat_context *context, const problem *item, const lat_array_view *view,
                                lat_array **points, lat_array **batches) {
  int64_t n = view->shape[0];
  lat_array *once = NULL;
  lat_status status;
  TRY(lat_array_create(context, view, &once), done);
  TRY(new_array(context, view->dtype, n * item->batch, 3, points), done);
  TRY(new_array(context, LAT_DTYPE_I32, n * item->batch, 0, batches), done);
  size_t bytes = (size_t)n * 3 * lat_dtype_bytes(view->dtype);
  int32_t *batch = lat_array_data(*batches);
  for (int32_t b = 0; n && b < item->batch; b++) {
    memcpy((char *)lat_array_data(*points) + (size_t)b * bytes, lat_array_data(once), bytes);
    for (int64_t i = 0; i < n; i++) batch[b * n + i] = b;
  }
done:
  lat_array_release(once);
  return status;
}

static lat_status scan_points(lat_context *context, const problem *item, lat_array **points, lat_array **batches) {
  lat_cloud *cloud = NULL;
  lat_status status;
  TRY(lat_cloud_read(context, item->scan, NULL, &cloud), done);
  lat_array_view view = first_rows(lat_cloud_positions(cloud), at_most(lat_cloud_count(cloud), item));
  TRY(repeat_points(context, item, &view, points, batches), done);
done:
  lat_cloud_release(cloud);
  return status;
}

/// The centres of the listed voxels.
static lat_status voxel_points(lat_context *context, const problem *item, lat_array **points, lat_array **batches) {
  lat_array *voxels = NULL, *centres = NULL;
  lat_status status;
  TRY(read_voxels(context, item, &voxels), done);
  int64_t n = lat_array_as_view(voxels).shape[0];
  TRY(new_array(context, LAT_DTYPE_F32, n, 3, &centres), done);
  const int32_t *voxel = lat_array_data(voxels);
  float *centre = lat_array_data(centres);
  for (int64_t i = 0; i < 3 * n; i++) centre[i] = (float)(((double)voxel[i] + 0.5) * item->voxel);
  lat_array_view view = lat_array_as_view(centres);
  TRY(repeat_points(context, item, &view, points, batches), done);
done:
  lat_array_release(voxels);
  lat_array_release(centres);
  return status;
}

static lat_status street_points(lat_context *context, const problem *item, lat_array **points, lat_array **batches) {
  int64_t n = item->n == PROBLEM_ANY_COUNT ? STREET_DEFAULT_POINTS : item->n;
  if (n > STREET_MOST_POINTS) {
    return lat_fail(LAT_STATUS_INVALID_ARGUMENT,
                    "scene: too many points for a street: got n=%" PRId64 ", expected at most %d", n,
                    STREET_MOST_POINTS);
  }
  lat_cloud *clouds[STREET_MOST_SWEEPS] = {NULL};
  lat_array *merged = NULL;
  int64_t n_points = 0, first = 0;
  lat_status status;
  for (int32_t i = 0; i < item->sweeps; i++) {
    TRY(simulate_street_sweep(context, item->seed, n ? n : 1, i, NULL, &clouds[i]), done);
    n_points += at_most(lat_cloud_count(clouds[i]), item);
  }
  TRY(new_array(context, LAT_DTYPE_F32, n_points, 3, &merged), done);
  for (int32_t i = 0; i < item->sweeps; i++) {
    int64_t count = at_most(lat_cloud_count(clouds[i]), item);
    if (count > 0) {
      memcpy((float *)lat_array_data(merged) + 3 * first, lat_cloud_positions(clouds[i]).data,
             (size_t)count * 3 * sizeof(float));
    }
    first += count;
  }
  lat_array_view view = lat_array_as_view(merged);
  TRY(repeat_points(context, item, &view, points, batches), done);
done:
  lat_array_release(merged);
  for (int32_t i = 0; i < item->sweeps; i++) lat_cloud_release(clouds[i]);
  return status;
}

// --- the two questions ----------------------------------------------------------------------------------------------

lat_status scene_points(lat_context *context, const problem *item, lat_array **points, lat_array **batches) {
  lat_status status = LAT_STATUS_INTERNAL;
  *points = *batches = NULL;
  switch (item->scene) {
  case PROBLEM_SCENE_RANDOM:
    status = random_points(context, item, points, batches);
    break;
  case PROBLEM_SCENE_STREET:
    status = street_points(context, item, points, batches);
    break;
  case PROBLEM_SCENE_CPU_LIDAR:
  case PROBLEM_SCENE_CPU_INDOOR:
    status = voxel_points(context, item, points, batches);
    break;
  case PROBLEM_SCENE_SCAN:
    status = scan_points(context, item, points, batches);
    break;
  }
  if (!status) return status;
  lat_array_release(*points);
  lat_array_release(*batches);
  *points = *batches = NULL;
  return status;
}

/// `(N, 4)` rows of a voxel list, repeated for each batch item.
static lat_status listed_rows(lat_context *context, const problem *item, lat_array **out) {
  lat_array *voxels = NULL;
  lat_status status;
  TRY(read_voxels(context, item, &voxels), done);
  int64_t n = lat_array_as_view(voxels).shape[0];
  TRY(new_array(context, LAT_DTYPE_I32, n * item->batch, 4, out), done);
  const int32_t *voxel = lat_array_data(voxels);
  int32_t *row = lat_array_data(*out);
  for (int64_t i = 0; i < n * item->batch; i++) {
    row[i * 4] = (int32_t)(i / n);
    memcpy(row + i * 4 + 1, voxel + i % n * 3, 3 * sizeof *row);
  }
done:
  lat_array_release(voxels);
  return status;
}

static lat_status quantized_rows(lat_context *context, const problem *item, lat_array **out) {
  lat_array *points = NULL, *batches = NULL;
  lat_quantization *quantization = NULL;
  lat_status status;
  TRY(scene_points(context, item, &points, &batches), done);
  lat_voxel_grid grid = lat_voxel_grid_cube(item->voxel);
  lat_array_view view = lat_array_as_view(points), batch_view = lat_array_as_view(batches);
  grid.batch_indices = &batch_view;
  TRY(lat_sparse_quantize(context, &view, &grid, &quantization), done);
  lat_array_view rows = lat_coords_rows(lat_quantization_coords(quantization));
  TRY(lat_array_create(context, &rows, out), done);
done:
  lat_quantization_release(quantization);
  lat_array_release(points);
  lat_array_release(batches);
  return status;
}

static int compare_rows(const void *a, const void *b) {
  const int32_t *left = a, *right = b;
  for (int i = 0; i < 4; i++) {
    if (left[i] != right[i]) return left[i] < right[i] ? -1 : 1;
  }
  return 0;
}

lat_status scene_rows(lat_context *context, const problem *item, lat_array **out) {
  lat_status status = LAT_STATUS_INTERNAL;
  *out = NULL;
  switch (item->scene) {
  case PROBLEM_SCENE_RANDOM:
    status = random_rows(context, item, wanted_count(item), out);
    break;
  case PROBLEM_SCENE_CPU_LIDAR:
  case PROBLEM_SCENE_CPU_INDOOR:
    status = listed_rows(context, item, out);
    break;
  case PROBLEM_SCENE_STREET:
  case PROBLEM_SCENE_SCAN:
    status = quantized_rows(context, item, out);
    break;
  }
  if (!status && item->order == PROBLEM_ORDER_LEX) {
    qsort(lat_array_data(*out), (size_t)lat_array_as_view(*out).shape[0], 4 * sizeof(int32_t), compare_rows);
  }
  if (!status) return status;
  lat_array_release(*out);
  *out = NULL;
  return status;
}
