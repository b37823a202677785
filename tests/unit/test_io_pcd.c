// Reading PCD: the three encodings, every type, the header's rules, and every error with its place in the file.
// covers: lat_cloud_read
#include <locale.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include <lattice/lattice.h>

#include "io/lzf.h"
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

#define XYZ "VERSION 0.7\nFIELDS x y z\nSIZE 4 4 4\nTYPE F F F\nCOUNT 1 1 1\n"

/// Parses text of a file without NUL bytes.
static lat_status parse(const char *text, lat_cloud **out) {
  return lat_test_parse_pcd(context, text, strlen(text), out);
}

#define expect_error(text, status, fragment)                                                                           \
  do {                                                                                                                 \
    lat_cloud *cloud = NULL;                                                                                           \
    lat_test_assert_error(parse((text), &cloud), (status), (fragment));                                                \
    assert_null(cloud);                                                                                                \
  } while (0)

#define expect_bad(text, fragment) expect_error(text, LAT_STATUS_BAD_DATA, fragment)

static const void *field_data(const lat_cloud *cloud, const char *name, lat_dtype dtype) {
  int32_t index = lat_cloud_find_field(cloud, name);
  assert_true(index >= 0);
  assert_int_equal(lat_cloud_field(cloud, index).dtype, dtype);
  return lat_cloud_field(cloud, index).data;
}

static void ascii(void **state) {
  (void)state;
  lat_cloud *cloud = NULL;
  lat_test_assert_ok(parse("# .PCD v.7 - Point Cloud Data file format\nVERSION .7\nFIELDS x y z rgb _ n\n"
                           "SIZE 4 4 4 4 1 4\nTYPE F F F F U F\nCOUNT 1 1 1 1 2 2\nWIDTH 2\nHEIGHT 1\n"
                           "VIEWPOINT 0 0 0 1 0 0 0\nPOINTS 2\nDATA ascii\r\n"
                           "1.5 -2 3 4.2108e+06 any thing 0.25 -inf\r\n\n  nan 5\t6 2.3418052e-38 0 0 1e-50 7",
                           &cloud));
  assert_int_equal(lat_cloud_count(cloud), 2);
  assert_string_equal(lat_cloud_source(cloud), "PCD (ascii)");
  assert_int_equal(lat_cloud_positions(cloud).dtype, LAT_DTYPE_F32);
  const float *xyz = lat_cloud_positions(cloud).data;
  assert_true(xyz[0] == 1.5f && xyz[1] == -2 && xyz[2] == 3 && isnan(xyz[3]) && xyz[4] == 5 && xyz[5] == 6);
  assert_int_equal(lat_cloud_n_fields(cloud), 3);
  const uint32_t *rgb = field_data(cloud, "rgb", LAT_DTYPE_U32);
  float packed = 4.2108e+06f, denser = 2.3418052e-38f;
  assert_memory_equal(&rgb[0], &packed, 4);
  assert_memory_equal(&rgb[1], &denser, 4);
  const float *n0 = field_data(cloud, "n_0", LAT_DTYPE_F32), *n1 = field_data(cloud, "n_1", LAT_DTYPE_F32);
  assert_true(n0[0] == 0.25f && n0[1] == 0 && n1[0] == -INFINITY && n1[1] == 7);
  lat_cloud_release(cloud);
}

