// The point-cloud codec: what comes back is what was rounded, at every level and thread count, and bad input is refused.
// covers: lat_codec_open lat_codec_encode lat_codec_decode lat_codec_inspect lat_codec_network
// covers: lat_codec_retain lat_codec_release lat_codec_load lat_codec_save
// null arguments: lat_codec_open lat_codec_encode lat_codec_decode lat_codec_inspect lat_codec_load lat_codec_save
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <lattice/lattice.h>

#include "support/codec_folder.h"
#include "support/test_support.h"

static lat_context *context;
static char folder[256];
static lat_codec *codec;

static int set_up(void **state) {
  (void)state;
  if (!lat_test_codec_folder(7, folder, sizeof folder)) return -1;
  return lat_context_create(NULL, &context) || lat_codec_open(context, folder, &codec);
}

static int tear_down(void **state) {
  (void)state;
  lat_codec_release(codec);
  lat_context_destroy(context);
  lat_test_codec_folder_remove(folder);
  return 0;
}

// --- an independent rounding and ordering ----------------------------------------------------------------------------

static int compare_rows(const void *a, const void *b) {
  const int32_t *p = a, *q = b;
  for (int axis = 2; axis >= 0; axis--) {
    if (p[axis] != q[axis]) return p[axis] < q[axis] ? -1 : 1;
  }
  return 0;
}

// Rounds in long double, sorts, drops duplicates; returns the number of rows left.
static int64_t naive_voxels(const double *points, int64_t n, int32_t voxel_mm, int32_t *rows) {
  for (int64_t i = 0; i < 3 * n; i++) {
    long double mm = rintl((long double)points[i] * 1000.0L);
    rows[i] = (int32_t)rintl((mm + 131072.0L) / (long double)voxel_mm);
  }
  qsort(rows, (size_t)n, 3 * sizeof(int32_t), compare_rows);
  int64_t kept = 0;
  for (int64_t i = 0; i < n; i++) {
    if (kept && memcmp(rows + 3 * (kept - 1), rows + 3 * i, 3 * sizeof(int32_t)) == 0) continue;
    memmove(rows + 3 * kept++, rows + 3 * i, 3 * sizeof(int32_t));
  }
  return kept;
}

static double next_value(uint64_t *seed) {
  *seed = *seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
  return (double)(*seed >> 11) * 0x1p-53 - 0.5;
}

static double *make_points(int64_t n, double extent, uint64_t seed) {
  double *points = malloc((size_t)(n + 1) * 3 * sizeof(double));
  for (int64_t i = 0; i < 3 * n; i++) {
    points[i] = rint(next_value(&seed) * extent * 1000.0) / 1000.0;
    if (i >= 3 && i % 7 == 0) points[i] = points[i - 3]; // surfaces and duplicates
  }
  return points;
}

static lat_array *encode(const double *points, int64_t n, int32_t voxel_mm, lat_codec_info *info) {
  lat_array *stream = NULL;
  lat_array_view view = lat_view_2d(points, LAT_DTYPE_F64, n, 3);
  lat_test_assert_ok(lat_codec_encode(context, codec, &view, voxel_mm, &stream, info));
  return stream;
}

