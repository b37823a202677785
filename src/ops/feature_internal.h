/// What the element-wise operators share.
#ifndef LATTICE_OPS_FEATURE_INTERNAL_H
#define LATTICE_OPS_FEATURE_INTERNAL_H

#include <lattice/feature.h>

#include "backend/backend.h"

/// `*out` = x with `kind` applied to its features and rounded once to `dtype`; `op` names the caller in errors.
LAT_CHECKED lat_status lat__unary_run(lat_context *context, const char *op, lat__unary kind, const lat_tensor *x,
                                      lat_dtype dtype, lat_tensor **out);

#endif
