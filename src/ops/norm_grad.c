// Gradients of the norms, and instance and group norm, which share the passes over batch items with batch norm's gradient.

#include "coords/tensor_internal.h"
#include "core/compiler.h"
#include "core/context_internal.h"
#include "ops/norm_internal.h"

/// What a gradient call holds until it ends.
typedef struct norm_grad_call {
  const char *op;
  lat__norm_parameters parameters;
  lat__batch_items items;
  lat_array *grad;                        ///< incoming, contiguous
  lat_array *x, *weight_sums, *bias_sums; ///< results; the sums in float32, NULL where not wanted
} norm_grad_call;

static lat_status check_wanted(const char *op, const lat__norm_parameters *parameters, int32_t grads, int32_t *wanted) {
  const int32_t known = LAT_GRAD_X | LAT_GRAD_WEIGHT | LAT_GRAD_BIAS;
  if (grads < 0 || (grads & ~known)) {
    return lat_fail(LAT_STATUS_INVALID_ARGUMENT, "%s: grads: got %d, expected a combination of lat_grad_flags", op,
                    (int)grads);
  }
  if ((grads & LAT_GRAD_WEIGHT) && !parameters->weight) {
    return lat_fail(LAT_STATUS_INVALID_ARGUMENT, "%s: grads: got the weight's without a weight, expected one", op);
  }
  if ((grads & LAT_GRAD_BIAS) && !parameters->bias) {
    return lat_fail(LAT_STATUS_INVALID_ARGUMENT, "%s: grads: got the bias's without a bias, expected one", op);
  }
  *wanted = grads;
  if (grads == LAT_GRAD_ALL) {
    *wanted = LAT_GRAD_X | (parameters->weight ? LAT_GRAD_WEIGHT : 0) | (parameters->bias ? LAT_GRAD_BIAS : 0);
  }
  return LAT_STATUS_OK;
}

static lat_status open_call(lat_context *context, lat__norm kind, const lat_tensor *x, const lat_array_view *grad_out,
                            const lat_norm_opts *opts, int32_t grads, lat_norm_grads *out, norm_grad_call *call) {
  const char *op = call->op;
  lat_status status = LAT_STATUS_OK;
  int32_t wanted = 0;
  if (!out) return lat_fail(LAT_STATUS_INVALID_ARGUMENT, "%s: out: got NULL, expected a place for the gradients", op);
  *out = (lat_norm_grads){NULL, NULL, NULL};
  if (!context) return lat_fail(LAT_STATUS_INVALID_ARGUMENT, "%s: context: got NULL, expected a context", op);
  LAT_TRY(lat__tensor_check(op, "x", x), done);
  LAT_TRY(lat__norm_parameters_take(context, op, kind, x, opts, &call->parameters), done);
  LAT_TRY(check_wanted(op, &call->parameters, grads, &wanted), done);
  int64_t n_rows = lat_tensor_count(x), channels = lat_tensor_channels(x);
  LAT_TRY(lat__grad_view(context, op, grad_out, n_rows, channels, &call->grad), done);
  if (wanted & LAT_GRAD_X) {
    LAT_TRY(lat__array_new_2d(context, op, lat_tensor_dtype(x), n_rows, channels, &call->x), done);
  }
  if (wanted & LAT_GRAD_WEIGHT) {
    LAT_TRY(lat__array_new_1d(context, op, LAT_DTYPE_F32, channels, &call->weight_sums), done);
  }
  if (wanted & LAT_GRAD_BIAS) {
    LAT_TRY(lat__array_new_1d(context, op, LAT_DTYPE_F32, channels, &call->bias_sums), done);
  }
done:
  return status;
}

/// `*out` = sums in `dtype`; NULL where there are none.
static lat_status round_sums(lat_context *context, lat_array *sums, lat_dtype dtype, lat_array **out) {
  if (!sums) return LAT_STATUS_OK;
  return lat_array_cast(context, &sums->view, dtype, out);
}

