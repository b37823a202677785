/// The parts of the point-cloud codec: the octree's levels, the bytes of a stream, and the network that predicts.
#ifndef LATTICE_CODEC_INTERNAL_H
#define LATTICE_CODEC_INTERNAL_H

#include <stdbool.h>

#include <lattice/codec.h>
#include <lattice/lattice.h>

#include "core/compiler.h"

/// One voxel of a level. `code` is its occupancy: bit `x + 2y + 4z` of the children that exist.
typedef struct lat__codec_voxel {
  int32_t z, y, x;
  int32_t code; ///< 0: not known yet
} lat__codec_voxel;

/// The voxels of a level, ascending by (z, y, x).
typedef struct lat__codec_level {
  lat_array *memory; ///< owns `voxels`
  lat__codec_voxel *voxels;
  int64_t n;
} lat__codec_level;

/// Most levels above the voxels themselves: int32 coordinates have shrunk to -1 and 0 after 32 halvings.
enum { LAT__CODEC_LEVELS = 33 };

/// The parents of a cloud's voxels, coarsest first.
typedef struct lat__codec_octree {
  int32_t n_levels;
  lat__codec_level levels[LAT__CODEC_LEVELS];
  int64_t n_voxels; ///< distinct voxels under the finest level
} lat__codec_octree;

/// Rounds points to voxels and builds their octree. `op` is for messages.
LAT_CHECKED lat_status lat__codec_octree_build(lat_context *context, const lat_array_view *points, int32_t voxel_mm,
                                               lat__codec_octree *out);

void lat__codec_octree_release(lat__codec_octree *octree);

/// The children that the codes of `parents` name, sorted, without codes. BAD_DATA for a code of 0, more
/// than `limit` children or a child outside int32.
LAT_CHECKED lat_status lat__codec_level_expand(lat_context *context, const lat__codec_level *parents, int64_t limit,
                                               lat__codec_level *out);

/// A level of `n` voxels, all zero.
LAT_CHECKED lat_status lat__codec_level_new(lat_context *context, int64_t n, lat__codec_level *out);

void lat__codec_level_release(lat__codec_level *level);

/// What stands before the payload of a stream.
typedef struct lat__codec_header {
  int32_t voxel_mm;
  uint64_t network; ///< digest of the network that coded
  int64_t points, voxels, payload_bytes;
} lat__codec_header;

/// One entropy-coded stream: the payload of lat_range_encode without its own header.
typedef struct lat__codec_chunk {
  const uint8_t *bytes;
  int64_t n_bytes;
} lat__codec_chunk;

/// The parts of a payload: the coarsest level and two chunks (low and high 4 bits) for each finer one.
typedef struct lat__codec_payload {
  lat__codec_level coarsest;
  int32_t n_chunks;
  lat__codec_chunk chunks[2 * LAT__CODEC_LEVELS];
} lat__codec_payload;

/// Writes a whole stream; `header->payload_bytes` is filled in.
LAT_CHECKED lat_status lat__codec_stream_write(lat_context *context, lat__codec_header *header,
                                               const lat__codec_payload *payload, lat_array **out);

/// Checks a stream (contiguous) and takes it apart. `op` is for messages. Chunks point into `stream`; `out->coarsest` is
/// owned.
LAT_CHECKED lat_status lat__codec_stream_read(lat_context *context, const char *op, const lat_array_view *stream,
                                              lat__codec_header *header, lat__codec_payload *out);

/// The two artifacts of a codec, compiled.
typedef struct lat__codec_network {
  struct lat_program *trunk, *high;
  uint64_t digest; ///< of both graphs and all weights
} lat__codec_network;

LAT_CHECKED lat_status lat__codec_network_open(lat_context *context, const char *folder, lat__codec_network *out);
void lat__codec_network_close(lat__codec_network *network);

/// Features of `children` and the probabilities `(n, 16)` of the low 4 bits of their codes.
LAT_CHECKED lat_status lat__codec_predict_low(lat_context *context, const lat__codec_network *network,
                                              const lat__codec_level *parents, const lat__codec_level *children,
                                              lat_array **features, lat_array **low);

/// Probabilities `(n, 16)` of the high 4 bits, given the low ones (`(n,)` int32).
LAT_CHECKED lat_status lat__codec_predict_high(lat_context *context, const lat__codec_network *network,
                                               const lat__codec_level *children, const lat_array *features,
                                               const lat_array_view *low, lat_array **high);

#endif
