/// Naive gradients of a convolution, in double, edge by edge.
#ifndef LAT_REF_CONV_GRAD_H
#define LAT_REF_CONV_GRAD_H

#include <stdint.h>

#include "ref/ref_relation.h"

/// A convolution over edges: x (n_in, c_in), w in the order of `kernel_major` ((K, C_in, C_out), else (C_out, K, C_in)) and
/// the gradient g (n_out, c_out) of its result.
typedef struct ref_conv_grad {
  const ref_edges *edges;
  int64_t n_in, n_out, c_in, c_out, n_kernels;
  int kernel_major;
  const double *x, *w, *g;
  int64_t groups; ///< w has c_in / groups input channels
} ref_conv_grad;

/// A sum with what its rounding error is measured by.
typedef struct ref_sum {
  double value;
  double magnitude; ///< sum of the absolute products
  int64_t terms;
} ref_sum;

/// Gradients of x (n_in, c_in), w (in its order) and bias (c_out); the arrays are cleared first.
void ref_conv_grad_x(const ref_conv_grad *p, ref_sum *out);
void ref_conv_grad_w(const ref_conv_grad *p, ref_sum *out);
void ref_conv_grad_bias(const ref_conv_grad *p, ref_sum *out);

/// sum of g * conv(x, w): the function whose gradients these are.
double ref_conv_grad_loss(const ref_conv_grad *p, const double *x, const double *w);

#endif
