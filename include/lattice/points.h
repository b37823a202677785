/// \file points.h
/// Points and voxels: quantize, voxelize, devoxelize.
///
/// `voxel = floor((p - origin) / voxel_size)` per axis, computed in the points' precision (voxel_size and origin are
/// rounded to float32 for float32 points). A voxel's features sit at the lattice point, not the cell centre: voxelize
/// takes the floor, nearest devoxelize rounds.
#ifndef LATTICE_POINTS_H
#define LATTICE_POINTS_H

#include <lattice/tensor.h>

#ifdef __cplusplus
extern "C" {
#endif

/// Geometry shared by the calls of this header. `voxel_size` must be given: there is no default.
typedef struct lat_voxel_grid {
  double voxel_size[3];                ///< edge lengths, > 0 and finite, in the points' unit
  double origin[3];                    ///< lower corner of voxel (0, 0, 0), finite
  const lat_array_view *batch_indices; ///< `(N,)` int32 batch of each point, or NULL: all 0. Borrows until return
} lat_voxel_grid;

/// A cubic grid with origin 0 and one batch item.
static inline lat_voxel_grid lat_voxel_grid_cube(double voxel_size) {
  lat_voxel_grid grid = {{voxel_size, voxel_size, voxel_size}, {0.0, 0.0, 0.0}, NULL};
  return grid;
}

/// Opaque, reference-counted, immutable result of quantizing points.
typedef struct lat_quantization lat_quantization;

/// Assigns points (`(N, 3)` float32 or float64) to voxels. Voxels are distinct and in the order of their first point.
/// Errors: INVALID_ARGUMENT (NULL; "voxel_size must be positive"; a non-finite origin; a NaN or infinite point: names
/// the first; a float32 point whose spacing is more than a quarter of the voxel size: suggests float64 points or
/// subtracting the origin first), INVALID_SHAPE ("points must have shape (N, 3)"; "batch_indices must have shape (N,)"),
/// INVALID_DTYPE ("points must be float32 or float64"; "batch_indices must be int32"), OVERFLOW (a voxel outside int32:
/// names the first such point), OUT_OF_MEMORY.
LAT_API LAT_CHECKED lat_status lat_sparse_quantize(lat_context *context, const lat_array_view *points,
                                                   const lat_voxel_grid *grid, lat_quantization **out);

/// The voxels. Borrowed: valid while a reference to `quantization` is held.
LAT_API const lat_coords *lat_quantization_coords(const lat_quantization *quantization);

/// `(N,)` int32: the voxel row of each point. Borrowed likewise.
LAT_API lat_array_view lat_quantization_inverse_rows(const lat_quantization *quantization);

/// `(V,)` int32: the number of points in each voxel. Borrowed likewise.
LAT_API lat_array_view lat_quantization_counts(const lat_quantization *quantization);

/// Adds a reference and returns `quantization` (NULL is passed through).
LAT_API lat_quantization *lat_quantization_retain(const lat_quantization *quantization);

/// Drops a reference; NULL is accepted.
LAT_API void lat_quantization_release(lat_quantization *quantization);

/// How the points of a voxel are reduced.
typedef enum lat_voxel_reduction {
  LAT_VOXEL_MEAN = 0, ///< sum over points, in point order, of f * (1 / count)
  LAT_VOXEL_SUM = 1   ///< sum in point order
} lat_voxel_reduction;

/// Quantizes and reduces point features (`(N, C)` float32, float16 or bfloat16) into a tensor of stride 1. Accumulates in float32.
/// Errors: as lat_sparse_quantize; INVALID_SHAPE ("points and features must have matching rows"), INVALID_DTYPE,
/// INVALID_ARGUMENT ("reduction").
LAT_API LAT_CHECKED lat_status lat_voxelize(lat_context *context, const lat_array_view *points,
                                            const lat_array_view *features, const lat_voxel_grid *grid,
                                            lat_voxel_reduction reduction, lat_tensor **out);

/// How voxel features are read at a point.
typedef enum lat_interpolation {
  LAT_INTERPOLATION_LINEAR = 0, ///< trilinear over the eight lattice points around; missing ones count as zero
  LAT_INTERPOLATION_NEAREST = 1 ///< the lattice point floor(q + 0.5), zero where it is missing
} lat_interpolation;

/// Reads voxel features at points: `(N, C)` in the features' dtype. `q = (p - origin) / voxel_size`; the voxels' stride
/// is ignored. Interpolation weights are computed in the points' precision and stored float32; missing voxels are
/// dropped, not renormalised.
/// Errors: as lat_sparse_quantize; INVALID_ARGUMENT ("interpolation").
LAT_API LAT_CHECKED lat_status lat_devoxelize(lat_context *context, const lat_array_view *points,
                                              const lat_tensor *voxels, const lat_voxel_grid *grid,
                                              lat_interpolation interpolation, lat_array **out);

#ifdef __cplusplus
}
#endif
#endif
