// Transposed, generative and target-transposed relations: the worked example, random geometries against the naive reference,
// the exchanged pair lists, cache identity, refusals.
//
// covers: lat_relation_create_transposed lat_relation_create_generative lat_relation_create_target_transposed
// null arguments: lat_relation_create_transposed lat_relation_create_generative
// null arguments: lat_relation_create_target_transposed
#include <stdlib.h>
#include <string.h>

#include <lattice/lattice.h>

#include "ref/ref_transposed.h"
#include "relation/relation_internal.h"
#include "support/test_allocator.h"
#include "support/test_support.h"

#define MAX_ROWS 120

static lat_test_allocator counter;
static lat_context *context;

static lat_coords *make(const int32_t *rows, int64_t n, lat_triple stride) {
  lat_coords *coords = NULL;
  lat_coords_opts opts = LAT_COORDS_OPTS_INIT;
  lat_array_view view = lat_view_2d(rows, LAT_DTYPE_I32, n, 4);
  opts.stride = stride;
  lat_test_assert_ok(lat_coords_create(context, &view, &opts, &coords));
  return coords;
}

static void assert_edges(const lat_relation *relation, const ref_edges *expected) {
  lat_relation_edge_list edges;
  lat_test_assert_ok(lat_relation_edges(context, relation, &edges));
  assert_int_equal(edges.n_edges, expected->n);
  if (expected->n == 0) return;
  size_t bytes = (size_t)expected->n * sizeof(int32_t);
  assert_memory_equal(edges.in_rows, expected->in, bytes);
  assert_memory_equal(edges.out_rows, expected->out, bytes);
  assert_memory_equal(edges.kernel_ids, expected->kernel, bytes);
}

/// The exchanged lists hold the same (in, out, kernel) triples: each is counted once.
static void assert_swapped(const lat_relation *relation) {
  const lat__pairs *by_input = NULL;
  lat_relation_csr csr;
  lat_relation_edge_list edges;
  lat_test_assert_ok(lat__relation_pairs_by_input(context, relation, &by_input));
  lat_test_assert_ok(lat_relation_edges(context, relation, &edges));
  lat_test_assert_ok(lat_relation_group_edges(context, relation, LAT_RELATION_BY_INPUT, &csr));
  assert_int_equal(by_input->n_out, lat_relation_n_in(relation));
  assert_int_equal(by_input->n_in, lat_relation_n_out(relation));
  assert_int_equal(by_input->n_edges, edges.n_edges);
  int64_t n_lists = by_input->n_blocks * by_input->n_kernels;
  assert_int_equal(by_input->offsets[n_lists], edges.n_edges);
  char *seen = calloc((size_t)edges.n_edges + 1, 1);
  assert_non_null(seen);
  for (int64_t list = 0; list < n_lists; list++) {
    for (int64_t p = by_input->offsets[list]; p < by_input->offsets[list + 1]; p++) {
      int64_t in = list / by_input->n_kernels * LAT__PAIR_BLOCK_ROWS + by_input->local_rows[p], found = -1;
      for (int64_t g = csr.row_offsets[in]; g < csr.row_offsets[in + 1] && found < 0; g++) {
        int64_t e = csr.edge_ids[g];
        bool same = edges.out_rows[e] == by_input->in_rows[p] && edges.kernel_ids[e] == list % by_input->n_kernels;
        if (same && !seen[e]) found = e;
      }
      assert_true(found >= 0);
      seen[found] = 1;
    }
  }
  free(seen);
}

static lat_kernel_opts opts_of(const ref_transposed_geometry *g) {
  lat_kernel_opts opts = LAT_KERNEL_OPTS_INIT;
  opts.kernel_size = (lat_triple){g->size[0], g->size[1], g->size[2]};
  opts.stride = (lat_triple){g->stride[0], g->stride[1], g->stride[2]};
  opts.padding = (lat_triple){g->padding[0], g->padding[1], g->padding[2]};
  opts.dilation = (lat_triple){g->dilation[0], g->dilation[1], g->dilation[2]};
  return opts;
}

static bool overlaps(const ref_transposed_geometry *g) {
  bool any = false;
  for (int axis = 0; axis < 3; axis++) any = any || g->stride[axis] <= (g->size[axis] - 1) * g->dilation[axis];
  return any;
}

