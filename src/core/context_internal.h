/// The context as the library sees it. Objects hold a reference (lat__context_retain), so that it outlives them.
#ifndef LATTICE_CORE_CONTEXT_INTERNAL_H
#define LATTICE_CORE_CONTEXT_INTERNAL_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <sys/types.h>

#include <lattice/context.h>

/// Most free blocks that a context keeps.
#define LAT__CACHE_SLOTS 64

typedef struct lat__cached_block {
  void *base;         ///< as the allocator returned it
  size_t block_bytes; ///< as it was asked for
} lat__cached_block;

/// Threads that help the caller of a loop (thread.c).
typedef struct lat__thread_pool {
  pthread_mutex_t lock;             ///< guards what follows
  pthread_cond_t wake;              ///< there is a loop, or the end
  pthread_cond_t idle;              ///< the last worker has left a loop
  void *work;                       ///< the loop that may be joined, or NULL
  int n_wanted, n_joined, n_inside; ///< workers it wants, has ever had, has now
  bool stops;                       ///< the context ends
  int n_started;
  pid_t process;      ///< whose threads they are
  pthread_t *threads; ///< room for all
} lat__thread_pool;

/// A device and its operators: backend/backend.h.
typedef struct lat__backend lat__backend;

struct lat_context {
  atomic_int refcount;
  lat_allocator allocator;
  lat_executor executor;
  int32_t n_threads;
  lat_cpu_level cpu_level;
  uint64_t memory_cap_bytes;
  uint64_t seed;
  lat_log_fn log;
  void *log_user;
  lat_log_level log_level;
  bool keeps_no_blocks;
  const lat__backend *backend;
  int64_t first_edge; ///< number of the first edge of a new relation: 0; a test of 64-bit numbers begins elsewhere
  bool deals_rows;    ///< relations deal output rows to blocks in sorted order wherever they lie; else only those that
                      ///< ascend, since convolutions read scattered rows slower. A test sets it
  lat__thread_pool pool; ///< unused with an executor
  size_t own_bytes;      ///< of this object, with the handles of its threads behind it

  pthread_mutex_t memory_lock; ///< guards everything below
  uint64_t live_bytes;
  uint64_t peak_bytes;
  uint64_t held_bytes;      ///< blocks of live memory, headers included
  uint64_t most_held_bytes; ///< its highest value ever: the most that is kept
  uint64_t cached_bytes;
  bool closed; ///< lat_context_destroy was called: freed blocks are not kept any more
  int n_cached;
  lat__cached_block cached[LAT__CACHE_SLOTS];
};

lat_context *lat__context_retain(lat_context *context);
void lat__context_release(lat_context *context);

/// Returns the kept free blocks to the host's allocator.
void lat__cache_drain(lat_context *context);

/// Formats a line for the context's log hook; nothing happens below its level or without a hook.
void lat__log(lat_context *context, lat_log_level level, const char *format, ...) LAT_PRINTF(3, 4);

/// Copies a sized options struct: `known_bytes` of `source` (fewer when the caller's struct is older) into the zeroed
/// `target`. NULL source: all defaults. Errors: INVALID_ARGUMENT for a size that cannot be one, UNSUPPORTED for non-zero
/// fields past what this version knows.
LAT_CHECKED lat_status lat__opts_copy(const char *op, const void *source, size_t known_bytes, void *target);

#endif
