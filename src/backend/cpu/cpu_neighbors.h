/// What neighbour queries share: keys that order candidates, a heap of the best, and the arrays of the result.
///
/// A key is `bits of d2 << 32 | source row`. float32 bits of values >= 0 keep their order, so keys ascend in (distance,
/// row), with
///
///     d2 = fl(fl(fl(dx * dx) + fl(dy * dy)) + fl(dz * dz)),   dx = float(difference in int64)
#ifndef LATTICE_BACKEND_CPU_CPU_NEIGHBORS_H
#define LATTICE_BACKEND_CPU_CPU_NEIGHBORS_H

#include <string.h>

#include "backend/backend.h"

static inline float lat__square_of_difference(int32_t a, int32_t b) {
  float difference = (float)((int64_t)a - b);
  return difference * difference;
}

static inline uint64_t lat__key_make(float distance, int32_t row) {
  uint32_t bits;
  memcpy(&bits, &distance, sizeof bits);
  return (uint64_t)bits << 32 | (uint32_t)row;
}

static inline float lat__key_distance(uint64_t key) {
  uint32_t bits = (uint32_t)(key >> 32);
  float distance;
  memcpy(&distance, &bits, sizeof distance);
  return distance;
}

/// Moves heap[at] down to its place; the largest of the n keys is on top.
void lat__keys_sift_down(uint64_t *heap, int64_t n, int64_t at);

void lat__keys_make_heap(uint64_t *keys, int64_t n);

/// Allocates what n_edges edges need; `row_offsets` is not touched. What was allocated stays in `edges` on failure.
LAT_CHECKED lat_status lat__cpu_neighbor_edges_alloc(lat_context *context, const char *op, lat__neighbor_edges *edges);
void lat__cpu_neighbor_edges_free(lat_context *context, lat__neighbor_edges *edges);

/// Sorts the keys of a query, as many as its offsets say, and writes its edges.
void lat__cpu_neighbor_edges_put(const lat__neighbor_edges *edges, int64_t query, uint64_t *keys);

#endif
