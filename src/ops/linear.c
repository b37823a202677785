// lat_linear: x W^T + bias on the features of a sparse tensor. The pointwise convolution's kernel, with the dtype rule of
// the feature operations: a dense weight or bias of another float dtype promotes the result.

#include <lattice/feature.h>

#include "coords/tensor_internal.h"
#include "core/array_internal.h"
#include "core/compiler.h"
#include "ops/feature_internal.h"
#include "ops/plan_internal.h"
#include "ops/quant_internal.h"

static lat_status check_input_channels(const char *op, const lat_tensor *x, int64_t c_in) {
  if (c_in == lat_tensor_channels(x)) return LAT_STATUS_OK;
  return lat_fail(LAT_STATUS_INVALID_SHAPE, "%s: weight input channels must match x.channels: got %lld, expected %lld",
                  op, (long long)c_in, (long long)lat_tensor_channels(x));
}

static lat_status open_dense(lat_context *context, const lat_array_view *view, lat__conv_operands *operands) {
  const char *op = operands->op;
  int64_t count = 0;
  char text[128];
  lat_status status = lat__view_check(op, "weight", view, &count);
  if (status) return status;
  if (view->rank != 2) {
    return lat_fail(LAT_STATUS_INVALID_SHAPE, "%s: weight must have shape (C_out, C_in): got %s, expected rank 2", op,
                    lat__shape_text(view, text, sizeof text));
  }
  if (!lat__dtype_is_feature(view->dtype)) {
    return lat_fail(LAT_STATUS_INVALID_DTYPE, "%s: weight dtype: got %s, expected float32, float16 or bfloat16", op,
                    lat_dtype_name(view->dtype));
  }
  status = check_input_channels(op, operands->x, view->shape[1]);
  if (status) return status;
  operands->desc.c_out = view->shape[0];
  operands->desc.dtype_out = lat__dtype_promote(operands->desc.dtype, view->dtype);
  return lat__conv_open_dense(context, view, LAT__WEIGHT_OUT_KERNEL_IN, operands);
}

static lat_status open_packed(const lat_quantized_weight *packed, lat__conv_operands *operands) {
  if (packed->n_kernels != 1) {
    return lat_fail(LAT_STATUS_INVALID_ARGUMENT,
                    "%s: quantized matmul requires a pointwise weight: got kernel volume %lld, expected 1",
                    operands->op, (long long)packed->n_kernels);
  }
  lat_status status = check_input_channels(operands->op, operands->x, packed->in_channels);
  if (status) return status;
  operands->desc.c_out = packed->out_channels;
  operands->desc.weight = lat__quantized_weight_desc(packed);
  return LAT_STATUS_OK;
}

/// Checks and opens x and weight.
static lat_status open_operands(lat_context *context, const lat_weight *weight, lat__conv_operands *operands) {
  const lat_tensor *x = operands->x;
  lat_dtype dtype = lat_tensor_dtype(x);
  operands->desc = (lat__conv_desc){.n_in = lat_tensor_count(x),
                                    .c_in = lat_tensor_channels(x),
                                    .n_kernels = 1,
                                    .dtype = dtype,
                                    .dtype_out = dtype,
                                    .x = lat_tensor_feats(x).data};
  if (weight->packed) return open_packed(weight->packed, operands);
  return open_dense(context, &weight->dense, operands);
}

static lat_status run(lat_context *context, const char *op, const lat_tensor *x, const lat_weight *weight,
                      const lat_array_view *bias, const lat__conv_goal *goal) {
  lat_status status = LAT_STATUS_OK;
  lat__conv_operands operands = {.op = op, .x = x};
  LAT_TRY(lat__conv_goal_check(op, context, x, goal), done);
  if (!weight) {
    status = lat_fail(LAT_STATUS_INVALID_ARGUMENT, "%s: weight: got NULL, expected a weight", op);
    goto done;
  }
  LAT_TRY(open_operands(context, weight, &operands), done);
  LAT_TRY(lat__conv_open_bias(context, bias, LAT_DTYPE_F32, &operands), done);
  if (bias && !weight->packed) operands.desc.dtype_out = lat__dtype_promote(operands.desc.dtype_out, bias->dtype);
  lat__conv_place place = {NULL, NULL, x->coords};
  LAT_TRY(lat__conv_reach_goal(context, &operands, &place, goal), done);
done:
  lat__conv_close(&operands);
  return status;
}

lat_status lat__linear_run(lat_context *context, const char *op, const lat_tensor *x, const lat_weight *weight,
                           const lat_array_view *bias, lat_tensor **out) {
  lat__conv_goal goal = {out, NULL};
  return run(context, op, x, weight, bias, &goal);
}

lat_status lat_linear(lat_context *context, const lat_tensor *x, const lat_weight *weight, const lat_array_view *bias,
                      lat_tensor **out) {
  return lat__linear_run(context, "linear", x, weight, bias, out);
}

lat_status lat_linear_plan_create(lat_context *context, const lat_plan_input *input, const lat_weight *weight,
                                  const lat_plan_opts *plan_opts, lat_plan **out) {
  static const char op[] = "linear_plan_create";
  lat__plan_request request = {.name = "linear"};
  lat__conv_goal goal = {NULL, &request};
  lat_status status = lat__plan_open(context, op, input, plan_opts, out, &request);
  return status ? status : run(context, op, &request.x.tensor, weight, request.opts.bias, &goal);
}

lat_status lat_linear_backward(lat_context *context, const lat_tensor *x, const lat_weight *weight,
                               const lat_array_view *grad_out, int32_t grads, lat_conv_grads *out) {
  static const char op[] = "linear_backward";
  lat_status status = LAT_STATUS_OK;
  lat__conv_operands operands = {.op = op, .x = x};
  LAT_TRY(lat__conv_grads_check(op, context, x, weight, &grads, out), done);
  LAT_TRY(open_operands(context, weight, &operands), done);
  lat__conv_backward_call call = {weight, NULL, false, lat_tensor_count(x), grad_out, grads};
  LAT_TRY(lat__conv_backward(context, &operands, &call, out), done);
done:
  lat__conv_close(&operands);
  return status;
}
