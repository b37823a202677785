// Plans: the bits of the calls one after the other for every operation, dtype, activation and place of the residual, into
// the caller's buffer without an allocation, from several threads at once.
//
// covers: lat_conv3d_plan_create lat_subm_conv3d_plan_create lat_conv_transpose3d_plan_create
// covers: lat_generative_conv_transpose3d_plan_create lat_inverse_conv3d_plan_create
// covers: lat_normalized_subm_conv3d_plan_create lat_normalized_conv_transpose3d_plan_create
// covers: lat_normalized_generative_conv_transpose3d_plan_create lat_linear_plan_create
// covers: lat_plan_info lat_plan_workspace_bytes lat_plan_run lat_plan_apply lat_plan_explain lat_plan_retain
// covers: lat_plan_release
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include <lattice/lattice.h>

#include "support/tensor_cases.h"
#include "support/test_allocator.h"
#include "support/test_support.h"

typedef lat_status (*call_fn)(lat_context *, const lat_tensor *, const lat_weight *, const lat_array_view *,
                              const lat_conv3d_opts *, lat_tensor **);
typedef lat_status (*plan_fn)(lat_context *, const lat_plan_input *, const lat_weight *, const lat_conv3d_opts *,
                              const lat_plan_opts *, lat_plan **);

static lat_status linear_call(lat_context *context, const lat_tensor *x, const lat_weight *weight,
                              const lat_array_view *bias, const lat_conv3d_opts *opts, lat_tensor **out) {
  (void)opts;
  return lat_linear(context, x, weight, bias, out);
}

static lat_status linear_plan(lat_context *context, const lat_plan_input *input, const lat_weight *weight,
                              const lat_conv3d_opts *opts, const lat_plan_opts *plan_opts, lat_plan **out) {
  (void)opts;
  return lat_linear_plan_create(context, input, weight, plan_opts, out);
}

typedef enum set_kind { ON_X, ON_TARGET, ON_FINE, LINEAR } set_kind;

/// One way into a convolution: the call, the plan of it, its geometry and where it puts its result.
typedef struct route {
  const char *name;
  call_fn call;
  plan_fn plan;
  int32_t size, stride;
  set_kind kind;
  bool packable; ///< takes packed weights
} route;

static const route routes[] = {
    {"conv3d", lat_conv3d, lat_conv3d_plan_create, 3, 2, ON_X, true},
    {"conv3d", lat_conv3d, lat_conv3d_plan_create, 3, 1, ON_TARGET, true},
    {"conv3d", lat_conv3d, lat_conv3d_plan_create, 1, 1, ON_X, true},
    {"subm_conv3d", lat_subm_conv3d, lat_subm_conv3d_plan_create, 3, 1, ON_X, true},
    {"conv_transpose3d", lat_conv_transpose3d, lat_conv_transpose3d_plan_create, 2, 2, ON_X, true},
    {"conv_transpose3d", lat_conv_transpose3d, lat_conv_transpose3d_plan_create, 3, 2, ON_FINE, true},
    {"generative_conv_transpose3d", lat_generative_conv_transpose3d, lat_generative_conv_transpose3d_plan_create, 2, 2,
     ON_X, true},
    {"inverse_conv3d", lat_inverse_conv3d, lat_inverse_conv3d_plan_create, 3, 2, ON_FINE, true},
    {"normalized_subm_conv3d", lat_normalized_subm_conv3d, lat_normalized_subm_conv3d_plan_create, 3, 1, ON_X, false},
    {"normalized_conv_transpose3d", lat_normalized_conv_transpose3d, lat_normalized_conv_transpose3d_plan_create, 2, 2,
     ON_X, false},
    {"normalized_generative_conv_transpose3d", lat_normalized_generative_conv_transpose3d,
     lat_normalized_generative_conv_transpose3d_plan_create, 2, 2, ON_X, false},
    {"linear", linear_call, linear_plan, 1, 1, LINEAR, true},
};
enum { N_ROUTES = sizeof routes / sizeof routes[0], N_ROWS = 600, MAX_CHANNELS = 40, N_VALUES = 27 * 40 * 40 };
static const lat_dtype dtypes[] = {LAT_DTYPE_F32, LAT_DTYPE_F16, LAT_DTYPE_BF16};

