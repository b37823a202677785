// An operation of one's own on the public interface alone: attention over the neighbours of every point.
//
// Each point p looks at the points s within a radius. An edge gets a score from the query of p, the key of s and their
// distance; scores become weights by a softmax over the edges of p; the result is the weighted sum of values:
//
//     score(p, s) = q[p] . k[s] / sqrt(C) - decay * |p - s|
//     y[p]        = sum over s of exp(score(p, s) - largest) * v[s] / sum over s of exp(score(p, s) - largest)

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include <lattice/lattice.h>

enum { N_POINTS = 24, CHANNELS = 4, VALUES = 3 };

/// One output row from the edges [begin, end), which share their query. `keys` and `values` were gathered by edge.
static void attend(const lat_neighbor_list *edges, int64_t begin, int64_t end, const float *query, const float *keys,
                   const float *values, float decay, float *y) {
  float largest = -INFINITY, total = 0;
  for (int64_t pass = 0; pass < 2; pass++) { // the largest score first, so that no exponential overflows
    for (int64_t e = begin; e < end; e++) {
      float score = -decay * sqrtf(edges->squared_distances[e]);
      for (int c = 0; c < CHANNELS; c++) score += query[c] * keys[e * CHANNELS + c] / sqrtf(CHANNELS);
      if (pass == 0) {
        largest = fmaxf(largest, score);
        continue;
      }
      float weight = expf(score - largest);
      total += weight;
      for (int c = 0; c < VALUES; c++) y[c] += weight * values[e * VALUES + c];
    }
  }
  for (int c = 0; c < VALUES && total > 0; c++) y[c] /= total; // a point without neighbours keeps zeros
}

/// The operation: `features` is (N, 2 * CHANNELS + VALUES), for each point its query, key and value; `*out` is (N, VALUES).
/// Reports errors as the library does.
static lat_status neighbor_attention(lat_context *context, const lat_coords *coords, const lat_array_view *features,
                                     double radius, float decay, lat_array **out) {
  lat_neighbors *neighbors = NULL;
  lat_array *keys = NULL, *values = NULL, *y = NULL;
  lat_radius_opts ball = LAT_RADIUS_OPTS_INIT;
  *out = NULL;
  if (features->rank != 2 || features->dtype != LAT_DTYPE_F32 || features->shape[0] != lat_coords_count(coords) ||
      features->shape[1] != 2 * CHANNELS + VALUES) {
    return lat_fail(LAT_STATUS_INVALID_SHAPE, "neighbor_attention: features: expected float32 (N, %d)",
                    2 * CHANNELS + VALUES);
  }
  lat_array_view key_view = *features, value_view = *features; // columns of the same memory: views may have gaps
  key_view.data = (const float *)features->data + CHANNELS * features->stride[1];
  key_view.shape[1] = CHANNELS;
  value_view.data = (const float *)features->data + 2 * CHANNELS * features->stride[1];
  value_view.shape[1] = VALUES;
  ball.radius = radius;
  lat_status status = lat_neighbors_create_radius(context, coords, coords, &ball, &neighbors);
  if (!status) status = lat_gather_neighbor_features(context, &key_view, neighbors, &keys);
  if (!status) status = lat_gather_neighbor_features(context, &value_view, neighbors, &values);
  if (!status) {
    status = lat_array_full(context, LAT_DTYPE_F32, 2, (int64_t[]){features->shape[0], VALUES}, 0.0, &y);
  }
  if (!status) {
    lat_neighbor_list edges = lat_neighbors_edges(neighbors);
    for (int64_t q = 0; q < edges.n_queries; q++) {
      float query[CHANNELS];
      for (int c = 0; c < CHANNELS; c++) {
        query[c] = ((const float *)features->data)[q * features->stride[0] + c * features->stride[1]];
      }
      attend(&edges, edges.row_offsets[q], edges.row_offsets[q + 1], query, lat_array_data(keys),
             lat_array_data(values), decay, (float *)lat_array_data(y) + q * VALUES);
    }
    *out = y;
    y = NULL;
  }
  lat_array_release(y);
  lat_array_release(values);
  lat_array_release(keys);
  lat_neighbors_release(neighbors);
  return status;
}

int main(void) {
  int32_t rows[N_POINTS][4];
  float features[N_POINTS][2 * CHANNELS + VALUES];
  for (int p = 0; p < N_POINTS; p++) { // two items, points on a bent line, features with a pattern
    rows[p][0] = p % 2;
    rows[p][1] = p / 2;
    rows[p][2] = p * p % 5;
    rows[p][3] = -(p % 3);
    for (int c = 0; c < 2 * CHANNELS + VALUES; c++) features[p][c] = (float)((7 * p + 5 * c) % 13) / 4 - 1.5f;
  }
  lat_array_view row_view = lat_view_2d(rows, LAT_DTYPE_I32, N_POINTS, 4);
  lat_array_view feature_view = lat_view_2d(features, LAT_DTYPE_F32, N_POINTS, 2 * CHANNELS + VALUES);
  lat_context *context = NULL;
  lat_coords *coords = NULL;
  lat_array *y = NULL;
  lat_status status = lat_context_create(NULL, &context);
  if (!status) status = lat_coords_create(context, &row_view, NULL, &coords);
  if (!status) status = neighbor_attention(context, coords, &feature_view, 2.5, 0.5f, &y);
  if (status) fprintf(stderr, "custom_op: %s\n", lat_last_error());
  for (int p = 0; p < N_POINTS && !status; p++) {
    const float *row = (const float *)lat_array_data(y) + p * VALUES;
    printf("%d: %.6f %.6f %.6f\n", p, (double)row[0], (double)row[1], (double)row[2]);
  }
  lat_array_release(y);
  lat_coords_release(coords);
  lat_context_destroy(context);
  return status ? EXIT_FAILURE : EXIT_SUCCESS;
}
