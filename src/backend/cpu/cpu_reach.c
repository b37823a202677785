// Outputs that a strided kernel reaches: every o = (i + padding - tap * dilation) / stride that is whole on every axis.
//
// The axes do not depend on each other, so the cells reached along z are found first, from those the cells reached along
// y, from those the cells reached along x. One tap maps ordered cells to ordered cells, so that one axis is a merge of
// the same list under each of its taps:
//
//     cells, tap 0   -- i + p -------> (whole and within bounds) --+
//     cells, tap 1   -- i + p - d ---> (whole and within bounds) --+--> merge, equal cells become one
//     cells, tap 2   -- i + p - 2 d -> (whole and within bounds) --+
//
// With each cell goes the least input row that reaches it. Outputs are numbered by that row, and under one row by
// ascending kernel element. For a given input a larger tap means a smaller output on its axis, so ascending kernel
// elements are descending cells: a counting sort by row that runs backwards over the cells numbers them.

#include <string.h>

#include "backend/cpu/cpu_backend.h"
#include "backend/cpu/cpu_order.h"
#include "core/alloc.h"
#include "core/checked.h"
#include "core/compiler.h"

static const char op[] = "reach support";

#define SIGN UINT64_C(0x80000000) // flips a coordinate so that unsigned words compare as the coordinates do

/// A coordinate as two words that compare lexicographically, and the least input row that reaches it.
typedef struct cell {
  uint64_t high; ///< batch, x
  uint64_t low;  ///< y, z
  int64_t row;
} cell;

/// Cells in ascending order.
typedef struct cell_list {
  cell *cells;
  int64_t n;
} cell_list;

/// How one axis maps an input coordinate under a tap.
typedef struct reach_axis {
  int name; ///< 0 x, 1 y, 2 z
  int64_t stride, padding, dilation;
  int32_t size;
  int stride_shift; ///< log2 of a stride that is a power of two, else -1
  int64_t first, last;
} reach_axis;

static reach_axis make_axis(int name, int32_t size, int32_t stride, int32_t padding, int32_t dilation, bool bounded,
                            int32_t last) {
  return (reach_axis){.name = name,
                      .stride = stride,
                      .padding = padding,
                      .dilation = dilation,
                      .size = size,
                      .stride_shift = stride & (stride - 1) ? -1 : __builtin_ctz((uint32_t)stride),
                      .first = bounded ? 0 : INT32_MIN,
                      .last = bounded ? last : INT32_MAX};
}

/// `*out` = value / stride; false when that is not whole.
static LAT_ALWAYS_INLINE bool divide_exactly(const reach_axis *axis, int64_t value, int64_t *out) {
  if (axis->stride_shift >= 0) {
    *out = value >> axis->stride_shift; // of a negative value this rounds down; a whole quotient is exact
    return (value & (axis->stride - 1)) == 0;
  }
  *out = value / axis->stride;
  return *out * axis->stride == value;
}

static LAT_ALWAYS_INLINE int32_t half_of(uint64_t word, int shift) {
  return (int32_t)(uint32_t)((word >> shift) ^ SIGN);
}

static LAT_ALWAYS_INLINE uint64_t with_half(uint64_t word, int shift, int64_t value) {
  uint64_t half = (uint64_t)(uint32_t)((uint32_t)value ^ (uint32_t)SIGN);
  return (word & ~(UINT64_C(0xFFFFFFFF) << shift)) | half << shift;
}

static LAT_ALWAYS_INLINE bool is_before(const cell *a, const cell *b) {
  return (a->high < b->high) | ((a->high == b->high) & (a->low < b->low));
}

/// Writes the outputs of the list's cells under a tap at distance `shift`, in order and without a branch on which cells
/// have one. `name` is the axis', constant in each caller. Returns their number; `out` has room for one more.
static LAT_ALWAYS_INLINE int64_t shift_cells(const cell_list *list, const reach_axis *axis, int name, int64_t shift,
                                             cell *out) {
  int64_t n = 0, half = name == 1 ? 32 : 0;
  for (int64_t i = 0; i < list->n; i++) {
    const cell *from = &list->cells[i];
    int64_t value = half_of(name == 0 ? from->high : from->low, (int)half) + shift, quotient = 0;
    bool whole = divide_exactly(axis, value, &quotient);
    out[n].high = name == 0 ? with_half(from->high, 0, quotient) : from->high;
    out[n].low = name == 0 ? from->low : with_half(from->low, (int)half, quotient);
    out[n].row = from->row;
    n += whole & (quotient >= axis->first) & (quotient <= axis->last);
  }
  return n;
}

