// Kernel relations: worked examples, grouped views, kernel offsets, and every refusal.
// covers: lat_kernel_offsets lat_relation_create_forward lat_relation_create_subm lat_relation_create_target
// covers: lat_relation_kind_of lat_relation_n_edges lat_relation_n_in lat_relation_n_out lat_relation_n_kernels
// covers: lat_relation_out_coords lat_relation_edges lat_relation_group_edges lat_relation_retain lat_relation_release
#include "support/test_support.h"

#include <stdlib.h>
#include <string.h>

#include <lattice/lattice.h>

#include "relation/relation_internal.h"

static lat_context *context;
static lat_coords *line; // x = 0, 1, 2

static lat_coords *make_coords(const int32_t *rows, int64_t n) {
  lat_array_view view = lat_view_2d(rows, LAT_DTYPE_I32, n, 4);
  lat_coords *coords = NULL;
  lat_test_assert_ok(lat_coords_create(context, &view, NULL, &coords));
  return coords;
}

static int set_up(void **state) {
  static const int32_t rows[] = {0, 0, 0, 0, 0, 1, 0, 0, 0, 2, 0, 0};
  (void)state;
  if (lat_context_create(NULL, &context)) return 1;
  line = make_coords(rows, 3);
  return 0;
}

static int tear_down(void **state) {
  (void)state;
  lat_coords_release(line);
  lat_context_destroy(context);
  return 0;
}

static lat_kernel_opts opts_of(lat_triple size, lat_triple stride, lat_triple padding) {
  lat_kernel_opts opts = LAT_KERNEL_OPTS_INIT;
  opts.kernel_size = size;
  opts.stride = stride;
  opts.padding = padding;
  return opts;
}

static void assert_edges(const lat_relation *relation, int64_t n, const int32_t *in, const int32_t *out,
                         const int32_t *kernel) {
  lat_relation_edge_list edges;
  lat_test_assert_ok(lat_relation_edges(context, relation, &edges));
  assert_int_equal(edges.n_edges, n);
  assert_int_equal(lat_relation_n_edges(relation), n);
  assert_memory_equal(edges.in_rows, in, (size_t)n * sizeof(int32_t));
  assert_memory_equal(edges.out_rows, out, (size_t)n * sizeof(int32_t));
  assert_memory_equal(edges.kernel_ids, kernel, (size_t)n * sizeof(int32_t));
}

static void assert_group(const lat_relation *relation, lat_relation_group group, int64_t n_groups,
                         const int64_t *offsets, const int64_t *ids) {
  lat_relation_csr csr, again;
  lat_test_assert_ok(lat_relation_group_edges(context, relation, group, &csr));
  assert_int_equal(csr.n_groups, n_groups);
  assert_memory_equal(csr.row_offsets, offsets, (size_t)(n_groups + 1) * sizeof(int64_t));
  if (ids) {
    assert_memory_equal(csr.edge_ids, ids, (size_t)offsets[n_groups] * sizeof(int64_t));
  } else {
    assert_null(csr.edge_ids);
  }
  lat_test_assert_ok(lat_relation_group_edges(context, relation, group, &again));
  assert_ptr_equal(again.row_offsets, csr.row_offsets); // built once
}

static void a_line_under_a_kernel_of_three(void **state) {
  (void)state;
  static const int32_t in[] = {0, 1, 0, 1, 2, 1, 2}, out[] = {0, 0, 1, 1, 1, 2, 2}, kernel[] = {1, 2, 0, 1, 2, 0, 1};
  static const int64_t offsets[] = {0, 2, 5, 7};
  static const int64_t in_ids[] = {0, 2, 1, 3, 5, 4, 6}, kernel_ids[] = {2, 5, 0, 3, 6, 1, 4};
  lat_kernel_opts opts = opts_of((lat_triple){3, 1, 1}, lat_triple_all(0), lat_triple_all(0));
  lat_relation *forward = NULL, *subm = NULL, *target = NULL;
  lat_test_assert_ok(lat_relation_create_forward(context, line, &opts, &forward));
  lat_test_assert_ok(lat_relation_create_subm(context, line, &opts, &subm));
  lat_test_assert_ok(lat_relation_create_target(context, line, line, &opts, &target));
  assert_int_equal(lat_relation_kind_of(forward), LAT_RELATION_FORWARD);
  assert_int_equal(lat_relation_kind_of(subm), LAT_RELATION_SUBMANIFOLD);
  assert_int_equal(lat_relation_kind_of(target), LAT_RELATION_TARGET);
  const lat_relation *all[] = {forward, subm, target};
  for (int i = 0; i < 3; i++) {
    assert_edges(all[i], 7, in, out, kernel);
    assert_group(all[i], LAT_RELATION_BY_INPUT, 3, offsets, in_ids);
    assert_group(all[i], LAT_RELATION_BY_KERNEL, 3, offsets, kernel_ids);
    assert_group(all[i], LAT_RELATION_BY_OUTPUT, 3, offsets, NULL);
    assert_null(lat_relation_out_coords(all[i]));
    assert_int_equal(lat_relation_n_in(all[i]), 3);
    assert_int_equal(lat_relation_n_out(all[i]), 3);
    assert_int_equal(lat_relation_n_kernels(all[i]), 3);
  }
  lat_relation_release(forward);
  lat_relation_release(subm);
  lat_relation_release(target);
}

