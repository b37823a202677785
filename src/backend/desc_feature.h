/// Descriptors of the feature operations that are not maps of one element. Part of desc.h.
#ifndef LATTICE_BACKEND_DESC_FEATURE_H
#define LATTICE_BACKEND_DESC_FEATURE_H

#include <stdbool.h>

#include <lattice/activation.h>

/// Activation with its parameters: y = f(x), or y = f'(x) * grad when `grad` is given.
typedef struct lat__activation_desc {
  lat_activation_kind kind;
  float alpha, beta, threshold;
  int64_t count;
  lat_dtype dtype, dtype_grad;
  const void *x;
  const void *grad; ///< NULL: forward
  void *y;          ///< of `dtype`
} lat__activation_desc;

/// Softmax of every row in float32, or its gradient in `dtype` when `grad` is given.
typedef struct lat__softmax_desc {
  int64_t n_rows, channels;
  lat_dtype dtype, dtype_grad;
  const void *x;
  const void *grad; ///< NULL: forward
  void *y;
} lat__softmax_desc;

/// y[i] = 0 where word i mod 4 of random block i / 4 is below `threshold`, else x[i] / keep.
typedef struct lat__dropout_desc {
  int64_t count;
  lat_dtype dtype_in, dtype_out;
  uint64_t seed, stream, threshold;
  double keep; ///< 1 - p
  const void *x;
  void *y;
} lat__dropout_desc;

/// y[i] = x[rows[i]]: rows of a table, all within range.
typedef struct lat__embedding_desc {
  int64_t n_rows, channels;
  lat_dtype dtype;
  const int64_t *rows;
  const void *x; ///< (any, channels)
  void *y;       ///< (n_rows, channels)
} lat__embedding_desc;

/// y[v] = sum of x[sources[e]] for e in [offsets[v], offsets[v + 1]), ascending, in double, rounded once.
typedef struct lat__row_sums_desc {
  int64_t n_rows, channels;
  lat_dtype dtype_in, dtype_out;
  const int64_t *offsets; ///< n_rows + 1
  const int64_t *sources;
  const void *x;
  void *y; ///< (n_rows, channels)
} lat__row_sums_desc;

/// Norm over the rows of every batch item, in groups of channels, in double with one rounding; or its gradient.
typedef struct lat__norm_items_desc {
  int64_t channels, n_items, groups; ///< groups divides channels
  lat_dtype dtype_in, dtype_grad, dtype_out;
  float eps;
  const int64_t *item_offsets; ///< n_items + 1
  const int32_t *item_rows;    ///< NULL: entry r is row r
  const float *mean, *var;     ///< given statistics (channels,), with one item; NULL: of the rows
  const float *weight, *bias;  ///< or NULL
  const void *x;
  bool has_grad;                  ///< the gradient is asked for
  const void *grad;               ///< of the result
  void *y;                        ///< result, or gradient of x; NULL: not wanted
  float *weight_grad, *bias_grad; ///< (channels,) or NULL
} lat__norm_items_desc;

/// Gradient of layer and RMS norm.
typedef struct lat__norm_rows_grad_desc {
  bool is_rms;
  int64_t n_rows, channels;
  lat_dtype dtype_in, dtype_grad;
  float eps;
  const float *weight; ///< or NULL
  const void *x, *grad;
  void *y;                        ///< of dtype_in; NULL: not wanted
  float *weight_grad, *bias_grad; ///< (channels,) or NULL
} lat__norm_rows_grad_desc;

#endif
