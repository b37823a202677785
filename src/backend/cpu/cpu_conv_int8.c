// Convolution in integers: rows of x quantized on the way in, packed weights as their codes.
//
// Row i of x becomes codes q = rint(x / s_i), s_i = max |x[i]| / 127 (float32; a row of zeros has scale 0), so that
//
//     y[o] = sum over edges, over groups g of s_i (ws[k, g] (q . code) + wb[k, g] sum of q)        ws, wb: of the packed weight
//
// with integer sums inside a group, which are exact, and fused multiply-adds between groups in the order of the chain: the
// same bits at every level. A row with a NaN or an infinity has a NaN scale and makes NaN of every output that it meets.

#include <string.h>

#include "backend/cpu/cpu_conv.h"
#include "backend/cpu/cpu_rows.h"
#include "core/alloc.h"
#include "core/array_internal.h"
#include "core/checked.h"
#include "core/compiler.h"
#include "core/thread.h"

#define ROW_GRAIN_FLOATS 16384

// --- weights ----------------------------------------------------------------------------------------------------------

/// Where words and groups of output channel 0 begin, and the step from one word, group and output channel to the next.
typedef struct code_steps {
  int64_t word, group;           ///< first of kernel element k
  int64_t index_step;            ///< from one word or group to the next
  int64_t word_step, group_step; ///< from one output channel to the next
} code_steps;

static code_steps steps_of(const lat__conv_desc *desc, int64_t k) {
  const lat__weight_desc *weight = &desc->weight;
  int64_t n_words = weight->storage_in * weight->bits / 32, n_groups = weight->storage_in / weight->group_size;
  if (desc->n_kernels == 1) return (code_steps){0, 0, 1, n_words, n_groups};
  return (code_steps){k * n_words * desc->c_out, k * n_groups * desc->c_out, desc->c_out, 1, 1};
}

static void pack_kernel(const lat__conv_desc *desc, const lat__conv_packed *packed, int64_t k) {
  const lat__weight_desc *weight = &desc->weight;
  const code_steps at = steps_of(desc, k);
  const int64_t columns = packed->columns, n_groups = packed->code_groups, channels = packed->code_channels;
  const int64_t full = packed->kernels->lanes * packed->kernels->tile_vectors, bits = weight->bits;
  const uint32_t mask = (1u << bits) - 1u;
  int16_t *codes = packed->codes + k * columns * channels;
  float *scales = packed->code_scales + k * 2 * n_groups * columns, *biases = scales + n_groups * columns;
  memset(codes, 0, (size_t)(columns * channels) * sizeof *codes);
  memset(scales, 0, (size_t)(2 * n_groups * columns) * sizeof *scales);
  for (int64_t co = 0; co < desc->c_out; co++) {
    int64_t panel = co / full * full, width = lat__min_i64(full, columns - panel);
    int16_t *column = codes + panel * channels + 2 * (co - panel);
    for (int64_t ci = 0; ci < desc->c_in; ci++) {
      uint32_t word = weight->words[at.word + ci * bits / 32 * at.index_step + co * at.word_step];
      column[ci / 2 * 2 * width + ci % 2] = (int16_t)(word >> (ci * bits % 32) & mask);
    }
    for (int64_t g = 0; g < n_groups; g++) {
      int64_t stored = at.group + g * at.index_step + co * at.group_step;
      scales[g * columns + co] = lat__float_load(weight->dtype, weight->scales, stored);
      biases[g * columns + co] = lat__float_load(weight->dtype, weight->biases, stored);
    }
  }
}

typedef struct pack_job {
  const lat__conv_desc *desc;
  const lat__conv_packed *packed;
} pack_job;

static void pack_range(void *arg, int64_t begin, int64_t end, int worker) {
  const pack_job *job = arg;
  (void)worker;
  for (int64_t k = begin; k < end; k++) pack_kernel(job->desc, job->packed, k);
}

lat_status lat__cpu_conv_pack_codes(lat_context *context, const lat__conv_desc *desc, lat__conv_packed *packed) {
  lat_status status = LAT_STATUS_OK;
  void *codes = NULL, *scales = NULL;
  int64_t n_codes = 0, n_scales = 0;
  packed->columns = packed->shape.columns;
  packed->code_channels = lat__ceil_div_i64(desc->c_in, 2) * 2;
  packed->code_group_size = desc->weight.group_size;
  packed->code_groups = lat__ceil_div_i64(desc->c_in, packed->code_group_size);
  if (!lat__mul_i64(packed->columns * desc->n_kernels, packed->code_channels, &n_codes) ||
      !lat__mul_i64(packed->columns * desc->n_kernels, 2 * packed->code_groups, &n_scales)) {
    return lat_fail(LAT_STATUS_OVERFLOW, "conv: weight size: got %lld x %lld, expected a product within int64",
                    (long long)desc->c_out, (long long)desc->c_in);
  }
  LAT_TRY(lat__alloc_items(context, "conv", n_codes, sizeof *packed->codes, &codes), done);
  packed->codes = codes;
  LAT_TRY(lat__alloc_items(context, "conv", n_scales, sizeof *packed->code_scales, &scales), done);
  packed->code_scales = scales;
  packed->bytes = n_codes * (int64_t)sizeof *packed->codes + n_scales * (int64_t)sizeof *packed->code_scales;
  pack_job job = {desc, packed};
  lat__parallel_for(context, desc->n_kernels, 1, pack_range, &job);
done:
  return status;
}

// --- features ---------------------------------------------------------------------------------------------------------

bool lat__cpu_conv_codes_floats(const lat__conv_desc *desc, const lat__conv_packed *packed, int64_t *n_floats) {
  const int64_t line = LAT_ALIGN / sizeof(float);
  int64_t per_row = packed->code_channels / 2 + packed->code_groups + 1; // two codes are as long as a float
  return lat__mul_i64(desc->n_in, per_row, n_floats) && lat__add_i64(*n_floats, line - 1, n_floats) &&
         (*n_floats = *n_floats / line * line, true);
}

static void quantize_range(void *arg, int64_t begin, int64_t end, int worker) {
  const lat__cpu_conv_job *job = arg;
  const lat__conv_desc *desc = job->desc;
  const lat__conv_packed *packed = job->packed;
  bool wide = desc->dtype == LAT_DTYPE_F32;
  float *scratch = wide ? NULL : lat__cpu_conv_scratch(job, worker, job->widened_at);
  int64_t step = wide ? end - begin : job->pass_rows;
  for (int64_t row = begin; row < end; row += step) {
    int64_t n_rows = lat__min_i64(step, end - row);
    const float *x =
        lat__cpu_widen(packed->kernels, desc->dtype, desc->x, row * desc->c_in, n_rows * desc->c_in, scratch);
    packed->kernels->quantize_rows_i16(x, n_rows, desc->c_in, packed->code_group_size,
                                       job->x_codes + row * packed->code_channels, job->x_scales + row,
                                       job->x_sums + row * packed->code_groups);
  }
}

void lat__cpu_conv_quantize(lat_context *context, lat__cpu_conv_job *job, float *memory) {
  const lat__conv_desc *desc = job->desc;
  job->x_codes = (int16_t *)(void *)memory;
  job->x_scales = memory + desc->n_in * job->packed->code_channels / 2;
  job->x_sums = job->x_scales + desc->n_in;
  if (job->packed->code_channels == 0) return;
  int64_t grain = lat__max_i64(1, ROW_GRAIN_FLOATS / desc->c_in);
  lat__parallel_for(context, desc->n_in, grain, quantize_range, job);
}
