// Every error that the specification names in sections 5 to 10, one line each: section, call, status, the quoted text.
// Sections 0 to 4 and what has no C form: test_spec_errors.c. Corrupt streams beyond these: fuzz_entropy; hostile files:
// test_io_pcd, test_io_las and their fuzz targets.
#include <math.h>
#include <string.h>

#include "support/spec_errors.h"

#define F32 LAT_DTYPE_F32
#define SHAPE_OF(...) ((const int64_t[]){__VA_ARGS__})

// --- section 5 ---

static void test_pools(void **state) {
  (void)state;
  lat_context *context = line.context;
  refused("5.1", lat_pool3d(context, line.x, (lat_pool_mode)7, NULL, &out.tensor), ARGUMENT, "mode");
  lat_kernel_opts bad = LAT_KERNEL_OPTS_INIT;
  bad.kernel_size = (lat_triple){0, 1, 1};
  refused("5.1 3.1", lat_pool3d(context, line.x, LAT_POOL_SUM, &bad, &out.tensor), ARGUMENT,
          "kernel_size values must be positive");
  refused("5.2", lat_pool_transpose3d(context, line.x, NULL, NULL, &out.tensor), ARGUMENT,
          "transpose stride must divide input stride");
  refused("5.3", lat_trilinear_upsample3d(context, line.x, NULL, lat_triple_all(2), &out.tensor), ARGUMENT,
          "transpose stride must divide input stride");
  refused("5.2", lat_pool_transpose3d(context, line.on_twice, line.on_twice, NULL, &out.tensor), ARGUMENT,
          "target stride (2, 2, 2) does not match transposed output stride (1, 1, 1)");
  refused("5.3", lat_trilinear_upsample3d(context, line.on_twice, line.on_twice, lat_triple_all(2), &out.tensor),
          ARGUMENT, "target stride (2, 2, 2) does not match transposed output stride (1, 1, 1)");
  refused("5.3", lat_trilinear_upsample3d(context, line.on_twice, NULL, (lat_triple){2, 0, 2}, &out.tensor), ARGUMENT,
          "stride values must be positive");
  refused("5.4", lat_global_pool(context, line.x, (lat_pool_mode)7, -1, &out.array), ARGUMENT, "mode");
  refused("5.4", lat_global_pool(context, line.counted, LAT_POOL_SUM, 3, &out.array), ARGUMENT,
          "batch_size must match batch_counts length");
  refused("5.4", lat_global_pool(context, line.x, LAT_POOL_SUM, -2, &out.array), ARGUMENT,
          "batch_size must be non-negative");
  refused("5.4", lat_global_pool(context, line.counted, LAT_POOL_MAX, -1, &out.array), ARGUMENT,
          "global_max_pool does not support empty batches");
  refused("5.4", lat_global_pool(context, line.x, LAT_POOL_MAX, 0, &out.array), ARGUMENT,
          "global_max_pool does not support empty batches");
  // "pooling supports float32 and float16 tensors": a tensor of another dtype cannot be made (1.4).
}

// --- section 6 ---

