// Writing PLY and PNG: what is written reads back the same, and a failure leaves the folder as it was.
// covers: lat_cloud_write_ply lat_image_write_png
#include <locale.h>
#include <math.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <png.h>

#include <lattice/lattice.h>

#include "support/io_cases.h"
#include "support/test_allocator.h"

static lat_test_allocator allocator;
static lat_context *context;

static int set_up(void **state) {
  (void)state;
  memset(&allocator, 0, sizeof allocator);
  context = lat_test_context_create(&allocator, 1);
  lat_test_folder_make();
  return 0;
}

static int tear_down(void **state) {
  (void)state;
  lat_test_folder_remove();
  lat_test_context_finish(context, &allocator);
  return 0;
}

enum { N_POINTS = 3 };

static const float all_f32[N_POINTS] = {0.1f, -1e-30f, 3e38f};
static const double all_f64[N_POINTS] = {0.1 + 0.2, -1e-300, 1e308};
static const int32_t all_i32[N_POINTS] = {INT32_MIN, 0, INT32_MAX};
static const uint32_t all_u32[N_POINTS] = {0, 1, UINT32_MAX};
static const uint8_t all_u8[N_POINTS] = {0, 7, 255};
static const int16_t all_i16[N_POINTS] = {INT16_MIN, -1, INT16_MAX};
static const uint16_t all_bf16[N_POINTS] = {0x3f80, 0xc000, 0x0001}; // 1, -2, 2^-133
static const uint16_t all_f16[N_POINTS] = {0x3c00, 0xc000, 0x0001};  // 1, -2, 2^-24

/// A cloud with a field of every dtype that PLY has.
static lat_cloud *make_cloud(lat_dtype dtype) {
  const float singles[] = {1, 2, 3, 0.1f, -0.2f, 1e-7f, NAN, INFINITY, -INFINITY};
  const double doubles[] = {1, 2, 3, 0.1, -0.2, 1e-7, NAN, INFINITY, -INFINITY};
  lat_array_view positions = lat_view_2d(dtype == LAT_DTYPE_F64 ? (const void *)doubles : singles, dtype, N_POINTS, 3);
  const lat_array_view fields[] = {
      lat_view_1d(all_f32, LAT_DTYPE_F32, N_POINTS), lat_view_1d(all_f64, LAT_DTYPE_F64, N_POINTS),
      lat_view_1d(all_i32, LAT_DTYPE_I32, N_POINTS), lat_view_1d(all_u32, LAT_DTYPE_U32, N_POINTS),
      lat_view_1d(all_u8, LAT_DTYPE_U8, N_POINTS),   lat_view_1d(all_f16, LAT_DTYPE_F16, N_POINTS),
      lat_view_1d(all_i16, LAT_DTYPE_I16, N_POINTS), lat_view_1d(all_bf16, LAT_DTYPE_BF16, N_POINTS)};
  static const char *const names[] = {"f32", "f64", "i32", "u32", "u8", "f16", "i16", "bf16"};
  lat_cloud *cloud = NULL;
  lat_test_assert_ok(lat_cloud_create(context, &positions, &cloud));
  for (int i = 0; i < 8; i++) lat_test_assert_ok(lat_cloud_add_field(context, cloud, names[i], &fields[i]));
  return cloud;
}

static void check_equal_bytes(lat_array_view view, const void *expected, lat_dtype dtype) {
  assert_int_equal(view.dtype, dtype);
  assert_memory_equal(view.data, expected, N_POINTS * lat_dtype_bytes(dtype));
}

