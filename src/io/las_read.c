/// Reads the points of a LAS file into a cloud: float64 positions, and a field for each value of the point format and each
/// described extra value. Wave packets (formats 4, 5, 9, 10) are stepped over.
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "core/compiler.h"
#include "io/las.h"

/// Everything the parser keeps while it works.
typedef struct las_job {
  const lat__io_content *content;
  lat__las_header header;
  lat__table table;
} las_job;

static lat_status too_many(const las_job *job) {
  return lat_fail(LAT_STATUS_BAD_DATA, "cloud_read: %s: too many values a point: expected at most %d",
                  lat__io_path(job->content->path).text, (int)LAT__TABLE_COLUMNS);
}

/// Adds a column at an offset in the point record. There is room: only extra bytes can be many.
static lat__column *add_column(las_job *job, const char *name, lat__scalar type, int32_t axis, int32_t at) {
  lat__column *column = lat__table_add(&job->table, type, axis);
  if (!column) return NULL;
  snprintf(column->name, sizeof column->name, "%s", name);
  column->offset = at;
  column->step = job->header.record_bytes;
  return column;
}

static void add_positions(las_job *job) {
  static const char *const names[3] = {"x", "y", "z"};
  for (int32_t axis = 0; axis < 3; axis++) {
    lat__column *column = add_column(job, names[axis], LAT__SCALAR_I32, axis, 4 * axis);
    column->scaled_dtype = LAT_DTYPE_F64;
    column->scale = job->header.grid.scale[axis];
    column->offset_value = job->header.grid.offset[axis];
  }
}

static void add_common(las_job *job) {
  for (int32_t i = 0; i < LAT__LAS_VALUES; i++) {
    const lat__las_place *place = &lat__las_values[i].place[job->header.format >= 6];
    if (place->at < 0) continue;
    lat__column *column = add_column(job, lat__las_values[i].name, place->type, -1, place->at);
    column->shift = place->shift;
    column->mask = place->mask;
    if (i != LAT__LAS_SCAN_ANGLE) continue;
    column->scaled_dtype = LAT_DTYPE_F32;
    column->scale = lat__las_angle_unit(job->header.format);
  }
}

static void add_optional(las_job *job) {
  static const char *const colours[3] = {"red", "green", "blue"};
  int32_t gps_at = lat__las_gps_at(job->header.format), colour_at = lat__las_colour_at(job->header.format);
  int32_t nir_at = lat__las_nir_at(job->header.format);
  if (gps_at >= 0) add_column(job, "gps_time", LAT__SCALAR_F64, -1, gps_at);
  for (int32_t k = 0; k < 3 && colour_at >= 0; k++) {
    add_column(job, colours[k], LAT__SCALAR_U16, -1, colour_at + 2 * k);
  }
  if (nir_at >= 0) add_column(job, "nir", LAT__SCALAR_U16, -1, nir_at);
}

/// The name of an extra value as a cloud can have it: white space and control characters become `_`, a taken name gets a
/// number. `element` -1: the value has one only.
static void make_name(const las_job *job, const uint8_t *description, int32_t element, char *name, size_t room) {
  char base[LAT__LAS_NAME_BYTES + 1] = {0};
  memcpy(base, description + 4, LAT__LAS_NAME_BYTES);
  for (char *c = base; *c; c++) {
    if ((unsigned char)*c <= 0x20 || *c == 0x7f) *c = '_';
  }
  size_t n = (size_t)snprintf(name, room, "%s", base[0] ? base : "extra");
  if (element >= 0) n += (size_t)snprintf(name + n, room - n, "_%d", (int)element);
  for (int number = 2; lat__table_find(&job->table, name) >= 0; number++) {
    snprintf(name + n, room - n, "_%d", number);
  }
}

