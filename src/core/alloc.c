// Memory of a context: host allocator behind accounting, a cap and a cache of freed large blocks.
//
// Every block carries a 64-byte header in front of what the caller sees:
//
//     base -> [ header: sizes ... | padding ] [ user bytes ... ]
//              <------- LAT_ALIGN ---------->
//
// so that freeing needs no size from the caller.

#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#if defined(__linux__)
#include <sys/mman.h>
#endif

#include "core/alloc.h"
#include "core/checked.h"
#include "core/compiler.h"
#include "core/context_internal.h"

#if defined(__SANITIZE_ADDRESS__)
#define CACHE_ENABLED false
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define CACHE_ENABLED false // a kept block would hide a use after free
#endif
#endif
#ifndef CACHE_ENABLED
#define CACHE_ENABLED true
#endif

#define CACHE_MIN_BYTES ((size_t)32 << 10)
#define HUGE_PAGE_BYTES ((size_t)2 << 20)

typedef struct block_header {
  size_t block_bytes; ///< header included: what the allocator was asked for
  size_t user_bytes;  ///< what the caller asked for: this is what the accounting counts
} block_header;

static void *host_alloc(void *user, size_t bytes, size_t align) {
  (void)user;
  size_t wanted = bytes >= HUGE_PAGE_BYTES ? HUGE_PAGE_BYTES : align;
  void *pointer = NULL;
  if (posix_memalign(&pointer, wanted, bytes)) return NULL;
#if defined(__linux__) && defined(MADV_HUGEPAGE)
  // First touch of 4 KiB pages costs some 3 ms per MiB in a virtual machine; huge pages a fiftieth. Advice only.
  if (bytes >= HUGE_PAGE_BYTES) (void)madvise(pointer, bytes, MADV_HUGEPAGE);
#endif
  return pointer;
}

static void host_free(void *user, void *pointer, size_t bytes) {
  (void)user;
  (void)bytes;
  free(pointer);
}

const lat_allocator lat__host_allocator = {host_alloc, host_free, NULL};

/// Takes the smallest kept block of at least `block_bytes` that wastes at most a quarter (nothing under a memory cap, which
/// counts what callers ask for); NULL when there is none.
static void *cache_take(lat_context *context, size_t *block_bytes) {
  int best = -1;
  for (int i = 0; i < context->n_cached; i++) {
    size_t have = context->cached[i].block_bytes;
    if (have < *block_bytes || have - have / 4 > *block_bytes) continue;
    if (context->memory_cap_bytes && have != *block_bytes) continue;
    if (best < 0 || have < context->cached[best].block_bytes) best = i;
  }
  if (best < 0) return NULL;
  void *base = context->cached[best].base;
  *block_bytes = context->cached[best].block_bytes;
  context->cached_bytes -= *block_bytes;
  context->cached[best] = context->cached[--context->n_cached];
  return base;
}

static void cache_drain_locked(lat_context *context) {
  for (int i = 0; i < context->n_cached; i++) {
    lat__cached_block *block = &context->cached[i];
    context->allocator.free(context->allocator.user, block->base, block->block_bytes);
  }
  context->n_cached = 0;
  context->cached_bytes = 0;
}

void lat__cache_drain(lat_context *context) {
  pthread_mutex_lock(&context->memory_lock);
  cache_drain_locked(context);
  pthread_mutex_unlock(&context->memory_lock);
}

/// True when `more` bytes fit under the cap, after giving kept blocks back if that is needed.
static bool cap_allows(lat_context *context, size_t more) {
  if (context->memory_cap_bytes == 0) return true;
  uint64_t cap = context->memory_cap_bytes;
  if (context->live_bytes > cap || more > cap - context->live_bytes) return false;
  if (context->cached_bytes > cap - context->live_bytes - more) cache_drain_locked(context);
  return true;
}

static void *take_block(lat_context *context, size_t user_bytes) {
  size_t block_bytes = user_bytes + LAT_ALIGN;
  void *base = block_bytes >= CACHE_MIN_BYTES ? cache_take(context, &block_bytes) : NULL;
  if (!base) base = context->allocator.alloc(context->allocator.user, block_bytes, LAT_ALIGN);
  if (!base && context->n_cached > 0) {
    cache_drain_locked(context);
    base = context->allocator.alloc(context->allocator.user, block_bytes, LAT_ALIGN);
  }
  if (!base) return NULL;
  block_header *header = base;
  header->block_bytes = block_bytes;
  header->user_bytes = user_bytes;
  context->live_bytes += user_bytes;
  context->held_bytes += block_bytes;
  if (context->live_bytes > context->peak_bytes) context->peak_bytes = context->live_bytes;
  if (context->held_bytes > context->most_held_bytes) context->most_held_bytes = context->held_bytes;
  return (char *)base + LAT_ALIGN;
}

lat_status lat__alloc(lat_context *context, const char *op, size_t bytes, void **out) {
  *out = NULL;
  if (bytes > SIZE_MAX / 2) return lat_fail(LAT_STATUS_OVERFLOW, "%s: allocation size: got %zu bytes", op, bytes);
  pthread_mutex_lock(&context->memory_lock);
  bool capped = !cap_allows(context, bytes);
  uint64_t live = context->live_bytes;
  if (!capped) *out = take_block(context, bytes);
  pthread_mutex_unlock(&context->memory_lock);
  if (*out) return LAT_STATUS_OK;
  if (capped) {
    return lat_fail(LAT_STATUS_OUT_OF_MEMORY,
                    "%s: memory cap would be exceeded: got %zu bytes more than the %llu in use, expected at most %llu",
                    op, bytes, (unsigned long long)live, (unsigned long long)context->memory_cap_bytes);
  }
  return lat_fail(LAT_STATUS_OUT_OF_MEMORY, "%s: out of memory: the allocator refused %zu bytes", op, bytes);
}

lat_status lat__alloc_items(lat_context *context, const char *op, int64_t count, size_t item_bytes, void **out) {
  size_t bytes = 0;
  *out = NULL;
  if (!lat__bytes_of(count, item_bytes, &bytes)) {
    return lat_fail(LAT_STATUS_OVERFLOW, "%s: allocation size does not fit: got %lld items of %zu bytes", op,
                    (long long)count, item_bytes);
  }
  return lat__alloc(context, op, bytes, out);
}

lat_status lat__alloc_zero(lat_context *context, const char *op, int64_t count, size_t item_bytes, void **out) {
  lat_status status = lat__alloc_items(context, op, count, item_bytes, out);
  if (!status) memset(*out, 0, (size_t)count * item_bytes);
  return status;
}

void lat__free(lat_context *context, void *pointer) {
  if (!pointer) return;
  void *base = (char *)pointer - LAT_ALIGN;
  block_header *header = base;
  size_t block_bytes = header->block_bytes;
  pthread_mutex_lock(&context->memory_lock);
  context->live_bytes -= header->user_bytes;
  context->held_bytes -= block_bytes;
  bool keep = CACHE_ENABLED && !context->closed && !context->keeps_no_blocks && block_bytes >= CACHE_MIN_BYTES &&
              context->n_cached < LAT__CACHE_SLOTS && context->cached_bytes + block_bytes <= context->most_held_bytes;
  if (keep) {
    context->cached[context->n_cached++] = (lat__cached_block){base, block_bytes};
    context->cached_bytes += block_bytes;
  }
  pthread_mutex_unlock(&context->memory_lock);
  if (!keep) context->allocator.free(context->allocator.user, base, block_bytes);
}
