// Activations: relu and gelu. Features change, the coordinate set and the batch metadata stay.

#include "coords/tensor_internal.h"
#include "core/array_internal.h"
#include "core/compiler.h"
#include "ops/feature_internal.h"

static lat_status check_approximate(lat_gelu_approx approximate, lat__unary *kind) {
  switch (approximate) {
  case LAT_GELU_NONE:
    *kind = LAT__UNARY_GELU_ERF;
    return LAT_STATUS_OK;
  case LAT_GELU_TANH:
    *kind = LAT__UNARY_GELU_TANH;
    return LAT_STATUS_OK;
  case LAT_GELU_FAST:
    *kind = LAT__UNARY_GELU_FAST;
    return LAT_STATUS_OK;
  }
  return lat_fail(LAT_STATUS_INVALID_ARGUMENT, "gelu: approximate: got %d, expected 0 (none), 1 (tanh) or 2 (fast)",
                  (int)approximate);
}

lat_status lat__unary_run(lat_context *context, const char *op, lat__unary kind, const lat_tensor *x, lat_dtype dtype,
                          lat_tensor **out) {
  lat_status status = LAT_STATUS_OK;
  lat_array *feats = NULL;
  lat_array_view view = x->feats->view;
  LAT_TRY(lat__array_new_2d(context, op, dtype, view.shape[0], view.shape[1], &feats), done);
  lat__unary_desc desc = {.kind = kind,
                          .count = lat_array_count(feats),
                          .dtype_in = view.dtype,
                          .dtype_out = dtype,
                          .x = view.data,
                          .y = lat_array_data(feats)};
  LAT_TRY(lat__backend_of(context)->unary(context, &desc), done);
  LAT_TRY(lat__tensor_new(context, op, x->coords, feats, x, out), done);
done:
  lat_array_release(feats);
  return status;
}

lat_status lat_relu(lat_context *context, const lat_tensor *x, lat_tensor **out) {
  lat_status status = LAT_STATUS_OK;
  LAT_TRY(lat__op_check("relu", context, "x", x, out), done);
  LAT_TRY(lat__unary_run(context, "relu", LAT__UNARY_RELU, x, lat_tensor_dtype(x), out), done);
done:
  return status;
}

lat_status lat_gelu(lat_context *context, const lat_tensor *x, lat_gelu_approx approximate, lat_tensor **out) {
  lat_status status = LAT_STATUS_OK;
  lat__unary kind = LAT__UNARY_GELU_ERF;
  LAT_TRY(lat__op_check("gelu", context, "x", x, out), done);
  LAT_TRY(check_approximate(approximate, &kind), done);
  LAT_TRY(lat__unary_run(context, "gelu", kind, x, lat_tensor_dtype(x), out), done);
done:
  return status;
}