static void test_features(void **state) {
  (void)state;
  lat_context *context = line.context;
  lat_array_view vector = some_1d(F32, 3), two = some_1d(F32, 2), doubles = some_2d(LAT_DTYPE_F64, 3, 1);
  lat_weight rank3 = lat_weight_dense(some(F32, 3, SHAPE_OF(1, 1, 1))), wide = lat_weight_dense(some_2d(F32, 1, 2));
  lat_weight good = lat_weight_dense(some_2d(F32, 1, 1)), packed = lat_weight_packed(line.packed_line);
  lat_array_view matrix = some_2d(F32, 1, 1);
  refused("6", lat_linear(context, line.x, &rank3, NULL, &out.tensor), SHAPE, "linear: weight");
  refused("6", lat_linear(context, line.x, &wide, NULL, &out.tensor), SHAPE, "linear: weight");
  refused("6", lat_linear(context, line.x, &good, &two, &out.tensor), SHAPE, "linear: bias");
  refused("6", lat_linear(context, line.x, &good, &matrix, &out.tensor), SHAPE, "linear: bias");
  refused("9", lat_linear(context, line.x, &packed, NULL, &out.tensor), ARGUMENT,
          "quantized matmul requires a pointwise weight");
  refused("6", lat_activation(context, line.x, (lat_activation_kind)77, NULL, &out.tensor), ARGUMENT, "kind");
  refused("6", lat_activation(context, line.x, (lat_activation_kind)77, NULL, &out.tensor), ARGUMENT, "leaky_relu");
  refused("6", lat_activation_features(context, &vector, LAT_ACTIVATION_RELU, NULL, &out.array), SHAPE,
          "expects a rank-2");
  refused("6", lat_activation_features(context, &doubles, LAT_ACTIVATION_RELU, NULL, &out.array), DTYPE, "float32");
  refused("6", lat_exp(context, &vector, &out.array), SHAPE, "expects a rank-2");
  refused("6", lat_round(context, &vector, &out.array), SHAPE, "expects a rank-2");
  refused("6", lat_softmax(context, &vector, &out.array), SHAPE, "expects a rank-2");
  refused("6", lat_gelu(context, line.x, (lat_gelu_approx)5, &out.tensor), ARGUMENT, "approximate");
  refused("6", lat_softplus(context, line.x, 0, 20, &out.tensor), ARGUMENT, "beta must be positive");
  refused("6", lat_softplus(context, line.x, -1, 20, &out.tensor), ARGUMENT, "beta must be positive");
  lat_dropout_opts dropout = LAT_DROPOUT_OPTS_INIT;
  dropout.p = 1;
  refused("6", lat_dropout(context, line.x, &dropout, &out.tensor), ARGUMENT, "p must");
  dropout.p = -0.1;
  refused("6", lat_dropout(context, line.x, &dropout, &out.tensor), ARGUMENT, "p must");
  lat_array_view indices = some_1d(LAT_DTYPE_I32, 1), no_table = some_1d(F32, 2), empty = some_2d(F32, 0, 2);
  refused("6", lat_embedding_lookup(context, &indices, &no_table, &out.array), SHAPE, "rank");
  refused("6", lat_embedding_lookup(context, &two, &matrix, &out.array), DTYPE, "indices");
  refused("6", lat_embedding_lookup(context, &indices, &empty, &out.array), ARGUMENT, "indices");
}

static void test_norms(void **state) {
  (void)state;
  lat_context *context = line.context;
  lat_array_view two = some_1d(F32, 2), one = some_1d(F32, 1);
  lat_norm_opts eps = LAT_NORM_OPTS_INIT, weight = LAT_NORM_OPTS_INIT, bias = LAT_NORM_OPTS_INIT;
  lat_norm_opts mean = LAT_NORM_OPTS_INIT, var = LAT_NORM_OPTS_INIT;
  eps.eps = -1;
  weight.weight = &two;
  bias.bias = &two;
  mean.mean = &two;
  var.var = &two;
  refused("6", lat_batch_norm(context, line.x, &eps, &out.tensor), ARGUMENT, "eps must be positive");
  refused("6", lat_layer_norm(context, line.x, &eps, &out.tensor), ARGUMENT, "eps must be positive");
  refused("6", lat_rms_norm(context, line.x, &eps, &out.tensor), ARGUMENT, "eps must be positive");
  refused("0.12", lat_instance_norm(context, line.x, &eps, &out.tensor), ARGUMENT, "eps must be positive");
  refused("0.12", lat_group_norm(context, line.x, 1, &eps, &out.tensor), ARGUMENT, "eps must be positive");
  refused("6", lat_batch_norm(context, line.x, &weight, &out.tensor), SHAPE, "weight must have shape (C,)");
  refused("6", lat_batch_norm(context, line.x, &bias, &out.tensor), SHAPE, "bias must have shape (C,)");
  refused("6", lat_batch_norm(context, line.x, &mean, &out.tensor), SHAPE, "mean must have shape (C,)");
  refused("6", lat_batch_norm(context, line.x, &var, &out.tensor), SHAPE, "var must have shape (C,)");
  refused("6", lat_layer_norm(context, line.x, &weight, &out.tensor), SHAPE, "weight must have shape (C,)");
  refused("6", lat_rms_norm(context, line.x, &weight, &out.tensor), SHAPE, "weight must have shape (C,)");
  bias.bias = &one;
  refused("6", lat_rms_norm(context, line.x, &bias, &out.tensor), ARGUMENT, "bias");
  refused("0.12", lat_group_norm(context, line.wide, 3, NULL, &out.tensor), ARGUMENT,
          "groups must divide the channels");
}

