// Sorting coordinate rows into the tree of cpu_order.h.
//
// A word holds as many of the columns (batch, x, y, z) as fit beside the row number, each in the width that its range
// needs:
//
//     most significant [ batch | x | y | z | row ] least significant
//
// Ordinary scenes take one word for all four and one sort; coordinates that span too much are sorted in several phases,
// last column first, which the stability of the sort turns into the same order.

#include <string.h>

#include "backend/cpu/cpu_backend.h"
#include "backend/cpu/cpu_order.h"
#include "core/alloc.h"
#include "core/checked.h"
#include "core/compiler.h"
#include "core/context_internal.h"
#include "core/thread.h"

#define PACK_GRAIN 32768

/// Work state of one sort.
typedef struct sorter {
  lat_context *context;
  const int32_t *rows;
  int64_t n;
  int32_t low[4]; ///< least value of each column
  int bits[4];    ///< bits of the range of each column
  int row_bits;
  int first, last;   ///< columns of the present phase: first .. last
  int shift[4];      ///< of the columns in the present phase's words; 0 for a column without bits
  uint64_t field[4]; ///< their bits in a word
  uint64_t *words, *scratch;
  uint64_t *sorted; ///< one of the two
} sorter;

static int bits_of(uint64_t value) {
  return value ? 64 - __builtin_clzll(value) : 0;
}

/// Ranges of the columns. Returns true when the rows are in ascending order already.
static bool measure(sorter *s) {
  int32_t low[4] = {INT32_MAX, INT32_MAX, INT32_MAX, INT32_MAX}, high[4] = {INT32_MIN, INT32_MIN, INT32_MIN, INT32_MIN};
  for (int64_t r = 0; r < s->n; r++) {
    for (int c = 0; c < 4; c++) {
      int32_t value = s->rows[4 * r + c];
      low[c] = value < low[c] ? value : low[c];
      high[c] = value > high[c] ? value : high[c];
    }
  }
  for (int c = 0; c < 4; c++) {
    s->low[c] = low[c];
    s->bits[c] = s->n ? bits_of((uint64_t)((int64_t)high[c] - low[c])) : 0;
  }
  s->row_bits = bits_of(s->n ? (uint64_t)s->n - 1 : 0);
  for (int64_t r = 1; r < s->n; r++) {
    const int32_t *a = s->rows + 4 * (r - 1), *b = s->rows + 4 * r;
    int c = 0;
    while (c < 3 && a[c] == b[c]) c++;
    if (a[c] > b[c]) return false;
  }
  return true;
}

/// Chooses the columns of the phase that ends with column `last`, and their shifts.
static void plan_phase(sorter *s, int last) {
  int used = s->row_bits;
  s->last = last;
  s->first = last + 1;
  for (int c = last; c >= 0 && used + s->bits[c] <= 64; c--) { // a column has 32 bits and a row number 31: one fits
    s->shift[c] = s->bits[c] ? used : 0;                       // shifting by 64 is undefined
    s->field[c] = (((uint64_t)1 << s->bits[c]) - 1) << s->shift[c];
    used += s->bits[c];
    s->first = c;
  }
}

static uint64_t row_mask(const sorter *s) {
  return ((uint64_t)1 << s->row_bits) - 1;
}

static LAT_ALWAYS_INLINE uint64_t place(const sorter *s, const int32_t *row, int c) {
  return (uint64_t)((uint32_t)row[c] - (uint32_t)s->low[c]) << s->shift[c];
}

/// The words of rows whose four columns fit one word, as nearly all do.
static void pack_whole(const sorter *s, int64_t begin, int64_t end) {
  const sorter local = *s; // stores to words cannot change it
  for (int64_t i = begin; i < end; i++) {
    const int32_t *row = local.rows + 4 * i;
    uint64_t upper = place(&local, row, 0) | place(&local, row, 1);
    uint64_t lower = place(&local, row, 2) | place(&local, row, 3);
    local.words[i] = upper | lower | (uint64_t)i;
  }
}

/// Writes the words of the present phase. The order of the earlier phases is in `sorted`, which then is `words`; NULL
/// before the first.
static void pack_range(void *arg, int64_t begin, int64_t end, int worker) {
  const sorter *s = arg;
  (void)worker;
  if (s->first == 0 && s->last == 3) {
    pack_whole(s, begin, end);
    return;
  }
  for (int64_t i = begin; i < end; i++) {
    uint64_t r = s->sorted ? s->sorted[i] & row_mask(s) : (uint64_t)i;
    const int32_t *row = s->rows + 4 * r;
    uint64_t word = r;
    for (int c = s->first; c <= s->last; c++) word |= place(s, row, c);
    s->words[i] = word;
  }
}

