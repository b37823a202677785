// Helpers of the tests of point-cloud files.
#include "support/io_cases.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static char folder[64];

static unsigned char *exact_copy(const void *bytes, size_t n_bytes) {
  unsigned char *copy = malloc(n_bytes + 1);
  assert_non_null(copy);
  memcpy(copy, bytes, n_bytes);
  copy[n_bytes] = 0;
  return copy;
}

lat_status lat_test_parse_ply(lat_context *context, const void *bytes, size_t n_bytes, lat_cloud **out) {
  unsigned char *copy = exact_copy(bytes, n_bytes);
  lat__io_content content = {.path = "case", .bytes = copy, .n_bytes = (int64_t)n_bytes};
  lat_status status = lat__ply_parse(context, &content, out);
  free(copy);
  return status;
}

lat_status lat_test_parse_kitti(lat_context *context, const void *bytes, size_t n_bytes, int32_t floats_per_point,
                                lat_cloud **out) {
  unsigned char *copy = exact_copy(bytes, n_bytes);
  lat__io_content content = {.path = "case", .bytes = copy, .n_bytes = (int64_t)n_bytes};
  lat_status status = lat__kitti_parse(context, &content, floats_per_point, out);
  free(copy);
  return status;
}

lat_status lat_test_parse_pcd(lat_context *context, const void *bytes, size_t n_bytes, lat_cloud **out) {
  unsigned char *copy = exact_copy(bytes, n_bytes);
  lat__io_content content = {.path = "case", .bytes = copy, .n_bytes = (int64_t)n_bytes};
  lat_status status = lat__pcd_parse(context, &content, out);
  free(copy);
  return status;
}

lat_status lat_test_parse_las(lat_context *context, const void *bytes, size_t n_bytes, lat_cloud **out) {
  unsigned char *copy = exact_copy(bytes, n_bytes);
  lat__io_content content = {.path = "case", .bytes = copy, .n_bytes = (int64_t)n_bytes};
  lat_status status = lat__las_parse(context, &content, out);
  free(copy);
  return status;
}

const char *lat_test_folder_make(void) {
  strcpy(folder, "/tmp/lattice-test-XXXXXX");
  assert_non_null(mkdtemp(folder));
  return folder;
}

const char *lat_test_folder_path(const char *name) {
  static char paths[4][4096];
  static int next;
  char *path = paths[next++ % 4];
  snprintf(path, sizeof paths[0], "%s/%s", folder, name);
  return path;
}

static int walk_folder(int remove_files) {
  int n = 0;
  DIR *entries = opendir(folder);
  assert_non_null(entries);
  for (struct dirent *entry = readdir(entries); entry; entry = readdir(entries)) {
    if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0) continue;
    n++;
    if (remove_files) remove(lat_test_folder_path(entry->d_name));
  }
  closedir(entries);
  return n;
}

int lat_test_folder_count(void) {
  return walk_folder(0);
}

void lat_test_folder_remove(void) {
  walk_folder(1);
  assert_int_equal(rmdir(folder), 0);
}

void lat_test_file_write(const char *path, const void *bytes, size_t n_bytes) {
  FILE *file = fopen(path, "wb");
  assert_non_null(file);
  assert_int_equal(fwrite(bytes, 1, n_bytes, file), n_bytes);
  assert_int_equal(fclose(file), 0);
}

unsigned char *lat_test_file_read(const char *path, size_t *n_bytes) {
  FILE *file = fopen(path, "rb");
  assert_non_null(file);
  assert_int_equal(fseek(file, 0, SEEK_END), 0);
  *n_bytes = (size_t)ftell(file);
  rewind(file);
  unsigned char *bytes = malloc(*n_bytes + 1);
  assert_non_null(bytes);
  assert_int_equal(fread(bytes, 1, *n_bytes, file), *n_bytes);
  fclose(file);
  return bytes;
}
