// Global pools. The rows of an item are cut into chunks of a fixed length, counted from the item's first row; each chunk
// is reduced row by row in float32, and an item's chunks are then reduced in order. The bits of an item depend on its
// own rows alone: neither on the other items nor on the threads.

#include <assert.h>
#include <math.h>

#include <lattice/pool.h>

#include "backend/cpu/cpu_backend.h"
#include "backend/cpu/cpu_rows.h"
#include "core/alloc.h"
#include "core/checked.h"
#include "core/compiler.h"
#include "core/thread.h"

#define CHUNK_ROWS 256
#define GRAIN_ELEMENTS 16384
#define TILE_ELEMENTS 4096

/// One chunk of one item.
typedef struct pool_chunk {
  int64_t begin, end; ///< entries of item_rows
} pool_chunk;

typedef struct global_job {
  const lat__global_pool_desc *desc;
  const lat__cpu_kernels *kernels;
  const pool_chunk *chunks;
  const int64_t *first_chunk; ///< n_items + 1
  float *partial;             ///< (n_chunks, channels)
  float *scratch;             ///< for each worker: tile_rows rows and one more; NULL for float32
  int64_t tile_rows;
} global_job;

static void fill_row(float *row, int64_t channels, int mode) {
  for (int64_t c = 0; c < channels; c++) row[c] = mode == LAT_POOL_MAX ? -INFINITY : 0.0f;
}

static void reduce_rows(const global_job *job, const float *x, const int32_t *rows, int64_t n_rows, float *y) {
  if (job->desc->mode == LAT_POOL_MAX) {
    job->kernels->max_rows_f32(x, rows, NULL, n_rows, job->desc->channels, y);
  } else {
    job->kernels->add_rows_f32(x, rows, NULL, n_rows, job->desc->channels, y);
  }
}

static void reduce_chunk(const global_job *job, int64_t chunk, int worker) {
  const lat__global_pool_desc *desc = job->desc;
  int64_t channels = desc->channels;
  float *y = job->partial + chunk * channels;
  fill_row(y, channels, desc->mode);
  float *scratch = job->scratch ? job->scratch + worker * (job->tile_rows + 1) * channels : NULL;
  int64_t end = job->chunks[chunk].end;
  for (int64_t entry = job->chunks[chunk].begin; entry < end; entry += job->tile_rows) {
    int64_t n = lat__min_i64(job->tile_rows, end - entry);
    const int32_t *rows = desc->item_rows ? desc->item_rows + entry : NULL;
    if (desc->dtype == LAT_DTYPE_F32) {
      const float *x = (const float *)desc->x + (rows ? 0 : entry * channels);
      reduce_rows(job, x, rows, n, y);
    } else {
      const uint16_t *x = (const uint16_t *)desc->x + (rows ? 0 : entry * channels);
      lat__cpu_widen_rows(job->kernels, desc->dtype, x, rows, n, channels, scratch);
      reduce_rows(job, scratch, NULL, n, y);
    }
  }
}

static void chunk_range(void *arg, int64_t begin, int64_t end, int worker) {
  for (int64_t chunk = begin; chunk < end; chunk++) reduce_chunk(arg, chunk, worker);
}

static void finish_item(const global_job *job, int64_t item, int worker) {
  const lat__global_pool_desc *desc = job->desc;
  int64_t channels = desc->channels;
  float *scratch = job->scratch ? job->scratch + (worker * (job->tile_rows + 1) + job->tile_rows) * channels : NULL;
  float *y = lat__cpu_target(desc->dtype, desc->y, item * channels, scratch);
  int64_t first = job->first_chunk[item];
  fill_row(y, channels, desc->mode);
  reduce_rows(job, job->partial + first * channels, NULL, job->first_chunk[item + 1] - first, y);
  if (desc->mode == LAT_POOL_AVG) {
    int64_t count = desc->item_offsets[item + 1] - desc->item_offsets[item];
    float scale = 1.0f / (float)lat__max_i64(1, count);
    for (int64_t c = 0; c < channels; c++) y[c] *= scale;
  }
  lat__cpu_narrow(job->kernels, desc->dtype, y, channels, desc->y, item * channels);
}

static void item_range(void *arg, int64_t begin, int64_t end, int worker) {
  for (int64_t item = begin; item < end; item++) finish_item(arg, item, worker);
}

static int64_t count_chunks(const lat__global_pool_desc *desc) {
  int64_t n_chunks = 0;
  for (int64_t item = 0; item < desc->n_items; item++) {
    n_chunks += lat__ceil_div_i64(desc->item_offsets[item + 1] - desc->item_offsets[item], CHUNK_ROWS);
  }
  return n_chunks;
}

static void cut_chunks(const lat__global_pool_desc *desc, pool_chunk *chunks, int64_t *first_chunk) {
  int64_t n_chunks = 0;
  for (int64_t item = 0; item < desc->n_items; item++) {
    first_chunk[item] = n_chunks;
    int64_t end = desc->item_offsets[item + 1];
    for (int64_t entry = desc->item_offsets[item]; entry < end; entry += CHUNK_ROWS) {
      chunks[n_chunks++] = (pool_chunk){entry, lat__min_i64(end, entry + CHUNK_ROWS)};
    }
  }
  first_chunk[desc->n_items] = n_chunks;
}

lat_status lat__cpu_global_pool(lat_context *context, const lat__global_pool_desc *desc) {
  static const char op[] = "global_pool";
  lat_status status = LAT_STATUS_OK;
  void *chunks = NULL, *first_chunk = NULL, *partial = NULL, *scratch = NULL;
  if (desc->n_items == 0 || desc->channels == 0) return LAT_STATUS_OK;
  assert(desc->x != desc->y);
  int64_t n_chunks = count_chunks(desc);
  size_t row_bytes = (size_t)desc->channels * sizeof(float);
  global_job job = {.desc = desc, .kernels = lat__cpu_kernels_for(context), .tile_rows = CHUNK_ROWS};
  LAT_TRY(lat__alloc_items(context, op, n_chunks, sizeof(pool_chunk), &chunks), done);
  LAT_TRY(lat__alloc_items(context, op, desc->n_items + 1, sizeof(int64_t), &first_chunk), done);
  LAT_TRY(lat__alloc_items(context, op, n_chunks, row_bytes, &partial), done);
  if (desc->dtype != LAT_DTYPE_F32) {
    job.tile_rows = lat__max_i64(1, lat__min_i64(CHUNK_ROWS, TILE_ELEMENTS / desc->channels));
    int64_t n_rows = (job.tile_rows + 1) * context->n_threads;
    LAT_TRY(lat__alloc_items(context, op, n_rows, row_bytes, &scratch), done);
  }
  cut_chunks(desc, chunks, first_chunk);
  job.chunks = chunks;
  job.first_chunk = first_chunk;
  job.partial = partial;
  job.scratch = scratch;
  int64_t chunk_grain = lat__max_i64(1, GRAIN_ELEMENTS / (CHUNK_ROWS * desc->channels));
  int64_t item_grain = lat__max_i64(1, GRAIN_ELEMENTS / desc->channels);
  lat__parallel_for(context, n_chunks, chunk_grain, chunk_range, &job);
  lat__parallel_for(context, desc->n_items, item_grain, item_range, &job);
done:
  lat__free(context, chunks);
  lat__free(context, first_chunk);
  lat__free(context, partial);
  lat__free(context, scratch);
  return status;
}
