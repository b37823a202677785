// Out of memory in pools, with the n-th allocation refused for every n.
#include <lattice/lattice.h>

#include "support/oom_inputs.h"
#include "support/test_allocator.h"
#include "support/test_support.h"

static lat_status run_pool(lat_context *context, lat_pool_mode mode) {
  lat_tensor *x = NULL;
  lat_tensor *y = NULL;
  lat_status status = lat_test_oom_make_tensor(context, LAT_DTYPE_F32, &x);
  if (status == LAT_STATUS_OK) status = lat_pool3d(context, x, mode, NULL, &y);
  status = lat_test_oom_finish_tensor(status, y);
  lat_tensor_release(x);
  return status;
}

static lat_status sum_pool_body(lat_context *context) {
  return run_pool(context, LAT_POOL_SUM);
}

static lat_status max_pool_body(lat_context *context) {
  return run_pool(context, LAT_POOL_MAX);
}

static lat_status avg_pool_body(lat_context *context) {
  return run_pool(context, LAT_POOL_AVG);
}

static lat_status global_pool_body(lat_context *context) {
  lat_tensor *x = NULL;
  lat_array *pooled = NULL;
  lat_status status = lat_test_oom_make_tensor(context, LAT_DTYPE_F16, &x);
  if (status == LAT_STATUS_OK) status = lat_global_pool(context, x, LAT_POOL_AVG, -1, &pooled);
  status = lat_test_oom_finish_array(status, pooled);
  lat_tensor_release(x);
  return status;
}

#define OOM_TEST(body)                                                                                                 \
  static void body##_survives(void **state) {                                                                          \
    (void)state;                                                                                                       \
    lat_test_oom(#body, body);                                                                                         \
  }
OOM_TEST(sum_pool_body)
OOM_TEST(max_pool_body)
OOM_TEST(avg_pool_body)
OOM_TEST(global_pool_body)

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(sum_pool_body_survives),
      cmocka_unit_test(max_pool_body_survives),
      cmocka_unit_test(avg_pool_body_survives),
      cmocka_unit_test(global_pool_body_survives),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
