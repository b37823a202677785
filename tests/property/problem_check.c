// Checks of one problem: common parts, and the families that work over a relation.
#include "problem_check.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ref/ref_conv3d.h"
#include "ref/ref_pool.h"
#include "ref/ref_reach.h"
#include "ref/ref_relation.h"

void *check_alloc(size_t count, size_t bytes) {
  void *memory = calloc(count ? count : 1, bytes);
  if (!memory) abort();
  return memory;
}

void check_fail(char *reason, const char *format, ...) {
  if (reason[0]) return;
  va_list arguments;
  va_start(arguments, format);
  vsnprintf(reason, CHECK_TEXT_BYTES, format, arguments);
  va_end(arguments);
}

static int64_t count(const lat_array_view *view) {
  int64_t n = 1;
  for (int32_t axis = 0; axis < view->rank; axis++) n *= view->shape[axis];
  return n;
}

double *check_doubles(const lat_array_view *view) {
  double *values = check_alloc((size_t)count(view), sizeof *values);
  for (int64_t i = 0; i < count(view); i++) {
    if (view->dtype == LAT_DTYPE_F32) values[i] = (double)((const float *)view->data)[i];
    if (view->dtype == LAT_DTYPE_F16) values[i] = (double)lat_f16_to_f32(((const uint16_t *)view->data)[i]);
    if (view->dtype == LAT_DTYPE_BF16) values[i] = (double)lat_bf16_to_f32(((const uint16_t *)view->data)[i]);
  }
  return values;
}

static double *doubles_of(const lat_array *array) {
  lat_array_view view = lat_array_as_view(array);
  return check_doubles(&view);
}

bool check_problem_with_error;

void check_compare(const lat_array_view *result, const check_values *values, char *reason) {
  if (result->rank != 2 || result->shape[0] != values->rows || result->shape[1] != values->channels) {
    check_fail(reason, "shape: got (%lld, %lld), expected (%lld, %lld)", (long long)result->shape[0],
               (long long)result->shape[1], (long long)values->rows, (long long)values->channels);
    return;
  }
  double *got = check_doubles(result);
  if (check_problem_with_error && count(result) > 0) got[count(result) / 2] += 0.01;
  for (int64_t i = 0; i < values->rows * values->channels && !reason[0]; i++) {
    double expected = values->expected[i], slack = values->slack ? values->slack[i] : values->slack_all;
    if (result->dtype == LAT_DTYPE_F16) slack += (fabs(expected) + slack) * 0x1p-11 + 0x1p-25;
    if (result->dtype == LAT_DTYPE_BF16) slack += (fabs(expected) + slack) * 0x1p-8;
    // Equal infinities and NaN against NaN are right; every other NaN makes the comparison false.
    bool same = (isnan(expected) && isnan(got[i])) || (isinf(expected) && !(got[i] < expected) && !(got[i] > expected));
    if (same || (isfinite(expected) && fabs(got[i] - expected) <= slack)) continue;
    check_fail(reason, "row %lld channel %lld: got %.9g, expected %.9g within %.3g", (long long)(i / values->channels),
               (long long)(i % values->channels), got[i], expected, slack);
  }
  free(got);
}

void check_rows(const lat_tensor *tensor, const int32_t *expected, int64_t n, char *reason) {
  lat_array_view view = lat_coords_rows(lat_tensor_coords(tensor));
  if (view.shape[0] != n) {
    check_fail(reason, "rows: got %lld, expected %lld", (long long)view.shape[0], (long long)n);
    return;
  }
  const int32_t *got = view.data;
  for (int64_t i = 0; i < 4 * n; i++) {
    if (got[i] == expected[i]) continue;
    check_fail(reason, "coordinate of row %lld, column %lld: got %d, expected %d", (long long)(i / 4),
               (long long)(i % 4), got[i], expected[i]);
    return;
  }
}

// --- geometry -------------------------------------------------------------------------------------------------------

static void to_array(lat_triple triple, int32_t out[3]) {
  out[0] = triple.x;
  out[1] = triple.y;
  out[2] = triple.z;
}

const int32_t *check_in_rows(const problem_case *self, int64_t *n) {
  lat_array_view view = lat_array_as_view(self->rows);
  *n = view.shape[0];
  return view.data;
}

/// A submanifold relation is the same under both rules.
static bool uses_reach(const problem *item) {
  return item->support == LAT_SUPPORT_REACH &&
         !(item->op == PROBLEM_RELATION && item->mode == LAT_RELATION_SUBMANIFOLD);
}

static ref_reach reach_of(const problem *item) {
  ref_reach reach = {.bounds = {0, 0, 0}};
  to_array(item->kernel, reach.size);
  to_array(item->stride, reach.stride);
  to_array(item->padding, reach.padding);
  to_array(item->dilation, reach.dilation);
  return reach;
}

