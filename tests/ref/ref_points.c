// Naive points and voxels.
#include "ref/ref_points.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "ref/ref_relation.h"

// (p - origin) / size of one coordinate; a float32 result is returned as the double of the same value.
static double lattice_position(const ref_cloud *cloud, int64_t point, int axis) {
  if (cloud->wide != NULL) return (cloud->wide[point * 3 + axis] - cloud->origin[axis]) / cloud->size[axis];
  float origin = (float)cloud->origin[axis];
  float size = (float)cloud->size[axis];
  float difference = cloud->narrow[point * 3 + axis] - origin;
  float quotient = difference / size;
  return quotient;
}

static int32_t batch_of(const ref_cloud *cloud, int64_t point) {
  return cloud->batches == NULL ? 0 : cloud->batches[point];
}

void ref_point_cells(const ref_cloud *cloud, int32_t *rows) {
  for (int64_t p = 0; p < cloud->n; p++) {
    rows[p * 4] = batch_of(cloud, p);
    for (int axis = 0; axis < 3; axis++) rows[p * 4 + 1 + axis] = (int32_t)floor(lattice_position(cloud, p, axis));
  }
}

void ref_voxel_reduce(const int32_t *inverse, int64_t n, int64_t n_voxels, const double *x, int64_t channels, int mean,
                      double *y) {
  int64_t *counts = calloc((size_t)n_voxels + 1, sizeof *counts);
  memset(y, 0, (size_t)(n_voxels * channels) * sizeof *y);
  for (int64_t p = 0; p < n; p++) {
    counts[inverse[p]]++;
    for (int64_t c = 0; c < channels; c++) y[inverse[p] * channels + c] += x[p * channels + c];
  }
  for (int64_t i = 0; mean && i < n_voxels * channels; i++) y[i] /= (double)counts[i / channels];
  free(counts);
}

void ref_voxel_reduce_f32(const int32_t *inverse, int64_t n, int64_t n_voxels, const float *x, int64_t channels,
                          int mean, float *y) {
  int64_t *counts = calloc((size_t)n_voxels + 1, sizeof *counts);
  memset(y, 0, (size_t)(n_voxels * channels) * sizeof *y);
  for (int64_t p = 0; p < n; p++) counts[inverse[p]]++;
  for (int64_t p = 0; p < n; p++) {
    float share = mean ? 1.0f / (float)counts[inverse[p]] : 1.0f;
    for (int64_t c = 0; c < channels; c++) {
      float addend = x[p * channels + c] * share;
      y[inverse[p] * channels + c] = y[inverse[p] * channels + c] + addend;
    }
  }
  free(counts);
}

static void add_voxel(const ref_dictionary *voxels, const int64_t key[4], double weight, const double *x,
                      int64_t channels, double *y) {
  int32_t row = ref_dictionary_find(voxels, key[0], key[1], key[2], key[3]);
  for (int64_t c = 0; row >= 0 && c < channels; c++) y[c] += weight * x[row * channels + c];
}

static void read_linear(const ref_cloud *cloud, int64_t p, const ref_dictionary *voxels, const double *x,
                        int64_t channels, double *y) {
  for (int dx = 0; dx < 2; dx++) {
    for (int dy = 0; dy < 2; dy++) {
      for (int dz = 0; dz < 2; dz++) {
        const int step[3] = {dx, dy, dz};
        int64_t key[4] = {batch_of(cloud, p), 0, 0, 0};
        double weight = 1.0;
        for (int axis = 0; axis < 3; axis++) {
          double q = lattice_position(cloud, p, axis);
          double fraction = q - floor(q);
          key[1 + axis] = (int64_t)floor(q) + step[axis];
          weight *= step[axis] ? fraction : 1.0 - fraction;
        }
        add_voxel(voxels, key, weight, x, channels, y);
      }
    }
  }
}

static void nearest_cell(const ref_cloud *cloud, int64_t p, int64_t key[4]) {
  for (int axis = 0; axis < 3; axis++) {
    double q = lattice_position(cloud, p, axis);
    double moved = cloud->wide != NULL ? q + 0.5 : (double)((float)q + 0.5f);
    key[1 + axis] = (int64_t)floor(moved);
  }
}

static void read_nearest(const ref_cloud *cloud, int64_t p, const ref_dictionary *voxels, const double *x,
                         int64_t channels, double *y) {
  int64_t key[4] = {batch_of(cloud, p), 0, 0, 0};
  nearest_cell(cloud, p, key);
  add_voxel(voxels, key, 1.0, x, channels, y);
}

void ref_devoxelize(const ref_cloud *cloud, const int32_t *rows, int64_t n_voxels, const double *x, int64_t channels,
                    int nearest, double *y) {
  ref_dictionary *voxels = ref_dictionary_create(rows, n_voxels);
  memset(y, 0, (size_t)(cloud->n * channels) * sizeof *y);
  for (int64_t p = 0; p < cloud->n; p++) {
    if (nearest) {
      read_nearest(cloud, p, voxels, x, channels, y + p * channels);
    } else {
      read_linear(cloud, p, voxels, x, channels, y + p * channels);
    }
  }
  ref_dictionary_free(voxels);
}

