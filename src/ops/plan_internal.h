/// Plans as the convolutions make them.
///
/// A member of the family checks and opens a call in one static function, whatever becomes of it: with a goal that has a
/// tensor it runs at once, with a goal that has a plan request it is kept as a plan. A request brings an input tensor
/// without features, for the checks that look at its coordinates, channels and dtype.
#ifndef LATTICE_OPS_PLAN_INTERNAL_H
#define LATTICE_OPS_PLAN_INTERNAL_H

#include <stdatomic.h>

#include <lattice/plan.h>

#include "coords/tensor_internal.h"
#include "core/array_internal.h"
#include "ops/conv_common.h"

/// The panels of a layer's weight, with what they were made for.
struct lat_weight_panels {
  atomic_int refcount;
  lat_context *context; ///< retained
  lat__conv_desc layer; ///< channels, groups, kernel, dtypes: no rows, nothing it points at is read
  lat__conv_packed *packed;
};

/// Panels for the layer that `desc` describes. Errors: as the backend's conv_pack.
LAT_CHECKED lat_status lat__weight_panels_new(lat_context *context, const char *op, const lat__conv_desc *desc,
                                              lat_weight_panels **out);

/// Refuses a layer whose features cannot be quantized.
LAT_CHECKED lat_status lat__check_quantizes(const char *op, const lat__conv_desc *desc);

/// True when a plan of `desc` with this context would make the same panels of the same weight.
bool lat__weight_panels_fit(lat_context *context, const lat_weight_panels *panels, const lat__conv_desc *desc);

/// A tensor without features. It refers to itself: do not copy.
typedef struct lat__featureless_tensor {
  lat_array feats;
  lat_tensor tensor;
} lat__featureless_tensor;

/// A plan that is asked for. Set `name`, then lat__plan_open.
typedef struct lat__plan_request {
  const char *name; ///< of the one-shot call
  lat_plan_opts opts;
  lat__featureless_tensor x;
  lat_plan **out;
} lat__plan_request;

/// What becomes of an opened call: one of the two.
typedef struct lat__conv_goal {
  lat_tensor **tensor;
  lat__plan_request *plan;
} lat__conv_goal;

/// Where an opened call goes.
typedef struct lat__conv_place {
  lat_relation *relation;       ///< retained by a plan; NULL: row i meets row i
  const lat__pairs *pairs;      ///< of the relation, from either side
  const lat_coords *out_coords; ///< retained by a plan
} lat__conv_place;

/// Checks the arguments that every plan creator has, clears `*out` and fills the request.
LAT_CHECKED lat_status lat__plan_open(const lat_context *context, const char *op, const lat_plan_input *input,
                                      const lat_plan_opts *opts, lat_plan **out, lat__plan_request *request);

/// Checks the arguments that every one-shot call has; a plan's were checked.
LAT_CHECKED lat_status lat__conv_goal_check(const char *op, const lat_context *context, const lat_tensor *x,
                                            const lat__conv_goal *goal);

/// Runs the open operands, or keeps them as a plan.
LAT_CHECKED lat_status lat__conv_reach_goal(lat_context *context, lat__conv_operands *operands,
                                            const lat__conv_place *place, const lat__conv_goal *goal);

#endif
