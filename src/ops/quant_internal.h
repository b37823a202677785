/// Packed weights as the library sees them.
#ifndef LATTICE_OPS_QUANT_INTERNAL_H
#define LATTICE_OPS_QUANT_INTERNAL_H

#include <stdatomic.h>

#include <lattice/quant.h>

#include "backend/desc.h"

struct lat_quantized_weight {
  atomic_int refcount;
  lat_context *context; ///< retained
  int32_t bits;
  int32_t group_size;
  int64_t in_channels;
  int64_t storage_in; ///< multiple of group_size, >= in_channels
  int64_t out_channels;
  int64_t n_kernels; ///< fits int32
  lat_triple kernel_size;
  lat_weight_layout layout;
  lat_array *words;  ///< retained, uint32 (1, C_out, P) or (K, P, C_out)
  lat_array *scales; ///< retained, (1, C_out, G) or (K, G, C_out)
  lat_array *biases; ///< retained, as scales
};

/// Where word or group `index` of (kernel element, output channel) lies in storage that has `per_channel` of them for
/// each output channel: channel-major for a kernel volume of 1, so that one dot product reads its words in a row;
/// otherwise output channels lie side by side, so that a row of products does.
static inline int64_t lat__quantized_offset(int64_t n_kernels, int64_t out_channels, int64_t per_channel,
                                            int64_t kernel, int64_t channel, int64_t index) {
  if (n_kernels == 1) return channel * per_channel + index;
  return (kernel * per_channel + index) * out_channels + channel;
}

/// New object with the numbers and arrays (retained) of `facts`; its count and context are ignored.
LAT_CHECKED lat_status lat__quantized_weight_new(lat_context *context, const char *op,
                                                 const lat_quantized_weight *facts, lat_quantized_weight **out);

/// The weight as a backend takes it. Borrows.
lat__weight_desc lat__quantized_weight_desc(const lat_quantized_weight *weight);

#endif
