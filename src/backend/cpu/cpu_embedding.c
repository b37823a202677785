// Rows of a table by index, and the sums of rows that go back to it. A row of the table is summed by one worker in the
// order of its list, so no two threads meet.

#include <string.h>

#include "backend/cpu/cpu_backend.h"
#include "core/alloc.h"
#include "core/array_internal.h"
#include "core/checked.h"
#include "core/compiler.h"
#include "core/context_internal.h"
#include "core/thread.h"

#define GRAIN_ELEMENTS 16384

typedef struct row_sums_job {
  const lat__row_sums_desc *desc;
  double *scratch; ///< a row for each worker
} row_sums_job;

static void embedding_range(void *arg, int64_t begin, int64_t end, int worker) {
  const lat__embedding_desc *desc = arg;
  size_t row_bytes = (size_t)desc->channels * lat_dtype_bytes(desc->dtype);
  (void)worker;
  for (int64_t row = begin; row < end; row++) {
    memcpy((char *)desc->y + (size_t)row * row_bytes, (const char *)desc->x + (size_t)desc->rows[row] * row_bytes,
           row_bytes);
  }
}

lat_status lat__cpu_embedding(lat_context *context, const lat__embedding_desc *desc) {
  if (desc->channels == 0) return LAT_STATUS_OK;
  lat__embedding_desc job = *desc;
  lat__parallel_for(context, desc->n_rows, lat__max_i64(1, GRAIN_ELEMENTS / desc->channels), embedding_range, &job);
  return LAT_STATUS_OK;
}

static void row_sums_range(void *arg, int64_t begin, int64_t end, int worker) {
  const row_sums_job *job = arg;
  const lat__row_sums_desc *desc = job->desc;
  int64_t channels = desc->channels;
  double *sums = job->scratch + worker * channels;
  for (int64_t row = begin; row < end; row++) {
    for (int64_t c = 0; c < channels; c++) sums[c] = 0.0;
    for (int64_t e = desc->offsets[row]; e < desc->offsets[row + 1]; e++) {
      int64_t first = desc->sources[e] * channels;
      for (int64_t c = 0; c < channels; c++) sums[c] += (double)lat__float_load(desc->dtype_in, desc->x, first + c);
    }
    for (int64_t c = 0; c < channels; c++) {
      lat__float_store_double(desc->dtype_out, desc->y, row * channels + c, sums[c]);
    }
  }
}

lat_status lat__cpu_row_sums(lat_context *context, const lat__row_sums_desc *desc) {
  lat_status status = LAT_STATUS_OK;
  void *scratch = NULL;
  if (desc->n_rows == 0 || desc->channels == 0) return LAT_STATUS_OK;
  size_t row_bytes = (size_t)desc->channels * sizeof(double);
  LAT_TRY(lat__alloc_items(context, "embedding_backward", context->n_threads, row_bytes, &scratch), done);
  row_sums_job job = {desc, scratch};
  lat__parallel_for(context, desc->n_rows, lat__max_i64(1, GRAIN_ELEMENTS / desc->channels), row_sums_range, &job);
done:
  lat__free(context, scratch);
  return status;
}
