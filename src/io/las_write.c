/// Writes clouds as LAS 1.4: a plan (which field goes where, the smallest point format that holds them, the grid of the
/// positions), then header, description of extra values, points. The bytes depend on the cloud alone: no date, no version.
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "core/compiler.h"
#include "io/las.h"

static const char op[] = "cloud_write_las";

enum { MOST_RECORD_BYTES = 67 + 8 * LAT__LAS_MOST_EXTRA };

/// What goes where. Indices are of the cloud's fields, -1: none.
typedef struct las_plan {
  const lat_cloud *cloud;
  lat__las_grid grid;
  bool is_new; ///< formats 6 to 8
  int32_t format;
  int32_t record_bytes;
  int32_t values[LAT__LAS_VALUES];
  int32_t gps, colours[3], nir;
  int32_t n_extra;
  int32_t extra[LAT__LAS_MOST_EXTRA];
  uint8_t record[MOST_RECORD_BYTES];
} las_plan;

static void put_le(uint8_t *at, uint64_t bits, int32_t n_bytes) {
  for (int32_t i = 0; i < n_bytes; i++) at[i] = (uint8_t)(bits >> (8 * i));
}

static void put_double(uint8_t *at, double value) {
  uint64_t bits;
  memcpy(&bits, &value, sizeof bits);
  put_le(at, bits, 8);
}

/// Value `index` of a field, exactly but for 64-bit integers above 2^53.
static double field_value(const lat_array_view *field, int64_t index) {
  uint8_t bytes[8];
  lat__io_encode_value(field, index, bytes);
  switch (field->dtype) {
  case LAT_DTYPE_F64:
    return lat__scalar_value(LAT__SCALAR_F64, bytes);
  case LAT_DTYPE_I32:
    return lat__scalar_value(LAT__SCALAR_I32, bytes);
  case LAT_DTYPE_I64:
    return lat__scalar_value(LAT__SCALAR_I64, bytes);
  case LAT_DTYPE_U8:
    return lat__scalar_value(LAT__SCALAR_U8, bytes);
  case LAT_DTYPE_U32:
    return lat__scalar_value(LAT__SCALAR_U32, bytes);
  case LAT_DTYPE_I16:
    return lat__scalar_value(LAT__SCALAR_I16, bytes);
  default:
    return lat__scalar_value(LAT__SCALAR_F32, bytes);
  }
}

/// Largest number at a place.
static double most_at(const lat__las_place *place) {
  if (place->mask) return place->mask;
  return place->type == LAT__SCALAR_U16 ? 65535.0 : 255.0;
}

/// Scan angle as the units of a format; they may leave its type.
static double angle_units(const las_plan *plan, double degrees) {
  return nearbyint(degrees / lat__las_angle_unit(plan->is_new ? 6 : 0));
}

static bool is_whole(double value, double low, double high) {
  return value >= low && value <= high && value == floor(value);
}

/// Index of the first value of a field that is no whole number up to `most`, or -1.
static int64_t find_misfit(const las_plan *plan, int32_t index, double most) {
  lat_array_view field = lat_cloud_field(plan->cloud, index);
  for (int64_t i = 0; i < field.shape[0]; i++) {
    if (!is_whole(field_value(&field, i), 0.0, most)) return i;
  }
  return -1;
}

/// The same for scan angles.
static int64_t find_misfit_angle(const las_plan *plan, int32_t index) {
  lat_array_view field = lat_cloud_field(plan->cloud, index);
  for (int64_t i = 0; i < field.shape[0]; i++) {
    double degrees = field_value(&field, i), units = angle_units(plan, degrees);
    bool fits = plan->is_new ? is_whole(units, INT16_MIN, INT16_MAX) : is_whole(degrees, INT8_MIN, INT8_MAX);
    if (!fits) return i;
  }
  return -1;
}

