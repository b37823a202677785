/// KITTI and nuScenes sweeps: raw little-endian float32 rows without any header, x y z intensity (KITTI) or
/// x y z intensity ring (nuScenes). With nothing but numbers in the file, the row length is decided from its size and,
/// where both lengths divide it, from what the columns of a lidar look like.
#include <math.h>
#include <string.h>

#include "core/compiler.h"
#include "io/cloud_internal.h"
#include "io/io_file.h"

enum { SHORT_ROW = 4, LONG_ROW = 5, PLAUSIBILITY_ROWS = 1 << 14 };

static float load_f32le(const uint8_t *at) {
  uint32_t bits = (uint32_t)at[0] | (uint32_t)at[1] << 8 | (uint32_t)at[2] << 16 | (uint32_t)at[3] << 24;
  float value;
  memcpy(&value, &bits, sizeof value);
  return value;
}

/// Whether the first rows look like rows of `row` floats: intensity is a finite number from 0 to 65535, and a fifth value
/// is the number of a laser. A wrong row length puts coordinates there, which are negative or fractional soon.
static bool plausible(const lat__io_content *content, int32_t row) {
  int64_t n_rows = content->n_bytes / (4 * row);
  if (n_rows > PLAUSIBILITY_ROWS) n_rows = PLAUSIBILITY_ROWS;
  for (int64_t i = 0; i < n_rows; i++) {
    const uint8_t *at = content->bytes + i * 4 * row;
    float intensity = load_f32le(at + 12);
    if (!(intensity >= 0.0f && intensity <= 65535.0f)) return false;
    if (row == SHORT_ROW) continue;
    float ring = load_f32le(at + 16);
    if (!(ring >= 0.0f && ring <= 1023.0f) || ring != floorf(ring)) return false;
  }
  return true;
}

/// Row length of the file, or an error that says how to give it.
static lat_status decide_row(const lat__io_content *content, int32_t *row) {
  bool can_be_short = content->n_bytes % (4 * SHORT_ROW) == 0, can_be_long = content->n_bytes % (4 * LONG_ROW) == 0;
  if (!can_be_short && !can_be_long) {
    return lat_fail(LAT_STATUS_BAD_DATA,
                    "cloud_read: %s: size does not fit rows of floats: got %lld bytes, expected a multiple of 16 "
                    "(x y z intensity) or 20 (x y z intensity ring)",
                    lat__io_path(content->path).text, (long long)content->n_bytes);
  }
  if (can_be_short && can_be_long) {
    can_be_short = plausible(content, SHORT_ROW);
    can_be_long = plausible(content, LONG_ROW);
  }
  if (can_be_short == can_be_long) {
    return lat_fail(LAT_STATUS_BAD_DATA,
                    "cloud_read: %s: rows of 4 or of 5 floats: %lld bytes fit both and the values do not decide, "
                    "expected floats_per_point to be given",
                    lat__io_path(content->path).text, (long long)content->n_bytes);
  }
  *row = can_be_long ? LONG_ROW : SHORT_ROW;
  return LAT_STATUS_OK;
}

static void copy_columns(const lat__io_content *content, int32_t row, int64_t n_points, float *positions,
                         float *const *fields) {
  for (int64_t i = 0; i < n_points; i++) {
    const uint8_t *at = content->bytes + i * 4 * row;
    for (int32_t axis = 0; axis < 3; axis++) positions[i * 3 + axis] = load_f32le(at + 4 * axis);
    for (int32_t field = 3; field < row; field++) fields[field - 3][i] = load_f32le(at + 4 * field);
  }
}

static lat_status build(lat_context *context, const lat__io_content *content, int32_t row, lat_cloud **out) {
  static const char *const names[2] = {"intensity", "ring"};
  lat_status status = LAT_STATUS_OK;
  lat_cloud *cloud = NULL;
  lat_array *positions = NULL, *fields[2] = {NULL, NULL};
  float *field_data[2] = {NULL, NULL};
  int64_t n_points = content->n_bytes / (4 * row), shape[2] = {n_points, 3};
  int32_t n_fields = row - 3;
  LAT_TRY(lat_array_full(context, LAT_DTYPE_F32, 2, shape, 0.0, &positions), done);
  for (int32_t i = 0; i < n_fields; i++) {
    LAT_TRY(lat_array_full(context, LAT_DTYPE_F32, 1, &n_points, 0.0, &fields[i]), done);
    field_data[i] = lat_array_data(fields[i]);
  }
  copy_columns(content, row, n_points, lat_array_data(positions), field_data);
  LAT_TRY(lat__cloud_share(context, positions,
                           row == SHORT_ROW ? "KITTI (4 floats a point)" : "KITTI (5 floats a point)", &cloud),
          done);
  for (int32_t i = 0; i < n_fields; i++) {
    LAT_TRY(lat__cloud_append(context, cloud, names[i], strlen(names[i]), fields[i]), done);
  }
  *out = cloud;
  cloud = NULL;
done:
  lat_cloud_release(cloud);
  lat_array_release(positions);
  for (int32_t i = 0; i < 2; i++) lat_array_release(fields[i]);
  return status;
}

lat_status lat__kitti_parse(lat_context *context, const lat__io_content *content, int32_t floats_per_point,
                            lat_cloud **out) {
  int32_t row = floats_per_point;
  if (!row) {
    lat_status status = decide_row(content, &row);
    if (status) return status;
  }
  if (content->n_bytes % (4 * row)) {
    return lat_fail(LAT_STATUS_BAD_DATA,
                    "cloud_read: %s: truncated: got %lld bytes, expected a multiple of %d (%d float32 values a point)",
                    lat__io_path(content->path).text, (long long)content->n_bytes, 4 * row, (int)row);
  }
  return build(context, content, row, out);
}
