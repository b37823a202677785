// Voxel features read at points: a short weighted sum of feature rows for each point.

#include "backend/cpu/cpu_backend.h"
#include "backend/cpu/cpu_rows.h"
#include "core/alloc.h"
#include "core/compiler.h"
#include "core/thread.h"

#define POINT_GRAIN 1024

/// Most slots of a point.
#define MAX_SLOTS 8

typedef struct interpolate_job {
  const lat__interpolate_desc *desc;
  const lat__cpu_kernels *kernels;
  float *scratch; ///< for each worker a row of sums and MAX_SLOTS widened rows; NULL for float32
} interpolate_job;

/// float32 sums are kept in the result itself.
static void interpolate_point_f32(const lat__interpolate_desc *desc, int64_t p) {
  const int64_t channels = desc->channels;
  float *y = (float *)desc->y + p * channels;
  for (int64_t c = 0; c < channels; c++) y[c] = 0.0f;
  for (int64_t slot = p * desc->n_slots; slot < (p + 1) * desc->n_slots; slot++) {
    if (desc->rows[slot] < 0) continue;
    const float *x = (const float *)desc->x + desc->rows[slot] * channels;
    float weight = desc->weights ? desc->weights[slot] : 1.0f;
    for (int64_t c = 0; c < channels; c++) y[c] += weight * x[c];
  }
}

/// The rows that exist are widened together; sums are rounded once they are complete.
static void interpolate_point_16bit(const interpolate_job *job, int64_t p, int worker) {
  const lat__interpolate_desc *desc = job->desc;
  const int64_t channels = desc->channels;
  float *sums = job->scratch + worker * (MAX_SLOTS + 1) * channels;
  float *rows = sums + channels;
  int32_t present[MAX_SLOTS];
  float weights[MAX_SLOTS];
  int64_t n_present = 0;
  for (int64_t slot = p * desc->n_slots; slot < (p + 1) * desc->n_slots; slot++) {
    if (desc->rows[slot] < 0) continue;
    weights[n_present] = desc->weights ? desc->weights[slot] : 1.0f;
    present[n_present++] = desc->rows[slot];
  }
  lat__cpu_widen_rows(job->kernels, desc->dtype, desc->x, present, n_present, channels, rows);
  for (int64_t c = 0; c < channels; c++) sums[c] = 0.0f;
  for (int64_t r = 0; r < n_present; r++) {
    for (int64_t c = 0; c < channels; c++) sums[c] += weights[r] * rows[r * channels + c];
  }
  lat__cpu_finish_rows(job->kernels, desc->dtype, sums, channels, NULL, 1, channels,
                       (uint16_t *)desc->y + p * channels);
}

static void interpolate_range(void *arg, int64_t begin, int64_t end, int worker) {
  const interpolate_job *job = arg;
  for (int64_t p = begin; p < end; p++) {
    if (job->desc->dtype == LAT_DTYPE_F32) {
      interpolate_point_f32(job->desc, p);
    } else {
      interpolate_point_16bit(job, p, worker);
    }
  }
}

lat_status lat__cpu_interpolate(lat_context *context, const lat__interpolate_desc *desc) {
  void *scratch = NULL;
  assert(desc->n_slots <= MAX_SLOTS);
  if (desc->dtype != LAT_DTYPE_F32) {
    size_t row_bytes = (size_t)desc->channels * sizeof(float);
    lat_status status =
        lat__alloc_items(context, "devoxelize", (MAX_SLOTS + 1) * context->n_threads, row_bytes, &scratch);
    if (status) return status;
  }
  interpolate_job job = {desc, lat__cpu_kernels_for(context), scratch};
  lat__parallel_for(context, desc->n_points, POINT_GRAIN, interpolate_range, &job);
  lat__free(context, scratch);
  return LAT_STATUS_OK;
}