static lat_test_allocator counter;
static lat_context *context;
static lat_coords *fine, *coarse; ///< coarse is what a stride of 2 makes of fine
static float values[N_VALUES];

static int set_up(void **state) {
  (void)state;
  memset(&counter, 0, sizeof counter);
  context = lat_test_context_create(&counter, 2);
  lat_test_random random = {5, 0};
  int32_t *rows = lat_test_random_rows(&random, N_ROWS, 2, 5, 0);
  fine = lat_test_coords(context, rows, N_ROWS);
  free(rows);
  lat_relation *relation = NULL;
  lat_kernel_opts kernel = LAT_KERNEL_OPTS_INIT;
  kernel.stride = lat_triple_all(2);
  lat_test_assert_ok(lat_relation_create_forward(context, fine, &kernel, &relation));
  coarse = lat_coords_retain(lat_relation_out_coords(relation));
  lat_relation_release(relation);
  for (int64_t i = 0; i < N_VALUES; i++) values[i] = (float)lat_test_uniform(&random, -1.0, 1.0);
  return 0;
}

static int tear_down(void **state) {
  (void)state;
  lat_coords_release(fine);
  lat_coords_release(coarse);
  lat_test_context_finish(context, &counter);
  return 0;
}

/// An array of the values from `first` on.
static lat_array *make_array(lat_dtype dtype, int32_t rank, const int64_t *shape, int64_t first) {
  int64_t n = 1;
  for (int32_t i = 0; i < rank; i++) n *= shape[i];
  float *data = malloc((size_t)(n > 0 ? n : 1) * sizeof *data);
  for (int64_t i = 0; i < n; i++) data[i] = values[(first + i) % N_VALUES];
  lat_array_view view = lat_view(data, LAT_DTYPE_F32, rank, shape);
  lat_array *array = NULL;
  lat_test_assert_ok(lat_array_cast(context, &view, dtype, &array));
  free(data);
  return array;
}

static lat_tensor *make_tensor(const lat_coords *coords, int64_t channels, lat_dtype dtype, int64_t first) {
  const int64_t shape[2] = {lat_coords_count(coords), channels};
  lat_array *feats = make_array(dtype, 2, shape, first);
  lat_tensor *x = NULL;
  lat_test_assert_ok(lat_tensor_share(context, coords, feats, NULL, &x));
  lat_array_release(feats);
  return x;
}

/// What a case varies besides its route.
typedef struct variant {
  lat_dtype dtype;
  int64_t c_in, c_out;
  int32_t groups;
  int bits; ///< of a packed weight; 0: dense
  bool has_bias, has_norm;
  lat_residual residual;
  int activation; ///< kind, or -1
} variant;

/// A case opened: operands, the plan, and the result of the calls one after the other.
typedef struct plan_case {
  lat_tensor *x, *residual, *expected;
  lat_array *dense, *bias, *norm[4];
  lat_quantized_weight *packed;
  lat_plan *plan;
} plan_case;

static lat_tensor *replace(lat_tensor *old, lat_tensor *next) {
  lat_tensor_release(old);
  return next;
}

