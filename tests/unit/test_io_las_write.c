// Writing LAS: every field and position comes back, the smallest format is chosen, and every refusal.
// covers: lat_cloud_write_las
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <lattice/lattice.h>

#include "support/io_cases.h"
#include "support/las_file.h"
#include "support/test_allocator.h"

static lat_test_allocator allocator;
static lat_context *context;
static unsigned char file[16384];

static int set_up(void **state) {
  (void)state;
  memset(&allocator, 0, sizeof allocator);
  context = lat_test_context_create(&allocator, 1);
  lat_test_folder_make();
  return 0;
}

static int tear_down(void **state) {
  (void)state;
  lat_test_context_finish(context, &allocator);
  lat_test_folder_remove();
  return 0;
}

static lat_cloud *make_cloud(const void *positions, lat_dtype dtype, int64_t n) {
  lat_cloud *cloud = NULL;
  lat_array_view view = lat_view_2d(positions, dtype, n, 3);
  lat_test_assert_ok(lat_cloud_create(context, &view, &cloud));
  return cloud;
}

static void add(lat_cloud *cloud, const char *name, lat_dtype dtype, const void *values) {
  lat_array_view view = lat_view_1d(values, dtype, lat_cloud_count(cloud));
  lat_test_assert_ok(lat_cloud_add_field(context, cloud, name, &view));
}

static lat_cloud *written_and_read(const lat_cloud *cloud, const lat_las_write_opts *opts) {
  const char *path = lat_test_folder_path("written.las");
  lat_cloud *again = NULL;
  lat_test_assert_ok(lat_cloud_write_las(context, cloud, path, opts));
  lat_test_assert_ok(lat_cloud_read(context, path, NULL, &again));
  return again;
}

static void assert_same_view(lat_array_view a, lat_array_view b) {
  assert_int_equal(a.dtype, b.dtype);
  assert_int_equal(a.shape[0], b.shape[0]);
  size_t n = (size_t)a.shape[0] * lat_dtype_bytes(a.dtype) * (a.rank == 2 ? 3 : 1);
  if (n) assert_memory_equal(a.data, b.data, n);
}

/// Every field of `cloud` with dtype and bits, and the positions, are in `again`.
static void assert_kept(const lat_cloud *cloud, const lat_cloud *again) {
  assert_same_view(lat_cloud_positions(cloud), lat_cloud_positions(again));
  for (int32_t i = 0; i < lat_cloud_n_fields(cloud); i++) {
    int32_t index = lat_cloud_find_field(again, lat_cloud_field_name(cloud, i));
    assert_true(index >= 0);
    assert_same_view(lat_cloud_field(cloud, i), lat_cloud_field(again, index));
  }
}

/// A file of every point format, with pseudo-random bits everywhere, keeps all of them. Formats with wave packets lose
/// those and nothing else.
static void every_format_comes_back(void **state) {
  (void)state;
  static const int written_as[] = {0, 1, 2, 3, 1, 3, 6, 7, 8, 6, 8};
  for (int format = 0; format <= 10; format++) {
    char source[64];
    uint32_t random = 12345;
    lat_cloud *cloud = NULL;
    test_las las = test_las_begin(file, format < 6 ? 2 : 4, format, 50, 0);
    for (unsigned char *p = las.points; p < file + las.n_bytes; p++) {
      random = random * 1664525u + 1013904223u;
      *p = (unsigned char)(random >> 24);
    }
    file[6] = 1; // standard GPS time
    lat_test_assert_ok(lat_test_parse_las(context, file, las.n_bytes, &cloud));
    lat_cloud *again = written_and_read(cloud, NULL);
    snprintf(source, sizeof source, "LAS (point format %d)", written_as[format]);
    assert_string_equal(lat_cloud_source(again), source);
    assert_int_equal(lat_cloud_n_fields(again), lat_cloud_n_fields(cloud));
    assert_kept(cloud, again);
    size_t n_bytes;
    unsigned char *bytes = lat_test_file_read(lat_test_folder_path("written.las"), &n_bytes);
    assert_int_equal(bytes[6], format < 6 ? 1 : 17);
    assert_memory_equal(bytes + 131, file + 131, 48); // the same grid
    // Points byte for byte, where the format stayed the same.
    if (written_as[format] == format) {
      assert_memory_equal(bytes + 375, las.points, las.n_bytes - (size_t)(las.points - file));
    }
    free(bytes);
    lat_cloud_release(again);
    lat_cloud_release(cloud);
  }
}

