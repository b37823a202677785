// Naive convolution over edges, see the header.
#include "ref/ref_conv_edges.h"

#include <math.h>
#include <stdlib.h>

static double weight_at(const ref_edge_conv *p, int64_t k, int64_t ci, int64_t co) {
  int64_t depth = p->c_in / p->groups;
  if (p->layout == REF_WEIGHT_KERNEL_IN_OUT) return p->w[(k * depth + ci) * p->c_out + co];
  return p->w[(co * p->n_kernels + k) * depth + ci];
}

static void add_edge(const ref_edge_conv *p, int64_t e, double *y, double *magnitude, double *squares, int64_t *terms) {
  int64_t depth = p->c_in / p->groups, width = p->c_out / p->groups;
  int64_t i = p->edges->in[e], o = p->edges->out[e], k = p->edges->kernel[e];
  for (int64_t co = 0; co < p->c_out; co++) {
    int64_t at = o * p->c_out + co;
    for (int64_t ci = 0; ci < depth; ci++) {
      double weight = weight_at(p, k, ci, co), product = p->x[i * p->c_in + co / width * depth + ci] * weight;
      y[at] += product;
      magnitude[at] += fabs(product);
      squares[at] += weight * weight;
      terms[at]++;
    }
  }
}

void ref_conv_edges(const ref_edge_conv *p, double *y, double *magnitude, int64_t *terms) {
  int64_t n = p->n_out * p->c_out;
  double *squares = calloc((size_t)n + 1, sizeof *squares);
  for (int64_t i = 0; i < n; i++) y[i] = magnitude[i] = 0.0, terms[i] = 0;
  for (int64_t e = 0; e < p->edges->n; e++) add_edge(p, e, y, magnitude, squares, terms);
  for (int64_t i = 0; i < n; i++) {
    double scale = p->eps > 0.0 ? 1.0 / sqrt(squares[i] + p->eps) : 1.0;
    double bias = p->bias ? p->bias[i % p->c_out] : 0.0;
    y[i] = y[i] * scale + bias;
    magnitude[i] = magnitude[i] * scale + fabs(bias);
    terms[i] += p->bias != NULL;
  }
  free(squares);
}
