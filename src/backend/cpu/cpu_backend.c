// The CPU's table of operators and its choice of level.

#include "backend/cpu/cpu_backend.h"

static const lat__backend cpu_backend = {
    .name = "cpu",
    .index_create = lat__cpu_index_create,
    .index_destroy = lat__cpu_index_destroy,
    .index_lookup = lat__cpu_index_lookup,
    .unique_rows = lat__cpu_unique_rows,
};

const lat__backend *lat__backend_cpu(void) {
  return &cpu_backend;
}

static lat_cpu_level best_level(void) {
#if defined(__x86_64__)
  __builtin_cpu_init();
  bool avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
  bool avx512 = avx2 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
                __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl");
  if (avx512) return LAT_CPU_LEVEL_AVX512;
  if (avx2) return LAT_CPU_LEVEL_AVX2;
#endif
  return LAT_CPU_LEVEL_SCALAR;
}

lat_cpu_level lat__backend_cpu_level(lat_cpu_level cap) {
  lat_cpu_level best = best_level();
  return cap == LAT_CPU_LEVEL_AUTO || best <= cap ? best : cap;
}
