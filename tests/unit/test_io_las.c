// Reading LAS: every point format, extra values, the header's rules, and every error.
// covers: lat_cloud_read
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include <lattice/lattice.h>

#include "support/io_cases.h"
#include "support/las_file.h"
#include "support/test_allocator.h"

static lat_test_allocator allocator;
static lat_context *context;
static unsigned char file[8192];

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

/// Value `row` of a field, which must have the dtype.
static double value_of(const lat_cloud *cloud, const char *name, lat_dtype dtype, int64_t row) {
  int32_t index = lat_cloud_find_field(cloud, name);
  assert_true(index >= 0);
  lat_array_view view = lat_cloud_field(cloud, index);
  assert_int_equal(view.dtype, dtype);
  switch (dtype) {
  case LAT_DTYPE_U8:
    return ((const uint8_t *)view.data)[row];
  case LAT_DTYPE_I16:
    return ((const int16_t *)view.data)[row];
  case LAT_DTYPE_U32:
    return ((const uint32_t *)view.data)[row];
  case LAT_DTYPE_I32:
    return ((const int32_t *)view.data)[row];
  case LAT_DTYPE_I64:
    return (double)((const int64_t *)view.data)[row];
  case LAT_DTYPE_F32:
    return (double)((const float *)view.data)[row];
  default:
    return ((const double *)view.data)[row];
  }
}

/// Writes the values that the test expects into a point of any format.
static void fill_point(int format, unsigned char *p) {
  test_las_put(p, (uint64_t)(int64_t)-150, 4);
  test_las_put(p + 4, 250, 4);
  test_las_put(p + 8, 0x7fffffff, 4);
  test_las_put(p + 12, 65535, 2);
  if (format < 6) {
    p[14] = 2 | 3 << 3 | 1 << 6 | 1 << 7;
    p[15] = 17 | 5 << 5;
    p[16] = (unsigned char)-90;
    p[17] = 201;
    test_las_put(p + 18, 4097, 2);
  } else {
    p[14] = 10 | 12 << 4;
    p[15] = 9 | 2 << 4 | 0 << 6 | 1 << 7;
    p[16] = 200;
    p[17] = 201;
    test_las_put(p + 18, (uint64_t)-15000, 2);
    test_las_put(p + 20, 4097, 2);
  }
}

static void every_format(void **state) {
  (void)state;
  static const int gps_at[] = {0, 20, 0, 20, 20, 20, 22, 22, 22, 22, 22},
                   rgb_at[] = {0, 0, 20, 28, 0, 28, 0, 30, 30, 0, 30};
  for (int format = 0; format <= 10; format++) {
    for (int minor = format < 2 ? 0 : format < 4 ? 2 : format < 6 ? 3 : 4; minor <= 4; minor++) {
      char source[64];
      lat_cloud *cloud = NULL;
      test_las las = test_las_begin(file, minor, format, 2, 0);
      unsigned char *p = las.points + las.record_bytes;
      fill_point(format, p);
      if (gps_at[format]) test_las_put_double(p + gps_at[format], 1234.5678);
      for (unsigned k = 0; k < 3 && rgb_at[format]; k++) test_las_put(p + rgb_at[format] + 2 * k, 65535 - k, 2);
      if (format == 8 || format == 10) test_las_put(p + 36, 777, 2);
      lat_test_assert_ok(lat_test_parse_las(context, file, las.n_bytes, &cloud));
      snprintf(source, sizeof source, "LAS (point format %d)", format);
      assert_string_equal(lat_cloud_source(cloud), source);
      assert_int_equal(lat_cloud_count(cloud), 2);
      const double *xyz = lat_cloud_positions(cloud).data;
      assert_int_equal(lat_cloud_positions(cloud).dtype, LAT_DTYPE_F64);
      assert_true(xyz[0] == 1000.0 && xyz[1] == 2000.0 && xyz[2] == -3.0);
      assert_true(xyz[3] == -150 * 0.01 + 1000.0 && xyz[4] == 250 * 0.5 + 2000.0 && xyz[5] == 2147483647 * 0.001 - 3.0);
      bool is_new = format >= 6;
      assert_true(value_of(cloud, "intensity", LAT_DTYPE_U32, 1) == 65535);
      assert_true(value_of(cloud, "return_number", LAT_DTYPE_U8, 1) == (is_new ? 10 : 2));
      assert_true(value_of(cloud, "number_of_returns", LAT_DTYPE_U8, 1) == (is_new ? 12 : 3));
      assert_true(value_of(cloud, "scan_direction", LAT_DTYPE_U8, 1) == (is_new ? 0 : 1));
      assert_true(value_of(cloud, "edge_of_flight_line", LAT_DTYPE_U8, 1) == 1);
      assert_true(value_of(cloud, "classification", LAT_DTYPE_U8, 1) == (is_new ? 200 : 17));
      assert_true(value_of(cloud, "classification_flags", LAT_DTYPE_U8, 1) == (is_new ? 9 : 5));
      assert_true(value_of(cloud, "scan_angle", LAT_DTYPE_F32, 1) == -90);
      assert_true(value_of(cloud, "user_data", LAT_DTYPE_U8, 1) == 201);
      assert_true(value_of(cloud, "point_source_id", LAT_DTYPE_U32, 1) == 4097);
      assert_true(value_of(cloud, "intensity", LAT_DTYPE_U32, 0) == 0);
      if (is_new) {
        assert_true(value_of(cloud, "scanner_channel", LAT_DTYPE_U8, 1) == 2);
      } else {
        assert_int_equal(lat_cloud_find_field(cloud, "scanner_channel"), -1);
      }
      if (gps_at[format]) {
        assert_true(value_of(cloud, "gps_time", LAT_DTYPE_F64, 1) == 1234.5678);
      } else {
        assert_int_equal(lat_cloud_find_field(cloud, "gps_time"), -1);
      }
      if (rgb_at[format]) {
        assert_true(value_of(cloud, "red", LAT_DTYPE_U32, 1) == 65535);
        assert_true(value_of(cloud, "blue", LAT_DTYPE_U32, 1) == 65533);
      } else {
        assert_int_equal(lat_cloud_find_field(cloud, "green"), -1);
      }
      if (format == 8 || format == 10) {
        assert_true(value_of(cloud, "nir", LAT_DTYPE_U32, 1) == 777);
      } else {
        assert_int_equal(lat_cloud_find_field(cloud, "nir"), -1);
      }
      lat_cloud_release(cloud);
    }
  }
}

