/// Descriptors of gradients that have a slot of their own. Part of desc.h.
#ifndef LATTICE_BACKEND_DESC_GRAD_H
#define LATTICE_BACKEND_DESC_GRAD_H

#include <stdbool.h>

#include <lattice/array.h>

/// Gradient of one side of an element-wise operation, or (op add) of rows that were copied: row v of y is the sum over
/// r in sources[offsets[v] .. offsets[v + 1]), ascending, of grad[r] times the derivative at (own[v], other[r]). In double,
/// rounded once.
typedef struct lat__join_grad_desc {
  int64_t n_rows, channels; ///< of the side
  const int64_t *offsets;   ///< n_rows + 1; NULL: row v of the side went to row v of the result alone
  const int64_t *sources;
  int op; ///< lat_binary
  bool is_rhs;
  lat_dtype dtype, dtype_other, dtype_grad;
  const void *own;           ///< (n_rows, channels); maximum and minimum only
  const void *other;         ///< (any, channels); maximum, minimum and product only
  const int32_t *other_rows; ///< row of `other` of each row of the result, -1 for a row of `other_fill`; NULL: row r
  float other_fill;
  const void *grad; ///< rows of grad_stride elements, of which channels count from grad_first on
  int64_t grad_stride, grad_first;
  void *y; ///< (n_rows, channels) of dtype
} lat__join_grad_desc;

/// Gradient of a global pool. Of tied maxima each gets an equal part.
typedef struct lat__global_pool_grad_desc {
  int64_t n_rows, n_items, channels;
  lat_dtype dtype, dtype_grad;
  int mode;                    ///< lat_pool_mode
  const int64_t *item_offsets; ///< n_items + 1
  const int32_t *item_rows;    ///< NULL: entry r is row r
  const void *x, *maxima;      ///< (n_rows, channels), (n_items, channels) of dtype; maximum only
  const void *grad;            ///< (n_items, channels)
  void *y;                     ///< (n_rows, channels) of dtype; rows of no item get 0
} lat__global_pool_grad_desc;

#endif
