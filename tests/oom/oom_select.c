// Out of memory in selecting and matching rows, with the n-th allocation refused for every n.
#include <lattice/lattice.h>

#include "support/test_allocator.h"
#include "support/test_support.h"

#define ROWS 50

static int32_t rows[ROWS][4];
static float feats[ROWS][2];

static lat_status record(lat_status status, lat_tensor **tensor) {
  if (status == LAT_STATUS_OK) lat_test_oom_record_tensor(*tensor);
  lat_tensor_release(*tensor);
  *tensor = NULL;
  return status;
}

static lat_status make(lat_context *context, int64_t first, lat_tensor **out) {
  const int64_t counts[2] = {15, 15};
  lat_coords *coords = NULL;
  lat_tensor_opts opts = {sizeof opts, counts, 2};
  lat_array_view row_view = lat_view_2d(rows[first], LAT_DTYPE_I32, 30, 4);
  lat_array_view feat_view = lat_view_2d(feats[first], LAT_DTYPE_F32, 30, 2);
  lat_status status = lat_coords_create(context, &row_view, NULL, &coords);
  if (status == LAT_STATUS_OK) status = lat_tensor_create(context, coords, &feat_view, &opts, out);
  lat_coords_release(coords);
  return status;
}

static lat_status body(lat_context *context) {
  const int64_t keep[2] = {3, 4};
  lat_tensor *a = NULL, *b = NULL, *z = NULL;
  lat_array *best = NULL;
  lat_status status = make(context, 0, &a);
  if (status == LAT_STATUS_OK) status = make(context, 20, &b);
  if (status == LAT_STATUS_OK) status = lat_topk_rows(context, a, keep, 2, 1.0, &best);
  if (status == LAT_STATUS_OK) {
    lat_array_view view = lat_array_as_view(best);
    status = record(lat_prune(context, a, &view, &z), &z);
  }
  if (status == LAT_STATUS_OK) status = record(lat_sparse_sub(context, a, b, LAT_JOIN_OUTER, &z), &z);
  if (status == LAT_STATUS_OK) status = record(lat_reindex_sparse(context, a, b, 1.0, &z), &z);
  if (status == LAT_STATUS_OK) status = record(lat_crop(context, a, lat_triple_all(-1), lat_triple_all(2), &z), &z);
  if (status == LAT_STATUS_OK) {
    const lat_tensor *const all[3] = {a, b, a};
    status = record(lat_sparse_cat(context, all, 3, LAT_JOIN_OUTER, &z), &z);
  }
  lat_array_release(best);
  lat_tensor_release(a);
  lat_tensor_release(b);
  return status;
}

static lat_status record_array(lat_status status, lat_array **array) {
  if (status == LAT_STATUS_OK)
    lat_test_oom_record(lat_array_data(*array), (size_t)lat_array_count(*array) * sizeof(float));
  lat_array_release(*array);
  *array = NULL;
  return status;
}

/// Gradients: every result has 2 channels of float32.
static lat_status grad_body(lat_context *context) {
  static const int32_t chosen[3] = {4, 4, 1};
  static const float ones[30 * 6];
  lat_tensor *a = NULL, *b = NULL;
  lat_array *out = NULL, *grads[3] = {NULL, NULL, NULL};
  lat_binary_grads both = {NULL, NULL};
  lat_binary_opts opts = LAT_BINARY_OPTS_INIT;
  lat_array_view rows_view = lat_view_1d(chosen, LAT_DTYPE_I32, 3), g3 = lat_view_2d(ones, LAT_DTYPE_F32, 3, 2),
                 g30 = lat_view_2d(ones, LAT_DTYPE_F32, 30, 2), g6 = lat_view_2d(ones, LAT_DTYPE_F32, 30, 6),
                 g2 = lat_view_2d(ones, LAT_DTYPE_F32, 2, 2);
  opts.op = LAT_BINARY_MAXIMUM;
  opts.join = LAT_JOIN_LEFT;
  lat_status status = make(context, 0, &a);
  if (status == LAT_STATUS_OK) status = make(context, 20, &b);
  if (status == LAT_STATUS_OK) {
    status = lat_sparse_binary_backward(context, a, b, &opts, &g30, &both);
    status = record_array(status, &both.lhs);
    status = record_array(status, &both.rhs);
  }
  if (status == LAT_STATUS_OK) {
    const lat_tensor *const all[3] = {a, b, a};
    status = lat_sparse_cat_backward(context, all, 3, LAT_JOIN_LEFT, &g6, grads);
    for (int i = 0; i < 3; i++) status = record_array(status, &grads[i]);
  }
  if (status == LAT_STATUS_OK) status = record_array(lat_prune_backward(context, a, &rows_view, &g3, &out), &out);
  if (status == LAT_STATUS_OK) status = record_array(lat_reindex_sparse_backward(context, a, b, &g30, &out), &out);
  if (status == LAT_STATUS_OK) {
    status = record_array(lat_global_pool_backward(context, a, LAT_POOL_MAX, -1, &g2, &out), &out);
  }
  lat_tensor_release(a);
  lat_tensor_release(b);
  return status;
}

static void selection(void **state) {
  (void)state;
  for (int r = 0; r < ROWS; r++) {
    rows[r][0] = r % 2, rows[r][1] = r / 2 % 5 - 2, rows[r][2] = r / 10, rows[r][3] = 0;
    feats[r][0] = (float)(r * 7 % 11), feats[r][1] = (float)r;
  }
  lat_test_oom("selecting rows", body);
  lat_test_oom("gradients of selected rows", grad_body);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(selection)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
