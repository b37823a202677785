// Sorting coordinate rows into the tree of cpu_order.h.
//
// A word holds as many of the columns (batch, x, y, z) as fit beside the row number, each in the width that its range
// needs:
//
//     most significant [ batch | x | y | z | row ] least significant
//
// Ordinary scenes take one word for all four and one sort; coordinates that span too much are sorted in several phases,
// last column first, which the stability of the sort turns into the same order.

#include <stdatomic.h>
#include <string.h>

#include "backend/cpu/cpu_backend.h"
#include "backend/cpu/cpu_order.h"
#include "core/alloc.h"
#include "core/checked.h"
#include "core/compiler.h"
#include "core/context_internal.h"
#include "core/thread.h"

#define PACK_GRAIN 32768
#define MEASURE_PARTS 16

static const char op[] = "coords order";

/// Work state of one sort.
typedef struct sorter {
  lat_context *context;
  const int32_t *rows;
  int64_t n;
  int32_t low[4]; ///< least value of each column
  uint32_t range[4];
  int bits[4]; ///< bits of the range of each column
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

/// Ranges of some rows, and whether they ascend from the row before them on.
typedef struct row_ranges {
  int32_t low[4], high[4];
  bool ascends;
} row_ranges;

typedef struct measure_job {
  const int32_t *rows;
  int64_t n;
  row_ranges parts[MEASURE_PARTS];
} measure_job;

static bool ascends(const int32_t *rows, int64_t begin, int64_t end) {
  for (int64_t r = lat__max_i64(1, begin); r < end; r++) {
    const int32_t *a = rows + 4 * (r - 1), *b = rows + 4 * r;
    int c = 0;
    while (c < 3 && a[c] == b[c]) c++;
    if (a[c] > b[c]) return false;
  }
  return true;
}

static void measure_parts(void *arg, int64_t first, int64_t last, int worker) {
  measure_job *job = arg;
  (void)worker;
  for (int64_t part = first; part < last; part++) {
    int64_t begin = job->n * part / MEASURE_PARTS, end = job->n * (part + 1) / MEASURE_PARTS;
    int32_t low[4] = {INT32_MAX, INT32_MAX, INT32_MAX, INT32_MAX},
            high[4] = {INT32_MIN, INT32_MIN, INT32_MIN, INT32_MIN};
    for (int64_t r = begin; r < end; r++) {
      for (int c = 0; c < 4; c++) {
        int32_t value = job->rows[4 * r + c];
        low[c] = value < low[c] ? value : low[c];
        high[c] = value > high[c] ? value : high[c];
      }
    }
    memcpy(job->parts[part].low, low, sizeof low);
    memcpy(job->parts[part].high, high, sizeof high);
    job->parts[part].ascends = ascends(job->rows, begin, end);
  }
}

/// Ranges of the columns. Returns true when the rows are in ascending order already.
static bool measure(sorter *s) {
  measure_job job = {.rows = s->rows, .n = s->n};
  bool in_order = true;
  lat__parallel_for(s->context, MEASURE_PARTS, s->n < PACK_GRAIN ? MEASURE_PARTS : 1, measure_parts, &job);
  for (int c = 0; c < 4; c++) {
    int32_t low = INT32_MAX, high = INT32_MIN;
    for (int part = 0; part < MEASURE_PARTS; part++) {
      low = job.parts[part].low[c] < low ? job.parts[part].low[c] : low;
      high = job.parts[part].high[c] > high ? job.parts[part].high[c] : high;
      in_order = in_order && job.parts[part].ascends;
    }
    s->low[c] = low;
    s->range[c] = s->n ? (uint32_t)((int64_t)high - low) : 0;
    s->bits[c] = bits_of(s->range[c]);
  }
  s->row_bits = bits_of(s->n ? (uint64_t)s->n - 1 : 0);
  return in_order;
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

static lat_status alloc_int32(lat__coord_order *order, int64_t n, int32_t **out) {
  void *memory = NULL;
  lat_status status = lat__alloc_items(order->context, op, n, sizeof(int32_t), &memory);
  *out = memory;
  return status;
}

static lat_status alloc_twins(lat__coord_order *order) {
  lat_status status = alloc_int32(order, order->n_rows, &order->next_twin);
  if (!status) memset(order->next_twin, 0xFF, (size_t)order->n_rows * sizeof(int32_t)); // every entry -1
  return status;
}

// --- leaves with keys -------------------------------------------------------------------------------------------------

typedef struct leaf_job {
  const sorter *s;
  lat__coord_order *order;
  atomic_bool has_twins;
} leaf_job;

/// Keys and rows of the sorted words, as long as all are distinct.
static void fill_leaves(void *arg, int64_t begin, int64_t end, int worker) {
  leaf_job *job = arg;
  const sorter s = *job->s; // stores to leaves cannot change it
  uint64_t *key = job->order->key, rows = row_mask(&s);
  int32_t *row = job->order->row;
  uint64_t equal = 0;
  (void)worker;
  for (int64_t i = begin; i < end; i++) {
    uint64_t before = i > 0 ? s.sorted[i - 1] >> s.row_bits : UINT64_MAX;
    key[i] = s.sorted[i] >> s.row_bits;
    row[i] = (int32_t)(s.sorted[i] & rows);
    equal |= (uint64_t)(key[i] == before && i > 0);
  }
  if (equal) atomic_store_explicit(&job->has_twins, true, memory_order_relaxed);
}

/// Leaves of rows that are not all distinct: equal coordinates follow in row order.
static void fill_distinct_leaves(const sorter *s, lat__coord_order *order) {
  int64_t n_leaves = 0;
  int32_t last_row = 0;
  for (int64_t i = 0; i < s->n; i++) {
    uint64_t key = s->sorted[i] >> s->row_bits;
    int32_t row = (int32_t)(s->sorted[i] & row_mask(s));
    if (i > 0 && key == s->sorted[i - 1] >> s->row_bits) {
      order->next_twin[last_row] = row;
    } else {
      order->key[n_leaves] = key;
      order->row[n_leaves++] = row;
    }
    last_row = row;
  }
  order->n_leaves = n_leaves;
}

static lat_status make_leaves(const sorter *s, lat__coord_order *order) {
  lat_status status = LAT_STATUS_OK;
  void *memory = NULL;
  leaf_job job = {.s = s, .order = order};
  for (int c = 0; c < 4; c++) {
    int shift = s->bits[c] ? s->shift[c] - s->row_bits : 0;
    order->fields[c] = (lat__key_field){.low = s->low[c], .range = s->range[c], .shift = shift, .bits = s->bits[c]};
  }
  LAT_TRY(lat__alloc_items(order->context, op, s->n, sizeof(uint64_t), &memory), done);
  order->key = memory;
  LAT_TRY(alloc_int32(order, s->n, &order->row), done);
  atomic_init(&job.has_twins, false);
  order->n_leaves = s->n;
  lat__parallel_for(s->context, s->n, PACK_GRAIN, fill_leaves, &job);
  if (!atomic_load_explicit(&job.has_twins, memory_order_relaxed)) return LAT_STATUS_OK;
  LAT_TRY(alloc_twins(order), done);
  fill_distinct_leaves(s, order);
done:
  return status;
}

// --- the tree above the leaves ----------------------------------------------------------------------------------------

static uint64_t field_bits(const lat__key_field *field) {
  return (((uint64_t)1 << field->bits) - 1) << field->shift;
}

static LAT_ALWAYS_INLINE int32_t field_value(const lat__key_field *field, uint64_t key) {
  return (int32_t)(field->low + (int64_t)(key >> field->shift & (((uint64_t)1 << field->bits) - 1)));
}

static lat_status alloc_levels(lat__coord_order *order) {
  lat_status status = LAT_STATUS_OK;
  LAT_TRY(alloc_int32(order, order->n_slabs, &order->slab_batch), done);
  LAT_TRY(alloc_int32(order, order->n_slabs, &order->slab_x), done);
  LAT_TRY(alloc_int32(order, order->n_slabs + 1, &order->slab_begin), done);
  LAT_TRY(alloc_int32(order, order->n_columns, &order->column_y), done);
  LAT_TRY(alloc_int32(order, order->n_columns + 1, &order->column_begin), done);
  LAT_TRY(alloc_int32(order, order->n_leaves, &order->z), done);
done:
  return status;
}

static void free_levels(lat__coord_order *order) {
  int32_t **const levels[] = {&order->slab_batch, &order->slab_x,       &order->slab_begin,
                              &order->column_y,   &order->column_begin, &order->z};
  for (size_t i = 0; i < sizeof levels / sizeof levels[0]; i++) {
    lat__free(order->context, *levels[i]);
    *levels[i] = NULL;
  }
}

/// Fills the levels without branches on where columns begin: the entry of the open column is written with every leaf.
static void fill_levels(lat__coord_order *order) {
  const lat__key_field fields[4] = {order->fields[0], order->fields[1], order->fields[2], order->fields[3]};
  const uint64_t *key = order->key, slab = field_bits(&fields[0]) | field_bits(&fields[1]);
  const uint64_t column = slab | field_bits(&fields[2]);
  int32_t *column_y = order->column_y, *column_begin = order->column_begin, *z = order->z;
  int32_t n_slabs = 0, n_columns = 0;
  column_begin[0] = order->slab_begin[0] = 0;
  for (int64_t i = 0; i < order->n_leaves; i++) {
    uint64_t difference = i > 0 ? key[i] ^ key[i - 1] : 0;
    if (LAT_UNLIKELY(i == 0 || difference & slab)) {
      order->slab_batch[n_slabs] = field_value(&fields[0], key[i]);
      order->slab_x[n_slabs] = field_value(&fields[1], key[i]);
      order->slab_begin[n_slabs++] = n_columns;
    }
    n_columns += i == 0 || difference & column;
    column_y[n_columns - 1] = field_value(&fields[2], key[i]);
    z[i] = field_value(&fields[3], key[i]);
    column_begin[n_columns] = (int32_t)i + 1;
  }
  order->slab_begin[n_slabs] = n_columns;
}

static lat_status make_levels(lat__coord_order *order) {
  const uint64_t *key = order->key, slab = field_bits(&order->fields[0]) | field_bits(&order->fields[1]);
  const uint64_t column = slab | field_bits(&order->fields[2]);
  int64_t n_slabs = order->n_leaves > 0, n_columns = order->n_leaves > 0;
  for (int64_t i = 1; i < order->n_leaves; i++) {
    uint64_t difference = key[i] ^ key[i - 1];
    n_slabs += (difference & slab) != 0;
    n_columns += (difference & column) != 0;
  }
  order->n_slabs = n_slabs;
  order->n_columns = n_columns;
  lat_status status = alloc_levels(order);
  if (status) {
    free_levels(order);
    return status;
  }
  fill_levels(order);
  return LAT_STATUS_OK;
}

lat_status lat__cpu_order_need_tree(const lat__coord_order *order) {
  lat__coord_order *owner = (lat__coord_order *)order; // built lazily, under its lock
  lat_status status = LAT_STATUS_OK;
  pthread_mutex_lock(&owner->lock);
  if (!owner->has_tree) status = make_levels(owner);
  owner->has_tree = status == LAT_STATUS_OK;
  pthread_mutex_unlock(&owner->lock);
  return status;
}

// --- rows without keys ------------------------------------------------------------------------------------------------

/// What begins with the i-th sorted row.
typedef struct beginning {
  bool slab, column, leaf;
} beginning;

static beginning compare_rows(const sorter *s, int64_t i) {
  if (i == 0) return (beginning){true, true, true};
  const int32_t *a = s->rows + 4 * (s->sorted[i - 1] & row_mask(s)), *b = s->rows + 4 * (s->sorted[i] & row_mask(s));
  beginning begins = {.slab = a[0] != b[0] || a[1] != b[1]};
  begins.column = begins.slab || a[2] != b[2];
  begins.leaf = begins.column || a[3] != b[3];
  return begins;
}

static void fill_wide_tree(const sorter *s, lat__coord_order *order) {
  int32_t n_slabs = 0, n_columns = 0, n_leaves = 0, last_row = 0;
  for (int64_t i = 0; i < s->n; i++) {
    int32_t r = (int32_t)(s->sorted[i] & row_mask(s));
    const int32_t *row = s->rows + 4 * (int64_t)r;
    beginning begins = compare_rows(s, i);
    if (!begins.leaf) order->next_twin[last_row] = r; // equal coordinates follow in row order
    last_row = r;
    if (begins.slab) {
      order->slab_batch[n_slabs] = row[0];
      order->slab_x[n_slabs] = row[1];
      order->slab_begin[n_slabs++] = n_columns;
    }
    if (begins.column) {
      order->column_y[n_columns] = row[2];
      order->column_begin[n_columns++] = n_leaves;
    }
    if (begins.leaf) {
      order->z[n_leaves] = row[3];
      order->row[n_leaves++] = r;
    }
  }
  order->slab_begin[n_slabs] = n_columns;
  order->column_begin[n_columns] = n_leaves;
}

static lat_status make_wide_tree(const sorter *s, lat__coord_order *order) {
  lat_status status = LAT_STATUS_OK;
  for (int64_t i = 0; i < s->n; i++) {
    beginning begins = compare_rows(s, i);
    order->n_slabs += begins.slab;
    order->n_columns += begins.column;
    order->n_leaves += begins.leaf;
  }
  LAT_TRY(alloc_levels(order), done);
  LAT_TRY(alloc_int32(order, order->n_leaves, &order->row), done);
  if (order->n_leaves < order->n_rows) LAT_TRY(alloc_twins(order), done);
  fill_wide_tree(s, order);
  order->has_tree = true;
done:
  return status;
}

lat_status lat__cpu_order_new(lat_context *context, int64_t n_rows, lat__coord_order **out) {
  void *memory = NULL;
  lat_status status = lat__alloc_zero(context, op, 1, sizeof(lat__coord_order), &memory);
  *out = memory;
  if (status) return status;
  (*out)->context = lat__context_retain(context);
  (*out)->n_rows = n_rows;
  pthread_mutex_init(&(*out)->lock, NULL);
  return LAT_STATUS_OK;
}

void lat__cpu_order_destroy(lat__coord_order *order) {
  if (!order) return;
  lat_context *context = order->context;
  free_levels(order);
  lat__free(context, order->row);
  lat__free(context, order->next_twin);
  lat__free(context, order->key);
  pthread_mutex_destroy(&order->lock);
  lat__free(context, order);
  lat__context_release(context);
}

lat_status lat__cpu_order_create(lat_context *context, const int32_t *rows, int64_t n_rows, lat__coord_order **out) {
  lat_status status = LAT_STATUS_OK;
  lat__coord_order *order = NULL;
  void *words = NULL, *scratch = NULL;
  *out = NULL;
  LAT_TRY(lat__cpu_order_new(context, n_rows, &order), done);
  LAT_TRY(lat__alloc_items(context, op, n_rows, sizeof(uint64_t), &words), done);
  LAT_TRY(lat__alloc_items(context, op, n_rows, sizeof(uint64_t), &scratch), done);
  sorter s = {.context = context, .rows = rows, .n = n_rows, .words = words, .scratch = scratch};
  LAT_TRY(sort_rows(&s), done);
  LAT_TRY(s.first == 0 && s.last == 3 ? make_leaves(&s, order) : make_wide_tree(&s, order), done);
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
