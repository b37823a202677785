/// What `lattice info` shows of a model artifact, and `lattice validate`.
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "cli.h"

/// Numbers that a parameter stands for, and its bytes.
typedef struct parameter_size {
  int64_t numbers, bytes;
} parameter_size;

static int64_t bytes_of(const lat_array *array) {
  return array ? lat_array_count(array) * (int64_t)lat_dtype_bytes(lat_array_as_view(array).dtype) : 0;
}

static parameter_size size_of(const lat_model_parameter *parameter) {
  parameter_size size = {0, bytes_of(parameter->dense) + bytes_of(parameter->words) + bytes_of(parameter->scales) +
                                bytes_of(parameter->biases)};
  if (parameter->dense) size.numbers = lat_array_count(parameter->dense);
  if (parameter->words) size.numbers = lat_array_count(parameter->words) * 32 / parameter->bits;
  return size;
}

static parameter_size total_size(const lat_model *model) {
  parameter_size total = {0, 0};
  for (int64_t i = 0; i < lat_model_n_parameters(model); i++) {
    lat_model_parameter parameter = lat_model_get_parameter(model, i);
    parameter_size size = size_of(&parameter);
    total.numbers += size.numbers;
    total.bytes += size.bytes;
  }
  return total;
}

/// "float32 (4, 3, 3, 3, 4)" or "int8 by 32 (1, 4, 8)".
static void parameter_text(const lat_model_parameter *parameter, char *text, size_t text_bytes) {
  const lat_array *array = parameter->dense ? parameter->dense : parameter->words;
  lat_array_view view = lat_array_as_view(array);
  size_t used =
      (size_t)(parameter->bits ? snprintf(text, text_bytes, "int%d by %d (", parameter->bits, parameter->group_size)
                               : snprintf(text, text_bytes, "%s (", lat_dtype_name(view.dtype)));
  for (int32_t axis = 0; axis < view.rank && used < text_bytes; axis++) {
    used += (size_t)snprintf(text + used, text_bytes - used, "%s%lld", axis ? ", " : "", (long long)view.shape[axis]);
  }
  if (used < text_bytes) snprintf(text + used, text_bytes - used, ")");
}

/// "sparse f32" or "?x4 f32".
static void port_text(const lat_model_port *port, char *text, size_t text_bytes) {
  size_t used = (size_t)snprintf(text, text_bytes, "%s", port->is_sparse ? "sparse" : "");
  for (int32_t axis = 0; axis < port->rank && used < text_bytes; axis++) {
    used += (size_t)(port->shape[axis] < 0 ? snprintf(text + used, text_bytes - used, axis ? "x?" : "?")
                                           : snprintf(text + used, text_bytes - used, axis ? "x%lld" : "%lld",
                                                      (long long)port->shape[axis]));
  }
  if (used < text_bytes) snprintf(text + used, text_bytes - used, " %s", port->elem);
}

// --- text -----------------------------------------------------------------------------------------------------------

static void print_ports(const char *what, const lat_model *model, int64_t n,
                        lat_model_port (*get)(const lat_model *model, int64_t index)) {
  printf("\n%s\n", what);
  for (int64_t i = 0; i < n; i++) {
    char text[160];
    lat_model_port port = get(model, i);
    port_text(&port, text, sizeof text);
    printf("  %-28s %-16s %s\n", port.name, port.role, text);
  }
}

static void print_model(const char *path, const lat_model *model) {
  char text[1024];
  parameter_size total = total_size(model);
  int64_t n_weights = 0;
  for (int64_t i = 0; i < lat_model_n_operations(model); i++) {
    n_weights += strcmp(lat_model_operation_name(model, i), "weight") == 0;
  }
  printf("artifact    %s\nversion     %d\nlayers      %" PRId64 "\nparameters  %" PRId64 ", %" PRId64
         " numbers, %" PRId64 " bytes\n",
         path, (int)lat_model_version(model), lat_model_n_operations(model) - n_weights, lat_model_n_parameters(model),
         total.numbers, total.bytes);
  print_ports("inputs", model, lat_model_n_inputs(model), lat_model_input);
  print_ports("outputs", model, lat_model_n_outputs(model), lat_model_output);
  printf("\nparameters\n");
  for (int64_t i = 0; i < lat_model_n_parameters(model); i++) {
    lat_model_parameter parameter = lat_model_get_parameter(model, i);
    parameter_text(&parameter, text, sizeof text);
    printf("  %-28s %-10s %s%s\n", parameter.name, parameter.family, text, parameter.is_statistic ? ", statistic" : "");
  }
  printf("\nlayers\n");
  for (int64_t i = 0; i < lat_model_n_operations(model); i++) {
    if (strcmp(lat_model_operation_name(model, i), "weight") == 0) continue;
    lat_model_describe_operation(model, i, text, sizeof text);
    printf("  %s\n", text);
  }
}