// --- section 7 ---

static void test_algebra(void **state) {
  (void)state;
  lat_context *context = line.context;
  lat_binary_opts binary = LAT_BINARY_OPTS_INIT;
  binary.op = (lat_binary)9;
  refused("7", lat_sparse_binary(context, line.x, line.x, &binary, &out.tensor), ARGUMENT, "unknown sparse binary op");
  refused("7", lat_sparse_mul(context, line.x, line.wide, LAT_JOIN_DEFAULT, &out.tensor), SHAPE,
          "sparse binary operands must have matching channels");
  refused("7", lat_sparse_cat(context, NULL, 0, LAT_JOIN_DEFAULT, &out.tensor), ARGUMENT,
          "expected at least one sparse tensor");
  refused("7", lat_reindex_sparse(context, line.x, line.on_twice, 0, &out.tensor), ARGUMENT,
          "sparse tensor strides must match");
  const lat_tensor *pair[2] = {line.x, line.on_twice};
  refused("7", lat_sparse_cat(context, pair, 2, LAT_JOIN_DEFAULT, &out.tensor), ARGUMENT,
          "sparse tensor strides must match");
  lat_array_view feats = lat_tensor_feats(line.x), floats = some_1d(F32, 2), matrix = some_2d(LAT_DTYPE_I32, 1, 1);
  int32_t three[1] = {3};
  lat_array_view beyond = lat_view_1d(three, LAT_DTYPE_I32, 1);
  refused("7", lat_gather_aligned_features(context, &feats, &floats, 0, &out.array), DTYPE, "rows must be int32");
  refused("7", lat_gather_aligned_features(context, &feats, &matrix, 0, &out.array), SHAPE,
          "rows must have shape (N,)");
  refused("7", lat_gather_aligned_features(context, &feats, &beyond, 0, &out.array), ARGUMENT, "got 3");
}

static lat_status make(lat_array_view coords, lat_array_view feats, int duplicates) {
  lat_from_coordinates_opts opts = LAT_FROM_COORDINATES_OPTS_INIT;
  opts.duplicates = (lat_duplicates)duplicates;
  return lat_sparse_from_coordinates(line.context, &coords, &feats, &opts, &out.tensor);
}

static lat_status collate(lat_array_view a, lat_array_view b, lat_array_view a_feats, lat_array_view b_feats,
                          int64_t n) {
  const lat_array_view coords[2] = {a, b}, feats[2] = {a_feats, b_feats};
  return lat_sparse_collate(line.context, coords, feats, n, NULL, &out.tensor);
}

static void test_creation(void **state) {
  (void)state;
  lat_array_view rows = some_2d(LAT_DTYPE_I32, 2, 4), feats = some_2d(F32, 2, 1), three = some_2d(LAT_DTYPE_I32, 2, 3);
  refused("7", make(rows, feats, 9), ARGUMENT, "duplicate_reduction");
  refused("0.9", make(rows, feats, LAT_DUPLICATES_ERROR), ARGUMENT, "duplicate coordinates");
  refused("7 1.2", make(three, feats, LAT_DUPLICATES_MEAN), SHAPE, "coords must have shape (N, 4)");
  refused("7 1.2", make(rows, some_2d(F32, 3, 1), LAT_DUPLICATES_NONE), SHAPE, "the same row count");
  refused("7", collate(three, three, feats, feats, 0), ARGUMENT, "expected at least one sparse tensor batch");
  refused("7", collate(three, rows, feats, feats, 2), SHAPE, "must have shape (N, 3)");
  refused("7", collate(three, some_2d(F32, 2, 3), feats, feats, 2), DTYPE, "coords[1]");
  refused("7", collate(three, three, feats, some_1d(F32, 2), 2), SHAPE, "feats[1]");
  refused("7", collate(three, three, feats, some_2d(F32, 3, 1), 2), SHAPE, "row");
  refused("7", collate(three, three, feats, some_2d(F32, 2, 2), 2), SHAPE, "must have the same channels");
  // "coords and feats batch sizes must match": C has one n for both. "must share a dtype": 0.21.
}

