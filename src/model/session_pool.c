// Blocks of a session. Small ones come in classes of an eighth of a power of two, large ones as long as they were asked for,
// and a free one serves a request that leaves at most an eighth of it unused: equal sizes always meet again.
#include "model/session_pool.h"

#include <pthread.h>

#include <lattice/array.h>

#include "core/compiler.h"

enum { CLASS_BITS = 3, LARGE_POWER = 15, N_CLASSES = (LARGE_POWER + 1) << CLASS_BITS, MOST_PLACES = 2 };
static const size_t large_bytes = (size_t)1 << LARGE_POWER, page_bytes = 4096;

typedef struct pool_arena pool_arena;

/// Stands in front of every block.
typedef struct pool_block {
  struct pool_block *next; ///< in a list of free blocks, or of the arena's blocks in use
  lat_array *memory;       ///< NULL in the arena
  pool_arena *arena;       ///< or NULL
  size_t bytes;            ///< behind this head
  uint64_t run;            ///< that used it last
  int home;                ///< of the free lists: where it goes
} pool_block;

_Static_assert(sizeof(pool_block) <= LAT_ALIGN, "a block's head takes one line");

/// Stands in front of the arena's bytes.
struct pool_arena {
  lat_array *memory;
  uint64_t bytes;   ///< behind this head
  pool_block *used; ///< in no order
};

_Static_assert(sizeof(pool_arena) <= LAT_ALIGN, "the arena's head takes one line");

/// Blocks that wait for a request.
typedef struct free_lists {
  pool_block *small[N_CLASSES];
  pool_block *large;
} free_lists;

struct lat__pool {
  lat_context *context; ///< kept alive by `memory`
  lat_array *memory;
  pthread_mutex_t lock; ///< guards everything below
  bool open; ///< blocks are kept for the next taker. What outlives the session takes blocks all the same: a coordinate
             ///< set makes its index when somebody first looks something up
  int64_t n_used; ///< blocks in use, the arena's included
  uint64_t held_bytes;
  free_lists lists[2]; ///< for runs, for plans
  int home;            ///< of requests
  uint64_t run;
  pool_arena *arena; ///< NULL: none yet. One that was replaced while something lay there goes with its last block
  lat__place places[MOST_PLACES];
  int n_places;
};

// --- the arena --------------------------------------------------------------------------------------------------------

/// Most that a context puts in front of an array's elements and behind them.
enum { CONTEXT_BYTES = 2 * LAT_ALIGN };

uint64_t lat__place_bytes(size_t bytes) {
  return ((uint64_t)bytes + LAT_ALIGN - 1) / LAT_ALIGN * LAT_ALIGN + CONTEXT_BYTES + LAT_ALIGN;
}

static unsigned char *bytes_of(pool_arena *arena) {
  return (unsigned char *)arena + LAT_ALIGN;
}

static bool is_free(pool_arena *arena, const unsigned char *from, uint64_t bytes) {
  for (const pool_block *block = arena->used; block; block = block->next) {
    const unsigned char *begin = (const unsigned char *)block;
    if (begin < from + bytes && from < begin + LAT_ALIGN + block->bytes) return false;
  }
  return true;
}

/// The planned place of a request; NULL: there is none, or it is taken.
static pool_block *take_placed(lat__pool *pool, size_t bytes) {
  for (int i = 0; i < pool->n_places; i++) {
    lat__place place = pool->places[i];
    if (bytes < place.bytes || bytes > place.bytes + CONTEXT_BYTES) continue;
    pool->places[i] = pool->places[--pool->n_places];
    uint64_t whole = lat__place_bytes(place.bytes);
    if (!pool->arena || place.offset > pool->arena->bytes || whole > pool->arena->bytes - place.offset) return NULL;
    unsigned char *from = bytes_of(pool->arena) + place.offset;
    if (!is_free(pool->arena, from, whole)) return NULL;
    pool_block *block = (pool_block *)from;
    *block = (pool_block){pool->arena->used, NULL, pool->arena, (size_t)whole - LAT_ALIGN, 0, 0};
    pool->arena->used = block;
    return block;
  }
  return NULL;
}

