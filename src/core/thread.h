/// The one internal parallel_for.
#ifndef LATTICE_CORE_THREAD_H
#define LATTICE_CORE_THREAD_H

#include <lattice/context.h>

/// The threads of a context: context_internal.h.
typedef struct lat__thread_pool lat__thread_pool;

/// Works on the items [begin, end). `worker` is in [0, lat_context_threads): one worker runs one range at a time, so it
/// may own scratch memory by that index.
typedef void (*lat__range_fn)(void *arg, int64_t begin, int64_t end, int worker);

/// Calls `fn` on disjoint ranges that cover [0, n_items), each `grain` items long (the last may be shorter), handed out
/// in ascending order to whichever worker is free. Runs serially in the calling thread when there is one range or one
/// thread, and after lat_context_destroy. Where a result must not depend on the thread count, only item boundaries, never
/// the ranges, may matter. A loop within a loop of the same context runs serially.
void lat__parallel_for(lat_context *context, int64_t n_items, int64_t grain, lat__range_fn fn, void *arg);

/// Life of a zeroed pool whose `threads` has room for all: no thread is started before the first loop. After a stop loops
/// would start threads again.
void lat__thread_pool_open(lat__thread_pool *pool);
void lat__thread_pool_stop(lat__thread_pool *pool);
void lat__thread_pool_close(lat__thread_pool *pool);

#endif
