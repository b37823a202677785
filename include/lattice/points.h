/// \file points.h
/// Points and voxels: quantize, voxelize, devoxelize; point-voxel maps that are built once and read often.
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

/// `(N,)` int32: the voxel row of each point, -1 for a point that lat_voxelize_capped dropped. Borrowed likewise.
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
  LAT_VOXEL_SUM = 1,  ///< sum in point order
  LAT_VOXEL_MAX = 2   ///< largest; NaN wins
} lat_voxel_reduction;

/// Quantizes and reduces point features (`(N, C)` float32, float16 or bfloat16) into a tensor of stride 1. Accumulates
/// in float32.
/// Errors: as lat_sparse_quantize; INVALID_SHAPE ("points and features must have matching rows"), INVALID_DTYPE,
/// INVALID_ARGUMENT ("reduction").
LAT_API LAT_CHECKED lat_status lat_voxelize(lat_context *context, const lat_array_view *points,
                                            const lat_array_view *features, const lat_voxel_grid *grid,
                                            lat_voxel_reduction reduction, lat_tensor **out);

/// Options of lat_voxelize_quantized.
typedef struct lat_voxelize_opts {
  size_t struct_bytes;           ///< sizeof(lat_voxelize_opts)
  lat_voxel_reduction reduction; ///< default mean
  lat_triple stride;             ///< stride that the result's set carries, positive; (0, 0, 0): 1. Metadata alone
  const lat_tensor *like;        ///< NULL, or a tensor on the set that an earlier call with the same quantization gave:
                                 ///< the result takes its set (so its stride, not `stride`) and batch metadata
} lat_voxelize_opts;

#define LAT_VOXELIZE_OPTS_INIT                                                                                         \
  { sizeof(lat_voxelize_opts), LAT_VOXEL_MEAN, {0, 0, 0}, NULL }

/// As lat_voxelize for points that were quantized before: `features` is `(N, C)` for the N quantized points. Results of
/// one quantization with one stride share their coordinate set. `opts` NULL: defaults.
/// Errors: INVALID_ARGUMENT (NULL; "reduction"; "stride must be positive"; "like must be built on the coordinates of the
/// quantization"), INVALID_SHAPE ("points and features must have matching rows"), INVALID_DTYPE, OUT_OF_MEMORY.
LAT_API LAT_CHECKED lat_status lat_voxelize_quantized(lat_context *context, const lat_quantization *quantization,
                                                      const lat_array_view *features, const lat_voxelize_opts *opts,
                                                      lat_tensor **out);

/// Gradient of lat_voxelize and lat_voxelize_quantized with respect to the point features: `(N, C)`. `grad_out` is `(V, C)`.
/// Mean: `grad_out[v] * (1 / count)` for every point of voxel v; sum: `grad_out[v]`; max: `grad_out[v]` shared equally by
/// the points that hold the largest value of their voxel and channel. A point without a voxel gets zero. Of `opts`
/// the reduction alone counts. `features` are those of the forward call; they may be NULL for mean and sum. Computes in
/// float32, rounds once to the dtype of `grad_out`. Mean and sum are linear: their forward-mode product is the
/// forward call on the tangent.
/// Errors: INVALID_ARGUMENT (NULL; "reduction"; "features: … expected those of the forward call" for max),
/// INVALID_SHAPE ("grad_out must have shape (V, C)"; "points and features must have matching rows"; "features and
/// grad_out must have the same channels"), INVALID_DTYPE (also: "features and grad_out must have the same dtype"),
/// OUT_OF_MEMORY.
LAT_API LAT_CHECKED lat_status lat_voxelize_backward(lat_context *context, const lat_quantization *quantization,
                                                     const lat_array_view *features, const lat_array_view *grad_out,
                                                     const lat_voxelize_opts *opts, lat_array **out);

/// Limits of lat_voxelize_capped; 0: none.
typedef struct lat_capped_opts {
  size_t struct_bytes; ///< sizeof(lat_capped_opts)
  int64_t max_points;  ///< points that a voxel keeps
  int64_t max_voxels;  ///< voxels that each batch item keeps
} lat_capped_opts;

#define LAT_CAPPED_OPTS_INIT                                                                                           \
  { sizeof(lat_capped_opts), 0, 0 }

