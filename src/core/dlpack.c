/// DLPack in and out: two forms of the same tensor, so each direction has one core and two thin functions around it.
#include <lattice/dlpack.h>

#include "core/alloc.h"
#include "core/array_internal.h"
#include "core/compiler.h"

enum { CPU_DEVICE = 1, MAJOR_VERSION = 1 };

/// What the codes of an element type mean here.
static const struct {
  lat_dtype dtype;
  uint8_t code, bits;
} dtypes[] = {{LAT_DTYPE_F32, 2, 32},  {LAT_DTYPE_F16, 2, 16}, {LAT_DTYPE_F64, 2, 64}, {LAT_DTYPE_I32, 0, 32},
              {LAT_DTYPE_I64, 0, 64},  {LAT_DTYPE_U8, 1, 8},   {LAT_DTYPE_U32, 1, 32}, {LAT_DTYPE_I16, 0, 16},
              {LAT_DTYPE_BF16, 4, 16}, {LAT_DTYPE_U8, 6, 8}}; // the last one is bool: only taken, never given

#define N_DTYPES (sizeof dtypes / sizeof dtypes[0])

// --- out ------------------------------------------------------------------------------------------------------------

/// What stands behind a lent tensor, in one block.
typedef struct dlpack_loan {
  lat_array *array;
  int64_t shape[LAT_MAX_RANK];
  int64_t stride[LAT_MAX_RANK];
  union {
    lat_dlpack_managed managed;
    lat_dlpack_versioned versioned;
  } form;
} dlpack_loan;

static void end_loan(dlpack_loan *loan) {
  lat_array *array = loan->array;
  lat__free(array->context, loan); // before the array, which may hold the context's last reference
  lat_array_release(array);
}

static void delete_managed(lat_dlpack_managed *self) {
  if (self) end_loan(self->owner);
}

static void delete_versioned(lat_dlpack_versioned *self) {
  if (self) end_loan(self->owner);
}

/// Makes the block and fills `tensor`, which the caller finds in it afterwards.
static lat_status begin_loan(const char *op, const lat_array *array, dlpack_loan **out, lat_dlpack_tensor *tensor) {
  void *memory = NULL;
  lat_status status = lat__alloc_zero(array->context, op, 1, sizeof(dlpack_loan), &memory);
  if (status) return status;
  dlpack_loan *loan = memory;
  size_t index = 0;
  while (dtypes[index].dtype != array->view.dtype) index++; // an array has one of them
  loan->array = lat_array_retain(array);
  for (int32_t axis = 0; axis < array->view.rank; axis++) {
    loan->shape[axis] = array->view.shape[axis];
    loan->stride[axis] = array->view.stride[axis];
  }
  *tensor = (lat_dlpack_tensor){.data = (void *)array->view.data, // DLPack has no const; the flag says it
                                .device = {CPU_DEVICE, 0},
                                .rank = array->view.rank,
                                .dtype = {dtypes[index].code, dtypes[index].bits, 1},
                                .shape = loan->shape,
                                .stride = loan->stride};
  *out = loan;
  return LAT_STATUS_OK;
}

static lat_status check_loan(const char *op, const lat_array *array, const void *out) {
  if (!out) return lat_fail(LAT_STATUS_INVALID_ARGUMENT, "%s: out: got NULL, expected a place for the tensor", op);
  if (!array) return lat_fail(LAT_STATUS_INVALID_ARGUMENT, "%s: array: got NULL, expected an array", op);
  return LAT_STATUS_OK;
}

lat_status lat_array_to_dlpack(const lat_array *array, lat_dlpack_managed **out) {
  lat_status status = LAT_STATUS_OK;
  lat_dlpack_tensor tensor;
  dlpack_loan *loan = NULL;
  if (out) *out = NULL;
  LAT_TRY(check_loan("array_to_dlpack", array, out), done);
  LAT_TRY(begin_loan("array_to_dlpack", array, &loan, &tensor), done);
  loan->form.managed = (lat_dlpack_managed){.tensor = tensor, .owner = loan, .deleter = delete_managed};
  *out = &loan->form.managed;
done:
  return status;
}

lat_status lat_array_to_dlpack_versioned(const lat_array *array, lat_dlpack_versioned **out) {
  lat_status status = LAT_STATUS_OK;
  lat_dlpack_tensor tensor;
  dlpack_loan *loan = NULL;
  if (out) *out = NULL;
  LAT_TRY(check_loan("array_to_dlpack_versioned", array, out), done);
  LAT_TRY(begin_loan("array_to_dlpack_versioned", array, &loan, &tensor), done);
  loan->form.versioned = (lat_dlpack_versioned){.major = MAJOR_VERSION,
                                                .owner = loan,
                                                .deleter = delete_versioned,
                                                .flags = LAT_DLPACK_READ_ONLY,
                                                .tensor = tensor};
  *out = &loan->form.versioned;
done:
  return status;
}

