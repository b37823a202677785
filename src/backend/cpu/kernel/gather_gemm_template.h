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

/// Asks for the input rows of a later tile, far enough ahead that they arrive from L3 in time. It looks past the list
/// into the ones that follow: a list is short, and its first rows would all come late.
static LAT_ALWAYS_INLINE void KERNEL(gemm_prefetch)(const lat__gather_gemm_args *args, int64_t first, int rows) {
  const int64_t ahead = first + (args->c_in <= 16 ? 32 : 16);
  if (ahead + rows > args->n_ahead) return;
  const int32_t *next = args->in_rows + ahead;
  KERNEL_UNROLL
  for (int i = 0; i < rows; i++) {
    const float *row = args->x + next[i] * args->x_stride;
    for (int64_t c = 0; c < args->c_in; c += GEMM_LINE_FLOATS) __builtin_prefetch(row + c);
  }
}

/// Where the rows of a tile lie.
typedef struct gemm_rows {
  const float *x[GEMM_MAX_ROWS];
  float *y[GEMM_MAX_ROWS];
} gemm_rows;

/// One tile: rows times one panel `w` of (c_in, vectors). `rows` and `vectors` are constants where this is inlined.
static LAT_ALWAYS_INLINE void KERNEL(gemm_tile)(const gemm_rows *at, const float *w, int64_t c_in, const int rows,
                                                const int vectors) {
  vf32 acc[GEMM_MAX_ROWS][GEMM_VECTORS];
  KERNEL_UNROLL
  for (int i = 0; i < rows; i++) {
    KERNEL_UNROLL
    for (int j = 0; j < vectors; j++) acc[i][j] = v_load(at->y[i] + j * V_LANES);
  }
  KERNEL_UNROLL_TWICE
  for (int64_t ci = 0; ci < c_in; ci++, w += vectors * V_LANES) {
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
  KERNEL_UNROLL
  for (int i = 0; i < rows; i++) {
    KERNEL_UNROLL
    for (int j = 0; j < vectors; j++) v_store(at->y[i] + j * V_LANES, acc[i][j]);
  }
}

/// Row i of a tile is pair p.
static LAT_ALWAYS_INLINE void KERNEL(gemm_locate)(const lat__gather_gemm_args *args, int64_t p, int64_t column, int i,
                                                  gemm_rows *at) {
  at->x[i] = args->x + (args->in_rows ? args->in_rows[p] : p) * args->x_stride;
  at->y[i] = args->y + (args->out_rows ? args->out_rows[p] : p) * args->y_stride + column;
}

/// All pairs times one panel of `vectors` vectors (a constant where this is inlined).
static LAT_ALWAYS_INLINE void KERNEL(gemm_panel)(const lat__gather_gemm_args *args, int64_t column, const int vectors) {
  const int rows = KERNEL(gemm_tile_rows)(vectors), half = (rows + 1) / 2;
  const float *w = args->w + column * args->c_in;
  gemm_rows at;
  int64_t p = 0;
  for (; p + rows <= args->n_pairs; p += rows) {
    if (column == 0) KERNEL(gemm_prefetch)(args, p, rows);
    KERNEL_UNROLL
    for (int i = 0; i < rows; i++) KERNEL(gemm_locate)(args, p + i, column, i, &at);
    KERNEL(gemm_tile)(&at, w, args->c_in, rows, vectors);
  }
  // What is left is less than a tile: one whole or half tile whose missing rows read a real row and write to a spare one.
  int left = (int)(args->n_pairs - p);
  if (left == 0) return;
  float spare[GEMM_VECTORS * V_LANES] = {0};
  for (int i = 0; i < rows; i++) {
    KERNEL(gemm_locate)(args, p + (i < left ? i : 0), column, i, &at);
    if (i >= left) at.y[i] = spare;
  }
  if (left > half) {
    KERNEL(gemm_tile)(&at, w, args->c_in, rows, vectors);
  } else {
    KERNEL(gemm_tile)(&at, w, args->c_in, half, vectors);
  }
}

static void KERNEL(gather_gemm_f32)(const lat__gather_gemm_args *args) {
  int64_t column = 0;
  for (; column + GEMM_VECTORS * V_LANES <= args->columns; column += GEMM_VECTORS * V_LANES) {
    KERNEL(gemm_panel)(args, column, GEMM_VECTORS);
  }
  int64_t vectors_left = (args->columns - column) / V_LANES;
  if (vectors_left == 1) KERNEL(gemm_panel)(args, column, 1);
#if GEMM_VECTORS > 2
  if (vectors_left == 2) KERNEL(gemm_panel)(args, column, 2);
  if (vectors_left == 3) KERNEL(gemm_panel)(args, column, 3);
#endif
}

#undef GEMM_MAX_ROWS
#undef GEMM_ROWS_OF_3
#undef GEMM_LINE_FLOATS
