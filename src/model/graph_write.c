// The text of a graph, in the form that exporters write. Text is counted first and written then, by the same code.
#include <inttypes.h>
#include <locale.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/compiler.h"
#include "model/artifact.h"
#include "model/graph_text.h"

/// Text in the making.
typedef struct printer {
  const lat_model *model;
  char *bytes; ///< NULL: only counted
  size_t used, room;
  const char **names; ///< of the values
} printer;

static void put(printer *out, const char *format, ...) LAT_PRINTF(2, 3);

static void put(printer *out, const char *format, ...) {
  va_list arguments;
  va_start(arguments, format);
  size_t left = out->bytes && out->used < out->room ? out->room - out->used : 0;
  int n = vsnprintf(left ? out->bytes + out->used : NULL, left, format, arguments);
  va_end(arguments);
  if (n > 0) out->used += (size_t)n;
}

static void put_string(printer *out, const char *text) {
  put(out, "\"");
  for (const char *c = text; *c; c++) {
    if (*c == '"' || *c == '\\') {
      put(out, "\\%c", *c);
    } else if ((unsigned char)*c < 0x20 || *c == 0x7f) {
      put(out, "\\%02X", (unsigned)(unsigned char)*c);
    } else {
      put(out, "%c", *c);
    }
  }
  put(out, "\"");
}

static bool reads_back(const char *text, double value, bool is_f32) {
  double back = strtod(text, NULL);
  return is_f32 ? (float)back == (float)value : back == value;
}

/// The shortest decimal form with a point that reads back as the same number; bits for infinities and NaN.
static void put_real(printer *out, double value, bool is_f32) {
  char text[40];
  if (!isfinite(value)) {
    float narrow = (float)value;
    uint32_t bits;
    memcpy(&bits, &narrow, sizeof bits);
    put(out, "0x%08" PRIX32, bits);
    return;
  }
  // As exporters write it where that is exact, else with an exponent.
  for (int decimals = 1; decimals <= 12 && fabs(value) < 1e15; decimals++) {
    snprintf(text, sizeof text, "%.*f", decimals, value);
    if (reads_back(text, value, is_f32)) {
      put(out, "%s", text);
      return;
    }
  }
  int digits = 1;
  do {
    snprintf(text, sizeof text, "%.*e", digits, value);
  } while (!reads_back(text, value, is_f32) && digits++ < 17);
  put(out, "%s", text);
}

static void put_type(printer *out, const lat__type *type) {
  char text[LAT__TYPE_TEXT_BYTES];
  put(out, "%s", lat__type_text(type, text, sizeof text));
}

// --- names ----------------------------------------------------------------------------------------------------------

static bool is_plain(char c, bool first) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || (!first && c >= '0' && c <= '9');
}

/// The name of one value: its own where it can be one, made different from those before by a number.
static lat_status name_value(lat_context *context, lat__arena *arena, lat__names *taken, const lat_model *model,
                             int32_t value, const char **out) {
  enum { LONGEST = 100 };
  lat_status status = LAT_STATUS_OK;
  const lat__value *v = &model->values[value];
  const char *stem = v->name ? v->name : v->op >= 0 ? lat__op_table[model->ops[v->op].kind].name : "input";
  char text[LONGEST + 24];
  int n = 0;
  for (; n < LONGEST && stem[n]; n++) text[n] = is_plain(stem[n], n == 0) ? stem[n] : '_';
  if (!n) text[n++] = 'v';
  text[n] = '\0';
  for (int64_t number = 1; lat__names_find(taken, text, (int64_t)strlen(text)) >= 0; number++) {
    snprintf(text + n, sizeof text - (size_t)n, "%" PRId64, number);
  }
  LAT_TRY(lat__arena_text(context, arena, text, (int64_t)strlen(text), out), done);
  LAT_TRY(lat__names_add(context, arena, taken, *out, value), done);
done:
  return status;
}

// --- parts ----------------------------------------------------------------------------------------------------------

