// The worked examples of the specification's sections 2 and 3, each with its section: Z-order, kernel offsets, relations
// with exact lengths (0.1: no tails). The implicit-GEMM views of 3.8 are in golden_relation_views.c.
// covers: lat_morton_codes lat_morton_order lat_coords_morton_sort lat_kernel_offsets lat_relation_create_forward
// covers: lat_relation_create_subm lat_relation_create_target lat_relation_create_transposed
// covers: lat_relation_create_generative lat_relation_edges lat_relation_group_edges
#include "support/test_support.h"

#include <string.h>

#include <lattice/lattice.h>

#include "support/tensor_cases.h"

static lat_context *context;

static int set_up(void **state) {
  (void)state;
  lat_test_assert_ok(lat_context_create(NULL, &context));
  return 0;
}

static int tear_down(void **state) {
  (void)state;
  lat_context_destroy(context);
  return 0;
}

/// `n` rows on the x axis of batch item 0.
static lat_coords *on_x_axis(const int32_t *x, int64_t n, int32_t stride) {
  int32_t rows[8][4] = {{0}};
  lat_coords *coords = NULL;
  for (int64_t r = 0; r < n; r++) rows[r][1] = x[r];
  lat_array_view view = lat_view_2d(rows, LAT_DTYPE_I32, n, 4);
  lat_coords_opts opts = {sizeof opts, {stride, stride, stride}};
  lat_test_assert_ok(lat_coords_create(context, &view, &opts, &coords));
  return coords;
}

static void assert_ints(const int32_t *got, const int32_t *expected, int64_t n, const char *what) {
  for (int64_t i = 0; i < n; i++) {
    if (got[i] != expected[i]) fail_msg("%s[%lld]: got %d, expected %d", what, (long long)i, got[i], expected[i]);
  }
}

static void assert_longs(const int64_t *got, const int64_t *expected, int64_t n, const char *what) {
  for (int64_t i = 0; i < n; i++) {
    if (got[i] != expected[i]) {
      fail_msg("%s[%lld]: got %lld, expected %lld", what, (long long)i, (long long)got[i], (long long)expected[i]);
    }
  }
}

typedef struct expected_edges {
  int64_t n_edges, n_out;
  int32_t in_rows[8], out_rows[8], kernel_ids[8];
  int64_t row_offsets[9];
} expected_edges;

static void assert_edges(const lat_relation *relation, const expected_edges *expected) {
  lat_relation_edge_list edges;
  lat_relation_csr rows;
  lat_test_assert_ok(lat_relation_edges(context, relation, &edges));
  lat_test_assert_ok(lat_relation_group_edges(context, relation, LAT_RELATION_BY_OUTPUT, &rows));
  assert_int_equal(edges.n_edges, expected->n_edges);
  assert_int_equal(lat_relation_n_edges(relation), expected->n_edges);
  assert_int_equal(lat_relation_n_out(relation), expected->n_out);
  assert_int_equal(rows.n_groups, expected->n_out);
  assert_ints(edges.in_rows, expected->in_rows, expected->n_edges, "in_rows");
  assert_ints(edges.out_rows, expected->out_rows, expected->n_edges, "out_rows");
  assert_ints(edges.kernel_ids, expected->kernel_ids, expected->n_edges, "kernel_ids");
  assert_longs(rows.row_offsets, expected->row_offsets, expected->n_out + 1, "row_offsets");
}

static void assert_x(const lat_coords *coords, const int32_t *x, int64_t n) {
  lat_array_view rows = lat_coords_rows(coords);
  assert_int_equal(rows.shape[0], n);
  for (int64_t r = 0; r < n; r++) {
    const int32_t *row = (const int32_t *)rows.data + 4 * r;
    int32_t expected[4] = {0, x[r], 0, 0};
    assert_ints(row, expected, 4, "row");
  }
}