static lat_status sort_rows(sorter *s) {
  bool in_order = measure(s);
  s->sorted = NULL;
  for (int last = 3; last >= 0; last = s->first - 1) {
    plan_phase(s, last);
    lat__parallel_for(s->context, s->n, PACK_GRAIN, pack_range, s);
    s->sorted = s->words;
    if (in_order) continue;
    int n_bits = 0;
    for (int c = s->first; c <= s->last; c++) n_bits += s->bits[c];
    lat_status status = lat__cpu_radix_sort(s->context, s->words, s->scratch, s->n, s->row_bits, n_bits, &s->sorted);
    if (status) return status;
    if (s->sorted == s->scratch) {
      s->scratch = s->words;
      s->words = s->sorted;
    }
  }
  return LAT_STATUS_OK;
}

/// What begins with a sorted row.
typedef struct beginning {
  bool slab, column, leaf;
} beginning;

/// Bits of the words in which rows of one slab, of one column, of one leaf agree. Words of a single phase only.
typedef struct level_masks {
  uint64_t slab, column, leaf;
} level_masks;

static level_masks make_masks(const sorter *s) {
  level_masks masks = {.slab = s->field[0] | s->field[1]};
  masks.column = masks.slab | s->field[2];
  masks.leaf = masks.column | s->field[3];
  return masks;
}

/// Compares the i-th sorted row (i > 0) with the one before it.
static LAT_ALWAYS_INLINE beginning compare_rows(const sorter *s, const level_masks *masks, int64_t i) {
  if (masks) {
    uint64_t difference = s->sorted[i] ^ s->sorted[i - 1];
    return (beginning){difference & masks->slab, difference & masks->column, difference & masks->leaf};
  }
  const int32_t *a = s->rows + 4 * (s->sorted[i - 1] & row_mask(s)), *b = s->rows + 4 * (s->sorted[i] & row_mask(s));
  beginning begins = {.slab = a[0] != b[0] || a[1] != b[1]};
  begins.column = begins.slab || a[2] != b[2];
  begins.leaf = begins.column || a[3] != b[3];
  return begins;
}

static LAT_ALWAYS_INLINE void count_levels(const sorter *s, const level_masks *masks, lat__coord_order *order) {
  int64_t n_slabs = s->n > 0, n_columns = s->n > 0, n_leaves = s->n > 0;
  for (int64_t i = 1; i < s->n; i++) {
    beginning begins = compare_rows(s, masks, i);
    n_slabs += begins.slab;
    n_columns += begins.column;
    n_leaves += begins.leaf;
  }
  order->n_slabs = n_slabs;
  order->n_columns = n_columns;
  order->n_leaves = n_leaves;
}

static lat_status alloc_int32(lat__coord_order *order, int64_t n, int32_t **out) {
  void *memory = NULL;
  lat_status status = lat__alloc_items(order->context, "coords order", n, sizeof(int32_t), &memory);
  *out = memory;
  return status;
}

static lat_status alloc_tree(lat__coord_order *order) {
  lat_status status = LAT_STATUS_OK;
  LAT_TRY(alloc_int32(order, order->n_slabs, &order->slab_batch), done);
  LAT_TRY(alloc_int32(order, order->n_slabs, &order->slab_x), done);
  LAT_TRY(alloc_int32(order, order->n_slabs + 1, &order->slab_begin), done);
  LAT_TRY(alloc_int32(order, order->n_columns, &order->column_y), done);
  LAT_TRY(alloc_int32(order, order->n_columns + 1, &order->column_begin), done);
  LAT_TRY(alloc_int32(order, order->n_leaves, &order->z), done);
  LAT_TRY(alloc_int32(order, order->n_leaves, &order->row), done);
  if (order->n_leaves < order->n_rows) {
    LAT_TRY(alloc_int32(order, order->n_rows, &order->next_twin), done);
    memset(order->next_twin, 0xFF, (size_t)order->n_rows * sizeof(int32_t)); // every entry -1
  }
done:
  return status;
}

/// A coordinate of a sorted row: out of its word, or of the row itself.
static LAT_ALWAYS_INLINE int32_t coordinate(const sorter *s, const level_masks *masks, uint64_t word, int c) {
  if (!masks) return s->rows[4 * (word & row_mask(s)) + (uint64_t)c];
  return (int32_t)(s->low[c] + (int64_t)((word & s->field[c]) >> s->shift[c]));
}

