// Gradients of global pools. The rows of an item are cut into chunks; for maxima the chunks first count the ties of their
// rows, which are integers and add up in any order, and every row is then written by one worker.

#include <string.h>

#include <lattice/pool.h>

#include "backend/cpu/cpu_backend.h"
#include "core/alloc.h"
#include "core/array_internal.h"
#include "core/checked.h"
#include "core/compiler.h"
#include "core/context_internal.h"
#include "core/thread.h"

#define CHUNK_ROWS 1024

/// Entries [begin, end) of item_rows, all of one item.
typedef struct grad_chunk {
  int64_t item, begin, end;
} grad_chunk;

typedef struct global_grad_job {
  const lat__global_pool_grad_desc *desc;
  const grad_chunk *chunks;
  int64_t *ties;              ///< (n_chunks, channels): of the chunk, then in the item's first chunk of the item
  const int64_t *first_chunk; ///< n_items + 1
} global_grad_job;

static int64_t row_of(const lat__global_pool_grad_desc *desc, int64_t entry) {
  return desc->item_rows ? desc->item_rows[entry] : entry;
}

/// True when an element is (one of) the maxima of its item; the maximum is NaN where one element is.
static bool is_maximum(const lat__global_pool_grad_desc *desc, int64_t row, int64_t item, int64_t c) {
  float value = lat__float_load(desc->dtype, desc->x, row * desc->channels + c);
  float maximum = lat__float_load(desc->dtype, desc->maxima, item * desc->channels + c);
  return value == maximum || (value != value && maximum != maximum);
}

static void count_range(void *arg, int64_t begin, int64_t end, int worker) {
  const global_grad_job *job = arg;
  const lat__global_pool_grad_desc *desc = job->desc;
  (void)worker;
  for (int64_t chunk = begin; chunk < end; chunk++) {
    const grad_chunk *at = &job->chunks[chunk];
    int64_t *ties = job->ties + chunk * desc->channels;
    for (int64_t c = 0; c < desc->channels; c++) ties[c] = 0;
    for (int64_t entry = at->begin; entry < at->end; entry++) {
      for (int64_t c = 0; c < desc->channels; c++) ties[c] += is_maximum(desc, row_of(desc, entry), at->item, c);
    }
  }
}

static void add_ties(const global_grad_job *job) {
  int64_t channels = job->desc->channels;
  for (int64_t item = 0; item < job->desc->n_items; item++) {
    int64_t first = job->first_chunk[item];
    for (int64_t chunk = first + 1; chunk < job->first_chunk[item + 1]; chunk++) {
      for (int64_t c = 0; c < channels; c++) job->ties[first * channels + c] += job->ties[chunk * channels + c];
    }
  }
}

static void write_range(void *arg, int64_t begin, int64_t end, int worker) {
  const global_grad_job *job = arg;
  const lat__global_pool_grad_desc *desc = job->desc;
  int64_t channels = desc->channels;
  (void)worker;
  for (int64_t chunk = begin; chunk < end; chunk++) {
    const grad_chunk *at = &job->chunks[chunk];
    const int64_t *ties = job->ties ? job->ties + job->first_chunk[at->item] * channels : NULL;
    double n_rows = (double)(desc->item_offsets[at->item + 1] - desc->item_offsets[at->item]);
    for (int64_t entry = at->begin; entry < at->end; entry++) {
      int64_t row = row_of(desc, entry);
      for (int64_t c = 0; c < channels; c++) {
        double value = (double)lat__float_load(desc->dtype_grad, desc->grad, at->item * channels + c);
        if (desc->mode == LAT_POOL_AVG) value /= n_rows;
        if (ties) value = is_maximum(desc, row, at->item, c) ? value / (double)ties[c] : 0.0;
        lat__float_store_double(desc->dtype, desc->y, row * channels + c, value);
      }
    }
  }
}

/// Cuts the items; with `chunks` NULL it only counts.
static int64_t cut(const lat__global_pool_grad_desc *desc, grad_chunk *chunks, int64_t *first_chunk) {
  int64_t n = 0;
  for (int64_t item = 0; item < desc->n_items; item++) {
    int64_t end = desc->item_offsets[item + 1];
    if (chunks) first_chunk[item] = n;
    for (int64_t entry = desc->item_offsets[item]; entry < end; entry += CHUNK_ROWS) {
      if (chunks) chunks[n] = (grad_chunk){item, entry, lat__min_i64(end, entry + CHUNK_ROWS)};
      n++;
    }
  }
  if (chunks) first_chunk[desc->n_items] = n;
  return n;
}

lat_status lat__cpu_global_pool_grad(lat_context *context, const lat__global_pool_grad_desc *desc) {
  static const char op[] = "global_pool";
  lat_status status = LAT_STATUS_OK;
  void *chunks = NULL, *first_chunk = NULL, *ties = NULL;
  size_t y_bytes = (size_t)(desc->n_rows * desc->channels) * lat_dtype_bytes(desc->dtype);
  if (y_bytes == 0) return LAT_STATUS_OK;
  memset(desc->y, 0, y_bytes);
  int64_t n_chunks = cut(desc, NULL, NULL);
  global_grad_job job = {.desc = desc};
  LAT_TRY(lat__alloc_items(context, op, n_chunks, sizeof(grad_chunk), &chunks), done);
  LAT_TRY(lat__alloc_items(context, op, desc->n_items + 1, sizeof(int64_t), &first_chunk), done);
  (void)cut(desc, chunks, first_chunk);
  job.chunks = chunks;
  job.first_chunk = first_chunk;
  if (desc->mode == LAT_POOL_MAX) {
    LAT_TRY(lat__alloc_items(context, op, n_chunks, (size_t)desc->channels * sizeof(int64_t), &ties), done);
    job.ties = ties;
    lat__parallel_for(context, n_chunks, 1, count_range, &job);
    add_ties(&job);
  }
  lat__parallel_for(context, n_chunks, 1, write_range, &job);
done:
  lat__free(context, chunks);
  lat__free(context, first_chunk);
  lat__free(context, ties);
  return status;
}
