// Gradients of layer and RMS norm. A row needs itself alone; the gradients of weight and bias are summed over rows in
// chunks whose length depends on the row count alone, and the chunks are added in order.

#include <math.h>

#include "backend/cpu/cpu_backend.h"
#include "core/alloc.h"
#include "core/array_internal.h"
#include "core/checked.h"
#include "core/compiler.h"
#include "core/thread.h"

#define MIN_CHUNK_ROWS 256
#define MAX_CHUNKS 512

typedef struct rows_job {
  const lat__norm_rows_grad_desc *desc;
  int64_t chunk_rows;
  double *slots; ///< (n_chunks, 2, channels): bias, weight
} rows_job;

/// Mean (0 for RMS norm) and 1 / sqrt(mean square deviation + eps) of a row.
static void row_statistics(const lat__norm_rows_grad_desc *desc, int64_t first, double *mean, double *inverse) {
  double sum = 0.0, squares = 0.0, n = (double)desc->channels;
  for (int64_t c = 0; c < desc->channels; c++) sum += (double)lat__float_load(desc->dtype_in, desc->x, first + c);
  *mean = desc->is_rms ? 0.0 : sum / n;
  for (int64_t c = 0; c < desc->channels; c++) {
    double d = (double)lat__float_load(desc->dtype_in, desc->x, first + c) - *mean;
    squares += d * d;
  }
  *inverse = 1.0 / sqrt(squares / n + (double)desc->eps);
}

static void row_gradient(const lat__norm_rows_grad_desc *desc, int64_t row, double *slot) {
  int64_t channels = desc->channels, first = row * channels;
  double mean = 0.0, inverse = 0.0, through_mean = 0.0, through_var = 0.0;
  row_statistics(desc, first, &mean, &inverse);
  for (int64_t c = 0; c < channels; c++) {
    double grad = (double)lat__float_load(desc->dtype_grad, desc->grad, first + c);
    double value = ((double)lat__float_load(desc->dtype_in, desc->x, first + c) - mean) * inverse;
    double weight = desc->weight ? (double)desc->weight[c] : 1.0;
    slot[c] += grad;
    slot[channels + c] += grad * value;
    through_mean += grad * weight;
    through_var += grad * weight * value;
  }
  if (!desc->y) return;
  through_mean = desc->is_rms ? 0.0 : through_mean / (double)channels;
  through_var /= (double)channels;
  for (int64_t c = 0; c < channels; c++) {
    double grad = (double)lat__float_load(desc->dtype_grad, desc->grad, first + c);
    double value = ((double)lat__float_load(desc->dtype_in, desc->x, first + c) - mean) * inverse;
    double weight = desc->weight ? (double)desc->weight[c] : 1.0;
    double result = inverse * ((grad * weight - through_mean) - value * through_var);
    lat__float_store(desc->dtype_in, desc->y, first + c, (float)result);
  }
}

static void rows_range(void *arg, int64_t begin, int64_t end, int worker) {
  const rows_job *job = arg;
  int64_t width = 2 * job->desc->channels;
  (void)worker;
  for (int64_t chunk = begin; chunk < end; chunk++) {
    double *slot = job->slots + chunk * width;
    int64_t first = chunk * job->chunk_rows, last = lat__min_i64(job->desc->n_rows, first + job->chunk_rows);
    for (int64_t c = 0; c < width; c++) slot[c] = 0.0;
    for (int64_t row = first; row < last; row++) row_gradient(job->desc, row, slot);
  }
}

lat_status lat__cpu_norm_rows_grad(lat_context *context, const lat__norm_rows_grad_desc *desc) {
  lat_status status = LAT_STATUS_OK;
  void *slots = NULL;
  int64_t channels = desc->channels;
  if (channels == 0) return LAT_STATUS_OK;
  int64_t chunk_rows = lat__max_i64(MIN_CHUNK_ROWS, lat__ceil_div_i64(desc->n_rows, MAX_CHUNKS));
  int64_t n_chunks = lat__ceil_div_i64(desc->n_rows, chunk_rows);
  LAT_TRY(lat__alloc_items(context, "norm_backward", 2 * n_chunks, (size_t)channels * sizeof(double), &slots), done);
  rows_job job = {desc, chunk_rows, slots};
  lat__parallel_for(context, n_chunks, 1, rows_range, &job);
  for (int64_t c = 0; c < channels; c++) {
    double bias = 0.0, weight = 0.0;
    for (int64_t chunk = 0; chunk < n_chunks; chunk++) {
      bias += job.slots[2 * chunk * channels + c];
      weight += job.slots[(2 * chunk + 1) * channels + c];
    }
    if (desc->bias_grad) desc->bias_grad[c] = (float)bias;
    if (desc->weight_grad) desc->weight_grad[c] = (float)weight;
  }
done:
  lat__free(context, slots);
  return status;
}
