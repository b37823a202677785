/// Growing lists of (output row, input row) that a sweep emits, one list for every kernel element of a chunk of work, and
/// their conversion into blocked pair lists.
#ifndef LATTICE_BACKEND_CPU_CPU_PAIR_LISTS_H
#define LATTICE_BACKEND_CPU_CPU_PAIR_LISTS_H

#include <stdbool.h>

#include "backend/backend.h"
#include "core/compiler.h"

/// Pairs that lat__pair_reserve makes room for.
#define LAT__PAIR_RESERVE 16

/// Part of a list. A pair is `out_row << 32 | in_row`.
typedef struct lat__pair_page {
  struct lat__pair_page *next;
  int64_t n_pairs; ///< filled; of a list's last page only the list knows
  uint64_t pairs[];
} lat__pair_page;

typedef struct lat__pair_list {
  uint64_t *next, *end; ///< free room of the last page; both NULL before the first
  lat__pair_page *head, *tail;
} lat__pair_list;

/// Lists of one chunk of work, filled by one worker.
typedef struct lat__pair_sink {
  lat_context *context;
  lat__pair_list *lists; ///< n_lists
  int64_t page_pairs;
  void *slabs;                       ///< memory that pages are cut from, chained
  char *room;                        ///< free part of the newest
  size_t room_bytes;                 ///< of `room`
  lat_status status;                 ///< the first failure; pairs are dropped from then on
  uint64_t waste[LAT__PAIR_RESERVE]; ///< where dropped pairs go
} lat__pair_sink;

/// What becomes of the pairs of the lists.
typedef struct lat__pair_plan {
  int64_t n_in, n_out;
  int32_t n_kernels;
  bool mirrored; ///< list k also gives the pairs of element K - 1 - k with both ends exchanged; the middle element
                 ///< joins every row with the first of its twins
  const int32_t *first_row; ///< mirrored: (n_leaves,) of the output order
  const int32_t *next_twin; ///< further output rows with the same coordinates, or NULL
  int64_t n_leaves;         ///< mirrored
  int64_t n_sinks;          ///< ascending in output coordinates
  const lat__pair_sink *sinks;
} lat__pair_plan;

/// Starts a page for a list that lacks room. On failure the list gets room that is not kept.
void lat__pair_list_grow(lat__pair_sink *sink, lat__pair_list *list);

/// Asks for the line that lies `bytes` behind an address, for writing.
static LAT_ALWAYS_INLINE void lat__prefetch_behind(const void *address, size_t bytes) {
  __builtin_prefetch((const void *)((uintptr_t)address + bytes),
                     1); // it may lie behind the array: no pointer arithmetic
}

static LAT_ALWAYS_INLINE uint64_t lat__pair_pack(int32_t out_row, int32_t in_row) {
  return (uint64_t)(uint32_t)out_row << 32 | (uint32_t)in_row;
}

/// Appends a pair.
static LAT_ALWAYS_INLINE void lat__pair_emit(lat__pair_sink *sink, lat__pair_list *list, int32_t out_row,
                                             int32_t in_row) {
  if (LAT_UNLIKELY(list->next == list->end)) lat__pair_list_grow(sink, list);
  lat__prefetch_behind(list->next, 128); // more lists grow at a time than the hardware follows
  *list->next++ = lat__pair_pack(out_row, in_row);
}

/// Makes room for LAT__PAIR_RESERVE pairs in each of n lists, which may then be written without further checks.
static inline void lat__pair_reserve(lat__pair_sink *sink, lat__pair_list *lists, int64_t n) {
  for (int64_t l = 0; l < n; l++) {
    if (lists[l].end - lists[l].next < LAT__PAIR_RESERVE) lat__pair_list_grow(sink, &lists[l]);
  }
}

/// Empty lists. A page holds at most `page_pairs` pairs (LAT__PAIR_RESERVE or more).
LAT_CHECKED lat_status lat__pair_sink_init(lat_context *context, int64_t n_lists, int64_t page_pairs,
                                           lat__pair_sink *sink);
void lat__pair_sink_free(lat__pair_sink *sink);

/// Sorts the pairs into blocked lists. Within a list they keep the order of the sinks. The arrays of `out` belong to the
/// caller.
LAT_CHECKED lat_status lat__pair_lists_assemble(lat_context *context, const lat__pair_plan *plan, lat__pairs *out);

#endif
