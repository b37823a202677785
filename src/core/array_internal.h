/// Owned arrays as the library sees them.
#ifndef LATTICE_CORE_ARRAY_INTERNAL_H
#define LATTICE_CORE_ARRAY_INTERNAL_H

#include <stdatomic.h>
#include <stdbool.h>

#include <lattice/array.h>

struct lat_array {
  atomic_int refcount;
  lat_context *context;        ///< retained
  lat_array_view view;         ///< contiguous
  void (*release)(void *user); ///< wrapped memory: called once at the end
  void *user;
  bool owned; ///< the memory came from lat__alloc
};

/// New contiguous array, content undefined. `op` names the caller in errors.
/// Errors: INVALID_SHAPE, INVALID_DTYPE, OVERFLOW, OUT_OF_MEMORY.
LAT_CHECKED lat_status lat__array_new(lat_context *context, const char *op, lat_dtype dtype, int32_t rank,
                                      const int64_t *shape, lat_array **out);

/// New `(rows, columns)` array, content undefined.
LAT_CHECKED lat_status lat__array_new_2d(lat_context *context, const char *op, lat_dtype dtype, int64_t rows,
                                         int64_t columns, lat_array **out);

/// New `(n,)` array, content undefined.
LAT_CHECKED lat_status lat__array_new_1d(lat_context *context, const char *op, lat_dtype dtype, int64_t n,
                                         lat_array **out);

/// Checks the arguments that every call with an array result has: out, context. Clears `*out`.
LAT_CHECKED lat_status lat__array_op_check(const char *op, const lat_context *context, lat_array **out);

/// Checks a view that a caller handed in as argument `name` of `op`: not NULL, known dtype and device, rank in range, no
/// negative axis, data present unless empty, element count and bytes within range. Returns the element count.
LAT_CHECKED lat_status lat__view_check(const char *op, const char *name, const lat_array_view *view, int64_t *count);

/// Checks a number of rows, which are numbered in int32. Errors: OVERFLOW ("<name> has too many rows").
LAT_CHECKED lat_status lat__rows_check(const char *op, const char *name, int64_t n_rows);

/// True when the view is contiguous in row-major order (axes of length 1 and empty arrays do not matter).
bool lat__view_contiguous(const lat_array_view *view);

/// `*out` = the view's elements as a contiguous array: wraps `view` without copying when it is contiguous already.
LAT_CHECKED lat_status lat__view_contiguous_array(lat_context *context, const char *op, const lat_array_view *view,
                                                  lat_array **out);

/// `*out` = a `(channels,)` float parameter widened to float32 after rounding to `round_to` (float32 does
/// not round). NULL view: `*out` = NULL. Errors name `op` and `name`: "<name> must have shape (C,)".
LAT_CHECKED lat_status lat__channel_vector(lat_context *context, const char *op, const char *name,
                                           const lat_array_view *view, int64_t channels, lat_dtype round_to,
                                           lat_array **out);

/// The float32 beside `value` whose last bit is odd, or `value` itself where float32 has it: rounded further to 16 bits it
/// gives what one rounding of `value` gives.
float lat__float_to_odd(double value);

/// True for the dtypes that features have: float32, float16, bfloat16.
static inline bool lat__dtype_is_feature(lat_dtype dtype) {
  return dtype == LAT_DTYPE_F32 || dtype == LAT_DTYPE_F16 || dtype == LAT_DTYPE_BF16;
}

/// Element `index` of a feature array, widened exactly.
static inline float lat__float_load(lat_dtype dtype, const void *data, int64_t index) {
  if (dtype == LAT_DTYPE_F32) return ((const float *)data)[index];
  uint16_t bits = ((const uint16_t *)data)[index];
  return dtype == LAT_DTYPE_F16 ? lat_f16_to_f32(bits) : lat_bf16_to_f32(bits);
}

/// Stores `value` as element `index` of a feature array, with one rounding.
static inline void lat__float_store(lat_dtype dtype, void *data, int64_t index, float value) {
  if (dtype == LAT_DTYPE_F32) {
    ((float *)data)[index] = value;
  } else {
    ((uint16_t *)data)[index] = dtype == LAT_DTYPE_F16 ? lat_f32_to_f16(value) : lat_f32_to_bf16(value);
  }
}

/// Stores `value` as element `index` of a feature array, with one rounding.
static inline void lat__float_store_double(lat_dtype dtype, void *data, int64_t index, double value) {
  lat__float_store(dtype, data, index, dtype == LAT_DTYPE_F32 ? (float)value : lat__float_to_odd(value));
}

/// `value` rounded to a feature dtype.
static inline float lat__float_round(lat_dtype dtype, float value) {
  if (dtype == LAT_DTYPE_F32) return value;
  return dtype == LAT_DTYPE_F16 ? lat_f16_to_f32(lat_f32_to_f16(value)) : lat_bf16_to_f32(lat_f32_to_bf16(value));
}

/// Feature dtype that holds both: equal stays; any two different ones give float32.
static inline lat_dtype lat__dtype_promote(lat_dtype a, lat_dtype b) {
  return a == b ? a : LAT_DTYPE_F32;
}

/// Text "(a, b, c)" of a shape, for error messages. Returns `buffer`.
const char *lat__shape_text(const lat_array_view *view, char *buffer, size_t buffer_bytes);

#endif
