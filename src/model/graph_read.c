// A model from the text of its graph: the module's header, the one function, its operations one after the other.
//
// The order of the checks is the original's: version, digest, weight file, functions, inputs, outputs, body.
#include <locale.h>
#include <stdio.h>
#include <string.h>

#include "core/compiler.h"
#include "model/artifact.h"
#include "model/graph_text.h"
#include "model/model_file.h"

/// The attributes of the module.
typedef struct header {
  bool has_version;
  int64_t version;
  const char *digest, *weight_file;
  lat__text_list input_names, input_roles, output_names, output_roles;
  lat__token place; ///< of the module
} header;

// --- the module's attributes ----------------------------------------------------------------------------------------

static lat_status take_names(lat__text *text, lat__text_list *list) {
  lat_status status = LAT_STATUS_OK;
  bool more = false;
  list->present = true;
  list->line = text->token.line, list->column = text->token.column;
  LAT_TRY(lat__text_take(text, "["), done);
  LAT_TRY(lat__text_take_if(text, "]", &more), done);
  if (more) return LAT_STATUS_OK;
  do {
    LAT_TRY(lat__text_grow(text, list->count, sizeof *list->items, &list->room, &list->items), done);
    if (text->token.kind != LAT__TOKEN_STRING) return lat__text_expected(text, "a string");
    LAT_TRY(lat__text_take_string(text, &list->items[list->count]), done);
    list->count++;
    LAT_TRY(lat__text_take_if(text, ",", &more), done);
  } while (more);
  LAT_TRY(lat__text_take(text, "]"), done);
done:
  return status;
}

/// Value of a module attribute; unknown ones are stepped over.
static lat_status take_module_attr(lat__text *text, header *head, const lat__token *key) {
  lat_status status = LAT_STATUS_OK;
  bool typed = false;
  if (lat__token_is(key, "lattice.ir_version")) {
    if (text->token.kind != LAT__TOKEN_NUMBER || text->token.is_float) {
      return LAT__FAIL_AT(text, *key, "lattice.ir_version must be an integer");
    }
    head->has_version = true;
    LAT_TRY(lat__text_take_int(text, &head->version), done);
    LAT_TRY(lat__text_take_if(text, ":", &typed), done);
    if (typed) LAT_TRY(lat__text_next(text), done);
  } else if (lat__token_is(key, "lattice.schema_digest")) {
    LAT_TRY(lat__text_take_string(text, &head->digest), done);
  } else if (lat__token_is(key, "lattice.weight_file")) {
    LAT_TRY(lat__text_take_string(text, &head->weight_file), done);
  } else if (lat__token_is(key, "lattice.input_names")) {
    LAT_TRY(take_names(text, &head->input_names), done);
  } else if (lat__token_is(key, "lattice.input_roles")) {
    LAT_TRY(take_names(text, &head->input_roles), done);
  } else if (lat__token_is(key, "lattice.output_names")) {
    LAT_TRY(take_names(text, &head->output_names), done);
  } else if (lat__token_is(key, "lattice.output_roles")) {
    LAT_TRY(take_names(text, &head->output_roles), done);
  } else {
    LAT_TRY(lat__text_skip_value(text), done);
  }
done:
  return status;
}

