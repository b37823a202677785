// Reading PLY: everything the format allows comes out right, everything it forbids gives an error that names the place.
#include <math.h>
#include <stdio.h>
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

/// A string literal with its length, so that it may hold zero bytes.
#define BYTES(literal) (literal), sizeof(literal) - 1

static lat_cloud *parse_ok(const void *bytes, size_t n_bytes) {
  lat_cloud *cloud = NULL;
  lat_test_assert_ok(lat_test_parse_ply(context, bytes, n_bytes, &cloud));
  assert_non_null(cloud);
  return cloud;
}

static void check_f32(lat_array_view view, const float *expected, int64_t n) {
  assert_int_equal(view.dtype, LAT_DTYPE_F32);
  for (int64_t i = 0; i < n; i++) assert_true(((const float *)view.data)[i] == expected[i]);
}

static void ascii_with_everything_around_the_vertices(void **state) {
  (void)state;
  lat_cloud *cloud = parse_ok(BYTES("ply\n"
                                    "format ascii 1.0\n"
                                    "comment made by hand\n"
                                    "obj_info element vertex 99\n"
                                    "element camera 2\n"
                                    "property float f\n"
                                    "property list uchar int ids\n"
                                    "element vertex 3\n"
                                    "property int label\n"
                                    "property float z\n"
                                    "property list uchar float normals\n"
                                    "property float x\n"
                                    "comment between\n"
                                    "property uchar red\n"
                                    "property float y\n"
                                    "property float intensity\n"
                                    "element face 1\n"
                                    "property list uchar int vertex_indices\n"
                                    "end_header\n"
                                    "0.5 2 7 8\n"
                                    "0.25 0\n"
                                    "\n"
                                    "-1 3 0 1 255 2 0.5\n"
                                    "  7\t6.5 3 .1 .2 .3 4 0 5 1e-3  \n"
                                    "2 9 1 5 7 128 8 -0.25\n"
                                    "3 0 1 2\n"
                                    "\n"));
  const float positions[] = {1, 2, 3, 4, 5, 6.5f, 7, 8, 9}, intensity[] = {0.5f, 1e-3f, -0.25f};
  const int32_t labels[] = {-1, 7, 2};
  const uint8_t red[] = {255, 0, 128};
  assert_int_equal(lat_cloud_count(cloud), 3);
  assert_string_equal(lat_cloud_source(cloud), "PLY (ascii)");
  check_f32(lat_cloud_positions(cloud), positions, 9);
  assert_int_equal(lat_cloud_n_fields(cloud), 3);
  assert_string_equal(lat_cloud_field_name(cloud, 0), "label");
  assert_string_equal(lat_cloud_field_name(cloud, 1), "red");
  assert_string_equal(lat_cloud_field_name(cloud, 2), "intensity");
  assert_int_equal(lat_cloud_field(cloud, 0).dtype, LAT_DTYPE_I32);
  assert_memory_equal(lat_cloud_field(cloud, 0).data, labels, sizeof labels);
  assert_int_equal(lat_cloud_field(cloud, 1).dtype, LAT_DTYPE_U8);
  assert_memory_equal(lat_cloud_field(cloud, 1).data, red, sizeof red);
  check_f32(lat_cloud_field(cloud, 2), intensity, 3);
  lat_cloud_release(cloud);
}

