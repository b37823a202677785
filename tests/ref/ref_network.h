/// Sparse networks in double, one slow loop for each kind of layer: coordinates are looked up by walking over all rows.
#ifndef LAT_REF_NETWORK_H
#define LAT_REF_NETWORK_H

#include <stdint.h>

/// Rows `(batch, x, y, z)` with a stride, and features. `rows` NULL: features alone. Everything from malloc.
typedef struct ref_net_value {
  int64_t n, c;
  int32_t *rows;
  int32_t stride[3];
  double *feats;
} ref_net_value;

/// A convolution, weight `(c_out, size x, y, z, c_in)`.
typedef struct ref_net_conv {
  const double *weight, *bias; ///< bias or NULL
  int64_t c_out;
  int32_t size[3], stride[3], padding[3];
  int reach, transposed;       ///< transposed: onto `target` alone
  int32_t bounds[3];           ///< of reach; zeros: none
  const ref_net_value *target; ///< outputs, or NULL: floor or reach
} ref_net_conv;

ref_net_value *ref_net_new(int64_t n, int64_t c, int with_rows);
void ref_net_free(ref_net_value *value);
ref_net_value *ref_net_copy(const ref_net_value *x);

ref_net_value *ref_net_convolve(const ref_net_value *x, const ref_net_conv *conv);

/// `(x - mean) / sqrt(var + eps) * weight + bias`.
ref_net_value *ref_net_norm(const ref_net_value *x, const double *const parameters[4], double eps);
ref_net_value *ref_net_relu(const ref_net_value *x);

/// `x W^T + bias`, weight `(c_out, c_in)`.
ref_net_value *ref_net_linear(const ref_net_value *x, const double *weight, const double *bias, int64_t c_out);

/// Row by row, of values on the same rows.
ref_net_value *ref_net_add(const ref_net_value *a, const ref_net_value *b);
ref_net_value *ref_net_cat(const ref_net_value *a, const ref_net_value *b);

/// Features of x on the rows of target, zeros where x has none.
ref_net_value *ref_net_reindex(const ref_net_value *x, const ref_net_value *target);

/// Sums over `size` forward cells at `floor(x / stride)`.
ref_net_value *ref_net_sum_pool(const ref_net_value *x, const int32_t size[3], const int32_t stride[3]);

/// Rows of all values at the first one's stride, equal ones summed.
ref_net_value *ref_net_concat_sum(const ref_net_value *const *values, int n);

/// Means of point features `(n, c)` by voxel; trilinear reading of voxels at points.
ref_net_value *ref_net_voxelize(const float *points, const int32_t *batch, const ref_net_value *feats,
                                const double size[3], const int32_t stride[3]);
ref_net_value *ref_net_devoxelize(const float *points, const int32_t *batch, int64_t n, const ref_net_value *voxels,
                                  const double size[3]);

#endif