/// Every dtype as an extra value.
static void extra_values_come_back(void **state) {
  (void)state;
  static const double xyz[6] = {0.25, -0.5, 1000.75, 0, 0, 0};
  static const uint8_t u8[2] = {0, 255};
  static const int16_t i16[2] = {INT16_MIN, 5};
  static const uint32_t u32[2] = {UINT32_MAX, 6};
  static const int32_t i32[2] = {INT32_MIN, 7};
  static const int64_t i64[2] = {INT64_MIN, INT64_MAX};
  static const float f32[2] = {-0.0f, 1e-40f};
  static const double f64[2] = {NAN, 0.1};
  static const uint16_t f16[2] = {0x3c00, 0xc100}, bf16[2] = {0x3f80, 0xc020}; // 1, -2.5
  lat_cloud *cloud = make_cloud(xyz, LAT_DTYPE_F64, 2);
  add(cloud, "u8", LAT_DTYPE_U8, u8);
  add(cloud, "i16", LAT_DTYPE_I16, i16);
  add(cloud, "u32", LAT_DTYPE_U32, u32);
  add(cloud, "i32", LAT_DTYPE_I32, i32);
  add(cloud, "i64", LAT_DTYPE_I64, i64);
  add(cloud, "f32", LAT_DTYPE_F32, f32);
  add(cloud, "a_name_of_32_bytes_is_the_limit_", LAT_DTYPE_F64, f64);
  add(cloud, "red", LAT_DTYPE_F64, f64); // one colour is none
  lat_cloud *long_name = written_and_read(cloud, NULL);
  assert_kept(cloud, long_name);
  lat_cloud_release(long_name);
  add(cloud, "f16", LAT_DTYPE_F16, f16);
  add(cloud, "bf16", LAT_DTYPE_BF16, bf16);
  lat_cloud *again = written_and_read(cloud, NULL);
  for (int k = 0; k < 2; k++) {
    lat_array_view view = lat_cloud_field(again, lat_cloud_find_field(again, k ? "bf16" : "f16"));
    assert_int_equal(view.dtype, LAT_DTYPE_F32);
    assert_true(((const float *)view.data)[0] == 1 && ((const float *)view.data)[1] == -2.5f);
  }
  assert_string_equal(lat_cloud_source(again), "LAS (point format 0)");
  const uint8_t *returns = lat_cloud_field(again, lat_cloud_find_field(again, "number_of_returns")).data;
  assert_true(returns[0] == 1 && returns[1] == 1);
  lat_cloud_release(again);
  lat_cloud_release(cloud);
}

/// The point format grows with what is asked of it.
static void chosen_format(void **state) {
  (void)state;
  static const float xyz[3] = {1, 2, 3};
  static const struct {
    const char *name;
    double value;
    int format;
  } cases[] = {{"return_number", 7, 0},
               {"return_number", 8, 6},
               {"number_of_returns", 9, 6},
               {"classification", 31, 0},
               {"classification", 32, 6},
               {"classification_flags", 7, 0},
               {"classification_flags", 8, 6},
               {"scan_angle", -128, 0},
               {"scan_angle", 0.006, 6},
               {"scan_angle", 128.004, 6},
               {"scanner_channel", 0, 6},
               {"gps_time", 0.5, 1},
               {"nir", 0.5, 0}};
  for (size_t k = 0; k < sizeof cases / sizeof cases[0]; k++) {
    char source[64];
    lat_cloud *cloud = make_cloud(xyz, LAT_DTYPE_F32, 1);
    add(cloud, cases[k].name, LAT_DTYPE_F64, &cases[k].value);
    lat_cloud *again = written_and_read(cloud, NULL);
    snprintf(source, sizeof source, "LAS (point format %d)", cases[k].format);
    assert_string_equal(lat_cloud_source(again), source);
    lat_array_view view = lat_cloud_field(again, lat_cloud_find_field(again, cases[k].name));
    double value = view.dtype == LAT_DTYPE_U8    ? *(const uint8_t *)view.data
                   : view.dtype == LAT_DTYPE_F32 ? (double)*(const float *)view.data
                                                 : *(const double *)view.data;
    assert_true(fabs(value - cases[k].value) < 1e-5);
    lat_cloud_release(again);
    lat_cloud_release(cloud);
  }
}

