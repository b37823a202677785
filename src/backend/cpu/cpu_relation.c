// Kernel relations by one hash probe for every (output row, kernel element).

#include <string.h>

#include "backend/cpu/cpu_backend.h"
#include "core/alloc.h"
#include "core/checked.h"
#include "core/compiler.h"

/// found[o] = the input row that output o meets under the kernel offset, or -1.
static lat_status probe(lat_context *context, const lat__relation_desc *desc, const lat__coord_index *index, int32_t k,
                        int32_t *queries, int32_t *found) {
  const int32_t *offset = desc->offsets + 3 * (int64_t)k;
  int64_t stride[3] = {desc->stride.x, desc->stride.y, desc->stride.z};
  int64_t shift[3] = {(int64_t)offset[0] - desc->padding.x, (int64_t)offset[1] - desc->padding.y,
                      (int64_t)offset[2] - desc->padding.z};
  for (int64_t o = 0; o < desc->n_out; o++) {
    const int32_t *row = desc->out_rows + 4 * o;
    queries[4 * o] = row[0];
    for (int a = 0; a < 3; a++)
      queries[4 * o + 1 + a] = (int32_t)((uint64_t)row[1 + a] * (uint64_t)stride[a] + (uint64_t)shift[a]);
  }
  lat_status status = lat__cpu_index_lookup(context, index, queries, desc->n_out, found);
  for (int64_t o = 0; o < desc->n_out; o++) {
    for (int a = 0; a < 3; a++) {
      int64_t query = desc->out_rows[4 * o + 1 + a] * stride[a] + shift[a];
      if (query < INT32_MIN || query > INT32_MAX) found[o] = -1;
    }
  }
  return status;
}

static void fill_lists(const lat__relation_desc *desc, const int32_t *found, lat__pairs *out) {
  int64_t n = 0;
  for (int64_t block = 0; block < out->n_blocks; block++) {
    int64_t first = block * LAT__PAIR_BLOCK_ROWS, end = lat__min_i64(desc->n_out, first + LAT__PAIR_BLOCK_ROWS);
    for (int64_t k = 0; k < desc->n_kernels; k++) {
      out->offsets[block * desc->n_kernels + k] = n;
      for (int64_t o = first; o < end; o++) {
        if (found[k * desc->n_out + o] < 0) continue;
        out->in_rows[n] = found[k * desc->n_out + o];
        out->local_rows[n++] = (uint16_t)(o - first);
      }
    }
  }
  out->offsets[out->n_blocks * desc->n_kernels] = n;
}

lat_status lat__cpu_relation_build(lat_context *context, const lat__relation_desc *desc, lat__pairs *out) {
  static const char op[] = "relation";
  lat_status status = LAT_STATUS_OK;
  lat__coord_index *index = NULL;
  void *queries = NULL, *table = NULL, *memory = NULL;
  lat__pairs pairs = {.n_in = desc->n_in, .n_out = desc->n_out, .n_kernels = desc->n_kernels};
  pairs.n_blocks = lat__ceil_div_i64(desc->n_out, LAT__PAIR_BLOCK_ROWS);
  LAT_TRY(lat__cpu_index_create(context, desc->in_rows, desc->n_in, &index), done);
  LAT_TRY(lat__alloc_items(context, op, desc->n_out, 4 * sizeof(int32_t), &queries), done);
  LAT_TRY(lat__alloc_items(context, op, desc->n_out, (size_t)desc->n_kernels * sizeof(int32_t), &table), done);
  int32_t *found = table;
  for (int32_t k = 0; k < desc->n_kernels; k++)
    LAT_TRY(probe(context, desc, index, k, queries, found + k * desc->n_out), done);
  for (int64_t i = 0; i < desc->n_out * desc->n_kernels; i++) pairs.n_edges += found[i] >= 0;
  LAT_TRY(lat__alloc_items(context, op, pairs.n_blocks * desc->n_kernels + 1, sizeof(int64_t), &memory), done);
  pairs.offsets = memory;
  LAT_TRY(lat__alloc_items(context, op, pairs.n_edges, sizeof(int32_t), &memory), done);
  pairs.in_rows = memory;
  LAT_TRY(lat__alloc_items(context, op, pairs.n_edges, sizeof(uint16_t), &memory), done);
  pairs.local_rows = memory;
  fill_lists(desc, found, &pairs);
  *out = pairs;
  memset(&pairs, 0, sizeof pairs);
done:
  lat__free(context, pairs.offsets);
  lat__free(context, pairs.in_rows);
  lat__free(context, pairs.local_rows);
  lat__free(context, table);
  lat__free(context, queries);
  lat__cpu_index_destroy(context, index);
  return status;
}
