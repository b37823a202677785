/// Problems made ready to run: inputs, and the call of each operator.
#include <string.h>

#include "problem_case.h"
#include "scene.h"

#define TRY(expr, label)                                                                                               \
  do {                                                                                                                 \
    status = (expr);                                                                                                   \
    if (status) goto label;                                                                                            \
  } while (0)

/// Streams of the random generator.
enum { STREAM_FEATS = 1, STREAM_OTHER, STREAM_WEIGHT, STREAM_BIAS, STREAM_SCALE, STREAM_GRAD };

lat_status problem_context_create(const problem *item, lat_context **out) {
  lat_context_opts opts = LAT_CONTEXT_OPTS_INIT;
  opts.n_threads = item->threads;
  opts.cpu_level = item->level;
  opts.seed = item->seed;
  return lat_context_create(&opts, out);
}

// --- inputs ---------------------------------------------------------------------------------------------------------

static int64_t count_rows(const lat_array *array) {
  return lat_array_as_view(array).shape[0];
}

static int64_t floor_div(int64_t value, int64_t by) {
  return value / by - (value % by < 0);
}

static bool is_join(const problem *item) {
  return item->op == PROBLEM_SPARSE_ADD || item->op == PROBLEM_SPARSE_CAT;
}

static bool is_norm(const problem *item) {
  return item->op == PROBLEM_BATCH_NORM || item->op == PROBLEM_LAYER_NORM || item->op == PROBLEM_RMS_NORM;
}

static bool has_target(const problem *item) {
  return (item->op == PROBLEM_CONV3D || item->op == PROBLEM_RELATION) && item->mode == LAT_RELATION_TARGET;
}

static bool has_features(const problem *item) {
  return item->op != PROBLEM_RELATION && item->op != PROBLEM_RADIUS && item->op != PROBLEM_KNN;
}

static lat_status draw(problem_case *self, lat_dtype dtype, int32_t rank, const int64_t *shape, uint64_t stream,
                       lat_array **out) {
  const double range[2] = {stream == STREAM_SCALE ? 0.5 : -1.0, 1.0};
  return lat_array_uniform(self->context, dtype, rank, shape, range, stream, out);
}

/// Rows of the second operand: the first one's, moved by a voxel along x. Rows of a target: every second row, divided by
/// the stride, some moved by one.
static lat_status make_other_rows(problem_case *self) {
  const problem *item = &self->item;
  bool target = has_target(item);
  int64_t n = count_rows(self->rows), step = target ? 2 : 1;
  const int64_t shape[2] = {(n + step - 1) / step, 4};
  lat_status status = lat_array_full(self->context, LAT_DTYPE_I32, 2, shape, 0.0, &self->other_rows);
  if (status) return status;
  const int32_t *row = lat_array_data(self->rows);
  int32_t *other = lat_array_data(self->other_rows);
  for (int64_t i = 0; i < shape[0]; i++, row += 4 * step, other += 4) {
    memcpy(other, row, 4 * sizeof *row);
    if (target) {
      other[1] = (int32_t)(floor_div(row[1], item->stride.x) + (i % 3 == 0));
      other[2] = (int32_t)floor_div(row[2], item->stride.y);
      other[3] = (int32_t)floor_div(row[3], item->stride.z);
    } else {
      other[1]++;
    }
  }
  return LAT_STATUS_OK;
}

/// conv_transpose3d from a coarse set back to the scene's: `other_rows` are the scene's, `rows` those of the set that a
/// convolution of the same stride makes of them.
static bool goes_back(const problem *item) {
  return item->op == PROBLEM_CONV_TRANSPOSE3D &&
         (item->mode == PROBLEM_TRANSPOSE_TARGET || item->mode == PROBLEM_TRANSPOSE_INVERSE);
}

static lat_status make_coarse_rows(problem_case *self) {
  lat_coords *fine = NULL;
  lat_relation *down = NULL;
  lat_kernel_opts opts = LAT_KERNEL_OPTS_INIT;
  lat_status status;
  opts.kernel_size = self->item.kernel;
  opts.stride = self->item.stride;
  self->other_rows = self->rows;
  self->rows = NULL;
  lat_array_view view = lat_array_as_view(self->other_rows);
  TRY(lat_coords_create(self->context, &view, NULL, &fine), done);
  TRY(lat_relation_create_forward(self->context, fine, &opts, &down), done);
  const lat_coords *made = lat_relation_out_coords(down); // NULL: the set itself
  lat_array_view coarse = lat_coords_rows(made ? made : fine);
  TRY(lat_array_create(self->context, &coarse, &self->rows), done);
done:
  lat_relation_release(down);
  lat_coords_release(fine);
  return status;
}

