// AVX2 kernels (with FMA and F16C). Without the flags, as on other machines, an empty table.

#if defined(__AVX2__) && defined(__FMA__) && defined(__F16C__)
#define LEVEL avx2
#include "backend/cpu/kernel/simd_avx2.h"

#include "backend/cpu/kernel/kernel_families.h"
#else
#include "backend/cpu/kernel/cpu_kernels.h"

extern const lat__cpu_kernels lat__kernels_avx2;
const lat__cpu_kernels lat__kernels_avx2 = {0};
#endif
