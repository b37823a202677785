// The end of a block of a convolution: the scales of quantized weights, the division of a normalized one, bias, rounding, and an epilogue (norm, residual,
// activation), while the block's sums are in the cache.
//
// The epilogue works in tiles that stay in the first-level cache. float32: the steps up to relu are one kernel call, other
// activations a second one. 16-bit: each step computes in float32 and is rounded into y, which the next one reads back, so
// that the bits are those of the steps as operations of their own.
//
// Where the rows of a block lie apart in y, tiles are finished beside it and their rows copied.

#include <math.h>
#include <string.h>

#include "backend/cpu/cpu_conv.h"
#include "backend/cpu/cpu_rows.h"
#include "core/checked.h"

/// Moves the sums of every group behind those of the group before: between them lie columns that fill up vectors.
static void close_gaps(const lat__conv_packed *packed, int64_t n_rows, float *sums) {
  const lat__cpu_conv_shape *shape = &packed->shape;
  for (int64_t r = 0; r < n_rows; r++, sums += packed->columns) {
    for (int64_t group = 1; group < shape->groups; group++) {
      memmove(sums + group * shape->width, sums + group * shape->group_columns, (size_t)shape->width * sizeof *sums);
    }
  }
}

static void divide_rows(const lat__cpu_conv_job *job, int64_t n_rows, const float *squares, float *sums) {
  const lat__conv_desc *desc = job->desc;
  float eps = desc->norm_eps;
  for (int64_t r = 0; r < n_rows; r++, sums += job->packed->columns, squares += job->packed->square_columns) {
    for (int64_t c = 0; c < desc->c_out; c++) sums[c] /= sqrtf(squares[c] + eps);
  }
}

/// Rows that go through the epilogue together.
typedef struct epilogue_tile {
  const lat__cpu_conv_job *job;
  int64_t n_rows;
  const float *sums;    ///< rows of packed->columns
  const void *residual; ///< rows of c_out, like y
  void *y;
  float *a, *b; ///< (n_rows, c_out) each
} epilogue_tile;

static bool is_relu(const lat__epilogue_desc *epilogue) {
  return epilogue->activates && epilogue->kind == LAT_ACTIVATION_RELU;
}

static void finish_tile_f32(const epilogue_tile *tile) {
  const lat__conv_desc *desc = tile->job->desc;
  const lat__conv_packed *packed = tile->job->packed;
  const lat__epilogue_desc *epilogue = desc->epilogue;
  const float *residual = epilogue->adds_residual ? tile->residual : NULL;
  float *y = tile->y;
  lat__epilogue_args steps = {.bias = desc->bias,
                              .mean = epilogue->mean,
                              .scale = epilogue->scale,
                              .shift = epilogue->shift,
                              .residual = epilogue->residual_last ? NULL : residual,
                              .relu = is_relu(epilogue),
                              .residual_last = epilogue->residual_last ? residual : NULL};
  if (!epilogue->activates || steps.relu) {
    packed->kernels->epilogue_rows_f32(&steps, tile->sums, packed->columns, tile->n_rows, desc->c_out, y);
    return;
  }
  lat__activation_args activation = {epilogue->kind, epilogue->alpha, epilogue->beta, epilogue->threshold};
  lat__epilogue_args last = {.residual_last = steps.residual_last};
  steps.residual_last = NULL;
  packed->kernels->epilogue_rows_f32(&steps, tile->sums, packed->columns, tile->n_rows, desc->c_out, tile->a);
  packed->kernels->activate_f32(&activation, tile->n_rows * desc->c_out, tile->a, y);
  if (last.residual_last) packed->kernels->epilogue_rows_f32(&last, y, desc->c_out, tile->n_rows, desc->c_out, y);
}

/// Rounds (rows, c_out) values into y and reads them back into tile->a.
static void round_tile(const epilogue_tile *tile, const float *values) {
  const lat__conv_desc *desc = tile->job->desc;
  const lat__cpu_kernels *kernels = tile->job->packed->kernels;
  uint16_t *y = tile->y;
  int64_t n = tile->n_rows * desc->c_out;
  lat__cpu_finish_rows(kernels, desc->dtype_out, values, n, NULL, 1, n, y);
  lat__cpu_widen_rows(kernels, desc->dtype_out, y, NULL, 1, n, tile->a);
}

/// One step on tile->a; its result is rounded.
static void step_16(const epilogue_tile *tile, const lat__epilogue_args *step) {
  int64_t c_out = tile->job->desc->c_out;
  tile->job->packed->kernels->epilogue_rows_f32(step, tile->a, c_out, tile->n_rows, c_out, tile->a);
  round_tile(tile, tile->a);
}

static void add_residual_16(const epilogue_tile *tile) {
  const lat__conv_desc *desc = tile->job->desc;
  lat__cpu_widen_rows(tile->job->packed->kernels, desc->dtype_out, tile->residual, NULL, 1, tile->n_rows * desc->c_out,
                      tile->b);
  step_16(tile, &(lat__epilogue_args){.residual = tile->b});
}

