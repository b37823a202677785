// Out of memory in reading and writing safetensors, with the n-th allocation refused for every n. (jansson's own memory is
// not the context's.)
#include <lattice/lattice.h>

#include "support/io_cases.h"
#include "support/test_allocator.h"
#include "support/test_support.h"

static lat_status body(lat_context *context) {
  const float values[6] = {1, 2, 3, 4, 5, 6};
  lat_array_view turned = lat_view_2d(values, LAT_DTYPE_F32, 2, 3);
  turned.shape[0] = 3, turned.shape[1] = 2, turned.stride[0] = 1, turned.stride[1] = 3;
  const lat_named_array arrays[2] = {{"a", lat_view_1d(values, LAT_DTYPE_F32, 6)}, {"b", turned}};
  const char *path = lat_test_folder_path("oom.safetensors");
  lat_safetensors *file = NULL;
  lat_status status = lat_safetensors_write(context, path, arrays, 2);
  if (status == LAT_STATUS_OK) status = lat_safetensors_open(context, path, &file);
  for (int64_t i = 0; file && i < lat_safetensors_count(file); i++) {
    lat_test_oom_record_view(lat_array_as_view(lat_safetensors_array(file, i)));
  }
  lat_safetensors_release(file);
  return status;
}

static void safetensors(void **state) {
  (void)state;
  lat_test_folder_make();
  lat_test_oom("safetensors", body);
  assert_int_equal(lat_test_folder_count(), 1);
  lat_test_folder_remove();
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(safetensors)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
