// Norms and the channel statistics of batch norm.
//
// Statistics: the rows are cut into chunks whose length depends on the row count alone. Each chunk has a slot for its
// sums, in double; the slots are added in order, so the result does not depend on which thread did which chunk. The
// variance takes a second pass over deviations from the mean: no difference of large squares.

#include <assert.h>
#include <math.h>

#include "backend/cpu/cpu_backend.h"
#include "backend/cpu/cpu_rows.h"
#include "core/alloc.h"
#include "core/checked.h"
#include "core/compiler.h"
#include "core/thread.h"

#define MIN_CHUNK_ROWS 256
#define MAX_CHUNKS 512
#define GRAIN_ELEMENTS 16384
#define TILE_ELEMENTS 4096

typedef struct stats_job {
  const lat__channel_stats_desc *desc;
  const lat__cpu_kernels *kernels;
  int64_t chunk_rows;
  const double *mean; ///< NULL in the first pass
  double *slots;      ///< (n_chunks, channels)
  float *scratch;     ///< tile_rows rows for each worker; NULL for float32
  int64_t tile_rows;
} stats_job;

typedef struct norm_job {
  const lat__norm_desc *desc;
  const lat__cpu_kernels *kernels;
  const float *scale, *bias; ///< (channels,)
  float *scratch;            ///< 2 * tile_rows rows for each worker; NULL when both sides are float32
  int64_t tile_rows;
} norm_job;

/// Rows that a worker holds as float32 at a time.
static int64_t tile_rows_of(int64_t channels) {
  return lat__max_i64(1, TILE_ELEMENTS / channels);
}

static void stats_chunk(const stats_job *job, int64_t chunk, int worker) {
  const lat__channel_stats_desc *desc = job->desc;
  double *slot = job->slots + chunk * desc->channels;
  float *scratch = job->scratch ? job->scratch + worker * job->tile_rows * desc->channels : NULL;
  int64_t begin = chunk * job->chunk_rows;
  int64_t end = lat__min_i64(desc->n_rows, begin + job->chunk_rows);
  for (int64_t c = 0; c < desc->channels; c++) slot[c] = 0.0;
  for (int64_t row = begin; row < end; row += job->tile_rows) {
    int64_t n = lat__min_i64(job->tile_rows, end - row);
    int64_t first = row * desc->channels;
    const float *x = lat__cpu_widen(job->kernels, desc->dtype, desc->x, first, n * desc->channels, scratch);
    if (job->mean) {
      job->kernels->channel_squares_f32(x, n, desc->channels, job->mean, slot);
    } else {
      job->kernels->channel_sums_f32(x, n, desc->channels, slot);
    }
  }
}

static void stats_range(void *arg, int64_t begin, int64_t end, int worker) {
  for (int64_t chunk = begin; chunk < end; chunk++) stats_chunk(arg, chunk, worker);
}

/// total[c] = sum of the slots / n_rows, in chunk order.
static void combine_slots(const stats_job *job, int64_t n_chunks, double *total) {
  int64_t channels = job->desc->channels;
  for (int64_t c = 0; c < channels; c++) total[c] = 0.0;
  for (int64_t chunk = 0; chunk < n_chunks; chunk++) {
    const double *slot = job->slots + chunk * channels;
    for (int64_t c = 0; c < channels; c++) total[c] += slot[c];
  }
  for (int64_t c = 0; c < channels; c++) total[c] /= (double)job->desc->n_rows;
}

lat_status lat__cpu_channel_stats(lat_context *context, const lat__channel_stats_desc *desc) {
  static const char op[] = "batch_norm";
  lat_status status = LAT_STATUS_OK;
  void *slots = NULL, *totals = NULL, *scratch = NULL;
  if (desc->n_rows == 0 || desc->channels == 0) return LAT_STATUS_OK;
  int64_t chunk_rows = lat__max_i64(MIN_CHUNK_ROWS, lat__ceil_div_i64(desc->n_rows, MAX_CHUNKS));
  int64_t n_chunks = lat__ceil_div_i64(desc->n_rows, chunk_rows);
  size_t row_of_doubles = (size_t)desc->channels * sizeof(double);
  stats_job job = {
      .desc = desc, .kernels = lat__cpu_kernels_for(context), .chunk_rows = chunk_rows, .tile_rows = chunk_rows};
  LAT_TRY(lat__alloc_items(context, op, n_chunks, row_of_doubles, &slots), done);
  LAT_TRY(lat__alloc_items(context, op, 2, row_of_doubles, &totals), done);
  if (desc->dtype != LAT_DTYPE_F32) {
    job.tile_rows = tile_rows_of(desc->channels);
    size_t tile_bytes = (size_t)(job.tile_rows * desc->channels) * sizeof(float);
    LAT_TRY(lat__alloc_items(context, op, context->n_threads, tile_bytes, &scratch), done);
  }
  job.slots = slots;
  job.scratch = scratch;
  double *mean = totals, *var = mean + desc->channels;
  lat__parallel_for(context, n_chunks, 1, stats_range, &job);
  combine_slots(&job, n_chunks, mean);
  for (int64_t c = 0; c < desc->channels; c++) desc->mean[c] = (float)mean[c];
  if (desc->var) {
    job.mean = mean;
    lat__parallel_for(context, n_chunks, 1, stats_range, &job);
    combine_slots(&job, n_chunks, var);
    for (int64_t c = 0; c < desc->channels; c++) desc->var[c] = (float)var[c];
  }
done:
  lat__free(context, slots);
  lat__free(context, totals);
  lat__free(context, scratch);
  return status;
}

