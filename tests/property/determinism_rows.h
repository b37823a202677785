/// Algebra, dense forms, points, neighbours and relations that prop_determinism_ops.c runs. Part of that file.

static void run_binary(inputs *in, int which, trace *t) {
  lat_binary_opts opts = LAT_BINARY_OPTS_INIT;
  opts.op = (lat_binary)which;
  opts.lhs_fill = 0.25;
  for (int join = LAT_JOIN_INNER; join <= LAT_JOIN_OUTER; join++) {
    lat_tensor *y = NULL;
    lat_binary_grads grads;
    opts.join = (lat_join)join;
    lat_test_assert_ok(lat_sparse_binary(in->context, in->x, in->b, &opts, &y));
    lat_array *g = matrix(in, lat_tensor_count(y), C);
    lat_array_view g_view = lat_array_as_view(g);
    lat_test_assert_ok(lat_sparse_binary_backward(in->context, in->x, in->b, &opts, &g_view, &grads));
    keep_tensor(t, y);
    keep_grads(t, grads.lhs, grads.rhs, NULL);
    lat_array_release(g);
  }
}

static void run_cat(inputs *in, int which, trace *t) {
  const lat_tensor *tensors[3] = {in->x, in->b, in->x};
  lat_array *grads[3] = {NULL, NULL, NULL};
  lat_tensor *y = NULL;
  (void)which;
  lat_test_assert_ok(lat_sparse_cat(in->context, tensors, 3, LAT_JOIN_OUTER, &y));
  lat_array *g = matrix(in, lat_tensor_count(y), (int64_t)3 * C);
  lat_array_view g_view = lat_array_as_view(g);
  lat_test_assert_ok(lat_sparse_cat_backward(in->context, tensors, 3, LAT_JOIN_OUTER, &g_view, grads));
  keep_tensor(t, y);
  keep_grads(t, grads[0], grads[1], grads[2]);
  lat_array_release(g);
}

static void run_rows(inputs *in, int which, trace *t) {
  int32_t rows[2 * N];
  int64_t counts[3] = {0, 0, 0};
  lat_array_view row_view = lat_view_1d(rows, LAT_DTYPE_I32, (int64_t)2 * N), feats = lat_tensor_feats(in->x);
  lat_array *y = NULL, *grads[2] = {NULL, NULL}, *best = NULL, *g = matrix(in, (int64_t)2 * N, C);
  lat_array_view g_view = lat_array_as_view(g);
  lat_tensor *pruned = NULL, *counted = NULL;
  (void)which;
  for (int i = 0; i < 2 * N; i++) rows[i] = i * 13 % N;
  lat_test_assert_ok(lat_gather_aligned_features(in->context, &feats, &row_view, 0.5, &y));
  lat_test_assert_ok(lat_gather_aligned_features_backward(in->context, &feats, &row_view, &g_view, &grads[0]));
  lat_test_assert_ok(lat_prune(in->context, in->x, &row_view, &pruned));
  lat_test_assert_ok(lat_prune_backward(in->context, in->x, &row_view, &g_view, &grads[1]));
  const int32_t *coords = lat_coords_rows(in->fine).data;
  for (int r = 0; r < N; r++) counts[coords[4 * r]]++;
  lat_tensor_opts opts = {sizeof opts, counts, 3};
  lat_test_assert_ok(lat_tensor_create(in->context, in->fine, &feats, &opts, &counted));
  lat_test_assert_ok(lat_topk_rows(in->context, counted, counts, 3, 0.5, &best));
  keep_tensor(t, pruned);
  keep_grads(t, y, grads[0], grads[1]);
  keep_array(t, best);
  lat_tensor_release(counted);
  lat_array_release(g);
}

static void run_selections(inputs *in, int which, trace *t) {
  uint8_t mask[N];
  lat_array_view mask_view = lat_view_1d(mask, LAT_DTYPE_U8, N);
  lat_triple low = {-3, -3, -3}, high = {4, 4, 4};
  lat_tensor *y[2] = {NULL, NULL};
  lat_array *grads[2] = {NULL, NULL};
  (void)which;
  for (int i = 0; i < N; i++) mask[i] = i % 3 == 1;
  lat_test_assert_ok(lat_prune_mask(in->context, in->x, &mask_view, &y[0]));
  lat_test_assert_ok(lat_crop(in->context, in->x, low, high, &y[1]));
  for (int i = 0; i < 2; i++) {
    lat_array *g = matrix(in, lat_tensor_count(y[i]), C);
    lat_array_view g_view = lat_array_as_view(g);
    lat_test_assert_ok(i ? lat_crop_backward(in->context, in->x, low, high, &g_view, &grads[i])
                         : lat_prune_mask_backward(in->context, in->x, &mask_view, &g_view, &grads[i]));
    keep_tensor(t, y[i]);
    keep_array(t, grads[i]);
    lat_array_release(g);
  }
}