/// The steps that the plan fuses, as calls.
static lat_tensor *run_steps(const variant *v, lat_tensor *y, const lat_norm_opts *norm,
                             const lat_activation_opts *activation, const lat_tensor *residual) {
  lat_tensor *next = NULL;
  lat_dtype dtype = lat_tensor_dtype(y);
  if (norm) {
    lat_test_assert_ok(lat_batch_norm(context, y, norm, &next));
    y = replace(y, next);
    lat_test_assert_ok(lat_cast(context, y, dtype, &next));
    y = replace(y, next);
  }
  if (v->residual == LAT_RESIDUAL_BEFORE_ACTIVATION) {
    lat_test_assert_ok(lat_sparse_add(context, y, residual, LAT_JOIN_DEFAULT, &next));
    y = replace(y, next);
  }
  if (v->activation >= 0) {
    lat_test_assert_ok(lat_activation(context, y, (lat_activation_kind)v->activation, activation, &next));
    y = replace(y, next);
  }
  if (v->residual == LAT_RESIDUAL_AFTER_ACTIVATION) {
    lat_test_assert_ok(lat_sparse_add(context, y, residual, LAT_JOIN_DEFAULT, &next));
    y = replace(y, next);
  }
  return y;
}

static lat_weight make_weight(const route *r, const variant *v, plan_case *c) {
  int64_t depth = v->c_in / v->groups, shape[5] = {v->c_out, r->size, r->size, r->size, depth};
  if (r->kind == LINEAR) shape[1] = depth;
  c->dense = make_array(v->bits ? LAT_DTYPE_F32 : v->dtype, r->kind == LINEAR ? 2 : 5, shape, 17);
  lat_array_view view = lat_array_as_view(c->dense);
  if (!v->bits) return lat_weight_dense(view);
  lat_quantize_opts opts = {sizeof opts, v->bits, 32};
  lat_test_assert_ok(lat_quantize_weight(context, &view, &opts, &c->packed));
  return lat_weight_packed(c->packed);
}

static plan_case open_case(const route *r, const variant *v) {
  plan_case c = {.x = NULL};
  bool on_coarse = r->stride == 2 && !(r->call == lat_conv3d);
  c.x = make_tensor(on_coarse ? coarse : fine, v->c_in, v->dtype, 3);
  lat_weight weight = make_weight(r, v, &c);
  lat_conv3d_opts opts = LAT_CONV3D_OPTS_INIT;
  opts.kernel_size = lat_triple_all(r->size);
  opts.stride = lat_triple_all(r->stride);
  opts.groups = v->groups;
  if (r->kind == ON_FINE || r->kind == ON_TARGET) opts.coordinates = fine;
  c.bias = make_array(v->dtype, 1, &v->c_out, 900);
  lat_array_view bias = lat_array_as_view(c.bias), params[4];
  for (int i = 0; i < 4; i++) {
    c.norm[i] = make_array(LAT_DTYPE_F32, 1, &v->c_out, 1000 + 100 * i);
    params[i] = lat_array_as_view(c.norm[i]);
  }
  float *var = lat_array_data(c.norm[3]);
  for (int64_t i = 0; i < v->c_out; i++) var[i] += 1.5f;
  lat_norm_opts norm = {sizeof norm, &params[0], &params[1], &params[2], &params[3], 1e-3};
  lat_activation_opts activation = {sizeof activation, 0.3, 1.5, 0.75};
  const lat_norm_opts *used_norm = v->has_norm ? &norm : NULL;
  lat_test_assert_ok(r->call(context, c.x, &weight, v->has_bias ? &bias : NULL, &opts, &c.expected));
  c.residual = make_tensor(lat_tensor_coords(c.expected), v->c_out, v->dtype, 4321);
  c.expected = run_steps(v, c.expected, used_norm, &activation, c.residual);
  lat_plan_input input = {sizeof input, lat_tensor_coords(c.x), v->c_in, v->dtype};
  lat_plan_opts plan_opts = LAT_PLAN_OPTS_INIT;
  plan_opts.bias = v->has_bias ? &bias : NULL;
  plan_opts.norm = used_norm;
  plan_opts.residual = v->residual;
  plan_opts.activates = v->activation >= 0;
  if (plan_opts.activates) plan_opts.activation = (lat_activation_kind)v->activation;
  plan_opts.activation_opts = &activation;
  lat_test_assert_ok(r->plan(context, &input, &weight, &opts, &plan_opts, &c.plan));
  return c;
}

