// The builder of nn.h: scopes and names, the first error, and how operations and parameters get into the graph.
#include "model/nn_internal.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "core/compiler.h"

// --- errors ---------------------------------------------------------------------------------------------------------

lat_status lat__nn_keep(lat_nn *nn, lat_status status) {
  if (!status || nn->status) return status;
  nn->status = status;
  snprintf(nn->text, sizeof nn->text, "%s", lat_last_error());
  return status;
}

bool lat__nn_refuse(lat_nn *nn, lat_status status, const char *format, ...) {
  char text[LAT__NN_TEXT];
  va_list arguments;
  va_start(arguments, format);
  vsnprintf(text, sizeof text, format, arguments);
  va_end(arguments);
  lat__nn_keep(nn, lat_fail(status, "%s: %s: %s", nn->op, nn->module, text));
  return false;
}

lat_value lat_nn_fail(lat_nn *nn, lat_status status, const char *format, ...) {
  char text[LAT__NN_TEXT];
  if (!nn || nn->status) return 0;
  va_list arguments;
  va_start(arguments, format);
  vsnprintf(text, sizeof text, format, arguments);
  va_end(arguments);
  lat__nn_keep(nn, lat_fail(status ? status : LAT_STATUS_INVALID_ARGUMENT, "%s", text));
  return 0;
}

lat_status lat_nn_status(const lat_nn *nn) {
  if (!nn) return lat_fail(LAT_STATUS_INVALID_ARGUMENT, "nn_status: nn: got NULL, expected a builder");
  return nn->status ? lat_fail(nn->status, "%s", nn->text) : LAT_STATUS_OK;
}

// --- names ----------------------------------------------------------------------------------------------------------

/// A part of a dotted name: not empty, no white space, no quote, no control characters. Dots are allowed.
static bool is_name(const char *name) {
  if (!*name) return false;
  for (; *name; name++) {
    if ((unsigned char)*name <= ' ' || *name == '"' || *name == '\\' || *name == 127) return false;
  }
  return true;
}

/// Writes the scope's prefix and `name`, or the scope's next number, into `module`.
static bool name_module(lat_nn *nn, const char *name) {
  lat__nn_scope *scope = &nn->scopes[nn->depth];
  char number[24];
  if (!name) {
    snprintf(number, sizeof number, "%lld", (long long)scope->n_modules++);
  }
  int n_bytes = snprintf(nn->module, sizeof nn->module, "%s%s", nn->path, name ? name : number);
  if (name && !is_name(name)) {
    return lat__nn_refuse(nn, LAT_STATUS_INVALID_ARGUMENT,
                          "name: got \"%.64s\", expected characters other than spaces, quotes and backslashes", name);
  }
  if (n_bytes < 0 || (size_t)n_bytes >= sizeof nn->module) {
    return lat__nn_refuse(nn, LAT_STATUS_INVALID_ARGUMENT, "name: got %d characters, expected at most %d", n_bytes,
                          LAT__NN_MAX_NAME - 1);
  }
  return true;
}

bool lat__nn_module(lat_nn *nn, const char *op, const char *name) {
  if (!nn || nn->status) return false;
  nn->op = op;
  return name_module(nn, name);
}

void lat_nn_begin(lat_nn *nn, const char *name) {
  if (!lat__nn_module(nn, "nn_begin", name)) return;
  size_t n_bytes = strlen(nn->module);
  if (nn->depth + 1 >= LAT__NN_MAX_DEPTH || n_bytes + 2 > sizeof nn->path) {
    lat__nn_refuse(nn, LAT_STATUS_INVALID_ARGUMENT, "too many scopes: got %d, expected at most %d", nn->depth + 1,
                   LAT__NN_MAX_DEPTH - 1);
    return;
  }
  nn->scopes[++nn->depth] = (lat__nn_scope){n_bytes + 1, 0};
  snprintf(nn->path, sizeof nn->path, "%.*s.", (int)n_bytes, nn->module);
}