/// Extra values of every type, described, undescribed and scaled; names that a cloud cannot have.
static void extra_values(void **state) {
  (void)state;
  static const int8_t bytes[11] = {0, 1, 1, 2, 2, 4, 4, 8, 8, 4, 8};
  static const lat_dtype dtypes[11] = {0,
                                       LAT_DTYPE_U8,
                                       LAT_DTYPE_I16,
                                       LAT_DTYPE_U32,
                                       LAT_DTYPE_I16,
                                       LAT_DTYPE_U32,
                                       LAT_DTYPE_I32,
                                       LAT_DTYPE_I64,
                                       LAT_DTYPE_I64,
                                       LAT_DTYPE_F32,
                                       LAT_DTYPE_F64};
  for (int type = 1; type <= 10; type++) {
    lat_cloud *cloud = NULL;
    test_las las = test_las_begin(file, 4, 0, 1, 40);
    test_las_extra(&las, type, "value", 0, 0, 0);
    test_las_extra(&las, 0, "blob", 3, 0, 0);
    test_las_extra(&las, type, "two words", 8 | 16, 0.5, 3);
    unsigned char *p = las.points + 20;
    uint64_t bits = type == 9 ? 0xc0200000u : type == 10 ? UINT64_C(0xc004000000000000) : 42; // -2.5
    test_las_put(p, bits, bytes[type]);
    test_las_put(p + bytes[type] + 3, bits, bytes[type]);
    lat_test_assert_ok(lat_test_parse_las(context, file, las.n_bytes, &cloud));
    double expected = type >= 9 ? -2.5 : 42;
    assert_true(value_of(cloud, "value", dtypes[type], 0) == expected);
    assert_true(value_of(cloud, "two_words", LAT_DTYPE_F64, 0) == expected * 0.5 + 3);
    assert_int_equal(lat_cloud_find_field(cloud, "blob"), -1);
    lat_cloud_release(cloud);
  }
}

