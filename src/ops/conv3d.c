// lat_conv3d: convolution over the forward relation or onto the caller's coordinates, and its algorithms.

#include <string.h>

#include <lattice/conv.h>

#include "backend/backend.h"
#include "coords/coords_internal.h"
#include "coords/tensor_internal.h"
#include "core/compiler.h"
#include "core/context_internal.h"
#include "ops/plan_internal.h"

/// Options with every default applied.
typedef struct conv3d_setup {
  lat__geometry geometry;
  int32_t groups;
  const lat_coords *target; ///< borrowed, or NULL
} conv3d_setup;

// --- check_inputs -----------------------------------------------------------------------------------------------------

static lat_status check_target(const char *op, const lat_tensor *x, const conv3d_setup *setup) {
  lat_triple in = x->coords->stride, by = setup->geometry.stride, expected;
  lat_status status = lat__coords_coarser_stride(op, in, by, &expected);
  if (!status) status = lat__conv_check_target_stride(op, setup->target, expected);
  if (!status) status = lat__geometry_check_unbounded(op, &setup->geometry);
  return status;
}

static lat_status check_options(const char *op, const lat_tensor *x, const lat_conv3d_opts *opts, conv3d_setup *setup) {
  lat_status status = LAT_STATUS_OK;
  lat_conv3d_opts o;
  LAT_TRY(lat__conv_options(op, opts, NULL, &o, &setup->geometry, NULL), done);
  setup->groups = o.groups;
  setup->target = o.coordinates;
  if (setup->target) LAT_TRY(check_target(op, x, setup), done);
done:
  return status;
}

// --- infer_output and get_relation ------------------------------------------------------------------------------------

/// True when row i of the result is row i of x alone: no relation is asked for.
static bool is_pointwise(const conv3d_setup *setup) {
  return lat__geometry_pointwise(&setup->geometry) && !setup->target;
}

/// The relation and the output set, both retained; a pointwise call has no relation and x's own set.
static lat_status get_relation(lat_context *context, const char *op, const lat_tensor *x, const conv3d_setup *setup,
                               lat_relation **relation, lat_coords **out_coords) {
  const lat_coords *target = setup->target;
  if (is_pointwise(setup)) {
    *out_coords = lat_coords_retain(x->coords);
    return LAT_STATUS_OK;
  }
  // x's own set as target (then the stride is 1) shares the forward relation where that one keeps the set.
  bool forward = !target || (target == x->coords && lat__geometry_keeps_support(&setup->geometry));
  if (forward) return lat__relation_forward(context, op, x->coords, &setup->geometry, relation, out_coords);
  lat_status status = lat__relation_target(context, op, x->coords, target, &setup->geometry, relation);
  if (!status) *out_coords = lat_coords_retain(target);
  return status;
}

// --- run --------------------------------------------------------------------------------------------------------------

static lat_status run(lat_context *context, const char *op, const lat_tensor *x, const lat_weight *weight,
                      const lat_array_view *bias, const lat_conv3d_opts *opts, const lat__conv_goal *goal) {
  lat_status status = LAT_STATUS_OK;
  conv3d_setup setup = {.target = NULL};
  lat__conv_operands operands = {.op = op};
  lat_relation *relation = NULL;
  lat_coords *out_coords = NULL;
  LAT_TRY(lat__conv_goal_check(op, context, x, goal), done);
  LAT_TRY(check_options(op, x, opts, &setup), done);
  operands.groups = setup.groups;
  LAT_TRY(lat__conv_open(context, op, x, weight, bias, &setup.geometry, &operands), done);
  LAT_TRY(get_relation(context, op, x, &setup, &relation, &out_coords), done);
  lat__conv_place place = {relation, relation ? &relation->pairs : NULL, out_coords};
  LAT_TRY(lat__conv_reach_goal(context, &operands, &place, goal), done);
done:
  lat_relation_release(relation);
  lat_coords_release(out_coords);
  lat__conv_close(&operands);
  return status;
}

lat_status lat_conv3d(lat_context *context, const lat_tensor *x, const lat_weight *weight, const lat_array_view *bias,
                      const lat_conv3d_opts *opts, lat_tensor **out) {
  lat__conv_goal goal = {out, NULL};
  return run(context, "conv3d", x, weight, bias, opts, &goal);
}

lat_status lat_conv3d_plan_create(lat_context *context, const lat_plan_input *input, const lat_weight *weight,
                                  const lat_conv3d_opts *opts, const lat_plan_opts *plan_opts, lat_plan **out) {
  static const char op[] = "conv3d_plan_create";
  lat__plan_request request = {.name = "conv3d"};
  lat__conv_goal goal = {NULL, &request};
  lat_status status = lat__plan_open(context, op, input, plan_opts, out, &request);
  return status ? status : run(context, op, &request.x.tensor, weight, request.opts.bias, opts, &goal);
}

