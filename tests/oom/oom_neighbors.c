// Out of memory in radius and nearest-neighbour queries and in the gathering of neighbour features.
#include <lattice/lattice.h>

#include "support/test_allocator.h"
#include "support/test_support.h"

#define N_ROWS 60

static int32_t rows[N_ROWS][4];

static int fill_inputs(void **state) {
  (void)state;
  for (int32_t i = 0; i < N_ROWS; i++) {
    const int32_t row[4] = {i % 2, i / 10, i % 5, -i % 3};
    for (int axis = 0; axis < 4; axis++) rows[i][axis] = row[axis];
  }
  return 0;
}

static lat_status make_neighbors(lat_context *context, lat_neighbors **out) {
  lat_array_view view = lat_view_2d(rows, LAT_DTYPE_I32, N_ROWS, 4);
  lat_radius_opts opts = LAT_RADIUS_OPTS_INIT;
  lat_coords *coords = NULL;
  opts.radius = 2;
  opts.max_neighbors = 4;
  lat_status status = lat_coords_create(context, &view, NULL, &coords);
  if (status == LAT_STATUS_OK) status = lat_neighbors_create_radius(context, coords, NULL, &opts, out);
  if (status != LAT_STATUS_OK) assert_null(*out);
  lat_coords_release(coords);
  return status;
}

static lat_status radius_body(lat_context *context) {
  lat_neighbors *neighbors = NULL;
  lat_status status = make_neighbors(context, &neighbors);
  if (status == LAT_STATUS_OK) {
    lat_neighbor_list list = lat_neighbors_edges(neighbors);
    lat_test_oom_record(list.source_rows, (size_t)list.n_edges * sizeof(int32_t));
    lat_test_oom_record(list.row_offsets, (size_t)(list.n_queries + 1) * sizeof(int64_t));
  }
  lat_neighbors_release(neighbors);
  return status;
}

static lat_status knn_body(lat_context *context) {
  lat_array_view view = lat_view_2d(rows, LAT_DTYPE_I32, N_ROWS, 4);
  lat_knn_opts opts = LAT_KNN_OPTS_INIT;
  lat_coords *coords = NULL;
  lat_neighbors *neighbors = NULL;
  opts.k = 4;
  lat_status status = lat_coords_create(context, &view, NULL, &coords);
  if (status == LAT_STATUS_OK) status = lat_neighbors_create_knn(context, coords, NULL, &opts, &neighbors);
  if (status == LAT_STATUS_OK) {
    lat_neighbor_list list = lat_neighbors_edges(neighbors);
    lat_test_oom_record(list.source_rows, (size_t)list.n_edges * sizeof(int32_t));
  } else {
    assert_null(neighbors);
  }
  lat_neighbors_release(neighbors);
  lat_coords_release(coords);
  return status;
}

static lat_status gather_body(lat_context *context) {
  static const float feats[N_ROWS][2] = {{1, 2}, {3, 4}};
  lat_array_view view = lat_view_2d(feats, LAT_DTYPE_F32, N_ROWS, 1);
  lat_neighbors *neighbors = NULL;
  lat_array *gathered = NULL;
  view.stride[0] = 2; // not contiguous: a copy is made
  lat_status status = make_neighbors(context, &neighbors);
  if (status == LAT_STATUS_OK) status = lat_gather_neighbor_features(context, &view, neighbors, &gathered);
  if (status == LAT_STATUS_OK) {
    lat_test_oom_record_view(lat_array_as_view(gathered));
  } else {
    assert_null(gathered);
  }
  lat_array_release(gathered);
  lat_neighbors_release(neighbors);
  return status;
}

static void radius_survives(void **state) {
  (void)state;
  lat_test_oom("radius", radius_body);
}

static void knn_survives(void **state) {
  (void)state;
  lat_test_oom("knn", knn_body);
}

static void gather_survives(void **state) {
  (void)state;
  lat_test_oom("gather", gather_body);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(radius_survives),
      cmocka_unit_test(knn_survives),
      cmocka_unit_test(gather_survives),
  };
  return cmocka_run_group_tests(tests, fill_inputs, NULL);
}
