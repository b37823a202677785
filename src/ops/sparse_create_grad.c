// Gradient of sparse tensors from arrays with equal rows reduced to one.

#include "backend/backend.h"
#include "coords/coords_internal.h"
#include "core/alloc.h"
#include "core/array_internal.h"
#include "core/compiler.h"
#include "core/context_internal.h"
#include "ops/sparse_create_internal.h"

static const char op[] = "sparse_from_coordinates_backward";

/// Checks a `(n, C)` feature array.
static lat_status check_features(const char *name, const lat_array_view *view, int64_t n, const char *expectation) {
  char shape[128];
  int64_t count = 0;
  lat_status status = lat__view_check(op, name, view, &count);
  if (status) return status;
  if (view->rank != 2 || view->shape[0] != n) {
    return lat_fail(LAT_STATUS_INVALID_SHAPE, "%s: %s must have %s: got %s, expected (%lld, C)", op, name, expectation,
                    lat__shape_text(view, shape, sizeof shape), (long long)n);
  }
  if (lat__dtype_is_feature(view->dtype)) return LAT_STATUS_OK;
  return lat_fail(LAT_STATUS_INVALID_DTYPE, "%s: %s dtype: got %s, expected float32, float16 or bfloat16", op, name,
                  lat_dtype_name(view->dtype));
}

/// The forward features, which the maximum needs.
static lat_status check_forward(const lat_array_view *feats, const lat_array_view *grad_out, int64_t n) {
  if (!feats) {
    return lat_fail(LAT_STATUS_INVALID_ARGUMENT, "%s: feats: got NULL, expected those of the forward call", op);
  }
  lat_status status = check_features("feats", feats, n, "one row for each row of coords");
  if (status) return status;
  if (feats->shape[1] != grad_out->shape[1]) {
    return lat_fail(LAT_STATUS_INVALID_SHAPE,
                    "%s: feats and grad_out must have the same channels: got %lld and %lld, expected equal numbers", op,
                    (long long)feats->shape[1], (long long)grad_out->shape[1]);
  }
  if (feats->dtype == grad_out->dtype) return LAT_STATUS_OK;
  return lat_fail(LAT_STATUS_INVALID_DTYPE,
                  "%s: feats and grad_out must have the same dtype: got %s and %s, expected equal ones", op,
                  lat_dtype_name(feats->dtype), lat_dtype_name(grad_out->dtype));
}

/// The first of equal rows gets the gradient: the others' places are struck out.
static lat_status spread_first(lat_context *context, const lat_array_view *grad, int64_t n, lat__unique_rows *unique,
                               void *y) {
  int32_t seen = 0;
  for (int64_t r = 0; r < n; r++) {
    if (unique->inverse[r] == seen) {
      seen++;
    } else {
      unique->inverse[r] = -1;
    }
  }
  lat__gather_desc desc = {.n_rows = n,
                           .row_bytes = grad->shape[1] * (int64_t)lat_dtype_bytes(grad->dtype),
                           .rows = unique->inverse,
                           .x = grad->data,
                           .y = y};
  return lat__backend_of(context)->gather(context, &desc);
}

/// Gradient of a reduction over `rows` (n, 4).
static lat_status reduce_backward(lat_context *context, const int32_t *rows, int64_t n, lat_duplicates duplicates,
                                  const lat_array_view *feats, const lat_array_view *grad_out, lat_array **out) {
  lat_status status = LAT_STATUS_OK;
  lat__unique_rows unique = {0};
  lat_array *x = NULL, *grad = NULL, *y = NULL;
  LAT_TRY(lat__unique_rows_take(context, op, rows, n, &unique), done);
  LAT_TRY(check_features("grad_out", grad_out, unique.n, "one row for each row of the result"), done);
  if (duplicates == LAT_DUPLICATES_MAX) {
    LAT_TRY(check_forward(feats, grad_out, n), done);
    LAT_TRY(lat__view_contiguous_array(context, op, feats, &x), done);
  }
  LAT_TRY(lat__view_contiguous_array(context, op, grad_out, &grad), done);
  LAT_TRY(lat__array_new_2d(context, op, grad_out->dtype, n, grad_out->shape[1], &y), done);
  if (duplicates == LAT_DUPLICATES_FIRST) {
    LAT_TRY(spread_first(context, &grad->view, n, &unique, lat_array_data(y)), done);
  } else {
    lat__voxel_reduce_grad_desc desc = {.n_points = n,
                                        .n_voxels = unique.n,
                                        .channels = grad_out->shape[1],
                                        .dtype = grad_out->dtype,
                                        .reduction = lat__duplicates_reduction(duplicates),
                                        .inverse_rows = unique.inverse,
                                        .counts = unique.counts,
                                        .x = x ? x->view.data : NULL,
                                        .grad = grad->view.data,
                                        .y = lat_array_data(y)};
    LAT_TRY(lat__backend_of(context)->voxel_reduce_grad(context, &desc), done);
  }
  *out = y;
  y = NULL;
done:
  lat_array_release(x);
  lat_array_release(grad);
  lat_array_release(y);
  lat__unique_rows_free(context, &unique);
  return status;
}

lat_status lat_sparse_from_coordinates_backward(lat_context *context, const lat_array_view *coords,
                                                const lat_array_view *feats, const lat_array_view *grad_out,
                                                const lat_from_coordinates_opts *opts, lat_array **grad_feats) {
  lat_status status = LAT_STATUS_OK;
  lat_from_coordinates_opts o;
  int32_t *rows = NULL;
  LAT_TRY(lat__array_op_check(op, context, grad_feats), done);
  LAT_TRY(lat__opts_copy(op, opts, sizeof o, &o), done);
  LAT_TRY(lat__duplicates_check(op, o.duplicates), done);
  LAT_TRY(lat__coords_take_rows(context, op, "coords", coords, &rows), done);
  if (o.duplicates == LAT_DUPLICATES_NONE || o.duplicates == LAT_DUPLICATES_ERROR) {
    LAT_TRY(check_features("grad_out", grad_out, coords->shape[0], "one row for each row of the result"), done);
    LAT_TRY(lat_array_create(context, grad_out, grad_feats), done);
  } else {
    LAT_TRY(reduce_backward(context, rows, coords->shape[0], o.duplicates, feats, grad_out, grad_feats), done);
  }
done:
  lat__free(context, rows);
  return status;
}
