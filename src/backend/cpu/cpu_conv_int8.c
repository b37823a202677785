// Convolution in integers: rows of x quantized on the way in, weights as 8-bit codes.
//
// Row i of x becomes codes q = rint(x * (127 / m)), m = max |x[i]|, which stand for q s_i, s_i = m / 127 (a row of zeros has
// scale 0). With a packed weight, its codes and groups g of input channels are used as they are:
//
//     y[o] = sum over edges, over groups g of s_i (ws[k, g] (q . code) + wb[k, g] sum of q)        ws, wb: of the packed weight
//
// A dense weight becomes codes in the same way, with one scale wc for all weights of an output channel:
//
//     y[o] = wc (sum over edges of s_i (q . code))
//
// Integer sums are exact, and fused multiply-adds between them follow the order of the chain: the same bits at every level. A row
// with a NaN or an infinity has a NaN scale and makes NaN of every output that it meets, and so does an output channel.

#include <math.h>
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

/// Stores the unsigned code of an input channel (signed ones with 128 added) as the kernel reads it.
typedef struct code_panels {
  const lat__conv_packed *packed;
  int64_t full; ///< columns of a full panel
  int32_t zero; ///< taken off
  void *codes;  ///< of one kernel element
} code_panels;

static code_panels panels_of(const lat__conv_packed *packed, int64_t k, bool is_signed) {
  int64_t at = k * packed->columns * packed->code_channels;
  code_panels panels = {packed, packed->kernels->lanes * packed->kernels->tile_vectors, 0, NULL};
  if (packed->code_step == 4) {
    panels.zero = packed->products->flips_codes ? 128 : 0;
    panels.codes = (uint8_t *)packed->codes + at;
  } else {
    panels.zero = is_signed ? 128 : 0;
    panels.codes = (int16_t *)packed->codes + at;
  }
  return panels;
}

static void store_code(const code_panels *panels, int64_t ci, int64_t co, int32_t code) {
  const int64_t step = panels->packed->code_step, first = co / panels->full * panels->full;
  const int64_t width = lat__min_i64(panels->full, panels->packed->columns - first);
  const int64_t at = first * panels->packed->code_channels + (ci / step * width + co - first) * step + ci % step;
  if (step == 4) {
    ((uint8_t *)panels->codes)[at] = (uint8_t)(code - panels->zero);
  } else {
    ((int16_t *)panels->codes)[at] = (int16_t)(code - panels->zero);
  }
}

