// Coordinate sets: creation, identity, lookup, downsampling. The cache of derived objects is in coords_cache.c.

#include <string.h>

#include "coords/coords_internal.h"
#include "core/alloc.h"
#include "core/array_internal.h"
#include "core/checked.h"
#include "core/compiler.h"
#include "core/context_internal.h"

static atomic_ullong next_id = 1;

lat_status lat__coords_adopt(lat_context *context, const char *op, int32_t *rows, int64_t n_rows, lat_triple stride,
                             lat_coords **out) {
  void *memory = NULL;
  *out = NULL;
  lat_status status = lat__alloc_zero(context, op, 1, sizeof(lat_coords), &memory);
  if (status) {
    lat__free(context, rows);
    return status;
  }
  lat_coords *coords = memory;
  atomic_init(&coords->refcount, 1);
  coords->context = lat__context_retain(context);
  coords->id = atomic_fetch_add_explicit(&next_id, 1, memory_order_relaxed);
  coords->stride = stride;
  coords->n_rows = n_rows;
  coords->rows = rows;
  pthread_mutex_init(&coords->lock, NULL);
  *out = coords;
  return LAT_STATUS_OK;
}

/// Checks an `(N, 4)` int32 or int64 view of coordinates.
static lat_status check_rows(const char *op, const char *name, const lat_array_view *view) {
  char shape[128];
  int64_t count = 0;
  lat_status status = lat__view_check(op, name, view, &count);
  if (status) return status;
  if (view->rank != 2 || view->shape[1] != 4) {
    return lat_fail(LAT_STATUS_INVALID_SHAPE, "%s: %s must have shape (N, 4): got %s, expected (N, 4)", op, name,
                    lat__shape_text(view, shape, sizeof shape));
  }
  if (view->dtype != LAT_DTYPE_I32 && view->dtype != LAT_DTYPE_I64) {
    return lat_fail(LAT_STATUS_INVALID_DTYPE, "%s: %s must be int32 or int64: got %s, expected int32 or int64", op,
                    name, lat_dtype_name(view->dtype));
  }
  return lat__rows_check(op, name, view->shape[0]);
}

/// Copies a checked view into int32 rows.
static lat_status copy_rows(const char *op, const char *name, const lat_array_view *view, int32_t *rows) {
  if (view->dtype == LAT_DTYPE_I32 && lat__view_contiguous(view)) {
    if (view->shape[0] > 0) memcpy(rows, view->data, (size_t)view->shape[0] * 4 * sizeof(int32_t));
    return LAT_STATUS_OK;
  }
  for (int64_t r = 0; r < view->shape[0]; r++) {
    for (int64_t c = 0; c < 4; c++) {
      int64_t at = r * view->stride[0] + c * view->stride[1];
      if (view->dtype == LAT_DTYPE_I32) {
        rows[4 * r + c] = ((const int32_t *)view->data)[at];
        continue;
      }
      int64_t value = ((const int64_t *)view->data)[at];
      if (value < INT32_MIN || value > INT32_MAX) {
        return lat_fail(LAT_STATUS_OVERFLOW, "%s: %s leaves int32: got %lld at row %lld, expected %lld to %lld", op,
                        name, (long long)value, (long long)r, (long long)INT32_MIN, (long long)INT32_MAX);
      }
      rows[4 * r + c] = (int32_t)value;
    }
  }
  return LAT_STATUS_OK;
}

lat_status lat__coords_take_rows(lat_context *context, const char *op, const char *name, const lat_array_view *view,
                                 int32_t **out) {
  void *rows = NULL;
  *out = NULL;
  lat_status status = check_rows(op, name, view);
  if (!status) status = lat__alloc_items(context, op, view->shape[0], 4 * sizeof(int32_t), &rows);
  if (!status) status = copy_rows(op, name, view, rows);
  if (status) {
    lat__free(context, rows);
    return status;
  }
  *out = rows;
  return LAT_STATUS_OK;
}

lat_status lat__coords_check_stride(const char *op, lat_triple *stride) {
  if (stride->x == 0 && stride->y == 0 && stride->z == 0) *stride = lat_triple_all(1);
  if (stride->x > 0 && stride->y > 0 && stride->z > 0) return LAT_STATUS_OK;
  return lat_fail(LAT_STATUS_INVALID_ARGUMENT,
                  "%s: stride values must be positive: got (%d, %d, %d), expected 1 or more", op, (int)stride->x,
                  (int)stride->y, (int)stride->z);
}

lat_status lat_coords_create(lat_context *context, const lat_array_view *rows, const lat_coords_opts *opts,
                             lat_coords **out) {
  static const char op[] = "coords_create";
  lat_status status = LAT_STATUS_OK;
  lat_coords_opts o;
  int32_t *own_rows = NULL;
  if (!out) return lat_fail(LAT_STATUS_INVALID_ARGUMENT, "%s: out: got NULL, expected a place for the handle", op);
  *out = NULL;
  if (!context) return lat_fail(LAT_STATUS_INVALID_ARGUMENT, "%s: context: got NULL, expected a context", op);
  LAT_TRY(lat__opts_copy(op, opts, sizeof o, &o), done);
  LAT_TRY(lat__coords_check_stride(op, &o.stride), done);
  LAT_TRY(lat__coords_take_rows(context, op, "coords", rows, &own_rows), done);
  LAT_TRY(lat__coords_adopt(context, op, own_rows, rows->shape[0], o.stride, out), done);
done:
  return status;
}

int64_t lat_coords_count(const lat_coords *coords) {
  return coords->n_rows;
}

lat_array_view lat_coords_rows(const lat_coords *coords) {
  return lat_view_2d(coords->rows, LAT_DTYPE_I32, coords->n_rows, 4);
}

