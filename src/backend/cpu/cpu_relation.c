// Kernel relations by walking two ordered coordinate trees side by side.
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
#include "core/alloc.h"
#include "core/checked.h"
#include "core/context_internal.h"
#include "core/thread.h"

#define MAX_PAGE_PAIRS 1024
#define MIN_CHUNK_COLUMNS 2048

/// How one axis maps an output coordinate: query of element index = coordinate * stride + start + index * dilation.
typedef struct axis_map {
  int64_t stride, start, dilation;
  int32_t size;
} axis_map;

typedef struct walk {
  const lat__coord_order *in, *out;
  axis_map x, y, z;
  bool mirrored; ///< only kernel elements behind the middle
  int64_t chunk_columns;
  lat__pair_sink *sinks; ///< one for each chunk of output columns
} walk;

/// Kernel elements `first_z ..` of one (ix, iy): lists and the map to their queries.
typedef struct column_task {
  lat__pair_sink *sink;
  lat__pair_list *lists; ///< of first_z, ascending
  int64_t start;         ///< query of first_z for z = 0
  int32_t n;             ///< elements
} column_task;

static axis_map make_axis(int32_t size, int32_t stride, int32_t padding, int32_t dilation) {
  int64_t centre = size % 2 ? size / 2 : 0;
  return (axis_map){stride, -centre * dilation - padding, dilation, size};
}

/// Leaves [a, a_end) of an output column against [b, b_end) of an input column, dilation 1: the inputs that an output
/// meets lie side by side in a window of n values.
static void match_window(const walk *w, const column_task *task, int64_t a, int64_t a_end, int64_t b, int64_t b_end) {
  const int32_t *out_z = w->out->z, *in_z = w->in->z;
  for (; a < a_end; a++) {
    int64_t base = out_z[a] * w->z.stride + task->start;
    while (b < b_end && in_z[b] < base) b++;
    for (int64_t i = b; i < b_end; i++) {
      int64_t index = in_z[i] - base;
      if (index >= task->n) break;
      lat__pair_emit(task->sink, &task->lists[index], w->out->row[a], w->in->row[i]);
    }
  }
}

/// The same for any dilation: one pass for each kernel element.
static void match_each(const walk *w, const column_task *task, int64_t a_begin, int64_t a_end, int64_t b_begin,
                       int64_t b_end) {
  const int32_t *out_z = w->out->z, *in_z = w->in->z;
  for (int32_t index = 0; index < task->n; index++) {
    int64_t start = task->start + index * w->z.dilation;
    int64_t b = b_begin;
    for (int64_t a = a_begin; a < a_end && b < b_end; a++) {
      int64_t query = out_z[a] * w->z.stride + start;
      while (b < b_end && in_z[b] < query) b++;
      if (b == b_end || in_z[b] != query) continue;
      lat__pair_emit(task->sink, &task->lists[index], w->out->row[a], w->in->row[b]);
    }
  }
}

/// Columns [c, c_end) of an output slab against those of an input slab, for one iy.
static void match_columns(const walk *w, const column_task *task, int64_t c, int64_t c_end, int64_t in_slab,
                          int64_t y_start) {
  const lat__coord_order *in = w->in, *out = w->out;
  int64_t i = in->slab_begin[in_slab], i_end = in->slab_begin[in_slab + 1];
  while (c < c_end && i < i_end) {
    int64_t query = out->column_y[c] * w->y.stride + y_start;
    int64_t y = in->column_y[i];
    if (y == query) {
      int64_t a = out->column_begin[c], a_end = out->column_begin[c + 1];
      int64_t b = in->column_begin[i], b_end = in->column_begin[i + 1];
      if (w->z.dilation == 1) {
        match_window(w, task, a, a_end, b, b_end);
      } else {
        match_each(w, task, a, a_end, b, b_end);
      }
    }
    c += y >= query;
    i += y <= query;
  }
}

/// Part of an output slab against the input slab that it meets under ix.
static void match_slabs(const walk *w, lat__pair_sink *sink, int32_t ix, int64_t c, int64_t c_end, int64_t in_slab) {
  bool middle_x = w->mirrored && ix == w->x.size / 2;
  for (int32_t iy = middle_x ? w->y.size / 2 : 0; iy < w->y.size; iy++) {
    bool middle_y = middle_x && iy == w->y.size / 2;
    int32_t first_z = middle_y ? w->z.size / 2 + 1 : 0;
    int64_t list = ((int64_t)ix * w->y.size + iy) * w->z.size + first_z;
    column_task task = {sink, sink->lists + list, w->z.start + first_z * w->z.dilation, w->z.size - first_z};
    if (task.n > 0) match_columns(w, &task, c, c_end, in_slab, w->y.start + iy * w->y.dilation);
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
    match_slabs(w, sink, ix, from, lat__min_i64(c_end, out->slab_begin[slab + 1]), i);
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
  bool odd = size.x % 2 && size.y % 2 && size.z % 2;
  return odd && desc->in_order == desc->out_order && stride.x == 1 && stride.y == 1 && stride.z == 1 && !padding.x &&
         !padding.y && !padding.z;
}

static int64_t choose_chunks(const lat_context *context, int64_t n_columns) {
  if (context->n_threads == 1) return n_columns > 0;
  return lat__min_i64(4 * (int64_t)context->n_threads, lat__ceil_div_i64(n_columns, MIN_CHUNK_COLUMNS));
}

/// A worker's failure, with its text in the calling thread.
static lat_status sink_status(const lat__pair_sink *sink) {
  if (!sink->status) return LAT_STATUS_OK;
  return lat_fail(sink->status, "relation: out of memory: a worker was refused room for pairs, expected some");
}

lat_status lat__cpu_relation_build(lat_context *context, const lat__relation_desc *desc, lat__pairs *out) {
  lat_status status = LAT_STATUS_OK;
  lat_triple size = desc->kernel_size, stride = desc->stride, padding = desc->padding, dilation = desc->dilation;
  walk w = {.in = desc->in_order,
            .out = desc->out_order,
            .x = make_axis(size.x, stride.x, padding.x, dilation.x),
            .y = make_axis(size.y, stride.y, padding.y, dilation.y),
            .z = make_axis(size.z, stride.z, padding.z, dilation.z),
            .mirrored = is_mirrored(desc)};
  int64_t n_chunks = w.in->n_leaves > 0 ? choose_chunks(context, w.out->n_columns) : 0;
  int64_t page_pairs = lat__max_i64(1, lat__min_i64(MAX_PAGE_PAIRS, w.out->n_leaves));
  void *sinks = NULL;
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
                         .centred = w.mirrored,
                         .first_row = w.out->row,
                         .next_twin = w.out->next_twin,
                         .n_leaves = w.out->n_leaves,
                         .n_sinks = n_chunks,
                         .sinks = w.sinks};
  LAT_TRY(lat__pair_lists_assemble(context, &plan, out), done);
done:
  for (int64_t c = 0; w.sinks && c < n_chunks; c++) lat__pair_sink_free(&w.sinks[c]);
  lat__free(context, sinks);
  return status;
}
