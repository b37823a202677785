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
#include "backend/cpu/cpu_order.h"
#include "core/alloc.h"
#include "core/checked.h"
#include "core/compiler.h"
#include "core/context_internal.h"
#include "core/thread.h"

#define QUERY_GRAIN 256
#define INSERTION_SORT_MAX 24

static const char op[] = "radius";

/// One query. A key is `bits of d2 << 32 | source row`: float32 bits of values >= 0 keep their order, so keys ascend in
/// (distance, row).
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
  const lat__radius_result *result;
  float limit;
  int64_t max_neighbors; ///< INT64_MAX: all
  int64_t room;          ///< scratch keys of a worker
  uint64_t *keys;
} radius_job;

static float square_of_difference(int32_t a, int32_t b) {
  float difference = (float)((int64_t)a - b);
  return difference * difference;
}

static float key_distance(uint64_t key) {
  uint32_t bits = (uint32_t)(key >> 32);
  float distance;
  memcpy(&distance, &bits, sizeof distance);
  return distance;
}

static void sift_down(uint64_t *heap, int64_t n, int64_t at) {
  uint64_t key = heap[at];
  for (int64_t child = 2 * at + 1; child < n; child = 2 * at + 1) {
    if (child + 1 < n && heap[child + 1] > heap[child]) child++;
    if (heap[child] <= key) break;
    heap[at] = heap[child];
    at = child;
  }
  heap[at] = key;
}

static void make_heap(uint64_t *keys, int64_t n) {
  for (int64_t at = n / 2 - 1; at >= 0; at--) sift_down(keys, n, at);
}

static void sort_keys(uint64_t *keys, int64_t n) {
  if (n > INSERTION_SORT_MAX) {
    make_heap(keys, n);
    for (int64_t last = n - 1; last > 0; last--) {
      uint64_t largest = keys[0];
      keys[0] = keys[last];
      keys[last] = largest;
      sift_down(keys, last, 0);
    }
    return;
  }
  for (int64_t i = 1; i < n; i++) {
    uint64_t key = keys[i];
    int64_t place = i;
    for (; place > 0 && keys[place - 1] > key; place--) keys[place] = keys[place - 1];
    keys[place] = key;
  }
}

/// Takes a source into account. False when the search may stop: it only counts, and has counted enough.
static bool accept(search *s, float distance, int32_t row) {
  uint32_t bits;
  memcpy(&bits, &distance, sizeof bits);
  uint64_t key = (uint64_t)bits << 32 | (uint32_t)row;
  if (!s->keys) return ++s->n < s->room;
  if (s->n < s->room) {
    s->keys[s->n++] = key;
    if (s->n < s->room) return true;
    make_heap(s->keys, s->n);
  } else if (key < s->keys[0]) {
    s->keys[0] = key;
    sift_down(s->keys, s->n, 0);
  }
  s->limit = key_distance(s->keys[0]) < s->limit ? key_distance(s->keys[0]) : s->limit;
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
    float distance = d2 + square_of_difference(order->z[leaf], s->at[2]);
    if (distance > s->limit) break;
    if (!accept(s, distance, order->row[leaf])) return false;
  }
  for (int64_t leaf = middle - 1; leaf >= begin; leaf--) {
    float distance = d2 + square_of_difference(order->z[leaf], s->at[2]);
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
    float distance = d2 + square_of_difference(order->column_y[column], s->at[1]);
    if (distance > s->limit) break;
    if (!search_column(s, column, distance)) return false;
  }
  for (int64_t column = middle - 1; column >= begin; column--) {
    float distance = d2 + square_of_difference(order->column_y[column], s->at[1]);
    if (distance > s->limit) break;
    if (!search_column(s, column, distance)) return false;
  }
  return true;
}

