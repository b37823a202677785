/// The vocabulary of simd_scalar.h in 8 lanes: AVX2, FMA, F16C. `vf32` also takes the plain operators + - * / and <.
#ifndef LATTICE_BACKEND_CPU_KERNEL_SIMD_AVX2_H
#define LATTICE_BACKEND_CPU_KERNEL_SIMD_AVX2_H

#include <immintrin.h>
#include <string.h>

#include <lattice/array.h>

#define V_LANES 8
#define V_REGISTERS 16

typedef __m256 vf32;
typedef __m256i vi32;

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
/// In pieces: a masked store is slow on CPUs by AMD.
static inline void v_store_n(float *p, vf32 v, int64_t n) {
  __m128 part = _mm256_castps256_ps128(v);
  if (n & 8) _mm256_storeu_ps(p, v);
  if (n & 4) {
    _mm_storeu_ps(p, part);
    part = _mm256_extractf128_ps(v, 1);
    p += 4;
  }
  if (n & 2) {
    _mm_storel_pi((__m64 *)(void *)p, part);
    part = _mm_movehl_ps(part, part);
    p += 2;
  }
  if (n & 1) _mm_store_ss(p, part);
}

static inline vf32 v_set1(float value) {
  return _mm256_set1_ps(value);
}
static inline vf32 v_fma(vf32 a, vf32 b, vf32 c) {
  return _mm256_fmadd_ps(a, b, c);
}

static inline vf32 v_min(vf32 a, vf32 b) {
  return _mm256_min_ps(a, b);
}
static inline vf32 v_max(vf32 a, vf32 b) {
  return _mm256_max_ps(a, b);
}
static inline vf32 v_abs(vf32 v) {
  return _mm256_andnot_ps(_mm256_set1_ps(-0.0f), v);
}
static inline vf32 v_sign_of(vf32 v, vf32 x) {
  vf32 sign = _mm256_set1_ps(-0.0f);
  return _mm256_or_ps(_mm256_andnot_ps(sign, v), _mm256_and_ps(sign, x));
}
static inline vf32 v_where_above(vf32 a, vf32 b, vf32 yes, vf32 no) {
  return _mm256_blendv_ps(no, yes, _mm256_cmp_ps(a, b, _CMP_GT_OQ));
}
static inline vf32 v_where_nan(vf32 x, vf32 y) {
  return _mm256_blendv_ps(y, x, _mm256_cmp_ps(x, x, _CMP_UNORD_Q));
}
static inline vf32 v_scale(vf32 v, vf32 shifted) {
  __m256i s = _mm256_slli_epi32(_mm256_castps_si256(shifted), 23);
  return _mm256_castsi256_ps(_mm256_add_epi32(_mm256_castps_si256(v), s));
}

static inline vi32 v_set1_pair(const int16_t *a) {
  int32_t pair;
  memcpy(&pair, a, sizeof pair);
  return _mm256_set1_epi32(pair);
}
static inline vi32 v_load_pairs(const int16_t *p) {
  return _mm256_loadu_si256((const __m256i *)(const void *)p);
}
static inline vi32 v_dot2(vi32 acc, vi32 a, vi32 w) {
  return _mm256_add_epi32(acc, _mm256_madd_epi16(a, w));
}
static inline void v_fence(void) {
  __asm__ volatile("" ::: "memory");
}
static inline vi32 v_keep(vi32 v) {
  __asm__ volatile("" : "+x"(v)::"memory");
  return v;
}
static inline vi32 v_izero(void) {
  return _mm256_setzero_si256();
}
static inline vf32 v_from_int(vi32 v) {
  return _mm256_cvtepi32_ps(v);
}

static inline vf32 v_relu(vf32 v) {
  return _mm256_andnot_ps(_mm256_cmp_ps(v, _mm256_setzero_ps(), _CMP_LE_OQ), v);
}

