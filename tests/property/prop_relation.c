// Kernel relations against the naive reference: random geometry over random coordinates, thread counts, permutations.
// covers: lat_relation_create_forward lat_relation_create_subm lat_relation_create_target lat_relation_out_coords
// covers: lat_relation_edges lat_relation_group_edges lat_relation_release
#include "support/test_support.h"

#include <stdlib.h>
#include <string.h>

#include <lattice/lattice.h>

#include "ref/ref_reach.h"
#include "ref/ref_relation.h"
#include "relation/relation_internal.h"

#define N_CONTEXTS 3
#define N_RELATIONS 4

typedef struct problem {
  uint64_t seed;
  int64_t n_in, n_target;
  int32_t *in;
  int32_t *target;
  lat_triple size, stride, padding, dilation, bounds;
  lat_support support;
} problem;

static const int32_t thread_counts[N_CONTEXTS] = {1, 2, 5};
static lat_context *contexts[N_CONTEXTS];

static int set_up(void **state) {
  (void)state;
  for (int i = 0; i < N_CONTEXTS; i++) {
    lat_context_opts opts = LAT_CONTEXT_OPTS_INIT;
    opts.n_threads = thread_counts[i];
    if (lat_context_create(&opts, &contexts[i])) return 1;
  }
  return 0;
}

static int tear_down(void **state) {
  (void)state;
  for (int i = 0; i < N_CONTEXTS; i++) lat_context_destroy(contexts[i]);
  return 0;
}

// The n-th random number of a case, below `bound`.
static uint32_t draw(uint64_t seed, uint64_t *n, uint32_t bound) {
  uint32_t words[4];
  lat_random_block(seed, 77, (*n)++, words);
  return words[0] % bound;
}

static int32_t wrapped(int64_t value) {
  return value > INT32_MAX ? INT32_MAX : value < INT32_MIN ? INT32_MIN : (int32_t)value;
}

// Rows in clusters: near zero, at the ends of int32, and anywhere, so that packed keys of every width occur.
static void draw_rows(problem *p, uint64_t *n, int32_t *rows, int64_t count, uint32_t extent, uint32_t n_clusters) {
  static const int64_t ends[] = {0, INT32_MIN, INT32_MAX, -5, 1 << 20, -(1 << 26)};
  int64_t centre[4][4];
  for (uint32_t c = 0; c < n_clusters; c++) {
    for (int a = 0; a < 4; a++) centre[c][a] = c == 0 ? 0 : ends[draw(p->seed, n, 6)];
  }
  for (int64_t r = 0; r < count; r++) {
    uint32_t c = draw(p->seed, n, n_clusters);
    rows[4 * r] = wrapped(centre[c][0] + draw(p->seed, n, 3));
    for (int a = 1; a < 4; a++) {
      rows[4 * r + a] = wrapped(centre[c][a] + (int64_t)draw(p->seed, n, extent) - extent / 2);
    }
  }
}

static int32_t draw_size(problem *p, uint64_t *n) {
  static const int32_t sizes[] = {1, 2, 3, 3, 3, 4, 5, 7};
  return sizes[draw(p->seed, n, 8)];
}

static int32_t draw_dilation(problem *p, uint64_t *n) {
  static const int32_t dilations[] = {1, 1, 1, 2, 3, 1 << 20, 300000000};
  return dilations[draw(p->seed, n, 7)];
}

static int32_t draw_padding(problem *p, uint64_t *n) {
  static const int32_t paddings[] = {0, 0, 1, 2};
  return paddings[draw(p->seed, n, 4)];
}

// Reach support multiplies rows: small kernels, and bounds now and then.
static void draw_support(problem *p, uint64_t *n, int64_t max_rows) {
  if (draw(p->seed, n, 3) != 0) return;
  p->support = LAT_SUPPORT_REACH;
  if (p->size.x > 4) p->size.x = 2;
  if (p->size.y > 3) p->size.y = 2;
  if (p->size.z > 3 && p->seed % 5 != 0) p->size.z = 3;
  if (p->n_in > 4000) p->n_in = 4000;
  if (draw(p->seed, n, 2) == 0) return;
  uint32_t most = max_rows > 1000 ? 40 : 12;
  p->bounds = (lat_triple){1 + (int32_t)draw(p->seed, n, most), 1 + (int32_t)draw(p->seed, n, most),
                           1 + (int32_t)draw(p->seed, n, most)};
}

