// The quickstart: a walk through Lattice, from coordinates to quantized inference. One function for each section of
// docs/quickstart.md, in its order.
//
// Every result prints one line
//
//     NAME: SHAPE DTYPE [stride (x,y,z)] sum=S abs=A mix=M first=F
//
// whose numbers are computed in double over the elements v[0], v[1], … in row-major order: S their sum, A the sum of
// their magnitudes, M the sum of (1 + i mod 7) * v[i], which notices exchanged elements, and F is v[0]. Integer lists
// and coordinates are printed whole. A test derives every line from an independent implementation.

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include <lattice/lattice.h>

/// Each random array has a stream of its own, so that none depends on which were drawn before it.
enum { STREAM_DENSE = 3, STREAM_FLOATING_CONV, STREAM_LINEAR };

/// Every call reports a status; this program has nothing better to do with a bad one than to say so and stop.
static void check(lat_status status) {
  if (status == LAT_STATUS_OK) return;
  fprintf(stderr, "quickstart: %s\n", lat_last_error());
  exit(EXIT_FAILURE);
}

// --- small helpers: arrays ---

/// New array with every element equal to `value`.
static lat_array *full(lat_context *context, lat_dtype dtype, int32_t rank, const int64_t *shape, double value) {
  lat_array *array = NULL;
  check(lat_array_full(context, dtype, rank, shape, value, &array));
  return array;
}

/// New random float array: uniform in [-bound, bound), rounded to `dtype` from float32.
static lat_array *uniform(lat_context *context, lat_dtype dtype, int32_t rank, const int64_t *shape, double bound,
                          uint64_t stream) {
  const double range[2] = {-bound, bound};
  lat_array *drawn = NULL, *array = NULL;
  check(lat_array_uniform(context, LAT_DTYPE_F32, rank, shape, range, stream, &drawn));
  lat_array_view view = lat_array_as_view(drawn);
  check(lat_array_cast(context, &view, dtype, &array));
  lat_array_release(drawn);
  return array;
}

/// Initial weight of a 3x3x3 convolution module, (C_out, 3, 3, 3, C_in): uniform within sqrt(1 / (C_in * 27)).
static lat_array *conv_weight(lat_context *context, lat_dtype dtype, int64_t c_out, int64_t c_in, uint64_t stream) {
  const int64_t shape[5] = {c_out, 3, 3, 3, c_in};
  return uniform(context, dtype, 5, shape, sqrt(1.0 / (double)(c_in * 27)), stream);
}

// --- small helpers: printing ---

static void print_view(lat_context *context, const char *name, const lat_array_view *view, const lat_triple *stride) {
  lat_array *floats = NULL;
  check(lat_array_cast(context, view, LAT_DTYPE_F32, &floats));
  const float *v = lat_array_data(floats);
  double sum = 0.0, magnitude = 0.0, mix = 0.0;
  for (int64_t i = 0; i < lat_array_count(floats); i++) {
    sum += v[i];
    magnitude += fabs((double)v[i]);
    mix += (double)(1 + i % 7) * v[i];
  }
  printf("%s: (", name);
  for (int32_t axis = 0; axis < view->rank; axis++) printf(axis ? ", %lld" : "%lld", (long long)view->shape[axis]);
  printf(") %s", lat_dtype_name(view->dtype));
  if (stride) printf(" stride (%d,%d,%d)", (int)stride->x, (int)stride->y, (int)stride->z);
  printf(" sum=%.9g abs=%.9g mix=%.9g first=%.9g\n", sum, magnitude, mix, lat_array_count(floats) ? v[0] : 0.0);
  lat_array_release(floats);
}

static void print_array(lat_context *context, const char *name, const lat_array *array) {
  lat_array_view view = lat_array_as_view(array);
  print_view(context, name, &view, NULL);
}

static void print_tensor(lat_context *context, const char *name, const lat_tensor *tensor) {
  lat_array_view feats = lat_tensor_feats(tensor);
  lat_triple stride = lat_tensor_stride(tensor);
  print_view(context, name, &feats, &stride);
}

static void print_coords(const char *name, const lat_coords *coords) {
  const int32_t *rows = lat_coords_rows(coords).data;
  printf("%s:", name);
  for (int64_t r = 0; r < lat_coords_count(coords); r++, rows += 4) {
    printf(" (%d,%d,%d,%d)", (int)rows[0], (int)rows[1], (int)rows[2], (int)rows[3]);
  }
  printf("\n");
}