/// Extremes of every type, as text and as bytes: the same cloud.
static void every_type(void **state) {
  (void)state;
  static const char header[] = "VERSION 0.7\nFIELDS x y z a b c d e f g h i j rgba\n"
                               "SIZE 8 2 1 1 1 2 2 4 4 8 8 4 8 4\nTYPE F I U I U I U I U I U F F F\nPOINTS 1\nDATA ";
  static const char text[] = "1.1 -300 200 -128 255 -32768 65535 -2147483648 4294967295 -9223372036854775808 "
                             "9223372036854775807 1.5 -2.5 0";
  static const unsigned char bytes[] = {0x9a, 0x99, 0x99, 0x99, 0x99, 0x99, 0xf1, 0x3f,       // x = 1.1
                                        0xd4, 0xfe, 200,  0x80, 0xff, 0x00, 0x80, 0xff, 0xff, // y z a b c d
                                        0,    0,    0,    0x80, 0xff, 0xff, 0xff, 0xff,       // e f
                                        0,    0,    0,    0,    0,    0,    0,    0x80,       // g
                                        0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f,       // h
                                        0,    0,    0xc0, 0x3f, 0,    0,    0,    0,    0,    0, 0x04, 0xc0, // i j
                                        0,    0,    0,    0};
  for (int binary = 0; binary < 2; binary++) {
    char file[512];
    lat_cloud *cloud = NULL;
    int n = snprintf(file, sizeof file, "%s%s\n", header, binary ? "binary" : "ascii");
    size_t n_body = binary ? sizeof bytes : sizeof text - 1;
    memcpy(file + n, binary ? (const char *)bytes : text, n_body);
    lat_test_assert_ok(lat_test_parse_pcd(context, file, (size_t)n + n_body, &cloud));
    assert_string_equal(lat_cloud_source(cloud), binary ? "PCD (binary)" : "PCD (ascii)");
    assert_int_equal(lat_cloud_positions(cloud).dtype, LAT_DTYPE_F64);
    const double *xyz = lat_cloud_positions(cloud).data;
    assert_true(xyz[0] == 1.1 && xyz[1] == -300 && xyz[2] == 200);
    assert_int_equal(((const int16_t *)field_data(cloud, "a", LAT_DTYPE_I16))[0], -128);
    assert_int_equal(((const uint8_t *)field_data(cloud, "b", LAT_DTYPE_U8))[0], 255);
    assert_int_equal(((const int16_t *)field_data(cloud, "c", LAT_DTYPE_I16))[0], -32768);
    assert_int_equal(((const uint32_t *)field_data(cloud, "d", LAT_DTYPE_U32))[0], 65535);
    assert_int_equal(((const int32_t *)field_data(cloud, "e", LAT_DTYPE_I32))[0], INT32_MIN);
    assert_true(((const uint32_t *)field_data(cloud, "f", LAT_DTYPE_U32))[0] == UINT32_MAX);
    assert_true(((const int64_t *)field_data(cloud, "g", LAT_DTYPE_I64))[0] == INT64_MIN);
    assert_true(((const int64_t *)field_data(cloud, "h", LAT_DTYPE_I64))[0] == INT64_MAX);
    assert_true(((const float *)field_data(cloud, "i", LAT_DTYPE_F32))[0] == 1.5f);
    assert_true(((const double *)field_data(cloud, "j", LAT_DTYPE_F64))[0] == -2.5);
    assert_true(((const uint32_t *)field_data(cloud, "rgba", LAT_DTYPE_U32))[0] == 0);
    lat_cloud_release(cloud);
  }
}

/// Integer axes of up to 16 bits are exact in float32, wider ones need float64.
static void axis_types(void **state) {
  (void)state;
  static const struct {
    const char *kind;
    int size;
    lat_dtype dtype;
  } cases[] = {{"I", 1, LAT_DTYPE_F32}, {"U", 2, LAT_DTYPE_F32}, {"F", 4, LAT_DTYPE_F32}, {"I", 4, LAT_DTYPE_F64},
               {"U", 4, LAT_DTYPE_F64}, {"I", 8, LAT_DTYPE_F64}, {"F", 8, LAT_DTYPE_F64}};
  for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
    char text[256];
    lat_cloud *cloud = NULL;
    snprintf(text, sizeof text, "FIELDS z y x\nSIZE 1 1 %d\nTYPE I I %s\nPOINTS 1\nDATA ascii\n-1 2 3\n", cases[i].size,
             cases[i].kind);
    lat_test_assert_ok(parse(text, &cloud));
    lat_array_view positions = lat_cloud_positions(cloud);
    assert_int_equal(positions.dtype, cases[i].dtype);
    if (positions.dtype == LAT_DTYPE_F64) {
      const double *xyz = positions.data;
      assert_true(xyz[0] == 3 && xyz[1] == 2 && xyz[2] == -1);
    } else {
      const float *xyz = positions.data;
      assert_true(xyz[0] == 3 && xyz[1] == 2 && xyz[2] == -1);
    }
    lat_cloud_release(cloud);
  }
}

