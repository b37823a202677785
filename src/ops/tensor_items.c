// A sparse tensor taken apart by batch item.

#include <string.h>

#include <lattice/sparse_create.h>

#include "backend/backend.h"
#include "coords/batch_items.h"
#include "coords/coords_internal.h"
#include "coords/tensor_internal.h"
#include "core/array_internal.h"
#include "core/checked.h"
#include "core/compiler.h"
#include "core/context_internal.h"

static const char op[] = "tensor_decompose";

static int64_t count_items(const lat_tensor *x) {
  int64_t largest = -1;
  if (x->batch_size >= 0) return x->batch_size;
  for (int64_t r = 0; r < x->coords->n_rows; r++) largest = lat__max_i64(largest, x->coords->rows[4 * r]);
  return largest + 1;
}

static lat_status fill(lat_context *context, const lat_tensor *x, const lat__batch_items *items,
                       const lat_tensor_items *out) {
  const int64_t n = items->offsets[items->n_items];
  int32_t *rows = lat_array_data(out->rows), *coords = lat_array_data(out->coords);
  memcpy(lat_array_data(out->offsets), items->offsets, ((size_t)items->n_items + 1) * sizeof(int64_t));
  for (int64_t i = 0; i < n; i++) {
    rows[i] = items->rows ? items->rows[i] : (int32_t)i;
    memcpy(coords + 3 * i, x->coords->rows + 4 * (int64_t)rows[i] + 1, 3 * sizeof(int32_t));
  }
  lat__gather_desc desc = {.n_rows = n,
                           .row_bytes = lat_tensor_channels(x) * (int64_t)lat_dtype_bytes(lat_tensor_dtype(x)),
                           .rows = rows,
                           .x = x->feats->view.data,
                           .y = lat_array_data(out->feats)};
  return lat__backend_of(context)->gather(context, &desc);
}

lat_status lat_tensor_decompose(lat_context *context, const lat_tensor *x, lat_tensor_items *out) {
  lat_status status = LAT_STATUS_OK;
  lat__batch_items items = {0};
  lat_tensor_items made = {0};
  if (!out) return lat_fail(LAT_STATUS_INVALID_ARGUMENT, "%s: out: got NULL, expected a place for the items", op);
  memset(out, 0, sizeof *out);
  if (!context) return lat_fail(LAT_STATUS_INVALID_ARGUMENT, "%s: context: got NULL, expected a context", op);
  if (!x) return lat_fail(LAT_STATUS_INVALID_ARGUMENT, "%s: x: got NULL, expected a sparse tensor", op);
  made.n_items = count_items(x);
  LAT_TRY(lat__batch_items_take(context, op, x->coords, made.n_items, &items), done);
  const int64_t n = items.offsets[made.n_items];
  LAT_TRY(lat__array_new_1d(context, op, LAT_DTYPE_I64, made.n_items + 1, &made.offsets), done);
  LAT_TRY(lat__array_new_1d(context, op, LAT_DTYPE_I32, n, &made.rows), done);
  LAT_TRY(lat__array_new_2d(context, op, LAT_DTYPE_I32, n, 3, &made.coords), done);
  LAT_TRY(lat__array_new_2d(context, op, lat_tensor_dtype(x), n, lat_tensor_channels(x), &made.feats), done);
  LAT_TRY(fill(context, x, &items, &made), done);
  *out = made;
  made = (lat_tensor_items){0};
done:
  lat_array_release(made.offsets);
  lat_array_release(made.rows);
  lat_array_release(made.coords);
  lat_array_release(made.feats);
  lat__batch_items_release(context, &items);
  return status;
}
