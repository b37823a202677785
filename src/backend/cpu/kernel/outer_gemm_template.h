// Weight gradients: y += x[in(p)]^T g[out(p)] over a list of pairs p under one kernel element.
//
//                          columns of g: vectors * V_LANES channels of row out(p)
//                          ┌──────────┬──────────┐
//                        p │ g[p][0]  │ g[p][1]  │
//                          └──────────┴──────────┘
//     x[p][ci]    ── broadcast ─▶ acc[0][0]  acc[0][1]       accumulators: registers over all pairs, loaded from and
//     x[p][ci+1]  ── broadcast ─▶ acc[1][0]  acc[1][1]       stored to y
//       …                          …          …
//
// Each element of y is one fma chain over the pairs, so every level has the same bits. A tile of R rows and V vectors does
// R * V fma for V loads and R broadcasts each pair; R * V + V + 1 registers bound it, and 8 chains must be under way.

#if V_REGISTERS >= 32 && V_LANES >= 16
#define OUTER_VECTORS                                                                                                  \
  4 // of a full strip of columns; OUTER_ROWS_n: rows of a tile of n vectors, at most 24 accumulators
#define OUTER_ROWS_1 16
#define OUTER_ROWS_2 11
#define OUTER_ROWS_3 8
#define OUTER_ROWS_4 6
#elif V_REGISTERS >= 32
#define OUTER_VECTORS 4 // 20 accumulators
#define OUTER_ROWS_1 16
#define OUTER_ROWS_2 10
#define OUTER_ROWS_3 6
#define OUTER_ROWS_4 5
#elif V_LANES > 1
#define OUTER_VECTORS 2 // 12 accumulators
#define OUTER_ROWS_1 8
#define OUTER_ROWS_2 6
#else
#define OUTER_VECTORS 2
#define OUTER_ROWS_1 1
#define OUTER_ROWS_2 1
#endif
#define OUTER_MAX_ROWS 16
#define OUTER_AHEAD 40       // pairs between asking for rows and reading them: a tile takes few cycles for each
#define OUTER_LINE_FLOATS 16 // of a cache line

/// Asks for the rows of a pair that comes later, also of the lists behind this one.
static LAT_ALWAYS_INLINE void KERNEL(outer_prefetch)(const lat__outer_gemm_args *args, int64_t p) {
  const float *x = args->x + args->in_rows[p + OUTER_AHEAD] * args->x_stride;
  const float *g = args->g + args->out_rows[p + OUTER_AHEAD] * args->g_stride;
  for (int64_t c = 0; c < args->c_in; c += OUTER_LINE_FLOATS) __builtin_prefetch(x + c);
  for (int64_t c = 0; c < args->c_out; c += OUTER_LINE_FLOATS) __builtin_prefetch(g + c);
}

/// Columns from `co` on: whole vectors, or the first `lanes` of one. All but `co` and `lanes` are constants where this is
/// inlined.
typedef struct outer_columns {
  int64_t co, lanes;
  int rows, vectors; ///< of a tile
  bool whole, gathers;
} outer_columns;

/// The product of one pair, `rows` (a constant) channels from `x` on.
static LAT_ALWAYS_INLINE void KERNEL(outer_pair)(const outer_columns *at, const float *x, const float *g,
                                                 const int rows, vf32 (*acc)[OUTER_VECTORS]) {
  vf32 columns[OUTER_VECTORS];
  KERNEL_UNROLL
  for (int j = 0; j < at->vectors; j++) columns[j] = at->whole ? v_load(g + j * V_LANES) : v_load_n(g, at->lanes);
  KERNEL_UNROLL
  for (int i = 0; i < rows; i++) {
    vf32 value = v_set1(x[i]);
    KERNEL_UNROLL
    for (int j = 0; j < at->vectors; j++) acc[i][j] = v_fma(value, columns[j], acc[i][j]);
  }
}

/// All pairs of the lists; see outer_tile.
static LAT_ALWAYS_INLINE void KERNEL(outer_gathered)(const lat__outer_gemm_args *args, const outer_columns *at,
                                                     const float *x, const float *g, const int rows, int64_t n_asked,
                                                     vf32 (*acc)[OUTER_VECTORS]) {
  const int32_t *in = args->in_rows;
  const uint16_t *out = args->out_rows;
  int64_t p = 0;
  for (; p < n_asked; p++) {
    KERNEL(outer_prefetch)(args, p);
    KERNEL(outer_pair)(at, x + in[p] * args->x_stride, g + out[p] * args->g_stride, rows, acc);
  }
  for (; p + 2 <= args->n_pairs; p += 2) {
    KERNEL(outer_pair)(at, x + in[p] * args->x_stride, g + out[p] * args->g_stride, rows, acc);
    KERNEL(outer_pair)(at, x + in[p + 1] * args->x_stride, g + out[p + 1] * args->g_stride, rows, acc);
  }
  if (p < args->n_pairs) KERNEL(outer_pair)(at, x + in[p] * args->x_stride, g + out[p] * args->g_stride, rows, acc);
}

/// All pairs, rows one behind the other.
static LAT_ALWAYS_INLINE void KERNEL(outer_contiguous)(const lat__outer_gemm_args *args, const outer_columns *at,
                                                       const float *x, const float *g, const int rows,
                                                       vf32 (*acc)[OUTER_VECTORS]) {
  for (int64_t p = 0; p < args->n_pairs; p++, x += args->x_stride, g += args->g_stride) {
    KERNEL(outer_pair)(at, x, g, rows, acc);
  }
}

