// 2^31 rows: every function that takes a number of rows refuses it, before it reads a single one. The views below lie on
// memory that nobody may touch, and the sets claim rows that are not there.
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include <lattice/lattice.h>

#include "backend/backend.h"
#include "coords/coords_internal.h"
#include "core/context_internal.h"
#include "support/good_arguments.h"
#include "support/test_support.h"

static const int64_t too_many = INT64_C(1) << 31;

static void *untouchable; ///< one page without access
static lat_array_view rows4, rows4_wide, points3, features2, indices, bytes;

/// Room for any result; filled with a sign before a call so that a forgotten NULL is seen.
static union {
  void *handle;
  lat_array *array;
  lat_coords *coords;
  lat_tensor *tensor;
  lat_quantization *quantization;
  lat_point_map *map;
  lat_conv_grads grads;
  lat_capped_voxels capped;
} out;

static lat_point_map *map;

static int set_up(void **state) {
  untouchable = mmap(NULL, 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (untouchable == MAP_FAILED || good_arguments_set_up(state)) return 1;
  rows4 = lat_view_2d(untouchable, LAT_DTYPE_I32, too_many, 4);
  rows4_wide = lat_view_2d(untouchable, LAT_DTYPE_I64, too_many, 4);
  points3 = lat_view_2d(untouchable, LAT_DTYPE_F32, too_many, 3);
  features2 = lat_view_2d(untouchable, LAT_DTYPE_F32, too_many, GOOD_CHANNELS);
  indices = lat_view_1d(untouchable, LAT_DTYPE_I32, too_many);
  bytes = lat_view_1d(untouchable, LAT_DTYPE_U8, too_many);
  lat_test_assert_ok(lat_point_map_create(good.context, &good.position_view, good.coords, &good.grid,
                                          LAT_INTERPOLATION_NEAREST, &map));
  return 0;
}

static int tear_down(void **state) {
  lat_point_map_release(map);
  munmap(untouchable, 4096);
  return good_arguments_tear_down(state);
}

static void prepare(void) {
  memset(&out, 0x5A, sizeof out);
}

#define REFUSED(call, status, fragment)                                                                                \
  do {                                                                                                                 \
    prepare();                                                                                                         \
    lat_test_assert_error(call, status, fragment);                                                                     \
    assert_null(out.handle);                                                                                           \
  } while (0)

#define TOO_MANY(call, fragment) REFUSED(call, LAT_STATUS_OVERFLOW, fragment)

// Rows that become rows of a set or are looked up in one.
static void coordinate_rows(void **state) {
  lat_context *context = good.context;
  (void)state;
  TOO_MANY(lat_coords_create(context, &rows4, NULL, &out.coords), "coords has too many rows: got 2147483648");
  TOO_MANY(lat_coords_create(context, &rows4_wide, NULL, &out.coords), "expected at most 2147483647");
  TOO_MANY(lat_coords_lookup(context, good.coords, &rows4, &out.array), "queries has too many rows: got 2147483648");
  TOO_MANY(lat_coords_contains(context, good.coords, &rows4, &out.array), "too many rows: got 2147483648");
  TOO_MANY(lat_morton_codes(context, &rows4, &out.array), "rows has too many rows: got 2147483648");
  TOO_MANY(lat_morton_order(context, &rows4_wide, &out.array), "rows has too many rows: got 2147483648");
  TOO_MANY(lat_target_coords_create(context, good.coords, &rows4, LAT_RELATION_TARGET, NULL, &out.coords),
           "rows has too many rows: got 2147483648");
  TOO_MANY(lat_sparse_from_coordinates(context, &rows4, &features2, NULL, &out.tensor), "too many rows");
}

// Items that fit one by one and not together.
static void collated_rows(void **state) {
  (void)state;
  const int64_t half = too_many / 2;
  lat_array_view coords[2], feats[2];
  for (int i = 0; i < 2; i++) {
    coords[i] = lat_view_2d(untouchable, LAT_DTYPE_I32, half, 3);
    feats[i] = lat_view_2d(untouchable, LAT_DTYPE_F32, half, GOOD_CHANNELS);
  }
  TOO_MANY(lat_sparse_collate(good.context, coords, feats, 2, NULL, &out.tensor), "too many rows");
}

static void points(void **state) {
  lat_context *context = good.context;
  (void)state;
  static const char text[] = "too many points: got 2147483648, expected at most 2147483647";
  TOO_MANY(lat_sparse_quantize(context, &points3, &good.grid, &out.quantization), text);
  TOO_MANY(lat_voxelize(context, &points3, &features2, &good.grid, LAT_VOXEL_MEAN, &out.tensor), text);
  TOO_MANY(lat_voxelize_capped(context, &points3, &features2, &good.grid, NULL, &out.capped), text);
  TOO_MANY(lat_devoxelize(context, &points3, good.tensor, &good.grid, LAT_INTERPOLATION_LINEAR, &out.array), text);
  TOO_MANY(lat_point_map_create(context, &points3, good.coords, &good.grid, LAT_INTERPOLATION_LINEAR, &out.map), text);
}

static void selected_rows(void **state) {
  lat_context *context = good.context;
  (void)state;
  TOO_MANY(lat_prune(context, good.tensor, &indices, &out.tensor), "rows has too many rows: got 2147483648");
  TOO_MANY(lat_gather_aligned_features(context, &good.feat_view, &indices, 0.0, &out.array), "rows has too many rows");
  TOO_MANY(lat_gather_aligned_features(context, &features2, &indices, 0.0, &out.array), "features has too many rows");
}

// What must have as many rows as something else has the wrong number of them.
static void matched_rows(void **state) {
  lat_context *context = good.context;
  const lat_status shape = LAT_STATUS_INVALID_SHAPE;
  (void)state;
  lat_array_view batches = indices;
  lat_voxel_grid grid = good.grid;
  grid.batch_indices = &batches;
  REFUSED(lat_tensor_create(context, good.coords, &features2, NULL, &out.tensor), shape, "got 2147483648");
  REFUSED(lat_prune_mask(context, good.tensor, &bytes, &out.tensor), shape, "(2147483648,)");
  lat_coords *even = NULL;
  lat_coords_opts by_two = LAT_COORDS_OPTS_INIT;
  by_two.stride = lat_triple_all(2);
  lat_test_assert_ok(lat_coords_create(context, &good.coord_view, &by_two, &even));
  REFUSED(lat_occupancy_expand(context, even, &indices, &out.coords, NULL, NULL), shape, "2147483648");
  REFUSED(lat_child_coords(context, even, &indices, &out.coords), shape, "2147483648");
  lat_coords_release(even);
  REFUSED(lat_voxelize_quantized(context, good.quantization, &features2, NULL, &out.tensor), shape, "2147483648");
  REFUSED(lat_sparse_quantize(context, &good.position_view, &grid, &out.quantization), shape, "2147483648");
  REFUSED(lat_interpolate(context, &features2, map, &out.array), shape, "2147483648");
  REFUSED(lat_gather_neighbor_features(context, &features2, good.neighbors, &out.array), shape, "got 2147483648");
  lat_array_view grad = lat_view_2d(untouchable, LAT_DTYPE_F32, too_many, 1);
  REFUSED(lat_conv3d_backward(context, good.tensor, &good.conv_weight, &grad, NULL, &out.grads), shape, "2147483648");
  REFUSED(lat_pool3d_backward(context, good.tensor, LAT_POOL_SUM, NULL, &features2, &out.array), shape, "2147483648");
  REFUSED(lat_pool3d_jvp(context, good.tensor, LAT_POOL_SUM, NULL, &features2, &out.array), shape, "2147483648");
}

// Sets that claim rows: their sum or their product with a kernel volume is refused before a row is read.
static void made_rows(void **state) {
  lat_context *context = good.context;
  (void)state;
  lat_coords *half = NULL;
  lat_relation *relation = NULL;
  lat_coords_opts by_four = LAT_COORDS_OPTS_INIT;
  by_four.stride = lat_triple_all(4);
  lat_test_assert_ok(lat_coords_create(context, &good.coord_view, &by_four, &half));
  int32_t *rows = half->rows;
  int64_t n_rows = half->n_rows;
  half->rows = untouchable;
  half->n_rows = too_many / 2;
  TOO_MANY(lat_coords_union(context, half, half, &out.coords),
           "too many rows: got 1073741824 and 1073741824, expected at most 2147483647 together");
  static const char text[] = "too many output rows: got 1073741824 inputs times 8 kernel elements";
  lat_kernel_opts direct = LAT_KERNEL_OPTS_INIT;
  direct.kernel_size = direct.stride = lat_triple_all(2);
  lat_test_assert_error(lat_relation_create_transposed(context, half, &direct, &relation), LAT_STATUS_OVERFLOW, text);
  assert_null(relation);
  lat_test_assert_error(lat_relation_create_generative(context, half, NULL, &relation), LAT_STATUS_OVERFLOW, text);
  assert_null(relation);
  half->rows = rows;
  half->n_rows = n_rows;
  lat_coords_release(half);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(coordinate_rows), cmocka_unit_test(collated_rows), cmocka_unit_test(points),
      cmocka_unit_test(selected_rows),   cmocka_unit_test(matched_rows),  cmocka_unit_test(made_rows),
  };
  return cmocka_run_group_tests(tests, set_up, tear_down);
}
