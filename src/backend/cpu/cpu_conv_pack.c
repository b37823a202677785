// Weights of any layout and width as the float32 panels that the convolution kernel streams. Done on every call: it
// touches each weight once, a convolution touches it once for every 512 output rows.

#include <assert.h>
#include <string.h>

#include "backend/cpu/cpu_conv.h"
#include "backend/cpu/cpu_rows.h"
#include "core/alloc.h"
#include "core/array_internal.h"
#include "core/checked.h"
#include "core/thread.h"

/// Most columns of a panel at any level.
#define MAX_PANEL_WIDTH 64

typedef struct pack_job {
  const lat__conv_desc *desc;
  lat__cpu_conv_shape shape;
  const float *dense; ///< dense weights in float32
  int64_t panel_width;
  int64_t n_panels; ///< of one kernel element and group
  float *panels;
} pack_job;

lat_status lat__cpu_conv_shape_of(const lat__conv_desc *desc, const lat__cpu_kernels *kernels,
                                  lat__cpu_conv_shape *out) {
  int64_t groups = lat__max_i64(1, desc->groups);
  *out = (lat__cpu_conv_shape){.groups = groups, .depth = desc->c_in / groups, .width = desc->c_out / groups};
  out->group_columns = lat__ceil_div_i64(out->width, kernels->lanes) * kernels->lanes;
  if (lat__mul_i64(out->group_columns, groups, &out->columns) &&
      lat__mul_i64(out->columns, out->depth, &out->kernel_floats)) {
    return LAT_STATUS_OK;
  }
  return lat_fail(LAT_STATUS_OVERFLOW, "conv: weight size: got %lld x %lld, expected a product within int64",
                  (long long)desc->c_out, (long long)out->depth);
}

/// One panel of kernel element k and a group: `width` columns from output channel `first` on, column `column` of the
/// group, of which `n_real` belong to the weight.
typedef struct panel_place {
  int64_t k, group, column, first, width, n_real;
  float *target; ///< (depth, width)
} panel_place;

/// (C_out, K, C_in), or (K, C_in, C_out) transposed: a column of the panel is contiguous in memory.
static void pack_by_column(const pack_job *job, const panel_place *at) {
  const lat__conv_desc *desc = job->desc;
  const lat__cpu_conv_shape *shape = &job->shape;
  bool transposed = desc->weight.transposed;
  int64_t step = transposed ? desc->c_in : desc->n_kernels * shape->depth;
  int64_t kernel_step = transposed ? shape->width * desc->c_in : shape->depth;
  const float *first = job->dense + at->k * kernel_step;
  first += transposed ? at->column * step + at->group * shape->depth : at->first * step;
  for (int64_t c = 0; c < at->n_real; c++) {
    const float *source = first + c * step;
    for (int64_t ci = 0; ci < job->shape.depth; ci++) at->target[ci * at->width + c] = source[ci];
  }
}

/// (K, C_in, C_out), or (C_out, K, C_in) transposed: a row of the panel is contiguous in memory.
static void pack_by_row(const pack_job *job, const panel_place *at) {
  const lat__conv_desc *desc = job->desc;
  const lat__cpu_conv_shape *shape = &job->shape;
  bool transposed = desc->weight.transposed;
  int64_t step = transposed ? desc->n_kernels * shape->width : desc->c_out;
  int64_t kernel_step = transposed ? shape->width : shape->depth * desc->c_out;
  const float *first = job->dense + at->k * kernel_step;
  first += transposed ? at->group * shape->depth * step + at->column : at->first;
  for (int64_t ci = 0; ci < shape->depth; ci++) {
    memcpy(at->target + ci * at->width, first + ci * step, (size_t)at->n_real * sizeof *first);
  }
}

/// quant.h storage of more than one kernel element, (K, P, C_out): rows, with the scales of a group side by side too.
static void unpack_by_row(const pack_job *job, const panel_place *at) {
  const lat__conv_desc *desc = job->desc;
  const lat__weight_desc *weight = &desc->weight;
  int64_t bits = weight->bits, n_words = weight->storage_in * bits / 32,
          n_groups = weight->storage_in / weight->group_size;
  uint32_t mask = (1u << bits) - 1u;
  float scale[MAX_PANEL_WIDTH], bias[MAX_PANEL_WIDTH];
  for (int64_t ci = 0; ci < job->shape.depth; ci++) {
    if (ci % weight->group_size == 0) {
      int64_t group = (at->k * n_groups + ci / weight->group_size) * desc->c_out + at->first;
      for (int64_t c = 0; c < at->n_real; c++) {
        scale[c] = lat__float_load(weight->dtype, weight->scales, group + c);
        bias[c] = lat__float_load(weight->dtype, weight->biases, group + c);
      }
    }
    const uint32_t *words = weight->words + (at->k * n_words + ci * bits / 32) * desc->c_out + at->first;
    uint32_t shift = (uint32_t)(ci * bits % 32);
    float *target = at->target + ci * at->width;
    for (int64_t c = 0; c < at->n_real; c++) target[c] = (float)(words[c] >> shift & mask) * scale[c] + bias[c];
  }
}

/// quant.h storage of one kernel element, (C_out, P): columns.
static void unpack_by_column(const pack_job *job, const panel_place *at) {
  const lat__conv_desc *desc = job->desc;
  const lat__weight_desc *weight = &desc->weight;
  int64_t bits = weight->bits, n_words = weight->storage_in * bits / 32,
          n_groups = weight->storage_in / weight->group_size;
  uint32_t mask = (1u << bits) - 1u;
  for (int64_t c = 0; c < at->n_real; c++) {
    const uint32_t *words = weight->words + (at->first + c) * n_words;
    float scale = 0.0f, bias = 0.0f;
    for (int64_t ci = 0; ci < job->shape.depth; ci++) {
      if (ci % weight->group_size == 0) {
        int64_t group = (at->first + c) * n_groups + ci / weight->group_size;
        scale = lat__float_load(weight->dtype, weight->scales, group);
        bias = lat__float_load(weight->dtype, weight->biases, group);
      }
      uint32_t code = words[ci * bits / 32] >> (ci * bits % 32) & mask;
      at->target[ci * at->width + c] = (float)code * scale + bias;
    }
  }
}