static void make_problem(uint64_t seed, int64_t max_rows, problem *p) {
  uint64_t n = 0;
  memset(p, 0, sizeof *p);
  p->seed = seed;
  p->n_in = draw(seed, &n, (uint32_t)max_rows + 1);
  p->n_target = draw(seed, &n, (uint32_t)max_rows + 1);
  p->in = malloc(((size_t)p->n_in + 1) * 4 * sizeof(int32_t));
  p->target = malloc(((size_t)p->n_target + 1) * 4 * sizeof(int32_t));
  // Large problems have thousands of columns, so that several workers share them.
  uint32_t extent = max_rows > 1000 ? 20 + draw(seed, &n, 40) : 2 + draw(seed, &n, 14);
  uint32_t n_clusters = 1 + draw(seed, &n, 4);
  draw_rows(p, &n, p->in, p->n_in, extent, n_clusters);
  draw_rows(p, &n, p->target, p->n_target, extent, n_clusters);
  p->size = (lat_triple){draw_size(p, &n), draw_size(p, &n), draw_size(p, &n)};
  p->stride =
      (lat_triple){1 + (int32_t)draw(seed, &n, 3), 1 + (int32_t)draw(seed, &n, 3), 1 + (int32_t)draw(seed, &n, 3)};
  if (draw(seed, &n, 3) == 0) p->stride = lat_triple_all(1);
  p->padding = (lat_triple){draw_padding(p, &n), draw_padding(p, &n), draw_padding(p, &n)};
  if (draw(seed, &n, 2) == 0) p->padding = lat_triple_all(0);
  p->dilation = (lat_triple){draw_dilation(p, &n), draw_dilation(p, &n), draw_dilation(p, &n)};
  draw_support(p, &n, max_rows);
}

static void free_problem(problem *p) {
  free(p->in);
  free(p->target);
}

static lat_coords *make_coords(lat_context *context, const int32_t *rows, int64_t n) {
  lat_array_view view = lat_view_2d(rows, LAT_DTYPE_I32, n, 4);
  lat_coords *coords = NULL;
  lat_test_assert_ok(lat_coords_create(context, &view, NULL, &coords));
  return coords;
}

static lat_kernel_opts opts_of(const problem *p) {
  lat_kernel_opts opts = LAT_KERNEL_OPTS_INIT;
  opts.kernel_size = p->size;
  opts.stride = p->stride;
  opts.padding = p->padding;
  opts.dilation = p->dilation;
  opts.support = p->support;
  return opts;
}

static ref_reach reach_of(const problem *p) {
  return (ref_reach){{p->size.x, p->size.y, p->size.z},
                     {p->stride.x, p->stride.y, p->stride.z},
                     {p->padding.x, p->padding.y, p->padding.z},
                     {p->dilation.x, p->dilation.y, p->dilation.z},
                     {p->bounds.x, p->bounds.y, p->bounds.z}};
}

static ref_edges *reference(const problem *p, const int32_t *out, int64_t n_out) {
  if (p->support == LAT_SUPPORT_REACH) {
    ref_reach reach = reach_of(p);
    return ref_reach_edges(p->in, p->n_in, out, n_out, &reach);
  }
  const int32_t size[3] = {p->size.x, p->size.y, p->size.z}, stride[3] = {p->stride.x, p->stride.y, p->stride.z};
  const int32_t padding[3] = {p->padding.x, p->padding.y, p->padding.z};
  const int32_t dilation[3] = {p->dilation.x, p->dilation.y, p->dilation.z};
  return ref_relation_edges(p->in, p->n_in, out, n_out, size, stride, padding, dilation);
}

static void assert_edges(const problem *p, const char *what, lat_context *context, const lat_relation *relation,
                         const ref_edges *expected) {
  lat_relation_edge_list got;
  lat_test_assert_ok(lat_relation_edges(context, relation, &got));
  int same = got.n_edges == expected->n;
  for (int64_t e = 0; same && e < got.n_edges; e++) {
    same = got.in_rows[e] == expected->in[e] && got.out_rows[e] == expected->out[e] &&
           got.kernel_ids[e] == expected->kernel[e];
  }
  if (!same) {
    fail_msg("%s: seed %llu: %lld edges, expected %lld; size (%d, %d, %d) stride (%d, %d, %d) padding (%d, %d, %d) "
             "dilation (%d, %d, %d) support %d rows %lld",
             what, (unsigned long long)p->seed, (long long)got.n_edges, (long long)expected->n, p->size.x, p->size.y,
             p->size.z, p->stride.x, p->stride.y, p->stride.z, p->padding.x, p->padding.y, p->padding.z, p->dilation.x,
             p->dilation.y, p->dilation.z, (int)p->support, (long long)p->n_in);
  }
}

