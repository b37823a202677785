// Operands of forward-mode products. conv(dx, W) + conv(x, dW) is one convolution with twice the input channels: (dx, x)
// under (W, dW), so that everything is one sum with one rounding.

#include <string.h>

#include "coords/tensor_internal.h"
#include "core/array_internal.h"
#include "core/compiler.h"
#include "ops/conv_common.h"

lat_status lat__conv_tangent_check(const char *op, const char *name, const lat_array_view *tangent,
                                   const lat_array_view *of) {
  char got[128], expected[128];
  int64_t count = 0;
  lat_status status = lat__view_check(op, name, tangent, &count);
  if (status) return status;
  bool same = tangent->rank == of->rank;
  for (int32_t axis = 0; same && axis < of->rank; axis++) same = tangent->shape[axis] == of->shape[axis];
  if (!same) {
    return lat_fail(LAT_STATUS_INVALID_SHAPE, "%s: the tangent of %s must have its shape: got %s, expected %s", op,
                    name, lat__shape_text(tangent, got, sizeof got), lat__shape_text(of, expected, sizeof expected));
  }
  if (tangent->dtype != of->dtype) {
    return lat_fail(LAT_STATUS_INVALID_DTYPE, "%s: the tangent of %s must have its dtype: got %s, expected %s", op,
                    name, lat_dtype_name(tangent->dtype), lat_dtype_name(of->dtype));
  }
  return LAT_STATUS_OK;
}

/// `*out` = a and b, of one shape and dtype, one after the other along `axis`.
static lat_status join_along(lat_context *context, const char *op, const lat_array_view *a, const lat_array_view *b,
                             int32_t axis, lat_array **out) {
  lat_status status = LAT_STATUS_OK;
  lat_array *parts[2] = {NULL, NULL};
  int64_t shape[LAT_MAX_RANK], outer = 1;
  for (int32_t i = 0; i < a->rank; i++) shape[i] = a->shape[i];
  for (int32_t i = 0; i < axis; i++) outer *= shape[i]; // below the checked number of elements, or that is 0
  shape[axis] *= 2;
  LAT_TRY(lat__view_contiguous_array(context, op, a, &parts[0]), done);
  LAT_TRY(lat__view_contiguous_array(context, op, b, &parts[1]), done);
  LAT_TRY(lat__array_new(context, op, a->dtype, a->rank, shape, out), done);
  int64_t count = lat_array_count(parts[0]);
  if (count == 0) goto done;
  size_t block = (size_t)(count / outer) * lat_dtype_bytes(a->dtype);
  char *to = lat_array_data(*out);
  for (int64_t i = 0; i < outer; i++) {
    for (int part = 0; part < 2; part++, to += block) {
      memcpy(to, (const char *)parts[part]->view.data + (size_t)i * block, block);
    }
  }
done:
  lat_array_release(parts[0]);
  lat_array_release(parts[1]);
  return status;
}

lat_status lat__conv_tangents_open(lat_context *context, const char *op, const lat_tensor *x, const lat_weight *weight,
                                   const lat_conv_tangents *tangents, lat__tangent_operands *joined) {
  lat_status status = LAT_STATUS_OK;
  lat_array *feats = NULL;
  lat_array_view own = lat_tensor_feats(x);
  joined->weight = *weight;
  if (tangents->x && tangents->weight) {
    const lat_array_view *dense = &weight->dense;
    LAT_TRY(join_along(context, op, tangents->x, &own, 1, &feats), done);
    LAT_TRY(join_along(context, op, dense, tangents->weight, dense->rank == 3 ? 1 : dense->rank - 1, &joined->memory),
            done);
    joined->weight = lat_weight_dense(lat_array_as_view(joined->memory));
  } else if (tangents->weight) {
    joined->weight = lat_weight_dense(*tangents->weight);
    feats = lat_array_retain(x->feats);
  } else if (tangents->x) {
    LAT_TRY(lat__view_contiguous_array(context, op, tangents->x, &feats), done);
  } else { // of the bias alone: nothing but it comes out
    LAT_TRY(lat_array_full(context, own.dtype, 2, own.shape, 0.0, &feats), done);
  }
  LAT_TRY(lat__tensor_new(context, op, x->coords, feats, x, &joined->x), done);
done:
  lat_array_release(feats);
  return status;
}

void lat__conv_tangents_close(lat__tangent_operands *joined) {
  lat_tensor_release(joined->x);
  lat_array_release(joined->memory);
  joined->x = NULL;
  joined->memory = NULL;
}
