// Sweeps: a relation's pairs from ascending keys, without a hash, a branch on the outcome of a comparison, or a scattered
// store.
//
// For every sweep (a column of the kernel) a pointer into the inputs follows the outputs: the first input that is not below
// what the output looks for. Four pointers move side by side, one step at a time, and each step moves either the input or
// the output on, by arithmetic:
//
//     inputs       2  3  7  8  9 ...             step:  input < query ?  next input  :  next output
//     queries      1  6  8 ...
//
// How far that input is ahead, and which of the next inputs follow it directly (`taken`), says which places of the window
// are there; window_pairs makes pairs of them, a vector of outputs at a time.
//
// A mirrored relation is swept for the kernel elements behind the middle only. The pairs of a list ascend in both ends, so
// that each list is a queue: what a block of outputs has just put in are its pairs under element k, and what it takes out
// from the front, up to its last row, are its pairs under K - 1 - k. Everything but the result stays in the caches.
//
// Chunks of blocks are worked on in parallel; one begins with the pairs that outputs before it send into it.

#include <string.h>

#include "backend/cpu/cpu_backend.h"
#include "backend/cpu/cpu_rows.h"
#include "backend/cpu/cpu_sweep.h"
#include "core/alloc.h"
#include "core/checked.h"
#include "core/compiler.h"
#include "core/context_internal.h"
#include "core/thread.h"

#define BLOCK LAT__PAIR_BLOCK_ROWS
#define LOCKSTEP 4             // sweeps that move side by side
#define QUEUE_ROOM (4 * BLOCK) // at first
#define MIN_CHUNK_BLOCKS 8     // fewer are done before another thread has woken up
#define SAMPLED_BLOCKS 16      // of so many blocks one is counted to guess the room that pairs need
#define MAX_WASTE_SHARE 4      // a guess that wastes more than this part of its room is not kept

static const char op[] = "relation";

/// Pairs of one list that are not in all their blocks yet: entries [head, tail).
typedef struct pair_queue {
  uint32_t *outs, *ins; ///< room + LAT__WINDOW_PAD each
  int64_t head, tail, room;
  int64_t mark; ///< the first that the present block has put in
} pair_queue;

/// What one thread works in.
typedef struct sweep_state {
  uint32_t lower[LOCKSTEP][BLOCK + LAT__WINDOW_PAD];
  uint64_t gaps[LOCKSTEP][BLOCK]; ///< of that input to the first place
  uint8_t hits[BLOCK + LAT__WINDOW_PAD];
} sweep_state;

/// Blocks [block, end_block) and what came of them.
typedef struct chunk {
  lat_context *context;
  const lat__cpu_kernels *kernels;
  const lat__sweep_plan *plan;
  int64_t *offsets; ///< of the whole relation; the chunk's count from its own first pair
  int64_t block, end_block;
  lat_status status;
  sweep_state *state;
  uint64_t *at;       ///< for each sweep the first input not below the next output's window
  pair_queue *queues; ///< mirrored: one for each list; else for those of one sweep
  int64_t n_queues;
  int32_t *in_rows;
  uint16_t *local_rows;
  int64_t n_pairs, room;
} chunk;

// --- pointers into the inputs -----------------------------------------------------------------------------------------

/// Moves `*p` from output `o` on: either the next input, or the next output.
static LAT_ALWAYS_INLINE void step(const uint64_t *in, const uint64_t *queries, uint64_t delta, uint64_t *p,
                                   uint64_t *o, uint32_t *lower, uint64_t *gaps) {
  uint64_t gap = in[*p] - delta - queries[*o], below = gap >> 63;
  lower[*o] = (uint32_t)*p;
  gaps[*o] = gap;
  *p += below;
  *o += 1 - below;
}

