// Relations of a pyramid in one call: the bits and the cache entries of separate calls, and every refusal.
// null arguments: lat_relation_build_many
// covers: lat_relation_build_many
#include "support/test_support.h"

#include <string.h>

#include <lattice/lattice.h>

#include "relation/relation_internal.h"

#define N_ROWS 1500
#define N_GEOMETRIES 9

static lat_context *context;
static int32_t rows[4 * N_ROWS];

static int set_up(void **state) {
  (void)state;
  for (uint32_t i = 0; i < N_ROWS; i++) {
    uint32_t words[4];
    lat_random_block(3, 1, i, words);
    rows[4 * i] = (int32_t)(words[0] % 2);
    for (int axis = 1; axis < 4; axis++) rows[4 * i + axis] = (int32_t)(words[axis] % 24) - 9;
  }
  return lat_context_create(NULL, &context) != LAT_STATUS_OK;
}

static int tear_down(void **state) {
  (void)state;
  lat_context_destroy(context);
  return 0;
}

static lat_coords *make_coords(int64_t n) {
  lat_array_view view = lat_view_2d(rows, LAT_DTYPE_I32, n, 4);
  lat_coords *coords = NULL;
  lat_test_assert_ok(lat_coords_create(context, &view, NULL, &coords));
  return coords;
}

static lat_kernel_opts kernel_of(int32_t size, int32_t stride) {
  lat_kernel_opts opts = LAT_KERNEL_OPTS_INIT;
  opts.kernel_size = lat_triple_all(size);
  opts.stride = lat_triple_all(stride);
  return opts;
}

static lat_kernel_opts three, down, five, up;

/// Two levels down with submanifold relations on each, then up again: onto the finer level, and generated.
static void fill_pyramid(lat_relation_geometry *g) {
  three = kernel_of(3, 1);
  down = kernel_of(3, 2);
  five = kernel_of(5, 1);
  up = kernel_of(2, 2);
  g[0] = (lat_relation_geometry){LAT_RELATION_SUBMANIFOLD, 0, 0, &three};
  g[1] = (lat_relation_geometry){LAT_RELATION_FORWARD, 1, 0, &down};
  g[2] = (lat_relation_geometry){LAT_RELATION_SUBMANIFOLD, 2, 0, NULL}; // the default is three
  g[3] = (lat_relation_geometry){LAT_RELATION_FORWARD, 3, 0, &down};
  g[4] = (lat_relation_geometry){LAT_RELATION_SUBMANIFOLD, 4, 0, &five};
  g[5] = (lat_relation_geometry){LAT_RELATION_TARGET_TRANSPOSED, 4, 2, NULL};
  g[6] = (lat_relation_geometry){LAT_RELATION_TARGET, 2, 0, &three};
  g[7] = (lat_relation_geometry){LAT_RELATION_GENERATIVE, 4, 0, &up};
  g[8] = (lat_relation_geometry){LAT_RELATION_TRANSPOSED, 4, 0, &up};
}

static const lat_coords *output_of(const lat_relation *relation, const lat_coords *input) {
  const lat_coords *own = lat_relation_out_coords(relation);
  return own ? own : input;
}

/// The same relations by the separate creators.
static void build_apart(const lat_coords *fine, lat_relation **out) {
  lat_test_assert_ok(lat_relation_create_subm(context, fine, &three, &out[0]));
  lat_test_assert_ok(lat_relation_create_forward(context, fine, &down, &out[1]));
  const lat_coords *middle = output_of(out[1], fine);
  lat_test_assert_ok(lat_relation_create_subm(context, middle, &three, &out[2]));
  lat_test_assert_ok(lat_relation_create_forward(context, middle, &down, &out[3]));
  const lat_coords *coarse = output_of(out[3], middle);
  lat_test_assert_ok(lat_relation_create_subm(context, coarse, &five, &out[4]));
  lat_test_assert_ok(lat_relation_create_target_transposed(context, coarse, middle, &up, &out[5]));
  lat_test_assert_ok(lat_relation_create_target(context, middle, fine, &three, &out[6]));
  lat_test_assert_ok(lat_relation_create_generative(context, coarse, &up, &out[7]));
  lat_test_assert_ok(lat_relation_create_transposed(context, coarse, &up, &out[8]));
}

