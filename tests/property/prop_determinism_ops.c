// Every operation by itself, forward, backward and forward-mode product: the same bits for 1, 2 and 5 threads and in a second
// run, in float32, float16 and bfloat16. A line of the table `ops` is one operation; prop_determinism runs them in one
// network. A gradient or product that a public header declares and no line names fails the test.
//
// To add an operation: a function that computes it from the inputs `in` and keeps what comes out (keep_tensor, keep_array),
// and a line with the names of the functions that it calls.
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <lattice/lattice.h>

#include "support/tensor_cases.h"
#include "support/test_support.h"

enum { N = 1100, C = 12, OUT = 10, MAX_KEPT = 64 };

/// What operations are fed: the same values in every context.
typedef struct inputs {
  lat_context *context;
  lat_dtype dtype;
  lat_coords *fine, *other, *coarse; ///< N rows of stride 1; N others, of which half are the same; `fine` with stride 2
  lat_tensor *x, *b, *up;            ///< (N, C) on them
  uint64_t stream;
} inputs;

/// What one operation gave.
typedef struct trace {
  int n;
  uint64_t hash[MAX_KEPT];
} trace;

typedef struct operation {
  const char *names; ///< of the functions that it calls, each with a space behind it
  void (*run)(inputs *in, int which, trace *t);
  int which;
} operation;

// --- keeping results ---

static void keep(trace *t, const void *data, int64_t bytes) {
  const unsigned char *p = data;
  uint64_t hash = UINT64_C(0xcbf29ce484222325) ^ (uint64_t)bytes;
  for (; bytes >= 8; bytes -= 8, p += 8) {
    uint64_t word = 0;
    memcpy(&word, p, 8);
    hash = (hash ^ word) * UINT64_C(0x100000001b3);
    hash ^= hash >> 32;
  }
  for (; bytes > 0; bytes--) hash = (hash ^ *p++) * UINT64_C(0x100000001b3);
  assert_true(t->n < MAX_KEPT);
  t->hash[t->n++] = hash;
}

static void keep_view(trace *t, lat_array_view view) {
  int64_t count = 1;
  for (int32_t axis = 0; axis < view.rank; axis++) count *= view.shape[axis];
  keep(t, view.data, count * (int64_t)lat_dtype_bytes(view.dtype));
}

/// Takes the array; NULL: nothing.
static void keep_array(trace *t, lat_array *array) {
  if (array) keep_view(t, lat_array_as_view(array));
  lat_array_release(array);
}

/// Takes the tensor.
static void keep_tensor(trace *t, lat_tensor *tensor) {
  keep_view(t, lat_coords_rows(lat_tensor_coords(tensor)));
  keep_view(t, lat_tensor_feats(tensor));
  lat_tensor_release(tensor);
}

static void keep_grads(trace *t, lat_array *first, lat_array *second, lat_array *third) {
  keep_array(t, first);
  keep_array(t, second);
  keep_array(t, third);
}

// --- making inputs ---

static lat_array *floats(inputs *in, lat_dtype dtype, int32_t rank, const int64_t *shape) {
  const double range[2] = {-1.0, 1.0};
  lat_array *drawn = NULL, *result = NULL;
  lat_test_assert_ok(lat_array_uniform(in->context, LAT_DTYPE_F32, rank, shape, range, in->stream++, &drawn));
  lat_array_view view = lat_array_as_view(drawn);
  lat_test_assert_ok(lat_array_cast(in->context, &view, dtype, &result));
  lat_array_release(drawn);
  return result;
}

static lat_array *matrix(inputs *in, int64_t rows, int64_t columns) {
  return floats(in, in->dtype, 2, (const int64_t[2]){rows, columns});
}

static lat_tensor *tensor_on(inputs *in, const lat_coords *coords) {
  lat_tensor *tensor = NULL;
  lat_array *feats = matrix(in, lat_coords_count(coords), C);
  lat_test_assert_ok(lat_tensor_share(in->context, coords, feats, NULL, &tensor));
  lat_array_release(feats);
  return tensor;
}