static void test_selection(void **state) {
  (void)state;
  lat_context *context = line.context;
  int32_t beyond[2] = {0, 3}, before[2] = {-1, 0};
  lat_array_view rows = lat_view_1d(beyond, LAT_DTYPE_I32, 2), mask = some_1d(LAT_DTYPE_U8, 2), wrong = some_1d(F32, 3);
  refused("7", lat_prune(context, line.x, &rows, &out.tensor), ARGUMENT,
          "rows must index active sparse rows: got 3 at entry 1");
  rows.data = before;
  refused("7", lat_prune(context, line.x, &rows, &out.tensor), ARGUMENT,
          "rows must index active sparse rows: got -1 at entry 0");
  refused("7", lat_prune_mask(context, line.x, &mask, &out.tensor), SHAPE,
          "mask must match the sparse tensor capacity");
  refused("7", lat_prune_mask(context, line.x, &wrong, &out.tensor), DTYPE, "mask must be boolean");
  refused("7", lat_crop(context, line.x, (lat_triple){0, 1, 0}, (lat_triple){1, 0, 1}, &out.tensor), ARGUMENT,
          "min_coord must not exceed max_coord");
  refused("7", lat_topk_rows(context, line.x, (int64_t[]){1}, 1, 1, &out.array), ARGUMENT,
          "batch_counts metadata is required");
  refused("7", lat_topk_rows(context, line.counted, (int64_t[]){1}, 1, 1, &out.array), SHAPE, "counts");
  refused("7", lat_topk_rows(context, line.counted, (int64_t[]){1, 1}, 2, 0, &out.array), ARGUMENT, "rho");
  refused("7", lat_topk_rows(context, line.counted, (int64_t[]){1, 1}, 2, NAN, &out.array), ARGUMENT, "rho");
  // "selecting an inactive row": every row of a tensor is active here (0.1).
}

// --- section 8 ---

