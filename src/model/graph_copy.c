// Copies of a model. Values are numbered anew: inputs first, as everybody who walks a graph expects, however the graph was
// built.
#include <string.h>

#include "core/compiler.h"
#include "model/graph.h"

static lat_status copy_parameter(lat_context *context, const lat__parameter *from, lat_model *to) {
  lat_status status = LAT_STATUS_OK;
  int32_t index = -1;
  LAT_TRY(lat__model_add_parameter(context, to, from->key, from->family, &from->packing, &index), done);
  lat__parameter *parameter = &to->parameters[index];
  parameter->is_statistic = from->is_statistic;
  parameter->is_constant = from->is_constant;
  lat__parameter_set(&parameter->dense, from->dense);
  lat__parameter_set(&parameter->words, from->words);
  lat__parameter_set(&parameter->scales, from->scales);
  lat__parameter_set(&parameter->biases, from->biases);
done:
  return status;
}

static lat_status copy_text(lat_context *context, lat_model *to, const char *text, const char **out) {
  *out = NULL;
  return text ? lat__arena_text(context, &to->arena, text, (int64_t)strlen(text), out) : LAT_STATUS_OK;
}

/// `map` gives the new number of each old value.
static lat_status copy_op(lat_context *context, const lat_model *from, const lat__op *op, int32_t *map, lat_model *to) {
  lat_status status = LAT_STATUS_OK;
  int32_t index = -1;
  LAT_TRY(lat__model_add_op(context, to, op->kind, op->operands, op->n_operands, &index), done);
  lat__op *copied = &to->ops[index];
  for (int32_t i = 0; i < op->n_operands; i++) copied->operands[i] = map[op->operands[i]];
  for (int32_t i = 0; i < op->n_results; i++) map[op->results[i]] = copied->results[i];
  const lat__op_desc *desc = &lat__op_table[op->kind];
  copied->parameter = op->parameter;
  copied->line = op->line;
  copied->column = op->column;
  LAT_TRY(copy_text(context, to, op->symbol, &copied->symbol), done);
  for (int32_t i = 0; i < desc->n_attrs; i++) {
    copied->attrs[i] = op->attrs[i];
    bool is_text = lat__attr_table[desc->attrs[i].key].kind == LAT__ATTR_KIND_TEXT;
    if (is_text && op->attrs[i].present) {
      LAT_TRY(copy_text(context, to, op->attrs[i].u.text, &copied->attrs[i].u.text), done);
    }
  }
  for (int32_t i = 0; i < op->n_results; i++) {
    const lat__value *value = &from->values[op->results[i]];
    to->values[copied->results[i]].type = value->type;
    if (value->name) LAT_TRY(lat__model_name_value(context, to, copied->results[i], value->name), done);
  }
done:
  return status;
}

/// Inputs, with their numbers in `map`.
static lat_status copy_inputs(lat_context *context, const lat_model *model, int32_t *map, lat_model *copy) {
  lat_status status = LAT_STATUS_OK;
  for (int64_t i = 0; i < model->n_inputs; i++) {
    const lat__port *port = &model->inputs[i];
    const lat__value *value = &model->values[port->value];
    LAT_TRY(lat__model_add_input(context, copy, port->name, port->role, &value->type, &map[port->value]), done);
    if (value->name) LAT_TRY(lat__model_name_value(context, copy, map[port->value], value->name), done);
  }
done:
  return status;
}

static lat_status copy_model(lat_context *context, const lat_model *model, bool training, lat_model **out) {
  lat_status status = LAT_STATUS_OK;
  lat_model *copy = NULL;
  lat_array *numbers = NULL;
  *out = NULL;
  LAT_TRY(lat__model_new(context, &copy), done);
  LAT_TRY(lat_array_full(context, LAT_DTYPE_I32, 1, &model->n_values, 0.0, &numbers), done);
  int32_t *map = lat_array_data(numbers);
  LAT_TRY(copy_inputs(context, model, map, copy), done);
  for (int64_t i = 0; i < model->n_parameters; i++) {
    LAT_TRY(copy_parameter(context, &model->parameters[i], copy), done);
  }
  for (int64_t i = 0; i < model->n_ops; i++) {
    const lat__op *op = &model->ops[i];
    if (!training && op->kind == LAT__OP_DROPOUT) {
      map[op->results[0]] = map[op->operands[0]];
      continue;
    }
    LAT_TRY(copy_op(context, model, op, map, copy), done);
    lat__attr *momentum = lat__op_attr_of(&copy->ops[copy->n_ops - 1], LAT__ATTR_MOMENTUM);
    if (!training && momentum) momentum->present = false;
  }
  for (int64_t i = 0; i < model->n_outputs; i++) {
    const lat__port *port = &model->outputs[i];
    LAT_TRY(lat__model_add_output(context, copy, port->name, port->role, map[port->value]), done);
  }
  *out = copy;
  copy = NULL;
done:
  lat_array_release(numbers);
  lat_model_release(copy);
  return status;
}

lat_status lat__model_copy(lat_context *context, const lat_model *model, lat_model **out) {
  return copy_model(context, model, true, out);
}

lat_status lat__model_copy_inference(lat_context *context, const lat_model *model, lat_model **out) {
  return copy_model(context, model, false, out);
}
