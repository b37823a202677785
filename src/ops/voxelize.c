// Point features to voxel features: quantize, then reduce the points of each voxel in point order.

#include <string.h>

#include "backend/backend.h"
#include "coords/coords_internal.h"
#include "coords/tensor_internal.h"
#include "core/alloc.h"
#include "core/array_internal.h"
#include "core/compiler.h"
#include "core/context_internal.h"
#include "ops/points_internal.h"

lat_status lat__point_features_check(const char *op, const lat_array_view *features, int64_t n_points) {
  char shape[128];
  int64_t count = 0;
  lat_status status = lat__view_check(op, "features", features, &count);
  if (status) return status;
  if (features->rank != 2 || features->shape[0] != n_points) {
    return lat_fail(LAT_STATUS_INVALID_SHAPE,
                    "%s: points and features must have matching rows: got features of shape %s, expected (%lld, C)", op,
                    lat__shape_text(features, shape, sizeof shape), (long long)n_points);
  }
  if (!lat__dtype_is_feature(features->dtype)) {
    return lat_fail(LAT_STATUS_INVALID_DTYPE, "%s: features dtype: got %s, expected float32, float16 or bfloat16", op,
                    lat_dtype_name(features->dtype));
  }
  return LAT_STATUS_OK;
}

lat_status lat__reduction_check(const char *op, lat_voxel_reduction reduction) {
  if (reduction == LAT_VOXEL_MEAN || reduction == LAT_VOXEL_SUM || reduction == LAT_VOXEL_MAX) return LAT_STATUS_OK;
  return lat_fail(LAT_STATUS_INVALID_ARGUMENT, "%s: reduction: got %d, expected 0 (mean), 1 (sum) or 2 (max)", op,
                  (int)reduction);
}

static void *retain_coords(void *object) {
  return lat_coords_retain(object);
}

static void release_coords(void *object) {
  lat_coords_release(object);
}

/// The rows of `coords` as the set of another stride, one for each stride: kept by `coords`. Retained for the caller.
static lat_status set_of_stride(lat_context *context, const char *op, const lat_coords *coords, lat_triple stride,
                                lat_coords **out) {
  static const lat__cache_ops ops = {retain_coords, release_coords};
  void *rows = NULL;
  lat__cache_key key;
  if (stride.x == coords->stride.x && stride.y == coords->stride.y && stride.z == coords->stride.z) {
    *out = lat_coords_retain(coords);
    return LAT_STATUS_OK;
  }
  memset(&key, 0, sizeof key);
  key.kind = LAT__CACHE_RESTRIDED;
  key.stride = stride;
  *out = lat__coords_cache_get(coords, &key);
  if (*out) return LAT_STATUS_OK;
  lat_status status = lat__alloc_items(context, op, coords->n_rows, 4 * sizeof(int32_t), &rows);
  if (status) return status;
  if (coords->n_rows > 0) memcpy(rows, coords->rows, (size_t)coords->n_rows * 4 * sizeof(int32_t));
  status = lat__coords_adopt(context, op, rows, coords->n_rows, stride, out);
  if (!status) *out = lat__coords_cache_put(coords, &key, &ops, *out);
  return status;
}

/// The set that a result on `quantization` takes. Retained for the caller.
static lat_status choose_set(lat_context *context, const char *op, const lat_quantization *quantization,
                             const lat_voxelize_opts *opts, lat_coords **out) {
  lat_triple stride = opts->stride;
  if (opts->like) {
    lat_status status = set_of_stride(context, op, quantization->coords, opts->like->coords->stride, out);
    if (status || *out == opts->like->coords) return status;
    lat_coords_release(*out);
    *out = NULL;
    return lat_fail(LAT_STATUS_INVALID_ARGUMENT,
                    "%s: like must be built on the coordinates of the quantization: got a tensor on another set, "
                    "expected one that an earlier call gave",
                    op);
  }
  if (stride.x == 0 && stride.y == 0 && stride.z == 0) stride = lat_triple_all(1);
  if (stride.x < 1 || stride.y < 1 || stride.z < 1) {
    return lat_fail(LAT_STATUS_INVALID_ARGUMENT, "%s: stride must be positive: got (%d, %d, %d), expected 1 or more",
                    op, (int)stride.x, (int)stride.y, (int)stride.z);
  }
  return set_of_stride(context, op, quantization->coords, stride, out);
}