static inline vf32 v_load_f16(const uint16_t *p) {
  return _mm256_cvtph_ps(_mm_loadu_si128((const __m128i *)(const void *)p));
}
static inline vf32 v_load_bf16(const uint16_t *p) {
  __m128i bits = _mm_loadu_si128((const __m128i *)(const void *)p);
  return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(bits), 16));
}
static inline void v_store_f16(uint16_t *p, vf32 v) {
  _mm_storeu_si128((__m128i *)(void *)p, _mm256_cvtps_ph(v, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC));
}
static inline __m128i v_to_bf16(vf32 v) {
  __m256i word = _mm256_castps_si256(v), high = _mm256_srli_epi32(word, 16);
  __m256i odd = _mm256_and_si256(high, _mm256_set1_epi32(1));
  __m256i nearest = _mm256_srli_epi32(_mm256_add_epi32(_mm256_add_epi32(word, odd), _mm256_set1_epi32(0x7FFF)), 16);
  __m256i quiet = _mm256_or_si256(high, _mm256_set1_epi32(0x40));
  __m256i is_nan = _mm256_castps_si256(_mm256_cmp_ps(v, v, _CMP_UNORD_Q));
  __m256i result = _mm256_blendv_epi8(nearest, quiet, is_nan);
  return _mm_packus_epi32(_mm256_castsi256_si128(result), _mm256_extracti128_si256(result, 1));
}
static inline void v_store_bf16(uint16_t *p, vf32 v) {
  _mm_storeu_si128((__m128i *)(void *)p, v_to_bf16(v));
}
/// The first n of eight 16-bit lanes, in loads that may overlap: a memcpy of n bytes is a call.
static inline __m128i v_load_u16_n(const uint16_t *p, int64_t n) {
  uint64_t low = 0, high = 0;
  if (n >= 4) {
    memcpy(&low, p, sizeof low);
    memcpy(&high, p + n - 4, sizeof high); // lanes n - 4 .. n - 1
    high = n == 8 ? high : n == 4 ? 0 : high >> 16 * (8 - n);
  } else if (n >= 2) {
    uint32_t first, last;
    memcpy(&first, p, sizeof first);
    memcpy(&last, p + n - 2, sizeof last);
    low = first | (uint64_t)last << 16 * (n - 2);
  } else if (n == 1) {
    low = *p;
  }
  return _mm_set_epi64x((int64_t)high, (int64_t)low);
}
static inline void v_store_u16_n(uint16_t *p, __m128i v, int64_t n) {
  if (n & 8) _mm_storeu_si128((__m128i *)(void *)p, v);
  if (n & 4) {
    _mm_storel_epi64((__m128i *)(void *)p, v);
    v = _mm_unpackhi_epi64(v, v);
    p += 4;
  }
  uint32_t pair = (uint32_t)_mm_cvtsi128_si32(v);
  if (n & 2) {
    memcpy(p, &pair, sizeof pair);
    pair = (uint32_t)_mm_extract_epi32(v, 1);
    p += 2;
  }
  if (n & 1) *p = (uint16_t)pair;
}
static inline vf32 v_load_f16_n(const uint16_t *p, int64_t n) {
  return _mm256_cvtph_ps(v_load_u16_n(p, n));
}
static inline void v_store_f16_n(uint16_t *p, vf32 v, int64_t n) {
  v_store_u16_n(p, _mm256_cvtps_ph(v, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC), n);
}

static inline vf32 v_load_bf16_n(const uint16_t *p, int64_t n) {
  return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(v_load_u16_n(p, n)), 16));
}
static inline void v_store_bf16_n(uint16_t *p, vf32 v, int64_t n) {
  v_store_u16_n(p, v_to_bf16(v), n);
}

