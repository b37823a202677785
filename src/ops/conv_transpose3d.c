// Transposed and generative convolutions, normalized or not, their gradients and forward-mode products: over the relation
// that x generates, or onto the caller's coordinates.

#include <lattice/conv_normalized.h>
#include <lattice/conv_transpose.h>

#include "coords/coords_internal.h"
#include "coords/tensor_internal.h"
#include "core/compiler.h"
#include "core/context_internal.h"
#include "ops/plan_internal.h"

/// A member of the family.
typedef struct transpose_op {
  const char *name;
  bool generative; ///< outputs are never merged
  bool normalized;
} transpose_op;

/// Operands and options as the caller gave them.
typedef struct transpose_args {
  const lat_tensor *x;
  const lat_weight *weight;
  const lat_conv3d_opts *opts;
} transpose_args;

/// Options with every default applied.
typedef struct transpose_setup {
  lat__geometry geometry;
  int32_t groups;
  const lat_coords *target; ///< borrowed, or NULL
  float eps;                ///< 0: not normalized
} transpose_setup;

static lat_status check_options(const transpose_op *op, const lat_tensor *x, const lat_conv3d_opts *opts,
                                transpose_setup *setup) {
  lat_status status = LAT_STATUS_OK;
  lat_conv3d_opts o;
  lat_triple stride;
  float *eps = op->normalized ? &setup->eps : NULL;
  LAT_TRY(lat__conv_options(op->name, opts, &lat__transposed_defaults, &o, &setup->geometry, eps), done);
  LAT_TRY(lat__geometry_check_floor(op->name, &setup->geometry), done);
  if (op->generative) LAT_TRY(lat__geometry_check_generative(op->name, &setup->geometry), done);
  LAT_TRY(lat__transposed_stride(op->name, x->coords->stride, setup->geometry.stride, &stride), done);
  setup->groups = o.groups;
  setup->target = o.coordinates;
  if (setup->target) LAT_TRY(lat__conv_check_target_stride(op->name, setup->target, stride), done);
done:
  return status;
}

/// The relation and the output set, both retained.
static lat_status get_relation(lat_context *context, const transpose_op *op, const lat_tensor *x,
                               const transpose_setup *setup, lat_relation **relation, lat_coords **out_coords) {
  if (setup->target) {
    lat_status status =
        lat__relation_target_transposed(context, op->name, x->coords, setup->target, &setup->geometry, relation);
    if (!status) *out_coords = lat_coords_retain(setup->target);
    return status;
  }
  return (op->generative ? lat__relation_generative : lat__relation_transposed)(context, op->name, x->coords,
                                                                                &setup->geometry, relation, out_coords);
}

/// What every call begins with.
static lat_status open_operands(lat_context *context, const transpose_op *op, const transpose_args *args,
                                const lat_array_view *bias, transpose_setup *setup, lat__conv_operands *operands) {
  lat_status status = LAT_STATUS_OK;
  LAT_TRY(check_options(op, args->x, args->opts, setup), done);
  if (op->normalized) LAT_TRY(lat__conv_check_not_packed(op->name, args->weight), done);
  operands->groups = setup->groups;
  LAT_TRY(lat__conv_open(context, op->name, args->x, args->weight, bias, &setup->geometry, operands), done);
  operands->desc.norm_eps = setup->eps;
done:
  return status;
}

static lat_status run(lat_context *context, const transpose_op *op, const lat_tensor *x, const lat_weight *weight,
                      const lat_array_view *bias, const lat_conv3d_opts *opts, const lat__conv_goal *goal) {
  lat_status status = LAT_STATUS_OK;
  transpose_setup setup = {.target = NULL};
  lat__conv_operands operands = {.op = op->name};
  lat_relation *relation = NULL;
  lat_coords *out_coords = NULL;
  LAT_TRY(lat__conv_goal_check(op->name, context, x, goal), done);
  LAT_TRY(open_operands(context, op, &(transpose_args){x, weight, opts}, bias, &setup, &operands), done);
  LAT_TRY(get_relation(context, op, x, &setup, &relation, &out_coords), done);
  lat__conv_place place = {relation, &relation->pairs, out_coords};
  LAT_TRY(lat__conv_reach_goal(context, &operands, &place, goal), done);
done:
  lat_relation_release(relation);
  lat_coords_release(out_coords);
  lat__conv_close(&operands);
  return status;
}

lat_status lat_conv_transpose3d(lat_context *context, const lat_tensor *x, const lat_weight *weight,
                                const lat_array_view *bias, const lat_conv3d_opts *opts, lat_tensor **out) {
  static const transpose_op op = {"conv_transpose3d", false, false};
  lat__conv_goal goal = {out, NULL};
  return run(context, &op, x, weight, bias, opts, &goal);
}