/// Which of WIDTH, HEIGHT and POINTS may be missing.
static void counts(void **state) {
  (void)state;
  static const char *const good[] = {
      "POINTS 2\n",          "WIDTH 2\n", "WIDTH 1\nHEIGHT 2\n", "WIDTH 2\nPOINTS 2\n", "WIDTH 1\nHEIGHT 2\nPOINTS 2\n",
      "HEIGHT 7\nPOINTS 2\n"};
  char text[256];
  for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
    lat_cloud *cloud = NULL;
    snprintf(text, sizeof text, XYZ "%sDATA ascii\n1 2 3\n4 5 6\n", good[i]);
    lat_test_assert_ok(parse(text, &cloud));
    assert_int_equal(lat_cloud_count(cloud), 2);
    lat_cloud_release(cloud);
  }
  static const char *const encodings[] = {"ascii", "binary"};
  for (int i = 0; i < 2; i++) {
    lat_cloud *cloud = NULL;
    snprintf(text, sizeof text, XYZ "WIDTH 0\nHEIGHT 0\nPOINTS 0\nDATA %s\n", encodings[i]);
    lat_test_assert_ok(parse(text, &cloud));
    assert_int_equal(lat_cloud_count(cloud), 0);
    lat_cloud_release(cloud);
  }
  expect_bad(XYZ "DATA ascii\n", "case: line 6: incomplete header: got 'DATA', expected WIDTH or POINTS before");
  expect_bad(XYZ "HEIGHT 1\nDATA ascii\n", "expected WIDTH or POINTS before");
  expect_bad(XYZ "WIDTH 3\nPOINTS 2\nDATA ascii\n", "POINTS must be WIDTH x HEIGHT: got 2, 3 x 1");
  expect_bad(XYZ "WIDTH 2\nHEIGHT 0\nPOINTS 2\nDATA ascii\n", "POINTS must be WIDTH x HEIGHT: got 2, 2 x 0");
  expect_bad(XYZ "WIDTH 9223372036854775807\nHEIGHT 2\nDATA ascii\n", "POINTS must be WIDTH x HEIGHT: got -1");
}

static void header_errors(void **state) {
  (void)state;
  char text[2048];
  expect_bad("", "no DATA line: got 0 bytes and 0 lines");
  expect_bad(XYZ "POINTS 1\nDATA ascii", "no DATA line");
  expect_error("VERSION 0.8\n", LAT_STATUS_UNSUPPORTED, "line 1: VERSION: got '0.8', expected 0.5, 0.6 or 0.7");
  expect_bad("VERSION 0.7 b\n", "line 1: too many words: got 'b'");
  expect_bad("# c\n\nNONSENSE 1\n", "line 3: unknown header line: got 'NONSENSE'");
  expect_bad("VERSION .7\nVERSION .7\n", "line 2: line twice: got 'VERSION'");
  expect_bad("FIELDS x\nCOLUMNS x\n", "line 2: line twice: got 'FIELDS'");
  expect_bad("FIELDS\n", "line 1: FIELDS: got '', expected names");
  expect_bad("FIELDS x \001\n", "field name: got '?'");
  snprintf(text, sizeof text, "FIELDS x %0256d\n", 0);
  expect_bad(text, "field name: got '0000");
  char *end = text + snprintf(text, sizeof text, "FIELDS");
  for (int i = 0; i < 513; i++, end += 2) memcpy(end, " _", 2);
  memcpy(end, "\n", 2);
  expect_bad(text, "too many fields: got '_', expected 512 at most");
  expect_bad("SIZE 4\n", "line 1: line before FIELDS: got 'SIZE'");
  expect_bad("FIELDS x y\nSIZE 4\n", "line 2: SIZE: got 1 words, expected 2");
  expect_bad("FIELDS x y\nSIZE 4 4 4\n", "line 2: too many words: got '4'");
  expect_bad("FIELDS x\nSIZE 3\n", "SIZE: got '3', expected 1, 2, 4 or 8");
  expect_bad("FIELDS x\nSIZE -4\n", "SIZE: got '-4'");
  expect_bad("FIELDS x\nTYPE f\n", "TYPE: got 'f', expected I, U or F");
  expect_bad("FIELDS x\nTYPE FF\n", "TYPE: got 'FF'");
  assert_int_equal(lat_test_parse_pcd(context, "FIELDS x\nTYPE \0\n", 16, &(lat_cloud *){NULL}), LAT_STATUS_BAD_DATA);
  expect_bad("FIELDS x\nCOUNT 0\n", "COUNT: got '0', expected a whole number from 1 to 1048576");
  expect_bad("FIELDS x\nCOUNT 1048577\n", "COUNT: got '1048577'");
  expect_bad("WIDTH -1\n", "WIDTH: got '-1', expected a whole number");
  expect_bad("HEIGHT 9223372036854775808\n", "HEIGHT: got '9223372036854775808'");
  expect_bad("POINTS 1.5\n", "POINTS: got '1.5'");
  expect_bad("POINTS\n", "POINTS: got ''");
  expect_bad("POINTS 1 2\n", "too many words: got '2'");
  expect_bad("VIEWPOINT 0 0 0 1 0 0\n", "VIEWPOINT: got '', expected seven numbers");
  expect_bad("VIEWPOINT 0 0 0 1 0 0 0 0\n", "too many words: got '0'");
  expect_error(XYZ "POINTS 1\nDATA zip\n", LAT_STATUS_UNSUPPORTED,
               "line 7: DATA: got 'zip', expected ascii, binary or binary_compressed");
  expect_bad("POINTS 0\nDATA ascii\n", "incomplete header: got 'DATA', expected a FIELDS line before");
  expect_bad("FIELDS x\nTYPE F\nPOINTS 0\nDATA ascii\n", "expected a SIZE line before");
  expect_bad("FIELDS x\nSIZE 4\nPOINTS 0\nDATA ascii\n", "expected a TYPE line before");
  expect_bad("FIELDS x\nSIZE 2\nTYPE F\nPOINTS 0\nDATA ascii\n", "field 'x': got TYPE F of SIZE 2, expected 4 or 8");
}