static void run_reindex(inputs *in, int which, trace *t) {
  lat_tensor *y = NULL;
  lat_array *grad = NULL, *g = matrix(in, N, C);
  lat_array_view g_view = lat_array_as_view(g);
  (void)which;
  lat_test_assert_ok(lat_reindex_sparse(in->context, in->x, in->b, 0.5, &y));
  lat_test_assert_ok(lat_reindex_sparse_backward(in->context, in->x, in->b, &g_view, &grad));
  keep_tensor(t, y);
  keep_array(t, grad);
  lat_array_release(g);
}

/// Rows on a coarser lattice, so that many are equal.
static void run_from_coordinates(inputs *in, int which, trace *t) {
  int32_t rows[N][4];
  lat_array_view row_view = lat_view_2d(rows, LAT_DTYPE_I32, N, 4), feats = lat_tensor_feats(in->x);
  lat_from_coordinates_opts opts = LAT_FROM_COORDINATES_OPTS_INIT;
  (void)which;
  memcpy(rows, lat_coords_rows(in->fine).data, sizeof rows);
  for (int r = 0; r < N; r++) {
    for (int axis = 1; axis < 4; axis++) rows[r][axis] /= 4;
  }
  for (int rule = LAT_DUPLICATES_FIRST; rule <= LAT_DUPLICATES_MAX; rule++) {
    lat_tensor *y = NULL;
    lat_array *grad = NULL;
    opts.duplicates = (lat_duplicates)rule;
    lat_test_assert_ok(lat_sparse_from_coordinates(in->context, &row_view, &feats, &opts, &y));
    lat_array *g = matrix(in, lat_tensor_count(y), C);
    lat_array_view g_view = lat_array_as_view(g);
    lat_test_assert_ok(lat_sparse_from_coordinates_backward(in->context, &row_view, &feats, &g_view, &opts, &grad));
    keep_tensor(t, y);
    keep_array(t, grad);
    lat_array_release(g);
  }
}

static void run_to_dense(inputs *in, int which, trace *t) {
  lat_dense_opts opts = LAT_DENSE_OPTS_INIT;
  lat_array *dense = NULL, *grads[2] = {NULL, NULL};
  lat_array *g = NULL;
  lat_tensor *back = NULL;
  (void)which;
  opts.min_coord = lat_triple_all(-6);
  opts.shape = lat_triple_all(13);
  opts.fold = LAT_DENSE_FOLD_Z;
  lat_test_assert_ok(lat_to_dense(in->context, in->x, &opts, &dense));
  lat_array_view dense_view = lat_array_as_view(dense);
  lat_test_assert_ok(lat_to_dense_backward(in->context, in->x, &dense_view, &opts, &grads[0]));
  lat_test_assert_ok(lat_from_dense(in->context, &dense_view, &opts, &back));
  g = matrix(in, lat_tensor_count(back), C);
  lat_array_view g_view = lat_array_as_view(g);
  lat_test_assert_ok(lat_from_dense_backward(in->context, &dense_view, back, &g_view, &opts, &grads[1]));
  keep_tensor(t, back);
  keep_grads(t, dense, grads[0], grads[1]);
  lat_array_release(g);
}

static lat_array *make_points(inputs *in) {
  const double range[2] = {-5.0, 5.0};
  lat_array *points = NULL;
  lat_test_assert_ok(
      lat_array_uniform(in->context, LAT_DTYPE_F32, 2, (const int64_t[2]){N, 3}, range, in->stream++, &points));
  return points;
}

static void run_voxelize(inputs *in, int which, trace *t) {
  lat_voxel_grid grid = lat_voxel_grid_cube(2.0);
  lat_array *points = make_points(in), *features = matrix(in, N, C), *grad = NULL;
  lat_array_view point_view = lat_array_as_view(points), feature_view = lat_array_as_view(features);
  lat_quantization *quantization = NULL;
  lat_voxelize_opts opts = LAT_VOXELIZE_OPTS_INIT;
  lat_tensor *y = NULL, *again = NULL;
  opts.reduction = (lat_voxel_reduction)which;
  lat_test_assert_ok(lat_sparse_quantize(in->context, &point_view, &grid, &quantization));
  lat_test_assert_ok(lat_voxelize(in->context, &point_view, &feature_view, &grid, opts.reduction, &y));
  lat_test_assert_ok(lat_voxelize_quantized(in->context, quantization, &feature_view, &opts, &again));
  lat_array *g = matrix(in, lat_tensor_count(y), C);
  lat_array_view g_view = lat_array_as_view(g);
  lat_test_assert_ok(lat_voxelize_backward(in->context, quantization, &feature_view, &g_view, &opts, &grad));
  keep_tensor(t, y);
  keep_tensor(t, again);
  keep_array(t, grad);
  if (which == LAT_VOXEL_MAX) {
    lat_capped_opts caps = LAT_CAPPED_OPTS_INIT;
    lat_capped_voxels capped;
    caps.max_points = 3;
    caps.max_voxels = 60;
    lat_test_assert_ok(lat_voxelize_capped(in->context, &point_view, &feature_view, &grid, &caps, &capped));
    keep_tensor(t, capped.voxels);
    lat_quantization_release(capped.quantization);
  }
  lat_quantization_release(quantization);
  lat_array_release(points);
  lat_array_release(features);
  lat_array_release(g);
}

