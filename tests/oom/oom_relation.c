// Out of memory in kernel relations, with the n-th allocation refused for every n.
#include <lattice/lattice.h>

#include "support/test_allocator.h"
#include "support/test_support.h"

#define N_ROWS 150

static int32_t rows[N_ROWS][4];

static int fill_inputs(void **state) {
  (void)state;
  for (int32_t i = 0; i < N_ROWS; i++) {
    const int32_t row[4] = {i % 2, i / 10 - 5, i % 5, -i % 3};
    for (int axis = 0; axis < 4; axis++) rows[i][axis] = row[axis];
  }
  return 0;
}

static lat_status make_coords(lat_context *context, int64_t n_rows, lat_coords **out) {
  lat_array_view view = lat_view_2d(rows, LAT_DTYPE_I32, n_rows, 4);
  return lat_coords_create(context, &view, NULL, out);
}

static void record_edges(const lat_relation_edge_list *edges) {
  size_t bytes = (size_t)edges->n_edges * sizeof(int32_t);
  lat_test_oom_record(edges->in_rows, bytes);
  lat_test_oom_record(edges->out_rows, bytes);
  lat_test_oom_record(edges->kernel_ids, bytes);
}

// Edges and all three grouped views of a relation, each built on first use.
static lat_status use_relation(lat_context *context, const lat_relation *relation) {
  lat_relation_edge_list edges = {0};
  lat_relation_csr csr = {0};
  lat_status status = lat_relation_edges(context, relation, &edges);
  if (status == LAT_STATUS_OK) record_edges(&edges);
  for (int group = LAT_RELATION_BY_OUTPUT; group <= LAT_RELATION_BY_KERNEL && status == LAT_STATUS_OK; group++) {
    status = lat_relation_group_edges(context, relation, (lat_relation_group)group, &csr);
    if (status == LAT_STATUS_OK) {
      lat_test_oom_record(csr.row_offsets, (size_t)(csr.n_groups + 1) * sizeof(int64_t));
    }
  }
  return status;
}

// The implicit-GEMM views of a relation that has them.
static lat_status use_gemm_views(lat_context *context, const lat_relation *relation) {
  lat_sorted_implicit_gemm sorted;
  if (lat_relation_n_kernels(relation) > 32) return LAT_STATUS_OK;
  lat_status status = lat_relation_sorted_implicit_gemm(context, relation, &sorted);
  if (status == LAT_STATUS_OK) {
    lat_test_oom_record(sorted.reorder_rows, (size_t)sorted.n_out * sizeof(int32_t));
    lat_test_oom_record(sorted.tile_masks, (size_t)sorted.n_tile_masks * sizeof(int32_t));
  } else {
    assert_null(sorted.reorder_rows);
  }
  return status;
}

static lat_status finish_relation(lat_context *context, lat_status status, lat_relation *relation) {
  if (status == LAT_STATUS_OK) {
    status = use_relation(context, relation);
    if (status == LAT_STATUS_OK) status = use_gemm_views(context, relation);
  } else {
    assert_null(relation);
  }
  lat_relation_release(relation);
  return status;
}

static lat_status forward_body(lat_context *context) {
  lat_kernel_opts opts = LAT_KERNEL_OPTS_INIT;
  lat_coords *coords = NULL;
  lat_relation *relation = NULL;
  opts.kernel_size = lat_triple_all(3);
  opts.stride = lat_triple_all(2);
  opts.padding = lat_triple_all(1);
  lat_status status = make_coords(context, N_ROWS, &coords);
  if (status == LAT_STATUS_OK) status = lat_relation_create_forward(context, coords, &opts, &relation);
  status = finish_relation(context, status, relation);
  lat_coords_release(coords);
  return status;
}

static lat_status reach_body(lat_context *context) {
  lat_kernel_opts opts = LAT_KERNEL_OPTS_INIT;
  lat_coords *coords = NULL;
  lat_relation *relation = NULL;
  opts.kernel_size = lat_triple_all(3);
  opts.stride = (lat_triple){2, 3, 1};
  opts.support = LAT_SUPPORT_REACH;
  opts.bounds = lat_triple_all(50);
  lat_status status = make_coords(context, N_ROWS, &coords);
  if (status == LAT_STATUS_OK) status = lat_relation_create_forward(context, coords, &opts, &relation);
  status = finish_relation(context, status, relation);
  lat_coords_release(coords);
  return status;
}

static lat_status subm_body(lat_context *context) {
  lat_kernel_opts opts = LAT_KERNEL_OPTS_INIT;
  lat_coords *coords = NULL;
  lat_relation *relation = NULL;
  opts.kernel_size = lat_triple_all(3);
  lat_status status = make_coords(context, N_ROWS, &coords);
  if (status == LAT_STATUS_OK) status = lat_relation_create_subm(context, coords, &opts, &relation);
  status = finish_relation(context, status, relation);
  lat_coords_release(coords);
  return status;
}

