/// \file activation.h
/// Element-wise functions, softmax and dropout, with their gradients. Part of feature.h.
///
/// Everything computes in float32 or better and rounds once to the dtype of the features. A gradient has the dtype of what
/// it is the gradient of; grad_out may be float32, float16 or bfloat16 and has the shape of the forward's result.
#ifndef LATTICE_ACTIVATION_H
#define LATTICE_ACTIVATION_H

#include <lattice/tensor.h>

#ifdef __cplusplus
extern "C" {
#endif

/// `max(x, 0)`; NaN stays NaN. Errors: INVALID_ARGUMENT (NULL), OUT_OF_MEMORY.
LAT_API LAT_CHECKED lat_status lat_relu(lat_context *context, const lat_tensor *x, lat_tensor **out);

/// How gelu is evaluated.
typedef enum lat_gelu_approx {
  LAT_GELU_NONE = 0, ///< 0.5 x (1 + erf(x / sqrt 2))
  LAT_GELU_TANH = 1, ///< 0.5 x (1 + tanh(sqrt(2 / pi) (x + 0.044715 x^3)))
  LAT_GELU_FAST = 2  ///< x * sigmoid(1.702 x)
} lat_gelu_approx;

/// Gaussian error linear unit. Own polynomials for erf, tanh and exp, the same bits at every CPU level; at most 4 ulp off
/// in float32 (docs/numerics.md). +inf stays, -inf gives -0, NaN stays NaN.
/// Errors: INVALID_ARGUMENT (NULL; "approximate" outside the enum), OUT_OF_MEMORY.
LAT_API LAT_CHECKED lat_status lat_gelu(lat_context *context, const lat_tensor *x, lat_gelu_approx approximate,
                                        lat_tensor **out);

/// `1 / (1 + exp(-x))`. This and the following functions use own polynomials in float32: the same bits at every CPU
/// level, at most 3 ulp off (docs/numerics.md). NaN stays NaN.
/// Errors: INVALID_ARGUMENT (NULL), OUT_OF_MEMORY.
LAT_API LAT_CHECKED lat_status lat_sigmoid(lat_context *context, const lat_tensor *x, lat_tensor **out);

/// `x * sigmoid(x)`; -inf gives -0. Errors: as sigmoid.
LAT_API LAT_CHECKED lat_status lat_silu(lat_context *context, const lat_tensor *x, lat_tensor **out);

/// Hyperbolic tangent. Errors: as sigmoid.
LAT_API LAT_CHECKED lat_status lat_tanh(lat_context *context, const lat_tensor *x, lat_tensor **out);

/// `x >= 0 ? x : x * negative_slope`, the slope rounded to the dtype of x.
/// Errors: as sigmoid; INVALID_ARGUMENT ("negative_slope must be finite").
LAT_API LAT_CHECKED lat_status lat_leaky_relu(lat_context *context, const lat_tensor *x, double negative_slope,
                                              lat_tensor **out);

/// `s = x * beta; s > threshold ? x : log(1 + exp(s)) / beta`, parameters rounded to float32; no s overflows.
/// Errors: as sigmoid; INVALID_ARGUMENT ("beta must be positive"; "threshold must be a number").
LAT_API LAT_CHECKED lat_status lat_softplus(lat_context *context, const lat_tensor *x, double beta, double threshold,
                                            lat_tensor **out);

/// The functions that the dispatcher knows.
typedef enum lat_activation_kind {
  LAT_ACTIVATION_RELU = 0,
  LAT_ACTIVATION_SIGMOID = 1,
  LAT_ACTIVATION_SILU = 2,
  LAT_ACTIVATION_TANH = 3,
  LAT_ACTIVATION_LEAKY_RELU = 4, ///< alpha
  LAT_ACTIVATION_GELU = 5,       ///< by the error function
  LAT_ACTIVATION_GELU_TANH = 6,
  LAT_ACTIVATION_GELU_FAST = 7,
  LAT_ACTIVATION_SOFTPLUS = 8, ///< beta, threshold
  LAT_ACTIVATION_EXP = 9
} lat_activation_kind;

/// Parameters of the dispatcher. Zero in a field means its default; kinds that do not use a field ignore it.
typedef struct lat_activation_opts {
  size_t struct_bytes; ///< sizeof(lat_activation_opts)
  double alpha;        ///< leaky_relu: slope below zero; 0: 0.01
  double beta;         ///< softplus: > 0; 0: 1
  double threshold;    ///< softplus: linear above it; 0: 20
} lat_activation_opts;

#define LAT_ACTIVATION_OPTS_INIT                                                                                       \
  { sizeof(lat_activation_opts), 0.0, 0.0, 0.0 }

/// Any of them by its kind: the bits of the function of that name.
/// Errors: as the function; INVALID_ARGUMENT ("kind": outside the enum).
LAT_API LAT_CHECKED lat_status lat_activation(lat_context *context, const lat_tensor *x, lat_activation_kind kind,
                                              const lat_activation_opts *opts, lat_tensor **out);

/// The same on a dense `(N, C)` view. Errors: as activation; INVALID_SHAPE ("expects a rank-2"), INVALID_DTYPE.
LAT_API LAT_CHECKED lat_status lat_activation_features(lat_context *context, const lat_array_view *x,
                                                       lat_activation_kind kind, const lat_activation_opts *opts,
                                                       lat_array **out);

/// `grad_out * f'(x)`, `(N, C)` in the dtype of x: derivatives of the formulas above, relu' and leaky_relu' as their
/// branches (relu'(0) = 0, leaky_relu'(0) = 1). A NaN in x stays.
/// Errors: as activation; INVALID_SHAPE, INVALID_DTYPE (grad_out).
LAT_API LAT_CHECKED lat_status lat_activation_backward(lat_context *context, const lat_tensor *x,
                                                       lat_activation_kind kind, const lat_array_view *grad_out,
                                                       const lat_activation_opts *opts, lat_array **grad_x);

/// `exp(x)` of a dense `(N, C)` view, in its dtype. Errors: as activation_features.
LAT_API LAT_CHECKED lat_status lat_exp(lat_context *context, const lat_array_view *x, lat_array **out);

/// Nearest integer, ties to even, of a dense `(N, C)` view, as float32. (Its derivative is zero: there is no backward.)
/// Errors: as activation_features.
LAT_API LAT_CHECKED lat_status lat_round(lat_context *context, const lat_array_view *x, lat_array **out);

/// Softmax along the last axis of a dense `(N, C)` view, as float32: the row's maximum is subtracted, the sum runs over
/// ascending channels in double. Errors: as activation_features.
LAT_API LAT_CHECKED lat_status lat_softmax(lat_context *context, const lat_array_view *x, lat_array **out);

/// Gradient of x, `(N, C)` in its dtype: `y (grad_out - sum(grad_out y))` with y = softmax(x).
/// Errors: as softmax; INVALID_SHAPE, INVALID_DTYPE (grad_out).
LAT_API LAT_CHECKED lat_status lat_softmax_backward(lat_context *context, const lat_array_view *x,
                                                    const lat_array_view *grad_out, lat_array **grad_x);

/// How dropout draws. Element i (row-major) is dropped when `w < p * 2^32`, w being word `i mod 4` of
/// `lat_random_block(seed of the context, stream, i / 4)`: the same mask at any thread count.
typedef struct lat_dropout_opts {
  size_t struct_bytes; ///< sizeof(lat_dropout_opts)
  double p;            ///< probability of dropping, 0 <= p < 1
  uint64_t stream;     ///< a number of the caller's own for each call that shall draw another mask
  int32_t training;    ///< zero: identity
} lat_dropout_opts;

/// p = 0.5, training.
#define LAT_DROPOUT_OPTS_INIT                                                                                          \
  { sizeof(lat_dropout_opts), 0.5, 0, 1 }

/// `x / (1 - p)` where the element is kept, 0 where it is dropped (whatever x is). Not training, or p = 0: shares the
/// features. NULL opts: LAT_DROPOUT_OPTS_INIT.
/// Errors: INVALID_ARGUMENT (NULL; "p must"), OUT_OF_MEMORY.
LAT_API LAT_CHECKED lat_status lat_dropout(lat_context *context, const lat_tensor *x, const lat_dropout_opts *opts,
                                           lat_tensor **out);

/// Gradient of x, `(N, C)` in its dtype, under the mask of the same options. Errors: as dropout; INVALID_SHAPE,
/// INVALID_DTYPE (grad_out).
LAT_API LAT_CHECKED lat_status lat_dropout_backward(lat_context *context, const lat_tensor *x,
                                                    const lat_array_view *grad_out, const lat_dropout_opts *opts,
                                                    lat_array **grad_x);

#ifdef __cplusplus
}
#endif
#endif
