// Kernel geometry: defaults, checks and the enumeration of offsets.

#include <string.h>

#include "core/array_internal.h"
#include "core/checked.h"
#include "core/compiler.h"
#include "core/context_internal.h"
#include "relation/relation_internal.h"

static bool all_zero(lat_triple t) {
  return t.x == 0 && t.y == 0 && t.z == 0;
}

static bool all_at_least(lat_triple t, int32_t least) {
  return t.x >= least && t.y >= least && t.z >= least;
}

static bool all_equal(lat_triple t, int32_t value) {
  return t.x == value && t.y == value && t.z == value;
}

static lat_triple pick(lat_triple given, const lat_triple *fallback, int32_t fallback_all) {
  if (!all_zero(given)) return given;
  if (fallback && !all_zero(*fallback)) return *fallback;
  return lat_triple_all(fallback_all);
}

static lat_status check_positive(const char *op, const char *name, lat_triple t) {
  if (all_at_least(t, 1)) return LAT_STATUS_OK;
  return lat_fail(LAT_STATUS_INVALID_ARGUMENT, "%s: %s values must be positive: got (%d, %d, %d), expected 1 or more",
                  op, name, (int)t.x, (int)t.y, (int)t.z);
}

bool lat__geometry_keeps_support(const lat__geometry *geometry) {
  bool still = all_equal(geometry->stride, 1) && all_zero(geometry->padding);
  return still && (geometry->support == LAT_SUPPORT_FLOOR || geometry->n_kernels == 1);
}

/// Place of the element that is tap 0.
static int32_t centre_of(int32_t size, lat_support support) {
  return support == LAT_SUPPORT_FLOOR && size % 2 ? size / 2 : 0;
}

static bool offset_fits(int32_t size, int32_t dilation, lat_support support) {
  return (int64_t)(size - 1 - centre_of(size, support)) * dilation <= INT32_MAX;
}

static lat_status check_ranges(const char *op, lat__geometry *geometry) {
  lat_triple size = geometry->kernel_size, dilation = geometry->dilation;
  lat_support support = geometry->support;
  if (!offset_fits(size.x, dilation.x, support) || !offset_fits(size.y, dilation.y, support) ||
      !offset_fits(size.z, dilation.z, support)) {
    return lat_fail(LAT_STATUS_OVERFLOW,
                    "%s: kernel offsets leave int32: got kernel_size (%d, %d, %d) with dilation (%d, %d, %d), "
                    "expected offsets below 2^31",
                    op, (int)size.x, (int)size.y, (int)size.z, (int)dilation.x, (int)dilation.y, (int)dilation.z);
  }
  if (!lat__mul_i32(size.x, size.y, &geometry->n_kernels) ||
      !lat__mul_i32(geometry->n_kernels, size.z, &geometry->n_kernels)) {
    return lat_fail(LAT_STATUS_OVERFLOW,
                    "%s: kernel volume leaves int32: got kernel_size (%d, %d, %d), expected a volume below 2^31", op,
                    (int)size.x, (int)size.y, (int)size.z);
  }
  return LAT_STATUS_OK;
}

static bool padded_fits(int32_t bound, int32_t padding) {
  return (int64_t)bound + 2 * (int64_t)padding <= INT32_MAX;
}

static lat_status check_support(const char *op, const lat__geometry *g) {
  lat_triple bounds = g->bounds, padding = g->padding;
  if (g->support != LAT_SUPPORT_FLOOR && g->support != LAT_SUPPORT_REACH) {
    return lat_fail(LAT_STATUS_INVALID_ARGUMENT, "%s: support is unknown: got %d, expected 0 (floor) or 1 (reach)", op,
                    (int)g->support);
  }
  if (all_zero(bounds)) return LAT_STATUS_OK;
  if (g->support != LAT_SUPPORT_REACH) {
    return lat_fail(LAT_STATUS_INVALID_ARGUMENT,
                    "%s: bounds without reach support: got bounds (%d, %d, %d) with support %d, expected support 1 "
                    "(reach)",
                    op, (int)bounds.x, (int)bounds.y, (int)bounds.z, (int)g->support);
  }
  lat_status status = check_positive(op, "bounds", bounds);
  if (status) return status;
  if (padded_fits(bounds.x, padding.x) && padded_fits(bounds.y, padding.y) && padded_fits(bounds.z, padding.z)) {
    return LAT_STATUS_OK;
  }
  return lat_fail(
      LAT_STATUS_OVERFLOW,
      "%s: padded bounds leave int32: got bounds (%d, %d, %d) with padding (%d, %d, %d), expected bounds + 2 "
      "* padding below 2^31",
      op, (int)bounds.x, (int)bounds.y, (int)bounds.z, (int)padding.x, (int)padding.y, (int)padding.z);
}

