/// The bytes of a coded cloud, all little endian.
///
///     offset bytes  container (56 bytes)
///          0     8  magic "LATCODEC"
///          8     4  version: 1
///         12     4  edge of a voxel in millimetres
///         16     8  digest of the network
///         24     8  points that were coded
///         32     8  distinct voxels
///         40     8  bytes of the payload
///         48     4  CRC-32 of the payload
///         52     4  CRC-32 of the 52 bytes before
///
///                   payload (counted as the published sizes count it)
///          0     2  edge of a voxel in millimetres, float16 (rounded; the container has the exact one)
///          2     4  voxels n of the coarsest level
///          6   12n  their x, y, z
///              1n   their codes
///               2   number of chunks: two for each finer level, coarse to fine, low 4 bits before high
///                   each: 4 bytes of length, then a range-coded stream without its header
#include <string.h>

#include "model/codec_internal.h"

enum { HEADER_BYTES = 56, VERSION = 1 };

static const uint8_t magic[8] = {'L', 'A', 'T', 'C', 'O', 'D', 'E', 'C'};

static void store(uint8_t *at, uint64_t value, int n_bytes) {
  for (int i = 0; i < n_bytes; i++) at[i] = (uint8_t)(value >> (8 * i));
}

static uint64_t load(const uint8_t *at, int n_bytes) {
  uint64_t value = 0;
  for (int i = 0; i < n_bytes; i++) value |= (uint64_t)at[i] << (8 * i);
  return value;
}

/// CRC-32 (IEEE 802.3, reflected), four bits at a time.
static uint32_t crc32_of(const uint8_t *bytes, int64_t n) {
  uint32_t table[16];
  for (uint32_t i = 0; i < 16; i++) {
    uint32_t c = i;
    for (int bit = 0; bit < 4; bit++) c = c & 1 ? (c >> 1) ^ 0xEDB88320u : c >> 1;
    table[i] = c;
  }
  uint32_t crc = 0xFFFFFFFFu;
  for (int64_t i = 0; i < n; i++) {
    crc ^= bytes[i];
    crc = (crc >> 4) ^ table[crc & 15];
    crc = (crc >> 4) ^ table[crc & 15];
  }
  return ~crc;
}

static int64_t payload_size(const lat__codec_payload *payload) {
  int64_t bytes = 2 + 4 + 13 * payload->coarsest.n + 2;
  for (int32_t i = 0; i < payload->n_chunks; i++) bytes += 4 + payload->chunks[i].n_bytes;
  return bytes;
}

static void write_payload(const lat__codec_payload *payload, int32_t voxel_mm, uint8_t *at) {
  const lat__codec_level *coarsest = &payload->coarsest;
  store(at, lat_f32_to_f16((float)voxel_mm), 2);
  store(at + 2, (uint64_t)coarsest->n, 4);
  at += 6;
  for (int64_t i = 0; i < coarsest->n; i++, at += 12) {
    store(at, (uint32_t)coarsest->voxels[i].x, 4);
    store(at + 4, (uint32_t)coarsest->voxels[i].y, 4);
    store(at + 8, (uint32_t)coarsest->voxels[i].z, 4);
  }
  for (int64_t i = 0; i < coarsest->n; i++) *at++ = (uint8_t)coarsest->voxels[i].code;
  store(at, (uint64_t)payload->n_chunks, 2);
  at += 2;
  for (int32_t i = 0; i < payload->n_chunks; i++) {
    const lat__codec_chunk *chunk = &payload->chunks[i];
    store(at, (uint64_t)chunk->n_bytes, 4);
    if (chunk->n_bytes) memcpy(at + 4, chunk->bytes, (size_t)chunk->n_bytes);
    at += 4 + chunk->n_bytes;
  }
}

lat_status lat__codec_stream_write(lat_context *context, lat__codec_header *header, const lat__codec_payload *payload,
                                   lat_array **out) {
  header->payload_bytes = payload_size(payload);
  int64_t n = HEADER_BYTES + header->payload_bytes;
  for (int32_t i = 0; i < payload->n_chunks; i++) {
    if (payload->chunks[i].n_bytes > UINT32_MAX) {
      return lat_fail(LAT_STATUS_OVERFLOW, "codec_encode: one level needs %lld bytes, expected at most 4294967295",
                      (long long)payload->chunks[i].n_bytes);
    }
  }
  lat_status status = lat_array_full(context, LAT_DTYPE_U8, 1, &n, 0.0, out);
  if (status) return status;
  uint8_t *bytes = lat_array_data(*out);
  write_payload(payload, header->voxel_mm, bytes + HEADER_BYTES);
  memcpy(bytes, magic, sizeof magic);
  store(bytes + 8, VERSION, 4);
  store(bytes + 12, (uint64_t)header->voxel_mm, 4);
  store(bytes + 16, header->network, 8);
  store(bytes + 24, (uint64_t)header->points, 8);
  store(bytes + 32, (uint64_t)header->voxels, 8);
  store(bytes + 40, (uint64_t)header->payload_bytes, 8);
  store(bytes + 48, crc32_of(bytes + HEADER_BYTES, header->payload_bytes), 4);
  store(bytes + 52, crc32_of(bytes, 52), 4);
  return LAT_STATUS_OK;
}