void lat_nn_end(lat_nn *nn) {
  if (!nn || nn->status) return;
  if (nn->depth == 0) {
    lat_nn_fail(nn, LAT_STATUS_INVALID_ARGUMENT, "nn_end: no scope is open: got 0, expected lat_nn_begin before it");
    return;
  }
  nn->depth--;
  nn->path[nn->scopes[nn->depth].prefix_bytes] = 0;
}

uint64_t lat_nn_stream(const char *name) {
  return lat__hash(LAT__HASH_START, name, name ? (int64_t)strlen(name) : 0);
}

// --- life -----------------------------------------------------------------------------------------------------------

void lat_nn_destroy(lat_nn *nn) {
  if (!nn) return;
  lat_model_release(nn->model);
  lat_array_release(nn->memory);
}

lat_status lat_nn_create(lat_context *context, lat_nn **out) {
  lat_status status = LAT_STATUS_OK;
  lat_array *memory = NULL;
  if (!out) return lat_fail(LAT_STATUS_INVALID_ARGUMENT, "nn_create: out: got NULL, expected a place for the builder");
  *out = NULL;
  if (!context) return lat_fail(LAT_STATUS_INVALID_ARGUMENT, "nn_create: context: got NULL, expected a context");
  const int64_t n_bytes = (int64_t)sizeof(lat_nn);
  LAT_TRY(lat_array_full(context, LAT_DTYPE_U8, 1, &n_bytes, 0.0, &memory), done);
  lat_nn *nn = lat_array_data(memory);
  *nn = (lat_nn){.context = context, .memory = memory};
  memory = NULL;
  status = lat__model_new(context, &nn->model);
  if (status) {
    lat_nn_destroy(nn);
  } else {
    *out = nn;
  }
done:
  lat_array_release(memory);
  return status;
}

lat_status lat_nn_finish(lat_nn *nn, lat_model **out) {
  lat_status status = LAT_STATUS_OK;
  if (out) *out = NULL;
  if (!nn) return lat_fail(LAT_STATUS_INVALID_ARGUMENT, "nn_finish: nn: got NULL, expected a builder");
  if (!nn->status && nn->depth) {
    nn->path[strlen(nn->path) - 1] = 0;
    lat_nn_fail(nn, LAT_STATUS_INVALID_ARGUMENT, "nn_finish: scope \"%s\" is open: got %d open, expected 0", nn->path,
                (int)nn->depth);
  }
  if (!nn->status && !nn->model->n_outputs) {
    lat_nn_fail(nn, LAT_STATUS_INVALID_ARGUMENT, "nn_finish: the model has no output: got 0, expected at least 1");
  }
  status = lat_nn_status(nn);
  if (!status && !out) {
    status = lat_fail(LAT_STATUS_INVALID_ARGUMENT, "nn_finish: out: got NULL, expected a place for the model");
  }
  if (!status) status = lat__model_copy(nn->context, nn->model, out); // inputs come first there
  lat_nn_destroy(nn);
  return status;
}

// --- values ---------------------------------------------------------------------------------------------------------

const lat__type *lat__nn_type(lat_nn *nn, const char *what, lat_value value) {
  if (value > 0 && value <= nn->model->n_values) return &nn->model->values[value - 1].type;
  lat__nn_refuse(nn, LAT_STATUS_INVALID_ARGUMENT, "%s: got value %d, expected one of 1 to %lld", what, (int)value,
                 (long long)nn->model->n_values);
  return NULL;
}

const lat__type *lat__nn_sparse(lat_nn *nn, const char *what, lat_value value) {
  const lat__type *type = lat__nn_type(nn, what, value);
  if (!type || type->kind == LAT__TYPE_SPARSE) return type;
  lat__nn_refuse(nn, LAT_STATUS_INVALID_ARGUMENT, "%s: got %s, expected a sparse tensor", what,
                 lat__type_kind_name(type->kind));
  return NULL;
}

int64_t lat__nn_type_channels(const lat__type *type) {
  if (type->kind == LAT__TYPE_SPARSE) return type->channels;
  return type->kind == LAT__TYPE_TENSOR && type->rank == 2 ? type->dims[1] : 0;
}

