// Radius queries and the gathering of neighbour features.
// covers: lat_neighbors_create_radius lat_neighbors_edges lat_neighbors_retain lat_neighbors_release
// covers: lat_gather_neighbor_features
#include "support/test_support.h"

#include <float.h>
#include <math.h>
#include <stdlib.h>
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

static lat_neighbors *query(const lat_coords *sources, const lat_coords *queries, double radius, int64_t max) {
  lat_radius_opts opts = LAT_RADIUS_OPTS_INIT;
  lat_neighbors *neighbors = NULL;
  opts.radius = radius;
  opts.max_neighbors = max;
  lat_test_assert_ok(lat_neighbors_create_radius(context, sources, queries, &opts, &neighbors));
  assert_non_null(neighbors);
  return neighbors;
}

static void assert_matches_reference(const int32_t *sources, int64_t n_sources, const int32_t *queries,
                                     int64_t n_queries, double radius, int64_t max) {
  lat_coords *source_set = make_coords(sources, n_sources, 1), *query_set = make_coords(queries, n_queries, 1);
  lat_neighbors *neighbors = query(source_set, query_set, radius, max);
  ref_neighbors *expected = ref_radius(sources, n_sources, queries, n_queries, radius, max);
  lat_neighbor_list got = lat_neighbors_edges(neighbors);
  assert_int_equal(got.n_queries, n_queries);
  assert_int_equal(got.n_sources, n_sources);
  assert_int_equal(got.n_edges, expected->n);
  size_t bytes = (size_t)expected->n * 4;
  assert_memory_equal(got.query_rows, expected->query, bytes);
  assert_memory_equal(got.source_rows, expected->source, bytes);
  assert_memory_equal(got.neighbor_ids, expected->rank, bytes);
  assert_memory_equal(got.squared_distances, expected->distance, bytes);
  assert_memory_equal(got.row_offsets, expected->row_offsets, ((size_t)n_queries + 1) * sizeof(int64_t));
  ref_neighbors_free(expected);
  lat_neighbors_release(neighbors);
  lat_coords_release(source_set);
  lat_coords_release(query_set);
}

static void a_line_gives_the_neighbours_by_distance_then_row(void **state) {
  (void)state;
  static const int32_t rows[] = {0, 0, 0, 0, 0, 1, 0, 0, 0, 2, 0, 0, 1, 1, 0, 0};
  static const int32_t expected_query[] = {0, 0, 1, 1, 1, 2, 2, 3};
  static const int32_t expected_source[] = {0, 1, 1, 0, 2, 2, 1, 3};
  static const int32_t expected_rank[] = {0, 1, 0, 1, 2, 0, 1, 0};
  static const float expected_distance[] = {0, 1, 0, 1, 1, 0, 1, 0};
  static const int64_t expected_offsets[] = {0, 2, 5, 7, 8};
  lat_coords *coords = make_coords(rows, 4, 1);
  lat_neighbors *neighbors = query(coords, NULL, 1.0, 0); // the ball is closed: distance 1 is inside
  lat_coords_release(coords);                             // the result stands alone
  lat_neighbor_list got = lat_neighbors_edges(neighbors);
  assert_int_equal(got.n_edges, 8);
  assert_memory_equal(got.query_rows, expected_query, sizeof expected_query);
  assert_memory_equal(got.source_rows, expected_source, sizeof expected_source);
  assert_memory_equal(got.neighbor_ids, expected_rank, sizeof expected_rank);
  assert_memory_equal(got.squared_distances, expected_distance, sizeof expected_distance);
  assert_memory_equal(got.row_offsets, expected_offsets, sizeof expected_offsets);
  assert_ptr_equal(lat_neighbors_retain(neighbors), neighbors);
  lat_neighbors_release(neighbors);
  lat_neighbors_release(neighbors);
  assert_null(lat_neighbors_retain(NULL));
  lat_neighbors_release(NULL);
}

