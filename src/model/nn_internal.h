/// The builder behind nn.h, shared by the files that append modules: scopes and names, the first error, operations and
/// parameters of the graph.
#ifndef LATTICE_MODEL_NN_INTERNAL_H
#define LATTICE_MODEL_NN_INTERNAL_H

#include <lattice/nn.h>

#include "model/graph.h"

enum { LAT__NN_MAX_DEPTH = 32, LAT__NN_MAX_NAME = 256, LAT__NN_TEXT = 512 };

/// One level of names: where its prefix ends in `lat_nn.path`, and how many modules it has counted.
typedef struct lat__nn_scope {
  size_t prefix_bytes;
  int64_t n_modules;
} lat__nn_scope;

struct lat_nn {
  lat_context *context;
  lat_array *memory; ///< of this struct
  lat_model *model;
  lat_status status; ///< first error
  char text[LAT__NN_TEXT];
  char path[LAT__NN_MAX_NAME];   ///< prefix of the innermost scope, with its dot
  char module[LAT__NN_MAX_NAME]; ///< full name of the module that is being appended
  const char *op;                ///< its kind, for messages
  int32_t depth;
  lat__nn_scope scopes[LAT__NN_MAX_DEPTH];
};

/// Initial values of a parameter.
typedef enum lat__nn_init { LAT__NN_INIT_ZEROS, LAT__NN_INIT_ONES, LAT__NN_INIT_UNIFORM } lat__nn_init;

/// A parameter to be made: `<module>.<name>`.
typedef struct lat__nn_param {
  const char *name;
  lat__family family;
  lat__nn_init init;
  double bound; ///< of UNIFORM
  int32_t rank;
  int64_t shape[5];
  bool is_statistic; ///< not trained
  bool is_constant;  ///< not listed among the parameters
  int32_t bits;      ///< packed weights: 4 or 8
  int32_t group_size;
} lat__nn_param;

/// Keeps the thread's last error as the builder's when `status` is one and none is kept yet. Returns `status`.
lat_status lat__nn_keep(lat_nn *nn, lat_status status);

/// Keeps "<op>: <module>: <text>". Returns false.
bool lat__nn_refuse(lat_nn *nn, lat_status status, const char *format, ...) LAT_PRINTF(3, 4);

/// Starts a module of kind `op`: takes its name or number. False when the builder has failed before or does now.
bool lat__nn_module(lat_nn *nn, const char *op, const char *name);

/// Copies a sized options struct into `target`, which starts as zeros.
bool lat__nn_options(lat_nn *nn, const void *opts, size_t known_bytes, void *target);

/// Type of a value, or NULL (with an error kept) when it is none.
const lat__type *lat__nn_type(lat_nn *nn, const char *what, lat_value value);

/// The type of `value` when it is sparse, else NULL with an error kept.
const lat__type *lat__nn_sparse(lat_nn *nn, const char *what, lat_value value);

/// Channels of a sparse or rank-2 value; 0 otherwise.
int64_t lat__nn_type_channels(const lat__type *type);

/// False, with an error kept, unless `got`, the constructor's argument called `what`, is the input's channels.
bool lat__nn_channels_match(lat_nn *nn, const char *what, int64_t got, lat_value x);

/// Appends an operation; its first result gets `type`. Returns its index, -1 on an error. Operand values of 0 are left out.
int32_t lat__nn_emit(lat_nn *nn, lat__op_kind kind, const lat_value *operands, int32_t n_operands,
                     const lat__type *type);

/// First result of an operation as a value, called by the module's name; 0 for op -1.
lat_value lat__nn_result(lat_nn *nn, int32_t op);

/// The operation itself; valid until the next one is appended.
lat__op *lat__nn_op(lat_nn *nn, int32_t op);

/// Makes a parameter of the module and the `weight` operation that reads it. 0 on an error.
lat_value lat__nn_parameter(lat_nn *nn, const lat__nn_param *param);

/// Dense features of x for an operation on tensors: x itself, or its decomposed features when it is sparse.
lat_value lat__nn_open(lat_nn *nn, lat_value x);

/// The other way: `features` as x is, sparse on the same set or dense.
lat_value lat__nn_close(lat_nn *nn, lat_value x, lat_value features);

/// `*value` unless it is all zero, else `fallback`; false, with an error kept, when a component is below `least`.
bool lat__nn_triple(lat_nn *nn, const char *what, lat_triple *value, int32_t fallback, int32_t least);

/// A support rule and the bounds that go with it, checked.
bool lat__nn_check_support(lat_nn *nn, lat_support support, lat_triple *bounds);

/// Writes them into an operation where they are not the defaults.
void lat__nn_set_support(lat__op *op, lat_support support, lat_triple bounds);

/// Bits and group size of a packed weight with `c_in` input channels: defaults filled in, checked.
bool lat__nn_packing(lat_nn *nn, int64_t c_in, int32_t *bits, int32_t *group_size);

#endif
