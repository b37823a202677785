/// What every test program starts with: cmocka with the headers it needs, and the helpers that all areas share.
#ifndef LAT_TEST_SUPPORT_H
#define LAT_TEST_SUPPORT_H

// cmocka.h needs these four before it.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <lattice/context.h>

/// Writes the path of a file of the shared data folder (environment LATTICE_SHARED, else `../shared` beside the source
/// root) into `buffer`. Returns 1 when the file is there; else prints "skipped: no shared data" and returns 0: the
/// test then calls cmocka's skip().
int lat_test_shared_path(const char *relative, char *buffer, size_t buffer_bytes);

/// Writes the path of a file below the source root. Fails the test when the file is not there.
void lat_test_source_path(const char *relative, char *buffer, size_t buffer_bytes);

/// Fails the test unless `status` is `expected` and the thread's last error contains `fragment`.
/// Use: lat_test_assert_error(lat_conv3d(...), LAT_STATUS_INVALID_SHAPE, "channels"); assert_null(out);
#define lat_test_assert_error(status, expected, fragment)                                                              \
  lat_test_check_error((status), (expected), (fragment), __FILE__, __LINE__)
void lat_test_check_error(lat_status status, lat_status expected, const char *fragment, const char *file, int line);

/// Fails the test, printing the last error, unless `status` is OK.
#define lat_test_assert_ok(status) lat_test_check_ok((status), __FILE__, __LINE__)
void lat_test_check_ok(lat_status status, const char *file, int line);

#endif
