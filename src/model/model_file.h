/// Files of models: mapped or whole in, whole and at once out; and text from them as errors show it.
#ifndef LATTICE_MODEL_MODEL_FILE_H
#define LATTICE_MODEL_MODEL_FILE_H

#include <lattice/array.h>

/// Text for an error message: short, so that several fit the 511 bytes of the last error.
typedef struct lat__shown {
  char text[128];
} lat__shown;

/// A path: whole, or its end behind "...".
lat__shown lat__show_path(const char *path);

/// At most 60 bytes of text from a file, control characters as '?'.
lat__shown lat__show_text(const char *text, int64_t n_bytes);

/// Maps a regular file: a uint8 array whose last reference unmaps it. Errors: IO_ERROR, OUT_OF_MEMORY.
LAT_CHECKED lat_status lat__file_map(lat_context *context, const char *op, const char *path, lat_array **out);

/// Reads a regular file of at most `most_bytes` into a uint8 array. Errors: IO_ERROR, BAD_DATA (longer), OUT_OF_MEMORY.
LAT_CHECKED lat_status lat__file_read(lat_context *context, const char *op, const char *path, int64_t most_bytes,
                                      lat_array **out);

/// A run of bytes to write.
typedef struct lat__piece {
  const void *bytes;
  size_t n_bytes;
} lat__piece;

/// Writes the pieces to a file of its own and moves it to `path` when it is complete. Errors: IO_ERROR, OUT_OF_MEMORY.
LAT_CHECKED lat_status lat__file_write(lat_context *context, const char *op, const char *path, const lat__piece *pieces,
                                       int64_t n_pieces);

#endif
