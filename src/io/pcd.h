/// What the parts of the PCD reader share: the parsed header.
///
/// pcd_header.c fills it from the lines up to DATA; pcd_ascii.c reads lines of values; pcd_read.c reads the two binary
/// forms and makes the cloud.
#ifndef LATTICE_IO_PCD_H
#define LATTICE_IO_PCD_H

#include "io/io_file.h"
#include "io/table.h"

enum {
  LAT__PCD_FIELDS = 512,           ///< most names in FIELDS
  LAT__PCD_MOST_COUNT = 1 << 20,   ///< most elements of a field
  LAT__PCD_HEADER_BYTES = 1 << 20, ///< the DATA line must end before
  LAT__PCD_LZF_RATIO = 88          ///< the most that LZF makes of a byte: 264 of three
};

typedef enum lat__pcd_encoding { LAT__PCD_ASCII, LAT__PCD_BINARY, LAT__PCD_COMPRESSED } lat__pcd_encoding;

/// Names point into the content.
typedef struct lat__pcd_field {
  const char *name;
  int32_t name_bytes;
  bool padding; ///< called `_`: takes room and is dropped
  char kind;    ///< 'I', 'U', 'F'
  int32_t size; ///< bytes of an element
  int32_t count;
  lat__scalar type;
} lat__pcd_field;

typedef struct lat__pcd_header {
  lat__pcd_encoding encoding;
  int32_t n_fields;
  int64_t width, height, points; ///< -1: not given
  int64_t record_bytes;          ///< of a point in binary, padding included
  int64_t kept_bytes;            ///< of a point without padding
  int64_t n_words;               ///< of a point in ascii
  int64_t data_offset;           ///< first byte behind the DATA line
  int64_t data_line;             ///< number of the line that begins there
  lat__pcd_field fields[LAT__PCD_FIELDS];
} lat__pcd_header;

/// Parses the header. Errors: BAD_DATA, UNSUPPORTED: name the line.
LAT_CHECKED lat_status lat__pcd_read_header(const lat__io_content *content, lat__pcd_header *header);

/// Reads the points of an ascii file into the table's arrays. Columns stand in the table in the order of the fields, one
/// for each element of a field that is no padding. Errors: BAD_DATA.
LAT_CHECKED lat_status lat__pcd_read_ascii(const lat__io_content *content, const lat__pcd_header *header,
                                           const lat__table *table);

#endif
