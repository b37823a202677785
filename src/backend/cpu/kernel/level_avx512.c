// AVX-512 kernels (F, BW, DQ, VL). Without the flags, as on other machines, an empty table.

#if defined(__AVX512F__) && defined(__AVX512BW__) && defined(__AVX512DQ__) && defined(__AVX512VL__)
#define LEVEL avx512
#include "backend/cpu/kernel/simd_avx512.h"

#include "backend/cpu/kernel/kernel_families.h"
#else
#include "backend/cpu/kernel/cpu_kernels.h"

extern const lat__cpu_kernels lat__kernels_avx512;
const lat__cpu_kernels lat__kernels_avx512 = {0};
#endif
