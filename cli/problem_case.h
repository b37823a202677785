/// A problem made ready to run: its inputs, built once, and one call of its operator.
///
/// Benchmarks, property tests and bug reports go through the same inputs. Every value depends on the problem's seed and
/// on nothing else. Public headers only.
#ifndef LATTICE_PROBLEM_CASE_H
#define LATTICE_PROBLEM_CASE_H

#include "problem_network.h"

/// The inputs of a problem. Members that the operator does not use are NULL.
typedef struct problem_case {
  problem item;
  lat_context *context; ///< borrowed

  lat_array *rows;              ///< `(N, 4)` int32 rows of the scene
  lat_array *points;            ///< `(P, 3)`: voxelize and devoxelize
  lat_array *batches;           ///< `(P,)` batch item of each point
  lat_array *feats;             ///< `(N or P, c_in)` features
  lat_array *other_rows;        ///< rows of the second operand (sparse_add, sparse_cat) or of the target (mode=target)
  lat_array *other_feats;       ///< features of the second operand
  lat_array *weight;            ///< `(c_out, kx, ky, kz, c_in)`, linear `(c_out, c_in)`
  lat_array *bias;              ///< `(c_out,)`; norms: shift `(c_in,)`
  lat_array *scale;             ///< norms: `(c_in,)`
  lat_array *grad_out;          ///< gradient of the result, of problems with grad
  lat_quantized_weight *packed; ///< `weight` packed, for weights=int8 and int4

  lat_coords *coords;       ///< set of `rows`
  lat_coords *other_coords; ///< set of `other_rows`
  lat_tensor *x, *other;    ///< the operands
  lat_plan *plan;           ///< over `coords`, of problems with acts=int8
  problem_network network;  ///< of operator network
} problem_case;

/// What one run gave; exactly one member is not NULL.
typedef struct problem_result {
  lat_tensor *tensor;
  lat_array *array;       ///< global_pool, devoxelize, gradients
  lat_relation *relation; ///< relation
  lat_neighbors *neighbors;
} problem_result;

/// Makes a context as the problem asks (threads, level, seed).
LAT_CHECKED lat_status problem_context_create(const problem *item, lat_context **out);

/// Builds the inputs in `context`, which must outlive the case. Errors: whatever the scene or the library says; the case
/// is empty then.
LAT_CHECKED lat_status problem_case_create(lat_context *context, const problem *item, problem_case *out);

/// Replaces the coordinate sets (and tensors) by new ones over the same rows: nothing is cached on them.
LAT_CHECKED lat_status problem_case_refresh(problem_case *self);

/// Non-zero when the operator works over a kernel relation, which problem_case_relation builds.
bool problem_case_has_relation(const problem_case *self);

/// The relation that the operator uses: built, or found in the cache.
LAT_CHECKED lat_status problem_case_relation(const problem_case *self, lat_relation **out);

/// Runs the operator once.
LAT_CHECKED lat_status problem_case_run(const problem_case *self, problem_result *out);

/// Writes the name of the algorithm that the operator takes, "" where there is but one.
LAT_CHECKED lat_status problem_case_algorithm(const problem_case *self, char *name, size_t name_bytes);

/// The ways that the operator could take, and the one it takes. `out->count` is 0 where there is but one: operators other
/// than convolution and linear, and their weight gradients.
LAT_CHECKED lat_status problem_case_candidates(const problem_case *self, lat_conv_candidates *out);

/// Rows of the result: features, output rows of a relation, edges' queries of a neighbour relation.
int64_t problem_result_rows(const problem_result *result);

void problem_result_release(problem_result *result);
void problem_case_release(problem_case *self);

#endif
