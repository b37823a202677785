// What version 3 adds on supports: dense arrays in either order of axes, rows of several tensors put together.
#include <string.h>

#include <lattice/dense.h>
#include <lattice/sparse_create.h>

#include "core/compiler.h"
#include "model/program_internal.h"

// --- dense ----------------------------------------------------------------------------------------------------------

/// Exchanges two axes of an array, which is given away for a new one.
static lat_status exchange_axes(lat_context *context, int32_t a, int32_t b, lat_array **array) {
  lat_array_view view = lat_array_as_view(*array);
  lat_array *turned = NULL;
  int64_t length = view.shape[a], step = view.stride[a];
  view.shape[a] = view.shape[b];
  view.stride[a] = view.stride[b];
  view.shape[b] = length;
  view.stride[b] = step;
  lat_status status = lat_array_create(context, &view, &turned);
  if (status) return status;
  lat_array_release(*array);
  *array = turned;
  return LAT_STATUS_OK;
}

/// First and last of the spatial axes that a dense array still has.
static void spatial_axes(const lat_dense_opts *opts, int32_t *first, int32_t *last) {
  *first = opts->layout == LAT_DENSE_CHANNELS_FIRST ? 2 : 1;
  *last = *first + (opts->fold ? 1 : 2);
}

lat_status lat__run_to_dense(lat_session *session, const lat__op *op) {
  lat_status status = LAT_STATUS_OK;
  lat_array *y = NULL;
  const lat_triple none = {0, 0, 0};
  lat_dense_opts opts = LAT_DENSE_OPTS_INIT;
  int64_t batch_size = lat__op_int(op, LAT__ATTR_BATCH_SIZE, -1);
  opts.min_coord = lat__op_triple(op, LAT__ATTR_MIN_COORD, none);
  opts.shape = lat__op_triple(op, LAT__ATTR_SHAPE, none);
  opts.batch_size = batch_size > 0 ? batch_size : 0;
  opts.layout = (lat_dense_layout)lat__op_choice(op, LAT__ATTR_DENSE_LAYOUT, 0);
  opts.fold = (lat_dense_fold)lat__op_choice(op, LAT__ATTR_FOLD, 0);
  opts.outside = (lat_dense_outside)lat__op_choice(op, LAT__ATTR_OUTSIDE, 0);
  LAT_TRY(lat_to_dense(session->context, session->slots[op->operands[0]].tensor, &opts, &y), done);
  if (lat__op_choice(op, LAT__ATTR_AXES, 0) == 1) { // z, y, x
    int32_t first, last;
    spatial_axes(&opts, &first, &last);
    LAT_TRY(exchange_axes(session->context, first, last, &y), done);
  }
  lat__run_give(session, op->results[0], NULL, y);
  y = NULL;
done:
  lat_array_release(y);
  return status;
}

// --- rows of several tensors ----------------------------------------------------------------------------------------

/// How many steps of the first operand's stride one step of this tensor's is.
static lat_status steps_of(const lat_tensor *tensor, lat_triple first, lat_triple *steps) {
  lat_triple own = lat_tensor_stride(tensor);
  *steps = (lat_triple){own.x / first.x, own.y / first.y, own.z / first.z};
  if (steps->x * first.x == own.x && steps->y * first.y == own.y && steps->z * first.z == own.z) return LAT_STATUS_OK;
  return lat_fail(LAT_STATUS_INVALID_ARGUMENT,
                  "concat_reduce: strides must be multiples of the first: got (%d, %d, %d), expected multiples of (%d, "
                  "%d, %d)",
                  (int)own.x, (int)own.y, (int)own.z, (int)first.x, (int)first.y, (int)first.z);
}

/// Appends a tensor's rows at the first operand's stride.
static lat_status append_rows(const lat_tensor *tensor, lat_triple steps, int32_t *rows) {
  const int32_t scale[4] = {1, steps.x, steps.y, steps.z};
  const int32_t *from = lat_coords_rows(lat_tensor_coords(tensor)).data;
  for (int64_t i = 0; i < 4 * lat_tensor_count(tensor); i++) {
    int64_t value = (int64_t)from[i] * scale[i % 4];
    if (value < INT32_MIN || value > INT32_MAX) {
      return lat_fail(LAT_STATUS_OVERFLOW, "concat_reduce: coordinates leave int32: got row %lld, expected int32",
                      (long long)(i / 4));
    }
    rows[i] = (int32_t)value;
  }
  return LAT_STATUS_OK;
}

