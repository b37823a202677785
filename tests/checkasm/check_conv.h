/// Checks of the convolution kernels. Part of checkasm.c.

/// `dense` (c_in, columns) as the panels that `table` reads.
static float *gemm_panels(const lat__cpu_kernels *table, const float *dense, int64_t c_in, int64_t columns) {
  float *panels = guarded_alloc((size_t)(c_in * columns) * sizeof(float));
  int64_t full = table->lanes * table->tile_vectors;
  for (int64_t first = 0; first < columns; first += full) {
    int64_t width = columns - first < full ? columns - first : full;
    for (int64_t ci = 0; ci < c_in; ci++) {
      memcpy(panels + first * c_in + ci * width, dense + ci * columns + first, (size_t)width * sizeof(float));
    }
  }
  return panels;
}

/// Distinct rows: a random walk upwards in [0, n_rows).
static void fill_distinct(uint16_t *rows, int64_t n, int64_t n_rows) {
  int64_t slack = n_rows - n;
  for (int64_t i = 0, at = 0; i < n; i++, at++) {
    int64_t skip = slack > 0 ? random_below(slack + 1) / 2 : 0;
    slack -= skip;
    at += skip;
    rows[i] = (uint16_t)at;
  }
}

typedef struct gemm_case {
  int64_t n_pairs, c_in, columns;
  bool gathers, scatters, fresh, tight; ///< tight: no gaps between rows
} gemm_case;

static void check_gemm_case(const checker *c, const gemm_case *g) {
  int64_t n_x = g->gathers ? 1 + random_below(50) : g->n_pairs;
  int64_t n_y = g->scatters ? g->n_pairs + random_below(9) : g->n_pairs;
  int64_t x_stride = g->c_in + (g->tight ? 0 : random_below(3)), y_stride = g->columns + random_below(3);
  // The last row ends at the guard page: no room behind its c_in floats.
  int64_t x_floats = n_x > 0 ? (n_x - 1) * x_stride + g->c_in : 0;
  float *x = guarded_alloc((size_t)x_floats * sizeof(float));
  float *dense = guarded_alloc((size_t)(g->c_in * g->columns) * sizeof(float));
  int64_t n_ahead = g->gathers || g->fresh ? g->n_pairs + random_below(60) : 0;
  int32_t *in_rows = guarded_alloc((size_t)n_ahead * sizeof *in_rows);
  uint16_t *out_rows = guarded_alloc((size_t)g->n_pairs * sizeof *out_rows);
  fill_floats(x, x_floats);
  fill_floats(dense, g->c_in * g->columns);
  for (int64_t p = 0; p < n_ahead; p++) in_rows[p] = (int32_t)random_below(n_x > 0 ? n_x : 1);
  if (g->gathers && g->n_pairs > 0) in_rows[random_below(g->n_pairs)] = (int32_t)(n_x - 1);
  fill_distinct(out_rows, g->n_pairs, n_y);
  int64_t y_floats = n_y > 0 ? (n_y - 1) * y_stride + g->columns : 0;
  size_t y_bytes = (size_t)y_floats * sizeof(float);
  float *y[2] = {guarded_output(y_bytes, 64), guarded_output(y_bytes, 0)};
  fill_floats(y[0], y_floats);
  memcpy(y[1], y[0], y_bytes);
  const lat__cpu_kernels *tables[2] = {c->scalar, c->level};
  for (int i = 0; i < 2; i++) {
    lat__gather_gemm_args args = {.x = x,
                                  .x_stride = x_stride,
                                  .in_rows = g->gathers ? in_rows : NULL,
                                  .out_rows = g->scatters ? out_rows : NULL,
                                  .n_pairs = g->n_pairs,
                                  .n_ahead = n_ahead,
                                  .w = gemm_panels(tables[i], dense, g->c_in, g->columns),
                                  .c_in = g->c_in,
                                  .columns = g->columns,
                                  .y = y[i],
                                  .y_stride = y_stride,
                                  .fresh = g->fresh};
    tables[i]->gather_gemm_f32(&args);
  }
  char what[128];
  snprintf(what, sizeof what, "gather_gemm_f32 %s: %d pairs, %d to %d channels, %s %s %s", c->level->level,
           (int)g->n_pairs, (int)g->c_in, (int)g->columns, g->gathers ? "gathers" : "rows",
           g->scatters ? "scatters" : "", g->fresh ? "fresh" : "");
  assert_same_bytes(what, y[1], y[0], y_bytes); // gaps between rows included
  guarded_check(what);
  guarded_free_all();
}

