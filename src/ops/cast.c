// Conversion of features between float32, float16 and bfloat16.

#include "coords/tensor_internal.h"
#include "core/array_internal.h"
#include "core/compiler.h"
#include "ops/feature_internal.h"

lat_status lat_cast(lat_context *context, const lat_tensor *x, lat_dtype dtype, lat_tensor **out) {
  static const char op[] = "cast";
  lat_status status = LAT_STATUS_OK;
  LAT_TRY(lat__op_check(op, context, "x", x, out), done);
  if (!lat__dtype_is_feature(dtype)) {
    status = lat_fail(LAT_STATUS_INVALID_DTYPE, "%s: dtype: got %s, expected float32, float16 or bfloat16", op,
                      lat_dtype_name(dtype));
    goto done;
  }
  if (dtype == lat_tensor_dtype(x)) {
    LAT_TRY(lat__tensor_new(context, op, x->coords, x->feats, x, out), done);
  } else {
    LAT_TRY(lat__unary_run(context, op, LAT__UNARY_CAST, x, dtype, out), done);
  }
done:
  return status;
}
