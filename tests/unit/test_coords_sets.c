// Set algebra, Z-order and octree steps of coordinate sets: worked examples, random sets against naive loops, refusals.
//
// covers: lat_coords_contains lat_coords_inverse_map lat_coords_duplicates lat_coords_union lat_coords_intersection
// covers: lat_coords_downsample lat_morton_codes lat_morton_order lat_coords_morton_sort lat_occupancy_downsample
// covers: lat_occupancy_expand lat_child_coords
//
// null arguments: lat_coords_contains lat_coords_inverse_map lat_coords_duplicates lat_coords_union
// null arguments: lat_coords_intersection lat_coords_downsample lat_morton_codes lat_morton_order
// null arguments: lat_coords_morton_sort lat_occupancy_downsample lat_occupancy_expand lat_child_coords
#include <stdlib.h>
#include <string.h>

#include <lattice/lattice.h>

#include "support/test_allocator.h"
#include "support/test_support.h"

#define MAX_ROWS 400

static lat_test_allocator counter;
static lat_context *context;

static lat_coords *make(const int32_t *rows, int64_t n, int32_t stride) {
  lat_coords *coords = NULL;
  lat_coords_opts opts = LAT_COORDS_OPTS_INIT;
  lat_array_view view = lat_view_2d(rows, LAT_DTYPE_I32, n, 4);
  opts.stride = lat_triple_all(stride);
  lat_test_assert_ok(lat_coords_create(context, &view, &opts, &coords));
  return coords;
}

static const int32_t *rows_of(const lat_coords *coords) {
  return lat_coords_rows(coords).data;
}

/// First row of (n, 4) `rows` equal to `row`, or -1: the definition.
static int64_t find(const int32_t *rows, int64_t n, const int32_t *row) {
  for (int64_t r = 0; r < n; r++) {
    if (memcmp(rows + 4 * r, row, 4 * sizeof *row) == 0) return r;
  }
  return -1;
}

static void assert_rows(const lat_coords *coords, const int32_t *expected, int64_t n) {
  assert_int_equal(lat_coords_count(coords), n);
  if (n > 0) assert_memory_equal(rows_of(coords), expected, (size_t)n * 4 * sizeof(int32_t));
}

/// Small range, two batches, negatives: duplicates and overlaps are common.
static int64_t random_rows(uint64_t stream, int32_t *rows) {
  uint32_t block[4];
  lat_random_block(5, stream, 0, block);
  int64_t n = block[0] % MAX_ROWS;
  for (int64_t r = 0; r < n; r++) {
    lat_random_block(5, stream, (uint64_t)r + 1, block);
    rows[4 * r] = (int32_t)(block[0] % 2);
    for (int axis = 1; axis < 4; axis++) rows[4 * r + axis] = (int32_t)(block[axis] % 7) - 3;
  }
  return n;
}

static void check_sets(const int32_t *a, int64_t n_a, const int32_t *b, int64_t n_b) {
  int32_t expected[2 * MAX_ROWS * 4];
  int64_t n = 0, n_duplicates = 0, got_duplicates = -1;
  lat_coords *lhs = make(a, n_a, 1), *rhs = make(b, n_b, 1), *out = NULL;
  lat_array *found = NULL, *map = NULL;
  for (int64_t r = 0; r < n_a + n_b; r++) {
    const int32_t *row = r < n_a ? a + 4 * r : b + 4 * (r - n_a);
    if (find(expected, n, row) < 0) memcpy(expected + 4 * n++, row, 4 * sizeof *row);
  }
  lat_test_assert_ok(lat_coords_union(context, lhs, rhs, &out));
  assert_rows(out, expected, n);
  lat_coords_release(out);
  n = 0;
  for (int64_t r = 0; r < n_a; r++) {
    n_duplicates += find(a, n_a, a + 4 * r) != r;
    if (find(b, n_b, a + 4 * r) < 0 || find(expected, n, a + 4 * r) >= 0) continue;
    memcpy(expected + 4 * n++, a + 4 * r, 4 * sizeof *a);
  }
  lat_test_assert_ok(lat_coords_intersection(context, lhs, rhs, &out));
  assert_rows(out, expected, n);
  lat_coords_release(out);
  lat_test_assert_ok(lat_coords_duplicates(context, lhs, &got_duplicates));
  assert_int_equal(got_duplicates, n_duplicates);
  lat_array_view queries = lat_coords_rows(rhs);
  lat_test_assert_ok(lat_coords_contains(context, lhs, &queries, &found));
  lat_test_assert_ok(lat_coords_inverse_map(context, lhs, rhs, &map));
  assert_int_equal(lat_array_as_view(found).dtype, LAT_DTYPE_U8);
  for (int64_t r = 0; r < n_b; r++) {
    int64_t row = find(a, n_a, b + 4 * r);
    assert_int_equal(((uint8_t *)lat_array_data(found))[r], row >= 0);
    assert_int_equal(((int32_t *)lat_array_data(map))[r], row);
  }
  lat_array_release(found);
  lat_array_release(map);
  lat_coords_release(lhs);
  lat_coords_release(rhs);
}

