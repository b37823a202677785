// Checks of the families that work row by row, by coordinates, or on points; and the run of a whole problem.
#include "problem_check.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ref/ref_algebra.h"
#include "ref/ref_feature.h"
#include "ref/ref_neighbors.h"
#include "ref/ref_points.h"
#include "ref/ref_relation.h"

// --- features alone -------------------------------------------------------------------------------------------------

static void normalize(const problem_case *self, const double *x, int64_t n, double *y) {
  lat_array_view scale_view = lat_array_as_view(self->scale), shift_view = lat_array_as_view(self->bias);
  double *scale = check_doubles(&scale_view), *shift = check_doubles(&shift_view);
  ref_norm norm = {.n_rows = n, .channels = self->item.c_in, .weight = scale, .bias = shift, .eps = 1e-5};
  if (self->item.mode == PROBLEM_STATISTICS_GIVEN) {
    norm.mean = shift;
    norm.var = scale;
  }
  if (self->item.op == PROBLEM_BATCH_NORM) ref_batch_norm(&norm, x, y);
  if (self->item.op == PROBLEM_LAYER_NORM) ref_layer_norm(&norm, x, y);
  norm.bias = NULL;
  if (self->item.op == PROBLEM_RMS_NORM) ref_rms_norm(&norm, x, y);
  free(scale);
  free(shift);
}

void check_feature(const problem_case *self, const problem_result *result, char *reason) {
  const problem *item = &self->item;
  int64_t n;
  const int32_t *rows = check_in_rows(self, &n);
  lat_array_view x = lat_array_as_view(self->feats), feats = lat_tensor_feats(result->tensor);
  double *values = check_doubles(&x), *y = check_doubles(&x);
  double slack = 1e-4; // norms: the mean's rounding over sqrt(eps)
  if (item->op == PROBLEM_RELU || item->op == PROBLEM_GELU) {
    slack = item->op == PROBLEM_RELU ? 0.0 : 1e-6;
    for (int64_t i = 0; i < n * item->c_in; i++) {
      y[i] = item->op == PROBLEM_RELU ? ref_relu(values[i]) : ref_gelu(values[i], item->mode);
    }
  } else if (item->op == PROBLEM_ACTIVATION) {
    const ref_activation activation = {item->mode, (double)0.01f, 1.0, 20.0};
    slack = 1e-6;
    for (int64_t i = 0; i < n * item->c_in; i++) y[i] = ref_activation_value(&activation, values[i]);
  } else {
    normalize(self, values, n, y);
  }
  check_compare(&feats, &(check_values){y, n, item->c_in, NULL, slack}, reason);
  check_rows(result->tensor, rows, n, reason);
  if (!lat_tensor_same_coords(self->x, result->tensor)) check_fail(reason, "the coordinate set is not the input's");
  free(values);
  free(y);
}

// --- joins ----------------------------------------------------------------------------------------------------------

void check_join(const problem_case *self, const problem_result *result, char *reason) {
  const problem *item = &self->item;
  int64_t n_a;
  const int32_t *a = check_in_rows(self, &n_a);
  lat_array_view b = lat_array_as_view(self->other_rows);
  size_t most = (size_t)(n_a + b.shape[0]);
  int32_t *rows = check_alloc(4 * most, sizeof *rows);
  int32_t *in_a = check_alloc(most, sizeof *in_a), *in_b = check_alloc(most, sizeof *in_b);
  int64_t n = ref_align((ref_join)item->mode, a, n_a, b.data, b.shape[0], rows, in_a, in_b);
  lat_array_view left_view = lat_array_as_view(self->feats), right_view = lat_array_as_view(self->other_feats);
  double *left = check_doubles(&left_view), *right = check_doubles(&right_view);
  bool add = item->op == PROBLEM_SPARSE_ADD;
  int64_t c_left = item->c_in, c_right = right_view.shape[1], channels = add ? c_left : c_left + c_right;
  double *y = check_alloc((size_t)(n * channels), sizeof *y);
  for (int64_t r = 0; r < n; r++) {
    for (int64_t c = 0; c < c_left && in_a[r] >= 0; c++) y[r * channels + c] = left[in_a[r] * c_left + c];
    for (int64_t c = 0; c < c_right && in_b[r] >= 0; c++) {
      y[r * channels + (add ? c : c_left + c)] += right[in_b[r] * c_right + c];
    }
  }
  lat_array_view feats = lat_tensor_feats(result->tensor);
  check_compare(&feats, &(check_values){y, n, channels, NULL, 0x1.01p-23}, reason);
  check_rows(result->tensor, rows, n, reason);
  void *memory[] = {rows, in_a, in_b, left, right, y};
  for (size_t i = 0; i < sizeof memory / sizeof memory[0]; i++) free(memory[i]);
}

