// Local pools over the forward relation of a tensor, their gradient and forward-mode product.

#include <lattice/pool.h>

#include "backend/backend.h"
#include "coords/coords_internal.h"
#include "coords/tensor_internal.h"
#include "core/array_internal.h"
#include "core/compiler.h"
#include "ops/pool_internal.h"

// --- check_inputs -----------------------------------------------------------------------------------------------------

lat_status lat__pool_check(const char *op, lat_pool_mode mode, const lat_kernel_opts *opts, lat__geometry *geometry) {
  static const lat_kernel_opts defaults = {sizeof defaults, {2, 2, 2},         {2, 2, 2}, {0, 0, 0},
                                           {1, 1, 1},       LAT_SUPPORT_FLOOR, {0, 0, 0}};
  if (mode != LAT_POOL_SUM && mode != LAT_POOL_MAX && mode != LAT_POOL_AVG) {
    return lat_fail(LAT_STATUS_INVALID_ARGUMENT, "%s: mode: got %d, expected 0 (sum), 1 (max) or 2 (avg)", op,
                    (int)mode);
  }
  return lat__geometry_check(op, opts, &defaults, geometry);
}

lat_status lat__pool_take(lat_context *context, const lat__pool_call *call, const char *name,
                          const lat_array_view *view, int64_t n_rows, lat_array **out) {
  const lat_dtype dtype = lat_tensor_dtype(call->x);
  const int64_t channels = lat_tensor_channels(call->x);
  char shape[128];
  int64_t count = 0;
  lat_status status = lat__view_check(call->op, name, view, &count);
  if (status) return status;
  if (view->dtype != dtype) {
    return lat_fail(LAT_STATUS_INVALID_DTYPE, "%s: %s must have the features' dtype: got %s, expected %s", call->op,
                    name, lat_dtype_name(view->dtype), lat_dtype_name(dtype));
  }
  if (view->rank != 2 || view->shape[0] != n_rows || view->shape[1] != channels) {
    return lat_fail(LAT_STATUS_INVALID_SHAPE, "%s: %s has the wrong shape: got %s, expected (%lld, %lld)", call->op,
                    name, lat__shape_text(view, shape, sizeof shape), (long long)n_rows, (long long)channels);
  }
  return lat__view_contiguous_array(context, call->op, view, out);
}

// --- run --------------------------------------------------------------------------------------------------------------

lat_status lat__pool_run(lat_context *context, const lat__pool_call *call, const void *features, lat_array **out) {
  const lat_array_view *x = &call->x->feats->view;
  lat_status status = lat__array_new_2d(context, call->op, x->dtype, call->n_out, x->shape[1], out);
  if (status) return status;
  lat__pool_desc desc = {.pairs = &call->relation->pairs,
                         .n_in = x->shape[0],
                         .n_out = call->n_out,
                         .channels = x->shape[1],
                         .dtype = x->dtype,
                         .mode = (int)call->mode,
                         .kernel_weights = call->kernel_weights,
                         .x = features,
                         .y = lat_array_data(*out)};
  status = lat__backend_of(context)->pool(context, &desc);
  if (status) {
    lat_array_release(*out);
    *out = NULL;
  }
  return status;
}

static lat__pool_grad_desc grad_desc(const lat__pool_call *call, const lat_array *tangent, lat_array *result) {
  const lat_array_view *x = &call->x->feats->view;
  return (lat__pool_grad_desc){.pairs = &call->relation->pairs,
                               .n_in = x->shape[0],
                               .n_out = call->n_out,
                               .channels = x->shape[1],
                               .dtype = x->dtype,
                               .mode = (int)call->mode,
                               .kernel_weights = call->kernel_weights,
                               .x = x->data,
                               .tangent = tangent->view.data,
                               .result = lat_array_data(result)};
}

lat_status lat__pool_run_grad(lat_context *context, const lat__pool_call *call, const lat_array_view *grad_out,
                              lat_array **out) {
  lat_status status = LAT_STATUS_OK;
  lat_array *gradient = NULL, *result = NULL;
  const lat_array_view *x = &call->x->feats->view;
  LAT_TRY(lat__pool_take(context, call, "grad_out", grad_out, call->n_out, &gradient), done);
  LAT_TRY(lat__array_new_2d(context, call->op, x->dtype, x->shape[0], x->shape[1], &result), done);
  lat__pool_grad_desc desc = grad_desc(call, gradient, result);
  LAT_TRY(lat__relation_pairs_by_input(context, call->relation, &desc.by_input), done);
  LAT_TRY(lat__backend_of(context)->pool_grad(context, &desc), done);
  *out = result;
  result = NULL;
done:
  lat_array_release(gradient);
  lat_array_release(result);
  return status;
}