/// Hands the results over when all went well, and releases the rest.
static lat_status close_call(lat_context *context, lat_status status, norm_grad_call *call, lat_norm_grads *out) {
  if (!status) status = round_sums(context, call->weight_sums, call->parameters.dtype_weight, &out->weight);
  if (!status) status = round_sums(context, call->bias_sums, call->parameters.dtype_bias, &out->bias);
  if (!status) {
    out->x = lat_array_retain(call->x);
  } else if (out) {
    lat_array_release(out->weight);
    *out = (lat_norm_grads){NULL, NULL, NULL};
  }
  lat_array_release(call->x);
  lat_array_release(call->weight_sums);
  lat_array_release(call->bias_sums);
  lat_array_release(call->grad);
  lat__batch_items_release(context, &call->items);
  lat__norm_parameters_release(&call->parameters);
  return status;
}

static void *data_or_null(lat_array *array) {
  return array ? lat_array_data(array) : NULL;
}

/// Gradient of a norm over the rows of items, with `groups` groups of channels.
static lat_status items_backward(lat_context *context, const char *op, bool per_item, const lat_tensor *x,
                                 int64_t groups, const lat_array_view *grad_out, const lat_norm_opts *opts,
                                 int32_t grads, lat_norm_grads *out) {
  lat_status status = LAT_STATUS_OK;
  norm_grad_call call = {.op = op};
  LAT_TRY(open_call(context, per_item ? LAT__NORM_LAYER : LAT__NORM_BATCH, x, grad_out, opts, grads, out, &call), done);
  LAT_TRY(lat__norm_items_take(context, op, x, per_item, &call.items), done);
  const lat_array_view *view = &x->feats->view;
  lat__norm_items_desc desc = {.channels = view->shape[1],
                               .n_items = call.items.n_items,
                               .groups = groups,
                               .dtype_in = view->dtype,
                               .dtype_grad = call.grad->view.dtype,
                               .dtype_out = view->dtype,
                               .eps = call.parameters.eps,
                               .item_offsets = call.items.offsets,
                               .item_rows = call.items.rows,
                               .mean = lat__norm_values(call.parameters.mean),
                               .var = lat__norm_values(call.parameters.var),
                               .weight = lat__norm_values(call.parameters.weight),
                               .x = view->data,
                               .grad = call.grad->view.data,
                               .has_grad = true,
                               .y = data_or_null(call.x),
                               .weight_grad = data_or_null(call.weight_sums),
                               .bias_grad = data_or_null(call.bias_sums)};
  LAT_TRY(lat__backend_of(context)->norm_items(context, &desc), done);
done:
  return close_call(context, status, &call, out);
}

static lat_status rows_backward(lat_context *context, const char *op, lat__norm kind, const lat_tensor *x,
                                const lat_array_view *grad_out, const lat_norm_opts *opts, int32_t grads,
                                lat_norm_grads *out) {
  lat_status status = LAT_STATUS_OK;
  norm_grad_call call = {.op = op};
  LAT_TRY(open_call(context, kind, x, grad_out, opts, grads, out, &call), done);
  const lat_array_view *view = &x->feats->view;
  lat__norm_rows_grad_desc desc = {.is_rms = kind == LAT__NORM_RMS,
                                   .n_rows = view->shape[0],
                                   .channels = view->shape[1],
                                   .dtype_in = view->dtype,
                                   .dtype_grad = call.grad->view.dtype,
                                   .eps = call.parameters.eps,
                                   .weight = lat__norm_values(call.parameters.weight),
                                   .x = view->data,
                                   .grad = call.grad->view.data,
                                   .y = data_or_null(call.x),
                                   .weight_grad = data_or_null(call.weight_sums),
                                   .bias_grad = data_or_null(call.bias_sums)};
  LAT_TRY(lat__backend_of(context)->norm_rows_grad(context, &desc), done);
done:
  return close_call(context, status, &call, out);
}

lat_status lat_batch_norm_backward(lat_context *context, const lat_tensor *x, const lat_array_view *grad_out,
                                   const lat_norm_opts *opts, int32_t grads, lat_norm_grads *out) {
  int64_t groups = x ? lat_tensor_channels(x) : 0;
  return items_backward(context, "batch_norm_backward", false, x, groups, grad_out, opts, grads, out);
}

