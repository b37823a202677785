// Norms: channel sums and moments over rows, the affine map of batch norm, and whole rows of layer and RMS norm.
//
// A sum along a row runs in ROW_LANES chains: chain l takes the channels l, l + ROW_LANES, ...; then the upper half of
// the chains is added to the lower half until one is left. Every level has these same chains, so the same bits.

#define ROW_LANES 16
#define ROW_VECTORS (ROW_LANES / V_LANES)
#define NORM_ROWS 4

static void KERNEL(channel_sums_f32)(const float *restrict x, int64_t n_rows, int64_t channels, double *restrict sums) {
  for (int64_t r = 0; r < n_rows; r++) {
    const float *row = x + r * channels;
    for (int64_t c = 0; c < channels; c++) sums[c] += (double)row[c];
  }
}

#define MOMENT_VECTORS 4
#define MOMENT_ROWS 16

/// Rows and channels [c, c + MOMENT_VECTORS * V64_LANES): the sums stay in registers.
static LAT_ALWAYS_INLINE void norm_moments_strip(const float *x, int64_t n_rows, int64_t channels,
                                                 const float *restrict shift, double *restrict sums,
                                                 double *restrict squares) {
  vf64 origin[MOMENT_VECTORS], sum[MOMENT_VECTORS], square[MOMENT_VECTORS];
  KERNEL_UNROLL
  for (int v = 0; v < MOMENT_VECTORS; v++) {
    origin[v] = v64_load_f32(shift + v * V64_LANES);
    sum[v] = v64_load(sums + v * V64_LANES);
    square[v] = v64_load(squares + v * V64_LANES);
  }
  for (int64_t r = 0; r < n_rows; r++) {
    KERNEL_UNROLL
    for (int v = 0; v < MOMENT_VECTORS; v++) {
      vf64 d = v64_load_f32(x + r * channels + v * V64_LANES) - origin[v];
      sum[v] = sum[v] + d;
      square[v] = square[v] + d * d;
    }
  }
  KERNEL_UNROLL
  for (int v = 0; v < MOMENT_VECTORS; v++) {
    v64_store(sums + v * V64_LANES, sum[v]);
    v64_store(squares + v * V64_LANES, square[v]);
  }
}

// MOMENT_ROWS rows at a time, which the first-level cache holds, strip after strip.
static void KERNEL(channel_moments_f32)(const float *restrict x, int64_t n_rows, int64_t channels,
                                        const float *restrict shift, double *restrict sums, double *restrict squares) {
  const int64_t strip = MOMENT_VECTORS * V64_LANES, whole = channels - channels % strip;
  for (int64_t first = 0; first < n_rows; first += MOMENT_ROWS) {
    const float *rows = x + first * channels;
    int64_t n = n_rows - first < MOMENT_ROWS ? n_rows - first : MOMENT_ROWS;
    for (int64_t c = 0; c < whole; c += strip) {
      norm_moments_strip(rows + c, n, channels, shift + c, sums + c, squares + c);
    }
    for (int64_t r = 0; r < n; r++) {
      for (int64_t c = whole; c < channels; c++) {
        double d = (double)rows[r * channels + c] - (double)shift[c];
        sums[c] += d;
        squares[c] += d * d;
      }
    }
  }
}

static void KERNEL(affine_rows_f32)(const float *restrict x, int64_t n_rows, int64_t channels,
                                    const float *restrict mean, const float *restrict scale, const float *restrict bias,
                                    float *restrict y) {
  for (int64_t r = 0; r < n_rows; r++) {
    const float *source = x + r * channels;
    float *target = y + r * channels;
    for (int64_t c = 0; c < channels; c++) target[c] = (source[c] - mean[c]) * scale[c] + bias[c];
  }
}

/// The channels behind the last full set of chains, less `shift`, as a full set: zeros follow.
static inline void norm_tail(const float *x, int64_t n, float shift, float *tail) {
  for (int64_t c = 0; c < ROW_LANES; c++) tail[c] = c < n ? x[c] - shift : 0.0f;
}

static LAT_ALWAYS_INLINE float norm_row_sum(const float *x, int64_t channels) {
  vf32 sums[ROW_VECTORS];
  float tail[ROW_LANES];
  int64_t full = channels - channels % ROW_LANES;
  KERNEL_UNROLL
  for (int v = 0; v < ROW_VECTORS; v++) sums[v] = v_set1(0.0f);
  for (int64_t c = 0; c < full; c += ROW_LANES) {
    KERNEL_UNROLL
    for (int v = 0; v < ROW_VECTORS; v++) sums[v] = sums[v] + v_load(x + c + v * V_LANES);
  }
  if (full < channels) {
    norm_tail(x + full, channels - full, 0.0f, tail);
    KERNEL_UNROLL
    for (int v = 0; v < ROW_VECTORS; v++) sums[v] = sums[v] + v_load(tail + v * V_LANES);
  }
  return v_sum16(sums);
}

