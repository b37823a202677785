// parallel_for: every item once, ranges as promised, workers with memory of their own, the host's executor.
//
// covers: lat_context_executor
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <lattice/coords.h>

#include "core/context_internal.h"
#include "core/thread.h"
#include "support/test_support.h"

#define N_ITEMS 1000
#define MAX_WORKERS 16

typedef struct record {
  atomic_int visits[N_ITEMS];
  atomic_int busy[MAX_WORKERS]; // one range at a time for each worker
  atomic_int n_ranges, n_bad;
  int64_t n_items, grain;
  int n_threads;
} record;

static lat_context *context_of(int32_t n_threads, const lat_executor *executor) {
  lat_context_opts opts = LAT_CONTEXT_OPTS_INIT;
  lat_context *context = NULL;
  opts.n_threads = n_threads;
  if (executor) opts.executor = *executor;
  lat_test_assert_ok(lat_context_create(&opts, &context));
  return context;
}

// Counts instead of asserting: cmocka's assertions jump, which no other thread may do.
static void visit(void *arg, int64_t begin, int64_t end, int worker) {
  record *r = arg;
  if (worker < 0 || worker >= r->n_threads) {
    atomic_fetch_add(&r->n_bad, 1);
    return;
  }
  if (atomic_fetch_add(&r->busy[worker], 1) != 0) atomic_fetch_add(&r->n_bad, 1);
  int64_t expected_end = begin + r->grain < r->n_items ? begin + r->grain : r->n_items;
  if (begin % r->grain != 0 || end != expected_end) atomic_fetch_add(&r->n_bad, 1);
  for (int64_t i = begin; i < end; i++) atomic_fetch_add(&r->visits[i], 1);
  atomic_fetch_add(&r->n_ranges, 1);
  atomic_fetch_sub(&r->busy[worker], 1);
}

static void check_cover(lat_context *context, int64_t n_items, int64_t grain) {
  static record r;
  memset(&r, 0, sizeof r);
  r.n_items = n_items;
  r.grain = grain;
  r.n_threads = lat_context_threads(context);
  lat__parallel_for(context, n_items, grain, visit, &r);
  assert_int_equal(atomic_load(&r.n_bad), 0);
  assert_int_equal(atomic_load(&r.n_ranges), (n_items + grain - 1) / grain);
  for (int64_t i = 0; i < N_ITEMS; i++) assert_int_equal(atomic_load(&r.visits[i]), i < n_items);
}

static void check_covers(lat_context *context) {
  const int64_t grains[] = {1, 3, 7, 250, 999, 1000, 1001, INT64_MAX / 2};
  for (size_t g = 0; g < sizeof grains / sizeof grains[0]; g++) {
    check_cover(context, 0, grains[g]);
    check_cover(context, 1, grains[g]);
    check_cover(context, 999, grains[g]);
    check_cover(context, 1000, grains[g]);
  }
}

static void test_every_item_once(void **state) {
  (void)state;
  for (int32_t n_threads = 1; n_threads <= 7; n_threads += 2) {
    lat_context *context = context_of(n_threads, NULL);
    check_covers(context);
    lat_context_destroy(context);
  }
}

// Contexts on the threads of another start none; two of them at once, and the other one beside them.
static void *cover_side(void *arg) {
  static record records[2];
  lat_context *context = arg;
  record *r = &records[lat_context_seed(context) & 1];
  for (int round = 0; round < 30; round++) {
    memset(r, 0, sizeof *r);
    r->n_items = N_ITEMS;
    r->grain = 10;
    r->n_threads = lat_context_threads(context);
    lat__parallel_for(context, N_ITEMS, 10, visit, r);
    if (atomic_load(&r->n_bad) || atomic_load(&r->n_ranges) != N_ITEMS / 10) return NULL;
    for (int64_t i = 0; i < N_ITEMS; i++) {
      if (atomic_load(&r->visits[i]) != 1) return NULL;
    }
  }
  return context;
}

