/// The network of `lattice demo`: a small encoder over three resolutions with random, seeded weights.
#ifndef LATTICE_DEMO_NETWORK_H
#define LATTICE_DEMO_NETWORK_H

#include "cli.h"

/// Resolutions whose features go back to the points, and the most layers and weights.
enum { DEMO_LEVELS = 3, DEMO_MOST_LAYERS = 24 };

/// One line of the table: what a layer gave and how long it took.
typedef struct demo_row {
  char name[40];
  int64_t n_rows, n_channels;
  int64_t n_edges;           ///< of its relation; -1: it has none
  double first_ms, again_ms; ///< with building relations, and with finding them in the cache
} demo_row;

/// The network's weights and, after demo_network_run, what it gave.
typedef struct demo_network {
  lat_array *weights[DEMO_MOST_LAYERS]; ///< NULL for layers without
  int n_rows;
  demo_row rows[DEMO_MOST_LAYERS];
  lat_tensor *levels[DEMO_LEVELS]; ///< features at stride 1, 2 and 4
  lat_array *summary;              ///< (1, C): the global average
} demo_network;

/// Makes the weights for `c_in` input channels from the context's seed.
LAT_CHECKED lat_status demo_network_create(lat_context *context, int64_t c_in, demo_network *network);

/// Runs the network twice over `voxels`: the first run builds the relations, the second finds them.
LAT_CHECKED lat_status demo_network_run(lat_context *context, const lat_tensor *voxels, const char *verb,
                                        demo_network *network);

/// Releases everything; a zeroed struct is accepted.
void demo_network_release(demo_network *network);

#endif
