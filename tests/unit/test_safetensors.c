// Safetensors: what was written comes back, mapped and in place; every lie of a header is refused with the place named.
//
// covers: lat_safetensors_open lat_safetensors_count lat_safetensors_name lat_safetensors_find lat_safetensors_array
// covers: lat_safetensors_metadata lat_safetensors_retain lat_safetensors_release lat_safetensors_write
//
// null arguments: lat_safetensors_open lat_safetensors_write
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <lattice/lattice.h>

#include "model/safetensors_internal.h"
#include "support/io_cases.h"
#include "support/test_allocator.h"
#include "support/test_support.h"

static lat_test_allocator counter;
static lat_context *context;

static int set_up(void **state) {
  (void)state;
  memset(&counter, 0, sizeof counter);
  context = lat_test_context_create(&counter, 1);
  lat_test_folder_make();
  return 0;
}

static int tear_down(void **state) {
  (void)state;
  lat_test_folder_remove();
  lat_test_context_finish(context, &counter);
  return 0;
}

/// Parses a header and `n_data` bytes of data (0, 1, 2, …) whose first byte lies `shift` bytes behind a multiple of 16.
static lat_status parse(const char *header, int64_t length, int64_t n_data, lat_safetensors **out) {
  int64_t n_header = (int64_t)strlen(header), n_bytes = 8 + n_header + n_data;
  unsigned char bytes[4096];
  lat_array *content = NULL;
  uint64_t stated = length < 0 ? (uint64_t)n_header : (uint64_t)length;
  assert_true(n_bytes <= (int64_t)sizeof bytes);
  for (int i = 0; i < 8; i++) bytes[i] = (unsigned char)(stated >> (8 * i));
  memcpy(bytes + 8, header, (size_t)n_header);
  for (int64_t i = 0; i < n_data; i++) bytes[8 + n_header + i] = (unsigned char)i;
  lat_array_view view = lat_view_1d(bytes, LAT_DTYPE_U8, n_bytes);
  lat_test_assert_ok(lat_array_create(context, &view, &content));
  lat_status status = lat__safetensors_parse(context, "case", content, out);
  lat_array_release(content);
  return status;
}

static void written_arrays_come_back(void **state) {
  (void)state;
  const float floats[6] = {1.5F, -2.0F, 0.0F, 3.25F, 1e-30F, 4.0F};
  const double wide[2] = {1.0 / 3.0, -7.0};
  const int64_t longs[1] = {-5000000000};
  const uint16_t halves[3] = {0x3c00, 0x8000, 0x7c00};
  const uint8_t bytes[3] = {1, 0, 255};
  lat_array_view transposed = lat_view_2d(floats, LAT_DTYPE_F32, 2, 3);
  transposed.shape[0] = 3, transposed.shape[1] = 2, transposed.stride[0] = 1, transposed.stride[1] = 3;
  const lat_named_array arrays[] = {
      {"bytes", lat_view_1d(bytes, LAT_DTYPE_U8, 3)},
      {"h.weight", lat_view_1d(halves, LAT_DTYPE_F16, 3)},
      {"b.weight", lat_view_1d(halves, LAT_DTYPE_BF16, 3)},
      {"f \"\xc3\xa9\"", lat_view_2d(floats, LAT_DTYPE_F32, 2, 3)},
      {"turned", transposed},
      {"wide", lat_view_1d(wide, LAT_DTYPE_F64, 2)},
      {"longs", lat_view_1d(longs, LAT_DTYPE_I64, 1)},
      {"ints", lat_view_1d(floats, LAT_DTYPE_I32, 4)},
      {"words", lat_view_1d(floats, LAT_DTYPE_U32, 4)},
      {"shorts", lat_view_1d(halves, LAT_DTYPE_I16, 3)},
      {"empty", lat_view_2d(NULL, LAT_DTYPE_F32, 0, 7)},
  };
  enum { N = sizeof arrays / sizeof *arrays };
  const char *path = lat_test_folder_path("a.safetensors");
  lat_safetensors *file = NULL;
  lat_test_assert_ok(lat_safetensors_write(context, path, arrays, N));
  assert_int_equal(lat_test_folder_count(), 1);
  lat_test_assert_ok(lat_safetensors_open(context, path, &file));
  assert_int_equal(lat_safetensors_count(file), N);
  assert_int_equal(lat_safetensors_find(file, "nothing"), -1);
  assert_string_equal(lat_safetensors_name(file, 0), "wide"); // wider elements first, so that all are aligned
  assert_string_equal(lat_safetensors_name(file, N - 1), "bytes");
  for (int i = 0; i < N; i++) {
    int64_t at = lat_safetensors_find(file, arrays[i].name);
    assert_in_range(at, 0, N - 1);
    lat_array_view got = lat_array_as_view(lat_safetensors_array(file, at)), given = arrays[i].array;
    float expected[16] = {0};
    assert_int_equal(got.dtype, given.dtype);
    assert_int_equal(got.rank, given.rank);
    for (int axis = 0; axis < got.rank; axis++) assert_int_equal(got.shape[axis], given.shape[axis]);
    lat_test_assert_ok(lat_array_copy_to(&given, expected, sizeof expected));
    size_t n_bytes = (size_t)lat_array_count(lat_safetensors_array(file, at)) * lat_dtype_bytes(got.dtype);
    if (n_bytes) assert_memory_equal(got.data, expected, n_bytes);
  }
  lat_safetensors_release(file);
}