/// Every type under both of its names, at its limits.
static void ascii_types(void **state) {
  (void)state;
  lat_cloud *cloud =
      parse_ok(BYTES("ply\nformat ascii 1.0\nelement vertex 2\n"
                     "property float32 x\nproperty int8 y\nproperty int16 z\n"
                     "property char a\nproperty uchar b\nproperty short c\nproperty ushort d\n"
                     "property int e\nproperty uint f\nproperty float g\nproperty double h\n"
                     "property uint8 i\nproperty uint16 j\nproperty int32 k\nproperty uint32 l\n"
                     "property float64 m\nend_header\n"
                     "0 -128 -32768 -128 0 -32768 0 -2147483648 0 -1e38 -1e308 0 0 -2147483648 0 1e-300\n"
                     "0 127 32767 127 255 32767 65535 2147483647 4294967295 3e38 1e308 255 65535 "
                     "2147483647 4294967295 0.1\n"));
  static const struct {
    lat_dtype dtype;
    double low, high;
  } expected[] = {{LAT_DTYPE_I16, -128, 127},
                  {LAT_DTYPE_U8, 0, 255},
                  {LAT_DTYPE_I16, -32768, 32767},
                  {LAT_DTYPE_U32, 0, 65535},
                  {LAT_DTYPE_I32, INT32_MIN, INT32_MAX},
                  {LAT_DTYPE_U32, 0, UINT32_MAX},
                  {LAT_DTYPE_F32, -1e38f, 3e38f},
                  {LAT_DTYPE_F64, -1e308, 1e308},
                  {LAT_DTYPE_U8, 0, 255},
                  {LAT_DTYPE_U32, 0, 65535},
                  {LAT_DTYPE_I32, INT32_MIN, INT32_MAX},
                  {LAT_DTYPE_U32, 0, UINT32_MAX},
                  {LAT_DTYPE_F64, 1e-300, 0.1}};
  const float positions[] = {0, -128, -32768, 0, 127, 32767};
  check_f32(lat_cloud_positions(cloud), positions, 6);
  assert_int_equal(lat_cloud_n_fields(cloud), 13);
  for (int32_t i = 0; i < 13; i++) {
    lat_array_view field = lat_cloud_field(cloud, i);
    lat_array *wide = NULL;
    assert_int_equal(field.dtype, expected[i].dtype);
    lat_test_assert_ok(lat_array_cast(context, &field, LAT_DTYPE_F64, &wide));
    const double *values = lat_array_data(wide);
    assert_true(values[0] == expected[i].low);
    assert_true(values[1] == expected[i].high);
    lat_array_release(wide);
  }
  lat_cloud_release(cloud);
}

static void nan_and_infinity_are_values(void **state) {
  (void)state;
  lat_cloud *cloud = parse_ok(BYTES("ply\nformat ascii 1.0\nelement vertex 1\nproperty float x\nproperty float y\n"
                                    "property float z\nend_header\nnan -inf inf"));
  const float *position = lat_cloud_positions(cloud).data;
  assert_true(isnan(position[0]));
  assert_true(position[1] == -INFINITY);
  assert_true(position[2] == INFINITY);
  lat_cloud_release(cloud);
}

#define XYZ "property float x\nproperty float y\nproperty float z\n"
#define HEAD(format, count) "ply\nformat " format " 1.0\nelement vertex " count "\n"

static void doubles_and_wide_integers_give_float64_positions(void **state) {
  (void)state;
  lat_cloud *cloud =
      parse_ok(BYTES(HEAD("ascii", "1") "property double x\nproperty float y\nproperty float z\nend_header\n"
                                        "596648.0625001 0.1 3\n"));
  const double *position = lat_cloud_positions(cloud).data;
  assert_int_equal(lat_cloud_positions(cloud).dtype, LAT_DTYPE_F64);
  assert_true(position[0] == 596648.0625001);
  assert_true(position[1] == (double)0.1f);
  lat_cloud_release(cloud);
  cloud = parse_ok(BYTES(HEAD("ascii", "1") "property int x\nproperty int y\nproperty uint z\nend_header\n"
                                            "16777217 -16777217 4294967295\n"));
  position = lat_cloud_positions(cloud).data;
  assert_int_equal(lat_cloud_positions(cloud).dtype, LAT_DTYPE_F64);
  assert_true(position[0] == 16777217.0 && position[1] == -16777217.0 && position[2] == 4294967295.0);
  lat_cloud_release(cloud);
}

