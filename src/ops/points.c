// What the operators on points share: checks of points and grid, and lattice cells with the text for a point at fault.

#include <math.h>

#include "backend/backend.h"
#include "core/array_internal.h"
#include "core/compiler.h"
#include "ops/points_internal.h"

static lat_status check_points(const char *op, const lat_array_view *points) {
  char shape[128];
  int64_t count = 0;
  lat_status status = lat__view_check(op, "points", points, &count);
  if (status) return status;
  if (points->rank != 2 || points->shape[1] != 3) {
    return lat_fail(LAT_STATUS_INVALID_SHAPE, "%s: points must have shape (N, 3): got %s, expected (N, 3)", op,
                    lat__shape_text(points, shape, sizeof shape));
  }
  if (points->dtype != LAT_DTYPE_F32 && points->dtype != LAT_DTYPE_F64) {
    return lat_fail(LAT_STATUS_INVALID_DTYPE, "%s: points must be float32 or float64: got %s, expected one of them", op,
                    lat_dtype_name(points->dtype));
  }
  if (points->shape[0] > INT32_MAX) {
    return lat_fail(LAT_STATUS_OVERFLOW, "%s: too many points: got %lld, expected at most %lld", op,
                    (long long)points->shape[0], (long long)INT32_MAX);
  }
  return LAT_STATUS_OK;
}

static lat_status check_batches(const char *op, const lat_array_view *batches, int64_t n_points) {
  char shape[128];
  int64_t count = 0;
  lat_status status = lat__view_check(op, "batch_indices", batches, &count);
  if (status) return status;
  if (batches->rank != 1 || batches->shape[0] != n_points) {
    return lat_fail(LAT_STATUS_INVALID_SHAPE, "%s: batch_indices must have shape (N,): got %s, expected (%lld,)", op,
                    lat__shape_text(batches, shape, sizeof shape), (long long)n_points);
  }
  if (batches->dtype != LAT_DTYPE_I32) {
    return lat_fail(LAT_STATUS_INVALID_DTYPE, "%s: batch_indices must be int32: got %s, expected int32", op,
                    lat_dtype_name(batches->dtype));
  }
  return LAT_STATUS_OK;
}

/// First power of two at which the spacing of float32 is more than a quarter of `size`. With size in [2^k, 2^(k+1)) the
/// spacing 2^(e-23) of [2^e, 2^(e+1)) is too wide from e = k + 22 on. The spacing near zero is 2^-149: smaller voxels
/// than four of them are too small for every point.
static double coarse_limit(float size) {
  int k = ilogbf(size);
  return k < -147 ? 0.0 : ldexp(1.0, k + 22);
}

/// Copies and checks the geometry in the points' precision.
static lat_status take_grid(const char *op, const lat_voxel_grid *grid, lat__points *taken) {
  bool narrow = taken->dtype == LAT_DTYPE_F32;
  const double *size = grid->voxel_size, *origin = grid->origin;
  for (int axis = 0; axis < 3; axis++) {
    taken->voxel_size[axis] = narrow ? (double)(float)size[axis] : size[axis];
    taken->origin[axis] = narrow ? (double)(float)origin[axis] : origin[axis];
    if (!(taken->voxel_size[axis] > 0.0 && isfinite(taken->voxel_size[axis]))) {
      return lat_fail(LAT_STATUS_INVALID_ARGUMENT,
                      "%s: voxel_size must be positive: got (%g, %g, %g), expected values above 0 and finite in %s", op,
                      size[0], size[1], size[2], lat_dtype_name(taken->dtype));
    }
    if (!isfinite(taken->origin[axis])) {
      return lat_fail(LAT_STATUS_INVALID_ARGUMENT,
                      "%s: origin must be finite: got (%g, %g, %g), expected values that %s can hold", op, origin[0],
                      origin[1], origin[2], lat_dtype_name(taken->dtype));
    }
    taken->limit[axis] = narrow ? coarse_limit((float)taken->voxel_size[axis]) : (double)INFINITY;
  }
  return LAT_STATUS_OK;
}

lat_status lat__points_take(const lat_context *context, const char *op, const lat_array_view *points,
                            const lat_voxel_grid *grid, lat__points *taken) {
  *taken = (lat__points){.n = 0};
  if (!context) return lat_fail(LAT_STATUS_INVALID_ARGUMENT, "%s: context: got NULL, expected a context", op);
  lat_status status = check_points(op, points);
  if (status) return status;
  if (!grid) return lat_fail(LAT_STATUS_INVALID_ARGUMENT, "%s: grid: got NULL, expected a voxel grid", op);
  taken->points = *points;
  taken->n = points->shape[0];
  taken->dtype = points->dtype;
  status = take_grid(op, grid, taken);
  if (status || !grid->batch_indices) return status;
  taken->batches = *grid->batch_indices;
  return check_batches(op, grid->batch_indices, taken->n);
}

