// gather_gemm_f32's twin for quantized rows and weights: y[out(p)] += s (W codes . x codes, scaled group by group).
//
//                         pairs of channels of W: (c_in / 2, vectors * V_LANES, 2) int16
//     x[in(0)] ── broadcast 2 codes ─▶ acc[0][0]  acc[0][1]     int32 sums of one group of channels; after each group they
//       …                                 …          …          are scaled in float32 and added to rows of y
//     x[in(R-1)]                       acc[R-1][0] …
//
// A product of an 8-bit code and a weight code fits 16 x 16 bits, and so does the sum of two of them in 32: nothing
// saturates. One multiply-add of pairs and one addition do the work of two float32 multiply-adds.

#define DOT_MAX_ROWS 8
#define DOT_AHEAD 16      // pairs from here to the prefetched ones
#define DOT_LINE_CODES 32 // of a cache line

/// Where the rows of a tile lie.
typedef struct dot_rows {
  const int16_t *x[DOT_MAX_ROWS];
  const float *sums[DOT_MAX_ROWS];
  float scale[DOT_MAX_ROWS];
  float *y[DOT_MAX_ROWS];
} dot_rows;

/// One tile: `rows` and `vectors` are constants where this is inlined.
static LAT_ALWAYS_INLINE void KERNEL(dot_tile)(const lat__dot_gemm_args *args, const dot_rows *at, int64_t column,
                                               const int rows, const int vectors) {
  const int16_t *w = args->w + column * args->c_in;
  for (int64_t g = 0; g < args->n_groups; g++) {
    int64_t first = g * args->group_size;
    int64_t end = first + args->group_size < args->c_in ? first + args->group_size : args->c_in;
    vi32 acc[DOT_MAX_ROWS][GEMM_VECTORS];
    KERNEL_UNROLL
    for (int i = 0; i < rows; i++) {
      KERNEL_UNROLL
      for (int j = 0; j < vectors; j++) acc[i][j] = v_izero();
    }
    for (int64_t ci = first; ci < end; ci += 2, w += 2 * vectors * V_LANES) {
      vi32 panel[GEMM_VECTORS];
      KERNEL_UNROLL
      for (int j = 0; j < vectors; j++) panel[j] = v_load_pairs(w + 2 * j * V_LANES);
      KERNEL_UNROLL
      for (int i = 0; i < rows; i++) {
        vi32 pair = v_set1_pair(at->x[i] + ci);
        KERNEL_UNROLL
        for (int j = 0; j < vectors; j++) acc[i][j] = v_dot2(acc[i][j], pair, panel[j]);
        v_fence();
      }
    }
    KERNEL_UNROLL
    for (int i = 0; i < rows; i++) {
      KERNEL_UNROLL
      for (int j = 0; j < vectors; j++) acc[i][j] = v_keep(acc[i][j]);
    }
    const float *scale = args->w_scale + g * args->columns + column, *bias = args->w_bias + g * args->columns + column;
    KERNEL_UNROLL
    for (int i = 0; i < rows; i++) {
      vf32 sum = v_set1(at->sums[i][g]), row_scale = v_set1(at->scale[i]);
      KERNEL_UNROLL
      for (int j = 0; j < vectors; j++) {
        vf32 shift = sum * v_load(bias + j * V_LANES);
        vf32 value = v_fma(v_from_int(acc[i][j]), v_load(scale + j * V_LANES), shift);
        v_store(at->y[i] + j * V_LANES, v_fma(row_scale, value, v_load(at->y[i] + j * V_LANES)));
      }
    }
  }
}

/// Row i of a tile is pair p.
static LAT_ALWAYS_INLINE void KERNEL(dot_locate)(const lat__dot_gemm_args *args, int64_t p, int64_t column, int i,
                                                 dot_rows *at) {
  int64_t in = args->in_rows ? args->in_rows[p] : p;
  at->x[i] = args->x + in * args->c_in;
  at->sums[i] = args->x_sums + in * args->n_groups;
  at->scale[i] = args->x_scale[in];
  at->y[i] = args->y + (args->out_rows ? args->out_rows[p] : p) * args->y_stride + column;
}

/// As gemm_prefetch.
static LAT_ALWAYS_INLINE void KERNEL(dot_prefetch)(const lat__dot_gemm_args *args, int64_t first, int rows) {
  const int64_t ahead = first + DOT_AHEAD;
  if (ahead + rows > args->n_ahead) return;
  KERNEL_UNROLL
  for (int i = 0; i < rows; i++) {
    const int16_t *row = args->x + args->in_rows[ahead + i] * args->c_in;
    for (int64_t c = 0; c < args->c_in; c += DOT_LINE_CODES) __builtin_prefetch(row + c);
  }
}

