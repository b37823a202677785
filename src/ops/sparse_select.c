// Rows of a sparse tensor chosen by number, mask or box, features matched to other rows, and the gradients of these.

#include <string.h>

#include <lattice/algebra.h>

#include "backend/backend.h"
#include "coords/coords_internal.h"
#include "coords/tensor_internal.h"
#include "core/alloc.h"
#include "core/array_internal.h"
#include "core/checked.h"
#include "core/compiler.h"
#include "core/context_internal.h"
#include "ops/feature_internal.h"
#include "ops/rows_grad.h"

// --- check_inputs -----------------------------------------------------------------------------------------------------

/// `*out` = an int32 view of rank 1 as a contiguous array.
static lat_status take_rows(lat_context *context, const char *op, const lat_array_view *rows, lat_array **out) {
  char shape[128];
  int64_t count = 0;
  lat_status status = lat__view_check(op, "rows", rows, &count);
  if (status) return status;
  if (rows->dtype != LAT_DTYPE_I32) {
    return lat_fail(LAT_STATUS_INVALID_DTYPE, "%s: rows must be int32: got %s, expected int32", op,
                    lat_dtype_name(rows->dtype));
  }
  if (rows->rank != 1) {
    return lat_fail(LAT_STATUS_INVALID_SHAPE, "%s: rows must have shape (N,): got %s, expected rank 1", op,
                    lat__shape_text(rows, shape, sizeof shape));
  }
  status = lat__rows_check(op, "rows", rows->shape[0]);
  return status ? status : lat__view_contiguous_array(context, op, rows, out);
}

/// Checks that every entry is below `n_rows` and, unless a fill stands for it, not negative.
static lat_status check_range(const char *op, const int32_t *rows, int64_t n, int64_t n_rows, bool allows_negative) {
  for (int64_t r = 0; r < n; r++) {
    if (rows[r] < n_rows && (allows_negative || rows[r] >= 0)) continue;
    return lat_fail(LAT_STATUS_INVALID_ARGUMENT,
                    "%s: rows must index active sparse rows: got %d at entry %lld, expected %s to "
                    "%lld",
                    op, (int)rows[r], (long long)r, allows_negative ? "-1" : "0", (long long)(n_rows - 1));
  }
  return LAT_STATUS_OK;
}

// --- gathering --------------------------------------------------------------------------------------------------------

/// y[r] = x[rows[r]] with rows of `fill` (rounded to the dtype) where rows[r] is negative. `rows` are in range.
static lat_status gather(lat_context *context, const char *op, const lat_array_view *x, const int32_t *rows, int64_t n,
                         double fill, lat_array **out) {
  lat_status status = LAT_STATUS_OK;
  const int64_t channels = x->shape[1];
  const size_t item = lat_dtype_bytes(x->dtype);
  LAT_TRY(lat__array_new_2d(context, op, x->dtype, n, channels, out), done);
  lat__gather_desc desc = {
      .n_rows = n, .row_bytes = channels * (int64_t)item, .rows = rows, .x = x->data, .y = lat_array_data(*out)};
  LAT_TRY(lat__backend_of(context)->gather(context, &desc), done);
  if (fill != 0.0) {
    for (int64_t r = 0; r < n; r++) {
      if (rows[r] >= 0) continue;
      for (int64_t c = 0; c < channels; c++) lat__float_store(x->dtype, desc.y, r * channels + c, (float)fill);
    }
  }
done:
  if (status) {
    lat_array_release(*out);
    *out = NULL;
  }
  return status;
}

/// Checks features and rows of a gather and opens them; release both whatever comes back.
static lat_status open_gather(lat_context *context, const char *op, const lat_array_view *features,
                              const lat_array_view *rows, lat_array **x, lat_array **taken) {
  lat_status status = LAT_STATUS_OK;
  int64_t count = 0;
  char shape[128];
  LAT_TRY(lat__view_check(op, "features", features, &count), done);
  if (features->rank != 2 || !lat__dtype_is_feature(features->dtype)) {
    bool shape_is_wrong = features->rank != 2;
    status =
        lat_fail(shape_is_wrong ? LAT_STATUS_INVALID_SHAPE : LAT_STATUS_INVALID_DTYPE,
                 "%s: features must be (N, C) floats: got %s of %s, expected rank 2 of float32, float16 or bfloat16",
                 op, lat__shape_text(features, shape, sizeof shape), lat_dtype_name(features->dtype));
    goto done;
  }
  LAT_TRY(lat__rows_check(op, "features", features->shape[0]), done);
  LAT_TRY(take_rows(context, op, rows, taken), done);
  LAT_TRY(check_range(op, (*taken)->view.data, rows->shape[0], features->shape[0], true), done);
  LAT_TRY(lat__view_contiguous_array(context, op, features, x), done);
done:
  return status;
}

