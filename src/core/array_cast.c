// Element conversion: array_full, array_cast, array_uniform, and channel parameters of operators.

#include <float.h>
#include <math.h>
#include <string.h>

#include "core/alloc.h"
#include "core/array_internal.h"
#include "core/checked.h"
#include "core/compiler.h"
#include "core/context_internal.h"

#define LARGEST_F16 65504.0

/// An element in the widest type of its kind.
typedef struct element {
  bool is_float;
  double f;
  int64_t i;
} element;

static element load_element(lat_dtype dtype, const void *data, int64_t index) {
  element e = {.is_float = false};
  switch (dtype) {
  case LAT_DTYPE_F32:
    e = (element){true, (double)((const float *)data)[index], 0};
    break;
  case LAT_DTYPE_F16:
    e = (element){true, (double)lat_f16_to_f32(((const uint16_t *)data)[index]), 0};
    break;
  case LAT_DTYPE_BF16:
    e = (element){true, (double)lat_bf16_to_f32(((const uint16_t *)data)[index]), 0};
    break;
  case LAT_DTYPE_F64:
    e = (element){true, ((const double *)data)[index], 0};
    break;
  case LAT_DTYPE_I32:
    e.i = ((const int32_t *)data)[index];
    break;
  case LAT_DTYPE_I64:
    e.i = ((const int64_t *)data)[index];
    break;
  case LAT_DTYPE_U8:
    e.i = ((const uint8_t *)data)[index];
    break;
  case LAT_DTYPE_U32:
    e.i = ((const uint32_t *)data)[index];
    break;
  case LAT_DTYPE_I16:
    e.i = ((const int16_t *)data)[index];
    break;
  }
  return e;
}

/// Nearest float32 of a double such that a second rounding to 16 bits equals one rounding: round-to-odd.
static float to_float_odd(double value) {
  float rounded = (float)value;
  if (isnan(value) || isinf(rounded) || (double)rounded == value) return rounded;
  uint32_t word;
  memcpy(&word, &rounded, sizeof word);
  bool away = fabs((double)rounded) > fabs(value);
  if (away) word -= 1; // truncate towards zero
  word |= 1;           // sticky bit
  memcpy(&rounded, &word, sizeof rounded);
  return rounded;
}

/// The integer as a double; beyond 2^53 the dropped bits are kept as one sticky bit, for the same reason.
static double to_double_odd(int64_t value) {
  const int64_t exact = INT64_C(1) << 53, dropped = 0x7FF;
  if (value >= -exact && value <= exact) return (double)value;
  int64_t kept = value & ~dropped;
  return (double)(value & dropped ? kept | (dropped + 1) : kept);
}

static bool store_integer(lat_dtype dtype, element e, void *data, int64_t index) {
  int64_t low = 0, high = 0;
  switch (dtype) {
  case LAT_DTYPE_I32:
    low = INT32_MIN, high = INT32_MAX;
    break;
  case LAT_DTYPE_I64:
    low = INT64_MIN, high = INT64_MAX;
    break;
  case LAT_DTYPE_U8:
    high = UINT8_MAX;
    break;
  case LAT_DTYPE_I16:
    low = INT16_MIN, high = INT16_MAX;
    break;
  default:
    high = UINT32_MAX;
    break;
  }
  if (e.is_float) {
    double truncated = trunc(e.f);
    // 2^63 is no int64: compare below it.
    if (!(truncated >= (double)low && truncated < (double)high + 1.0)) return false;
    e.i = (int64_t)truncated;
  }
  if (e.i < low || e.i > high) return false;
  switch (dtype) {
  case LAT_DTYPE_I32:
    ((int32_t *)data)[index] = (int32_t)e.i;
    break;
  case LAT_DTYPE_I64:
    ((int64_t *)data)[index] = e.i;
    break;
  case LAT_DTYPE_U8:
    ((uint8_t *)data)[index] = (uint8_t)e.i;
    break;
  case LAT_DTYPE_I16:
    ((int16_t *)data)[index] = (int16_t)e.i;
    break;
  default:
    ((uint32_t *)data)[index] = (uint32_t)e.i;
    break;
  }
  return true;
}

