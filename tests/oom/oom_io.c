// Out of memory in readers and writers of clouds and pictures, with the n-th allocation refused for every n.
#include <stdio.h>

#include <lattice/lattice.h>

#include "support/io_cases.h"
#include "support/las_file.h"
#include "support/test_allocator.h"

static const char ascii_file[] = "ply\nformat ascii 1.0\nelement vertex 2\nproperty float x\nproperty float y\n"
                                 "property float z\nproperty uchar label\nproperty double t\nend_header\n"
                                 "1 2 3 4 5\n6 7 8 9 10\n";
static const char binary_file[] = "ply\nformat binary_big_endian 1.0\nelement vertex 2\nproperty uchar x\n"
                                  "property uchar y\nproperty uchar z\nproperty short t\nend_header\nabcdefghij";

static const char ascii_pcd[] = "VERSION 0.7\nFIELDS x y z label t\nSIZE 4 4 4 1 8\nTYPE F F F U F\nWIDTH 2\nPOINTS 2\n"
                                "DATA ascii\n1 2 3 4 5\n6 7 8 9 10\n";
static const char binary_pcd[] = "VERSION 0.7\nFIELDS x y z t\nSIZE 1 1 1 2\nTYPE U U U I\nWIDTH 2\nPOINTS 2\n"
                                 "DATA binary\nabcdefghij";
static const char packed_pcd[] = "VERSION 0.7\nFIELDS x y z t\nSIZE 1 1 1 2\nTYPE U U U I\nWIDTH 2\nPOINTS 2\n"
                                 "DATA binary_compressed\n\013\0\0\0\012\0\0\0\011abcdefghij";

static int make_files(void **state) {
  (void)state;
  static const float rows[8] = {1, 2, 3, 0.5f, 4, 5, 6, 0.25f};
  lat_test_folder_make();
  lat_test_file_write(lat_test_folder_path("ascii.ply"), ascii_file, sizeof ascii_file - 1);
  lat_test_file_write(lat_test_folder_path("binary.ply"), binary_file, sizeof binary_file - 1);
  lat_test_file_write(lat_test_folder_path("ascii.pcd"), ascii_pcd, sizeof ascii_pcd - 1);
  lat_test_file_write(lat_test_folder_path("binary.pcd"), binary_pcd, sizeof binary_pcd - 1);
  lat_test_file_write(lat_test_folder_path("packed.pcd"), packed_pcd, sizeof packed_pcd - 1);
  static unsigned char las_bytes[2048];
  test_las las = test_las_begin(las_bytes, 4, 7, 3, 4);
  test_las_extra(&las, 9, "extra", 0, 0, 0);
  lat_test_file_write(lat_test_folder_path("points.las"), las_bytes, las.n_bytes);
  lat_test_file_write(lat_test_folder_path("raw.bin"), rows, sizeof rows);
  return 0;
}

static int remove_files(void **state) {
  (void)state;
  lat_test_folder_remove();
  return 0;
}

static void record_cloud(const lat_cloud *cloud) {
  lat_test_oom_record_view(lat_cloud_positions(cloud));
  for (int32_t i = 0; i < lat_cloud_n_fields(cloud); i++) lat_test_oom_record_view(lat_cloud_field(cloud, i));
}

static lat_status read_file(lat_context *context, const char *name) {
  lat_cloud *cloud = NULL;
  lat_status status = lat_cloud_read(context, lat_test_folder_path(name), NULL, &cloud);
  if (status == LAT_STATUS_OK) {
    record_cloud(cloud);
  } else {
    assert_null(cloud);
  }
  lat_cloud_release(cloud);
  return status;
}

static lat_status ascii_body(lat_context *context) {
  return read_file(context, "ascii.ply");
}

static lat_status binary_body(lat_context *context) {
  return read_file(context, "binary.ply");
}

static lat_status kitti_body(lat_context *context) {
  return read_file(context, "raw.bin");
}

static lat_status ascii_pcd_body(lat_context *context) {
  return read_file(context, "ascii.pcd");
}

static lat_status binary_pcd_body(lat_context *context) {
  return read_file(context, "binary.pcd");
}

