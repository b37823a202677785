/// Lists of problems: texts whose values are lists, and files of such texts.
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "problem.h"

enum { MAX_PARTS = 24, MAX_VALUES = 32, MAX_PROBLEMS = 4096 };

/// One `key=a,b,c` of a text: the key with its '=' and the values.
typedef struct text_part {
  const char *key;
  const char *values[MAX_VALUES];
  int n_values, chosen;
} text_part;

typedef struct split_text {
  char copy[PROBLEM_TEXT_BYTES];
  const char *op;
  text_part parts[MAX_PARTS];
  int n_parts;
} split_text;

static lat_status append(problem_list *list, const problem *item) {
  if (list->n == list->capacity) {
    int64_t capacity = list->capacity ? 2 * list->capacity : 16;
    problem *items = realloc(list->items, (size_t)capacity * sizeof *items);
    if (!items) return lat_fail(LAT_STATUS_OUT_OF_MEMORY, "problem: no memory for %lld problems", (long long)capacity);
    list->items = items;
    list->capacity = capacity;
  }
  list->items[list->n++] = *item;
  return LAT_STATUS_OK;
}

/// Adds the piece between two commas: a new part, or another value of the last one.
static lat_status add_piece(split_text *split, char *piece) {
  char *value = strchr(piece, '=');
  if (!value && split->n_parts == 0) {
    return lat_fail(LAT_STATUS_INVALID_ARGUMENT, "problem: bad part: got '%.80s', expected key=value", piece);
  }
  if (value) {
    if (split->n_parts == MAX_PARTS) {
      return lat_fail(LAT_STATUS_INVALID_ARGUMENT, "problem: too many keys: got more, expected at most %d", MAX_PARTS);
    }
    *value++ = '\0';
    split->parts[split->n_parts++] = (text_part){.key = piece};
  }
  text_part *part = &split->parts[split->n_parts - 1];
  if (part->n_values == MAX_VALUES) {
    return lat_fail(LAT_STATUS_INVALID_ARGUMENT, "problem: too many values of '%.40s': got more, expected at most %d",
                    part->key, MAX_VALUES);
  }
  part->values[part->n_values++] = value ? value : piece;
  return LAT_STATUS_OK;
}

static lat_status split(const char *text, split_text *out) {
  size_t n = strlen(text);
  if (n >= sizeof out->copy) {
    return lat_fail(LAT_STATUS_INVALID_ARGUMENT, "problem: bad length: got %zu bytes, expected 1 to %d", n,
                    PROBLEM_TEXT_BYTES - 1);
  }
  memcpy(out->copy, text, n + 1);
  out->op = out->copy;
  out->n_parts = 0;
  char *rest = strchr(out->copy, ':');
  if (rest) *rest++ = '\0';
  lat_status status = LAT_STATUS_OK;
  while (!status && rest && *rest) {
    char *piece = rest;
    rest = strchr(piece, ',');
    if (rest) *rest++ = '\0';
    status = add_piece(out, piece);
  }
  return status;
}

/// Parses the chosen combination.
static lat_status parse_chosen(const split_text *split, problem *out) {
  char text[PROBLEM_TEXT_BYTES];
  size_t used = (size_t)snprintf(text, sizeof text, "%s", split->op);
  for (int i = 0; i < split->n_parts; i++) {
    const text_part *part = &split->parts[i];
    used += (size_t)snprintf(text + used, sizeof text - used, "%c%s=%s", i ? ',' : ':', part->key,
                             part->values[part->chosen]);
  }
  return problem_parse(text, out);
}

/// Steps to the next combination, the last key first. False when all have been chosen.
static bool choose_next(split_text *split) {
  for (int i = split->n_parts - 1; i >= 0; i--) {
    text_part *part = &split->parts[i];
    if (++part->chosen < part->n_values) return true;
    part->chosen = 0;
  }
  return false;
}

lat_status problem_expand(const char *text, problem_list *list) {
  split_text parts;
  int64_t n_before = list->n;
  lat_status status = split(text, &parts);
  if (status) return status;
  do {
    problem item;
    if (list->n - n_before == MAX_PROBLEMS) {
      status = lat_fail(LAT_STATUS_INVALID_ARGUMENT, "problem: too many combinations: got more, expected at most %d",
                        MAX_PROBLEMS);
      break;
    }
    status = parse_chosen(&parts, &item);
    if (!status) status = append(list, &item);
  } while (!status && choose_next(&parts));
  if (status) list->n = n_before;
  return status;
}

/// Cuts the comment and the blanks off both ends.
static char *trim(char *line) {
  char *comment = strchr(line, '#');
  if (comment) *comment = '\0';
  line += strspn(line, " \t\r\n");
  size_t n = strlen(line);
  while (n > 0 && strchr(" \t\r\n", line[n - 1])) line[--n] = '\0';
  return line;
}

lat_status problem_read_file(const char *path, problem_list *list) {
  FILE *file = fopen(path, "r");
  if (!file) return lat_fail(LAT_STATUS_IO_ERROR, "problem: cannot open '%.200s': %s", path, strerror(errno));
  char line[PROBLEM_TEXT_BYTES + 256], reason[512];
  int64_t n_before = list->n;
  lat_status status = LAT_STATUS_OK;
  for (int number = 1; !status && fgets(line, sizeof line, file); number++) {
    const char *text = trim(line);
    if (!*text) continue;
    status = problem_expand(text, list);
    if (!status) continue;
    snprintf(reason, sizeof reason, "%s", lat_last_error());
    status = lat_fail(status, "%.120s:%d: %.380s", path, number, reason);
  }
  if (!status && ferror(file)) status = lat_fail(LAT_STATUS_IO_ERROR, "problem: cannot read '%.200s'", path);
  fclose(file);
  if (status) list->n = n_before;
  return status;
}

void problem_list_release(problem_list *list) {
  free(list->items);
  *list = (problem_list){0};
}