// --- points ---------------------------------------------------------------------------------------------------------

static ref_cloud cloud_of(const problem_case *self) {
  lat_array_view points = lat_array_as_view(self->points), batches = lat_array_as_view(self->batches);
  ref_cloud cloud = {.n = points.shape[0], .batches = batches.data};
  for (int axis = 0; axis < 3; axis++) cloud.size[axis] = self->item.voxel;
  if (points.dtype == LAT_DTYPE_F32) cloud.narrow = points.data;
  if (points.dtype == LAT_DTYPE_F64) cloud.wide = points.data;
  return cloud;
}

static void check_voxelize(const problem_case *self, const problem_result *result, char *reason) {
  const problem *item = &self->item;
  ref_cloud cloud = cloud_of(self);
  size_t n = (size_t)cloud.n;
  int32_t *cells = check_alloc(4 * n, sizeof *cells), *voxels = check_alloc(4 * n, sizeof *voxels);
  int32_t *inverse = check_alloc(n, sizeof *inverse);
  ref_point_cells(&cloud, cells);
  int64_t n_voxels = ref_unique_rows(cells, cloud.n, voxels, inverse);
  lat_array_view view = lat_array_as_view(self->feats), feats = lat_tensor_feats(result->tensor);
  double *x = check_doubles(&view), *y = check_alloc((size_t)(n_voxels * item->c_in), sizeof *y);
  ref_voxel_reduce(inverse, cloud.n, n_voxels, x, item->c_in, item->mode == LAT_VOXEL_MEAN, y);
  check_compare(&feats, &(check_values){y, n_voxels, item->c_in, NULL, 1e-5}, reason);
  check_rows(result->tensor, voxels, n_voxels, reason);
  void *memory[] = {cells, voxels, inverse, x, y};
  for (size_t i = 0; i < sizeof memory / sizeof memory[0]; i++) free(memory[i]);
}

void check_points(const problem_case *self, const problem_result *result, char *reason) {
  const problem *item = &self->item;
  if (item->op == PROBLEM_VOXELIZE) {
    check_voxelize(self, result, reason);
    return;
  }
  ref_cloud cloud = cloud_of(self);
  int64_t n_voxels;
  const int32_t *rows = check_in_rows(self, &n_voxels);
  lat_array_view view = lat_array_as_view(self->feats), got = lat_array_as_view(result->array);
  double *x = check_doubles(&view), *y = check_alloc((size_t)(cloud.n * item->c_in), sizeof *y);
  ref_devoxelize(&cloud, rows, n_voxels, x, item->c_in, item->mode == LAT_INTERPOLATION_NEAREST, y);
  check_compare(&got, &(check_values){y, cloud.n, item->c_in, NULL, 1e-5}, reason);
  free(x);
  free(y);
}

// --- neighbours -----------------------------------------------------------------------------------------------------

void check_neighbors(const problem_case *self, const problem_result *result, char *reason) {
  const problem *item = &self->item;
  int64_t n;
  const int32_t *rows = check_in_rows(self, &n);
  lat_neighbor_list got = lat_neighbors_edges(result->neighbors);
  int64_t k = item->neighbors > 0 ? item->neighbors : INT64_MAX;
  ref_neighbors *expected = item->op == PROBLEM_KNN ? ref_knn(rows, n, rows, n, k)
                                                    : ref_radius(rows, n, rows, n, item->radius, item->neighbors);
  if (check_problem_with_error) expected->source[expected->n / 2]++;
  if (got.n_edges != expected->n || got.n_queries != n || got.n_sources != n) {
    check_fail(reason, "neighbours: got %lld of %lld queries, expected %lld of %lld", (long long)got.n_edges,
               (long long)got.n_queries, (long long)expected->n, (long long)n);
  }
  for (int64_t q = 0; q <= n && !reason[0]; q++) {
    if (got.row_offsets[q] != expected->row_offsets[q]) check_fail(reason, "row offset of query %lld", (long long)q);
  }
  for (int64_t e = 0; e < expected->n && !reason[0]; e++) {
    float distance = got.squared_distances[e];
    if (got.source_rows[e] != expected->source[e] || got.query_rows[e] != expected->query[e] ||
        got.neighbor_ids[e] != expected->rank[e] || distance < expected->distance[e] ||
        distance > expected->distance[e]) {
      check_fail(reason, "neighbour %lld: got row %d at %g, expected row %d at %g", (long long)e, got.source_rows[e],
                 (double)distance, expected->source[e], (double)expected->distance[e]);
    }
  }
  ref_neighbors_free(expected);
}