static void carriage_returns(void **state) {
  (void)state;
  const float expected[] = {1, 2, 3};
  lat_cloud *cloud = parse_ok(BYTES("ply\r\nformat ascii 1.0\r\nelement vertex 1\r\nproperty float x\r\n"
                                    "property float y\r\nproperty float z\r\nend_header\r\n1 2 3\r\n"));
  check_f32(lat_cloud_positions(cloud), expected, 3);
  lat_cloud_release(cloud);
  cloud = parse_ok(BYTES("ply\rformat ascii 1.0\relement vertex 1\rproperty float x\rproperty float y\r"
                         "property float z\rend_header\r1 2 3\r"));
  check_f32(lat_cloud_positions(cloud), expected, 3);
  lat_cloud_release(cloud);
  cloud = parse_ok(BYTES("ply\r\nformat binary_little_endian 1.0\r\nelement vertex 1\r\nproperty uchar x\r\n"
                         "property uchar y\r\nproperty uchar z\r\nend_header\r\n\001\002\003"));
  check_f32(lat_cloud_positions(cloud), expected, 3);
  lat_cloud_release(cloud);
}

/// Vertex: short x, float y, list of ushort, uchar z, double t; an element with lists before, one with values after.
#define BINARY_HEADER                                                                                                  \
  "element before 2\nproperty list uchar short ids\nproperty char c\nelement vertex 2\nproperty short x\n"             \
  "property float y\nproperty list ushort uchar more\nproperty uchar z\nproperty double t\n"                           \
  "element after 2\nproperty int i\nend_header\n"

static void check_binary(lat_cloud *cloud, const char *source) {
  const float expected[] = {-2, 1.5f, 200, 258, -0.25f, 3};
  const double t[] = {1.0, -2.0};
  assert_string_equal(lat_cloud_source(cloud), source);
  assert_int_equal(lat_cloud_count(cloud), 2);
  check_f32(lat_cloud_positions(cloud), expected, 6);
  assert_int_equal(lat_cloud_n_fields(cloud), 1);
  assert_string_equal(lat_cloud_field_name(cloud, 0), "t");
  assert_int_equal(lat_cloud_field(cloud, 0).dtype, LAT_DTYPE_F64);
  assert_memory_equal(lat_cloud_field(cloud, 0).data, t, sizeof t);
  lat_cloud_release(cloud);
}

static void binary_both_orders(void **state) {
  (void)state;
  check_binary(parse_ok(BYTES("ply\nformat binary_little_endian 1.0\n" BINARY_HEADER "\002\001\000\002\000\377"
                              "\000\001"
                              "\376\377\000\000\300\077\002\000\011\011\310\000\000\000\000\000\000\360\077"
                              "\002\001\000\000\200\276\000\000\003\000\000\000\000\000\000\000\300"
                              "\001\000\000\000\002\000\000\000")),
               "PLY (binary little endian)");
  check_binary(parse_ok(BYTES("ply\nformat binary_big_endian 1.0\n" BINARY_HEADER "\002\000\001\000\002\377"
                              "\000\001"
                              "\377\376\077\300\000\000\000\002\011\011\310\077\360\000\000\000\000\000\000"
                              "\001\002\276\200\000\000\000\000\003\300\000\000\000\000\000\000\000"
                              "\000\000\000\001\000\000\000\002\r\n")),
               "PLY (binary big endian)");
}

static void no_points(void **state) {
  (void)state;
  static const char *const formats[] = {"ascii", "binary_little_endian"};
  for (int i = 0; i < 2; i++) {
    char text[256];
    int n = snprintf(text, sizeof text, "ply\nformat %s 1.0\nelement vertex 0\n" XYZ "end_header\n", formats[i]);
    lat_cloud *cloud = parse_ok(text, (size_t)n);
    assert_int_equal(lat_cloud_count(cloud), 0);
    lat_cloud_release(cloud);
  }
}

/// A malformed content and what its error must say.
typedef struct bad_case {
  const char *bytes;
  size_t n_bytes;
  lat_status status;
  const char *fragment;
} bad_case;

#define BAD(literal, fragment)                                                                                         \
  { literal, sizeof(literal) - 1, LAT_STATUS_BAD_DATA, fragment }

