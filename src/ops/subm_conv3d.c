// lat_subm_conv3d and its normalized form, their gradients and forward-mode products: convolution whose output support is
// the input's own.

#include <lattice/conv_normalized.h>

#include "coords/coords_internal.h"
#include "coords/tensor_internal.h"
#include "core/compiler.h"
#include "core/context_internal.h"
#include "ops/plan_internal.h"

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

/// A member of the family.
typedef struct subm_op {
  const char *name;
  bool normalized;
} subm_op;

/// An open call. Zero-initialise; close_call frees what it holds, also after a failure.
typedef struct subm_call {
  lat__geometry geometry;
  lat__conv_operands operands;
  lat_relation *relation; ///< NULL: row i meets row i
} subm_call;

static lat_status open_operands(lat_context *context, const subm_op *op, const lat_tensor *x, const lat_weight *weight,
                                const lat_array_view *bias, const lat_conv3d_opts *opts, subm_call *call) {
  lat_status status = LAT_STATUS_OK;
  lat__conv_operands *operands = &call->operands;
  float eps = 0.0f;
  LAT_TRY(check_options(op->name, opts, &call->geometry, &operands->groups, op->normalized ? &eps : NULL), done);
  if (op->normalized) LAT_TRY(lat__conv_check_not_packed(op->name, weight), done);
  LAT_TRY(lat__conv_open(context, op->name, x, weight, bias, &call->geometry, operands), done);
  if (!lat__geometry_pointwise(&call->geometry)) operands->desc.norm_eps = eps;
done:
  return status;
}

static lat_status open_relation(lat_context *context, const subm_op *op, const lat_tensor *x, subm_call *call) {
  if (lat__geometry_pointwise(&call->geometry)) return LAT_STATUS_OK;
  return lat__relation_subm(context, op->name, x->coords, &call->geometry, &call->relation);
}

static void close_call(subm_call *call) {
  lat_relation_release(call->relation);
  lat__conv_close(&call->operands);
}

static lat_status run(lat_context *context, const subm_op *op, const lat_tensor *x, const lat_weight *weight,
                      const lat_array_view *bias, const lat_conv3d_opts *opts, const lat__conv_goal *goal) {
  lat_status status = LAT_STATUS_OK;
  subm_call call = {.relation = NULL};
  LAT_TRY(lat__conv_goal_check(op->name, context, x, goal), done);
  LAT_TRY(open_operands(context, op, x, weight, bias, opts, &call), done);
  LAT_TRY(open_relation(context, op, x, &call), done);
  lat__conv_place place = {call.relation, call.relation ? &call.relation->pairs : NULL, x->coords};
  LAT_TRY(lat__conv_reach_goal(context, &call.operands, &place, goal), done);
done:
  close_call(&call);
  return status;
}

lat_status lat_subm_conv3d(lat_context *context, const lat_tensor *x, const lat_weight *weight,
                           const lat_array_view *bias, const lat_conv3d_opts *opts, lat_tensor **out) {
  static const subm_op op = {"subm_conv3d", false};
  lat__conv_goal goal = {out, NULL};
  return run(context, &op, x, weight, bias, opts, &goal);
}

lat_status lat_subm_conv3d_plan_create(lat_context *context, const lat_plan_input *input, const lat_weight *weight,
                                       const lat_conv3d_opts *opts, const lat_plan_opts *plan_opts, lat_plan **out) {
  static const subm_op op = {"subm_conv3d_plan_create", false};
  lat__plan_request request = {.name = "subm_conv3d"};
  lat__conv_goal goal = {NULL, &request};
  lat_status status = lat__plan_open(context, op.name, input, plan_opts, out, &request);
  return status ? status : run(context, &op, &request.x.tensor, weight, request.opts.bias, opts, &goal);
}

lat_status lat_normalized_subm_conv3d(lat_context *context, const lat_tensor *x, const lat_weight *weight,
                                      const lat_array_view *bias, const lat_conv3d_opts *opts, lat_tensor **out) {
  static const subm_op op = {"normalized_subm_conv3d", true};
  lat__conv_goal goal = {out, NULL};
  return run(context, &op, x, weight, bias, opts, &goal);
}

