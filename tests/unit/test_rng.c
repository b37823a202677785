// The counter-based generator against the known answers of Random123, and arrays drawn from it.
// covers: lat_array_uniform lat_random_block
#include <math.h>
#include <string.h>

#include <lattice/array.h>

#include "support/test_allocator.h"
#include "support/test_support.h"

// Lines "philox4x32 10 …" of kat_vectors in the authors' Random123 distribution: counter, key, result, as words from the
// lowest on. Our counter is (counter, stream) and the key is the seed.
typedef struct known_answer {
  uint32_t counter[4], key[2], result[4];
} known_answer;

static const known_answer known_answers[] = {
    {{0, 0, 0, 0}, {0, 0}, {0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}},
    {{0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff},
     {0xffffffff, 0xffffffff},
     {0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}},
    {{0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344},
     {0xa4093822, 0x299f31d0},
     {0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}},
};

static uint64_t join_words(const uint32_t words[2]) {
  return (uint64_t)words[1] << 32 | words[0];
}

static void test_known_answers(void **state) {
  (void)state;
  for (size_t i = 0; i < sizeof known_answers / sizeof known_answers[0]; i++) {
    const known_answer *a = &known_answers[i];
    uint32_t out[4] = {0};
    lat_random_block(join_words(a->key), join_words(a->counter + 2), join_words(a->counter), out);
    assert_memory_equal(out, a->result, sizeof out);
  }
}

static lat_context *seeded_context(uint64_t seed, int32_t n_threads) {
  lat_context_opts opts = LAT_CONTEXT_OPTS_INIT;
  lat_context *context = NULL;
  opts.seed = seed;
  opts.n_threads = n_threads;
  lat_test_assert_ok(lat_context_create(&opts, &context));
  return context;
}

static lat_array *draw(lat_context *context, lat_dtype dtype, int64_t n, double low, double high, uint64_t stream) {
  const double range[2] = {low, high};
  lat_array *array = NULL;
  lat_test_assert_ok(lat_array_uniform(context, dtype, 1, &n, range, stream, &array));
  return array;
}

static void test_uniform_is_the_generator(void **state) {
  (void)state;
  lat_context *context = seeded_context(77, 3);
  lat_array *array = draw(context, LAT_DTYPE_F32, 11, -2.0, 6.0, 5);
  const float *values = lat_array_data(array);
  for (uint64_t i = 0; i < 11; i++) {
    uint32_t block[4];
    lat_random_block(77, 5, i / 4, block);
    assert_true(values[i] == (float)(-2.0 + 8.0 * ((double)block[i % 4] * 0x1p-32)));
  }
  lat_array_release(array);
  lat_context_destroy(context);
}

static void test_uniform_depends_on_seed_and_stream_alone(void **state) {
  (void)state;
  lat_context *one = seeded_context(1, 1), *same = seeded_context(1, 4), *other = seeded_context(2, 1);
  lat_array *a = draw(one, LAT_DTYPE_F32, 1000, 0.0, 1.0, 3), *longer = draw(same, LAT_DTYPE_F32, 1003, 0.0, 1.0, 3);
  lat_array *b = draw(other, LAT_DTYPE_F32, 1000, 0.0, 1.0, 3), *c = draw(one, LAT_DTYPE_F32, 1000, 0.0, 1.0, 4);
  assert_memory_equal(lat_array_data(a), lat_array_data(longer), 4000);
  assert_memory_not_equal(lat_array_data(a), lat_array_data(b), 4000);
  assert_memory_not_equal(lat_array_data(a), lat_array_data(c), 4000);
  lat_array *arrays[] = {a, longer, b, c};
  for (int i = 0; i < 4; i++) lat_array_release(arrays[i]);
  lat_context_destroy(one);
  lat_context_destroy(same);
  lat_context_destroy(other);
}

static void test_uniform_range_and_moments(void **state) {
  (void)state;
  enum { n = 100000 };
  lat_context *context = seeded_context(9, 1);
  lat_array *array = draw(context, LAT_DTYPE_F32, n, -1.0, 3.0, 0);
  const float *values = lat_array_data(array);
  double mean = 0, square = 0;
  for (int i = 0; i < n; i++) {
    assert_true(values[i] >= -1.0f && values[i] < 3.0f);
    mean += values[i];
    square += (double)values[i] * values[i];
  }
  mean /= n;
  // Five standard errors: sigma = 4 / sqrt 12; the variance of the variance of a uniform law is 4^4 / 180 / n.
  assert_true(fabs(mean - 1.0) < 5 * 4 / sqrt(12.0) / sqrt(n));
  assert_true(fabs(square / n - mean * mean - 16.0 / 12.0) < 5 * 16 / sqrt(180.0) / sqrt(n));
  lat_array_release(array);
  lat_context_destroy(context);
}