/// Takes a block of an arena out of its list; the arena's memory when that was the last of one that was replaced.
static lat_array *drop_placed(lat__pool *pool, pool_block *block) {
  pool_arena *arena = block->arena;
  pool_block **at = &arena->used;
  while (*at != block) at = &(*at)->next;
  *at = block->next;
  if (arena->used || arena == pool->arena) return NULL;
  pool->held_bytes -= arena->bytes + LAT_ALIGN;
  return arena->memory;
}

/// Lets the arena go: now, or with the last block in it.
static lat_array *retire_arena(lat__pool *pool) {
  pool_arena *arena = pool->arena;
  pool->arena = NULL;
  if (!arena || arena->used) return NULL;
  pool->held_bytes -= arena->bytes + LAT_ALIGN;
  return arena->memory;
}

static lat_status new_arena(lat__pool *pool, uint64_t bytes) {
  lat_array *memory = NULL;
  if (bytes > (uint64_t)INT64_MAX / 2) return lat_fail(LAT_STATUS_OVERFLOW, "run: more bytes than an address space");
  const int64_t wanted = (int64_t)(bytes + LAT_ALIGN);
  lat_status status = lat_array_full(pool->context, LAT_DTYPE_U8, 1, &wanted, 0.0, &memory);
  if (status) return status;
  pool_arena *arena = lat_array_data(memory);
  *arena = (pool_arena){memory, bytes, NULL};
  pool->arena = arena;
  pool->held_bytes += (uint64_t)wanted;
  return LAT_STATUS_OK;
}

lat_status lat__pool_reserve(lat__pool *pool, uint64_t bytes) {
  pthread_mutex_lock(&pool->lock);
  lat_status status = LAT_STATUS_OK;
  uint64_t have = pool->arena ? pool->arena->bytes : 0;
  if (bytes > have) {
    lat_array_release(retire_arena(pool)); // first: both at once would be the most that a session ever needs
    // A second set that is larger than the first says that sets vary.
    status = new_arena(pool, have ? (bytes + bytes / 16) / LAT_ALIGN * LAT_ALIGN : bytes);
  }
  pthread_mutex_unlock(&pool->lock);
  return status;
}

void lat__pool_aim(lat__pool *pool, const lat__place *places, int n) {
  pthread_mutex_lock(&pool->lock);
  pool->n_places = n < MOST_PLACES ? n : MOST_PLACES;
  for (int i = 0; i < pool->n_places; i++) pool->places[i] = places[i];
  pthread_mutex_unlock(&pool->lock);
}

bool lat__pool_plans(lat__pool *pool, const void *data) {
  pthread_mutex_lock(&pool->lock);
  const unsigned char *at = data;
  bool inside = pool->arena && at >= bytes_of(pool->arena) && at < bytes_of(pool->arena) + pool->arena->bytes;
  pthread_mutex_unlock(&pool->lock);
  return inside;
}

// --- blocks -----------------------------------------------------------------------------------------------------------

/// The class of a small request, and the bytes that blocks of the class have.
static int class_of(size_t bytes, size_t *class_bytes) {
  size_t least = bytes < 64 ? 64 : bytes;
  int power = 6;
  while (power < LARGE_POWER && ((size_t)2 << power) <= least) power++;
  size_t step = (size_t)1 << (power - CLASS_BITS), eighths = (least - ((size_t)1 << power) + step - 1) / step;
  *class_bytes = ((size_t)1 << power) + eighths * step;
  return (power << CLASS_BITS) + (int)eighths;
}

static pool_block *take_new(lat__pool *pool, size_t bytes) {
  lat_array *memory = NULL;
  const int64_t wanted = (int64_t)(bytes + LAT_ALIGN);
  if (lat_array_full(pool->context, LAT_DTYPE_U8, 1, &wanted, 0.0, &memory)) return NULL;
  pool_block *block = lat_array_data(memory);
  *block = (pool_block){NULL, memory, NULL, bytes, 0, 0};
  pool->held_bytes += (uint64_t)wanted;
  return block;
}

static pool_block *take_small(lat__pool *pool, size_t bytes) {
  size_t class_bytes = 0;
  int class = class_of(bytes, &class_bytes);
  pool_block **list = &pool->lists[pool->home].small[class], *block = *list;
  if (!block) return take_new(pool, class_bytes);
  *list = block->next;
  return block;
}

