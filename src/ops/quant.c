// Packs weights into int4 or int8 codes with an affine map per group of input channels, and unpacks them. The object
// itself, and making one from stored parts, is in quantized_weight.c.

#include <math.h>
#include <string.h>

#include "core/array_internal.h"
#include "core/checked.h"
#include "core/compiler.h"
#include "core/context_internal.h"
#include "core/first_index.h"
#include "core/thread.h"
#include "ops/quant_internal.h"

#define MAX_GROUP 128
#define GRAIN_ELEMENTS 16384 // less than that is done before another thread has woken

/// Smallest magnitude of a scale before it is fitted to the group's edge: keeps a constant group representable.
#define MIN_SCALE 1e-7f

/// The logical weight as rows of input channels, one for each (kernel element, output channel). Steps are in elements;
/// the kernel element k = (x * ky + y) * kz + z.
typedef struct weight_rows {
  const void *data;
  lat_dtype dtype;
  int64_t in_channels, out_channels, n_kernels;
  lat_triple kernel_size;
  lat_weight_layout layout;
  int64_t in_step, out_step;
  int64_t kernel_step[3];
} weight_rows;

/// A group's affine map: value = code * scale + bias.
typedef struct affine {
  float scale, bias;
} affine;

/// Rows of `channels` elements that are worth another thread.
static int64_t row_grain(int64_t channels) {
  return lat__max_i64(1, GRAIN_ELEMENTS / channels);
}

static lat_status check_options(const char *op, const lat_quantize_opts *opts) {
  if (opts->bits != 0 && opts->bits != 4 && opts->bits != 8) {
    return lat_fail(LAT_STATUS_INVALID_ARGUMENT, "%s: bits must be 4 or 8: got %d, expected 4 or 8", op,
                    (int)opts->bits);
  }
  if (opts->group_size != 0 && opts->group_size != 32 && opts->group_size != 64 && opts->group_size != 128) {
    return lat_fail(LAT_STATUS_INVALID_ARGUMENT,
                    "%s: group_size must be 32, 64, or 128: got %d, expected one of them or 0", op,
                    (int)opts->group_size);
  }
  return LAT_STATUS_OK;
}

/// Reads the rank as a layout and the axes as steps.
static void weight_rows_of(const lat_array_view *view, weight_rows *rows) {
  const int64_t *shape = view->shape;
  const int64_t *stride = view->stride;
  *rows = (weight_rows){.data = view->data, .dtype = view->dtype, .n_kernels = 1, .kernel_size = {1, 1, 1}};
  if (view->rank == 3) {
    rows->layout = LAT_WEIGHT_LAYOUT_KERNEL_MAJOR;
    rows->n_kernels = shape[0];
    rows->kernel_size.x = (int32_t)shape[0];
    rows->kernel_step[0] = stride[0];
    rows->in_channels = shape[1], rows->in_step = stride[1];
    rows->out_channels = shape[2], rows->out_step = stride[2];
    return;
  }
  rows->layout = view->rank == 2 ? LAT_WEIGHT_LAYOUT_LINEAR : LAT_WEIGHT_LAYOUT_DENSE_5D;
  rows->out_channels = shape[0], rows->out_step = stride[0];
  rows->in_channels = shape[view->rank - 1], rows->in_step = stride[view->rank - 1];
  if (view->rank == 5) {
    rows->kernel_size = (lat_triple){(int32_t)shape[1], (int32_t)shape[2], (int32_t)shape[3]};
    rows->n_kernels = shape[1] * shape[2] * shape[3];
    for (int axis = 0; axis < 3; axis++) rows->kernel_step[axis] = stride[1 + axis];
  }
}

static lat_status check_weight(const char *op, const lat_array_view *view, weight_rows *rows) {
  char shape[128];
  int64_t count = 0;
  lat_status status = lat__view_check(op, "weight", view, &count);
  if (status) return status;
  if (view->rank != 2 && view->rank != 3 && view->rank != 5) {
    return lat_fail(LAT_STATUS_INVALID_SHAPE,
                    "%s: weight rank: got %s, expected (C_out, C_in), (K, C_in, C_out) or (C_out, Kx, Ky, Kz, C_in)",
                    op, lat__shape_text(view, shape, sizeof shape));
  }
  if (view->dtype != LAT_DTYPE_F32 && view->dtype != LAT_DTYPE_F16) {
    return lat_fail(LAT_STATUS_INVALID_DTYPE,
                    "%s: weight quantization supports float16 and float32: got %s, expected one of them", op,
                    lat_dtype_name(view->dtype));
  }
  if (count == 0) {
    return lat_fail(LAT_STATUS_INVALID_SHAPE, "%s: weight has an empty axis: got %s, expected 1 or more on every axis",
                    op, lat__shape_text(view, shape, sizeof shape));
  }
  // The kernel volume and its axes are int32; the product of checked axes is below the checked element count.
  int64_t volume = view->rank == 3 ? view->shape[0] : 1;
  for (int axis = 1; view->rank == 5 && axis <= 3; axis++) volume *= view->shape[axis];
  if (volume > INT32_MAX) {
    return lat_fail(LAT_STATUS_OVERFLOW, "%s: kernel volume leaves int32: got %s, expected at most %lld elements", op,
                    lat__shape_text(view, shape, sizeof shape), (long long)INT32_MAX);
  }
  weight_rows_of(view, rows);
  return LAT_STATUS_OK;
}

