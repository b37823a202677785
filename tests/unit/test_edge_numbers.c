// Edge counts, offsets and ids beyond 2^31: relations whose first edge has the number 2^31 - 8 equal, edge by edge and bit
// by bit, the same relations counted from 0, in every view, operator and gradient that walks them.
//
// The arrays have room for all those edges, but only as address space: a page that nobody writes costs nothing.
//
// covers: lat_relation_n_edges lat_relation_edges lat_relation_group_edges
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include <lattice/lattice.h>

#include "core/context_internal.h"
#include "support/tensor_cases.h"
#include "support/test_support.h"

#ifndef MAP_NORESERVE
#define MAP_NORESERVE 0
#endif

enum { N_ROWS = 1300, N_TARGET = 700, C_IN = 5, C_OUT = 6 };

static const int64_t base = (INT64_C(1) << 31) - 8;

// --- memory -----------------------------------------------------------------------------------------------------------

static const size_t large = (size_t)64 << 20;
static int n_refused;

static void *allocate(void *user, size_t bytes, size_t align) {
  void *memory = NULL;
  (void)user;
  if (bytes < large) return posix_memalign(&memory, align, bytes) ? NULL : memory;
  memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  n_refused += memory == MAP_FAILED;
  return memory == MAP_FAILED ? NULL : memory;
}

static void release(void *user, void *pointer, size_t bytes) {
  (void)user;
  if (bytes < large) {
    free(pointer);
  } else {
    munmap(pointer, bytes);
  }
}

/// A context of two threads whose relations begin at edge `first_edge`.
static lat_context *make_context(int64_t first_edge) {
  static const lat_allocator lazy = {allocate, release, NULL};
  lat_context *context = NULL;
  lat_context_opts opts = LAT_CONTEXT_OPTS_INIT;
  opts.allocator = lazy;
  opts.n_threads = 2;
  lat_test_assert_ok(lat_context_create(&opts, &context));
  context->first_edge = first_edge;
  return context;
}

static bool has_address_space(void) {
  void *memory = allocate(NULL, (size_t)base * 8, 64);
  if (memory) {
    release(NULL, memory, (size_t)base * 8);
    return true;
  }
  print_message("skipped: no address space for 2^31 edges\n");
  return false;
}

// --- relations --------------------------------------------------------------------------------------------------------

enum { N_KINDS = 8 };

/// One relation of every kind; the fourth of the transposed ones merges its outputs.
static lat_relation *make_relation(lat_context *context, const lat_coords *in, const lat_coords *target, int kind) {
  lat_relation *relation = NULL;
  lat_kernel_opts opts = LAT_KERNEL_OPTS_INIT;
  lat_status status = LAT_STATUS_OK;
  opts.kernel_size = (lat_triple){3, 1, 3};
  if (kind == 0 || kind == 1) {
    opts.stride = lat_triple_all(2);
    opts.support = kind == 1 ? LAT_SUPPORT_REACH : LAT_SUPPORT_FLOOR;
    status = lat_relation_create_forward(context, in, &opts, &relation);
  } else if (kind == 2) {
    status = lat_relation_create_subm(context, in, &opts, &relation);
  } else if (kind == 3) {
    status = lat_relation_create_target(context, in, target, &opts, &relation);
  } else if (kind == 4 || kind == 5) {
    opts.stride = kind == 4 ? lat_triple_all(1) : lat_triple_all(4);
    status = lat_relation_create_transposed(context, in, &opts, &relation);
  } else if (kind == 6) {
    opts.stride = lat_triple_all(2);
    status = lat_relation_create_generative(context, in, &opts, &relation);
  } else {
    opts.stride = lat_triple_all(2);
    status = lat_relation_create_target_transposed(context, in, target, &opts, &relation);
  }
  lat_test_assert_ok(status);
  return relation;
}