static void check_round_trip(lat_dtype dtype, int ascii) {
  const float halves[N_POINTS] = {1.0f, -2.0f, 0x1p-24f}, brains[N_POINTS] = {1.0f, -2.0f, 0x1p-133f};
  const char *path = lat_test_folder_path("round_trip.ply");
  lat_ply_write_opts opts = LAT_PLY_WRITE_OPTS_INIT;
  lat_cloud *cloud = make_cloud(dtype), *again = NULL;
  opts.ascii = ascii;
  lat_test_assert_ok(lat_cloud_write_ply(context, cloud, path, &opts));
  lat_test_assert_ok(lat_cloud_read(context, path, NULL, &again));
  assert_string_equal(lat_cloud_source(again), ascii ? "PLY (ascii)" : "PLY (binary little endian)");
  lat_array_view before = lat_cloud_positions(cloud), after = lat_cloud_positions(again);
  assert_int_equal(after.dtype, dtype);
  assert_memory_equal(before.data, after.data, 6 * lat_dtype_bytes(dtype));
  double last[3];
  for (int i = 0; i < 3; i++) {
    last[i] = dtype == LAT_DTYPE_F64 ? ((const double *)after.data)[6 + i] : (double)((const float *)after.data)[6 + i];
  }
  assert_true(isnan(last[0]) && last[1] == INFINITY && last[2] == -INFINITY);
  check_equal_bytes(lat_cloud_field(again, 0), all_f32, LAT_DTYPE_F32);
  check_equal_bytes(lat_cloud_field(again, 1), all_f64, LAT_DTYPE_F64);
  check_equal_bytes(lat_cloud_field(again, 2), all_i32, LAT_DTYPE_I32);
  check_equal_bytes(lat_cloud_field(again, 3), all_u32, LAT_DTYPE_U32);
  check_equal_bytes(lat_cloud_field(again, 4), all_u8, LAT_DTYPE_U8);
  check_equal_bytes(lat_cloud_field(again, 5), halves, LAT_DTYPE_F32);
  check_equal_bytes(lat_cloud_field(again, 6), all_i16, LAT_DTYPE_I16);
  check_equal_bytes(lat_cloud_field(again, 7), brains, LAT_DTYPE_F32);
  assert_string_equal(lat_cloud_field_name(again, 7), "bf16");
  lat_cloud_release(cloud);
  lat_cloud_release(again);
}

static void ply_round_trips(void **state) {
  (void)state;
  for (int ascii = 0; ascii <= 1; ascii++) {
    check_round_trip(LAT_DTYPE_F32, ascii);
    check_round_trip(LAT_DTYPE_F64, ascii);
  }
  assert_int_equal(lat_test_folder_count(), 1);
}

static void ply_bytes_are_fixed(void **state) {
  (void)state;
  const float xyz[] = {1, -2.5f, 0.1f};
  const uint8_t label[] = {3};
  const char expected[] = "ply\nformat ascii 1.0\ncomment written by lattice\nelement vertex 1\nproperty float x\n"
                          "property float y\nproperty float z\nproperty uchar label\nend_header\n"
                          "1 -2.5 0.100000001 3\n";
  const char *path = lat_test_folder_path("fixed.ply");
  lat_array_view positions = lat_view_2d(xyz, LAT_DTYPE_F32, 1, 3), labels = lat_view_1d(label, LAT_DTYPE_U8, 1);
  lat_ply_write_opts opts = LAT_PLY_WRITE_OPTS_INIT;
  lat_cloud *cloud = NULL;
  size_t n_bytes;
  opts.ascii = 1;
  lat_test_assert_ok(lat_cloud_create(context, &positions, &cloud));
  lat_test_assert_ok(lat_cloud_add_field(context, cloud, "label", &labels));
  lat_test_assert_ok(lat_cloud_write_ply(context, cloud, path, &opts));
  unsigned char *bytes = lat_test_file_read(path, &n_bytes);
  assert_int_equal(n_bytes, sizeof expected - 1);
  assert_memory_equal(bytes, expected, n_bytes);
  free(bytes);
  lat_cloud_release(cloud);
}

