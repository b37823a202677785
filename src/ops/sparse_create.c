// Sparse tensors from arrays: as they are, or with equal rows reduced to one; and the clouds of a batch put together.

#include "ops/sparse_create_internal.h"

#include <stdio.h>
#include <string.h>

#include "backend/backend.h"
#include "coords/coords_internal.h"
#include "coords/tensor_internal.h"
#include "core/alloc.h"
#include "core/array_internal.h"
#include "core/checked.h"
#include "core/compiler.h"
#include "core/context_internal.h"

#define NAME_BYTES 48
#define ROW_BYTES (4 * sizeof(int32_t))

// --- check_inputs -----------------------------------------------------------------------------------------------------

lat_status lat__duplicates_check(const char *op, lat_duplicates duplicates) {
  if ((int)duplicates >= LAT_DUPLICATES_NONE && duplicates <= LAT_DUPLICATES_MAX) return LAT_STATUS_OK;
  return lat_fail(LAT_STATUS_INVALID_ARGUMENT,
                  "%s: duplicate_reduction is unknown: got %d, expected 0 (none), 1 (error), 2 (first), 3 (sum), 4 "
                  "(mean) or 5 (max)",
                  op, (int)duplicates);
}

/// Fails naming the first row that repeats an earlier one: the first whose place is not the next new one.
static lat_status fail_duplicate(const char *op, const int32_t *rows, const lat__unique_rows *unique) {
  int64_t repeated = 0, first = 0;
  for (int32_t seen = 0; unique->inverse[repeated] == seen; seen++) repeated++;
  while (unique->inverse[first] != unique->inverse[repeated]) first++;
  const int32_t *row = rows + 4 * repeated;
  return lat_fail(LAT_STATUS_INVALID_ARGUMENT,
                  "%s: duplicate coordinates: got (%d, %d, %d, %d) at rows %lld and %lld, expected distinct rows", op,
                  (int)row[0], (int)row[1], (int)row[2], (int)row[3], (long long)first, (long long)repeated);
}

// --- reduction --------------------------------------------------------------------------------------------------------

lat_status lat__unique_rows_take(lat_context *context, const char *op, const int32_t *rows, int64_t n,
                                 lat__unique_rows *out) {
  lat_status status = LAT_STATUS_OK;
  void *memory = NULL;
  *out = (lat__unique_rows){0};
  LAT_TRY(lat__alloc_items(context, op, n, ROW_BYTES, &memory), done);
  out->rows = memory;
  LAT_TRY(lat__alloc_items(context, op, n, sizeof(int32_t), &memory), done);
  out->inverse = memory;
  LAT_TRY(lat__backend_of(context)->unique_rows(context, rows, n, out->rows, out->inverse, &out->n), done);
  LAT_TRY(lat__alloc_zero(context, op, out->n, sizeof(int32_t), &memory), done);
  out->counts = memory;
  for (int64_t r = 0; r < n; r++) out->counts[out->inverse[r]]++;
done:
  return status;
}

void lat__unique_rows_free(lat_context *context, lat__unique_rows *unique) {
  lat__free(context, unique->rows);
  lat__free(context, unique->inverse);
  lat__free(context, unique->counts);
}

int lat__duplicates_reduction(lat_duplicates duplicates) {
  if (duplicates == LAT_DUPLICATES_MAX) return LAT__REDUCE_MAX;
  return duplicates == LAT_DUPLICATES_MEAN ? LAT__REDUCE_QUOTIENT : LAT__REDUCE_SUM;
}

/// First row of each distinct one: new places come in ascending order.
static lat_status gather_first(lat_context *context, const char *op, const lat_array_view *feats,
                               const lat__unique_rows *unique, void *y) {
  void *memory = NULL;
  lat_status status = lat__alloc_items(context, op, unique->n, sizeof(int32_t), &memory);
  if (status) return status;
  int32_t *first = memory, seen = 0;
  for (int64_t r = 0; seen < unique->n; r++) {
    if (unique->inverse[r] == seen) first[seen++] = (int32_t)r;
  }
  lat__gather_desc desc = {.n_rows = unique->n,
                           .row_bytes = feats->shape[1] * (int64_t)lat_dtype_bytes(feats->dtype),
                           .rows = first,
                           .x = feats->data,
                           .y = y};
  status = lat__backend_of(context)->gather(context, &desc);
  lat__free(context, first);
  return status;
}

