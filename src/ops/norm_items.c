// The rows of every batch item, for norms over items. Rows go by the batch column and need not be contiguous.

#include "coords/coords_internal.h"
#include "coords/tensor_internal.h"
#include "core/alloc.h"
#include "core/checked.h"
#include "core/compiler.h"
#include "ops/norm_internal.h"

static lat_status count_items(const char *op, const lat_tensor *x, int64_t *n_items) {
  *n_items = lat__max_i64(0, x->batch_size);
  for (int64_t r = 0; r < x->coords->n_rows; r++) {
    int64_t item = x->coords->rows[4 * r];
    *n_items = lat__max_i64(*n_items, item + 1);
    if (item >= 0) continue;
    return lat_fail(LAT_STATUS_INVALID_ARGUMENT, "%s: batch index of row %lld: got %lld, expected 0 or more", op,
                    (long long)r, (long long)item);
  }
  return LAT_STATUS_OK;
}

lat_status lat__norm_items_take(lat_context *context, const char *op, const lat_tensor *x, bool per_item,
                                lat__norm_items *items) {
  lat_status status = LAT_STATUS_OK;
  const lat_coords *coords = x->coords;
  void *offsets = NULL, *rows = NULL;
  *items = (lat__norm_items){.n_items = 1};
  if (per_item) LAT_TRY(count_items(op, x, &items->n_items), done);
  LAT_TRY(lat__alloc_zero(context, op, items->n_items + 1, sizeof(int64_t), &offsets), done);
  items->offsets = offsets;
  if (!per_item) {
    items->offsets[1] = coords->n_rows;
    goto done;
  }
  LAT_TRY(lat__alloc_items(context, op, coords->n_rows, sizeof(int32_t), &rows), done);
  items->rows = rows;
  for (int64_t r = 0; r < coords->n_rows; r++) items->offsets[coords->rows[4 * r] + 1]++;
  for (int64_t b = 0; b < items->n_items; b++) items->offsets[b + 1] += items->offsets[b];
  // Filled from the back: the end of an item moves down to its start, which is the end of the one before.
  for (int64_t r = coords->n_rows - 1; r >= 0; r--) {
    items->rows[--items->offsets[coords->rows[4 * r] + 1]] = (int32_t)r;
  }
  for (int64_t b = 0; b < items->n_items; b++) items->offsets[b] = items->offsets[b + 1];
  items->offsets[items->n_items] = coords->n_rows;
done:
  return status;
}

void lat__norm_items_release(lat_context *context, lat__norm_items *items) {
  if (!context) return;
  lat__free(context, items->offsets);
  lat__free(context, items->rows);
}
