// What follows a convolution's sums: bias, norm, residual and relu of a row in one pass over it.
//
//     v = sums[c];  v *= factor[c];  v += bias[c];  v = (v - mean[c]) * scale[c] + shift[c];  v += r[c];  v = max(v, 0);  v += r[c]
//
// Every step rounds, nothing is fused: the bits of the steps one after the other.

static LAT_ALWAYS_INLINE vf32 KERNEL(epilogue_load)(const float *p, int64_t n, const bool whole) {
  return whole ? v_load(p) : v_load_n(p, n);
}

/// One vector of a row: channels c .. c + n, the residual's row at `at`. `whole` is a constant where this is inlined.
static LAT_ALWAYS_INLINE vf32 KERNEL(epilogue_vector)(const lat__epilogue_args *args, const float *sums, int64_t at,
                                                      int64_t c, int64_t n, const bool whole) {
  vf32 v = KERNEL(epilogue_load)(sums + c, n, whole);
  if (args->factor) v = v * KERNEL(epilogue_load)(args->factor + c, n, whole);
  if (args->bias) v = v + KERNEL(epilogue_load)(args->bias + c, n, whole);
  if (args->mean) {
    v = v - KERNEL(epilogue_load)(args->mean + c, n, whole);
    v = v * KERNEL(epilogue_load)(args->scale + c, n, whole);
    v = v + KERNEL(epilogue_load)(args->shift + c, n, whole);
  }
  if (args->residual) v = v + KERNEL(epilogue_load)(args->residual + at + c, n, whole);
  if (args->relu) v = v_relu(v);
  if (args->residual_last) v = v + KERNEL(epilogue_load)(args->residual_last + at + c, n, whole);
  return v;
}

static void KERNEL(epilogue_rows_f32)(const lat__epilogue_args *args, const float *sums, int64_t sums_stride,
                                      int64_t n_rows, int64_t channels, float *y) {
  const lat__epilogue_args steps = *args; // a copy that stores to y cannot change
  for (int64_t r = 0; r < n_rows; r++) {
    const float *source = sums + r * sums_stride;
    int64_t at = r * channels, c = 0;
    for (; c + V_LANES <= channels; c += V_LANES) {
      v_store(y + at + c, KERNEL(epilogue_vector)(&steps, source, at, c, V_LANES, true));
    }
    int64_t n = channels - c;
    if (n > 0) v_store_n(y + at + c, KERNEL(epilogue_vector)(&steps, source, at, c, n, false), n);
  }
}
