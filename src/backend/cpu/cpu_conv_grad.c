// Gradients of a convolution's weight and bias.
//
// Weight: the blocks of output rows are cut into parts whose number depends on the problem alone. A part owns private sums
// (n_kernels, depth, c_out), depth = c_in / groups, goes through its blocks in order and adds the outer products of every
// pair list, group by group. The parts are then added in order and rounded once. So the bits do not depend on which thread
// did what; kernel elements do not meet, so a part may be split by them.
//
// Within a part a few blocks follow one another under each kernel element, so that the rows of these blocks and the sums of
// the element stay in the caches. Rows of one or two cache lines are read where they lie; wider ones are copied for a
// pass of pairs first, an odd number of lines apart: rows a power of two apart would share few sets of the L1 cache. Rows
// of 16 bits are widened on the way.
//
// Bias: chunks of rows, in double. The pulls of a normalized convolution are summed like a weight gradient whose x is one
// channel of ones.

#include <math.h>

#include "backend/cpu/cpu_conv.h"
#include "backend/cpu/cpu_rows.h"
#include "core/alloc.h"
#include "core/array_internal.h"
#include "core/checked.h"
#include "core/thread.h"

/// Most parts; pairs of a kernel element that make a part worth its sums; floats that private sums may take.
#define MOST_PARTS 64
#define PART_PAIRS 1024
#define MOST_PART_FLOATS ((int64_t)1 << 22)
/// Blocks that follow one another under a kernel element where the sums of all elements do not stay in the L2 cache.
#define RUN_BLOCKS 4
#define RUN_PAIRS (RUN_BLOCKS * LAT__PAIR_BLOCK_ROWS)
#define L2_FLOATS 32768
/// Widest rows, of x and grad together, that are read where they lie; with vectors of 16 floats, which take half as long for
/// a row, copying it pays later.
#define DIRECT_FLOATS 64
#define WIDE_DIRECT_FLOATS 128
/// Pairs that are copied and multiplied together, at most and at least.
#define PASS_FLOATS 24576
#define MIN_PASS_ROWS 32
#define MAX_PASS_ROWS 128
#define LINE_FLOATS 16
/// Rows of a chunk of the bias sum.
#define BIAS_CHUNK_ROWS 4096
#define BIAS_TILE_FLOATS 4096

typedef struct grad_job {
  const lat__conv_grad_desc *desc;
  const lat__cpu_kernels *kernels;
  int64_t n_blocks, n_parts, run_blocks;
  int64_t n_shares;          ///< tasks of a part, each with some of the kernel elements
  int64_t groups, depth;     ///< depth = c_in / groups
  int64_t kernel_floats;     ///< depth * c_out
  float *sums;               ///< (n_parts, n_kernels, depth, c_out)
  const float *pulls;        ///< (n_kernels, c_out) sums of the pulls, or NULL
  float *rows;               ///< for each worker pass_rows copied rows of x, then of grad; NULL: read where they lie
  float *block_grads;        ///< for each worker the gradient rows of a block, where pairs deal them out; or NULL
  int64_t pass_rows;         ///< pairs of a pass
  int64_t x_step, grad_step; ///< floats between copied rows
} grad_job;

/// One kernel call for every group; `args` has what they share.
static void run_groups(const grad_job *job, lat__outer_gemm_args args) {
  const lat__conv_grad_desc *desc = job->desc;
  int64_t width = desc->c_out / job->groups;
  if (job->depth == 1 && width == 1 && args.x_stride == desc->c_in && args.g_stride == desc->c_out) {
    job->kernels->depthwise_outer_f32(args.x, args.in_rows, args.g, args.out_rows, args.n_pairs, desc->c_out, args.y);
    return;
  }
  args.c_in = job->depth;
  args.c_out = width;
  for (int64_t group = 0; group < job->groups; group++) {
    job->kernels->outer_gemm_f32(&args);
    args.x += job->depth;
    args.g += width;
    args.y += width;
  }
}

/// The pairs of block `block` under kernel element k: entries [*begin, *end) of the lists, or rows of the block.
static void find_list(const lat__conv_grad_desc *desc, int64_t block, int64_t k, int64_t *begin, int64_t *end) {
  const lat__pairs *pairs = desc->pairs;
  *begin = pairs ? pairs->offsets[block * pairs->n_kernels + k] : 0;
  *end = pairs ? pairs->offsets[block * pairs->n_kernels + k + 1]
               : lat__min_i64(LAT__PAIR_BLOCK_ROWS, desc->n_out - block * LAT__PAIR_BLOCK_ROWS);
}

