// Global pools, the rows of each batch item reduced to one row, and their gradient. Rows go by the batch column.

#include <lattice/pool.h>

#include "backend/backend.h"
#include "coords/batch_items.h"
#include "coords/coords_internal.h"
#include "coords/tensor_internal.h"
#include "core/array_internal.h"
#include "core/checked.h"
#include "core/compiler.h"
#include "core/context_internal.h"
#include "ops/feature_internal.h"

static lat_status check_inputs(const char *op, const lat_context *context, const lat_tensor *x, lat_pool_mode mode,
                               int64_t batch_size, lat_array **out) {
  lat_status status = lat__array_op_check(op, context, out);
  if (!status) status = lat__tensor_check(op, "x", x);
  if (status) return status;
  if (mode != LAT_POOL_SUM && mode != LAT_POOL_MAX && mode != LAT_POOL_AVG) {
    return lat_fail(LAT_STATUS_INVALID_ARGUMENT, "%s: mode: got %d, expected 0 (sum), 1 (max) or 2 (avg)", op,
                    (int)mode);
  }
  if (batch_size < -1) {
    return lat_fail(LAT_STATUS_INVALID_ARGUMENT, "%s: batch_size must be non-negative: got %lld, expected 0 or more",
                    op, (long long)batch_size);
  }
  if (x->batch_counts && batch_size >= 0 && batch_size != x->batch_size) {
    return lat_fail(LAT_STATUS_INVALID_ARGUMENT,
                    "%s: batch_size must match batch_counts length: got %lld, expected %lld", op, (long long)batch_size,
                    (long long)x->batch_size);
  }
  return LAT_STATUS_OK;
}

static int64_t infer_items(const lat_tensor *x, int64_t batch_size) {
  if (x->batch_counts) return x->batch_size;
  if (batch_size >= 0) return batch_size;
  if (x->batch_size >= 0) return x->batch_size;
  int64_t largest = -1;
  for (int64_t r = 0; r < x->coords->n_rows; r++) largest = lat__max_i64(largest, x->coords->rows[4 * r]);
  return largest + 1;
}

static lat_status check_not_empty(const char *op, const lat__batch_items *items) {
  int64_t empty = -1;
  for (int64_t b = 0; b < items->n_items && empty < 0; b++) {
    if (items->offsets[b] == items->offsets[b + 1]) empty = b;
  }
  if (empty < 0 && items->n_items > 0) return LAT_STATUS_OK;
  return lat_fail(LAT_STATUS_INVALID_ARGUMENT,
                  "%s: global_max_pool does not support empty batches: got %lld items, of which item %lld has no "
                  "rows, expected a row in each",
                  op, (long long)items->n_items, (long long)lat__max_i64(empty, 0));
}

/// The pool over given items.
static lat_status run(lat_context *context, const char *op, const lat_tensor *x, lat_pool_mode mode,
                      const lat__batch_items *items, lat_array **out) {
  lat_status status = LAT_STATUS_OK;
  lat_array *result = NULL;
  lat_array_view view = x->feats->view;
  LAT_TRY(lat__array_new_2d(context, op, view.dtype, items->n_items, view.shape[1], &result), done);
  lat__global_pool_desc desc = {.n_rows = view.shape[0],
                                .n_items = items->n_items,
                                .channels = view.shape[1],
                                .dtype = view.dtype,
                                .mode = (int)mode,
                                .item_offsets = items->offsets,
                                .item_rows = items->rows,
                                .x = view.data,
                                .y = lat_array_data(result)};
  LAT_TRY(lat__backend_of(context)->global_pool(context, &desc), done);
  *out = result;
  result = NULL;
done:
  lat_array_release(result);
  return status;
}

lat_status lat_global_pool(lat_context *context, const lat_tensor *x, lat_pool_mode mode, int64_t batch_size,
                           lat_array **out) {
  static const char op[] = "global_pool";
  lat_status status = LAT_STATUS_OK;
  lat__batch_items items = {.n_items = 0};
  LAT_TRY(check_inputs(op, context, x, mode, batch_size, out), done);
  LAT_TRY(lat__batch_items_take(context, op, x->coords, infer_items(x, batch_size), &items), done);
  if (mode == LAT_POOL_MAX) LAT_TRY(check_not_empty(op, &items), done);
  LAT_TRY(run(context, op, x, mode, &items, out), done);
done:
  lat__batch_items_release(context, &items);
  return status;
}

lat_status lat_global_pool_backward(lat_context *context, const lat_tensor *x, lat_pool_mode mode, int64_t batch_size,
                                    const lat_array_view *grad_out, lat_array **out) {
  static const char op[] = "global_pool_backward";
  lat_status status = LAT_STATUS_OK;
  lat__batch_items items = {.n_items = 0};
  lat_array *grad = NULL, *maxima = NULL, *result = NULL;
  LAT_TRY(check_inputs(op, context, x, mode, batch_size, out), done);
  lat_array_view view = x->feats->view;
  LAT_TRY(lat__grad_view(context, op, grad_out, infer_items(x, batch_size), view.shape[1], &grad), done);
  LAT_TRY(lat__batch_items_take(context, op, x->coords, infer_items(x, batch_size), &items), done);
  if (mode == LAT_POOL_MAX) {
    LAT_TRY(check_not_empty(op, &items), done);
    LAT_TRY(run(context, op, x, mode, &items, &maxima), done);
  }
  LAT_TRY(lat__array_new_2d(context, op, view.dtype, view.shape[0], view.shape[1], &result), done);
  lat__global_pool_grad_desc desc = {.n_rows = view.shape[0],
                                     .n_items = items.n_items,
                                     .channels = view.shape[1],
                                     .dtype = view.dtype,
                                     .dtype_grad = grad->view.dtype,
                                     .mode = (int)mode,
                                     .item_offsets = items.offsets,
                                     .item_rows = items.rows,
                                     .x = view.data,
                                     .maxima = maxima ? maxima->view.data : NULL,
                                     .grad = grad->view.data,
                                     .y = lat_array_data(result)};
  LAT_TRY(lat__backend_of(context)->global_pool_grad(context, &desc), done);
  *out = result;
  result = NULL;
done:
  lat__batch_items_release(context, &items);
  lat_array_release(grad);
  lat_array_release(maxima);
  lat_array_release(result);
  return status;
}
