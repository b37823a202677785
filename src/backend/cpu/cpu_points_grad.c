// Gradients of voxel reduction and of reading voxels at points. Owner computes: a point's row is written by the point (for
// max by its voxel), a voxel's row by the voxel, over points in ascending order.

#include <math.h>

#include "backend/cpu/cpu_backend.h"
#include "backend/cpu/cpu_rows.h"
#include "core/alloc.h"
#include "core/array_internal.h"
#include "core/compiler.h"
#include "core/thread.h"

#define POINT_GRAIN 1024
#define VOXEL_GRAIN 512

/// Rows of float32 workspace that each worker has.
#define SCRATCH_ROWS 4

typedef struct reduce_grad_job {
  const lat__voxel_reduce_grad_desc *desc;
  const int32_t *ends;   ///< max: as lat__cpu_points_by_voxel gives them
  const int32_t *points; ///< max: likewise
  const lat__cpu_kernels *kernels;
  float *scratch; ///< (workers, SCRATCH_ROWS, channels)
} reduce_grad_job;

static float *worker_scratch(float *scratch, int64_t channels, int worker) {
  return scratch + worker * SCRATCH_ROWS * channels;
}

static lat_status new_scratch(lat_context *context, int64_t channels, void **out) {
  return lat__alloc_items(context, "voxelize_backward", (int64_t)SCRATCH_ROWS * context->n_threads,
                          (size_t)channels * sizeof(float), out);
}

/// Mean and sum: every point reads the row of its voxel.
static void spread_range(void *arg, int64_t begin, int64_t end, int worker) {
  const reduce_grad_job *job = arg;
  const lat__voxel_reduce_grad_desc *desc = job->desc;
  const int64_t channels = desc->channels;
  float *widened = worker_scratch(job->scratch, channels, worker), *narrow = widened + channels;
  for (int64_t p = begin; p < end; p++) {
    float *y = lat__cpu_target(desc->dtype, desc->y, p * channels, narrow);
    int64_t v = desc->inverse_rows[p];
    if (v < 0) {
      for (int64_t c = 0; c < channels; c++) y[c] = 0.0f;
    } else {
      const float *grad = lat__cpu_widen(job->kernels, desc->dtype, desc->grad, v * channels, channels, widened);
      float scale = desc->reduction == LAT__REDUCE_MEAN ? 1.0f / (float)desc->counts[v] : 1.0f;
      for (int64_t c = 0; c < channels; c++) y[c] = grad[c] * scale;
      if (desc->reduction == LAT__REDUCE_QUOTIENT) {
        for (int64_t c = 0; c < channels; c++) y[c] = grad[c] / (float)desc->counts[v];
      }
    }
    lat__cpu_narrow(job->kernels, desc->dtype, y, channels, desc->y, p * channels);
  }
}

/// Points without a voxel.
static void clear_range(void *arg, int64_t begin, int64_t end, int worker) {
  const lat__voxel_reduce_grad_desc *desc = ((const reduce_grad_job *)arg)->desc;
  (void)worker;
  for (int64_t p = begin; p < end; p++) {
    for (int64_t c = 0; desc->inverse_rows[p] < 0 && c < desc->channels; c++) {
      lat__float_store(desc->dtype, desc->y, p * desc->channels + c, 0.0f);
    }
  }
}

/// Every NaN is the largest where there is one.
static LAT_ALWAYS_INLINE bool holds(float value, float best) {
  return (value == best) | ((value != value) & (best != best));
}

/// Largest values of a voxel's points and, in `share`, what each point that holds one gets.
static void share_voxel(const reduce_grad_job *job, int64_t v, const int32_t *points, float *best, float *share,
                        float *widened) {
  const lat__voxel_reduce_grad_desc *desc = job->desc;
  const int64_t channels = desc->channels;
  for (int64_t c = 0; c < channels; c++) best[c] = -INFINITY;
  for (int64_t c = 0; c < channels; c++) share[c] = 0.0f;
  for (int32_t i = 0; i < desc->counts[v]; i++) {
    const float *x = lat__cpu_widen(job->kernels, desc->dtype, desc->x, points[i] * channels, channels, widened);
    for (int64_t c = 0; c < channels; c++) best[c] = ((x[c] > best[c]) | (x[c] != x[c])) ? x[c] : best[c];
  }
  for (int32_t i = 0; i < desc->counts[v]; i++) {
    const float *x = lat__cpu_widen(job->kernels, desc->dtype, desc->x, points[i] * channels, channels, widened);
    for (int64_t c = 0; c < channels; c++) share[c] += holds(x[c], best[c]) ? 1.0f : 0.0f;
  }
  const float *grad = lat__cpu_widen(job->kernels, desc->dtype, desc->grad, v * channels, channels, widened);
  for (int64_t c = 0; c < channels; c++) share[c] = grad[c] / share[c];
}

static void max_range(void *arg, int64_t begin, int64_t end, int worker) {
  const reduce_grad_job *job = arg;
  const lat__voxel_reduce_grad_desc *desc = job->desc;
  const int64_t channels = desc->channels;
  float *best = worker_scratch(job->scratch, channels, worker), *share = best + channels;
  float *widened = share + channels, *narrow = widened + channels;
  for (int64_t v = begin; v < end; v++) {
    const int32_t *points = job->points + job->ends[v] - desc->counts[v];
    share_voxel(job, v, points, best, share, widened);
    for (int32_t i = 0; i < desc->counts[v]; i++) {
      int64_t first = points[i] * channels;
      const float *x = lat__cpu_widen(job->kernels, desc->dtype, desc->x, first, channels, widened);
      float *y = lat__cpu_target(desc->dtype, desc->y, first, narrow);
      for (int64_t c = 0; c < channels; c++) y[c] = holds(x[c], best[c]) ? share[c] : 0.0f;
      lat__cpu_narrow(job->kernels, desc->dtype, y, channels, desc->y, first);
    }
  }
}

