// Implicit-GEMM views: against the naive reference for every kind that has them, masks with bit 31 and of several words,
// and what is refused.
// null arguments: lat_relation_implicit_gemm lat_relation_sorted_implicit_gemm
// covers: lat_relation_implicit_gemm lat_relation_sorted_implicit_gemm lat_relation_create_target_transposed
#include "support/test_support.h"

#include <string.h>

#include <lattice/lattice.h>

#include "ref/ref_gemm_views.h"
#include "ref/ref_transposed.h"

#define MAX_ROWS 700

static lat_context *context, *threaded;

static int set_up(void **state) {
  (void)state;
  lat_context_opts opts = LAT_CONTEXT_OPTS_INIT;
  opts.n_threads = 5;
  return lat_context_create(NULL, &context) || lat_context_create(&opts, &threaded);
}

static int tear_down(void **state) {
  (void)state;
  lat_context_destroy(context);
  lat_context_destroy(threaded);
  return 0;
}

static lat_coords *make_coords(const int32_t *rows, int64_t n) {
  lat_array_view view = lat_view_2d(rows, LAT_DTYPE_I32, n, 4);
  lat_coords *coords = NULL;
  lat_test_assert_ok(lat_coords_create(context, &view, NULL, &coords));
  return coords;
}

static uint32_t draw(uint64_t seed, uint64_t *n, uint32_t bound) {
  uint32_t words[4];
  lat_random_block(seed, 7, (*n)++, words);
  return words[0] % bound;
}

static void assert_same(const int32_t *got, const int32_t *expected, int64_t n) {
  assert_memory_equal(got, expected, (size_t)n * sizeof(int32_t));
}

/// Both views, twice: the second time they are the same arrays.
static void assert_views(const lat_relation *relation, const ref_edges *edges, int64_t n_out, int64_t n_kernels) {
  ref_gemm_views *expected = ref_gemm_views_create(edges, n_out, n_kernels);
  lat_implicit_gemm gemm, again;
  lat_test_assert_ok(lat_relation_implicit_gemm(threaded, relation, &gemm));
  lat_test_assert_ok(lat_relation_implicit_gemm(context, relation, &again));
  assert_ptr_equal(gemm.out_in_map, again.out_in_map);
  assert_ptr_equal(gemm.row_masks, again.row_masks);
  assert_int_equal(gemm.n_out, n_out);
  assert_int_equal(gemm.n_kernels, n_kernels);
  assert_int_equal(gemm.n_words, expected->n_words);
  assert_same(gemm.out_in_map, expected->map, n_out * n_kernels);
  assert_same(gemm.row_masks, expected->masks, n_out * expected->n_words);
  lat_sorted_implicit_gemm sorted, sorted_again;
  if (n_kernels > 32) {
    memset(&sorted, 0xFF, sizeof sorted);
    lat_test_assert_error(lat_relation_sorted_implicit_gemm(context, relation, &sorted), LAT_STATUS_INVALID_ARGUMENT,
                          "at most 32 kernel elements can be sorted: got");
    assert_null(sorted.reorder_rows);
    assert_int_equal(sorted.n_out, 0);
  } else {
    lat_test_assert_ok(lat_relation_sorted_implicit_gemm(threaded, relation, &sorted));
    lat_test_assert_ok(lat_relation_sorted_implicit_gemm(context, relation, &sorted_again));
    assert_ptr_equal(sorted.reorder_rows, sorted_again.reorder_rows);
    assert_int_equal(sorted.n_out, n_out);
    assert_int_equal(sorted.n_kernels, n_kernels);
    assert_int_equal(sorted.n_tile_masks, 4 * expected->n_tiles);
    assert_same(sorted.reorder_rows, expected->order, n_out);
    assert_same(sorted.sorted_out_in_map, expected->sorted_map, n_out * n_kernels);
    assert_same(sorted.sorted_kv_out_in_map, expected->sorted_transpose, n_out * n_kernels);
    assert_same(sorted.tile_masks, expected->tiles, 4 * expected->n_tiles);
  }
  ref_gemm_views_free(expected);
}

typedef struct geometry {
  int32_t size[3], stride[3], padding[3], dilation[3];
} geometry;

static lat_triple triple_of(const int32_t *values) {
  return (lat_triple){values[0], values[1], values[2]};
}