static lat_coords *make_coords(lat_context *context, const int32_t *rows, int64_t n) {
  lat_coords *coords = NULL;
  lat_coords_opts opts = LAT_COORDS_OPTS_INIT;
  lat_array_view view = lat_view_2d(rows, LAT_DTYPE_I32, n, 4);
  opts.stride = lat_triple_all(4);
  lat_test_assert_ok(lat_coords_create(context, &view, &opts, &coords));
  return coords;
}

static void assert_same_rows(const int32_t *high, const int32_t *low, int64_t n) {
  assert_memory_equal(high + base, low, (size_t)n * sizeof *low);
}

static void assert_same_edges(lat_context *const contexts[2], lat_relation *const pair[2]) {
  lat_relation_edge_list low, high;
  lat_test_assert_ok(lat_relation_edges(contexts[0], pair[0], &low));
  lat_test_assert_ok(lat_relation_edges(contexts[1], pair[1], &high));
  assert_true(low.n_edges > 8); // so that edge numbers pass 2^31
  assert_true(high.n_edges == base + low.n_edges);
  assert_true(lat_relation_n_edges(pair[1]) == high.n_edges);
  assert_same_rows(high.in_rows, low.in_rows, low.n_edges);
  assert_same_rows(high.out_rows, low.out_rows, low.n_edges);
  assert_same_rows(high.kernel_ids, low.kernel_ids, low.n_edges);
  for (int group = LAT_RELATION_BY_OUTPUT; group <= LAT_RELATION_BY_KERNEL; group++) {
    lat_relation_csr a, b;
    lat_test_assert_ok(lat_relation_group_edges(contexts[0], pair[0], (lat_relation_group)group, &a));
    lat_test_assert_ok(lat_relation_group_edges(contexts[1], pair[1], (lat_relation_group)group, &b));
    assert_int_equal(a.n_groups, b.n_groups);
    for (int64_t g = 0; g <= a.n_groups; g++) assert_true(b.row_offsets[g] == base + a.row_offsets[g]);
    assert_int_equal(a.edge_ids == NULL, b.edge_ids == NULL);
    for (int64_t i = 0; a.edge_ids && i < low.n_edges; i++) assert_true(b.edge_ids[base + i] == base + a.edge_ids[i]);
  }
}

static void assert_same_maps(lat_context *const contexts[2], lat_relation *const pair[2]) {
  lat_implicit_gemm a, b;
  lat_relation_kind kind = lat_relation_kind_of(pair[0]);
  if (kind == LAT_RELATION_TRANSPOSED || kind == LAT_RELATION_GENERATIVE) return;
  lat_test_assert_ok(lat_relation_implicit_gemm(contexts[0], pair[0], &a));
  lat_test_assert_ok(lat_relation_implicit_gemm(contexts[1], pair[1], &b));
  assert_int_equal(a.n_out, b.n_out);
  assert_memory_equal(a.out_in_map, b.out_in_map, (size_t)a.n_out * (size_t)a.n_kernels * sizeof(int32_t));
  assert_memory_equal(a.row_masks, b.row_masks, (size_t)a.n_out * (size_t)a.n_words * sizeof(int32_t));
}

static void relations_are_shifted(void **state) {
  (void)state;
  if (!has_address_space()) skip();
  lat_context *contexts[2] = {make_context(0), make_context(base)};
  lat_test_random random = {11, 0};
  int32_t *rows = lat_test_random_rows(&random, N_ROWS, 2, 7, 0),
          *target_rows = lat_test_random_rows(&random, N_TARGET, 2, 7, 0);
  for (int kind = 0; kind < N_KINDS; kind++) {
    lat_relation *pair[2];
    for (int i = 0; i < 2; i++) {
      lat_coords *in = make_coords(contexts[i], rows, N_ROWS),
                 *target = make_coords(contexts[i], target_rows, N_TARGET);
      pair[i] = make_relation(contexts[i], in, target, kind);
      lat_coords_release(in);
      lat_coords_release(target);
    }
    assert_same_edges(contexts, pair);
    assert_same_maps(contexts, pair);
    for (int i = 0; i < 2; i++) lat_relation_release(pair[i]);
  }
  free(rows), free(target_rows);
  for (int i = 0; i < 2; i++) lat_context_destroy(contexts[i]);
}

