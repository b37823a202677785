// From the pairs of a sweep to blocked pair lists: count per (kernel element, block), add up, place. Every kernel element
// (with its mirror image) is one worker's, and reads its pairs in the order of the sinks, so the result does not depend
// on who does what.

#include <string.h>

#include "backend/cpu/cpu_pair_lists.h"
#include "core/alloc.h"
#include "core/checked.h"
#include "core/context_internal.h"
#include "core/thread.h"

#define SLAB_BYTES ((size_t)256 << 10)
#define LINE_BYTES 64
#define SERIAL_ROWS 2048 // below, waking other threads takes longer than the work

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
  page->n_pairs = 0;
  if (list->tail) {
    list->tail->n_pairs = list->next - list->tail->pairs;
    list->tail->next = page;
  } else {
    list->head = page;
  }
  list->tail = page;
  list->next = page->pairs;
  list->end = page->pairs + sink->page_pairs;
}

/// Work on the lists of one plan.
typedef struct assembly {
  const lat__pair_plan *plan;
  lat__pairs *out;
  int64_t *places; ///< (n_kernels, n_blocks): counts, then the next place of each list
} assembly;

static LAT_ALWAYS_INLINE void visit_row(const lat__pairs *out, bool placing, int64_t *places, int32_t out_row,
                                        int32_t in_row) {
  int64_t at = places[(uint32_t)out_row / LAT__PAIR_BLOCK_ROWS]++;
  if (!placing) return;
  // The list's next lines: the lists of one kernel element lie too far apart for the hardware to guess.
  lat__prefetch_behind(&out->in_rows[at], LINE_BYTES);
  lat__prefetch_behind(&out->local_rows[at], LINE_BYTES);
  out->in_rows[at] = in_row;
  out->local_rows[at] = (uint16_t)((uint32_t)out_row % LAT__PAIR_BLOCK_ROWS);
}

static LAT_ALWAYS_INLINE void visit_twins(const lat__pairs *out, bool placing, int64_t *places,
                                          const int32_t *next_twin, int32_t out_row, int32_t in_row) {
  for (int32_t row = out_row; row >= 0; row = next_twin[row]) visit_row(out, placing, places, row, in_row);
}

/// Counts or places the pairs of a page under kernel element places `forth` and, mirrored, with both ends exchanged
/// under `back`. Both at once, so that one's wait for memory hides the other's.
static LAT_ALWAYS_INLINE void visit_page(const lat__pairs *out, bool placing, bool mirrored, const int32_t *next_twin,
                                         int64_t *forth, int64_t *back, const uint64_t *pairs, int64_t n_pairs) {
  for (int64_t p = 0; p < n_pairs; p++) {
    int32_t upper = (int32_t)(pairs[p] >> 32), lower = (int32_t)(uint32_t)pairs[p];
    if (next_twin) {
      visit_twins(out, placing, forth, next_twin, upper, lower);
      if (mirrored) visit_twins(out, placing, back, next_twin, lower, upper);
    } else {
      visit_row(out, placing, forth, upper, lower);
      if (mirrored) visit_row(out, placing, back, lower, upper);
    }
  }
}

static LAT_ALWAYS_INLINE void visit_list(const assembly *a, bool placing, bool mirrored, int64_t k) {
  const lat__pair_plan *plan = a->plan;
  int64_t *forth = a->places + k * a->out->n_blocks;
  int64_t *back = a->places + (plan->n_kernels - 1 - k) * a->out->n_blocks;
  for (int64_t s = 0; s < plan->n_sinks; s++) {
    const lat__pair_list *list = &plan->sinks[s].lists[k];
    for (const lat__pair_page *page = list->head; page; page = page->next) {
      int64_t n_pairs = page == list->tail ? list->next - page->pairs : page->n_pairs;
      if (plan->next_twin) {
        visit_page(a->out, placing, mirrored, plan->next_twin, forth, back, page->pairs, n_pairs);
      } else {
        visit_page(a->out, placing, mirrored, NULL, forth, back, page->pairs, n_pairs);
      }
    }
  }
}

/// The middle list of a block whose rows are all distinct: every row meets itself.
static LAT_ALWAYS_INLINE void visit_own_rows(const lat__pairs *out, bool placing, int64_t *places, int64_t block) {
  int64_t first = block * LAT__PAIR_BLOCK_ROWS, n_rows = lat__min_i64(LAT__PAIR_BLOCK_ROWS, out->n_out - first);
  int64_t at = places[block];
  places[block] += n_rows;
  for (int64_t r = 0; placing && r < n_rows; r++) {
    out->in_rows[at + r] = (int32_t)(first + r);
    out->local_rows[at + r] = (uint16_t)r;
  }
}

/// The middle kernel element of a mirrored plan: every row meets the first row with its coordinates.
static LAT_ALWAYS_INLINE void visit_middle(const assembly *a, bool placing, int64_t k) {
  const lat__pair_plan *plan = a->plan;
  int64_t *places = a->places + k * a->out->n_blocks;
  if (!plan->next_twin) {
    for (int64_t block = 0; block < a->out->n_blocks; block++) visit_own_rows(a->out, placing, places, block);
    return;
  }
  for (int64_t leaf = 0; leaf < plan->n_leaves; leaf++) {
    visit_twins(a->out, placing, places, plan->next_twin, plan->first_row[leaf], plan->first_row[leaf]);
  }
}

/// Item 0 is the first kernel element that has a list: in a mirrored plan the middle one, whose list is not walked.
static LAT_ALWAYS_INLINE void visit_item(const assembly *a, bool placing, int64_t item) {
  bool mirrored = a->plan->mirrored;
  int64_t k = item + (mirrored ? a->plan->n_kernels / 2 : 0);
  if (!mirrored) {
    visit_list(a, placing, false, k);
  } else if (item == 0) {
    visit_middle(a, placing, k);
  } else {
    visit_list(a, placing, true, k);
  }
}

static void count_items(void *arg, int64_t begin, int64_t end, int worker) {
  (void)worker;
  for (int64_t item = begin; item < end; item++) visit_item(arg, false, item);
}

static void place_items(void *arg, int64_t begin, int64_t end, int worker) {
  (void)worker;
  for (int64_t item = begin; item < end; item++) visit_item(arg, true, item);
}

/// Counts become first places, lists in order of (block, kernel element).
static void add_up(assembly *a, int64_t first_edge) {
  lat__pairs *out = a->out;
  int64_t total = first_edge;
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
  int64_t n_items = plan->mirrored ? plan->n_kernels - plan->n_kernels / 2 : plan->n_kernels;
  int64_t grain = plan->n_out < SERIAL_ROWS ? n_items : 1;
  lat__parallel_for(context, n_items, grain, count_items, &a);
  add_up(&a, context->first_edge);
  LAT_TRY(lat__alloc_items(context, op, pairs.n_edges, sizeof(int32_t), &in_rows), done);
  LAT_TRY(lat__alloc_items(context, op, pairs.n_edges, sizeof(uint16_t), &local_rows), done);
  pairs.in_rows = in_rows;
  pairs.local_rows = local_rows;
  lat__parallel_for(context, n_items, grain, place_items, &a);
  *out = pairs;
  offsets = in_rows = local_rows = NULL;
done:
  lat__free(context, places);
  lat__free(context, offsets);
  lat__free(context, in_rows);
  lat__free(context, local_rows);
  return status;
}
