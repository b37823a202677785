// Distinct floor(row / divisor) of ordered rows, first-seen.
//
// Leaves of one column that fall into the same coarse cell lie side by side; such a run is one candidate. Sorting the
// candidates gives the coarse tree; the least row of a cell's candidates says when the cell was first seen.

#include <string.h>

#include "backend/cpu/cpu_backend.h"
#include "backend/cpu/cpu_order.h"
#include "core/alloc.h"
#include "core/checked.h"
#include "core/compiler.h"

static const char op[] = "downsample";

/// Runs of leaves, at most one for each leaf.
typedef struct runs {
  int64_t n;
  int32_t *cells;     ///< (n, 4): coarse coordinates
  int32_t *first_row; ///< (n,): least row of the run
} runs;

static void add_column(const lat__coord_order *order, int64_t column, const int32_t cell[3], int32_t divisor_z,
                       runs *out) {
  int64_t leaf = order->column_begin[column], end = order->column_begin[column + 1];
  while (leaf < end) {
    int32_t z = lat__floor_div_i32(order->z[leaf], divisor_z);
    int32_t first = order->row[leaf++];
    for (; leaf < end && lat__floor_div_i32(order->z[leaf], divisor_z) == z; leaf++) {
      if (order->row[leaf] < first) first = order->row[leaf];
    }
    int32_t *target = out->cells + 4 * out->n;
    target[0] = cell[0];
    target[1] = cell[1];
    target[2] = cell[2];
    target[3] = z;
    out->first_row[out->n++] = first;
  }
}

static void find_runs(const lat__coord_order *order, lat_triple divisor, runs *out) {
  for (int64_t slab = 0; slab < order->n_slabs; slab++) {
    int32_t cell[3] = {order->slab_batch[slab], lat__floor_div_i32(order->slab_x[slab], divisor.x), 0};
    for (int64_t column = order->slab_begin[slab]; column < order->slab_begin[slab + 1]; column++) {
      cell[2] = lat__floor_div_i32(order->column_y[column], divisor.y);
      add_column(order, column, cell, divisor.z, out);
    }
  }
}

/// cell_of[row] = leaf of the coarse tree whose cell is first seen in that row, -1 for the others. `leaves` gets the
/// number of a candidate of each leaf.
static void find_first_rows(const lat__coord_order *coarse, const runs *candidates, int32_t *cell_of) {
  for (int64_t leaf = 0; leaf < coarse->n_leaves; leaf++) {
    int32_t first = candidates->first_row[coarse->row[leaf]];
    for (int32_t run = coarse->row[leaf]; coarse->next_twin && run >= 0; run = coarse->next_twin[run]) {
      if (candidates->first_row[run] < first) first = candidates->first_row[run];
    }
    cell_of[first] = (int32_t)leaf;
  }
}

/// Numbers the cells by first row and makes `coarse` an order of those numbers.
static void number_cells(lat_context *context, int64_t n_rows, const int32_t *cell_of, const runs *candidates,
                         lat__coord_order *coarse, int32_t *out_rows) {
  int32_t n = 0;
  for (int64_t row = 0; row < n_rows; row++) {
    int32_t leaf = cell_of[row];
    if (leaf < 0) continue;
    memcpy(out_rows + 4 * (int64_t)n, candidates->cells + 4 * (int64_t)coarse->row[leaf], 4 * sizeof(int32_t));
    coarse->row[leaf] = n++;
  }
  coarse->n_rows = n;
  lat__free(context, coarse->next_twin);
  coarse->next_twin = NULL;
}

lat_status lat__cpu_downsample(lat_context *context, const lat__coord_order *order, lat_triple divisor,
                               int32_t **out_rows, int64_t *n_out, lat__coord_order **out_order) {
  lat_status status = LAT_STATUS_OK;
  void *cells = NULL, *first_row = NULL, *cell_of = NULL, *rows = NULL;
  lat__coord_order *coarse = NULL;
  LAT_TRY(lat__alloc_items(context, op, order->n_leaves, 4 * sizeof(int32_t), &cells), done);
  LAT_TRY(lat__alloc_items(context, op, order->n_leaves, sizeof(int32_t), &first_row), done);
  LAT_TRY(lat__alloc_items(context, op, order->n_rows, sizeof(int32_t), &cell_of), done);
  runs candidates = {0, cells, first_row};
  find_runs(order, divisor, &candidates);
  LAT_TRY(lat__cpu_order_create(context, cells, candidates.n, &coarse), done);
  LAT_TRY(lat__alloc_items(context, op, coarse->n_leaves, 4 * sizeof(int32_t), &rows), done);
  memset(cell_of, 0xFF, (size_t)order->n_rows * sizeof(int32_t)); // every entry -1
  find_first_rows(coarse, &candidates, cell_of);
  number_cells(context, order->n_rows, cell_of, &candidates, coarse, rows);
  *n_out = coarse->n_leaves;
  *out_rows = rows;
  *out_order = coarse;
  rows = NULL;
  coarse = NULL;
done:
  lat__cpu_order_destroy(coarse);
  lat__free(context, rows);
  lat__free(context, cell_of);
  lat__free(context, first_row);
  lat__free(context, cells);
  return status;
}
