// Convolution and linear: y = relation sum of x W, + bias, one rounding.
//
// The work is cut into blocks of LAT__PAIR_BLOCK_ROWS output rows, and a block belongs to one worker from its zeros to
// its rounding. Within a block the kernel elements follow one another in ascending order; each is one pair list times
// one weight panel set (gather_gemm_f32), and the sums stay in a block of float32 that fits the L2 cache: in y itself
// where y is float32, has whole vectors and its rows lie in the order of the blocks, else in the worker's scratch. So an output element is one chain of fused
// multiply-adds from +0 over (kernel element, input row, input channel), whatever the level, the thread count and the
// other rows; lanes run along output channels and never split a chain.

#include <stdio.h>
#include <string.h>

#include "backend/cpu/cpu_conv.h"
#include "backend/cpu/cpu_rows.h"
#include "core/alloc.h"
#include "core/checked.h"
#include "core/compiler.h"
#include "core/context_internal.h"
#include "core/thread.h"

/// Below this many multiply-adds a second thread costs more than it brings.
#define SERIAL_WORK ((int64_t)1 << 21)
/// Floats of input rows that stay in the L1 cache from one weight panel to the next.
#define PASS_FLOATS 4096
/// A multiple of every tile's rows.
#define PASS_ROWS_STEP 24
/// Floats of a tile of the epilogue.
#define TILE_FLOATS 2048

/// Pairs of one kernel element within one block; NULL lists: row p meets row p.
typedef struct pair_list {
  const int32_t *in_rows;
  const uint16_t *out_rows;
  int64_t n_pairs;
  int64_t n_ahead; ///< entries from in_rows to the end of all lists
} pair_list;

static pair_list list_of(const lat__cpu_conv_job *job, int64_t block, int64_t n_rows, int32_t k) {
  const lat__pairs *pairs = job->desc->pairs;
  if (!pairs) return (pair_list){NULL, NULL, n_rows, 0};
  const int64_t *offset = pairs->offsets + block * pairs->n_kernels + k;
  return (pair_list){pairs->in_rows + offset[0], pairs->local_rows + offset[0], offset[1] - offset[0],
                     pairs->n_edges - offset[0]};
}

/// One kernel call for every group; `args` has what they share.
static void run_groups(const lat__cpu_conv_job *job, int32_t k, lat__gather_gemm_args args) {
  const lat__conv_packed *packed = job->packed;
  const lat__cpu_conv_shape *shape = &packed->shape;
  args.w = packed->panels + k * shape->kernel_floats;
  if (packed->depthwise) {
    packed->kernels->depthwise_rows_f32(args.x, args.in_rows, args.out_rows, args.n_pairs, packed->columns, args.w,
                                        args.y);
    return;
  }
  args.c_in = shape->depth;
  args.columns = shape->group_columns;
  for (int64_t group = 0; group < shape->groups; group++) {
    packed->kernels->gather_gemm_f32(&args);
    args.x += shape->depth;
    args.w += shape->depth * shape->group_columns;
    args.y += shape->group_columns;
  }
}

/// Whether run_list writes every sum at once, so that none needs a zero first: linear on float32.
static bool begins_fresh(const lat__cpu_conv_job *job) {
  const lat__conv_desc *desc = job->desc;
  return !desc->pairs && desc->n_kernels == 1 && desc->dtype == LAT_DTYPE_F32 && !job->packed->codes &&
         !job->packed->depthwise;
}

/// sums += x W_k over one pair list.
static void run_list(const lat__cpu_conv_job *job, const pair_list *list, int64_t first_row, int32_t k, float *sums,
                     float *widened) {
  const lat__conv_desc *desc = job->desc;
  int64_t c_in = desc->c_in, columns = job->packed->columns;
  bool repeats = desc->pairs && desc->pairs->repeats;
  for (int64_t p = 0, n = 0; p < list->n_pairs; p += n) {
    n = lat__min_i64(job->pass_rows, list->n_pairs - p);
    if (repeats) n = lat__cpu_distinct_prefix(list->out_rows + p, n); // rows of one kernel call are distinct
    lat__gather_gemm_args args = {
        .x_stride = c_in,
        .in_rows = list->in_rows ? list->in_rows + p : NULL,
        .out_rows = list->out_rows ? list->out_rows + p : NULL,
        .n_pairs = n,
        .n_ahead = list->in_rows ? list->n_ahead - p : desc->n_in - first_row - p,
        .y = list->out_rows ? sums : sums + p * columns,
        .y_stride = columns,
        .fresh = begins_fresh(job),
    };
    int64_t first = list->in_rows ? 0 : (first_row + p) * c_in;
    if (widened) {
      lat__cpu_widen_rows(job->packed->kernels, desc->dtype, (const uint16_t *)desc->x + first, args.in_rows,
                          args.n_pairs, c_in, widened);
      args.x = widened;
      args.in_rows = NULL;
      args.n_ahead = 0;
    } else {
      args.x = (const float *)desc->x + first;
    }
    run_groups(job, k, args);
  }
}