static void assert_same_pairs(const lat_relation *a, const lat_relation *b) {
  const lat__pairs *p = &a->pairs, *q = &b->pairs;
  size_t n_lists = (size_t)p->n_blocks * (size_t)p->n_kernels;
  assert_int_equal(lat_relation_kind_of(a), lat_relation_kind_of(b));
  assert_int_equal(p->n_in, q->n_in);
  assert_int_equal(p->n_out, q->n_out);
  assert_int_equal(p->n_kernels, q->n_kernels);
  assert_int_equal(p->n_edges, q->n_edges);
  assert_memory_equal(p->offsets, q->offsets, (n_lists + 1) * sizeof(int64_t));
  assert_memory_equal(p->in_rows, q->in_rows, (size_t)p->n_edges * sizeof(int32_t));
  assert_memory_equal(p->local_rows, q->local_rows, (size_t)p->n_edges * sizeof(uint16_t));
  const lat_coords *out_a = lat_relation_out_coords(a), *out_b = lat_relation_out_coords(b);
  assert_int_equal(!out_a, !out_b);
  if (!out_a) return;
  assert_int_equal(lat_coords_count(out_a), lat_coords_count(out_b));
  assert_memory_equal(lat_coords_rows(out_a).data, lat_coords_rows(out_b).data,
                      (size_t)lat_coords_count(out_a) * 4 * sizeof(int32_t));
}

static void release_all(lat_relation **relations, int64_t n) {
  for (int64_t i = 0; i < n; i++) lat_relation_release(relations[i]);
}

static void many_equal_separate_ones(void **state) {
  (void)state;
  static const int64_t counts[] = {0, 1, N_ROWS};
  for (int c = 0; c < 3; c++) {
    lat_relation_geometry geometries[N_GEOMETRIES];
    lat_relation *many[N_GEOMETRIES], *apart[N_GEOMETRIES], *again[N_GEOMETRIES];
    lat_coords *coords = make_coords(counts[c]), *other = make_coords(counts[c]);
    fill_pyramid(geometries);
    lat_test_assert_ok(lat_relation_build_many(context, coords, geometries, N_GEOMETRIES, many));
    build_apart(other, apart);
    build_apart(coords, again); // out of the cache
    for (int i = 0; i < N_GEOMETRIES; i++) {
      assert_same_pairs(many[i], apart[i]);
      assert_ptr_equal(many[i], again[i]);
      assert_ptr_not_equal(many[i], apart[i]);
    }
    release_all(many, N_GEOMETRIES);
    release_all(apart, N_GEOMETRIES);
    release_all(again, N_GEOMETRIES);
    lat_coords_release(coords);
    lat_coords_release(other);
  }
}

static void no_geometries_give_nothing(void **state) {
  (void)state;
  lat_coords *coords = make_coords(3);
  lat_relation_geometry geometry = {0};
  lat_relation *out = (lat_relation *)coords;
  lat_test_assert_ok(lat_relation_build_many(context, coords, &geometry, 0, &out));
  assert_ptr_equal(out, coords); // no room was promised
  lat_coords_release(coords);
}

static void expect_refused(const lat_relation_geometry *geometries, int64_t n, const char *fragment) {
  lat_coords *coords = make_coords(9);
  lat_relation *out[N_GEOMETRIES];
  for (int i = 0; i < N_GEOMETRIES; i++) out[i] = (lat_relation *)coords;
  lat_test_assert_error(lat_relation_build_many(context, coords, geometries, n, out), LAT_STATUS_INVALID_ARGUMENT,
                        fragment);
  for (int64_t i = 0; i < n; i++) assert_null(out[i]);
  lat_coords_release(coords);
}