/// More points than the write buffer holds.
static void large_cloud(void **state) {
  (void)state;
  int64_t shape[2] = {20000, 3};
  const double range[2] = {-50.0, 50.0};
  lat_array *values = NULL;
  lat_cloud *cloud = NULL, *again = NULL;
  lat_test_assert_ok(lat_array_uniform(context, LAT_DTYPE_F32, 2, shape, range, 1, &values));
  lat_array_view positions = lat_array_as_view(values);
  lat_test_assert_ok(lat_cloud_create(context, &positions, &cloud));
  for (int ascii = 0; ascii <= 1; ascii++) {
    lat_ply_write_opts opts = LAT_PLY_WRITE_OPTS_INIT;
    opts.ascii = ascii;
    lat_test_assert_ok(lat_cloud_write_ply(context, cloud, lat_test_folder_path("large.ply"), &opts));
    lat_test_assert_ok(lat_cloud_read(context, lat_test_folder_path("large.ply"), NULL, &again));
    assert_memory_equal(lat_cloud_positions(again).data, positions.data, (size_t)shape[0] * 3 * sizeof(float));
    lat_cloud_release(again);
  }
  lat_cloud_release(cloud);
  lat_array_release(values);
}

/// A host in a locale with a decimal comma must not change files.
static void decimal_comma_locale(void **state) {
  (void)state;
  if (!setlocale(LC_ALL, "de_DE.UTF-8") && !setlocale(LC_ALL, "de_DE") && !setlocale(LC_ALL, "fr_FR.UTF-8")) {
    print_message("skipped: no locale with a decimal comma\n");
    skip();
  }
  check_round_trip(LAT_DTYPE_F32, 1);
  setlocale(LC_ALL, "C");
}

static void ply_refusals(void **state) {
  (void)state;
  const int64_t values[N_POINTS] = {0};
  const float zeros[3 * N_POINTS] = {0};
  lat_array_view wide = lat_view_1d(values, LAT_DTYPE_I64, N_POINTS);
  lat_array_view positions = lat_view_2d(zeros, LAT_DTYPE_F32, N_POINTS, 3);
  const char *path = lat_test_folder_path("refused.ply");
  lat_cloud *cloud = NULL;
  lat_test_assert_ok(lat_cloud_create(context, &positions, &cloud));
  lat_test_assert_error(lat_cloud_write_ply(NULL, cloud, path, NULL), LAT_STATUS_INVALID_ARGUMENT,
                        "context must not be NULL");
  lat_test_assert_error(lat_cloud_write_ply(context, NULL, path, NULL), LAT_STATUS_INVALID_ARGUMENT,
                        "cloud must not be NULL");
  lat_test_assert_error(lat_cloud_write_ply(context, cloud, NULL, NULL), LAT_STATUS_INVALID_ARGUMENT,
                        "path must not be NULL");
  lat_ply_write_opts opts = LAT_PLY_WRITE_OPTS_INIT;
  opts.struct_bytes = 5000;
  lat_test_assert_error(lat_cloud_write_ply(context, cloud, path, &opts), LAT_STATUS_INVALID_ARGUMENT,
                        "struct_bytes: got 5000");
  lat_test_assert_ok(lat_cloud_add_field(context, cloud, "wide", &wide));
  lat_test_assert_error(lat_cloud_write_ply(context, cloud, path, NULL), LAT_STATUS_INVALID_DTYPE,
                        "field 'wide': got int64");
  assert_int_equal(lat_test_folder_count(), 0);
  lat_cloud_release(cloud);
}

static void unwritable_places(void **state) {
  (void)state;
  lat_cloud *cloud = make_cloud(LAT_DTYPE_F32);
  char missing[4096];
  strcpy(missing, lat_test_folder_path("no_such_folder/a.ply"));
  lat_test_assert_error(lat_cloud_write_ply(context, cloud, missing, NULL), LAT_STATUS_IO_ERROR,
                        "no_such_folder/a.ply: cannot create: No such file or directory");
  lat_test_assert_error(lat_cloud_write_ply(context, cloud, lat_test_folder_path(""), NULL), LAT_STATUS_IO_ERROR,
                        "cannot write: got a directory");
  lat_test_assert_error(lat_cloud_write_ply(context, cloud, "", NULL), LAT_STATUS_IO_ERROR,
                        "cannot create: No such file");
  // A rename onto a device node would replace the device. A pipe of our own stands in for it.
  const char *pipe_path = lat_test_folder_path("pipe");
  assert_int_equal(mkfifo(pipe_path, 0600), 0);
  lat_test_assert_error(lat_cloud_write_ply(context, cloud, pipe_path, NULL), LAT_STATUS_IO_ERROR,
                        "cannot write: got a device, pipe or socket");
  assert_int_equal(unlink(pipe_path), 0);
  assert_int_equal(chmod(lat_test_folder_path(""), 0555), 0);
  uid_t user = geteuid();
  if (user == 0) assert_int_equal(seteuid(65534), 0);
  lat_status status = lat_cloud_write_ply(context, cloud, lat_test_folder_path("a.ply"), NULL);
  if (user == 0) assert_int_equal(seteuid(0), 0);
  lat_test_assert_error(status, LAT_STATUS_IO_ERROR, "a.ply: cannot create: Permission denied");
  assert_int_equal(chmod(lat_test_folder_path(""), 0755), 0);
  assert_int_equal(lat_test_folder_count(), 0);
  lat_cloud_release(cloud);
}

