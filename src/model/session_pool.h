/// Memory of a session: hooks for a context of its own that takes blocks from the caller's context and keeps them. So what
/// one operation frees serves a later one, and the second run of the same sizes asks the caller's context for nothing.
///
/// Beside its blocks the pool has an arena, one block in which values lie at offsets that were planned: before an operation
/// runs, it is told which sizes belong where. Such a request goes to its place unless something lies there still, and then
/// to the blocks: a plan that proves wrong costs memory, never a value.
#ifndef LATTICE_MODEL_SESSION_POOL_H
#define LATTICE_MODEL_SESSION_POOL_H

#include <stdbool.h>

#include <lattice/context.h>

typedef struct lat__pool lat__pool;

/// A place in the arena for a request of `bytes`.
typedef struct lat__place {
  size_t bytes;    ///< of the array's elements
  uint64_t offset; ///< lat__place_bytes(bytes) from there on are its own
} lat__place;

/// Bytes of the arena that `bytes` of elements take, with what stands in front of them.
uint64_t lat__place_bytes(size_t bytes);

/// A pool on `context`. Errors: OUT_OF_MEMORY.
LAT_CHECKED lat_status lat__pool_create(lat_context *context, lat__pool **out);

/// Ends the owner's use: free blocks go back now, blocks in use when they are freed, the pool itself with the last.
void lat__pool_close(lat__pool *pool);

/// Allocator hooks of the pool.
lat_allocator lat__pool_hooks(lat__pool *pool);

/// Makes the arena at least that long, before a run. One that is long enough stays. Errors: OUT_OF_MEMORY.
LAT_CHECKED lat_status lat__pool_reserve(lat__pool *pool, uint64_t bytes);

/// The places of the next requests, each for one request of its size; `n` 0: none. Copies at most two.
void lat__pool_aim(lat__pool *pool, const lat__place *places, int n);

/// True when `data` lies in the arena.
bool lat__pool_plans(lat__pool *pool, const void *data);

/// Begins a run, in which blocks are for runs.
void lat__pool_begin_run(lat__pool *pool);

/// Whether requests from now on are for plans and what they hold: these have free blocks of their own, so that making
/// plans takes nothing away that a run needs.
void lat__pool_for_plans(lat__pool *pool, bool for_plans);

/// Gives back the free blocks for plans.
void lat__pool_trim_plans(lat__pool *pool);

/// Gives back the free blocks that this run did not use.
void lat__pool_trim_unused(lat__pool *pool);

/// Bytes taken from the context, and those of them that are the arena.
void lat__pool_bytes(lat__pool *pool, uint64_t *held, uint64_t *arena);

#endif
