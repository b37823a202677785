// Rows of floats as 8-bit codes with a scale for each row: KERNEL(QUANTIZE_SLOT). Parameters: QUANTIZE_SLOT, its name;
// QUANTIZE_CODE, the type of a code; QUANTIZE_STEP, of which rows of codes have a multiple. No loop has a float reduction:
// the compiler vectorizes them.

#define QUANTIZE_JOIN(slot, part) KERNEL_EXPAND(slot, part)
#define QUANTIZE_PART(part) KERNEL(QUANTIZE_JOIN(QUANTIZE_SLOT, part))

/// The largest magnitude of a row, infinity or NaN where one is in it: magnitudes compare like their bits.
static LAT_ALWAYS_INLINE float QUANTIZE_PART(magnitude)(const float *restrict row, int64_t channels) {
  uint32_t most = 0;
  for (int64_t c = 0; c < channels; c++) {
    uint32_t bits;
    memcpy(&bits, row + c, sizeof bits);
    bits &= 0x7FFFFFFFu;
    most = bits > most ? bits : most;
  }
  float magnitude;
  memcpy(&magnitude, &most, sizeof magnitude);
  return magnitude;
}

/// Codes of one row, x[c] * factor rounded, and the sums of their groups.
static LAT_ALWAYS_INLINE void QUANTIZE_PART(row)(const float *restrict x, int64_t channels, int64_t group_size,
                                                 float factor, QUANTIZE_CODE *restrict codes, float *restrict sums) {
  for (int64_t c = 0; c < channels; c++) {
    const float shifted = x[c] * factor + 0x1.8p23f; // the low bits are the nearest integer, ties to even
    int32_t code;
    memcpy(&code, &shifted, sizeof code);
    codes[c] = (QUANTIZE_CODE)(code - 0x4B400000);
  }
  for (int64_t g = 0; g * group_size < channels; g++) {
    int64_t end = (g + 1) * group_size < channels ? (g + 1) * group_size : channels;
    int32_t sum = 0;
    for (int64_t c = g * group_size; c < end; c++) sum += codes[c];
    sums[g] = (float)sum;
  }
}

static void KERNEL(QUANTIZE_SLOT)(const float *x, int64_t n_rows, int64_t channels, int64_t group_size, void *rows) {
  const int64_t n_codes = (channels + QUANTIZE_STEP - 1) / QUANTIZE_STEP * QUANTIZE_STEP;
  const int64_t n_groups = (channels + group_size - 1) / group_size;
  const size_t code_bytes = (size_t)n_codes * sizeof(QUANTIZE_CODE);
  char *target = rows;
  for (int64_t r = 0; r < n_rows; r++, x += channels, target += code_bytes + (size_t)(1 + n_groups) * sizeof(float)) {
    QUANTIZE_CODE *codes = (QUANTIZE_CODE *)target;
    float *scale = (float *)(void *)(target + code_bytes);
    const float magnitude = QUANTIZE_PART(magnitude)(x, channels);
    for (int64_t c = channels; c < n_codes; c++) codes[c] = 0;
    if (magnitude >= 0x1p-100f && magnitude < INFINITY) {
      *scale = magnitude / 127.0f;
      QUANTIZE_PART(row)(x, channels, group_size, 127.0f / magnitude, codes, scale + 1);
    } else {
      *scale = magnitude < 0x1p-100f ? 0.0f : NAN;
      memset(codes, 0, (size_t)channels * sizeof *codes);
      memset(scale + 1, 0, (size_t)n_groups * sizeof(float));
    }
  }
}

#undef QUANTIZE_JOIN
#undef QUANTIZE_PART
#undef QUANTIZE_SLOT
#undef QUANTIZE_CODE
#undef QUANTIZE_STEP