static void check_geometry(const int32_t *rows, int64_t n, const int32_t *targets, int64_t n_targets,
                           const ref_transposed_geometry *g) {
  lat_relation *relation = NULL, *again = NULL;
  lat_kernel_opts opts = opts_of(g);
  lat_coords *input = make(rows, n, opts.stride), *target = make(targets, n_targets, lat_triple_all(1));
  int32_t *expected_rows = NULL;
  int64_t n_out = 0;
  bool generates = !g->padding[0] && !g->padding[1] && !g->padding[2] && g->dilation[0] == 1 && g->dilation[1] == 1 &&
                   g->dilation[2] == 1;
  for (int generative = 0; generative < 1 + generates; generative++) {
    lat_status (*create)(lat_context *, const lat_coords *, const lat_kernel_opts *, lat_relation **) =
        generative ? lat_relation_create_generative : lat_relation_create_transposed;
    ref_edges *expected = ref_transposed_edges(rows, n, g, !generative && overlaps(g), &expected_rows, &n_out);
    lat_test_assert_ok(create(context, input, &opts, &relation));
    lat_test_assert_ok(create(context, input, &opts, &again));
    assert_ptr_equal(relation, again);
    const lat_coords *out = lat_relation_out_coords(relation);
    assert_int_equal(lat_coords_count(out), n_out);
    assert_int_equal(lat_coords_stride(out).x, 1);
    if (n_out > 0) assert_memory_equal(lat_coords_rows(out).data, expected_rows, (size_t)n_out * 16);
    assert_edges(relation, expected);
    assert_swapped(relation);
    lat_relation_release(relation);
    lat_relation_release(again);
    ref_edges_free(expected);
    free(expected_rows);
  }
  ref_edges *expected = ref_target_transposed_edges(rows, n, targets, n_targets, g);
  lat_test_assert_ok(lat_relation_create_target_transposed(context, input, target, &opts, &relation));
  lat_test_assert_ok(lat_relation_create_target_transposed(context, input, target, &opts, &again));
  assert_ptr_equal(relation, again);
  assert_null(lat_relation_out_coords(relation));
  assert_edges(relation, expected);
  assert_swapped(relation);
  lat_relation_release(relation);
  lat_relation_release(again);
  ref_edges_free(expected);
  lat_coords_release(input);
  lat_coords_release(target);
}

static uint32_t draw(uint64_t stream, uint64_t at) {
  uint32_t block[4];
  lat_random_block(77, stream, at, block);
  return block[0];
}

static void random_geometries(void **state) {
  (void)state;
  int32_t rows[MAX_ROWS * 4], targets[MAX_ROWS * 8];
  for (uint64_t i = 0; i < 80; i++) {
    ref_transposed_geometry g;
    int64_t n = i < 3 ? (int64_t)i : draw(i, 0) % MAX_ROWS, n_targets = i == 5 ? 0 : draw(i, 1) % (2 * MAX_ROWS);
    for (int axis = 0; axis < 3; axis++) {
      g.size[axis] = 1 + (int32_t)(draw(i, 10 + (uint64_t)axis) % 3);
      g.stride[axis] = 1 + (int32_t)(draw(i, 20 + (uint64_t)axis) % 3);
      g.padding[axis] = i % 2 ? (int32_t)(draw(i, 30 + (uint64_t)axis) % 2) : 0;
      g.dilation[axis] = i % 3 ? 1 : 1 + (int32_t)(draw(i, 40 + (uint64_t)axis) % 2);
    }
    for (int64_t r = 0; r < n; r++) {
      rows[4 * r] = (int32_t)(draw(i + 100, 4 * (uint64_t)r) % 2);
      for (int c = 1; c < 4; c++) rows[4 * r + c] = (int32_t)(draw(i + 100, 4 * (uint64_t)r + (uint64_t)c) % 5) - 2;
    }
    for (int64_t r = 0; r < n_targets; r++) {
      targets[4 * r] = (int32_t)(draw(i + 200, 4 * (uint64_t)r) % 2);
      for (int c = 1; c < 4; c++) targets[4 * r + c] = (int32_t)(draw(i + 200, 4 * (uint64_t)r + (uint64_t)c) % 13) - 6;
    }
    check_geometry(rows, n, targets, n_targets, &g);
  }
}

/// Rows that fill several blocks, so that lists of different blocks meet.
static void several_blocks(void **state) {
  (void)state;
  enum { SIDE = 12, ROWS = SIDE * SIDE * SIDE };
  static int32_t rows[ROWS * 4];
  const ref_transposed_geometry g = {{3, 2, 1}, {2, 2, 1}, {1, 0, 0}, {1, 1, 1}};
  for (int32_t r = 0; r < ROWS; r++) {
    rows[4 * r] = 0, rows[4 * r + 1] = r % SIDE, rows[4 * r + 2] = r / SIDE % SIDE, rows[4 * r + 3] = r / SIDE / SIDE;
  }
  check_geometry(rows, 700, rows, ROWS, &g);
}