/// Stores `e` as `dtype`; false when it does not fit.
static bool store_element(lat_dtype dtype, element e, void *data, int64_t index) {
  switch (dtype) {
  case LAT_DTYPE_F32:
    ((float *)data)[index] = e.is_float ? (float)e.f : (float)e.i;
    return true;
  case LAT_DTYPE_F64:
    ((double *)data)[index] = e.is_float ? e.f : (double)e.i;
    return true;
  case LAT_DTYPE_F16:
    ((uint16_t *)data)[index] = lat_f32_to_f16(to_float_odd(e.is_float ? e.f : to_double_odd(e.i)));
    return true;
  case LAT_DTYPE_BF16:
    ((uint16_t *)data)[index] = lat_f32_to_bf16(to_float_odd(e.is_float ? e.f : to_double_odd(e.i)));
    return true;
  default:
    return store_integer(dtype, e, data, index);
  }
}

/// Converts `count` contiguous elements; returns the first index that does not fit, or -1.
static int64_t convert(lat_dtype from, const void *source, lat_dtype to, void *target, int64_t count) {
  if (from == to) {
    if (count > 0) memcpy(target, source, (size_t)count * lat_dtype_bytes(from));
    return -1;
  }
  for (int64_t i = 0; i < count; i++) {
    if (!store_element(to, load_element(from, source, i), target, i)) return i;
  }
  return -1;
}

lat_status lat_array_full(lat_context *context, lat_dtype dtype, int32_t rank, const int64_t *shape, double value,
                          lat_array **out) {
  lat_status status = LAT_STATUS_OK;
  lat_array *array = NULL;
  LAT_TRY(lat__array_op_check("array_full", context, out), done);
  LAT_TRY(lat__array_new(context, "array_full", dtype, rank, shape, &array), done);
  int64_t count = lat_array_count(array);
  char *data = lat_array_data(array);
  size_t bytes = lat_dtype_bytes(dtype);
  if (count > 0 && !store_element(dtype, (element){true, value, 0}, data, 0)) {
    status = lat_fail(LAT_STATUS_INVALID_ARGUMENT,
                      "array_full: value does not fit the dtype: got %g, expected a value "
                      "of %s",
                      value, lat_dtype_name(dtype));
    goto done;
  }
  for (int64_t filled = 1; filled < count; filled *= 2) {
    memcpy(data + (size_t)filled * bytes, data, (size_t)lat__min_i64(filled, count - filled) * bytes);
  }
  *out = array;
  array = NULL;
done:
  lat_array_release(array);
  return status;
}

lat_status lat_array_cast(lat_context *context, const lat_array_view *source, lat_dtype dtype, lat_array **out) {
  lat_status status = LAT_STATUS_OK;
  lat_array *contiguous = NULL, *array = NULL;
  int64_t count = 0;
  LAT_TRY(lat__array_op_check("array_cast", context, out), done);
  LAT_TRY(lat__view_check("array_cast", "source", source, &count), done);
  LAT_TRY(lat__array_new(context, "array_cast", dtype, source->rank, source->shape, &array), done);
  LAT_TRY(lat__view_contiguous_array(context, "array_cast", source, &contiguous), done);
  int64_t bad = convert(source->dtype, contiguous->view.data, dtype, lat_array_data(array), count);
  if (bad >= 0) {
    element e = load_element(source->dtype, contiguous->view.data, bad);
    status = lat_fail(LAT_STATUS_OVERFLOW, "array_cast: element %lld does not fit: got %.17g, expected a value of %s",
                      (long long)bad, e.is_float ? e.f : (double)e.i, lat_dtype_name(dtype));
    goto done;
  }
  *out = array;
  array = NULL;
done:
  lat_array_release(array);
  lat_array_release(contiguous);
  return status;
}