static void close_case(plan_case *c) {
  lat_tensor_release(c->x);
  lat_tensor_release(c->residual);
  lat_tensor_release(c->expected);
  lat_array_release(c->dense);
  lat_array_release(c->bias);
  for (int i = 0; i < 4; i++) lat_array_release(c->norm[i]);
  lat_quantized_weight_release(c->packed);
  lat_plan_release(c->plan);
}

/// Runs into buffers with canaries behind them; the library's memory must not change.
static void check_run(lat_context *runner, const lat_test_allocator *counts, const plan_case *c) {
  lat_plan_facts facts = lat_plan_info(c->plan);
  size_t need = 0, guard = 64;
  lat_test_assert_ok(lat_plan_workspace_bytes(runner, c->plan, &need));
  unsigned char *y = malloc(facts.out_bytes + guard), *workspace = malloc(need + guard + 1);
  memset(y, 0xA5, facts.out_bytes + guard);
  memset(workspace, 0xA5, need + guard + 1);
  lat_array_view x = lat_tensor_feats(c->x), residual = lat_tensor_feats(c->residual);
  lat_plan_buffers buffers = LAT_PLAN_BUFFERS_INIT;
  buffers.x = &x;
  buffers.residual = facts.residual ? &residual : NULL;
  buffers.y = y;
  buffers.y_bytes = facts.out_bytes;
  buffers.workspace = workspace + 1; // any alignment
  buffers.workspace_bytes = need;
  lat_context_reset_peak(runner);
  long long calls = counts->n_calls;
  lat_test_assert_ok(lat_plan_run(runner, c->plan, &buffers));
  assert_int_equal(counts->n_calls, calls);
  assert_int_equal(lat_context_peak_bytes(runner), lat_context_bytes(runner));
  assert_memory_equal(y, lat_tensor_feats(c->expected).data, facts.out_bytes);
  for (size_t i = 0; i < guard; i++) {
    assert_int_equal(y[facts.out_bytes + i], 0xA5);
    assert_int_equal(workspace[1 + need + i], 0xA5);
  }
  assert_int_equal(workspace[0], 0xA5);
  free(y);
  free(workspace);
}

static void check_case(const route *r, const variant *v) {
  plan_case c = open_case(r, v);
  lat_tensor *y = NULL;
  lat_plan_facts facts = lat_plan_info(c.plan);
  assert_string_equal(facts.op, r->name);
  assert_ptr_equal(facts.in_coords, lat_tensor_coords(c.x));
  assert_int_equal(facts.in_rows, lat_tensor_count(c.x));
  assert_int_equal(facts.in_channels, v->c_in);
  assert_int_equal(facts.out_rows, lat_tensor_count(c.expected));
  assert_int_equal(facts.out_channels, v->c_out);
  assert_int_equal(facts.in_dtype, v->dtype);
  assert_int_equal(facts.out_dtype, lat_tensor_dtype(c.expected));
  assert_int_equal(facts.out_stride.x, lat_tensor_stride(c.expected).x);
  assert_ptr_equal(facts.out_coords, lat_tensor_coords(c.expected)); // one identity, whoever made it
  assert_int_equal(facts.out_bytes, facts.out_rows * v->c_out * (int64_t)lat_dtype_bytes(v->dtype));
  assert_true(facts.weight_bytes > 0);
  lat_test_assert_ok(lat_plan_apply(context, c.plan, c.x, v->residual ? c.residual : NULL, &y));
  lat_test_assert_same_view(lat_tensor_feats(y), lat_tensor_feats(c.expected));
  assert_ptr_equal(lat_tensor_coords(y), facts.out_coords);
  lat_tensor_release(y);
  check_run(context, &counter, &c);
  close_case(&c);
}