static void print_ints(const char *name, const int32_t *values, int64_t n) {
  printf("%s:", name);
  for (int64_t i = 0; i < n; i++) printf(" %d", (int)values[i]);
  printf("\n");
}

static void print_floats(const char *name, const float *values, int64_t n) {
  printf("%s:", name);
  for (int64_t i = 0; i < n; i++) printf(" %.9g", (double)values[i]);
  printf("\n");
}

static void print_packed(lat_context *context, const char *name, const lat_quantized_weight *weight) {
  lat_quantized_info info = lat_quantized_weight_info(weight);
  lat_array *unpacked = NULL;
  printf("%s: bits %d group %d in %lld stored %lld out %lld bytes %zu\n", name, (int)info.bits, (int)info.group_size,
         (long long)info.in_channels, (long long)info.storage_in_channels, (long long)info.out_channels, info.bytes);
  check(lat_dequantize_weight(context, weight, &unpacked));
  print_array(context, "  dequantized", unpacked);
  lat_array_release(unpacked);
}

// --- Create a sparse tensor ---
// Rows (batch, x, y, z) and one feature row for each. Declaring the rows of each batch item is optional.

static lat_tensor *create_sparse_tensor(lat_context *context) {
  const int32_t rows[4][4] = {
      {0, 0, 0, 0},
      {0, 1, 0, 0},
      {0, 1, 1, 0},
      {0, 2, 1, 0},
  };
  const int64_t batch_counts[] = {4};
  lat_array_view view = lat_view_2d(rows, LAT_DTYPE_I32, 4, 4);
  lat_array *feats = full(context, LAT_DTYPE_F16, 2, (int64_t[]){4, 16}, 1.0);
  lat_tensor_opts opts = LAT_TENSOR_OPTS_INIT;
  lat_coords *coords = NULL;
  lat_tensor *x = NULL;
  opts.batch_counts = batch_counts;
  opts.n_batches = 1;

  check(lat_coords_create(context, &view, NULL, &coords));
  check(lat_tensor_share(context, coords, feats, &opts, &x));

  print_coords("x coords", coords);
  print_tensor(context, "x", x);
  lat_coords_release(coords); // x holds its own references
  lat_array_release(feats);
  return x;
}

// --- Functional convolution ---
// conv3d builds a forward relation and may make a new support; subm_conv3d keeps the identity of its input.

static void functional_convolution(lat_context *context, const lat_tensor *x) {
  lat_array *ones = full(context, LAT_DTYPE_F16, 5, (int64_t[]){32, 3, 3, 3, 16}, 1.0);
  lat_weight weight = lat_weight_dense(lat_array_as_view(ones));
  lat_conv3d_opts opts = LAT_CONV3D_OPTS_INIT;
  lat_tensor *y = NULL, *z = NULL;
  opts.kernel_size = lat_triple_all(3);

  check(lat_conv3d(context, x, &weight, NULL, &opts, &y));
  check(lat_subm_conv3d(context, x, &weight, NULL, &opts, &z));

  print_tensor(context, "conv3d y", y);
  print_tensor(context, "subm_conv3d z", z);
  printf("z shares the coordinates of x: %s\n", lat_tensor_same_coords(z, x) ? "yes" : "no");
  lat_array *values = NULL;
  lat_array_view column = lat_tensor_feats(z); // column 0: the same rows, one element of each
  column.shape[1] = 1;
  check(lat_array_cast(context, &column, LAT_DTYPE_F32, &values));
  print_floats("z column 0", lat_array_data(values), 4);

  lat_array_release(values);
  lat_tensor_release(z);
  lat_tensor_release(y);
  lat_array_release(ones);
}

// --- Target coordinates ---
// The output support is given: here a set of its own with the rows of x, and then the set of x itself.

