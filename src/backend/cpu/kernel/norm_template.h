// Norms: channel sums over rows, the affine map of batch norm, and whole rows of layer and RMS norm.
//
// A sum along a row runs in ROW_LANES chains: chain l takes the channels l, l + ROW_LANES, ...; then the upper half of
// the chains is added to the lower half until one is left. Every level has these same chains, so the same bits.

#define ROW_LANES 16
#define ROW_VECTORS (ROW_LANES / V_LANES)

static void KERNEL(channel_sums_f32)(const float *restrict x, int64_t n_rows, int64_t channels, double *restrict sums) {
  for (int64_t r = 0; r < n_rows; r++) {
    const float *row = x + r * channels;
    for (int64_t c = 0; c < channels; c++) sums[c] += (double)row[c];
  }
}

static void KERNEL(channel_squares_f32)(const float *restrict x, int64_t n_rows, int64_t channels,
                                        const double *restrict mean, double *restrict squares) {
  for (int64_t r = 0; r < n_rows; r++) {
    const float *row = x + r * channels;
    for (int64_t c = 0; c < channels; c++) {
      double deviation = (double)row[c] - mean[c];
      squares[c] += deviation * deviation;
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

/// Adds up the chains that `vectors` hold and the last channels of the row, which fill no full set of chains.
static inline float norm_join_lanes(const vf32 *vectors, const float *tail, int64_t n_tail) {
  float lanes[ROW_LANES];
  for (int v = 0; v < ROW_VECTORS; v++) v_store(lanes + v * V_LANES, vectors[v]);
  for (int64_t l = 0; l < n_tail; l++) lanes[l] += tail[l];
  for (int half = ROW_LANES / 2; half > 0; half /= 2) {
    for (int l = 0; l < half; l++) lanes[l] += lanes[l + half];
  }
  return lanes[0];
}

static inline float norm_row_sum(const float *x, int64_t channels) {
  vf32 sums[ROW_VECTORS];
  int64_t full = channels - channels % ROW_LANES;
  KERNEL_UNROLL
  for (int v = 0; v < ROW_VECTORS; v++) sums[v] = v_set1(0.0f);
  for (int64_t c = 0; c < full; c += ROW_LANES) {
    KERNEL_UNROLL
    for (int v = 0; v < ROW_VECTORS; v++) sums[v] = sums[v] + v_load(x + c + v * V_LANES);
  }
  return norm_join_lanes(sums, x + full, channels - full);
}

/// sum (x - shift) into `*sum`; returns sum (x - shift)^2.
static inline float norm_row_squares(const float *x, int64_t channels, float shift, float *sum) {
  vf32 sums[ROW_VECTORS], squares[ROW_VECTORS];
  int64_t full = channels - channels % ROW_LANES;
  float tail[ROW_LANES], tail_squares[ROW_LANES];
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
  for (int64_t c = full; c < channels; c++) {
    tail[c - full] = x[c] - shift;
    tail_squares[c - full] = tail[c - full] * tail[c - full];
  }
  *sum = norm_join_lanes(sums, tail, channels - full);
  return norm_join_lanes(squares, tail_squares, channels - full);
}

// The mean is kept as mean + mean_low, where mean_low is the mean of what the first mean leaves: a row far from zero
// keeps its digits.
static void KERNEL(layer_norm_rows_f32)(const float *restrict x, int64_t n_rows, int64_t channels, float eps,
                                        const float *restrict weight, const float *restrict bias, float *restrict y) {
  float n = (float)channels;
  for (int64_t r = 0; r < n_rows; r++) {
    const float *row = x + r * channels;
    float *target = y + r * channels;
    float sum = 0.0f;
    float mean = norm_row_sum(row, channels) / n;
    float squares = norm_row_squares(row, channels, mean, &sum);
    float mean_low = sum / n;
    float variance = squares / n - mean_low * mean_low;
    variance = variance < 0.0f ? 0.0f : variance;
    float inverse = 1.0f / sqrtf(variance + eps);
    for (int64_t c = 0; c < channels; c++) target[c] = ((row[c] - mean) - mean_low) * inverse * weight[c] + bias[c];
  }
}

static void KERNEL(rms_norm_rows_f32)(const float *restrict x, int64_t n_rows, int64_t channels, float eps,
                                      const float *restrict weight, float *restrict y) {
  float n = (float)channels;
  for (int64_t r = 0; r < n_rows; r++) {
    const float *row = x + r * channels;
    float *target = y + r * channels;
    float sum = 0.0f;
    float inverse = 1.0f / sqrtf(norm_row_squares(row, channels, 0.0f, &sum) / n + eps);
    for (int64_t c = 0; c < channels; c++) target[c] = row[c] * inverse * weight[c];
  }
}

#undef ROW_LANES
#undef ROW_VECTORS
