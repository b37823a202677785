// Artifact directories: the graph's text, then the parameters it names.
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include <lattice/safetensors.h>

#include "core/compiler.h"
#include "model/artifact.h"
#include "model/model_file.h"
#include "model/safetensors_internal.h"

enum { MOST_GRAPH_BYTES = 1 << 26 };

/// Under this key the parameters' file names the constants among them, one on a line: a graph cannot tell them from
/// parameters, and readers that do not know the key pass over it.
static const char constants_key[] = "lattice.constants";

/// "model_load: path/graph.mlir", what messages begin with.
typedef struct file_label {
  char text[192];
} file_label;

static file_label label_of(const char *op, const char *path) {
  file_label label;
  snprintf(label.text, sizeof label.text, "%s: %s", op, lat__show_path(path).text);
  return label;
}

/// `*out` = "folder/name" in the arena.
static lat_status join_path(lat_context *context, lat__arena *arena, const char *folder, const char *name, char **out) {
  lat_status status = LAT_STATUS_OK;
  size_t n_folder = strlen(folder), n_name = strlen(name);
  void *memory = NULL;
  LAT_TRY(lat__arena_take(context, arena, (int64_t)(n_folder + n_name + 2), 1, &memory), done);
  char *path = memory;
  memcpy(path, folder, n_folder);
  if (n_folder && folder[n_folder - 1] != '/') path[n_folder++] = '/';
  memcpy(path + n_folder, name, n_name);
  *out = path;
done:
  return status;
}

static bool is_folder(const char *path) {
  struct stat facts;
  return stat(path, &facts) == 0 && S_ISDIR(facts.st_mode);
}

static lat_status check_part(const char *op, const char *folder, const char *path, const char *name) {
  struct stat facts;
  if (stat(path, &facts) == 0) return LAT_STATUS_OK;
  return lat_fail(LAT_STATUS_IO_ERROR, "%s: %s: lattice artifact is missing %s.", op, lat__show_path(folder).text,
                  name);
}

// --- parameters -----------------------------------------------------------------------------------------------------

/// Finds one array of a parameter, called `<key><ending>`.
static lat_status find_array(lat_context *context, lat__arena *arena, const lat_safetensors *file, const char *key,
                             const char *ending, const lat_array **out) {
  lat_status status = LAT_STATUS_OK;
  size_t n_key = strlen(key), n_ending = strlen(ending);
  void *memory = NULL;
  LAT_TRY(lat__arena_take(context, arena, (int64_t)(n_key + n_ending + 1), 1, &memory), done);
  memcpy(memory, key, n_key);
  memcpy((char *)memory + n_key, ending, n_ending);
  int64_t index = lat_safetensors_find(file, memory);
  *out = index < 0 ? NULL : lat_safetensors_array(file, index);
done:
  return status;
}

static lat_status bind_parameter(lat_context *context, lat__arena *arena, const char *label,
                                 const lat_safetensors *file, lat__parameter *parameter) {
  lat_status status = LAT_STATUS_OK;
  const lat_array *dense = NULL, *words = NULL, *scales = NULL, *biases = NULL;
  const char *key = parameter->key;
  lat__shown shown = lat__show_text(key, (int64_t)strlen(key));
  if (!parameter->packing.bits) {
    LAT_TRY(find_array(context, arena, file, key, "", &dense), done);
    if (!dense) return lat_fail(LAT_STATUS_BAD_DATA, "%s: artifact weight not found: %s", label, shown.text);
    lat__parameter_set(&parameter->dense, dense);
    return LAT_STATUS_OK;
  }
  LAT_TRY(find_array(context, arena, file, key, ".weight", &words), done);
  LAT_TRY(find_array(context, arena, file, key, ".scales", &scales), done);
  LAT_TRY(find_array(context, arena, file, key, ".biases", &biases), done);
  if (!words || !scales || !biases) {
    return lat_fail(LAT_STATUS_BAD_DATA,
                    "%s: quantized artifact weight requires %s.weight, .scales and .biases: got no .%s", label,
                    shown.text,
                    !words    ? "weight"
                    : !scales ? "scales"
                              : "biases");
  }
  lat__parameter_set(&parameter->words, words);
  lat__parameter_set(&parameter->scales, scales);
  lat__parameter_set(&parameter->biases, biases);
done:
  return status;
}

