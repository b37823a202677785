// Weights of any layout and width as the float32 panels that the convolution kernel streams. Done on every call: it
// touches each weight once, a convolution touches it once for every 512 output rows.

#include "backend/cpu/cpu_conv.h"
#include "backend/cpu/cpu_rows.h"
#include "core/alloc.h"
#include "core/array_internal.h"
#include "core/checked.h"
#include "core/thread.h"

typedef struct pack_job {
  const lat__conv_desc *desc;
  const float *dense; ///< dense weights in float32
  int64_t columns;    ///< c_out rounded up to vectors
  int64_t panel_width;
  int64_t n_panels; ///< of one kernel element
  float *panels;
} pack_job;

lat_status lat__cpu_conv_panel_floats(const lat__conv_desc *desc, const lat__cpu_kernels *kernels, int64_t *columns,
                                      int64_t *kernel_floats) {
  *columns = lat__ceil_div_i64(desc->c_out, kernels->lanes) * kernels->lanes;
  if (lat__mul_i64(*columns, desc->c_in, kernel_floats)) return LAT_STATUS_OK;
  return lat_fail(LAT_STATUS_OVERFLOW, "conv: weight size: got %lld x %lld, expected a product within int64",
                  (long long)*columns, (long long)desc->c_in);
}

/// Column `column` of kernel element k, elements `step` floats apart.
static void pack_dense_column(const pack_job *job, int64_t k, int64_t column, float *target, int64_t step) {
  const lat__conv_desc *desc = job->desc;
  int64_t c_in = desc->c_in;
  if (desc->weight.form == LAT__WEIGHT_OUT_KERNEL_IN) {
    const float *source = job->dense + (column * desc->n_kernels + k) * c_in;
    for (int64_t ci = 0; ci < c_in; ci++) target[ci * step] = source[ci];
  } else {
    const float *source = job->dense + k * c_in * desc->c_out + column;
    for (int64_t ci = 0; ci < c_in; ci++) target[ci * step] = source[ci * desc->c_out];
  }
}

/// As pack_dense_column for the storage of quant.h: (C_out, P) for one kernel element, (K, P, C_out) for more.
static void pack_quantized_column(const pack_job *job, int64_t k, int64_t column, float *target, int64_t step) {
  const lat__conv_desc *desc = job->desc;
  const lat__weight_desc *weight = &desc->weight;
  int64_t bits = weight->bits;
  int64_t n_words = weight->storage_in * bits / 32, n_groups = weight->storage_in / weight->group_size;
  bool rows_by_channel = desc->n_kernels == 1;
  int64_t word_step = rows_by_channel ? 1 : desc->c_out;
  const uint32_t *words = weight->words + (rows_by_channel ? column * n_words : k * n_words * desc->c_out + column);
  int64_t first_group = rows_by_channel ? column * n_groups : k * n_groups * desc->c_out + column;
  uint32_t mask = (1u << bits) - 1u;
  float scale = 0.0f, bias = 0.0f;
  for (int64_t ci = 0; ci < desc->c_in; ci++) {
    if (ci % weight->group_size == 0) {
      int64_t group = first_group + ci / weight->group_size * word_step;
      scale = lat__float_load(weight->dtype, weight->scales, group);
      bias = lat__float_load(weight->dtype, weight->biases, group);
    }
    uint32_t code = words[ci * bits / 32 * word_step] >> (ci * bits % 32) & mask;
    target[ci * step] = (float)code * scale + bias;
  }
}

static void pack_range(void *arg, int64_t begin, int64_t end, int worker) {
  const pack_job *job = arg;
  const lat__conv_desc *desc = job->desc;
  (void)worker;
  for (int64_t item = begin; item < end; item++) {
    int64_t k = item / job->n_panels;
    int64_t first = item % job->n_panels * job->panel_width;
    int64_t width = lat__min_i64(job->panel_width, job->columns - first);
    float *panel = job->panels + k * job->columns * desc->c_in + first * desc->c_in;
    for (int64_t c = 0; c < width; c++) {
      if (first + c >= desc->c_out) {
        for (int64_t ci = 0; ci < desc->c_in; ci++) panel[ci * width + c] = 0.0f;
      } else if (desc->weight.form == LAT__WEIGHT_PACKED) {
        pack_quantized_column(job, k, first + c, panel + c, width);
      } else {
        pack_dense_column(job, k, first + c, panel + c, width);
      }
    }
  }
}

lat_status lat__cpu_conv_pack(lat_context *context, const lat__conv_desc *desc, const lat__cpu_kernels *kernels,
                              float **out) {
  lat_status status = LAT_STATUS_OK;
  int64_t columns = 0, kernel_floats = 0, n_floats = 0, n_weights = 0;
  void *widened = NULL, *panels = NULL;
  *out = NULL;
  LAT_TRY(lat__cpu_conv_panel_floats(desc, kernels, &columns, &kernel_floats), done);
  if (!lat__mul_i64(kernel_floats, desc->n_kernels, &n_floats)) {
    status = lat_fail(LAT_STATUS_OVERFLOW,
                      "conv: weight size: got %d kernel elements of %lld floats, expected a "
                      "product within int64",
                      (int)desc->n_kernels, (long long)kernel_floats);
    goto done;
  }
  LAT_TRY(lat__alloc_items(context, "conv", n_floats, sizeof(float), &panels), done);
  const void *dense = desc->weight.data;
  if (desc->weight.form != LAT__WEIGHT_PACKED && desc->weight.dtype != LAT_DTYPE_F32) {
    n_weights = desc->n_kernels * desc->c_in * desc->c_out; // below n_floats
    LAT_TRY(lat__alloc_items(context, "conv", n_weights, sizeof(float), &widened), done);
    lat__cpu_widen_rows(kernels, desc->weight.dtype, dense, NULL, 1, n_weights, widened);
    dense = widened;
  }
  pack_job job = {.desc = desc,
                  .dense = dense,
                  .columns = columns,
                  .panel_width = kernels->lanes * kernels->tile_vectors,
                  .panels = panels};
  job.n_panels = lat__ceil_div_i64(columns, job.panel_width);
  // A few ranges for each thread; small weights in one range, which runs serially.
  int64_t grain = lat__max_i64(1, 65536 / lat__max_i64(1, desc->c_in * job.panel_width));
  lat__parallel_for(context, desc->n_kernels * job.n_panels, grain, pack_range, &job);
  *out = panels;
  panels = NULL;
done:
  lat__free(context, panels);
  lat__free(context, widened);
  return status;
}
