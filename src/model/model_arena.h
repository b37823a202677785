/// Memory of a model: pieces that live as long as the model does, cut from blocks that are public arrays. So everything
/// that a model holds counts towards its context, keeps the context alive, and needs no allocator besides the public one.
#ifndef LATTICE_MODEL_MODEL_ARENA_H
#define LATTICE_MODEL_MODEL_ARENA_H

#include <lattice/array.h>

/// Zero-initialised: empty.
typedef struct lat__arena {
  lat_array *block; ///< the newest block; its first bytes name the one before
  int64_t used;     ///< of the newest block
  int64_t bytes;    ///< size of the newest block
} lat__arena;

/// `*out` = `count` zero-filled items of `item_bytes`, aligned to 16 bytes. Errors: OVERFLOW, OUT_OF_MEMORY.
LAT_CHECKED lat_status lat__arena_take(lat_context *context, lat__arena *arena, int64_t count, size_t item_bytes,
                                       void **out);

/// `*out` = a copy of `n_bytes` bytes of text and a zero byte.
LAT_CHECKED lat_status lat__arena_text(lat_context *context, lat__arena *arena, const char *text, int64_t n_bytes,
                                       const char **out);

/// Room for one more item behind `count` of them: `*items` moves to a place twice as large when `*room` is used up (the
/// old one stays until the arena ends).
LAT_CHECKED lat_status lat__arena_grow(lat_context *context, lat__arena *arena, int64_t count, size_t item_bytes,
                                       int64_t *room, void **items);

/// Frees everything.
void lat__arena_end(lat__arena *arena);

/// Names with a number each, found by hashing. Zero-initialised: empty. Names are borrowed.
typedef struct lat__names {
  struct lat__name_slot *slots;
  int64_t n_slots, count;
} lat__names;

/// Number of the name of `n_bytes` bytes, or -1.
int64_t lat__names_find(const lat__names *names, const char *text, int64_t n_bytes);

/// Adds a name that is not there yet; `text` ends with a zero byte and lives as long as the arena.
LAT_CHECKED lat_status lat__names_add(lat_context *context, lat__arena *arena, lat__names *names, const char *text,
                                      int64_t number);

/// Copies a caller's sized options struct over `target` (already holding zeros). `known_bytes`: sizeof of what this
/// version knows. Errors: INVALID_ARGUMENT (impossible size), UNSUPPORTED (non-zero fields past the known ones).
LAT_CHECKED lat_status lat__model_copy_opts(const char *op, const void *opts, size_t known_bytes, void *target);

/// Where a hash begins.
#define LAT__HASH_START UINT64_C(14695981039346656037)

/// FNV-1a (Fowler, Noll, Vo), 64 bits, of bytes that follow those of `hash`.
uint64_t lat__hash(uint64_t hash, const void *bytes, int64_t n_bytes);

#endif