static void test_points(void **state) {
  (void)state;
  lat_context *context = line.context;
  lat_voxel_grid grid = lat_voxel_grid_cube(1), flat = grid, far_off = grid, batched = grid;
  lat_array_view points = some_2d(F32, 2, 3), pairs = some_2d(F32, 2, 2), ints = some_2d(LAT_DTYPE_I32, 2, 3);
  lat_array_view feats = some_2d(F32, 2, 1), three = some_2d(F32, 3, 1), vector = some_1d(F32, 2),
                 doubles = some_2d(LAT_DTYPE_F64, 2, 1);
  lat_array_view long_batch = some_1d(LAT_DTYPE_I32, 3), float_batch = some_1d(F32, 2);
  flat.voxel_size[2] = 0;
  far_off.origin[1] = (double)INFINITY;
  refused("8", lat_sparse_quantize(context, &pairs, &grid, &out.quantization), SHAPE, "points must have shape");
  refused("8", lat_sparse_quantize(context, &ints, &grid, &out.quantization), DTYPE, "points must be float32");
  refused("8", lat_sparse_quantize(context, &points, &flat, &out.quantization), ARGUMENT, "voxel_size");
  refused("8", lat_sparse_quantize(context, &points, &far_off, &out.quantization), ARGUMENT, "origin");
  batched.batch_indices = &long_batch;
  refused("8", lat_sparse_quantize(context, &points, &batched, &out.quantization), SHAPE, "batch_indices");
  batched.batch_indices = &float_batch;
  refused("8", lat_sparse_quantize(context, &points, &batched, &out.quantization), DTYPE, "batch_indices");
  refused("8", lat_voxelize(context, &points, &three, &grid, LAT_VOXEL_MEAN, &out.tensor), SHAPE, "matching rows");
  refused("8", lat_voxelize(context, &points, &vector, &grid, LAT_VOXEL_MEAN, &out.tensor), SHAPE, "features");
  refused("8", lat_voxelize(context, &points, &doubles, &grid, LAT_VOXEL_MEAN, &out.tensor), DTYPE, "float32");
  refused("8", lat_voxelize(context, &points, &feats, &grid, (lat_voxel_reduction)9, &out.tensor), ARGUMENT,
          "reduction");
  refused("8", lat_devoxelize(context, &points, line.x, &grid, (lat_interpolation)9, &out.array), ARGUMENT,
          "interpolation");
  refused("8", lat_devoxelize(context, &pairs, line.x, &grid, LAT_INTERPOLATION_LINEAR, &out.array), SHAPE,
          "points must have shape");
  refused("8", lat_point_map_create(context, &points, line.coords, &grid, (lat_interpolation)9, &out.map), ARGUMENT,
          "interpolation");
  refused("8", lat_point_map_create(context, &ints, line.coords, &grid, LAT_INTERPOLATION_LINEAR, &out.map), DTYPE,
          "points must be float32");
  lat_quantization *quantization = NULL;
  lat_test_assert_ok(lat_sparse_quantize(context, &points, &grid, &quantization));
  lat_voxelize_opts opts = LAT_VOXELIZE_OPTS_INIT;
  opts.like = line.x;
  refused("8", lat_voxelize_quantized(context, quantization, &feats, &opts, &out.tensor), ARGUMENT,
          "like must be built on the coordinates of the quantization");
  opts.like = NULL;
  opts.reduction = (lat_voxel_reduction)9;
  refused("8", lat_voxelize_quantized(context, quantization, &feats, &opts, &out.tensor), ARGUMENT, "reduction");
  refused("8", lat_voxelize_quantized(context, quantization, &three, NULL, &out.tensor), SHAPE, "matching rows");
  lat_quantization_release(quantization);
}

// --- section 9 ---

static lat_status quantize(lat_array_view weight, int32_t bits, int32_t group_size) {
  lat_quantize_opts opts = {sizeof opts, bits, group_size};
  return lat_quantize_weight(line.context, &weight, &opts, &out.packed);
}

static void test_packing(void **state) {
  (void)state;
  refused("9", quantize(some_2d(LAT_DTYPE_I32, 2, 2), 4, 32), DTYPE,
          "weight quantization supports float16 and float32");
  refused("9", quantize(some_2d(F32, 2, 2), 5, 32), ARGUMENT, "bits");
  refused("9", quantize(some_2d(F32, 2, 2), 4, 48), ARGUMENT, "group_size must be 32, 64, or 128");
  refused("9", quantize(some_1d(F32, 2), 4, 32), SHAPE, "rank");
  refused("9", quantize(some(F32, 4, SHAPE_OF(1, 1, 1, 1)), 4, 32), SHAPE, "rank");
}

/// Parts of a good pointwise int4 weight of 32 input and 2 output channels, to be spoiled.
static lat_quantized_info good_parts(void) {
  lat_quantized_info info;
  memset(&info, 0, sizeof info);
  info.bits = 4;
  info.group_size = 32;
  info.in_channels = 20;
  info.out_channels = 2;
  info.kernel_size = lat_triple_all(1);
  info.layout = LAT_WEIGHT_LAYOUT_LINEAR;
  info.words = some(LAT_DTYPE_U32, 3, SHAPE_OF(1, 2, 4));
  info.scales = some(F32, 3, SHAPE_OF(1, 2, 1));
  info.biases = info.scales;
  return info;
}

static void refuse_parts(lat_quantized_info info, int expected, const char *fragment) {
  refused("9", lat_quantized_weight_create(line.context, &info, &out.packed), expected, fragment);
}

