/// The vocabulary of simd_scalar.h in 16 lanes: AVX-512 F, BW, DQ, VL. `vf32` also takes the plain operators.
#ifndef LATTICE_BACKEND_CPU_KERNEL_SIMD_AVX512_H
#define LATTICE_BACKEND_CPU_KERNEL_SIMD_AVX512_H

#include <immintrin.h>
#include <string.h>

#include <lattice/array.h>

#define V_LANES 16
#define V_REGISTERS 32

typedef __m512 vf32;
typedef __m512i vi32;

static inline vf32 v_load(const float *p) {
  return _mm512_loadu_ps(p);
}
static inline void v_store(float *p, vf32 v) {
  _mm512_storeu_ps(p, v);
}

/// The first n bits.
static inline __mmask16 v_mask_n(int64_t n) {
  return (__mmask16)((1u << (unsigned)n) - 1u);
}
static inline vf32 v_load_n(const float *p, int64_t n) {
  return _mm512_maskz_loadu_ps(v_mask_n(n), p);
}
static inline void v_store_n(float *p, vf32 v, int64_t n) {
  _mm512_mask_storeu_ps(p, v_mask_n(n), v);
}

static inline vf32 v_set1(float value) {
  return _mm512_set1_ps(value);
}
static inline vf32 v_fma(vf32 a, vf32 b, vf32 c) {
  return _mm512_fmadd_ps(a, b, c);
}

static inline vf32 v_min(vf32 a, vf32 b) {
  return _mm512_min_ps(a, b);
}
static inline vf32 v_max(vf32 a, vf32 b) {
  return _mm512_max_ps(a, b);
}
static inline vf32 v_abs(vf32 v) {
  return _mm512_abs_ps(v);
}
static inline vf32 v_sign_of(vf32 v, vf32 x) {
  vf32 sign = _mm512_set1_ps(-0.0f);
  return _mm512_or_ps(_mm512_andnot_ps(sign, v), _mm512_and_ps(sign, x));
}
static inline vf32 v_where_above(vf32 a, vf32 b, vf32 yes, vf32 no) {
  return _mm512_mask_blend_ps(_mm512_cmp_ps_mask(a, b, _CMP_GT_OQ), no, yes);
}
static inline vf32 v_where_nan(vf32 x, vf32 y) {
  return _mm512_mask_blend_ps(_mm512_cmp_ps_mask(x, x, _CMP_UNORD_Q), y, x);
}
static inline vf32 v_scale(vf32 v, vf32 shifted) {
  __m512i s = _mm512_slli_epi32(_mm512_castps_si512(shifted), 23);
  return _mm512_castsi512_ps(_mm512_add_epi32(_mm512_castps_si512(v), s));
}

static inline vi32 v_set1_pair(const int16_t *a) {
  int32_t pair;
  memcpy(&pair, a, sizeof pair);
  return _mm512_set1_epi32(pair);
}
static inline vi32 v_load_pairs(const int16_t *p) {
  return _mm512_loadu_si512((const void *)(const void *)p);
}
static inline vi32 v_dot2(vi32 acc, vi32 a, vi32 w) {
  return _mm512_add_epi32(acc, _mm512_madd_epi16(a, w));
}
static inline void v_fence(void) {
  __asm__ volatile("" ::: "memory");
}
static inline vi32 v_keep(vi32 v) {
  __asm__ volatile("" : "+v"(v)::"memory");
  return v;
}
static inline vi32 v_izero(void) {
  return _mm512_setzero_si512();
}
static inline vf32 v_from_int(vi32 v) {
  return _mm512_cvtepi32_ps(v);
}

static inline vf32 v_relu(vf32 v) {
  return _mm512_maskz_mov_ps(_mm512_cmp_ps_mask(v, _mm512_setzero_ps(), _CMP_NLE_UQ), v);
}

