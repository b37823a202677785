// Transposed relations: o = i * stride + tap * dilation - padding.
//
// Without a target every (input row, kernel element) makes an output; edge e = i * K + k in that scan. Where outputs can
// overlap, equal ones are merged in first-seen order and `out_of_edge[e]` says where e went.
// With a target each (target row, kernel element) has at most one input, found in the input's index after an exact
// division.

#include <string.h>

#include "backend/cpu/cpu_backend.h"
#include "core/alloc.h"
#include "core/checked.h"
#include "core/compiler.h"
#include "core/context_internal.h"
#include "core/first_index.h"
#include "core/thread.h"

#define INPUT_GRAIN 4096

static const char op[] = "transposed relation";

/// Taps of kernel element k, dilated and shifted by the padding; 64-bit, so that nothing wraps.
static void tap_of(const lat__transposed_desc *desc, int32_t k, int64_t tap[3]) {
  lat_triple size = desc->kernel_size;
  tap[0] = (int64_t)(k / (size.y * size.z)) * desc->dilation.x - desc->padding.x;
  tap[1] = (int64_t)(k / size.z % size.y) * desc->dilation.y - desc->padding.y;
  tap[2] = (int64_t)(k % size.z) * desc->dilation.z - desc->padding.z;
}

typedef struct expand_job {
  const lat__transposed_desc *desc;
  int32_t *rows; ///< (n_in * K, 4)
  lat__first_index bad_row;
} expand_job;

static bool expand_row(const lat__transposed_desc *desc, const int32_t *in, int32_t *out) {
  const int32_t stride[3] = {desc->stride.x, desc->stride.y, desc->stride.z};
  for (int32_t k = 0; k < desc->n_kernels; k++, out += 4) {
    int64_t tap[3];
    tap_of(desc, k, tap);
    out[0] = in[0];
    for (int axis = 0; axis < 3; axis++) {
      int64_t value = (int64_t)in[1 + axis] * stride[axis] + tap[axis]; // below 2^63: 2^31 * 2^31 + 2^32
      if (value < INT32_MIN || value > INT32_MAX) return false;
      out[1 + axis] = (int32_t)value;
    }
  }
  return true;
}

static void expand_range(void *arg, int64_t begin, int64_t end, int worker) {
  expand_job *job = arg;
  const lat__transposed_desc *desc = job->desc;
  (void)worker;
  for (int64_t i = begin; i < end; i++) {
    if (!expand_row(desc, desc->in_rows + 4 * i, job->rows + 4 * i * desc->n_kernels)) {
      lat__first_index_report(&job->bad_row, i);
      return;
    }
  }
}

/// All outputs in scan order, `(n_in * K, 4)`.
static lat_status expand(lat_context *context, const lat__transposed_desc *desc, int32_t **out, int64_t *n_out) {
  void *rows = NULL;
  if (!lat__mul_i64(desc->n_in, desc->n_kernels, n_out) || *n_out > INT32_MAX) {
    return lat_fail(LAT_STATUS_OVERFLOW,
                    "%s: too many output rows: got %lld inputs times %d kernel elements, expected "
                    "at most %lld together",
                    op, (long long)desc->n_in, (int)desc->n_kernels, (long long)INT32_MAX);
  }
  lat_status status = lat__alloc_items(context, op, *n_out, 4 * sizeof(int32_t), &rows);
  if (status) return status;
  expand_job job = {.desc = desc, .rows = rows};
  lat__first_index_init(&job.bad_row);
  lat__parallel_for(context, desc->n_in, INPUT_GRAIN, expand_range, &job);
  int64_t bad = lat__first_index_get(&job.bad_row);
  if (bad != LAT__NO_INDEX) {
    const int32_t *in = desc->in_rows + 4 * bad;
    lat__free(context, rows);
    return lat_fail(
        LAT_STATUS_OVERFLOW,
        "%s: an output coordinate leaves int32: got input (%d, %d, %d) at row %lld, expected outputs within "
        "-2^31 to 2^31 - 1",
        op, (int)in[1], (int)in[2], (int)in[3], (long long)bad);
  }
  *out = rows;
  return LAT_STATUS_OK;
}

