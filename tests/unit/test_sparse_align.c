// Alignment of two sets: every join against its definition, duplicates, shared results, and every refusal.
// null arguments: lat_sparse_align
// covers: lat_sparse_align
#include "support/test_support.h"

#include <string.h>

#include <lattice/lattice.h>

#include "support/test_allocator.h"

#define MAX_ROWS 60

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

static lat_coords *make_coords(lat_context *own, const int32_t *rows, int64_t n, int32_t stride) {
  lat_array_view view = lat_view_2d(rows, LAT_DTYPE_I32, n, 4);
  lat_coords_opts opts = LAT_COORDS_OPTS_INIT;
  lat_coords *coords = NULL;
  opts.stride = lat_triple_all(stride);
  lat_test_assert_ok(lat_coords_create(own, &view, &opts, &coords));
  return coords;
}

static void release(lat_sparse_alignment *alignment) {
  lat_coords_release(alignment->coords);
  lat_array_release(alignment->lhs_rows);
  lat_array_release(alignment->rhs_rows);
}

static int32_t find(const int32_t *rows, int64_t n, const int32_t *row) {
  for (int64_t r = 0; r < n; r++) {
    if (memcmp(rows + 4 * r, row, 16) == 0) return (int32_t)r;
  }
  return -1;
}

typedef struct expected_rows {
  int64_t n;
  int32_t lhs[2 * MAX_ROWS], rhs[2 * MAX_ROWS];
} expected_rows;

static void add(expected_rows *e, int32_t l, int32_t r) {
  e->lhs[e->n] = l;
  e->rhs[e->n++] = r;
}

/// The joins as they are defined, row after row.
static void naive_join(const int32_t *lhs, int64_t n_lhs, const int32_t *rhs, int64_t n_rhs, lat_join join,
                       expected_rows *e) {
  e->n = 0;
  for (int32_t l = 0; l < n_lhs && join != LAT_JOIN_RIGHT; l++) {
    int32_t r = find(rhs, n_rhs, lhs + 4 * l);
    if (r >= 0 || join == LAT_JOIN_LEFT || join == LAT_JOIN_OUTER) add(e, l, r);
  }
  for (int32_t r = 0; r < n_rhs && (join == LAT_JOIN_RIGHT || join == LAT_JOIN_OUTER); r++) {
    int32_t l = find(lhs, n_lhs, rhs + 4 * r);
    if (join == LAT_JOIN_RIGHT || l < 0) add(e, join == LAT_JOIN_RIGHT ? l : -1, r);
  }
}

static void check_join(const int32_t *lhs, int64_t n_lhs, const int32_t *rhs, int64_t n_rhs, lat_join join) {
  static expected_rows e;
  lat_coords *a = make_coords(context, lhs, n_lhs, 3), *b = make_coords(context, rhs, n_rhs, 3);
  lat_sparse_alignment got, again;
  lat_test_assert_ok(lat_sparse_align(context, a, b, join, &got));
  lat_test_assert_ok(lat_sparse_align(context, a, b, join, &again));
  assert_ptr_equal(got.coords, again.coords);
  naive_join(lhs, n_lhs, rhs, n_rhs, join == LAT_JOIN_DEFAULT ? LAT_JOIN_INNER : join, &e);
  assert_int_equal(lat_coords_count(got.coords), e.n);
  assert_int_equal(lat_array_count(got.lhs_rows), e.n);
  assert_int_equal(lat_array_count(got.rhs_rows), e.n);
  assert_memory_equal(lat_array_data(got.lhs_rows), e.lhs, (size_t)e.n * sizeof(int32_t));
  assert_memory_equal(lat_array_data(got.rhs_rows), e.rhs, (size_t)e.n * sizeof(int32_t));
  assert_int_equal(lat_coords_stride(got.coords).y, 3);
  const int32_t *rows = lat_coords_rows(got.coords).data;
  for (int64_t r = 0; r < e.n; r++) {
    const int32_t *source = e.lhs[r] >= 0 ? lhs + 4 * e.lhs[r] : rhs + 4 * e.rhs[r];
    assert_memory_equal(rows + 4 * r, source, 16);
  }
  release(&got);
  release(&again);
  lat_coords_release(a);
  lat_coords_release(b);
}