lat_status lat_array_uniform(lat_context *context, lat_dtype dtype, int32_t rank, const int64_t *shape,
                             const double range[2], uint64_t stream, lat_array **out) {
  lat_status status = LAT_STATUS_OK;
  LAT_TRY(lat__array_op_check("array_uniform", context, out), done);
  if (!lat__dtype_is_feature(dtype)) {
    status = lat_fail(LAT_STATUS_INVALID_DTYPE, "array_uniform: dtype: got %s, expected float32, float16 or bfloat16",
                      lat_dtype_name(dtype));
    goto done;
  }
  double largest = dtype == LAT_DTYPE_F32 ? (double)FLT_MAX : LARGEST_F16;
  if (!range || !(range[0] >= -largest && range[0] <= range[1] && range[1] <= largest)) {
    status = lat_fail(LAT_STATUS_INVALID_ARGUMENT, "array_uniform: range: got [%g, %g), expected low <= high within %s",
                      range ? range[0] : (double)NAN, range ? range[1] : (double)NAN, lat_dtype_name(dtype));
    goto done;
  }
  LAT_TRY(lat__array_new(context, "array_uniform", dtype, rank, shape, out), done);
  int64_t count = lat_array_count(*out);
  uint32_t block[4] = {0};
  for (int64_t i = 0; i < count; i++) {
    if (i % 4 == 0) lat_random_block(context->seed, stream, (uint64_t)i / 4, block);
    double unit = (double)block[i % 4] * 0x1p-32;
    double value = range[0] + unit * (range[1] - range[0]);
    float narrow = (float)value;
    // Rounding must not leave the interval.
    if ((double)narrow < range[0]) narrow = nextafterf(narrow, INFINITY);
    if ((double)narrow >= range[1] && range[0] < range[1]) narrow = nextafterf((float)range[1], -INFINITY);
    (void)store_element(dtype, (element){true, dtype == LAT_DTYPE_F32 ? (double)narrow : value, 0},
                        lat_array_data(*out), i); // floats always fit
  }
done:
  return status;
}

lat_status lat__channel_vector(lat_context *context, const char *op, const char *name, const lat_array_view *view,
                               int64_t channels, lat_dtype round_to, lat_array **out) {
  lat_status status = LAT_STATUS_OK;
  lat_array *contiguous = NULL;
  int64_t count = 0;
  char shape[128];
  *out = NULL;
  if (!view) return LAT_STATUS_OK;
  LAT_TRY(lat__view_check(op, name, view, &count), done);
  if (!lat__dtype_is_feature(view->dtype)) {
    status = lat_fail(LAT_STATUS_INVALID_DTYPE, "%s: %s dtype: got %s, expected float32, float16 or bfloat16", op, name,
                      lat_dtype_name(view->dtype));
    goto done;
  }
  if (view->rank != 1 || view->shape[0] != channels) {
    status = lat_fail(LAT_STATUS_INVALID_SHAPE, "%s: %s must have shape (C,): got %s, expected (%lld,)", op, name,
                      lat__shape_text(view, shape, sizeof shape), (long long)channels);
    goto done;
  }
  LAT_TRY(lat__array_new_1d(context, op, LAT_DTYPE_F32, channels, out), done);
  LAT_TRY(lat__view_contiguous_array(context, op, view, &contiguous), done);
  float *values = lat_array_data(*out);
  (void)convert(view->dtype, contiguous->view.data, LAT_DTYPE_F32, values, channels); // floats always fit
  for (int64_t i = 0; i < channels; i++) values[i] = lat__float_round(round_to, values[i]);
done:
  lat_array_release(contiguous);
  if (status) {
    lat_array_release(*out);
    *out = NULL;
  }
  return status;
}