static void max_neighbors_keeps_the_nearest_and_duplicates_count_once(void **state) {
  (void)state;
  static const int32_t sources[] = {0, 3, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, -1, 0, 0, 0, 0, 0, 0};
  static const int32_t queries[] = {0, 0, 0, 0};
  static const int32_t expected[] = {4, 1, 3};
  lat_coords *source_set = make_coords(sources, 5, 1), *query_set = make_coords(queries, 1, 1);
  lat_neighbors *neighbors = query(source_set, query_set, 5.0, 3);
  lat_neighbor_list got = lat_neighbors_edges(neighbors);
  assert_int_equal(got.n_edges, 3); // row 2 repeats row 1 and is never seen; row 0 is the fourth nearest
  assert_memory_equal(got.source_rows, expected, sizeof expected);
  lat_neighbors_release(neighbors);
  lat_coords_release(source_set);
  lat_coords_release(query_set);
}

static void zero_radius_finds_equal_coordinates(void **state) {
  (void)state;
  static const int32_t rows[] = {0, 7, -7, 7, 0, 7, -7, 8, 0, 7, -7, 7};
  assert_matches_reference(rows, 3, rows, 3, 0.0, 0);
}

static void empty_sets_give_empty_relations(void **state) {
  (void)state;
  static const int32_t row[] = {0, 0, 0, 0};
  assert_matches_reference(row, 0, row, 0, 1.0, 0);
  assert_matches_reference(row, 1, row, 0, 1.0, 0);
  assert_matches_reference(row, 0, row, 1, 1.0, 0);
}

static void the_ends_of_int32_do_not_wrap(void **state) {
  (void)state;
  static const int32_t rows[] = {0, INT32_MIN, INT32_MIN, INT32_MIN, 0, INT32_MAX, INT32_MAX, INT32_MAX,
                                 0, INT32_MAX, INT32_MIN, 0,         0, INT32_MIN, INT32_MIN, INT32_MIN + 1};
  assert_matches_reference(rows, 4, rows, 4, 2.0, 0);
  assert_matches_reference(rows, 4, rows, 4, 7.5e9, 0); // every one of them
  assert_matches_reference(rows, 4, rows, 4, 4294967296.0, 2);
  assert_matches_reference(rows, 4, rows, 4, 1e300, 0); // the square leaves float32 and double: no limit
}

// The limit is the float32 of the square: 0.1 * 0.1 in double, then rounded; and sqrt(2), whose square is above 2 in
// double but 2 in float32.
static void the_limit_is_rounded_to_float32(void **state) {
  (void)state;
  static const int32_t rows[] = {0, 0, 0, 0, 0, 1, 1, 0, 0, 4097, 4097, 0};
  assert_matches_reference(rows, 3, rows, 3, 1.41421356, 0);
  assert_matches_reference(rows, 3, rows, 3, 1.4142135, 0);
  assert_matches_reference(rows, 3, rows, 3, sqrt(2.0 * 4097 * 4097), 0);
  assert_matches_reference(rows, 3, rows, 3, 0.1, 0);
}

static uint32_t draw(uint64_t seed, uint64_t *n, uint32_t bound) {
  uint32_t words[4];
  lat_random_block(seed, 5, (*n)++, words);
  return words[0] % bound;
}

static void random_sets_match_the_reference(void **state) {
  (void)state;
  static const double radii[] = {0, 1, 1.5, 2, 3.3, 8, 100};
  static const int64_t caps[] = {0, 0, 1, 4, 40};
  for (uint64_t seed = 1; seed <= 60; seed++) {
    uint64_t n = 0;
    int32_t sources[4 * 120], queries[4 * 40];
    int64_t n_sources = draw(seed, &n, 121), n_queries = draw(seed, &n, 41);
    uint32_t extent = 2 + draw(seed, &n, 12);
    for (int64_t i = 0; i < 4 * n_sources; i++) {
      sources[i] = i % 4 ? (int32_t)draw(seed, &n, extent) - 4 : (int32_t)draw(seed, &n, 2);
    }
    for (int64_t i = 0; i < 4 * n_queries; i++) {
      queries[i] = i % 4 ? (int32_t)draw(seed, &n, extent + 2) - 5 : (int32_t)draw(seed, &n, 3);
    }
    assert_matches_reference(sources, n_sources, queries, n_queries, radii[draw(seed, &n, 7)], caps[draw(seed, &n, 5)]);
  }
}