static lat_status make_rows(problem_case *self) {
  const problem *item = &self->item;
  lat_status status = LAT_STATUS_OK;
  if (problem_has_points(item)) status = scene_points(self->context, item, &self->points, &self->batches);
  if (!status && item->op != PROBLEM_VOXELIZE) status = scene_rows(self->context, item, &self->rows);
  if (!status && (is_join(item) || has_target(item))) status = make_other_rows(self);
  if (!status && goes_back(item)) status = make_coarse_rows(self);
  return status;
}

static lat_status make_feats(problem_case *self) {
  const problem *item = &self->item;
  int64_t shape[2] = {count_rows(self->rows ? self->rows : self->points), item->c_in};
  lat_dtype dtype = item->op == PROBLEM_NETWORK ? LAT_DTYPE_F32 : item->type; // a network rounds its input itself
  lat_status status = draw(self, dtype, 2, shape, STREAM_FEATS, &self->feats);
  if (status || !is_join(item)) return status;
  if (item->op == PROBLEM_SPARSE_CAT) shape[1] = item->c_out;
  return draw(self, item->type, 2, shape, STREAM_OTHER, &self->other_feats);
}

static lat_status pack_weight(problem_case *self) {
  lat_quantize_opts opts = LAT_QUANTIZE_OPTS_INIT;
  opts.bits = self->item.weights == PROBLEM_WEIGHTS_INT8 ? 8 : 4;
  lat_array_view view = lat_array_as_view(self->weight);
  return lat_quantize_weight(self->context, &view, &opts, &self->packed);
}

static lat_dtype dense_dtype(problem_weights weights) {
  return weights == PROBLEM_WEIGHTS_F16    ? LAT_DTYPE_F16
         : weights == PROBLEM_WEIGHTS_BF16 ? LAT_DTYPE_BF16
                                           : LAT_DTYPE_F32;
}

static lat_status make_weights(problem_case *self) {
  const problem *item = &self->item;
  bool linear = item->op == PROBLEM_LINEAR, packed = problem_has_packed_weights(item);
  const int64_t depth = item->c_in / item->groups;
  const int64_t dense[5] = {item->c_out, item->kernel.x, item->kernel.y, item->kernel.z, depth};
  const int64_t flat[2] = {item->c_out, item->c_in};
  lat_dtype packed_dtype = item->type == LAT_DTYPE_F16 ? LAT_DTYPE_F16 : LAT_DTYPE_F32; // others cannot be packed
  lat_dtype dtype = packed ? packed_dtype : dense_dtype(item->weights);
  lat_status status = draw(self, dtype, linear ? 2 : 5, linear ? flat : dense, STREAM_WEIGHT, &self->weight);
  if (!status) status = draw(self, packed ? item->type : dtype, 1, &item->c_out, STREAM_BIAS, &self->bias);
  if (!status && packed) status = pack_weight(self);
  return status;
}

static lat_status make_tensor(problem_case *self, const lat_coords *coords, const lat_array *feats, lat_tensor **out) {
  lat_tensor_opts opts = LAT_TENSOR_OPTS_INIT;
  opts.n_batches = self->item.batch;
  return lat_tensor_share(self->context, coords, feats, &opts, out);
}

static lat_status make_plan(problem_case *self);