/// Merges two lists of distinct cells into one, without a branch on which comes first. Returns the number of cells.
static int64_t merge_two(const cell *a, const cell *a_end, const cell *b, const cell *b_end, cell *out) {
  cell *at = out;
  while (a < a_end && b < b_end) {
    bool b_first = is_before(b, a), a_first = is_before(a, b);
    int64_t least_row = a->row < b->row ? a->row : b->row;
    const cell *first = b_first ? b : a;
    at->high = first->high;
    at->low = first->low;
    at->row = (a_first | b_first) ? first->row : least_row;
    at++;
    a += !b_first;
    b += !a_first;
  }
  const cell *rest = a < a_end ? a : b;
  int64_t n_rest = a < a_end ? a_end - a : b_end - b;
  if (n_rest > 0) memcpy(at, rest, (size_t)n_rest * sizeof *at);
  return at - out + n_rest;
}

/// Lists of cells one after the other: list l is cells[starts[l]] .. cells[starts[l + 1] - 1].
typedef struct tap_lists {
  cell *cells;
  int64_t *starts;
  int64_t n;
} tap_lists;

/// Merges lists in pairs into `cells`, which then are the lists'. `*spare` gets the cells they had.
static void merge_pairs(tap_lists *lists, cell **spare) {
  cell *out = *spare;
  int64_t used = 0, n = 0;
  for (int64_t l = 0; l < lists->n; l += 2) {
    const cell *a = lists->cells + lists->starts[l], *a_end = lists->cells + lists->starts[l + 1];
    const cell *b_end = l + 1 < lists->n ? lists->cells + lists->starts[l + 2] : a_end;
    int64_t n_merged = merge_two(a, a_end, a_end, b_end, out + used);
    lists->starts[n++] = used; // below l: what is read later stands behind
    used += n_merged;
  }
  lists->starts[n] = used;
  lists->n = n;
  *spare = lists->cells;
  lists->cells = out;
}

static int64_t greatest_common_divisor(int64_t a, int64_t b) {
  while (b) {
    int64_t rest = a % b;
    a = b;
    b = rest;
  }
  return a;
}

/// Most outputs of one cell along an axis: the taps that agree modulo the stride.
static int64_t most_outputs(const reach_axis *axis) {
  return lat__ceil_div_i64(axis->size, axis->stride / greatest_common_divisor(axis->stride, axis->dilation));
}

/// Shifts the list by every tap.
static void shift_taps(const cell_list *list, const reach_axis *axis, tap_lists *lists) {
  int64_t used = 0;
  for (int32_t tap = 0; tap < axis->size; tap++) {
    int64_t shift = axis->padding - tap * axis->dilation;
    cell *out = lists->cells + used;
    lists->starts[tap] = used;
    used += axis->name == 0   ? shift_cells(list, axis, 0, shift, out)
            : axis->name == 1 ? shift_cells(list, axis, 1, shift, out)
                              : shift_cells(list, axis, 2, shift, out);
  }
  lists->starts[axis->size] = used;
  lists->n = axis->size;
}

/// Replaces the list by the cells that it reaches along one axis.
static lat_status reach_along(lat_context *context, const reach_axis *axis, cell_list *list) {
  lat_status status = LAT_STATUS_OK;
  void *cells = NULL, *other = NULL, *starts = NULL;
  int64_t room = 0;
  if (list->n == 0) return LAT_STATUS_OK;
  if (!lat__mul_i64(list->n, most_outputs(axis), &room)) room = INT64_MAX - 1; // then the allocation is refused
  LAT_TRY(lat__alloc_items(context, op, room + 1, sizeof(cell), &cells), done);
  LAT_TRY(lat__alloc_items(context, op, room + 1, sizeof(cell), &other), done);
  LAT_TRY(lat__alloc_items(context, op, (int64_t)axis->size + 1, sizeof(int64_t), &starts), done);
  tap_lists lists = {.cells = cells, .starts = starts};
  cell *spare = other;
  shift_taps(list, axis, &lists);
  while (lists.n > 1) merge_pairs(&lists, &spare);
  lat__free(context, list->cells);
  *list = (cell_list){lists.cells, lists.starts[1]};
  cells = spare;
  other = NULL;
done:
  lat__free(context, starts);
  lat__free(context, other);
  lat__free(context, cells);
  return status;
}

