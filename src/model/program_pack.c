// Packing: the weight of every chain as the kernels read it, once for the program and all its sessions.
#include "core/compiler.h"
#include "model/program_internal.h"

/// The weight that a chain's plans are made of; false where the graph does not tell its shape.
static bool weight_of(const lat_program *program, const lat__chain *chain, lat_weight *out) {
  const lat_model *model = program->model;
  const lat__op *op = &model->ops[chain->conv];
  int32_t operand = op->operands[lat__has_target(op->kind) ? 2 : 1];
  const lat__constant *constant = &program->constants[model->ops[model->values[operand].op].parameter];
  const lat_array *dense = chain->folded_weight ? chain->folded_weight : constant->dense;
  if (!dense && !constant->packed) return false;
  *out = dense ? lat_weight_dense(lat_array_as_view(dense)) : lat_weight_packed(constant->packed);
  return true;
}

lat_status lat__program_pack(lat_context *context, lat_program *program) {
  lat_status status = LAT_STATUS_OK;
  for (int64_t i = 0; i < program->n_chains && !status; i++) {
    lat__chain *chain = &program->chains[i];
    const lat__op *op = &program->model->ops[chain->conv];
    lat_weight weight;
    lat_weight_panels_opts opts = LAT_WEIGHT_PANELS_OPTS_INIT;
    if (!weight_of(program, chain, &weight)) continue;
    opts.dtype = program->dtype;
    opts.groups = (int32_t)lat__op_int(op, LAT__ATTR_GROUPS, 0);
    opts.normalized = lat__op_attr_of(op, LAT__ATTR_EPS) != NULL;
    status = lat_weight_panels_create(context, &weight, &opts, &chain->panels);
  }
  return status;
}
