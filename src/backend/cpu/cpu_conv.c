// Convolution and linear: y = relation sum of x W, + bias, one rounding.
//
// The work is cut into blocks of LAT__PAIR_BLOCK_ROWS output rows, and a block belongs to one worker from its zeros to
// its rounding. Within a block the kernel elements follow one another in ascending order; each is one pair list times
// one weight panel set (gather_gemm_f32), and the sums stay in a block of float32 that fits the L2 cache: in y itself
// where y is float32 and has whole vectors, else in the worker's scratch. So an output element is one chain of fused
// multiply-adds from +0 over (kernel element, input row, input channel), whatever the level, the thread count and the
// other rows; lanes run along output channels and never split a chain.

#include <stdio.h>
#include <string.h>

#include "backend/cpu/cpu_conv.h"
#include "backend/cpu/cpu_rows.h"
#include "core/alloc.h"
#include "core/checked.h"
#include "core/context_internal.h"
#include "core/thread.h"

/// Below this many multiply-adds a second thread costs more than it brings.
#define SERIAL_WORK ((int64_t)1 << 21)
/// Floats of input rows that stay in the L1 cache from one weight panel to the next.
#define PASS_FLOATS 4096
/// A multiple of every tile's rows.
#define PASS_ROWS_STEP 24

typedef struct conv_job {
  const lat__conv_desc *desc;
  const lat__cpu_kernels *kernels;
  lat__cpu_conv_shape shape;
  const float *panels; ///< packed weights
  bool depthwise;      ///< one input channel for each output channel: panels are plain rows of weights
  int64_t columns;     ///< of a row of sums
  int64_t pass_rows;   ///< pairs that one kernel call takes
  float *sums;         ///< (threads, block rows, columns); NULL: y holds the sums
  float *rows;         ///< (threads, pass_rows, c_in) widened inputs; NULL: x is float32
} conv_job;

/// Pairs of one kernel element within one block; NULL lists: row p meets row p.
typedef struct pair_list {
  const int32_t *in_rows;
  const uint16_t *out_rows;
  int64_t n_pairs;
  int64_t n_ahead; ///< entries from in_rows to the end of all lists
} pair_list;

static pair_list list_of(const conv_job *job, int64_t block, int64_t n_rows, int32_t k) {
  const lat__pairs *pairs = job->desc->pairs;
  if (!pairs) return (pair_list){NULL, NULL, n_rows, 0};
  const int64_t *offset = pairs->offsets + block * pairs->n_kernels + k;
  return (pair_list){pairs->in_rows + offset[0], pairs->local_rows + offset[0], offset[1] - offset[0],
                     pairs->n_edges - offset[0]};
}

/// One kernel call for every group; `args` has what they share.
static void run_groups(const conv_job *job, int32_t k, lat__gather_gemm_args args) {
  const lat__cpu_conv_shape *shape = &job->shape;
  args.w = job->panels + k * shape->kernel_floats;
  if (job->depthwise) {
    job->kernels->depthwise_rows_f32(args.x, args.in_rows, args.out_rows, args.n_pairs, job->columns, args.w, args.y);
    return;
  }
  args.c_in = shape->depth;
  args.columns = shape->group_columns;
  for (int64_t group = 0; group < shape->groups; group++) {
    job->kernels->gather_gemm_f32(&args);
    args.x += shape->depth;
    args.w += shape->depth * shape->group_columns;
    args.y += shape->group_columns;
  }
}

/// sums += x W_k over one pair list.
static void run_list(const conv_job *job, const pair_list *list, int64_t first_row, int32_t k, float *sums,
                     float *widened) {
  const lat__conv_desc *desc = job->desc;
  int64_t c_in = desc->c_in;
  bool repeats = desc->pairs && desc->pairs->repeats;
  for (int64_t p = 0, n = 0; p < list->n_pairs; p += n) {
    n = lat__min_i64(job->pass_rows, list->n_pairs - p);
    if (repeats) n = lat__cpu_distinct_prefix(list->out_rows + p, n); // rows of one kernel call are distinct
    lat__gather_gemm_args args = {
        .x_stride = c_in,
        .in_rows = list->in_rows ? list->in_rows + p : NULL,
        .out_rows = list->out_rows ? list->out_rows + p : NULL,
        .n_pairs = n,
        .n_ahead = list->n_ahead - p,
        .y = list->out_rows ? sums : sums + p * job->columns,
        .y_stride = job->columns,
    };
    int64_t first = list->in_rows ? 0 : (first_row + p) * c_in;
    if (widened) {
      lat__cpu_widen_rows(job->kernels, desc->dtype, (const uint16_t *)desc->x + first, args.in_rows, args.n_pairs,
                          c_in, widened);
      args.x = widened;
      args.in_rows = NULL;
      args.n_ahead = 0;
    } else {
      args.x = (const float *)desc->x + first;
    }
    run_groups(job, k, args);
  }
}

