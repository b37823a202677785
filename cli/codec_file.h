/// Files of coded clouds, for `lattice compress` and `lattice decompress`.
#ifndef LATTICE_CLI_CODEC_FILE_H
#define LATTICE_CLI_CODEC_FILE_H

#include "cli.h"

/// Reads a whole file as an `(N,)` uint8 array.
LAT_CHECKED lat_status cli_file_read(lat_context *context, const char *path, lat_array **out);

/// Writes bytes to a new file beside `path` and gives it that name when it is complete: a file that was there before
/// stays whole until then.
LAT_CHECKED lat_status cli_file_write(const char *path, const lat_array *bytes);

/// The folder beside `file`, or in the current folder, that holds the network of that digest. `folder` receives its name.
LAT_CHECKED lat_status cli_codec_find(lat_context *context, const char *file, uint64_t network, char *folder,
                                      size_t folder_bytes, lat_codec **out);

#endif
