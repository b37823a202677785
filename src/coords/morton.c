// Z-order (Morton) codes and the orders made of them. The public codes keep 21 bits an axis and 4 of the batch; nothing
// inside the library relies on them.

#include <string.h>

#include "coords/coords_internal.h"
#include "core/alloc.h"
#include "core/array_internal.h"
#include "core/compiler.h"
#include "core/context_internal.h"
#include "core/thread.h"

#define ROW_GRAIN 16384
#define DIGIT_BITS 11
#define N_DIGITS (1 << DIGIT_BITS)

/// Spreads the low 21 bits of a value to every third position.
static uint64_t spread(int32_t value) {
  uint64_t bits = (uint64_t)(uint32_t)value & 0x1FFFFFu;
  bits = (bits | bits << 32) & 0x1F00000000FFFFu;
  bits = (bits | bits << 16) & 0x1F0000FF0000FFu;
  bits = (bits | bits << 8) & 0x100F00F00F00F00Fu;
  bits = (bits | bits << 4) & 0x10C30C30C30C30C3u;
  bits = (bits | bits << 2) & 0x1249249249249249u;
  return bits;
}

typedef struct code_job {
  const int32_t *rows;
  uint64_t *codes;
} code_job;

static void code_range(void *arg, int64_t begin, int64_t end, int worker) {
  const code_job *job = arg;
  (void)worker;
  for (int64_t r = begin; r < end; r++) {
    const int32_t *row = job->rows + 4 * r;
    uint64_t code = spread(row[1]) | spread(row[2]) << 1 | spread(row[3]) << 2;
    job->codes[r] = code + ((uint64_t)(uint32_t)row[0] << 60);
  }
}

static void compute_codes(lat_context *context, const int32_t *rows, int64_t n_rows, uint64_t *codes) {
  code_job job = {rows, codes};
  lat__parallel_for(context, n_rows, ROW_GRAIN, code_range, &job);
}

/// One stable counting pass over a digit of the keys: `from` to `to`.
static void sort_digit(const uint64_t *keys, int shift, int64_t n, const int32_t *from, int32_t *to) {
  int64_t starts[N_DIGITS] = {0};
  for (int64_t i = 0; i < n; i++) starts[keys[i] >> shift & (N_DIGITS - 1)]++;
  int64_t total = 0;
  for (int d = 0; d < N_DIGITS; d++) {
    int64_t count = starts[d];
    starts[d] = total;
    total += count;
  }
  for (int64_t i = 0; i < n; i++) to[starts[keys[from[i]] >> shift & (N_DIGITS - 1)]++] = from[i];
}

/// order = rows by ascending signed code, stable: a radix sort that leaves out the digits all codes share.
static lat_status sort_codes(lat_context *context, const char *op, uint64_t *codes, int64_t n, int32_t *order) {
  lat_status status = LAT_STATUS_OK;
  void *other = NULL;
  uint64_t varying = 0;
  LAT_TRY(lat__alloc_items(context, op, n, sizeof(int32_t), &other), done);
  for (int64_t i = 0; i < n; i++) {
    codes[i] ^= UINT64_C(1) << 63; // signed order as unsigned
    varying |= codes[i] ^ codes[0];
    order[i] = (int32_t)i;
  }
  int32_t *from = order, *to = other;
  for (int shift = 0; shift < 64; shift += DIGIT_BITS) {
    if ((varying >> shift & (N_DIGITS - 1)) == 0) continue;
    sort_digit(codes, shift, n, from, to);
    int32_t *swap = from;
    from = to;
    to = swap;
  }
  if (from != order && n > 0) memcpy(order, from, (size_t)n * sizeof *order);
done:
  lat__free(context, other);
  return status;
}

static lat_status check_out(const char *op, const lat_context *context, const void *out) {
  if (!out) return lat_fail(LAT_STATUS_INVALID_ARGUMENT, "%s: out: got NULL, expected a place for the result", op);
  if (!context) return lat_fail(LAT_STATUS_INVALID_ARGUMENT, "%s: context: got NULL, expected a context", op);
  return LAT_STATUS_OK;
}

