// Local pools. The pairs of one block of output rows, which come kernel element after kernel element, are sorted into a
// list for each row; a kernel then walks the lists with the sums of a row in registers and writes each row once. An output row is
// touched by its block alone, in edge order, so the bits do not depend on the threads.

#include <assert.h>

#include <lattice/pool.h>

#include "backend/cpu/cpu_backend.h"
#include "backend/cpu/cpu_rows.h"
#include "core/alloc.h"
#include "core/checked.h"
#include "core/compiler.h"
#include "core/thread.h"

#define GRAIN_ELEMENTS 32768

typedef struct pool_job {
  const lat__pool_desc *desc;
  const lat__cpu_kernels *kernels;
  int64_t most_pairs; ///< of a block
  int32_t *in_rows;   ///< most_pairs for each worker: input rows by output row
  float *weights;     ///< beside them the factors of the pairs; NULL without kernel weights
} pool_job;

/// The lists of one block.
typedef struct pool_lists {
  int32_t begins[LAT__PAIR_BLOCK_ROWS + 1];
  float factors[LAT__PAIR_BLOCK_ROWS]; ///< average: 1 / (number of pairs), or what the sum is divided by
} pool_lists;

/// Sorts the block's pairs by output row, kernel elements ascending within one.
static void make_lists(const pool_job *job, const int64_t *offsets, int64_t n_rows, int32_t *in_rows, float *weights,
                       pool_lists *lists) {
  const lat__pairs *pairs = job->desc->pairs;
  int32_t ends[LAT__PAIR_BLOCK_ROWS] = {0};
  int32_t total = 0;
  for (int64_t p = offsets[0]; p < offsets[pairs->n_kernels]; p++) ends[pairs->local_rows[p]]++;
  for (int64_t r = 0; r < n_rows; r++) {
    int32_t count = ends[r];
    lists->begins[r] = ends[r] = total;
    total += count;
  }
  lists->begins[n_rows] = total;
  for (int32_t k = 0; k < pairs->n_kernels; k++) {
    for (int64_t p = offsets[k]; p < offsets[k + 1]; p++) {
      int32_t at = ends[pairs->local_rows[p]]++;
      in_rows[at] = pairs->in_rows[p];
      if (weights) weights[at] = job->desc->kernel_weights[k];
    }
  }
}

static void average_factors(int64_t n_rows, pool_lists *lists) {
  for (int64_t r = 0; r < n_rows; r++) {
    int32_t count = lists->begins[r + 1] - lists->begins[r];
    lists->factors[r] = count < 2 ? 1.0f : 1.0f / (float)count;
  }
}

/// The sum of every row's weights, kernel elements ascending; 1 for rows without weight.
static void average_divisors(const float *weights, int64_t n_rows, pool_lists *lists) {
  for (int64_t r = 0; r < n_rows; r++) {
    float total = 0.0f;
    for (int32_t e = lists->begins[r]; e < lists->begins[r + 1]; e++) total += weights[e];
    lists->factors[r] = !(total > 0.0f) ? 1.0f : total < LAT__MIN_WEIGHT ? LAT__MIN_WEIGHT : total;
  }
}

static void pool_block(const pool_job *job, int64_t block, int worker) {
  const lat__pool_desc *desc = job->desc;
  const lat__pairs *pairs = desc->pairs;
  const int64_t first_row = block * LAT__PAIR_BLOCK_ROWS;
  const int64_t n_rows = lat__min_i64(LAT__PAIR_BLOCK_ROWS, desc->n_out - first_row);
  const size_t row_bytes = (size_t)desc->channels * lat_dtype_bytes(desc->dtype);
  int32_t *in_rows = job->in_rows + worker * job->most_pairs;
  float *weights = job->weights ? job->weights + worker * job->most_pairs : NULL;
  pool_lists lists;
  make_lists(job, pairs->offsets + block * pairs->n_kernels, n_rows, in_rows, weights, &lists);
  lat__row_lists_args args = {.dtype = desc->dtype,
                              .dtype_out = desc->dtype,
                              .x = desc->x,
                              .x_stride = desc->channels,
                              .rows = in_rows,
                              .n_entries = lists.begins[n_rows],
                              .begins = lists.begins,
                              .n_rows = n_rows,
                              .channels = desc->channels,
                              .weights = weights,
                              .out_rows = pairs->out_rows ? pairs->out_rows + first_row : NULL,
                              .y = (char *)desc->y + (pairs->out_rows ? 0 : (size_t)first_row * row_bytes)};
  if (desc->mode == LAT_POOL_AVG && weights) {
    average_divisors(weights, n_rows, &lists);
    args.divisors = lists.factors;
  } else if (desc->mode == LAT_POOL_AVG) {
    average_factors(n_rows, &lists);
    args.factors = lists.factors;
  }
  (desc->mode == LAT_POOL_MAX ? job->kernels->max_lists : job->kernels->sum_lists)(&args);
}

static void pool_range(void *arg, int64_t begin, int64_t end, int worker) {
  for (int64_t block = begin; block < end; block++) pool_block(arg, block, worker);
}

lat_status lat__cpu_pool(lat_context *context, const lat__pool_desc *desc) {
  static const char op[] = "pool3d";
  lat_status status = LAT_STATUS_OK;
  void *in_rows = NULL, *weights = NULL;
  if (desc->n_out == 0 || desc->channels == 0) return LAT_STATUS_OK;
  assert(desc->x != desc->y);
  const lat__pairs *pairs = desc->pairs;
  pool_job job = {.desc = desc, .kernels = lat__cpu_kernels_for(context)};
  for (int64_t block = 0; block < pairs->n_blocks; block++) {
    const int64_t *offsets = pairs->offsets + block * pairs->n_kernels;
    job.most_pairs = lat__max_i64(job.most_pairs, offsets[pairs->n_kernels] - offsets[0]);
  }
  size_t row_bytes = (size_t)job.most_pairs * sizeof(int32_t);
  LAT_TRY(lat__alloc_items(context, op, context->n_threads, row_bytes, &in_rows), done);
  if (desc->kernel_weights) LAT_TRY(lat__alloc_items(context, op, context->n_threads, row_bytes, &weights), done);
  job.in_rows = in_rows;
  job.weights = weights;
  int64_t grain = lat__max_i64(1, GRAIN_ELEMENTS / (LAT__PAIR_BLOCK_ROWS * desc->channels));
  lat__parallel_for(context, pairs->n_blocks, grain, pool_range, &job);
done:
  lat__free(context, in_rows);
  lat__free(context, weights);
  return status;
}