/// For n outputs and LOCKSTEP sweeps (some may be the same) the first input that is not below the window, and its gap.
static void find_lower(const uint64_t *restrict in, const uint64_t *restrict queries, int64_t n_outputs,
                       const uint64_t delta[LOCKSTEP], uint64_t at[LOCKSTEP], sweep_state *restrict state) {
  uint64_t n = (uint64_t)n_outputs, d0 = delta[0], d1 = delta[1], d2 = delta[2], d3 = delta[3];
  uint64_t p0 = at[0], p1 = at[1], p2 = at[2], p3 = at[3], o0 = 0, o1 = 0, o2 = 0, o3 = 0;
  while ((o0 < n) & (o1 < n) & (o2 < n) & (o3 < n)) {
    step(in, queries, d0, &p0, &o0, state->lower[0], state->gaps[0]);
    step(in, queries, d1, &p1, &o1, state->lower[1], state->gaps[1]);
    step(in, queries, d2, &p2, &o2, state->lower[2], state->gaps[2]);
    step(in, queries, d3, &p3, &o3, state->lower[3], state->gaps[3]);
  }
  while (o0 < n) step(in, queries, d0, &p0, &o0, state->lower[0], state->gaps[0]);
  while (o1 < n) step(in, queries, d1, &p1, &o1, state->lower[1], state->gaps[1]);
  while (o2 < n) step(in, queries, d2, &p2, &o2, state->lower[2], state->gaps[2]);
  while (o3 < n) step(in, queries, d3, &p3, &o3, state->lower[3], state->gaps[3]);
  at[0] = p0;
  at[1] = p1;
  at[2] = p2;
  at[3] = p3;
}

/// The same for an output's own column, where the input behind the output is the first one.
static void find_next(const lat__sweep_plan *plan, uint64_t delta, int64_t first, int64_t n, sweep_state *state) {
  for (int64_t i = 0; i < n; i++) {
    state->lower[0][i] = (uint32_t)(first + i + 1);
    state->gaps[0][i] = plan->in[first + i + 1] - delta - plan->queries[first + i];
  }
}

/// Number of ascending `values` + `delta` below `limit`.
static int64_t count_below(const uint64_t *values, int64_t n, uint64_t delta, uint64_t limit) {
  int64_t low = 0;
  while (low < n) {
    int64_t middle = low + (n - low) / 2;
    if ((int64_t)(values[middle] + delta - limit) < 0) {
      low = middle + 1;
    } else {
      n = middle;
    }
  }
  return low;
}

/// Which places of their windows n outputs have.
static void find_hits(const lat__sweep_plan *plan, const lat__sweep *sweep, const uint32_t *lower, const uint64_t *gaps,
                      int64_t n, uint8_t *hits) {
  const uint8_t *taken = plan->taken;
  uint64_t n_places = (uint64_t)sweep->n_places;
  uint32_t all = (1u << sweep->n_places) - 1u;
  for (int64_t i = 0; i < n; i++) {
    uint32_t near = 0u - (uint32_t)(gaps[i] < n_places); // a mask: nobody could predict a branch
    hits[i] = (uint8_t)((uint32_t)taken[lower[i]] << (gaps[i] & 7) & all & near);
  }
  memset(hits + n, 0, LAT__WINDOW_PAD);
}

// --- lists ------------------------------------------------------------------------------------------------------------

static lat_status open_queue(lat_context *context, int64_t room, pair_queue *queue) {
  void *memory = NULL;
  lat_status status = lat__alloc_items(context, op, 2 * (room + LAT__WINDOW_PAD), sizeof(uint32_t), &memory);
  queue->outs = memory;
  queue->ins = status ? NULL : queue->outs + room + LAT__WINDOW_PAD;
  queue->room = status ? 0 : room;
  return status;
}

/// Makes room for a block's pairs behind the tail.
static bool make_room(chunk *c, pair_queue *queue) {
  int64_t n = queue->tail - queue->head;
  if (queue->tail + BLOCK <= queue->room) return true;
  pair_queue old = *queue;
  if (n > queue->room / 2) { // else moving is cheap: no entry moves more often than it has come nearer to the front
    c->status = open_queue(c->context, 2 * old.room, queue);
    if (c->status) {
      *queue = old;
      return false;
    }
  }
  memmove(queue->outs, old.outs + old.head, (size_t)n * sizeof *old.outs);
  memmove(queue->ins, old.ins + old.head, (size_t)n * sizeof *old.ins);
  if (queue->outs != old.outs) lat__free(c->context, old.outs);
  queue->mark -= queue->head;
  queue->tail = n;
  queue->head = 0;
  return true;
}