static lat_status take_header(lat__text *text, header *head) {
  lat_status status = LAT_STATUS_OK;
  lat__names keys = {NULL, 0, 0};
  bool more = false, valued = false;
  head->place = text->token;
  LAT_TRY(lat__text_take_word(text, "module"), done);
  if (text->token.kind == LAT__TOKEN_SYMBOL) LAT_TRY(lat__text_next(text), done);
  if (!lat__text_is_word(text, "attributes")) return LAT_STATUS_OK;
  LAT_TRY(lat__text_next(text), done);
  LAT_TRY(lat__text_take(text, "{"), done);
  LAT_TRY(lat__text_take_if(text, "}", &more), done);
  if (more) return LAT_STATUS_OK;
  do {
    lat__token key = text->token;
    const char *name = NULL;
    if (key.kind != LAT__TOKEN_WORD && key.kind != LAT__TOKEN_STRING) return lat__text_expected(text, "a name");
    if (lat__names_find(&keys, key.text, key.n_bytes) >= 0) {
      return LAT__FAIL_AT(text, key, "module: got attribute '%s' twice", lat__show_text(key.text, key.n_bytes).text);
    }
    LAT_TRY(lat__arena_text(text->context, &text->model->arena, key.text, key.n_bytes, &name), done);
    LAT_TRY(lat__names_add(text->context, &text->model->arena, &keys, name, 0), done);
    LAT_TRY(lat__text_next(text), done);
    LAT_TRY(lat__text_take_if(text, "=", &valued), done);
    if (valued) LAT_TRY(take_module_attr(text, head, &key), done);
    LAT_TRY(lat__text_take_if(text, ",", &more), done);
  } while (more);
  LAT_TRY(lat__text_take(text, "}"), done);
done:
  return status;
}

static lat_status check_header(lat__text *text, const header *head) {
  const lat__token at = head->place;
  if (!head->has_version) return LAT__FAIL_AT(text, at, "module requires the integer attribute lattice.ir_version");
  if (head->version != 2 && head->version != 3) {
    return LAT__FAIL_AT(text, at,
                        "unsupported lattice.ir_version: %lld (expected 2), or 3 for what only Lattice can say",
                        (long long)head->version);
  }
  text->ir_version = (int32_t)head->version;
  if (!head->digest || strcmp(head->digest, text->ir_version == 2 ? LAT__DIGEST_2 : LAT__DIGEST_3) != 0) {
    return LAT__FAIL_AT(text, at, "unsupported lattice.schema_digest: got %s, expected that of version %d",
                        head->digest ? lat__show_text(head->digest, (int64_t)strlen(head->digest)).text : "none",
                        (int)text->ir_version);
  }
  if (!head->weight_file || strcmp(head->weight_file, LAT__WEIGHT_FILE) != 0) {
    return LAT__FAIL_AT(text, at, "unsupported lattice.weight_file: got %s, expected \"" LAT__WEIGHT_FILE "\"",
                        head->weight_file ? lat__show_text(head->weight_file, (int64_t)strlen(head->weight_file)).text
                                          : "none");
  }
  return LAT_STATUS_OK;
}

/// Looks ahead over the whole module for its functions.
static lat_status check_functions(const lat__text *from) {
  lat_status status = LAT_STATUS_OK;
  lat__text text = *from;
  int64_t depth = 0;
  int n_functions = 0;
  while (text.token.kind != LAT__TOKEN_END && depth >= 0) {
    if (depth == 0 && lat__text_is_word(&text, "func.func") && ++n_functions > 1) {
      return LAT__FAIL_AT(&text, text.token, "module supports exactly one func.func entry");
    }
    depth += lat__text_is(&text, "{");
    depth -= lat__text_is(&text, "}");
    LAT_TRY(lat__text_next(&text), done);
  }
  if (!n_functions) {
    return LAT__FAIL_AT(from, from->token, "module requires exactly one func.func entry named @forward");
  }
  if (!lat__text_is_word(from, "func.func")) {
    return LAT__FAIL_AT(from, from->token, "module supports exactly one func.func entry and nothing else: got '%s'",
                        lat__show_text(from->token.text, from->token.n_bytes).text);
  }
done:
  return status;
}

// --- the function's head --------------------------------------------------------------------------------------------

static lat_status take_arguments(lat__text *text) {
  lat_status status = LAT_STATUS_OK;
  bool more = false;
  LAT_TRY(lat__text_take(text, "("), done);
  if (lat__text_is(text, ")")) return lat__text_next(text);
  do {
    lat__token name = text->token;
    lat__type type;
    const char *copy = NULL;
    int32_t value = 0;
    if (name.kind != LAT__TOKEN_VALUE) return lat__text_expected(text, "an argument");
    LAT_TRY(lat__arena_text(text->context, &text->model->arena, name.text, name.n_bytes, &copy), done);
    LAT_TRY(lat__text_next(text), done);
    LAT_TRY(lat__text_take(text, ":"), done);
    LAT_TRY(lat__text_take_type(text, &type), done);
    if (lat__text_is(text, "{")) LAT_TRY(lat__text_skip_value(text), done);
    LAT_TRY(lat__model_add_input(text->context, text->model, copy, LAT__ROLE_TENSOR, &type, &value), done);
    LAT_TRY(lat__text_define(text, &name, copy, value), done);
    LAT_TRY(lat__text_take_if(text, ",", &more), done);
  } while (more);
  LAT_TRY(lat__text_take(text, ")"), done);
done:
  return status;
}

