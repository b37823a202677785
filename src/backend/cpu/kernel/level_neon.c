// NEON kernels of 64-bit Arm. On other machines an empty table.

#if defined(__aarch64__) && defined(__ARM_NEON)
#define LEVEL neon
#include "backend/cpu/kernel/simd_neon.h"

#include "backend/cpu/kernel/kernel_families.h"
#else
#include "backend/cpu/kernel/cpu_kernels.h"

extern const lat__cpu_kernels lat__kernels_neon;
const lat__cpu_kernels lat__kernels_neon = {0};
#endif