static lat_status misfit_error(const las_plan *plan, int32_t index, int64_t row, double low, double high) {
  lat_array_view field = lat_cloud_field(plan->cloud, index);
  return lat_fail(
      LAT_STATUS_OVERFLOW,
      "%s: field '%s': got %g at point %lld, expected %s from %g to %g (under another name any value is kept)", op,
      lat_cloud_field_name(plan->cloud, index), field_value(&field, row), (long long)row,
      low < 0 ? "degrees" : "whole numbers", low, high);
}

/// Checks the values that LAS has a place for against the formats of the plan's kind. `*fits` NULL: a misfit is an error.
static lat_status check_values(const las_plan *plan, bool *fits) {
  for (int32_t i = 0; i < LAT__LAS_VALUES; i++) {
    const lat__las_place *place = &lat__las_values[i].place[plan->is_new];
    if (plan->values[i] < 0) continue;
    bool is_angle = i == LAT__LAS_SCAN_ANGLE;
    int64_t row =
        is_angle ? find_misfit_angle(plan, plan->values[i]) : find_misfit(plan, plan->values[i], most_at(place));
    if (row < 0) continue;
    if (fits) {
      *fits = false;
      return LAT_STATUS_OK;
    }
    return misfit_error(plan, plan->values[i], row, is_angle ? -196.608 : 0.0, is_angle ? 196.602 : most_at(place));
  }
  return LAT_STATUS_OK;
}

static lat_status check_colours(const las_plan *plan) {
  const int32_t indices[4] = {plan->colours[0], plan->colours[1], plan->colours[2], plan->nir};
  for (int k = 0; k < 4; k++) {
    int64_t row = indices[k] < 0 ? -1 : find_misfit(plan, indices[k], 65535.0);
    if (row >= 0) return misfit_error(plan, indices[k], row, 0.0, 65535.0);
  }
  return LAT_STATUS_OK;
}

/// Finds the fields that have a place of their own.
static void find_fields(las_plan *plan) {
  static const char *const colours[3] = {"red", "green", "blue"};
  for (int32_t i = 0; i < LAT__LAS_VALUES; i++) {
    plan->values[i] = lat_cloud_find_field(plan->cloud, lat__las_values[i].name);
  }
  plan->gps = lat_cloud_find_field(plan->cloud, "gps_time");
  for (int k = 0; k < 3; k++) plan->colours[k] = lat_cloud_find_field(plan->cloud, colours[k]);
  if (plan->colours[0] < 0 || plan->colours[1] < 0 || plan->colours[2] < 0) {
    for (int k = 0; k < 3; k++) plan->colours[k] = -1; // not all: kept as extra values
  }
  plan->nir = plan->colours[0] < 0 ? -1 : lat_cloud_find_field(plan->cloud, "nir");
}

static bool has_place(const las_plan *plan, int32_t index) {
  bool has = index == plan->gps || index == plan->nir;
  for (int k = 0; k < 3; k++) has |= index == plan->colours[k];
  for (int i = 0; i < LAT__LAS_VALUES; i++) has |= index == plan->values[i];
  return has;
}

/// Lists the fields that become extra values.
static lat_status list_extra(las_plan *plan) {
  plan->n_extra = 0;
  for (int32_t i = 0; i < lat_cloud_n_fields(plan->cloud); i++) {
    const char *name = lat_cloud_field_name(plan->cloud, i);
    if (has_place(plan, i)) continue;
    if (strlen(name) > LAT__LAS_NAME_BYTES) {
      return lat_fail(LAT_STATUS_INVALID_ARGUMENT, "%s: field name too long: got '%s', expected at most 32 bytes", op,
                      lat__io_excerpt(name, (int64_t)strlen(name)).text);
    }
    if (plan->n_extra == LAT__LAS_MOST_EXTRA) {
      return lat_fail(LAT_STATUS_INVALID_ARGUMENT, "%s: too many fields: got more than %d without a place in LAS", op,
                      (int)LAT__LAS_MOST_EXTRA);
    }
    plan->extra[plan->n_extra++] = i;
  }
  return LAT_STATUS_OK;
}

