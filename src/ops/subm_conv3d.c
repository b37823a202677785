// lat_subm_conv3d and its normalized form: convolution whose output support is the input's own.

#include <lattice/conv_normalized.h>

#include "coords/coords_internal.h"
#include "coords/tensor_internal.h"
#include "core/compiler.h"
#include "core/context_internal.h"
#include "ops/conv_common.h"

static lat_status check_options(const char *op, const lat_conv3d_opts *opts, lat__geometry *geometry, int32_t *groups,
                                float *eps) {
  lat_status status = LAT_STATUS_OK;
  lat_conv3d_opts o;
  LAT_TRY(lat__conv_options(op, opts, NULL, &o, geometry, eps), done);
  *groups = o.groups;
  LAT_TRY(lat__geometry_check_subm(op, geometry), done);
  if (o.coordinates) {
    status = lat_fail(LAT_STATUS_INVALID_ARGUMENT,
                      "%s: coordinates must be NULL: got a coordinate set, expected none (the output set is x's)", op);
  }
done:
  return status;
}

static lat_status run(lat_context *context, const char *op, bool normalized, const lat_tensor *x,
                      const lat_weight *weight, const lat_array_view *bias, const lat_conv3d_opts *opts,
                      lat_tensor **out) {
  lat_status status = LAT_STATUS_OK;
  lat__geometry geometry;
  lat__conv_operands operands = {.op = op};
  lat_relation *relation = NULL;
  float eps = 0.0f;
  LAT_TRY(lat__op_check(op, context, "x", x, out), done);
  LAT_TRY(check_options(op, opts, &geometry, &operands.groups, normalized ? &eps : NULL), done);
  if (normalized) LAT_TRY(lat__conv_check_not_packed(op, weight), done);
  LAT_TRY(lat__conv_open(context, op, x, weight, bias, &geometry, &operands), done);
  if (!lat__geometry_pointwise(&geometry)) {
    operands.desc.norm_eps = eps;
    LAT_TRY(lat__relation_subm(context, op, x->coords, &geometry, &relation), done);
  }
  LAT_TRY(lat__conv_run(context, &operands, relation, x->coords, out), done);
done:
  lat_relation_release(relation);
  lat__conv_close(&operands);
  return status;
}

lat_status lat_subm_conv3d(lat_context *context, const lat_tensor *x, const lat_weight *weight,
                           const lat_array_view *bias, const lat_conv3d_opts *opts, lat_tensor **out) {
  return run(context, "subm_conv3d", false, x, weight, bias, opts, out);
}

lat_status lat_normalized_subm_conv3d(lat_context *context, const lat_tensor *x, const lat_weight *weight,
                                      const lat_array_view *bias, const lat_conv3d_opts *opts, lat_tensor **out) {
  return run(context, "normalized_subm_conv3d", true, x, weight, bias, opts, out);
}

lat_status lat_subm_conv3d_backward(lat_context *context, const lat_tensor *x, const lat_weight *weight,
                                    const lat_array_view *grad_out, const lat_conv3d_backward_opts *opts,
                                    lat_conv_grads *out) {
  static const char op[] = "subm_conv3d_backward";
  lat_status status = LAT_STATUS_OK;
  lat__geometry geometry;
  lat_conv3d_backward_opts o;
  lat__conv_operands operands = {.op = op};
  lat_relation *relation = NULL;
  LAT_TRY(lat__conv_backward_open(context, op, x, weight, opts, &o, out), done);
  LAT_TRY(check_options(op, o.forward, &geometry, &operands.groups, NULL), done);
  LAT_TRY(lat__conv_open(context, op, x, weight, NULL, &geometry, &operands), done);
  LAT_TRY(lat__conv_grad_dtype_check(op, grad_out, lat_tensor_dtype(x)), done);
  if (!lat__geometry_pointwise(&geometry)) {
    LAT_TRY(lat__relation_subm(context, op, x->coords, &geometry, &relation), done);
  }
  lat__conv_backward_call call = {weight, relation, false, x->coords->n_rows, grad_out, o.grads};
  LAT_TRY(lat__conv_backward(context, &operands, &call, out), done);
done:
  lat_relation_release(relation);
  lat__conv_close(&operands);
  return status;
}
