// Products for 64-bit Arm with dot products. Without the flags, as on other machines, an empty table.

#if defined(__aarch64__) && defined(__ARM_FEATURE_DOTPROD)
#define LEVEL neon_dot
#define INT8_LEVEL neon_dot
#include "backend/cpu/kernel/product_words.h"

#include "backend/cpu/kernel/product_families.h"
#else
#include "backend/cpu/kernel/cpu_products.h"

extern const lat__cpu_products lat__products_neon_dot;
const lat__cpu_products lat__products_neon_dot = {0};
#endif