/// Element offset of the first input channel of a row.
static int64_t row_offset(const weight_rows *rows, int64_t kernel, int64_t channel) {
  int64_t z = kernel % rows->kernel_size.z;
  int64_t y = kernel / rows->kernel_size.z % rows->kernel_size.y;
  int64_t x = kernel / rows->kernel_size.z / rows->kernel_size.y;
  return channel * rows->out_step + x * rows->kernel_step[0] + y * rows->kernel_step[1] + z * rows->kernel_step[2];
}

/// Affine map of a group, in float32: the end of larger magnitude falls on a code exactly, so that zero stays near one.
///
///     scale = max((max - min) / n, 1e-7), negated unless |min| > |max|;  edge = the end of larger magnitude
///     q0 = rint(edge / scale);  q0 != 0: scale = edge / q0, bias = edge
static affine fit_group(const float *values, int64_t count, float n_codes) {
  float low = values[0], high = values[0];
  for (int64_t i = 1; i < count; i++) {
    low = values[i] < low ? values[i] : low;
    high = values[i] > high ? values[i] : high;
  }
  bool negative = fabsf(low) > fabsf(high);
  float scale = (high - low) / n_codes;
  if (scale < MIN_SCALE) scale = MIN_SCALE;
  if (!negative) scale = -scale;
  float edge = negative ? low : high;
  float steps = rintf(edge / scale);
  if (steps == 0.0f) return (affine){scale, 0.0f};
  return (affine){edge / steps, edge};
}

/// clamp(rint((value - bias) / scale), 0, n); 0 where the quotient is not a number (a constant group, 0 / 0).
static inline uint32_t encode(float value, affine map, float n_codes) {
  float code = rintf((value - map.bias) / map.scale);
  if (!(code > 0.0f)) return 0;
  return (uint32_t)(code < n_codes ? code : n_codes);
}

/// Reads one group of a row, zero-padded; reports the first value that is not finite.
static bool read_group(const weight_rows *rows, int64_t offset, int64_t begin, int64_t count, float *values,
                       int64_t *bad) {
  int64_t present = lat__min_i64(count, rows->in_channels - begin);
  for (int64_t i = 0; i < present; i++) {
    values[i] = lat__float_load(rows->dtype, rows->data, offset + (begin + i) * rows->in_step);
    if (!isfinite(values[i])) {
      *bad = begin + i;
      return false;
    }
  }
  for (int64_t i = present; i < count; i++) values[i] = 0.0f;
  return true;
}

typedef struct pack_job {
  weight_rows rows;
  const lat_quantized_weight *weight;
  uint32_t *words;
  void *scales, *biases;
  lat__first_index fault; ///< (row, input channel) flattened
} pack_job;

/// Fits and packs one group; false when a value is not finite or would not come back finite.
static bool pack_group(pack_job *job, int64_t kernel, int64_t channel, int64_t group, int64_t *bad) {
  const lat_quantized_weight *weight = job->weight;
  float values[MAX_GROUP];
  const int64_t group_size = weight->group_size;
  const int64_t begin = group * group_size;
  const float n_codes = weight->bits == 4 ? 15.0f : 255.0f;
  const int64_t words_per_group = group_size * weight->bits / 32;
  const int codes_per_word = 32 / weight->bits;
  if (!read_group(&job->rows, row_offset(&job->rows, kernel, channel), begin, group_size, values, bad)) return false;
  affine map = fit_group(values, group_size, n_codes);
  *bad = begin;
  if (!isfinite(lat__float_round(job->rows.dtype, n_codes * lat__float_round(job->rows.dtype, map.scale))))
    return false;
  int64_t per_channel = weight->storage_in / group_size;
  int64_t at = lat__quantized_offset(weight->n_kernels, weight->out_channels, per_channel, kernel, channel, group);
  lat__float_store(job->rows.dtype, job->scales, at, map.scale);
  lat__float_store(job->rows.dtype, job->biases, at, map.bias);
  for (int64_t w = 0; w < words_per_group; w++) {
    uint32_t word = 0;
    for (int j = 0; j < codes_per_word; j++) {
      word |= encode(values[w * codes_per_word + j], map, n_codes) << (j * weight->bits);
    }
    job->words[lat__quantized_offset(weight->n_kernels, weight->out_channels, per_channel * words_per_group, kernel,
                                     channel, group * words_per_group + w)] = word;
  }
  return true;
}

