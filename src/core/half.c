// binary16 and bfloat16 conversions in integer arithmetic: the meaning of every vectorised conversion.

#include <math.h>
#include <string.h>

#include <lattice/array.h>

#include "core/array_internal.h"

float lat_f16_to_f32(uint16_t bits) {
  uint32_t sign = (uint32_t)(bits & 0x8000u) << 16;
  uint32_t exponent = (bits >> 10) & 0x1Fu;
  uint32_t mantissa = bits & 0x3FFu;
  uint32_t word;
  if (exponent == 0x1F) {
    // A signalling NaN becomes quiet, as the hardware conversions do.
    word = sign | 0x7F800000u | (mantissa << 13) | (mantissa ? 0x400000u : 0);
  } else if (exponent != 0) {
    word = sign | ((exponent + 112) << 23) | (mantissa << 13);
  } else {
    float magnitude = (float)mantissa * 0x1p-24f; // exact: subnormals are multiples of 2^-24
    memcpy(&word, &magnitude, sizeof word);
    word |= sign;
  }
  float value;
  memcpy(&value, &word, sizeof value);
  return value;
}

uint16_t lat_f32_to_f16(float value) {
  uint32_t word;
  memcpy(&word, &value, sizeof word);
  uint32_t sign = (word >> 16) & 0x8000u;
  uint32_t magnitude = word & 0x7FFFFFFFu;
  if (magnitude > 0x7F800000u) return (uint16_t)(sign | 0x7E00u | ((magnitude >> 13) & 0x3FFu)); // NaN, quiet
  if (magnitude >= 0x477FF000u) return (uint16_t)(sign | 0x7C00u);                               // rounds past 65504
  if (magnitude < 0x38800000u) {
    // Subnormal result: adding 0.5 puts the last kept bit (2^-24) at the last place of the sum, so the addition itself
    // rounds to nearest even.
    float shifted;
    memcpy(&shifted, &magnitude, sizeof shifted);
    shifted += 0.5f;
    memcpy(&word, &shifted, sizeof word);
    return (uint16_t)(sign | (word - 0x3F000000u));
  }
  uint32_t rounded = magnitude + 0xFFFu + ((magnitude >> 13) & 1u);
  return (uint16_t)(sign | ((rounded - 0x38000000u) >> 13));
}

float lat_bf16_to_f32(uint16_t bits) {
  uint32_t word = (uint32_t)bits << 16;
  float value;
  memcpy(&value, &word, sizeof value);
  return value;
}

uint16_t lat_f32_to_bf16(float value) {
  uint32_t word;
  memcpy(&word, &value, sizeof word);
  if ((word & 0x7FFFFFFFu) > 0x7F800000u) return (uint16_t)(word >> 16 | 0x40u); // NaN, quiet
  return (uint16_t)((word + 0x7FFFu + ((word >> 16) & 1u)) >> 16);
}

float lat__float_to_odd(double value) {
  float nearest = (float)value;
  uint32_t word;
  if (!((double)nearest != value) || value != value) return nearest; // exact, or NaN
  memcpy(&word, &nearest, sizeof word);
  if (fabs((double)nearest) > fabs(value)) word--; // towards zero; what overflowed becomes the largest finite number
  word |= 1u;
  memcpy(&nearest, &word, sizeof word);
  return nearest;
}
