// Distinct floor(row / divisor) of ordered rows, first-seen.
//
// With keys: the cell of every leaf is a few shifts of its key; neighbours in one cell become one word [ cell | least row ],
// and the sorted words, again without repetitions, are the coarse order. A bit for every row in which a cell is first seen
// tells how many cells were seen before it.
//
// Without keys: leaves of one column that fall into the same coarse cell lie side by side; such a run is one candidate.
// Sorting the candidates gives the coarse tree; the least row of a cell's candidates says when the cell was first seen.

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

static lat_status downsample_tree(lat_context *context, const lat__coord_order *order, lat_triple divisor,
                                  int32_t **out_rows, int64_t *n_out, lat__coord_order **out_order) {
  lat_status status = LAT_STATUS_OK;
  void *cells = NULL, *first_row = NULL, *cell_of = NULL, *rows = NULL;
  lat__coord_order *coarse = NULL;
  LAT_TRY(lat__alloc_items(context, op, order->n_leaves, 4 * sizeof(int32_t), &cells), done);
  LAT_TRY(lat__alloc_items(context, op, order->n_leaves, sizeof(int32_t), &first_row), done);
  LAT_TRY(lat__alloc_items(context, op, order->n_rows, sizeof(int32_t), &cell_of), done);
  runs candidates = {0, cells, first_row};
  LAT_TRY(lat__cpu_order_need_tree(order), done);
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

// --- keys -------------------------------------------------------------------------------------------------------------

/// One coordinate of a coarse cell: (field + rest) / divisor, where `rest` is how far the fine fields begin behind a cell.
typedef struct cell_axis {
  lat__key_field fine, coarse;
  floor_divisor divisor;
  uint32_t rest;
} cell_axis;

typedef struct cell_words {
  cell_axis axes[4];
  int row_bits, cell_bits;
  uint64_t *words, *scratch; ///< n_leaves each
  int64_t n;
} cell_words;

static int bits_of(uint64_t value) {
  return value ? 64 - __builtin_clzll(value) : 0;
}

static void place_fields(const lat__coord_order *order, lat_triple divisor, cell_words *w) {
  const int32_t divisors[4] = {1, divisor.x, divisor.y, divisor.z};
  int shift = 0;
  for (int c = 3; c >= 0; c--) {
    cell_axis *axis = &w->axes[c];
    const lat__key_field *fine = &order->fields[c];
    int64_t last = (int64_t)fine->low + fine->range;
    axis->fine = *fine;
    axis->divisor = make_divisor(divisors[c]);
    axis->coarse.low = divide(fine->low, axis->divisor);
    axis->coarse.range = (uint32_t)((int64_t)divide((int32_t)last, axis->divisor) - axis->coarse.low);
    axis->coarse.bits = bits_of(axis->coarse.range);
    axis->coarse.shift = axis->coarse.bits ? shift : 0;
    axis->rest = (uint32_t)((int64_t)fine->low - (int64_t)axis->coarse.low * divisors[c]);
    shift += axis->coarse.bits;
  }
  w->cell_bits = shift;
  w->row_bits = bits_of((uint64_t)order->n_rows - 1);
}

static LAT_ALWAYS_INLINE uint64_t cell_field(const cell_axis *axis, uint64_t key) {
  uint64_t value = (key >> axis->fine.shift & (((uint64_t)1 << axis->fine.bits) - 1)) + axis->rest;
  value = axis->divisor.shift >= 0 ? value >> axis->divisor.shift : value / (uint32_t)axis->divisor.value;
  return value << axis->coarse.shift;
}

/// Appends a word, or makes the last one the smaller of both when they are of one cell.
static LAT_ALWAYS_INLINE int64_t add_word(uint64_t *words, int64_t n, uint64_t word, int row_bits) {
  uint64_t last = n > 0 ? words[n - 1] : ~word;
  bool same = (last ^ word) >> row_bits == 0;
  n += !same;
  words[n - 1] = same && last < word ? last : word;
  return n;
}

static void list_words(const lat__coord_order *order, cell_words *w) {
  const cell_axis b = w->axes[0], x = w->axes[1], y = w->axes[2], z = w->axes[3]; // stores to words cannot change them
  int64_t n = 0;
  for (int64_t leaf = 0; leaf < order->n_leaves; leaf++) {
    uint64_t key = order->key[leaf];
    uint64_t cell = cell_field(&b, key) | cell_field(&x, key) | cell_field(&y, key) | cell_field(&z, key);
    n = add_word(w->words, n, cell << w->row_bits | (uint32_t)order->row[leaf], w->row_bits);
  }
  w->n = n;
}

static lat_status sort_words(lat_context *context, cell_words *w) {
  uint64_t *sorted = NULL;
  lat_status status = lat__cpu_radix_sort(context, w->words, w->scratch, w->n, w->row_bits, w->cell_bits, &sorted);
  if (status) return status;
  int64_t n = 0;
  for (int64_t i = 0; i < w->n; i++) n = add_word(sorted, n, sorted[i], w->row_bits); // n stays behind i
  w->words = sorted;
  w->n = n;
  return LAT_STATUS_OK;
}

/// Rows in which cells are first seen: a bit for each, and how many come before each 64 rows.
typedef struct first_seen {
  uint64_t *bits;
  int32_t *before;
} first_seen;

static void count_first_rows(const cell_words *w, int64_t n_words, const first_seen *seen) {
  uint64_t row_mask = ((uint64_t)1 << w->row_bits) - 1;
  int32_t n = 0;
  for (int64_t i = 0; i < w->n; i++) {
    uint64_t row = w->words[i] & row_mask;
    seen->bits[row / 64] |= UINT64_C(1) << row % 64;
  }
  for (int64_t i = 0; i < n_words; i++) {
    seen->before[i] = n;
    n += __builtin_popcountll(seen->bits[i]);
  }
}

/// Rows of the cells in the order in which they are first seen, and their order.
static void number_words(const cell_words *w, const first_seen *seen, lat__coord_order *coarse, int32_t *out_rows) {
  uint64_t row_mask = ((uint64_t)1 << w->row_bits) - 1;
  for (int64_t i = 0; i < w->n; i++) {
    uint64_t row = w->words[i] & row_mask, key = w->words[i] >> w->row_bits;
    uint64_t below = seen->bits[row / 64] & ((UINT64_C(1) << row % 64) - 1);
    int32_t number = seen->before[row / 64] + __builtin_popcountll(below);
    int32_t *out = out_rows + 4 * (int64_t)number;
    for (int c = 0; c < 4; c++) {
      const lat__key_field *field = &w->axes[c].coarse;
      out[c] = (int32_t)(field->low + (int64_t)(key >> field->shift & (((uint64_t)1 << field->bits) - 1)));
    }
    coarse->key[i] = key;
    coarse->row[i] = number;
  }
}

static lat_status downsample_keys(lat_context *context, const lat__coord_order *order, lat_triple divisor,
                                  int32_t **out_rows, int64_t *n_out, lat__coord_order **out_order) {
  lat_status status = LAT_STATUS_OK;
  cell_words w = {.n = 0};
  int64_t n_words = lat__ceil_div_i64(order->n_rows, 64);
  void *words = NULL, *scratch = NULL, *bits = NULL, *before = NULL, *rows = NULL, *key = NULL, *row = NULL;
  lat__coord_order *coarse = NULL;
  LAT_TRY(lat__alloc_items(context, op, order->n_leaves, sizeof(uint64_t), &words), done);
  LAT_TRY(lat__alloc_items(context, op, order->n_leaves, sizeof(uint64_t), &scratch), done);
  LAT_TRY(lat__alloc_zero(context, op, n_words, sizeof(uint64_t), &bits), done);
  LAT_TRY(lat__alloc_items(context, op, n_words, sizeof(int32_t), &before), done);
  w.words = words;
  w.scratch = scratch;
  place_fields(order, divisor, &w);
  list_words(order, &w);
  LAT_TRY(sort_words(context, &w), done);
  LAT_TRY(lat__cpu_order_new(context, w.n, &coarse), done);
  LAT_TRY(lat__alloc_items(context, op, w.n, sizeof(uint64_t), &key), done);
  coarse->key = key;
  LAT_TRY(lat__alloc_items(context, op, w.n, sizeof(int32_t), &row), done);
  coarse->row = row;
  LAT_TRY(lat__alloc_items(context, op, w.n, 4 * sizeof(int32_t), &rows), done);
  first_seen seen = {bits, before};
  count_first_rows(&w, n_words, &seen);
  number_words(&w, &seen, coarse, rows);
  coarse->n_leaves = w.n;
  for (int c = 0; c < 4; c++) coarse->fields[c] = w.axes[c].coarse;
  *n_out = w.n;
  *out_rows = rows;
  *out_order = coarse;
  coarse = NULL;
done:
  lat__cpu_order_destroy(coarse);
  lat__free(context, words);
  lat__free(context, scratch);
  lat__free(context, bits);
  lat__free(context, before);
  return status;
}

lat_status lat__cpu_downsample(lat_context *context, const lat__coord_order *order, lat_triple divisor,
                               int32_t **out_rows, int64_t *n_out, lat__coord_order **out_order) {
  bool has_keys = order->key && order->n_leaves > 0;
  return (has_keys ? downsample_keys : downsample_tree)(context, order, divisor, out_rows, n_out, out_order);
}