/// sums += x^T g over the pairs of one list, rows read where they lie, those of g in `block_grads` if there are.
static void run_direct(const grad_job *job, int64_t block, int64_t k, const float *block_grads, float *sums) {
  const lat__conv_grad_desc *desc = job->desc;
  const lat__pairs *pairs = desc->pairs;
  int64_t first_row = block * LAT__PAIR_BLOCK_ROWS, begin = 0, end = 0;
  find_list(desc, block, k, &begin, &end);
  lat__outer_gemm_args args = {.x = (const float *)desc->x + (pairs ? 0 : first_row * desc->c_in),
                               .x_stride = desc->c_in,
                               .in_rows = pairs ? pairs->in_rows + begin : NULL,
                               .g = block_grads ? block_grads : (const float *)desc->grad + first_row * desc->c_out,
                               .g_stride = desc->c_out,
                               .out_rows = pairs ? pairs->local_rows + begin : NULL,
                               .n_pairs = end - begin,
                               .n_ahead = pairs ? pairs->n_edges - begin : 0,
                               .y = sums,
                               .y_stride = desc->c_out};
  run_groups(job, args);
}

/// Pairs of the blocks of a run under one kernel element, as rows of x and of the gradient.
typedef struct pair_run {
  int64_t n;
  int32_t x_rows[RUN_PAIRS], grad_rows[RUN_PAIRS];
} pair_run;

/// Copies rows to float32 ones `*step` apart, or widens them into contiguous ones.
static void copy_rows(const grad_job *job, lat_dtype dtype, const void *data, int64_t channels, const int32_t *rows,
                      int64_t n, float *target, int64_t *step) {
  if (dtype == LAT_DTYPE_F32) {
    job->kernels->gather_rows_f32(data, rows, n, channels, target, *step);
  } else {
    lat__cpu_widen_rows(job->kernels, dtype, data, rows, n, channels, target);
    *step = channels;
  }
}

/// sums += x^T g over the pairs of a run, in passes of about equal length.
static void run_passes(const grad_job *job, const pair_run *run, float *sums, float *scratch) {
  const lat__conv_grad_desc *desc = job->desc;
  float *grad_rows = scratch + job->pass_rows * job->x_step;
  int64_t n_passes = lat__ceil_div_i64(run->n, job->pass_rows);
  for (int64_t pass = 0; pass < n_passes; pass++) {
    int64_t p = run->n * pass / n_passes, n = run->n * (pass + 1) / n_passes - p;
    lat__outer_gemm_args args = {.x = scratch,
                                 .x_stride = job->x_step,
                                 .g = grad_rows,
                                 .g_stride = job->grad_step,
                                 .n_pairs = n,
                                 .y = sums,
                                 .y_stride = desc->c_out};
    copy_rows(job, desc->dtype, desc->x, desc->c_in, run->x_rows + p, n, scratch, &args.x_stride);
    copy_rows(job, desc->dtype_grad, desc->grad, desc->c_out, run->grad_rows + p, n, grad_rows, &args.g_stride);
    run_groups(job, args);
  }
}

/// sums += x^T g over blocks [block, end_block) under kernel element k, through copied rows.
static void run_copied(const grad_job *job, int64_t block, int64_t end_block, int64_t k, float *sums, float *scratch) {
  const lat__pairs *pairs = job->desc->pairs;
  pair_run run;
  run.n = 0;
  for (; block < end_block; block++) {
    int64_t first_row = block * LAT__PAIR_BLOCK_ROWS, begin = 0, end = 0;
    find_list(job->desc, block, k, &begin, &end);
    for (int64_t p = begin; p < end; p++) {
      if (run.n == RUN_PAIRS) { // rows are repeated
        run_passes(job, &run, sums, scratch);
        run.n = 0;
      }
      int64_t row = first_row + (pairs ? pairs->local_rows[p] : p);
      run.x_rows[run.n] = pairs ? pairs->in_rows[p] : (int32_t)row;
      run.grad_rows[run.n++] = (int32_t)(pairs ? lat__pairs_out_row(pairs, row) : row);
    }
  }
  run_passes(job, &run, sums, scratch);
}

/// The gradient rows of a block in its order.
static const float *gather_block(const grad_job *job, int64_t block, float *block_grads) {
  const lat__conv_grad_desc *desc = job->desc;
  if (!block_grads) return NULL;
  int64_t first_row = block * LAT__PAIR_BLOCK_ROWS;
  int64_t n_rows = lat__min_i64(LAT__PAIR_BLOCK_ROWS, desc->n_out - first_row);
  job->kernels->gather_rows_f32(desc->grad, desc->pairs->out_rows + first_row, n_rows, desc->c_out, block_grads,
                                desc->c_out);
  return block_grads;
}

