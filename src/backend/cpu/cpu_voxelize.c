// Points to lattice cells, and point features to voxel features.

#include <math.h>

#include "backend/cpu/cpu_backend.h"
#include "backend/cpu/cpu_rows.h"
#include "core/alloc.h"
#include "core/checked.h"
#include "core/compiler.h"
#include "core/first_index.h"
#include "core/thread.h"

#define POINT_GRAIN 8192
#define VOXEL_GRAIN 1024

/// Voxels that one kernel call reduces.
#define VOXELS_AT_ONCE 256

/// Where a point lies on one axis: cell + fraction. The fraction holds a float32 value for float32 points.
typedef struct axis_position {
  int32_t cell;
  double fraction;
} axis_position;

/// floor(q + shift) and q - floor(q + shift) in float32; false when the point is at fault (NaN compares false).
static LAT_ALWAYS_INLINE bool locate_f32(float point, float origin, float size, float shift, float limit,
                                         axis_position *at) {
  float q = (point - origin) / size;
  float shifted = q + shift;
  bool fits = shifted >= -0x1p31f && shifted < 0x1p31f && fabsf(point) < limit;
  int32_t cell = (int32_t)(fits ? shifted : 0.0f); // towards zero; exact from 2^24 on
  cell -= (float)cell > (fits ? shifted : 0.0f);
  *at = (axis_position){cell, (double)(q - (float)cell)};
  return fits;
}

/// As locate_f32 in float64.
static LAT_ALWAYS_INLINE bool locate_f64(double point, double origin, double size, double shift, double limit,
                                         axis_position *at) {
  double q = (point - origin) / size;
  double shifted = q + shift;
  bool fits = shifted >= -0x1p31 && shifted < 0x1p31 && fabs(point) < limit;
  int32_t cell = (int32_t)(fits ? shifted : 0.0);
  cell -= (double)cell > (fits ? shifted : 0.0);
  *at = (axis_position){cell, q - (double)cell};
  return fits;
}

typedef struct cells_job {
  const lat__point_cells_desc *desc;
  const lat__cpu_kernels *kernels;
  lat__first_index fault;
} cells_job;

static LAT_ALWAYS_INLINE bool locate_point(const lat__point_cells_desc *desc, lat_dtype dtype, int64_t p,
                                           axis_position at[3]) {
  bool fits = true;
  double shift = desc->rule == LAT__CELL_NEAREST ? 0.5 : 0.0;
  for (int axis = 0; axis < 3; axis++) {
    int64_t element = p * desc->point_stride + axis * desc->axis_stride;
    bool one = dtype == LAT_DTYPE_F32
                   ? locate_f32(((const float *)desc->points)[element], (float)desc->origin[axis],
                                (float)desc->voxel_size[axis], (float)shift, (float)desc->limit[axis], &at[axis])
                   : locate_f64(((const double *)desc->points)[element], desc->origin[axis], desc->voxel_size[axis],
                                shift, desc->limit[axis], &at[axis]);
    fits = fits && one;
  }
  return fits;
}

/// Returns the first point at fault in [begin, end), or `end`. Inlined for each dtype.
static LAT_ALWAYS_INLINE int64_t cells_of(const lat__point_cells_desc *desc, lat_dtype dtype, int64_t begin,
                                          int64_t end) {
  const lat__point_cells_desc local = *desc; // stores to rows cannot change it
  for (int64_t p = begin; p < end; p++) {
    axis_position at[3];
    if (!locate_point(&local, dtype, p, at)) return p;
    int32_t *row = local.rows + 4 * p;
    row[0] = local.batches ? local.batches[p * local.batch_stride] : 0;
    for (int axis = 0; axis < 3; axis++) row[1 + axis] = at[axis].cell;
  }
  return end;
}

