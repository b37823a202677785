// Point-voxel maps: the voxels around each point, found once and read by any number of features. lat_devoxelize finds
// and reads them block by block through the same functions.

#include "backend/backend.h"
#include "coords/coords_internal.h"
#include "core/alloc.h"
#include "core/array_internal.h"
#include "core/checked.h"
#include "core/compiler.h"
#include "core/context_internal.h"
#include "ops/points_internal.h"

lat_status lat__interpolation_check(const char *op, lat_interpolation interpolation) {
  if (interpolation == LAT_INTERPOLATION_LINEAR || interpolation == LAT_INTERPOLATION_NEAREST) return LAT_STATUS_OK;
  return lat_fail(LAT_STATUS_INVALID_ARGUMENT,
                  "%s: interpolation: got %d, expected LAT_INTERPOLATION_LINEAR or LAT_INTERPOLATION_NEAREST", op,
                  (int)interpolation);
}

lat_status lat__points_find(lat_context *context, const char *op, const lat__points *points, const lat_coords *coords,
                            int64_t begin, int64_t count, const lat__point_voxels *found) {
  lat_status status = LAT_STATUS_OK;
  bool linear = found->n_slots == LAT__MAP_SLOTS;
  int64_t n_slots = count * found->n_slots;
  LAT_TRY(lat__points_cells(context, op, points, begin, count, linear ? LAT__CELL_CORNERS : LAT__CELL_NEAREST,
                            found->cells, found->weights),
          done);
  LAT_TRY(lat__coords_lookup(context, coords, found->cells, n_slots, found->rows), done);
  // Corners beyond int32 are missing, whatever the cell that stands in for them found.
  for (int64_t slot = 0; linear && slot < n_slots; slot++) {
    found->rows[slot] = found->weights[slot] < 0.0f ? -1 : found->rows[slot];
  }
done:
  return status;
}

/// Copies what the points from `begin` on read into the map's arrays.
static void store_block(lat_point_map *map, int64_t begin, int64_t count, const lat__point_voxels *found) {
  int32_t *rows = (int32_t *)lat_array_data(map->rows) + begin * LAT__MAP_SLOTS;
  float *weights = (float *)lat_array_data(map->weights) + begin * LAT__MAP_SLOTS;
  for (int64_t i = 0; i < count * LAT__MAP_SLOTS; i++) {
    int64_t slot = i % LAT__MAP_SLOTS, point = i / LAT__MAP_SLOTS;
    int64_t source = point * found->n_slots + slot;
    bool present = slot < found->n_slots && found->rows[source] >= 0;
    float weight = found->n_slots > 1 && present ? found->weights[source] : 1.0f;
    rows[i] = present ? found->rows[source] : -1;
    weights[i] = present ? weight : 0.0f;
  }
}

static lat_status fill(lat_context *context, const char *op, const lat__points *points, const lat_coords *coords,
                       int32_t n_slots, lat_point_map *map) {
  lat_status status = LAT_STATUS_OK;
  void *cells = NULL, *rows = NULL, *weights = NULL;
  const int64_t block = lat__min_i64(points->n, (int64_t)LAT__MAP_BLOCK_POINTS * lat_context_threads(context));
  LAT_TRY(lat__alloc_items(context, op, block * n_slots, 4 * sizeof(int32_t), &cells), done);
  LAT_TRY(lat__alloc_items(context, op, block * n_slots, sizeof(int32_t), &rows), done);
  LAT_TRY(lat__alloc_items(context, op, block * n_slots, sizeof(float), &weights), done);
  const lat__point_voxels found = {n_slots, cells, rows, weights};
  for (int64_t begin = 0; begin < points->n; begin += block) {
    int64_t count = lat__min_i64(block, points->n - begin);
    LAT_TRY(lat__points_find(context, op, points, coords, begin, count, &found), done);
    store_block(map, begin, count, &found);
  }
done:
  lat__free(context, cells);
  lat__free(context, rows);
  lat__free(context, weights);
  return status;
}

lat_status lat_point_map_create(lat_context *context, const lat_array_view *points, const lat_coords *coords,
                                const lat_voxel_grid *grid, lat_interpolation interpolation, lat_point_map **out) {
  static const char op[] = "point_map_create";
  lat_status status = LAT_STATUS_OK;
  lat__points taken;
  void *memory = NULL;
  lat_point_map *map = NULL;
  if (!out) return lat_fail(LAT_STATUS_INVALID_ARGUMENT, "%s: out: got NULL, expected a place for the map", op);
  *out = NULL;
  status = lat__points_take(context, op, points, grid, &taken);
  if (status) return status;
  if (!coords) return lat_fail(LAT_STATUS_INVALID_ARGUMENT, "%s: coords: got NULL, expected a coordinate set", op);
  LAT_TRY(lat__interpolation_check(op, interpolation), done);
  LAT_TRY(lat__alloc_zero(context, op, 1, sizeof(lat_point_map), &memory), done);
  map = memory;
  atomic_init(&map->refcount, 1);
  map->context = lat__context_retain(context);
  map->n_voxels = coords->n_rows;
  LAT_TRY(lat__array_new_2d(context, op, LAT_DTYPE_I32, taken.n, LAT__MAP_SLOTS, &map->rows), done);
  LAT_TRY(lat__array_new_2d(context, op, LAT_DTYPE_F32, taken.n, LAT__MAP_SLOTS, &map->weights), done);
  LAT_TRY(fill(context, op, &taken, coords, interpolation == LAT_INTERPOLATION_LINEAR ? LAT__MAP_SLOTS : 1, map), done);
  *out = map;
  map = NULL;
done:
  lat_point_map_release(map);
  return status;
}

lat_array_view lat_point_map_rows(const lat_point_map *map) {
  return map->rows->view;
}

lat_array_view lat_point_map_weights(const lat_point_map *map) {
  return map->weights->view;
}

int64_t lat_point_map_voxel_count(const lat_point_map *map) {
  return map->n_voxels;
}

lat_point_map *lat_point_map_retain(const lat_point_map *map) {
  lat_point_map *shared = (lat_point_map *)map; // the count of a const object may change
  if (shared) atomic_fetch_add_explicit(&shared->refcount, 1, memory_order_relaxed);
  return shared;
}

void lat_point_map_release(lat_point_map *map) {
  if (!map || atomic_fetch_sub_explicit(&map->refcount, 1, memory_order_acq_rel) != 1) return;
  lat_context *context = map->context;
  lat_array_release(map->rows);
  lat_array_release(map->weights);
  lat__free(context, map);
  lat__context_release(context);
}
