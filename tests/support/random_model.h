/// Random models over every operation of a graph, valid by construction, with inputs that they run on.
#ifndef LAT_TEST_RANDOM_MODEL_H
#define LAT_TEST_RANDOM_MODEL_H

#include <lattice/lattice.h>

#include "support/tensor_cases.h"

enum { RANDOM_MODEL_INPUTS = 12 };

/// What a random model runs on. Borrowed from itself: do not copy.
typedef struct random_inputs {
  lat_binding bindings[RANDOM_MODEL_INPUTS];
  int64_t n;
  lat_array_view views[RANDOM_MODEL_INPUTS];
  void *memory[RANDOM_MODEL_INPUTS];
  int64_t n_views;
  lat_tensor *tensors[2];
} random_inputs;

/// What is drawn. Zeros: version 2 alone, nothing that only training needs.
typedef struct random_rules {
  int version3; ///< operations and attributes of version 3 too
  int training; ///< dropout and momenta too, which version 3 alone says
} random_rules;

/// A model of `n_ops` drawn operations (fewer where a draw fits nothing). Every value that nothing reads is an output.
/// `*version` is the lowest that says it, `*needs_training` non-zero when it has dropout or a momentum.
lat_model *random_model(lat_context *context, lat_test_random *random, const random_rules *rules, int n_ops,
                        int *version, int *needs_training);

/// Inputs for any random model: two sparse ones of strides 1 and 2, points, a vector of numbers.
random_inputs *random_inputs_new(lat_context *context, lat_test_random *random);
void random_inputs_free(random_inputs *inputs);

#endif
