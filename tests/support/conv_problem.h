/// Random convolution problems for property tests: everything that lat_conv3d takes, and the naive answer.
#ifndef LAT_TEST_CONV_PROBLEM_H
#define LAT_TEST_CONV_PROBLEM_H

#include <stdbool.h>
#include <stdint.h>

#include <lattice/conv.h>

#include "ref/ref_conv3d.h"
#include "ref/ref_reach.h"

/// One problem. Buffers are malloc'ed; values are exact in the feature dtype.
typedef struct conv_problem {
  uint64_t seed;
  int32_t *rows; ///< (n, 4); distinct unless `duplicates`
  int64_t n;
  bool duplicates;
  int32_t *target; ///< (n_target, 4), NULL: the forward rule
  int64_t n_target;
  lat_conv3d_opts opts; ///< without coordinates
  int64_t c_in, c_out, volume;
  lat_dtype dtype;
  int layout; ///< 0: (C_out, Kx, Ky, Kz, C_in), 1: (K, C_in, C_out), 2: (C_out, C_in)
  bool has_bias;
  double *x, *w, *bias;
  char text[224]; ///< for messages
} conv_problem;

/// What kinds of problems are drawn.
typedef struct conv_problem_opts {
  bool integers;    ///< small integers: every sum is exact
  bool submanifold; ///< odd sizes, stride 1, no padding, no target
  bool pointwise;   ///< 1x1x1, stride 1, no padding
  bool large;       ///< several blocks of rows, few channels
} conv_problem_opts;

conv_problem conv_problem_create(uint64_t seed, conv_problem_opts opts);
void conv_problem_free(conv_problem *problem);

/// Runs lat_conv3d (or lat_subm_conv3d) on `rows` with features `x` (n rows); asserts success. `target` NULL: none.
lat_tensor *conv_problem_run(lat_context *context, const conv_problem *problem, const int32_t *rows, int64_t n,
                             const double *x, bool submanifold);

/// Asserts that `y` lies within rounding of the naive answer, and, where `exact`, that it equals it.
void conv_problem_check(const conv_problem *problem, const lat_tensor *y, bool exact);

/// Geometry of a problem for the naive reach functions.
ref_reach conv_problem_reach(const conv_problem *problem);

/// Element `index` of y's features.
double conv_problem_value(const lat_tensor *y, int64_t index);

/// Fails unless the two hold the same coordinates and the same feature bits.
void conv_problem_assert_same(const conv_problem *problem, const lat_tensor *a, const lat_tensor *b, const char *what);

/// Uniform in [0, n); advances the state.
int64_t conv_random_below(uint64_t *state, int64_t n);

#endif
