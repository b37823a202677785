// Rows of two operands combined element by element or put side by side. A missing row is a row of fill values of our own,
// so that nothing of another row can leak into it.

#include <assert.h>
#include <string.h>

#include "backend/cpu/cpu_backend.h"
#include "backend/cpu/cpu_rows.h"
#include "core/checked.h"
#include "core/thread.h"

#define TILE 1024
#define GRAIN_ELEMENTS 16384

/// One operand: its rows, which of them to take, and how wide they are.
typedef struct join_side {
  const void *x;
  const int32_t *rows;
  int64_t channels;
  lat_dtype dtype;
  float fill; ///< what a missing row is made of
} join_side;

typedef struct join_job {
  const lat__join_desc *desc;
  const lat__cpu_kernels *kernels;
  join_side lhs, rhs;
  int64_t row_channels; ///< of y
} join_job;

/// Elements [first, first + n) of the row that stands at row r of the join, as float32; n is at most TILE.
static const float *side_values(const lat__cpu_kernels *kernels, const join_side *side, int64_t r, int64_t first,
                                int64_t n, float *scratch) {
  int64_t row = side->rows ? side->rows[r] : r;
  if (row >= 0) return lat__cpu_widen(kernels, side->dtype, side->x, row * side->channels + first, n, scratch);
  for (int64_t i = 0; i < n; i++) scratch[i] = side->fill;
  return scratch;
}

static inline float larger(float a, float b) { // NaN wins
  return a != a || a > b ? a : b;
}

static inline float smaller(float a, float b) { // NaN wins
  return a != a || a < b ? a : b;
}

static void combine(lat__binary op, const float *a, const float *b, int64_t n, float *y) {
  switch (op) {
  case LAT__BINARY_ADD:
    for (int64_t i = 0; i < n; i++) y[i] = a[i] + b[i];
    return;
  case LAT__BINARY_SUB:
    for (int64_t i = 0; i < n; i++) y[i] = a[i] - b[i];
    return;
  case LAT__BINARY_MUL:
    for (int64_t i = 0; i < n; i++) y[i] = a[i] * b[i];
    return;
  case LAT__BINARY_MAXIMUM:
    for (int64_t i = 0; i < n; i++) y[i] = larger(a[i], b[i]);
    return;
  case LAT__BINARY_MINIMUM:
    for (int64_t i = 0; i < n; i++) y[i] = smaller(a[i], b[i]);
    return;
  }
}

static void binary_range(void *arg, int64_t begin, int64_t end, int worker) {
  const join_job *job = arg;
  const lat__join_desc *desc = job->desc;
  float lhs_tile[TILE], rhs_tile[TILE], result[TILE];
  (void)worker;
  for (int64_t r = begin; r < end; r++) {
    for (int64_t c = 0; c < job->row_channels; c += TILE) {
      int64_t n = lat__min_i64(TILE, job->row_channels - c);
      int64_t first = r * job->row_channels + c;
      const float *a = side_values(job->kernels, &job->lhs, r, c, n, lhs_tile);
      const float *b = side_values(job->kernels, &job->rhs, r, c, n, rhs_tile);
      float *y = lat__cpu_target(desc->dtype_out, desc->y, first, result);
      combine(desc->op, a, b, n, y);
      lat__cpu_narrow(job->kernels, desc->dtype_out, y, n, desc->y, first);
    }
  }
}

/// Puts one operand's part of row r at elements [first, first + channels) of y.
static void copy_part(const join_job *job, const join_side *side, int64_t r, int64_t first) {
  const lat__join_desc *desc = job->desc;
  size_t bytes = lat_dtype_bytes(desc->dtype_out);
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

static void cat_range(void *arg, int64_t begin, int64_t end, int worker) {
  const join_job *job = arg;
  (void)worker;
  for (int64_t r = begin; r < end; r++) {
    copy_part(job, &job->lhs, r, r * job->row_channels);
    copy_part(job, &job->rhs, r, r * job->row_channels + job->lhs.channels);
  }
}

static lat_status join(lat_context *context, const lat__join_desc *desc, int64_t row_channels, lat__range_fn fn) {
  join_job job = {.desc = desc,
                  .kernels = lat__cpu_kernels_for(context),
                  .lhs = {desc->lhs, desc->lhs_rows, desc->lhs_channels, desc->lhs_dtype, desc->lhs_fill},
                  .rhs = {desc->rhs, desc->rhs_rows, desc->rhs_channels, desc->rhs_dtype, desc->rhs_fill},
                  .row_channels = row_channels};
  if (desc->n_rows == 0 || row_channels == 0) return LAT_STATUS_OK;
  assert(desc->y != desc->lhs && desc->y != desc->rhs);
  lat__parallel_for(context, desc->n_rows, lat__max_i64(1, GRAIN_ELEMENTS / row_channels), fn, &job);
  return LAT_STATUS_OK;
}

lat_status lat__cpu_join_binary(lat_context *context, const lat__join_desc *desc) {
  lat__join_desc flat = *desc;
  int64_t count = desc->n_rows * desc->lhs_channels;
  if (desc->lhs_rows || desc->rhs_rows) return join(context, desc, desc->lhs_channels, binary_range);
  // Row meets row: the whole arrays as rows of one tile, and what is left as a short one.
  flat.lhs_channels = flat.rhs_channels = TILE;
  flat.n_rows = count / TILE;
  lat_status status = join(context, &flat, TILE, binary_range);
  if (status || count % TILE == 0) return status;
  int64_t first = count - count % TILE;
  flat.lhs = (const char *)desc->lhs + (size_t)first * lat_dtype_bytes(desc->lhs_dtype);
  flat.rhs = (const char *)desc->rhs + (size_t)first * lat_dtype_bytes(desc->rhs_dtype);
  flat.y = (char *)desc->y + (size_t)first * lat_dtype_bytes(desc->dtype_out);
  flat.lhs_channels = flat.rhs_channels = count % TILE;
  flat.n_rows = 1;
  return join(context, &flat, count % TILE, binary_range);
}

lat_status lat__cpu_join_cat(lat_context *context, const lat__join_desc *desc) {
  return join(context, desc, desc->lhs_channels + desc->rhs_channels, cat_range);
}