static const bad_case bad_headers[] = {
    BAD("", "line 1: not a PLY file: got '', expected 'ply'"),
    BAD("ply", "line 1: not a PLY file"),
    BAD("plywood\n", "line 1: not a PLY file: got 'plywood?'"),
    BAD("ply\nformat ascii 1.0\nelement vertex 1\n", "no end_header: got 38 bytes and 3 lines"),
    BAD("ply\nelement vertex 0\n" XYZ "end_header\n", "line 6: incomplete header: got 'end_header', expected a format"),
    BAD("ply\nformat ascii\nend_header\n", "line 2: format line"),
    BAD("ply\nformat ascii 1.0\nformat ascii 1.0\nend_header\n", "line 3: format line"),
    {BYTES("ply\nformat ascii 2.0\nend_header\n"), LAT_STATUS_UNSUPPORTED, "line 2: format version: got '2.0'"},
    {BYTES("ply\nformat utf8 1.0\nend_header\n"), LAT_STATUS_UNSUPPORTED, "line 2: format: got 'utf8', expected ascii"},
    BAD("ply\nformat ascii 1.0\nelement face 1\nproperty int a\nend_header\n1\n", "an element called vertex"),
    BAD("ply\nformat ascii 1.0\nelement vertex\nend_header\n", "line 3: element line"),
    BAD("ply\nformat ascii 1.0\nelement vertex -1\n" XYZ "end_header\n", "line 3: element count: got '-1'"),
    BAD("ply\nformat ascii 1.0\nelement vertex 1e3\n" XYZ "end_header\n", "line 3: element count: got '1e3'"),
    BAD("ply\nformat ascii 1.0\nelement vertex 9223372036854775808\n" XYZ "end_header\n", "element count: got '922337"),
    BAD("ply\nformat ascii 1.0\nelement vertex 1\n" XYZ "element vertex 1\nend_header\n", "line 7: element twice"),
    BAD("ply\nformat ascii 1.0\nproperty float x\nend_header\n", "line 3: property before any element: got 'x'"),
    BAD("ply\nformat ascii 1.0\nelement vertex 1\nproperty flaot x\nend_header\n",
        "line 4: property type: got 'flaot'"),
    BAD("ply\nformat ascii 1.0\nelement vertex 1\nproperty float\nend_header\n", "line 4: property line"),
    BAD("ply\nformat ascii 1.0\nelement vertex 1\nproperty float x y\nend_header\n", "line 4: property line"),
    BAD("ply\nformat ascii 1.0\nelement vertex 1\nproperty list float int i\nend_header\n",
        "list count type: got 'float'"),
    BAD("ply\nformat ascii 1.0\nelement vertex 1\nproperty list uchar void i\nend_header\n",
        "property type: got 'void'"),
    BAD("ply\nformat ascii 1.0\nelement vertex 1\nproperty list uchar i\nend_header\n", "line 4: property line"),
    BAD("ply\nformat ascii 1.0\nelement vertex 1\n" XYZ "property int x\nend_header\n",
        "line 7: property twice: got 'x'"),
    BAD("ply\nformat ascii 1.0\nelements vertex 1\nend_header\n", "line 3: unknown header line: got 'elements'"),
    BAD("ply\nformat ascii 1.0\nele\001ment\nend_header\n", "unknown header line: got 'ele?ment'"),
    BAD("ply\nformat ascii 1.0\nelement vertex 0\nproperty float x\nproperty float y\nend_header\n",
        "vertex has no scalar property z: got 2 properties"),
    BAD("ply\nformat ascii 1.0\nelement vertex 0\nproperty list uchar int x\nproperty int y\nproperty int "
        "z\nend_header\n",
        "vertex has no scalar property x"),
};

#define LITTLE HEAD("binary_little_endian", "1") "property uchar x\nproperty uchar y\nproperty uchar z\n"