static void field_errors(void **state) {
  (void)state;
  char text[1024];
  expect_bad("FIELDS x y w\nSIZE 4 4 4\nTYPE F F F\nPOINTS 0\nDATA ascii\n",
             "header: no field z: got 3 fields, expected x, y and z");
  expect_bad("FIELDS x y z\nSIZE 4 4 4\nTYPE F F F\nCOUNT 1 2 1\nPOINTS 0\nDATA ascii\n",
             "field 'y': got COUNT above 1");
  expect_bad("FIELDS x y z a a\nSIZE 4 4 4 4 4\nTYPE F F F F F\nPOINTS 0\nDATA ascii\n", "field 'a': name twice");
  expect_bad("FIELDS x y z a_1 a\nSIZE 4 4 4 4 4\nTYPE F F F F F\nCOUNT 1 1 1 1 2\nPOINTS 0\nDATA ascii\n",
             "field 'a': name twice: expected distinct names (an element is called NAME_INDEX)");
  expect_bad("FIELDS x y z a\nSIZE 4 4 4 4\nTYPE F F F F\nCOUNT 1 1 1 510\nPOINTS 0\nDATA ascii\n",
             "field 'a': too many values a point: expected at most 512");
  snprintf(text, sizeof text, "FIELDS x %0255d\nSIZE 4 4\nTYPE F F\nCOUNT 1 2\nPOINTS 0\nDATA ascii\n", 0);
  expect_bad(text, "name too long: expected at most 255 bytes");
}

static void ascii_errors(void **state) {
  (void)state;
  static const char *const types[] = {"1 I", "1 U", "2 I", "2 U", "4 I", "4 U", "8 I", "8 U", "4 F", "8 F"};
  static const char *const too_large[] = {
      "128",    "-1",   "-32769", "65536", "2147483648", "4294967296", "-9223372036854775809", "9223372036854775808",
      "3.5e38", "1e400"};
  static const char *const expected[] = {"from -128 to 127",
                                         "from 0 to 255",
                                         "from -32768",
                                         "to 65535",
                                         "to 2147483647",
                                         "to 4294967295",
                                         "from -9223372036854775808",
                                         "from 0 to 9223372036854775807",
                                         "a float32 number",
                                         "a float64 number"};
  char text[256];
  for (size_t i = 0; i < sizeof types / sizeof types[0]; i++) {
    const char *bad[] = {too_large[i], "1x", "x"};
    for (int k = 0; k < 3; k++) {
      snprintf(text, sizeof text, "FIELDS x y z a\nSIZE 4 4 4 %c\nTYPE F F F %c\nPOINTS 1\nDATA ascii\n1 2 3 %s\n",
               types[i][0], types[i][2], bad[k]);
      expect_bad(text, "line 6: point 0: bad value: got '");
      assert_non_null(strstr(lat_last_error(), expected[i]));
    }
  }
  expect_bad(XYZ "POINTS 1\nDATA ascii\n1 2\n  \n\n", "line 8: point 0: too few values on the line: got ''");
  expect_bad(XYZ "POINTS 1\nDATA ascii\n1 2 3 4\n", "line 8: point 0: too many values on the line: got '4'");
  expect_bad(XYZ "POINTS 1\nDATA ascii\n1 2 3\n4 5 6\n",
             "line 9: point 1: data after the last point: got '4 5 6', expected the end of the file");
  expect_bad(XYZ "POINTS 2\nDATA ascii\n1.5 2.5 3.5\n\n",
             "line 9: truncated: got the end of the file before point 1, expected 2 of them");
  expect_bad(XYZ "POINTS 9223372036854775807\nDATA ascii\n1 2 3\n",
             "the header claims 9223372036854775807 points of at least 6 bytes: got 6 bytes after the header");
  expect_bad("FIELDS x y z _\nSIZE 4 4 4 1\nTYPE F F F U\nCOUNT 1 1 1 3\nPOINTS 1\nDATA ascii\n11111 22222 33333 a b\n",
             "too few values on the line: got '', expected a value of padding");
}

