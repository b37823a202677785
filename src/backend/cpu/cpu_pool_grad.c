// Gradients and forward-mode products of local pools.
//
// Gradient, in two passes that each own the rows they write: every output's part is fixed first (its gradient over its
// number of contributors, sum of weights, or number of tied maxima), then every input adds the parts of its outputs, walking
// the exchanged pair lists in their order.

#include <math.h>
#include <stdbool.h>

#include <lattice/pool.h>

#include "backend/cpu/cpu_backend.h"
#include "backend/cpu/cpu_rows.h"
#include "core/alloc.h"
#include "core/array_internal.h"
#include "core/checked.h"
#include "core/compiler.h"
#include "core/thread.h"

typedef struct grad_job {
  const lat__pool_grad_desc *desc;
  float *part;    ///< (n_out, channels): what each contributor of an output gets
  float *largest; ///< (n_out, channels): the maximum; NULL for other modes
  float *sums;    ///< (threads, block rows, channels); float32 sums of one block
} grad_job;

/// Equal, where NaN equals NaN: which inputs a maximum came from.
static inline bool is_maximum(float value, float largest) {
  return value == largest || (isnan(value) && isnan(largest));
}

/// Number of contributors, or sum of their weights, of the rows of one block.
static void block_totals(const lat__pool_grad_desc *desc, const int64_t *offsets, float *totals) {
  for (int64_t r = 0; r < LAT__PAIR_BLOCK_ROWS; r++) totals[r] = 0.0f;
  for (int32_t k = 0; k < desc->pairs->n_kernels; k++) {
    float weight = desc->kernel_weights ? desc->kernel_weights[k] : 1.0f;
    for (int64_t p = offsets[k]; p < offsets[k + 1]; p++) totals[desc->pairs->local_rows[p]] += weight;
  }
}

/// Elements of the output row at a place of a block.
static int64_t first_of(const lat__pool_grad_desc *desc, int64_t place) {
  return lat__pairs_out_row(desc->pairs, place) * desc->channels;
}

/// Maxima of one block, and in `part` how many contributors reach them.
static void block_maxima(const grad_job *job, const int64_t *offsets, int64_t first_row, int64_t n_rows) {
  const lat__pool_grad_desc *desc = job->desc;
  const int64_t channels = desc->channels;
  float *largest = job->largest, *ties = job->part;
  for (int64_t r = 0; r < n_rows; r++) {
    int64_t row = first_of(desc, first_row + r);
    for (int64_t c = 0; c < channels; c++) largest[row + c] = -INFINITY;
    for (int64_t c = 0; ties && c < channels; c++) ties[row + c] = 0.0f;
  }
  for (int64_t p = offsets[0]; p < offsets[desc->pairs->n_kernels]; p++) {
    float *row = largest + first_of(desc, first_row + desc->pairs->local_rows[p]);
    int64_t at = desc->pairs->in_rows[p] * channels;
    for (int64_t c = 0; c < channels; c++) {
      float value = lat__float_load(desc->dtype, desc->x, at + c);
      if (value > row[c] || isnan(value)) row[c] = value;
    }
  }
  for (int64_t p = offsets[0]; ties && p < offsets[desc->pairs->n_kernels]; p++) {
    int64_t row = first_of(desc, first_row + desc->pairs->local_rows[p]), at = desc->pairs->in_rows[p] * channels;
    for (int64_t c = 0; c < channels; c++) {
      ties[row + c] += is_maximum(lat__float_load(desc->dtype, desc->x, at + c), largest[row + c]) ? 1.0f : 0.0f;
    }
  }
}

