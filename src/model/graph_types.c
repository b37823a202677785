// Types and attribute values of a graph's text.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/checked.h"
#include "core/compiler.h"
#include "model/graph_text.h"
#include "model/model_file.h"

/// A keyword, bare or quoted, of at most 31 bytes; steps over it.
static lat_status take_keyword(lat__text *text, char word[32], const char *expected) {
  const lat__token *token = &text->token;
  if ((token->kind != LAT__TOKEN_WORD && token->kind != LAT__TOKEN_STRING) || token->n_bytes > 31) {
    return lat__text_expected(text, expected);
  }
  memcpy(word, token->text, (size_t)token->n_bytes);
  word[token->n_bytes] = '\0';
  return lat__text_next(text);
}

// --- numbers --------------------------------------------------------------------------------------------------------

enum { NUMBER_BYTES = 400 };

/// The current number as a zero-terminated text.
static lat_status number_text(const lat__text *text, char buffer[NUMBER_BYTES], const char *expected) {
  const lat__token *token = &text->token;
  if (token->kind != LAT__TOKEN_NUMBER || token->n_bytes >= NUMBER_BYTES) return lat__text_expected(text, expected);
  memcpy(buffer, token->text, (size_t)token->n_bytes);
  buffer[token->n_bytes] = '\0';
  return LAT_STATUS_OK;
}

lat_status lat__text_take_int(lat__text *text, int64_t *value) {
  lat_status status = LAT_STATUS_OK;
  char buffer[NUMBER_BYTES] = "";
  int64_t number = 0;
  LAT_TRY(number_text(text, buffer, "a whole number"), done);
  bool negative = buffer[0] == '-';
  for (const char *digit = buffer + negative; *digit; digit++) {
    if (*digit < '0' || *digit > '9') return lat__text_expected(text, "a whole number");
    if (!lat__mul_i64(number, 10, &number) || !lat__add_i64(number, negative ? '0' - *digit : *digit - '0', &number)) {
      return lat__text_expected(text, "a whole number of 64 bits");
    }
  }
  *value = number;
  LAT_TRY(lat__text_next(text), done);
done:
  return status;
}

/// The locale's decimal point is the caller's affair: see lat__model_parse.
lat_status lat__text_take_real(lat__text *text, double *value) {
  lat_status status = LAT_STATUS_OK;
  char buffer[NUMBER_BYTES], *end = NULL;
  LAT_TRY(number_text(text, buffer, "a number"), done);
  bool hex = strncmp(buffer, "0x", 2) == 0;
  if (hex) { // the bits of a float: how infinities and NaN are spelled
    uint64_t bits = strtoull(buffer, &end, 16);
    if (*end || strlen(buffer) != 10) return lat__text_expected(text, "eight hexadecimal digits");
    uint32_t low = (uint32_t)bits;
    float number;
    memcpy(&number, &low, sizeof number);
    *value = (double)number;
  } else {
    *value = strtod(buffer, &end);
    if (*end) return lat__text_expected(text, "a number");
  }
  LAT_TRY(lat__text_next(text), done);
done:
  return status;
}

// --- types ----------------------------------------------------------------------------------------------------------

static bool find_elem(const char *name, size_t n_bytes, lat__elem *elem) {
  for (int i = 0; i < LAT__N_ELEMS; i++) {
    const char *known = lat__elem_name((lat__elem)i);
    if (strlen(known) == n_bytes && memcmp(known, name, n_bytes) == 0) {
      *elem = (lat__elem)i;
      return true;
    }
  }
  return false;
}

static lat_status take_elem(lat__text *text, lat__elem *elem) {
  lat_status status = LAT_STATUS_OK;
  if (text->token.kind != LAT__TOKEN_WORD || !find_elem(text->token.text, (size_t)text->token.n_bytes, elem)) {
    return lat__text_expected(text, "an element type");
  }
  LAT_TRY(lat__text_next(text), done);
done:
  return status;
}

