// Kernel relations: by sweeps over keys (cpu_sweep.c), or, where coordinates span too much for keys or rows do not ascend, by
// walking two ordered coordinate trees side by side.
//
// For a kernel element (ix, iy, iz) an output o looks for the input
//
//     i = (o.batch, o.xyz * stride + d(ix, iy, iz) - padding)
//
// Strides are positive, so this map keeps lexicographic order: while o ascends, i ascends too, and a pointer into the
// inputs only moves forward. The walk has the three levels of cpu_order.h: slabs for each ix, columns for each iy, leaves
// for all iz at once.
//
// In a submanifold relation d and -d give the same pairs with both ends exchanged, so only the second half of the kernel
// is walked; the middle needs no walk.

#include <string.h>

#include "backend/cpu/cpu_backend.h"
#include "backend/cpu/cpu_order.h"
#include "backend/cpu/cpu_pair_lists.h"
#include "backend/cpu/cpu_sweep.h"
#include "core/alloc.h"
#include "core/checked.h"
#include "core/context_internal.h"
#include "core/thread.h"

#define MAX_PAGE_PAIRS 1024
#define MIN_CHUNK_COLUMNS 2048
#define MAX_MATCHES 64  ///< pairs of columns that are found before their leaves are matched
#define MAX_ALL_PAIRS 8 ///< columns whose leaves are compared each with each
#define MAX_ALL_LISTS 8
#define MIN_DENSE_LEAVES 4 ///< columns that get a dense copy: so many leaves,
#define MAX_DENSE_SHARE 4  ///< and at most so many places for each
#define MAX_DENSE_SIZE 5
#define DENSE_CHUNK (LAT__PAIR_RESERVE - 1) ///< leaves whose pairs fit a reserve, with one that is not kept

/// How one axis maps an output coordinate: query of element index = coordinate * stride + start + index * dilation.
typedef struct axis_map {
  int64_t stride, start, dilation;
  int32_t size;
} axis_map;

/// Input columns with few gaps, place by place: rows[begin[column] + pad + z - first z] is a row or -1, with `pad` places
/// of -1 on either side.
typedef struct dense_columns {
  int64_t *begin; ///< (n_columns,): -1 for a column that has none; NULL: no column has one
  int32_t *rows;
  int64_t pad;
} dense_columns;

typedef struct walk {
  const lat__coord_order *in, *out;
  dense_columns dense;
  axis_map x, y, z;
  bool mirrored; ///< only kernel elements behind the middle
  int64_t chunk_columns;
  lat__pair_sink *sinks; ///< one for each chunk of output columns
} walk;

/// An output column and the input column that it meets under iy.
typedef struct column_match {
  int32_t out, in, iy;
} column_match;

/// Part of an output slab and the input slab that it meets under ix.
typedef struct slab_match {
  lat__pair_sink *sink;
  lat__pair_list *lists; ///< of (ix, 0, 0)
  int64_t c, c_end;      ///< output columns
  int64_t i, i_end;      ///< input columns
} slab_match;

static axis_map make_axis(int32_t size, int32_t stride, int32_t padding, int32_t dilation, bool taps_from_zero) {
  int64_t centre = size % 2 && !taps_from_zero ? size / 2 : 0;
  return (axis_map){stride, -centre * dilation - padding, dilation, size};
}

/// Leaves of an output column against those of an input column, dilation 1: the inputs that an output meets lie side by
/// side in a window.
static void match_window(const walk *w, lat__pair_sink *sink, lat__pair_list *lists, column_match m) {
  const int32_t *out_z = w->out->z, *in_z = w->in->z, *out_row = w->out->row, *in_row = w->in->row;
  int64_t stride = w->z.stride, start = w->z.start, size = w->z.size;
  int64_t a_end = w->out->column_begin[m.out + 1], b = w->in->column_begin[m.in];
  int64_t b_end = w->in->column_begin[m.in + 1];
  for (int64_t a = w->out->column_begin[m.out]; a < a_end; a++) {
    int64_t base = out_z[a] * stride + start;
    while (b < b_end && in_z[b] < base) b++;
    for (int64_t i = b; i < b_end; i++) {
      int64_t index = in_z[i] - base;
      if (index >= size) break;
      lat__pair_emit(sink, &lists[index], out_row[a], in_row[i]);
    }
  }
}

