// Converted copies of a model: another dtype, or packed weights.
#include <stdio.h>
#include <string.h>

#include <lattice/model_params.h>

#include "core/compiler.h"
#include "model/graph.h"

static bool is_conv(const lat__op *op) {
  return lat__op_attr_of(op, LAT__ATTR_ACCUMULATION) != NULL;
}

static bool is_normalized(const lat__op *op) {
  return is_conv(op) && lat__op_attr_of(op, LAT__ATTR_EPS) != NULL;
}

/// The `weight` operation behind an operand, or NULL.
static lat__op *weight_op(lat_model *model, const lat__op *op, int32_t operand) {
  const lat__value *value = &model->values[op->operands[operand]];
  return value->type.kind == LAT__TYPE_WEIGHT && value->op >= 0 ? &model->ops[value->op] : NULL;
}

// --- dtype ----------------------------------------------------------------------------------------------------------

/// Casts a parameter once.
static lat_status cast_parameter(lat_context *context, lat_model *model, lat__op *weight, lat_dtype dtype) {
  lat__parameter *parameter = &model->parameters[weight->parameter];
  lat_array *cast = NULL;
  model->values[weight->results[0]].type.elem = lat__dtype_elem(dtype);
  if (parameter->packing.bits || !parameter->dense) return LAT_STATUS_OK;
  lat_array_view view = lat_array_as_view(parameter->dense);
  if (view.dtype == dtype) return LAT_STATUS_OK;
  lat_status status = lat_array_cast(context, &view, dtype, &cast);
  if (!status) lat__parameter_set(&parameter->dense, cast);
  lat_array_release(cast);
  return status;
}

/// Element types of results follow those of the operands, but where an operation fixes its own.
static void retype(lat_model *model, const lat__op *op) {
  lat__elem elem = LAT__ELEM_F32;
  switch (op->kind) {
  case LAT__OP_WEIGHT:
  case LAT__OP_VOXELIZE:
  case LAT__OP_DEVOXELIZE:
  case LAT__OP_EMBEDDING_LOOKUP:
  case LAT__OP_ELEMENTWISE:
  case LAT__OP_SOFTMAX:
    return;
  case LAT__OP_SPARSE_MAKE:
  case LAT__OP_SPARSE_WITH_FEATURES:
    elem = model->values[op->operands[1]].type.elem;
    break;
  default:
    elem = model->values[op->operands[0]].type.elem;
  }
  model->values[op->results[op->kind == LAT__OP_SPARSE_DECOMPOSE ? 1 : 0]].type.elem = elem;
}

static lat_status to_dtype(lat_context *context, lat_model *model, lat_dtype dtype) {
  lat_status status = LAT_STATUS_OK;
  for (int64_t i = 0; i < model->n_inputs; i++) {
    if (model->inputs[i].role != LAT__ROLE_SPARSE_FEATURES) continue;
    model->values[model->inputs[i].value].type.elem = lat__dtype_elem(dtype);
  }
  for (int64_t i = 0; i < model->n_ops; i++) {
    const lat__op *op = &model->ops[i];
    retype(model, op);
    for (int32_t k = 0; k < op->n_operands && (is_conv(op) || op->kind == LAT__OP_LINEAR); k++) {
      lat__op *weight = weight_op(model, op, k);
      if (weight) LAT_TRY(cast_parameter(context, model, weight, dtype), done);
    }
  }
done:
  return status;
}

// --- packed weights -------------------------------------------------------------------------------------------------

/// The module's name: the key without ".weight".
static void module_of(const char *key, char *name, size_t room) {
  size_t n = strlen(key), m = strlen(".weight");
  if (n > m && strcmp(key + n - m, ".weight") == 0) n -= m;
  snprintf(name, room, "%.*s", (int)n, key);
}

/// Packs a parameter and renames it after its module. The weight's operations follow.
static lat_status pack(lat_context *context, lat_model *model, int32_t index, const lat_convert_opts *opts,
                       const char *module) {
  lat_status status = LAT_STATUS_OK;
  lat__parameter *parameter = &model->parameters[index];
  lat_array *values = lat_array_retain(parameter->dense), *wide = NULL;
  lat_array_view view = lat_array_as_view(values);
  const char *name = NULL;
  if (view.dtype == LAT_DTYPE_BF16) { // packing takes float32 and float16
    LAT_TRY(lat_array_cast(context, &view, LAT_DTYPE_F32, &wide), done);
    view = lat_array_as_view(wide);
  }
  int64_t c_in = view.shape[view.rank - 1];
  parameter->packing.bits = opts->bits;
  parameter->packing.group_size = opts->group_size ? opts->group_size : c_in >= 64 ? 64 : 32;
  parameter->packing.scale_elem = lat__dtype_elem(view.dtype);
  LAT_TRY(lat__parameter_pack(context, parameter, &view), done);
  LAT_TRY(lat__arena_text(context, &model->arena, module, (int64_t)strlen(module), &name), done);
  LAT_TRY(lat__names_add(context, &model->arena, &model->parameter_names, name, index), done);
  parameter->key = name;
  for (int64_t i = 0; i < model->n_ops; i++) {
    lat__op *op = &model->ops[i];
    if (op->kind != LAT__OP_WEIGHT || op->parameter != index) continue;
    *lat__op_attr_of(op, LAT__ATTR_STORAGE_KEY) = (lat__attr){.present = true, .u.text = name};
    *lat__op_attr_of(op, LAT__ATTR_PACKING) = (lat__attr){.present = true, .u.packing = parameter->packing};
    model->values[op->results[0]].type.elem = opts->bits == 4 ? LAT__ELEM_I4 : LAT__ELEM_I8;
  }
done:
  lat_array_release(values);
  lat_array_release(wide);
  return status;
}

