/// Memory of a context: the one place that calls the host's allocator.
///
/// Blocks of 32 KiB and more are kept for reuse when they are freed, because first touch of fresh pages costs more than
/// the arithmetic of a small layer. What is kept never exceeds the peak that was in use, and counts towards the memory
/// cap: when the cap or the host's allocator refuses, the kept blocks go back first.
#ifndef LATTICE_CORE_ALLOC_H
#define LATTICE_CORE_ALLOC_H

#include <lattice/context.h>

/// `*out` = `bytes` bytes aligned to LAT_ALIGN, content undefined; a zero size gives a valid pointer. Errors:
/// OUT_OF_MEMORY with the context's text (`op` names the caller). Thread-safe.
LAT_CHECKED lat_status lat__alloc(lat_context *context, const char *op, size_t bytes, void **out);

/// As lat__alloc for `count` items of `item_bytes`; OVERFLOW when the product does not fit.
LAT_CHECKED lat_status lat__alloc_items(lat_context *context, const char *op, int64_t count, size_t item_bytes,
                                        void **out);

/// As lat__alloc_items, zero-filled.
LAT_CHECKED lat_status lat__alloc_zero(lat_context *context, const char *op, int64_t count, size_t item_bytes,
                                       void **out);

/// Frees what lat__alloc gave; NULL is accepted. Thread-safe.
void lat__free(lat_context *context, void *pointer);

#endif
