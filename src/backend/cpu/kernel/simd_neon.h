/// The vocabulary of simd_scalar.h in 4 lanes: 64-bit Arm, whose base has everything used here. `vf32` also takes the
/// plain operators.
#ifndef LATTICE_BACKEND_CPU_KERNEL_SIMD_NEON_H
#define LATTICE_BACKEND_CPU_KERNEL_SIMD_NEON_H

#include <arm_neon.h>
#include <string.h>

#include <lattice/array.h>

#define V_LANES 4
#define V_REGISTERS 32

typedef float32x4_t vf32;
typedef int32x4_t vi32;

static inline vf32 v_load(const float *p) {
  return vld1q_f32(p);
}
static inline void v_store(float *p, vf32 v) {
  vst1q_f32(p, v);
}

/// In pieces: there are no masked loads and stores.
static inline vf32 v_load_n(const float *p, int64_t n) {
  float32x2_t low = vdup_n_f32(0.0f), high = low;
  if (n & 4) return vld1q_f32(p);
  if (n & 2) low = vld1_f32(p);
  if (n == 1) low = vld1_lane_f32(p, low, 0);
  if (n == 3) high = vld1_lane_f32(p + 2, high, 0);
  return vcombine_f32(low, high);
}
static inline void v_store_n(float *p, vf32 v, int64_t n) {
  if (n & 4) vst1q_f32(p, v);
  if (n & 2) vst1_f32(p, vget_low_f32(v));
  if (n == 1) vst1q_lane_f32(p, v, 0);
  if (n == 3) vst1q_lane_f32(p + 2, v, 2);
}

static inline vf32 v_set1(float value) {
  return vdupq_n_f32(value);
}
static inline vf32 v_fma(vf32 a, vf32 b, vf32 c) {
  return vfmaq_f32(c, a, b);
}

static inline vf32 v_min(vf32 a, vf32 b) {
  return vbslq_f32(vcltq_f32(a, b), a, b);
}
static inline vf32 v_max(vf32 a, vf32 b) {
  return vbslq_f32(vcgtq_f32(a, b), a, b);
}
static inline vf32 v_abs(vf32 v) {
  return vabsq_f32(v);
}
static inline vf32 v_sign_of(vf32 v, vf32 x) {
  return vbslq_f32(vdupq_n_u32(0x80000000u), x, v);
}
static inline vf32 v_where_above(vf32 a, vf32 b, vf32 yes, vf32 no) {
  return vbslq_f32(vcgtq_f32(a, b), yes, no);
}
static inline vf32 v_where_nan(vf32 x, vf32 y) {
  return vbslq_f32(vceqq_f32(x, x), y, x);
}
static inline vf32 v_scale(vf32 v, vf32 shifted) {
  return vreinterpretq_f32_u32(vaddq_u32(vreinterpretq_u32_f32(v), vshlq_n_u32(vreinterpretq_u32_f32(shifted), 23)));
}

static inline vi32 v_set1_pair(const int16_t *a) {
  int32_t pair;
  memcpy(&pair, a, sizeof pair);
  return vdupq_n_s32(pair);
}
static inline vi32 v_load_pairs(const int16_t *p) {
  return vreinterpretq_s32_s16(vld1q_s16(p));
}
static inline vi32 v_dot2(vi32 acc, vi32 a, vi32 w) {
  int16x8_t x = vreinterpretq_s16_s32(a), y = vreinterpretq_s16_s32(w);
  return vaddq_s32(acc, vpaddq_s32(vmull_s16(vget_low_s16(x), vget_low_s16(y)), vmull_high_s16(x, y)));
}
static inline void v_fence(void) {
  __asm__ volatile("" ::: "memory");
}
static inline vi32 v_keep(vi32 v) {
  __asm__ volatile("" : "+w"(v)::"memory");
  return v;
}
static inline vi32 v_izero(void) {
  return vdupq_n_s32(0);
}
static inline vf32 v_from_int(vi32 v) {
  return vcvtq_f32_s32(v);
}

static inline vf32 v_relu(vf32 v) {
  return vreinterpretq_f32_u32(vbicq_u32(vreinterpretq_u32_f32(v), vcleq_f32(v, vdupq_n_f32(0.0f))));
}