static void assert_round_trip(int64_t n, double extent, int32_t voxel_mm) {
  double *points = make_points(n, extent, (uint64_t)(n + voxel_mm));
  int32_t *rows = malloc((size_t)(n + 1) * 3 * sizeof(int32_t));
  int64_t expected = naive_voxels(points, n, voxel_mm, rows);
  lat_codec_info info, seen;
  lat_array *stream = encode(points, n, voxel_mm, &info), *voxels = NULL, *positions = NULL;
  lat_array_view view = lat_array_as_view(stream);
  assert_int_equal(info.points, n);
  assert_int_equal(info.voxels, expected);
  assert_int_equal(info.payload_bytes, view.shape[0] - 56);
  lat_test_assert_ok(lat_codec_inspect(context, &view, &seen));
  assert_memory_equal(&info, &seen, sizeof info);
  lat_test_assert_ok(lat_codec_decode(context, codec, &view, &positions, &voxels, &seen));
  assert_memory_equal(&info, &seen, sizeof info);
  assert_int_equal(lat_array_as_view(voxels).shape[0], expected);
  if (expected) assert_memory_equal(lat_array_data(voxels), rows, (size_t)expected * 3 * sizeof(int32_t));
  const double *at = lat_array_data(positions);
  for (int64_t i = 0; i < 3 * expected; i++) {
    assert_true(fabs(at[i] - (rows[i] * (double)voxel_mm - 131072.0) / 1000.0) <= 1e-9 * (1.0 + fabs(at[i])));
  }
  lat_array_release(stream);
  lat_array_release(voxels);
  lat_array_release(positions);
  free(points);
  free(rows);
}

static void gives_the_rounded_voxels_back(void **state) {
  (void)state;
  assert_round_trip(0, 1.0, 8);
  assert_round_trip(1, 100.0, 1);
  assert_round_trip(63, 3.0, 64);
  assert_round_trip(400, 5.0, 100);
  assert_round_trip(400, 400.0, 16);    // negative voxels too
  assert_round_trip(300, 2000000.0, 2); // the int32 range of voxels, almost
  assert_round_trip(500, 10.0, 65504);  // all in a few voxels
  assert_round_trip(200, 30.0, 3001);   // a size that float16 cannot hold
}

// Ties go to even, exactly: 0.0005 m is a little more than half a millimetre in binary, 0.0025 m exactly rounded.
static void rounds_exactly(void **state) {
  (void)state;
  const double points[4][3] = {
      {0.0005, 0.0015, 0.0025}, {-0.0005, 131.0720, -131.0720}, {0.5, 0.25, 0.125}, {1.0005, 2.0005, 4.0005}};
  int32_t rows[4][3];
  int64_t expected = naive_voxels(&points[0][0], 4, 2, &rows[0][0]);
  lat_array *stream = encode(&points[0][0], 4, 2, NULL), *voxels = NULL;
  lat_array_view view = lat_array_as_view(stream);
  lat_test_assert_ok(lat_codec_decode(context, codec, &view, NULL, &voxels, NULL));
  assert_int_equal(lat_array_as_view(voxels).shape[0], expected);
  assert_memory_equal(lat_array_data(voxels), rows, (size_t)expected * sizeof rows[0]);
  lat_array_release(stream);
  lat_array_release(voxels);
}

// --- the same bits everywhere ----------------------------------------------------------------------------------------

static void codes_and_decodes_alike_on_every_level(void **state) {
  (void)state;
  const int64_t n = 1500;
  double *points = make_points(n, 6.0, 3);
  lat_array *first = encode(points, n, 50, NULL), *first_voxels = NULL;
  lat_array_view stream = lat_array_as_view(first);
  lat_test_assert_ok(lat_codec_decode(context, codec, &stream, NULL, &first_voxels, NULL));
  const int32_t threads[3] = {1, 2, 5};
  for (int level = LAT_CPU_LEVEL_SCALAR; level <= LAT_CPU_LEVEL_AVX512; level++) {
    for (int t = 0; t < 3; t++) {
      lat_context_opts opts = LAT_CONTEXT_OPTS_INIT;
      opts.n_threads = threads[t];
      opts.cpu_level = (lat_cpu_level)level;
      lat_context *other = NULL;
      lat_codec *same = NULL;
      lat_array *out = NULL, *voxels = NULL;
      lat_array_view view = lat_view_2d(points, LAT_DTYPE_F64, n, 3);
      if (lat_context_create(&opts, &other) != LAT_STATUS_OK) continue; // another family's level
      lat_test_assert_ok(lat_codec_open(other, folder, &same));
      assert_true(lat_codec_network(same) == lat_codec_network(codec));
      lat_test_assert_ok(lat_codec_encode(other, same, &view, 50, &out, NULL));
      assert_int_equal(lat_array_count(out), lat_array_count(first));
      assert_memory_equal(lat_array_data(out), lat_array_data(first), (size_t)lat_array_count(first));
      lat_test_assert_ok(lat_codec_decode(other, same, &stream, NULL, &voxels, NULL));
      assert_int_equal(lat_array_count(voxels), lat_array_count(first_voxels));
      assert_memory_equal(lat_array_data(voxels), lat_array_data(first_voxels),
                          sizeof(int32_t) * (size_t)lat_array_count(voxels));
      lat_array_release(out);
      lat_array_release(voxels);
      lat_codec_release(same);
      lat_context_destroy(other);
    }
  }
  lat_array_release(first);
  lat_array_release(first_voxels);
  free(points);
}