static void test_stored_parts(void **state) {
  (void)state;
  lat_quantized_info good = good_parts(), bad = good;
  lat_quantized_weight *made = NULL;
  lat_test_assert_ok(lat_quantized_weight_create(line.context, &good, &made));
  lat_quantized_weight_release(made);
  bad.bits = 3;
  refuse_parts(bad, ARGUMENT, "bits");
  bad = good;
  bad.group_size = 16;
  refuse_parts(bad, ARGUMENT, "group_size");
  bad = good;
  bad.words = some(LAT_DTYPE_I32, 3, SHAPE_OF(1, 2, 4));
  refuse_parts(bad, DTYPE, "uint32");
  bad = good;
  bad.words = some(LAT_DTYPE_U32, 2, SHAPE_OF(2, 4));
  refuse_parts(bad, SHAPE, "words");
  bad = good;
  bad.scales = bad.biases = some(LAT_DTYPE_I32, 3, SHAPE_OF(1, 2, 1));
  refuse_parts(bad, DTYPE, "scales");
  bad = good;
  bad.biases = some(LAT_DTYPE_F16, 3, SHAPE_OF(1, 2, 1));
  refuse_parts(bad, DTYPE, "biases");
  bad = good;
  bad.biases = some(F32, 3, SHAPE_OF(1, 2, 2));
  refuse_parts(bad, SHAPE, "biases");
  bad = good;
  bad.in_channels = 0;
  refuse_parts(bad, ARGUMENT, "channels");
  bad = good;
  bad.out_channels = -1;
  refuse_parts(bad, ARGUMENT, "channels");
  bad = good;
  bad.kernel_size = (lat_triple){1, 0, 1};
  refuse_parts(bad, ARGUMENT, "kernel_size");
  bad = good;
  bad.out_channels = 3; // rows and channels disagree
  refuse_parts(bad, SHAPE, "words");
  bad = good;
  bad.words = some(LAT_DTYPE_U32, 3, SHAPE_OF(1, 2, 6)); // 48 stored channels: not whole groups
  refuse_parts(bad, SHAPE, "words");
  bad = good;
  bad.scales = bad.biases = some(F32, 3, SHAPE_OF(1, 2, 2)); // two groups for one
  refuse_parts(bad, SHAPE, "scales");
  bad = good;
  bad.in_channels = 33; // more than what is stored
  refuse_parts(bad, SHAPE, "words");
}

// --- section 10 ---

static void test_coding(void **state) {
  (void)state;
  lat_context *context = line.context;
  float uneven[8] = {0.25F, 0.25F, 0.25F, 0.25F, 0.5F, NAN, 0.25F, 0.25F};
  int16_t counts[3][3] = {{0, 1000, 0}, {1, 1000, 0}, {0, 0, 0}};
  int32_t inside[1] = {1}, outside[1] = {2}, below[1] = {-1};
  lat_array_view prob = lat_view_2d(uneven, F32, 1, 4), nan = lat_view_2d(uneven, F32, 2, 4);
  lat_array_view good = lat_view_2d(counts[0], LAT_DTYPE_I16, 1, 3), late = lat_view_2d(counts[1], LAT_DTYPE_I16, 1, 3);
  lat_array_view level = lat_view_2d(counts[2], LAT_DTYPE_I16, 1, 3), symbol = lat_view_1d(inside, LAT_DTYPE_I32, 1);
  lat_array_view high = lat_view_1d(outside, LAT_DTYPE_I32, 1), low = lat_view_1d(below, LAT_DTYPE_I32, 1);
  lat_array_view vector = some_1d(F32, 4), ints = some_2d(LAT_DTYPE_I32, 1, 4), single = some_2d(F32, 1, 1);
  lat_array_view long_alphabet = some_2d(F32, 0, 65536), two = some_1d(LAT_DTYPE_I32, 2),
                 float_symbols = some_1d(F32, 1);
  lat_array_view table = some_2d(LAT_DTYPE_I32, 1, 3), symbol_matrix = some_2d(LAT_DTYPE_I32, 1, 1);
  refused("10", lat_normalized_cdf(context, &nan, &out.array), ARGUMENT, "probabilities must be finite");
  refused("10", lat_range_encode_from_prob(context, &nan, &two, &out.array), ARGUMENT, "probabilities must be finite");
  refused("10", lat_rans_encode_from_prob(context, &nan, &two, &out.array), ARGUMENT, "probabilities must be finite");
  refused("10", lat_normalized_cdf(context, &vector, &out.array), SHAPE, "prob must have shape (rows, alphabet)");
  refused("10", lat_normalized_cdf(context, &single, &out.array), SHAPE, "alphabet");
  refused("10", lat_normalized_cdf(context, &long_alphabet, &out.array), SHAPE, "alphabet");
  refused("10", lat_normalized_cdf(context, &ints, &out.array), DTYPE, "prob");
  refused("10", lat_range_encode(context, &table, &symbol, &out.array), DTYPE, "int16");
  refused("10", lat_range_encode(context, &good, &float_symbols, &out.array), DTYPE, "symbols");
  refused("10", lat_range_encode(context, &good, &symbol_matrix, &out.array), SHAPE, "symbols");
  refused("10", lat_range_encode(context, &good, &two, &out.array), SHAPE, "symbols");
  refused("10", lat_range_encode(context, &good, &high, &out.array), ARGUMENT, "symbol outside the alphabet");
  refused("10", lat_range_encode(context, &good, &low, &out.array), ARGUMENT, "symbol outside the alphabet");
  refused("10", lat_rans_encode_from_prob(context, &prob, &low, &out.array), ARGUMENT, "symbol outside the alphabet");
  refused("10", lat_range_encode(context, &late, &symbol, &out.array), ARGUMENT, "start at 0");
  refused("10", lat_range_encode(context, &level, &symbol, &out.array), ARGUMENT, "strictly increasing");
}

