// Local pools over the forward relation of a tensor.

#include <lattice/pool.h>

#include "backend/backend.h"
#include "coords/coords_internal.h"
#include "coords/tensor_internal.h"
#include "core/array_internal.h"
#include "core/compiler.h"
#include "relation/relation_internal.h"

static const char op[] = "pool3d";

static lat_status check_inputs(const lat_context *context, const lat_tensor *x, lat_pool_mode mode,
                               const lat_kernel_opts *opts, lat__geometry *geometry, lat_tensor **out) {
  static const lat_kernel_opts defaults = {sizeof defaults, {2, 2, 2}, {2, 2, 2}, {0, 0, 0}, {1, 1, 1}};
  lat_status status = lat__op_check(op, context, "x", x, out);
  if (status) return status;
  if (mode != LAT_POOL_SUM && mode != LAT_POOL_MAX && mode != LAT_POOL_AVG) {
    return lat_fail(LAT_STATUS_INVALID_ARGUMENT, "%s: mode: got %d, expected 0 (sum), 1 (max) or 2 (avg)", op,
                    (int)mode);
  }
  return lat__geometry_check(op, opts, &defaults, geometry);
}

lat_status lat_pool3d(lat_context *context, const lat_tensor *x, lat_pool_mode mode, const lat_kernel_opts *opts,
                      lat_tensor **out) {
  lat_status status = LAT_STATUS_OK;
  lat__geometry geometry;
  lat_relation *relation = NULL;
  lat_coords *out_coords = NULL;
  lat_array *feats = NULL;
  LAT_TRY(check_inputs(context, x, mode, opts, &geometry, out), done);
  LAT_TRY(lat__relation_forward(context, op, x->coords, &geometry, &relation, &out_coords), done);
  lat_array_view view = x->feats->view;
  LAT_TRY(lat__array_new_2d(context, op, view.dtype, out_coords->n_rows, view.shape[1], &feats), done);
  lat__pool_desc desc = {.pairs = &relation->pairs,
                         .n_in = view.shape[0],
                         .n_out = out_coords->n_rows,
                         .channels = view.shape[1],
                         .dtype = view.dtype,
                         .mode = (int)mode,
                         .x = view.data,
                         .y = lat_array_data(feats)};
  LAT_TRY(lat__backend_of(context)->pool(context, &desc), done);
  LAT_TRY(lat__tensor_new(context, op, out_coords, feats, x, out), done);
done:
  lat_array_release(feats);
  lat_coords_release(out_coords);
  lat_relation_release(relation);
  return status;
}
