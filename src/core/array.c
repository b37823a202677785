// Owned arrays and checks of borrowed views. Conversions between dtypes are in array_cast.c.

#include <stdio.h>
#include <string.h>

#include "core/alloc.h"
#include "core/array_internal.h"
#include "core/checked.h"
#include "core/compiler.h"
#include "core/context_internal.h"

size_t lat_dtype_bytes(lat_dtype dtype) {
  switch (dtype) {
  case LAT_DTYPE_F32:
    return 4;
  case LAT_DTYPE_F16:
    return 2;
  case LAT_DTYPE_F64:
    return 8;
  case LAT_DTYPE_I32:
    return 4;
  case LAT_DTYPE_I64:
    return 8;
  case LAT_DTYPE_U8:
    return 1;
  case LAT_DTYPE_U32:
    return 4;
  case LAT_DTYPE_I16:
    return 2;
  case LAT_DTYPE_BF16:
    return 2;
  }
  return 0;
}

const char *lat_dtype_name(lat_dtype dtype) {
  switch (dtype) {
  case LAT_DTYPE_F32:
    return "float32";
  case LAT_DTYPE_F16:
    return "float16";
  case LAT_DTYPE_F64:
    return "float64";
  case LAT_DTYPE_I32:
    return "int32";
  case LAT_DTYPE_I64:
    return "int64";
  case LAT_DTYPE_U8:
    return "uint8";
  case LAT_DTYPE_U32:
    return "uint32";
  case LAT_DTYPE_I16:
    return "int16";
  case LAT_DTYPE_BF16:
    return "bfloat16";
  }
  return "unknown";
}

const char *lat__shape_text(const lat_array_view *view, char *buffer, size_t buffer_bytes) {
  size_t used = (size_t)snprintf(buffer, buffer_bytes, "(");
  for (int32_t axis = 0; axis < view->rank && used < buffer_bytes; axis++) {
    used +=
        (size_t)snprintf(buffer + used, buffer_bytes - used, axis ? ", %lld" : "%lld", (long long)view->shape[axis]);
  }
  if (used < buffer_bytes) snprintf(buffer + used, buffer_bytes - used, view->rank == 1 ? ",)" : ")");
  return buffer;
}

/// Checks rank, axes and dtype; `*count` = number of elements.
static lat_status check_shape(const char *op, const char *name, lat_dtype dtype, int32_t rank, const int64_t *shape,
                              int64_t *count) {
  size_t bytes = 0;
  if (lat_dtype_bytes(dtype) == 0) {
    return lat_fail(LAT_STATUS_INVALID_DTYPE, "%s: %s has an unknown dtype: got %d, expected a lat_dtype", op, name,
                    (int)dtype);
  }
  if (rank > 0 && !shape) {
    return lat_fail(LAT_STATUS_INVALID_ARGUMENT, "%s: shape: got NULL, expected %d axis lengths", op, (int)rank);
  }
  if (rank < 0 || rank > LAT_MAX_RANK) {
    return lat_fail(LAT_STATUS_INVALID_SHAPE, "%s: %s has an impossible rank: got %d, expected 0 to %d", op, name,
                    (int)rank, LAT_MAX_RANK);
  }
  *count = 1;
  bool fits = true, empty = false;
  for (int32_t axis = 0; axis < rank; axis++) {
    if (shape[axis] < 0) {
      return lat_fail(LAT_STATUS_INVALID_SHAPE, "%s: %s axis %d is negative: got %lld, expected 0 or more", op, name,
                      (int)axis, (long long)shape[axis]);
    }
    empty = empty || shape[axis] == 0;
    fits = fits && lat__mul_i64(*count, shape[axis], count);
  }
  if (empty) {
    *count = 0;
    return LAT_STATUS_OK;
  }
  if (!fits || !lat__bytes_of(*count, lat_dtype_bytes(dtype), &bytes)) {
    return lat_fail(LAT_STATUS_OVERFLOW, "%s: %s has more bytes than an address space: expected fewer elements", op,
                    name);
  }
  return LAT_STATUS_OK;
}