static void padding_shifts_the_window_and_not_the_support(void **state) {
  (void)state;
  static const int32_t in[] = {0, 0, 1, 0, 1, 2}, out[] = {0, 1, 1, 2, 2, 2}, kernel[] = {2, 1, 2, 0, 1, 2};
  static const int64_t offsets[] = {0, 1, 3, 6};
  lat_kernel_opts opts = opts_of((lat_triple){3, 1, 1}, lat_triple_all(1), (lat_triple){1, 0, 0});
  lat_relation *relation = NULL;
  lat_test_assert_ok(lat_relation_create_forward(context, line, &opts, &relation));
  assert_edges(relation, 6, in, out, kernel);
  assert_group(relation, LAT_RELATION_BY_OUTPUT, 3, offsets, NULL);
  const lat_coords *made = lat_relation_out_coords(relation); // padded: a set of its own, with the same rows
  assert_non_null(made);
  assert_true(lat_coords_id(made) != lat_coords_id(line));
  assert_memory_equal(lat_coords_rows(made).data, lat_coords_rows(line).data, 12 * sizeof(int32_t));
  assert_int_equal(lat_coords_stride(made).x, 1);
  lat_relation_release(relation);
}

static void a_strided_output_may_have_no_edge(void **state) {
  (void)state;
  static const int32_t rows[] = {0, 1, 1, 1, 0, -1, 3, 5, 0, 2, 2, 2}, in[] = {2}, out[] = {2}, kernel[] = {0};
  static const int32_t support[] = {0, 0, 0, 0, 0, -1, 1, 2, 0, 1, 1, 1};
  static const int64_t offsets[] = {0, 0, 0, 1};
  lat_coords *coords = make_coords(rows, 3);
  lat_kernel_opts opts = opts_of(lat_triple_all(1), lat_triple_all(2), lat_triple_all(0));
  lat_relation *relation = NULL;
  lat_test_assert_ok(lat_relation_create_forward(context, coords, &opts, &relation));
  assert_int_equal(lat_relation_n_out(relation), 3);
  assert_memory_equal(lat_coords_rows(lat_relation_out_coords(relation)).data, support, sizeof support);
  assert_int_equal(lat_coords_stride(lat_relation_out_coords(relation)).y, 2);
  assert_edges(relation, 1, in, out, kernel);
  assert_group(relation, LAT_RELATION_BY_OUTPUT, 3, offsets, NULL);
  lat_relation_release(relation);
  lat_coords_release(coords);
}

static void a_target_keeps_all_its_rows(void **state) {
  (void)state;
  static const int32_t rows[] = {0, 1, 0, 0, 0, 9, 9, 9, 0, 1, 0, 0, 1, 1, 0, 0};
  static const int32_t in[] = {0, 1, 2, 0, 1, 2}, out[] = {0, 0, 0, 2, 2, 2}, kernel[] = {0, 1, 2, 0, 1, 2};
  lat_coords *target = make_coords(rows, 4);
  lat_kernel_opts opts = opts_of((lat_triple){3, 1, 1}, lat_triple_all(0), lat_triple_all(0));
  lat_relation *relation = NULL;
  lat_test_assert_ok(lat_relation_create_target(context, line, target, &opts, &relation));
  assert_int_equal(lat_relation_n_out(relation), 4);
  assert_edges(relation, 6, in, out, kernel);
  lat_relation_release(relation);
  lat_coords_release(target);
}

static void of_duplicate_inputs_the_first_is_taken(void **state) {
  (void)state;
  static const int32_t rows[] = {0, 1, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0};
  static const int32_t in[] = {1, 0, 1, 0, 1, 0}, out[] = {0, 0, 1, 1, 2, 2}, kernel[] = {0, 1, 1, 2, 0, 1};
  lat_coords *coords = make_coords(rows, 3);
  lat_kernel_opts opts = opts_of((lat_triple){3, 1, 1}, lat_triple_all(0), lat_triple_all(0));
  lat_relation *relation = NULL;
  lat_test_assert_ok(lat_relation_create_subm(context, coords, &opts, &relation));
  assert_edges(relation, 6, in, out, kernel);
  lat_relation_release(relation);
  lat_coords_release(coords);
}

