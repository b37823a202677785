// Dense arrays of sparse tensors and back. Both directions and both gradients are a scatter of rows into cells or a gather
// from them; what differs is where the box comes from.

#include <string.h>

#include <lattice/dense.h>

#include "backend/backend.h"
#include "coords/coords_internal.h"
#include "coords/tensor_internal.h"
#include "core/alloc.h"
#include "core/array_internal.h"
#include "core/checked.h"
#include "core/compiler.h"
#include "core/context_internal.h"

/// A dense array in elements: cell (b, i, j, k), channel c lies at b * batch_step + (i, j, k) . axis_step + c *
/// channel_step.
typedef struct dense_box {
  int64_t n_items, extent[3], channels;
  int64_t first[3]; ///< coordinate of the first cell
  int64_t batch_step, axis_step[3], channel_step;
  int32_t rank;
  int64_t shape[5];
} dense_box;

static int64_t at(lat_triple triple, int axis) {
  return axis == 0 ? triple.x : axis == 1 ? triple.y : triple.z;
}

static lat_status check_context(const char *op, const lat_context *context) {
  if (context) return LAT_STATUS_OK;
  return lat_fail(LAT_STATUS_INVALID_ARGUMENT, "%s: context: got NULL, expected a context", op);
}

static lat_status check_tensor(const char *op, const char *name, const lat_tensor *tensor) {
  if (tensor) return LAT_STATUS_OK;
  return lat_fail(LAT_STATUS_INVALID_ARGUMENT, "%s: %s: got NULL, expected a sparse tensor", op, name);
}

static lat_status take_opts(const char *op, const lat_dense_opts *opts, lat_dense_opts *o) {
  lat_status status = lat__opts_copy(op, opts, sizeof *o, o);
  if (status) return status;
  if (o->layout != LAT_DENSE_CHANNELS_LAST && o->layout != LAT_DENSE_CHANNELS_FIRST) {
    return lat_fail(LAT_STATUS_INVALID_ARGUMENT, "%s: layout: got %d, expected 0 (channels last) or 1 (first)", op,
                    (int)o->layout);
  }
  if ((int)o->fold < LAT_DENSE_FOLD_NONE || (int)o->fold > LAT_DENSE_FOLD_Z) {
    return lat_fail(LAT_STATUS_INVALID_ARGUMENT, "%s: fold: got %d, expected 0 (none) or 1 to 3 (x, y, z)", op,
                    (int)o->fold);
  }
  if (o->outside != LAT_DENSE_OUTSIDE_ERROR && o->outside != LAT_DENSE_OUTSIDE_DROP) {
    return lat_fail(LAT_STATUS_INVALID_ARGUMENT, "%s: outside: got %d, expected 0 (error) or 1 (drop)", op,
                    (int)o->outside);
  }
  if (o->batch_size < 0) {
    return lat_fail(LAT_STATUS_INVALID_ARGUMENT, "%s: batch_size must be non-negative: got %lld, expected 0 or more",
                    op, (long long)o->batch_size);
  }
  return LAT_STATUS_OK;
}

/// Shape and steps of a box whose lengths are known.
static lat_status lay_out(const char *op, const lat_dense_opts *opts, dense_box *box) {
  const int fold = (int)opts->fold - 1;
  int64_t channels = box->channels, step = 1;
  bool fits = fold < 0 || lat__mul_i64(channels, box->extent[fold], &channels);
  int place[5], n = 0; // -1: items, -2: channels, else the axis
  place[n++] = -1;
  if (opts->layout == LAT_DENSE_CHANNELS_FIRST) place[n++] = -2;
  for (int axis = 0; axis < 3; axis++) {
    if (axis != fold) place[n++] = axis;
  }
  if (opts->layout == LAT_DENSE_CHANNELS_LAST) place[n++] = -2;
  box->rank = n;
  for (int i = n - 1; i >= 0 && fits; i--) {
    int64_t length = place[i] == -1 ? box->n_items : place[i] == -2 ? channels : box->extent[place[i]];
    box->shape[i] = length;
    if (place[i] == -1) box->batch_step = step;
    if (place[i] == -2) box->channel_step = step;
    if (place[i] >= 0) box->axis_step[place[i]] = step;
    fits = lat__mul_i64(step, lat__max_i64(length, 1), &step);
  }
  if (fits && fold >= 0) {
    box->axis_step[fold] = box->channel_step;
    fits = lat__mul_i64(box->channel_step, lat__max_i64(box->extent[fold], 1), &box->channel_step);
  }
  int64_t n_cells = lat__max_i64(box->n_items, 1);
  for (int axis = 0; axis < 3 && fits; axis++) {
    fits = lat__mul_i64(n_cells, lat__max_i64(box->extent[axis], 1), &n_cells);
  }
  if (fits) return LAT_STATUS_OK;
  return lat_fail(
      LAT_STATUS_OVERFLOW,
      "%s: dense array is too large: got %lld items of (%lld, %lld, %lld) cells with %lld channels, expected "
      "fewer than 2^63 elements",
      op, (long long)box->n_items, (long long)box->extent[0], (long long)box->extent[1], (long long)box->extent[2],
      (long long)box->channels);
}