/// Packed storage transposed: rows of the panel are the weight's output channels. The values are unpack_by_row's.
static void unpack_transposed(const pack_job *job, const panel_place *at) {
  const lat__conv_desc *desc = job->desc;
  const lat__weight_desc *weight = &desc->weight;
  int64_t n_words = weight->storage_in * weight->bits / 32, n_groups = weight->storage_in / weight->group_size;
  bool one = desc->n_kernels == 1;
  uint32_t mask = (1u << weight->bits) - 1u;
  for (int64_t row = 0; row < job->shape.depth; row++) {
    int64_t co = at->group * job->shape.depth + row;
    for (int64_t c = 0; c < at->n_real; c++) {
      int64_t ci = at->column + c, word = ci * weight->bits / 32, group = ci / weight->group_size;
      int64_t word_at = one ? co * n_words + word : (at->k * n_words + word) * desc->c_in + co;
      int64_t group_at = one ? co * n_groups + group : (at->k * n_groups + group) * desc->c_in + co;
      float scale = lat__float_load(weight->dtype, weight->scales, group_at);
      float bias = lat__float_load(weight->dtype, weight->biases, group_at);
      uint32_t code = weight->words[word_at] >> (ci * weight->bits % 32) & mask;
      at->target[row * at->width + c] = (float)code * scale + bias;
    }
  }
}

static panel_place place_of(const pack_job *job, int64_t item) {
  const lat__cpu_conv_shape *shape = &job->shape;
  panel_place at = {.k = item / job->n_panels / shape->groups,
                    .group = item / job->n_panels % shape->groups,
                    .column = item % job->n_panels * job->panel_width};
  at.first = at.group * shape->width + at.column;
  at.width = lat__min_i64(job->panel_width, shape->group_columns - at.column);
  at.n_real = lat__min_i64(at.width, shape->width - at.column);
  at.target = job->panels + (at.k * shape->columns + at.group * shape->group_columns + at.column) * shape->depth;
  return at;
}

static void pack_range(void *arg, int64_t begin, int64_t end, int worker) {
  const pack_job *job = arg;
  const lat__conv_desc *desc = job->desc;
  bool packed = desc->weight.form == LAT__WEIGHT_PACKED;
  bool transposed = desc->weight.transposed;
  bool by_column = packed ? desc->n_kernels == 1 : (desc->weight.form == LAT__WEIGHT_OUT_KERNEL_IN) != transposed;
  (void)worker;
  for (int64_t item = begin; item < end; item++) {
    panel_place at = place_of(job, item);
    if (packed && transposed) {
      unpack_transposed(job, &at);
    } else if (packed) {
      (by_column ? unpack_by_column : unpack_by_row)(job, &at);
    } else {
      (by_column ? pack_by_column : pack_by_row)(job, &at);
    }
    for (int64_t ci = 0; at.n_real < at.width && ci < job->shape.depth; ci++) {
      memset(at.target + ci * at.width + at.n_real, 0, (size_t)(at.width - at.n_real) * sizeof(float));
    }
  }
}

lat_status lat__cpu_conv_pack(lat_context *context, const lat__conv_desc *desc, const lat__cpu_kernels *kernels,
                              int64_t panel_vectors, float **out) {
  lat_status status = LAT_STATUS_OK;
  int64_t n_floats = 0, n_weights = 0;
  lat__cpu_conv_shape shape;
  void *widened = NULL, *panels = NULL;
  *out = NULL;
  LAT_TRY(lat__cpu_conv_shape_of(desc, kernels, &shape), done);
  if (!lat__mul_i64(shape.kernel_floats, desc->n_kernels, &n_floats)) {
    status = lat_fail(LAT_STATUS_OVERFLOW,
                      "conv: weight size: got %d kernel elements of %lld floats, expected a "
                      "product within int64",
                      (int)desc->n_kernels, (long long)shape.kernel_floats);
    goto done;
  }
  LAT_TRY(lat__alloc_items(context, "conv", n_floats, sizeof(float), &panels), done);
  const void *dense = desc->weight.data;
  if (desc->weight.form != LAT__WEIGHT_PACKED && desc->weight.dtype != LAT_DTYPE_F32) {
    n_weights = desc->n_kernels * shape.depth * desc->c_out; // below n_floats
    LAT_TRY(lat__alloc_items(context, "conv", n_weights, sizeof(float), &widened), done);
    lat__cpu_widen_rows(kernels, desc->weight.dtype, dense, NULL, 1, n_weights, widened);
    dense = widened;
  }
  pack_job job = {
      .desc = desc, .dense = dense, .shape = shape, .panel_width = kernels->lanes * panel_vectors, .panels = panels};
  assert(job.panel_width <= MAX_PANEL_WIDTH);
  job.n_panels = lat__ceil_div_i64(shape.group_columns, job.panel_width);
  // A few ranges for each thread; small weights in one range, which runs serially.
  int64_t grain = lat__max_i64(1, 65536 / lat__max_i64(1, shape.depth * job.panel_width));
  lat__parallel_for(context, desc->n_kernels * shape.groups * job.n_panels, grain, pack_range, &job);
  *out = panels;
  panels = NULL;
done:
  lat__free(context, panels);
  lat__free(context, widened);
  return status;
}
