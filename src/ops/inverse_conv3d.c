// lat_inverse_conv3d, its gradients and forward-mode product: over a forward relation from its outputs to its inputs.

#include <string.h>

#include <lattice/conv_transpose.h>

#include "coords/coords_internal.h"
#include "coords/tensor_internal.h"
#include "core/compiler.h"
#include "core/context_internal.h"
#include "ops/plan_internal.h"

static lat_status check_options(const char *op, const lat_conv3d_opts *opts, lat__geometry *geometry, int32_t *groups,
                                const lat_coords **fine) {
  lat_status status = LAT_STATUS_OK;
  lat_conv3d_opts o;
  LAT_TRY(lat__conv_options(op, opts, NULL, &o, geometry, NULL), done);
  *groups = o.groups;
  *fine = o.coordinates;
  if (!o.coordinates) {
    status = lat_fail(LAT_STATUS_INVALID_ARGUMENT,
                      "%s: coordinates: got NULL, expected the input set of the forward convolution", op);
  }
done:
  return status;
}

/// The set itself, or one with its rows in its order: the cache may have let the forward relation go meanwhile.
static bool is_same_set(const lat_coords *a, const lat_coords *b) {
  if (a == b) return true;
  lat_triple s = a->stride, t = b->stride;
  return a->n_rows == b->n_rows && s.x == t.x && s.y == t.y && s.z == t.z &&
         (a->n_rows == 0 || memcmp(a->rows, b->rows, (size_t)a->n_rows * 4 * sizeof *a->rows) == 0);
}

static lat_status check_coarse(const char *op, const lat_tensor *x, const lat_coords *coarse) {
  if (is_same_set(x->coords, coarse)) return LAT_STATUS_OK;
  lat_triple got = x->coords->stride, expected = coarse->stride;
  return lat_fail(LAT_STATUS_INVALID_ARGUMENT,
                  "%s: x must lie on the output set of the forward convolution: got %lld rows of stride (%d, %d, %d), "
                  "expected the %lld rows of stride (%d, %d, %d) that the coordinates give",
                  op, (long long)x->coords->n_rows, (int)got.x, (int)got.y, (int)got.z, (long long)coarse->n_rows,
                  (int)expected.x, (int)expected.y, (int)expected.z);
}

static lat_status run(lat_context *context, const char *op, const lat_tensor *x, const lat_weight *weight,
                      const lat_array_view *bias, const lat_conv3d_opts *opts, const lat__conv_goal *goal) {
  lat_status status = LAT_STATUS_OK;
  lat__geometry geometry;
  lat__conv_operands operands = {.op = op};
  const lat_coords *fine = NULL;
  const lat__pairs *pairs = NULL;
  lat_relation *relation = NULL;
  lat_coords *coarse = NULL;
  LAT_TRY(lat__conv_goal_check(op, context, x, goal), done);
  LAT_TRY(check_options(op, opts, &geometry, &operands.groups, &fine), done);
  LAT_TRY(lat__conv_open(context, op, x, weight, bias, &geometry, &operands), done);
  LAT_TRY(lat__relation_forward(context, op, fine, &geometry, &relation, &coarse), done);
  LAT_TRY(check_coarse(op, x, coarse), done);
  LAT_TRY(lat__relation_pairs_by_input(context, relation, &pairs), done);
  lat__conv_place place = {relation, pairs, fine};
  LAT_TRY(lat__conv_reach_goal(context, &operands, &place, goal), done);
done:
  lat_relation_release(relation);
  lat_coords_release(coarse);
  lat__conv_close(&operands);
  return status;
}

lat_status lat_inverse_conv3d(lat_context *context, const lat_tensor *x, const lat_weight *weight,
                              const lat_array_view *bias, const lat_conv3d_opts *opts, lat_tensor **out) {
  lat__conv_goal goal = {out, NULL};
  return run(context, "inverse_conv3d", x, weight, bias, opts, &goal);
}

lat_status lat_inverse_conv3d_plan_create(lat_context *context, const lat_plan_input *input, const lat_weight *weight,
                                          const lat_conv3d_opts *opts, const lat_plan_opts *plan_opts, lat_plan **out) {
  static const char op[] = "inverse_conv3d_plan_create";
  lat__plan_request request = {.name = "inverse_conv3d"};
  lat__conv_goal goal = {NULL, &request};
  lat_status status = lat__plan_open(context, op, input, plan_opts, out, &request);
  return status ? status : run(context, op, &request.x.tensor, weight, request.opts.bias, opts, &goal);
}

lat_status lat_inverse_conv3d_backward(lat_context *context, const lat_tensor *x, const lat_weight *weight,
                                       const lat_array_view *grad_out, const lat_conv3d_backward_opts *opts,
                                       lat_conv_grads *out) {
  static const char op[] = "inverse_conv3d_backward";
  lat_status status = LAT_STATUS_OK;
  lat__geometry geometry;
  lat_conv3d_backward_opts o;
  lat__conv_operands operands = {.op = op};
  const lat_coords *fine = NULL;
  lat_relation *relation = NULL;
  lat_coords *coarse = NULL;
  LAT_TRY(lat__conv_backward_open(context, op, x, weight, opts, &o, out), done);
  LAT_TRY(check_options(op, o.forward, &geometry, &operands.groups, &fine), done);
  LAT_TRY(lat__conv_open(context, op, x, weight, NULL, &geometry, &operands), done);
  LAT_TRY(lat__conv_grad_dtype_check(op, grad_out, lat_tensor_dtype(x)), done);
  LAT_TRY(lat__relation_forward(context, op, fine, &geometry, &relation, &coarse), done);
  LAT_TRY(check_coarse(op, x, coarse), done);
  lat__conv_backward_call call = {weight, relation, true, fine->n_rows, grad_out, o.grads};
  LAT_TRY(lat__conv_backward(context, &operands, &call, out), done);
done:
  lat_relation_release(relation);
  lat_coords_release(coarse);
  lat__conv_close(&operands);
  return status;
}

lat_status lat_inverse_conv3d_jvp(lat_context *context, const lat_tensor *x, const lat_weight *weight,
                                  const lat_conv_tangents *tangents, const lat_conv3d_opts *opts, lat_tensor **out) {
  static const char op[] = "inverse_conv3d_jvp";
  lat_status status = LAT_STATUS_OK;
  lat__geometry geometry;
  lat__conv_operands operands = {.op = op};
  lat__conv_jvp_call call = {.weight = weight, .tangents = tangents};
  lat_relation *relation = NULL;
  lat_coords *coarse = NULL;
  const lat_array_view *bias = tangents ? tangents->bias : NULL;
  LAT_TRY(lat__op_check(op, context, "x", x, out), done);
  LAT_TRY(check_options(op, opts, &geometry, &operands.groups, &call.out_coords), done);
  LAT_TRY(lat__conv_open(context, op, x, weight, bias, &geometry, &operands), done);
  LAT_TRY(lat__conv_tangents_check(op, x, weight, tangents), done);
  LAT_TRY(lat__relation_forward(context, op, call.out_coords, &geometry, &relation, &coarse), done);
  LAT_TRY(check_coarse(op, x, coarse), done);
  LAT_TRY(lat__relation_pairs_by_input(context, relation, &call.pairs), done);
  LAT_TRY(lat__conv_jvp(context, &operands, &call, out), done);
done:
  lat_relation_release(relation);
  lat_coords_release(coarse);
  lat__conv_close(&operands);
  return status;
}
