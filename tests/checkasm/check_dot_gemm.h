/// Checks of the integer convolution kernel. Part of checkasm.c, after check_conv.h.

/// `dense` (c_in, columns) as the panels of pairs that `table` reads.
static int16_t *dot_panels(const lat__cpu_kernels *table, const int16_t *dense, int64_t c_in, int64_t columns) {
  int16_t *panels = guarded_alloc((size_t)(c_in * columns) * sizeof *panels);
  int64_t full = table->lanes * table->tile_vectors;
  for (int64_t c = 0; c < columns; c++) {
    int64_t first = c / full * full, width = columns - first < full ? columns - first : full;
    for (int64_t ci = 0; ci < c_in; ci++) {
      panels[first * c_in + (ci / 2 * width + c - first) * 2 + ci % 2] = dense[ci * columns + c];
    }
  }
  return panels;
}

/// Random rows of codes of `code_bytes` each, with scales and the sums of their groups.
static char *dot_rows(int64_t n_rows, int64_t c_in, int64_t group_size, size_t code_bytes) {
  int64_t n_groups = (c_in + group_size - 1) / group_size;
  size_t stride = (size_t)c_in * code_bytes + (size_t)(1 + n_groups) * sizeof(float);
  char *rows = guarded_alloc((size_t)n_rows * stride);
  for (int64_t r = 0; r < n_rows; r++) {
    char *row = rows + (size_t)r * stride;
    float *of_row = (float *)(void *)(row + (size_t)c_in * code_bytes);
    of_row[0] = random_float();
    for (int64_t g = 0; g < n_groups; g++) of_row[1 + g] = 0.0f;
    for (int64_t ci = 0; ci < c_in; ci++) {
      int16_t code = (int16_t)(random_below(4) ? random_below(255) - 127 : -127);
      of_row[1 + ci / group_size] += code;
      if (code_bytes == 1) ((int8_t *)row)[ci] = (int8_t)code;
      if (code_bytes == 2) ((int16_t *)(void *)row)[ci] = code;
    }
  }
  return rows;
}

static void check_dot_case(const checker *c, int64_t n_pairs, int64_t c_in, int64_t columns, bool gathers,
                           bool scatters) {
  const bool scales = random_below(3) > 0;
  int64_t group_size = scales ? 2 * (1 + random_below(16)) : c_in + 2, n_groups = (c_in + group_size - 1) / group_size;
  int64_t n_x = gathers ? 1 + random_below(40) : n_pairs, n_y = scatters ? n_pairs + random_below(9) : n_pairs;
  int64_t y_stride = columns + random_below(3), y_floats = n_y > 0 ? (n_y - 1) * y_stride + columns : 0;
  char *x = dot_rows(n_x, c_in, group_size, sizeof(int16_t));
  int16_t *dense = guarded_alloc((size_t)(c_in * columns) * sizeof *dense);
  float *w_scale = guarded_alloc((size_t)(n_groups * columns) * sizeof *w_scale);
  float *w_bias = guarded_alloc((size_t)(n_groups * columns) * sizeof *w_bias);
  fill_floats(w_scale, n_groups * columns);
  fill_floats(w_bias, n_groups * columns);
  int32_t *in_rows = guarded_alloc((size_t)n_pairs * sizeof *in_rows);
  uint16_t *out_rows = guarded_alloc((size_t)n_pairs * sizeof *out_rows);
  for (int64_t i = 0; i < c_in * columns; i++) dense[i] = (int16_t)(random_below(4) ? random_below(256) : 255);
  for (int64_t p = 0; p < n_pairs; p++) in_rows[p] = (int32_t)(p == 0 ? n_x - 1 : random_below(n_x));
  fill_distinct(out_rows, n_pairs, n_y);
  size_t bytes = (size_t)y_floats * sizeof(float);
  float *y[2] = {guarded_output(bytes, 64), guarded_output(bytes, 0)};
  fill_floats(y[0], y_floats);
  memcpy(y[1], y[0], bytes);
  const lat__cpu_kernels *tables[2] = {c->scalar, c->level};
  for (int i = 0; i < 2; i++) {
    lat__dot_gemm_args args = {.x = x,
                               .c_in = c_in,
                               .x_stride = c_in * 2 + (1 + n_groups) * 4,
                               .in_rows = gathers ? in_rows : NULL,
                               .out_rows = scatters ? out_rows : NULL,
                               .n_pairs = n_pairs,
                               .n_ahead = gathers ? n_pairs : 0,
                               .w = dot_panels(tables[i], dense, c_in, columns),
                               .w_scale = scales ? w_scale : NULL,
                               .w_bias = scales ? w_bias : NULL,
                               .group_size = group_size,
                               .n_groups = n_groups,
                               .columns = columns,
                               .y = y[i],
                               .y_stride = y_stride};
    tables[i]->dot_gemm_i16(&args);
  }
  assert_same_bytes("dot_gemm_i16", y[1], y[0], bytes); // gaps between rows included
  guarded_check("dot_gemm_i16");
  guarded_free_all();
}

