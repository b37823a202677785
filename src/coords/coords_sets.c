// Set algebra of coordinate sets: membership, duplicates, union, intersection, and the public downsampling.

#include <string.h>

#include "coords/coords_internal.h"
#include "core/alloc.h"
#include "core/array_internal.h"
#include "core/checked.h"
#include "core/compiler.h"
#include "core/context_internal.h"

#define ROW_BYTES (4 * sizeof(int32_t))

static lat_status check_handles(const char *op, const lat_context *context, const lat_coords *a, const lat_coords *b,
                                const void *out) {
  if (!out) return lat_fail(LAT_STATUS_INVALID_ARGUMENT, "%s: out: got NULL, expected a place for the result", op);
  if (!context) return lat_fail(LAT_STATUS_INVALID_ARGUMENT, "%s: context: got NULL, expected a context", op);
  if (!a || !b) return lat_fail(LAT_STATUS_INVALID_ARGUMENT, "%s: coords: got NULL, expected a coordinate set", op);
  return LAT_STATUS_OK;
}

lat_status lat_coords_contains(lat_context *context, const lat_coords *coords, const lat_array_view *queries,
                               lat_array **out) {
  static const char op[] = "coords_contains";
  lat_status status = LAT_STATUS_OK;
  int32_t *rows = NULL;
  void *found = NULL;
  lat_array *result = NULL;
  if (out) *out = NULL;
  LAT_TRY(check_handles(op, context, coords, coords, out), done);
  LAT_TRY(lat__coords_take_rows(context, op, "queries", queries, &rows), done);
  const int64_t n = queries->shape[0];
  LAT_TRY(lat__alloc_items(context, op, n, sizeof(int32_t), &found), done);
  LAT_TRY(lat__array_new_1d(context, op, LAT_DTYPE_U8, n, &result), done);
  LAT_TRY(lat__coords_lookup(context, coords, rows, n, found), done);
  uint8_t *flags = lat_array_data(result);
  for (int64_t q = 0; q < n; q++) flags[q] = ((const int32_t *)found)[q] >= 0;
  *out = result;
  result = NULL;
done:
  lat_array_release(result);
  lat__free(context, found);
  lat__free(context, rows);
  return status;
}

lat_status lat_coords_inverse_map(lat_context *context, const lat_coords *source, const lat_coords *target,
                                  lat_array **out_rows) {
  static const char op[] = "coords_inverse_map";
  lat_status status = LAT_STATUS_OK;
  lat_array *result = NULL;
  if (out_rows) *out_rows = NULL;
  LAT_TRY(check_handles(op, context, source, target, out_rows), done);
  LAT_TRY(lat__array_new_1d(context, op, LAT_DTYPE_I32, target->n_rows, &result), done);
  LAT_TRY(lat__coords_lookup(context, source, target->rows, target->n_rows, lat_array_data(result)), done);
  *out_rows = result;
  result = NULL;
done:
  lat_array_release(result);
  return status;
}

lat_status lat_coords_duplicates(lat_context *context, const lat_coords *coords, int64_t *out) {
  static const char op[] = "coords_duplicates";
  lat_status status = LAT_STATUS_OK;
  void *first = NULL;
  LAT_TRY(check_handles(op, context, coords, coords, out), done);
  LAT_TRY(lat__alloc_items(context, op, coords->n_rows, sizeof(int32_t), &first), done);
  LAT_TRY(lat__coords_lookup(context, coords, coords->rows, coords->n_rows, first), done);
  int64_t n_duplicates = 0;
  for (int64_t r = 0; r < coords->n_rows; r++) n_duplicates += ((const int32_t *)first)[r] != r;
  *out = n_duplicates;
done:
  lat__free(context, first);
  return status;
}

static lat_status check_strides(const char *op, const lat_coords *lhs, const lat_coords *rhs) {
  const lat_triple *a = &lhs->stride, *b = &rhs->stride;
  if (a->x == b->x && a->y == b->y && a->z == b->z) return LAT_STATUS_OK;
  return lat_fail(LAT_STATUS_INVALID_ARGUMENT,
                  "%s: coordinate strides must match: got (%d, %d, %d) and (%d, %d, %d), expected equality", op,
                  (int)a->x, (int)a->y, (int)a->z, (int)b->x, (int)b->y, (int)b->z);
}

