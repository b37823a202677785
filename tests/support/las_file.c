// LAS files for tests.
#include "support/las_file.h"

#include <string.h>

void test_las_put(unsigned char *at, uint64_t bits, int n_bytes) {
  for (int i = 0; i < n_bytes; i++) at[i] = (unsigned char)(bits >> (8 * i));
}

void test_las_put_double(unsigned char *at, double value) {
  uint64_t bits;
  memcpy(&bits, &value, sizeof bits);
  test_las_put(at, bits, 8);
}

test_las test_las_begin(unsigned char *bytes, int minor, int format, int n_points, int extra_bytes) {
  static const int record_bytes[] = {20, 28, 26, 34, 57, 63, 30, 36, 38, 59, 67};
  static const double scales[3] = {0.01, 0.5, 0.001}, offsets[3] = {1000, 2000, -3};
  size_t header_bytes = minor == 4 ? 375 : minor == 3 ? 235 : 227;
  test_las las = {bytes, 0, bytes + header_bytes, (size_t)(record_bytes[format] + extra_bytes)};
  las.n_bytes = header_bytes + las.record_bytes * (size_t)n_points;
  memset(bytes, 0, las.n_bytes);
  memcpy(bytes, "LASF", 4);
  bytes[24] = 1;
  bytes[25] = (unsigned char)minor;
  test_las_put(bytes + 94, header_bytes, 2);
  test_las_put(bytes + 96, header_bytes, 4);
  bytes[104] = (unsigned char)format;
  test_las_put(bytes + 105, las.record_bytes, 2);
  if (format < 6 || minor < 4) test_las_put(bytes + 107, (uint64_t)n_points, 4);
  for (int axis = 0; axis < 3; axis++) {
    test_las_put_double(bytes + 131 + 8 * axis, scales[axis]);
    test_las_put_double(bytes + 155 + 8 * axis, offsets[axis]);
  }
  if (minor == 4) test_las_put(bytes + 247, (uint64_t)n_points, 8);
  return las;
}

void test_las_extra(test_las *las, int type, const char *name, int options, double scale, double offset) {
  unsigned char *bytes = las->bytes, *header_end = bytes + (bytes[94] | bytes[95] << 8);
  size_t n_points_bytes = las->n_bytes - (size_t)(las->points - bytes);
  size_t n_new = las->points == header_end ? 54 + 192 : 192;
  unsigned char *description = las->points + n_new - 192;
  memmove(las->points + n_new, las->points, n_points_bytes);
  memset(las->points, 0, n_new);
  if (n_new > 192) {
    memcpy(las->points + 2, "LASF_Spec", 9);
    test_las_put(las->points + 18, 4, 2);
    test_las_put(bytes + 100, 1, 4);
  }
  description[2] = (unsigned char)type;
  description[3] = (unsigned char)options;
  memcpy(description + 4, name, strlen(name));
  for (int k = 0; k < 3; k++) {
    test_las_put_double(description + 112 + 8 * k, scale);
    test_las_put_double(description + 136 + 8 * k, offset);
  }
  las->points += n_new;
  las->n_bytes += n_new;
  test_las_put(header_end + 20, (uint64_t)(las->points - header_end - 54), 2);
  test_las_put(bytes + 96, (uint64_t)(las->points - bytes), 4);
}
