// Sparse tensors: a coordinate set, features, and what the caller declared about batches.

#include <string.h>

#include "coords/coords_internal.h"
#include "coords/tensor_internal.h"
#include "core/alloc.h"
#include "core/array_internal.h"
#include "core/compiler.h"
#include "core/context_internal.h"

lat_status lat__op_check(const char *op, const lat_context *context, const char *name, const lat_tensor *x,
                         lat_tensor **out) {
  if (!out) return lat_fail(LAT_STATUS_INVALID_ARGUMENT, "%s: out: got NULL, expected a place for the tensor", op);
  *out = NULL;
  if (!context) return lat_fail(LAT_STATUS_INVALID_ARGUMENT, "%s: context: got NULL, expected a context", op);
  if (!x) return lat_fail(LAT_STATUS_INVALID_ARGUMENT, "%s: %s: got NULL, expected a sparse tensor", op, name);
  return LAT_STATUS_OK;
}

static lat_status object_new(lat_context *context, const char *op, const lat_coords *coords, const lat_array *feats,
                             lat_tensor **out) {
  void *memory = NULL;
  *out = NULL;
  lat_status status = lat__alloc_zero(context, op, 1, sizeof(lat_tensor), &memory);
  if (status) return status;
  lat_tensor *tensor = memory;
  atomic_init(&tensor->refcount, 1);
  tensor->context = lat__context_retain(context);
  tensor->coords = lat_coords_retain(coords);
  tensor->feats = lat_array_retain(feats);
  tensor->batch_size = -1;
  *out = tensor;
  return LAT_STATUS_OK;
}

/// Declares batch counts (copied) or, with NULL counts, a batch size alone.
static lat_status set_batches(lat_tensor *tensor, const char *op, int64_t n_batches, const int64_t *counts) {
  tensor->batch_size = n_batches;
  if (!counts) return LAT_STATUS_OK;
  void *memory = NULL;
  lat_status status = lat__alloc_items(tensor->context, op, n_batches, sizeof(int64_t), &memory);
  if (status) return status;
  if (n_batches > 0) memcpy(memory, counts, (size_t)n_batches * sizeof(int64_t));
  tensor->batch_counts = memory;
  return LAT_STATUS_OK;
}

lat_status lat__tensor_new_sized(lat_context *context, const char *op, const lat_coords *coords, const lat_array *feats,
                                 int64_t batch_size, lat_tensor **out) {
  lat_status status = object_new(context, op, coords, feats, out);
  if (!status) (*out)->batch_size = batch_size;
  return status;
}

lat_status lat__tensor_new(lat_context *context, const char *op, const lat_coords *coords, const lat_array *feats,
                           const lat_tensor *batch_from, lat_tensor **out) {
  lat_status status = object_new(context, op, coords, feats, out);
  if (status || !batch_from) return status;
  const int64_t *counts = batch_from->coords == coords ? batch_from->batch_counts : NULL;
  status = set_batches(*out, op, batch_from->batch_size, counts);
  if (status) {
    lat_tensor_release(*out);
    *out = NULL;
  }
  return status;
}

static lat_status check_counts_cover(const char *op, const lat_tensor_opts *opts, int64_t n_rows) {
  int64_t total = 0;
  for (int64_t b = 0; b < opts->n_batches; b++) {
    if (opts->batch_counts[b] < 0) {
      return lat_fail(LAT_STATUS_INVALID_ARGUMENT,
                      "%s: batch_counts must be non-negative: got %lld for batch item %lld, expected 0 or more", op,
                      (long long)opts->batch_counts[b], (long long)b);
    }
    // A sum that is too large stays so: a negative count further on is the error to name.
    if (total >= 0) total = opts->batch_counts[b] > n_rows - total ? -1 : total + opts->batch_counts[b];
  }
  if (total == n_rows) return LAT_STATUS_OK;
  return lat_fail(LAT_STATUS_INVALID_ARGUMENT,
                  "%s: batch_counts must cover all sparse rows: got a sum %s %lld rows, expected equality", op,
                  total < 0 ? "above" : "below", (long long)n_rows);
}

/// Counts the batch column into `found` (n_batches entries) and checks it against the declaration.
static lat_status check_batch_column(const char *op, const lat_coords *coords, const lat_tensor_opts *opts,
                                     int64_t *found) {
  for (int64_t r = 0; r < coords->n_rows; r++) {
    int32_t batch = coords->rows[4 * r];
    if (batch < 0 || batch >= opts->n_batches) {
      return lat_fail(LAT_STATUS_INVALID_ARGUMENT,
                      "%s: %s must equal the batch column: got batch index %d at row %lld, expected 0 to %lld", op,
                      opts->batch_counts ? "batch_counts" : "n_batches", (int)batch, (long long)r,
                      (long long)(opts->n_batches - 1));
    }
    if (found) found[batch]++;
  }
  for (int64_t b = 0; found && b < opts->n_batches; b++) {
    if (found[b] != opts->batch_counts[b]) {
      return lat_fail(LAT_STATUS_INVALID_ARGUMENT,
                      "%s: batch_counts must equal the batch column: got %lld for batch item %lld, expected %lld rows",
                      op, (long long)opts->batch_counts[b], (long long)b, (long long)found[b]);
    }
  }
  return LAT_STATUS_OK;
}

static lat_status check_batches(lat_context *context, const char *op, const lat_coords *coords,
                                const lat_tensor_opts *opts) {
  lat_status status = LAT_STATUS_OK;
  void *found = NULL;
  if (opts->n_batches < 0) {
    return lat_fail(LAT_STATUS_INVALID_ARGUMENT, "%s: n_batches: got %lld, expected 0 or more", op,
                    (long long)opts->n_batches);
  }
  if (!opts->batch_counts && opts->n_batches == 0) return LAT_STATUS_OK;
  if (opts->batch_counts) {
    LAT_TRY(check_counts_cover(op, opts, coords->n_rows), done);
    LAT_TRY(lat__alloc_zero(context, op, opts->n_batches, sizeof(int64_t), &found), done);
  }
  LAT_TRY(check_batch_column(op, coords, opts, found), done);
done:
  lat__free(context, found);
  return status;
}