lat_status problem_case_refresh(problem_case *self) {
  lat_status status = LAT_STATUS_OK;
  lat_plan_release(self->plan);
  lat_tensor_release(self->x);
  lat_tensor_release(self->other);
  lat_coords_release(self->coords);
  lat_coords_release(self->other_coords);
  self->x = self->other = NULL;
  self->coords = self->other_coords = NULL;
  self->plan = NULL;
  if (self->rows) {
    lat_array_view rows = lat_array_as_view(self->rows);
    lat_coords_opts opts = LAT_COORDS_OPTS_INIT;
    if (self->item.op == PROBLEM_CONV_TRANSPOSE3D) opts.stride = self->item.stride;
    TRY(lat_coords_create(self->context, &rows, &opts, &self->coords), done);
    if (self->feats) TRY(make_tensor(self, self->coords, self->feats, &self->x), done);
  }
  if (self->other_rows) {
    lat_array_view rows = lat_array_as_view(self->other_rows);
    lat_coords_opts opts = LAT_COORDS_OPTS_INIT;
    if (has_target(&self->item)) opts.stride = self->item.stride;
    TRY(lat_coords_create(self->context, &rows, &opts, &self->other_coords), done);
    if (self->other_feats) TRY(make_tensor(self, self->other_coords, self->other_feats, &self->other), done);
  }
  if (self->item.acts) TRY(make_plan(self), done);
done:
  return status;
}

void problem_case_release(problem_case *self) {
  problem_network_release(&self->network);
  lat_plan_release(self->plan);
  lat_tensor_release(self->x);
  lat_tensor_release(self->other);
  lat_coords_release(self->coords);
  lat_coords_release(self->other_coords);
  lat_quantized_weight_release(self->packed);
  lat_array *arrays[] = {self->rows,        self->points, self->batches, self->feats, self->other_rows,
                         self->other_feats, self->weight, self->bias,    self->scale, self->grad_out};
  for (size_t i = 0; i < sizeof arrays / sizeof arrays[0]; i++) lat_array_release(arrays[i]);
  *self = (problem_case){0};
}

// --- the relation ---------------------------------------------------------------------------------------------------

static lat_kernel_opts kernel_opts(const problem *item) {
  lat_kernel_opts opts = LAT_KERNEL_OPTS_INIT;
  opts.kernel_size = item->kernel;
  opts.stride = item->stride;
  opts.padding = item->padding;
  opts.dilation = item->dilation;
  opts.support = item->support;
  return opts;
}

static bool is_one(lat_triple triple) {
  return triple.x == 1 && triple.y == 1 && triple.z == 1;
}

bool problem_case_has_relation(const problem_case *self) {
  const problem *item = &self->item;
  if (!problem_has_kernel(item)) return false;
  bool unpadded = !item->padding.x && !item->padding.y && !item->padding.z;
  bool pointwise = is_one(item->kernel) && is_one(item->stride) && unpadded;
  return !(pointwise && item->op == PROBLEM_CONV3D && !has_target(item));
}

static lat_status transposed_relation(const problem_case *self, const lat_kernel_opts *opts, lat_relation **out) {
  switch ((problem_transpose)self->item.mode) {
  case PROBLEM_TRANSPOSE_OWN:
    return lat_relation_create_transposed(self->context, self->coords, opts, out);
  case PROBLEM_TRANSPOSE_GENERATIVE:
    return lat_relation_create_generative(self->context, self->coords, opts, out);
  case PROBLEM_TRANSPOSE_TARGET:
    return lat_relation_create_target_transposed(self->context, self->coords, self->other_coords, opts, out);
  case PROBLEM_TRANSPOSE_INVERSE:
    break;
  }
  return lat_relation_create_forward(self->context, self->other_coords, opts, out);
}

lat_status problem_case_relation(const problem_case *self, lat_relation **out) {
  lat_kernel_opts opts = kernel_opts(&self->item);
  if (self->item.op == PROBLEM_CONV_TRANSPOSE3D) return transposed_relation(self, &opts, out);
  if (has_target(&self->item)) {
    return lat_relation_create_target(self->context, self->coords, self->other_coords, &opts, out);
  }
  bool subm = self->item.op == PROBLEM_SUBM_CONV3D ||
              (self->item.op == PROBLEM_RELATION && self->item.mode == LAT_RELATION_SUBMANIFOLD);
  return subm ? lat_relation_create_subm(self->context, self->coords, &opts, out)
              : lat_relation_create_forward(self->context, self->coords, &opts, out);
}

// --- operators ------------------------------------------------------------------------------------------------------

static lat_weight weight_of(const problem_case *self) {
  return self->packed ? lat_weight_packed(self->packed) : lat_weight_dense(lat_array_as_view(self->weight));
}

