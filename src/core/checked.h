/// Checked arithmetic: every product or sum of counts goes through here, so that no size wraps silently.
#ifndef LATTICE_CORE_CHECKED_H
#define LATTICE_CORE_CHECKED_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/// `*out = a * b`; false when the product leaves int64.
static inline bool lat__mul_i64(int64_t a, int64_t b, int64_t *out) {
  return !__builtin_mul_overflow(a, b, out);
}

/// `*out = a + b`; false when the sum leaves int64.
static inline bool lat__add_i64(int64_t a, int64_t b, int64_t *out) {
  return !__builtin_add_overflow(a, b, out);
}

/// `*out = count * item_bytes` for a count >= 0; false when it leaves size_t or half of the address space.
static inline bool lat__bytes_of(int64_t count, size_t item_bytes, size_t *out) {
  if (count < 0) return false;
  if (__builtin_mul_overflow((uint64_t)count, (uint64_t)item_bytes, out)) return false;
  return *out <= SIZE_MAX / 2;
}

/// `*out = a * b` in int32; false when it leaves int32.
static inline bool lat__mul_i32(int32_t a, int32_t b, int32_t *out) {
  return !__builtin_mul_overflow(a, b, out);
}

static inline int64_t lat__min_i64(int64_t a, int64_t b) {
  return a < b ? a : b;
}

static inline int64_t lat__max_i64(int64_t a, int64_t b) {
  return a > b ? a : b;
}

/// ceil(a / b) for a >= 0, b > 0.
static inline int64_t lat__ceil_div_i64(int64_t a, int64_t b) {
  return a / b + (a % b != 0);
}

/// floor(a / b) for b > 0: rounds towards minus infinity. Fits int32 for every int32 a.
static inline int32_t lat__floor_div_i32(int32_t a, int32_t b) {
  int32_t quotient = a / b;
  return quotient - (a % b < 0);
}

#endif
