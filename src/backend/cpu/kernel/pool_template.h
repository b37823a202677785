// Pools: rows of x reduced into rows of y, one pair after the other.

static void KERNEL(add_rows_f32)(const float *restrict x, const int32_t *restrict in_rows,
                                 const uint16_t *restrict out_rows, int64_t n_pairs, int64_t channels,
                                 float *restrict y) {
  for (int64_t p = 0; p < n_pairs; p++) {
    const float *source = x + (in_rows ? in_rows[p] : p) * channels;
    float *target = y + (out_rows ? out_rows[p] : 0) * channels;
    for (int64_t c = 0; c < channels; c++) target[c] += source[c];
  }
}

// A NaN is not above anything and takes the place by itself; nothing is above a NaN.
static void KERNEL(max_rows_f32)(const float *restrict x, const int32_t *restrict in_rows,
                                 const uint16_t *restrict out_rows, int64_t n_pairs, int64_t channels,
                                 float *restrict y) {
  for (int64_t p = 0; p < n_pairs; p++) {
    const float *source = x + (in_rows ? in_rows[p] : p) * channels;
    float *target = y + (out_rows ? out_rows[p] : 0) * channels;
    for (int64_t c = 0; c < channels; c++) {
      float value = source[c], best = target[c];
      target[c] = ((value > best) | (value != value)) ? value : best;
    }
  }
}