/// `?x4xi32` as one run of characters: the tokens of a shape are not those of the rest of the language.
static lat_status parse_shape(const lat__text *text, const char *shape, int64_t n_bytes, lat__type *type) {
  int64_t at = 0;
  type->rank = 0;
  while (at < n_bytes && (shape[at] == '?' || (shape[at] >= '0' && shape[at] <= '9'))) {
    int64_t length = -1;
    if (type->rank == LAT_MAX_RANK) {
      return lat__text_fail(text->label, text->token.line, text->token.column,
                            "tensor type: got more than %d axes, expected at most that", LAT_MAX_RANK);
    }
    if (shape[at] == '?') {
      at++;
    } else {
      for (length = 0; at < n_bytes && shape[at] >= '0' && shape[at] <= '9'; at++) {
        if (!lat__mul_i64(length, 10, &length) || !lat__add_i64(length, shape[at] - '0', &length)) length = INT64_MIN;
        if (length < 0) {
          return lat__text_fail(text->label, text->token.line, text->token.column, "tensor type: axis is too long");
        }
      }
    }
    type->dims[type->rank++] = length;
    if (at >= n_bytes || shape[at] != 'x') break;
    at++;
  }
  if (at < n_bytes && find_elem(shape + at, (size_t)(n_bytes - at), &type->elem)) return LAT_STATUS_OK;
  return lat__text_fail(text->label, text->token.line, text->token.column,
                        "tensor type: got 'tensor<%s>', expected axis lengths or '?' and an element type, as in "
                        "tensor<?x4xf32>",
                        lat__show_text(shape, n_bytes).text);
}

static lat_status take_tensor(lat__text *text, lat__type *type) {
  lat_status status = LAT_STATUS_OK;
  char shape[128];
  int64_t n = 0, start;
  type->kind = LAT__TYPE_TENSOR;
  LAT_TRY(lat__text_next(text), done);
  if (!lat__text_is(text, "<")) return lat__text_expected(text, "'<'");
  start = text->at;
  while (text->at < text->n_bytes && text->bytes[text->at] != '>' && text->bytes[text->at] != '\n') {
    char c = text->bytes[text->at++];
    if (c == ' ' || c == '\t') continue;
    if (n == (int64_t)sizeof shape) return lat__text_expected(text, "a shorter tensor type");
    shape[n++] = c;
  }
  if (text->at >= text->n_bytes || text->bytes[text->at] != '>') {
    text->at = start;
    return lat__text_fail(text->label, text->token.line, text->token.column, "tensor type: got no closing '>'");
  }
  LAT_TRY(parse_shape(text, shape, n, type), done);
  LAT_TRY(lat__text_next(text), done);
  LAT_TRY(lat__text_take(text, ">"), done);
done:
  return status;
}

/// `name = `, in the one order that the types have.
static lat_status take_key(lat__text *text, const char *name) {
  lat_status status = LAT_STATUS_OK;
  LAT_TRY(lat__text_take_word(text, name), done);
  LAT_TRY(lat__text_take(text, "="), done);
done:
  return status;
}

static lat_status take_convention(lat__text *text, const char *key, const char *only) {
  lat_status status = LAT_STATUS_OK;
  char word[32];
  lat__token place = text->token;
  LAT_TRY(take_key(text, key), done);
  LAT_TRY(take_keyword(text, word, "a keyword"), done);
  if (strcmp(word, only) != 0) {
    return lat__text_fail(text->label, place.line, place.column, "sparse tensor type: %s: got %s, expected %s", key,
                          lat__show_text(word, (int64_t)strlen(word)).text, only);
  }
  LAT_TRY(lat__text_take(text, ","), done);
done:
  return status;
}