/// 2.2.
static void morton_order(void **state) {
  (void)state;
  int32_t rows[4][4] = {{0, 1, 1, 0}, {1, 0, 0, 0}, {0, 0, 1, 1}, {0, 0, 0, 0}};
  int32_t order[4] = {3, 0, 2, 1}, inverse[4] = {1, 3, 2, 0};
  lat_array_view view = lat_view_2d(rows, LAT_DTYPE_I32, 4, 4);
  lat_array *got = NULL, *sorted_order = NULL, *sorted_inverse = NULL;
  lat_coords *coords = NULL, *sorted = NULL;
  lat_test_assert_ok(lat_morton_order(context, &view, &got));
  lat_test_assert_ok(lat_coords_create(context, &view, NULL, &coords));
  lat_test_assert_ok(lat_coords_morton_sort(context, coords, &sorted, &sorted_order, &sorted_inverse));
  assert_int_equal(lat_array_count(got), 4);
  assert_int_equal(lat_array_count(sorted_inverse), 4);
  assert_ints(lat_array_data(got), order, 4, "order");
  assert_ints(lat_array_data(sorted_order), order, 4, "sorted order");
  assert_ints(lat_array_data(sorted_inverse), inverse, 4, "inverse");
  for (int r = 0; r < 4; r++) {
    assert_ints((const int32_t *)lat_coords_rows(sorted).data + 4 * r, rows[order[r]], 4, "sorted row");
  }
  lat_array_release(sorted_inverse);
  lat_array_release(sorted_order);
  lat_array_release(got);
  lat_coords_release(sorted);
  lat_coords_release(coords);
}

/// 2.2: the full int32 range of values, 4 bits of the batch.
static void morton_codes(void **state) {
  (void)state;
  int32_t rows[3][4] = {{0, 1, 2, 4}, {0, -1, 0, 0}, {9, 0, 0, 0}};
  int64_t codes[3] = {273, INT64_C(1317624576693539401), INT64_C(-8070450532247928832)};
  lat_array_view view = lat_view_2d(rows, LAT_DTYPE_I32, 3, 4);
  lat_array *got = NULL;
  lat_test_assert_ok(lat_morton_codes(context, &view, &got));
  assert_int_equal(lat_array_count(got), 3);
  assert_longs(lat_array_data(got), codes, 3, "code");
  lat_array_release(got);
}

/// 3.2: k = (ix * Ky + iy) * Kz + iz; odd axes centred, even ones forward, (3, 2, 1) mixes; times dilation.
static void kernel_offsets(void **state) {
  (void)state;
  int32_t offsets[6][3] = {{-2, 0, 0}, {-2, 5, 0}, {0, 0, 0}, {0, 5, 0}, {2, 0, 0}, {2, 5, 0}};
  lat_kernel_opts opts = LAT_KERNEL_OPTS_INIT;
  lat_array *got = NULL;
  opts.kernel_size = (lat_triple){3, 2, 1};
  opts.dilation = (lat_triple){2, 5, 1};
  lat_test_assert_ok(lat_kernel_offsets(context, &opts, &got));
  assert_int_equal(lat_array_count(got), 18);
  assert_ints(lat_array_data(got), offsets[0], 18, "offset");
  lat_array_release(got);
}

/// 3.3: padding shifts the window, it is no "same" padding.
static void padded_line(void **state) {
  (void)state;
  int32_t x[3] = {0, 1, 2};
  expected_edges expected = {6, 3, {0, 0, 1, 0, 1, 2}, {0, 1, 1, 2, 2, 2}, {2, 1, 2, 0, 1, 2}, {0, 1, 3, 6}};
  lat_kernel_opts opts = LAT_KERNEL_OPTS_INIT;
  lat_coords *coords = on_x_axis(x, 3, 1);
  lat_relation *relation = NULL;
  opts.kernel_size = (lat_triple){3, 1, 1};
  opts.padding = (lat_triple){1, 0, 0};
  lat_test_assert_ok(lat_relation_create_forward(context, coords, &opts, &relation));
  assert_edges(relation, &expected);
  assert_x(lat_relation_out_coords(relation), x, 3);
  lat_relation_release(relation);
  lat_coords_release(coords);
}

