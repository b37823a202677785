// Activations, their dispatcher and its gradient, exp and round. Features change, the coordinate set and the batch metadata stay.

#include <math.h>

#include "coords/tensor_internal.h"
#include "core/array_internal.h"
#include "core/compiler.h"
#include "core/context_internal.h"
#include "ops/feature_internal.h"

#define DEFAULT_ALPHA 0.01
#define DEFAULT_BETA 1.0
#define DEFAULT_THRESHOLD 20.0

static lat_status check_approximate(lat_gelu_approx approximate, lat_activation_kind *kind) {
  switch (approximate) {
  case LAT_GELU_NONE:
    *kind = LAT_ACTIVATION_GELU;
    return LAT_STATUS_OK;
  case LAT_GELU_TANH:
    *kind = LAT_ACTIVATION_GELU_TANH;
    return LAT_STATUS_OK;
  case LAT_GELU_FAST:
    *kind = LAT_ACTIVATION_GELU_FAST;
    return LAT_STATUS_OK;
  }
  return lat_fail(LAT_STATUS_INVALID_ARGUMENT, "gelu: approximate: got %d, expected 0 (none), 1 (tanh) or 2 (fast)",
                  (int)approximate);
}

lat_status lat__unary_run(lat_context *context, const char *op, lat__unary kind, const lat_tensor *x, lat_dtype dtype,
                          lat_tensor **out) {
  lat_status status = LAT_STATUS_OK;
  lat_array *feats = NULL;
  lat_array_view view = x->feats->view;
  LAT_TRY(lat__array_new_2d(context, op, dtype, view.shape[0], view.shape[1], &feats), done);
  lat__unary_desc desc = {.kind = kind,
                          .count = lat_array_count(feats),
                          .dtype_in = view.dtype,
                          .dtype_out = dtype,
                          .x = view.data,
                          .y = lat_array_data(feats)};
  LAT_TRY(lat__backend_of(context)->unary(context, &desc), done);
  LAT_TRY(lat__tensor_new(context, op, x->coords, feats, x, out), done);
done:
  lat_array_release(feats);
  return status;
}

/// A kind with checked parameters.
typedef struct activation_choice {
  lat_activation_kind kind;
  float alpha, beta, threshold;
} activation_choice;

static lat_status check_slope(const char *op, const char *name, double slope, lat_dtype dtype, float *out) {
  *out = lat__float_round(dtype, (float)slope);
  if (isfinite(*out)) return LAT_STATUS_OK;
  return lat_fail(LAT_STATUS_INVALID_ARGUMENT, "%s: %s must be finite: got %g, expected a finite %s", op, name, slope,
                  lat_dtype_name(dtype));
}

static lat_status check_softplus(const char *op, double beta, double threshold, activation_choice *choice) {
  choice->beta = (float)beta;
  choice->threshold = (float)threshold;
  if (!(choice->beta > 0.0f && isfinite(choice->beta))) {
    return lat_fail(LAT_STATUS_INVALID_ARGUMENT, "%s: beta must be positive: got %g, expected a positive float32", op,
                    beta);
  }
  if (isnan(threshold)) {
    return lat_fail(LAT_STATUS_INVALID_ARGUMENT, "%s: threshold must be a number: got NaN, expected a float32", op);
  }
  return LAT_STATUS_OK;
}

static lat_status check_choice(const char *op, lat_activation_kind kind, const lat_activation_opts *opts,
                               lat_dtype dtype, activation_choice *choice) {
  lat_activation_opts o;
  lat_status status = lat__opts_copy(op, opts, sizeof o, &o);
  if (status) return status;
  *choice = (activation_choice){.kind = kind};
  if ((int)kind < LAT_ACTIVATION_RELU || (int)kind > LAT_ACTIVATION_EXP) {
    return lat_fail(LAT_STATUS_INVALID_ARGUMENT,
                    "%s: kind: got %d, expected 0 (relu), 1 (sigmoid), 2 (silu), 3 (tanh), 4 (leaky_relu), 5 (gelu), "
                    "6 (gelu_tanh), 7 (gelu_fast), 8 (softplus) or 9 (exp)",
                    op, (int)kind);
  }
  if (kind == LAT_ACTIVATION_LEAKY_RELU) {
    return check_slope(op, "alpha", o.alpha == 0.0 ? DEFAULT_ALPHA : o.alpha, dtype, &choice->alpha);
  }
  if (kind == LAT_ACTIVATION_SOFTPLUS) {
    return check_softplus(op, o.beta == 0.0 ? DEFAULT_BETA : o.beta,
                          o.threshold == 0.0 ? DEFAULT_THRESHOLD : o.threshold, choice);
  }
  return LAT_STATUS_OK;
}