/// `*out` = the reduced features, `(unique->n, C)`.
static lat_status reduce(lat_context *context, const char *op, const lat_array_view *feats, lat_duplicates duplicates,
                         const lat__unique_rows *unique, lat_array **out) {
  lat_status status = LAT_STATUS_OK;
  LAT_TRY(lat__array_new_2d(context, op, feats->dtype, unique->n, feats->shape[1], out), done);
  if (duplicates == LAT_DUPLICATES_FIRST || duplicates == LAT_DUPLICATES_ERROR) {
    status = gather_first(context, op, feats, unique, lat_array_data(*out));
    goto done;
  }
  lat__voxel_reduce_desc desc = {.n_points = feats->shape[0],
                                 .n_voxels = unique->n,
                                 .channels = feats->shape[1],
                                 .dtype = feats->dtype,
                                 .reduction = lat__duplicates_reduction(duplicates),
                                 .inverse_rows = unique->inverse,
                                 .counts = unique->counts,
                                 .x = feats->data,
                                 .x_stride = feats->shape[1],
                                 .y = lat_array_data(*out)};
  status = lat__backend_of(context)->voxel_reduce(context, &desc);
done:
  return status;
}

/// `*out` = `full` with equal rows reduced to one.
static lat_status reduce_tensor(lat_context *context, const char *op, const lat_tensor *full, lat_duplicates duplicates,
                                lat_tensor **out) {
  lat_status status = LAT_STATUS_OK;
  lat__unique_rows unique = {0};
  lat_coords *coords = NULL;
  lat_array *feats = NULL;
  void *rows = NULL, *counts = NULL;
  lat_tensor_opts opts = LAT_TENSOR_OPTS_INIT;
  LAT_TRY(lat__unique_rows_take(context, op, full->coords->rows, full->coords->n_rows, &unique), done);
  if (duplicates == LAT_DUPLICATES_ERROR && unique.n < full->coords->n_rows) {
    status = fail_duplicate(op, full->coords->rows, &unique);
    goto done;
  }
  LAT_TRY(reduce(context, op, &full->feats->view, duplicates, &unique, &feats), done);
  LAT_TRY(lat__alloc_items(context, op, unique.n, ROW_BYTES, &rows), done);
  if (unique.n > 0) memcpy(rows, unique.rows, (size_t)unique.n * ROW_BYTES);
  int32_t *taken = rows;
  rows = NULL; // taken, also on failure
  LAT_TRY(lat__coords_adopt(context, op, taken, unique.n, full->coords->stride, &coords), done);
  if (full->batch_size > 0) opts.n_batches = full->batch_size;
  if (full->batch_counts) {
    LAT_TRY(lat__alloc_zero(context, op, full->batch_size, sizeof(int64_t), &counts), done);
    for (int64_t r = 0; r < unique.n; r++) ((int64_t *)counts)[unique.rows[4 * r]]++;
    opts.batch_counts = counts;
  }
  LAT_TRY(lat__tensor_create(context, op, coords, &feats->view, feats, &opts, out), done);
done:
  lat__free(context, rows);
  lat__free(context, counts);
  lat_array_release(feats);
  lat_coords_release(coords);
  lat__unique_rows_free(context, &unique);
  return status;
}

/// Takes `rows` (n, 4), from lat__alloc. Shares `shared` where it is not NULL, else copies `feats`.
static lat_status build(lat_context *context, const char *op, int32_t *rows, int64_t n,
                        const lat_from_coordinates_opts *opts, const lat_array_view *feats, const lat_array *shared,
                        lat_tensor **out) {
  lat_status status = LAT_STATUS_OK;
  lat_coords *coords = NULL;
  lat_tensor *full = NULL;
  lat_tensor_opts tensor_opts = LAT_TENSOR_OPTS_INIT;
  tensor_opts.batch_counts = opts->batch_counts;
  tensor_opts.n_batches = opts->n_batches;
  LAT_TRY(lat__coords_adopt(context, op, rows, n, opts->stride, &coords), done);
  LAT_TRY(lat__tensor_create(context, op, coords, feats, shared, &tensor_opts, &full), done);
  if (opts->duplicates == LAT_DUPLICATES_NONE) {
    *out = full;
    full = NULL;
  } else {
    LAT_TRY(reduce_tensor(context, op, full, opts->duplicates, out), done);
  }
done:
  lat_tensor_release(full);
  lat_coords_release(coords);
  return status;
}