static void sets(void **state) {
  (void)state;
  int32_t a[MAX_ROWS * 4], b[MAX_ROWS * 4];
  for (uint64_t i = 0; i < 40; i++) {
    int64_t n_a = i == 0 ? 0 : random_rows(2 * i, a), n_b = i == 1 ? 0 : random_rows(2 * i + 1, b);
    check_sets(a, n_a, b, n_b);
  }
}

static void morton_examples(void **state) {
  (void)state;
  const int32_t rows[][4] = {{0, 1, 2, 4}, {0, -1, 0, 0}, {9, 0, 0, 0}};
  const int64_t codes[] = {273, INT64_C(1317624576693539401), INT64_C(-8070450532247928832)};
  const int32_t line[][4] = {{0, 1, 1, 0}, {1, 0, 0, 0}, {0, 0, 1, 1}, {0, 0, 0, 0}};
  const int32_t order[] = {3, 0, 2, 1}, inverse[] = {1, 3, 2, 0};
  lat_array *out = NULL, *got_order = NULL, *got_inverse = NULL;
  lat_coords *sorted = NULL;
  lat_array_view view = lat_view_2d(rows, LAT_DTYPE_I32, 3, 4);
  lat_test_assert_ok(lat_morton_codes(context, &view, &out));
  assert_int_equal(lat_array_as_view(out).dtype, LAT_DTYPE_I64);
  assert_memory_equal(lat_array_data(out), codes, sizeof codes);
  lat_array_release(out);
  view = lat_view_2d(line, LAT_DTYPE_I32, 4, 4);
  lat_test_assert_ok(lat_morton_order(context, &view, &out));
  assert_memory_equal(lat_array_data(out), order, sizeof order);
  lat_array_release(out);
  lat_coords *coords = make(line[0], 4, 3);
  lat_test_assert_ok(lat_coords_morton_sort(context, coords, &sorted, &got_order, &got_inverse));
  assert_memory_equal(lat_array_data(got_order), order, sizeof order);
  assert_memory_equal(lat_array_data(got_inverse), inverse, sizeof inverse);
  for (int r = 0; r < 4; r++) assert_memory_equal(rows_of(sorted) + 4 * r, line[order[r]], sizeof line[0]);
  assert_int_equal(lat_coords_stride(sorted).y, 3);
  lat_coords_release(sorted);
  lat_array_release(got_order);
  lat_array_release(got_inverse);
  lat_test_assert_ok(lat_coords_morton_sort(context, coords, &sorted, NULL, NULL));
  lat_coords_release(sorted);
  lat_coords_release(coords);
}

/// Bit by bit: the definition of a code.
static int64_t slow_code(const int32_t *row) {
  uint64_t code = 0;
  for (int bit = 0; bit < 21; bit++) {
    for (int axis = 0; axis < 3; axis++) code |= (uint64_t)((uint32_t)row[1 + axis] >> bit & 1) << (3 * bit + axis);
  }
  return (int64_t)(code + ((uint64_t)(uint32_t)row[0] << 60));
}

