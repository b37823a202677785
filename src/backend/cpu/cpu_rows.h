/// Feature elements in and out of float32, the type that every CPU operator computes in.
#ifndef LATTICE_BACKEND_CPU_CPU_ROWS_H
#define LATTICE_BACKEND_CPU_CPU_ROWS_H

#include <string.h>

#include "backend/cpu/kernel/cpu_kernels.h"
#include "core/context_internal.h"

/// Least sum of weights that a weighted average divides by.
#define LAT__MIN_WEIGHT 1e-12f

/// The kernel table of the context's level.
static inline const lat__cpu_kernels *lat__cpu_kernels_for(const lat_context *context) {
  return lat__cpu_kernels_of(context->cpu_level);
}

/// rows[p] = x[in_rows[p]] (x[p] when in_rows is NULL) widened from a 16-bit dtype; `rows` is (n_rows, channels).
static inline void lat__cpu_widen_rows(const lat__cpu_kernels *kernels, lat_dtype dtype, const uint16_t *x,
                                       const int32_t *in_rows, int64_t n_rows, int64_t channels, float *rows) {
  if (dtype == LAT_DTYPE_F16) {
    kernels->widen_rows_f16(x, in_rows, n_rows, channels, rows);
  } else {
    kernels->widen_rows_bf16(x, in_rows, n_rows, channels, rows);
  }
}

/// Finished sums (bias may be NULL) rounded to a 16-bit dtype; `y` is (n_rows, channels).
static inline void lat__cpu_finish_rows(const lat__cpu_kernels *kernels, lat_dtype dtype, const float *sums,
                                        int64_t sums_stride, const float *bias, int64_t n_rows, int64_t channels,
                                        uint16_t *y) {
  if (dtype == LAT_DTYPE_F16) {
    kernels->finish_rows_f16(sums, sums_stride, bias, n_rows, channels, y);
  } else {
    kernels->finish_rows_bf16(sums, sums_stride, bias, n_rows, channels, y);
  }
}

/// Copies one row; rows are short and mostly whole cache lines.
static inline void lat__cpu_copy_row(const void *source, size_t bytes, void *target) {
  const char *from = source;
  char *to = target;
  for (; bytes >= 64; bytes -= 64, from += 64, to += 64) memcpy(to, from, 64);
  if (bytes) memcpy(to, from, bytes);
}

/// Writes `n` rows, `step` bytes apart, to where the rows at places [first, first + n) of `pairs` lie.
static inline void lat__cpu_scatter_rows(const lat__pairs *pairs, int64_t first, int64_t n, const void *rows,
                                         size_t step, size_t row_bytes, void *y) {
  const int64_t ahead = 8; // rows that lie anywhere are fetched before they are written
  for (int64_t r = 0; r < n; r++) {
    if (r + ahead < n) {
      const char *next = (const char *)y + (size_t)lat__pairs_out_row(pairs, first + r + ahead) * row_bytes;
      for (size_t at = 0; at < row_bytes; at += 64) __builtin_prefetch(next + at, 1);
    }
    lat__cpu_copy_row((const char *)rows + (size_t)r * step, row_bytes,
                      (char *)y + (size_t)lat__pairs_out_row(pairs, first + r) * row_bytes);
  }
}

/// Elements [first, first + n) of a feature array as float32: in place, or widened into `scratch` (n floats).
static inline const float *lat__cpu_widen(const lat__cpu_kernels *kernels, lat_dtype dtype, const void *x,
                                          int64_t first, int64_t n, float *scratch) {
  if (dtype == LAT_DTYPE_F32) return (const float *)x + first;
  lat__cpu_widen_rows(kernels, dtype, (const uint16_t *)x + first, NULL, 1, n, scratch);
  return scratch;
}

/// Where the float32 results of elements [first, ...) go: the array itself, or `scratch` until lat__cpu_narrow.
static inline float *lat__cpu_target(lat_dtype dtype, void *y, int64_t first, float *scratch) {
  return dtype == LAT_DTYPE_F32 ? (float *)y + first : scratch;
}

/// Rounds what lat__cpu_target gave into a 16-bit array; nothing is left to do for float32.
static inline void lat__cpu_narrow(const lat__cpu_kernels *kernels, lat_dtype dtype, const float *values, int64_t n,
                                   void *y, int64_t first) {
  if (dtype == LAT_DTYPE_F32) return;
  lat__cpu_finish_rows(kernels, dtype, values, n, NULL, 1, n, (uint16_t *)y + first);
}

#endif
