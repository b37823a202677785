// Relations of sets that several threads share, against the naive reference: pairs that cross from one thread's outputs
// into another's, sets of few slabs, kernels of every extent along z.
// covers: lat_relation_create_forward lat_relation_edges
#include "support/test_support.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include <lattice/lattice.h>

#include "core/context_internal.h"
#include "ref/ref_relation.h"

#define N_CONTEXTS 3

static const int32_t thread_counts[N_CONTEXTS] = {1, 2, 5};
static lat_context *contexts[N_CONTEXTS];

static int set_up(void **state) {
  (void)state;
  for (int i = 0; i < N_CONTEXTS; i++) {
    lat_context_opts opts = LAT_CONTEXT_OPTS_INIT;
    opts.n_threads = thread_counts[i];
    if (lat_context_create(&opts, &contexts[i])) return 1;
    contexts[i]->deals_rows = i > 0; // the same edges either way
  }
  return 0;
}

static int tear_down(void **state) {
  (void)state;
  for (int i = 0; i < N_CONTEXTS; i++) lat_context_destroy(contexts[i]);
  return 0;
}

/// A box around the origin of which a share is filled, in random order or ascending.
typedef struct box {
  int32_t x, y, z, filled_of_8;
  bool ascends;
} box;

static int32_t *make_rows(const box *b, int64_t *n) {
  int32_t *rows = malloc(sizeof *rows * 4 * (size_t)(b->x * b->y * b->z));
  uint32_t words[4];
  *n = 0;
  for (int32_t cell = 0; cell < b->x * b->y * b->z; cell++) {
    lat_random_block(7, 78, (uint64_t)cell, words);
    if ((int32_t)(words[0] % 8) >= b->filled_of_8) continue;
    int32_t row[4] = {0, cell / (b->y * b->z) - b->x / 2, cell / b->z % b->y - b->y / 2, cell % b->z - b->z / 2};
    int64_t at = b->ascends ? *n : (int64_t)(words[1] % (uint32_t)(*n + 1)); // the row there moves to the end
    memcpy(rows + 4 * *n, rows + 4 * at, sizeof row);
    memcpy(rows + 4 * at, row, sizeof row);
    (*n)++;
  }
  return rows;
}

static void check(const box *b, lat_triple size, lat_triple stride, lat_triple dilation) {
  const int32_t sizes[3] = {size.x, size.y, size.z}, strides[3] = {stride.x, stride.y, stride.z};
  const int32_t paddings[3] = {0}, dilations[3] = {dilation.x, dilation.y, dilation.z};
  int64_t n = 0;
  int32_t *rows = make_rows(b, &n), *out = malloc(sizeof *out * 4 * (size_t)n);
  int64_t n_out = ref_floor_support(rows, n, strides, out);
  ref_edges *expected = ref_relation_edges(rows, n, out, n_out, sizes, strides, paddings, dilations);
  size_t bytes = (size_t)expected->n * sizeof(int32_t);
  lat_kernel_opts opts = LAT_KERNEL_OPTS_INIT;
  opts.kernel_size = size;
  opts.stride = stride;
  opts.dilation = dilation;
  for (int i = 0; i < N_CONTEXTS; i++) {
    lat_array_view view = lat_view_2d(rows, LAT_DTYPE_I32, n, 4);
    lat_coords *coords = NULL;
    lat_relation *relation = NULL;
    lat_relation_edge_list edges;
    lat_test_assert_ok(lat_coords_create(contexts[i], &view, NULL, &coords));
    lat_test_assert_ok(lat_relation_create_forward(contexts[i], coords, &opts, &relation));
    lat_test_assert_ok(lat_relation_edges(contexts[i], relation, &edges));
    assert_int_equal(edges.n_edges, expected->n);
    assert_memory_equal(edges.in_rows, expected->in, bytes);
    assert_memory_equal(edges.out_rows, expected->out, bytes);
    assert_memory_equal(edges.kernel_ids, expected->kernel, bytes);
    lat_relation_release(relation);
    lat_coords_release(coords);
  }
  ref_edges_free(expected);
  free(rows);
  free(out);
}

#define ONE ((lat_triple){1, 1, 1})

static void test_shapes(void **state) {
  static const box boxes[] = {
      {40, 40, 40, 3, false},  // scattered
      {40, 30, 10, 8, true},   // full, ascending
      {1, 120, 100, 8, false}, // one slab: the kernel's others meet nothing
      {2, 80, 80, 7, false},   // two slabs: an output's partners are half the set away
      {6000, 2, 2, 5, true},   // many short slabs
      {3, 3, 1500, 6, false},  // long columns
  };
  (void)state;
  for (size_t i = 0; i < sizeof boxes / sizeof boxes[0]; i++) check(&boxes[i], (lat_triple){3, 3, 3}, ONE, ONE);
}

static void test_kernels(void **state) {
  static const box scattered = {40, 40, 40, 2, false}, dense = {30, 30, 12, 7, true};
  static const lat_triple sizes[] = {{1, 1, 1}, {2, 2, 2}, {3, 1, 5}, {1, 3, 1},
                                     {3, 3, 8}, {3, 3, 9}, {5, 5, 5}, {4, 3, 2}};
  (void)state;
  for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
    check(&scattered, sizes[i], ONE, ONE);
    check(&dense, sizes[i], (lat_triple){2, 1, 3}, ONE);
  }
  check(&dense, (lat_triple){7, 7, 7}, (lat_triple){4, 4, 4}, ONE);
}

static void test_dilation(void **state) {
  static const box scattered = {40, 40, 40, 2, false}, dense = {30, 30, 12, 7, true};
  static const lat_triple dilations[] = {{2, 2, 2}, {1, 1, 3}, {3, 2, 4}, {1, 5, 1}};
  (void)state;
  for (size_t i = 0; i < sizeof dilations / sizeof dilations[0]; i++) {
    check(&scattered, (lat_triple){3, 3, 3}, ONE, dilations[i]);
    check(&dense, (lat_triple){3, 2, 3}, (lat_triple){1, 2, 2}, dilations[i]);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_shapes),
      cmocka_unit_test(test_kernels),
      cmocka_unit_test(test_dilation),
  };
  return cmocka_run_group_tests_name("prop_relation_large", tests, set_up, tear_down);
}
