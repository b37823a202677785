/// Where values lie in one block of memory: intervals of time with a size, packed so that no two that live at the same time
/// overlap.
#ifndef LATTICE_MODEL_ARENA_LAYOUT_H
#define LATTICE_MODEL_ARENA_LAYOUT_H

#include <stdint.h>

/// A piece of memory that is needed from step `first` to step `last`, both included.
typedef struct lat__interval {
  int64_t first, last;
  uint64_t bytes;  ///< 0: no place is asked for
  uint64_t offset; ///< given by lat__layout_place
} lat__interval;

/// Gives every interval an offset; `order` is room for n numbers. Returns the bytes of the block. The same intervals get the same offsets.
uint64_t lat__layout_place(lat__interval *intervals, int64_t n, int32_t *order);

/// The most bytes that intervals need at one step: no block can be smaller.
uint64_t lat__layout_least(const lat__interval *intervals, int64_t n);

#endif