lat_status lat_sparse_from_coordinates(lat_context *context, const lat_array_view *coords, const lat_array_view *feats,
                                       const lat_from_coordinates_opts *opts, lat_tensor **out) {
  static const char op[] = "sparse_from_coordinates";
  lat_status status = LAT_STATUS_OK;
  lat_from_coordinates_opts o;
  int32_t *rows = NULL;
  if (!out) return lat_fail(LAT_STATUS_INVALID_ARGUMENT, "%s: out: got NULL, expected a place for the tensor", op);
  *out = NULL;
  if (!context) return lat_fail(LAT_STATUS_INVALID_ARGUMENT, "%s: context: got NULL, expected a context", op);
  LAT_TRY(lat__opts_copy(op, opts, sizeof o, &o), done);
  LAT_TRY(lat__duplicates_check(op, o.duplicates), done);
  LAT_TRY(lat__coords_check_stride(op, &o.stride), done);
  LAT_TRY(lat__coords_take_rows(context, op, "coords", coords, &rows), done);
  LAT_TRY(build(context, op, rows, coords->shape[0], &o, feats, NULL, out), done);
done:
  return status;
}

// --- sparse_collate ---------------------------------------------------------------------------------------------------

/// Checks the clouds of item b. `first` are the features of item 0.
static lat_status check_item(const char *op, int64_t b, const lat_array_view *coords, const lat_array_view *feats,
                             const lat_array_view *first) {
  char name[NAME_BYTES], shape[128];
  int64_t count = 0;
  snprintf(name, sizeof name, "coords[%lld]", (long long)b);
  lat_status status = lat__view_check(op, name, coords, &count);
  if (!status && (coords->rank != 2 || coords->shape[1] != 3)) {
    status = lat_fail(LAT_STATUS_INVALID_SHAPE, "%s: %s must have shape (N, 3): got %s, expected (N, 3)", op, name,
                      lat__shape_text(coords, shape, sizeof shape));
  }
  if (!status && coords->dtype != LAT_DTYPE_I32 && coords->dtype != LAT_DTYPE_I64) {
    status = lat_fail(LAT_STATUS_INVALID_DTYPE, "%s: %s must be int32 or int64: got %s, expected int32 or int64", op,
                      name, lat_dtype_name(coords->dtype));
  }
  if (status) return status;
  snprintf(name, sizeof name, "feats[%lld]", (long long)b);
  status = lat__view_check(op, name, feats, &count);
  if (!status && feats->rank != 2) {
    status = lat_fail(LAT_STATUS_INVALID_SHAPE, "%s: %s must have shape (N, C): got %s, expected rank 2", op, name,
                      lat__shape_text(feats, shape, sizeof shape));
  }
  if (!status && feats->shape[0] != coords->shape[0]) {
    status = lat_fail(LAT_STATUS_INVALID_SHAPE,
                      "%s: coords and feats must have the same row count: got %lld feature rows in %s, expected %lld",
                      op, (long long)feats->shape[0], name, (long long)coords->shape[0]);
  }
  if (!status && feats->shape[1] != first->shape[1]) {
    status = lat_fail(LAT_STATUS_INVALID_SHAPE, "%s: feats must have the same channels: got %lld in %s, expected %lld",
                      op, (long long)feats->shape[1], name, (long long)first->shape[1]);
  }
  if (!status && feats->dtype != first->dtype) {
    status = lat_fail(LAT_STATUS_INVALID_DTYPE, "%s: feats must have the same dtype: got %s in %s, expected %s", op,
                      lat_dtype_name(feats->dtype), name, lat_dtype_name(first->dtype));
  }
  return status;
}

