/// The point-cloud codec: octree, network and coder put together. Encoder and decoder walk the octree from its coarsest
/// level down and ask the network the same questions in the same order, so that both see the same probabilities.
#include <stdatomic.h>
#include <string.h>

#include "model/codec_internal.h"
#include "model/model_file.h"

/// Bytes of the header of lat_range_encode's streams (10 of magic, rows, alphabet), which a chunk leaves out, and the
/// symbols of half a code.
enum { RANGE_HEADER = 18, ALPHABET = 16 };

struct lat_codec {
  atomic_int refcount;
  lat_array *storage; ///< holds this struct
  lat__codec_network network;
};

lat_codec *lat_codec_retain(const lat_codec *codec) {
  lat_codec *shared = (lat_codec *)codec;
  if (shared) atomic_fetch_add_explicit(&shared->refcount, 1, memory_order_relaxed);
  return shared;
}

void lat_codec_release(lat_codec *codec) {
  if (!codec || atomic_fetch_sub_explicit(&codec->refcount, 1, memory_order_acq_rel) != 1) return;
  lat__codec_network_close(&codec->network);
  lat_array_release(codec->storage);
}

static lat_status fail_null(const char *op, const char *argument) {
  return lat_fail(LAT_STATUS_INVALID_ARGUMENT, "%s: %s: got NULL", op, argument);
}

lat_status lat_codec_open(lat_context *context, const char *folder, lat_codec **out) {
  if (!out) return fail_null("codec_open", "out");
  *out = NULL;
  if (!context) return fail_null("codec_open", "context");
  if (!folder) return fail_null("codec_open", "folder");
  lat_status status = LAT_STATUS_OK;
  lat_array *storage = NULL;
  int64_t n = (int64_t)sizeof(lat_codec);
  LAT_TRY(lat_array_full(context, LAT_DTYPE_U8, 1, &n, 0.0, &storage), done);
  lat_codec *codec = lat_array_data(storage);
  atomic_init(&codec->refcount, 1);
  codec->storage = storage;
  LAT_TRY(lat__codec_network_open(context, folder, &codec->network), done);
  *out = codec;
done:
  if (status) lat_array_release(storage);
  return status;
}

/// Half of the code of every voxel: the low 4 bits (shift 0) or the high ones (shift 4).
static lat_status half_codes(lat_context *context, const lat__codec_level *level, int shift, lat_array **out) {
  lat_status status = lat_array_full(context, LAT_DTYPE_I32, 1, &level->n, 0.0, out);
  int32_t *symbols = status ? NULL : lat_array_data(*out);
  for (int64_t i = 0; status == LAT_STATUS_OK && i < level->n; i++) symbols[i] = level->voxels[i].code >> shift & 15;
  return status;
}

/// Codes one half; `*stream` owns the bytes of `chunk`.
static lat_status encode_half(lat_context *context, const lat_array *prob, const lat_array *symbols, lat_array **stream,
                              lat__codec_chunk *chunk) {
  lat_array_view prob_view = lat_array_as_view(prob), symbol_view = lat_array_as_view(symbols);
  lat_status status = lat_range_encode_from_prob(context, &prob_view, &symbol_view, stream);
  if (status) return status;
  *chunk = (lat__codec_chunk){(const uint8_t *)lat_array_data(*stream) + RANGE_HEADER,
                              lat_array_count(*stream) - RANGE_HEADER};
  return LAT_STATUS_OK;
}

/// Codes the children of `parents`: two chunks, owned by two streams.
static lat_status encode_level(lat_context *context, const lat_codec *codec, const lat__codec_level *parents,
                               const lat__codec_level *children, lat_array *streams[2], lat__codec_chunk chunks[2]) {
  lat_status status = LAT_STATUS_OK;
  lat_array *features = NULL, *prob = NULL, *low = NULL, *high = NULL;
  LAT_TRY(half_codes(context, children, 0, &low), done);
  LAT_TRY(half_codes(context, children, 4, &high), done);
  LAT_TRY(lat__codec_predict_low(context, &codec->network, parents, children, &features, &prob), done);
  LAT_TRY(encode_half(context, prob, low, &streams[0], &chunks[0]), done);
  lat_array_release(prob);
  prob = NULL;
  lat_array_view known = lat_array_as_view(low);
  LAT_TRY(lat__codec_predict_high(context, &codec->network, children, features, &known, &prob), done);
  LAT_TRY(encode_half(context, prob, high, &streams[1], &chunks[1]), done);
done:
  lat_array_release(features);
  lat_array_release(prob);
  lat_array_release(low);
  lat_array_release(high);
  return status;
}