/// One kernel element of a packed weight.
static void pack_kernel(const lat__conv_desc *desc, const lat__conv_packed *packed, int64_t k) {
  const lat__weight_desc *weight = &desc->weight;
  const code_steps at = steps_of(desc, k);
  const code_panels panels = panels_of(packed, k, false);
  const int64_t columns = packed->columns, n_groups = packed->code_groups, bits = weight->bits;
  const uint32_t mask = (1u << bits) - 1u;
  float *scales = packed->code_scales + k * 2 * n_groups * columns, *biases = scales + n_groups * columns;
  for (int64_t co = 0; co < desc->c_out; co++) {
    for (int64_t ci = 0; ci < desc->c_in; ci++) {
      uint32_t word = weight->words[at.word + ci * bits / 32 * at.index_step + co * at.word_step];
      store_code(&panels, ci, co, (int32_t)(word >> (ci * bits % 32) & mask));
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
  const float *panels; ///< a dense weight as float32 panels
} pack_job;

static void pack_range(void *arg, int64_t begin, int64_t end, int worker) {
  const pack_job *job = arg;
  (void)worker;
  for (int64_t k = begin; k < end; k++) pack_kernel(job->desc, job->packed, k);
}

/// Scale and codes of one output channel of a dense weight.
static void pack_column(const pack_job *job, int64_t co) {
  const lat__conv_packed *packed = job->packed;
  const int64_t depth = packed->shape.depth, kernel_floats = packed->shape.kernel_floats;
  const int64_t full = packed->kernels->lanes * packed->kernels->tile_vectors, first = co / full * full;
  const int64_t width = lat__min_i64(full, packed->columns - first);
  const float *column = job->panels + first * depth + co - first; // kernel element 0, channel 0
  float most = 0.0f;
  bool finite = true;
  for (int32_t k = 0; k < job->desc->n_kernels; k++) {
    for (int64_t ci = 0; ci < depth; ci++) {
      float size = fabsf(column[k * kernel_floats + ci * width]);
      finite = finite && size < INFINITY; // false for a NaN too
      most = size > most ? size : most;
    }
  }
  bool counts = finite && most >= 0x1p-100f;
  packed->column_scales[co] = !finite ? NAN : counts ? most / 127.0f : 0.0f;
  for (int32_t k = 0; k < job->desc->n_kernels; k++) {
    const code_panels panels = panels_of(packed, k, true);
    for (int64_t ci = 0; ci < depth; ci++) {
      float code = counts ? rintf(column[k * kernel_floats + ci * width] * (127.0f / most)) : 0.0f;
      store_code(&panels, ci, co, (int32_t)code + 128);
    }
  }
}

static void pack_columns(void *arg, int64_t begin, int64_t end, int worker) {
  (void)worker;
  for (int64_t co = begin; co < end; co++) pack_column(arg, co);
}

static lat_status pack_dense(lat_context *context, const lat__conv_desc *desc, lat__conv_packed *packed) {
  lat_status status = LAT_STATUS_OK;
  float *panels = NULL;
  void *scales = NULL;
  packed->code_groups = desc->c_in > 0 ? 1 : 0;
  packed->code_group_size = packed->code_channels;
  LAT_TRY(lat__alloc_zero(context, "conv", packed->columns, sizeof *packed->column_scales, &scales), done);
  packed->column_scales = scales;
  packed->bytes += packed->columns * (int64_t)sizeof *packed->column_scales;
  LAT_TRY(lat__cpu_conv_pack(context, desc, packed->kernels, packed->kernels->tile_vectors, &panels), done);
  pack_job job = {desc, packed, panels};
  lat__parallel_for(context, desc->c_out, 16, pack_columns, &job);
done:
  lat__free(context, panels);
  return status;
}

static lat_status fail_size(const lat__conv_desc *desc) {
  return lat_fail(LAT_STATUS_OVERFLOW, "conv: weight size: got %lld x %lld, expected a product within int64",
                  (long long)desc->c_out, (long long)desc->c_in);
}

static lat_status pack_coded(lat_context *context, const lat__conv_desc *desc, lat__conv_packed *packed) {
  void *scales = NULL;
  int64_t n_scales = 0;
  packed->code_group_size = desc->weight.group_size;
  packed->code_groups = lat__ceil_div_i64(desc->c_in, packed->code_group_size);
  if (!lat__mul_i64(packed->columns * desc->n_kernels, 2 * packed->code_groups, &n_scales)) return fail_size(desc);
  lat_status status = lat__alloc_zero(context, "conv", n_scales, sizeof *packed->code_scales, &scales);
  if (status) return status;
  packed->code_scales = scales;
  packed->bytes += n_scales * (int64_t)sizeof *packed->code_scales;
  pack_job job = {desc, packed, NULL};
  lat__parallel_for(context, desc->n_kernels, 1, pack_range, &job);
  return LAT_STATUS_OK;
}

lat_status lat__cpu_conv_pack_codes(lat_context *context, const lat__conv_desc *desc, lat__conv_packed *packed) {
  void *codes = NULL;
  int64_t n_codes = 0;
  bool bytes = packed->products && packed->products->dot_gemm_i8;
  size_t code_bytes = bytes ? sizeof(int8_t) : sizeof(int16_t);
  packed->code_step = bytes ? 4 : 2;
  packed->code_channels = lat__ceil_div_i64(desc->c_in, packed->code_step) * packed->code_step;
  if (!lat__mul_i64(packed->columns * desc->n_kernels, packed->code_channels, &n_codes)) return fail_size(desc);
  lat_status status = lat__alloc_zero(context, "conv", n_codes, code_bytes, &codes);
  if (status) return status;
  packed->codes = codes;
  packed->bytes = n_codes * (int64_t)code_bytes;
  status = (desc->weight.form == LAT__WEIGHT_PACKED ? pack_coded : pack_dense)(context, desc, packed);
  packed->code_row_bytes =
      packed->code_channels * (int64_t)code_bytes + (1 + packed->code_groups) * (int64_t)sizeof(float);
  return status;
}

// --- features ---------------------------------------------------------------------------------------------------------

bool lat__cpu_conv_codes_floats(const lat__conv_desc *desc, const lat__conv_packed *packed, int64_t *n_floats) {
  const int64_t line = LAT_ALIGN / sizeof(float);
  return lat__mul_i64(desc->n_in, packed->code_row_bytes / (int64_t)sizeof(float), n_floats) &&
         lat__add_i64(*n_floats, line - 1, n_floats) && (*n_floats = *n_floats / line * line, true);
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
    (packed->code_step == 4 ? packed->kernels->quantize_rows_i8 : packed->kernels->quantize_rows_i16)(
        x, n_rows, desc->c_in, packed->code_group_size, job->x_codes + row * packed->code_row_bytes);
  }
}

void lat__cpu_conv_quantize(lat_context *context, lat__cpu_conv_job *job, float *memory) {
  const lat__conv_desc *desc = job->desc;
  job->x_codes = (char *)memory;
  if (desc->c_in == 0) return;
  int64_t grain = lat__max_i64(1, ROW_GRAIN_FLOATS / desc->c_in);
  lat__parallel_for(context, desc->n_in, grain, quantize_range, job);
}