static void binary_errors(void **state) {
  (void)state;
  lat_cloud *cloud = NULL;
  expect_bad(XYZ "POINTS 2\nDATA binary\nabcdefghijklabcdefghijk",
             "the header claims 2 points of at least 12 bytes: got 23 bytes after the header, expected more");
  expect_bad(XYZ "POINTS 9223372036854775807\nDATA binary\nabc", "truncated or lying");
  expect_bad(XYZ "POINTS 1\nDATA binary\nabcdefghijkl m", "data after the last point: got 1 bytes more");
  lat_test_assert_ok(parse(XYZ "POINTS 1\nDATA binary\nabcdefghijkl\r\n \t", &cloud));
  lat_cloud_release(cloud);
  cloud = NULL;
  expect_bad("FIELDS x y z t\nSIZE 1 1 1 8\nTYPE U U U U\nPOINTS 2\nDATA binary\nabcabcdefgHabcabcdefg\xff",
             "point 1: field 't': got a value above 9223372036854775807");
  expect_bad("FIELDS x y z _\nSIZE 1 1 1 8\nTYPE U U U U\nCOUNT 1 1 1 1048576\nPOINTS 1\nDATA binary\nabc",
             "claims 1 points of at least 8388611 bytes: got 3 bytes");
}

/// Padding takes room in a binary record and none in the cloud.
static void binary_padding(void **state) {
  (void)state;
  lat_cloud *cloud = NULL;
  lat_test_assert_ok(parse("FIELDS _ x _ y z n _\nSIZE 1 1 2 1 1 1 8\nTYPE U U U U U U F\nCOUNT 3 1 1 1 1 2 1\n"
                           "WIDTH 2\nDATA binary\n###a##bcde########...f..ghij........",
                           &cloud));
  assert_int_equal(lat_cloud_n_fields(cloud), 2);
  const float *xyz = lat_cloud_positions(cloud).data;
  assert_true(xyz[0] == 'a' && xyz[1] == 'b' && xyz[2] == 'c' && xyz[3] == 'f' && xyz[4] == 'g' && xyz[5] == 'h');
  assert_memory_equal(field_data(cloud, "n_0", LAT_DTYPE_U8), "di", 2);
  assert_memory_equal(field_data(cloud, "n_1", LAT_DTYPE_U8), "ej", 2);
  lat_cloud_release(cloud);
}

/// A compressed file: header, the two sizes, a stream.
static size_t pack(char *file, const char *header, uint32_t packed, uint32_t unpacked, const void *stream, size_t n) {
  size_t used = strlen(header);
  memcpy(file, header, used);
  for (int i = 0; i < 4; i++) file[used++] = (char)(unsigned char)(packed >> (8 * i));
  for (int i = 0; i < 4; i++) file[used++] = (char)(unsigned char)(unpacked >> (8 * i));
  memcpy(file + used, stream, n);
  return used + n;
}

#define PACKED_HEADER                                                                                                  \
  "FIELDS x _ y z n\nSIZE 1 2 1 1 2\nTYPE U U U U U\nCOUNT 1 1 1 1 2\nPOINTS 2\nDATA binary_compressed\n"

