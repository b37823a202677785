// From the pairs of a sweep to blocked pair lists: count per (kernel element, block), add up, place. Every kernel element
// is one worker's, and reads its pairs in the order of the sinks, so the result does not depend on who does what.

#include <string.h>

#include "backend/cpu/cpu_pair_lists.h"
#include "core/alloc.h"
#include "core/checked.h"
#include "core/thread.h"

#define SLAB_BYTES ((size_t)256 << 10)

static const char op[] = "relation";

lat_status lat__pair_sink_init(lat_context *context, int64_t n_lists, int64_t page_pairs, lat__pair_sink *sink) {
  void *lists = NULL;
  memset(sink, 0, sizeof *sink);
  sink->context = context;
  sink->page_pairs = page_pairs;
  lat_status status = lat__alloc_zero(context, op, n_lists, sizeof(lat__pair_list), &lists);
  sink->lists = lists;
  return status;
}

void lat__pair_sink_free(lat__pair_sink *sink) {
  while (sink->slabs) {
    void *next = *(void **)sink->slabs; // a slab begins with the address of the next one
    lat__free(sink->context, sink->slabs);
    sink->slabs = next;
  }
  lat__free(sink->context, sink->lists);
  sink->lists = NULL;
}

static bool add_slab(lat__pair_sink *sink, size_t page_bytes) {
  void *slab = NULL;
  size_t bytes = LAT_ALIGN + (page_bytes > SLAB_BYTES ? page_bytes : SLAB_BYTES / page_bytes * page_bytes);
  sink->status = lat__alloc(sink->context, op, bytes, &slab);
  if (sink->status) return false;
  *(void **)slab = sink->slabs;
  sink->slabs = slab;
  sink->room = (char *)slab + LAT_ALIGN;
  sink->room_bytes = bytes - LAT_ALIGN;
  return true;
}

void lat__pair_list_grow(lat__pair_sink *sink, lat__pair_list *list) {
  size_t page_bytes = sizeof(lat__pair_page) + (size_t)sink->page_pairs * sizeof(uint64_t);
  bool failed = sink->status || (sink->room_bytes < page_bytes && !add_slab(sink, page_bytes));
  if (failed) {
    list->next = sink->waste;
    list->end = sink->waste + sizeof sink->waste / sizeof sink->waste[0];
    return;
  }
  lat__pair_page *page = (lat__pair_page *)(void *)sink->room;
  sink->room += page_bytes;
  sink->room_bytes -= page_bytes;
  page->next = NULL;
  page->n_pairs = sink->page_pairs;
  if (list->tail) {
    list->tail->next = page;
  } else {
    list->head = page;
  }
  list->tail = page;
  list->next = page->pairs;
  list->end = page->pairs + sink->page_pairs;
}

/// Work on the kernel elements of one plan.
typedef struct assembly {
  const lat__pair_plan *plan;
  lat__pairs *out;
  int64_t *places; ///< (n_kernels, n_blocks): counts, then the next place of each list
} assembly;

/// What is done with one output row.
typedef struct visit {
  int64_t *places; ///< of the kernel element, by block
  int32_t *in_rows;
  uint16_t *local_rows;
} visit;

static LAT_ALWAYS_INLINE void visit_row(const visit *v, bool placing, int32_t out_row, int32_t in_row) {
  int64_t at = v->places[out_row / LAT__PAIR_BLOCK_ROWS]++;
  if (!placing) return;
  v->in_rows[at] = in_row;
  v->local_rows[at] = (uint16_t)(out_row % LAT__PAIR_BLOCK_ROWS);
}

static LAT_ALWAYS_INLINE void visit_pairs(const visit *v, bool placing, bool flipped, const int32_t *next_twin,
                                          const uint64_t *pairs, int64_t n_pairs) {
  for (int64_t p = 0; p < n_pairs; p++) {
    int32_t upper = (int32_t)(pairs[p] >> 32), lower = (int32_t)(uint32_t)pairs[p];
    int32_t out_row = flipped ? lower : upper, in_row = flipped ? upper : lower;
    visit_row(v, placing, out_row, in_row);
    if (!next_twin) continue;
    for (int32_t twin = next_twin[out_row]; twin >= 0; twin = next_twin[twin]) visit_row(v, placing, twin, in_row);
  }
}

