// Norms and the channel statistics of batch norm.
//
// Statistics: the rows are cut into chunks whose length depends on the row count alone. Each chunk has a slot for its
// mean and its squared deviations, in double; the slots are combined in order (the pairwise update of T. F. Chan, G. H. Golub and
// R. J. LeVeque, "Updating formulae and a pairwise algorithm for computing sample variances", 1979), so the result does not
// depend on which thread did which chunk. One pass does: a chunk sums deviations from its own first row, which is at most
// sqrt(rows) standard deviations from the chunk's mean, so the difference of the squares costs as many bits of the double.

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
#define TILE_ELEMENTS 2048

typedef struct stats_job {
  const lat__channel_stats_desc *desc;
  const lat__cpu_kernels *kernels;
  int64_t chunk_rows;
  double *slots;     ///< (n_chunks, 2, channels): mean, squared deviations from it added up
  float *scratch;    ///< for each worker a row of origins and tile_rows widened rows
  int64_t tile_rows; ///< 0 for float32
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

static int64_t rows_of_chunk(const stats_job *job, int64_t chunk) {
  return lat__min_i64(job->desc->n_rows - chunk * job->chunk_rows, job->chunk_rows);
}

static void stats_chunk(const stats_job *job, int64_t chunk, int worker) {
  const lat__channel_stats_desc *desc = job->desc;
  const int64_t channels = desc->channels, begin = chunk * job->chunk_rows, n = rows_of_chunk(job, chunk);
  const int64_t step = job->tile_rows > 0 ? job->tile_rows : n;
  double *mean = job->slots + 2 * chunk * channels, *squares = mean + channels;
  float *origin = job->scratch + worker * (job->tile_rows + 1) * channels, *tile = origin + channels;
  for (int64_t c = 0; c < 2 * channels; c++) mean[c] = 0.0;
  for (int64_t r = 0; r < n; r += step) {
    int64_t n_tile = lat__min_i64(step, n - r), first = (begin + r) * channels;
    const float *x = lat__cpu_widen(job->kernels, desc->dtype, desc->x, first, n_tile * channels, tile);
    for (int64_t c = 0; r == 0 && c < channels; c++) origin[c] = isfinite(x[c]) ? x[c] : 0.0f;
    job->kernels->channel_moments_f32(x, n_tile, channels, origin, mean, squares);
  }
  for (int64_t c = 0; c < channels; c++) {
    double sum = mean[c], deviations = squares[c] - sum * sum / (double)n;
    mean[c] = (double)origin[c] + sum / (double)n;
    squares[c] = deviations < 0.0 ? 0.0 : deviations;
  }
}

static void stats_range(void *arg, int64_t begin, int64_t end, int worker) {
  for (int64_t chunk = begin; chunk < end; chunk++) stats_chunk(arg, chunk, worker);
}

/// The mean of all rows, and the variance if it is wanted, chunks ascending.
static void combine_slots(const stats_job *job, int64_t n_chunks) {
  const lat__channel_stats_desc *desc = job->desc;
  const int64_t channels = desc->channels;
  for (int64_t c = 0; c < channels; c++) {
    const double *slot = job->slots + c;
    double sum = 0.0, squares = 0.0;
    for (int64_t k = 0; k < n_chunks; k++) sum += (double)rows_of_chunk(job, k) * slot[2 * k * channels];
    double mean = sum / (double)desc->n_rows;
    desc->mean[c] = (float)mean;
    for (int64_t k = 0; desc->var && k < n_chunks; k++) {
      double d = slot[2 * k * channels] - mean;
      squares += slot[(2 * k + 1) * channels] + (double)rows_of_chunk(job, k) * d * d;
    }
    if (desc->var) desc->var[c] = (float)(squares / (double)desc->n_rows);
  }
}

lat_status lat__cpu_channel_stats(lat_context *context, const lat__channel_stats_desc *desc) {
  static const char op[] = "batch_norm";
  lat_status status = LAT_STATUS_OK;
  void *slots = NULL, *scratch = NULL;
  if (desc->n_rows == 0 || desc->channels == 0) return LAT_STATUS_OK;
  int64_t chunk_rows = lat__max_i64(MIN_CHUNK_ROWS, lat__ceil_div_i64(desc->n_rows, MAX_CHUNKS));
  int64_t n_chunks = lat__ceil_div_i64(desc->n_rows, chunk_rows);
  stats_job job = {.desc = desc,
                   .kernels = lat__cpu_kernels_for(context),
                   .chunk_rows = chunk_rows,
                   .tile_rows = desc->dtype == LAT_DTYPE_F32 ? 0 : tile_rows_of(desc->channels)};
  size_t tile_bytes = (size_t)((job.tile_rows + 1) * desc->channels) * sizeof(float);
  LAT_TRY(lat__alloc_items(context, op, 2 * n_chunks, (size_t)desc->channels * sizeof(double), &slots), done);
  LAT_TRY(lat__alloc_items(context, op, context->n_threads, tile_bytes, &scratch), done);
  job.slots = slots;
  job.scratch = scratch;
  lat__parallel_for(context, n_chunks, 1, stats_range, &job);
  combine_slots(&job, n_chunks);
done:
  lat__free(context, slots);
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