int64_t lat_nn_channels(const lat_nn *nn, lat_value value) {
  if (!nn || value <= 0 || value > nn->model->n_values) return 0;
  return lat__nn_type_channels(&nn->model->values[value - 1].type);
}

bool lat__nn_channels_match(lat_nn *nn, const char *what, int64_t got, lat_value x) {
  const lat__type *type = lat__nn_type(nn, "x", x);
  if (!type) return false;
  int64_t channels = lat__nn_type_channels(type);
  if (got > 0 && got == channels) return true;
  return lat__nn_refuse(nn, LAT_STATUS_INVALID_SHAPE, "%s must match the input: got %lld, expected %lld", what,
                        (long long)got, (long long)channels);
}

bool lat__nn_options(lat_nn *nn, const void *opts, size_t known_bytes, void *target) {
  if (!nn || nn->status) return false;
  return lat__nn_keep(nn, lat__model_copy_opts("nn", opts, known_bytes, target)) == LAT_STATUS_OK;
}

bool lat__nn_triple(lat_nn *nn, const char *what, lat_triple *value, int32_t fallback, int32_t least) {
  if (value->x == 0 && value->y == 0 && value->z == 0) {
    *value = lat_triple_all(fallback);
    return true;
  }
  if (value->x >= least && value->y >= least && value->z >= least) return true;
  return lat__nn_refuse(nn, LAT_STATUS_INVALID_ARGUMENT, "%s values must be %s: got (%d, %d, %d), expected at least %d",
                        what, least > 0 ? "positive" : "non-negative", (int)value->x, (int)value->y, (int)value->z,
                        (int)least);
}

bool lat__nn_check_support(lat_nn *nn, lat_support support, lat_triple *bounds) {
  bool none = bounds->x == 0 && bounds->y == 0 && bounds->z == 0;
  if (support != LAT_SUPPORT_FLOOR && support != LAT_SUPPORT_REACH) {
    return lat__nn_refuse(nn, LAT_STATUS_INVALID_ARGUMENT, "support: got %d, expected a lat_support", (int)support);
  }
  if (none) return true;
  if (support == LAT_SUPPORT_REACH) return lat__nn_triple(nn, "bounds", bounds, 0, 1);
  return lat__nn_refuse(nn, LAT_STATUS_INVALID_ARGUMENT, "bounds: got some with floor support, expected reach");
}

void lat__nn_set_support(lat__op *op, lat_support support, lat_triple bounds) {
  if (support != LAT_SUPPORT_REACH) return;
  lat__op_set_choice(op, LAT__ATTR_SUPPORT, 1);
  if (bounds.x) lat__op_set_triple(op, LAT__ATTR_BOUNDS, bounds);
}

// --- operations and parameters --------------------------------------------------------------------------------------

int32_t lat__nn_emit(lat_nn *nn, lat__op_kind kind, const lat_value *operands, int32_t n_operands,
                     const lat__type *type) {
  int32_t values[16], n_values = 0, op = -1;
  if (nn->status || n_operands > 16) return -1;
  for (int32_t i = 0; i < n_operands; i++) {
    if (operands[i]) values[n_values++] = operands[i] - 1;
  }
  if (lat__nn_keep(nn, lat__model_add_op(nn->context, nn->model, kind, values, n_values, &op))) return -1;
  nn->model->values[nn->model->ops[op].results[0]].type = *type;
  return op;
}

lat__op *lat__nn_op(lat_nn *nn, int32_t op) {
  return &nn->model->ops[op];
}

lat_value lat__nn_result(lat_nn *nn, int32_t op) {
  if (nn->status || op < 0) return 0;
  int32_t value = nn->model->ops[op].results[0];
  if (lat__nn_keep(nn, lat__model_name_value(nn->context, nn->model, value, nn->module))) return 0;
  return value + 1;
}

/// The initial values, float32.
static lat_status draw(lat_nn *nn, const lat__nn_param *param, const char *key, lat_array **out) {
  if (param->init == LAT__NN_INIT_UNIFORM) {
    const double range[2] = {-param->bound, param->bound};
    return lat_array_uniform(nn->context, LAT_DTYPE_F32, param->rank, param->shape, range, lat_nn_stream(key), out);
  }
  return lat_array_full(nn->context, LAT_DTYPE_F32, param->rank, param->shape, param->init == LAT__NN_INIT_ONES, out);
}