/// What lat_voxelize_capped gives. The two handles are the caller's: release both.
typedef struct lat_capped_voxels {
  lat_tensor *voxels;             ///< kept voxels, the mean of their kept points
  lat_quantization *quantization; ///< the kept voxels; a dropped point has the inverse row -1, counts are of kept
                                  ///< points. Other features and gradients go through it as through any other
  int64_t n_points_over;          ///< points dropped because their voxel had max_points already
  int64_t n_points_outside;       ///< points dropped because their voxel was not kept
  int64_t n_voxels_dropped;       ///< distinct voxels not kept
} lat_capped_voxels;

/// Voxelizes as detection networks do: first come, first kept, in the order of the points. A batch item keeps the voxels
/// of its first `max_voxels` distinct cells, a voxel the first `max_points` points; points of kept voxels count also
/// after the item is full. Nothing else is lost, and what is dropped is counted. `opts` NULL: no limits.
/// On failure `*out` is all zero. Errors: as lat_voxelize; INVALID_ARGUMENT ("max_points must be non-negative", "max_voxels
/// must be non-negative").
LAT_API LAT_CHECKED lat_status lat_voxelize_capped(lat_context *context, const lat_array_view *points,
                                                   const lat_array_view *features, const lat_voxel_grid *grid,
                                                   const lat_capped_opts *opts, lat_capped_voxels *out);

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

/// Opaque, reference-counted, immutable: which voxel rows N points read, and with what weights.
typedef struct lat_point_map lat_point_map;

/// Finds the voxels of `coords` (of their first occurrence; the stride is ignored) around each point, as lat_devoxelize
/// does. The map keeps nothing of `coords` but the number of its rows.
/// Errors: as lat_sparse_quantize; INVALID_ARGUMENT ("interpolation").
LAT_API LAT_CHECKED lat_status lat_point_map_create(lat_context *context, const lat_array_view *points,
                                                    const lat_coords *coords, const lat_voxel_grid *grid,
                                                    lat_interpolation interpolation, lat_point_map **out);

/// `(N, 8)` int32 voxel rows, -1 for none. Linear: slot c is the corner floor(q) + (c & 1, c >> 1 & 1, c >> 2 & 1).
/// Nearest: slot 0. Borrowed: valid while a reference to `map` is held.
LAT_API lat_array_view lat_point_map_rows(const lat_point_map *map);

/// `(N, 8)` float32 weights, 0 where the row is -1: `(wx * wy) * wz` with `w` = q - floor(q) on the upper side of an axis
/// and one minus that on the lower; nearest: 1. Borrowed likewise.
LAT_API lat_array_view lat_point_map_weights(const lat_point_map *map);

/// Number of voxels that the map reads from.
LAT_API int64_t lat_point_map_voxel_count(const lat_point_map *map);

/// Adds a reference and returns `map` (NULL is passed through).
LAT_API lat_point_map *lat_point_map_retain(const lat_point_map *map);

/// Drops a reference; NULL is accepted.
LAT_API void lat_point_map_release(lat_point_map *map);

/// Reads `(V, C)` float32, float16 or bfloat16 voxel features through a map: `(N, C)` of the same dtype,
/// `y[p] = sum over slots, ascending, of weight * x[row]` in float32, rounded once. Gives the bits of lat_devoxelize.
/// Errors: INVALID_ARGUMENT (NULL), INVALID_SHAPE ("features must have one row for each voxel of the map"),
/// INVALID_DTYPE, OUT_OF_MEMORY.
LAT_API LAT_CHECKED lat_status lat_interpolate(lat_context *context, const lat_array_view *features,
                                               const lat_point_map *map, lat_array **out);

/// Gradient of lat_interpolate (and, with the map of the same points, of lat_devoxelize) with respect to the voxel
/// features: `(V, C)` of the dtype of `grad_out`, which is `(N, C)`. `grad[v] = sum of weight * grad_out[p]` over the
/// slots (p, slot) that read v, ascending, in float32, rounded once. Reading is linear: its forward-mode product is
/// lat_interpolate of the tangent.
/// Errors: INVALID_ARGUMENT (NULL), INVALID_SHAPE ("grad_out must have one row for each point of the map"),
/// INVALID_DTYPE, OUT_OF_MEMORY.
LAT_API LAT_CHECKED lat_status lat_interpolate_backward(lat_context *context, const lat_point_map *map,
                                                        const lat_array_view *grad_out, lat_array **out);

#ifdef __cplusplus
}
#endif
#endif
