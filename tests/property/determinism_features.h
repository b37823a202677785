/// Pools, feature operations and norms that prop_determinism_ops.c runs. Part of that file.

static void run_pool(inputs *in, int which, trace *t) {
  lat_kernel_opts opts = LAT_KERNEL_OPTS_INIT;
  lat_pool_mode mode = (lat_pool_mode)which;
  lat_array_view feats = lat_tensor_feats(in->x);
  lat_tensor *y = NULL;
  lat_array *grad = NULL, *product = NULL;
  opts.kernel_size = lat_triple_all(3);
  opts.stride = lat_triple_all(2);
  lat_test_assert_ok(lat_pool3d(in->context, in->x, mode, &opts, &y));
  lat_array *g = matrix(in, lat_tensor_count(y), C);
  lat_array_view g_view = lat_array_as_view(g);
  lat_test_assert_ok(lat_pool3d_backward(in->context, in->x, mode, &opts, &g_view, &grad));
  lat_test_assert_ok(lat_pool3d_jvp(in->context, in->x, mode, &opts, &feats, &product));
  keep_tensor(t, y);
  keep_grads(t, grad, product, NULL);
  lat_array_release(g);
}

static void run_pool_transpose(inputs *in, int which, trace *t) {
  lat_kernel_opts opts = LAT_KERNEL_OPTS_INIT;
  (void)which;
  opts.kernel_size = lat_triple_all(3);
  opts.stride = lat_triple_all(2);
  for (int onto = 0; onto < 2; onto++) {
    const lat_tensor *target = onto ? in->x : NULL;
    lat_tensor *y = NULL;
    lat_array *grad = NULL;
    lat_test_assert_ok(lat_pool_transpose3d(in->context, in->up, target, &opts, &y));
    lat_array *g = matrix(in, lat_tensor_count(y), C);
    lat_array_view g_view = lat_array_as_view(g);
    lat_test_assert_ok(lat_pool_transpose3d_backward(in->context, in->up, target, &opts, &g_view, &grad));
    keep_tensor(t, y);
    keep_array(t, grad);
    lat_array_release(g);
  }
}

static void run_trilinear(inputs *in, int which, trace *t) {
  lat_triple stride = {2, 2, 2};
  (void)which;
  for (int onto = 0; onto < 2; onto++) {
    const lat_tensor *target = onto ? in->x : NULL;
    lat_tensor *y = NULL;
    lat_array *grad = NULL;
    lat_test_assert_ok(lat_trilinear_upsample3d(in->context, in->up, target, stride, &y));
    lat_array *g = matrix(in, lat_tensor_count(y), C);
    lat_array_view g_view = lat_array_as_view(g);
    lat_test_assert_ok(lat_trilinear_upsample3d_backward(in->context, in->up, target, stride, &g_view, &grad));
    keep_tensor(t, y);
    keep_array(t, grad);
    lat_array_release(g);
  }
}

static void run_global_pool(inputs *in, int which, trace *t) {
  lat_array *y = NULL, *grad = NULL, *g = matrix(in, 3, C);
  lat_array_view g_view = lat_array_as_view(g);
  lat_test_assert_ok(lat_global_pool(in->context, in->x, (lat_pool_mode)which, -1, &y));
  lat_test_assert_ok(lat_global_pool_backward(in->context, in->x, (lat_pool_mode)which, -1, &g_view, &grad));
  keep_grads(t, y, grad, NULL);
  lat_array_release(g);
}

static void run_activations(inputs *in, int which, trace *t) {
  lat_array *g = matrix(in, N, C);
  lat_array_view g_view = lat_array_as_view(g);
  (void)which;
  for (int kind = LAT_ACTIVATION_RELU; kind <= LAT_ACTIVATION_EXP; kind++) {
    lat_tensor *y = NULL;
    lat_array *grad = NULL;
    lat_test_assert_ok(lat_activation(in->context, in->x, (lat_activation_kind)kind, NULL, &y));
    lat_test_assert_ok(lat_activation_backward(in->context, in->x, (lat_activation_kind)kind, &g_view, NULL, &grad));
    keep_tensor(t, y);
    keep_array(t, grad);
  }
  lat_array_release(g);
}