/// New set of the distinct rows of `rows` (n_rows, 4), first-seen.
static lat_status adopt_unique(lat_context *context, const char *op, const int32_t *rows, int64_t n_rows,
                               lat_triple stride, lat_coords **out) {
  lat_status status = LAT_STATUS_OK;
  void *unique = NULL, *exact = NULL;
  int64_t n_unique = 0;
  LAT_TRY(lat__alloc_items(context, op, n_rows, ROW_BYTES, &unique), done);
  LAT_TRY(lat__backend_of(context)->unique_rows(context, rows, n_rows, unique, NULL, &n_unique), done);
  if (n_unique > INT32_MAX) {
    status = lat_fail(LAT_STATUS_OVERFLOW, "%s: too many rows: got %lld, expected at most %lld", op,
                      (long long)n_unique, (long long)INT32_MAX);
    goto done;
  }
  LAT_TRY(lat__alloc_items(context, op, n_unique, ROW_BYTES, &exact), done);
  if (n_unique > 0) memcpy(exact, unique, (size_t)n_unique * ROW_BYTES);
  LAT_TRY(lat__coords_adopt(context, op, exact, n_unique, stride, out), done);
done:
  lat__free(context, unique);
  return status;
}

lat_status lat_coords_union(lat_context *context, const lat_coords *lhs, const lat_coords *rhs, lat_coords **out) {
  static const char op[] = "coords_union";
  lat_status status = LAT_STATUS_OK;
  void *both = NULL;
  if (out) *out = NULL;
  LAT_TRY(check_handles(op, context, lhs, rhs, out), done);
  LAT_TRY(check_strides(op, lhs, rhs), done);
  const int64_t n_rows = lhs->n_rows + rhs->n_rows; // below 2^32
  if (n_rows > INT32_MAX) {
    status = lat_fail(LAT_STATUS_OVERFLOW, "%s: too many rows: got %lld and %lld, expected at most %lld together", op,
                      (long long)lhs->n_rows, (long long)rhs->n_rows, (long long)INT32_MAX);
    goto done;
  }
  LAT_TRY(lat__alloc_items(context, op, n_rows, ROW_BYTES, &both), done);
  if (lhs->n_rows > 0) memcpy(both, lhs->rows, (size_t)lhs->n_rows * ROW_BYTES);
  if (rhs->n_rows > 0) memcpy((int32_t *)both + 4 * lhs->n_rows, rhs->rows, (size_t)rhs->n_rows * ROW_BYTES);
  LAT_TRY(adopt_unique(context, op, both, n_rows, lhs->stride, out), done);
done:
  lat__free(context, both);
  return status;
}

lat_status lat_coords_intersection(lat_context *context, const lat_coords *lhs, const lat_coords *rhs,
                                   lat_coords **out) {
  static const char op[] = "coords_intersection";
  lat_status status = LAT_STATUS_OK;
  void *found = NULL, *shared = NULL;
  if (out) *out = NULL;
  LAT_TRY(check_handles(op, context, lhs, rhs, out), done);
  LAT_TRY(check_strides(op, lhs, rhs), done);
  LAT_TRY(lat__alloc_items(context, op, lhs->n_rows, sizeof(int32_t), &found), done);
  LAT_TRY(lat__alloc_items(context, op, lhs->n_rows, ROW_BYTES, &shared), done);
  LAT_TRY(lat__coords_lookup(context, rhs, lhs->rows, lhs->n_rows, found), done);
  int64_t n_shared = 0;
  for (int64_t r = 0; r < lhs->n_rows; r++) {
    if (((const int32_t *)found)[r] < 0) continue;
    memcpy((int32_t *)shared + 4 * n_shared, lhs->rows + 4 * r, ROW_BYTES);
    n_shared++;
  }
  LAT_TRY(adopt_unique(context, op, shared, n_shared, lhs->stride, out), done);
done:
  lat__free(context, shared);
  lat__free(context, found);
  return status;
}

lat_status lat_coords_downsample(lat_context *context, const lat_coords *coords, lat_triple stride, lat_coords **out) {
  static const char op[] = "coords_downsample";
  if (out) *out = NULL;
  lat_status status = check_handles(op, context, coords, coords, out);
  if (status) return status;
  if (stride.x <= 0 || stride.y <= 0 || stride.z <= 0) {
    return lat_fail(LAT_STATUS_INVALID_ARGUMENT,
                    "%s: stride values must be positive: got (%d, %d, %d), expected 1 or more", op, (int)stride.x,
                    (int)stride.y, (int)stride.z);
  }
  return lat__coords_downsample(context, op, coords, stride, out);
}