static void extra_names(void **state) {
  (void)state;
  lat_cloud *cloud = NULL;
  test_las las = test_las_begin(file, 4, 0, 1, 40);
  test_las_extra(&las, 22, "v", 0, 0, 0); // three of int8
  test_las_extra(&las, 11, "", 0, 0, 0);  // two of uint8
  test_las_extra(&las, 1, "x", 0, 0, 0);
  test_las_extra(&las, 1, "intensity", 0, 0, 0);
  test_las_extra(&las, 1, "intensity", 0, 0, 0);
  test_las_extra(&las, 1, "12345678901234567890123456789012", 16, 0, 1.5);
  static const unsigned char bytes[] = {0xff, 1, 2, 3, 4, 5, 6, 7, 8};
  memcpy(las.points + 20, bytes, sizeof bytes);
  lat_test_assert_ok(lat_test_parse_las(context, file, las.n_bytes, &cloud));
  assert_true(value_of(cloud, "v_0", LAT_DTYPE_I16, 0) == -1);
  assert_true(value_of(cloud, "v_2", LAT_DTYPE_I16, 0) == 2);
  assert_true(value_of(cloud, "extra_0", LAT_DTYPE_U8, 0) == 3);
  assert_true(value_of(cloud, "extra_1", LAT_DTYPE_U8, 0) == 4);
  assert_true(value_of(cloud, "x_2", LAT_DTYPE_U8, 0) == 5);
  assert_true(value_of(cloud, "intensity_2", LAT_DTYPE_U8, 0) == 6);
  assert_true(value_of(cloud, "intensity_3", LAT_DTYPE_U8, 0) == 7);
  assert_true(value_of(cloud, "12345678901234567890123456789012", LAT_DTYPE_F64, 0) == 9.5);
  lat_cloud_release(cloud);
}

static void expect_error(size_t n_bytes, lat_status expected, const char *fragment) {
  lat_cloud *cloud = NULL;
  lat_test_assert_error(lat_test_parse_las(context, file, n_bytes, &cloud), expected, fragment);
  assert_null(cloud);
}

static void header_errors(void **state) {
  (void)state;
  test_las las = test_las_begin(file, 4, 6, 1, 0);
  expect_error(3, LAT_STATUS_BAD_DATA, "case: byte 0: not a LAS file: got 'LAS', expected 'LASF'");
  expect_error(226, LAT_STATUS_BAD_DATA, "truncated: bytes of the file: got 226, expected 227 or more");
  expect_error(374, LAT_STATUS_BAD_DATA, "header size: got 375");
  expect_error(las.n_bytes - 1, LAT_STATUS_BAD_DATA, "the header claims 1 points of 30 bytes: got room for 0");
  file[0] = 'l';
  expect_error(las.n_bytes, LAT_STATUS_BAD_DATA, "got 'lASF'");
  las = test_las_begin(file, 4, 6, 1, 0);
  file[25] = 5;
  expect_error(las.n_bytes, LAT_STATUS_UNSUPPORTED, "LAS version: got 1.5, expected 1.0 to 1.4");
  file[24] = 2, file[25] = 0;
  expect_error(las.n_bytes, LAT_STATUS_UNSUPPORTED, "LAS version: got 2.0");
  las = test_las_begin(file, 4, 6, 1, 0);
  test_las_put(file + 94, 374, 2);
  expect_error(las.n_bytes, LAT_STATUS_BAD_DATA, "header size: got 374, expected at least 227");
  las = test_las_begin(file, 4, 6, 1, 0);
  file[104] = 0x86;
  expect_error(las.n_bytes, LAT_STATUS_UNSUPPORTED, "the points are compressed (LAZ): got point format byte 134");
  file[104] = 0x46;
  expect_error(las.n_bytes, LAT_STATUS_UNSUPPORTED, "convert it, for instance with `laszip");
  file[104] = 11;
  expect_error(las.n_bytes, LAT_STATUS_UNSUPPORTED, "point format: got 11, expected 0 to 10");
  las = test_las_begin(file, 4, 6, 1, 0);
  test_las_put(file + 105, 29, 2);
  expect_error(las.n_bytes, LAT_STATUS_BAD_DATA, "point record length: got 29 bytes, expected at least 30");
  test_las_put(file + 105, 0, 2);
  expect_error(las.n_bytes, LAT_STATUS_BAD_DATA, "point record length: got 0 bytes");
}

static void claim_errors(void **state) {
  (void)state;
  test_las las = test_las_begin(file, 4, 6, 1, 0);
  test_las_put(file + 247, UINT64_MAX, 8);
  expect_error(las.n_bytes, LAT_STATUS_BAD_DATA, "the header claims 18446744073709551615 points of 30 bytes");
  test_las_put(file + 247, 1, 8);
  test_las_put(file + 107, 7, 4);
  expect_error(las.n_bytes, LAT_STATUS_BAD_DATA, "number of points: got 1, expected 7 as in the older field");
  las = test_las_begin(file, 2, 1, 1, 0);
  test_las_put(file + 107, UINT32_MAX, 4);
  expect_error(las.n_bytes, LAT_STATUS_BAD_DATA, "claims 4294967295 points of 28 bytes");
  las = test_las_begin(file, 2, 1, 1, 0);
  test_las_put(file + 96, 226, 4);
  expect_error(las.n_bytes, LAT_STATUS_BAD_DATA, "offset of the points: got 226, expected a place behind the header");
  test_las_put(file + 96, UINT32_MAX, 4);
  expect_error(las.n_bytes, LAT_STATUS_BAD_DATA, "offset of the points: got 4294967295");
  assert_true(lat_context_peak_bytes(context) < 400000);
  // The newer count may be left at 0 where the older one suffices.
  lat_cloud *cloud = NULL;
  las = test_las_begin(file, 4, 1, 2, 0);
  test_las_put(file + 247, 0, 8);
  lat_test_assert_ok(lat_test_parse_las(context, file, las.n_bytes, &cloud));
  assert_int_equal(lat_cloud_count(cloud), 2);
  lat_cloud_release(cloud);
}

