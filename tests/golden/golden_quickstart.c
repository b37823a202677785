// The whole output of examples/quickstart.c against the lines that tests/ref/ref_quickstart.c derives: words, shapes,
// dtypes, coordinates and edges exactly, checksums within the tolerance stated there. The program is found through
// LATTICE_EXAMPLES, which the build sets where it builds the examples.

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

#include "ref/ref_quickstart.h"
#include "support/test_support.h"

#define SEED 2026 // of examples/quickstart.c
#define MAX_LINES 64
#define LINE_BYTES 512

typedef struct output {
  int n_lines;
  char line[MAX_LINES][LINE_BYTES];
} output;

static ref_line expected[MAX_LINES];
static int n_expected;

/// Runs `command`, splits its standard output into lines and returns its exit code.
static int run(const char *command, output *out) {
  FILE *pipe = popen(command, "r");
  assert_non_null(pipe);
  out->n_lines = 0;
  while (out->n_lines < MAX_LINES && fgets(out->line[out->n_lines], LINE_BYTES, pipe)) {
    char *end = strchr(out->line[out->n_lines], '\n');
    assert_non_null(end); // a line longer than the buffer, or one that does not end
    *end = '\0';
    out->n_lines++;
  }
  assert_true(fgetc(pipe) == EOF); // more lines than there is room for
  int status = pclose(pipe);
  return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

/// Number of lines that differ from what is expected, missing and surplus ones included; reports them when `report`.
static int count_differences(const output *out, int report) {
  int differences = 0;
  int n = out->n_lines > n_expected ? out->n_lines : n_expected;
  for (int i = 0; i < n; i++) {
    char reason[256] = "surplus or missing line";
    if (i < out->n_lines && i < n_expected && ref_line_matches(&expected[i], out->line[i], reason, sizeof reason)) {
      continue;
    }
    differences++;
    if (!report) continue;
    print_error("line %d: %s\n  got      %s\n  expected %s\n", i + 1, reason, i < out->n_lines ? out->line[i] : "",
                i < n_expected ? expected[i].text : "");
  }
  return differences;
}

/// Writes an expected line as the program would print it, its number `which` moved by `shift`.
static void print_expected(const ref_line *line, int which, double shift, char *buffer) {
  size_t used = 0;
  int number = 0;
  for (const char *c = line->text; *c; c++) {
    assert_true(used + 32 < LINE_BYTES);
    if (*c != '#') {
      buffer[used++] = *c;
      continue;
    }
    double value = line->value[number] + (number == which ? shift : 0.0);
    used += (size_t)snprintf(buffer + used, LINE_BYTES - used, "%.9g", value);
    number++;
  }
  buffer[used] = '\0';
}

static int derive_lines(void **state) {
  (void)state;
  n_expected = ref_quickstart_lines(SEED, expected, MAX_LINES);
  assert_in_range(n_expected, 1, MAX_LINES);
  return 0;
}

static void output_is_as_derived(void **state) {
  (void)state;
  static output printed;
  const char *folder = getenv("LATTICE_EXAMPLES"), *wrapper = getenv("LATTICE_TEST_WRAPPER");
  char command[4096];
  if (!folder) {
    print_message("skipped: the examples were not built\n");
    skip();
  }
  int written = snprintf(command, sizeof command, "%s '%s/quickstart'", wrapper ? wrapper : "", folder);
  assert_in_range(written, 1, sizeof command - 1);
  assert_int_equal(run(command, &printed), 0);
  assert_int_equal(count_differences(&printed, 1), 0);
}

/// Numbers that the walk is known by, written down by hand.
static void reference_has_the_known_numbers(void **state) {
  (void)state;
  static const char *const known[] = {
      "z column 0: 48 64 64 48",
      "voxelize coords: (0,0,0,0) (0,1,0,0) (0,11,9,8)",
      "max_pool3d coords: (0,0,0,0) (0,1,0,0)",
      "relation in_rows: 0 1 2 0 1 2 3 0 1 2 3 1 2 3",
  };
  for (size_t k = 0; k < sizeof known / sizeof known[0]; k++) {
    int found = 0;
    for (int i = 0; i < n_expected; i++) found += strcmp(expected[i].text, known[k]) == 0;
    if (found != 1) fail_msg("the reference lacks: %s", known[k]);
  }
}

/// No tolerance is so wide that it could hide a wrong result: one percent of a line's magnitudes (the third number
/// weighs elements by up to seven).
static void tolerances_are_narrow(void **state) {
  (void)state;
  static const double share[REF_LINE_NUMBERS] = {0.01, 0.01, 0.07, 0.01};
  for (int i = 0; i < n_expected; i++) {
    for (int k = 0; k < expected[i].n_numbers; k++) {
      if (expected[i].tolerance[k] > share[k] * expected[i].value[1]) {
        fail_msg("%s: tolerance %g of number %d", expected[i].text, expected[i].tolerance[k], k);
      }
    }
  }
}

static void moved_number_is_rejected(void **state) {
  (void)state;
  char line[LINE_BYTES], reason[256];
  int n_numbers = 0;
  for (int i = 0; i < n_expected; i++) {
    print_expected(&expected[i], -1, 0.0, line);
    assert_true(ref_line_matches(&expected[i], line, reason, sizeof reason));
    for (int k = 0; k < expected[i].n_numbers; k++, n_numbers++) {
      double shift = 1.5 * expected[i].tolerance[k] + 1e-6 * (1.0 + fabs(expected[i].value[k]));
      for (int sign = -1; sign <= 1; sign += 2) {
        print_expected(&expected[i], k, sign * shift, line);
        assert_false(ref_line_matches(&expected[i], line, reason, sizeof reason));
        assert_non_null(strstr(reason, "expected"));
      }
      print_expected(&expected[i], k, NAN, line);
      assert_false(ref_line_matches(&expected[i], line, reason, sizeof reason));
    }
  }
  assert_true(n_numbers > 80);
}

static void changed_text_is_rejected(void **state) {
  (void)state;
  static output good, bad;
  char reason[256];
  good.n_lines = n_expected;
  for (int i = 0; i < n_expected; i++) print_expected(&expected[i], -1, 0.0, good.line[i]);
  for (int i = 0; i < n_expected; i++) {
    size_t exact = strcspn(expected[i].text, "#"); // up to the first number
    for (size_t at = 0; at < exact; at++) {
      char line[LINE_BYTES];
      strcpy(line, good.line[i]);
      line[at] = line[at] == '7' ? '8' : '7';
      assert_false(ref_line_matches(&expected[i], line, reason, sizeof reason));
      line[at] = '\0';
      assert_false(ref_line_matches(&expected[i], line, reason, sizeof reason));
    }
    bad = good;
    strcat(bad.line[i], " and more");
    assert_int_equal(count_differences(&bad, 0), 1);
  }
  assert_int_equal(count_differences(&good, 1), 0);
  bad = good;
  bad.n_lines--;
  assert_int_equal(count_differences(&bad, 0), 1);
  bad = good;
  strcpy(bad.line[bad.n_lines++], "one more");
  assert_int_equal(count_differences(&bad, 0), 1);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(output_is_as_derived),     cmocka_unit_test(reference_has_the_known_numbers),
      cmocka_unit_test(tolerances_are_narrow),    cmocka_unit_test(moved_number_is_rejected),
      cmocka_unit_test(changed_text_is_rejected),
  };
  return cmocka_run_group_tests(tests, derive_lines, NULL);
}
