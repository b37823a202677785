// The rows that the norms over batch items take together.

#include "coords/coords_internal.h"
#include "coords/tensor_internal.h"
#include "core/checked.h"
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
                                lat__batch_items *items) {
  int64_t n_items = 0;
  if (!per_item) return lat__batch_items_take_all(context, op, x->coords, items);
  lat_status status = count_items(op, x, &n_items);
  return status ? status : lat__batch_items_take(context, op, x->coords, n_items, items);
}
