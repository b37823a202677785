/// The graph of a model in memory: what the reader of artifacts and the module builders fill, and what the writer, the
/// verifier and the executor walk.
///
/// A graph is a list of operations in order of execution. Values are numbered: arguments first come first, then results
/// as operations are added. An operation names its operands by those numbers. What an operation may have (operands,
/// attributes, results) stands in one table: op_table.h.
#ifndef LATTICE_MODEL_GRAPH_H
#define LATTICE_MODEL_GRAPH_H

#include <stdatomic.h>

#include <lattice/model.h>

#include "model/model_arena.h"
#include "model/op_table.h"

// --- the graph ------------------------------------------------------------------------------------------------------

typedef enum lat__role {
  LAT__ROLE_TENSOR,
  LAT__ROLE_SPARSE_COORDS,
  LAT__ROLE_SPARSE_FEATURES,
  LAT__ROLE_SPARSE_ACTIVE,
  LAT__ROLE_SPARSE_TENSOR ///< outputs
} lat__role;

/// "tensor", "sparse_coords", …
const char *lat__role_name(lat__role role);

typedef struct lat__value {
  const char *name; ///< hint for the text, without '%'; NULL: made up when written
  lat__type type;
  int32_t op;     ///< index of the operation that makes it, -1: an input
  int32_t result; ///< which of its results; of an input: its number
} lat__value;

typedef struct lat__op {
  lat__op_kind kind;
  int32_t n_operands, n_results;
  int32_t *operands; ///< values
  int32_t results[LAT__MAX_RESULTS];
  lat__attr *attrs;     ///< parallel to the table's
  const char *symbol;   ///< of a weight, without '@'
  int32_t parameter;    ///< of a weight; -1: none
  int32_t line, column; ///< where it stood in the text; 0: not read from one
} lat__op;

/// What stands under a storage key. Arrays are NULL until somebody gives them.
typedef struct lat__parameter {
  const char *key; ///< dotted name
  lat__family family;
  lat__packing packing;
  bool is_statistic; ///< not trained: running statistics
  bool is_constant;  ///< not listed: what a graph requires and a module does not have
  lat_array *dense;  ///< when packing.bits is 0
  lat_array *words;  ///< packed: `<key>.weight`, uint32
  lat_array *scales; ///< packed: `<key>.scales`
  lat_array *biases; ///< packed: `<key>.biases`
} lat__parameter;

/// An input or output of the whole graph.
typedef struct lat__port {
  const char *name;
  lat__role role;
  int32_t value;
} lat__port;

struct lat_model {
  atomic_int refcount;
  lat__arena arena; ///< everything but the arrays; the model itself included
  lat__value *values;
  lat__op *ops;
  lat__parameter *parameters;
  lat__port *inputs, *outputs;
  int64_t n_values, n_ops, n_parameters, n_inputs, n_outputs;
  int64_t room_values, room_ops, room_parameters, room_inputs, room_outputs;
  lat__names parameter_names;
};

/// New empty model.
LAT_CHECKED lat_status lat__model_new(lat_context *context, lat_model **out);

/// Adds an input of the graph and its value. Names are copied. `value_name` NULL: as `name`.
LAT_CHECKED lat_status lat__model_add_input(lat_context *context, lat_model *model, const char *name, lat__role role,
                                            const lat__type *type, int32_t *value);

/// Adds an operation with absent attributes and results whose types have the table's kinds and nothing else (f32, rank 0,
/// channels -1): set them through `model->values`. Nothing is checked: lat__model_verify does. `*op` is its index.
LAT_CHECKED lat_status lat__model_add_op(lat_context *context, lat_model *model, lat__op_kind kind,
                                         const int32_t *operands, int32_t n_operands, int32_t *op);

/// Adds an output of the graph.
LAT_CHECKED lat_status lat__model_add_output(lat_context *context, lat_model *model, const char *name, lat__role role,
                                             int32_t value);

/// The parameter under `key`, added when it is new (`family` and `packing` are then its own). `*parameter` is its index.
LAT_CHECKED lat_status lat__model_add_parameter(lat_context *context, lat_model *model, const char *key,
                                                lat__family family, const lat__packing *packing, int32_t *parameter);

/// Adds a `weight` operation of a parameter: its attributes and symbol are set. `*value` is its result.
LAT_CHECKED lat_status lat__model_add_weight(lat_context *context, lat_model *model, int32_t parameter, lat__elem elem,
                                             int32_t *value);

/// Index of the parameter under `key`, or -1.
int32_t lat__model_find_parameter(const lat_model *model, const char *key);

/// Puts an array into one of a parameter's four places (retained; the old one is released).
void lat__parameter_set(lat_array **place, const lat_array *array);

/// Fills words, scales and biases from a dense float32 or float16 weight, as `parameter->packing` says; drops `dense`.
LAT_CHECKED lat_status lat__parameter_pack(lat_context *context, lat__parameter *parameter,
                                           const lat_array_view *weight);

/// A copy of a model that shares its arrays. Its inputs are the first values, in their order.
LAT_CHECKED lat_status lat__model_copy(lat_context *context, const lat_model *model, lat_model **out);

/// A copy without what only training needs: dropout, the momentum of running statistics.
LAT_CHECKED lat_status lat__model_copy_inference(lat_context *context, const lat_model *model, lat_model **out);

/// Names a value (copied).
LAT_CHECKED lat_status lat__model_name_value(lat_context *context, lat_model *model, int32_t value, const char *name);

/// The attribute of an operation, or NULL when the table gives it none. Write to it while the graph is built.
lat__attr *lat__op_attr_of(const lat__op *op, lat__attr_key key);

/// Setters for builders; the attribute must be one of the operation's.
void lat__op_set_int(lat__op *op, lat__attr_key key, int64_t value);
void lat__op_set_float(lat__op *op, lat__attr_key key, double value); ///< rounds to float32
void lat__op_set_choice(lat__op *op, lat__attr_key key, int32_t choice);
void lat__op_set_triple(lat__op *op, lat__attr_key key, lat_triple value);
void lat__op_set_reals(lat__op *op, lat__attr_key key, const double value[3]);

/// Getters: the value, or the default where the attribute is absent.
int64_t lat__op_int(const lat__op *op, lat__attr_key key, int64_t absent);
double lat__op_float(const lat__op *op, lat__attr_key key, double absent);
int32_t lat__op_choice(const lat__op *op, lat__attr_key key, int32_t absent);
lat_triple lat__op_triple(const lat__op *op, lat__attr_key key, lat_triple absent);

#endif