static void batches_do_not_meet(void **state) {
  (void)state;
  static const int32_t rows[] = {0, 0, 0, 0, 1, 0, 0, 1, -1, 0, 0, 0};
  static const int32_t own[] = {0, 1, 2}, kernel[] = {13, 13, 13};
  lat_coords *coords = make_coords(rows, 3);
  lat_relation *relation = NULL;
  lat_test_assert_ok(lat_relation_create_subm(context, coords, NULL, &relation)); // NULL options: 3x3x3
  assert_int_equal(lat_relation_n_kernels(relation), 27);
  assert_edges(relation, 3, own, own, kernel);
  lat_relation_release(relation);
  lat_coords_release(coords);
}

// Neighbouring positions beyond the ends of int32 exist for nobody; nothing wraps round to the other end.
static void the_ends_of_int32_are_ordinary(void **state) {
  (void)state;
  static const int32_t rows[] = {0,         INT32_MIN, INT32_MAX, INT32_MIN, 0,         INT32_MAX,
                                 INT32_MIN, INT32_MAX, 0,         INT32_MIN, INT32_MAX, INT32_MIN + 1};
  static const int32_t in[] = {0, 2, 1, 0, 2}, out[] = {0, 0, 1, 2, 2}, kernel[] = {13, 14, 13, 12, 13};
  lat_coords *coords = make_coords(rows, 3);
  lat_kernel_opts wide = opts_of((lat_triple){2, 1, 1}, lat_triple_all(0), lat_triple_all(0));
  lat_kernel_opts strided = opts_of(lat_triple_all(1), lat_triple_all(INT32_MAX), lat_triple_all(0));
  lat_relation *relation = NULL;
  lat_test_assert_ok(lat_relation_create_subm(context, coords, NULL, &relation));
  assert_edges(relation, 5, in, out, kernel);
  lat_relation_release(relation);
  wide.dilation = (lat_triple){INT32_MAX, 1, 1}; // from INT32_MIN it reaches -1, where nothing is
  lat_test_assert_ok(lat_relation_create_forward(context, coords, &wide, &relation));
  assert_int_equal(lat_relation_n_edges(relation), 3);
  lat_relation_release(relation);
  lat_test_assert_ok(lat_relation_create_forward(context, coords, &strided, &relation));
  assert_int_equal(lat_relation_n_out(relation), 3); // floor(INT32_MIN / INT32_MAX) = -2, whose position is below int32
  assert_int_equal(lat_relation_n_edges(relation), 0);
  lat_relation_release(relation);
  lat_coords_release(coords);
}

static void empty_sets_give_empty_relations(void **state) {
  (void)state;
  static const int64_t zeros[28] = {0};
  lat_coords *empty = make_coords(NULL, 0);
  lat_kernel_opts strided = opts_of(lat_triple_all(2), lat_triple_all(2), lat_triple_all(0));
  lat_relation *relations[4] = {NULL};
  lat_test_assert_ok(lat_relation_create_subm(context, empty, NULL, &relations[0]));
  lat_test_assert_ok(lat_relation_create_forward(context, empty, &strided, &relations[1]));
  lat_test_assert_ok(lat_relation_create_target(context, empty, line, NULL, &relations[2]));
  lat_test_assert_ok(lat_relation_create_target(context, line, empty, NULL, &relations[3]));
  for (int i = 0; i < 4; i++) {
    assert_edges(relations[i], 0, NULL, NULL, NULL);
    assert_group(relations[i], LAT_RELATION_BY_INPUT, i == 3 ? 3 : 0, zeros, zeros);
    assert_group(relations[i], LAT_RELATION_BY_OUTPUT, i == 2 ? 3 : 0, zeros, NULL);
    assert_group(relations[i], LAT_RELATION_BY_KERNEL, i == 1 ? 8 : 27, zeros, zeros);
    lat_relation_release(relations[i]);
  }
  lat_coords_release(empty);
}

