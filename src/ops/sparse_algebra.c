// Addition and concatenation of sparse tensors. Tensors on one coordinate set are combined row by row; others through an
// alignment of their sets.

#include <lattice/algebra.h>

#include "backend/backend.h"
#include "coords/alignment.h"
#include "coords/coords_internal.h"
#include "coords/tensor_internal.h"
#include "core/array_internal.h"
#include "core/checked.h"
#include "core/compiler.h"

/// What the two operations differ in.
typedef struct algebra_op {
  const char *name;
  bool same_channels;
  lat_join default_join;
} algebra_op;

static const algebra_op add_op = {"sparse_add", true, LAT_JOIN_OUTER};
static const algebra_op cat_op = {"sparse_cat_aligned", false, LAT_JOIN_INNER};

static lat_status check_inputs(const lat_context *context, const algebra_op *op, const lat_tensor *lhs,
                               const lat_tensor *rhs, lat_join join, lat_tensor **out) {
  lat_status status = lat__op_check(op->name, context, "lhs", lhs, out);
  if (!status) status = lat__op_check(op->name, context, "rhs", rhs, out);
  if (status) return status;
  if ((int)join < LAT_JOIN_DEFAULT || join > LAT_JOIN_OUTER) {
    return lat_fail(LAT_STATUS_INVALID_ARGUMENT,
                    "%s: join must be 'inner', 'left', 'right', or 'outer': got %d, expected 0 to 4", op->name,
                    (int)join);
  }
  lat_triple a = lhs->coords->stride, b = rhs->coords->stride;
  if (a.x != b.x || a.y != b.y || a.z != b.z) {
    return lat_fail(LAT_STATUS_INVALID_ARGUMENT,
                    "%s: sparse tensor strides must match: got (%d, %d, %d), expected (%d, %d, %d)", op->name, (int)b.x,
                    (int)b.y, (int)b.z, (int)a.x, (int)a.y, (int)a.z);
  }
  if (op->same_channels && lat_tensor_channels(lhs) != lat_tensor_channels(rhs)) {
    return lat_fail(LAT_STATUS_INVALID_SHAPE,
                    "%s: sparse binary operands must have matching channels: got %lld, expected %lld", op->name,
                    (long long)lat_tensor_channels(rhs), (long long)lat_tensor_channels(lhs));
  }
  return LAT_STATUS_OK;
}

static lat_status infer_channels(const algebra_op *op, const lat_tensor *lhs, const lat_tensor *rhs, int64_t *out) {
  *out = lat_tensor_channels(lhs);
  if (op->same_channels || lat__add_i64(*out, lat_tensor_channels(rhs), out)) return LAT_STATUS_OK;
  return lat_fail(LAT_STATUS_OVERFLOW, "%s: too many channels: expected a sum below 2^63", op->name);
}

static lat_status run(lat_context *context, const algebra_op *op, const lat_tensor *lhs, const lat_tensor *rhs,
                      const lat__alignment *alignment, lat_array *feats) {
  const lat__backend *backend = lat__backend_of(context);
  lat__join_desc desc = {.n_rows = feats->view.shape[0],
                         .lhs_channels = lat_tensor_channels(lhs),
                         .rhs_channels = lat_tensor_channels(rhs),
                         .lhs_dtype = lat_tensor_dtype(lhs),
                         .rhs_dtype = lat_tensor_dtype(rhs),
                         .dtype_out = feats->view.dtype,
                         .lhs_rows = alignment ? alignment->lhs_rows : NULL,
                         .rhs_rows = alignment ? alignment->rhs_rows : NULL,
                         .lhs = lhs->feats->view.data,
                         .rhs = rhs->feats->view.data,
                         .y = lat_array_data(feats)};
  return op->same_channels ? backend->join_add(context, &desc) : backend->join_cat(context, &desc);
}

static lat_status combine(lat_context *context, const algebra_op *op, const lat_tensor *lhs, const lat_tensor *rhs,
                          lat_join join, lat_tensor **out) {
  lat_status status = LAT_STATUS_OK;
  lat__alignment *alignment = NULL;
  lat_array *feats = NULL;
  int64_t channels = 0;
  LAT_TRY(check_inputs(context, op, lhs, rhs, join, out), done);
  LAT_TRY(infer_channels(op, lhs, rhs, &channels), done);
  if (join == LAT_JOIN_DEFAULT) join = op->default_join;
  if (lhs->coords != rhs->coords) {
    LAT_TRY(lat__alignment_of(context, op->name, lhs->coords, rhs->coords, join, &alignment), done);
  }
  const lat_coords *coords = alignment ? alignment->coords : lhs->coords;
  lat_dtype dtype = lat__dtype_promote(lat_tensor_dtype(lhs), lat_tensor_dtype(rhs));
  LAT_TRY(lat__array_new_2d(context, op->name, dtype, coords->n_rows, channels, &feats), done);
  LAT_TRY(run(context, op, lhs, rhs, alignment, feats), done);
  if (alignment) {
    int64_t batch_size = lat__max_i64(lhs->batch_size, rhs->batch_size);
    LAT_TRY(lat__tensor_new_sized(context, op->name, coords, feats, batch_size, out), done);
  } else {
    LAT_TRY(lat__tensor_new(context, op->name, coords, feats, lhs, out), done);
  }
done:
  lat_array_release(feats);
  lat__alignment_release(alignment);
  return status;
}

lat_status lat_sparse_add(lat_context *context, const lat_tensor *lhs, const lat_tensor *rhs, lat_join join,
                          lat_tensor **out) {
  return combine(context, &add_op, lhs, rhs, join, out);
}

lat_status lat_sparse_cat_aligned(lat_context *context, const lat_tensor *lhs, const lat_tensor *rhs, lat_join join,
                                  lat_tensor **out) {
  return combine(context, &cat_op, lhs, rhs, join, out);
}