static void errors_name_the_geometry(void **state) {
  (void)state;
  lat_relation_geometry g[3] = {{LAT_RELATION_SUBMANIFOLD, 0, 0, NULL},
                                {LAT_RELATION_FORWARD, 1, 0, NULL},
                                {LAT_RELATION_SUBMANIFOLD, 2, 0, NULL}};
  lat_kernel_opts bad = LAT_KERNEL_OPTS_INIT;
  const lat_relation_geometry good = g[2];
  g[2].input_set = 3;
  expect_refused(g, 3, "relation_build_many: geometry 2: input_set: got set 3, expected 0 to 2");
  g[2].input_set = -1;
  expect_refused(g, 3, "geometry 2: input_set: got set -1, expected 0 to 2");
  g[2] = good;
  g[2].target_set = 1;
  expect_refused(g, 3, "geometry 2: target_set: got set 1, expected 0 to 0"); // not for this kind
  g[2].kind = LAT_RELATION_TARGET;
  g[2].target_set = 3;
  expect_refused(g, 3, "geometry 2: target_set: got set 3, expected 0 to 2");
  g[2] = good;
  g[2].kind = (lat_relation_kind)6;
  expect_refused(g, 3, "geometry 2: kind is unknown: got 6, expected 0 to 5");
  g[2].kind = (lat_relation_kind)-1;
  expect_refused(g, 3, "geometry 2: kind is unknown: got -1");
  g[2] = good;
  g[2].kernel = &bad;
  bad.kernel_size = (lat_triple){3, 0, 3};
  expect_refused(g, 3, "geometry 2: kernel_size values must be positive: got (3, 0, 3)");
  bad.kernel_size = lat_triple_all(2);
  expect_refused(g, 3, "geometry 2 requires odd kernel_size values: got (2, 2, 2)");
  bad = (lat_kernel_opts)LAT_KERNEL_OPTS_INIT;
  bad.padding = lat_triple_all(1);
  g[2].kind = LAT_RELATION_GENERATIVE;
  expect_refused(g, 3, "geometry 2: padding and dilation must be 0 and 1");
  bad = (lat_kernel_opts)LAT_KERNEL_OPTS_INIT;
  bad.support = LAT_SUPPORT_REACH;
  for (int kind = LAT_RELATION_TRANSPOSED; kind <= LAT_RELATION_TARGET_TRANSPOSED; kind++) {
    g[2].kind = (lat_relation_kind)kind;
    expect_refused(g, 3, "geometry 2: support must be floor");
  }
  bad.bounds = lat_triple_all(9);
  for (int kind = LAT_RELATION_SUBMANIFOLD; kind <= LAT_RELATION_TARGET; kind++) {
    g[2].kind = (lat_relation_kind)kind;
    expect_refused(g, 3, "geometry 2: bounds must be absent");
  }
  bad = (lat_kernel_opts)LAT_KERNEL_OPTS_INIT;
  bad.struct_bytes = 3;
  expect_refused(g, 3, "geometry 2: ");
  g[2] = good;
  expect_refused(g, -1, "n must be non-negative: got -1");
}

// What is found only while building: the relations built before are given back too.
static void a_late_failure_leaves_nothing(void **state) {
  (void)state;
  static const lat_kernel_opts wide = {.struct_bytes = sizeof(lat_kernel_opts), .stride = {1 << 30, 1, 1}};
  lat_coords *coords = make_coords(9);
  lat_relation_geometry g[3] = {{LAT_RELATION_SUBMANIFOLD, 0, 0, NULL},
                                {LAT_RELATION_TRANSPOSED, 1, 0, NULL},
                                {LAT_RELATION_FORWARD, 2, 0, NULL}};
  lat_relation *out[3] = {NULL};
  lat_test_assert_error(lat_relation_build_many(context, coords, g, 3, out), LAT_STATUS_INVALID_ARGUMENT,
                        "relation_build_many: geometry 1: transpose stride must divide");
  for (int i = 0; i < 3; i++) assert_null(out[i]);
  g[1] = (lat_relation_geometry){LAT_RELATION_FORWARD, 0, 0, &wide};
  g[2] = (lat_relation_geometry){LAT_RELATION_FORWARD, 2, 0, &wide};
  lat_test_assert_error(lat_relation_build_many(context, coords, g, 3, out), LAT_STATUS_OVERFLOW,
                        "relation_build_many: geometry 2: output stride leaves int32");
  for (int i = 0; i < 3; i++) assert_null(out[i]);
  lat_coords_release(coords);
}

static void null_arguments_are_refused(void **state) {
  (void)state;
  lat_coords *coords = make_coords(9);
  lat_relation_geometry g = {0};
  lat_relation *out = (lat_relation *)coords;
  lat_test_assert_error(lat_relation_build_many(NULL, coords, &g, 1, &out), LAT_STATUS_INVALID_ARGUMENT,
                        "context: got NULL");
  assert_null(out);
  lat_test_assert_error(lat_relation_build_many(context, NULL, &g, 1, &out), LAT_STATUS_INVALID_ARGUMENT,
                        "input: got NULL");
  lat_test_assert_error(lat_relation_build_many(context, coords, NULL, 1, &out), LAT_STATUS_INVALID_ARGUMENT,
                        "geometries: got NULL");
  lat_test_assert_error(lat_relation_build_many(context, coords, &g, 1, NULL), LAT_STATUS_INVALID_ARGUMENT,
                        "out: got NULL");
  assert_null(out);
  lat_coords_release(coords);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(many_equal_separate_ones),   cmocka_unit_test(no_geometries_give_nothing),
      cmocka_unit_test(errors_name_the_geometry),   cmocka_unit_test(a_late_failure_leaves_nothing),
      cmocka_unit_test(null_arguments_are_refused),
  };
  return cmocka_run_group_tests(tests, set_up, tear_down);
}