/// Whole rows of float32 coordinates, all without fault; false: they have to be looked at one by one.
static bool packed_cells(const cells_job *job, int64_t begin, int64_t end) {
  const lat__point_cells_desc *desc = job->desc;
  lat__point_cells_args args = {.shift = desc->rule == LAT__CELL_NEAREST ? 0.5f : 0.0f};
  if (desc->dtype != LAT_DTYPE_F32 || desc->point_stride != 3 || desc->axis_stride != 1) return false;
  for (int axis = 0; axis < 3; axis++) {
    args.origin[axis] = (float)desc->origin[axis];
    args.size[axis] = (float)desc->voxel_size[axis];
    args.limit[axis] = (float)desc->limit[axis];
  }
  const float *points = (const float *)desc->points + 3 * begin;
  if (!job->kernels->point_cells_f32(&args, points, end - begin, desc->rows + 4 * begin)) return false;
  for (int64_t p = begin; desc->batches && p < end; p++) desc->rows[4 * p] = desc->batches[p * desc->batch_stride];
  return true;
}

static void cells_range(void *arg, int64_t begin, int64_t end, int worker) {
  cells_job *job = arg;
  (void)worker;
  if (packed_cells(job, begin, end)) return;
  int64_t stop = job->desc->dtype == LAT_DTYPE_F32 ? cells_of(job->desc, LAT_DTYPE_F32, begin, end)
                                                   : cells_of(job->desc, LAT_DTYPE_F64, begin, end);
  if (stop < end) lat__first_index_report(&job->fault, stop);
}

/// (wx * wy) * wz in the points' precision, w = fraction or 1 - fraction.
static LAT_ALWAYS_INLINE float corner_weight(lat_dtype dtype, const axis_position at[3], const int step[3]) {
  if (dtype == LAT_DTYPE_F32) {
    float w[3];
    for (int axis = 0; axis < 3; axis++) {
      float fraction = (float)at[axis].fraction;
      w[axis] = step[axis] ? fraction : 1.0f - fraction;
    }
    return (w[0] * w[1]) * w[2];
  }
  double w[3];
  for (int axis = 0; axis < 3; axis++) w[axis] = step[axis] ? at[axis].fraction : 1.0 - at[axis].fraction;
  return (float)((w[0] * w[1]) * w[2]);
}

/// As cells_of for the eight corners of each point.
static LAT_ALWAYS_INLINE int64_t corners_of(const lat__point_cells_desc *desc, lat_dtype dtype, int64_t begin,
                                            int64_t end) {
  const lat__point_cells_desc local = *desc;
  for (int64_t p = begin; p < end; p++) {
    axis_position at[3];
    if (!locate_point(&local, dtype, p, at)) return p;
    int32_t batch = local.batches ? local.batches[p * local.batch_stride] : 0;
    for (int corner = 0; corner < 8; corner++) {
      const int step[3] = {corner & 1, corner >> 1 & 1, corner >> 2 & 1};
      int32_t *row = local.rows + 4 * (8 * p + corner);
      bool inside = true;
      row[0] = batch;
      for (int axis = 0; axis < 3; axis++) {
        bool last = at[axis].cell == INT32_MAX && step[axis];
        inside = inside && !last;
        row[1 + axis] = at[axis].cell + (last ? 0 : step[axis]);
      }
      local.weights[8 * p + corner] = inside ? corner_weight(dtype, at, step) : LAT__CELL_OUTSIDE;
    }
  }
  return end;
}

static void corners_range(void *arg, int64_t begin, int64_t end, int worker) {
  cells_job *job = arg;
  (void)worker;
  int64_t stop = job->desc->dtype == LAT_DTYPE_F32 ? corners_of(job->desc, LAT_DTYPE_F32, begin, end)
                                                   : corners_of(job->desc, LAT_DTYPE_F64, begin, end);
  if (stop < end) lat__first_index_report(&job->fault, stop);
}

lat_status lat__cpu_point_cells(lat_context *context, const lat__point_cells_desc *desc) {
  cells_job job = {.desc = desc, .kernels = lat__cpu_kernels_for(context)};
  bool corners = desc->rule == LAT__CELL_CORNERS;
  lat__first_index_init(&job.fault);
  lat__parallel_for(context, desc->n_points, corners ? POINT_GRAIN / 8 : POINT_GRAIN,
                    corners ? corners_range : cells_range, &job);
  int64_t fault = lat__first_index_get(&job.fault);
  *desc->first_fault = fault == LAT__NO_INDEX ? -1 : fault;
  return LAT_STATUS_OK;
}