static void colours(void **state) {
  (void)state;
  static const float xyz[6] = {1, 2, 3, 4, 5, 6};
  static const uint8_t red[2] = {0, 255};
  static const uint32_t green[2] = {65535, 1}, blue[2] = {2, 3}, nir[2] = {4, 65535};
  lat_cloud *cloud = make_cloud(xyz, LAT_DTYPE_F32, 2);
  add(cloud, "red", LAT_DTYPE_U8, red);
  add(cloud, "green", LAT_DTYPE_U32, green);
  add(cloud, "blue", LAT_DTYPE_U32, blue);
  lat_cloud *again = written_and_read(cloud, NULL);
  assert_string_equal(lat_cloud_source(again), "LAS (point format 2)");
  const uint32_t *wide = lat_cloud_field(again, lat_cloud_find_field(again, "red")).data;
  assert_true(wide[0] == 0 && wide[1] == 65535);
  assert_same_view(lat_cloud_field(cloud, 1), lat_cloud_field(again, lat_cloud_find_field(again, "green")));
  lat_cloud_release(again);
  add(cloud, "nir", LAT_DTYPE_U32, nir);
  again = written_and_read(cloud, NULL);
  assert_string_equal(lat_cloud_source(again), "LAS (point format 8)");
  assert_same_view(lat_cloud_field(cloud, 3), lat_cloud_field(again, lat_cloud_find_field(again, "nir")));
  lat_cloud_release(again);
  lat_cloud_release(cloud);
}

static double scale_of(const unsigned char *bytes, int axis) {
  double value;
  memcpy(&value, bytes + 131 + 8 * axis, sizeof value); // little-endian machines only
  return value;
}

/// The coarsest decimal grid that gives the positions back; another where there is none.
static void grids(void **state) {
  (void)state;
  static const double exact[6] = {3, 77050001 * 0.01, 123456 * 0.0001, -7, 627750025 * 0.01, -10 * 0.0001};
  static const double inexact[6] = {1.0 / 3, 1e-7, 1e30, 2.0 / 3, -1e6, -1e30};
  const uint16_t one = 1;
  size_t n_bytes;
  lat_cloud *cloud = make_cloud(exact, LAT_DTYPE_F64, 2);
  lat_cloud *again = written_and_read(cloud, NULL);
  assert_kept(cloud, again);
  unsigned char *bytes = lat_test_file_read(lat_test_folder_path("written.las"), &n_bytes);
  if (*(const unsigned char *)&one == 1) {
    assert_true(scale_of(bytes, 0) == 1.0 && scale_of(bytes, 1) == 0.01 && scale_of(bytes, 2) == 0.0001);
  }
  free(bytes);
  lat_cloud_release(again);
  lat_cloud_release(cloud);
  cloud = make_cloud(inexact, LAT_DTYPE_F64, 2);
  again = written_and_read(cloud, NULL);
  const double *xyz = lat_cloud_positions(again).data;
  for (int i = 0; i < 6; i++) {
    double span = fabs(inexact[i % 3] - inexact[3 + i % 3]);
    assert_true(fabs(xyz[i] - inexact[i]) <= fmax(span / 2e8, 0.6e-9)); // half a step of at most span / 2e8
  }
  lat_cloud_release(again);
  lat_cloud_release(cloud);
}

/// float32 positions that are on no decimal grid come back when they are rounded to float32.
static void float32_positions(void **state) {
  (void)state;
  float xyz[300];
  for (int i = 0; i < 300; i++) xyz[i] = (float)(80.0 * sin(i * 1.7)) + 1.5f;
  lat_cloud *cloud = make_cloud(xyz, LAT_DTYPE_F32, 100);
  lat_cloud *again = written_and_read(cloud, NULL);
  const double *got = lat_cloud_positions(again).data;
  for (int i = 0; i < 300; i++) assert_true(fabs(got[i] - (double)xyz[i]) <= 0.51e-7);
  lat_cloud_release(again);
  lat_cloud_release(cloud);
}

static void wanted_grid(void **state) {
  (void)state;
  static const double xyz[6] = {0.26, 5, 1, 100.24, 6, 2};
  lat_las_write_opts opts = LAT_LAS_WRITE_OPTS_INIT;
  lat_cloud *cloud = make_cloud(xyz, LAT_DTYPE_F64, 2);
  opts.scale[0] = 0.5;
  opts.offset[0] = 100;
  lat_cloud *again = written_and_read(cloud, &opts);
  const double *got = lat_cloud_positions(again).data;
  assert_true(got[0] == 0.5 && got[3] == 100.0 && got[1] == 5 && got[5] == 2);
  lat_cloud_release(again);
  const char *path = lat_test_folder_path("no.las");
  opts.scale[0] = 1e-9;
  lat_test_assert_error(lat_cloud_write_las(context, cloud, path, &opts), LAT_STATUS_OVERFLOW,
                        "positions leave int32: got x from 0.26 to 100.24 with scale 1e-09 and offset 100");
  static const double bad[] = {-1, NAN, INFINITY};
  for (int k = 0; k < 4; k++) {
    opts.scale[0] = k < 3 ? bad[k] : 1;
    opts.offset[0] = k < 3 ? 0 : NAN;
    lat_test_assert_error(lat_cloud_write_las(context, cloud, path, &opts), LAT_STATUS_INVALID_ARGUMENT,
                          "scale and offset of x: got ");
  }
  lat_cloud_release(cloud);
}

