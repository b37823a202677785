// A session's arena: places never overlap and waste little, sets of any size in any order give the bits of a session that
// plans nothing, it grows and stays, results do not lie in it; several models and sessions in several threads.
//
// covers: lat_session_create lat_session_run lat_session_memory_of
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include <lattice/lattice.h>

#include "model/program_internal.h"
#include "support/tensor_cases.h"
#include "support/test_allocator.h"
#include "support/test_support.h"

enum { C = 16, N_ROWS = 3000, EXTENT = 24 };

static lat_test_allocator counter;
static lat_context *context;

static int set_up(void **state) {
  (void)state;
  memset(&counter, 0, sizeof counter);
  context = lat_test_context_create(&counter, 2);
  return 0;
}

static int tear_down(void **state) {
  (void)state;
  lat_test_context_finish(context, &counter);
  return 0;
}

// --- models and inputs ------------------------------------------------------------------------------------------------

/// What stands between the levels of a network.
typedef enum network {
  PLAIN,  ///< a U-Net, and a linear head with norm and activation
  JOINED, ///< a sum of different sets in the middle: its rows are known when it runs
  POOLED, ///< max pools down, transposed pools up, a layer norm
  ALIAS,  ///< the output is put on the set it lies on
  N_NETWORKS
} network;

static lat_value block(lat_nn *nn, lat_value x, int64_t channels) {
  lat_value y = lat_nn_subm_conv3d(nn, x, channels, channels, NULL);
  y = lat_nn_relu(nn, lat_nn_batch_norm(nn, y, channels, NULL));
  y = lat_nn_subm_conv3d(nn, y, channels, channels, NULL);
  return lat_nn_relu(nn, lat_nn_add(nn, lat_nn_batch_norm(nn, y, channels, NULL), x));
}

static lat_value down(lat_nn *nn, lat_value x, network kind, int64_t channels) {
  const lat_nn_conv_opts *half = LAT_OPTS(lat_nn_conv_opts, .kernel_size = {2, 2, 2}, .stride = {2, 2, 2});
  if (kind != POOLED) return lat_nn_conv3d(nn, x, channels, 2 * channels, half);
  return lat_nn_layer_norm(nn, lat_nn_linear(nn, lat_nn_max_pool3d(nn, x, NULL), channels, 2 * channels, NULL),
                           2 * channels, NULL);
}

static lat_value up(lat_nn *nn, lat_value x, lat_value skip, network kind, int64_t channels) {
  if (kind != POOLED) {
    return lat_nn_conv_transpose3d(nn, x, 2 * channels, channels,
                                   LAT_OPTS(lat_nn_conv_opts, .stride = {2, 2, 2}, .target = skip));
  }
  x = lat_nn_linear(nn, x, 2 * channels, channels, NULL);
  return lat_nn_pool_transpose3d(nn, x, LAT_OPTS(lat_nn_pool_opts, .target = skip));
}

static lat_program *make_program(network kind, lat_dtype dtype) {
  lat_nn *nn = NULL;
  lat_model *model = NULL;
  lat_program *program = NULL;
  lat_compile_opts opts = LAT_COMPILE_OPTS_INIT;
  lat_test_assert_ok(lat_nn_create(context, &nn));
  lat_value fine = block(nn, lat_nn_input(nn, "x", C, NULL), C);
  lat_value coarse = block(nn, down(nn, fine, kind, C), 2 * C);
  lat_value low = block(nn, down(nn, coarse, kind, 2 * C), 4 * C);
  if (kind == JOINED) { // a dilated set and the set itself
    lat_value wide = lat_nn_generative_conv_transpose3d(nn, low, 4 * C, 2 * C, NULL);
    coarse = lat_nn_add(nn, coarse, wide);
  }
  lat_value skips[2] = {up(nn, low, coarse, kind, 2 * C), coarse};
  lat_value y = lat_nn_subm_conv3d(nn, lat_nn_cat(nn, skips, 2, (lat_join)0), 4 * C, 2 * C, NULL);
  skips[0] = up(nn, y, fine, kind, C);
  skips[1] = fine;
  y = lat_nn_subm_conv3d(nn, lat_nn_cat(nn, skips, 2, (lat_join)0), 2 * C, C, NULL);
  if (kind == PLAIN) {
    lat_value head = lat_nn_linear(nn, lat_nn_features(nn, y), C, 8, NULL);
    lat_nn_output(nn, "head", lat_nn_relu(nn, lat_nn_batch_norm(nn, head, 8, NULL)));
  }
  if (kind == ALIAS) {
    y = lat_nn_reindex(nn, y, fine, 0.0);
    lat_nn_output(nn, "twice", lat_nn_reindex(nn, y, fine, 0.0));
  }
  lat_nn_output(nn, "y", y);
  lat_test_assert_ok(lat_nn_finish(nn, &model));
  opts.dtype = dtype;
  lat_test_assert_ok(lat_model_compile(context, model, &opts, &program));
  lat_model_release(model);
  return program;
}