static void fill_info(lat_codec_info *info, const lat__codec_header *header, int32_t levels) {
  if (!info) return;
  *info = (lat_codec_info){.voxel_mm = header->voxel_mm,
                           .levels = levels,
                           .points = header->points,
                           .voxels = header->voxels,
                           .payload_bytes = header->payload_bytes,
                           .network = header->network};
}

static lat_status check_encode(const lat_context *context, const lat_codec *codec, const lat_array_view *points,
                               int32_t voxel_mm) {
  if (!context) return fail_null("codec_encode", "context");
  if (!codec) return fail_null("codec_encode", "codec");
  if (!points) return fail_null("codec_encode", "points");
  if (points->rank != 2 || points->shape[1] != 3) {
    return lat_fail(LAT_STATUS_INVALID_SHAPE,
                    "codec_encode: points must have shape (N, 3): got rank %d with %lld columns", (int)points->rank,
                    (long long)(points->rank == 2 ? points->shape[1] : 0));
  }
  if (points->dtype != LAT_DTYPE_F32 && points->dtype != LAT_DTYPE_F64) {
    return lat_fail(LAT_STATUS_INVALID_DTYPE, "codec_encode: points must be float32 or float64: got %s",
                    lat_dtype_name(points->dtype));
  }
  if (voxel_mm < 1 || voxel_mm > LAT_CODEC_MAX_VOXEL_MM) {
    return lat_fail(LAT_STATUS_INVALID_ARGUMENT, "codec_encode: voxel_mm: got %d, expected 1 to %d", (int)voxel_mm,
                    LAT_CODEC_MAX_VOXEL_MM);
  }
  return LAT_STATUS_OK;
}

lat_status lat_codec_encode(lat_context *context, const lat_codec *codec, const lat_array_view *points,
                            int32_t voxel_mm, lat_array **out, lat_codec_info *info) {
  if (!out) return fail_null("codec_encode", "out");
  *out = NULL;
  lat_status status = check_encode(context, codec, points, voxel_mm);
  if (status) return status;
  lat__codec_octree octree = {.n_levels = 0};
  lat__codec_payload payload = {.n_chunks = 0};
  lat_array *streams[2 * LAT__CODEC_LEVELS] = {NULL};
  LAT_TRY(lat__codec_octree_build(context, points, voxel_mm, &octree), done);
  payload.coarsest = octree.levels[0];
  for (int32_t i = 1; i < octree.n_levels; i++) {
    LAT_TRY(encode_level(context, codec, &octree.levels[i - 1], &octree.levels[i], &streams[payload.n_chunks],
                         &payload.chunks[payload.n_chunks]),
            done);
    payload.n_chunks += 2;
  }
  lat__codec_header header = {
      .voxel_mm = voxel_mm, .network = codec->network.digest, .points = points->shape[0], .voxels = octree.n_voxels};
  LAT_TRY(lat__codec_stream_write(context, &header, &payload, out), done);
  fill_info(info, &header, octree.n_levels - 1);
done:
  for (int32_t i = 0; i < 2 * LAT__CODEC_LEVELS; i++) lat_array_release(streams[i]);
  lat__codec_octree_release(&octree);
  return status;
}

/// Decodes one half of the codes: a chunk gets its header back first.
static lat_status decode_half(lat_context *context, const lat_array *prob, const lat__codec_chunk *chunk, int64_t rows,
                              lat_array **symbols) {
  static const char magic[] = "MLXGERNG01";
  lat_status status = LAT_STATUS_OK;
  lat_array *stream = NULL;
  int64_t n = RANGE_HEADER + chunk->n_bytes;
  LAT_TRY(lat_array_full(context, LAT_DTYPE_U8, 1, &n, 0.0, &stream), done);
  uint8_t *bytes = lat_array_data(stream);
  memcpy(bytes, magic, 10);
  for (int i = 0; i < 4; i++) bytes[10 + i] = (uint8_t)((uint64_t)rows >> (8 * i));
  bytes[14] = ALPHABET;
  if (chunk->n_bytes) memcpy(bytes + RANGE_HEADER, chunk->bytes, (size_t)chunk->n_bytes);
  lat_array_view prob_view = lat_array_as_view(prob), stream_view = lat_array_as_view(stream);
  LAT_TRY(lat_range_decode_from_prob(context, &prob_view, &stream_view, symbols), done);
done:
  lat_array_release(stream);
  return status;
}

