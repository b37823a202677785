// Outputs of a run, and running statistics on their way back into a model.
#include <string.h>

#include "core/compiler.h"
#include "model/program_internal.h"

static lat_status take_results(lat_session *session, lat_results **out) {
  const int64_t n_items = session->program->model->n_outputs, n_statistics = session->n_statistics;
  const int64_t n_bytes = (int64_t)sizeof(lat_results) + n_items * (int64_t)sizeof(lat__result) +
                          n_statistics * (int64_t)sizeof(lat__statistic);
  lat_array *memory = NULL;
  lat_status status = lat_array_full(session->context, LAT_DTYPE_U8, 1, &n_bytes, 0.0, &memory);
  if (status) return status;
  lat_results *results = lat_array_data(memory);
  atomic_init(&results->refcount, 1);
  results->memory = memory;
  results->program = lat_program_retain(session->program);
  results->items = (lat__result *)(results + 1);
  results->statistics = (lat__statistic *)(results->items + n_items);
  results->n_items = n_items;
  results->n_statistics = n_statistics;
  *out = results;
  return LAT_STATUS_OK;
}

/// The array itself, or a copy where its elements lie in the arena, which the next run writes over.
static lat_status own_array(lat_session *session, const lat_array *array, lat_array **out) {
  lat_array_view view = lat_array_as_view(array);
  if (lat__pool_plans(session->pool, view.data)) return lat_array_create(session->context, &view, out);
  *out = lat_array_retain(array);
  return LAT_STATUS_OK;
}

/// A dense output as an array.
static lat_status take_array(lat_session *session, int32_t value, lat_array **out) {
  lat__slot *slot = &session->slots[value];
  lat_status status = lat__run_materialize(session, value);
  if (status) return status;
  return own_array(session, slot->array ? slot->array : lat_tensor_feats_array(slot->tensor), out);
}

static lat_status take_tensor(lat_session *session, int32_t value, lat_tensor **out) {
  const lat_tensor *tensor = session->slots[value].tensor;
  lat_array *feats = NULL;
  lat_status status = own_array(session, lat_tensor_feats_array(tensor), &feats);
  if (!status && feats == lat_tensor_feats_array(tensor)) {
    *out = lat_tensor_retain(tensor);
  } else if (!status) {
    status = lat_tensor_with_feats(session->context, tensor, feats, out);
  }
  lat_array_release(feats);
  return status;
}

lat_status lat__results_collect(lat_session *session, lat_results **out) {
  lat_status status = LAT_STATUS_OK;
  const lat_model *model = session->program->model;
  lat_results *results = NULL;
  LAT_TRY(take_results(session, &results), done);
  for (int64_t i = 0; i < model->n_outputs; i++) {
    const lat__port *port = &model->outputs[i];
    results->items[i].name = port->name;
    if (port->role == LAT__ROLE_SPARSE_TENSOR) {
      LAT_TRY(take_tensor(session, port->value, &results->items[i].tensor), done);
    } else {
      LAT_TRY(take_array(session, port->value, &results->items[i].array), done);
    }
  }
  for (int64_t i = 0; i < session->n_statistics; i++) results->statistics[i] = session->statistics[i];
  session->n_statistics = 0; // they are the results' now
  *out = results;
  results = NULL;
done:
  if (results) results->n_statistics = 0;
  lat_results_release(results);
  return status;
}

int64_t lat_results_count(const lat_results *results) {
  return results ? results->n_items : 0;
}

const char *lat_results_name(const lat_results *results, int64_t index) {
  return results && index >= 0 && index < results->n_items ? results->items[index].name : NULL;
}

static const lat__result *find_result(const lat_results *results, const char *name) {
  for (int64_t i = 0; results && name && i < results->n_items; i++) {
    if (strcmp(results->items[i].name, name) == 0) return &results->items[i];
  }
  return NULL;
}

const lat_tensor *lat_results_tensor(const lat_results *results, const char *name) {
  const lat__result *item = find_result(results, name);
  return item ? item->tensor : NULL;
}

const lat_array *lat_results_array(const lat_results *results, const char *name) {
  const lat__result *item = find_result(results, name);
  return item ? item->array : NULL;
}

lat_results *lat_results_retain(const lat_results *results) {
  lat_results *shared = (lat_results *)results;
  if (shared) atomic_fetch_add_explicit(&shared->refcount, 1, memory_order_relaxed);
  return shared;
}

void lat_results_release(lat_results *results) {
  if (!results || atomic_fetch_sub_explicit(&results->refcount, 1, memory_order_acq_rel) != 1) return;
  for (int64_t i = 0; i < results->n_items; i++) {
    lat_tensor_release(results->items[i].tensor);
    lat_array_release(results->items[i].array);
  }
  for (int64_t i = 0; i < results->n_statistics; i++) {
    lat_array_release(results->statistics[i].stats.mean);
    lat_array_release(results->statistics[i].stats.var);
  }
  lat_program_release(results->program);
  lat_array_release(results->memory);
}

/// The parameter of `model` that the program's parameter `index` came from; -1 with an error when there is none.
static int32_t same_parameter(const lat_model *model, const lat_results *results, int32_t index) {
  const char *key = results->program->model->parameters[index].key;
  return lat__model_find_parameter(model, key);
}

lat_status lat_model_update_statistics(lat_model *model, const lat_results *results) {
  if (!model || !results) {
    return lat_fail(LAT_STATUS_INVALID_ARGUMENT, "model_update_statistics: %s: got NULL, expected one",
                    model ? "results" : "model");
  }
  for (int64_t i = 0; i < 2 * results->n_statistics; i++) {
    const lat__statistic *s = &results->statistics[i / 2];
    int32_t index = i % 2 ? s->var : s->mean;
    if (same_parameter(model, results, index) >= 0) continue;
    return lat_fail(LAT_STATUS_INVALID_ARGUMENT, "model_update_statistics: no parameter %s: got a model without it",
                    results->program->model->parameters[index].key);
  }
  for (int64_t i = 0; i < results->n_statistics; i++) {
    const lat__statistic *s = &results->statistics[i];
    lat__parameter_set(&model->parameters[same_parameter(model, results, s->mean)].dense, s->stats.mean);
    lat__parameter_set(&model->parameters[same_parameter(model, results, s->var)].dense, s->stats.var);
  }
  return LAT_STATUS_OK;
}
