// Cumulative rows: from probabilities (lat_normalized_cdf) or from a stored table, and the checks that both coders share.

#include <math.h>
#include <stdbool.h>
#include <string.h>

#include "core/alloc.h"
#include "core/array_internal.h"
#include "core/compiler.h"
#include "core/context_internal.h"
#include "entropy/cdf.h"

static lat_status check_table(const char *op, bool from_prob, const lat_array_view *view, int64_t *alphabet) {
  const char *name = from_prob ? "prob" : "cdf";
  char shape[128];
  int64_t count = 0;
  lat_status status = lat__view_check(op, name, view, &count);
  if (status) return status;
  bool dtype_ok = from_prob ? lat__dtype_is_feature(view->dtype) : view->dtype == LAT_DTYPE_I16;
  if (!dtype_ok) {
    return lat_fail(LAT_STATUS_INVALID_DTYPE, "%s: %s dtype: got %s, expected %s", op, name,
                    lat_dtype_name(view->dtype), from_prob ? "float32, float16 or bfloat16" : "int16");
  }
  *alphabet = view->rank == 2 ? view->shape[1] - (from_prob ? 0 : 1) : 0;
  if (*alphabet < 2) {
    return lat_fail(LAT_STATUS_INVALID_SHAPE, "%s: %s must have shape %s: got %s, expected an alphabet of 2 or more",
                    op, name, from_prob ? "(rows, alphabet)" : "(rows, alphabet + 1)",
                    lat__shape_text(view, shape, sizeof shape));
  }
  if (*alphabet >= (int64_t)LAT__CDF_TOTAL) {
    return lat_fail(LAT_STATUS_INVALID_SHAPE, "%s: alphabet is too large: got %lld, expected below 65536", op,
                    (long long)*alphabet);
  }
  if (view->shape[0] > (int64_t)UINT32_MAX) {
    return lat_fail(LAT_STATUS_OVERFLOW, "%s: %s has too many rows: got %lld, expected below 2^32", op, name,
                    (long long)view->shape[0]);
  }
  return LAT_STATUS_OK;
}

lat_status lat__cdf_open(lat__cdf_source *source, lat_context *context, const char *op, bool from_prob,
                         const lat_array_view *view) {
  lat_status status = LAT_STATUS_OK;
  void *row = NULL;
  source->context = context;
  source->op = op;
  source->from_prob = from_prob;
  LAT_TRY(check_table(op, from_prob, view, &source->alphabet), done);
  source->n_rows = view->shape[0];
  LAT_TRY(lat__view_contiguous_array(context, op, view, &source->values), done);
  LAT_TRY(lat__alloc_items(context, op, source->alphabet + 1, sizeof(uint32_t), &row), done);
  source->row = row;
done:
  return status;
}

void lat__cdf_close(lat__cdf_source *source) {
  lat_array_release(source->values);
  if (source->row) lat__free(source->context, source->row);
}

/// c[s] = clamp(round(running * (65536 - alphabet)) + s, s, 65536 - alphabet + s) with the float32 running sum of the
/// probabilities before s: every symbol keeps a count of at least 1. Halves round away from zero.
static lat_status load_from_prob(lat__cdf_source *source, int64_t row) {
  const int64_t alphabet = source->alphabet;
  const lat_array_view *view = &source->values->view;
  const long spare = (long)LAT__CDF_TOTAL - (long)alphabet;
  float running = 0.0f;
  source->row[0] = 0;
  for (int64_t s = 0; s < alphabet; s++) {
    float p = lat__float_load(view->dtype, view->data, row * alphabet + s);
    if (!isfinite(p)) {
      return lat_fail(LAT_STATUS_INVALID_ARGUMENT,
                      "%s: probabilities must be finite: got %g at row %lld, symbol %lld, expected 0 to 1", source->op,
                      (double)p, (long long)row, (long long)s);
    }
    if (s == alphabet - 1) break;
    running += p < 0.0f ? 0.0f : p > 1.0f ? 1.0f : p;
    long scaled = lroundf(running * (float)spare);
    scaled = scaled < 0 ? 0 : scaled > spare ? spare : scaled;
    source->row[s + 1] = (uint32_t)(scaled + (long)s + 1);
  }
  source->row[alphabet] = LAT__CDF_TOTAL;
  return LAT_STATUS_OK;
}