static void check_gather_gemm_f32(const checker *c) {
  const lat__cpu_kernels *t = c->level;
  int64_t panel = t->lanes * t->tile_vectors, tile = t->tile_rows;
  // Every tail of columns behind no, one and two full panels; every tail of pairs behind as many tiles.
  for (int64_t columns = t->lanes; columns <= 3 * panel; columns += t->lanes) {
    for (int64_t n_pairs = 0; n_pairs <= 3 * tile + 8; n_pairs++) {
      gemm_case g = {n_pairs,
                     random_below(20),
                     columns,
                     random_below(4) > 0,
                     random_below(4) > 0,
                     random_below(4) == 0,
                     random_below(2) == 0};
      check_gemm_case(c, &g);
    }
  }
  for (int64_t c_in = 0; c_in <= 70; c_in++) {
    int64_t columns = t->lanes * (1 + random_below(2 * t->tile_vectors));
    gemm_case g = {random_below(40), c_in, columns, c_in % 2 == 0, true, false, c_in % 4 < 2};
    check_gemm_case(c, &g);
  }
  // Widths that have code of their own, with both lists: every number of input and of output channels.
  for (int64_t columns = t->lanes; columns <= 2 * panel; columns += t->lanes) {
    for (int64_t c_in = 1; c_in <= 32; c_in += c_in < 16 ? 1 : 16) {
      gemm_case g = {random_below(30), c_in, columns, true, true, false, true};
      check_gemm_case(c, &g);
    }
  }
}

static void check_outer_case(const checker *c, int64_t n_pairs, int64_t c_in, int64_t c_out, bool gathers) {
  int64_t n_x = gathers ? 1 + random_below(30) : n_pairs, n_g = gathers ? 1 + random_below(30) : n_pairs;
  int64_t x_stride = c_in + random_below(3), g_stride = c_out + random_below(3), y_stride = c_out + random_below(3);
  int64_t x_floats = n_x > 0 ? (n_x - 1) * x_stride + c_in : 0, g_floats = n_g > 0 ? (n_g - 1) * g_stride + c_out : 0;
  int64_t y_floats = c_in > 0 ? (c_in - 1) * y_stride + c_out : 0;
  float *x = guarded_alloc((size_t)x_floats * sizeof *x), *g = guarded_alloc((size_t)g_floats * sizeof *g);
  int64_t n_ahead = n_pairs + (gathers ? random_below(60) : 0);
  int32_t *in_rows = guarded_alloc((size_t)n_ahead * sizeof *in_rows);
  uint16_t *out_rows = guarded_alloc((size_t)n_ahead * sizeof *out_rows);
  fill_floats(x, x_floats);
  fill_floats(g, g_floats);
  for (int64_t p = n_pairs; p < n_ahead; p++) in_rows[p] = (int32_t)random_below(n_x), out_rows[p] = 0;
  for (int64_t p = 0; p < n_pairs; p++) {
    in_rows[p] = (int32_t)(p == 0 ? n_x - 1 : random_below(n_x));
    out_rows[p] = (uint16_t)(p == 0 ? n_g - 1 : random_below(n_g));
  }
  size_t bytes = (size_t)y_floats * sizeof(float);
  float *y[2] = {guarded_output(bytes, 64), guarded_output(bytes, 0)};
  fill_floats(y[0], y_floats);
  memcpy(y[1], y[0], bytes);
  const lat__cpu_kernels *tables[2] = {c->scalar, c->level};
  for (int i = 0; i < 2; i++) {
    lat__outer_gemm_args args = {.x = x,
                                 .x_stride = x_stride,
                                 .in_rows = gathers ? in_rows : NULL,
                                 .g = g,
                                 .g_stride = g_stride,
                                 .out_rows = gathers ? out_rows : NULL,
                                 .n_pairs = n_pairs,
                                 .n_ahead = gathers ? n_ahead : 0,
                                 .c_in = c_in,
                                 .c_out = c_out,
                                 .y = y[i],
                                 .y_stride = y_stride};
    tables[i]->outer_gemm_f32(&args);
  }
  assert_same_bytes("outer_gemm_f32", y[1], y[0], bytes); // gaps between rows included
  guarded_check("outer_gemm_f32");
  guarded_free_all();
}