static void put_attr(printer *out, const lat__attr_desc *desc, const lat__attr *attr) {
  put(out, "%s = ", desc->name);
  switch (desc->kind) {
  case LAT__ATTR_KIND_INT:
    put(out, "%" PRId64, attr->u.i64[0]);
    break;
  case LAT__ATTR_KIND_FLOAT:
    put_real(out, attr->u.f64[0], true);
    put(out, " : f32");
    break;
  case LAT__ATTR_KIND_TEXT:
    put_string(out, attr->u.text);
    break;
  case LAT__ATTR_KIND_WORD:
    put_string(out, desc->words->words[attr->choice]);
    break;
  case LAT__ATTR_KIND_ENUM:
    put(out, "#lattice.%s<%s>", desc->words->mnemonic, desc->words->words[attr->choice]);
    break;
  case LAT__ATTR_KIND_INTS:
    put(out, "array<i64: %" PRId64 ", %" PRId64 ", %" PRId64 ">", attr->u.i64[0], attr->u.i64[1], attr->u.i64[2]);
    break;
  case LAT__ATTR_KIND_FLOATS:
    put(out, "array<f64: ");
    for (int i = 0; i < 3; i++) {
      if (i) put(out, ", ");
      put_real(out, attr->u.f64[i], false);
    }
    put(out, ">");
    break;
  case LAT__ATTR_KIND_PACKING:
    if (attr->u.packing.bits) {
      put(out, "#lattice.packing<int%d, group_size = %d, scale_dtype = %s, mode = affine>", (int)attr->u.packing.bits,
          (int)attr->u.packing.group_size, lat__elem_name(attr->u.packing.scale_elem));
    } else {
      put(out, "#lattice.packing<dense>");
    }
    break;
  }
}

static void put_attrs(printer *out, const lat__op *op) {
  const lat__op_desc *desc = &lat__op_table[op->kind];
  const char *before = " {";
  for (int32_t i = 0; i < desc->n_attrs; i++) {
    if (!op->attrs[i].present) continue;
    put(out, "%s", before);
    put_attr(out, &lat__attr_table[desc->attrs[i].key], &op->attrs[i]);
    before = ", ";
  }
  if (before[0] == ',') put(out, "}");
}

/// Types of some values, in parentheses when `listed`.
static void put_types(printer *out, const int32_t *values, int32_t n, bool listed) {
  if (listed) put(out, "(");
  for (int32_t i = 0; i < n; i++) {
    if (i) put(out, ", ");
    put_type(out, &out->model->values[values[i]].type);
  }
  if (listed) put(out, ")");
}

static void put_symbol(printer *out, const char *symbol) {
  bool plain = symbol[0] != '\0';
  for (const char *c = symbol; *c; c++) plain = plain && is_plain(*c, c == symbol);
  put(out, " @");
  if (plain) {
    put(out, "%s", symbol);
  } else {
    put_string(out, symbol);
  }
}

/// A value by its own name, or by its number.
static void put_value(printer *out, const char *before, int32_t value) {
  const char *name = out->model->values[value].name;
  put(out, "%s%%", before);
  if (name) {
    put(out, "%s", name);
  } else {
    put(out, "%d", (int)value);
  }
}

static void put_op(printer *out, const lat__op *op) {
  bool is_weight = op->kind == LAT__OP_WEIGHT, is_decompose = op->kind == LAT__OP_SPARSE_DECOMPOSE;
  put(out, "    ");
  for (int32_t i = 0; i < op->n_results; i++) put(out, "%s%%%s", i ? ", " : "", out->names[op->results[i]]);
  put(out, " = lattice.%s", lat__op_table[op->kind].name);
  if (is_weight) put_symbol(out, op->symbol ? op->symbol : "");
  for (int32_t i = 0; i < op->n_operands; i++) put(out, "%s%%%s", i ? ", " : " ", out->names[op->operands[i]]);
  put_attrs(out, op);
  put(out, " : ");
  if (!is_weight) {
    put_types(out, op->operands, op->n_operands, !is_decompose);
    put(out, " -> ");
  }
  put_types(out, op->results, op->n_results, op->n_results > 1);
  put(out, "\n");
}

static void put_ports(printer *out, const char *what, const lat__port *ports, int64_t n) {
  put(out, "  lattice.%s_names = [", what);
  for (int64_t i = 0; i < n; i++) {
    if (i) put(out, ", ");
    put_string(out, ports[i].name);
  }
  put(out, "],\n  lattice.%s_roles = [", what);
  for (int64_t i = 0; i < n; i++) put(out, "%s\"%s\"", i ? ", " : "", lat__role_name(ports[i].role));
  put(out, "],\n");
}