/// As run_list for quantized x.
static void run_code_list(const lat__cpu_conv_job *job, const pair_list *list, int64_t first_row, int32_t k,
                          float *sums) {
  const lat__conv_packed *packed = job->packed;
  const bool repeats = job->desc->pairs && job->desc->pairs->repeats;
  const size_t code_bytes = packed->code_step == 4 ? sizeof(int8_t) : sizeof(int16_t);
  const int64_t scale_floats = packed->code_groups * packed->columns;
  const float *scales = packed->code_scales ? packed->code_scales + k * 2 * scale_floats : NULL;
  for (int64_t p = 0, n = 0; p < list->n_pairs; p += n) {
    n = lat__min_i64(job->pass_rows, list->n_pairs - p);
    if (repeats) n = lat__cpu_distinct_prefix(list->out_rows + p, n);
    int64_t first = list->in_rows ? 0 : first_row + p;
    lat__dot_gemm_args args = {.x = job->x_codes + first * packed->code_row_bytes,
                               .x_stride = packed->code_row_bytes,
                               .c_in = packed->code_channels,
                               .in_rows = list->in_rows ? list->in_rows + p : NULL,
                               .out_rows = list->out_rows ? list->out_rows + p : NULL,
                               .n_pairs = n,
                               .n_ahead = list->n_ahead - p,
                               .w = (const char *)packed->codes +
                                    (size_t)(k * packed->columns * packed->code_channels) * code_bytes,
                               .w_scale = scales,
                               .w_bias = scales ? scales + scale_floats : NULL,
                               .group_size = packed->code_group_size,
                               .n_groups = packed->code_groups,
                               .columns = packed->columns,
                               .y = list->out_rows ? sums : sums + p * packed->columns,
                               .y_stride = packed->columns};
    (packed->code_step == 4 ? packed->products->dot_gemm_i8 : packed->kernels->dot_gemm_i16)(&args);
  }
}

/// As run_list for bfloat16 on CPUs that multiply it.
static void run_bf16_list(const lat__cpu_conv_job *job, const pair_list *list, int64_t first_row, int32_t k,
                          float *sums) {
  const lat__conv_packed *packed = job->packed;
  const lat__cpu_conv_shape *shape = &packed->shape;
  const int64_t c_in = job->desc->c_in;
  const bool repeats = job->desc->pairs && job->desc->pairs->repeats;
  for (int64_t p = 0, n = 0; p < list->n_pairs; p += n) {
    n = lat__min_i64(job->pass_rows, list->n_pairs - p);
    if (repeats) n = lat__cpu_distinct_prefix(list->out_rows + p, n);
    lat__bf16_gemm_args args = {
        .x = (const uint16_t *)job->desc->x + (list->in_rows ? 0 : (first_row + p) * c_in),
        .x_stride = c_in,
        .in_rows = list->in_rows ? list->in_rows + p : NULL,
        .out_rows = list->out_rows ? list->out_rows + p : NULL,
        .n_pairs = n,
        .n_ahead = list->n_ahead - p,
        .w = packed->bf16 + k * shape->kernel_floats,
        .c_in = shape->depth,
        .columns = shape->group_columns,
        .y = list->out_rows ? sums : sums + p * packed->columns,
        .y_stride = packed->columns,
    };
    for (int64_t group = 0; group < shape->groups; group++) {
      packed->products->gather_gemm_bf16(&args);
      args.x += shape->depth;
      args.w += shape->depth * shape->group_columns;
      args.y += shape->group_columns;
    }
  }
}

/// squares += the squares of W_k for every pair of a list: a row of one channel, 1, at the step 0.
static void run_squares(const lat__cpu_conv_job *job, const pair_list *list, int32_t k, float *squares) {
  static const float one = 1.0f;
  const lat__conv_packed *packed = job->packed;
  bool repeats = job->desc->pairs && job->desc->pairs->repeats;
  for (int64_t p = 0, n = 0; p < list->n_pairs; p += n) {
    n = list->n_pairs - p;
    if (repeats) n = lat__cpu_distinct_prefix(list->out_rows + p, n);
    lat__gather_gemm_args args = {.x = &one,
                                  .in_rows = list->in_rows ? list->in_rows + p : NULL,
                                  .out_rows = list->out_rows ? list->out_rows + p : NULL,
                                  .n_pairs = n,
                                  .w = packed->squares + k * packed->square_columns,
                                  .c_in = 1,
                                  .columns = packed->square_columns,
                                  .y = list->out_rows ? squares : squares + p * packed->square_columns,
                                  .y_stride = packed->square_columns};
    packed->kernels->gather_gemm_f32(&args);
  }
}

