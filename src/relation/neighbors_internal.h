/// Neighbour relations as operators see them.
#ifndef LATTICE_RELATION_NEIGHBORS_INTERNAL_H
#define LATTICE_RELATION_NEIGHBORS_INTERNAL_H

#include <stdatomic.h>

#include <lattice/relation.h>

#include "backend/desc.h"

struct lat_neighbors {
  atomic_int refcount;
  lat_context *context; ///< retained
  int64_t n_queries, n_sources;
  lat__neighbor_edges edges;
};

#endif