/// `n` rows, the same ones for one n but for a shift by whole cells of every level.
static lat_tensor *make_input(int64_t n, int32_t shift, uint64_t seed) {
  lat_test_random random = {7, 0}, other = {seed, 0};
  int32_t *rows = lat_test_random_rows(&random, n, 1, EXTENT, 0);
  for (int64_t i = 0; i < n; i++) rows[4 * i + 1] += 64 * shift;
  double *values = lat_test_random_values(&other, n * C, -1.0, 1.0);
  lat_tensor *x = lat_test_tensor(context, rows, n, values, C, LAT_DTYPE_F32, NULL);
  free(rows);
  free(values);
  return x;
}

static lat_results *run(lat_session *session, const lat_tensor *x) {
  const lat_binding input = {"x", x, NULL};
  lat_results *results = NULL;
  lat_test_assert_ok(lat_session_run(session, &input, 1, NULL, &results));
  return results;
}

/// The outputs of a session without places.
static lat_results *run_unplanned(lat_context *with, const lat_program *program, const lat_tensor *x) {
  lat_session *session = NULL;
  lat_test_assert_ok(lat_session_create(with, program, &session));
  session->unprepared = true;
  lat_results *results = run(session, x);
  assert_int_equal(lat_session_memory_of(session).arena_bytes, 0);
  lat_session_destroy(session);
  return results;
}

/// The same bits in all outputs.
static void assert_same_results(const lat_results *got, const lat_results *expected) {
  assert_int_equal(lat_results_count(got), lat_results_count(expected));
  for (int64_t i = 0; i < lat_results_count(got); i++) {
    const char *name = lat_results_name(got, i);
    const lat_tensor *a = lat_results_tensor(got, name), *b = lat_results_tensor(expected, name);
    if (a) lat_test_assert_same_view(lat_coords_rows(lat_tensor_coords(a)), lat_coords_rows(lat_tensor_coords(b)));
    lat_test_assert_same_view(a ? lat_tensor_feats(a) : lat_array_as_view(lat_results_array(got, name)),
                              b ? lat_tensor_feats(b) : lat_array_as_view(lat_results_array(expected, name)));
  }
}

// --- the layout -------------------------------------------------------------------------------------------------------

static void assert_apart(const lat__interval *intervals, int64_t n, uint64_t bytes) {
  for (int64_t i = 0; i < n; i++) {
    const lat__interval *a = &intervals[i];
    if (a->bytes) assert_true(a->offset + a->bytes <= bytes);
    for (int64_t k = 0; k < i && a->bytes; k++) {
      const lat__interval *b = &intervals[k];
      bool together = b->bytes && a->first <= b->last && b->first <= a->last;
      if (together) assert_true(a->offset + a->bytes <= b->offset || b->offset + b->bytes <= a->offset);
    }
  }
}

