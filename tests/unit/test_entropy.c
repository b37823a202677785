// Entropy coding: every refusal, and the corners of the cumulative rows.
// covers: lat_normalized_cdf lat_range_encode lat_range_decode lat_range_encode_from_prob lat_range_decode_from_prob
// covers: lat_rans_encode_from_prob lat_rans_decode_from_prob
#include <math.h>
#include <string.h>

#include <lattice/lattice.h>

#include "support/test_allocator.h"
#include "support/test_support.h"

static lat_test_allocator counter;
static lat_context *context;
static const float uniform[2][4] = {{.25F, .25F, .25F, .25F}, {.25F, .25F, .25F, .25F}};
static const uint16_t table[2][5] = {{0, 16384, 32768, 49152, 0}, {0, 1, 2, 3, 0}};
static const int32_t symbols[2] = {1, 3};

static lat_array_view prob_view(void) {
  return lat_view_2d(uniform, LAT_DTYPE_F32, 2, 4);
}

static lat_array_view table_view(void) {
  return lat_view_2d(table, LAT_DTYPE_I16, 2, 5);
}

static lat_array_view symbol_view(void) {
  return lat_view_1d(symbols, LAT_DTYPE_I32, 2);
}

static void refuses_wrong_probabilities(void **state) {
  (void)state;
  float bad[2][4];
  lat_array *out = NULL;
  lat_array_view view = prob_view();
  view.dtype = LAT_DTYPE_I32;
  lat_test_assert_error(lat_normalized_cdf(context, &view, &out), LAT_STATUS_INVALID_DTYPE, "prob dtype: got int32");
  view = lat_view_1d(uniform, LAT_DTYPE_F32, 8);
  lat_test_assert_error(lat_normalized_cdf(context, &view, &out), LAT_STATUS_INVALID_SHAPE, "(rows, alphabet)");
  view = lat_view_2d(uniform, LAT_DTYPE_F32, 8, 1);
  lat_test_assert_error(lat_normalized_cdf(context, &view, &out), LAT_STATUS_INVALID_SHAPE, "got (8, 1)");
  view = lat_view_2d(NULL, LAT_DTYPE_F32, 0, 65536);
  lat_test_assert_error(lat_normalized_cdf(context, &view, &out), LAT_STATUS_INVALID_SHAPE,
                        "got 65536, expected below");
  view = lat_view_2d(uniform, LAT_DTYPE_F32, INT64_C(1) << 32, 4);
  lat_test_assert_error(lat_normalized_cdf(context, &view, &out), LAT_STATUS_OVERFLOW, "too many rows");
  lat_test_assert_error(lat_normalized_cdf(context, NULL, &out), LAT_STATUS_INVALID_ARGUMENT, "prob: got NULL");
  lat_test_assert_error(lat_normalized_cdf(NULL, &view, &out), LAT_STATUS_INVALID_ARGUMENT, "context: got NULL");
  lat_test_assert_error(lat_normalized_cdf(context, &view, NULL), LAT_STATUS_INVALID_ARGUMENT, "out: got NULL");
  const float not_finite[3] = {NAN, INFINITY, -INFINITY};
  for (int i = 0; i < 3; i++) {
    memcpy(bad, uniform, sizeof bad);
    bad[1][3] = not_finite[i]; // the last probability is never used, but it is checked
    view = lat_view_2d(bad, LAT_DTYPE_F32, 2, 4);
    lat_test_assert_error(lat_normalized_cdf(context, &view, &out), LAT_STATUS_INVALID_ARGUMENT, "row 1, symbol 3");
    assert_null(out);
  }
}

static void refuses_wrong_tables(void **state) {
  (void)state;
  lat_array *out = NULL;
  uint16_t bad[2][5];
  lat_array_view s = symbol_view(), view = table_view();
  view.dtype = LAT_DTYPE_I32;
  lat_test_assert_error(lat_range_encode(context, &view, &s, &out), LAT_STATUS_INVALID_DTYPE, "expected int16");
  view = lat_view_2d(table, LAT_DTYPE_I16, 5, 2);
  lat_test_assert_error(lat_range_encode(context, &view, &s, &out), LAT_STATUS_INVALID_SHAPE, "(rows, alphabet + 1)");
  memcpy(bad, table, sizeof bad);
  bad[1][0] = 7;
  view = lat_view_2d(bad, LAT_DTYPE_I16, 2, 5);
  lat_test_assert_error(lat_range_encode(context, &view, &s, &out), LAT_STATUS_INVALID_ARGUMENT, "got 7 at its start");
  bad[1][0] = 0, bad[1][4] = 9;
  lat_test_assert_error(lat_range_encode(context, &view, &s, &out), LAT_STATUS_INVALID_ARGUMENT, "got 9 at its end");
  bad[1][4] = 0, bad[1][3] = 2;
  lat_test_assert_error(lat_range_encode(context, &view, &s, &out), LAT_STATUS_INVALID_ARGUMENT,
                        "strictly increasing: got 2 after 2 at row 1, entry 3");
  assert_null(out);
}

