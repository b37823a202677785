/// The option parser: a verb's table of options is both its grammar and its help text.
#include <errno.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli.h"

static void print_option(const cli_option *option) {
  char left[64];
  snprintf(left, sizeof left, "%s%s%s%s%s", option->alias ? option->alias : "", option->alias ? ", " : "", option->name,
           option->value ? " " : "", option->value ? option->value : "");
  const char *line = option->help;
  for (;;) {
    const char *end = strchr(line, '\n');
    int n = end ? (int)(end - line) : (int)strlen(line);
    printf("  %-22s %.*s\n", left, n, line);
    if (!end) return;
    left[0] = '\0';
    line = end + 1;
  }
}

static void print_help(const cli_syntax *syntax) {
  printf("usage: lattice %s%s%s [options]\n\n%s\noptions:\n", syntax->verb, syntax->operands[0] ? " " : "",
         syntax->operands, syntax->purpose);
  for (int i = 0; i < syntax->n_options; i++) print_option(&syntax->options[i]);
  printf("  %-22s %s\n", "--help", "print this text");
  if (syntax->notes) printf("\n%s", syntax->notes);
}

int cli_usage_error(const char *verb, const char *format, ...) {
  va_list arguments;
  va_start(arguments, format);
  fprintf(stderr, "lattice %s: ", verb);
  vfprintf(stderr, format, arguments);
  fprintf(stderr, " (see `lattice %s --help`)\n", verb);
  va_end(arguments);
  return CLI_USAGE;
}

/// The option that `argument` names; `*value` becomes what follows its '=', or NULL.
static const cli_option *find_option(const cli_syntax *syntax, const char *argument, const char **value) {
  for (int i = 0; i < syntax->n_options; i++) {
    const cli_option *option = &syntax->options[i];
    size_t n = strlen(option->name);
    *value = NULL;
    if (strcmp(argument, option->name) == 0) return option;
    if (option->alias && strcmp(argument, option->alias) == 0) return option;
    if (strncmp(argument, option->name, n) == 0 && argument[n] == '=') {
      *value = argument + n + 1;
      return option;
    }
  }
  return NULL;
}

static int bad_value(const cli_syntax *syntax, const cli_option *option, const char *got, const char *expected) {
  return cli_usage_error(syntax->verb, "%s: got '%s', expected %s", option->name, got, expected);
}

static int set_int(const cli_syntax *syntax, const cli_option *option, const char *text) {
  char expected[96], *end;
  errno = 0;
  long long number = strtoll(text, &end, 10);
  if (end == text || *end || errno || (double)number < option->low || (double)number > option->high) {
    snprintf(expected, sizeof expected, "a whole number from %.0f to %.0f", option->low, option->high);
    return bad_value(syntax, option, text, expected);
  }
  *(int64_t *)option->target = number;
  return CLI_PARSED;
}

static int set_real(const cli_syntax *syntax, const cli_option *option, const char *text) {
  char expected[96], *end;
  double number = strtod(text, &end);
  if (end == text || *end || !isfinite(number) || number <= option->low || number > option->high) {
    snprintf(expected, sizeof expected, "a number above %g, at most %g", option->low, option->high);
    return bad_value(syntax, option, text, expected);
  }
  *(double *)option->target = number;
  return CLI_PARSED;
}

static int set_option(const cli_syntax *syntax, const cli_option *option, const char *text) {
  switch (option->kind) {
  case CLI_INT:
    return set_int(syntax, option, text);
  case CLI_REAL:
    return set_real(syntax, option, text);
  default:
    break;
  }
  if (!text[0]) return bad_value(syntax, option, text, "some text");
  if (option->kind == CLI_TEXTS) {
    cli_texts *texts = option->target;
    if (texts->n == CLI_MOST_TEXTS) {
      return cli_usage_error(syntax->verb, "%s: got it more than %d times", option->name, CLI_MOST_TEXTS);
    }
    texts->items[texts->n++] = text;
    return CLI_PARSED;
  }
  *(const char **)option->target = text;
  return CLI_PARSED;
}

/// Handles the option at `argv[*index]` and steps over its value.
static int take_option(const cli_syntax *syntax, int argc, char **argv, int *index) {
  const char *value, *argument = argv[*index];
  const cli_option *option = find_option(syntax, argument, &value);
  if (!option) return cli_usage_error(syntax->verb, "unknown option '%s'", argument);
  if (option->kind == CLI_FLAG) {
    if (value) return cli_usage_error(syntax->verb, "%s: got a value, expected none", option->name);
    *(bool *)option->target = true;
    return CLI_PARSED;
  }
  if (!value) {
    if (*index + 1 >= argc) {
      return cli_usage_error(syntax->verb, "%s: no value given, expected %s", argument, option->value);
    }
    value = argv[++*index];
  }
  return set_option(syntax, option, value);
}

int cli_parse(const cli_syntax *syntax, int argc, char **argv, const char **operands, int *n_operands) {
  int n = 0;
  bool options_end = false;
  for (int i = 1; i < argc; i++) {
    if (!options_end && (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0)) {
      print_help(syntax);
      return CLI_OK;
    }
    if (!options_end && strcmp(argv[i], "--") == 0) {
      options_end = true;
    } else if (!options_end && argv[i][0] == '-' && argv[i][1]) {
      int code = take_option(syntax, argc, argv, &i);
      if (code != CLI_PARSED) return code;
    } else if (n == syntax->max_operands) {
      return cli_usage_error(syntax->verb, "unexpected argument '%s'", argv[i]);
    } else {
      operands[n++] = argv[i];
    }
  }
  if (n < syntax->min_operands) return cli_usage_error(syntax->verb, "no %s given", syntax->operands);
  if (n_operands) *n_operands = n;
  return CLI_PARSED;
}