static void arrays_outlive_the_file(void **state) {
  (void)state;
  static float many[5000];
  for (int i = 0; i < 5000; i++) many[i] = (float)i;
  const lat_named_array array = {"many", lat_view_1d(many, LAT_DTYPE_F32, 5000)};
  const char *path = lat_test_folder_path("b.safetensors");
  lat_safetensors *file = NULL;
  uint64_t before = lat_context_bytes(context);
  lat_test_assert_ok(lat_safetensors_write(context, path, &array, 1));
  assert_int_equal(lat_context_bytes(context), before);
  lat_test_assert_ok(lat_safetensors_open(context, path, &file));
  assert_true(lat_context_bytes(context) - before < sizeof many); // mapped, not copied
  lat_array *kept = lat_array_retain(lat_safetensors_array(file, 0));
  assert_ptr_equal(lat_safetensors_retain(file), file);
  lat_safetensors_release(file);
  lat_safetensors_release(file);
  // The name may be given to another file meanwhile.
  lat_test_assert_ok(lat_safetensors_write(context, path, NULL, 0));
  assert_memory_equal(lat_array_data(kept), many, sizeof many);
  lat_array_release(kept);
  lat_test_assert_ok(lat_safetensors_open(context, path, &file));
  assert_int_equal(lat_safetensors_count(file), 0);
  lat_safetensors_release(file);
  lat_safetensors_release(NULL);
  assert_null(lat_safetensors_retain(NULL));
}

static void unaligned_tensors_and_metadata(void **state) {
  (void)state;
  lat_safetensors *file = NULL;
  const char header[] = "{\"__metadata__\":{\"format\":\"torch\",\"k\":\"\"},"
                        "\"odd\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[1,9],\"note\":3},"
                        "\"flag\":{\"dtype\":\"BOOL\",\"shape\":[],\"data_offsets\":[0,1]},"
                        "\"none\":{\"dtype\":\"I64\",\"shape\":[0,9223372036854775807,4],\"data_offsets\":[9,9]}}  ";
  const unsigned char expected[8] = {1, 2, 3, 4, 5, 6, 7, 8};
  lat_test_assert_ok(parse(header, -1, 9, &file));
  assert_int_equal(lat_safetensors_count(file), 3);
  assert_string_equal(lat_safetensors_name(file, 0), "odd"); // the header's order
  assert_string_equal(lat_safetensors_metadata(file, "format"), "torch");
  assert_string_equal(lat_safetensors_metadata(file, "k"), "");
  assert_null(lat_safetensors_metadata(file, "odd"));
  lat_array_view odd = lat_array_as_view(lat_safetensors_array(file, 0));
  assert_int_equal((uintptr_t)odd.data % 4, 0);
  assert_memory_equal(odd.data, expected, 8);
  lat_array_view flag = lat_array_as_view(lat_safetensors_array(file, 1));
  assert_int_equal(flag.dtype, LAT_DTYPE_U8);
  assert_int_equal(flag.rank, 0);
  assert_int_equal(*(const uint8_t *)flag.data, 0);
  assert_int_equal(lat_array_count(lat_safetensors_array(file, 2)), 0);
  lat_safetensors_release(file);
}

