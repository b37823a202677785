// Sessions: walk the operations, give back what nobody reads any more, hand the outputs out.
#include "model/program_internal.h"

#include <string.h>

#include "core/compiler.h"

// --- values ---------------------------------------------------------------------------------------------------------

static uint64_t view_bytes(lat_array_view view) {
  uint64_t bytes = lat_dtype_bytes(view.dtype);
  for (int32_t axis = 0; axis < view.rank; axis++) bytes *= (uint64_t)view.shape[axis];
  return bytes;
}

/// The elements that a slot holds; no data when it is empty.
static lat_array_view slot_view(const lat__slot *slot) {
  if (slot->array) return lat_array_as_view(slot->array);
  if (slot->tensor) return lat_tensor_feats(slot->tensor);
  return (lat_array_view){0};
}

/// True when another slot holds the same elements: they are counted once.
static bool is_shared(const lat_session *session, int32_t value) {
  const void *data = session->slots[value].data;
  for (int64_t i = 0; data && i < session->program->model->n_values; i++) {
    if (i != value && session->slots[i].data == data) return true;
  }
  return false;
}

void lat__run_give(lat_session *session, int32_t value, lat_tensor *tensor, lat_array *array) {
  lat__slot *slot = &session->slots[value];
  slot->tensor = tensor;
  slot->array = array;
  slot->bound = false;
  slot->data = slot_view(slot).data;
  uint64_t bytes = view_bytes(slot_view(slot));
  session->last_bytes[value] = (size_t)bytes;
  if (is_shared(session, value)) return;
  session->total_bytes += bytes;
  session->live_bytes += bytes;
  if (session->live_bytes > session->most_live_bytes) session->most_live_bytes = session->live_bytes;
}

static void drop(lat_session *session, int32_t value) {
  lat__slot *slot = &session->slots[value];
  if (!slot->tensor && !slot->array) return;
  if (!is_shared(session, value)) {
    uint64_t bytes = view_bytes(slot_view(slot));
    session->live_bytes -= bytes < session->live_bytes ? bytes : session->live_bytes;
  }
  lat_tensor_release(slot->tensor);
  lat_array_release(slot->array);
  *slot = (lat__slot){NULL, NULL, NULL, false};
}

lat_status lat__session_blank_set(lat_session *session, int32_t value, int64_t n, const lat_coords **out) {
  lat_status status = LAT_STATUS_OK;
  lat_array *rows = NULL;
  lat_coords **kept = &session->own_sets[value];
  const int64_t shape[2] = {n, 4};
  if (!*kept || lat_coords_count(*kept) != n) {
    lat_coords_release(*kept);
    *kept = NULL;
    LAT_TRY(lat_array_full(session->context, LAT_DTYPE_I32, 2, shape, 0.0, &rows), done);
    lat_array_view view = lat_array_as_view(rows);
    LAT_TRY(lat_coords_create(session->context, &view, NULL, kept), done);
  }
  *out = *kept;
done:
  lat_array_release(rows);
  return status;
}

lat_status lat__run_tensor(lat_session *session, int32_t value, const lat_tensor **out) {
  lat_status status = LAT_STATUS_OK;
  lat__slot *slot = &session->slots[value];
  const lat_coords *coords = NULL;
  if (!slot->tensor) {
    lat_array_view view = lat_array_as_view(slot->array);
    if (view.rank != 2) {
      status = lat_fail(LAT_STATUS_INVALID_SHAPE, "expects a rank-2 tensor: got rank %d, expected 2", (int)view.rank);
      goto done;
    }
    LAT_TRY(lat__session_blank_set(session, value, view.shape[0], &coords), done);
    LAT_TRY(lat_tensor_share(session->context, coords, slot->array, NULL, &slot->tensor), done);
  }
  *out = slot->tensor;
done:
  return status;
}

lat_status lat__run_view(lat_session *session, int32_t value, lat_array_view *out) {
  lat_status status = lat__run_materialize(session, value);
  if (!status) *out = slot_view(&session->slots[value]);
  return status;
}

lat_status lat__run_active(lat_session *session, int32_t value, int64_t n_rows, int64_t *out) {
  lat_array_view view;
  lat_status status = lat__run_view(session, value, &view);
  if (status) return status;
  int32_t n_active = *(const int32_t *)view.data;
  if (n_active < 0 || n_active > n_rows) {
    return lat_fail(LAT_STATUS_INVALID_ARGUMENT, "active: got %d rows, expected 0 to %lld", (int)n_active,
                    (long long)n_rows);
  }
  *out = n_active;
  return LAT_STATUS_OK;
}

int32_t lat__run_parameter(const lat_session *session, int32_t value) {
  const lat_model *model = session->program->model;
  return model->ops[model->values[value].op].parameter;
}

// --- running --------------------------------------------------------------------------------------------------------