/// Puts the pairs of one sweep into its queues, from `queues` on. `i` is its place among those that moved side by side.
static bool emit_sweep(chunk *c, const lat__sweep *sweep, int i, int64_t first, int64_t n, pair_queue *queues) {
  sweep_state *state = c->state;
  uint32_t *outs[LAT__WINDOW_PLACES], *ins[LAT__WINDOW_PLACES];
  int64_t counts[LAT__WINDOW_PLACES];
  int32_t n_lists = (sweep->n_places - 1) / c->plan->step + 1;
  for (int32_t l = 0; l < n_lists; l++) {
    if (!make_room(c, &queues[l])) return false;
    outs[l] = queues[l].outs + queues[l].tail;
    ins[l] = queues[l].ins + queues[l].tail;
    queues[l].mark = queues[l].tail;
  }
  find_hits(c->plan, sweep, state->lower[i], state->gaps[i], n, state->hits);
  lat__window_args args = {.lower = state->lower[i],
                           .hits = state->hits,
                           .n = n,
                           .first = (uint32_t)first,
                           .n_places = sweep->n_places,
                           .step = c->plan->step,
                           .outs = outs,
                           .ins = ins,
                           .counts = counts};
  c->kernels->window_pairs(&args);
  for (int32_t l = 0; l < n_lists; l++) queues[l].tail += counts[l];
  return true;
}

/// Room for `n` more pairs of the chunk.
static bool reserve(chunk *c, int64_t n) {
  void *in_rows = NULL, *local_rows = NULL;
  if (c->n_pairs + n <= c->room) return true;
  int64_t room = c->room + c->room / 4 + n + BLOCK;
  c->status = lat__alloc_items(c->context, op, room, sizeof(int32_t), &in_rows);
  if (!c->status) c->status = lat__alloc_items(c->context, op, room, sizeof(uint16_t), &local_rows);
  if (c->status) {
    lat__free(c->context, in_rows);
    return false;
  }
  if (c->n_pairs > 0) {
    memcpy(in_rows, c->in_rows, (size_t)c->n_pairs * sizeof(int32_t));
    memcpy(local_rows, c->local_rows, (size_t)c->n_pairs * sizeof(uint16_t));
  }
  lat__free(c->context, c->in_rows);
  lat__free(c->context, c->local_rows);
  c->in_rows = in_rows;
  c->local_rows = local_rows;
  c->room = room;
  return true;
}

/// Appends a list: outputs of the block that begins with `first`, and inputs.
static bool append_list(chunk *c, const uint32_t *restrict outputs, const uint32_t *restrict inputs, int64_t n,
                        int64_t first) {
  if (!reserve(c, n)) return false;
  uint16_t *restrict local_rows = c->local_rows + c->n_pairs;
  int32_t *restrict in_rows = c->in_rows + c->n_pairs;
  const int32_t *restrict row = c->plan->in_row;
  for (int64_t i = 0; i < n; i++) local_rows[i] = (uint16_t)(outputs[i] - (uint32_t)first);
  for (int64_t i = 0; i < n; i++) in_rows[i] = row[inputs[i]];
  c->n_pairs += n;
  return true;
}

/// The middle list of a mirrored relation: every row meets itself.
static bool append_own(chunk *c, int64_t first, int64_t n) {
  if (!reserve(c, n)) return false;
  memcpy(c->in_rows + c->n_pairs, c->plan->in_row + first, (size_t)n * sizeof(int32_t));
  for (int64_t i = 0; i < n; i++) c->local_rows[c->n_pairs + i] = (uint16_t)i;
  c->n_pairs += n;
  return true;
}

/// Number of ascending values below `limit`.
static int64_t count_inputs_below(const uint32_t *values, int64_t n, int64_t limit) {
  const uint32_t *from = values;
  while (n > 0) { // without branches: the outcomes are anything
    int64_t half = (n + 1) / 2;
    from += from[half - 1] < (uint64_t)limit ? half : 0;
    n -= half;
  }
  return from - values;
}

