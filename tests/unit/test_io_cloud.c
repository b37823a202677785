// The cloud object, and lat_cloud_read on real files: formats, the operating system's refusals, the files of the shared
// data folder.
// covers: lat_cloud_read lat_cloud_create lat_cloud_add_field lat_cloud_count lat_cloud_source lat_cloud_positions
// covers: lat_cloud_n_fields lat_cloud_field_name lat_cloud_field lat_cloud_find_field lat_cloud_retain
// covers: lat_cloud_release
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

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

static void build_a_cloud(void **state) {
  (void)state;
  const double columns[] = {1, 4, 2, 5, 3, 6}; // column-major: strides are honoured
  const float values[] = {0.5f, 0, 0.25f, 0};
  lat_array_view positions = {columns, LAT_DTYPE_F64, LAT_DEVICE_CPU, 2, {2, 3}, {1, 2}};
  lat_array_view field = {values, LAT_DTYPE_F32, LAT_DEVICE_CPU, 1, {2}, {2}};
  lat_cloud *cloud = NULL;
  lat_test_assert_ok(lat_cloud_create(context, &positions, &cloud));
  assert_int_equal(lat_cloud_count(cloud), 2);
  assert_string_equal(lat_cloud_source(cloud), "memory");
  const double *xyz = lat_cloud_positions(cloud).data;
  for (int i = 0; i < 6; i++) assert_true(xyz[i] == i + 1);
  for (int i = 0; i < 20; i++) { // more than the first room for fields
    char name[8] = {'f', (char)('a' + i), 0};
    lat_test_assert_ok(lat_cloud_add_field(context, cloud, name, &field));
  }
  assert_int_equal(lat_cloud_n_fields(cloud), 20);
  assert_int_equal(lat_cloud_find_field(cloud, "fc"), 2);
  assert_int_equal(lat_cloud_find_field(cloud, "none"), -1);
  assert_int_equal(lat_cloud_find_field(cloud, NULL), -1);
  assert_true(((const float *)lat_cloud_field(cloud, 19).data)[1] == 0.25f);
  assert_null(lat_cloud_field_name(cloud, 20));
  assert_null(lat_cloud_field_name(cloud, -1));
  assert_null(lat_cloud_field(cloud, 20).data);
  assert_int_equal(lat_cloud_field(cloud, -1).rank, 0);
  assert_ptr_equal(lat_cloud_retain(cloud), cloud);
  lat_cloud_release(cloud);
  assert_int_equal(lat_cloud_count(cloud), 2);
  lat_cloud_release(cloud);
  lat_cloud_release(NULL);
  assert_null(lat_cloud_retain(NULL));
}

static void create_refusals(void **state) {
  (void)state;
  const float values[12] = {0};
  lat_array_view positions = lat_view_2d(values, LAT_DTYPE_F32, 4, 3), wrong = lat_view_2d(values, LAT_DTYPE_F32, 3, 4);
  lat_array_view flat = lat_view_1d(values, LAT_DTYPE_F32, 12), integers = lat_view_2d(values, LAT_DTYPE_I32, 4, 3);
  lat_array_view nowhere = lat_view_2d(NULL, LAT_DTYPE_F32, 4, 3);
  lat_cloud *cloud = NULL;
  lat_test_assert_error(lat_cloud_create(NULL, &positions, &cloud), LAT_STATUS_INVALID_ARGUMENT,
                        "context must not be NULL");
  lat_test_assert_error(lat_cloud_create(context, NULL, &cloud), LAT_STATUS_INVALID_ARGUMENT,
                        "positions must not be NULL");
  lat_test_assert_error(lat_cloud_create(context, &positions, NULL), LAT_STATUS_INVALID_ARGUMENT,
                        "out must not be NULL");
  lat_test_assert_error(lat_cloud_create(context, &wrong, &cloud), LAT_STATUS_INVALID_SHAPE,
                        "positions must have shape (N, 3)");
  lat_test_assert_error(lat_cloud_create(context, &flat, &cloud), LAT_STATUS_INVALID_SHAPE,
                        "positions must have shape (N, 3)");
  lat_test_assert_error(lat_cloud_create(context, &integers, &cloud), LAT_STATUS_INVALID_DTYPE,
                        "float32 or float64: got int32");
  lat_test_assert_error(lat_cloud_create(context, &nowhere, &cloud), LAT_STATUS_INVALID_ARGUMENT, "");
  assert_null(cloud);
}