/// Checks the container. `bytes` holds `n`.
static lat_status read_header(const char *op, const uint8_t *bytes, int64_t n, lat__codec_header *header) {
  if (n < HEADER_BYTES || memcmp(bytes, magic, sizeof magic) != 0) {
    return lat_fail(LAT_STATUS_BAD_DATA,
                    "%s: not a coded cloud: got %lld bytes, expected the magic \"LATCODEC\" and a header of %d bytes",
                    op, (long long)n, (int)HEADER_BYTES);
  }
  if (load(bytes + 8, 4) != VERSION) {
    return lat_fail(LAT_STATUS_UNSUPPORTED, "%s: version: got %llu, expected %d", op,
                    (unsigned long long)load(bytes + 8, 4), (int)VERSION);
  }
  if (load(bytes + 52, 4) != crc32_of(bytes, 52)) {
    return lat_fail(LAT_STATUS_BAD_DATA, "%s: the header is damaged: its checksum does not match", op);
  }
  uint64_t voxel_mm = load(bytes + 12, 4), points = load(bytes + 24, 8), voxels = load(bytes + 32, 8);
  uint64_t payload = load(bytes + 40, 8);
  if (payload != (uint64_t)(n - HEADER_BYTES)) {
    return lat_fail(LAT_STATUS_BAD_DATA, "%s: truncated or too long: got %lld bytes of payload, expected %llu", op,
                    (long long)(n - HEADER_BYTES), (unsigned long long)payload);
  }
  if (load(bytes + 48, 4) != crc32_of(bytes + HEADER_BYTES, n - HEADER_BYTES)) {
    return lat_fail(LAT_STATUS_BAD_DATA, "%s: the payload is damaged: its checksum does not match", op);
  }
  if (voxel_mm < 1 || voxel_mm > LAT_CODEC_MAX_VOXEL_MM || points > INT64_MAX || voxels > INT32_MAX ||
      voxels > points) {
    return lat_fail(LAT_STATUS_BAD_DATA, "%s: the header makes no sense: got %llu points, %llu voxels of %llu mm", op,
                    (unsigned long long)points, (unsigned long long)voxels, (unsigned long long)voxel_mm);
  }
  *header =
      (lat__codec_header){(int32_t)voxel_mm, load(bytes + 16, 8), (int64_t)points, (int64_t)voxels, (int64_t)payload};
  return LAT_STATUS_OK;
}

static lat_status fail_short(const char *op, const char *what) {
  return lat_fail(LAT_STATUS_BAD_DATA, "%s: the payload ends inside %s", op, what);
}

/// Reads the coarsest level: its `n` voxels stand at `at`.
static lat_status read_coarsest(lat_context *context, const char *op, const uint8_t *at, int64_t n,
                                lat__codec_level *out) {
  lat_status status = lat__codec_level_new(context, n, out);
  if (status) return status;
  for (int64_t i = 0; i < n; i++) {
    const uint8_t *row = at + 12 * i;
    lat__codec_voxel v = {.x = (int32_t)(uint32_t)load(row, 4),
                          .y = (int32_t)(uint32_t)load(row + 4, 4),
                          .z = (int32_t)(uint32_t)load(row + 8, 4),
                          .code = at[12 * n + i]};
    const lat__codec_voxel *before = i ? &out->voxels[i - 1] : NULL;
    if (before &&
        (v.z < before->z || (v.z == before->z && (v.y < before->y || (v.y == before->y && v.x <= before->x))))) {
      return lat_fail(LAT_STATUS_BAD_DATA, "%s: coarsest voxels must ascend: got (%d, %d, %d) at voxel %lld", op,
                      (int)v.x, (int)v.y, (int)v.z, (long long)i);
    }
    out->voxels[i] = v;
  }
  return LAT_STATUS_OK;
}

static lat_status read_payload(lat_context *context, const char *op, const uint8_t *at, int64_t n,
                               lat__codec_payload *out) {
  const uint8_t *end = at + n;
  if (n < 8) return fail_short(op, "its fixed fields");
  int64_t coarsest = (int64_t)load(at + 2, 4);
  if (coarsest > (n - 8) / 13) return fail_short(op, "the coarsest level");
  lat_status status = read_coarsest(context, op, at + 6, coarsest, &out->coarsest);
  if (status) return status;
  at += 6 + 13 * coarsest;
  int64_t n_chunks = (int64_t)load(at, 2);
  at += 2;
  if (n_chunks % 2 || n_chunks > 2 * (LAT__CODEC_LEVELS - 1)) {
    return lat_fail(LAT_STATUS_BAD_DATA, "%s: number of chunks: got %lld, expected an even one up to %d", op,
                    (long long)n_chunks, 2 * (LAT__CODEC_LEVELS - 1));
  }
  out->n_chunks = (int32_t)n_chunks;
  for (int32_t i = 0; i < out->n_chunks; i++) {
    if (end - at < 4) return fail_short(op, "the length of a chunk");
    int64_t bytes = (int64_t)load(at, 4);
    at += 4;
    if (bytes > end - at) return fail_short(op, "a chunk");
    out->chunks[i] = (lat__codec_chunk){at, bytes};
    at += bytes;
  }
  if (at != end) {
    return lat_fail(LAT_STATUS_BAD_DATA, "%s: %lld bytes are left behind the last chunk", op, (long long)(end - at));
  }
  return LAT_STATUS_OK;
}

lat_status lat__codec_stream_read(lat_context *context, const char *op, const lat_array_view *stream,
                                  lat__codec_header *header, lat__codec_payload *out) {
  *out = (lat__codec_payload){.n_chunks = 0};
  const uint8_t *bytes = stream->data;
  int64_t n = stream->shape[0];
  lat_status status = read_header(op, bytes, n, header);
  if (status == LAT_STATUS_OK) status = read_payload(context, op, bytes + HEADER_BYTES, header->payload_bytes, out);
  if (status) lat__codec_level_release(&out->coarsest);
  return status;
}