/// part = gradient of the output / what it is shared among.
static void share_range(void *arg, int64_t begin, int64_t end, int worker) {
  const grad_job *job = arg;
  const lat__pool_grad_desc *desc = job->desc;
  const int64_t channels = desc->channels;
  float totals[LAT__PAIR_BLOCK_ROWS];
  (void)worker;
  for (int64_t block = begin; block < end; block++) {
    const int64_t *offsets = desc->pairs->offsets + block * desc->pairs->n_kernels;
    int64_t first_row = block * LAT__PAIR_BLOCK_ROWS;
    int64_t n_rows = lat__min_i64(LAT__PAIR_BLOCK_ROWS, desc->n_out - first_row);
    if (desc->mode == LAT_POOL_MAX) block_maxima(job, offsets, first_row, n_rows);
    if (desc->mode == LAT_POOL_AVG) block_totals(desc, offsets, totals);
    for (int64_t r = 0; r < n_rows; r++) {
      int64_t row = first_of(desc, first_row + r);
      for (int64_t c = 0; c < channels; c++) {
        int64_t at = row + c;
        float gradient = lat__float_load(desc->dtype, desc->tangent, at);
        if (desc->mode == LAT_POOL_MAX) gradient /= job->part[at] > 0.0f ? job->part[at] : 1.0f;
        if (desc->mode == LAT_POOL_AVG) gradient /= totals[r] > 0.0f ? totals[r] : 1.0f;
        job->part[at] = gradient;
      }
    }
  }
}

/// sums[input] += part of one pair.
static void add_part(const grad_job *job, int64_t in_row, int64_t out_row, float weight, float *sums) {
  const lat__pool_grad_desc *desc = job->desc;
  const int64_t channels = desc->channels;
  const float *part = job->part + out_row * channels;
  if (desc->mode != LAT_POOL_MAX) {
    for (int64_t c = 0; c < channels; c++) sums[c] += weight * part[c];
    return;
  }
  const float *largest = job->largest + out_row * channels;
  for (int64_t c = 0; c < channels; c++) {
    if (is_maximum(lat__float_load(desc->dtype, desc->x, in_row * channels + c), largest[c])) sums[c] += part[c];
  }
}

static void gather_range(void *arg, int64_t begin, int64_t end, int worker) {
  const grad_job *job = arg;
  const lat__pool_grad_desc *desc = job->desc;
  const lat__pairs *pairs = desc->by_input;
  const int64_t channels = desc->channels;
  float *sums = job->sums + worker * LAT__PAIR_BLOCK_ROWS * channels;
  for (int64_t block = begin; block < end; block++) {
    int64_t first_row = block * LAT__PAIR_BLOCK_ROWS;
    int64_t n_rows = lat__min_i64(LAT__PAIR_BLOCK_ROWS, desc->n_in - first_row);
    for (int64_t i = 0; i < n_rows * channels; i++) sums[i] = 0.0f;
    for (int32_t k = 0; k < pairs->n_kernels; k++) {
      const int64_t *list = pairs->offsets + block * pairs->n_kernels + k;
      float weight = desc->kernel_weights ? desc->kernel_weights[k] : 1.0f;
      for (int64_t p = list[0]; p < list[1]; p++) {
        int64_t row = pairs->local_rows[p];
        int64_t in_row = lat__pairs_out_row(pairs, first_row + row);
        add_part(job, in_row, pairs->in_rows[p], weight, sums + row * channels);
      }
    }
    for (int64_t r = 0; r < n_rows; r++) {
      int64_t first = lat__pairs_out_row(pairs, first_row + r) * channels;
      for (int64_t c = 0; c < channels; c++) {
        lat__float_store(desc->dtype, desc->result, first + c, sums[r * channels + c]);
      }
    }
  }
}