static lat_status take_function_head(lat__text *text, lat__type_list *results) {
  lat_status status = LAT_STATUS_OK;
  bool arrow = false;
  LAT_TRY(lat__text_take_word(text, "func.func"), done);
  lat__token place = text->token;
  if (place.kind == LAT__TOKEN_WORD) LAT_TRY(lat__text_next(text), done); // public, private
  place = text->token;
  if (place.kind != LAT__TOKEN_SYMBOL) return lat__text_expected(text, "the function's name");
  if (!lat__token_is(&place, "forward")) {
    return LAT__FAIL_AT(text, place, "func.func must be named @forward (entry must be forward): got @%s",
                        lat__show_text(place.text, place.n_bytes).text);
  }
  LAT_TRY(lat__text_next(text), done);
  LAT_TRY(take_arguments(text), done);
  LAT_TRY(lat__text_take_if(text, "->", &arrow), done);
  if (arrow) LAT_TRY(lat__text_take_types(text, results), done);
  if (!results->count) return LAT__FAIL_AT(text, place, "func.func @forward must return at least one value");
  if (lat__text_is_word(text, "attributes")) {
    LAT_TRY(lat__text_next(text), done);
    if (!lat__text_is(text, "{")) return lat__text_expected(text, "'{'");
    // Its members say nothing that a graph needs.
    int64_t depth = 0;
    do {
      depth += lat__text_is(text, "{") - lat__text_is(text, "}");
      if (text->token.kind == LAT__TOKEN_END) return lat__text_expected(text, "'}'");
      LAT_TRY(lat__text_next(text), done);
    } while (depth > 0);
  }
  if (!lat__text_is(text, "{")) return LAT__FAIL_AT(text, text->token, "func.func @forward must have a body");
  LAT_TRY(lat__text_next(text), done);
done:
  return status;
}

// --- names and roles ------------------------------------------------------------------------------------------------

/// Checks a pair of lists of the header against the number of arguments or results.
static lat_status check_names(lat__text *text, const header *head, const char *what, const lat__text_list *names,
                              const lat__text_list *roles, int64_t expected) {
  lat_status status = LAT_STATUS_OK;
  lat__names seen = {NULL, 0, 0};
  if (!names->present || !roles->present) {
    return LAT__FAIL_AT(text, head->place, "module requires the string array lattice.%s_%s", what,
                        names->present ? "roles" : "names");
  }
  const lat__text_list *wrong = names->count != expected ? names : roles;
  if (wrong->count != expected) {
    return lat__text_fail(text->label, wrong->line, wrong->column,
                          "lattice.%s_%s must match the function: got %lld entries, expected %lld", what,
                          wrong == names ? "names" : "roles", (long long)wrong->count, (long long)expected);
  }
  for (int64_t i = 0; i < names->count; i++) {
    const char *name = names->items[i];
    if (!name[0]) {
      return lat__text_fail(text->label, names->line, names->column, "lattice.%s_names must be non-empty", what);
    }
    if (lat__names_find(&seen, name, (int64_t)strlen(name)) >= 0) {
      return lat__text_fail(text->label, names->line, names->column, "lattice.%s_names must be unique: got '%s' twice",
                            what, lat__show_text(name, (int64_t)strlen(name)).text);
    }
    LAT_TRY(lat__names_add(text->context, &text->model->arena, &seen, name, i), done);
  }
done:
  return status;
}