// --- refusals --------------------------------------------------------------------------------------------------------

static void refuses_bad_points(void **state) {
  (void)state;
  lat_array *out = NULL;
  double points[2][3] = {{0, 0, 0}, {1, 2, 3}};
  lat_array_view view = lat_view_2d(points, LAT_DTYPE_F64, 2, 3);
  lat_test_assert_error(lat_codec_encode(NULL, codec, &view, 8, &out, NULL), LAT_STATUS_INVALID_ARGUMENT,
                        "context: got NULL");
  lat_test_assert_error(lat_codec_encode(context, NULL, &view, 8, &out, NULL), LAT_STATUS_INVALID_ARGUMENT,
                        "codec: got NULL");
  lat_test_assert_error(lat_codec_encode(context, codec, NULL, 8, &out, NULL), LAT_STATUS_INVALID_ARGUMENT,
                        "points: got NULL");
  lat_test_assert_error(lat_codec_encode(context, codec, &view, 8, NULL, NULL), LAT_STATUS_INVALID_ARGUMENT,
                        "out: got NULL");
  lat_test_assert_error(lat_codec_encode(context, codec, &view, 0, &out, NULL), LAT_STATUS_INVALID_ARGUMENT,
                        "voxel_mm: got 0, expected 1 to 65504");
  lat_test_assert_error(lat_codec_encode(context, codec, &view, 65505, &out, NULL), LAT_STATUS_INVALID_ARGUMENT,
                        "voxel_mm: got 65505");
  points[1][2] = NAN;
  lat_test_assert_error(lat_codec_encode(context, codec, &view, 8, &out, NULL), LAT_STATUS_INVALID_ARGUMENT,
                        "must be finite: got (1, 2, nan) at point 1");
  points[1][2] = 5e6;
  lat_test_assert_error(lat_codec_encode(context, codec, &view, 1, &out, NULL), LAT_STATUS_INVALID_ARGUMENT,
                        "voxel leaves int32");
  points[1][2] = 1e300;
  lat_test_assert_error(lat_codec_encode(context, codec, &view, 8, &out, NULL), LAT_STATUS_INVALID_ARGUMENT,
                        "at point 1");
  const float coarse[2][3] = {{0, 0, 0}, {0, 4.5e6F, 0}}; // float32 spacing 0.5 m
  view = lat_view_2d(coarse, LAT_DTYPE_F32, 2, 3);
  lat_test_assert_error(lat_codec_encode(context, codec, &view, 1999, &out, NULL), LAT_STATUS_INVALID_ARGUMENT,
                        "too coarse for the voxel size: got a spacing of 0.5 at point 1");
  lat_test_assert_ok(lat_codec_encode(context, codec, &view, 2000, &out, NULL));
  lat_array_release(out);
  out = NULL;
  view = lat_view_2d(points, LAT_DTYPE_F64, 3, 2);
  lat_test_assert_error(lat_codec_encode(context, codec, &view, 8, &out, NULL), LAT_STATUS_INVALID_SHAPE,
                        "points must have shape (N, 3)");
  view = lat_view_2d(points, LAT_DTYPE_I32, 2, 3);
  lat_test_assert_error(lat_codec_encode(context, codec, &view, 8, &out, NULL), LAT_STATUS_INVALID_DTYPE, "got int32");
  assert_null(out);
}