static void target_coordinates(lat_context *context, const lat_tensor *x) {
  lat_array *ones = full(context, LAT_DTYPE_F16, 5, (int64_t[]){32, 3, 3, 3, 16}, 1.0);
  lat_weight weight = lat_weight_dense(lat_array_as_view(ones));
  lat_array_view rows = lat_coords_rows(lat_tensor_coords(x));
  lat_conv3d_opts opts = LAT_CONV3D_OPTS_INIT;
  lat_coords *target = NULL;
  lat_tensor *y_target = NULL, *y_own = NULL;

  check(lat_coords_create(context, &rows, NULL, &target));
  opts.coordinates = target;
  check(lat_conv3d(context, x, &weight, NULL, &opts, &y_target));
  opts.coordinates = lat_tensor_coords(x);
  check(lat_conv3d(context, x, &weight, NULL, &opts, &y_own));

  print_tensor(context, "conv3d y_target", y_target);
  printf("y_target shares the coordinates of x: %s\n", lat_tensor_same_coords(y_target, x) ? "yes" : "no");
  print_tensor(context, "conv3d y_own", y_own);
  printf("y_own shares the coordinates of x: %s\n", lat_tensor_same_coords(y_own, x) ? "yes" : "no");
  lat_tensor_release(y_own);
  lat_tensor_release(y_target);
  lat_coords_release(target);
  lat_array_release(ones);
}

// --- Modules ---
// A module is an operation that owns its parameters, called by its number or by a name: "0.weight", "1.bias". It computes in
// the dtype of its input. A builder keeps its first error, so that lat_nn_finish alone has to be checked.

static lat_model *build_block(lat_context *context) {
  static const char *const names[5] = {"Conv3d", "BatchNorm", "ReLU", "SubmConv3d", "LayerNorm"};
  lat_nn *nn = NULL;
  lat_model *block = NULL;
  lat_value h[6];
  check(lat_nn_create(context, &nn));
  h[0] = lat_nn_input(nn, "x", 16, NULL);
  h[1] = lat_nn_conv3d(nn, h[0], 16, 32, NULL);
  h[2] = lat_nn_batch_norm(nn, h[1], 32, NULL);
  h[3] = lat_nn_relu(nn, h[2]);
  h[4] = lat_nn_subm_conv3d(nn, h[3], 32, 32, NULL);
  h[5] = lat_nn_layer_norm(nn, h[4], 32, NULL);
  for (int i = 0; i < 5; i++) lat_nn_output(nn, names[i], h[i + 1]); // one would do: this prints every step
  check(lat_nn_finish(nn, &block));
  return block;
}

static lat_tensor *modules(lat_context *context, const lat_tensor *x) {
  lat_model *block = build_block(context);
  lat_program *program = NULL;
  lat_results *results = NULL;
  lat_compile_opts opts = LAT_COMPILE_OPTS_INIT;
  const lat_binding input = {"x", x, NULL};
  opts.training = 1; // the batch norm takes its statistics from the rows

  check(lat_model_compile(context, block, &opts, &program));
  check(lat_program_run(context, program, &input, 1, NULL, &results));

  for (int64_t i = 0; i < lat_results_count(results); i++) {
    char title[32];
    snprintf(title, sizeof title, "block %s", lat_results_name(results, i));
    print_tensor(context, title, lat_results_tensor(results, lat_results_name(results, i)));
  }
  lat_tensor *h = lat_tensor_retain(lat_results_tensor(results, "LayerNorm"));
  lat_results_release(results);
  lat_program_release(program);
  lat_model_release(block);
  return h;
}

// --- Pooling ---
// Local pools reduce over a relation; the average divides by the rows present. A global pool gives one dense row for
// each batch item.

static void pooling(lat_context *context, const lat_tensor *h) {
  lat_kernel_opts opts = LAT_KERNEL_OPTS_INIT;
  lat_tensor *h32 = NULL, *pooled = NULL, *pooled_avg = NULL;
  lat_array *summary = NULL;
  opts.kernel_size = lat_triple_all(3);
  opts.stride = lat_triple_all(2);

  check(lat_cast(context, h, LAT_DTYPE_F32, &h32));
  check(lat_pool3d(context, h32, LAT_POOL_MAX, &opts, &pooled));
  check(lat_pool3d(context, h32, LAT_POOL_AVG, &opts, &pooled_avg));
  check(lat_global_pool(context, pooled, LAT_POOL_AVG, -1, &summary));

  print_coords("max_pool3d coords", lat_tensor_coords(pooled));
  print_tensor(context, "max_pool3d pooled", pooled);
  print_tensor(context, "avg_pool3d pooled_avg", pooled_avg);
  print_array(context, "global_avg_pool summary", summary);
  lat_array_release(summary);
  lat_tensor_release(pooled_avg);
  lat_tensor_release(pooled);
  lat_tensor_release(h32);
}

