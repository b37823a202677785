// gather_gemm_f32's twin for bfloat16: y[out(p)] += x[in(p)] W, two channels a step.
//
//                         pairs of channels of W: (c_in / 2, vectors * V_LANES, 2) bfloat16
//     x[in(0)] ── broadcast 2 ci ─▶ acc[0][0]  acc[0][1]      float32 sums in registers over all of c_in
//       …                             …          …
//     x[in(R-1)]                    acc[R-1][0] …

#define BF16_AHEAD 16 // pairs from here to the prefetched ones
#define BF16_LINE 32  // of a cache line

/// Where the rows of a tile lie.
typedef struct bf16_rows {
  const uint16_t *x[PRODUCT_MAX_ROWS];
  float *y[PRODUCT_MAX_ROWS];
} bf16_rows;

/// One tile: `rows` and `vectors` are constants where this is inlined.
static LAT_ALWAYS_INLINE void KERNEL(bf16_tile)(const bf16_rows *at, const uint16_t *w, int64_t c_in, const int rows,
                                                const int vectors) {
  vf32 acc[PRODUCT_MAX_ROWS][PRODUCT_VECTORS];
  KERNEL_UNROLL
  for (int i = 0; i < rows; i++) {
    KERNEL_UNROLL
    for (int j = 0; j < vectors; j++) acc[i][j] = v_load(at->y[i] + j * V_LANES);
  }
  for (int64_t ci = 0; ci < c_in; ci += 2, w += 2 * vectors * V_LANES) {
    vi32 panel[PRODUCT_VECTORS];
    KERNEL_UNROLL
    for (int j = 0; j < vectors; j++) panel[j] = v_load_quads((const uint8_t *)(w + 2 * j * V_LANES));
    KERNEL_UNROLL
    for (int i = 0; i < rows; i++) {
      vi32 pair = v_set1_quad((const int8_t *)(at->x[i] + ci));
      KERNEL_UNROLL
      for (int j = 0; j < vectors; j++) acc[i][j] = v_dot_bf16(acc[i][j], pair, panel[j]);
    }
  }
  KERNEL_UNROLL
  for (int i = 0; i < rows; i++) {
    KERNEL_UNROLL
    for (int j = 0; j < vectors; j++) v_store(at->y[i] + j * V_LANES, acc[i][j]);
  }
}

/// Row i of a tile is pair p.
static LAT_ALWAYS_INLINE void KERNEL(bf16_locate)(const lat__bf16_gemm_args *args, int64_t p, int64_t column, int i,
                                                  bf16_rows *at) {
  at->x[i] = args->x + (args->in_rows ? args->in_rows[p] : p) * args->x_stride;
  at->y[i] = args->y + (args->out_rows ? args->out_rows[p] : p) * args->y_stride + column;
}

/// Asks for the rows of x of a later tile.
static LAT_ALWAYS_INLINE void KERNEL(bf16_prefetch)(const lat__bf16_gemm_args *args, int64_t first, int rows) {
  const int64_t ahead = first + BF16_AHEAD;
  if (ahead + rows > args->n_ahead) return;
  KERNEL_UNROLL
  for (int i = 0; i < rows; i++) {
    const uint16_t *row = args->x + args->in_rows[ahead + i] * args->x_stride;
    for (int64_t c = 0; c < args->c_in; c += BF16_LINE) __builtin_prefetch(row + c);
  }
}

/// All pairs times one panel of `vectors` vectors (a constant where this is inlined).
static LAT_ALWAYS_INLINE void KERNEL(bf16_panel)(const lat__bf16_gemm_args *args, int64_t column, const int vectors) {
  const int rows = KERNEL(product_tile_rows)(vectors), half = (rows + 1) / 2;
  const uint16_t *w = args->w + column * args->c_in;
  bf16_rows at;
  int64_t p = 0;
  for (; p + rows <= args->n_pairs; p += rows) {
    if (column == 0) KERNEL(bf16_prefetch)(args, p, rows);
    KERNEL_UNROLL
    for (int i = 0; i < rows; i++) KERNEL(bf16_locate)(args, p + i, column, i, &at);
    KERNEL(bf16_tile)(&at, w, args->c_in, rows, vectors);
  }
  // Less than a tile is left: missing rows read a real one and write to a spare one.
  int left = (int)(args->n_pairs - p);
  if (left == 0) return;
  float spare[PRODUCT_VECTORS * V_LANES] = {0};
  for (int i = 0; i < rows; i++) {
    KERNEL(bf16_locate)(args, p + (i < left ? i : 0), column, i, &at);
    if (i >= left) at.y[i] = spare;
  }
  if (left > half) {
    KERNEL(bf16_tile)(&at, w, args->c_in, rows, vectors);
  } else {
    KERNEL(bf16_tile)(&at, w, args->c_in, half, vectors);
  }
}

static void KERNEL(gather_gemm_bf16)(const lat__bf16_gemm_args *args) {
  int64_t column = 0;
  for (; column + PRODUCT_VECTORS * V_LANES <= args->columns; column += PRODUCT_VECTORS * V_LANES) {
    KERNEL(bf16_panel)(args, column, PRODUCT_VECTORS);
  }
  int64_t vectors_left = (args->columns - column) / V_LANES;
  if (vectors_left == 1) KERNEL(bf16_panel)(args, column, 1);
#if PRODUCT_VECTORS > 2
  if (vectors_left == 2) KERNEL(bf16_panel)(args, column, 2);
  if (vectors_left == 3) KERNEL(bf16_panel)(args, column, 3);
#endif
}

#undef BF16_AHEAD
#undef BF16_LINE

#define PEAK_CHAINS 20 // longer latency than a multiply-add
#define PEAK_STEPS 64

static int64_t KERNEL(bf16_peak)(int64_t n_rounds, float *sink) {
  vf32 sums[PEAK_CHAINS];
  vi32 x = v_iset1(0x3F003F00), w = v_iset1(0x00003F00); // 1/2 and 1/2, 0 and 1/2: sums grow by 1/4
  KERNEL_UNROLL
  for (int i = 0; i < PEAK_CHAINS; i++) sums[i] = v_set1((float)i);
  for (int64_t round = 0; round < n_rounds; round++) {
    for (int step = 0; step < PEAK_STEPS; step++) {
      KERNEL_UNROLL
      for (int i = 0; i < PEAK_CHAINS; i++) sums[i] = v_dot_bf16(sums[i], x, w);
    }
  }
  vf32 total = sums[0];
  KERNEL_UNROLL
  for (int i = 1; i < PEAK_CHAINS; i++) total = total + sums[i];
  float lanes[V_LANES];
  v_store(lanes, total);
  *sink = lanes[0];
  return n_rounds * PEAK_STEPS * PEAK_CHAINS * V_LANES * 4;
}

#undef PEAK_CHAINS
#undef PEAK_STEPS
