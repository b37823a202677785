// When values are there: where each appears, and until when its elements are needed. Taking a sparse value apart and putting
// it together again copies nothing, so several values may have the elements of one, their root.
#include "core/compiler.h"
#include "model/program_internal.h"

/// The operand whose elements the operation's result has, -1: it makes its own.
static int32_t source_of(const lat_program *program, const lat__op *op, int32_t result) {
  switch (op->kind) {
  case LAT__OP_SPARSE_DECOMPOSE:
    return result == 1 ? op->operands[0] : -1;
  case LAT__OP_SPARSE_WITH_FEATURES:
    return op->operands[1];
  case LAT__OP_DROPOUT:
    return program->training ? -1 : op->operands[0];
  default:
    return -1;
  }
}

static void find_roots(lat_program *program) {
  const lat_model *model = program->model;
  for (int64_t i = 0; i < model->n_values; i++) {
    program->root[i] = (int32_t)i;
    program->made_at[i] = -1;
  }
  for (int64_t i = 0; i < model->n_ops; i++) {
    const lat__op *op = &model->ops[i];
    const lat__chain *chain = program->chain_of[i] < 0 ? NULL : &program->chains[program->chain_of[i]];
    if (op->kind == LAT__OP_WEIGHT) continue;
    if (chain) {
      if (chain->ops[chain->n_ops - 1] == i) program->made_at[chain->result] = (int32_t)i;
      continue;
    }
    for (int32_t k = 0; k < op->n_results; k++) {
      int32_t source = source_of(program, op, k);
      program->made_at[op->results[k]] = (int32_t)i;
      if (source >= 0) program->root[op->results[k]] = program->root[source];
    }
  }
}

lat_status lat__program_lifetimes(lat_context *context, lat_program *program) {
  lat_status status = LAT_STATUS_OK;
  const int64_t n = program->model->n_values;
  void *memory = NULL;
  LAT_TRY(lat__arena_take(context, &program->arena, 3 * n, sizeof(int32_t), &memory), done);
  program->made_at = memory;
  program->root = program->made_at + n;
  program->root_end = program->root + n;
  find_roots(program);
  for (int64_t i = 0; i < n; i++) program->root_end[i] = program->last_use[i];
  for (int64_t i = 0; i < n; i++) {
    int32_t *end = &program->root_end[program->root[i]];
    if (*end < program->last_use[i]) *end = program->last_use[i];
  }
done:
  return status;
}
