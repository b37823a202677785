// The capped voxelizer: quantize, keep the first voxels of each batch item and the first points of each voxel, average.

#include <string.h>

#include "backend/backend.h"
#include "coords/coords_internal.h"
#include "core/alloc.h"
#include "core/array_internal.h"
#include "core/compiler.h"
#include "core/context_internal.h"
#include "ops/points_internal.h"

static lat_status check_limits(const char *op, const lat_capped_opts *opts) {
  if (opts->max_points < 0) {
    return lat_fail(LAT_STATUS_INVALID_ARGUMENT, "%s: max_points must be non-negative: got %lld, expected 0 or more",
                    op, (long long)opts->max_points);
  }
  if (opts->max_voxels < 0) {
    return lat_fail(LAT_STATUS_INVALID_ARGUMENT, "%s: max_voxels must be non-negative: got %lld, expected 0 or more",
                    op, (long long)opts->max_voxels);
  }
  return LAT_STATUS_OK;
}

/// Number of the batch item of each voxel, counted from 0 in first-seen order: batch indices may be any int32.
static lat_status number_items(lat_context *context, const char *op, const lat_coords *coords, int32_t *items) {
  lat_status status = LAT_STATUS_OK;
  void *memory = NULL, *unique = NULL;
  int64_t n_items = 0;
  LAT_TRY(lat__alloc_zero(context, op, coords->n_rows, 4 * sizeof(int32_t), &memory), done);
  LAT_TRY(lat__alloc_items(context, op, coords->n_rows, 4 * sizeof(int32_t), &unique), done);
  int32_t *rows = memory;
  for (int64_t v = 0; v < coords->n_rows; v++) rows[4 * v] = coords->rows[4 * v];
  LAT_TRY(lat__backend_of(context)->unique_rows(context, rows, coords->n_rows, unique, items, &n_items), done);
done:
  lat__free(context, memory);
  lat__free(context, unique);
  return status;
}

/// `kept` = new row of each voxel, -1 for one that is not kept; `rows` = the kept rows, a block of lat__alloc.
static lat_status keep_voxels(lat_context *context, const char *op, const lat_coords *coords, int64_t max_voxels,
                              int32_t *kept, int32_t **out_rows, int64_t *n_kept) {
  lat_status status = LAT_STATUS_OK;
  void *items = NULL, *taken = NULL, *memory = NULL;
  LAT_TRY(lat__alloc_items(context, op, coords->n_rows, sizeof(int32_t), &items), done);
  LAT_TRY(lat__alloc_zero(context, op, coords->n_rows, sizeof(int32_t), &taken), done);
  LAT_TRY(lat__alloc_items(context, op, coords->n_rows, 4 * sizeof(int32_t), &memory), done);
  if (coords->n_rows > 0) LAT_TRY(number_items(context, op, coords, items), done);
  int32_t *rows = memory;
  *n_kept = 0;
  for (int64_t v = 0; v < coords->n_rows; v++) {
    int32_t *of_item = (int32_t *)taken + ((const int32_t *)items)[v];
    bool full = max_voxels > 0 && *of_item >= max_voxels;
    kept[v] = full ? -1 : (int32_t)*n_kept;
    if (full) continue;
    ++*of_item;
    memcpy(rows + 4 * (*n_kept)++, coords->rows + 4 * v, 4 * sizeof(int32_t));
  }
  *out_rows = rows;
  memory = NULL;
done:
  lat__free(context, items);
  lat__free(context, taken);
  lat__free(context, memory);
  return status;
}

/// Gives each point the new row of its voxel while there is room, and counts.
static void keep_points(const int32_t *kept, const int32_t *inverse, int64_t n_points, int64_t max_points,
                        int32_t *kept_inverse, int32_t *counts, lat_capped_voxels *result) {
  for (int64_t p = 0; p < n_points; p++) {
    int32_t v = kept[inverse[p]];
    if (v < 0) {
      result->n_points_outside++;
    } else if (max_points > 0 && counts[v] >= max_points) {
      result->n_points_over++;
      v = -1;
    } else {
      counts[v]++;
    }
    kept_inverse[p] = v;
  }
}

/// The part of `all` that the limits leave.
static lat_status cap(lat_context *context, const char *op, const lat_quantization *all, const lat_capped_opts *opts,
                      lat_capped_voxels *result) {
  lat_status status = LAT_STATUS_OK;
  void *kept = NULL;
  int32_t *rows = NULL;
  int64_t n_kept = 0;
  lat_coords *coords = NULL;
  lat_array *inverse = NULL, *counts = NULL;
  const lat_array_view view = all->inverse_rows->view;
  LAT_TRY(lat__alloc_items(context, op, all->coords->n_rows, sizeof(int32_t), &kept), done);
  LAT_TRY(keep_voxels(context, op, all->coords, opts->max_voxels, kept, &rows, &n_kept), done);
  LAT_TRY(lat__coords_adopt(context, op, rows, n_kept, lat_triple_all(1), &coords), done);
  LAT_TRY(lat__array_new_1d(context, op, LAT_DTYPE_I32, view.shape[0], &inverse), done);
  LAT_TRY(lat__array_new_1d(context, op, LAT_DTYPE_I32, n_kept, &counts), done);
  if (n_kept > 0) memset(lat_array_data(counts), 0, (size_t)n_kept * sizeof(int32_t));
  result->n_voxels_dropped = all->coords->n_rows - n_kept;
  keep_points(kept, view.data, view.shape[0], opts->max_points, lat_array_data(inverse), lat_array_data(counts),
              result);
  LAT_TRY(lat__quantization_new(context, op, coords, inverse, counts, &result->quantization), done);
done:
  lat__free(context, kept);
  lat_coords_release(coords);
  lat_array_release(inverse);
  lat_array_release(counts);
  return status;
}

lat_status lat_voxelize_capped(lat_context *context, const lat_array_view *points, const lat_array_view *features,
                               const lat_voxel_grid *grid, const lat_capped_opts *opts, lat_capped_voxels *out) {
  static const char op[] = "voxelize_capped";
  static const lat_voxelize_opts mean = LAT_VOXELIZE_OPTS_INIT;
  lat_status status = LAT_STATUS_OK;
  lat__points taken;
  lat_capped_opts o;
  lat_quantization *all = NULL;
  lat_capped_voxels result = {.voxels = NULL};
  if (!out) return lat_fail(LAT_STATUS_INVALID_ARGUMENT, "%s: out: got NULL, expected a place for the result", op);
  *out = result;
  status = lat__points_take(context, op, points, grid, &taken);
  if (status) return status;
  LAT_TRY(lat__point_features_check(op, features, taken.n), done);
  LAT_TRY(lat__opts_copy(op, opts, sizeof o, &o), done);
  LAT_TRY(check_limits(op, &o), done);
  LAT_TRY(lat__points_quantize(context, op, &taken, &all), done);
  LAT_TRY(cap(context, op, all, &o, &result), done);
  LAT_TRY(lat__voxelize_run(context, op, result.quantization, features, &mean, &result.voxels), done);
  *out = result;
  result.quantization = NULL;
done:
  lat_quantization_release(all);
  lat_quantization_release(result.quantization);
  return status;
}
