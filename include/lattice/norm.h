/// \file norm.h
/// Normalization of features. Part of feature.h, whose dtype rule holds here.
#ifndef LATTICE_NORM_H
#define LATTICE_NORM_H

#include <lattice/tensor.h>

#ifdef __cplusplus
extern "C" {
#endif

/// Parameters of a norm: `(C,)` float views, NULL where absent. `eps` 0 means 1e-5.
typedef struct lat_norm_opts {
  size_t struct_bytes;          ///< sizeof(lat_norm_opts)
  const lat_array_view *weight; ///< scale; NULL: ones
  const lat_array_view *bias;   ///< shift; NULL: zeros. Not used by rms_norm: giving one is an error
  const lat_array_view *mean;   ///< batch_norm only; NULL: from the rows
  const lat_array_view *var;    ///< batch_norm only; NULL: from the rows (population variance)
  double eps;                   ///< > 0; 0: 1e-5
} lat_norm_opts;

#define LAT_NORM_OPTS_INIT                                                                                             \
  { sizeof(lat_norm_opts), NULL, NULL, NULL, NULL, 0.0 }

/// Per channel: `(x - mean) / sqrt(var + eps) * weight + bias`. Statistics over all rows in a fixed order (same bits for
/// any thread count), the variance from deviations, both rounded to float32. No rows: no rows come out.
/// Errors: INVALID_ARGUMENT (NULL; "eps must be positive"), INVALID_SHAPE ("<name> must have shape (C,)"),
/// INVALID_DTYPE, OUT_OF_MEMORY.
LAT_API LAT_CHECKED lat_status lat_batch_norm(lat_context *context, const lat_tensor *x, const lat_norm_opts *opts,
                                              lat_tensor **out);

/// Per row: `(x - mu) / sqrt(v + eps) * weight + bias` with the row's mean and population variance. Errors: as
/// batch_norm; INVALID_ARGUMENT when mean or var is given.
LAT_API LAT_CHECKED lat_status lat_layer_norm(lat_context *context, const lat_tensor *x, const lat_norm_opts *opts,
                                              lat_tensor **out);

/// Per row: `x / sqrt(mean(x^2) + eps) * weight`. Errors: as layer_norm; INVALID_ARGUMENT when bias is given.
LAT_API LAT_CHECKED lat_status lat_rms_norm(lat_context *context, const lat_tensor *x, const lat_norm_opts *opts,
                                            lat_tensor **out);

/// The three on a dense `(N, C)` view: a new array. The parameters that a norm has must all be given: weight, bias, mean
/// and var; weight and bias; weight.
/// Errors: as the functions above; INVALID_ARGUMENT ("weight: got NULL"), INVALID_SHAPE ("expects a rank-2").
LAT_API LAT_CHECKED lat_status lat_batch_norm_features(lat_context *context, const lat_array_view *x,
                                                       const lat_norm_opts *opts, lat_array **out);
LAT_API LAT_CHECKED lat_status lat_layer_norm_features(lat_context *context, const lat_array_view *x,
                                                       const lat_norm_opts *opts, lat_array **out);
LAT_API LAT_CHECKED lat_status lat_rms_norm_features(lat_context *context, const lat_array_view *x,
                                                     const lat_norm_opts *opts, lat_array **out);

/// Per batch item and channel: `(x - mean) / sqrt(var + eps) * weight + bias` with mean and population variance of the
/// item's rows, in double, rounded once. Rows go by the batch column; an item's bits do not depend on the others.
/// Errors: as layer_norm; INVALID_ARGUMENT (a negative batch index).
LAT_API LAT_CHECKED lat_status lat_instance_norm(lat_context *context, const lat_tensor *x, const lat_norm_opts *opts,
                                                 lat_tensor **out);

/// As instance_norm with one mean and variance for the rows of an item and each of `groups` equal runs of channels.
/// Errors: as instance_norm; INVALID_ARGUMENT ("groups must divide the channels").
LAT_API LAT_CHECKED lat_status lat_group_norm(lat_context *context, const lat_tensor *x, int64_t groups,
                                              const lat_norm_opts *opts, lat_tensor **out);

/// Gradients of a norm: owned arrays (release each), NULL for what was not asked for. On failure all are NULL.
typedef struct lat_norm_grads {
  lat_array *x;      ///< `(N, C)` in the dtype of the features
  lat_array *weight; ///< `(C,)` in the dtype of the weight
  lat_array *bias;   ///< `(C,)` in the dtype of the bias
} lat_norm_grads;

/// Gradients for grad_out `(N, C)`. Statistics from the rows are differentiated, given ones are constants. `grads`
/// combines lat_grad_flags; 0: those of x and of every parameter that was given. Sums in double in a fixed order (same
/// bits for any thread count), one rounding; parameters' gradients pass through float32.
/// Errors: as batch_norm; INVALID_ARGUMENT ("grads": unknown bits, or a parameter's that was not given),
/// INVALID_SHAPE, INVALID_DTYPE (grad_out).
LAT_API LAT_CHECKED lat_status lat_batch_norm_backward(lat_context *context, const lat_tensor *x,
                                                       const lat_array_view *grad_out, const lat_norm_opts *opts,
                                                       int32_t grads, lat_norm_grads *out);

/// As batch_norm_backward for the norm of that name. Errors: as there and as the norm.
LAT_API LAT_CHECKED lat_status lat_layer_norm_backward(lat_context *context, const lat_tensor *x,
                                                       const lat_array_view *grad_out, const lat_norm_opts *opts,
                                                       int32_t grads, lat_norm_grads *out);

/// As batch_norm_backward for the norm of that name. Errors: as there and as the norm.
LAT_API LAT_CHECKED lat_status lat_rms_norm_backward(lat_context *context, const lat_tensor *x,
                                                     const lat_array_view *grad_out, const lat_norm_opts *opts,
                                                     int32_t grads, lat_norm_grads *out);

/// As batch_norm_backward for the norm of that name. Errors: as there and as the norm.
LAT_API LAT_CHECKED lat_status lat_instance_norm_backward(lat_context *context, const lat_tensor *x,
                                                          const lat_array_view *grad_out, const lat_norm_opts *opts,
                                                          int32_t grads, lat_norm_grads *out);

/// As batch_norm_backward for the norm of that name. Errors: as there and as the norm.
LAT_API LAT_CHECKED lat_status lat_group_norm_backward(lat_context *context, const lat_tensor *x, int64_t groups,
                                                       const lat_array_view *grad_out, const lat_norm_opts *opts,
                                                       int32_t grads, lat_norm_grads *out);

/// Running statistics of batch norm: owned float32 arrays `(C,)`. On failure both are NULL.
typedef struct lat_running_stats {
  lat_array *mean, *var;
} lat_running_stats;

/// New running statistics: `(1 - momentum) * running + momentum * batch` with the mean and the population (biased)
/// variance that batch_norm takes from the rows. Without rows they stay.
/// Errors: INVALID_ARGUMENT (NULL; "momentum must"), INVALID_SHAPE ("<name> must have shape (C,)"), INVALID_DTYPE,
/// OUT_OF_MEMORY.
LAT_API LAT_CHECKED lat_status lat_batch_norm_update_running(lat_context *context, const lat_tensor *x,
                                                             const lat_array_view *running_mean,
                                                             const lat_array_view *running_var, double momentum,
                                                             lat_running_stats *out);

#ifdef __cplusplus
}
#endif
#endif
