// Inputs and outputs of nn.h's models.
#include <stdio.h>
#include <string.h>

#include "core/compiler.h"
#include "model/nn_internal.h"

/// Starts a module that stands for an input or output: its name is the caller's, whatever scope is open.
static bool open_port(lat_nn *nn, const char *op, const char *name) {
  if (!nn || nn->status) return false;
  nn->op = op;
  snprintf(nn->module, sizeof nn->module, "%s", name ? name : "");
  if (!name || !*name) return lat__nn_refuse(nn, LAT_STATUS_INVALID_ARGUMENT, "name: got none, expected a name");
  return true;
}

/// One argument of the graph.
static lat_value add_input(lat_nn *nn, const char *suffix, lat__role role, const lat__type *type) {
  char name[LAT__NN_MAX_NAME + 16];
  int32_t value = -1;
  if (nn->status) return 0;
  snprintf(name, sizeof name, "%s%s", nn->module, suffix);
  for (int64_t i = 0; i < nn->model->n_inputs; i++) {
    if (strcmp(nn->model->inputs[i].name, name) == 0) {
      lat__nn_refuse(nn, LAT_STATUS_INVALID_ARGUMENT, "name is taken: got a second %s, expected names of their own",
                     name);
      return 0;
    }
  }
  if (lat__nn_keep(nn, lat__model_add_input(nn->context, nn->model, name, role, type, &value))) return 0;
  return value + 1;
}

static lat__type tensor_type(lat__elem elem, int32_t rank, int64_t rows, int64_t columns) {
  return (lat__type){.kind = LAT__TYPE_TENSOR, .elem = elem, .rank = rank, .dims = {rows, columns}};
}

static bool check_elem(lat_nn *nn, lat_dtype dtype, bool integers) {
  if (dtype == LAT_DTYPE_F32 || dtype == LAT_DTYPE_F16 || dtype == LAT_DTYPE_BF16) return true;
  if (integers && dtype == LAT_DTYPE_I32) return true;
  return lat__nn_refuse(nn, LAT_STATUS_INVALID_DTYPE, "dtype: got %s, expected float32, float16%s",
                        lat_dtype_name(dtype), integers ? ", bfloat16 or int32" : " or bfloat16");
}

lat_value lat_nn_input(lat_nn *nn, const char *name, int64_t channels, const lat_nn_input_opts *opts) {
  lat_nn_input_opts options = LAT_NN_INPUT_OPTS_INIT;
  if (!open_port(nn, "nn_input", name) || !lat__nn_options(nn, opts, sizeof options, &options)) return 0;
  if (!options.dtype) options.dtype = LAT_DTYPE_F32;
  if (!check_elem(nn, options.dtype, false) || !lat__nn_triple(nn, "stride", &options.stride, 1, 1)) return 0;
  if (channels <= 0) {
    lat__nn_refuse(nn, LAT_STATUS_INVALID_SHAPE, "channels: got %lld, expected at least 1", (long long)channels);
    return 0;
  }
  lat__elem elem = lat__dtype_elem(options.dtype);
  lat__type coords = tensor_type(LAT__ELEM_I32, 2, -1, 4), feats = tensor_type(elem, 2, -1, channels);
  lat__type active = tensor_type(LAT__ELEM_I32, 1, 1, 0);
  lat__type sparse = {.kind = LAT__TYPE_SPARSE, .elem = elem, .channels = channels};
  const lat_value operands[3] = {add_input(nn, "_coords", LAT__ROLE_SPARSE_COORDS, &coords),
                                 add_input(nn, "_features", LAT__ROLE_SPARSE_FEATURES, &feats),
                                 add_input(nn, "_active", LAT__ROLE_SPARSE_ACTIVE, &active)};
  int32_t op = lat__nn_emit(nn, LAT__OP_SPARSE_MAKE, operands, 3, &sparse);
  if (op < 0) return 0;
  lat__op_set_triple(lat__nn_op(nn, op), LAT__ATTR_STRIDE, options.stride);
  lat__op_set_choice(lat__nn_op(nn, op), LAT__ATTR_COORD_ORDER, 0);
  if (options.zyx) lat__op_set_choice(lat__nn_op(nn, op), LAT__ATTR_AXES, 1);
  return lat__nn_result(nn, op);
}

lat_value lat_nn_input_array(lat_nn *nn, const char *name, int64_t channels, lat_dtype dtype) {
  if (!open_port(nn, "nn_input_array", name) || !check_elem(nn, dtype, true)) return 0;
  if (channels < 0) {
    lat__nn_refuse(nn, LAT_STATUS_INVALID_SHAPE, "channels: got %lld, expected at least 0", (long long)channels);
    return 0;
  }
  lat__type type = tensor_type(lat__dtype_elem(dtype), channels ? 2 : 1, -1, channels);
  return add_input(nn, "", LAT__ROLE_TENSOR, &type);
}

lat_nn_points lat_nn_input_points(lat_nn *nn, const char *name, int64_t channels) {
  lat_nn_points points = {0, 0, 0, 0};
  if (!open_port(nn, "nn_input_points", name)) return points;
  if (channels <= 0) {
    lat__nn_refuse(nn, LAT_STATUS_INVALID_SHAPE, "channels: got %lld, expected at least 1", (long long)channels);
    return points;
  }
  lat__type xyz = tensor_type(LAT__ELEM_F32, 2, -1, 3), feats = tensor_type(LAT__ELEM_F32, 2, -1, channels);
  lat__type batch = tensor_type(LAT__ELEM_I32, 1, -1, 0), active = tensor_type(LAT__ELEM_I32, 1, 1, 0);
  points.points = add_input(nn, "_points", LAT__ROLE_TENSOR, &xyz);
  points.features = add_input(nn, "_features", LAT__ROLE_TENSOR, &feats);
  points.batch_indices = add_input(nn, "_batch", LAT__ROLE_TENSOR, &batch);
  points.active = add_input(nn, "_active", LAT__ROLE_TENSOR, &active);
  return points;
}

void lat_nn_output(lat_nn *nn, const char *name, lat_value value) {
  if (!open_port(nn, "nn_output", name)) return;
  const lat__type *type = lat__nn_type(nn, "value", value);
  if (!type) return;
  if (type->kind == LAT__TYPE_WEIGHT) {
    lat__nn_refuse(nn, LAT_STATUS_INVALID_ARGUMENT, "value: got a weight, expected a sparse or dense value");
    return;
  }
  for (int64_t i = 0; i < nn->model->n_outputs; i++) {
    if (strcmp(nn->model->outputs[i].name, name) != 0) continue;
    lat__nn_refuse(nn, LAT_STATUS_INVALID_ARGUMENT, "name is taken: got a second %s, expected names of their own",
                   name);
    return;
  }
  lat__role role = type->kind == LAT__TYPE_SPARSE ? LAT__ROLE_SPARSE_TENSOR : LAT__ROLE_TENSOR;
  lat__nn_keep(nn, lat__model_add_output(nn->context, nn->model, name, role, value - 1));
}