static void kernel_offsets_are_centred_or_forward(void **state) {
  (void)state;
  static const int32_t expected[] = {-2, 0, 0, -2, 3, 0, 0, 0, 0, 0, 3, 0, 2, 0, 0, 2, 3, 0};
  lat_kernel_opts opts = opts_of((lat_triple){3, 2, 1}, lat_triple_all(0), lat_triple_all(0));
  lat_array *offsets = NULL;
  opts.dilation = (lat_triple){2, 3, 4};
  lat_test_assert_ok(lat_kernel_offsets(context, &opts, &offsets));
  assert_int_equal(lat_array_as_view(offsets).shape[0], 6);
  assert_int_equal(lat_array_as_view(offsets).shape[1], 3);
  assert_memory_equal(lat_array_as_view(offsets).data, expected, sizeof expected);
  lat_array_release(offsets);
  lat_test_assert_ok(lat_kernel_offsets(context, NULL, &offsets));
  assert_int_equal(lat_array_as_view(offsets).shape[0], 27);
  lat_array_release(offsets);
}

typedef struct bad_geometry {
  lat_triple size, stride, padding, dilation;
  lat_status status;
  const char *fragment;
} bad_geometry;

static void bad_geometry_is_refused(void **state) {
  (void)state;
  const lat_triple d = {0, 0, 0}; // the default
  const bad_geometry cases[] = {
      {{0, 3, 3}, d, d, d, LAT_STATUS_INVALID_ARGUMENT, "kernel_size values must be positive: got (0, 3, 3)"},
      {{3, 3, -1}, d, d, d, LAT_STATUS_INVALID_ARGUMENT, "kernel_size values must be positive: got (3, 3, -1)"},
      {d, {1, 0, 1}, d, d, LAT_STATUS_INVALID_ARGUMENT, "stride values must be positive: got (1, 0, 1)"},
      {d, {-2, 2, 2}, d, d, LAT_STATUS_INVALID_ARGUMENT, "stride values must be positive: got (-2, 2, 2)"},
      {d, d, {0, -1, 0}, d, LAT_STATUS_INVALID_ARGUMENT, "padding values must be non-negative: got (0, -1, 0)"},
      {d, d, d, {1, 1, 0}, LAT_STATUS_INVALID_ARGUMENT, "dilation values must be positive: got (1, 1, 0)"},
      {d, d, d, {-1, 1, 1}, LAT_STATUS_INVALID_ARGUMENT, "dilation values must be positive: got (-1, 1, 1)"},
      {{5, 1, 1}, d, d, {1 << 30, 1, 1}, LAT_STATUS_OVERFLOW, "kernel offsets leave int32"},
      {{1, 1, 4}, d, d, {1, 1, 1 << 30}, LAT_STATUS_OVERFLOW, "kernel offsets leave int32"},
      {{1301, 1301, 1301}, d, d, d, LAT_STATUS_OVERFLOW, "kernel volume leaves int32"},
      {{65536, 32768, 1}, d, d, d, LAT_STATUS_OVERFLOW, "kernel volume leaves int32"},
  };
  for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
    lat_kernel_opts opts = opts_of(cases[i].size, cases[i].stride, cases[i].padding);
    opts.dilation = cases[i].dilation;
    lat_relation *out = (lat_relation *)line;
    lat_array *offsets = (lat_array *)line;
    lat_test_assert_error(lat_relation_create_forward(context, line, &opts, &out), cases[i].status, cases[i].fragment);
    assert_null(out);
    out = (lat_relation *)line;
    lat_test_assert_error(lat_relation_create_subm(context, line, &opts, &out), cases[i].status, cases[i].fragment);
    assert_null(out);
    out = (lat_relation *)line;
    lat_test_assert_error(lat_relation_create_target(context, line, line, &opts, &out), cases[i].status,
                          cases[i].fragment);
    assert_null(out);
    lat_test_assert_error(lat_kernel_offsets(context, &opts, &offsets), cases[i].status, cases[i].fragment);
    assert_null(offsets);
  }
}

static void submanifold_geometry_is_checked(void **state) {
  (void)state;
  const lat_triple d = {0, 0, 0};
  lat_kernel_opts even = opts_of((lat_triple){3, 2, 3}, d, d), strided = opts_of(d, (lat_triple){1, 2, 1}, d);
  lat_kernel_opts padded = opts_of(d, d, (lat_triple){0, 0, 1});
  lat_relation *out = (lat_relation *)line;
  lat_test_assert_error(lat_relation_create_subm(context, line, &even, &out), LAT_STATUS_INVALID_ARGUMENT,
                        "odd kernel_size values: got (3, 2, 3)");
  assert_null(out);
  lat_test_assert_error(lat_relation_create_subm(context, line, &strided, &out), LAT_STATUS_INVALID_ARGUMENT,
                        "stride must be 1: got (1, 2, 1)");
  lat_test_assert_error(lat_relation_create_subm(context, line, &padded, &out), LAT_STATUS_INVALID_ARGUMENT,
                        "padding must be 0: got (0, 0, 1)");
  assert_null(out);
}