lat_status lat_gather_aligned_features(lat_context *context, const lat_array_view *features, const lat_array_view *rows,
                                       double fill, lat_array **out) {
  static const char op[] = "gather_aligned_features";
  lat_status status = LAT_STATUS_OK;
  lat_array *x = NULL, *taken = NULL;
  LAT_TRY(lat__array_op_check(op, context, out), done);
  LAT_TRY(open_gather(context, op, features, rows, &x, &taken), done);
  LAT_TRY(gather(context, op, &x->view, taken->view.data, rows->shape[0], fill, out), done);
done:
  lat_array_release(x);
  lat_array_release(taken);
  return status;
}

/// Gradient of n_rows feature rows like `x`, of which `rows` (n) were taken, from a caller's gradient of these.
static lat_status gather_backward(lat_context *context, const char *op, const lat_array_view *x, const int32_t *rows,
                                  int64_t n, const lat_array_view *grad_out, lat_array **out) {
  lat_status status = LAT_STATUS_OK;
  lat_array *grad = NULL;
  int64_t channels = x->shape[1];
  LAT_TRY(lat__grad_view(context, op, grad_out, n, channels, &grad), done);
  lat__rows_copy copy = {rows, n, x->shape[0], channels, x->dtype, grad, channels, 0};
  LAT_TRY(lat__rows_copy_backward(context, op, &copy, out), done);
done:
  lat_array_release(grad);
  return status;
}

lat_status lat_gather_aligned_features_backward(lat_context *context, const lat_array_view *features,
                                                const lat_array_view *rows, const lat_array_view *grad_out,
                                                lat_array **out) {
  static const char op[] = "gather_aligned_features_backward";
  lat_status status = LAT_STATUS_OK;
  lat_array *x = NULL, *taken = NULL;
  LAT_TRY(lat__array_op_check(op, context, out), done);
  LAT_TRY(open_gather(context, op, features, rows, &x, &taken), done);
  LAT_TRY(gather_backward(context, op, &x->view, taken->view.data, rows->shape[0], grad_out, out), done);
done:
  lat_array_release(x);
  lat_array_release(taken);
  return status;
}

static lat_status check_strides(const char *op, const lat_tensor *input, const lat_tensor *target) {
  lat_triple a = input->coords->stride, b = target->coords->stride;
  if (a.x == b.x && a.y == b.y && a.z == b.z) return LAT_STATUS_OK;
  return lat_fail(LAT_STATUS_INVALID_ARGUMENT,
                  "%s: sparse tensor strides must match: got (%d, %d, %d), expected (%d, %d, %d)", op, (int)a.x,
                  (int)a.y, (int)a.z, (int)b.x, (int)b.y, (int)b.z);
}

/// Row of `input` for each row of `target`, or -1, from lat__alloc.
static lat_status match_rows(lat_context *context, const char *op, const lat_tensor *input, const lat_tensor *target,
                             int32_t **out) {
  const lat_coords *coords = target->coords;
  void *rows = NULL;
  lat_status status = lat__alloc_items(context, op, coords->n_rows, sizeof(int32_t), &rows);
  *out = rows;
  return status ? status : lat__coords_lookup(context, input->coords, coords->rows, coords->n_rows, rows);
}

lat_status lat_reindex_sparse(lat_context *context, const lat_tensor *input, const lat_tensor *target, double fill,
                              lat_tensor **out) {
  static const char op[] = "reindex_sparse";
  lat_status status = LAT_STATUS_OK;
  int32_t *rows = NULL;
  lat_array *feats = NULL;
  LAT_TRY(lat__op_check(op, context, "input", input, out), done);
  LAT_TRY(lat__op_check(op, context, "target", target, out), done);
  LAT_TRY(check_strides(op, input, target), done);
  if (input->coords == target->coords) {
    LAT_TRY(lat__tensor_new(context, op, target->coords, input->feats, target, out), done);
    goto done;
  }
  LAT_TRY(match_rows(context, op, input, target, &rows), done);
  LAT_TRY(gather(context, op, &input->feats->view, rows, target->coords->n_rows, fill, &feats), done);
  LAT_TRY(lat__tensor_new(context, op, target->coords, feats, target, out), done);
done:
  if (context) lat__free(context, rows);
  lat_array_release(feats);
  return status;
}

lat_status lat_reindex_sparse_backward(lat_context *context, const lat_tensor *input, const lat_tensor *target,
                                       const lat_array_view *grad_out, lat_array **out) {
  static const char op[] = "reindex_sparse_backward";
  lat_status status = LAT_STATUS_OK;
  int32_t *rows = NULL;
  LAT_TRY(lat__array_op_check(op, context, out), done);
  LAT_TRY(lat__tensor_check(op, "input", input), done);
  LAT_TRY(lat__tensor_check(op, "target", target), done);
  LAT_TRY(check_strides(op, input, target), done);
  if (input->coords != target->coords) LAT_TRY(match_rows(context, op, input, target, &rows), done);
  LAT_TRY(gather_backward(context, op, &input->feats->view, rows, target->coords->n_rows, grad_out, out), done);
done:
  if (context) lat__free(context, rows);
  return status;
}

