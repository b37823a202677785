// Products for AVX-512, VNNI and BF16. Without the flags, as on other machines, an empty table.

#if defined(__AVX512BW__) && defined(__AVX512VNNI__) && defined(__AVX512BF16__)
#define LEVEL avx512_bf16
#define INT8_LEVEL avx512_vnni
#define HAS_BF16
#include "backend/cpu/kernel/product_words.h"

#include "backend/cpu/kernel/product_families.h"
#else
#include "backend/cpu/kernel/cpu_products.h"

extern const lat__cpu_products lat__products_avx512_bf16;
const lat__cpu_products lat__products_avx512_bf16 = {0};
#endif
