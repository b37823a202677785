/// Checks of one problem: the library's result against the naive references.
#ifndef LAT_TEST_PROBLEM_CHECK_H
#define LAT_TEST_PROBLEM_CHECK_H

#include "problem_case.h"
#include "ref/ref_relation.h"

enum { CHECK_TEXT_BYTES = 512 };

/// Runs `item` and compares everything the result says: rows, coordinates, edges, features. Returns true when all is
/// well; otherwise `reason` (CHECK_TEXT_BYTES) says what differs.
bool check_problem(const problem *item, char *reason);

/// For the checks' own test: when set, one value of every result is changed before it is compared.
extern bool check_problem_with_error;

/// Checks of the families; `reason` is "" as long as all is well.
void check_relation(const problem_case *self, const problem_result *result, char *reason);
void check_weighted(const problem_case *self, const problem_result *result, char *reason);
/// Weighted operators by their edges: with groups, and transposed ones.
void check_weighted_edges(const problem_case *self, const problem_result *result, char *reason);
void check_pool(const problem_case *self, const problem_result *result, char *reason);
void check_feature(const problem_case *self, const problem_result *result, char *reason);
void check_join(const problem_case *self, const problem_result *result, char *reason);
void check_points(const problem_case *self, const problem_result *result, char *reason);
void check_neighbors(const problem_case *self, const problem_result *result, char *reason);

/// Memory that is there: the tests stop when there is none.
void *check_alloc(size_t count, size_t bytes);

/// The elements of a contiguous float32, float16 or bfloat16 view as doubles, from check_alloc.
double *check_doubles(const lat_array_view *view);

/// What a packed weight stands for, `code * scale + bias`, in the layout of the dense one. `terms` gets the sum of the two
/// terms' magnitudes: where they nearly cancel, their rounding is what the error is made of. Both from check_alloc.
double *check_unpack(const lat_quantized_weight *packed, double **terms);

/// Puts a reason down, unless there is one already.
void check_fail(char *reason, const char *format, ...) LAT_PRINTF(2, 3);

/// Compares a `(rows, channels)` result with the expected values. Allowed is `slack[i]` (NULL: `slack_all`) and, for a
/// 16-bit result, one rounding.
typedef struct check_values {
  const double *expected;
  int64_t rows, channels;
  const double *slack;
  double slack_all;
} check_values;
void check_compare(const lat_array_view *result, const check_values *values, char *reason);

/// Compares the coordinates of a tensor with the expected rows.
void check_rows(const lat_tensor *tensor, const int32_t *expected, int64_t n, char *reason);

/// Rows of the input, and rows that the problem's geometry gives for the output, from check_alloc.
const int32_t *check_in_rows(const problem_case *self, int64_t *n);
int32_t *check_out_rows(const problem_case *self, int64_t *n);

/// Edges between the two by the problem's geometry.
ref_edges *check_edges(const problem_case *self, const int32_t *out, int64_t n_out);

#endif