/// Adds the columns of one described extra value. Advances `*at`, its offset in the point record.
static lat_status add_extra(las_job *job, const uint8_t *description, int32_t *at) {
  static const lat__scalar types[] = {LAT__SCALAR_U8,  LAT__SCALAR_I8,  LAT__SCALAR_U16, LAT__SCALAR_I16,
                                      LAT__SCALAR_U32, LAT__SCALAR_I32, LAT__SCALAR_U64, LAT__SCALAR_I64,
                                      LAT__SCALAR_F32, LAT__SCALAR_F64};
  int32_t data_type = description[2], options = description[3];
  // Type 0 is bytes without a meaning, as many as the options say; 11 to 30 are pairs and triples of 1 to 10.
  int32_t n_elements = data_type == 0 ? options : (data_type - 1) / 10 + 1;
  lat__scalar type = data_type == 0 ? LAT__SCALAR_U8 : types[(data_type - 1) % 10];
  int32_t n_bytes = n_elements * lat__scalar_bytes(type);
  const uint8_t *name_end = memchr(description + 4, 0, LAT__LAS_NAME_BYTES);
  if (data_type > 30 || n_bytes > job->header.record_bytes - *at) {
    return lat_fail(LAT_STATUS_BAD_DATA,
                    "cloud_read: %s: extra value '%s': got data type %d and %d bytes at byte %d of a point, expected a "
                    "type up to 30 inside the %d bytes of a point",
                    lat__io_path(job->content->path).text,
                    lat__io_excerpt(description + 4, name_end ? name_end - description - 4 : LAT__LAS_NAME_BYTES).text,
                    (int)data_type, (int)n_bytes, (int)*at, (int)job->header.record_bytes);
  }
  for (int32_t element = 0; element < n_elements && data_type != 0; element++) {
    char name[LAT__LAS_NAME_BYTES + 32];
    make_name(job, description, n_elements > 1 ? element : -1, name, sizeof name);
    lat__column *column = add_column(job, name, type, -1, *at + element * lat__scalar_bytes(type));
    if (!column) return too_many(job);
    bool has_scale = (options & 8) != 0, has_offset = (options & 16) != 0;
    if (!has_scale && !has_offset) continue;
    column->scaled_dtype = LAT_DTYPE_F64;
    column->scale = has_scale ? lat__scalar_value(LAT__SCALAR_F64, description + 112 + 8 * element) : 1.0;
    column->offset_value = has_offset ? lat__scalar_value(LAT__SCALAR_F64, description + 136 + 8 * element) : 0.0;
  }
  *at += n_bytes;
  return LAT_STATUS_OK;
}

static lat_status add_columns(las_job *job) {
  lat_status status = LAT_STATUS_OK;
  int32_t at = lat__las_format_bytes(job->header.format);
  job->table.n_rows = job->header.n_points;
  add_positions(job);
  add_common(job);
  add_optional(job);
  for (int32_t i = 0; i < job->header.n_extra; i++) {
    LAT_TRY(add_extra(job, job->header.extra + (size_t)i * LAT__LAS_EXTRA_BYTES, &at), done);
  }
done:
  return status;
}

static lat_status read_points(lat_context *context, const las_job *job) {
  lat__bad_value bad;
  lat_status status =
      lat__table_read(context, &job->table, job->content, job->header.points_at, job->header.record_bytes, &bad);
  if (status || !bad.column) return status;
  return lat_fail(LAT_STATUS_BAD_DATA,
                  "cloud_read: %s: point %lld: extra value '%s': got a value above 9223372036854775807, expected one "
                  "that int64 holds",
                  lat__io_path(job->content->path).text, (long long)bad.row, bad.column->name);
}

lat_status lat__las_parse(lat_context *context, const lat__io_content *content, lat_cloud **out) {
  static const char *const sources[] = {"LAS (point format 0)", "LAS (point format 1)", "LAS (point format 2)",
                                        "LAS (point format 3)", "LAS (point format 4)", "LAS (point format 5)",
                                        "LAS (point format 6)", "LAS (point format 7)", "LAS (point format 8)",
                                        "LAS (point format 9)", "LAS (point format 10)"};
  lat_status status = LAT_STATUS_OK;
  lat_array *storage = NULL;
  las_job *job = NULL;
  LAT_TRY(lat__io_bytes_new(context, sizeof(las_job), &storage), done);
  job = lat_array_data(storage);
  job->content = content;
  LAT_TRY(lat__las_read_header(context, content, &job->header), done);
  LAT_TRY(add_columns(job), done);
  LAT_TRY(lat__table_allocate(context, &job->table, LAT_DTYPE_F64), done);
  LAT_TRY(read_points(context, job), done);
  LAT_TRY(lat__table_share(context, &job->table, sources[job->header.format], out), done);
  *lat__cloud_las_grid(*out) = job->header.grid;
done:
  if (job) lat__table_release(&job->table);
  lat_array_release(storage);
  return status;
}