/// Distinct rows of `*rows`, first-seen, in place of it; `*out_of_edge` from lat__alloc.
static lat_status merge(lat_context *context, int32_t **rows, int64_t *n_rows, int32_t **out_of_edge) {
  lat_status status = LAT_STATUS_OK;
  void *unique = NULL, *inverse = NULL, *exact = NULL;
  int64_t n_unique = 0;
  LAT_TRY(lat__alloc_items(context, op, *n_rows, 4 * sizeof(int32_t), &unique), done);
  LAT_TRY(lat__alloc_items(context, op, *n_rows, sizeof(int32_t), &inverse), done);
  LAT_TRY(lat__cpu_unique_rows(context, *rows, *n_rows, unique, inverse, &n_unique), done);
  LAT_TRY(lat__alloc_items(context, op, n_unique, 4 * sizeof(int32_t), &exact), done);
  if (n_unique > 0) memcpy(exact, unique, (size_t)n_unique * 4 * sizeof(int32_t));
  lat__free(context, *rows);
  *rows = exact;
  *n_rows = n_unique;
  *out_of_edge = inverse;
  inverse = NULL;
done:
  lat__free(context, unique);
  lat__free(context, inverse);
  return status;
}

/// Room for the pairs of `n_edges` edges, and offsets cleared.
static lat_status alloc_pairs(lat_context *context, int64_t n_in, int64_t n_out, int32_t n_kernels, lat__pairs *out) {
  void *offsets = NULL;
  *out = (lat__pairs){
      .n_in = n_in, .n_out = n_out, .n_blocks = lat__ceil_div_i64(n_out, LAT__PAIR_BLOCK_ROWS), .n_kernels = n_kernels};
  int64_t n_lists = 0;
  if (!lat__mul_i64(out->n_blocks, n_kernels, &n_lists)) {
    return lat_fail(LAT_STATUS_OVERFLOW,
                    "%s: too many pair lists: got %lld blocks of %d, expected a product within "
                    "int64",
                    op, (long long)out->n_blocks, (int)n_kernels);
  }
  lat_status status = lat__alloc_zero(context, op, n_lists + 1, sizeof(int64_t), &offsets);
  out->offsets = offsets;
  return status;
}

static lat_status alloc_edges(lat_context *context, int64_t n_edges, lat__pairs *out) {
  void *in_rows = NULL, *local_rows = NULL;
  lat_status status = lat__alloc_items(context, op, n_edges, sizeof(int32_t), &in_rows);
  if (!status) status = lat__alloc_items(context, op, n_edges, sizeof(uint16_t), &local_rows);
  out->n_edges = n_edges;
  out->in_rows = in_rows;
  out->local_rows = local_rows;
  return status;
}

static void free_pairs(lat_context *context, lat__pairs *pairs) {
  lat__free(context, pairs->offsets);
  lat__free(context, pairs->in_rows);
  lat__free(context, pairs->local_rows);
  lat__free(context, pairs->out_rows);
  memset(pairs, 0, sizeof *pairs);
}

/// Counting sort of the scan's edges by (block, kernel element). Ascending e keeps inputs ascending.
static lat_status sort_edges(lat_context *context, const int32_t *out_of_edge, lat__pairs *out) {
  lat_status status = LAT_STATUS_OK;
  void *next = NULL;
  const int64_t n_edges = out->n_in * out->n_kernels, n_lists = out->n_blocks * out->n_kernels;
  LAT_TRY(alloc_edges(context, context->first_edge + n_edges, out), done);
  LAT_TRY(lat__alloc_items(context, op, n_lists + 1, sizeof(int64_t), &next), done);
  for (int64_t e = 0; e < n_edges; e++) {
    int64_t row = out_of_edge ? out_of_edge[e] : e;
    out->offsets[row / LAT__PAIR_BLOCK_ROWS * out->n_kernels + e % out->n_kernels + 1]++;
  }
  out->offsets[0] = context->first_edge;
  for (int64_t list = 0; list < n_lists; list++) out->offsets[list + 1] += out->offsets[list];
  memcpy(next, out->offsets, ((size_t)n_lists + 1) * sizeof(int64_t));
  for (int64_t e = 0; e < n_edges; e++) {
    int64_t row = out_of_edge ? out_of_edge[e] : e;
    int64_t at = ((int64_t *)next)[row / LAT__PAIR_BLOCK_ROWS * out->n_kernels + e % out->n_kernels]++;
    out->in_rows[at] = (int32_t)(e / out->n_kernels);
    out->local_rows[at] = (uint16_t)(row % LAT__PAIR_BLOCK_ROWS);
  }
done:
  lat__free(context, next);
  return status;
}

