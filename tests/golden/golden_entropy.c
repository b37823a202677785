// Byte streams of the entropy coders against golden vectors: hex strings that the codecs of mlx-lattice 0.6.0 produced for
// these inputs.
// covers: lat_normalized_cdf lat_range_encode lat_range_decode lat_range_encode_from_prob lat_range_decode_from_prob
// covers: lat_rans_encode_from_prob lat_rans_decode_from_prob
#include <stdio.h>
#include <string.h>

#include <lattice/lattice.h>

#include "support/test_support.h"

#define RANGE_MAGIC "4d4c584745524e473031"
#define RANS_MAGIC "4d4c584745524e533031"

static void assert_hex(const lat_array *bytes, const char *expected) {
  char text[256] = "";
  const uint8_t *data = lat_array_as_view(bytes).data;
  assert_true(lat_array_count(bytes) * 2 < (int64_t)sizeof text);
  for (int64_t i = 0; i < lat_array_count(bytes); i++) snprintf(text + 2 * i, 3, "%02x", data[i]);
  assert_string_equal(text, expected);
}

/// Encodes with both coders, compares the bytes, and decodes again, through the table as well.
static void check_streams(const float *prob, int64_t rows, int64_t alphabet, const int32_t *symbols,
                          const char *range_hex, const char *rans_hex) {
  lat_context *context = NULL;
  lat_array *cdf = NULL, *range = NULL, *range_cdf = NULL, *rans = NULL, *decoded[3] = {NULL};
  lat_array_view p = lat_view_2d(prob, LAT_DTYPE_F32, rows, alphabet);
  lat_array_view s = lat_view_1d(symbols, LAT_DTYPE_I32, rows);
  lat_test_assert_ok(lat_context_create(NULL, &context));
  lat_test_assert_ok(lat_normalized_cdf(context, &p, &cdf));
  lat_test_assert_ok(lat_range_encode_from_prob(context, &p, &s, &range));
  assert_hex(range, range_hex);
  lat_array_view c = lat_array_as_view(cdf);
  lat_test_assert_ok(lat_range_encode(context, &c, &s, &range_cdf));
  assert_hex(range_cdf, range_hex);
  lat_test_assert_ok(lat_rans_encode_from_prob(context, &p, &s, &rans));
  assert_hex(rans, rans_hex);
  lat_array_view range_view = lat_array_as_view(range), rans_view = lat_array_as_view(rans);
  lat_test_assert_ok(lat_range_decode(context, &c, &range_view, &decoded[0]));
  lat_test_assert_ok(lat_range_decode_from_prob(context, &p, &range_view, &decoded[1]));
  lat_test_assert_ok(lat_rans_decode_from_prob(context, &p, &rans_view, &decoded[2]));
  for (int i = 0; i < 3; i++) {
    assert_int_equal(lat_array_count(decoded[i]), rows);
    for (int64_t r = 0; r < rows; r++) assert_int_equal(((int32_t *)lat_array_data(decoded[i]))[r], symbols[r]);
    lat_array_release(decoded[i]);
  }
  lat_array_release(cdf);
  lat_array_release(range);
  lat_array_release(range_cdf);
  lat_array_release(rans);
  lat_context_destroy(context);
}

static void three_rows(void **state) {
  (void)state;
  const float prob[] = {.4F, .3F, .2F, .1F, .1F, .2F, .3F, .4F, .25F, .25F, .25F, .25F};
  const int32_t symbols[] = {0, 3, 2};
  check_streams(prob, 3, 4, symbols,
                RANGE_MAGIC "0300000004000000"
                            "54",
                RANS_MAGIC "0300000004000000"
                           "9c20840c");
}

static void no_rows(void **state) {
  (void)state;
  check_streams(NULL, 0, 4, NULL,
                RANGE_MAGIC "0000000004000000"
                            "40",
                RANS_MAGIC "0000000004000000"
                           "00008000");
}

static void twenty_four_rows(void **state) {
  (void)state;
  float prob[24 * 5];
  int32_t symbols[24];
  for (int r = 0; r < 24; r++) {
    float sum = 0.0F;
    for (int k = 0; k < 5; k++) prob[5 * r + k] = (float)(1 + (7 * r + 3 * k) % 11);
    for (int k = 0; k < 5; k++) sum += prob[5 * r + k];
    for (int k = 0; k < 5; k++) prob[5 * r + k] /= sum;
    symbols[r] = (3 * r + 1) % 5;
  }
  check_streams(prob, 24, 5, symbols,
                RANGE_MAGIC "1800000005000000"
                            "2feac879778882a4",
                RANS_MAGIC "1800000005000000"
                           "ef2cfd0a"
                           "51d563ad16d3ca");
}

static void tables(void **state) {
  (void)state;
  const float prob[] = {.4F, .3F, .2F, .1F, .1F, .2F, .3F, .4F, .25F, .25F, .25F, .25F};
  const uint16_t expected[] = {0, 26214, 45874, 58982, 0, 0, 6554, 19662, 39322, 0, 0, 16384, 32768, 49152, 0};
  float uniform[16];
  lat_context *context = NULL;
  lat_array *cdf = NULL;
  lat_array_view view = lat_view_2d(prob, LAT_DTYPE_F32, 3, 4);
  lat_test_assert_ok(lat_context_create(NULL, &context));
  lat_test_assert_ok(lat_normalized_cdf(context, &view, &cdf));
  assert_int_equal(lat_array_as_view(cdf).dtype, LAT_DTYPE_I16);
  assert_memory_equal(lat_array_data(cdf), expected, sizeof expected);
  lat_array_release(cdf);
  for (int s = 0; s < 16; s++) uniform[s] = 1.0F / 16.0F;
  view = lat_view_2d(uniform, LAT_DTYPE_F32, 1, 16);
  lat_test_assert_ok(lat_normalized_cdf(context, &view, &cdf));
  for (int s = 0; s <= 16; s++) assert_int_equal(((uint16_t *)lat_array_data(cdf))[s], (uint16_t)(4096 * s));
  lat_array_release(cdf);
  lat_context_destroy(context);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(three_rows),
      cmocka_unit_test(no_rows),
      cmocka_unit_test(twenty_four_rows),
      cmocka_unit_test(tables),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