/// All pairs times one panel of `vectors` vectors (a constant where this is inlined).
static LAT_ALWAYS_INLINE void KERNEL(dot_panel)(const lat__dot_gemm_args *args, int64_t column, const int vectors) {
  const int rows = KERNEL(gemm_tile_rows)(vectors);
  dot_rows at;
  int64_t p = 0;
  for (; p + rows <= args->n_pairs; p += rows) {
    if (column == 0) KERNEL(dot_prefetch)(args, p, rows);
    KERNEL_UNROLL
    for (int i = 0; i < rows; i++) KERNEL(dot_locate)(args, p + i, column, i, &at);
    KERNEL(dot_tile)(args, &at, column, rows, vectors);
  }
  // Less than a tile is left: missing rows read a real one and write to a spare one.
  int left = (int)(args->n_pairs - p);
  if (left == 0) return;
  float spare[GEMM_VECTORS * V_LANES] = {0};
  for (int i = 0; i < rows; i++) {
    KERNEL(dot_locate)(args, p + (i < left ? i : 0), column, i, &at);
    if (i >= left) at.y[i] = spare;
  }
  KERNEL(dot_tile)(args, &at, column, rows, vectors);
}

static void KERNEL(dot_gemm_i16)(const lat__dot_gemm_args *args) {
  int64_t column = 0;
  for (; column + GEMM_VECTORS * V_LANES <= args->columns; column += GEMM_VECTORS * V_LANES) {
    KERNEL(dot_panel)(args, column, GEMM_VECTORS);
  }
  int64_t vectors_left = (args->columns - column) / V_LANES;
  if (vectors_left == 1) KERNEL(dot_panel)(args, column, 1);
#if GEMM_VECTORS > 2
  if (vectors_left == 2) KERNEL(dot_panel)(args, column, 2);
  if (vectors_left == 3) KERNEL(dot_panel)(args, column, 3);
#endif
}

#undef DOT_MAX_ROWS
#undef DOT_AHEAD
#undef DOT_LINE_CODES

/// Codes and sums of one row whose scale is known; `scale` 0: codes 0.
static LAT_ALWAYS_INLINE void KERNEL(quantize_row)(const float *restrict x, int64_t channels, int64_t group_size,
                                                   float scale, int16_t *restrict codes, float *restrict sums) {
  const float divisor = scale > 0.0f ? scale : 1.0f; // a scale of 0: every x is 0, or too small to count
  for (int64_t c = 0; c < channels; c++) {
    const float shifted = x[c] / divisor + 0x1.8p23f; // the low bits are the nearest integer, ties to even
    int32_t code;
    memcpy(&code, &shifted, sizeof code);
    code -= 0x4B400000;
    code = code > 127 ? 127 : code; // a subnormal scale may be too small
    code = code < -127 ? -127 : code;
    codes[c] = (int16_t)code;
  }
  for (int64_t g = 0; g * group_size < channels; g++) {
    int64_t end = (g + 1) * group_size < channels ? (g + 1) * group_size : channels;
    int32_t sum = 0;
    for (int64_t c = g * group_size; c < end; c++) sum += codes[c];
    sums[g] = (float)sum;
  }
}

static void KERNEL(quantize_rows_i16)(const float *x, int64_t n_rows, int64_t channels, int64_t group_size,
                                      int16_t *codes, float *scales, float *sums) {
  const int64_t stride = channels + channels % 2, n_groups = (channels + group_size - 1) / group_size;
  for (int64_t r = 0; r < n_rows; r++) {
    const float *row = x + r * channels;
    uint32_t most = 0; // magnitudes compare like their bits
    for (int64_t c = 0; c < channels; c++) {
      uint32_t bits;
      memcpy(&bits, row + c, sizeof bits);
      bits &= 0x7FFFFFFFu;
      most = bits > most ? bits : most;
    }
    float magnitude;
    memcpy(&magnitude, &most, sizeof magnitude);
    bool finite = most < 0x7F800000u;
    scales[r] = finite ? magnitude / 127.0f : NAN;
    if (channels % 2) codes[r * stride + channels] = 0;
    if (finite) {
      KERNEL(quantize_row)(row, channels, group_size, scales[r], codes + r * stride, sums + r * n_groups);
    } else {
      memset(codes + r * stride, 0, (size_t)channels * sizeof *codes);
      memset(sums + r * n_groups, 0, (size_t)n_groups * sizeof *sums);
    }
  }
}
