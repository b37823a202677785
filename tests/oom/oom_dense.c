// Out of memory in dense arrays: to dense and back, with both gradients.
#include <lattice/lattice.h>

#include "support/oom_inputs.h"
#include "support/test_allocator.h"
#include "support/test_support.h"

#define N_ROWS 90

// Rows on a skew line of two batch items.
static lat_status make_tensor(lat_context *context, lat_tensor **out) {
  static int32_t rows[N_ROWS][4];
  static uint16_t halves[N_ROWS][3];
  lat_array_view row_view = lat_view_2d(rows, LAT_DTYPE_I32, N_ROWS, 4);
  lat_array_view half_view = lat_view_2d(halves, LAT_DTYPE_F16, N_ROWS, 3);
  lat_coords *coords = NULL;
  for (int i = 0; i < N_ROWS; i++) {
    rows[i][0] = i % 2;
    rows[i][1] = i / 2 % 16 - 8;
    rows[i][2] = i / 16;
    halves[i][i % 3] = 0x3C00;
  }
  lat_status status = lat_coords_create(context, &row_view, NULL, &coords);
  if (status == LAT_STATUS_OK) status = lat_tensor_create(context, coords, &half_view, NULL, out);
  lat_coords_release(coords);
  return status;
}

// The forward call, its gradient on the result, and the tensor of the result again.
static lat_status there_and_back(lat_context *context, lat_dense_layout layout) {
  lat_dense_opts opts = LAT_DENSE_OPTS_INIT;
  lat_tensor *tensor = NULL, *again = NULL;
  lat_array *dense = NULL, *grad = NULL, *back = NULL;
  opts.layout = layout;
  opts.outside = LAT_DENSE_OUTSIDE_DROP;
  opts.min_coord = lat_triple_all(-8);
  opts.shape = lat_triple_all(16);
  lat_status status = make_tensor(context, &tensor);
  if (status == LAT_STATUS_OK) status = lat_to_dense(context, tensor, &opts, &dense);
  if (status == LAT_STATUS_OK) {
    lat_array_view view = lat_array_as_view(dense);
    status = lat_to_dense_backward(context, tensor, &view, &opts, &grad);
    if (status == LAT_STATUS_OK) status = lat_from_dense(context, &view, &opts, &again);
    if (status == LAT_STATUS_OK) {
      lat_array_view feats = lat_tensor_feats(again);
      lat_test_oom_record_tensor(again);
      status = lat_from_dense_backward(context, &view, again, &feats, &opts, &back);
    }
  }
  if (status != LAT_STATUS_OK) assert_null(back);
  lat_array_release(grad);
  lat_array_release(dense);
  lat_tensor_release(again);
  lat_tensor_release(tensor);
  return lat_test_oom_finish_array(status, back);
}

static lat_status last_body(lat_context *context) {
  return there_and_back(context, LAT_DENSE_CHANNELS_LAST);
}

static lat_status first_body(lat_context *context) {
  return there_and_back(context, LAT_DENSE_CHANNELS_FIRST);
}

static void channels_last_survives(void **state) {
  (void)state;
  lat_test_oom("dense, channels last", last_body);
}

static void channels_first_survives(void **state) {
  (void)state;
  lat_test_oom("dense, channels first", first_body);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(channels_last_survives),
      cmocka_unit_test(channels_first_survives),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