#define TENSOR(dtype, shape, offsets)                                                                                  \
  "{\"a\":{\"dtype\":\"" dtype "\",\"shape\":" shape ",\"data_offsets\":" offsets "}}"

static void lies_are_refused(void **state) {
  (void)state;
  static const struct {
    const char *header;
    int64_t length; ///< -1: the true one
    int64_t n_data;
    lat_status status;
    const char *fragment;
  } cases[] = {
      {"{}", 3, 0, LAT_STATUS_BAD_DATA, "case: file is too short: got 10 bytes, expected a header of 3"},
      {"{}", 100000001, 0, LAT_STATUS_BAD_DATA, "header is too long: got 100000001 bytes, expected at most 100000000"},
      {"{}", INT64_MAX, 0, LAT_STATUS_BAD_DATA, "header is too long"},
      {"{", -1, 0, LAT_STATUS_BAD_DATA, "header, byte 1"},
      {"", -1, 0, LAT_STATUS_BAD_DATA, "header, byte 0"},
      {"{\"\xff\":1}", -1, 0, LAT_STATUS_BAD_DATA, "unable to decode byte 0xff"},
      {"{\"a\\u0000\":1}", -1, 0, LAT_STATUS_BAD_DATA, "u0000"},
      {"{\"a\":{},\"a\":{}}", -1, 0, LAT_STATUS_BAD_DATA, "duplicate"},
      {"[]", -1, 0, LAT_STATUS_BAD_DATA, "header: got no object"},
      {"{}", -1, 1, LAT_STATUS_BAD_DATA, "at the end are bytes that belong to no tensor"},
      {"{\"a\":3}", -1, 0, LAT_STATUS_BAD_DATA, "tensor 'a': got no object"},
      {"{\"a\":{}}", -1, 0, LAT_STATUS_BAD_DATA, "tensor 'a': dtype is missing"},
      {"{\"a\":{\"dtype\":4}}", -1, 0, LAT_STATUS_BAD_DATA, "dtype is missing or no text"},
      {"{\"a\":{\"dtype\":\"F32\"}}", -1, 0, LAT_STATUS_BAD_DATA, "shape is missing or no list"},
      {"{\"a\":{\"dtype\":\"F32\",\"shape\":[1]}}", -1, 4, LAT_STATUS_BAD_DATA, "data_offsets are missing"},
      {TENSOR("I8", "[4]", "[0,4]"), -1, 4, LAT_STATUS_UNSUPPORTED, "dtype: got I8, expected F32"},
      {TENSOR("f32", "[1]", "[0,4]"), -1, 4, LAT_STATUS_UNSUPPORTED, "dtype: got f32"},
      {TENSOR("F32", "[1,1,1,1,1,1,1]", "[0,4]"), -1, 4, LAT_STATUS_UNSUPPORTED,
       "shape: got 7 axes, expected at most 6"},
      {TENSOR("F32", "[-1]", "[0,4]"), -1, 4, LAT_STATUS_BAD_DATA, "shape has something else than axis lengths"},
      {TENSOR("F32", "[1.0]", "[0,4]"), -1, 4, LAT_STATUS_BAD_DATA, "shape has something else"},
      {TENSOR("F32", "[9223372036854775808]", "[0,4]"), -1, 4, LAT_STATUS_BAD_DATA, "too big"},
      {TENSOR("F32", "[1]", "[0]"), -1, 4, LAT_STATUS_BAD_DATA, "not two places"},
      {TENSOR("F32", "[1]", "[-4,0]"), -1, 4, LAT_STATUS_BAD_DATA, "not two places"},
      {TENSOR("F32", "[1]", "[4,0]"), -1, 4, LAT_STATUS_BAD_DATA, "data_offsets are outside the data"},
      {TENSOR("F32", "[2]", "[0,8]"), -1, 4, LAT_STATUS_BAD_DATA, "data_offsets are outside the data"},
      {TENSOR("F32", "[2]", "[0,4]"), -1, 4, LAT_STATUS_BAD_DATA, "data_offsets do not match dtype and shape"},
      {TENSOR("F32", "[4611686018427387904,4]", "[0,0]"), -1, 0, LAT_STATUS_BAD_DATA, "do not match dtype and shape"},
      {TENSOR("F32", "[1]", "[4,8]"), -1, 8, LAT_STATUS_BAD_DATA, "before it are bytes that belong to no tensor"},
      {TENSOR("F32", "[1]", "[0,4]"), -1, 8, LAT_STATUS_BAD_DATA, "at the end are bytes that belong to no tensor"},
      {"{\"a\":{\"dtype\":\"U8\",\"shape\":[3],\"data_offsets\":[0,3]},"
       "\"b\":{\"dtype\":\"U8\",\"shape\":[2],\"data_offsets\":[2,4]}}",
       -1, 4, LAT_STATUS_BAD_DATA, "tensor 'b': tensors overlap"},
      {"{\"a\":{\"dtype\":\"U8\",\"shape\":[2],\"data_offsets\":[0,2]},"
       "\"b\":{\"dtype\":\"U8\",\"shape\":[2],\"data_offsets\":[0,2]}}",
       -1, 2, LAT_STATUS_BAD_DATA, "tensors overlap"},
      {"{\"__metadata__\":[]}", -1, 0, LAT_STATUS_BAD_DATA, "__metadata__: got no object"},
      {"{\"__metadata__\":{\"a\":1}}", -1, 0, LAT_STATUS_BAD_DATA, "__metadata__: got something else than texts"},
      {"{\"line\\nbreak, and a name that is far too long to be shown as a whole\":3}", -1, 0, LAT_STATUS_BAD_DATA,
       "tensor 'line?break, and a name that is far too long to be shown as a...'"},
  };
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    lat_safetensors *file = NULL;
    lat_test_assert_error(parse(cases[i].header, cases[i].length, cases[i].n_data, &file), cases[i].status,
                          cases[i].fragment);
    assert_null(file);
  }
}

