/// The reader of safetensors files without the file, which is what tests and fuzzers feed, and the writer with a text
/// beside the tensors.
#ifndef LATTICE_MODEL_SAFETENSORS_INTERNAL_H
#define LATTICE_MODEL_SAFETENSORS_INTERNAL_H

#include <lattice/safetensors.h>

/// As lat_safetensors_open for content in memory (a uint8 array; its tensors keep it alive). `label` stands for the path
/// in errors.
LAT_CHECKED lat_status lat__safetensors_parse(lat_context *context, const char *label, const lat_array *content,
                                              lat_safetensors **out);

/// As lat_safetensors_write, with `text` under `key` in the file's `__metadata__`; NULL: no metadata.
LAT_CHECKED lat_status lat__safetensors_write(lat_context *context, const char *path, const lat_named_array *arrays,
                                              int64_t n_arrays, const char *key, const char *text);

#endif