static void refuses_missing_networks(void **state) {
  (void)state;
  lat_codec *other = NULL;
  lat_test_assert_error(lat_codec_open(NULL, folder, &other), LAT_STATUS_INVALID_ARGUMENT, "context: got NULL");
  lat_test_assert_error(lat_codec_open(context, NULL, &other), LAT_STATUS_INVALID_ARGUMENT, "folder: got NULL");
  lat_test_assert_error(lat_codec_open(context, folder, NULL), LAT_STATUS_INVALID_ARGUMENT, "out: got NULL");
  char inside[300];
  snprintf(inside, sizeof inside, "%s/trunk", folder);
  assert_int_not_equal(lat_codec_open(context, inside, &other), LAT_STATUS_OK); // an artifact, but not a codec
  assert_non_null(strstr(lat_last_error(), "trunk"));
  assert_null(other);
}

static void assert_decode_refuses(const uint8_t *bytes, int64_t n, const char *fragment) {
  lat_array *points = NULL, *voxels = NULL;
  lat_array_view view = lat_view_1d(bytes, LAT_DTYPE_U8, n);
  lat_status status = lat_codec_decode(context, codec, &view, &points, &voxels, NULL);
  if (status != LAT_STATUS_UNSUPPORTED) lat_test_assert_error(status, LAT_STATUS_BAD_DATA, fragment);
  assert_null(points);
  assert_null(voxels);
}

static uint32_t naive_crc32(const uint8_t *bytes, size_t n) {
  uint32_t crc = 0xFFFFFFFFu;
  for (size_t i = 0; i < n; i++) {
    crc ^= bytes[i];
    for (int bit = 0; bit < 8; bit++) crc = (crc >> 1) ^ (0xEDB88320u & (0u - (crc & 1)));
  }
  return ~crc;
}

static void put_u32(uint8_t *at, uint32_t value) {
  for (int i = 0; i < 4; i++) at[i] = (uint8_t)(value >> (8 * i));
}

// Makes both checksums right again, so that what lies behind them is reached.
static void reseal(uint8_t *bytes, int64_t n) {
  put_u32(bytes + 40, (uint32_t)(n - 56));
  put_u32(bytes + 48, naive_crc32(bytes + 56, (size_t)(n - 56)));
  put_u32(bytes + 52, naive_crc32(bytes, 52));
}

static void refuses_damaged_streams(void **state) {
  (void)state;
  double *points = make_points(300, 4.0, 11);
  lat_array *stream = encode(points, 300, 60, NULL);
  int64_t n = lat_array_count(stream);
  const uint8_t *good = lat_array_data(stream);
  uint8_t *bytes = malloc((size_t)n + 1);
  for (int64_t i = 0; i < n; i++) { // every byte
    memcpy(bytes, good, (size_t)n);
    bytes[i] ^= (uint8_t)(1u << (i % 8));
    assert_decode_refuses(bytes, n, "codec_decode: ");
  }
  for (int64_t i = 0; i < n; i++) assert_decode_refuses(good, i, i < 56 ? "not a coded cloud" : "truncated");
  memcpy(bytes, good, (size_t)n);
  bytes[n] = 0;
  assert_decode_refuses(bytes, n + 1, "truncated or too long");
  memcpy(bytes, good, (size_t)n);
  bytes[8] = 2;
  assert_decode_refuses(bytes, n, "version: got 2, expected 1");
  put_u32(bytes + 8, 1);
  bytes[16] ^= 1;
  reseal(bytes, n);
  assert_decode_refuses(bytes, n, "coded with another network");
  free(bytes);
  free(points);
  lat_array_release(stream);
}

