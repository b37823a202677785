// Memory of models, names with numbers, options of this room's calls.
#include "model/model_arena.h"

#include <string.h>

#include "core/checked.h"
#include "core/compiler.h"

enum { FIRST_BLOCK_BYTES = 1 << 13, LARGEST_BLOCK_BYTES = 1 << 20, PIECE_ALIGN = 16 };

/// What stands at the start of a block.
typedef struct block_head {
  lat_array *before;
} block_head;

_Static_assert(sizeof(block_head) <= PIECE_ALIGN, "the head of a block takes one piece");

static lat_status add_block(lat_context *context, lat__arena *arena, int64_t least) {
  lat_status status = LAT_STATUS_OK;
  lat_array *block = NULL;
  int64_t bytes = arena->block ? lat__min_i64(2 * arena->bytes, LARGEST_BLOCK_BYTES) : FIRST_BLOCK_BYTES;
  if (!lat__add_i64(least, PIECE_ALIGN, &least)) {
    return lat_fail(LAT_STATUS_OVERFLOW, "model: more bytes than an address space");
  }
  bytes = lat__max_i64(bytes, least);
  LAT_TRY(lat_array_full(context, LAT_DTYPE_U8, 1, &bytes, 0.0, &block), done);
  ((block_head *)lat_array_data(block))->before = arena->block;
  arena->block = block;
  arena->bytes = bytes;
  arena->used = PIECE_ALIGN;
done:
  return status;
}

lat_status lat__arena_take(lat_context *context, lat__arena *arena, int64_t count, size_t item_bytes, void **out) {
  lat_status status = LAT_STATUS_OK;
  size_t bytes = 0;
  if (!lat__bytes_of(count, item_bytes, &bytes) || bytes > SIZE_MAX / 2 - PIECE_ALIGN) {
    return lat_fail(LAT_STATUS_OVERFLOW, "model: more bytes than an address space");
  }
  int64_t wanted = (int64_t)((bytes + PIECE_ALIGN - 1) / PIECE_ALIGN * PIECE_ALIGN);
  if (!arena->block || wanted > arena->bytes - arena->used) LAT_TRY(add_block(context, arena, wanted), done);
  *out = (unsigned char *)lat_array_data(arena->block) + arena->used;
  arena->used += wanted;
done:
  return status;
}

lat_status lat__arena_text(lat_context *context, lat__arena *arena, const char *text, int64_t n_bytes,
                           const char **out) {
  lat_status status = LAT_STATUS_OK;
  void *memory = NULL;
  LAT_TRY(lat__arena_take(context, arena, n_bytes + 1, 1, &memory), done);
  if (n_bytes) memcpy(memory, text, (size_t)n_bytes);
  *out = memory;
done:
  return status;
}

lat_status lat__arena_grow(lat_context *context, lat__arena *arena, int64_t count, size_t item_bytes, int64_t *room,
                           void **items) {
  lat_status status = LAT_STATUS_OK;
  void *memory = NULL;
  if (count < *room) return LAT_STATUS_OK;
  int64_t wanted = count < 8 ? 8 : 2 * count;
  LAT_TRY(lat__arena_take(context, arena, wanted, item_bytes, &memory), done);
  if (count) memcpy(memory, *items, (size_t)count * item_bytes);
  *items = memory;
  *room = wanted;
done:
  return status;
}

void lat__arena_end(lat__arena *arena) {
  lat_array *block = arena->block;
  *arena = (lat__arena){NULL, 0, 0};
  while (block) {
    lat_array *before = ((block_head *)lat_array_data(block))->before;
    lat_array_release(block);
    block = before;
  }
}

// --- names ----------------------------------------------------------------------------------------------------------

struct lat__name_slot {
  const char *text; ///< NULL: free
  uint64_t hash;
  int64_t number;
};

uint64_t lat__hash(uint64_t hash, const void *bytes, int64_t n_bytes) {
  const unsigned char *at = bytes;
  for (int64_t i = 0; i < n_bytes; i++) hash = (hash ^ at[i]) * UINT64_C(1099511628211);
  return hash;
}

/// The slot that holds the name, or the free one where it belongs.
static int64_t slot_of(const lat__names *names, const char *text, int64_t n_bytes, uint64_t hash) {
  int64_t at = (int64_t)(hash & (uint64_t)(names->n_slots - 1));
  for (;;) {
    const struct lat__name_slot *slot = &names->slots[at];
    if (!slot->text) return at;
    if (slot->hash == hash && strncmp(slot->text, text, (size_t)n_bytes) == 0 && !slot->text[n_bytes]) return at;
    at = (at + 1) & (names->n_slots - 1);
  }
}

int64_t lat__names_find(const lat__names *names, const char *text, int64_t n_bytes) {
  if (!names->n_slots || memchr(text, 0, (size_t)n_bytes)) return -1;
  const struct lat__name_slot *slot =
      &names->slots[slot_of(names, text, n_bytes, lat__hash(LAT__HASH_START, text, n_bytes))];
  return slot->text ? slot->number : -1;
}

static lat_status names_rehash(lat_context *context, lat__arena *arena, lat__names *names) {
  lat_status status = LAT_STATUS_OK;
  void *memory = NULL;
  lat__names larger = {NULL, names->n_slots ? 2 * names->n_slots : 32, names->count};
  LAT_TRY(lat__arena_take(context, arena, larger.n_slots, sizeof *larger.slots, &memory), done);
  larger.slots = memory;
  for (int64_t i = 0; i < names->n_slots; i++) {
    const struct lat__name_slot *slot = &names->slots[i];
    if (slot->text) larger.slots[slot_of(&larger, slot->text, (int64_t)strlen(slot->text), slot->hash)] = *slot;
  }
  *names = larger;
done:
  return status;
}

lat_status lat__names_add(lat_context *context, lat__arena *arena, lat__names *names, const char *text,
                          int64_t number) {
  lat_status status = LAT_STATUS_OK;
  int64_t n_bytes = (int64_t)strlen(text);
  uint64_t hash = lat__hash(LAT__HASH_START, text, n_bytes);
  if (2 * (names->count + 1) > names->n_slots) LAT_TRY(names_rehash(context, arena, names), done);
  names->slots[slot_of(names, text, n_bytes, hash)] = (struct lat__name_slot){text, hash, number};
  names->count++;
done:
  return status;
}

// --- options --------------------------------------------------------------------------------------------------------

lat_status lat__model_copy_opts(const char *op, const void *opts, size_t known_bytes, void *target) {
  if (!opts) return LAT_STATUS_OK;
  size_t given_bytes;
  memcpy(&given_bytes, opts, sizeof given_bytes);
  if (given_bytes < sizeof given_bytes || given_bytes > 4096) {
    return lat_fail(LAT_STATUS_INVALID_ARGUMENT, "%s: opts.struct_bytes: got %zu, expected the size of the struct", op,
                    given_bytes);
  }
  const unsigned char *bytes = opts;
  for (size_t i = known_bytes; i < given_bytes; i++) {
    if (bytes[i]) {
      return lat_fail(LAT_STATUS_UNSUPPORTED,
                      "%s: opts has fields that this version does not know: byte %zu is set, "
                      "expected zeros from byte %zu on",
                      op, i, known_bytes);
    }
  }
  memcpy(target, opts, given_bytes < known_bytes ? given_bytes : known_bytes);
  return LAT_STATUS_OK;
}
