// Inputs and endings that the out-of-memory bodies of operators share.
#include "support/oom_inputs.h"

#include "support/test_allocator.h"
#include "support/test_support.h"

lat_status lat_test_oom_make_array(lat_context *context, lat_dtype dtype, int32_t rank, const int64_t *shape,
                                   lat_array **out) {
  const double range[2] = {-1.0, 1.0};
  return lat_array_uniform(context, dtype, rank, shape, range, 3, out);
}

lat_status lat_test_oom_make_tensor(lat_context *context, lat_dtype dtype, lat_tensor **out) {
  const int64_t shape[2] = {LAT_TEST_OOM_ROWS, LAT_TEST_OOM_CHANNELS};
  int32_t rows[LAT_TEST_OOM_ROWS][4];
  lat_coords *coords = NULL;
  lat_array *feats = NULL;
  for (int32_t i = 0; i < LAT_TEST_OOM_ROWS; i++) {
    const int32_t row[4] = {i / (LAT_TEST_OOM_ROWS / 2), i % 6, i / 6 % 5, i % 2};
    for (int axis = 0; axis < 4; axis++) rows[i][axis] = row[axis];
  }
  lat_array_view row_view = lat_view_2d(rows, LAT_DTYPE_I32, LAT_TEST_OOM_ROWS, 4);
  lat_status status = lat_coords_create(context, &row_view, NULL, &coords);
  if (status == LAT_STATUS_OK) status = lat_test_oom_make_array(context, dtype, 2, shape, &feats);
  if (status == LAT_STATUS_OK) status = lat_tensor_share(context, coords, feats, NULL, out);
  lat_array_release(feats);
  lat_coords_release(coords);
  return status;
}

lat_status lat_test_oom_finish_tensor(lat_status status, lat_tensor *tensor) {
  if (status == LAT_STATUS_OK) {
    lat_test_oom_record_tensor(tensor);
  } else {
    assert_null(tensor);
  }
  lat_tensor_release(tensor);
  return status;
}

lat_status lat_test_oom_finish_array(lat_status status, lat_array *array) {
  if (status == LAT_STATUS_OK) {
    lat_test_oom_record_view(lat_array_as_view(array));
  } else {
    assert_null(array);
  }
  lat_array_release(array);
  return status;
}
