// Transposed relations: with the support they generate, generative, and onto a target.

#include <string.h>

#include "backend/backend.h"
#include "coords/coords_internal.h"
#include "core/alloc.h"
#include "core/compiler.h"
#include "core/context_internal.h"
#include "relation/relation_internal.h"

const lat_kernel_opts lat__transposed_defaults = {
    .struct_bytes = sizeof(lat_kernel_opts), .kernel_size = {2, 2, 2}, .stride = {2, 2, 2}};

static lat__transposed_desc make_desc(const lat_coords *input, const lat__geometry *geometry) {
  return (lat__transposed_desc){
      .in_rows = input->rows,
      .n_in = input->n_rows,
      .kernel_size = geometry->kernel_size,
      .stride = geometry->stride,
      .padding = geometry->padding,
      .dilation = geometry->dilation,
      .n_kernels = geometry->n_kernels,
  };
}

static bool axis_overlaps(int32_t size, int32_t stride, int32_t dilation) {
  return stride <= (int64_t)(size - 1) * dilation;
}

/// True when two inputs can meet in one output.
static bool can_overlap(const lat__geometry *g) {
  return axis_overlaps(g->kernel_size.x, g->stride.x, g->dilation.x) ||
         axis_overlaps(g->kernel_size.y, g->stride.y, g->dilation.y) ||
         axis_overlaps(g->kernel_size.z, g->stride.z, g->dilation.z);
}

lat_status lat__transposed_stride(const char *op, lat_triple in, lat_triple by, lat_triple *out) {
  *out = (lat_triple){in.x / by.x, in.y / by.y, in.z / by.z};
  if (in.x % by.x == 0 && in.y % by.y == 0 && in.z % by.z == 0) return LAT_STATUS_OK;
  return lat_fail(LAT_STATUS_INVALID_ARGUMENT,
                  "%s: transpose stride must divide the input tensor stride: got (%d, %d, %d), expected divisors of "
                  "(%d, %d, %d)",
                  op, (int)by.x, (int)by.y, (int)by.z, (int)in.x, (int)in.y, (int)in.z);
}

/// The relation of `key`, cached or new, with the output set it generates.
static lat_status generate(lat_context *context, const char *op, lat_relation_kind kind, const lat__cache_key *key,
                           const lat_coords *coords, const lat__geometry *geometry, lat_relation **relation) {
  lat_status status = LAT_STATUS_OK;
  lat_relation *made = NULL;
  int32_t *rows = NULL;
  int64_t n_out = 0;
  lat_triple stride;
  lat__transposed_desc desc = make_desc(coords, geometry);
  desc.keeps_every_row = kind == LAT_RELATION_GENERATIVE || !can_overlap(geometry);
  *relation = lat__coords_cache_get(coords, key);
  if (*relation) return LAT_STATUS_OK;
  LAT_TRY(lat__transposed_stride(op, coords->stride, geometry->stride, &stride), done);
  LAT_TRY(lat__relation_new(context, op, kind, geometry, &made), done);
  LAT_TRY(lat__backend_of(context)->transposed_build(context, &desc, &rows, &n_out, &made->pairs), done);
  LAT_TRY(lat__coords_adopt(context, op, rows, n_out, stride, &made->out_coords), done);
  *relation = lat__coords_cache_put(coords, key, &lat__relation_cache_ops, made);
  made = NULL;
done:
  lat_relation_release(made);
  return status;
}

lat_status lat__relation_transposed(lat_context *context, const char *op, const lat_coords *coords,
                                    const lat__geometry *geometry, lat_relation **relation, lat_coords **out_coords) {
  lat__cache_key key = lat__relation_key(LAT__CACHE_TRANSPOSED, 0, geometry);
  *out_coords = NULL;
  lat_status status = generate(context, op, LAT_RELATION_TRANSPOSED, &key, coords, geometry, relation);
  if (!status) *out_coords = lat_coords_retain((*relation)->out_coords);
  return status;
}

lat_status lat__relation_generative(lat_context *context, const char *op, const lat_coords *coords,
                                    const lat__geometry *geometry, lat_relation **relation, lat_coords **out_coords) {
  lat__cache_key key = lat__relation_key(LAT__CACHE_GENERATIVE, 0, geometry);
  *out_coords = NULL;
  lat_status status = generate(context, op, LAT_RELATION_GENERATIVE, &key, coords, geometry, relation);
  if (!status) *out_coords = lat_coords_retain((*relation)->out_coords);
  return status;
}

