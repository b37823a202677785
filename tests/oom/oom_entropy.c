// Out of memory in the entropy coders, with the n-th allocation refused for every n.
#include <lattice/lattice.h>

#include "support/test_allocator.h"
#include "support/test_support.h"

#define ROWS 40
#define ALPHABET 6

static float prob[ROWS][ALPHABET];
static int32_t symbols[ROWS];

static lat_status coder_body(lat_context *context, int use_rans) {
  lat_array_view p = lat_view_2d(prob, LAT_DTYPE_F32, ROWS, ALPHABET), s = lat_view_1d(symbols, LAT_DTYPE_I32, ROWS);
  lat_array *stream = NULL, *decoded = NULL;
  lat_status status = use_rans ? lat_rans_encode_from_prob(context, &p, &s, &stream)
                               : lat_range_encode_from_prob(context, &p, &s, &stream);
  if (status == LAT_STATUS_OK) {
    lat_array_view bytes = lat_array_as_view(stream);
    lat_test_oom_record_view(bytes);
    status = use_rans ? lat_rans_decode_from_prob(context, &p, &bytes, &decoded)
                      : lat_range_decode_from_prob(context, &p, &bytes, &decoded);
  }
  if (status == LAT_STATUS_OK) lat_test_oom_record_view(lat_array_as_view(decoded));
  lat_array_release(stream);
  lat_array_release(decoded);
  return status;
}

static lat_status range_body(lat_context *context) {
  return coder_body(context, 0);
}

static lat_status rans_body(lat_context *context) {
  return coder_body(context, 1);
}

static lat_status table_body(lat_context *context) {
  lat_array_view p = lat_view_2d(prob, LAT_DTYPE_F32, ROWS, ALPHABET);
  lat_array *cdf = NULL;
  lat_status status = lat_normalized_cdf(context, &p, &cdf);
  if (status == LAT_STATUS_OK) lat_test_oom_record_view(lat_array_as_view(cdf));
  lat_array_release(cdf);
  return status;
}

static void entropy(void **state) {
  (void)state;
  for (int r = 0; r < ROWS; r++) {
    for (int s = 0; s < ALPHABET; s++) prob[r][s] = (float)((r * 7 + s * 3) % 11) / 33.0F;
    symbols[r] = r % ALPHABET;
  }
  lat_test_oom("range coder", range_body);
  lat_test_oom("rans coder", rans_body);
  lat_test_oom("normalized cdf", table_body);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(entropy)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
