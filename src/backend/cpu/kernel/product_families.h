/// The templates of products of one table, and the table. Included once by each level_<table>.c, which defines LEVEL, INT8_LEVEL (the
/// name of what its int8 products need) and, where the CPUs have bfloat16 products, HAS_BF16.
#ifndef LEVEL
#error "define LEVEL and include product_words.h first"
#endif

#include <string.h>

#include "backend/cpu/kernel/cpu_products.h"
#include "backend/cpu/kernel/kernel_names.h"

// The tile: rows times vectors of sums, a vector of weights each and one broadcast must fit the registers.
#if V_REGISTERS >= 32 && V_LANES >= 16
#define PRODUCT_ROWS 6
#define PRODUCT_VECTORS 4
#elif V_REGISTERS >= 32
#define PRODUCT_ROWS 5
#define PRODUCT_VECTORS 4
#else
#define PRODUCT_ROWS 6
#define PRODUCT_VECTORS 2
#endif
#define PRODUCT_MAX_ROWS 8

/// Rows of a tile of `vectors` vectors.
static LAT_ALWAYS_INLINE int KERNEL(product_tile_rows)(int64_t vectors) {
  if (vectors == PRODUCT_VECTORS) return PRODUCT_ROWS;
  return vectors == 3 && V_LANES < 16 ? 6 : PRODUCT_MAX_ROWS;
}

#include "backend/cpu/kernel/dot_product_template.h"
#if defined(HAS_BF16)
#include "backend/cpu/kernel/bf16_product_template.h"
#endif

#define PRODUCT_NAME(level)                                                                                            \
  KERNEL_TEXT_EXPAND(PRODUCT_ROWS) "x" KERNEL_TEXT_EXPAND(PRODUCT_VECTORS) "v_" KERNEL_TEXT_EXPAND(level)

extern const lat__cpu_products KERNEL(lat__products);
const lat__cpu_products KERNEL(lat__products) = {
    .name = KERNEL_TEXT_EXPAND(LEVEL),
    .int8_name = PRODUCT_NAME(INT8_LEVEL),
    .lanes = V_LANES,
    .tile_vectors = PRODUCT_VECTORS,
    .tile_rows = PRODUCT_ROWS,
    .flips_codes = V_DOT4_ZERO != 0,
    .dot_gemm_i8 = KERNEL(dot_gemm_i8),
    .int8_peak = KERNEL(int8_peak),
#if defined(HAS_BF16)
    .bf16_name = PRODUCT_NAME(LEVEL),
    .gather_gemm_bf16 = KERNEL(gather_gemm_bf16),
    .bf16_peak = KERNEL(bf16_peak),
#endif
};