static const bad_case bad_bodies[] = {
    BAD(HEAD("ascii", "1000000000000") XYZ "end_header\n1 2 3\n",
        "the header claims 1000000000000 vertices of at least 6 bytes: got 6 bytes after the header"),
    BAD(HEAD("binary_little_endian", "1000000000000") XYZ "end_header\n123456789abc",
        "the header claims 1000000000000 vertices of at least 12 bytes: got 12 bytes after the header"),
    BAD(HEAD("binary_big_endian", "9223372036854775807") XYZ "end_header\n", "9223372036854775807 vertices"),
    BAD(HEAD("binary_big_endian", "2") XYZ "end_header\n123456789abc123456789ab",
        "2 vertices of at least 12 bytes: got 23"),
    BAD(HEAD("ascii", "2") XYZ "end_header\n1.000 2.000 3.000\n",
        "line 8: truncated: got the end of the file before vertex 1"),
    BAD(HEAD("ascii", "1") XYZ "end_header\n1.00 2.00\n",
        "line 8: vertex 0: too few values on the line: got '', expected a float"),
    BAD(HEAD("ascii", "1") XYZ "end_header\n1 2 3 4\n", "line 8: vertex 0: too many values on the line: got '4'"),
    BAD(HEAD("ascii", "1") XYZ "end_header\n1 two 3\n",
        "line 8: vertex 0: bad value: got 'two', expected a float32 number"),
    BAD(HEAD("ascii", "1") XYZ "end_header\n1 2.5x 3\n", "bad value: got '2.5x'"),
    BAD(HEAD("ascii", "1") XYZ "end_header\n1 1e39 3\n", "bad value: got '1e39'"),
    BAD(HEAD("ascii", "1") XYZ "end_header\n1 2\0 3\n", "bad value: got '2?'"),
    BAD(HEAD("ascii", "1") XYZ "property double t\nend_header\n1 2 3 1e999\n",
        "bad value: got '1e999', expected a float64"),
    BAD(HEAD("ascii", "1") XYZ "property uchar t\nend_header\n1 2 3 256\n",
        "got '256', expected a whole number from 0 to 255"),
    BAD(HEAD("ascii", "1") XYZ "property uchar t\nend_header\n1 2 3 -1\n", "got '-1', expected a whole number from 0"),
    BAD(HEAD("ascii", "1") XYZ "property int t\nend_header\n1 2 3 1.5\n", "got '1.5', expected a whole number"),
    BAD(HEAD("ascii", "1") XYZ "property int t\nend_header\n1 2 3 99999999999999999999\n", "bad value: got '9999"),
    BAD(HEAD("ascii", "1") XYZ "property list int int t\nend_header\n1 2 3 -2\n", "negative list count"),
    BAD(HEAD("ascii", "1") XYZ "property list uint int t\nend_header\n1 2 3 4000000000 1 2\n",
        "too few values on the line"),
    BAD(HEAD("ascii", "1") XYZ "end_header\n1 2 3\n4 5 6\n",
        "line 9: vertex 1: data after the last element: got '4 5 6'"),
    BAD(HEAD("ascii", "1") XYZ "element face 3\nproperty int a\nend_header\n1 2 3\n7\n",
        "before face 1, expected 3 of them"),
    BAD(LITTLE "end_header\nabcd", "data after the last element: got 1 bytes more"),
    BAD(LITTLE "element face 2\nproperty int a\nend_header\nabc1234123",
        "truncated: got the end of the file in face 1"),
    BAD(LITTLE "element face 1000000000000\nproperty list uchar int a\nend_header\nabc",
        "in face 0, expected 1000000000000"),
    BAD(LITTLE "element face 1\nproperty list uint double a\nend_header\nabc\377\377\377\377",
        "list 'a' of face 0: got 4294967295 items, expected 0 to 0"),
    BAD(LITTLE "element face 1\nproperty list int uchar a\nend_header\nabc\376\377\377\377!",
        "got -2 items, expected 0 to 1"),
    BAD(LITTLE "element face 1\nproperty list uchar uchar a\nproperty list ushort uchar b\nend_header\nabc\002!!",
        "truncated: got the end of the file in face 0"),
    BAD(HEAD("binary_little_endian", "2") "property list uchar uchar l\nproperty uchar x\nproperty uchar y\n"
                                          "property uchar z\nend_header\n\001!abc\002!!ab",
        "truncated: got the end of the file in vertex 1"),
};