/// Moves the sums of every group behind those of the group before: between them lie columns that fill up vectors.
static void close_gaps(const conv_job *job, int64_t n_rows, float *sums) {
  const lat__cpu_conv_shape *shape = &job->shape;
  for (int64_t r = 0; r < n_rows; r++, sums += job->columns) {
    for (int64_t group = 1; group < shape->groups; group++) {
      memmove(sums + group * shape->width, sums + group * shape->group_columns, (size_t)shape->width * sizeof *sums);
    }
  }
}

static void finish_block(const conv_job *job, int64_t first_row, int64_t n_rows, float *sums) {
  const lat__conv_desc *desc = job->desc;
  if (job->columns != desc->c_out && job->shape.groups > 1) close_gaps(job, n_rows, sums);
  int64_t offset = first_row * desc->c_out;
  if (desc->dtype_out != LAT_DTYPE_F32) {
    lat__cpu_finish_rows(job->kernels, desc->dtype_out, sums, job->columns, desc->bias, n_rows, desc->c_out,
                         (uint16_t *)desc->y + offset);
  } else if (job->sums || desc->bias) {
    job->kernels->finish_rows_f32(sums, job->columns, desc->bias, n_rows, desc->c_out, (float *)desc->y + offset);
  }
}

static void run_blocks(void *arg, int64_t begin, int64_t end, int worker) {
  const conv_job *job = arg;
  const lat__conv_desc *desc = job->desc;
  float *widened = job->rows ? job->rows + worker * job->pass_rows * desc->c_in : NULL;
  for (int64_t block = begin; block < end; block++) {
    int64_t first_row = block * LAT__PAIR_BLOCK_ROWS;
    int64_t n_rows = lat__min_i64(LAT__PAIR_BLOCK_ROWS, desc->n_out - first_row);
    float *sums = job->sums ? job->sums + worker * LAT__PAIR_BLOCK_ROWS * job->columns
                            : (float *)desc->y + first_row * desc->c_out;
    memset(sums, 0, (size_t)(n_rows * job->columns) * sizeof *sums);
    for (int32_t k = 0; k < desc->n_kernels; k++) {
      pair_list list = list_of(job, block, n_rows, k);
      run_list(job, &list, first_row, k, sums, widened);
    }
    finish_block(job, first_row, n_rows, sums);
  }
}

/// Scratch of `rows` x `columns` floats for every worker.
static lat_status alloc_scratch(lat_context *context, int64_t n_workers, int64_t rows, int64_t columns, float **out) {
  int64_t n_floats = 0;
  void *memory = NULL;
  if (!lat__mul_i64(rows * n_workers, columns, &n_floats)) {
    return lat_fail(LAT_STATUS_OVERFLOW, "conv: scratch: got %lld columns, expected a size within int64",
                    (long long)columns);
  }
  lat_status status = lat__alloc_items(context, "conv", n_floats, sizeof(float), &memory);
  *out = memory;
  return status;
}

static int64_t work_of(const lat__conv_desc *desc) {
  int64_t n_pairs = desc->pairs ? desc->pairs->n_edges : desc->n_out;
  int64_t work = 0;
  if (!lat__mul_i64(n_pairs, desc->c_in / lat__max_i64(1, desc->groups), &work) ||
      !lat__mul_i64(work, desc->c_out, &work))
    return INT64_MAX;
  return work;
}

static bool is_depthwise(const lat__conv_desc *desc) {
  return desc->groups > 1 && desc->groups == desc->c_in && desc->groups == desc->c_out;
}

/// Weights as the kernel of the job reads them.
static lat_status open_weights(lat_context *context, conv_job *job, float **panels) {
  lat__conv_desc weight = *job->desc;
  if (job->depthwise) {
    weight.c_in = weight.groups = 1;  // panels one row deep: (n_kernels, columns)
    weight.weight.transposed = false; // one number for each channel reads the same either way
  }
  lat_status status = lat__cpu_conv_shape_of(&weight, job->kernels, &job->shape);
  if (!status) status = lat__cpu_conv_pack(context, &weight, job->kernels, panels);
  job->columns = job->depthwise ? weight.c_out : job->shape.columns;
  return status;
}

