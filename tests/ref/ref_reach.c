// Naive reach support, see the header.
#include "ref/ref_reach.h"

#include <stdlib.h>
#include <string.h>

static void taps_of(const ref_reach *g, int32_t k, int64_t taps[3]) {
  taps[0] = (int64_t)(k / (g->size[1] * g->size[2])) * g->dilation[0];
  taps[1] = (int64_t)(k / g->size[2] % g->size[1]) * g->dilation[1];
  taps[2] = (int64_t)(k % g->size[2]) * g->dilation[2];
}

/// The window of output o starts at -padding or behind and ends at D - 1 + padding or before.
static int within(const ref_reach *g, int axis, int64_t o) {
  if (g->bounds[axis] == 0) return 1;
  int64_t start = o * g->stride[axis] - g->padding[axis];
  int64_t end = start + (int64_t)(g->size[axis] - 1) * g->dilation[axis];
  return start >= -(int64_t)g->padding[axis] && end <= (int64_t)g->bounds[axis] - 1 + g->padding[axis];
}

/// Output of an input under element k: 1, or 0 where there is none.
static int output_of(const ref_reach *g, const int32_t *in, int32_t k, int64_t out[4]) {
  int64_t taps[3];
  taps_of(g, k, taps);
  out[0] = in[0];
  for (int axis = 0; axis < 3; axis++) {
    int64_t distance = (int64_t)in[1 + axis] + g->padding[axis] - taps[axis];
    if (distance % g->stride[axis] != 0) return 0;
    out[1 + axis] = distance / g->stride[axis];
    if (!within(g, axis, out[1 + axis])) return 0;
  }
  return 1;
}

int64_t ref_reach_support(const int32_t *in, int64_t n_in, const ref_reach *g, int32_t **out) {
  int32_t volume = g->size[0] * g->size[1] * g->size[2];
  int32_t *all = malloc(((size_t)n_in * (size_t)volume + 1) * 4 * sizeof *all);
  int64_t n = 0;
  *out = NULL;
  for (int64_t i = 0; i < n_in; i++) {
    for (int32_t k = 0; k < volume; k++) {
      int64_t row[4];
      if (!output_of(g, in + 4 * i, k, row)) continue;
      for (int c = 0; c < 4; c++) {
        if (row[c] < INT32_MIN || row[c] > INT32_MAX) {
          free(all);
          return -1;
        }
        all[4 * n + c] = (int32_t)row[c];
      }
      n++;
    }
  }
  *out = malloc(((size_t)n + 1) * 4 * sizeof **out);
  n = ref_unique_rows(all, n, *out, NULL);
  free(all);
  return n;
}

ref_edges *ref_reach_edges(const int32_t *in, int64_t n_in, const int32_t *out, int64_t n_out, const ref_reach *g) {
  ref_dictionary *dictionary = ref_dictionary_create(in, n_in);
  ref_edges *edges = calloc(1, sizeof *edges);
  int32_t volume = g->size[0] * g->size[1] * g->size[2];
  int64_t room = 64;
  edges->in = malloc((size_t)room * sizeof(int32_t));
  edges->out = malloc((size_t)room * sizeof(int32_t));
  edges->kernel = malloc((size_t)room * sizeof(int32_t));
  for (int64_t o = 0; o < n_out; o++) {
    for (int32_t k = 0; k < volume; k++) {
      int64_t taps[3], at[3];
      taps_of(g, k, taps);
      for (int axis = 0; axis < 3; axis++) {
        at[axis] = (int64_t)out[4 * o + 1 + axis] * g->stride[axis] - g->padding[axis] + taps[axis];
      }
      int32_t found = ref_dictionary_find(dictionary, out[4 * o], at[0], at[1], at[2]);
      if (found < 0) continue;
      if (edges->n == room) {
        room *= 2;
        edges->in = realloc(edges->in, (size_t)room * sizeof(int32_t));
        edges->out = realloc(edges->out, (size_t)room * sizeof(int32_t));
        edges->kernel = realloc(edges->kernel, (size_t)room * sizeof(int32_t));
      }
      edges->in[edges->n] = found;
      edges->out[edges->n] = (int32_t)o;
      edges->kernel[edges->n++] = k;
    }
  }
  ref_dictionary_free(dictionary);
  return edges;
}
