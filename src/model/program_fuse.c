// What runs in one pass: a convolution or linear layer and the norm, residual and activation behind it, found when a model
// is compiled.
//
//     conv -> y          decompose y -> batch_norm -> with_features y     (evaluating)
//                        binary add with a value on the same set
//                        decompose   -> activation -> with_features
//
//     linear -> y          batch_norm y        activation
//
// Every value in between is read by the chain alone. The chain runs where its last operation stands; should the residual
// turn out to lie on another set, its operations run one by one instead.
#include <lattice/algebra.h>

#include "core/compiler.h"
#include "model/program_internal.h"

/// Who reads each value: how often, and the first reader.
typedef struct readers {
  int32_t *count, *first;
} readers;

static void count_readers(const lat_model *model, readers *r) {
  for (int64_t i = 0; i < model->n_values; i++) {
    r->count[i] = 0;
    r->first[i] = -1;
  }
  for (int64_t i = 0; i < model->n_ops; i++) {
    const lat__op *op = &model->ops[i];
    for (int32_t k = 0; k < op->n_operands; k++) {
      int32_t value = op->operands[k];
      if (r->count[value]++ == 0) r->first[value] = (int32_t)i;
    }
  }
  for (int64_t i = 0; i < model->n_outputs; i++) r->count[model->outputs[i].value] += 100; // never in between
}

/// The one operation on features between `value` and a value on the same set, read by nobody else; -1: there is none.
static int32_t sparse_step(const lat_model *model, const readers *r, int32_t value, int32_t steps[3]) {
  if (r->count[value] != 2) return -1;
  steps[0] = r->first[value];
  const lat__op *split = &model->ops[steps[0]];
  if (split->kind != LAT__OP_SPARSE_DECOMPOSE) return -1;
  int32_t feats = split->results[1];
  if (r->count[split->results[0]] || r->count[split->results[2]] || r->count[feats] != 1) return -1;
  steps[1] = r->first[feats];
  const lat__op *middle = &model->ops[steps[1]];
  if (middle->n_operands < 1 || middle->operands[0] != feats || r->count[middle->results[0]] != 1) return -1;
  steps[2] = r->first[middle->results[0]];
  const lat__op *join = &model->ops[steps[2]];
  bool joins = join->kind == LAT__OP_SPARSE_WITH_FEATURES && join->operands[0] == value &&
               join->operands[1] == middle->results[0];
  return joins ? steps[1] : -1;
}

/// The same behind a linear layer, whose result is the features themselves.
static int32_t dense_step(const lat_model *model, const readers *r, int32_t value, int32_t steps[3]) {
  if (r->count[value] != 1) return -1;
  steps[0] = r->first[value];
  return model->ops[steps[0]].operands[0] == value ? steps[0] : -1;
}

/// The operation on features behind `value`, -1: there is none. `*n_steps` operations belong to it.
static int32_t feature_step(const lat_model *model, const readers *r, const lat__chain *chain, int32_t value,
                            int32_t steps[3], int32_t *n_steps) {
  bool dense = model->ops[chain->conv].kind == LAT__OP_LINEAR;
  *n_steps = dense ? 1 : 3;
  return dense ? dense_step(model, r, value, steps) : sparse_step(model, r, value, steps);
}

static void add_ops(lat__chain *chain, const int32_t *ops, int32_t n) {
  for (int32_t i = 0; i < n; i++) chain->ops[chain->n_ops++] = ops[i];
}

/// Takes a norm behind `value`; the value after it.
static int32_t take_norm(const lat_program *program, const readers *r, int32_t value, lat__chain *chain) {
  int32_t steps[3], n_steps;
  const lat_model *model = program->model;
  int32_t norm = feature_step(model, r, chain, value, steps, &n_steps);
  if (norm < 0 || model->ops[norm].kind != LAT__OP_BATCH_NORM) return value;
  if (model->ops[norm].n_operands != 5 || program->training) return value;
  chain->norm = norm;
  add_ops(chain, steps, n_steps);
  return model->ops[steps[n_steps - 1]].results[0];
}

