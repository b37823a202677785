/// \file tensor.h
/// Sparse tensors: a coordinate set and one feature row for each of its rows.
#ifndef LATTICE_TENSOR_H
#define LATTICE_TENSOR_H

#include <lattice/coords.h>

#ifdef __cplusplus
extern "C" {
#endif

/// Opaque, reference-counted, immutable sparse tensor.
typedef struct lat_tensor lat_tensor;

/// Batch metadata of a tensor. NULL or zero fields: nothing is declared, and the batch column decides.
typedef struct lat_tensor_opts {
  size_t struct_bytes;         ///< sizeof(lat_tensor_opts)
  const int64_t *batch_counts; ///< rows of each batch item 0 .. n_batches - 1, or NULL. Borrows until return
  int64_t n_batches;           ///< entries of batch_counts; without batch_counts: the number of items, empty ones
                               ///< included, or 0 for "not declared"
} lat_tensor_opts;

#define LAT_TENSOR_OPTS_INIT                                                                                           \
  { sizeof(lat_tensor_opts), NULL, 0 }

/// Makes a tensor from a set (retained) and an `(N, C)` float32, float16 or bfloat16 view (any strides). Copies the
/// features.
/// Errors: INVALID_ARGUMENT (NULL; "batch_counts must be non-negative"; "batch_counts must cover all sparse rows";
/// "batch_counts must equal the batch column": names the batch item; a negative n_batches; a batch index outside
/// 0 .. n_batches - 1 when n_batches is declared), INVALID_SHAPE ("feats must have shape (N, C)"; "coords and feats must
/// have the same row count"), INVALID_DTYPE, OUT_OF_MEMORY.
LAT_API LAT_CHECKED lat_status lat_tensor_create(lat_context *context, const lat_coords *coords,
                                                 const lat_array_view *feats, const lat_tensor_opts *opts,
                                                 lat_tensor **out);

/// As lat_tensor_create, sharing the caller's array (retained) instead of copying it. Errors: as there.
LAT_API LAT_CHECKED lat_status lat_tensor_share(lat_context *context, const lat_coords *coords, const lat_array *feats,
                                                const lat_tensor_opts *opts, lat_tensor **out);

/// Same set and batch metadata, other features (retained): `feats` must be `(N, any C)` float32, float16 or bfloat16.
/// Errors: as lat_tensor_create.
LAT_API LAT_CHECKED lat_status lat_tensor_with_feats(lat_context *context, const lat_tensor *tensor,
                                                     const lat_array *feats, lat_tensor **out);

LAT_API int64_t lat_tensor_count(const lat_tensor *tensor);     ///< rows
LAT_API int64_t lat_tensor_channels(const lat_tensor *tensor);  ///< feature channels
LAT_API lat_dtype lat_tensor_dtype(const lat_tensor *tensor);   ///< feature dtype
LAT_API lat_triple lat_tensor_stride(const lat_tensor *tensor); ///< lattice scale of the set

/// The coordinate set. Borrowed: valid while a reference to `tensor` is held.
LAT_API const lat_coords *lat_tensor_coords(const lat_tensor *tensor);

/// The `(N, C)` features. Borrowed likewise.
LAT_API lat_array_view lat_tensor_feats(const lat_tensor *tensor);

/// The feature array itself, for sharing. Borrowed likewise.
LAT_API const lat_array *lat_tensor_feats_array(const lat_tensor *tensor);

/// Declared number of batch items, or -1 when none was declared.
LAT_API int64_t lat_tensor_batch_size(const lat_tensor *tensor);

/// Declared rows per batch item (`lat_tensor_batch_size` entries), or NULL. Borrowed likewise.
LAT_API const int64_t *lat_tensor_batch_counts(const lat_tensor *tensor);

/// Non-zero when both tensors hold the same coordinate set (identity, never values).
LAT_API int lat_tensor_same_coords(const lat_tensor *a, const lat_tensor *b);

/// Adds a reference and returns `tensor` (NULL is passed through).
LAT_API lat_tensor *lat_tensor_retain(const lat_tensor *tensor);

/// Drops a reference; NULL is accepted.
LAT_API void lat_tensor_release(lat_tensor *tensor);

/// Which gradients a backward function computes; values may be combined.
typedef enum lat_grad_flags {
  LAT_GRAD_ALL = 0,    ///< everything that can be had
  LAT_GRAD_X = 1,      ///< of the features
  LAT_GRAD_WEIGHT = 2, ///< of the weight or scale
  LAT_GRAD_BIAS = 4    ///< of the bias or shift
} lat_grad_flags;

/// Gradients of an operation with a weight: owned arrays (release each), NULL for what was not asked for. On failure all
/// are NULL.
typedef struct lat_conv_grads {
  lat_array *x;      ///< shape and dtype of the features
  lat_array *weight; ///< shape (its layout) and dtype of the weight
  lat_array *bias;   ///< `(C_out,)`
} lat_conv_grads;

#ifdef __cplusplus
}
#endif
#endif
