// Status names and the per-thread last-error text.

#include <stdarg.h>
#include <stdio.h>

#include <lattice/status.h>
#include <lattice/version.h>

#include "core/compiler.h"

#define ERROR_TEXT_BYTES 512

// Aligned because mold 1.10 begins the region that is made read-only with the thread-local section: unaligned, it can begin
// a few bytes before an unmapped page boundary, and then the program does not start.
static LAT_THREAD_LOCAL _Alignas(LAT_ALIGN) char last_error[ERROR_TEXT_BYTES];

const char *lat_status_name(lat_status status) {
  switch (status) {
  case LAT_STATUS_OK:
    return "LAT_STATUS_OK";
  case LAT_STATUS_INVALID_ARGUMENT:
    return "LAT_STATUS_INVALID_ARGUMENT";
  case LAT_STATUS_INVALID_SHAPE:
    return "LAT_STATUS_INVALID_SHAPE";
  case LAT_STATUS_INVALID_DTYPE:
    return "LAT_STATUS_INVALID_DTYPE";
  case LAT_STATUS_UNSUPPORTED:
    return "LAT_STATUS_UNSUPPORTED";
  case LAT_STATUS_OUT_OF_MEMORY:
    return "LAT_STATUS_OUT_OF_MEMORY";
  case LAT_STATUS_OVERFLOW:
    return "LAT_STATUS_OVERFLOW";
  case LAT_STATUS_BAD_DATA:
    return "LAT_STATUS_BAD_DATA";
  case LAT_STATUS_IO_ERROR:
    return "LAT_STATUS_IO_ERROR";
  case LAT_STATUS_DEVICE_ERROR:
    return "LAT_STATUS_DEVICE_ERROR";
  case LAT_STATUS_INTERNAL:
    return "LAT_STATUS_INTERNAL";
  }
  return "LAT_STATUS_UNKNOWN";
}

const char *lat_last_error(void) {
  return last_error;
}

lat_status lat_fail(lat_status status, const char *format, ...) {
  va_list arguments;
  va_start(arguments, format);
  vsnprintf(last_error, sizeof last_error, format, arguments);
  va_end(arguments);
  return status;
}

const char *lat_version(void) {
#define TEXT(x) #x
#define VERSION_TEXT(major, minor, patch) TEXT(major) "." TEXT(minor) "." TEXT(patch)
  return VERSION_TEXT(LAT_VERSION_MAJOR, LAT_VERSION_MINOR, LAT_VERSION_PATCH);
}
