/// Coordinate sets as the library sees them.
#ifndef LATTICE_COORDS_COORDS_INTERNAL_H
#define LATTICE_COORDS_COORDS_INTERNAL_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>

#include <lattice/coords.h>

#include "backend/backend.h"

/// Most entries of one set's cache.
#define LAT__COORDS_CACHE_SLOTS 32

/// What a cache entry is.
typedef enum lat__cache_kind {
  LAT__CACHE_FORWARD = 1,           ///< lat_relation
  LAT__CACHE_SUBMANIFOLD = 2,       ///< lat_relation
  LAT__CACHE_TARGET = 3,            ///< lat_relation
  LAT__CACHE_DOWNSAMPLED = 4,       ///< lat_coords
  LAT__CACHE_ALIGNMENT = 5,         ///< alignment of two sets
  LAT__CACHE_TRANSPOSED = 6,        ///< lat_relation
  LAT__CACHE_GENERATIVE = 7,        ///< lat_relation
  LAT__CACHE_TARGET_TRANSPOSED = 8, ///< lat_relation
  LAT__CACHE_RESTRIDED = 20         ///< lat_coords: the same rows at another stride
} lat__cache_kind;

/// What a cache entry is about. Compared byte by byte: zero-initialise it.
typedef struct lat__cache_key {
  uint64_t other_id; ///< id of the other coordinate set, 0 when there is none
  int32_t kind;      ///< lat__cache_kind
  int32_t detail;    ///< e.g. a join
  lat_triple kernel_size, stride, padding, dilation, bounds;
  int32_t support; ///< lat_support
} lat__cache_key;

/// How a cached object is shared and dropped.
typedef struct lat__cache_ops {
  void *(*retain)(void *object);
  void (*release)(void *object);
} lat__cache_ops;

typedef struct lat__cache_entry {
  lat__cache_key key;
  const lat__cache_ops *ops;
  void *object;       ///< one reference is the cache's
  uint64_t last_used; ///< tick of the set
} lat__cache_entry;

struct lat_coords {
  atomic_int refcount;
  lat_context *context; ///< retained
  uint64_t id;
  lat_triple stride;
  int64_t n_rows;
  int32_t *rows; ///< (n_rows, 4), from lat__alloc

  pthread_mutex_t lock;    ///< guards everything below
  lat__coord_index *index; ///< built on first lookup
  lat__coord_order *order; ///< sorted rows, built for the first relation
  uint64_t tick;
  int n_entries;
  lat__cache_entry entries[LAT__COORDS_CACHE_SLOTS];
};

/// New set that takes `rows` (from lat__alloc of `context`, `(n_rows, 4)`), also on failure.
LAT_CHECKED lat_status lat__coords_adopt(lat_context *context, const char *op, int32_t *rows, int64_t n_rows,
                                         lat_triple stride, lat_coords **out);

/// `*out` = the rows of a caller's `(N, 4)` int32 or int64 view as contiguous int32 from lat__alloc. Errors name `op` and
/// the argument `name`.
LAT_CHECKED lat_status lat__coords_take_rows(lat_context *context, const char *op, const char *name,
                                             const lat_array_view *view, int32_t **out);

/// Puts 1 where a stride is all zero. Errors: INVALID_ARGUMENT ("stride values must be positive").
LAT_CHECKED lat_status lat__coords_check_stride(const char *op, lat_triple *stride);

/// The set's index, built on first use; it lives as long as the set.
LAT_CHECKED lat_status lat__coords_index(const lat_coords *coords, const lat__coord_index **out);

/// First rows equal to `queries` (n_queries, 4), -1 where there is none. Builds the index on first use.
LAT_CHECKED lat_status lat__coords_lookup(lat_context *context, const lat_coords *coords, const int32_t *queries,
                                          int64_t n_queries, int32_t *result);

/// The set's rows sorted for relations. Built on first use; valid while the set is.
LAT_CHECKED lat_status lat__coords_order(lat_context *context, const lat_coords *coords, const lat__coord_order **out);

/// The cached object of `key`, retained, or NULL.
void *lat__coords_cache_get(const lat_coords *coords, const lat__cache_key *key);

/// Offers `object` to the cache, which retains it, and returns the object to use, which the caller owns: `object` itself,
/// or, when another thread was first, that thread's object (the reference to `object` is then dropped). The least
/// recently used entry goes when the cache is full.
void *lat__coords_cache_put(const lat_coords *coords, const lat__cache_key *key, const lat__cache_ops *ops,
                            void *object);

/// Stride of a coarser set, `in * by`. Errors: OVERFLOW.
LAT_CHECKED lat_status lat__coords_coarser_stride(const char *op, lat_triple in, lat_triple by, lat_triple *out);

/// Set of floor(row / divisor), first-seen, with stride `coords.stride * divisor`; cached on `coords`, so that every
/// geometry with this stride shares one output identity. Retained for the caller. OVERFLOW when the stride leaves int32.
LAT_CHECKED lat_status lat__coords_downsample(lat_context *context, const char *op, const lat_coords *coords,
                                              lat_triple divisor, lat_coords **out);

#endif
