/// \file relation_views.h
/// Implicit-GEMM views of a kernel relation: for every output row and kernel element the one input row, as a dense map.
///
/// They are what tensor-core kernels and exporters walk. The library's own CPU kernels do not need them, so they are built
/// when somebody first asks, and kept by the relation. Only relations where an output row and a kernel element determine
/// the input have them: forward, submanifold, target and target-transposed ones.
#ifndef LATTICE_RELATION_VIEWS_H
#define LATTICE_RELATION_VIEWS_H

#include <lattice/relation.h>

#ifdef __cplusplus
extern "C" {
#endif

/// Dense map of a relation. Borrowed from it. Bit `k % 32` of word `k / 32` of a row's mask is set where the map has an
/// input row; bit 31 makes the word negative.
typedef struct lat_implicit_gemm {
  int64_t n_out;
  int32_t n_kernels;
  int32_t n_words;           ///< ceil(n_kernels / 32)
  const int32_t *out_in_map; ///< (n_out, n_kernels): input row, or -1
  const int32_t *row_masks;  ///< (n_out, n_words)
} lat_implicit_gemm;

/// The same map with rows of equal masks together, for tiles of 64 rows. Borrowed from the relation.
typedef struct lat_sorted_implicit_gemm {
  int64_t n_out;
  int32_t n_kernels;                   ///< 32 at most
  const int32_t *reorder_rows;         ///< (n_out,): output rows by their mask as a signed number, ties ascending
  const int32_t *sorted_out_in_map;    ///< (n_out, n_kernels): row r is row reorder_rows[r] of out_in_map
  const int32_t *sorted_kv_out_in_map; ///< (n_kernels, n_out): its transpose
  int64_t n_tile_masks;                ///< 4 * ceil(n_out / 64)
  const int32_t *tile_masks; ///< entry 4 t + w: the masks of sorted rows 64 t + 16 w .. 64 t + 16 w + 15, or-ed
} lat_sorted_implicit_gemm;

/// The dense map and its masks. Of a target-transposed relation this is the map of transposed taps: the first input row
/// with `i = (t + padding - tap * dilation) / stride`, or -1. Built on first use. Borrowed: valid while a reference to
/// `relation` is held. On failure `*out` is all zero.
/// Errors: INVALID_ARGUMENT (NULL; "implicit GEMM needs": a transposed or generative relation), OVERFLOW, OUT_OF_MEMORY.
LAT_API LAT_CHECKED lat_status lat_relation_implicit_gemm(lat_context *context, const lat_relation *relation,
                                                          lat_implicit_gemm *out);

/// The map in the order of its masks. Otherwise as lat_relation_implicit_gemm.
/// Errors: likewise; INVALID_ARGUMENT ("at most 32 kernel elements").
LAT_API LAT_CHECKED lat_status lat_relation_sorted_implicit_gemm(lat_context *context, const lat_relation *relation,
                                                                 lat_sorted_implicit_gemm *out);

#ifdef __cplusplus
}
#endif
#endif
