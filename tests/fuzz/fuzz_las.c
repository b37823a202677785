// Any bytes as a LAS file.
#include "fuzz/fuzz_io.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n_bytes);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n_bytes) {
  fuzz_parse(data, n_bytes, 8, lat__las_parse);
  return 0;
}
