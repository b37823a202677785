// Any bytes as raw float rows: the first byte says how many floats a point has, or that it shall be decided.
#include "fuzz/fuzz_io.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n_bytes);

static int32_t floats_per_point;

static lat_status parse(lat_context *context, const lat__io_content *content, lat_cloud **out) {
  return lat__kitti_parse(context, content, floats_per_point, out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n_bytes) {
  static const int32_t choices[4] = {0, 4, 5, 0};
  if (n_bytes == 0) return 0;
  floats_per_point = choices[data[0] % 4];
  fuzz_parse(data + 1, n_bytes - 1, 8, parse);
  return 0;
}
