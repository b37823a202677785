// Building a graph: values, operations, parameters, and the life of the model that holds them.
#include "model/graph.h"

#include <stdio.h>
#include <string.h>

#include "core/checked.h"
#include "core/compiler.h"

static const char *const role_names[] = {"tensor", "sparse_coords", "sparse_features", "sparse_active",
                                         "sparse_tensor"};

const char *lat__role_name(lat__role role) {
  return role_names[role];
}

// --- the model ------------------------------------------------------------------------------------------------------

lat_status lat__model_new(lat_context *context, lat_model **out) {
  lat_status status = LAT_STATUS_OK;
  lat__arena arena = {NULL, 0, 0};
  void *memory = NULL;
  *out = NULL;
  LAT_TRY(lat__arena_take(context, &arena, 1, sizeof(lat_model), &memory), done);
  lat_model *model = memory;
  atomic_init(&model->refcount, 1);
  model->arena = arena;
  *out = model;
done:
  return status;
}

lat_model *lat_model_retain(const lat_model *model) {
  lat_model *shared = (lat_model *)model;
  if (shared) atomic_fetch_add_explicit(&shared->refcount, 1, memory_order_relaxed);
  return shared;
}

void lat_model_release(lat_model *model) {
  if (!model || atomic_fetch_sub_explicit(&model->refcount, 1, memory_order_acq_rel) != 1) return;
  for (int64_t i = 0; i < model->n_parameters; i++) {
    lat__parameter *parameter = &model->parameters[i];
    lat_array_release(parameter->dense);
    lat_array_release(parameter->words);
    lat_array_release(parameter->scales);
    lat_array_release(parameter->biases);
  }
  lat__arena arena = model->arena; // holds the model itself
  lat__arena_end(&arena);
}

// --- values and operations ------------------------------------------------------------------------------------------

/// Appends `item` to one of the model's lists.
static lat_status append(lat_context *context, lat_model *model, void *items, int64_t *count, int64_t *room,
                         const void *item, size_t item_bytes) {
  lat_status status = LAT_STATUS_OK;
  void *place = NULL;
  memcpy(&place, items, sizeof place); // a pointer to the list's own pointer type
  if (*count >= INT32_MAX / 2) return lat_fail(LAT_STATUS_OVERFLOW, "model: a graph of 2^30 items or more");
  LAT_TRY(lat__arena_grow(context, &model->arena, *count, item_bytes, room, &place), done);
  memcpy(items, &place, sizeof place);
  memcpy((unsigned char *)place + (size_t)*count * item_bytes, item, item_bytes);
  ++*count;
done:
  return status;
}

static lat_status add_value(lat_context *context, lat_model *model, const lat__value *value, int32_t *index) {
  lat_status status =
      append(context, model, &model->values, &model->n_values, &model->room_values, value, sizeof *value);
  if (!status) *index = (int32_t)model->n_values - 1;
  return status;
}

static lat_status copy_text(lat_context *context, lat_model *model, const char *text, const char **out) {
  *out = NULL;
  return text ? lat__arena_text(context, &model->arena, text, (int64_t)strlen(text), out) : LAT_STATUS_OK;
}

lat_status lat__model_add_input(lat_context *context, lat_model *model, const char *name, lat__role role,
                                const lat__type *type, int32_t *value) {
  lat_status status = LAT_STATUS_OK;
  lat__port port = {NULL, role, 0};
  LAT_TRY(copy_text(context, model, name, &port.name), done);
  lat__value input = {port.name, *type, -1, (int32_t)model->n_inputs};
  LAT_TRY(add_value(context, model, &input, &port.value), done);
  LAT_TRY(append(context, model, &model->inputs, &model->n_inputs, &model->room_inputs, &port, sizeof port), done);
  *value = port.value;
done:
  return status;
}

lat_status lat__model_add_output(lat_context *context, lat_model *model, const char *name, lat__role role,
                                 int32_t value) {
  lat_status status = LAT_STATUS_OK;
  lat__port port = {NULL, role, value};
  LAT_TRY(copy_text(context, model, name, &port.name), done);
  LAT_TRY(append(context, model, &model->outputs, &model->n_outputs, &model->room_outputs, &port, sizeof port), done);
done:
  return status;
}

lat_status lat__model_add_op(lat_context *context, lat_model *model, lat__op_kind kind, const int32_t *operands,
                             int32_t n_operands, int32_t *op) {
  lat_status status = LAT_STATUS_OK;
  const lat__op_desc *desc = &lat__op_table[kind];
  lat__op added = {.kind = kind, .n_operands = n_operands, .n_results = desc->n_results, .parameter = -1};
  void *memory = NULL;
  LAT_TRY(lat__arena_take(context, &model->arena, n_operands, sizeof *operands, &memory), done);
  added.operands = memory;
  if (n_operands) memcpy(added.operands, operands, (size_t)n_operands * sizeof *operands);
  LAT_TRY(lat__arena_take(context, &model->arena, desc->n_attrs, sizeof *added.attrs, &memory), done);
  added.attrs = memory;
  for (int32_t i = 0; i < desc->n_results; i++) {
    lat__value value = {NULL, {.kind = desc->results[i], .channels = -1}, (int32_t)model->n_ops, i};
    LAT_TRY(add_value(context, model, &value, &added.results[i]), done);
  }
  LAT_TRY(append(context, model, &model->ops, &model->n_ops, &model->room_ops, &added, sizeof added), done);
  *op = (int32_t)model->n_ops - 1;
done:
  return status;
}

