// The state of a model as a flat list of named arrays, and in files.
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <lattice/model_params.h>
#include <lattice/safetensors.h>

#include "core/compiler.h"
#include "model/graph.h"

// --- the list -------------------------------------------------------------------------------------------------------

/// Arrays that a parameter adds to the state.
static int64_t n_arrays(const lat__parameter *parameter) {
  if (parameter->is_constant) return 0;
  return parameter->packing.bits ? 3 : 1;
}

int64_t lat_model_state_count(const lat_model *model) {
  int64_t n = 0;
  for (int64_t i = 0; model && i < model->n_parameters; i++) n += n_arrays(&model->parameters[i]);
  return n;
}

/// Where array `which` of a parameter is kept.
static lat_array **place_of(lat__parameter *parameter, int64_t which) {
  if (!parameter->packing.bits) return &parameter->dense;
  return which == 0 ? &parameter->words : which == 1 ? &parameter->scales : &parameter->biases;
}

static lat_state_entry entry_of(lat__parameter *parameter, int64_t which) {
  static const char *const suffixes[3] = {".weight", ".scales", ".biases"};
  lat_state_entry entry = {.values = *place_of(parameter, which)};
  bool packed = parameter->packing.bits != 0;
  entry.kind = packed ? LAT_STATE_PACKED : parameter->is_statistic ? LAT_STATE_STATISTIC : LAT_STATE_PARAMETER;
  snprintf(entry.name, sizeof entry.name, "%.*s%s", (int)sizeof entry.name - 16, parameter->key,
           packed ? suffixes[which] : "");
  return entry;
}

/// The parameter that holds array `index` of the state, and which of its arrays that is; NULL outside.
static lat__parameter *find_index(const lat_model *model, int64_t index, int64_t *which) {
  for (int64_t i = 0; model && index >= 0 && i < model->n_parameters; i++) {
    int64_t n = n_arrays(&model->parameters[i]);
    *which = index;
    if (index < n) return &model->parameters[i];
    index -= n;
  }
  return NULL;
}

lat_state_entry lat_model_state_entry(const lat_model *model, int64_t index) {
  int64_t which = 0;
  lat__parameter *parameter = find_index(model, index, &which);
  lat_state_entry none = {.kind = LAT_STATE_PARAMETER};
  return parameter ? entry_of(parameter, which) : none;
}

int64_t lat_model_count_elements(const lat_model *model) {
  int64_t n = 0;
  for (int64_t i = 0; model && i < model->n_parameters; i++) {
    const lat__parameter *p = &model->parameters[i];
    if (p->is_constant || p->is_statistic || p->packing.bits || !p->dense) continue;
    n += lat_array_count(p->dense);
  }
  return n;
}

/// Index of the array of that name, or -1.
static int64_t find_name(const lat_model *model, const char *name) {
  int64_t n = lat_model_state_count(model);
  for (int64_t i = 0; i < n; i++) {
    lat_state_entry entry = lat_model_state_entry(model, i);
    if (strcmp(entry.name, name) == 0) return i;
  }
  return -1;
}

static lat_status no_such_name(const char *op, const char *name) {
  return lat_fail(LAT_STATUS_INVALID_ARGUMENT, "%s: no array of that name: got \"%.128s\", expected one of the state",
                  op, name);
}

lat_status lat_model_state_get(const lat_model *model, const char *name, lat_array **out) {
  static const char op[] = "model_state_get";
  if (out) *out = NULL;
  if (!model || !name || !out) {
    return lat_fail(LAT_STATUS_INVALID_ARGUMENT, "%s: %s: got NULL, expected one", op,
                    !model  ? "model"
                    : !name ? "name"
                            : "out");
  }
  int64_t index = find_name(model, name);
  const lat_array *values = index < 0 ? NULL : lat_model_state_entry(model, index).values;
  if (!values) return no_such_name(op, name);
  *out = lat_array_retain(values);
  return LAT_STATUS_OK;
}

