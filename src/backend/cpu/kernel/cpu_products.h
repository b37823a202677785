/// The second kernel table: products in low precision, for which a level's CPUs have instructions or not.
///
///     cpu_products.list      the slots: name, signature, contract
///     *_product_template.h   their code, written once for every table
///     product_words.h        the words that they add to the level's vocabulary
///     level_<table>.c        vocabulary + templates; the only files with flags for their table
///
/// A CPU of a level has at most one of these tables. Where it has none, int8 runs dot_gemm_i16 and bfloat16 is widened.
#ifndef LATTICE_BACKEND_CPU_KERNEL_CPU_PRODUCTS_H
#define LATTICE_BACKEND_CPU_KERNEL_CPU_PRODUCTS_H

#include "backend/cpu/kernel/cpu_kernels.h"

/// As lat__gather_gemm_args. w: panels in pairs of channels: the panel that starts at column c lies at w + c * c_in as
/// (c_in / 2, panel width, 2).
typedef struct lat__bf16_gemm_args {
  const uint16_t *x;
  int64_t x_stride;
  const int32_t *in_rows;   ///< row of x of every pair; NULL: row p
  const uint16_t *out_rows; ///< row of y of every pair, distinct; NULL: row p
  int64_t n_pairs;
  int64_t n_ahead;
  const uint16_t *w;
  int64_t c_in;    ///< even
  int64_t columns; ///< of y, a multiple of `lanes`
  float *y;
  int64_t y_stride;
} lat__bf16_gemm_args;

typedef struct lat__cpu_products {
  const char *name;      ///< "avx512_vnni"; NULL: this build lacks the table
  const char *int8_name; ///< shape and instructions of dot_gemm_i8, e.g. "6x4v_avx512_vnni"
  const char *bf16_name; ///< of gather_gemm_bf16
  int64_t lanes;         ///< float32 lanes of a vector: those of the level
  int64_t tile_vectors;  ///< vectors of a full weight panel: those of the level
  int64_t tile_rows;     ///< pairs that are handled together in a full panel
  bool flips_codes;      ///< see dot_gemm_i8
#define X(slot, result, arguments) result(*slot) arguments;
#include "backend/cpu/kernel/cpu_products.list"
#undef X
} lat__cpu_products;

/// The table that convolutions of a level shall use on this machine, or NULL. Static storage. Never the scalar one: it is
/// slower than what the levels do without; nor one whose bfloat16 products are slower than multiply-adds.
const lat__cpu_products *lat__cpu_products_of(lat_cpu_level level);

/// All tables that this machine can run, the scalar one first; NULL at the end.
const lat__cpu_products *lat__cpu_products_at(int index);

#endif
