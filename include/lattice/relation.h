/// \file relation.h
/// Relations: which input row meets which output row under which kernel element, and neighbour queries.
///
/// A kernel relation is a list of edges `(in_row, out_row, kernel_id)`. A convolution, a pool, an upsample are all
/// "reduce feature rows over a relation". For an output coordinate o and the kernel offset d_k the contributing input is
///
///     i = (o.batch, o.xyz * stride + d_k - padding)
///
/// with `k = (ix * Ky + iy) * Kz + iz`; per axis the offset is `(i - size / 2) * dilation` for an odd size (centred)
/// and `i * dilation` for an even one; under reach support (lat_support) it is `i * dilation` for every size. Edges are
/// ordered by out_row, then kernel_id. Where the input set has duplicate rows the first is taken.
///
/// Relations are cached on the input set by identity and geometry (a bounded number, least recently used go first):
/// asking again returns the same object, and an operator with the same geometry shares it.
#ifndef LATTICE_RELATION_H
#define LATTICE_RELATION_H

#include <lattice/coords.h>

#ifdef __cplusplus
extern "C" {
#endif

/// Opaque, reference-counted, immutable kernel relation.
typedef struct lat_relation lat_relation;

/// Opaque, reference-counted, immutable neighbour relation.
typedef struct lat_neighbors lat_neighbors;

/// Which rule made the output support.
typedef enum lat_relation_kind {
  LAT_RELATION_FORWARD = 0,          ///< the support rule's outputs, first-seen
  LAT_RELATION_SUBMANIFOLD = 1,      ///< the input set
  LAT_RELATION_TARGET = 2,           ///< a set given by the caller
  LAT_RELATION_TRANSPOSED = 3,       ///< every `input * stride + tap * dilation - padding`, first-seen
  LAT_RELATION_GENERATIVE = 4,       ///< row `input * volume + kernel`: every output of every input, never merged
  LAT_RELATION_TARGET_TRANSPOSED = 5 ///< transposed geometry onto a set given by the caller
} lat_relation_kind;

/// Which outputs a strided or padded forward relation has, and where its taps lie.
typedef enum lat_support {
  LAT_SUPPORT_FLOOR = 0, ///< outputs `floor(input / stride)`; taps centred for odd sizes
  LAT_SUPPORT_REACH = 1  ///< every output that meets an input under some kernel element, as dense convolutions have it:
                         ///< `input = output * stride - padding + tap * dilation`, taps from 0 for every size
} lat_support;

/// Kernel geometry. A triple that is all zero means its default; a triple with some component zero or negative (padding:
/// negative) is an error.
typedef struct lat_kernel_opts {
  size_t struct_bytes;    ///< sizeof(lat_kernel_opts)
  lat_triple kernel_size; ///< default (3, 3, 3)
  lat_triple stride;      ///< default (1, 1, 1)
  lat_triple padding;     ///< default (0, 0, 0); shifts the sampling window by -padding, never the support
  lat_triple dilation;    ///< default (1, 1, 1)
  lat_support support;    ///< default floor; forward and target relations, and the taps of lat_kernel_offsets
  lat_triple bounds;      ///< with reach support: extent D of the input box `0 .. D - 1`; all zero: none
} lat_kernel_opts;

#define LAT_KERNEL_OPTS_INIT                                                                                           \
  {                                                                                                                    \
    sizeof(lat_kernel_opts), {0, 0, 0}, {0, 0, 0}, {0, 0, 0}, {0, 0, 0}, LAT_SUPPORT_FLOOR, {                          \
      0, 0, 0                                                                                                          \
    }                                                                                                                  \
  }

/// Edges of a relation: three parallel lists. Borrowed from the relation.
typedef struct lat_relation_edge_list {
  int64_t n_edges;
  const int32_t *in_rows;
  const int32_t *out_rows;
  const int32_t *kernel_ids;
} lat_relation_edge_list;

/// How a grouped (CSR) view of the edges is keyed.
typedef enum lat_relation_group {
  LAT_RELATION_BY_OUTPUT = 0, ///< groups are output rows
  LAT_RELATION_BY_INPUT = 1,  ///< groups are input rows
  LAT_RELATION_BY_KERNEL = 2  ///< groups are kernel elements
} lat_relation_group;

/// Grouped view: the edges of group g are `edge_ids[row_offsets[g] .. row_offsets[g + 1])`, ascending. Borrowed from the
/// relation. For LAT_RELATION_BY_OUTPUT `edge_ids` is NULL: edge e of the list is edge e of the view.
typedef struct lat_relation_csr {
  int64_t n_groups;
  const int64_t *row_offsets; ///< n_groups + 1 entries
  const int64_t *edge_ids;    ///< n_edges entries, or NULL
} lat_relation_csr;

/// Writes the kernel offsets, `(volume, 3)` int32, in kernel order into a new array (centred odd sizes, forward even
/// ones, under reach support all forward; times dilation). Uses `kernel_size`, `dilation` and `support` of `opts`.
/// Errors: INVALID_ARGUMENT (NULL; "kernel_size values must be positive", …), OVERFLOW (an offset outside int32).
LAT_API LAT_CHECKED lat_status lat_kernel_offsets(lat_context *context, const lat_kernel_opts *opts, lat_array **out);

/// Forward relation of `input`. The result's output set (lat_relation_out_coords) has stride `input.stride * stride`.
///
/// Floor support: the distinct `floor(input / stride)`, first-seen, whether or not an input meets them; the input set
/// itself at stride 1 and padding 0. Padding never enlarges this support.
/// Reach support: the distinct `(input + padding - tap * dilation) / stride` where the division is exact on every axis,
/// first-seen over (input row, kernel element). With `bounds` D outputs outside
/// `0 .. floor((D + 2 padding - dilation (size - 1) - 1) / stride)` are dropped, as a dense convolution of a box of that
/// extent has it. A 1x1x1 kernel at stride 1 and padding 0 keeps the input set itself, bounds or not.
/// Errors: INVALID_ARGUMENT (NULL, geometry, "bounds without reach support", "bounds values must be positive"), OVERFLOW
/// (stride, offsets or bounds outside int32; an output outside int32 under reach support: names the input row; 2^31
/// output rows), OUT_OF_MEMORY.
LAT_API LAT_CHECKED lat_status lat_relation_create_forward(lat_context *context, const lat_coords *input,
                                                           const lat_kernel_opts *opts, lat_relation **out);

/// Submanifold relation of `input`: stride 1, padding 0, every kernel size odd; the same under both support rules.
/// Errors: as forward; INVALID_ARGUMENT ("odd kernel_size" for an even size; a stride or padding other than 1 and 0;
/// "bounds must be absent").
LAT_API LAT_CHECKED lat_status lat_relation_create_subm(lat_context *context, const lat_coords *input,
                                                        const lat_kernel_opts *opts, lat_relation **out);

/// Relation of `input` onto the caller's `target` rows (all kept, duplicates too). The support rule chooses the taps.
/// Errors: as forward; INVALID_ARGUMENT ("bounds must be absent").
LAT_API LAT_CHECKED lat_status lat_relation_create_target(lat_context *context, const lat_coords *input,
                                                          const lat_coords *target, const lat_kernel_opts *opts,
                                                          lat_relation **out);

/// Transposed relation of `input`: for every input row and kernel element, both ascending, the output
/// `o = i * stride + tap * dilation - padding`, with taps counted from 0 on every axis, odd sizes too. Where outputs cannot
/// overlap (`stride > (size - 1) * dilation` on every axis) output row is `in_row * volume + k`; otherwise equal outputs
/// are one row, first-seen. Defaults differ from lat_kernel_opts': kernel_size (2, 2, 2), stride (2, 2, 2). The output set
/// has stride `input.stride / stride`.
/// Errors: as forward; INVALID_ARGUMENT ("must divide": the input stride by the stride; "support must be floor": a
/// transposed relation has one support and its taps count from 0); OVERFLOW (an output outside int32: names the input
/// row; 2^31 output rows).
LAT_API LAT_CHECKED lat_status lat_relation_create_transposed(lat_context *context, const lat_coords *input,
                                                              const lat_kernel_opts *opts, lat_relation **out);

/// Generative relation of `input`: as transposed with padding 0 and dilation 1, but output rows are never merged, even
/// where they are equal. Errors: as transposed; INVALID_ARGUMENT for a padding or dilation other than 0 and 1.
LAT_API LAT_CHECKED lat_status lat_relation_create_generative(lat_context *context, const lat_coords *input,
                                                              const lat_kernel_opts *opts, lat_relation **out);

/// Transposed geometry onto the caller's `target` rows: the first input row with
/// `i = (t + padding - tap * dilation) / stride`, where the division is exact on every axis. No condition on strides.
/// Errors: as forward.
LAT_API LAT_CHECKED lat_status lat_relation_create_target_transposed(lat_context *context, const lat_coords *input,
                                                                     const lat_coords *target,
                                                                     const lat_kernel_opts *opts, lat_relation **out);

/// One relation of lat_relation_build_many. Sets are numbered: 0 is the call's `input`, 1 + i the output set of geometry
/// i, which for a submanifold relation is its input set and for a target relation its target.
typedef struct lat_relation_geometry {
  lat_relation_kind kind;
  int32_t input_set;             ///< 0 to the geometry's own index: only sets that exist before it
  int32_t target_set;            ///< target and target-transposed: likewise; otherwise 0
  const lat_kernel_opts *kernel; ///< as the creator of this kind takes it; NULL: its defaults. Borrows until return
} lat_relation_geometry;

/// Builds the relations of a whole pyramid at once: what a network needs, before its first layer runs. Every geometry
/// is checked before anything is built. Each set is sorted once, a coarser one from the order of the finer. The relations
/// are those that the creators give, and cached likewise: an operator with the same geometry on the same set finds them.
/// `out` has room for n handles. On failure all of them are NULL.
/// Errors: INVALID_ARGUMENT (NULL; a negative n; "geometry 3: input_set": not an earlier set; an unknown kind), and those
/// of the creators, all naming the geometry's index.
LAT_API LAT_CHECKED lat_status lat_relation_build_many(lat_context *context, const lat_coords *input,
                                                       const lat_relation_geometry *geometries, int64_t n,
                                                       lat_relation **out);

/// Makes the set of a target that is given as rows, an `(M, 4)` int32 or int64 view, at the stride that outputs of `input`
/// have: `input.stride * stride` for the kind LAT_RELATION_TARGET, `input.stride / stride` for
/// LAT_RELATION_TARGET_TRANSPOSED (defaults of `opts` as that kind's). Copies; all rows are kept; each call makes a new
/// identity. A target has three forms, all of them sets in this interface: a tensor's (lat_tensor_coords), one that the
/// caller has, and rows made a set by this function. Made once, it serves the gradient and every further call too, and
/// their relations are shared.
/// Errors: as lat_coords_create; INVALID_ARGUMENT (geometry; another kind; "must divide": the input stride by the stride),
/// OVERFLOW (the stride leaves int32).
LAT_API LAT_CHECKED lat_status lat_target_coords_create(lat_context *context, const lat_coords *input,
                                                        const lat_array_view *rows, lat_relation_kind kind,
                                                        const lat_kernel_opts *opts, lat_coords **out);

LAT_API lat_relation_kind lat_relation_kind_of(const lat_relation *relation); ///< the rule that made it
LAT_API int64_t lat_relation_n_edges(const lat_relation *relation);           ///< edges
LAT_API int64_t lat_relation_n_in(const lat_relation *relation);              ///< rows of the input set
LAT_API int64_t lat_relation_n_out(const lat_relation *relation);             ///< rows of the output set
LAT_API int32_t lat_relation_n_kernels(const lat_relation *relation);         ///< kernel elements

/// The output set that the relation made, or NULL when the output set is one the caller already has (the input for a
/// submanifold relation and for a forward one at stride 1 and padding 0, under reach support with a 1x1x1 kernel; the
/// target for a relation onto a target): a relation never keeps the sets it was asked about alive. Borrowed from the
/// relation.
LAT_API const lat_coords *lat_relation_out_coords(const lat_relation *relation);

/// The edges, ordered by (out_row, kernel_id). Built on first use. Borrowed: valid while a reference is held.
/// Errors: INVALID_ARGUMENT (NULL), OUT_OF_MEMORY.
LAT_API LAT_CHECKED lat_status lat_relation_edges(lat_context *context, const lat_relation *relation,
                                                  lat_relation_edge_list *out);

/// A grouped view of the edges. Built on first use. Borrowed: valid while a reference is held.
/// Errors: as lat_relation_edges; INVALID_ARGUMENT (a group outside the enum).
LAT_API LAT_CHECKED lat_status lat_relation_group_edges(lat_context *context, const lat_relation *relation,
                                                        lat_relation_group group, lat_relation_csr *out);

/// Adds a reference and returns `relation` (NULL is passed through).
LAT_API lat_relation *lat_relation_retain(const lat_relation *relation);

/// Drops a reference; NULL is accepted.
LAT_API void lat_relation_release(lat_relation *relation);

/// Options of a radius query.
typedef struct lat_radius_opts {
  size_t struct_bytes;   ///< sizeof(lat_radius_opts)
  double radius;         ///< in logical coordinate units, >= 0 and finite; the ball is closed
  int64_t max_neighbors; ///< keep at most this many nearest per query; 0: all of them; negative: an error
} lat_radius_opts;

#define LAT_RADIUS_OPTS_INIT                                                                                           \
  { sizeof(lat_radius_opts), 0.0, 0 }

/// Edges of a neighbour relation. Borrowed from it. The edges of query q are `row_offsets[q] .. row_offsets[q + 1]`.
typedef struct lat_neighbor_list {
  int64_t n_edges;
  int64_t n_queries;
  int64_t n_sources;
  const int32_t *query_rows;
  const int32_t *source_rows;
  const int32_t *neighbor_ids;    ///< rank within the query, from 0
  const float *squared_distances; ///< (dx^2 + dy^2 + dz^2) in float32, logical units
  const int64_t *row_offsets;     ///< n_queries + 1 entries
} lat_neighbor_list;

/// For every query row (ascending) the source rows of the same batch within the radius, ordered by (distance, source
/// row). Of duplicated source coordinates only the first row is seen. `queries` NULL means `sources`.
/// Included is a source with `float32(dx^2 + dy^2 + dz^2) <= float32(radius * radius)`.
/// Errors: INVALID_ARGUMENT (NULL; "radius must be non-negative"; "max_neighbors must be positive"; "same coordinate
/// stride" when the two sets differ in it), OUT_OF_MEMORY.
LAT_API LAT_CHECKED lat_status lat_neighbors_create_radius(lat_context *context, const lat_coords *sources,
                                                           const lat_coords *queries, const lat_radius_opts *opts,
                                                           lat_neighbors **out);

/// Options of a nearest-neighbour query.
typedef struct lat_knn_opts {
  size_t struct_bytes; ///< sizeof(lat_knn_opts)
  int64_t k;           ///< neighbours of each query, 1 or more; there is no default
} lat_knn_opts;

#define LAT_KNN_OPTS_INIT                                                                                              \
  { sizeof(lat_knn_opts), 0 }

/// For every query row (ascending) its `k` nearest source rows of the same batch, ordered by (distance, source row): all
/// of them where there are fewer. Every row counts, duplicates and, within one set, the query itself. Exact in the float32
/// distances of lat_neighbor_list. `queries` NULL means `sources`.
/// Errors: INVALID_ARGUMENT (NULL; "k must be positive"; "same coordinate stride" when the two sets differ in it),
/// OUT_OF_MEMORY.
LAT_API LAT_CHECKED lat_status lat_neighbors_create_knn(lat_context *context, const lat_coords *sources,
                                                        const lat_coords *queries, const lat_knn_opts *opts,
                                                        lat_neighbors **out);

/// The edges. Borrowed: valid while a reference is held.
LAT_API lat_neighbor_list lat_neighbors_edges(const lat_neighbors *neighbors);

/// Gathers the source feature row of every edge: `(n_sources, C)` floats in, a new `(n_edges, C)` array out.
/// Errors: INVALID_ARGUMENT (NULL), INVALID_SHAPE (rank, a row count other than n_sources), INVALID_DTYPE,
/// OUT_OF_MEMORY.
LAT_API LAT_CHECKED lat_status lat_gather_neighbor_features(lat_context *context, const lat_array_view *features,
                                                            const lat_neighbors *neighbors, lat_array **out);

/// Gradient of the features of lat_gather_neighbor_features, `(n_sources, C)` in their dtype: every source row sums the rows
/// of `grad_out`, `(n_edges, C)` of any float dtype, of its edges, in their order, in double with one rounding. Of `features`
/// shape and dtype count.
/// Errors: as lat_gather_neighbor_features; INVALID_SHAPE, INVALID_DTYPE ("grad_out").
LAT_API LAT_CHECKED lat_status lat_gather_neighbor_features_backward(lat_context *context,
                                                                     const lat_array_view *features,
                                                                     const lat_neighbors *neighbors,
                                                                     const lat_array_view *grad_out, lat_array **out);

/// Adds a reference and returns `neighbors` (NULL is passed through).
LAT_API lat_neighbors *lat_neighbors_retain(const lat_neighbors *neighbors);

/// Drops a reference; NULL is accepted.
LAT_API void lat_neighbors_release(lat_neighbors *neighbors);

#ifdef __cplusplus
}
#endif
#endif
