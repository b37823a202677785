// Products for AVX2 and AVX-VNNI. Without the flags, as on other machines, an empty table.

#if defined(__AVX2__) && defined(__FMA__) && defined(__AVXVNNI__)
#define LEVEL avx2_vnni
#define INT8_LEVEL avx2_vnni
#include "backend/cpu/kernel/product_words.h"

#include "backend/cpu/kernel/product_families.h"
#else
#include "backend/cpu/kernel/cpu_products.h"

extern const lat__cpu_products lat__products_avx2_vnni;
const lat__cpu_products lat__products_avx2_vnni = {0};
#endif
