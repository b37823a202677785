// Local pools: the pairs of one block of output rows are reduced, kernel element after kernel element, into float32 rows
// that stay in the cache; a float16 block is rounded once at its end. An output row is touched by its block alone, in
// edge order, so the bits do not depend on the threads.

#include <assert.h>
#include <math.h>

#include <lattice/pool.h>

#include "backend/cpu/cpu_backend.h"
#include "backend/cpu/cpu_rows.h"
#include "core/alloc.h"
#include "core/checked.h"
#include "core/compiler.h"
#include "core/thread.h"

#define GRAIN_ELEMENTS 32768
#define TILE_ELEMENTS 4096

typedef struct pool_job {
  const lat__pool_desc *desc;
  const lat__cpu_kernels *kernels;
  float *scratch;    ///< for each worker a block of sums and a tile of widened rows; NULL where y takes the sums
  int64_t tile_rows; ///< pairs that are widened together
} pool_job;

/// sums[out(p)] += weight * x[in(p)]; in_rows NULL: row p of x.
static void add_weighted(const float *x, const int32_t *in_rows, const uint16_t *out_rows, int64_t n_pairs,
                         int64_t channels, float weight, float *sums) {
  for (int64_t p = 0; p < n_pairs; p++) {
    const float *row = x + (in_rows ? in_rows[p] : p) * channels;
    float *sum = sums + out_rows[p] * channels;
    for (int64_t c = 0; c < channels; c++) sum[c] += weight * row[c];
  }
}

static void reduce_weighted(const pool_job *job, int64_t begin, int64_t end, float weight, float *tile, float *sums) {
  const lat__pool_desc *desc = job->desc;
  const lat__pairs *pairs = desc->pairs;
  if (desc->dtype == LAT_DTYPE_F32) {
    add_weighted(desc->x, pairs->in_rows + begin, pairs->local_rows + begin, end - begin, desc->channels, weight, sums);
    return;
  }
  for (int64_t p = begin; p < end; p += job->tile_rows) {
    int64_t n = lat__min_i64(job->tile_rows, end - p);
    lat__cpu_widen_rows(job->kernels, desc->dtype, desc->x, pairs->in_rows + p, n, desc->channels, tile);
    add_weighted(tile, NULL, pairs->local_rows + p, n, desc->channels, weight, sums);
  }
}

static void reduce_pairs(const pool_job *job, int64_t begin, int64_t end, float *tile, float *sums) {
  const lat__pool_desc *desc = job->desc;
  const lat__pairs *pairs = desc->pairs;
  void (*reduce)(const float *, const int32_t *, const uint16_t *, int64_t, int64_t, float *) =
      desc->mode == LAT_POOL_MAX ? job->kernels->max_rows_f32 : job->kernels->add_rows_f32;
  if (desc->dtype == LAT_DTYPE_F32) {
    reduce(desc->x, pairs->in_rows + begin, pairs->local_rows + begin, end - begin, desc->channels, sums);
    return;
  }
  for (int64_t p = begin; p < end; p += job->tile_rows) {
    int64_t n = lat__min_i64(job->tile_rows, end - p);
    lat__cpu_widen_rows(job->kernels, desc->dtype, desc->x, pairs->in_rows + p, n, desc->channels, tile);
    reduce(tile, NULL, pairs->local_rows + p, n, desc->channels, sums);
  }
}

/// Multiplies every row of sums by 1 / (number of its pairs).
static void divide_by_counts(const lat__pool_desc *desc, int64_t begin, int64_t end, int64_t n_rows, float *sums) {
  int32_t counts[LAT__PAIR_BLOCK_ROWS] = {0};
  for (int64_t p = begin; p < end; p++) counts[desc->pairs->local_rows[p]]++;
  for (int64_t r = 0; r < n_rows; r++) {
    if (counts[r] < 2) continue; // times one, or a row of zeros
    float scale = 1.0f / (float)counts[r];
    for (int64_t c = 0; c < desc->channels; c++) sums[r * desc->channels + c] *= scale;
  }
}

/// Divides every row of sums by the sum of its pairs' weights, kernel elements ascending; rows without weight stay.
static void divide_by_weights(const lat__pool_desc *desc, const int64_t *offsets, int64_t n_rows, float *sums) {
  float totals[LAT__PAIR_BLOCK_ROWS] = {0};
  for (int32_t k = 0; k < desc->pairs->n_kernels; k++) {
    for (int64_t p = offsets[k]; p < offsets[k + 1]; p++) totals[desc->pairs->local_rows[p]] += desc->kernel_weights[k];
  }
  for (int64_t r = 0; r < n_rows; r++) {
    if (!(totals[r] > 0.0f)) continue;
    float divisor = totals[r] < LAT__MIN_WEIGHT ? LAT__MIN_WEIGHT : totals[r];
    for (int64_t c = 0; c < desc->channels; c++) sums[r * desc->channels + c] /= divisor;
  }
}