/// Marks the parameters that the file calls constants. What the graph does not have, or trains not, stays as it is.
static void mark_constants(const char *names, lat_model *model) {
  while (names && *names) {
    size_t n = strcspn(names, "\n");
    int64_t index = lat__names_find(&model->parameter_names, names, (int64_t)n);
    if (index >= 0 && !model->parameters[index].is_statistic && !model->parameters[index].packing.bits) {
      model->parameters[index].is_constant = true;
    }
    names += n + (names[n] == '\n');
  }
}

static lat_status load_parameters(lat_context *context, const char *op, const char *path, lat_model *model) {
  lat_status status = LAT_STATUS_OK;
  lat__arena arena = {NULL, 0, 0};
  lat_safetensors *file = NULL;
  file_label label = label_of(op, path);
  LAT_TRY(lat_safetensors_open(context, path, &file), done);
  for (int64_t i = 0; i < model->n_parameters; i++) {
    LAT_TRY(bind_parameter(context, &arena, label.text, file, &model->parameters[i]), done);
  }
  LAT_TRY(lat__model_verify_parameters(label.text, model), done);
  mark_constants(lat_safetensors_metadata(file, constants_key), model);
done:
  lat_safetensors_release(file);
  lat__arena_end(&arena);
  return status;
}

// --- loading --------------------------------------------------------------------------------------------------------

static lat_status load_graph(lat_context *context, const char *op, const char *path, lat_model **out) {
  lat_status status = LAT_STATUS_OK;
  lat_array *text = NULL;
  LAT_TRY(lat__file_read(context, op, path, MOST_GRAPH_BYTES, &text), done);
  LAT_TRY(lat__model_parse(context, label_of(op, path).text, lat_array_data(text), lat_array_count(text), out), done);
done:
  lat_array_release(text);
  return status;
}

static lat_status check_arguments(const char *op, const void *context, const char *name, const void *argument,
                                  const void *out) {
  const char *missing = !out ? "out" : !context ? "context" : !argument ? name : NULL;
  return missing ? lat_fail(LAT_STATUS_INVALID_ARGUMENT, "%s: %s: got NULL, expected a value", op, missing)
                 : LAT_STATUS_OK;
}

lat_status lat_model_load(lat_context *context, const char *path, const lat_model_load_opts *opts, lat_model **out) {
  static const char op[] = "model_load";
  lat_status status = LAT_STATUS_OK;
  lat_model_load_opts given = {0};
  lat__arena arena = {NULL, 0, 0};
  lat_model *model = NULL;
  char *graph = NULL, *weights = NULL;
  if (out) *out = NULL;
  LAT_TRY(check_arguments(op, context, "path", path, out), done);
  LAT_TRY(lat__model_copy_opts(op, opts, sizeof given, &given), done);
  if (!is_folder(path)) {
    return lat_fail(LAT_STATUS_IO_ERROR, "%s: %s: directory does not exist", op, lat__show_path(path).text);
  }
  LAT_TRY(join_path(context, &arena, path, LAT__GRAPH_FILE, &graph), done);
  LAT_TRY(join_path(context, &arena, path, LAT__WEIGHT_FILE, &weights), done);
  LAT_TRY(check_part(op, path, graph, LAT__GRAPH_FILE), done);
  if (!given.graph_only) LAT_TRY(check_part(op, path, weights, LAT__WEIGHT_FILE), done);
  LAT_TRY(load_graph(context, op, graph, &model), done);
  if (!given.graph_only) LAT_TRY(load_parameters(context, op, weights, model), done);
  *out = model;
  model = NULL;
done:
  lat_model_release(model);
  lat__arena_end(&arena);
  return status;
}

lat_status lat_model_parse(lat_context *context, const char *text, int64_t n_bytes, lat_model **out) {
  static const char op[] = "model_parse";
  if (out) *out = NULL;
  lat_status status = check_arguments(op, context, "text", text, out);
  if (!status && n_bytes < 0) {
    status = lat_fail(LAT_STATUS_INVALID_ARGUMENT, "%s: n_bytes: got %lld, expected 0 or more", op, (long long)n_bytes);
  }
  return status ? status : lat__model_parse(context, "model_parse: graph", text, n_bytes, out);
}

// --- saving ---------------------------------------------------------------------------------------------------------

lat_status lat_model_text(lat_context *context, const lat_model *model, lat_array **out) {
  static const char op[] = "model_text";
  if (out) *out = NULL;
  lat_status status = check_arguments(op, context, "model", model, out);
  if (!status) status = lat__model_verify(context, op, model);
  return status ? status : lat__model_print(context, model, out);
}