static void a_stride_beyond_int32_is_refused(void **state) {
  (void)state;
  static const int32_t row[] = {0, 0, 0, 0};
  lat_array_view view = lat_view_2d(row, LAT_DTYPE_I32, 1, 4);
  lat_coords_opts coords_opts = LAT_COORDS_OPTS_INIT;
  lat_kernel_opts opts = opts_of(lat_triple_all(1), lat_triple_all(65536), lat_triple_all(0));
  lat_coords *coords = NULL;
  lat_relation *out = (lat_relation *)line;
  coords_opts.stride = lat_triple_all(32768);
  lat_test_assert_ok(lat_coords_create(context, &view, &coords_opts, &coords));
  lat_test_assert_error(lat_relation_create_forward(context, coords, &opts, &out), LAT_STATUS_OVERFLOW,
                        "relation_create_forward: output stride leaves int32");
  assert_null(out);
  lat_coords_release(coords);
}

static void missing_arguments_are_refused(void **state) {
  (void)state;
  lat_relation *relation = NULL, *out = (lat_relation *)line;
  lat_relation_edge_list edges = {0};
  lat_relation_csr csr = {0};
  lat_array *offsets = NULL;
  lat_kernel_opts opts = LAT_KERNEL_OPTS_INIT;
  const lat_status bad = LAT_STATUS_INVALID_ARGUMENT;
  lat_test_assert_error(lat_relation_create_forward(context, NULL, NULL, &out), bad, "input: got NULL");
  assert_null(out);
  lat_test_assert_error(lat_relation_create_forward(NULL, line, NULL, &out), bad, "context: got NULL");
  lat_test_assert_error(lat_relation_create_forward(context, line, NULL, NULL), bad, "out: got NULL");
  lat_test_assert_error(lat_relation_create_subm(context, NULL, NULL, &out), bad, "input: got NULL");
  lat_test_assert_error(lat_relation_create_subm(context, line, NULL, NULL), bad, "out: got NULL");
  lat_test_assert_error(lat_relation_create_target(context, line, NULL, NULL, &out), bad, "target: got NULL");
  lat_test_assert_error(lat_relation_create_target(context, NULL, line, NULL, &out), bad, "input: got NULL");
  assert_null(out);
  lat_test_assert_error(lat_kernel_offsets(context, NULL, NULL), bad, "out: got NULL");
  lat_test_assert_error(lat_kernel_offsets(NULL, NULL, &offsets), bad, "context: got NULL");
  opts.struct_bytes = 2;
  lat_test_assert_error(lat_relation_create_subm(context, line, &opts, &out), bad, "struct_bytes");
  lat_test_assert_ok(lat_relation_create_subm(context, line, NULL, &relation));
  lat_test_assert_error(lat_relation_edges(context, NULL, &edges), bad, "relation: got NULL");
  lat_test_assert_error(lat_relation_edges(NULL, relation, &edges), bad, "context: got NULL");
  lat_test_assert_error(lat_relation_edges(context, relation, NULL), bad, "out: got NULL");
  lat_test_assert_error(lat_relation_group_edges(context, NULL, LAT_RELATION_BY_INPUT, &csr), bad,
                        "relation: got NULL");
  lat_test_assert_error(lat_relation_group_edges(context, relation, (lat_relation_group)3, &csr), bad,
                        "group is unknown: got 3");
  lat_test_assert_error(lat_relation_group_edges(context, relation, (lat_relation_group)-1, &csr), bad,
                        "group is unknown: got -1");
  lat_relation_release(relation);
  lat_relation_release(NULL);
  assert_null(lat_relation_retain(NULL));
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(a_line_under_a_kernel_of_three),
      cmocka_unit_test(padding_shifts_the_window_and_not_the_support),
      cmocka_unit_test(a_strided_output_may_have_no_edge),
      cmocka_unit_test(a_target_keeps_all_its_rows),
      cmocka_unit_test(of_duplicate_inputs_the_first_is_taken),
      cmocka_unit_test(batches_do_not_meet),
      cmocka_unit_test(the_ends_of_int32_are_ordinary),
      cmocka_unit_test(empty_sets_give_empty_relations),
      cmocka_unit_test(kernel_offsets_are_centred_or_forward),
      cmocka_unit_test(bad_geometry_is_refused),
      cmocka_unit_test(submanifold_geometry_is_checked),
      cmocka_unit_test(a_stride_beyond_int32_is_refused),
      cmocka_unit_test(missing_arguments_are_refused),
  };
  return cmocka_run_group_tests(tests, set_up, tear_down);
}