/// Fields one after the other; of a field with several elements all of a point together; with and without padding.
static void compressed(void **state) {
  (void)state;
  static const unsigned char plain[] = {13, 'a', 'b', 'c', 'd', 'e', 'f', 1, 0, 2, 0, 3, 0, 4, 0};
  // The same by references: two zeros and so on would do as well; here the padding repeats "ab" by overlap.
  static const unsigned char padded[] = {1, 'a', 'b', 0x40, 1, 11, 'c', 'd', 'e', 'f', 1, 0, 2, 0, 3, 0, 4, 0};
  for (int with_padding = 0; with_padding < 2; with_padding++) {
    char file[256];
    lat_cloud *cloud = NULL;
    size_t n = with_padding ? pack(file, PACKED_HEADER, sizeof padded, 18, padded, sizeof padded)
                            : pack(file, PACKED_HEADER, sizeof plain, 14, plain, sizeof plain);
    memset(file + n, 0, 16); // as page-wise writers leave it
    lat_test_assert_ok(lat_test_parse_pcd(context, file, n + 16, &cloud));
    assert_string_equal(lat_cloud_source(cloud), "PCD (binary compressed)");
    const float *xyz = lat_cloud_positions(cloud).data;
    assert_true(xyz[0] == 'a' && xyz[1] == 'c' && xyz[2] == 'e' && xyz[3] == 'b' && xyz[4] == 'd' && xyz[5] == 'f');
    const uint32_t *n0 = field_data(cloud, "n_0", LAT_DTYPE_U32), *n1 = field_data(cloud, "n_1", LAT_DTYPE_U32);
    assert_true(n0[0] == 1 && n1[0] == 2 && n0[1] == 3 && n1[1] == 4);
    lat_cloud_release(cloud);
  }
}

#define expect_packed(n_packed, n_unpacked, stream, fragment)                                                          \
  do {                                                                                                                 \
    char file[256];                                                                                                    \
    lat_cloud *cloud = NULL;                                                                                           \
    size_t n = pack(file, PACKED_HEADER, (n_packed), (n_unpacked), (stream), sizeof(stream) - 1);                      \
    lat_test_assert_error(lat_test_parse_pcd(context, file, n, &cloud), LAT_STATUS_BAD_DATA, (fragment));              \
    assert_null(cloud);                                                                                                \
  } while (0)

static void compressed_errors(void **state) {
  (void)state;
  expect_bad(XYZ "POINTS 1\nDATA binary_compressed\nabcdefg",
             "truncated: bytes after the header: got 7, expected the two sizes, 8");
  expect_packed(16, 14, "\015abcdef12345678", "truncated: compressed size: got 16, expected at most 15");
  expect_packed(0xffffffffu, 14, "\015abcdef12345678", "compressed size: got 4294967295, expected at most 15");
  expect_packed(14, 14, "\015abcdef12345678", "data after the last point: got 1 bytes more");
  expect_packed(15, 15, "\015abcdef12345678", "uncompressed size: got 15, expected points x bytes of a point, 14");
  expect_packed(15, 14, "\016abcdef12345678", "damaged LZF stream"); // literals behind the end
  expect_packed(2, 14, "\000a", "bytes in the LZF stream: got 1, expected the uncompressed size, 14");
  expect_packed(5, 14, "\000a\040\001b", "byte 105: damaged LZF stream"); // distance 2 after one byte
  expect_packed(3, 14, "\000a\040", "damaged LZF stream");                // no distance
  expect_packed(3, 14, "\000a\340", "damaged LZF stream");                // no length
  expect_packed(4, 14, "\000a\340\001", "damaged LZF stream");            // length but no distance
  expect_packed(5, 14, "\000a\340\005\000", "bytes in the LZF stream: got 15, expected");
  expect_packed(0, 0, "", "claims 2 points of at least 7 bytes"); // nothing is no two points
}