/// The same for any dilation: one pass for each kernel element.
static void match_each(const walk *w, lat__pair_sink *sink, lat__pair_list *lists, column_match m) {
  const int32_t *out_z = w->out->z, *in_z = w->in->z;
  int64_t a_end = w->out->column_begin[m.out + 1], b_end = w->in->column_begin[m.in + 1];
  for (int32_t index = 0; index < w->z.size; index++) {
    int64_t start = w->z.start + index * w->z.dilation, b = w->in->column_begin[m.in];
    for (int64_t a = w->out->column_begin[m.out]; a < a_end && b < b_end; a++) {
      int64_t query = out_z[a] * w->z.stride + start;
      while (b < b_end && in_z[b] < query) b++;
      if (b == b_end || in_z[b] != query) continue;
      lat__pair_emit(sink, &lists[index], w->out->row[a], w->in->row[b]);
    }
  }
}

/// Leaves of short columns, dilation 1: every output against every input, without a branch on the outcome, which nobody
/// could predict. A pair that does not meet is written past the end of some list and not kept.
static LAT_ALWAYS_INLINE void match_all(const walk *w, lat__pair_sink *sink, lat__pair_list *lists, int64_t a,
                                        int64_t a_end, int64_t b_begin, int64_t b_end) {
  const int32_t *out_z = w->out->z, *in_z = w->in->z, *out_row = w->out->row, *in_row = w->in->row;
  int64_t stride = w->z.stride, start = w->z.start;
  uint64_t size = (uint64_t)w->z.size;
  lat__pair_reserve(sink, lists, w->z.size);
  for (; a < a_end; a++) {
    int64_t base = out_z[a] * stride + start;
    for (int64_t b = b_begin; b < b_end; b++) {
      uint64_t index = (uint64_t)(in_z[b] - base);
      uint64_t hit = index < size;
      lat__pair_list *list = &lists[index & (0 - hit)];
      *list->next = lat__pair_pack(out_row[a], in_row[b]);
      list->next += hit;
    }
  }
}

/// Leaves of an output column against the places of a dense input column, dilation 1, without a branch on whether a place
/// is taken: what is not kept is written past the end of the list. `size` is a constant after inlining.
static LAT_ALWAYS_INLINE void match_places(const walk *w, lat__pair_sink *sink, lat__pair_list *lists, column_match m,
                                           int32_t size) {
  const int32_t *out_z = w->out->z, *out_row = w->out->row;
  const int32_t *places = w->dense.rows + w->dense.begin[m.in];
  int64_t stride = w->z.stride, first_leaf = w->in->column_begin[m.in], last_leaf = w->in->column_begin[m.in + 1] - 1;
  int64_t start = w->z.start - w->in->z[first_leaf] + w->dense.pad;
  uint64_t last = (uint64_t)((int64_t)w->in->z[last_leaf] - w->in->z[first_leaf] + w->dense.pad);
  int64_t a = w->out->column_begin[m.out], a_end = w->out->column_begin[m.out + 1];
  while (a < a_end) {
    int64_t stop = lat__min_i64(a_end, a + DENSE_CHUNK);
    uint64_t *next[MAX_DENSE_SIZE];
    lat__pair_reserve(sink, lists, size);
    for (int32_t index = 0; index < size; index++) next[index] = lists[index].next;
    for (; a < stop; a++) {
      uint64_t at = (uint64_t)(out_z[a] * stride + start);
      if (at > last) continue;
      for (int32_t index = 0; index < size; index++) {
        int32_t row = places[at + (uint64_t)index];
        *next[index] = lat__pair_pack(out_row[a], row);
        next[index] += row >= 0;
      }
    }
    for (int32_t index = 0; index < size; index++) lists[index].next = next[index];
  }
}

static void match_dense(const walk *w, lat__pair_sink *sink, lat__pair_list *lists, column_match m) {
  switch (w->z.size) {
  case 1:
    match_places(w, sink, lists, m, 1);
    break;
  case 2:
    match_places(w, sink, lists, m, 2);
    break;
  case 3:
    match_places(w, sink, lists, m, 3);
    break;
  case 4:
    match_places(w, sink, lists, m, 4);
    break;
  default:
    match_places(w, sink, lists, m, MAX_DENSE_SIZE);
    break;
  }
}