static void pack_range(void *arg, int64_t begin, int64_t end, int worker) {
  pack_job *job = arg;
  (void)worker;
  const int64_t n_groups = job->weight->storage_in / job->weight->group_size;
  for (int64_t row = begin; row < end; row++) {
    int64_t bad = 0;
    for (int64_t g = 0; g < n_groups; g++) {
      if (pack_group(job, row / job->rows.out_channels, row % job->rows.out_channels, g, &bad)) continue;
      lat__first_index_report(&job->fault, row * job->rows.in_channels + bad);
      break;
    }
  }
}

static lat_status fail_at(const char *op, const weight_rows *rows, int64_t fault) {
  int64_t row = fault / rows->in_channels;
  int64_t in_channel = fault % rows->in_channels;
  int64_t kernel = row / rows->out_channels, channel = row % rows->out_channels;
  float value =
      lat__float_load(rows->dtype, rows->data, row_offset(rows, kernel, channel) + in_channel * rows->in_step);
  if (!isfinite(value)) {
    return lat_fail(LAT_STATUS_INVALID_ARGUMENT,
                    "%s: weight must be finite: got %g at kernel element %lld, output channel %lld, input channel "
                    "%lld, expected no NaN or infinity",
                    op, (double)value, (long long)kernel, (long long)channel, (long long)in_channel);
  }
  return lat_fail(LAT_STATUS_OVERFLOW,
                  "%s: range of a group leaves %s: got kernel element %lld, output channel %lld, the group of input "
                  "channel %lld, expected values that come back finite",
                  op, lat_dtype_name(rows->dtype), (long long)kernel, (long long)channel, (long long)in_channel);
}

/// Shape of the result and its empty storage.
static lat_status infer_output(lat_context *context, const char *op, const weight_rows *rows,
                               const lat_quantize_opts *opts, lat_quantized_weight **out) {
  lat_status status = LAT_STATUS_OK;
  lat_array *words = NULL, *scales = NULL, *biases = NULL;
  lat_quantized_weight facts = {.bits = opts->bits ? opts->bits : 4,
                                .group_size = opts->group_size          ? opts->group_size
                                              : rows->in_channels >= 64 ? 64
                                                                        : 32,
                                .in_channels = rows->in_channels,
                                .out_channels = rows->out_channels,
                                .n_kernels = rows->n_kernels,
                                .kernel_size = rows->kernel_size,
                                .layout = rows->layout};
  int64_t n_groups = lat__ceil_div_i64(rows->in_channels, facts.group_size);
  facts.storage_in = n_groups * facts.group_size; // bytes of the input bound in_channels to a half of int64
  int64_t n_words = n_groups * (facts.group_size * facts.bits / 32);
  bool pointwise = rows->n_kernels == 1;
  int64_t word_shape[3] = {rows->n_kernels, pointwise ? rows->out_channels : n_words,
                           pointwise ? n_words : rows->out_channels};
  int64_t group_shape[3] = {rows->n_kernels, pointwise ? rows->out_channels : n_groups,
                            pointwise ? n_groups : rows->out_channels};
  LAT_TRY(lat__array_new(context, op, LAT_DTYPE_U32, 3, word_shape, &words), done);
  LAT_TRY(lat__array_new(context, op, rows->dtype, 3, group_shape, &scales), done);
  LAT_TRY(lat__array_new(context, op, rows->dtype, 3, group_shape, &biases), done);
  facts.words = words, facts.scales = scales, facts.biases = biases;
  LAT_TRY(lat__quantized_weight_new(context, op, &facts, out), done);
done:
  lat_array_release(words);
  lat_array_release(scales);
  lat_array_release(biases);
  return status;
}

