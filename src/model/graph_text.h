/// Reading the text of a graph: tokens with their places, types and attributes from tokens.
///
/// The grammar is the part of MLIR's textual form that graphs use (semantics 12.3). Everything fails with the place,
/// "LABEL:line:column: what", through lat__text_fail.
#ifndef LATTICE_MODEL_GRAPH_TEXT_H
#define LATTICE_MODEL_GRAPH_TEXT_H

#include "model/graph.h"

typedef enum lat__token_kind {
  LAT__TOKEN_END,
  LAT__TOKEN_PUNCTUATION, ///< one character, or "->"
  LAT__TOKEN_WORD,        ///< module, func.func, lattice.conv3d, true
  LAT__TOKEN_VALUE,       ///< %name, %name#1; text without '%'
  LAT__TOKEN_SYMBOL,      ///< @name; text without '@'
  LAT__TOKEN_STRING,      ///< text without quotes, escapes still in it
  LAT__TOKEN_NUMBER,      ///< with its sign; `is_float` when it has a point
  LAT__TOKEN_HASH,        ///< #lattice.join; text without '#'
  LAT__TOKEN_BANG,        ///< !lattice.weight; text without '!'
  LAT__TOKEN_LABEL        ///< ^bb0
} lat__token_kind;

typedef struct lat__token {
  lat__token_kind kind;
  const char *text;
  int64_t n_bytes;
  int32_t line, column; ///< from 1; columns count bytes
  bool is_float;
  bool quoted; ///< a symbol in quotes
} lat__token;

/// The reader's state. `token` is the one to be looked at next.
typedef struct lat__text {
  lat_context *context;
  const char *label; ///< "model_load: path": begins every message
  const char *bytes;
  int64_t n_bytes, at, line_start;
  int32_t line;
  lat__token token;
  lat_model *model;   ///< what is being built; its arena takes the texts
  int32_t ir_version; ///< 2 or 3
  lat__names values;  ///< value numbers by SSA name
} lat__text;

/// Fails with BAD_DATA at a place; printf style.
lat_status lat__text_fail(const char *label, int32_t line, int32_t column, const char *format, ...) LAT_PRINTF(4, 5);

/// Fails at the current token: "what: got 'token', expected `expected`".
lat_status lat__text_expected(const lat__text *text, const char *expected);

/// Steps to the next token. Errors: BAD_DATA (a character that begins nothing, a string without end).
LAT_CHECKED lat_status lat__text_next(lat__text *text);

bool lat__text_is(const lat__text *text, const char *punctuation);
bool lat__text_is_word(const lat__text *text, const char *word);

/// Steps over a punctuation or word, or fails.
LAT_CHECKED lat_status lat__text_take(lat__text *text, const char *punctuation);
LAT_CHECKED lat_status lat__text_take_word(lat__text *text, const char *word);

/// Steps over a punctuation when it is there; `*taken` says so.
LAT_CHECKED lat_status lat__text_take_if(lat__text *text, const char *punctuation, bool *taken);

/// The current string or symbol without its escapes, in the model's arena; steps over it.
LAT_CHECKED lat_status lat__text_take_string(lat__text *text, const char **out);

/// Steps over a whole attribute value of any form.
LAT_CHECKED lat_status lat__text_skip_value(lat__text *text);

/// Reads a whole number, a number, a type.
LAT_CHECKED lat_status lat__text_take_int(lat__text *text, int64_t *value);
LAT_CHECKED lat_status lat__text_take_real(lat__text *text, double *value);
LAT_CHECKED lat_status lat__text_take_type(lat__text *text, lat__type *type);

/// Reads an attribute's value as the table wants it.
LAT_CHECKED lat_status lat__text_take_attr(lat__text *text, lat__op_kind op, lat__attr_key key, lat__attr *out);

/// A type as the text spells it, for messages and for the writer. Returns `buffer`.
const char *lat__type_text(const lat__type *type, char *buffer, size_t buffer_bytes);

enum { LAT__TYPE_TEXT_BYTES = 200 };

/// True when two types are spelled alike.
bool lat__type_equal(const lat__type *a, const lat__type *b);

// --- operations -----------------------------------------------------------------------------------------------------

/// Lists in the making, in the model's arena.
typedef struct lat__text_list {
  const char **items;
  int64_t count, room;
  int32_t line, column;
  bool present;
} lat__text_list;

typedef struct lat__type_list {
  lat__type *items;
  int64_t count, room;
} lat__type_list;

/// Fails at a token, with a sentence.
#define LAT__FAIL_AT(text, token, ...) lat__text_fail((text)->label, (token).line, (token).column, __VA_ARGS__)

bool lat__token_is(const lat__token *token, const char *expected);

/// As lat__arena_grow in the model's arena; `items` points at the list's pointer.
LAT_CHECKED lat_status lat__text_grow(lat__text *text, int64_t count, size_t item_bytes, int64_t *room, void *items);

/// Gives a value the name that the text uses for it; finds the value of a name for `user`.
LAT_CHECKED lat_status lat__text_define(lat__text *text, const lat__token *place, const char *name, int32_t value);
LAT_CHECKED lat_status lat__text_find(lat__text *text, const lat__token *use, const char *user, int32_t *value);

/// A type, or a list of types in parentheses.
LAT_CHECKED lat_status lat__text_take_types(lat__text *text, lat__type_list *types);

/// Reads one operation into the model.
LAT_CHECKED lat_status lat__text_take_op(lat__text *text);

#endif