static lat_conv3d_opts conv_opts(const problem_case *self) {
  const problem *item = &self->item;
  lat_conv3d_opts opts = LAT_CONV3D_OPTS_INIT;
  opts.kernel_size = item->kernel;
  opts.dilation = item->dilation;
  opts.groups = item->groups;
  if (item->op == PROBLEM_SUBM_CONV3D || item->op == PROBLEM_LINEAR) return opts;
  opts.stride = item->stride;
  opts.padding = item->padding;
  opts.support = item->support;
  opts.coordinates = has_target(item) || goes_back(item) ? self->other_coords : NULL;
  return opts;
}

/// The functions of a convolution.
typedef struct conv_calls {
  lat_status (*run)(lat_context *, const lat_tensor *, const lat_weight *, const lat_array_view *,
                    const lat_conv3d_opts *, lat_tensor **);
  lat_status (*backward)(lat_context *, const lat_tensor *, const lat_weight *, const lat_array_view *,
                         const lat_conv3d_backward_opts *, lat_conv_grads *);
} conv_calls;

static conv_calls calls_of(const problem *item) {
  static const conv_calls forward = {lat_conv3d, lat_conv3d_backward};
  static const conv_calls submanifold = {lat_subm_conv3d, lat_subm_conv3d_backward};
  static const conv_calls transposed = {lat_conv_transpose3d, lat_conv_transpose3d_backward};
  static const conv_calls generative = {lat_generative_conv_transpose3d, lat_generative_conv_transpose3d_backward};
  static const conv_calls inverse = {lat_inverse_conv3d, lat_inverse_conv3d_backward};
  if (item->op != PROBLEM_CONV_TRANSPOSE3D) return item->op == PROBLEM_CONV3D ? forward : submanifold;
  if (item->mode == PROBLEM_TRANSPOSE_INVERSE) return inverse;
  return item->mode == PROBLEM_TRANSPOSE_GENERATIVE ? generative : transposed;
}

static lat_status make_plan(problem_case *self) {
  const problem *item = &self->item;
  lat_plan_input input = {sizeof input, self->coords, item->c_in, item->type};
  lat_array_view bias = lat_array_as_view(self->bias);
  lat_weight weight = weight_of(self);
  lat_conv3d_opts opts = conv_opts(self);
  lat_plan_opts plan_opts = LAT_PLAN_OPTS_INIT;
  plan_opts.bias = &bias;
  plan_opts.quantizes_features = 1;
  if (item->op == PROBLEM_LINEAR) {
    return lat_linear_plan_create(self->context, &input, &weight, &plan_opts, &self->plan);
  }
  return (item->op == PROBLEM_CONV3D ? lat_conv3d_plan_create : lat_subm_conv3d_plan_create)(
      self->context, &input, &weight, &opts, &plan_opts, &self->plan);
}

/// The second word of a plan's line: "subm_conv3d: quantized_gemm_…, 100 x 32 to …".
static lat_status plan_algorithm(const problem_case *self, char *name, size_t name_bytes) {
  char text[LAT_PLAN_EXPLAIN_BYTES];
  lat_status status = lat_plan_explain(self->context, self->plan, text, sizeof text);
  if (status) return status;
  const char *first = strstr(text, ": ") ? strstr(text, ": ") + 2 : text;
  size_t n = strcspn(first, ",");
  n = n < name_bytes ? n : name_bytes - 1;
  memcpy(name, first, n);
  name[n] = '\0';
  return LAT_STATUS_OK;
}

static lat_status run_weighted(const problem_case *self, lat_tensor **out) {
  if (self->plan) return lat_plan_apply(self->context, self->plan, self->x, NULL, out);
  lat_array_view bias = lat_array_as_view(self->bias);
  lat_weight weight = weight_of(self);
  lat_conv3d_opts opts = conv_opts(self);
  if (self->item.op == PROBLEM_LINEAR) return lat_linear(self->context, self->x, &weight, &bias, out);
  return calls_of(&self->item).run(self->context, self->x, &weight, &bias, &opts, out);
}

