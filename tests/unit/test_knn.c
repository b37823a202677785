// Nearest neighbours: against the naive reference, at the ends of the ranges, and what is refused.
// null arguments: lat_neighbors_create_knn
// covers: lat_neighbors_create_knn lat_gather_neighbor_features
#include "support/test_support.h"

#include <string.h>

#include <lattice/lattice.h>

#include "ref/ref_neighbors.h"

static lat_context *context;

static int set_up(void **state) {
  (void)state;
  return lat_context_create(NULL, &context) != LAT_STATUS_OK;
}

static int tear_down(void **state) {
  (void)state;
  lat_context_destroy(context);
  return 0;
}

static lat_coords *make_coords(const int32_t *rows, int64_t n, int32_t stride) {
  lat_array_view view = lat_view_2d(rows, LAT_DTYPE_I32, n, 4);
  lat_coords_opts opts = LAT_COORDS_OPTS_INIT;
  lat_coords *coords = NULL;
  opts.stride = lat_triple_all(stride);
  lat_test_assert_ok(lat_coords_create(context, &view, &opts, &coords));
  return coords;
}

static lat_neighbors *query(lat_context *own, const lat_coords *sources, const lat_coords *queries, int64_t k) {
  lat_knn_opts opts = LAT_KNN_OPTS_INIT;
  lat_neighbors *neighbors = NULL;
  opts.k = k;
  lat_test_assert_ok(lat_neighbors_create_knn(own, sources, queries, &opts, &neighbors));
  assert_non_null(neighbors);
  return neighbors;
}

static void assert_equals_list(lat_neighbor_list got, const ref_neighbors *expected, int64_t n_queries) {
  size_t bytes = (size_t)expected->n * 4;
  assert_int_equal(got.n_queries, n_queries);
  assert_int_equal(got.n_edges, expected->n);
  assert_memory_equal(got.query_rows, expected->query, bytes);
  assert_memory_equal(got.source_rows, expected->source, bytes);
  assert_memory_equal(got.neighbor_ids, expected->rank, bytes);
  assert_memory_equal(got.squared_distances, expected->distance, bytes);
  assert_memory_equal(got.row_offsets, expected->row_offsets, ((size_t)n_queries + 1) * sizeof(int64_t));
}

static void assert_matches_reference(const int32_t *sources, int64_t n_sources, const int32_t *queries,
                                     int64_t n_queries, int64_t k) {
  lat_coords *source_set = make_coords(sources, n_sources, 1), *query_set = make_coords(queries, n_queries, 1);
  lat_neighbors *neighbors = query(context, source_set, query_set, k);
  ref_neighbors *expected = ref_knn(sources, n_sources, queries, n_queries, k);
  assert_int_equal(lat_neighbors_edges(neighbors).n_sources, n_sources);
  assert_equals_list(lat_neighbors_edges(neighbors), expected, n_queries);
  ref_neighbors_free(expected);
  lat_neighbors_release(neighbors);
  lat_coords_release(source_set);
  lat_coords_release(query_set);
}

// Row 4 repeats row 1 and counts; ties go by source row; item 1 has one row only.
static void a_line_gives_the_nearest_by_distance_then_row(void **state) {
  (void)state;
  static const int32_t rows[] = {0, 0, 0, 0, 0, 1, 0, 0, 0, 2, 0, 0, 1, 1, 0, 0, 0, 1, 0, 0};
  static const int32_t query_rows[] = {0, 0, 0, 1, 1, 1, 2, 2, 2, 3, 4, 4, 4};
  static const int32_t source_rows[] = {0, 1, 4, 1, 4, 0, 2, 1, 4, 3, 1, 4, 0};
  static const int32_t ranks[] = {0, 1, 2, 0, 1, 2, 0, 1, 2, 0, 0, 1, 2};
  static const float distances[] = {0, 1, 1, 0, 0, 1, 0, 1, 1, 0, 0, 0, 1};
  static const int64_t offsets[] = {0, 3, 6, 9, 10, 13};
  lat_coords *coords = make_coords(rows, 5, 1);
  lat_neighbors *neighbors = query(context, coords, NULL, 3);
  lat_neighbor_list got = lat_neighbors_edges(neighbors);
  assert_int_equal(got.n_edges, 13);
  assert_int_equal(got.n_queries, 5);
  assert_int_equal(got.n_sources, 5);
  assert_memory_equal(got.query_rows, query_rows, sizeof query_rows);
  assert_memory_equal(got.source_rows, source_rows, sizeof source_rows);
  assert_memory_equal(got.neighbor_ids, ranks, sizeof ranks);
  assert_memory_equal(got.squared_distances, distances, sizeof distances);
  assert_memory_equal(got.row_offsets, offsets, sizeof offsets);
  lat_neighbors_release(neighbors);
  lat_coords_release(coords);
}

