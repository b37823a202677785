/// Scenes: the voxel rows and the points that a problem string names.
///
/// `random` is `n` distinct voxels of a box around the origin (so coordinates are negative, too), in random order;
/// `street` a simulated lidar sweep; `cpu_lidar` and `cpu_indoor` the voxel lists of the shared data, found through the
/// environment variable LATTICE_SHARED, else in ../shared; `scan=FILE` any point file the library reads.
#ifndef LATTICE_SCENE_H
#define LATTICE_SCENE_H

#include "problem.h"

/// The voxel rows of the problem's scene, `(N, 4)` int32, distinct. Scenes of points are quantized by `voxel`.
/// With `batch` B a random scene deals its rows out to B items; any other is repeated B times.
/// Errors: IO_ERROR (a file is missing: says where it is looked for), BAD_DATA, OVERFLOW, OUT_OF_MEMORY, as
/// lat_cloud_read and lat_sparse_quantize.
LAT_CHECKED lat_status scene_rows(lat_context *context, const problem *item, lat_array **out);

/// The points of the scene, `(N, 3)` float32 or float64, and the `(N,)` int32 batch item of each. Scenes that are lists
/// of voxels give their voxels' centres; random gives about two points a voxel. Errors: as scene_rows.
LAT_CHECKED lat_status scene_points(lat_context *context, const problem *item, lat_array **points, lat_array **batches);

#endif
