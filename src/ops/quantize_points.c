// Assigns points to voxels: cells of all points, then the distinct ones in the order of their first point.

#include <string.h>

#include "backend/backend.h"
#include "coords/coords_internal.h"
#include "core/alloc.h"
#include "core/array_internal.h"
#include "core/compiler.h"
#include "core/context_internal.h"
#include "ops/points_internal.h"

lat_status lat__quantization_new(lat_context *context, const char *op, const lat_coords *coords,
                                 const lat_array *inverse, const lat_array *counts, lat_quantization **out) {
  void *memory = NULL;
  lat_status status = lat__alloc_zero(context, op, 1, sizeof(lat_quantization), &memory);
  if (status) return status;
  lat_quantization *quantization = memory;
  atomic_init(&quantization->refcount, 1);
  quantization->context = lat__context_retain(context);
  quantization->coords = lat_coords_retain(coords);
  quantization->inverse_rows = lat_array_retain(inverse);
  quantization->counts = lat_array_retain(counts);
  *out = quantization;
  return LAT_STATUS_OK;
}

/// Points of each voxel.
static lat_status count_points(lat_context *context, const char *op, const lat_array *inverse, int64_t n_voxels,
                               lat_array **out) {
  lat_status status = lat__array_new_1d(context, op, LAT_DTYPE_I32, n_voxels, out);
  if (status) return status;
  const int32_t *rows = inverse->view.data;
  int32_t *counts = lat_array_data(*out);
  if (n_voxels > 0) memset(counts, 0, (size_t)n_voxels * sizeof(int32_t));
  for (int64_t p = 0; p < inverse->view.shape[0]; p++) counts[rows[p]]++;
  return LAT_STATUS_OK;
}

/// Distinct rows of the points' cells as a coordinate set of stride 1, and the row of each point.
static lat_status distinct_cells(lat_context *context, const char *op, const lat__points *points, lat_array *inverse,
                                 lat_coords **out) {
  lat_status status = LAT_STATUS_OK;
  void *cells = NULL, *unique = NULL, *rows = NULL;
  int64_t n_voxels = 0;
  LAT_TRY(lat__alloc_items(context, op, points->n, 4 * sizeof(int32_t), &cells), done);
  LAT_TRY(lat__points_cells(context, op, points, 0, points->n, LAT__CELL_FLOOR, cells, NULL), done);
  LAT_TRY(lat__alloc_items(context, op, points->n, 4 * sizeof(int32_t), &unique), done);
  LAT_TRY(lat__backend_of(context)->unique_rows(context, cells, points->n, unique, lat_array_data(inverse), &n_voxels),
          done);
  LAT_TRY(lat__alloc_items(context, op, n_voxels, 4 * sizeof(int32_t), &rows), done);
  memcpy(rows, unique, (size_t)n_voxels * 4 * sizeof(int32_t));
  status = lat__coords_adopt(context, op, rows, n_voxels, lat_triple_all(1), out);
done:
  lat__free(context, cells);
  lat__free(context, unique);
  return status;
}

lat_status lat__points_quantize(lat_context *context, const char *op, const lat__points *points,
                                lat_quantization **out) {
  lat_status status = LAT_STATUS_OK;
  lat_array *inverse = NULL, *counts = NULL;
  lat_coords *coords = NULL;
  *out = NULL;
  LAT_TRY(lat__array_new_1d(context, op, LAT_DTYPE_I32, points->n, &inverse), done);
  LAT_TRY(distinct_cells(context, op, points, inverse, &coords), done);
  LAT_TRY(count_points(context, op, inverse, coords->n_rows, &counts), done);
  LAT_TRY(lat__quantization_new(context, op, coords, inverse, counts, out), done);
done:
  lat_array_release(inverse);
  lat_array_release(counts);
  lat_coords_release(coords);
  return status;
}

lat_status lat_sparse_quantize(lat_context *context, const lat_array_view *points, const lat_voxel_grid *grid,
                               lat_quantization **out) {
  static const char op[] = "sparse_quantize";
  lat__points taken;
  if (!out) return lat_fail(LAT_STATUS_INVALID_ARGUMENT, "%s: out: got NULL, expected a place for the handle", op);
  *out = NULL;
  lat_status status = lat__points_take(context, op, points, grid, &taken);
  if (status) return status;
  return lat__points_quantize(context, op, &taken, out);
}

const lat_coords *lat_quantization_coords(const lat_quantization *quantization) {
  return quantization->coords;
}

lat_array_view lat_quantization_inverse_rows(const lat_quantization *quantization) {
  return quantization->inverse_rows->view;
}

lat_array_view lat_quantization_counts(const lat_quantization *quantization) {
  return quantization->counts->view;
}

lat_quantization *lat_quantization_retain(const lat_quantization *quantization) {
  lat_quantization *shared = (lat_quantization *)quantization; // the count of a const object may change
  if (shared) atomic_fetch_add_explicit(&shared->refcount, 1, memory_order_relaxed);
  return shared;
}

void lat_quantization_release(lat_quantization *quantization) {
  if (!quantization || atomic_fetch_sub_explicit(&quantization->refcount, 1, memory_order_acq_rel) != 1) return;
  lat_context *context = quantization->context;
  lat_coords_release(quantization->coords);
  lat_array_release(quantization->inverse_rows);
  lat_array_release(quantization->counts);
  lat__free(context, quantization);
  lat__context_release(context);
}
