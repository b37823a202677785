/// The device seam: one table of functions per device. Operators reach devices only through it.
///
/// Every slot returns LAT_STATUS_OK or fails for lack of memory or by its device; arguments were checked above. `context`
/// gives threads, memory and the CPU level. Slots are deterministic: same descriptor, same bits, any thread count.
#ifndef LATTICE_BACKEND_BACKEND_H
#define LATTICE_BACKEND_BACKEND_H

#include <lattice/context.h>
#include <lattice/conv.h>

#include "backend/desc.h"

/// Hash index over coordinate rows; created and read through the slots below.
typedef struct lat__coord_index lat__coord_index;

typedef struct lat__backend lat__backend;

struct lat__backend {
  const char *name; ///< "cpu"

  // Coordinates: rows are (n, 4) int32.

  /// Index of the first occurrence of every distinct row. `rows` must outlive the index.
  lat_status (*index_create)(lat_context *context, const int32_t *rows, int64_t n_rows, lat__coord_index **out);
  void (*index_destroy)(lat_context *context, lat__coord_index *index);
  /// result[q] = first row equal to query q, or -1.
  lat_status (*index_lookup)(lat_context *context, const lat__coord_index *index, const int32_t *queries,
                             int64_t n_queries, int32_t *result);
  /// Distinct rows in first-seen order: `unique` (room for n_rows rows), `inverse` (n_rows; NULL: not wanted), the count.
  lat_status (*unique_rows)(lat_context *context, const int32_t *rows, int64_t n_rows, int32_t *unique,
                            int32_t *inverse, int64_t *n_unique);

  /// Sorts rows for `relation_build` and `downsample`; the order keeps nothing of `rows`.
  lat_status (*order_create)(lat_context *context, const int32_t *rows, int64_t n_rows, lat__coord_order **out);
  void (*order_destroy)(lat__coord_order *order);
  /// Distinct floor(row / divisor) of ordered rows, in the order of first occurrence among the rows: `*out_rows` from
  /// lat__alloc of `context`, and their order.
  lat_status (*downsample)(lat_context *context, const lat__coord_order *order, lat_triple divisor, int32_t **out_rows,
                           int64_t *n_out, lat__coord_order **out_order);

  /// Outputs that a kernel reaches, in the order of their first (input row, kernel element): `*out_rows` from lat__alloc
  /// of `context`, and their order. OVERFLOW names an input row whose output leaves int32, and more rows than int32 can
  /// number.
  lat_status (*reach)(lat_context *context, const lat__reach_desc *desc, int32_t **out_rows, int64_t *n_out,
                      lat__coord_order **out_order);

  // Relations.

  /// Fills `out`; its arrays come from lat__alloc and belong to the caller.
  lat_status (*relation_build)(lat_context *context, const lat__relation_desc *desc, lat__pairs *out);
  /// Output rows (from lat__alloc) and pairs of a transposed relation. OVERFLOW names an input row whose output leaves
  /// int32, and more rows than int32 can number.
  lat_status (*transposed_build)(lat_context *context, const lat__transposed_desc *desc, int32_t **out_rows,
                                 int64_t *n_out, lat__pairs *out);
  /// Pairs of a transposed geometry onto given rows (n_targets, 4): the first input row of `index` that meets each.
  lat_status (*target_transposed_build)(lat_context *context, const lat__transposed_desc *desc,
                                        const lat__coord_index *index, const int32_t *targets, int64_t n_targets,
                                        lat__pairs *out);
  /// The same pairs seen from the other side: outputs become inputs.
  lat_status (*pairs_swap)(lat_context *context, const lat__pairs *pairs, lat__pairs *out);
  lat_status (*radius)(lat_context *context, const lat__radius_desc *desc, lat__neighbor_edges *out);
  lat_status (*knn)(lat_context *context, const lat__knn_desc *desc, lat__neighbor_edges *out);

  // Features.

