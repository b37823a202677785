// Voxel features read through a point-voxel map.

#include "backend/backend.h"
#include "core/array_internal.h"
#include "core/compiler.h"
#include "ops/points_internal.h"

static lat_status check_inputs(const char *op, const lat_context *context, const lat_array_view *features,
                               const lat_point_map *map) {
  char shape[128];
  int64_t count = 0;
  if (!context) return lat_fail(LAT_STATUS_INVALID_ARGUMENT, "%s: context: got NULL, expected a context", op);
  lat_status status = lat__view_check(op, "features", features, &count);
  if (status) return status;
  if (!map) return lat_fail(LAT_STATUS_INVALID_ARGUMENT, "%s: map: got NULL, expected a point-voxel map", op);
  if (features->rank != 2 || features->shape[0] != map->n_voxels) {
    return lat_fail(LAT_STATUS_INVALID_SHAPE,
                    "%s: features must have one row for each voxel of the map: got shape %s, expected (%lld, C)", op,
                    lat__shape_text(features, shape, sizeof shape), (long long)map->n_voxels);
  }
  if (!lat__dtype_is_feature(features->dtype)) {
    return lat_fail(LAT_STATUS_INVALID_DTYPE, "%s: features dtype: got %s, expected float32, float16 or bfloat16", op,
                    lat_dtype_name(features->dtype));
  }
  return LAT_STATUS_OK;
}

lat_status lat_interpolate(lat_context *context, const lat_array_view *features, const lat_point_map *map,
                           lat_array **out) {
  static const char op[] = "interpolate";
  lat_status status = LAT_STATUS_OK;
  lat_array *x = NULL, *y = NULL;
  if (!out) return lat_fail(LAT_STATUS_INVALID_ARGUMENT, "%s: out: got NULL, expected a place for the array", op);
  *out = NULL;
  LAT_TRY(check_inputs(op, context, features, map), done);
  LAT_TRY(lat__view_contiguous_array(context, op, features, &x), done);
  int64_t n_points = map->rows->view.shape[0];
  LAT_TRY(lat__array_new_2d(context, op, features->dtype, n_points, features->shape[1], &y), done);
  lat__interpolate_desc desc = {.n_points = n_points,
                                .channels = features->shape[1],
                                .n_slots = LAT__MAP_SLOTS,
                                .dtype = features->dtype,
                                .rows = map->rows->view.data,
                                .weights = map->weights->view.data,
                                .x = x->view.data,
                                .y = lat_array_data(y)};
  LAT_TRY(lat__backend_of(context)->interpolate(context, &desc), done);
  *out = y;
  y = NULL;
done:
  lat_array_release(x);
  lat_array_release(y);
  return status;
}
