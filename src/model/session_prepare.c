// Before the first operation: row counts of every value, then where it lies in the arena.
//
// Sets, relations and plans are made here, for all levels of the network, so that the rows of a value are known before it is
// there: its size is rows times channels. Operations that make a set of rows from inputs run at once. Behind an operation
// whose result's rows depend on features, or on a join of different sets, sizes are those of the last run; a wrong guess goes
// to the pool.
#include <lattice/pool.h>
#include <lattice/relation.h>

#include "core/checked.h"
#include "core/compiler.h"
#include "model/program_internal.h"

/// Elements below this lie in the pool: there are many of them and they weigh nothing.
enum { LEAST_BYTES = 4096 };

static const lat__shape unknown = {NULL, -1, -1, LAT_DTYPE_F32};

// --- shapes -----------------------------------------------------------------------------------------------------------

/// The shape of a value that is there.
static lat__shape shape_of_slot(const lat__slot *slot) {
  if (slot->tensor) {
    return (lat__shape){lat_tensor_coords(slot->tensor), lat_tensor_count(slot->tensor),
                        lat_tensor_channels(slot->tensor), lat_tensor_dtype(slot->tensor)};
  }
  if (!slot->array) return unknown;
  lat_array_view view = lat_array_as_view(slot->array);
  if (view.rank < 1 || view.rank > 2) return unknown;
  return (lat__shape){NULL, view.shape[0], view.rank == 2 ? view.shape[1] : 1, view.dtype};
}

static const lat__shape *operand_shape(const lat_session *session, const lat__op *op, int32_t i) {
  return i < op->n_operands ? &session->shapes[op->operands[i]] : &unknown;
}

/// The set and rows of `like` with other channels.
static lat__shape reshaped(const lat__shape *like, int64_t channels, lat_dtype dtype) {
  if (like->rows < 0 || channels < 0) return unknown;
  return (lat__shape){like->coords, like->rows, channels, dtype};
}

/// All operands on one set: the sum of their channels, or those of each where they are added.
static lat__shape joined_shape(const lat_session *session, const lat__op *op, bool adds_channels) {
  const lat__shape *first = operand_shape(session, op, 0);
  int64_t channels = 0;
  for (int32_t i = 0; i < op->n_operands; i++) {
    const lat__shape *shape = operand_shape(session, op, i);
    bool fits = shape->rows >= 0 && shape->coords && shape->coords == first->coords && shape->dtype == first->dtype;
    if (!fits || (!adds_channels && shape->channels != first->channels)) return unknown;
    channels += shape->channels;
  }
  return reshaped(first, adds_channels ? channels : first->channels, first->dtype);
}

/// Onto the coarser set that the pool's window makes, which is kept for the run.
static lat__shape pooled_shape(lat_session *session, const lat__op *op) {
  const lat__shape *x = operand_shape(session, op, 0);
  lat_kernel_opts window = lat__pool_window_of(op);
  lat_relation *relation = NULL;
  if (x->rows < 0 || !x->coords || !window.stride.x || !window.kernel_size.x) return unknown;
  if (lat_relation_create_forward(session->context, x->coords, &window, &relation)) return unknown;
  lat_coords **kept = &session->own_sets[op->results[0]];
  lat_coords_release(*kept);
  *kept = lat_coords_retain(lat_relation_out_coords(relation)); // NULL: the pool keeps the set
  lat_relation_release(relation);
  return *kept ? (lat__shape){*kept, lat_coords_count(*kept), x->channels, x->dtype} : *x;
}

/// Columns of the table that an embedding reads.
static int64_t table_columns(const lat_session *session, const lat__op *op) {
  const lat_array *table = session->program->constants[lat__run_parameter(session, op->operands[1])].dense;
  return table ? lat_array_as_view(table).shape[1] : -1;
}

