/// What the norms and their gradients share.
#ifndef LATTICE_OPS_NORM_INTERNAL_H
#define LATTICE_OPS_NORM_INTERNAL_H

#include "coords/batch_items.h"
#include "core/array_internal.h"
#include "ops/feature_internal.h"

/// Parameters of a call, widened to float32; NULL where the caller gave none.
typedef struct lat__norm_parameters {
  lat_array *weight, *bias, *mean, *var;
  float eps;
  lat_dtype dtype_out;                ///< promotion of the features and every given parameter
  lat_dtype dtype_weight, dtype_bias; ///< as they were given
} lat__norm_parameters;

/// Checks the options for `kind` and takes them. Release `parameters` whatever came back.
LAT_CHECKED lat_status lat__norm_parameters_take(lat_context *context, const char *op, lat__norm kind,
                                                 const lat_tensor *x, const lat_norm_opts *opts,
                                                 lat__norm_parameters *parameters);
void lat__norm_parameters_release(lat__norm_parameters *parameters);

/// Elements of a float32 array, or NULL.
static inline const float *lat__norm_values(lat_array *array) {
  return array ? lat_array_data(array) : NULL;
}

/// Rows of every batch item; `per_item` false: all rows as one item. `items` is zeroed before, and released whatever comes
/// back. Errors: INVALID_ARGUMENT (a negative batch index), OUT_OF_MEMORY.
LAT_CHECKED lat_status lat__norm_items_take(lat_context *context, const char *op, const lat_tensor *x, bool per_item,
                                            lat__batch_items *items);

/// A norm without batch items, under that name in its errors.
LAT_CHECKED lat_status lat__norm_run(lat_context *context, const char *op, lat__norm kind, const lat_tensor *x,
                                     const lat_norm_opts *opts, lat_tensor **out);

#endif
