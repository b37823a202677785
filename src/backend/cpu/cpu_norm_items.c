// Norms over the rows of batch items (batch norm is the case of one item), and their gradients.
//
// The rows of an item are cut into chunks whose length depends on the item's row count alone. Each pass gives every chunk
// a slot of sums in double; an item's slots are added in order. So neither threads nor other items change the bits.

#include <math.h>

#include "backend/cpu/cpu_backend.h"
#include "core/alloc.h"
#include "core/array_internal.h"
#include "core/checked.h"
#include "core/compiler.h"
#include "core/thread.h"

#define MIN_CHUNK_ROWS 256
#define MAX_CHUNKS 512

typedef struct items_chunk {
  int64_t item, begin, end; ///< entries of the item's rows
} items_chunk;

typedef enum items_pass { PASS_SUMS, PASS_SQUARES, PASS_GRADIENTS } items_pass;

typedef struct items_job {
  const lat__norm_items_desc *desc;
  items_pass pass;
  int64_t n_chunks;
  items_chunk *chunks;
  double *slots;     ///< (n_chunks, 2, channels)
  double *totals;    ///< (n_items, 2, channels)
  double *mean;      ///< (n_items, channels), as all below: of the rows
  double *shift;     ///< what is subtracted: the mean, or the one that was given
  double *inverse;   ///< 1 / sqrt(var + eps)
  double *mean_grad; ///< share of every element in the gradient through the mean
  double *var_grad;  ///< likewise through the variance, for a normalized value of 1
} items_job;

static int64_t row_of(const lat__norm_items_desc *desc, int64_t entry) {
  return desc->item_rows ? desc->item_rows[entry] : entry;
}

static int64_t rows_of_item(const lat__norm_items_desc *desc, int64_t item) {
  return desc->item_offsets[item + 1] - desc->item_offsets[item];
}

static double weight_of(const lat__norm_items_desc *desc, int64_t c) {
  return desc->weight ? (double)desc->weight[c] : 1.0;
}

static void sum_row(const items_job *job, int64_t item, int64_t row, double *slot) {
  const lat__norm_items_desc *desc = job->desc;
  int64_t channels = desc->channels, first = row * channels, at = item * channels;
  for (int64_t c = 0; c < channels; c++) {
    double x = (double)lat__float_load(desc->dtype_in, desc->x, first + c);
    if (job->pass == PASS_SUMS) {
      slot[c] += x;
    } else if (job->pass == PASS_SQUARES) {
      slot[c] += (x - job->mean[at + c]) * (x - job->mean[at + c]);
    } else {
      double grad = (double)lat__float_load(desc->dtype_grad, desc->grad, first + c);
      slot[c] += grad;
      slot[channels + c] += grad * ((x - job->shift[at + c]) * job->inverse[at + c]);
    }
  }
}

static void sum_range(void *arg, int64_t begin, int64_t end, int worker) {
  const items_job *job = arg;
  int64_t width = 2 * job->desc->channels;
  (void)worker;
  for (int64_t k = begin; k < end; k++) {
    const items_chunk *chunk = &job->chunks[k];
    double *slot = job->slots + k * width;
    for (int64_t c = 0; c < width; c++) slot[c] = 0.0;
    for (int64_t entry = chunk->begin; entry < chunk->end; entry++) {
      sum_row(job, chunk->item, row_of(job->desc, entry), slot);
    }
  }
}

/// totals = the sums of one pass for every item and channel.
static void run_pass(lat_context *context, items_job *job, items_pass pass) {
  int64_t width = 2 * job->desc->channels;
  job->pass = pass;
  lat__parallel_for(context, job->n_chunks, 1, sum_range, job);
  for (int64_t i = 0; i < job->desc->n_items * width; i++) job->totals[i] = 0.0;
  for (int64_t k = 0; k < job->n_chunks; k++) {
    double *total = job->totals + job->chunks[k].item * width;
    for (int64_t c = 0; c < width; c++) total[c] += job->slots[k * width + c];
  }
}

/// target = the mean over each group of half `half` of the totals, times the weights if wanted; written to every channel.
static void fold_groups(const items_job *job, int half, bool weighted, double *target) {
  const lat__norm_items_desc *desc = job->desc;
  int64_t channels = desc->channels, per_group = channels / desc->groups;
  for (int64_t item = 0; item < desc->n_items; item++) {
    const double *total = job->totals + (2 * item + half) * channels;
    double count = (double)lat__max_i64(1, rows_of_item(desc, item)) * (double)per_group;
    for (int64_t first = 0; first < channels; first += per_group) {
      double sum = 0.0;
      for (int64_t c = first; c < first + per_group; c++) sum += weighted ? total[c] * weight_of(desc, c) : total[c];
      for (int64_t c = first; c < first + per_group; c++) target[item * channels + c] = sum / count;
    }
  }
}

static void take_statistics(lat_context *context, items_job *job) {
  const lat__norm_items_desc *desc = job->desc;
  int64_t channels = desc->channels, n = desc->n_items * channels;
  if (!desc->mean || !desc->var) {
    run_pass(context, job, PASS_SUMS);
    fold_groups(job, 0, false, job->mean);
  }
  if (!desc->var) {
    run_pass(context, job, PASS_SQUARES);
    fold_groups(job, 0, false, job->inverse);
  }
  for (int64_t i = 0; i < n; i++) {
    double var = desc->var ? (double)desc->var[i % channels] : job->inverse[i];
    job->inverse[i] = 1.0 / sqrt(var + (double)desc->eps);
    job->shift[i] = desc->mean ? (double)desc->mean[i % channels] : job->mean[i];
    if (desc->mean && desc->var) job->mean[i] = job->shift[i];
  }
}

