/// A file's content as parsers see it: the beginning in memory, the rest read in pieces when it is asked for, so that
/// reading costs what the cloud costs and not what the file has.
#ifndef LATTICE_IO_IO_CONTENT_H
#define LATTICE_IO_IO_CONTENT_H

#include "io/cloud_internal.h"

enum {
  LAT__IO_HEAD_BYTES = 1 << 20,  ///< that are loaded when a file is opened
  LAT__IO_WINDOW_BYTES = 1 << 18 ///< of a piece
};

/// An open file.
struct lat__io_file {
  int fd;           ///< -1: none
  lat_array *head;  ///< the bytes of the content and a zero byte
  int64_t n_loaded; ///< bytes of the content that are in memory
};

#define LAT__IO_FILE_INIT                                                                                              \
  { -1, NULL, 0 }

/// Opens a regular file; `content` borrows `path` and `file`. Reading trusts only what fstat says, so memory is bounded by
/// the file's real size. Errors: IO_ERROR, OUT_OF_MEMORY.
LAT_CHECKED lat_status lat__io_file_open(lat_context *context, const char *op, const char *path, lat__io_file *file,
                                         lat__io_content *content);

/// Closes the file; harmless on one that was never opened.
void lat__io_file_close(lat__io_file *file);

/// The whole content in memory: `*whole` = `content` where it is there already, else on the bytes of the new array
/// `*bytes`. What points into the beginning stays valid. Errors: IO_ERROR, OUT_OF_MEMORY.
LAT_CHECKED lat_status lat__io_content_load(lat_context *context, const lat__io_content *content, lat_array **bytes,
                                            lat__io_content *whole);

/// A piece of the content. Zero-initialise; lat__io_window_close frees it.
typedef struct lat__io_window {
  const lat__io_content *content;
  lat_array *storage; ///< NULL: the content is in memory
  int64_t at, n;      ///< the bytes that the storage holds
} lat__io_window;

LAT_CHECKED lat_status lat__io_window_open(lat_context *context, const lat__io_content *content,
                                           lat__io_window *window);

/// `*bytes` = the content's bytes at .. at + n - 1, which exist; n is at most LAT__IO_WINDOW_BYTES. Valid until the next
/// call. Errors: IO_ERROR.
LAT_CHECKED lat_status lat__io_window_get(lat__io_window *window, int64_t at, int64_t n, const uint8_t **bytes);

void lat__io_window_close(lat__io_window *window);

#endif