lat_status lat_layer_norm_backward(lat_context *context, const lat_tensor *x, const lat_array_view *grad_out,
                                   const lat_norm_opts *opts, int32_t grads, lat_norm_grads *out) {
  return rows_backward(context, "layer_norm_backward", LAT__NORM_LAYER, x, grad_out, opts, grads, out);
}

lat_status lat_rms_norm_backward(lat_context *context, const lat_tensor *x, const lat_array_view *grad_out,
                                 const lat_norm_opts *opts, int32_t grads, lat_norm_grads *out) {
  return rows_backward(context, "rms_norm_backward", LAT__NORM_RMS, x, grad_out, opts, grads, out);
}

static lat_status items_forward(lat_context *context, const char *op, const lat_tensor *x, int64_t groups,
                                const lat_norm_opts *opts, lat_tensor **out) {
  lat_status status = LAT_STATUS_OK;
  lat__norm_parameters parameters = {.eps = 0.0f};
  lat__batch_items items = {.n_items = 0};
  lat_array *feats = NULL;
  const lat_array_view *view = &x->feats->view;
  LAT_TRY(lat__norm_parameters_take(context, op, LAT__NORM_LAYER, x, opts, &parameters), done);
  LAT_TRY(lat__norm_items_take(context, op, x, true, &items), done);
  LAT_TRY(lat__array_new_2d(context, op, parameters.dtype_out, view->shape[0], view->shape[1], &feats), done);
  lat__norm_items_desc desc = {.channels = view->shape[1],
                               .n_items = items.n_items,
                               .groups = groups,
                               .dtype_in = view->dtype,
                               .dtype_out = parameters.dtype_out,
                               .eps = parameters.eps,
                               .item_offsets = items.offsets,
                               .item_rows = items.rows,
                               .weight = lat__norm_values(parameters.weight),
                               .bias = lat__norm_values(parameters.bias),
                               .x = view->data,
                               .y = lat_array_data(feats)};
  LAT_TRY(lat__backend_of(context)->norm_items(context, &desc), done);
  LAT_TRY(lat__tensor_new(context, op, x->coords, feats, x, out), done);
done:
  lat_array_release(feats);
  lat__batch_items_release(context, &items);
  lat__norm_parameters_release(&parameters);
  return status;
}

static lat_status check_groups(const char *op, const lat_tensor *x, int64_t groups) {
  int64_t channels = lat_tensor_channels(x);
  if (groups > 0 && channels % groups == 0) return LAT_STATUS_OK;
  return lat_fail(LAT_STATUS_INVALID_ARGUMENT,
                  "%s: groups must divide the channels: got %lld, expected a divisor of %lld", op, (long long)groups,
                  (long long)channels);
}

lat_status lat_instance_norm(lat_context *context, const lat_tensor *x, const lat_norm_opts *opts, lat_tensor **out) {
  static const char op[] = "instance_norm";
  lat_status status = lat__op_check(op, context, "x", x, out);
  return status ? status : items_forward(context, op, x, lat_tensor_channels(x), opts, out);
}

lat_status lat_group_norm(lat_context *context, const lat_tensor *x, int64_t groups, const lat_norm_opts *opts,
                          lat_tensor **out) {
  static const char op[] = "group_norm";
  lat_status status = lat__op_check(op, context, "x", x, out);
  if (!status) status = check_groups(op, x, groups);
  return status ? status : items_forward(context, op, x, groups, opts, out);
}

lat_status lat_instance_norm_backward(lat_context *context, const lat_tensor *x, const lat_array_view *grad_out,
                                      const lat_norm_opts *opts, int32_t grads, lat_norm_grads *out) {
  int64_t groups = x ? lat_tensor_channels(x) : 0;
  return items_backward(context, "instance_norm_backward", true, x, groups, grad_out, opts, grads, out);
}

lat_status lat_group_norm_backward(lat_context *context, const lat_tensor *x, int64_t groups,
                                   const lat_array_view *grad_out, const lat_norm_opts *opts, int32_t grads,
                                   lat_norm_grads *out) {
  static const char op[] = "group_norm_backward";
  if (out) *out = (lat_norm_grads){NULL, NULL, NULL};
  lat_status status = x ? check_groups(op, x, groups) : LAT_STATUS_OK;
  return status ? status : items_backward(context, op, true, x, groups, grad_out, opts, grads, out);
}