static void check_outer_gemm_f32(const checker *c) {
  for (int64_t c_in = 0; c_in <= 36; c_in += c_in < 18 ? 1 : 3) {
    for (int64_t c_out = 0; c_out <= 5 * c->level->lanes + 1; c_out++) {
      check_outer_case(c, random_below(12), c_in, c_out, (c_in + c_out) % 2 == 0);
    }
  }
}

static void check_gather_rows_f32(const checker *c) {
  for (int64_t channels = 0; channels <= 3 * c->level->lanes + 1; channels++) {
    int64_t n_rows = random_below(9), n_x = 1 + random_below(20), stride = channels + random_below(5);
    float *x = guarded_alloc((size_t)(n_x * channels) * sizeof *x);
    int32_t *in_rows = guarded_alloc((size_t)n_rows * sizeof *in_rows);
    fill_floats(x, n_x * channels);
    for (int64_t p = 0; p < n_rows; p++) in_rows[p] = (int32_t)(p == 0 ? n_x - 1 : random_below(n_x));
    size_t bytes = (size_t)(n_rows > 0 ? (n_rows - 1) * stride + channels : 0) * sizeof(float);
    float *y[2] = {guarded_output(bytes, 64), guarded_output(bytes, 0)};
    memset(y[0], 1, bytes);
    memset(y[1], 1, bytes);
    c->scalar->gather_rows_f32(x, in_rows, n_rows, channels, y[0], stride);
    c->level->gather_rows_f32(x, in_rows, n_rows, channels, y[1], stride);
    assert_same_bytes("gather_rows_f32", y[1], y[0], bytes); // gaps between rows included
    guarded_check("gather_rows_f32");
    guarded_free_all();
  }
}

typedef void (*widen_fn)(const uint16_t *x, const int32_t *in_rows, int64_t n_rows, int64_t channels, float *rows);

static void check_widen(const checker *c, const char *what, widen_fn scalar, widen_fn level) {
  for (int64_t channels = 0; channels <= 3 * c->level->lanes + 1; channels++) {
    for (int64_t n_rows = 0; n_rows <= 9; n_rows += 3) {
      int64_t n_x = 1 + random_below(20);
      uint16_t *x = guarded_alloc((size_t)((n_x > n_rows ? n_x : n_rows) * channels) * sizeof *x);
      int32_t *in_rows = guarded_alloc((size_t)n_rows * sizeof *in_rows);
      for (int64_t i = 0; i < (n_x > n_rows ? n_x : n_rows) * channels; i++) x[i] = (uint16_t)next_random();
      for (int64_t p = 0; p < n_rows; p++) in_rows[p] = (int32_t)random_below(n_x);
      size_t bytes = (size_t)(n_rows * channels) * sizeof(float);
      for (int gathers = 0; gathers < 2; gathers++) {
        float *expected = guarded_output(bytes, 64), *got = guarded_output(bytes, 0);
        scalar(x, gathers ? in_rows : NULL, n_rows, channels, expected);
        level(x, gathers ? in_rows : NULL, n_rows, channels, got);
        assert_same_bytes(what, got, expected, bytes);
      }
      guarded_check(what);
      guarded_free_all();
    }
  }
  // Every 16-bit pattern, NaN payloads included.
  enum { PATTERNS = 1 << 16 };
  uint16_t *all = guarded_alloc(PATTERNS * sizeof *all);
  float *expected = guarded_output(PATTERNS * sizeof(float), 0), *got = guarded_output(PATTERNS * sizeof(float), 0);
  for (int i = 0; i < PATTERNS; i++) all[i] = (uint16_t)i;
  scalar(all, NULL, 1, PATTERNS, expected);
  level(all, NULL, 1, PATTERNS, got);
  assert_same_bytes(what, got, expected, PATTERNS * sizeof(float));
  guarded_free_all();
}

