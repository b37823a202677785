// dot_gemm_i16's twin for CPUs with dot products of bytes: y[out(p)] += s (W codes . x codes, scaled).
//
//                         quads of channels of W: (c_in / 4, vectors * V_LANES, 4) bytes
//     x[in(0)] ── broadcast 4 codes ─▶ acc[0][0]  acc[0][1]     int32 sums of one group of channels; after each group they
//       …                                 …          …          are scaled in float32 and added to rows of y
//     x[in(R-1)]                       acc[R-1][0] …
//
// The instructions multiply unsigned by signed bytes (x86), so codes of W lie unsigned, or signed by signed (Arm), so 128 is
// taken off them. What is added or taken off comes back through the row's sum of codes, before the first product: sums
// start there in place of at 0.

#define DOT_AHEAD 16      // pairs from here to the prefetched ones
#define DOT_LINE_BYTES 64 // of a cache line

/// Where the rows of a tile lie.
typedef struct dot_rows {
  const int8_t *x[PRODUCT_MAX_ROWS];
  float *y[PRODUCT_MAX_ROWS];
} dot_rows;

/// Scale of a row, followed by its sums.
static LAT_ALWAYS_INLINE const float *KERNEL(dot_scale)(const lat__dot_gemm_args *args, const dot_rows *at, int i) {
  return (const float *)(const void *)(at->x[i] + args->c_in);
}

/// y += scale (acc w_scale + sum w_bias), or scale acc, for one row.
static LAT_ALWAYS_INLINE void KERNEL(dot_add)(const lat__dot_gemm_args *args, const dot_rows *at, int64_t g,
                                              int64_t column, int i, const vi32 *acc, const int vectors,
                                              const bool scaled) {
  const float *scale = scaled ? args->w_scale + g * args->columns + column : NULL;
  const float *bias = scaled ? args->w_bias + g * args->columns + column : NULL;
  const float *of_row = KERNEL(dot_scale)(args, at, i);
  vf32 row_scale = v_set1(of_row[0]);
  KERNEL_UNROLL
  for (int j = 0; j < vectors; j++) {
    vf32 value = v_from_int(acc[j]);
    if (scaled) value = v_fma(value, v_load(scale + j * V_LANES), v_set1(of_row[1 + g]) * v_load(bias + j * V_LANES));
    v_store(at->y[i] + j * V_LANES, v_fma(row_scale, value, v_load(at->y[i] + j * V_LANES)));
  }
}

/// One tile: `rows`, `vectors` and `scaled` are constants where this is inlined.
static LAT_ALWAYS_INLINE void KERNEL(dot_tile)(const lat__dot_gemm_args *args, const dot_rows *at, int64_t column,
                                               const int rows, const int vectors, const bool scaled) {
  const uint8_t *w = (const uint8_t *)args->w + column * args->c_in;
  const int32_t zero = V_DOT4_ZERO - (scaled ? 0 : 128);
  for (int64_t g = 0; g < args->n_groups; g++) {
    int64_t first = g * args->group_size;
    int64_t end = first + args->group_size < args->c_in ? first + args->group_size : args->c_in;
    vi32 acc[PRODUCT_MAX_ROWS][PRODUCT_VECTORS];
    KERNEL_UNROLL
    for (int i = 0; i < rows; i++) {
      vi32 start = zero ? v_iset1(zero * (int32_t)KERNEL(dot_scale)(args, at, i)[1 + g]) : v_izero();
      KERNEL_UNROLL
      for (int j = 0; j < vectors; j++) acc[i][j] = start;
    }
    for (int64_t ci = first; ci < end; ci += 4, w += 4 * vectors * V_LANES) {
      vi32 panel[PRODUCT_VECTORS];
      KERNEL_UNROLL
      for (int j = 0; j < vectors; j++) panel[j] = v_load_quads(w + 4 * j * V_LANES);
      KERNEL_UNROLL
      for (int i = 0; i < rows; i++) {
        vi32 quad = v_set1_quad(at->x[i] + ci);
        KERNEL_UNROLL
        for (int j = 0; j < vectors; j++) acc[i][j] = v_dot4(acc[i][j], quad, panel[j]);
      }
    }
    KERNEL_UNROLL
    for (int i = 0; i < rows; i++) {
      KERNEL_UNROLL
      for (int j = 0; j < vectors; j++) acc[i][j] = v_keep(acc[i][j]);
    }
    KERNEL_UNROLL
    for (int i = 0; i < rows; i++) KERNEL(dot_add)(args, at, g, column, i, acc[i], vectors, scaled);
  }
}

/// Row i of a tile is pair p.
static LAT_ALWAYS_INLINE void KERNEL(dot_locate)(const lat__dot_gemm_args *args, int64_t p, int64_t column, int i,
                                                 dot_rows *at) {
  int64_t in = args->in_rows ? args->in_rows[p] : p;
  at->x[i] = (const int8_t *)(const void *)((const char *)args->x + in * args->x_stride);
  at->y[i] = args->y + (args->out_rows ? args->out_rows[p] : p) * args->y_stride + column;
}

