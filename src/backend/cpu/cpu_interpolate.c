// Voxel features read at points: a short weighted sum of feature rows for each point.

#include <assert.h>

#include "backend/cpu/cpu_backend.h"
#include "backend/cpu/cpu_rows.h"
#include "core/checked.h"
#include "core/thread.h"

#define POINT_GRAIN 1024

/// Points that one kernel call sums.
#define POINTS_AT_ONCE 256

/// Most slots of a point.
#define MAX_SLOTS 8

typedef struct interpolate_job {
  const lat__interpolate_desc *desc;
  const lat__cpu_kernels *kernels;
} interpolate_job;

/// The slots that name a row, point after point.
typedef struct slot_lists {
  int32_t begins[POINTS_AT_ONCE + 1];
  int32_t rows[POINTS_AT_ONCE * MAX_SLOTS];
  float weights[POINTS_AT_ONCE * MAX_SLOTS];
} slot_lists;

static void make_lists(const lat__interpolate_desc *desc, int64_t first, int64_t n_points, slot_lists *lists) {
  int32_t n = 0;
  lists->begins[0] = 0;
  for (int64_t p = 0; p < n_points; p++) {
    for (int64_t slot = (first + p) * desc->n_slots; slot < (first + p + 1) * desc->n_slots; slot++) {
      lists->rows[n] = desc->rows[slot]; // a missing row is written over by the next one
      if (desc->weights) lists->weights[n] = desc->weights[slot];
      n += desc->rows[slot] >= 0;
    }
    lists->begins[p + 1] = n;
  }
}

static void interpolate_range(void *arg, int64_t begin, int64_t end, int worker) {
  const interpolate_job *job = arg;
  const lat__interpolate_desc *desc = job->desc;
  const size_t row_bytes = (size_t)desc->channels * lat_dtype_bytes(desc->dtype);
  slot_lists lists;
  (void)worker;
  for (int64_t first = begin; first < end; first += POINTS_AT_ONCE) {
    int64_t n_points = lat__min_i64(POINTS_AT_ONCE, end - first);
    make_lists(desc, first, n_points, &lists);
    job->kernels->sum_lists(&(lat__row_lists_args){.dtype = desc->dtype,
                                                   .dtype_out = desc->dtype,
                                                   .x = desc->x,
                                                   .x_stride = desc->channels,
                                                   .rows = lists.rows,
                                                   .n_entries = lists.begins[n_points],
                                                   .begins = lists.begins,
                                                   .n_rows = n_points,
                                                   .channels = desc->channels,
                                                   .weights = desc->weights ? lists.weights : NULL,
                                                   .y = (char *)desc->y + (size_t)first * row_bytes});
  }
}

lat_status lat__cpu_interpolate(lat_context *context, const lat__interpolate_desc *desc) {
  assert(desc->n_slots <= MAX_SLOTS);
  interpolate_job job = {desc, lat__cpu_kernels_for(context)};
  lat__parallel_for(context, desc->n_points, POINT_GRAIN, interpolate_range, &job);
  return LAT_STATUS_OK;
}
