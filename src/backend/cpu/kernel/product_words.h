/// Words of the tables of products, beyond those of their level (simd_<level>.h). Each table has its flags, see cmake/lattice_flags.cmake.
///
///     vi32 v_dot4(vi32 acc, vi32 codes, vi32 w)     acc + the sum of codes[i] w[i] over the four bytes of every lane; codes are signed
///     V_DOT4_ZERO                                   what is taken off an unsigned 8-bit code of w: 128 where the instruction wants both signed
///     vi32 v_iset1(int32_t value)                   every lane the same
///     vi32 v_set1_quad(const int8_t *p)             four bytes in every lane, always the same four
///     vi32 v_load_quads(const uint8_t *p)           four bytes for every lane
///     vf32 v_dot_bf16(vf32 acc, vi32 x, vi32 w)     gather_gemm_bf16's two steps
#ifndef LATTICE_BACKEND_CPU_KERNEL_PRODUCT_WORDS_H
#define LATTICE_BACKEND_CPU_KERNEL_PRODUCT_WORDS_H

#if defined(__AVX512VNNI__)
#include "backend/cpu/kernel/simd_avx512.h"

#define V_DOT4_ZERO 0

static inline vi32 v_dot4(vi32 acc, vi32 codes, vi32 w) {
  return _mm512_dpbusd_epi32(acc, w, codes);
}
static inline vi32 v_iset1(int32_t value) {
  return _mm512_set1_epi32(value);
}
static inline vi32 v_load_quads(const uint8_t *p) {
  return _mm512_loadu_si512((const void *)p);
}
#if defined(__AVX512BF16__)
static inline vf32 v_dot_bf16(vf32 acc, vi32 x, vi32 w) {
  return _mm512_dpbf16_ps(acc, (__m512bh)x, (__m512bh)w);
}
#endif

#elif defined(__AVXVNNI__)
#include "backend/cpu/kernel/simd_avx2.h"

#define V_DOT4_ZERO 0

static inline vi32 v_dot4(vi32 acc, vi32 codes, vi32 w) {
  return _mm256_dpbusd_avx_epi32(acc, w, codes);
}
static inline vi32 v_iset1(int32_t value) {
  return _mm256_set1_epi32(value);
}
static inline vi32 v_load_quads(const uint8_t *p) {
  return _mm256_loadu_si256((const __m256i *)(const void *)p);
}

#elif defined(__ARM_FEATURE_DOTPROD)
#include "backend/cpu/kernel/simd_neon.h"

#define V_DOT4_ZERO 128

static inline vi32 v_dot4(vi32 acc, vi32 codes, vi32 w) {
  return vdotq_s32(acc, vreinterpretq_s8_s32(codes), vreinterpretq_s8_s32(w));
}
static inline vi32 v_iset1(int32_t value) {
  return vdupq_n_s32(value);
}
static inline vi32 v_load_quads(const uint8_t *p) {
  return vreinterpretq_s32_u8(vld1q_u8(p));
}
#endif

static inline vi32 v_set1_quad(const int8_t *p) {
  int32_t quad;
  memcpy(&quad, p, sizeof quad);
  return v_iset1(quad);
}

#endif
