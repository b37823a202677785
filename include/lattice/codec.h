/// \file codec.h
/// A lossy point-cloud codec on an octree: positions are rounded to voxels of a whole number of millimetres, and a sparse
/// convolution network predicts the occupancy of each node from its coarser levels, so that the likely costs few bits.
///
/// Source: RENO, "Real-time Neural Compression for 3D LiDAR Point Clouds" (CVPR 2025). The network is an ordinary pair of
/// model artifacts; `tools/reno_artifact.py` makes them from a published checkpoint.
///
/// A file decodes to exactly the voxels that were coded, whatever the machine, its instruction set and the number of
/// threads: the network's operations are those whose float32 results are equal everywhere (docs/codec.md).
#ifndef LATTICE_CODEC_H
#define LATTICE_CODEC_H

#include <lattice/array.h>

#ifdef __cplusplus
extern "C" {
#endif

/// A network that codes. Opaque, reference-counted, immutable: several threads may use one at once.
typedef struct lat_codec lat_codec;

/// Largest edge of a voxel in millimetres.
#define LAT_CODEC_MAX_VOXEL_MM 65504

/// What a stream holds. Sizes in bytes.
typedef struct lat_codec_info {
  int32_t voxel_mm;      ///< edge of a voxel, in millimetres
  int32_t levels;        ///< octree levels that the network predicts
  int64_t points;        ///< points that were coded, duplicates included
  int64_t voxels;        ///< distinct voxels
  int64_t payload_bytes; ///< everything behind the container's header
  uint64_t network;      ///< digest of the network that coded
} lat_codec_info;

/// Opens the artifacts `folder`/trunk and `folder`/high.
/// Errors: INVALID_ARGUMENT (NULL), those of lat_model_load, BAD_DATA (inputs or outputs that are not the codec's: names
/// them), OUT_OF_MEMORY.
LAT_API LAT_CHECKED lat_status lat_codec_open(lat_context *context, const char *folder, lat_codec **out);

/// Digest of the graphs and weights of a codec: what a stream names its network by. 0 for NULL.
LAT_API uint64_t lat_codec_network(const lat_codec *codec);

/// Reads and checks what stands before a stream's payload, and the checksum of both; needs no network.
/// Errors: as lat_codec_decode.
LAT_API LAT_CHECKED lat_status lat_codec_inspect(lat_context *context, const lat_array_view *stream,
                                                 lat_codec_info *info);

/// Adds a reference and returns `codec` (NULL is passed through).
LAT_API lat_codec *lat_codec_retain(const lat_codec *codec);

/// Drops a reference; NULL is accepted.
LAT_API void lat_codec_release(lat_codec *codec);

/// Codes points. `points` is `(N, 3)` float32 or float64 in metres, N >= 0. Each coordinate is rounded to whole
/// millimetres m, then to the voxel `round((m + 131072) / voxel_mm)`, ties to even, in exact arithmetic.
/// `*out` is a new uint8 array; `info` may be NULL.
/// Errors: INVALID_ARGUMENT (NULL; voxel_mm outside 1 to LAT_CODEC_MAX_VOXEL_MM; NaN or infinity; float32 points whose
/// spacing is more than a quarter of a voxel; a voxel outside int32: each names the first such point), INVALID_SHAPE,
/// INVALID_DTYPE, OUT_OF_MEMORY.
LAT_API LAT_CHECKED lat_status lat_codec_encode(lat_context *context, const lat_codec *codec,
                                                const lat_array_view *points, int32_t voxel_mm, lat_array **out,
                                                lat_codec_info *info);

/// Reads a stream back. `*out_points` is a new `(voxels, 3)` float64 array of positions in metres, `*out_voxels` the int32
/// voxels themselves; either may be NULL when it is not wanted. Rows ascend by (z, y, x). `info` may be NULL.
/// Errors: INVALID_ARGUMENT (NULL), INVALID_SHAPE, INVALID_DTYPE (`stream` is an `(N,)` uint8 view), BAD_DATA (not such a
/// stream, damaged, truncated, coded with another network: says which), UNSUPPORTED (a newer version), OUT_OF_MEMORY.
LAT_API LAT_CHECKED lat_status lat_codec_decode(lat_context *context, const lat_codec *codec,
                                                const lat_array_view *stream, lat_array **out_points,
                                                lat_array **out_voxels, lat_codec_info *info);

/// Reads a file that lat_codec_save wrote (or any other regular file) whole, as a new uint8 array.
/// Errors: INVALID_ARGUMENT (NULL), IO_ERROR, OUT_OF_MEMORY.
LAT_API LAT_CHECKED lat_status lat_codec_load(lat_context *context, const char *path, lat_array **out);

/// Writes a stream, an `(N,)` uint8 view, to `path`. The file appears when it is complete; one that was there stays whole
/// until then, and anything but a regular file is refused.
/// Errors: INVALID_ARGUMENT (NULL), INVALID_SHAPE, INVALID_DTYPE, IO_ERROR, OUT_OF_MEMORY.
LAT_API LAT_CHECKED lat_status lat_codec_save(lat_context *context, const lat_array_view *stream, const char *path);

#ifdef __cplusplus
}
#endif
#endif
