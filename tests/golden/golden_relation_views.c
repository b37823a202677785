// The worked example of the implicit-GEMM views: the line x = 0, 1, 2 under a (3, 1, 1) kernel.
#include "support/test_support.h"

#include <lattice/lattice.h>

static void the_line_gives_the_documented_views(void **state) {
  (void)state;
  static const int32_t rows[] = {0, 0, 0, 0, 0, 1, 0, 0, 0, 2, 0, 0};
  static const int32_t map[] = {-1, 0, 1, 0, 1, 2, 1, 2, -1}, masks[] = {6, 7, 3}, order[] = {2, 0, 1};
  static const int32_t sorted_map[] = {1, 2, -1, -1, 0, 1, 0, 1, 2}, tiles[] = {7, 0, 0, 0};
  static const int32_t transpose[] = {1, -1, 0, 2, 0, 1, -1, 1, 2};
  lat_array_view view = lat_view_2d(rows, LAT_DTYPE_I32, 3, 4);
  lat_kernel_opts opts = LAT_KERNEL_OPTS_INIT;
  lat_context *context = NULL;
  lat_coords *coords = NULL;
  lat_relation *relations[3] = {NULL};
  opts.kernel_size = (lat_triple){3, 1, 1};
  lat_test_assert_ok(lat_context_create(NULL, &context));
  lat_test_assert_ok(lat_coords_create(context, &view, NULL, &coords));
  lat_test_assert_ok(lat_relation_create_forward(context, coords, &opts, &relations[0]));
  lat_test_assert_ok(lat_relation_create_subm(context, coords, &opts, &relations[1]));
  lat_test_assert_ok(lat_relation_create_target(context, coords, coords, &opts, &relations[2]));
  for (int i = 0; i < 3; i++) {
    lat_implicit_gemm gemm;
    lat_sorted_implicit_gemm sorted;
    lat_test_assert_ok(lat_relation_implicit_gemm(context, relations[i], &gemm));
    lat_test_assert_ok(lat_relation_sorted_implicit_gemm(context, relations[i], &sorted));
    assert_int_equal(gemm.n_out, 3);
    assert_int_equal(gemm.n_kernels, 3);
    assert_int_equal(gemm.n_words, 1);
    assert_memory_equal(gemm.out_in_map, map, sizeof map);
    assert_memory_equal(gemm.row_masks, masks, sizeof masks);
    assert_int_equal(sorted.n_out, 3);
    assert_int_equal(sorted.n_kernels, 3);
    assert_int_equal(sorted.n_tile_masks, 4);
    assert_memory_equal(sorted.reorder_rows, order, sizeof order);
    assert_memory_equal(sorted.sorted_out_in_map, sorted_map, sizeof sorted_map);
    assert_memory_equal(sorted.sorted_kv_out_in_map, transpose, sizeof transpose);
    assert_memory_equal(sorted.tile_masks, tiles, sizeof tiles);
    lat_relation_release(relations[i]);
  }
  lat_coords_release(coords);
  lat_context_destroy(context);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(the_line_gives_the_documented_views)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
