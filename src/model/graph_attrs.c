// Attribute values of a graph's text, as the table of operations wants them.
#include <stdio.h>
#include <string.h>

#include "core/compiler.h"
#include "model/graph_text.h"
#include "model/model_file.h"

/// "conv3d: stride", what messages begin with.
typedef struct attr_label {
  char text[96];
} attr_label;

static attr_label label_of(lat__op_kind op, lat__attr_key key) {
  attr_label label;
  snprintf(label.text, sizeof label.text, "lattice.%s: %s", lat__op_table[op].name, lat__attr_table[key].name);
  return label;
}

/// Finds a keyword among an attribute's words, those of the graph's version.
static lat_status find_word(const lat__text *text, const lat__token *place, const char *label,
                            const lat__enum_desc *words, const char *got, int64_t n_got, int32_t *choice) {
  char expected[160] = "";
  size_t used = 0;
  for (int32_t i = 0; words->words[i]; i++) {
    // Words that came with version 3 stand last; an enum of version 3 has none of version 2.
    if (text->ir_version == 2 && i >= words->n_version2) break;
    if ((int64_t)strlen(words->words[i]) == n_got && memcmp(words->words[i], got, (size_t)n_got) == 0) {
      *choice = i;
      return LAT_STATUS_OK;
    }
    used += (size_t)snprintf(expected + used, sizeof expected - used, "%s%s", i ? ", " : "", words->words[i]);
    if (used >= sizeof expected) used = sizeof expected - 1;
  }
  return lat__text_fail(text->label, place->line, place->column, "%s: got '%s', expected one of: %s", label,
                        lat__show_text(got, n_got).text, expected);
}

/// `#lattice.<mnemonic><word>`.
static lat_status take_enum(lat__text *text, const char *label, const lat__enum_desc *words, int32_t *choice) {
  lat_status status = LAT_STATUS_OK;
  char wanted[64];
  snprintf(wanted, sizeof wanted, "lattice.%s", words->mnemonic);
  const lat__token *token = &text->token;
  if (token->kind != LAT__TOKEN_HASH || token->n_bytes != (int64_t)strlen(wanted) ||
      memcmp(token->text, wanted, strlen(wanted)) != 0) {
    char expected[80];
    snprintf(expected, sizeof expected, "#%s<…>", wanted);
    return lat__text_expected(text, expected);
  }
  LAT_TRY(lat__text_next(text), done);
  LAT_TRY(lat__text_take(text, "<"), done);
  lat__token word = text->token;
  if (word.kind != LAT__TOKEN_WORD && word.kind != LAT__TOKEN_STRING) return lat__text_expected(text, "a keyword");
  LAT_TRY(find_word(text, &word, label, words, word.text, word.n_bytes, choice), done);
  LAT_TRY(lat__text_next(text), done);
  LAT_TRY(lat__text_take(text, ">"), done);
done:
  return status;
}

/// A string that is one of a few words.
static lat_status take_word(lat__text *text, lat__op_kind op, lat__attr_key key, lat__attr *out) {
  lat_status status = LAT_STATUS_OK;
  attr_label label = label_of(op, key);
  lat__token word = text->token;
  if (word.kind != LAT__TOKEN_STRING) return lat__text_expected(text, "a string");
  if (key == LAT__ATTR_ACCUMULATION && (word.n_bytes != 13 || memcmp(word.text, "canonical_f32", 13) != 0)) {
    return lat__text_fail(text->label, word.line, word.column,
                          "lattice.%s requires accumulation = \"canonical_f32\" (accumulation must be canonical_f32): "
                          "got \"%s\"",
                          lat__op_table[op].name, lat__show_text(word.text, word.n_bytes).text);
  }
  LAT_TRY(find_word(text, &word, label.text, lat__attr_table[key].words, word.text, word.n_bytes, &out->choice), done);
  LAT_TRY(lat__text_next(text), done);
done:
  return status;
}

/// An optional `: type` behind a number, which must then be `only`; `needed`: it must be there.
static lat_status take_number_type(lat__text *text, const char *only, bool needed) {
  lat_status status = LAT_STATUS_OK;
  bool typed = false;
  LAT_TRY(lat__text_take_if(text, ":", &typed), done);
  if (typed) LAT_TRY(lat__text_take_word(text, only), done);
  if (!typed && needed) return lat__text_expected(text, "': f32'");
done:
  return status;
}

/// `array<elem: a, b, c>`.
static lat_status take_triple(lat__text *text, const char *label, bool is_real, lat__attr *out) {
  lat_status status = LAT_STATUS_OK;
  lat__token place = text->token;
  int n = 0;
  bool more = true;
  LAT_TRY(lat__text_take_word(text, "array"), done);
  LAT_TRY(lat__text_take(text, "<"), done);
  LAT_TRY(lat__text_take_word(text, is_real ? "f64" : "i64"), done);
  LAT_TRY(lat__text_take_if(text, ":", &more), done);
  while (more) {
    double real = 0.0;
    int64_t whole = 0;
    if (is_real) {
      LAT_TRY(lat__text_take_real(text, &real), done);
    } else {
      LAT_TRY(lat__text_take_int(text, &whole), done);
    }
    if (n < 3 && is_real) out->u.f64[n] = real;
    if (n < 3 && !is_real) out->u.i64[n] = whole;
    n++;
    LAT_TRY(lat__text_take_if(text, ",", &more), done);
  }
  if (n != 3) {
    return lat__text_fail(text->label, place.line, place.column, "%s: got %d values, expected 3", label, n);
  }
  LAT_TRY(lat__text_take(text, ">"), done);
done:
  return status;
}

