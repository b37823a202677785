// Fuzz: both decoders on arbitrary streams and tables. The first byte picks the alphabet, the second the rows; what a
// decoder accepts must encode again to the same symbols.
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <lattice/lattice.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(int condition) {
  if (!condition) abort();
}

static void check_rans(lat_context *context, const lat_array_view *prob, const lat_array_view *stream) {
  lat_array *symbols = NULL, *again = NULL;
  if (lat_rans_decode_from_prob(context, prob, stream, &symbols)) return;
  lat_array_view view = lat_array_as_view(symbols);
  require(lat_rans_encode_from_prob(context, prob, &view, &again) == LAT_STATUS_OK);
  require(lat_array_count(again) == stream->shape[0]);
  require(memcmp(lat_array_data(again), stream->data, (size_t)stream->shape[0]) == 0);
  lat_array_release(symbols);
  lat_array_release(again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  lat_context *context = NULL;
  lat_array *symbols = NULL;
  float prob[16 * 17];
  if (size < 2) return 0;
  int64_t alphabet = 2 + data[0] % 15, rows = data[1] % 17;
  for (int64_t i = 0; i < rows * alphabet; i++) prob[i] = (float)data[(size_t)i % size] / 255.0F;
  require(lat_context_create(NULL, &context) == LAT_STATUS_OK);
  lat_array_view p = lat_view_2d(prob, LAT_DTYPE_F32, rows, alphabet);
  lat_array_view stream = lat_view_1d(data + 2, LAT_DTYPE_U8, (int64_t)size - 2);
  check_rans(context, &p, &stream);
  if (lat_range_decode_from_prob(context, &p, &stream, &symbols) == LAT_STATUS_OK) lat_array_release(symbols);
  int64_t columns = 3 + data[0] % 3;
  int64_t table_rows = ((int64_t)size - 2) / 2 / columns;
  lat_array *table = NULL;
  lat_array_view bytes = lat_view_2d(data + 2, LAT_DTYPE_U8, table_rows, 2 * columns);
  require(lat_array_create(context, &bytes, &table) == LAT_STATUS_OK); // aligned
  lat_array_view cdf = lat_view_2d(lat_array_data(table), LAT_DTYPE_I16, table_rows, columns);
  if (lat_range_decode(context, &cdf, &stream, &symbols) == LAT_STATUS_OK) lat_array_release(symbols);
  lat_array_release(table);
  lat_context_destroy(context);
  return 0;
}
