/// Kernel relations as operators see them.
///
/// An operator checks its geometry (lat__geometry_check), asks for the relation (lat__relation_forward, …) and hands
/// `relation->pairs` to the device. Relations are cached on the input set and hold no reference to it or to a target.
#ifndef LATTICE_RELATION_RELATION_INTERNAL_H
#define LATTICE_RELATION_RELATION_INTERNAL_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>

#include <lattice/relation.h>

#include "backend/desc.h"
#include "coords/coords_internal.h"

/// A checked geometry: every default applied.
typedef struct lat__geometry {
  lat_triple kernel_size, stride, padding, dilation;
  int32_t n_kernels; ///< product of kernel_size
  lat_support support;
  lat_triple bounds; ///< all zero: none
} lat__geometry;

/// Implicit-GEMM views (relation_views.h); NULL until they are built.
typedef struct lat__gemm_views {
  int32_t *map, *masks;
  int32_t *order, *sorted_map, *sorted_transpose, *tile_masks;
} lat__gemm_views;

struct lat_relation {
  atomic_int refcount;
  lat_context *context; ///< retained
  lat_relation_kind kind;
  lat__geometry geometry;
  lat_coords *out_coords; ///< retained, or NULL when the caller already has the output set
  lat__pairs pairs;

  pthread_mutex_t lock; ///< guards everything below, built on first use; what is there once never changes
  bool has_by_input;
  lat__pairs by_input; ///< the same pairs seen from the input rows
  bool has_edges;
  int32_t *edge_in, *edge_out, *edge_kernel; ///< pairs.n_edges each
  int64_t *row_offsets[3];                   ///< by lat_relation_group
  int64_t *edge_ids[3];                      ///< likewise; none for LAT_RELATION_BY_OUTPUT
  lat__gemm_views gemm;
};

/// Takes triples from `opts` (NULL: all defaults), puts `defaults` where a triple is all zero, and checks the result.
/// `defaults` NULL means lat_kernel_opts' own. Errors: INVALID_ARGUMENT ("kernel_size values must be positive", …,
/// "padding values must be non-negative", support and bounds), OVERFLOW (offsets, the kernel volume or bounds outside
/// int32).
LAT_CHECKED lat_status lat__geometry_check(const char *op, const lat_kernel_opts *opts, const lat_kernel_opts *defaults,
                                           lat__geometry *out);

/// Checks that a geometry fits a submanifold relation: odd sizes, stride 1, padding 0, no bounds. Its support rule is
/// forgotten: both mean the same.
/// Errors: INVALID_ARGUMENT ("<op> requires odd kernel_size values", …).
LAT_CHECKED lat_status lat__geometry_check_subm(const char *op, lat__geometry *geometry);

/// Checks that a geometry has no bounds, where the output set is given. Errors: INVALID_ARGUMENT.
LAT_CHECKED lat_status lat__geometry_check_unbounded(const char *op, const lat__geometry *geometry);

/// Checks that a transposed geometry has floor support. Errors: INVALID_ARGUMENT.
LAT_CHECKED lat_status lat__geometry_check_floor(const char *op, const lat__geometry *geometry);

/// Checks that a geometry fits a generative relation: padding 0, dilation 1. Errors: INVALID_ARGUMENT.
LAT_CHECKED lat_status lat__geometry_check_generative(const char *op, const lat__geometry *geometry);

/// True when every output row is its own and only input: size 1, stride 1, padding 0.
bool lat__geometry_pointwise(const lat__geometry *geometry);

/// True when the forward relation's output set is the input set itself.
bool lat__geometry_keeps_support(const lat__geometry *geometry);

/// Writes the offsets of a kernel, `(n_kernels, 3)`.
void lat__geometry_offsets(const lat__geometry *geometry, int32_t *offsets);

/// Forward relation of `coords` (cached) and the output set to use: the relation's own, or `coords` itself. Both are
/// retained for the caller and NULL on failure.
LAT_CHECKED lat_status lat__relation_forward(lat_context *context, const char *op, const lat_coords *coords,
                                             const lat__geometry *geometry, lat_relation **relation,
                                             lat_coords **out_coords);

/// Submanifold relation of `coords` (cached), retained for the caller. The geometry passed lat__geometry_check_subm.
LAT_CHECKED lat_status lat__relation_subm(lat_context *context, const char *op, const lat_coords *coords,
                                          const lat__geometry *geometry, lat_relation **relation);

/// Relation of `coords` onto `target` (cached on `coords`), retained for the caller.
LAT_CHECKED lat_status lat__relation_target(lat_context *context, const char *op, const lat_coords *coords,
                                            const lat_coords *target, const lat__geometry *geometry,
                                            lat_relation **relation);

/// Transposed relation of `coords` (cached) and its output set, both retained for the caller and NULL on failure.
LAT_CHECKED lat_status lat__relation_transposed(lat_context *context, const char *op, const lat_coords *coords,
                                                const lat__geometry *geometry, lat_relation **relation,
                                                lat_coords **out_coords);

/// Generative relation of `coords` (cached) and its output set, likewise. The geometry has padding 0 and dilation 1.
LAT_CHECKED lat_status lat__relation_generative(lat_context *context, const char *op, const lat_coords *coords,
                                                const lat__geometry *geometry, lat_relation **relation,
                                                lat_coords **out_coords);

/// Transposed geometry of `coords` onto `target` (cached on `coords`), retained for the caller.
LAT_CHECKED lat_status lat__relation_target_transposed(lat_context *context, const char *op, const lat_coords *coords,
                                                       const lat_coords *target, const lat__geometry *geometry,
                                                       lat_relation **relation);

/// The relation's pairs with inputs and outputs exchanged: what an input gradient and an inverse convolution walk. Built
/// on first use, kept by the relation.
LAT_CHECKED lat_status lat__relation_pairs_by_input(lat_context *context, const lat_relation *relation,
                                                    const lat__pairs **out);

/// Stride of a transposed output set, `in / by`. Errors: INVALID_ARGUMENT ("must divide").
LAT_CHECKED lat_status lat__transposed_stride(const char *op, lat_triple in, lat_triple by, lat_triple *out);

/// New relation object without pairs. For the files of this room.
LAT_CHECKED lat_status lat__relation_new(lat_context *context, const char *op, lat_relation_kind kind,
                                         const lat__geometry *geometry, lat_relation **out);

/// Cache key of a relation, and the cache's way to share it. For the files of this room.
lat__cache_key lat__relation_key(lat__cache_kind kind, uint64_t other_id, const lat__geometry *geometry);
extern const lat__cache_ops lat__relation_cache_ops;

/// Defaults of transposed kinds: kernel size 2, stride 2.
extern const lat_kernel_opts lat__transposed_defaults;

/// Checks the arguments that every creator has, and clears `*out`.
LAT_CHECKED lat_status lat__relation_check_arguments(const char *op, const lat_context *context,
                                                     const lat_coords *input, lat_relation **out);

/// Frees what was built of `views`.
void lat__gemm_views_free(lat_context *context, lat__gemm_views *views);

/// Frees the arrays of `pairs`.
void lat__pairs_free(lat_context *context, lat__pairs *pairs);

#endif
