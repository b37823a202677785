// Batch, layer and RMS norm over the feature rows of a tensor.

#include <math.h>

#include "coords/tensor_internal.h"
#include "core/array_internal.h"
#include "core/compiler.h"
#include "core/context_internal.h"
#include "ops/norm_internal.h"

#define DEFAULT_EPS 1e-5

static lat_status check_absent(const char *op, const char *name, const lat_array_view *view) {
  if (!view) return LAT_STATUS_OK;
  return lat_fail(LAT_STATUS_INVALID_ARGUMENT, "%s: %s is not used by this norm: got a view, expected NULL", op, name);
}

static lat_status check_eps(const char *op, double eps, float *out) {
  double value = eps == 0.0 ? DEFAULT_EPS : eps;
  *out = (float)value;
  if (*out > 0.0f && isfinite(*out)) return LAT_STATUS_OK;
  return lat_fail(LAT_STATUS_INVALID_ARGUMENT, "%s: eps must be positive: got %g, expected a positive float32", op,
                  eps);
}

static lat_status take_parameter(lat_context *context, const char *op, const char *name, const lat_array_view *view,
                                 int64_t channels, lat__norm_parameters *parameters, lat_array **out) {
  lat_status status = lat__channel_vector(context, op, name, view, channels, LAT_DTYPE_F32, out);
  if (!status && view) parameters->dtype_out = lat__dtype_promote(parameters->dtype_out, view->dtype);
  return status;
}

void lat__norm_parameters_release(lat__norm_parameters *parameters) {
  lat_array_release(parameters->weight);
  lat_array_release(parameters->bias);
  lat_array_release(parameters->mean);
  lat_array_release(parameters->var);
}

lat_status lat__norm_parameters_take(lat_context *context, const char *op, lat__norm kind, const lat_tensor *x,
                                     const lat_norm_opts *opts, lat__norm_parameters *parameters) {
  lat_status status = LAT_STATUS_OK;
  int64_t channels = lat_tensor_channels(x);
  lat_norm_opts o;
  *parameters = (lat__norm_parameters){.eps = 0.0f};
  parameters->dtype_out = lat_tensor_dtype(x);
  LAT_TRY(lat__opts_copy(op, opts, sizeof o, &o), done);
  LAT_TRY(check_eps(op, o.eps, &parameters->eps), done);
  if (kind != LAT__NORM_BATCH) {
    LAT_TRY(check_absent(op, "mean", o.mean), done);
    LAT_TRY(check_absent(op, "var", o.var), done);
  }
  if (kind == LAT__NORM_RMS) LAT_TRY(check_absent(op, "bias", o.bias), done);
  if (o.weight) parameters->dtype_weight = o.weight->dtype;
  if (o.bias) parameters->dtype_bias = o.bias->dtype;
  LAT_TRY(take_parameter(context, op, "weight", o.weight, channels, parameters, &parameters->weight), done);
  LAT_TRY(take_parameter(context, op, "bias", o.bias, channels, parameters, &parameters->bias), done);
  LAT_TRY(take_parameter(context, op, "mean", o.mean, channels, parameters, &parameters->mean), done);
  LAT_TRY(take_parameter(context, op, "var", o.var, channels, parameters, &parameters->var), done);
done:
  return status;
}

/// Fills the statistics that the caller left to us.
static lat_status take_statistics(lat_context *context, const char *op, const lat_tensor *x,
                                  lat__norm_parameters *parameters) {
  lat_status status = LAT_STATUS_OK;
  lat_array *mean = NULL, *var = NULL;
  lat_array_view view = x->feats->view;
  if (parameters->mean && parameters->var) return LAT_STATUS_OK;
  LAT_TRY(lat__array_new_1d(context, op, LAT_DTYPE_F32, view.shape[1], &mean), done);
  LAT_TRY(lat__array_new_1d(context, op, LAT_DTYPE_F32, view.shape[1], &var), done);
  lat__channel_stats_desc desc = {.n_rows = view.shape[0],
                                  .channels = view.shape[1],
                                  .dtype = view.dtype,
                                  .x = view.data,
                                  .mean = lat_array_data(mean),
                                  .var = parameters->var ? NULL : lat_array_data(var)};
  LAT_TRY(lat__backend_of(context)->channel_stats(context, &desc), done);
  if (!parameters->mean) parameters->mean = lat_array_retain(mean);
  if (!parameters->var) parameters->var = lat_array_retain(var);
done:
  lat_array_release(mean);
  lat_array_release(var);
  return status;
}