static void test_streams(void **state) {
  (void)state;
  lat_context *context = line.context;
  float quarters[12];
  int32_t numbers[3] = {0, 3, 2};
  for (int i = 0; i < 12; i++) quarters[i] = 0.25F;
  lat_array_view prob = lat_view_2d(quarters, F32, 3, 4), fewer = lat_view_2d(quarters, F32, 2, 4),
                 wide = lat_view_2d(quarters, F32, 3, 3);
  lat_array_view symbols = lat_view_1d(numbers, LAT_DTYPE_I32, 3);
  lat_array *range = NULL, *rans = NULL;
  lat_test_assert_ok(lat_range_encode_from_prob(context, &prob, &symbols, &range));
  lat_test_assert_ok(lat_rans_encode_from_prob(context, &prob, &symbols, &rans));
  lat_array_view range_view = lat_array_as_view(range), rans_view = lat_array_as_view(rans);
  refused("10", lat_range_decode_from_prob(context, &prob, &rans_view, &out.array), BAD_DATA, "magic");
  refused("10", lat_rans_decode_from_prob(context, &prob, &range_view, &out.array), BAD_DATA, "magic");
  refused("10", lat_range_decode_from_prob(context, &fewer, &range_view, &out.array), BAD_DATA, "header shape");
  refused("10", lat_range_decode_from_prob(context, &wide, &range_view, &out.array), BAD_DATA, "header shape");
  refused("10", lat_rans_decode_from_prob(context, &fewer, &rans_view, &out.array), BAD_DATA, "header shape");
  uint8_t longer[64] = {0};
  size_t n = (size_t)lat_array_count(rans);
  lat_test_assert_ok(lat_array_copy_to(&rans_view, longer, sizeof longer));
  lat_array_view cut = lat_view_1d(longer, LAT_DTYPE_U8, (int64_t)n - 1),
                 more = lat_view_1d(longer, LAT_DTYPE_U8, (int64_t)n + 1);
  refused("10", lat_rans_decode_from_prob(context, &prob, &cut, &out.array), BAD_DATA, "truncated");
  refused("10", lat_rans_decode_from_prob(context, &prob, &more, &out.array), BAD_DATA, "left");
  lat_array_release(rans);
  lat_array_release(range);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_pools),   cmocka_unit_test(test_features), cmocka_unit_test(test_norms),
      cmocka_unit_test(test_algebra), cmocka_unit_test(test_creation), cmocka_unit_test(test_selection),
      cmocka_unit_test(test_points),  cmocka_unit_test(test_packing),  cmocka_unit_test(test_stored_parts),
      cmocka_unit_test(test_coding),  cmocka_unit_test(test_streams),
  };
  return cmocka_run_group_tests(tests, spec_line_set_up, spec_line_tear_down);
}