/// Fills in the codes of `children`.
static lat_status decode_level(lat_context *context, const lat_codec *codec, const lat__codec_level *parents,
                               const lat__codec_chunk chunks[2], lat__codec_level *children) {
  lat_status status = LAT_STATUS_OK;
  lat_array *features = NULL, *prob = NULL, *low = NULL, *high = NULL;
  LAT_TRY(lat__codec_predict_low(context, &codec->network, parents, children, &features, &prob), done);
  LAT_TRY(decode_half(context, prob, &chunks[0], children->n, &low), done);
  lat_array_release(prob);
  prob = NULL;
  lat_array_view known = lat_array_as_view(low);
  LAT_TRY(lat__codec_predict_high(context, &codec->network, children, features, &known, &prob), done);
  LAT_TRY(decode_half(context, prob, &chunks[1], children->n, &high), done);
  const int32_t *low_bits = lat_array_data(low), *high_bits = lat_array_data(high);
  for (int64_t i = 0; i < children->n; i++) children->voxels[i].code = low_bits[i] | high_bits[i] << 4;
done:
  lat_array_release(features);
  lat_array_release(prob);
  lat_array_release(low);
  lat_array_release(high);
  return status;
}

/// Walks down from the coarsest level of `payload` to the voxels.
static lat_status decode_voxels(lat_context *context, const lat_codec *codec, const lat__codec_payload *payload,
                                int64_t n_voxels, lat__codec_level *out) {
  lat_status status = LAT_STATUS_OK;
  lat__codec_level level = {.n = 0}, children = {.n = 0};
  LAT_TRY(lat__codec_level_expand(context, &payload->coarsest, n_voxels, &level), done);
  const lat__codec_level *parents = &payload->coarsest;
  lat__codec_level before = {.n = 0};
  for (int32_t i = 0; i < payload->n_chunks; i += 2) {
    status = decode_level(context, codec, parents, &payload->chunks[i], &level);
    if (status == LAT_STATUS_OK) status = lat__codec_level_expand(context, &level, n_voxels, &children);
    lat__codec_level_release(&before);
    before = level;
    level = children;
    children = (lat__codec_level){.n = 0};
    parents = &before;
    if (status) break;
  }
  lat__codec_level_release(&before);
  if (status) goto done;
  if (level.n != n_voxels) {
    status = lat_fail(LAT_STATUS_BAD_DATA, "codec_decode: voxels: got %lld, expected %lld", (long long)level.n,
                      (long long)n_voxels);
    goto done;
  }
  *out = level;
  level = (lat__codec_level){.n = 0};
done:
  lat__codec_level_release(&level);
  return status;
}

/// Voxels and the positions they stand for.
static lat_status make_results(lat_context *context, const lat__codec_level *level, int32_t voxel_mm,
                               lat_array **out_points, lat_array **out_voxels) {
  lat_status status = LAT_STATUS_OK;
  int64_t shape[2] = {level->n, 3};
  lat_array *points = NULL, *voxels = NULL;
  LAT_TRY(lat_array_full(context, LAT_DTYPE_F64, 2, shape, 0.0, &points), done);
  LAT_TRY(lat_array_full(context, LAT_DTYPE_I32, 2, shape, 0.0, &voxels), done);
  double *at = lat_array_data(points);
  int32_t *voxel = lat_array_data(voxels);
  for (int64_t i = 0; i < level->n; i++, voxel += 3) {
    voxel[0] = level->voxels[i].x;
    voxel[1] = level->voxels[i].y;
    voxel[2] = level->voxels[i].z;
    for (int axis = 0; axis < 3; axis++) *at++ = ((double)voxel[axis] * voxel_mm - 131072.0) / 1000.0;
  }
  if (out_points) *out_points = lat_array_retain(points);
  if (out_voxels) *out_voxels = lat_array_retain(voxels);
done:
  lat_array_release(points);
  lat_array_release(voxels);
  return status;
}

