// Explanations: a session that looks at every step. The first run builds relations one step at a time and measures that;
// the runs after it find them and measure the step itself.
#include <lattice/explain.h>

#include <stdio.h>
#include <string.h>
#include <time.h>

#include <lattice/relation.h>

#include "core/compiler.h"
#include "model/program_internal.h"

enum { N_RUNS = 4 };

struct lat_explanation {
  lat_array *memory;
  lat_layer *layers;
  int64_t n_layers;
  int32_t *layer_of; ///< for each operation: its layer, -1: none
  lat_session_memory session;
};

/// What a session looks at steps with.
struct lat__watch {
  lat_explanation *explanation;
  int run; ///< 0: the first
};

static double milliseconds(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return 1e3 * (double)now.tv_sec + 1e-6 * (double)now.tv_nsec;
}

// --- relations ------------------------------------------------------------------------------------------------------

static bool is_ones(lat_triple t) {
  return t.x == 1 && t.y == 1 && t.z == 1;
}

static bool is_zeros(lat_triple t) {
  return t.x == 0 && t.y == 0 && t.z == 0;
}

static lat_kernel_opts geometry_of(const lat__op *op) {
  lat_conv3d_opts conv = lat__conv_opts_of(op);
  lat_kernel_opts opts = LAT_KERNEL_OPTS_INIT;
  opts.kernel_size = conv.kernel_size;
  opts.stride = conv.stride;
  opts.padding = conv.padding;
  opts.dilation = conv.dilation;
  opts.support = conv.support;
  opts.bounds = conv.bounds;
  return opts;
}

/// A 1x1x1 kernel without stride and padding needs no relation.
static bool is_pointwise(const lat_kernel_opts *opts) {
  return is_ones(opts->kernel_size) && (is_ones(opts->stride) || is_zeros(opts->stride)) && is_zeros(opts->padding);
}

/// The relation that an operation walks (the cached one), and the word for its support. NULL where there is none.
static lat_status find_relation(lat_session *session, const lat__op *op, const char **support, lat_relation **out) {
  const lat_tensor *x = session->slots[op->operands[0]].tensor;
  const lat_coords *in = x ? lat_tensor_coords(x) : NULL, *target = NULL;
  lat_kernel_opts opts = geometry_of(op);
  lat_context *context = session->context;
  bool joins = lat__has_target(op->kind) || (op->kind == LAT__OP_POOL_TRANSPOSE3D && op->n_operands > 1);
  if (joins) target = lat_tensor_coords(session->slots[op->operands[1]].tensor);
  *support = "";
  switch (op->kind) {
  case LAT__OP_CONV3D:
  case LAT__OP_POOL3D:
    *support = opts.support == LAT_SUPPORT_REACH ? "reach" : "floor";
    if (!is_pointwise(&opts)) return lat_relation_create_forward(context, in, &opts, out);
    *support = "pointwise";
    return LAT_STATUS_OK;
  case LAT__OP_SUBM_CONV3D:
  case LAT__OP_NORMALIZED_SUBM_CONV3D:
    *support = is_pointwise(&opts) ? "pointwise" : "same";
    return is_pointwise(&opts) ? LAT_STATUS_OK : lat_relation_create_subm(context, in, &opts, out);
  case LAT__OP_TARGET_CONV3D:
    *support = "target";
    if (lat_coords_id(in) == lat_coords_id(target)) return lat_relation_create_forward(context, in, &opts, out);
    return lat_relation_create_target(context, in, target, &opts, out);
  case LAT__OP_GENERATIVE_CONV_TRANSPOSE3D:
  case LAT__OP_NORMALIZED_GENERATIVE_CONV_TRANSPOSE3D:
    *support = "generative";
    return lat_relation_create_generative(context, in, &opts, out);
  case LAT__OP_CONV_TRANSPOSE3D:
  case LAT__OP_NORMALIZED_CONV_TRANSPOSE3D:
  case LAT__OP_TARGET_CONV_TRANSPOSE3D:
  case LAT__OP_TARGET_NORMALIZED_CONV_TRANSPOSE3D:
  case LAT__OP_POOL_TRANSPOSE3D:
    *support = target ? "target" : "transposed";
    return target ? lat_relation_create_target_transposed(context, in, target, &opts, out)
                  : lat_relation_create_transposed(context, in, &opts, out);
  default:
    return LAT_STATUS_OK;
  }
}