static void refuses_wrong_symbols(void **state) {
  (void)state;
  lat_array *out = NULL;
  lat_array_view p = prob_view(), s = symbol_view();
  int32_t bad[2] = {0, 4};
  s = lat_view_1d(bad, LAT_DTYPE_I32, 2);
  lat_test_assert_error(lat_range_encode_from_prob(context, &p, &s, &out), LAT_STATUS_INVALID_ARGUMENT,
                        "symbol outside the alphabet: got 4 at row 1, expected 0 to 3");
  bad[1] = -1;
  lat_test_assert_error(lat_rans_encode_from_prob(context, &p, &s, &out), LAT_STATUS_INVALID_ARGUMENT,
                        "got -1 at row 1");
  s = lat_view_1d(bad, LAT_DTYPE_I32, 1);
  lat_test_assert_error(lat_rans_encode_from_prob(context, &p, &s, &out), LAT_STATUS_INVALID_SHAPE, "expected (2,)");
  s = lat_view_1d(uniform, LAT_DTYPE_F32, 2);
  lat_test_assert_error(lat_rans_encode_from_prob(context, &p, &s, &out), LAT_STATUS_INVALID_DTYPE, "got float32");
  lat_test_assert_error(lat_rans_encode_from_prob(context, &p, NULL, &out), LAT_STATUS_INVALID_ARGUMENT,
                        "symbols: got NULL");
  assert_null(out);
}

static void refuses_wrong_streams(void **state) {
  (void)state;
  lat_array *range = NULL, *rans = NULL, *out = NULL;
  uint8_t bytes[64];
  lat_array_view p = prob_view(), s = symbol_view(), c = table_view();
  lat_test_assert_ok(lat_range_encode(context, &c, &s, &range));
  lat_test_assert_ok(lat_rans_encode_from_prob(context, &p, &s, &rans));
  lat_array_view range_view = lat_array_as_view(range), rans_view = lat_array_as_view(rans);
  lat_test_assert_error(lat_rans_decode_from_prob(context, &p, &range_view, &out), LAT_STATUS_BAD_DATA, "bad magic");
  lat_test_assert_error(lat_range_decode(context, &c, &rans_view, &out), LAT_STATUS_BAD_DATA, "begins with MLXGERNG01");
  lat_array_view one_row = lat_view_2d(uniform, LAT_DTYPE_F32, 1, 4);
  lat_test_assert_error(lat_rans_decode_from_prob(context, &one_row, &rans_view, &out), LAT_STATUS_BAD_DATA,
                        "header shape must match the distributions: got 2 rows of 4 symbols, expected 1 of 4");
  lat_array_view narrow = lat_view_2d(uniform, LAT_DTYPE_F32, 2, 3);
  lat_test_assert_error(lat_range_decode_from_prob(context, &narrow, &range_view, &out), LAT_STATUS_BAD_DATA,
                        "expected 2 of 3");
  lat_array_view cut = lat_view_1d(rans_view.data, LAT_DTYPE_U8, 17);
  lat_test_assert_error(lat_rans_decode_from_prob(context, &p, &cut, &out), LAT_STATUS_BAD_DATA, "got 17 bytes");
  cut.shape[0] = 21;
  lat_test_assert_error(lat_rans_decode_from_prob(context, &p, &cut, &out), LAT_STATUS_BAD_DATA, "is truncated");
  cut = lat_view_2d(rans_view.data, LAT_DTYPE_U8, 1, 18);
  lat_test_assert_error(lat_rans_decode_from_prob(context, &p, &cut, &out), LAT_STATUS_INVALID_SHAPE, "(bytes,)");
  cut = lat_view_1d(rans_view.data, LAT_DTYPE_I32, 4);
  lat_test_assert_error(lat_rans_decode_from_prob(context, &p, &cut, &out), LAT_STATUS_INVALID_DTYPE, "got int32");
  const size_t n_bytes = (size_t)lat_array_count(rans);
  memcpy(bytes, rans_view.data, n_bytes);
  bytes[n_bytes] = 1;
  cut = lat_view_1d(bytes, LAT_DTYPE_U8, (int64_t)n_bytes + 1);
  lat_test_assert_error(lat_rans_decode_from_prob(context, &p, &cut, &out), LAT_STATUS_BAD_DATA, "left over");
  bytes[21] ^= 0x40;
  cut.shape[0] = (int64_t)n_bytes;
  lat_test_assert_error(lat_rans_decode_from_prob(context, &p, &cut, &out), LAT_STATUS_BAD_DATA, "payload");
  assert_null(out);
  lat_array_release(range);
  lat_array_release(rans);
}

/// Counts out of range are clamped: negative and large probabilities, and a sum far above one.
static void clamps_probabilities(void **state) {
  (void)state;
  const float wild[1][4] = {{-3.0F, 7.0F, 5.0F, 0.0F}};
  const uint16_t expected[5] = {0, 1, 65534, 65535, 0};
  lat_array *cdf = NULL;
  lat_array_view view = lat_view_2d(wild, LAT_DTYPE_F32, 1, 4);
  lat_test_assert_ok(lat_normalized_cdf(context, &view, &cdf));
  assert_memory_equal(lat_array_data(cdf), expected, sizeof expected);
  lat_array_release(cdf);
}

static int set_up(void **state) {
  (void)state;
  context = lat_test_context_create(&counter, 1);
  return 0;
}

static int tear_down(void **state) {
  (void)state;
  lat_test_context_finish(context, &counter);
  return 0;
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(refuses_wrong_probabilities), cmocka_unit_test(refuses_wrong_tables),
      cmocka_unit_test(refuses_wrong_symbols),       cmocka_unit_test(refuses_wrong_streams),
      cmocka_unit_test(clamps_probabilities),
  };
  return cmocka_run_group_tests(tests, set_up, tear_down);
}
