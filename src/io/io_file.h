/// Texts, numbers and whole files out: what every format of this folder needs. Reading is in io_content.h.
#ifndef LATTICE_IO_IO_FILE_H
#define LATTICE_IO_IO_FILE_H

#include <stdbool.h>

#include <lattice/array.h>

/// Text for an error message: short enough that path and reason fit the 511 bytes of the last error together, printable.
typedef struct lat__io_text {
  char text[168];
} lat__io_text;

/// A path as errors show it: whole, or its end behind "...".
lat__io_text lat__io_path(const char *path);

/// A piece of a file as errors show it: at most 40 characters, unprintable ones as '?'.
lat__io_text lat__io_excerpt(const void *bytes, int64_t n_bytes);

/// The system's reason for `error_number`, in English whatever the locale.
lat__io_text lat__io_reason(int error_number);

/// `*count` = a whole number without sign; false for anything else and above int64.
bool lat__io_parse_count(const char *text, int64_t n_bytes, int64_t *count);

/// Copies a caller's sized options struct over `target` (already holding zeros). `known_bytes`: sizeof of what this
/// version knows. Errors: INVALID_ARGUMENT (impossible size), UNSUPPORTED (non-zero fields past the known ones).
LAT_CHECKED lat_status lat__io_copy_opts(const char *op, const void *opts, size_t known_bytes, void *target);

/// New array of `n_bytes` zero bytes: the only memory that this library asks for.
LAT_CHECKED lat_status lat__io_bytes_new(lat_context *context, int64_t n_bytes, lat_array **out);

/// Element `index` of a contiguous array, little endian; float16 and bfloat16 as float32. Returns the number of bytes.
size_t lat__io_encode_value(const lat_array_view *view, int64_t index, uint8_t out[8]);

/// Writes a file beside its final place and moves it there when it is complete.
typedef struct lat__io_writer {
  const char *op;
  const char *path;   ///< borrowed until lat__io_writer_close
  int fd;             ///< -1: nothing to clean up
  lat_array *storage; ///< buffer, then the temporary path
  uint8_t *buffer;
  size_t used;
  char *temporary_path;
} lat__io_writer;

#define LAT__IO_WRITER_INIT                                                                                            \
  { NULL, NULL, -1, NULL, NULL, 0, NULL }

/// Starts writing. Errors: IO_ERROR (the target is no regular file, its folder is missing or not writable),
/// OUT_OF_MEMORY.
LAT_CHECKED lat_status lat__io_writer_open(lat_context *context, const char *op, const char *path,
                                           lat__io_writer *writer);

/// Appends bytes. Errors: IO_ERROR.
LAT_CHECKED lat_status lat__io_writer_put(lat__io_writer *writer, const void *bytes, size_t n_bytes);

/// Ends writing. With `status` OK the file takes its place; otherwise, and when that fails, the temporary file goes and
/// an older target stays. Returns the outcome (`status` unless it was OK). Harmless on a writer that was never opened.
LAT_CHECKED lat_status lat__io_writer_close(lat__io_writer *writer, lat_status status);

#endif
