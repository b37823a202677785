// Tokens of a graph's text.
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "core/compiler.h"
#include "model/graph_text.h"
#include "model/model_file.h"

lat_status lat__text_fail(const char *label, int32_t line, int32_t column, const char *format, ...) {
  char what[320];
  va_list arguments;
  va_start(arguments, format);
  vsnprintf(what, sizeof what, format, arguments);
  va_end(arguments);
  return lat_fail(LAT_STATUS_BAD_DATA, "%s:%d:%d: %s", label, (int)line, (int)column, what);
}

lat_status lat__text_expected(const lat__text *text, const char *expected) {
  const lat__token *token = &text->token;
  const char *mark = "";
  if (token->kind == LAT__TOKEN_END) {
    return lat__text_fail(text->label, token->line, token->column, "syntax: got the end of the text, expected %s",
                          expected);
  }
  if (token->kind == LAT__TOKEN_VALUE) mark = "%";
  if (token->kind == LAT__TOKEN_SYMBOL) mark = "@";
  if (token->kind == LAT__TOKEN_HASH) mark = "#";
  if (token->kind == LAT__TOKEN_BANG) mark = "!";
  return lat__text_fail(text->label, token->line, token->column, "syntax: got '%s%s', expected %s", mark,
                        lat__show_text(token->text, token->n_bytes).text, expected);
}

// --- characters -----------------------------------------------------------------------------------------------------

static char peek(const lat__text *text, int64_t ahead) {
  return text->at + ahead < text->n_bytes ? text->bytes[text->at + ahead] : '\0';
}

static bool is_digit(char c) {
  return c >= '0' && c <= '9';
}

static bool is_letter(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
}

static bool is_word(char c) {
  return is_letter(c) || is_digit(c) || c == '.' || c == '$';
}

/// Characters of value names and labels.
static bool is_suffix(char c) {
  return is_word(c) || c == '-';
}

static void skip_space(lat__text *text) {
  while (text->at < text->n_bytes) {
    char c = text->bytes[text->at];
    if (c == '\n') {
      text->line++;
      text->line_start = text->at + 1;
    } else if (c == '/' && peek(text, 1) == '/') {
      while (text->at < text->n_bytes && text->bytes[text->at] != '\n') text->at++;
      continue;
    } else if (c != ' ' && c != '\t' && c != '\r') {
      return;
    }
    text->at++;
  }
}

// --- tokens ---------------------------------------------------------------------------------------------------------

/// Ends the token that began at `text->at`, `n` bytes long, of which the first `skip` are a mark.
static void end_token(lat__text *text, lat__token_kind kind, int64_t n, int64_t skip) {
  text->token.kind = kind;
  text->token.text = text->bytes + text->at + skip;
  text->token.n_bytes = n - skip;
  text->at += n;
}

static lat_status lex_string(lat__text *text, lat__token_kind kind, int64_t skip) {
  int64_t n = skip;
  for (;; n++) {
    char c = peek(text, n);
    if (text->at + n >= text->n_bytes || c == '\n') {
      return lat__text_fail(text->label, text->token.line, text->token.column, "syntax: got a string without end");
    }
    if (c == '"') break;
    if (c == '\\' && peek(text, n + 1) != '\n') n++;
  }
  end_token(text, kind, n, skip);
  text->token.quoted = kind == LAT__TOKEN_SYMBOL;
  text->at++;
  return LAT_STATUS_OK;
}

static void lex_number(lat__text *text) {
  int64_t n = peek(text, 0) == '-';
  bool is_float = false;
  if (peek(text, n) == '0' && peek(text, n + 1) == 'x') {
    n += 2;
    while (is_digit(peek(text, n)) || is_letter(peek(text, n))) n++;
  } else {
    while (is_digit(peek(text, n))) n++;
    if (peek(text, n) == '.') {
      is_float = true;
      n++;
      while (is_digit(peek(text, n))) n++;
    }
    char sign = peek(text, n + 1);
    if ((peek(text, n) == 'e' || peek(text, n) == 'E') &&
        (is_digit(sign) || ((sign == '-' || sign == '+') && is_digit(peek(text, n + 2))))) {
      is_float = true;
      n += 2;
      while (is_digit(peek(text, n))) n++;
    }
  }
  end_token(text, LAT__TOKEN_NUMBER, n, 0);
  text->token.is_float = is_float;
}

