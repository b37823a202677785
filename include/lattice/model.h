/// \file model.h
/// Models: a graph of operations with named parameters.
///
/// A model is built by the modules of nn.h or read from an artifact directory. It holds what the network is (operations,
/// their attributes, inputs, outputs) and its parameters; how it runs is decided when it is compiled.
#ifndef LATTICE_MODEL_H
#define LATTICE_MODEL_H

#include <lattice/array.h>

#ifdef __cplusplus
extern "C" {
#endif

/// Opaque, reference-counted model.
typedef struct lat_model lat_model;

/// Adds a reference and returns `model` (NULL is passed through).
LAT_API lat_model *lat_model_retain(const lat_model *model);

/// Drops a reference; NULL is accepted.
LAT_API void lat_model_release(lat_model *model);

// --- artifacts ---
//
// An artifact is a directory with `graph.mlir`, the graph as text, and `weights.safetensors`, the parameters. Version 2 is
// the format of mlx-lattice 0.6; version 3 adds what that one cannot say (docs/artifact.md).

/// Options of lat_model_load.
typedef struct lat_model_load_opts {
  size_t struct_bytes; ///< sizeof(lat_model_load_opts)
  int32_t graph_only;  ///< non-zero: the parameters' file is not opened, parameters have no arrays
} lat_model_load_opts;

#define LAT_MODEL_LOAD_OPTS_INIT                                                                                       \
  { sizeof(lat_model_load_opts), 0 }

/// Reads and checks the artifact in directory `path`. Parameters are mapped, not copied (safetensors.h). `opts` NULL:
/// defaults. A fault of the graph is named as "<file>:<line>:<column>: <what>".
/// Errors: INVALID_ARGUMENT (NULL), IO_ERROR ("directory does not exist"; "lattice artifact is missing graph.mlir", "…
/// weights.safetensors"; a file that cannot be read), BAD_DATA (any rule of the graph; "artifact weight not found";
/// "quantized artifact weight requires"; "scales dtype mismatch"; a weight's rank or kernel), the errors of
/// lat_safetensors_open, OVERFLOW, OUT_OF_MEMORY.
LAT_API LAT_CHECKED lat_status lat_model_load(lat_context *context, const char *path, const lat_model_load_opts *opts,
                                              lat_model **out);

/// A model from the text of a graph alone (UTF-8, `n_bytes` long); its parameters have no arrays.
/// Errors: INVALID_ARGUMENT (NULL), BAD_DATA (as lat_model_load; the file is called "graph"), OUT_OF_MEMORY.
LAT_API LAT_CHECKED lat_status lat_model_parse(lat_context *context, const char *text, int64_t n_bytes,
                                               lat_model **out);

/// Writes the artifact into directory `path`, which is made when it is not there, in the lowest version that can say the
/// graph. Each file appears when it is complete.
/// Errors: INVALID_ARGUMENT (NULL), BAD_DATA (a rule of the graph, with the operation's number; a parameter "has no
/// value"), IO_ERROR, OVERFLOW, OUT_OF_MEMORY.
LAT_API LAT_CHECKED lat_status lat_model_save(lat_context *context, const lat_model *model, const char *path);

/// The text that lat_model_save writes as graph.mlir: a new uint8 array. Errors: as lat_model_save.
LAT_API LAT_CHECKED lat_status lat_model_text(lat_context *context, const lat_model *model, lat_array **out);

// --- what a model holds: everything is borrowed, valid while a reference to `model` is held; indices start at 0 ---

/// Lowest artifact version that can say the graph: 2 or 3.
LAT_API int32_t lat_model_version(const lat_model *model);

/// Number of operations, in order of execution.
LAT_API int64_t lat_model_n_operations(const lat_model *model);

/// Name of an operation, e.g. "conv3d", before which artifacts write "lattice.". Static storage.
LAT_API const char *lat_model_operation_name(const lat_model *model, int64_t index);

/// Writes one line about an operation into `text` (cut at `text_bytes`, always terminated): results, name, operands and
/// attributes, as the artifact has them but without types. `text_bytes` 0 writes nothing.
LAT_API void lat_model_describe_operation(const lat_model *model, int64_t index, char *text, size_t text_bytes);

/// A parameter. Arrays are NULL while it has no value.
typedef struct lat_model_parameter {
  const char *name;        ///< dotted, e.g. "stem.0.weight"
  const char *family;      ///< "conv3d", "linear", "embedding", "channel" or "bias". Static storage
  int32_t bits;            ///< 0: dense; 4, 8: packed
  int32_t group_size;      ///< packed
  int32_t is_statistic;    ///< non-zero: running statistics, which training does not optimise
  const lat_array *dense;  ///< `(C_out, Kx, Ky, Kz, C_in)`, `(C_out, C_in)`, `(V, C)`, `(C,)`, `(C,)` by family
  const lat_array *words;  ///< packed: uint32, as quant.h has them
  const lat_array *scales; ///< packed
  const lat_array *biases; ///< packed
} lat_model_parameter;

/// Number of parameters, in the order in which the graph names them.
LAT_API int64_t lat_model_n_parameters(const lat_model *model);

/// Parameter `index`.
LAT_API lat_model_parameter lat_model_get_parameter(const lat_model *model, int64_t index);

/// Index of the parameter of that name, or -1.
LAT_API int64_t lat_model_find_parameter(const lat_model *model, const char *name);

/// An input or output of the graph.
typedef struct lat_model_port {
  const char *name;
  const char *role;  ///< "tensor", "sparse_coords", "sparse_features", "sparse_active", "sparse_tensor". Static storage
  int32_t is_sparse; ///< non-zero: a sparse tensor; `rank` is 0 then
  const char *elem;  ///< element type of the array or of the features, e.g. "f32". Static storage
  int32_t rank;      ///< axes of an array
  int64_t shape[LAT_MAX_RANK]; ///< -1: not fixed
  lat_triple stride;           ///< of the set that coordinates, features and active rows of a sparse input make; else 1
} lat_model_port;

/// Number of inputs and of outputs, and one of them.
LAT_API int64_t lat_model_n_inputs(const lat_model *model);
LAT_API int64_t lat_model_n_outputs(const lat_model *model);
LAT_API lat_model_port lat_model_input(const lat_model *model, int64_t index);
LAT_API lat_model_port lat_model_output(const lat_model *model, int64_t index);

#ifdef __cplusplus
}
#endif
#endif