/// A bomb: a small file that claims gigabytes. No memory is taken for it.
static void bombs(void **state) {
  (void)state;
  char file[8192], stream[4096];
  lat_cloud *cloud = NULL;
  static const char header[] = XYZ "POINTS 300000000\nDATA binary_compressed\n";
  memset(stream, 0, sizeof stream);
  stream[0] = 0;
  for (size_t i = 2; i + 3 <= sizeof stream; i += 3) memcpy(stream + i, "\xe0\xff", 3);
  size_t n = pack(file, header, sizeof stream, 3600000000u, stream, sizeof stream);
  lat_test_assert_error(lat_test_parse_pcd(context, file, n, &cloud), LAT_STATUS_BAD_DATA,
                        "claims 300000000 points of at least 12 bytes");
  assert_null(cloud);
  // As many points as the ratio allows but the stream does not hold.
  static const char modest[] = XYZ "POINTS 30000\nDATA binary_compressed\n";
  memset(stream, 'a', sizeof stream);
  for (size_t i = 0; i < sizeof stream; i += 33) stream[i] = 31;
  n = pack(file, modest, 4092, 360000, stream, 4092);
  lat_test_assert_error(lat_test_parse_pcd(context, file, n, &cloud), LAT_STATUS_BAD_DATA,
                        "bytes in the LZF stream: got 3968");
  assert_null(cloud);
  assert_true(lat_context_peak_bytes(context) < 200000);
}

/// The decoder against streams that use each kind of chunk.
static void lzf(void **state) {
  (void)state;
  static const uint8_t stream[] = {2, 'a', 'b', 'c', 0x20, 2, 0xe0, 3, 0, 0, 'x', 0x41, 0};
  uint8_t long_stream[3 + 8 * 33 + 2], out[512];
  int64_t n = 0, bad_at = 0;
  // abc, 3 from distance 3, 12 from distance 1, x; the last chunk refers 257 back: too far
  assert_false(lat__lzf_measure(stream, sizeof stream, &n, &bad_at));
  assert_int_equal(bad_at, 11);
  assert_true(lat__lzf_measure(stream, 11, &n, &bad_at));
  assert_int_equal(n, 19);
  lat__lzf_decode(stream, 11, out, n);
  assert_memory_equal(out,
                      "abcabc"
                      "cccccccccccc"
                      "x",
                      19);
  // A distance of more than 256 bytes needs the low bits of the first byte.
  size_t at = 0;
  for (int i = 0; i < 9; i++) {
    int run = i == 8 ? 1 : 32;
    long_stream[at++] = (uint8_t)(run - 1);
    for (int k = 0; k < run; k++) long_stream[at++] = (uint8_t)(i * 32 + k);
  }
  long_stream[at++] = 0x21;
  long_stream[at++] = 0;
  assert_true(lat__lzf_measure(long_stream, (int64_t)at, &n, &bad_at));
  assert_int_equal(n, 260);
  lat__lzf_decode(long_stream, (int64_t)at, out, n);
  assert_int_equal(out[257], 0);
  assert_int_equal(out[259], 2);
  assert_true(lat__lzf_measure(long_stream, 0, &n, &bad_at));
  assert_int_equal(n, 0);
}

/// Text that writes numbers with a comma is no reason to misread a file.
static void locale_does_not_matter(void **state) {
  (void)state;
  lat_cloud *cloud = NULL;
  if (!setlocale(LC_NUMERIC, "de_DE.UTF-8")) setlocale(LC_NUMERIC, "C");
  lat_test_assert_ok(parse(XYZ "POINTS 1\nDATA ascii\n1.5 2 3\n", &cloud));
  setlocale(LC_NUMERIC, "C");
  assert_true(((const float *)lat_cloud_positions(cloud).data)[0] == 1.5f);
  lat_cloud_release(cloud);
}

/// The format is found by content and by name.
static void detection(void **state) {
  (void)state;
  static const char *const starts[] = {"# .PCD v0.7\n", "#.PCD v0.7\n", "", "VERSION 0.7\n"};
  lat_cloud_read_opts opts = LAT_CLOUD_READ_OPTS_INIT;
  char text[256];
  lat_test_folder_make();
  for (int i = 0; i < 4; i++) {
    lat_cloud *cloud = NULL;
    const char *path = lat_test_folder_path("points.any");
    snprintf(text, sizeof text, "%sFIELDS x y z\nSIZE 4 4 4\nTYPE F F F\nPOINTS 1\nDATA ascii\n1 2 3\n", starts[i]);
    lat_test_file_write(path, text, strlen(text));
    lat_test_assert_ok(lat_cloud_read(context, path, NULL, &cloud));
    assert_string_equal(lat_cloud_source(cloud), "PCD (ascii)");
    lat_cloud_release(cloud);
  }
  lat_cloud *cloud = NULL;
  lat_test_file_write(lat_test_folder_path("points.PCD"), "?", 1);
  lat_test_assert_error(lat_cloud_read(context, lat_test_folder_path("points.PCD"), NULL, &cloud), LAT_STATUS_BAD_DATA,
                        "no DATA line");
  opts.format = LAT_CLOUD_FORMAT_PCD;
  lat_test_file_write(lat_test_folder_path("a.bin"), "?", 1);
  lat_test_assert_error(lat_cloud_read(context, lat_test_folder_path("a.bin"), &opts, &cloud), LAT_STATUS_BAD_DATA,
                        "no DATA line");
  assert_null(cloud);
  lat_test_folder_remove();
}

