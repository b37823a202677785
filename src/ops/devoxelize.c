// Voxel features read at points: the cells around each point, their rows, a weighted sum. Works in blocks of points, so
// that the workspace (eight rows and weights for each point) stays in the cache and small beside the result.

#include "backend/backend.h"
#include "coords/coords_internal.h"
#include "coords/tensor_internal.h"
#include "core/alloc.h"
#include "core/array_internal.h"
#include "core/checked.h"
#include "core/compiler.h"
#include "ops/points_internal.h"

/// One block of points: what it reads, then its part of the result.
static lat_status run_block(lat_context *context, const char *op, const lat__points *points, const lat_tensor *voxels,
                            const lat__interpolate_desc *block, int64_t begin, const lat__point_voxels *found) {
  lat_status status = lat__points_find(context, op, points, voxels->coords, begin, block->n_points, found);
  return status ? status : lat__backend_of(context)->interpolate(context, block);
}

static lat_status run(lat_context *context, const char *op, const lat__points *points, const lat_tensor *voxels,
                      lat_interpolation interpolation, lat_array *result) {
  lat_status status = LAT_STATUS_OK;
  void *cells = NULL, *rows = NULL, *weights = NULL;
  const int32_t n_slots = interpolation == LAT_INTERPOLATION_LINEAR ? LAT__MAP_SLOTS : 1;
  const int64_t block = lat__min_i64(points->n, (int64_t)LAT__MAP_BLOCK_POINTS * lat_context_threads(context));
  const int64_t channels = lat_tensor_channels(voxels);
  const size_t row_bytes = (size_t)channels * lat_dtype_bytes(lat_tensor_dtype(voxels));
  LAT_TRY(lat__alloc_items(context, op, block * n_slots, 4 * sizeof(int32_t), &cells), done);
  LAT_TRY(lat__alloc_items(context, op, block * n_slots, sizeof(int32_t), &rows), done);
  LAT_TRY(lat__alloc_items(context, op, block * n_slots, sizeof(float), &weights), done);
  const lat__point_voxels found = {n_slots, cells, rows, weights};
  for (int64_t begin = 0; begin < points->n; begin += block) {
    lat__interpolate_desc desc = {.n_points = lat__min_i64(block, points->n - begin),
                                  .channels = channels,
                                  .n_slots = n_slots,
                                  .dtype = lat_tensor_dtype(voxels),
                                  .rows = rows,
                                  .weights = n_slots > 1 ? weights : NULL,
                                  .x = voxels->feats->view.data,
                                  .y = (char *)lat_array_data(result) + (size_t)begin * row_bytes};
    LAT_TRY(run_block(context, op, points, voxels, &desc, begin, &found), done);
  }
done:
  lat__free(context, cells);
  lat__free(context, rows);
  lat__free(context, weights);
  return status;
}

lat_status lat_devoxelize(lat_context *context, const lat_array_view *points, const lat_tensor *voxels,
                          const lat_voxel_grid *grid, lat_interpolation interpolation, lat_array **out) {
  static const char op[] = "devoxelize";
  lat_status status = LAT_STATUS_OK;
  lat__points taken;
  lat_array *result = NULL;
  if (!out) return lat_fail(LAT_STATUS_INVALID_ARGUMENT, "%s: out: got NULL, expected a place for the array", op);
  *out = NULL;
  status = lat__points_take(context, op, points, grid, &taken);
  if (status) return status;
  if (!voxels) return lat_fail(LAT_STATUS_INVALID_ARGUMENT, "%s: voxels: got NULL, expected a sparse tensor", op);
  LAT_TRY(lat__interpolation_check(op, interpolation), done);
  LAT_TRY(lat__array_new_2d(context, op, lat_tensor_dtype(voxels), taken.n, lat_tensor_channels(voxels), &result),
          done);
  LAT_TRY(run(context, op, &taken, voxels, interpolation, result), done);
  *out = result;
  result = NULL;
done:
  lat_array_release(result);
  return status;
}