lat_status lat_conv_transpose3d_plan_create(lat_context *context, const lat_plan_input *input, const lat_weight *weight,
                                            const lat_conv3d_opts *opts, const lat_plan_opts *plan_opts,
                                            lat_plan **out) {
  static const transpose_op op = {"conv_transpose3d_plan_create", false, false};
  lat__plan_request request = {.name = "conv_transpose3d"};
  lat__conv_goal goal = {NULL, &request};
  lat_status status = lat__plan_open(context, op.name, input, plan_opts, out, &request);
  return status ? status : run(context, &op, &request.x.tensor, weight, request.opts.bias, opts, &goal);
}

lat_status lat_generative_conv_transpose3d(lat_context *context, const lat_tensor *x, const lat_weight *weight,
                                           const lat_array_view *bias, const lat_conv3d_opts *opts, lat_tensor **out) {
  static const transpose_op op = {"generative_conv_transpose3d", true, false};
  lat__conv_goal goal = {out, NULL};
  return run(context, &op, x, weight, bias, opts, &goal);
}

lat_status lat_generative_conv_transpose3d_plan_create(lat_context *context, const lat_plan_input *input,
                                                       const lat_weight *weight, const lat_conv3d_opts *opts,
                                                       const lat_plan_opts *plan_opts, lat_plan **out) {
  static const transpose_op op = {"generative_conv_transpose3d_plan_create", true, false};
  lat__plan_request request = {.name = "generative_conv_transpose3d"};
  lat__conv_goal goal = {NULL, &request};
  lat_status status = lat__plan_open(context, op.name, input, plan_opts, out, &request);
  return status ? status : run(context, &op, &request.x.tensor, weight, request.opts.bias, opts, &goal);
}

lat_status lat_normalized_conv_transpose3d(lat_context *context, const lat_tensor *x, const lat_weight *weight,
                                           const lat_array_view *bias, const lat_conv3d_opts *opts, lat_tensor **out) {
  static const transpose_op op = {"normalized_conv_transpose3d", false, true};
  lat__conv_goal goal = {out, NULL};
  return run(context, &op, x, weight, bias, opts, &goal);
}

lat_status lat_normalized_conv_transpose3d_plan_create(lat_context *context, const lat_plan_input *input,
                                                       const lat_weight *weight, const lat_conv3d_opts *opts,
                                                       const lat_plan_opts *plan_opts, lat_plan **out) {
  static const transpose_op op = {"normalized_conv_transpose3d_plan_create", false, true};
  lat__plan_request request = {.name = "normalized_conv_transpose3d"};
  lat__conv_goal goal = {NULL, &request};
  lat_status status = lat__plan_open(context, op.name, input, plan_opts, out, &request);
  return status ? status : run(context, &op, &request.x.tensor, weight, request.opts.bias, opts, &goal);
}

lat_status lat_normalized_generative_conv_transpose3d(lat_context *context, const lat_tensor *x,
                                                      const lat_weight *weight, const lat_array_view *bias,
                                                      const lat_conv3d_opts *opts, lat_tensor **out) {
  static const transpose_op op = {"normalized_generative_conv_transpose3d", true, true};
  lat__conv_goal goal = {out, NULL};
  return run(context, &op, x, weight, bias, opts, &goal);
}

lat_status lat_normalized_generative_conv_transpose3d_plan_create(lat_context *context, const lat_plan_input *input,
                                                                  const lat_weight *weight, const lat_conv3d_opts *opts,
                                                                  const lat_plan_opts *plan_opts, lat_plan **out) {
  static const transpose_op op = {"normalized_generative_conv_transpose3d_plan_create", true, true};
  lat__plan_request request = {.name = "normalized_generative_conv_transpose3d"};
  lat__conv_goal goal = {NULL, &request};
  lat_status status = lat__plan_open(context, op.name, input, plan_opts, out, &request);
  return status ? status : run(context, &op, &request.x.tensor, weight, request.opts.bias, opts, &goal);
}

static lat_status run_backward(lat_context *context, const transpose_op *op, const lat_tensor *x,
                               const lat_weight *weight, const lat_array_view *grad_out,
                               const lat_conv3d_backward_opts *opts, lat_conv_grads *out) {
  lat_status status = LAT_STATUS_OK;
  transpose_setup setup = {.target = NULL};
  lat_conv3d_backward_opts o;
  lat__conv_operands operands = {.op = op->name};
  lat_relation *relation = NULL;
  lat_coords *out_coords = NULL;
  LAT_TRY(lat__conv_backward_open(context, op->name, x, weight, opts, &o, out), done);
  LAT_TRY(open_operands(context, op, &(transpose_args){x, weight, o.forward}, NULL, &setup, &operands), done);
  LAT_TRY(lat__conv_grad_dtype_check(op->name, grad_out, lat_tensor_dtype(x)), done);
  LAT_TRY(get_relation(context, op, x, &setup, &relation, &out_coords), done);
  lat__conv_backward_call call = {weight, relation, false, out_coords->n_rows, grad_out, o.grads};
  LAT_TRY(lat__conv_backward(context, &operands, &call, out), done);
done:
  lat_relation_release(relation);
  lat_coords_release(out_coords);
  lat__conv_close(&operands);
  return status;
}

