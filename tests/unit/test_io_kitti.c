// Reading raw float rows: the row length is decided where it can be and asked for where it cannot.
#include <math.h>
#include <string.h>

#include <lattice/lattice.h>

#include "support/io_cases.h"
#include "support/test_allocator.h"

static lat_test_allocator allocator;
static lat_context *context;

static int set_up(void **state) {
  (void)state;
  memset(&allocator, 0, sizeof allocator);
  context = lat_test_context_create(&allocator, 1);
  return 0;
}

static int tear_down(void **state) {
  (void)state;
  lat_test_context_finish(context, &allocator);
  return 0;
}

/// Little-endian bytes of floats, whatever the machine.
static void encode(const float *values, size_t n, unsigned char *out) {
  for (size_t i = 0; i < n; i++) {
    uint32_t bits;
    memcpy(&bits, &values[i], sizeof bits);
    for (int k = 0; k < 4; k++) out[i * 4 + (size_t)k] = (unsigned char)(bits >> (8 * k));
  }
}

static void four_floats(void **state) {
  (void)state;
  const float values[] = {1, -2, 3, 0.5f, NAN, INFINITY, -INFINITY, 0.25f};
  unsigned char bytes[sizeof values];
  lat_cloud *cloud = NULL;
  encode(values, 8, bytes);
  lat_test_assert_ok(lat_test_parse_kitti(context, bytes, sizeof bytes, 0, &cloud));
  assert_int_equal(lat_cloud_count(cloud), 2);
  assert_string_equal(lat_cloud_source(cloud), "KITTI (4 floats a point)");
  const float *positions = lat_cloud_positions(cloud).data;
  assert_true(positions[0] == 1 && positions[1] == -2 && positions[2] == 3);
  assert_true(isnan(positions[3]) && positions[4] == INFINITY && positions[5] == -INFINITY);
  assert_int_equal(lat_cloud_n_fields(cloud), 1);
  assert_string_equal(lat_cloud_field_name(cloud, 0), "intensity");
  const float *intensity = lat_cloud_field(cloud, 0).data;
  assert_true(intensity[0] == 0.5f && intensity[1] == 0.25f);
  lat_cloud_release(cloud);
}

static void five_floats(void **state) {
  (void)state;
  const float values[] = {1, -2, 3, 200, 31, 4, 5, 6, 7, 0};
  unsigned char bytes[sizeof values];
  lat_cloud *cloud = NULL;
  encode(values, 10, bytes);
  lat_test_assert_ok(lat_test_parse_kitti(context, bytes, sizeof bytes, 0, &cloud));
  assert_int_equal(lat_cloud_count(cloud), 2);
  assert_string_equal(lat_cloud_source(cloud), "KITTI (5 floats a point)");
  assert_int_equal(lat_cloud_find_field(cloud, "ring"), 1);
  const float *positions = lat_cloud_positions(cloud).data, *ring = lat_cloud_field(cloud, 1).data;
  assert_true(positions[3] == 4 && positions[5] == 6);
  assert_true(ring[0] == 31 && ring[1] == 0);
  lat_cloud_release(cloud);
}

/// 80 bytes fit four rows of five and five rows of four: the values decide.
static void values_decide(void **state) {
  (void)state;
  float values[20];
  unsigned char bytes[sizeof values];
  lat_cloud *cloud = NULL;
  for (int i = 0; i < 20; i++) values[i] = i % 4 == 3 ? 0.5f : -1.5f * (float)i;
  encode(values, 20, bytes);
  lat_test_assert_ok(lat_test_parse_kitti(context, bytes, sizeof bytes, 0, &cloud));
  assert_int_equal(lat_cloud_count(cloud), 5);
  lat_cloud_release(cloud);
  for (int i = 0; i < 20; i++) values[i] = i % 5 == 3 ? 17.0f : i % 5 == 4 ? (float)(i / 5) : -1.5f * (float)(i + 1);
  encode(values, 20, bytes);
  lat_test_assert_ok(lat_test_parse_kitti(context, bytes, sizeof bytes, 0, &cloud));
  assert_int_equal(lat_cloud_count(cloud), 4);
  lat_cloud_release(cloud);
}

