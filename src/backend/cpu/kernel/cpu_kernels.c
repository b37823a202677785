// Which kernel tables this build has and this machine can run.

#include "backend/cpu/kernel/cpu_kernels.h"

extern const lat__cpu_kernels lat__kernels_scalar;
extern const lat__cpu_kernels lat__kernels_neon;
extern const lat__cpu_kernels lat__kernels_avx2;
extern const lat__cpu_kernels lat__kernels_avx512;

static bool machine_has(lat_cpu_level level) {
#if defined(__x86_64__)
  // The flags that cmake/lattice_flags.cmake gives to the level files; every CPU with AVX2 and FMA has F16C.
  __builtin_cpu_init();
  bool avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && __builtin_cpu_supports("bmi2") &&
              __builtin_cpu_supports("popcnt");
  if (level == LAT_CPU_LEVEL_AVX2) return avx2;
  if (level == LAT_CPU_LEVEL_AVX512) {
    return avx2 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
           __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl");
  }
#elif defined(__aarch64__)
  if (level == LAT_CPU_LEVEL_NEON) return true; // part of the base architecture, the compiler uses it anywhere
#endif
  return level == LAT_CPU_LEVEL_SCALAR;
}

const lat__cpu_kernels *lat__cpu_kernels_of(lat_cpu_level level) {
  const lat__cpu_kernels *table = NULL;
  if (!machine_has(level)) return NULL;
  if (level == LAT_CPU_LEVEL_SCALAR) table = &lat__kernels_scalar;
  if (level == LAT_CPU_LEVEL_NEON) table = &lat__kernels_neon;
  if (level == LAT_CPU_LEVEL_AVX2) table = &lat__kernels_avx2;
  if (level == LAT_CPU_LEVEL_AVX512) table = &lat__kernels_avx512;
  return table && table->level ? table : NULL;
}
