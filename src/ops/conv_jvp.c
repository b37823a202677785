// Forward-mode products of the convolutions. conv(dx, W) + conv(x, dW) is one convolution with twice the input channels:
// (dx, x) under (W, dW) in every group, so that everything is one sum with one rounding.

#include <string.h>

#include "coords/coords_internal.h"
#include "coords/tensor_internal.h"
#include "core/array_internal.h"
#include "core/compiler.h"
#include "ops/conv_common.h"

static lat_status check_tangent(const char *op, const char *name, const lat_array_view *tangent,
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

lat_status lat__conv_tangents_check(const char *op, const lat_tensor *x, const lat_weight *weight,
                                    const lat_conv_tangents *tangents) {
  lat_status status = LAT_STATUS_OK;
  lat_array_view feats = lat_tensor_feats(x);
  if (!tangents || (!tangents->x && !tangents->weight && !tangents->bias)) {
    return lat_fail(LAT_STATUS_INVALID_ARGUMENT, "%s: tangents: got %s, expected one or more (no tangent was given)",
                    op, tangents ? "three NULLs" : "NULL");
  }
  if (tangents->weight && weight->packed) {
    return lat_fail(LAT_STATUS_INVALID_ARGUMENT,
                    "%s: a packed weight has no tangent: got a tangent, expected NULL or a dense weight", op);
  }
  if (tangents->x) LAT_TRY(check_tangent(op, "x", tangents->x, &feats), done);
  if (tangents->weight) LAT_TRY(check_tangent(op, "weight", tangents->weight, &weight->dense), done);
done:
  return status;
}

/// `*out` = a and b, of one shape and dtype, cut into `n_runs` runs of equal length: run 0 of a, run 0 of b, run 1 of a, …
/// `axis` is the one that becomes twice as long.
static lat_status join_runs(lat_context *context, const char *op, const lat_array_view *a, const lat_array_view *b,
                            int32_t axis, int64_t n_runs, lat_array **out) {
  lat_status status = LAT_STATUS_OK;
  lat_array *parts[2] = {NULL, NULL};
  int64_t shape[LAT_MAX_RANK];
  for (int32_t i = 0; i < a->rank; i++) shape[i] = a->shape[i];
  shape[axis] *= 2;
  LAT_TRY(lat__view_contiguous_array(context, op, a, &parts[0]), done);
  LAT_TRY(lat__view_contiguous_array(context, op, b, &parts[1]), done);
  LAT_TRY(lat__array_new(context, op, a->dtype, a->rank, shape, out), done);
  int64_t count = lat_array_count(parts[0]);
  if (count == 0) goto done;
  size_t run_bytes = (size_t)(count / n_runs) * lat_dtype_bytes(a->dtype);
  char *to = lat_array_data(*out);
  for (int64_t i = 0; i < n_runs; i++) {
    for (int part = 0; part < 2; part++, to += run_bytes) {
      memcpy(to, (const char *)parts[part]->view.data + (size_t)i * run_bytes, run_bytes);
    }
  }
done:
  lat_array_release(parts[0]);
  lat_array_release(parts[1]);
  return status;
}

/// Both tangents: operands with twice the input channels.
static lat_status join_both(lat_context *context, const lat__conv_operands *operands, const lat__conv_jvp_call *call,
                            lat_array **feats, lat_array **weight) {
  lat_array_view own = lat_tensor_feats(operands->x);
  const lat_array_view *dense = &call->weight->dense;
  const lat__conv_desc *desc = &operands->desc;
  bool by_row = dense->rank == 3; // (K, C_in, C_out); else the input channels come last
  int64_t weight_runs = by_row ? desc->n_kernels : desc->c_out * desc->n_kernels;
  lat_status status = join_runs(context, operands->op, call->tangents->x, &own, 1, desc->n_in * desc->groups, feats);
  if (status) return status;
  return join_runs(context, operands->op, dense, call->tangents->weight, by_row ? 1 : dense->rank - 1, weight_runs,
                   weight);
}

lat_status lat__conv_jvp(lat_context *context, const lat__conv_operands *operands, const lat__conv_jvp_call *call,
                         lat_tensor **out) {
  lat_status status = LAT_STATUS_OK;
  const lat_conv_tangents *tangents = call->tangents;
  lat__conv_operands product = *operands; // borrows
  lat__conv_norm_tangent norm = {.forward = &operands->desc};
  lat_array *feats = NULL, *weight = NULL, *own_tangent = NULL;
  if (tangents->x && tangents->weight) {
    LAT_TRY(join_both(context, operands, call, &feats, &weight), done);
    product.desc.c_in *= 2;
  } else if (tangents->weight) {
    LAT_TRY(lat__view_contiguous_array(context, operands->op, tangents->weight, &weight), done);
  } else if (tangents->x) {
    LAT_TRY(lat__view_contiguous_array(context, operands->op, tangents->x, &feats), done);
  } else {
    product.desc.n_kernels = 0; // of the bias alone: no products
    product.desc.norm_eps = 0.0f;
  }
  if (feats) product.desc.x = feats->view.data;
  if (weight) product.desc.weight.data = weight->view.data;
  if (product.desc.norm_eps > 0.0f) {
    product.desc.norm_tangent = &norm;
    if (tangents->weight) {
      LAT_TRY(lat__view_contiguous_array(context, operands->op, tangents->weight, &own_tangent), done);
      norm.weight_tangent = own_tangent->view.data;
    }
  }
  LAT_TRY(lat__conv_run(context, &product, call->pairs, call->out_coords, out), done);
done:
  lat_array_release(feats);
  lat_array_release(weight);
  lat_array_release(own_tangent);
  return status;
}