/// One tile of `rows` (a constant) at (ci, at->co). Rows of the pairs that come OUTER_AHEAD behind the first n_asked are asked
/// for.
static LAT_ALWAYS_INLINE void KERNEL(outer_tile)(const lat__outer_gemm_args *args, const outer_columns *at, int64_t ci,
                                                 const int rows, int64_t n_asked) {
  vf32 acc[OUTER_MAX_ROWS][OUTER_VECTORS];
  float *y = args->y + ci * args->y_stride + at->co;
  const float *x = args->x + ci, *g = args->g + at->co;
  LAT_FORGET(x);
  LAT_FORGET(g);
  KERNEL_UNROLL
  for (int i = 0; i < rows; i++) {
    KERNEL_UNROLL
    for (int j = 0; j < at->vectors; j++) {
      const float *sums = y + i * args->y_stride + j * V_LANES;
      acc[i][j] = at->whole ? v_load(sums) : v_load_n(sums, at->lanes);
    }
  }
  if (at->gathers) {
    KERNEL(outer_gathered)(args, at, x, g, rows, n_asked, acc);
  } else {
    KERNEL(outer_contiguous)(args, at, x, g, rows, acc);
  }
  KERNEL_UNROLL
  for (int i = 0; i < rows; i++) {
    KERNEL_UNROLL
    for (int j = 0; j < at->vectors; j++) {
      float *sums = y + i * args->y_stride + j * V_LANES;
      if (at->whole) {
        v_store(sums, acc[i][j]);
      } else {
        v_store_n(sums, acc[i][j], at->lanes);
      }
    }
  }
}

/// All rows of some columns; the first tile of the first ones asks. Tiles of at->rows and of one less cover most numbers of
/// rows without a small rest.
static LAT_ALWAYS_INLINE void KERNEL(outer_strip)(const lat__outer_gemm_args *args, const outer_columns *at) {
  const int rows = at->rows;
  int64_t ci = 0, n_asked = at->co == 0 ? args->n_ahead - OUTER_AHEAD : 0;
  if (n_asked > args->n_pairs) n_asked = args->n_pairs;
  int64_t n_less = rows > 1 ? (rows - args->c_in % rows) % rows : 0;
  if (n_less * (rows - 1) > args->c_in) n_less = 0;
  for (; rows > 1 && n_less > 0; n_less--, ci += rows - 1, n_asked = 0) {
    KERNEL(outer_tile)(args, at, ci, rows > 1 ? rows - 1 : 1, n_asked);
  }
  for (; ci + rows <= args->c_in; ci += rows, n_asked = 0) KERNEL(outer_tile)(args, at, ci, rows, n_asked);
  for (; rows > 8 && ci + 8 <= args->c_in; ci += 8, n_asked = 0) KERNEL(outer_tile)(args, at, ci, 8, n_asked);
  for (; rows > 4 && ci + 4 <= args->c_in; ci += 4, n_asked = 0) KERNEL(outer_tile)(args, at, ci, 4, n_asked);
  for (; rows > 2 && ci + 2 <= args->c_in; ci += 2, n_asked = 0) KERNEL(outer_tile)(args, at, ci, 2, n_asked);
  for (; rows > 1 && ci < args->c_in; ci++, n_asked = 0) KERNEL(outer_tile)(args, at, ci, 1, n_asked);
}

static LAT_ALWAYS_INLINE void KERNEL(outer_strips)(const lat__outer_gemm_args *args, const bool gathers) {
  int64_t co = 0;
#if OUTER_VECTORS > 2
  for (; co + 4 * V_LANES <= args->c_out; co += 4 * V_LANES) {
    KERNEL(outer_strip)(args, &(outer_columns){co, V_LANES, OUTER_ROWS_4, 4, true, gathers});
  }
  if (co + 3 * V_LANES <= args->c_out) {
    KERNEL(outer_strip)(args, &(outer_columns){co, V_LANES, OUTER_ROWS_3, 3, true, gathers});
    co += 3 * V_LANES;
  }
#endif
  for (; co + 2 * V_LANES <= args->c_out; co += 2 * V_LANES) {
    KERNEL(outer_strip)(args, &(outer_columns){co, V_LANES, OUTER_ROWS_2, 2, true, gathers});
  }
  if (co + V_LANES <= args->c_out) {
    KERNEL(outer_strip)(args, &(outer_columns){co, V_LANES, OUTER_ROWS_1, 1, true, gathers});
    co += V_LANES;
  }
  if (co < args->c_out) {
    KERNEL(outer_strip)(args, &(outer_columns){co, args->c_out - co, OUTER_ROWS_1, 1, false, gathers});
  }
}

static void KERNEL(outer_gemm_f32)(const lat__outer_gemm_args *args) {
  const lat__outer_gemm_args own = *args; // stays in registers: no store to y can change it
  if (own.in_rows) {
    KERNEL(outer_strips)(&own, true);
  } else {
    KERNEL(outer_strips)(&own, false);
  }
}

static void KERNEL(gather_rows_f32)(const float *x, const int32_t *in_rows, int64_t n_rows, int64_t channels,
                                    float *rows, int64_t rows_stride) {
  for (int64_t p = 0; p < n_rows; p++) {
    const float *source = x + in_rows[p] * channels;
    float *target = rows + p * rows_stride;
    int64_t c = 0;
    for (; c + V_LANES <= channels; c += V_LANES) v_store(target + c, v_load(source + c));
    for (; c < channels; c++) target[c] = source[c];
  }
}

#undef OUTER_VECTORS
#undef OUTER_ROWS_1
#undef OUTER_ROWS_2
#undef OUTER_ROWS_3
#undef OUTER_ROWS_4
#undef OUTER_MAX_ROWS
#undef OUTER_AHEAD
#undef OUTER_LINE_FLOATS
