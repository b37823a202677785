/// What the fuzz targets of point-cloud readers share.
#ifndef LAT_TEST_FUZZ_IO_H
#define LAT_TEST_FUZZ_IO_H

#include <stdlib.h>
#include <string.h>

#include <lattice/lattice.h>

#include "io/cloud_internal.h"

/// Stops the fuzzer when a promise is broken.
static inline void fuzz_require(int condition) {
  if (!condition) abort();
}

/// Parses `data` with `parse` and checks what every reader promises: a cloud or an error text, memory bounded by the
/// input (`growth` bytes for each of its bytes), fields as long as the cloud, nothing left behind.
static inline void fuzz_parse(const uint8_t *data, size_t n_bytes, uint64_t growth,
                              lat_status (*parse)(lat_context *context, const lat__io_content *content,
                                                  lat_cloud **out)) {
  lat_context_opts opts = LAT_CONTEXT_OPTS_INIT;
  lat_context *context = NULL;
  lat_cloud *cloud = NULL;
  opts.n_threads = 1;
  fuzz_require(lat_context_create(&opts, &context) == LAT_STATUS_OK);
  uint8_t *copy = malloc(n_bytes + 1); // readers are promised a zero byte behind the content
  fuzz_require(copy != NULL);
  if (n_bytes) memcpy(copy, data, n_bytes);
  copy[n_bytes] = 0;
  lat__io_content content = {.path = "fuzz", .bytes = copy, .n_bytes = (int64_t)n_bytes};
  lat_status status = parse(context, &content, &cloud);
  fuzz_require(lat_context_peak_bytes(context) <= growth * (uint64_t)n_bytes + (1 << 19));
  if (status == LAT_STATUS_OK) {
    int64_t n_points = lat_cloud_count(cloud);
    fuzz_require(lat_cloud_positions(cloud).shape[0] == n_points);
    for (int32_t i = 0; i < lat_cloud_n_fields(cloud); i++) {
      fuzz_require(lat_cloud_field(cloud, i).shape[0] == n_points);
      fuzz_require(lat_cloud_find_field(cloud, lat_cloud_field_name(cloud, i)) >= 0);
    }
  } else {
    fuzz_require(cloud == NULL && lat_last_error()[0] != '\0');
  }
  lat_cloud_release(cloud);
  fuzz_require(lat_context_bytes(context) == 0);
  lat_context_destroy(context);
  free(copy);
}

#endif