/// Data type of an extra value, as the format numbers them.
static uint8_t extra_type(lat_dtype dtype) {
  switch (dtype) {
  case LAT_DTYPE_U8:
    return 1;
  case LAT_DTYPE_I16:
    return 4;
  case LAT_DTYPE_U32:
    return 5;
  case LAT_DTYPE_I32:
    return 6;
  case LAT_DTYPE_I64:
    return 8;
  case LAT_DTYPE_F64:
    return 10;
  default:
    return 9; // float32, and the halves widened
  }
}

/// Bytes of an extra value: halves are widened.
static int32_t stored_bytes(lat_dtype dtype) {
  return dtype == LAT_DTYPE_F16 || dtype == LAT_DTYPE_BF16 ? 4 : (int32_t)lat_dtype_bytes(dtype);
}

/// Chooses the point format: the old ones where no value needs more.
static lat_status choose_format(las_plan *plan) {
  static const int8_t old_formats[2][2] = {{0, 2}, {1, 3}};
  lat_status status = LAT_STATUS_OK;
  bool fits = plan->nir < 0 && plan->values[LAT__LAS_SCANNER_CHANNEL] < 0, has_colours = plan->colours[0] >= 0;
  plan->is_new = false;
  if (fits) LAT_TRY(check_values(plan, &fits), done);
  plan->is_new = !fits;
  if (plan->is_new) LAT_TRY(check_values(plan, NULL), done);
  LAT_TRY(check_colours(plan), done);
  plan->format = !plan->is_new ? old_formats[plan->gps >= 0][has_colours] : plan->nir >= 0 ? 8 : has_colours ? 7 : 6;
  plan->record_bytes = lat__las_format_bytes(plan->format);
  for (int32_t i = 0; i < plan->n_extra; i++) {
    plan->record_bytes += stored_bytes(lat_cloud_field(plan->cloud, plan->extra[i]).dtype);
  }
done:
  return status;
}

// --- header ---------------------------------------------------------------------------------------------------------

/// Counts of return numbers 1 to 15.
static void count_returns(const las_plan *plan, uint64_t counts[15]) {
  int32_t index = plan->values[LAT__LAS_RETURN_NUMBER];
  int64_t n_points = lat_cloud_count(plan->cloud);
  memset(counts, 0, 15 * sizeof counts[0]);
  if (index < 0) {
    counts[0] = (uint64_t)n_points;
    return;
  }
  lat_array_view field = lat_cloud_field(plan->cloud, index);
  for (int64_t i = 0; i < n_points; i++) {
    int number = (int)field_value(&field, i);
    if (number >= 1) counts[number - 1]++;
  }
}

/// Largest and smallest position of each axis as they are stored.
static void put_range(const las_plan *plan, uint8_t *header) {
  lat_array_view positions = lat_cloud_positions(plan->cloud);
  for (int32_t axis = 0; axis < 3; axis++) {
    int32_t low = positions.shape[0] ? INT32_MAX : 0, high = positions.shape[0] ? INT32_MIN : 0, steps = 0;
    double scale = plan->grid.scale[axis], offset = plan->grid.offset[axis];
    for (int64_t i = 0; i < positions.shape[0]; i++) {
      (void)lat__las_quantize(lat__las_position(&positions, 3 * i + axis), scale, offset, &steps); // checked: it fits
      low = steps < low ? steps : low;
      high = steps > high ? steps : high;
    }
    double ends[2] = {(double)high * scale + offset, (double)low * scale + offset};
    put_double(header + 131 + 8 * axis, scale);
    put_double(header + 155 + 8 * axis, offset);
    put_double(header + 179 + 16 * axis, scale > 0 ? ends[0] : ends[1]);
    put_double(header + 187 + 16 * axis, scale > 0 ? ends[1] : ends[0]);
  }
}

