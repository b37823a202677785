/// The kernel table: everything on the CPU that gains from an instruction set, one table for each level.
///
/// How the files fit together
///
///     cpu_kernels.list      the slots: name, signature, contract
///     <family>_template.h   the code of one family, written once, without an instruction set
///     kernel_families.h     includes every family and defines the table
///     simd_<level>.h        the vocabulary of one level: vf32, v_load, v_fma, …
///     level_<level>.c       vocabulary + families; the only files with flags for their level
///
/// Adding a kernel: an X line with its contract in cpu_kernels.list; the function `KERNEL(slot)`, static, in a new or
/// existing <family>_template.h; one #include in kernel_families.h; a check_<slot> in tests/checkasm. A template may be
/// plain C loops: the compiler vectorises them for each level, and -ffp-contract=off keeps the bits the same as long as
/// the loop has no reduction (a float sum is never reordered by the compiler; write the order that every level shall
/// have). Explicit vectors use the words of simd_scalar.h, which is their meaning, and V_LANES of them.
/// Templates are `static`, keep no state, allocate nothing and include nothing but this header: an inline function that
/// is shared with other files could be kept in its AVX form and crash an older CPU.
#ifndef LATTICE_BACKEND_CPU_KERNEL_CPU_KERNELS_H
#define LATTICE_BACKEND_CPU_KERNEL_CPU_KERNELS_H

#include <math.h>
#include <stdbool.h>

#include <lattice/activation.h>
#include <lattice/array.h>

#include "core/compiler.h"

/// One pair list under one kernel element. Rows are `*_stride` floats apart.
///
///     w: panels of `table.lanes * table.tile_vectors` columns, the last one narrower (a multiple of `lanes`); the
///        panel that starts at column c lies at w + c * c_in as (c_in, panel width)
typedef struct lat__gather_gemm_args {
  const float *x;
  int64_t x_stride;
  const int32_t *in_rows;   ///< row of x of every pair; NULL: row p
  const uint16_t *out_rows; ///< row of y of every pair, distinct; NULL: row p
  int64_t n_pairs;
  int64_t
      n_ahead; ///< entries of in_rows (rows of x without it) that may be read, n_pairs or more: pairs to come, to prefetch
  const float *w;
  int64_t c_in;
  int64_t columns; ///< of y, a multiple of `lanes`
  float *y;
  int64_t y_stride;
  bool fresh; ///< rows of y have no sums yet: they begin at +0, y is not read
} lat__gather_gemm_args;

/// Output rows, each with the list of its edges.
///
///     w: for every kernel element `kernel_floats` floats: panels of `table.lanes * table.row_vectors` columns, the last one
///        narrower (a multiple of `lanes`); the panel that starts at column c lies at c * c_in as (c_in, panel width)
typedef struct lat__row_gemm_args {
  const float *x;
  int64_t x_stride;
  const int32_t *in_rows; ///< row of x of every edge; NULL: edge e reads row e - begins[0]
  const int32_t *kernels; ///< kernel element of every edge
  const int32_t *begins;  ///< n_rows + 1: the edges of row r are [begins[r], begins[r + 1])
  int64_t n_rows;
  const float *w;
  int64_t kernel_floats;
  int64_t c_in;
  int64_t columns; ///< of y, a multiple of `lanes`
  float *y;
  int64_t y_stride;
} lat__row_gemm_args;

/// One pair list under one kernel element, integers in groups of input channels. c_in and group_size are multiples of what
/// the slot takes together: 2 channels (dot_gemm_i16) or 4 (dot_gemm_i8).
///
///     x: rows as quantize_rows_i16 (quantize_rows_i8) makes them: c_in codes, the scale of the row, and the sums of the codes
///        of its groups, both as floats
///     w: panels as those of gather_gemm_f32 in pairs (quads) of channels: the panel that starts at column c lies at
///        w + c * c_in as (c_in / 2, panel width, 2)
typedef struct lat__dot_gemm_args {
  const void *x;
  int64_t x_stride; ///< bytes
  int64_t c_in;
  const int32_t *in_rows;   ///< row of x of every pair; NULL: row p
  const uint16_t *out_rows; ///< row of y of every pair, distinct; NULL: row p
  int64_t n_pairs;
  int64_t n_ahead;               ///< as in lat__gather_gemm_args
  const void *w;                 ///< int16_t or uint8_t
  const float *w_scale, *w_bias; ///< (n_groups, columns), or NULL both: one group, signed codes, nothing scaled
  int64_t group_size;            ///< the last group may be shorter
  int64_t n_groups;
  int64_t columns; ///< of y, a multiple of `lanes`
  float *y;
  int64_t y_stride;
} lat__dot_gemm_args;

/// Which activation, with its parameters rounded to float32.
typedef struct lat__activation_args {
  lat_activation_kind kind;
  float alpha, beta, threshold;
} lat__activation_args;

