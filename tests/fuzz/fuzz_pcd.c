// Any bytes as a PCD file.
#include "fuzz/fuzz_io.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n_bytes);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n_bytes) {
  // A compressed byte unpacks to 88 at most, each of them to four bytes of arrays, and the unpacked bytes are kept too.
  fuzz_parse(data, n_bytes, 8 + 88 * 5, lat__pcd_parse);
  return 0;
}
