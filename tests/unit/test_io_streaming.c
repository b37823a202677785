// Files larger than what is kept of them: PCD and LAS are read in pieces, give the cloud that the whole content in memory
// gives, and cost the cloud and a fixed amount, whatever else the file holds.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <lattice/lattice.h>

#include "io/io_content.h"
#include "support/io_cases.h"
#include "support/las_file.h"

enum { N_POINTS = 120000, FIXED_BYTES = 2 << 20 };

/// A file in memory that grows.
typedef struct test_bytes {
  unsigned char *data;
  size_t n, room;
} test_bytes;

static void append(test_bytes *file, const void *bytes, size_t n) {
  if (file->n + n > file->room) {
    file->room = 2 * (file->n + n);
    file->data = realloc(file->data, file->room);
    assert_non_null(file->data);
  }
  if (bytes) {
    memcpy(file->data + file->n, bytes, n);
  } else {
    memset(file->data + file->n, 0, n);
  }
  file->n += n;
}

static void append_text(test_bytes *file, const char *text) {
  append(file, text, strlen(text));
}

/// Bytes that differ from place to place; floats made of them are finite.
static void append_noise(test_bytes *file, size_t n) {
  static uint32_t state = 1;
  for (size_t i = 0; i < n; i++) {
    unsigned char byte = (unsigned char)((state = state * 1664525u + 1013904223u) >> 25); // below 128
    append(file, &byte, 1);
  }
}

static int set_up(void **state) {
  (void)state;
  return lat_test_folder_make() ? 0 : 1;
}

static int tear_down(void **state) {
  (void)state;
  lat_test_folder_remove();
  return 0;
}

typedef lat_status (*parse_fn)(lat_context *, const void *, size_t, lat_cloud **);

static uint64_t view_bytes(lat_array_view view) {
  uint64_t n = lat_dtype_bytes(view.dtype);
  for (int32_t axis = 0; axis < view.rank; axis++) n *= (uint64_t)view.shape[axis];
  return n;
}

static void assert_same_bytes(lat_array_view a, lat_array_view b) {
  assert_int_equal(a.dtype, b.dtype);
  assert_int_equal(view_bytes(a), view_bytes(b));
  assert_memory_equal(a.data, b.data, view_bytes(a));
}

/// Bytes of a cloud's arrays, after a comparison with another cloud.
static uint64_t assert_same_clouds(const lat_cloud *a, const lat_cloud *b) {
  uint64_t n = view_bytes(lat_cloud_positions(a));
  assert_same_bytes(lat_cloud_positions(a), lat_cloud_positions(b));
  assert_int_equal(lat_cloud_n_fields(a), lat_cloud_n_fields(b));
  for (int32_t i = 0; i < lat_cloud_n_fields(a); i++) {
    assert_string_equal(lat_cloud_field_name(a, i), lat_cloud_field_name(b, i));
    assert_same_bytes(lat_cloud_field(a, i), lat_cloud_field(b, i));
    n += view_bytes(lat_cloud_field(a, i));
  }
  return n;
}

/// Writes the file, reads it, compares it with what the parser makes of the bytes, and bounds the memory: `factor` times
/// the cloud and a fixed amount.
static void check(const char *name, const test_bytes *file, parse_fn parse, uint64_t factor) {
  lat_context *contexts[2] = {NULL, NULL};
  lat_cloud *whole = NULL, *streamed = NULL;
  const char *path = lat_test_folder_path(name);
  lat_test_file_write(path, file->data, file->n);
  for (int i = 0; i < 2; i++) lat_test_assert_ok(lat_context_create(NULL, &contexts[i]));
  lat_test_assert_ok(parse(contexts[0], file->data, file->n, &whole));
  lat_test_assert_ok(lat_cloud_read(contexts[1], path, NULL, &streamed));
  uint64_t cloud_bytes = assert_same_clouds(whole, streamed);
  uint64_t peak = lat_context_peak_bytes(contexts[1]);
  if (peak > factor * cloud_bytes + FIXED_BYTES) {
    fail_msg("%s: %llu bytes of a %zu-byte file, for a cloud of %llu", name, (unsigned long long)peak, file->n,
             (unsigned long long)cloud_bytes);
  }
  lat_cloud_release(whole), lat_cloud_release(streamed);
  for (int i = 0; i < 2; i++) lat_context_destroy(contexts[i]);
}

