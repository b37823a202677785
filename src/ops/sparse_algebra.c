// Element-wise algebra and concatenation of sparse tensors. Tensors on one coordinate set are combined row by row; others through an
// alignment of their sets.

#include <lattice/algebra.h>

#include "backend/backend.h"
#include "coords/alignment.h"
#include "coords/coords_internal.h"
#include "coords/tensor_internal.h"
#include "core/array_internal.h"
#include "core/checked.h"
#include "core/compiler.h"
#include "core/context_internal.h"

/// One call: what it computes and how missing rows count.
typedef struct algebra_op {
  const char *name;
  bool concatenates;
  lat__binary binary;
  lat_join default_join;
  float lhs_fill, rhs_fill;
} algebra_op;

static const algebra_op cat_op = {.name = "sparse_cat_aligned", .concatenates = true, .default_join = LAT_JOIN_INNER};

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
  if (!op->concatenates && lat_tensor_channels(lhs) != lat_tensor_channels(rhs)) {
    return lat_fail(LAT_STATUS_INVALID_SHAPE,
                    "%s: sparse binary operands must have matching channels: got %lld, expected %lld", op->name,
                    (long long)lat_tensor_channels(rhs), (long long)lat_tensor_channels(lhs));
  }
  return LAT_STATUS_OK;
}

static lat_status infer_channels(const algebra_op *op, const lat_tensor *lhs, const lat_tensor *rhs, int64_t *out) {
  *out = lat_tensor_channels(lhs);
  if (!op->concatenates || lat__add_i64(*out, lat_tensor_channels(rhs), out)) return LAT_STATUS_OK;
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
                         .op = op->binary,
                         .lhs_fill = op->lhs_fill,
                         .rhs_fill = op->rhs_fill,
                         .lhs_rows = alignment ? alignment->lhs_rows : NULL,
                         .rhs_rows = alignment ? alignment->rhs_rows : NULL,
                         .lhs = lhs->feats->view.data,
                         .rhs = rhs->feats->view.data,
                         .y = lat_array_data(feats)};
  return op->concatenates ? backend->join_cat(context, &desc) : backend->join_binary(context, &desc);
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

static lat_status binary(lat_context *context, const char *name, lat__binary op, const lat_tensor *lhs,
                         const lat_tensor *rhs, lat_join join, lat_tensor **out) {
  bool additive = op == LAT__BINARY_ADD || op == LAT__BINARY_SUB;
  algebra_op call = {.name = name, .binary = op, .default_join = additive ? LAT_JOIN_OUTER : LAT_JOIN_INNER};
  return combine(context, &call, lhs, rhs, join, out);
}

lat_status lat_sparse_add(lat_context *context, const lat_tensor *lhs, const lat_tensor *rhs, lat_join join,
                          lat_tensor **out) {
  return binary(context, "sparse_add", LAT__BINARY_ADD, lhs, rhs, join, out);
}

lat_status lat_sparse_sub(lat_context *context, const lat_tensor *lhs, const lat_tensor *rhs, lat_join join,
                          lat_tensor **out) {
  return binary(context, "sparse_sub", LAT__BINARY_SUB, lhs, rhs, join, out);
}

lat_status lat_sparse_mul(lat_context *context, const lat_tensor *lhs, const lat_tensor *rhs, lat_join join,
                          lat_tensor **out) {
  return binary(context, "sparse_mul", LAT__BINARY_MUL, lhs, rhs, join, out);
}

lat_status lat_sparse_maximum(lat_context *context, const lat_tensor *lhs, const lat_tensor *rhs, lat_join join,
                              lat_tensor **out) {
  return binary(context, "sparse_maximum", LAT__BINARY_MAXIMUM, lhs, rhs, join, out);
}

lat_status lat_sparse_minimum(lat_context *context, const lat_tensor *lhs, const lat_tensor *rhs, lat_join join,
                              lat_tensor **out) {
  return binary(context, "sparse_minimum", LAT__BINARY_MINIMUM, lhs, rhs, join, out);
}

lat_status lat_sparse_binary(lat_context *context, const lat_tensor *lhs, const lat_tensor *rhs,
                             const lat_binary_opts *opts, lat_tensor **out) {
  static const char op[] = "sparse_binary";
  lat_binary_opts o;
  lat_status status = lat__op_check(op, context, "lhs", lhs, out);
  if (!status) status = lat__opts_copy(op, opts, sizeof o, &o);
  if (status) return status;
  if ((int)o.op < LAT_BINARY_ADD || o.op > LAT_BINARY_MINIMUM) {
    return lat_fail(LAT_STATUS_INVALID_ARGUMENT, "%s: unknown sparse binary op: got %d, expected 0 to %d", op,
                    (int)o.op, (int)LAT_BINARY_MINIMUM);
  }
  algebra_op call = {.name = op,
                     .binary = (lat__binary)o.op,
                     .default_join = LAT_JOIN_OUTER,
                     .lhs_fill = (float)o.lhs_fill,
                     .rhs_fill = (float)o.rhs_fill};
  return combine(context, &call, lhs, rhs, o.join, out);
}

lat_status lat_sparse_cat_aligned(lat_context *context, const lat_tensor *lhs, const lat_tensor *rhs, lat_join join,
                                  lat_tensor **out) {
  return combine(context, &cat_op, lhs, rhs, join, out);
}

lat_status lat_sparse_cat(lat_context *context, const lat_tensor *const *tensors, int64_t n_tensors, lat_join join,
                          lat_tensor **out) {
  static const char op[] = "sparse_cat";
  lat_status status = LAT_STATUS_OK;
  lat_tensor *joined = NULL, *next = NULL;
  if (out) *out = NULL;
  if (!tensors || n_tensors < 1) {
    return lat_fail(LAT_STATUS_INVALID_ARGUMENT, "%s: tensors: expected at least one sparse tensor: got %s, %lld", op,
                    tensors ? "a list" : "NULL", (long long)n_tensors);
  }
  LAT_TRY(lat__op_check(op, context, "tensors[0]", tensors[0], out), done);
  if (n_tensors == 1) { // nothing to join, but the join is checked as everywhere
    LAT_TRY(check_inputs(context, &cat_op, tensors[0], tensors[0], join, out), done);
  }
  joined = lat_tensor_retain(tensors[0]);
  for (int64_t i = 1; i < n_tensors; i++) {
    LAT_TRY(combine(context, &cat_op, joined, tensors[i], join, &next), done);
    lat_tensor_release(joined);
    joined = next;
  }
  *out = joined;
  joined = NULL;
done:
  lat_tensor_release(joined);
  return status;
}