static LAT_ALWAYS_INLINE void visit_list(const assembly *a, const visit *v, bool placing, bool flipped, int64_t l) {
  const lat__pair_plan *plan = a->plan;
  for (int64_t s = 0; s < plan->n_sinks; s++) {
    const lat__pair_list *list = &plan->sinks[s].lists[l];
    for (const lat__pair_page *page = list->head; page; page = page->next) {
      int64_t n_pairs = page == list->tail ? list->next - page->pairs : page->n_pairs;
      visit_pairs(v, placing, flipped, plan->next_twin, page->pairs, n_pairs);
    }
  }
}

/// The middle kernel element of a centred plan: every row meets the first row with its coordinates.
static void visit_centre(const assembly *a, const visit *v, bool placing) {
  const lat__pair_plan *plan = a->plan;
  if (!plan->next_twin) {
    for (int64_t r = 0; r < plan->n_out; r++) visit_row(v, placing, (int32_t)r, (int32_t)r);
    return;
  }
  for (int64_t leaf = 0; leaf < plan->n_leaves; leaf++) {
    int32_t first = plan->first_row[leaf];
    for (int32_t r = first; r >= 0; r = plan->next_twin[r]) visit_row(v, placing, r, first);
  }
}

static LAT_ALWAYS_INLINE void visit_kernel(const assembly *a, int32_t k, bool placing) {
  int32_t opposite = a->plan->n_kernels - 1 - k;
  visit v = {a->places + k * a->out->n_blocks, a->out->in_rows, a->out->local_rows};
  if (a->plan->centred && k == opposite) {
    visit_centre(a, &v, placing);
  } else if (a->plan->mirrored && k < opposite) {
    visit_list(a, &v, placing, true, opposite);
  } else {
    visit_list(a, &v, placing, false, k);
  }
}

static void count_kernels(void *arg, int64_t begin, int64_t end, int worker) {
  const assembly *a = arg;
  (void)worker;
  for (int64_t k = begin; k < end; k++) visit_kernel(a, (int32_t)k, false);
}

static void place_kernels(void *arg, int64_t begin, int64_t end, int worker) {
  const assembly *a = arg;
  (void)worker;
  for (int64_t k = begin; k < end; k++) visit_kernel(a, (int32_t)k, true);
}

/// Counts become first places, lists in order of (block, kernel element).
static void add_up(assembly *a) {
  lat__pairs *out = a->out;
  int64_t total = 0;
  for (int64_t block = 0; block < out->n_blocks; block++) {
    for (int64_t k = 0; k < out->n_kernels; k++) {
      int64_t *place = &a->places[k * out->n_blocks + block];
      int64_t count = *place;
      out->offsets[block * out->n_kernels + k] = total;
      *place = total;
      total += count;
    }
  }
  out->offsets[out->n_blocks * out->n_kernels] = total;
  out->n_edges = total;
}

lat_status lat__pair_lists_assemble(lat_context *context, const lat__pair_plan *plan, lat__pairs *out) {
  lat_status status = LAT_STATUS_OK;
  void *places = NULL, *offsets = NULL, *in_rows = NULL, *local_rows = NULL;
  lat__pairs pairs = {.n_in = plan->n_in, .n_out = plan->n_out, .n_kernels = plan->n_kernels};
  pairs.n_blocks = lat__ceil_div_i64(plan->n_out, LAT__PAIR_BLOCK_ROWS);
  int64_t n_lists = pairs.n_blocks * plan->n_kernels; // below 2^22 * 2^31
  LAT_TRY(lat__alloc_zero(context, op, n_lists, sizeof(int64_t), &places), done);
  LAT_TRY(lat__alloc_items(context, op, n_lists + 1, sizeof(int64_t), &offsets), done);
  pairs.offsets = offsets;
  assembly a = {plan, &pairs, places};
  lat__parallel_for(context, plan->n_kernels, 1, count_kernels, &a);
  add_up(&a);
  LAT_TRY(lat__alloc_items(context, op, pairs.n_edges, sizeof(int32_t), &in_rows), done);
  LAT_TRY(lat__alloc_items(context, op, pairs.n_edges, sizeof(uint16_t), &local_rows), done);
  pairs.in_rows = in_rows;
  pairs.local_rows = local_rows;
  lat__parallel_for(context, plan->n_kernels, 1, place_kernels, &a);
  *out = pairs;
  offsets = in_rows = local_rows = NULL;
done:
  lat__free(context, places);
  lat__free(context, offsets);
  lat__free(context, in_rows);
  lat__free(context, local_rows);
  return status;
}
