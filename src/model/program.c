// Compiling: a copy of the graph, its parameters in the program's dtype, and when each value is used for the last time.
#include "model/program_internal.h"

#include <string.h>

#include "core/compiler.h"

// --- what the graph says --------------------------------------------------------------------------------------------

int32_t lat__op_operand(const lat__op *op, int32_t i) {
  return i < op->n_operands ? op->operands[i] : -1;
}

/// Output channels of the weight that an operation reads; -1 when it reads none.
static int64_t weight_channels(const lat_model *model, const lat__op *op) {
  for (int32_t i = 0; i < op->n_operands; i++) {
    const lat__value *value = &model->values[op->operands[i]];
    if (value->type.kind != LAT__TYPE_WEIGHT || value->op < 0) continue;
    const lat__parameter *parameter = &model->parameters[model->ops[value->op].parameter];
    if (parameter->family == LAT__FAMILY_EMBEDDING && parameter->dense) {
      return lat_array_as_view(parameter->dense).shape[1];
    }
    if (parameter->dense) return lat_array_as_view(parameter->dense).shape[0];
    if (!parameter->words) return -1;
    // Pointwise words are (1, C_out, P), spatial ones (K, P, C_out).
    lat_array_view words = lat_array_as_view(parameter->words);
    return words.shape[words.shape[0] == 1 ? 1 : 2];
  }
  return -1;
}

static int64_t result_channels(const lat_model *model, const lat__op *op, const int64_t *channels) {
  int64_t sum = 0;
  switch (op->kind) {
  case LAT__OP_SPARSE_MAKE:
  case LAT__OP_SPARSE_WITH_FEATURES:
  case LAT__OP_VOXELIZE:
  case LAT__OP_DEVOXELIZE:
    return channels[op->operands[1]];
  case LAT__OP_SPARSE_CAT:
    for (int32_t i = 0; i < op->n_operands; i++) {
      if (channels[op->operands[i]] < 0) return -1;
      sum += channels[op->operands[i]];
    }
    return sum;
  case LAT__OP_LINEAR:
  case LAT__OP_EMBEDDING_LOOKUP:
    return weight_channels(model, op);
  default:
    if (lat__op_attr_of(op, LAT__ATTR_ACCUMULATION)) return weight_channels(model, op);
    return op->n_operands && lat__op_table[op->kind].n_operands ? channels[op->operands[0]] : -1;
  }
}

void lat__model_infer_channels(const lat_model *model, int64_t *channels) {
  for (int64_t i = 0; i < model->n_values; i++) channels[i] = -1;
  for (int64_t i = 0; i < model->n_inputs; i++) {
    const lat__type *type = &model->values[model->inputs[i].value].type;
    if (type->rank == 2) channels[model->inputs[i].value] = type->dims[1];
  }
  for (int64_t i = 0; i < model->n_ops; i++) {
    const lat__op *op = &model->ops[i];
    if (op->kind == LAT__OP_WEIGHT) continue;
    int64_t c = result_channels(model, op, channels);
    channels[op->results[op->kind == LAT__OP_SPARSE_DECOMPOSE ? 1 : 0]] = c;
  }
}

/// The last operation that reads each value.
static void find_last_uses(lat_program *program) {
  const lat_model *model = program->model;
  for (int64_t i = 0; i < model->n_values; i++) program->last_use[i] = -1;
  for (int64_t i = 0; i < model->n_ops; i++) {
    const lat__op *op = &model->ops[i];
    for (int32_t k = 0; k < op->n_operands; k++) program->last_use[op->operands[k]] = (int32_t)i;
  }
  for (int64_t i = 0; i < model->n_outputs; i++) program->last_use[model->outputs[i].value] = (int32_t)model->n_ops;
}

// --- sparse inputs --------------------------------------------------------------------------------------------------

/// Bytes of `name` without `suffix`, or -1 when it does not end with it.
static int64_t stem_bytes(const char *name, const char *suffix) {
  size_t n = strlen(name), m = strlen(suffix);
  return n >= m && strcmp(name + n - m, suffix) == 0 ? (int64_t)(n - m) : -1;
}

/// The name of three consecutive sparse inputs: what `<p>_coords`, `<p>_features`, `<p>_active` have in common, "input" for
/// bare `coords`, `features`, `active` (semantics 12.6). NULL when there is none.
static lat_status group_name(lat_context *context, lat_program *program, const lat__port *ports, const char **out) {
  static const char *const suffixes[3] = {"coords", "features", "active"};
  int64_t stem = stem_bytes(ports[0].name, suffixes[0]);
  *out = NULL;
  for (int i = 0; i < 3; i++) {
    if (stem < 0 || stem_bytes(ports[i].name, suffixes[i]) != stem) return LAT_STATUS_OK;
    if (strncmp(ports[i].name, ports[0].name, (size_t)stem) != 0) return LAT_STATUS_OK;
  }
  if (stem == 0) return lat__arena_text(context, &program->arena, "input", 5, out);
  if (ports[0].name[stem - 1] != '_' || stem < 2) return LAT_STATUS_OK;
  return lat__arena_text(context, &program->arena, ports[0].name, stem - 1, out);
}