/// Takes the sum with another value.
static int32_t take_residual(const lat_program *program, const readers *r, int32_t value, lat__chain *chain) {
  const lat_model *model = program->model;
  if (r->count[value] != 1) return value;
  int32_t at = r->first[value];
  if (program->chain_of[at] >= 0) return value; // the other operand's chain has it
  const lat__op *op = &model->ops[at];
  if (op->kind != LAT__OP_SPARSE_BINARY || lat__op_choice(op, LAT__ATTR_BINARY_OP, -1) != LAT_BINARY_ADD) return value;
  int32_t other = op->operands[op->operands[0] == value];
  if (other == value) return value;
  chain->residual = other;
  add_ops(chain, &at, 1);
  return op->results[0];
}

/// Parameters that the dispatcher takes as defaults when they are zero are left to the plain call.
static bool fusible(const lat__op *op) {
  switch ((lat__activation)lat__op_choice(op, LAT__ATTR_ACTIVATION_KIND, LAT__ACTIVATION_RELU)) {
  case LAT__ACTIVATION_LEAKY_RELU:
    return lat__op_float(op, LAT__ATTR_ALPHA, 0.01) != 0.0;
  case LAT__ACTIVATION_SOFTPLUS:
    return lat__op_float(op, LAT__ATTR_THRESHOLD, 20.0) != 0.0;
  default:
    return true;
  }
}

static int32_t take_activation(const lat_model *model, const readers *r, int32_t value, lat__chain *chain) {
  int32_t steps[3], n_steps;
  int32_t activation = feature_step(model, r, chain, value, steps, &n_steps);
  if (activation < 0 || model->ops[activation].kind != LAT__OP_ACTIVATION || !fusible(&model->ops[activation])) {
    return value;
  }
  chain->activation = activation;
  add_ops(chain, steps, n_steps);
  return model->ops[steps[n_steps - 1]].results[0];
}

static void find_chain(lat_program *program, const readers *r, int32_t conv, bool fuses) {
  const lat_model *model = program->model;
  lat__chain *chain = &program->chains[program->n_chains];
  *chain = (lat__chain){.conv = conv, .norm = -1, .residual = -1, .activation = -1};
  add_ops(chain, &conv, 1);
  int32_t value = model->ops[conv].results[0];
  if (fuses) {
    value = take_norm(program, r, value, chain);
    value = take_residual(program, r, value, chain);
    value = take_activation(model, r, value, chain);
  }
  chain->result = value;
  for (int32_t i = 0; i < chain->n_ops; i++) program->chain_of[chain->ops[i]] = (int32_t)program->n_chains;
  program->n_chains++;
}

/// Operands of a chain are needed until its end.
static void extend_uses(lat_program *program, const lat__chain *chain) {
  const lat_model *model = program->model;
  int32_t last = chain->ops[chain->n_ops - 1];
  for (int32_t i = 0; i < chain->n_ops; i++) {
    const lat__op *op = &model->ops[chain->ops[i]];
    for (int32_t k = 0; k < op->n_operands; k++) {
      int32_t *use = &program->last_use[op->operands[k]];
      if (*use < last) *use = last;
    }
  }
}

lat_status lat__program_fuse(lat_context *context, lat_program *program, bool fuses) {
  lat_status status = LAT_STATUS_OK;
  const lat_model *model = program->model;
  void *memory = NULL;
  readers r;
  LAT_TRY(lat__arena_take(context, &program->arena, model->n_ops, sizeof *program->chain_of, &memory), done);
  program->chain_of = memory;
  LAT_TRY(lat__arena_take(context, &program->arena, model->n_ops, sizeof *program->chains, &memory), done);
  program->chains = memory;
  LAT_TRY(lat__arena_take(context, &program->arena, 2 * model->n_values, sizeof(int32_t), &memory), done);
  r.count = memory;
  r.first = r.count + model->n_values;
  count_readers(model, &r);
  for (int64_t i = 0; i < model->n_ops; i++) program->chain_of[i] = -1;
  for (int64_t i = 0; i < model->n_ops; i++) {
    bool multiplies = lat__op_attr_of(&model->ops[i], LAT__ATTR_ACCUMULATION) || model->ops[i].kind == LAT__OP_LINEAR;
    if (multiplies && program->chain_of[i] < 0) find_chain(program, &r, (int32_t)i, fuses);
  }
  for (int64_t i = 0; i < program->n_chains; i++) extend_uses(program, &program->chains[i]);
done:
  return status;
}
