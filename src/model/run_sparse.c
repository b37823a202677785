// Operations of a program that make, join and reduce sparse tensors.
#include <string.h>

#include <lattice/algebra.h>
#include <lattice/pool.h>
#include <lattice/sparse_create.h>

#include "core/compiler.h"
#include "model/program_internal.h"

// --- sparse tensors from arrays and back ----------------------------------------------------------------------------

/// The first `n` rows of an array, along its first axis.
static lat_array_view first_rows(lat_array_view view, int64_t n) {
  view.shape[0] = n;
  return view;
}

/// Divides physical rows by the stride, in place: every position must be on the lattice.
static lat_status to_logical(lat_array *rows, lat_triple stride) {
  const int32_t steps[4] = {1, stride.x, stride.y, stride.z};
  int32_t *data = lat_array_data(rows);
  int64_t n = lat_array_count(rows);
  for (int64_t i = 0; i < n; i++) {
    int32_t step = steps[i % 4];
    if (data[i] % step) {
      return lat_fail(LAT_STATUS_INVALID_ARGUMENT,
                      "physical coordinates must be exactly divisible by the stride: got %d in row %lld, expected a "
                      "multiple of %d",
                      (int)data[i], (long long)(i / 4), (int)step);
    }
    data[i] /= step;
  }
  return LAT_STATUS_OK;
}

/// Exchanges the first and the last spatial column of `(N, 4)` rows, in place: from or to the order z, y, x.
static void exchange_columns(lat_array *rows) {
  int32_t *row = lat_array_data(rows);
  for (int64_t i = 0; i < lat_array_count(rows); i += 4) {
    int32_t x = row[i + 1];
    row[i + 1] = row[i + 3];
    row[i + 3] = x;
  }
}

static bool is_zyx(const lat__op *op) {
  return lat__op_choice(op, LAT__ATTR_AXES, 0) == 1;
}

static bool same_triple(lat_triple a, lat_triple b) {
  return a.x == b.x && a.y == b.y && a.z == b.z;
}

/// The set of an earlier run, or of this one, with the same rows: its relations are kept with it.
static lat_status find_set(lat_session *session, const lat__made_set *wanted, const lat_array *rows, lat_coords **out) {
  lat_array_view view = lat_array_as_view(rows);
  size_t n_bytes = (size_t)view.shape[0] * 4 * sizeof(int32_t);
  lat__made_set *place = NULL;
  for (int64_t i = 0; i < session->n_sets; i++) {
    lat__made_set *set = &session->sets[i];
    if (set->coords_value != wanted->coords_value || !same_triple(set->stride, wanted->stride)) continue;
    place = set;
    lat_array_view kept = lat_coords_rows(set->coords);
    if (kept.shape[0] != view.shape[0] || (n_bytes && memcmp(kept.data, view.data, n_bytes) != 0)) continue;
    *out = lat_coords_retain(set->coords);
    return LAT_STATUS_OK;
  }
  lat_coords_opts opts = LAT_COORDS_OPTS_INIT;
  opts.stride = wanted->stride;
  lat_status status = lat_coords_create(session->context, &view, &opts, out);
  if (status) return status;
  if (!place) {
    place = &session->sets[session->n_sets++];
    *place = *wanted;
  }
  lat_coords_release(place->coords);
  place->coords = lat_coords_retain(*out);
  return LAT_STATUS_OK;
}

/// A tensor on `coords` with the first `n` rows of the features.
static lat_status make_on(lat_session *session, const lat_coords *coords, int32_t features, int64_t n,
                          lat_tensor **out) {
  lat__slot *slot = &session->slots[features];
  lat_array_view feats;
  lat_status status = lat__run_view(session, features, &feats);
  if (status) return status;
  if (slot->array && feats.shape[0] == n) return lat_tensor_share(session->context, coords, slot->array, NULL, out);
  feats = first_rows(feats, n);
  return lat_tensor_create(session->context, coords, &feats, NULL, out);
}

/// A tensor of logical rows of which equal ones are treated as the operation says.
static lat_status make_reduced(lat_session *session, const lat__op *op, const lat_array_view *rows,
                               const lat_array_view *feats, int64_t n_batches) {
  lat_tensor *tensor = NULL;
  lat_from_coordinates_opts opts = LAT_FROM_COORDINATES_OPTS_INIT;
  opts.stride = lat__op_triple(op, LAT__ATTR_STRIDE, lat_triple_all(1));
  opts.duplicates = (lat_duplicates)lat__op_choice(op, LAT__ATTR_DUPLICATES, LAT_DUPLICATES_NONE);
  opts.n_batches = n_batches > 0 ? n_batches : 0;
  lat_status status = lat_sparse_from_coordinates(session->context, rows, feats, &opts, &tensor);
  if (!status) lat__run_give(session, op->results[0], tensor, NULL);
  return status;
}