lat_triple lat_coords_stride(const lat_coords *coords) {
  return coords->stride;
}

uint64_t lat_coords_id(const lat_coords *coords) {
  return coords->id;
}

lat_status lat__coords_index(const lat_coords *coords, const lat__coord_index **out) {
  lat_coords *owner = (lat_coords *)coords; // the index of a const set is built lazily, under its lock
  lat_context *home = owner->context;
  lat_status status = LAT_STATUS_OK;
  pthread_mutex_lock(&owner->lock);
  if (!owner->index) status = lat__backend_of(home)->index_create(home, owner->rows, owner->n_rows, &owner->index);
  *out = owner->index;
  pthread_mutex_unlock(&owner->lock);
  return status;
}

lat_status lat__coords_lookup(lat_context *context, const lat_coords *coords, const int32_t *queries, int64_t n_queries,
                              int32_t *result) {
  const lat__coord_index *index = NULL;
  lat_status status = lat__coords_index(coords, &index);
  if (!status) status = lat__backend_of(context)->index_lookup(context, index, queries, n_queries, result);
  return status;
}

lat_status lat_coords_lookup(lat_context *context, const lat_coords *coords, const lat_array_view *queries,
                             lat_array **out_rows) {
  static const char op[] = "coords_lookup";
  lat_status status = LAT_STATUS_OK;
  int32_t *rows = NULL;
  lat_array *result = NULL;
  if (!out_rows) return lat_fail(LAT_STATUS_INVALID_ARGUMENT, "%s: out_rows: got NULL, expected a place", op);
  *out_rows = NULL;
  if (!context || !coords) {
    return lat_fail(LAT_STATUS_INVALID_ARGUMENT, "%s: %s: got NULL, expected a handle", op,
                    context ? "coords" : "context");
  }
  LAT_TRY(lat__coords_take_rows(context, op, "queries", queries, &rows), done);
  LAT_TRY(lat__array_new_1d(context, op, LAT_DTYPE_I32, queries->shape[0], &result), done);
  LAT_TRY(lat__coords_lookup(context, coords, rows, queries->shape[0], lat_array_data(result)), done);
  *out_rows = result;
  result = NULL;
done:
  lat_array_release(result);
  lat__free(context, rows);
  return status;
}

lat_status lat__coords_order(lat_context *context, const lat_coords *coords, const lat__coord_order **out) {
  lat_coords *owner = (lat_coords *)coords; // as the index
  const lat__backend *backend = lat__backend_of(context);
  lat_status status = LAT_STATUS_OK;
  pthread_mutex_lock(&owner->lock);
  if (!owner->order) status = backend->order_create(context, owner->rows, owner->n_rows, &owner->order);
  *out = owner->order;
  pthread_mutex_unlock(&owner->lock);
  return status;
}

static void *retain_coords(void *object) {
  return lat_coords_retain(object);
}

static void release_coords(void *object) {
  lat_coords_release(object);
}

lat_status lat__coords_coarser_stride(const char *op, lat_triple in, lat_triple by, lat_triple *out) {
  if (lat__mul_i32(in.x, by.x, &out->x) && lat__mul_i32(in.y, by.y, &out->y) && lat__mul_i32(in.z, by.z, &out->z)) {
    return LAT_STATUS_OK;
  }
  return lat_fail(LAT_STATUS_OVERFLOW,
                  "%s: output stride leaves int32: got (%d, %d, %d) times (%d, %d, %d), expected products below 2^31",
                  op, (int)in.x, (int)in.y, (int)in.z, (int)by.x, (int)by.y, (int)by.z);
}

lat_status lat__coords_downsample(lat_context *context, const char *op, const lat_coords *coords, lat_triple divisor,
                                  lat_coords **out) {
  static const lat__cache_ops ops = {retain_coords, release_coords};
  lat_status status = LAT_STATUS_OK;
  int32_t *rows = NULL;
  int64_t n_rows = 0;
  const lat__coord_order *order = NULL;
  lat__coord_order *out_order = NULL;
  lat_triple stride;
  lat__cache_key key;
  memset(&key, 0, sizeof key);
  key.kind = LAT__CACHE_DOWNSAMPLED;
  key.stride = divisor;
  *out = lat__coords_cache_get(coords, &key);
  if (*out) return LAT_STATUS_OK;
  LAT_TRY(lat__coords_coarser_stride(op, coords->stride, divisor, &stride), done);
  LAT_TRY(lat__coords_order(context, coords, &order), done);
  LAT_TRY(lat__backend_of(context)->downsample(context, order, divisor, &rows, &n_rows, &out_order), done);
  LAT_TRY(lat__coords_adopt(context, op, rows, n_rows, stride, out), done);
  (*out)->order = out_order;
  out_order = NULL;
  *out = lat__coords_cache_put(coords, &key, &ops, *out);
done:
  lat__backend_of(context)->order_destroy(out_order);
  return status;
}

lat_coords *lat_coords_retain(const lat_coords *coords) {
  lat_coords *shared = (lat_coords *)coords; // the count of a const object may change
  if (shared) atomic_fetch_add_explicit(&shared->refcount, 1, memory_order_relaxed);
  return shared;
}

void lat_coords_release(lat_coords *coords) {
  if (!coords || atomic_fetch_sub_explicit(&coords->refcount, 1, memory_order_acq_rel) != 1) return;
  lat_context *context = coords->context;
  for (int i = 0; i < coords->n_entries; i++) coords->entries[i].ops->release(coords->entries[i].object);
  lat__backend_of(context)->index_destroy(context, coords->index);
  lat__backend_of(context)->order_destroy(coords->order);
  pthread_mutex_destroy(&coords->lock);
  lat__free(context, coords->rows);
  lat__free(context, coords);
  lat__context_release(context);
}