lat_status lat_pool3d(lat_context *context, const lat_tensor *x, lat_pool_mode mode, const lat_kernel_opts *opts,
                      lat_tensor **out) {
  static const char op[] = "pool3d";
  lat_status status = LAT_STATUS_OK;
  lat__geometry geometry;
  lat_relation *relation = NULL;
  lat_coords *out_coords = NULL;
  lat_array *feats = NULL;
  LAT_TRY(lat__op_check(op, context, "x", x, out), done);
  LAT_TRY(lat__pool_check(op, mode, opts, &geometry), done);
  LAT_TRY(lat__relation_forward(context, op, x->coords, &geometry, &relation, &out_coords), done);
  lat__pool_call call = {op, x, mode, relation, out_coords->n_rows, NULL};
  LAT_TRY(lat__pool_run(context, &call, x->feats->view.data, &feats), done);
  LAT_TRY(lat__tensor_new(context, op, out_coords, feats, x, out), done);
done:
  lat_array_release(feats);
  lat_coords_release(out_coords);
  lat_relation_release(relation);
  return status;
}

lat_status lat_pool3d_backward(lat_context *context, const lat_tensor *x, lat_pool_mode mode,
                               const lat_kernel_opts *opts, const lat_array_view *grad_out, lat_array **out) {
  static const char op[] = "pool3d_backward";
  lat_status status = LAT_STATUS_OK;
  lat__geometry geometry;
  lat_relation *relation = NULL;
  lat_coords *out_coords = NULL;
  LAT_TRY(lat__array_op_check(op, context, out), done);
  LAT_TRY(lat__tensor_check(op, "x", x), done);
  LAT_TRY(lat__pool_check(op, mode, opts, &geometry), done);
  LAT_TRY(lat__relation_forward(context, op, x->coords, &geometry, &relation, &out_coords), done);
  lat__pool_call call = {op, x, mode, relation, out_coords->n_rows, NULL};
  LAT_TRY(lat__pool_run_grad(context, &call, grad_out, out), done);
done:
  lat_coords_release(out_coords);
  lat_relation_release(relation);
  return status;
}

static lat_status run_max_jvp(lat_context *context, const lat__pool_call *call, const lat_array *tangent,
                              lat_array **out) {
  const lat_array_view *x = &call->x->feats->view;
  lat_status status = lat__array_new_2d(context, call->op, x->dtype, call->n_out, x->shape[1], out);
  if (status) return status;
  lat__pool_grad_desc desc = grad_desc(call, tangent, *out);
  status = lat__backend_of(context)->max_pool_jvp(context, &desc);
  if (status) {
    lat_array_release(*out);
    *out = NULL;
  }
  return status;
}

lat_status lat_pool3d_jvp(lat_context *context, const lat_tensor *x, lat_pool_mode mode, const lat_kernel_opts *opts,
                          const lat_array_view *tangent, lat_array **out) {
  static const char op[] = "pool3d_jvp";
  lat_status status = LAT_STATUS_OK;
  lat__geometry geometry;
  lat_relation *relation = NULL;
  lat_coords *out_coords = NULL;
  lat_array *taken = NULL;
  LAT_TRY(lat__array_op_check(op, context, out), done);
  LAT_TRY(lat__tensor_check(op, "x", x), done);
  LAT_TRY(lat__pool_check(op, mode, opts, &geometry), done);
  LAT_TRY(lat__relation_forward(context, op, x->coords, &geometry, &relation, &out_coords), done);
  lat__pool_call call = {op, x, mode, relation, out_coords->n_rows, NULL};
  LAT_TRY(lat__pool_take(context, &call, "tangent", tangent, x->coords->n_rows, &taken), done);
  if (mode == LAT_POOL_MAX) {
    LAT_TRY(run_max_jvp(context, &call, taken, out), done);
  } else {
    LAT_TRY(lat__pool_run(context, &call, taken->view.data, out), done);
  }
done:
  lat_array_release(taken);
  lat_coords_release(out_coords);
  lat_relation_release(relation);
  return status;
}