static void check_bad(const bad_case *cases, size_t n) {
  for (size_t i = 0; i < n; i++) {
    lat_cloud *cloud = NULL;
    lat_test_assert_error(lat_test_parse_ply(context, cases[i].bytes, cases[i].n_bytes, &cloud), cases[i].status,
                          cases[i].fragment);
    assert_non_null(strstr(lat_last_error(), "cloud_read: case: "));
    assert_null(cloud);
  }
}

static void malformed_headers(void **state) {
  (void)state;
  check_bad(bad_headers, sizeof bad_headers / sizeof bad_headers[0]);
}

static void malformed_bodies(void **state) {
  (void)state;
  check_bad(bad_bodies, sizeof bad_bodies / sizeof bad_bodies[0]);
}

/// Builds "ply / format / `line` repeated" and expects an error.
static void check_repeated(const char *line, int times, const char *fragment) {
  static char text[3 << 20];
  size_t n = (size_t)snprintf(text, sizeof text, "ply\nformat ascii 1.0\nelement vertex 1\n");
  lat_cloud *cloud = NULL;
  for (int i = 0; i < times; i++) {
    assert_true(n + 600 < sizeof text);
    n += (size_t)snprintf(text + n, sizeof text - n, line, i);
  }
  lat_test_assert_error(lat_test_parse_ply(context, text, n, &cloud), LAT_STATUS_BAD_DATA, fragment);
  assert_null(cloud);
}

static void endless_headers(void **state) {
  (void)state;
  check_repeated("comment on and on and on and on and on, number %d\n", 40000, "no end_header: got 1048576 bytes");
  check_repeated("a line that never ends %d ", 60000, "no end_header: got 1048576 bytes");
  check_repeated("property float p%d\n", 513, "too many properties: got 'p512', expected 512 at most");
  check_repeated("element e%d 0\n", 32, "too many elements: got 'e31', expected 32 at most");
  char long_name[400];
  snprintf(long_name, sizeof long_name, "property float %0300d%%d\n", 0);
  check_repeated(long_name, 1, "property name too long");
}

/// What a header claims takes no memory before the file has shown that it can hold it.
static void memory_is_bounded_by_the_file(void **state) {
  (void)state;
  lat_context_reset_peak(context);
  uint64_t before = lat_context_bytes(context);
  check_bad(bad_bodies, 4);
  uint64_t job_bytes = lat_context_peak_bytes(context) - before;
  assert_true(job_bytes < 100000);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test_setup_teardown(ascii_with_everything_around_the_vertices, set_up, tear_down),
      cmocka_unit_test_setup_teardown(ascii_types, set_up, tear_down),
      cmocka_unit_test_setup_teardown(nan_and_infinity_are_values, set_up, tear_down),
      cmocka_unit_test_setup_teardown(doubles_and_wide_integers_give_float64_positions, set_up, tear_down),
      cmocka_unit_test_setup_teardown(carriage_returns, set_up, tear_down),
      cmocka_unit_test_setup_teardown(binary_both_orders, set_up, tear_down),
      cmocka_unit_test_setup_teardown(no_points, set_up, tear_down),
      cmocka_unit_test_setup_teardown(malformed_headers, set_up, tear_down),
      cmocka_unit_test_setup_teardown(malformed_bodies, set_up, tear_down),
      cmocka_unit_test_setup_teardown(endless_headers, set_up, tear_down),
      cmocka_unit_test_setup_teardown(memory_is_bounded_by_the_file, set_up, tear_down),
  };
  return cmocka_run_group_tests_name("io_ply", tests, NULL, NULL);
}