/// The three operands came as one tensor: it is the value.
static lat_status make_bound(lat_session *session, const lat__op *op, lat_triple stride) {
  const lat_tensor *tensor = session->slots[op->operands[0]].tensor;
  lat_triple got = lat_tensor_stride(tensor);
  if (!same_triple(got, stride)) {
    return lat_fail(LAT_STATUS_INVALID_ARGUMENT,
                    "the tensor's stride must match: got (%d, %d, %d), expected (%d, %d, %d)", (int)got.x, (int)got.y,
                    (int)got.z, (int)stride.x, (int)stride.y, (int)stride.z);
  }
  if (lat__op_choice(op, LAT__ATTR_DUPLICATES, 0) == LAT_DUPLICATES_NONE) {
    lat__run_give(session, op->results[0], lat_tensor_retain(tensor), NULL);
    return LAT_STATUS_OK;
  }
  lat_array_view rows = lat_coords_rows(lat_tensor_coords(tensor)), feats = lat_tensor_feats(tensor);
  return make_reduced(session, op, &rows, &feats, lat_tensor_batch_size(tensor));
}

lat_status lat__run_make(lat_session *session, const lat__op *op) {
  lat_status status = LAT_STATUS_OK;
  const lat__slot *slots[3];
  lat_array *rows = NULL;
  lat_coords *coords = NULL;
  lat_tensor *tensor = NULL;
  lat_array_view coords_view, feats_view;
  int64_t n = 0;
  const lat__made_set wanted = {op->operands[0], lat__op_triple(op, LAT__ATTR_STRIDE, lat_triple_all(1)), NULL};
  for (int i = 0; i < 3; i++) slots[i] = &session->slots[op->operands[i]];
  if (slots[0]->bound && slots[0]->tensor == slots[1]->tensor && slots[0]->tensor == slots[2]->tensor) {
    return make_bound(session, op, wanted.stride);
  }
  LAT_TRY(lat__run_view(session, op->operands[0], &coords_view), done);
  LAT_TRY(lat__run_view(session, op->operands[1], &feats_view), done);
  LAT_TRY(lat__run_active(session, op->operands[2], coords_view.shape[0], &n), done);
  if (feats_view.rank != 2 || feats_view.shape[0] != coords_view.shape[0]) {
    status =
        lat_fail(LAT_STATUS_INVALID_SHAPE, "coordinates and features must have the same rows: got %lld, expected %lld",
                 (long long)feats_view.shape[0], (long long)coords_view.shape[0]);
    goto done;
  }
  coords_view = first_rows(coords_view, n);
  LAT_TRY(lat_array_create(session->context, &coords_view, &rows), done);
  if (is_zyx(op)) exchange_columns(rows);
  if (!session->opts.logical_coords) LAT_TRY(to_logical(rows, wanted.stride), done);
  if (lat__op_choice(op, LAT__ATTR_DUPLICATES, 0) != LAT_DUPLICATES_NONE) {
    coords_view = lat_array_as_view(rows);
    feats_view = first_rows(feats_view, n);
    status = make_reduced(session, op, &coords_view, &feats_view, 0);
    goto done;
  }
  LAT_TRY(find_set(session, &wanted, rows, &coords), done);
  LAT_TRY(make_on(session, coords, op->operands[1], n, &tensor), done);
  lat__run_give(session, op->results[0], tensor, NULL);
done:
  lat_array_release(rows);
  lat_coords_release(coords);
  return status;
}

lat_status lat__run_decompose(lat_session *session, const lat__op *op) {
  lat_status status = LAT_STATUS_OK;
  const lat_tensor *x = session->slots[op->operands[0]].tensor;
  const int32_t *uses = session->program->last_use;
  lat_array *rows = NULL, *active = NULL;
  const int64_t one = 1;
  if (uses[op->results[0]] >= 0) {
    LAT_TRY(lat__physical_rows(session->context, lat_tensor_coords(x), &rows), done);
    if (is_zyx(op)) exchange_columns(rows);
    lat__run_give(session, op->results[0], NULL, rows);
  }
  if (uses[op->results[2]] >= 0) {
    LAT_TRY(lat_array_full(session->context, LAT_DTYPE_I32, 1, &one, (double)lat_tensor_count(x), &active), done);
    lat__run_give(session, op->results[2], NULL, active);
  }
  lat__run_give(session, op->results[1], lat_tensor_retain(x), NULL);
done:
  return status;
}

lat_status lat__run_with_features(lat_session *session, const lat__op *op) {
  const lat_tensor *x = session->slots[op->operands[0]].tensor;
  const lat__slot *feats = &session->slots[op->operands[1]];
  const lat_array *array = feats->array ? feats->array : lat_tensor_feats_array(feats->tensor);
  lat_tensor *y = NULL;
  lat_status status = lat_tensor_with_feats(session->context, x, array, &y);
  if (!status) lat__run_give(session, op->results[0], y, NULL);
  return status;
}

