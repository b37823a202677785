/// \file quant.h
/// Packed int4 and int8 weights with affine groups along the input channels.
///
/// A group of `group_size` input channels of one output channel shares a scale and a bias; an unsigned code stands for
/// `code * scale + bias`. Codes are packed little-endian into uint32 words: input channel c sits in word
/// `c * bits / 32` at bit `(c * bits) % 32`. With P words and G groups per output channel the storage is
///
///     kernel volume 1:  words (1, C_out, P)   scales and biases (1, C_out, G)
///     otherwise:        words (K, P, C_out)   scales and biases (K, G, C_out)
#ifndef LATTICE_QUANT_H
#define LATTICE_QUANT_H

#include <lattice/array.h>

#ifdef __cplusplus
extern "C" {
#endif

/// Opaque, reference-counted, immutable packed weight.
typedef struct lat_quantized_weight lat_quantized_weight;

/// Logical layout of the weight that was packed (dequantizing restores it).
typedef enum lat_weight_layout {
  LAT_WEIGHT_LAYOUT_LINEAR = 0,       ///< (C_out, C_in)
  LAT_WEIGHT_LAYOUT_KERNEL_MAJOR = 1, ///< (K, C_in, C_out)
  LAT_WEIGHT_LAYOUT_DENSE_5D = 2      ///< (C_out, Kx, Ky, Kz, C_in)
} lat_weight_layout;

/// Options of lat_quantize_weight. NULL or zero fields mean the defaults.
typedef struct lat_quantize_opts {
  size_t struct_bytes; ///< sizeof(lat_quantize_opts)
  int32_t bits;        ///< 4 or 8; 0: 4
  int32_t group_size;  ///< 32, 64 or 128; 0: 64 when C_in >= 64, else 32
} lat_quantize_opts;

#define LAT_QUANTIZE_OPTS_INIT                                                                                         \
  { sizeof(lat_quantize_opts), 0, 0 }

/// Facts of a packed weight. The views borrow from it.
typedef struct lat_quantized_info {
  int32_t bits;
  int32_t group_size;
  int64_t in_channels;         ///< logical C_in
  int64_t storage_in_channels; ///< C_in rounded up to a multiple of group_size (stored parts may hold more groups)
  int64_t out_channels;
  lat_triple kernel_size; ///< (1, 1, 1) linear, (K, 1, 1) kernel-major, (Kx, Ky, Kz) dense 5-D
  lat_weight_layout layout;
  size_t bytes;          ///< words, scales and biases together
  lat_array_view words;  ///< uint32, shape above
  lat_array_view scales; ///< dtype of the weight that was packed
  lat_array_view biases; ///< same shape and dtype as scales
} lat_quantized_info;

/// Packs a float32 or float16 weight: rank 2 `(C_out, C_in)`, rank 3 `(K, C_in, C_out)` or rank 5
/// `(C_out, Kx, Ky, Kz, C_in)`. Input channels are padded with zeros to a multiple of the group size (the padding takes
/// part in the last group's range). Scales and biases are stored in the weight's dtype.
/// Errors: INVALID_ARGUMENT (NULL; bits; "group_size must be 32, 64, or 128"; NaN or Inf in the weight),
/// INVALID_SHAPE (rank, an empty axis), INVALID_DTYPE ("weight quantization supports float16 and float32"), OVERFLOW (a
/// group whose range leaves the weight's dtype, so that its values would not come back finite), OUT_OF_MEMORY.
///
/// For a group with ends `low` and `high` and n = 2^bits - 1, in float32, where rint rounds half to even:
///
///     scale = max((high - low) / n, 1e-7), negated unless |low| > |high|;  edge = low if |low| > |high|, else high
///     q0 = rint(edge / scale);  if q0 != 0: scale = edge / q0, bias = edge; else bias = 0
///     code = clamp(rint((value - bias) / scale), 0, n)      with scale and bias before they are rounded for storage
///
/// Source: the "affine" mode of MLX's quantize.
LAT_API LAT_CHECKED lat_status lat_quantize_weight(lat_context *context, const lat_array_view *weight,
                                                   const lat_quantize_opts *opts, lat_quantized_weight **out);

/// Unpacks into the logical layout and the scales' dtype: `code * scale + bias` evaluated in that dtype (float16: the
/// product rounded, then the sum rounded).
/// Errors: INVALID_ARGUMENT (NULL), OUT_OF_MEMORY.
LAT_API LAT_CHECKED lat_status lat_dequantize_weight(lat_context *context, const lat_quantized_weight *weight,
                                                     lat_array **out);

/// Makes a packed weight from its stored parts. Copies. `info` gives bits, group_size, in_channels, out_channels,
/// kernel_size, layout and the three views; its other fields are ignored.
/// Errors: INVALID_ARGUMENT, INVALID_SHAPE, INVALID_DTYPE for every rule of the storage above, OUT_OF_MEMORY.
LAT_API LAT_CHECKED lat_status lat_quantized_weight_create(lat_context *context, const lat_quantized_info *info,
                                                           lat_quantized_weight **out);

/// Facts and storage. Borrowed: valid while a reference is held.
LAT_API lat_quantized_info lat_quantized_weight_info(const lat_quantized_weight *weight);

/// Adds a reference and returns `weight` (NULL is passed through).
LAT_API lat_quantized_weight *lat_quantized_weight_retain(const lat_quantized_weight *weight);

/// Drops a reference; NULL is accepted.
LAT_API void lat_quantized_weight_release(lat_quantized_weight *weight);

/// A weight as an operator takes it: a dense view or a packed weight. Borrowed until the call returns.
typedef struct lat_weight {
  lat_array_view dense;               ///< used when `packed` is NULL
  const lat_quantized_weight *packed; ///< or NULL
} lat_weight;

/// A dense weight.
static inline lat_weight lat_weight_dense(lat_array_view view) {
  lat_weight weight = {view, NULL};
  return weight;
}

/// A packed weight.
static inline lat_weight lat_weight_packed(const lat_quantized_weight *packed) {
  lat_weight weight = {{NULL, LAT_DTYPE_F32, LAT_DEVICE_CPU, 0, {0}, {0}}, packed};
  return weight;
}

#ifdef __cplusplus
}
#endif
#endif
