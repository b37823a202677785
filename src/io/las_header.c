/// The header of a LAS file and its variable length records. Everything is checked against the file's size before a byte
/// behind it is read.
#include <math.h>
#include <string.h>

#include "core/compiler.h"
#include "io/io_content.h"
#include "io/las.h"

const lat__las_value lat__las_values[LAT__LAS_VALUES] = {
    {"intensity", {{12, LAT__SCALAR_U16, 0, 0}, {12, LAT__SCALAR_U16, 0, 0}}},
    {"return_number", {{14, LAT__SCALAR_U8, 0, 7}, {14, LAT__SCALAR_U8, 0, 15}}},
    {"number_of_returns", {{14, LAT__SCALAR_U8, 3, 7}, {14, LAT__SCALAR_U8, 4, 15}}},
    {"scan_direction", {{14, LAT__SCALAR_U8, 6, 1}, {15, LAT__SCALAR_U8, 6, 1}}},
    {"edge_of_flight_line", {{14, LAT__SCALAR_U8, 7, 1}, {15, LAT__SCALAR_U8, 7, 1}}},
    {"classification", {{15, LAT__SCALAR_U8, 0, 31}, {16, LAT__SCALAR_U8, 0, 255}}},
    {"classification_flags", {{15, LAT__SCALAR_U8, 5, 7}, {15, LAT__SCALAR_U8, 0, 15}}},
    {"scanner_channel", {{-1, LAT__SCALAR_U8, 0, 0}, {15, LAT__SCALAR_U8, 4, 3}}},
    {"scan_angle", {{16, LAT__SCALAR_I8, 0, 0}, {18, LAT__SCALAR_I16, 0, 0}}},
    {"user_data", {{17, LAT__SCALAR_U8, 0, 0}, {17, LAT__SCALAR_U8, 0, 0}}},
    {"point_source_id", {{18, LAT__SCALAR_U16, 0, 0}, {20, LAT__SCALAR_U16, 0, 0}}},
};

int32_t lat__las_format_bytes(int32_t format) {
  static const int8_t bytes[] = {20, 28, 26, 34, 57, 63, 30, 36, 38, 59, 67};
  return bytes[format];
}

int32_t lat__las_gps_at(int32_t format) {
  static const int8_t at[] = {-1, 20, -1, 20, 20, 20, 22, 22, 22, 22, 22};
  return at[format];
}

int32_t lat__las_colour_at(int32_t format) {
  static const int8_t at[] = {-1, -1, 20, 28, -1, 28, -1, 30, 30, -1, 30};
  return at[format];
}

int32_t lat__las_nir_at(int32_t format) {
  return format == 8 || format == 10 ? 36 : -1;
}

static lat_status header_error(const lat__io_content *content, lat_status status, const char *what, int64_t got,
                               const char *expected) {
  return lat_fail(status, "cloud_read: %s: header: %s: got %lld, expected %s", lat__io_path(content->path).text, what,
                  (long long)got, expected);
}

/// Signature, version, and that the fixed part is whole. Gives the minor version.
static lat_status check_start(const lat__io_content *content, int32_t *minor) {
  static const int16_t least_bytes[] = {227, 227, 227, 235, LAT__LAS_HEADER_BYTES};
  if (content->n_bytes < 4 || memcmp(content->bytes, "LASF", 4) != 0) {
    return lat_fail(LAT_STATUS_BAD_DATA, "cloud_read: %s: byte 0: not a LAS file: got '%s', expected 'LASF'",
                    lat__io_path(content->path).text,
                    lat__io_excerpt(content->bytes, content->n_bytes < 4 ? content->n_bytes : 4).text);
  }
  if (content->n_bytes < 227) {
    return header_error(content, LAT_STATUS_BAD_DATA, "truncated: bytes of the file", content->n_bytes, "227 or more");
  }
  *minor = content->bytes[25];
  if (content->bytes[24] != 1 || *minor > 4) {
    return lat_fail(LAT_STATUS_UNSUPPORTED, "cloud_read: %s: header: LAS version: got %d.%d, expected 1.0 to 1.4",
                    lat__io_path(content->path).text, (int)content->bytes[24], (int)*minor);
  }
  int64_t header_bytes = (int64_t)lat__load_le(content->bytes + 94, 2);
  if (header_bytes < least_bytes[*minor] || header_bytes > content->n_bytes) {
    return header_error(content, LAT_STATUS_BAD_DATA, "header size", header_bytes,
                        "at least 227 (of version 1.3: 235, of 1.4: 375) and at most the file's size");
  }
  return LAT_STATUS_OK;
}

static lat_status read_format(const lat__io_content *content, lat__las_header *header) {
  int32_t format = content->bytes[104];
  if (format & 0xc0) {
    return lat_fail(LAT_STATUS_UNSUPPORTED,
                    "cloud_read: %s: header: the points are compressed (LAZ): got point format byte %d, expected an "
                    "uncompressed file: convert it, for instance with `laszip -i FILE.laz -o FILE.las`",
                    lat__io_path(content->path).text, (int)format);
  }
  if (format > 10) return header_error(content, LAT_STATUS_UNSUPPORTED, "point format", format, "0 to 10");
  header->format = format;
  header->record_bytes = (int32_t)lat__load_le(content->bytes + 105, 2);
  if (header->record_bytes < lat__las_format_bytes(format)) {
    return lat_fail(LAT_STATUS_BAD_DATA,
                    "cloud_read: %s: header: point record length: got %d bytes, expected at least %d (point format %d)",
                    lat__io_path(content->path).text, (int)header->record_bytes, (int)lat__las_format_bytes(format),
                    (int)format);
  }
  return LAT_STATUS_OK;
}

