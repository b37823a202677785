// Softmax along the last axis of dense features, and its gradient.

#include "core/array_internal.h"
#include "core/compiler.h"
#include "ops/feature_internal.h"

/// Runs the device's slot; `grad` NULL: forward.
static lat_status run(lat_context *context, const char *op, lat_dtype dtype_out, const lat_array *x,
                      const lat_array *grad, lat_array **out) {
  lat_status status = LAT_STATUS_OK;
  lat_array *result = NULL;
  const lat_array_view *view = &x->view;
  LAT_TRY(lat__array_new_2d(context, op, dtype_out, view->shape[0], view->shape[1], &result), done);
  lat__softmax_desc desc = {.n_rows = view->shape[0],
                            .channels = view->shape[1],
                            .dtype = view->dtype,
                            .dtype_grad = grad ? grad->view.dtype : view->dtype,
                            .x = view->data,
                            .grad = grad ? grad->view.data : NULL,
                            .y = lat_array_data(result)};
  LAT_TRY(lat__backend_of(context)->softmax(context, &desc), done);
  *out = lat_array_retain(result);
done:
  lat_array_release(result);
  return status;
}

lat_status lat_softmax(lat_context *context, const lat_array_view *x, lat_array **out) {
  static const char op[] = "softmax";
  lat_status status = LAT_STATUS_OK;
  lat_array *feats = NULL;
  LAT_TRY(lat__array_op_check(op, context, out), done);
  LAT_TRY(lat__feature_view(context, op, "x", x, &feats), done);
  LAT_TRY(run(context, op, LAT_DTYPE_F32, feats, NULL, out), done);
done:
  lat_array_release(feats);
  return status;
}

lat_status lat_softmax_backward(lat_context *context, const lat_array_view *x, const lat_array_view *grad_out,
                                lat_array **grad_x) {
  static const char op[] = "softmax_backward";
  lat_status status = LAT_STATUS_OK;
  lat_array *feats = NULL, *grad = NULL;
  LAT_TRY(lat__array_op_check(op, context, grad_x), done);
  LAT_TRY(lat__feature_view(context, op, "x", x, &feats), done);
  LAT_TRY(lat__grad_view(context, op, grad_out, x->shape[0], x->shape[1], &grad), done);
  LAT_TRY(run(context, op, x->dtype, feats, grad, grad_x), done);
done:
  lat_array_release(grad);
  lat_array_release(feats);
  return status;
}
