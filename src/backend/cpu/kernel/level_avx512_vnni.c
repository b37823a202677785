// Products for AVX-512 and VNNI. Without the flags, as on other machines, an empty table.

#if defined(__AVX512BW__) && defined(__AVX512VNNI__)
#define LEVEL avx512_vnni
#define INT8_LEVEL avx512_vnni
#include "backend/cpu/kernel/product_words.h"

#include "backend/cpu/kernel/product_families.h"
#else
#include "backend/cpu/kernel/cpu_products.h"

extern const lat__cpu_products lat__products_avx512_vnni;
const lat__cpu_products lat__products_avx512_vnni = {0};
#endif
