/// \file conv_normalized.h
/// Normalized convolutions: each output element is divided by the length of the weights that met it.
///
///     Y[o, co] = (sum over edges, ci of X[i, ci] * W[k, ci, co]) / sqrt(D[o, co] + eps)   then + bias[co]
///     D[o, co] = sum over the same edges and ci of W[k, ci, co]^2
///
/// Sums, division and bias are float32 whatever the features, then one rounding: a row without edges gives the bias (or
/// 0). All take lat_conv3d_opts with `eps`, and dense weights only: a packed weight is refused, since packing would drop
/// the normalization.
#ifndef LATTICE_CONV_NORMALIZED_H
#define LATTICE_CONV_NORMALIZED_H

#include <lattice/conv.h>

#ifdef __cplusplus
extern "C" {
#endif

/// Normalized lat_subm_conv3d. A 1x1x1 kernel is an ordinary pointwise convolution: nothing is divided (eps is checked all
/// the same).
/// Errors: as lat_subm_conv3d; INVALID_ARGUMENT ("eps must be positive"; "normalized convolution does not support packed
/// weights").
LAT_API LAT_CHECKED lat_status lat_normalized_subm_conv3d(lat_context *context, const lat_tensor *x,
                                                          const lat_weight *weight, const lat_array_view *bias,
                                                          const lat_conv3d_opts *opts, lat_tensor **out);

/// Normalized lat_conv_transpose3d, with coordinates too.
/// Errors: as lat_conv_transpose3d; INVALID_ARGUMENT as lat_normalized_subm_conv3d.
LAT_API LAT_CHECKED lat_status lat_normalized_conv_transpose3d(lat_context *context, const lat_tensor *x,
                                                               const lat_weight *weight, const lat_array_view *bias,
                                                               const lat_conv3d_opts *opts, lat_tensor **out);

/// Normalized lat_generative_conv_transpose3d, with coordinates too.
/// Errors: as lat_generative_conv_transpose3d; INVALID_ARGUMENT as lat_normalized_subm_conv3d.
LAT_API LAT_CHECKED lat_status lat_normalized_generative_conv_transpose3d(lat_context *context, const lat_tensor *x,
                                                                          const lat_weight *weight,
                                                                          const lat_array_view *bias,
                                                                          const lat_conv3d_opts *opts,
                                                                          lat_tensor **out);

/// Gradients of the three, as lat_conv3d_backward has them; the weight's holds its share through the divisor. With
/// r = 1 / sqrt(D + eps) and P = grad_out * r * (S r) r, S the sums of the forward call,
///
///     x[i] = sum of (grad_out r)[o] W[k]^T     weight[k] = sum of X[i]^T (grad_out r)[o] - W[k] * sum of P[o]
///
/// over the same edges. grad_out r, P and their sums are float32 for every feature dtype; the gradient of the bias is that
/// of lat_conv3d_backward. A row without edges takes part in the gradient of the bias only.
/// Errors: as the forward call and lat_conv3d_backward.
LAT_API LAT_CHECKED lat_status lat_normalized_subm_conv3d_backward(lat_context *context, const lat_tensor *x,
                                                                   const lat_weight *weight,
                                                                   const lat_array_view *grad_out,
                                                                   const lat_conv3d_backward_opts *opts,
                                                                   lat_conv_grads *out);
LAT_API LAT_CHECKED lat_status lat_normalized_conv_transpose3d_backward(lat_context *context, const lat_tensor *x,
                                                                        const lat_weight *weight,
                                                                        const lat_array_view *grad_out,
                                                                        const lat_conv3d_backward_opts *opts,
                                                                        lat_conv_grads *out);
LAT_API LAT_CHECKED lat_status lat_normalized_generative_conv_transpose3d_backward(
    lat_context *context, const lat_tensor *x, const lat_weight *weight, const lat_array_view *grad_out,
    const lat_conv3d_backward_opts *opts, lat_conv_grads *out);

/// Forward-mode products of the three: `r (dS - S (sum of W dW) r r) + dbias`, dS as in lat_conv3d_jvp, in float32 with one
/// rounding. Errors: as the forward call and lat_conv3d_jvp.
LAT_API LAT_CHECKED lat_status lat_normalized_subm_conv3d_jvp(lat_context *context, const lat_tensor *x,
                                                              const lat_weight *weight,
                                                              const lat_conv_tangents *tangents,
                                                              const lat_conv3d_opts *opts, lat_tensor **out);
LAT_API LAT_CHECKED lat_status lat_normalized_conv_transpose3d_jvp(lat_context *context, const lat_tensor *x,
                                                                   const lat_weight *weight,
                                                                   const lat_conv_tangents *tangents,
                                                                   const lat_conv3d_opts *opts, lat_tensor **out);
LAT_API LAT_CHECKED lat_status lat_normalized_generative_conv_transpose3d_jvp(lat_context *context, const lat_tensor *x,
                                                                              const lat_weight *weight,
                                                                              const lat_conv_tangents *tangents,
                                                                              const lat_conv3d_opts *opts,
                                                                              lat_tensor **out);

#ifdef __cplusplus
}
#endif
#endif