/// Steps on finished sums: v * factor, v + bias, (v - mean) * scale + shift, v + residual, relu, v + residual_last. Each is there when
/// its pointer (mean for the three) is not NULL.
typedef struct lat__epilogue_args {
  const float *factor;               ///< (channels,)
  const float *bias;                 ///< (channels,)
  const float *mean, *scale, *shift; ///< (channels,)
  const float *residual;             ///< (n_rows, channels)
  bool relu;
  const float *residual_last; ///< (n_rows, channels)
} lat__epilogue_args;

/// Output rows, each with a list of input rows that are reduced into it.
typedef struct lat__row_lists_args {
  lat_dtype dtype, dtype_out; ///< of x, of y; everything is computed in float32
  const void *x;
  int64_t x_stride;      ///< elements between rows of x
  const int32_t *rows;   ///< row of x of every entry; NULL: entry e is row e
  int64_t n_entries;     ///< entries of `rows` that may be read, for prefetches
  const int32_t *begins; ///< n_rows + 1: the entries of row r are [begins[r], begins[r + 1])
  int64_t n_rows, channels;
  const float *weights;     ///< of every entry, or NULL
  const float *row_weights; ///< (n_rows,) or NULL
  const float *factors;     ///< (n_rows,) or NULL
  const float *divisors;    ///< (n_rows,) or NULL
  const int32_t *out_rows;  ///< row of y of every row; NULL: row r
  void *y;                  ///< rows of `channels`
} lat__row_lists_args;

typedef enum lat__join_op { LAT__JOIN_ADD, LAT__JOIN_SUB, LAT__JOIN_MUL, LAT__JOIN_MAX, LAT__JOIN_MIN } lat__join_op;

/// Rows of two operands to combine.
typedef struct lat__join_args {
  lat__join_op op;
  lat_dtype lhs_dtype, rhs_dtype, dtype_out;
  const void *lhs, *rhs;
  const int32_t *lhs_rows, *rhs_rows; ///< (n_rows,): -1 for a missing row; NULL: row r
  float lhs_fill, rhs_fill;           ///< what missing rows are made of
  int64_t n_rows, channels;
  void *y; ///< (n_rows, channels)
} lat__join_args;

/// A lattice of cells for float32 points.
typedef struct lat__point_cells_args {
  float origin[3], size[3];
  float limit[3]; ///< magnitudes of coordinates stay below it
  float shift;    ///< 0.5: to the nearest cell
} lat__point_cells_args;

/// Outer products of a pair list. Rows are `*_stride` floats apart.
typedef struct lat__outer_gemm_args {
  const float *x;
  int64_t x_stride;
  const int32_t *in_rows; ///< row of x of every pair; NULL: row p
  const float *g;
  int64_t g_stride;
  const uint16_t *out_rows; ///< row of g of every pair; NULL: row p
  int64_t n_pairs;
  int64_t n_ahead; ///< entries of in_rows and out_rows that may be read, n_pairs or more: lists to come, to prefetch
  int64_t c_in, c_out;
  float *y; ///< (c_in, c_out)
  int64_t y_stride;
} lat__outer_gemm_args;

/// Most places of a window, and entries that window_pairs may touch behind the end of its arrays.
#define LAT__WINDOW_PLACES 8
#define LAT__WINDOW_PAD 16

/// Windows of consecutive outputs. Places 0, step, 2 step, ... of n_places have lists: place j the list j / step.
typedef struct lat__window_args {
  const uint32_t *lower; ///< (n,) first input that is not below the window
  const uint8_t *hits;   ///< (n,) bit j: place j is taken
  int64_t n;
  uint32_t first; ///< number of output 0
  int32_t n_places, step;
  uint32_t *const *outs, *const *ins; ///< for each list
  int64_t *counts;                    ///< for each list
} lat__window_args;

typedef struct lat__cpu_kernels {
  const char *level;     ///< "avx2"; NULL: this build lacks the level
  const char *gemm_name; ///< shape and level of gather_gemm_f32, e.g. "6x2v_avx2"
  int64_t lanes;         ///< float32 lanes of a vector
  int64_t tile_vectors;  ///< vectors of a full weight panel of gather_gemm_f32
  int64_t tile_rows;     ///< pairs that gather_gemm_f32 handles together in a full panel
  int64_t row_vectors;   ///< vectors of a full weight panel of row_gemm_f32
#define X(slot, result, arguments) result(*slot) arguments;
#include "backend/cpu/kernel/cpu_kernels.list"
#undef X
} lat__cpu_kernels;

/// The table of exactly this level, or NULL when this build or this machine lacks it. Static storage.
const lat__cpu_kernels *lat__cpu_kernels_of(lat_cpu_level level);

#endif