static void thread_counts_change_nothing(void **state) {
  (void)state;
  enum { N = 3000 };
  static int32_t rows[4 * N];
  uint64_t n = 0;
  for (int64_t i = 0; i < 4 * N; i++) rows[i] = i % 4 ? (int32_t)draw(9, &n, 20) : 0;
  lat_neighbor_list lists[2];
  lat_neighbors *neighbors[2];
  lat_radius_opts opts = LAT_RADIUS_OPTS_INIT;
  lat_coords *coords = make_coords(rows, N, 1);
  opts.radius = 3;
  opts.max_neighbors = 20;
  for (int i = 0; i < 2; i++) {
    lat_context_opts context_opts = LAT_CONTEXT_OPTS_INIT;
    lat_context *own = NULL;
    context_opts.n_threads = i ? 5 : 1;
    lat_test_assert_ok(lat_context_create(&context_opts, &own));
    lat_test_assert_ok(lat_neighbors_create_radius(own, coords, NULL, &opts, &neighbors[i]));
    lists[i] = lat_neighbors_edges(neighbors[i]);
    lat_context_destroy(own); // the relation outlives it
  }
  assert_true(lists[0].n_edges > N);
  assert_int_equal(lists[0].n_edges, lists[1].n_edges);
  assert_memory_equal(lists[0].source_rows, lists[1].source_rows, (size_t)lists[0].n_edges * sizeof(int32_t));
  assert_memory_equal(lists[0].row_offsets, lists[1].row_offsets, (N + 1) * sizeof(int64_t));
  lat_neighbors_release(neighbors[0]);
  lat_neighbors_release(neighbors[1]);
  lat_coords_release(coords);
}

static void bad_queries_are_refused(void **state) {
  (void)state;
  static const int32_t row[] = {0, 0, 0, 0};
  static const double bad_radii[] = {-1, -DBL_MIN, INFINITY, NAN};
  lat_coords *coords = make_coords(row, 1, 1), *coarse = make_coords(row, 1, 2);
  lat_radius_opts opts = LAT_RADIUS_OPTS_INIT;
  lat_neighbors *out = (lat_neighbors *)coords;
  lat_test_assert_error(lat_neighbors_create_radius(context, NULL, NULL, &opts, &out), LAT_STATUS_INVALID_ARGUMENT,
                        "sources: got NULL");
  assert_null(out);
  lat_test_assert_error(lat_neighbors_create_radius(NULL, coords, NULL, &opts, &out), LAT_STATUS_INVALID_ARGUMENT,
                        "context: got NULL");
  lat_test_assert_error(lat_neighbors_create_radius(context, coords, NULL, &opts, NULL), LAT_STATUS_INVALID_ARGUMENT,
                        "out: got NULL");
  for (size_t i = 0; i < sizeof bad_radii / sizeof bad_radii[0]; i++) {
    out = (lat_neighbors *)coords;
    opts.radius = bad_radii[i];
    lat_test_assert_error(lat_neighbors_create_radius(context, coords, NULL, &opts, &out), LAT_STATUS_INVALID_ARGUMENT,
                          "radius must be non-negative");
    assert_null(out);
  }
  opts.radius = 1;
  opts.max_neighbors = -1;
  lat_test_assert_error(lat_neighbors_create_radius(context, coords, NULL, &opts, &out), LAT_STATUS_INVALID_ARGUMENT,
                        "max_neighbors must be positive");
  opts.max_neighbors = 0;
  lat_test_assert_error(lat_neighbors_create_radius(context, coords, coarse, &opts, &out), LAT_STATUS_INVALID_ARGUMENT,
                        "same coordinate stride");
  opts.struct_bytes = 3;
  lat_test_assert_error(lat_neighbors_create_radius(context, coords, NULL, &opts, &out), LAT_STATUS_INVALID_ARGUMENT,
                        "struct_bytes");
  assert_null(out);
  lat_coords_release(coords);
  lat_coords_release(coarse);
}

