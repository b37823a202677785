// Products in low precision in plain C: the meaning of cpu_products.list. No convolution runs them.

#include <string.h>

#include "backend/cpu/kernel/cpu_products.h"

static void dot_gemm_i8_scalar(const lat__dot_gemm_args *args) {
  const uint8_t *w = args->w;
  for (int64_t p = 0; p < args->n_pairs; p++) {
    int64_t in = args->in_rows ? args->in_rows[p] : p;
    const int8_t *x = (const int8_t *)args->x + in * args->x_stride;
    const float *of_row = (const float *)(const void *)(x + args->c_in); // the scale, then sums
    float *y = args->y + (args->out_rows ? args->out_rows[p] : p) * args->y_stride;
    for (int64_t g = 0; g < args->n_groups; g++) {
      int64_t first = g * args->group_size;
      int64_t end = first + args->group_size < args->c_in ? first + args->group_size : args->c_in;
      for (int64_t c = 0; c < args->columns; c++) {
        int32_t dot = 0, zero = args->w_scale ? 0 : 128;
        for (int64_t ci = first; ci < end; ci++) { // one column to a panel: quads of channels are runs of them
          dot += x[ci] * (w[c * args->c_in + ci] - zero);
        }
        float value = (float)dot;
        if (args->w_scale) {
          value =
              fmaf(value, args->w_scale[g * args->columns + c], of_row[1 + g] * args->w_bias[g * args->columns + c]);
        }
        y[c] = fmaf(of_row[0], value, y[c]);
      }
    }
  }
}

static int64_t int8_peak_scalar(int64_t n_rounds, float *sink) {
  uint32_t sum = 0;
  for (int64_t round = 0; round < n_rounds; round++) sum += (uint32_t)round;
  *sink = 1.0f + (float)(sum % 2);
  return n_rounds * 2;
}

/// A subnormal becomes a zero of its sign.
static float flushed(float value) {
  uint32_t bits;
  memcpy(&bits, &value, sizeof bits);
  if ((bits & 0x7F800000u) == 0) bits &= 0x80000000u;
  memcpy(&value, &bits, sizeof value);
  return value;
}

static float widened(uint16_t value) {
  return flushed(lat_bf16_to_f32(value));
}

static void gather_gemm_bf16_scalar(const lat__bf16_gemm_args *args) {
  for (int64_t p = 0; p < args->n_pairs; p++) {
    const uint16_t *x = args->x + (args->in_rows ? args->in_rows[p] : p) * args->x_stride;
    float *y = args->y + (args->out_rows ? args->out_rows[p] : p) * args->y_stride;
    for (int64_t c = 0; c < args->columns; c++) {
      const uint16_t *w = args->w + c * args->c_in; // one column to a panel
      for (int64_t ci = 0; ci < args->c_in; ci += 2) {
        y[c] = flushed(fmaf(widened(x[ci + 1]), widened(w[ci + 1]), flushed(y[c])));
        y[c] = flushed(fmaf(widened(x[ci]), widened(w[ci]), y[c]));
      }
    }
  }
}

static int64_t bf16_peak_scalar(int64_t n_rounds, float *sink) {
  return int8_peak_scalar(n_rounds, sink);
}

extern const lat__cpu_products lat__products_scalar;
const lat__cpu_products lat__products_scalar = {
    .name = "scalar",
    .int8_name = "1x1v_scalar",
    .bf16_name = "1x1v_scalar",
    .lanes = 1,
    .tile_vectors = 1,
    .tile_rows = 1,
#define X(slot, result, arguments) .slot = slot##_scalar,
#include "backend/cpu/kernel/cpu_products.list"
#undef X
};