static lat__shape result_shape(lat_session *session, const lat__op *op) {
  const lat__shape *x = operand_shape(session, op, 0), *second = operand_shape(session, op, 1);
  switch (op->kind) {
  case LAT__OP_SPARSE_WITH_FEATURES:
    return second->rows == x->rows ? reshaped(x, second->channels, second->dtype) : unknown;
  case LAT__OP_ACTIVATION:
  case LAT__OP_BATCH_NORM:
  case LAT__OP_LAYER_NORM:
  case LAT__OP_RMS_NORM:
  case LAT__OP_INSTANCE_NORM:
  case LAT__OP_GROUP_NORM:
  case LAT__OP_DROPOUT:
  case LAT__OP_ELEMENTWISE:
  case LAT__OP_SOFTMAX:
    return *x;
  case LAT__OP_EMBEDDING_LOOKUP:
    return reshaped(x, table_columns(session, op), LAT_DTYPE_F32);
  case LAT__OP_SPARSE_CAT:
    return joined_shape(session, op, true);
  case LAT__OP_SPARSE_BINARY:
    return joined_shape(session, op, false);
  case LAT__OP_SPARSE_REINDEX:
  case LAT__OP_TRILINEAR_UPSAMPLE3D:
  case LAT__OP_POOL_TRANSPOSE3D:
    return second->coords ? reshaped(second, x->channels, x->dtype) : unknown;
  case LAT__OP_POOL3D:
    return pooled_shape(session, op);
  case LAT__OP_DEVOXELIZE:
    return (lat__shape){NULL, second->rows < 0 ? -1 : x->rows, second->channels, second->dtype};
  default:
    return unknown;
  }
}

// --- steps ------------------------------------------------------------------------------------------------------------

/// Makes the chain's plan; its result's shape and its workspace.
static void prepare_chain(lat_session *session, const lat__chain *chain, size_t *workspace) {
  const lat__op *op = &session->program->model->ops[chain->conv];
  lat__shape x = *operand_shape(session, op, 0);
  const lat_coords *target = lat__has_target(op->kind) ? operand_shape(session, op, 1)->coords : NULL;
  *workspace = 0;
  if (x.rows < 0 || (lat__has_target(op->kind) && !target)) return;
  if (!x.coords && lat__session_blank_set(session, op->operands[0], x.rows, &x.coords)) return;
  if (lat__chain_plan(session, chain, &x, target)) return;
  const lat_plan *plan = session->plans[chain - session->program->chains].plan;
  lat_plan_facts facts = lat_plan_info(plan);
  if (lat_plan_workspace_bytes(session->context, plan, workspace)) *workspace = 0;
  if (chain->residual >= 0) {
    const lat__shape *residual = &session->shapes[chain->residual];
    if (residual->coords != facts.out_coords || residual->channels != facts.out_channels) return; // runs apart
  }
  session->shapes[chain->result] = (lat__shape){facts.out_coords, facts.out_rows, facts.out_channels, facts.out_dtype};
}

/// Runs an operation that makes a set from inputs.
static void run_ahead(lat_session *session, int64_t at) {
  const lat__op *op = &session->program->model->ops[at];
  for (int32_t k = 0; k < op->n_operands; k++) {
    const lat__slot *slot = &session->slots[op->operands[k]];
    if (!slot->tensor && !slot->array) return;
  }
  session->is_done[at] = lat__run_step(session, NULL, op) == LAT_STATUS_OK;
  if (session->is_done[at]) session->shapes[op->results[0]] = shape_of_slot(&session->slots[op->results[0]]);
}

/// Where a chain's workspace stands among the sizes.
static size_t *workspace_of(const lat_session *session, const lat__chain *chain) {
  return &session->sizes[session->program->model->n_values + (chain - session->program->chains)];
}