/// Writes the rows of item b.
static lat_status copy_item(const char *op, int64_t b, const lat_array_view *coords, int32_t *rows) {
  for (int64_t r = 0; r < coords->shape[0]; r++) {
    rows[4 * r] = (int32_t)b;
    for (int64_t c = 0; c < 3; c++) {
      int64_t at = r * coords->stride[0] + c * coords->stride[1];
      int64_t value =
          coords->dtype == LAT_DTYPE_I32 ? ((const int32_t *)coords->data)[at] : ((const int64_t *)coords->data)[at];
      if (value < INT32_MIN || value > INT32_MAX) {
        return lat_fail(LAT_STATUS_OVERFLOW,
                        "%s: coords[%lld] leaves int32: got %lld at row %lld, expected %lld to %lld", op, (long long)b,
                        (long long)value, (long long)r, (long long)INT32_MIN, (long long)INT32_MAX);
      }
      rows[4 * r + 1 + c] = (int32_t)value;
    }
  }
  return LAT_STATUS_OK;
}

/// Checks the items and counts their rows.
static lat_status check_items(const char *op, const lat_array_view *coords, const lat_array_view *feats, int64_t n,
                              int64_t *total) {
  *total = 0;
  if (n < 1 || n > INT32_MAX) {
    return lat_fail(LAT_STATUS_INVALID_ARGUMENT,
                    "%s: expected at least one sparse tensor batch: got %lld, expected 1 to %lld", op, (long long)n,
                    (long long)INT32_MAX);
  }
  for (int64_t b = 0; b < n; b++) {
    lat_status status = check_item(op, b, &coords[b], &feats[b], &feats[0]);
    if (status) return status;
    if (coords[b].shape[0] > INT32_MAX - *total) {
      return lat_fail(LAT_STATUS_OVERFLOW, "%s: too many rows: got more than %lld, expected at most that many", op,
                      (long long)INT32_MAX);
    }
    *total += coords[b].shape[0];
  }
  return LAT_STATUS_OK;
}

lat_status lat_sparse_collate(lat_context *context, const lat_array_view *coords, const lat_array_view *feats,
                              int64_t n, const lat_collate_opts *opts, lat_tensor **out) {
  static const char op[] = "sparse_collate";
  lat_status status = LAT_STATUS_OK;
  lat_collate_opts o;
  void *rows = NULL, *counts = NULL;
  lat_array *joined = NULL;
  int64_t total = 0, at = 0;
  if (!out) return lat_fail(LAT_STATUS_INVALID_ARGUMENT, "%s: out: got NULL, expected a place for the tensor", op);
  *out = NULL;
  if (!context || !coords || !feats) {
    return lat_fail(LAT_STATUS_INVALID_ARGUMENT, "%s: %s: got NULL, expected an object", op,
                    !context  ? "context"
                    : !coords ? "coords"
                              : "feats");
  }
  LAT_TRY(lat__opts_copy(op, opts, sizeof o, &o), done);
  lat_from_coordinates_opts made = {.stride = o.stride, .duplicates = o.duplicates, .n_batches = n};
  LAT_TRY(lat__duplicates_check(op, made.duplicates), done);
  LAT_TRY(lat__coords_check_stride(op, &made.stride), done);
  LAT_TRY(check_items(op, coords, feats, n, &total), done);
  LAT_TRY(lat__alloc_items(context, op, total, ROW_BYTES, &rows), done);
  LAT_TRY(lat__alloc_items(context, op, n, sizeof(int64_t), &counts), done);
  LAT_TRY(lat__array_new_2d(context, op, feats[0].dtype, total, feats[0].shape[1], &joined), done);
  const size_t row_bytes = (size_t)feats[0].shape[1] * lat_dtype_bytes(feats[0].dtype);
  for (int64_t b = 0; b < n; b++) {
    const int64_t n_rows = coords[b].shape[0];
    char *place = (char *)lat_array_data(joined) + (size_t)at * row_bytes;
    LAT_TRY(copy_item(op, b, &coords[b], (int32_t *)rows + 4 * at), done);
    LAT_TRY(lat_array_copy_to(&feats[b], place, (size_t)n_rows * row_bytes), done);
    ((int64_t *)counts)[b] = n_rows;
    at += n_rows;
  }
  made.batch_counts = counts;
  int32_t *taken = rows;
  rows = NULL; // taken, also on failure
  LAT_TRY(build(context, op, taken, total, &made, &joined->view, joined, out), done);
done:
  lat_array_release(joined);
  lat__free(context, counts);
  lat__free(context, rows);
  return status;
}
