// Implicit-GEMM views of a relation, built from its pair lists when somebody first asks.

#include <string.h>

#include <lattice/relation_views.h>

#include "core/alloc.h"
#include "core/checked.h"
#include "core/compiler.h"
#include "core/thread.h"
#include "relation/relation_internal.h"

#define MASK_BITS 32
#define TILE_ROWS 64
#define TILE_WORD_ROWS 16
#define DIGIT_BITS 11
#define N_DIGITS (1 << DIGIT_BITS)

static int32_t n_words_of(const lat_relation *relation) {
  return (int32_t)lat__ceil_div_i64(relation->pairs.n_kernels, MASK_BITS);
}

// --- the map --------------------------------------------------------------------------------------------------------

typedef struct map_job {
  const lat__pairs *pairs;
  int64_t n_words;
  int32_t *map;
  int32_t *masks;
} map_job;

/// Map and masks of the rows of blocks [begin, end).
static void fill_blocks(void *arg, int64_t begin, int64_t end, int worker) {
  const map_job *job = arg;
  const lat__pairs *pairs = job->pairs;
  int64_t n_kernels = pairs->n_kernels;
  (void)worker;
  for (int64_t block = begin; block < end; block++) {
    const int64_t *lists = pairs->offsets + block * n_kernels;
    int64_t first = block * LAT__PAIR_BLOCK_ROWS, n_rows = lat__min_i64(LAT__PAIR_BLOCK_ROWS, pairs->n_out - first);
    for (int64_t r = first; r < first + n_rows; r++) {
      int64_t row = lat__pairs_out_row(pairs, r);
      memset(job->map + row * n_kernels, 0xFF, (size_t)n_kernels * sizeof(int32_t)); // every entry -1
      memset(job->masks + row * job->n_words, 0, (size_t)job->n_words * sizeof(int32_t));
    }
    for (int64_t k = 0; k < n_kernels; k++) {
      uint32_t bit = 1u << k % MASK_BITS;
      for (int64_t p = lists[k]; p < lists[k + 1]; p++) {
        int64_t row = lat__pairs_out_row(pairs, first + pairs->local_rows[p]);
        int32_t *mask = &job->masks[row * job->n_words + k / MASK_BITS];
        job->map[row * n_kernels + k] = pairs->in_rows[p];
        *mask = (int32_t)((uint32_t)*mask | bit);
      }
    }
  }
}

static lat_status alloc_table(lat_context *context, const char *op, int64_t rows, int64_t columns, void **out) {
  int64_t count = 0;
  if (!lat__mul_i64(rows, columns, &count)) {
    return lat_fail(LAT_STATUS_OVERFLOW, "%s: the map is too large: got %lld by %lld entries, expected fewer than 2^63",
                    op, (long long)rows, (long long)columns);
  }
  return lat__alloc_items(context, op, count, sizeof(int32_t), out);
}

/// Builds map and masks unless they are there. The lock is held.
static lat_status need_map(lat_context *context, const char *op, lat_relation *relation) {
  lat_status status = LAT_STATUS_OK;
  lat_context *home = relation->context; // memory of the relation's context, threads of the caller's
  const lat__pairs *pairs = &relation->pairs;
  void *map = NULL, *masks = NULL;
  if (relation->gemm.map) return LAT_STATUS_OK;
  LAT_TRY(alloc_table(home, op, pairs->n_out, pairs->n_kernels, &map), done);
  LAT_TRY(alloc_table(home, op, pairs->n_out, n_words_of(relation), &masks), done);
  map_job job = {pairs, n_words_of(relation), map, masks};
  lat__parallel_for(context, pairs->n_blocks, 4, fill_blocks, &job);
  relation->gemm.map = map;
  relation->gemm.masks = masks;
  map = masks = NULL;
done:
  lat__free(home, map);
  lat__free(home, masks);
  return status;
}

// --- its rows sorted by mask ----------------------------------------------------------------------------------------