// --- joins ----------------------------------------------------------------------------------------------------------

static const lat_tensor *tensor_of(const lat_session *session, const lat__op *op, int32_t operand) {
  int32_t value = lat__op_operand(op, operand);
  return value < 0 ? NULL : session->slots[value].tensor;
}

static lat_status give_tensor(lat_session *session, const lat__op *op, lat_status status, lat_tensor *y) {
  if (!status) lat__run_give(session, op->results[0], y, NULL);
  return status;
}

lat_status lat__run_reindex(lat_session *session, const lat__op *op) {
  lat_tensor *y = NULL;
  lat_status status = lat_reindex_sparse(session->context, tensor_of(session, op, 0), tensor_of(session, op, 1),
                                         lat__op_float(op, LAT__ATTR_FILL, 0.0), &y);
  return give_tensor(session, op, status, y);
}

lat_status lat__run_binary(lat_session *session, const lat__op *op) {
  lat_tensor *y = NULL;
  lat_binary_opts opts = LAT_BINARY_OPTS_INIT;
  opts.op = (lat_binary)lat__op_choice(op, LAT__ATTR_BINARY_OP, LAT_BINARY_ADD);
  opts.join = (lat_join)(lat__op_choice(op, LAT__ATTR_JOIN, LAT_JOIN_OUTER - 1) + 1);
  opts.lhs_fill = lat__op_float(op, LAT__ATTR_LHS_FILL, 0.0);
  opts.rhs_fill = lat__op_float(op, LAT__ATTR_RHS_FILL, 0.0);
  lat_status status =
      lat_sparse_binary(session->context, tensor_of(session, op, 0), tensor_of(session, op, 1), &opts, &y);
  return give_tensor(session, op, status, y);
}

lat_status lat__run_cat(lat_session *session, const lat__op *op) {
  enum { MOST = 64 };
  const lat_tensor *tensors[MOST];
  lat_tensor *y = NULL;
  lat_join join = (lat_join)(lat__op_choice(op, LAT__ATTR_JOIN, LAT_JOIN_INNER - 1) + 1);
  if (op->n_operands > MOST) {
    return lat_fail(LAT_STATUS_UNSUPPORTED, "cat: operands: got %d, expected at most %d", (int)op->n_operands, MOST);
  }
  for (int32_t i = 0; i < op->n_operands; i++) tensors[i] = tensor_of(session, op, i);
  lat_status status = lat_sparse_cat(session->context, tensors, op->n_operands, join, &y);
  return give_tensor(session, op, status, y);
}

// --- pools ----------------------------------------------------------------------------------------------------------

lat_kernel_opts lat__pool_window_of(const lat__op *op) {
  lat_kernel_opts opts = LAT_KERNEL_OPTS_INIT;
  const lat_triple none = {0, 0, 0};
  opts.kernel_size = lat__op_triple(op, LAT__ATTR_KERNEL_SIZE, none);
  opts.stride = lat__op_triple(op, LAT__ATTR_STRIDE, none);
  opts.padding = lat__op_triple(op, LAT__ATTR_PADDING, none);
  opts.dilation = lat__op_triple(op, LAT__ATTR_DILATION, none);
  opts.support = (lat_support)lat__op_choice(op, LAT__ATTR_SUPPORT, LAT_SUPPORT_FLOOR);
  opts.bounds = lat__op_triple(op, LAT__ATTR_BOUNDS, none);
  return opts;
}

lat_status lat__run_pool(lat_session *session, const lat__op *op) {
  lat_status status = LAT_STATUS_OK;
  lat_tensor *y = NULL;
  const lat_tensor *x = tensor_of(session, op, 0), *target = tensor_of(session, op, 1);
  lat_kernel_opts opts = lat__pool_window_of(op);
  if (op->kind == LAT__OP_POOL_TRANSPOSE3D) {
    status = lat_pool_transpose3d(session->context, x, target, &opts, &y);
  } else if (op->kind == LAT__OP_TRILINEAR_UPSAMPLE3D) {
    status = lat_trilinear_upsample3d(session->context, x, target, opts.stride, &y);
  } else {
    lat_pool_mode mode = (lat_pool_mode)lat__op_choice(op, LAT__ATTR_POOL_MODE, LAT_POOL_SUM);
    status = lat_pool3d(session->context, x, mode, &opts, &y);
  }
  return give_tensor(session, op, status, y);
}

lat_status lat__run_global_pool(lat_session *session, const lat__op *op) {
  lat_array *y = NULL;
  lat_pool_mode mode = (lat_pool_mode)lat__op_choice(op, LAT__ATTR_POOL_MODE, LAT_POOL_SUM);
  lat_status status =
      lat_global_pool(session->context, tensor_of(session, op, 0), mode, lat__op_int(op, LAT__ATTR_BATCH_SIZE, -1), &y);
  if (!status) lat__run_give(session, op->results[0], NULL, y);
  return status;
}