/// The box that to_dense takes for `x`.
static lat_status box_of_tensor(const char *op, const lat_tensor *x, const lat_dense_opts *opts, dense_box *box) {
  const lat_coords *coords = x->coords;
  const lat_triple shape = opts->shape;
  bool whole = shape.x == 0 && shape.y == 0 && shape.z == 0;
  int64_t largest[4] = {-1, INT64_MIN, INT64_MIN, INT64_MIN};
  *box = (dense_box){.channels = x->feats->view.shape[1]};
  if (!whole && (shape.x < 1 || shape.y < 1 || shape.z < 1)) {
    return lat_fail(LAT_STATUS_INVALID_ARGUMENT,
                    "%s: shape must be positive: got (%d, %d, %d), expected 1 or more on each axis, or (0, 0, 0)", op,
                    (int)shape.x, (int)shape.y, (int)shape.z);
  }
  for (int64_t i = 0; i < 4 * coords->n_rows; i++) largest[i % 4] = lat__max_i64(largest[i % 4], coords->rows[i]);
  for (int axis = 0; axis < 3; axis++) {
    box->first[axis] = at(opts->min_coord, axis);
    int64_t reach = coords->n_rows > 0 ? lat__max_i64(0, largest[1 + axis] - box->first[axis] + 1) : 0;
    box->extent[axis] = whole ? reach : at(shape, axis);
  }
  box->n_items = x->batch_size >= 0 ? x->batch_size : largest[0] + 1;
  if (opts->batch_size > 0) box->n_items = opts->batch_size;
  return lay_out(op, opts, box);
}

/// Lengths of the axes that `view` shows; the folded one comes from the options.
static lat_status read_lengths(const char *op, const lat_array_view *view, const lat_dense_opts *opts, dense_box *box) {
  const int fold = (int)opts->fold - 1;
  char shape[128];
  bool first = opts->layout == LAT_DENSE_CHANNELS_FIRST;
  int next = first ? 2 : 1;
  box->n_items = view->shape[0];
  box->channels = view->shape[first ? 1 : view->rank - 1];
  for (int axis = 0; axis < 3; axis++) {
    int64_t wanted = at(opts->shape, axis);
    box->first[axis] = at(opts->min_coord, axis);
    box->extent[axis] = axis == fold ? wanted : view->shape[next++];
    if (axis == fold && wanted < 1) {
      return lat_fail(LAT_STATUS_INVALID_ARGUMENT,
                      "%s: shape must give the length of the folded axis: got %lld, expected 1 or more", op,
                      (long long)wanted);
    }
    if (wanted != 0 && wanted != box->extent[axis]) {
      return lat_fail(LAT_STATUS_INVALID_SHAPE,
                      "%s: shape must match the dense array: got %lld on axis %d, expected 0 or %lld of shape %s", op,
                      (long long)wanted, axis, (long long)box->extent[axis],
                      lat__shape_text(view, shape, sizeof shape));
    }
  }
  if (fold >= 0 && box->channels % box->extent[fold] != 0) {
    return lat_fail(LAT_STATUS_INVALID_SHAPE,
                    "%s: channels must be a multiple of the folded axis: got %lld, expected a multiple of %lld", op,
                    (long long)box->channels, (long long)box->extent[fold]);
  }
  if (fold >= 0) box->channels /= box->extent[fold];
  return LAT_STATUS_OK;
}