/// Rows and channels of the whole; every operand must have the first one's channels and dtype.
static lat_status measure(const lat_session *session, const lat__op *op, int64_t *n_rows) {
  const lat_tensor *first = session->slots[op->operands[0]].tensor;
  *n_rows = 0;
  for (int32_t i = 0; i < op->n_operands; i++) {
    const lat_tensor *tensor = session->slots[op->operands[i]].tensor;
    *n_rows += lat_tensor_count(tensor);
    if (lat_tensor_channels(tensor) == lat_tensor_channels(first) &&
        lat_tensor_dtype(tensor) == lat_tensor_dtype(first)) {
      continue;
    }
    return lat_fail(LAT_STATUS_INVALID_SHAPE,
                    "concat_reduce: operands must have the same channels and dtype: got %lld %s, expected %lld %s",
                    (long long)lat_tensor_channels(tensor), lat_dtype_name(lat_tensor_dtype(tensor)),
                    (long long)lat_tensor_channels(first), lat_dtype_name(lat_tensor_dtype(first)));
  }
  return LAT_STATUS_OK;
}

/// Coordinates and features of all operands, one after the other.
static lat_status put_together(lat_session *session, const lat__op *op, lat_array *rows, lat_array *feats) {
  const lat_tensor *first = session->slots[op->operands[0]].tensor;
  int32_t *row_at = lat_array_data(rows);
  unsigned char *feat_at = lat_array_data(feats);
  for (int32_t i = 0; i < op->n_operands; i++) {
    const lat_tensor *tensor = session->slots[op->operands[i]].tensor;
    lat_array_view view = lat_tensor_feats(tensor);
    size_t n_bytes = (size_t)(view.shape[0] * view.shape[1]) * lat_dtype_bytes(view.dtype);
    lat_triple steps;
    lat_status status = steps_of(tensor, lat_tensor_stride(first), &steps);
    if (!status) status = append_rows(tensor, steps, row_at);
    if (status) return status;
    if (n_bytes) memcpy(feat_at, view.data, n_bytes);
    row_at += 4 * view.shape[0];
    feat_at += n_bytes;
  }
  return LAT_STATUS_OK;
}

lat_status lat__run_concat_reduce(lat_session *session, const lat__op *op) {
  lat_status status = LAT_STATUS_OK;
  const lat_tensor *first = session->slots[op->operands[0]].tensor;
  lat_array *rows = NULL, *feats = NULL;
  lat_tensor *y = NULL;
  int64_t n = 0;
  LAT_TRY(measure(session, op, &n), done);
  const int64_t row_shape[2] = {n, 4}, feat_shape[2] = {n, lat_tensor_channels(first)};
  LAT_TRY(lat_array_full(session->context, LAT_DTYPE_I32, 2, row_shape, 0.0, &rows), done);
  LAT_TRY(lat_array_full(session->context, lat_tensor_dtype(first), 2, feat_shape, 0.0, &feats), done);
  LAT_TRY(put_together(session, op, rows, feats), done);
  lat_from_coordinates_opts opts = LAT_FROM_COORDINATES_OPTS_INIT;
  opts.stride = lat_tensor_stride(first);
  opts.duplicates = (lat_duplicates)lat__op_choice(op, LAT__ATTR_DUPLICATES, LAT_DUPLICATES_NONE);
  opts.n_batches = lat_tensor_batch_size(first) > 0 ? lat_tensor_batch_size(first) : 0;
  lat_array_view row_view = lat_array_as_view(rows), feat_view = lat_array_as_view(feats);
  LAT_TRY(lat_sparse_from_coordinates(session->context, &row_view, &feat_view, &opts, &y), done);
  lat__run_give(session, op->results[0], y, NULL);
done:
  lat_array_release(rows);
  lat_array_release(feats);
  return status;
}