// An interval of two neighbouring floats: rounding may not leave it.
static void test_uniform_stays_in_a_narrow_range(void **state) {
  (void)state;
  lat_context *context = seeded_context(4, 1);
  double low = 1.0 + 0x1p-30, high = 1.0 + 0x1p-22 + 0x1p-30;
  lat_array *array = draw(context, LAT_DTYPE_F32, 400, low, high, 0);
  const float *values = lat_array_data(array);
  for (int i = 0; i < 400; i++) assert_true(values[i] >= low && values[i] < high);
  lat_array_release(array);
  array = draw(context, LAT_DTYPE_F32, 3, 0.5, 0.5, 0); // an empty interval gives its end
  for (int i = 0; i < 3; i++) assert_true(((const float *)lat_array_data(array))[i] == 0.5f);
  lat_array_release(array);
  lat_context_destroy(context);
}

static void test_uniform_float16_rounds_once(void **state) {
  (void)state;
  lat_context *context = seeded_context(12, 1);
  lat_array *array = draw(context, LAT_DTYPE_F16, 4000, 0.0, 1.0, 8);
  const uint16_t *values = lat_array_data(array);
  for (uint64_t i = 0; i < 4000; i++) {
    uint32_t block[4];
    lat_random_block(12, 8, i / 4, block);
    double exact = (double)block[i % 4] * 0x1p-32;
    double got = (double)lat_f16_to_f32(values[i]);
    double up = (double)lat_f16_to_f32((uint16_t)(values[i] + 1));
    double down = values[i] ? (double)lat_f16_to_f32((uint16_t)(values[i] - 1)) : got;
    assert_true(fabs(got - exact) <= fabs(up - exact) && fabs(got - exact) <= fabs(down - exact));
  }
  lat_array_release(array);
  lat_context_destroy(context);
}

static void test_uniform_errors(void **state) {
  (void)state;
  lat_test_allocator counter = {.fail_at = 0};
  lat_context *context = lat_test_context_create(&counter, 1);
  const int64_t n = 4, negative = -1;
  const double good[2] = {0, 1}, backwards[2] = {1, 0}, not_a_number[2] = {0, NAN}, wide[2] = {-70000, 1};
  const double too_wide[2] = {0, 1e39};
  lat_array *out = (lat_array *)&counter;
  lat_test_assert_error(lat_array_uniform(context, LAT_DTYPE_F32, 1, &n, good, 0, NULL), LAT_STATUS_INVALID_ARGUMENT,
                        "array_uniform: out");
  lat_test_assert_error(lat_array_uniform(NULL, LAT_DTYPE_F32, 1, &n, good, 0, &out), LAT_STATUS_INVALID_ARGUMENT,
                        "array_uniform: context");
  assert_null(out);
  const double *bad_ranges[] = {NULL, backwards, not_a_number, too_wide};
  for (int i = 0; i < 4; i++) {
    out = (lat_array *)&counter;
    lat_test_assert_error(lat_array_uniform(context, LAT_DTYPE_F32, 1, &n, bad_ranges[i], 0, &out),
                          LAT_STATUS_INVALID_ARGUMENT, "range");
    assert_null(out);
  }
  lat_test_assert_error(lat_array_uniform(context, LAT_DTYPE_F16, 1, &n, wide, 0, &out), LAT_STATUS_INVALID_ARGUMENT,
                        "within float16");
  lat_test_assert_error(lat_array_uniform(context, LAT_DTYPE_F64, 1, &n, good, 0, &out), LAT_STATUS_INVALID_DTYPE,
                        "got float64, expected float32, float16 or bfloat16");
  lat_test_assert_error(lat_array_uniform(context, LAT_DTYPE_F32, 1, &negative, good, 0, &out),
                        LAT_STATUS_INVALID_SHAPE, "negative");
  assert_null(out);
  lat_test_context_finish(context, &counter);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_known_answers),
      cmocka_unit_test(test_uniform_is_the_generator),
      cmocka_unit_test(test_uniform_depends_on_seed_and_stream_alone),
      cmocka_unit_test(test_uniform_range_and_moments),
      cmocka_unit_test(test_uniform_stays_in_a_narrow_range),
      cmocka_unit_test(test_uniform_float16_rounds_once),
      cmocka_unit_test(test_uniform_errors),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
