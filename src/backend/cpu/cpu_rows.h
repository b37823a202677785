/// Feature elements in and out of float32, the type that every CPU operator computes in.
#ifndef LATTICE_BACKEND_CPU_CPU_ROWS_H
#define LATTICE_BACKEND_CPU_CPU_ROWS_H

#include "backend/cpu/kernel/cpu_kernels.h"
#include "core/context_internal.h"

/// The kernel table of the context's level.
static inline const lat__cpu_kernels *lat__cpu_kernels_for(const lat_context *context) {
  return lat__cpu_kernels_of(context->cpu_level);
}

/// Elements [first, first + n) of a float32 or float16 array as float32: in place, or widened into `scratch` (n floats).
static inline const float *lat__cpu_widen(const lat__cpu_kernels *kernels, lat_dtype dtype, const void *x,
                                          int64_t first, int64_t n, float *scratch) {
  if (dtype == LAT_DTYPE_F32) return (const float *)x + first;
  kernels->widen_rows_f16((const uint16_t *)x + first, NULL, 1, n, scratch);
  return scratch;
}

/// Where the float32 results of elements [first, ...) go: the array itself, or `scratch` until lat__cpu_narrow.
static inline float *lat__cpu_target(lat_dtype dtype, void *y, int64_t first, float *scratch) {
  return dtype == LAT_DTYPE_F32 ? (float *)y + first : scratch;
}

/// Rounds what lat__cpu_target gave into a float16 array; nothing is left to do for float32.
static inline void lat__cpu_narrow(const lat__cpu_kernels *kernels, lat_dtype dtype, const float *values, int64_t n,
                                   void *y, int64_t first) {
  if (dtype == LAT_DTYPE_F32) return;
  kernels->finish_rows_f16(values, n, NULL, 1, n, (uint16_t *)y + first);
}

#endif
