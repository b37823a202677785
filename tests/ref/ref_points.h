/// Naive points and voxels: every operation of a cell is written out in the points' precision; features in double.
#ifndef LAT_REF_POINTS_H
#define LAT_REF_POINTS_H

#include <stdint.h>

/// Points with the geometry of a call. Exactly one of `narrow` (float32) and `wide` (float64) is given.
typedef struct ref_cloud {
  const float *narrow;
  const double *wide;
  int64_t n;
  const int32_t *batches; ///< or NULL: all 0
  double size[3], origin[3];
} ref_cloud;

/// rows (n, 4) = (batch, floor((p - origin) / size)).
void ref_point_cells(const ref_cloud *cloud, int32_t *rows);

/// y[v] = sum (or mean) of the feature rows of the points whose inverse is v.
void ref_voxel_reduce(const int32_t *inverse, int64_t n, int64_t n_voxels, const double *x, int64_t channels, int mean,
                      double *y);

/// The same as float32 sums, one addition after the other in point order; the mean adds x * (1 / count).
void ref_voxel_reduce_f32(const int32_t *inverse, int64_t n, int64_t n_voxels, const float *x, int64_t channels,
                          int mean, float *y);

/// y (n, channels) = voxel features read at the points; voxel rows (n_voxels, 4), first occurrence.
void ref_devoxelize(const ref_cloud *cloud, const int32_t *rows, int64_t n_voxels, const double *x, int64_t channels,
                    int nearest, double *y);

/// map_rows and map_weights (n, 8): slot c is the corner whose bit a says "up" on axis a; nearest: slot 0. No voxel: -1, 0.
void ref_point_map(const ref_cloud *cloud, const int32_t *rows, int64_t n_voxels, int nearest, int32_t *map_rows,
                   double *map_weights);

/// y[v] = largest feature of the points whose inverse is v, by channel.
void ref_voxel_max(const int32_t *inverse, int64_t n, int64_t n_voxels, const double *x, int64_t channels, double *y);

/// Gradient of the reduction (mode 0 mean, 1 sum, 2 max: shared by the tied) with respect to x, (n, channels).
void ref_voxel_grad(const int32_t *inverse, int64_t n, const double *x, const double *grad, int64_t channels, int mode,
                    double *y);

/// Gradient of reading through a map with respect to the voxel features, (n_voxels, channels).
void ref_interpolate_grad(const int32_t *map_rows, const double *map_weights, int64_t n, const double *grad,
                          int64_t channels, int64_t n_voxels, double *y);

/// First come, first kept over point cells (n, 4): rows of the kept voxels (room for n), their number, inverse (n; -1:
/// dropped). dropped = points over max_points, points outside kept voxels, distinct voxels not kept. A limit of 0: none.
int64_t ref_cap(const int32_t *cells, int64_t n, int64_t max_points, int64_t max_voxels, int32_t *rows,
                int32_t *inverse, int64_t dropped[3]);

#endif
