/// \file conv.h
/// Sparse convolutions.
///
/// Every member of the family computes, over the edges (i, o, k) of a relation (relation.h),
///
///     Y[o, co] = sum over edges, over ci of X[i, ci] * W[k, ci, co]   then + bias[co]
///
/// Accumulation is float32 with fused multiply-add, in ascending (kernel index, input row, input channel); the bias is
/// added in float32; one rounding to the feature dtype. float32 results are the same bits at every CPU level and thread
/// count. A row without edges gives the bias (or 0).
///
/// With `groups` G the channels of x and of the output fall into G runs of equal length, and an output channel sums over
/// the input channels of its own run: C_in in the layouts below is then x.channels / G. G = x.channels = C_out is a
/// depthwise convolution.
///
/// Dense weights have the feature dtype and one of the layouts `(C_out, Kx, Ky, Kz, C_in)`, `(K, C_in, C_out)` or, for a
/// 1x1x1 stride-1 unpadded kernel, `(C_out, C_in)`. Packed weights (quant.h) take features of any float dtype; codes are
/// widened to `code * scale + bias` in float32 and the sum is as above.
#ifndef LATTICE_CONV_H
#define LATTICE_CONV_H

#include <lattice/quant.h>
#include <lattice/relation.h>
#include <lattice/tensor.h>

