// Any bytes as a coded cloud: as they are, and as the payload of a container whose checksums are right, since no fuzzer finds
// a CRC by itself. The range-coded chunks inside are fuzz_entropy's.
#include <stdlib.h>
#include <string.h>

#include "model/codec_internal.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n_bytes);

enum { HEADER = 56, VOXEL_MM = 16, MOST_CHILDREN = 4096 };

static void require(int condition) {
  if (!condition) abort();
}

static void put(uint8_t *at, uint64_t value, int n_bytes) {
  for (int i = 0; i < n_bytes; i++) at[i] = (uint8_t)(value >> (8 * i));
}

static uint32_t crc32_bitwise(const uint8_t *bytes, size_t n) {
  uint32_t crc = 0xFFFFFFFFu;
  for (size_t i = 0; i < n; i++) {
    crc ^= bytes[i];
    for (int bit = 0; bit < 8; bit++) crc = crc & 1 ? (crc >> 1) ^ 0xEDB88320u : crc >> 1;
  }
  return ~crc;
}

/// A container around a payload, from malloc.
static uint8_t *seal(const uint8_t *payload, size_t n_bytes) {
  uint8_t *stream = calloc(1, HEADER + n_bytes);
  require(stream != NULL);
  memcpy(stream, "LATCODEC", 8);
  put(stream + 8, 1, 4);
  put(stream + 12, VOXEL_MM, 4);
  put(stream + 24, INT32_MAX, 8);
  put(stream + 32, INT32_MAX, 8);
  put(stream + 40, n_bytes, 8);
  if (n_bytes) memcpy(stream + HEADER, payload, n_bytes);
  put(stream + 48, crc32_bitwise(stream + HEADER, n_bytes), 4);
  put(stream + 52, crc32_bitwise(stream, 52), 4);
  return stream;
}

/// What was taken apart is put together again to the same bytes; the coarsest level's children are distinct cells.
static void check_parts(lat_context *context, const uint8_t *stream, size_t n_bytes, lat__codec_header *header,
                        const lat__codec_payload *payload) {
  lat_array *again = NULL;
  lat__codec_level children = {NULL, NULL, 0};
  require(lat__codec_stream_write(context, header, payload, &again) == LAT_STATUS_OK);
  require(lat_array_count(again) == (int64_t)n_bytes);
  // The payload's first number is made from the container's.
  require(memcmp((const uint8_t *)lat_array_data(again) + HEADER + 2, stream + HEADER + 2, n_bytes - HEADER - 2) == 0);
  lat_status status = lat__codec_level_expand(context, &payload->coarsest, MOST_CHILDREN, &children);
  require(status == LAT_STATUS_OK || (status == LAT_STATUS_BAD_DATA && lat_last_error()[0]));
  for (int64_t i = 1; i < children.n; i++) {
    require(memcmp(&children.voxels[i - 1], &children.voxels[i], sizeof children.voxels[0]) != 0);
  }
  lat__codec_level_release(&children);
  lat_array_release(again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n_bytes) {
  lat_context_opts opts = LAT_CONTEXT_OPTS_INIT;
  lat_context *context = NULL;
  lat_codec_info info;
  lat__codec_header header;
  lat__codec_payload payload;
  opts.n_threads = 1;
  require(lat_context_create(&opts, &context) == LAT_STATUS_OK);
  lat_array_view raw = lat_view_1d(data, LAT_DTYPE_U8, (int64_t)n_bytes);
  lat_status status = lat_codec_inspect(context, &raw, &info);
  require(status == LAT_STATUS_OK || lat_last_error()[0] != '\0');
  uint8_t *stream = seal(data, n_bytes);
  lat_array_view sealed = lat_view_1d(stream, LAT_DTYPE_U8, (int64_t)(HEADER + n_bytes));
  status = lat__codec_stream_read(context, "fuzz", &sealed, &header, &payload);
  require(status == LAT_STATUS_OK || (status == LAT_STATUS_BAD_DATA && lat_last_error()[0]));
  require(lat_context_peak_bytes(context) <= 64 * (uint64_t)n_bytes + (1 << 16));
  if (status == LAT_STATUS_OK) {
    check_parts(context, stream, HEADER + n_bytes, &header, &payload);
    lat__codec_level_release(&payload.coarsest);
  }
  free(stream);
  require(lat_context_bytes(context) == 0);
  lat_context_destroy(context);
  return 0;
}