// --- one step -------------------------------------------------------------------------------------------------------

/// Structure that costs nothing and says nothing.
static bool is_silent(const lat__op *op) {
  return op->kind == LAT__OP_SPARSE_DECOMPOSE || op->kind == LAT__OP_SPARSE_WITH_FEATURES;
}

static void add_word(char *text, const char *word) {
  size_t used = strlen(text);
  snprintf(text + used, LAT_LAYER_NAME_BYTES - used, "%s%s", used ? " + " : "", word);
}

/// Name and operations.
static void name_layer(const lat_model *model, const lat__chain *chain, const lat__op *op, lat_layer *layer) {
  const char *name = model->values[op->results[0]].name;
  snprintf(layer->name, sizeof layer->name, "%s", name ? name : "");
  add_word(layer->op, lat__op_table[op->kind].name);
  if (!chain) return;
  if (chain->norm >= 0) add_word(layer->op, "batch_norm");
  if (chain->residual >= 0) add_word(layer->op, "add");
  if (chain->activation < 0) return;
  int32_t choice = lat__op_choice(&model->ops[chain->activation], LAT__ATTR_ACTIVATION_KIND, 0);
  add_word(layer->op, lat__attr_table[LAT__ATTR_ACTIVATION_KIND].words->words[choice]);
}

static void describe_input(const lat_session *session, const lat__op *op, lat_layer *layer) {
  const lat__slot *slot = &session->slots[op->operands[0]];
  lat_array_view view = {0};
  if (slot->tensor) view = lat_tensor_feats(slot->tensor);
  if (!slot->tensor && slot->array) view = lat_array_as_view(slot->array);
  layer->in_rows = view.rank > 0 ? view.shape[0] : -1;
  layer->in_channels = view.rank == 2 ? view.shape[1] : -1;
}

static void describe_result(const lat_session *session, int32_t value, lat_layer *layer) {
  const lat__slot *slot = &session->slots[value];
  lat_array_view view = {0};
  if (slot->tensor) view = lat_tensor_feats(slot->tensor);
  if (!slot->tensor && slot->array) view = lat_array_as_view(slot->array);
  layer->rows = view.rank > 0 ? view.shape[0] : -1;
  layer->channels = view.rank == 2 ? view.shape[1] : -1;
  layer->bytes = view.rank > 0 ? lat_dtype_bytes(view.dtype) : 0;
  for (int32_t axis = 0; axis < view.rank; axis++) layer->bytes *= (uint64_t)view.shape[axis];
  if (layer->edges > 0 && layer->rows > 0) layer->neighbors = (double)layer->edges / (double)layer->rows;
}

/// Builds the step's relation and measures that.
static lat_status measure_map(lat_session *session, const lat__op *op, lat_layer *layer) {
  lat_relation *relation = NULL;
  const char *support = "";
  double start = milliseconds();
  lat_status status = find_relation(session, op, &support, &relation);
  layer->map_ms = milliseconds() - start;
  layer->edges = relation ? lat_relation_n_edges(relation) : -1;
  snprintf(layer->support, sizeof layer->support, "%s", support);
  lat_relation_release(relation);
  return status;
}

/// Multiply-adds: edges (rows without a relation) times input channels of the group times output channels.
static double count_products(const lat__op *op, const lat_layer *layer) {
  bool multiplies = op->kind == LAT__OP_LINEAR || lat__op_attr_of(op, LAT__ATTR_ACCUMULATION);
  if (!multiplies || layer->channels < 0 || layer->in_channels < 0) return 0.0;
  double pairs = (double)(layer->edges >= 0 ? layer->edges : layer->rows);
  return pairs * (double)layer->channels * (double)layer->in_channels / (double)lat__op_int(op, LAT__ATTR_GROUPS, 1);
}

static lat_status describe_plan(lat_session *session, const lat__chain *chain, lat_layer *layer) {
  const lat__kept_plan *kept = &session->plans[chain - session->program->chains];
  if (!kept->plan) return LAT_STATUS_OK;
  layer->weight_bytes = lat_plan_info(kept->plan).weight_bytes;
  return lat_plan_explain(session->context, kept->plan, layer->algorithm, sizeof layer->algorithm);
}

