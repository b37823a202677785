/// \file plan.h
/// Plans: a convolution or linear layer prepared once and run many times, with what follows it in the same pass.
///
/// A one-shot call (conv.h, feature.h, …) checks its options, looks its relation up, packs its weight and allocates its
/// result on every call. A plan does the first three once: it holds the checked options, the relation and the output set,
/// the weight as the kernels read it (dense, or unpacked from int4 / int8 codes), bias and norm parameters. Running it
/// writes into the caller's buffer and allocates nothing.
///
/// The epilogue follows the convolution while its rows are in the cache, in this order:
///
///     y = conv(x) + bias                       the one-shot call
///     y = (y - mean) / sqrt(var + eps) * w + b  lat_batch_norm in evaluation mode, if `norm` is given
///     y = y + residual                         LAT_RESIDUAL_BEFORE_ACTIVATION
///     y = activation(y)                        if `activates`
///     y = y + residual                         LAT_RESIDUAL_AFTER_ACTIVATION
///
/// Each line computes in float32 and rounds to the dtype of the result, so a plan gives the bits of the calls one after
/// the other: the convolution, lat_batch_norm (and lat_cast back, where float32 parameters widen 16-bit features),
/// lat_sparse_add and lat_activation.
///
/// With `quantizes_features` the products are integers: row i of x becomes 8-bit codes `q = rint(x * (127 / m))`, ties to
/// even, with `m = max |x[i]|`, which stand for multiples of `s = m / 127` (all in float32; a row with m below 2^-100 counts
/// as zeros). A packed weight keeps its codes, and an edge adds, for every group of input channels, `s * (scale * sum(q *
/// code) + bias * sum(q))`. A dense weight becomes codes in the same way when the plan is made, with one scale w for all
/// weights of an output channel; an edge adds `s * sum(q * code)`, and the sum over all edges is multiplied by w. Sums of
/// codes are exact, the rest are float32 fused multiply-adds, groups ascending. The same bits at every level and thread
/// count, but not those of the one-shot call: each x is off by up to `s / 2`, each weight of a dense one by up to `w / 2`. A
/// row with a NaN or an infinity makes NaN of every output that it meets, and so does an output channel's weight.
///
/// A plan is immutable. Several threads may run one plan at once, each with its own context, buffers and workspace. It
/// keeps the CPU level of the context that made it; the bits do not depend on that.
#ifndef LATTICE_PLAN_H
#define LATTICE_PLAN_H

#include <lattice/activation.h>
#include <lattice/conv.h>
#include <lattice/norm.h>
#include <lattice/tensor.h>

