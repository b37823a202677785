/// Which rows belong to which batch item. Rows go by the batch column and need not be contiguous.
#ifndef LATTICE_COORDS_BATCH_ITEMS_H
#define LATTICE_COORDS_BATCH_ITEMS_H

#include <lattice/coords.h>

/// The rows of item b are `rows[offsets[b] .. offsets[b + 1])`, ascending.
typedef struct lat__batch_items {
  int64_t n_items;
  int64_t *offsets; ///< n_items + 1, from lat__alloc
  int32_t *rows;    ///< likewise; NULL: the items lie one after the other, entry r is row r
} lat__batch_items;

/// Groups the rows of `coords` into `n_items` items; rows whose batch index is outside 0 .. n_items - 1 take no part.
/// Release `items` whatever comes back.
LAT_CHECKED lat_status lat__batch_items_take(lat_context *context, const char *op, const lat_coords *coords,
                                             int64_t n_items, lat__batch_items *items);

/// All rows as one item, whatever their batch index. Release `items` whatever comes back.
LAT_CHECKED lat_status lat__batch_items_take_all(lat_context *context, const char *op, const lat_coords *coords,
                                                 lat__batch_items *items);

/// `context` NULL: nothing was taken.
void lat__batch_items_release(lat_context *context, lat__batch_items *items);

#endif