static void empty(void **state) {
  (void)state;
  lat_cloud *cloud = make_cloud(NULL, LAT_DTYPE_F32, 0);
  add(cloud, "value", LAT_DTYPE_F32, NULL);
  add(cloud, "return_number", LAT_DTYPE_U8, NULL);
  lat_cloud *again = written_and_read(cloud, NULL);
  assert_int_equal(lat_cloud_count(again), 0);
  assert_true(lat_cloud_find_field(again, "value") >= 0);
  lat_cloud_release(again);
  lat_cloud_release(cloud);
}

static void refusals(void **state) {
  (void)state;
  static const double xyz[6] = {1, 2, 3, 4, 5, 6}, nan_xyz[6] = {1, 2, 3, 4, NAN, 6};
  static const double wide[6] = {1, 2, -1.5e308, 4, 5, 1.5e308};
  static const struct {
    const char *name;
    double values[2];
    const char *fragment;
  } misfits[] = {
      {"intensity", {1, 0.5}, "field 'intensity': got 0.5 at point 1, expected whole numbers from 0 to 65535"},
      {"intensity", {65536, 0}, "got 65536 at point 0"},
      {"intensity", {-1, 0}, "got -1 at point 0"},
      {"return_number", {0, 16}, "got 16 at point 1, expected whole numbers from 0 to 15"},
      {"number_of_returns", {0, 16}, "from 0 to 15"},
      {"classification", {256, 0}, "from 0 to 255"},
      {"classification_flags", {16, 0}, "from 0 to 15"},
      {"scanner_channel", {4, 0}, "from 0 to 3"},
      {"scan_direction", {2, 0}, "from 0 to 1"},
      {"edge_of_flight_line", {2, 0}, "from 0 to 1"},
      {"user_data", {256, 0}, "from 0 to 255"},
      {"point_source_id", {NAN, 0}, "got nan at point 0"},
      {"scan_angle", {0, 200}, "got 200 at point 1, expected degrees from -196.608 to 196.602"},
      {"scan_angle", {0, NAN}, "got nan at point 1"}};
  const char *path = lat_test_folder_path("no.las");
  lat_cloud *cloud = NULL;
  for (size_t k = 0; k < sizeof misfits / sizeof misfits[0]; k++) {
    cloud = make_cloud(xyz, LAT_DTYPE_F64, 2);
    add(cloud, misfits[k].name, LAT_DTYPE_F64, misfits[k].values);
    lat_test_assert_error(lat_cloud_write_las(context, cloud, path, NULL), LAT_STATUS_OVERFLOW, misfits[k].fragment);
    lat_cloud_release(cloud);
  }
  for (int k = 0; k < 4; k++) { // the last one: infra-red
    static const char *const names[4] = {"red", "green", "blue", "nir"};
    static const double good[2] = {0, 1}, bad[2] = {0, 65536};
    cloud = make_cloud(xyz, LAT_DTYPE_F64, 2);
    for (int i = 0; i < 4; i++) add(cloud, names[i], LAT_DTYPE_F64, i == k ? bad : good);
    lat_test_assert_error(lat_cloud_write_las(context, cloud, path, NULL), LAT_STATUS_OVERFLOW, "got 65536 at point 1");
    lat_cloud_release(cloud);
  }
  cloud = make_cloud(nan_xyz, LAT_DTYPE_F64, 2);
  lat_test_assert_error(lat_cloud_write_las(context, cloud, path, NULL), LAT_STATUS_INVALID_ARGUMENT,
                        "positions must be finite: got nan for y of point 1");
  lat_cloud_release(cloud);
  cloud = make_cloud(wide, LAT_DTYPE_F64, 2);
  lat_test_assert_error(lat_cloud_write_las(context, cloud, path, NULL), LAT_STATUS_OVERFLOW,
                        "positions span too much: got z from -1.5e+308 to 1.5e+308");
  lat_cloud_release(cloud);
  assert_int_equal(lat_test_folder_count(), 0);
}

