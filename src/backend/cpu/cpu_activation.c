// Activations with parameters and their gradients, and dropout: element by element, in tiles that stay in the first-level
// cache while 16-bit features are widened and narrowed.

#include <assert.h>
#include <math.h>

#include "backend/cpu/cpu_backend.h"
#include "backend/cpu/cpu_rows.h"
#include "core/checked.h"
#include "core/thread.h"

#define TILE 1024
#define GRAIN 16384

typedef struct activation_job {
  const lat__activation_desc *desc;
  const lat__cpu_kernels *kernels;
  lat__activation_args args;
} activation_job;

/// Elements [begin, end) of f(x).
static void value_range(void *arg, int64_t begin, int64_t end, int worker) {
  const activation_job *job = arg;
  const lat__activation_desc *desc = job->desc;
  const uint16_t *x = desc->x; // of the 16-bit dtypes
  uint16_t *y = desc->y;
  (void)worker;
  if (desc->dtype == LAT_DTYPE_F32) {
    job->kernels->activate_f32(&job->args, end - begin, (const float *)desc->x + begin, (float *)desc->y + begin);
  } else if (desc->dtype == LAT_DTYPE_F16) {
    job->kernels->activate_f16(&job->args, end - begin, x + begin, y + begin);
  } else {
    job->kernels->activate_bf16(&job->args, end - begin, x + begin, y + begin);
  }
}

/// Elements [begin, end) of f'(x) grad.
static void slope_range(void *arg, int64_t begin, int64_t end, int worker) {
  const activation_job *job = arg;
  const lat__activation_desc *desc = job->desc;
  float wide_x[TILE], wide_grad[TILE], result[TILE];
  (void)worker;
  for (int64_t first = begin; first < end; first += TILE) {
    int64_t n = lat__min_i64(TILE, end - first);
    const float *x = lat__cpu_widen(job->kernels, desc->dtype, desc->x, first, n, wide_x);
    const float *grad = lat__cpu_widen(job->kernels, desc->dtype_grad, desc->grad, first, n, wide_grad);
    float *y = lat__cpu_target(desc->dtype, desc->y, first, result);
    job->kernels->activate_slope_f32(&job->args, n, x, grad, y);
    lat__cpu_narrow(job->kernels, desc->dtype, y, n, desc->y, first);
  }
}

lat_status lat__cpu_activation(lat_context *context, const lat__activation_desc *desc) {
  activation_job job = {desc, lat__cpu_kernels_for(context), {desc->kind, desc->alpha, desc->beta, desc->threshold}};
  assert(desc->count == 0 || desc->x != desc->y);
  lat__parallel_for(context, desc->count, GRAIN, desc->grad ? slope_range : value_range, &job);
  return LAT_STATUS_OK;
}

typedef struct dropout_job {
  const lat__dropout_desc *desc;
  const lat__cpu_kernels *kernels;
} dropout_job;

static void dropout_tile(const lat__dropout_desc *desc, int64_t first, int64_t n, const float *x, float *y) {
  uint32_t words[4] = {0};
  for (int64_t i = 0; i < n; i++) {
    int64_t element = first + i;
    if (i == 0 || element % 4 == 0) lat_random_block(desc->seed, desc->stream, (uint64_t)element / 4, words);
    y[i] = words[element % 4] < desc->threshold ? 0.0f : (float)((double)x[i] / desc->keep);
  }
}

static void dropout_range(void *arg, int64_t begin, int64_t end, int worker) {
  const dropout_job *job = arg;
  const lat__dropout_desc *desc = job->desc;
  float widened[TILE], result[TILE];
  (void)worker;
  for (int64_t first = begin; first < end; first += TILE) {
    int64_t n = lat__min_i64(TILE, end - first);
    const float *x = lat__cpu_widen(job->kernels, desc->dtype_in, desc->x, first, n, widened);
    float *y = lat__cpu_target(desc->dtype_out, desc->y, first, result);
    dropout_tile(desc, first, n, x, y);
    lat__cpu_narrow(job->kernels, desc->dtype_out, y, n, desc->y, first);
  }
}

lat_status lat__cpu_dropout(lat_context *context, const lat__dropout_desc *desc) {
  dropout_job job = {desc, lat__cpu_kernels_for(context)};
  assert(desc->count == 0 || desc->x != desc->y);
  lat__parallel_for(context, desc->count, GRAIN, dropout_range, &job);
  return LAT_STATUS_OK;
}