static void empty_sets_give_empty_relations(void **state) {
  (void)state;
  static const int32_t row[] = {0, 0, 0, 0};
  assert_matches_reference(row, 0, row, 0, 3);
  assert_matches_reference(row, 1, row, 0, 3);
  assert_matches_reference(row, 0, row, 1, 3);
  assert_matches_reference(row, 1, row, 1, INT64_MAX); // all there are
}

static void the_ends_of_int32_do_not_wrap(void **state) {
  (void)state;
  static int32_t rows[4 * 64];
  for (int32_t i = 0; i < 64; i++) {
    rows[4 * i] = i % 2 ? INT32_MIN : INT32_MAX;
    for (int axis = 0; axis < 3; axis++) {
      rows[4 * i + 1 + axis] = i >> axis & 2 ? INT32_MAX - i % 3 : INT32_MIN + i % 5;
    }
  }
  for (int64_t k = 1; k <= 64; k += 9) assert_matches_reference(rows, 64, rows, 64, k);
}

static uint32_t draw(uint64_t seed, uint64_t *n, uint32_t bound) {
  uint32_t words[4];
  lat_random_block(seed, 6, (*n)++, words);
  return words[0] % bound;
}

/// Rows of batch items 0 .. batches - 1 whose coordinates are spread over `extent`, some of them far out.
static void draw_rows(uint64_t seed, uint64_t *n, uint32_t extent, uint32_t batches, int32_t *rows, int64_t n_rows) {
  for (int64_t i = 0; i < 4 * n_rows; i++) {
    rows[i] = (int32_t)draw(seed, n, i % 4 ? extent : batches);
    if (i % 4) rows[i] -= (int32_t)(extent / 2);
    if (i % 4 && draw(seed, n, 40) == 0) rows[i] = (int32_t)draw(seed, n, 2000000000u) - 1000000000;
  }
}

static void random_sets_match_the_reference(void **state) {
  (void)state;
  static const uint32_t extents[] = {1, 2, 5, 20, 1000, 2000000000u};
  for (uint64_t seed = 1; seed <= 80; seed++) {
    uint64_t n = 0;
    int32_t sources[4 * 300], queries[4 * 60];
    int64_t n_sources = draw(seed, &n, 301), n_queries = draw(seed, &n, 61);
    uint32_t extent = extents[draw(seed, &n, 6)];
    draw_rows(seed, &n, extent, 1 + draw(seed, &n, 3), sources, n_sources);
    draw_rows(seed, &n, extent + 2, 3, queries, n_queries);
    assert_matches_reference(sources, n_sources, queries, n_queries, 1 + draw(seed, &n, 30));
  }
}

// A search that looked at every duplicate, or at every row of a diagonal line, would take minutes here.
static void hard_distributions_take_no_longer(void **state) {
  (void)state;
  enum { N = 40000 };
  static int32_t rows[4 * N];
  memset(rows, 0, sizeof rows);
  for (int kind = 0; kind < 2; kind++) {
    for (int32_t i = 0; i < N && kind == 1; i++) rows[4 * i + 1] = rows[4 * i + 2] = 50000 * (i - N / 2);
    lat_coords *coords = make_coords(rows, N, 1);
    lat_neighbors *neighbors = query(context, coords, NULL, 4);
    lat_neighbor_list got = lat_neighbors_edges(neighbors);
    static const int32_t middle[2][4] = {{0, 1, 2, 3}, {N / 2, N / 2 - 1, N / 2 + 1, N / 2 - 2}};
    assert_int_equal(got.n_edges, 4 * (int64_t)N);
    assert_memory_equal(got.source_rows + 4 * (N / 2), middle[kind], sizeof middle[kind]);
    lat_neighbors_release(neighbors);
    lat_coords_release(coords);
  }
}