static void run_tasks(void *arg, int64_t begin, int64_t end, int worker) {
  const grad_job *job = arg;
  int64_t n_kernels = job->desc->n_kernels;
  float *scratch = job->rows ? job->rows + worker * job->pass_rows * (job->x_step + job->grad_step) : NULL;
  float *own_grads = job->block_grads ? job->block_grads + worker * LAT__PAIR_BLOCK_ROWS * job->desc->c_out : NULL;
  for (int64_t task = begin; task < end; task++) {
    int64_t part = task / job->n_shares, share = task % job->n_shares;
    int64_t first_k = n_kernels * share / job->n_shares, last_k = n_kernels * (share + 1) / job->n_shares;
    int64_t block = job->n_blocks * part / job->n_parts, last_block = job->n_blocks * (part + 1) / job->n_parts;
    float *sums = job->sums + part * n_kernels * job->kernel_floats;
    for (int64_t i = first_k * job->kernel_floats; i < last_k * job->kernel_floats; i++) sums[i] = 0.0f;
    for (; block < last_block; block += job->run_blocks) {
      int64_t run_end = lat__min_i64(last_block, block + job->run_blocks);
      const float *block_grads = gather_block(job, block, own_grads); // such runs have one block
      for (int64_t k = first_k; k < last_k; k++) {
        if (job->rows) {
          run_copied(job, block, run_end, k, sums + k * job->kernel_floats, scratch);
          continue;
        }
        for (int64_t b = block; b < run_end; b++) run_direct(job, b, k, block_grads, sums + k * job->kernel_floats);
      }
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

/// Number of parts: from the problem alone.
static int64_t count_parts(const grad_job *job) {
  const lat__conv_grad_desc *desc = job->desc;
  const lat__pairs *pairs = desc->pairs;
  int64_t n_pairs = pairs ? pairs->offsets[pairs->n_blocks * pairs->n_kernels] - pairs->offsets[0] : desc->n_out;
  int64_t part_floats = lat__max_i64(1, job->kernel_floats * desc->n_kernels);
  int64_t parts = lat__min_i64(MOST_PARTS, n_pairs / ((int64_t)PART_PAIRS * desc->n_kernels));
  parts = lat__min_i64(parts, MOST_PART_FLOATS / part_floats);
  return lat__max_i64(1, lat__min_i64(parts, job->n_blocks));
}

/// Where rows are copied, and in what runs blocks are taken.
static void plan_passes(grad_job *job) {
  const lat__conv_grad_desc *desc = job->desc;
  int64_t x_lines = lat__ceil_div_i64(desc->c_in, LINE_FLOATS),
          grad_lines = lat__ceil_div_i64(desc->c_out, LINE_FLOATS);
  job->run_blocks = job->kernel_floats * desc->n_kernels <= L2_FLOATS ? 1 : RUN_BLOCKS;
  job->x_step = (x_lines | 1) * LINE_FLOATS;
  job->grad_step = (grad_lines | 1) * LINE_FLOATS;
  job->pass_rows = lat__max_i64(MIN_PASS_ROWS, PASS_FLOATS / (job->x_step + job->grad_step));
  job->pass_rows = lat__min_i64(MAX_PASS_ROWS, job->pass_rows);
}

static lat_status alloc_rows(lat_context *context, grad_job *job) {
  const lat__conv_grad_desc *desc = job->desc;
  void *rows = NULL;
  bool wide = desc->dtype == LAT_DTYPE_F32 && desc->dtype_grad == LAT_DTYPE_F32;
  int64_t direct = job->kernels->lanes >= 16 ? WIDE_DIRECT_FLOATS : DIRECT_FLOATS;
  if (wide && (desc->c_in + desc->c_out <= direct || job->depth == 1)) {
    if (!desc->pairs || !desc->pairs->out_rows) return LAT_STATUS_OK;
    size_t block_bytes = (size_t)(LAT__PAIR_BLOCK_ROWS * desc->c_out) * sizeof(float);
    lat_status status = lat__alloc_items(context, "conv", context->n_threads, block_bytes, &rows);
    job->block_grads = rows;
    job->run_blocks = 1;
    return status;
  }
  size_t bytes = (size_t)(job->pass_rows * (job->x_step + job->grad_step)) * sizeof(float);
  lat_status status = lat__alloc_items(context, "conv", context->n_threads, bytes, &rows);
  job->rows = rows;
  return status;
}

static lat_status weight_gradient(lat_context *context, const lat__conv_grad_desc *desc, const float *pulls) {
  lat_status status = LAT_STATUS_OK;
  void *sums = NULL;
  grad_job job = {.desc = desc,
                  .kernels = lat__cpu_kernels_for(context),
                  .n_blocks = lat__ceil_div_i64(desc->n_out, LAT__PAIR_BLOCK_ROWS),
                  .groups = lat__max_i64(1, desc->groups),
                  .pulls = pulls};
  job.depth = desc->c_in / job.groups;
  job.kernel_floats = job.depth * desc->c_out; // the weight itself has as many elements
  job.n_parts = count_parts(&job);
  // Elements do not meet: how many tasks share them may depend on the threads.
  job.n_shares = lat__min_i64(desc->n_kernels, lat__ceil_div_i64((int64_t)context->n_threads * 4, job.n_parts));
  if (context->n_threads == 1) job.n_shares = 1;
  plan_passes(&job);
  size_t kernel_bytes = (size_t)job.kernel_floats * sizeof(float);
  LAT_TRY(lat__alloc_items(context, "conv", job.n_parts * desc->n_kernels, kernel_bytes, &sums), done);
  LAT_TRY(alloc_rows(context, &job), done);
  job.sums = sums;
  lat__parallel_for(context, job.n_parts * job.n_shares, 1, run_tasks, &job);
  lat__parallel_for(context, desc->n_kernels * job.depth, lat__max_i64(1, 16384 / desc->c_out), reduce_rows, &job);
done:
  lat__free(context, job.rows);
  lat__free(context, job.block_grads);
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