static void worked_example(void **state) {
  (void)state;
  const int32_t rows[] = {0, 0, 0, 0, 0, 1, 0, 0}, xs[] = {-1, 0, 1, 2, 3};
  const int32_t in[] = {0, 0, 1, 0, 1, 1}, out[] = {0, 1, 2, 2, 3, 4}, kernel[] = {0, 1, 0, 2, 1, 2};
  const int64_t offsets[] = {0, 1, 2, 4, 5, 6};
  lat_kernel_opts opts = LAT_KERNEL_OPTS_INIT;
  opts.kernel_size = (lat_triple){3, 1, 1};
  opts.stride = (lat_triple){2, 1, 1};
  opts.padding = (lat_triple){1, 0, 0};
  lat_relation *relation = NULL;
  lat_relation_edge_list edges;
  lat_relation_csr csr;
  lat_coords *input = make(rows, 2, (lat_triple){2, 1, 1});
  lat_test_assert_ok(lat_relation_create_transposed(context, input, &opts, &relation));
  assert_int_equal(lat_relation_kind_of(relation), LAT_RELATION_TRANSPOSED);
  lat_test_assert_ok(lat_relation_edges(context, relation, &edges));
  lat_test_assert_ok(lat_relation_group_edges(context, relation, LAT_RELATION_BY_OUTPUT, &csr));
  assert_int_equal(edges.n_edges, 6);
  assert_memory_equal(edges.in_rows, in, sizeof in);
  assert_memory_equal(edges.out_rows, out, sizeof out);
  assert_memory_equal(edges.kernel_ids, kernel, sizeof kernel);
  assert_memory_equal(csr.row_offsets, offsets, sizeof offsets);
  for (int r = 0; r < 5; r++) {
    assert_int_equal(((const int32_t *)lat_coords_rows(lat_relation_out_coords(relation)).data)[4 * r + 1], xs[r]);
  }
  lat_relation_release(relation);
  lat_coords_release(input);
}

#define REFUSES(call, status, text)                                                                                    \
  do {                                                                                                                 \
    lat_test_assert_error((call), status, text);                                                                       \
    assert_null(relation);                                                                                             \
  } while (0)

static void refusals(void **state) {
  (void)state;
  const int32_t row[] = {0, INT32_MAX / 2 + 1, 0, 0};
  lat_relation *relation = NULL;
  lat_kernel_opts opts = LAT_KERNEL_OPTS_INIT;
  lat_coords *one = make(row, 1, lat_triple_all(1)), *two = make(row, 1, lat_triple_all(2));
  REFUSES(lat_relation_create_transposed(context, one, NULL, &relation), LAT_STATUS_INVALID_ARGUMENT, "must divide");
  REFUSES(lat_relation_create_generative(context, one, NULL, &relation), LAT_STATUS_INVALID_ARGUMENT, "must divide");
  REFUSES(lat_relation_create_transposed(context, two, NULL, &relation), LAT_STATUS_OVERFLOW, "at row 0");
  REFUSES(lat_relation_create_generative(context, two, NULL, &relation), LAT_STATUS_OVERFLOW, "leaves int32");
  opts.padding = lat_triple_all(1);
  REFUSES(lat_relation_create_generative(context, two, &opts, &relation), LAT_STATUS_INVALID_ARGUMENT, "padding");
  opts.padding = (lat_triple){0, -1, 0};
  REFUSES(lat_relation_create_transposed(context, two, &opts, &relation), LAT_STATUS_INVALID_ARGUMENT, "padding");
  REFUSES(lat_relation_create_target_transposed(context, two, one, &opts, &relation), LAT_STATUS_INVALID_ARGUMENT,
          "padding");
  REFUSES(lat_relation_create_transposed(NULL, two, NULL, &relation), LAT_STATUS_INVALID_ARGUMENT, "context: got NULL");
  REFUSES(lat_relation_create_transposed(context, NULL, NULL, &relation), LAT_STATUS_INVALID_ARGUMENT,
          "input: got NULL");
  REFUSES(lat_relation_create_transposed(context, two, NULL, NULL), LAT_STATUS_INVALID_ARGUMENT, "out: got NULL");
  REFUSES(lat_relation_create_generative(NULL, two, NULL, &relation), LAT_STATUS_INVALID_ARGUMENT, "context: got NULL");
  REFUSES(lat_relation_create_generative(context, NULL, NULL, &relation), LAT_STATUS_INVALID_ARGUMENT,
          "input: got NULL");
  REFUSES(lat_relation_create_generative(context, two, NULL, NULL), LAT_STATUS_INVALID_ARGUMENT, "out: got NULL");
  REFUSES(lat_relation_create_target_transposed(NULL, two, one, NULL, &relation), LAT_STATUS_INVALID_ARGUMENT,
          "context");
  REFUSES(lat_relation_create_target_transposed(context, NULL, one, NULL, &relation), LAT_STATUS_INVALID_ARGUMENT,
          "input: got NULL");
  REFUSES(lat_relation_create_target_transposed(context, two, NULL, NULL, &relation), LAT_STATUS_INVALID_ARGUMENT,
          "target: got NULL");
  REFUSES(lat_relation_create_target_transposed(context, two, one, NULL, NULL), LAT_STATUS_INVALID_ARGUMENT, "out");
  lat_coords_release(one);
  lat_coords_release(two);
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
      cmocka_unit_test(worked_example),
      cmocka_unit_test(random_geometries),
      cmocka_unit_test(several_blocks),
      cmocka_unit_test(refusals),
  };
  return cmocka_run_group_tests(tests, set_up, tear_down);
}