lat_status lat__norm_run(lat_context *context, const char *op, lat__norm kind, const lat_tensor *x,
                         const lat_norm_opts *opts, lat_tensor **out) {
  lat_status status = LAT_STATUS_OK;
  lat_array *feats = NULL;
  lat__norm_parameters parameters = {.eps = 0.0f};
  LAT_TRY(lat__op_check(op, context, "x", x, out), done);
  LAT_TRY(lat__norm_parameters_take(context, op, kind, x, opts, &parameters), done);
  lat_array_view view = x->feats->view;
  LAT_TRY(lat__array_new_2d(context, op, parameters.dtype_out, view.shape[0], view.shape[1], &feats), done);
  if (kind == LAT__NORM_BATCH && view.shape[0] > 0) LAT_TRY(take_statistics(context, op, x, &parameters), done);
  lat__norm_desc desc = {.kind = kind,
                         .n_rows = view.shape[0],
                         .channels = view.shape[1],
                         .dtype_in = view.dtype,
                         .dtype_out = parameters.dtype_out,
                         .eps = parameters.eps,
                         .mean = lat__norm_values(parameters.mean),
                         .var = lat__norm_values(parameters.var),
                         .weight = lat__norm_values(parameters.weight),
                         .bias = lat__norm_values(parameters.bias),
                         .x = view.data,
                         .y = lat_array_data(feats)};
  LAT_TRY(lat__backend_of(context)->norm(context, &desc), done);
  LAT_TRY(lat__tensor_new(context, op, x->coords, feats, x, out), done);
done:
  lat__norm_parameters_release(&parameters);
  lat_array_release(feats);
  return status;
}

lat_status lat_batch_norm(lat_context *context, const lat_tensor *x, const lat_norm_opts *opts, lat_tensor **out) {
  return lat__norm_run(context, "batch_norm", LAT__NORM_BATCH, x, opts, out);
}

lat_status lat_layer_norm(lat_context *context, const lat_tensor *x, const lat_norm_opts *opts, lat_tensor **out) {
  return lat__norm_run(context, "layer_norm", LAT__NORM_LAYER, x, opts, out);
}

lat_status lat_rms_norm(lat_context *context, const lat_tensor *x, const lat_norm_opts *opts, lat_tensor **out) {
  return lat__norm_run(context, "rms_norm", LAT__NORM_RMS, x, opts, out);
}

static lat_status check_momentum(const char *op, double momentum) {
  if (momentum >= 0.0 && momentum <= 1.0) return LAT_STATUS_OK;
  return lat_fail(LAT_STATUS_INVALID_ARGUMENT, "%s: momentum must be in [0, 1]: got %g, expected 0 to 1", op, momentum);
}

/// running = (1 - momentum) * running + momentum * batch, in double, rounded once.
static void mix(int64_t n, double momentum, const float *batch, float *running) {
  for (int64_t c = 0; c < n; c++) {
    running[c] = (float)((1.0 - momentum) * (double)running[c] + momentum * (double)batch[c]);
  }
}

lat_status lat_batch_norm_update_running(lat_context *context, const lat_tensor *x, const lat_array_view *running_mean,
                                         const lat_array_view *running_var, double momentum, lat_running_stats *out) {
  static const char op[] = "batch_norm_update_running";
  lat_status status = LAT_STATUS_OK;
  lat_array *mean = NULL, *var = NULL;
  lat__norm_parameters batch = {.eps = 0.0f};
  if (!out) return lat_fail(LAT_STATUS_INVALID_ARGUMENT, "%s: out: got NULL, expected a place for the statistics", op);
  *out = (lat_running_stats){NULL, NULL};
  if (!context) return lat_fail(LAT_STATUS_INVALID_ARGUMENT, "%s: context: got NULL, expected a context", op);
  LAT_TRY(lat__tensor_check(op, "x", x), done);
  if (!running_mean || !running_var) {
    status = lat_fail(LAT_STATUS_INVALID_ARGUMENT, "%s: %s: got NULL, expected a view", op,
                      running_mean ? "running_var" : "running_mean");
    goto done;
  }
  LAT_TRY(check_momentum(op, momentum), done);
  int64_t channels = lat_tensor_channels(x);
  LAT_TRY(lat__channel_vector(context, op, "running_mean", running_mean, channels, LAT_DTYPE_F32, &mean), done);
  LAT_TRY(lat__channel_vector(context, op, "running_var", running_var, channels, LAT_DTYPE_F32, &var), done);
  if (lat_tensor_count(x) > 0) {
    LAT_TRY(take_statistics(context, op, x, &batch), done);
    mix(channels, momentum, lat__norm_values(batch.mean), lat_array_data(mean));
    mix(channels, momentum, lat__norm_values(batch.var), lat_array_data(var));
  }
  *out = (lat_running_stats){lat_array_retain(mean), lat_array_retain(var)};
done:
  lat__norm_parameters_release(&batch);
  lat_array_release(mean);
  lat_array_release(var);
  return status;
}