static bool is_keyword(const lat__text *text, const char *word) {
  const lat__token *token = &text->token;
  return (token->kind == LAT__TOKEN_WORD || token->kind == LAT__TOKEN_STRING) &&
         token->n_bytes == (int64_t)strlen(word) && memcmp(token->text, word, strlen(word)) == 0;
}

/// `, key = `.
static lat_status take_packing_key(lat__text *text, const char *key) {
  lat_status status = LAT_STATUS_OK;
  LAT_TRY(lat__text_take(text, ","), done);
  LAT_TRY(lat__text_take_word(text, key), done);
  LAT_TRY(lat__text_take(text, "="), done);
done:
  return status;
}

/// `int8, group_size = 32, scale_dtype = f16, mode = affine` behind the first word.
static lat_status take_packed(lat__text *text, const char *label, lat__packing *packing) {
  lat_status status = LAT_STATUS_OK;
  int64_t group_size = 0;
  LAT_TRY(take_packing_key(text, "group_size"), done);
  lat__token place = text->token;
  LAT_TRY(lat__text_take_int(text, &group_size), done);
  if (group_size <= 0 || group_size > INT32_MAX) {
    return lat__text_fail(text->label, place.line, place.column, "%s: group_size must be positive: got %lld", label,
                          (long long)group_size);
  }
  packing->group_size = (int32_t)group_size;
  LAT_TRY(take_packing_key(text, "scale_dtype"), done);
  if (!is_keyword(text, "f16") && !is_keyword(text, "f32")) {
    return lat__text_fail(text->label, text->token.line, text->token.column,
                          "%s: scale_dtype: got '%s', expected f16 or f32", label,
                          lat__show_text(text->token.text, text->token.n_bytes).text);
  }
  packing->scale_elem = is_keyword(text, "f16") ? LAT__ELEM_F16 : LAT__ELEM_F32;
  LAT_TRY(lat__text_next(text), done);
  LAT_TRY(take_packing_key(text, "mode"), done);
  if (!is_keyword(text, "affine")) {
    return lat__text_fail(text->label, text->token.line, text->token.column, "%s: mode: got '%s', expected affine",
                          label, lat__show_text(text->token.text, text->token.n_bytes).text);
  }
  LAT_TRY(lat__text_next(text), done);
done:
  return status;
}

static lat_status take_packing(lat__text *text, const char *label, lat__packing *packing) {
  lat_status status = LAT_STATUS_OK;
  const lat__token *token = &text->token;
  if (token->kind != LAT__TOKEN_HASH || token->n_bytes != 15 || memcmp(token->text, "lattice.packing", 15) != 0) {
    return lat__text_expected(text, "#lattice.packing<…>");
  }
  LAT_TRY(lat__text_next(text), done);
  LAT_TRY(lat__text_take(text, "<"), done);
  *packing = (lat__packing){0, 0, LAT__ELEM_F32};
  if (is_keyword(text, "int4") || is_keyword(text, "int8")) {
    packing->bits = is_keyword(text, "int4") ? 4 : 8;
    LAT_TRY(lat__text_next(text), done);
    LAT_TRY(take_packed(text, label, packing), done);
  } else if (is_keyword(text, "dense")) {
    LAT_TRY(lat__text_next(text), done);
  } else {
    return lat__text_expected(text, "dense, int4 or int8");
  }
  LAT_TRY(lat__text_take(text, ">"), done);
done:
  return status;
}

lat_status lat__text_take_attr(lat__text *text, lat__op_kind op, lat__attr_key key, lat__attr *out) {
  lat_status status = LAT_STATUS_OK;
  const lat__attr_desc *desc = &lat__attr_table[key];
  attr_label label = label_of(op, key);
  out->present = true;
  switch (desc->kind) {
  case LAT__ATTR_KIND_INT:
    LAT_TRY(lat__text_take_int(text, &out->u.i64[0]), done);
    LAT_TRY(take_number_type(text, "i64", false), done);
    break;
  case LAT__ATTR_KIND_FLOAT:
    LAT_TRY(lat__text_take_real(text, &out->u.f64[0]), done);
    LAT_TRY(take_number_type(text, "f32", true), done);
    out->u.f64[0] = (double)(float)out->u.f64[0];
    break;
  case LAT__ATTR_KIND_TEXT:
    if (text->token.kind != LAT__TOKEN_STRING) return lat__text_expected(text, "a string");
    LAT_TRY(lat__text_take_string(text, &out->u.text), done);
    break;
  case LAT__ATTR_KIND_WORD:
    LAT_TRY(take_word(text, op, key, out), done);
    break;
  case LAT__ATTR_KIND_ENUM:
    LAT_TRY(take_enum(text, label.text, desc->words, &out->choice), done);
    break;
  case LAT__ATTR_KIND_INTS:
    LAT_TRY(take_triple(text, label.text, false, out), done);
    break;
  case LAT__ATTR_KIND_FLOATS:
    LAT_TRY(take_triple(text, label.text, true, out), done);
    break;
  case LAT__ATTR_KIND_PACKING:
    LAT_TRY(take_packing(text, label.text, &out->u.packing), done);
    break;
  }
done:
  return status;
}