/// Stable sort of the rows 0 .. n - 1 by one digit of their signed masks, from `source` (NULL: ascending rows) to `target`.
static void sort_digit(const int32_t *masks, int64_t n, int shift, const int32_t *source, int32_t *target) {
  int64_t places[N_DIGITS + 1] = {0};
  for (int64_t i = 0; i < n; i++) {
    places[(((uint32_t)masks[i] ^ 0x80000000u) >> shift & (N_DIGITS - 1)) + 1]++;
  }
  for (int64_t digit = 0; digit < N_DIGITS; digit++) places[digit + 1] += places[digit];
  for (int64_t i = 0; i < n; i++) {
    int32_t row = source ? source[i] : (int32_t)i;
    target[places[((uint32_t)masks[row] ^ 0x80000000u) >> shift & (N_DIGITS - 1)]++] = row;
  }
}

typedef struct sorted_job {
  const lat__gemm_views *views;
  int64_t n_out, n_kernels;
  const int32_t *order;
  int32_t *map, *transpose, *tiles;
} sorted_job;

/// Rows, columns of the transpose and tile masks of tiles [begin, end).
static void fill_tiles(void *arg, int64_t begin, int64_t end, int worker) {
  const sorted_job *job = arg;
  (void)worker;
  for (int64_t tile = begin; tile < end; tile++) {
    uint32_t masks[TILE_ROWS / TILE_WORD_ROWS] = {0};
    int64_t first = tile * TILE_ROWS, last = lat__min_i64(job->n_out, first + TILE_ROWS);
    for (int64_t r = first; r < last; r++) {
      const int32_t *source = job->views->map + job->order[r] * job->n_kernels;
      masks[(r - first) / TILE_WORD_ROWS] |= (uint32_t)job->views->masks[job->order[r]];
      memcpy(job->map + r * job->n_kernels, source, (size_t)job->n_kernels * sizeof(int32_t));
    }
    for (int64_t k = 0; k < job->n_kernels; k++) {
      for (int64_t r = first; r < last; r++) job->transpose[k * job->n_out + r] = job->map[r * job->n_kernels + k];
    }
    memcpy(job->tiles + tile * (TILE_ROWS / TILE_WORD_ROWS), masks, sizeof masks);
  }
}

/// Builds the sorted view unless it is there. The lock is held.
static lat_status need_sorted(lat_context *context, const char *op, lat_relation *relation) {
  lat_status status = LAT_STATUS_OK;
  lat_context *home = relation->context;
  lat__gemm_views *views = &relation->gemm;
  int64_t n_out = relation->pairs.n_out, n_kernels = relation->pairs.n_kernels;
  int64_t n_tiles = lat__ceil_div_i64(n_out, TILE_ROWS);
  void *order = NULL, *other = NULL, *map = NULL, *transpose = NULL, *tiles = NULL;
  LAT_TRY(need_map(context, op, relation), done);
  if (views->order) return LAT_STATUS_OK;
  LAT_TRY(lat__alloc_items(home, op, n_out, sizeof(int32_t), &order), done);
  LAT_TRY(lat__alloc_items(home, op, n_out, sizeof(int32_t), &other), done);
  LAT_TRY(alloc_table(home, op, n_out, n_kernels, &map), done);
  LAT_TRY(alloc_table(home, op, n_out, n_kernels, &transpose), done);
  LAT_TRY(alloc_table(home, op, n_tiles, TILE_ROWS / TILE_WORD_ROWS, &tiles), done);
  sort_digit(views->masks, n_out, 0, NULL, order);
  sort_digit(views->masks, n_out, DIGIT_BITS, order, other);
  sort_digit(views->masks, n_out, 2 * DIGIT_BITS, other, order);
  sorted_job job = {views, n_out, n_kernels, order, map, transpose, tiles};
  lat__parallel_for(context, n_tiles, 32, fill_tiles, &job);
  views->order = order;
  views->sorted_map = map;
  views->sorted_transpose = transpose;
  views->tile_masks = tiles;
  order = map = transpose = tiles = NULL;
done:
  lat__free(home, order);
  lat__free(home, other);
  lat__free(home, map);
  lat__free(home, transpose);
  lat__free(home, tiles);
  return status;
}