// --- comparing ------------------------------------------------------------------------------------------------------

/// "(2, 3)".
static const char *shape_text(const lat_array_view *view, char text[96]) {
  size_t used = (size_t)snprintf(text, 96, "(");
  for (int32_t axis = 0; axis < view->rank && used < 80; axis++) {
    used += (size_t)snprintf(text + used, 96 - used, axis ? ", %lld" : "%lld", (long long)view->shape[axis]);
  }
  snprintf(text + used, 96 - used, ")");
  return text;
}

static bool same_shape(const lat_array_view *a, const lat_array_view *b) {
  if (a->rank != b->rank) return false;
  for (int32_t axis = 0; axis < a->rank; axis++) {
    if (a->shape[axis] != b->shape[axis]) return false;
  }
  return true;
}

lat_status lat_model_state_set(lat_context *context, lat_model *model, const char *name, const lat_array_view *values) {
  static const char op[] = "model_state_set";
  char got[96], expected[96];
  int64_t which = 0;
  lat_array *copy = NULL;
  if (!context || !model || !name || !values) {
    return lat_fail(LAT_STATUS_INVALID_ARGUMENT, "%s: %s: got NULL, expected one", op,
                    !context ? "context"
                    : !model ? "model"
                    : !name  ? "name"
                             : "values");
  }
  lat__parameter *parameter = find_index(model, find_name(model, name), &which);
  if (!parameter || !*place_of(parameter, which)) return no_such_name(op, name);
  lat_array_view old = lat_array_as_view(*place_of(parameter, which));
  if (!same_shape(&old, values)) {
    return lat_fail(LAT_STATUS_INVALID_SHAPE, "%s: %s: shape: got %s, expected %s", op, name, shape_text(values, got),
                    shape_text(&old, expected));
  }
  if (old.dtype != values->dtype) {
    return lat_fail(LAT_STATUS_INVALID_DTYPE, "%s: %s: dtype: got %s, expected %s", op, name,
                    lat_dtype_name(values->dtype), lat_dtype_name(old.dtype));
  }
  lat_status status = lat_array_create(context, values, &copy);
  if (!status) lat__parameter_set(place_of(parameter, which), copy);
  lat_array_release(copy);
  return status;
}

// --- files ----------------------------------------------------------------------------------------------------------

/// Kinds of disagreement between a file and a state, each with the names it was found at.
typedef struct findings {
  int64_t n[4]; ///< missing, unexpected, of another shape, of another dtype
  char names[4][160];
} findings;

static void find(findings *found, int kind, const char *format, ...) LAT_PRINTF(3, 4);

static void find(findings *found, int kind, const char *format, ...) {
  char *text = found->names[kind];
  size_t used = strlen(text), room = sizeof found->names[kind] - used;
  char one[sizeof found->names[kind]];
  va_list arguments;
  va_start(arguments, format);
  int n = vsnprintf(one, sizeof one, format, arguments);
  va_end(arguments);
  found->n[kind]++;
  if (n > 0 && (size_t)n + 6 < room) {
    snprintf(text + used, room, " %s", one);
  } else if (room > 5 && (used < 4 || strcmp(text + used - 4, " ...") != 0)) {
    snprintf(text + used, room, " ...");
  }
}

static lat_status report(const findings *found, const char *path) {
  static const char *const kinds[4] = {"missing", "unexpected", "of another shape", "of another dtype"};
  char text[480] = "";
  for (int kind = 0; kind < 4; kind++) {
    size_t used = strlen(text);
    if (!found->n[kind]) continue;
    snprintf(text + used, sizeof text - used, "%s%lld %s:%s", used ? "; " : "", (long long)found->n[kind], kinds[kind],
             found->names[kind]);
  }
  if (!*text) return LAT_STATUS_OK;
  return lat_fail(LAT_STATUS_BAD_DATA, "model_state_load: %s (%.64s)", text, path);
}

