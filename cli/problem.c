/// Problem strings: the parser. Tables live in problem_keys.c, lists of values in problem_list.c, the printer in
/// problem_print.c.
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "problem_keys.h"

/// "a, b, c" of the names.
static void list_names(const named_value *names, char *buffer, size_t bytes) {
  size_t used = 0;
  buffer[0] = '\0';
  for (; names && names->name && used < bytes; names++) {
    used += (size_t)snprintf(buffer + used, bytes - used, "%s%s", used ? ", " : "", names->name);
  }
}

static lat_status bad_value(const key_rule *key, const char *text, const char *expected) {
  return lat_fail(LAT_STATUS_INVALID_ARGUMENT, "problem: bad value of key '%s': got '%.80s', expected %s", key->name,
                  text, expected);
}

static lat_status bad_number(const key_rule *key, const char *text, const char *form) {
  char expected[160];
  snprintf(expected, sizeof expected, "%s from %.12g to %.12g", form, key->low, key->high);
  return bad_value(key, text, expected);
}

/// Reads an unsigned decimal number at `*text` and steps over it. Signs, blanks, hexadecimals, inf and nan are no numbers.
static bool read_number(const char **text, double *out) {
  size_t n = strspn(*text, "0123456789.");
  if (n == 0 || n > 40) return false;
  char digits[48], *end;
  memcpy(digits, *text, n);
  digits[n] = '\0';
  *out = strtod(digits, &end);
  if (*end || end == digits) return false;
  *text += n;
  return true;
}

static lat_status parse_count(const key_rule *key, const char *text, int64_t *out) {
  const char *at = text;
  double number;
  if (!read_number(&at, &number)) return bad_number(key, text, "a whole number (suffixes k, M)");
  if (*at == 'k') {
    number *= 1e3;
    at++;
  } else if (*at == 'M') {
    number *= 1e6;
    at++;
  }
  number = fabs(number - nearbyint(number)) < 1e-6 ? nearbyint(number) : number; // 0.001M has no exact double
  if (*at || number < key->low || number > key->high || number > floor(number)) {
    return bad_number(key, text, "a whole number (suffixes k, M)");
  }
  *out = (int64_t)number;
  return LAT_STATUS_OK;
}

static lat_status parse_seed(const key_rule *key, const char *text, uint64_t *out) {
  char *end;
  errno = 0;
  unsigned long long number = strtoull(text, &end, 10);
  if (text[0] < '0' || text[0] > '9' || *end || errno) return bad_value(key, text, "a whole number below 2^64");
  *out = number;
  return LAT_STATUS_OK;
}

static lat_status parse_real(const key_rule *key, const char *text, double *out) {
  const char *at = text;
  double number;
  char *end;
  if (!read_number(&at, &number)) return bad_number(key, text, "a number");
  if (*at == 'e') { // 1e-05, as the printer writes small numbers
    number = strtod(text, &end);
    at = end;
  }
  if (*at || number < key->low || number > key->high) return bad_number(key, text, "a number");
  *out = number;
  return LAT_STATUS_OK;
}

static lat_status parse_triple(const key_rule *key, const char *text, lat_triple *out) {
  static const char form[] = "one whole number, or three as in 3x1x5,";
  const char *at = text;
  double number[3];
  int n = 0;
  for (;;) {
    if (n == 3 || !read_number(&at, &number[n])) return bad_number(key, text, form);
    if (number[n] < key->low || number[n] > key->high || number[n] > floor(number[n])) {
      return bad_number(key, text, form);
    }
    n++;
    if (*at != 'x') break;
    at++;
  }
  if (*at || n == 2) return bad_number(key, text, form);
  *out = n == 1 ? lat_triple_all((int32_t)number[0])
                : (lat_triple){(int32_t)number[0], (int32_t)number[1], (int32_t)number[2]};
  return LAT_STATUS_OK;
}

static lat_status parse_name(const key_rule *key, const named_value *names, const char *text, int32_t *out) {
  for (const named_value *entry = names; entry && entry->name; entry++) {
    if (strcmp(entry->name, text) != 0) continue;
    *out = entry->value;
    return LAT_STATUS_OK;
  }
  char expected[160];
  list_names(names, expected, sizeof expected);
  return bad_value(key, text, expected);
}

static lat_status parse_path(const key_rule *key, const char *text, char *out) {
  size_t n = strlen(text);
  if (n == 0 || n >= PROBLEM_PATH_BYTES) return bad_value(key, text, "a file name of 1 to 255 bytes");
  memcpy(out, text, n + 1);
  return LAT_STATUS_OK;
}

static lat_status parse_value(const key_rule *key, const char *text, problem *item) {
  char *field = (char *)item + key->offset;
  int64_t count;
  lat_status status = LAT_STATUS_OK;
  switch (key->kind) {
  case KIND_COUNT:
    return parse_count(key, text, (int64_t *)(void *)field);
  case KIND_SMALL:
    status = parse_count(key, text, &count);
    if (!status) *(int32_t *)(void *)field = (int32_t)count;
    return status;
  case KIND_SEED:
    return parse_seed(key, text, (uint64_t *)(void *)field);
  case KIND_REAL:
    return parse_real(key, text, (double *)(void *)field);
  case KIND_TRIPLE:
    return parse_triple(key, text, (lat_triple *)(void *)field);
  case KIND_NAME:
    return parse_name(key, problem_key_names(key, item->op), text, (int32_t *)(void *)field);
  case KIND_PATH:
    return parse_path(key, text, field);
  }
  return status;
}

