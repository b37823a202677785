// The range coder: 32-bit integer arithmetic coding with pending bits (Witten, Neal, Cleary: "Arithmetic coding for data
// compression", CACM 1987), 16-bit counts.
//
// State is the interval [low, high] of 32-bit integers. A symbol narrows it to its share of the range; leading bits on
// which both ends agree are emitted; while the interval straddles the middle within the inner half, the decision is put
// off (pending) and the interval is widened around the middle.

#include <stdbool.h>
#include <string.h>

#include "core/array_internal.h"
#include "core/checked.h"
#include "core/compiler.h"
#include "core/context_internal.h"
#include "entropy/cdf.h"

#define MAGIC "MLXGERNG01"
#define QUARTER (UINT32_C(1) << 30)
#define HALF (UINT32_C(1) << 31)
#define THREE_QUARTERS (HALF + QUARTER)

// The interval keeps a range above 2^30, so one symbol of count >= 1 shrinks it to 2^14 or more: at most 17 doublings.
#define MAX_BITS_PER_SYMBOL 17

typedef struct bit_writer {
  uint8_t *bytes; ///< zeroed
  int64_t n_bits;
  int64_t pending;
} bit_writer;

static void put_one(bit_writer *writer, bool bit) {
  if (bit) writer->bytes[writer->n_bits >> 3] |= (uint8_t)(0x80u >> (writer->n_bits & 7));
  writer->n_bits++;
}

/// A decided bit, then the complements that were put off.
static void put_bit(bit_writer *writer, bool bit) {
  put_one(writer, bit);
  for (; writer->pending > 0; writer->pending--) put_one(writer, !bit);
}

/// Narrows [low, high] to the counts [from, to) of 65536.
static void narrow(uint32_t *low, uint32_t *high, uint32_t from, uint32_t to) {
  uint64_t range = (uint64_t)*high - *low + 1;
  *high = (uint32_t)(*low + range * to / LAT__CDF_TOTAL - 1);
  *low = (uint32_t)(*low + range * from / LAT__CDF_TOTAL);
}

static void encode_symbol(bit_writer *writer, uint32_t *low, uint32_t *high, uint32_t from, uint32_t to) {
  narrow(low, high, from, to);
  for (;;) {
    if (*high < HALF) {
      put_bit(writer, false);
    } else if (*low >= HALF) {
      put_bit(writer, true);
      *low -= HALF;
      *high -= HALF;
    } else if (*low >= QUARTER && *high < THREE_QUARTERS) {
      writer->pending++;
      *low -= QUARTER;
      *high -= QUARTER;
    } else {
      return;
    }
    *low <<= 1;
    *high = *high << 1 | 1;
  }
}

/// Buffer that any payload of `n_rows` symbols fits, zeroed.
static lat_status new_stream(const lat__cdf_source *source, lat_array **out) {
  int64_t bits = 0;
  if (!lat__mul_i64(source->n_rows, MAX_BITS_PER_SYMBOL, &bits)) {
    return lat_fail(LAT_STATUS_OVERFLOW, "%s: stream size does not fit: got %lld rows", source->op,
                    (long long)source->n_rows);
  }
  lat_status status =
      lat__array_new_1d(source->context, source->op, LAT_DTYPE_U8, LAT__STREAM_HEADER_BYTES + bits / 8 + 2, out);
  if (!status) memset(lat_array_data(*out), 0, (size_t)lat_array_count(*out));
  return status;
}

static lat_status encode(lat__cdf_source *source, const lat_array_view *symbols, lat_array **out) {
  lat_status status = LAT_STATUS_OK;
  lat_array *values = NULL, *stream = NULL;
  uint32_t low = 0, high = UINT32_MAX;
  LAT_TRY(lat__symbols_open(source, symbols, &values), done);
  LAT_TRY(new_stream(source, &stream), done);
  uint8_t *bytes = lat_array_data(stream);
  const int32_t *symbol = values->view.data;
  lat__stream_put_header(bytes, MAGIC, source);
  bit_writer writer = {.bytes = bytes + LAT__STREAM_HEADER_BYTES};
  for (int64_t r = 0; r < source->n_rows; r++) {
    LAT_TRY(lat__cdf_load(source, r), done);
    encode_symbol(&writer, &low, &high, source->row[symbol[r]], source->row[symbol[r] + 1]);
  }
  writer.pending++;
  put_bit(&writer, low >= QUARTER);
  lat_array_view written = lat_view_1d(bytes, LAT_DTYPE_U8, LAT__STREAM_HEADER_BYTES + (writer.n_bits + 7) / 8);
  LAT_TRY(lat_array_create(source->context, &written, out), done);
done:
  lat_array_release(stream);
  lat_array_release(values);
  return status;
}

