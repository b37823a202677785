// The CPU's table of operators and its choice of level.

#include "backend/cpu/cpu_backend.h"
#include "backend/cpu/kernel/cpu_kernels.h"

static const lat__backend cpu_backend = {
    .name = "cpu",
    .index_create = lat__cpu_index_create,
    .index_destroy = lat__cpu_index_destroy,
    .index_lookup = lat__cpu_index_lookup,
    .unique_rows = lat__cpu_unique_rows,
    .order_create = lat__cpu_order_create,
    .order_destroy = lat__cpu_order_destroy,
    .downsample = lat__cpu_downsample,
    .reach = lat__cpu_reach,
    .relation_build = lat__cpu_relation_build,
    .transposed_build = lat__cpu_transposed_build,
    .target_transposed_build = lat__cpu_target_transposed_build,
    .pairs_swap = lat__cpu_pairs_swap,
    .radius = lat__cpu_radius,
    .knn = lat__cpu_knn,
    .join_grad = lat__cpu_join_grad,
    .gather = lat__cpu_gather,
    .conv = lat__cpu_conv,
    .conv_pack = lat__cpu_conv_packed_create,
    .conv_packed_destroy = lat__cpu_conv_packed_destroy,
    .conv_packed_bytes = lat__cpu_conv_packed_bytes,
    .conv_packed_fits = lat__cpu_conv_packed_fits,
    .conv_workspace = lat__cpu_conv_workspace,
    .conv_grad = lat__cpu_conv_grad,
    .conv_norm_grad = lat__cpu_conv_norm_grad,
    .conv_algorithm = lat__cpu_conv_algorithm,
    .conv_candidates = lat__cpu_conv_candidates,
    .product_peak = lat__cpu_product_peak,
    .point_cells = lat__cpu_point_cells,
    .voxel_reduce = lat__cpu_voxel_reduce,
    .voxel_reduce_grad = lat__cpu_voxel_reduce_grad,
    .interpolate = lat__cpu_interpolate,
    .interpolate_grad = lat__cpu_interpolate_grad,
    .dense_scatter = lat__cpu_dense_scatter,
    .dense_gather = lat__cpu_dense_gather,
    .dense_cells = lat__cpu_dense_cells,
    .pool = lat__cpu_pool,
    .pool_grad = lat__cpu_pool_grad,
    .max_pool_jvp = lat__cpu_max_pool_jvp,
    .global_pool = lat__cpu_global_pool,
    .global_pool_grad = lat__cpu_global_pool_grad,
    .unary = lat__cpu_unary,
    .activation = lat__cpu_activation,
    .softmax = lat__cpu_softmax,
    .dropout = lat__cpu_dropout,
    .embedding = lat__cpu_embedding,
    .row_sums = lat__cpu_row_sums,
    .channel_stats = lat__cpu_channel_stats,
    .norm = lat__cpu_norm,
    .norm_items = lat__cpu_norm_items,
    .norm_rows_grad = lat__cpu_norm_rows_grad,
    .join_binary = lat__cpu_join_binary,
    .join_cat = lat__cpu_join_cat,
};

const lat__backend *lat__backend_cpu(void) {
  return &cpu_backend;
}

lat_cpu_level lat__backend_cpu_level(lat_cpu_level cap) {
  static const lat_cpu_level best_first[] = {LAT_CPU_LEVEL_AVX512, LAT_CPU_LEVEL_AVX2, LAT_CPU_LEVEL_NEON};
  for (size_t i = 0; i < sizeof best_first / sizeof best_first[0]; i++) {
    bool allowed = cap == LAT_CPU_LEVEL_AUTO || best_first[i] <= cap;
    if (allowed && lat__cpu_kernels_of(best_first[i])) return best_first[i];
  }
  return LAT_CPU_LEVEL_SCALAR;
}
