/// Points as the operators of points.h share them: checked, with their geometry.
#ifndef LATTICE_OPS_POINTS_INTERNAL_H
#define LATTICE_OPS_POINTS_INTERNAL_H

#include <stdatomic.h>

#include <lattice/points.h>

#include "backend/desc.h"

struct lat_quantization {
  atomic_int refcount;
  lat_context *context;    ///< retained
  lat_coords *coords;      ///< retained
  lat_array *inverse_rows; ///< retained, int32 (N,)
  lat_array *counts;       ///< retained, int32 (V,)
};

struct lat_point_map {
  atomic_int refcount;
  lat_context *context; ///< retained
  int64_t n_voxels;
  lat_array *rows;    ///< retained, int32 (N, LAT__MAP_SLOTS)
  lat_array *weights; ///< retained, float32 (N, LAT__MAP_SLOTS)
};

/// Slots of a point in a point-voxel map: the corners of a cell.
#define LAT__MAP_SLOTS 8

/// Points of a block for each thread where voxels around points are looked up.
#define LAT__MAP_BLOCK_POINTS 2048

/// Checked points and grid of one call. Borrows the caller's memory.
typedef struct lat__points {
  lat_array_view points;  ///< (n, 3) float32 or float64, any strides
  lat_array_view batches; ///< (n,) int32, any stride; rank 0: all 0
  int64_t n;
  lat_dtype dtype;
  double voxel_size[3]; ///< rounded to the points' dtype
  double origin[3];     ///< likewise
  double limit[3];      ///< first magnitude at which float32 is too coarse for the voxel; infinity for float64
} lat__points;

/// Checks what the caller handed in.
LAT_CHECKED lat_status lat__points_take(const lat_context *context, const char *op, const lat_array_view *points,
                                        const lat_voxel_grid *grid, lat__points *taken);

/// Rows (and weights, for corners) of the points [begin, begin + count). Fails naming the first point at fault.
LAT_CHECKED lat_status lat__points_cells(lat_context *context, const char *op, const lat__points *points, int64_t begin,
                                         int64_t count, lat__cell_rule rule, int32_t *rows, float *weights);

/// Assigns the points to voxels, first-seen.
LAT_CHECKED lat_status lat__points_quantize(lat_context *context, const char *op, const lat__points *points,
                                            lat_quantization **out);

/// Voxels that some points read. `cells` is workspace.
typedef struct lat__point_voxels {
  int32_t n_slots; ///< LAT__MAP_SLOTS for linear, 1 for nearest
  int32_t *cells;  ///< (count, n_slots, 4)
  int32_t *rows;   ///< (count, n_slots): row of the set, -1 for none
  float *weights;  ///< (count, n_slots): linear alone; may be negative where the row is -1
} lat__point_voxels;

/// Checks an interpolation.
LAT_CHECKED lat_status lat__interpolation_check(const char *op, lat_interpolation interpolation);

/// Finds what the points [begin, begin + count) read from `coords`. Fails naming the first point at fault.
LAT_CHECKED lat_status lat__points_find(lat_context *context, const char *op, const lat__points *points,
                                        const lat_coords *coords, int64_t begin, int64_t count,
                                        const lat__point_voxels *found);

/// New object around the three parts, each retained.
LAT_CHECKED lat_status lat__quantization_new(lat_context *context, const char *op, const lat_coords *coords,
                                             const lat_array *inverse, const lat_array *counts, lat_quantization **out);

/// Reduces checked features of quantized points into a tensor, as `opts` say.
LAT_CHECKED lat_status lat__voxelize_run(lat_context *context, const char *op, const lat_quantization *quantization,
                                         const lat_array_view *features, const lat_voxelize_opts *opts,
                                         lat_tensor **out);

/// Checks a reduction.
LAT_CHECKED lat_status lat__reduction_check(const char *op, lat_voxel_reduction reduction);

/// Checks point features: `(n_points, any C)` of a feature dtype.
LAT_CHECKED lat_status lat__point_features_check(const char *op, const lat_array_view *features, int64_t n_points);

#endif
