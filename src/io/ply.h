/// What the parts of the PLY reader share: the parsed header and the table of vertex columns.
///
/// ply_header.c fills a ply header from the text before end_header; ply_binary.c and ply_ascii.c read the elements behind
/// it into columns; ply_read.c makes the columns and the cloud.
#ifndef LATTICE_IO_PLY_H
#define LATTICE_IO_PLY_H

#include "io/cloud_internal.h"
#include "io/io_file.h"

enum {
  LAT__PLY_ELEMENTS = 32,         ///< most elements in a header
  LAT__PLY_PROPERTIES = 512,      ///< most properties in a header, all elements together
  LAT__PLY_NAME_BYTES = 255,      ///< longest name
  LAT__PLY_HEADER_BYTES = 1 << 20 ///< end_header must come before
};

typedef enum lat__ply_encoding { LAT__PLY_ASCII, LAT__PLY_LITTLE, LAT__PLY_BIG } lat__ply_encoding;

typedef enum lat__ply_type {
  LAT__PLY_I8,
  LAT__PLY_U8,
  LAT__PLY_I16,
  LAT__PLY_U16,
  LAT__PLY_I32,
  LAT__PLY_U32,
  LAT__PLY_F32,
  LAT__PLY_F64
} lat__ply_type;

/// Names point into the content.
typedef struct lat__ply_property {
  const char *name;
  int32_t name_bytes;
  bool is_list;
  lat__ply_type type;       ///< of the value, or of a list's items
  lat__ply_type count_type; ///< of a list's count
} lat__ply_property;

typedef struct lat__ply_element {
  const char *name;
  int32_t name_bytes;
  int32_t first_property; ///< index into the header's properties
  int32_t n_properties;
  bool has_list;
  int64_t count;     ///< as the header claims
  int64_t min_bytes; ///< of one element in binary: values and list counts
} lat__ply_element;

typedef struct lat__ply_header {
  lat__ply_encoding encoding;
  bool cr_only; ///< lines end in a lone carriage return
  int32_t n_elements;
  int32_t n_properties;
  int32_t vertex;      ///< index of the element called "vertex"
  int64_t data_offset; ///< first byte behind end_header
  int64_t data_line;   ///< number of the line that begins there
  lat__ply_element elements[LAT__PLY_ELEMENTS];
  lat__ply_property properties[LAT__PLY_PROPERTIES];
} lat__ply_header;

/// Where the values of one vertex property go. Lists go nowhere (`out` NULL).
typedef struct lat__ply_column {
  uint8_t *out;
  lat_dtype dtype;
  int64_t step_bytes; ///< from one vertex to the next
} lat__ply_column;

/// One column for each property of the vertex element.
typedef struct lat__ply_columns {
  lat__ply_column column[LAT__PLY_PROPERTIES];
} lat__ply_columns;

/// Bytes of a value in a binary file.
static inline int32_t lat__ply_type_bytes(lat__ply_type type) {
  static const int8_t bytes[] = {1, 1, 2, 2, 4, 4, 4, 8};
  return bytes[type];
}

/// Stores a value as element `row` of a column. The column's dtype holds every value of the property's type.
static inline void lat__ply_store(const lat__ply_column *column, int64_t row, double value) {
  uint8_t *at = column->out + row * column->step_bytes;
  switch (column->dtype) {
  case LAT_DTYPE_F64:
    *(double *)(void *)at = value;
    break;
  case LAT_DTYPE_I32:
    *(int32_t *)(void *)at = (int32_t)value;
    break;
  case LAT_DTYPE_U32:
    *(uint32_t *)(void *)at = (uint32_t)value;
    break;
  case LAT_DTYPE_I16:
    *(int16_t *)(void *)at = (int16_t)value;
    break;
  case LAT_DTYPE_U8:
    *at = (uint8_t)value;
    break;
  default:
    *(float *)(void *)at = (float)value;
    break;
  }
}

/// Parses the header. Errors: BAD_DATA, UNSUPPORTED: name the line.
LAT_CHECKED lat_status lat__ply_read_header(const lat__io_content *content, lat__ply_header *header);

/// Checks that the vertices which the header claims can stand in the bytes behind it, before any memory is taken.
LAT_CHECKED lat_status lat__ply_check_claim(const lat__io_content *content, const lat__ply_header *header);

/// Reads the vertices into `columns` and walks over everything else. Errors: BAD_DATA.
LAT_CHECKED lat_status lat__ply_read_binary(const lat__io_content *content, const lat__ply_header *header,
                                            const lat__ply_columns *columns);
LAT_CHECKED lat_status lat__ply_read_ascii(const lat__io_content *content, const lat__ply_header *header,
                                           const lat__ply_columns *columns);

#endif