static lat_kernel_opts opts_of(const geometry *g) {
  lat_kernel_opts opts = LAT_KERNEL_OPTS_INIT;
  opts.kernel_size = triple_of(g->size);
  opts.stride = triple_of(g->stride);
  opts.padding = triple_of(g->padding);
  opts.dilation = triple_of(g->dilation);
  return opts;
}

static int64_t volume_of(const geometry *g) {
  return (int64_t)g->size[0] * g->size[1] * g->size[2];
}

static void check_target(const int32_t *in, int64_t n_in, const int32_t *out, int64_t n_out, const geometry *g) {
  lat_kernel_opts opts = opts_of(g);
  lat_coords *input = make_coords(in, n_in), *target = make_coords(out, n_out);
  lat_relation *relation = NULL;
  lat_test_assert_ok(lat_relation_create_target(context, input, target, &opts, &relation));
  ref_edges *edges = ref_relation_edges(in, n_in, out, n_out, g->size, g->stride, g->padding, g->dilation);
  assert_views(relation, edges, n_out, volume_of(g));
  ref_edges_free(edges);
  lat_relation_release(relation);
  lat_test_assert_ok(lat_relation_create_target_transposed(context, input, target, &opts, &relation));
  ref_transposed_geometry transposed;
  memcpy(&transposed, g, sizeof transposed);
  edges = ref_target_transposed_edges(in, n_in, out, n_out, &transposed);
  assert_views(relation, edges, n_out, volume_of(g));
  ref_edges_free(edges);
  lat_relation_release(relation);
  lat_coords_release(input);
  lat_coords_release(target);
}

static void check_forward(const int32_t *in, int64_t n_in, const geometry *g) {
  static int32_t out[4 * MAX_ROWS];
  lat_kernel_opts opts = opts_of(g);
  lat_coords *input = make_coords(in, n_in);
  lat_relation *relation = NULL;
  lat_test_assert_ok(lat_relation_create_forward(context, input, &opts, &relation));
  bool keeps = g->stride[0] * g->stride[1] * g->stride[2] == 1 && !g->padding[0] && !g->padding[1] && !g->padding[2];
  int64_t n_out = keeps ? n_in : ref_floor_support(in, n_in, g->stride, out);
  ref_edges *edges = ref_relation_edges(in, n_in, keeps ? in : out, n_out, g->size, g->stride, g->padding, g->dilation);
  assert_views(relation, edges, n_out, volume_of(g));
  ref_edges_free(edges);
  lat_relation_release(relation);
  lat_coords_release(input);
}

static void random_relations_match_the_reference(void **state) {
  (void)state;
  static int32_t in[4 * MAX_ROWS], out[4 * MAX_ROWS];
  static const int32_t sizes[] = {1, 2, 3, 3, 4};
  for (uint64_t seed = 1; seed <= 60; seed++) {
    uint64_t n = 0;
    int64_t n_in = draw(seed, &n, seed % 6 ? 200 : MAX_ROWS + 1), n_out = draw(seed, &n, 150);
    uint32_t extent = 2 + draw(seed, &n, 9);
    for (int64_t i = 0; i < 4 * n_in; i++) in[i] = (int32_t)draw(seed, &n, i % 4 ? extent : 2) - (i % 4 ? 3 : 0);
    for (int64_t i = 0; i < 4 * n_out; i++) out[i] = (int32_t)draw(seed, &n, i % 4 ? extent : 2) - (i % 4 ? 3 : 0);
    geometry g;
    for (int axis = 0; axis < 3; axis++) {
      g.size[axis] = sizes[draw(seed, &n, 5)];
      g.stride[axis] = 1 + (int32_t)draw(seed, &n, 2);
      g.padding[axis] = draw(seed, &n, 3) == 0;
      g.dilation[axis] = 1 + (draw(seed, &n, 3) == 0);
    }
    check_target(in, n_in, out, n_out, &g);
    check_forward(in, n_in, &g);
  }
}