lat_status lat__activation_check(const char *op, lat_activation_kind kind, const lat_activation_opts *opts,
                                 lat_dtype dtype, lat__activation_desc *desc) {
  activation_choice choice = {.kind = kind};
  lat_status status = check_choice(op, kind, opts, dtype, &choice);
  *desc = (lat__activation_desc){
      .kind = choice.kind, .alpha = choice.alpha, .beta = choice.beta, .threshold = choice.threshold};
  return status;
}

/// `*out` = f(x), or f'(x) * grad when `grad` is given, for contiguous feature arrays.
static lat_status activation_array(lat_context *context, const char *op, const activation_choice *choice,
                                   const lat_array *x, const lat_array *grad, lat_array **out) {
  const lat_array_view *view = &x->view;
  lat_array *result = NULL;
  lat_status status = lat__array_new_2d(context, op, view->dtype, view->shape[0], view->shape[1], &result);
  if (status) return status;
  lat__activation_desc desc = {.kind = choice->kind,
                               .alpha = choice->alpha,
                               .beta = choice->beta,
                               .threshold = choice->threshold,
                               .count = lat_array_count(result),
                               .dtype = view->dtype,
                               .dtype_grad = grad ? grad->view.dtype : view->dtype,
                               .x = view->data,
                               .grad = grad ? grad->view.data : NULL,
                               .y = lat_array_data(result)};
  status = lat__backend_of(context)->activation(context, &desc);
  if (status) {
    lat_array_release(result);
  } else {
    *out = result;
  }
  return status;
}

static lat_status activation_tensor(lat_context *context, const char *op, const activation_choice *choice,
                                    const lat_tensor *x, lat_tensor **out) {
  lat_status status = LAT_STATUS_OK;
  lat_array *feats = NULL;
  LAT_TRY(activation_array(context, op, choice, x->feats, NULL, &feats), done);
  LAT_TRY(lat__tensor_new(context, op, x->coords, feats, x, out), done);
done:
  lat_array_release(feats);
  return status;
}

static lat_status plain_activation(lat_context *context, const char *op, lat_activation_kind kind, const lat_tensor *x,
                                   lat_tensor **out) {
  activation_choice choice = {.kind = kind};
  lat_status status = lat__op_check(op, context, "x", x, out);
  return status ? status : activation_tensor(context, op, &choice, x, out);
}

lat_status lat_relu(lat_context *context, const lat_tensor *x, lat_tensor **out) {
  return plain_activation(context, "relu", LAT_ACTIVATION_RELU, x, out);
}

lat_status lat_gelu(lat_context *context, const lat_tensor *x, lat_gelu_approx approximate, lat_tensor **out) {
  lat_status status = LAT_STATUS_OK;
  activation_choice choice = {.kind = LAT_ACTIVATION_GELU};
  LAT_TRY(lat__op_check("gelu", context, "x", x, out), done);
  LAT_TRY(check_approximate(approximate, &choice.kind), done);
  LAT_TRY(activation_tensor(context, "gelu", &choice, x, out), done);
done:
  return status;
}

lat_status lat_sigmoid(lat_context *context, const lat_tensor *x, lat_tensor **out) {
  return plain_activation(context, "sigmoid", LAT_ACTIVATION_SIGMOID, x, out);
}

lat_status lat_silu(lat_context *context, const lat_tensor *x, lat_tensor **out) {
  return plain_activation(context, "silu", LAT_ACTIVATION_SILU, x, out);
}

lat_status lat_tanh(lat_context *context, const lat_tensor *x, lat_tensor **out) {
  return plain_activation(context, "tanh", LAT_ACTIVATION_TANH, x, out);
}

lat_status lat_leaky_relu(lat_context *context, const lat_tensor *x, double negative_slope, lat_tensor **out) {
  static const char op[] = "leaky_relu";
  lat_status status = LAT_STATUS_OK;
  activation_choice choice = {.kind = LAT_ACTIVATION_LEAKY_RELU};
  LAT_TRY(lat__op_check(op, context, "x", x, out), done);
  LAT_TRY(check_slope(op, "negative_slope", negative_slope, lat_tensor_dtype(x), &choice.alpha), done);
  LAT_TRY(activation_tensor(context, op, &choice, x, out), done);
done:
  return status;
}