lat_status lat__cpu_pool_grad(lat_context *context, const lat__pool_grad_desc *desc) {
  static const char op[] = "pool gradient";
  lat_status status = LAT_STATUS_OK;
  void *part = NULL, *largest = NULL, *sums = NULL;
  const size_t row_bytes = (size_t)desc->channels * sizeof(float);
  LAT_TRY(lat__alloc_items(context, op, desc->n_out, row_bytes, &part), done);
  if (desc->mode == LAT_POOL_MAX) LAT_TRY(lat__alloc_items(context, op, desc->n_out, row_bytes, &largest), done);
  LAT_TRY(lat__alloc_items(context, op, (int64_t)context->n_threads * LAT__PAIR_BLOCK_ROWS, row_bytes, &sums), done);
  grad_job job = {desc, part, largest, sums};
  lat__parallel_for(context, desc->pairs->n_blocks, 1, share_range, &job);
  lat__parallel_for(context, desc->by_input->n_blocks, 1, gather_range, &job);
done:
  lat__free(context, part);
  lat__free(context, largest);
  lat__free(context, sums);
  return status;
}

typedef struct jvp_job {
  grad_job maxima; ///< without parts
  int64_t *chosen; ///< (n_out, channels): smallest in_row * n_kernels + kernel among the tied
} jvp_job;

/// The tangents of a row's chosen inputs; `first` is its first element.
static void store_chosen(const jvp_job *job, int64_t first) {
  const lat__pool_grad_desc *desc = job->maxima.desc;
  const int64_t channels = desc->channels;
  for (int64_t c = 0; c < channels; c++) {
    int64_t id = job->chosen[first + c];
    float value = 0.0f;
    if (id != INT64_MAX) {
      value = lat__float_load(desc->dtype, desc->tangent, id / desc->pairs->n_kernels * channels + c);
    }
    lat__float_store(desc->dtype, desc->result, first + c, value);
  }
}

static void jvp_range(void *arg, int64_t begin, int64_t end, int worker) {
  const jvp_job *job = arg;
  const lat__pool_grad_desc *desc = job->maxima.desc;
  const lat__pairs *pairs = desc->pairs;
  const int64_t channels = desc->channels;
  (void)worker;
  for (int64_t block = begin; block < end; block++) {
    const int64_t *offsets = pairs->offsets + block * pairs->n_kernels;
    int64_t first_row = block * LAT__PAIR_BLOCK_ROWS;
    int64_t n_rows = lat__min_i64(LAT__PAIR_BLOCK_ROWS, desc->n_out - first_row);
    block_maxima(&job->maxima, offsets, first_row, n_rows);
    for (int64_t r = 0; r < n_rows; r++) {
      int64_t row = first_of(desc, first_row + r);
      for (int64_t c = 0; c < channels; c++) job->chosen[row + c] = INT64_MAX;
    }
    for (int32_t k = 0; k < pairs->n_kernels; k++) {
      for (int64_t p = offsets[k]; p < offsets[k + 1]; p++) {
        int64_t row = first_of(desc, first_row + pairs->local_rows[p]), at = pairs->in_rows[p] * channels;
        int64_t id = (int64_t)pairs->in_rows[p] * pairs->n_kernels + k;
        for (int64_t c = 0; c < channels; c++) {
          bool tied = is_maximum(lat__float_load(desc->dtype, desc->x, at + c), job->maxima.largest[row + c]);
          if (tied && id < job->chosen[row + c]) job->chosen[row + c] = id;
        }
      }
    }
    for (int64_t r = 0; r < n_rows; r++) store_chosen(job, first_of(desc, first_row + r));
  }
}

lat_status lat__cpu_max_pool_jvp(lat_context *context, const lat__pool_grad_desc *desc) {
  static const char op[] = "pool product";
  lat_status status = LAT_STATUS_OK;
  void *largest = NULL, *chosen = NULL;
  LAT_TRY(lat__alloc_items(context, op, desc->n_out, (size_t)desc->channels * sizeof(float), &largest), done);
  LAT_TRY(lat__alloc_items(context, op, desc->n_out, (size_t)desc->channels * sizeof(int64_t), &chosen), done);
  jvp_job job = {{desc, NULL, largest, NULL}, chosen};
  lat__parallel_for(context, desc->pairs->n_blocks, 1, jvp_range, &job);
done:
  lat__free(context, largest);
  lat__free(context, chosen);
  return status;
}
