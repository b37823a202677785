// The heart of every convolution: y[out(p)] += x[in(p)] W for a list of pairs p under one kernel element.
//
//                          panel of W: (c_in, vectors * V_LANES), streamed from L1/L2
//                          ┌──────────┬──────────┐
//                       ci │ w[ci][0] │ w[ci][1] │
//                          └──────────┴──────────┘
//     x[in(0)]  ── broadcast ci ─▶ acc[0][0]  acc[0][1]      accumulators: registers over all of c_in, loaded from and
//     x[in(1)]  ── broadcast ci ─▶ acc[1][0]  acc[1][1]      stored to rows of y, which lie in the L1/L2-resident block
//       …                            …          …            that the caller works on
//     x[in(R-1)]                 acc[R-1][0]  acc[R-1][1]
//
// Lanes run along output channels, so each element of y is one fma chain with ci ascending at every level. A tile of R
// rows and V vectors does R * V fma for V loads and R broadcasts each step; R * V + V + 1 registers bound it.

#if V_REGISTERS >= 32 && V_LANES >= 16
#define GEMM_ROWS 6 // of a full panel; 24 accumulators
#define GEMM_VECTORS 4
#elif V_REGISTERS >= 32
#define GEMM_ROWS 5 // 20 accumulators: broadcasts take registers here, and of 24 accumulators some would be spilled
#define GEMM_VECTORS 4
#define GEMM_ROWS_OF_3 6
#elif V_LANES > 1
#define GEMM_ROWS 6 // 12 accumulators
#define GEMM_VECTORS 2
#else
#define GEMM_ROWS 1 // fmaf is a call on machines without the instruction: nothing stays in registers
#define GEMM_VECTORS 4
#endif
#define GEMM_MAX_ROWS 8
#ifndef GEMM_ROWS_OF_3
#define GEMM_ROWS_OF_3 GEMM_MAX_ROWS // of a panel of three vectors
#endif
#define GEMM_LINE_FLOATS 16 // of a cache line

/// Rows of a tile of `vectors` vectors: enough independent chains, few enough registers.
static LAT_ALWAYS_INLINE int KERNEL(gemm_tile_rows)(int64_t vectors) {
  if (V_LANES == 1) return 1;
  if (vectors == GEMM_VECTORS) return GEMM_ROWS;
  return vectors == 3 ? GEMM_ROWS_OF_3 : GEMM_MAX_ROWS;
}

/// Asks for the input row of a pair that comes later, far enough ahead that it arrives from L3 in time. It looks past the
/// list into the ones that follow: a list is short, and its first rows would all come late.
static LAT_ALWAYS_INLINE void KERNEL(gemm_prefetch)(const lat__gather_gemm_args *args, int64_t p) {
  const int64_t ahead = p + (args->c_in <= 16 ? 32 : 16);
  if (ahead >= args->n_ahead) return;
  const float *row = args->x + (args->in_rows ? args->in_rows[ahead] : ahead) * args->x_stride;
  for (int64_t c = 0; c < args->c_in; c += GEMM_LINE_FLOATS) __builtin_prefetch(row + c);
}

/// Where the rows of a tile lie.
typedef struct gemm_rows {
  const float *x[GEMM_MAX_ROWS];
  float *y[GEMM_MAX_ROWS];
} gemm_rows;

/// One step of a tile: input channel `ci` of every row.
static LAT_ALWAYS_INLINE void KERNEL(gemm_step)(const gemm_rows *at, const float *w, int64_t ci, const int rows,
                                                const int vectors, vf32 (*acc)[GEMM_VECTORS]) {
  vf32 panel[GEMM_VECTORS];
  KERNEL_UNROLL
  for (int j = 0; j < vectors; j++) panel[j] = v_load(w + j * V_LANES);
  KERNEL_UNROLL
  for (int i = 0; i < rows; i++) {
    vf32 value = v_set1(at->x[i][ci]);
    KERNEL_UNROLL
    for (int j = 0; j < vectors; j++) acc[i][j] = v_fma(value, panel[j], acc[i][j]);
  }
}

/// One tile: rows times one panel `w` of (c_in, vectors). `rows`, `vectors` and `fresh` are constants where this is inlined,
/// and `c_in` where it is one of those that matter.
static LAT_ALWAYS_INLINE void KERNEL(gemm_tile)(const gemm_rows *at, const float *w, int64_t c_in, const int rows,
                                                const int vectors, const bool fresh) {
  vf32 acc[GEMM_MAX_ROWS][GEMM_VECTORS];
  KERNEL_UNROLL
  for (int i = 0; i < rows; i++) {
    KERNEL_UNROLL
    for (int j = 0; j < vectors; j++) acc[i][j] = fresh ? v_set1(0.0f) : v_load(at->y[i] + j * V_LANES);
  }
  int64_t ci = 0;
  for (; ci + 2 <= c_in; ci += 2, w += 2 * vectors * V_LANES) {
    KERNEL(gemm_step)(at, w, ci, rows, vectors, acc);
    KERNEL(gemm_step)(at, w + vectors * V_LANES, ci + 1, rows, vectors, acc);
  }
  if (ci < c_in) KERNEL(gemm_step)(at, w, ci, rows, vectors, acc);
  KERNEL_UNROLL
  for (int i = 0; i < rows; i++) {
    KERNEL_UNROLL
    for (int j = 0; j < vectors; j++) v_store(at->y[i] + j * V_LANES, acc[i][j]);
  }
}