/// A mark (%, @, #, !, ^) and the name behind it.
static lat_status lex_marked(lat__text *text, lat__token_kind kind) {
  int64_t n = 1;
  if (kind == LAT__TOKEN_SYMBOL && peek(text, 1) == '"') return lex_string(text, kind, 2);
  while (kind == LAT__TOKEN_VALUE || kind == LAT__TOKEN_LABEL ? is_suffix(peek(text, n)) : is_word(peek(text, n))) n++;
  if (n > 1 && kind == LAT__TOKEN_VALUE && peek(text, n) == '#' && is_digit(peek(text, n + 1))) {
    n++;
    while (is_digit(peek(text, n))) n++;
  }
  if (n == 1) {
    return lat__text_fail(text->label, text->token.line, text->token.column, "syntax: got '%c' without a name",
                          peek(text, 0));
  }
  end_token(text, kind, n, 1);
  return LAT_STATUS_OK;
}

lat_status lat__text_next(lat__text *text) {
  skip_space(text);
  char c = peek(text, 0);
  text->token = (lat__token){
      .kind = LAT__TOKEN_END,
      .text = "",
      .line = text->line,
      .column = (int32_t)(text->at - text->line_start < INT32_MAX ? text->at - text->line_start : INT32_MAX - 1) + 1};
  if (text->at >= text->n_bytes) return LAT_STATUS_OK;
  if (is_letter(c)) {
    int64_t n = 1;
    while (is_word(peek(text, n))) n++;
    end_token(text, LAT__TOKEN_WORD, n, 0);
    return LAT_STATUS_OK;
  }
  if (is_digit(c) || (c == '-' && is_digit(peek(text, 1)))) {
    lex_number(text);
    return LAT_STATUS_OK;
  }
  if (c == '"') return lex_string(text, LAT__TOKEN_STRING, 1);
  if (c == '%') return lex_marked(text, LAT__TOKEN_VALUE);
  if (c == '@') return lex_marked(text, LAT__TOKEN_SYMBOL);
  if (c == '#') return lex_marked(text, LAT__TOKEN_HASH);
  if (c == '!') return lex_marked(text, LAT__TOKEN_BANG);
  if (c == '^') return lex_marked(text, LAT__TOKEN_LABEL);
  if (c == '-' && peek(text, 1) == '>') {
    end_token(text, LAT__TOKEN_PUNCTUATION, 2, 0);
    return LAT_STATUS_OK;
  }
  if (c != '\0' && strchr("{}()[]<>,:=?", c)) {
    end_token(text, LAT__TOKEN_PUNCTUATION, 1, 0);
    return LAT_STATUS_OK;
  }
  return lat__text_fail(text->label, text->token.line, text->token.column, "syntax: got '%s', which begins nothing",
                        lat__show_text(text->bytes + text->at, 1).text);
}

// --- small steps ----------------------------------------------------------------------------------------------------

static bool token_equals(const lat__token *token, const char *expected) {
  return token->n_bytes == (int64_t)strlen(expected) && memcmp(token->text, expected, (size_t)token->n_bytes) == 0;
}

bool lat__text_is(const lat__text *text, const char *punctuation) {
  return text->token.kind == LAT__TOKEN_PUNCTUATION && token_equals(&text->token, punctuation);
}

bool lat__text_is_word(const lat__text *text, const char *word) {
  return text->token.kind == LAT__TOKEN_WORD && token_equals(&text->token, word);
}

/// "'what'", for messages.
static lat_status expected_literal(const lat__text *text, const char *what) {
  char quoted[48];
  snprintf(quoted, sizeof quoted, "'%s'", what);
  return lat__text_expected(text, quoted);
}

lat_status lat__text_take(lat__text *text, const char *punctuation) {
  return lat__text_is(text, punctuation) ? lat__text_next(text) : expected_literal(text, punctuation);
}

lat_status lat__text_take_word(lat__text *text, const char *word) {
  return lat__text_is_word(text, word) ? lat__text_next(text) : expected_literal(text, word);
}

