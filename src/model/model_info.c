// What a model holds, as public structs.
#include "model/artifact.h"

int32_t lat_model_version(const lat_model *model) {
  return lat__model_version(model);
}

int64_t lat_model_n_operations(const lat_model *model) {
  return model->n_ops;
}

const char *lat_model_operation_name(const lat_model *model, int64_t index) {
  return lat__op_table[model->ops[index].kind].name;
}

int64_t lat_model_n_parameters(const lat_model *model) {
  return model->n_parameters;
}

lat_model_parameter lat_model_get_parameter(const lat_model *model, int64_t index) {
  const lat__parameter *p = &model->parameters[index];
  lat_model_parameter shown = {.name = p->key,
                               .family = lat__family_name(p->family),
                               .bits = p->packing.bits,
                               .group_size = p->packing.group_size,
                               .is_statistic = p->is_statistic,
                               .dense = p->dense,
                               .words = p->words,
                               .scales = p->scales,
                               .biases = p->biases};
  return shown;
}

int64_t lat_model_find_parameter(const lat_model *model, const char *name) {
  return lat__model_find_parameter(model, name);
}

static lat_model_port port_of(const lat_model *model, const lat__port *port) {
  const lat__type *type = &model->values[port->value].type;
  lat_model_port shown = {.name = port->name,
                          .role = lat__role_name(port->role),
                          .is_sparse = type->kind == LAT__TYPE_SPARSE,
                          .elem = lat__elem_name(type->elem),
                          .stride = {1, 1, 1},
                          .rank = type->kind == LAT__TYPE_TENSOR ? type->rank : 0};
  for (int32_t axis = 0; axis < shown.rank; axis++) shown.shape[axis] = type->dims[axis];
  return shown;
}

int64_t lat_model_n_inputs(const lat_model *model) {
  return model->n_inputs;
}

int64_t lat_model_n_outputs(const lat_model *model) {
  return model->n_outputs;
}

lat_model_port lat_model_input(const lat_model *model, int64_t index) {
  lat_model_port shown = port_of(model, &model->inputs[index]);
  for (int64_t i = 0; i < model->n_ops; i++) {
    const lat__op *op = &model->ops[i];
    for (int32_t k = 0; op->kind == LAT__OP_SPARSE_MAKE && k < op->n_operands; k++) {
      if (op->operands[k] != model->inputs[index].value) continue;
      shown.stride = lat__op_triple(op, LAT__ATTR_STRIDE, shown.stride);
      return shown;
    }
  }
  return shown;
}

lat_model_port lat_model_output(const lat_model *model, int64_t index) {
  return port_of(model, &model->outputs[index]);
}