lat_status lat__cpu_voxel_reduce_grad(lat_context *context, const lat__voxel_reduce_grad_desc *desc) {
  lat_status status = LAT_STATUS_OK;
  void *ends = NULL, *points = NULL, *scratch = NULL;
  if (desc->n_points == 0 || desc->channels == 0) return LAT_STATUS_OK;
  LAT_TRY(new_scratch(context, desc->channels, &scratch), done);
  reduce_grad_job job = {.desc = desc, .kernels = lat__cpu_kernels_for(context), .scratch = scratch};
  if (desc->reduction != LAT__REDUCE_MAX) {
    lat__parallel_for(context, desc->n_points, POINT_GRAIN, spread_range, &job);
    goto done;
  }
  LAT_TRY(lat__alloc_items(context, "voxelize_backward", desc->n_voxels, sizeof(int32_t), &ends), done);
  LAT_TRY(lat__alloc_items(context, "voxelize_backward", desc->n_points, sizeof(int32_t), &points), done);
  lat__cpu_points_by_voxel(desc->n_points, desc->inverse_rows, desc->n_voxels, desc->counts, ends, points);
  job.ends = ends;
  job.points = points;
  lat__parallel_for(context, desc->n_voxels, VOXEL_GRAIN, max_range, &job);
  lat__parallel_for(context, desc->n_points, POINT_GRAIN, clear_range, &job);
done:
  lat__free(context, ends);
  lat__free(context, points);
  lat__free(context, scratch);
  return status;
}

/// The slots seen from the voxels: those of voxel v end before entry ends[v] and begin where those of v - 1 end.
typedef struct interpolate_grad_job {
  const lat__interpolate_grad_desc *desc;
  const int64_t *ends;  ///< (n_voxels,)
  const int32_t *point; ///< of each entry, ascending within a voxel
  const float *weight;  ///< of each entry
  const lat__cpu_kernels *kernels;
  float *scratch; ///< (workers, SCRATCH_ROWS, channels)
} interpolate_grad_job;

static void gather_range(void *arg, int64_t begin, int64_t end, int worker) {
  const interpolate_grad_job *job = arg;
  const lat__interpolate_grad_desc *desc = job->desc;
  const int64_t channels = desc->channels;
  float *widened = worker_scratch(job->scratch, channels, worker), *narrow = widened + channels;
  for (int64_t v = begin; v < end; v++) {
    float *y = lat__cpu_target(desc->dtype, desc->y, v * channels, narrow);
    for (int64_t c = 0; c < channels; c++) y[c] = 0.0f;
    for (int64_t entry = v > 0 ? job->ends[v - 1] : 0; entry < job->ends[v]; entry++) {
      const float *grad =
          lat__cpu_widen(job->kernels, desc->dtype, desc->grad, job->point[entry] * channels, channels, widened);
      float weight = job->weight[entry];
      for (int64_t c = 0; c < channels; c++) y[c] += weight * grad[c];
    }
    lat__cpu_narrow(job->kernels, desc->dtype, y, channels, desc->y, v * channels);
  }
}

/// Number of slots that read a voxel; `ends` begins as their starts.
static int64_t count_slots(const lat__interpolate_grad_desc *desc, int64_t *ends) {
  const int64_t n_slots = desc->n_points * desc->n_slots;
  int64_t total = 0;
  for (int64_t slot = 0; slot < n_slots; slot++) {
    if (desc->rows[slot] >= 0) ends[desc->rows[slot]]++;
  }
  for (int64_t v = 0; v < desc->n_voxels; v++) {
    int64_t count = ends[v];
    ends[v] = total;
    total += count;
  }
  return total;
}

/// Stable, so that a voxel's entries stay in the order of (point, slot).
static void sort_slots(const lat__interpolate_grad_desc *desc, int64_t *ends, int32_t *point, float *weight) {
  const int64_t n_slots = desc->n_points * desc->n_slots;
  for (int64_t slot = 0; slot < n_slots; slot++) {
    if (desc->rows[slot] < 0) continue;
    int64_t entry = ends[desc->rows[slot]]++;
    point[entry] = (int32_t)(slot / desc->n_slots);
    weight[entry] = desc->weights[slot];
  }
}

lat_status lat__cpu_interpolate_grad(lat_context *context, const lat__interpolate_grad_desc *desc) {
  static const char op[] = "interpolate_backward";
  lat_status status = LAT_STATUS_OK;
  void *ends = NULL, *point = NULL, *weight = NULL, *scratch = NULL;
  if (desc->n_voxels == 0 || desc->channels == 0) return LAT_STATUS_OK;
  LAT_TRY(new_scratch(context, desc->channels, &scratch), done);
  LAT_TRY(lat__alloc_zero(context, op, desc->n_voxels, sizeof(int64_t), &ends), done);
  int64_t n_entries = count_slots(desc, ends);
  LAT_TRY(lat__alloc_items(context, op, n_entries, sizeof(int32_t), &point), done);
  LAT_TRY(lat__alloc_items(context, op, n_entries, sizeof(float), &weight), done);
  sort_slots(desc, ends, point, weight);
  interpolate_grad_job job = {desc, ends, point, weight, lat__cpu_kernels_for(context), scratch};
  lat__parallel_for(context, desc->n_voxels, VOXEL_GRAIN, gather_range, &job);
done:
  lat__free(context, ends);
  lat__free(context, point);
  lat__free(context, weight);
  lat__free(context, scratch);
  return status;
}
