// Hash index over coordinate rows: open addressing, linear probing, load at most one half. A slot holds a row number and
// keys are read from the rows themselves, so the whole int32 range and every batch index are legal.

#include <string.h>

#include "backend/cpu/cpu_backend.h"
#include "core/alloc.h"
#include "core/checked.h"
#include "core/compiler.h"
#include "core/context_internal.h"
#include "core/thread.h"

#define EMPTY (-1)
#define LOOKUP_GRAIN 4096
#define PREFETCH_AHEAD 8
#define HASH_AHEAD 16
#define KEY_AHEAD 8

struct lat__coord_index {
  const int32_t *rows; ///< borrowed, (n, 4)
  uint64_t mask;       ///< slots - 1, a power of two minus one
  int32_t *slots;
};

static inline bool rows_equal(const int32_t *a, const int32_t *b) {
  uint64_t a0, a1, b0, b1;
  memcpy(&a0, a, 8);
  memcpy(&a1, a + 2, 8);
  memcpy(&b0, b, 8);
  memcpy(&b1, b + 2, 8);
  return ((a0 ^ b0) | (a1 ^ b1)) == 0;
}

/// Mixes the four words; multiply-xorshift rounds spread neighbouring coordinates over the whole table.
static inline uint64_t hash_row(const int32_t *row) {
  uint64_t low, high;
  memcpy(&low, row, 8);
  memcpy(&high, row + 2, 8);
  uint64_t h = low * 0x9E3779B97F4A7C15u;
  h ^= h >> 32;
  h = (h + high) * 0xD6E8FEB86659FD93u;
  h ^= h >> 32;
  h *= 0xD6E8FEB86659FD93u;
  return h ^ (h >> 32);
}

static lat_status table_create(lat_context *context, int64_t n_rows, uint64_t *mask, int32_t **slots) {
  uint64_t n_slots = 16;
  while (n_slots < 2 * (uint64_t)n_rows) n_slots *= 2;
  void *memory = NULL;
  lat_status status = lat__alloc_items(context, "coords index", (int64_t)n_slots, sizeof(int32_t), &memory);
  if (status) return status;
  memset(memory, 0xFF, n_slots * sizeof(int32_t)); // every slot EMPTY
  *mask = n_slots - 1;
  *slots = memory;
  return LAT_STATUS_OK;
}

/// Slot that holds a row equal to `key`, or the empty slot where it belongs.
static inline uint64_t find_slot(const int32_t *rows, const int32_t *slots, uint64_t mask, const int32_t *key) {
  uint64_t slot = hash_row(key) & mask;
  while (slots[slot] != EMPTY && !rows_equal(rows + 4 * (int64_t)slots[slot], key)) slot = (slot + 1) & mask;
  return slot;
}

lat_status lat__cpu_index_create(lat_context *context, const int32_t *rows, int64_t n_rows, lat__coord_index **out) {
  lat_status status = LAT_STATUS_OK;
  void *memory = NULL;
  *out = NULL;
  LAT_TRY(lat__alloc_zero(context, "coords index", 1, sizeof(lat__coord_index), &memory), done);
  lat__coord_index *index = memory;
  index->rows = rows;
  LAT_TRY(table_create(context, n_rows, &index->mask, &index->slots), done);
  for (int64_t row = 0; row < n_rows; row++) {
    if (row + PREFETCH_AHEAD < n_rows) {
      __builtin_prefetch(&index->slots[hash_row(rows + 4 * (row + PREFETCH_AHEAD)) & index->mask], 1);
    }
    uint64_t slot = find_slot(rows, index->slots, index->mask, rows + 4 * row);
    if (index->slots[slot] == EMPTY) index->slots[slot] = (int32_t)row;
  }
  *out = index;
  memory = NULL;
done:
  lat__free(context, memory);
  return status;
}

void lat__cpu_index_destroy(lat_context *context, lat__coord_index *index) {
  if (!index) return;
  lat__free(context, index->slots);
  lat__free(context, index);
}

