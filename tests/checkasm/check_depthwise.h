/// Checks of the depthwise convolution kernels. Part of checkasm.c.

static void check_depthwise_case(const checker *c, int64_t n_pairs, int64_t channels, bool gathers, bool scatters) {
  int64_t n_x = gathers ? 1 + random_below(50) : n_pairs, n_y = scatters ? 1 + random_below(20) : n_pairs;
  float *x = guarded_alloc((size_t)(n_x * channels) * sizeof(float));
  float *w = guarded_alloc((size_t)channels * sizeof(float));
  int32_t *in_rows = guarded_alloc((size_t)n_pairs * sizeof *in_rows);
  uint16_t *out_rows = guarded_alloc((size_t)n_pairs * sizeof *out_rows);
  fill_floats(x, n_x * channels);
  fill_floats(w, channels);
  for (int64_t p = 0; p < n_pairs; p++) {
    in_rows[p] = (int32_t)random_below(n_x);
    out_rows[p] = (uint16_t)random_below(n_y); // repeated rows add up in order
  }
  size_t y_bytes = (size_t)(n_y * channels) * sizeof(float);
  float *y[2] = {guarded_output(y_bytes, 64), guarded_output(y_bytes, 0)};
  fill_floats(y[0], n_y * channels);
  memcpy(y[1], y[0], y_bytes);
  const lat__cpu_kernels *tables[2] = {c->scalar, c->level};
  for (int i = 0; i < 2; i++) {
    tables[i]->depthwise_rows_f32(x, gathers ? in_rows : NULL, scatters ? out_rows : NULL, n_pairs, channels, w, y[i]);
  }
  assert_same_bytes("depthwise_rows_f32", y[1], y[0], y_bytes);
  guarded_check("depthwise_rows_f32");
  guarded_free_all();
}

static void check_depthwise_rows_f32(const checker *c) {
  for (int64_t channels = 0; channels <= 3 * c->level->lanes + 1; channels++) {
    for (int64_t n_pairs = 0; n_pairs <= 12; n_pairs += 3) {
      check_depthwise_case(c, n_pairs, channels, random_below(3) > 0, random_below(3) > 0);
    }
  }
}

static void check_depthwise_outer_case(const checker *c, int64_t n_pairs, int64_t channels, bool gathers) {
  int64_t n_x = gathers ? 1 + random_below(50) : n_pairs, n_g = gathers ? 1 + random_below(20) : n_pairs;
  float *x = guarded_alloc((size_t)(n_x * channels) * sizeof(float));
  float *g = guarded_alloc((size_t)(n_g * channels) * sizeof(float));
  int32_t *in_rows = guarded_alloc((size_t)n_pairs * sizeof *in_rows);
  uint16_t *out_rows = guarded_alloc((size_t)n_pairs * sizeof *out_rows);
  fill_floats(x, n_x * channels);
  fill_floats(g, n_g * channels);
  for (int64_t p = 0; p < n_pairs; p++) {
    in_rows[p] = (int32_t)random_below(n_x);
    out_rows[p] = (uint16_t)random_below(n_g);
  }
  size_t y_bytes = (size_t)channels * sizeof(float);
  float *y[2] = {guarded_output(y_bytes, 64), guarded_output(y_bytes, 0)};
  fill_floats(y[0], channels);
  memcpy(y[1], y[0], y_bytes);
  const lat__cpu_kernels *tables[2] = {c->scalar, c->level};
  for (int i = 0; i < 2; i++) {
    tables[i]->depthwise_outer_f32(x, gathers ? in_rows : NULL, g, gathers ? out_rows : NULL, n_pairs, channels, y[i]);
  }
  assert_same_bytes("depthwise_outer_f32", y[1], y[0], y_bytes);
  guarded_check("depthwise_outer_f32");
  guarded_free_all();
}

static void check_depthwise_outer_f32(const checker *c) {
  for (int64_t channels = 0; channels <= 3 * c->level->lanes + 1; channels++) {
    for (int64_t n_pairs = 0; n_pairs <= 12; n_pairs += 3) {
      check_depthwise_outer_case(c, n_pairs, channels, random_below(3) > 0);
    }
  }
}
