// Target sets from rows: the third form of a target beside a tensor's set and a set that the caller has.

#include "coords/coords_internal.h"
#include "core/array_internal.h"
#include "core/compiler.h"
#include "core/context_internal.h"
#include "relation/relation_internal.h"

static lat_status target_stride(const char *op, const lat_coords *input, lat_relation_kind kind,
                                const lat_kernel_opts *opts, lat_triple *stride) {
  lat_status status = LAT_STATUS_OK;
  lat__geometry geometry;
  bool transposed = kind == LAT_RELATION_TARGET_TRANSPOSED;
  if (!transposed && kind != LAT_RELATION_TARGET) {
    return lat_fail(LAT_STATUS_INVALID_ARGUMENT,
                    "%s: kind has no target: got %d, expected %d (target) or %d (target "
                    "transposed)",
                    op, (int)kind, (int)LAT_RELATION_TARGET, (int)LAT_RELATION_TARGET_TRANSPOSED);
  }
  LAT_TRY(lat__geometry_check(op, opts, transposed ? &lat__transposed_defaults : NULL, &geometry), done);
  if (transposed) {
    LAT_TRY(lat__transposed_stride(op, input->stride, geometry.stride, stride), done);
  } else {
    LAT_TRY(lat__coords_coarser_stride(op, input->stride, geometry.stride, stride), done);
  }
done:
  return status;
}

lat_status lat_target_coords_create(lat_context *context, const lat_coords *input, const lat_array_view *rows,
                                    lat_relation_kind kind, const lat_kernel_opts *opts, lat_coords **out) {
  static const char op[] = "target_coords_create";
  lat_status status = LAT_STATUS_OK;
  lat_triple stride;
  int32_t *own_rows = NULL;
  if (!out) return lat_fail(LAT_STATUS_INVALID_ARGUMENT, "%s: out: got NULL, expected a place for the handle", op);
  *out = NULL;
  if (!context) return lat_fail(LAT_STATUS_INVALID_ARGUMENT, "%s: context: got NULL, expected a context", op);
  if (!input) return lat_fail(LAT_STATUS_INVALID_ARGUMENT, "%s: input: got NULL, expected a coordinate set", op);
  LAT_TRY(target_stride(op, input, kind, opts, &stride), done);
  LAT_TRY(lat__coords_take_rows(context, op, "rows", rows, &own_rows), done);
  LAT_TRY(lat__coords_adopt(context, op, own_rows, rows->shape[0], stride, out), done);
done:
  return status;
}