static lat_status take_sparse(lat__text *text, lat__type *type) {
  lat_status status = LAT_STATUS_OK;
  int64_t rank = 0;
  type->kind = LAT__TYPE_SPARSE;
  type->channels = -1;
  LAT_TRY(lat__text_next(text), done);
  LAT_TRY(lat__text_take(text, "<"), done);
  lat__token place = text->token;
  LAT_TRY(take_key(text, "rank"), done);
  LAT_TRY(lat__text_take_int(text, &rank), done);
  if (rank != 3) {
    return lat__text_fail(text->label, place.line, place.column, "sparse tensor type: rank: got %lld, expected 3",
                          (long long)rank);
  }
  LAT_TRY(lat__text_take(text, ","), done);
  LAT_TRY(take_convention(text, "coord", "batch_x_y_z"), done);
  LAT_TRY(take_convention(text, "feature", "row_channel"), done);
  LAT_TRY(take_key(text, "dtype"), done);
  LAT_TRY(take_elem(text, &type->elem), done);
  LAT_TRY(lat__text_take(text, ">"), done);
done:
  return status;
}

static lat_status take_weight(lat__text *text, lat__type *type) {
  lat_status status = LAT_STATUS_OK;
  char word[32];
  type->kind = LAT__TYPE_WEIGHT;
  LAT_TRY(lat__text_next(text), done);
  LAT_TRY(lat__text_take(text, "<"), done);
  lat__token place = text->token;
  LAT_TRY(take_keyword(text, word, "a weight family"), done);
  int family = 0;
  while (family < LAT__N_FAMILIES && strcmp(word, lat__family_name((lat__family)family)) != 0) family++;
  if (family == LAT__N_FAMILIES) {
    return lat__text_fail(text->label, place.line, place.column,
                          "weight type: got family %s, expected conv3d, linear, embedding, channel or bias",
                          lat__show_text(word, (int64_t)strlen(word)).text);
  }
  type->family = (lat__family)family;
  LAT_TRY(lat__text_take(text, ","), done);
  LAT_TRY(take_elem(text, &type->elem), done);
  LAT_TRY(lat__text_take(text, ">"), done);
done:
  return status;
}

lat_status lat__text_take_type(lat__text *text, lat__type *type) {
  const lat__token *token = &text->token;
  *type = (lat__type){.kind = LAT__TYPE_TENSOR, .channels = -1};
  if (lat__text_is_word(text, "tensor")) return take_tensor(text, type);
  if (token->kind == LAT__TOKEN_BANG && token->n_bytes == 21 && memcmp(token->text, "lattice.sparse_tensor", 21) == 0) {
    return take_sparse(text, type);
  }
  if (token->kind == LAT__TOKEN_BANG && token->n_bytes == 14 && memcmp(token->text, "lattice.weight", 14) == 0) {
    return take_weight(text, type);
  }
  return lat__text_expected(text, "a type: tensor<…>, !lattice.sparse_tensor<…> or !lattice.weight<…>");
}

const char *lat__type_text(const lat__type *type, char *buffer, size_t buffer_bytes) {
  const char *elem = lat__elem_name(type->elem);
  if (type->kind == LAT__TYPE_SPARSE) {
    snprintf(buffer, buffer_bytes,
             "!lattice.sparse_tensor<rank = 3, coord = batch_x_y_z, feature = row_channel, dtype = %s>", elem);
  } else if (type->kind == LAT__TYPE_WEIGHT) {
    snprintf(buffer, buffer_bytes, "!lattice.weight<%s, %s>", lat__family_name(type->family), elem);
  } else {
    size_t used = (size_t)snprintf(buffer, buffer_bytes, "tensor<");
    for (int32_t axis = 0; axis < type->rank && used < buffer_bytes; axis++) {
      used += (size_t)(type->dims[axis] < 0
                           ? snprintf(buffer + used, buffer_bytes - used, "?x")
                           : snprintf(buffer + used, buffer_bytes - used, "%lldx", (long long)type->dims[axis]));
    }
    if (used < buffer_bytes) snprintf(buffer + used, buffer_bytes - used, "%s>", elem);
  }
  return buffer;
}

bool lat__type_equal(const lat__type *a, const lat__type *b) {
  if (a->kind != b->kind || a->elem != b->elem) return false;
  if (a->kind == LAT__TYPE_WEIGHT) return a->family == b->family;
  if (a->kind == LAT__TYPE_SPARSE) return true;
  bool equal = a->rank == b->rank;
  for (int32_t axis = 0; equal && axis < a->rank; axis++) equal = a->dims[axis] == b->dims[axis];
  return equal;
}