lat_status lat_quantize_weight(lat_context *context, const lat_array_view *weight, const lat_quantize_opts *opts,
                               lat_quantized_weight **out) {
  static const char op[] = "quantize_weight";
  lat_status status = LAT_STATUS_OK;
  lat_quantize_opts o;
  pack_job job;
  lat_quantized_weight *packed = NULL;
  if (!out) return lat_fail(LAT_STATUS_INVALID_ARGUMENT, "%s: out: got NULL, expected a place for the weight", op);
  *out = NULL;
  if (!context) return lat_fail(LAT_STATUS_INVALID_ARGUMENT, "%s: context: got NULL, expected a context", op);
  LAT_TRY(lat__opts_copy(op, opts, sizeof o, &o), done);
  LAT_TRY(check_options(op, &o), done);
  LAT_TRY(check_weight(op, weight, &job.rows), done);
  LAT_TRY(infer_output(context, op, &job.rows, &o, &packed), done);
  job.weight = packed;
  job.words = lat_array_data(packed->words);
  job.scales = lat_array_data(packed->scales);
  job.biases = lat_array_data(packed->biases);
  lat__first_index_init(&job.fault);
  lat__parallel_for(context, job.rows.n_kernels * job.rows.out_channels, row_grain(packed->storage_in), pack_range,
                    &job);
  int64_t fault = lat__first_index_get(&job.fault);
  if (fault != LAT__NO_INDEX) {
    status = fail_at(op, &job.rows, fault);
    goto done;
  }
  *out = packed;
  packed = NULL;
done:
  lat_quantized_weight_release(packed);
  return status;
}

typedef struct unpack_job {
  const lat_quantized_weight *weight;
  weight_rows rows; ///< of the result
  void *data;
} unpack_job;

static void unpack_row(const unpack_job *job, int64_t kernel, int64_t channel) {
  const lat_quantized_weight *weight = job->weight;
  const lat_dtype dtype = job->rows.dtype;
  const uint32_t *words = weight->words->view.data;
  const int64_t n_groups = weight->storage_in / weight->group_size;
  const int64_t codes_per_word = 32 / weight->bits;
  const int64_t n_words = weight->storage_in / codes_per_word;
  const uint32_t mask = weight->bits == 4 ? 0xFu : 0xFFu;
  int64_t offset = row_offset(&job->rows, kernel, channel);
  for (int64_t c = 0; c < weight->in_channels; c++) {
    int64_t group = lat__quantized_offset(weight->n_kernels, weight->out_channels, n_groups, kernel, channel,
                                          c / weight->group_size);
    uint32_t word = words[lat__quantized_offset(weight->n_kernels, weight->out_channels, n_words, kernel, channel,
                                                c / codes_per_word)];
    uint32_t code = (word >> (c % codes_per_word * weight->bits)) & mask;
    float product = lat__float_round(dtype, (float)code * lat__float_load(dtype, weight->scales->view.data, group));
    lat__float_store(dtype, job->data, offset + c * job->rows.in_step,
                     product + lat__float_load(dtype, weight->biases->view.data, group));
  }
}

static void unpack_range(void *arg, int64_t begin, int64_t end, int worker) {
  const unpack_job *job = arg;
  (void)worker;
  for (int64_t row = begin; row < end; row++) {
    unpack_row(job, row / job->rows.out_channels, row % job->rows.out_channels);
  }
}

lat_status lat_dequantize_weight(lat_context *context, const lat_quantized_weight *weight, lat_array **out) {
  static const char op[] = "dequantize_weight";
  if (!out) return lat_fail(LAT_STATUS_INVALID_ARGUMENT, "%s: out: got NULL, expected a place for the array", op);
  *out = NULL;
  if (!context || !weight) {
    return lat_fail(LAT_STATUS_INVALID_ARGUMENT, "%s: %s: got NULL, expected a handle", op,
                    context ? "weight" : "context");
  }
  const lat_triple k = weight->kernel_size;
  const int64_t linear[2] = {weight->out_channels, weight->in_channels};
  const int64_t kernel_major[3] = {weight->n_kernels, weight->in_channels, weight->out_channels};
  const int64_t dense[5] = {weight->out_channels, k.x, k.y, k.z, weight->in_channels};
  bool is_linear = weight->layout == LAT_WEIGHT_LAYOUT_LINEAR, is_dense = weight->layout == LAT_WEIGHT_LAYOUT_DENSE_5D;
  lat_status status = lat__array_new(context, op, weight->scales->view.dtype,
                                     is_linear  ? 2
                                     : is_dense ? 5
                                                : 3,
                                     is_linear  ? linear
                                     : is_dense ? dense
                                                : kernel_major,
                                     out);
  if (status) return status;
  unpack_job job = {.weight = weight, .data = lat_array_data(*out)};
  weight_rows_of(&(*out)->view, &job.rows);
  lat__parallel_for(context, weight->n_kernels * weight->out_channels, row_grain(weight->storage_in), unpack_range,
                    &job);
  return LAT_STATUS_OK;
}
