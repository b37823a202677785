// Coordinate sets: creation, checks, identity, lookup, the coarser sets and the cache of derived objects.
// covers: lat_coords_create lat_coords_count lat_coords_rows lat_coords_stride lat_coords_id lat_coords_lookup
// covers: lat_coords_retain lat_coords_release
#include "support/test_support.h"

#include <stdlib.h>
#include <string.h>

#include <lattice/lattice.h>

#include "coords/coords_internal.h"
#include "ref/ref_relation.h"

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

static lat_coords *make_coords(const int32_t *rows, int64_t n) {
  lat_array_view view = lat_view_2d(rows, LAT_DTYPE_I32, n, 4);
  lat_coords *coords = NULL;
  lat_test_assert_ok(lat_coords_create(context, &view, NULL, &coords));
  return coords;
}

static void rows_are_copied_in_order(void **state) {
  (void)state;
  int32_t rows[] = {1, 2, 3, 4, -1, INT32_MIN, INT32_MAX, 0, 1, 2, 3, 4};
  const int32_t copy[] = {1, 2, 3, 4, -1, INT32_MIN, INT32_MAX, 0, 1, 2, 3, 4};
  lat_coords *coords = make_coords(rows, 3);
  rows[0] = 99;
  lat_array_view view = lat_coords_rows(coords);
  assert_int_equal(lat_coords_count(coords), 3);
  assert_int_equal(view.shape[0], 3);
  assert_int_equal(view.shape[1], 4);
  assert_memory_equal(view.data, copy, sizeof copy); // duplicates are kept
  assert_int_equal(lat_coords_stride(coords).x, 1);
  lat_coords_release(coords);
}

static void strided_and_int64_views_are_read(void **state) {
  (void)state;
  static const int64_t wide[] = {INT32_MAX, INT32_MIN, 3, 2, 1, 0, 7, 6, 5, 4};
  static const int32_t expected[] = {2, 3, INT32_MIN, INT32_MAX, 6, 7, 0, 1};
  lat_array_view view = {wide + 3, LAT_DTYPE_I64, LAT_DEVICE_CPU, 2, {2, 4}, {4, -1}};
  static const int32_t narrow[] = {0, 9, 9, 1, 9, 9, 2, 9, 9, 3};
  static const int32_t expected_narrow[] = {0, 1, 2, 3, 0, 1, 2, 3};
  lat_array_view repeated = {narrow, LAT_DTYPE_I32, LAT_DEVICE_CPU, 2, {2, 4}, {0, 3}};
  lat_coords *coords = NULL;
  lat_test_assert_ok(lat_coords_create(context, &view, NULL, &coords));
  assert_memory_equal(lat_coords_rows(coords).data, expected, sizeof expected);
  lat_coords_release(coords);
  lat_test_assert_ok(lat_coords_create(context, &repeated, NULL, &coords));
  assert_memory_equal(lat_coords_rows(coords).data, expected_narrow, sizeof expected_narrow);
  lat_coords_release(coords);
}

static void every_set_has_its_own_identity(void **state) {
  (void)state;
  static const int32_t rows[] = {0, 0, 0, 0};
  lat_coords *a = make_coords(rows, 1), *b = make_coords(rows, 1);
  assert_true(lat_coords_id(a) != lat_coords_id(b));
  uint64_t id = lat_coords_id(b);
  assert_ptr_equal(lat_coords_retain(b), b);
  lat_coords_release(b);
  lat_coords_release(b);
  b = make_coords(rows, 1); // perhaps at the same address
  assert_true(lat_coords_id(b) != id);
  lat_coords_release(a);
  lat_coords_release(b);
  lat_coords_release(NULL);
  assert_null(lat_coords_retain(NULL));
}

static void assert_create_fails(const lat_array_view *view, const lat_coords_opts *opts, lat_status expected,
                                const char *fragment) {
  lat_coords *out = (lat_coords *)&context;
  lat_test_assert_error(lat_coords_create(context, view, opts, &out), expected, fragment);
  assert_null(out);
}

