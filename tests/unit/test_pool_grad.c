// Pools from coarse to fine and pool gradients: every refusal.
//
// null arguments: lat_pool3d_backward lat_pool3d_jvp lat_pool_transpose3d lat_pool_transpose3d_backward
// null arguments: lat_trilinear_upsample3d lat_trilinear_upsample3d_backward
#include <lattice/lattice.h>

#include "support/test_allocator.h"
#include "support/test_support.h"

static lat_test_allocator counter;
static lat_context *context;
static lat_tensor *x, *coarse;

#define REFUSES(call, status, text) lat_test_assert_error((call), LAT_STATUS_##status, text)

static void refusals(void **state) {
  (void)state;
  const float values[4] = {0};
  lat_array *out = NULL;
  lat_tensor *y = NULL;
  lat_array_view g = lat_view_2d(values, LAT_DTYPE_F32, 1, 2), half = lat_view_2d(values, LAT_DTYPE_F16, 1, 2);
  lat_array_view wide = lat_view_2d(values, LAT_DTYPE_F32, 1, 3);
  lat_kernel_opts bad = LAT_KERNEL_OPTS_INIT;
  bad.kernel_size = (lat_triple){2, 0, 2};
  REFUSES(lat_pool3d_backward(context, x, (lat_pool_mode)5, NULL, &g, &out), INVALID_ARGUMENT, "mode: got 5");
  REFUSES(lat_pool3d_backward(context, x, LAT_POOL_SUM, &bad, &g, &out), INVALID_ARGUMENT, "kernel_size values");
  REFUSES(lat_pool3d_backward(context, x, LAT_POOL_SUM, NULL, &half, &out), INVALID_DTYPE, "grad_out must have");
  REFUSES(lat_pool3d_backward(context, x, LAT_POOL_SUM, NULL, &wide, &out), INVALID_SHAPE,
          "got (1, 3), expected (1, 2)");
  REFUSES(lat_pool3d_jvp(context, x, (lat_pool_mode)-1, NULL, &g, &out), INVALID_ARGUMENT, "mode");
  REFUSES(lat_pool3d_jvp(context, x, LAT_POOL_MAX, NULL, &half, &out), INVALID_DTYPE, "tangent must have");
  REFUSES(lat_pool3d_jvp(context, x, LAT_POOL_MAX, NULL, &wide, &out), INVALID_SHAPE, "tangent has the wrong shape");
  REFUSES(lat_pool_transpose3d(context, x, NULL, NULL, &y), INVALID_ARGUMENT, "must divide");
  REFUSES(lat_pool_transpose3d(context, x, x, NULL, &y), INVALID_ARGUMENT, "must divide");
  REFUSES(lat_pool_transpose3d(context, coarse, coarse, NULL, &y), INVALID_ARGUMENT,
          "does not match transposed output stride (1, 1, 1): got (2, 2, 2)");
  REFUSES(lat_pool_transpose3d(context, coarse, NULL, &bad, &y), INVALID_ARGUMENT, "kernel_size values");
  REFUSES(lat_trilinear_upsample3d(context, coarse, NULL, (lat_triple){2, 0, 1}, &y), INVALID_ARGUMENT,
          "stride values");
  REFUSES(lat_trilinear_upsample3d(context, coarse, NULL, lat_triple_all(-2), &y), INVALID_ARGUMENT,
          "got (-2, -2, -2)");
  REFUSES(lat_trilinear_upsample3d(context, x, NULL, lat_triple_all(2), &y), INVALID_ARGUMENT, "must divide");
  REFUSES(lat_trilinear_upsample3d(context, coarse, coarse, lat_triple_all(2), &y), INVALID_ARGUMENT, "target stride");
  REFUSES(lat_trilinear_upsample3d(context, coarse, NULL, lat_triple_all(1 << 30), &y), INVALID_ARGUMENT, "2^30");
  REFUSES(lat_pool_transpose3d_backward(context, coarse, x, NULL, &wide, &out), INVALID_SHAPE, "grad_out");
  REFUSES(lat_trilinear_upsample3d_backward(context, coarse, x, lat_triple_all(2), &half, &out), INVALID_DTYPE,
          "grad_out");
  assert_null(out);
  assert_null(y);
}