typedef struct bit_reader {
  const uint8_t *bytes;
  int64_t n_bits;
  int64_t position;
} bit_reader;

/// Past the end: zeros.
static uint32_t get_bit(bit_reader *reader) {
  int64_t at = reader->position++;
  return at < reader->n_bits ? (uint32_t)(reader->bytes[at >> 3] >> (7 - (at & 7)) & 1) : 0;
}

/// Drops the bits on which low and high agree, in step with the encoder.
static void decode_renormalize(bit_reader *reader, uint32_t *low, uint32_t *high, uint32_t *code) {
  for (;;) {
    uint32_t offset = 0;
    if (*high < HALF) {
      offset = 0;
    } else if (*low >= HALF) {
      offset = HALF;
    } else if (*low >= QUARTER && *high < THREE_QUARTERS) {
      offset = QUARTER;
    } else {
      return;
    }
    *low = (*low - offset) << 1;
    *high = (*high - offset) << 1 | 1;
    *code = (*code - offset) << 1 | get_bit(reader);
  }
}

static lat_status decode(lat__cdf_source *source, const lat_array_view *stream, lat_array **out) {
  lat_status status = LAT_STATUS_OK;
  lat_array *bytes = NULL, *symbols = NULL;
  uint32_t low = 0, high = UINT32_MAX, code = 0;
  LAT_TRY(lat__stream_open(source, MAGIC, stream, &bytes), done);
  LAT_TRY(lat__array_new_1d(source->context, source->op, LAT_DTYPE_I32, source->n_rows, &symbols), done);
  int32_t *symbol = lat_array_data(symbols);
  bit_reader reader = {.bytes = (const uint8_t *)bytes->view.data + LAT__STREAM_HEADER_BYTES,
                       .n_bits = 8 * (lat_array_count(bytes) - LAT__STREAM_HEADER_BYTES)};
  for (int i = 0; i < 32; i++) code = code << 1 | get_bit(&reader);
  for (int64_t r = 0; r < source->n_rows; r++) {
    LAT_TRY(lat__cdf_load(source, r), done);
    // The code stays in [low, high] whatever the bytes are, so the count is below 65536.
    uint64_t range = (uint64_t)high - low + 1;
    uint32_t count = (uint32_t)((((uint64_t)code - low + 1) * LAT__CDF_TOTAL - 1) / range);
    int64_t s = lat__cdf_find(source, count);
    symbol[r] = (int32_t)s;
    narrow(&low, &high, source->row[s], source->row[s + 1]);
    decode_renormalize(&reader, &low, &high, &code);
  }
  *out = symbols;
  symbols = NULL;
done:
  lat_array_release(symbols);
  lat_array_release(bytes);
  return status;
}

typedef lat_status (*code_fn)(lat__cdf_source *source, const lat_array_view *input, lat_array **out);

static lat_status run(lat_context *context, const char *op, bool from_prob, const lat_array_view *table, code_fn code,
                      const lat_array_view *input, lat_array **out) {
  lat__cdf_source source = {0};
  lat_status status = lat__array_op_check(op, context, out);
  if (!status) status = lat__cdf_open(&source, context, op, from_prob, table);
  if (!status) status = code(&source, input, out);
  lat__cdf_close(&source);
  return status;
}

lat_status lat_range_encode(lat_context *context, const lat_array_view *cdf, const lat_array_view *symbols,
                            lat_array **out) {
  return run(context, "range_encode", false, cdf, encode, symbols, out);
}

lat_status lat_range_decode(lat_context *context, const lat_array_view *cdf, const lat_array_view *stream,
                            lat_array **out) {
  return run(context, "range_decode", false, cdf, decode, stream, out);
}

lat_status lat_range_encode_from_prob(lat_context *context, const lat_array_view *prob, const lat_array_view *symbols,
                                      lat_array **out) {
  return run(context, "range_encode_from_prob", true, prob, encode, symbols, out);
}

lat_status lat_range_decode_from_prob(lat_context *context, const lat_array_view *prob, const lat_array_view *stream,
                                      lat_array **out) {
  return run(context, "range_decode_from_prob", true, prob, decode, stream, out);
}
