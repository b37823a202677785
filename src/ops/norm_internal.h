/// What the norms and their gradients share.
#ifndef LATTICE_OPS_NORM_INTERNAL_H
#define LATTICE_OPS_NORM_INTERNAL_H

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

/// Rows of the batch items: those of item b are `rows[offsets[b] .. offsets[b + 1])`, ascending.
typedef struct lat__norm_items {
  int64_t n_items;
  int64_t *offsets;
  int32_t *rows; ///< NULL: entry r is row r
} lat__norm_items;

/// `per_item` false: all rows as one item. Errors: INVALID_ARGUMENT (a negative batch index), OUT_OF_MEMORY.
LAT_CHECKED lat_status lat__norm_items_take(lat_context *context, const char *op, const lat_tensor *x, bool per_item,
                                            lat__norm_items *items);
void lat__norm_items_release(lat_context *context, lat__norm_items *items);

#endif
