/// Finding the network that coded a file, for `lattice decompress`.
#ifndef LATTICE_CLI_CODEC_FILE_H
#define LATTICE_CLI_CODEC_FILE_H

#include "cli.h"

/// The folder beside `file`, or in the current folder, that holds the network of that digest. `folder` receives its name.
LAT_CHECKED lat_status cli_codec_find(lat_context *context, const char *file, uint64_t network, char *folder,
                                      size_t folder_bytes, lat_codec **out);

#endif