static void thread_counts_change_nothing(void **state) {
  (void)state;
  enum { N = 3000 };
  static int32_t rows[4 * N];
  uint64_t n = 0;
  draw_rows(9, &n, 30, 2, rows, N);
  lat_neighbor_list lists[2];
  lat_neighbors *neighbors[2];
  lat_coords *coords = make_coords(rows, N, 1);
  for (int i = 0; i < 2; i++) {
    lat_context_opts context_opts = LAT_CONTEXT_OPTS_INIT;
    lat_context *own = NULL;
    context_opts.n_threads = i ? 5 : 1;
    lat_test_assert_ok(lat_context_create(&context_opts, &own));
    neighbors[i] = query(own, coords, NULL, 7);
    lists[i] = lat_neighbors_edges(neighbors[i]);
    lat_context_destroy(own); // the relation outlives it
  }
  assert_int_equal(lists[0].n_edges, 7 * N);
  assert_int_equal(lists[1].n_edges, 7 * N);
  assert_memory_equal(lists[0].source_rows, lists[1].source_rows, 7 * N * sizeof(int32_t));
  assert_memory_equal(lists[0].squared_distances, lists[1].squared_distances, 7 * N * sizeof(float));
  assert_memory_equal(lists[0].row_offsets, lists[1].row_offsets, (N + 1) * sizeof(int64_t));
  lat_neighbors_release(neighbors[0]);
  lat_neighbors_release(neighbors[1]);
  lat_coords_release(coords);
}

static void features_are_gathered_by_edge(void **state) {
  (void)state;
  static const int32_t rows[] = {0, 0, 0, 0, 0, 5, 0, 0, 0, 1, 0, 0};
  static const float feats[] = {1, 2, 3};
  static const float expected[] = {1, 3, 2, 3, 3, 1};
  lat_coords *coords = make_coords(rows, 3, 1);
  lat_neighbors *neighbors = query(context, coords, NULL, 2);
  lat_array_view view = lat_view_2d(feats, LAT_DTYPE_F32, 3, 1);
  lat_array *out = NULL;
  lat_test_assert_ok(lat_gather_neighbor_features(context, &view, neighbors, &out));
  assert_int_equal(lat_array_count(out), 6);
  assert_memory_equal(lat_array_data(out), expected, sizeof expected);
  lat_array_release(out);
  lat_neighbors_release(neighbors);
  lat_coords_release(coords);
}

static void expect_refused(lat_context *own, const lat_coords *sources, const lat_coords *queries,
                           const lat_knn_opts *opts, const char *fragment) {
  lat_neighbors *out = (lat_neighbors *)&context;
  lat_test_assert_error(lat_neighbors_create_knn(own, sources, queries, opts, &out), LAT_STATUS_INVALID_ARGUMENT,
                        fragment);
  assert_null(out);
}

static void bad_queries_are_refused(void **state) {
  (void)state;
  static const int32_t row[] = {0, 0, 0, 0};
  lat_coords *coords = make_coords(row, 1, 1), *coarse = make_coords(row, 1, 2);
  lat_knn_opts opts = LAT_KNN_OPTS_INIT;
  expect_refused(context, coords, NULL, NULL, "neighbors_create_knn: k must be positive: got 0, expected 1 or more");
  expect_refused(context, coords, NULL, &opts, "k must be positive: got 0");
  opts.k = -3;
  expect_refused(context, coords, NULL, &opts, "k must be positive: got -3");
  opts.k = 1;
  expect_refused(context, NULL, NULL, &opts, "sources: got NULL");
  expect_refused(NULL, coords, NULL, &opts, "context: got NULL");
  lat_test_assert_error(lat_neighbors_create_knn(context, coords, NULL, &opts, NULL), LAT_STATUS_INVALID_ARGUMENT,
                        "out: got NULL");
  expect_refused(context, coords, coarse, &opts, "same coordinate stride: got (1, 1, 1) and (2, 2, 2)");
  opts.struct_bytes = 3;
  expect_refused(context, coords, NULL, &opts, "struct_bytes");
  lat_coords_release(coords);
  lat_coords_release(coarse);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(a_line_gives_the_nearest_by_distance_then_row),
      cmocka_unit_test(empty_sets_give_empty_relations),
      cmocka_unit_test(the_ends_of_int32_do_not_wrap),
      cmocka_unit_test(random_sets_match_the_reference),
      cmocka_unit_test(hard_distributions_take_no_longer),
      cmocka_unit_test(thread_counts_change_nothing),
      cmocka_unit_test(features_are_gathered_by_edge),
      cmocka_unit_test(bad_queries_are_refused),
  };
  return cmocka_run_group_tests(tests, set_up, tear_down);
}
