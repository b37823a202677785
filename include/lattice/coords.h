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

/// For each row of `queries`: 1 where `coords` has an equal row, else 0. `*out` is a new uint8 array of length Q.
/// Errors: as lat_coords_lookup.
LAT_API LAT_CHECKED lat_status lat_coords_contains(lat_context *context, const lat_coords *coords,
                                                   const lat_array_view *queries, lat_array **out);

/// For each row of `target`: the first equal row of `source`, or -1; a new int32 array.
/// Errors: INVALID_ARGUMENT (NULL), OUT_OF_MEMORY.
LAT_API LAT_CHECKED lat_status lat_coords_inverse_map(lat_context *context, const lat_coords *source,
                                                      const lat_coords *target, lat_array **out_rows);

/// Number of rows that equal an earlier row: 0 for a set without duplicates. Writes `*out` on success only.
/// Errors: as lat_coords_inverse_map.
LAT_API LAT_CHECKED lat_status lat_coords_duplicates(lat_context *context, const lat_coords *coords, int64_t *out);

/// Distinct rows of lhs, then those of rhs that lhs lacks; both in first-seen order.
/// Errors: INVALID_ARGUMENT (NULL; "coordinate strides must match"), OVERFLOW (2^31 rows), OUT_OF_MEMORY.
LAT_API LAT_CHECKED lat_status lat_coords_union(lat_context *context, const lat_coords *lhs, const lat_coords *rhs,
                                                lat_coords **out);

/// Distinct rows of lhs that are in rhs, in lhs's order. Errors: as lat_coords_union.
LAT_API LAT_CHECKED lat_status lat_coords_intersection(lat_context *context, const lat_coords *lhs,
                                                       const lat_coords *rhs, lat_coords **out);

/// Distinct floor(row / stride), first-seen, with stride `coords.stride * stride`. Asking again gives the same set, which
/// is also the output of every operation with that stride.
/// Errors: INVALID_ARGUMENT (NULL; "stride values must be positive"), OVERFLOW (the stride leaves int32), OUT_OF_MEMORY.
LAT_API LAT_CHECKED lat_status lat_coords_downsample(lat_context *context, const lat_coords *coords, lat_triple stride,
                                                     lat_coords **out);

/// Z-order codes of `(N, 4)` rows, a new int64 array: the low 21 bits of x, y and z interleaved (x lowest), plus the batch
/// shifted left by 60. Only the low 4 bits of the batch survive, and a batch with bit 3 set makes the code negative.
/// Errors: as lat_coords_create.
LAT_API LAT_CHECKED lat_status lat_morton_codes(lat_context *context, const lat_array_view *rows, lat_array **out);

/// Rows in ascending order of their signed Z-order codes, ties in row order: a new int32 array of row numbers.
/// Errors: as lat_coords_create.
LAT_API LAT_CHECKED lat_status lat_morton_order(lat_context *context, const lat_array_view *rows, lat_array **out);

/// A set's rows in Z-order. `*out_order` holds the old row of each new row, `*out_inverse` the new row of each old row
/// (int32; either may be NULL when it is not wanted).
/// Errors: INVALID_ARGUMENT (NULL), OUT_OF_MEMORY.
LAT_API LAT_CHECKED lat_status lat_coords_morton_sort(lat_context *context, const lat_coords *coords, lat_coords **out,
                                                      lat_array **out_order, lat_array **out_inverse);

/// Octree step up: parents `floor(coord / 2)`, first-seen, with twice the stride (the set of lat_coords_downsample by 2),
/// and for each parent an int32 mask with bit `(x & 1) + 2 (y & 1) + 4 (z & 1)` set for every child there.
/// Errors: as lat_coords_downsample.
LAT_API LAT_CHECKED lat_status lat_occupancy_downsample(lat_context *context, const lat_coords *coords,
                                                        lat_coords **out_parents, lat_array **out_occupancy);

/// Octree step down: for each parent in order and each set bit c of its mask ascending (bits 0 to 7), the child
/// `2 * parent + (c & 1, c >> 1 & 1, c >> 2 & 1)` with half the stride. `*out_parent_rows` and `*out_child_indices` are
/// int32 and may be NULL when they are not wanted.
/// Errors: INVALID_ARGUMENT (NULL; "must divide": a stride that is not even), INVALID_SHAPE, INVALID_DTYPE (the mask is an
/// `(N,)` int32 view), OVERFLOW (a child outside int32: names the row; 2^31 rows), OUT_OF_MEMORY.
LAT_API LAT_CHECKED lat_status lat_occupancy_expand(lat_context *context, const lat_coords *parents,
                                                    const lat_array_view *occupancy, lat_coords **out_children,
                                                    lat_array **out_parent_rows, lat_array **out_child_indices);

/// Row by row the child `2 * parent + bits(index)`; `child_indices` is an `(N,)` int32 view of which the low 3 bits count.
/// Errors: as lat_occupancy_expand.
LAT_API LAT_CHECKED lat_status lat_child_coords(lat_context *context, const lat_coords *parents,
                                                const lat_array_view *child_indices, lat_coords **out);

/// Adds a reference and returns `coords` (NULL is passed through).
LAT_API lat_coords *lat_coords_retain(const lat_coords *coords);

/// Drops a reference; NULL is accepted. Cached relations die with the last one.
LAT_API void lat_coords_release(lat_coords *coords);

#ifdef __cplusplus
}
#endif
#endif
