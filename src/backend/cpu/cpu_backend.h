/// The CPU's slots, one source file per family. Only cpu_backend.c puts them into the table.
#ifndef LATTICE_BACKEND_CPU_CPU_BACKEND_H
#define LATTICE_BACKEND_CPU_CPU_BACKEND_H

#include "backend/backend.h"

// cpu_index.c
lat_status lat__cpu_index_create(lat_context *context, const int32_t *rows, int64_t n_rows, lat__coord_index **out);
void lat__cpu_index_destroy(lat_context *context, lat__coord_index *index);
lat_status lat__cpu_index_lookup(lat_context *context, const lat__coord_index *index, const int32_t *queries,
                                 int64_t n_queries, int32_t *result);
lat_status lat__cpu_unique_rows(lat_context *context, const int32_t *rows, int64_t n_rows, int32_t *unique,
                                int32_t *inverse, int64_t *n_unique);

// cpu_order.c
lat_status lat__cpu_order_create(lat_context *context, const int32_t *rows, int64_t n_rows, lat__coord_order **out);
void lat__cpu_order_destroy(lat__coord_order *order);

// cpu_downsample.c
lat_status lat__cpu_downsample(lat_context *context, const lat__coord_order *order, lat_triple divisor,
                               int32_t **out_rows, int64_t *n_out, lat__coord_order **out_order);

// cpu_reach.c
lat_status lat__cpu_reach(lat_context *context, const lat__reach_desc *desc, int32_t **out_rows, int64_t *n_out,
                          lat__coord_order **out_order);

// cpu_relation.c
lat_status lat__cpu_relation_build(lat_context *context, const lat__relation_desc *desc, lat__pairs *out);

// cpu_radius.c, cpu_knn.c, cpu_gather.c
lat_status lat__cpu_radius(lat_context *context, const lat__radius_desc *desc, lat__neighbor_edges *out);
lat_status lat__cpu_knn(lat_context *context, const lat__knn_desc *desc, lat__neighbor_edges *out);
lat_status lat__cpu_gather(lat_context *context, const lat__gather_desc *desc);

// cpu_conv.c
lat_status lat__cpu_conv(lat_context *context, const lat__conv_desc *desc);
void lat__cpu_conv_algorithm(lat_context *context, const lat__conv_desc *desc, char *text, size_t text_bytes);
void lat__cpu_conv_candidates(const lat__conv_desc *desc, lat_conv_candidates *out);
lat_status lat__cpu_conv_workspace(lat_context *context, const lat__conv_desc *desc, size_t *bytes);

// cpu_conv_packed.c
lat_status lat__cpu_conv_packed_create(lat_context *context, const lat__conv_desc *desc, lat__conv_packed **out);
void lat__cpu_conv_packed_destroy(lat_context *context, lat__conv_packed *packed);
int64_t lat__cpu_conv_packed_bytes(const lat__conv_packed *packed);
bool lat__cpu_conv_packed_fits(const lat_context *context, const lat__conv_desc *desc, const lat__conv_packed *packed);

// cpu_conv_normalized.c
lat_status lat__cpu_conv_norm_grad(lat_context *context, const lat__conv_norm_grad_desc *desc);

// cpu_join_grad.c, cpu_global_pool_grad.c
lat_status lat__cpu_join_grad(lat_context *context, const lat__join_grad_desc *desc);
lat_status lat__cpu_global_pool_grad(lat_context *context, const lat__global_pool_grad_desc *desc);

// cpu_conv_grad.c
lat_status lat__cpu_conv_grad(lat_context *context, const lat__conv_grad_desc *desc);

// cpu_measure.c
lat_status lat__cpu_product_peak(lat_context *context, lat_product product, double seconds, double *gops);

// cpu_voxelize.c
lat_status lat__cpu_point_cells(lat_context *context, const lat__point_cells_desc *desc);
lat_status lat__cpu_voxel_reduce(lat_context *context, const lat__voxel_reduce_desc *desc);

