// Rows of a sparse tensor to cells of a dense array and back, and the search for cells that hold something.

#include <string.h>

#include "backend/cpu/cpu_backend.h"
#include "core/alloc.h"
#include "core/checked.h"
#include "core/compiler.h"
#include "core/thread.h"

#define ROW_GRAIN 1024
#define CLEAR_GRAIN ((int64_t)1 << 18)

/// Cells that are counted together.
#define BLOCK_CELLS 4096

static void clear_range(void *arg, int64_t begin, int64_t end, int worker) {
  const lat__dense_desc *desc = arg;
  (void)worker;
  memset((char *)desc->y + begin, 0, (size_t)(end - begin));
}

/// One row between its packed form and its cell, whose channels lie `step` elements apart.
static LAT_ALWAYS_INLINE void copy_strided(const void *x, int64_t x_step, void *y, int64_t y_step, int64_t channels,
                                           int64_t element_bytes) {
  if (x_step == 1 && y_step == 1) {
    memcpy(y, x, (size_t)(channels * element_bytes));
  } else if (element_bytes == 4) {
    for (int64_t c = 0; c < channels; c++) ((uint32_t *)y)[c * y_step] = ((const uint32_t *)x)[c * x_step];
  } else {
    for (int64_t c = 0; c < channels; c++) ((uint16_t *)y)[c * y_step] = ((const uint16_t *)x)[c * x_step];
  }
}

static void scatter_range(void *arg, int64_t begin, int64_t end, int worker) {
  const lat__dense_desc *desc = arg;
  (void)worker;
  for (int64_t r = begin; r < end; r++) {
    if (desc->offsets[r] < 0) continue;
    const char *row = (const char *)desc->x + r * desc->channels * desc->element_bytes;
    copy_strided(row, 1, (char *)desc->y + desc->offsets[r] * desc->element_bytes, desc->channel_step, desc->channels,
                 desc->element_bytes);
  }
}

static void gather_range(void *arg, int64_t begin, int64_t end, int worker) {
  const lat__dense_desc *desc = arg;
  (void)worker;
  for (int64_t r = begin; r < end; r++) {
    char *row = (char *)desc->y + r * desc->channels * desc->element_bytes;
    if (desc->offsets[r] < 0) {
      memset(row, 0, (size_t)(desc->channels * desc->element_bytes));
    } else {
      copy_strided((const char *)desc->x + desc->offsets[r] * desc->element_bytes, desc->channel_step, row, 1,
                   desc->channels, desc->element_bytes);
    }
  }
}

lat_status lat__cpu_dense_scatter(lat_context *context, const lat__dense_desc *desc) {
  lat__dense_desc copy = *desc;
  if (desc->n_elements == 0) return LAT_STATUS_OK;
  lat__parallel_for(context, desc->n_elements * desc->element_bytes, CLEAR_GRAIN, clear_range, &copy);
  lat__parallel_for(context, desc->n_rows, ROW_GRAIN, scatter_range, &copy);
  return LAT_STATUS_OK;
}

lat_status lat__cpu_dense_gather(lat_context *context, const lat__dense_desc *desc) {
  lat__dense_desc copy = *desc;
  if (desc->n_rows == 0 || desc->channels == 0) return LAT_STATUS_OK;
  lat__parallel_for(context, desc->n_rows, ROW_GRAIN, gather_range, &copy);
  return LAT_STATUS_OK;
}

typedef struct cells_job {
  const lat__dense_cells_desc *desc;
  int64_t n_cells;
  int64_t *starts; ///< of each block of cells: its number of chosen cells, then its first row
  int32_t *rows;
} cells_job;

/// Item and axis positions of a cell by its number in the order (b, x, y, z).
static void split_cell(const lat__dense_cells_desc *desc, int64_t cell, int64_t position[4]) {
  for (int axis = 2; axis >= 0; axis--) {
    position[1 + axis] = cell % desc->extent[axis];
    cell /= desc->extent[axis];
  }
  position[0] = cell;
}

static bool is_chosen(const lat__dense_cells_desc *desc, int64_t cell, const int64_t position[4]) {
  int64_t element = position[0] * desc->batch_step;
  if (desc->mask) return desc->mask[cell] != 0;
  for (int axis = 0; axis < 3; axis++) element += position[1 + axis] * desc->axis_step[axis];
  for (int64_t c = 0; c < desc->channels; c++, element += desc->channel_step) {
    bool zero = desc->dtype == LAT_DTYPE_F32 ? ((const float *)desc->x)[element] == 0.0f
                                             : (((const uint16_t *)desc->x)[element] & 0x7FFF) == 0;
    if (!zero) return true;
  }
  return false;
}

/// Counts the chosen cells of a block, or writes their rows once it is known where they go.
static void cells_range(void *arg, int64_t begin, int64_t end, int worker) {
  cells_job *job = arg;
  const lat__dense_cells_desc *desc = job->desc;
  (void)worker;
  for (int64_t block = begin; block < end; block++) {
    int64_t last = lat__min_i64(job->n_cells, (block + 1) * BLOCK_CELLS), n = 0;
    int32_t *rows = job->rows ? job->rows + 4 * job->starts[block] : NULL;
    for (int64_t cell = block * BLOCK_CELLS; cell < last; cell++) {
      int64_t position[4];
      split_cell(desc, cell, position);
      if (!is_chosen(desc, cell, position)) continue;
      if (rows) {
        rows[4 * n] = (int32_t)position[0];
        for (int axis = 0; axis < 3; axis++) rows[4 * n + 1 + axis] = (int32_t)(position[1 + axis] + desc->first[axis]);
      }
      n++;
    }
    if (!rows) job->starts[block] = n;
  }
}

lat_status lat__cpu_dense_cells(lat_context *context, const lat__dense_cells_desc *desc, int32_t **rows,
                                int64_t *n_rows) {
  static const char op[] = "from_dense";
  lat_status status = LAT_STATUS_OK;
  void *starts = NULL, *memory = NULL;
  int64_t n_cells = desc->n_items * desc->extent[0] * desc->extent[1] * desc->extent[2];
  if (!desc->mask && desc->channels == 0) n_cells = 0; // nothing to look at, however many cells
  int64_t n_blocks = lat__ceil_div_i64(n_cells, BLOCK_CELLS), total = 0;
  cells_job job = {.desc = desc, .n_cells = n_cells};
  LAT_TRY(lat__alloc_items(context, op, n_blocks, sizeof(int64_t), &starts), done);
  job.starts = starts;
  lat__parallel_for(context, n_blocks, 1, cells_range, &job);
  for (int64_t block = 0; block < n_blocks; block++) {
    int64_t count = job.starts[block];
    job.starts[block] = total;
    total += count;
  }
  LAT_TRY(lat__alloc_items(context, op, total, 4 * sizeof(int32_t), &memory), done);
  job.rows = memory;
  lat__parallel_for(context, n_blocks, 1, cells_range, &job);
  *rows = memory;
  *n_rows = total;
done:
  lat__free(context, starts);
  return status;
}
