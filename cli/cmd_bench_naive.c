/// The naive peer: a convolution as one would first write it. For each kernel element the input rows are gathered,
/// multiplied with the weight matrix in a triple loop, and added to their output rows. One thread, no blocking, no
/// instructions beyond what the compiler makes of it for the base machine.
#include <stdlib.h>
#include <string.h>

#include "cmd_bench.h"

/// `(C_out, K, C_in)` as the inputs have it, to `(K, C_in, C_out)`.
static void turn_weight(const float *from, int64_t n_kernels, int64_t c_in, int64_t c_out, float *to) {
  for (int64_t o = 0; o < c_out; o++) {
    for (int64_t k = 0; k < n_kernels; k++) {
      for (int64_t i = 0; i < c_in; i++) to[(k * c_in + i) * c_out + o] = from[(o * n_kernels + k) * c_in + i];
    }
  }
}

lat_status bench_naive_create(const problem_case *inputs, lat_relation *relation, int64_t n_out, bench_naive *out) {
  const problem *item = &inputs->item;
  size_t n_kernels = (size_t)item->kernel.x * (size_t)item->kernel.y * (size_t)item->kernel.z;
  size_t c_in = (size_t)item->c_in, c_out = (size_t)item->c_out, n = (size_t)n_out;
  bench_naive self = {.inputs = inputs, .relation = lat_relation_retain(relation), .n_out = n_out};
  self.weight = malloc(n_kernels * c_in * c_out * sizeof(float) + 1);
  self.gathered = malloc(n * c_in * sizeof(float) + 1); // an output row meets a kernel element at most once
  self.product = malloc(n * c_out * sizeof(float) + 1);
  self.y = malloc(n * c_out * sizeof(float) + 1);
  *out = self;
  if (!self.weight || !self.gathered || !self.product || !self.y) {
    bench_naive_release(out);
    return lat_fail(LAT_STATUS_OUT_OF_MEMORY, "bench: no memory for the naive peer of %lld rows", (long long)n_out);
  }
  turn_weight(lat_array_data(inputs->weight), (int64_t)n_kernels, item->c_in, item->c_out, self.weight);
  return LAT_STATUS_OK;
}

void bench_naive_release(bench_naive *self) {
  lat_relation_release(self->relation);
  free(self->weight);
  free(self->gathered);
  free(self->product);
  free(self->y);
  *self = (bench_naive){0};
}

static void multiply(const float *restrict a, const float *restrict b, int64_t rows, int64_t c_in, int64_t c_out,
                     float *restrict c) {
  memset(c, 0, (size_t)(rows * c_out) * sizeof *c);
  for (int64_t r = 0; r < rows; r++) {
    for (int64_t i = 0; i < c_in; i++) {
      for (int64_t o = 0; o < c_out; o++) c[r * c_out + o] += a[r * c_in + i] * b[i * c_out + o];
    }
  }
}

static void add_row(const float *from, int64_t n, float *to) {
  for (int64_t i = 0; i < n; i++) to[i] += from[i];
}

lat_status bench_naive_run(bench_naive *self) {
  const problem_case *inputs = self->inputs;
  int64_t c_in = inputs->item.c_in, c_out = inputs->item.c_out;
  const float *x = lat_array_data(inputs->feats), *bias = lat_array_data(inputs->bias);
  lat_relation_edge_list edges;
  lat_relation_csr groups;
  for (int64_t r = 0; r < self->n_out; r++) memcpy(self->y + r * c_out, bias, (size_t)c_out * sizeof *bias);
  if (!self->relation) {
    multiply(x, self->weight, self->n_out, c_in, c_out, self->product);
    add_row(self->product, self->n_out * c_out, self->y);
    return LAT_STATUS_OK;
  }
  lat_status status = lat_relation_edges(inputs->context, self->relation, &edges);
  if (!status) status = lat_relation_group_edges(inputs->context, self->relation, LAT_RELATION_BY_KERNEL, &groups);
  for (int64_t k = 0; !status && k < groups.n_groups; k++) {
    const int64_t *ids = groups.edge_ids + groups.row_offsets[k];
    int64_t n = groups.row_offsets[k + 1] - groups.row_offsets[k];
    for (int64_t e = 0; e < n; e++) {
      memcpy(self->gathered + e * c_in, x + edges.in_rows[ids[e]] * c_in, (size_t)c_in * sizeof *x);
    }
    multiply(self->gathered, self->weight + k * c_in * c_out, n, c_in, c_out, self->product);
    for (int64_t e = 0; e < n; e++) {
      add_row(self->product + e * c_out, c_out, self->y + edges.out_rows[ids[e]] * c_out);
    }
  }
  return status;
}