// The edges of every group have its key, ascend, and are all there.
static void assert_groups(const problem *p, lat_context *context, const lat_relation *relation) {
  lat_relation_edge_list edges;
  lat_test_assert_ok(lat_relation_edges(context, relation, &edges));
  const int32_t *keys[] = {edges.out_rows, edges.in_rows, edges.kernel_ids};
  for (int group = LAT_RELATION_BY_OUTPUT; group <= LAT_RELATION_BY_KERNEL; group++) {
    lat_relation_csr csr;
    lat_test_assert_ok(lat_relation_group_edges(context, relation, (lat_relation_group)group, &csr));
    int same = csr.row_offsets[0] == 0 && csr.row_offsets[csr.n_groups] == edges.n_edges;
    for (int64_t g = 0; g < csr.n_groups; g++) {
      int64_t last = -1;
      same = same && csr.row_offsets[g] <= csr.row_offsets[g + 1];
      for (int64_t i = csr.row_offsets[g]; same && i < csr.row_offsets[g + 1]; i++) {
        int64_t e = csr.edge_ids ? csr.edge_ids[i] : i;
        same = e > last && e < edges.n_edges && keys[group][e] == g;
        last = e;
      }
    }
    if (!same) fail_msg("group %d: seed %llu", group, (unsigned long long)p->seed);
  }
}

static void assert_same_pairs(const problem *p, const lat__pairs *a, const lat__pairs *b) {
  int64_t n_lists = a->n_blocks * a->n_kernels;
  int same = a->n_edges == b->n_edges && a->n_blocks == b->n_blocks && a->n_kernels == b->n_kernels &&
             a->n_in == b->n_in && a->n_out == b->n_out;
  same = same && memcmp(a->offsets, b->offsets, (size_t)(n_lists + 1) * sizeof(int64_t)) == 0;
  same = same && memcmp(a->in_rows, b->in_rows, (size_t)a->n_edges * sizeof(int32_t)) == 0;
  same = same && memcmp(a->local_rows, b->local_rows, (size_t)a->n_edges * sizeof(uint16_t)) == 0;
  if (!same) fail_msg("pair lists depend on the thread count: seed %llu", (unsigned long long)p->seed);
}

// Expected rows of the forward relation, malloc'ed; their number, -1 where one leaves int32.
static int64_t expected_support(const problem *p, int32_t **out) {
  const int32_t stride[3] = {p->stride.x, p->stride.y, p->stride.z};
  ref_reach reach = reach_of(p);
  if (p->support == LAT_SUPPORT_REACH) return ref_reach_support(p->in, p->n_in, &reach, out);
  *out = malloc(((size_t)p->n_in + 1) * 4 * sizeof(int32_t));
  return ref_floor_support(p->in, p->n_in, stride, *out);
}

// One relation of each kind in one context, and one onto the input set itself; the caller releases them. The forward one
// is refused where `n_support` says that an output leaves int32.
static void make_relations(lat_context *context, const problem *p, int64_t n_support,
                           lat_relation *relations[N_RELATIONS]) {
  lat_kernel_opts opts = opts_of(p), subm_opts = opts_of(p), forward_opts = opts_of(p);
  forward_opts.bounds = p->bounds;
  subm_opts.kernel_size = (lat_triple){p->size.x | 1, p->size.y | 1, p->size.z | 1};
  subm_opts.stride = subm_opts.padding = lat_triple_all(0);
  lat_coords *in = make_coords(context, p->in, p->n_in), *target = make_coords(context, p->target, p->n_target);
  lat_status status = lat_relation_create_forward(context, in, &forward_opts, &relations[0]);
  if (n_support < 0) {
    lat_test_assert_error(status, LAT_STATUS_OVERFLOW, "an output coordinate leaves int32");
    assert_null(relations[0]);
  } else {
    lat_test_assert_ok(status);
  }
  lat_test_assert_ok(lat_relation_create_subm(context, in, &subm_opts, &relations[1]));
  lat_test_assert_ok(lat_relation_create_target(context, in, target, &opts, &relations[2]));
  lat_test_assert_ok(lat_relation_create_target(context, in, in, &opts, &relations[3]));
  lat_coords_release(target);
  lat_coords_release(in);
}

static void check_forward(const problem *p, lat_context *context, const lat_relation *relation, const int32_t *support,
                          int64_t n_support) {
  const lat_coords *made = lat_relation_out_coords(relation);
  const int32_t *out = p->in;
  int64_t n_out = p->n_in;
  if (made) {
    assert_int_equal(lat_coords_count(made), n_support);
    assert_memory_equal(lat_coords_rows(made).data, support, (size_t)n_support * 4 * sizeof(int32_t));
    out = support;
    n_out = n_support;
  }
  ref_edges *expected = reference(p, out, n_out);
  assert_edges(p, "forward", context, relation, expected);
  ref_edges_free(expected);
}