/// A caller's stream as contiguous bytes.
static lat_status take_bytes(lat_context *context, const char *op, const lat_array_view *stream, lat_array **bytes) {
  if (!context) return fail_null(op, "context");
  if (!stream) return fail_null(op, "stream");
  if (stream->rank != 1) {
    return lat_fail(LAT_STATUS_INVALID_SHAPE, "%s: stream must have shape (N,): got rank %d", op, (int)stream->rank);
  }
  if (stream->dtype != LAT_DTYPE_U8) {
    return lat_fail(LAT_STATUS_INVALID_DTYPE, "%s: stream must be uint8: got %s", op, lat_dtype_name(stream->dtype));
  }
  return lat_array_create(context, stream, bytes);
}

/// A stream as contiguous bytes, checked and taken apart.
static lat_status take_stream(lat_context *context, const char *op, const lat_array_view *stream, lat_array **bytes,
                              lat__codec_header *header, lat__codec_payload *payload) {
  lat_status status = take_bytes(context, op, stream, bytes);
  if (status) return status;
  lat_array_view view = lat_array_as_view(*bytes);
  return lat__codec_stream_read(context, op, &view, header, payload);
}

uint64_t lat_codec_network(const lat_codec *codec) {
  return codec ? codec->network.digest : 0;
}

lat_status lat_codec_inspect(lat_context *context, const lat_array_view *stream, lat_codec_info *info) {
  if (!info) return fail_null("codec_inspect", "info");
  *info = (lat_codec_info){.voxel_mm = 0};
  lat_array *bytes = NULL;
  lat__codec_header header;
  lat__codec_payload payload = {.n_chunks = 0};
  lat_status status = take_stream(context, "codec_inspect", stream, &bytes, &header, &payload);
  if (status == LAT_STATUS_OK) fill_info(info, &header, payload.n_chunks / 2);
  lat_array_release(bytes);
  lat__codec_level_release(&payload.coarsest);
  return status;
}

lat_status lat_codec_decode(lat_context *context, const lat_codec *codec, const lat_array_view *stream,
                            lat_array **out_points, lat_array **out_voxels, lat_codec_info *info) {
  if (out_points) *out_points = NULL;
  if (out_voxels) *out_voxels = NULL;
  if (!codec) return fail_null("codec_decode", "codec");
  lat_status status = LAT_STATUS_OK;
  lat_array *bytes = NULL;
  lat__codec_header header;
  lat__codec_payload payload = {.n_chunks = 0};
  lat__codec_level voxels = {.n = 0};
  LAT_TRY(take_stream(context, "codec_decode", stream, &bytes, &header, &payload), done);
  if (header.network != codec->network.digest) {
    status =
        lat_fail(LAT_STATUS_BAD_DATA, "codec_decode: coded with another network: got digest %016llx, expected %016llx",
                 (unsigned long long)header.network, (unsigned long long)codec->network.digest);
    goto done;
  }
  LAT_TRY(decode_voxels(context, codec, &payload, header.voxels, &voxels), done);
  LAT_TRY(make_results(context, &voxels, header.voxel_mm, out_points, out_voxels), done);
  fill_info(info, &header, payload.n_chunks / 2);
done:
  lat_array_release(bytes);
  lat__codec_level_release(&payload.coarsest);
  lat__codec_level_release(&voxels);
  return status;
}

lat_status lat_codec_load(lat_context *context, const char *path, lat_array **out) {
  static const char op[] = "codec_load";
  if (!out) return fail_null(op, "out");
  *out = NULL;
  if (!context) return fail_null(op, "context");
  if (!path) return fail_null(op, "path");
  return lat__file_read(context, op, path, INT64_MAX, out);
}

lat_status lat_codec_save(lat_context *context, const lat_array_view *stream, const char *path) {
  static const char op[] = "codec_save";
  lat_array *bytes = NULL;
  if (!path) return fail_null(op, "path");
  lat_status status = take_bytes(context, op, stream, &bytes);
  if (status == LAT_STATUS_OK) {
    lat__piece piece = {lat_array_as_view(bytes).data, (size_t)lat_array_count(bytes)};
    status = lat__file_write(context, op, path, &piece, 1);
  }
  lat_array_release(bytes);
  return status;
}
