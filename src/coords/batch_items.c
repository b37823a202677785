// Rows grouped by batch item: a counting sort by the batch column.

#include <stdbool.h>

#include "coords/batch_items.h"
#include "coords/coords_internal.h"
#include "core/alloc.h"
#include "core/checked.h"
#include "core/compiler.h"

/// Item of row r, or -1 when it takes no part.
static int64_t item_of(const lat_coords *coords, int64_t r, int64_t n_items) {
  int64_t item = coords->rows[4 * r];
  return item < n_items ? lat__max_i64(item, -1) : -1;
}

/// Fills offsets; true when the rows of the items lie one after the other, from row 0 on.
static bool count_items(const lat_coords *coords, lat__batch_items *items) {
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

static lat_status alloc_offsets(lat_context *context, const char *op, int64_t n_items, lat__batch_items *items) {
  void *offsets = NULL;
  *items = (lat__batch_items){.n_items = n_items};
  lat_status status =
      lat__alloc_zero(context, op, n_items < INT64_MAX ? n_items + 1 : n_items, sizeof(int64_t), &offsets);
  items->offsets = offsets;
  return status;
}

lat_status lat__batch_items_take(lat_context *context, const char *op, const lat_coords *coords, int64_t n_items,
                                 lat__batch_items *items) {
  lat_status status = LAT_STATUS_OK;
  void *rows = NULL, *next = NULL;
  LAT_TRY(alloc_offsets(context, op, n_items, items), done);
  if (count_items(coords, items)) goto done;
  LAT_TRY(lat__alloc_items(context, op, items->offsets[n_items], sizeof(int32_t), &rows), done);
  items->rows = rows;
  LAT_TRY(lat__alloc_items(context, op, n_items, sizeof(int64_t), &next), done);
  int64_t *place = next;
  for (int64_t b = 0; b < n_items; b++) place[b] = items->offsets[b];
  for (int64_t r = 0; r < coords->n_rows; r++) {
    int64_t item = item_of(coords, r, n_items);
    if (item >= 0) items->rows[place[item]++] = (int32_t)r;
  }
done:
  lat__free(context, next);
  return status;
}

lat_status lat__batch_items_take_all(lat_context *context, const char *op, const lat_coords *coords,
                                     lat__batch_items *items) {
  lat_status status = alloc_offsets(context, op, 1, items);
  if (!status) items->offsets[1] = coords->n_rows;
  return status;
}

void lat__batch_items_release(lat_context *context, lat__batch_items *items) {
  if (!context) return;
  lat__free(context, items->offsets);
  lat__free(context, items->rows);
}
