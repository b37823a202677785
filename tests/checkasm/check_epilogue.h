/// Checks of what follows a convolution. Part of checkasm.c, after check_conv.h.

/// Every set of steps, sums with gaps between rows, hard values; in place where rows touch.
static void check_epilogue_case(const checker *c, int64_t channels, int steps) {
  int64_t n_rows = random_below(5), stride = channels + random_below(2) * random_below(9), n = n_rows * channels;
  int64_t n_sums = n_rows > 0 ? (n_rows - 1) * stride + channels : 0;
  float *sums = guarded_alloc((size_t)n_sums * sizeof *sums), *parts[7];
  for (int64_t i = 0; i < n_sums; i++) sums[i] = random_sum();
  if (n_sums > 0) sums[random_below(n_sums)] = random_below(2) ? -0.0f : NAN;
  for (int i = 0; i < 7; i++) {
    int64_t count = i < 4 || i == 6 ? channels : n;
    parts[i] = guarded_alloc((size_t)count * sizeof **parts);
    fill_floats(parts[i], count);
  }
  lat__epilogue_args args = {.bias = steps & 1 ? parts[0] : NULL,
                             .mean = steps & 2 ? parts[1] : NULL,
                             .scale = parts[2],
                             .shift = parts[3],
                             .residual = steps & 4 ? parts[4] : NULL,
                             .relu = (steps & 8) != 0,
                             .residual_last = steps & 16 ? parts[5] : NULL,
                             .factor = steps & 32 ? parts[6] : NULL};
  size_t bytes = (size_t)n * sizeof(float);
  float *expected = guarded_output(bytes, 64), *got = guarded_output(bytes, 0);
  c->scalar->epilogue_rows_f32(&args, sums, stride, n_rows, channels, expected);
  c->level->epilogue_rows_f32(&args, sums, stride, n_rows, channels, got);
  assert_same_bytes("epilogue_rows_f32", got, expected, bytes);
  if (stride == channels && n_rows > 0) {
    c->level->epilogue_rows_f32(&args, sums, stride, n_rows, channels, sums);
    assert_same_bytes("epilogue_rows_f32 in place", sums, expected, bytes);
  }
  guarded_check("epilogue_rows_f32");
  guarded_free_all();
}

static void check_epilogue_rows_f32(const checker *c) {
  for (int64_t channels = 0; channels <= 3 * c->level->lanes + 1; channels++) {
    for (int steps = 0; steps < 64; steps++) check_epilogue_case(c, channels, steps);
  }
}