static void grid_errors(void **state) {
  (void)state;
  static const double bad[] = {NAN, INFINITY, 0.0};
  for (int k = 0; k < 5; k++) {
    test_las las = test_las_begin(file, 2, 0, 1, 0);
    test_las_put_double(file + (k < 3 ? 139 : 163), bad[k % 3]);
    expect_error(las.n_bytes, LAT_STATUS_BAD_DATA, "scale and offset of y: got ");
  }
}

static void record_errors(void **state) {
  (void)state;
  test_las las = test_las_begin(file, 4, 0, 1, 4);
  test_las_extra(&las, 1, "a", 0, 0, 0);
  test_las_put(file + 100, 2, 4);
  expect_error(las.n_bytes, LAT_STATUS_BAD_DATA,
               "variable length record 1 of 2: got 0 bytes before the points, expected 54");
  test_las_put(file + 100, UINT32_MAX, 4);
  expect_error(las.n_bytes, LAT_STATUS_BAD_DATA, "record 1 of 4294967295");
  test_las_put(file + 100, 1, 4);
  test_las_put(file + 375 + 20, 193, 2);
  expect_error(las.n_bytes, LAT_STATUS_BAD_DATA, "record 0 of 1: got 246 bytes before the points, expected 247");
  las = test_las_begin(file, 4, 0, 1, 7);
  test_las_extra(&las, 7, "a", 0, 0, 0);
  expect_error(las.n_bytes, LAT_STATUS_BAD_DATA, "extra value 'a': got data type 7 and 8 bytes at byte 20 of a point");
  las = test_las_begin(file, 4, 0, 1, 40);
  test_las_extra(&las, 31, "a", 0, 0, 0);
  expect_error(las.n_bytes, LAT_STATUS_BAD_DATA, "got data type 31");
  las = test_las_begin(file, 4, 0, 1, 8);
  test_las_extra(&las, 7, "big", 0, 0, 0);
  memset(las.points + 20, 0xff, 8);
  expect_error(las.n_bytes, LAT_STATUS_BAD_DATA,
               "point 0: extra value 'big': got a value above 9223372036854775807, expected one that int64 holds");
}

/// More extra values than a table has columns.
static void too_many_values(void **state) {
  (void)state;
  static unsigned char large[65536];
  lat_cloud *cloud = NULL;
  test_las las = test_las_begin(large, 4, 0, 1, 600);
  for (int i = 0; i < 200; i++) test_las_extra(&las, 21, "t", 0, 0, 0);
  lat_test_assert_error(lat_test_parse_las(context, large, las.n_bytes, &cloud), LAT_STATUS_BAD_DATA,
                        "too many values a point: expected at most 512");
  assert_null(cloud);
}

/// The format is found by content and by name.
static void detection(void **state) {
  (void)state;
  lat_cloud_read_opts opts = LAT_CLOUD_READ_OPTS_INIT;
  lat_cloud *cloud = NULL;
  test_las las = test_las_begin(file, 2, 3, 5, 0);
  lat_test_folder_make();
  lat_test_file_write(lat_test_folder_path("points.any"), file, las.n_bytes);
  lat_test_assert_ok(lat_cloud_read(context, lat_test_folder_path("points.any"), NULL, &cloud));
  assert_int_equal(lat_cloud_count(cloud), 5);
  lat_cloud_release(cloud);
  cloud = NULL;
  lat_test_file_write(lat_test_folder_path("points.LAS"), "?", 1);
  lat_test_assert_error(lat_cloud_read(context, lat_test_folder_path("points.LAS"), NULL, &cloud), LAT_STATUS_BAD_DATA,
                        "not a LAS file");
  opts.format = LAT_CLOUD_FORMAT_LAS;
  lat_test_file_write(lat_test_folder_path("a.bin"), "?", 1);
  lat_test_assert_error(lat_cloud_read(context, lat_test_folder_path("a.bin"), &opts, &cloud), LAT_STATUS_BAD_DATA,
                        "not a LAS file");
  assert_null(cloud);
  lat_test_folder_remove();
}

