// Rows of two operands combined element by element or put side by side. A missing row is a row of fill values of our own,
// so that nothing of another row can leak into it.

#include <assert.h>
#include <string.h>

#include "backend/cpu/cpu_backend.h"
#include "backend/cpu/cpu_rows.h"
#include "core/checked.h"
#include "core/thread.h"

#define GRAIN_ELEMENTS 16384
#define PREFETCH_AHEAD 8

/// One operand: its rows, which of them to take, and how wide they are.
typedef struct join_side {
  const void *x;
  const int32_t *rows;
  int64_t channels;
  lat_dtype dtype;
  float fill; ///< what a missing row is made of
  size_t row_bytes;
} join_side;

typedef struct join_job {
  const lat__join_desc *desc;
  const lat__cpu_kernels *kernels;
  join_side lhs, rhs;
  int64_t row_channels; ///< of y
  size_t out_bytes;     ///< of an element of y
} join_job;

static const void *element_at(const void *x, lat_dtype dtype, int64_t element) {
  return (const char *)x + (size_t)element * lat_dtype_bytes(dtype);
}

static lat__join_op kernel_op(lat__binary op) {
  switch (op) {
  case LAT__BINARY_ADD:
    return LAT__JOIN_ADD;
  case LAT__BINARY_SUB:
    return LAT__JOIN_SUB;
  case LAT__BINARY_MUL:
    return LAT__JOIN_MUL;
  case LAT__BINARY_MAXIMUM:
    return LAT__JOIN_MAX;
  case LAT__BINARY_MINIMUM:
    return LAT__JOIN_MIN;
  }
  return LAT__JOIN_ADD;
}

/// Rows [begin, end), or elements where row meets row: then all of them are one row.
static void binary_range(void *arg, int64_t begin, int64_t end, int worker) {
  const join_job *job = arg;
  const lat__join_desc *desc = job->desc;
  const join_side *lhs = &job->lhs, *rhs = &job->rhs;
  const bool flat = !lhs->rows && !rhs->rows;
  const int64_t step = flat ? 1 : job->row_channels;
  (void)worker;
  job->kernels->join_rows(
      &(lat__join_args){.op = kernel_op(desc->op),
                        .lhs_dtype = lhs->dtype,
                        .rhs_dtype = rhs->dtype,
                        .dtype_out = desc->dtype_out,
                        .lhs = lhs->rows ? lhs->x : element_at(lhs->x, lhs->dtype, begin * step),
                        .rhs = rhs->rows ? rhs->x : element_at(rhs->x, rhs->dtype, begin * step),
                        .lhs_rows = lhs->rows ? lhs->rows + begin : NULL,
                        .rhs_rows = rhs->rows ? rhs->rows + begin : NULL,
                        .lhs_fill = lhs->fill,
                        .rhs_fill = rhs->fill,
                        .n_rows = flat ? 1 : end - begin,
                        .channels = flat ? end - begin : job->row_channels,
                        .y = (char *)desc->y + (size_t)(begin * step) * lat_dtype_bytes(desc->dtype_out)});
}

/// Puts one operand's part of row r at elements [first, first + channels) of y.
static void copy_part(const join_job *job, const join_side *side, int64_t r, int64_t first) {
  const lat__join_desc *desc = job->desc;
  const size_t bytes = job->out_bytes;
  char *target = (char *)desc->y + (size_t)first * bytes;
  int64_t row = side->rows ? side->rows[r] : r;
  if (side->channels == 0) return;
  if (row < 0) {
    memset(target, 0, (size_t)side->channels * bytes);
  } else if (side->dtype == desc->dtype_out) {
    memcpy(target, (const char *)side->x + (size_t)(row * side->channels) * bytes, (size_t)side->channels * bytes);
  } else { // the promotion of unlike dtypes is float32
    (void)lat__cpu_widen(job->kernels, side->dtype, side->x, row * side->channels, side->channels,
                         (float *)desc->y + first);
  }
}

/// Fetches the row that stands at row r of the join.
static void prefetch_part(const join_side *side, int64_t r) {
  int64_t row = side->rows ? side->rows[r] : -1;
  if (row < 0) return;
  const char *x = (const char *)side->x + (size_t)row * side->row_bytes;
  for (size_t at = 0; at < side->row_bytes; at += 64) __builtin_prefetch(x + at);
}

static void cat_range(void *arg, int64_t begin, int64_t end, int worker) {
  const join_job *job = arg;
  (void)worker;
  for (int64_t r = begin; r < end; r++) {
    if (r + PREFETCH_AHEAD < end) {
      prefetch_part(&job->lhs, r + PREFETCH_AHEAD);
      prefetch_part(&job->rhs, r + PREFETCH_AHEAD);
    }
    copy_part(job, &job->lhs, r, r * job->row_channels);
    copy_part(job, &job->rhs, r, r * job->row_channels + job->lhs.channels);
  }
}

static join_job make_job(lat_context *context, const lat__join_desc *desc, int64_t row_channels) {
  assert(desc->n_rows == 0 || row_channels == 0 || (desc->y != desc->lhs && desc->y != desc->rhs));
  return (join_job){.desc = desc,
                    .kernels = lat__cpu_kernels_for(context),
                    .lhs = {desc->lhs, desc->lhs_rows, desc->lhs_channels, desc->lhs_dtype, desc->lhs_fill,
                            (size_t)desc->lhs_channels * lat_dtype_bytes(desc->lhs_dtype)},
                    .rhs = {desc->rhs, desc->rhs_rows, desc->rhs_channels, desc->rhs_dtype, desc->rhs_fill,
                            (size_t)desc->rhs_channels * lat_dtype_bytes(desc->rhs_dtype)},
                    .row_channels = row_channels,
                    .out_bytes = lat_dtype_bytes(desc->dtype_out)};
}

lat_status lat__cpu_join_binary(lat_context *context, const lat__join_desc *desc) {
  join_job job = make_job(context, desc, desc->lhs_channels);
  if (desc->n_rows == 0 || desc->lhs_channels == 0) return LAT_STATUS_OK;
  if (desc->lhs_rows || desc->rhs_rows) {
    int64_t grain = lat__max_i64(1, GRAIN_ELEMENTS / desc->lhs_channels);
    lat__parallel_for(context, desc->n_rows, grain, binary_range, &job);
  } else {
    lat__parallel_for(context, desc->n_rows * desc->lhs_channels, GRAIN_ELEMENTS, binary_range, &job);
  }
  return LAT_STATUS_OK;
}

lat_status lat__cpu_join_cat(lat_context *context, const lat__join_desc *desc) {
  int64_t row_channels = desc->lhs_channels + desc->rhs_channels;
  join_job job = make_job(context, desc, row_channels);
  if (desc->n_rows == 0 || row_channels == 0) return LAT_STATUS_OK;
  lat__parallel_for(context, desc->n_rows, lat__max_i64(1, GRAIN_ELEMENTS / row_channels), cat_range, &job);
  return LAT_STATUS_OK;
}