// Behind right checksums anything may stand: an error or other voxels, never more of them than the header says.
static void survives_hostile_streams(void **state) {
  (void)state;
  double *points = make_points(300, 4.0, 12);
  lat_codec_info info, seen;
  lat_array *stream = encode(points, 300, 60, &info);
  int64_t n = lat_array_count(stream);
  uint8_t *bytes = malloc((size_t)n);
  uint64_t seed = 5;
  int refused = 0;
  for (int round = 0; round < 400; round++) {
    memcpy(bytes, lat_array_data(stream), (size_t)n);
    int64_t length = round % 4 == 0 ? n - 1 - round % 40 : n;
    for (int i = 0; i < 1 + round % 3; i++) {
      int64_t at = 56 + (int64_t)((next_value(&seed) + 0.5) * (double)(length - 56));
      bytes[at] = (uint8_t)((next_value(&seed) + 0.5) * 256.0);
    }
    reseal(bytes, length);
    lat_array *voxels = NULL;
    lat_array_view view = lat_view_1d(bytes, LAT_DTYPE_U8, length);
    lat_status status = lat_codec_decode(context, codec, &view, NULL, &voxels, &seen);
    if (status) {
      lat_test_assert_error(status, LAT_STATUS_BAD_DATA, "codec_decode: ");
      assert_null(voxels);
      refused++;
    } else {
      assert_int_equal(lat_array_as_view(voxels).shape[0], info.voxels);
    }
    lat_array_release(voxels);
  }
  assert_true(refused > 100);
  free(bytes);
  free(points);
  lat_array_release(stream);
}

static void refuses_streams_that_are_no_bytes(void **state) {
  (void)state;
  lat_codec_info info;
  lat_array *points = NULL;
  const uint8_t bytes[64] = {0};
  lat_array_view view = lat_view_1d(bytes, LAT_DTYPE_U8, 64);
  lat_test_assert_error(lat_codec_decode(NULL, codec, &view, &points, NULL, NULL), LAT_STATUS_INVALID_ARGUMENT,
                        "context: got NULL");
  lat_test_assert_error(lat_codec_decode(context, NULL, &view, &points, NULL, NULL), LAT_STATUS_INVALID_ARGUMENT,
                        "codec: got NULL");
  lat_test_assert_error(lat_codec_decode(context, codec, NULL, &points, NULL, NULL), LAT_STATUS_INVALID_ARGUMENT,
                        "stream: got NULL");
  lat_test_assert_error(lat_codec_inspect(NULL, &view, &info), LAT_STATUS_INVALID_ARGUMENT, "context: got NULL");
  lat_test_assert_error(lat_codec_inspect(context, NULL, &info), LAT_STATUS_INVALID_ARGUMENT, "stream: got NULL");
  lat_test_assert_error(lat_codec_inspect(context, &view, NULL), LAT_STATUS_INVALID_ARGUMENT, "info: got NULL");
  lat_test_assert_error(lat_codec_inspect(context, &view, &info), LAT_STATUS_BAD_DATA,
                        "codec_inspect: not a coded cloud");
  view = lat_view_1d(bytes, LAT_DTYPE_I32, 16);
  lat_test_assert_error(lat_codec_decode(context, codec, &view, &points, NULL, NULL), LAT_STATUS_INVALID_DTYPE,
                        "stream must be uint8: got int32");
  view = lat_view_2d(bytes, LAT_DTYPE_U8, 8, 8);
  lat_test_assert_error(lat_codec_decode(context, codec, &view, &points, NULL, NULL), LAT_STATUS_INVALID_SHAPE,
                        "stream must have shape (N,)");
  assert_null(points);
  assert_true(lat_codec_network(NULL) == 0);
  assert_null(lat_codec_retain(NULL));
  lat_codec_release(NULL);
}