typedef struct lookup_job {
  const lat__coord_index *index;
  const int32_t *queries;
  int32_t *result;
} lookup_job;

/// Slots where the searches of rows to come begin; row r has place r mod HASH_AHEAD.
typedef struct slot_queue {
  uint64_t slot[HASH_AHEAD];
} slot_queue;

static LAT_ALWAYS_INLINE void queue_row(slot_queue *queue, const int32_t *slots, uint64_t mask, const int32_t *rows,
                                        int64_t row) {
  uint64_t slot = hash_row(rows + 4 * row) & mask;
  queue->slot[row % HASH_AHEAD] = slot;
  __builtin_prefetch(&slots[slot], 1);
}

static void lookup_range(void *arg, int64_t begin, int64_t end, int worker) {
  const lookup_job *job = arg;
  const lat__coord_index index = *job->index; // stores to result cannot change it
  const int32_t *queries = job->queries;
  slot_queue queue;
  (void)worker;
  for (int64_t q = begin; q < end && q < begin + HASH_AHEAD; q++) {
    queue_row(&queue, index.slots, index.mask, queries, q);
  }
  for (int64_t q = begin; q < end; q++) {
    uint64_t slot = queue.slot[q % HASH_AHEAD];
    const int32_t *key = queries + 4 * q;
    if (q + HASH_AHEAD < end) queue_row(&queue, index.slots, index.mask, queries, q + HASH_AHEAD);
    if (q + KEY_AHEAD < end) {
      int64_t ahead = index.slots[queue.slot[(q + KEY_AHEAD) % HASH_AHEAD]];
      __builtin_prefetch(index.rows + 4 * (ahead == EMPTY ? 0 : ahead));
    }
    int32_t row = index.slots[slot];
    while (row != EMPTY && !rows_equal(index.rows + 4 * (int64_t)row, key)) {
      slot = (slot + 1) & index.mask;
      row = index.slots[slot];
    }
    job->result[q] = row;
  }
}

lat_status lat__cpu_index_lookup(lat_context *context, const lat__coord_index *index, const int32_t *queries,
                                 int64_t n_queries, int32_t *result) {
  lookup_job job = {index, queries, result};
  lat__parallel_for(context, n_queries, LOOKUP_GRAIN, lookup_range, &job);
  return LAT_STATUS_OK;
}

// Points share voxels, so most searches end at a row that is there: its slot is fetched HASH_AHEAD rows ahead, the row
// itself KEY_AHEAD rows ahead.
lat_status lat__cpu_unique_rows(lat_context *context, const int32_t *rows, int64_t n_rows, int32_t *unique,
                                int32_t *inverse, int64_t *n_unique) {
  uint64_t mask = 0;
  int32_t *slots = NULL;
  int64_t count = 0;
  slot_queue queue;
  lat_status status = table_create(context, n_rows, &mask, &slots);
  if (status) return status;
  for (int64_t row = 0; row < n_rows && row < HASH_AHEAD; row++) queue_row(&queue, slots, mask, rows, row);
  for (int64_t row = 0; row < n_rows; row++) {
    uint64_t slot = queue.slot[row % HASH_AHEAD];
    const int32_t *key = rows + 4 * row;
    if (row + HASH_AHEAD < n_rows) queue_row(&queue, slots, mask, rows, row + HASH_AHEAD);
    if (row + KEY_AHEAD < n_rows) {
      int64_t ahead = slots[queue.slot[(row + KEY_AHEAD) % HASH_AHEAD]];
      __builtin_prefetch(unique + 4 * (ahead == EMPTY ? 0 : ahead));
    }
    while (slots[slot] != EMPTY && !rows_equal(unique + 4 * (int64_t)slots[slot], key)) slot = (slot + 1) & mask;
    if (slots[slot] == EMPTY) {
      slots[slot] = (int32_t)count;
      memcpy(unique + 4 * count, key, 4 * sizeof(int32_t));
      count++;
    }
    if (inverse) inverse[row] = slots[slot];
  }
  lat__free(context, slots);
  *n_unique = count;
  return LAT_STATUS_OK;
}