/// Asks for the rows of x of a later tile.
static LAT_ALWAYS_INLINE void KERNEL(dot_prefetch)(const lat__dot_gemm_args *args, int64_t first, int rows) {
  const int64_t ahead = first + DOT_AHEAD;
  if (ahead + rows > args->n_ahead) return;
  KERNEL_UNROLL
  for (int i = 0; i < rows; i++) {
    const char *row = (const char *)args->x + args->in_rows[ahead + i] * args->x_stride;
    for (int64_t b = 0; b < args->x_stride; b += DOT_LINE_BYTES) __builtin_prefetch(row + b);
    __builtin_prefetch(row + args->x_stride - 1); // rows begin anywhere in a line
  }
}

/// All pairs times one panel of `vectors` vectors (a constant where this is inlined, as `scaled`).
static LAT_ALWAYS_INLINE void KERNEL(dot_panel)(const lat__dot_gemm_args *args, int64_t column, const int vectors,
                                                const bool scaled) {
  const int rows = KERNEL(product_tile_rows)(vectors);
  dot_rows at;
  int64_t p = 0;
  for (; p + rows <= args->n_pairs; p += rows) {
    if (column == 0) KERNEL(dot_prefetch)(args, p, rows);
    KERNEL_UNROLL
    for (int i = 0; i < rows; i++) KERNEL(dot_locate)(args, p + i, column, i, &at);
    KERNEL(dot_tile)(args, &at, column, rows, vectors, scaled);
  }
  // Less than a tile is left: missing rows read a real one and write to a spare one.
  int left = (int)(args->n_pairs - p);
  if (left == 0) return;
  float spare[PRODUCT_VECTORS * V_LANES] = {0};
  for (int i = 0; i < rows; i++) {
    KERNEL(dot_locate)(args, p + (i < left ? i : 0), column, i, &at);
    if (i >= left) at.y[i] = spare;
  }
  if (left > (rows + 1) / 2) {
    KERNEL(dot_tile)(args, &at, column, rows, vectors, scaled);
  } else {
    KERNEL(dot_tile)(args, &at, column, (rows + 1) / 2, vectors, scaled);
  }
}

static LAT_ALWAYS_INLINE void KERNEL(dot_panels)(const lat__dot_gemm_args *args, const bool scaled) {
  int64_t column = 0;
  for (; column + PRODUCT_VECTORS * V_LANES <= args->columns; column += PRODUCT_VECTORS * V_LANES) {
    KERNEL(dot_panel)(args, column, PRODUCT_VECTORS, scaled);
  }
  int64_t vectors_left = (args->columns - column) / V_LANES;
  if (vectors_left == 1) KERNEL(dot_panel)(args, column, 1, scaled);
#if PRODUCT_VECTORS > 2
  if (vectors_left == 2) KERNEL(dot_panel)(args, column, 2, scaled);
  if (vectors_left == 3) KERNEL(dot_panel)(args, column, 3, scaled);
#endif
}

static void KERNEL(dot_gemm_i8)(const lat__dot_gemm_args *args) {
  if (args->w_scale) {
    KERNEL(dot_panels)(args, true);
  } else {
    KERNEL(dot_panels)(args, false);
  }
}

#undef DOT_AHEAD
#undef DOT_LINE_BYTES

#define PEAK_CHAINS (V_LANES == 4 ? 24 : 12)
#define PEAK_STEPS 64

static int64_t KERNEL(int8_peak)(int64_t n_rounds, float *sink) {
  vi32 sums[PEAK_CHAINS];
  vi32 codes = v_iset1(0x01000100), w = v_iset1(0x00010001);
  KERNEL_UNROLL
  for (int i = 0; i < PEAK_CHAINS; i++) sums[i] = v_iset1(i);
  for (int64_t round = 0; round < n_rounds; round++) {
    for (int step = 0; step < PEAK_STEPS; step++) {
      KERNEL_UNROLL
      for (int i = 0; i < PEAK_CHAINS; i++) sums[i] = v_dot4(sums[i], codes, w);
      KERNEL_UNROLL
      for (int i = 0; i < PEAK_CHAINS; i++) sums[i] = v_keep(sums[i]); // no sum is worked out beforehand
    }
  }
  vf32 total = v_from_int(sums[0]);
  KERNEL_UNROLL
  for (int i = 1; i < PEAK_CHAINS; i++) total = total + v_from_int(sums[i]);
  float lanes[V_LANES];
  v_store(lanes, total);
  *sink = lanes[0];
  return n_rounds * PEAK_STEPS * PEAK_CHAINS * V_LANES * 8;
}

#undef PEAK_CHAINS
#undef PEAK_STEPS
