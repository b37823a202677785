// Scalar kernels: plain C for every machine, the meaning of each slot.

#define LEVEL scalar
#include "backend/cpu/kernel/simd_scalar.h"

#include "backend/cpu/kernel/kernel_families.h"
