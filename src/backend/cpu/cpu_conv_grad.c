// Gradients of a convolution's weight and bias.
//
// Weight: the blocks of output rows are cut into parts whose number depends on the sizes alone. A task is one part under
// one kernel element: it owns a private (depth, c_out) sum, depth = c_in / groups, goes through its blocks in order and adds
// the outer products of every pair list, group by group. The parts of an element are then added in order and rounded once.
// So the bits do not depend on which thread did what. Bias: the same with chunks of rows, in double.
// The pulls of a normalized convolution are summed like a weight gradient whose x is one channel of ones.

#include <math.h>

#include "backend/cpu/cpu_conv.h"
#include "backend/cpu/cpu_rows.h"
#include "core/alloc.h"
#include "core/array_internal.h"
#include "core/checked.h"
#include "core/thread.h"

/// Tasks that keep every thread busy, and floats that private sums may take beyond one part.
#define WANTED_TASKS 64
#define MOST_PART_FLOATS ((int64_t)1 << 22)
/// Floats of rows that one kernel call goes through: they stay in the L1 cache from one tile to the next.
#define PASS_FLOATS 6144
#define MIN_PASS_ROWS 32
/// Rows of a chunk of the bias sum.
#define BIAS_CHUNK_ROWS 4096
#define BIAS_TILE_FLOATS 4096

typedef struct grad_job {
  const lat__conv_grad_desc *desc;
  const lat__cpu_kernels *kernels;
  int64_t n_blocks, n_parts, pass_rows;
  int64_t groups, depth; ///< depth = c_in / groups
  int64_t kernel_floats; ///< depth * c_out
  float *sums;           ///< (n_parts, n_kernels, depth, c_out)
  const float *pulls;    ///< (n_kernels, c_out) sums of the pulls, or NULL
  float *rows;           ///< (threads, pass_rows, c_in + c_out) widened rows; NULL: both sides are float32
} grad_job;

static const void *row_at(lat_dtype dtype, const void *data, int64_t element) {
  return (const char *)data + (size_t)element * lat_dtype_bytes(dtype);
}

/// `n` rows of a pass as float32: widened into `scratch` when the dtype is a 16-bit one. `rows` NULL: from row `first`.
static const float *take_rows(const grad_job *job, lat_dtype dtype, const void *data, int64_t channels,
                              const int32_t *rows, int64_t first, int64_t n, float *scratch) {
  const void *from = row_at(dtype, data, first * channels);
  if (dtype == LAT_DTYPE_F32) return from;
  lat__cpu_widen_rows(job->kernels, dtype, from, rows, n, channels, scratch);
  return scratch;
}

/// One kernel call for every group; `args` has what they share.
static void run_groups(const grad_job *job, lat__outer_gemm_args args) {
  const lat__conv_grad_desc *desc = job->desc;
  if (job->depth == 1 && job->groups == desc->c_out) {
    job->kernels->depthwise_outer_f32(args.x, args.in_rows, args.g, args.out_rows, args.n_pairs, desc->c_out, args.y);
    return;
  }
  int64_t width = desc->c_out / job->groups;
  args.c_in = job->depth;
  args.c_out = width;
  for (int64_t group = 0; group < job->groups; group++) {
    job->kernels->outer_gemm_f32(&args);
    args.x += job->depth;
    args.g += width;
    args.y += width;
  }
}

/// sums += x^T g over `n` pairs of a block; the lists are NULL where row p meets row p.
static void run_pass(const grad_job *job, const int32_t *in_rows, const uint16_t *local_rows, int64_t first_row,
                     int64_t n, float *sums, float *scratch) {
  const lat__conv_grad_desc *desc = job->desc;
  int32_t rows[LAT__PAIR_BLOCK_ROWS];
  lat__outer_gemm_args args = {
      .x_stride = desc->c_in,
      .in_rows = in_rows,
      .g_stride = desc->c_out,
      .out_rows = local_rows,
      .n_pairs = n,
      .y = sums,
      .y_stride = desc->c_out,
  };
  args.x = take_rows(job, desc->dtype, desc->x, desc->c_in, in_rows, in_rows ? 0 : first_row, n, scratch);
  if (desc->dtype != LAT_DTYPE_F32) args.in_rows = NULL;
  const int32_t *grad_rows = NULL;
  if (local_rows && desc->dtype_grad != LAT_DTYPE_F32) {
    for (int64_t p = 0; p < n; p++) rows[p] = local_rows[p];
    grad_rows = rows;
    args.out_rows = NULL;
  }
  args.g = take_rows(job, desc->dtype_grad, desc->grad, desc->c_out, grad_rows, first_row, n,
                     scratch ? scratch + job->pass_rows * desc->c_in : NULL);
  run_groups(job, args);
}