// Every activation, or none, with every place of the residual, with and without norm, in every dtype.
static void test_every_epilogue(void **state) {
  (void)state;
  const route *subm = &routes[3];
  assert_string_equal(subm->name, "subm_conv3d");
  for (int activation = -1; activation <= LAT_ACTIVATION_EXP; activation++) {
    for (int i = 0; i < 18; i++) {
      variant v = {.dtype = dtypes[i % 3],
                   .c_in = 6,
                   .c_out = activation % 2 ? 16 : 11, // sums in y, or in the workspace
                   .groups = 1,
                   .has_bias = (i + activation) % 2 == 0,
                   .has_norm = i / 9 > 0,
                   .residual = (lat_residual)(i / 3 % 3),
                   .activation = activation};
      check_case(subm, &v);
    }
  }
}

// Every route, dense and packed, one group, several and depthwise.
static void test_every_route(void **state) {
  (void)state;
  for (int r = 0; r < N_ROUTES; r++) {
    for (int i = 0; i < 12; i++) {
      variant v = {.dtype = dtypes[i % 3],
                   .c_in = 8,
                   .c_out = 12,
                   .groups = routes[r].kind == LINEAR ? 1 : (int32_t[]){1, 1, 4, 8}[i / 3],
                   .has_bias = i % 2 == 0,
                   .has_norm = i % 4 < 2,
                   .residual = (lat_residual)((i + r) % 3),
                   .activation = (i * 5 + r) % 11 - 1};
      if (v.groups == 8) v.c_out = 8;
      if (i / 3 == 1 && routes[r].packable) v.bits = i % 2 ? 4 : 8;
      check_case(&routes[r], &v);
    }
  }
}

// Nothing but the call itself: no epilogue at all.
static void test_bare_plan(void **state) {
  (void)state;
  for (int r = 0; r < N_ROUTES; r++) {
    for (int d = 0; d < 3; d++) {
      variant v = {.dtype = dtypes[d], .c_in = 4, .c_out = 24, .groups = 1, .has_bias = d == 1, .activation = -1};
      check_case(&routes[r], &v);
    }
  }
}

static void test_empty(void **state) {
  (void)state;
  lat_coords *none = lat_test_coords(context, NULL, 0);
  lat_tensor *x = make_tensor(none, 4, LAT_DTYPE_F32, 0), *y = NULL;
  const int64_t shape[5] = {2, 3, 3, 3, 4};
  lat_array *dense = make_array(LAT_DTYPE_F32, 5, shape, 0);
  lat_weight weight = lat_weight_dense(lat_array_as_view(dense));
  lat_plan_input input = {sizeof input, none, 4, LAT_DTYPE_F32};
  lat_plan *plan = NULL;
  lat_test_assert_ok(lat_subm_conv3d_plan_create(context, &input, &weight, NULL, NULL, &plan));
  lat_test_assert_ok(lat_plan_apply(context, plan, x, NULL, &y));
  assert_int_equal(lat_tensor_count(y), 0);
  assert_int_equal(lat_tensor_channels(y), 2);
  lat_tensor_release(y);
  lat_plan_release(plan);
  lat_tensor_release(x);
  lat_array_release(dense);
  lat_coords_release(none);
}

