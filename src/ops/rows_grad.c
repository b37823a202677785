// Gradients of operations that take rows from here to there: every source row sums the gradients of the places that took it.

#include "ops/rows_grad.h"

#include <lattice/algebra.h>

#include "core/alloc.h"
#include "core/array_internal.h"
#include "core/compiler.h"
#include "core/context_internal.h"

lat_status lat__row_places_take(lat_context *context, const char *op, const int32_t *rows, int64_t n, int64_t n_rows,
                                lat__row_places *out) {
  lat_status status = LAT_STATUS_OK;
  void *offsets = NULL, *places = NULL;
  *out = (lat__row_places){NULL, NULL};
  if (!rows) return LAT_STATUS_OK;
  LAT_TRY(lat__alloc_zero(context, op, n_rows + 1, sizeof(int64_t), &offsets), done);
  LAT_TRY(lat__alloc_items(context, op, n, sizeof(int64_t), &places), done);
  int64_t *ends = offsets, sum = 0;
  for (int64_t r = 0; r < n; r++) {
    if (rows[r] >= 0) ends[rows[r]]++;
  }
  for (int64_t row = 0; row <= n_rows; row++) {
    sum += row < n_rows ? ends[row] : 0;
    ends[row] = sum;
  }
  for (int64_t r = n - 1; r >= 0; r--) {
    if (rows[r] >= 0) ((int64_t *)places)[--ends[rows[r]]] = r;
  }
  *out = (lat__row_places){offsets, places};
  offsets = places = NULL;
done:
  lat__free(context, offsets);
  lat__free(context, places);
  return status;
}

void lat__row_places_release(lat_context *context, lat__row_places *places) {
  if (!context) return;
  lat__free(context, places->offsets);
  lat__free(context, places->places);
  *places = (lat__row_places){NULL, NULL};
}

lat_status lat__rows_copy_backward(lat_context *context, const char *op, const lat__rows_copy *copy, lat_array **out) {
  lat_status status = LAT_STATUS_OK;
  lat_array *result = NULL;
  lat__row_places places = {NULL, NULL};
  LAT_TRY(lat__row_places_take(context, op, copy->rows, copy->n, copy->n_rows, &places), done);
  LAT_TRY(lat__array_new_2d(context, op, copy->dtype, copy->n_rows, copy->channels, &result), done);
  lat__join_grad_desc desc = {.n_rows = copy->n_rows,
                              .channels = copy->channels,
                              .offsets = places.offsets,
                              .sources = places.places,
                              .op = LAT_BINARY_ADD,
                              .dtype = copy->dtype,
                              .dtype_grad = copy->grad->view.dtype,
                              .grad = copy->grad->view.data,
                              .grad_stride = copy->grad_stride,
                              .grad_first = copy->grad_first,
                              .y = lat_array_data(result)};
  LAT_TRY(lat__backend_of(context)->join_grad(context, &desc), done);
  *out = result;
  result = NULL;
done:
  lat__row_places_release(context, &places);
  lat_array_release(result);
  return status;
}