/// Header of a file with three floats, a packed colour, two doubles and padding: 48 bytes a point in binary.
static test_bytes begin_pcd(int n_points, const char *data) {
  test_bytes file = {NULL, 0, 0};
  char header[512];
  snprintf(header, sizeof header,
           "# .PCD v0.7\nVERSION 0.7\nFIELDS x y z _ rgb when\nSIZE 4 4 4 4 4 8\nTYPE F F F U F F\nCOUNT 1 1 1 4 1 2\n"
           "WIDTH %d\nHEIGHT 1\nPOINTS %d\nDATA %s\n",
           n_points, n_points, data);
  append_text(&file, header);
  return file;
}

static void binary_pcd(void **state) {
  (void)state;
  test_bytes file = begin_pcd(N_POINTS, "binary");
  append_noise(&file, (size_t)N_POINTS * 48);
  check("points.pcd", &file, lat_test_parse_pcd, 1);
  size_t n = file.n;
  append(&file, NULL, 3 << 20); // zeros behind the points cost nothing
  check("zeros.pcd", &file, lat_test_parse_pcd, 1);
  lat_context *context = NULL;
  lat_cloud *cloud = NULL;
  char expected[64];
  file.data[n + (2 << 20) + 5] = 'x';
  snprintf(expected, sizeof expected, "byte %zu: data after the last point", n + (2 << 20) + 5);
  lat_test_file_write(lat_test_folder_path("rest.pcd"), file.data, file.n);
  lat_test_assert_ok(lat_context_create(NULL, &context));
  lat_test_assert_error(lat_cloud_read(context, lat_test_folder_path("rest.pcd"), NULL, &cloud), LAT_STATUS_BAD_DATA,
                        expected);
  assert_null(cloud);
  lat_context_destroy(context);
  free(file.data);
}

// Records of 400 kB, most of it padding.
static void long_records(void **state) {
  (void)state;
  test_bytes file = {NULL, 0, 0};
  append_text(&file, "VERSION 0.7\nFIELDS x _ y z i\nSIZE 4 4 4 4 1\nTYPE F U F F U\nCOUNT 1 100000 1 1 1\nWIDTH 9\n"
                     "HEIGHT 1\nPOINTS 9\nDATA binary\n");
  append_noise(&file, (size_t)9 * (4 * 3 + 400000 + 1));
  check("long.pcd", &file, lat_test_parse_pcd, 1);
  free(file.data);
}

// An LZF stream of literal bytes; it is decoded beside the cloud, and gone before the cloud's arrays come.
static void compressed_pcd(void **state) {
  (void)state;
  test_bytes body = {NULL, 0, 0}, file = begin_pcd(N_POINTS, "binary_compressed");
  append_noise(&body, (size_t)N_POINTS * 32);
  unsigned char sizes[8];
  size_t n_chunks = (body.n + 31) / 32;
  test_las_put(sizes, body.n + n_chunks, 4);
  test_las_put(sizes + 4, body.n, 4);
  append(&file, sizes, sizeof sizes);
  for (size_t at = 0; at < body.n; at += 32) {
    size_t n = body.n - at < 32 ? body.n - at : 32;
    unsigned char first = (unsigned char)(n - 1);
    append(&file, &first, 1);
    append(&file, body.data + at, n);
  }
  check("packed.pcd", &file, lat_test_parse_pcd, 3);
  free(body.data);
  free(file.data);
}

static void ascii_pcd(void **state) {
  (void)state;
  test_bytes file = begin_pcd(N_POINTS / 4, "ascii");
  char line[128];
  for (int i = 0; i < N_POINTS / 4; i++) {
    snprintf(line, sizeof line, "%d.5 %d -%d 1 2 3 4 %d 0.25 %d\n", i, i % 7, i, i % 1000, i * 3);
    append_text(&file, line);
  }
  check("text.pcd", &file, lat_test_parse_pcd, 8);
  free(file.data);
}

// --- LAS --------------------------------------------------------------------------------------------------------------

