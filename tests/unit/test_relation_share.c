// Kernel relations as shared objects: the cache on the input set, lifetimes, threads, and the edges of real scenes.
// covers: lat_relation_create_forward lat_relation_create_target lat_relation_create_subm
#include "support/test_support.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <lattice/lattice.h>

#include "coords/coords_internal.h"
#include "support/test_allocator.h"

#define N_ROWS 2000

static int32_t rows[N_ROWS][4];

static int fill_rows(void **state) {
  (void)state;
  for (int32_t i = 0; i < N_ROWS; i++) {
    const int32_t row[4] = {i / 1000, i / 100 % 10 - 7, i / 10 % 10, i % 10 - 5}; // two full cubes
    memcpy(rows[i], row, sizeof row);
  }
  return 0;
}

static lat_coords *make_coords(lat_context *context, int64_t n) {
  lat_array_view view = lat_view_2d(rows, LAT_DTYPE_I32, n, 4);
  lat_coords *coords = NULL;
  lat_test_assert_ok(lat_coords_create(context, &view, NULL, &coords));
  return coords;
}

static lat_kernel_opts opts_of(int32_t size, int32_t stride, int32_t padding, int32_t dilation) {
  lat_kernel_opts opts = LAT_KERNEL_OPTS_INIT;
  opts.kernel_size = lat_triple_all(size);
  opts.stride = lat_triple_all(stride);
  opts.padding = lat_triple_all(padding);
  opts.dilation = lat_triple_all(dilation);
  return opts;
}

static lat_relation *forward(lat_context *context, const lat_coords *coords, lat_kernel_opts opts) {
  lat_relation *relation = NULL;
  lat_test_assert_ok(lat_relation_create_forward(context, coords, &opts, &relation));
  return relation;
}

static void asking_twice_gives_the_same_relation(void **state) {
  (void)state;
  lat_test_allocator counter = {0};
  lat_context *context = lat_test_context_create(&counter, 1);
  lat_coords *coords = make_coords(context, N_ROWS), *twin = make_coords(context, N_ROWS);
  lat_coords *target = make_coords(context, 10), *other_target = make_coords(context, 10);
  lat_relation *a = NULL, *b = NULL, *c = NULL;
  lat_kernel_opts opts = opts_of(3, 0, 0, 0);
  lat_test_assert_ok(lat_relation_create_subm(context, coords, NULL, &a)); // defaults and their values are one
  lat_test_assert_ok(lat_relation_create_subm(context, coords, &opts, &b));
  lat_test_assert_ok(lat_relation_create_subm(context, twin, &opts, &c)); // equal rows, another identity
  assert_ptr_equal(a, b);
  assert_ptr_not_equal(a, c);
  lat_relation_release(a);
  lat_relation_release(b);
  lat_relation_release(c);
  a = forward(context, coords, opts_of(2, 2, 0, 1));
  b = forward(context, coords, opts_of(2, 2, 0, 1));
  c = forward(context, coords, opts_of(2, 2, 1, 1));
  assert_ptr_equal(a, b);
  assert_ptr_not_equal(a, c);
  lat_relation_release(a);
  lat_relation_release(b);
  lat_relation_release(c);
  lat_test_assert_ok(lat_relation_create_target(context, coords, target, NULL, &a));
  lat_test_assert_ok(lat_relation_create_target(context, coords, target, NULL, &b));
  lat_test_assert_ok(lat_relation_create_target(context, coords, other_target, NULL, &c));
  assert_ptr_equal(a, b);
  assert_ptr_not_equal(a, c);
  lat_relation_release(a);
  lat_relation_release(b);
  lat_relation_release(c);
  lat_coords_release(other_target);
  lat_coords_release(target);
  lat_coords_release(twin);
  lat_coords_release(coords);
  lat_test_context_finish(context, &counter); // no reference cycle keeps anything
}

// Every geometry with the same stride has one output identity, whatever asks for it.
static void equal_strides_share_one_support(void **state) {
  (void)state;
  static float feats[N_ROWS];
  lat_test_allocator counter = {0};
  lat_context *context = lat_test_context_create(&counter, 2);
  lat_coords *coords = make_coords(context, N_ROWS);
  lat_array_view view = lat_view_2d(feats, LAT_DTYPE_F32, N_ROWS, 1);
  lat_tensor *x = NULL, *pooled = NULL, *pooled_again = NULL;
  lat_kernel_opts big = opts_of(3, 2, 1, 2);
  lat_relation *a = forward(context, coords, opts_of(2, 2, 0, 1)), *b = forward(context, coords, big);
  assert_ptr_not_equal(a, b);
  assert_non_null(lat_relation_out_coords(a));
  assert_ptr_equal(lat_relation_out_coords(a), lat_relation_out_coords(b));
  lat_test_assert_ok(lat_tensor_create(context, coords, &view, NULL, &x));
  lat_test_assert_ok(lat_pool3d(context, x, LAT_POOL_MAX, NULL, &pooled)); // 2x2x2, stride 2
  lat_test_assert_ok(lat_pool3d(context, x, LAT_POOL_SUM, &big, &pooled_again));
  assert_true(lat_tensor_same_coords(pooled, pooled_again));
  assert_ptr_equal(lat_tensor_coords(pooled), lat_relation_out_coords(a));
  lat_tensor_release(x);
  lat_tensor_release(pooled);
  lat_tensor_release(pooled_again);
  lat_relation_release(a);
  lat_relation_release(b);
  lat_coords_release(coords);
  lat_test_context_finish(context, &counter);
}

