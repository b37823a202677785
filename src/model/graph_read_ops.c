// Operations of a graph's text: names and results, operands by name, attributes, the types that must agree with them.
#include <stdio.h>
#include <string.h>

#include "core/compiler.h"
#include "model/graph_text.h"
#include "model/model_file.h"

bool lat__token_is(const lat__token *token, const char *expected) {
  return token->n_bytes == (int64_t)strlen(expected) && memcmp(token->text, expected, (size_t)token->n_bytes) == 0;
}

lat_status lat__text_grow(lat__text *text, int64_t count, size_t item_bytes, int64_t *room, void *items) {
  void *place = NULL;
  memcpy(&place, items, sizeof place);
  lat_status status = lat__arena_grow(text->context, &text->model->arena, count, item_bytes, room, &place);
  if (!status) memcpy(items, &place, sizeof place);
  return status;
}

lat_status lat__text_define(lat__text *text, const lat__token *place, const char *name, int32_t value) {
  if (lat__names_find(&text->values, name, (int64_t)strlen(name)) >= 0) {
    return LAT__FAIL_AT(text, *place, "duplicate runtime value label: %%%s is defined twice",
                        lat__show_text(name, (int64_t)strlen(name)).text);
  }
  return lat__names_add(text->context, &text->model->arena, &text->values, name, value);
}

lat_status lat__text_find(lat__text *text, const lat__token *use, const char *user, int32_t *value) {
  int64_t n = use->n_bytes, found = lat__names_find(&text->values, use->text, n);
  // `%x#0` of a value that was defined alone.
  if (found < 0 && n > 2 && memcmp(use->text + n - 2, "#0", 2) == 0)
    found = lat__names_find(&text->values, use->text, n - 2);
  if (found < 0) {
    return LAT__FAIL_AT(text, *use, "%s uses undefined value %%%s", user, lat__show_text(use->text, n).text);
  }
  *value = (int32_t)found;
  return LAT_STATUS_OK;
}

lat_status lat__text_take_types(lat__text *text, lat__type_list *types) {
  lat_status status = LAT_STATUS_OK;
  bool listed = false, more = false;
  LAT_TRY(lat__text_take_if(text, "(", &listed), done);
  if (listed && lat__text_is(text, ")")) return lat__text_next(text);
  do {
    LAT_TRY(lat__text_grow(text, types->count, sizeof *types->items, &types->room, &types->items), done);
    LAT_TRY(lat__text_take_type(text, &types->items[types->count]), done);
    types->count++;
    more = false;
    if (listed) LAT_TRY(lat__text_take_if(text, ",", &more), done);
  } while (more);
  if (listed) LAT_TRY(lat__text_take(text, ")"), done);
done:
  return status;
}

// --- operations -----------------------------------------------------------------------------------------------------

typedef struct value_list {
  int32_t *items;
  int64_t count, room;
} value_list;

/// What stands of one operation in the text.
typedef struct written_op {
  lat__token place; ///< its name
  lat__op_kind kind;
  lat__text_list results; ///< names
  lat__token result_place;
  value_list operands;
  lat__type_list operand_types, result_types;
  const char *symbol;
} written_op;

/// `%a, %b:2 =`.
static lat_status take_results(lat__text *text, written_op *op) {
  lat_status status = LAT_STATUS_OK;
  bool more = true, many = false;
  op->result_place = text->token;
  while (more) {
    lat__token name = text->token;
    int64_t n = 1;
    if (name.kind != LAT__TOKEN_VALUE || memchr(name.text, '#', (size_t)name.n_bytes)) {
      return lat__text_expected(text, "a value's name");
    }
    LAT_TRY(lat__text_next(text), done);
    LAT_TRY(lat__text_take_if(text, ":", &many), done);
    if (many) LAT_TRY(lat__text_take_int(text, &n), done);
    if (n < 1 || n > LAT__MAX_RESULTS) return LAT__FAIL_AT(text, name, "result count: got %lld", (long long)n);
    for (int64_t i = 0; i < n; i++) {
      char full[160];
      if (name.n_bytes > 128) return LAT__FAIL_AT(text, name, "value name is too long: expected at most 128 bytes");
      snprintf(full, sizeof full, many ? "%.*s#%d" : "%.*s", (int)name.n_bytes, name.text, (int)i);
      LAT_TRY(lat__text_grow(text, op->results.count, sizeof *op->results.items, &op->results.room, &op->results.items),
              done);
      LAT_TRY(lat__arena_text(text->context, &text->model->arena, full, (int64_t)strlen(full),
                              &op->results.items[op->results.count]),
              done);
      op->results.count++;
    }
    LAT_TRY(lat__text_take_if(text, ",", &more), done);
  }
  LAT_TRY(lat__text_take(text, "="), done);
done:
  return status;
}