/// The box of a dense array that the caller handed in.
static lat_status box_of_array(const char *op, const lat_array_view *dense, const lat_dense_opts *opts,
                               dense_box *box) {
  char shape[128];
  const int32_t rank = opts->fold == LAT_DENSE_FOLD_NONE ? 5 : 4;
  *box = (dense_box){.n_items = 0};
  if (dense->rank != rank) {
    return lat_fail(LAT_STATUS_INVALID_SHAPE, "%s: dense must have %d axes: got shape %s, expected %s", op, (int)rank,
                    lat__shape_text(dense, shape, sizeof shape),
                    opts->layout == LAT_DENSE_CHANNELS_LAST ? "(B, cells.., C)" : "(B, C, cells..)");
  }
  if (!lat__dtype_is_feature(dense->dtype)) {
    return lat_fail(LAT_STATUS_INVALID_DTYPE, "%s: dense dtype: got %s, expected float32, float16 or bfloat16", op,
                    lat_dtype_name(dense->dtype));
  }
  lat_status status = read_lengths(op, dense, opts, box);
  if (status) return status;
  int64_t last_item = INT32_MAX;
  if (box->n_items > last_item + 1) {
    return lat_fail(LAT_STATUS_OVERFLOW, "%s: coordinates leave int32: got %lld batch items, expected at most 2^31", op,
                    (long long)box->n_items);
  }
  for (int axis = 0; axis < 3; axis++) {
    int64_t room = (int64_t)INT32_MAX - box->first[axis] + 1;
    if (box->extent[axis] > room) {
      return lat_fail(LAT_STATUS_OVERFLOW,
                      "%s: coordinates leave int32: got %lld cells from %lld on axis %d, expected at most %lld", op,
                      (long long)box->extent[axis], (long long)box->first[axis], axis, (long long)room);
    }
  }
  return lay_out(op, opts, box);
}

/// Element of channel 0 of a row's cell, -1 outside.
static int64_t offset_of(const dense_box *box, const int32_t *row) {
  if (row[0] < 0 || row[0] >= box->n_items) return -1;
  int64_t offset = row[0] * box->batch_step;
  for (int axis = 0; axis < 3; axis++) {
    int64_t cell = row[1 + axis] - box->first[axis];
    if (cell < 0 || cell >= box->extent[axis]) return -1;
    offset += cell * box->axis_step[axis];
  }
  return offset;
}

static lat_status fail_outside(const char *op, const dense_box *box, const int32_t *row, int64_t r) {
  return lat_fail(LAT_STATUS_INVALID_ARGUMENT,
                  "%s: row lies outside of the box: got (%d, %d, %d, %d) at row %lld, expected batch below %lld and "
                  "%lld, %lld, %lld cells from (%lld, %lld, %lld)",
                  op, (int)row[0], (int)row[1], (int)row[2], (int)row[3], (long long)r, (long long)box->n_items,
                  (long long)box->extent[0], (long long)box->extent[1], (long long)box->extent[2],
                  (long long)box->first[0], (long long)box->first[1], (long long)box->first[2]);
}

/// Offsets of all rows, a block of lat__alloc.
static lat_status new_offsets(lat_context *context, const char *op, const int32_t *rows, int64_t n_rows,
                              const dense_box *box, lat_dense_outside outside, int64_t **out) {
  void *memory = NULL;
  lat_status status = lat__alloc_items(context, op, n_rows, sizeof(int64_t), &memory);
  if (status) return status;
  int64_t *offsets = memory;
  for (int64_t r = 0; r < n_rows; r++) {
    offsets[r] = offset_of(box, rows + 4 * r);
    if (offsets[r] >= 0 || outside == LAT_DENSE_OUTSIDE_DROP) continue;
    lat__free(context, memory);
    return fail_outside(op, box, rows + 4 * r, r);
  }
  *out = offsets;
  return LAT_STATUS_OK;
}