// A linear weight of another dtype promotes the result, and the epilogue rounds to that.
static void test_linear_promotes(void **state) {
  (void)state;
  const int64_t shape[2] = {5, 4}, features[2] = {N_ROWS, 4};
  lat_array *dense = make_array(LAT_DTYPE_F32, 2, shape, 0), *feats = make_array(LAT_DTYPE_F16, 2, features, 40);
  lat_weight weight = lat_weight_dense(lat_array_as_view(dense));
  lat_tensor *x = NULL, *linear = NULL, *expected = NULL, *y = NULL;
  lat_test_assert_ok(lat_tensor_share(context, fine, feats, NULL, &x));
  lat_test_assert_ok(lat_linear(context, x, &weight, NULL, &linear));
  lat_test_assert_ok(lat_silu(context, linear, &expected));
  lat_plan_input input = {sizeof input, fine, 4, LAT_DTYPE_F16};
  lat_plan_opts opts = LAT_PLAN_OPTS_INIT;
  opts.activates = 1;
  opts.activation = LAT_ACTIVATION_SILU;
  lat_plan *plan = NULL;
  lat_test_assert_ok(lat_linear_plan_create(context, &input, &weight, &opts, &plan));
  assert_int_equal(lat_plan_info(plan).out_dtype, LAT_DTYPE_F32);
  lat_test_assert_ok(lat_plan_apply(context, plan, x, NULL, &y));
  lat_test_assert_same_view(lat_tensor_feats(y), lat_tensor_feats(expected));
  lat_plan_release(plan);
  lat_tensor_release(y);
  lat_tensor_release(expected);
  lat_tensor_release(linear);
  lat_tensor_release(x);
  lat_array_release(feats);
  lat_array_release(dense);
}

// The plan keeps what it was made from: its context, sets and weights may be gone.
static void test_outlives_its_inputs(void **state) {
  (void)state;
  const float feats[8] = {1, 2, 3, 4, 5, 6, 7, 8};
  const int32_t rows[4][4] = {{0, 0, 0, 0}, {0, 1, 0, 0}, {0, 2, 0, 0}, {0, 3, 0, 0}};
  lat_context *maker = NULL;
  lat_test_assert_ok(lat_context_create(NULL, &maker));
  lat_coords *coords = lat_test_coords(maker, &rows[0][0], 4);
  float *dense = calloc(27 * 2, sizeof *dense), bias = 0.5f;
  dense[13 * 2] = 1.0f; // the centre
  dense[13 * 2 + 1] = 10.0f;
  lat_weight weight = lat_weight_dense(lat_view(dense, LAT_DTYPE_F32, 3, (int64_t[]){27, 2, 1}));
  lat_array_view bias_view = lat_view_1d(&bias, LAT_DTYPE_F32, 1);
  lat_plan_input input = {sizeof input, coords, 2, LAT_DTYPE_F32};
  lat_plan_opts opts = LAT_PLAN_OPTS_INIT;
  opts.bias = &bias_view;
  lat_plan *plan = NULL;
  lat_test_assert_ok(lat_subm_conv3d_plan_create(maker, &input, &weight, NULL, &opts, &plan));
  memset(dense, 0, 27 * 2 * sizeof *dense);
  free(dense);
  bias = 7.0f;
  lat_coords_release(coords);
  lat_context_destroy(maker);
  lat_plan *again = lat_plan_retain(plan);
  assert_ptr_equal(again, plan);
  lat_plan_release(plan);
  lat_array_view x = lat_view_2d(feats, LAT_DTYPE_F32, 4, 2);
  static float workspace[1 << 18]; // for as many threads as a machine may have
  float y[4] = {0};
  lat_plan_buffers buffers = {sizeof buffers, &x, NULL, y, sizeof y, workspace, sizeof workspace};
  lat_test_assert_ok(lat_plan_run(context, again, &buffers));
  for (int i = 0; i < 4; i++) assert_float_equal(y[i], feats[2 * i] + 10.0f * feats[2 * i + 1] + 0.5f, 0.0f);
  lat_plan_release(again);
  lat_plan_release(NULL);
  assert_null(lat_plan_retain(NULL));
}

static void *run_many(void *arg) {
  lat_test_allocator counts;
  memset(&counts, 0, sizeof counts);
  lat_context *own = lat_test_context_create(&counts, 1);
  for (int i = 0; i < 20; i++) check_run(own, &counts, arg);
  lat_test_context_finish(own, &counts);
  return NULL;
}