/// (point - origin) / voxel_size + shift of one axis, as the backends compute it: a float32 operation is the double one
/// rounded, since double has more than twice the digits.
static double position(const lat__points *points, int axis, double point, double shift) {
  if (points->dtype == LAT_DTYPE_F64) return (point - points->origin[axis]) / points->voxel_size[axis] + shift;
  float from_origin = (float)(point - points->origin[axis]);
  float q = (float)((double)from_origin / points->voxel_size[axis]);
  return (double)(float)((double)q + shift);
}

/// Says what is wrong with a point that the backend reported.
static lat_status fail_point(const char *op, const lat__points *points, int64_t index, double shift) {
  double at[3];
  for (int axis = 0; axis < 3; axis++) {
    int64_t element = index * points->points.stride[0] + axis * points->points.stride[1];
    at[axis] = points->dtype == LAT_DTYPE_F32 ? (double)((const float *)points->points.data)[element]
                                              : ((const double *)points->points.data)[element];
  }
  for (int axis = 0; axis < 3; axis++) {
    if (!isfinite(at[axis])) {
      return lat_fail(LAT_STATUS_INVALID_ARGUMENT,
                      "%s: points must be finite: got (%.9g, %.9g, %.9g) at point %lld, expected no NaN or infinity",
                      op, at[0], at[1], at[2], (long long)index);
    }
  }
  for (int axis = 0; axis < 3; axis++) {
    double q = position(points, axis, at[axis], shift);
    if (!(q >= -0x1p31 && q < 0x1p31)) {
      return lat_fail(LAT_STATUS_OVERFLOW,
                      "%s: voxel leaves int32: got %.17g at point %lld (%.9g, %.9g, %.9g), expected %lld to %lld", op,
                      floor(q), (long long)index, at[0], at[1], at[2], (long long)INT32_MIN, (long long)INT32_MAX);
    }
  }
  int axis = 0;
  while (axis < 2 && fabs(at[axis]) < points->limit[axis]) axis++;
  int exponent = at[axis] == 0.0 ? -126 : ilogb(at[axis]);
  double spacing = ldexp(1.0, (exponent < -126 ? -126 : exponent) - 23);
  return lat_fail(
      LAT_STATUS_INVALID_ARGUMENT,
      "%s: float32 points are too coarse for the voxel size: got a spacing of %g at point %lld (%.9g, %.9g, "
      "%.9g), expected at most a quarter of %g: use float64 points, or subtract the origin before the "
      "conversion to float32",
      op, spacing, (long long)index, at[0], at[1], at[2], points->voxel_size[axis]);
}

lat_status lat__points_cells(lat_context *context, const char *op, const lat__points *points, int64_t begin,
                             int64_t count, lat__cell_rule rule, int32_t *rows, float *weights) {
  int64_t fault = -1;
  if (count == 0) return LAT_STATUS_OK;
  const lat_array_view *view = &points->points, *batches = &points->batches;
  const ptrdiff_t element_bytes = (ptrdiff_t)lat_dtype_bytes(points->dtype);
  lat__point_cells_desc desc = {.n_points = count,
                                .dtype = points->dtype,
                                .points = (const char *)view->data + begin * view->stride[0] * element_bytes,
                                .point_stride = view->stride[0],
                                .axis_stride = view->stride[1],
                                .batches =
                                    batches->rank ? (const int32_t *)batches->data + begin * batches->stride[0] : NULL,
                                .batch_stride = batches->rank ? batches->stride[0] : 0,
                                .rule = rule,
                                .rows = rows,
                                .weights = weights,
                                .first_fault = &fault};
  for (int axis = 0; axis < 3; axis++) {
    desc.voxel_size[axis] = points->voxel_size[axis];
    desc.origin[axis] = points->origin[axis];
    desc.limit[axis] = points->limit[axis];
  }
  lat_status status = lat__backend_of(context)->point_cells(context, &desc);
  if (status || fault < 0) return status;
  return fail_point(op, points, begin + fault, rule == LAT__CELL_NEAREST ? 0.5 : 0.0);
}