lat_status lat__relation_target_transposed(lat_context *context, const char *op, const lat_coords *coords,
                                           const lat_coords *target, const lat__geometry *geometry,
                                           lat_relation **relation) {
  lat_status status = LAT_STATUS_OK;
  lat_relation *made = NULL;
  const lat__coord_index *index = NULL;
  lat__transposed_desc desc = make_desc(coords, geometry);
  lat__cache_key key = lat__relation_key(LAT__CACHE_TARGET_TRANSPOSED, target->id, geometry);
  *relation = lat__coords_cache_get(coords, &key);
  if (*relation) return LAT_STATUS_OK;
  LAT_TRY(lat__relation_new(context, op, LAT_RELATION_TARGET_TRANSPOSED, geometry, &made), done);
  LAT_TRY(lat__coords_index(coords, &index), done);
  LAT_TRY(lat__backend_of(context)->target_transposed_build(context, &desc, index, target->rows, target->n_rows,
                                                            &made->pairs),
          done);
  *relation = lat__coords_cache_put(coords, &key, &lat__relation_cache_ops, made);
  made = NULL;
done:
  lat_relation_release(made);
  return status;
}

lat_status lat_relation_create_transposed(lat_context *context, const lat_coords *input, const lat_kernel_opts *opts,
                                          lat_relation **out) {
  static const char op[] = "relation_create_transposed";
  lat_status status = LAT_STATUS_OK;
  lat__geometry geometry;
  lat_coords *out_coords = NULL;
  LAT_TRY(lat__relation_check_arguments(op, context, input, out), done);
  LAT_TRY(lat__geometry_check(op, opts, &lat__transposed_defaults, &geometry), done);
  LAT_TRY(lat__geometry_check_floor(op, &geometry), done);
  LAT_TRY(lat__relation_transposed(context, op, input, &geometry, out, &out_coords), done);
done:
  lat_coords_release(out_coords);
  return status;
}

lat_status lat__geometry_check_generative(const char *op, const lat__geometry *g) {
  if (g->padding.x == 0 && g->padding.y == 0 && g->padding.z == 0 && g->dilation.x == 1 && g->dilation.y == 1 &&
      g->dilation.z == 1) {
    return LAT_STATUS_OK;
  }
  return lat_fail(LAT_STATUS_INVALID_ARGUMENT,
                  "%s: padding and dilation must be 0 and 1: got (%d, %d, %d) and (%d, %d, %d), expected none", op,
                  (int)g->padding.x, (int)g->padding.y, (int)g->padding.z, (int)g->dilation.x, (int)g->dilation.y,
                  (int)g->dilation.z);
}

lat_status lat_relation_create_generative(lat_context *context, const lat_coords *input, const lat_kernel_opts *opts,
                                          lat_relation **out) {
  static const char op[] = "relation_create_generative";
  lat_status status = LAT_STATUS_OK;
  lat__geometry geometry;
  lat_coords *out_coords = NULL;
  LAT_TRY(lat__relation_check_arguments(op, context, input, out), done);
  LAT_TRY(lat__geometry_check(op, opts, &lat__transposed_defaults, &geometry), done);
  LAT_TRY(lat__geometry_check_floor(op, &geometry), done);
  LAT_TRY(lat__geometry_check_generative(op, &geometry), done);
  LAT_TRY(lat__relation_generative(context, op, input, &geometry, out, &out_coords), done);
done:
  lat_coords_release(out_coords);
  return status;
}

lat_status lat_relation_create_target_transposed(lat_context *context, const lat_coords *input,
                                                 const lat_coords *target, const lat_kernel_opts *opts,
                                                 lat_relation **out) {
  static const char op[] = "relation_create_target_transposed";
  lat_status status = LAT_STATUS_OK;
  lat__geometry geometry;
  LAT_TRY(lat__relation_check_arguments(op, context, input, out), done);
  if (!target) {
    status = lat_fail(LAT_STATUS_INVALID_ARGUMENT, "%s: target: got NULL, expected a coordinate set", op);
    goto done;
  }
  LAT_TRY(lat__geometry_check(op, opts, &lat__transposed_defaults, &geometry), done);
  LAT_TRY(lat__geometry_check_floor(op, &geometry), done);
  LAT_TRY(lat__relation_target_transposed(context, op, input, target, &geometry, out), done);
done:
  return status;
}
