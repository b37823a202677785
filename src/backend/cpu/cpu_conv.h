/// Convolution on the CPU: what its two source files share.
#ifndef LATTICE_BACKEND_CPU_CPU_CONV_H
#define LATTICE_BACKEND_CPU_CPU_CONV_H

#include "backend/cpu/cpu_backend.h"
#include "backend/cpu/kernel/cpu_kernels.h"

/// How weights and sums lie: each group has its own columns, rounded up to whole vectors.
typedef struct lat__cpu_conv_shape {
  int64_t groups;
  int64_t depth;         ///< input channels of a group
  int64_t width;         ///< output channels of a group
  int64_t group_columns; ///< width rounded up to vectors
  int64_t columns;       ///< of all groups
  int64_t kernel_floats; ///< of one kernel element's weights: depth * columns
} lat__cpu_conv_shape;

LAT_CHECKED lat_status lat__cpu_conv_shape_of(const lat__conv_desc *desc, const lat__cpu_kernels *kernels,
                                              lat__cpu_conv_shape *out);

/// The weight of `desc` as gather_gemm_f32 reads it: for every kernel element and group its panels (see
/// lat__gather_gemm_args), float32, columns past a group's output channels zero. `*out` comes from lat__alloc and belongs to the caller.
LAT_CHECKED lat_status lat__cpu_conv_pack(lat_context *context, const lat__conv_desc *desc,
                                          const lat__cpu_kernels *kernels, float **out);

/// A convolution whose `norm_eps` is above 0.
LAT_CHECKED lat_status lat__cpu_conv_normalized(lat_context *context, const lat__conv_desc *desc,
                                                const lat__cpu_kernels *kernels);

#endif