#ifdef __cplusplus
extern "C" {
#endif

/// Options of lat_conv3d. Triples as in lat_kernel_opts (all zero: the default).
typedef struct lat_conv3d_opts {
  size_t struct_bytes;           ///< sizeof(lat_conv3d_opts)
  lat_triple kernel_size;        ///< default (3, 3, 3)
  lat_triple stride;             ///< default (1, 1, 1)
  lat_triple padding;            ///< default (0, 0, 0)
  lat_triple dilation;           ///< default (1, 1, 1)
  const lat_coords *coordinates; ///< output support (borrowed; retained by the result), or NULL: the forward rule.
                                 ///< A tensor's set, a set of the caller's, or rows through lat_target_coords_create
  int32_t groups;                ///< default 1; divides the channels of x and of the output
  double eps;                    ///< normalized convolutions (conv_normalized.h) only: default 1e-8
  lat_support support;           ///< default floor; lat_relation_create_forward has the rules
  lat_triple bounds;             ///< with reach support and without coordinates; all zero: none
} lat_conv3d_opts;

#define LAT_CONV3D_OPTS_INIT                                                                                           \
  {                                                                                                                    \
    sizeof(lat_conv3d_opts), {0, 0, 0}, {0, 0, 0}, {0, 0, 0}, {0, 0, 0}, NULL, 0, 0.0, LAT_SUPPORT_FLOOR, {            \
      0, 0, 0                                                                                                          \
    }                                                                                                                  \
  }

/// Convolution over the forward relation of `x`, or onto `opts->coordinates`.
///
/// `support` chooses the outputs of the forward relation and its taps, with coordinates the taps alone. Reach support with
/// `bounds` equals a dense convolution of a box of that extent at the outputs that meet an input.
/// The output stride is `x.stride * stride`. A 1x1x1 stride-1 unpadded kernel without coordinates, and coordinates with
/// x's own identity, keep x's identity and batch metadata; otherwise the output set is the relation's or the given one,
/// and the declared batch size carries over. `bias` is `(C_out,)` of any float dtype (rounded to the feature dtype), or
/// NULL.
/// With `coordinates` rows are found by their coordinates, so of duplicated rows of x the first is taken; the pointwise
/// form without them takes each row's own features.
/// Errors: INVALID_ARGUMENT (NULL; geometry; "must use the convolution output stride" for coordinates; "bounds must be
/// absent" beside coordinates), INVALID_DTYPE ("convolution supports float32 and float16 tensors"; "convolution weights
/// must match feature dtype"), INVALID_SHAPE ("weight input channels must match x.channels"; "groups must divide";
/// "weight kernel rows must match the convolution kernel"; "bias must have shape (C_out,)"; "bias channels must match
/// output channels"; a rank that no layout has), OVERFLOW, OUT_OF_MEMORY.
LAT_API LAT_CHECKED lat_status lat_conv3d(lat_context *context, const lat_tensor *x, const lat_weight *weight,
                                          const lat_array_view *bias, const lat_conv3d_opts *opts, lat_tensor **out);

/// Submanifold convolution: the output has x's identity and batch metadata. Uses `kernel_size` (odd on every axis) and
/// `dilation` of `opts`; the same under both support rules.
/// Errors: as lat_conv3d; INVALID_ARGUMENT ("subm_conv3d requires odd kernel_size values"; a stride, padding, bounds or
/// coordinates given).
LAT_API LAT_CHECKED lat_status lat_subm_conv3d(lat_context *context, const lat_tensor *x, const lat_weight *weight,
                                               const lat_array_view *bias, const lat_conv3d_opts *opts,
                                               lat_tensor **out);

/// What lat_conv3d_backward and lat_subm_conv3d_backward take besides the operands.
typedef struct lat_conv3d_backward_opts {
  size_t struct_bytes;            ///< sizeof(lat_conv3d_backward_opts)
  const lat_conv3d_opts *forward; ///< options of the forward call, or NULL: the defaults
  int32_t grads;                  ///< lat_grad_flags; 0: x, weight and bias
} lat_conv3d_backward_opts;

#define LAT_CONV3D_BACKWARD_OPTS_INIT                                                                                  \
  { sizeof(lat_conv3d_backward_opts), NULL, 0 }

/// Gradients of lat_conv3d: `grad_out` is the gradient of its result, `(rows of the result, C_out)` in the feature
/// dtype. Over the edges (i, o, k) of the forward call's relation (the cached one),
///
///     x[i]      = sum of grad_out[o] W[k]^T       weight[k] = sum of X[i]^T grad_out[o]       bias = sum of grad_out
///
/// of x in ascending kernel index, with float32 fused multiply-add; of the weight likewise over fixed ranges of output
/// rows that are added in order; of the bias in double. One rounding to the dtype; a sum of n products lies within
/// 4 sqrt(n) 2^-23 sum|a b| before it. Same bits for any thread count and CPU level. Rows of x that no edge names (of
/// duplicated rows all but the first) get 0. A packed weight has no gradient, its bias and x have.
/// Errors: as lat_conv3d; INVALID_ARGUMENT ("grads" outside the flags; "a packed weight has no gradient"),
/// INVALID_SHAPE ("grad_out must have shape (rows, C_out) of the result"), INVALID_DTYPE ("grad_out must match feature
/// dtype").
LAT_API LAT_CHECKED lat_status lat_conv3d_backward(lat_context *context, const lat_tensor *x, const lat_weight *weight,
                                                   const lat_array_view *grad_out, const lat_conv3d_backward_opts *opts,
                                                   lat_conv_grads *out);

/// Gradients of lat_subm_conv3d. Errors: as lat_subm_conv3d and lat_conv3d_backward.
LAT_API LAT_CHECKED lat_status lat_subm_conv3d_backward(lat_context *context, const lat_tensor *x,
                                                        const lat_weight *weight, const lat_array_view *grad_out,
                                                        const lat_conv3d_backward_opts *opts, lat_conv_grads *out);

/// Tangents of the operands of lat_conv3d: views of the operands' shapes and dtypes (a bias of any float dtype), NULL for
/// zero. At least one is given.
typedef struct lat_conv_tangents {
  const lat_array_view *x;
  const lat_array_view *weight; ///< of a dense weight
  const lat_array_view *bias;
} lat_conv_tangents;

/// Forward-mode product of lat_conv3d: `conv(dx, W) + conv(x, dW) + dbias`, a tensor like the result of lat_conv3d. One
/// sum of all products with one rounding, under each kernel element and group those of dx first.
/// Errors: as lat_conv3d; INVALID_ARGUMENT (NULL; "no tangent was given"; "a packed weight has no tangent"),
/// INVALID_SHAPE and INVALID_DTYPE ("the tangent of <name> must have its shape", "… its dtype").
LAT_API LAT_CHECKED lat_status lat_conv3d_jvp(lat_context *context, const lat_tensor *x, const lat_weight *weight,
                                              const lat_conv_tangents *tangents, const lat_conv3d_opts *opts,
                                              lat_tensor **out);

/// Forward-mode product of lat_subm_conv3d, as lat_conv3d_jvp. Errors: as lat_subm_conv3d and lat_conv3d_jvp.
LAT_API LAT_CHECKED lat_status lat_subm_conv3d_jvp(lat_context *context, const lat_tensor *x, const lat_weight *weight,
                                                   const lat_conv_tangents *tangents, const lat_conv3d_opts *opts,
                                                   lat_tensor **out);

/// Bytes that are enough for any algorithm name.
#define LAT_ALGORITHM_NAME_BYTES 64

/// Name of the algorithm that lat_conv3d takes for these arguments in this context (lat_subm_conv3d takes the same for
/// the same options), e.g. "gather_gemm_f32_6x2v_avx2": way, feature dtype, packed weight width, register tile (rows x
/// vectors), level. Written into `name` (`name_bytes` long, cut if need be), always terminated. Builds no relation. The
/// context's log hook gets the same name with every call, at LAT_LOG_DEBUG.
/// Errors: as lat_conv3d.
LAT_API LAT_CHECKED lat_status lat_conv3d_algorithm(lat_context *context, const lat_tensor *x, const lat_weight *weight,
                                                    const lat_conv3d_opts *opts, char *name, size_t name_bytes);

/// Room for every way there is to compute a convolution.
#define LAT_CONV_MOST_CANDIDATES 16

/// One way to compute a convolution. Texts have static storage.
typedef struct lat_conv_candidate {
  const char *name;    ///< what lat_conv3d_algorithm's name begins with: "gather_gemm"
  const char *refusal; ///< why these arguments cannot take it; NULL: they can
} lat_conv_candidate;

/// The ways in their order of preference. The first without a refusal runs: nothing is tried out.
typedef struct lat_conv_candidates {
  int64_t count;
  int64_t taken; ///< index of the one that runs
  lat_conv_candidate items[LAT_CONV_MOST_CANDIDATES];
} lat_conv_candidates;

/// The list that lat_conv3d walks for these arguments, and where it stops. Builds no relation.
/// Errors: as lat_conv3d; `*out` is written on success only.
LAT_API LAT_CHECKED lat_status lat_conv3d_candidates(lat_context *context, const lat_tensor *x,
                                                     const lat_weight *weight, const lat_conv3d_opts *opts,
                                                     lat_conv_candidates *out);

#ifdef __cplusplus
}
#endif
#endif
