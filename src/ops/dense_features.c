// Linear and norms on dense features: the operation on a sparse tensor whose coordinates nobody looks at.

#include <lattice/feature.h>

#include "coords/tensor_internal.h"
#include "core/array_internal.h"
#include "core/compiler.h"
#include "core/context_internal.h"
#include "ops/feature_internal.h"
#include "ops/norm_internal.h"

/// A tensor of the rows of `x`, all at the origin.
static lat_status open_rows(lat_context *context, const char *op, const lat_array_view *x, lat_tensor **out) {
  lat_status status = LAT_STATUS_OK;
  lat_array *feats = NULL, *rows = NULL;
  lat_coords *coords = NULL;
  int64_t shape[2] = {0, 4};
  LAT_TRY(lat__feature_view(context, op, "x", x, &feats), done);
  shape[0] = x->shape[0];
  LAT_TRY(lat_array_full(context, LAT_DTYPE_I32, 2, shape, 0.0, &rows), done);
  LAT_TRY(lat_coords_create(context, &rows->view, NULL, &coords), done);
  LAT_TRY(lat__tensor_new(context, op, coords, feats, NULL, out), done);
done:
  lat_coords_release(coords);
  lat_array_release(rows);
  lat_array_release(feats);
  return status;
}

static void take_feats(lat_status status, lat_tensor *y, lat_array **out) {
  if (status == LAT_STATUS_OK) *out = lat_array_retain(y->feats);
  lat_tensor_release(y);
}

lat_status lat_linear_features(lat_context *context, const lat_array_view *x, const lat_weight *weight,
                               const lat_array_view *bias, lat_array **out) {
  static const char op[] = "linear_features";
  lat_status status = LAT_STATUS_OK;
  lat_tensor *rows = NULL, *y = NULL;
  LAT_TRY(lat__array_op_check(op, context, out), done);
  LAT_TRY(open_rows(context, op, x, &rows), done);
  LAT_TRY(lat__linear_run(context, op, rows, weight, bias, &y), done);
done:
  take_feats(status, y, out);
  lat_tensor_release(rows);
  return status;
}

/// Refuses options without a parameter that the norm has.
static lat_status check_given(const char *op, lat__norm kind, const lat_norm_opts *opts) {
  lat_norm_opts o;
  lat_status status = lat__opts_copy(op, opts, sizeof o, &o);
  if (status) return status;
  const char *missing = NULL;
  if (kind == LAT__NORM_BATCH && !o.var) missing = "var";
  if (kind == LAT__NORM_BATCH && !o.mean) missing = "mean";
  if (kind != LAT__NORM_RMS && !o.bias) missing = "bias";
  if (!o.weight) missing = "weight";
  if (!missing) return LAT_STATUS_OK;
  return lat_fail(LAT_STATUS_INVALID_ARGUMENT, "%s: %s: got NULL, expected a view of shape (C,)", op, missing);
}

static lat_status norm_features(lat_context *context, const char *op, lat__norm kind, const lat_array_view *x,
                                const lat_norm_opts *opts, lat_array **out) {
  lat_status status = LAT_STATUS_OK;
  lat_tensor *rows = NULL, *y = NULL;
  LAT_TRY(lat__array_op_check(op, context, out), done);
  LAT_TRY(check_given(op, kind, opts), done);
  LAT_TRY(open_rows(context, op, x, &rows), done);
  LAT_TRY(lat__norm_run(context, op, kind, rows, opts, &y), done);
done:
  take_feats(status, y, out);
  lat_tensor_release(rows);
  return status;
}

lat_status lat_batch_norm_features(lat_context *context, const lat_array_view *x, const lat_norm_opts *opts,
                                   lat_array **out) {
  return norm_features(context, "batch_norm_features", LAT__NORM_BATCH, x, opts, out);
}

lat_status lat_layer_norm_features(lat_context *context, const lat_array_view *x, const lat_norm_opts *opts,
                                   lat_array **out) {
  return norm_features(context, "layer_norm_features", LAT__NORM_LAYER, x, opts, out);
}

lat_status lat_rms_norm_features(lat_context *context, const lat_array_view *x, const lat_norm_opts *opts,
                                 lat_array **out) {
  return norm_features(context, "rms_norm_features", LAT__NORM_RMS, x, opts, out);
}
