// Any bytes as a safetensors file.
#include <stdlib.h>
#include <string.h>

#include <lattice/lattice.h>

#include "model/safetensors_internal.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n_bytes);

static void require(int condition) {
  if (!condition) abort();
}

/// What every reader promises: tensors inside the file, found by name, or an error text; memory bounded by the input.
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n_bytes) {
  lat_context_opts opts = LAT_CONTEXT_OPTS_INIT;
  lat_context *context = NULL;
  lat_array *content = NULL;
  lat_safetensors *file = NULL;
  uint64_t sum = 0;
  opts.n_threads = 1;
  require(lat_context_create(&opts, &context) == LAT_STATUS_OK);
  lat_array_view view = lat_view_1d(data, LAT_DTYPE_U8, (int64_t)n_bytes);
  require(lat_array_wrap(context, &view, NULL, NULL, &content) == LAT_STATUS_OK);
  lat_status status = lat__safetensors_parse(context, "fuzz", content, &file);
  require((status == LAT_STATUS_OK) == (file != NULL));
  require(status == LAT_STATUS_OK || lat_last_error()[0] != '\0');
  require(lat_context_peak_bytes(context) <= 64 * (uint64_t)n_bytes + (1 << 16));
  for (int64_t i = 0; file && i < lat_safetensors_count(file); i++) {
    const lat_array *array = lat_safetensors_array(file, i);
    lat_array_view elements = lat_array_as_view(array);
    const uint8_t *bytes = elements.data;
    size_t n = (size_t)lat_array_count(array) * lat_dtype_bytes(elements.dtype);
    require(lat_safetensors_find(file, lat_safetensors_name(file, i)) == i);
    require(n <= n_bytes);
    for (size_t b = 0; b < n; b++) sum += bytes[b];
  }
  require(sum <= 255 * (uint64_t)n_bytes);
  lat_safetensors_release(file);
  lat_array_release(content);
  require(lat_context_bytes(context) == 0);
  lat_context_destroy(context);
  return 0;
}