static lat_status target_body(lat_context *context) {
  lat_kernel_opts opts = LAT_KERNEL_OPTS_INIT;
  lat_coords *coords = NULL;
  lat_coords *target = NULL;
  lat_relation *relation = NULL;
  opts.kernel_size = lat_triple_all(2);
  lat_status status = make_coords(context, N_ROWS, &coords);
  if (status == LAT_STATUS_OK) status = make_coords(context, N_ROWS / 3, &target);
  if (status == LAT_STATUS_OK) status = lat_relation_create_target(context, coords, target, &opts, &relation);
  status = finish_relation(context, status, relation);
  lat_coords_release(target);
  lat_coords_release(coords);
  return status;
}

static lat_status target_coords_body(lat_context *context) {
  lat_array_view view = lat_view_2d(rows, LAT_DTYPE_I32, N_ROWS / 3, 4);
  lat_coords *coords = NULL;
  lat_coords *target = NULL;
  lat_status status = make_coords(context, N_ROWS, &coords);
  if (status == LAT_STATUS_OK) {
    status = lat_target_coords_create(context, coords, &view, LAT_RELATION_TARGET, NULL, &target);
  }
  if (status == LAT_STATUS_OK) {
    lat_test_oom_record_view(lat_coords_rows(target));
  } else {
    assert_null(target);
  }
  lat_coords_release(target);
  lat_coords_release(coords);
  return status;
}

// The second relation of the same geometry comes from the cache of the set, or is built again where keeping it failed.
static lat_status cached_body(lat_context *context) {
  lat_kernel_opts opts = LAT_KERNEL_OPTS_INIT;
  lat_coords *coords = NULL;
  lat_relation *first = NULL;
  lat_relation *second = NULL;
  opts.kernel_size = lat_triple_all(3);
  lat_status status = make_coords(context, N_ROWS, &coords);
  if (status == LAT_STATUS_OK) status = lat_relation_create_subm(context, coords, &opts, &first);
  if (status == LAT_STATUS_OK) status = lat_relation_create_subm(context, coords, &opts, &second);
  status = finish_relation(context, status, second);
  lat_relation_release(first);
  lat_coords_release(coords);
  return status;
}

static lat_status many_body(lat_context *context) {
  static const lat_kernel_opts down = {.struct_bytes = sizeof(lat_kernel_opts), .stride = {2, 2, 2}};
  static const lat_relation_geometry geometries[] = {{LAT_RELATION_SUBMANIFOLD, 0, 0, NULL},
                                                     {LAT_RELATION_FORWARD, 0, 0, &down},
                                                     {LAT_RELATION_SUBMANIFOLD, 2, 0, NULL},
                                                     {LAT_RELATION_TARGET_TRANSPOSED, 2, 0, NULL}};
  lat_coords *coords = NULL;
  lat_relation *relations[4] = {NULL};
  lat_status status = make_coords(context, N_ROWS, &coords);
  if (status == LAT_STATUS_OK) status = lat_relation_build_many(context, coords, geometries, 4, relations);
  for (int i = 0; i < 3; i++) {
    if (status != LAT_STATUS_OK) assert_null(relations[i]);
    lat_relation_release(relations[i]);
  }
  status = finish_relation(context, status, relations[3]);
  lat_coords_release(coords);
  return status;
}

static lat_status kernel_offsets_body(lat_context *context) {
  lat_kernel_opts opts = LAT_KERNEL_OPTS_INIT;
  lat_array *offsets = NULL;
  opts.kernel_size = lat_triple_all(5);
  lat_status status = lat_kernel_offsets(context, &opts, &offsets);
  if (status == LAT_STATUS_OK) {
    lat_test_oom_record_view(lat_array_as_view(offsets));
  } else {
    assert_null(offsets);
  }
  lat_array_release(offsets);
  return status;
}

#define OOM_TEST(body)                                                                                                 \
  static void body##_survives(void **state) {                                                                          \
    (void)state;                                                                                                       \
    lat_test_oom(#body, body);                                                                                         \
  }
OOM_TEST(forward_body)
OOM_TEST(reach_body)
OOM_TEST(subm_body)
OOM_TEST(target_body)
OOM_TEST(target_coords_body)
OOM_TEST(cached_body)
OOM_TEST(many_body)
OOM_TEST(kernel_offsets_body)

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(reach_body_survives),          cmocka_unit_test(target_coords_body_survives),
      cmocka_unit_test(forward_body_survives),        cmocka_unit_test(subm_body_survives),
      cmocka_unit_test(target_body_survives),         cmocka_unit_test(cached_body_survives),
      cmocka_unit_test(kernel_offsets_body_survives), cmocka_unit_test(many_body_survives),
  };
  return cmocka_run_group_tests(tests, fill_inputs, NULL);
}