static void the_cache_is_bounded(void **state) {
  (void)state;
  lat_test_allocator counter = {0};
  lat_context *context = lat_test_context_create(&counter, 1);
  lat_coords *coords = make_coords(context, 50);
  lat_relation *first = forward(context, coords, opts_of(1, 1, 0, 1)), *kept = NULL;
  for (int32_t dilation = 2; dilation < 3 * LAT__COORDS_CACHE_SLOTS; dilation++) {
    lat_relation *relation = forward(context, coords, opts_of(3, 1, 0, dilation));
    if (dilation == 5) kept = lat_relation_retain(relation);
    lat_relation_release(relation);
  }
  assert_int_equal(coords->n_entries, LAT__COORDS_CACHE_SLOTS);
  lat_relation *again = forward(context, coords, opts_of(1, 1, 0, 1));
  assert_ptr_not_equal(again, first); // gone from the cache, alive in our hands
  assert_int_equal(lat_relation_n_edges(first), lat_relation_n_edges(again));
  assert_true(lat_relation_n_edges(kept) >= 50);
  lat_relation_release(again);
  lat_relation_release(first);
  lat_relation_release(kept);
  lat_coords_release(coords);
  lat_test_context_finish(context, &counter);
}

static void relations_and_sets_outlive_each_other(void **state) {
  (void)state;
  lat_test_allocator counter = {0};
  lat_context *context = lat_test_context_create(&counter, 1);
  lat_relation_edge_list edges;
  lat_coords *coords = make_coords(context, N_ROWS), *target = make_coords(context, N_ROWS / 2);
  lat_relation *strided = forward(context, coords, opts_of(2, 2, 0, 1)), *onto = NULL;
  lat_test_assert_ok(lat_relation_create_target(context, coords, target, NULL, &onto));
  lat_coords_release(target); // the relation does not hold it
  lat_coords_release(coords);
  lat_context_destroy(context); // objects made with a context outlive it
  lat_context *other = NULL;
  lat_test_assert_ok(lat_context_create(NULL, &other));
  lat_test_assert_ok(lat_relation_edges(other, strided, &edges));
  assert_int_equal(edges.n_edges, N_ROWS);
  lat_test_assert_ok(lat_relation_edges(other, onto, &edges));
  assert_true(edges.n_edges > 0);
  const lat_coords *made = lat_relation_out_coords(strided);
  assert_int_equal(lat_coords_count(made), lat_relation_n_out(strided));
  lat_coords *held = lat_coords_retain(made);
  lat_relation_release(strided);
  lat_relation_release(onto);
  assert_true(lat_coords_count(held) > 0); // the output set outlives its relation
  lat_coords_release(held);
  lat_context_destroy(other);
  assert_int_equal(atomic_load(&counter.live_blocks), 0);
}

typedef struct sharer {
  pthread_t thread;
  const lat_coords *coords;
  const lat_coords *made; // out: borrowed from a relation that the set's cache keeps
  int64_t n_edges, n_groups, n_neighbors;
  lat_status status;
} sharer;

static lat_status use_shared(lat_context *context, sharer *self) {
  lat_kernel_opts strided = opts_of(3, 2, 0, 1);
  lat_radius_opts radius = LAT_RADIUS_OPTS_INIT;
  lat_array_view view = lat_coords_rows(self->coords);
  lat_array *found = NULL;
  lat_relation *subm = NULL, *down = NULL;
  lat_neighbors *neighbors = NULL;
  lat_relation_edge_list edges;
  lat_relation_csr csr;
  radius.radius = 1;
  lat_status status = lat_coords_lookup(context, self->coords, &view, &found);
  if (!status) status = lat_relation_create_subm(context, self->coords, NULL, &subm);
  if (!status) status = lat_relation_edges(context, subm, &edges);
  if (!status) self->n_edges = edges.n_edges;
  if (!status) status = lat_relation_group_edges(context, subm, LAT_RELATION_BY_INPUT, &csr);
  if (!status) self->n_groups = csr.n_groups;
  if (!status) status = lat_relation_create_forward(context, self->coords, &strided, &down);
  if (!status) self->made = lat_relation_out_coords(down);
  if (!status) status = lat_neighbors_create_radius(context, self->coords, NULL, &radius, &neighbors);
  if (!status) self->n_neighbors = lat_neighbors_edges(neighbors).n_edges;
  lat_array_release(found);
  lat_relation_release(subm);
  lat_relation_release(down);
  lat_neighbors_release(neighbors);
  return status;
}