static void bad_rows_are_refused(void **state) {
  (void)state;
  static const int32_t rows[8] = {0};
  static const int64_t wide[] = {0, 0, 0, 0, 0, 1, INT64_C(1) << 31, 0};
  static const int64_t low[] = {0, 0, 0, INT64_C(-2147483649)};
  lat_array_view view = lat_view_2d(rows, LAT_DTYPE_I32, 2, 3);
  assert_create_fails(&view, NULL, LAT_STATUS_INVALID_SHAPE, "coords must have shape (N, 4): got (2, 3)");
  view = lat_view_1d(rows, LAT_DTYPE_I32, 4);
  assert_create_fails(&view, NULL, LAT_STATUS_INVALID_SHAPE, "coords must have shape (N, 4): got (4,)");
  view = lat_view_2d(rows, LAT_DTYPE_F32, 2, 4);
  assert_create_fails(&view, NULL, LAT_STATUS_INVALID_DTYPE, "coords must be int32 or int64: got float32");
  view = lat_view_2d(rows, (lat_dtype)99, 2, 4);
  assert_create_fails(&view, NULL, LAT_STATUS_INVALID_DTYPE, "99");
  view = lat_view_2d(NULL, LAT_DTYPE_I32, 2, 4);
  assert_create_fails(&view, NULL, LAT_STATUS_INVALID_ARGUMENT, "coords data: got NULL");
  view = lat_view_2d(rows, LAT_DTYPE_I32, 2, 4);
  view.shape[0] = -1;
  assert_create_fails(&view, NULL, LAT_STATUS_INVALID_SHAPE, "negative");
  view = (lat_array_view){rows, LAT_DTYPE_I32, LAT_DEVICE_CPU, 2, {INT64_C(1) << 31, 4}, {0, 1}};
  assert_create_fails(&view, NULL, LAT_STATUS_OVERFLOW, "too many rows: got 2147483648, expected at most 2147483647");
  view = lat_view_2d(wide, LAT_DTYPE_I64, 2, 4);
  assert_create_fails(&view, NULL, LAT_STATUS_OVERFLOW, "got 2147483648 at row 1");
  view = lat_view_2d(low, LAT_DTYPE_I64, 1, 4);
  assert_create_fails(&view, NULL, LAT_STATUS_OVERFLOW, "got -2147483649 at row 0");
  assert_create_fails(NULL, NULL, LAT_STATUS_INVALID_ARGUMENT, "coords: got NULL");
}

static void bad_arguments_are_refused(void **state) {
  (void)state;
  static const int32_t rows[4] = {0};
  lat_array_view view = lat_view_2d(rows, LAT_DTYPE_I32, 1, 4);
  lat_coords_opts opts = LAT_COORDS_OPTS_INIT;
  lat_coords *out = (lat_coords *)&context;
  opts.stride = (lat_triple){1, 0, 1};
  assert_create_fails(&view, &opts, LAT_STATUS_INVALID_ARGUMENT, "stride values must be positive: got (1, 0, 1)");
  opts.stride = (lat_triple){1, 1, -2};
  assert_create_fails(&view, &opts, LAT_STATUS_INVALID_ARGUMENT, "stride values must be positive: got (1, 1, -2)");
  opts.struct_bytes = 1;
  assert_create_fails(&view, &opts, LAT_STATUS_INVALID_ARGUMENT, "struct_bytes");
  lat_test_assert_error(lat_coords_create(NULL, &view, NULL, &out), LAT_STATUS_INVALID_ARGUMENT, "context: got NULL");
  assert_null(out);
  lat_test_assert_error(lat_coords_create(context, &view, NULL, NULL), LAT_STATUS_INVALID_ARGUMENT, "out: got NULL");
}

