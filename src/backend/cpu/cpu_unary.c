// Rounding to integers, and conversion between feature dtypes. Elements are worked on in tiles that stay in the
// first-level cache while 16-bit features are widened and narrowed.

#include <assert.h>
#include <math.h>
#include <string.h>

#include "backend/cpu/cpu_backend.h"
#include "backend/cpu/cpu_rows.h"
#include "core/checked.h"
#include "core/thread.h"

#define TILE 1024
#define GRAIN 16384

typedef struct unary_job {
  const lat__unary_desc *desc;
  const lat__cpu_kernels *kernels;
} unary_job;

/// Nearest integer, ties to even: adding 2^23 to the magnitude leaves no fraction. Larger magnitudes have none.
static void round_tile(int64_t n, const float *x, float *y) {
  for (int64_t i = 0; i < n; i++) {
    float magnitude = fabsf(x[i]);
    float shifted = magnitude + 0x1p23f;
    y[i] = magnitude < 0x1p23f ? copysignf(shifted - 0x1p23f, x[i]) : x[i];
  }
}

static void unary_range(void *arg, int64_t begin, int64_t end, int worker) {
  const unary_job *job = arg;
  const lat__unary_desc *desc = job->desc;
  float widened[TILE], result[TILE];
  (void)worker;
  for (int64_t first = begin; first < end; first += TILE) {
    int64_t n = lat__min_i64(TILE, end - first);
    const float *x = lat__cpu_widen(job->kernels, desc->dtype_in, desc->x, first, n, widened);
    float *y = lat__cpu_target(desc->dtype_out, desc->y, first, result);
    if (desc->kind == LAT__UNARY_ROUND) {
      round_tile(n, x, y);
    } else {
      memcpy(y, x, (size_t)n * sizeof *y);
    }
    lat__cpu_narrow(job->kernels, desc->dtype_out, y, n, desc->y, first);
  }
}

lat_status lat__cpu_unary(lat_context *context, const lat__unary_desc *desc) {
  unary_job job = {desc, lat__cpu_kernels_for(context)};
  assert(desc->count == 0 || desc->x != desc->y);
  lat__parallel_for(context, desc->count, GRAIN, unary_range, &job);
  return LAT_STATUS_OK;
}