static void more_refusals(void **state) {
  (void)state;
  static const float xyz[3] = {1, 2, 3};
  const char *path = lat_test_folder_path("no.las");
  lat_las_write_opts opts = LAT_LAS_WRITE_OPTS_INIT;
  lat_cloud *cloud = make_cloud(xyz, LAT_DTYPE_F32, 1);
  lat_test_assert_error(lat_cloud_write_las(NULL, cloud, path, NULL), LAT_STATUS_INVALID_ARGUMENT,
                        "cloud_write_las: context must not be NULL");
  lat_test_assert_error(lat_cloud_write_las(context, NULL, path, NULL), LAT_STATUS_INVALID_ARGUMENT,
                        "cloud must not be NULL");
  lat_test_assert_error(lat_cloud_write_las(context, cloud, NULL, NULL), LAT_STATUS_INVALID_ARGUMENT,
                        "path must not be NULL");
  opts.struct_bytes = 1;
  lat_test_assert_error(lat_cloud_write_las(context, cloud, path, &opts), LAT_STATUS_INVALID_ARGUMENT,
                        "cloud_write_las: opts.struct_bytes: got 1");
  lat_test_assert_error(lat_cloud_write_las(context, cloud, lat_test_folder_path("no/such/folder.las"), NULL),
                        LAT_STATUS_IO_ERROR, "cloud_write_las: ");
  add(cloud, "a_name_of_33_bytes_is_too_long___", LAT_DTYPE_F32, xyz);
  lat_test_assert_error(lat_cloud_write_las(context, cloud, path, NULL), LAT_STATUS_INVALID_ARGUMENT,
                        "field name too long: got 'a_name_of_33_bytes_is_too_long___', expected at most 32 bytes");
  lat_cloud_release(cloud);
  cloud = make_cloud(xyz, LAT_DTYPE_F32, 1);
  for (int i = 0; i < 342; i++) {
    char name[16];
    snprintf(name, sizeof name, "f%d", i);
    if (i == 341) { // as many as fit
      lat_cloud *again = written_and_read(cloud, NULL);
      assert_int_equal(lat_cloud_n_fields(again), 341 + 10);
      lat_cloud_release(again);
    }
    add(cloud, name, LAT_DTYPE_F32, xyz);
  }
  lat_test_assert_error(lat_cloud_write_las(context, cloud, path, NULL), LAT_STATUS_INVALID_ARGUMENT,
                        "too many fields: got more than 341");
  lat_cloud_release(cloud);
}

/// Real files come back whole, and writing what was read back gives the same bytes.
static void real(void **state) {
  (void)state;
  static const char *const names[] = {"data/pdal_sample_c.las", "data/laspy_file_with_both_wkt_and_geotiff_vlrs.las",
                                      "data/ign/test_data_77050_627760_LA93_IGN69.las"};
  for (int k = 0; k < 3; k++) {
    char path[4096];
    size_t n_first, n_second;
    lat_cloud *cloud = NULL;
    if (!lat_test_shared_path(names[k], path, sizeof path)) skip();
    lat_test_assert_ok(lat_cloud_read(context, path, NULL, &cloud));
    lat_cloud *again = written_and_read(cloud, NULL);
    assert_int_equal(lat_cloud_n_fields(again), lat_cloud_n_fields(cloud));
    assert_kept(cloud, again);
    unsigned char *first = lat_test_file_read(lat_test_folder_path("written.las"), &n_first);
    lat_cloud_release(written_and_read(again, NULL));
    unsigned char *second = lat_test_file_read(lat_test_folder_path("written.las"), &n_second);
    assert_int_equal(n_first, n_second);
    assert_memory_equal(first, second, n_first);
    free(first);
    free(second);
    lat_cloud_release(again);
    lat_cloud_release(cloud);
  }
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)

int main(void) {
  const struct CMUnitTest tests[] = {TEST(every_format_comes_back),
                                     TEST(extra_values_come_back),
                                     TEST(chosen_format),
                                     TEST(colours),
                                     TEST(grids),
                                     TEST(float32_positions),
                                     TEST(wanted_grid),
                                     TEST(empty),
                                     TEST(refusals),
                                     TEST(more_refusals),
                                     TEST(real)};
  return cmocka_run_group_tests_name("io_las_write", tests, NULL, NULL);
}