/// Fills the tree without branches on where columns begin: the entry of the open column is written with every leaf.
static LAT_ALWAYS_INLINE void fill_tree(const sorter *s, const level_masks *masks, lat__coord_order *order) {
  int32_t *column_y = order->column_y, *column_begin = order->column_begin, *z = order->z, *row = order->row;
  int32_t n_slabs = 0, n_columns = 0, n_leaves = 0, last_row = 0;
  const sorter local = *s; // stores to the tree cannot change it
  uint64_t rows = row_mask(s);
  column_begin[0] = order->slab_begin[0] = 0;
  for (int64_t i = 0; i < local.n; i++) {
    uint64_t word = local.sorted[i];
    int32_t r = (int32_t)(word & rows);
    beginning begins = i == 0 ? (beginning){true, true, true} : compare_rows(&local, masks, i);
    if (LAT_UNLIKELY(!begins.leaf)) { // equal coordinates follow in row order
      order->next_twin[last_row] = r;
      last_row = r;
      continue;
    }
    if (LAT_UNLIKELY(begins.slab)) {
      order->slab_batch[n_slabs] = coordinate(&local, masks, word, 0);
      order->slab_x[n_slabs] = coordinate(&local, masks, word, 1);
      order->slab_begin[n_slabs++] = n_columns;
    }
    n_columns += begins.column;
    column_y[n_columns - 1] = coordinate(&local, masks, word, 2);
    z[n_leaves] = coordinate(&local, masks, word, 3);
    row[n_leaves++] = last_row = r;
    column_begin[n_columns] = n_leaves;
  }
  order->slab_begin[n_slabs] = n_columns;
}

/// Makes the tree of sorted rows.
static lat_status make_tree(const sorter *s, lat__coord_order *order) {
  bool packed = s->first == 0 && s->last == 3;
  level_masks masks = {0, 0, 0};
  if (packed) {
    masks = make_masks(s);
    count_levels(s, &masks, order);
  } else {
    count_levels(s, NULL, order);
  }
  lat_status status = alloc_tree(order);
  if (status) return status;
  if (packed) {
    fill_tree(s, &masks, order);
  } else {
    fill_tree(s, NULL, order);
  }
  return LAT_STATUS_OK;
}

void lat__cpu_order_destroy(lat__coord_order *order) {
  if (!order) return;
  lat_context *context = order->context;
  lat__free(context, order->slab_batch);
  lat__free(context, order->slab_x);
  lat__free(context, order->slab_begin);
  lat__free(context, order->column_y);
  lat__free(context, order->column_begin);
  lat__free(context, order->z);
  lat__free(context, order->row);
  lat__free(context, order->next_twin);
  lat__free(context, order);
  lat__context_release(context);
}

lat_status lat__cpu_order_create(lat_context *context, const int32_t *rows, int64_t n_rows, lat__coord_order **out) {
  static const char op[] = "coords order";
  lat_status status = LAT_STATUS_OK;
  lat__coord_order *order = NULL;
  void *memory = NULL, *words = NULL, *scratch = NULL;
  *out = NULL;
  LAT_TRY(lat__alloc_zero(context, op, 1, sizeof(lat__coord_order), &memory), done);
  order = memory;
  order->context = lat__context_retain(context);
  order->n_rows = n_rows;
  LAT_TRY(lat__alloc_items(context, op, n_rows, sizeof(uint64_t), &words), done);
  LAT_TRY(lat__alloc_items(context, op, n_rows, sizeof(uint64_t), &scratch), done);
  sorter s = {.context = context, .rows = rows, .n = n_rows, .words = words, .scratch = scratch};
  LAT_TRY(sort_rows(&s), done);
  LAT_TRY(make_tree(&s, order), done);
  *out = order;
  order = NULL;
done:
  lat__cpu_order_destroy(order);
  lat__free(context, words);
  lat__free(context, scratch);
  return status;
}

int64_t lat__cpu_order_find_slab(const lat__coord_order *order, int32_t batch, int64_t x) {
  int64_t low = 0, high = order->n_slabs;
  while (low < high) {
    int64_t middle = low + (high - low) / 2;
    int32_t b = order->slab_batch[middle];
    if (b < batch || (b == batch && order->slab_x[middle] < x)) {
      low = middle + 1;
    } else {
      high = middle;
    }
  }
  return low;
}