/// 3.3: the edges of the line and its three grouped views, the same for the forward, submanifold and target relation.
static void line(void **state) {
  (void)state;
  int32_t x[3] = {0, 1, 2};
  expected_edges expected = {7, 3, {0, 1, 0, 1, 2, 1, 2}, {0, 0, 1, 1, 1, 2, 2}, {1, 2, 0, 1, 2, 0, 1}, {0, 2, 5, 7}};
  int64_t offsets[4] = {0, 2, 5, 7};
  int64_t by_input[7] = {0, 2, 1, 3, 5, 4, 6}, by_kernel[7] = {2, 5, 0, 3, 6, 1, 4};
  lat_kernel_opts opts = LAT_KERNEL_OPTS_INIT;
  lat_coords *coords = on_x_axis(x, 3, 1), *target = on_x_axis(x, 3, 1);
  lat_relation *relations[3] = {NULL, NULL, NULL};
  opts.kernel_size = (lat_triple){3, 1, 1};
  lat_test_assert_ok(lat_relation_create_forward(context, coords, &opts, &relations[0]));
  lat_test_assert_ok(lat_relation_create_subm(context, coords, &opts, &relations[1]));
  lat_test_assert_ok(lat_relation_create_target(context, coords, target, &opts, &relations[2]));
  for (int i = 0; i < 3; i++) {
    lat_relation_csr csr;
    assert_edges(relations[i], &expected);
    lat_test_assert_ok(lat_relation_group_edges(context, relations[i], LAT_RELATION_BY_INPUT, &csr));
    assert_int_equal(csr.n_groups, 3);
    assert_longs(csr.row_offsets, offsets, 4, "input offsets");
    assert_longs(csr.edge_ids, by_input, 7, "input edge ids");
    lat_test_assert_ok(lat_relation_group_edges(context, relations[i], LAT_RELATION_BY_KERNEL, &csr));
    assert_int_equal(csr.n_groups, 3);
    assert_longs(csr.row_offsets, offsets, 4, "kernel offsets");
    assert_longs(csr.edge_ids, by_kernel, 7, "kernel edge ids");
    lat_relation_release(relations[i]);
  }
  lat_coords_release(target);
  lat_coords_release(coords);
}

/// 3.3: an output without edges is still there (kernel 1, stride 2, only odd coordinates).
static void output_without_edges(void **state) {
  (void)state;
  int32_t x[3] = {1, 3, -1}, halves[3] = {0, 1, -1};
  expected_edges expected = {0, 3, {0}, {0}, {0}, {0, 0, 0, 0}};
  lat_kernel_opts opts = LAT_KERNEL_OPTS_INIT;
  lat_coords *coords = on_x_axis(x, 3, 1);
  lat_relation *relation = NULL;
  opts.kernel_size = lat_triple_all(1);
  opts.stride = (lat_triple){2, 1, 1};
  lat_test_assert_ok(lat_relation_create_forward(context, coords, &opts, &relation));
  assert_edges(relation, &expected);
  assert_x(lat_relation_out_coords(relation), halves, 3);
  lat_relation_release(relation);
  lat_coords_release(coords);
}

/// 3.4: two overlapping footprints, without the tail (0.1).
static void transposed_line(void **state) {
  (void)state;
  int32_t x[2] = {0, 1}, fine[5] = {-1, 0, 1, 2, 3};
  expected_edges expected = {6, 5, {0, 0, 1, 0, 1, 1}, {0, 1, 2, 2, 3, 4}, {0, 1, 0, 2, 1, 2}, {0, 1, 2, 4, 5, 6}};
  lat_kernel_opts opts = LAT_KERNEL_OPTS_INIT;
  lat_coords *coords = on_x_axis(x, 2, 2);
  lat_relation *relation = NULL;
  opts.kernel_size = (lat_triple){3, 1, 1};
  opts.stride = (lat_triple){2, 1, 1};
  opts.padding = (lat_triple){1, 0, 0};
  lat_test_assert_ok(lat_relation_create_transposed(context, coords, &opts, &relation));
  assert_edges(relation, &expected);
  assert_x(lat_relation_out_coords(relation), fine, 5);
  lat_relation_release(relation);
  lat_coords_release(coords);
}

/// 3.5: generated rows are never merged, here with two rows at x = 2.
static void generative_line(void **state) {
  (void)state;
  int32_t x[2] = {0, 1}, fine[6] = {0, 1, 2, 2, 3, 4};
  expected_edges expected = {6, 6, {0, 0, 0, 1, 1, 1}, {0, 1, 2, 3, 4, 5}, {0, 1, 2, 0, 1, 2}, {0, 1, 2, 3, 4, 5, 6}};
  lat_kernel_opts opts = LAT_KERNEL_OPTS_INIT;
  lat_coords *coords = on_x_axis(x, 2, 2);
  lat_relation *relation = NULL;
  opts.kernel_size = (lat_triple){3, 1, 1};
  opts.stride = (lat_triple){2, 1, 1};
  lat_test_assert_ok(lat_relation_create_generative(context, coords, &opts, &relation));
  assert_edges(relation, &expected);
  assert_x(lat_relation_out_coords(relation), fine, 6);
  lat_relation_release(relation);
  lat_coords_release(coords);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(morton_order),
      cmocka_unit_test(morton_codes),
      cmocka_unit_test(kernel_offsets),
      cmocka_unit_test(padded_line),
      cmocka_unit_test(line),
      cmocka_unit_test(output_without_edges),
      cmocka_unit_test(transposed_line),
      cmocka_unit_test(generative_line),
  };
  return cmocka_run_group_tests(tests, set_up, tear_down);
}