typedef struct reduce_job {
  const lat__voxel_reduce_desc *desc;
  const int32_t *begins; ///< n_voxels + 1: the voxel's entries of `points`
  const int32_t *points; ///< (n_points,): points by voxel, ascending within one; NULL: as they come
  const lat__cpu_kernels *kernels;
} reduce_job;

static void reduce_voxels(const reduce_job *job, int64_t begin, int64_t n_voxels) {
  const lat__voxel_reduce_desc *desc = job->desc;
  const size_t row_bytes = (size_t)desc->channels * lat_dtype_bytes(desc->dtype);
  float numbers[VOXELS_AT_ONCE];
  lat__row_lists_args args = {.dtype = desc->dtype,
                              .dtype_out = desc->dtype,
                              .x = desc->x,
                              .x_stride = desc->x_stride,
                              .rows = job->points,
                              .n_entries = job->begins[desc->n_voxels],
                              .begins = job->begins + begin,
                              .n_rows = n_voxels,
                              .channels = desc->channels,
                              .y = (char *)desc->y + (size_t)begin * row_bytes};
  for (int64_t v = 0; v < n_voxels; v++) {
    float count = (float)desc->counts[begin + v];
    numbers[v] = desc->reduction == LAT__REDUCE_MEAN ? 1.0f / count : count;
  }
  if (desc->reduction == LAT__REDUCE_MEAN) args.row_weights = numbers;
  if (desc->reduction == LAT__REDUCE_QUOTIENT) args.divisors = numbers;
  (desc->reduction == LAT__REDUCE_MAX ? job->kernels->max_lists : job->kernels->sum_lists)(&args);
}

static void reduce_range(void *arg, int64_t begin, int64_t end, int worker) {
  (void)worker;
  for (int64_t v = begin; v < end; v += VOXELS_AT_ONCE) reduce_voxels(arg, v, lat__min_i64(VOXELS_AT_ONCE, end - v));
}

void lat__cpu_points_by_voxel(int64_t n_points, const int32_t *inverse_rows, int64_t n_voxels, const int32_t *counts,
                              int32_t *ends, int32_t *points) {
  int32_t total = 0;
  for (int64_t v = 0; v < n_voxels; v++) {
    ends[v] = total;
    total += counts[v];
  }
  for (int64_t p = 0; p < n_points; p++) {
    if (inverse_rows[p] >= 0) points[ends[inverse_rows[p]]++] = (int32_t)p;
  }
}

/// Whether the points stand by voxel already, as those of a scan that was voxelized before do.
static bool stand_by_voxel(const lat__voxel_reduce_desc *desc) {
  int32_t last = 0;
  for (int64_t p = 0; p < desc->n_points; p++) {
    if (desc->inverse_rows[p] < last) return false;
    last = desc->inverse_rows[p];
  }
  return true;
}

lat_status lat__cpu_voxel_reduce(lat_context *context, const lat__voxel_reduce_desc *desc) {
  static const char op[] = "voxelize";
  lat_status status = LAT_STATUS_OK;
  void *memory = NULL, *points = NULL;
  if (desc->n_voxels == 0) return LAT_STATUS_OK;
  LAT_TRY(lat__alloc_items(context, op, desc->n_voxels + 1, sizeof(int32_t), &memory), done);
  int32_t *begins = memory;
  begins[0] = 0; // where a voxel ends the next one begins
  if (stand_by_voxel(desc)) {
    for (int64_t v = 0; v < desc->n_voxels; v++) begins[v + 1] = begins[v] + desc->counts[v];
  } else {
    LAT_TRY(lat__alloc_items(context, op, desc->n_points, sizeof(int32_t), &points), done);
    lat__cpu_points_by_voxel(desc->n_points, desc->inverse_rows, desc->n_voxels, desc->counts, begins + 1, points);
  }
  reduce_job job = {desc, begins, points, lat__cpu_kernels_for(context)};
  lat__parallel_for(context, desc->n_voxels, VOXEL_GRAIN, reduce_range, &job);
done:
  lat__free(context, memory);
  lat__free(context, points);
  return status;
}
