// parallel_for: dynamic ranges over an atomic counter, run by the context's own workers or by the host's executor.
//
// The caller publishes a loop, works on it like everybody else and waits only for workers that have joined it. A worker
// that the system wakes too late finds the loop closed and sleeps on. So a loop takes never longer than in one thread by
// more than the call that wakes, also where other processes keep the cores busy; a barrier that all threads must reach,
// as OpenMP has, costs milliseconds there. Workers are started when the first loop asks for them and end with
// lat_context_destroy. After a fork the child's contexts start workers of their own.

#include <signal.h>
#include <stdatomic.h>
#include <unistd.h>

#include "core/checked.h"
#include "core/context_internal.h"
#include "core/thread.h"

typedef struct loop {
  atomic_llong next; ///< first item nobody has taken
  int64_t n_items;
  int64_t grain;
  lat__range_fn fn;
  void *arg;
  int n_inside; ///< workers that have it now; guarded by the pool's lock
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

// --- the pool ---------------------------------------------------------------------------------------------------------

static void *pool_main(void *arg) {
  lat__thread_pool *pool = arg;
  pthread_mutex_lock(&pool->lock);
  for (;;) {
    while (!pool->stops && !(pool->work && pool->n_joined < pool->n_wanted)) {
      pthread_cond_wait(&pool->wake, &pool->lock);
    }
    if (pool->stops) break;
    loop *work = pool->work;
    int worker = ++pool->n_joined; // 0 is the caller
    pool->n_inside++;
    work->n_inside++;
    pthread_mutex_unlock(&pool->lock);
    run_worker(work, worker);
    pthread_mutex_lock(&pool->lock);
    pool->n_inside--;
    if (--work->n_inside == 0) pthread_cond_broadcast(&pool->idle);
  }
  pthread_mutex_unlock(&pool->lock);
  return NULL;
}

/// Starts workers until there are `n`, or the system refuses one: then there are fewer, and the others do the work.
static void start_workers(lat__thread_pool *pool, int n) {
  sigset_t all, before;
  if (pool->n_started >= n) return;
  sigfillset(&all); // the host's signals are none of our threads' business
  pthread_sigmask(SIG_SETMASK, &all, &before);
  while (pool->n_started < n) {
    if (pthread_create(&pool->threads[pool->n_started], NULL, pool_main, pool)) break;
    pool->n_started++;
  }
  pthread_sigmask(SIG_SETMASK, &before, NULL);
}

/// A fork's child has none of the threads, and finds the lock and the conditions as they were at that moment: held by
/// nobody that is left, waited on by nobody that is left. It begins with new ones.
static void begin_anew_after_fork(lat__thread_pool *pool) {
  if (pool->process == getpid()) return;
  *pool = (lat__thread_pool){.threads = pool->threads};
  lat__thread_pool_open(pool);
}

static void run_pool(lat__thread_pool *pool, int n_jobs, loop *work) {
  begin_anew_after_fork(pool);
  pthread_mutex_lock(&pool->lock);
  // A loop within a loop runs serially, also in a worker that is still busy when the caller has closed the outer one.
  bool free = !pool->work && pool->n_inside == 0;
  if (free) {
    start_workers(pool, n_jobs - 1);
    pool->work = work;
    pool->n_wanted = n_jobs - 1;
    pool->n_joined = 0;
    pthread_cond_broadcast(&pool->wake);
  }
  pthread_mutex_unlock(&pool->lock);
  run_worker(work, 0);
  if (!free) return;
  pthread_mutex_lock(&pool->lock);
  pool->work = NULL;
  while (work->n_inside > 0) pthread_cond_wait(&pool->idle, &pool->lock);
  pthread_mutex_unlock(&pool->lock);
}

void lat__thread_pool_open(lat__thread_pool *pool) {
  pthread_mutex_init(&pool->lock, NULL);
  pthread_cond_init(&pool->wake, NULL);
  pthread_cond_init(&pool->idle, NULL);
  pool->process = getpid();
}

void lat__thread_pool_stop(lat__thread_pool *pool) {
  begin_anew_after_fork(pool);
  if (pool->n_started == 0) return;
  pthread_mutex_lock(&pool->lock);
  pool->stops = true;
  pthread_cond_broadcast(&pool->wake);
  pthread_mutex_unlock(&pool->lock);
  for (int i = 0; i < pool->n_started; i++) pthread_join(pool->threads[i], NULL);
  pool->n_started = 0;
}

void lat__thread_pool_close(lat__thread_pool *pool) {
  begin_anew_after_fork(pool); // destroying a condition waits for all that wait on it, also for those left behind
  pthread_cond_destroy(&pool->wake);
  pthread_cond_destroy(&pool->idle);
  pthread_mutex_destroy(&pool->lock);
}

// --- the loop ---------------------------------------------------------------------------------------------------------

/// Objects keep their context after lat_context_destroy. It starts no threads any more, and its executor may be gone.
static bool is_ended(lat_context *context) {
  pthread_mutex_lock(&context->memory_lock);
  bool ended = context->closed;
  pthread_mutex_unlock(&context->memory_lock);
  return ended;
}

void lat__parallel_for(lat_context *context, int64_t n_items, int64_t grain, lat__range_fn fn, void *arg) {
  if (n_items <= 0) return;
  int64_t n_ranges = lat__ceil_div_i64(n_items, grain);
  int n_jobs = (int)lat__min_i64(n_ranges, context->n_threads);
  if (n_jobs == 1 || is_ended(context)) {
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
    run_pool(&context->pool, n_jobs, &work);
  }
}

// --- an executor for others -------------------------------------------------------------------------------------------

/// A host executor's jobs as a loop.
typedef struct job_list {
  void (*job)(void *arg, int index);
  void *arg;
} job_list;

static void run_jobs(void *arg, int64_t begin, int64_t end, int worker) {
  const job_list *list = arg;
  (void)worker;
  for (int64_t i = begin; i < end; i++) list->job(list->arg, (int)i);
}

static void run_on_context(void *user, int n_jobs, void (*job)(void *arg, int index), void *arg) {
  job_list list = {job, arg};
  lat__parallel_for(user, n_jobs, 1, run_jobs, &list);
}

lat_executor lat_context_executor(lat_context *context) {
  lat_executor executor = {NULL, NULL};
  if (!context) return executor;
  if (context->executor.run) return context->executor;
  executor.run = run_on_context;
  executor.user = context;
  return executor;
}
