// The output of examples/custom_op.c against a naive implementation of its formula in double: every point against every
// other. The program is found through LATTICE_EXAMPLES, which the build sets where it builds the examples.

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

#include "support/test_support.h"

enum { N = 24, CHANNELS = 4, VALUES = 3 }; // of the example

/// The example's inputs, from their description.
static void make_point(int p, int at[4], double feature[2 * CHANNELS + VALUES]) {
  at[0] = p & 1;
  at[1] = p / 2;
  at[2] = (p * p) % 5;
  at[3] = -(p % 3);
  for (int c = 0; c < 2 * CHANNELS + VALUES; c++) feature[c] = ((7 * p + 5 * c) % 13) * 0.25 - 1.5;
}

/// Result of point p; returns the number of its neighbours.
static int attend(int p, double y[VALUES]) {
  int at[4], other_at[4], n = 0;
  double mine[2 * CHANNELS + VALUES], other[2 * CHANNELS + VALUES], total = 0;
  make_point(p, at, mine);
  memset(y, 0, VALUES * sizeof *y);
  for (int s = 0; s < N; s++) {
    double squared = 0, score = 0;
    make_point(s, other_at, other);
    for (int axis = 1; axis < 4; axis++) squared += (at[axis] - other_at[axis]) * (at[axis] - other_at[axis]);
    if (at[0] != other_at[0] || squared > 2.5 * 2.5) continue;
    for (int c = 0; c < CHANNELS; c++) score += mine[c] * other[CHANNELS + c];
    double weight = exp(score / sqrt(CHANNELS) - 0.5 * sqrt(squared));
    total += weight;
    for (int c = 0; c < VALUES; c++) y[c] += weight * other[2 * CHANNELS + c];
    n++;
  }
  for (int c = 0; c < VALUES; c++) y[c] /= total;
  return n;
}

static void the_output_matches_the_formula(void **state) {
  (void)state;
  const char *folder = getenv("LATTICE_EXAMPLES"), *wrapper = getenv("LATTICE_TEST_WRAPPER");
  char command[4096], line[256];
  int most = 0, lines = 0;
  if (!folder) {
    print_message("skipped: the examples were not built\n");
    skip();
  }
  int written = snprintf(command, sizeof command, "%s '%s/custom_op'", wrapper ? wrapper : "", folder);
  assert_in_range(written, 1, sizeof command - 1);
  FILE *pipe = popen(command, "r");
  assert_non_null(pipe);
  for (; fgets(line, sizeof line, pipe); lines++) {
    int p = -1;
    double got[VALUES], expected[VALUES];
    assert_int_equal(sscanf(line, "%d: %lf %lf %lf", &p, &got[0], &got[1], &got[2]), 1 + VALUES);
    assert_int_equal(p, lines);
    assert_in_range(p, 0, N - 1);
    int n = attend(p, expected);
    most = n > most ? n : most;
    for (int c = 0; c < VALUES; c++) {
      if (!(fabs(got[c] - expected[c]) < 1e-5)) fail_msg("point %d: got %.9g, expected %.9g", p, got[c], expected[c]);
    }
  }
  int status = pclose(pipe);
  assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
  assert_int_equal(lines, N);
  assert_true(most >= 3); // the softmax has something to weigh
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(the_output_matches_the_formula)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
