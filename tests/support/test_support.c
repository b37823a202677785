// Helpers that all areas' tests share: where data lies, and checks of status together with its text.
#include "support/test_support.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void join_path(const char *folder, const char *relative, char *buffer, size_t buffer_bytes) {
  int written = snprintf(buffer, buffer_bytes, "%s/%s", folder, relative);
  if (written < 0 || (size_t)written >= buffer_bytes) fail_msg("path too long: %s/%s", folder, relative);
}

int lat_test_shared_path(const char *relative, char *buffer, size_t buffer_bytes) {
  const char *folder = getenv("LATTICE_SHARED");
  if (folder == NULL || folder[0] == '\0') folder = LAT_TEST_SOURCE_DIR "/../shared";
  join_path(folder, relative, buffer, buffer_bytes);
  if (access(buffer, R_OK) == 0) return 1;
  print_message("skipped: no shared data (%s)\n", relative);
  return 0;
}

void lat_test_source_path(const char *relative, char *buffer, size_t buffer_bytes) {
  join_path(LAT_TEST_SOURCE_DIR, relative, buffer, buffer_bytes);
  if (access(buffer, R_OK) != 0) fail_msg("missing in the source tree: %s", relative);
}

void lat_test_check_error(lat_status status, lat_status expected, const char *fragment, const char *file, int line) {
  const char *text = lat_last_error();
  if (status != expected) {
    print_error("got %s, expected %s; last error: %s\n", lat_status_name(status), lat_status_name(expected), text);
    _fail(file, line);
  }
  if (strstr(text, fragment) == NULL) {
    print_error("last error \"%s\" lacks \"%s\"\n", text, fragment);
    _fail(file, line);
  }
}

void lat_test_check_ok(lat_status status, const char *file, int line) {
  if (status == LAT_STATUS_OK) return;
  print_error("got %s, expected success: %s\n", lat_status_name(status), lat_last_error());
  _fail(file, line);
}