static void test_threads_share_a_plan(void **state) {
  (void)state;
  variant v = {LAT_DTYPE_F16, 8, 12, 1, 0, true, true, LAT_RESIDUAL_BEFORE_ACTIVATION, LAT_ACTIVATION_GELU};
  plan_case c = open_case(&routes[3], &v);
  pthread_t threads[3];
  for (int i = 0; i < 3; i++) assert_int_equal(pthread_create(&threads[i], NULL, run_many, &c), 0);
  for (int i = 0; i < 3; i++) assert_int_equal(pthread_join(threads[i], NULL), 0);
  close_case(&c);
}

// A plan made at one CPU level runs with a context of another one.
static void test_levels_meet(void **state) {
  (void)state;
  lat_test_allocator counts;
  memset(&counts, 0, sizeof counts);
  lat_context *native = context, *scalar = NULL;
  lat_context_opts opts = LAT_CONTEXT_OPTS_INIT;
  opts.allocator = lat_test_allocator_hooks(&counts);
  opts.cpu_level = LAT_CPU_LEVEL_SCALAR;
  opts.n_threads = 1;
  lat_test_assert_ok(lat_context_create(&opts, &scalar));
  variant v = {LAT_DTYPE_F32, 8, 12, 1, 0, true, true, LAT_RESIDUAL_AFTER_ACTIVATION, LAT_ACTIVATION_RELU};
  plan_case c = open_case(&routes[3], &v);
  check_run(scalar, &counts, &c);
  close_case(&c);
  context = scalar;
  c = open_case(&routes[3], &v);
  context = native;
  check_run(native, &counter, &c);
  close_case(&c);
  lat_test_context_finish(scalar, &counts);
}

static void test_explain(void **state) {
  (void)state;
  char text[LAT_PLAN_EXPLAIN_BYTES];
  variant v = {LAT_DTYPE_F32, 8, 12, 1, 0, true, true, LAT_RESIDUAL_BEFORE_ACTIVATION, LAT_ACTIVATION_LEAKY_RELU};
  plan_case c = open_case(&routes[3], &v);
  lat_test_assert_ok(lat_plan_explain(context, c.plan, text, sizeof text));
  assert_non_null(strstr(text, "subm_conv3d: gather_gemm_f32_"));
  assert_non_null(strstr(text, ", 600 x 8 to 600 x 12, 27 kernel elements, "));
  assert_non_null(strstr(text, " pairs, bias + norm + residual + leaky_relu"));
  memset(text, 'x', sizeof text);
  lat_test_assert_ok(lat_plan_explain(context, c.plan, text, 6));
  assert_string_equal(text, "subm_");
  close_case(&c);
  v.residual = LAT_RESIDUAL_NONE;
  v.activation = -1;
  v.has_bias = v.has_norm = false;
  c = open_case(&routes[11], &v);
  lat_test_assert_ok(lat_plan_explain(context, c.plan, text, sizeof text));
  assert_non_null(strstr(text, "linear: identity_gemm_f32_"));
  assert_non_null(strstr(text, "1 kernel elements, 600 pairs"));
  assert_null(strchr(text, '+'));
  close_case(&c);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test_setup_teardown(test_every_epilogue, set_up, tear_down),
      cmocka_unit_test_setup_teardown(test_every_route, set_up, tear_down),
      cmocka_unit_test_setup_teardown(test_bare_plan, set_up, tear_down),
      cmocka_unit_test_setup_teardown(test_empty, set_up, tear_down),
      cmocka_unit_test_setup_teardown(test_linear_promotes, set_up, tear_down),
      cmocka_unit_test_setup_teardown(test_outlives_its_inputs, set_up, tear_down),
      cmocka_unit_test_setup_teardown(test_threads_share_a_plan, set_up, tear_down),
      cmocka_unit_test_setup_teardown(test_levels_meet, set_up, tear_down),
      cmocka_unit_test_setup_teardown(test_explain, set_up, tear_down),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