lat_status lat__model_name_value(lat_context *context, lat_model *model, int32_t value, const char *name) {
  return copy_text(context, model, name, &model->values[value].name);
}

// --- parameters -----------------------------------------------------------------------------------------------------

int32_t lat__model_find_parameter(const lat_model *model, const char *key) {
  return (int32_t)lat__names_find(&model->parameter_names, key, (int64_t)strlen(key));
}

lat_status lat__model_add_parameter(lat_context *context, lat_model *model, const char *key, lat__family family,
                                    const lat__packing *packing, int32_t *parameter) {
  lat_status status = LAT_STATUS_OK;
  lat__parameter added = {.family = family, .packing = *packing};
  *parameter = lat__model_find_parameter(model, key);
  if (*parameter >= 0) return LAT_STATUS_OK;
  LAT_TRY(copy_text(context, model, key, &added.key), done);
  LAT_TRY(
      append(context, model, &model->parameters, &model->n_parameters, &model->room_parameters, &added, sizeof added),
      done);
  *parameter = (int32_t)model->n_parameters - 1;
  LAT_TRY(lat__names_add(context, &model->arena, &model->parameter_names, added.key, *parameter), done);
done:
  return status;
}

/// The symbol of a parameter: its key with every character that a bare identifier cannot have replaced.
static lat_status symbol_of(lat_context *context, lat_model *model, const char *key, const char **out) {
  lat_status status = LAT_STATUS_OK;
  LAT_TRY(copy_text(context, model, key, out), done);
  for (char *c = (char *)*out; *c; c++) {
    bool plain = (*c >= 'a' && *c <= 'z') || (*c >= 'A' && *c <= 'Z') || (*c >= '0' && *c <= '9' && c != *out);
    if (!plain) *c = '_';
  }
done:
  return status;
}

lat_status lat__model_add_weight(lat_context *context, lat_model *model, int32_t parameter, lat__elem elem,
                                 int32_t *value) {
  lat_status status = LAT_STATUS_OK;
  int32_t index = 0;
  const lat__parameter held = model->parameters[parameter];
  const char *symbol = NULL;
  LAT_TRY(symbol_of(context, model, held.key, &symbol), done);
  LAT_TRY(lat__model_add_op(context, model, LAT__OP_WEIGHT, NULL, 0, &index), done);
  lat__op *op = &model->ops[index];
  lat__value *result = &model->values[op->results[0]];
  op->symbol = symbol;
  op->parameter = parameter;
  *lat__op_attr_of(op, LAT__ATTR_STORAGE_KEY) = (lat__attr){.present = true, .u.text = held.key};
  *lat__op_attr_of(op, LAT__ATTR_PACKING) = (lat__attr){.present = true, .u.packing = held.packing};
  lat__op_set_choice(op, LAT__ATTR_LAYOUT, (int32_t)held.family);
  result->type.family = held.family;
  result->type.elem = elem;
  result->name = symbol;
  *value = op->results[0];
done:
  return status;
}

void lat__parameter_set(lat_array **place, const lat_array *array) {
  lat_array *old = *place;
  *place = lat_array_retain(array);
  lat_array_release(old);
}

// --- attributes -----------------------------------------------------------------------------------------------------

lat__attr *lat__op_attr_of(const lat__op *op, lat__attr_key key) {
  const lat__op_desc *desc = &lat__op_table[op->kind];
  for (int32_t i = 0; i < desc->n_attrs; i++) {
    if (desc->attrs[i].key == key) return &op->attrs[i];
  }
  return NULL;
}

void lat__op_set_int(lat__op *op, lat__attr_key key, int64_t value) {
  *lat__op_attr_of(op, key) = (lat__attr){.present = true, .u.i64 = {value, 0, 0}};
}

void lat__op_set_float(lat__op *op, lat__attr_key key, double value) {
  *lat__op_attr_of(op, key) = (lat__attr){.present = true, .u.f64 = {(double)(float)value, 0.0, 0.0}};
}

void lat__op_set_choice(lat__op *op, lat__attr_key key, int32_t choice) {
  *lat__op_attr_of(op, key) = (lat__attr){.present = true, .choice = choice};
}

void lat__op_set_triple(lat__op *op, lat__attr_key key, lat_triple value) {
  *lat__op_attr_of(op, key) = (lat__attr){.present = true, .u.i64 = {value.x, value.y, value.z}};
}

void lat__op_set_reals(lat__op *op, lat__attr_key key, const double value[3]) {
  *lat__op_attr_of(op, key) = (lat__attr){.present = true, .u.f64 = {value[0], value[1], value[2]}};
}

int64_t lat__op_int(const lat__op *op, lat__attr_key key, int64_t absent) {
  const lat__attr *attr = lat__op_attr_of(op, key);
  return attr && attr->present ? attr->u.i64[0] : absent;
}

double lat__op_float(const lat__op *op, lat__attr_key key, double absent) {
  const lat__attr *attr = lat__op_attr_of(op, key);
  return attr && attr->present ? attr->u.f64[0] : absent;
}

int32_t lat__op_choice(const lat__op *op, lat__attr_key key, int32_t absent) {
  const lat__attr *attr = lat__op_attr_of(op, key);
  return attr && attr->present ? attr->choice : absent;
}

lat_triple lat__op_triple(const lat__op *op, lat__attr_key key, lat_triple absent) {
  const lat__attr *attr = lat__op_attr_of(op, key);
  if (!attr || !attr->present) return absent;
  lat_triple value = {(int32_t)attr->u.i64[0], (int32_t)attr->u.i64[1], (int32_t)attr->u.i64[2]};
  return value;
}