static lat_status run_gradient(const problem_case *self, lat_array **out) {
  lat_array_view grad_out = lat_array_as_view(self->grad_out);
  lat_weight weight = weight_of(self);
  lat_conv3d_opts opts = conv_opts(self);
  lat_conv3d_backward_opts backward = LAT_CONV3D_BACKWARD_OPTS_INIT;
  lat_conv_grads grads = {NULL, NULL, NULL};
  backward.forward = &opts;
  backward.grads = self->item.grad == PROBLEM_GRAD_X ? LAT_GRAD_X : LAT_GRAD_WEIGHT;
  lat_status status =
      self->item.op == PROBLEM_LINEAR
          ? lat_linear_backward(self->context, self->x, &weight, &grad_out, backward.grads, &grads)
          : calls_of(&self->item).backward(self->context, self->x, &weight, &grad_out, &backward, &grads);
  *out = grads.x ? grads.x : grads.weight;
  return status;
}

/// The shape of the gradient is that of the result.
static lat_status make_grad_out(problem_case *self) {
  lat_tensor *y = NULL;
  lat_status status = run_weighted(self, &y);
  if (status) return status;
  const int64_t shape[2] = {lat_tensor_count(y), lat_tensor_channels(y)};
  status = draw(self, lat_tensor_dtype(y), 2, shape, STREAM_GRAD, &self->grad_out);
  lat_tensor_release(y);
  return status;
}

/// Whether there is a choice, and the options to ask about it with.
static bool has_choice(const problem_case *self, lat_conv3d_opts *opts) {
  if (!problem_is_weighted(&self->item) || self->item.grad == PROBLEM_GRAD_WEIGHT || self->plan) return false;
  *opts = conv_opts(self); // a linear layer is a convolution by its kernel of size 1
  if (self->item.op == PROBLEM_CONV_TRANSPOSE3D) opts->coordinates = NULL; // the way depends on no rows
  return true;
}

lat_status problem_case_algorithm(const problem_case *self, char *name, size_t name_bytes) {
  lat_conv3d_opts opts;
  name[0] = '\0';
  if (self->plan) return plan_algorithm(self, name, name_bytes);
  if (!has_choice(self, &opts)) return LAT_STATUS_OK;
  lat_weight weight = weight_of(self);
  return lat_conv3d_algorithm(self->context, self->x, &weight, &opts, name, name_bytes);
}

lat_status problem_case_candidates(const problem_case *self, lat_conv_candidates *out) {
  lat_conv3d_opts opts;
  *out = (lat_conv_candidates){.count = 0};
  if (!has_choice(self, &opts)) return LAT_STATUS_OK;
  lat_weight weight = weight_of(self);
  return lat_conv3d_candidates(self->context, self->x, &weight, &opts, out);
}

static lat_status run_norm(const problem_case *self, lat_tensor **out) {
  lat_array_view scale = lat_array_as_view(self->scale), shift = lat_array_as_view(self->bias);
  lat_norm_opts opts = LAT_NORM_OPTS_INIT;
  opts.weight = &scale;
  if (self->item.op == PROBLEM_RMS_NORM) return lat_rms_norm(self->context, self->x, &opts, out);
  opts.bias = &shift;
  if (self->item.op == PROBLEM_BATCH_NORM && self->item.mode == PROBLEM_STATISTICS_GIVEN) {
    opts.mean = &shift;
    opts.var = &scale;
  }
  return self->item.op == PROBLEM_BATCH_NORM ? lat_batch_norm(self->context, self->x, &opts, out)
                                             : lat_layer_norm(self->context, self->x, &opts, out);
}

static lat_status run_points(const problem_case *self, problem_result *out) {
  lat_array_view points = lat_array_as_view(self->points), batches = lat_array_as_view(self->batches);
  lat_array_view feats = lat_array_as_view(self->feats);
  lat_voxel_grid grid = lat_voxel_grid_cube(self->item.voxel);
  grid.batch_indices = &batches;
  if (self->item.op == PROBLEM_DEVOXELIZE) {
    return lat_devoxelize(self->context, &points, self->x, &grid, (lat_interpolation)self->item.mode, &out->array);
  }
  return lat_voxelize(self->context, &points, &feats, &grid, (lat_voxel_reduction)self->item.mode, &out->tensor);
}

static lat_status run_radius(const problem_case *self, lat_neighbors **out) {
  lat_radius_opts opts = LAT_RADIUS_OPTS_INIT;
  opts.radius = self->item.radius;
  opts.max_neighbors = self->item.neighbors;
  return lat_neighbors_create_radius(self->context, self->coords, NULL, &opts, out);
}