// --- selecting --------------------------------------------------------------------------------------------------------

/// What x declares about batches, for the chosen rows: counts are counted again, a size alone carries over.
static lat_status redeclare(lat_context *context, const char *op, const lat_tensor *x, lat_tensor *chosen) {
  void *counts = NULL;
  chosen->batch_size = x->batch_size;
  if (!x->batch_counts) return LAT_STATUS_OK;
  lat_status status = lat__alloc_zero(context, op, x->batch_size, sizeof(int64_t), &counts);
  if (status) return status;
  // Rows of a tensor with declared counts have batch indices within them.
  for (int64_t r = 0; r < chosen->coords->n_rows; r++) ((int64_t *)counts)[chosen->coords->rows[4 * r]]++;
  chosen->batch_counts = counts; // freed through the same context
  return LAT_STATUS_OK;
}

/// The given rows of x (in range) on a new set.
static lat_status select_rows(lat_context *context, const char *op, const lat_tensor *x, const int32_t *rows, int64_t n,
                              lat_tensor **out) {
  lat_status status = LAT_STATUS_OK;
  void *chosen_rows = NULL;
  lat_coords *coords = NULL;
  lat_array *feats = NULL;
  LAT_TRY(lat__alloc_items(context, op, n, 4 * sizeof(int32_t), &chosen_rows), done);
  for (int64_t r = 0; r < n; r++) {
    memcpy((int32_t *)chosen_rows + 4 * r, x->coords->rows + 4 * (int64_t)rows[r], 4 * sizeof(int32_t));
  }
  int32_t *taken = chosen_rows;
  chosen_rows = NULL; // taken, also on failure
  LAT_TRY(lat__coords_adopt(context, op, taken, n, x->coords->stride, &coords), done);
  LAT_TRY(gather(context, op, &x->feats->view, rows, n, 0.0, &feats), done);
  LAT_TRY(lat__tensor_new(context, op, coords, feats, NULL, out), done);
  status = redeclare(context, op, x, *out);
  if (status) {
    lat_tensor_release(*out);
    *out = NULL;
  }
done:
  lat__free(context, chosen_rows);
  lat_coords_release(coords);
  lat_array_release(feats);
  return status;
}

lat_status lat_prune(lat_context *context, const lat_tensor *x, const lat_array_view *rows, lat_tensor **out) {
  static const char op[] = "prune";
  lat_status status = LAT_STATUS_OK;
  lat_array *taken = NULL;
  LAT_TRY(lat__op_check(op, context, "x", x, out), done);
  LAT_TRY(take_rows(context, op, rows, &taken), done);
  LAT_TRY(check_range(op, taken->view.data, rows->shape[0], x->coords->n_rows, false), done);
  LAT_TRY(select_rows(context, op, x, taken->view.data, rows->shape[0], out), done);
done:
  lat_array_release(taken);
  return status;
}

lat_status lat_prune_backward(lat_context *context, const lat_tensor *x, const lat_array_view *rows,
                              const lat_array_view *grad_out, lat_array **out) {
  static const char op[] = "prune_backward";
  lat_status status = LAT_STATUS_OK;
  lat_array *taken = NULL;
  LAT_TRY(lat__array_op_check(op, context, out), done);
  LAT_TRY(lat__tensor_check(op, "x", x), done);
  LAT_TRY(take_rows(context, op, rows, &taken), done);
  LAT_TRY(check_range(op, taken->view.data, rows->shape[0], x->coords->n_rows, false), done);
  LAT_TRY(gather_backward(context, op, &x->feats->view, taken->view.data, rows->shape[0], grad_out, out), done);
done:
  lat_array_release(taken);
  return status;
}

/// `*out` = the n rows of x that a mask names, from lat__alloc.
static lat_status rows_of_mask(lat_context *context, const char *op, const lat_tensor *x, const lat_array_view *mask,
                               int32_t **out, int64_t *n) {
  void *rows = NULL;
  int64_t count = 0;
  char shape[128];
  lat_status status = lat__view_check(op, "mask", mask, &count);
  if (status) return status;
  if (mask->dtype != LAT_DTYPE_U8) {
    return lat_fail(LAT_STATUS_INVALID_DTYPE, "%s: mask must be boolean: got %s, expected uint8", op,
                    lat_dtype_name(mask->dtype));
  }
  if (mask->rank != 1 || mask->shape[0] != x->coords->n_rows) {
    return lat_fail(LAT_STATUS_INVALID_SHAPE,
                    "%s: mask must match the sparse tensor capacity: got %s, expected (%lld,)", op,
                    lat__shape_text(mask, shape, sizeof shape), (long long)x->coords->n_rows);
  }
  status = lat__alloc_items(context, op, count, sizeof(int32_t), &rows);
  if (status) return status;
  *out = rows;
  *n = 0;
  for (int64_t r = 0; r < count; r++) {
    if (((const uint8_t *)mask->data)[r * mask->stride[0]]) (*out)[(*n)++] = (int32_t)r;
  }
  return LAT_STATUS_OK;
}