/// Rounds the rows of a block into y.
static void store_block(const pool_job *job, int64_t first_row, int64_t n_rows, const float *sums) {
  const lat__pool_desc *desc = job->desc;
  int64_t channels = desc->channels;
  if (!desc->pairs->out_rows) {
    lat__cpu_narrow(job->kernels, desc->dtype, sums, n_rows * channels, desc->y, first_row * channels);
  } else if (desc->dtype == LAT_DTYPE_F32) {
    size_t row_bytes = (size_t)channels * sizeof *sums;
    lat__cpu_scatter_rows(desc->pairs, first_row, n_rows, sums, row_bytes, row_bytes, desc->y);
  } else {
    for (int64_t r = 0; r < n_rows; r++) {
      int64_t row = desc->pairs->out_rows[first_row + r];
      lat__cpu_narrow(job->kernels, desc->dtype, sums + r * channels, channels, desc->y, row * channels);
    }
  }
}

static void pool_block(const pool_job *job, int64_t block, int worker) {
  const lat__pool_desc *desc = job->desc;
  const lat__pairs *pairs = desc->pairs;
  int64_t first_row = block * LAT__PAIR_BLOCK_ROWS;
  int64_t n_rows = lat__min_i64(LAT__PAIR_BLOCK_ROWS, desc->n_out - first_row);
  int64_t n = n_rows * desc->channels;
  int64_t worker_rows = LAT__PAIR_BLOCK_ROWS + job->tile_rows;
  float *scratch = job->scratch ? job->scratch + worker * worker_rows * desc->channels : NULL;
  float *tile = scratch ? scratch + LAT__PAIR_BLOCK_ROWS * desc->channels : NULL;
  float *sums = scratch ? scratch : (float *)desc->y + first_row * desc->channels;
  const int64_t *offsets = pairs->offsets + block * pairs->n_kernels;
  for (int64_t i = 0; i < n; i++) sums[i] = desc->mode == LAT_POOL_MAX ? -INFINITY : 0.0f;
  for (int32_t k = 0; k < pairs->n_kernels; k++) {
    if (desc->kernel_weights) {
      reduce_weighted(job, offsets[k], offsets[k + 1], desc->kernel_weights[k], tile, sums);
    } else {
      reduce_pairs(job, offsets[k], offsets[k + 1], tile, sums);
    }
  }
  if (desc->mode == LAT_POOL_AVG && desc->kernel_weights) {
    divide_by_weights(desc, offsets, n_rows, sums);
  } else if (desc->mode == LAT_POOL_AVG) {
    divide_by_counts(desc, offsets[0], offsets[pairs->n_kernels], n_rows, sums);
  }
  store_block(job, first_row, n_rows, sums);
}

static void pool_range(void *arg, int64_t begin, int64_t end, int worker) {
  for (int64_t block = begin; block < end; block++) pool_block(arg, block, worker);
}

lat_status lat__cpu_pool(lat_context *context, const lat__pool_desc *desc) {
  lat_status status = LAT_STATUS_OK;
  void *scratch = NULL;
  if (desc->n_out == 0 || desc->channels == 0) return LAT_STATUS_OK;
  assert(desc->x != desc->y);
  pool_job job = {.desc = desc, .kernels = lat__cpu_kernels_for(context)};
  if (desc->dtype != LAT_DTYPE_F32) job.tile_rows = lat__max_i64(1, TILE_ELEMENTS / desc->channels);
  if (desc->dtype != LAT_DTYPE_F32 || desc->pairs->out_rows) {
    int64_t n_rows = (LAT__PAIR_BLOCK_ROWS + job.tile_rows) * context->n_threads;
    LAT_TRY(lat__alloc_items(context, "pool3d", n_rows, (size_t)desc->channels * sizeof(float), &scratch), done);
  }
  job.scratch = scratch;
  int64_t grain = lat__max_i64(1, GRAIN_ELEMENTS / (LAT__PAIR_BLOCK_ROWS * desc->channels));
  lat__parallel_for(context, desc->pairs->n_blocks, grain, pool_range, &job);
done:
  lat__free(context, scratch);
  return status;
}
