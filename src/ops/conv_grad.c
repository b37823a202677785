// What the backward functions of the convolutions and linear share. The gradient of x is the forward kernel over the same
// pairs seen from the inputs, with every kernel element transposed; weight and bias have a device slot of their own.
// A normalized convolution's x and weight take the gradient of its sums in place of that of its result; its weight also
// stands in the divisor, which pulls on it.

#include "backend/backend.h"
#include "coords/tensor_internal.h"
#include "core/array_internal.h"
#include "core/compiler.h"
#include "core/context_internal.h"
#include "ops/conv_common.h"

#define ALL_GRADS (LAT_GRAD_X | LAT_GRAD_WEIGHT | LAT_GRAD_BIAS)

lat_status lat__conv_grads_check(const char *op, const lat_context *context, const lat_tensor *x,
                                 const lat_weight *weight, int32_t *flags, lat_conv_grads *out) {
  if (!out) return lat_fail(LAT_STATUS_INVALID_ARGUMENT, "%s: out: got NULL, expected a place for the gradients", op);
  *out = (lat_conv_grads){NULL, NULL, NULL};
  if (!context) return lat_fail(LAT_STATUS_INVALID_ARGUMENT, "%s: context: got NULL, expected a context", op);
  if (!x) return lat_fail(LAT_STATUS_INVALID_ARGUMENT, "%s: x: got NULL, expected a sparse tensor", op);
  if (!weight) return lat_fail(LAT_STATUS_INVALID_ARGUMENT, "%s: weight: got NULL, expected a weight", op);
  if (*flags & ~ALL_GRADS) {
    return lat_fail(LAT_STATUS_INVALID_ARGUMENT, "%s: grads: got %d, expected a combination of lat_grad_flags", op,
                    (int)*flags);
  }
  if (*flags == LAT_GRAD_ALL) *flags = ALL_GRADS;
  if (weight->packed && *flags & LAT_GRAD_WEIGHT) {
    return lat_fail(LAT_STATUS_INVALID_ARGUMENT,
                    "%s: a packed weight has no gradient: got grads %d, expected LAT_GRAD_X, LAT_GRAD_BIAS or both", op,
                    (int)*flags);
  }
  return LAT_STATUS_OK;
}

lat_status lat__conv_backward_open(const lat_context *context, const char *op, const lat_tensor *x,
                                   const lat_weight *weight, const lat_conv3d_backward_opts *opts,
                                   lat_conv3d_backward_opts *o, lat_conv_grads *out) {
  if (out) *out = (lat_conv_grads){NULL, NULL, NULL};
  lat_status status = lat__opts_copy(op, opts, sizeof *o, o);
  if (status) return status;
  return lat__conv_grads_check(op, context, x, weight, &o->grads, out);
}

lat_status lat__conv_grad_dtype_check(const char *op, const lat_array_view *grad_out, lat_dtype dtype) {
  int64_t count = 0;
  lat_status status = lat__view_check(op, "grad_out", grad_out, &count);
  if (status || grad_out->dtype == dtype) return status;
  return lat_fail(LAT_STATUS_INVALID_DTYPE, "%s: grad_out must match feature dtype: got %s, expected %s", op,
                  lat_dtype_name(grad_out->dtype), lat_dtype_name(dtype));
}

static lat_status open_grad_out(lat_context *context, const lat__conv_operands *operands, int64_t n_out,
                                const lat_array_view *view, lat_array **out) {
  const char *op = operands->op;
  char text[128];
  int64_t count = 0, c_out = operands->desc.c_out;
  lat_status status = lat__view_check(op, "grad_out", view, &count);
  if (status) return status;
  if (view->rank != 2 || view->shape[0] != n_out || view->shape[1] != c_out) {
    return lat_fail(LAT_STATUS_INVALID_SHAPE,
                    "%s: grad_out must have shape (rows, C_out) of the result: got %s, expected (%lld, %lld)", op,
                    lat__shape_text(view, text, sizeof text), (long long)n_out, (long long)c_out);
  }
  if (!lat__dtype_is_feature(view->dtype)) {
    return lat_fail(LAT_STATUS_INVALID_DTYPE, "%s: grad_out dtype: got %s, expected float32, float16 or bfloat16", op,
                    lat_dtype_name(view->dtype));
  }
  return lat__view_contiguous_array(context, op, view, out);
}

/// The forward call's pairs, seen from its result or from its input; NULL without a relation.
static lat_status pairs_of(lat_context *context, const lat__conv_backward_call *call, bool from_input,
                           const lat__pairs **out) {
  *out = NULL;
  if (!call->relation) return LAT_STATUS_OK;
  if (from_input != call->inverse) return lat__relation_pairs_by_input(context, call->relation, out);
  *out = &call->relation->pairs;
  return LAT_STATUS_OK;
}

static lat_status grad_of_x(lat_context *context, const lat__conv_operands *operands,
                            const lat__conv_backward_call *call, const lat_array *grad, lat_array **out) {
  lat_status status = LAT_STATUS_OK;
  lat_array *result = NULL;
  lat__conv_desc desc = operands->desc;
  desc.n_in = grad->view.shape[0];
  desc.n_out = operands->desc.n_in;
  desc.c_in = operands->desc.c_out;
  desc.c_out = operands->desc.c_in;
  desc.dtype = grad->view.dtype;
  desc.dtype_out = operands->desc.dtype;
  desc.x = grad->view.data;
  desc.weight.transposed = true;
  desc.bias = NULL;
  desc.norm_eps = 0.0f;
  LAT_TRY(pairs_of(context, call, true, &desc.pairs), done);
  LAT_TRY(lat__array_new_2d(context, operands->op, desc.dtype_out, desc.n_out, desc.c_out, &result), done);
  desc.y = lat_array_data(result);
  LAT_TRY(lat__backend_of(context)->conv(context, &desc), done);
  *out = result;
  result = NULL;
done:
  lat_array_release(result);
  return status;
}

