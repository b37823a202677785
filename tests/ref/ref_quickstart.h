/// What examples/quickstart.c must print, from a naive implementation of every operation of the walk in double precision.
#ifndef LAT_REF_QUICKSTART_H
#define LAT_REF_QUICKSTART_H

#include <stddef.h>
#include <stdint.h>

#define REF_LINE_NUMBERS 4

/// One expected line. `text` must match exactly; each `#` in it stands for a number that must lie within `tolerance` of
/// `value`.
typedef struct ref_line {
  char text[512];
  int n_numbers;
  double value[REF_LINE_NUMBERS];
  double tolerance[REF_LINE_NUMBERS];
} ref_line;

/// Writes the expected lines for a context seed and returns how many there are; at most `max_lines` are written.
int ref_quickstart_lines(uint64_t seed, ref_line *lines, int max_lines);

/// Returns 1 when `line` (without its newline) is `expected`; else 0 and one sentence in `reason`.
int ref_line_matches(const ref_line *expected, const char *line, char *reason, size_t reason_bytes);

#endif
