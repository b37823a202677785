/// The vocabulary of simd_scalar.h in 8 lanes: AVX2, FMA, F16C. `vf32` also takes the plain operators + - * / and <.
#ifndef LATTICE_BACKEND_CPU_KERNEL_SIMD_AVX2_H
#define LATTICE_BACKEND_CPU_KERNEL_SIMD_AVX2_H

#include <immintrin.h>
#include <string.h>

#include <lattice/array.h>

#define V_LANES 8
#define V_REGISTERS 16

typedef __m256 vf32;

static inline vf32 v_load(const float *p) {
  return _mm256_loadu_ps(p);
}
static inline void v_store(float *p, vf32 v) {
  _mm256_storeu_ps(p, v);
}

/// -1 in the first n lanes, else 0.
static inline __m256i v_mask_n(int64_t n) {
  return _mm256_cmpgt_epi32(_mm256_set1_epi32((int)n), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
}
static inline vf32 v_load_n(const float *p, int64_t n) {
  return _mm256_maskload_ps(p, v_mask_n(n));
}
static inline void v_store_n(float *p, vf32 v, int64_t n) {
  _mm256_maskstore_ps(p, v_mask_n(n), v);
}

static inline vf32 v_set1(float value) {
  return _mm256_set1_ps(value);
}
static inline vf32 v_fma(vf32 a, vf32 b, vf32 c) {
  return _mm256_fmadd_ps(a, b, c);
}

static inline vf32 v_relu(vf32 v) {
  return _mm256_andnot_ps(_mm256_cmp_ps(v, _mm256_setzero_ps(), _CMP_LE_OQ), v);
}

static inline vf32 v_load_f16(const uint16_t *p) {
  return _mm256_cvtph_ps(_mm_loadu_si128((const __m128i *)(const void *)p));
}
static inline void v_store_f16(uint16_t *p, vf32 v) {
  _mm_storeu_si128((__m128i *)(void *)p, _mm256_cvtps_ph(v, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC));
}
static inline vf32 v_load_f16_n(const uint16_t *p, int64_t n) {
  uint16_t lanes[V_LANES] = {0};
  memcpy(lanes, p, (size_t)n * sizeof *p);
  return v_load_f16(lanes);
}
static inline void v_store_f16_n(uint16_t *p, vf32 v, int64_t n) {
  uint16_t lanes[V_LANES];
  v_store_f16(lanes, v);
  memcpy(p, lanes, (size_t)n * sizeof *p);
}

#endif
