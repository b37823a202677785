#include "ref/ref_transposed.h"

#include <stdlib.h>
#include <string.h>

static int32_t volume_of(const ref_transposed_geometry *g) {
  return g->size[0] * g->size[1] * g->size[2];
}

static void tap_of(const ref_transposed_geometry *g, int32_t k, int64_t tap[3]) {
  tap[0] = k / (g->size[1] * g->size[2]);
  tap[1] = k / g->size[2] % g->size[1];
  tap[2] = k % g->size[2];
}

static ref_edges *new_edges(int64_t room) {
  ref_edges *edges = calloc(1, sizeof *edges);
  size_t bytes = (size_t)(room > 0 ? room : 1) * sizeof(int32_t);
  edges->in = malloc(bytes);
  edges->out = malloc(bytes);
  edges->kernel = malloc(bytes);
  return edges;
}

static void put(ref_edges *edges, int64_t in, int64_t out, int32_t k) {
  edges->in[edges->n] = (int32_t)in;
  edges->out[edges->n] = (int32_t)out;
  edges->kernel[edges->n++] = k;
}

/// Insertion sort by (out, kernel, in): the edges come nearly in order.
static void sort(ref_edges *e) {
  for (int64_t a = 1; a < e->n; a++) {
    int32_t in = e->in[a], out = e->out[a], k = e->kernel[a];
    int64_t b = a;
    for (; b > 0; b--) {
      int32_t p_out = e->out[b - 1], p_k = e->kernel[b - 1];
      if (p_out < out || (p_out == out && (p_k < k || (p_k == k && e->in[b - 1] <= in)))) break;
      e->in[b] = e->in[b - 1], e->out[b] = p_out, e->kernel[b] = p_k;
    }
    e->in[b] = in, e->out[b] = out, e->kernel[b] = k;
  }
}

ref_edges *ref_transposed_edges(const int32_t *in, int64_t n_in, const ref_transposed_geometry *g, bool merges,
                                int32_t **out, int64_t *n_out) {
  int32_t volume = volume_of(g);
  ref_edges *edges = new_edges(n_in * volume);
  *out = malloc((size_t)(n_in * volume + 1) * 4 * sizeof(int32_t));
  *n_out = 0;
  for (int64_t i = 0; i < n_in; i++) {
    for (int32_t k = 0; k < volume; k++) {
      int64_t tap[3], row = merges ? 0 : *n_out;
      int32_t o[4] = {in[4 * i], 0, 0, 0};
      tap_of(g, k, tap);
      for (int axis = 0; axis < 3; axis++) {
        o[1 + axis] = (int32_t)((int64_t)in[4 * i + 1 + axis] * g->stride[axis] + tap[axis] * g->dilation[axis] -
                                g->padding[axis]);
      }
      while (row < *n_out && memcmp(*out + 4 * row, o, sizeof o) != 0) row++;
      if (row == *n_out) memcpy(*out + 4 * (*n_out)++, o, sizeof o);
      put(edges, i, row, k);
    }
  }
  sort(edges);
  return edges;
}

ref_edges *ref_target_transposed_edges(const int32_t *in, int64_t n_in, const int32_t *targets, int64_t n_targets,
                                       const ref_transposed_geometry *g) {
  int32_t volume = volume_of(g);
  ref_edges *edges = new_edges(n_targets * volume);
  for (int64_t t = 0; t < n_targets; t++) {
    for (int32_t k = 0; k < volume; k++) {
      int64_t tap[3], i = 0;
      tap_of(g, k, tap);
      for (; i < n_in; i++) {
        bool meets = in[4 * i] == targets[4 * t];
        for (int axis = 0; axis < 3 && meets; axis++) {
          int64_t o =
              (int64_t)in[4 * i + 1 + axis] * g->stride[axis] + tap[axis] * g->dilation[axis] - g->padding[axis];
          meets = o == targets[4 * t + 1 + axis];
        }
        if (meets) break;
      }
      if (i < n_in) put(edges, i, t, k);
    }
  }
  return edges;
}