static void refuses_a_swapped_network(void **state) {
  (void)state;
  char other_folder[256];
  lat_codec *other = NULL;
  assert_true(lat_test_codec_folder(8, other_folder, sizeof other_folder));
  lat_test_assert_ok(lat_codec_open(context, other_folder, &other));
  double *points = make_points(300, 4.0, 13);
  lat_array *stream = encode(points, 300, 60, NULL), *out = NULL;
  lat_array_view view = lat_array_as_view(stream);
  lat_test_assert_error(lat_codec_decode(context, other, &view, &out, NULL, NULL), LAT_STATUS_BAD_DATA,
                        "coded with another network");
  assert_null(out);
  lat_array_release(stream);
  lat_codec_release(other);
  lat_test_codec_folder_remove(other_folder);
  free(points);
}

// What was saved is loaded; a device stays a device, and what cannot be opened is named.
static void keeps_streams_in_files(void **state) {
  (void)state;
  char path[300];
  uint8_t bytes[5] = {1, 2, 3, 4, 5};
  lat_array *loaded = NULL;
  lat_array_view view = lat_view_1d(bytes, LAT_DTYPE_U8, 5);
  snprintf(path, sizeof path, "%s/stream.lat", folder);
  for (int i = 0; i < 2; i++) { // a new file, then one that is replaced
    bytes[0]++;
    lat_test_assert_ok(lat_codec_save(context, &view, path));
    lat_test_assert_ok(lat_codec_load(context, path, &loaded));
    assert_int_equal(lat_array_count(loaded), 5);
    assert_memory_equal(lat_array_data(loaded), bytes, 5);
    lat_array_release(loaded);
  }
  lat_test_assert_error(lat_codec_save(context, &view, "/dev/null"), LAT_STATUS_IO_ERROR,
                        "codec_save: /dev/null: cannot write: got a device");
  lat_test_assert_error(lat_codec_save(context, &view, folder), LAT_STATUS_IO_ERROR, "got a directory");
  lat_test_assert_error(lat_codec_load(context, "/missing/stream.lat", &loaded), LAT_STATUS_IO_ERROR,
                        "codec_load: /missing/stream.lat: cannot open");
  lat_test_assert_error(lat_codec_load(NULL, path, &loaded), LAT_STATUS_INVALID_ARGUMENT, "context: got NULL");
  lat_test_assert_error(lat_codec_load(context, NULL, &loaded), LAT_STATUS_INVALID_ARGUMENT, "path: got NULL");
  lat_test_assert_error(lat_codec_load(context, path, NULL), LAT_STATUS_INVALID_ARGUMENT, "out: got NULL");
  lat_test_assert_error(lat_codec_save(NULL, &view, path), LAT_STATUS_INVALID_ARGUMENT, "context: got NULL");
  lat_test_assert_error(lat_codec_save(context, NULL, path), LAT_STATUS_INVALID_ARGUMENT, "stream: got NULL");
  lat_test_assert_error(lat_codec_save(context, &view, NULL), LAT_STATUS_INVALID_ARGUMENT, "path: got NULL");
  view.dtype = LAT_DTYPE_I32;
  lat_test_assert_error(lat_codec_save(context, &view, path), LAT_STATUS_INVALID_DTYPE,
                        "codec_save: stream must be uint8");
  assert_null(loaded);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(gives_the_rounded_voxels_back),
      cmocka_unit_test(rounds_exactly),
      cmocka_unit_test(codes_and_decodes_alike_on_every_level),
      cmocka_unit_test(refuses_bad_points),
      cmocka_unit_test(refuses_missing_networks),
      cmocka_unit_test(refuses_damaged_streams),
      cmocka_unit_test(survives_hostile_streams),
      cmocka_unit_test(refuses_streams_that_are_no_bytes),
      cmocka_unit_test(refuses_a_swapped_network),
      cmocka_unit_test(keeps_streams_in_files),
  };
  return cmocka_run_group_tests(tests, set_up, tear_down);
}
