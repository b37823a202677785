// Weights of a convolution in bfloat16, for CPUs that multiply it: the float32 panels with every two input channels side by
// side. A bfloat16 weight is a float32 whose lower half is zeros, so nothing is rounded.

#include <assert.h>
#include <string.h>

#include "backend/cpu/cpu_conv.h"
#include "core/alloc.h"
#include "core/checked.h"
#include "core/thread.h"

bool lat__cpu_conv_bf16_fits(const lat__conv_desc *desc, const lat__cpu_products *products) {
  int64_t groups = lat__max_i64(1, desc->groups);
  return products && products->gather_gemm_bf16 && desc->dtype == LAT_DTYPE_BF16 &&
         desc->weight.form != LAT__WEIGHT_PACKED && desc->weight.dtype == LAT_DTYPE_BF16 && desc->c_in > 0 &&
         desc->c_in / groups % 2 == 0 && !lat__cpu_conv_rows_fit(desc);
}

typedef struct pair_job {
  const lat__conv_packed *packed;
  const float *panels;
} pair_job;

/// The panels of kernel elements and groups [begin, end).
static void pair_range(void *arg, int64_t begin, int64_t end, int worker) {
  const pair_job *job = arg;
  const lat__cpu_conv_shape *shape = &job->packed->shape;
  const int64_t full = job->packed->kernels->lanes * job->packed->kernels->tile_vectors, depth = shape->depth;
  (void)worker;
  for (int64_t item = begin; item < end; item++) {
    const float *panel = job->panels + item * shape->group_columns * depth;
    uint16_t *target = job->packed->bf16 + item * shape->group_columns * depth;
    for (int64_t first = 0; first < shape->group_columns; first += full) {
      int64_t width = lat__min_i64(full, shape->group_columns - first);
      for (int64_t ci = 0; ci < depth; ci++, panel += width) {
        for (int64_t c = 0; c < width; c++) target[(ci / 2 * width + c) * 2 + ci % 2] = lat_f32_to_bf16(panel[c]);
      }
      target += depth * width;
    }
  }
}

lat_status lat__cpu_conv_pack_bf16(lat_context *context, const lat__conv_desc *desc, lat__conv_packed *packed) {
  lat_status status = LAT_STATUS_OK;
  float *panels = NULL;
  void *pairs = NULL;
  const lat__cpu_kernels *kernels = packed->kernels;
  assert(packed->products->lanes == kernels->lanes && packed->products->tile_vectors == kernels->tile_vectors);
  LAT_TRY(lat__cpu_conv_pack(context, desc, kernels, kernels->tile_vectors, &panels), done);
  int64_t n_weights = desc->n_kernels * packed->shape.kernel_floats; // as many as pack has floats
  LAT_TRY(lat__alloc_items(context, "conv", n_weights, sizeof(uint16_t), &pairs), done);
  packed->bf16 = pairs;
  packed->bytes = n_weights * (int64_t)sizeof(uint16_t);
  pair_job job = {packed, panels};
  int64_t grain = lat__max_i64(1, 65536 / lat__max_i64(1, packed->shape.depth * packed->shape.group_columns));
  lat__parallel_for(context, desc->n_kernels * packed->shape.groups, grain, pair_range, &job);
done:
  lat__free(context, panels);
  return status;
}
