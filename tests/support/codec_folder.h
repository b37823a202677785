// Networks for codec tests, made by tools/reno_artifact.py.
#ifndef LATTICE_TESTS_CODEC_FOLDER_H
#define LATTICE_TESTS_CODEC_FOLDER_H

#include <stddef.h>

// Path of a codec of 4 channels with random weights in a new temporary folder, or of the published KITTI network
// (`seed` -1). 0 when it is not there: without shared data, or without python3.
int lat_test_codec_folder(int seed, char *path, size_t path_bytes);

// Removes the folder.
void lat_test_codec_folder_remove(const char *path);

#endif
