// Joins of coordinate sets: inner, left, right, outer.
//
// Each join is one or two lookups and a selection:
//
//     inner   rows of lhs that rhs has                    (l, rhs(l))
//     left    rows of lhs                                 (l, rhs(l) or -1)
//     right   rows of rhs                                 (lhs(r) or -1, r)
//     outer   left, then rows of rhs that lhs lacks       (-1, r)

#include <string.h>

#include "coords/alignment.h"
#include "coords/coords_internal.h"
#include "core/alloc.h"
#include "core/checked.h"
#include "core/compiler.h"
#include "core/context_internal.h"

static void *retain_alignment(void *object) {
  lat__alignment *alignment = object;
  atomic_fetch_add_explicit(&alignment->refcount, 1, memory_order_relaxed);
  return alignment;
}

void lat__alignment_release(lat__alignment *alignment) {
  if (!alignment || atomic_fetch_sub_explicit(&alignment->refcount, 1, memory_order_acq_rel) != 1) return;
  lat_context *context = alignment->context;
  lat_coords_release(alignment->coords);
  lat__free(context, alignment->lhs_rows);
  lat__free(context, alignment->rhs_rows);
  lat__free(context, alignment);
  lat__context_release(context);
}

static void release_alignment(void *object) {
  lat__alignment_release(object);
}

static lat_status object_new(lat_context *context, const char *op, lat__alignment **out) {
  void *memory = NULL;
  lat_status status = lat__alloc_zero(context, op, 1, sizeof(lat__alignment), &memory);
  if (status) return status;
  lat__alignment *alignment = memory;
  atomic_init(&alignment->refcount, 1);
  alignment->context = lat__context_retain(context);
  *out = alignment;
  return LAT_STATUS_OK;
}

/// `*out` = for each row of `queries` the first equal row of `coords`, or -1; from lat__alloc.
static lat_status look_up(lat_context *context, const char *op, const lat_coords *coords, const lat_coords *queries,
                          int32_t **out) {
  void *rows = NULL;
  lat_status status = lat__alloc_items(context, op, queries->n_rows, sizeof(int32_t), &rows);
  if (!status) status = lat__coords_lookup(context, coords, queries->rows, queries->n_rows, rows);
  if (status) {
    lat__free(context, rows);
    return status;
  }
  *out = rows;
  return LAT_STATUS_OK;
}

static int64_t count_found(const int32_t *rows, int64_t n_rows) {
  int64_t count = 0;
  for (int64_t r = 0; r < n_rows; r++) count += rows[r] >= 0;
  return count;
}

static void copy_row(int32_t *target, const int32_t *source) {
  memcpy(target, source, 4 * sizeof(int32_t));
}

/// Allocates what a join of n_rows rows needs; `lhs_rows` and `rhs_rows` only where they are not NULL already.
static lat_status allocate_rows(lat_context *context, const char *op, int64_t n_rows, int32_t **rows,
                                int32_t **lhs_rows, int32_t **rhs_rows) {
  lat_status status = LAT_STATUS_OK;
  void *memory = NULL;
  LAT_TRY(lat__alloc_items(context, op, n_rows, 4 * sizeof(int32_t), &memory), done);
  *rows = memory;
  if (lhs_rows) {
    LAT_TRY(lat__alloc_items(context, op, n_rows, sizeof(int32_t), &memory), done);
    *lhs_rows = memory;
  }
  if (rhs_rows) {
    LAT_TRY(lat__alloc_items(context, op, n_rows, sizeof(int32_t), &memory), done);
    *rhs_rows = memory;
  }
done:
  return status;
}

/// All rows of one set; the other set's rows are looked up.
static lat_status join_one_side(lat_context *context, const char *op, const lat_coords *kept, const lat_coords *other,
                                int32_t **other_rows, int32_t **rows) {
  lat_status status = LAT_STATUS_OK;
  LAT_TRY(look_up(context, op, other, kept, other_rows), done);
  LAT_TRY(allocate_rows(context, op, kept->n_rows, rows, NULL, NULL), done);
  if (kept->n_rows > 0) memcpy(*rows, kept->rows, (size_t)kept->n_rows * 4 * sizeof(int32_t));
done:
  return status;
}