static void neighbors_are_shifted(void **state) {
  (void)state;
  if (!has_address_space()) skip();
  lat_context *contexts[2] = {make_context(0), make_context(base)};
  lat_test_random random = {12, 0};
  int32_t *rows = lat_test_random_rows(&random, 200, 2, 4, 0);
  for (int nearest = 0; nearest < 2; nearest++) {
    lat_neighbors *pair[2] = {NULL, NULL};
    lat_neighbor_list lists[2];
    for (int i = 0; i < 2; i++) {
      lat_coords *coords = make_coords(contexts[i], rows, 200);
      lat_radius_opts radius = LAT_RADIUS_OPTS_INIT;
      radius.radius = 1.5;
      lat_knn_opts knn = LAT_KNN_OPTS_INIT;
      knn.k = 3;
      lat_test_assert_ok(nearest ? lat_neighbors_create_knn(contexts[i], coords, NULL, &knn, &pair[i])
                                 : lat_neighbors_create_radius(contexts[i], coords, NULL, &radius, &pair[i]));
      lists[i] = lat_neighbors_edges(pair[i]);
      lat_coords_release(coords);
    }
    assert_true(lists[0].n_edges > 8 && lists[1].n_edges == base + lists[0].n_edges);
    for (int64_t q = 0; q <= 200; q++) assert_true(lists[1].row_offsets[q] == base + lists[0].row_offsets[q]);
    assert_same_rows(lists[1].query_rows, lists[0].query_rows, lists[0].n_edges);
    assert_same_rows(lists[1].source_rows, lists[0].source_rows, lists[0].n_edges);
    assert_same_rows(lists[1].neighbor_ids, lists[0].neighbor_ids, lists[0].n_edges);
    for (int i = 0; i < 2; i++) lat_neighbors_release(pair[i]);
  }
  free(rows);
  for (int i = 0; i < 2; i++) lat_context_destroy(contexts[i]);
}

// --- operators --------------------------------------------------------------------------------------------------------

typedef lat_status (*conv_fn)(lat_context *, const lat_tensor *, const lat_weight *, const lat_array_view *,
                              const lat_conv3d_opts *, lat_tensor **);
typedef lat_status (*backward_fn)(lat_context *, const lat_tensor *, const lat_weight *, const lat_array_view *,
                                  const lat_conv3d_backward_opts *, lat_conv_grads *);

static const struct {
  conv_fn run;
  backward_fn backward;
  int32_t stride;
  lat_support support;
} convs[] = {
    {lat_conv3d, lat_conv3d_backward, 2, LAT_SUPPORT_REACH},
    {lat_subm_conv3d, lat_subm_conv3d_backward, 1, LAT_SUPPORT_FLOOR},
    {lat_conv_transpose3d, lat_conv_transpose3d_backward, 1, LAT_SUPPORT_FLOOR},
    {lat_normalized_subm_conv3d, NULL, 1, LAT_SUPPORT_FLOOR},
};

/// Everything that one context computes: the result and the gradients of one convolution and one pool.
typedef struct results {
  lat_tensor *y, *pooled;
  lat_conv_grads grads;
  lat_array *pool_dx, *pool_jvp;
} results;