static lat_status take_op_name(lat__text *text, written_op *op) {
  const lat__token name = text->token;
  op->place = name;
  if (name.kind == LAT__TOKEN_STRING) {
    return LAT__FAIL_AT(text, name,
                        "the generic form of operations is not read: expected lattice.<name> without quotes");
  }
  if (name.kind != LAT__TOKEN_WORD || name.n_bytes < 9 || memcmp(name.text, "lattice.", 8) != 0) {
    return LAT__FAIL_AT(text, name, "func.func @forward may contain only lattice operations and func.return: got '%s'",
                        lat__show_text(name.text, name.n_bytes).text);
  }
  for (int kind = 0; kind < LAT__N_OPS; kind++) {
    const char *known = lat__op_table[kind].name;
    if ((int64_t)strlen(known) != name.n_bytes - 8 || memcmp(known, name.text + 8, strlen(known)) != 0) continue;
    if (lat__op_table[kind].version > text->ir_version) break;
    op->kind = (lat__op_kind)kind;
    return lat__text_next(text);
  }
  return LAT__FAIL_AT(text, name, "unknown lattice operation of version %d: %s", (int)text->ir_version,
                      lat__show_text(name.text, name.n_bytes).text);
}

static lat_status take_operands(lat__text *text, written_op *op) {
  lat_status status = LAT_STATUS_OK;
  char user[64];
  bool more = text->token.kind == LAT__TOKEN_VALUE;
  snprintf(user, sizeof user, "lattice.%s", lat__op_table[op->kind].name);
  while (more) {
    lat__token use = text->token;
    int32_t value = 0;
    if (use.kind != LAT__TOKEN_VALUE) return lat__text_expected(text, "an operand");
    LAT_TRY(lat__text_find(text, &use, user, &value), done);
    LAT_TRY(lat__text_grow(text, op->operands.count, sizeof value, &op->operands.room, &op->operands.items), done);
    op->operands.items[op->operands.count++] = value;
    LAT_TRY(lat__text_next(text), done);
    LAT_TRY(lat__text_take_if(text, ",", &more), done);
  }
done:
  return status;
}

/// The table's entry for an attribute that the text names.
static lat_status find_attr(lat__text *text, lat__op_kind kind, const lat__token *name, int32_t *index) {
  const lat__op_desc *desc = &lat__op_table[kind];
  for (int32_t i = 0; i < desc->n_attrs; i++) {
    if (!lat__token_is(name, lat__attr_table[desc->attrs[i].key].name)) continue;
    if (desc->attrs[i].version > text->ir_version) break;
    *index = i;
    return LAT_STATUS_OK;
  }
  bool subm = kind == LAT__OP_SUBM_CONV3D || kind == LAT__OP_NORMALIZED_SUBM_CONV3D;
  bool generative =
      kind == LAT__OP_GENERATIVE_CONV_TRANSPOSE3D || kind == LAT__OP_NORMALIZED_GENERATIVE_CONV_TRANSPOSE3D;
  const char *forbidden = "";
  if (subm && (lat__token_is(name, "stride") || lat__token_is(name, "padding")))
    forbidden = " (must not carry stride or padding)";
  if (generative && (lat__token_is(name, "padding") || lat__token_is(name, "dilation"))) {
    forbidden = " (must not carry padding or dilation)";
  }
  return LAT__FAIL_AT(text, *name, "lattice.%s: unknown attrs in version %d: %s%s", desc->name, (int)text->ir_version,
                      lat__show_text(name->text, name->n_bytes).text, forbidden);
}