/// Asks for the rows of y that a block's sums will be copied to, a part with every kernel element: they lie anywhere, and
/// the copying would wait for each.
static void fetch_rows(const lat__conv_desc *desc, int64_t first_row, int64_t n_rows, int32_t k) {
  size_t row_bytes = (size_t)desc->c_out * lat_dtype_bytes(desc->dtype_out);
  int64_t end = n_rows * (k + 1) / desc->n_kernels;
  for (int64_t r = n_rows * k / desc->n_kernels; r < end; r++) {
    const char *row = (const char *)desc->y + (size_t)desc->pairs->out_rows[first_row + r] * row_bytes;
    for (size_t at = 0; at < row_bytes; at += LAT_ALIGN) __builtin_prefetch(row + at, 1);
  }
}

static void run_block(const lat__cpu_conv_job *job, int64_t block, int worker) {
  const lat__conv_desc *desc = job->desc;
  const lat__conv_packed *packed = job->packed;
  int64_t first_row = block * LAT__PAIR_BLOCK_ROWS;
  int64_t n_rows = lat__min_i64(LAT__PAIR_BLOCK_ROWS, desc->n_out - first_row);
  float *widened = job->widened_at >= 0 ? lat__cpu_conv_scratch(job, worker, job->widened_at) : NULL;
  float *squares = job->squares_at >= 0 ? lat__cpu_conv_scratch(job, worker, job->squares_at) : NULL;
  float *sums =
      job->sums_at >= 0 ? lat__cpu_conv_scratch(job, worker, job->sums_at) : (float *)desc->y + first_row * desc->c_out;
  if (packed->by_rows) {
    lat__cpu_conv_rows_block(job, block, n_rows, worker, sums);
  } else if (!begins_fresh(job)) {
    memset(sums, 0, (size_t)(n_rows * packed->columns) * sizeof *sums);
  }
  if (squares) memset(squares, 0, (size_t)(n_rows * packed->square_columns) * sizeof *squares);
  for (int32_t k = 0; k < desc->n_kernels && (squares || !packed->by_rows); k++) {
    pair_list list = list_of(job, block, n_rows, k);
    if (job->dealt_at >= 0) fetch_rows(desc, first_row, n_rows, k);
    if (packed->codes) {
      run_code_list(job, &list, first_row, k, sums);
    } else if (packed->bf16) {
      run_bf16_list(job, &list, first_row, k, sums);
    } else if (!packed->by_rows) {
      run_list(job, &list, first_row, k, sums, widened);
    }
    if (squares) run_squares(job, &list, k, squares);
  }
  lat__cpu_conv_finish(job, worker, first_row, n_rows, sums);
}

static void run_blocks(void *arg, int64_t begin, int64_t end, int worker) {
  for (int64_t block = begin; block < end; block++) run_block(arg, block, worker);
}

static int64_t work_of(const lat__conv_desc *desc) {
  int64_t n_pairs = desc->pairs ? desc->pairs->n_edges : desc->n_out;
  int64_t work = 0;
  if (!lat__mul_i64(n_pairs, desc->c_in / lat__max_i64(1, desc->groups), &work) ||
      !lat__mul_i64(work, desc->c_out, &work))
    return INT64_MAX;
  return work;
}

/// Adds a part of `rows` x `columns` floats to every worker's scratch; false when its size leaves int64.
static bool add_part(lat__cpu_conv_job *job, int64_t rows, int64_t columns, int64_t *at) {
  const int64_t line = LAT_ALIGN / sizeof(float); // parts begin on a cache line
  int64_t n_floats = 0;
  *at = job->worker_floats;
  return lat__mul_i64(rows, columns, &n_floats) && lat__add_i64(n_floats, line - 1, &n_floats) &&
         lat__add_i64(job->worker_floats, n_floats / line * line, &job->worker_floats);
}