/// The lists of a block of a mirrored relation, all of whose outputs have been swept.
static bool append_mirrored(chunk *c, int64_t block, int64_t first, int64_t n) {
  const lat__sweep_plan *plan = c->plan;
  int64_t *offsets = c->offsets + block * plan->n_kernels;
  int64_t middle = plan->first_list - 1;
  for (int64_t k = 0; k < middle; k++) {
    pair_queue *queue = &c->queues[middle - 1 - k];
    int64_t n_list = count_inputs_below(queue->ins + queue->head, queue->tail - queue->head, first + n);
    offsets[k] = c->n_pairs;
    if (!append_list(c, queue->ins + queue->head, queue->outs + queue->head, n_list, first)) return false;
    queue->head += n_list;
  }
  offsets[middle] = c->n_pairs;
  if (!append_own(c, first, n)) return false;
  for (int64_t l = 0; l < c->n_queues; l++) {
    // An entry that was taken out above is still there.
    pair_queue *queue = &c->queues[l];
    offsets[plan->first_list + l] = c->n_pairs;
    if (!append_list(c, queue->outs + queue->mark, queue->ins + queue->mark, queue->tail - queue->mark, first)) {
      return false;
    }
  }
  return true;
}

/// The lists of one sweep of a block of another relation.
static bool append_sweep(chunk *c, const lat__sweep *sweep, int64_t block, int64_t first) {
  int32_t n_lists = (sweep->n_places - 1) / c->plan->step + 1;
  int64_t *offsets = c->offsets + block * c->plan->n_kernels + sweep->first_kernel;
  for (int32_t l = 0; l < n_lists; l++) {
    pair_queue *queue = &c->queues[l];
    offsets[l] = c->n_pairs;
    if (!append_list(c, queue->outs, queue->ins, queue->tail, first)) return false;
    queue->tail = 0;
  }
  return true;
}

// --- chunks -----------------------------------------------------------------------------------------------------------

static pair_queue *queues_of(const chunk *c, const lat__sweep *sweep) {
  return c->plan->mirrored ? c->queues + (sweep->first_kernel - c->plan->first_list) : c->queues;
}

/// Finds the windows of up to LOCKSTEP sweeps from `s` on; returns their number.
static int64_t find_windows(chunk *c, int64_t s, int64_t first, int64_t n) {
  const lat__sweep_plan *plan = c->plan;
  if (plan->sweeps[s].is_own) {
    find_next(plan, plan->sweeps[s].delta, first, n, c->state);
    return 1;
  }
  int64_t n_sweeps = lat__min_i64(LOCKSTEP, plan->n_sweeps - s);
  uint64_t delta[LOCKSTEP], at[LOCKSTEP];
  for (int64_t i = 0; i < LOCKSTEP; i++) {
    int64_t sweep = s + lat__min_i64(i, n_sweeps - 1); // the last one again where there are fewer
    delta[i] = plan->sweeps[sweep].delta;
    at[i] = c->at[sweep];
  }
  find_lower(plan->in, plan->queries + first, n, delta, at, c->state);
  memcpy(c->at + s, at, (size_t)n_sweeps * sizeof *at);
  return n_sweeps;
}

/// Where every sweep begins with output `first`.
static void seek(chunk *c, int64_t first) {
  const lat__sweep_plan *plan = c->plan;
  for (int64_t s = 0; s < plan->n_sweeps; s++) {
    c->at[s] = (uint64_t)count_below(plan->in, plan->n_in, (uint64_t)0 - plan->sweeps[s].delta, plan->queries[first]);
  }
}

static bool sweep_block(chunk *c, int64_t block) {
  const lat__sweep_plan *plan = c->plan;
  int64_t first = block * BLOCK, n = lat__min_i64(BLOCK, plan->n_out - first), found = 0;
  for (int64_t s = 0; s < plan->n_sweeps; s += found) {
    found = find_windows(c, s, first, n);
    for (int i = 0; i < found; i++) {
      const lat__sweep *sweep = &plan->sweeps[s + i];
      if (!emit_sweep(c, sweep, i, first, n, queues_of(c, sweep))) return false;
      if (!plan->mirrored && !append_sweep(c, sweep, block, first)) return false;
    }
  }
  return !plan->mirrored || append_mirrored(c, block, first, n);
}

