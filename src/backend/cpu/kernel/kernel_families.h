/// All kernel families of one level, and its table. Included once by each level_<level>.c after its vocabulary.
#ifndef LEVEL
#error "define LEVEL and include simd_<level>.h first"
#endif

#include <string.h>

#include "backend/cpu/kernel/cpu_kernels.h"
#include "backend/cpu/kernel/kernel_names.h"

#include "backend/cpu/kernel/elements_template.h" // before the others, which use it

#include "backend/cpu/kernel/activation_slope_template.h"
#include "backend/cpu/kernel/activation_template.h"
#include "backend/cpu/kernel/depthwise_template.h"
#include "backend/cpu/kernel/epilogue_template.h"
#include "backend/cpu/kernel/feature_rows_template.h"
#include "backend/cpu/kernel/fma_peak_template.h"
#include "backend/cpu/kernel/gather_gemm_template.h"
#include "backend/cpu/kernel/int_gemm_template.h" // after gather_gemm, whose tile it shares
#include "backend/cpu/kernel/join_template.h"
#include "backend/cpu/kernel/norm_template.h"
#include "backend/cpu/kernel/outer_gemm_template.h"
#include "backend/cpu/kernel/points_template.h"
#include "backend/cpu/kernel/row_gemm_template.h"
#include "backend/cpu/kernel/row_lists_template.h"
#include "backend/cpu/kernel/window_template.h"

#define QUANTIZE_SLOT quantize_rows_i16
#define QUANTIZE_CODE int16_t
#define QUANTIZE_STEP 2
#include "backend/cpu/kernel/quantize_template.h"

#define QUANTIZE_SLOT quantize_rows_i8
#define QUANTIZE_CODE int8_t
#define QUANTIZE_STEP 4
#include "backend/cpu/kernel/quantize_template.h"

extern const lat__cpu_kernels KERNEL(lat__kernels);
const lat__cpu_kernels KERNEL(lat__kernels) = {
    .level = KERNEL_TEXT_EXPAND(LEVEL),
    .gemm_name = KERNEL_TEXT_EXPAND(GEMM_ROWS) "x" KERNEL_TEXT_EXPAND(GEMM_VECTORS) "v_" KERNEL_TEXT_EXPAND(LEVEL),
    .lanes = V_LANES,
    .tile_vectors = GEMM_VECTORS,
    .tile_rows = GEMM_ROWS,
    .row_vectors = ROW_GEMM_VECTORS,
#define X(slot, result, arguments) .slot = KERNEL(slot),
#include "backend/cpu/kernel/cpu_kernels.list"
#undef X
};