static void lookup_finds_the_first_row(void **state) {
  (void)state;
  static const int32_t rows[] = {0, 5, 5, 5, 0, 1, 1, 1, 0, 5, 5, 5, 1, 5, 5, 5, 0, INT32_MIN, INT32_MAX, -1};
  static const int64_t queries[] = {0, 1, 1, 1, 0, 5,         5,         5,  1, 5, 5, 5,
                                    2, 5, 5, 5, 0, INT32_MIN, INT32_MAX, -1, 0, 5, 5, 4};
  static const int32_t expected[] = {1, 0, 3, -1, 4, -1};
  lat_coords *coords = make_coords(rows, 5);
  lat_array_view view = lat_view_2d(queries, LAT_DTYPE_I64, 6, 4);
  lat_array *found = NULL;
  for (int round = 0; round < 2; round++) { // the second uses the index of the first
    lat_test_assert_ok(lat_coords_lookup(context, coords, &view, &found));
    assert_int_equal(lat_array_count(found), 6);
    assert_int_equal(lat_array_as_view(found).dtype, LAT_DTYPE_I32);
    assert_memory_equal(lat_array_as_view(found).data, expected, sizeof expected);
    lat_array_release(found);
  }
  lat_coords_release(coords);
}

static void lookup_takes_empty_sets_and_queries(void **state) {
  (void)state;
  static const int32_t row[] = {0, 0, 0, 0};
  lat_coords *empty = make_coords(NULL, 0), *one = make_coords(row, 1);
  lat_array_view query = lat_view_2d(row, LAT_DTYPE_I32, 1, 4), none = lat_view_2d(NULL, LAT_DTYPE_I32, 0, 4);
  lat_array *found = NULL;
  assert_int_equal(lat_coords_count(empty), 0);
  lat_test_assert_ok(lat_coords_lookup(context, empty, &query, &found));
  assert_int_equal(*(const int32_t *)lat_array_as_view(found).data, -1);
  lat_array_release(found);
  lat_test_assert_ok(lat_coords_lookup(context, one, &none, &found));
  assert_int_equal(lat_array_count(found), 0);
  lat_array_release(found);
  lat_coords_release(empty);
  lat_coords_release(one);
}

static void bad_lookups_are_refused(void **state) {
  (void)state;
  static const int32_t row[] = {0, 0, 0, 0};
  static const int64_t wide[] = {0, 0, 0, INT64_C(1) << 40};
  lat_coords *coords = make_coords(row, 1);
  lat_array_view view = lat_view_2d(row, LAT_DTYPE_I32, 1, 4);
  lat_array *out = (lat_array *)coords;
  lat_test_assert_error(lat_coords_lookup(context, NULL, &view, &out), LAT_STATUS_INVALID_ARGUMENT, "coords: got NULL");
  assert_null(out);
  lat_test_assert_error(lat_coords_lookup(NULL, coords, &view, &out), LAT_STATUS_INVALID_ARGUMENT, "context: got NULL");
  lat_test_assert_error(lat_coords_lookup(context, coords, &view, NULL), LAT_STATUS_INVALID_ARGUMENT,
                        "out_rows: got NULL");
  out = (lat_array *)coords;
  lat_test_assert_error(lat_coords_lookup(context, coords, NULL, &out), LAT_STATUS_INVALID_ARGUMENT,
                        "queries: got NULL");
  assert_null(out);
  view = lat_view_2d(row, LAT_DTYPE_I32, 2, 2);
  lat_test_assert_error(lat_coords_lookup(context, coords, &view, &out), LAT_STATUS_INVALID_SHAPE,
                        "queries must have shape (N, 4)");
  view = lat_view_2d(row, LAT_DTYPE_U8, 1, 4);
  lat_test_assert_error(lat_coords_lookup(context, coords, &view, &out), LAT_STATUS_INVALID_DTYPE,
                        "queries must be int32 or int64");
  view = lat_view_2d(wide, LAT_DTYPE_I64, 1, 4);
  lat_test_assert_error(lat_coords_lookup(context, coords, &view, &out), LAT_STATUS_OVERFLOW, "queries leaves int32");
  assert_null(out);
  lat_coords_release(coords);
}