static void test_layout(void **state) {
  (void)state;
  enum { N = 120, N_CASES = 40 };
  lat__interval intervals[N], again[N];
  int32_t order[N];
  double wasted = 0.0;
  for (int round = 0; round < N_CASES; round++) {
    lat_test_random random = {(uint64_t)round + 1, 0};
    for (int i = 0; i < N; i++) {
      int64_t first = lat_test_below(&random, 60);
      intervals[i] = (lat__interval){.first = first, .last = first + lat_test_below(&random, i % 9 ? 4 : 40)};
      intervals[i].bytes = (uint64_t)(lat_test_below(&random, 9) * (1 + lat_test_below(&random, 100)));
      again[i] = intervals[i];
      again[i].offset = 77; // not read
    }
    uint64_t bytes = lat__layout_place(intervals, N, order), least = lat__layout_least(intervals, N);
    assert_apart(intervals, N, bytes);
    assert_true(bytes >= least);
    wasted += (double)bytes / (double)least - 1.0;
    assert_int_equal(lat__layout_place(again, N, order), bytes);
    for (int i = 0; i < N; i++) assert_true(!again[i].bytes || again[i].offset == intervals[i].offset);
  }
  assert_true(wasted / N_CASES < 0.12);
  assert_int_equal(lat__layout_place(intervals, 0, order), 0);
  assert_int_equal(lat__layout_least(intervals, 0), 0);
  lat__interval three[3] = {{0, 1, 10, 0}, {2, 3, 10, 0}, {1, 2, 5, 0}};
  assert_int_equal(lat__layout_place(three, 3, order), 15);
  assert_int_equal(three[0].offset, three[1].offset);
}

// --- sessions ---------------------------------------------------------------------------------------------------------

static void test_any_order_of_sets(void **state) {
  (void)state;
  static const int64_t counts[] = {600, 3000, 3000, 40, 1500, 3000, 600, 600, 0, 3000};
  for (int kind = 0; kind < N_NETWORKS; kind++) {
    lat_program *program = make_program((network)kind, kind == PLAIN ? LAT_DTYPE_F16 : 0);
    lat_session *session = NULL;
    lat_test_assert_ok(lat_session_create(context, program, &session));
    for (int i = 0; i < (int)(sizeof counts / sizeof *counts); i++) {
      lat_tensor *x = make_input(counts[i], i, (uint64_t)i + 3);
      lat_results *expected = run_unplanned(context, program, x);
      for (int again = 0; again < 3; again++) {
        lat_results *got = run(session, x);
        assert_same_results(got, expected);
        lat_results_release(got);
      }
      lat_results_release(expected);
      lat_tensor_release(x);
    }
    lat_session_destroy(session);
    lat_program_release(program);
  }
}

static void test_arena_is_tight(void **state) {
  (void)state;
  for (int kind = 0; kind < N_NETWORKS; kind++) {
    lat_program *program = make_program((network)kind, 0);
    lat_session *session = NULL;
    lat_tensor *x = make_input(N_ROWS, 0, 1);
    lat_test_assert_ok(lat_session_create(context, program, &session));
    for (int i = 0; i < 3; i++) lat_results_release(run(session, x));
    lat_session_memory memory = lat_session_memory_of(session);
    uint64_t least = lat__layout_least(session->intervals, program->model->n_values + program->n_chains);
    assert_true(least > 0 && memory.arena_bytes >= least);
    assert_true((double)memory.arena_bytes <= 1.1 * (double)least);
    assert_true(memory.arena_bytes < memory.total_bytes / 2);
    assert_true(memory.held_bytes >= memory.arena_bytes && memory.peak_bytes >= memory.live_bytes);
    // The rest of what is held: relations, plans, and results that the next run takes again. A sum of different sets makes
    // its relations on every run.
    double results = (double)N_ROWS * 2 * C * sizeof(float);
    if (kind != JOINED) assert_true((double)memory.held_bytes <= 1.2 * (double)memory.peak_bytes + results);
    lat_session_destroy(session);
    lat_program_release(program);
    lat_tensor_release(x);
  }
}