/// The constant of that name: files of whole models have them.
static bool is_constant(const lat_model *model, const char *name) {
  int32_t index = lat__model_find_parameter(model, name);
  return index >= 0 && model->parameters[index].is_constant;
}

static void compare_entry(const lat_state_entry *entry, const lat_safetensors *file, findings *found) {
  char got[96], expected[96];
  int64_t at = lat_safetensors_find(file, entry->name);
  if (at < 0) {
    find(found, 0, "%s", entry->name);
    return;
  }
  if (!entry->values) return;
  lat_array_view have = lat_array_as_view(lat_safetensors_array(file, at)), want = lat_array_as_view(entry->values);
  if (!same_shape(&have, &want)) {
    find(found, 2, "%s (got %s, expected %s)", entry->name, shape_text(&have, got), shape_text(&want, expected));
  }
  if (have.dtype != want.dtype) {
    find(found, 3, "%s (got %s, expected %s)", entry->name, lat_dtype_name(have.dtype), lat_dtype_name(want.dtype));
  }
}

static lat_status compare(const lat_model *model, const lat_safetensors *file, const char *path) {
  findings found = {.n = {0}};
  int64_t n = lat_model_state_count(model);
  for (int64_t i = 0; i < n; i++) {
    lat_state_entry entry = lat_model_state_entry(model, i);
    compare_entry(&entry, file, &found);
  }
  for (int64_t i = 0; i < lat_safetensors_count(file); i++) {
    const char *name = lat_safetensors_name(file, i);
    if (find_name(model, name) < 0 && !is_constant(model, name)) find(&found, 1, "%s", name);
  }
  return report(&found, path);
}

lat_status lat_model_state_load(lat_context *context, lat_model *model, const char *path) {
  lat_status status = LAT_STATUS_OK;
  lat_safetensors *file = NULL;
  if (!context || !model || !path) {
    return lat_fail(LAT_STATUS_INVALID_ARGUMENT, "model_state_load: %s: got NULL, expected one",
                    !context ? "context"
                    : !model ? "model"
                             : "path");
  }
  LAT_TRY(lat_safetensors_open(context, path, &file), done);
  LAT_TRY(compare(model, file, path), done);
  int64_t n = lat_model_state_count(model);
  for (int64_t i = 0; i < n; i++) {
    int64_t which = 0;
    lat__parameter *parameter = find_index(model, i, &which);
    lat_state_entry entry = entry_of(parameter, which);
    lat__parameter_set(place_of(parameter, which), lat_safetensors_array(file, lat_safetensors_find(file, entry.name)));
  }
done:
  lat_safetensors_release(file);
  return status;
}

lat_status lat_model_state_save(lat_context *context, const lat_model *model, const char *path) {
  lat_status status = LAT_STATUS_OK;
  lat__arena arena = {NULL, 0, 0};
  void *memory = NULL;
  if (!context || !model || !path) {
    return lat_fail(LAT_STATUS_INVALID_ARGUMENT, "model_state_save: %s: got NULL, expected one",
                    !context ? "context"
                    : !model ? "model"
                             : "path");
  }
  int64_t n = lat_model_state_count(model);
  LAT_TRY(lat__arena_take(context, &arena, n, sizeof(lat_named_array), &memory), done);
  lat_named_array *arrays = memory;
  for (int64_t i = 0; i < n; i++) {
    lat_state_entry entry = lat_model_state_entry(model, i);
    if (!entry.values) {
      status = lat_fail(LAT_STATUS_INVALID_ARGUMENT, "model_state_save: %s has no values: got none, expected an array",
                        entry.name);
      goto done;
    }
    arrays[i].array = lat_array_as_view(entry.values);
    LAT_TRY(lat__arena_text(context, &arena, entry.name, (int64_t)strlen(entry.name), &arrays[i].name), done);
  }
  LAT_TRY(lat_safetensors_write(context, path, arrays, n), done);
done:
  lat__arena_end(&arena);
  return status;
}