static lat_status load_from_table(lat__cdf_source *source, int64_t row) {
  const int64_t alphabet = source->alphabet;
  const uint16_t *stored = (const uint16_t *)source->values->view.data + row * (alphabet + 1);
  for (int64_t s = 0; s <= alphabet; s++) source->row[s] = stored[s];
  if (source->row[0] != 0 || source->row[alphabet] != 0) {
    bool start = source->row[0] != 0;
    return lat_fail(LAT_STATUS_INVALID_ARGUMENT,
                    "%s: a cumulative row must start at 0 and end at 65536 (stored as 0): got %u at its %s, row %lld, "
                    "expected 0",
                    source->op, (unsigned)source->row[start ? 0 : alphabet], start ? "start" : "end", (long long)row);
  }
  source->row[alphabet] = LAT__CDF_TOTAL;
  for (int64_t s = 0; s < alphabet; s++) {
    if (source->row[s + 1] <= source->row[s]) {
      return lat_fail(LAT_STATUS_INVALID_ARGUMENT,
                      "%s: a cumulative row must be strictly increasing: got %u after %u at row %lld, entry %lld, "
                      "expected more",
                      source->op, (unsigned)source->row[s + 1], (unsigned)source->row[s], (long long)row,
                      (long long)(s + 1));
    }
  }
  return LAT_STATUS_OK;
}

lat_status lat__cdf_load(lat__cdf_source *source, int64_t row) {
  return source->from_prob ? load_from_prob(source, row) : load_from_table(source, row);
}

int64_t lat__cdf_find(const lat__cdf_source *source, uint32_t count) {
  int64_t low = 0, high = source->alphabet; // row[low] <= count < row[high]
  while (high - low > 1) {
    int64_t middle = low + (high - low) / 2;
    if (source->row[middle] <= count) {
      low = middle;
    } else {
      high = middle;
    }
  }
  return low;
}

lat_status lat__symbols_open(const lat__cdf_source *source, const lat_array_view *symbols, lat_array **out) {
  char shape[128];
  int64_t count = 0;
  lat_status status = lat__view_check(source->op, "symbols", symbols, &count);
  if (status) return status;
  if (lat__dtype_is_feature(symbols->dtype) || symbols->dtype == LAT_DTYPE_F64) {
    return lat_fail(LAT_STATUS_INVALID_DTYPE, "%s: symbols dtype: got %s, expected integers", source->op,
                    lat_dtype_name(symbols->dtype));
  }
  if (symbols->rank != 1 || symbols->shape[0] != source->n_rows) {
    return lat_fail(LAT_STATUS_INVALID_SHAPE, "%s: symbols must have one entry for each row: got %s, expected (%lld,)",
                    source->op, lat__shape_text(symbols, shape, sizeof shape), (long long)source->n_rows);
  }
  status = lat_array_cast(source->context, symbols, LAT_DTYPE_I32, out);
  if (status) return status;
  const int32_t *values = (*out)->view.data;
  for (int64_t r = 0; r < source->n_rows; r++) {
    if (values[r] >= 0 && values[r] < source->alphabet) continue;
    status = lat_fail(LAT_STATUS_INVALID_ARGUMENT,
                      "%s: symbol outside the alphabet: got %d at row %lld, expected 0 to "
                      "%lld",
                      source->op, (int)values[r], (long long)r, (long long)(source->alphabet - 1));
    lat_array_release(*out);
    *out = NULL;
    return status;
  }
  return LAT_STATUS_OK;
}

static void put_u32(uint8_t *bytes, uint32_t value) {
  for (int i = 0; i < 4; i++) bytes[i] = (uint8_t)(value >> (8 * i));
}

