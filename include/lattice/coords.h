/// \file coords.h
/// Coordinate sets: the integer support of a sparse tensor.
///
/// A set is an immutable list of rows `(batch, x, y, z)`, int32, the whole range legal, in the caller's order. It has an
/// identity: two tensors that hold the same set need no alignment, and relations are cached on it. Coordinates are
/// logical: the physical position of a row is `(x, y, z) * stride`.
///
/// Rows should be distinct. Duplicates are kept; a lookup finds the first.
#ifndef LATTICE_COORDS_H
#define LATTICE_COORDS_H

#include <lattice/array.h>

#ifdef __cplusplus
extern "C" {
#endif

/// Opaque, reference-counted, immutable coordinate set.
typedef struct lat_coords lat_coords;

/// Options of lat_coords_create. NULL or zero fields mean the defaults.
typedef struct lat_coords_opts {
  size_t struct_bytes; ///< sizeof(lat_coords_opts)
  lat_triple stride;   ///< lattice scale of the logical coordinates; all zero: (1, 1, 1)
} lat_coords_opts;

#define LAT_COORDS_OPTS_INIT                                                                                           \
  {                                                                                                                    \
    sizeof(lat_coords_opts), {                                                                                         \
      0, 0, 0                                                                                                          \
    }                                                                                                                  \
  }

/// Makes a set from an `(N, 4)` int32 or int64 view (any strides). Copies. Each call makes a new identity.
/// Errors: INVALID_ARGUMENT (NULL, a stride component <= 0), INVALID_SHAPE ("coords must have shape (N, 4)"),
/// INVALID_DTYPE ("coords must be int32 or int64"), OVERFLOW (an int64 value outside int32: names the row; 2^31 rows or
/// more), OUT_OF_MEMORY.
LAT_API LAT_CHECKED lat_status lat_coords_create(lat_context *context, const lat_array_view *rows,
                                                 const lat_coords_opts *opts, lat_coords **out);

/// Number of rows.
LAT_API int64_t lat_coords_count(const lat_coords *coords);

/// The rows as an `(N, 4)` int32 view. Borrowed: valid while a reference to `coords` is held.
LAT_API lat_array_view lat_coords_rows(const lat_coords *coords);

/// The lattice scale.
LAT_API lat_triple lat_coords_stride(const lat_coords *coords);

/// Identity of the set: unique in the process, never reused.
LAT_API uint64_t lat_coords_id(const lat_coords *coords);

/// For each row of `queries` (`(Q, 4)` int32 or int64): the first row of `coords` with equal coordinates, or -1.
/// `*out_rows` is a new int32 array of length Q. Builds the set's index on first use.
/// Errors: as lat_coords_create.
LAT_API LAT_CHECKED lat_status lat_coords_lookup(lat_context *context, const lat_coords *coords,
                                                 const lat_array_view *queries, lat_array **out_rows);

/// Adds a reference and returns `coords` (NULL is passed through).
LAT_API lat_coords *lat_coords_retain(const lat_coords *coords);

/// Drops a reference; NULL is accepted. Cached relations die with the last one.
LAT_API void lat_coords_release(lat_coords *coords);

#ifdef __cplusplus
}
#endif
#endif
