// Edge lists and grouped views of a relation, built from its pair lists when somebody first asks.

#include <string.h>

#include "backend/backend.h"
#include "core/alloc.h"
#include "core/checked.h"
#include "core/compiler.h"
#include "core/context_internal.h"
#include "core/thread.h"
#include "relation/relation_internal.h"

/// row_offsets[row] = number of pairs of the rows of one block.
static void count_block(const lat__pairs *pairs, int64_t block, int64_t *row_offsets) {
  const int64_t *lists = pairs->offsets + block * pairs->n_kernels;
  int64_t first_row = block * LAT__PAIR_BLOCK_ROWS;
  int64_t n_rows = lat__min_i64(LAT__PAIR_BLOCK_ROWS, pairs->n_out - first_row);
  int64_t counts[LAT__PAIR_BLOCK_ROWS] = {0};
  for (int64_t p = lists[0]; p < lists[pairs->n_kernels]; p++) counts[pairs->local_rows[p]]++;
  for (int64_t r = 0; r < n_rows; r++) row_offsets[lat__pairs_out_row(pairs, first_row + r)] = counts[r];
}

/// Edges of one block of output rows, ordered by (output row, kernel element): a counting sort by row over the kernel
/// elements in order, which keeps the order of pairs that agree in both.
static void order_block(const lat_relation *relation, int64_t block, const int64_t *row_offsets) {
  const lat__pairs *pairs = &relation->pairs;
  const int64_t *lists = pairs->offsets + block * pairs->n_kernels;
  int64_t first_row = block * LAT__PAIR_BLOCK_ROWS;
  int64_t n_rows = lat__min_i64(LAT__PAIR_BLOCK_ROWS, pairs->n_out - first_row);
  int64_t next[LAT__PAIR_BLOCK_ROWS]; // the place of a row's next edge
  for (int64_t r = 0; r < n_rows; r++) next[r] = row_offsets[lat__pairs_out_row(pairs, first_row + r)];
  for (int32_t k = 0; k < pairs->n_kernels; k++) {
    for (int64_t p = lists[k]; p < lists[k + 1]; p++) {
      int64_t e = next[pairs->local_rows[p]]++;
      relation->edge_in[e] = pairs->in_rows[p];
      relation->edge_out[e] = (int32_t)lat__pairs_out_row(pairs, first_row + pairs->local_rows[p]);
      relation->edge_kernel[e] = k;
    }
  }
}

typedef struct order_job {
  const lat_relation *relation;
  int64_t *row_offsets;
} order_job;

static void count_blocks(void *arg, int64_t begin, int64_t end, int worker) {
  const order_job *job = arg;
  (void)worker;
  for (int64_t block = begin; block < end; block++) count_block(&job->relation->pairs, block, job->row_offsets);
}

static void order_blocks(void *arg, int64_t begin, int64_t end, int worker) {
  const order_job *job = arg;
  (void)worker;
  for (int64_t block = begin; block < end; block++) order_block(job->relation, block, job->row_offsets);
}

/// Builds the edges, with the view by output, unless they are there. The lock is held.
static lat_status need_edges(lat_context *context, lat_relation *relation) {
  static const char op[] = "relation_edges";
  lat_status status = LAT_STATUS_OK;
  lat_context *home = relation->context; // memory of the relation's context, threads of the caller's
  int64_t n_edges = relation->pairs.n_edges, n_out = relation->pairs.n_out;
  void *in = NULL, *out = NULL, *kernel = NULL, *offsets = NULL;
  if (relation->has_edges) return LAT_STATUS_OK;
  LAT_TRY(lat__alloc_items(home, op, n_edges, sizeof(int32_t), &in), done);
  LAT_TRY(lat__alloc_items(home, op, n_edges, sizeof(int32_t), &out), done);
  LAT_TRY(lat__alloc_items(home, op, n_edges, sizeof(int32_t), &kernel), done);
  LAT_TRY(lat__alloc_items(home, op, n_out + 1, sizeof(int64_t), &offsets), done);
  relation->edge_in = in;
  relation->edge_out = out;
  relation->edge_kernel = kernel;
  order_job job = {relation, offsets};
  lat__parallel_for(context, relation->pairs.n_blocks, 4, count_blocks, &job);
  int64_t total = relation->pairs.offsets[0];
  for (int64_t row = 0; row < n_out; row++) {
    int64_t count = job.row_offsets[row];
    job.row_offsets[row] = total;
    total += count;
  }
  job.row_offsets[n_out] = n_edges;
  lat__parallel_for(context, relation->pairs.n_blocks, 4, order_blocks, &job);
  relation->row_offsets[LAT_RELATION_BY_OUTPUT] = offsets;
  relation->has_edges = true;
  in = out = kernel = offsets = NULL;
done:
  lat__free(home, in);
  lat__free(home, out);
  lat__free(home, kernel);
  lat__free(home, offsets);
  return status;
}