/// Row i of a tile is pair p.
static LAT_ALWAYS_INLINE void KERNEL(gemm_locate)(const lat__gather_gemm_args *args, int64_t p, int i,
                                                  const bool gathers, gemm_rows *at) {
  at->x[i] = args->x + (gathers || args->in_rows ? args->in_rows[p] : p) * args->x_stride;
  at->y[i] = args->y + (gathers || args->out_rows ? args->out_rows[p] : p) * args->y_stride;
}

/// All pairs times one panel of `vectors` vectors. `vectors`, `gathers` (both lists are there), `fresh` and `c_in` (0: that
/// of `shared`) are constants where this is inlined.
static LAT_ALWAYS_INLINE void KERNEL(gemm_panel)(const lat__gather_gemm_args *shared, int64_t column, const int vectors,
                                                 const bool gathers, const bool fresh, const int64_t c_in) {
  const int rows = KERNEL(gemm_tile_rows)(vectors), half = (rows + 1) / 2;
  lat__gather_gemm_args args = *shared; // a copy stays in registers: no store to y can change it
  if (c_in) args.c_in = args.x_stride = c_in;
  const float *w = args.w + column * args.c_in;
  args.y += column;
  LAT_FORGET(args.y);
  gemm_rows at;
  int64_t p = 0;
  for (; p + rows <= args.n_pairs; p += rows) {
    KERNEL_UNROLL
    for (int i = 0; i < rows; i++) {
      KERNEL(gemm_locate)(&args, p + i, i, gathers, &at);
      if ((gathers || fresh) && column == 0) KERNEL(gemm_prefetch)(&args, p + i);
    }
    KERNEL(gemm_tile)(&at, w, args.c_in, rows, vectors, fresh);
  }
  // What is left is less than a tile: one whole or half tile whose missing rows read a real row and write to a spare one.
  int left = (int)(args.n_pairs - p);
  if (left == 0) return;
  float spare[GEMM_VECTORS * V_LANES] = {0};
  for (int i = 0; i < rows; i++) {
    KERNEL(gemm_locate)(&args, p + (i < left ? i : 0), i, gathers, &at);
    if (i >= left) at.y[i] = spare;
  }
  if (left > half) {
    KERNEL(gemm_tile)(&at, w, args.c_in, rows, vectors, fresh);
  } else {
    KERNEL(gemm_tile)(&at, w, args.c_in, half, vectors, fresh);
  }
}

/// All panels, in the same words.
static LAT_ALWAYS_INLINE void KERNEL(gemm_panels)(const lat__gather_gemm_args *args, const bool gathers,
                                                  const bool fresh, const int64_t c_in) {
  int64_t column = 0;
  for (; column + GEMM_VECTORS * V_LANES <= args->columns; column += GEMM_VECTORS * V_LANES) {
    KERNEL(gemm_panel)(args, column, GEMM_VECTORS, gathers, fresh, c_in);
  }
  int64_t vectors_left = (args->columns - column) / V_LANES;
  if (vectors_left == 1) KERNEL(gemm_panel)(args, column, 1, gathers, fresh, c_in);
#if GEMM_VECTORS > 2
  if (vectors_left == 2) KERNEL(gemm_panel)(args, column, 2, gathers, fresh, c_in);
  if (vectors_left == 3) KERNEL(gemm_panel)(args, column, 3, gathers, fresh, c_in);
#endif
}

#if V_LANES > 1
#include "backend/cpu/kernel/resident_gemm_template.h"
#endif

/// A function for each kind: together they would not fit the compiler's patience. The widths that networks begin with have
/// their own: half a tile's time goes into finding rows there, and constants make that cheap.
static void KERNEL(gemm_any)(const lat__gather_gemm_args *args) {
  KERNEL(gemm_panels)(args, false, false, 0);
}
static void KERNEL(gemm_fresh)(const lat__gather_gemm_args *args) {
  KERNEL(gemm_panels)(args, false, true, 0);
}
static void KERNEL(gemm_gathers)(const lat__gather_gemm_args *args) {
  KERNEL(gemm_panels)(args, true, false, 0);
}
#if V_LANES > 1
static void KERNEL(gemm_gathers_16)(const lat__gather_gemm_args *args) {
  KERNEL(gemm_panels)(args, true, false, 16);
}
static void KERNEL(gemm_gathers_32)(const lat__gather_gemm_args *args) {
  KERNEL(gemm_panels)(args, true, false, 32);
}
#endif

static void KERNEL(gather_gemm_f32)(const lat__gather_gemm_args *args) {
  if (args->fresh) {
    KERNEL(gemm_fresh)(args);
  } else if (!args->in_rows || !args->out_rows) {
    KERNEL(gemm_any)(args);
#if V_LANES > 1
  } else if (KERNEL(resident_gemm)(args)) {
    return;
  } else if (args->c_in == 16 && args->x_stride == 16) {
    KERNEL(gemm_gathers_16)(args);
  } else if (args->c_in == 32 && args->x_stride == 32) {
    KERNEL(gemm_gathers_32)(args);
#endif
  } else {
    KERNEL(gemm_gathers)(args);
  }
}

#undef GEMM_MAX_ROWS
#undef GEMM_ROWS_OF_3
#undef GEMM_LINE_FLOATS
