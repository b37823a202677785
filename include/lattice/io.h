/// \file io.h
/// Point-cloud files and pictures (library `liblattice_io`, on top of `liblattice`).
///
/// A cloud is a set of points: positions and any number of named per-point fields, in file order.
#ifndef LATTICE_IO_H
#define LATTICE_IO_H

#include <lattice/array.h>

#ifdef __cplusplus
extern "C" {
#endif

/// Opaque, reference-counted point cloud. Fields are added while it is built; immutable once shared.
typedef struct lat_cloud lat_cloud;

/// File formats.
typedef enum lat_cloud_format {
  LAT_CLOUD_FORMAT_AUTO = 0,  ///< from the content (how PLY, PCD and LAS begin), else from the file name
  LAT_CLOUD_FORMAT_PLY = 1,   ///< ascii, binary little and big endian; any scalar vertex properties
  LAT_CLOUD_FORMAT_KITTI = 2, ///< raw little-endian float32 rows of 4 (x y z intensity) or 5 (… ring) values
  LAT_CLOUD_FORMAT_PCD = 3,   ///< versions 0.5 to 0.7: ascii, binary, binary_compressed; any fields
  LAT_CLOUD_FORMAT_LAS = 4    ///< versions 1.0 to 1.4, point formats 0 to 10, uncompressed
} lat_cloud_format;

/// Options of lat_cloud_read. NULL or zero fields mean the defaults.
typedef struct lat_cloud_read_opts {
  size_t struct_bytes;      ///< sizeof(lat_cloud_read_opts)
  lat_cloud_format format;  ///< AUTO: decide
  int32_t floats_per_point; ///< KITTI: 4 or 5; 0: decided from the file (size and plausibility); ambiguous: an error
} lat_cloud_read_opts;

#define LAT_CLOUD_READ_OPTS_INIT                                                                                       \
  { sizeof(lat_cloud_read_opts), LAT_CLOUD_FORMAT_AUTO, 0 }

/// Reads a point cloud from a regular file. Positions are float32, or float64 when the file stores a coordinate as a
/// type that float32 does not hold (double, int, uint). Every other scalar property becomes a field of its own name and
/// type; types without an equal dtype are widened (char to int16, ushort to uint32, uint64 to int64, where a value above
/// int64 is an error). The columns of a KITTI file are called `intensity` and `ring`. NaN and infinities are read as they
/// are; list properties are stepped over.
///
/// Memory is bounded by the file's real size, whatever its header claims: for each of its bytes at most four bytes of
/// arrays. LAS and binary PCD are read in pieces, at the cost of the cloud and 1.6 MiB; other files are in memory while
/// they are read. Of a compressed file the bound holds for what it unpacks to (at most 88 bytes for one, found out before
/// memory is taken), which is in memory beside the stream, then beside the cloud. A file that becomes shorter meanwhile is
/// an IO_ERROR.
///
/// PLY: a header of at most 1 MiB, 32 elements and 512 properties; lines end in LF, CR LF or CR; one element a line in
/// ascii; nothing but white space after the last element. KITTI without `floats_per_point`: where the size fits 4 and 5,
/// the values decide (an intensity is 0 to 65535, a ring a whole number below 1024).
/// PCD: the header has a FIELDS, SIZE and TYPE line, COUNT defaults to 1, POINTS must be WIDTH x HEIGHT where both are
/// there; at most 512 values a point and a header of 1 MiB. The elements of a field of COUNT n > 1 become fields
/// `name_0` to `name_{n-1}`. Fields called `_` are padding and dropped. A field `rgb` or `rgba` of TYPE F and SIZE 4 holds
/// colours in its bits, 0xAARRGGBB, and becomes uint32. VIEWPOINT is not applied.
///
/// LAS: float64 positions `integer * scale + offset`. Fields `intensity`, `return_number`, `number_of_returns`,
/// `scan_direction`, `edge_of_flight_line`, `classification`, `classification_flags` (bits 0 to 3: synthetic, key point,
/// withheld, overlap), `scan_angle` (float32, degrees), `user_data`, `point_source_id`; where the point format has them
/// `scanner_channel`, `gps_time` (float64), `red`, `green`, `blue`, `nir` (uint32, 0 to 65535). Extra bytes that a variable
/// length record describes become fields of their names (float64 where it gives a scale or offset; white space becomes
/// `_`, several elements `name_0`, …, a taken name `name_2`); others, wave packets and other records are stepped over.
/// Compressed points (LAZ) are UNSUPPORTED. Source: ASPRS, LAS Specification 1.4 - R15.
///
/// Errors: IO_ERROR (missing or unreadable file, a directory, a pipe: the system's reason), BAD_DATA (truncated, lying
/// or malformed: names the file, the place and what was expected), UNSUPPORTED (a format it does not read),
/// OUT_OF_MEMORY, INVALID_ARGUMENT (NULL, a value of `opts`).
LAT_API LAT_CHECKED lat_status lat_cloud_read(lat_context *context, const char *path, const lat_cloud_read_opts *opts,
                                              lat_cloud **out);

/// New cloud from `(N, 3)` float32 or float64 positions (any strides). Copies.
/// Errors: INVALID_ARGUMENT (NULL), INVALID_SHAPE ("positions must have shape (N, 3)"), INVALID_DTYPE ("positions must be
/// float32 or float64"), OUT_OF_MEMORY.
LAT_API LAT_CHECKED lat_status lat_cloud_create(lat_context *context, const lat_array_view *positions, lat_cloud **out);

/// Adds a per-point field: `(N,)` of any dtype. Copies values and name. Errors: INVALID_ARGUMENT (NULL, a taken name, one
/// of no or over 255 bytes or with white space, the names x, y, z), INVALID_SHAPE, INVALID_DTYPE, OUT_OF_MEMORY.
LAT_API LAT_CHECKED lat_status lat_cloud_add_field(lat_context *context, lat_cloud *cloud, const char *name,
                                                   const lat_array_view *values);

LAT_API int64_t lat_cloud_count(const lat_cloud *cloud); ///< points

/// How the points were stored, for people: "PLY (ascii)", "KITTI (4 floats a point)", …; "memory" for a cloud made by
/// lat_cloud_create. Static storage.
LAT_API const char *lat_cloud_source(const lat_cloud *cloud);

/// `(N, 3)` positions. Borrowed: valid while a reference is held.
LAT_API lat_array_view lat_cloud_positions(const lat_cloud *cloud);

LAT_API int32_t lat_cloud_n_fields(const lat_cloud *cloud); ///< fields besides the positions

/// Name of field `index` (0 to n_fields - 1), or NULL outside. Borrowed likewise.
LAT_API const char *lat_cloud_field_name(const lat_cloud *cloud, int32_t index);

/// Values of field `index`; a view of rank 0 with NULL data outside the range. Borrowed likewise.
LAT_API lat_array_view lat_cloud_field(const lat_cloud *cloud, int32_t index);

/// Index of the field called `name`, or -1.
LAT_API int32_t lat_cloud_find_field(const lat_cloud *cloud, const char *name);

/// Options of lat_cloud_write_ply. NULL or zero fields mean the defaults.
typedef struct lat_ply_write_opts {
  size_t struct_bytes; ///< sizeof(lat_ply_write_opts)
  int32_t ascii;       ///< non-zero: ascii; 0: binary little endian
} lat_ply_write_opts;

#define LAT_PLY_WRITE_OPTS_INIT                                                                                        \
  { sizeof(lat_ply_write_opts), 0 }

/// Writes positions and every field as PLY vertex properties (float16 and bfloat16 as float; int64 is refused). Text
/// has as many digits as reading the same value back needs. Equal clouds give equal bytes.
///
/// The file appears complete or not at all: it is written under another name in the target's folder and then moved, so a
/// failure leaves no partial file and keeps an old one. A symbolic link is replaced by the file.
/// Errors: IO_ERROR (names the path and the system's reason; a directory or device as target), INVALID_DTYPE,
/// INVALID_ARGUMENT (NULL), OUT_OF_MEMORY.
LAT_API LAT_CHECKED lat_status lat_cloud_write_ply(lat_context *context, const lat_cloud *cloud, const char *path,
                                                   const lat_ply_write_opts *opts);

/// Options of lat_cloud_write_las. NULL or zero fields mean the defaults.
typedef struct lat_las_write_opts {
  size_t struct_bytes; ///< sizeof(lat_las_write_opts)
  double scale[3];     ///< step of x, y, z; 0: chosen, and the offset of that axis with it
  double offset[3];    ///< where `scale` is given: position = integer * scale + offset
} lat_las_write_opts;

#define LAT_LAS_WRITE_OPTS_INIT                                                                                        \
  {                                                                                                                    \
    sizeof(lat_las_write_opts), {0, 0, 0}, {                                                                           \
      0, 0, 0                                                                                                          \
    }                                                                                                                  \
  }

/// Writes positions and every field as LAS 1.4. Complete or not at all, as above; equal clouds give equal bytes.
///
/// Positions are stored as int32 steps. The chosen grid is that of the LAS file the cloud was read from, or the coarsest
/// decimal one (1 to 1e-9) that gives every position back to the bit; where there is none, the finest decimal one that
/// covers the cloud, and positions are rounded to its nearest step.
///
/// Fields with the names that lat_cloud_read gives to LAS values are stored as those: whole numbers in the range of the
/// value, scan_angle to 0.006 degrees, colours when all three are there (uint8 ones are scaled by 257), nir with them. The
/// smallest point format that holds them is chosen: 0 to 3 where nothing needs more, else 6, 7 or 8. Values that a format
/// has and the cloud lacks are 0 (return_number and number_of_returns: 1). Every other field becomes a described extra
/// value (float16 and bfloat16 as float32). So a cloud read from a LAS file comes back with every field and value.
/// Errors: as lat_cloud_write_ply; INVALID_ARGUMENT (a position that is not finite, a bad scale, a field name over 32
/// bytes, more than 341 extra values), OVERFLOW (a value that does not fit its LAS field: names field and point; positions
/// that leave int32 with the given scale).
LAT_API LAT_CHECKED lat_status lat_cloud_write_las(lat_context *context, const lat_cloud *cloud, const char *path,
                                                   const lat_las_write_opts *opts);

/// Writes an `(H, W, 3)` uint8 view (any strides) as a PNG, red first, the top row first. Complete or not at all, as
/// above. libpng takes its own small buffers from the C library.
/// Errors: IO_ERROR, INVALID_SHAPE ("image must have shape (H, W, 3)"; an empty image), INVALID_DTYPE ("image must be
/// uint8"), INVALID_ARGUMENT (NULL), OUT_OF_MEMORY.
LAT_API LAT_CHECKED lat_status lat_image_write_png(lat_context *context, const lat_array_view *image, const char *path);

/// Adds a reference and returns `cloud` (NULL is passed through).
LAT_API lat_cloud *lat_cloud_retain(const lat_cloud *cloud);

/// Drops a reference; NULL is accepted.
LAT_API void lat_cloud_release(lat_cloud *cloud);

#ifdef __cplusplus
}
#endif
#endif