typedef struct real_file {
  const char *name;
  int64_t n_points;
  double low[3], high[3];
  int64_t classes[65]; ///< points of each class
} real_file;

static const real_file real_files[] = {
    {"data/pdal_sample_c.las",
     14408,
     {674521.92, 1206740.08, 627.53},
     {674605.32, 1206814.96, 656.23},
     {[2] = 1368, [3] = 93, [4] = 29, [5] = 7, [6] = 12525, [11] = 2, [14] = 45, [31] = 339}},
    {"data/laspy_file_with_both_wkt_and_geotiff_vlrs.las",
     25408,
     {2445180.0, 604300.0, 1352.7},
     {2445239.99, 604339.98, 1403.96},
     {[2] = 9808, [3] = 158, [4] = 724, [5] = 10956, [6] = 3737, [7] = 25}},
    {"data/ign/test_data_77050_627755_LA93_IGN69.las",
     73355,
     {770500.0, 6277500.0, 20.25},
     {770541.68, 6277550.0, 43.49},
     {[1] = 1344, [2] = 13881, [3] = 187, [4] = 1190, [5] = 29514, [6] = 27239}},
    {"data/ign/test_data_77050_627760_LA93_IGN69.las",
     56035,
     {770500.0, 6277550.0, 20.64},
     {770550.0, 6277600.0, 37.7},
     {[1] = 4783, [2] = 33568, [3] = 379, [4] = 933, [5] = 12154, [6] = 4148, [64] = 70}},
    {"data/ign/test_data_77055_627755_LA93_IGN69.las",
     72770,
     {770550.0, 6277500.0, 20.41},
     {770600.0, 6277550.0, 38.7},
     {[1] = 2264, [2] = 39468, [3] = 682, [4] = 729, [5] = 5152, [6] = 24362, [64] = 113}},
    {"data/ign/test_data_77055_627760_LA93_IGN69.las",
     60653,
     {770550.0, 6277550.0, 20.72},
     {770600.0, 6277600.0, 39.62},
     {[1] = 581, [2] = 22343, [3] = 2497, [4] = 2449, [5] = 17875, [6] = 14908}},
};

static void real(void **state) {
  (void)state;
  for (size_t k = 0; k < sizeof real_files / sizeof real_files[0]; k++) {
    const real_file *wanted = &real_files[k];
    char path[4096];
    int64_t classes[256] = {0};
    lat_cloud *cloud = NULL;
    if (!lat_test_shared_path(wanted->name, path, sizeof path)) skip();
    lat_test_assert_ok(lat_cloud_read(context, path, NULL, &cloud));
    assert_int_equal(lat_cloud_count(cloud), wanted->n_points);
    const double *xyz = lat_cloud_positions(cloud).data;
    for (int axis = 0; axis < 3; axis++) {
      double low = INFINITY, high = -INFINITY;
      for (int64_t i = 0; i < wanted->n_points; i++) {
        low = fmin(low, xyz[i * 3 + axis]);
        high = fmax(high, xyz[i * 3 + axis]);
      }
      assert_true(fabs(low - wanted->low[axis]) < 6e-4 && fabs(high - wanted->high[axis]) < 6e-4);
    }
    const uint8_t *class_of = lat_cloud_field(cloud, lat_cloud_find_field(cloud, "classification")).data;
    for (int64_t i = 0; i < wanted->n_points; i++) classes[class_of[i]]++;
    assert_memory_equal(classes, wanted->classes, sizeof wanted->classes);
    lat_cloud_release(cloud);
  }
}

static void real_compressed(void **state) {
  (void)state;
  char path[4096];
  lat_cloud *cloud = NULL;
  if (!lat_test_shared_path("data/ign/test_data_77050_627760_LA93_IGN69.laz", path, sizeof path)) skip();
  lat_test_assert_error(lat_cloud_read(context, path, NULL, &cloud), LAT_STATUS_UNSUPPORTED, "compressed (LAZ)");
  assert_null(cloud);
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)

int main(void) {
  const struct CMUnitTest tests[] = {TEST(every_format),  TEST(extra_values),    TEST(extra_names),
                                     TEST(header_errors), TEST(claim_errors),    TEST(grid_errors),
                                     TEST(record_errors), TEST(too_many_values), TEST(detection),
                                     TEST(real),          TEST(real_compressed)};
  return cmocka_run_group_tests_name("io_las", tests, NULL, NULL);
}