lat_status lat_morton_codes(lat_context *context, const lat_array_view *rows, lat_array **out) {
  static const char op[] = "morton_codes";
  lat_status status = LAT_STATUS_OK;
  int32_t *taken = NULL;
  if (out) *out = NULL;
  LAT_TRY(check_out(op, context, out), done);
  LAT_TRY(lat__coords_take_rows(context, op, "rows", rows, &taken), done);
  LAT_TRY(lat__array_new_1d(context, op, LAT_DTYPE_I64, rows->shape[0], out), done);
  compute_codes(context, taken, rows->shape[0], lat_array_data(*out));
done:
  lat__free(context, taken);
  return status;
}

/// New int32 array: the rows of (n_rows, 4) in Z-order.
static lat_status order_rows(lat_context *context, const char *op, const int32_t *rows, int64_t n_rows,
                             lat_array **out) {
  lat_status status = LAT_STATUS_OK;
  void *codes = NULL;
  lat_array *order = NULL;
  LAT_TRY(lat__alloc_items(context, op, n_rows, sizeof(uint64_t), &codes), done);
  LAT_TRY(lat__array_new_1d(context, op, LAT_DTYPE_I32, n_rows, &order), done);
  compute_codes(context, rows, n_rows, codes);
  LAT_TRY(sort_codes(context, op, codes, n_rows, lat_array_data(order)), done);
  *out = order;
  order = NULL;
done:
  lat_array_release(order);
  lat__free(context, codes);
  return status;
}

lat_status lat_morton_order(lat_context *context, const lat_array_view *rows, lat_array **out) {
  static const char op[] = "morton_order";
  lat_status status = LAT_STATUS_OK;
  int32_t *taken = NULL;
  if (out) *out = NULL;
  LAT_TRY(check_out(op, context, out), done);
  LAT_TRY(lat__coords_take_rows(context, op, "rows", rows, &taken), done);
  LAT_TRY(order_rows(context, op, taken, rows->shape[0], out), done);
done:
  lat__free(context, taken);
  return status;
}

lat_status lat_coords_morton_sort(lat_context *context, const lat_coords *coords, lat_coords **out,
                                  lat_array **out_order, lat_array **out_inverse) {
  static const char op[] = "coords_morton_sort";
  lat_status status = LAT_STATUS_OK;
  lat_array *order = NULL, *inverse = NULL;
  void *sorted = NULL;
  if (out) *out = NULL;
  if (out_order) *out_order = NULL;
  if (out_inverse) *out_inverse = NULL;
  LAT_TRY(check_out(op, context, out), done);
  if (!coords) {
    status = lat_fail(LAT_STATUS_INVALID_ARGUMENT, "%s: coords: got NULL, expected a coordinate set", op);
    goto done;
  }
  LAT_TRY(order_rows(context, op, coords->rows, coords->n_rows, &order), done);
  LAT_TRY(lat__array_new_1d(context, op, LAT_DTYPE_I32, coords->n_rows, &inverse), done);
  LAT_TRY(lat__alloc_items(context, op, coords->n_rows, 4 * sizeof(int32_t), &sorted), done);
  const int32_t *old_rows = lat_array_data(order);
  int32_t *new_rows = lat_array_data(inverse), *rows = sorted;
  for (int64_t r = 0; r < coords->n_rows; r++) {
    memcpy(rows + 4 * r, coords->rows + 4 * (int64_t)old_rows[r], 4 * sizeof(int32_t));
    new_rows[old_rows[r]] = (int32_t)r;
  }
  LAT_TRY(lat__coords_adopt(context, op, rows, coords->n_rows, coords->stride, out), adopted);
  if (out_order) *out_order = lat_array_retain(order);
  if (out_inverse) *out_inverse = lat_array_retain(inverse);
adopted:
  sorted = NULL; // taken, also on failure
done:
  lat__free(context, sorted);
  lat_array_release(order);
  lat_array_release(inverse);
  return status;
}