lat_status lat_conv3d_backward(lat_context *context, const lat_tensor *x, const lat_weight *weight,
                               const lat_array_view *grad_out, const lat_conv3d_backward_opts *opts,
                               lat_conv_grads *out) {
  static const char op[] = "conv3d_backward";
  lat_status status = LAT_STATUS_OK;
  conv3d_setup setup = {.target = NULL};
  lat_conv3d_backward_opts o;
  lat__conv_operands operands = {.op = op};
  lat_relation *relation = NULL;
  lat_coords *out_coords = NULL;
  LAT_TRY(lat__conv_backward_open(context, op, x, weight, opts, &o, out), done);
  LAT_TRY(check_options(op, x, o.forward, &setup), done);
  operands.groups = setup.groups;
  LAT_TRY(lat__conv_open(context, op, x, weight, NULL, &setup.geometry, &operands), done);
  LAT_TRY(lat__conv_grad_dtype_check(op, grad_out, lat_tensor_dtype(x)), done);
  LAT_TRY(get_relation(context, op, x, &setup, &relation, &out_coords), done);
  lat__conv_backward_call call = {weight, relation, false, out_coords->n_rows, grad_out, o.grads};
  LAT_TRY(lat__conv_backward(context, &operands, &call, out), done);
done:
  lat_relation_release(relation);
  lat_coords_release(out_coords);
  lat__conv_close(&operands);
  return status;
}

lat_status lat_conv3d_jvp(lat_context *context, const lat_tensor *x, const lat_weight *weight,
                          const lat_conv_tangents *tangents, const lat_conv3d_opts *opts, lat_tensor **out) {
  static const char op[] = "conv3d_jvp";
  lat_status status = LAT_STATUS_OK;
  conv3d_setup setup = {.target = NULL};
  lat__conv_operands operands = {.op = op};
  lat_relation *relation = NULL;
  lat_coords *out_coords = NULL;
  LAT_TRY(lat__op_check(op, context, "x", x, out), done);
  LAT_TRY(check_options(op, x, opts, &setup), done);
  operands.groups = setup.groups;
  LAT_TRY(lat__conv_open(context, op, x, weight, tangents ? tangents->bias : NULL, &setup.geometry, &operands), done);
  LAT_TRY(lat__conv_tangents_check(op, x, weight, tangents), done);
  LAT_TRY(get_relation(context, op, x, &setup, &relation, &out_coords), done);
  lat__conv_jvp_call call = {weight, tangents, relation ? &relation->pairs : NULL, out_coords};
  LAT_TRY(lat__conv_jvp(context, &operands, &call, out), done);
done:
  lat_relation_release(relation);
  lat_coords_release(out_coords);
  lat__conv_close(&operands);
  return status;
}

/// The operands and the description of a call whose algorithm is asked for.
static lat_status open_question(const char *op, lat_context *context, const lat_tensor *x, const lat_weight *weight,
                                const lat_conv3d_opts *opts, lat__conv_operands *operands) {
  static const lat__pairs some_pairs;
  lat_status status = LAT_STATUS_OK;
  conv3d_setup setup = {.target = NULL};
  LAT_TRY(check_options(op, x, opts, &setup), done);
  operands->groups = setup.groups;
  LAT_TRY(lat__conv_open(context, op, x, weight, NULL, &setup.geometry, operands), done);
  operands->desc.pairs = is_pointwise(&setup) ? NULL : &some_pairs;
done:
  return status;
}

static lat_status check_question(const char *op, const lat_context *context, const lat_tensor *x, const void *answer,
                                 const char *answer_name, const char *expected) {
  if (context && x && answer) return LAT_STATUS_OK;
  return lat_fail(LAT_STATUS_INVALID_ARGUMENT, "%s: %s: got NULL, expected %s", op,
                  context ? (x ? answer_name : "x") : "context",
                  context ? (x ? expected : "a sparse tensor") : "a context");
}

lat_status lat_conv3d_algorithm(lat_context *context, const lat_tensor *x, const lat_weight *weight,
                                const lat_conv3d_opts *opts, char *name, size_t name_bytes) {
  static const char op[] = "conv3d_algorithm";
  lat_status status = LAT_STATUS_OK;
  lat__conv_operands operands = {.op = op};
  LAT_TRY(check_question(op, context, x, name, "name", "a text buffer"), done);
  LAT_TRY(open_question(op, context, x, weight, opts, &operands), done);
  lat__backend_of(context)->conv_algorithm(context, &operands.desc, name, name_bytes);
done:
  lat__conv_close(&operands);
  return status;
}

lat_status lat_conv3d_candidates(lat_context *context, const lat_tensor *x, const lat_weight *weight,
                                 const lat_conv3d_opts *opts, lat_conv_candidates *out) {
  static const char op[] = "conv3d_candidates";
  lat_status status = LAT_STATUS_OK;
  lat__conv_operands operands = {.op = op};
  LAT_TRY(check_question(op, context, x, out, "out", "a place for the list"), done);
  LAT_TRY(open_question(op, context, x, weight, opts, &operands), done);
  lat__backend_of(context)->conv_candidates(&operands.desc, out);
done:
  lat__conv_close(&operands);
  return status;
}
