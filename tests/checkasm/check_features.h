/// Checks of the activation, norm and pool kernels. Part of checkasm.c.

static float *random_floats(int64_t n) {
  float *values = guarded_alloc((size_t)n * sizeof *values);
  fill_floats(values, n);
  return values;
}

// --- activations ------------------------------------------------------------------------------------------------------

typedef void (*elementwise_fn)(int64_t n, const float *x, float *y);

static void check_elementwise(const char *what, elementwise_fn scalar, elementwise_fn level) {
  // Small counts for the tails, one long run for the values: all magnitudes, both signs, infinities and NaN.
  for (int64_t n = 0; n <= 70; n++) {
    int64_t count = n < 70 ? n : 40000;
    float *x = random_floats(count);
    for (int64_t i = 0; n == 70 && i < count; i++) {
      uint32_t word = (uint32_t)(next_random() >> 32);
      if (i % 2 == 0) memcpy(&x[i], &word, sizeof word);
    }
    size_t bytes = (size_t)count * sizeof *x;
    float *expected = guarded_output(bytes, 64), *got = guarded_output(bytes, 0);
    scalar(count, x, expected);
    level(count, x, got);
    assert_same_bytes(what, got, expected, bytes);
    guarded_check(what);
    guarded_free_all();
  }
}

static void check_gelu_erf_f32(const checker *c) {
  check_elementwise("gelu_erf_f32", c->scalar->gelu_erf_f32, c->level->gelu_erf_f32);
}

static void check_gelu_tanh_f32(const checker *c) {
  check_elementwise("gelu_tanh_f32", c->scalar->gelu_tanh_f32, c->level->gelu_tanh_f32);
}

static void check_gelu_fast_f32(const checker *c) {
  check_elementwise("gelu_fast_f32", c->scalar->gelu_fast_f32, c->level->gelu_fast_f32);
}

/// Every kind of activation, forward (all but the forms of gelu) or its slope, over all magnitudes.
static void check_activation(const checker *c, bool slope, const char *what) {
  for (int kind = LAT_ACTIVATION_RELU; kind <= LAT_ACTIVATION_EXP; kind++) {
    const lat__activation_args args = {(lat_activation_kind)kind, 0.25f, 1.5f, 12.0f};
    if (!slope && kind >= LAT_ACTIVATION_GELU && kind <= LAT_ACTIVATION_GELU_FAST) continue;
    for (int64_t n = 0; n <= 20; n++) {
      int64_t count = n < 20 ? n : 5000;
      float *x = random_floats(count), *g = random_floats(count);
      for (int64_t i = 0; n == 20 && i < count; i += 2) {
        uint32_t word = (uint32_t)(next_random() >> 32);
        memcpy(&x[i], &word, sizeof word);
      }
      size_t bytes = (size_t)count * sizeof *x;
      float *expected = guarded_output(bytes, 64), *got = guarded_output(bytes, 0);
      if (slope) {
        c->scalar->activate_slope_f32(&args, count, x, g, expected);
        c->level->activate_slope_f32(&args, count, x, g, got);
      } else {
        c->scalar->activate_f32(&args, count, x, expected);
        c->level->activate_f32(&args, count, x, got);
      }
      assert_same_bytes(what, got, expected, bytes);
      guarded_check(what);
      guarded_free_all();
    }
  }
}

static void check_activate_f32(const checker *c) {
  check_activation(c, false, "activate_f32");
}

static void check_activate_slope_f32(const checker *c) {
  check_activation(c, true, "activate_slope_f32");
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
typedef enum norm_slot { NORM_SUMS, NORM_SQUARES, NORM_AFFINE, NORM_LAYER, NORM_RMS } norm_slot;

/// Inputs of every norm kernel.
typedef struct norm_inputs {
  int64_t n_rows, channels;
  const float *x, *a, *b, *c; ///< (n_rows, channels), then (channels,) each
  const double *mean;
} norm_inputs;

/// Runs one kernel; the output is double for the sums, float for the rest.
static void run_norm(const lat__cpu_kernels *t, norm_slot slot, const norm_inputs *in, void *out) {
  switch (slot) {
  case NORM_SUMS:
    t->channel_sums_f32(in->x, in->n_rows, in->channels, out);
    break;
  case NORM_SQUARES:
    t->channel_squares_f32(in->x, in->n_rows, in->channels, in->mean, out);
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
  bool sums = slot == NORM_SUMS || slot == NORM_SQUARES;
  for (int64_t channels = 1; channels <= 4 * c->level->lanes + 3; channels++) {
    int64_t n_rows = channels % 8, n_out = sums ? channels : n_rows * channels;
    double *mean = guarded_alloc((size_t)channels * sizeof *mean);
    for (int64_t i = 0; i < channels; i++) mean[i] = (double)random_float();
    norm_inputs in = {n_rows,
                      channels,
                      random_floats(n_rows * channels),
                      random_floats(channels),
                      random_floats(channels),
                      random_floats(channels),
                      mean};
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

static void check_channel_squares_f32(const checker *c) {
  check_norm(c, NORM_SQUARES, "channel_squares_f32");
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

typedef void (*reduce_rows_fn)(const float *x, const int32_t *in_rows, const uint16_t *out_rows, int64_t n_pairs,
                               int64_t channels, float *y);

static void check_reduce_rows(const checker *c, const char *what, reduce_rows_fn scalar, reduce_rows_fn level,
                              bool with_nan) {
  enum { N_OUT = 5 };
  for (int64_t channels = 0; channels <= 3 * c->level->lanes + 1; channels++) {
    for (int form = 0; form < 4; form++) {
      int64_t n_pairs = random_below(12);
      int64_t n_x = form & 1 ? 1 + random_below(6) : n_pairs;
      float *x = random_floats(n_x * channels);
      if (with_nan && n_x * channels > 0) x[random_below(n_x * channels)] = NAN;
      int32_t *in_rows = guarded_alloc((size_t)n_pairs * sizeof *in_rows);
      uint16_t *out_rows = guarded_alloc((size_t)n_pairs * sizeof *out_rows);
      for (int64_t p = 0; p < n_pairs; p++) {
        in_rows[p] = (int32_t)random_below(n_x > 0 ? n_x : 1);
        out_rows[p] = (uint16_t)random_below(N_OUT);
      }
      int64_t n_y = (form & 2 ? N_OUT : 1) * channels;
      size_t bytes = (size_t)n_y * sizeof(float);
      float *expected = guarded_output(bytes, 64), *got = guarded_output(bytes, 0);
      fill_floats(expected, n_y);
      memcpy(got, expected, bytes);
      scalar(x, form & 1 ? in_rows : NULL, form & 2 ? out_rows : NULL, n_pairs, channels, expected);
      level(x, form & 1 ? in_rows : NULL, form & 2 ? out_rows : NULL, n_pairs, channels, got);
      assert_same_bytes(what, got, expected, bytes);
      guarded_check(what);
      guarded_free_all();
    }
  }
}

static void check_add_rows_f32(const checker *c) {
  check_reduce_rows(c, "add_rows_f32", c->scalar->add_rows_f32, c->level->add_rows_f32, false);
}

static void check_max_rows_f32(const checker *c) {
  check_reduce_rows(c, "max_rows_f32", c->scalar->max_rows_f32, c->level->max_rows_f32, true);
}
