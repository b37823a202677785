/// \file array.h
/// Dense arrays: borrowed views and owned, reference-counted buffers.
///
/// A view (`lat_array_view`) is a small struct that points at memory somebody else owns. Functions take views as inputs
/// and borrow them until they return. An array (`lat_array`) owns its memory, is contiguous in row-major order, and is
/// what functions give back.
#ifndef LATTICE_ARRAY_H
#define LATTICE_ARRAY_H

#include <lattice/context.h>

#ifdef __cplusplus
extern "C" {
#endif

/// Element types. Values are part of the ABI.
typedef enum lat_dtype {
  LAT_DTYPE_F32 = 1, ///< IEEE binary32
  LAT_DTYPE_F16 = 2, ///< IEEE binary16, handled as uint16_t bit patterns in C
  LAT_DTYPE_F64 = 3, ///< IEEE binary64 (points only)
  LAT_DTYPE_I32 = 4,
  LAT_DTYPE_I64 = 5,
  LAT_DTYPE_U8 = 6,
  LAT_DTYPE_U32 = 7,
  LAT_DTYPE_I16 = 8,
  LAT_DTYPE_BF16 = 9 ///< the upper half of IEEE binary32, handled as uint16_t bit patterns in C
} lat_dtype;

/// Where memory lives.
typedef enum lat_device { LAT_DEVICE_CPU = 0 } lat_device;

/// Most axes an array can have.
#define LAT_MAX_RANK 6

/// Borrowed description of a strided array. Only the first `rank` entries of `shape` and `stride` count.
typedef struct lat_array_view {
  const void *data;             ///< first element; may be NULL only when the array has no elements
  lat_dtype dtype;              ///< element type
  lat_device device;            ///< where `data` lives
  int32_t rank;                 ///< number of axes, 0 to LAT_MAX_RANK
  int64_t shape[LAT_MAX_RANK];  ///< length of each axis, >= 0
  int64_t stride[LAT_MAX_RANK]; ///< step of each axis in elements (may be 0 or negative)
} lat_array_view;

/// Three integers for the axes x, y, z.
typedef struct lat_triple {
  int32_t x, y, z;
} lat_triple;

/// Opaque owned array. Immutable once it has been handed to anything that shares it.
typedef struct lat_array lat_array;

/// The same value on the three axes.
static inline lat_triple lat_triple_all(int32_t value) {
  lat_triple triple = {value, value, value};
  return triple;
}

/// View of a contiguous row-major array on the CPU with `rank` axes (1 to LAT_MAX_RANK).
static inline lat_array_view lat_view(const void *data, lat_dtype dtype, int32_t rank, const int64_t *shape) {
  lat_array_view view = {data, dtype, LAT_DEVICE_CPU, rank, {0}, {0}};
  int64_t step = 1;
  for (int32_t axis = rank - 1; axis >= 0; axis--) {
    view.shape[axis] = shape[axis];
    view.stride[axis] = step;
    step = (int64_t)((uint64_t)step *
                     (uint64_t)shape[axis]); // no overflow trap: a size that is too large is refused later
  }
  return view;
}

/// View of `n` contiguous elements.
static inline lat_array_view lat_view_1d(const void *data, lat_dtype dtype, int64_t n) {
  return lat_view(data, dtype, 1, &n);
}

/// View of a contiguous `(rows, columns)` array.
static inline lat_array_view lat_view_2d(const void *data, lat_dtype dtype, int64_t rows, int64_t columns) {
  int64_t shape[2];
  shape[0] = rows;
  shape[1] = columns;
  return lat_view(data, dtype, 2, shape);
}

/// Bytes of one element, 0 for a value outside the enum.
LAT_API size_t lat_dtype_bytes(lat_dtype dtype);

/// Name of a dtype as the documentation writes it ("float32", "int64", …), "unknown" outside the enum. Static storage.
LAT_API const char *lat_dtype_name(lat_dtype dtype);

/// Copies the elements of `source` (any strides) into a new contiguous array. Copies.
/// Errors: INVALID_ARGUMENT (NULL, NULL data with elements), INVALID_DTYPE, INVALID_SHAPE, OVERFLOW, OUT_OF_MEMORY.
LAT_API LAT_CHECKED lat_status lat_array_create(lat_context *context, const lat_array_view *source, lat_array **out);

/// New array of the given shape with every element equal to `value` (converted to `dtype` by C's rules, float16 with
/// one rounding). Errors: INVALID_ARGUMENT (NULL; a value that an integer dtype cannot hold), INVALID_SHAPE,
/// INVALID_DTYPE, OVERFLOW, OUT_OF_MEMORY.
LAT_API LAT_CHECKED lat_status lat_array_full(lat_context *context, lat_dtype dtype, int32_t rank, const int64_t *shape,
                                              double value, lat_array **out);

/// New array over the caller's contiguous memory. Borrows until the last reference is gone; then calls
/// `release(user)` once, from whichever thread dropped it (`release` may be NULL).
/// Errors: as lat_array_create; INVALID_SHAPE when `view` is not contiguous. On failure `release` is not called.
LAT_API LAT_CHECKED lat_status lat_array_wrap(lat_context *context, const lat_array_view *view,
                                              void (*release)(void *user), void *user, lat_array **out);

/// New array of the given shape with floats drawn from [low, high) for `LAT_DTYPE_F32` or `LAT_DTYPE_F16`.
/// Element i (row-major) depends on the context's seed, `stream` and i alone: with w = word `i mod 4` of
/// `lat_random_block(seed, stream, i / 4)` it is `low + w / 2^32 * (high - low)` in double precision, rounded once. A
/// float32 draw that would round to `high` is the float below it; a float16 draw keeps it, so there `high` can occur.
/// Errors: as lat_array_full; INVALID_DTYPE for other dtypes.
LAT_API LAT_CHECKED lat_status lat_array_uniform(lat_context *context, lat_dtype dtype, int32_t rank,
                                                 const int64_t *shape, const double range[2], uint64_t stream,
                                                 lat_array **out);

/// Copies `source` with every element converted to `dtype`. Floats narrow with one rounding to nearest-even; a float
/// becomes an integer by truncation. Copies.
/// Errors: as lat_array_create; OVERFLOW names the first element that the target type cannot hold (NaN included).
LAT_API LAT_CHECKED lat_status lat_array_cast(lat_context *context, const lat_array_view *source, lat_dtype dtype,
                                              lat_array **out);

/// Copies the elements of `source` (any strides) row-major into the caller's buffer.
/// Errors: INVALID_ARGUMENT (NULL), INVALID_SHAPE when `buffer_bytes` is smaller than the elements need: nothing is
/// written then.
LAT_API LAT_CHECKED lat_status lat_array_copy_to(const lat_array_view *source, void *buffer, size_t buffer_bytes);

/// View of the whole array. Borrowed: valid while a reference to `array` is held.
LAT_API lat_array_view lat_array_as_view(const lat_array *array);

/// First element. Write through it only before the array is shared. Borrowed like lat_array_as_view.
LAT_API void *lat_array_data(lat_array *array);

/// Number of elements.
LAT_API int64_t lat_array_count(const lat_array *array);

/// Adds a reference and returns `array` (NULL is passed through).
LAT_API lat_array *lat_array_retain(const lat_array *array);

/// Drops a reference; NULL is accepted. The last one frees the memory.
LAT_API void lat_array_release(lat_array *array);

/// Value of a binary16 bit pattern, exactly.
LAT_API float lat_f16_to_f32(uint16_t bits);

/// Nearest binary16 bit pattern, ties to even; overflow gives infinity, NaN stays NaN.
LAT_API uint16_t lat_f32_to_f16(float value);

/// Value of a bfloat16 bit pattern, exactly.
LAT_API float lat_bf16_to_f32(uint16_t bits);

/// Nearest bfloat16 bit pattern, ties to even; overflow gives infinity, NaN stays NaN.
LAT_API uint16_t lat_f32_to_bf16(float value);

#ifdef __cplusplus
}
#endif
#endif