lat_status lat__watch_step(lat_session *session, const lat__chain *chain, const lat__op *op) {
  lat_status status = LAT_STATUS_OK;
  struct lat__watch *watch = session->watch;
  const lat_model *model = session->program->model;
  const lat__op *first = chain ? &model->ops[chain->conv] : op;
  lat_explanation *explanation = watch->explanation;
  int32_t *number = &explanation->layer_of[op - model->ops];
  if (watch->run == 0) *number = is_silent(op) && !chain ? -1 : (int32_t)explanation->n_layers++;
  lat_layer *layer = *number < 0 ? NULL : &explanation->layers[*number];
  if (layer && watch->run == 0) {
    *layer = (lat_layer){.edges = -1};
    name_layer(model, chain, first, layer);
    describe_input(session, first, layer);
    LAT_TRY(measure_map(session, first, layer), done);
  }
  double start = milliseconds();
  LAT_TRY(chain ? lat__run_chain(session, chain) : lat__run_fn_of(op->kind)(session, op), done);
  double elapsed = milliseconds() - start;
  if (layer && watch->run == 0) {
    describe_result(session, chain ? chain->result : op->results[0], layer);
    layer->products = count_products(first, layer);
    if (chain) LAT_TRY(describe_plan(session, chain, layer), done);
  } else if (layer) {
    if (watch->run == 1 || elapsed < layer->compute_ms) layer->compute_ms = elapsed;
  }
done:
  return status;
}

// --- explanations ---------------------------------------------------------------------------------------------------

static lat_status new_explanation(lat_context *context, const lat_model *model, lat_explanation **out) {
  const int64_t n_bytes =
      (int64_t)sizeof(lat_explanation) + 64 + model->n_ops * (int64_t)(sizeof(lat_layer) + sizeof(int32_t));
  lat_array *memory = NULL;
  lat_status status = lat_array_full(context, LAT_DTYPE_U8, 1, &n_bytes, 0.0, &memory);
  if (status) return status;
  lat_explanation *explanation = lat_array_data(memory);
  explanation->memory = memory;
  explanation->layers = (lat_layer *)((unsigned char *)explanation + (sizeof *explanation + 63) / 64 * 64);
  explanation->layer_of = (int32_t *)(explanation->layers + model->n_ops);
  *out = explanation;
  return LAT_STATUS_OK;
}

lat_status lat_program_explain(lat_context *context, const lat_program *program, const lat_binding *inputs,
                               int64_t n_inputs, const lat_run_opts *opts, lat_explanation **out) {
  lat_status status = LAT_STATUS_OK;
  lat_session *session = NULL;
  lat_explanation *explanation = NULL;
  if (out) *out = NULL;
  if (!context || !program || !out || (!inputs && n_inputs)) {
    return lat_fail(LAT_STATUS_INVALID_ARGUMENT, "program_explain: %s: got NULL, expected one",
                    !context   ? "context"
                    : !program ? "program"
                    : !out     ? "out"
                               : "inputs");
  }
  LAT_TRY(new_explanation(context, program->model, &explanation), done);
  LAT_TRY(lat_session_create(context, program, &session), done);
  struct lat__watch watch = {explanation, 0};
  session->watch = &watch;
  for (; watch.run < N_RUNS; watch.run++) {
    lat_results *results = NULL;
    session->unprepared = watch.run == 0;
    LAT_TRY(lat_session_run(session, inputs, n_inputs, opts, &results), done);
    lat_results_release(results);
  }
  explanation->session = lat_session_memory_of(session);
  *out = explanation;
  explanation = NULL;
done:
  lat_session_destroy(session);
  lat_explanation_release(explanation);
  return status;
}

int64_t lat_explanation_count(const lat_explanation *explanation) {
  return explanation ? explanation->n_layers : 0;
}

const lat_layer *lat_explanation_layer(const lat_explanation *explanation, int64_t index) {
  return explanation && index >= 0 && index < explanation->n_layers ? &explanation->layers[index] : NULL;
}

lat_session_memory lat_explanation_memory(const lat_explanation *explanation) {
  lat_session_memory none = {0, 0, 0, 0, 0};
  return explanation ? explanation->session : none;
}

void lat_explanation_release(lat_explanation *explanation) {
  if (explanation) lat_array_release(explanation->memory);
}
