// Octree steps: parents with occupancy masks, and children back from masks or indices.
//
// Child c of a parent p is 2 p + (c & 1, c >> 1 & 1, c >> 2 & 1); a mask has bit c set where child c exists.

#include <string.h>

#include "coords/coords_internal.h"
#include "core/alloc.h"
#include "core/array_internal.h"
#include "core/checked.h"
#include "core/compiler.h"
#include "core/context_internal.h"

#define N_CHILDREN 8

static lat_status check_handles(const char *op, const lat_context *context, const lat_coords *coords, const void *out) {
  if (!out) return lat_fail(LAT_STATUS_INVALID_ARGUMENT, "%s: out: got NULL, expected a place for the result", op);
  if (!context) return lat_fail(LAT_STATUS_INVALID_ARGUMENT, "%s: context: got NULL, expected a context", op);
  if (!coords) return lat_fail(LAT_STATUS_INVALID_ARGUMENT, "%s: coords: got NULL, expected a coordinate set", op);
  return LAT_STATUS_OK;
}

lat_status lat_occupancy_downsample(lat_context *context, const lat_coords *coords, lat_coords **out_parents,
                                    lat_array **out_occupancy) {
  static const char op[] = "occupancy_downsample";
  lat_status status = LAT_STATUS_OK;
  lat_coords *parents = NULL;
  lat_array *occupancy = NULL;
  void *halves = NULL, *parent_rows = NULL;
  if (out_parents) *out_parents = NULL;
  if (out_occupancy) *out_occupancy = NULL;
  LAT_TRY(check_handles(op, context, coords, out_parents ? (void *)out_occupancy : NULL), done);
  LAT_TRY(lat__coords_downsample(context, op, coords, lat_triple_all(2), &parents), done);
  LAT_TRY(lat__array_new_1d(context, op, LAT_DTYPE_I32, parents->n_rows, &occupancy), done);
  LAT_TRY(lat__alloc_items(context, op, coords->n_rows, 4 * sizeof(int32_t), &halves), done);
  LAT_TRY(lat__alloc_items(context, op, coords->n_rows, sizeof(int32_t), &parent_rows), done);
  int32_t *half = halves;
  for (int64_t r = 0; r < coords->n_rows; r++) {
    half[4 * r] = coords->rows[4 * r];
    for (int axis = 1; axis < 4; axis++) half[4 * r + axis] = lat__floor_div_i32(coords->rows[4 * r + axis], 2);
  }
  LAT_TRY(lat__coords_lookup(context, parents, half, coords->n_rows, parent_rows), done);
  int32_t *masks = lat_array_data(occupancy);
  memset(masks, 0, (size_t)parents->n_rows * sizeof *masks);
  for (int64_t r = 0; r < coords->n_rows; r++) {
    const int32_t *row = coords->rows + 4 * r;
    int child = (row[1] & 1) + 2 * (row[2] & 1) + 4 * (row[3] & 1);
    masks[((const int32_t *)parent_rows)[r]] |= 1 << child;
  }
  *out_parents = parents;
  *out_occupancy = occupancy;
  parents = NULL;
  occupancy = NULL;
done:
  lat__free(context, parent_rows);
  lat__free(context, halves);
  lat_array_release(occupancy);
  lat_coords_release(parents);
  return status;
}

static lat_status half_stride(const char *op, lat_triple stride, lat_triple *out) {
  *out = (lat_triple){stride.x / 2, stride.y / 2, stride.z / 2};
  if (stride.x % 2 == 0 && stride.y % 2 == 0 && stride.z % 2 == 0) return LAT_STATUS_OK;
  return lat_fail(LAT_STATUS_INVALID_ARGUMENT,
                  "%s: 2 must divide the parents' stride: got (%d, %d, %d), expected even values", op, (int)stride.x,
                  (int)stride.y, (int)stride.z);
}

/// child = 2 * parent + bits(c); false when it leaves int32.
static bool child_row(const int32_t *parent, int32_t c, int32_t *child) {
  child[0] = parent[0];
  for (int axis = 0; axis < 3; axis++) {
    int64_t value = 2 * (int64_t)parent[1 + axis] + (c >> axis & 1);
    if (value < INT32_MIN || value > INT32_MAX) return false;
    child[1 + axis] = (int32_t)value;
  }
  return true;
}

static lat_status fail_child(const char *op, const lat_coords *parents, int64_t row) {
  const int32_t *p = parents->rows + 4 * row;
  return lat_fail(LAT_STATUS_OVERFLOW,
                  "%s: a child leaves int32: got parent (%d, %d, %d) at row %lld, expected -2^30 to 2^30 - 1", op,
                  (int)p[1], (int)p[2], (int)p[3], (long long)row);
}