static void check_dot_gemm_i16(const checker *c) {
  const lat__cpu_kernels *t = c->level;
  for (int64_t columns = t->lanes; columns <= 3 * t->lanes * t->tile_vectors; columns += t->lanes) {
    for (int64_t n_pairs = 0; n_pairs <= 2 * t->tile_rows + 8; n_pairs++) {
      check_dot_case(c, n_pairs, 2 * random_below(40), columns, random_below(3) > 0, random_below(3) > 0);
    }
  }
}

static void check_dot_peak_i16(const checker *c) {
  float sink = -1.0f;
  int64_t one = c->level->dot_peak_i16(1, &sink), three = c->level->dot_peak_i16(3, &sink);
  assert_true(one > 0 && three == 3 * one);
  assert_true(sink >= 0.0f);
}

/// Codes of two bytes (step 2) or one (step 4).
static void check_quantize_case(const checker *c, size_t step, int64_t n_rows, int64_t channels) {
  static const float hard[] = {0.0f, -0.0f, 1e-45f, -1e-40f, 3e38f, -3e38f, INFINITY, NAN};
  size_t n_groups = ((size_t)channels + 31) / 32, stride = ((size_t)channels + step - 1) / step * 4;
  size_t bytes = (size_t)n_rows * (stride + (1 + n_groups) * sizeof(float));
  float *x = guarded_alloc((size_t)(n_rows * channels) * sizeof *x);
  fill_floats(x, n_rows * channels);
  for (int64_t r = 0; r < n_rows; r++) {
    int64_t kind = random_below(12);
    if (kind < 8) x[r * channels + random_below(channels)] = hard[kind];
    if (kind == 8) memset(x + r * channels, 0, (size_t)channels * sizeof *x);
    if (kind == 9) x[r * channels] = 127.0f; // ties among the others
    for (int64_t i = 1; kind == 9 && i < channels; i++) x[r * channels + i] = (float)(random_below(254) - 127) + 0.5f;
    for (int64_t i = 0; kind == 10 && i < channels; i++) x[r * channels + i] *= 0x1p-100f; // just what counts, or not
  }
  char *expected = guarded_output(bytes, 64), *got = guarded_output(bytes, 0);
  (step == 2 ? c->scalar->quantize_rows_i16 : c->scalar->quantize_rows_i8)(x, n_rows, channels, 32, expected);
  (step == 2 ? c->level->quantize_rows_i16 : c->level->quantize_rows_i8)(x, n_rows, channels, 32, got);
  assert_same_bytes("quantize_rows", got, expected, bytes);
  guarded_check("quantize_rows");
  guarded_free_all();
}

static void check_quantize_rows_i16(const checker *c) {
  for (int64_t channels = 1; channels <= 100; channels++) check_quantize_case(c, 2, random_below(20), channels);
}

static void check_quantize_rows_i8(const checker *c) {
  for (int64_t channels = 1; channels <= 100; channels++) check_quantize_case(c, 4, random_below(20), channels);
}