// --- a whole problem ------------------------------------------------------------------------------------------------

static void check_result(const problem_case *self, const problem_result *result, char *reason) {
  switch (self->item.op) {
  case PROBLEM_CONV_TRANSPOSE3D:
    check_weighted_edges(self, result, reason);
    break;
  case PROBLEM_CONV3D:
  case PROBLEM_SUBM_CONV3D:
  case PROBLEM_LINEAR:
    if (self->item.groups > 1) {
      check_weighted_edges(self, result, reason);
    } else {
      check_weighted(self, result, reason);
    }
    break;
  case PROBLEM_POOL3D:
  case PROBLEM_GLOBAL_POOL:
    check_pool(self, result, reason);
    break;
  case PROBLEM_SPARSE_ADD:
  case PROBLEM_SPARSE_CAT:
    check_join(self, result, reason);
    break;
  case PROBLEM_VOXELIZE:
  case PROBLEM_DEVOXELIZE:
    check_points(self, result, reason);
    break;
  case PROBLEM_RELATION:
    check_relation(self, result, reason);
    break;
  case PROBLEM_RADIUS:
  case PROBLEM_KNN:
    check_neighbors(self, result, reason);
    break;
  default:
    check_feature(self, result, reason);
    break;
  }
}

/// Whether the library must refuse: the maximum over an item without rows.
static bool must_fail(const problem_case *self) {
  const problem *item = &self->item;
  if (item->op != PROBLEM_GLOBAL_POOL || item->mode != LAT_POOL_MAX) return false;
  int64_t n;
  const int32_t *rows = check_in_rows(self, &n);
  for (int32_t b = 0; b < item->batch; b++) {
    int64_t i = 0;
    while (i < n && rows[4 * i] != b) i++;
    if (i == n) return true;
  }
  return false;
}

static lat_array_view bits_of(const problem_result *result) {
  if (result->tensor) return lat_tensor_feats(result->tensor);
  return result->array ? lat_array_as_view(result->array) : lat_view_1d(NULL, LAT_DTYPE_F32, 0);
}

/// The features again with other threads, and for float32 convolutions at the scalar level: the same bits.
static void check_bits(const problem *item, const problem_result *result, char *reason) {
  problem other = *item;
  other.threads = item->threads == 1 ? 3 : 1;
  bool any_level = problem_is_weighted(item);
  if (any_level && item->type == LAT_DTYPE_F32) other.level = LAT_CPU_LEVEL_SCALAR;
  lat_context *context = NULL;
  problem_case inputs = {0};
  problem_result again = {0};
  lat_status status = problem_context_create(&other, &context);
  if (!status) status = problem_case_create(context, &other, &inputs);
  if (!status) status = problem_case_run(&inputs, &again);
  lat_array_view a = bits_of(result), b = bits_of(&again);
  size_t bytes = (size_t)(a.shape[0] * (a.rank > 1 ? a.shape[1] : 1)) * lat_dtype_bytes(a.dtype);
  if (status) {
    check_fail(reason, "with %d threads: %s", other.threads, lat_last_error());
  } else if (a.shape[0] != b.shape[0] || (bytes && memcmp(a.data, b.data, bytes) != 0)) {
    check_fail(reason, "other bits with %d threads at level %s", other.threads, lat_cpu_level_name(other.level));
  }
  problem_result_release(&again);
  problem_case_release(&inputs);
  lat_context_destroy(context);
}

bool check_problem(const problem *item, char *reason) {
  lat_context *context = NULL;
  problem_case inputs = {0};
  problem_result result = {0};
  reason[0] = '\0';
  lat_status status = problem_context_create(item, &context);
  if (!status) status = problem_case_create(context, item, &inputs);
  if (status) {
    check_fail(reason, "inputs: %s", lat_last_error());
  } else {
    bool refused = must_fail(&inputs);
    status = problem_case_run(&inputs, &result);
    if (status && !refused) check_fail(reason, "%s", lat_last_error());
    if (!status && refused) check_fail(reason, "no error, although an item has no rows");
    if (!status && !refused) check_result(&inputs, &result, reason);
    if (!status && !reason[0]) check_bits(item, &result, reason);
  }
  problem_result_release(&result);
  problem_case_release(&inputs);
  lat_context_destroy(context);
  return !reason[0];
}
