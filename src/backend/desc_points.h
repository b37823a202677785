/// What operators on points and on dense arrays ask of a device; a part of desc.h, which includes it.
#ifndef LATTICE_BACKEND_DESC_POINTS_H
#define LATTICE_BACKEND_DESC_POINTS_H

#include <lattice/array.h>

/// Which lattice cells a point asks for; q = (point - origin) / voxel_size in the points' precision.
typedef enum lat__cell_rule {
  LAT__CELL_FLOOR = 0,   ///< floor(q)
  LAT__CELL_NEAREST = 1, ///< floor(q + 0.5)
  LAT__CELL_CORNERS = 2  ///< floor(q) + (c & 1, c >> 1 & 1, c >> 2 & 1) for c = 0 .. 7, with trilinear weights
} lat__cell_rule;

/// Points to rows `(batch, x, y, z)`.
typedef struct lat__point_cells_desc {
  int64_t n_points;
  lat_dtype dtype;    ///< float32 or float64
  const void *points; ///< (n_points, 3), `point_stride` and `axis_stride` elements apart
  int64_t point_stride, axis_stride;
  const int32_t *batches; ///< (n_points,), `batch_stride` elements apart, or NULL: all 0
  int64_t batch_stride;
  double voxel_size[3]; ///< values of the points' dtype, > 0 and finite
  double origin[3];     ///< likewise, finite
  double limit[3];      ///< points of this magnitude and above are at fault
  lat__cell_rule rule;
  int32_t *rows;        ///< (n_points, 4); corners: (n_points, 8, 4)
  float *weights;       ///< corners only: (n_points, 8); LAT__CELL_OUTSIDE marks a corner beyond int32
  int64_t *first_fault; ///< lowest point that is not finite, not below the limit or whose cell leaves int32, else -1
} lat__point_cells_desc;

/// Weight of a corner that no voxel can have.
#define LAT__CELL_OUTSIDE (-1.0f)

/// How rows are reduced; the first three are numbered as lat_voxel_reduction.
typedef enum lat__reduce {
  LAT__REDUCE_MEAN = 0, ///< sum of x * (1 / count)
  LAT__REDUCE_SUM = 1,
  LAT__REDUCE_MAX = 2,
  LAT__REDUCE_QUOTIENT = 3 ///< (sum of x) / count
} lat__reduce;

/// Reduction of point rows into voxels, in point order: y[v] = sum of x[p] * scale in float32 (product rounded, then
/// sum), rounded once; scale = 1 / count for the mean. Max: the largest, NaN above all.
typedef struct lat__voxel_reduce_desc {
  int64_t n_points, n_voxels, channels;
  lat_dtype dtype;
  int reduction;               ///< lat__reduce
  const int32_t *inverse_rows; ///< (n_points,); -1: the point takes no part
  const int32_t *counts;       ///< (n_voxels,)
  const void *x;               ///< (n_points, channels), rows `x_stride` elements apart: `channels` for 16-bit dtypes
  int64_t x_stride;
  void *y; ///< (n_voxels, channels)
} lat__voxel_reduce_desc;

/// Its gradient: y[p] = grad[v] * scale (quotient: / count) in float32, rounded once; max: grad[v] / (number of points that hold the largest
/// value) for those points. Zero where the point takes no part.
typedef struct lat__voxel_reduce_grad_desc {
  int64_t n_points, n_voxels, channels;
  lat_dtype dtype;
  int reduction;               ///< lat__reduce
  const int32_t *inverse_rows; ///< (n_points,)
  const int32_t *counts;       ///< (n_voxels,)
  const void *x;               ///< max: (n_points, channels)
  const void *grad;            ///< (n_voxels, channels)
  void *y;                     ///< (n_points, channels)
} lat__voxel_reduce_grad_desc;

/// y[p] = sum over slots, ascending, of weight * x[row] in float32 (product rounded, then sum), rounded once; rows of -1
/// are skipped.
typedef struct lat__interpolate_desc {
  int64_t n_points, channels;
  int32_t n_slots;
  lat_dtype dtype;
  const int32_t *rows;  ///< (n_points, n_slots)
  const float *weights; ///< (n_points, n_slots); NULL: all 1
  const void *x;        ///< (n_voxels, channels)
  void *y;              ///< (n_points, channels)
} lat__interpolate_desc;

/// Its gradient: y[v] = sum of weight * grad[p] over the slots that read v, ascending, in float32 (product rounded, then
/// sum), rounded once.
typedef struct lat__interpolate_grad_desc {
  int64_t n_points, n_voxels, channels;
  int32_t n_slots;
  lat_dtype dtype;
  const int32_t *rows;  ///< (n_points, n_slots): below n_voxels; -1: none
  const float *weights; ///< (n_points, n_slots)
  const void *grad;     ///< (n_points, channels)
  void *y;              ///< (n_voxels, channels)
} lat__interpolate_grad_desc;

/// Rows to cells of a dense array (x: (n_rows, channels), y: dense) or back (x: dense, y: rows). Channel c of row r lies at
/// element offsets[r] + c * channel_step of the dense array; offset -1: no cell, and a zero row on the way back.
typedef struct lat__dense_desc {
  int64_t n_rows, channels;
  int64_t n_elements; ///< of the dense array; scatter alone
  int64_t channel_step;
  int64_t element_bytes;  ///< 2 or 4
  const int64_t *offsets; ///< (n_rows,): distinct
  const void *x;
  void *y;
} lat__dense_desc;

/// Cells of a dense array that are chosen: by `mask`, else those with a channel that is not zero.
typedef struct lat__dense_cells_desc {
  int64_t n_items, extent[3]; ///< cells (b, i, j, k)
  int64_t first[3];           ///< coordinate of cell (0, 0, 0)
  int64_t batch_step, axis_step[3], channels, channel_step;
  lat_dtype dtype;
  const uint8_t *mask; ///< (n_items, extent), or NULL
  const void *x;
} lat__dense_cells_desc;

#endif
