// Gradients of voxelize with respect to point features and of interpolate with respect to voxel features.

#include "backend/backend.h"
#include "coords/coords_internal.h"
#include "core/array_internal.h"
#include "core/compiler.h"
#include "core/context_internal.h"
#include "ops/points_internal.h"

static lat_status check_grad(const char *op, const lat_array_view *grad_out, int64_t n_rows, const char *expectation) {
  char shape[128];
  int64_t count = 0;
  lat_status status = lat__view_check(op, "grad_out", grad_out, &count);
  if (status) return status;
  if (grad_out->rank != 2 || grad_out->shape[0] != n_rows) {
    return lat_fail(LAT_STATUS_INVALID_SHAPE, "%s: grad_out must %s: got %s, expected (%lld, C)", op, expectation,
                    lat__shape_text(grad_out, shape, sizeof shape), (long long)n_rows);
  }
  if (!lat__dtype_is_feature(grad_out->dtype)) {
    return lat_fail(LAT_STATUS_INVALID_DTYPE, "%s: grad_out dtype: got %s, expected float32, float16 or bfloat16", op,
                    lat_dtype_name(grad_out->dtype));
  }
  return LAT_STATUS_OK;
}

/// Checks the forward's features, which max needs.
static lat_status check_forward(const char *op, const lat_array_view *features, const lat_array_view *grad_out,
                                int64_t n_points, lat_voxel_reduction reduction) {
  if (!features && reduction != LAT_VOXEL_MAX) return LAT_STATUS_OK;
  if (!features) {
    return lat_fail(LAT_STATUS_INVALID_ARGUMENT,
                    "%s: features: got NULL with LAT_VOXEL_MAX, expected those of the forward call", op);
  }
  lat_status status = lat__point_features_check(op, features, n_points);
  if (status) return status;
  if (features->shape[1] != grad_out->shape[1]) {
    return lat_fail(LAT_STATUS_INVALID_SHAPE,
                    "%s: features and grad_out must have the same channels: got %lld and %lld, expected equal numbers",
                    op, (long long)features->shape[1], (long long)grad_out->shape[1]);
  }
  if (features->dtype != grad_out->dtype) {
    return lat_fail(LAT_STATUS_INVALID_DTYPE,
                    "%s: features and grad_out must have the same dtype: got %s and %s, expected equal ones", op,
                    lat_dtype_name(features->dtype), lat_dtype_name(grad_out->dtype));
  }
  return LAT_STATUS_OK;
}

lat_status lat_voxelize_backward(lat_context *context, const lat_quantization *quantization,
                                 const lat_array_view *features, const lat_array_view *grad_out,
                                 const lat_voxelize_opts *opts, lat_array **out) {
  static const char op[] = "voxelize_backward";
  lat_status status = LAT_STATUS_OK;
  lat_array *x = NULL, *grad = NULL, *y = NULL;
  lat_voxelize_opts o;
  status = lat__array_op_check(op, context, out);
  if (status) return status;
  if (!quantization) {
    return lat_fail(LAT_STATUS_INVALID_ARGUMENT, "%s: quantization: got NULL, expected quantized points", op);
  }
  const int64_t n_points = quantization->inverse_rows->view.shape[0], n_voxels = quantization->coords->n_rows;
  LAT_TRY(lat__opts_copy(op, opts, sizeof o, &o), done);
  LAT_TRY(lat__reduction_check(op, o.reduction), done);
  LAT_TRY(check_grad(op, grad_out, n_voxels, "have shape (V, C)"), done);
  LAT_TRY(check_forward(op, features, grad_out, n_points, o.reduction), done);
  if (o.reduction == LAT_VOXEL_MAX) LAT_TRY(lat__view_contiguous_array(context, op, features, &x), done);
  LAT_TRY(lat__view_contiguous_array(context, op, grad_out, &grad), done);
  LAT_TRY(lat__array_new_2d(context, op, grad_out->dtype, n_points, grad_out->shape[1], &y), done);
  lat__voxel_reduce_grad_desc desc = {.n_points = n_points,
                                      .n_voxels = n_voxels,
                                      .channels = grad_out->shape[1],
                                      .dtype = grad_out->dtype,
                                      .reduction = (int)o.reduction,
                                      .inverse_rows = quantization->inverse_rows->view.data,
                                      .counts = quantization->counts->view.data,
                                      .x = x ? x->view.data : NULL,
                                      .grad = grad->view.data,
                                      .y = lat_array_data(y)};
  LAT_TRY(lat__backend_of(context)->voxel_reduce_grad(context, &desc), done);
  *out = y;
  y = NULL;
done:
  lat_array_release(x);
  lat_array_release(grad);
  lat_array_release(y);
  return status;
}

lat_status lat_interpolate_backward(lat_context *context, const lat_point_map *map, const lat_array_view *grad_out,
                                    lat_array **out) {
  static const char op[] = "interpolate_backward";
  lat_status status = LAT_STATUS_OK;
  lat_array *grad = NULL, *y = NULL;
  status = lat__array_op_check(op, context, out);
  if (status) return status;
  if (!map) return lat_fail(LAT_STATUS_INVALID_ARGUMENT, "%s: map: got NULL, expected a point-voxel map", op);
  const int64_t n_points = map->rows->view.shape[0];
  LAT_TRY(check_grad(op, grad_out, n_points, "have one row for each point of the map"), done);
  LAT_TRY(lat__view_contiguous_array(context, op, grad_out, &grad), done);
  LAT_TRY(lat__array_new_2d(context, op, grad_out->dtype, map->n_voxels, grad_out->shape[1], &y), done);
  lat__interpolate_grad_desc desc = {.n_points = n_points,
                                     .n_voxels = map->n_voxels,
                                     .channels = grad_out->shape[1],
                                     .n_slots = LAT__MAP_SLOTS,
                                     .dtype = grad_out->dtype,
                                     .rows = map->rows->view.data,
                                     .weights = map->weights->view.data,
                                     .grad = grad->view.data,
                                     .y = lat_array_data(y)};
  LAT_TRY(lat__backend_of(context)->interpolate_grad(context, &desc), done);
  *out = y;
  y = NULL;
done:
  lat_array_release(grad);
  lat_array_release(y);
  return status;
}