/// Runs `write` (which returns a status) with files limited to a few bytes, as on a full disk.
static lat_status with_full_disk(lat_status (*write)(const char *path), const char *path) {
  struct rlimit before, small;
  signal(SIGXFSZ, SIG_IGN);
  assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
  small = before;
  small.rlim_cur = 16;
  assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
  lat_status status = write(path);
  assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
  return status;
}

static lat_status write_a_cloud(const char *path) {
  lat_cloud *cloud = make_cloud(LAT_DTYPE_F32);
  lat_status status = lat_cloud_write_ply(context, cloud, path, NULL);
  lat_cloud_release(cloud);
  return status;
}

static uint8_t pixels[5][7][3];

static void paint(void) {
  for (int i = 0; i < (int)sizeof pixels; i++) ((uint8_t *)pixels)[i] = (uint8_t)(i * 37);
}

static lat_status write_a_picture(const char *path) {
  int64_t shape[3] = {5, 7, 3};
  lat_array_view image = lat_view(pixels, LAT_DTYPE_U8, 3, shape);
  return lat_image_write_png(context, &image, path);
}

static void check_old_file_survives(lat_status (*write)(const char *path), const char *path) {
  size_t n_bytes;
  lat_test_file_write(path, "old", 3);
  lat_test_assert_error(with_full_disk(write, path), LAT_STATUS_IO_ERROR, "cannot write: File too large");
  unsigned char *bytes = lat_test_file_read(path, &n_bytes);
  assert_int_equal(n_bytes, 3);
  assert_memory_equal(bytes, "old", 3);
  free(bytes);
}

static void full_disk_leaves_the_old_file(void **state) {
  (void)state;
  paint();
  check_old_file_survives(write_a_cloud, lat_test_folder_path("a.ply"));
  assert_int_equal(lat_test_folder_count(), 1);
  check_old_file_survives(write_a_picture, lat_test_folder_path("a.png"));
  assert_int_equal(lat_test_folder_count(), 2);
}

static void replacing_keeps_permissions(void **state) {
  (void)state;
  const char *path = lat_test_folder_path("kept.ply");
  struct stat facts;
  lat_test_file_write(path, "old", 3);
  assert_int_equal(chmod(path, 0640), 0);
  lat_test_assert_ok(write_a_cloud(path));
  assert_int_equal(stat(path, &facts), 0);
  assert_int_equal(facts.st_mode & 0777, 0640);
  assert_true(facts.st_size > 3);
}

static void check_png(const char *path, int width, int height, const uint8_t *expected) {
  png_image image;
  uint8_t *read_back = malloc((size_t)width * (size_t)height * 3);
  memset(&image, 0, sizeof image);
  image.version = PNG_IMAGE_VERSION;
  assert_true(png_image_begin_read_from_file(&image, path));
  assert_int_equal(image.width, width);
  assert_int_equal(image.height, height);
  assert_int_equal(image.format, PNG_FORMAT_RGB);
  assert_true(png_image_finish_read(&image, NULL, read_back, 0, NULL));
  assert_memory_equal(read_back, expected, (size_t)width * (size_t)height * 3);
  free(read_back);
}