static lat_coords *set_of(lat_context *context, const int32_t *rows, int32_t stride) {
  lat_coords_opts opts = LAT_COORDS_OPTS_INIT;
  lat_array_view view = lat_view_2d(rows, LAT_DTYPE_I32, N, 4);
  lat_coords *coords = NULL;
  opts.stride = lat_triple_all(stride);
  lat_test_assert_ok(lat_coords_create(context, &view, &opts, &coords));
  return coords;
}

/// One job of a host executor.
typedef struct host_job {
  void (*job)(void *arg, int index);
  void *arg;
  int index;
} host_job;

static void *run_job(void *user) {
  host_job *at = user;
  at->job(at->arg, at->index);
  return NULL;
}

/// A host executor that starts a thread for every job: on few cores it waits without burning them, as OpenMP would.
static void run_on_threads(void *user, int n_jobs, void (*job)(void *arg, int index), void *arg) {
  pthread_t threads[8];
  host_job jobs[8];
  (void)user;
  assert_true(n_jobs <= 8);
  for (int i = 0; i < n_jobs; i++) {
    jobs[i] = (host_job){job, arg, i};
    assert_int_equal(pthread_create(&threads[i], NULL, run_job, &jobs[i]), 0);
  }
  for (int i = 0; i < n_jobs; i++) assert_int_equal(pthread_join(threads[i], NULL), 0);
}

static inputs open_inputs(int32_t n_threads, lat_dtype dtype) {
  inputs in = {.dtype = dtype};
  lat_context_opts opts = LAT_CONTEXT_OPTS_INIT;
  lat_test_random random = {4, 0};
  int32_t *rows = lat_test_random_rows(&random, N, 3, 6, 0), *others = malloc(N * 4 * sizeof *others);
  memcpy(others, rows, N * 4 * sizeof *others);
  for (int r = 0; r < N; r += 2) others[4 * r + 2] += 40;
  opts.n_threads = n_threads;
  if (n_threads > 1) opts.executor.run = run_on_threads;
  opts.seed = 7;
  lat_test_assert_ok(lat_context_create(&opts, &in.context));
  in.fine = set_of(in.context, rows, 1);
  in.other = set_of(in.context, others, 1);
  in.coarse = set_of(in.context, rows, 2);
  in.x = tensor_on(&in, in.fine);
  in.b = tensor_on(&in, in.other);
  in.up = tensor_on(&in, in.coarse);
  free(rows);
  free(others);
  return in;
}

static void close_inputs(inputs *in) {
  lat_tensor_release(in->x);
  lat_tensor_release(in->b);
  lat_tensor_release(in->up);
  lat_coords_release(in->fine);
  lat_coords_release(in->other);
  lat_coords_release(in->coarse);
  lat_context_destroy(in->context);
}

// --- convolutions ---

typedef lat_status (*conv_fn)(lat_context *, const lat_tensor *, const lat_weight *, const lat_array_view *,
                              const lat_conv3d_opts *, lat_tensor **);
typedef lat_status (*conv_backward_fn)(lat_context *, const lat_tensor *, const lat_weight *, const lat_array_view *,
                                       const lat_conv3d_backward_opts *, lat_conv_grads *);
typedef lat_status (*conv_jvp_fn)(lat_context *, const lat_tensor *, const lat_weight *, const lat_conv_tangents *,
                                  const lat_conv3d_opts *, lat_tensor **);

typedef struct conv_case {
  conv_fn forward;
  conv_backward_fn backward;
  conv_jvp_fn jvp;
  int32_t size, stride, groups;
  int upwards, target; ///< x is `up`; onto `other` (the inverse: from the strided set to `fine`)
} conv_case;