lat_status lat_prune_mask(lat_context *context, const lat_tensor *x, const lat_array_view *mask, lat_tensor **out) {
  static const char op[] = "prune_mask";
  lat_status status = LAT_STATUS_OK;
  int32_t *rows = NULL;
  int64_t n = 0;
  LAT_TRY(lat__op_check(op, context, "x", x, out), done);
  LAT_TRY(rows_of_mask(context, op, x, mask, &rows, &n), done);
  LAT_TRY(select_rows(context, op, x, rows, n, out), done);
done:
  if (context) lat__free(context, rows);
  return status;
}

lat_status lat_prune_mask_backward(lat_context *context, const lat_tensor *x, const lat_array_view *mask,
                                   const lat_array_view *grad_out, lat_array **out) {
  static const char op[] = "prune_mask_backward";
  lat_status status = LAT_STATUS_OK;
  int32_t *rows = NULL;
  int64_t n = 0;
  LAT_TRY(lat__array_op_check(op, context, out), done);
  LAT_TRY(lat__tensor_check(op, "x", x), done);
  LAT_TRY(rows_of_mask(context, op, x, mask, &rows, &n), done);
  LAT_TRY(gather_backward(context, op, &x->feats->view, rows, n, grad_out, out), done);
done:
  if (context) lat__free(context, rows);
  return status;
}

/// `*out` = the n rows of x inside a box, from lat__alloc.
static lat_status rows_of_box(lat_context *context, const char *op, const lat_tensor *x, lat_triple min_coord,
                              lat_triple max_coord, int32_t **out, int64_t *n) {
  void *rows = NULL;
  if (min_coord.x > max_coord.x || min_coord.y > max_coord.y || min_coord.z > max_coord.z) {
    return lat_fail(LAT_STATUS_INVALID_ARGUMENT,
                    "%s: min_coord must not exceed max_coord: got (%d, %d, %d) and (%d, %d, %d), expected a box", op,
                    (int)min_coord.x, (int)min_coord.y, (int)min_coord.z, (int)max_coord.x, (int)max_coord.y,
                    (int)max_coord.z);
  }
  lat_status status = lat__alloc_items(context, op, x->coords->n_rows, sizeof(int32_t), &rows);
  if (status) return status;
  *out = rows;
  *n = 0;
  for (int64_t r = 0; r < x->coords->n_rows; r++) {
    const int32_t *row = x->coords->rows + 4 * r;
    if (row[1] < min_coord.x || row[2] < min_coord.y || row[3] < min_coord.z) continue;
    if (row[1] > max_coord.x || row[2] > max_coord.y || row[3] > max_coord.z) continue;
    (*out)[(*n)++] = (int32_t)r;
  }
  return LAT_STATUS_OK;
}

lat_status lat_crop(lat_context *context, const lat_tensor *x, lat_triple min_coord, lat_triple max_coord,
                    lat_tensor **out) {
  static const char op[] = "crop";
  lat_status status = LAT_STATUS_OK;
  int32_t *rows = NULL;
  int64_t n = 0;
  LAT_TRY(lat__op_check(op, context, "x", x, out), done);
  LAT_TRY(rows_of_box(context, op, x, min_coord, max_coord, &rows, &n), done);
  LAT_TRY(select_rows(context, op, x, rows, n, out), done);
done:
  if (context) lat__free(context, rows);
  return status;
}

lat_status lat_crop_backward(lat_context *context, const lat_tensor *x, lat_triple min_coord, lat_triple max_coord,
                             const lat_array_view *grad_out, lat_array **out) {
  static const char op[] = "crop_backward";
  lat_status status = LAT_STATUS_OK;
  int32_t *rows = NULL;
  int64_t n = 0;
  LAT_TRY(lat__array_op_check(op, context, out), done);
  LAT_TRY(lat__tensor_check(op, "x", x), done);
  LAT_TRY(rows_of_box(context, op, x, min_coord, max_coord, &rows, &n), done);
  LAT_TRY(gather_backward(context, op, &x->feats->view, rows, n, grad_out, out), done);
done:
  if (context) lat__free(context, rows);
  return status;
}