static void run_never(void *user, int n_jobs, void (*job)(void *arg, int index), void *arg) {
  (void)user, (void)n_jobs, (void)job, (void)arg;
}

static void test_threads_of_another(void **state) {
  (void)state;
  lat_context *host = context_of(4, NULL), *guests[2];
  pthread_t threads[2];
  for (int i = 0; i < 2; i++) {
    lat_context_opts opts = LAT_CONTEXT_OPTS_INIT;
    opts.n_threads = 4;
    opts.seed = (uint64_t)i;
    opts.executor = lat_context_executor(host);
    lat_test_assert_ok(lat_context_create(&opts, &guests[i]));
    assert_true(lat_context_executor(guests[i]).user == host); // handed on
  }
  check_covers(guests[0]);
  for (int i = 0; i < 2; i++) assert_int_equal(pthread_create(&threads[i], NULL, cover_side, guests[i]), 0);
  for (int round = 0; round < 10; round++) check_cover(host, N_ITEMS, 7);
  for (int i = 0; i < 2; i++) {
    void *done = NULL;
    pthread_join(threads[i], &done);
    assert_ptr_equal(done, guests[i]);
  }
  // What outlives a context and its host looks things up with it all the same.
  static const int32_t rows[3][4] = {{0, 1, 2, 3}, {0, 4, 5, 6}, {0, 7, 8, 9}};
  lat_array_view view = lat_view_2d(rows, LAT_DTYPE_I32, 3, 4);
  lat_coords *coords = NULL;
  lat_test_assert_ok(lat_coords_create(guests[0], &view, NULL, &coords));
  for (int i = 0; i < 2; i++) lat_context_destroy(guests[i]);
  lat_context_destroy(host);
  guests[0]->executor.run = run_never; // the host is gone
  check_cover(guests[0], N_ITEMS, 7);
  lat_coords_release(coords);
  assert_null(lat_context_executor(NULL).run);
}

static void never(void *arg, int64_t begin, int64_t end, int worker) {
  (void)begin, (void)end, (void)worker;
  ++*(int *)arg;
}

static void test_nothing_to_do(void **state) {
  (void)state;
  lat_context *context = context_of(2, NULL);
  int calls = 0;
  lat__parallel_for(context, 0, 1, never, &calls);
  lat__parallel_for(context, -5, 1, never, &calls);
  assert_int_equal(calls, 0);
  lat_context_destroy(context);
}

typedef struct order {
  int64_t next;
  int n_bad;
} order;

static void expect_ascending(void *arg, int64_t begin, int64_t end, int worker) {
  order *o = arg;
  if (worker != 0 || begin != o->next) o->n_bad++;
  o->next = end;
}

static void test_one_thread_is_serial_and_ascending(void **state) {
  (void)state;
  lat_context *context = context_of(1, NULL);
  order o = {0, 0};
  lat__parallel_for(context, 100, 7, expect_ascending, &o);
  assert_int_equal(o.next, 100);
  assert_int_equal(o.n_bad, 0);
  lat_context_destroy(context);
}

typedef struct host {
  int calls, most_jobs, backwards;
} host;

static void host_run(void *user, int n_jobs, void (*job)(void *arg, int index), void *arg) {
  host *h = user;
  h->calls++;
  if (n_jobs > h->most_jobs) h->most_jobs = n_jobs;
  for (int i = 0; i < n_jobs; i++) job(arg, h->backwards ? n_jobs - 1 - i : i);
}

static void test_host_executor(void **state) {
  (void)state;
  for (int backwards = 0; backwards <= 1; backwards++) {
    host h = {.backwards = backwards};
    lat_executor executor = {host_run, &h};
    lat_context *context = context_of(5, &executor);
    check_covers(context);
    assert_true(h.calls > 0);
    assert_int_equal(h.most_jobs, 5);
    h = (host){.backwards = backwards};
    check_cover(context, 3, 1);
    assert_int_equal(h.most_jobs, 3); // no more jobs than ranges
    h = (host){.backwards = backwards};
    check_cover(context, 100, 100);
    assert_int_equal(h.calls, 0); // one range runs in the caller
    lat_context_destroy(context);
  }
}