static const conv_case convs[] = {
    {lat_conv3d, lat_conv3d_backward, lat_conv3d_jvp, 3, 1, 1, 0, 0},
    {lat_conv3d, lat_conv3d_backward, lat_conv3d_jvp, 3, 2, 2, 0, 0},
    {lat_conv3d, lat_conv3d_backward, lat_conv3d_jvp, 3, 1, C, 0, 1},
    {lat_conv3d, lat_conv3d_backward, lat_conv3d_jvp, 1, 1, 1, 0, 0},
    {lat_subm_conv3d, lat_subm_conv3d_backward, lat_subm_conv3d_jvp, 3, 1, 1, 0, 0},
    {lat_conv_transpose3d, lat_conv_transpose3d_backward, lat_conv_transpose3d_jvp, 3, 2, 1, 1, 0},
    {lat_conv_transpose3d, lat_conv_transpose3d_backward, lat_conv_transpose3d_jvp, 3, 2, 1, 1, 1},
    {lat_generative_conv_transpose3d, lat_generative_conv_transpose3d_backward, lat_generative_conv_transpose3d_jvp, 2,
     2, 1, 1, 0},
    {lat_inverse_conv3d, lat_inverse_conv3d_backward, lat_inverse_conv3d_jvp, 3, 1, 1, 0, 2},
    {lat_normalized_subm_conv3d, lat_normalized_subm_conv3d_backward, lat_normalized_subm_conv3d_jvp, 3, 1, 2, 0, 0},
    {lat_normalized_conv_transpose3d, lat_normalized_conv_transpose3d_backward, lat_normalized_conv_transpose3d_jvp, 3,
     2, 1, 1, 0},
    {lat_normalized_generative_conv_transpose3d, lat_normalized_generative_conv_transpose3d_backward,
     lat_normalized_generative_conv_transpose3d_jvp, 2, 2, 1, 1, 1},
};

static void run_conv(inputs *in, int which, trace *t) {
  const conv_case *c = &convs[which];
  const lat_tensor *x = c->upwards ? in->up : in->x;
  int64_t out = c->groups == C ? C : OUT;
  const int64_t shape[5] = {out, c->size, c->size, c->size, C / c->groups};
  lat_array *w = floats(in, in->dtype, 5, shape), *dw = floats(in, in->dtype, 5, shape),
            *bias = floats(in, LAT_DTYPE_F32, 1, &out), *dx = matrix(in, N, C);
  lat_array_view bias_view = lat_array_as_view(bias), dx_view = lat_array_as_view(dx), dw_view = lat_array_as_view(dw);
  lat_weight weight = lat_weight_dense(lat_array_as_view(w));
  lat_conv3d_opts opts = LAT_CONV3D_OPTS_INIT;
  lat_conv3d_backward_opts backward = LAT_CONV3D_BACKWARD_OPTS_INIT;
  lat_conv_tangents tangents = {&dx_view, &dw_view, &bias_view};
  lat_conv_grads grads;
  lat_tensor *y = NULL, *dy = NULL;
  opts.kernel_size = lat_triple_all(c->size);
  opts.stride = lat_triple_all(c->stride);
  opts.groups = c->groups;
  if (c->target) opts.coordinates = c->target == 2 ? in->fine : in->other;
  backward.forward = &opts;
  lat_test_assert_ok(c->forward(in->context, x, &weight, &bias_view, &opts, &y));
  lat_array *g = matrix(in, lat_tensor_count(y), out);
  lat_array_view g_view = lat_array_as_view(g);
  lat_test_assert_ok(c->backward(in->context, x, &weight, &g_view, &backward, &grads));
  lat_test_assert_ok(c->jvp(in->context, x, &weight, &tangents, &opts, &dy));
  keep_tensor(t, y);
  keep_tensor(t, dy);
  keep_grads(t, grads.x, grads.weight, grads.bias);
  lat_array *used[] = {w, dw, bias, dx, g};
  for (int i = 0; i < 5; i++) lat_array_release(used[i]);
}