static void joins_match_their_definition(void **state) {
  (void)state;
  static int32_t lhs[4 * MAX_ROWS], rhs[4 * MAX_ROWS];
  for (uint64_t seed = 1; seed <= 60; seed++) {
    uint32_t words[4];
    lat_random_block(seed, 10, 0, words);
    int64_t n_lhs = words[0] % (MAX_ROWS + 1), n_rhs = words[1] % (MAX_ROWS + 1);
    for (uint64_t i = 0; i < 4 * MAX_ROWS; i++) {
      lat_random_block(seed, 11, i, words);
      lhs[i] = (int32_t)(words[0] % 3) - 1;
      rhs[i] = (int32_t)(words[1] % 3) - 1;
    }
    for (int join = LAT_JOIN_DEFAULT; join <= LAT_JOIN_OUTER; join++) {
      check_join(lhs, n_lhs, rhs, n_rhs, (lat_join)join);
    }
  }
}

static void expect_refused(const lat_coords *lhs, const lat_coords *rhs, lat_join join, const char *fragment) {
  lat_sparse_alignment out;
  memset(&out, 0xFF, sizeof out);
  lat_test_assert_error(lat_sparse_align(context, lhs, rhs, join, &out), LAT_STATUS_INVALID_ARGUMENT, fragment);
  assert_null(out.coords);
  assert_null(out.lhs_rows);
  assert_null(out.rhs_rows);
}

static void bad_arguments_are_refused(void **state) {
  (void)state;
  static const int32_t row[] = {0, 0, 0, 0};
  lat_coords *a = make_coords(context, row, 1, 1), *b = make_coords(context, row, 1, 2);
  lat_sparse_alignment out;
  expect_refused(a, b, LAT_JOIN_INNER,
                 "sparse_align: sparse tensor strides must match: got (2, 2, 2), expected (1, 1, 1)");
  expect_refused(a, a, (lat_join)5, "join must be 'inner', 'left', 'right', or 'outer': got 5");
  expect_refused(a, a, (lat_join)-1, "join must be 'inner', 'left', 'right', or 'outer': got -1");
  expect_refused(NULL, a, LAT_JOIN_LEFT, "lhs: got NULL");
  expect_refused(a, NULL, LAT_JOIN_LEFT, "rhs: got NULL");
  lat_test_assert_error(lat_sparse_align(NULL, a, a, LAT_JOIN_LEFT, &out), LAT_STATUS_INVALID_ARGUMENT,
                        "context: got NULL");
  lat_test_assert_error(lat_sparse_align(context, a, a, LAT_JOIN_LEFT, NULL), LAT_STATUS_INVALID_ARGUMENT,
                        "out: got NULL");
  lat_coords_release(a);
  lat_coords_release(b);
}

static lat_status align_body(lat_context *own) {
  static const int32_t rows[] = {0, 0, 0, 0, 0, 1, 0, 0, 0, 2, 0, 0};
  lat_array_view view = lat_view_2d(rows, LAT_DTYPE_I32, 2, 4);
  lat_coords *a = NULL, *b = NULL;
  lat_sparse_alignment got = {NULL, NULL, NULL};
  lat_status status = lat_coords_create(own, &view, NULL, &a);
  view.data = rows + 4;
  if (status == LAT_STATUS_OK) status = lat_coords_create(own, &view, NULL, &b);
  if (status == LAT_STATUS_OK) status = lat_sparse_align(own, a, b, LAT_JOIN_OUTER, &got);
  if (status == LAT_STATUS_OK) {
    lat_test_oom_record_view(lat_array_as_view(got.rhs_rows));
  } else {
    assert_null(got.coords);
  }
  release(&got);
  lat_coords_release(a);
  lat_coords_release(b);
  return status;
}

static void running_out_of_memory_is_reported(void **state) {
  (void)state;
  lat_test_oom("sparse_align", align_body);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(joins_match_their_definition),
      cmocka_unit_test(bad_arguments_are_refused),
      cmocka_unit_test(running_out_of_memory_is_reported),
  };
  return cmocka_run_group_tests(tests, set_up, tear_down);
}
