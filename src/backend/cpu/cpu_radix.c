// Radix sort of 64-bit words by a range of their bits, least significant digit first (Knuth, The Art of Computer
// Programming 3, 5.2.5). Chunks of the words are counted and scattered in parallel; because every chunk writes its own
// part of every bucket, the result is the stable order whatever the number of chunks.

#include <string.h>

#include "backend/cpu/cpu_order.h"
#include "core/alloc.h"
#include "core/checked.h"
#include "core/context_internal.h"
#include "core/thread.h"

#define MAX_DIGIT_BITS 11
#define MIN_CHUNK_WORDS 16384

typedef struct radix_pass {
  const uint64_t *source;
  uint64_t *target;
  int64_t n;
  int64_t chunk_words;
  int shift;
  uint32_t mask;
  int32_t *places; ///< (chunks, mask + 1): counts, then the next place of each digit
} radix_pass;

static void count_chunks(void *arg, int64_t begin, int64_t end, int worker) {
  const radix_pass *pass = arg;
  (void)worker;
  for (int64_t chunk = begin; chunk < end; chunk++) {
    int32_t *counts = pass->places + chunk * ((int64_t)pass->mask + 1);
    int64_t last = lat__min_i64(pass->n, (chunk + 1) * pass->chunk_words);
    memset(counts, 0, ((size_t)pass->mask + 1) * sizeof *counts);
    for (int64_t i = chunk * pass->chunk_words; i < last; i++) counts[(pass->source[i] >> pass->shift) & pass->mask]++;
  }
}

static void scatter_chunks(void *arg, int64_t begin, int64_t end, int worker) {
  const radix_pass *pass = arg;
  (void)worker;
  for (int64_t chunk = begin; chunk < end; chunk++) {
    int32_t *places = pass->places + chunk * ((int64_t)pass->mask + 1);
    int64_t last = lat__min_i64(pass->n, (chunk + 1) * pass->chunk_words);
    for (int64_t i = chunk * pass->chunk_words; i < last; i++) {
      uint64_t word = pass->source[i];
      pass->target[places[(word >> pass->shift) & pass->mask]++] = word;
    }
  }
}

/// Turns counts into places: digits ascending, within a digit chunks ascending. False when one digit holds everything.
static bool assign_places(const radix_pass *pass, int64_t n_chunks) {
  int64_t n_digits = (int64_t)pass->mask + 1, next = 0;
  for (int64_t digit = 0; digit < n_digits; digit++) {
    int64_t before = next;
    for (int64_t chunk = 0; chunk < n_chunks; chunk++) {
      int32_t *place = &pass->places[chunk * n_digits + digit];
      int32_t count = *place;
      *place = (int32_t)next;
      next += count;
    }
    if (next - before == pass->n) return false;
  }
  return true;
}

lat_status lat__cpu_radix_sort(lat_context *context, uint64_t *words, uint64_t *scratch, int64_t n, int low_bit,
                               int n_bits, uint64_t **sorted) {
  *sorted = words;
  if (n < 2 || n_bits == 0) return LAT_STATUS_OK;
  int n_passes = (n_bits + MAX_DIGIT_BITS - 1) / MAX_DIGIT_BITS;
  int digit_bits = (n_bits + n_passes - 1) / n_passes;
  int64_t n_chunks = lat__max_i64(1, lat__min_i64(context->n_threads, n / MIN_CHUNK_WORDS));
  void *places = NULL;
  lat_status status = lat__alloc_items(context, "coords order", n_chunks << digit_bits, sizeof(int32_t), &places);
  if (status) return status;
  for (int done = 0; done < n_bits; done += digit_bits) {
    int bits = digit_bits < n_bits - done ? digit_bits : n_bits - done;
    radix_pass pass = {.source = *sorted,
                       .target = *sorted == words ? scratch : words,
                       .n = n,
                       .chunk_words = lat__ceil_div_i64(n, n_chunks),
                       .shift = low_bit + done,
                       .mask = (1u << bits) - 1,
                       .places = places};
    lat__parallel_for(context, n_chunks, 1, count_chunks, &pass);
    if (!assign_places(&pass, n_chunks)) continue;
    lat__parallel_for(context, n_chunks, 1, scatter_chunks, &pass);
    *sorted = pass.target;
  }
  lat__free(context, places);
  return LAT_STATUS_OK;
}