static void run_interpolate(inputs *in, int which, trace *t) {
  lat_voxel_grid grid = lat_voxel_grid_cube(1.0);
  lat_interpolation kind = (lat_interpolation)which;
  lat_array *points = make_points(in), *g = matrix(in, N, C), *y[2] = {NULL, NULL}, *grad = NULL;
  lat_array_view point_view = lat_array_as_view(points), g_view = lat_array_as_view(g), feats = lat_tensor_feats(in->x);
  lat_point_map *map = NULL;
  lat_test_assert_ok(lat_point_map_create(in->context, &point_view, in->fine, &grid, kind, &map));
  lat_test_assert_ok(lat_interpolate(in->context, &feats, map, &y[0]));
  lat_test_assert_ok(lat_devoxelize(in->context, &point_view, in->x, &grid, kind, &y[1]));
  lat_test_assert_ok(lat_interpolate_backward(in->context, map, &g_view, &grad));
  keep_grads(t, y[0], y[1], grad);
  lat_point_map_release(map);
  lat_array_release(points);
  lat_array_release(g);
}

static void run_neighbors(inputs *in, int which, trace *t) {
  lat_radius_opts ball = LAT_RADIUS_OPTS_INIT;
  lat_knn_opts knn = LAT_KNN_OPTS_INIT;
  lat_neighbors *neighbors = NULL;
  lat_array_view feats = lat_tensor_feats(in->x);
  lat_array *y = NULL, *grad = NULL;
  ball.radius = 1.5;
  knn.k = 5;
  lat_test_assert_ok(which ? lat_neighbors_create_knn(in->context, in->fine, in->other, &knn, &neighbors)
                           : lat_neighbors_create_radius(in->context, in->fine, in->other, &ball, &neighbors));
  lat_neighbor_list list = lat_neighbors_edges(neighbors);
  lat_array *g = matrix(in, list.n_edges, C);
  lat_array_view g_view = lat_array_as_view(g);
  lat_test_assert_ok(lat_gather_neighbor_features(in->context, &feats, neighbors, &y));
  lat_test_assert_ok(lat_gather_neighbor_features_backward(in->context, &feats, neighbors, &g_view, &grad));
  keep(t, list.source_rows, list.n_edges * 4);
  keep(t, list.squared_distances, list.n_edges * 4);
  keep_grads(t, y, grad, NULL);
  lat_neighbors_release(neighbors);
  lat_array_release(g);
}

/// The edges of all kinds of relations.
static void run_relations(inputs *in, int which, trace *t) {
  lat_kernel_opts opts = LAT_KERNEL_OPTS_INIT, same = LAT_KERNEL_OPTS_INIT;
  lat_relation *relations[6] = {NULL};
  (void)which;
  opts.kernel_size = lat_triple_all(2);
  opts.stride = lat_triple_all(2);
  lat_test_assert_ok(lat_relation_create_forward(in->context, in->fine, &opts, &relations[0]));
  lat_test_assert_ok(lat_relation_create_subm(in->context, in->fine, &same, &relations[1]));
  lat_test_assert_ok(lat_relation_create_target(in->context, in->fine, in->other, &same, &relations[2]));
  lat_test_assert_ok(lat_relation_create_transposed(in->context, in->coarse, &opts, &relations[3]));
  lat_test_assert_ok(lat_relation_create_generative(in->context, in->coarse, &opts, &relations[4]));
  lat_test_assert_ok(lat_relation_create_target_transposed(in->context, in->coarse, in->other, &opts, &relations[5]));
  for (int i = 0; i < 6; i++) {
    lat_relation_edge_list edges;
    lat_test_assert_ok(lat_relation_edges(in->context, relations[i], &edges));
    keep(t, edges.in_rows, edges.n_edges * 4);
    keep(t, edges.out_rows, edges.n_edges * 4);
    keep(t, edges.kernel_ids, edges.n_edges * 4);
    lat_relation_release(relations[i]);
  }
}

static void run_sets(inputs *in, int which, trace *t) {
  lat_coords *sets[3] = {NULL, NULL, NULL};
  lat_array *found = NULL, *codes = NULL;
  lat_array_view rows = lat_coords_rows(in->other);
  (void)which;
  lat_test_assert_ok(lat_coords_union(in->context, in->fine, in->other, &sets[0]));
  lat_test_assert_ok(lat_coords_intersection(in->context, in->fine, in->other, &sets[1]));
  lat_test_assert_ok(lat_coords_downsample(in->context, in->fine, lat_triple_all(2), &sets[2]));
  lat_test_assert_ok(lat_coords_lookup(in->context, in->fine, &rows, &found));
  lat_test_assert_ok(lat_morton_order(in->context, &rows, &codes));
  for (int i = 0; i < 3; i++) {
    keep_view(t, lat_coords_rows(sets[i]));
    lat_coords_release(sets[i]);
  }
  keep_grads(t, found, codes, NULL);
}
