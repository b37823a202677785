// Blocks of a session, in classes of an eighth of a power of two: at most an eighth of a block is wasted, and equal sizes
// always meet again.
#include "model/session_pool.h"

#include <pthread.h>
#include <stdbool.h>

#include <lattice/array.h>

#include "core/compiler.h"

enum { CLASS_BITS = 3, N_CLASSES = 64 << CLASS_BITS };

/// Stands in front of every block.
typedef struct pool_block {
  struct pool_block *next; ///< in a list of free blocks
  lat_array *memory;
  size_t bytes; ///< of the class
} pool_block;

_Static_assert(sizeof(pool_block) <= LAT_ALIGN, "a block's head takes one line");

struct lat__pool {
  lat_context *context; ///< kept alive by `memory`
  lat_array *memory;
  pthread_mutex_t lock; ///< guards everything below
  bool open; ///< blocks are kept for the next taker. What outlives the session takes blocks all the same: a coordinate
             ///< set makes its index when somebody first looks something up
  int64_t n_used; ///< blocks in use
  uint64_t held_bytes;
  pool_block *free_blocks[N_CLASSES];
};

/// The class of `bytes`, and the bytes that blocks of the class have.
static int class_of(size_t bytes, size_t *class_bytes) {
  size_t least = bytes < 64 ? 64 : bytes;
  int power = 6;
  while (power < 62 && ((size_t)2 << power) <= least) power++;
  size_t step = (size_t)1 << (power - CLASS_BITS), eighths = (least - ((size_t)1 << power) + step - 1) / step;
  *class_bytes = ((size_t)1 << power) + eighths * step;
  return (power << CLASS_BITS) + (int)eighths;
}

static void *take_new(lat__pool *pool, size_t bytes) {
  lat_array *memory = NULL;
  if (bytes > (size_t)INT64_MAX / 2) return NULL;
  const int64_t wanted = (int64_t)(bytes + LAT_ALIGN);
  if (lat_array_full(pool->context, LAT_DTYPE_U8, 1, &wanted, 0.0, &memory)) return NULL;
  pool_block *block = lat_array_data(memory);
  *block = (pool_block){NULL, memory, bytes};
  pool->held_bytes += (uint64_t)wanted;
  return block;
}

static void *pool_alloc(void *user, size_t bytes, size_t align) {
  lat__pool *pool = user;
  size_t class_bytes = 0;
  if (align > LAT_ALIGN || bytes > (size_t)INT64_MAX / 4) return NULL;
  int class = class_of(bytes, &class_bytes);
  pthread_mutex_lock(&pool->lock);
  pool_block *block = pool->free_blocks[class];
  if (block) {
    pool->free_blocks[class] = block->next;
  } else {
    block = take_new(pool, class_bytes);
  }
  if (block) pool->n_used++;
  pthread_mutex_unlock(&pool->lock);
  return block ? (unsigned char *)block + LAT_ALIGN : NULL;
}

/// Frees the pool itself when nobody uses it any more; the lock is held on entry and not afterwards.
static void unlock_or_end(lat__pool *pool) {
  bool last = !pool->open && pool->n_used == 0;
  pthread_mutex_unlock(&pool->lock);
  if (!last) return;
  pthread_mutex_destroy(&pool->lock);
  lat_array_release(pool->memory);
}

static void pool_free(void *user, void *pointer, size_t bytes) {
  lat__pool *pool = user;
  pool_block *block = (pool_block *)((unsigned char *)pointer - LAT_ALIGN);
  size_t class_bytes = 0;
  lat_array *memory = NULL;
  int class = class_of(bytes, &class_bytes);
  pthread_mutex_lock(&pool->lock);
  pool->n_used--;
  if (pool->open) {
    block->next = pool->free_blocks[class];
    pool->free_blocks[class] = block;
  } else {
    memory = block->memory;
    pool->held_bytes -= class_bytes + LAT_ALIGN;
  }
  unlock_or_end(pool);
  lat_array_release(memory);
}

lat_status lat__pool_create(lat_context *context, lat__pool **out) {
  const int64_t n_bytes = (int64_t)sizeof(lat__pool);
  lat_array *memory = NULL;
  *out = NULL;
  lat_status status = lat_array_full(context, LAT_DTYPE_U8, 1, &n_bytes, 0.0, &memory);
  if (status) return status;
  lat__pool *pool = lat_array_data(memory);
  pool->context = context;
  pool->memory = memory;
  pool->open = true;
  pthread_mutex_init(&pool->lock, NULL);
  *out = pool;
  return LAT_STATUS_OK;
}

void lat__pool_close(lat__pool *pool) {
  if (!pool) return;
  pthread_mutex_lock(&pool->lock);
  for (int class = 0; class < N_CLASSES; class ++) {
    pool_block *block = pool->free_blocks[class];
    pool->free_blocks[class] = NULL;
    while (block) {
      pool_block *next = block->next;
      pool->held_bytes -= block->bytes + LAT_ALIGN;
      lat_array_release(block->memory);
      block = next;
    }
  }
  pool->open = false;
  unlock_or_end(pool);
}

lat_allocator lat__pool_hooks(lat__pool *pool) {
  lat_allocator hooks = {pool_alloc, pool_free, pool};
  return hooks;
}

uint64_t lat__pool_held_bytes(lat__pool *pool) {
  pthread_mutex_lock(&pool->lock);
  uint64_t bytes = pool->held_bytes;
  pthread_mutex_unlock(&pool->lock);
  return bytes;
}