static void run_dense(inputs *in, int which, trace *t) {
  lat_array_view feats = lat_tensor_feats(in->x);
  lat_array *y[4] = {NULL, NULL, NULL, NULL}, *g = matrix(in, N, C);
  lat_array_view g_view = lat_array_as_view(g);
  lat_tensor *cast = NULL;
  (void)which;
  lat_test_assert_ok(lat_exp(in->context, &feats, &y[0]));
  lat_test_assert_ok(lat_round(in->context, &feats, &y[1]));
  lat_test_assert_ok(lat_softmax(in->context, &feats, &y[2]));
  lat_test_assert_ok(lat_softmax_backward(in->context, &feats, &g_view, &y[3]));
  lat_test_assert_ok(lat_cast(in->context, in->x, LAT_DTYPE_F16, &cast));
  for (int i = 0; i < 4; i++) keep_array(t, y[i]);
  keep_tensor(t, cast);
  lat_array_release(g);
}

static void run_dropout(inputs *in, int which, trace *t) {
  lat_dropout_opts opts = LAT_DROPOUT_OPTS_INIT;
  lat_array *grad = NULL, *g = matrix(in, N, C);
  lat_array_view g_view = lat_array_as_view(g);
  lat_tensor *y = NULL;
  (void)which;
  lat_test_assert_ok(lat_dropout(in->context, in->x, &opts, &y));
  lat_test_assert_ok(lat_dropout_backward(in->context, in->x, &g_view, &opts, &grad));
  keep_tensor(t, y);
  keep_array(t, grad);
  lat_array_release(g);
}

static void run_embedding(inputs *in, int which, trace *t) {
  enum { TABLE = 50 };
  int32_t indices[N];
  lat_array *table = matrix(in, TABLE, C), *g = matrix(in, N, C), *y = NULL, *grad = NULL;
  lat_array_view table_view = lat_array_as_view(table), g_view = lat_array_as_view(g),
                 index_view = lat_view_1d(indices, LAT_DTYPE_I32, N);
  (void)which;
  for (int i = 0; i < N; i++) indices[i] = i * 7 % (TABLE - 3);
  lat_test_assert_ok(lat_embedding_lookup(in->context, &index_view, &table_view, &y));
  lat_test_assert_ok(lat_embedding_backward(in->context, &index_view, &table_view, &g_view, &grad));
  keep_grads(t, y, grad, NULL);
  lat_array_release(table);
  lat_array_release(g);
}

static void run_norm(inputs *in, int which, trace *t) {
  typedef lat_status (*norm_fn)(lat_context *, const lat_tensor *, const lat_norm_opts *, lat_tensor **);
  typedef lat_status (*norm_backward_fn)(lat_context *, const lat_tensor *, const lat_array_view *,
                                         const lat_norm_opts *, int32_t, lat_norm_grads *);
  static const norm_fn norms[] = {lat_batch_norm, lat_layer_norm, lat_rms_norm, lat_instance_norm};
  static const norm_backward_fn backwards[] = {lat_batch_norm_backward, lat_layer_norm_backward, lat_rms_norm_backward,
                                               lat_instance_norm_backward};
  const int64_t channels = C;
  lat_array *scale = floats(in, LAT_DTYPE_F32, 1, &channels), *g = matrix(in, N, C);
  lat_array_view scale_view = lat_array_as_view(scale), g_view = lat_array_as_view(g);
  lat_norm_opts opts = LAT_NORM_OPTS_INIT;
  lat_norm_grads grads;
  lat_tensor *y = NULL;
  opts.weight = &scale_view;
  if (which != 2) opts.bias = &scale_view;
  if (which == 4) {
    lat_test_assert_ok(lat_group_norm(in->context, in->x, 3, &opts, &y));
    lat_test_assert_ok(lat_group_norm_backward(in->context, in->x, 3, &g_view, &opts, 0, &grads));
  } else {
    lat_test_assert_ok(norms[which](in->context, in->x, &opts, &y));
    lat_test_assert_ok(backwards[which](in->context, in->x, &g_view, &opts, 0, &grads));
  }
  keep_tensor(t, y);
  keep_grads(t, grads.x, grads.weight, grads.bias);
  if (which == 0) {
    lat_running_stats stats;
    lat_test_assert_ok(lat_batch_norm_update_running(in->context, in->x, &scale_view, &scale_view, 0.1, &stats));
    keep_grads(t, stats.mean, stats.var, NULL);
  }
  lat_array_release(scale);
  lat_array_release(g);
}