static void finish_tile_16(const epilogue_tile *tile) {
  const lat__conv_desc *desc = tile->job->desc;
  const lat__conv_packed *packed = tile->job->packed;
  const lat__epilogue_desc *epilogue = desc->epilogue;
  lat__epilogue_args bias = {.bias = desc->bias};
  packed->kernels->epilogue_rows_f32(&bias, tile->sums, packed->columns, tile->n_rows, desc->c_out, tile->a);
  round_tile(tile, tile->a);
  if (epilogue->mean) {
    step_16(tile, &(lat__epilogue_args){.mean = epilogue->mean, .scale = epilogue->scale, .shift = epilogue->shift});
  }
  if (epilogue->adds_residual && !epilogue->residual_last) add_residual_16(tile);
  if (is_relu(epilogue)) {
    step_16(tile, &(lat__epilogue_args){.relu = true});
  } else if (epilogue->activates) {
    lat__activation_args activation = {epilogue->kind, epilogue->alpha, epilogue->beta, epilogue->threshold};
    packed->kernels->activate_f32(&activation, tile->n_rows * desc->c_out, tile->a, tile->b);
    round_tile(tile, tile->b);
  }
  if (epilogue->adds_residual && epilogue->residual_last) add_residual_16(tile);
}

/// Finishes a tile into tile->y.
static void finish_tile(const epilogue_tile *tile) {
  const lat__conv_desc *desc = tile->job->desc;
  const lat__conv_packed *packed = tile->job->packed;
  bool wide = desc->dtype_out == LAT_DTYPE_F32;
  if (desc->epilogue) {
    (wide ? finish_tile_f32 : finish_tile_16)(tile);
  } else if (wide) {
    packed->kernels->finish_rows_f32(tile->sums, packed->columns, desc->bias, tile->n_rows, desc->c_out, tile->y);
  } else {
    lat__cpu_finish_rows(packed->kernels, desc->dtype_out, tile->sums, packed->columns, desc->bias, tile->n_rows,
                         desc->c_out, tile->y);
  }
}

/// The residual's rows of a tile, brought together.
static void gather_residual(const lat__conv_desc *desc, int64_t first_row, int64_t n_rows, size_t row_bytes,
                            char *rows) {
  for (int64_t r = 0; r < n_rows; r++) {
    const char *row = (const char *)desc->residual + (size_t)desc->pairs->out_rows[first_row + r] * row_bytes;
    lat__cpu_copy_row(row, row_bytes, rows + (size_t)r * row_bytes);
  }
}

/// Tiles of a block whose rows lie apart.
static void finish_dealt(const lat__cpu_conv_job *job, epilogue_tile tile, int worker, int64_t first_row,
                         int64_t n_rows) {
  const lat__conv_desc *desc = job->desc;
  size_t row_bytes = (size_t)desc->c_out * lat_dtype_bytes(desc->dtype_out);
  float *own = lat__cpu_conv_scratch(job, worker, job->dealt_at);
  float *residual = own + job->tile_rows * desc->c_out;
  if (!desc->epilogue && desc->dtype_out == LAT_DTYPE_F32 && !desc->bias) {
    lat__cpu_scatter_rows(desc->pairs, first_row, n_rows, tile.sums, (size_t)job->packed->columns * sizeof(float),
                          row_bytes, desc->y);
    return;
  }
  tile.y = own;
  tile.residual = residual;
  for (int64_t r = 0; r < n_rows; r += job->tile_rows, tile.sums += job->tile_rows * job->packed->columns) {
    tile.n_rows = lat__min_i64(job->tile_rows, n_rows - r);
    if (desc->epilogue && desc->epilogue->adds_residual) {
      gather_residual(desc, first_row + r, tile.n_rows, row_bytes, (char *)residual);
    }
    finish_tile(&tile);
    lat__cpu_scatter_rows(desc->pairs, first_row + r, tile.n_rows, own, row_bytes, row_bytes, desc->y);
  }
}

void lat__cpu_conv_finish(const lat__cpu_conv_job *job, int worker, int64_t first_row, int64_t n_rows, float *sums) {
  const lat__conv_desc *desc = job->desc;
  const lat__conv_packed *packed = job->packed;
  size_t row_bytes = (size_t)desc->c_out * lat_dtype_bytes(desc->dtype_out);
  if (packed->columns != desc->c_out && packed->shape.groups > 1) close_gaps(packed, n_rows, sums);
  if (packed->column_scales) {
    lat__epilogue_args scale = {.factor = packed->column_scales};
    packed->kernels->epilogue_rows_f32(&scale, sums, packed->columns, n_rows, packed->columns, sums);
  }
  if (packed->squares) divide_rows(job, n_rows, lat__cpu_conv_scratch(job, worker, job->squares_at), sums);
  epilogue_tile tile = {.job = job, .sums = sums};
  if (desc->epilogue) {
    tile.a = lat__cpu_conv_scratch(job, worker, job->tiles_at);
    tile.b = tile.a + job->tile_rows * desc->c_out;
  }
  if (job->dealt_at >= 0) {
    finish_dealt(job, tile, worker, first_row, n_rows);
    return;
  }
  if (job->sums_at < 0 && !desc->bias && !desc->epilogue) return; // they are y
  int64_t step = desc->epilogue ? job->tile_rows : n_rows;
  for (int64_t r = 0; r < n_rows; r += step, tile.sums += step * packed->columns) {
    size_t at = (size_t)(first_row + r) * row_bytes;
    tile.n_rows = lat__min_i64(step, n_rows - r);
    tile.y = (char *)desc->y + at;
    tile.residual = desc->residual ? (const char *)desc->residual + at : NULL;
    finish_tile(&tile);
  }
}
