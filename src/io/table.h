/// The columns of a cloud while a file of fixed-size records is read: where each value stands in the file, and the array
/// that it goes to. PCD and LAS are read through it.
#ifndef LATTICE_IO_TABLE_H
#define LATTICE_IO_TABLE_H

#include <stdbool.h>

#include "io/cloud_internal.h"

enum {
  LAT__TABLE_COLUMNS = 512,   ///< most columns, the axes included
  LAT__TABLE_NAME_BYTES = 255 ///< longest name
};

/// Type of a value in a file, little endian.
typedef enum lat__scalar {
  LAT__SCALAR_I8,
  LAT__SCALAR_U8,
  LAT__SCALAR_I16,
  LAT__SCALAR_U16,
  LAT__SCALAR_I32,
  LAT__SCALAR_U32,
  LAT__SCALAR_I64,
  LAT__SCALAR_U64,
  LAT__SCALAR_F32,
  LAT__SCALAR_F64
} lat__scalar;

/// Bytes of a value in the file.
static inline int32_t lat__scalar_bytes(lat__scalar type) {
  static const int8_t bytes[] = {1, 1, 2, 2, 4, 4, 8, 8, 4, 8};
  return bytes[type];
}

/// The bits of a little-endian value of 1 to 8 bytes.
static inline uint64_t lat__load_le(const uint8_t *at, int32_t n_bytes) {
  uint64_t bits = 0;
  for (int32_t i = 0; i < n_bytes; i++) bits |= (uint64_t)at[i] << (8 * i);
  return bits;
}

/// The value of a scalar, in double precision: exact but for 64-bit integers above 2^53.
double lat__scalar_value(lat__scalar type, const uint8_t *at);

typedef struct lat__column {
  char name[LAT__TABLE_NAME_BYTES + 1];
  lat__scalar type;
  bool bits;              ///< a packed float: its bits are kept as uint32
  uint8_t shift, mask;    ///< mask not 0: the value is `byte >> shift & mask`
  lat_dtype scaled_dtype; ///< not 0: the value is `scalar * scale + offset_value`, of a field in this dtype
  double scale, offset_value;
  int32_t axis;      ///< 0 to 2: a position; -1: a field
  int64_t offset;    ///< of the first row's value in the data
  int64_t step;      ///< bytes from one row's value to the next
  lat_array *values; ///< of a field; released by lat__table_release
  lat_dtype dtype;
  uint8_t *out;
  int64_t out_step;
} lat__column;

typedef struct lat__table {
  int64_t n_rows;
  lat_array *positions;
  int32_t n_columns;
  lat__column columns[LAT__TABLE_COLUMNS];
} lat__table;

/// Adds a column: position axis `axis`, or a field where it is -1. Returns it, or NULL when the table is full.
lat__column *lat__table_add(lat__table *table, lat__scalar type, int32_t axis);

/// Index of the column called `name`, or -1.
int32_t lat__table_find(const lat__table *table, const char *name);

/// Makes the arrays: positions of `dtype` and the nearest dtype that holds every value of a field's type.
LAT_CHECKED lat_status lat__table_allocate(lat_context *context, lat__table *table, lat_dtype dtype);

/// Stores the value at `at` as row `row` of a column; false when a uint64 value does not fit int64.
bool lat__table_store(const lat__column *column, int64_t row, const uint8_t *at);

/// The first value that a column cannot hold.
typedef struct lat__bad_value {
  const lat__column *column; ///< NULL: every value fits
  int64_t row;
} lat__bad_value;

/// Stores every row of every column from `data`, column by column.
void lat__table_copy(const lat__table *table, const uint8_t *data, lat__bad_value *bad);

/// Stores every row of every column from a content of whole records of `record_bytes` that begin at `at`, where they are
/// all there: a piece of the file at a time. Errors: IO_ERROR, OUT_OF_MEMORY.
LAT_CHECKED lat_status lat__table_read(lat_context *context, const lat__table *table, const lat__io_content *content,
                                       int64_t at, int64_t record_bytes, lat__bad_value *bad);

/// Makes the cloud out of the arrays. `source` is static text.
LAT_CHECKED lat_status lat__table_share(lat_context *context, const lat__table *table, const char *source,
                                        lat_cloud **out);

/// Releases the arrays; harmless on a zeroed table.
void lat__table_release(lat__table *table);

#endif