static void png_round_trips(void **state) {
  (void)state;
  const char *path = lat_test_folder_path("a.png");
  uint8_t flipped[5][7][3];
  paint();
  lat_test_assert_ok(write_a_picture(path));
  check_png(path, 7, 5, (const uint8_t *)pixels);
  for (int y = 0; y < 5; y++) memcpy(flipped[y], pixels[4 - y], sizeof flipped[y]);
  lat_array_view view = {pixels[4], LAT_DTYPE_U8, LAT_DEVICE_CPU, 3, {5, 7, 3}, {-21, 3, 1}};
  lat_test_assert_ok(lat_image_write_png(context, &view, path));
  check_png(path, 7, 5, (const uint8_t *)flipped);
  assert_int_equal(lat_test_folder_count(), 1);
}

static void png_refusals(void **state) {
  (void)state;
  const char *path = lat_test_folder_path("refused.png");
  int64_t shape[3] = {5, 7, 3}, grey[3] = {5, 7, 1}, empty[3] = {0, 7, 3};
  lat_array_view good = lat_view(pixels, LAT_DTYPE_U8, 3, shape), wrong = lat_view(pixels, LAT_DTYPE_U8, 3, grey);
  lat_array_view flat = lat_view(pixels, LAT_DTYPE_U8, 2, shape), none = lat_view(NULL, LAT_DTYPE_U8, 3, empty);
  lat_array_view floats = lat_view(pixels, LAT_DTYPE_F32, 3, shape), nowhere = lat_view(NULL, LAT_DTYPE_U8, 3, shape);
  lat_test_assert_error(lat_image_write_png(NULL, &good, path), LAT_STATUS_INVALID_ARGUMENT,
                        "context must not be NULL");
  lat_test_assert_error(lat_image_write_png(context, NULL, path), LAT_STATUS_INVALID_ARGUMENT,
                        "image must not be NULL");
  lat_test_assert_error(lat_image_write_png(context, &good, NULL), LAT_STATUS_INVALID_ARGUMENT,
                        "path must not be NULL");
  lat_test_assert_error(lat_image_write_png(context, &wrong, path), LAT_STATUS_INVALID_SHAPE,
                        "image must have shape (H, W, 3)");
  lat_test_assert_error(lat_image_write_png(context, &flat, path), LAT_STATUS_INVALID_SHAPE, "got rank 2");
  lat_test_assert_error(lat_image_write_png(context, &none, path), LAT_STATUS_INVALID_SHAPE, "image size: got 7 x 0");
  lat_test_assert_error(lat_image_write_png(context, &floats, path), LAT_STATUS_INVALID_DTYPE,
                        "image must be uint8: got float32");
  lat_test_assert_error(lat_image_write_png(context, &nowhere, path), LAT_STATUS_INVALID_ARGUMENT,
                        "image must have data");
  lat_test_assert_error(lat_image_write_png(context, &good, lat_test_folder_path("none/a.png")), LAT_STATUS_IO_ERROR,
                        "none/a.png: cannot create: No such file or directory");
  assert_int_equal(lat_test_folder_count(), 0);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test_setup_teardown(ply_round_trips, set_up, tear_down),
      cmocka_unit_test_setup_teardown(ply_bytes_are_fixed, set_up, tear_down),
      cmocka_unit_test_setup_teardown(large_cloud, set_up, tear_down),
      cmocka_unit_test_setup_teardown(decimal_comma_locale, set_up, tear_down),
      cmocka_unit_test_setup_teardown(ply_refusals, set_up, tear_down),
      cmocka_unit_test_setup_teardown(unwritable_places, set_up, tear_down),
      cmocka_unit_test_setup_teardown(full_disk_leaves_the_old_file, set_up, tear_down),
      cmocka_unit_test_setup_teardown(replacing_keeps_permissions, set_up, tear_down),
      cmocka_unit_test_setup_teardown(png_round_trips, set_up, tear_down),
      cmocka_unit_test_setup_teardown(png_refusals, set_up, tear_down),
  };
  return cmocka_run_group_tests_name("io_write", tests, NULL, NULL);
}