static lat_status put_header(lat__io_writer *writer, const las_plan *plan) {
  uint8_t header[LAT__LAS_HEADER_BYTES] = {0};
  uint64_t counts[15], n_points = (uint64_t)lat_cloud_count(plan->cloud);
  uint32_t points_at = LAT__LAS_HEADER_BYTES;
  if (plan->n_extra) points_at += (uint32_t)(LAT__LAS_VLR_BYTES + plan->n_extra * LAT__LAS_EXTRA_BYTES);
  count_returns(plan, counts);
  memcpy(header, "LASF", 4);
  // Bit 4, coordinate system as text, is demanded of the formats from 6 on, also where there is none.
  put_le(header + 6, (uint64_t)(plan->grid.standard_gps != 0) | (plan->is_new ? 16u : 0u), 2);
  header[24] = 1;
  header[25] = 4;
  memcpy(header + 26, "OTHER", 5);
  memcpy(header + 58, "lattice", 7);
  put_le(header + 94, LAT__LAS_HEADER_BYTES, 2);
  put_le(header + 96, points_at, 4);
  put_le(header + 100, plan->n_extra ? 1 : 0, 4);
  header[104] = (uint8_t)plan->format;
  put_le(header + 105, (uint64_t)plan->record_bytes, 2);
  if (!plan->is_new && n_points <= UINT32_MAX) { // the counts of older versions
    put_le(header + 107, n_points, 4);
    for (int i = 0; i < 5; i++) put_le(header + 111 + 4 * i, counts[i], 4);
  }
  put_range(plan, header);
  put_le(header + 247, n_points, 8);
  for (int i = 0; i < 15; i++) put_le(header + 255 + 8 * i, counts[i], 8);
  return lat__io_writer_put(writer, header, sizeof header);
}

/// The variable length record that describes the extra values.
static lat_status put_extra(lat__io_writer *writer, const las_plan *plan) {
  lat_status status = LAT_STATUS_OK;
  uint8_t record[LAT__LAS_VLR_BYTES] = {0};
  if (plan->n_extra == 0) return LAT_STATUS_OK;
  memcpy(record + 2, "LASF_Spec", 9);
  put_le(record + 18, 4, 2);
  put_le(record + 20, (uint64_t)(plan->n_extra * LAT__LAS_EXTRA_BYTES), 2);
  memcpy(record + 22, "Extra Bytes", 11);
  LAT_TRY(lat__io_writer_put(writer, record, sizeof record), done);
  for (int32_t i = 0; i < plan->n_extra; i++) {
    uint8_t description[LAT__LAS_EXTRA_BYTES] = {0};
    const char *name = lat_cloud_field_name(plan->cloud, plan->extra[i]);
    description[2] = extra_type(lat_cloud_field(plan->cloud, plan->extra[i]).dtype);
    memcpy(description + 4, name, strlen(name)); // at most 32: checked
    LAT_TRY(lat__io_writer_put(writer, description, sizeof description), done);
  }
done:
  return status;
}

// --- points ---------------------------------------------------------------------------------------------------------

static void encode_values(las_plan *plan, int64_t row) {
  for (int32_t i = 0; i < LAT__LAS_VALUES; i++) {
    const lat__las_place *place = &lat__las_values[i].place[plan->is_new];
    bool is_return = i == LAT__LAS_RETURN_NUMBER || i == LAT__LAS_NUMBER_OF_RETURNS;
    double value = is_return ? 1.0 : 0.0;
    if (place->at < 0) continue;
    if (plan->values[i] >= 0) {
      lat_array_view field = lat_cloud_field(plan->cloud, plan->values[i]);
      value = field_value(&field, row);
    }
    if (i == LAT__LAS_SCAN_ANGLE) value = angle_units(plan, value);
    uint64_t bits = (uint64_t)(int64_t)value << place->shift;
    if (place->mask) {
      plan->record[place->at] |= (uint8_t)bits;
    } else {
      put_le(plan->record + place->at, bits, lat__scalar_bytes(place->type));
    }
  }
}