static lat_status run_knn(const problem_case *self, lat_neighbors **out) {
  lat_knn_opts opts = LAT_KNN_OPTS_INIT;
  opts.k = self->item.neighbors > 0 ? self->item.neighbors : INT64_MAX;
  return lat_neighbors_create_knn(self->context, self->coords, NULL, &opts, out);
}

lat_status problem_case_create(lat_context *context, const problem *item, problem_case *out) {
  problem_case self = {.item = *item, .context = context};
  lat_status status;
  TRY(make_rows(&self), done);
  if (has_features(item)) TRY(make_feats(&self), done);
  if (problem_is_weighted(item)) TRY(make_weights(&self), done);
  if (is_norm(item)) {
    TRY(draw(&self, item->type, 1, &item->c_in, STREAM_SCALE, &self.scale), done);
    TRY(draw(&self, item->type, 1, &item->c_in, STREAM_BIAS, &self.bias), done);
  }
  if (item->op == PROBLEM_NETWORK) TRY(problem_network_create(context, item, &self.network), done);
  TRY(problem_case_refresh(&self), done);
  if (item->grad) TRY(make_grad_out(&self), done);
done:
  if (status) problem_case_release(&self); // leaves it empty
  *out = self;
  return status;
}

lat_status problem_case_run(const problem_case *self, problem_result *out) {
  const problem *item = &self->item;
  lat_kernel_opts kernel = kernel_opts(item);
  *out = (problem_result){0};
  switch (item->op) {
  case PROBLEM_CONV3D:
  case PROBLEM_SUBM_CONV3D:
  case PROBLEM_CONV_TRANSPOSE3D:
  case PROBLEM_LINEAR:
    return item->grad ? run_gradient(self, &out->array) : run_weighted(self, &out->tensor);
  case PROBLEM_POOL3D:
    return lat_pool3d(self->context, self->x, (lat_pool_mode)item->mode, &kernel, &out->tensor);
  case PROBLEM_GLOBAL_POOL:
    return lat_global_pool(self->context, self->x, (lat_pool_mode)item->mode, -1, &out->array);
  case PROBLEM_RELU:
    return lat_relu(self->context, self->x, &out->tensor);
  case PROBLEM_GELU:
    return lat_gelu(self->context, self->x, (lat_gelu_approx)item->mode, &out->tensor);
  case PROBLEM_ACTIVATION:
    return lat_activation(self->context, self->x, (lat_activation_kind)item->mode, NULL, &out->tensor);
  case PROBLEM_BATCH_NORM:
  case PROBLEM_LAYER_NORM:
  case PROBLEM_RMS_NORM:
    return run_norm(self, &out->tensor);
  case PROBLEM_SPARSE_ADD:
    return lat_sparse_add(self->context, self->x, self->other, (lat_join)item->mode, &out->tensor);
  case PROBLEM_SPARSE_CAT:
    return lat_sparse_cat_aligned(self->context, self->x, self->other, (lat_join)item->mode, &out->tensor);
  case PROBLEM_VOXELIZE:
  case PROBLEM_DEVOXELIZE:
    return run_points(self, out);
  case PROBLEM_RELATION:
    return problem_case_relation(self, &out->relation);
  case PROBLEM_RADIUS:
    return run_radius(self, &out->neighbors);
  case PROBLEM_KNN:
    return run_knn(self, &out->neighbors);
  case PROBLEM_NETWORK:
    return problem_network_run(&self->network, self->x, &out->tensor);
  case PROBLEM_N_OPS:
    break;
  }
  return lat_fail(LAT_STATUS_INTERNAL, "problem: no such operator: got %d, expected 0 to %d", (int)item->op,
                  PROBLEM_N_OPS - 1);
}

int64_t problem_result_rows(const problem_result *result) {
  if (result->tensor) return lat_tensor_count(result->tensor);
  if (result->array) return count_rows(result->array);
  if (result->relation) return lat_relation_n_out(result->relation);
  return result->neighbors ? lat_neighbors_edges(result->neighbors).n_queries : 0;
}

void problem_result_release(problem_result *result) {
  lat_tensor_release(result->tensor);
  lat_array_release(result->array);
  lat_relation_release(result->relation);
  lat_neighbors_release(result->neighbors);
  *result = (problem_result){0};
}