/// sum (x - shift) into `*sum`; returns sum (x - shift)^2.
static LAT_ALWAYS_INLINE float norm_row_squares(const float *x, int64_t channels, float shift, float *sum) {
  vf32 sums[ROW_VECTORS], squares[ROW_VECTORS];
  float tail[ROW_LANES];
  int64_t full = channels - channels % ROW_LANES;
  KERNEL_UNROLL
  for (int v = 0; v < ROW_VECTORS; v++) sums[v] = squares[v] = v_set1(0.0f);
  for (int64_t c = 0; c < full; c += ROW_LANES) {
    KERNEL_UNROLL
    for (int v = 0; v < ROW_VECTORS; v++) {
      vf32 d = v_load(x + c + v * V_LANES) - v_set1(shift);
      sums[v] = sums[v] + d;
      squares[v] = v_fma(d, d, squares[v]);
    }
  }
  if (full < channels) {
    norm_tail(x + full, channels - full, shift, tail);
    KERNEL_UNROLL
    for (int v = 0; v < ROW_VECTORS; v++) {
      vf32 d = v_load(tail + v * V_LANES);
      sums[v] = sums[v] + d;
      squares[v] = v_fma(d, d, squares[v]);
    }
  }
  if (sum) *sum = v_sum16(sums);
  return v_sum16(squares);
}

/// y = ((x - mean) - mean_low) * inverse * weight + bias, each step rounded.
static LAT_ALWAYS_INLINE void norm_write_row(const float *x, int64_t channels, const float mean[2], float inverse,
                                             const float *weight, const float *bias, float *y) {
  int64_t c = 0;
  for (; c + V_LANES <= channels; c += V_LANES) {
    vf32 v = ((v_load(x + c) - v_set1(mean[0])) - v_set1(mean[1])) * v_set1(inverse) * v_load(weight + c);
    v_store(y + c, v + v_load(bias + c));
  }
  for (; c < channels; c++) y[c] = ((x[c] - mean[0]) - mean[1]) * inverse * weight[c] + bias[c];
}

/// Rows [0, n). Their chains are long and short of work: several rows go step by step together.
// The mean is kept as mean + mean_low, where mean_low is the mean of what the first mean leaves: a row far from zero
// keeps its digits.
static LAT_ALWAYS_INLINE void norm_layer_rows(const float *x, const int n, int64_t channels, float eps,
                                              const float *weight, const float *bias, float *y) {
  float count = (float)channels, means[NORM_ROWS][2], inverses[NORM_ROWS];
  KERNEL_UNROLL
  for (int r = 0; r < n; r++) means[r][0] = norm_row_sum(x + r * channels, channels) / count;
  KERNEL_UNROLL
  for (int r = 0; r < n; r++) {
    float sum = 0.0f;
    float squares = norm_row_squares(x + r * channels, channels, means[r][0], &sum);
    means[r][1] = sum / count;
    float variance = squares / count - means[r][1] * means[r][1];
    variance = variance < 0.0f ? 0.0f : variance;
    inverses[r] = 1.0f / sqrtf(variance + eps);
  }
  for (int r = 0; r < n; r++) {
    norm_write_row(x + r * channels, channels, means[r], inverses[r], weight, bias, y + r * channels);
  }
}

static LAT_ALWAYS_INLINE void norm_layer_all(const float *restrict x, int64_t n_rows, int64_t channels, float eps,
                                             const float *restrict weight, const float *restrict bias,
                                             float *restrict y) {
  int64_t r = 0;
  for (; r + NORM_ROWS <= n_rows; r += NORM_ROWS) {
    norm_layer_rows(x + r * channels, NORM_ROWS, channels, eps, weight, bias, y + r * channels);
  }
  for (; r < n_rows; r++) norm_layer_rows(x + r * channels, 1, channels, eps, weight, bias, y + r * channels);
}

// Rows are so short that a loop over their vectors costs as much as the vectors: the widths that networks have are constants.
static void KERNEL(layer_norm_rows_f32)(const float *restrict x, int64_t n_rows, int64_t channels, float eps,
                                        const float *restrict weight, const float *restrict bias, float *restrict y) {
  switch (channels) {
  case 32:
    norm_layer_all(x, n_rows, 32, eps, weight, bias, y);
    return;
  case 64:
    norm_layer_all(x, n_rows, 64, eps, weight, bias, y);
    return;
  case 96:
    norm_layer_all(x, n_rows, 96, eps, weight, bias, y);
    return;
  case 128:
    norm_layer_all(x, n_rows, 128, eps, weight, bias, y);
    return;
  default:
    norm_layer_all(x, n_rows, channels, eps, weight, bias, y);
    return;
  }
}

static LAT_ALWAYS_INLINE void norm_rms_rows(const float *x, const int n, int64_t channels, float eps,
                                            const float *weight, float *y) {
  float count = (float)channels, inverses[NORM_ROWS];
  KERNEL_UNROLL
  for (int r = 0; r < n; r++) {
    inverses[r] = 1.0f / sqrtf(norm_row_squares(x + r * channels, channels, 0.0f, NULL) / count + eps);
  }
  for (int r = 0; r < n; r++) {
    const float *row = x + r * channels;
    float *target = y + r * channels;
    int64_t c = 0;
    for (; c + V_LANES <= channels; c += V_LANES) {
      v_store(target + c, v_load(row + c) * v_set1(inverses[r]) * v_load(weight + c));
    }
    for (; c < channels; c++) target[c] = row[c] * inverses[r] * weight[c];
  }
}

static void KERNEL(rms_norm_rows_f32)(const float *restrict x, int64_t n_rows, int64_t channels, float eps,
                                      const float *restrict weight, float *restrict y) {
  int64_t r = 0;
  for (; r + NORM_ROWS <= n_rows; r += NORM_ROWS) {
    norm_rms_rows(x + r * channels, NORM_ROWS, channels, eps, weight, y + r * channels);
  }
  for (; r < n_rows; r++) norm_rms_rows(x + r * channels, 1, channels, eps, weight, y + r * channels);
}

#undef MOMENT_ROWS
#undef MOMENT_VECTORS
#undef NORM_ROWS
#undef ROW_LANES
#undef ROW_VECTORS