static lat_status refuse_normalized(const char *module) {
  return lat_fail(LAT_STATUS_INVALID_ARGUMENT,
                  "model_convert: %s: packing would drop the normalization: got a normalized convolution, expected a "
                  "plain one",
                  module);
}

static lat_status to_packed(lat_context *context, lat_model *model, const lat_convert_opts *opts) {
  lat_status status = LAT_STATUS_OK;
  char module[320];
  int64_t n_packed = 0;
  for (int64_t i = 0; i < model->n_ops; i++) {
    const lat__op *op = &model->ops[i];
    for (int32_t k = 0; k < op->n_operands && (is_conv(op) || op->kind == LAT__OP_LINEAR); k++) {
      const lat__op *weight = weight_op(model, op, k);
      if (!weight) continue;
      const lat__parameter *parameter = &model->parameters[weight->parameter];
      if (parameter->family != LAT__FAMILY_CONV3D && parameter->family != LAT__FAMILY_LINEAR) continue;
      module_of(parameter->key, module, sizeof module);
      if (opts->module && strcmp(opts->module, module) != 0) continue;
      n_packed++;
      if (is_normalized(op)) return refuse_normalized(module);
      if (parameter->packing.bits || !parameter->dense) continue;
      LAT_TRY(pack(context, model, weight->parameter, opts, module), done);
    }
  }
  if (opts->module && !n_packed) {
    status = lat_fail(LAT_STATUS_INVALID_ARGUMENT,
                      "model_convert: no convolution or linear layer of that name: got \"%.128s\", expected a module",
                      opts->module);
  }
done:
  return status;
}

// --- the call -------------------------------------------------------------------------------------------------------

static lat_status check_opts(const lat_convert_opts *o) {
  int n_set = (o->dtype != 0) + (o->bits != 0) + (o->inference != 0);
  if (n_set != 1) {
    return lat_fail(LAT_STATUS_INVALID_ARGUMENT,
                    "model_convert: dtype, bits and inference: got %s, expected exactly one of them",
                    n_set ? "more than one" : "none");
  }
  if (o->dtype && o->dtype != LAT_DTYPE_F32 && o->dtype != LAT_DTYPE_F16 && o->dtype != LAT_DTYPE_BF16) {
    return lat_fail(LAT_STATUS_INVALID_DTYPE, "model_convert: dtype: got %s, expected float32, float16 or bfloat16",
                    lat_dtype_name(o->dtype));
  }
  if (o->bits && o->bits != 4 && o->bits != 8) {
    return lat_fail(LAT_STATUS_INVALID_ARGUMENT, "model_convert: bits: got %d, expected 4 or 8", (int)o->bits);
  }
  if (o->group_size && o->group_size != 32 && o->group_size != 64 && o->group_size != 128) {
    return lat_fail(LAT_STATUS_INVALID_ARGUMENT,
                    "model_convert: group_size must be 32, 64, or 128: got %d, expected one of them",
                    (int)o->group_size);
  }
  if (!o->bits && (o->module || o->group_size)) {
    return lat_fail(LAT_STATUS_INVALID_ARGUMENT,
                    "model_convert: module and group_size: got one without bits, expected them with bits");
  }
  return LAT_STATUS_OK;
}

lat_status lat_model_convert(lat_context *context, const lat_model *model, const lat_convert_opts *opts,
                             lat_model **out) {
  lat_status status = LAT_STATUS_OK;
  lat_model *copy = NULL;
  lat_convert_opts o = LAT_CONVERT_OPTS_INIT;
  if (out) *out = NULL;
  if (!context || !model || !opts || !out) {
    return lat_fail(LAT_STATUS_INVALID_ARGUMENT, "model_convert: %s: got NULL, expected one",
                    !context ? "context"
                    : !model ? "model"
                    : !opts  ? "opts"
                             : "out");
  }
  LAT_TRY(lat__model_copy_opts("model_convert", opts, sizeof o, &o), done);
  LAT_TRY(check_opts(&o), done);
  LAT_TRY(o.inference ? lat__model_copy_inference(context, model, &copy) : lat__model_copy(context, model, &copy),
          done);
  if (o.dtype) LAT_TRY(to_dtype(context, copy, o.dtype), done);
  if (o.bits) LAT_TRY(to_packed(context, copy, &o), done);
  *out = copy;
  copy = NULL;
done:
  lat_model_release(copy);
  return status;
}