/// The role of one input or output.
static lat_status find_role(lat__text *text, const lat__text_list *roles, int64_t index, bool is_output,
                            lat__role *role) {
  static const lat__role inputs[] = {LAT__ROLE_TENSOR, LAT__ROLE_SPARSE_COORDS, LAT__ROLE_SPARSE_FEATURES,
                                     LAT__ROLE_SPARSE_ACTIVE};
  static const lat__role outputs[] = {LAT__ROLE_TENSOR, LAT__ROLE_SPARSE_TENSOR};
  const char *got = roles->items[index];
  for (int i = 0; i < (is_output ? 2 : 4); i++) {
    *role = is_output ? outputs[i] : inputs[i];
    if (strcmp(lat__role_name(*role), got) == 0) return LAT_STATUS_OK;
  }
  return lat__text_fail(text->label, roles->line, roles->column, "lattice.%s_roles: unsupported role '%s', expected %s",
                        is_output ? "output" : "input", lat__show_text(got, (int64_t)strlen(got)).text,
                        is_output ? "tensor or sparse_tensor"
                                  : "tensor, sparse_coords, sparse_features or sparse_active");
}

static lat_status name_inputs(lat__text *text, const header *head) {
  lat_status status = LAT_STATUS_OK;
  lat_model *model = text->model;
  LAT_TRY(check_names(text, head, "input", &head->input_names, &head->input_roles, model->n_inputs), done);
  for (int64_t i = 0; i < model->n_inputs; i++) {
    model->inputs[i].name = head->input_names.items[i];
    LAT_TRY(find_role(text, &head->input_roles, i, false, &model->inputs[i].role), done);
  }
done:
  return status;
}

// --- the whole ------------------------------------------------------------------------------------------------------

/// The types behind `return`, which must be those of the values and of the function's head.
static lat_status take_return_types(lat__text *text, const lat__token *place, const lat__type_list *results) {
  lat_status status = LAT_STATUS_OK;
  bool more = true;
  int64_t n_types = 0;
  LAT_TRY(lat__text_take(text, ":"), done);
  while (more) {
    lat__type type;
    char got[LAT__TYPE_TEXT_BYTES], expected[LAT__TYPE_TEXT_BYTES];
    lat__token at = text->token;
    LAT_TRY(lat__text_take_type(text, &type), done);
    if (n_types == results->count) return LAT__FAIL_AT(text, at, "return: got more types than values");
    const lat__type *held = &text->model->values[text->model->outputs[n_types].value].type;
    const lat__type *wanted = lat__type_equal(&type, held) ? &results->items[n_types] : held;
    if (!lat__type_equal(&type, wanted)) {
      return LAT__FAIL_AT(text, at, "return: type %lld: got %s, expected %s", (long long)n_types,
                          lat__type_text(&type, got, sizeof got), lat__type_text(wanted, expected, sizeof expected));
    }
    n_types++;
    LAT_TRY(lat__text_take_if(text, ",", &more), done);
  }
  if (n_types != results->count) return LAT__FAIL_AT(text, *place, "return: got fewer types than values");
done:
  return status;
}

/// `return %a, %b : type, type`: the function's outputs.
static lat_status take_return(lat__text *text, const header *head, const lat__type_list *results) {
  lat_status status = LAT_STATUS_OK;
  lat__token place = text->token;
  int32_t value = 0;
  LAT_TRY(lat__text_next(text), done);
  bool more = text->token.kind == LAT__TOKEN_VALUE;
  while (more) {
    lat__role role = LAT__ROLE_TENSOR;
    int64_t at = text->model->n_outputs;
    if (text->token.kind != LAT__TOKEN_VALUE) return lat__text_expected(text, "a value");
    if (at == results->count) return LAT__FAIL_AT(text, place, "return: got more values than the function has results");
    LAT_TRY(lat__text_find(text, &text->token, "return", &value), done);
    LAT_TRY(find_role(text, &head->output_roles, at, true, &role), done);
    LAT_TRY(lat__model_add_output(text->context, text->model, head->output_names.items[at], role, value), done);
    LAT_TRY(lat__text_next(text), done);
    LAT_TRY(lat__text_take_if(text, ",", &more), done);
  }
  if (text->model->n_outputs != results->count) {
    return LAT__FAIL_AT(text, place, "return: got %lld values, expected %lld", (long long)text->model->n_outputs,
                        (long long)results->count);
  }
  LAT_TRY(take_return_types(text, &place, results), done);
done:
  return status;
}