/// `*out` = an `(N,)` int32 argument as a contiguous array, N the number of parents.
static lat_status take_indices(lat_context *context, const char *op, const char *name, const lat_coords *parents,
                               const lat_array_view *view, lat_array **out) {
  char shape[128];
  int64_t count = 0;
  lat_status status = lat__view_check(op, name, view, &count);
  if (status) return status;
  if (view->dtype != LAT_DTYPE_I32) {
    return lat_fail(LAT_STATUS_INVALID_DTYPE, "%s: %s must be int32: got %s, expected int32", op, name,
                    lat_dtype_name(view->dtype));
  }
  if (view->rank != 1 || view->shape[0] != parents->n_rows) {
    return lat_fail(LAT_STATUS_INVALID_SHAPE, "%s: %s must have one entry for each parent: got %s, expected (%lld,)",
                    op, name, lat__shape_text(view, shape, sizeof shape), (long long)parents->n_rows);
  }
  return lat__view_contiguous_array(context, op, view, out);
}

static int64_t count_children(const int32_t *masks, int64_t n) {
  int64_t total = 0;
  for (int64_t r = 0; r < n; r++) total += __builtin_popcount((unsigned)masks[r] & 0xFFu);
  return total;
}

/// Room for the result of expanding.
typedef struct expansion {
  int32_t *rows; ///< (n_children, 4), from lat__alloc
  lat_array *parent_rows;
  lat_array *child_indices;
} expansion;

static lat_status expand_rows(const char *op, const lat_coords *parents, const int32_t *masks, expansion *result) {
  int32_t *parent_rows = lat_array_data(result->parent_rows), *indices = lat_array_data(result->child_indices);
  int64_t at = 0;
  for (int64_t r = 0; r < parents->n_rows; r++) {
    for (int32_t c = 0; c < N_CHILDREN; c++) {
      if (!(masks[r] >> c & 1)) continue;
      if (!child_row(parents->rows + 4 * r, c, result->rows + 4 * at)) return fail_child(op, parents, r);
      parent_rows[at] = (int32_t)r;
      indices[at] = c;
      at++;
    }
  }
  return LAT_STATUS_OK;
}

lat_status lat_occupancy_expand(lat_context *context, const lat_coords *parents, const lat_array_view *occupancy,
                                lat_coords **out_children, lat_array **out_parent_rows, lat_array **out_child_indices) {
  static const char op[] = "occupancy_expand";
  lat_status status = LAT_STATUS_OK;
  lat_array *masks = NULL;
  expansion result = {NULL, NULL, NULL};
  lat_triple stride;
  void *rows = NULL;
  if (out_children) *out_children = NULL;
  if (out_parent_rows) *out_parent_rows = NULL;
  if (out_child_indices) *out_child_indices = NULL;
  LAT_TRY(check_handles(op, context, parents, out_children), done);
  LAT_TRY(half_stride(op, parents->stride, &stride), done);
  LAT_TRY(take_indices(context, op, "occupancy", parents, occupancy, &masks), done);
  const int64_t n = count_children(masks->view.data, parents->n_rows);
  if (n > INT32_MAX) {
    status = lat_fail(LAT_STATUS_OVERFLOW, "%s: too many children: got %lld, expected at most %lld", op, (long long)n,
                      (long long)INT32_MAX);
    goto done;
  }
  LAT_TRY(lat__alloc_items(context, op, n, 4 * sizeof(int32_t), &rows), done);
  LAT_TRY(lat__array_new_1d(context, op, LAT_DTYPE_I32, n, &result.parent_rows), done);
  LAT_TRY(lat__array_new_1d(context, op, LAT_DTYPE_I32, n, &result.child_indices), done);
  result.rows = rows;
  LAT_TRY(expand_rows(op, parents, masks->view.data, &result), done);
  rows = NULL; // taken below, also on failure
  LAT_TRY(lat__coords_adopt(context, op, result.rows, n, stride, out_children), done);
  if (out_parent_rows) *out_parent_rows = lat_array_retain(result.parent_rows);
  if (out_child_indices) *out_child_indices = lat_array_retain(result.child_indices);
done:
  lat__free(context, rows);
  lat_array_release(result.parent_rows);
  lat_array_release(result.child_indices);
  lat_array_release(masks);
  return status;
}

lat_status lat_child_coords(lat_context *context, const lat_coords *parents, const lat_array_view *child_indices,
                            lat_coords **out) {
  static const char op[] = "child_coords";
  lat_status status = LAT_STATUS_OK;
  lat_array *indices = NULL;
  lat_triple stride;
  void *rows = NULL;
  if (out) *out = NULL;
  LAT_TRY(check_handles(op, context, parents, out), done);
  LAT_TRY(half_stride(op, parents->stride, &stride), done);
  LAT_TRY(take_indices(context, op, "child_indices", parents, child_indices, &indices), done);
  LAT_TRY(lat__alloc_items(context, op, parents->n_rows, 4 * sizeof(int32_t), &rows), done);
  for (int64_t r = 0; r < parents->n_rows; r++) {
    int32_t c = ((const int32_t *)indices->view.data)[r] & (N_CHILDREN - 1);
    if (child_row(parents->rows + 4 * r, c, (int32_t *)rows + 4 * r)) continue;
    status = fail_child(op, parents, r);
    goto done;
  }
  int32_t *taken = rows;
  rows = NULL; // taken, also on failure
  LAT_TRY(lat__coords_adopt(context, op, taken, parents->n_rows, stride, out), done);
done:
  lat__free(context, rows);
  lat_array_release(indices);
  return status;
}
