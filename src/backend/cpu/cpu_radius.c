// Closed-ball neighbours of query coordinates.
//
// A query starts at its own place in the tree of the sources and moves outwards in both directions on each level, until
// the distance along that axis alone is too far. Distances are float32 throughout and rounding is monotone, so stopping
// there is exact:
//
//     d2 = fl(fl(fl(dx * dx) + fl(dy * dy)) + fl(dz * dz)),   dx = float(difference in int64)
//
// Queries are walked twice, to count and then to fill arrays of the exact size. With max_neighbors the best so far are
// kept in a heap and their worst narrows the search.

#include <float.h>
#include <math.h>
#include <string.h>

#include "backend/cpu/cpu_backend.h"
#include "backend/cpu/cpu_neighbors.h"
#include "backend/cpu/cpu_order.h"
#include "core/alloc.h"
#include "core/checked.h"
#include "core/compiler.h"
#include "core/context_internal.h"
#include "core/thread.h"

#define QUERY_GRAIN 256

static const char op[] = "radius";

/// One query.
typedef struct search {
  const lat__coord_order *order;
  int32_t at[3];  ///< x, y, z
  float limit;    ///< largest d2 that is still of interest
  int64_t n;      ///< found so far
  int64_t room;   ///< neighbours to keep
  uint64_t *keys; ///< `room` entries, a heap with the worst on top once full; NULL: only count
} search;

typedef struct radius_job {
  const lat__radius_desc *desc;
  const lat__neighbor_edges *result;
  float limit;
  int64_t max_neighbors; ///< INT64_MAX: all
  int64_t room;          ///< scratch keys of a worker
  uint64_t *keys;
} radius_job;

/// Takes a source into account. False when the search may stop: it only counts, and has counted enough.
static bool accept(search *s, float distance, int32_t row) {
  uint64_t key = lat__key_make(distance, row);
  if (!s->keys) return ++s->n < s->room;
  if (s->n < s->room) {
    s->keys[s->n++] = key;
    if (s->n < s->room) return true;
    lat__keys_make_heap(s->keys, s->n);
  } else if (key < s->keys[0]) {
    s->keys[0] = key;
    lat__keys_sift_down(s->keys, s->n, 0);
  }
  s->limit = lat__key_distance(s->keys[0]) < s->limit ? lat__key_distance(s->keys[0]) : s->limit;
  return true;
}

/// First of the ascending values[begin .. end) that is not below `value`.
static int64_t lower_bound(const int32_t *values, int64_t begin, int64_t end, int32_t value) {
  while (begin < end) {
    int64_t middle = begin + (end - begin) / 2;
    if (values[middle] < value) {
      begin = middle + 1;
    } else {
      end = middle;
    }
  }
  return begin;
}

static bool search_column(search *s, int64_t column, float d2) {
  const lat__coord_order *order = s->order;
  int64_t begin = order->column_begin[column], end = order->column_begin[column + 1];
  int64_t middle = lower_bound(order->z, begin, end, s->at[2]);
  for (int64_t leaf = middle; leaf < end; leaf++) {
    float distance = d2 + lat__square_of_difference(order->z[leaf], s->at[2]);
    if (distance > s->limit) break;
    if (!accept(s, distance, order->row[leaf])) return false;
  }
  for (int64_t leaf = middle - 1; leaf >= begin; leaf--) {
    float distance = d2 + lat__square_of_difference(order->z[leaf], s->at[2]);
    if (distance > s->limit) break;
    if (!accept(s, distance, order->row[leaf])) return false;
  }
  return true;
}

static bool search_slab(search *s, int64_t slab, float d2) {
  const lat__coord_order *order = s->order;
  int64_t begin = order->slab_begin[slab], end = order->slab_begin[slab + 1];
  int64_t middle = lower_bound(order->column_y, begin, end, s->at[1]);
  for (int64_t column = middle; column < end; column++) {
    float distance = d2 + lat__square_of_difference(order->column_y[column], s->at[1]);
    if (distance > s->limit) break;
    if (!search_column(s, column, distance)) return false;
  }
  for (int64_t column = middle - 1; column >= begin; column--) {
    float distance = d2 + lat__square_of_difference(order->column_y[column], s->at[1]);
    if (distance > s->limit) break;
    if (!search_column(s, column, distance)) return false;
  }
  return true;
}