#ifdef __cplusplus
extern "C" {
#endif

/// Opaque, reference-counted, immutable plan.
typedef struct lat_plan lat_plan;

/// Opaque, reference-counted, immutable: the weight of a layer as the kernels of a CPU level read it. Plans of one layer on
/// many coordinate sets share them: what depends on the set is looked up again, the weight is neither packed nor copied.
typedef struct lat_weight_panels lat_weight_panels;

/// What a plan takes: features `(rows of coords, channels)`.
typedef struct lat_plan_input {
  size_t struct_bytes;      ///< sizeof(lat_plan_input)
  const lat_coords *coords; ///< retained by the plan
  int64_t channels;         ///< of the features, all groups together
  lat_dtype dtype;          ///< float32, float16 or bfloat16
} lat_plan_input;

/// Whether and where a residual is added.
typedef enum lat_residual {
  LAT_RESIDUAL_NONE = 0,
  LAT_RESIDUAL_BEFORE_ACTIVATION = 1, ///< after bias and norm
  LAT_RESIDUAL_AFTER_ACTIVATION = 2   ///< the last step
} lat_residual;

/// What follows the sums. NULL or zero fields: that step is not there. Everything is borrowed until the creator returns.
typedef struct lat_plan_opts {
  size_t struct_bytes;                        ///< sizeof(lat_plan_opts)
  const lat_array_view *bias;                 ///< as the one-shot call's
  const lat_norm_opts *norm;                  ///< batch norm over C_out channels; `mean` and `var` are required
  lat_residual residual;                      ///< which residual runs take
  int32_t activates;                          ///< non-zero: the two fields below count
  lat_activation_kind activation;             ///< which function
  const lat_activation_opts *activation_opts; ///< its parameters; NULL: defaults
  int32_t quantizes_features;                 ///< non-zero: rows of x become 8-bit codes, see above
  const lat_weight_panels *panels; ///< of this very weight: retained in place of packing it, where they are what
                                   ///< the plan would make; else it makes its own. The weight is given all the
                                   ///< same. NULL: it makes its own
} lat_plan_opts;

#define LAT_PLAN_OPTS_INIT                                                                                             \
  { sizeof(lat_plan_opts), NULL, NULL, LAT_RESIDUAL_NONE, 0, LAT_ACTIVATION_RELU, NULL, 0, NULL }

/// Plan of lat_conv3d: onto the forward relation's set, or onto `opts->coordinates`. NULL `opts` and `plan_opts` mean the
/// defaults. Copies what it needs of the weight.
/// Errors: as lat_conv3d; INVALID_ARGUMENT (NULL; "residual" outside the enum; "norm needs mean and var"; "quantized features need
/// a weight of one group"; "too many channels for quantized features", above 2^17; "kind", alpha,
/// beta, threshold as lat_activation; "eps must be positive"), INVALID_SHAPE ("<name> must have shape (C,)" for norm
/// parameters; "channels must be non-negative"), INVALID_DTYPE, OUT_OF_MEMORY.
LAT_API LAT_CHECKED lat_status lat_conv3d_plan_create(lat_context *context, const lat_plan_input *input,
                                                      const lat_weight *weight, const lat_conv3d_opts *opts,
                                                      const lat_plan_opts *plan_opts, lat_plan **out);

/// Plan of the one-shot call of that name (here and below). Errors: as that call and lat_conv3d_plan_create.
LAT_API LAT_CHECKED lat_status lat_subm_conv3d_plan_create(lat_context *context, const lat_plan_input *input,
                                                           const lat_weight *weight, const lat_conv3d_opts *opts,
                                                           const lat_plan_opts *plan_opts, lat_plan **out);
LAT_API LAT_CHECKED lat_status lat_conv_transpose3d_plan_create(lat_context *context, const lat_plan_input *input,
                                                                const lat_weight *weight, const lat_conv3d_opts *opts,
                                                                const lat_plan_opts *plan_opts, lat_plan **out);
LAT_API LAT_CHECKED lat_status lat_generative_conv_transpose3d_plan_create(
    lat_context *context, const lat_plan_input *input, const lat_weight *weight, const lat_conv3d_opts *opts,
    const lat_plan_opts *plan_opts, lat_plan **out);
LAT_API LAT_CHECKED lat_status lat_inverse_conv3d_plan_create(lat_context *context, const lat_plan_input *input,
                                                              const lat_weight *weight, const lat_conv3d_opts *opts,
                                                              const lat_plan_opts *plan_opts, lat_plan **out);
LAT_API LAT_CHECKED lat_status lat_normalized_subm_conv3d_plan_create(lat_context *context, const lat_plan_input *input,
                                                                      const lat_weight *weight,
                                                                      const lat_conv3d_opts *opts,
                                                                      const lat_plan_opts *plan_opts, lat_plan **out);
LAT_API LAT_CHECKED lat_status lat_normalized_conv_transpose3d_plan_create(
    lat_context *context, const lat_plan_input *input, const lat_weight *weight, const lat_conv3d_opts *opts,
    const lat_plan_opts *plan_opts, lat_plan **out);
LAT_API LAT_CHECKED lat_status lat_normalized_generative_conv_transpose3d_plan_create(
    lat_context *context, const lat_plan_input *input, const lat_weight *weight, const lat_conv3d_opts *opts,
    const lat_plan_opts *plan_opts, lat_plan **out);

/// Plan of lat_linear. A dense weight or bias of another float dtype promotes the result, whose dtype the epilogue's steps
/// round to. Errors: as lat_linear and lat_conv3d_plan_create.
LAT_API LAT_CHECKED lat_status lat_linear_plan_create(lat_context *context, const lat_plan_input *input,
                                                      const lat_weight *weight, const lat_plan_opts *plan_opts,
                                                      lat_plan **out);

/// Facts of a plan. Sets are borrowed from it.
typedef struct lat_plan_facts {
  const char *op;               ///< name of the one-shot call, e.g. "subm_conv3d". Static storage
  const lat_coords *in_coords;  ///< the set of the features
  const lat_coords *out_coords; ///< the set of the result; the same object when the call keeps the identity
  int64_t in_rows, in_channels;
  int64_t out_rows, out_channels;
  lat_dtype in_dtype, out_dtype;
  lat_triple out_stride; ///< tensor stride of the result
  lat_residual residual; ///< what runs take
  size_t out_bytes;      ///< of the result
  size_t weight_bytes;   ///< held for the weight
} lat_plan_facts;

/// The facts. Borrowed: valid while a reference is held.
LAT_API lat_plan_facts lat_plan_info(const lat_plan *plan);

/// Bytes of workspace that a run with this context (its number of threads counts) needs; may be 0.
/// Errors: INVALID_ARGUMENT (NULL), OVERFLOW.
LAT_API LAT_CHECKED lat_status lat_plan_workspace_bytes(lat_context *context, const lat_plan *plan, size_t *bytes);

/// Buffers of one run: all contiguous, none of them overlapping `y` or the workspace.
typedef struct lat_plan_buffers {
  size_t struct_bytes;            ///< sizeof(lat_plan_buffers)
  const lat_array_view *x;        ///< `(in_rows, in_channels)` of in_dtype
  const lat_array_view *residual; ///< `(out_rows, out_channels)` of out_dtype where the plan takes one, else NULL
  void *y;                        ///< result, written: `(out_rows, out_channels)` of out_dtype, aligned to its elements
  size_t y_bytes;                 ///< room there, out_bytes or more
  void *workspace;                ///< any alignment; NULL when none is needed
  size_t workspace_bytes;         ///< lat_plan_workspace_bytes or more
} lat_plan_buffers;

#define LAT_PLAN_BUFFERS_INIT                                                                                          \
  { sizeof(lat_plan_buffers), NULL, NULL, NULL, 0, NULL, 0 }

/// Runs a plan into the caller's buffer. Allocates nothing.
/// Errors: INVALID_ARGUMENT (NULL; a residual given or missing; "y is too small"; "workspace is too small"; "must not
/// overlap"), INVALID_SHAPE ("x must have shape"; "residual must have shape"; "must be contiguous"), INVALID_DTYPE.
/// Nothing is written then.
LAT_API LAT_CHECKED lat_status lat_plan_run(lat_context *context, const lat_plan *plan,
                                            const lat_plan_buffers *buffers);

/// Runs a plan on tensors, with a new tensor as the result (batch metadata as the one-shot call's) and workspace from the
/// context. `x` lies on the plan's input set (identity), `residual` (or NULL) on its output set.
/// Errors: as lat_plan_run; INVALID_ARGUMENT ("x must lie on the plan's input set"; "residual must lie on the plan's
/// output set"), OUT_OF_MEMORY.
LAT_API LAT_CHECKED lat_status lat_plan_apply(lat_context *context, const lat_plan *plan, const lat_tensor *x,
                                              const lat_tensor *residual, lat_tensor **out);

/// Bytes that are enough for any explanation.
#define LAT_PLAN_EXPLAIN_BYTES 256

/// One line about a plan: operation, algorithm, sizes, epilogue, e.g. "subm_conv3d: gather_gemm_f32_6x2v_avx2, 100 x 32 to
/// 100 x 64, 27 kernel elements, 512 pairs, bias + norm + relu". Written into `text` (cut if need be), always terminated.
/// Errors: INVALID_ARGUMENT (NULL).
LAT_API LAT_CHECKED lat_status lat_plan_explain(lat_context *context, const lat_plan *plan, char *text,
                                                size_t text_bytes);

/// Panels that the plan reads. Borrowed: valid while a reference to `plan` is held; retain them for other plans.
LAT_API const lat_weight_panels *lat_plan_panels(const lat_plan *plan);

/// Adds a reference and returns `plan` (NULL is passed through).
LAT_API lat_plan *lat_plan_retain(const lat_plan *plan);

/// Drops a reference; NULL is accepted.
LAT_API void lat_plan_release(lat_plan *plan);

// --- weights prepared before there are coordinates ---

/// The layer that a weight belongs to. NULL and zero fields mean the defaults.
typedef struct lat_weight_panels_opts {
  size_t struct_bytes;        ///< sizeof(lat_weight_panels_opts)
  lat_dtype dtype;            ///< of the features that the weight meets; 0: the weight's own (of its scales, if packed)
  int32_t groups;             ///< of the convolution; 0: 1
  int32_t normalized;         ///< non-zero: of a normalized convolution
  int32_t quantizes_features; ///< as in lat_plan_opts
} lat_weight_panels_opts;

#define LAT_WEIGHT_PANELS_OPTS_INIT                                                                                    \
  { sizeof(lat_weight_panels_opts), (lat_dtype)0, 0, 0, 0 }

/// Packs a weight for the context's CPU level: `(C_out, C_in)`, `(K, C_in, C_out)`, `(C_out, Kx, Ky, Kz, C_in)` or a
/// quantized one. Copies.
/// Errors: INVALID_ARGUMENT (NULL; "groups"; "normalized convolution does not support packed weights"; "quantized features
/// need a weight of one group"; "too many channels for quantized features"), INVALID_SHAPE (another rank; "groups must divide"), INVALID_DTYPE, OVERFLOW, OUT_OF_MEMORY.
LAT_API LAT_CHECKED lat_status lat_weight_panels_create(lat_context *context, const lat_weight *weight,
                                                        const lat_weight_panels_opts *opts, lat_weight_panels **out);

/// Bytes that the panels take; 0 for NULL.
LAT_API size_t lat_weight_panels_bytes(const lat_weight_panels *panels);

/// Adds a reference and returns `panels` (NULL is passed through).
LAT_API lat_weight_panels *lat_weight_panels_retain(const lat_weight_panels *panels);

/// Drops a reference; NULL is accepted.
LAT_API void lat_weight_panels_release(lat_weight_panels *panels);

#ifdef __cplusplus
}
#endif
#endif