/// Outputs before `first` that a sweep may send into the chunk that begins there: [*begin, *end).
static void find_halo(const lat__sweep_plan *plan, const lat__sweep *sweep, int64_t first, int64_t *begin,
                      int64_t *end) {
  uint64_t last_place = sweep->delta + (uint64_t)sweep->n_places - 1;
  *begin = count_below(plan->queries, first, last_place, plan->in[first]);
  *end = count_below(plan->queries, first, sweep->delta, plan->in[plan->n_in - 1] + 1);
}

/// Fills the queues of a mirrored chunk with the pairs that outputs before it send into it.
static bool sweep_halo(chunk *c, int64_t first) {
  const lat__sweep_plan *plan = c->plan;
  for (int64_t s = 0; s < plan->n_sweeps; s++) {
    const lat__sweep *sweep = &plan->sweeps[s];
    pair_queue *queues = queues_of(c, sweep);
    uint64_t delta[LOCKSTEP] = {sweep->delta, sweep->delta, sweep->delta, sweep->delta}, at[LOCKSTEP];
    int64_t begin = 0, end = 0;
    find_halo(plan, sweep, first, &begin, &end);
    if (begin >= end) continue;
    for (int i = 0; i < LOCKSTEP; i++) {
      at[i] = (uint64_t)count_below(plan->in, plan->n_in, (uint64_t)0 - sweep->delta, plan->queries[begin]);
    }
    for (int64_t o = begin; o < end; o += BLOCK) {
      int64_t n = lat__min_i64(BLOCK, end - o);
      find_lower(plan->in, plan->queries + o, n, delta, at, c->state);
      if (!emit_sweep(c, sweep, 0, o, n, queues)) return false;
    }
    for (int32_t l = 0; l * plan->step < sweep->n_places; l++) {
      queues[l].head += count_inputs_below(queues[l].ins + queues[l].head, queues[l].tail - queues[l].head, first);
    }
  }
  return true;
}

static lat_status open_chunk(chunk *c) {
  lat_status status = LAT_STATUS_OK;
  const lat__sweep_plan *plan = c->plan;
  void *memory = NULL;
  int64_t room = c->room; // so much is guessed
  c->room = 0;
  LAT_TRY(lat__alloc(c->context, op, sizeof(sweep_state), &memory), done);
  c->state = memory;
  LAT_TRY(lat__alloc_items(c->context, op, plan->n_sweeps, sizeof(uint64_t), &memory), done);
  c->at = memory;
  c->n_queues = plan->mirrored ? plan->n_kernels - plan->first_list : LAT__WINDOW_PLACES;
  LAT_TRY(lat__alloc_zero(c->context, op, c->n_queues, sizeof(pair_queue), &memory), done);
  c->queues = memory;
  int64_t queue_room = plan->mirrored ? QUEUE_ROOM : BLOCK;
  for (int64_t l = 0; l < c->n_queues; l++) LAT_TRY(open_queue(c->context, queue_room, &c->queues[l]), done);
  if (room > 0 && !reserve(c, room)) status = c->status;
done:
  c->status = status;
  return status;
}

/// Frees what the chunk worked in, but not its pairs.
static void close_chunk(chunk *c) {
  for (int64_t l = 0; c->queues && l < c->n_queues; l++) lat__free(c->context, c->queues[l].outs);
  lat__free(c->context, c->queues);
  lat__free(c->context, c->at);
  lat__free(c->context, c->state);
  c->queues = NULL;
  c->at = NULL;
  c->state = NULL;
}

static void run_chunk(chunk *c) {
  int64_t first = c->block * BLOCK;
  if (open_chunk(c)) return;
  if (c->plan->mirrored && first > 0 && !sweep_halo(c, first)) return;
  seek(c, first);
  for (int64_t block = c->block; block < c->end_block; block++) {
    if (!sweep_block(c, block)) return;
  }
}

