// Softmax of rows and its gradient. A worker holds one row at a time as float32 beside the arrays: the row, its softmax
// and the incoming gradient.

#include "backend/cpu/cpu_backend.h"
#include "backend/cpu/cpu_rows.h"
#include "core/alloc.h"
#include "core/checked.h"
#include "core/compiler.h"
#include "core/context_internal.h"
#include "core/thread.h"

#define GRAIN_ELEMENTS 8192
#define N_SCRATCH_ROWS 3

typedef struct softmax_job {
  const lat__softmax_desc *desc;
  const lat__cpu_kernels *kernels;
  float *scratch; ///< N_SCRATCH_ROWS rows for each worker
} softmax_job;

/// target[c] = y[c] (grad[c] - sum(grad y)), the sum in double over ascending channels.
static void gradient_row(int64_t channels, const float *y, const float *grad, float *target) {
  double sum = 0.0;
  for (int64_t c = 0; c < channels; c++) sum += (double)grad[c] * (double)y[c];
  for (int64_t c = 0; c < channels; c++) target[c] = (float)((double)y[c] * ((double)grad[c] - sum));
}

static void softmax_range(void *arg, int64_t begin, int64_t end, int worker) {
  const softmax_job *job = arg;
  const lat__softmax_desc *desc = job->desc;
  int64_t channels = desc->channels;
  float *wide = job->scratch + worker * N_SCRATCH_ROWS * channels;
  for (int64_t row = begin; row < end; row++) {
    int64_t first = row * channels;
    const float *x = lat__cpu_widen(job->kernels, desc->dtype, desc->x, first, channels, wide);
    if (!desc->grad) {
      job->kernels->softmax_rows_f32(x, 1, channels, (float *)desc->y + first);
      continue;
    }
    float *y = wide + channels;
    job->kernels->softmax_rows_f32(x, 1, channels, y);
    const float *grad = lat__cpu_widen(job->kernels, desc->dtype_grad, desc->grad, first, channels, y + channels);
    float *target = lat__cpu_target(desc->dtype, desc->y, first, wide); // x is not needed any more
    gradient_row(channels, y, grad, target);
    lat__cpu_narrow(job->kernels, desc->dtype, target, channels, desc->y, first);
  }
}

lat_status lat__cpu_softmax(lat_context *context, const lat__softmax_desc *desc) {
  lat_status status = LAT_STATUS_OK;
  void *scratch = NULL;
  if (desc->n_rows == 0 || desc->channels == 0) return LAT_STATUS_OK;
  size_t row_bytes = (size_t)desc->channels * sizeof(float);
  LAT_TRY(lat__alloc_items(context, "softmax", N_SCRATCH_ROWS * (int64_t)context->n_threads, row_bytes, &scratch),
          done);
  softmax_job job = {desc, lat__cpu_kernels_for(context), scratch};
  lat__parallel_for(context, desc->n_rows, lat__max_i64(1, GRAIN_ELEMENTS / desc->channels), softmax_range, &job);
done:
  lat__free(context, scratch);
  return status;
}