static void null_arguments(void **state) {
  (void)state;
  const float values[2] = {0};
  lat_array *out = NULL;
  lat_tensor *y = NULL;
  lat_array_view g = lat_view_2d(values, LAT_DTYPE_F32, 1, 2);
  const lat_triple two = {2, 2, 2};
  REFUSES(lat_pool3d_backward(NULL, x, LAT_POOL_SUM, NULL, &g, &out), INVALID_ARGUMENT, "context: got NULL");
  REFUSES(lat_pool3d_backward(context, NULL, LAT_POOL_SUM, NULL, &g, &out), INVALID_ARGUMENT, "x: got NULL");
  REFUSES(lat_pool3d_backward(context, x, LAT_POOL_SUM, NULL, NULL, &out), INVALID_ARGUMENT, "grad_out: got NULL");
  REFUSES(lat_pool3d_backward(context, x, LAT_POOL_SUM, NULL, &g, NULL), INVALID_ARGUMENT, "out: got NULL");
  REFUSES(lat_pool3d_jvp(NULL, x, LAT_POOL_SUM, NULL, &g, &out), INVALID_ARGUMENT, "context: got NULL");
  REFUSES(lat_pool3d_jvp(context, NULL, LAT_POOL_SUM, NULL, &g, &out), INVALID_ARGUMENT, "x: got NULL");
  REFUSES(lat_pool3d_jvp(context, x, LAT_POOL_SUM, NULL, NULL, &out), INVALID_ARGUMENT, "tangent: got NULL");
  REFUSES(lat_pool3d_jvp(context, x, LAT_POOL_SUM, NULL, &g, NULL), INVALID_ARGUMENT, "out: got NULL");
  REFUSES(lat_pool_transpose3d(NULL, coarse, x, NULL, &y), INVALID_ARGUMENT, "context: got NULL");
  REFUSES(lat_pool_transpose3d(context, NULL, x, NULL, &y), INVALID_ARGUMENT, "x: got NULL");
  REFUSES(lat_pool_transpose3d(context, coarse, x, NULL, NULL), INVALID_ARGUMENT, "out: got NULL");
  REFUSES(lat_pool_transpose3d_backward(NULL, coarse, x, NULL, &g, &out), INVALID_ARGUMENT, "context: got NULL");
  REFUSES(lat_pool_transpose3d_backward(context, NULL, x, NULL, &g, &out), INVALID_ARGUMENT, "x: got NULL");
  REFUSES(lat_pool_transpose3d_backward(context, coarse, x, NULL, NULL, &out), INVALID_ARGUMENT, "grad_out: got NULL");
  REFUSES(lat_pool_transpose3d_backward(context, coarse, x, NULL, &g, NULL), INVALID_ARGUMENT, "out: got NULL");
  REFUSES(lat_trilinear_upsample3d(NULL, coarse, x, two, &y), INVALID_ARGUMENT, "context: got NULL");
  REFUSES(lat_trilinear_upsample3d(context, NULL, x, two, &y), INVALID_ARGUMENT, "x: got NULL");
  REFUSES(lat_trilinear_upsample3d(context, coarse, x, two, NULL), INVALID_ARGUMENT, "out: got NULL");
  REFUSES(lat_trilinear_upsample3d_backward(NULL, coarse, x, two, &g, &out), INVALID_ARGUMENT, "context: got NULL");
  REFUSES(lat_trilinear_upsample3d_backward(context, NULL, x, two, &g, &out), INVALID_ARGUMENT, "x: got NULL");
  REFUSES(lat_trilinear_upsample3d_backward(context, coarse, x, two, NULL, &out), INVALID_ARGUMENT,
          "grad_out: got NULL");
  REFUSES(lat_trilinear_upsample3d_backward(context, coarse, x, two, &g, NULL), INVALID_ARGUMENT, "out: got NULL");
  assert_null(out);
  assert_null(y);
}

static lat_tensor *make(int32_t stride) {
  const int32_t row[] = {0, 4, 4, 4};
  const float feats[] = {1, 2};
  lat_coords *coords = NULL;
  lat_tensor *tensor = NULL;
  lat_coords_opts opts = LAT_COORDS_OPTS_INIT;
  opts.stride = lat_triple_all(stride);
  lat_array_view rows = lat_view_2d(row, LAT_DTYPE_I32, 1, 4), view = lat_view_2d(feats, LAT_DTYPE_F32, 1, 2);
  lat_test_assert_ok(lat_coords_create(context, &rows, &opts, &coords));
  lat_test_assert_ok(lat_tensor_create(context, coords, &view, NULL, &tensor));
  lat_coords_release(coords);
  return tensor;
}

static lat_status body(lat_context *own) {
  lat_tensor *y = NULL, *fine = NULL;
  lat_array *out = NULL;
  const int32_t row[] = {0, 1, 1, 1};
  const float feats[] = {1, 2};
  lat_coords *coords = NULL;
  lat_coords_opts opts = LAT_COORDS_OPTS_INIT;
  opts.stride = lat_triple_all(2);
  lat_array_view rows = lat_view_2d(row, LAT_DTYPE_I32, 1, 4), view = lat_view_2d(feats, LAT_DTYPE_F32, 1, 2);
  lat_status status = lat_coords_create(own, &rows, &opts, &coords);
  if (status == LAT_STATUS_OK) status = lat_tensor_create(own, coords, &view, NULL, &y);
  if (status == LAT_STATUS_OK) status = lat_trilinear_upsample3d(own, y, NULL, lat_triple_all(2), &fine);
  if (status == LAT_STATUS_OK) {
    lat_array_view g = lat_tensor_feats(fine);
    lat_test_oom_record_tensor(fine);
    status = lat_trilinear_upsample3d_backward(own, y, NULL, lat_triple_all(2), &g, &out);
  }
  if (status == LAT_STATUS_OK) {
    lat_test_oom_record_view(lat_array_as_view(out));
    lat_array_release(out);
    out = NULL;
    status = lat_pool3d_backward(own, y, LAT_POOL_MAX, NULL, &view, &out);
  }
  if (status == LAT_STATUS_OK) {
    lat_array_release(out);
    out = NULL;
    status = lat_pool3d_jvp(own, y, LAT_POOL_MAX, NULL, &view, &out);
  }
  lat_array_release(out);
  lat_tensor_release(fine);
  lat_tensor_release(y);
  lat_coords_release(coords);
  return status;
}

static void out_of_memory(void **state) {
  (void)state;
  lat_test_oom("pool gradients", body);
}

static int set_up(void **state) {
  (void)state;
  context = lat_test_context_create(&counter, 2);
  x = make(1);
  coarse = make(2);
  return 0;
}

static int tear_down(void **state) {
  (void)state;
  lat_tensor_release(x);
  lat_tensor_release(coarse);
  lat_test_context_finish(context, &counter);
  return 0;
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(refusals), cmocka_unit_test(null_arguments),
                                     cmocka_unit_test(out_of_memory)};
  return cmocka_run_group_tests(tests, set_up, tear_down);
}
