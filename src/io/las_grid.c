/// LAS stores positions as integers on a grid. This file chooses the grid so that reading gives the positions back.
#include <math.h>
#include <string.h>

#include "core/compiler.h"
#include "io/las.h"

enum { FINEST = 9, COARSEST = 300 }; ///< scales are 1e-9 to 1e300

double lat__las_position(const lat_array_view *positions, int64_t index) {
  if (positions->dtype == LAT_DTYPE_F64) return ((const double *)positions->data)[index];
  return (double)((const float *)positions->data)[index];
}

bool lat__las_quantize(double position, double scale, double offset, int32_t *out) {
  double steps = nearbyint((position - offset) / scale);
  if (!(steps >= INT32_MIN && steps <= INT32_MAX)) return false;
  *out = (int32_t)steps;
  return true;
}

/// Whether every position of an axis comes back to the bit, or (`exact` false) has an integer at all.
static bool grid_fits(const lat_array_view *positions, int32_t axis, double scale, double offset, bool exact) {
  for (int64_t i = 0; i < positions->shape[0]; i++) {
    double position = lat__las_position(positions, 3 * i + axis);
    int32_t steps;
    if (!lat__las_quantize(position, scale, offset, &steps)) return false;
    if (exact && (double)steps * scale + offset != position) return false;
  }
  return true;
}

/// A power of ten as its decimal text would be read: 10^-k for positive k is the nearest double to it.
static double decimal(int exponent) {
  return exponent < 0 ? 1.0 / pow(10.0, -exponent) : pow(10.0, exponent);
}

/// Smallest and largest position of an axis. Errors: INVALID_ARGUMENT.
static lat_status find_range(const lat_array_view *positions, int32_t axis, double *low, double *high) {
  *low = *high = positions->shape[0] ? lat__las_position(positions, axis) : 0.0;
  for (int64_t i = 0; i < positions->shape[0]; i++) {
    double position = lat__las_position(positions, 3 * i + axis);
    if (!isfinite(position)) {
      return lat_fail(LAT_STATUS_INVALID_ARGUMENT,
                      "cloud_write_las: positions must be finite: got %g for %c of point %lld, which LAS cannot store",
                      position, "xyz"[axis], (long long)i);
    }
    *low = fmin(*low, position);
    *high = fmax(*high, position);
  }
  return LAT_STATUS_OK;
}

/// The finest decimal grid that covers the range, for positions that are on none.
static lat_status cover(double low, double high, int32_t axis, lat__las_grid *grid) {
  double span = high - low, middle = 0.5 * low + 0.5 * high;
  int exponent = -FINEST;
  // Half of it on each side of the offset, which rounding down moves by at most 1: below 2^31 steps of 1e-9 together.
  while (exponent <= COARSEST && span > 2e9 * decimal(exponent)) exponent++;
  if (!isfinite(span) || exponent > COARSEST) {
    return lat_fail(
        LAT_STATUS_OVERFLOW,
        "cloud_write_las: positions span too much: got %c from %g to %g, expected a range that 2^32 steps of "
        "at most 1e300 cover",
        "xyz"[axis], low, high);
  }
  grid->scale[axis] = decimal(exponent);
  grid->offset[axis] = floor(middle);
  return LAT_STATUS_OK;
}

static lat_status choose_axis(const lat_array_view *positions, const lat__las_grid *known, int32_t axis,
                              lat__las_grid *grid) {
  lat_status status = LAT_STATUS_OK;
  double low, high;
  LAT_TRY(find_range(positions, axis, &low, &high), done);
  if (known->known && grid_fits(positions, axis, known->scale[axis], known->offset[axis], true)) {
    grid->scale[axis] = known->scale[axis];
    grid->offset[axis] = known->offset[axis];
    return LAT_STATUS_OK;
  }
  const double offsets[2] = {0.0, floor(low)};
  for (int exponent = 0; exponent >= -FINEST; exponent--) {
    for (int k = 0; k < 2; k++) {
      grid->scale[axis] = decimal(exponent);
      grid->offset[axis] = offsets[k];
      if (grid_fits(positions, axis, grid->scale[axis], grid->offset[axis], true)) return LAT_STATUS_OK;
    }
  }
  LAT_TRY(cover(low, high, axis, grid), done);
done:
  return status;
}

/// The caller's scale and offset: positions are rounded to it, but must not leave it.
static lat_status take_wanted(const lat_array_view *positions, const lat__las_grid *wanted, int32_t axis,
                              lat__las_grid *grid) {
  lat_status status = LAT_STATUS_OK;
  double low, high, scale = wanted->scale[axis], offset = wanted->offset[axis];
  if (!(scale > 0.0 && isfinite(scale)) || !isfinite(offset)) {
    return lat_fail(LAT_STATUS_INVALID_ARGUMENT,
                    "cloud_write_las: scale and offset of %c: got %g and %g, expected a positive finite scale (0: "
                    "chosen) and a finite offset",
                    "xyz"[axis], scale, offset);
  }
  LAT_TRY(find_range(positions, axis, &low, &high), done);
  if (!grid_fits(positions, axis, scale, offset, false)) {
    return lat_fail(
        LAT_STATUS_OVERFLOW,
        "cloud_write_las: positions leave int32: got %c from %g to %g with scale %g and offset %g, expected "
        "a coarser scale or a nearer offset",
        "xyz"[axis], low, high, scale, offset);
  }
  grid->scale[axis] = scale;
  grid->offset[axis] = offset;
done:
  return status;
}

lat_status lat__las_choose_grid(const lat_cloud *cloud, const lat__las_grid *wanted, lat__las_grid *grid) {
  lat_status status = LAT_STATUS_OK;
  lat_array_view positions = lat_cloud_positions(cloud);
  const lat__las_grid *known = lat__cloud_las_grid(cloud);
  *grid = (lat__las_grid){.known = 1, .standard_gps = known->standard_gps};
  for (int32_t axis = 0; axis < 3; axis++) {
    if (wanted->scale[axis] != 0.0) {
      LAT_TRY(take_wanted(&positions, wanted, axis, grid), done);
    } else {
      LAT_TRY(choose_axis(&positions, known, axis, grid), done);
    }
  }
done:
  return status;
}
