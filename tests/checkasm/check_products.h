/// Checks of the tables of products. Part of checkasm.c, after check_dot_gemm.h.

typedef struct product_case {
  int64_t n_pairs, c_in, columns;
  bool gathers, scatters;
} product_case;

/// `dense` (c_in, columns) of elements of `bytes` as the panels that `table` reads, `step` channels side by side.
static void *product_panels(const lat__cpu_products *table, const void *dense, size_t bytes, int64_t step, int64_t c_in,
                            int64_t columns) {
  char *panels = guarded_alloc((size_t)(c_in * columns) * bytes);
  int64_t full = table->lanes * table->tile_vectors;
  for (int64_t c = 0; c < columns; c++) {
    int64_t first = c / full * full, width = columns - first < full ? columns - first : full;
    for (int64_t ci = 0; ci < c_in; ci++) {
      int64_t at = first * c_in + (ci / step * width + c - first) * step + ci % step;
      memcpy(panels + (size_t)at * bytes, (const char *)dense + (size_t)(ci * columns + c) * bytes, bytes);
    }
  }
  return panels;
}

/// What both kernels take of rows.
typedef struct product_rows {
  int64_t n_x, n_ahead, y_stride;
  int32_t *in_rows;
  uint16_t *out_rows;
  size_t y_bytes;
  float *y[2];
} product_rows;

static product_rows make_product_rows(const product_case *g) {
  product_rows rows = {.n_x = g->gathers ? 1 + random_below(40) : g->n_pairs};
  int64_t n_y = g->scatters ? g->n_pairs + random_below(9) : g->n_pairs;
  rows.n_ahead = g->gathers ? g->n_pairs + random_below(60) : 0;
  rows.in_rows = guarded_alloc((size_t)rows.n_ahead * sizeof *rows.in_rows);
  rows.out_rows = guarded_alloc((size_t)g->n_pairs * sizeof *rows.out_rows);
  for (int64_t p = 0; p < rows.n_ahead; p++) {
    rows.in_rows[p] = (int32_t)(p == 0 ? rows.n_x - 1 : random_below(rows.n_x));
  }
  fill_distinct(rows.out_rows, g->n_pairs, n_y);
  rows.y_stride = g->columns + random_below(3);
  int64_t y_floats = n_y > 0 ? (n_y - 1) * rows.y_stride + g->columns : 0;
  rows.y_bytes = (size_t)y_floats * sizeof(float);
  rows.y[0] = guarded_output(rows.y_bytes, 64);
  rows.y[1] = guarded_output(rows.y_bytes, 0);
  fill_floats(rows.y[0], y_floats);
  memcpy(rows.y[1], rows.y[0], rows.y_bytes);
  return rows;
}

/// The codes of a table that wants signed ones are those of the scalar one less 128.
static void check_dot_i8_case(const products_checker *c, const product_case *g, bool scales) {
  int64_t group_size = scales ? 4 * (1 + random_below(8)) : g->c_in + 4;
  int64_t n_groups = (g->c_in + group_size - 1) / group_size, n_weights = g->c_in * g->columns;
  product_rows rows = make_product_rows(g);
  char *x = dot_rows(rows.n_x, g->c_in, group_size, sizeof(int8_t));
  uint8_t *dense = guarded_alloc((size_t)n_weights), *flipped = guarded_alloc((size_t)n_weights);
  float *w_scale = guarded_alloc((size_t)(n_groups * g->columns) * sizeof *w_scale);
  float *w_bias = guarded_alloc((size_t)(n_groups * g->columns) * sizeof *w_bias);
  fill_floats(w_scale, n_groups * g->columns);
  fill_floats(w_bias, n_groups * g->columns);
  for (int64_t i = 0; i < n_weights; i++) {
    dense[i] = (uint8_t)(random_below(4) ? random_below(256) : 255);
    flipped[i] = dense[i] ^ 0x80;
  }
  const lat__cpu_products *tables[2] = {c->scalar, c->table};
  for (int i = 0; i < 2; i++) {
    const uint8_t *codes = tables[i]->flips_codes ? flipped : dense;
    lat__dot_gemm_args args = {.x = x,
                               .c_in = g->c_in,
                               .x_stride = g->c_in + (1 + n_groups) * 4,
                               .in_rows = g->gathers ? rows.in_rows : NULL,
                               .out_rows = g->scatters ? rows.out_rows : NULL,
                               .n_pairs = g->n_pairs,
                               .n_ahead = rows.n_ahead,
                               .w = product_panels(tables[i], codes, 1, 4, g->c_in, g->columns),
                               .w_scale = scales ? w_scale : NULL,
                               .w_bias = scales ? w_bias : NULL,
                               .group_size = group_size,
                               .n_groups = n_groups,
                               .columns = g->columns,
                               .y = rows.y[i],
                               .y_stride = rows.y_stride};
    tables[i]->dot_gemm_i8(&args);
  }
  assert_same_bytes("dot_gemm_i8", rows.y[1], rows.y[0], rows.y_bytes); // gaps between rows included
  guarded_check("dot_gemm_i8");
  guarded_free_all();
}