static void search_tree(search *s, int32_t batch) {
  const lat__coord_order *order = s->order;
  int64_t middle = lat__cpu_order_find_slab(order, batch, s->at[0]);
  for (int64_t slab = middle; slab < order->n_slabs && order->slab_batch[slab] == batch; slab++) {
    float distance = lat__square_of_difference(order->slab_x[slab], s->at[0]);
    if (distance > s->limit) break;
    if (!search_slab(s, slab, distance)) return;
  }
  for (int64_t slab = middle - 1; slab >= 0 && order->slab_batch[slab] == batch; slab--) {
    float distance = lat__square_of_difference(order->slab_x[slab], s->at[0]);
    if (distance > s->limit) break;
    if (!search_slab(s, slab, distance)) return;
  }
}

static search start_search(const radius_job *job, int64_t query, uint64_t *keys, int64_t room) {
  const int32_t *row = job->desc->query_rows + 4 * query;
  return (search){.order = job->desc->source_order,
                  .at = {row[1], row[2], row[3]},
                  .limit = job->limit,
                  .room = room,
                  .keys = keys};
}

/// row_offsets[q + 1] = number of neighbours of query q.
static void count_queries(void *arg, int64_t begin, int64_t end, int worker) {
  const radius_job *job = arg;
  (void)worker;
  for (int64_t q = begin; q < end; q++) {
    search s = start_search(job, q, NULL, job->max_neighbors);
    search_tree(&s, job->desc->query_rows[4 * q]);
    job->result->row_offsets[q + 1] = s.n;
  }
}

static void fill_queries(void *arg, int64_t begin, int64_t end, int worker) {
  const radius_job *job = arg;
  const lat__neighbor_edges *result = job->result;
  uint64_t *keys = job->keys + worker * job->room;
  for (int64_t q = begin; q < end; q++) {
    int64_t first = result->row_offsets[q], n = result->row_offsets[q + 1] - first;
    if (n == 0) continue;
    search s = start_search(job, q, keys, n);
    search_tree(&s, job->desc->query_rows[4 * q]);
    lat__cpu_neighbor_edges_put(result, q, keys);
  }
}

/// Counts become offsets; the number of edges and the largest count are kept. False when the edges leave int64.
static bool add_up(int64_t n_queries, int64_t first_edge, lat__neighbor_edges *result, int64_t *largest) {
  result->row_offsets[0] = first_edge;
  for (int64_t q = 0; q < n_queries; q++) {
    *largest = lat__max_i64(*largest, result->row_offsets[q + 1]);
    if (!lat__add_i64(result->row_offsets[q], result->row_offsets[q + 1], &result->row_offsets[q + 1])) return false;
  }
  result->n_edges = result->row_offsets[n_queries];
  return true;
}

lat_status lat__cpu_radius(lat_context *context, const lat__radius_desc *desc, lat__neighbor_edges *out) {
  lat_status status = LAT_STATUS_OK;
  void *offsets = NULL, *keys = NULL;
  int64_t largest = 0, n_keys = 0;
  lat__neighbor_edges result = {0};
  double square = desc->radius * desc->radius;
  radius_job job = {.desc = desc,
                    .result = &result,
                    .limit = square > (double)FLT_MAX ? INFINITY : (float)square,
                    .max_neighbors = desc->max_neighbors ? desc->max_neighbors : INT64_MAX};
  LAT_TRY(lat__cpu_order_need_tree(desc->source_order), done);
  LAT_TRY(lat__alloc_items(context, op, desc->n_queries + 1, sizeof(int64_t), &offsets), done);
  result.row_offsets = offsets;
  lat__parallel_for(context, desc->n_queries, QUERY_GRAIN, count_queries, &job);
  if (!add_up(desc->n_queries, context->first_edge, &result, &largest)) {
    status = lat_fail(LAT_STATUS_OVERFLOW, "%s: more than 2^63 edges: expected a smaller radius", op);
    goto done;
  }
  LAT_TRY(lat__cpu_neighbor_edges_alloc(context, op, &result), done);
  job.room = largest;
  int64_t n_workers = lat__min_i64(context->n_threads, lat__ceil_div_i64(desc->n_queries, QUERY_GRAIN));
  if (!lat__mul_i64(largest, n_workers, &n_keys)) n_keys = INT64_MAX; // refused below
  LAT_TRY(lat__alloc_items(context, op, n_keys, sizeof(uint64_t), &keys), done);
  job.keys = keys;
  lat__parallel_for(context, desc->n_queries, QUERY_GRAIN, fill_queries, &job);
  *out = result;
  memset(&result, 0, sizeof result);
done:
  lat__free(context, keys);
  lat__cpu_neighbor_edges_free(context, &result);
  return status;
}