static lat_status packed_pcd_body(lat_context *context) {
  return read_file(context, "packed.pcd");
}

static lat_status las_body(lat_context *context) {
  return read_file(context, "points.las");
}

static lat_status write_las_body(lat_context *context) {
  const char *path = lat_test_folder_path("written.las");
  int n_before = lat_test_folder_count();
  lat_cloud *cloud = NULL;
  lat_status status = lat_cloud_read(context, lat_test_folder_path("points.las"), NULL, &cloud);
  if (status == LAT_STATUS_OK) status = lat_cloud_write_las(context, cloud, path, NULL);
  if (status == LAT_STATUS_OK) {
    record_cloud(cloud);
    remove(path);
  }
  assert_int_equal(lat_test_folder_count(), n_before);
  lat_cloud_release(cloud);
  return status;
}

// Builds a cloud with more fields than fit at first and writes it. A failure leaves neither file nor temporary file.
static lat_status write_ply_body(lat_context *context) {
  static const float xyz[6] = {1, 2, 3, 4, 5, 6};
  const char *path = lat_test_folder_path("written.ply");
  lat_array_view positions = lat_view_2d(xyz, LAT_DTYPE_F32, 2, 3), values = lat_view_1d(xyz, LAT_DTYPE_F32, 2);
  int n_before = lat_test_folder_count();
  lat_cloud *cloud = NULL;
  lat_status status = lat_cloud_create(context, &positions, &cloud);
  for (int i = 0; i < 10 && status == LAT_STATUS_OK; i++) {
    char name[2] = {(char)('a' + i), 0};
    status = lat_cloud_add_field(context, cloud, name, &values);
  }
  if (status == LAT_STATUS_OK) status = lat_cloud_write_ply(context, cloud, path, NULL);
  if (status == LAT_STATUS_OK) {
    record_cloud(cloud);
    remove(path);
  }
  assert_int_equal(lat_test_folder_count(), n_before);
  lat_cloud_release(cloud);
  return status;
}

static lat_status write_png_body(lat_context *context) {
  static const uint8_t pixels[2 * 3 * 3];
  const char *path = lat_test_folder_path("written.png");
  int64_t shape[3] = {2, 3, 3};
  lat_array_view image = lat_view(pixels, LAT_DTYPE_U8, 3, shape);
  int n_before = lat_test_folder_count();
  lat_status status = lat_image_write_png(context, &image, path);
  if (status == LAT_STATUS_OK) remove(path);
  assert_int_equal(lat_test_folder_count(), n_before);
  return status;
}

static void readers(void **state) {
  (void)state;
  lat_test_oom("read ascii PLY", ascii_body);
  lat_test_oom("read binary PLY", binary_body);
  lat_test_oom("read KITTI", kitti_body);
  lat_test_oom("read LAS", las_body);
  lat_test_oom("read ascii PCD", ascii_pcd_body);
  lat_test_oom("read binary PCD", binary_pcd_body);
  lat_test_oom("read compressed PCD", packed_pcd_body);
}

static void writers(void **state) {
  (void)state;
  lat_test_oom("write PLY", write_ply_body);
  lat_test_oom("write LAS", write_las_body);
  lat_test_oom("write PNG", write_png_body);
}

// A cap that the file's content does not fit under is an error, not a shorter cloud.
static void memory_cap(void **state) {
  (void)state;
  lat_context_opts opts = LAT_CONTEXT_OPTS_INIT;
  lat_context *context = NULL;
  lat_cloud *cloud = NULL;
  opts.memory_cap_bytes = 4096;
  lat_test_assert_ok(lat_context_create(&opts, &context));
  lat_test_assert_error(lat_cloud_read(context, lat_test_folder_path("ascii.ply"), NULL, &cloud),
                        LAT_STATUS_OUT_OF_MEMORY, "");
  assert_null(cloud);
  lat_context_destroy(context);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test_setup_teardown(readers, make_files, remove_files),
                                     cmocka_unit_test_setup_teardown(writers, make_files, remove_files),
                                     cmocka_unit_test_setup_teardown(memory_cap, make_files, remove_files)};
  return cmocka_run_group_tests_name("oom_io", tests, NULL, NULL);
}
