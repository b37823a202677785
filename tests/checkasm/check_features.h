/// Checks of the activation, norm and pool kernels. Part of checkasm.c.

static float *random_floats(int64_t n) {
  float *values = guarded_alloc((size_t)n * sizeof *values);
  fill_floats(values, n);
  return values;
}

// --- activations ------------------------------------------------------------------------------------------------------

/// `count` elements of a dtype, half of them random numbers, half (when `all`) of any bits: all magnitudes, infinities, NaN.
static void *random_elements(lat_dtype dtype, int64_t count, bool all) {
  size_t bytes = lat_dtype_bytes(dtype);
  char *x = guarded_alloc((size_t)count * bytes);
  for (int64_t i = 0; i < count; i++) {
    uint32_t word = (uint32_t)(next_random() >> 32);
    float value = random_float();
    uint16_t half = dtype == LAT_DTYPE_F16 ? lat_f32_to_f16(value) : lat_f32_to_bf16(value);
    if (!all || i % 2 == 1) memcpy(&word, dtype == LAT_DTYPE_F32 ? (void *)&value : (void *)&half, bytes);
    memcpy(x + (size_t)i * bytes, &word, bytes);
  }
  return x;
}

static void run_activation(const lat__cpu_kernels *t, lat_dtype dtype, const lat__activation_args *args, int64_t n,
                           const void *x, void *y) {
  if (dtype == LAT_DTYPE_F32) t->activate_f32(args, n, x, y);
  if (dtype == LAT_DTYPE_F16) t->activate_f16(args, n, x, y);
  if (dtype == LAT_DTYPE_BF16) t->activate_bf16(args, n, x, y);
}

/// Every kind of activation; small counts for the tails, one long run for the values.
static void check_activation(const checker *c, lat_dtype dtype, const char *what) {
  for (int kind = LAT_ACTIVATION_RELU; kind <= LAT_ACTIVATION_EXP; kind++) {
    const lat__activation_args args = {(lat_activation_kind)kind, 0.25f, 1.5f, 12.0f};
    for (int64_t n = 0; n <= 70; n++) {
      int64_t count = n < 70 ? n : 20000;
      void *x = random_elements(dtype, count, n == 70);
      size_t bytes = (size_t)count * lat_dtype_bytes(dtype);
      void *expected = guarded_output(bytes, 64), *got = guarded_output(bytes, 0);
      run_activation(c->scalar, dtype, &args, count, x, expected);
      run_activation(c->level, dtype, &args, count, x, got);
      assert_same_bytes(what, got, expected, bytes);
      guarded_check(what);
      guarded_free_all();
    }
  }
}

static void check_activate_f32(const checker *c) {
  check_activation(c, LAT_DTYPE_F32, "activate_f32");
}

static void check_activate_f16(const checker *c) {
  check_activation(c, LAT_DTYPE_F16, "activate_f16");
}

static void check_activate_bf16(const checker *c) {
  check_activation(c, LAT_DTYPE_BF16, "activate_bf16");
}

/// The slope of every kind, over all magnitudes.
static void check_activate_slope_f32(const checker *c) {
  static const char what[] = "activate_slope_f32";
  for (int kind = LAT_ACTIVATION_RELU; kind <= LAT_ACTIVATION_EXP; kind++) {
    const lat__activation_args args = {(lat_activation_kind)kind, 0.25f, 1.5f, 12.0f};
    for (int64_t n = 0; n <= 20; n++) {
      int64_t count = n < 20 ? n : 5000;
      float *x = random_elements(LAT_DTYPE_F32, count, n == 20), *g = random_floats(count);
      size_t bytes = (size_t)count * sizeof *x;
      float *expected = guarded_output(bytes, 64), *got = guarded_output(bytes, 0);
      c->scalar->activate_slope_f32(&args, count, x, g, expected);
      c->level->activate_slope_f32(&args, count, x, g, got);
      assert_same_bytes(what, got, expected, bytes);
      guarded_check(what);
      guarded_free_all();
    }
  }
}

static void check_softmax_rows_f32(const checker *c) {
  for (int64_t channels = 1; channels <= 40; channels++) {
    int64_t n = channels * (channels % 5);
    float *x = random_floats(n);
    float *expected = guarded_output((size_t)n * sizeof *x, 64), *got = guarded_output((size_t)n * sizeof *x, 0);
    c->scalar->softmax_rows_f32(x, channels % 5, channels, expected);
    c->level->softmax_rows_f32(x, channels % 5, channels, got);
    assert_same_bytes("softmax_rows_f32", got, expected, (size_t)n * sizeof *x);
    guarded_check("softmax_rows_f32");
    guarded_free_all();
  }
}

// --- norms ------------------------------------------------------------------------------------------------------------

