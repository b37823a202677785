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

/// Per row: `(x - mu) / sqrt(v + eps) * weight + bias` with the row's mean and population variance. Errors as
/// batch_norm; INVALID_ARGUMENT when mean or var is given.
LAT_API LAT_CHECKED lat_status lat_layer_norm(lat_context *context, const lat_tensor *x, const lat_norm_opts *opts,
                                              lat_tensor **out);

/// Per row: `x / sqrt(mean(x^2) + eps) * weight`. Errors as layer_norm; INVALID_ARGUMENT when bias is given.
LAT_API LAT_CHECKED lat_status lat_rms_norm(lat_context *context, const lat_tensor *x, const lat_norm_opts *opts,
                                            lat_tensor **out);

#ifdef __cplusplus
}
#endif
#endif