lat_status lat_normalized_subm_conv3d_plan_create(lat_context *context, const lat_plan_input *input,
                                                  const lat_weight *weight, const lat_conv3d_opts *opts,
                                                  const lat_plan_opts *plan_opts, lat_plan **out) {
  static const subm_op op = {"normalized_subm_conv3d_plan_create", true};
  lat__plan_request request = {.name = "normalized_subm_conv3d"};
  lat__conv_goal goal = {NULL, &request};
  lat_status status = lat__plan_open(context, op.name, input, plan_opts, out, &request);
  return status ? status : run(context, &op, &request.x.tensor, weight, request.opts.bias, opts, &goal);
}

static lat_status run_backward(lat_context *context, const subm_op *op, const lat_tensor *x, const lat_weight *weight,
                               const lat_array_view *grad_out, const lat_conv3d_backward_opts *opts,
                               lat_conv_grads *out) {
  lat_status status = LAT_STATUS_OK;
  lat_conv3d_backward_opts o;
  subm_call call = {.relation = NULL};
  LAT_TRY(lat__conv_backward_open(context, op->name, x, weight, opts, &o, out), done);
  LAT_TRY(open_operands(context, op, x, weight, NULL, o.forward, &call), done);
  LAT_TRY(lat__conv_grad_dtype_check(op->name, grad_out, lat_tensor_dtype(x)), done);
  LAT_TRY(open_relation(context, op, x, &call), done);
  lat__conv_backward_call backward = {weight, call.relation, false, x->coords->n_rows, grad_out, o.grads};
  LAT_TRY(lat__conv_backward(context, &call.operands, &backward, out), done);
done:
  close_call(&call);
  return status;
}

lat_status lat_subm_conv3d_backward(lat_context *context, const lat_tensor *x, const lat_weight *weight,
                                    const lat_array_view *grad_out, const lat_conv3d_backward_opts *opts,
                                    lat_conv_grads *out) {
  static const subm_op op = {"subm_conv3d_backward", false};
  return run_backward(context, &op, x, weight, grad_out, opts, out);
}

lat_status lat_normalized_subm_conv3d_backward(lat_context *context, const lat_tensor *x, const lat_weight *weight,
                                               const lat_array_view *grad_out, const lat_conv3d_backward_opts *opts,
                                               lat_conv_grads *out) {
  static const subm_op op = {"normalized_subm_conv3d_backward", true};
  return run_backward(context, &op, x, weight, grad_out, opts, out);
}

static lat_status run_jvp(lat_context *context, const subm_op *op, const lat_tensor *x, const lat_weight *weight,
                          const lat_conv_tangents *tangents, const lat_conv3d_opts *opts, lat_tensor **out) {
  lat_status status = LAT_STATUS_OK;
  subm_call call = {.relation = NULL};
  LAT_TRY(lat__op_check(op->name, context, "x", x, out), done);
  LAT_TRY(open_operands(context, op, x, weight, tangents ? tangents->bias : NULL, opts, &call), done);
  LAT_TRY(lat__conv_tangents_check(op->name, x, weight, tangents), done);
  LAT_TRY(open_relation(context, op, x, &call), done);
  lat__conv_jvp_call jvp = {weight, tangents, call.relation ? &call.relation->pairs : NULL, x->coords};
  LAT_TRY(lat__conv_jvp(context, &call.operands, &jvp, out), done);
done:
  close_call(&call);
  return status;
}

lat_status lat_subm_conv3d_jvp(lat_context *context, const lat_tensor *x, const lat_weight *weight,
                               const lat_conv_tangents *tangents, const lat_conv3d_opts *opts, lat_tensor **out) {
  static const subm_op op = {"subm_conv3d_jvp", false};
  return run_jvp(context, &op, x, weight, tangents, opts, out);
}

lat_status lat_normalized_subm_conv3d_jvp(lat_context *context, const lat_tensor *x, const lat_weight *weight,
                                          const lat_conv_tangents *tangents, const lat_conv3d_opts *opts,
                                          lat_tensor **out) {
  static const subm_op op = {"normalized_subm_conv3d_jvp", true};
  return run_jvp(context, &op, x, weight, tangents, opts, out);
}
