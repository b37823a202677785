/// \file status.h
/// Status codes and the last-error text.
///
/// Every function that can fail returns a `lat_status`; zero is success. When it fails, the calling thread's
/// `lat_last_error()` says what was wrong in one line of the form
///
///     op: what was wrong: got X, expected Y
///
/// and every output handle of the call is NULL (other output parameters are left as they were). The library never
/// prints, aborts or exits because of what a caller passed.
#ifndef LATTICE_STATUS_H
#define LATTICE_STATUS_H

#if defined(__GNUC__)
#define LAT_API __attribute__((visibility("default")))
#define LAT_CHECKED __attribute__((warn_unused_result))
#define LAT_PRINTF(format_index, first_argument) __attribute__((format(printf, format_index, first_argument)))
#else
#define LAT_API
#define LAT_CHECKED
#define LAT_PRINTF(format_index, first_argument)
#endif

#ifdef __cplusplus
extern "C" {
#endif

/// Outcome of a call. Values are part of the ABI: new ones are appended, none is renumbered.
typedef enum lat_status {
  LAT_STATUS_OK = 0,
  LAT_STATUS_INVALID_ARGUMENT = 1, ///< a value outside its range, a NULL where none is allowed, a foreign identity
  LAT_STATUS_INVALID_SHAPE = 2,    ///< a rank, row count or channel count that does not fit
  LAT_STATUS_INVALID_DTYPE = 3,    ///< an element type the operation does not take
  LAT_STATUS_UNSUPPORTED = 4,      ///< a valid request that this build or device cannot serve
  LAT_STATUS_OUT_OF_MEMORY = 5,    ///< the allocator refused, or the context's memory cap would be exceeded
  LAT_STATUS_OVERFLOW = 6,         ///< a count, size or coordinate leaves the range it must fit
  LAT_STATUS_BAD_DATA = 7,         ///< a file or stream whose content is malformed
  LAT_STATUS_IO_ERROR = 8,         ///< the operating system refused to open, read or write
  LAT_STATUS_DEVICE_ERROR = 9,     ///< a device or its driver failed
  LAT_STATUS_INTERNAL = 10         ///< a broken invariant of the library itself: please report it
} lat_status;

/// Name of a status, e.g. "LAT_STATUS_INVALID_SHAPE". Static storage; never NULL, "LAT_STATUS_UNKNOWN" for a value
/// outside the enum.
LAT_API const char *lat_status_name(lat_status status);

/// Text of the calling thread's last failure (UTF-8, at most 511 bytes), or "" when nothing has failed yet.
/// Borrowed: valid until the same thread's next failing call. A successful call does not clear it.
LAT_API const char *lat_last_error(void);

/// Sets the calling thread's last-error text (printf style; cut at 511 bytes) and returns `status`, so that code built
/// on the library reports errors the way the library does:
///
///     return lat_fail(LAT_STATUS_INVALID_SHAPE, "my_op: rows must match: got %lld, expected %lld", got, expected);
LAT_API lat_status lat_fail(lat_status status, const char *format, ...) LAT_PRINTF(2, 3);

#ifdef __cplusplus
}
#endif
#endif