  lat_status (*conv)(lat_context *context, const lat__conv_desc *desc);
  /// What `conv` would make of the weight on every call (no rows are looked at). `desc` may have another x, y, residual
  /// and row counts when it comes back with it.
  lat_status (*conv_pack)(lat_context *context, const lat__conv_desc *desc, lat__conv_packed **out);
  void (*conv_packed_destroy)(lat_context *context, lat__conv_packed *packed);
  int64_t (*conv_packed_bytes)(const lat__conv_packed *packed);
  /// True when conv_pack with `context` would lay a weight out for `desc` as `packed` is, which a layer of the same channels,
  /// groups, kernel and dtypes made.
  bool (*conv_packed_fits)(const lat_context *context, const lat__conv_desc *desc, const lat__conv_packed *packed);
  /// Bytes that `conv` works in for `desc` with its `packed`, threads as in `context`.
  lat_status (*conv_workspace)(lat_context *context, const lat__conv_desc *desc, size_t *bytes);
  lat_status (*conv_grad)(lat_context *context, const lat__conv_grad_desc *desc);
  lat_status (*conv_norm_grad)(lat_context *context, const lat__conv_norm_grad_desc *desc);
  /// Writes the name of the algorithm that `conv` takes for `desc` into `text`. Of the pair lists it looks at whether
  /// they are there; data pointers may be NULL.
  void (*conv_algorithm)(lat_context *context, const lat__conv_desc *desc, char *text, size_t text_bytes);
  /// The list that the algorithm comes from; `desc` as above.
  void (*conv_candidates)(const lat__conv_desc *desc, lat_conv_candidates *out);
  lat_status (*pool)(lat_context *context, const lat__pool_desc *desc);
  /// Gradient of a local pool; of tied maxima each gets an equal part.
  lat_status (*pool_grad)(lat_context *context, const lat__pool_grad_desc *desc);
  /// Forward-mode product of a maximum pool: the tangent of one tied input, the one with the smallest
  /// in_row * n_kernels + kernel.
  lat_status (*max_pool_jvp)(lat_context *context, const lat__pool_grad_desc *desc);
  lat_status (*global_pool)(lat_context *context, const lat__global_pool_desc *desc);
  lat_status (*global_pool_grad)(lat_context *context, const lat__global_pool_grad_desc *desc);
  lat_status (*unary)(lat_context *context, const lat__unary_desc *desc);
  lat_status (*activation)(lat_context *context, const lat__activation_desc *desc);
  lat_status (*softmax)(lat_context *context, const lat__softmax_desc *desc);
  lat_status (*dropout)(lat_context *context, const lat__dropout_desc *desc);
  lat_status (*embedding)(lat_context *context, const lat__embedding_desc *desc);
  lat_status (*row_sums)(lat_context *context, const lat__row_sums_desc *desc);
  lat_status (*channel_stats)(lat_context *context, const lat__channel_stats_desc *desc);
  lat_status (*norm)(lat_context *context, const lat__norm_desc *desc);
  lat_status (*norm_items)(lat_context *context, const lat__norm_items_desc *desc);
  lat_status (*norm_rows_grad)(lat_context *context, const lat__norm_rows_grad_desc *desc);
  lat_status (*join_binary)(lat_context *context, const lat__join_desc *desc);
  lat_status (*join_cat)(lat_context *context, const lat__join_desc *desc);
  /// Gradient of one side of join_binary, or of rows that were copied.
  lat_status (*join_grad)(lat_context *context, const lat__join_grad_desc *desc);
  lat_status (*gather)(lat_context *context, const lat__gather_desc *desc);
  lat_status (*point_cells)(lat_context *context, const lat__point_cells_desc *desc);
  lat_status (*voxel_reduce)(lat_context *context, const lat__voxel_reduce_desc *desc);
  lat_status (*voxel_reduce_grad)(lat_context *context, const lat__voxel_reduce_grad_desc *desc);
  lat_status (*interpolate)(lat_context *context, const lat__interpolate_desc *desc);
  lat_status (*interpolate_grad)(lat_context *context, const lat__interpolate_grad_desc *desc);

  /// Rows into a dense array, zero elsewhere; and rows read from it.
  lat_status (*dense_scatter)(lat_context *context, const lat__dense_desc *desc);
  lat_status (*dense_gather)(lat_context *context, const lat__dense_desc *desc);
  /// Chosen cells as rows (b, x, y, z) in ascending order: `*rows` from lat__alloc of `context`, and their number.
  lat_status (*dense_cells)(lat_context *context, const lat__dense_cells_desc *desc, int32_t **rows, int64_t *n_rows);

  // Limits.

  /// Limit of products of all threads in 1e9 operations a second, measured for `seconds`.
  lat_status (*product_peak)(lat_context *context, lat_product product, double seconds, double *gops);
};

/// The CPU's table. Static storage.
const lat__backend *lat__backend_cpu(void);

/// Best CPU level of this machine that is not above `cap` (AUTO: no cap).
lat_cpu_level lat__backend_cpu_level(lat_cpu_level cap);

/// The table that a context works with.
const lat__backend *lat__backend_of(const lat_context *context);

#endif
