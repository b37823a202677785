// Naive neighbours. float32, because the operations are defined in float32.

#include "ref/ref_neighbors.h"

#include <stdlib.h>
#include <string.h>

typedef struct candidate {
  float distance;
  int32_t row;
} candidate;

static int compare_candidates(const void *a, const void *b) {
  const candidate *x = a, *y = b;
  if (x->distance != y->distance) return x->distance < y->distance ? -1 : 1;
  return (x->row > y->row) - (x->row < y->row);
}

static float squared_distance(const int32_t *a, const int32_t *b) {
  float sum = 0;
  for (int c = 1; c < 4; c++) {
    float d = (float)((int64_t)a[c] - (int64_t)b[c]);
    float square = d * d;
    sum = c == 1 ? square : sum + square;
  }
  return sum;
}

static int is_first(const int32_t *rows, int64_t r) {
  for (int64_t s = 0; s < r; s++) {
    if (memcmp(rows + 4 * s, rows + 4 * r, 4 * sizeof(int32_t)) == 0) return 0;
  }
  return 1;
}

/// Result with room for every pair.
static ref_neighbors *make_room(int64_t n_sources, int64_t n_queries) {
  ref_neighbors *result = calloc(1, sizeof *result);
  size_t room = (size_t)(n_sources * n_queries) + 1;
  result->query = malloc(room * sizeof(int32_t));
  result->source = malloc(room * sizeof(int32_t));
  result->rank = malloc(room * sizeof(int32_t));
  result->distance = malloc(room * sizeof(float));
  result->row_offsets = calloc((size_t)n_queries + 1, sizeof(int64_t));
  return result;
}

/// Appends the best `most` of n candidates of query q.
static void append(ref_neighbors *result, int64_t q, candidate *found, int64_t n, int64_t most) {
  qsort(found, (size_t)n, sizeof(candidate), compare_candidates);
  if (n > most) n = most;
  for (int64_t i = 0; i < n; i++) {
    result->query[result->n] = (int32_t)q;
    result->source[result->n] = found[i].row;
    result->rank[result->n] = (int32_t)i;
    result->distance[result->n++] = found[i].distance;
  }
  result->row_offsets[q + 1] = result->n;
}

ref_neighbors *ref_radius(const int32_t *sources, int64_t n_sources, const int32_t *queries, int64_t n_queries,
                          double radius, int64_t max_neighbors) {
  ref_neighbors *result = make_room(n_sources, n_queries);
  candidate *found = malloc(((size_t)n_sources + 1) * sizeof(candidate));
  float limit = (float)(radius * radius);
  for (int64_t q = 0; q < n_queries; q++) {
    int64_t n = 0;
    for (int64_t s = 0; s < n_sources; s++) {
      float distance = squared_distance(sources + 4 * s, queries + 4 * q);
      if (sources[4 * s] != queries[4 * q] || !(distance <= limit) || !is_first(sources, s)) continue;
      found[n++] = (candidate){distance, (int32_t)s};
    }
    append(result, q, found, n, max_neighbors > 0 ? max_neighbors : INT64_MAX);
  }
  free(found);
  return result;
}

ref_neighbors *ref_knn(const int32_t *sources, int64_t n_sources, const int32_t *queries, int64_t n_queries,
                       int64_t k) {
  ref_neighbors *result = make_room(n_sources, n_queries);
  candidate *found = malloc(((size_t)n_sources + 1) * sizeof(candidate));
  for (int64_t q = 0; q < n_queries; q++) {
    int64_t n = 0;
    for (int64_t s = 0; s < n_sources; s++) {
      if (sources[4 * s] != queries[4 * q]) continue;
      found[n++] = (candidate){squared_distance(sources + 4 * s, queries + 4 * q), (int32_t)s};
    }
    append(result, q, found, n, k);
  }
  free(found);
  return result;
}

void ref_neighbors_free(ref_neighbors *neighbors) {
  if (!neighbors) return;
  free(neighbors->query);
  free(neighbors->source);
  free(neighbors->rank);
  free(neighbors->distance);
  free(neighbors->row_offsets);
  free(neighbors);
}