static void check_dot_gemm_i8(const products_checker *c) {
  const lat__cpu_products *t = c->table;
  for (int64_t columns = t->lanes; columns <= 3 * t->lanes * t->tile_vectors; columns += t->lanes) {
    for (int64_t n_pairs = 0; n_pairs <= 2 * t->tile_rows + 8; n_pairs++) {
      product_case g = {n_pairs, 4 * random_below(20), columns, random_below(3) > 0, random_below(3) > 0};
      check_dot_i8_case(c, &g, random_below(2) > 0);
    }
  }
}

/// bfloat16 of a few magnitudes, zeros, now and then a subnormal, an infinity or a NaN.
static uint16_t random_bf16(void) {
  int64_t draw = random_below(200);
  if (draw == 0) return (uint16_t)(random_below(2) << 15 | random_below(128)); // subnormal or zero
  if (draw == 1) return (uint16_t)(random_below(2) << 15 | 0x7F80);
  if (draw == 2) return 0x7FC0;
  int64_t exponent = draw < 20 ? 1 + random_below(254) : draw < 60 ? 40 + random_below(50) : 120 + random_below(14);
  return (uint16_t)(random_below(2) << 15 | exponent << 7 | random_below(128));
}

/// Which NaN it is does not count.
static void make_nans_one(float *values, size_t bytes) {
  for (size_t i = 0; i < bytes / sizeof *values; i++) {
    if (isnan(values[i])) values[i] = NAN;
  }
}

static void check_bf16_case(const products_checker *c, const product_case *g) {
  product_rows rows = make_product_rows(g);
  int64_t x_stride = g->c_in + random_below(3), n_weights = g->c_in * g->columns;
  int64_t n_values = rows.n_x > 0 ? (rows.n_x - 1) * x_stride + g->c_in : 0;
  uint16_t *x = guarded_alloc((size_t)n_values * sizeof *x), *dense = guarded_alloc((size_t)n_weights * sizeof *dense);
  for (int64_t i = 0; i < n_values; i++) x[i] = random_bf16();
  for (int64_t i = 0; i < n_weights; i++) dense[i] = random_bf16();
  const lat__cpu_products *tables[2] = {c->scalar, c->table};
  for (int i = 0; i < 2; i++) {
    lat__bf16_gemm_args args = {.x = x,
                                .x_stride = x_stride,
                                .in_rows = g->gathers ? rows.in_rows : NULL,
                                .out_rows = g->scatters ? rows.out_rows : NULL,
                                .n_pairs = g->n_pairs,
                                .n_ahead = rows.n_ahead,
                                .w = product_panels(tables[i], dense, sizeof *dense, 2, g->c_in, g->columns),
                                .c_in = g->c_in,
                                .columns = g->columns,
                                .y = rows.y[i],
                                .y_stride = rows.y_stride};
    tables[i]->gather_gemm_bf16(&args);
    make_nans_one(rows.y[i], rows.y_bytes);
  }
  assert_same_bytes("gather_gemm_bf16", rows.y[1], rows.y[0], rows.y_bytes); // gaps between rows included
  guarded_check("gather_gemm_bf16");
  guarded_free_all();
}

static void check_gather_gemm_bf16(const products_checker *c) {
  const lat__cpu_products *t = c->table;
  if (!t->gather_gemm_bf16) return;
  for (int64_t columns = t->lanes; columns <= 3 * t->lanes * t->tile_vectors; columns += t->lanes) {
    for (int64_t n_pairs = 0; n_pairs <= 2 * t->tile_rows + 8; n_pairs++) {
      product_case g = {n_pairs, 2 * random_below(30), columns, random_below(3) > 0, random_below(3) > 0};
      check_bf16_case(c, &g);
    }
  }
}

static void check_peak(int64_t (*peak)(int64_t n_rounds, float *sink)) {
  float sink = -1.0f;
  int64_t one = peak(1, &sink), three = peak(3, &sink);
  assert_true(one > 0 && three == 3 * one);
  assert_true(sink > 0.0f && sink < 1e6f);
}

static void check_int8_peak(const products_checker *c) {
  check_peak(c->table->int8_peak);
}

static void check_bf16_peak(const products_checker *c) {
  if (c->table->bf16_peak) check_peak(c->table->bf16_peak);
}
