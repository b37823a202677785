// Four rows on a line, two channels: everything that the public functions take, made once.
#include "support/good_arguments.h"

#include <stdio.h>
#include <unistd.h>

good_arguments good;

int good_arguments_set_up(void **state) {
  (void)state;
  for (int r = 0; r < GOOD_ROWS; r++) good.rows[4 * r + 1] = r;
  for (int i = 0; i < 256; i++) good.floats[i] = 0.25f;
  good.range[1] = 1.0;
  good.coord_view = lat_view_2d(good.rows, LAT_DTYPE_I32, GOOD_ROWS, 4);
  good.feat_view = lat_view_2d(good.floats, LAT_DTYPE_F32, GOOD_ROWS, GOOD_CHANNELS);
  good.position_view = lat_view_2d(good.floats, LAT_DTYPE_F32, GOOD_ROWS, 3);
  good.value_view = lat_view_1d(good.floats, LAT_DTYPE_F32, GOOD_ROWS);
  good.image_view = lat_view(good.floats, LAT_DTYPE_U8, 3, (const int64_t[]){2, 2, 3});
  good.conv_weight =
      lat_weight_dense(lat_view(good.floats, LAT_DTYPE_F32, 5, (const int64_t[]){1, 3, 3, 3, GOOD_CHANNELS}));
  good.linear_weight = lat_weight_dense(good.feat_view);
  good.grid = lat_voxel_grid_cube(1.0);
  good.radius = (lat_radius_opts)LAT_RADIUS_OPTS_INIT;
  snprintf(good.cloud_path, sizeof good.cloud_path, "good_arguments_%ld.ply", (long)getpid());
  snprintf(good.image_path, sizeof good.image_path, "good_arguments_%ld.png", (long)getpid());
  lat_test_assert_ok(lat_context_create(NULL, &good.context));
  lat_test_assert_ok(lat_array_create(good.context, &good.feat_view, &good.array));
  lat_test_assert_ok(lat_coords_create(good.context, &good.coord_view, NULL, &good.coords));
  lat_test_assert_ok(lat_tensor_create(good.context, good.coords, &good.feat_view, NULL, &good.tensor));
  lat_test_assert_ok(lat_relation_create_forward(good.context, good.coords, NULL, &good.relation));
  lat_test_assert_ok(lat_neighbors_create_radius(good.context, good.coords, NULL, &good.radius, &good.neighbors));
  lat_test_assert_ok(lat_quantize_weight(good.context, &good.feat_view, NULL, &good.packed));
  lat_test_assert_ok(lat_sparse_quantize(good.context, &good.position_view, &good.grid, &good.quantization));
  lat_test_assert_ok(lat_cloud_create(good.context, &good.position_view, &good.cloud));
  lat_test_assert_ok(lat_cloud_write_ply(good.context, good.cloud, good.cloud_path, NULL));
  good.info = lat_quantized_weight_info(good.packed);
  good.symbol_view = lat_view_1d(good.symbols, LAT_DTYPE_I32, GOOD_ROWS);
  lat_test_assert_ok(lat_normalized_cdf(good.context, &good.feat_view, &good.cdf));
  good.cdf_view = lat_array_as_view(good.cdf);
  lat_test_assert_ok(lat_range_encode(good.context, &good.cdf_view, &good.symbol_view, &good.range_stream));
  good.range_view = lat_array_as_view(good.range_stream);
  lat_test_assert_ok(lat_rans_encode_from_prob(good.context, &good.feat_view, &good.symbol_view, &good.rans_stream));
  good.rans_view = lat_array_as_view(good.rans_stream);
  return 0;
}

int good_arguments_tear_down(void **state) {
  (void)state;
  remove(good.cloud_path);
  remove(good.image_path);
  lat_array_release(good.rans_stream);
  lat_array_release(good.range_stream);
  lat_array_release(good.cdf);
  lat_cloud_release(good.cloud);
  lat_quantization_release(good.quantization);
  lat_quantized_weight_release(good.packed);
  lat_neighbors_release(good.neighbors);
  lat_relation_release(good.relation);
  lat_tensor_release(good.tensor);
  lat_coords_release(good.coords);
  lat_array_release(good.array);
  lat_context_destroy(good.context);
  return 0;
}
