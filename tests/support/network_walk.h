/// Walks the graph of a model with the slow reference layers (ref/ref_network.h) in double.
#ifndef LAT_TEST_NETWORK_WALK_H
#define LAT_TEST_NETWORK_WALK_H

#include "model/graph.h"
#include "ref/ref_network.h"

/// An input of the graph: a sparse one by its `<name>_coords` input, or a dense array.
typedef struct network_input {
  const char *name;
  const ref_net_value *value; ///< sparse, or point features
  const float *points;
  const int32_t *batch;
} network_input;

/// The first output in double. Fails the test on an operation that it does not know. Free with ref_net_free.
ref_net_value *network_walk(const lat_model *model, const network_input *inputs, int n_inputs);

#endif