static void match_leaves(const walk *w, const slab_match *slabs, const column_match *matches, int64_t n_matches) {
  const int32_t *out_begin = w->out->column_begin, *in_begin = w->in->column_begin;
  bool each = w->z.dilation != 1;
  int64_t max_all = w->z.size <= MAX_ALL_LISTS ? MAX_ALL_PAIRS : 0;
  for (int64_t m = 0; m < n_matches; m++) {
    lat__pair_list *lists = slabs->lists + (int64_t)matches[m].iy * w->z.size;
    int64_t a = out_begin[matches[m].out], a_end = out_begin[matches[m].out + 1];
    int64_t b = in_begin[matches[m].in], b_end = in_begin[matches[m].in + 1];
    if (each) {
      match_each(w, slabs->sink, lists, matches[m]);
    } else if ((a_end - a) * (b_end - b) <= max_all) {
      match_all(w, slabs->sink, lists, a, a_end, b, b_end);
    } else if (w->dense.begin && w->dense.begin[matches[m].in] >= 0) {
      match_dense(w, slabs->sink, lists, matches[m]);
    } else {
      match_window(w, slabs->sink, lists, matches[m]);
    }
  }
}

/// Columns that meet under the elements iy .. of the kernel, dilation 1: those that an output column meets lie side by
/// side.
static void match_columns_window(const walk *w, const slab_match *slabs, int32_t iy) {
  const int32_t *out_y = w->out->column_y, *in_y = w->in->column_y;
  int64_t i = slabs->i, i_end = slabs->i_end, c_end = slabs->c_end;
  int64_t stride = w->y.stride, start = w->y.start + iy, size = w->y.size - iy;
  column_match matches[MAX_MATCHES];
  int64_t n = 0;
  for (int64_t c = slabs->c; c < c_end && i < i_end; c++) {
    int64_t base = out_y[c] * stride + start;
    while (i < i_end && in_y[i] < base) i++;
    for (int64_t j = i; j < i_end && in_y[j] - base < size; j++) {
      matches[n++] = (column_match){(int32_t)c, (int32_t)j, (int32_t)(iy + (in_y[j] - base))};
      if (n < MAX_MATCHES) continue;
      match_leaves(w, slabs, matches, n);
      n = 0;
    }
  }
  match_leaves(w, slabs, matches, n);
}

/// Columns that meet under one iy, any dilation.
static void match_columns_each(const walk *w, const slab_match *slabs, int32_t iy) {
  const int32_t *out_y = w->out->column_y, *in_y = w->in->column_y;
  int64_t c = slabs->c, c_end = slabs->c_end, i = slabs->i, i_end = slabs->i_end;
  int64_t stride = w->y.stride, start = w->y.start + iy * w->y.dilation;
  column_match matches[MAX_MATCHES];
  while (c < c_end && i < i_end) {
    int64_t n = 0;
    while (n < MAX_MATCHES && c < c_end && i < i_end) {
      int64_t query = out_y[c] * stride + start, y = in_y[i];
      matches[n] = (column_match){(int32_t)c, (int32_t)i, iy};
      n += y == query;
      c += y >= query;
      i += y <= query;
    }
    match_leaves(w, slabs, matches, n);
  }
}

/// Leaves of a column among themselves under the elements behind the middle of (middle, middle, iz).
static void match_own_columns(const walk *w, const slab_match *slabs) {
  const int32_t *z = w->out->z, *row = w->out->row, *begin = w->out->column_begin;
  int64_t half = w->z.size / 2, dilation = w->z.dilation, reach = half * dilation;
  lat__pair_list *lists = slabs->lists + (int64_t)(w->y.size / 2) * w->z.size + half;
  for (int64_t c = slabs->c; c < slabs->c_end; c++) {
    for (int64_t a = begin[c]; a + 1 < begin[c + 1]; a++) {
      for (int64_t b = a + 1; b < begin[c + 1] && (int64_t)z[b] - z[a] <= reach; b++) {
        int64_t distance = (int64_t)z[b] - z[a];
        if (dilation != 1 && distance % dilation) continue;
        lat__pair_emit(slabs->sink, &lists[distance / dilation], row[a], row[b]);
      }
    }
  }
}

static void match_slabs(const walk *w, const slab_match *slabs, bool own) {
  int32_t first = own ? w->y.size / 2 + 1 : 0;
  if (own) match_own_columns(w, slabs);
  if (w->y.dilation == 1) {
    match_columns_window(w, slabs, first);
  } else {
    for (int32_t iy = first; iy < w->y.size; iy++) match_columns_each(w, slabs, iy);
  }
}

