/// The reader of safetensors files without the file: what tests and fuzzers feed.
#ifndef LATTICE_MODEL_SAFETENSORS_INTERNAL_H
#define LATTICE_MODEL_SAFETENSORS_INTERNAL_H

#include <lattice/safetensors.h>

/// As lat_safetensors_open for content in memory (a uint8 array; its tensors keep it alive). `label` stands for the path
/// in errors.
LAT_CHECKED lat_status lat__safetensors_parse(lat_context *context, const char *label, const lat_array *content,
                                              lat_safetensors **out);

#endif