/// Packed weights, 4 bits and 8, and a plan of them.
static void run_packed(inputs *in, int which, trace *t) {
  const int64_t shape[5] = {OUT, 3, 3, 3, C};
  lat_array *w = floats(in, LAT_DTYPE_F32, which ? 2 : 5, which ? (const int64_t[2]){OUT, C} : shape);
  lat_array_view view = lat_array_as_view(w), feats = lat_tensor_feats(in->x);
  lat_quantize_opts opts = LAT_QUANTIZE_OPTS_INIT;
  lat_quantized_weight *packed = NULL;
  lat_plan_input input = {sizeof input, in->fine, C, in->dtype};
  lat_plan_opts plan_opts = LAT_PLAN_OPTS_INIT;
  lat_plan *plan = NULL;
  lat_tensor *y = NULL, *planned = NULL;
  lat_conv_grads grads;
  opts.bits = which ? 8 : 4;
  plan_opts.activates = 1;
  lat_test_assert_ok(lat_quantize_weight(in->context, &view, &opts, &packed));
  lat_weight weight = lat_weight_packed(packed);
  lat_array *g = matrix(in, N, OUT);
  lat_array_view g_view = lat_array_as_view(g);
  lat_conv3d_backward_opts backward = LAT_CONV3D_BACKWARD_OPTS_INIT;
  backward.grads = LAT_GRAD_X;
  (void)feats;
  if (which) {
    lat_test_assert_ok(lat_linear(in->context, in->x, &weight, NULL, &y));
    lat_test_assert_ok(lat_linear_backward(in->context, in->x, &weight, &g_view, LAT_GRAD_X, &grads));
    lat_test_assert_ok(lat_linear_plan_create(in->context, &input, &weight, &plan_opts, &plan));
  } else {
    lat_test_assert_ok(lat_conv3d(in->context, in->x, &weight, NULL, NULL, &y));
    lat_test_assert_ok(lat_conv3d_backward(in->context, in->x, &weight, &g_view, &backward, &grads));
    lat_test_assert_ok(lat_conv3d_plan_create(in->context, &input, &weight, NULL, &plan_opts, &plan));
  }
  lat_test_assert_ok(lat_plan_apply(in->context, plan, in->x, NULL, &planned));
  keep_tensor(t, y);
  keep_tensor(t, planned);
  keep_array(t, grads.x);
  lat_plan_release(plan);
  lat_quantized_weight_release(packed);
  lat_array_release(w);
  lat_array_release(g);
}

static void run_linear(inputs *in, int which, trace *t) {
  lat_array *w = matrix(in, OUT, C), *g = matrix(in, N, OUT);
  lat_weight weight = lat_weight_dense(lat_array_as_view(w));
  lat_array_view g_view = lat_array_as_view(g);
  lat_tensor *y = NULL;
  lat_conv_grads grads;
  (void)which;
  lat_test_assert_ok(lat_linear(in->context, in->x, &weight, NULL, &y));
  lat_test_assert_ok(lat_linear_backward(in->context, in->x, &weight, &g_view, LAT_GRAD_ALL, &grads));
  keep_tensor(t, y);
  keep_grads(t, grads.x, grads.weight, grads.bias);
  lat_array_release(w);
  lat_array_release(g);
}

#include "property/determinism_features.h"
#include "property/determinism_rows.h"