static void run_block(const grad_job *job, int64_t block, int32_t k, float *sums, float *scratch) {
  const lat__conv_grad_desc *desc = job->desc;
  const lat__pairs *pairs = desc->pairs;
  int64_t first_row = block * LAT__PAIR_BLOCK_ROWS;
  if (!pairs) {
    int64_t n_rows = lat__min_i64(LAT__PAIR_BLOCK_ROWS, desc->n_out - first_row);
    for (int64_t p = 0; p < n_rows; p += job->pass_rows) {
      run_pass(job, NULL, NULL, first_row + p, lat__min_i64(job->pass_rows, n_rows - p), sums, scratch);
    }
    return;
  }
  const int64_t *offset = pairs->offsets + block * pairs->n_kernels + k;
  for (int64_t p = offset[0]; p < offset[1]; p += job->pass_rows) {
    run_pass(job, pairs->in_rows + p, pairs->local_rows + p, first_row, lat__min_i64(job->pass_rows, offset[1] - p),
             sums, scratch);
  }
}

static void run_tasks(void *arg, int64_t begin, int64_t end, int worker) {
  const grad_job *job = arg;
  const lat__conv_grad_desc *desc = job->desc;
  float *scratch = job->rows ? job->rows + worker * job->pass_rows * (desc->c_in + desc->c_out) : NULL;
  for (int64_t task = begin; task < end; task++) {
    int64_t part = task / desc->n_kernels;
    float *sums = job->sums + task * job->kernel_floats;
    for (int64_t i = 0; i < job->kernel_floats; i++) sums[i] = 0.0f;
    for (int64_t block = job->n_blocks * part / job->n_parts; block < job->n_blocks * (part + 1) / job->n_parts;
         block++) {
      run_block(job, block, (int32_t)(task % desc->n_kernels), sums, scratch);
    }
  }
}

/// Adds the parts of rows [begin, end) of all kernel elements, `depth` rows each, and rounds them into the weight's layout.
static void reduce_rows(void *arg, int64_t begin, int64_t end, int worker) {
  const grad_job *job = arg;
  const lat__conv_grad_desc *desc = job->desc;
  int64_t part_floats = desc->n_kernels * job->kernel_floats;
  (void)worker;
  for (int64_t row = begin; row < end; row++) {
    int64_t k = row / job->depth, ci = row % job->depth;
    float *sums = job->sums + row * desc->c_out;
    for (int64_t part = 1; part < job->n_parts; part++) {
      for (int64_t co = 0; co < desc->c_out; co++) sums[co] += sums[part * part_floats + co];
    }
    for (int64_t co = 0; co < desc->c_out; co++) {
      int64_t at = desc->form == LAT__WEIGHT_KERNEL_IN_OUT ? row * desc->c_out + co
                                                           : (co * desc->n_kernels + k) * job->depth + ci;
      float value = sums[co];
      if (job->pulls) {
        float weight = lat__float_load(desc->dtype_weight, desc->weight_value, at);
        value = fmaf(-weight, job->pulls[k * desc->c_out + co], value);
      }
      lat__float_store(desc->dtype_weight, desc->weight, at, value);
    }
  }
}

/// Number of parts: from the sizes alone.
static int64_t count_parts(const grad_job *job, int64_t part_floats) {
  int64_t parts = lat__ceil_div_i64(WANTED_TASKS, job->desc->n_kernels);
  parts = lat__min_i64(parts, lat__max_i64(1, MOST_PART_FLOATS / lat__max_i64(1, part_floats)));
  return lat__max_i64(1, lat__min_i64(parts, job->n_blocks));
}

static lat_status weight_gradient(lat_context *context, const lat__conv_grad_desc *desc, const float *pulls) {
  lat_status status = LAT_STATUS_OK;
  void *sums = NULL, *rows = NULL;
  int64_t channels = desc->c_in + desc->c_out;
  grad_job job = {.desc = desc,
                  .kernels = lat__cpu_kernels_for(context),
                  .n_blocks = lat__ceil_div_i64(desc->n_out, LAT__PAIR_BLOCK_ROWS),
                  .groups = lat__max_i64(1, desc->groups),
                  .pulls = pulls};
  job.depth = desc->c_in / job.groups;
  job.kernel_floats = job.depth * desc->c_out; // the weight itself has as many elements
  job.n_parts = count_parts(&job, job.kernel_floats * desc->n_kernels);
  job.pass_rows = lat__max_i64(MIN_PASS_ROWS, PASS_FLOATS / lat__max_i64(1, channels));
  job.pass_rows = lat__min_i64(LAT__PAIR_BLOCK_ROWS, job.pass_rows);
  size_t kernel_bytes = (size_t)job.kernel_floats * sizeof(float);
  LAT_TRY(lat__alloc_items(context, "conv", job.n_parts * desc->n_kernels, kernel_bytes, &sums), done);
  if (desc->dtype != LAT_DTYPE_F32 || desc->dtype_grad != LAT_DTYPE_F32) {
    size_t pass_bytes = (size_t)(job.pass_rows * channels) * sizeof(float);
    LAT_TRY(lat__alloc_items(context, "conv", context->n_threads, pass_bytes, &rows), done);
  }
  job.sums = sums;
  job.rows = rows;
  lat__parallel_for(context, job.n_parts * desc->n_kernels, 1, run_tasks, &job);
  lat__parallel_for(context, desc->n_kernels * job.depth, lat__max_i64(1, 16384 / desc->c_out), reduce_rows, &job);
done:
  lat__free(context, rows);
  lat__free(context, sums);
  return status;
}