static pool_block *take_large(lat__pool *pool, size_t bytes) {
  pool_block **best = NULL;
  for (pool_block **at = &pool->lists[pool->home].large; *at; at = &(*at)->next) {
    size_t have = (*at)->bytes;
    if (have >= bytes && have - bytes <= have / 8 && (!best || have < (*best)->bytes)) best = at;
  }
  if (!best) return take_new(pool, (bytes + page_bytes - 1) / page_bytes * page_bytes);
  pool_block *block = *best;
  *best = block->next;
  return block;
}

static void *pool_alloc(void *user, size_t bytes, size_t align) {
  lat__pool *pool = user;
  if (align > LAT_ALIGN || bytes > (size_t)INT64_MAX / 4) return NULL;
  pthread_mutex_lock(&pool->lock);
  pool_block *block = pool->n_places > 0 ? take_placed(pool, bytes) : NULL;
  if (!block) block = bytes < large_bytes ? take_small(pool, bytes) : take_large(pool, bytes);
  if (block) {
    block->run = pool->run;
    block->home = pool->home;
    pool->n_used++;
  }
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
  pthread_mutex_lock(&pool->lock);
  pool->n_used--;
  if (block->arena) {
    memory = drop_placed(pool, block);
  } else if (!pool->open) {
    memory = block->memory;
    pool->held_bytes -= block->bytes + LAT_ALIGN;
  } else {
    free_lists *lists = &pool->lists[block->home];
    pool_block **list = bytes < large_bytes ? &lists->small[class_of(bytes, &class_bytes)] : &lists->large;
    block->next = *list;
    *list = block;
  }
  unlock_or_end(pool);
  lat_array_release(memory);
}

/// Gives back the blocks of a list that run `but` did not use.
static void free_list(lat__pool *pool, pool_block **list, uint64_t but) {
  for (pool_block **at = list; *at;) {
    pool_block *block = *at;
    if (block->run == but) {
      at = &block->next;
      continue;
    }
    *at = block->next;
    pool->held_bytes -= block->bytes + LAT_ALIGN;
    lat_array_release(block->memory);
  }
}

static void free_home(lat__pool *pool, int home, uint64_t but) {
  free_lists *lists = &pool->lists[home];
  for (int class = 0; class < N_CLASSES; class ++) free_list(pool, &lists->small[class], but);
  free_list(pool, &lists->large, but);
}

void lat__pool_begin_run(lat__pool *pool) {
  pthread_mutex_lock(&pool->lock);
  pool->run++;
  pool->home = 0;
  pool->n_places = 0;
  pthread_mutex_unlock(&pool->lock);
}

void lat__pool_for_plans(lat__pool *pool, bool for_plans) {
  pthread_mutex_lock(&pool->lock);
  pool->home = for_plans ? 1 : 0;
  pthread_mutex_unlock(&pool->lock);
}

void lat__pool_trim_plans(lat__pool *pool) {
  pthread_mutex_lock(&pool->lock);
  free_home(pool, 1, UINT64_MAX);
  pthread_mutex_unlock(&pool->lock);
}

void lat__pool_trim_unused(lat__pool *pool) {
  pthread_mutex_lock(&pool->lock);
  free_home(pool, 0, pool->run);
  pthread_mutex_unlock(&pool->lock);
}

// --- life -------------------------------------------------------------------------------------------------------------

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
  free_home(pool, 0, UINT64_MAX);
  free_home(pool, 1, UINT64_MAX);
  lat_array_release(retire_arena(pool));
  pool->open = false;
  unlock_or_end(pool);
}

lat_allocator lat__pool_hooks(lat__pool *pool) {
  lat_allocator hooks = {pool_alloc, pool_free, pool};
  return hooks;
}

void lat__pool_bytes(lat__pool *pool, uint64_t *held, uint64_t *arena) {
  pthread_mutex_lock(&pool->lock);
  *held = pool->held_bytes;
  *arena = pool->arena ? pool->arena->bytes : 0;
  pthread_mutex_unlock(&pool->lock);
}