/// What the gradients of x and weight are made from: grad_out, or for a normalized convolution the float32 gradient of its
/// sums, and with it the pulls on the weight.
typedef struct sums_grad {
  lat_array *grad;
  lat_array *pull; ///< NULL: none
} sums_grad;

static lat_status open_sums_grad(lat_context *context, const lat__conv_operands *operands,
                                 const lat__conv_backward_call *call, const lat_array *grad_out, sums_grad *out) {
  lat_status status = LAT_STATUS_OK;
  lat__conv_desc forward = operands->desc;
  if (!(forward.norm_eps > 0.0f)) {
    out->grad = lat_array_retain(grad_out);
    return LAT_STATUS_OK;
  }
  forward.n_out = call->n_out;
  lat__conv_norm_grad_desc desc = {
      .forward = &forward, .dtype_grad = grad_out->view.dtype, .grad = grad_out->view.data};
  LAT_TRY(pairs_of(context, call, false, &forward.pairs), done);
  LAT_TRY(lat__array_new_2d(context, operands->op, LAT_DTYPE_F32, forward.n_out, forward.c_out, &out->grad), done);
  desc.scaled = lat_array_data(out->grad);
  if (call->grads & LAT_GRAD_WEIGHT) {
    LAT_TRY(lat__array_new_2d(context, operands->op, LAT_DTYPE_F32, forward.n_out, forward.c_out, &out->pull), done);
    desc.pull = lat_array_data(out->pull);
  }
  LAT_TRY(lat__backend_of(context)->conv_norm_grad(context, &desc), done);
done:
  return status;
}

static lat__conv_grad_desc grad_desc(const lat__conv_operands *operands, const lat_array *grad) {
  const lat__conv_desc *forward = &operands->desc;
  return (lat__conv_grad_desc){.n_in = forward->n_in,
                               .n_out = grad->view.shape[0],
                               .c_in = forward->c_in,
                               .c_out = forward->c_out,
                               .groups = forward->groups,
                               .n_kernels = forward->n_kernels,
                               .dtype = forward->dtype,
                               .dtype_grad = grad->view.dtype,
                               .x = forward->x,
                               .grad = grad->view.data,
                               .form = forward->weight.form,
                               .dtype_weight = forward->weight.dtype};
}

static lat_status grad_of_weight(lat_context *context, const lat__conv_operands *operands,
                                 const lat__conv_backward_call *call, const sums_grad *grad, lat_array **out) {
  lat_status status = LAT_STATUS_OK;
  const lat_array_view *like = &call->weight->dense;
  lat__conv_grad_desc desc = grad_desc(operands, grad->grad);
  LAT_TRY(pairs_of(context, call, false, &desc.pairs), done);
  LAT_TRY(lat__array_new(context, operands->op, like->dtype, like->rank, like->shape, out), done);
  desc.weight = lat_array_data(*out);
  if (grad->pull) desc.pull = grad->pull->view.data;
  desc.weight_value = operands->desc.weight.data;
  LAT_TRY(lat__backend_of(context)->conv_grad(context, &desc), done);
done:
  return status;
}

static lat_status grad_of_bias(lat_context *context, const lat__conv_operands *operands, const lat_array *grad_out,
                               lat_array **out) {
  lat__conv_grad_desc desc = grad_desc(operands, grad_out);
  lat_status status = lat__array_new_1d(context, operands->op, desc.dtype_grad, desc.c_out, out);
  if (status) return status;
  desc.bias = lat_array_data(*out);
  return lat__backend_of(context)->conv_grad(context, &desc);
}

lat_status lat__conv_backward(lat_context *context, const lat__conv_operands *operands,
                              const lat__conv_backward_call *call, lat_conv_grads *out) {
  lat_status status = LAT_STATUS_OK;
  lat_array *grad_out = NULL;
  sums_grad sums = {NULL, NULL};
  lat_conv_grads grads = {NULL, NULL, NULL};
  LAT_TRY(open_grad_out(context, operands, call->n_out, call->grad_out, &grad_out), done);
  if (call->grads & (LAT_GRAD_X | LAT_GRAD_WEIGHT)) {
    LAT_TRY(open_sums_grad(context, operands, call, grad_out, &sums), done);
  }
  if (call->grads & LAT_GRAD_X) LAT_TRY(grad_of_x(context, operands, call, sums.grad, &grads.x), done);
  if (call->grads & LAT_GRAD_WEIGHT) LAT_TRY(grad_of_weight(context, operands, call, &sums, &grads.weight), done);
  if (call->grads & LAT_GRAD_BIAS) LAT_TRY(grad_of_bias(context, operands, grad_out, &grads.bias), done);
  *out = grads;
  grads = (lat_conv_grads){NULL, NULL, NULL};
done:
  lat_array_release(grads.x);
  lat_array_release(grads.weight);
  lat_array_release(grads.bias);
  lat_array_release(sums.grad);
  lat_array_release(sums.pull);
  lat_array_release(grad_out);
  return status;
}