static void put_module(printer *out) {
  const lat_model *model = out->model;
  int32_t version = lat__model_version(model);
  put(out, "module attributes {\n  lattice.ir_version = %d,\n  lattice.schema_digest = \"%s\",\n", (int)version,
      version == 2 ? LAT__DIGEST_2 : LAT__DIGEST_3);
  put_ports(out, "input", model->inputs, model->n_inputs);
  put_ports(out, "output", model->outputs, model->n_outputs);
  put(out, "  lattice.weight_file = \"" LAT__WEIGHT_FILE "\"\n} {\n  func.func @forward(");
  for (int64_t i = 0; i < model->n_inputs; i++) {
    put(out, "%s\n    %%%s: ", i ? "," : "", out->names[model->inputs[i].value]);
    put_type(out, &model->values[model->inputs[i].value].type);
  }
  put(out, "%s) -> ", model->n_inputs ? "\n  " : "");
  if (model->n_outputs > 1) put(out, "(");
  for (int64_t i = 0; i < model->n_outputs; i++) {
    if (i) put(out, ", ");
    put_type(out, &model->values[model->outputs[i].value].type);
  }
  put(out, "%s {\n", model->n_outputs > 1 ? ")" : "");
  for (int64_t i = 0; i < model->n_ops; i++) put_op(out, &model->ops[i]);
  put(out, "    return");
  for (int64_t i = 0; i < model->n_outputs; i++)
    put(out, "%s%%%s", i ? ", " : " ", out->names[model->outputs[i].value]);
  put(out, " : ");
  for (int64_t i = 0; i < model->n_outputs; i++) {
    if (i) put(out, ", ");
    put_type(out, &model->values[model->outputs[i].value].type);
  }
  put(out, "\n  }\n}\n");
}

// --- exported -------------------------------------------------------------------------------------------------------

int32_t lat__model_version(const lat_model *model) {
  for (int64_t i = 0; i < model->n_ops; i++) {
    const lat__op *op = &model->ops[i];
    const lat__op_desc *desc = &lat__op_table[op->kind];
    if (desc->version > 2 || op->n_operands > desc->n_operands) return 3;
    if (op->n_operands < lat__op_least_operands(desc, 2)) return 3;
    for (int32_t a = 0; a < desc->n_attrs; a++) {
      const lat__enum_desc *words = lat__attr_table[desc->attrs[a].key].words;
      if (!op->attrs[a].present) continue;
      if (desc->attrs[a].version > 2 || (words && op->attrs[a].choice >= words->n_version2)) return 3;
    }
  }
  return 2;
}

lat_status lat__model_print(lat_context *context, const lat_model *model, lat_array **out) {
  lat_status status = LAT_STATUS_OK;
  lat__arena arena = {NULL, 0, 0};
  lat__names taken = {NULL, 0, 0};
  lat_array *bytes = NULL;
  void *memory = NULL;
  printer printed = {.model = model};
  *out = NULL;
  locale_t c_locale = newlocale(LC_ALL_MASK, "C", (locale_t)0);
  if (c_locale == (locale_t)0) return lat_fail(LAT_STATUS_OUT_OF_MEMORY, "model: no memory for a locale");
  locale_t own_locale = uselocale(c_locale);
  LAT_TRY(lat__arena_take(context, &arena, model->n_values, sizeof *printed.names, &memory), done);
  printed.names = memory;
  for (int32_t i = 0; i < model->n_values; i++) {
    LAT_TRY(name_value(context, &arena, &taken, model, i, &printed.names[i]), done);
  }
  put_module(&printed);
  int64_t n_bytes = (int64_t)printed.used, room = n_bytes + 1; // vsnprintf ends with a zero byte
  LAT_TRY(lat__arena_take(context, &arena, room, 1, &memory), done);
  printed.bytes = memory;
  printed.room = (size_t)room;
  printed.used = 0;
  put_module(&printed);
  lat_array_view view = lat_view_1d(memory, LAT_DTYPE_U8, n_bytes);
  LAT_TRY(lat_array_create(context, &view, &bytes), done);
  *out = bytes;
done:
  uselocale(own_locale);
  freelocale(c_locale);
  lat__arena_end(&arena);
  return status;
}

void lat_model_describe_operation(const lat_model *model, int64_t index, char *text, size_t text_bytes) {
  const lat__op *op = &model->ops[index];
  printer printed = {.model = model, .bytes = text, .room = text_bytes};
  if (!text_bytes) return;
  for (int32_t i = 0; i < op->n_results; i++) put_value(&printed, i ? ", " : "", op->results[i]);
  put(&printed, " = %s", lat__op_table[op->kind].name);
  for (int32_t i = 0; i < op->n_operands; i++) put_value(&printed, i ? ", " : " ", op->operands[i]);
  put_attrs(&printed, op);
}
