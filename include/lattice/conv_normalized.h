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

#ifdef __cplusplus
}
#endif
#endif
