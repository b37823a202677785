// Relation building from raw coordinates: any rows with any geometry give a relation whose edges obey its contract, or
// an error; also while allocations fail.
//
// Input: ten bytes of options, then rows of four bytes or of sixteen (full int32 range).
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <lattice/lattice.h>

#include "support/test_allocator.h"

#define OPTION_BYTES 10
#define MAX_ROWS 512

#define REQUIRE(condition)                                                                                             \
  do {                                                                                                                 \
    if (!(condition)) {                                                                                                \
      fprintf(stderr, "fuzz_relation: violated: %s\n", #condition);                                                    \
      abort();                                                                                                         \
    }                                                                                                                  \
  } while (0)

typedef struct fuzz_case {
  int kind;                 // 0 forward, 1 submanifold, 2 target
  lat_kernel_opts geometry; // mostly valid: sizes 0 to 7, the rest small, sometimes negative; either support rule
  long long fail_at;        // the allocation that fails; 0: none
  int64_t n_rows;
  int32_t rows[MAX_ROWS][4];
} fuzz_case;

static lat_triple small_triple(uint8_t byte, int32_t offset) {
  lat_triple triple = {(byte & 7) + offset, (byte >> 3 & 7) + offset, (byte >> 6) + offset};
  return triple;
}

static void decode(const uint8_t *data, size_t bytes, fuzz_case *out) {
  const uint8_t *options = data;
  size_t row_bytes = options[1] & 1 ? 16 : 4;
  lat_kernel_opts geometry = LAT_KERNEL_OPTS_INIT;
  geometry.kernel_size = options[2] & 128 ? lat_triple_all(options[2] & 7) : small_triple(options[2], 0);
  geometry.stride = small_triple(options[3], options[4] & 1 ? -1 : 0);
  geometry.padding = small_triple(options[5], options[4] & 2 ? -1 : 0);
  geometry.dilation = options[4] & 4 ? lat_triple_all((int32_t)(1U << (options[6] & 31))) : small_triple(options[6], 0);
  geometry.support = options[9] & 1 ? LAT_SUPPORT_REACH : LAT_SUPPORT_FLOOR;
  if (options[9] & 2) geometry.bounds = small_triple((uint8_t)(options[9] >> 1), options[9] & 4 ? 100 : -1);
  out->kind = options[0] % 3;
  out->geometry = geometry;
  out->fail_at = options[7] + 256 * (options[8] & 3);
  out->n_rows = 0;
  for (size_t at = OPTION_BYTES; at + row_bytes <= bytes && out->n_rows < MAX_ROWS; at += row_bytes) {
    for (size_t axis = 0; axis < 4; axis++) {
      int32_t *target = &out->rows[out->n_rows][axis];
      if (row_bytes == 4) {
        *target = (int8_t)data[at + axis];
      } else {
        memcpy(target, data + at + 4 * axis, 4);
      }
    }
    out->n_rows++;
  }
}

static lat_status build(lat_context *context, const fuzz_case *input, const lat_coords *coords,
                        const lat_coords *target, lat_relation **out) {
  switch (input->kind) {
  case 0:
    return lat_relation_create_forward(context, coords, &input->geometry, out);
  case 1:
    return lat_relation_create_subm(context, coords, &input->geometry, out);
  default:
    return lat_relation_create_target(context, coords, target, &input->geometry, out);
  }
}

// Edges are in range and strictly ordered by (output row, kernel element); the groups by output row agree with them.
static lat_status check_relation(lat_context *context, const lat_relation *relation) {
  lat_relation_edge_list edges = {0};
  lat_relation_csr csr = {0};
  lat_status status = lat_relation_edges(context, relation, &edges);
  if (status == LAT_STATUS_OK) status = lat_relation_group_edges(context, relation, LAT_RELATION_BY_OUTPUT, &csr);
  if (status != LAT_STATUS_OK) return status;
  REQUIRE(edges.n_edges == lat_relation_n_edges(relation));
  for (int64_t e = 0; e < edges.n_edges; e++) {
    REQUIRE(edges.in_rows[e] >= 0 && edges.in_rows[e] < lat_relation_n_in(relation));
    REQUIRE(edges.out_rows[e] >= 0 && edges.out_rows[e] < lat_relation_n_out(relation));
    REQUIRE(edges.kernel_ids[e] >= 0 && edges.kernel_ids[e] < lat_relation_n_kernels(relation));
    if (e == 0) continue;
    REQUIRE(edges.out_rows[e - 1] < edges.out_rows[e] ||
            (edges.out_rows[e - 1] == edges.out_rows[e] && edges.kernel_ids[e - 1] < edges.kernel_ids[e]));
  }
  REQUIRE(csr.n_groups == lat_relation_n_out(relation) && csr.row_offsets[0] == 0);
  for (int64_t group = 0; group < csr.n_groups; group++) {
    for (int64_t e = csr.row_offsets[group]; e < csr.row_offsets[group + 1]; e++) REQUIRE(edges.out_rows[e] == group);
  }
  REQUIRE(csr.row_offsets[csr.n_groups] == edges.n_edges);
  return LAT_STATUS_OK;
}

static lat_status run_case(lat_context *context, const fuzz_case *input) {
  lat_array_view rows = lat_view_2d(input->rows, LAT_DTYPE_I32, input->n_rows, 4);
  lat_array_view half = lat_view_2d(input->rows, LAT_DTYPE_I32, input->n_rows / 2, 4);
  lat_coords *coords = NULL;
  lat_coords *target = NULL;
  lat_relation *relation = NULL;
  lat_status status = lat_coords_create(context, &rows, NULL, &coords);
  if (status == LAT_STATUS_OK) status = lat_coords_create(context, &half, NULL, &target);
  if (status == LAT_STATUS_OK) status = build(context, input, coords, target, &relation);
  if (status == LAT_STATUS_OK) {
    status = check_relation(context, relation);
  } else {
    REQUIRE(relation == NULL && lat_last_error()[0] != '\0');
  }
  lat_relation_release(relation);
  lat_coords_release(target);
  lat_coords_release(coords);
  return status;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes) {
  static fuzz_case input;
  if (bytes < OPTION_BYTES) return 0;
  decode(data, bytes, &input);
  lat_test_allocator counter = {.fail_at = input.fail_at, .fail_for = 1};
  lat_context_opts opts = LAT_CONTEXT_OPTS_INIT;
  lat_context *context = NULL;
  opts.allocator = lat_test_allocator_hooks(&counter);
  opts.memory_cap_bytes = 256 << 20;
  opts.n_threads = 1;
  lat_status status = lat_context_create(&opts, &context);
  if (status == LAT_STATUS_OK) status = run_case(context, &input);
  lat_context_destroy(context);
  REQUIRE(status != LAT_STATUS_INTERNAL);
  REQUIRE(counter.live_blocks == 0);
  return 0;
}