/// Range of the input coordinates, (x, y, z).
typedef struct ranges {
  int32_t low[3], high[3];
} ranges;

static void widen(ranges *r, int axis, int32_t value) {
  if (value < r->low[axis]) r->low[axis] = value;
  if (value > r->high[axis]) r->high[axis] = value;
}

/// The distinct inputs as cells, and their ranges.
static lat_status list_inputs(lat_context *context, const lat__coord_order *order, cell_list *list, ranges *r) {
  void *cells = NULL;
  lat_status status = lat__cpu_order_need_tree(order);
  if (!status) status = lat__alloc_items(context, op, order->n_leaves, sizeof(cell), &cells);
  if (status) return status;
  *list = (cell_list){cells, order->n_leaves};
  for (int axis = 0; axis < 3; axis++) r->low[axis] = INT32_MAX, r->high[axis] = INT32_MIN;
  for (int64_t slab = 0; slab < order->n_slabs; slab++) {
    uint64_t high = with_half(with_half(0, 32, order->slab_batch[slab]), 0, order->slab_x[slab]);
    widen(r, 0, order->slab_x[slab]);
    for (int64_t column = order->slab_begin[slab]; column < order->slab_begin[slab + 1]; column++) {
      uint64_t y = with_half(0, 32, order->column_y[column]);
      int64_t begin = order->column_begin[column], end = order->column_begin[column + 1];
      widen(r, 1, order->column_y[column]);
      widen(r, 2, order->z[begin]);
      widen(r, 2, order->z[end - 1]);
      for (int64_t leaf = begin; leaf < end; leaf++) {
        list->cells[leaf] = (cell){high, with_half(y, 0, order->z[leaf]), order->row[leaf]};
      }
    }
  }
  return LAT_STATUS_OK;
}

/// True when some tap may lead outside int32.
static bool may_leave(const reach_axis *axis, const ranges *r) {
  int64_t low = r->low[axis->name] + axis->padding - (axis->size - 1) * axis->dilation;
  int64_t high = r->high[axis->name] + axis->padding;
  return axis->first < 0 && (low < INT32_MIN * axis->stride || high > INT32_MAX * axis->stride);
}

/// What the taps of one axis make of a coordinate.
static void look_along(const reach_axis *axis, int64_t value, bool *reaches, bool *leaves) {
  *reaches = *leaves = false;
  for (int32_t tap = 0; tap < axis->size; tap++) {
    int64_t quotient = 0;
    if (!divide_exactly(axis, value + axis->padding - tap * axis->dilation, &quotient)) continue;
    bool outside = quotient < axis->first || quotient > axis->last;
    *leaves |= outside && axis->first < 0;
    *reaches |= !outside || axis->first < 0;
  }
}

/// Refuses outputs outside int32, naming the first input row that has one. Bounded outputs lie within it.
static lat_status check_outputs(const reach_axis axes[3], const cell_list *list, const ranges *r) {
  const cell *bad = NULL;
  if (!may_leave(&axes[0], r) && !may_leave(&axes[1], r) && !may_leave(&axes[2], r)) return LAT_STATUS_OK;
  for (int64_t i = 0; i < list->n; i++) {
    const cell *c = &list->cells[i];
    const int64_t values[3] = {half_of(c->high, 0), half_of(c->low, 32), half_of(c->low, 0)};
    bool all_reach = true, any_leaves = false;
    for (int axis = 0; axis < 3; axis++) {
      bool reaches, leaves;
      look_along(&axes[axis], values[axis], &reaches, &leaves);
      all_reach &= reaches;
      any_leaves |= leaves;
    }
    if (all_reach && any_leaves && (!bad || c->row < bad->row)) bad = c;
  }
  if (!bad) return LAT_STATUS_OK;
  return lat_fail(LAT_STATUS_OVERFLOW,
                  "%s: an output coordinate leaves int32: got input (%d, %d, %d) at row %lld, expected outputs within "
                  "-2^31 to 2^31 - 1",
                  op, (int)half_of(bad->high, 0), (int)half_of(bad->low, 32), (int)half_of(bad->low, 0),
                  (long long)bad->row);
}

