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
#define OUTER_ROWS 6 // 24 accumulators
#define OUTER_VECTORS 4
#elif V_REGISTERS >= 32
#define OUTER_ROWS 5 // 20 accumulators
#define OUTER_VECTORS 4
#elif V_LANES > 1
#define OUTER_ROWS 6 // 12 accumulators
#define OUTER_VECTORS 2
#else
#define OUTER_ROWS 1
#define OUTER_VECTORS 2
#endif
#define OUTER_AHEAD 40       // pairs between asking for rows and reading them: a tile takes few cycles for each
#define OUTER_LINE_FLOATS 16 // of a cache line

/// Asks for the rows of a pair that comes later, also of the lists behind this one.
static LAT_ALWAYS_INLINE void KERNEL(outer_prefetch)(const lat__outer_gemm_args *args, int64_t p) {
  if (p + OUTER_AHEAD >= args->n_ahead) return;
  const float *x = args->x + args->in_rows[p + OUTER_AHEAD] * args->x_stride;
  const float *g = args->g + args->out_rows[p + OUTER_AHEAD] * args->g_stride;
  for (int64_t c = 0; c < args->c_in; c += OUTER_LINE_FLOATS) __builtin_prefetch(x + c);
  for (int64_t c = 0; c < args->c_out; c += OUTER_LINE_FLOATS) __builtin_prefetch(g + c);
}

/// One tile at (ci, co). `rows`, `vectors`, `whole`, `gathers` and `asks` (for rows that come later) are constants where
/// this is inlined; `lanes` of the last vector count.
static LAT_ALWAYS_INLINE void KERNEL(outer_tile)(const lat__outer_gemm_args *args, int64_t ci, int64_t co,
                                                 const int rows, const int vectors, const bool whole, int64_t lanes,
                                                 const bool gathers, const bool asks) {
  vf32 acc[OUTER_ROWS][OUTER_VECTORS];
  float *y = args->y + ci * args->y_stride + co;
  const float *x_first = args->x + ci, *g_first = args->g + co;
  KERNEL_UNROLL
  for (int i = 0; i < rows; i++) {
    KERNEL_UNROLL
    for (int j = 0; j < vectors; j++) {
      const float *at = y + i * args->y_stride + j * V_LANES;
      acc[i][j] = whole ? v_load(at) : v_load_n(at, lanes);
    }
  }
  for (int64_t p = 0; p < args->n_pairs; p++) {
    const float *x = x_first + (gathers ? args->in_rows[p] : p) * args->x_stride;
    const float *g = g_first + (gathers ? args->out_rows[p] : p) * args->g_stride;
    vf32 columns[OUTER_VECTORS];
    if (asks) KERNEL(outer_prefetch)(args, p);
    KERNEL_UNROLL
    for (int j = 0; j < vectors; j++) columns[j] = whole ? v_load(g + j * V_LANES) : v_load_n(g, lanes);
    KERNEL_UNROLL
    for (int i = 0; i < rows; i++) {
      vf32 value = v_set1(x[i]);
      KERNEL_UNROLL
      for (int j = 0; j < vectors; j++) acc[i][j] = v_fma(value, columns[j], acc[i][j]);
    }
  }
  KERNEL_UNROLL
  for (int i = 0; i < rows; i++) {
    KERNEL_UNROLL
    for (int j = 0; j < vectors; j++) {
      float *at = y + i * args->y_stride + j * V_LANES;
      if (whole) {
        v_store(at, acc[i][j]);
      } else {
        v_store_n(at, acc[i][j], lanes);
      }
    }
  }
}

/// All rows of a strip of columns; its first tile asks. Tiles of OUTER_ROWS and of one less cover most numbers of rows
/// without a small rest.
static LAT_ALWAYS_INLINE void KERNEL(outer_strip)(const lat__outer_gemm_args *args, int64_t co, const int vectors,
                                                  const bool whole, int64_t lanes, const bool gathers,
                                                  const bool asks) {
  int64_t ci = 0;
  bool done = !asks;
#if OUTER_ROWS > 1
  int64_t n_less = (OUTER_ROWS - args->c_in % OUTER_ROWS) % OUTER_ROWS;
  if (n_less * (OUTER_ROWS - 1) > args->c_in) n_less = 0;
  if (!done && n_less > 0) {
    KERNEL(outer_tile)(args, 0, co, OUTER_ROWS - 1, vectors, whole, lanes, gathers, asks);
    ci = OUTER_ROWS - 1;
    n_less--;
    done = true;
  }
  for (; n_less > 0; n_less--, ci += OUTER_ROWS - 1) {
    KERNEL(outer_tile)(args, ci, co, OUTER_ROWS - 1, vectors, whole, lanes, gathers, false);
  }
#endif
  if (!done && ci + OUTER_ROWS <= args->c_in) {
    KERNEL(outer_tile)(args, ci, co, OUTER_ROWS, vectors, whole, lanes, gathers, asks);
    ci += OUTER_ROWS;
  }
  for (; ci + OUTER_ROWS <= args->c_in; ci += OUTER_ROWS) {
    KERNEL(outer_tile)(args, ci, co, OUTER_ROWS, vectors, whole, lanes, gathers, false);
  }
#if OUTER_ROWS > 1
  int64_t left = args->c_in - ci;
  if (left >= 4) {
    KERNEL(outer_tile)(args, ci, co, 4, vectors, whole, lanes, gathers, false);
    ci += 4, left -= 4;
  }
  if (left >= 2) {
    KERNEL(outer_tile)(args, ci, co, 2, vectors, whole, lanes, gathers, false);
    ci += 2, left -= 2;
  }
  if (left == 1) KERNEL(outer_tile)(args, ci, co, 1, vectors, whole, lanes, gathers, false);
#endif
}

static LAT_ALWAYS_INLINE void KERNEL(outer_strips)(const lat__outer_gemm_args *args, const bool gathers) {
  int64_t co = 0;
  if (gathers && OUTER_VECTORS * V_LANES <= args->c_out) {
    KERNEL(outer_strip)(args, 0, OUTER_VECTORS, true, V_LANES, gathers, true);
    co = OUTER_VECTORS * V_LANES;
  }
  for (; co + OUTER_VECTORS * V_LANES <= args->c_out; co += OUTER_VECTORS * V_LANES) {
    KERNEL(outer_strip)(args, co, OUTER_VECTORS, true, V_LANES, gathers, false);
  }
  for (; co < args->c_out; co += V_LANES) {
    int64_t lanes = args->c_out - co;
    if (lanes >= V_LANES) {
      KERNEL(outer_strip)(args, co, 1, true, V_LANES, gathers, false);
    } else {
      KERNEL(outer_strip)(args, co, 1, false, lanes, gathers, false);
    }
  }
}

static void KERNEL(outer_gemm_f32)(const lat__outer_gemm_args *args) {
  if (args->in_rows) {
    KERNEL(outer_strips)(args, true);
  } else {
    KERNEL(outer_strips)(args, false);
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

#undef OUTER_ROWS
#undef OUTER_VECTORS
#undef OUTER_AHEAD
#undef OUTER_LINE_FLOATS