lat_status lat__text_take_if(lat__text *text, const char *punctuation, bool *taken) {
  *taken = lat__text_is(text, punctuation);
  return *taken ? lat__text_next(text) : LAT_STATUS_OK;
}

static int hex_of(char c) {
  if (is_digit(c)) return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

/// Bytes of the UTF-8 character at `text` (Unicode 15, table 3-7), 0 where there is none.
static int64_t utf8_bytes(const char *text, int64_t n_bytes) {
  const unsigned char *b = (const unsigned char *)text;
  int64_t n = b[0] < 0x80 ? 1 : b[0] < 0xc2 ? 0 : b[0] < 0xe0 ? 2 : b[0] < 0xf0 ? 3 : b[0] < 0xf5 ? 4 : 0;
  if (n > n_bytes) return 0;
  for (int64_t i = 1; i < n; i++) {
    if ((b[i] & 0xc0) != 0x80) return 0;
  }
  bool too_long = (b[0] == 0xe0 && b[1] < 0xa0) || (b[0] == 0xf0 && b[1] < 0x90);
  bool outside = (b[0] == 0xed && b[1] >= 0xa0) || (b[0] == 0xf4 && b[1] >= 0x90);
  return n > 1 && (too_long || outside) ? 0 : n;
}

static bool is_utf8(const char *text, int64_t n_bytes) {
  for (int64_t at = 0; at < n_bytes;) {
    int64_t n = utf8_bytes(text + at, n_bytes - at);
    if (n == 0) return false;
    at += n;
  }
  return true;
}

lat_status lat__text_take_string(lat__text *text, const char **out) {
  lat_status status = LAT_STATUS_OK;
  const lat__token token = text->token;
  int64_t n = 0;
  bool has_escapes = token.kind == LAT__TOKEN_STRING || token.quoted;
  if (token.kind != LAT__TOKEN_STRING && token.kind != LAT__TOKEN_SYMBOL) return lat__text_expected(text, "a string");
  LAT_TRY(lat__arena_text(text->context, &text->model->arena, token.text, token.n_bytes, out), done);
  char *copy = (char *)*out;
  for (int64_t i = 0; i < token.n_bytes; i++, n++) {
    copy[n] = token.text[i];
    if (!has_escapes || token.text[i] != '\\') continue;
    char next = token.text[++i];
    int high = hex_of(next), low = i + 1 < token.n_bytes ? hex_of(token.text[i + 1]) : -1;
    if (next == '"' || next == '\\') {
      copy[n] = next;
    } else if (next == 'n' || next == 't') {
      copy[n] = next == 'n' ? '\n' : '\t';
    } else if (high >= 0 && low >= 0 && (high || low)) {
      copy[n] = (char)(high * 16 + low);
      i++;
    } else {
      return lat__text_fail(text->label, token.line, token.column, "syntax: got an unknown escape in a string");
    }
  }
  copy[n] = '\0';
  if (memchr(copy, 0, (size_t)n) || !is_utf8(copy, n)) {
    return lat__text_fail(text->label, token.line, token.column,
                          "syntax: got a string with a zero byte or bytes that are no UTF-8");
  }
  LAT_TRY(lat__text_next(text), done);
done:
  return status;
}

lat_status lat__text_skip_value(lat__text *text) {
  lat_status status = LAT_STATUS_OK;
  int64_t depth = 0;
  do {
    bool opens =
        lat__text_is(text, "{") || lat__text_is(text, "[") || lat__text_is(text, "(") || lat__text_is(text, "<");
    bool closes =
        lat__text_is(text, "}") || lat__text_is(text, "]") || lat__text_is(text, ")") || lat__text_is(text, ">");
    if (text->token.kind == LAT__TOKEN_END || (closes && depth == 0)) return lat__text_expected(text, "a value");
    depth += opens - closes;
    LAT_TRY(lat__text_next(text), done);
    // `5 : i64`, `dense<…> : tensor<…>`, `#a<…>` go on after their first part.
  } while (depth > 0 || !(lat__text_is(text, ",") || lat__text_is(text, "}") || lat__text_is(text, ")") ||
                          lat__text_is(text, "]") || lat__text_is(text, ">")));
done:
  return status;
}
