/// \file safetensors.h
/// Named arrays in a file: the safetensors format.
///
/// A file is an 8-byte little-endian header length, a JSON header that gives each tensor's dtype, shape and place, and
/// the tensors' bytes. Reading maps the file: arrays are views of its pages, nothing is copied, and they keep the mapping
/// alive. (A tensor whose place is not a multiple of its element size is copied.) Do not shorten a file that is open:
/// writing with lat_safetensors_write replaces it instead, which is safe.
///
/// | in the file | array |
/// |---|---|
/// | F32 F16 BF16 F64 I32 I64 I16 U8 U32 | the dtype of that name |
/// | BOOL | uint8 |
/// | others (I8, U16, U64, F8_…) | UNSUPPORTED |
#ifndef LATTICE_SAFETENSORS_H
#define LATTICE_SAFETENSORS_H

#include <lattice/array.h>

#ifdef __cplusplus
extern "C" {
#endif

/// Opaque, reference-counted, immutable open file.
typedef struct lat_safetensors lat_safetensors;

/// Opens and checks a file. Tensors keep the order of the header.
/// Errors: INVALID_ARGUMENT (NULL), IO_ERROR (cannot be opened or mapped, no regular file), BAD_DATA (each names the place:
/// shorter than its header says; "header is too long", above 100 000 000 bytes; no UTF-8, no JSON, duplicate names;
/// "dtype", "shape", "data_offsets" missing or of the wrong kind; "data_offsets do not match dtype and shape";
/// "data_offsets are outside the data"; "tensors overlap"; "bytes that belong to no tensor"), UNSUPPORTED (a dtype that
/// arrays do not have, more than LAT_MAX_RANK axes), OVERFLOW, OUT_OF_MEMORY.
LAT_API LAT_CHECKED lat_status lat_safetensors_open(lat_context *context, const char *path, lat_safetensors **out);

/// Number of tensors.
LAT_API int64_t lat_safetensors_count(const lat_safetensors *file);

/// Name of tensor `index` (0 to count - 1), UTF-8. Borrowed: valid while a reference to `file` is held.
LAT_API const char *lat_safetensors_name(const lat_safetensors *file, int64_t index);

/// Index of the tensor of that name, or -1.
LAT_API int64_t lat_safetensors_find(const lat_safetensors *file, const char *name);

/// Tensor `index`. Borrowed; retain it to keep it longer than `file`.
LAT_API const lat_array *lat_safetensors_array(const lat_safetensors *file, int64_t index);

/// Text that the file's `__metadata__` has under `key`, or NULL. Borrowed likewise.
LAT_API const char *lat_safetensors_metadata(const lat_safetensors *file, const char *key);

/// Adds a reference and returns `file` (NULL is passed through).
LAT_API lat_safetensors *lat_safetensors_retain(const lat_safetensors *file);

/// Drops a reference; NULL is accepted. The file is unmapped when this and every array of it is gone.
LAT_API void lat_safetensors_release(lat_safetensors *file);

/// An array and its name.
typedef struct lat_named_array {
  const char *name;     ///< UTF-8
  lat_array_view array; ///< any strides
} lat_named_array;

/// Writes `n_arrays` arrays. Wider elements come first in the file, otherwise the given order, so that every tensor lies
/// aligned. The file appears under its name when it is complete; an older one stays until then.
/// Errors: INVALID_ARGUMENT (NULL; a name that is empty, no UTF-8, given twice or "__metadata__"), INVALID_SHAPE,
/// INVALID_DTYPE, OVERFLOW, IO_ERROR, OUT_OF_MEMORY.
LAT_API LAT_CHECKED lat_status lat_safetensors_write(lat_context *context, const char *path,
                                                     const lat_named_array *arrays, int64_t n_arrays);

#ifdef __cplusplus
}
#endif
#endif
