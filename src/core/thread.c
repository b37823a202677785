// parallel_for: dynamic ranges over an atomic counter, run by OpenMP or by the host's executor.

#include <stdatomic.h>

#include "core/checked.h"
#include "core/context_internal.h"
#include "core/thread.h"

typedef struct loop {
  atomic_llong next; ///< first item nobody has taken
  int64_t n_items;
  int64_t grain;
  lat__range_fn fn;
  void *arg;
} loop;

static void run_worker(void *arg, int worker) {
  loop *work = arg;
  for (;;) {
    int64_t begin = atomic_fetch_add_explicit(&work->next, work->grain, memory_order_relaxed);
    if (begin >= work->n_items) return;
    int64_t end = lat__min_i64(work->n_items, begin + work->grain);
    work->fn(work->arg, begin, end, worker);
  }
}

static void run_openmp(int n_jobs, loop *work) {
#if defined(_OPENMP)
#pragma omp parallel for num_threads(n_jobs) schedule(static, 1)
#endif
  for (int job = 0; job < n_jobs; job++) run_worker(work, job);
}

void lat__parallel_for(lat_context *context, int64_t n_items, int64_t grain, lat__range_fn fn, void *arg) {
  if (n_items <= 0) return;
  int64_t n_ranges = lat__ceil_div_i64(n_items, grain);
  int n_jobs = (int)lat__min_i64(n_ranges, context->n_threads);
  if (n_jobs == 1) {
    for (int64_t begin = 0; begin < n_items; begin += grain) {
      fn(arg, begin, lat__min_i64(n_items, begin + grain), 0);
    }
    return;
  }
  loop work = {.n_items = n_items, .grain = grain, .fn = fn, .arg = arg};
  atomic_init(&work.next, 0);
  if (context->executor.run) {
    context->executor.run(context->executor.user, n_jobs, run_worker, &work);
  } else {
    run_openmp(n_jobs, &work);
  }
}
