/// Compiler vocabulary: the only place besides backend/cpu/kernel where attributes are spelled.
#ifndef LATTICE_CORE_COMPILER_H
#define LATTICE_CORE_COMPILER_H

#include <assert.h>

#define LAT_LIKELY(condition) __builtin_expect(!!(condition), 1)
#define LAT_UNLIKELY(condition) __builtin_expect(!!(condition), 0)
#define LAT_ALWAYS_INLINE inline __attribute__((always_inline))
#define LAT_THREAD_LOCAL _Thread_local
/// The compiler forgets where a pointer comes from. Without it gcc undoes the sum of a base and what a loop adds to it, and
/// does both additions for every row.
#define LAT_FORGET(pointer) __asm__("" : "+r"(pointer))

/// Alignment of every block that lat__alloc returns: one cache line, one AVX-512 register.
#define LAT_ALIGN 64

/// Runs `expr` (a lat_status) and leaves through `label` when it fails. Needs a local `lat_status status`.
#define LAT_TRY(expr, label)                                                                                           \
  do {                                                                                                                 \
    status = (expr);                                                                                                   \
    if (LAT_UNLIKELY(status)) goto label;                                                                              \
  } while (0)

#endif