static void search_tree(search *s, int32_t batch) {
  const lat__coord_order *order = s->order;
  int64_t middle = lat__cpu_order_find_slab(order, batch, s->at[0]);
  for (int64_t slab = middle; slab < order->n_slabs && order->slab_batch[slab] == batch; slab++) {
    float distance = square_of_difference(order->slab_x[slab], s->at[0]);
    if (distance > s->limit) break;
    if (!search_slab(s, slab, distance)) return;
  }
  for (int64_t slab = middle - 1; slab >= 0 && order->slab_batch[slab] == batch; slab--) {
    float distance = square_of_difference(order->slab_x[slab], s->at[0]);
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
  const lat__radius_result *result = job->result;
  uint64_t *keys = job->keys + worker * job->room;
  for (int64_t q = begin; q < end; q++) {
    int64_t first = result->row_offsets[q], n = result->row_offsets[q + 1] - first;
    if (n == 0) continue;
    search s = start_search(job, q, keys, n);
    search_tree(&s, job->desc->query_rows[4 * q]);
    sort_keys(keys, n);
    for (int64_t rank = 0; rank < n; rank++) {
      result->query_rows[first + rank] = (int32_t)q;
      result->source_rows[first + rank] = (int32_t)(uint32_t)keys[rank];
      result->neighbor_ids[first + rank] = (int32_t)rank;
      result->squared_distances[first + rank] = key_distance(keys[rank]);
    }
  }
}

/// Counts become offsets; the number of edges and the largest count are kept. False when the edges leave int64.
static bool add_up(int64_t n_queries, lat__radius_result *result, int64_t *largest) {
  result->row_offsets[0] = 0;
  for (int64_t q = 0; q < n_queries; q++) {
    *largest = lat__max_i64(*largest, result->row_offsets[q + 1]);
    if (!lat__add_i64(result->row_offsets[q], result->row_offsets[q + 1], &result->row_offsets[q + 1])) return false;
  }
  result->n_edges = result->row_offsets[n_queries];
  return true;
}

static lat_status alloc_edges(lat_context *context, lat__radius_result *result) {
  lat_status status = LAT_STATUS_OK;
  void *memory = NULL;
  LAT_TRY(lat__alloc_items(context, op, result->n_edges, sizeof(int32_t), &memory), done);
  result->query_rows = memory;
  LAT_TRY(lat__alloc_items(context, op, result->n_edges, sizeof(int32_t), &memory), done);
  result->source_rows = memory;
  LAT_TRY(lat__alloc_items(context, op, result->n_edges, sizeof(int32_t), &memory), done);
  result->neighbor_ids = memory;
  LAT_TRY(lat__alloc_items(context, op, result->n_edges, sizeof(float), &memory), done);
  result->squared_distances = memory;
done:
  return status;
}

static void free_result(lat_context *context, lat__radius_result *result) {
  lat__free(context, result->row_offsets);
  lat__free(context, result->query_rows);
  lat__free(context, result->source_rows);
  lat__free(context, result->neighbor_ids);
  lat__free(context, result->squared_distances);
}

lat_status lat__cpu_radius(lat_context *context, const lat__radius_desc *desc, lat__radius_result *out) {
  lat_status status = LAT_STATUS_OK;
  void *offsets = NULL, *keys = NULL;
  int64_t largest = 0, n_keys = 0;
  lat__radius_result result = {0};
  double square = desc->radius * desc->radius;
  radius_job job = {.desc = desc,
                    .result = &result,
                    .limit = square > (double)FLT_MAX ? INFINITY : (float)square,
                    .max_neighbors = desc->max_neighbors ? desc->max_neighbors : INT64_MAX};
  LAT_TRY(lat__alloc_items(context, op, desc->n_queries + 1, sizeof(int64_t), &offsets), done);
  result.row_offsets = offsets;
  lat__parallel_for(context, desc->n_queries, QUERY_GRAIN, count_queries, &job);
  if (!add_up(desc->n_queries, &result, &largest)) {
    status = lat_fail(LAT_STATUS_OVERFLOW, "%s: more than 2^63 edges: expected a smaller radius", op);
    goto done;
  }
  LAT_TRY(alloc_edges(context, &result), done);
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
  free_result(context, &result);
  return status;
}
