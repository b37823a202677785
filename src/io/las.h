/// What the LAS reader and writer share: the header, and where the values of a point stand in each format.
///
/// las_header.c checks the header and finds the description of the extra bytes; las_read.c makes columns and the cloud;
/// las_grid.c chooses the integers that positions are stored as; las_write.c writes.
/// Layout: ASPRS, LAS Specification 1.4 - R15.
#ifndef LATTICE_IO_LAS_H
#define LATTICE_IO_LAS_H

#include "io/io_file.h"
#include "io/table.h"

enum {
  LAT__LAS_HEADER_BYTES = 375, ///< of version 1.4
  LAT__LAS_VLR_BYTES = 54,     ///< in front of a variable length record
  LAT__LAS_EXTRA_BYTES = 192,  ///< that describe one extra value
  LAT__LAS_NAME_BYTES = 32,    ///< of an extra value
  LAT__LAS_MOST_EXTRA = 341    ///< descriptions that fit a variable length record
};

typedef struct lat__las_header {
  int32_t format; ///< 0 to 10
  int32_t record_bytes;
  int64_t n_points;
  int64_t points_at; ///< offset of the first point
  int32_t n_extra;   ///< described extra values
  lat__las_grid grid;
  uint8_t extra[LAT__LAS_MOST_EXTRA * LAT__LAS_EXTRA_BYTES]; ///< their descriptions
} lat__las_header;

/// Bytes of a point of a format, without extra bytes.
int32_t lat__las_format_bytes(int32_t format);

/// Where a value stands in a point.
typedef struct lat__las_place {
  int32_t at; ///< offset; -1: not there
  lat__scalar type;
  uint8_t shift, mask; ///< as in lat__column
} lat__las_place;

/// One value of a point: its place in the formats 0 to 5, and in 6 to 10.
typedef struct lat__las_value {
  const char *name;
  lat__las_place place[2];
} lat__las_value;

/// The values that every format of a kind has, as fields.
enum {
  LAT__LAS_RETURN_NUMBER = 1,
  LAT__LAS_NUMBER_OF_RETURNS = 2,
  LAT__LAS_SCANNER_CHANNEL = 7,
  LAT__LAS_SCAN_ANGLE = 8,
  LAT__LAS_VALUES = 11
};
extern const lat__las_value lat__las_values[LAT__LAS_VALUES];

/// Offsets of gps_time, of red (green and blue follow) and of nir in a format; -1: it does not have them.
int32_t lat__las_gps_at(int32_t format);
int32_t lat__las_colour_at(int32_t format);
int32_t lat__las_nir_at(int32_t format);

/// Degrees of one unit of scan_angle in a format.
static inline double lat__las_angle_unit(int32_t format) {
  return format < 6 ? 1.0 : 0.006;
}

/// Reads and checks everything in front of the points. Errors: BAD_DATA, UNSUPPORTED, IO_ERROR, OUT_OF_MEMORY.
LAT_CHECKED lat_status lat__las_read_header(lat_context *context, const lat__io_content *content,
                                            lat__las_header *header);

/// Chooses scale and offset of each axis: the wanted ones (scale not 0), those of the file that the cloud came from, or
/// the coarsest of 1, 0.1, … 1e-9 that gives every position back to the bit; where none does, the finest that covers the
/// positions. Errors: INVALID_ARGUMENT (a position is not finite), OVERFLOW.
LAT_CHECKED lat_status lat__las_choose_grid(const lat_cloud *cloud, const lat__las_grid *wanted, lat__las_grid *grid);

/// Position `index` of a contiguous `(N, 3)` view.
double lat__las_position(const lat_array_view *positions, int64_t index);

/// The integer that stands for a position; false when it leaves int32.
bool lat__las_quantize(double position, double scale, double offset, int32_t *out);

#endif