/// A cell holds one row.
static lat_status refuse_duplicates(lat_context *context, const char *op, const lat_coords *coords,
                                    const int64_t *offsets) {
  lat_status status = LAT_STATUS_OK;
  void *memory = NULL;
  LAT_TRY(lat__alloc_items(context, op, coords->n_rows, sizeof(int32_t), &memory), done);
  const int32_t *first = memory;
  LAT_TRY(lat__coords_lookup(context, coords, coords->rows, coords->n_rows, memory), done);
  for (int64_t r = 0; r < coords->n_rows; r++) {
    const int32_t *row = coords->rows + 4 * r;
    if (first[r] == r || offsets[r] < 0) continue;
    status = lat_fail(LAT_STATUS_INVALID_ARGUMENT,
                      "%s: duplicate coordinates: got (%d, %d, %d, %d) at rows %lld and %lld, expected distinct rows",
                      op, (int)row[0], (int)row[1], (int)row[2], (int)row[3], (long long)first[r], (long long)r);
    goto done;
  }
done:
  lat__free(context, memory);
  return status;
}

/// A dense array with the rows of `x` (contiguous, (n_rows, channels)) at the cells of `coords`.
static lat_status scatter(lat_context *context, const char *op, const lat_coords *coords, const lat_array_view *x,
                          const dense_box *box, lat_dense_outside outside, lat_array **out) {
  lat_status status = LAT_STATUS_OK;
  int64_t *offsets = NULL;
  lat_array *y = NULL;
  LAT_TRY(new_offsets(context, op, coords->rows, coords->n_rows, box, outside, &offsets), done);
  LAT_TRY(refuse_duplicates(context, op, coords, offsets), done);
  LAT_TRY(lat__array_new(context, op, x->dtype, box->rank, box->shape, &y), done);
  lat__dense_desc desc = {.n_rows = coords->n_rows,
                          .channels = box->channels,
                          .n_elements = lat_array_count(y),
                          .channel_step = box->channel_step,
                          .element_bytes = (int64_t)lat_dtype_bytes(x->dtype),
                          .offsets = offsets,
                          .x = x->data,
                          .y = lat_array_data(y)};
  LAT_TRY(lat__backend_of(context)->dense_scatter(context, &desc), done);
  *out = y;
  y = NULL;
done:
  lat__free(context, offsets);
  lat_array_release(y);
  return status;
}

/// `(n_rows, channels)` read from a contiguous dense array at `rows`.
static lat_status gather(lat_context *context, const char *op, const int32_t *rows, int64_t n_rows,
                         const lat_array_view *dense, const dense_box *box, lat_dense_outside outside,
                         lat_array **out) {
  lat_status status = LAT_STATUS_OK;
  int64_t *offsets = NULL;
  lat_array *y = NULL;
  LAT_TRY(new_offsets(context, op, rows, n_rows, box, outside, &offsets), done);
  LAT_TRY(lat__array_new_2d(context, op, dense->dtype, n_rows, box->channels, &y), done);
  lat__dense_desc desc = {.n_rows = n_rows,
                          .channels = box->channels,
                          .channel_step = box->channel_step,
                          .element_bytes = (int64_t)lat_dtype_bytes(dense->dtype),
                          .offsets = offsets,
                          .x = dense->data,
                          .y = lat_array_data(y)};
  LAT_TRY(lat__backend_of(context)->dense_gather(context, &desc), done);
  *out = y;
  y = NULL;
done:
  lat__free(context, offsets);
  lat_array_release(y);
  return status;
}

/// Checks shape and dtype of a gradient that must be like `what`.
static lat_status check_grad(const char *op, const char *what, const lat_array_view *grad, int32_t rank,
                             const int64_t *shape, lat_dtype dtype) {
  char got[128], expected[128];
  lat_array_view wanted = lat_view(NULL, dtype, rank, shape);
  bool same = grad->rank == rank;
  for (int32_t axis = 0; axis < rank && same; axis++) same = grad->shape[axis] == shape[axis];
  if (!same) {
    return lat_fail(LAT_STATUS_INVALID_SHAPE, "%s: grad_out must have the shape of %s: got %s, expected %s", op, what,
                    lat__shape_text(grad, got, sizeof got), lat__shape_text(&wanted, expected, sizeof expected));
  }
  if (grad->dtype != dtype) {
    return lat_fail(LAT_STATUS_INVALID_DTYPE, "%s: grad_out dtype: got %s, expected %s", op,
                    lat_dtype_name(grad->dtype), lat_dtype_name(dtype));
  }
  return LAT_STATUS_OK;
}