static lat_status join_inner(lat_context *context, const char *op, const lat_coords *lhs, const lat_coords *rhs,
                             lat__alignment *alignment, int32_t **rows, int64_t *n_rows) {
  lat_status status = LAT_STATUS_OK;
  int32_t *found = NULL;
  LAT_TRY(look_up(context, op, rhs, lhs, &found), done);
  *n_rows = count_found(found, lhs->n_rows);
  LAT_TRY(allocate_rows(context, op, *n_rows, rows, &alignment->lhs_rows, &alignment->rhs_rows), done);
  int64_t at = 0;
  for (int64_t l = 0; l < lhs->n_rows; l++) {
    if (found[l] < 0) continue;
    copy_row(*rows + 4 * at, lhs->rows + 4 * l);
    alignment->lhs_rows[at] = (int32_t)l;
    alignment->rhs_rows[at++] = found[l];
  }
done:
  lat__free(context, found);
  return status;
}

static lat_status join_outer(lat_context *context, const char *op, const lat_coords *lhs, const lat_coords *rhs,
                             lat__alignment *alignment, int32_t **rows, int64_t *n_rows) {
  lat_status status = LAT_STATUS_OK;
  int32_t *in_rhs = NULL, *in_lhs = NULL;
  LAT_TRY(look_up(context, op, rhs, lhs, &in_rhs), done);
  LAT_TRY(look_up(context, op, lhs, rhs, &in_lhs), done);
  *n_rows = lhs->n_rows + (rhs->n_rows - count_found(in_lhs, rhs->n_rows));
  if (*n_rows > INT32_MAX) {
    status = lat_fail(LAT_STATUS_OVERFLOW, "%s: the outer join has too many rows: got %lld, expected at most %lld", op,
                      (long long)*n_rows, (long long)INT32_MAX);
    goto done;
  }
  LAT_TRY(allocate_rows(context, op, *n_rows, rows, &alignment->lhs_rows, &alignment->rhs_rows), done);
  int64_t at = lhs->n_rows;
  for (int64_t l = 0; l < lhs->n_rows; l++) {
    copy_row(*rows + 4 * l, lhs->rows + 4 * l);
    alignment->lhs_rows[l] = (int32_t)l;
    alignment->rhs_rows[l] = in_rhs[l];
  }
  for (int64_t r = 0; r < rhs->n_rows; r++) {
    if (in_lhs[r] >= 0) continue;
    copy_row(*rows + 4 * at, rhs->rows + 4 * r);
    alignment->lhs_rows[at] = -1;
    alignment->rhs_rows[at++] = (int32_t)r;
  }
done:
  lat__free(context, in_rhs);
  lat__free(context, in_lhs);
  return status;
}

static lat_status build(lat_context *context, const char *op, const lat_coords *lhs, const lat_coords *rhs,
                        lat_join join, lat__alignment **out) {
  lat_status status = LAT_STATUS_OK;
  lat__alignment *alignment = NULL;
  int32_t *rows = NULL;
  int64_t n_rows = 0;
  LAT_TRY(object_new(context, op, &alignment), done);
  switch (join) {
  case LAT_JOIN_LEFT:
    n_rows = lhs->n_rows;
    LAT_TRY(join_one_side(context, op, lhs, rhs, &alignment->rhs_rows, &rows), done);
    break;
  case LAT_JOIN_RIGHT:
    n_rows = rhs->n_rows;
    LAT_TRY(join_one_side(context, op, rhs, lhs, &alignment->lhs_rows, &rows), done);
    break;
  case LAT_JOIN_OUTER:
    LAT_TRY(join_outer(context, op, lhs, rhs, alignment, &rows, &n_rows), done);
    break;
  default:
    LAT_TRY(join_inner(context, op, lhs, rhs, alignment, &rows, &n_rows), done);
    break;
  }
  status = lat__coords_adopt(context, op, rows, n_rows, lhs->stride, &alignment->coords);
  rows = NULL; // taken, also on failure
  if (status) goto done;
  *out = alignment;
  alignment = NULL;
done:
  lat__free(context, rows);
  lat__alignment_release(alignment);
  return status;
}

lat_status lat__alignment_of(lat_context *context, const char *op, const lat_coords *lhs, const lat_coords *rhs,
                             lat_join join, lat__alignment **out) {
  static const lat__cache_ops ops = {retain_alignment, release_alignment};
  lat__cache_key key;
  memset(&key, 0, sizeof key);
  key.other_id = rhs->id;
  key.kind = LAT__CACHE_ALIGNMENT;
  key.detail = (int32_t)join;
  *out = lat__coords_cache_get(lhs, &key);
  if (*out) return LAT_STATUS_OK;
  lat_status status = build(context, op, lhs, rhs, join, out);
  if (!status) *out = lat__coords_cache_put(lhs, &key, &ops, *out);
  return status;
}
