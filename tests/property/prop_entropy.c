// Entropy coding, random rows: what was encoded is decoded, by both coders and from both forms of the distribution, and
// the length is close to the information in the symbols.
// covers: lat_normalized_cdf lat_range_encode lat_range_decode lat_range_encode_from_prob lat_rans_encode_from_prob
// covers: lat_rans_decode_from_prob
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include <lattice/lattice.h>

#include "support/test_support.h"

#define CASES 60
#define MAX_ROWS 3000
#define MAX_ALPHABET 300

static uint32_t draw(uint64_t stream, uint64_t counter) {
  uint32_t block[4];
  lat_random_block(20261122, stream, counter, block);
  return block[0];
}

static void assert_symbols(const lat_array *decoded, const int32_t *symbols, int64_t rows) {
  assert_int_equal(lat_array_count(decoded), rows);
  assert_memory_equal(lat_array_as_view(decoded).data, symbols, (size_t)rows * sizeof *symbols);
}

/// Skewed random rows; some symbols get probability 0. Symbols follow the rows' own weights roughly.
static void fill(uint64_t seed, int64_t rows, int64_t alphabet, float *prob, int32_t *symbols) {
  for (int64_t r = 0; r < rows; r++) {
    float sum = 0.0F;
    for (int64_t s = 0; s < alphabet; s++) {
      float unit = (float)(draw(seed, (uint64_t)(r * alphabet + s)) >> 8) * 0x1p-24F;
      float weight = draw(seed + 1000, (uint64_t)(r * alphabet + s)) % 5 == 0 ? 0.0F : powf(unit, 6.0F);
      prob[r * alphabet + s] = weight;
      sum += weight;
    }
    for (int64_t s = 0; s < alphabet && sum > 0.0F; s++) prob[r * alphabet + s] /= sum;
    symbols[r] = (int32_t)(draw(seed + 2000, (uint64_t)r) % (uint32_t)alphabet);
  }
}

/// Bits that the counts of `cdf` give the symbols.
static double information(const lat_array *cdf, const int32_t *symbols, int64_t rows, int64_t alphabet) {
  const uint16_t *c = lat_array_as_view(cdf).data;
  double bits = 0.0;
  for (int64_t r = 0; r < rows; r++) {
    double to = symbols[r] + 1 == alphabet ? 65536.0 : c[r * (alphabet + 1) + symbols[r] + 1];
    bits -= log2((to - c[r * (alphabet + 1) + symbols[r]]) / 65536.0);
  }
  return bits;
}

static void round_trips(void **state) {
  (void)state;
  lat_context *context = NULL;
  float *prob = malloc(sizeof(float) * MAX_ROWS * MAX_ALPHABET);
  int32_t *symbols = malloc(sizeof(int32_t) * MAX_ROWS);
  assert_non_null(prob);
  assert_non_null(symbols);
  lat_test_assert_ok(lat_context_create(NULL, &context));
  for (uint64_t i = 0; i < CASES; i++) {
    int64_t alphabet = 2 + draw(i, 1) % (i % 8 == 0 ? MAX_ALPHABET - 1 : 20);
    int64_t rows = i < 4 ? (int64_t)i : draw(i, 2) % (i % 8 == 0 ? 200 : MAX_ROWS);
    lat_array *cdf = NULL, *range = NULL, *range_cdf = NULL, *rans = NULL, *decoded = NULL;
    fill(i, rows, alphabet, prob, symbols);
    lat_array_view p = lat_view_2d(prob, LAT_DTYPE_F32, rows, alphabet), s = lat_view_1d(symbols, LAT_DTYPE_I32, rows);
    lat_test_assert_ok(lat_normalized_cdf(context, &p, &cdf));
    lat_array_view c = lat_array_as_view(cdf);
    lat_test_assert_ok(lat_range_encode(context, &c, &s, &range_cdf));
    lat_test_assert_ok(lat_range_encode_from_prob(context, &p, &s, &range));
    lat_test_assert_ok(lat_rans_encode_from_prob(context, &p, &s, &rans));
    assert_int_equal(lat_array_count(range), lat_array_count(range_cdf));
    assert_memory_equal(lat_array_data(range), lat_array_data(range_cdf), (size_t)lat_array_count(range));
    // Range: two closing bits and the last byte's padding; rounding of the interval costs below 2^-13 a symbol. rANS: the
    // state, and at most one byte that a renormalization step holds back.
    double bits = information(cdf, symbols, rows, alphabet);
    assert_true(8.0 * (double)(lat_array_count(range) - 18) <= bits * (1.0 + 1e-3) + 16.0);
    assert_true(8.0 * (double)(lat_array_count(rans) - 22) <= bits * (1.0 + 1e-2) + 8.0);
    lat_array_view range_view = lat_array_as_view(range), rans_view = lat_array_as_view(rans);
    lat_test_assert_ok(lat_range_decode(context, &c, &range_view, &decoded));
    assert_symbols(decoded, symbols, rows);
    lat_array_release(decoded);
    lat_test_assert_ok(lat_rans_decode_from_prob(context, &p, &rans_view, &decoded));
    assert_symbols(decoded, symbols, rows);
    lat_array_release(decoded);
    lat_array_release(cdf);
    lat_array_release(range);
    lat_array_release(range_cdf);
    lat_array_release(rans);
  }
  lat_context_destroy(context);
  free(prob);
  free(symbols);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(round_trips)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
