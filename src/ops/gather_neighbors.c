// The source feature row of every edge of a neighbour relation, and the gradient of the sources.

#include "backend/backend.h"
#include "core/array_internal.h"
#include "core/compiler.h"
#include "core/context_internal.h"
#include "ops/feature_internal.h"
#include "ops/rows_grad.h"
#include "relation/neighbors_internal.h"

static lat_status check_inputs(const char *op, const lat_context *context, const lat_array_view *features,
                               const lat_neighbors *neighbors, lat_array **out) {
  int64_t count = 0;
  char shape[128];
  if (!out) return lat_fail(LAT_STATUS_INVALID_ARGUMENT, "%s: out: got NULL, expected a place for the array", op);
  *out = NULL;
  if (!context || !neighbors) {
    return lat_fail(LAT_STATUS_INVALID_ARGUMENT, "%s: %s: got NULL, expected a handle", op,
                    context ? "neighbors" : "context");
  }
  lat_status status = lat__view_check(op, "features", features, &count);
  if (status) return status;
  if (!lat__dtype_is_feature(features->dtype)) {
    return lat_fail(LAT_STATUS_INVALID_DTYPE,
                    "%s: features have an unsupported dtype: got %s, expected a feature dtype", op,
                    lat_dtype_name(features->dtype));
  }
  if (features->rank != 2) {
    return lat_fail(LAT_STATUS_INVALID_SHAPE, "%s: features must have shape (n_sources, C): got %s, expected rank 2",
                    op, lat__shape_text(features, shape, sizeof shape));
  }
  if (features->shape[0] != neighbors->n_sources) {
    return lat_fail(LAT_STATUS_INVALID_SHAPE, "%s: features must have one row for each source: got %lld, expected %lld",
                    op, (long long)features->shape[0], (long long)neighbors->n_sources);
  }
  return LAT_STATUS_OK;
}

lat_status lat_gather_neighbor_features(lat_context *context, const lat_array_view *features,
                                        const lat_neighbors *neighbors, lat_array **out) {
  static const char op[] = "gather_neighbor_features";
  lat_status status = LAT_STATUS_OK;
  lat_array *source = NULL, *result = NULL;
  LAT_TRY(check_inputs(op, context, features, neighbors, out), done);
  int64_t channels = features->shape[1];
  LAT_TRY(lat__view_contiguous_array(context, op, features, &source), done);
  LAT_TRY(lat__array_new_2d(context, op, features->dtype, neighbors->edges.n_edges, channels, &result), done);
  lat__gather_desc desc = {.n_rows = neighbors->edges.n_edges,
                           .row_bytes = channels * (int64_t)lat_dtype_bytes(features->dtype),
                           .rows = neighbors->edges.source_rows,
                           .x = lat_array_as_view(source).data,
                           .y = lat_array_data(result)};
  LAT_TRY(lat__backend_of(context)->gather(context, &desc), done);
  *out = result;
  result = NULL;
done:
  lat_array_release(source);
  lat_array_release(result);
  return status;
}

lat_status lat_gather_neighbor_features_backward(lat_context *context, const lat_array_view *features,
                                                 const lat_neighbors *neighbors, const lat_array_view *grad_out,
                                                 lat_array **out) {
  static const char op[] = "gather_neighbor_features_backward";
  lat_status status = LAT_STATUS_OK;
  lat_array *grad = NULL;
  LAT_TRY(check_inputs(op, context, features, neighbors, out), done);
  int64_t channels = features->shape[1], n_edges = neighbors->edges.n_edges;
  LAT_TRY(lat__grad_view(context, op, grad_out, n_edges, channels, &grad), done);
  lat__rows_copy copy = {.rows = neighbors->edges.source_rows,
                         .n = n_edges,
                         .n_rows = neighbors->n_sources,
                         .channels = channels,
                         .dtype = features->dtype,
                         .grad = grad,
                         .grad_stride = channels};
  LAT_TRY(lat__rows_copy_backward(context, op, &copy, out), done);
done:
  lat_array_release(grad);
  return status;
}