lat_status lat_to_dense(lat_context *context, const lat_tensor *x, const lat_dense_opts *opts, lat_array **out) {
  static const char op[] = "to_dense";
  lat_status status = LAT_STATUS_OK;
  lat_dense_opts o;
  dense_box box;
  LAT_TRY(lat__array_op_check(op, context, out), done);
  LAT_TRY(check_tensor(op, "x", x), done);
  LAT_TRY(take_opts(op, opts, &o), done);
  LAT_TRY(box_of_tensor(op, x, &o, &box), done);
  LAT_TRY(scatter(context, op, x->coords, &x->feats->view, &box, o.outside, out), done);
done:
  return status;
}

lat_status lat_to_dense_backward(lat_context *context, const lat_tensor *x, const lat_array_view *grad_out,
                                 const lat_dense_opts *opts, lat_array **out) {
  static const char op[] = "to_dense_backward";
  lat_status status = LAT_STATUS_OK;
  lat_dense_opts o;
  dense_box box;
  lat_array *grad = NULL;
  int64_t count = 0;
  LAT_TRY(lat__array_op_check(op, context, out), done);
  LAT_TRY(check_tensor(op, "x", x), done);
  LAT_TRY(lat__view_check(op, "grad_out", grad_out, &count), done);
  LAT_TRY(take_opts(op, opts, &o), done);
  LAT_TRY(box_of_tensor(op, x, &o, &box), done);
  LAT_TRY(check_grad(op, "the dense array", grad_out, box.rank, box.shape, x->feats->view.dtype), done);
  LAT_TRY(lat__view_contiguous_array(context, op, grad_out, &grad), done);
  LAT_TRY(gather(context, op, x->coords->rows, x->coords->n_rows, &grad->view, &box, o.outside, out), done);
done:
  lat_array_release(grad);
  return status;
}

static lat_status check_mask(const char *op, const lat_array_view *mask, const dense_box *box) {
  char shape[128];
  int64_t count = 0;
  lat_status status = lat__view_check(op, "mask", mask, &count);
  if (status) return status;
  bool same = mask->rank == 4 && mask->shape[0] == box->n_items;
  for (int axis = 0; axis < 3 && same; axis++) same = mask->shape[1 + axis] == box->extent[axis];
  if (!same) {
    return lat_fail(LAT_STATUS_INVALID_SHAPE,
                    "%s: mask must have shape (B, X, Y, Z): got %s, expected (%lld, %lld, %lld, %lld)", op,
                    lat__shape_text(mask, shape, sizeof shape), (long long)box->n_items, (long long)box->extent[0],
                    (long long)box->extent[1], (long long)box->extent[2]);
  }
  if (mask->dtype != LAT_DTYPE_U8) {
    return lat_fail(LAT_STATUS_INVALID_DTYPE, "%s: mask must be uint8: got %s, expected uint8", op,
                    lat_dtype_name(mask->dtype));
  }
  return LAT_STATUS_OK;
}

