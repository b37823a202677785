// The rANS coder (Duda: "Asymmetric numeral systems", arXiv:1311.2540): 32-bit state of at least 2^23, 16-bit counts, byte
// renormalization. Symbols are pushed last row first, so that the decoder pops them in row order.

#include <stdbool.h>
#include <string.h>

#include "core/array_internal.h"
#include "core/checked.h"
#include "core/compiler.h"
#include "core/context_internal.h"
#include "entropy/cdf.h"

#define MAGIC "MLXGERNS01"
#define LOWEST_STATE (UINT32_C(1) << 23)
#define HIGHEST_STATE ((UINT32_C(1) << 31) - 1)
#define STATE_BYTES 4

// A state below 2^31 loses whole bytes until it is below 2^15 * count: at most two for a count of 1.
#define MAX_BYTES_PER_SYMBOL 2

static lat_status encode(lat__cdf_source *source, const lat_array_view *symbols, lat_array **out) {
  lat_status status = LAT_STATUS_OK;
  lat_array *values = NULL, *payload = NULL;
  uint32_t state = LOWEST_STATE;
  LAT_TRY(lat__symbols_open(source, symbols, &values), done);
  LAT_TRY(lat__array_new_1d(source->context, source->op, LAT_DTYPE_U8, source->n_rows * MAX_BYTES_PER_SYMBOL, &payload),
          done);
  // Filled from its end, which reverses the bytes on the way.
  const int64_t capacity = lat_array_count(payload);
  uint8_t *bytes = lat_array_data(payload);
  int64_t first = capacity;
  for (int64_t r = source->n_rows - 1; r >= 0; r--) {
    int32_t s = ((const int32_t *)values->view.data)[r];
    LAT_TRY(lat__cdf_load(source, r), done);
    uint32_t from = source->row[s], count = source->row[s + 1] - from;
    uint64_t limit = (uint64_t)((LOWEST_STATE >> 16) << 8) * count;
    for (; state >= limit; state >>= 8) bytes[--first] = (uint8_t)state;
    state = (state / count << 16) + state % count + from;
  }
  const int64_t prefix = LAT__STREAM_HEADER_BYTES + STATE_BYTES;
  LAT_TRY(lat__array_new_1d(source->context, source->op, LAT_DTYPE_U8, prefix + capacity - first, out), done);
  uint8_t *stream = lat_array_data(*out);
  lat__stream_put_header(stream, MAGIC, source);
  for (int i = 0; i < STATE_BYTES; i++) stream[LAT__STREAM_HEADER_BYTES + i] = (uint8_t)(state >> (8 * i));
  if (capacity > first) memcpy(stream + prefix, bytes + first, (size_t)(capacity - first));
done:
  lat_array_release(payload);
  lat_array_release(values);
  return status;
}

typedef struct byte_reader {
  const uint8_t *bytes;
  int64_t n_bytes;
  int64_t position;
} byte_reader;

static lat_status fail_payload(const lat__cdf_source *source, const char *what, int64_t got, int64_t expected) {
  return lat_fail(LAT_STATUS_BAD_DATA, "%s: payload %s: got %lld, expected %lld", source->op, what, (long long)got,
                  (long long)expected);
}

static lat_status decode_rows(lat__cdf_source *source, byte_reader *reader, uint32_t state, int32_t *symbols) {
  for (int64_t r = 0; r < source->n_rows; r++) {
    lat_status status = lat__cdf_load(source, r);
    if (status) return status;
    uint32_t slot = state & 0xFFFFu;
    int64_t s = lat__cdf_find(source, slot);
    symbols[r] = (int32_t)s;
    state = (source->row[s + 1] - source->row[s]) * (state >> 16) + slot - source->row[s];
    while (state < LOWEST_STATE) {
      if (reader->position == reader->n_bytes) {
        return fail_payload(source, "is truncated: bytes", reader->n_bytes, reader->n_bytes + 1);
      }
      state = state << 8 | reader->bytes[reader->position++];
    }
  }
  if (reader->position != reader->n_bytes) {
    return fail_payload(source, "has bytes left over", reader->n_bytes, reader->position);
  }
  if (state != LOWEST_STATE) return fail_payload(source, "does not return to the initial state", state, LOWEST_STATE);
  return LAT_STATUS_OK;
}

static lat_status decode(lat__cdf_source *source, const lat_array_view *stream, lat_array **out) {
  lat_status status = LAT_STATUS_OK;
  lat_array *bytes = NULL, *symbols = NULL;
  uint32_t state = 0;
  LAT_TRY(lat__stream_open(source, MAGIC, stream, &bytes), done);
  const uint8_t *data = (const uint8_t *)bytes->view.data + LAT__STREAM_HEADER_BYTES;
  int64_t n_bytes = lat_array_count(bytes) - LAT__STREAM_HEADER_BYTES;
  if (n_bytes < STATE_BYTES) {
    status = fail_payload(source, "is truncated: bytes", n_bytes, STATE_BYTES);
    goto done;
  }
  for (int i = 0; i < STATE_BYTES; i++) state |= (uint32_t)data[i] << (8 * i);
  if (state < LOWEST_STATE || state > HIGHEST_STATE) {
    status = fail_payload(source, "has an impossible state", state, LOWEST_STATE);
    goto done;
  }
  LAT_TRY(lat__array_new_1d(source->context, source->op, LAT_DTYPE_I32, source->n_rows, &symbols), done);
  byte_reader reader = {data + STATE_BYTES, n_bytes - STATE_BYTES, 0};
  LAT_TRY(decode_rows(source, &reader, state, lat_array_data(symbols)), done);
  *out = symbols;
  symbols = NULL;
done:
  lat_array_release(symbols);
  lat_array_release(bytes);
  return status;
}

lat_status lat_rans_encode_from_prob(lat_context *context, const lat_array_view *prob, const lat_array_view *symbols,
                                     lat_array **out) {
  static const char op[] = "rans_encode_from_prob";
  lat__cdf_source source = {0};
  lat_status status = lat__array_op_check(op, context, out);
  if (!status) status = lat__cdf_open(&source, context, op, true, prob);
  if (!status) status = encode(&source, symbols, out);
  lat__cdf_close(&source);
  return status;
}

lat_status lat_rans_decode_from_prob(lat_context *context, const lat_array_view *prob, const lat_array_view *stream,
                                     lat_array **out) {
  static const char op[] = "rans_decode_from_prob";
  lat__cdf_source source = {0};
  lat_status status = lat__array_op_check(op, context, out);
  if (!status) status = lat__cdf_open(&source, context, op, true, prob);
  if (!status) status = decode(&source, stream, out);
  lat__cdf_close(&source);
  return status;
}