lat_status lat__view_check(const char *op, const char *name, const lat_array_view *view, int64_t *count) {
  if (!view) return lat_fail(LAT_STATUS_INVALID_ARGUMENT, "%s: %s: got NULL, expected an array view", op, name);
  if (view->device != LAT_DEVICE_CPU) {
    return lat_fail(LAT_STATUS_INVALID_ARGUMENT, "%s: %s is on an unknown device: got %d, expected %d (CPU)", op, name,
                    (int)view->device, (int)LAT_DEVICE_CPU);
  }
  lat_status status = check_shape(op, name, view->dtype, view->rank, view->shape, count);
  if (status) return status;
  if (!view->data && *count > 0) {
    return lat_fail(LAT_STATUS_INVALID_ARGUMENT, "%s: %s data: got NULL, expected %lld elements", op, name,
                    (long long)*count);
  }
  return LAT_STATUS_OK;
}

static bool has_empty_axis(const lat_array_view *view) {
  for (int32_t axis = 0; axis < view->rank; axis++) {
    if (view->shape[axis] == 0) return true;
  }
  return false;
}

lat_status lat__rows_check(const char *op, const char *name, int64_t n_rows) {
  if (n_rows <= INT32_MAX) return LAT_STATUS_OK;
  return lat_fail(LAT_STATUS_OVERFLOW, "%s: %s has too many rows: got %lld, expected at most %lld", op, name,
                  (long long)n_rows, (long long)INT32_MAX);
}

bool lat__view_contiguous(const lat_array_view *view) {
  int64_t step = 1;
  if (has_empty_axis(view)) return true;
  for (int32_t axis = view->rank - 1; axis >= 0; axis--) {
    if (view->shape[axis] != 1 && view->stride[axis] != step) return false;
    step *= view->shape[axis];
  }
  return true;
}

/// New array object around memory that is set by the caller.
static lat_status object_new(lat_context *context, const char *op, const lat_array_view *view, lat_array **out) {
  void *memory = NULL;
  lat_status status = lat__alloc_zero(context, op, 1, sizeof(lat_array), &memory);
  if (status) return status;
  lat_array *array = memory;
  atomic_init(&array->refcount, 1);
  array->context = lat__context_retain(context);
  array->view = lat_view(view->data, view->dtype, view->rank, view->shape);
  *out = array;
  return LAT_STATUS_OK;
}

lat_status lat__array_new(lat_context *context, const char *op, lat_dtype dtype, int32_t rank, const int64_t *shape,
                          lat_array **out) {
  lat_status status = LAT_STATUS_OK;
  void *data = NULL;
  int64_t count = 0;
  *out = NULL;
  LAT_TRY(check_shape(op, "array", dtype, rank, shape, &count), done);
  LAT_TRY(lat__alloc_items(context, op, count, lat_dtype_bytes(dtype), &data), done);
  lat_array_view view = {.data = data, .dtype = dtype, .rank = rank};
  for (int32_t axis = 0; axis < rank; axis++) view.shape[axis] = shape[axis];
  LAT_TRY(object_new(context, op, &view, out), done);
  (*out)->owned = true;
  data = NULL;
done:
  lat__free(context, data);
  return status;
}

lat_status lat__array_new_2d(lat_context *context, const char *op, lat_dtype dtype, int64_t rows, int64_t columns,
                             lat_array **out) {
  const int64_t shape[2] = {rows, columns};
  return lat__array_new(context, op, dtype, 2, shape, out);
}

lat_status lat__array_new_1d(lat_context *context, const char *op, lat_dtype dtype, int64_t n, lat_array **out) {
  return lat__array_new(context, op, dtype, 1, &n, out);
}

/// Copies the elements of a checked view row-major; every element has `bytes` bytes.
static void copy_strided(const lat_array_view *source, size_t bytes, int64_t count, char *target) {
  const char *base = source->data;
  int64_t index[LAT_MAX_RANK] = {0};
  int64_t offset = 0; // in elements
  for (int64_t i = 0; i < count; i++) {
    memcpy(target + (size_t)i * bytes, base + offset * (int64_t)bytes, bytes);
    for (int32_t axis = source->rank - 1; axis >= 0; axis--) {
      offset += source->stride[axis];
      if (++index[axis] < source->shape[axis]) break;
      offset -= source->stride[axis] * source->shape[axis];
      index[axis] = 0;
    }
  }
}