lat_status lat_softplus(lat_context *context, const lat_tensor *x, double beta, double threshold, lat_tensor **out) {
  static const char op[] = "softplus";
  lat_status status = LAT_STATUS_OK;
  activation_choice choice = {.kind = LAT_ACTIVATION_SOFTPLUS};
  LAT_TRY(lat__op_check(op, context, "x", x, out), done);
  LAT_TRY(check_softplus(op, beta, threshold, &choice), done);
  LAT_TRY(activation_tensor(context, op, &choice, x, out), done);
done:
  return status;
}

lat_status lat_activation(lat_context *context, const lat_tensor *x, lat_activation_kind kind,
                          const lat_activation_opts *opts, lat_tensor **out) {
  static const char op[] = "activation";
  lat_status status = LAT_STATUS_OK;
  activation_choice choice;
  LAT_TRY(lat__op_check(op, context, "x", x, out), done);
  LAT_TRY(check_choice(op, kind, opts, lat_tensor_dtype(x), &choice), done);
  LAT_TRY(activation_tensor(context, op, &choice, x, out), done);
done:
  return status;
}

static lat_status dense_activation(lat_context *context, const char *op, const lat_array_view *x,
                                   lat_activation_kind kind, const lat_activation_opts *opts, lat_array **out) {
  lat_status status = LAT_STATUS_OK;
  lat_array *feats = NULL;
  activation_choice choice;
  LAT_TRY(lat__array_op_check(op, context, out), done);
  LAT_TRY(lat__feature_view(context, op, "x", x, &feats), done);
  LAT_TRY(check_choice(op, kind, opts, x->dtype, &choice), done);
  LAT_TRY(activation_array(context, op, &choice, feats, NULL, out), done);
done:
  lat_array_release(feats);
  return status;
}

lat_status lat_activation_features(lat_context *context, const lat_array_view *x, lat_activation_kind kind,
                                   const lat_activation_opts *opts, lat_array **out) {
  return dense_activation(context, "activation_features", x, kind, opts, out);
}

lat_status lat_exp(lat_context *context, const lat_array_view *x, lat_array **out) {
  return dense_activation(context, "exp", x, LAT_ACTIVATION_EXP, NULL, out);
}

lat_status lat_round(lat_context *context, const lat_array_view *x, lat_array **out) {
  static const char op[] = "round";
  lat_status status = LAT_STATUS_OK;
  lat_array *feats = NULL, *result = NULL;
  LAT_TRY(lat__array_op_check(op, context, out), done);
  LAT_TRY(lat__feature_view(context, op, "x", x, &feats), done);
  LAT_TRY(lat__array_new_2d(context, op, LAT_DTYPE_F32, x->shape[0], x->shape[1], &result), done);
  lat__unary_desc desc = {.kind = LAT__UNARY_ROUND,
                          .count = lat_array_count(result),
                          .dtype_in = x->dtype,
                          .dtype_out = LAT_DTYPE_F32,
                          .x = feats->view.data,
                          .y = lat_array_data(result)};
  LAT_TRY(lat__backend_of(context)->unary(context, &desc), done);
  *out = lat_array_retain(result);
done:
  lat_array_release(result);
  lat_array_release(feats);
  return status;
}

lat_status lat_activation_backward(lat_context *context, const lat_tensor *x, lat_activation_kind kind,
                                   const lat_array_view *grad_out, const lat_activation_opts *opts,
                                   lat_array **grad_x) {
  static const char op[] = "activation_backward";
  lat_status status = LAT_STATUS_OK;
  lat_array *grad = NULL;
  activation_choice choice;
  LAT_TRY(lat__array_op_check(op, context, grad_x), done);
  LAT_TRY(lat__tensor_check(op, "x", x), done);
  LAT_TRY(check_choice(op, kind, opts, lat_tensor_dtype(x), &choice), done);
  LAT_TRY(lat__grad_view(context, op, grad_out, lat_tensor_count(x), lat_tensor_channels(x), &grad), done);
  LAT_TRY(activation_array(context, op, &choice, x->feats, grad, grad_x), done);
done:
  lat_array_release(grad);
  return status;
}
