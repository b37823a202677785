// What neighbour queries share.

#include "backend/cpu/cpu_neighbors.h"

#include "core/alloc.h"
#include "core/compiler.h"

#define INSERTION_SORT_MAX 24

void lat__keys_sift_down(uint64_t *heap, int64_t n, int64_t at) {
  uint64_t key = heap[at];
  for (int64_t child = 2 * at + 1; child < n; child = 2 * at + 1) {
    if (child + 1 < n && heap[child + 1] > heap[child]) child++;
    if (heap[child] <= key) break;
    heap[at] = heap[child];
    at = child;
  }
  heap[at] = key;
}

void lat__keys_make_heap(uint64_t *keys, int64_t n) {
  for (int64_t at = n / 2 - 1; at >= 0; at--) lat__keys_sift_down(keys, n, at);
}

static void sort_keys(uint64_t *keys, int64_t n) {
  if (n > INSERTION_SORT_MAX) {
    lat__keys_make_heap(keys, n);
    for (int64_t last = n - 1; last > 0; last--) {
      uint64_t largest = keys[0];
      keys[0] = keys[last];
      keys[last] = largest;
      lat__keys_sift_down(keys, last, 0);
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

lat_status lat__cpu_neighbor_edges_alloc(lat_context *context, const char *op, lat__neighbor_edges *edges) {
  lat_status status = LAT_STATUS_OK;
  void *memory = NULL;
  LAT_TRY(lat__alloc_items(context, op, edges->n_edges, sizeof(int32_t), &memory), done);
  edges->query_rows = memory;
  LAT_TRY(lat__alloc_items(context, op, edges->n_edges, sizeof(int32_t), &memory), done);
  edges->source_rows = memory;
  LAT_TRY(lat__alloc_items(context, op, edges->n_edges, sizeof(int32_t), &memory), done);
  edges->neighbor_ids = memory;
  LAT_TRY(lat__alloc_items(context, op, edges->n_edges, sizeof(float), &memory), done);
  edges->squared_distances = memory;
done:
  return status;
}

void lat__cpu_neighbor_edges_free(lat_context *context, lat__neighbor_edges *edges) {
  lat__free(context, edges->row_offsets);
  lat__free(context, edges->query_rows);
  lat__free(context, edges->source_rows);
  lat__free(context, edges->neighbor_ids);
  lat__free(context, edges->squared_distances);
}

void lat__cpu_neighbor_edges_put(const lat__neighbor_edges *edges, int64_t query, uint64_t *keys) {
  int64_t first = edges->row_offsets[query], n = edges->row_offsets[query + 1] - first;
  sort_keys(keys, n);
  for (int64_t rank = 0; rank < n; rank++) {
    edges->query_rows[first + rank] = (int32_t)query;
    edges->source_rows[first + rank] = (int32_t)(uint32_t)keys[rank];
    edges->neighbor_ids[first + rank] = (int32_t)rank;
    edges->squared_distances[first + rank] = lat__key_distance(keys[rank]);
  }
}