static void files_that_cannot_be_opened(void **state) {
  (void)state;
  lat_safetensors *file = (lat_safetensors *)&counter;
  char long_path[400];
  memset(long_path, 'x', sizeof long_path - 1);
  long_path[sizeof long_path - 1] = 0;
  lat_test_assert_error(lat_safetensors_open(NULL, "x", &file), LAT_STATUS_INVALID_ARGUMENT, "context: got NULL");
  assert_null(file);
  lat_test_assert_error(lat_safetensors_open(context, NULL, &file), LAT_STATUS_INVALID_ARGUMENT, "path: got NULL");
  lat_test_assert_error(lat_safetensors_open(context, "x", NULL), LAT_STATUS_INVALID_ARGUMENT, "out: got NULL");
  lat_test_assert_error(lat_safetensors_open(context, lat_test_folder_path("none"), &file), LAT_STATUS_IO_ERROR,
                        "cannot open: No such file");
  lat_test_assert_error(lat_safetensors_open(context, long_path, &file), LAT_STATUS_IO_ERROR, ": ...xxxx");
  lat_test_assert_error(lat_safetensors_open(context, lat_test_folder_path("."), &file), LAT_STATUS_IO_ERROR,
                        "got a directory, expected a regular file");
  lat_test_file_write(lat_test_folder_path("void"), "", 0);
  lat_test_assert_error(lat_safetensors_open(context, lat_test_folder_path("void"), &file), LAT_STATUS_BAD_DATA,
                        "file is too short: expected a header length of 8 bytes");
  lat_test_file_write(lat_test_folder_path("short"), "1234567", 7);
  lat_test_assert_error(lat_safetensors_open(context, lat_test_folder_path("short"), &file), LAT_STATUS_BAD_DATA,
                        "file is too short");
  assert_null(file);
}

