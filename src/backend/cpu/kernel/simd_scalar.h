/// The vocabulary of kernels, at the scalar level: the meaning of every word. `n` is a count of lanes in [0, V_LANES].
#ifndef LATTICE_BACKEND_CPU_KERNEL_SIMD_SCALAR_H
#define LATTICE_BACKEND_CPU_KERNEL_SIMD_SCALAR_H

#include <math.h>
#include <string.h>

#include <lattice/array.h>

#define V_LANES 1
#define V_REGISTERS 16 ///< vector registers of the machine, which bound the tiles

typedef float vf32;
typedef int32_t vi32;

/// All lanes.
static inline vf32 v_load(const float *p) {
  return *p;
}
static inline void v_store(float *p, vf32 v) {
  *p = v;
}

/// The first n lanes; the others are 0 and their memory is not touched.
static inline vf32 v_load_n(const float *p, int64_t n) {
  return n > 0 ? *p : 0.0f;
}
static inline void v_store_n(float *p, vf32 v, int64_t n) {
  if (n > 0) *p = v;
}

/// Every lane the same.
static inline vf32 v_set1(float value) {
  return value;
}

/// a * b + c with one rounding: fmaf, never a product and a sum.
static inline vf32 v_fma(vf32 a, vf32 b, vf32 c) {
  return fmaf(a, b, c);
}

/// max(v, 0): 0 for what is at most 0 (-0 too), NaN stays.
static inline vf32 v_relu(vf32 v) {
  return v <= 0.0f ? 0.0f : v;
}

/// a if a < b, else b (a NaN: b); likewise with a > b.
static inline vf32 v_min(vf32 a, vf32 b) {
  return a < b ? a : b;
}
static inline vf32 v_max(vf32 a, vf32 b) {
  return a > b ? a : b;
}
static inline vf32 v_abs(vf32 v) {
  return fabsf(v);
}

/// The magnitude of v with the sign bit of x.
static inline vf32 v_sign_of(vf32 v, vf32 x) {
  return copysignf(v, x);
}

/// `yes` where a > b, else `no` (also where one of them is NaN).
static inline vf32 v_where_above(vf32 a, vf32 b, vf32 yes, vf32 no) {
  return a > b ? yes : no;
}
/// x where x is NaN, else y.
static inline vf32 v_where_nan(vf32 x, vf32 y) {
  return x != x ? x : y;
}

/// v 2^s, where s is the low part of the bits of `shifted`, by adding to the exponent: v and the result are normal.
static inline vf32 v_scale(vf32 v, vf32 shifted) {
  uint32_t bits, s;
  memcpy(&bits, &v, sizeof bits);
  memcpy(&s, &shifted, sizeof s);
  bits += s << 23;
  memcpy(&v, &bits, sizeof v);
  return v;
}

/// Two 16-bit integers in every lane: the same two, or consecutive ones.
static inline vi32 v_set1_pair(const int16_t *a) {
  int32_t pair;
  memcpy(&pair, a, sizeof pair);
  return pair;
}
static inline vi32 v_load_pairs(const int16_t *p) {
  return v_set1_pair(p);
}
/// acc + a[0] w[0] + a[1] w[1] of the pairs of every lane; exact as long as the sums stay within int32.
static inline vi32 v_dot2(vi32 acc, vi32 a, vi32 w) {
  int16_t x[2], y[2];
  memcpy(x, &a, sizeof x);
  memcpy(y, &w, sizeof y);
  return acc + x[0] * y[0] + x[1] * y[1];
}
/// What is written behind it is not moved ahead of it: early loads would push sums out of the registers.
static inline void v_fence(void) {}
/// The same value, taken once: for sums behind a loop, so that the loop keeps no second copy of them.
static inline vi32 v_keep(vi32 v) {
  return v;
}
static inline vi32 v_izero(void) {
  return 0;
}
static inline vf32 v_from_int(vi32 v) {
  return (float)v;
}

/// binary16 to float32, exact.
static inline vf32 v_load_f16(const uint16_t *p) {
  return lat_f16_to_f32(*p);
}
static inline vf32 v_load_f16_n(const uint16_t *p, int64_t n) {
  return n > 0 ? lat_f16_to_f32(*p) : 0.0f;
}

/// bfloat16 to float32, exact.
static inline vf32 v_load_bf16(const uint16_t *p) {
  return lat_bf16_to_f32(*p);
}

static inline vf32 v_load_bf16_n(const uint16_t *p, int64_t n) {
  return n > 0 ? lat_bf16_to_f32(*p) : 0.0f;
}

/// float32 to binary16, nearest even.
static inline void v_store_f16(uint16_t *p, vf32 v) {
  *p = lat_f32_to_f16(v);
}
static inline void v_store_f16_n(uint16_t *p, vf32 v, int64_t n) {
  if (n > 0) *p = lat_f32_to_f16(v);
}

/// float32 to bfloat16, nearest even; a NaN keeps its upper bits and becomes quiet.
static inline void v_store_bf16(uint16_t *p, vf32 v) {
  *p = lat_f32_to_bf16(v);
}
static inline void v_store_bf16_n(uint16_t *p, vf32 v, int64_t n) {
  if (n > 0) *p = lat_f32_to_bf16(v);
}

/// Sixteen lanes added up: the upper half to the lower half, until one is left.
static inline float v_sum16(const vf32 *v) {
  float lanes[8];
  for (int l = 0; l < 8; l++) lanes[l] = v[l] + v[l + 8];
  for (int half = 4; half > 0; half /= 2) {
    for (int l = 0; l < half; l++) lanes[l] += lanes[l + half];
  }
  return lanes[0];
}

/// floor(v), which is an int32.
static inline void v_store_floor(int32_t *p, vf32 v) {
  *p = (int32_t)floorf(v);
}

/// Doubles in vectors of V64_LANES; the plain operators + - * work on them.
#define V64_LANES 1
typedef double vf64;

static inline vf64 v64_load(const double *p) {
  return *p;
}
static inline vf64 v64_load_f32(const float *p) {
  return (double)*p;
}
static inline void v64_store(double *p, vf64 v) {
  *p = v;
}

/// Chosen lanes: those whose byte has a bit set.
typedef uint32_t vpick;
static inline vpick v_pick_bit(const uint8_t *p, int bit) {
  return (uint32_t)*p >> bit & 1u;
}
static inline int64_t v_count(vpick pick) {
  return pick;
}

/// first, first + 1, ...
static inline vi32 v_iota(uint32_t first) {
  return (int32_t)first;
}
static inline vi32 v_iload(const uint32_t *p) {
  return (int32_t)*p;
}
/// One more in the chosen lanes.
static inline vi32 v_add_picked(vi32 v, vpick pick) {
  return (int32_t)((uint32_t)v + pick);
}
/// The chosen lanes side by side; what follows them, up to V_LANES entries, is anything.
static inline void v_append(uint32_t *p, vi32 v, vpick pick) {
  (void)pick;
  *p = (uint32_t)v;
}

#endif
