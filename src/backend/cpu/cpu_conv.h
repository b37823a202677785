/// Convolution on the CPU: what its two source files share.
#ifndef LATTICE_BACKEND_CPU_CPU_CONV_H
#define LATTICE_BACKEND_CPU_CPU_CONV_H

#include "backend/cpu/cpu_backend.h"
#include "backend/cpu/kernel/cpu_kernels.h"

/// Floats of one kernel element's weight panels: c_in * (c_out rounded up to whole vectors).
LAT_CHECKED lat_status lat__cpu_conv_panel_floats(const lat__conv_desc *desc, const lat__cpu_kernels *kernels,
                                                  int64_t *columns, int64_t *kernel_floats);

/// The weight of `desc` as gather_gemm_f32 reads it: for every kernel element its panels (see lat__gather_gemm_args),
/// float32, columns past c_out zero. `*out` comes from lat__alloc and belongs to the caller.
LAT_CHECKED lat_status lat__cpu_conv_pack(lat_context *context, const lat__conv_desc *desc,
                                          const lat__cpu_kernels *kernels, float **out);

/// A convolution whose `norm_eps` is above 0.
LAT_CHECKED lat_status lat__cpu_conv_normalized(lat_context *context, const lat__conv_desc *desc,
                                                const lat__cpu_kernels *kernels);

#endif
