// Pair lists with inputs and outputs exchanged: a counting sort by (block of input rows, kernel element), or, where a
// relation is its own mirror image, the lists of each block in reverse.

#include <string.h>

#include "backend/cpu/cpu_backend.h"
#include "core/alloc.h"
#include "core/checked.h"
#include "core/compiler.h"
#include "core/context_internal.h"
#include "core/thread.h"

#define MIRROR_BLOCKS 16

static const char op[] = "relation";

int64_t lat__cpu_distinct_prefix(const uint16_t *local_rows, int64_t n) {
  uint64_t seen[LAT__PAIR_BLOCK_ROWS / 64] = {0};
  for (int64_t p = 0; p < n; p++) {
    uint64_t bit = UINT64_C(1) << (local_rows[p] % 64);
    if (seen[local_rows[p] / 64] & bit) return p;
    seen[local_rows[p] / 64] |= bit;
  }
  return n;
}

bool lat__cpu_pairs_repeat(const lat__pairs *pairs) {
  for (int64_t list = 0; list < pairs->n_blocks * pairs->n_kernels; list++) {
    int64_t n = pairs->offsets[list + 1] - pairs->offsets[list];
    if (lat__cpu_distinct_prefix(pairs->local_rows + pairs->offsets[list], n) < n) return true;
  }
  return false;
}

/// Counts the pairs of every list of `out`, then makes its offsets the starts of the lists.
static void place_lists(const lat__pairs *pairs, lat__pairs *out) {
  const int64_t n_kernels = pairs->n_kernels, n_lists = out->n_blocks * n_kernels;
  memset(out->offsets, 0, ((size_t)n_lists + 1) * sizeof *out->offsets);
  for (int64_t list = 0; list < pairs->n_blocks * n_kernels; list++) {
    int64_t k = list % n_kernels;
    for (int64_t p = pairs->offsets[list]; p < pairs->offsets[list + 1]; p++) {
      out->offsets[pairs->in_rows[p] / LAT__PAIR_BLOCK_ROWS * n_kernels + k + 1]++;
    }
  }
  out->offsets[0] = pairs->offsets[0];
  for (int64_t list = 0; list < n_lists; list++) out->offsets[list + 1] += out->offsets[list];
}

/// Walks blocks and kernel elements in order, so that a row's partners come block by block.
static void fill_lists(const lat__pairs *pairs, int64_t *next, lat__pairs *out) {
  const int64_t n_kernels = pairs->n_kernels;
  for (int64_t list = 0; list < pairs->n_blocks * n_kernels; list++) {
    int64_t k = list % n_kernels, first_row = list / n_kernels * LAT__PAIR_BLOCK_ROWS;
    for (int64_t p = pairs->offsets[list]; p < pairs->offsets[list + 1]; p++) {
      int32_t row = pairs->in_rows[p];
      int64_t at = next[row / LAT__PAIR_BLOCK_ROWS * n_kernels + k]++;
      out->in_rows[at] = (int32_t)lat__pairs_out_row(pairs, first_row + pairs->local_rows[p]);
      out->local_rows[at] = (uint16_t)(row % LAT__PAIR_BLOCK_ROWS);
    }
  }
}

typedef struct mirror_job {
  const lat__pairs *pairs;
  lat__pairs *out;
} mirror_job;

static void mirror_blocks(void *arg, int64_t begin, int64_t end, int worker) {
  const mirror_job *job = arg;
  const lat__pairs *pairs = job->pairs;
  (void)worker;
  for (int64_t block = begin; block < end; block++) {
    const int64_t *lists = pairs->offsets + block * pairs->n_kernels;
    int64_t at = lists[0];
    for (int32_t k = 0; k < pairs->n_kernels; k++) {
      const int64_t *list = lists + pairs->n_kernels - 1 - k;
      size_t n = (size_t)(list[1] - list[0]);
      memcpy(job->out->in_rows + at, pairs->in_rows + list[0], n * sizeof *pairs->in_rows);
      memcpy(job->out->local_rows + at, pairs->local_rows + list[0], n * sizeof *pairs->local_rows);
      job->out->offsets[block * pairs->n_kernels + k] = at;
      at += list[1] - list[0];
    }
  }
}

static lat_status mirror(lat_context *context, const lat__pairs *pairs, lat__pairs *out) {
  lat_status status = LAT_STATUS_OK;
  const int64_t n_lists = pairs->n_blocks * pairs->n_kernels;
  void *offsets = NULL, *in_rows = NULL, *local_rows = NULL, *out_rows = NULL;
  lat__pairs mirrored = *pairs;
  LAT_TRY(lat__alloc_items(context, op, n_lists + 1, sizeof(int64_t), &offsets), done);
  LAT_TRY(lat__alloc_items(context, op, pairs->n_edges, sizeof(int32_t), &in_rows), done);
  LAT_TRY(lat__alloc_items(context, op, pairs->n_edges, sizeof(uint16_t), &local_rows), done);
  if (pairs->out_rows) {
    LAT_TRY(lat__alloc_items(context, op, pairs->n_out, sizeof(int32_t), &out_rows), done);
    memcpy(out_rows, pairs->out_rows, (size_t)pairs->n_out * sizeof(int32_t));
  }
  mirrored.offsets = offsets;
  mirrored.in_rows = in_rows;
  mirrored.local_rows = local_rows;
  mirrored.out_rows = out_rows;
  lat__parallel_for(context, pairs->n_blocks, MIRROR_BLOCKS, mirror_blocks, &(mirror_job){pairs, &mirrored});
  mirrored.offsets[n_lists] = pairs->offsets[n_lists];
  *out = mirrored;
  offsets = in_rows = local_rows = NULL;
done:
  lat__free(context, offsets);
  lat__free(context, in_rows);
  lat__free(context, local_rows);
  return status;
}

lat_status lat__cpu_pairs_swap(lat_context *context, const lat__pairs *pairs, lat__pairs *out) {
  lat_status status = LAT_STATUS_OK;
  void *offsets = NULL, *in_rows = NULL, *local_rows = NULL, *next = NULL;
  lat__pairs swapped = {.n_in = pairs->n_out,
                        .n_out = pairs->n_in,
                        .n_edges = pairs->n_edges,
                        .n_blocks = lat__ceil_div_i64(pairs->n_in, LAT__PAIR_BLOCK_ROWS),
                        .n_kernels = pairs->n_kernels};
  const int64_t n_lists = swapped.n_blocks * pairs->n_kernels;
  if (pairs->mirrored) return mirror(context, pairs, out);
  LAT_TRY(lat__alloc_items(context, op, n_lists + 1, sizeof(int64_t), &offsets), done);
  LAT_TRY(lat__alloc_items(context, op, n_lists + 1, sizeof(int64_t), &next), done);
  LAT_TRY(lat__alloc_items(context, op, pairs->n_edges, sizeof(int32_t), &in_rows), done);
  LAT_TRY(lat__alloc_items(context, op, pairs->n_edges, sizeof(uint16_t), &local_rows), done);
  swapped.offsets = offsets;
  swapped.in_rows = in_rows;
  swapped.local_rows = local_rows;
  place_lists(pairs, &swapped);
  memcpy(next, offsets, ((size_t)n_lists + 1) * sizeof(int64_t));
  fill_lists(pairs, next, &swapped);
  swapped.repeats = lat__cpu_pairs_repeat(&swapped);
  *out = swapped;
  offsets = in_rows = local_rows = NULL;
done:
  lat__free(context, offsets);
  lat__free(context, next);
  lat__free(context, in_rows);
  lat__free(context, local_rows);
  return status;
}
