// Convolution of few input channels: the pair lists of a block, which are ordered by kernel element, are sorted into lists of
// its rows, and row_gemm_f32 keeps the sums of a row in registers. The chain of an element is the same as by lists:
// kernel elements ascending, input channels ascending.

#include <string.h>

#include "backend/cpu/cpu_conv.h"
#include "backend/cpu/cpu_rows.h"
#include "core/checked.h"

/// Few input channels, and so many output channels that loading and storing a row of sums for every edge costs more than
/// sorting the edges (measured). Lists of float32 rows have the better kernel while a row of sums is short.
static bool channels_fit(const lat__conv_desc *desc) {
  int64_t c_in = desc->c_in, c_out = desc->c_out;
  if (c_in < 1 || c_in > 8) return false;
  if (c_in <= 2 || (c_in <= 4 && desc->dtype != LAT_DTYPE_F32)) return c_out >= 24;
  return c_in <= 4 ? c_out > 32 : c_out >= 48;
}

bool lat__cpu_conv_rows_fit(const lat__conv_desc *desc) {
  return desc->pairs && !desc->pairs->repeats && desc->n_kernels > 0 && desc->groups <= 1 && channels_fit(desc);
}

int64_t lat__cpu_conv_rows_most_edges(const lat__conv_desc *desc) {
  const lat__pairs *pairs = desc->pairs;
  int64_t most = 0;
  for (int64_t block = 0; block < pairs->n_blocks; block++) {
    const int64_t *offsets = pairs->offsets + block * pairs->n_kernels;
    most = lat__max_i64(most, offsets[pairs->n_kernels] - offsets[0]);
  }
  return most;
}

/// The edges of a block by output row, each row's in the order of the lists.
typedef struct block_edges {
  int32_t *in_rows, *kernels, *begins;
} block_edges;

static void sort_edges(const lat__pairs *pairs, int64_t block, int64_t n_rows, const block_edges *edges) {
  const int64_t *offsets = pairs->offsets + block * pairs->n_kernels;
  int32_t *next = edges->begins + 1; // counts, then where a row goes on, in the end where it ends
  memset(edges->begins, 0, (size_t)(n_rows + 1) * sizeof *edges->begins);
  for (int64_t p = offsets[0]; p < offsets[pairs->n_kernels]; p++) next[pairs->local_rows[p]]++;
  for (int64_t r = 0, sum = 0; r < n_rows; r++) {
    int32_t count = next[r];
    next[r] = (int32_t)sum;
    sum += count;
  }
  for (int32_t k = 0; k < pairs->n_kernels; k++) {
    for (int64_t p = offsets[k]; p < offsets[k + 1]; p++) {
      int32_t at = next[pairs->local_rows[p]]++;
      edges->in_rows[at] = pairs->in_rows[p];
      edges->kernels[at] = k;
    }
  }
}

/// Rows from `first` on whose edges together fit into the widened rows: at least one.
static int64_t rows_that_fit(const block_edges *edges, int64_t first, int64_t n_rows, int64_t room) {
  int64_t r = first + 1;
  while (r < n_rows && edges->begins[r + 1] - edges->begins[first] <= room) r++;
  return r - first;
}

void lat__cpu_conv_rows_block(const lat__cpu_conv_job *job, int64_t block, int64_t n_rows, int worker, float *sums) {
  const lat__conv_desc *desc = job->desc;
  const lat__conv_packed *packed = job->packed;
  int32_t *lists = (int32_t *)(void *)lat__cpu_conv_scratch(job, worker, job->edges_at);
  block_edges edges = {lists, lists + job->most_edges, lists + 2 * job->most_edges};
  sort_edges(desc->pairs, block, n_rows, &edges);
  lat__row_gemm_args args = {.x = desc->x,
                             .x_stride = desc->c_in,
                             .in_rows = edges.in_rows,
                             .kernels = edges.kernels,
                             .begins = edges.begins,
                             .n_rows = n_rows,
                             .w = packed->panels,
                             .kernel_floats = packed->shape.kernel_floats,
                             .c_in = desc->c_in,
                             .columns = packed->columns,
                             .y = sums,
                             .y_stride = packed->columns};
  if (desc->dtype == LAT_DTYPE_F32) {
    packed->kernels->row_gemm_f32(&args);
    return;
  }
  float *widened = lat__cpu_conv_scratch(job, worker, job->widened_at);
  args.x = widened;
  args.in_rows = NULL;
  for (int64_t r = 0; r < n_rows; r += args.n_rows) {
    args.n_rows = rows_that_fit(&edges, r, n_rows, job->pass_rows);
    int32_t first = edges.begins[r];
    lat__cpu_widen_rows(packed->kernels, desc->dtype, desc->x, edges.in_rows + first,
                        edges.begins[r + args.n_rows] - first, desc->c_in, widened);
    args.begins = edges.begins + r;
    args.y = sums + r * packed->columns;
    packed->kernels->row_gemm_f32(&args);
  }
}
