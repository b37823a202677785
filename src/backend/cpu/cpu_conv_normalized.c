// Normalized convolution, Y = S / sqrt(D + eps): its forward-mode product and what its gradients need. (cpu_conv.c runs it
// forward.)
//
// S is the relation sum of x W; D[o, co] is the sum of W[k, ci, co]^2 over the edges of o and over ci. D depends on which
// edges there are, not on x: a convolution of one channel of ones with the weight sum over ci of W[k, ci, co]^2. With a
// tangent of W the sum E of W dW, half of D's tangent, is made likewise. All sums are float32, also for 16-bit features, so
// that eps does not vanish in them.

#include <math.h>

#include "backend/cpu/cpu_conv.h"
#include "backend/cpu/cpu_rows.h"
#include "core/alloc.h"
#include "core/array_internal.h"
#include "core/checked.h"
#include "core/thread.h"

#define ROW_GRAIN 512
#define PRODUCT_GRAIN 4096 ///< weights that one range multiplies, about

typedef struct product_job {
  const lat__conv_desc *desc;
  const void *other; ///< in the form and dtype of the weight
  int64_t depth;     ///< input channels of one output channel
  float *products;   ///< (n_kernels, c_out)
} product_job;

static void product_range(void *arg, int64_t begin, int64_t end, int worker) {
  const product_job *job = arg;
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
      float a = lat__float_load(weight->dtype, weight->data, first + ci * step);
      float b = lat__float_load(weight->dtype, job->other, first + ci * step);
      sum += a * b;
    }
    job->products[at] = sum;
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

lat_status lat__cpu_conv_products(lat_context *context, const lat__conv_desc *desc, const void *other, float **out) {
  lat_status status = alloc_floats(context, desc->n_kernels, desc->c_out, out);
  if (status) return status;
  product_job job = {desc, other, desc->c_in / lat__max_i64(1, desc->groups), *out};
  int64_t grain = lat__max_i64(1, PRODUCT_GRAIN / lat__max_i64(1, job.depth));
  lat__parallel_for(context, desc->n_kernels * desc->c_out, grain, product_range, &job);
  return LAT_STATUS_OK;
}

/// `*out` = S, (n_out, c_out).
static lat_status sum_features(lat_context *context, const lat__conv_desc *desc, float **out) {
  lat_status status = alloc_floats(context, desc->n_out, desc->c_out, out);
  if (status) return status;
  lat__conv_desc sum = *desc;
  sum.norm_eps = 0.0f;
  sum.norm_tangent = NULL;
  sum.bias = NULL;
  sum.dtype_out = LAT_DTYPE_F32;
  sum.y = *out;
  return lat__cpu_conv(context, &sum);
}

/// `*out` = over the edges of each output the sum of W times `other`: D for W itself, E for its tangent. (n_out, c_out).
static lat_status sum_products(lat_context *context, const lat__conv_desc *desc, const void *other, float **out) {
  lat_status status = LAT_STATUS_OK;
  float *ones = NULL, *products = NULL;
  LAT_TRY(alloc_floats(context, desc->n_out, desc->c_out, out), done);
  LAT_TRY(alloc_floats(context, desc->n_in, 1, &ones), done);
  LAT_TRY(lat__cpu_conv_products(context, desc, other, &products), done);
  for (int64_t r = 0; r < desc->n_in; r++) ones[r] = 1.0f;
  lat__conv_desc sum = *desc;
  sum.norm_eps = 0.0f;
  sum.norm_tangent = NULL;
  sum.bias = NULL;
  sum.c_in = sum.groups = 1;
  sum.dtype = sum.dtype_out = LAT_DTYPE_F32;
  sum.x = ones;
  sum.weight = (lat__weight_desc){.form = LAT__WEIGHT_KERNEL_IN_OUT, .dtype = LAT_DTYPE_F32, .data = products};
  sum.y = *out;
  LAT_TRY(lat__cpu_conv(context, &sum), done);
done:
  lat__free(context, ones);
  lat__free(context, products);
  return status;
}

// --- forward-mode product ---