static lat_status take_body(lat__text *text, const header *head, const lat__type_list *results) {
  lat_status status = LAT_STATUS_OK;
  if (text->token.kind == LAT__TOKEN_LABEL) {
    LAT_TRY(lat__text_next(text), done);
    LAT_TRY(lat__text_take(text, ":"), done);
  }
  while (!lat__text_is_word(text, "return") && !lat__text_is_word(text, "func.return")) {
    if (lat__text_is(text, "}")) return lat__text_expected(text, "func.return");
    if (text->token.kind == LAT__TOKEN_LABEL) {
      return LAT__FAIL_AT(text, text->token, "func.func @forward must have exactly one block");
    }
    LAT_TRY(lat__text_take_op(text), done);
  }
  LAT_TRY(take_return(text, head, results), done);
  if (text->token.kind == LAT__TOKEN_LABEL) {
    return LAT__FAIL_AT(text, text->token, "func.func @forward must have exactly one block");
  }
  LAT_TRY(lat__text_take(text, "}"), done);
  LAT_TRY(lat__text_take(text, "}"), done);
  if (text->token.kind != LAT__TOKEN_END) return lat__text_expected(text, "the end of the text");
done:
  return status;
}

/// What batch norms read as mean and variance is not trained.
static void mark_statistics(lat_model *model) {
  for (int64_t i = 0; i < model->n_ops; i++) {
    const lat__op *op = &model->ops[i];
    for (int32_t operand = 3; op->kind == LAT__OP_BATCH_NORM && operand < op->n_operands; operand++) {
      int32_t source = model->values[op->operands[operand]].op;
      int32_t parameter = source >= 0 ? model->ops[source].parameter : -1;
      if (parameter >= 0) model->parameters[parameter].is_statistic = true;
    }
  }
}

static lat_status take_module(lat__text *text) {
  lat_status status = LAT_STATUS_OK;
  header head = {.has_version = false};
  lat__type_list results = {NULL, 0, 0};
  LAT_TRY(lat__text_next(text), done);
  LAT_TRY(take_header(text, &head), done);
  LAT_TRY(check_header(text, &head), done);
  LAT_TRY(lat__text_take(text, "{"), done);
  LAT_TRY(check_functions(text), done);
  LAT_TRY(take_function_head(text, &results), done);
  LAT_TRY(name_inputs(text, &head), done);
  LAT_TRY(check_names(text, &head, "output", &head.output_names, &head.output_roles, results.count), done);
  for (int64_t i = 0; i < results.count; i++) {
    lat__role role;
    LAT_TRY(find_role(text, &head.output_roles, i, true, &role), done);
  }
  LAT_TRY(take_body(text, &head, &results), done);
done:
  return status;
}

lat_status lat__model_parse(lat_context *context, const char *label, const char *bytes, int64_t n_bytes,
                            lat_model **out) {
  lat_status status = LAT_STATUS_OK;
  lat_model *model = NULL;
  *out = NULL;
  // Numbers have a point, whatever the program's locale.
  locale_t c_locale = newlocale(LC_ALL_MASK, "C", (locale_t)0);
  if (c_locale == (locale_t)0) return lat_fail(LAT_STATUS_OUT_OF_MEMORY, "%s: no memory for a locale", label);
  locale_t own_locale = uselocale(c_locale);
  LAT_TRY(lat__model_new(context, &model), done);
  lat__text text = {.context = context,
                    .label = label,
                    .bytes = bytes,
                    .n_bytes = n_bytes,
                    .line = 1,
                    .model = model,
                    .ir_version = 2};
  LAT_TRY(take_module(&text), done);
  LAT_TRY(lat__model_verify(context, label, model), done);
  mark_statistics(model);
  *out = model;
  model = NULL;
done:
  uselocale(own_locale);
  freelocale(c_locale);
  lat_model_release(model);
  return status;
}
