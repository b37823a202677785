// Out of memory while tensors are made from arrays, taken apart, and in the gradient of their reduction.
#include <lattice/lattice.h>

#include "support/test_allocator.h"
#include "support/test_support.h"

#define N_ROWS 70

static int32_t rows[N_ROWS][4];
static float feats[N_ROWS][2];

static int fill_inputs(void **state) {
  (void)state;
  for (int32_t i = 0; i < N_ROWS; i++) {
    rows[i][0] = i % 3;
    rows[i][1] = i / 10;
    feats[i][0] = (float)i;
  }
  return 0;
}

static lat_status finish(lat_status status, lat_tensor *x) {
  if (status == LAT_STATUS_OK) {
    lat_test_oom_record_view(lat_tensor_feats(x));
  } else {
    assert_null(x);
  }
  lat_tensor_release(x);
  return status;
}

static lat_status create_rule(lat_context *context, lat_duplicates duplicates, lat_tensor **out) {
  static const int64_t counts[] = {24, 23, 23};
  lat_array_view coords = lat_view_2d(rows, LAT_DTYPE_I32, N_ROWS, 4), x = lat_view_2d(feats, LAT_DTYPE_F32, N_ROWS, 2);
  lat_from_coordinates_opts opts = LAT_FROM_COORDINATES_OPTS_INIT;
  opts.duplicates = duplicates;
  opts.batch_counts = counts;
  opts.n_batches = 3;
  return lat_sparse_from_coordinates(context, &coords, &x, &opts, out);
}

static lat_status mean_body(lat_context *context) {
  lat_tensor *x = NULL;
  lat_status status = create_rule(context, LAT_DUPLICATES_MEAN, &x);
  return finish(status, x);
}

static lat_status first_body(lat_context *context) {
  lat_tensor *x = NULL;
  lat_status status = create_rule(context, LAT_DUPLICATES_FIRST, &x);
  return finish(status, x);
}

static lat_status collate_body(lat_context *context) {
  lat_array_view coords[2], x[2];
  lat_collate_opts opts = LAT_COLLATE_OPTS_INIT;
  lat_tensor *made = NULL;
  for (int i = 0; i < 2; i++) {
    coords[i] = lat_view_2d(rows, LAT_DTYPE_I32, 20 + i, 3);
    x[i] = lat_view_2d(feats, LAT_DTYPE_F32, 20 + i, 2);
  }
  opts.duplicates = LAT_DUPLICATES_MAX;
  lat_status status = lat_sparse_collate(context, coords, x, 2, &opts, &made);
  return finish(status, made);
}

static lat_status decompose_body(lat_context *context) {
  lat_tensor *x = NULL;
  lat_tensor_items items = {0};
  lat_status status = create_rule(context, LAT_DUPLICATES_NONE, &x);
  if (status == LAT_STATUS_OK) status = lat_tensor_decompose(context, x, &items);
  if (status == LAT_STATUS_OK) lat_test_oom_record_view(lat_array_as_view(items.feats));
  if (status != LAT_STATUS_OK) assert_null(items.rows);
  lat_array_release(items.offsets);
  lat_array_release(items.rows);
  lat_array_release(items.coords);
  lat_array_release(items.feats);
  lat_tensor_release(x);
  return status;
}

static lat_status backward(lat_context *context, lat_duplicates duplicates) {
  lat_array_view coords = lat_view_2d(rows, LAT_DTYPE_I32, N_ROWS, 4), x = lat_view_2d(feats, LAT_DTYPE_F32, N_ROWS, 2);
  lat_array_view grad = lat_view_2d(feats, LAT_DTYPE_F32, 21, 1); // three items, seven columns
  lat_from_coordinates_opts opts = LAT_FROM_COORDINATES_OPTS_INIT;
  lat_array *got = NULL;
  opts.duplicates = duplicates;
  grad.stride[0] = x.stride[0] = 2; // not contiguous: copies are made
  x.shape[1] = 1;
  lat_status status = lat_sparse_from_coordinates_backward(context, &coords, &x, &grad, &opts, &got);
  if (status == LAT_STATUS_OK) {
    lat_test_oom_record_view(lat_array_as_view(got));
  } else {
    assert_null(got);
  }
  lat_array_release(got);
  return status;
}

static lat_status max_backward_body(lat_context *context) {
  return backward(context, LAT_DUPLICATES_MAX);
}

static lat_status first_backward_body(lat_context *context) {
  return backward(context, LAT_DUPLICATES_FIRST);
}

#define OOM_TEST(body)                                                                                                 \
  static void body##_survives(void **state) {                                                                          \
    (void)state;                                                                                                       \
    lat_test_oom(#body, body);                                                                                         \
  }
OOM_TEST(mean_body)
OOM_TEST(first_body)
OOM_TEST(collate_body)
OOM_TEST(decompose_body)
OOM_TEST(max_backward_body)
OOM_TEST(first_backward_body)

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(mean_body_survives),         cmocka_unit_test(first_body_survives),
      cmocka_unit_test(collate_body_survives),      cmocka_unit_test(decompose_body_survives),
      cmocka_unit_test(max_backward_body_survives), cmocka_unit_test(first_backward_body_survives),
  };
  return cmocka_run_group_tests(tests, fill_inputs, NULL);
}
