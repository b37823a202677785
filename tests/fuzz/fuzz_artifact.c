// Any bytes as the text of a graph.
#include <stdlib.h>
#include <string.h>

#include <lattice/lattice.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n_bytes);

static void require(int condition) {
  if (!condition) abort();
}

/// The text of a model reads back as a model with the same text.
static void check_round_trip(lat_context *context, const lat_model *model) {
  lat_array *text = NULL, *again = NULL;
  lat_model *second = NULL;
  char line[64];
  require(lat_model_text(context, model, &text) == LAT_STATUS_OK);
  require(lat_model_parse(context, lat_array_data(text), lat_array_count(text), &second) == LAT_STATUS_OK);
  require(lat_model_text(context, second, &again) == LAT_STATUS_OK);
  require(lat_array_count(text) == lat_array_count(again));
  require(memcmp(lat_array_data(text), lat_array_data(again), (size_t)lat_array_count(text)) == 0);
  for (int64_t i = 0; i < lat_model_n_operations(model); i++) lat_model_describe_operation(model, i, line, sizeof line);
  lat_model_release(second);
  lat_array_release(again);
  lat_array_release(text);
}

/// A model or an error text with a place; memory bounded by the input.
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n_bytes) {
  lat_context_opts opts = LAT_CONTEXT_OPTS_INIT;
  lat_context *context = NULL;
  lat_model *model = NULL;
  opts.n_threads = 1;
  require(lat_context_create(&opts, &context) == LAT_STATUS_OK);
  lat_status status = lat_model_parse(context, n_bytes ? (const char *)data : "", (int64_t)n_bytes, &model);
  require((status == LAT_STATUS_OK) == (model != NULL));
  require(lat_context_peak_bytes(context) <= 256 * (uint64_t)n_bytes + (1 << 16));
  if (model) {
    check_round_trip(context, model);
  } else {
    require(status == LAT_STATUS_BAD_DATA && strstr(lat_last_error(), "graph") != NULL);
  }
  lat_model_release(model);
  require(lat_context_bytes(context) == 0);
  lat_context_destroy(context);
  return 0;
}