/// Cuts the work of `desc` for the threads of `context`. `*n_floats` is the scratch of all workers.
static lat_status open_job(const lat_context *context, const lat__conv_desc *desc, const lat__conv_packed *packed,
                           lat__cpu_conv_job *job, int64_t *n_floats) {
  int64_t n_blocks = lat__ceil_div_i64(desc->n_out, LAT__PAIR_BLOCK_ROWS);
  int64_t steps = PASS_FLOATS / PASS_ROWS_STEP / lat__max_i64(1, desc->c_in);
  *job = (lat__cpu_conv_job){.desc = desc, .packed = packed, .n_blocks = n_blocks};
  job->grain = work_of(desc) < SERIAL_WORK ? lat__max_i64(1, n_blocks) : 1;
  job->n_workers = lat__min_i64(context->n_threads, lat__ceil_div_i64(n_blocks, job->grain));
  if (packed->codes) job->n_workers = context->n_threads; // x may be quantized by all of them
  job->pass_rows = lat__min_i64(LAT__PAIR_BLOCK_ROWS, lat__max_i64(1, steps) * PASS_ROWS_STEP);
  job->tile_rows = lat__max_i64(1, TILE_FLOATS / lat__max_i64(1, desc->c_out));
  job->sums_at = job->squares_at = job->widened_at = job->tiles_at = job->dealt_at = job->edges_at = -1;
  bool fits = true;
  if (packed->by_rows) {
    job->most_edges = lat__cpu_conv_rows_most_edges(desc);
    job->pass_rows = lat__max_i64(LAT__CPU_CONV_ROW_EDGES, desc->n_kernels);
    fits = add_part(job, 1, 2 * job->most_edges + LAT__CPU_CONV_ROW_BEGINS, &job->edges_at);
  }
  bool dealt = desc->pairs && desc->pairs->out_rows;
  if (dealt || desc->dtype_out != LAT_DTYPE_F32 || packed->columns != desc->c_out) {
    fits = fits && add_part(job, LAT__PAIR_BLOCK_ROWS, packed->columns, &job->sums_at);
  }
  if (packed->squares) fits = fits && add_part(job, LAT__PAIR_BLOCK_ROWS, packed->square_columns, &job->squares_at);
  if (packed->codes) fits = fits && lat__cpu_conv_codes_floats(desc, packed, &job->shared_floats);
  if (desc->dtype != LAT_DTYPE_F32 && !packed->bf16) {
    fits = fits && add_part(job, job->pass_rows, desc->c_in, &job->widened_at);
  }
  if (desc->epilogue) fits = fits && add_part(job, 2 * job->tile_rows, desc->c_out, &job->tiles_at);
  if (dealt) fits = fits && add_part(job, 2 * job->tile_rows, desc->c_out, &job->dealt_at);
  if (fits && lat__mul_i64(job->worker_floats, job->n_workers, n_floats) &&
      lat__add_i64(*n_floats, job->shared_floats, n_floats)) {
    return LAT_STATUS_OK;
  }
  return lat_fail(LAT_STATUS_OVERFLOW, "conv: scratch: got %lld channels to %lld, expected a size within int64",
                  (long long)desc->c_in, (long long)desc->c_out);
}

lat_status lat__cpu_conv_workspace(lat_context *context, const lat__conv_desc *desc, size_t *bytes) {
  lat__cpu_conv_job job;
  int64_t n_floats = 0;
  *bytes = 0;
  lat_status status = open_job(context, desc, desc->packed, &job, &n_floats);
  if (status) return status;
  if (n_floats > 0 && (!lat__bytes_of(n_floats, sizeof(float), bytes) || *bytes > SIZE_MAX - LAT_ALIGN)) {
    return lat_fail(LAT_STATUS_OVERFLOW, "conv: scratch: got %lld floats, expected a size within size_t",
                    (long long)n_floats);
  }
  if (n_floats > 0) *bytes += LAT_ALIGN; // room to align what the caller gives
  return LAT_STATUS_OK;
}

/// What the algorithms share: they differ in whether rows meet through pair lists, and in the kernel.
static lat_status run_gemm(lat_context *context, const lat__conv_desc *desc) {
  lat_status status = LAT_STATUS_OK;
  lat__conv_packed own = {.panels = NULL};
  lat__cpu_conv_job job;
  int64_t n_floats = 0;
  void *memory = NULL;
  if (!desc->packed) LAT_TRY(lat__cpu_conv_packed_open(context, desc, &own), done);
  LAT_TRY(open_job(context, desc, desc->packed ? desc->packed : &own, &job, &n_floats), done);
  if (desc->workspace) {
    job.scratch = (float *)(((uintptr_t)desc->workspace + LAT_ALIGN - 1) / LAT_ALIGN * LAT_ALIGN);
  } else if (n_floats > 0) {
    LAT_TRY(lat__alloc_items(context, "conv", n_floats, sizeof(float), &memory), done);
    job.scratch = memory;
  }
  if (job.packed->codes) {
    float *shared = job.scratch;
    job.scratch += job.shared_floats;
    lat__cpu_conv_quantize(context, &job, shared);
  }
  lat__parallel_for(context, job.n_blocks, job.grain, run_blocks, &job);
done:
  lat__free(context, memory);
  lat__cpu_conv_packed_close(context, &own);
  return status;
}

