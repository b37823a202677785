// The k nearest source rows of query coordinates, exactly.
//
// The tree of boxes is walked nearer half first; a box is left out when its nearest point is farther than the worst of
// the k best so far. A box's distance is computed as a row's is,
//
//     fl(fl(fl(bx * bx) + fl(by * by)) + fl(bz * bz)),   b = float(distance of the query to the box along the axis)
//
// and rounding is monotone, so it is never above the distance of any of its rows: leaving out is exact. A box as far as
// the worst is looked at, because a lower row number wins there.
//
// How many neighbours a query gets is known beforehand, k or all rows of its batch item, so the result is allocated once.

#include <math.h>

#include "backend/cpu/cpu_backend.h"
#include "backend/cpu/cpu_box_tree.h"
#include "backend/cpu/cpu_neighbors.h"
#include "core/alloc.h"
#include "core/checked.h"
#include "core/compiler.h"
#include "core/context_internal.h"
#include "core/thread.h"

#define QUERY_GRAIN 256

static const char op[] = "knn";

/// One query.
typedef struct search {
  const lat__box_tree *tree;
  const int32_t *at; ///< x, y, z
  float limit;       ///< largest d2 that is still of interest
  int64_t n;         ///< found so far
  int64_t room;      ///< neighbours to keep
  uint64_t *keys;    ///< `room` entries, a heap with the worst on top once full
} search;

/// A box to look at later.
typedef struct waiting {
  int64_t node;
  float distance;
} waiting;

typedef struct knn_job {
  const lat__knn_desc *desc;
  const lat__neighbor_edges *result;
  lat__box_tree tree;
  int64_t room; ///< scratch keys of a worker
  uint64_t *keys;
} knn_job;

static float box_distance(const lat__box_node *node, const int32_t *at) {
  float square[3];
  for (int axis = 0; axis < 3; axis++) {
    int32_t nearest = at[axis] < node->low[axis] ? node->low[axis] : at[axis];
    nearest = nearest > node->high[axis] ? node->high[axis] : nearest;
    square[axis] = lat__square_of_difference(nearest, at[axis]);
  }
  return (square[0] + square[1]) + square[2];
}

/// Takes a row into account; false when it and all later rows at this distance are too far.
static bool accept(search *s, uint64_t key) {
  if (s->n < s->room) {
    s->keys[s->n++] = key;
    if (s->n < s->room) return true;
    lat__keys_make_heap(s->keys, s->n);
  } else if (key < s->keys[0]) {
    s->keys[0] = key;
    lat__keys_sift_down(s->keys, s->n, 0);
  } else {
    return false;
  }
  s->limit = lat__key_distance(s->keys[0]);
  return true;
}

static void search_leaves(search *s, const lat__box_node *node) {
  const int32_t *next_twin = s->tree->next_twin;
  for (int64_t l = node->begin; l < node->end; l++) {
    const lat__box_leaf *leaf = &s->tree->leaves[l];
    float distance =
        lat__square_of_difference(leaf->at[0], s->at[0]) + lat__square_of_difference(leaf->at[1], s->at[1]);
    distance += lat__square_of_difference(leaf->at[2], s->at[2]);
    if (distance > s->limit) continue;
    int32_t row = leaf->row;
    while (accept(s, lat__key_make(distance, row)) && next_twin && next_twin[row] >= 0) row = next_twin[row];
  }
}

static void search_tree(search *s, int64_t root) {
  const lat__box_node *nodes = s->tree->nodes;
  waiting stack[LAT__BOX_TREE_DEPTH];
  int n_waiting = 0;
  stack[n_waiting++] = (waiting){root, 0.0f};
  while (n_waiting > 0) {
    waiting next = stack[--n_waiting];
    if (next.distance > s->limit) continue;
    while (nodes[next.node].upper) { // down the nearer halves
      waiting lower = {next.node + 1, box_distance(&nodes[next.node + 1], s->at)};
      waiting upper = {nodes[next.node].upper, box_distance(&nodes[nodes[next.node].upper], s->at)};
      bool swaps = upper.distance < lower.distance;
      stack[n_waiting++] = swaps ? lower : upper;
      next = swaps ? upper : lower;
    }
    if (next.distance <= s->limit) search_leaves(s, &nodes[next.node]);
  }
}

static void run_queries(void *arg, int64_t begin, int64_t end, int worker) {
  const knn_job *job = arg;
  const lat__neighbor_edges *result = job->result;
  uint64_t *keys = job->keys + worker * job->room;
  for (int64_t q = begin; q < end; q++) {
    const int32_t *row = job->desc->query_rows + 4 * q;
    int64_t n = result->row_offsets[q + 1] - result->row_offsets[q];
    if (n == 0) continue;
    search s = {.tree = &job->tree, .at = row + 1, .limit = INFINITY, .room = n, .keys = keys};
    search_tree(&s, lat__box_tree_find(&job->tree, row[0])->root);
    lat__cpu_neighbor_edges_put(result, q, keys);
  }
}

/// Offsets, number of edges and the largest count of a query. False when the edges leave int64.
static bool count_edges(const knn_job *job, int64_t first_edge, lat__neighbor_edges *result, int64_t *largest) {
  result->row_offsets[0] = first_edge;
  for (int64_t q = 0; q < job->desc->n_queries; q++) {
    const lat__box_item *item = lat__box_tree_find(&job->tree, job->desc->query_rows[4 * q]);
    int64_t n = item ? lat__min_i64(item->n_rows, job->desc->k) : 0;
    *largest = lat__max_i64(*largest, n);
    if (!lat__add_i64(result->row_offsets[q], n, &result->row_offsets[q + 1])) return false;
  }
  result->n_edges = result->row_offsets[job->desc->n_queries];
  return true;
}

lat_status lat__cpu_knn(lat_context *context, const lat__knn_desc *desc, lat__neighbor_edges *out) {
  lat_status status = LAT_STATUS_OK;
  void *offsets = NULL, *keys = NULL;
  int64_t n_keys = 0;
  lat__neighbor_edges result = {0};
  knn_job job = {.desc = desc, .result = &result};
  LAT_TRY(lat__box_tree_create(context, op, desc->source_order, &job.tree), done);
  LAT_TRY(lat__alloc_items(context, op, desc->n_queries + 1, sizeof(int64_t), &offsets), done);
  result.row_offsets = offsets;
  if (!count_edges(&job, context->first_edge, &result,
                   &job.room)) { // 2^31 rows with 2^31 neighbours each: only in theory
    status = lat_fail(LAT_STATUS_OVERFLOW, "%s: more than 2^63 edges: expected a smaller k", op);
    goto done;
  }
  LAT_TRY(lat__cpu_neighbor_edges_alloc(context, op, &result), done);
  int64_t n_workers = lat__min_i64(context->n_threads, lat__ceil_div_i64(desc->n_queries, QUERY_GRAIN));
  if (!lat__mul_i64(job.room, n_workers, &n_keys)) n_keys = INT64_MAX; // refused below
  LAT_TRY(lat__alloc_items(context, op, n_keys, sizeof(uint64_t), &keys), done);
  job.keys = keys;
  lat__parallel_for(context, desc->n_queries, QUERY_GRAIN, run_queries, &job);
  *out = result;
  memset(&result, 0, sizeof result);
done:
  lat__free(context, keys);
  lat__cpu_neighbor_edges_free(context, &result);
  lat__box_tree_free(context, &job.tree);
  return status;
}