static inline float v_sum4(__m128 v) {
  v = _mm_add_ps(v, _mm_movehl_ps(v, v));
  return _mm_cvtss_f32(_mm_add_ss(v, _mm_movehdup_ps(v)));
}
static inline float v_sum16(const vf32 *v) {
  vf32 sum = _mm256_add_ps(v[0], v[1]);
  return v_sum4(_mm_add_ps(_mm256_castps256_ps128(sum), _mm256_extractf128_ps(sum, 1)));
}

static inline void v_store_floor(int32_t *p, vf32 v) {
  _mm256_storeu_si256((__m256i *)(void *)p, _mm256_cvttps_epi32(_mm256_floor_ps(v)));
}

#define V64_LANES 4
typedef __m256d vf64;

static inline vf64 v64_load(const double *p) {
  return _mm256_loadu_pd(p);
}
static inline vf64 v64_load_f32(const float *p) {
  return _mm256_cvtps_pd(_mm_loadu_ps(p));
}
static inline void v64_store(double *p, vf64 v) {
  _mm256_storeu_pd(p, v);
}

/// -1 in chosen lanes.
typedef __m256i vpick;
static inline vpick v_pick_bit(const uint8_t *p, int bit) {
  __m256i lanes = _mm256_cvtepu8_epi32(_mm_loadl_epi64((const __m128i *)(const void *)p));
  return _mm256_srai_epi32(_mm256_slli_epi32(lanes, 31 - bit), 31);
}
static inline int v_pick_mask(vpick pick) {
  return _mm256_movemask_ps(_mm256_castsi256_ps(pick));
}
static inline int64_t v_count(vpick pick) {
  return __builtin_popcount((unsigned)v_pick_mask(pick));
}
static inline vi32 v_iota(uint32_t first) {
  return _mm256_add_epi32(_mm256_set1_epi32((int)first), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
}
static inline vi32 v_iload(const uint32_t *p) {
  return _mm256_loadu_si256((const __m256i *)(const void *)p);
}
static inline vi32 v_add_picked(vi32 v, vpick pick) {
  return _mm256_sub_epi32(v, pick);
}

/// Four bits for each bit that is set in m: its number, the lowest first.
#define V_NIBBLE(m, i) (((m) >> (i)&1u) * ((unsigned)(i) << 4 * __builtin_popcount((m) & ((1u << (i)) - 1u))))
#define V_NIBBLES(m)                                                                                                   \
  (V_NIBBLE(m, 0) | V_NIBBLE(m, 1) | V_NIBBLE(m, 2) | V_NIBBLE(m, 3) | V_NIBBLE(m, 4) | V_NIBBLE(m, 5) |               \
   V_NIBBLE(m, 6) | V_NIBBLE(m, 7))
#define V_NIBBLES_4(m) V_NIBBLES((m) + 0u), V_NIBBLES((m) + 1u), V_NIBBLES((m) + 2u), V_NIBBLES((m) + 3u)
#define V_NIBBLES_16(m) V_NIBBLES_4(m), V_NIBBLES_4((m) + 4u), V_NIBBLES_4((m) + 8u), V_NIBBLES_4((m) + 12u)
#define V_NIBBLES_64(m) V_NIBBLES_16(m), V_NIBBLES_16((m) + 16u), V_NIBBLES_16((m) + 32u), V_NIBBLES_16((m) + 48u)
static const uint32_t v_picked_lanes[256] = {V_NIBBLES_64(0u), V_NIBBLES_64(64u), V_NIBBLES_64(128u),
                                             V_NIBBLES_64(192u)};
static inline void v_append(uint32_t *p, vi32 v, vpick pick) {
  __m256i nibbles = _mm256_set1_epi32((int)v_picked_lanes[v_pick_mask(pick)]);
  __m256i lanes = _mm256_srlv_epi32(nibbles, _mm256_setr_epi32(0, 4, 8, 12, 16, 20, 24, 28)); // bits 0 to 2 count
  _mm256_storeu_si256((__m256i *)(void *)p, _mm256_permutevar8x32_epi32(v, lanes));
}

#endif
