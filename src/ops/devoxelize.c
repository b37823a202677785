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

/// Points of a block for each thread.
#define BLOCK_POINTS 4096

/// Workspace of one block.
typedef struct block_buffers {
  int32_t *cells; ///< (points, slots, 4)
  int32_t *rows;  ///< (points, slots)
  float *weights; ///< (points, slots)
} block_buffers;

static lat_status check_inputs(const char *op, const lat_tensor *voxels, lat_interpolation interpolation) {
  if (!voxels) return lat_fail(LAT_STATUS_INVALID_ARGUMENT, "%s: voxels: got NULL, expected a sparse tensor", op);
  if (interpolation != LAT_INTERPOLATION_LINEAR && interpolation != LAT_INTERPOLATION_NEAREST) {
    return lat_fail(LAT_STATUS_INVALID_ARGUMENT,
                    "%s: interpolation: got %d, expected LAT_INTERPOLATION_LINEAR or "
                    "LAT_INTERPOLATION_NEAREST",
                    op, (int)interpolation);
  }
  return LAT_STATUS_OK;
}

/// Corners beyond int32 are missing, whatever the cell that stands in for them found.
static void drop_outside(int64_t n_slots, const float *weights, int32_t *rows) {
  for (int64_t slot = 0; slot < n_slots; slot++) rows[slot] = weights[slot] < 0.0f ? -1 : rows[slot];
}

static lat_status run_block(lat_context *context, const char *op, const lat__points *points, const lat_tensor *voxels,
                            const lat__interpolate_desc *block, int64_t begin, const block_buffers *buffers) {
  lat_status status = LAT_STATUS_OK;
  bool linear = block->n_slots == 8;
  int64_t n_slots = block->n_points * block->n_slots;
  LAT_TRY(lat__points_cells(context, op, points, begin, block->n_points, linear ? LAT__CELL_CORNERS : LAT__CELL_NEAREST,
                            buffers->cells, buffers->weights),
          done);
  LAT_TRY(lat__coords_lookup(context, voxels->coords, buffers->cells, n_slots, buffers->rows), done);
  if (linear) drop_outside(n_slots, buffers->weights, buffers->rows);
  LAT_TRY(lat__backend_of(context)->interpolate(context, block), done);
done:
  return status;
}

static lat_status run(lat_context *context, const char *op, const lat__points *points, const lat_tensor *voxels,
                      lat_interpolation interpolation, lat_array *result) {
  lat_status status = LAT_STATUS_OK;
  void *cells = NULL, *rows = NULL, *weights = NULL;
  const int32_t n_slots = interpolation == LAT_INTERPOLATION_LINEAR ? 8 : 1;
  const int64_t block = lat__min_i64(points->n, (int64_t)BLOCK_POINTS * lat_context_threads(context));
  const int64_t channels = lat_tensor_channels(voxels);
  const size_t row_bytes = (size_t)channels * lat_dtype_bytes(lat_tensor_dtype(voxels));
  LAT_TRY(lat__alloc_items(context, op, block * n_slots, 4 * sizeof(int32_t), &cells), done);
  LAT_TRY(lat__alloc_items(context, op, block * n_slots, sizeof(int32_t), &rows), done);
  LAT_TRY(lat__alloc_items(context, op, block * n_slots, sizeof(float), &weights), done);
  const block_buffers buffers = {cells, rows, weights};
  for (int64_t begin = 0; begin < points->n; begin += block) {
    lat__interpolate_desc desc = {.n_points = lat__min_i64(block, points->n - begin),
                                  .channels = channels,
                                  .n_slots = n_slots,
                                  .dtype = lat_tensor_dtype(voxels),
                                  .rows = rows,
                                  .weights = n_slots == 8 ? weights : NULL,
                                  .x = voxels->feats->view.data,
                                  .y = (char *)lat_array_data(result) + (size_t)begin * row_bytes};
    LAT_TRY(run_block(context, op, points, voxels, &desc, begin, &buffers), done);
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
  LAT_TRY(check_inputs(op, voxels, interpolation), done);
  LAT_TRY(lat__array_new_2d(context, op, lat_tensor_dtype(voxels), taken.n, lat_tensor_channels(voxels), &result),
          done);
  LAT_TRY(run(context, op, &taken, voxels, interpolation, result), done);
  *out = result;
  result = NULL;
done:
  lat_array_release(result);
  return status;
}