void lat__gemm_views_free(lat_context *context, lat__gemm_views *views) {
  lat__free(context, views->map);
  lat__free(context, views->masks);
  lat__free(context, views->order);
  lat__free(context, views->sorted_map);
  lat__free(context, views->sorted_transpose);
  lat__free(context, views->tile_masks);
}

// --- the public functions -------------------------------------------------------------------------------------------

static lat_status check_arguments(const char *op, const lat_context *context, const lat_relation *relation,
                                  const void *out) {
  const char *missing = !out ? "out" : !context ? "context" : !relation ? "relation" : NULL;
  if (missing) return lat_fail(LAT_STATUS_INVALID_ARGUMENT, "%s: %s: got NULL, expected an object", op, missing);
  bool generates = relation->kind == LAT_RELATION_TRANSPOSED || relation->kind == LAT_RELATION_GENERATIVE;
  if (!generates) return LAT_STATUS_OK;
  return lat_fail(
      LAT_STATUS_INVALID_ARGUMENT,
      "%s: implicit GEMM needs a forward, submanifold or target relation: got a %s one, expected one of these", op,
      relation->kind == LAT_RELATION_TRANSPOSED ? "transposed" : "generative");
}

lat_status lat_relation_implicit_gemm(lat_context *context, const lat_relation *relation, lat_implicit_gemm *out) {
  static const char op[] = "relation_implicit_gemm";
  if (out) memset(out, 0, sizeof *out);
  lat_status status = check_arguments(op, context, relation, out);
  if (status) return status;
  lat_relation *owner = (lat_relation *)relation; // views of a const relation are built lazily, under its lock
  pthread_mutex_lock(&owner->lock);
  status = need_map(context, op, owner);
  pthread_mutex_unlock(&owner->lock);
  if (status) return status;
  *out = (lat_implicit_gemm){.n_out = relation->pairs.n_out,
                             .n_kernels = relation->pairs.n_kernels,
                             .n_words = n_words_of(relation),
                             .out_in_map = relation->gemm.map,
                             .row_masks = relation->gemm.masks};
  return LAT_STATUS_OK;
}

lat_status lat_relation_sorted_implicit_gemm(lat_context *context, const lat_relation *relation,
                                             lat_sorted_implicit_gemm *out) {
  static const char op[] = "relation_sorted_implicit_gemm";
  if (out) memset(out, 0, sizeof *out);
  lat_status status = check_arguments(op, context, relation, out);
  if (status) return status;
  if (relation->pairs.n_kernels > MASK_BITS) {
    return lat_fail(LAT_STATUS_INVALID_ARGUMENT,
                    "%s: at most 32 kernel elements can be sorted: got %d, expected 1 to 32", op,
                    (int)relation->pairs.n_kernels);
  }
  lat_relation *owner = (lat_relation *)relation; // as above
  pthread_mutex_lock(&owner->lock);
  status = need_sorted(context, op, owner);
  pthread_mutex_unlock(&owner->lock);
  if (status) return status;
  const lat__gemm_views *views = &relation->gemm;
  *out = (lat_sorted_implicit_gemm){.n_out = relation->pairs.n_out,
                                    .n_kernels = relation->pairs.n_kernels,
                                    .reorder_rows = views->order,
                                    .sorted_out_in_map = views->sorted_map,
                                    .sorted_kv_out_in_map = views->sorted_transpose,
                                    .n_tile_masks = 4 * lat__ceil_div_i64(relation->pairs.n_out, TILE_ROWS),
                                    .tile_masks = views->tile_masks};
  return LAT_STATUS_OK;
}
