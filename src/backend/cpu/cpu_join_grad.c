// Gradients of row-wise algebra. A row of a side is summed by one worker over the result rows it went to, in their order, in
// double: no two threads meet, and one rounding is left.

#include <lattice/algebra.h>

#include "backend/cpu/cpu_backend.h"
#include "backend/cpu/cpu_rows.h"
#include "core/alloc.h"
#include "core/array_internal.h"
#include "core/checked.h"
#include "core/compiler.h"
#include "core/thread.h"

#define GRAIN_ELEMENTS 16384

typedef struct join_grad_job {
  const lat__join_grad_desc *desc;
  const lat__cpu_kernels *kernels;
  double *sums;  ///< (threads, channels)
  float *floats; ///< (threads, 3, channels): gradient, own and other row
} join_grad_job;

/// Part of the gradient that a value gets which is compared with `other`: all where it wins, half where the two tie. NaN
/// wins, as in the operation.
static double share(float own, float other, bool is_maximum) {
  bool own_wins = own != own || (is_maximum ? own > other : own < other);
  bool other_wins = other != other || (is_maximum ? other > own : other < own);
  if (own_wins == other_wins) return 0.5;
  return own_wins ? 1.0 : 0.0;
}

static const float *other_row(const join_grad_job *job, int64_t r, float *scratch) {
  const lat__join_grad_desc *desc = job->desc;
  int64_t row = desc->other_rows ? desc->other_rows[r] : r;
  if (row >= 0) {
    return lat__cpu_widen(job->kernels, desc->dtype_other, desc->other, row * desc->channels, desc->channels, scratch);
  }
  for (int64_t c = 0; c < desc->channels; c++) scratch[c] = desc->other_fill;
  return scratch;
}

/// sums += gradient of the side's row through row r of the result.
static void add_source(const join_grad_job *job, int64_t r, const float *own, double *sums, float *floats) {
  const lat__join_grad_desc *desc = job->desc;
  int64_t channels = desc->channels;
  const float *g = lat__cpu_widen(job->kernels, desc->dtype_grad, desc->grad, r * desc->grad_stride + desc->grad_first,
                                  channels, floats);
  if (desc->op == LAT_BINARY_ADD || (desc->op == LAT_BINARY_SUB && !desc->is_rhs)) {
    for (int64_t c = 0; c < channels; c++) sums[c] += (double)g[c];
    return;
  }
  if (desc->op == LAT_BINARY_SUB) {
    for (int64_t c = 0; c < channels; c++) sums[c] -= (double)g[c];
    return;
  }
  const float *other = other_row(job, r, floats + 2 * channels);
  if (desc->op == LAT_BINARY_MUL) {
    for (int64_t c = 0; c < channels; c++) sums[c] += (double)g[c] * (double)other[c];
    return;
  }
  for (int64_t c = 0; c < channels; c++) {
    double part = share(own[c], other[c], desc->op == LAT_BINARY_MAXIMUM);
    if (part > 0.0) sums[c] += (double)g[c] * part;
  }
}

static void join_grad_range(void *arg, int64_t begin, int64_t end, int worker) {
  const join_grad_job *job = arg;
  const lat__join_grad_desc *desc = job->desc;
  int64_t channels = desc->channels;
  double *sums = job->sums + worker * channels;
  float *floats = job->floats + worker * 3 * channels;
  for (int64_t row = begin; row < end; row++) {
    const float *own = NULL;
    if (desc->own) {
      own = lat__cpu_widen(job->kernels, desc->dtype, desc->own, row * channels, channels, floats + channels);
    }
    for (int64_t c = 0; c < channels; c++) sums[c] = 0.0;
    int64_t first = desc->offsets ? desc->offsets[row] : row, last = desc->offsets ? desc->offsets[row + 1] : row + 1;
    for (int64_t e = first; e < last; e++) {
      add_source(job, desc->offsets ? desc->sources[e] : e, own, sums, floats);
    }
    for (int64_t c = 0; c < channels; c++) {
      lat__float_store_double(desc->dtype, desc->y, row * channels + c, sums[c]);
    }
  }
}

lat_status lat__cpu_join_grad(lat_context *context, const lat__join_grad_desc *desc) {
  lat_status status = LAT_STATUS_OK;
  void *sums = NULL, *floats = NULL;
  if (desc->n_rows == 0 || desc->channels == 0) return LAT_STATUS_OK;
  size_t float_bytes = (size_t)desc->channels * 3 * sizeof(float);
  LAT_TRY(lat__alloc_items(context, "join", context->n_threads, (size_t)desc->channels * sizeof(double), &sums), done);
  LAT_TRY(lat__alloc_items(context, "join", context->n_threads, float_bytes, &floats), done);
  join_grad_job job = {desc, lat__cpu_kernels_for(context), sums, floats};
  lat__parallel_for(context, desc->n_rows, lat__max_i64(1, GRAIN_ELEMENTS / desc->channels), join_grad_range, &job);
done:
  lat__free(context, sums);
  lat__free(context, floats);
  return status;
}
