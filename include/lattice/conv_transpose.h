/// \file conv_transpose.h
/// Transposed, generative and inverse convolutions: the way back to finer sets.
///
/// Sums, layouts, packed weights and bits as in conv.h, over other relations. All take lat_conv3d_opts.
#ifndef LATTICE_CONV_TRANSPOSE_H
#define LATTICE_CONV_TRANSPOSE_H

#include <lattice/conv.h>

#ifdef __cplusplus
extern "C" {
#endif

/// Transposed convolution over the transposed relation of `x` (lat_relation_create_transposed), or onto
/// `opts->coordinates` (lat_relation_create_target_transposed). Defaults: kernel_size (2, 2, 2), stride (2, 2, 2).
///
/// The output stride is `x.stride / stride`; the declared batch size carries over. Without coordinates the support comes
/// from x alone, whatever finer set x was made from; the same x and geometry give the same output identity. Of duplicated
/// rows of x each adds its share; with coordinates the first is taken.
/// Errors: as lat_conv3d; INVALID_ARGUMENT ("transpose stride must divide the input tensor stride"; "support must be
/// floor": the taps count from 0 already), OVERFLOW (an output outside int32, 2^31 output rows).
LAT_API LAT_CHECKED lat_status lat_conv_transpose3d(lat_context *context, const lat_tensor *x, const lat_weight *weight,
                                                    const lat_array_view *bias, const lat_conv3d_opts *opts,
                                                    lat_tensor **out);

/// As lat_conv_transpose3d over the generative relation: outputs are never merged, row `in_row * volume + k` is kernel
/// element k's. With coordinates the same as lat_conv_transpose3d.
/// Errors: as lat_conv_transpose3d; INVALID_ARGUMENT for a padding or dilation other than 0 and 1.
LAT_API LAT_CHECKED lat_status lat_generative_conv_transpose3d(lat_context *context, const lat_tensor *x,
                                                               const lat_weight *weight, const lat_array_view *bias,
                                                               const lat_conv3d_opts *opts, lat_tensor **out);

/// Inverse convolution: from the output set of a forward convolution back to its input set, over the same relation.
///
/// `opts->coordinates` is the finer set, required; the geometry (defaults as lat_conv3d) is the forward convolution's, its
/// support rule and bounds included.
/// `x` lies on the set that lat_conv3d makes from the finer set: that very set, or one with the same rows and stride.
/// For every forward edge (i, o, k) row o of x adds `X[o, ci] * W[k, ci, co]` to row i; the result lies on the finer set
/// itself and takes x's declared batch size.
/// Errors: as lat_conv3d; INVALID_ARGUMENT ("coordinates: got NULL"; "x must lie on the output set of the forward
/// convolution").
LAT_API LAT_CHECKED lat_status lat_inverse_conv3d(lat_context *context, const lat_tensor *x, const lat_weight *weight,
                                                  const lat_array_view *bias, const lat_conv3d_opts *opts,
                                                  lat_tensor **out);

/// Gradients of the three, as lat_conv3d_backward has them; `opts->forward` are the options of the forward call
/// (required for lat_inverse_conv3d, whose coordinates it holds).
/// Errors: as the forward call and lat_conv3d_backward.
LAT_API LAT_CHECKED lat_status lat_conv_transpose3d_backward(lat_context *context, const lat_tensor *x,
                                                             const lat_weight *weight, const lat_array_view *grad_out,
                                                             const lat_conv3d_backward_opts *opts, lat_conv_grads *out);
LAT_API LAT_CHECKED lat_status lat_generative_conv_transpose3d_backward(lat_context *context, const lat_tensor *x,
                                                                        const lat_weight *weight,
                                                                        const lat_array_view *grad_out,
                                                                        const lat_conv3d_backward_opts *opts,
                                                                        lat_conv_grads *out);
LAT_API LAT_CHECKED lat_status lat_inverse_conv3d_backward(lat_context *context, const lat_tensor *x,
                                                           const lat_weight *weight, const lat_array_view *grad_out,
                                                           const lat_conv3d_backward_opts *opts, lat_conv_grads *out);

/// Forward-mode products of the three, as lat_conv3d_jvp has them. Errors: as the forward call and lat_conv3d_jvp.
LAT_API LAT_CHECKED lat_status lat_conv_transpose3d_jvp(lat_context *context, const lat_tensor *x,
                                                        const lat_weight *weight, const lat_conv_tangents *tangents,
                                                        const lat_conv3d_opts *opts, lat_tensor **out);
LAT_API LAT_CHECKED lat_status lat_generative_conv_transpose3d_jvp(lat_context *context, const lat_tensor *x,
                                                                   const lat_weight *weight,
                                                                   const lat_conv_tangents *tangents,
                                                                   const lat_conv3d_opts *opts, lat_tensor **out);
LAT_API LAT_CHECKED lat_status lat_inverse_conv3d_jvp(lat_context *context, const lat_tensor *x,
                                                      const lat_weight *weight, const lat_conv_tangents *tangents,
                                                      const lat_conv3d_opts *opts, lat_tensor **out);

#ifdef __cplusplus
}
#endif
#endif
