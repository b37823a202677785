/// Problem strings: the printer of the canonical string, and equality.
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "problem_keys.h"

static bool same_triple(lat_triple a, lat_triple b) {
  return a.x == b.x && a.y == b.y && a.z == b.z;
}

static bool same_value(const key_rule *key, const problem *a, const problem *b) {
  const char *left = (const char *)a + key->offset, *right = (const char *)b + key->offset;
  switch (key->kind) {
  case KIND_COUNT:
  case KIND_SEED:
    return memcmp(left, right, sizeof(int64_t)) == 0;
  case KIND_SMALL:
  case KIND_NAME:
    return memcmp(left, right, sizeof(int32_t)) == 0;
  case KIND_REAL:
    return memcmp(left, right, sizeof(double)) == 0;
  case KIND_TRIPLE:
    return same_triple(*(const lat_triple *)(const void *)left, *(const lat_triple *)(const void *)right);
  case KIND_PATH:
    return strcmp(left, right) == 0;
  }
  return false;
}

bool problem_equal(const problem *a, const problem *b) {
  if (a->op != b->op) return false;
  for (int i = 0; i < problem_n_keys; i++) {
    if (!same_value(&problem_keys[i], a, b)) return false;
  }
  return true;
}

static void print_count(int64_t count, char *text, size_t bytes) {
  int64_t unit = count && count % 1000000 == 0 ? 1000000 : count && count % 1000 == 0 ? 1000 : 1;
  snprintf(text, bytes, "%" PRId64 "%s", count / unit, unit == 1000000 ? "M" : unit == 1000 ? "k" : "");
}

/// The shortest decimal that reads back as the same double.
static void print_real(double value, char *text, size_t bytes) {
  for (int digits = 1; digits <= 17; digits++) {
    snprintf(text, bytes, "%.*g", digits, value);
    if (!(strtod(text, NULL) < value) && !(strtod(text, NULL) > value)) return;
  }
}

static void print_triple(lat_triple value, char *text, size_t bytes) {
  if (same_triple(value, lat_triple_all(value.x))) {
    snprintf(text, bytes, "%d", value.x);
  } else {
    snprintf(text, bytes, "%dx%dx%d", value.x, value.y, value.z);
  }
}

static void print_value(const key_rule *key, const problem *item, char *text, size_t bytes) {
  const void *field = (const char *)item + key->offset;
  switch (key->kind) {
  case KIND_COUNT: // channels are written out: "64" and "1024" stand beside each other in tables
    if (key->bit == KEY_N) {
      print_count(*(const int64_t *)field, text, bytes);
    } else {
      snprintf(text, bytes, "%" PRId64, *(const int64_t *)field);
    }
    break;
  case KIND_SMALL:
    snprintf(text, bytes, "%d", *(const int32_t *)field);
    break;
  case KIND_SEED:
    snprintf(text, bytes, "%" PRIu64, *(const uint64_t *)field);
    break;
  case KIND_REAL:
    print_real(*(const double *)field, text, bytes);
    break;
  case KIND_TRIPLE:
    print_triple(*(const lat_triple *)field, text, bytes);
    break;
  case KIND_NAME:
    snprintf(text, bytes, "%s", problem_name_of(problem_key_names(key, item->op), *(const int32_t *)field));
    break;
  case KIND_PATH:
    snprintf(text, bytes, "%s", (const char *)field);
    break;
  }
}

/// Whether the canonical string of `item` has this key.
static bool is_printed(const key_rule *key, const problem *item, const problem *usual) {
  if (!(problem_key_bits(item->op) & key->bit)) return false;
  if (key->bit == KEY_SCENE) return item->scene != PROBLEM_SCENE_SCAN;
  if (key->bit == KEY_SCAN) return item->scene == PROBLEM_SCENE_SCAN;
  if (problem_rule(item->op)->printed & key->bit) return true;
  return !same_value(key, item, usual);
}

const char *problem_print(const problem *item, char *buffer) {
  problem usual = problem_defaults(item->op);
  usual.weights = problem_dense_weights(item->type);
  int used = snprintf(buffer, PROBLEM_TEXT_BYTES, "%s", problem_rule(item->op)->name);
  char separator = ':';
  for (int i = 0; i < problem_n_keys; i++) {
    if (!is_printed(&problem_keys[i], item, &usual)) continue;
    char value[PROBLEM_PATH_BYTES];
    print_value(&problem_keys[i], item, value, sizeof value);
    used +=
        snprintf(buffer + used, (size_t)(PROBLEM_TEXT_BYTES - used), "%c%s=%s", separator, problem_keys[i].name, value);
    separator = ',';
  }
  return buffer;
}
