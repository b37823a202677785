/// Checks of the convolution kernel by output rows. Part of checkasm.c, after check_conv.h.

/// `dense` (n_kernels, c_in, columns) as the panels that `table` reads.
static float *row_gemm_panels(const lat__cpu_kernels *table, const float *dense, int64_t n_kernels, int64_t c_in,
                              int64_t columns) {
  lat__cpu_kernels like = *table;
  float *panels = guarded_alloc((size_t)(n_kernels * c_in * columns) * sizeof(float));
  like.tile_vectors = table->row_vectors;
  for (int64_t k = 0; k < n_kernels; k++) {
    float *one = gemm_panels(&like, dense + k * c_in * columns, c_in, columns);
    memcpy(panels + k * c_in * columns, one, (size_t)(c_in * columns) * sizeof(float));
  }
  return panels;
}

static void check_row_gemm_case(const checker *c, int64_t n_rows, int64_t c_in, int64_t columns, bool gathers) {
  enum { N_KERNELS = 3, MOST_EDGES = 9, FIRST = 5 };
  int32_t *begins = guarded_alloc((size_t)(n_rows + 1) * sizeof *begins);
  begins[0] = FIRST; // the lists of other rows come first
  for (int64_t r = 0; r < n_rows; r++) begins[r + 1] = begins[r] + (int32_t)random_below(MOST_EDGES);
  int64_t n_lists = begins[n_rows], n_edges = n_lists - FIRST, n_x = gathers ? 1 + random_below(30) : n_edges;
  int64_t x_stride = c_in + random_below(3), y_stride = columns + random_below(3);
  int64_t x_floats = n_x > 0 ? (n_x - 1) * x_stride + c_in : 0;
  int64_t y_floats = n_rows > 0 ? (n_rows - 1) * y_stride + columns : 0;
  float *x = guarded_alloc((size_t)x_floats * sizeof *x);
  float *dense = guarded_alloc((size_t)(N_KERNELS * c_in * columns) * sizeof *dense);
  int32_t *in_rows = guarded_alloc((size_t)n_lists * sizeof *in_rows);
  int32_t *kernels = guarded_alloc((size_t)n_lists * sizeof *kernels);
  fill_floats(x, x_floats);
  fill_floats(dense, N_KERNELS * c_in * columns);
  for (int64_t e = 0; e < n_lists; e++) {
    in_rows[e] = (int32_t)(e + 1 == n_lists ? n_x - 1 : random_below(n_x > 0 ? n_x : 1));
    kernels[e] = (int32_t)random_below(N_KERNELS);
  }
  size_t bytes = (size_t)y_floats * sizeof(float);
  float *y[2] = {guarded_output(bytes, 64), guarded_output(bytes, 0)};
  fill_floats(y[0], y_floats);
  memcpy(y[1], y[0], bytes);
  const lat__cpu_kernels *tables[2] = {c->scalar, c->level};
  for (int i = 0; i < 2; i++) {
    lat__row_gemm_args args = {.x = x,
                               .x_stride = x_stride,
                               .in_rows = gathers ? in_rows : NULL,
                               .kernels = kernels,
                               .begins = begins,
                               .n_rows = n_rows,
                               .w = row_gemm_panels(tables[i], dense, N_KERNELS, c_in, columns),
                               .kernel_floats = c_in * columns,
                               .c_in = c_in,
                               .columns = columns,
                               .y = y[i],
                               .y_stride = y_stride};
    tables[i]->row_gemm_f32(&args);
  }
  assert_same_bytes("row_gemm_f32", y[1], y[0], bytes); // gaps between rows included
  guarded_check("row_gemm_f32");
  guarded_free_all();
}

static void check_row_gemm_f32(const checker *c) {
  for (int64_t columns = c->level->lanes; columns <= 2 * 64 + c->level->lanes; columns += c->level->lanes) {
    for (int64_t c_in = 1; c_in <= 9; c_in++) check_row_gemm_case(c, random_below(12), c_in, columns, c_in % 2 == 0);
  }
}