/// Says which value was being made.
static lat_status name_error(const lat_session *session, const lat__op *op, lat_status status) {
  char text[512];
  const char *name = session->program->model->values[op->results[0]].name;
  size_t n_bytes = strlen(lat_last_error());
  if (n_bytes >= sizeof text) n_bytes = sizeof text - 1;
  memcpy(text, lat_last_error(), n_bytes);
  text[n_bytes] = 0;
  if (!name) return lat_fail(status, "run: %s: %s", lat__op_table[op->kind].name, text);
  return lat_fail(status, "run: %s: %s", name, text);
}

/// Values of operation `at` that nobody reads after operation `now`.
static void drop_dead(lat_session *session, int64_t at, int64_t now) {
  const int32_t *last_use = session->program->last_use;
  const lat__op *op = &session->program->model->ops[at];
  for (int32_t k = 0; k < op->n_operands; k++) {
    if (last_use[op->operands[k]] <= now) drop(session, op->operands[k]);
  }
  for (int32_t k = 0; k < op->n_results; k++) {
    if (last_use[op->results[k]] <= now) drop(session, op->results[k]);
  }
}

lat_status lat__run_step(lat_session *session, const lat__chain *chain, const lat__op *op) {
  if (session->watch) return lat__watch_step(session, chain, op);
  return chain ? lat__run_chain(session, chain) : lat__run_fn_of(op->kind)(session, op);
}

static lat_status run_ops(lat_session *session) {
  const lat_program *program = session->program;
  const lat_model *model = program->model;
  for (int64_t i = 0; i < model->n_ops; i++) {
    const lat__op *op = &model->ops[i];
    const lat__chain *chain = program->chain_of[i] < 0 ? NULL : &program->chains[program->chain_of[i]];
    if (op->kind == LAT__OP_WEIGHT || (chain && chain->ops[chain->n_ops - 1] != i)) continue;
    if (!session->is_done[i]) lat__session_aim(session, chain, op);
    lat_status status = session->is_done[i] ? LAT_STATUS_OK : lat__run_step(session, chain, op);
    if (status) return name_error(session, chain ? &model->ops[chain->conv] : op, status);
    if (!chain) drop_dead(session, i, i);
    for (int32_t k = 0; chain && k < chain->n_ops; k++) drop_dead(session, chain->ops[k], i);
  }
  return LAT_STATUS_OK;
}

/// Empties everything that belongs to one run.
static void end_run(lat_session *session) {
  lat__pool_aim(session->pool, NULL, 0);
  for (int64_t i = 0; i < session->program->model->n_values; i++) drop(session, (int32_t)i);
  for (int64_t i = 0; i < session->n_statistics; i++) {
    lat_array_release(session->statistics[i].stats.mean);
    lat_array_release(session->statistics[i].stats.var);
  }
  session->n_statistics = 0;
  if (session->is_steady) lat__pool_trim_unused(session->pool);
}

lat_status lat_session_run(lat_session *session, const lat_binding *inputs, int64_t n_inputs, const lat_run_opts *opts,
                           lat_results **out) {
  lat_status status = LAT_STATUS_OK;
  if (out) *out = NULL;
  if (!session || !out || n_inputs < 0 || (!inputs && n_inputs)) {
    return lat_fail(LAT_STATUS_INVALID_ARGUMENT, "session_run: %s: got NULL, expected one",
                    !session ? "session"
                    : !out   ? "out"
                             : "inputs");
  }
  session->opts = (lat_run_opts)LAT_RUN_OPTS_INIT;
  session->n_dropouts = 0;
  session->is_steady = false;
  lat__pool_begin_run(session->pool);
  session->live_bytes = session->most_live_bytes = session->total_bytes = 0;
  lat_context_reset_peak(session->context);
  LAT_TRY(lat__model_copy_opts("session_run", opts, sizeof session->opts, &session->opts), done);
  LAT_TRY(lat__session_bind(session, inputs, n_inputs), done);
  if (!session->unprepared) LAT_TRY(lat__session_prepare(session), done);
  LAT_TRY(run_ops(session), done);
  lat__pool_aim(session->pool, NULL, 0);
  LAT_TRY(lat__results_collect(session, out), done);
done:
  if (session) {
    session->peak_bytes = lat_context_peak_bytes(session->context);
    end_run(session);
  }
  return status;
}

// --- life -----------------------------------------------------------------------------------------------------------

lat_session_memory lat_session_memory_of(const lat_session *session) {
  lat_session_memory memory = {0, 0, 0, 0, 0};
  if (!session) return memory;
  memory.peak_bytes = session->peak_bytes;
  memory.live_bytes = session->most_live_bytes;
  memory.total_bytes = session->total_bytes;
  lat__pool_bytes(session->pool, &memory.held_bytes, &memory.arena_bytes);
  return memory;
}