static void morton_order_is_stable(void **state) {
  (void)state;
  int32_t rows[MAX_ROWS * 4];
  for (uint64_t i = 0; i < 20; i++) {
    int64_t n = random_rows(100 + i, rows);
    for (int64_t r = 0; i % 2 && r < n; r++) rows[4 * r + 2] = (int32_t)((uint32_t)rows[4 * r + 2] << (r % 25));
    lat_array *order = NULL;
    lat_array_view view = lat_view_2d(rows, LAT_DTYPE_I32, n, 4);
    lat_test_assert_ok(lat_morton_order(context, &view, &order));
    const int32_t *o = lat_array_data(order);
    for (int64_t r = 1; r < n; r++) {
      int64_t before = slow_code(rows + 4 * o[r - 1]), after = slow_code(rows + 4 * o[r]);
      assert_true(before < after || (before == after && o[r - 1] < o[r]));
    }
    lat_array_release(order);
  }
}

static void octree(void **state) {
  (void)state;
  int32_t rows[MAX_ROWS * 4];
  for (uint64_t i = 0; i < 20; i++) {
    int64_t n = random_rows(200 + i, rows);
    lat_coords *coords = make(rows, n, 1), *parents = NULL, *again = NULL, *children = NULL, *one_by_one = NULL;
    lat_array *occupancy = NULL, *parent_rows = NULL, *indices = NULL;
    lat_test_assert_ok(lat_occupancy_downsample(context, coords, &parents, &occupancy));
    lat_test_assert_ok(lat_coords_downsample(context, coords, lat_triple_all(2), &again));
    assert_ptr_equal(parents, again);
    assert_int_equal(lat_coords_stride(parents).x, 2);
    lat_array_view masks = lat_array_as_view(occupancy);
    lat_test_assert_ok(lat_occupancy_expand(context, parents, &masks, &children, &parent_rows, &indices));
    // Exactly the distinct rows come back, each under its parent.
    int64_t n_duplicates = 0, n_children = lat_coords_count(children);
    lat_test_assert_ok(lat_coords_duplicates(context, coords, &n_duplicates));
    assert_int_equal(n_children, n - n_duplicates);
    assert_int_equal(lat_coords_stride(children).z, 1);
    for (int64_t r = 0; r < n; r++) assert_true(find(rows_of(children), n_children, rows + 4 * r) >= 0);
    const int32_t *p = lat_array_data(parent_rows), *c = lat_array_data(indices);
    for (int64_t r = 1; r < n_children; r++) assert_true(p[r - 1] < p[r] || (p[r - 1] == p[r] && c[r - 1] < c[r]));
    for (int64_t r = 0; r < n_children; r++) {
      const int32_t *parent = rows_of(parents) + 4 * p[r], *child = rows_of(children) + 4 * r;
      for (int axis = 0; axis < 3; axis++) assert_int_equal(child[1 + axis], 2 * parent[1 + axis] + (c[r] >> axis & 1));
    }
    // The same children, one for each parent row: only the low three bits of an index count.
    int32_t wild[MAX_ROWS];
    for (int64_t r = 0; r < lat_coords_count(parents); r++) wild[r] = (int32_t)(r * 37 - 90);
    lat_array_view wild_view = lat_view_1d(wild, LAT_DTYPE_I32, lat_coords_count(parents));
    lat_test_assert_ok(lat_child_coords(context, parents, &wild_view, &one_by_one));
    for (int64_t r = 0; r < lat_coords_count(parents); r++) {
      for (int axis = 0; axis < 3; axis++) {
        assert_int_equal(rows_of(one_by_one)[4 * r + 1 + axis],
                         2 * rows_of(parents)[4 * r + 1 + axis] + ((wild[r] & 7) >> axis & 1));
      }
    }
    lat_coords_release(one_by_one);
    lat_coords_release(children);
    lat_coords_release(again);
    lat_coords_release(parents);
    lat_coords_release(coords);
    lat_array_release(occupancy);
    lat_array_release(parent_rows);
    lat_array_release(indices);
  }
}

