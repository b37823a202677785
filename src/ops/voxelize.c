// Point features to voxel features: quantize, then reduce the points of each voxel in point order.

#include "backend/backend.h"
#include "coords/tensor_internal.h"
#include "core/array_internal.h"
#include "core/compiler.h"
#include "ops/points_internal.h"

static lat_status check_features(const char *op, const lat_array_view *features, int64_t n_points,
                                 lat_voxel_reduction reduction) {
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
  if (reduction != LAT_VOXEL_MEAN && reduction != LAT_VOXEL_SUM) {
    return lat_fail(LAT_STATUS_INVALID_ARGUMENT, "%s: reduction: got %d, expected LAT_VOXEL_MEAN or LAT_VOXEL_SUM", op,
                    (int)reduction);
  }
  return LAT_STATUS_OK;
}

/// Reduces the features of checked points into a tensor on the voxels.
static lat_status run(lat_context *context, const char *op, const lat_quantization *quantization,
                      const lat_array_view *features, lat_voxel_reduction reduction, lat_tensor **out) {
  lat_status status = LAT_STATUS_OK;
  lat_array *x = NULL, *y = NULL;
  int64_t n_voxels = lat_coords_count(quantization->coords);
  // float32 rows may lie apart (intensities beside coordinates); other views with gaps are copied first.
  bool direct = features->dtype == LAT_DTYPE_F32 ? features->stride[1] == 1 || features->shape[1] <= 1
                                                 : lat__view_contiguous(features);
  if (!direct) LAT_TRY(lat__view_contiguous_array(context, op, features, &x), done);
  LAT_TRY(lat__array_new_2d(context, op, features->dtype, n_voxels, features->shape[1], &y), done);
  lat__voxel_reduce_desc desc = {.n_points = features->shape[0],
                                 .n_voxels = n_voxels,
                                 .channels = features->shape[1],
                                 .dtype = features->dtype,
                                 .reduction = (int)reduction,
                                 .inverse_rows = quantization->inverse_rows->view.data,
                                 .counts = quantization->counts->view.data,
                                 .x = x ? x->view.data : features->data,
                                 .x_stride = direct && features->dtype == LAT_DTYPE_F32 ? features->stride[0]
                                                                                        : features->shape[1],
                                 .y = lat_array_data(y)};
  LAT_TRY(lat__backend_of(context)->voxel_reduce(context, &desc), done);
  LAT_TRY(lat__tensor_new(context, op, quantization->coords, y, NULL, out), done);
done:
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
  if (!out) return lat_fail(LAT_STATUS_INVALID_ARGUMENT, "%s: out: got NULL, expected a place for the tensor", op);
  *out = NULL;
  status = lat__points_take(context, op, points, grid, &taken);
  if (status) return status;
  LAT_TRY(check_features(op, features, taken.n, reduction), done);
  LAT_TRY(lat__points_quantize(context, op, &taken, &quantization), done);
  LAT_TRY(run(context, op, quantization, features, reduction, out), done);
done:
  lat_quantization_release(quantization);
  return status;
}