// Rows 0 and 1 have a neighbour under the last of 32 elements: as signed numbers their masks sort before row 2's.
static void bit_31_makes_a_mask_negative(void **state) {
  (void)state;
  static const int32_t rows[] = {0, 0, 0, 0, 0, 3, 3, 1, 0, 6, 6, 2};
  static const int32_t masks[] = {INT32_MIN + 1, INT32_MIN + 1, 1}, order[] = {0, 1, 2};
  static const int32_t tiles[] = {INT32_MIN + 1, 0, 0, 0};
  geometry g = {{4, 4, 2}, {1, 1, 1}, {0, 0, 0}, {1, 1, 1}};
  lat_kernel_opts opts = opts_of(&g);
  lat_coords *coords = make_coords(rows, 3);
  lat_relation *relation = NULL;
  lat_implicit_gemm gemm;
  lat_sorted_implicit_gemm sorted;
  lat_test_assert_ok(lat_relation_create_forward(context, coords, &opts, &relation));
  lat_test_assert_ok(lat_relation_implicit_gemm(context, relation, &gemm));
  lat_test_assert_ok(lat_relation_sorted_implicit_gemm(context, relation, &sorted));
  assert_memory_equal(gemm.row_masks, masks, sizeof masks);
  assert_memory_equal(sorted.reorder_rows, order, sizeof order);
  assert_memory_equal(sorted.tile_masks, tiles, sizeof tiles);
  check_forward(rows, 3, &g);
  lat_relation_release(relation);
  lat_coords_release(coords);
}

static void kinds_with_several_inputs_are_refused(void **state) {
  (void)state;
  static const int32_t rows[] = {0, 0, 0, 0, 0, 1, 0, 0};
  lat_coords_opts coarse = LAT_COORDS_OPTS_INIT;
  lat_array_view view = lat_view_2d(rows, LAT_DTYPE_I32, 2, 4);
  lat_coords *coords = NULL;
  lat_relation *relation = NULL;
  lat_implicit_gemm gemm;
  lat_sorted_implicit_gemm sorted;
  coarse.stride = lat_triple_all(2);
  lat_test_assert_ok(lat_coords_create(context, &view, &coarse, &coords));
  for (int i = 0; i < 2; i++) {
    const char *text = i ? "implicit GEMM needs a forward, submanifold or target relation: got a generative one"
                         : "implicit GEMM needs a forward, submanifold or target relation: got a transposed one";
    lat_test_assert_ok(i ? lat_relation_create_generative(context, coords, NULL, &relation)
                         : lat_relation_create_transposed(context, coords, NULL, &relation));
    memset(&gemm, 0xFF, sizeof gemm);
    memset(&sorted, 0xFF, sizeof sorted);
    lat_test_assert_error(lat_relation_implicit_gemm(context, relation, &gemm), LAT_STATUS_INVALID_ARGUMENT, text);
    lat_test_assert_error(lat_relation_sorted_implicit_gemm(context, relation, &sorted), LAT_STATUS_INVALID_ARGUMENT,
                          text);
    assert_null(gemm.out_in_map);
    assert_null(sorted.reorder_rows);
    lat_relation_release(relation);
  }
  lat_coords_release(coords);
}

static void null_arguments_are_refused(void **state) {
  (void)state;
  static const int32_t row[] = {0, 0, 0, 0};
  lat_coords *coords = make_coords(row, 1);
  lat_relation *relation = NULL;
  lat_implicit_gemm gemm;
  lat_sorted_implicit_gemm sorted;
  lat_test_assert_ok(lat_relation_create_subm(context, coords, NULL, &relation));
  lat_test_assert_error(lat_relation_implicit_gemm(NULL, relation, &gemm), LAT_STATUS_INVALID_ARGUMENT, "context: got");
  lat_test_assert_error(lat_relation_implicit_gemm(context, NULL, &gemm), LAT_STATUS_INVALID_ARGUMENT, "relation: got");
  lat_test_assert_error(lat_relation_implicit_gemm(context, relation, NULL), LAT_STATUS_INVALID_ARGUMENT, "out: got");
  lat_test_assert_error(lat_relation_sorted_implicit_gemm(NULL, relation, &sorted), LAT_STATUS_INVALID_ARGUMENT,
                        "context: got");
  lat_test_assert_error(lat_relation_sorted_implicit_gemm(context, NULL, &sorted), LAT_STATUS_INVALID_ARGUMENT,
                        "relation: got");
  lat_test_assert_error(lat_relation_sorted_implicit_gemm(context, relation, NULL), LAT_STATUS_INVALID_ARGUMENT,
                        "out: got");
  lat_relation_release(relation);
  lat_coords_release(coords);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(random_relations_match_the_reference),
      cmocka_unit_test(bit_31_makes_a_mask_negative),
      cmocka_unit_test(kinds_with_several_inputs_are_refused),
      cmocka_unit_test(null_arguments_are_refused),
  };
  return cmocka_run_group_tests(tests, set_up, tear_down);
}
