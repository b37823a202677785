// Depthwise convolution and its weight gradient: each channel of a row times its own weight, added to a row of y. Lanes run along channels; there is
// nothing to reuse but the weights, so memory bounds it.

static void KERNEL(depthwise_rows_f32)(const float *restrict x, const int32_t *restrict in_rows,
                                       const uint16_t *restrict out_rows, int64_t n_pairs, int64_t channels,
                                       const float *restrict w, float *restrict y) {
  for (int64_t p = 0; p < n_pairs; p++) {
    const float *source = x + (in_rows ? in_rows[p] : p) * channels;
    float *target = y + (out_rows ? out_rows[p] : p) * channels;
    int64_t c = 0;
    for (; c + V_LANES <= channels; c += V_LANES) {
      v_store(target + c, v_fma(v_load(source + c), v_load(w + c), v_load(target + c)));
    }
    int64_t left = channels - c;
    if (left > 0) {
      vf32 sum = v_fma(v_load_n(source + c, left), v_load_n(w + c, left), v_load_n(target + c, left));
      v_store_n(target + c, sum, left);
    }
  }
}

static void KERNEL(depthwise_outer_f32)(const float *restrict x, const int32_t *restrict in_rows,
                                        const float *restrict g, const uint16_t *restrict out_rows, int64_t n_pairs,
                                        int64_t channels, float *restrict y) {
  int64_t c = 0;
  for (; c < channels; c += V_LANES) {
    int64_t lanes = channels - c;
    bool whole = lanes >= V_LANES;
    vf32 sum = whole ? v_load(y + c) : v_load_n(y + c, lanes);
    for (int64_t p = 0; p < n_pairs; p++) {
      const float *a = x + (in_rows ? in_rows[p] : p) * channels + c;
      const float *b = g + (out_rows ? out_rows[p] : p) * channels + c;
      sum = whole ? v_fma(v_load(a), v_load(b), sum) : v_fma(v_load_n(a, lanes), v_load_n(b, lanes), sum);
    }
    if (whole) {
      v_store(y + c, sum);
    } else {
      v_store_n(y + c, sum, lanes);
    }
  }
}