static inline vf32 v_load_f16(const uint16_t *p) {
  return _mm512_cvtph_ps(_mm256_loadu_si256((const __m256i *)(const void *)p));
}
static inline vf32 v_load_f16_n(const uint16_t *p, int64_t n) {
  return _mm512_cvtph_ps(_mm256_maskz_loadu_epi16(v_mask_n(n), p));
}
static inline vf32 v_load_bf16(const uint16_t *p) {
  __m256i bits = _mm256_loadu_si256((const __m256i *)(const void *)p);
  return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(bits), 16));
}
static inline void v_store_f16(uint16_t *p, vf32 v) {
  _mm256_storeu_si256((__m256i *)(void *)p, _mm512_cvtps_ph(v, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC));
}
static inline void v_store_f16_n(uint16_t *p, vf32 v, int64_t n) {
  _mm256_mask_storeu_epi16(p, v_mask_n(n), _mm512_cvtps_ph(v, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC));
}

static inline vf32 v_load_bf16_n(const uint16_t *p, int64_t n) {
  __m256i bits = _mm256_maskz_loadu_epi16(v_mask_n(n), p);
  return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(bits), 16));
}
static inline __m256i v_to_bf16(vf32 v) {
  __m512i word = _mm512_castps_si512(v), high = _mm512_srli_epi32(word, 16);
  __m512i odd = _mm512_and_si512(high, _mm512_set1_epi32(1));
  __m512i nearest = _mm512_srli_epi32(_mm512_add_epi32(_mm512_add_epi32(word, odd), _mm512_set1_epi32(0x7FFF)), 16);
  __mmask16 is_nan = _mm512_cmp_ps_mask(v, v, _CMP_UNORD_Q);
  __m512i result = _mm512_mask_or_epi32(nearest, is_nan, high, _mm512_set1_epi32(0x40));
  return _mm512_cvtepi32_epi16(result);
}
static inline void v_store_bf16(uint16_t *p, vf32 v) {
  _mm256_storeu_si256((__m256i *)(void *)p, v_to_bf16(v));
}
static inline void v_store_bf16_n(uint16_t *p, vf32 v, int64_t n) {
  _mm256_mask_storeu_epi16(p, v_mask_n(n), v_to_bf16(v));
}

static inline float v_sum16(const vf32 *v) {
  __m256 eight = _mm256_add_ps(_mm512_castps512_ps256(*v), _mm512_extractf32x8_ps(*v, 1));
  __m128 four = _mm_add_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps(eight, 1));
  four = _mm_add_ps(four, _mm_movehl_ps(four, four));
  return _mm_cvtss_f32(_mm_add_ss(four, _mm_movehdup_ps(four)));
}

static inline void v_store_floor(int32_t *p, vf32 v) {
  _mm512_storeu_si512(p, _mm512_cvttps_epi32(_mm512_roundscale_ps(v, _MM_FROUND_TO_NEG_INF | _MM_FROUND_NO_EXC)));
}

#define V64_LANES 8
typedef __m512d vf64;

static inline vf64 v64_load(const double *p) {
  return _mm512_loadu_pd(p);
}
static inline vf64 v64_load_f32(const float *p) {
  return _mm512_cvtps_pd(_mm256_loadu_ps(p));
}
static inline void v64_store(double *p, vf64 v) {
  _mm512_storeu_pd(p, v);
}

typedef __mmask16 vpick;
static inline vpick v_pick_bit(const uint8_t *p, int bit) {
  __m128i bytes = _mm_loadu_si128((const __m128i *)(const void *)p);
  return _mm_test_epi8_mask(bytes, _mm_set1_epi8((char)(1 << bit)));
}
static inline int64_t v_count(vpick pick) {
  return __builtin_popcount(pick);
}
static inline vi32 v_iota(uint32_t first) {
  return _mm512_add_epi32(_mm512_set1_epi32((int)first),
                          _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15));
}
static inline vi32 v_iload(const uint32_t *p) {
  return _mm512_loadu_si512(p);
}
static inline vi32 v_add_picked(vi32 v, vpick pick) {
  return _mm512_mask_add_epi32(v, pick, v, _mm512_set1_epi32(1));
}
/// In a register first: the instruction that compresses into memory is slow on CPUs by AMD.
static inline void v_append(uint32_t *p, vi32 v, vpick pick) {
  _mm512_storeu_si512(p, _mm512_maskz_compress_epi32(pick, v));
}

#endif
