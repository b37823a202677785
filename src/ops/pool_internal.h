/// What the files of local pools share.
#ifndef LATTICE_OPS_POOL_INTERNAL_H
#define LATTICE_OPS_POOL_INTERNAL_H

#include <lattice/pool.h>

#include "ops/feature_internal.h"
#include "relation/relation_internal.h"

/// A pool with its relation: what forward, gradient and product have in common.
typedef struct lat__pool_call {
  const char *op;
  const lat_tensor *x;
  lat_pool_mode mode;
  const lat_relation *relation;
  int64_t n_out;
  const float *kernel_weights; ///< or NULL
} lat__pool_call;

/// Checks mode and geometry of a local pool.
LAT_CHECKED lat_status lat__pool_check(const char *op, lat_pool_mode mode, const lat_kernel_opts *opts,
                                       lat__geometry *geometry);

/// Features of the pool: a new (n_out, C) array in x's dtype, from `features` (n_in, C) of that dtype.
LAT_CHECKED lat_status lat__pool_run(lat_context *context, const lat__pool_call *call, const void *features,
                                     lat_array **out);

/// Gradient of x's features: a new (n_in, C) array in x's dtype. Checks `grad_out`.
LAT_CHECKED lat_status lat__pool_run_grad(lat_context *context, const lat__pool_call *call,
                                          const lat_array_view *grad_out, lat_array **out);

/// `*out` = a caller's `(rows, C)` view of x's dtype as a contiguous array; errors name `op` and the argument `name`.
LAT_CHECKED lat_status lat__pool_take(lat_context *context, const lat__pool_call *call, const char *name,
                                      const lat_array_view *view, int64_t n_rows, lat_array **out);

#endif
