/// Naive neighbours, in a ball or nearest: every query against every source.
#ifndef LAT_REF_NEIGHBORS_H
#define LAT_REF_NEIGHBORS_H

#include <stdint.h>

typedef struct ref_neighbors {
  int64_t n;
  int32_t *query, *source, *rank;
  float *distance; ///< squared
  int64_t *row_offsets;
} ref_neighbors;

/// Sources of the query's batch, first rows of duplicated coordinates only, with fl32(dx^2 + dy^2 + dz^2) <=
/// fl32(radius^2), by (distance, row), at most `max_neighbors` (0: all) a query.
ref_neighbors *ref_radius(const int32_t *sources, int64_t n_sources, const int32_t *queries, int64_t n_queries,
                          double radius, int64_t max_neighbors);

/// The k nearest sources of the query's batch, every row counted, by (distance, row).
ref_neighbors *ref_knn(const int32_t *sources, int64_t n_sources, const int32_t *queries, int64_t n_queries, int64_t k);
void ref_neighbors_free(ref_neighbors *neighbors);

#endif
