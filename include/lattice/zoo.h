/// \file zoo.h
/// Reference networks, built from the modules of nn.h with initial weights: a start for training, and what checkpoints of
/// other libraries are loaded into (docs/models.md lists layers and parameter names).
///
/// | name | what | inputs | outputs |
/// |---|---|---|---|
/// | `minkunet14`, `minkunet18a`, `minkunet34c` | MinkowskiEngine's U-Nets, stem 5x5x5 | `x` | `y`: classes per voxel |
/// | `sparse_resunet42` | TorchSparse's U-Net | `x` | `y`: 96 channels per voxel |
/// | `sparse_resnet21d` | TorchSparse's encoder | `x` | `y`: 128 channels |
/// | `voxel_backbone8x` | the backbone of SECOND and PV-RCNN | `x`, coordinate columns (batch, z, y, x) | `y`: (B, 128 Z, Y, X) |
/// | `voxel_res_backbone8x` | CenterPoint's, residual | likewise | likewise |
/// | `voxelnext` | VoxelNeXt's backbone with its flat part | likewise | `y`: sparse, one z |
/// | `spvcnn` | point-voxel network | `p` (points), `rows` | `y`: classes per point |
///
/// `rows` of spvcnn is a sparse input with one row for each point and one channel, whatever its values and coordinates: the
/// set on which features of points are added. Residual blocks that change the width have a 1x1x1 convolution and a norm
/// on the short way.
#ifndef LATTICE_ZOO_H
#define LATTICE_ZOO_H

#include <lattice/model.h>

#ifdef __cplusplus
extern "C" {
#endif

/// What networks can be told. NULL and zero fields mean the defaults; a network ignores what it does not have.
typedef struct lat_zoo_opts {
  size_t struct_bytes; ///< sizeof(lat_zoo_opts)
  int64_t in_channels; ///< of the voxels or points; 4
  int64_t classes;     ///< 20
  lat_triple grid;     ///< detection: cells of the input along x, y, z; (1408, 1600, 41)
  int32_t last_pad;    ///< detection: padding of the last convolution along z; 0
  double voxel_size;   ///< spvcnn: edge in the points' unit; 0.05
} lat_zoo_opts;

#define LAT_ZOO_OPTS_INIT                                                                                              \
  { sizeof(lat_zoo_opts), 0, 0, {0, 0, 0}, 0, 0.0 }

/// Number of networks, and their names (NULL outside). Static storage.
LAT_API int64_t lat_zoo_count(void);
LAT_API const char *lat_zoo_name(int64_t index);

/// Builds the network of that name. Errors: INVALID_ARGUMENT (NULL; "no network of that name"; an option out of range:
/// the module's own error), OUT_OF_MEMORY.
LAT_API LAT_CHECKED lat_status lat_zoo_build(lat_context *context, const char *name, const lat_zoo_opts *opts,
                                             lat_model **out);

#ifdef __cplusplus
}
#endif
#endif