static void downsampling_floors_and_keeps_first_seen_order(void **state) {
  (void)state;
  static const int32_t rows[] = {0, 3, 3, 3, 0, -1, -1, -1, 0, 2, 2, 2, 1, 3, 3, 3, 0, -2, -2, -2, 0, -3, 0, 0};
  static const int32_t expected[] = {0, 1, 1, 1, 0, -1, -1, -1, 1, 1, 1, 1, 0, -2, 0, 0};
  lat_coords *coords = make_coords(rows, 6), *coarse = NULL, *again = NULL, *other = NULL;
  lat_test_assert_ok(lat__coords_downsample(context, "test", coords, lat_triple_all(2), &coarse));
  assert_int_equal(lat_coords_count(coarse), 4);
  assert_memory_equal(lat_coords_rows(coarse).data, expected, sizeof expected);
  assert_int_equal(lat_coords_stride(coarse).z, 2);
  lat_test_assert_ok(lat__coords_downsample(context, "test", coords, lat_triple_all(2), &again));
  assert_ptr_equal(again, coarse);
  lat_test_assert_ok(lat__coords_downsample(context, "test", coords, (lat_triple){2, 2, 1}, &other));
  assert_true(lat_coords_id(other) != lat_coords_id(coarse));
  lat_coords_release(coords); // the coarse sets outlive it
  assert_int_equal(lat_coords_count(coarse), 4);
  lat_coords_release(coarse);
  lat_coords_release(again);
  lat_coords_release(other);
}

static void downsampling_matches_the_reference(void **state) {
  (void)state;
  enum { N = 700 };
  static int32_t rows[4 * N], expected[4 * N];
  for (uint64_t seed = 0; seed < 40; seed++) {
    const int32_t stride[3] = {1 + (int32_t)(seed % 3), 1 + (int32_t)(seed / 3 % 4), seed % 7 ? 2 : INT32_MAX};
    for (int64_t i = 0; i < 4 * N; i++) {
      uint32_t words[4];
      lat_random_block(seed, 3, (uint64_t)i, words);
      rows[i] = i % 4 ? (int32_t)(words[0] % 11) - 5 : (int32_t)(words[0] % 2);
      if (seed % 5 == 0 && i % 4 && words[1] % 8 == 0) rows[i] = (int32_t)words[2]; // anywhere in int32
    }
    int64_t n = ref_floor_support(rows, N, stride, expected);
    lat_coords *coords = make_coords(rows, N), *coarse = NULL;
    lat_triple divisor = {stride[0], stride[1], stride[2]};
    lat_test_assert_ok(lat__coords_downsample(context, "test", coords, divisor, &coarse));
    assert_int_equal(lat_coords_count(coarse), n);
    assert_memory_equal(lat_coords_rows(coarse).data, expected, (size_t)n * 4 * sizeof(int32_t));
    lat_coords_release(coarse);
    lat_coords_release(coords);
  }
}

static void unique_rows_match_the_reference(void **state) {
  (void)state;
  enum { N = 3000 };
  static int32_t rows[4 * N], unique[4 * N], inverse[N], expected[4 * N], expected_inverse[N];
  for (int64_t i = 0; i < 4 * N; i++) {
    uint32_t words[4];
    lat_random_block(11, 4, (uint64_t)i, words);
    rows[i] = (int32_t)(words[0] % 8) - 4;
  }
  int64_t n = 0, n_expected = ref_unique_rows(rows, N, expected, expected_inverse);
  lat_test_assert_ok(lat__backend_of(context)->unique_rows(context, rows, N, unique, inverse, &n));
  assert_int_equal(n, n_expected);
  assert_memory_equal(unique, expected, (size_t)n * 4 * sizeof(int32_t));
  assert_memory_equal(inverse, expected_inverse, sizeof inverse);
  lat_test_assert_ok(lat__backend_of(context)->unique_rows(context, rows, 0, unique, NULL, &n));
  assert_int_equal(n, 0);
}