static void map_corner(const ref_cloud *cloud, int64_t p, const ref_dictionary *voxels, int corner, int32_t *row,
                       double *weight) {
  int64_t key[4] = {batch_of(cloud, p), 0, 0, 0};
  *weight = 1.0;
  for (int axis = 0; axis < 3; axis++) {
    double q = lattice_position(cloud, p, axis), fraction = q - floor(q);
    int up = (corner >> axis) % 2;
    key[1 + axis] = (int64_t)floor(q) + up;
    *weight *= up ? fraction : 1.0 - fraction;
  }
  *row = ref_dictionary_find(voxels, key[0], key[1], key[2], key[3]);
}

void ref_point_map(const ref_cloud *cloud, const int32_t *rows, int64_t n_voxels, int nearest, int32_t *map_rows,
                   double *map_weights) {
  ref_dictionary *voxels = ref_dictionary_create(rows, n_voxels);
  for (int64_t p = 0; p < cloud->n; p++) {
    for (int slot = 0; slot < 8; slot++) {
      int32_t row = -1;
      double weight = 0.0;
      if (!nearest) {
        map_corner(cloud, p, voxels, slot, &row, &weight);
      } else if (slot == 0) {
        int64_t key[4] = {batch_of(cloud, p), 0, 0, 0};
        nearest_cell(cloud, p, key);
        row = ref_dictionary_find(voxels, key[0], key[1], key[2], key[3]);
        weight = 1.0;
      }
      map_rows[8 * p + slot] = row;
      map_weights[8 * p + slot] = row < 0 ? 0.0 : weight;
    }
  }
  ref_dictionary_free(voxels);
}

void ref_voxel_max(const int32_t *inverse, int64_t n, int64_t n_voxels, const double *x, int64_t channels, double *y) {
  for (int64_t v = 0; v < n_voxels; v++) {
    for (int64_t c = 0; c < channels; c++) {
      double best = -INFINITY;
      for (int64_t p = 0; p < n; p++) best = inverse[p] == v ? fmax(best, x[p * channels + c]) : best;
      y[v * channels + c] = best;
    }
  }
}

void ref_voxel_grad(const int32_t *inverse, int64_t n, const double *x, const double *grad, int64_t channels, int mode,
                    double *y) {
  for (int64_t i = 0; i < n * channels; i++) {
    int64_t p = i / channels, c = i % channels, sharers = 0;
    int holds = 1;
    for (int64_t other = 0; other < n; other++) {
      if (inverse[other] != inverse[p]) continue;
      if (mode == 0) sharers++;
      if (mode == 1) sharers = 1;
      if (mode == 2 && x[other * channels + c] > x[i]) holds = 0;
      if (mode == 2 && x[other * channels + c] == x[i]) sharers++;
    }
    y[i] = inverse[p] >= 0 && holds ? grad[inverse[p] * channels + c] / (double)sharers : 0.0;
  }
}

void ref_interpolate_grad(const int32_t *map_rows, const double *map_weights, int64_t n, const double *grad,
                          int64_t channels, int64_t n_voxels, double *y) {
  memset(y, 0, (size_t)(n_voxels * channels) * sizeof *y);
  for (int64_t i = 0; i < 8 * n; i++) {
    for (int64_t c = 0; map_rows[i] >= 0 && c < channels; c++) {
      y[map_rows[i] * channels + c] += map_weights[i] * grad[i / 8 * channels + c];
    }
  }
}

int64_t ref_cap(const int32_t *cells, int64_t n, int64_t max_points, int64_t max_voxels, int32_t *rows,
                int32_t *inverse, int64_t dropped[3]) {
  int64_t n_voxels = 0, n_lost = 0;
  int32_t *lost = calloc((size_t)n + 1, 4 * sizeof *lost);
  memset(dropped, 0, 3 * sizeof *dropped);
  for (int64_t p = 0; p < n; p++) {
    int64_t v = 0, of_item = 0, held = 0, l = 0;
    while (v < n_voxels && memcmp(rows + 4 * v, cells + 4 * p, 4 * sizeof *rows) != 0) v++;
    for (int64_t other = 0; other < n_voxels; other++) of_item += rows[4 * other] == cells[4 * p];
    for (int64_t other = 0; other < p; other++) held += inverse[other] == v;
    while (l < n_lost && memcmp(lost + 4 * l, cells + 4 * p, 4 * sizeof *rows) != 0) l++;
    inverse[p] = -1;
    if (v == n_voxels && max_voxels > 0 && of_item >= max_voxels) {
      memcpy(lost + 4 * l, cells + 4 * p, 4 * sizeof *rows);
      if (l == n_lost) n_lost++;
      dropped[1]++;
    } else if (v < n_voxels && max_points > 0 && held >= max_points) {
      dropped[0]++;
    } else {
      if (v == n_voxels) memcpy(rows + 4 * n_voxels++, cells + 4 * p, 4 * sizeof *rows);
      inverse[p] = (int32_t)v;
    }
  }
  dropped[2] = n_lost;
  free(lost);
  return n_voxels;
}
