/// Naive convolution over a list of edges: every member of the family, once its edges are known.
///
/// Y[o, co] = sum over edges (i, o, k), over ci of the group of co, of X[i, ci] * W[k, ci, co], then + bias[co]. Where
/// `eps` is above 0 the sum is divided by sqrt(D + eps) before the bias, D[o, co] = sum over the same edges and ci of
/// W[k, ci, co]^2.
#ifndef LAT_REF_CONV_EDGES_H
#define LAT_REF_CONV_EDGES_H

#include "ref/ref_conv3d.h"
#include "ref/ref_relation.h"

typedef struct ref_edge_conv {
  const ref_edges *edges;
  int64_t n_out, n_kernels;
  int64_t c_in, c_out, groups;
  const double *x; ///< (n_in, c_in)
  const double *w; ///< c_in / groups input channels
  ref_weight_layout layout;
  const double *bias; ///< (c_out,), or NULL
  double eps;         ///< 0: not normalized
} ref_edge_conv;

/// Writes y (n_out, c_out); magnitude = the sum of the absolute values that went in, normalized like y; terms = how many.
void ref_conv_edges(const ref_edge_conv *problem, double *y, double *magnitude, int64_t *terms);

#endif