int32_t *check_out_rows(const problem_case *self, int64_t *n) {
  const problem *item = &self->item;
  int64_t n_in;
  const int32_t *in = check_in_rows(self, &n_in);
  bool target = self->other_rows != NULL;
  lat_array_view view = lat_array_as_view(target ? self->other_rows : self->rows);
  int32_t stride[3], *out = check_alloc((size_t)(4 * view.shape[0]), sizeof *out);
  to_array(item->stride, stride);
  *n = view.shape[0];
  if (target || item->op == PROBLEM_SUBM_CONV3D) {
    if (*n > 0) memcpy(out, view.data, (size_t)*n * 4 * sizeof *out);
  } else if (uses_reach(item)) {
    ref_reach reach = reach_of(item);
    free(out);
    *n = ref_reach_support(in, n_in, &reach, &out);
  } else {
    *n = ref_floor_support(in, n_in, stride, out); // at stride 1 the rows themselves: they are distinct
  }
  return out;
}

ref_edges *check_edges(const problem_case *self, const int32_t *out, int64_t n_out) {
  const problem *item = &self->item;
  int64_t n_in;
  const int32_t *in = check_in_rows(self, &n_in);
  ref_reach g = reach_of(item);
  if (uses_reach(item)) return ref_reach_edges(in, n_in, out, n_out, &g);
  return ref_relation_edges(in, n_in, out, n_out, g.size, g.stride, g.padding, g.dilation);
}

// --- relation -------------------------------------------------------------------------------------------------------

static void compare_edges(const lat_relation_edge_list *got, const ref_edges *expected, char *reason) {
  if (got->n_edges != expected->n) {
    check_fail(reason, "edges: got %lld, expected %lld", (long long)got->n_edges, (long long)expected->n);
    return;
  }
  for (int64_t e = 0; e < expected->n && !reason[0]; e++) {
    if (got->in_rows[e] == expected->in[e] && got->out_rows[e] == expected->out[e] &&
        got->kernel_ids[e] == expected->kernel[e]) {
      continue;
    }
    check_fail(reason, "edge %lld: got (%d, %d, %d), expected (%d, %d, %d)", (long long)e, got->in_rows[e],
               got->out_rows[e], got->kernel_ids[e], expected->in[e], expected->out[e], expected->kernel[e]);
  }
}

void check_relation(const problem_case *self, const problem_result *result, char *reason) {
  int64_t n_out;
  int32_t *out = check_out_rows(self, &n_out);
  ref_edges *expected = check_edges(self, out, n_out);
  if (check_problem_with_error) expected->kernel[expected->n / 2]++;
  lat_relation_edge_list got;
  if (lat_relation_edges(self->context, result->relation, &got)) {
    check_fail(reason, "lat_relation_edges: %s", lat_last_error());
  } else {
    compare_edges(&got, expected, reason);
  }
  const lat_coords *made = lat_relation_out_coords(result->relation);
  if (made) {
    lat_array_view rows = lat_coords_rows(made);
    if (rows.shape[0] != n_out || (n_out && memcmp(rows.data, out, (size_t)n_out * 16) != 0)) {
      check_fail(reason, "the output set differs from the reference's %lld rows", (long long)n_out);
    }
  }
  if (lat_relation_n_out(result->relation) != n_out) {
    check_fail(reason, "output rows: got %lld, expected %lld", (long long)lat_relation_n_out(result->relation),
               (long long)n_out);
  }
  ref_edges_free(expected);
  free(out);
}

// --- convolution and linear -----------------------------------------------------------------------------------------

double *check_unpack(const lat_quantized_weight *packed, double **terms) {
  lat_quantized_info info = lat_quantized_weight_info(packed);
  int64_t volume = (int64_t)info.kernel_size.x * info.kernel_size.y * info.kernel_size.z;
  int64_t n_groups = info.storage_in_channels / info.group_size, n_words = info.words.shape[volume == 1 ? 2 : 1];
  double *scales = check_doubles(&info.scales), *biases = check_doubles(&info.biases);
  double *dense = check_alloc((size_t)(info.out_channels * volume * info.in_channels), sizeof *dense);
  double *both = *terms = check_alloc((size_t)(info.out_channels * volume * info.in_channels), sizeof *both);
  const uint32_t *words = info.words.data;
  for (int64_t o = 0; o < info.out_channels; o++) {
    for (int64_t k = 0; k < volume; k++) {
      for (int64_t c = 0; c < info.in_channels; c++) {
        int64_t word = c * info.bits / 32, group = c / info.group_size;
        int64_t at = volume == 1 ? o * n_words + word : (k * n_words + word) * info.out_channels + o;
        int64_t of = volume == 1 ? o * n_groups + group : (k * n_groups + group) * info.out_channels + o;
        uint32_t code = words[at] >> (c * info.bits % 32) & ((1u << info.bits) - 1);
        int64_t element = (o * volume + k) * info.in_channels + c;
        dense[element] = code * scales[of] + biases[of];
        both[element] = fabs(code * scales[of]) + fabs(biases[of]);
      }
    }
  }
  free(scales);
  free(biases);
  return dense;
}

