// Element-wise algebra and concatenation of sparse tensors, and their gradients. Tensors on one coordinate set are combined
// row by row; others through an alignment of their sets.

#include <stdio.h>

#include <lattice/algebra.h>

#include "backend/backend.h"
#include "coords/alignment.h"
#include "coords/coords_internal.h"
#include "coords/tensor_internal.h"
#include "core/alloc.h"
#include "core/array_internal.h"
#include "core/checked.h"
#include "core/compiler.h"
#include "core/context_internal.h"
#include "ops/feature_internal.h"
#include "ops/rows_grad.h"

/// One call: what it computes and how missing rows count.
typedef struct algebra_op {
  const char *name;
  bool concatenates;
  lat__binary binary;
  lat_join default_join;
  float lhs_fill, rhs_fill;
} algebra_op;

static const algebra_op cat_op = {.name = "sparse_cat_aligned", .concatenates = true, .default_join = LAT_JOIN_INNER};

static lat_status check_operands(const algebra_op *op, const lat_tensor *lhs, const lat_tensor *rhs, lat_join join) {
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

static lat_status check_inputs(const lat_context *context, const algebra_op *op, const lat_tensor *lhs,
                               const lat_tensor *rhs, lat_join join, lat_tensor **out) {
  lat_status status = lat__op_check(op->name, context, "lhs", lhs, out);
  if (!status) status = lat__op_check(op->name, context, "rhs", rhs, out);
  return status ? status : check_operands(op, lhs, rhs, join);
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

/// Options of sparse_binary as a call.
static lat_status take_options(const char *name, const lat_binary_opts *opts, algebra_op *call, lat_join *join) {
  lat_binary_opts o;
  lat_status status = lat__opts_copy(name, opts, sizeof o, &o);
  if (status) return status;
  if ((int)o.op < LAT_BINARY_ADD || o.op > LAT_BINARY_MINIMUM) {
    return lat_fail(LAT_STATUS_INVALID_ARGUMENT, "%s: unknown sparse binary op: got %d, expected 0 to %d", name,
                    (int)o.op, (int)LAT_BINARY_MINIMUM);
  }
  *join = o.join;
  *call = (algebra_op){.name = name,
                       .binary = (lat__binary)o.op,
                       .default_join = LAT_JOIN_OUTER,
                       .lhs_fill = (float)o.lhs_fill,
                       .rhs_fill = (float)o.rhs_fill};
  return LAT_STATUS_OK;
}

lat_status lat_sparse_binary(lat_context *context, const lat_tensor *lhs, const lat_tensor *rhs,
                             const lat_binary_opts *opts, lat_tensor **out) {
  static const char op[] = "sparse_binary";
  algebra_op call;
  lat_join join;
  lat_status status = lat__op_check(op, context, "lhs", lhs, out);
  if (!status) status = take_options(op, opts, &call, &join);
  return status ? status : combine(context, &call, lhs, rhs, join, out);
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

// --- gradients --------------------------------------------------------------------------------------------------------

/// Gradient of one side (`rhs` or lhs) of an element-wise operation.
static lat_status side_backward(lat_context *context, const algebra_op *op, const lat_tensor *const sides[2],
                                const lat__alignment *alignment, const lat_array *grad, int is_rhs, lat_array **out) {
  lat_status status = LAT_STATUS_OK;
  const lat_tensor *own = sides[is_rhs], *other = sides[!is_rhs];
  const int32_t *const rows[2] = {alignment ? alignment->lhs_rows : NULL, alignment ? alignment->rhs_rows : NULL};
  const lat_array_view *view = &own->feats->view;
  lat__row_places places = {NULL, NULL};
  lat_array *result = NULL;
  LAT_TRY(lat__row_places_take(context, op->name, rows[is_rhs], grad->view.shape[0], view->shape[0], &places), done);
  LAT_TRY(lat__array_new_2d(context, op->name, view->dtype, view->shape[0], view->shape[1], &result), done);
  lat__join_grad_desc desc = {.n_rows = view->shape[0],
                              .channels = view->shape[1],
                              .offsets = places.offsets,
                              .sources = places.places,
                              .op = (int)op->binary,
                              .is_rhs = is_rhs != 0,
                              .dtype = view->dtype,
                              .dtype_other = lat_tensor_dtype(other),
                              .dtype_grad = grad->view.dtype,
                              .own = view->data,
                              .other = other->feats->view.data,
                              .other_rows = rows[!is_rhs],
                              .other_fill = is_rhs ? op->lhs_fill : op->rhs_fill,
                              .grad = grad->view.data,
                              .grad_stride = view->shape[1],
                              .y = lat_array_data(result)};
  LAT_TRY(lat__backend_of(context)->join_grad(context, &desc), done);
  *out = result;
  result = NULL;
done:
  lat__row_places_release(context, &places);
  lat_array_release(result);
  return status;
}

static lat_status check_backward(const char *op, const lat_context *context, const lat_tensor *lhs,
                                 const lat_tensor *rhs, lat_binary_grads *out) {
  if (!out) return lat_fail(LAT_STATUS_INVALID_ARGUMENT, "%s: out: got NULL, expected a place for the gradients", op);
  *out = (lat_binary_grads){NULL, NULL};
  if (!context) return lat_fail(LAT_STATUS_INVALID_ARGUMENT, "%s: context: got NULL, expected a context", op);
  lat_status status = lat__tensor_check(op, "lhs", lhs);
  return status ? status : lat__tensor_check(op, "rhs", rhs);
}

lat_status lat_sparse_binary_backward(lat_context *context, const lat_tensor *lhs, const lat_tensor *rhs,
                                      const lat_binary_opts *opts, const lat_array_view *grad_out,
                                      lat_binary_grads *out) {
  static const char op[] = "sparse_binary_backward";
  lat_status status = LAT_STATUS_OK;
  algebra_op call;
  lat_join join;
  lat__alignment *alignment = NULL;
  lat_array *grad = NULL;
  lat_binary_grads grads = {NULL, NULL};
  const lat_tensor *const sides[2] = {lhs, rhs};
  LAT_TRY(check_backward(op, context, lhs, rhs, out), done);
  LAT_TRY(take_options(op, opts, &call, &join), done);
  LAT_TRY(check_operands(&call, lhs, rhs, join), done);
  if (join == LAT_JOIN_DEFAULT) join = call.default_join;
  if (lhs->coords != rhs->coords) {
    LAT_TRY(lat__alignment_of(context, op, lhs->coords, rhs->coords, join, &alignment), done);
  }
  const lat_coords *coords = alignment ? alignment->coords : lhs->coords;
  LAT_TRY(lat__grad_view(context, op, grad_out, coords->n_rows, lat_tensor_channels(lhs), &grad), done);
  LAT_TRY(side_backward(context, &call, sides, alignment, grad, 0, &grads.lhs), done);
  LAT_TRY(side_backward(context, &call, sides, alignment, grad, 1, &grads.rhs), done);
  *out = grads;
  grads = (lat_binary_grads){NULL, NULL};
done:
  lat_array_release(grads.lhs);
  lat_array_release(grads.rhs);
  lat_array_release(grad);
  lat__alignment_release(alignment);
  return status;
}

/// rows[r] = map[rows[r]], or with `map` NULL as it is; -1 stays.
static void compose(const int32_t *map, int32_t *rows, int64_t n) {
  for (int64_t r = 0; map && r < n; r++) rows[r] = rows[r] < 0 ? -1 : map[rows[r]];
}

/// The chain of a concatenation, joined pairwise from the left.
typedef struct cat_chain {
  int64_t n_tensors;
  lat__alignment **links;   ///< link i joins what came before with tensor i; NULL: one set, or i = 0. From lat__alloc
  const lat_coords *coords; ///< of the result; borrowed from the tensors and links
  int64_t channels;
} cat_chain;

static lat_status open_chain(lat_context *context, const algebra_op *op, const lat_tensor *const *tensors,
                             int64_t n_tensors, lat_join join, cat_chain *chain) {
  lat_status status = LAT_STATUS_OK;
  void *links = NULL;
  LAT_TRY(lat__alloc_zero(context, op->name, n_tensors, sizeof(void *), &links), done);
  chain->links = links;
  chain->n_tensors = n_tensors;
  for (int64_t i = 0; i < n_tensors; i++) {
    char name[32];
    snprintf(name, sizeof name, "tensors[%lld]", (long long)i);
    LAT_TRY(lat__tensor_check(op->name, name, tensors[i]), done);
    LAT_TRY(check_operands(op, tensors[0], tensors[i], join), done);
    if (!lat__add_i64(chain->channels, lat_tensor_channels(tensors[i]), &chain->channels)) {
      status = lat_fail(LAT_STATUS_OVERFLOW, "%s: too many channels: expected a sum below 2^63", op->name);
      goto done;
    }
    if (i > 0 && chain->coords != tensors[i]->coords) {
      lat_join taken = join == LAT_JOIN_DEFAULT ? op->default_join : join;
      LAT_TRY(lat__alignment_of(context, op->name, chain->coords, tensors[i]->coords, taken, &chain->links[i]), done);
    }
    chain->coords = i == 0 ? tensors[0]->coords : chain->links[i] ? chain->links[i]->coords : chain->coords;
  }
done:
  return status;
}

static void close_chain(lat_context *context, cat_chain *chain) {
  for (int64_t i = 0; i < chain->n_tensors; i++) lat__alignment_release(chain->links[i]);
  if (context) lat__free(context, chain->links);
}

/// The gradient of every tensor, from the last to the first. `map` and `rows` have room for the rows of the result; map
/// leads from a row of the result to the row of what has been joined so far.
static lat_status chain_backward(lat_context *context, const char *op, const lat_tensor *const *tensors,
                                 const cat_chain *chain, const lat_array *grad, int32_t *map, int32_t *rows,
                                 lat_array **grads) {
  int64_t n = chain->coords->n_rows, first = chain->channels;
  for (int64_t r = 0; r < n; r++) map[r] = (int32_t)r;
  for (int64_t i = chain->n_tensors - 1; i >= 0; i--) {
    const lat_array_view *view = &tensors[i]->feats->view;
    for (int64_t r = 0; r < n; r++) rows[r] = map[r];
    if (chain->links[i]) {
      compose(chain->links[i]->rhs_rows, rows, n);
      compose(chain->links[i]->lhs_rows, map, n);
    }
    first -= view->shape[1];
    lat__rows_copy copy = {rows, n, view->shape[0], view->shape[1], view->dtype, grad, chain->channels, first};
    lat_status status = lat__rows_copy_backward(context, op, &copy, &grads[i]);
    if (status) return status;
  }
  return LAT_STATUS_OK;
}

lat_status lat_sparse_cat_backward(lat_context *context, const lat_tensor *const *tensors, int64_t n_tensors,
                                   lat_join join, const lat_array_view *grad_out, lat_array **grads) {
  static const algebra_op op = {.name = "sparse_cat_backward", .concatenates = true, .default_join = LAT_JOIN_INNER};
  lat_status status = LAT_STATUS_OK;
  cat_chain chain = {.n_tensors = 0};
  lat_array *grad = NULL;
  void *map = NULL, *rows = NULL;
  for (int64_t i = 0; grads && i < n_tensors; i++) grads[i] = NULL;
  if (!grads || !tensors || n_tensors < 1) {
    return lat_fail(LAT_STATUS_INVALID_ARGUMENT, "%s: %s: expected at least one sparse tensor: got %s, %lld", op.name,
                    grads ? "tensors" : "grads", grads && tensors ? "a list" : "NULL", (long long)n_tensors);
  }
  if (!context) return lat_fail(LAT_STATUS_INVALID_ARGUMENT, "%s: context: got NULL, expected a context", op.name);
  LAT_TRY(open_chain(context, &op, tensors, n_tensors, join, &chain), done);
  int64_t n = chain.coords->n_rows;
  LAT_TRY(lat__grad_view(context, op.name, grad_out, n, chain.channels, &grad), done);
  LAT_TRY(lat__alloc_items(context, op.name, n, sizeof(int32_t), &map), done);
  LAT_TRY(lat__alloc_items(context, op.name, n, sizeof(int32_t), &rows), done);
  LAT_TRY(chain_backward(context, op.name, tensors, &chain, grad, map, rows, grads), done);
done:
  for (int64_t i = 0; status && i < n_tensors; i++) {
    lat_array_release(grads[i]);
    grads[i] = NULL;
  }
  lat__free(context, map);
  lat__free(context, rows);
  lat_array_release(grad);
  close_chain(context, &chain);
  return status;
}
