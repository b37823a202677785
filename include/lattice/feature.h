/// \file feature.h
/// Operations on features alone: linear, activations, norms, cast. They keep the coordinate set and batch metadata.
///
/// Every operation computes in float32 and rounds once to the result dtype. Where parameters have another dtype than the
/// features, the result is the promotion of the two: equal stays, two different ones give float32.
#ifndef LATTICE_FEATURE_H
#define LATTICE_FEATURE_H

#include <lattice/quant.h>
#include <lattice/tensor.h>

#ifdef __cplusplus
extern "C" {
#endif

/// `x @ W.T + bias`: weight `(C_out, C_in)` dense or a packed weight of kernel volume 1; bias `(C_out,)` or NULL.
/// float32 results are the same bits at every CPU level and thread count (ascending input channels, fused multiply-add,
/// bias added after the sum). With a packed weight the result has the feature dtype; the bias is added in float32 as it
/// is.
/// Errors: INVALID_ARGUMENT (NULL; "quantized matmul requires a pointwise weight"), INVALID_SHAPE ("linear: weight …",
/// "linear: bias …"), INVALID_DTYPE, OUT_OF_MEMORY.
LAT_API LAT_CHECKED lat_status lat_linear(lat_context *context, const lat_tensor *x, const lat_weight *weight,
                                          const lat_array_view *bias, lat_tensor **out);

/// `max(x, 0)`; NaN stays NaN. Errors: INVALID_ARGUMENT (NULL), OUT_OF_MEMORY.
LAT_API LAT_CHECKED lat_status lat_relu(lat_context *context, const lat_tensor *x, lat_tensor **out);

/// How gelu is evaluated.
typedef enum lat_gelu_approx {
  LAT_GELU_NONE = 0, ///< 0.5 x (1 + erf(x / sqrt 2))
  LAT_GELU_TANH = 1, ///< 0.5 x (1 + tanh(sqrt(2 / pi) (x + 0.044715 x^3)))
  LAT_GELU_FAST = 2  ///< x * sigmoid(1.702 x)
} lat_gelu_approx;

/// Gaussian error linear unit. Own polynomials for erf, tanh and exp, the same bits at every CPU level; at most 6 ulp off
/// in float32 (docs/numerics.md). +inf stays, -inf gives -0, NaN stays NaN.
/// Errors: INVALID_ARGUMENT (NULL; "approximate" outside the enum), OUT_OF_MEMORY.
LAT_API LAT_CHECKED lat_status lat_gelu(lat_context *context, const lat_tensor *x, lat_gelu_approx approximate,
                                        lat_tensor **out);

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

/// Features converted to float32, float16 or bfloat16 (one rounding). The same dtype shares the array.
/// Errors: INVALID_ARGUMENT (NULL), INVALID_DTYPE, OUT_OF_MEMORY.
LAT_API LAT_CHECKED lat_status lat_cast(lat_context *context, const lat_tensor *x, lat_dtype dtype, lat_tensor **out);

#ifdef __cplusplus
}
#endif
#endif