static inline vf32 v_load_f16(const uint16_t *p) {
  return vcvt_f32_f16(vreinterpret_f16_u16(vld1_u16(p)));
}
/// The first n of four 16-bit lanes.
static inline uint16x4_t v_load_u16_n(const uint16_t *p, int64_t n) {
  uint16x4_t words = vdup_n_u16(0);
  if (n & 4) return vld1_u16(p);
  if (n > 0) words = vld1_lane_u16(p, words, 0);
  if (n > 1) words = vld1_lane_u16(p + 1, words, 1);
  if (n > 2) words = vld1_lane_u16(p + 2, words, 2);
  return words;
}
static inline void v_store_u16_n(uint16_t *p, uint16x4_t words, int64_t n) {
  if (n & 4) {
    vst1_u16(p, words);
    return;
  }
  if (n > 0) vst1_lane_u16(p, words, 0);
  if (n > 1) vst1_lane_u16(p + 1, words, 1);
  if (n > 2) vst1_lane_u16(p + 2, words, 2);
}
static inline vf32 v_load_f16_n(const uint16_t *p, int64_t n) {
  return vcvt_f32_f16(vreinterpret_f16_u16(v_load_u16_n(p, n)));
}
static inline vf32 v_load_bf16(const uint16_t *p) {
  return vreinterpretq_f32_u32(vshlq_n_u32(vmovl_u16(vld1_u16(p)), 16));
}
static inline void v_store_f16(uint16_t *p, vf32 v) {
  vst1_u16(p, vreinterpret_u16_f16(vcvt_f16_f32(v)));
}
static inline void v_store_f16_n(uint16_t *p, vf32 v, int64_t n) {
  v_store_u16_n(p, vreinterpret_u16_f16(vcvt_f16_f32(v)), n);
}

static inline vf32 v_load_bf16_n(const uint16_t *p, int64_t n) {
  return vreinterpretq_f32_u32(vshlq_n_u32(vmovl_u16(v_load_u16_n(p, n)), 16));
}
static inline uint16x4_t v_to_bf16(vf32 v) {
  uint32x4_t word = vreinterpretq_u32_f32(v), high = vshrq_n_u32(word, 16);
  uint32x4_t odd = vandq_u32(high, vdupq_n_u32(1));
  uint32x4_t nearest = vshrq_n_u32(vaddq_u32(vaddq_u32(word, odd), vdupq_n_u32(0x7FFF)), 16);
  uint32x4_t quiet = vorrq_u32(high, vdupq_n_u32(0x40));
  return vmovn_u32(vbslq_u32(vceqq_f32(v, v), nearest, quiet));
}
static inline void v_store_bf16(uint16_t *p, vf32 v) {
  vst1_u16(p, v_to_bf16(v));
}
static inline void v_store_bf16_n(uint16_t *p, vf32 v, int64_t n) {
  v_store_u16_n(p, v_to_bf16(v), n);
}

static inline float v_sum16(const vf32 *v) {
  float32x4_t four = vaddq_f32(vaddq_f32(v[0], v[2]), vaddq_f32(v[1], v[3]));
  float32x2_t two = vadd_f32(vget_low_f32(four), vget_high_f32(four));
  return vget_lane_f32(two, 0) + vget_lane_f32(two, 1);
}

static inline void v_store_floor(int32_t *p, vf32 v) {
  vst1q_s32(p, vcvtq_s32_f32(vrndmq_f32(v)));
}

#define V64_LANES 2
typedef float64x2_t vf64;

static inline vf64 v64_load(const double *p) {
  return vld1q_f64(p);
}
static inline vf64 v64_load_f32(const float *p) {
  return vcvt_f64_f32(vld1_f32(p));
}
static inline void v64_store(double *p, vf64 v) {
  vst1q_f64(p, v);
}

/// -1 in chosen lanes.
typedef uint32x4_t vpick;
static inline vpick v_pick_bit(const uint8_t *p, int bit) {
  uint32_t four;
  memcpy(&four, p, sizeof four);
  uint32x4_t lanes = vmovl_u16(vget_low_u16(vmovl_u8(vcreate_u8(four))));
  return vtstq_u32(lanes, vdupq_n_u32(1u << bit));
}
static inline int64_t v_count(vpick pick) {
  return (int64_t)vaddvq_u32(vshrq_n_u32(pick, 31));
}
static inline vi32 v_iota(uint32_t first) {
  static const uint32_t steps[4] = {0, 1, 2, 3};
  return vreinterpretq_s32_u32(vaddq_u32(vdupq_n_u32(first), vld1q_u32(steps)));
}
static inline vi32 v_iload(const uint32_t *p) {
  return vreinterpretq_s32_u32(vld1q_u32(p));
}
static inline vi32 v_add_picked(vi32 v, vpick pick) {
  return vreinterpretq_s32_u32(vsubq_u32(vreinterpretq_u32_s32(v), pick));
}
/// Lane by lane: every one is written, and written over when it was not chosen.
static inline void v_append(uint32_t *p, vi32 v, vpick pick) {
  uint32x4_t lanes = vreinterpretq_u32_s32(v), steps = vshrq_n_u32(pick, 31);
  vst1q_lane_u32(p, lanes, 0);
  p += vgetq_lane_u32(steps, 0);
  vst1q_lane_u32(p, lanes, 1);
  p += vgetq_lane_u32(steps, 1);
  vst1q_lane_u32(p, lanes, 2);
  p += vgetq_lane_u32(steps, 2);
  vst1q_lane_u32(p, lanes, 3);
}

#endif
