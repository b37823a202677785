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

/// Division by one number, by a shift where it is a power of two.
typedef struct floor_divisor {
  int32_t value;
  int shift; ///< -1: none
} floor_divisor;

static floor_divisor make_divisor(int32_t value) {
  return (floor_divisor){value, value & (value - 1) ? -1 : __builtin_ctz((uint32_t)value)};
}

static LAT_ALWAYS_INLINE int32_t divide(int32_t value, floor_divisor divisor) {
  // Complementing turns the floor of a negative number into a shift of a non-negative one.
  if (divisor.shift >= 0) return value < 0 ? ~(~value >> divisor.shift) : value >> divisor.shift;
  return lat__floor_div_i32(value, divisor.value);
}

static void add_column(const lat__coord_order *order, int64_t column, const int32_t cell[3], floor_divisor divisor,
                       runs *out) {
  const int32_t *leaf_z = order->z, *row = order->row;
  int64_t leaf = order->column_begin[column], end = order->column_begin[column + 1];
  while (leaf < end) {
    int32_t z = divide(leaf_z[leaf], divisor);
    int64_t z_end = ((int64_t)z + 1) * divisor.value; // of the cell
    int32_t first = row[leaf++];
    for (; leaf < end && leaf_z[leaf] < z_end; leaf++) {
      if (row[leaf] < first) first = row[leaf];
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
  floor_divisor x = make_divisor(divisor.x), y = make_divisor(divisor.y), z = make_divisor(divisor.z);
  for (int64_t slab = 0; slab < order->n_slabs; slab++) {
    int32_t cell[3] = {order->slab_batch[slab], divide(order->slab_x[slab], x), 0};
    for (int64_t column = order->slab_begin[slab]; column < order->slab_begin[slab + 1]; column++) {
      cell[2] = divide(order->column_y[column], y);
      add_column(order, column, cell, z, out);
    }
  }
}

/// cell_of[row] = leaf of the coarse tree whose cell is first seen in that row, -1 for the others.
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
