// Out of memory in coordinate sets and tensors, with the n-th allocation refused for every n.
#include <lattice/lattice.h>

#include "support/test_allocator.h"
#include "support/test_support.h"

#define N_ROWS 200

static int32_t rows[N_ROWS][4];
static float feats[N_ROWS][3];

static int fill_inputs(void **state) {
  (void)state;
  for (int32_t i = 0; i < N_ROWS; i++) {
    const int32_t row[4] = {i % 2, i / 4 - 20, i % 7, -i % 5};
    for (int axis = 0; axis < 4; axis++) rows[i][axis] = row[axis];
    for (int channel = 0; channel < 3; channel++) feats[i][channel] = (float)(i * 3 + channel);
  }
  return 0;
}

static lat_status make_coords(lat_context *context, lat_coords **out) {
  lat_array_view view = lat_view_2d(rows, LAT_DTYPE_I32, N_ROWS, 4);
  lat_status status = lat_coords_create(context, &view, NULL, out);
  if (status != LAT_STATUS_OK) assert_null(*out);
  return status;
}

static lat_status coords_body(lat_context *context) {
  lat_coords *coords = NULL;
  lat_status status = make_coords(context, &coords);
  if (status == LAT_STATUS_OK) lat_test_oom_record_view(lat_coords_rows(coords));
  lat_coords_release(coords);
  return status;
}

static lat_status coords_int64_body(lat_context *context) {
  static const int64_t wide[2][4] = {{0, 1, -2, 3}, {1, INT32_MAX, INT32_MIN, 0}};
  lat_array_view view = lat_view_2d(wide, LAT_DTYPE_I64, 2, 4);
  lat_coords *coords = NULL;
  lat_status status = lat_coords_create(context, &view, NULL, &coords);
  if (status == LAT_STATUS_OK) lat_test_oom_record_view(lat_coords_rows(coords));
  lat_coords_release(coords);
  return status;
}

// The index is built by the first look-up: a failure in it must leave the set usable.
static lat_status lookup_body(lat_context *context) {
  lat_array_view queries = lat_view_2d(rows, LAT_DTYPE_I32, N_ROWS, 4);
  lat_coords *coords = NULL;
  lat_array *found = NULL;
  lat_status status = make_coords(context, &coords);
  if (status == LAT_STATUS_OK) status = lat_coords_lookup(context, coords, &queries, &found);
  if (status == LAT_STATUS_OK) {
    lat_test_oom_record_view(lat_array_as_view(found));
  } else {
    assert_null(found);
  }
  lat_array_release(found);
  lat_coords_release(coords);
  return status;
}

static lat_status tensor_body(lat_context *context) {
  const int64_t batch_counts[] = {N_ROWS / 2, N_ROWS / 2};
  lat_array_view view = lat_view_2d(feats, LAT_DTYPE_F32, N_ROWS, 3);
  lat_tensor_opts opts = LAT_TENSOR_OPTS_INIT;
  lat_coords *coords = NULL;
  lat_tensor *tensor = NULL;
  opts.batch_counts = batch_counts;
  opts.n_batches = 2;
  lat_status status = make_coords(context, &coords);
  if (status == LAT_STATUS_OK) status = lat_tensor_create(context, coords, &view, &opts, &tensor);
  if (status == LAT_STATUS_OK) {
    lat_test_oom_record_tensor(tensor);
  } else {
    assert_null(tensor);
  }
  lat_tensor_release(tensor);
  lat_coords_release(coords);
  return status;
}

static lat_status shared_tensor_body(lat_context *context) {
  const int64_t shape[] = {N_ROWS, 2};
  lat_coords *coords = NULL;
  lat_array *array = NULL;
  lat_tensor *tensor = NULL;
  lat_tensor *other = NULL;
  lat_status status = make_coords(context, &coords);
  if (status == LAT_STATUS_OK) status = lat_array_full(context, LAT_DTYPE_F16, 2, shape, 2.0, &array);
  if (status == LAT_STATUS_OK) status = lat_tensor_share(context, coords, array, NULL, &tensor);
  if (status == LAT_STATUS_OK) status = lat_tensor_with_feats(context, tensor, array, &other);
  if (status == LAT_STATUS_OK) {
    lat_test_oom_record_tensor(other);
  } else {
    assert_null(other);
  }
  lat_tensor_release(other);
  lat_tensor_release(tensor);
  lat_array_release(array);
  lat_coords_release(coords);
  return status;
}

#define OOM_TEST(body)                                                                                                 \
  static void body##_survives(void **state) {                                                                          \
    (void)state;                                                                                                       \
    lat_test_oom(#body, body);                                                                                         \
  }
OOM_TEST(coords_body)
OOM_TEST(coords_int64_body)
OOM_TEST(lookup_body)
OOM_TEST(tensor_body)
OOM_TEST(shared_tensor_body)

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(coords_body_survives),        cmocka_unit_test(coords_int64_body_survives),
      cmocka_unit_test(lookup_body_survives),        cmocka_unit_test(tensor_body_survives),
      cmocka_unit_test(shared_tensor_body_survives),
  };
  return cmocka_run_group_tests(tests, fill_inputs, NULL);
}