static lat_status take_attrs(lat__text *text, lat__op_kind kind, lat__attr *attrs) {
  lat_status status = LAT_STATUS_OK;
  bool more = true;
  if (!lat__text_is(text, "{")) return LAT_STATUS_OK;
  LAT_TRY(lat__text_next(text), done);
  if (lat__text_is(text, "}")) return lat__text_next(text);
  while (more) {
    lat__token name = text->token;
    int32_t index = 0;
    if (name.kind != LAT__TOKEN_WORD && name.kind != LAT__TOKEN_STRING) return lat__text_expected(text, "an attribute");
    LAT_TRY(find_attr(text, kind, &name, &index), done);
    if (attrs[index].present) {
      return LAT__FAIL_AT(text, name, "lattice.%s: got attribute '%s' twice", lat__op_table[kind].name,
                          lat__show_text(name.text, name.n_bytes).text);
    }
    LAT_TRY(lat__text_next(text), done);
    LAT_TRY(lat__text_take(text, "="), done);
    LAT_TRY(lat__text_take_attr(text, kind, lat__op_table[kind].attrs[index].key, &attrs[index]), done);
    LAT_TRY(lat__text_take_if(text, ",", &more), done);
  }
  LAT_TRY(lat__text_take(text, "}"), done);
done:
  return status;
}

/// What follows the attributes: `: (operand types) -> result types`, or what two operations have instead.
static lat_status take_signature(lat__text *text, written_op *op) {
  lat_status status = LAT_STATUS_OK;
  LAT_TRY(lat__text_take(text, ":"), done);
  if (op->kind == LAT__OP_WEIGHT) {
    LAT_TRY(lat__text_take_types(text, &op->result_types), done);
  } else {
    if (op->kind != LAT__OP_SPARSE_DECOMPOSE && !lat__text_is(text, "(")) return lat__text_expected(text, "'('");
    LAT_TRY(lat__text_take_types(text, &op->operand_types), done);
    LAT_TRY(lat__text_take(text, "->"), done);
    LAT_TRY(lat__text_take_types(text, &op->result_types), done);
  }
done:
  return status;
}

/// The operands that the types speak of must be those that are used.
static lat_status check_signature(lat__text *text, const written_op *op) {
  const char *name = lat__op_table[op->kind].name;
  char got[LAT__TYPE_TEXT_BYTES], expected[LAT__TYPE_TEXT_BYTES];
  if (op->operand_types.count != op->operands.count) {
    return LAT__FAIL_AT(text, op->place,
                        "lattice.%s: operand types: got %lld types, expected one for each of %lld operands", name,
                        (long long)op->operand_types.count, (long long)op->operands.count);
  }
  if (op->results.count != lat__op_table[op->kind].n_results || op->result_types.count != op->results.count) {
    return LAT__FAIL_AT(text, op->place, "lattice.%s: result count: got %lld names and %lld types, expected %d", name,
                        (long long)op->results.count, (long long)op->result_types.count,
                        lat__op_table[op->kind].n_results);
  }
  for (int64_t i = 0; i < op->operands.count; i++) {
    const lat__type *type = &text->model->values[op->operands.items[i]].type;
    if (lat__type_equal(type, &op->operand_types.items[i])) continue;
    return LAT__FAIL_AT(text, op->place, "lattice.%s: operand %lld: got %s, expected its value's type %s", name,
                        (long long)i, lat__type_text(&op->operand_types.items[i], got, sizeof got),
                        lat__type_text(type, expected, sizeof expected));
  }
  return LAT_STATUS_OK;
}