static void features_are_gathered_by_edge(void **state) {
  (void)state;
  static const int32_t rows[] = {0, 0, 0, 0, 0, 1, 0, 0};
  static const float feats[] = {1, 2, 9, 3, 4, 9};
  static const float expected[] = {1, 2, 3, 4, 3, 4, 1, 2};
  lat_coords *coords = make_coords(rows, 2, 1);
  lat_neighbors *neighbors = query(coords, NULL, 1.0, 0);
  lat_array_view view = lat_view_2d(feats, LAT_DTYPE_F32, 2, 2);
  lat_array *out = NULL;
  view.stride[0] = 3; // every third float is padding
  lat_test_assert_ok(lat_gather_neighbor_features(context, &view, neighbors, &out));
  lat_array_view got = lat_array_as_view(out);
  assert_int_equal(got.shape[0], 4);
  assert_int_equal(got.shape[1], 2);
  assert_memory_equal(got.data, expected, sizeof expected);
  lat_array_release(out);
  view = lat_view_2d(feats, LAT_DTYPE_F32, 2, 0); // no channels
  lat_test_assert_ok(lat_gather_neighbor_features(context, &view, neighbors, &out));
  assert_int_equal(lat_array_as_view(out).shape[0], 4);
  assert_int_equal(lat_array_count(out), 0);
  lat_array_release(out);
  lat_neighbors_release(neighbors);
  lat_coords_release(coords);
}

static void bad_features_are_refused(void **state) {
  (void)state;
  static const int32_t row[] = {0, 0, 0, 0};
  static const float feats[4] = {0};
  lat_coords *coords = make_coords(row, 1, 1);
  lat_neighbors *neighbors = query(coords, NULL, 1.0, 0);
  lat_array_view view = lat_view_2d(feats, LAT_DTYPE_F32, 2, 2);
  lat_array *out = (lat_array *)coords;
  lat_test_assert_error(lat_gather_neighbor_features(context, &view, neighbors, &out), LAT_STATUS_INVALID_SHAPE,
                        "one row for each source: got 2, expected 1");
  assert_null(out);
  view = lat_view_1d(feats, LAT_DTYPE_F32, 1);
  lat_test_assert_error(lat_gather_neighbor_features(context, &view, neighbors, &out), LAT_STATUS_INVALID_SHAPE,
                        "must have shape (n_sources, C)");
  view = lat_view_2d(feats, LAT_DTYPE_I32, 1, 2);
  lat_test_assert_error(lat_gather_neighbor_features(context, &view, neighbors, &out), LAT_STATUS_INVALID_DTYPE,
                        "got int32");
  lat_test_assert_error(lat_gather_neighbor_features(context, NULL, neighbors, &out), LAT_STATUS_INVALID_ARGUMENT,
                        "features: got NULL");
  view = lat_view_2d(feats, LAT_DTYPE_F32, 1, 2);
  lat_test_assert_error(lat_gather_neighbor_features(context, &view, NULL, &out), LAT_STATUS_INVALID_ARGUMENT,
                        "neighbors: got NULL");
  lat_test_assert_error(lat_gather_neighbor_features(NULL, &view, neighbors, &out), LAT_STATUS_INVALID_ARGUMENT,
                        "context: got NULL");
  lat_test_assert_error(lat_gather_neighbor_features(context, &view, neighbors, NULL), LAT_STATUS_INVALID_ARGUMENT,
                        "out: got NULL");
  assert_null(out);
  lat_neighbors_release(neighbors);
  lat_coords_release(coords);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(a_line_gives_the_neighbours_by_distance_then_row),
      cmocka_unit_test(max_neighbors_keeps_the_nearest_and_duplicates_count_once),
      cmocka_unit_test(zero_radius_finds_equal_coordinates),
      cmocka_unit_test(empty_sets_give_empty_relations),
      cmocka_unit_test(the_ends_of_int32_do_not_wrap),
      cmocka_unit_test(the_limit_is_rounded_to_float32),
      cmocka_unit_test(random_sets_match_the_reference),
      cmocka_unit_test(thread_counts_change_nothing),
      cmocka_unit_test(bad_queries_are_refused),
      cmocka_unit_test(features_are_gathered_by_edge),
      cmocka_unit_test(bad_features_are_refused),
  };
  return cmocka_run_group_tests(tests, set_up, tear_down);
}
