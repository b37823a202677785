// Dense feature views that callers hand in: checked, and contiguous.

#include "core/array_internal.h"
#include "core/compiler.h"
#include "ops/feature_internal.h"

lat_status lat__tensor_check(const char *op, const char *name, const lat_tensor *x) {
  if (x) return LAT_STATUS_OK;
  return lat_fail(LAT_STATUS_INVALID_ARGUMENT, "%s: %s: got NULL, expected a sparse tensor", op, name);
}

lat_status lat__feature_view(lat_context *context, const char *op, const char *name, const lat_array_view *view,
                             lat_array **out) {
  int64_t count = 0;
  char text[128];
  lat_status status = lat__view_check(op, name, view, &count);
  if (status) return status;
  if (view->rank != 2) {
    return lat_fail(LAT_STATUS_INVALID_SHAPE, "%s: %s expects a rank-2 array: got %s, expected (N, C)", op, name,
                    lat__shape_text(view, text, sizeof text));
  }
  if (!lat__dtype_is_feature(view->dtype)) {
    return lat_fail(LAT_STATUS_INVALID_DTYPE, "%s: %s dtype: got %s, expected float32, float16 or bfloat16", op, name,
                    lat_dtype_name(view->dtype));
  }
  return lat__view_contiguous_array(context, op, view, out);
}

lat_status lat__grad_view(lat_context *context, const char *op, const lat_array_view *grad_out, int64_t rows,
                          int64_t channels, lat_array **out) {
  lat_status status = lat__feature_view(context, op, "grad_out", grad_out, out);
  if (status) return status;
  const lat_array_view *view = &(*out)->view;
  char text[128];
  if (view->shape[0] == rows && view->shape[1] == channels) return LAT_STATUS_OK;
  status = lat_fail(LAT_STATUS_INVALID_SHAPE,
                    "%s: grad_out must have the shape of the result: got %s, expected (%lld, %lld)", op,
                    lat__shape_text(view, text, sizeof text), (long long)rows, (long long)channels);
  lat_array_release(*out);
  *out = NULL;
  return status;
}
