// Normalized convolution: (relation sum of x W) / sqrt(D + eps), + bias, one rounding.
//
// D[o, co] is the sum of W[k, ci, co]^2 over the edges of o and over ci. It depends on which edges there are, not on x: a
// convolution of one channel of ones with the weight sum over ci of W[k, ci, co]^2. Both sums are float32, also for 16-bit
// features, so that eps does not vanish in them.

#include <math.h>

#include "backend/cpu/cpu_conv.h"
#include "backend/cpu/cpu_rows.h"
#include "core/alloc.h"
#include "core/array_internal.h"
#include "core/checked.h"
#include "core/thread.h"

#define ROW_GRAIN 512
#define SQUARE_GRAIN 4096 ///< weights that one range squares, about

typedef struct square_job {
  const lat__conv_desc *desc;
  int64_t depth;  ///< input channels of one output channel
  float *squares; ///< (n_kernels, c_out)
} square_job;

static void square_range(void *arg, int64_t begin, int64_t end, int worker) {
  const square_job *job = arg;
  const lat__conv_desc *desc = job->desc;
  const lat__weight_desc *weight = &desc->weight;
  bool by_row = weight->form == LAT__WEIGHT_KERNEL_IN_OUT;
  (void)worker;
  for (int64_t at = begin; at < end; at++) {
    int64_t k = at / desc->c_out, co = at % desc->c_out;
    int64_t first = by_row ? k * job->depth * desc->c_out + co : (co * desc->n_kernels + k) * job->depth;
    int64_t step = by_row ? desc->c_out : 1;
    float sum = 0.0f;
    for (int64_t ci = 0; ci < job->depth; ci++) {
      float value = lat__float_load(weight->dtype, weight->data, first + ci * step);
      sum += value * value;
    }
    job->squares[at] = sum;
  }
}

typedef struct divide_job {
  const lat__conv_desc *desc;
  const lat__cpu_kernels *kernels;
  const float *squares; ///< D, (n_out, c_out)
  float *sums;          ///< likewise
} divide_job;

static void divide_range(void *arg, int64_t begin, int64_t end, int worker) {
  const divide_job *job = arg;
  const lat__conv_desc *desc = job->desc;
  int64_t first = begin * desc->c_out, n_rows = end - begin;
  float *sums = job->sums + first, eps = desc->norm_eps;
  const float *squares = job->squares + first;
  (void)worker;
  for (int64_t i = 0; i < n_rows * desc->c_out; i++) sums[i] /= sqrtf(squares[i] + eps);
  if (desc->dtype_out == LAT_DTYPE_F32) {
    job->kernels->finish_rows_f32(sums, desc->c_out, desc->bias, n_rows, desc->c_out, (float *)desc->y + first);
  } else {
    lat__cpu_finish_rows(job->kernels, desc->dtype_out, sums, desc->c_out, desc->bias, n_rows, desc->c_out,
                         (uint16_t *)desc->y + first);
  }
}

static lat_status alloc_floats(lat_context *context, int64_t rows, int64_t columns, float **out) {
  int64_t n_floats = 0;
  void *memory = NULL;
  if (!lat__mul_i64(rows, columns, &n_floats)) {
    return lat_fail(LAT_STATUS_OVERFLOW, "normalized conv: got %lld rows of %lld, expected a size within int64",
                    (long long)rows, (long long)columns);
  }
  lat_status status = lat__alloc_items(context, "normalized conv", n_floats, sizeof(float), &memory);
  *out = memory;
  return status;
}

lat_status lat__cpu_conv_normalized(lat_context *context, const lat__conv_desc *desc, const lat__cpu_kernels *kernels) {
  lat_status status = LAT_STATUS_OK;
  float *sums = NULL, *squares = NULL, *ones = NULL, *weight_squares = NULL;
  LAT_TRY(alloc_floats(context, desc->n_out, desc->c_out, &sums), done);
  LAT_TRY(alloc_floats(context, desc->n_out, desc->c_out, &squares), done);
  LAT_TRY(alloc_floats(context, desc->n_in, 1, &ones), done);
  LAT_TRY(alloc_floats(context, desc->n_kernels, desc->c_out, &weight_squares), done);
  lat__conv_desc sum = *desc;
  sum.norm_eps = 0.0f;
  sum.bias = NULL;
  sum.dtype_out = LAT_DTYPE_F32;
  sum.y = sums;
  LAT_TRY(lat__cpu_conv(context, &sum), done);

  square_job square = {.desc = desc, .depth = desc->c_in / lat__max_i64(1, desc->groups), .squares = weight_squares};
  int64_t grain = lat__max_i64(1, SQUARE_GRAIN / lat__max_i64(1, square.depth));
  lat__parallel_for(context, desc->n_kernels * desc->c_out, grain, square_range, &square);
  for (int64_t r = 0; r < desc->n_in; r++) ones[r] = 1.0f;
  sum.c_in = sum.groups = 1;
  sum.dtype = LAT_DTYPE_F32;
  sum.x = ones;
  sum.weight = (lat__weight_desc){.form = LAT__WEIGHT_KERNEL_IN_OUT, .dtype = LAT_DTYPE_F32, .data = weight_squares};
  sum.y = squares;
  LAT_TRY(lat__cpu_conv(context, &sum), done);

  divide_job divide = {.desc = desc, .kernels = kernels, .squares = squares, .sums = sums};
  lat__parallel_for(context, desc->n_out, ROW_GRAIN, divide_range, &divide);
done:
  lat__free(context, sums);
  lat__free(context, squares);
  lat__free(context, ones);
  lat__free(context, weight_squares);
  return status;
}