/// One way to compute a convolution. Candidates stand in the order of preference; the first without a refusal runs.
typedef struct conv_candidate {
  const char *name;
  const char *(*refusal)(const lat__conv_desc *desc); ///< NULL: it can; else why not
  lat_status (*run)(lat_context *context, const lat__conv_desc *desc);
} conv_candidate;

static bool is_depthwise(const lat__conv_desc *desc) {
  return desc->groups > 1 && desc->groups == desc->c_in && desc->groups == desc->c_out;
}

static const char *refuse_depthwise(const lat__conv_desc *desc) {
  return is_depthwise(desc) ? NULL : "channels mix: groups, cin and cout are not one number";
}

static const char *refuse_identity(const lat__conv_desc *desc) {
  return desc->pairs ? "rows meet through a relation" : NULL;
}

static const char *refuse_quantized(const lat__conv_desc *desc) {
  return desc->quantizes_x ? NULL : "features are not to be rounded to bytes (quantizes_features)";
}

static const char *refuse_rows(const lat__conv_desc *desc) {
  return lat__cpu_conv_rows_fit(desc) ? NULL : "more than a few input channels, groups, or no distinct pairs";
}

static const char *refuse_gather(const lat__conv_desc *desc) {
  (void)desc;
  return NULL;
}

static const conv_candidate candidates[] = {
    {"quantized_gemm", refuse_quantized, run_gemm}, {"depthwise", refuse_depthwise, run_gemm},
    {"identity_gemm", refuse_identity, run_gemm},   {"row_gemm", refuse_rows, run_gemm},
    {"gather_gemm", refuse_gather, run_gemm},
};

static const conv_candidate *choose(const lat__conv_desc *desc) {
  const conv_candidate *candidate = candidates;
  while (candidate->refusal(desc)) candidate++; // the last one refuses nothing
  return candidate;
}

/// Shape and table of the kernel that runs `desc`.
static const char *kernel_name(lat_context *context, const lat__conv_desc *desc) {
  lat_cpu_level level = context->cpu_level;
  const lat__cpu_kernels *kernels = desc->packed ? desc->packed->kernels : lat__cpu_kernels_of(level);
  const lat__cpu_products *products = desc->packed ? desc->packed->products : lat__cpu_products_of(level);
  if (is_depthwise(desc)) return kernels->level;
  if (desc->quantizes_x && products && products->dot_gemm_i8) return products->int8_name;
  return lat__cpu_conv_bf16_fits(desc, products) ? products->bf16_name : kernels->gemm_name;
}

void lat__cpu_conv_algorithm(lat_context *context, const lat__conv_desc *desc, char *text, size_t text_bytes) {
  const char *dtype = desc->dtype == LAT_DTYPE_F32 ? "f32" : desc->dtype == LAT_DTYPE_F16 ? "f16" : "bf16";
  const char *weights = "";
  if (desc->weight.form == LAT__WEIGHT_PACKED) weights = desc->weight.bits == 4 ? "_w4" : "_w8";
  snprintf(text, text_bytes, "%s%s_%s%s_%s", desc->norm_eps > 0.0f ? "normalized_" : "", choose(desc)->name, dtype,
           weights, kernel_name(context, desc));
}

lat_status lat__cpu_conv(lat_context *context, const lat__conv_desc *desc) {
  if (desc->n_out == 0 || desc->c_out == 0) return LAT_STATUS_OK;
  if (desc->norm_tangent) return lat__cpu_conv_normalized_jvp(context, desc);
  return choose(desc)->run(context, desc);
}

void lat__cpu_conv_candidates(const lat__conv_desc *desc, lat_conv_candidates *out) {
  _Static_assert(sizeof candidates / sizeof candidates[0] <= LAT_CONV_MOST_CANDIDATES, "every way has room");
  *out = (lat_conv_candidates){.count = sizeof candidates / sizeof candidates[0], .taken = choose(desc) - candidates};
  for (int64_t i = 0; i < out->count; i++) {
    out->items[i] = (lat_conv_candidate){candidates[i].name, candidates[i].refusal(desc)};
  }
}