/// number[c] = output row of cell c: by input row, then backwards.
static void number_cells(const cell_list *list, int64_t n_in, int32_t *next, int32_t *number) {
  int32_t total = 0;
  memset(next, 0, (size_t)n_in * sizeof *next);
  for (int64_t c = 0; c < list->n; c++) next[list->cells[c].row]++;
  for (int64_t row = 0; row < n_in; row++) {
    int32_t count = next[row];
    next[row] = total;
    total += count;
  }
  for (int64_t c = list->n - 1; c >= 0; c--) number[c] = next[list->cells[c].row]++;
}

static void write_row(const cell *from, int32_t *row) {
  row[0] = half_of(from->high, 32);
  row[1] = half_of(from->high, 0);
  row[2] = half_of(from->low, 32);
  row[3] = half_of(from->low, 0);
}

/// Output rows in their order, and the order of those rows.
static lat_status make_outputs(lat_context *context, const cell_list *list, int64_t n_in, int32_t **out_rows,
                               lat__coord_order **out_order) {
  lat_status status = LAT_STATUS_OK;
  void *ascending = NULL, *rows = NULL, *next = NULL, *number = NULL;
  if (list->n > INT32_MAX) {
    return lat_fail(LAT_STATUS_OVERFLOW, "%s: too many output rows: got %lld, expected at most %lld", op,
                    (long long)list->n, (long long)INT32_MAX);
  }
  LAT_TRY(lat__alloc_items(context, op, list->n, 4 * sizeof(int32_t), &ascending), done);
  for (int64_t c = 0; c < list->n; c++) write_row(&list->cells[c], (int32_t *)ascending + 4 * c);
  LAT_TRY(lat__cpu_order_create(context, ascending, list->n, out_order), done);
  LAT_TRY(lat__alloc_items(context, op, n_in, sizeof(int32_t), &next), done);
  LAT_TRY(lat__alloc_items(context, op, list->n, sizeof(int32_t), &number), done);
  LAT_TRY(lat__alloc_items(context, op, list->n, 4 * sizeof(int32_t), &rows), done);
  number_cells(list, n_in, next, number);
  for (int64_t c = 0; c < list->n; c++) {
    int32_t row = ((const int32_t *)number)[c];
    memcpy((int32_t *)rows + 4 * (int64_t)row, (const int32_t *)ascending + 4 * c, 4 * sizeof(int32_t));
    (*out_order)->row[c] = row; // leaf c is cell c: the cells are distinct and ascend
  }
  *out_rows = rows;
  rows = NULL;
done:
  if (status) {
    lat__cpu_order_destroy(*out_order);
    *out_order = NULL;
  }
  lat__free(context, ascending);
  lat__free(context, next);
  lat__free(context, number);
  lat__free(context, rows);
  return status;
}

lat_status lat__cpu_reach(lat_context *context, const lat__reach_desc *desc, int32_t **out_rows, int64_t *n_out,
                          lat__coord_order **out_order) {
  lat_status status = LAT_STATUS_OK;
  lat_triple size = desc->kernel_size, stride = desc->stride, padding = desc->padding, dilation = desc->dilation;
  const reach_axis axes[3] = {
      make_axis(0, size.x, stride.x, padding.x, dilation.x, desc->bounded, desc->last.x),
      make_axis(1, size.y, stride.y, padding.y, dilation.y, desc->bounded, desc->last.y),
      make_axis(2, size.z, stride.z, padding.z, dilation.z, desc->bounded, desc->last.z),
  };
  cell_list list = {NULL, 0};
  ranges r;
  *out_order = NULL;
  LAT_TRY(list_inputs(context, desc->in_order, &list, &r), done);
  LAT_TRY(check_outputs(axes, &list, &r), done);
  for (int axis = 2; axis >= 0; axis--) LAT_TRY(reach_along(context, &axes[axis], &list), done);
  LAT_TRY(make_outputs(context, &list, desc->n_in, out_rows, out_order), done);
  *n_out = list.n;
done:
  lat__free(context, list.cells);
  return status;
}