static void run_chunks(void *arg, int64_t begin, int64_t end, int worker) {
  chunk *chunks = arg;
  (void)worker;
  for (int64_t i = begin; i < end; i++) {
    run_chunk(&chunks[i]);
    close_chunk(&chunks[i]);
  }
}

// --- the relation -----------------------------------------------------------------------------------------------------

/// Pairs of a relation, guessed from some of its blocks.
static lat_status guess_pairs(chunk *c, int64_t n_blocks, int64_t *n_pairs) {
  const lat__sweep_plan *plan = c->plan;
  int64_t n_hits = 0, n_outputs = 0;
  c->room = 0;
  lat_status status = open_chunk(c);
  for (int64_t block = 0; !status && block < n_blocks; block += SAMPLED_BLOCKS) {
    int64_t first = block * BLOCK, n = lat__min_i64(BLOCK, plan->n_out - first), found = 0;
    seek(c, first);
    n_outputs += n;
    for (int64_t s = 0; s < plan->n_sweeps; s += found) {
      found = find_windows(c, s, first, n);
      for (int i = 0; i < found; i++) {
        find_hits(plan, &plan->sweeps[s + i], c->state->lower[i], c->state->gaps[i], n, c->state->hits);
        for (int64_t o = 0; o < n; o += 8) { // zeros follow
          uint64_t eight;
          memcpy(&eight, c->state->hits + o, sizeof eight);
          n_hits += __builtin_popcountll(eight);
        }
      }
    }
  }
  close_chunk(c);
  if (plan->mirrored) n_hits = 2 * n_hits + n_outputs;
  *n_pairs = n_outputs ? (int64_t)(1.1 * (double)n_hits * (double)plan->n_out / (double)n_outputs) + BLOCK : 0;
  return status;
}

/// Cuts the blocks for the threads: fewer chunks where each would repeat much of what others do.
static int64_t choose_chunks(const lat_context *context, const lat__sweep_plan *plan, int64_t n_blocks) {
  if (context->n_threads == 1) return 1;
  int64_t n = lat__max_i64(1, lat__min_i64(2 * (int64_t)context->n_threads, n_blocks / MIN_CHUNK_BLOCKS));
  for (; plan->mirrored && plan->n_sweeps > 0 && n > 1; n /= 2) {
    int64_t repeated = 0;
    for (int64_t i = 1; i < n; i++) {
      int64_t begin = 0, end = 0;
      find_halo(plan, &plan->sweeps[plan->n_sweeps - 1], n_blocks * i / n * BLOCK, &begin, &end);
      repeated += lat__max_i64(0, end - begin);
    }
    if (repeated <= plan->n_out / 4) break;
  }
  return n;
}

typedef struct join_job {
  const chunk *chunks;
  const int64_t *first_pairs; ///< of the chunks
  lat__pairs *out;
} join_job;

/// Makes a chunk's offsets those of the relation, and copies its pairs unless they are where they belong.
static void join_chunks(void *arg, int64_t begin, int64_t end, int worker) {
  const join_job *job = arg;
  (void)worker;
  for (int64_t i = begin; i < end; i++) {
    const chunk *c = &job->chunks[i];
    int64_t n_kernels = c->plan->n_kernels, first = job->first_pairs[i];
    for (int64_t list = c->block * n_kernels; list < c->end_block * n_kernels; list++) job->out->offsets[list] += first;
    if (c->n_pairs == 0 || c->in_rows == job->out->in_rows) continue;
    memcpy(job->out->in_rows + first, c->in_rows, (size_t)c->n_pairs * sizeof(int32_t));
    memcpy(job->out->local_rows + first, c->local_rows, (size_t)c->n_pairs * sizeof(uint16_t));
  }
}

