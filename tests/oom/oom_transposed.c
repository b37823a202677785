// Out of memory in transposed relations and exchanged pair lists, with the n-th allocation refused for every n.
#include <lattice/lattice.h>

#include "relation/relation_internal.h"
#include "support/test_allocator.h"
#include "support/test_support.h"

#define ROWS 60

static int32_t rows[ROWS][4];

static lat_status record(lat_context *context, const lat_relation *relation) {
  lat_relation_edge_list edges;
  const lat__pairs *by_input = NULL;
  lat_status status = lat__relation_pairs_by_input(context, relation, &by_input);
  if (status == LAT_STATUS_OK) status = lat_relation_edges(context, relation, &edges);
  if (status == LAT_STATUS_OK) {
    lat_test_oom_record(edges.in_rows, (size_t)edges.n_edges * sizeof(int32_t));
    lat_test_oom_record(edges.out_rows, (size_t)edges.n_edges * sizeof(int32_t));
    lat_test_oom_record(by_input->in_rows, (size_t)edges.n_edges * sizeof(int32_t));
  }
  return status;
}

static lat_status body(lat_context *context) {
  lat_coords *coarse = NULL, *fine = NULL;
  lat_relation *relations[3] = {NULL};
  lat_array_view view = lat_view_2d(rows, LAT_DTYPE_I32, ROWS, 4);
  lat_coords_opts opts = LAT_COORDS_OPTS_INIT;
  lat_kernel_opts overlapping = LAT_KERNEL_OPTS_INIT;
  overlapping.kernel_size = lat_triple_all(3);
  opts.stride = lat_triple_all(2);
  lat_status status = lat_coords_create(context, &view, &opts, &coarse);
  if (status == LAT_STATUS_OK) status = lat_coords_create(context, &view, NULL, &fine);
  if (status == LAT_STATUS_OK) status = lat_relation_create_transposed(context, coarse, &overlapping, &relations[0]);
  if (status == LAT_STATUS_OK) status = lat_relation_create_generative(context, coarse, NULL, &relations[1]);
  if (status == LAT_STATUS_OK)
    status = lat_relation_create_target_transposed(context, coarse, fine, NULL, &relations[2]);
  for (int i = 0; i < 3 && status == LAT_STATUS_OK; i++) status = record(context, relations[i]);
  for (int i = 0; i < 3; i++) lat_relation_release(relations[i]);
  lat_coords_release(coarse);
  lat_coords_release(fine);
  return status;
}

static void transposed(void **state) {
  (void)state;
  for (int r = 0; r < ROWS; r++) {
    rows[r][0] = r % 2, rows[r][1] = r % 5 - 2, rows[r][2] = r % 7, rows[r][3] = -(r % 3);
  }
  lat_test_oom("transposed relations", body);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(transposed)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