static void norm_tile(const norm_job *job, int64_t n_rows, const float *x, float *y) {
  const lat__norm_desc *desc = job->desc;
  int64_t channels = desc->channels;
  switch (desc->kind) {
  case LAT__NORM_BATCH:
    job->kernels->affine_rows_f32(x, n_rows, channels, desc->mean, job->scale, job->bias, y);
    break;
  case LAT__NORM_LAYER:
    job->kernels->layer_norm_rows_f32(x, n_rows, channels, desc->eps, job->scale, job->bias, y);
    break;
  case LAT__NORM_RMS:
    job->kernels->rms_norm_rows_f32(x, n_rows, channels, desc->eps, job->scale, y);
    break;
  }
}

static void norm_range(void *arg, int64_t begin, int64_t end, int worker) {
  const norm_job *job = arg;
  const lat__norm_desc *desc = job->desc;
  int64_t tile = job->tile_rows * desc->channels;
  float *widened = job->scratch ? job->scratch + 2 * worker * tile : NULL;
  float *result = job->scratch ? widened + tile : NULL;
  for (int64_t row = begin; row < end; row += job->tile_rows) {
    int64_t n_rows = lat__min_i64(job->tile_rows, end - row);
    int64_t first = row * desc->channels, n = n_rows * desc->channels;
    const float *x = lat__cpu_widen(job->kernels, desc->dtype_in, desc->x, first, n, widened);
    float *y = lat__cpu_target(desc->dtype_out, desc->y, first, result);
    norm_tile(job, n_rows, x, y);
    lat__cpu_narrow(job->kernels, desc->dtype_out, y, n, desc->y, first);
  }
}

/// Scale and bias of every channel: ones and zeros where the caller gave none; for batch norm the scale holds the
/// deviation too.
static void fill_parameters(const lat__norm_desc *desc, float *scale, float *bias) {
  for (int64_t c = 0; c < desc->channels; c++) {
    float weight = desc->weight ? desc->weight[c] : 1.0f;
    scale[c] = desc->kind == LAT__NORM_BATCH ? 1.0f / sqrtf(desc->var[c] + desc->eps) * weight : weight;
    bias[c] = desc->bias ? desc->bias[c] : 0.0f;
  }
}

lat_status lat__cpu_norm(lat_context *context, const lat__norm_desc *desc) {
  static const char op[] = "norm";
  lat_status status = LAT_STATUS_OK;
  void *parameters = NULL, *scratch = NULL;
  if (desc->n_rows == 0 || desc->channels == 0) return LAT_STATUS_OK;
  assert(desc->x != desc->y);
  norm_job job = {.desc = desc, .kernels = lat__cpu_kernels_for(context), .tile_rows = tile_rows_of(desc->channels)};
  LAT_TRY(lat__alloc_items(context, op, 2 * desc->channels, sizeof(float), &parameters), done);
  if (desc->dtype_in != LAT_DTYPE_F32 || desc->dtype_out != LAT_DTYPE_F32) {
    size_t tile_bytes = (size_t)(2 * job.tile_rows * desc->channels) * sizeof(float);
    LAT_TRY(lat__alloc_items(context, op, context->n_threads, tile_bytes, &scratch), done);
  }
  float *scale = parameters, *bias = scale + desc->channels;
  fill_parameters(desc, scale, bias);
  job.scale = scale;
  job.bias = bias;
  job.scratch = scratch;
  int64_t grain = lat__max_i64(1, GRAIN_ELEMENTS / desc->channels);
  lat__parallel_for(context, desc->n_rows, grain, norm_range, &job);
done:
  lat__free(context, parameters);
  lat__free(context, scratch);
  return status;
}
