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

#endif