/// Fractions in the fifth column are no rings, so this cannot be rows of five, nor can it be rows of four.
static void fractions_are_no_rings(void **state) {
  (void)state;
  float values[20];
  unsigned char bytes[sizeof values];
  lat_cloud *cloud = NULL;
  for (int i = 0; i < 20; i++) values[i] = i % 5 == 4 ? 0.5f : i % 5 == 3 ? 1.0f : -1.0f;
  encode(values, 20, bytes);
  lat_test_assert_error(lat_test_parse_kitti(context, bytes, sizeof bytes, 0, &cloud), LAT_STATUS_BAD_DATA,
                        "the values do not decide");
  assert_null(cloud);
}

static void undecided(void **state) {
  (void)state;
  unsigned char zeros[80] = {0}, wild[80];
  lat_cloud *cloud = NULL;
  memset(wild, 0xff, sizeof wild); // all NaN: neither length is plausible
  lat_test_assert_error(lat_test_parse_kitti(context, zeros, sizeof zeros, 0, &cloud), LAT_STATUS_BAD_DATA,
                        "case: rows of 4 or of 5 floats: 80 bytes fit both");
  assert_null(cloud);
  lat_test_assert_error(lat_test_parse_kitti(context, wild, sizeof wild, 0, &cloud), LAT_STATUS_BAD_DATA,
                        "expected floats_per_point to be given");
  assert_null(cloud);
  lat_test_assert_error(lat_test_parse_kitti(context, zeros, 0, 0, &cloud), LAT_STATUS_BAD_DATA, "0 bytes fit both");
  assert_null(cloud);
  for (int32_t floats = 4; floats <= 5; floats++) {
    lat_test_assert_ok(lat_test_parse_kitti(context, zeros, sizeof zeros, floats, &cloud));
    assert_int_equal(lat_cloud_count(cloud), floats == 4 ? 5 : 4);
    assert_int_equal(lat_cloud_n_fields(cloud), floats - 3);
    lat_cloud_release(cloud);
    lat_test_assert_ok(lat_test_parse_kitti(context, zeros, 0, floats, &cloud));
    assert_int_equal(lat_cloud_count(cloud), 0);
    lat_cloud_release(cloud);
    cloud = NULL;
  }
}

static void truncated(void **state) {
  (void)state;
  unsigned char zeros[80] = {0};
  lat_cloud *cloud = NULL;
  lat_test_assert_error(lat_test_parse_kitti(context, zeros, 33, 0, &cloud), LAT_STATUS_BAD_DATA,
                        "size does not fit rows of floats: got 33 bytes, expected a multiple of 16");
  assert_null(cloud);
  lat_test_assert_error(lat_test_parse_kitti(context, zeros, 40, 4, &cloud), LAT_STATUS_BAD_DATA,
                        "truncated: got 40 bytes, expected a multiple of 16");
  assert_null(cloud);
  lat_test_assert_error(lat_test_parse_kitti(context, zeros, 48, 5, &cloud), LAT_STATUS_BAD_DATA,
                        "expected a multiple of 20 (5 float32 values a point)");
  assert_null(cloud);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test_setup_teardown(four_floats, set_up, tear_down),
      cmocka_unit_test_setup_teardown(five_floats, set_up, tear_down),
      cmocka_unit_test_setup_teardown(values_decide, set_up, tear_down),
      cmocka_unit_test_setup_teardown(fractions_are_no_rings, set_up, tear_down),
      cmocka_unit_test_setup_teardown(undecided, set_up, tear_down),
      cmocka_unit_test_setup_teardown(truncated, set_up, tear_down),
  };
  return cmocka_run_group_tests_name("io_kitti", tests, NULL, NULL);
}