static void field_refusals(void **state) {
  (void)state;
  const float values[12] = {0};
  char long_name[300];
  lat_array_view positions = lat_view_2d(values, LAT_DTYPE_F32, 4, 3), good = lat_view_1d(values, LAT_DTYPE_F32, 4);
  lat_array_view shorter = lat_view_1d(values, LAT_DTYPE_F32, 3);
  lat_cloud *cloud = NULL;
  memset(long_name, 'n', sizeof long_name);
  long_name[256] = 0;
  lat_test_assert_ok(lat_cloud_create(context, &positions, &cloud));
  lat_test_assert_ok(lat_cloud_add_field(context, cloud, "taken", &good));
  static const char *const bad_names[] = {"", "a b", "tab\t", "x", "y", "z", "taken", "line\n"};
  for (size_t i = 0; i < sizeof bad_names / sizeof bad_names[0]; i++) {
    lat_test_assert_error(lat_cloud_add_field(context, cloud, bad_names[i], &good), LAT_STATUS_INVALID_ARGUMENT,
                          "cloud_add_field: ");
  }
  lat_test_assert_error(lat_cloud_add_field(context, cloud, long_name, &good), LAT_STATUS_INVALID_ARGUMENT,
                        "1 to 255 bytes");
  lat_test_assert_error(lat_cloud_add_field(context, cloud, "taken", &good), LAT_STATUS_INVALID_ARGUMENT,
                        "already has a field 'taken'");
  lat_test_assert_error(lat_cloud_add_field(context, cloud, "a", &positions), LAT_STATUS_INVALID_SHAPE,
                        "must have shape (N,)");
  lat_test_assert_error(lat_cloud_add_field(context, cloud, "a", &shorter), LAT_STATUS_INVALID_SHAPE,
                        "3 values, expected 4");
  lat_test_assert_error(lat_cloud_add_field(NULL, cloud, "a", &good), LAT_STATUS_INVALID_ARGUMENT,
                        "context must not be NULL");
  lat_test_assert_error(lat_cloud_add_field(context, NULL, "a", &good), LAT_STATUS_INVALID_ARGUMENT,
                        "cloud must not be NULL");
  lat_test_assert_error(lat_cloud_add_field(context, cloud, NULL, &good), LAT_STATUS_INVALID_ARGUMENT,
                        "name must not be NULL");
  lat_test_assert_error(lat_cloud_add_field(context, cloud, "a", NULL), LAT_STATUS_INVALID_ARGUMENT,
                        "values must not be NULL");
  assert_int_equal(lat_cloud_n_fields(cloud), 1);
  lat_cloud_release(cloud);
}

static const char tiny_ply[] = "ply\nformat ascii 1.0\nelement vertex 1\nproperty float x\nproperty float y\n"
                               "property float z\nend_header\n1 2 3\n";

static void formats_are_found(void **state) {
  (void)state;
  static const char zeros[16];
  lat_cloud *cloud = NULL;
  lat_cloud_read_opts opts = LAT_CLOUD_READ_OPTS_INIT;
  lat_test_file_write(lat_test_folder_path("by_content.txt"), tiny_ply, sizeof tiny_ply - 1);
  lat_test_assert_ok(lat_cloud_read(context, lat_test_folder_path("by_content.txt"), NULL, &cloud));
  lat_cloud_release(cloud);
  lat_test_file_write(lat_test_folder_path("by_name.BIN"), zeros, sizeof zeros);
  lat_test_assert_ok(lat_cloud_read(context, lat_test_folder_path("by_name.BIN"), &opts, &cloud));
  lat_cloud_release(cloud);
  lat_test_file_write(lat_test_folder_path("data"), zeros, sizeof zeros);
  lat_test_assert_error(lat_cloud_read(context, lat_test_folder_path("data"), NULL, &cloud), LAT_STATUS_UNSUPPORTED,
                        "unknown format: got a file that begins with '");
  assert_null(cloud);
  opts.format = LAT_CLOUD_FORMAT_KITTI;
  lat_test_assert_ok(lat_cloud_read(context, lat_test_folder_path("data"), &opts, &cloud));
  lat_cloud_release(cloud);
  opts.format = LAT_CLOUD_FORMAT_PLY;
  lat_test_assert_error(lat_cloud_read(context, lat_test_folder_path("data"), &opts, &cloud), LAT_STATUS_BAD_DATA,
                        "not a PLY file");
  assert_null(cloud);
  lat_test_file_write(lat_test_folder_path("empty.ply"), "", 0);
  lat_test_assert_error(lat_cloud_read(context, lat_test_folder_path("empty.ply"), NULL, &cloud), LAT_STATUS_BAD_DATA,
                        "not a PLY file");
  assert_null(cloud);
}

