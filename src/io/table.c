/// Columns of fixed-size records, shared by the readers of PCD and LAS. Values are little endian in the file whatever the
/// machine.
#include "io/table.h"

#include <string.h>

#include "core/checked.h"
#include "core/compiler.h"
#include "io/io_content.h"

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

/// Rows first .. first + n - 1 of a column; `at` is the value of the first of them.
static bool store_rows(const lat__column *column, int64_t first, int64_t n, const uint8_t *at, lat__bad_value *bad) {
  for (int64_t row = first; row < first + n; row++, at += column->step) {
    if (LAT_LIKELY(lat__table_store(column, row, at))) continue;
    *bad = (lat__bad_value){column, row};
    return false;
  }
  return true;
}

void lat__table_copy(const lat__table *table, const uint8_t *data, lat__bad_value *bad) {
  *bad = (lat__bad_value){NULL, 0};
  for (int32_t i = 0; i < table->n_columns; i++) {
    const lat__column *column = &table->columns[i];
    if (!store_rows(column, 0, table->n_rows, data + column->offset, bad)) return;
  }
}

/// Records that a window holds several of.
static lat_status read_records(lat__io_window *window, const lat__table *table, int64_t at, int64_t record_bytes,
                               lat__bad_value *bad) {
  const int64_t most = LAT__IO_WINDOW_BYTES / record_bytes;
  for (int64_t row = 0; row < table->n_rows; row += most) {
    const uint8_t *records = NULL;
    int64_t n = lat__min_i64(most, table->n_rows - row);
    lat_status status = lat__io_window_get(window, at + row * record_bytes, n * record_bytes, &records);
    if (status) return status;
    for (int32_t i = 0; i < table->n_columns; i++) {
      const lat__column *column = &table->columns[i];
      if (!store_rows(column, row, n, records + column->offset, bad)) return LAT_STATUS_OK;
    }
  }
  return LAT_STATUS_OK;
}

/// Records that are longer than a window: value by value.
static lat_status read_values(lat__io_window *window, const lat__table *table, int64_t at, int64_t record_bytes,
                              lat__bad_value *bad) {
  for (int64_t row = 0; row < table->n_rows; row++) {
    for (int32_t i = 0; i < table->n_columns; i++) {
      const lat__column *column = &table->columns[i];
      const uint8_t *value = NULL;
      lat_status status =
          lat__io_window_get(window, at + row * record_bytes + column->offset, lat__scalar_bytes(column->type), &value);
      if (status) return status;
      if (!store_rows(column, row, 1, value, bad)) return LAT_STATUS_OK;
    }
  }
  return LAT_STATUS_OK;
}

lat_status lat__table_read(lat_context *context, const lat__table *table, const lat__io_content *content, int64_t at,
                           int64_t record_bytes, lat__bad_value *bad) {
  lat_status status = LAT_STATUS_OK;
  lat__io_window window;
  *bad = (lat__bad_value){NULL, 0};
  LAT_TRY(lat__io_window_open(context, content, &window), done);
  if (record_bytes <= LAT__IO_WINDOW_BYTES) {
    LAT_TRY(read_records(&window, table, at, record_bytes, bad), done);
  } else {
    LAT_TRY(read_values(&window, table, at, record_bytes, bad), done);
  }
done:
  lat__io_window_close(&window);
  return status;
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
