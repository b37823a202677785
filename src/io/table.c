/// Columns of fixed-size records, shared by the readers of PCD and LAS. Values are little endian in the file whatever the
/// machine.
#include "io/table.h"

#include <string.h>

#include "core/compiler.h"

double lat__scalar_value(lat__scalar type, const uint8_t *at) {
  uint64_t bits = lat__load_le(at, lat__scalar_bytes(type));
  uint32_t low = (uint32_t)bits;
  float single;
  double wide;
  switch (type) {
  case LAT__SCALAR_I8:
    return (double)(int8_t)(uint8_t)bits;
  case LAT__SCALAR_I16:
    return (double)(int16_t)(uint16_t)bits;
  case LAT__SCALAR_I32:
    return (double)(int32_t)low;
  case LAT__SCALAR_I64:
    return (double)(int64_t)bits;
  case LAT__SCALAR_F32:
    memcpy(&single, &low, sizeof single);
    return (double)single;
  case LAT__SCALAR_F64:
    memcpy(&wide, &bits, sizeof wide);
    return wide;
  default:
    return (double)bits; // unsigned
  }
}

/// Nearest dtype that holds every value of a type (of uint64: every value that a file is expected to have).
static lat_dtype field_dtype(lat__scalar type) {
  static const lat_dtype dtypes[] = {LAT_DTYPE_I16, LAT_DTYPE_U8,  LAT_DTYPE_I16, LAT_DTYPE_U32, LAT_DTYPE_I32,
                                     LAT_DTYPE_U32, LAT_DTYPE_I64, LAT_DTYPE_I64, LAT_DTYPE_F32, LAT_DTYPE_F64};
  return dtypes[type];
}

lat__column *lat__table_add(lat__table *table, lat__scalar type, int32_t axis) {
  if (table->n_columns == LAT__TABLE_COLUMNS) return NULL;
  lat__column *column = &table->columns[table->n_columns++];
  *column = (lat__column){.type = type, .axis = axis};
  return column;
}

int32_t lat__table_find(const lat__table *table, const char *name) {
  for (int32_t i = 0; i < table->n_columns; i++) {
    if (strcmp(table->columns[i].name, name) == 0) return i;
  }
  return -1;
}

lat_status lat__table_allocate(lat_context *context, lat__table *table, lat_dtype dtype) {
  lat_status status = LAT_STATUS_OK;
  int64_t shape[2] = {table->n_rows, 3}, axis_bytes = (int64_t)lat_dtype_bytes(dtype);
  LAT_TRY(lat_array_full(context, dtype, 2, shape, 0.0, &table->positions), done);
  for (int32_t i = 0; i < table->n_columns; i++) {
    lat__column *column = &table->columns[i];
    if (column->axis >= 0) {
      column->dtype = dtype;
      column->out = (uint8_t *)lat_array_data(table->positions) + column->axis * axis_bytes;
      column->out_step = 3 * axis_bytes;
      continue;
    }
    column->dtype = column->scaled_dtype ? column->scaled_dtype
                    : column->bits       ? LAT_DTYPE_U32
                                         : field_dtype(column->type);
    LAT_TRY(lat_array_full(context, column->dtype, 1, shape, 0.0, &column->values), done);
    column->out = lat_array_data(column->values);
    column->out_step = (int64_t)lat_dtype_bytes(column->dtype);
  }
done:
  return status;
}

static void store_float(const lat__column *column, uint8_t *out, const uint8_t *at) {
  double value = lat__scalar_value(column->type, at);
  if (column->scaled_dtype) value = value * column->scale + column->offset_value;
  float single = (float)value;
  if (column->dtype == LAT_DTYPE_F64) {
    memcpy(out, &value, sizeof value);
  } else {
    memcpy(out, &single, sizeof single);
  }
}

bool lat__table_store(const lat__column *column, int64_t row, const uint8_t *at) {
  uint8_t *out = column->out + row * column->out_step;
  if (column->axis >= 0 || column->scaled_dtype) {
    store_float(column, out, at);
    return true;
  }
  uint64_t bits = lat__load_le(at, lat__scalar_bytes(column->type));
  int16_t narrow = column->type == LAT__SCALAR_I8 ? (int16_t)(int8_t)(uint8_t)bits : (int16_t)(uint16_t)bits;
  uint32_t low = (uint32_t)bits;
  switch (column->dtype) {
  case LAT_DTYPE_U8:
    *out = column->mask ? (uint8_t)(bits >> column->shift & column->mask) : (uint8_t)bits;
    return true;
  case LAT_DTYPE_I16:
    memcpy(out, &narrow, sizeof narrow);
    return true;
  case LAT_DTYPE_I64:
  case LAT_DTYPE_F64:
    memcpy(out, &bits, sizeof bits);
    return column->type != LAT__SCALAR_U64 || bits <= INT64_MAX;
  default: // four bytes, two of the file's widened
    memcpy(out, &low, sizeof low);
    return true;
  }
}

bool lat__table_copy(const lat__table *table, const lat__column *column, const uint8_t *data, int64_t *bad_row) {
  const uint8_t *first = data + column->offset;
  for (int64_t row = 0; row < table->n_rows; row++) {
    if (LAT_LIKELY(lat__table_store(column, row, first + row * column->step))) continue;
    *bad_row = row;
    return false;
  }
  return true;
}

lat_status lat__table_share(lat_context *context, const lat__table *table, const char *source, lat_cloud **out) {
  lat_status status = LAT_STATUS_OK;
  lat_cloud *cloud = NULL;
  LAT_TRY(lat__cloud_share(context, table->positions, source, &cloud), done);
  for (int32_t i = 0; i < table->n_columns; i++) {
    const lat__column *column = &table->columns[i];
    if (column->axis >= 0) continue;
    LAT_TRY(lat__cloud_append(context, cloud, column->name, strlen(column->name), column->values), done);
  }
  *out = cloud;
  cloud = NULL;
done:
  lat_cloud_release(cloud);
  return status;
}

void lat__table_release(lat__table *table) {
  lat_array_release(table->positions);
  for (int32_t i = 0; i < table->n_columns; i++) lat_array_release(table->columns[i].values);
}