static void option_refusals(void **state) {
  (void)state;
  struct {
    lat_cloud_read_opts known;
    int64_t unknown; // as wide as the alignment: no padding between
  } larger = {LAT_CLOUD_READ_OPTS_INIT, 0};
  const char *path = lat_test_folder_path("a.ply");
  lat_cloud *cloud = NULL;
  lat_test_file_write(path, tiny_ply, sizeof tiny_ply - 1);
  larger.known.struct_bytes = sizeof larger;
  lat_test_assert_ok(lat_cloud_read(context, path, &larger.known, &cloud));
  lat_cloud_release(cloud);
  cloud = NULL;
  larger.unknown = 1;
  lat_test_assert_error(lat_cloud_read(context, path, &larger.known, &cloud), LAT_STATUS_UNSUPPORTED,
                        "opts has fields that this version");
  larger.known.struct_bytes = 1;
  lat_test_assert_error(lat_cloud_read(context, path, &larger.known, &cloud), LAT_STATUS_INVALID_ARGUMENT,
                        "struct_bytes: got 1");
  lat_cloud_read_opts opts = LAT_CLOUD_READ_OPTS_INIT;
  opts.floats_per_point = 6;
  lat_test_assert_error(lat_cloud_read(context, path, &opts, &cloud), LAT_STATUS_INVALID_ARGUMENT,
                        "floats_per_point: got 6");
  opts.floats_per_point = 0;
  opts.format = (lat_cloud_format)99;
  lat_test_assert_error(lat_cloud_read(context, path, &opts, &cloud), LAT_STATUS_INVALID_ARGUMENT, "format: got 99");
  lat_test_assert_error(lat_cloud_read(NULL, path, NULL, &cloud), LAT_STATUS_INVALID_ARGUMENT,
                        "context must not be NULL");
  lat_test_assert_error(lat_cloud_read(context, NULL, NULL, &cloud), LAT_STATUS_INVALID_ARGUMENT,
                        "path must not be NULL");
  lat_test_assert_error(lat_cloud_read(context, path, NULL, NULL), LAT_STATUS_INVALID_ARGUMENT, "out must not be NULL");
  assert_null(cloud);
}

static void the_system_refuses(void **state) {
  (void)state;
  lat_cloud *cloud = NULL;
  lat_test_assert_error(lat_cloud_read(context, lat_test_folder_path("missing.ply"), NULL, &cloud), LAT_STATUS_IO_ERROR,
                        "missing.ply: cannot open: No such file or directory");
  lat_test_assert_error(lat_cloud_read(context, "", NULL, &cloud), LAT_STATUS_IO_ERROR, "cannot open: No such file");
  lat_test_assert_error(lat_cloud_read(context, lat_test_folder_path(""), NULL, &cloud), LAT_STATUS_IO_ERROR,
                        "got a directory, expected a regular file");
  lat_test_assert_error(lat_cloud_read(context, "/dev/zero", NULL, &cloud), LAT_STATUS_IO_ERROR,
                        "got a device, pipe or socket");
  const char *pipe_path = lat_test_folder_path("pipe.ply");
  assert_int_equal(mkfifo(pipe_path, 0600), 0); // nobody writes: opening it must not hang
  lat_test_assert_error(lat_cloud_read(context, pipe_path, NULL, &cloud), LAT_STATUS_IO_ERROR,
                        "got a device, pipe or socket");
  char long_path[900];
  memset(long_path, 'd', sizeof long_path);
  strcpy(long_path + 800, "end.ply");
  lat_test_assert_error(lat_cloud_read(context, long_path, NULL, &cloud), LAT_STATUS_IO_ERROR,
                        "dddend.ply: cannot open: File name too long");
  assert_null(cloud);
}

static void unreadable_file(void **state) {
  (void)state;
  const char *path = lat_test_folder_path("locked.ply");
  lat_cloud *cloud = NULL;
  lat_test_file_write(path, tiny_ply, sizeof tiny_ply - 1);
  assert_int_equal(chmod(path, 0), 0);
  uid_t user = geteuid();
  if (user == 0) assert_int_equal(seteuid(65534), 0); // root may read everything
  lat_status status = lat_cloud_read(context, path, NULL, &cloud);
  if (user == 0) assert_int_equal(seteuid(0), 0);
  lat_test_assert_error(status, LAT_STATUS_IO_ERROR, "locked.ply: cannot open: Permission denied");
  assert_null(cloud);
}

/// A file of the shared folder as its own list of sources describes it (extents rounded there to three digits).
typedef struct real_file {
  const char *name;
  int64_t n_points;
  lat_dtype dtype;
  double low[3], high[3];
  const char *field;
  int32_t n_fields;
} real_file;