/// Puts the pairs of the chunks behind one another, in arrays of their number unless the only chunk's will do.
static lat_status join(lat_context *context, chunk *chunks, int64_t n_chunks, int64_t *first_pairs, lat__pairs *out) {
  lat_status status = LAT_STATUS_OK;
  void *in_rows = NULL, *local_rows = NULL;
  int64_t total = context->first_edge;
  for (int64_t i = 0; i < n_chunks; i++) {
    first_pairs[i] = total;
    total += chunks[i].n_pairs;
  }
  out->n_edges = total;
  out->offsets[out->n_blocks * out->n_kernels] = total;
  chunk *only = n_chunks == 1 && context->first_edge == 0 ? &chunks[0] : NULL;
  if (only && only->room - only->n_pairs <= only->room / MAX_WASTE_SHARE) {
    out->in_rows = only->in_rows;
    out->local_rows = only->local_rows;
    join_chunks(&(join_job){chunks, first_pairs, out}, 0, 1, 0);
    only->in_rows = NULL;
    only->local_rows = NULL;
    return LAT_STATUS_OK;
  }
  LAT_TRY(lat__alloc_items(context, op, total, sizeof(int32_t), &in_rows), done);
  out->in_rows = in_rows;
  LAT_TRY(lat__alloc_items(context, op, total, sizeof(uint16_t), &local_rows), done);
  out->local_rows = local_rows;
  lat__parallel_for(context, n_chunks, 1, join_chunks, &(join_job){chunks, first_pairs, out});
done:
  return status;
}

/// A worker's failure, with its text in the calling thread.
static lat_status chunk_status(const chunk *c) {
  if (!c->status) return LAT_STATUS_OK;
  return lat_fail(c->status, "relation: out of memory: a worker was refused room for pairs, expected some");
}

lat_status lat__sweep_run(lat_context *context, const lat__sweep_plan *plan, lat__pairs *out) {
  lat_status status = LAT_STATUS_OK;
  lat__pairs pairs = {.n_in = out->n_in, .n_out = plan->n_out, .n_kernels = plan->n_kernels};
  int64_t n_blocks = lat__ceil_div_i64(plan->n_out, BLOCK), n_guessed = 0;
  int64_t n_chunks = choose_chunks(context, plan, n_blocks);
  void *memory = NULL, *offsets = NULL, *first_pairs = NULL;
  chunk *chunks = NULL;
  pairs.n_blocks = n_blocks;
  LAT_TRY(lat__alloc_zero(context, op, n_chunks, sizeof(chunk), &memory), done);
  chunks = memory;
  LAT_TRY(lat__alloc_items(context, op, n_chunks, sizeof(int64_t), &first_pairs), done);
  LAT_TRY(lat__alloc_items(context, op, n_blocks * plan->n_kernels + 1, sizeof(int64_t), &offsets), done);
  pairs.offsets = offsets;
  for (int64_t i = 0; i < n_chunks; i++) {
    chunks[i] = (chunk){.context = context,
                        .kernels = lat__cpu_kernels_for(context),
                        .plan = plan,
                        .offsets = offsets,
                        .block = n_blocks * i / n_chunks,
                        .end_block = n_blocks * (i + 1) / n_chunks};
  }
  LAT_TRY(guess_pairs(&chunks[0], n_blocks, &n_guessed), done);
  for (int64_t i = 0; i < n_chunks; i++) {
    chunks[i].room = n_guessed / n_blocks * (chunks[i].end_block - chunks[i].block);
  }
  lat__parallel_for(context, n_chunks, 1, run_chunks, chunks);
  for (int64_t i = 0; i < n_chunks; i++) LAT_TRY(chunk_status(&chunks[i]), done);
  LAT_TRY(join(context, chunks, n_chunks, first_pairs, &pairs), done);
  *out = pairs;
  memset(&pairs, 0, sizeof pairs);
done:
  for (int64_t i = 0; chunks && i < n_chunks; i++) {
    close_chunk(&chunks[i]);
    lat__free(context, chunks[i].in_rows);
    lat__free(context, chunks[i].local_rows);
  }
  lat__free(context, pairs.offsets);
  lat__free(context, pairs.in_rows);
  lat__free(context, pairs.local_rows);
  lat__free(context, memory);
  lat__free(context, first_pairs);
  return status;
}