void check_weighted(const problem_case *self, const problem_result *result, char *reason) {
  const problem *item = &self->item;
  int64_t n_in, n_out;
  const int32_t *in = check_in_rows(self, &n_in);
  int32_t *out = check_out_rows(self, &n_out);
  double *x = doubles_of(self->feats), *bias = doubles_of(self->bias);
  double *w_terms = NULL, *w = self->packed ? check_unpack(self->packed, &w_terms) : doubles_of(self->weight);
  ref_conv conv = {.in = in,
                   .out = out,
                   .n_in = n_in,
                   .n_out = n_out,
                   .c_in = item->c_in,
                   .c_out = item->c_out,
                   .x = x,
                   .w = w,
                   .from_zero = uses_reach(item),
                   .layout = REF_WEIGHT_OUT_KERNEL_IN,
                   .bias = bias};
  to_array(item->kernel, conv.size);
  to_array(item->stride, conv.stride);
  to_array(item->padding, conv.padding);
  to_array(item->dilation, conv.dilation);
  size_t n = (size_t)(n_out * item->c_out);
  double *y = check_alloc(n, sizeof *y), *slack = check_alloc(n, sizeof *slack);
  int64_t *terms = check_alloc(n, sizeof *terms);
  if (self->packed) { // for the magnitudes alone
    conv.w = w_terms;
    ref_conv3d(&conv, y, slack, terms);
    conv.w = w;
  }
  ref_conv3d(&conv, y, self->packed ? NULL : slack, terms);
  // A chain of t roundings of partial sums, none larger than the sum of magnitudes; a packed weight is rounded before.
  for (size_t i = 0; i < n; i++) slack[i] *= (double)(terms[i] + 1 + (self->packed ? 2 : 0)) * 0x1.01p-24;
  lat_array_view feats = lat_tensor_feats(result->tensor);
  check_compare(&feats, &(check_values){y, n_out, item->c_out, slack, 0.0}, reason);
  check_rows(result->tensor, out, n_out, reason);
  lat_triple stride = lat_tensor_stride(result->tensor);
  if (stride.x != item->stride.x || stride.y != item->stride.y || stride.z != item->stride.z) {
    check_fail(reason, "stride: got %d, %d, %d", stride.x, stride.y, stride.z);
  }
  void *memory[] = {out, x, bias, w, w_terms, y, slack, terms};
  for (size_t i = 0; i < sizeof memory / sizeof memory[0]; i++) free(memory[i]);
}

// --- pools ----------------------------------------------------------------------------------------------------------

/// Compares with the reference's sums. `n_terms` bounds how many rows an output row reduces; a maximum is exact.
static void compare_pool(const problem *item, const lat_array_view *result, const double *y, double *magnitude,
                         int64_t rows, int64_t n_terms, char *reason) {
  double factor = item->mode == LAT_POOL_MAX ? 0.0 : (double)(n_terms + 2) * 0x1.01p-24;
  for (int64_t i = 0; i < rows * item->c_in; i++) magnitude[i] *= factor;
  check_compare(result, &(check_values){y, rows, item->c_in, magnitude, 0.0}, reason);
}

void check_pool(const problem_case *self, const problem_result *result, char *reason) {
  const problem *item = &self->item;
  bool global = item->op == PROBLEM_GLOBAL_POOL;
  int64_t n_in, n_out = item->batch;
  const int32_t *in = check_in_rows(self, &n_in);
  int32_t *out = global ? NULL : check_out_rows(self, &n_out);
  double *x = doubles_of(self->feats);
  size_t n = (size_t)(n_out * item->c_in);
  double *y = check_alloc(n, sizeof *y), *magnitude = check_alloc(n, sizeof *magnitude);
  if (global) {
    lat_array_view view = lat_array_as_view(result->array);
    ref_global_pool((ref_pool_mode)item->mode, in, n_in, x, item->c_in, n_out, y, magnitude);
    compare_pool(item, &view, y, magnitude, n_out, n_in, reason);
  } else {
    lat_array_view view = lat_tensor_feats(result->tensor);
    ref_edges *edges = check_edges(self, out, n_out);
    int64_t volume = (int64_t)item->kernel.x * item->kernel.y * item->kernel.z;
    ref_pool((ref_pool_mode)item->mode, edges, x, item->c_in, n_out, y, magnitude);
    compare_pool(item, &view, y, magnitude, n_out, volume, reason);
    check_rows(result->tensor, out, n_out, reason);
    ref_edges_free(edges);
  }
  void *memory[] = {out, x, y, magnitude};
  for (size_t i = 0; i < sizeof memory / sizeof memory[0]; i++) free(memory[i]);
}
