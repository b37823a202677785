// The best rows of every batch item by the first feature channel.

#include <math.h>
#include <string.h>

#include <lattice/algebra.h>

#include "coords/coords_internal.h"
#include "coords/tensor_internal.h"
#include "core/alloc.h"
#include "core/array_internal.h"
#include "core/checked.h"
#include "core/compiler.h"
#include "core/context_internal.h"

static const char op[] = "topk_rows";

// --- check_inputs -----------------------------------------------------------------------------------------------------

static lat_status check_inputs(const lat_context *context, const lat_tensor *x, const int64_t *counts, int64_t n_counts,
                               double rho, lat_array **out) {
  const char *missing = !out ? "out" : !context ? "context" : !x ? "x" : !counts ? "counts" : NULL;
  if (out) *out = NULL;
  if (missing) return lat_fail(LAT_STATUS_INVALID_ARGUMENT, "%s: %s: got NULL, expected a value", op, missing);
  if (!x->batch_counts) {
    return lat_fail(LAT_STATUS_INVALID_ARGUMENT,
                    "%s: batch_counts metadata is required: got a tensor without, expected declared counts", op);
  }
  if (n_counts != x->batch_size) {
    return lat_fail(LAT_STATUS_INVALID_SHAPE,
                    "%s: counts must have one entry for each batch item: got %lld, expected "
                    "%lld",
                    op, (long long)n_counts, (long long)x->batch_size);
  }
  if (!(rho > 0.0) || !isfinite(rho)) {
    return lat_fail(LAT_STATUS_INVALID_ARGUMENT, "%s: rho must be positive: got %g, expected a finite value above 0",
                    op, rho);
  }
  for (int64_t b = 0; b < n_counts; b++) {
    if (counts[b] >= 0) continue;
    return lat_fail(LAT_STATUS_INVALID_ARGUMENT,
                    "%s: counts must be non-negative: got %lld for batch item %lld, "
                    "expected 0 or more",
                    op, (long long)counts[b], (long long)b);
  }
  if (lat_tensor_channels(x) < 1) {
    return lat_fail(LAT_STATUS_INVALID_SHAPE, "%s: x has no score channel: got 0 channels, expected 1 or more", op);
  }
  return LAT_STATUS_OK;
}

// --- run --------------------------------------------------------------------------------------------------------------

/// A score as a number whose unsigned order is the ascending order of floats, NaN last.
static uint32_t score_key(float score) {
  uint32_t word;
  if (isnan(score)) return UINT32_MAX;
  score += 0.0f; // -0 counts as 0
  memcpy(&word, &score, sizeof word);
  return word & 0x80000000u ? ~word : word | 0x80000000u;
}

/// Merges the sorted halves [begin, middle) and [middle, end) of `from` into `to`; equal keys keep their order.
static void merge(const uint64_t *from, int64_t begin, int64_t middle, int64_t end, uint64_t *to) {
  int64_t a = begin, b = middle;
  for (int64_t i = begin; i < end; i++) {
    bool takes_left = a < middle && (b == end || from[a] <= from[b]);
    to[i] = takes_left ? from[a++] : from[b++];
  }
}

/// Sorts keys ascending, bottom-up; `scratch` has the same length.
static void sort_keys(uint64_t *keys, uint64_t *scratch, int64_t n) {
  uint64_t *from = keys, *to = scratch;
  for (int64_t width = 1; width < n; width *= 2) {
    for (int64_t begin = 0; begin < n; begin += 2 * width) {
      int64_t middle = lat__min_i64(n, begin + width), end = lat__min_i64(n, begin + 2 * width);
      merge(from, begin, middle, end, to);
    }
    uint64_t *swap = from;
    from = to;
    to = swap;
  }
  if (from != keys && n > 0) memcpy(keys, from, (size_t)n * sizeof *keys);
}

/// How many rows of item b are kept.
static int64_t kept(const lat_tensor *x, const int64_t *counts, double rho, int64_t b) {
  double wanted = (double)counts[b] * rho;
  return wanted >= (double)x->batch_counts[b] ? x->batch_counts[b] : (int64_t)wanted;
}

/// keys: (score, row) of every row, item after item, sorted within each.
static void sort_items(const lat_tensor *x, int64_t *next, uint64_t *keys, uint64_t *scratch) {
  const int64_t channels = lat_tensor_channels(x);
  int64_t total = 0;
  for (int64_t b = 0; b < x->batch_size; b++) {
    next[b] = total;
    total += x->batch_counts[b];
  }
  for (int64_t r = 0; r < x->coords->n_rows; r++) {
    float score = lat__float_load(lat_tensor_dtype(x), x->feats->view.data, r * channels);
    keys[next[x->coords->rows[4 * r]]++] = (uint64_t)score_key(score) << 32 | (uint64_t)r;
  }
  int64_t begin = 0;
  for (int64_t b = 0; b < x->batch_size; b++) {
    sort_keys(keys + begin, scratch, x->batch_counts[b]);
    begin += x->batch_counts[b];
  }
}

lat_status lat_topk_rows(lat_context *context, const lat_tensor *x, const int64_t *counts, int64_t n_counts, double rho,
                         lat_array **out) {
  lat_status status = LAT_STATUS_OK;
  void *keys = NULL, *scratch = NULL, *next = NULL;
  LAT_TRY(check_inputs(context, x, counts, n_counts, rho, out), done);
  LAT_TRY(lat__alloc_items(context, op, x->coords->n_rows, sizeof(uint64_t), &keys), done);
  LAT_TRY(lat__alloc_items(context, op, x->coords->n_rows, sizeof(uint64_t), &scratch), done);
  LAT_TRY(lat__alloc_items(context, op, n_counts, sizeof(int64_t), &next), done);
  sort_items(x, next, keys, scratch);
  int64_t total = 0;
  for (int64_t b = 0; b < n_counts; b++) total += kept(x, counts, rho, b);
  LAT_TRY(lat__array_new_1d(context, op, LAT_DTYPE_I32, total, out), done);
  int32_t *rows = lat_array_data(*out);
  const uint64_t *end = keys;
  for (int64_t b = 0; b < n_counts; b++) {
    end += x->batch_counts[b];
    for (int64_t k = kept(x, counts, rho, b); k > 0; k--) *rows++ = (int32_t)(uint32_t)end[-k];
  }
done:
  lat__free(context, keys);
  lat__free(context, scratch);
  lat__free(context, next);
  return status;
}
