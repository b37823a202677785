// Rows of features in and out of a convolution: widening gathered 16-bit rows, and bias and rounding of finished sums.

static void KERNEL(widen_rows_f16)(const uint16_t *x, const int32_t *in_rows, int64_t n_rows, int64_t channels,
                                   float *rows) {
  for (int64_t p = 0; p < n_rows; p++) {
    const uint16_t *source = x + (in_rows ? in_rows[p] : p) * channels;
    float *target = rows + p * channels;
    int64_t c = 0;
    for (; c + V_LANES <= channels; c += V_LANES) v_store(target + c, v_load_f16(source + c));
    if (c < channels) v_store_n(target + c, v_load_f16_n(source + c, channels - c), channels - c);
  }
}

static void KERNEL(finish_rows_f32)(const float *sums, int64_t sums_stride, const float *bias, int64_t n_rows,
                                    int64_t channels, float *y) {
  for (int64_t r = 0; r < n_rows; r++) {
    const float *source = sums + r * sums_stride;
    float *target = y + r * channels;
    int64_t c = 0;
    for (; c + V_LANES <= channels; c += V_LANES) {
      vf32 v = v_load(source + c);
      if (bias) v = v + v_load(bias + c);
      v_store(target + c, v);
    }
    int64_t tail = channels - c;
    if (tail > 0) {
      vf32 v = v_load_n(source + c, tail);
      if (bias) v = v + v_load_n(bias + c, tail);
      v_store_n(target + c, v, tail);
    }
  }
}

static void KERNEL(finish_rows_f16)(const float *sums, int64_t sums_stride, const float *bias, int64_t n_rows,
                                    int64_t channels, uint16_t *y) {
  for (int64_t r = 0; r < n_rows; r++) {
    const float *source = sums + r * sums_stride;
    uint16_t *target = y + r * channels;
    int64_t c = 0;
    for (; c + V_LANES <= channels; c += V_LANES) {
      vf32 v = v_load(source + c);
      if (bias) v = v + v_load(bias + c);
      v_store_f16(target + c, v);
    }
    int64_t tail = channels - c;
    if (tail > 0) {
      vf32 v = v_load_n(source + c, tail);
      if (bias) v = v + v_load_n(bias + c, tail);
      v_store_f16_n(target + c, v, tail);
    }
  }
}

static void KERNEL(widen_rows_bf16)(const uint16_t *x, const int32_t *in_rows, int64_t n_rows, int64_t channels,
                                    float *rows) {
  for (int64_t p = 0; p < n_rows; p++) {
    const uint16_t *source = x + (in_rows ? in_rows[p] : p) * channels;
    float *target = rows + p * channels;
    int64_t c = 0;
    for (; c + V_LANES <= channels; c += V_LANES) v_store(target + c, v_load_bf16(source + c));
    if (c < channels) v_store_n(target + c, v_load_bf16_n(source + c, channels - c), channels - c);
  }
}

static void KERNEL(finish_rows_bf16)(const float *sums, int64_t sums_stride, const float *bias, int64_t n_rows,
                                     int64_t channels, uint16_t *y) {
  for (int64_t r = 0; r < n_rows; r++) {
    const float *source = sums + r * sums_stride;
    uint16_t *target = y + r * channels;
    int64_t c = 0;
    for (; c + V_LANES <= channels; c += V_LANES) {
      vf32 v = v_load(source + c);
      if (bias) v = v + v_load(bias + c);
      v_store_bf16(target + c, v);
    }
    int64_t tail = channels - c;
    if (tail > 0) {
      vf32 v = v_load_n(source + c, tail);
      if (bias) v = v + v_load_n(bias + c, tail);
      v_store_bf16_n(target + c, v, tail);
    }
  }
}
