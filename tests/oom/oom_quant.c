// Out of memory in packing and unpacking weights, with the n-th allocation refused for every n.
#include <lattice/lattice.h>

#include "support/oom_inputs.h"
#include "support/test_allocator.h"
#include "support/test_support.h"

// Quantizes a weight, makes a second one from its parts and unpacks that.
static lat_status quantize_weight_body(lat_context *context) {
  const int64_t shape[5] = {6, 3, 1, 2, 40};
  lat_array *dense = NULL, *unpacked = NULL;
  lat_quantized_weight *packed = NULL, *copy = NULL;
  lat_status status = lat_test_oom_make_array(context, LAT_DTYPE_F16, 5, shape, &dense);
  if (status == LAT_STATUS_OK) {
    lat_array_view view = lat_array_as_view(dense);
    status = lat_quantize_weight(context, &view, NULL, &packed);
    if (status != LAT_STATUS_OK) assert_null(packed);
  }
  if (status == LAT_STATUS_OK) {
    lat_quantized_info info = lat_quantized_weight_info(packed);
    status = lat_quantized_weight_create(context, &info, &copy);
    if (status != LAT_STATUS_OK) assert_null(copy);
  }
  if (status == LAT_STATUS_OK) status = lat_dequantize_weight(context, copy, &unpacked);
  lat_array_release(dense);
  lat_quantized_weight_release(packed);
  lat_quantized_weight_release(copy);
  return lat_test_oom_finish_array(status, unpacked);
}

static void quantize_weight_body_survives(void **state) {
  (void)state;
  lat_test_oom("quantize_weight_body", quantize_weight_body);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(quantize_weight_body_survives)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
