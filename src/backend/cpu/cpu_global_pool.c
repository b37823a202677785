// Global pools. The rows of an item are cut into chunks of a fixed length, counted from the item's first row; each chunk
// is reduced row by row in float32, and an item's chunks are then reduced in order. The bits of an item depend on its
// own rows alone: neither on the other items nor on the threads.

#include <assert.h>

#include <lattice/pool.h>

#include "backend/cpu/cpu_backend.h"
#include "backend/cpu/cpu_rows.h"
#include "core/alloc.h"
#include "core/checked.h"
#include "core/compiler.h"
#include "core/thread.h"

#define CHUNK_ROWS 256
#define GRAIN_ELEMENTS 16384

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
} global_job;

/// Reduces entries [begin, end) of `rows` (NULL: rows [begin, end)) of x into the row y; a sum times `factor`.
static void reduce_rows(const global_job *job, lat_dtype dtype, const void *x, const int32_t *rows, int64_t begin,
                        int64_t end, float factor, lat_dtype dtype_out, void *y) {
  const int32_t begins[2] = {(int32_t)begin, (int32_t)end};
  const lat__row_lists_args args = {.dtype = dtype,
                                    .dtype_out = dtype_out,
                                    .x = x,
                                    .x_stride = job->desc->channels,
                                    .rows = rows,
                                    .n_entries = end,
                                    .begins = begins,
                                    .n_rows = 1,
                                    .channels = job->desc->channels,
                                    .factors = &factor,
                                    .y = y};
  (job->desc->mode == LAT_POOL_MAX ? job->kernels->max_lists : job->kernels->sum_lists)(&args);
}

static void chunk_range(void *arg, int64_t begin, int64_t end, int worker) {
  const global_job *job = arg;
  const lat__global_pool_desc *desc = job->desc;
  (void)worker;
  for (int64_t k = begin; k < end; k++) {
    reduce_rows(job, desc->dtype, desc->x, desc->item_rows, job->chunks[k].begin, job->chunks[k].end, 1.0f,
                LAT_DTYPE_F32, job->partial + k * desc->channels);
  }
}

static void finish_item(const global_job *job, int64_t item) {
  const lat__global_pool_desc *desc = job->desc;
  int64_t count = desc->item_offsets[item + 1] - desc->item_offsets[item];
  float factor = desc->mode == LAT_POOL_AVG ? 1.0f / (float)lat__max_i64(1, count) : 1.0f;
  size_t row_bytes = (size_t)desc->channels * lat_dtype_bytes(desc->dtype);
  reduce_rows(job, LAT_DTYPE_F32, job->partial, NULL, job->first_chunk[item], job->first_chunk[item + 1], factor,
              desc->dtype, (char *)desc->y + (size_t)item * row_bytes);
}

static void item_range(void *arg, int64_t begin, int64_t end, int worker) {
  (void)worker;
  for (int64_t item = begin; item < end; item++) finish_item(arg, item);
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
  void *chunks = NULL, *first_chunk = NULL, *partial = NULL;
  if (desc->n_items == 0 || desc->channels == 0) return LAT_STATUS_OK;
  assert(desc->x != desc->y);
  int64_t n_chunks = count_chunks(desc);
  size_t row_bytes = (size_t)desc->channels * sizeof(float);
  global_job job = {.desc = desc, .kernels = lat__cpu_kernels_for(context)};
  LAT_TRY(lat__alloc_items(context, op, n_chunks, sizeof(pool_chunk), &chunks), done);
  LAT_TRY(lat__alloc_items(context, op, desc->n_items + 1, sizeof(int64_t), &first_chunk), done);
  LAT_TRY(lat__alloc_items(context, op, n_chunks, row_bytes, &partial), done);
  cut_chunks(desc, chunks, first_chunk);
  job.chunks = chunks;
  job.first_chunk = first_chunk;
  job.partial = partial;
  int64_t chunk_grain = lat__max_i64(1, GRAIN_ELEMENTS / (CHUNK_ROWS * desc->channels));
  int64_t item_grain = lat__max_i64(1, GRAIN_ELEMENTS / desc->channels);
  lat__parallel_for(context, n_chunks, chunk_grain, chunk_range, &job);
  lat__parallel_for(context, desc->n_items, item_grain, item_range, &job);
done:
  lat__free(context, chunks);
  lat__free(context, first_chunk);
  lat__free(context, partial);
  return status;
}
