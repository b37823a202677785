// Packing of intervals: one after the other, each into the smallest gap that holds it. By falling size, the few large values
// decide how long the block becomes and small ones go into the gaps that they leave; by falling duration, what lives long
// lies at the bottom. (Pisarchyk and Lee, "Efficient Memory Management for Deep Neural Net Inference", 2020, compare such
// orders.) None is best everywhere, so the shortest block of three is taken.
#include "model/arena_layout.h"

#include <stdbool.h>

static bool meet(const lat__interval *a, const lat__interval *b) {
  return a->first <= b->last && b->first <= a->last;
}

/// What decides which interval is placed first.
typedef enum layout_rule { BY_SIZE, BY_DURATION, BY_AREA, N_RULES } layout_rule;

static double rank_of(const lat__interval *interval, layout_rule rule) {
  double duration = (double)(interval->last - interval->first + 1), bytes = (double)interval->bytes;
  return rule == BY_SIZE ? bytes : rule == BY_DURATION ? duration : bytes * duration;
}

/// Numbers of the intervals that want a place, by falling rank, equal ones in their order; how many there are.
static int64_t sort_by_rank(const lat__interval *intervals, int64_t n, layout_rule rule, int32_t *order) {
  int64_t count = 0;
  for (int64_t i = 0; i < n; i++) {
    if (!intervals[i].bytes) continue;
    int64_t at = count++;
    double rank = rank_of(&intervals[i], rule);
    for (; at > 0 && rank_of(&intervals[order[at - 1]], rule) < rank; at--) order[at] = order[at - 1];
    order[at] = (int32_t)i;
  }
  return count;
}

/// The smallest gap between the placed intervals that live when `wanted` does, which holds it; else the end of the last.
/// `placed` has their numbers by rising offset.
static uint64_t find_offset(const lat__interval *intervals, const int32_t *placed, int64_t n_placed,
                            const lat__interval *wanted) {
  uint64_t end = 0, best = UINT64_MAX, best_gap = UINT64_MAX;
  for (int64_t i = 0; i < n_placed; i++) {
    const lat__interval *other = &intervals[placed[i]];
    if (!meet(other, wanted)) continue;
    if (other->offset >= end && other->offset - end >= wanted->bytes && other->offset - end < best_gap) {
      best = end;
      best_gap = other->offset - end;
    }
    if (other->offset + other->bytes > end) end = other->offset + other->bytes;
  }
  return best == UINT64_MAX ? end : best;
}

static uint64_t place_by(lat__interval *intervals, int64_t n, layout_rule rule, int32_t *order) {
  int64_t count = sort_by_rank(intervals, n, rule, order);
  uint64_t bytes = 0;
  // The front of `order` becomes the placed ones by offset while the back still waits.
  for (int64_t i = 0; i < count; i++) {
    int32_t number = order[i];
    lat__interval *wanted = &intervals[number];
    wanted->offset = find_offset(intervals, order, i, wanted);
    if (wanted->offset + wanted->bytes > bytes) bytes = wanted->offset + wanted->bytes;
    int64_t at = i;
    for (; at > 0 && intervals[order[at - 1]].offset > wanted->offset; at--) order[at] = order[at - 1];
    order[at] = number;
  }
  return bytes;
}

uint64_t lat__layout_place(lat__interval *intervals, int64_t n, int32_t *order) {
  layout_rule best = BY_SIZE;
  uint64_t least = UINT64_MAX;
  for (int rule = 0; rule < N_RULES; rule++) {
    uint64_t bytes = place_by(intervals, n, (layout_rule)rule, order);
    if (bytes >= least) continue;
    least = bytes;
    best = (layout_rule)rule;
  }
  return place_by(intervals, n, best, order);
}

uint64_t lat__layout_least(const lat__interval *intervals, int64_t n) {
  uint64_t most = 0;
  for (int64_t i = 0; i < n; i++) {
    uint64_t sum = 0; // the most is reached where an interval begins
    for (int64_t k = 0; k < n; k++) {
      bool lives = intervals[k].first <= intervals[i].first && intervals[i].first <= intervals[k].last;
      if (lives) sum += intervals[k].bytes;
    }
    if (sum > most) most = sum;
  }
  return most;
}