/// Sums of the gradient: those of weight and bias, and what flows back through the statistics.
static void take_gradients(lat_context *context, items_job *job) {
  const lat__norm_items_desc *desc = job->desc;
  int64_t channels = desc->channels;
  run_pass(context, job, PASS_GRADIENTS);
  fold_groups(job, 0, true, job->mean_grad);
  fold_groups(job, 1, true, job->var_grad);
  for (int64_t i = 0; i < desc->n_items * channels; i++) {
    if (desc->mean) job->mean_grad[i] = 0.0;
    if (desc->var) job->var_grad[i] = 0.0;
  }
  for (int64_t c = 0; c < channels; c++) {
    double bias = 0.0, weight = 0.0;
    for (int64_t item = 0; item < desc->n_items; item++) {
      bias += job->totals[2 * item * channels + c];
      weight += job->totals[(2 * item + 1) * channels + c];
    }
    if (desc->bias_grad) desc->bias_grad[c] = (float)bias;
    if (desc->weight_grad) desc->weight_grad[c] = (float)weight;
  }
}

static void finish_row(const items_job *job, int64_t item, int64_t row) {
  const lat__norm_items_desc *desc = job->desc;
  int64_t channels = desc->channels, first = row * channels, at = item * channels;
  for (int64_t c = 0; c < channels; c++) {
    double x = (double)lat__float_load(desc->dtype_in, desc->x, first + c), y;
    if (desc->has_grad) {
      double grad = (double)lat__float_load(desc->dtype_grad, desc->grad, first + c);
      double centred = (x - job->mean[at + c]) * job->inverse[at + c];
      y = job->inverse[at + c] *
          ((grad * weight_of(desc, c) - job->mean_grad[at + c]) - centred * job->var_grad[at + c]);
    } else {
      double bias = desc->bias ? (double)desc->bias[c] : 0.0;
      y = (x - job->shift[at + c]) * job->inverse[at + c] * weight_of(desc, c) + bias;
    }
    lat__float_store(desc->dtype_out, desc->y, first + c, (float)y);
  }
}

static void finish_range(void *arg, int64_t begin, int64_t end, int worker) {
  const items_job *job = arg;
  (void)worker;
  for (int64_t k = begin; k < end; k++) {
    const items_chunk *chunk = &job->chunks[k];
    for (int64_t entry = chunk->begin; entry < chunk->end; entry++) {
      finish_row(job, chunk->item, row_of(job->desc, entry));
    }
  }
}

static int64_t chunk_rows_of(const lat__norm_items_desc *desc, int64_t item) {
  return lat__max_i64(MIN_CHUNK_ROWS, lat__ceil_div_i64(rows_of_item(desc, item), MAX_CHUNKS));
}

/// Counts the chunks, and writes them when `chunks` is given.
static int64_t cut_chunks(const lat__norm_items_desc *desc, items_chunk *chunks) {
  int64_t n_chunks = 0;
  for (int64_t item = 0; item < desc->n_items; item++) {
    int64_t end = desc->item_offsets[item + 1], step = chunk_rows_of(desc, item);
    for (int64_t entry = desc->item_offsets[item]; entry < end; entry += step) {
      if (chunks) chunks[n_chunks] = (items_chunk){item, entry, lat__min_i64(end, entry + step)};
      n_chunks++;
    }
  }
  return n_chunks;
}

lat_status lat__cpu_norm_items(lat_context *context, const lat__norm_items_desc *desc) {
  static const char op[] = "norm";
  lat_status status = LAT_STATUS_OK;
  void *chunks = NULL, *slots = NULL, *values = NULL;
  if (desc->channels == 0) return LAT_STATUS_OK;
  items_job job = {.desc = desc, .n_chunks = cut_chunks(desc, NULL)};
  int64_t n = desc->n_items * desc->channels;
  size_t row_bytes = (size_t)desc->channels * sizeof(double);
  LAT_TRY(lat__alloc_items(context, op, job.n_chunks, sizeof *job.chunks, &chunks), done);
  LAT_TRY(lat__alloc_items(context, op, 2 * job.n_chunks, row_bytes, &slots), done);
  LAT_TRY(lat__alloc_zero(context, op, 7 * desc->n_items, row_bytes, &values), done);
  job.chunks = chunks;
  job.slots = slots;
  job.totals = values;
  job.mean = job.totals + 2 * n;
  job.shift = job.mean + n;
  job.inverse = job.shift + n;
  job.mean_grad = job.inverse + n;
  job.var_grad = job.mean_grad + n;
  (void)cut_chunks(desc, job.chunks);
  take_statistics(context, &job);
  if (desc->has_grad) take_gradients(context, &job);
  if (desc->y) lat__parallel_for(context, job.n_chunks, 1, finish_range, &job);
done:
  lat__free(context, values);
  lat__free(context, slots);
  lat__free(context, chunks);
  return status;
}
