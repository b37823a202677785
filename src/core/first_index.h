/// The lowest index that any range of a parallel loop reported: which error is named must not depend on the threads.
#ifndef LATTICE_CORE_FIRST_INDEX_H
#define LATTICE_CORE_FIRST_INDEX_H

#include <stdatomic.h>
#include <stdint.h>

/// Initialise with lat__first_index_init; LAT__NO_INDEX until something is reported.
typedef struct lat__first_index {
  atomic_llong value;
} lat__first_index;

#define LAT__NO_INDEX INT64_MAX

static inline void lat__first_index_init(lat__first_index *first) {
  atomic_init(&first->value, LAT__NO_INDEX);
}

static inline void lat__first_index_report(lat__first_index *first, int64_t index) {
  long long seen = atomic_load_explicit(&first->value, memory_order_relaxed);
  while (index < seen) {
    if (atomic_compare_exchange_weak_explicit(&first->value, &seen, index, memory_order_relaxed,
                                              memory_order_relaxed)) {
      return;
    }
  }
}

/// To be read after the loop.
static inline int64_t lat__first_index_get(lat__first_index *first) {
  return atomic_load_explicit(&first->value, memory_order_relaxed);
}

#endif