static lat_status find_op(const char *name, problem_op *out) {
  char known[512] = "";
  size_t used = 0;
  for (int i = 0; i < PROBLEM_N_OPS; i++) {
    const char *candidate = problem_rule((problem_op)i)->name;
    if (strcmp(candidate, name) == 0) {
      *out = (problem_op)i;
      return LAT_STATUS_OK;
    }
    used += (size_t)snprintf(known + used, sizeof known - used, "%s%s", used ? ", " : "", candidate);
  }
  return lat_fail(LAT_STATUS_INVALID_ARGUMENT, "problem: unknown operator: got '%.80s', expected one of %s", name,
                  known);
}

static lat_status find_key(const char *name, problem_op op, const key_rule **out) {
  char known[512] = "";
  size_t used = 0;
  for (int i = 0; i < problem_n_keys; i++) {
    if (!(problem_key_bits(op) & problem_keys[i].bit)) continue;
    if (strcmp(problem_keys[i].name, name) == 0) {
      *out = &problem_keys[i];
      return LAT_STATUS_OK;
    }
    used += (size_t)snprintf(known + used, sizeof known - used, "%s%s", used ? ", " : "", problem_keys[i].name);
  }
  return lat_fail(LAT_STATUS_INVALID_ARGUMENT, "problem: unknown key: got '%.80s', expected one that %s takes: %s",
                  name, problem_rule(op)->name, known);
}

/// Fills what depends on other keys and checks what must agree. `seen`: bits of the keys that were given.
static lat_status settle(problem *item, uint32_t seen) {
  if ((seen & KEY_SCENE) && (seen & KEY_SCAN)) {
    return lat_fail(LAT_STATUS_INVALID_ARGUMENT, "problem: scene and scan exclude each other: got both, expected one");
  }
  if (seen & KEY_SCAN) item->scene = PROBLEM_SCENE_SCAN;
  if ((problem_key_bits(item->op) & KEY_COUT) && !(seen & KEY_COUT)) item->c_out = item->c_in;
  if (!(problem_key_bits(item->op) & KEY_WEIGHTS)) return LAT_STATUS_OK;
  if (item->peer == PROBLEM_PEER_NAIVE && item->type != LAT_DTYPE_F32) {
    return lat_fail(LAT_STATUS_INVALID_ARGUMENT, "problem: peer=naive takes float32 features: got '%s', expected f32",
                    problem_type_name(item->type));
  }
  if (item->c_in % item->groups != 0 || item->c_out % item->groups != 0) {
    return lat_fail(LAT_STATUS_INVALID_ARGUMENT,
                    "problem: groups must divide cin and cout: got %d for %lld and %lld channels, expected a divisor",
                    item->groups, (long long)item->c_in, (long long)item->c_out);
  }
  if (item->peer == PROBLEM_PEER_NAIVE && item->groups > 1) {
    return lat_fail(LAT_STATUS_INVALID_ARGUMENT, "problem: peer=naive has no groups: got %d, expected 1", item->groups);
  }
  if (item->peer == PROBLEM_PEER_NAIVE && item->grad) {
    return lat_fail(LAT_STATUS_INVALID_ARGUMENT, "problem: peer=naive has no gradient: got grad, expected none");
  }
  if (item->acts && (item->grad || item->groups > 1 || item->peer)) {
    return lat_fail(
        LAT_STATUS_INVALID_ARGUMENT,
        "problem: acts=int8 has no gradient, groups or peer: got one of grad, groups and peer, expected none");
  }
  problem_weights dense = problem_dense_weights(item->type);
  if (!(seen & KEY_WEIGHTS)) item->weights = dense;
  if (!problem_has_packed_weights(item) && item->weights != dense && item->op != PROBLEM_LINEAR) {
    return lat_fail(LAT_STATUS_INVALID_ARGUMENT,
                    "problem: dense weights of %s must have the features' type: got '%s', expected %s, int8 or int4",
                    problem_rule(item->op)->name, problem_weights_name(item->weights), problem_type_name(item->type));
  }
  return LAT_STATUS_OK;
}

lat_status problem_parse(const char *text, problem *out) {
  char copy[PROBLEM_TEXT_BYTES];
  size_t n = text ? strlen(text) : 0;
  if (n == 0 || n >= sizeof copy) {
    return lat_fail(LAT_STATUS_INVALID_ARGUMENT, "problem: bad length: got %zu bytes, expected 1 to %d", n,
                    PROBLEM_TEXT_BYTES - 1);
  }
  memcpy(copy, text, n + 1);
  char *rest = strchr(copy, ':');
  if (rest) *rest++ = '\0';
  problem_op op = PROBLEM_CONV3D;
  lat_status status = find_op(copy, &op);
  if (status) return status;
  problem item = problem_defaults(op);
  uint32_t seen = 0;
  while (rest && *rest) {
    char *pair = rest;
    rest = strchr(pair, ',');
    if (rest) *rest++ = '\0';
    char *value = strchr(pair, '=');
    if (!value) {
      return lat_fail(LAT_STATUS_INVALID_ARGUMENT, "problem: bad part: got '%.80s', expected key=value", pair);
    }
    *value++ = '\0';
    const key_rule *key = NULL;
    status = find_key(pair, op, &key);
    if (!status && (seen & key->bit)) {
      status =
          lat_fail(LAT_STATUS_INVALID_ARGUMENT, "problem: key given twice: got '%s' again, expected it once", pair);
    }
    if (!status) status = parse_value(key, value, &item);
    if (status) return status;
    seen |= key->bit;
  }
  status = settle(&item, seen);
  if (!status) *out = item;
  return status;
}
