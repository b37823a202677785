/// Naive convolution: seven loops in double over a dictionary of coordinates.
///
/// Y[o, co] = sum over kernel elements (kx, ky, kz) and ci of X[i, ci] * W[k, ci, co], + bias[co], where i is the first
/// input row at o * stride + offset(k) - padding in o's batch, and absent inputs add nothing.
#ifndef LAT_REF_CONV3D_H
#define LAT_REF_CONV3D_H

#include <stdint.h>

/// How the weight's elements lie.
typedef enum ref_weight_layout {
  REF_WEIGHT_OUT_KERNEL_IN = 0, ///< (C_out, Kx, Ky, Kz, C_in), and (C_out, C_in)
  REF_WEIGHT_KERNEL_IN_OUT = 1  ///< (K, C_in, C_out)
} ref_weight_layout;

typedef struct ref_conv {
  const int32_t *in, *out; ///< coordinate rows (batch, x, y, z)
  int64_t n_in, n_out;
  int32_t size[3], stride[3], padding[3], dilation[3];
  int from_zero; ///< taps count from 0 for odd sizes too
  int64_t c_in, c_out;
  const double *x; ///< (n_in, c_in)
  const double *w;
  ref_weight_layout layout;
  const double *bias; ///< (c_out,), or NULL
} ref_conv;

/// Writes y (n_out, c_out); where not NULL, magnitude = the sum of |x w| and |bias|, and terms = how many were added
/// (both (n_out, c_out)): what an error bound is made of.
void ref_conv3d(const ref_conv *problem, double *y, double *magnitude, int64_t *terms);

#endif