// --- in -------------------------------------------------------------------------------------------------------------

static lat_status find_dtype(const char *op, lat_dlpack_dtype given, lat_dtype *dtype) {
  for (size_t i = 0; i < N_DTYPES; i++) {
    if (dtypes[i].code != given.code || dtypes[i].bits != given.bits || given.lanes != 1) continue;
    *dtype = dtypes[i].dtype;
    return LAT_STATUS_OK;
  }
  return lat_fail(
      LAT_STATUS_INVALID_DTYPE,
      "%s: dtype: got code %d with %d bits and %d lanes, expected float16, float32, float64, bfloat16, int16, "
      "int32, int64, uint8, uint32 or bool of one lane",
      op, (int)given.code, (int)given.bits, (int)given.lanes);
}

/// Checks a foreign tensor and describes it as a view.
static lat_status make_view(const char *op, const lat_dlpack_tensor *tensor, lat_array_view *view) {
  lat_status status = LAT_STATUS_OK;
  int64_t count, step = 1;
  if (tensor->device.type != CPU_DEVICE) {
    return lat_fail(LAT_STATUS_UNSUPPORTED, "%s: device: got type %d, expected %d (CPU)", op, (int)tensor->device.type,
                    (int)CPU_DEVICE);
  }
  *view = (lat_array_view){.data = tensor->data, .device = LAT_DEVICE_CPU, .rank = tensor->rank};
  LAT_TRY(find_dtype(op, tensor->dtype, &view->dtype), done);
  if (tensor->rank > 0 && !tensor->shape) {
    return lat_fail(LAT_STATUS_INVALID_ARGUMENT, "%s: shape: got NULL, expected %d axis lengths", op,
                    (int)tensor->rank);
  }
  for (int32_t axis = 0; axis < tensor->rank && axis < LAT_MAX_RANK; axis++) view->shape[axis] = tensor->shape[axis];
  LAT_TRY(lat__view_check(op, "tensor", view, &count), done);
  for (int32_t axis = tensor->rank - 1; axis >= 0; axis--) {
    view->stride[axis] = tensor->stride ? tensor->stride[axis] : step;
    step *= count ? tensor->shape[axis] : 1; // without elements the other axes may be of any length
  }
  if (view->data) view->data = (const char *)view->data + tensor->byte_offset;
done:
  return status;
}

static bool is_aligned(const lat_array_view *view) {
  return (uintptr_t)view->data % lat_dtype_bytes(view->dtype) == 0;
}

/// Shares or copies the tensor's memory. `release(user)` gives the tensor back: later, or here when it was copied.
static lat_status take(lat_context *context, const char *op, const lat_dlpack_tensor *tensor, void (*release)(void *),
                       void *user, lat_array **out) {
  lat_status status = LAT_STATUS_OK;
  lat_array_view view;
  LAT_TRY(make_view(op, tensor, &view), done);
  if (lat__view_contiguous(&view) && is_aligned(&view)) {
    LAT_TRY(lat_array_wrap(context, &view, release, user, out), done);
  } else {
    LAT_TRY(lat_array_create(context, &view, out), done);
    release(user);
  }
done:
  return status;
}

static lat_status check_take(const char *op, const lat_context *context, const void *source, const void *out) {
  const char *missing = !out ? "out" : !context ? "context" : !source ? "source" : NULL;
  if (!missing) return LAT_STATUS_OK;
  return lat_fail(LAT_STATUS_INVALID_ARGUMENT, "%s: %s must not be NULL", op, missing);
}

static void release_managed(void *user) {
  lat_dlpack_managed *source = user;
  if (source->deleter) source->deleter(source);
}

static void release_versioned(void *user) {
  lat_dlpack_versioned *source = user;
  if (source->deleter) source->deleter(source);
}

lat_status lat_array_from_dlpack(lat_context *context, lat_dlpack_managed *source, lat_array **out) {
  static const char op[] = "array_from_dlpack";
  lat_status status = LAT_STATUS_OK;
  if (out) *out = NULL;
  LAT_TRY(check_take(op, context, source, out), done);
  LAT_TRY(take(context, op, &source->tensor, release_managed, source, out), done);
done:
  return status;
}

lat_status lat_array_from_dlpack_versioned(lat_context *context, lat_dlpack_versioned *source, lat_array **out) {
  static const char op[] = "array_from_dlpack_versioned";
  lat_status status = LAT_STATUS_OK;
  if (out) *out = NULL;
  LAT_TRY(check_take(op, context, source, out), done);
  if (source->major != MAJOR_VERSION) { // nothing behind the version and the deleter may be read
    return lat_fail(LAT_STATUS_UNSUPPORTED, "%s: DLPack version: got %u.%u, expected %d", op, (unsigned)source->major,
                    (unsigned)source->minor, (int)MAJOR_VERSION);
  }
  LAT_TRY(take(context, op, &source->tensor, release_versioned, source, out), done);
done:
  return status;
}