/// The output columns of one chunk, under one ix.
static void walk_slabs(const walk *w, lat__pair_sink *sink, int32_t ix, int64_t c_begin, int64_t c_end) {
  const lat__coord_order *in = w->in, *out = w->out;
  int64_t slab = 0, slab_end = out->n_slabs; // the slab of c_begin lies in [slab, slab_end)
  while (slab_end - slab > 1) {
    int64_t middle = slab + (slab_end - slab) / 2;
    if (out->slab_begin[middle] <= c_begin) {
      slab = middle;
    } else {
      slab_end = middle;
    }
  }
  int64_t shift = w->x.start + ix * w->x.dilation;
  int64_t i = lat__cpu_order_find_slab(in, out->slab_batch[slab], out->slab_x[slab] * w->x.stride + shift);
  for (; slab < out->n_slabs && out->slab_begin[slab] < c_end && i < in->n_slabs; slab++) {
    int32_t batch = out->slab_batch[slab];
    int64_t query = out->slab_x[slab] * w->x.stride + shift;
    while (i < in->n_slabs && (in->slab_batch[i] < batch || (in->slab_batch[i] == batch && in->slab_x[i] < query))) i++;
    if (i == in->n_slabs || in->slab_batch[i] != batch || in->slab_x[i] != query) continue;
    int64_t from = lat__max_i64(c_begin, out->slab_begin[slab]);
    slab_match slabs = {.sink = sink,
                        .lists = sink->lists + (int64_t)ix * w->y.size * w->z.size,
                        .c = from,
                        .c_end = lat__min_i64(c_end, out->slab_begin[slab + 1]),
                        .i = in->slab_begin[i],
                        .i_end = in->slab_begin[i + 1]};
    match_slabs(w, &slabs, w->mirrored && ix == w->x.size / 2);
  }
}

static void walk_chunks(void *arg, int64_t begin, int64_t end, int worker) {
  const walk *w = arg;
  (void)worker;
  for (int64_t chunk = begin; chunk < end; chunk++) {
    int64_t c_end = lat__min_i64(w->out->n_columns, (chunk + 1) * w->chunk_columns);
    for (int32_t ix = w->mirrored ? w->x.size / 2 : 0; ix < w->x.size; ix++) {
      walk_slabs(w, &w->sinks[chunk], ix, chunk * w->chunk_columns, c_end);
    }
  }
}

/// True when the outputs are the inputs and the kernel is symmetric about an element that meets the row itself.
static bool is_mirrored(const lat__relation_desc *desc) {
  lat_triple size = desc->kernel_size, stride = desc->stride, padding = desc->padding;
  bool odd = !desc->taps_from_zero && size.x % 2 && size.y % 2 && size.z % 2;
  return odd && desc->in_order == desc->out_order && stride.x == 1 && stride.y == 1 && stride.z == 1 && !padding.x &&
         !padding.y && !padding.z;
}

static int64_t choose_chunks(const lat_context *context, int64_t n_columns) {
  if (context->n_threads == 1) return n_columns > 0;
  return lat__min_i64(4 * (int64_t)context->n_threads, lat__ceil_div_i64(n_columns, MIN_CHUNK_COLUMNS));
}

/// Places that a dense copy of a column needs, or 0 when it is not dense enough.
static int64_t count_places(const lat__coord_order *order, int64_t column, int64_t pad) {
  int64_t first = order->column_begin[column], n = order->column_begin[column + 1] - first;
  int64_t extent = (int64_t)order->z[first + n - 1] - order->z[first] + 1;
  return n >= MIN_DENSE_LEAVES && extent <= MAX_DENSE_SHARE * n ? extent + 2 * pad : 0;
}

/// Copies the columns of the inputs that are dense enough. `memory` gets what is to be freed.
static lat_status make_dense(lat_context *context, walk *w, void *memory[2]) {
  const lat__coord_order *in = w->in;
  int64_t total = 0;
  if (w->z.dilation != 1 || w->z.size > MAX_DENSE_SIZE || in->n_leaves < MIN_DENSE_LEAVES * in->n_columns / 2) {
    return LAT_STATUS_OK;
  }
  w->dense.pad = w->z.size - 1;
  lat_status status = lat__alloc_items(context, "relation", in->n_columns, sizeof(int64_t), &memory[0]);
  if (status) return status;
  int64_t *begin = memory[0];
  for (int64_t column = 0; column < in->n_columns; column++) {
    int64_t n_places = count_places(in, column, w->dense.pad);
    begin[column] = n_places ? total : -1;
    total += n_places;
  }
  status = lat__alloc_items(context, "relation", total, sizeof(int32_t), &memory[1]);
  if (status) return status;
  int32_t *rows = memory[1];
  memset(rows, 0xFF, (size_t)total * sizeof(int32_t)); // every place -1
  for (int64_t column = 0; column < in->n_columns; column++) {
    int64_t first = in->column_begin[column];
    for (int64_t leaf = first; begin[column] >= 0 && leaf < in->column_begin[column + 1]; leaf++) {
      rows[begin[column] + w->dense.pad + in->z[leaf] - in->z[first]] = in->row[leaf];
    }
  }
  w->dense.begin = begin;
  w->dense.rows = rows;
  return LAT_STATUS_OK;
}