/// Stable counting sort of the edge numbers first .. n_edges - 1 by `keys`: `row_offsets` (n_groups + 1) and `edge_ids`.
static void group_by(const int32_t *keys, int64_t first, int64_t n_edges, int64_t n_groups, int64_t *row_offsets,
                     int64_t *edge_ids) {
  memset(row_offsets, 0, ((size_t)n_groups + 1) * sizeof(int64_t));
  for (int64_t e = first; e < n_edges; e++) row_offsets[keys[e] + 1]++;
  row_offsets[0] = first;
  for (int64_t g = 0; g < n_groups; g++) row_offsets[g + 1] += row_offsets[g];
  for (int64_t e = first; e < n_edges; e++) edge_ids[row_offsets[keys[e]]++] = e;
  // Each offset has moved to the end of its group, that is, to the start of the next one.
  for (int64_t g = n_groups; g > 0; g--) row_offsets[g] = row_offsets[g - 1];
  row_offsets[0] = first;
}

static int64_t count_groups(const lat_relation *relation, lat_relation_group group) {
  if (group == LAT_RELATION_BY_OUTPUT) return relation->pairs.n_out;
  return group == LAT_RELATION_BY_INPUT ? relation->pairs.n_in : relation->pairs.n_kernels;
}

/// Builds a grouped view unless it is there. The lock is held.
static lat_status need_group(lat_context *context, lat_relation *relation, lat_relation_group group) {
  static const char op[] = "relation_group_edges";
  lat_status status = LAT_STATUS_OK;
  lat_context *home = relation->context;
  int64_t n_groups = count_groups(relation, group), n_edges = relation->pairs.n_edges;
  void *offsets = NULL, *ids = NULL;
  LAT_TRY(need_edges(context, relation), done);
  if (relation->row_offsets[group]) return LAT_STATUS_OK;
  LAT_TRY(lat__alloc_items(home, op, n_groups + 1, sizeof(int64_t), &offsets), done);
  LAT_TRY(lat__alloc_items(home, op, n_edges, sizeof(int64_t), &ids), done);
  const int32_t *keys = group == LAT_RELATION_BY_INPUT ? relation->edge_in : relation->edge_kernel;
  group_by(keys, relation->pairs.offsets[0], n_edges, n_groups, offsets, ids);
  relation->row_offsets[group] = offsets;
  relation->edge_ids[group] = ids;
  offsets = ids = NULL;
done:
  lat__free(home, offsets);
  lat__free(home, ids);
  return status;
}

static lat_status check_view_arguments(const char *op, const lat_context *context, const lat_relation *relation,
                                       const void *out) {
  const char *missing = !context ? "context" : !relation ? "relation" : !out ? "out" : NULL;
  if (!missing) return LAT_STATUS_OK;
  return lat_fail(LAT_STATUS_INVALID_ARGUMENT, "%s: %s: got NULL, expected an object", op, missing);
}

lat_status lat_relation_edges(lat_context *context, const lat_relation *relation, lat_relation_edge_list *out) {
  lat_status status = check_view_arguments("relation_edges", context, relation, out);
  if (status) return status;
  lat_relation *owner = (lat_relation *)relation; // views of a const relation are built lazily, under its lock
  pthread_mutex_lock(&owner->lock);
  status = need_edges(context, owner);
  pthread_mutex_unlock(&owner->lock);
  if (status) return status;
  *out =
      (lat_relation_edge_list){relation->pairs.n_edges, relation->edge_in, relation->edge_out, relation->edge_kernel};
  return LAT_STATUS_OK;
}

lat_status lat_relation_group_edges(lat_context *context, const lat_relation *relation, lat_relation_group group,
                                    lat_relation_csr *out) {
  static const char op[] = "relation_group_edges";
  lat_status status = check_view_arguments(op, context, relation, out);
  if (status) return status;
  if ((int)group < LAT_RELATION_BY_OUTPUT || group > LAT_RELATION_BY_KERNEL) {
    return lat_fail(LAT_STATUS_INVALID_ARGUMENT, "%s: group is unknown: got %d, expected 0 to %d", op, (int)group,
                    (int)LAT_RELATION_BY_KERNEL);
  }
  lat_relation *owner = (lat_relation *)relation; // as above
  pthread_mutex_lock(&owner->lock);
  status = need_group(context, owner, group);
  pthread_mutex_unlock(&owner->lock);
  if (status) return status;
  *out = (lat_relation_csr){count_groups(relation, group), relation->row_offsets[group], relation->edge_ids[group]};
  return LAT_STATUS_OK;
}

lat_status lat__relation_pairs_by_input(lat_context *context, const lat_relation *relation, const lat__pairs **out) {
  lat_relation *owner = (lat_relation *)relation; // as above
  lat_status status = LAT_STATUS_OK;
  pthread_mutex_lock(&owner->lock);
  if (!owner->has_by_input) {
    status = lat__backend_of(context)->pairs_swap(owner->context, &owner->pairs, &owner->by_input);
    owner->has_by_input = status == LAT_STATUS_OK;
  }
  pthread_mutex_unlock(&owner->lock);
  *out = status ? NULL : &owner->by_input;
  return status;
}
