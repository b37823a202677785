/// \file model_params.h
/// The state of a model: its parameters and running statistics as named arrays, read, written and converted.
///
/// A dense parameter is one array under its dotted name ("stem.0.weight"); a packed one is three, `<module>.weight`
/// (words), `<module>.scales` and `<module>.biases`. Constants that a graph requires and a module does not have (the bias of
/// a layer norm built without one) are no part of the state.
///
/// Changing a model does not change programs that were compiled from it. A model is changed by one thread at a time.
#ifndef LATTICE_MODEL_PARAMS_H
#define LATTICE_MODEL_PARAMS_H

#include <lattice/model.h>

#ifdef __cplusplus
extern "C" {
#endif

/// What an array of the state is.
typedef enum lat_state_kind {
  LAT_STATE_PARAMETER = 0, ///< trained
  LAT_STATE_STATISTIC = 1, ///< running mean or variance
  LAT_STATE_PACKED = 2     ///< words, scales or biases of a packed weight: frozen
} lat_state_kind;

/// Room for the longest name and its end.
#define LAT_STATE_NAME_BYTES 320

/// One array of the state.
typedef struct lat_state_entry {
  char name[LAT_STATE_NAME_BYTES];
  lat_state_kind kind;
  const lat_array *values; ///< NULL while it has none. Borrowed: valid while the model holds it
} lat_state_entry;

/// Number of arrays of the state; 0 for NULL.
LAT_API int64_t lat_model_state_count(const lat_model *model);

/// Array `index`, in the order of building. Outside: an empty name and NULL.
LAT_API lat_state_entry lat_model_state_entry(const lat_model *model, int64_t index);

/// Number of elements of all trained parameters, what torch calls `sum(p.numel() for p in model.parameters())`; 0 for NULL.
LAT_API int64_t lat_model_count_elements(const lat_model *model);

/// The array of that name (retained). Errors: INVALID_ARGUMENT (NULL; "no array of that name": named).
LAT_API LAT_CHECKED lat_status lat_model_state_get(const lat_model *model, const char *name, lat_array **out);

/// Replaces the array of that name by a copy of `values`, which has its shape and dtype. The context is the copy's.
/// Errors: INVALID_ARGUMENT (NULL; "no array of that name"), INVALID_SHAPE, INVALID_DTYPE (both name it), OUT_OF_MEMORY.
LAT_API LAT_CHECKED lat_status lat_model_state_set(lat_context *context, lat_model *model, const char *name,
                                                   const lat_array_view *values);

/// Reads every array of the state from a safetensors file. Strict: nothing is changed unless every name, shape and dtype
/// fits; one error names all that are missing, unexpected, of another shape, of another dtype (as far as its text holds).
/// Arrays are mapped (safetensors.h).
/// Errors: INVALID_ARGUMENT (NULL), BAD_DATA ("2 missing: a b; 1 unexpected: c; 1 of another shape: d (got …, expected …);
/// 1 of another dtype: e (…)"), and those of lat_safetensors_open.
LAT_API LAT_CHECKED lat_status lat_model_state_load(lat_context *context, lat_model *model, const char *path);

/// Writes every array of the state to a safetensors file.
/// Errors: INVALID_ARGUMENT (NULL; "has no values": named), and those of lat_safetensors_write.
LAT_API LAT_CHECKED lat_status lat_model_state_save(lat_context *context, const lat_model *model, const char *path);

/// What lat_model_convert does; exactly one of dtype, bits and inference is set.
typedef struct lat_convert_opts {
  size_t struct_bytes; ///< sizeof(lat_convert_opts)
  lat_dtype dtype; ///< float32, float16 or bfloat16: of convolution and linear weights and biases and of sparse inputs;
                   ///< norms stay float32
  int32_t bits;    ///< 4 or 8: packs convolution and linear weights
  int32_t group_size; ///< 32, 64 or 128; 0: 64 from 64 input channels on, else 32
  const char *module; ///< bits: of this module alone ("stem.0"), which is from_conv and from_linear; NULL: of all
  int32_t inference; ///< non-zero: leaves out what only training needs, dropout and the momentum of running statistics.
                     ///< Numbers stay; version 2 of artifacts, which has neither, can then say the model
} lat_convert_opts;

#define LAT_CONVERT_OPTS_INIT                                                                                          \
  { sizeof(lat_convert_opts), (lat_dtype)0, 0, 0, NULL, 0 }

/// A converted copy of a model; the model stays as it is. What is packed already stays packed.
/// Errors: INVALID_ARGUMENT (NULL; not exactly one of dtype, bits and inference; "bits"; "group_size must be 32, 64, or 128";
/// "no convolution or linear layer of that name"; a normalized convolution: "packing would drop the normalization",
/// named), INVALID_DTYPE, and those of lat_quantize_weight.
LAT_API LAT_CHECKED lat_status lat_model_convert(lat_context *context, const lat_model *model,
                                                 const lat_convert_opts *opts, lat_model **out);

#ifdef __cplusplus
}
#endif
#endif
