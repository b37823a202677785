/// What the element-wise operators share.
#ifndef LATTICE_OPS_FEATURE_INTERNAL_H
#define LATTICE_OPS_FEATURE_INTERNAL_H

#include <lattice/feature.h>

#include "backend/backend.h"

/// `*out` = x with `kind` applied to its features and rounded once to `dtype`; `op` names the caller in errors.
LAT_CHECKED lat_status lat__unary_run(lat_context *context, const char *op, lat__unary kind, const lat_tensor *x,
                                      lat_dtype dtype, lat_tensor **out);

/// Checks a kind and its parameters for features of `dtype`; `*desc` gets them, nothing else.
LAT_CHECKED lat_status lat__activation_check(const char *op, lat_activation_kind kind, const lat_activation_opts *opts,
                                             lat_dtype dtype, lat__activation_desc *desc);

/// Refuses a tensor that is NULL.
LAT_CHECKED lat_status lat__tensor_check(const char *op, const char *name, const lat_tensor *x);

/// `*out` = a caller's `(N, C)` feature view as a contiguous array. Errors: INVALID_ARGUMENT, INVALID_SHAPE ("expects a
/// rank-2"), INVALID_DTYPE.
LAT_CHECKED lat_status lat__feature_view(lat_context *context, const char *op, const char *name,
                                         const lat_array_view *view, lat_array **out);

/// As lat__feature_view for the gradient of a result of shape `(rows, channels)`.
LAT_CHECKED lat_status lat__grad_view(lat_context *context, const char *op, const lat_array_view *grad_out,
                                      int64_t rows, int64_t channels, lat_array **out);

/// lat_linear under that name in its errors.
LAT_CHECKED lat_status lat__linear_run(lat_context *context, const char *op, const lat_tensor *x,
                                       const lat_weight *weight, const lat_array_view *bias, lat_tensor **out);

#endif