/// The number of points, which version 1.4 has twice, and that the file has room for them.
static lat_status read_count(const lat__io_content *content, int32_t minor, lat__las_header *header) {
  uint64_t old_count = lat__load_le(content->bytes + 107, 4);
  uint64_t count = minor >= 4 ? lat__load_le(content->bytes + 247, 8) : old_count;
  int64_t least_at = (int64_t)lat__load_le(content->bytes + 94, 2);
  header->points_at = (int64_t)lat__load_le(content->bytes + 96, 4);
  if (count == 0) count = old_count;
  if (old_count != 0 && old_count != count) {
    return lat_fail(LAT_STATUS_BAD_DATA,
                    "cloud_read: %s: header: number of points: got %llu, expected %llu as in the older field",
                    lat__io_path(content->path).text, (unsigned long long)count, (unsigned long long)old_count);
  }
  if (header->points_at < least_at || header->points_at > content->n_bytes) {
    return header_error(content, LAT_STATUS_BAD_DATA, "offset of the points", header->points_at,
                        "a place behind the header and inside the file");
  }
  int64_t room = (content->n_bytes - header->points_at) / header->record_bytes;
  if (count > (uint64_t)room) {
    return lat_fail(LAT_STATUS_BAD_DATA,
                    "cloud_read: %s: the header claims %llu points of %d bytes: got room for %lld, expected more "
                    "(truncated or lying)",
                    lat__io_path(content->path).text, (unsigned long long)count, (int)header->record_bytes,
                    (long long)room);
  }
  header->n_points = (int64_t)count;
  return LAT_STATUS_OK;
}

static lat_status read_grid(const lat__io_content *content, lat__las_header *header) {
  header->grid.known = 1;
  header->grid.standard_gps = content->bytes[6] & 1;
  for (int32_t axis = 0; axis < 3; axis++) {
    double scale = lat__scalar_value(LAT__SCALAR_F64, content->bytes + 131 + 8 * axis);
    double offset = lat__scalar_value(LAT__SCALAR_F64, content->bytes + 155 + 8 * axis);
    if (!isfinite(scale) || scale == 0.0 || !isfinite(offset)) {
      return lat_fail(LAT_STATUS_BAD_DATA,
                      "cloud_read: %s: header: scale and offset of %c: got %g and %g, expected finite numbers and a "
                      "scale other than 0",
                      lat__io_path(content->path).text, "xyz"[axis], scale, offset);
    }
    header->grid.scale[axis] = scale;
    header->grid.offset[axis] = offset;
  }
  return LAT_STATUS_OK;
}

/// Walks the variable length records between header and points and keeps the one that describes extra bytes.
static lat_status read_records(lat_context *context, const lat__io_content *content, lat__las_header *header) {
  lat_status status = LAT_STATUS_OK;
  lat__io_window window;
  LAT_TRY(lat__io_window_open(context, content, &window), done);
  int64_t at = (int64_t)lat__load_le(content->bytes + 94, 2);
  uint64_t n_records = lat__load_le(content->bytes + 100, 4);
  for (uint64_t i = 0; i < n_records; i++) { // ends with the room at the latest
    const uint8_t *record = NULL;
    int64_t room = header->points_at - at - LAT__LAS_VLR_BYTES;
    if (room >= 0) LAT_TRY(lat__io_window_get(&window, at, LAT__LAS_VLR_BYTES, &record), done);
    int64_t n_bytes = record ? (int64_t)lat__load_le(record + 20, 2) : 0;
    if (room < n_bytes) {
      status = lat_fail(LAT_STATUS_BAD_DATA,
                        "cloud_read: %s: byte %lld: variable length record %llu of %llu: got %lld bytes before the "
                        "points, expected %lld",
                        lat__io_path(content->path).text, (long long)at, (unsigned long long)i,
                        (unsigned long long)n_records, (long long)(room + LAT__LAS_VLR_BYTES),
                        (long long)(n_bytes + LAT__LAS_VLR_BYTES));
      goto done;
    }
    if (memcmp(record + 2, "LASF_Spec\0", 10) == 0 && lat__load_le(record + 18, 2) == 4) {
      header->n_extra = (int32_t)(n_bytes / LAT__LAS_EXTRA_BYTES); // at most 65535 / 192: they have room
      LAT_TRY(lat__io_window_get(&window, at + LAT__LAS_VLR_BYTES, n_bytes, &record), done);
      memcpy(header->extra, record, (size_t)header->n_extra * LAT__LAS_EXTRA_BYTES);
    }
    at += LAT__LAS_VLR_BYTES + n_bytes;
  }
done:
  lat__io_window_close(&window);
  return status;
}

lat_status lat__las_read_header(lat_context *context, const lat__io_content *content, lat__las_header *header) {
  lat_status status = LAT_STATUS_OK;
  int32_t minor = 0;
  LAT_TRY(check_start(content, &minor), done);
  LAT_TRY(read_format(content, header), done);
  LAT_TRY(read_count(content, minor, header), done);
  LAT_TRY(read_grid(content, header), done);
  LAT_TRY(read_records(context, content, header), done);
done:
  return status;
}