static void refusals(void **state) {
  (void)state;
  const int32_t row[] = {0, INT32_MAX, 0, 0}, one = 1;
  const float wrong = 1.0F;
  lat_coords *coords = make(row, 1, 1), *coarse = make(row, 1, 2), *out = NULL;
  lat_array *array = NULL, *other = NULL;
  int64_t n = -5;
  lat_array_view mask = lat_view_1d(&one, LAT_DTYPE_I32, 1), bad = lat_view_1d(&wrong, LAT_DTYPE_F32, 1);
  lat_test_assert_error(lat_coords_union(context, coords, coarse, &out), LAT_STATUS_INVALID_ARGUMENT,
                        "strides must match");
  lat_test_assert_error(lat_coords_intersection(context, coords, coarse, &out), LAT_STATUS_INVALID_ARGUMENT,
                        "(2, 2, 2)");
  lat_test_assert_error(lat_coords_union(context, coords, NULL, &out), LAT_STATUS_INVALID_ARGUMENT, "coords: got NULL");
  lat_test_assert_error(lat_coords_intersection(NULL, coords, coords, &out), LAT_STATUS_INVALID_ARGUMENT, "context");
  lat_test_assert_error(lat_coords_duplicates(context, NULL, &n), LAT_STATUS_INVALID_ARGUMENT, "coords: got NULL");
  lat_test_assert_error(lat_coords_duplicates(context, coords, NULL), LAT_STATUS_INVALID_ARGUMENT, "out: got NULL");
  assert_int_equal(n, -5);
  lat_test_assert_error(lat_coords_inverse_map(context, coords, NULL, &array), LAT_STATUS_INVALID_ARGUMENT, "NULL");
  lat_test_assert_error(lat_coords_contains(context, coords, &mask, &array), LAT_STATUS_INVALID_SHAPE, "(N, 4)");
  lat_test_assert_error(lat_coords_downsample(context, coords, (lat_triple){2, 0, 2}, &out),
                        LAT_STATUS_INVALID_ARGUMENT, "stride values must be positive: got (2, 0, 2)");
  lat_test_assert_error(lat_coords_downsample(context, coarse, lat_triple_all(1 << 30), &out), LAT_STATUS_OVERFLOW,
                        "stride");
  lat_test_assert_error(lat_morton_codes(context, &mask, &array), LAT_STATUS_INVALID_SHAPE, "(N, 4)");
  lat_test_assert_error(lat_morton_order(context, NULL, &array), LAT_STATUS_INVALID_ARGUMENT, "rows: got NULL");
  lat_test_assert_error(lat_coords_morton_sort(context, NULL, &out, &array, &other), LAT_STATUS_INVALID_ARGUMENT,
                        "coords");
  lat_test_assert_error(lat_coords_morton_sort(context, coords, NULL, &array, &other), LAT_STATUS_INVALID_ARGUMENT,
                        "out");
  lat_test_assert_error(lat_occupancy_downsample(context, coords, &out, NULL), LAT_STATUS_INVALID_ARGUMENT, "out");
  lat_test_assert_error(lat_occupancy_expand(context, coords, &mask, &out, &array, &other), LAT_STATUS_INVALID_ARGUMENT,
                        "must divide");
  lat_test_assert_error(lat_occupancy_expand(context, coarse, &bad, &out, &array, &other), LAT_STATUS_INVALID_DTYPE,
                        "must be int32");
  lat_test_assert_error(lat_occupancy_expand(context, coarse, &mask, &out, &array, &other), LAT_STATUS_OVERFLOW,
                        "at row 0");
  lat_test_assert_error(lat_child_coords(context, coarse, &mask, &out), LAT_STATUS_OVERFLOW, "(2147483647, 0, 0)");
  mask.shape[0] = 0;
  lat_test_assert_error(lat_child_coords(context, coarse, &mask, &out), LAT_STATUS_INVALID_SHAPE, "expected (1,)");
  assert_null(out);
  assert_null(array);
  assert_null(other);
  lat_coords_release(coords);
  lat_coords_release(coarse);
}

#define REFUSES(call, what) lat_test_assert_error((call), LAT_STATUS_INVALID_ARGUMENT, what ": got NULL")