static uint32_t get_u32(const uint8_t *bytes) {
  return (uint32_t)bytes[0] | (uint32_t)bytes[1] << 8 | (uint32_t)bytes[2] << 16 | (uint32_t)bytes[3] << 24;
}

void lat__stream_put_header(uint8_t *bytes, const char *magic, const lat__cdf_source *source) {
  memcpy(bytes, magic, LAT__STREAM_MAGIC_BYTES);
  put_u32(bytes + LAT__STREAM_MAGIC_BYTES, (uint32_t)source->n_rows);
  put_u32(bytes + LAT__STREAM_MAGIC_BYTES + 4, (uint32_t)source->alphabet);
}

/// Checks the 18 bytes in front of a payload.
static lat_status check_header(const lat__cdf_source *source, const char *magic, const uint8_t *bytes) {
  if (memcmp(bytes, magic, LAT__STREAM_MAGIC_BYTES) != 0) {
    return lat_fail(LAT_STATUS_BAD_DATA, "%s: bad magic: got another stream, expected one that begins with %s",
                    source->op, magic);
  }
  uint32_t rows = get_u32(bytes + LAT__STREAM_MAGIC_BYTES);
  uint32_t alphabet = get_u32(bytes + LAT__STREAM_MAGIC_BYTES + 4);
  if (rows == (uint32_t)source->n_rows && alphabet == (uint32_t)source->alphabet) return LAT_STATUS_OK;
  return lat_fail(LAT_STATUS_BAD_DATA,
                  "%s: header shape must match the distributions: got %u rows of %u symbols, expected %lld of %lld",
                  source->op, (unsigned)rows, (unsigned)alphabet, (long long)source->n_rows,
                  (long long)source->alphabet);
}

lat_status lat__stream_open(const lat__cdf_source *source, const char *magic, const lat_array_view *stream,
                            lat_array **out) {
  char shape[128];
  int64_t count = 0;
  lat_status status = lat__view_check(source->op, "stream", stream, &count);
  if (status) return status;
  if (stream->dtype != LAT_DTYPE_U8) {
    return lat_fail(LAT_STATUS_INVALID_DTYPE, "%s: stream dtype: got %s, expected uint8", source->op,
                    lat_dtype_name(stream->dtype));
  }
  if (stream->rank != 1) {
    return lat_fail(LAT_STATUS_INVALID_SHAPE, "%s: stream must have shape (bytes,): got %s, expected rank 1",
                    source->op, lat__shape_text(stream, shape, sizeof shape));
  }
  if (count < LAT__STREAM_HEADER_BYTES) {
    return lat_fail(LAT_STATUS_BAD_DATA, "%s: stream is shorter than its header: got %lld bytes, expected at least %d",
                    source->op, (long long)count, LAT__STREAM_HEADER_BYTES);
  }
  status = lat__view_contiguous_array(source->context, source->op, stream, out);
  if (!status) status = check_header(source, magic, (*out)->view.data);
  if (status) {
    lat_array_release(*out);
    *out = NULL;
  }
  return status;
}

lat_status lat_normalized_cdf(lat_context *context, const lat_array_view *prob, lat_array **out) {
  static const char op[] = "normalized_cdf";
  lat_status status = LAT_STATUS_OK;
  lat__cdf_source source = {0};
  lat_array *cdf = NULL;
  LAT_TRY(lat__array_op_check(op, context, out), done);
  LAT_TRY(lat__cdf_open(&source, context, op, true, prob), done);
  const int64_t columns = source.alphabet + 1;
  LAT_TRY(lat__array_new_2d(context, op, LAT_DTYPE_I16, source.n_rows, columns, &cdf), done);
  uint16_t *stored = lat_array_data(cdf);
  for (int64_t r = 0; r < source.n_rows; r++) {
    LAT_TRY(lat__cdf_load(&source, r), done);
    for (int64_t s = 0; s < columns; s++) stored[r * columns + s] = (uint16_t)source.row[s]; // 65536 is kept as 0
  }
  *out = cdf;
  cdf = NULL;
done:
  lat_array_release(cdf);
  lat__cdf_close(&source);
  return status;
}