static lat_status define_results(lat__text *text, const written_op *op, int32_t index) {
  lat_status status = LAT_STATUS_OK;
  for (int64_t i = 0; i < op->results.count; i++) {
    int32_t value = text->model->ops[index].results[i];
    lat__value *result = &text->model->values[value];
    if (op->result_types.items[i].kind != result->type.kind) {
      return LAT__FAIL_AT(text, op->place, "lattice.%s: result %lld: got %s, expected %s", lat__op_table[op->kind].name,
                          (long long)i, lat__type_kind_name(op->result_types.items[i].kind),
                          lat__type_kind_name(result->type.kind));
    }
    result->type = op->result_types.items[i];
    result->name = op->results.items[i];
    LAT_TRY(lat__text_define(text, &op->result_place, op->results.items[i], value), done);
  }
done:
  return status;
}

/// The parameter that a `weight` names.
static lat_status bind_weight(lat__text *text, const written_op *written, int32_t index) {
  lat_status status = LAT_STATUS_OK;
  const lat__op *op = &text->model->ops[index];
  const lat__attr *key = lat__op_attr_of(op, LAT__ATTR_STORAGE_KEY), *packing = lat__op_attr_of(op, LAT__ATTR_PACKING);
  if (!key->present || !packing->present || !key->u.text[0]) return LAT_STATUS_OK; // the verifier says so
  lat__family family = written->result_types.items[0].family;
  int32_t parameter = 0;
  LAT_TRY(lat__model_add_parameter(text->context, text->model, key->u.text, family, &packing->u.packing, &parameter),
          done);
  const lat__parameter *held = &text->model->parameters[parameter];
  if (held->family != family || held->packing.bits != packing->u.packing.bits ||
      held->packing.group_size != packing->u.packing.group_size ||
      held->packing.scale_elem != packing->u.packing.scale_elem) {
    return LAT__FAIL_AT(text, written->place,
                        "lattice.weight: storage_key '%s' is used with another family or packing before",
                        lat__show_text(key->u.text, (int64_t)strlen(key->u.text)).text);
  }
  text->model->ops[index].parameter = parameter;
  text->model->ops[index].symbol = written->symbol;
done:
  return status;
}

lat_status lat__text_take_op(lat__text *text) {
  lat_status status = LAT_STATUS_OK;
  written_op op = {.kind = LAT__OP_WEIGHT};
  int32_t index = 0;
  if (text->token.kind == LAT__TOKEN_VALUE) LAT_TRY(take_results(text, &op), done);
  LAT_TRY(take_op_name(text, &op), done);
  const lat__op_desc *desc = &lat__op_table[op.kind];
  if (op.kind == LAT__OP_WEIGHT) {
    if (text->token.kind != LAT__TOKEN_SYMBOL) return lat__text_expected(text, "the weight's symbol");
    LAT_TRY(lat__text_take_string(text, &op.symbol), done);
  }
  LAT_TRY(take_operands(text, &op), done);
  int64_t least = lat__op_least_operands(desc, text->ir_version);
  bool many = desc->repeats && text->ir_version >= 3;
  if (op.operands.count < least || (op.operands.count > desc->n_operands && !many)) {
    return LAT__FAIL_AT(text, op.place, "lattice.%s: SSA operands: got %lld, expected %lld to %s%d", desc->name,
                        (long long)op.operands.count, (long long)least, many ? "any number above " : "",
                        desc->n_operands);
  }
  LAT_TRY(lat__model_add_op(text->context, text->model, op.kind, op.operands.items, (int32_t)op.operands.count, &index),
          done);
  text->model->ops[index].line = op.place.line;
  text->model->ops[index].column = op.place.column;
  LAT_TRY(take_attrs(text, op.kind, text->model->ops[index].attrs), done);
  LAT_TRY(take_signature(text, &op), done);
  LAT_TRY(check_signature(text, &op), done);
  LAT_TRY(define_results(text, &op, index), done);
  if (op.kind == LAT__OP_WEIGHT) LAT_TRY(bind_weight(text, &op, index), done);
done:
  return status;
}