static void null_arguments(void **state) {
  (void)state;
  const int32_t row[] = {0, 4, 4, 4}, one = 1;
  lat_coords *a = make(row, 1, 2), *out = NULL;
  lat_array *array = NULL, *other = NULL;
  int64_t n = 0;
  lat_array_view rows = lat_view_2d(row, LAT_DTYPE_I32, 1, 4), mask = lat_view_1d(&one, LAT_DTYPE_I32, 1);
  REFUSES(lat_coords_contains(NULL, a, &rows, &array), "context");
  REFUSES(lat_coords_contains(context, NULL, &rows, &array), "coords");
  REFUSES(lat_coords_contains(context, a, NULL, &array), "queries");
  REFUSES(lat_coords_contains(context, a, &rows, NULL), "out");
  REFUSES(lat_coords_inverse_map(NULL, a, a, &array), "context");
  REFUSES(lat_coords_inverse_map(context, NULL, a, &array), "coords");
  REFUSES(lat_coords_inverse_map(context, a, NULL, &array), "coords");
  REFUSES(lat_coords_inverse_map(context, a, a, NULL), "out");
  REFUSES(lat_coords_duplicates(NULL, a, &n), "context");
  REFUSES(lat_coords_duplicates(context, NULL, &n), "coords");
  REFUSES(lat_coords_duplicates(context, a, NULL), "out");
  REFUSES(lat_coords_union(NULL, a, a, &out), "context");
  REFUSES(lat_coords_union(context, NULL, a, &out), "coords");
  REFUSES(lat_coords_union(context, a, NULL, &out), "coords");
  REFUSES(lat_coords_union(context, a, a, NULL), "out");
  REFUSES(lat_coords_intersection(NULL, a, a, &out), "context");
  REFUSES(lat_coords_intersection(context, NULL, a, &out), "coords");
  REFUSES(lat_coords_intersection(context, a, NULL, &out), "coords");
  REFUSES(lat_coords_intersection(context, a, a, NULL), "out");
  REFUSES(lat_coords_downsample(NULL, a, lat_triple_all(2), &out), "context");
  REFUSES(lat_coords_downsample(context, NULL, lat_triple_all(2), &out), "coords");
  REFUSES(lat_coords_downsample(context, a, lat_triple_all(2), NULL), "out");
  REFUSES(lat_morton_codes(NULL, &rows, &array), "context");
  REFUSES(lat_morton_codes(context, NULL, &array), "rows");
  REFUSES(lat_morton_codes(context, &rows, NULL), "out");
  REFUSES(lat_morton_order(NULL, &rows, &array), "context");
  REFUSES(lat_morton_order(context, NULL, &array), "rows");
  REFUSES(lat_morton_order(context, &rows, NULL), "out");
  REFUSES(lat_coords_morton_sort(NULL, a, &out, &array, &other), "context");
  REFUSES(lat_coords_morton_sort(context, NULL, &out, &array, &other), "coords");
  REFUSES(lat_coords_morton_sort(context, a, NULL, &array, &other), "out");
  REFUSES(lat_occupancy_downsample(NULL, a, &out, &array), "context");
  REFUSES(lat_occupancy_downsample(context, NULL, &out, &array), "coords");
  REFUSES(lat_occupancy_downsample(context, a, NULL, &array), "out");
  REFUSES(lat_occupancy_downsample(context, a, &out, NULL), "out");
  REFUSES(lat_occupancy_expand(NULL, a, &mask, &out, &array, &other), "context");
  REFUSES(lat_occupancy_expand(context, NULL, &mask, &out, &array, &other), "coords");
  REFUSES(lat_occupancy_expand(context, a, NULL, &out, &array, &other), "occupancy");
  REFUSES(lat_occupancy_expand(context, a, &mask, NULL, &array, &other), "out");
  REFUSES(lat_child_coords(NULL, a, &mask, &out), "context");
  REFUSES(lat_child_coords(context, NULL, &mask, &out), "coords");
  REFUSES(lat_child_coords(context, a, NULL, &out), "child_indices");
  REFUSES(lat_child_coords(context, a, &mask, NULL), "out");
  assert_null(out);
  assert_null(array);
  assert_null(other);
  lat_coords_release(a);
}

static int set_up(void **state) {
  (void)state;
  context = lat_test_context_create(&counter, 2);
  return 0;
}

static int tear_down(void **state) {
  (void)state;
  lat_test_context_finish(context, &counter);
  return 0;
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(sets),   cmocka_unit_test(morton_examples), cmocka_unit_test(morton_order_is_stable),
      cmocka_unit_test(octree), cmocka_unit_test(refusals),        cmocka_unit_test(null_arguments),
  };
  return cmocka_run_group_tests(tests, set_up, tear_down);
}
