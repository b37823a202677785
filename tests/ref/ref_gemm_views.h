/// Naive implicit-GEMM views, made from an edge list one entry at a time. Results come from malloc.
#ifndef LAT_REF_GEMM_VIEWS_H
#define LAT_REF_GEMM_VIEWS_H

#include "ref/ref_relation.h"

typedef struct ref_gemm_views {
  int64_t n_out, n_kernels, n_words, n_tiles;
  int32_t *map;   ///< (n_out, n_kernels)
  int32_t *masks; ///< (n_out, n_words)
  int32_t *order; ///< (n_out,) by the first word; likewise the following
  int32_t *sorted_map, *sorted_transpose;
  int32_t *tiles; ///< (n_tiles, 4)
} ref_gemm_views;

ref_gemm_views *ref_gemm_views_create(const ref_edges *edges, int64_t n_out, int64_t n_kernels);
void ref_gemm_views_free(ref_gemm_views *views);

#endif