static const operation ops[] = {
    {"lat_conv3d lat_conv3d_backward lat_conv3d_jvp ", run_conv, 0},
    {"strided, two groups ", run_conv, 1},
    {"onto coordinates, depthwise ", run_conv, 2},
    {"pointwise ", run_conv, 3},
    {"lat_subm_conv3d lat_subm_conv3d_backward lat_subm_conv3d_jvp ", run_conv, 4},
    {"lat_conv_transpose3d lat_conv_transpose3d_backward lat_conv_transpose3d_jvp ", run_conv, 5},
    {"transposed onto coordinates ", run_conv, 6},
    {"lat_generative_conv_transpose3d lat_generative_conv_transpose3d_backward lat_generative_conv_transpose3d_jvp ",
     run_conv, 7},
    {"lat_inverse_conv3d lat_inverse_conv3d_backward lat_inverse_conv3d_jvp ", run_conv, 8},
    {"lat_normalized_subm_conv3d lat_normalized_subm_conv3d_backward lat_normalized_subm_conv3d_jvp ", run_conv, 9},
    {"lat_normalized_conv_transpose3d lat_normalized_conv_transpose3d_backward lat_normalized_conv_transpose3d_jvp ",
     run_conv, 10},
    {"lat_normalized_generative_conv_transpose3d lat_normalized_generative_conv_transpose3d_backward "
     "lat_normalized_generative_conv_transpose3d_jvp ",
     run_conv, 11},
    {"packed conv3d, plan ", run_packed, 0},
    {"packed linear, plan ", run_packed, 1},
    {"lat_linear lat_linear_backward ", run_linear, 0},
    {"lat_pool3d lat_pool3d_backward lat_pool3d_jvp sum ", run_pool, LAT_POOL_SUM},
    {"maximum pool ", run_pool, LAT_POOL_MAX},
    {"average pool ", run_pool, LAT_POOL_AVG},
    {"lat_pool_transpose3d lat_pool_transpose3d_backward ", run_pool_transpose, 0},
    {"lat_trilinear_upsample3d lat_trilinear_upsample3d_backward ", run_trilinear, 0},
    {"lat_global_pool lat_global_pool_backward sum ", run_global_pool, LAT_POOL_SUM},
    {"global maximum ", run_global_pool, LAT_POOL_MAX},
    {"global average ", run_global_pool, LAT_POOL_AVG},
    {"lat_activation lat_activation_backward ", run_activations, 0},
    {"lat_exp lat_round lat_softmax lat_softmax_backward lat_cast ", run_dense, 0},
    {"lat_dropout lat_dropout_backward ", run_dropout, 0},
    {"lat_embedding_lookup lat_embedding_backward ", run_embedding, 0},
    {"lat_batch_norm lat_batch_norm_backward lat_batch_norm_update_running ", run_norm, 0},
    {"lat_layer_norm lat_layer_norm_backward ", run_norm, 1},
    {"lat_rms_norm lat_rms_norm_backward ", run_norm, 2},
    {"lat_instance_norm lat_instance_norm_backward ", run_norm, 3},
    {"lat_group_norm lat_group_norm_backward ", run_norm, 4},
    {"lat_sparse_binary lat_sparse_binary_backward add ", run_binary, LAT_BINARY_ADD},
    {"sparse_sub ", run_binary, LAT_BINARY_SUB},
    {"sparse_mul ", run_binary, LAT_BINARY_MUL},
    {"sparse_maximum ", run_binary, LAT_BINARY_MAXIMUM},
    {"sparse_minimum ", run_binary, LAT_BINARY_MINIMUM},
    {"lat_sparse_cat lat_sparse_cat_backward ", run_cat, 0},
    {"lat_gather_aligned_features lat_gather_aligned_features_backward lat_prune lat_prune_backward lat_topk_rows ",
     run_rows, 0},
    {"lat_prune_mask lat_prune_mask_backward lat_crop lat_crop_backward ", run_selections, 0},
    {"lat_reindex_sparse lat_reindex_sparse_backward ", run_reindex, 0},
    {"lat_sparse_from_coordinates lat_sparse_from_coordinates_backward ", run_from_coordinates, 0},
    {"lat_to_dense lat_to_dense_backward lat_from_dense lat_from_dense_backward ", run_to_dense, 0},
    {"lat_voxelize lat_voxelize_backward mean ", run_voxelize, LAT_VOXEL_MEAN},
    {"voxelize sum ", run_voxelize, LAT_VOXEL_SUM},
    {"voxelize maximum, capped ", run_voxelize, LAT_VOXEL_MAX},
    {"lat_devoxelize lat_interpolate lat_interpolate_backward linear ", run_interpolate, LAT_INTERPOLATION_LINEAR},
    {"nearest ", run_interpolate, LAT_INTERPOLATION_NEAREST},
    {"lat_gather_neighbor_features lat_gather_neighbor_features_backward radius ", run_neighbors, 0},
    {"knn ", run_neighbors, 1},
    {"relations ", run_relations, 0},
    {"sets ", run_sets, 0},
};