static lat_status check_feats(const char *op, const lat_coords *coords, const lat_array_view *feats) {
  char shape[128];
  int64_t count = 0;
  lat_status status = lat__view_check(op, "feats", feats, &count);
  if (status) return status;
  if (feats->rank != 2) {
    return lat_fail(LAT_STATUS_INVALID_SHAPE, "%s: feats must have shape (N, C): got %s, expected rank 2", op,
                    lat__shape_text(feats, shape, sizeof shape));
  }
  if (!lat__dtype_is_feature(feats->dtype)) {
    return lat_fail(LAT_STATUS_INVALID_DTYPE, "%s: feats dtype: got %s, expected float32, float16 or bfloat16", op,
                    lat_dtype_name(feats->dtype));
  }
  if (feats->shape[0] != coords->n_rows) {
    return lat_fail(LAT_STATUS_INVALID_SHAPE,
                    "%s: coords and feats must have the same row count: got %lld feature rows, expected %lld", op,
                    (long long)feats->shape[0], (long long)coords->n_rows);
  }
  return LAT_STATUS_OK;
}

lat_status lat__tensor_create(lat_context *context, const char *op, const lat_coords *coords,
                              const lat_array_view *view, const lat_array *feats, const lat_tensor_opts *opts,
                              lat_tensor **out) {
  lat_status status = LAT_STATUS_OK;
  lat_tensor_opts o;
  lat_array *copy = NULL;
  if (!out) return lat_fail(LAT_STATUS_INVALID_ARGUMENT, "%s: out: got NULL, expected a place for the tensor", op);
  *out = NULL;
  if (!context || !coords) {
    return lat_fail(LAT_STATUS_INVALID_ARGUMENT, "%s: %s: got NULL, expected a handle", op,
                    context ? "coords" : "context");
  }
  LAT_TRY(lat__opts_copy(op, opts, sizeof o, &o), done);
  LAT_TRY(check_feats(op, coords, view), done);
  LAT_TRY(check_batches(context, op, coords, &o), done);
  if (!feats) LAT_TRY(lat_array_create(context, view, &copy), done);
  LAT_TRY(object_new(context, op, coords, feats ? feats : copy, out), done);
  if (o.batch_counts || o.n_batches > 0) status = set_batches(*out, op, o.n_batches, o.batch_counts);
done:
  lat_array_release(copy);
  if (status) {
    lat_tensor_release(*out);
    *out = NULL;
  }
  return status;
}

lat_status lat_tensor_create(lat_context *context, const lat_coords *coords, const lat_array_view *feats,
                             const lat_tensor_opts *opts, lat_tensor **out) {
  return lat__tensor_create(context, "tensor_create", coords, feats, NULL, opts, out);
}

lat_status lat_tensor_share(lat_context *context, const lat_coords *coords, const lat_array *feats,
                            const lat_tensor_opts *opts, lat_tensor **out) {
  return lat__tensor_create(context, "tensor_share", coords, feats ? &feats->view : NULL, feats, opts, out);
}

lat_status lat_tensor_with_feats(lat_context *context, const lat_tensor *tensor, const lat_array *feats,
                                 lat_tensor **out) {
  lat_status status = lat__op_check("tensor_with_feats", context, "tensor", tensor, out);
  if (!status) status = check_feats("tensor_with_feats", tensor->coords, feats ? &feats->view : NULL);
  if (!status) status = lat__tensor_new(context, "tensor_with_feats", tensor->coords, feats, tensor, out);
  return status;
}

int64_t lat_tensor_count(const lat_tensor *tensor) {
  return tensor->coords->n_rows;
}

int64_t lat_tensor_channels(const lat_tensor *tensor) {
  return tensor->feats->view.shape[1];
}

lat_dtype lat_tensor_dtype(const lat_tensor *tensor) {
  return tensor->feats->view.dtype;
}

lat_triple lat_tensor_stride(const lat_tensor *tensor) {
  return tensor->coords->stride;
}

const lat_coords *lat_tensor_coords(const lat_tensor *tensor) {
  return tensor->coords;
}

lat_array_view lat_tensor_feats(const lat_tensor *tensor) {
  return tensor->feats->view;
}

const lat_array *lat_tensor_feats_array(const lat_tensor *tensor) {
  return tensor->feats;
}

int64_t lat_tensor_batch_size(const lat_tensor *tensor) {
  return tensor->batch_size;
}

const int64_t *lat_tensor_batch_counts(const lat_tensor *tensor) {
  return tensor->batch_counts;
}

int lat_tensor_same_coords(const lat_tensor *a, const lat_tensor *b) {
  return a->coords == b->coords;
}

lat_tensor *lat_tensor_retain(const lat_tensor *tensor) {
  lat_tensor *shared = (lat_tensor *)tensor; // the count of a const object may change
  if (shared) atomic_fetch_add_explicit(&shared->refcount, 1, memory_order_relaxed);
  return shared;
}

void lat_tensor_release(lat_tensor *tensor) {
  if (!tensor || atomic_fetch_sub_explicit(&tensor->refcount, 1, memory_order_acq_rel) != 1) return;
  lat_context *context = tensor->context;
  lat_coords_release(tensor->coords);
  lat_array_release(tensor->feats);
  lat__free(context, tensor->batch_counts);
  lat__free(context, tensor);
  lat__context_release(context);
}