/// Points by voxel, ascending within one: those of voxel v end before points[ends[v]]. `ends` is (n_voxels,), `points`
/// (n_points,). Points of voxel -1 are left out.
void lat__cpu_points_by_voxel(int64_t n_points, const int32_t *inverse_rows, int64_t n_voxels, const int32_t *counts,
                              int32_t *ends, int32_t *points);

// cpu_points_grad.c
lat_status lat__cpu_voxel_reduce_grad(lat_context *context, const lat__voxel_reduce_grad_desc *desc);
lat_status lat__cpu_interpolate_grad(lat_context *context, const lat__interpolate_grad_desc *desc);

// cpu_dense.c
lat_status lat__cpu_dense_scatter(lat_context *context, const lat__dense_desc *desc);
lat_status lat__cpu_dense_gather(lat_context *context, const lat__dense_desc *desc);
lat_status lat__cpu_dense_cells(lat_context *context, const lat__dense_cells_desc *desc, int32_t **rows,
                                int64_t *n_rows);

// cpu_interpolate.c
lat_status lat__cpu_interpolate(lat_context *context, const lat__interpolate_desc *desc);

// cpu_unary.c, cpu_norm.c, cpu_pool.c, cpu_global_pool.c, cpu_join.c
lat_status lat__cpu_unary(lat_context *context, const lat__unary_desc *desc);
lat_status lat__cpu_channel_stats(lat_context *context, const lat__channel_stats_desc *desc);
lat_status lat__cpu_norm(lat_context *context, const lat__norm_desc *desc);
lat_status lat__cpu_pool(lat_context *context, const lat__pool_desc *desc);
lat_status lat__cpu_global_pool(lat_context *context, const lat__global_pool_desc *desc);
lat_status lat__cpu_join_binary(lat_context *context, const lat__join_desc *desc);
lat_status lat__cpu_join_cat(lat_context *context, const lat__join_desc *desc);

// cpu_transposed.c
lat_status lat__cpu_transposed_build(lat_context *context, const lat__transposed_desc *desc, int32_t **out_rows,
                                     int64_t *n_out, lat__pairs *out);
lat_status lat__cpu_target_transposed_build(lat_context *context, const lat__transposed_desc *desc,
                                            const lat__coord_index *index, const int32_t *targets, int64_t n_targets,
                                            lat__pairs *out);

// cpu_pairs_swap.c
lat_status lat__cpu_pairs_swap(lat_context *context, const lat__pairs *pairs, lat__pairs *out);
/// Number of leading entries of a pair list that name distinct rows.
int64_t lat__cpu_distinct_prefix(const uint16_t *local_rows, int64_t n);
/// Whether some list names an output row more than once.
bool lat__cpu_pairs_repeat(const lat__pairs *pairs);

// cpu_activation.c, cpu_softmax.c, cpu_embedding.c
lat_status lat__cpu_activation(lat_context *context, const lat__activation_desc *desc);
lat_status lat__cpu_dropout(lat_context *context, const lat__dropout_desc *desc);
lat_status lat__cpu_softmax(lat_context *context, const lat__softmax_desc *desc);
lat_status lat__cpu_embedding(lat_context *context, const lat__embedding_desc *desc);
lat_status lat__cpu_row_sums(lat_context *context, const lat__row_sums_desc *desc);

// cpu_pool_grad.c
lat_status lat__cpu_pool_grad(lat_context *context, const lat__pool_grad_desc *desc);
lat_status lat__cpu_max_pool_jvp(lat_context *context, const lat__pool_grad_desc *desc);

// cpu_norm_items.c, cpu_norm_rows_grad.c
lat_status lat__cpu_norm_items(lat_context *context, const lat__norm_items_desc *desc);
lat_status lat__cpu_norm_rows_grad(lat_context *context, const lat__norm_rows_grad_desc *desc);

#endif