static results compute(lat_context *context, const int32_t *rows, const double *x_values, const double *w_values,
                       size_t which) {
  results r = {.y = NULL};
  const int64_t shape[3] = {9, C_IN, C_OUT};
  float w[9 * C_IN * C_OUT];
  for (int i = 0; i < 9 * C_IN * C_OUT; i++) w[i] = (float)w_values[i];
  lat_weight weight = lat_weight_dense(lat_view(w, LAT_DTYPE_F32, 3, shape));
  lat_conv3d_opts opts = LAT_CONV3D_OPTS_INIT;
  opts.kernel_size = (lat_triple){3, 1, 3};
  opts.stride = lat_triple_all(convs[which].stride);
  opts.support = convs[which].support;
  lat_coords *coords = make_coords(context, rows, N_ROWS);
  lat_tensor *x = lat_test_tensor_on(context, coords, x_values, C_IN, LAT_DTYPE_F32, NULL);
  lat_test_assert_ok(convs[which].run(context, x, &weight, NULL, &opts, &r.y));
  if (convs[which].backward) {
    lat_conv3d_backward_opts backward = LAT_CONV3D_BACKWARD_OPTS_INIT;
    lat_array_view g = lat_tensor_feats(r.y);
    backward.forward = &opts;
    lat_test_assert_ok(convs[which].backward(context, x, &weight, &g, &backward, &r.grads));
  }
  lat_kernel_opts pool = LAT_KERNEL_OPTS_INIT;
  pool.kernel_size = lat_triple_all(3);
  lat_pool_mode mode = (lat_pool_mode)(which % 3);
  lat_array_view tangent = lat_tensor_feats(x);
  lat_test_assert_ok(lat_pool3d(context, x, mode, &pool, &r.pooled));
  lat_array_view pool_g = lat_tensor_feats(r.pooled);
  lat_test_assert_ok(lat_pool3d_backward(context, x, mode, &pool, &pool_g, &r.pool_dx));
  lat_test_assert_ok(lat_pool3d_jvp(context, x, mode, &pool, &tangent, &r.pool_jvp));
  lat_tensor_release(x);
  lat_coords_release(coords);
  return r;
}

static void assert_same_array(const lat_array *a, const lat_array *b) {
  assert_int_equal(a == NULL, b == NULL);
  if (a) lat_test_assert_same_view(lat_array_as_view(a), lat_array_as_view(b));
}

static void operators_give_the_same_bits(void **state) {
  (void)state;
  if (!has_address_space()) skip();
  lat_test_random random = {13, 0};
  int32_t *rows = lat_test_random_rows(&random, N_ROWS, 2, 7, 0);
  double *x = lat_test_random_values(&random, N_ROWS * C_IN, -1, 1),
         *w = lat_test_random_values(&random, 9 * C_IN * C_OUT, -1, 1);
  for (size_t which = 0; which < sizeof convs / sizeof convs[0]; which++) {
    lat_context *contexts[2] = {make_context(0), make_context(base)};
    results r[2];
    for (int i = 0; i < 2; i++) r[i] = compute(contexts[i], rows, x, w, which);
    lat_test_assert_same_view(lat_tensor_feats(r[0].y), lat_tensor_feats(r[1].y));
    lat_test_assert_same_view(lat_tensor_feats(r[0].pooled), lat_tensor_feats(r[1].pooled));
    assert_same_array(r[0].grads.x, r[1].grads.x);
    assert_same_array(r[0].grads.weight, r[1].grads.weight);
    assert_same_array(r[0].grads.bias, r[1].grads.bias);
    assert_same_array(r[0].pool_dx, r[1].pool_dx);
    assert_same_array(r[0].pool_jvp, r[1].pool_jvp);
    for (int i = 0; i < 2; i++) {
      lat_tensor_release(r[i].y), lat_tensor_release(r[i].pooled);
      lat_array_release(r[i].grads.x), lat_array_release(r[i].grads.weight), lat_array_release(r[i].grads.bias);
      lat_array_release(r[i].pool_dx), lat_array_release(r[i].pool_jvp);
      lat_context_destroy(contexts[i]);
    }
  }
  free(rows), free(x), free(w);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(relations_are_shifted),
      cmocka_unit_test(neighbors_are_shifted),
      cmocka_unit_test(operators_give_the_same_bits),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
