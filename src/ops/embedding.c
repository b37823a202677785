// Embedding: rows of a table by index, and the scatter of gradients back into it.

#include "core/alloc.h"
#include "core/array_internal.h"
#include "core/compiler.h"
#include "ops/feature_internal.h"

static int64_t index_at(lat_dtype dtype, const void *data, int64_t i) {
  switch (dtype) {
  case LAT_DTYPE_I32:
    return ((const int32_t *)data)[i];
  case LAT_DTYPE_I64:
    return ((const int64_t *)data)[i];
  case LAT_DTYPE_U8:
    return ((const uint8_t *)data)[i];
  case LAT_DTYPE_U32:
    return ((const uint32_t *)data)[i];
  default:
    return ((const int16_t *)data)[i];
  }
}

static int is_integer(lat_dtype dtype) {
  return dtype == LAT_DTYPE_I32 || dtype == LAT_DTYPE_I64 || dtype == LAT_DTYPE_U8 || dtype == LAT_DTYPE_U32 ||
         dtype == LAT_DTYPE_I16;
}

/// `*rows` = the indices as int64 from lat__alloc, each in [0, n_rows).
static lat_status take_indices(lat_context *context, const char *op, const lat_array_view *indices, int64_t n_rows,
                               int64_t **rows) {
  lat_status status = LAT_STATUS_OK;
  lat_array *contiguous = NULL;
  void *memory = NULL;
  int64_t count = 0;
  char text[128];
  LAT_TRY(lat__view_check(op, "indices", indices, &count), done);
  if (indices->rank != 1) {
    status = lat_fail(LAT_STATUS_INVALID_SHAPE, "%s: indices must have shape (N,): got %s, expected rank 1", op,
                      lat__shape_text(indices, text, sizeof text));
    goto done;
  }
  if (!is_integer(indices->dtype)) {
    status = lat_fail(LAT_STATUS_INVALID_DTYPE, "%s: indices dtype: got %s, expected an integer dtype", op,
                      lat_dtype_name(indices->dtype));
    goto done;
  }
  LAT_TRY(lat__view_contiguous_array(context, op, indices, &contiguous), done);
  LAT_TRY(lat__alloc_items(context, op, count, sizeof **rows, &memory), done);
  int64_t *values = memory;
  for (int64_t i = 0; i < count; i++) {
    values[i] = index_at(indices->dtype, contiguous->view.data, i);
    if (values[i] >= 0 && values[i] < n_rows) continue;
    status = lat_fail(LAT_STATUS_INVALID_ARGUMENT, "%s: indices[%lld] is out of range: got %lld, expected 0 to %lld",
                      op, (long long)i, (long long)values[i], (long long)n_rows - 1);
    goto done;
  }
  *rows = values;
  memory = NULL;
done:
  lat__free(context, memory);
  lat_array_release(contiguous);
  return status;
}

lat_status lat_embedding_lookup(lat_context *context, const lat_array_view *indices, const lat_array_view *table,
                                lat_array **out) {
  static const char op[] = "embedding_lookup";
  lat_status status = LAT_STATUS_OK;
  lat_array *values = NULL, *result = NULL;
  int64_t *rows = NULL;
  LAT_TRY(lat__array_op_check(op, context, out), done);
  LAT_TRY(lat__feature_view(context, op, "table", table, &values), done);
  LAT_TRY(take_indices(context, op, indices, table->shape[0], &rows), done);
  LAT_TRY(lat__array_new_2d(context, op, table->dtype, indices->shape[0], table->shape[1], &result), done);
  lat__embedding_desc desc = {.n_rows = indices->shape[0],
                              .channels = table->shape[1],
                              .dtype = table->dtype,
                              .rows = rows,
                              .x = values->view.data,
                              .y = lat_array_data(result)};
  LAT_TRY(lat__backend_of(context)->embedding(context, &desc), done);
  *out = lat_array_retain(result);
done:
  if (context) lat__free(context, rows);
  lat_array_release(result);
  lat_array_release(values);
  return status;
}

/// Lists of the positions that name each row: `offsets` (n_rows + 1, zeroed) and `positions` (count), ascending.
static void sort_positions(const int64_t *rows, int64_t count, int64_t n_rows, int64_t *offsets, int64_t *positions) {
  for (int64_t i = 0; i < count; i++) offsets[rows[i]]++;
  int64_t end = 0;
  for (int64_t row = 0; row <= n_rows; row++) {
    end += row < n_rows ? offsets[row] : 0;
    offsets[row] = end;
  }
  for (int64_t i = count - 1; i >= 0; i--) positions[--offsets[rows[i]]] = i;
}

lat_status lat_embedding_backward(lat_context *context, const lat_array_view *indices, const lat_array_view *table,
                                  const lat_array_view *grad_out, lat_array **grad_table) {
  static const char op[] = "embedding_backward";
  lat_status status = LAT_STATUS_OK;
  lat_array *values = NULL, *grad = NULL, *result = NULL;
  int64_t *rows = NULL;
  void *offsets = NULL, *positions = NULL;
  LAT_TRY(lat__array_op_check(op, context, grad_table), done);
  LAT_TRY(lat__feature_view(context, op, "table", table, &values), done);
  int64_t n_rows = table->shape[0], channels = table->shape[1];
  LAT_TRY(take_indices(context, op, indices, n_rows, &rows), done);
  int64_t count = indices->shape[0];
  LAT_TRY(lat__grad_view(context, op, grad_out, count, channels, &grad), done);
  LAT_TRY(lat__alloc_zero(context, op, n_rows + 1, sizeof(int64_t), &offsets), done);
  LAT_TRY(lat__alloc_items(context, op, count, sizeof(int64_t), &positions), done);
  sort_positions(rows, count, n_rows, offsets, positions);
  LAT_TRY(lat__array_new_2d(context, op, table->dtype, n_rows, channels, &result), done);
  lat__row_sums_desc desc = {.n_rows = n_rows,
                             .channels = channels,
                             .dtype_in = grad->view.dtype,
                             .dtype_out = table->dtype,
                             .offsets = offsets,
                             .sources = positions,
                             .x = grad->view.data,
                             .y = lat_array_data(result)};
  LAT_TRY(lat__backend_of(context)->row_sums(context, &desc), done);
  *grad_table = lat_array_retain(result);
done:
  if (context) {
    lat__free(context, positions);
    lat__free(context, offsets);
    lat__free(context, rows);
  }
  lat_array_release(result);
  lat_array_release(grad);
  lat_array_release(values);
  return status;
}