typedef struct inner_work {
  lat_context *context;
  atomic_int n_items;
} inner_work;

static void count_items(void *arg, int64_t begin, int64_t end, int worker) {
  inner_work *work = arg;
  (void)worker;
  atomic_fetch_add(&work->n_items, (int)(end - begin));
}

static void run_inner(void *arg, int64_t begin, int64_t end, int worker) {
  inner_work *work = arg;
  (void)worker;
  for (int64_t i = begin; i < end; i++) lat__parallel_for(work[i].context, 100, 9, count_items, &work[i]);
}

static void test_contexts_work_side_by_side(void **state) {
  (void)state;
  lat_context *outer = context_of(4, NULL);
  inner_work work[8];
  memset(work, 0, sizeof work);
  for (int i = 0; i < 8; i++) work[i].context = context_of(2, NULL);
  lat__parallel_for(outer, 8, 1, run_inner, work);
  for (int i = 0; i < 8; i++) {
    assert_int_equal(atomic_load(&work[i].n_items), 100);
    lat_context_destroy(work[i].context);
  }
  lat_context_destroy(outer);
}

typedef struct nested {
  lat_context *context;
  atomic_int n_items, n_strangers;
} nested;

static void count_serial_items(void *arg, int64_t begin, int64_t end, int worker) {
  nested *work = arg;
  if (worker != 0) atomic_fetch_add(&work->n_strangers, 1);
  atomic_fetch_add(&work->n_items, (int)(end - begin));
}

static void run_nested(void *arg, int64_t begin, int64_t end, int worker) {
  nested *work = arg;
  (void)worker;
  for (int64_t i = begin; i < end; i++) lat__parallel_for(work->context, 50, 3, count_serial_items, work);
}

static void test_loop_within_a_loop_is_serial(void **state) {
  (void)state;
  nested work = {.context = context_of(3, NULL)};
  lat__parallel_for(work.context, 20, 1, run_nested, &work);
  assert_int_equal(atomic_load(&work.n_items), 1000);
  assert_int_equal(atomic_load(&work.n_strangers), 0);
  lat_context_destroy(work.context);
}

#if defined(__SANITIZE_THREAD__)
#define WITH_THREAD_SANITIZER 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define WITH_THREAD_SANITIZER 1
#endif
#endif
#ifndef WITH_THREAD_SANITIZER
#define WITH_THREAD_SANITIZER 0
#endif

// The child has none of the threads: its loops run, and its contexts end.
static void test_after_a_fork(void **state) {
  (void)state;
  if (WITH_THREAD_SANITIZER) skip(); // it ends a child of several threads
  lat_context *context = context_of(4, NULL);
  check_covers(context);
  usleep(20000); // so that the workers wait when the child is made
  pid_t child = fork();
  assert_true(child >= 0);
  if (child == 0) {
    alarm(20); // instead of hanging
    inner_work work = {.context = context};
    lat__parallel_for(context, 100, 1, count_items, &work);
    bool good = atomic_load(&work.n_items) == 100;
    lat_context_destroy(context);
    _exit(good ? 0 : 1);
  }
  int result = -1;
  assert_int_equal(waitpid(child, &result, 0), child);
  assert_true(WIFEXITED(result) && WEXITSTATUS(result) == 0);
  check_covers(context);
  lat_context_destroy(context);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_every_item_once),
      cmocka_unit_test(test_threads_of_another),
      cmocka_unit_test(test_nothing_to_do),
      cmocka_unit_test(test_one_thread_is_serial_and_ascending),
      cmocka_unit_test(test_host_executor),
      cmocka_unit_test(test_contexts_work_side_by_side),
      cmocka_unit_test(test_loop_within_a_loop_is_serial),
      cmocka_unit_test(test_after_a_fork),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