/// The set of the chosen cells.
static lat_status select_cells(lat_context *context, const char *op, const lat_array_view *dense, const dense_box *box,
                               const lat_dense_opts *opts, lat_coords **out) {
  lat_status status = LAT_STATUS_OK;
  lat_triple stride = opts->stride;
  lat_array *mask = NULL;
  int32_t *rows = NULL;
  int64_t n_rows = 0;
  if (stride.x == 0 && stride.y == 0 && stride.z == 0) stride = lat_triple_all(1);
  if (stride.x < 1 || stride.y < 1 || stride.z < 1) {
    return lat_fail(LAT_STATUS_INVALID_ARGUMENT, "%s: stride must be positive: got (%d, %d, %d), expected 1 or more",
                    op, (int)stride.x, (int)stride.y, (int)stride.z);
  }
  if (opts->mask) {
    LAT_TRY(check_mask(op, opts->mask, box), done);
    LAT_TRY(lat__view_contiguous_array(context, op, opts->mask, &mask), done);
  }
  lat__dense_cells_desc desc = {.n_items = box->n_items,
                                .batch_step = box->batch_step,
                                .channels = box->channels,
                                .channel_step = box->channel_step,
                                .dtype = dense->dtype,
                                .mask = mask ? mask->view.data : NULL,
                                .x = dense->data};
  for (int axis = 0; axis < 3; axis++) {
    desc.extent[axis] = box->extent[axis];
    desc.first[axis] = box->first[axis];
    desc.axis_step[axis] = box->axis_step[axis];
  }
  LAT_TRY(lat__backend_of(context)->dense_cells(context, &desc, &rows, &n_rows), done);
  if (n_rows > INT32_MAX) {
    lat__free(context, rows);
    status = lat_fail(LAT_STATUS_OVERFLOW, "%s: too many rows: got %lld, expected at most %lld", op, (long long)n_rows,
                      (long long)INT32_MAX);
    goto done;
  }
  LAT_TRY(lat__coords_adopt(context, op, rows, n_rows, stride, out), done);
done:
  lat_array_release(mask);
  return status;
}

lat_status lat_from_dense(lat_context *context, const lat_array_view *dense, const lat_dense_opts *opts,
                          lat_tensor **out) {
  static const char op[] = "from_dense";
  lat_status status = LAT_STATUS_OK;
  lat_dense_opts o;
  dense_box box;
  lat_array *x = NULL, *feats = NULL;
  lat_coords *coords = NULL;
  int64_t count = 0;
  if (!out) return lat_fail(LAT_STATUS_INVALID_ARGUMENT, "%s: out: got NULL, expected a place for the tensor", op);
  *out = NULL;
  LAT_TRY(check_context(op, context), done);
  LAT_TRY(lat__view_check(op, "dense", dense, &count), done);
  LAT_TRY(take_opts(op, opts, &o), done);
  LAT_TRY(box_of_array(op, dense, &o, &box), done);
  LAT_TRY(lat__view_contiguous_array(context, op, dense, &x), done);
  LAT_TRY(select_cells(context, op, &x->view, &box, &o, &coords), done);
  LAT_TRY(gather(context, op, coords->rows, coords->n_rows, &x->view, &box, LAT_DENSE_OUTSIDE_ERROR, &feats), done);
  LAT_TRY(lat__tensor_new_sized(context, op, coords, feats, box.n_items, out), done);
done:
  lat_array_release(x);
  lat_array_release(feats);
  lat_coords_release(coords);
  return status;
}

lat_status lat_from_dense_backward(lat_context *context, const lat_array_view *dense, const lat_tensor *result,
                                   const lat_array_view *grad_out, const lat_dense_opts *opts, lat_array **out) {
  static const char op[] = "from_dense_backward";
  lat_status status = LAT_STATUS_OK;
  lat_dense_opts o;
  dense_box box;
  lat_array *grad = NULL;
  int64_t count = 0;
  LAT_TRY(lat__array_op_check(op, context, out), done);
  LAT_TRY(lat__view_check(op, "dense", dense, &count), done);
  LAT_TRY(check_tensor(op, "result", result), done);
  LAT_TRY(lat__view_check(op, "grad_out", grad_out, &count), done);
  LAT_TRY(take_opts(op, opts, &o), done);
  LAT_TRY(box_of_array(op, dense, &o, &box), done);
  const int64_t shape[2] = {result->coords->n_rows, box.channels};
  LAT_TRY(check_grad(op, "the result's features", grad_out, 2, shape, dense->dtype), done);
  LAT_TRY(lat__view_contiguous_array(context, op, grad_out, &grad), done);
  LAT_TRY(scatter(context, op, result->coords, &grad->view, &box, LAT_DENSE_OUTSIDE_ERROR, out), done);
done:
  lat_array_release(grad);
  return status;
}