lat_status lat__voxelize_run(lat_context *context, const char *op, const lat_quantization *quantization,
                             const lat_array_view *features, const lat_voxelize_opts *opts, lat_tensor **out) {
  lat_status status = LAT_STATUS_OK;
  lat_coords *coords = NULL;
  lat_array *x = NULL, *y = NULL;
  int64_t n_voxels = lat_coords_count(quantization->coords);
  LAT_TRY(choose_set(context, op, quantization, opts, &coords), done);
  // float32 rows may lie apart (intensities beside coordinates); other views with gaps are copied first.
  bool direct = features->dtype == LAT_DTYPE_F32 ? features->stride[1] == 1 || features->shape[1] <= 1
                                                 : lat__view_contiguous(features);
  if (!direct) LAT_TRY(lat__view_contiguous_array(context, op, features, &x), done);
  LAT_TRY(lat__array_new_2d(context, op, features->dtype, n_voxels, features->shape[1], &y), done);
  lat__voxel_reduce_desc desc = {.n_points = features->shape[0],
                                 .n_voxels = n_voxels,
                                 .channels = features->shape[1],
                                 .dtype = features->dtype,
                                 .reduction = (int)opts->reduction,
                                 .inverse_rows = quantization->inverse_rows->view.data,
                                 .counts = quantization->counts->view.data,
                                 .x = x ? x->view.data : features->data,
                                 .x_stride = direct && features->dtype == LAT_DTYPE_F32 ? features->stride[0]
                                                                                        : features->shape[1],
                                 .y = lat_array_data(y)};
  LAT_TRY(lat__backend_of(context)->voxel_reduce(context, &desc), done);
  LAT_TRY(lat__tensor_new(context, op, coords, y, opts->like, out), done);
done:
  lat_coords_release(coords);
  lat_array_release(x);
  lat_array_release(y);
  return status;
}

lat_status lat_voxelize(lat_context *context, const lat_array_view *points, const lat_array_view *features,
                        const lat_voxel_grid *grid, lat_voxel_reduction reduction, lat_tensor **out) {
  static const char op[] = "voxelize";
  lat_status status = LAT_STATUS_OK;
  lat__points taken;
  lat_quantization *quantization = NULL;
  lat_voxelize_opts opts = LAT_VOXELIZE_OPTS_INIT;
  if (!out) return lat_fail(LAT_STATUS_INVALID_ARGUMENT, "%s: out: got NULL, expected a place for the tensor", op);
  *out = NULL;
  status = lat__points_take(context, op, points, grid, &taken);
  if (status) return status;
  opts.reduction = reduction;
  LAT_TRY(lat__point_features_check(op, features, taken.n), done);
  LAT_TRY(lat__reduction_check(op, reduction), done);
  LAT_TRY(lat__points_quantize(context, op, &taken, &quantization), done);
  LAT_TRY(lat__voxelize_run(context, op, quantization, features, &opts, out), done);
done:
  lat_quantization_release(quantization);
  return status;
}

lat_status lat_voxelize_quantized(lat_context *context, const lat_quantization *quantization,
                                  const lat_array_view *features, const lat_voxelize_opts *opts, lat_tensor **out) {
  static const char op[] = "voxelize_quantized";
  lat_status status = LAT_STATUS_OK;
  lat_voxelize_opts o;
  if (!out) return lat_fail(LAT_STATUS_INVALID_ARGUMENT, "%s: out: got NULL, expected a place for the tensor", op);
  *out = NULL;
  if (!context) return lat_fail(LAT_STATUS_INVALID_ARGUMENT, "%s: context: got NULL, expected a context", op);
  if (!quantization) {
    return lat_fail(LAT_STATUS_INVALID_ARGUMENT, "%s: quantization: got NULL, expected quantized points", op);
  }
  LAT_TRY(lat__opts_copy(op, opts, sizeof o, &o), done);
  LAT_TRY(lat__point_features_check(op, features, quantization->inverse_rows->view.shape[0]), done);
  LAT_TRY(lat__reduction_check(op, o.reduction), done);
  LAT_TRY(lat__voxelize_run(context, op, quantization, features, &o, out), done);
done:
  return status;
}