/// Puts the initial values into `parameter`, packed when it is.
static lat_status fill(lat_nn *nn, const lat__nn_param *param, const char *key, lat__parameter *parameter) {
  lat_status status = LAT_STATUS_OK;
  lat_array *values = NULL;
  LAT_TRY(draw(nn, param, key, &values), done);
  if (param->bits) {
    lat_array_view view = lat_array_as_view(values);
    LAT_TRY(lat__parameter_pack(nn->context, parameter, &view), done);
  } else {
    lat__parameter_set(&parameter->dense, values);
  }
done:
  lat_array_release(values);
  return status;
}

lat_value lat__nn_parameter(lat_nn *nn, const lat__nn_param *param) {
  char key[LAT__NN_MAX_NAME + 16];
  int32_t index = -1, value = -1;
  lat__packing packing = {param->bits, param->group_size, LAT__ELEM_F32};
  if (nn->status) return 0;
  // A packed weight is three arrays under the module's name; the stream is that of the dense weight all the same.
  snprintf(key, sizeof key, "%s.%s", nn->module, param->name);
  const char *stored = param->bits ? nn->module : key;
  if (lat__model_find_parameter(nn->model, stored) >= 0) {
    lat__nn_refuse(nn, LAT_STATUS_INVALID_ARGUMENT, "name is taken: got a second %s, expected names of their own",
                   stored);
    return 0;
  }
  if (lat__nn_keep(nn, lat__model_add_parameter(nn->context, nn->model, stored, param->family, &packing, &index))) {
    return 0;
  }
  lat__parameter *parameter = &nn->model->parameters[index];
  parameter->is_statistic = param->is_statistic;
  parameter->is_constant = param->is_constant;
  if (lat__nn_keep(nn, fill(nn, param, key, parameter))) return 0;
  lat__elem elem = param->bits == 4 ? LAT__ELEM_I4 : param->bits == 8 ? LAT__ELEM_I8 : LAT__ELEM_F32;
  if (lat__nn_keep(nn, lat__model_add_weight(nn->context, nn->model, index, elem, &value))) return 0;
  return value + 1;
}

lat_value lat__nn_open(lat_nn *nn, lat_value x) {
  const lat__type *type = lat__nn_type(nn, "x", x);
  if (!type || type->kind != LAT__TYPE_SPARSE) return type ? x : 0;
  lat__type sparse = *type;
  lat__type coords = {.kind = LAT__TYPE_TENSOR, .elem = LAT__ELEM_I32, .rank = 2, .dims = {-1, 4}};
  lat__type active = {.kind = LAT__TYPE_TENSOR, .elem = LAT__ELEM_I32, .rank = 1, .dims = {1}};
  lat__type feats = {.kind = LAT__TYPE_TENSOR, .elem = sparse.elem, .rank = 2, .dims = {-1, sparse.channels}};
  int32_t op = lat__nn_emit(nn, LAT__OP_SPARSE_DECOMPOSE, &x, 1, &coords);
  if (op < 0) return 0;
  const int32_t *results = nn->model->ops[op].results;
  nn->model->values[results[1]].type = feats;
  nn->model->values[results[2]].type = active;
  return results[1] + 1;
}

lat_value lat__nn_close(lat_nn *nn, lat_value x, lat_value features) {
  if (nn->status || !features) return 0;
  const lat__type *type = lat__nn_type(nn, "x", x);
  if (!type || type->kind != LAT__TYPE_SPARSE) return type ? features : 0;
  lat__type sparse = *type;
  const lat__type *dense = lat__nn_type(nn, "features", features);
  if (!dense) return 0;
  sparse.elem = dense->elem;
  sparse.channels = lat__nn_type_channels(dense);
  const lat_value operands[2] = {x, features};
  int32_t op = lat__nn_emit(nn, LAT__OP_SPARSE_WITH_FEATURES, operands, 2, &sparse);
  return op < 0 ? 0 : nn->model->ops[op].results[0] + 1;
}