lat_status lat__cpu_transposed_build(lat_context *context, const lat__transposed_desc *desc, int32_t **out_rows,
                                     int64_t *n_out, lat__pairs *out) {
  lat_status status = LAT_STATUS_OK;
  int32_t *rows = NULL, *out_of_edge = NULL;
  lat__pairs pairs = {.n_in = 0};
  LAT_TRY(expand(context, desc, &rows, n_out), done);
  if (!desc->keeps_every_row) LAT_TRY(merge(context, &rows, n_out, &out_of_edge), done);
  LAT_TRY(alloc_pairs(context, desc->n_in, *n_out, desc->n_kernels, &pairs), done);
  LAT_TRY(sort_edges(context, out_of_edge, &pairs), done);
  pairs.repeats = out_of_edge && lat__cpu_pairs_repeat(&pairs);
  *out = pairs;
  *out_rows = rows;
  rows = NULL;
  memset(&pairs, 0, sizeof pairs);
done:
  free_pairs(context, &pairs);
  lat__free(context, rows);
  lat__free(context, out_of_edge);
  return status;
}

/// The input that meets target `t` under `tap`; false when a division leaves a remainder or the input leaves int32.
static bool source_of(const int32_t *t, const int64_t tap[3], const int32_t stride[3], int32_t *in) {
  in[0] = t[0];
  for (int axis = 0; axis < 3; axis++) {
    int64_t value = t[1 + axis] - tap[axis];
    if (value % stride[axis] != 0) return false;
    value /= stride[axis];
    if (value < INT32_MIN || value > INT32_MAX) return false;
    in[1 + axis] = (int32_t)value;
  }
  return true;
}

typedef struct target_job {
  const lat__transposed_desc *desc;
  lat_context *context;
  const lat__coord_index *index;
  const int32_t *targets;
  int64_t n_targets;
  lat__pairs *pairs;
  bool fills; ///< second pass: write the pairs; first pass: count them
} target_job;

/// One list: candidates by exact division, looked up together.
static void find_list(const target_job *job, int64_t block, int32_t k) {
  const lat__transposed_desc *desc = job->desc;
  const int32_t stride[3] = {desc->stride.x, desc->stride.y, desc->stride.z};
  int32_t queries[4 * LAT__PAIR_BLOCK_ROWS], found[LAT__PAIR_BLOCK_ROWS];
  uint16_t local[LAT__PAIR_BLOCK_ROWS];
  int64_t first = block * LAT__PAIR_BLOCK_ROWS, list = block * desc->n_kernels + k, n = 0, tap[3];
  int64_t n_rows = lat__min_i64(LAT__PAIR_BLOCK_ROWS, job->n_targets - first);
  tap_of(desc, k, tap);
  for (int64_t r = 0; r < n_rows; r++) {
    if (source_of(job->targets + 4 * (first + r), tap, stride, queries + 4 * n)) local[n++] = (uint16_t)r;
  }
  // Few queries: the look-up runs in this thread and cannot fail.
  if (n > 0) (void)lat__cpu_index_lookup(job->context, job->index, queries, n, found);
  int64_t at = job->fills ? job->pairs->offsets[list] : 0;
  for (int64_t q = 0; q < n; q++) {
    if (found[q] < 0) continue;
    if (job->fills) {
      job->pairs->in_rows[at] = found[q];
      job->pairs->local_rows[at] = local[q];
    }
    at++;
  }
  if (!job->fills) job->pairs->offsets[list + 1] = at;
}

static void target_blocks(void *arg, int64_t begin, int64_t end, int worker) {
  const target_job *job = arg;
  (void)worker;
  for (int64_t block = begin; block < end; block++) {
    for (int32_t k = 0; k < job->desc->n_kernels; k++) find_list(job, block, k);
  }
}

lat_status lat__cpu_target_transposed_build(lat_context *context, const lat__transposed_desc *desc,
                                            const lat__coord_index *index, const int32_t *targets, int64_t n_targets,
                                            lat__pairs *out) {
  lat_status status = LAT_STATUS_OK;
  lat__pairs pairs = {.n_in = 0};
  LAT_TRY(alloc_pairs(context, desc->n_in, n_targets, desc->n_kernels, &pairs), done);
  target_job job = {desc, context, index, targets, n_targets, &pairs, false};
  lat__parallel_for(context, pairs.n_blocks, 1, target_blocks, &job);
  const int64_t n_lists = pairs.n_blocks * pairs.n_kernels;
  pairs.offsets[0] = context->first_edge;
  for (int64_t list = 0; list < n_lists; list++) pairs.offsets[list + 1] += pairs.offsets[list];
  LAT_TRY(alloc_edges(context, pairs.offsets[n_lists], &pairs), done);
  job.fills = true;
  lat__parallel_for(context, pairs.n_blocks, 1, target_blocks, &job);
  *out = pairs;
  memset(&pairs, 0, sizeof pairs);
done:
  free_pairs(context, &pairs);
  return status;
}
