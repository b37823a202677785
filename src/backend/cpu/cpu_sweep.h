/// Kernel relations by sweeps over keys: one number for each coordinate, whose differences are those of the kernel.
#ifndef LATTICE_BACKEND_CPU_CPU_SWEEP_H
#define LATTICE_BACKEND_CPU_CPU_SWEEP_H

#include <stdbool.h>

#include "backend/cpu/cpu_order.h"
#include "backend/cpu/kernel/cpu_kernels.h"

/// One pass over the outputs: a column of the kernel, or one element where those of a column lie far apart.
typedef struct lat__sweep {
  uint64_t delta;       ///< from an output's query to the first place that is looked at
  int32_t n_places;     ///< consecutive places
  int32_t first_kernel; ///< of place 0; the elements of a sweep follow one another
  bool is_own;          ///< an output's own column, from the next place on: the input behind the output is the first
} lat__sweep;

/// Inputs and outputs in ascending order, as the sweeps see them. `lists` of a mirrored relation are those of the kernel
/// elements behind the middle, else of all.
typedef struct lat__sweep_plan {
  int64_t n_in, n_out;
  int32_t n_kernels, first_list; ///< kernel element of the first list
  int32_t step;                  ///< places from one kernel element to the next
  bool mirrored; ///< outputs are inputs: element k gives the pairs of element K - 1 - k with both ends exchanged
  const int32_t *in_row;   ///< n_in
  uint64_t *in;            ///< n_in keys, ascending and distinct, and LAT__WINDOW_PLACES more above all queries
  uint8_t *taken;          ///< n_in + 1: bit t: in[p] + t is a key
  const uint64_t *queries; ///< n_out, ascending: where the kernel's element 0 would look, less what the deltas have
  uint64_t *own_queries;   ///< their memory, or NULL: they are `in`
  int32_t *out_rows;       ///< n_out: rows of the outputs, or NULL: row p
  int64_t n_sweeps;
  lat__sweep *sweeps; ///< in the order of their kernel elements
} lat__sweep_plan;

/// Fills `plan`, or leaves `*fits` false where coordinates need more bits than a key has, or rows lie in another order than
/// that of the keys and are not to be dealt. Close it whatever comes back.
LAT_CHECKED lat_status lat__sweep_plan_open(lat_context *context, const lat__relation_desc *desc, lat__sweep_plan *plan,
                                            bool *fits);
void lat__sweep_plan_close(lat_context *context, lat__sweep_plan *plan);

/// Finds the pairs of a plan. The arrays of `out` belong to the caller.
LAT_CHECKED lat_status lat__sweep_run(lat_context *context, const lat__sweep_plan *plan, lat__pairs *out);

#endif