static void check_widen_rows_f16(const checker *c) {
  check_widen(c, "widen_rows_f16", c->scalar->widen_rows_f16, c->level->widen_rows_f16);
}

static void check_widen_rows_bf16(const checker *c) {
  check_widen(c, "widen_rows_bf16", c->scalar->widen_rows_bf16, c->level->widen_rows_bf16);
}

/// Sums that a rounding to 16 bits finds hard: ties, subnormals, overflow.
static float random_sum(void) {
  static const float hard[] = {65504.0f,     65519.996f,   65520.0f,        -65536.0f,  0x1p-24f,
                               0x1p-25f,     0x1.8p-25f,   0x1.8p-24f,      0x1.002p0f, 0x1.006p0f,
                               0x1.ffcp-15f, 0x1.ffep-15f, 1e30f,           0.0f,       -0.0f,
                               0x1.01p0f,    0x1.03p0f,    0x1.fffffep127f, 0x1p-133f,  0x1.8p-134f};
  if (random_below(4) == 0) return hard[random_below((int64_t)(sizeof hard / sizeof hard[0]))];
  return random_float();
}

static void run_finish(const lat__cpu_kernels *table, lat_dtype dtype, const float *sums, int64_t stride,
                       const float *bias, int64_t n_rows, int64_t channels, void *y) {
  if (dtype == LAT_DTYPE_F32) table->finish_rows_f32(sums, stride, bias, n_rows, channels, y);
  if (dtype == LAT_DTYPE_F16) table->finish_rows_f16(sums, stride, bias, n_rows, channels, y);
  if (dtype == LAT_DTYPE_BF16) table->finish_rows_bf16(sums, stride, bias, n_rows, channels, y);
}

static void check_finish(const checker *c, const char *what, lat_dtype dtype) {
  size_t item = lat_dtype_bytes(dtype);
  for (int64_t channels = 0; channels <= 3 * c->level->lanes + 1; channels++) {
    for (int with_bias = 0; with_bias < 2; with_bias++) {
      int64_t n_rows = random_below(6), stride = channels + random_below(4);
      int64_t n_sums = n_rows > 0 ? (n_rows - 1) * stride + channels : 0;
      float *sums = guarded_alloc((size_t)n_sums * sizeof *sums);
      float *bias = guarded_alloc((size_t)channels * sizeof *bias);
      for (int64_t i = 0; i < n_sums; i++) sums[i] = random_sum();
      fill_floats(bias, channels);
      size_t bytes = (size_t)(n_rows * channels) * item;
      void *y[2] = {guarded_output(bytes, 64), guarded_output(bytes, 0)};
      const lat__cpu_kernels *tables[2] = {c->scalar, c->level};
      const float *b = with_bias ? bias : NULL;
      for (int i = 0; i < 2; i++) run_finish(tables[i], dtype, sums, stride, b, n_rows, channels, y[i]);
      assert_same_bytes(what, y[1], y[0], bytes);
      if (dtype == LAT_DTYPE_F32 && stride == channels && n_rows > 0) { // in place
        c->level->finish_rows_f32(sums, stride, b, n_rows, channels, sums);
        assert_same_bytes("finish_rows_f32 in place", sums, y[0], bytes);
      }
      guarded_check(what);
      guarded_free_all();
    }
  }
}

static void check_finish_rows_f32(const checker *c) {
  check_finish(c, "finish_rows_f32", LAT_DTYPE_F32);
}

static void check_finish_rows_f16(const checker *c) {
  check_finish(c, "finish_rows_f16", LAT_DTYPE_F16);
}

static void check_finish_rows_bf16(const checker *c) {
  check_finish(c, "finish_rows_bf16", LAT_DTYPE_BF16);
}

static void check_fma_peak(const checker *c) {
  float sink = -1.0f;
  int64_t one = c->level->fma_peak(1, &sink), three = c->level->fma_peak(3, &sink);
  assert_true(one > 0 && three == 3 * one);
  assert_true(sink > 0.0f && sink < 1e6f);
}