static void encode_optional(las_plan *plan, int64_t row) {
  int32_t gps_at = lat__las_gps_at(plan->format), colour_at = lat__las_colour_at(plan->format);
  if (plan->gps >= 0) {
    lat_array_view field = lat_cloud_field(plan->cloud, plan->gps);
    put_double(plan->record + gps_at, field_value(&field, row));
  }
  for (int k = 0; k < 3 && plan->colours[0] >= 0; k++) {
    lat_array_view field = lat_cloud_field(plan->cloud, plan->colours[k]);
    double value = field_value(&field, row) * (field.dtype == LAT_DTYPE_U8 ? 257.0 : 1.0);
    put_le(plan->record + colour_at + 2 * k, (uint64_t)value, 2);
  }
  if (plan->nir >= 0) {
    lat_array_view field = lat_cloud_field(plan->cloud, plan->nir);
    put_le(plan->record + lat__las_nir_at(plan->format), (uint64_t)field_value(&field, row), 2);
  }
}

static void encode_point(las_plan *plan, const lat_array_view *positions, int64_t row) {
  memset(plan->record, 0, (size_t)plan->record_bytes);
  for (int32_t axis = 0; axis < 3; axis++) {
    int32_t steps = 0;
    (void)lat__las_quantize(lat__las_position(positions, 3 * row + axis), plan->grid.scale[axis],
                            plan->grid.offset[axis], &steps); // checked: it fits
    put_le(plan->record + 4 * axis, (uint32_t)steps, 4);
  }
  encode_values(plan, row);
  encode_optional(plan, row);
  int32_t at = lat__las_format_bytes(plan->format);
  for (int32_t i = 0; i < plan->n_extra; i++) {
    lat_array_view field = lat_cloud_field(plan->cloud, plan->extra[i]);
    uint8_t bytes[8];
    size_t n = lat__io_encode_value(&field, row, bytes);
    memcpy(plan->record + at, bytes, n);
    at += (int32_t)n;
  }
}

static lat_status put_cloud(lat__io_writer *writer, las_plan *plan) {
  lat_status status = LAT_STATUS_OK;
  lat_array_view positions = lat_cloud_positions(plan->cloud);
  LAT_TRY(put_header(writer, plan), done);
  LAT_TRY(put_extra(writer, plan), done);
  for (int64_t row = 0; row < positions.shape[0]; row++) {
    encode_point(plan, &positions, row);
    LAT_TRY(lat__io_writer_put(writer, plan->record, (size_t)plan->record_bytes), done);
  }
done:
  return status;
}

lat_status lat_cloud_write_las(lat_context *context, const lat_cloud *cloud, const char *path,
                               const lat_las_write_opts *opts) {
  lat_status status = LAT_STATUS_OK;
  lat_las_write_opts known = LAT_LAS_WRITE_OPTS_INIT;
  lat__las_grid wanted = {.known = 0};
  lat__io_writer writer = LAT__IO_WRITER_INIT;
  las_plan plan = {.cloud = cloud};
  if (!context || !cloud || !path) {
    return lat_fail(LAT_STATUS_INVALID_ARGUMENT, "%s: %s must not be NULL", op,
                    !context ? "context"
                    : !cloud ? "cloud"
                             : "path");
  }
  LAT_TRY(lat__io_copy_opts(op, opts, sizeof known, &known), done);
  memcpy(wanted.scale, known.scale, sizeof wanted.scale);
  memcpy(wanted.offset, known.offset, sizeof wanted.offset);
  find_fields(&plan);
  LAT_TRY(list_extra(&plan), done);
  LAT_TRY(choose_format(&plan), done);
  LAT_TRY(lat__las_choose_grid(cloud, &wanted, &plan.grid), done);
  LAT_TRY(lat__io_writer_open(context, op, path, &writer), done);
  LAT_TRY(put_cloud(&writer, &plan), done);
done:
  return lat__io_writer_close(&writer, status);
}
