/// Reads a PLY file into a cloud: header, a column for every scalar vertex property, body.
#include <string.h>

#include "core/compiler.h"
#include "io/ply.h"

/// Arrays that the columns write into: the positions, and one for each other scalar property.
typedef struct ply_targets {
  lat_array *positions;
  lat_array *fields[LAT__PLY_PROPERTIES]; ///< by vertex property; NULL for x, y, z and lists
} ply_targets;

/// Nearest dtype that holds every value of a property's type.
static lat_dtype field_dtype(lat__ply_type type) {
  static const lat_dtype dtypes[] = {LAT_DTYPE_I16, LAT_DTYPE_U8,  LAT_DTYPE_I16, LAT_DTYPE_U32,
                                     LAT_DTYPE_I32, LAT_DTYPE_U32, LAT_DTYPE_F32, LAT_DTYPE_F64};
  return dtypes[type];
}

/// 0, 1, 2 for the properties x, y, z; -1 for others.
static int32_t axis_of(const lat__ply_property *property) {
  if (property->name_bytes != 1 || property->name[0] < 'x' || property->name[0] > 'z') return -1;
  return property->name[0] - 'x';
}

/// Finds x, y, z and the dtype of the positions: float64 where float32 would not hold the file's type.
static lat_status check_axes(const lat__io_content *content, const lat__ply_header *header, lat_dtype *dtype) {
  const lat__ply_element *vertex = &header->elements[header->vertex];
  bool seen[3] = {false, false, false};
  *dtype = LAT_DTYPE_F32;
  for (int32_t i = 0; i < vertex->n_properties; i++) {
    const lat__ply_property *property = &header->properties[vertex->first_property + i];
    int32_t axis = axis_of(property);
    if (axis < 0 || property->is_list) continue;
    seen[axis] = true;
    if (property->type == LAT__PLY_F64 || property->type == LAT__PLY_I32 || property->type == LAT__PLY_U32) {
      *dtype = LAT_DTYPE_F64;
    }
  }
  for (int32_t axis = 0; axis < 3; axis++) {
    if (seen[axis]) continue;
    return lat_fail(LAT_STATUS_BAD_DATA,
                    "cloud_read: %s: header: vertex has no scalar property %c: got %d properties, expected x, y and z",
                    lat__io_path(content->path).text, "xyz"[axis], (int)vertex -> n_properties);
  }
  return LAT_STATUS_OK;
}

/// Makes the arrays and points the columns at them.
static lat_status make_targets(lat_context *context, const lat__ply_header *header, lat_dtype dtype,
                               ply_targets *targets, lat__ply_columns *columns) {
  lat_status status = LAT_STATUS_OK;
  const lat__ply_element *vertex = &header->elements[header->vertex];
  int64_t shape[2] = {vertex->count, 3};
  LAT_TRY(lat_array_full(context, dtype, 2, shape, 0.0, &targets->positions), done);
  for (int32_t i = 0; i < vertex->n_properties; i++) {
    const lat__ply_property *property = &header->properties[vertex->first_property + i];
    lat__ply_column *column = &columns->column[i];
    int32_t axis = axis_of(property);
    *column = (lat__ply_column){NULL, dtype, 0};
    if (property->is_list) continue;
    if (axis >= 0) {
      column->out = (uint8_t *)lat_array_data(targets->positions) + (size_t)axis * lat_dtype_bytes(dtype);
      column->step_bytes = 3 * (int64_t)lat_dtype_bytes(dtype);
      continue;
    }
    column->dtype = field_dtype(property->type);
    LAT_TRY(lat_array_full(context, column->dtype, 1, shape, 0.0, &targets->fields[i]), done);
    column->out = lat_array_data(targets->fields[i]);
    column->step_bytes = (int64_t)lat_dtype_bytes(column->dtype);
  }
done:
  return status;
}

static const char *source_text(lat__ply_encoding encoding) {
  static const char *const texts[] = {"PLY (ascii)", "PLY (binary little endian)", "PLY (binary big endian)"};
  return texts[encoding];
}

static lat_status make_cloud(lat_context *context, const lat__ply_header *header, const ply_targets *targets,
                             lat_cloud **out) {
  lat_status status = LAT_STATUS_OK;
  lat_cloud *cloud = NULL;
  const lat__ply_element *vertex = &header->elements[header->vertex];
  LAT_TRY(lat__cloud_share(context, targets->positions, source_text(header->encoding), &cloud), done);
  for (int32_t i = 0; i < vertex->n_properties; i++) {
    const lat__ply_property *property = &header->properties[vertex->first_property + i];
    if (!targets->fields[i]) continue;
    LAT_TRY(lat__cloud_append(context, cloud, property->name, (size_t)property->name_bytes, targets->fields[i]), done);
  }
  *out = cloud;
  cloud = NULL;
done:
  lat_cloud_release(cloud);
  return status;
}

/// Everything the parser keeps while it works. Too large for the stack of a small thread, so it lives in an array.
typedef struct ply_job {
  lat__ply_header header;
  lat__ply_columns columns;
  ply_targets targets;
} ply_job;

lat_status lat__ply_parse(lat_context *context, const lat__io_content *content, lat_cloud **out) {
  lat_status status = LAT_STATUS_OK;
  lat_array *storage = NULL;
  ply_job *job = NULL;
  lat_dtype dtype;
  LAT_TRY(lat__io_bytes_new(context, sizeof(ply_job), &storage), done);
  job = lat_array_data(storage);
  LAT_TRY(lat__ply_read_header(content, &job->header), done);
  LAT_TRY(check_axes(content, &job->header, &dtype), done);
  LAT_TRY(lat__ply_check_claim(content, &job->header), done);
  LAT_TRY(make_targets(context, &job->header, dtype, &job->targets, &job->columns), done);
  if (job->header.encoding == LAT__PLY_ASCII) {
    LAT_TRY(lat__ply_read_ascii(content, &job->header, &job->columns), done);
  } else {
    LAT_TRY(lat__ply_read_binary(content, &job->header, &job->columns), done);
  }
  LAT_TRY(make_cloud(context, &job->header, &job->targets, out), done);
done:
  if (job) {
    lat_array_release(job->targets.positions);
    for (int32_t i = 0; i < LAT__PLY_PROPERTIES; i++) lat_array_release(job->targets.fields[i]);
  }
  lat_array_release(storage);
  return status;
}
