// Convolution of few input channels (the stem of a network): y[r] = sum over the edges of output row r of x[in] W[kernel].
//
//     edges of row r    (in, k)  (in, k)  (in, k)         sums of a row: registers from its first edge to its last, stored
//                          |        |        |            once. Rows are short chains; the machine overlaps them by itself,
//     acc[0 .. V-1]  +=  x[in][ci] * w[k][ci][0 .. V-1]   since no row waits for another.
//
// gather_gemm_f32 loads and stores y for every edge, which few input channels do not pay for.

#define ROW_GEMM_VECTORS (V_LANES >= 16 ? 4 : 8) // of a full panel: 64 columns of x86's vectors, 32 of Arm's
#define ROW_GEMM_MAX_VECTORS 8
#define ROW_GEMM_AHEAD 24 // edges from here to the prefetched one

/// All rows times one panel of `vectors` vectors; `vectors` and `c_in` (0: args->c_in) are constants where this is inlined.
static LAT_ALWAYS_INLINE void KERNEL(row_gemm_panel)(const lat__row_gemm_args *args, int64_t column, const int vectors,
                                                     const int64_t fixed_c_in) {
  const int64_t c_in = fixed_c_in > 0 ? fixed_c_in : args->c_in, first = args->begins[0];
  const int64_t end = args->begins[args->n_rows];
  const float *panel = args->w + column * c_in;
  for (int64_t r = 0; r < args->n_rows; r++) {
    vf32 acc[ROW_GEMM_MAX_VECTORS];
    KERNEL_UNROLL
    for (int j = 0; j < vectors; j++) acc[j] = v_set1(0.0f);
    for (int64_t e = args->begins[r]; e < args->begins[r + 1]; e++) {
      const float *x = args->x + (args->in_rows ? args->in_rows[e] : e - first) * args->x_stride;
      const float *w = panel + args->kernels[e] * args->kernel_floats;
      if (args->in_rows && e + ROW_GEMM_AHEAD < end) {
        __builtin_prefetch(args->x + args->in_rows[e + ROW_GEMM_AHEAD] * args->x_stride);
      }
      for (int64_t ci = 0; ci < c_in; ci++, w += vectors * V_LANES) {
        vf32 value = v_set1(x[ci]);
        KERNEL_UNROLL
        for (int j = 0; j < vectors; j++) acc[j] = v_fma(value, v_load(w + j * V_LANES), acc[j]);
      }
    }
    float *y = args->y + r * args->y_stride + column;
    KERNEL_UNROLL
    for (int j = 0; j < vectors; j++) v_store(y + j * V_LANES, acc[j]);
  }
}

static void KERNEL(row_gemm_some)(const lat__row_gemm_args *args, int64_t column, int vectors) {
  switch (vectors) {
  case 1:
    KERNEL(row_gemm_panel)(args, column, 1, 0);
    break;
  case 2:
    KERNEL(row_gemm_panel)(args, column, 2, 0);
    break;
  case 3:
    KERNEL(row_gemm_panel)(args, column, 3, 0);
    break;
  case 4:
    KERNEL(row_gemm_panel)(args, column, 4, 0);
    break;
  case 5:
    KERNEL(row_gemm_panel)(args, column, 5, 0);
    break;
  case 6:
    KERNEL(row_gemm_panel)(args, column, 6, 0);
    break;
  case 7:
    KERNEL(row_gemm_panel)(args, column, 7, 0);
    break;
  default:
    KERNEL(row_gemm_panel)(args, column, 8, 0);
    break;
  }
}

static void KERNEL(row_gemm_f32)(const lat__row_gemm_args *args) {
  for (int64_t column = 0; column < args->columns; column += ROW_GEMM_VECTORS * V_LANES) {
    int64_t vectors = (args->columns - column) / V_LANES;
    KERNEL(row_gemm_some)(args, column, (int)(vectors < ROW_GEMM_VECTORS ? vectors : ROW_GEMM_VECTORS));
  }
}

#undef ROW_GEMM_MAX_VECTORS
#undef ROW_GEMM_AHEAD
