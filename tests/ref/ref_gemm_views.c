// Naive implicit-GEMM views.

#include "ref/ref_gemm_views.h"

#include <stdlib.h>

static int32_t *make_array(int64_t n, int32_t value) {
  int32_t *array = malloc(((size_t)n + 1) * sizeof *array);
  for (int64_t i = 0; i < n; i++) array[i] = value;
  return array;
}

/// Insertion into a sorted list: equal masks stay in row order.
static void sort_by_mask(ref_gemm_views *v) {
  for (int64_t r = 0; r < v->n_out; r++) {
    int64_t place = r;
    while (place > 0 && v->masks[v->order[place - 1] * v->n_words] > v->masks[r * v->n_words]) {
      v->order[place] = v->order[place - 1];
      place--;
    }
    v->order[place] = (int32_t)r;
  }
}

ref_gemm_views *ref_gemm_views_create(const ref_edges *edges, int64_t n_out, int64_t n_kernels) {
  ref_gemm_views *v = calloc(1, sizeof *v);
  v->n_out = n_out;
  v->n_kernels = n_kernels;
  v->n_words = (n_kernels + 31) / 32;
  v->n_tiles = (n_out + 63) / 64;
  v->map = make_array(n_out * n_kernels, -1);
  v->masks = make_array(n_out * v->n_words, 0);
  v->order = make_array(n_out, 0);
  v->sorted_map = make_array(n_out * n_kernels, 0);
  v->sorted_transpose = make_array(n_out * n_kernels, 0);
  v->tiles = make_array(4 * v->n_tiles, 0);
  for (int64_t e = 0; e < edges->n; e++) {
    int32_t k = edges->kernel[e];
    v->map[edges->out[e] * n_kernels + k] = edges->in[e];
    uint32_t *word = (uint32_t *)&v->masks[edges->out[e] * v->n_words + k / 32];
    *word = *word | (uint32_t)1 << (k % 32);
  }
  sort_by_mask(v);
  for (int64_t r = 0; r < n_out; r++) {
    for (int64_t k = 0; k < n_kernels; k++) {
      v->sorted_map[r * n_kernels + k] = v->sorted_transpose[k * n_out + r] = v->map[v->order[r] * n_kernels + k];
    }
    v->tiles[r / 64 * 4 + r % 64 / 16] |= v->masks[v->order[r] * v->n_words];
  }
  return v;
}

void ref_gemm_views_free(ref_gemm_views *v) {
  free(v->map);
  free(v->masks);
  free(v->order);
  free(v->sorted_map);
  free(v->sorted_transpose);
  free(v->tiles);
  free(v);
}