/// A worker's failure, with its text in the calling thread.
static lat_status sink_status(const lat__pair_sink *sink) {
  if (!sink->status) return LAT_STATUS_OK;
  return lat_fail(sink->status, "relation: out of memory: a worker was refused room for pairs, expected some");
}

static lat_status build_by_walk(lat_context *context, const lat__relation_desc *desc, lat__pairs *out) {
  lat_status status = LAT_STATUS_OK;
  lat_triple size = desc->kernel_size, stride = desc->stride, padding = desc->padding, dilation = desc->dilation;
  bool from_zero = desc->taps_from_zero;
  walk w = {.in = desc->in_order,
            .out = desc->out_order,
            .x = make_axis(size.x, stride.x, padding.x, dilation.x, from_zero),
            .y = make_axis(size.y, stride.y, padding.y, dilation.y, from_zero),
            .z = make_axis(size.z, stride.z, padding.z, dilation.z, from_zero),
            .mirrored = is_mirrored(desc)};
  int64_t n_chunks = w.in->n_leaves > 0 ? choose_chunks(context, w.out->n_columns) : 0;
  int64_t page_pairs = lat__max_i64(LAT__PAIR_RESERVE, lat__min_i64(MAX_PAGE_PAIRS, w.out->n_leaves));
  void *sinks = NULL, *dense[2] = {NULL, NULL};
  LAT_TRY(make_dense(context, &w, dense), done);
  LAT_TRY(lat__alloc_zero(context, "relation", n_chunks, sizeof(lat__pair_sink), &sinks), done);
  w.sinks = sinks;
  w.chunk_columns = n_chunks ? lat__ceil_div_i64(w.out->n_columns, n_chunks) : 1;
  for (int64_t c = 0; c < n_chunks; c++) {
    LAT_TRY(lat__pair_sink_init(context, desc->n_kernels, page_pairs, &w.sinks[c]), done);
  }
  lat__parallel_for(context, n_chunks, 1, walk_chunks, &w);
  for (int64_t c = 0; c < n_chunks; c++) LAT_TRY(sink_status(&w.sinks[c]), done);
  lat__pair_plan plan = {.n_in = desc->n_in,
                         .n_out = desc->n_out,
                         .n_kernels = desc->n_kernels,
                         .mirrored = w.mirrored,
                         .first_row = w.out->row,
                         .next_twin = w.out->next_twin,
                         .n_leaves = w.out->n_leaves,
                         .n_sinks = n_chunks,
                         .sinks = w.sinks};
  LAT_TRY(lat__pair_lists_assemble(context, &plan, out), done);
done:
  for (int64_t c = 0; w.sinks && c < n_chunks; c++) lat__pair_sink_free(&w.sinks[c]);
  lat__free(context, sinks);
  lat__free(context, dense[0]);
  lat__free(context, dense[1]);
  return status;
}

lat_status lat__cpu_relation_build(lat_context *context, const lat__relation_desc *desc, lat__pairs *out) {
  lat_status status = LAT_STATUS_OK;
  lat__sweep_plan plan;
  bool fits = false;
  LAT_TRY(lat__sweep_plan_open(context, desc, &plan, &fits), done);
  if (!fits) {
    LAT_TRY(lat__cpu_order_need_tree(desc->in_order), done);
    LAT_TRY(lat__cpu_order_need_tree(desc->out_order), done);
    status = build_by_walk(context, desc, out);
    goto done;
  }
  lat__pairs pairs = {.n_in = desc->n_in};
  LAT_TRY(lat__sweep_run(context, &plan, &pairs), done);
  *out = pairs;
  out->out_rows = plan.out_rows;
  out->mirrored = plan.mirrored;
  plan.out_rows = NULL;
done:
  lat__sweep_plan_close(context, &plan);
  return status;
}
