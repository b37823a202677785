/// Helpers of the tests of point-cloud files: contents in memory, files in a folder of their own.
#ifndef LAT_TEST_IO_CASES_H
#define LAT_TEST_IO_CASES_H

#include <stddef.h>

#include "io/cloud_internal.h"
#include "support/test_support.h"

/// Parses bytes as a PLY, KITTI, PCD or LAS file called "case". The bytes are copied to a block of exactly their size and a zero.
lat_status lat_test_parse_ply(lat_context *context, const void *bytes, size_t n_bytes, lat_cloud **out);
lat_status lat_test_parse_kitti(lat_context *context, const void *bytes, size_t n_bytes, int32_t floats_per_point,
                                lat_cloud **out);

lat_status lat_test_parse_pcd(lat_context *context, const void *bytes, size_t n_bytes, lat_cloud **out);
lat_status lat_test_parse_las(lat_context *context, const void *bytes, size_t n_bytes, lat_cloud **out);

/// Makes an empty folder for the calling test program; its path stays valid until lat_test_folder_remove.
const char *lat_test_folder_make(void);

/// Path of a file in that folder. Each call reuses one of four buffers.
const char *lat_test_folder_path(const char *name);

/// Number of entries in the folder.
int lat_test_folder_count(void);

/// Removes the folder and the files in it.
void lat_test_folder_remove(void);

/// Writes a file of the given bytes, or reads one into a block that the caller frees.
void lat_test_file_write(const char *path, const void *bytes, size_t n_bytes);
unsigned char *lat_test_file_read(const char *path, size_t *n_bytes);

#endif