lat_status lat__geometry_check(const char *op, const lat_kernel_opts *opts, const lat_kernel_opts *defaults,
                               lat__geometry *out) {
  lat_kernel_opts o;
  lat_status status = lat__opts_copy(op, opts, sizeof o, &o);
  if (status) return status;
  memset(out, 0, sizeof *out);
  out->kernel_size = pick(o.kernel_size, defaults ? &defaults->kernel_size : NULL, 3);
  out->stride = pick(o.stride, defaults ? &defaults->stride : NULL, 1);
  out->padding = pick(o.padding, defaults ? &defaults->padding : NULL, 0);
  out->dilation = pick(o.dilation, defaults ? &defaults->dilation : NULL, 1);
  out->support = o.support;
  out->bounds = o.bounds;
  status = check_positive(op, "kernel_size", out->kernel_size);
  if (!status) status = check_positive(op, "stride", out->stride);
  if (!status && !all_at_least(out->padding, 0)) {
    status = lat_fail(LAT_STATUS_INVALID_ARGUMENT,
                      "%s: padding values must be non-negative: got (%d, %d, %d), expected 0 or more", op,
                      (int)out->padding.x, (int)out->padding.y, (int)out->padding.z);
  }
  if (!status) status = check_positive(op, "dilation", out->dilation);
  if (!status) status = check_support(op, out);
  if (!status) status = check_ranges(op, out);
  return status;
}

lat_status lat__geometry_check_unbounded(const char *op, const lat__geometry *geometry) {
  lat_triple bounds = geometry->bounds;
  if (all_zero(bounds)) return LAT_STATUS_OK;
  return lat_fail(LAT_STATUS_INVALID_ARGUMENT,
                  "%s: bounds must be absent where the output set is given: got (%d, %d, %d), expected (0, 0, 0)", op,
                  (int)bounds.x, (int)bounds.y, (int)bounds.z);
}

lat_status lat__geometry_check_floor(const char *op, const lat__geometry *geometry) {
  if (geometry->support == LAT_SUPPORT_FLOOR) return LAT_STATUS_OK;
  return lat_fail(LAT_STATUS_INVALID_ARGUMENT,
                  "%s: support must be floor: got %d, expected 0 (taps of a transposed geometry count from 0)", op,
                  (int)geometry->support);
}

lat_status lat__geometry_check_subm(const char *op, lat__geometry *geometry) {
  lat_triple size = geometry->kernel_size, stride = geometry->stride, padding = geometry->padding;
  if (size.x % 2 == 0 || size.y % 2 == 0 || size.z % 2 == 0) {
    return lat_fail(LAT_STATUS_INVALID_ARGUMENT,
                    "%s: %s requires odd kernel_size values: got (%d, %d, %d), expected odd values", op, op,
                    (int)size.x, (int)size.y, (int)size.z);
  }
  if (!all_equal(stride, 1)) {
    return lat_fail(LAT_STATUS_INVALID_ARGUMENT, "%s: stride must be 1: got (%d, %d, %d), expected (1, 1, 1)", op,
                    (int)stride.x, (int)stride.y, (int)stride.z);
  }
  if (!all_zero(padding)) {
    return lat_fail(LAT_STATUS_INVALID_ARGUMENT, "%s: padding must be 0: got (%d, %d, %d), expected (0, 0, 0)", op,
                    (int)padding.x, (int)padding.y, (int)padding.z);
  }
  geometry->support = LAT_SUPPORT_FLOOR;
  return lat__geometry_check_unbounded(op, geometry);
}

bool lat__geometry_pointwise(const lat__geometry *geometry) {
  return geometry->n_kernels == 1 && all_equal(geometry->stride, 1) && all_zero(geometry->padding);
}

static int32_t axis_offset(int32_t index, int32_t size, int32_t dilation, lat_support support) {
  return (index - centre_of(size, support)) * dilation;
}

void lat__geometry_offsets(const lat__geometry *geometry, int32_t *offsets) {
  lat_triple size = geometry->kernel_size, dilation = geometry->dilation;
  for (int32_t ix = 0; ix < size.x; ix++) {
    for (int32_t iy = 0; iy < size.y; iy++) {
      for (int32_t iz = 0; iz < size.z; iz++) {
        *offsets++ = axis_offset(ix, size.x, dilation.x, geometry->support);
        *offsets++ = axis_offset(iy, size.y, dilation.y, geometry->support);
        *offsets++ = axis_offset(iz, size.z, dilation.z, geometry->support);
      }
    }
  }
}

lat_status lat_kernel_offsets(lat_context *context, const lat_kernel_opts *opts, lat_array **out) {
  static const char op[] = "kernel_offsets";
  lat_status status = LAT_STATUS_OK;
  lat__geometry geometry;
  LAT_TRY(lat__array_op_check(op, context, out), done);
  LAT_TRY(lat__geometry_check(op, opts, NULL, &geometry), done);
  LAT_TRY(lat__array_new_2d(context, op, LAT_DTYPE_I32, geometry.n_kernels, 3, out), done);
  lat__geometry_offsets(&geometry, lat_array_data(*out));
done:
  return status;
}