/// Adds an array called `<key><ending>` to the list.
static lat_status add_named(lat_context *context, lat__arena *arena, const char *key, const char *ending,
                            const lat_array *array, lat_named_array *named, int64_t *n) {
  lat_status status = LAT_STATUS_OK;
  size_t n_key = strlen(key), n_ending = strlen(ending);
  void *memory = NULL;
  LAT_TRY(lat__arena_take(context, arena, (int64_t)(n_key + n_ending + 1), 1, &memory), done);
  memcpy(memory, key, n_key);
  memcpy((char *)memory + n_key, ending, n_ending);
  named[(*n)++] = (lat_named_array){memory, lat_array_as_view(array)};
done:
  return status;
}

/// The constants' names, one on a line; NULL: there are none.
static lat_status list_constants(lat_context *context, lat__arena *arena, const lat_model *model, char **out) {
  lat_status status = LAT_STATUS_OK;
  size_t n_bytes = 0, used = 0;
  void *memory = NULL;
  *out = NULL;
  for (int64_t i = 0; i < model->n_parameters; i++) {
    if (model->parameters[i].is_constant) n_bytes += strlen(model->parameters[i].key) + 1;
  }
  if (!n_bytes) return LAT_STATUS_OK;
  LAT_TRY(lat__arena_take(context, arena, (int64_t)n_bytes, 1, &memory), done);
  *out = memory;
  for (int64_t i = 0; i < model->n_parameters; i++) {
    const lat__parameter *p = &model->parameters[i];
    if (p->is_constant) used += (size_t)snprintf(*out + used, n_bytes - used, "%s%s", used ? "\n" : "", p->key);
  }
done:
  return status;
}

static lat_status save_parameters(lat_context *context, const lat_model *model, const char *path) {
  lat_status status = LAT_STATUS_OK;
  lat__arena arena = {NULL, 0, 0};
  void *memory = NULL;
  char *constants = NULL;
  int64_t n = 0;
  LAT_TRY(list_constants(context, &arena, model, &constants), done);
  LAT_TRY(lat__arena_take(context, &arena, 3 * model->n_parameters, sizeof(lat_named_array), &memory), done);
  lat_named_array *named = memory;
  for (int64_t i = 0; i < model->n_parameters; i++) {
    const lat__parameter *p = &model->parameters[i];
    if (p->packing.bits) {
      LAT_TRY(add_named(context, &arena, p->key, ".weight", p->words, named, &n), done);
      LAT_TRY(add_named(context, &arena, p->key, ".scales", p->scales, named, &n), done);
      LAT_TRY(add_named(context, &arena, p->key, ".biases", p->biases, named, &n), done);
    } else {
      LAT_TRY(add_named(context, &arena, p->key, "", p->dense, named, &n), done);
    }
  }
  LAT_TRY(lat__safetensors_write(context, path, named, n, constants_key, constants), done);
done:
  lat__arena_end(&arena);
  return status;
}

lat_status lat_model_save(lat_context *context, const lat_model *model, const char *path) {
  static const char op[] = "model_save";
  lat_status status = LAT_STATUS_OK;
  lat__arena arena = {NULL, 0, 0};
  lat_array *text = NULL;
  char *graph = NULL, *weights = NULL;
  LAT_TRY(check_arguments(op, context, "path", path, op), done);
  LAT_TRY(check_arguments(op, context, "model", model, op), done);
  LAT_TRY(lat__model_verify(context, op, model), done);
  LAT_TRY(lat__model_verify_parameters(op, model), done);
  LAT_TRY(lat__model_print(context, model, &text), done);
  LAT_TRY(join_path(context, &arena, path, LAT__GRAPH_FILE, &graph), done);
  LAT_TRY(join_path(context, &arena, path, LAT__WEIGHT_FILE, &weights), done);
  if (mkdir(path, 0777) != 0 && !is_folder(path)) {
    status = lat_fail(LAT_STATUS_IO_ERROR, "%s: %s: cannot make the directory", op, lat__show_path(path).text);
    goto done;
  }
  LAT_TRY(save_parameters(context, model, weights), done);
  const lat__piece piece = {lat_array_data(text), (size_t)lat_array_count(text)};
  LAT_TRY(lat__file_write(context, op, graph, &piece, 1), done);
done:
  lat_array_release(text);
  lat__arena_end(&arena);
  return status;
}