lat_status lat_conv_transpose3d_backward(lat_context *context, const lat_tensor *x, const lat_weight *weight,
                                         const lat_array_view *grad_out, const lat_conv3d_backward_opts *opts,
                                         lat_conv_grads *out) {
  static const transpose_op op = {"conv_transpose3d_backward", false, false};
  return run_backward(context, &op, x, weight, grad_out, opts, out);
}

lat_status lat_generative_conv_transpose3d_backward(lat_context *context, const lat_tensor *x, const lat_weight *weight,
                                                    const lat_array_view *grad_out,
                                                    const lat_conv3d_backward_opts *opts, lat_conv_grads *out) {
  static const transpose_op op = {"generative_conv_transpose3d_backward", true, false};
  return run_backward(context, &op, x, weight, grad_out, opts, out);
}

lat_status lat_normalized_conv_transpose3d_backward(lat_context *context, const lat_tensor *x, const lat_weight *weight,
                                                    const lat_array_view *grad_out,
                                                    const lat_conv3d_backward_opts *opts, lat_conv_grads *out) {
  static const transpose_op op = {"normalized_conv_transpose3d_backward", false, true};
  return run_backward(context, &op, x, weight, grad_out, opts, out);
}

lat_status lat_normalized_generative_conv_transpose3d_backward(lat_context *context, const lat_tensor *x,
                                                               const lat_weight *weight, const lat_array_view *grad_out,
                                                               const lat_conv3d_backward_opts *opts,
                                                               lat_conv_grads *out) {
  static const transpose_op op = {"normalized_generative_conv_transpose3d_backward", true, true};
  return run_backward(context, &op, x, weight, grad_out, opts, out);
}

static lat_status run_jvp(lat_context *context, const transpose_op *op, const lat_tensor *x, const lat_weight *weight,
                          const lat_conv_tangents *tangents, const lat_conv3d_opts *opts, lat_tensor **out) {
  lat_status status = LAT_STATUS_OK;
  transpose_setup setup = {.target = NULL};
  lat__conv_operands operands = {.op = op->name};
  lat_relation *relation = NULL;
  lat_coords *out_coords = NULL;
  const lat_array_view *bias = tangents ? tangents->bias : NULL;
  LAT_TRY(lat__op_check(op->name, context, "x", x, out), done);
  LAT_TRY(open_operands(context, op, &(transpose_args){x, weight, opts}, bias, &setup, &operands), done);
  LAT_TRY(lat__conv_tangents_check(op->name, x, weight, tangents), done);
  LAT_TRY(get_relation(context, op, x, &setup, &relation, &out_coords), done);
  lat__conv_jvp_call call = {weight, tangents, &relation->pairs, out_coords};
  LAT_TRY(lat__conv_jvp(context, &operands, &call, out), done);
done:
  lat_relation_release(relation);
  lat_coords_release(out_coords);
  lat__conv_close(&operands);
  return status;
}

lat_status lat_conv_transpose3d_jvp(lat_context *context, const lat_tensor *x, const lat_weight *weight,
                                    const lat_conv_tangents *tangents, const lat_conv3d_opts *opts, lat_tensor **out) {
  static const transpose_op op = {"conv_transpose3d_jvp", false, false};
  return run_jvp(context, &op, x, weight, tangents, opts, out);
}

lat_status lat_generative_conv_transpose3d_jvp(lat_context *context, const lat_tensor *x, const lat_weight *weight,
                                               const lat_conv_tangents *tangents, const lat_conv3d_opts *opts,
                                               lat_tensor **out) {
  static const transpose_op op = {"generative_conv_transpose3d_jvp", true, false};
  return run_jvp(context, &op, x, weight, tangents, opts, out);
}

lat_status lat_normalized_conv_transpose3d_jvp(lat_context *context, const lat_tensor *x, const lat_weight *weight,
                                               const lat_conv_tangents *tangents, const lat_conv3d_opts *opts,
                                               lat_tensor **out) {
  static const transpose_op op = {"normalized_conv_transpose3d_jvp", false, true};
  return run_jvp(context, &op, x, weight, tangents, opts, out);
}

lat_status lat_normalized_generative_conv_transpose3d_jvp(lat_context *context, const lat_tensor *x,
                                                          const lat_weight *weight, const lat_conv_tangents *tangents,
                                                          const lat_conv3d_opts *opts, lat_tensor **out) {
  static const transpose_op op = {"normalized_generative_conv_transpose3d_jvp", true, true};
  return run_jvp(context, &op, x, weight, tangents, opts, out);
}