static lat_status find_groups(lat_context *context, lat_program *program) {
  lat_status status = LAT_STATUS_OK;
  const lat_model *model = program->model;
  void *memory = NULL;
  LAT_TRY(lat__arena_take(context, &program->arena, model->n_inputs, sizeof *program->groups, &memory), done);
  program->groups = memory;
  for (int64_t i = 0; i + 2 < model->n_inputs; i++) {
    const lat__port *ports = &model->inputs[i];
    if (ports[0].role != LAT__ROLE_SPARSE_COORDS || ports[1].role != LAT__ROLE_SPARSE_FEATURES ||
        ports[2].role != LAT__ROLE_SPARSE_ACTIVE) {
      continue;
    }
    lat__group *group = &program->groups[program->n_groups];
    group->first = (int32_t)i;
    LAT_TRY(group_name(context, program, ports, &group->name), done);
    if (group->name) program->n_groups++;
    i += 2;
  }
done:
  return status;
}

// --- parameters -----------------------------------------------------------------------------------------------------

/// A packed weight from its three arrays, for consumers with `c_in` input channels and the given kernel.
lat_status lat__constant_unpack(lat_context *context, const lat__parameter *parameter, int64_t c_in, lat_triple kernel,
                                lat_quantized_weight **out) {
  lat_quantized_info info = {0};
  lat_array_view words = lat_array_as_view(parameter->words);
  *out = NULL;
  if (words.rank != 3) {
    return lat_fail(LAT_STATUS_INVALID_SHAPE, "%s: packed words: got rank %d, expected 3", parameter->key,
                    (int)words.rank);
  }
  info.bits = parameter->packing.bits;
  info.group_size = parameter->packing.group_size;
  info.in_channels = c_in;
  info.kernel_size = kernel;
  bool pointwise = kernel.x == 1 && kernel.y == 1 && kernel.z == 1;
  info.out_channels = words.shape[pointwise ? 1 : 2];
  info.layout = parameter->family == LAT__FAMILY_LINEAR ? LAT_WEIGHT_LAYOUT_LINEAR : LAT_WEIGHT_LAYOUT_DENSE_5D;
  info.words = words;
  info.scales = lat_array_as_view(parameter->scales);
  info.biases = lat_array_as_view(parameter->biases);
  return lat_quantized_weight_create(context, &info, out);
}

/// Weights and biases of convolutions and linear layers have the dtype of the features; norms and tables stay as they are.
static bool takes_dtype(const lat_model *model, const lat__op *op, int32_t k) {
  lat__type_kind kind = model->values[op->operands[k]].type.kind;
  return kind == LAT__TYPE_WEIGHT && (op->kind == LAT__OP_LINEAR || lat__op_attr_of(op, LAT__ATTR_ACCUMULATION));
}

static lat_status prepare_dense(lat_context *context, lat_program *program, int32_t parameter, bool cast) {
  lat_array *array = program->model->parameters[parameter].dense;
  lat__constant *constant = &program->constants[parameter];
  if (constant->dense) return LAT_STATUS_OK;
  lat_array_view view = lat_array_as_view(array);
  if (!cast || !program->dtype || view.dtype == program->dtype) {
    constant->dense = lat_array_retain(array);
    return LAT_STATUS_OK;
  }
  return lat_array_cast(context, &view, program->dtype, &constant->dense);
}

static lat_status check_values(const lat__parameter *parameter) {
  bool whole =
      parameter->packing.bits ? parameter->words && parameter->scales && parameter->biases : !!parameter->dense;
  if (whole) return LAT_STATUS_OK;
  return lat_fail(LAT_STATUS_INVALID_ARGUMENT, "compile: parameter %s has no values: got none, expected %s",
                  parameter->key, parameter->packing.bits ? "weight, scales and biases" : "an array");
}

/// The parameters that an operation reads.
static lat_status prepare_constants(lat_context *context, lat_program *program, const lat__op *op,
                                    const int64_t *channels) {
  lat_status status = LAT_STATUS_OK;
  const lat_model *model = program->model;
  for (int32_t k = 0; k < op->n_operands; k++) {
    const lat__value *value = &model->values[op->operands[k]];
    if (value->type.kind != LAT__TYPE_WEIGHT || value->op < 0) continue;
    int32_t index = model->ops[value->op].parameter;
    const lat__parameter *parameter = &model->parameters[index];
    LAT_TRY(check_values(parameter), done);
    if (!parameter->packing.bits) {
      LAT_TRY(prepare_dense(context, program, index, takes_dtype(model, op, k)), done);
    } else if (!program->constants[index].packed && channels[op->operands[0]] > 0) {
      int64_t c_in = channels[op->operands[0]] / lat__op_int(op, LAT__ATTR_GROUPS, 1);
      lat_triple kernel = lat__op_triple(op, LAT__ATTR_KERNEL_SIZE, lat_triple_all(1));
      LAT_TRY(lat__constant_unpack(context, parameter, c_in, kernel, &program->constants[index].packed), done);
    }
  }
done:
  return status;
}