static void test_arena_stays(void **state) {
  (void)state;
  lat_program *program = make_program(PLAIN, 0);
  lat_session *session = NULL;
  lat_test_assert_ok(lat_session_create(context, program, &session));
  lat_tensor *first = make_input(1000, 0, 1), *equal = make_input(1000, 1, 2), *smaller = make_input(400, 2, 3);
  lat_results_release(run(session, first));
  uint64_t bytes = lat_session_memory_of(session).arena_bytes;
  assert_true(bytes > 0);
  lat_results_release(run(session, equal)); // a new set
  assert_int_equal(lat_session_memory_of(session).arena_bytes, bytes);
  lat_results_release(run(session, smaller));
  assert_int_equal(lat_session_memory_of(session).arena_bytes, bytes);
  assert_true(session->arena_bytes < bytes);
  lat_tensor *larger = make_input(N_ROWS, 3, 4);
  lat_results_release(run(session, larger));
  assert_true(lat_session_memory_of(session).arena_bytes > bytes);
  bytes = lat_session_memory_of(session).arena_bytes;
  lat_results_release(run(session, first));
  assert_int_equal(lat_session_memory_of(session).arena_bytes, bytes);
  lat_session_destroy(session);
  lat_program_release(program);
  lat_tensor_release(first);
  lat_tensor_release(equal);
  lat_tensor_release(smaller);
  lat_tensor_release(larger);
}

static void test_known_sets_allocate_nothing(void **state) {
  (void)state;
  for (int kind = 0; kind < N_NETWORKS; kind++) {
    lat_program *program = make_program((network)kind, 0);
    lat_session *session = NULL;
    lat_tensor *x = make_input(N_ROWS, 0, 1);
    lat_test_assert_ok(lat_session_create(context, program, &session));
    long long n_calls = 0;
    for (int i = 0; i < 6; i++) {
      if (i == (kind == JOINED ? 2 : 1)) n_calls = counter.n_calls; // its sizes are known from a first run
      lat_results_release(run(session, x));
    }
    assert_int_equal(counter.n_calls, n_calls);
    lat_session_destroy(session);
    lat_program_release(program);
    lat_tensor_release(x);
  }
}

// Results of one run stay as they are while others run, and after the session.
static void test_results_stay(void **state) {
  (void)state;
  for (int kind = 0; kind < N_NETWORKS; kind++) {
    lat_program *program = make_program((network)kind, 0);
    lat_session *session = NULL;
    lat_results *held[3], *expected[3];
    lat_test_assert_ok(lat_session_create(context, program, &session));
    for (int i = 0; i < 3; i++) {
      lat_tensor *x = make_input(800 - 100 * i, i, (uint64_t)i + 1);
      expected[i] = run_unplanned(context, program, x);
      held[i] = run(session, x);
      for (int64_t k = 0; k < lat_results_count(held[i]); k++) {
        const lat_tensor *y = lat_results_tensor(held[i], lat_results_name(held[i], k));
        if (y) assert_false(lat__pool_plans(session->pool, lat_tensor_feats(y).data));
      }
      lat_tensor_release(x);
    }
    lat_session_destroy(session);
    for (int i = 0; i < 3; i++) {
      assert_same_results(held[i], expected[i]);
      lat_results_release(held[i]);
      lat_results_release(expected[i]);
    }
    lat_program_release(program);
  }
}