/// `*out` = the pulls summed over the edges of each kernel element, (n_kernels, c_out), from lat__alloc.
static lat_status sum_pulls(lat_context *context, const lat__conv_grad_desc *desc, float **out) {
  lat_status status = LAT_STATUS_OK;
  void *ones = NULL, *sums = NULL;
  LAT_TRY(lat__alloc_items(context, "conv", desc->n_in, sizeof(float), &ones), done);
  LAT_TRY(lat__alloc_items(context, "conv", desc->n_kernels, (size_t)desc->c_out * sizeof(float), &sums), done);
  for (int64_t r = 0; r < desc->n_in; r++) ((float *)ones)[r] = 1.0f;
  lat__conv_grad_desc pull = *desc;
  pull.c_in = pull.groups = 1;
  pull.dtype = pull.dtype_grad = pull.dtype_weight = LAT_DTYPE_F32;
  pull.x = ones;
  pull.grad = desc->pull;
  pull.form = LAT__WEIGHT_KERNEL_IN_OUT;
  pull.weight = sums;
  LAT_TRY(weight_gradient(context, &pull, NULL), done);
  *out = sums;
  sums = NULL;
done:
  lat__free(context, ones);
  lat__free(context, sums);
  return status;
}

typedef struct bias_job {
  const lat__conv_grad_desc *desc;
  const lat__cpu_kernels *kernels;
  double *slots; ///< (chunks, c_out)
  float *rows;   ///< (threads, tile_rows, c_out) widened rows; NULL for float32
  int64_t tile_rows;
} bias_job;

static void bias_chunks(void *arg, int64_t begin, int64_t end, int worker) {
  const bias_job *job = arg;
  const lat__conv_grad_desc *desc = job->desc;
  float *scratch = job->rows ? job->rows + worker * job->tile_rows * desc->c_out : NULL;
  for (int64_t chunk = begin; chunk < end; chunk++) {
    double *slot = job->slots + chunk * desc->c_out;
    int64_t last = lat__min_i64(desc->n_out, (chunk + 1) * BIAS_CHUNK_ROWS);
    for (int64_t c = 0; c < desc->c_out; c++) slot[c] = 0.0;
    for (int64_t row = chunk * BIAS_CHUNK_ROWS; row < last; row += job->tile_rows) {
      int64_t n = lat__min_i64(job->tile_rows, last - row);
      const float *g =
          lat__cpu_widen(job->kernels, desc->dtype_grad, desc->grad, row * desc->c_out, n * desc->c_out, scratch);
      job->kernels->channel_sums_f32(g, n, desc->c_out, slot);
    }
  }
}

static lat_status bias_gradient(lat_context *context, const lat__conv_grad_desc *desc) {
  lat_status status = LAT_STATUS_OK;
  void *slots = NULL, *rows = NULL;
  int64_t n_chunks = lat__max_i64(1, lat__ceil_div_i64(desc->n_out, BIAS_CHUNK_ROWS));
  bias_job job = {.desc = desc, .kernels = lat__cpu_kernels_for(context)};
  job.tile_rows = lat__max_i64(1, BIAS_TILE_FLOATS / desc->c_out);
  LAT_TRY(lat__alloc_items(context, "conv", n_chunks, (size_t)desc->c_out * sizeof(double), &slots), done);
  if (desc->dtype_grad != LAT_DTYPE_F32) {
    size_t tile_bytes = (size_t)(job.tile_rows * desc->c_out) * sizeof(float);
    LAT_TRY(lat__alloc_items(context, "conv", context->n_threads, tile_bytes, &rows), done);
  }
  job.slots = slots;
  job.rows = rows;
  lat__parallel_for(context, n_chunks, 1, bias_chunks, &job);
  for (int64_t chunk = 1; chunk < n_chunks; chunk++) {
    for (int64_t c = 0; c < desc->c_out; c++) job.slots[c] += job.slots[chunk * desc->c_out + c];
  }
  for (int64_t c = 0; c < desc->c_out; c++) lat__float_store_double(desc->dtype_grad, desc->bias, c, job.slots[c]);
done:
  lat__free(context, rows);
  lat__free(context, slots);
  return status;
}

lat_status lat__cpu_conv_grad(lat_context *context, const lat__conv_grad_desc *desc) {
  lat_status status = LAT_STATUS_OK;
  float *pulls = NULL;
  if (desc->c_out == 0) return LAT_STATUS_OK;
  if (desc->weight && desc->c_in > 0) {
    if (desc->pull) LAT_TRY(sum_pulls(context, desc, &pulls), done);
    LAT_TRY(weight_gradient(context, desc, pulls), done);
  }
  if (desc->bias) LAT_TRY(bias_gradient(context, desc), done);
done:
  lat__free(context, pulls);
  return status;
}