static void copy_elements(const lat_array_view *source, int64_t count, void *target) {
  size_t bytes = lat_dtype_bytes(source->dtype);
  if (count == 0) return;
  if (lat__view_contiguous(source)) {
    memcpy(target, source->data, (size_t)count * bytes);
  } else {
    copy_strided(source, bytes, count, target);
  }
}

lat_status lat__array_op_check(const char *op, const lat_context *context, lat_array **out) {
  if (!out) return lat_fail(LAT_STATUS_INVALID_ARGUMENT, "%s: out: got NULL, expected a place for the array", op);
  *out = NULL;
  if (!context) return lat_fail(LAT_STATUS_INVALID_ARGUMENT, "%s: context: got NULL, expected a context", op);
  return LAT_STATUS_OK;
}

lat_status lat_array_create(lat_context *context, const lat_array_view *source, lat_array **out) {
  lat_status status = LAT_STATUS_OK;
  int64_t count = 0;
  LAT_TRY(lat__array_op_check("array_create", context, out), done);
  LAT_TRY(lat__view_check("array_create", "source", source, &count), done);
  LAT_TRY(lat__array_new(context, "array_create", source->dtype, source->rank, source->shape, out), done);
  copy_elements(source, count, lat_array_data(*out));
done:
  return status;
}

lat_status lat_array_wrap(lat_context *context, const lat_array_view *view, void (*release)(void *user), void *user,
                          lat_array **out) {
  lat_status status = LAT_STATUS_OK;
  int64_t count = 0;
  LAT_TRY(lat__array_op_check("array_wrap", context, out), done);
  LAT_TRY(lat__view_check("array_wrap", "view", view, &count), done);
  if (!lat__view_contiguous(view)) {
    status = lat_fail(LAT_STATUS_INVALID_SHAPE, "array_wrap: view is not contiguous: got strides, expected row-major");
    goto done;
  }
  LAT_TRY(object_new(context, "array_wrap", view, out), done);
  (*out)->release = release;
  (*out)->user = user;
done:
  return status;
}

lat_status lat__view_contiguous_array(lat_context *context, const char *op, const lat_array_view *view,
                                      lat_array **out) {
  if (lat__view_contiguous(view)) return object_new(context, op, view, out);
  lat_status status = lat__array_new(context, op, view->dtype, view->rank, view->shape, out);
  if (!status) copy_elements(view, lat_array_count(*out), lat_array_data(*out));
  return status;
}

lat_status lat_array_copy_to(const lat_array_view *source, void *buffer, size_t buffer_bytes) {
  int64_t count = 0;
  lat_status status = lat__view_check("array_copy_to", "source", source, &count);
  if (status) return status;
  size_t needed = (size_t)count * lat_dtype_bytes(source->dtype);
  if (!buffer && needed > 0) {
    return lat_fail(LAT_STATUS_INVALID_ARGUMENT, "array_copy_to: buffer: got NULL, expected %zu bytes", needed);
  }
  if (buffer_bytes < needed) {
    return lat_fail(LAT_STATUS_INVALID_SHAPE, "array_copy_to: buffer is too small: got %zu bytes, expected %zu",
                    buffer_bytes, needed);
  }
  copy_elements(source, count, buffer);
  return LAT_STATUS_OK;
}

lat_array_view lat_array_as_view(const lat_array *array) {
  return array->view;
}

void *lat_array_data(lat_array *array) {
  return (void *)array->view.data; // a view points at const; the owner may write
}

int64_t lat_array_count(const lat_array *array) {
  int64_t count = 1;
  if (has_empty_axis(&array->view)) return 0; // the other axes may be of any length
  for (int32_t axis = 0; axis < array->view.rank; axis++) count *= array->view.shape[axis];
  return count;
}

lat_array *lat_array_retain(const lat_array *array) {
  lat_array *shared = (lat_array *)array; // the count of a const object may change
  if (shared) atomic_fetch_add_explicit(&shared->refcount, 1, memory_order_relaxed);
  return shared;
}

void lat_array_release(lat_array *array) {
  if (!array || atomic_fetch_sub_explicit(&array->refcount, 1, memory_order_acq_rel) != 1) return;
  if (array->release) array->release(array->user);
  lat_context *context = array->context;
  if (array->owned) lat__free(context, (void *)array->view.data);
  lat__free(context, array);
  lat__context_release(context);
}
