// Naive affine quantization of one group of weights.
#include "ref/ref_quant.h"

#include <math.h>

#include "ref/ref_half.h"

// Nearest integer, ties to even, written out.
static double nearest_even(double value) {
  double below = floor(value);
  double rest = value - below;
  if (rest > 0.5) return below + 1.0;
  if (rest < 0.5) return below;
  return fmod(below, 2.0) == 0.0 ? below : below + 1.0;
}

void ref_quantize_group(const float *values, int count, int bits, unsigned *codes, float *scale, float *bias) {
  const int last = (1 << bits) - 1;
  float largest = values[0];
  float smallest = values[0];
  for (int i = 0; i < count; i++) {
    if (values[i] > largest) largest = values[i];
    if (values[i] < smallest) smallest = values[i];
  }
  float difference = largest - smallest;
  float step = difference / (float)last;
  if (step < (float)1e-7) step = (float)1e-7;
  float edge = largest;
  if (fabs((double)smallest) > fabs((double)largest)) {
    edge = smallest;
  } else {
    step = -step;
  }
  float edge_steps = edge / step;
  float whole_steps = (float)nearest_even((double)edge_steps);
  *scale = step;
  *bias = 0.0f;
  if (whole_steps != 0.0f) {
    *scale = edge / whole_steps;
    *bias = edge;
  }
  for (int i = 0; i < count; i++) {
    float from_bias = values[i] - *bias;
    float steps = from_bias / *scale;
    double code = nearest_even((double)steps);
    codes[i] = code < 1.0 || isnan(code) ? 0 : code > last ? (unsigned)last : (unsigned)code;
  }
}

double ref_dequantize(unsigned code, double scale, double bias, int half) {
  if (half) return ref_half_round(ref_half_round((double)code * scale) + bias);
  float product = (float)((double)code * scale);
  return (double)(float)((double)product + bias);
}