// --- JSON -----------------------------------------------------------------------------------------------------------

static json_t *ports_json(const lat_model *model, int64_t n,
                          lat_model_port (*get)(const lat_model *model, int64_t index)) {
  json_t *list = json_array();
  for (int64_t i = 0; i < n; i++) {
    char text[160];
    lat_model_port port = get(model, i);
    port_text(&port, text, sizeof text);
    json_array_append_new(list, json_pack("{s:s, s:s, s:s}", "name", port.name, "role", port.role, "type", text));
  }
  return list;
}

static json_t *parameters_json(const lat_model *model) {
  json_t *list = json_array();
  for (int64_t i = 0; i < lat_model_n_parameters(model); i++) {
    char text[160];
    lat_model_parameter parameter = lat_model_get_parameter(model, i);
    parameter_size size = size_of(&parameter);
    parameter_text(&parameter, text, sizeof text);
    json_array_append_new(list, json_pack("{s:s, s:s, s:s, s:I, s:I, s:b}", "name", parameter.name, "family",
                                          parameter.family, "type", text, "numbers", (json_int_t)size.numbers, "bytes",
                                          (json_int_t)size.bytes, "statistic", (int)parameter.is_statistic));
  }
  return list;
}

static json_t *layers_json(const lat_model *model) {
  json_t *list = json_array();
  for (int64_t i = 0; i < lat_model_n_operations(model); i++) {
    char text[1024];
    const char *name = lat_model_operation_name(model, i);
    if (strcmp(name, "weight") == 0) continue;
    lat_model_describe_operation(model, i, text, sizeof text);
    json_array_append_new(list, json_pack("{s:s, s:s}", "operation", name, "text", text));
  }
  return list;
}

static json_t *model_json(const char *path, const lat_model *model) {
  parameter_size total = total_size(model);
  return json_pack("{s:s, s:i, s:I, s:I, s:o, s:o, s:o, s:o}", "artifact", path, "version",
                   (int)lat_model_version(model), "numbers", (json_int_t)total.numbers, "bytes",
                   (json_int_t)total.bytes, "inputs", ports_json(model, lat_model_n_inputs(model), lat_model_input),
                   "outputs", ports_json(model, lat_model_n_outputs(model), lat_model_output), "parameters",
                   parameters_json(model), "layers", layers_json(model));
}

lat_status cli_info_model(lat_context *context, const char *verb, const char *path, bool json, int *code) {
  lat_model *model = NULL;
  lat_status status = lat_model_load(context, path, NULL, &model);
  if (status) return status;
  if (json) {
    *code = cli_print_json(verb, model_json(path, model));
  } else {
    print_model(path, model);
    *code = CLI_OK;
  }
  lat_model_release(model);
  return LAT_STATUS_OK;
}

// --- validate -------------------------------------------------------------------------------------------------------

static const char verb[] = "validate";

static int report(const char *path, const lat_model *model, bool json) {
  if (json) {
    return cli_print_json(
        verb, json_pack("{s:s, s:b, s:i}", "artifact", path, "valid", 1, "version", (int)lat_model_version(model)));
  }
  printf("%s: valid, version %d, %" PRId64 " operations, %" PRId64 " parameters\n", path, (int)lat_model_version(model),
         lat_model_n_operations(model), lat_model_n_parameters(model));
  return CLI_OK;
}

int cmd_validate(int argc, char **argv) {
  bool json = false, graph_only = false;
  const char *path = NULL;
  const cli_option options[] = {
      {"--graph-only", NULL, NULL, CLI_FLAG, &graph_only, 0, 0, "do not read weights.safetensors"},
      CLI_OPTION_JSON(&json)};
  const cli_syntax syntax = {
      verb,
      "DIR",
      "Checks a model artifact: every rule of the graph, and that each parameter is there with the\n"
      "shape and dtype that the graph needs. Says what is wrong and where, and exits with 1.\n",
      options,
      CLI_COUNT(options),
      1,
      1,
      NULL};
  int code = cli_parse(&syntax, argc, argv, &path, NULL);
  if (code != CLI_PARSED) return code;
  lat_status status = LAT_STATUS_OK;
  lat_context *context = NULL;
  lat_model *model = NULL;
  lat_model_load_opts opts = LAT_MODEL_LOAD_OPTS_INIT;
  opts.graph_only = graph_only;
  CLI_TRY(cli_context_create(1, 0, &context), done);
  CLI_TRY(lat_model_load(context, path, &opts, &model), done);
  code = report(path, model, json);
done:
  if (status && json) {
    cli_print_json(verb, json_pack("{s:s, s:b, s:s}", "artifact", path, "valid", 0, "diagnostics", lat_last_error()));
    code = CLI_FAILURE;
  } else if (status) {
    code = cli_exit_code(verb, status);
  }
  lat_model_release(model);
  lat_context_destroy(context);
  return code;
}