static lat_status prepare_ops(lat_context *context, lat_program *program) {
  lat_status status = LAT_STATUS_OK;
  const lat_model *model = program->model;
  void *memory = NULL;
  LAT_TRY(lat__arena_take(context, &program->arena, model->n_values, sizeof(int64_t), &memory), done);
  int64_t *channels = memory;
  lat__model_infer_channels(model, channels);
  for (int64_t i = 0; i < model->n_ops; i++) {
    const lat__op *op = &model->ops[i];
    LAT_TRY(prepare_constants(context, program, op, channels), done);
  }
done:
  return status;
}

// --- programs -------------------------------------------------------------------------------------------------------

lat_program *lat_program_retain(const lat_program *program) {
  lat_program *shared = (lat_program *)program;
  if (shared) atomic_fetch_add_explicit(&shared->refcount, 1, memory_order_relaxed);
  return shared;
}

void lat_program_release(lat_program *program) {
  if (!program || atomic_fetch_sub_explicit(&program->refcount, 1, memory_order_acq_rel) != 1) return;
  for (int64_t i = 0; program->constants && i < program->model->n_parameters; i++) {
    lat_array_release(program->constants[i].dense);
    lat_quantized_weight_release(program->constants[i].packed);
  }
  for (int64_t i = 0; i < program->n_chains; i++) {
    lat_array_release(program->chains[i].folded_weight);
    lat_array_release(program->chains[i].folded_bias);
    lat_weight_panels_release(program->chains[i].panels);
  }
  lat_model_release(program->model);
  lat__arena arena = program->arena; // holds the program itself
  lat__arena_end(&arena);
}

static lat_status new_program(lat_context *context, lat_program **out) {
  lat_status status = LAT_STATUS_OK;
  lat__arena arena = {NULL, 0, 0};
  void *memory = NULL;
  LAT_TRY(lat__arena_take(context, &arena, 1, sizeof(lat_program), &memory), done);
  lat_program *program = memory;
  atomic_init(&program->refcount, 1);
  program->arena = arena;
  *out = program;
done:
  return status;
}

static lat_status fill_program(lat_context *context, const lat_model *model, bool fuses, lat_program *program) {
  lat_status status = LAT_STATUS_OK;
  void *memory = NULL;
  LAT_TRY(lat__model_copy(context, model, &program->model), done);
  LAT_TRY(lat__arena_take(context, &program->arena, model->n_parameters, sizeof *program->constants, &memory), done);
  program->constants = memory;
  LAT_TRY(lat__arena_take(context, &program->arena, model->n_values, sizeof *program->last_use, &memory), done);
  program->last_use = memory;
  find_last_uses(program);
  LAT_TRY(lat__program_fuse(context, program, fuses), done);
  LAT_TRY(lat__program_lifetimes(context, program), done);
  LAT_TRY(find_groups(context, program), done);
  LAT_TRY(prepare_ops(context, program), done);
done:
  return status;
}

lat_status lat_model_compile(lat_context *context, const lat_model *model, const lat_compile_opts *opts,
                             lat_program **out) {
  lat_status status = LAT_STATUS_OK;
  lat_program *program = NULL;
  lat_compile_opts o = LAT_COMPILE_OPTS_INIT;
  if (out) *out = NULL;
  if (!context || !model || !out) {
    return lat_fail(LAT_STATUS_INVALID_ARGUMENT, "model_compile: %s: got NULL, expected one",
                    !context ? "context"
                    : !model ? "model"
                             : "out");
  }
  LAT_TRY(lat__model_copy_opts("model_compile", opts, sizeof o, &o), done);
  if (o.dtype && o.dtype != LAT_DTYPE_F32 && o.dtype != LAT_DTYPE_F16 && o.dtype != LAT_DTYPE_BF16) {
    status = lat_fail(LAT_STATUS_INVALID_DTYPE, "model_compile: dtype: got %s, expected float32, float16 or bfloat16",
                      lat_dtype_name(o.dtype));
    goto done;
  }
  LAT_TRY(new_program(context, &program), done);
  program->dtype = o.dtype;
  program->training = o.training != 0;
  LAT_TRY(fill_program(context, model, !o.no_fusion, program), done);
  if (o.fold_norms) LAT_TRY(lat__program_fold(context, program), done);
  LAT_TRY(lat__program_pack(context, program), done);
  *out = program;
  program = NULL;
done:
  lat_program_release(program);
  return status;
}
