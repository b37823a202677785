// Global pools: the rows of each batch item reduced to one row. Rows go by the batch column.

#include <lattice/pool.h>

#include "backend/backend.h"
#include "coords/coords_internal.h"
#include "coords/tensor_internal.h"
#include "core/alloc.h"
#include "core/array_internal.h"
#include "core/checked.h"
#include "core/compiler.h"
#include "core/context_internal.h"

static const char op[] = "global_pool";

/// Rows of the batch items: those of item b are `rows[offsets[b] .. offsets[b + 1])`, ascending.
typedef struct batch_items {
  int64_t n_items;
  int64_t *offsets;
  int32_t *rows; ///< NULL: entry r is row r
} batch_items;

static lat_status check_inputs(const lat_context *context, const lat_tensor *x, lat_pool_mode mode, int64_t batch_size,
                               lat_array **out) {
  if (!out) return lat_fail(LAT_STATUS_INVALID_ARGUMENT, "%s: out: got NULL, expected a place for the array", op);
  *out = NULL;
  if (!context) return lat_fail(LAT_STATUS_INVALID_ARGUMENT, "%s: context: got NULL, expected a context", op);
  if (!x) return lat_fail(LAT_STATUS_INVALID_ARGUMENT, "%s: x: got NULL, expected a sparse tensor", op);
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

/// Item of row r, or -1 when it takes no part.
static int64_t item_of(const lat_coords *coords, int64_t r, int64_t n_items) {
  int64_t item = coords->rows[4 * r];
  return item < n_items ? lat__max_i64(item, -1) : -1;
}

/// Fills offsets; true when the rows of the items lie one after the other, from row 0 on.
static bool count_items(const lat_coords *coords, batch_items *items) {
  bool in_order = true;
  int64_t previous = 0;
  for (int64_t r = 0; r < coords->n_rows; r++) {
    int64_t item = item_of(coords, r, items->n_items);
    in_order = in_order && item >= previous;
    previous = item;
    if (item >= 0) items->offsets[item + 1]++;
  }
  for (int64_t b = 0; b < items->n_items; b++) items->offsets[b + 1] += items->offsets[b];
  return in_order;
}

static lat_status group_rows(lat_context *context, const lat_coords *coords, batch_items *items) {
  lat_status status = LAT_STATUS_OK;
  void *offsets = NULL, *rows = NULL, *next = NULL;
  LAT_TRY(lat__alloc_zero(context, op, items->n_items + 1, sizeof(int64_t), &offsets), done);
  items->offsets = offsets;
  if (count_items(coords, items)) goto done;
  LAT_TRY(lat__alloc_items(context, op, items->offsets[items->n_items], sizeof(int32_t), &rows), done);
  LAT_TRY(lat__alloc_items(context, op, items->n_items, sizeof(int64_t), &next), done);
  items->rows = rows;
  int64_t *place = next;
  for (int64_t b = 0; b < items->n_items; b++) place[b] = items->offsets[b];
  for (int64_t r = 0; r < coords->n_rows; r++) {
    int64_t item = item_of(coords, r, items->n_items);
    if (item >= 0) items->rows[place[item]++] = (int32_t)r;
  }
done:
  lat__free(context, next);
  return status;
}

static lat_status check_not_empty(const batch_items *items) {
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

lat_status lat_global_pool(lat_context *context, const lat_tensor *x, lat_pool_mode mode, int64_t batch_size,
                           lat_array **out) {
  lat_status status = LAT_STATUS_OK;
  lat_array *result = NULL;
  batch_items items = {.n_items = 0};
  LAT_TRY(check_inputs(context, x, mode, batch_size, out), done);
  items.n_items = infer_items(x, batch_size);
  lat_array_view view = x->feats->view;
  LAT_TRY(lat__array_new_2d(context, op, view.dtype, items.n_items, view.shape[1], &result), done);
  LAT_TRY(group_rows(context, x->coords, &items), done);
  if (mode == LAT_POOL_MAX) LAT_TRY(check_not_empty(&items), done);
  lat__global_pool_desc desc = {.n_rows = view.shape[0],
                                .n_items = items.n_items,
                                .channels = view.shape[1],
                                .dtype = view.dtype,
                                .mode = (int)mode,
                                .item_offsets = items.offsets,
                                .item_rows = items.rows,
                                .x = view.data,
                                .y = lat_array_data(result)};
  LAT_TRY(lat__backend_of(context)->global_pool(context, &desc), done);
  *out = result;
  result = NULL;
done:
  if (context) {
    lat__free(context, items.offsets);
    lat__free(context, items.rows);
  }
  lat_array_release(result);
  return status;
}
