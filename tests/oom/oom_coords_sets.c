// Out of memory in set algebra, Z-order and octree steps, with the n-th allocation refused for every n.
#include <lattice/lattice.h>

#include "support/test_allocator.h"
#include "support/test_support.h"

#define ROWS 90

static int32_t rows[ROWS][4];

static lat_status record_set(lat_status status, lat_coords **coords) {
  if (status == LAT_STATUS_OK) lat_test_oom_record_view(lat_coords_rows(*coords));
  lat_coords_release(*coords);
  *coords = NULL;
  return status;
}

static lat_status record_array(lat_status status, lat_array **array) {
  if (status == LAT_STATUS_OK) lat_test_oom_record_view(lat_array_as_view(*array));
  lat_array_release(*array);
  *array = NULL;
  return status;
}

static lat_status algebra(lat_context *context, const lat_coords *a, const lat_coords *b) {
  lat_coords *set = NULL;
  lat_array *array = NULL;
  lat_array_view view = lat_coords_rows(b);
  int64_t n = 0;
  lat_status status = record_set(lat_coords_union(context, a, b, &set), &set);
  if (status == LAT_STATUS_OK) status = record_set(lat_coords_intersection(context, a, b, &set), &set);
  if (status == LAT_STATUS_OK) status = record_array(lat_coords_contains(context, a, &view, &array), &array);
  if (status == LAT_STATUS_OK) status = record_array(lat_coords_inverse_map(context, a, b, &array), &array);
  if (status == LAT_STATUS_OK) status = lat_coords_duplicates(context, a, &n);
  if (status == LAT_STATUS_OK) status = record_array(lat_morton_codes(context, &view, &array), &array);
  if (status == LAT_STATUS_OK) status = record_array(lat_morton_order(context, &view, &array), &array);
  if (status == LAT_STATUS_OK) status = record_set(lat_coords_morton_sort(context, a, &set, NULL, NULL), &set);
  return status;
}

static lat_status octree(lat_context *context, const lat_coords *a) {
  lat_coords *parents = NULL, *children = NULL, *chosen = NULL;
  lat_array *masks = NULL, *indices = NULL;
  lat_status status = lat_occupancy_downsample(context, a, &parents, &masks);
  if (status == LAT_STATUS_OK) {
    lat_array_view view = lat_array_as_view(masks);
    lat_test_oom_record_view(view);
    status = record_set(lat_child_coords(context, parents, &view, &chosen), &chosen);
    if (status == LAT_STATUS_OK) status = lat_occupancy_expand(context, parents, &view, &children, NULL, &indices);
  }
  if (status == LAT_STATUS_OK) lat_test_oom_record_view(lat_array_as_view(indices));
  lat_array_release(indices);
  lat_array_release(masks);
  lat_coords_release(children);
  lat_coords_release(parents);
  return status;
}

static lat_status body(lat_context *context) {
  lat_coords *a = NULL, *b = NULL;
  lat_array_view first = lat_view_2d(rows, LAT_DTYPE_I32, 60, 4), last = lat_view_2d(rows[30], LAT_DTYPE_I32, 60, 4);
  lat_status status = lat_coords_create(context, &first, NULL, &a);
  if (status == LAT_STATUS_OK) status = lat_coords_create(context, &last, NULL, &b);
  if (status == LAT_STATUS_OK) status = algebra(context, a, b);
  if (status == LAT_STATUS_OK) status = octree(context, a);
  lat_coords_release(a);
  lat_coords_release(b);
  return status;
}

static void coords_sets(void **state) {
  (void)state;
  for (int r = 0; r < ROWS; r++) {
    rows[r][0] = r % 2, rows[r][1] = r % 5 - 2, rows[r][2] = r % 7, rows[r][3] = -(r % 3);
  }
  lat_test_oom("coordinate set algebra", body);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(coords_sets)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