// --- Feature operations ---
// They change the features alone and keep the identity. The float32 norm parameters make float32 of float16.

static lat_tensor *feature_operations(lat_context *context, const lat_tensor *x) {
  lat_array *ones = full(context, LAT_DTYPE_F32, 1, (int64_t[]){16}, 1.0);
  lat_array *zeros = full(context, LAT_DTYPE_F32, 1, (int64_t[]){16}, 0.0);
  lat_array *projection = full(context, LAT_DTYPE_F32, 2, (int64_t[]){32, 16}, 1.0);
  lat_array_view ones_view = lat_array_as_view(ones), zeros_view = lat_array_as_view(zeros);
  lat_weight weight = lat_weight_dense(lat_array_as_view(projection));
  lat_norm_opts layer = LAT_NORM_OPTS_INIT, rms = LAT_NORM_OPTS_INIT;
  lat_tensor *h[5] = {NULL};
  layer.weight = &ones_view;
  layer.bias = &zeros_view;
  rms.weight = &ones_view;

  check(lat_relu(context, x, &h[0]));
  check(lat_gelu(context, h[0], LAT_GELU_TANH, &h[1]));
  check(lat_layer_norm(context, h[1], &layer, &h[2]));
  check(lat_rms_norm(context, h[2], &rms, &h[3]));
  check(lat_linear(context, h[3], &weight, NULL, &h[4]));

  print_tensor(context, "relu h", h[0]);
  print_tensor(context, "gelu h", h[1]);
  print_tensor(context, "layer_norm h", h[2]);
  print_tensor(context, "rms_norm h", h[3]);
  print_tensor(context, "linear h", h[4]);
  for (int i = 0; i < 4; i++) lat_tensor_release(h[i]);
  lat_array_release(projection);
  lat_array_release(zeros);
  lat_array_release(ones);
  return h[4];
}

// --- Sparse algebra ---
// Rows meet by coordinate value, or row by row where the identity is shared, as here.

static void sparse_algebra(lat_context *context, const lat_tensor *h) {
  lat_tensor *residual = NULL, *merged = NULL;

  check(lat_sparse_add(context, h, h, LAT_JOIN_INNER, &residual));
  check(lat_sparse_cat_aligned(context, h, residual, LAT_JOIN_OUTER, &merged));

  print_tensor(context, "sparse_add residual", residual);
  print_tensor(context, "sparse_cat_aligned merged", merged);
  lat_tensor_release(merged);
  lat_tensor_release(residual);
}

// --- Points and voxels ---
// voxel = floor((p - origin) / size), numbered by first appearance.

static void points_and_voxels(lat_context *context) {
  const float points[3][3] = {
      {0.05f, 0.05f, 0.05f},
      {0.12f, 0.08f, 0.05f},
      {1.10f, 0.95f, 0.80f},
  };
  lat_array *features = full(context, LAT_DTYPE_F32, 2, (int64_t[]){3, 8}, 1.0);
  lat_array_view point_view = lat_view_2d(points, LAT_DTYPE_F32, 3, 3), feature_view = lat_array_as_view(features);
  lat_voxel_grid grid = lat_voxel_grid_cube(0.1);
  lat_tensor *voxels = NULL;
  lat_array *features_again = NULL;

  check(lat_voxelize(context, &point_view, &feature_view, &grid, LAT_VOXEL_MEAN, &voxels));
  check(lat_devoxelize(context, &point_view, voxels, &grid, LAT_INTERPOLATION_LINEAR, &features_again));

  print_coords("voxelize coords", lat_tensor_coords(voxels));
  print_tensor(context, "voxelize voxels", voxels);
  print_array(context, "devoxelize point_features_again", features_again);
  lat_array_release(features_again);
  lat_tensor_release(voxels);
  lat_array_release(features);
}

// --- Quantized inference ---
// A packed weight goes where a dense one went. Features of any float dtype are accepted and keep their dtype. Modules
// start with a zero bias, which is left out here.

static lat_quantized_weight *quantize(lat_context *context, const lat_array *weight, int32_t bits) {
  lat_array_view view = lat_array_as_view(weight);
  lat_quantize_opts opts = LAT_QUANTIZE_OPTS_INIT;
  lat_quantized_weight *packed = NULL;
  opts.bits = bits;
  opts.group_size = 32;
  check(lat_quantize_weight(context, &view, &opts, &packed));
  return packed;
}