static void arrays_that_cannot_be_written(void **state) {
  (void)state;
  const float value = 1.0F;
  const char *path = lat_test_folder_path("c.safetensors");
  lat_array_view view = lat_view_1d(&value, LAT_DTYPE_F32, 1), odd = view, missing = view;
  odd.dtype = 77;
  missing.data = NULL;
  const struct {
    lat_named_array arrays[2];
    int64_t n;
    lat_status status;
    const char *fragment;
  } cases[] = {
      {{{NULL, view}, {NULL, view}}, 1, LAT_STATUS_INVALID_ARGUMENT, "name: got NULL"},
      {{{"", view}, {NULL, view}}, 1, LAT_STATUS_INVALID_ARGUMENT, "name: got an empty one"},
      {{{"__metadata__", view}, {NULL, view}}, 1, LAT_STATUS_INVALID_ARGUMENT, "name: got the reserved"},
      {{{"a", view}, {"a", view}}, 2, LAT_STATUS_INVALID_ARGUMENT, "name: got 'a' twice"},
      {{{"a\xff", view}, {NULL, view}}, 1, LAT_STATUS_INVALID_ARGUMENT, "expected UTF-8"},
      {{{"a", odd}, {NULL, view}}, 1, LAT_STATUS_INVALID_DTYPE, "dtype"},
      {{{"a", missing}, {NULL, view}}, 1, LAT_STATUS_INVALID_ARGUMENT, "NULL"},
      {{{"a", view}, {NULL, view}}, -1, LAT_STATUS_INVALID_ARGUMENT, "arrays: got a negative number"},
  };
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    lat_test_assert_error(lat_safetensors_write(context, path, cases[i].arrays, cases[i].n), cases[i].status,
                          cases[i].fragment);
  }
  const lat_named_array good = {"a", view};
  lat_test_assert_error(lat_safetensors_write(NULL, path, &good, 1), LAT_STATUS_INVALID_ARGUMENT, "context: got NULL");
  lat_test_assert_error(lat_safetensors_write(context, NULL, &good, 1), LAT_STATUS_INVALID_ARGUMENT, "path: got NULL");
  lat_test_assert_error(lat_safetensors_write(context, path, NULL, 1), LAT_STATUS_INVALID_ARGUMENT, "arrays: got NULL");
  lat_test_assert_error(lat_safetensors_write(context, "", &good, 1), LAT_STATUS_IO_ERROR, "cannot create");
  lat_test_assert_error(lat_safetensors_write(context, lat_test_folder_path("no/x"), &good, 1), LAT_STATUS_IO_ERROR,
                        "cannot create: No such file");
  lat_test_assert_error(lat_safetensors_write(context, lat_test_folder_path("."), &good, 1), LAT_STATUS_IO_ERROR,
                        "got a directory");
  assert_int_equal(lat_test_folder_count(), 0);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test_setup_teardown(written_arrays_come_back, set_up, tear_down),
      cmocka_unit_test_setup_teardown(arrays_outlive_the_file, set_up, tear_down),
      cmocka_unit_test_setup_teardown(unaligned_tensors_and_metadata, set_up, tear_down),
      cmocka_unit_test_setup_teardown(lies_are_refused, set_up, tear_down),
      cmocka_unit_test_setup_teardown(files_that_cannot_be_opened, set_up, tear_down),
      cmocka_unit_test_setup_teardown(arrays_that_cannot_be_written, set_up, tear_down),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
