/// Makes LAS files in memory for tests, from the specification alone.
#ifndef LAT_TEST_LAS_FILE_H
#define LAT_TEST_LAS_FILE_H

#include <stddef.h>
#include <stdint.h>

/// A file that is being made. Points hold zeros until the test writes them.
typedef struct test_las {
  unsigned char *bytes;
  size_t n_bytes;
  unsigned char *points;
  size_t record_bytes;
} test_las;

/// Stores a little-endian integer or a float64.
void test_las_put(unsigned char *at, uint64_t bits, int n_bytes);
void test_las_put_double(unsigned char *at, double value);

/// Begins a file of version 1.`minor` with `n_points` points of a format and `extra_bytes` behind each. Scales are 0.01,
/// 0.5, 0.001 and offsets 1000, 2000, -3.
test_las test_las_begin(unsigned char *bytes, int minor, int format, int n_points, int extra_bytes);

/// Describes an extra value of a data type. The points move: `las->points` is where they are now.
void test_las_extra(test_las *las, int type, const char *name, int options, double scale, double offset);

#endif