static void quantized_inference(lat_context *context, const lat_tensor *x) {
  lat_array *dense = uniform(context, LAT_DTYPE_F16, 2, (int64_t[]){32, 16}, 1.0, STREAM_DENSE);
  lat_array *conv = conv_weight(context, LAT_DTYPE_F32, 32, 16, STREAM_FLOATING_CONV);
  lat_array *linear = uniform(context, LAT_DTYPE_F32, 2, (int64_t[]){32, 16}, sqrt(1.0 / 16.0), STREAM_LINEAR);
  lat_quantized_weight *packed_dense = quantize(context, dense, 8);
  lat_quantized_weight *packed_conv = quantize(context, conv, 4);
  lat_quantized_weight *packed_linear = quantize(context, linear, 8);
  lat_weight conv_w = lat_weight_packed(packed_conv), linear_w = lat_weight_packed(packed_linear);
  lat_tensor *qy = NULL, *qh = NULL;

  check(lat_conv3d(context, x, &conv_w, NULL, NULL, &qy));
  check(lat_linear(context, x, &linear_w, NULL, &qh));

  print_packed(context, "packed_linear_weight", packed_dense);
  print_packed(context, "quantized_conv", packed_conv);
  print_tensor(context, "quantized_conv qy", qy);
  print_packed(context, "qlinear", packed_linear);
  print_tensor(context, "qlinear qh", qh);
  lat_tensor_release(qh);
  lat_tensor_release(qy);
  lat_quantized_weight_release(packed_linear);
  lat_quantized_weight_release(packed_conv);
  lat_quantized_weight_release(packed_dense);
  lat_array_release(linear);
  lat_array_release(conv);
  lat_array_release(dense);
}

// --- Relations and neighbours ---
// A kernel relation has edges (in_row, out_row, kernel_id), a neighbour relation (query_row, source_row, neighbor_id)
// and squared distances.

static void relations_and_neighbours(lat_context *context, const lat_tensor *x) {
  const lat_coords *coords = lat_tensor_coords(x);
  lat_array_view feats = lat_tensor_feats(x);
  lat_radius_opts ball = LAT_RADIUS_OPTS_INIT;
  lat_relation *relation = NULL;
  lat_neighbors *neighbors = NULL;
  lat_relation_edge_list edges;
  lat_array *gathered = NULL;
  ball.radius = 2.0;
  ball.max_neighbors = 16;

  check(lat_relation_create_forward(context, coords, NULL, &relation));
  check(lat_relation_edges(context, relation, &edges));
  check(lat_neighbors_create_radius(context, coords, coords, &ball, &neighbors));
  check(lat_gather_neighbor_features(context, &feats, neighbors, &gathered));

  print_ints("relation in_rows", edges.in_rows, edges.n_edges);
  print_ints("relation out_rows", edges.out_rows, edges.n_edges);
  print_ints("relation kernel_ids", edges.kernel_ids, edges.n_edges);
  lat_neighbor_list found = lat_neighbors_edges(neighbors);
  print_ints("neighbors query_rows", found.query_rows, found.n_edges);
  print_ints("neighbors source_rows", found.source_rows, found.n_edges);
  print_ints("neighbors neighbor_ids", found.neighbor_ids, found.n_edges);
  print_floats("neighbors squared_distances", found.squared_distances, found.n_edges);
  print_array(context, "gather_neighbor_features gathered", gathered);
  lat_array_release(gathered);
  lat_neighbors_release(neighbors);
  lat_relation_release(relation);
}

int main(void) {
  lat_context_opts opts = LAT_CONTEXT_OPTS_INIT;
  lat_context *context = NULL;
  opts.seed = 2026; // of the random weights
  check(lat_context_create(&opts, &context));

  lat_tensor *x = create_sparse_tensor(context);
  functional_convolution(context, x);
  target_coordinates(context, x);
  lat_tensor *block = modules(context, x);
  pooling(context, block);
  lat_tensor *h = feature_operations(context, x);
  sparse_algebra(context, h);
  points_and_voxels(context);
  quantized_inference(context, x);
  relations_and_neighbours(context, x);

  lat_tensor_release(h);
  lat_tensor_release(block);
  lat_tensor_release(x);
  lat_context_destroy(context);
  return EXIT_SUCCESS;
}