/// What the algorithms share: they differ in whether rows meet through pair lists, and in the kernel.
static lat_status run_gemm(lat_context *context, const lat__conv_desc *desc, const lat__cpu_kernels *kernels) {
  lat_status status = LAT_STATUS_OK;
  float *panels = NULL;
  conv_job job = {.desc = desc, .kernels = kernels, .depthwise = is_depthwise(desc)};
  LAT_TRY(open_weights(context, &job, &panels), done);
  job.panels = panels;
  int64_t n_blocks = lat__ceil_div_i64(desc->n_out, LAT__PAIR_BLOCK_ROWS);
  int64_t grain = work_of(desc) < SERIAL_WORK ? lat__max_i64(1, n_blocks) : 1;
  int64_t n_workers = lat__min_i64(context->n_threads, lat__ceil_div_i64(n_blocks, grain));
  if (desc->dtype_out != LAT_DTYPE_F32 || job.columns != desc->c_out) {
    LAT_TRY(alloc_scratch(context, n_workers, LAT__PAIR_BLOCK_ROWS, job.columns, &job.sums), done);
  }
  int64_t steps = PASS_FLOATS / PASS_ROWS_STEP / lat__max_i64(1, desc->c_in);
  job.pass_rows = lat__min_i64(LAT__PAIR_BLOCK_ROWS, lat__max_i64(1, steps) * PASS_ROWS_STEP);
  if (desc->dtype != LAT_DTYPE_F32) {
    LAT_TRY(alloc_scratch(context, n_workers, job.pass_rows, desc->c_in, &job.rows), done);
  }
  lat__parallel_for(context, n_blocks, grain, run_blocks, &job);
done:
  lat__free(context, job.rows);
  lat__free(context, job.sums);
  lat__free(context, panels);
  return status;
}

/// One way to compute a convolution. Candidates stand in the order of preference; the first without a refusal runs.
typedef struct conv_candidate {
  const char *name;
  const char *(*refusal)(const lat__conv_desc *desc); ///< NULL: it can; else why not
  lat_status (*run)(lat_context *context, const lat__conv_desc *desc, const lat__cpu_kernels *kernels);
} conv_candidate;

static const char *refuse_depthwise(const lat__conv_desc *desc) {
  return is_depthwise(desc) ? NULL : "channels mix";
}

static const char *refuse_identity(const lat__conv_desc *desc) {
  return desc->pairs ? "rows meet through a relation" : NULL;
}

static const char *refuse_gather(const lat__conv_desc *desc) {
  (void)desc;
  return NULL;
}

static const conv_candidate candidates[] = {
    {"depthwise", refuse_depthwise, run_gemm},
    {"identity_gemm", refuse_identity, run_gemm},
    {"gather_gemm", refuse_gather, run_gemm},
};

static const conv_candidate *choose(const lat__conv_desc *desc) {
  const conv_candidate *candidate = candidates;
  while (candidate->refusal(desc)) candidate++; // the last one refuses nothing
  return candidate;
}

void lat__cpu_conv_algorithm(lat_context *context, const lat__conv_desc *desc, char *text, size_t text_bytes) {
  const lat__cpu_kernels *kernels = lat__cpu_kernels_of(context->cpu_level);
  const char *dtype = desc->dtype == LAT_DTYPE_F32 ? "f32" : desc->dtype == LAT_DTYPE_F16 ? "f16" : "bf16";
  const char *weights = "";
  if (desc->weight.form == LAT__WEIGHT_PACKED) weights = desc->weight.bits == 4 ? "_w4" : "_w8";
  snprintf(text, text_bytes, "%s%s_%s%s_%s", desc->norm_eps > 0.0f ? "normalized_" : "", choose(desc)->name, dtype,
           weights, is_depthwise(desc) ? kernels->level : kernels->gemm_name);
}

lat_status lat__cpu_conv(lat_context *context, const lat__conv_desc *desc) {
  if (desc->n_out == 0 || desc->c_out == 0) return LAT_STATUS_OK;
  if (desc->norm_eps > 0.0f) return lat__cpu_conv_normalized(context, desc, lat__cpu_kernels_of(context->cpu_level));
  return choose(desc)->run(context, desc, lat__cpu_kernels_of(context->cpu_level));
}
