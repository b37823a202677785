/// Memory of a session: hooks for a context of its own that takes blocks from the caller's context and keeps them. So what
/// one operation frees serves a later one, and the second run of the same sizes asks the caller's context for nothing.
#ifndef LATTICE_MODEL_SESSION_POOL_H
#define LATTICE_MODEL_SESSION_POOL_H

#include <lattice/context.h>

typedef struct lat__pool lat__pool;

/// A pool on `context`. Errors: OUT_OF_MEMORY.
LAT_CHECKED lat_status lat__pool_create(lat_context *context, lat__pool **out);

/// Ends the owner's use: free blocks go back now, blocks in use when they are freed, the pool itself with the last.
void lat__pool_close(lat__pool *pool);

/// Allocator hooks of the pool.
lat_allocator lat__pool_hooks(lat__pool *pool);

/// Bytes taken from the context.
uint64_t lat__pool_held_bytes(lat__pool *pool);

#endif