/// A real file: how many points, and the corners of their box.
static void check_real(const char *name, int64_t n_points, const double low[3], const double high[3]) {
  char path[4096];
  lat_cloud *cloud = NULL;
  if (!lat_test_shared_path(name, path, sizeof path)) skip();
  lat_test_assert_ok(lat_cloud_read(context, path, NULL, &cloud));
  assert_int_equal(lat_cloud_count(cloud), n_points);
  const float *xyz = lat_cloud_positions(cloud).data;
  for (int axis = 0; axis < 3; axis++) {
    double least = INFINITY, most = -INFINITY;
    for (int64_t i = 0; i < n_points; i++) {
      least = fmin(least, (double)xyz[i * 3 + axis]);
      most = fmax(most, (double)xyz[i * 3 + axis]);
    }
    assert_true(fabs(least - low[axis]) < 6e-4 && fabs(most - high[axis]) < 6e-4);
  }
  lat_cloud_release(cloud);
}

static void real_room(void **state) {
  (void)state;
  check_real("data/pcl_room_scan1.pcd", 112586, (const double[]){-13.8, -6.493, -1.352},
             (const double[]){15.447, 7.98, 1.709});
}

static void real_terrain(void **state) {
  (void)state;
  check_real("data/samp11-utm.pcd", 38010, (const double[]){512700.875, 5403547.5, 295.25},
             (const double[]){512834.75, 5403850.0, 404.08});
}

static void real_labels(void **state) {
  (void)state;
  static const struct {
    uint32_t label;
    int64_t n;
  } histogram[] = {{1, 123873}, {20, 10207}, {30, 5144}, {40, 4364}, {50, 12366},
                   {60, 2278},  {70, 7703},  {80, 1549}, {81, 3502}};
  char path[4096];
  lat_cloud *cloud = NULL;
  check_real("data/mosd_test43.pcd", 170986, (const double[]){-0.576, -0.406, 0.633},
             (const double[]){0.386, 0.294, 1.665});
  if (!lat_test_shared_path("data/mosd_test43.pcd", path, sizeof path)) skip();
  lat_test_assert_ok(lat_cloud_read(context, path, NULL, &cloud));
  const uint32_t *label = field_data(cloud, "label", LAT_DTYPE_U32);
  int64_t n_total = 0;
  for (size_t k = 0; k < sizeof histogram / sizeof histogram[0]; k++) {
    int64_t n = 0;
    for (int64_t i = 0; i < lat_cloud_count(cloud); i++) n += label[i] == histogram[k].label;
    assert_int_equal(n, histogram[k].n);
    n_total += n;
  }
  assert_int_equal(n_total, lat_cloud_count(cloud));
  assert_non_null(field_data(cloud, "rgba", LAT_DTYPE_U32));
  lat_cloud_release(cloud);
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)

int main(void) {
  const struct CMUnitTest tests[] = {TEST(ascii),
                                     TEST(every_type),
                                     TEST(axis_types),
                                     TEST(counts),
                                     TEST(header_errors),
                                     TEST(field_errors),
                                     TEST(ascii_errors),
                                     TEST(binary_errors),
                                     TEST(binary_padding),
                                     TEST(compressed),
                                     TEST(compressed_errors),
                                     TEST(bombs),
                                     TEST(lzf),
                                     TEST(locale_does_not_matter),
                                     TEST(detection),
                                     TEST(real_room),
                                     TEST(real_terrain),
                                     TEST(real_labels)};
  return cmocka_run_group_tests_name("io_pcd", tests, NULL, NULL);
}