void lat_session_destroy(lat_session *session) {
  if (!session) return;
  for (int64_t i = 0; i < session->n_sets; i++) lat_coords_release(session->sets[i].coords);
  for (int64_t i = 0; i < session->program->model->n_values; i++) lat_coords_release(session->own_sets[i]);
  for (int64_t i = 0; i < session->program->n_chains; i++) {
    lat_plan_release(session->plans[i].plan);
    lat_weight_panels_release(session->plans[i].panels);
  }
  lat_context *context = session->context;
  lat__pool *pool = session->pool;
  lat_program *program = session->program;
  lat_array_release(session->memory); // of the session itself
  lat_context_destroy(context);
  lat__pool_close(pool);
  lat_program_release(program);
}

/// Takes `n` items out of the session's memory, which counts along; nothing is there yet when `memory` is NULL.
static void *carve(unsigned char *memory, size_t *used, size_t n, size_t item_bytes) {
  void *at = memory ? memory + *used : NULL;
  *used += (n * item_bytes + 15) / 16 * 16;
  return at;
}

/// Points the session into its memory; the bytes of it.
static size_t lay_out(lat_session *session, unsigned char *memory, const lat_program *program) {
  const size_t n_values = (size_t)program->model->n_values, n_ops = (size_t)program->model->n_ops;
  const size_t n_places = n_values + (size_t)program->n_chains;
  size_t used = 0;
  (void)carve(memory, &used, 1, sizeof *session);
  session->slots = carve(memory, &used, n_values, sizeof *session->slots);
  session->own_sets = carve(memory, &used, n_values, sizeof *session->own_sets);
  session->shapes = carve(memory, &used, n_values, sizeof *session->shapes);
  session->last_bytes = carve(memory, &used, n_values, sizeof *session->last_bytes);
  session->sizes = carve(memory, &used, n_places, sizeof *session->sizes);
  session->intervals = carve(memory, &used, n_places, sizeof *session->intervals);
  session->order = carve(memory, &used, n_places, sizeof *session->order);
  session->sets = carve(memory, &used, n_ops, sizeof *session->sets);
  session->plans = carve(memory, &used, n_ops, sizeof *session->plans);
  session->statistics = carve(memory, &used, n_ops, sizeof *session->statistics);
  session->is_done = carve(memory, &used, n_ops, sizeof *session->is_done);
  return used;
}

/// The session itself and what it points to, in one piece of the caller's context.
static lat_status take_memory(lat_context *context, const lat_program *program, lat_session **out) {
  lat_array *memory = NULL;
  lat_session measured;
  const int64_t n_bytes = (int64_t)lay_out(&measured, NULL, program);
  lat_status status = lat_array_full(context, LAT_DTYPE_U8, 1, &n_bytes, 0.0, &memory);
  if (status) return status;
  lat_session *session = lat_array_data(memory);
  session->memory = memory;
  (void)lay_out(session, lat_array_data(memory), program);
  *out = session;
  return LAT_STATUS_OK;
}

lat_status lat_session_create(lat_context *context, const lat_program *program, lat_session **out) {
  lat_status status = LAT_STATUS_OK;
  lat_session *session = NULL;
  lat__pool *pool = NULL;
  lat_context *own = NULL;
  lat_context_opts opts;
  if (out) *out = NULL;
  if (!context || !program || !out) {
    return lat_fail(LAT_STATUS_INVALID_ARGUMENT, "session_create: %s: got NULL, expected one",
                    !context   ? "context"
                    : !program ? "program"
                               : "out");
  }
  LAT_TRY(lat_context_get_opts(context, &opts), done);
  LAT_TRY(lat__pool_create(context, &pool), done);
  opts.allocator = lat__pool_hooks(pool);
  opts.executor = lat_context_executor(context); // no threads of its own
  opts.memory_cap_bytes = 0;                     // the caller's context has the cap
  opts.keeps_no_blocks = 1;
  LAT_TRY(lat_context_create(&opts, &own), done);
  LAT_TRY(take_memory(context, program, &session), done);
  session->context = own;
  session->pool = pool;
  session->program = lat_program_retain(program);
  *out = session;
  own = NULL;
  pool = NULL;
done:
  lat_context_destroy(own);
  lat__pool_close(pool);
  return status;
}

lat_status lat_program_run(lat_context *context, const lat_program *program, const lat_binding *inputs,
                           int64_t n_inputs, const lat_run_opts *opts, lat_results **out) {
  lat_status status = LAT_STATUS_OK;
  lat_session *session = NULL;
  if (out) *out = NULL;
  if (!context || !program || !out || n_inputs < 0 || (!inputs && n_inputs)) {
    return lat_fail(LAT_STATUS_INVALID_ARGUMENT, "program_run: %s: got NULL, expected one",
                    !context   ? "context"
                    : !program ? "program"
                    : !out     ? "out"
                               : "inputs");
  }
  LAT_TRY(lat_session_create(context, program, &session), done);
  LAT_TRY(lat_session_run(session, inputs, n_inputs, opts, out), done);
done:
  lat_session_destroy(session);
  return status;
}
