// binary16 and bfloat16 conversions: every bit pattern one way, every rounding boundary the other way, against arithmetic in double.
// covers: lat_f16_to_f32 lat_f32_to_f16 lat_bf16_to_f32 lat_f32_to_bf16
#include <math.h>
#include <string.h>

#include <lattice/array.h>

#include "support/test_support.h"

static uint32_t bits_of(float value) {
  uint32_t bits;
  memcpy(&bits, &value, sizeof bits);
  return bits;
}

static float float_of(uint32_t bits) {
  float value;
  memcpy(&value, &bits, sizeof value);
  return value;
}

// The definition: sign, five bits of exponent with bias 15, ten bits of fraction. Finite patterns only.
static double half_value(uint16_t bits) {
  int exponent = (bits >> 10) & 31;
  double fraction = (double)(bits & 0x3FF);
  double magnitude = exponent == 0 ? ldexp(fraction, -24) : ldexp(1024.0 + fraction, exponent - 25);
  return bits & 0x8000 ? -magnitude : magnitude;
}

static void test_widen_every_pattern(void **state) {
  (void)state;
  for (uint32_t pattern = 0; pattern < 65536; pattern++) {
    uint16_t half = (uint16_t)pattern;
    float value = lat_f16_to_f32(half);
    int exponent = (half >> 10) & 31, fraction = half & 0x3FF;
    assert_int_equal(signbit(value) != 0, half >> 15);
    if (exponent < 31) {
      if ((double)value != half_value(half)) fail_msg("pattern %04x gives %a", pattern, (double)value);
    } else if (fraction == 0) {
      assert_true(isinf(value));
    } else {
      // Quiet, with the payload kept in place.
      assert_true(isnan(value));
      assert_int_equal(bits_of(value) & 0x7FFFFF, ((uint32_t)fraction << 13) | 0x400000);
    }
  }
}

static void test_round_trip(void **state) {
  (void)state;
  for (uint32_t pattern = 0; pattern < 65536; pattern++) {
    uint16_t half = (uint16_t)pattern;
    uint16_t back = lat_f32_to_f16(lat_f16_to_f32(half));
    int is_nan = (half & 0x7C00) == 0x7C00 && (half & 0x3FF) != 0;
    assert_int_equal(back, is_nan ? half | 0x200 : half);
  }
}

// Between each pair of neighbours: below the middle goes down, above it goes up, the middle goes to the even one.
static void test_narrow_every_boundary(void **state) {
  (void)state;
  for (uint32_t low = 0; low < 0x7C00; low++) {
    uint32_t high = low + 1;
    double below = half_value((uint16_t)low);
    double above = high == 0x7C00 ? 65536.0 : half_value((uint16_t)high); // past the largest as if exponents went on
    float middle = (float)((below + above) / 2);                          // exact in float32
    uint32_t even = low % 2 == 0 ? low : high;
    for (uint32_t sign = 0; sign <= 0x8000; sign += 0x8000) {
      float s = sign ? -1.0f : 1.0f;
      assert_int_equal(lat_f32_to_f16(s * middle), sign | even);
      assert_int_equal(lat_f32_to_f16(s * nextafterf(middle, 0.0f)), sign | low);
      assert_int_equal(lat_f32_to_f16(s * nextafterf(middle, INFINITY)), sign | high);
      assert_int_equal(lat_f32_to_f16(s * (float)below), sign | low);
    }
  }
}

static void test_narrow_extremes(void **state) {
  (void)state;
  assert_int_equal(lat_f32_to_f16(0.0f), 0);
  assert_int_equal(lat_f32_to_f16(-0.0f), 0x8000);
  assert_int_equal(lat_f32_to_f16(INFINITY), 0x7C00);
  assert_int_equal(lat_f32_to_f16(-INFINITY), 0xFC00);
  assert_int_equal(lat_f32_to_f16(65504.0f), 0x7BFF);
  assert_int_equal(lat_f32_to_f16(nextafterf(65520.0f, 0.0f)), 0x7BFF);
  assert_int_equal(lat_f32_to_f16(65520.0f), 0x7C00);
  assert_int_equal(lat_f32_to_f16(3e38f), 0x7C00);
  assert_int_equal(lat_f32_to_f16(float_of(1)), 0);
  assert_int_equal(lat_f32_to_f16(0x1p-24f), 1);
  assert_int_equal(lat_f32_to_f16(0x1p-25f), 0); // tie to even
  assert_int_equal(lat_f32_to_f16(nextafterf(0x1p-25f, 1.0f)), 1);
}

static void test_narrow_nan(void **state) {
  (void)state;
  assert_int_equal(lat_f32_to_f16(float_of(0x7F800001)), 0x7E00); // the payload's low bits go, NaN stays
  assert_int_equal(lat_f32_to_f16(float_of(0xFFC00000)), 0xFE00);
  assert_int_equal(lat_f32_to_f16(float_of(0x7FFFFFFF)), 0x7FFF);
}

// bfloat16 is the upper half of a float: widening is a shift, narrowing picks the nearer of two neighbours.
static void test_bfloat16(void **state) {
  (void)state;
  for (uint32_t pattern = 0; pattern < 65536; pattern++) {
    uint16_t bits = (uint16_t)pattern;
    float value = lat_bf16_to_f32(bits);
    if ((bits & 0x7FFF) > 0x7F80) {
      assert_true(isnan(value));
      assert_int_equal(lat_f32_to_bf16(value), bits | 0x40);
      continue;
    }
    assert_int_equal(bits_of(value), pattern << 16);
    assert_int_equal(lat_f32_to_bf16(value), bits);
    if ((bits & 0x7FFF) == 0x7F80) continue; // infinity has no neighbour above
    uint16_t even = (uint16_t)(bits + (bits & 1));
    assert_int_equal(lat_f32_to_bf16(float_of((pattern << 16) | 0x7FFF)), bits);
    assert_int_equal(lat_f32_to_bf16(float_of((pattern << 16) | 0x8000)), even);
    assert_int_equal(lat_f32_to_bf16(float_of((pattern << 16) | 0x8001)), (uint16_t)(bits + 1));
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_widen_every_pattern),
      cmocka_unit_test(test_round_trip),
      cmocka_unit_test(test_narrow_every_boundary),
      cmocka_unit_test(test_narrow_extremes),
      cmocka_unit_test(test_narrow_nan),
      cmocka_unit_test(test_bfloat16),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
