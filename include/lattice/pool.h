/// \file pool.h
/// Pooling: local over a relation, global per batch item.
#ifndef LATTICE_POOL_H
#define LATTICE_POOL_H

#include <lattice/relation.h>
#include <lattice/tensor.h>

#ifdef __cplusplus
extern "C" {
#endif

/// How contributing rows are reduced.
typedef enum lat_pool_mode {
  LAT_POOL_SUM = 0, ///< float32 sum in edge order
  LAT_POOL_MAX = 1, ///< maximum; NaN wins
  LAT_POOL_AVG = 2  ///< the sum times 1 / (number of contributors), never the kernel volume
} lat_pool_mode;

/// Local pool over the forward relation of `x`. Defaults differ from lat_kernel_opts': kernel_size (2, 2, 2), stride
/// (2, 2, 2). Accumulates in float32 and rounds once; float32, float16 and bfloat16. An output row without edges: sum
/// and avg 0, max -inf; reach support (`opts->support`, `opts->bounds`) makes none of those. The output set is the
/// relation's (x's own where that keeps it); the declared batch size carries over.
/// Errors: INVALID_ARGUMENT (NULL; a mode outside the enum; geometry), OVERFLOW, OUT_OF_MEMORY.
LAT_API LAT_CHECKED lat_status lat_pool3d(lat_context *context, const lat_tensor *x, lat_pool_mode mode,
                                          const lat_kernel_opts *opts, lat_tensor **out);

/// Gradient of lat_pool3d: from the gradient of its result, `(n_out, C)` in the result's row order, the gradient of `x`'s
/// features, a new `(N, C)` array of x's dtype. Sum: 1 for every contributor; avg: 1 / (number of contributors); max: an
/// equal part for each of the tied maxima. Accumulates in float32, rounds once.
/// Errors: as lat_pool3d; INVALID_SHAPE, INVALID_DTYPE ("grad_out").
LAT_API LAT_CHECKED lat_status lat_pool3d_backward(lat_context *context, const lat_tensor *x, lat_pool_mode mode,
                                                   const lat_kernel_opts *opts, const lat_array_view *grad_out,
                                                   lat_array **out);

/// Forward-mode product of lat_pool3d with a tangent of x's features: a new `(n_out, C)` array. Sum and avg are the pool of
/// the tangent; max takes the tangent of one tied maximum, the one with the smallest `in_row * volume + kernel_id` (0 where
/// there is no contributor).
/// Errors: as lat_pool3d; INVALID_SHAPE, INVALID_DTYPE ("tangent").
LAT_API LAT_CHECKED lat_status lat_pool3d_jvp(lat_context *context, const lat_tensor *x, lat_pool_mode mode,
                                              const lat_kernel_opts *opts, const lat_array_view *tangent,
                                              lat_array **out);

/// Average of all coarse contributors over the transposed relation of `x`, or onto `target`'s rows (kept with the target's
/// identity and, where it declares one, batch size). Rows without contributors give 0. Defaults: kernel_size and stride
/// (2, 2, 2). The output stride is `x.stride / stride`.
/// Errors: INVALID_ARGUMENT (NULL; geometry; "support must be floor"; "transpose stride must divide input stride";
/// "target stride … does not match transposed output stride …"), OVERFLOW, OUT_OF_MEMORY.
LAT_API LAT_CHECKED lat_status lat_pool_transpose3d(lat_context *context, const lat_tensor *x, const lat_tensor *target,
                                                    const lat_kernel_opts *opts, lat_tensor **out);

/// Gradient of lat_pool_transpose3d with respect to x's features. Errors: as the forward; "grad_out" as lat_pool3d_backward.
LAT_API LAT_CHECKED lat_status lat_pool_transpose3d_backward(lat_context *context, const lat_tensor *x,
                                                             const lat_tensor *target, const lat_kernel_opts *opts,
                                                             const lat_array_view *grad_out, lat_array **out);

/// Trilinear upsampling by `stride` (components >= 1; all zero: (2, 2, 2)): kernel size `2 stride - 1`, padding
/// `stride - 1`, weight of tap j on an axis `1 - |j - (s - 1)| / s`; the weighted sum of the neighbours that are there
/// divided by the sum of their weights. Without `target` the support is the transposed relation's, neighbours outside
/// included. Otherwise as lat_pool_transpose3d.
/// Errors: as there; INVALID_ARGUMENT ("stride values must be positive").
LAT_API LAT_CHECKED lat_status lat_trilinear_upsample3d(lat_context *context, const lat_tensor *x,
                                                        const lat_tensor *target, lat_triple stride, lat_tensor **out);

/// Gradient of lat_trilinear_upsample3d with respect to x's features. Errors: as the forward; "grad_out".
LAT_API LAT_CHECKED lat_status lat_trilinear_upsample3d_backward(lat_context *context, const lat_tensor *x,
                                                                 const lat_tensor *target, lat_triple stride,
                                                                 const lat_array_view *grad_out, lat_array **out);

/// Reduces the rows of each batch item to one: a dense `(B, C)` array in the feature dtype. Rows go by the batch column
/// and need not be contiguous. B is the declared batch counts' length; else `batch_size` when >= 0; else the batch size
/// the tensor carries; else 1 + the largest batch index (0 for no rows). Rows with a batch index outside 0 .. B - 1 do
/// not take part. `batch_size` -1 means "not given".
/// Empty items: sum and avg give zeros. Accumulates in float32, by blocks of 256 rows of the item (the bits of an item do
/// not depend on the other items), and rounds once.
/// Errors: INVALID_ARGUMENT (NULL; mode; "batch_size must be non-negative" below -1; "batch_size must match batch_counts
/// length"; "global_max_pool does not support empty batches", also for B = 0), OVERFLOW, OUT_OF_MEMORY.
LAT_API LAT_CHECKED lat_status lat_global_pool(lat_context *context, const lat_tensor *x, lat_pool_mode mode,
                                               int64_t batch_size, lat_array **out);

/// Gradient of lat_global_pool, `(N, C)` in x's dtype, from the gradient of its result, of any float dtype. Sum: the item's
/// gradient; avg: that divided by the item's rows; max: an equal part for each of the tied maxima (NaN ties with NaN). Rows
/// of no item get 0. Computed in double, rounded once.
/// Errors: as lat_global_pool; INVALID_SHAPE, INVALID_DTYPE ("grad_out").
LAT_API LAT_CHECKED lat_status lat_global_pool_backward(lat_context *context, const lat_tensor *x, lat_pool_mode mode,
                                                        int64_t batch_size, const lat_array_view *grad_out,
                                                        lat_array **out);

#ifdef __cplusplus
}
#endif
#endif