// Something that still lies where a value belongs: the value goes elsewhere, and a longer arena replaces the old one.
static void test_taken_places(void **state) {
  (void)state;
  lat__pool *pool = NULL;
  lat_test_assert_ok(lat__pool_create(context, &pool));
  lat_allocator hooks = lat__pool_hooks(pool);
  const lat__place place = {8192, 64}, beyond = {8192, 1 << 20};
  uint64_t held = 0, arena = 0;
  lat_test_assert_ok(lat__pool_reserve(pool, 64 + lat__place_bytes(8192)));
  lat__pool_bytes(pool, &held, &arena);
  assert_int_equal(arena, 64 + lat__place_bytes(8192));
  lat__pool_aim(pool, &place, 1);
  void *other = hooks.alloc(hooks.user, 4000, 64), *first = hooks.alloc(hooks.user, 8192 + 64, 64);
  void *second = hooks.alloc(hooks.user, 8192 + 64, 64); // the place was for one request
  lat__pool_aim(pool, &place, 1);
  void *third = hooks.alloc(hooks.user, 8192 + 64, 64); // and it is taken
  lat__pool_aim(pool, &beyond, 1);
  void *fourth = hooks.alloc(hooks.user, 8192, 64);
  assert_true(lat__pool_plans(pool, first));
  assert_false(lat__pool_plans(pool, other) || lat__pool_plans(pool, second) || lat__pool_plans(pool, third) ||
               lat__pool_plans(pool, fourth));
  lat_test_assert_ok(lat__pool_reserve(pool, 1 << 16));
  assert_false(lat__pool_plans(pool, first)); // of the arena before
  memset(first, 1, 8192);
  hooks.free(hooks.user, first, 8192 + 64);
  lat__pool_aim(pool, &place, 1);
  first = hooks.alloc(hooks.user, 8192, 64);
  assert_true(lat__pool_plans(pool, first));
  hooks.free(hooks.user, other, 4000);
  hooks.free(hooks.user, second, 8192 + 64);
  hooks.free(hooks.user, third, 8192 + 64);
  lat__pool_close(pool);
  memset(first, 2, 8192);
  hooks.free(hooks.user, first, 8192); // after the owner
  hooks.free(hooks.user, fourth, 8192);
}

// --- threads ----------------------------------------------------------------------------------------------------------

enum { N_THREADS = 6 };

/// One thread's model and sets, with a context of its own.
typedef struct worker {
  const lat_program *program;
  lat_tensor *inputs[3];
  lat_results *results[3];
} worker;

static void *work(void *argument) {
  worker *w = argument;
  lat_context *own = NULL;
  lat_session *sessions[2] = {NULL, NULL};
  lat_context_opts opts = LAT_CONTEXT_OPTS_INIT;
  opts.n_threads = 2;
  if (lat_context_create(&opts, &own)) return NULL;
  for (int i = 0; i < 2; i++) {
    if (lat_session_create(own, w->program, &sessions[i])) return NULL;
  }
  for (int i = 0; i < 6; i++) { // two sessions of a context by turns
    lat_results_release(w->results[i % 3]);
    w->results[i % 3] = run(sessions[i % 2], w->inputs[i % 3]);
  }
  for (int i = 0; i < 2; i++) lat_session_destroy(sessions[i]);
  lat_context_destroy(own);
  return w;
}

static void test_models_in_threads(void **state) {
  (void)state;
  lat_program *programs[3];
  lat_tensor *inputs[3];
  pthread_t threads[N_THREADS];
  worker workers[N_THREADS];
  for (int i = 0; i < 3; i++) {
    programs[i] = make_program((network)i, 0);
    inputs[i] = make_input(500 + 300 * i, i, (uint64_t)i + 1); // shared by all threads
  }
  for (int i = 0; i < N_THREADS; i++) {
    workers[i] = (worker){programs[i % 3], {inputs[0], inputs[1], inputs[2]}, {NULL, NULL, NULL}};
    assert_int_equal(pthread_create(&threads[i], NULL, work, &workers[i]), 0);
  }
  for (int i = 0; i < N_THREADS; i++) {
    void *done = NULL;
    pthread_join(threads[i], &done);
    assert_ptr_equal(done, &workers[i]);
    for (int k = 0; k < 3; k++) {
      lat_results *expected = run_unplanned(context, programs[i % 3], inputs[k]);
      assert_same_results(workers[i].results[k], expected);
      lat_results_release(expected);
      lat_results_release(workers[i].results[k]);
    }
  }
  for (int i = 0; i < 3; i++) {
    lat_program_release(programs[i]);
    lat_tensor_release(inputs[i]);
  }
}

int main(void) {
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
  const struct CMUnitTest tests[] = {
      TEST(test_layout),       TEST(test_any_order_of_sets),           TEST(test_arena_is_tight),
      TEST(test_arena_stays),  TEST(test_known_sets_allocate_nothing), TEST(test_results_stay),
      TEST(test_taken_places), TEST(test_models_in_threads),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
