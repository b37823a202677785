// int64 rows wherever coordinate arrays are taken: the results of int32 rows, and the range error with its row.
// covers: lat_coords_create lat_coords_lookup lat_coords_contains lat_morton_codes lat_morton_order
// covers: lat_sparse_from_coordinates lat_sparse_from_coordinates_backward lat_sparse_collate
#include "support/test_support.h"

#include <stdio.h>

#include <lattice/lattice.h>

#define N_ROWS 5

static lat_context *context;
static lat_coords *set;

static const int32_t narrow[4 * N_ROWS] = {0, 1, 2,         3, 1, INT32_MIN, INT32_MAX, -1, 0, 1,
                                           2, 3, INT32_MAX, 0, 0, 7,         0,         9,  9, 9};
static int64_t wide[4 * N_ROWS], far[4 * N_ROWS];
static const float feats[N_ROWS] = {1, 2, 3, 4, 5};

static int set_up(void **state) {
  (void)state;
  for (int i = 0; i < 4 * N_ROWS; i++) wide[i] = far[i] = narrow[i];
  far[4 * 3 + 2] = (int64_t)INT32_MIN - 1;
  lat_array_view view = lat_view_2d(narrow, LAT_DTYPE_I32, N_ROWS, 4);
  return lat_context_create(NULL, &context) || lat_coords_create(context, &view, NULL, &set);
}

static int tear_down(void **state) {
  (void)state;
  lat_coords_release(set);
  lat_context_destroy(context);
  return 0;
}

// Every function below gives an array that depends on the rows alone.

static lat_status create(const lat_array_view *rows, lat_array **out) {
  lat_coords *coords = NULL;
  lat_status status = lat_coords_create(context, rows, NULL, &coords);
  if (status) return status;
  lat_array_view view = lat_coords_rows(coords);
  status = lat_array_create(context, &view, out);
  lat_coords_release(coords);
  return status;
}

static lat_status lookup(const lat_array_view *rows, lat_array **out) {
  return lat_coords_lookup(context, set, rows, out);
}

static lat_status contains(const lat_array_view *rows, lat_array **out) {
  return lat_coords_contains(context, set, rows, out);
}

static lat_status codes(const lat_array_view *rows, lat_array **out) {
  return lat_morton_codes(context, rows, out);
}

static lat_status order(const lat_array_view *rows, lat_array **out) {
  return lat_morton_order(context, rows, out);
}

static lat_status rows_of(lat_status status, lat_tensor *x, lat_array **out) {
  if (status) return status;
  lat_array_view view = lat_coords_rows(lat_tensor_coords(x));
  status = lat_array_create(context, &view, out);
  lat_tensor_release(x);
  return status;
}

static lat_status from_coordinates(const lat_array_view *rows, lat_array **out) {
  lat_array_view x = lat_view_2d(feats, LAT_DTYPE_F32, N_ROWS, 1);
  lat_from_coordinates_opts opts = LAT_FROM_COORDINATES_OPTS_INIT;
  lat_tensor *made = NULL;
  opts.duplicates = LAT_DUPLICATES_SUM;
  lat_status status = lat_sparse_from_coordinates(context, rows, &x, &opts, &made);
  return rows_of(status, made, out);
}

static lat_status from_coordinates_backward(const lat_array_view *rows, lat_array **out) {
  lat_array_view grad = lat_view_2d(feats, LAT_DTYPE_F32, N_ROWS - 1, 1);
  lat_from_coordinates_opts opts = LAT_FROM_COORDINATES_OPTS_INIT;
  opts.duplicates = LAT_DUPLICATES_SUM;
  return lat_sparse_from_coordinates_backward(context, rows, NULL, &grad, &opts, out);
}

static lat_status collate(const lat_array_view *rows, lat_array **out) {
  lat_array_view xyz = *rows, x = lat_view_2d(feats, LAT_DTYPE_F32, N_ROWS, 1);
  lat_tensor *made = NULL;
  xyz.shape[1] = 3;
  lat_status status = lat_sparse_collate(context, &xyz, &x, 1, NULL, &made);
  return rows_of(status, made, out);
}

typedef lat_status (*rows_function)(const lat_array_view *rows, lat_array **out);

static const struct {
  const char *name; ///< in its error
  rows_function run;
} functions[] = {{"coords_create: coords", create},
                 {"coords_lookup: queries", lookup},
                 {"coords_contains: queries", contains},
                 {"morton_codes: rows", codes},
                 {"morton_order: rows", order},
                 {"sparse_from_coordinates: coords", from_coordinates},
                 {"sparse_from_coordinates_backward: coords", from_coordinates_backward},
                 {"sparse_collate: coords[0]", collate}};
enum { N_FUNCTIONS = sizeof functions / sizeof functions[0] };

static void int64_rows_give_what_int32_rows_give(void **state) {
  (void)state;
  lat_array_view a = lat_view_2d(narrow, LAT_DTYPE_I32, N_ROWS, 4), b = lat_view_2d(wide, LAT_DTYPE_I64, N_ROWS, 4);
  for (int f = 0; f < N_FUNCTIONS; f++) {
    lat_array *expected = NULL, *got = NULL;
    lat_test_assert_ok(functions[f].run(&a, &expected));
    lat_test_assert_ok(functions[f].run(&b, &got));
    lat_array_view view = lat_array_as_view(expected);
    assert_int_equal(lat_array_count(got), lat_array_count(expected));
    assert_int_equal(lat_array_as_view(got).dtype, view.dtype);
    assert_memory_equal(lat_array_data(got), lat_array_data(expected),
                        (size_t)lat_array_count(got) * lat_dtype_bytes(view.dtype));
    lat_array_release(expected);
    lat_array_release(got);
  }
}

static void values_outside_int32_are_refused(void **state) {
  (void)state;
  lat_array_view view = lat_view_2d(far, LAT_DTYPE_I64, N_ROWS, 4);
  for (int f = 0; f < N_FUNCTIONS; f++) {
    char text[160];
    lat_array *out = NULL;
    snprintf(text, sizeof text, "%s leaves int32: got -2147483649 at row 3, expected -2147483648 to 2147483647",
             functions[f].name);
    lat_test_assert_error(functions[f].run(&view, &out), LAT_STATUS_OVERFLOW, text);
    assert_null(out);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(int64_rows_give_what_int32_rows_give),
      cmocka_unit_test(values_outside_int32_are_refused),
  };
  return cmocka_run_group_tests(tests, set_up, tear_down);
}