/// A LAS file of format 3 with an extra uint64 behind each point and `n_records` large records in front of its
/// description.
static test_bytes make_las(int n_points, int n_records) {
  test_bytes file = {NULL, 0, 0};
  unsigned char *small = calloc(1, 4096);
  test_las las = test_las_begin(small, 2, 3, 1, 8);
  test_las_extra(&las, 7, "count", 0, 0, 0);
  size_t points_at = (size_t)(las.points - las.bytes), header_bytes = 227;
  size_t filler = (size_t)n_records * (54 + 60000);
  append(&file, las.bytes, header_bytes);
  for (int i = 0; i < n_records; i++) {
    unsigned char head[54] = {0};
    test_las_put(head + 20, 60000, 2);
    append(&file, head, sizeof head);
    append(&file, NULL, 60000);
  }
  append(&file, las.bytes + header_bytes, points_at - header_bytes);
  test_las_put(file.data + 96, points_at + filler, 4);
  test_las_put(file.data + 100, (uint64_t)n_records + 1, 4);
  test_las_put(file.data + 107, (uint64_t)n_points, 4);
  append_noise(&file, (size_t)n_points * las.record_bytes);
  free(small);
  return file;
}

static void las(void **state) {
  (void)state;
  test_bytes file = make_las(N_POINTS, 0);
  check("points.las", &file, lat_test_parse_las, 1);
  free(file.data);
  file = make_las(50, 60); // 3.6 MB of records, 50 points
  check("records.las", &file, lat_test_parse_las, 1);
  free(file.data);
}

// A value that the cloud cannot hold is named wherever its piece begins.
static void bad_value(void **state) {
  (void)state;
  test_bytes file = make_las(N_POINTS, 0);
  lat_context *context = NULL;
  lat_cloud *cloud = NULL;
  size_t record_bytes = 34 + 8;
  file.data[file.n - (N_POINTS - 100123) * record_bytes - 1] = 0xFF; // the last byte of point 100122
  lat_test_file_write(lat_test_folder_path("bad.las"), file.data, file.n);
  lat_test_assert_ok(lat_context_create(NULL, &context));
  lat_test_assert_error(lat_cloud_read(context, lat_test_folder_path("bad.las"), NULL, &cloud), LAT_STATUS_BAD_DATA,
                        "point 100122: extra value 'count'");
  assert_null(cloud);
  lat_context_destroy(context);
  free(file.data);
}

// --- windows ----------------------------------------------------------------------------------------------------------

// A file that is cut off between two reads is an error, not a crash and not zeros.
static void file_that_shrinks(void **state) {
  (void)state;
  const char *path = lat_test_folder_path("shrinks.bin");
  test_bytes bytes = {NULL, 0, 0};
  lat_context *context = NULL;
  lat__io_file file = LAT__IO_FILE_INIT;
  lat__io_content content, whole;
  lat__io_window window;
  lat_array *loaded = NULL;
  const uint8_t *at = NULL;
  append_noise(&bytes, 3 << 20);
  lat_test_file_write(path, bytes.data, bytes.n);
  lat_test_assert_ok(lat_context_create(NULL, &context));
  lat_test_assert_ok(lat__io_file_open(context, "cloud_read", path, &file, &content));
  assert_int_equal(content.n_bytes, 3 << 20);
  lat_test_assert_ok(lat__io_window_open(context, &content, &window));
  for (int64_t place = 0; place + 1000 <= content.n_bytes; place += 99991) { // in memory, across its end, in windows
    lat_test_assert_ok(lat__io_window_get(&window, place, 1000, &at));
    assert_memory_equal(at, bytes.data + place, 1000);
  }
  assert_int_equal(truncate(path, (2 << 20) + 10), 0);
  lat_test_assert_ok(lat__io_window_get(&window, 2 << 20, 10, &at));
  lat_test_assert_error(lat__io_window_get(&window, 2 << 20, 11, &at), LAT_STATUS_IO_ERROR,
                        "byte 2097162: the file became shorter while it was read");
  lat_test_assert_error(lat__io_content_load(context, &content, &loaded, &whole), LAT_STATUS_IO_ERROR,
                        "became shorter");
  assert_null(loaded);
  lat__io_window_close(&window);
  lat__io_file_close(&file);
  lat_context_destroy(context);
  free(bytes.data);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(binary_pcd),        cmocka_unit_test(long_records), cmocka_unit_test(compressed_pcd),
      cmocka_unit_test(ascii_pcd),         cmocka_unit_test(las),          cmocka_unit_test(bad_value),
      cmocka_unit_test(file_that_shrinks),
  };
  return cmocka_run_group_tests(tests, set_up, tear_down);
}