static void prepare_step(lat_session *session, int64_t at, bool *changed) {
  const lat_program *program = session->program;
  const lat__op *op = &program->model->ops[at];
  const lat__chain *chain = program->chain_of[at] < 0 ? NULL : &program->chains[program->chain_of[at]];
  if (op->kind == LAT__OP_WEIGHT || (chain && chain->ops[chain->n_ops - 1] != at)) return;
  if (chain) {
    size_t bytes = 0, *known = workspace_of(session, chain);
    lat__pool_for_plans(session->pool, true);
    prepare_chain(session, chain, &bytes);
    lat__pool_for_plans(session->pool, false);
    if (bytes < LEAST_BYTES) bytes = 0;
    *changed = *changed || *known != bytes;
    *known = bytes;
  } else if (op->kind == LAT__OP_SPARSE_MAKE || op->kind == LAT__OP_VOXELIZE) {
    run_ahead(session, at);
  } else if (op->kind == LAT__OP_SPARSE_DECOMPOSE) {
    session->shapes[op->results[1]] = *operand_shape(session, op, 0);
  } else {
    session->shapes[op->results[0]] = result_shape(session, op);
  }
}

// --- places -----------------------------------------------------------------------------------------------------------

/// Elements of a value that shall lie in the arena; 0 for one that lies elsewhere: an input, an output, what is there
/// already, and what has the elements of another.
static size_t planned_bytes(const lat_session *session, int64_t value) {
  const lat_program *program = session->program;
  const lat__shape *shape = &session->shapes[value];
  int32_t made_at = program->made_at[value];
  size_t bytes = session->last_bytes[value];
  int64_t count = 0;
  bool own = made_at >= 0 && program->root[value] == value && program->root_end[value] < program->model->n_ops;
  if (!own || session->is_done[made_at]) return 0;
  if (shape->rows >= 0) {
    bool fits = lat__mul_i64(shape->rows, shape->channels, &count) &&
                lat__bytes_of(count, lat_dtype_bytes(shape->dtype), &bytes);
    if (!fits) return 0;
  }
  return bytes < LEAST_BYTES || bytes > SIZE_MAX / 4 ? 0 : bytes;
}

static void fill_intervals(lat_session *session) {
  const lat_program *program = session->program;
  const int64_t n_values = program->model->n_values;
  for (int64_t i = 0; i < n_values + program->n_chains; i++) {
    const lat__chain *chain = i < n_values ? NULL : &program->chains[i - n_values];
    lat__interval *interval = &session->intervals[i];
    interval->bytes = session->sizes[i] ? lat__place_bytes(session->sizes[i]) : 0;
    interval->first = chain ? chain->ops[chain->n_ops - 1] : program->made_at[i];
    interval->last = chain ? interval->first : program->root_end[i];
    if (interval->last < interval->first) interval->last = interval->first; // nobody reads it
  }
}

lat_status lat__session_prepare(lat_session *session) {
  const lat_model *model = session->program->model;
  bool changed = false;
  session->n_rebuilt = 0;
  for (int64_t i = 0; i < model->n_values; i++) session->shapes[i] = shape_of_slot(&session->slots[i]);
  for (int64_t i = 0; i < model->n_ops; i++) {
    session->is_done[i] = 0;
    prepare_step(session, i, &changed);
  }
  for (int64_t i = 0; i < model->n_values; i++) {
    size_t bytes = planned_bytes(session, i);
    changed = changed || session->sizes[i] != bytes;
    session->sizes[i] = bytes;
  }
  if (changed) {
    fill_intervals(session);
    session->arena_bytes =
        lat__layout_place(session->intervals, model->n_values + session->program->n_chains, session->order);
  }
  lat__pool_trim_plans(session->pool); // what making relations needed
  session->is_steady = !changed && session->n_rebuilt == 0;
  return lat__pool_reserve(session->pool, session->arena_bytes);
}

void lat__session_aim(lat_session *session, const lat__chain *chain, const lat__op *op) {
  lat__place places[2];
  int n = 0;
  const int64_t n_results = chain ? 1 : op->n_results;
  for (int64_t k = 0; k < n_results && n == 0; k++) {
    int32_t value = chain ? chain->result : op->results[k];
    if (session->sizes[value]) places[n++] = (lat__place){session->sizes[value], session->intervals[value].offset};
  }
  if (chain && *workspace_of(session, chain)) {
    int64_t i = workspace_of(session, chain) - session->sizes;
    places[n++] = (lat__place){session->sizes[i], session->intervals[i].offset};
  }
  lat__pool_aim(session->pool, places, n);
}