static void check_relations(const problem *p, lat_context *context, lat_relation *relations[N_RELATIONS]) {
  problem centred = *p;
  centred.support = LAT_SUPPORT_FLOOR;
  centred.size = (lat_triple){p->size.x | 1, p->size.y | 1, p->size.z | 1};
  centred.stride = lat_triple_all(1);
  centred.padding = lat_triple_all(0);
  ref_edges *expected = reference(&centred, p->in, p->n_in);
  assert_edges(&centred, "submanifold", context, relations[1], expected);
  ref_edges_free(expected);
  expected = reference(p, p->target, p->n_target);
  assert_edges(p, "target", context, relations[2], expected);
  ref_edges_free(expected);
  expected = reference(p, p->in, p->n_in);
  assert_edges(p, "target that is the input", context, relations[3], expected);
  ref_edges_free(expected);
  for (int i = 0; i < N_RELATIONS; i++) {
    if (relations[i]) assert_groups(p, context, relations[i]);
  }
}

static void run_case(uint64_t seed, int64_t max_rows) {
  problem p;
  lat_relation *relations[N_CONTEXTS][N_RELATIONS];
  int32_t *support = NULL;
  make_problem(seed, max_rows, &p);
  int64_t n_support = expected_support(&p, &support);
  for (int i = 0; i < N_CONTEXTS; i++) make_relations(contexts[i], &p, n_support, relations[i]);
  if (n_support >= 0) check_forward(&p, contexts[0], relations[0][0], support, n_support);
  check_relations(&p, contexts[0], relations[0]);
  for (int i = 1; i < N_CONTEXTS; i++) {
    for (int kind = n_support < 0; kind < N_RELATIONS; kind++)
      assert_same_pairs(&p, &relations[0][kind]->pairs, &relations[i][kind]->pairs);
  }
  free(support);
  for (int i = 0; i < N_CONTEXTS; i++) {
    for (int kind = 0; kind < N_RELATIONS; kind++) lat_relation_release(relations[i][kind]);
  }
  free_problem(&p);
}

static void small_cases_match_the_reference(void **state) {
  (void)state;
  for (uint64_t seed = 1; seed <= 300; seed++) run_case(seed, seed % 4 == 0 ? 6 : 120);
}

// Large enough that several workers share one relation.
static void large_cases_match_the_reference(void **state) {
  (void)state;
  for (uint64_t seed = 1001; seed <= 1010; seed++) run_case(seed, 20000);
}

// Permuting the input rows permutes in_rows of a target relation and changes nothing else.
static void permuting_input_rows_permutes_edges(void **state) {
  (void)state;
  for (uint64_t seed = 2001; seed <= 2040; seed++) {
    problem p;
    make_problem(seed, 100, &p);
    p.n_in = ref_unique_rows(p.in, p.n_in, p.in, NULL); // which duplicate is first would change
    int32_t *moved = malloc(((size_t)p.n_in + 1) * 4 * sizeof(int32_t));
    for (int64_t r = 0; r < p.n_in; r++) memcpy(moved + 4 * (p.n_in - 1 - r), p.in + 4 * r, 4 * sizeof(int32_t));
    lat_kernel_opts opts = opts_of(&p);
    lat_coords *in = make_coords(contexts[0], p.in, p.n_in), *reversed = make_coords(contexts[0], moved, p.n_in);
    lat_coords *target = make_coords(contexts[0], p.target, p.n_target);
    lat_relation *a = NULL, *b = NULL;
    lat_relation_edge_list ea, eb;
    lat_test_assert_ok(lat_relation_create_target(contexts[0], in, target, &opts, &a));
    lat_test_assert_ok(lat_relation_create_target(contexts[0], reversed, target, &opts, &b));
    lat_test_assert_ok(lat_relation_edges(contexts[0], a, &ea));
    lat_test_assert_ok(lat_relation_edges(contexts[0], b, &eb));
    assert_int_equal(ea.n_edges, eb.n_edges);
    for (int64_t e = 0; e < ea.n_edges; e++) {
      assert_int_equal(ea.in_rows[e], p.n_in - 1 - eb.in_rows[e]);
      assert_int_equal(ea.out_rows[e], eb.out_rows[e]);
      assert_int_equal(ea.kernel_ids[e], eb.kernel_ids[e]);
    }
    lat_relation_release(a);
    lat_relation_release(b);
    lat_coords_release(in);
    lat_coords_release(reversed);
    lat_coords_release(target);
    free(moved);
    free_problem(&p);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(small_cases_match_the_reference),
      cmocka_unit_test(large_cases_match_the_reference),
      cmocka_unit_test(permuting_input_rows_permutes_edges),
  };
  return cmocka_run_group_tests(tests, set_up, tear_down);
}
