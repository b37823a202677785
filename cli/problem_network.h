/// A reference network made ready to run on the rows of a problem (operator `network`). Public headers only.
#ifndef LATTICE_PROBLEM_NETWORK_H
#define LATTICE_PROBLEM_NETWORK_H

#include "problem.h"

/// The compiled network and a session; all NULL where the problem is no network.
typedef struct problem_network {
  lat_model *model;
  lat_program *program;
  lat_session *session;
} problem_network;

/// Builds, compiles in the problem's type and opens a session. Weights are the initial ones.
LAT_CHECKED lat_status problem_network_create(lat_context *context, const problem *item, problem_network *out);

/// Runs the session on `x`. `*out` is the network's output, a new reference.
LAT_CHECKED lat_status problem_network_run(const problem_network *self, const lat_tensor *x, lat_tensor **out);

/// What a run of the network on `x` does: multiply-adds of its layers, and the milliseconds that its sets and relations
/// take when nothing is there. Runs it four times in a session of its own.
LAT_CHECKED lat_status problem_network_explain(lat_context *context, const problem_network *self, const lat_tensor *x,
                                               double *products, double *map_ms);

void problem_network_release(problem_network *self);

#endif
