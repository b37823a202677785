/// \file feature.h
/// Operations on features alone: linear, cast, embedding, and with activation.h and norm.h the rest of them. They keep the
/// coordinate set and batch metadata.
///
/// Every operation computes in float32 and rounds once to the result dtype. Where parameters have another dtype than the
/// features, the result is the promotion of the two: equal stays, two different ones give float32.
#ifndef LATTICE_FEATURE_H
#define LATTICE_FEATURE_H

#include <lattice/activation.h>
#include <lattice/norm.h>
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

/// The same on a dense `(N, C)` view: a new `(N, C_out)` array. Errors: as linear; INVALID_SHAPE ("expects a rank-2").
LAT_API LAT_CHECKED lat_status lat_linear_features(lat_context *context, const lat_array_view *x,
                                                   const lat_weight *weight, const lat_array_view *bias,
                                                   lat_array **out);

/// Gradients of lat_linear, as lat_conv3d_backward (conv.h) has them. `grad_out` is `(N, C_out)` of any float dtype, which
/// the bias gradient takes over. `grads` combines lat_grad_flags (0: x, weight and bias). A packed weight has no gradient.
/// Errors: as lat_linear; INVALID_ARGUMENT ("grads" outside the flags; "a packed weight has no gradient"), INVALID_SHAPE
/// ("grad_out must have shape (rows, C_out) of the result").
LAT_API LAT_CHECKED lat_status lat_linear_backward(lat_context *context, const lat_tensor *x, const lat_weight *weight,
                                                   const lat_array_view *grad_out, int32_t grads, lat_conv_grads *out);

/// `y[i] = table[indices[i]]`: indices `(N,)` of any integer dtype, table `(V, C)` float32, float16 or bfloat16; y is
/// `(N, C)` of the table's dtype.
/// Errors: INVALID_ARGUMENT (NULL; an index outside 0 .. V - 1: named), INVALID_SHAPE, INVALID_DTYPE, OUT_OF_MEMORY.
LAT_API LAT_CHECKED lat_status lat_embedding_lookup(lat_context *context, const lat_array_view *indices,
                                                    const lat_array_view *table, lat_array **out);

/// Gradient of the table, `(V, C)` in its dtype: row v is the sum of the rows of grad_out `(N, C)` whose index is v, in
/// ascending order, in double, rounded once. Of `table` shape and dtype count, not the elements.
/// Errors: as embedding_lookup.
LAT_API LAT_CHECKED lat_status lat_embedding_backward(lat_context *context, const lat_array_view *indices,
                                                      const lat_array_view *table, const lat_array_view *grad_out,
                                                      lat_array **grad_table);

/// Features converted to float32, float16 or bfloat16 (one rounding). The same dtype shares the array.
/// Errors: INVALID_ARGUMENT (NULL), INVALID_DTYPE, OUT_OF_MEMORY.
LAT_API LAT_CHECKED lat_status lat_cast(lat_context *context, const lat_tensor *x, lat_dtype dtype, lat_tensor **out);

#ifdef __cplusplus
}
#endif
#endif