/// Which norm kernel a case runs.
typedef enum norm_slot { NORM_SUMS, NORM_MOMENTS, NORM_AFFINE, NORM_LAYER, NORM_RMS } norm_slot;

/// Inputs of every norm kernel.
typedef struct norm_inputs {
  int64_t n_rows, channels;
  const float *x, *a, *b, *c; ///< (n_rows, channels), then (channels,) each
} norm_inputs;

/// Runs one kernel; the output is double for the sums, float for the rest.
static void run_norm(const lat__cpu_kernels *t, norm_slot slot, const norm_inputs *in, void *out) {
  switch (slot) {
  case NORM_SUMS:
    t->channel_sums_f32(in->x, in->n_rows, in->channels, out);
    break;
  case NORM_MOMENTS:
    t->channel_moments_f32(in->x, in->n_rows, in->channels, in->a, out, (double *)out + in->channels);
    break;
  case NORM_AFFINE:
    t->affine_rows_f32(in->x, in->n_rows, in->channels, in->a, in->b, in->c, out);
    break;
  case NORM_LAYER:
    t->layer_norm_rows_f32(in->x, in->n_rows, in->channels, 1e-5f, in->a, in->b, out);
    break;
  case NORM_RMS:
    t->rms_norm_rows_f32(in->x, in->n_rows, in->channels, 1e-5f, in->a, out);
    break;
  }
}

static void check_norm(const checker *c, norm_slot slot, const char *what) {
  bool sums = slot == NORM_SUMS || slot == NORM_MOMENTS;
  for (int64_t channels = 1; channels <= 4 * c->level->lanes + 3; channels++) {
    int64_t n_rows = sums ? channels % 40 : channels % 9, n_out = n_rows * channels;
    if (sums) n_out = slot == NORM_MOMENTS ? 2 * channels : channels;
    double *mean = guarded_alloc((size_t)(2 * channels) * sizeof *mean);
    for (int64_t i = 0; i < 2 * channels; i++) mean[i] = (double)random_float();
    norm_inputs in = {n_rows,
                      channels,
                      random_floats(n_rows * channels),
                      random_floats(channels),
                      random_floats(channels),
                      random_floats(channels)};
    size_t bytes = (size_t)n_out * (sums ? sizeof(double) : sizeof(float));
    void *expected = guarded_output(bytes, 64), *got = guarded_output(bytes, 0);
    if (sums) { // accumulated into: any start will do, the same for both
      memcpy(expected, mean, bytes);
      memcpy(got, mean, bytes);
    }
    run_norm(c->scalar, slot, &in, expected);
    run_norm(c->level, slot, &in, got);
    assert_same_bytes(what, got, expected, bytes);
    guarded_check(what);
    guarded_free_all();
  }
}

static void check_channel_sums_f32(const checker *c) {
  check_norm(c, NORM_SUMS, "channel_sums_f32");
}

static void check_channel_moments_f32(const checker *c) {
  check_norm(c, NORM_MOMENTS, "channel_moments_f32");
}

static void check_affine_rows_f32(const checker *c) {
  check_norm(c, NORM_AFFINE, "affine_rows_f32");
}

static void check_layer_norm_rows_f32(const checker *c) {
  check_norm(c, NORM_LAYER, "layer_norm_rows_f32");
}

static void check_rms_norm_rows_f32(const checker *c) {
  check_norm(c, NORM_RMS, "rms_norm_rows_f32");
}

// --- pools ------------------------------------------------------------------------------------------------------------

