// The alignment of two coordinate sets, as arrays.

#include <string.h>

#include "coords/alignment.h"
#include "coords/coords_internal.h"
#include "core/array_internal.h"
#include "core/compiler.h"
#include "core/context_internal.h"

static const char op[] = "sparse_align";

static lat_status check_inputs(const lat_context *context, const lat_coords *lhs, const lat_coords *rhs, lat_join join,
                               const lat_sparse_alignment *out) {
  const char *missing = !out ? "out" : !context ? "context" : !lhs ? "lhs" : !rhs ? "rhs" : NULL;
  if (missing) return lat_fail(LAT_STATUS_INVALID_ARGUMENT, "%s: %s: got NULL, expected an object", op, missing);
  if ((int)join < LAT_JOIN_DEFAULT || join > LAT_JOIN_OUTER) {
    return lat_fail(LAT_STATUS_INVALID_ARGUMENT,
                    "%s: join must be 'inner', 'left', 'right', or 'outer': got %d, expected 0 to 4", op, (int)join);
  }
  lat_triple a = lhs->stride, b = rhs->stride;
  if (a.x == b.x && a.y == b.y && a.z == b.z) return LAT_STATUS_OK;
  return lat_fail(LAT_STATUS_INVALID_ARGUMENT,
                  "%s: sparse tensor strides must match: got (%d, %d, %d), expected (%d, %d, %d)", op, (int)b.x,
                  (int)b.y, (int)b.z, (int)a.x, (int)a.y, (int)a.z);
}

/// `*out` = the row numbers of one side; `rows` NULL: row r meets row r.
static lat_status make_rows(lat_context *context, const int32_t *rows, int64_t n, lat_array **out) {
  lat_status status = lat__array_new_1d(context, op, LAT_DTYPE_I32, n, out);
  if (status) return status;
  int32_t *target = lat_array_data(*out);
  for (int64_t r = 0; r < n; r++) target[r] = rows ? rows[r] : (int32_t)r;
  return LAT_STATUS_OK;
}

lat_status lat_sparse_align(lat_context *context, const lat_coords *lhs, const lat_coords *rhs, lat_join join,
                            lat_sparse_alignment *out) {
  lat_status status = LAT_STATUS_OK;
  lat__alignment *alignment = NULL;
  lat_sparse_alignment made = {NULL, NULL, NULL};
  if (out) memset(out, 0, sizeof *out);
  LAT_TRY(check_inputs(context, lhs, rhs, join, out), done);
  if (join == LAT_JOIN_DEFAULT) join = LAT_JOIN_INNER;
  LAT_TRY(lat__alignment_of(context, op, lhs, rhs, join, &alignment), done);
  LAT_TRY(make_rows(context, alignment->lhs_rows, alignment->coords->n_rows, &made.lhs_rows), done);
  LAT_TRY(make_rows(context, alignment->rhs_rows, alignment->coords->n_rows, &made.rhs_rows), done);
  made.coords = lat_coords_retain(alignment->coords);
  *out = made;
  made = (lat_sparse_alignment){NULL, NULL, NULL};
done:
  lat__alignment_release(alignment);
  lat_array_release(made.lhs_rows);
  lat_array_release(made.rhs_rows);
  return status;
}
