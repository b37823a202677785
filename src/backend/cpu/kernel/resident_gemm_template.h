// gather_gemm_f32 for few input channels: the weights stay in registers, pairs stream past them.
//
//     w[ci][0 .. V-1]  all of it: registers for the whole list
//     y[out(p)]  += x[in(p)][ci] * w[ci], ci ascending          a load and a store of sums for every pair, but no load of weights
//
// A pair is a short chain of dependent multiply-adds for each vector; RESIDENT_PAIRS of them go side by side.

#define RESIDENT_WEIGHTS (V_REGISTERS / 2) // vectors of weights, half the registers
#define RESIDENT_PAIRS (V_REGISTERS / 4)   // at most
#define RESIDENT_AHEAD 32                  // pairs between asking for a row and reading it

typedef struct resident_panel {
  const float *w;
  int64_t w_stride; ///< floats from one input channel to the next
  int64_t column;
} resident_panel;

/// `pairs` pairs from p on. The last three are constants where this is inlined.
static LAT_ALWAYS_INLINE void KERNEL(resident_pairs)(const lat__gather_gemm_args *args, int64_t p, int64_t column,
                                                     const vf32 *w, const int pairs, const int c_in,
                                                     const int vectors) {
  const float *x[RESIDENT_PAIRS];
  float *y[RESIDENT_PAIRS];
  vf32 acc[RESIDENT_PAIRS][4];
  KERNEL_UNROLL
  for (int i = 0; i < pairs; i++) {
    x[i] = args->x + args->in_rows[p + i] * args->x_stride;
    y[i] = args->y + args->out_rows[p + i] * args->y_stride + column;
    if (column == 0 && p + i + RESIDENT_AHEAD < args->n_ahead) {
      __builtin_prefetch(args->x + args->in_rows[p + i + RESIDENT_AHEAD] * args->x_stride);
    }
    KERNEL_UNROLL
    for (int j = 0; j < vectors; j++) acc[i][j] = v_load(y[i] + j * V_LANES);
  }
  KERNEL_UNROLL
  for (int ci = 0; ci < c_in; ci++) {
    KERNEL_UNROLL
    for (int i = 0; i < pairs; i++) {
      vf32 value = v_set1(x[i][ci]);
      KERNEL_UNROLL
      for (int j = 0; j < vectors; j++) acc[i][j] = v_fma(value, w[ci * vectors + j], acc[i][j]);
    }
  }
  KERNEL_UNROLL
  for (int i = 0; i < pairs; i++) {
    KERNEL_UNROLL
    for (int j = 0; j < vectors; j++) v_store(y[i] + j * V_LANES, acc[i][j]);
  }
}

/// All pairs times `vectors` vectors of a panel.
static LAT_ALWAYS_INLINE void KERNEL(resident_panel)(const lat__gather_gemm_args *shared, const resident_panel *panel,
                                                     const int c_in, const int vectors) {
  const int pairs = vectors > 1 ? 2 : c_in < 8 ? 4 : RESIDENT_PAIRS;
  lat__gather_gemm_args args = *shared; // a copy stays in registers: no store to y can change it
  vf32 w[RESIDENT_WEIGHTS];
  KERNEL_UNROLL
  for (int ci = 0; ci < c_in; ci++) {
    KERNEL_UNROLL
    for (int j = 0; j < vectors; j++) w[ci * vectors + j] = v_load(panel->w + ci * panel->w_stride + j * V_LANES);
  }
  int64_t p = 0;
  for (; p + pairs <= args.n_pairs; p += pairs) {
    KERNEL(resident_pairs)(&args, p, panel->column, w, pairs, c_in, vectors);
  }
  for (; p < args.n_pairs; p++) KERNEL(resident_pairs)(&args, p, panel->column, w, 1, c_in, vectors);
}

/// All columns. Slices of as many vectors as there are registers for, then of one.
static LAT_ALWAYS_INLINE void KERNEL(resident_columns)(const lat__gather_gemm_args *args, const int c_in) {
  const int most = RESIDENT_WEIGHTS / c_in, vectors = most >= 4 ? 4 : most >= 2 ? 2 : 1;
  const int64_t full = GEMM_VECTORS * V_LANES;
  for (int64_t first = 0; first < args->columns; first += full) {
    int64_t width = args->columns - first < full ? args->columns - first : full, at = 0;
    resident_panel panel = {.w_stride = width};
    for (; at + vectors * V_LANES <= width; at += vectors * V_LANES) {
      panel.w = args->w + first * c_in + at;
      panel.column = first + at;
      KERNEL(resident_panel)(args, &panel, c_in, vectors);
    }
#if RESIDENT_WEIGHTS > 8
    for (; vectors == 4 && at + 2 * V_LANES <= width; at += 2 * V_LANES) {
      panel.w = args->w + first * c_in + at;
      panel.column = first + at;
      KERNEL(resident_panel)(args, &panel, c_in, 2);
    }
#endif
    for (; vectors > 1 && at < width; at += V_LANES) {
      panel.w = args->w + first * c_in + at;
      panel.column = first + at;
      KERNEL(resident_panel)(args, &panel, c_in, 1);
    }
  }
}

#define RESIDENT_CASE(c_in)                                                                                            \
  case c_in:                                                                                                           \
    KERNEL(resident_columns)(args, c_in);                                                                              \
    return true

/// False: too many input channels, nothing is done. Both lists are there.
static bool KERNEL(resident_gemm)(const lat__gather_gemm_args *args) {
  switch (args->c_in) {
    RESIDENT_CASE(1);
    RESIDENT_CASE(2);
    RESIDENT_CASE(3);
    RESIDENT_CASE(4);
    RESIDENT_CASE(5);
    RESIDENT_CASE(6);
    RESIDENT_CASE(7);
    RESIDENT_CASE(8);
#if RESIDENT_WEIGHTS >= 16
    RESIDENT_CASE(16);
#endif
  default:
    return false;
  }
}

#undef RESIDENT_CASE
#undef RESIDENT_WEIGHTS
#undef RESIDENT_PAIRS
#undef RESIDENT_AHEAD
