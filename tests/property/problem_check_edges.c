// Checks of weighted operators whose edges are found first: convolutions with groups, and transposed ones.
#include "problem_check.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "ref/ref_conv_edges.h"
#include "ref/ref_transposed.h"

static void to_array(lat_triple triple, int32_t out[3]) {
  out[0] = triple.x;
  out[1] = triple.y;
  out[2] = triple.z;
}

/// The scene's rows, of which x's set was made.
static int32_t *fine_rows(const problem_case *self, int64_t *n) {
  lat_array_view view = lat_array_as_view(self->other_rows);
  int32_t *rows = check_alloc((size_t)view.shape[0] * 4, sizeof *rows);
  *n = view.shape[0];
  if (*n > 0) memcpy(rows, view.data, (size_t)*n * 4 * sizeof *rows);
  return rows;
}

/// Edges of the convolution that goes down, read backwards.
static ref_edges *inverse_edges(const int32_t *coarse, int64_t n_coarse, const int32_t *fine, int64_t n_fine,
                                const ref_transposed_geometry *g) {
  ref_edges *edges = ref_relation_edges(fine, n_fine, coarse, n_coarse, g->size, g->stride, g->padding, g->dilation);
  int32_t *from = edges->in;
  edges->in = edges->out;
  edges->out = from;
  return edges;
}

static ref_edges *transposed_edges(const problem_case *self, int32_t **out, int64_t *n_out) {
  const problem *item = &self->item;
  ref_transposed_geometry g = {.padding = {0, 0, 0}, .dilation = {1, 1, 1}};
  int64_t n_in;
  const int32_t *in = check_in_rows(self, &n_in);
  to_array(item->kernel, g.size);
  to_array(item->stride, g.stride);
  if (item->mode == PROBLEM_TRANSPOSE_OWN || item->mode == PROBLEM_TRANSPOSE_GENERATIVE) {
    return ref_transposed_edges(in, n_in, &g, item->mode == PROBLEM_TRANSPOSE_OWN, out, n_out);
  }
  *out = fine_rows(self, n_out);
  return item->mode == PROBLEM_TRANSPOSE_TARGET ? ref_target_transposed_edges(in, n_in, *out, *n_out, &g)
                                                : inverse_edges(in, n_in, *out, *n_out, &g);
}

/// The chain of t roundings of check_weighted.
static void compare(const ref_edge_conv *conv, const double *w_terms, const int32_t *out, const problem_result *result,
                    char *reason) {
  size_t n = (size_t)(conv->n_out * conv->c_out);
  double *y = check_alloc(n, sizeof *y), *slack = check_alloc(n, sizeof *slack), *ignored = check_alloc(n, sizeof *y);
  int64_t *terms = check_alloc(n, sizeof *terms);
  ref_conv_edges(conv, y, slack, terms);
  if (w_terms) {
    ref_edge_conv magnitudes = *conv;
    magnitudes.w = w_terms;
    ref_conv_edges(&magnitudes, ignored, slack, terms);
  }
  for (size_t i = 0; i < n; i++) slack[i] *= (double)(terms[i] + 1 + (w_terms ? 2 : 0)) * 0x1.01p-24;
  lat_array_view feats = lat_tensor_feats(result->tensor);
  check_compare(&feats, &(check_values){y, conv->n_out, conv->c_out, slack, 0.0}, reason);
  check_rows(result->tensor, out, conv->n_out, reason);
  free(y);
  free(slack);
  free(ignored);
  free(terms);
}

void check_weighted_edges(const problem_case *self, const problem_result *result, char *reason) {
  const problem *item = &self->item;
  bool transposed = item->op == PROBLEM_CONV_TRANSPOSE3D;
  int64_t n_out = 0;
  int32_t *out = transposed ? NULL : check_out_rows(self, &n_out);
  ref_edges *edges = transposed ? transposed_edges(self, &out, &n_out) : check_edges(self, out, n_out);
  lat_array_view feats = lat_array_as_view(self->feats), biases = lat_array_as_view(self->bias);
  lat_array_view weights = lat_array_as_view(self->weight);
  double *w_terms = NULL, *x = check_doubles(&feats), *bias = check_doubles(&biases);
  double *w = self->packed ? check_unpack(self->packed, &w_terms) : check_doubles(&weights);
  const ref_edge_conv conv = {.edges = edges,
                              .n_out = n_out,
                              .n_kernels = (int64_t)item->kernel.x * item->kernel.y * item->kernel.z,
                              .c_in = item->c_in,
                              .c_out = item->c_out,
                              .groups = item->groups,
                              .x = x,
                              .w = w,
                              .layout = REF_WEIGHT_OUT_KERNEL_IN,
                              .bias = bias};
  compare(&conv, w_terms, out, result, reason);
  ref_edges_free(edges);
  void *memory[] = {out, x, bias, w, w_terms};
  for (size_t i = 0; i < sizeof memory / sizeof memory[0]; i++) free(memory[i]);
}