typedef struct divide_job {
  const lat__conv_desc *desc;
  const lat__cpu_kernels *kernels;
  float *sums;          ///< tangent of S; becomes the result before bias and rounding
  const float *squares; ///< D
  const float *values;  ///< S and E of a product with a tangent of the weight, else NULL
  const float *pulls;
} divide_job;

static void divide_range(void *arg, int64_t begin, int64_t end, int worker) {
  const divide_job *job = arg;
  const lat__conv_desc *desc = job->desc;
  int64_t first = begin * desc->c_out, n_rows = end - begin;
  float *sums = job->sums + first, eps = desc->norm_eps;
  (void)worker;
  for (int64_t i = 0; i < n_rows * desc->c_out; i++) {
    float square = job->squares[first + i] + eps;
    float sum = sums[i];
    if (job->values) sum -= job->values[first + i] * (job->pulls[first + i] / square);
    sums[i] = sum / sqrtf(square);
  }
  if (desc->dtype_out == LAT_DTYPE_F32) {
    job->kernels->finish_rows_f32(sums, desc->c_out, desc->bias, n_rows, desc->c_out, (float *)desc->y + first);
  } else {
    lat__cpu_finish_rows(job->kernels, desc->dtype_out, sums, desc->c_out, desc->bias, n_rows, desc->c_out,
                         (uint16_t *)desc->y + first);
  }
}

lat_status lat__cpu_conv_normalized_jvp(lat_context *context, const lat__conv_desc *desc) {
  lat_status status = LAT_STATUS_OK;
  const lat__conv_norm_tangent *tangent = desc->norm_tangent;
  float *sums = NULL, *squares = NULL, *values = NULL, *pulls = NULL;
  lat__conv_desc forward = *tangent->forward;
  forward.pairs = desc->pairs;
  forward.n_out = desc->n_out;
  LAT_TRY(sum_features(context, desc, &sums), done);
  LAT_TRY(sum_products(context, &forward, forward.weight.data, &squares), done);
  if (tangent->weight_tangent) {
    LAT_TRY(sum_features(context, &forward, &values), done);
    LAT_TRY(sum_products(context, &forward, tangent->weight_tangent, &pulls), done);
  }
  divide_job job = {desc, lat__cpu_kernels_for(context), sums, squares, values, pulls};
  lat__parallel_for(context, desc->n_out, ROW_GRAIN, divide_range, &job);
done:
  lat__free(context, sums);
  lat__free(context, squares);
  lat__free(context, values);
  lat__free(context, pulls);
  return status;
}

// --- gradient ---

typedef struct pull_job {
  const lat__conv_norm_grad_desc *desc;
  const float *sums, *squares; ///< S (NULL: no pulls are wanted) and D
} pull_job;

static void pull_range(void *arg, int64_t begin, int64_t end, int worker) {
  const pull_job *job = arg;
  const lat__conv_norm_grad_desc *desc = job->desc;
  int64_t c_out = desc->forward->c_out;
  float eps = desc->forward->norm_eps;
  (void)worker;
  for (int64_t i = begin * c_out; i < end * c_out; i++) {
    float square = job->squares[i] + eps;
    desc->scaled[i] = lat__float_load(desc->dtype_grad, desc->grad, i) / sqrtf(square);
    if (job->sums) desc->pull[i] = desc->scaled[i] * (job->sums[i] / square);
  }
}

lat_status lat__cpu_conv_norm_grad(lat_context *context, const lat__conv_norm_grad_desc *desc) {
  lat_status status = LAT_STATUS_OK;
  const lat__conv_desc *forward = desc->forward;
  float *sums = NULL, *squares = NULL;
  if (forward->n_out == 0 || forward->c_out == 0) return LAT_STATUS_OK;
  if (desc->pull) LAT_TRY(sum_features(context, forward, &sums), done);
  LAT_TRY(sum_products(context, forward, forward->weight.data, &squares), done);
  pull_job job = {desc, sums, squares};
  lat__parallel_for(context, forward->n_out, ROW_GRAIN, pull_range, &job);
done:
  lat__free(context, sums);
  lat__free(context, squares);
  return status;
}
