// Weight gradients: y += x[in(p)]^T g[out(p)] over a list of pairs p under one kernel element.
//
// A tile of rows of y (channels of x) and vectors of columns (channels of g) stays in registers while the pairs go by;
// each element is one fma chain over the pairs, so every level has the same bits.

#if V_REGISTERS >= 32
#define OUTER_ROWS 8
#elif V_LANES > 1
#define OUTER_ROWS 4
#else
#define OUTER_ROWS 1
#endif
#define OUTER_VECTORS 2

/// One tile at (ci, co). `rows` and `vectors` are constants where this is inlined; `lanes` of the last vector count.
static LAT_ALWAYS_INLINE void KERNEL(outer_tile)(const lat__outer_gemm_args *args, int64_t ci, int64_t co,
                                                 const int rows, const int vectors, const bool whole, int64_t lanes) {
  vf32 acc[OUTER_ROWS][OUTER_VECTORS];
  float *y = args->y + ci * args->y_stride + co;
  KERNEL_UNROLL
  for (int i = 0; i < rows; i++) {
    KERNEL_UNROLL
    for (int j = 0; j < vectors; j++) {
      const float *at = y + i * args->y_stride + j * V_LANES;
      acc[i][j] = whole ? v_load(at) : v_load_n(at, lanes);
    }
  }
  for (int64_t p = 0; p < args->n_pairs; p++) {
    const float *x = args->x + (args->in_rows ? args->in_rows[p] : p) * args->x_stride + ci;
    const float *g = args->g + (args->out_rows ? args->out_rows[p] : p) * args->g_stride + co;
    vf32 columns[OUTER_VECTORS];
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

/// All columns of `rows` rows of y from row ci on.
static LAT_ALWAYS_INLINE void KERNEL(outer_rows)(const lat__outer_gemm_args *args, int64_t ci, const int rows) {
  int64_t co = 0;
  for (; co + OUTER_VECTORS * V_LANES <= args->c_out; co += OUTER_VECTORS * V_LANES) {
    KERNEL(outer_tile)(args, ci, co, rows, OUTER_VECTORS, true, V_LANES);
  }
  for (; co < args->c_out; co += V_LANES) {
    int64_t lanes = args->c_out - co;
    if (lanes >= V_LANES) {
      KERNEL(outer_tile)(args, ci, co, rows, 1, true, V_LANES);
    } else {
      KERNEL(outer_tile)(args, ci, co, rows, 1, false, lanes);
    }
  }
}

static void KERNEL(outer_gemm_f32)(const lat__outer_gemm_args *args) {
  int64_t ci = 0;
  for (; ci + OUTER_ROWS <= args->c_in; ci += OUTER_ROWS) KERNEL(outer_rows)(args, ci, OUTER_ROWS);
#if OUTER_ROWS > 1
  for (; ci < args->c_in; ci++) KERNEL(outer_rows)(args, ci, 1);
#endif
}

#undef OUTER_ROWS
#undef OUTER_VECTORS