enum { N_OPS = sizeof ops / sizeof ops[0] };

static void run_all(int32_t n_threads, lat_dtype dtype, trace *traces) {
  inputs in = open_inputs(n_threads, dtype);
  for (int i = 0; i < N_OPS; i++) {
    traces[i].n = 0;
    in.stream = 1000 + 100 * (uint64_t)i; // the inputs of an operation do not depend on those before it
    ops[i].run(&in, ops[i].which, &traces[i]);
    assert_true(traces[i].n > 0);
  }
  close_inputs(&in);
}

static void check_dtype(lat_dtype dtype) {
  static trace base[N_OPS], other[N_OPS];
  static const int32_t threads[3] = {1, 2, 5}; // the first is a second run
  run_all(1, dtype, base);
  for (int run = 0; run < 3; run++) {
    run_all(threads[run], dtype, other);
    for (int i = 0; i < N_OPS; i++) {
      if (base[i].n != other[i].n) fail_msg("%s: another number of results", ops[i].names);
      for (int k = 0; k < base[i].n; k++) {
        if (base[i].hash[k] == other[i].hash[k]) continue;
        fail_msg("%s(%s): result %d has other bits with %d threads", ops[i].names, lat_dtype_name(dtype), k,
                 (int)threads[run]);
      }
    }
  }
}

static void test_float32(void **state) {
  (void)state;
  check_dtype(LAT_DTYPE_F32);
}

static void test_float16(void **state) {
  (void)state;
  check_dtype(LAT_DTYPE_F16);
}

static void test_bfloat16(void **state) {
  (void)state;
  check_dtype(LAT_DTYPE_BF16);
}

static int is_named(const char *name) {
  size_t length = strlen(name);
  for (int i = 0; i < N_OPS; i++) {
    for (const char *at = strstr(ops[i].names, name); at; at = strstr(at + 1, name)) {
      if (at[length] == ' ' && (at == ops[i].names || at[-1] == ' ')) return 1;
    }
  }
  return 0;
}

/// Every gradient and product of a public header stands in the table.
static void test_table_is_complete(void **state) {
  static const char *const headers[] = {"activation", "algebra", "conv",         "conv_normalized", "conv_transpose",
                                        "dense",      "feature", "norm",         "points",          "pool",
                                        "relation",   "tensor",  "sparse_create"};
  int n_missing = 0, n_seen = 0;
  (void)state;
  for (size_t h = 0; h < sizeof headers / sizeof headers[0]; h++) {
    char path[1024], relative[80], line[512];
    snprintf(relative, sizeof relative, "include/lattice/%s.h", headers[h]);
    lat_test_source_path(relative, path, sizeof path);
    FILE *file = fopen(path, "r");
    assert_non_null(file);
    while (fgets(line, sizeof line, file)) {
      char *name = strstr(line, "lat_status lat_");
      if (!name) continue;
      name += strlen("lat_status ");
      name[strcspn(name, "(")] = '\0';
      size_t length = strlen(name);
      int is_backward = length > 9 && strcmp(name + length - 9, "_backward") == 0;
      int is_jvp = length > 4 && strcmp(name + length - 4, "_jvp") == 0;
      if (!is_backward && !is_jvp) continue;
      n_seen++;
      if (is_named(name)) continue;
      print_error("%s stands in no line of the table\n", name);
      n_missing++;
    }
    fclose(file);
  }
  assert_int_equal(n_missing, 0);
  assert_true(n_seen > 40);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(test_float32), cmocka_unit_test(test_float16),
                                     cmocka_unit_test(test_bfloat16), cmocka_unit_test(test_table_is_complete)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