static const real_file real_files[] = {
    {"data/kitti_det_000001.bin",
     120268,
     LAT_DTYPE_F32,
     {-79.428, -55.317, -7.293},
     {77.005, 57.719, 2.904},
     "intensity",
     1},
    {"data/semantickitti_00_000000.bin",
     124668,
     LAT_DTYPE_F32,
     {-78.087, -55.723, -11.557},
     {77.967, 44.879, 2.825},
     "intensity",
     1},
    {"data/nuscenes_n015_LIDAR_TOP_1532402927647951.pcd.bin",
     34688,
     LAT_DTYPE_F32,
     {-57.996, -96.29, -3.417},
     {96.853, 98.592, 19.028},
     "ring",
     2},
    {"data/stanford_bun_zipper.ply",
     35947,
     LAT_DTYPE_F32,
     {-0.095, 0.033, -0.062},
     {0.061, 0.187, 0.059},
     "confidence",
     2},
    {"data/cgal_b9_training.ply",
     22300,
     LAT_DTYPE_F64,
     {596648.062, 243620.016, 73.502},
     {596738.938, 243731.984, 97.186},
     "label",
     4},
};

static void check_extent(const real_file *file, lat_array *positions) {
  const double *xyz = lat_array_data(positions);
  double low[3] = {xyz[0], xyz[1], xyz[2]}, high[3] = {xyz[0], xyz[1], xyz[2]};
  for (int64_t i = 0; i < file->n_points * 3; i++) {
    if (xyz[i] < low[i % 3]) low[i % 3] = xyz[i];
    if (xyz[i] > high[i % 3]) high[i % 3] = xyz[i];
  }
  for (int axis = 0; axis < 3; axis++) {
    assert_float_equal(low[axis], file->low[axis], 0.00051);
    assert_float_equal(high[axis], file->high[axis], 0.00051);
  }
}

static void real_sweeps_and_scans(void **state) {
  (void)state;
  for (size_t i = 0; i < sizeof real_files / sizeof real_files[0]; i++) {
    const real_file *file = &real_files[i];
    char path[4096];
    lat_cloud *cloud = NULL;
    lat_array *wide = NULL;
    if (!lat_test_shared_path(file->name, path, sizeof path)) skip();
    lat_test_assert_ok(lat_cloud_read(context, path, NULL, &cloud));
    assert_int_equal(lat_cloud_count(cloud), file->n_points);
    lat_array_view positions = lat_cloud_positions(cloud);
    assert_int_equal(positions.dtype, file->dtype);
    lat_test_assert_ok(lat_array_cast(context, &positions, LAT_DTYPE_F64, &wide));
    check_extent(file, wide);
    assert_int_equal(lat_cloud_n_fields(cloud), file->n_fields);
    assert_true(lat_cloud_find_field(cloud, file->field) >= 0);
    lat_array_release(wide);
    lat_cloud_release(cloud);
  }
}

static void labels_of_a_real_file(void **state) {
  (void)state;
  char path[4096];
  lat_cloud *cloud = NULL;
  int64_t counts[4] = {0};
  if (!lat_test_shared_path("data/cgal_b9_training.ply", path, sizeof path)) skip();
  lat_test_assert_ok(lat_cloud_read(context, path, NULL, &cloud));
  const int32_t *labels = lat_cloud_field(cloud, lat_cloud_find_field(cloud, "label")).data;
  for (int64_t i = 0; i < lat_cloud_count(cloud); i++) counts[labels[i] + 1]++;
  assert_int_equal(counts[0], 19853);
  assert_int_equal(counts[1], 1567);
  assert_int_equal(counts[2], 314);
  assert_int_equal(counts[3], 566);
  lat_cloud_release(cloud);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test_setup_teardown(build_a_cloud, set_up, tear_down),
      cmocka_unit_test_setup_teardown(create_refusals, set_up, tear_down),
      cmocka_unit_test_setup_teardown(field_refusals, set_up, tear_down),
      cmocka_unit_test_setup_teardown(formats_are_found, set_up, tear_down),
      cmocka_unit_test_setup_teardown(option_refusals, set_up, tear_down),
      cmocka_unit_test_setup_teardown(the_system_refuses, set_up, tear_down),
      cmocka_unit_test_setup_teardown(unreadable_file, set_up, tear_down),
      cmocka_unit_test_setup_teardown(real_sweeps_and_scans, set_up, tear_down),
      cmocka_unit_test_setup_teardown(labels_of_a_real_file, set_up, tear_down),
  };
  return cmocka_run_group_tests_name("io_cloud", tests, NULL, NULL);
}
