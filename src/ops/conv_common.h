/// What lat_conv3d, lat_subm_conv3d and lat_linear share: checking and opening weights and biases, and running.
#ifndef LATTICE_OPS_CONV_COMMON_H
#define LATTICE_OPS_CONV_COMMON_H

#include <lattice/conv.h>

#include "backend/desc.h"
#include "relation/relation_internal.h"

/// Checked operands of one call. Zero-initialise; lat__conv_close frees what they hold, also after a failure.
typedef struct lat__conv_operands {
  const char *op;
  const lat_tensor *x;
  int32_t groups;      ///< set before lat__conv_open; 0: 1
  lat_array *dense;    ///< retained, contiguous; NULL for a packed weight
  lat_array *bias;     ///< retained, float32; NULL for none
  lat__conv_desc desc; ///< all but pairs, n_out and y
} lat__conv_operands;

/// Takes options: `*o` with what the caller gave, `*geometry` with `defaults` (NULL: lat_conv3d_opts' own) applied, `*eps`
/// positive for a normalized convolution (NULL for the others, which refuse one), `o->groups` 1 or more.
LAT_CHECKED lat_status lat__conv_options(const char *op, const lat_conv3d_opts *opts, const lat_kernel_opts *defaults,
                                         lat_conv3d_opts *o, lat__geometry *geometry, float *eps);

/// Refuses a packed weight of a normalized convolution.
LAT_CHECKED lat_status lat__conv_check_not_packed(const char *op, const lat_weight *weight);

/// Checks weight and bias of a convolution against `x` and the geometry, and opens them.
LAT_CHECKED lat_status lat__conv_open(lat_context *context, const char *op, const lat_tensor *x,
                                      const lat_weight *weight, const lat_array_view *bias,
                                      const lat__geometry *geometry, lat__conv_operands *operands);

/// Logical sizes of a weight.
typedef struct lat__conv_weight_sizes {
  lat__weight_form form;
  int64_t c_in, c_out, n_kernels; ///< c_in of a group
} lat__conv_weight_sizes;

/// Sizes of a dense weight in one of the three layouts; (C_out, C_in) only for a pointwise geometry.
LAT_CHECKED lat_status lat__conv_weight_sizes_of(const char *op, const lat_array_view *view, bool pointwise,
                                                 lat__conv_weight_sizes *sizes);

/// Refuses groups that do not divide `channels`, which `what` names.
LAT_CHECKED lat_status lat__conv_check_groups(const char *op, const char *what, int64_t channels, int64_t groups);

/// Opens a dense weight whose shape was checked: `form` says how it lies.
LAT_CHECKED lat_status lat__conv_open_dense(lat_context *context, const lat_array_view *view, lat__weight_form form,
                                            lat__conv_operands *operands);

/// Checks and opens a bias (NULL: none), rounded to `round_to`. The operands' weight is open.
LAT_CHECKED lat_status lat__conv_open_bias(lat_context *context, const lat_array_view *bias, lat_dtype round_to,
                                           lat__conv_operands *operands);

/// Frees what the operands hold.
void lat__conv_close(lat__conv_operands *operands);

/// Checks that `given` coordinates have the stride that the output must have.
LAT_CHECKED lat_status lat__conv_check_target_stride(const char *op, const lat_coords *given, lat_triple expected);

/// Runs over `pairs` (NULL: row i meets row i) and makes the result on `out_coords`, with the batch metadata of x.
LAT_CHECKED lat_status lat__conv_run(lat_context *context, lat__conv_operands *operands, const lat__pairs *pairs,
                                     const lat_coords *out_coords, lat_tensor **out);

/// Checks the arguments that every backward function has, the flags (0 becomes all three) and that a packed weight is not
/// asked for. Clears `*out`.
LAT_CHECKED lat_status lat__conv_grads_check(const char *op, const lat_context *context, const lat_tensor *x,
                                             const lat_weight *weight, int32_t *flags, lat_conv_grads *out);

/// The same for the convolutions, with their options copied into `o`.
LAT_CHECKED lat_status lat__conv_backward_open(const lat_context *context, const char *op, const lat_tensor *x,
                                               const lat_weight *weight, const lat_conv3d_backward_opts *opts,
                                               lat_conv3d_backward_opts *o, lat_conv_grads *out);

/// What a backward call asks for.
typedef struct lat__conv_backward_call {
  const lat_weight *weight;       ///< as the caller gave it
  const lat_relation *relation;   ///< of the forward call; NULL: row i meets row i
  bool inverse;                   ///< the forward call went from the relation's outputs to its inputs
  int64_t n_out;                  ///< rows of the forward call's result
  const lat_array_view *grad_out; ///< not checked yet
  int32_t grads;                  ///< lat_grad_flags, at least one
} lat__conv_backward_call;

/// What the backward functions share: gradients of the open `operands` (without bias).
LAT_CHECKED lat_status lat__conv_backward(lat_context *context, const lat__conv_operands *operands,
                                          const lat__conv_backward_call *call, lat_conv_grads *out);

/// Checks the tangents of a forward-mode product: one or more, each like what it is a tangent of. The one of the bias is
/// what the operands were opened with.
LAT_CHECKED lat_status lat__conv_tangents_check(const char *op, const lat_tensor *x, const lat_weight *weight,
                                                const lat_conv_tangents *tangents);

/// What a forward-mode product runs on: open operands, with the tangent of the bias as their bias, and checked tangents.
typedef struct lat__conv_jvp_call {
  const lat_weight *weight;
  const lat_conv_tangents *tangents;
  const lat__pairs *pairs; ///< of the forward call; NULL: row i meets row i
  const lat_coords *out_coords;
} lat__conv_jvp_call;

/// Runs a forward-mode product.
LAT_CHECKED lat_status lat__conv_jvp(lat_context *context, const lat__conv_operands *operands,
                                     const lat__conv_jvp_call *call, lat_tensor **out);

/// The convolutions' rule for grad_out: the feature dtype.
LAT_CHECKED lat_status lat__conv_grad_dtype_check(const char *op, const lat_array_view *grad_out, lat_dtype dtype);

#endif
