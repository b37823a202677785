/// Sparse tensors as the library sees them.
#ifndef LATTICE_COORDS_TENSOR_INTERNAL_H
#define LATTICE_COORDS_TENSOR_INTERNAL_H

#include <stdatomic.h>

#include <lattice/tensor.h>

struct lat_tensor {
  atomic_int refcount;
  lat_context *context;  ///< retained
  lat_coords *coords;    ///< retained
  lat_array *feats;      ///< retained, (n, C) contiguous
  int64_t batch_size;    ///< -1: not declared
  int64_t *batch_counts; ///< batch_size entries, or NULL
};

/// A caller's tensor: checks everything (errors of lat_tensor_create), then shares `feats` where it is not NULL (`view` is
/// its view), else copies `view`.
LAT_CHECKED lat_status lat__tensor_create(lat_context *context, const char *op, const lat_coords *coords,
                                          const lat_array_view *view, const lat_array *feats,
                                          const lat_tensor_opts *opts, lat_tensor **out);

/// New tensor on `coords` with `feats`, both retained. The batch metadata of `batch_from` is kept whole when it holds the
/// same coordinate set, else only its declared batch size; NULL: nothing is declared.
LAT_CHECKED lat_status lat__tensor_new(lat_context *context, const char *op, const lat_coords *coords,
                                       const lat_array *feats, const lat_tensor *batch_from, lat_tensor **out);

/// As lat__tensor_new with an explicit declared batch size (-1: none).
LAT_CHECKED lat_status lat__tensor_new_sized(lat_context *context, const char *op, const lat_coords *coords,
                                             const lat_array *feats, int64_t batch_size, lat_tensor **out);

/// Checks the arguments that every operation on a tensor has: out, context, the input (argument `name`). Clears `*out`.
LAT_CHECKED lat_status lat__op_check(const char *op, const lat_context *context, const char *name, const lat_tensor *x,
                                     lat_tensor **out);

#endif