static void *run_sharer(void *arg) {
  sharer *self = arg;
  lat_context_opts opts = LAT_CONTEXT_OPTS_INIT;
  lat_context *context = NULL;
  opts.n_threads = 1; // the threads of this test are the ones that matter
  self->status = lat_context_create(&opts, &context);
  for (int round = 0; round < 3 && !self->status; round++) self->status = use_shared(context, self);
  lat_context_destroy(context);
  return NULL;
}

// Several threads, each with its own context, use one set at the same time.
static void threads_share_a_set(void **state) {
  (void)state;
  enum { N_THREADS = 4, N_REPEATS = 5 };
  lat_context *context = NULL;
  lat_test_assert_ok(lat_context_create(NULL, &context));
  for (int repeat = 0; repeat < N_REPEATS; repeat++) {
    sharer sharers[N_THREADS];
    lat_coords *coords = make_coords(context, N_ROWS);
    memset(sharers, 0, sizeof sharers);
    for (int t = 0; t < N_THREADS; t++) {
      sharers[t].coords = coords;
      assert_int_equal(pthread_create(&sharers[t].thread, NULL, run_sharer, &sharers[t]), 0);
    }
    for (int t = 0; t < N_THREADS; t++) pthread_join(sharers[t].thread, NULL);
    for (int t = 0; t < N_THREADS; t++) {
      assert_int_equal(sharers[t].status, LAT_STATUS_OK);
      assert_int_equal(sharers[t].n_edges, sharers[0].n_edges);
      assert_int_equal(sharers[t].n_groups, N_ROWS);
      assert_int_equal(sharers[t].n_neighbors, sharers[0].n_neighbors);
      assert_ptr_equal(sharers[t].made, sharers[0].made);
    }
    assert_true(sharers[0].n_edges > N_ROWS);
    lat_coords_release(coords);
  }
  lat_context_destroy(context);
}

static lat_coords *read_scene(lat_context *context, const char *name) {
  char path[1024];
  int32_t n = 0;
  if (!lat_test_shared_path(name, path, sizeof path)) return NULL;
  FILE *file = fopen(path, "rb");
  assert_non_null(file);
  assert_int_equal(fread(&n, sizeof n, 1, file), 1);
  int32_t *scene = calloc((size_t)n, 4 * sizeof(int32_t));
  for (int32_t r = 0; r < n; r++) assert_int_equal(fread(scene + 4 * (int64_t)r + 1, sizeof(int32_t), 3, file), 3);
  fclose(file);
  lat_array_view view = lat_view_2d(scene, LAT_DTYPE_I32, n, 4);
  lat_coords *coords = NULL;
  lat_test_assert_ok(lat_coords_create(context, &view, NULL, &coords));
  free(scene);
  return coords;
}

static void check_scene(const char *name, int64_t subm_edges, int64_t strided_rows) {
  lat_context *context = NULL;
  lat_test_assert_ok(lat_context_create(NULL, &context));
  lat_coords *coords = read_scene(context, name);
  if (!coords) {
    lat_context_destroy(context);
    skip();
  }
  lat_relation *subm = NULL, *strided = forward(context, coords, opts_of(2, 2, 0, 1));
  lat_test_assert_ok(lat_relation_create_subm(context, coords, NULL, &subm));
  assert_int_equal(lat_relation_n_edges(subm), subm_edges);
  assert_int_equal(lat_relation_n_out(strided), strided_rows);
  assert_int_equal(lat_relation_n_edges(strided), lat_coords_count(coords)); // every row has one parent
  lat_relation_release(subm);
  lat_relation_release(strided);
  lat_coords_release(coords);
  lat_context_destroy(context);
}

static void the_street_scene_has_its_known_edges(void **state) {
  (void)state;
  check_scene("bench/cpu_lidar.bin", 541927, 43430);
}

static void the_indoor_scene_has_its_known_edges(void **state) {
  (void)state;
  check_scene("bench/cpu_indoor.bin", 2756877, 49200);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(asking_twice_gives_the_same_relation),
      cmocka_unit_test(equal_strides_share_one_support),
      cmocka_unit_test(the_cache_is_bounded),
      cmocka_unit_test(relations_and_sets_outlive_each_other),
      cmocka_unit_test(threads_share_a_set),
      cmocka_unit_test(the_street_scene_has_its_known_edges),
      cmocka_unit_test(the_indoor_scene_has_its_known_edges),
  };
  return cmocka_run_group_tests(tests, fill_rows, NULL);
}
