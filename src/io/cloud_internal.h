/// The cloud as the readers build it, and the readers as lat_cloud_read calls them (on bytes in memory, so that tests and
/// fuzzers need no files).
#ifndef LATTICE_IO_CLOUD_INTERNAL_H
#define LATTICE_IO_CLOUD_INTERNAL_H

#include <lattice/io.h>

/// New cloud that shares `positions` (retained): a contiguous `(N, 3)` float32 or float64 array. `source` is static text.
LAT_CHECKED lat_status lat__cloud_share(lat_context *context, lat_array *positions, const char *source,
                                        lat_cloud **out);

/// Appends a field that shares `values` (retained), an `(N,)` array. The name is `name_bytes` long and already checked.
LAT_CHECKED lat_status lat__cloud_append(lat_context *context, lat_cloud *cloud, const char *name, size_t name_bytes,
                                         lat_array *values);

/// What a LAS file says about its points as a whole; a cloud that is read from one keeps it for lat_cloud_write_las.
typedef struct lat__las_grid {
  int32_t known;              ///< 0: the cloud is from elsewhere
  int32_t standard_gps;       ///< bit 0 of the global encoding
  double scale[3], offset[3]; ///< position = integer * scale + offset
} lat__las_grid;

/// The grid of a cloud: to be set before it is shared.
lat__las_grid *lat__cloud_las_grid(const lat_cloud *cloud);

/// A file of which only the beginning is in memory: io_content.h.
typedef struct lat__io_file lat__io_file;

/// A file's content. `path` is for messages. One zero byte stands behind the bytes in memory.
typedef struct lat__io_content {
  const char *path;
  const uint8_t *bytes;
  int64_t n_bytes;
  const lat__io_file *file; ///< NULL: all of the bytes are in memory
} lat__io_content;

/// Parses a PLY file, all of it in memory. Errors: BAD_DATA, UNSUPPORTED, OUT_OF_MEMORY.
LAT_CHECKED lat_status lat__ply_parse(lat_context *context, const lat__io_content *content, lat_cloud **out);

/// Parses a PCD file. Errors: BAD_DATA, UNSUPPORTED, OUT_OF_MEMORY.
LAT_CHECKED lat_status lat__pcd_parse(lat_context *context, const lat__io_content *content, lat_cloud **out);

/// Parses a LAS file. Errors: BAD_DATA, UNSUPPORTED, OUT_OF_MEMORY.
LAT_CHECKED lat_status lat__las_parse(lat_context *context, const lat__io_content *content, lat_cloud **out);

/// Parses raw float rows of `floats_per_point` values, 4 or 5; 0: decided from the content, all of it in memory.
/// Errors: BAD_DATA, INVALID_ARGUMENT, OUT_OF_MEMORY.
LAT_CHECKED lat_status lat__kitti_parse(lat_context *context, const lat__io_content *content, int32_t floats_per_point,
                                        lat_cloud **out);

#endif
