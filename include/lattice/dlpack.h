/// \file dlpack.h
/// Exchange of arrays with other libraries through DLPack, without copying where the memory allows.
///
/// The structs have the memory layout of DLPack's (`DLManagedTensor` of all versions, `DLManagedTensorVersioned` of 1.x),
/// under names of their own, so that this header and DLPack's can be included together: cast the pointers.
#ifndef LATTICE_DLPACK_H
#define LATTICE_DLPACK_H

#include <lattice/array.h>

#ifdef __cplusplus
extern "C" {
#endif

/// Where memory lives. `type` 1 is the CPU's memory, the only one that this version exchanges.
typedef struct lat_dlpack_device {
  int32_t type;
  int32_t id;
} lat_dlpack_device;

/// Type of an element: `code` 0 int, 1 uint, 2 float, 4 bfloat, 6 bool; bits of a lane; lanes of a vector.
typedef struct lat_dlpack_dtype {
  uint8_t code;
  uint8_t bits;
  uint16_t lanes;
} lat_dlpack_dtype;

/// A strided array (`DLTensor`). The first element stands `byte_offset` bytes behind `data`.
typedef struct lat_dlpack_tensor {
  void *data;
  lat_dlpack_device device;
  int32_t rank;
  lat_dlpack_dtype dtype;
  int64_t *shape;
  int64_t *stride; ///< in elements; NULL: row-major without gaps
  uint64_t byte_offset;
} lat_dlpack_tensor;

/// An array with its owner (`DLManagedTensor`). Whoever holds it calls `deleter(self)` once (unless that is NULL).
typedef struct lat_dlpack_managed {
  lat_dlpack_tensor tensor;
  void *owner;
  void (*deleter)(struct lat_dlpack_managed *self);
} lat_dlpack_managed;

/// Flags of lat_dlpack_versioned.
#define LAT_DLPACK_READ_ONLY UINT64_C(1) ///< the memory must not be written
#define LAT_DLPACK_COPIED UINT64_C(2)    ///< the memory was copied for this exchange

/// The same with a version in front (`DLManagedTensorVersioned`).
typedef struct lat_dlpack_versioned {
  uint32_t major;
  uint32_t minor;
  void *owner;
  void (*deleter)(struct lat_dlpack_versioned *self);
  uint64_t flags;
  lat_dlpack_tensor tensor;
} lat_dlpack_versioned;

/// Lends an array to another library. Retains `array` until the deleter is called, from any thread; shares its memory.
/// Arrays are immutable once shared: the receiver must not write. Dtypes: those of lat_dtype.
/// Errors: INVALID_ARGUMENT (NULL), OUT_OF_MEMORY.
LAT_API LAT_CHECKED lat_status lat_array_to_dlpack(const lat_array *array, lat_dlpack_managed **out);

/// As lat_array_to_dlpack, as version 1.0 with the flag LAT_DLPACK_READ_ONLY.
/// Errors: as lat_array_to_dlpack.
LAT_API LAT_CHECKED lat_status lat_array_to_dlpack_versioned(const lat_array *array, lat_dlpack_versioned **out);

/// Takes an array from another library. On success `source` belongs to the array: memory that is contiguous and aligned
/// to its elements is shared (its deleter is called with the last reference, from whichever thread drops it; it must not
/// be written meanwhile), other memory is copied and the deleter called at once. On failure `source` stays the caller's.
///
/// Dtypes: float16, float32, float64, bfloat16, int16, int32, int64, uint8, uint32; bool becomes uint8.
/// Errors: INVALID_ARGUMENT (NULL; no shape or data where there are elements), INVALID_SHAPE (a rank above LAT_MAX_RANK, a
/// negative axis), INVALID_DTYPE (another type, or vectors of several lanes), UNSUPPORTED (another device than the CPU),
/// OVERFLOW, OUT_OF_MEMORY.
LAT_API LAT_CHECKED lat_status lat_array_from_dlpack(lat_context *context, lat_dlpack_managed *source, lat_array **out);

/// As lat_array_from_dlpack. Errors: also UNSUPPORTED (a major version other than 1).
LAT_API LAT_CHECKED lat_status lat_array_from_dlpack_versioned(lat_context *context, lat_dlpack_versioned *source,
                                                               lat_array **out);

#ifdef __cplusplus
}
#endif
#endif