static void check_lists(const checker *c, bool is_max, const char *what) {
  enum { N_ROWS = 6, N_X = 5, MOST = 4 };
  static const lat_dtype dtypes[3] = {LAT_DTYPE_F32, LAT_DTYPE_F16, LAT_DTYPE_BF16};
  for (int64_t channels = 1; channels <= 13 * c->level->lanes; channels += channels < 3 * c->level->lanes ? 1 : 7) {
    for (int form = 0; form < 32; form++) {
      lat_dtype dtype = dtypes[channels % 3], dtype_out = form & 16 ? LAT_DTYPE_F32 : dtype;
      int32_t begins[N_ROWS + 1] = {0}, out_rows[N_ROWS] = {3, 1, 0, 5, 4, 2};
      for (int r = 0; r < N_ROWS; r++) begins[r + 1] = begins[r] + (int32_t)random_below(MOST + 1);
      int64_t n = begins[N_ROWS], x_rows = form & 1 ? N_X : n, stride = channels + (form & 2);
      int32_t *rows = guarded_alloc((size_t)n * sizeof *rows);
      for (int64_t e = 0; e < n; e++) rows[e] = (int32_t)random_below(N_X);
      size_t bytes = (size_t)(N_ROWS * channels) * lat_dtype_bytes(dtype_out);
      void *expected = guarded_output(bytes, 64), *got = guarded_output(bytes, 0);
      lat__row_lists_args args = {.dtype = dtype,
                                  .dtype_out = dtype_out,
                                  .x = random_elements(dtype, x_rows * stride, is_max && form == 31),
                                  .x_stride = stride,
                                  .rows = form & 1 ? rows : NULL,
                                  .n_entries = n,
                                  .begins = begins,
                                  .n_rows = N_ROWS,
                                  .channels = channels,
                                  .weights = form & 4 ? random_floats(n) : NULL,
                                  .row_weights = form & 8 ? random_floats(N_ROWS) : NULL,
                                  .factors = form % 3 == 1 ? random_floats(N_ROWS) : NULL,
                                  .divisors = form % 3 == 2 ? random_floats(N_ROWS) : NULL,
                                  .out_rows = form % 5 == 1 ? out_rows : NULL,
                                  .y = expected};
      (is_max ? c->scalar->max_lists : c->scalar->sum_lists)(&args);
      args.y = got;
      (is_max ? c->level->max_lists : c->level->sum_lists)(&args);
      assert_same_bytes(what, got, expected, bytes);
      guarded_check(what);
      guarded_free_all();
    }
  }
}

static void check_sum_lists(const checker *c) {
  check_lists(c, false, "sum_lists");
}

static void check_max_lists(const checker *c) {
  check_lists(c, true, "max_lists");
}

static void check_join_rows(const checker *c) {
  enum { N_ROWS = 11, N_X = 5 };
  static const lat_dtype dtypes[3] = {LAT_DTYPE_F32, LAT_DTYPE_F16, LAT_DTYPE_BF16};
  for (int64_t channels = 1; channels <= 3 * c->level->lanes + 2; channels++) {
    for (int form = 0; form < 60; form++) {
      lat_dtype lhs = dtypes[form % 3], rhs = form & 1 ? lhs : dtypes[form / 3 % 3];
      lat_dtype out = lhs == rhs ? lhs : LAT_DTYPE_F32;
      int32_t *rows[2];
      for (int side = 0; side < 2; side++) {
        rows[side] = guarded_alloc(N_ROWS * sizeof(int32_t));
        for (int r = 0; r < N_ROWS; r++) rows[side][r] = (int32_t)random_below(N_X + 1) - 1;
      }
      bool lhs_taken = form & 2, rhs_taken = form & 4;
      lat__join_args args = {.op = (lat__join_op)(form % 5),
                             .lhs_dtype = lhs,
                             .rhs_dtype = rhs,
                             .dtype_out = out,
                             .lhs = random_elements(lhs, (lhs_taken ? N_X : N_ROWS) * channels, false),
                             .rhs = random_elements(rhs, (rhs_taken ? N_X : N_ROWS) * channels, false),
                             .lhs_rows = lhs_taken ? rows[0] : NULL,
                             .rhs_rows = rhs_taken ? rows[1] : NULL,
                             .lhs_fill = form % 7 == 0 ? NAN : 0.5f,
                             .rhs_fill = -0.0f,
                             .n_rows = N_ROWS,
                             .channels = channels};
      size_t bytes = (size_t)(N_ROWS * channels) * lat_dtype_bytes(out);
      void *expected = guarded_output(bytes, 64), *got = guarded_output(bytes, 0);
      args.y = expected;
      c->scalar->join_rows(&args);
      args.y = got;
      c->level->join_rows(&args);
      assert_same_bytes("join_rows", got, expected, bytes);
      guarded_check("join_rows");
      guarded_free_all();
    }
  }
}

static void check_point_cells_f32(const checker *c) {
  const lat__point_cells_args args = {{0.25f, -3.0f, 100.0f}, {0.05f, 0.1f, 1e-3f}, {1e6f, 1e6f, 2e4f}, 0.5f};
  for (int64_t n = 0; n <= 50; n++) {
    for (int form = 0; form < 4; form++) {
      float *points = random_floats(3 * n);
      if (form > 0 && n > 0) points[random_below(3 * n)] = form == 1 ? NAN : form == 2 ? 1e7f : -2e6f;
      size_t bytes = (size_t)(4 * n) * sizeof(int32_t);
      int32_t *expected = guarded_output(bytes, 64), *got = guarded_output(bytes, 0);
      int fit = c->scalar->point_cells_f32(&args, points, n, expected);
      assert_int_equal(c->level->point_cells_f32(&args, points, n, got), fit);
      assert_int_equal(fit, form == 0 || n == 0);
      if (fit) assert_same_bytes("point_cells_f32", got, expected, bytes);
      guarded_check("point_cells_f32");
      guarded_free_all();
    }
  }
}