static void a_stride_beyond_int32_is_refused(void **state) {
  (void)state;
  static const int32_t row[] = {0, 0, 0, 0};
  lat_array_view view = lat_view_2d(row, LAT_DTYPE_I32, 1, 4);
  lat_coords_opts opts = LAT_COORDS_OPTS_INIT;
  lat_coords *coords = NULL, *out = NULL;
  opts.stride = (lat_triple){1, 1 << 30, 1};
  lat_test_assert_ok(lat_coords_create(context, &view, &opts, &coords));
  lat_test_assert_error(lat__coords_downsample(context, "test", coords, lat_triple_all(2), &out), LAT_STATUS_OVERFLOW,
                        "output stride leaves int32: got (1, 1073741824, 1) times (2, 2, 2)");
  assert_null(out);
  lat_coords_release(coords);
}

static int live_objects;

static void *retain_counted(void *object) {
  *(int *)object += 1;
  live_objects++;
  return object;
}

static void release_counted(void *object) {
  *(int *)object -= 1;
  live_objects--;
}

static void the_cache_is_bounded_and_drops_the_least_recently_used(void **state) {
  (void)state;
  static const lat__cache_ops ops = {retain_counted, release_counted};
  static const int32_t row[] = {0, 0, 0, 0};
  int objects[LAT__COORDS_CACHE_SLOTS + 3] = {0};
  lat_coords *coords = make_coords(row, 1);
  lat__cache_key key;
  memset(&key, 0, sizeof key);
  for (int i = 0; i < LAT__COORDS_CACHE_SLOTS; i++) {
    key.other_id = (uint64_t)i;
    assert_ptr_equal(lat__coords_cache_put(coords, &key, &ops, &objects[i]), &objects[i]);
  }
  assert_int_equal(live_objects, LAT__COORDS_CACHE_SLOTS);
  key.other_id = 0; // used again, so the second oldest goes
  assert_ptr_equal(lat__coords_cache_get(coords, &key), &objects[0]);
  release_counted(&objects[0]);
  key.other_id = 1000;
  assert_ptr_equal(lat__coords_cache_put(coords, &key, &ops, &objects[LAT__COORDS_CACHE_SLOTS]),
                   &objects[LAT__COORDS_CACHE_SLOTS]);
  assert_int_equal(live_objects, LAT__COORDS_CACHE_SLOTS);
  assert_int_equal(objects[0], 1);
  assert_int_equal(objects[1], 0);
  key.other_id = 1;
  assert_null(lat__coords_cache_get(coords, &key));
  key.other_id = 1000; // somebody else was first: the caller gets theirs, and its own is dropped
  int *own = retain_counted(&objects[LAT__COORDS_CACHE_SLOTS + 1]);
  assert_ptr_equal(lat__coords_cache_put(coords, &key, &ops, own), &objects[LAT__COORDS_CACHE_SLOTS]);
  assert_int_equal(*own, 0);
  release_counted(&objects[LAT__COORDS_CACHE_SLOTS]);
  lat_coords_release(coords);
  assert_int_equal(live_objects, 0);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(rows_are_copied_in_order),
      cmocka_unit_test(strided_and_int64_views_are_read),
      cmocka_unit_test(every_set_has_its_own_identity),
      cmocka_unit_test(bad_rows_are_refused),
      cmocka_unit_test(bad_arguments_are_refused),
      cmocka_unit_test(lookup_finds_the_first_row),
      cmocka_unit_test(lookup_takes_empty_sets_and_queries),
      cmocka_unit_test(bad_lookups_are_refused),
      cmocka_unit_test(downsampling_floors_and_keeps_first_seen_order),
      cmocka_unit_test(downsampling_matches_the_reference),
      cmocka_unit_test(unique_rows_match_the_reference),
      cmocka_unit_test(a_stride_beyond_int32_is_refused),
      cmocka_unit_test(the_cache_is_bounded_and_drops_the_least_recently_used),
  };
  return cmocka_run_group_tests(tests, set_up, tear_down);
}
