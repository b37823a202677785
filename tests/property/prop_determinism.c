// One network, every operation of the quickstart in it, on random clouds: the same bits for 1, 2 and 5 threads, in a
// second run, and on a host executor that runs its jobs one after the other in reverse order; float32 convolution and
// linear layers also at every CPU level; and the rows of a batch item do not depend on the other items.
// covers: lat_linear lat_pool3d lat_global_pool lat_batch_norm lat_layer_norm lat_rms_norm lat_cast lat_gelu lat_relu
// covers: lat_sparse_add lat_sparse_cat_aligned lat_neighbors_create_radius lat_gather_neighbor_features
// covers: lat_array_uniform lat_quantize_weight

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <lattice/lattice.h>

#include "support/test_support.h"

#define MAX_RESULTS 64
#define CHANNELS 8
#define WIDTH 16

/// A cloud to run over: `n_points` in a box of `extent` metres, in `n_items` batch items, voxels of one metre.
typedef struct cloud {
  int64_t n_points;
  double extent;
  int32_t n_items;
  lat_dtype dtype;
  uint64_t seed;
} cloud;

static const cloud clouds[] = {
    {0, 4.0, 1, LAT_DTYPE_F32, 1},      {1, 4.0, 1, LAT_DTYPE_F32, 2},    {700, 9.0, 3, LAT_DTYPE_F32, 3},
    {700, 9.0, 3, LAT_DTYPE_F16, 4},    {700, 9.0, 3, LAT_DTYPE_BF16, 7}, {3000, 26.0, 2, LAT_DTYPE_F16, 5},
    {18000, 60.0, 2, LAT_DTYPE_F32, 6},
};

#define N_CLOUDS (sizeof clouds / sizeof clouds[0])

/// The results of a run in the order they were made, each by name, size and hash.
typedef struct trace {
  int n;
  struct {
    const char *name;
    int64_t bytes;
    uint64_t hash;
    int level_free; ///< must not depend on the CPU level
  } result[MAX_RESULTS];
} trace;

static uint64_t hash_bytes(const void *data, int64_t bytes) {
  const unsigned char *p = data;
  uint64_t hash = UINT64_C(0xcbf29ce484222325);
  for (; bytes >= 8; bytes -= 8, p += 8) {
    uint64_t word = 0;
    memcpy(&word, p, 8);
    hash = (hash ^ word) * UINT64_C(0x100000001b3);
    hash ^= hash >> 32;
  }
  for (; bytes > 0; bytes--) hash = (hash ^ *p++) * UINT64_C(0x100000001b3);
  return hash;
}

static void record(trace *t, const char *name, const void *data, int64_t bytes, int level_free) {
  assert_true(t->n < MAX_RESULTS);
  t->result[t->n].name = name;
  t->result[t->n].bytes = bytes;
  t->result[t->n].hash = hash_bytes(data, bytes);
  t->result[t->n].level_free = level_free;
  t->n++;
}

static void record_array(trace *t, const char *name, const lat_array *array) {
  lat_array_view view = lat_array_as_view(array);
  record(t, name, view.data, lat_array_count(array) * (int64_t)lat_dtype_bytes(view.dtype), 0);
}

/// Coordinates and features.
static void record_tensor(trace *t, const char *name, const lat_tensor *x, int level_free) {
  const lat_coords *coords = lat_tensor_coords(x);
  record(t, name, lat_coords_rows(coords).data, lat_coords_count(coords) * 16, 1);
  record(t, name, lat_tensor_feats(x).data,
         lat_tensor_count(x) * lat_tensor_channels(x) * (int64_t)lat_dtype_bytes(lat_tensor_dtype(x)), level_free);
}

// --- random inputs: the same for every context, because they depend on seed and stream alone ---

static lat_array *uniform(lat_context *context, lat_dtype dtype, int32_t rank, const int64_t *shape, double bound,
                          uint64_t stream) {
  const double range[2] = {-bound, bound};
  lat_array *array = NULL;
  lat_test_assert_ok(lat_array_uniform(context, dtype, rank, shape, range, stream, &array));
  return array;
}

static lat_array *kernel_weight(lat_context *context, lat_dtype dtype, int64_t c_out, int64_t c_in, int64_t size,
                                uint64_t stream) {
  const int64_t shape[5] = {c_out, size, size, size, c_in};
  return uniform(context, dtype, 5, shape, sqrt(3.0 / (double)(c_in * size * size * size)), stream);
}

static lat_tensor *voxels_of(lat_context *context, const cloud *c, const lat_array_view *points, trace *t) {
  lat_array *features = uniform(context, LAT_DTYPE_F32, 2, (int64_t[]){c->n_points, CHANNELS}, 1.0, 2);
  int32_t *items = calloc((size_t)c->n_points + 1, sizeof *items);
  for (int64_t i = 0; i < c->n_points; i++) {
    uint32_t words[4];
    lat_random_block(c->seed, 3, (uint64_t)i, words);
    items[i] = (int32_t)(words[0] % (uint32_t)c->n_items);
  }
  lat_array_view feature_view = lat_array_as_view(features);
  lat_array_view item_view = lat_view_1d(items, LAT_DTYPE_I32, c->n_points);
  lat_voxel_grid grid = lat_voxel_grid_cube(1.0);
  lat_tensor *voxels = NULL, *x = NULL;
  grid.batch_indices = &item_view;
  lat_test_assert_ok(lat_voxelize(context, points, &feature_view, &grid, LAT_VOXEL_MEAN, &voxels));
  record_tensor(t, "voxelize", voxels, 1);
  lat_test_assert_ok(lat_cast(context, voxels, c->dtype, &x));
  lat_tensor_release(voxels);
  lat_array_release(features);
  free(items);
  return x;
}

// --- the network ---

/// Convolutions and linear layers, dense and packed. Returns the submanifold result.
static lat_tensor *run_convolutions(lat_context *context, const lat_tensor *x, trace *t) {
  lat_dtype dtype = lat_tensor_dtype(x);
  int exact = dtype == LAT_DTYPE_F32;
  lat_array *w[4] = {
      kernel_weight(context, dtype, WIDTH, CHANNELS, 3, 11),
      kernel_weight(context, dtype, WIDTH, WIDTH, 3, 12),
      kernel_weight(context, dtype, WIDTH + 5, WIDTH, 2, 13),
      uniform(context, dtype, 2, (int64_t[]){WIDTH + 3, WIDTH}, 0.4, 14),
  };
  lat_array *bias = uniform(context, LAT_DTYPE_F32, 1, (int64_t[]){WIDTH}, 0.1, 15);
  lat_array_view bias_view = lat_array_as_view(bias);
  lat_weight dense[4];
  lat_array_view view[4];
  for (int i = 0; i < 4; i++) view[i] = lat_array_as_view(w[i]);
  for (int i = 0; i < 4; i++) dense[i] = lat_weight_dense(view[i]);
  lat_quantized_weight *packed_conv = NULL, *packed_linear = NULL;
  lat_quantize_opts eight = LAT_QUANTIZE_OPTS_INIT;
  eight.bits = 8;
  lat_array *wide_conv = kernel_weight(context, LAT_DTYPE_F32, WIDTH, WIDTH, 3, 16);
  lat_array *wide_linear = uniform(context, LAT_DTYPE_F32, 2, (int64_t[]){WIDTH + 3, WIDTH}, 0.4, 17);
  lat_array_view conv_view = lat_array_as_view(wide_conv), linear_view = lat_array_as_view(wide_linear);
  lat_test_assert_ok(lat_quantize_weight(context, &conv_view, NULL, &packed_conv));
  lat_test_assert_ok(lat_quantize_weight(context, &linear_view, &eight, &packed_linear));
  lat_weight packed[2] = {lat_weight_packed(packed_conv), lat_weight_packed(packed_linear)};
  lat_conv3d_opts strided = LAT_CONV3D_OPTS_INIT, shifted = LAT_CONV3D_OPTS_INIT;
  strided.kernel_size = strided.stride = lat_triple_all(2);
  shifted.padding = (lat_triple){1, 0, 2};
  lat_tensor *y[7] = {NULL};
  lat_test_assert_ok(lat_conv3d(context, x, &dense[0], &bias_view, NULL, &y[0]));
  lat_test_assert_ok(lat_subm_conv3d(context, y[0], &dense[1], &bias_view, NULL, &y[1]));
  lat_test_assert_ok(lat_conv3d(context, y[1], &dense[2], NULL, &strided, &y[2]));
  lat_test_assert_ok(lat_conv3d(context, y[1], &dense[1], NULL, &shifted, &y[3]));
  lat_test_assert_ok(lat_linear(context, y[1], &dense[3], NULL, &y[4]));
  lat_test_assert_ok(lat_conv3d(context, y[1], &packed[0], &bias_view, NULL, &y[5]));
  lat_test_assert_ok(lat_linear(context, y[1], &packed[1], NULL, &y[6]));
  static const char *const names[7] = {"conv3d", "subm_conv3d",   "strided conv3d", "padded conv3d",
                                       "linear", "packed conv3d", "packed linear"};
  for (int i = 0; i < 7; i++) record_tensor(t, names[i], y[i], exact);
  for (int i = 0; i < 7; i++) {
    if (i != 1) lat_tensor_release(y[i]);
  }
  lat_quantized_weight_release(packed_linear);
  lat_quantized_weight_release(packed_conv);
  lat_array_release(wide_linear);
  lat_array_release(wide_conv);
  lat_array_release(bias);
  for (int i = 0; i < 4; i++) lat_array_release(w[i]);
  return y[1];
}

static void run_features(lat_context *context, const lat_tensor *h, trace *t) {
  static const char *const names[7] = {"batch_norm", "layer_norm", "rms_norm", "relu",
                                       "gelu",       "gelu tanh",  "gelu fast"};
  lat_tensor *y[7] = {NULL};
  lat_test_assert_ok(lat_batch_norm(context, h, NULL, &y[0]));
  lat_test_assert_ok(lat_layer_norm(context, h, NULL, &y[1]));
  lat_test_assert_ok(lat_rms_norm(context, h, NULL, &y[2]));
  lat_test_assert_ok(lat_relu(context, h, &y[3]));
  lat_test_assert_ok(lat_gelu(context, h, LAT_GELU_NONE, &y[4]));
  lat_test_assert_ok(lat_gelu(context, h, LAT_GELU_TANH, &y[5]));
  lat_test_assert_ok(lat_gelu(context, h, LAT_GELU_FAST, &y[6]));
  for (int i = 0; i < 7; i++) record_tensor(t, names[i], y[i], 0);
  for (int i = 0; i < 7; i++) lat_tensor_release(y[i]);
}

static void run_pools(lat_context *context, const lat_tensor *h, const cloud *c, trace *t) {
  static const lat_pool_mode modes[3] = {LAT_POOL_SUM, LAT_POOL_MAX, LAT_POOL_AVG};
  lat_kernel_opts opts = LAT_KERNEL_OPTS_INIT;
  opts.kernel_size = lat_triple_all(3);
  opts.stride = lat_triple_all(2);
  for (int m = 0; m < 3; m++) {
    lat_tensor *pooled = NULL;
    lat_array *summary = NULL;
    lat_test_assert_ok(lat_pool3d(context, h, modes[m], &opts, &pooled));
    record_tensor(t, "pool3d", pooled, 0);
    lat_tensor_release(pooled);
    if (modes[m] == LAT_POOL_MAX && c->n_points < 100) continue; // an empty item has no maximum
    lat_test_assert_ok(lat_global_pool(context, h, modes[m], c->n_items, &summary));
    record_array(t, "global_pool", summary);
    lat_array_release(summary);
  }
}

/// Joins h with a tensor on every other row of its set and some rows beside it.
static void run_algebra(lat_context *context, const lat_tensor *h, trace *t) {
  int64_t n = lat_tensor_count(h);
  const int32_t *rows = lat_coords_rows(lat_tensor_coords(h)).data;
  int32_t *other = calloc((size_t)n + 1, 4 * sizeof *other);
  for (int64_t r = 0; r < n; r++) {
    memcpy(other + 4 * r, rows + 4 * (n - 1 - r), 4 * sizeof *other);
    if (r % 2) other[4 * r + 1] += 1000;
  }
  lat_array_view view = lat_view_2d(other, LAT_DTYPE_I32, n, 4);
  lat_coords *set = NULL;
  lat_tensor *b = NULL;
  lat_test_assert_ok(lat_coords_create(context, &view, NULL, &set));
  lat_test_assert_ok(lat_tensor_share(context, set, lat_tensor_feats_array(h), NULL, &b));
  for (int join = LAT_JOIN_INNER; join <= LAT_JOIN_OUTER; join++) {
    lat_tensor *sum = NULL, *merged = NULL;
    lat_test_assert_ok(lat_sparse_add(context, h, b, (lat_join)join, &sum));
    lat_test_assert_ok(lat_sparse_cat_aligned(context, h, b, (lat_join)join, &merged));
    record_tensor(t, "sparse_add", sum, 1);
    record_tensor(t, "sparse_cat_aligned", merged, 1);
    lat_tensor_release(merged);
    lat_tensor_release(sum);
  }
  lat_tensor_release(b);
  lat_coords_release(set);
  free(other);
}

static void run_points_and_neighbours(lat_context *context, const lat_tensor *h, const lat_array_view *points,
                                      trace *t) {
  lat_voxel_grid grid = lat_voxel_grid_cube(1.0);
  lat_array *linear = NULL, *nearest = NULL, *gathered = NULL;
  lat_neighbors *neighbors = NULL;
  lat_radius_opts ball = LAT_RADIUS_OPTS_INIT;
  lat_array_view feats = lat_tensor_feats(h);
  ball.radius = 1.5;
  ball.max_neighbors = 5;
  lat_test_assert_ok(lat_devoxelize(context, points, h, &grid, LAT_INTERPOLATION_LINEAR, &linear));
  lat_test_assert_ok(lat_devoxelize(context, points, h, &grid, LAT_INTERPOLATION_NEAREST, &nearest));
  lat_test_assert_ok(lat_neighbors_create_radius(context, lat_tensor_coords(h), NULL, &ball, &neighbors));
  lat_test_assert_ok(lat_gather_neighbor_features(context, &feats, neighbors, &gathered));
  lat_neighbor_list list = lat_neighbors_edges(neighbors);
  record_array(t, "devoxelize linear", linear);
  record_array(t, "devoxelize nearest", nearest);
  record(t, "neighbour sources", list.source_rows, list.n_edges * 4, 1);
  record(t, "neighbour distances", list.squared_distances, list.n_edges * 4, 1);
  record_array(t, "gather_neighbor_features", gathered);
  lat_array_release(gathered);
  lat_neighbors_release(neighbors);
  lat_array_release(nearest);
  lat_array_release(linear);
}

static void run_network(const cloud *c, lat_context_opts opts, trace *t) {
  lat_context *context = NULL;
  t->n = 0;
  opts.seed = c->seed;
  lat_test_assert_ok(lat_context_create(&opts, &context));
  lat_array *points = uniform(context, LAT_DTYPE_F32, 2, (int64_t[]){c->n_points, 3}, c->extent / 2, 1);
  lat_array_view point_view = lat_array_as_view(points);
  lat_tensor *x = voxels_of(context, c, &point_view, t);
  lat_tensor *h = run_convolutions(context, x, t);
  run_features(context, h, t);
  run_pools(context, h, c, t);
  run_algebra(context, h, t);
  run_points_and_neighbours(context, h, &point_view, t);
  lat_tensor_release(h);
  lat_tensor_release(x);
  lat_array_release(points);
  lat_context_destroy(context);
}

// --- the laws ---

static void expect_equal(const cloud *c, const trace *a, const trace *b, int level_free_only, const char *what) {
  assert_int_equal(a->n, b->n);
  for (int i = 0; i < a->n; i++) {
    if (level_free_only && !a->result[i].level_free) continue;
    if (a->result[i].bytes == b->result[i].bytes && a->result[i].hash == b->result[i].hash) continue;
    fail_msg("cloud of %lld points, %s, seed %llu: %s changes result %d (%s)", (long long)c->n_points,
             lat_dtype_name(c->dtype), (unsigned long long)c->seed, what, i, a->result[i].name);
  }
}

static lat_context_opts with_threads(int32_t n) {
  lat_context_opts opts = LAT_CONTEXT_OPTS_INIT;
  opts.n_threads = n;
  return opts;
}

/// What every run is compared with: one thread, the best level of this machine.
static trace base[N_CLOUDS];

static int run_bases(void **state) {
  (void)state;
  for (size_t i = 0; i < N_CLOUDS; i++) run_network(&clouds[i], with_threads(1), &base[i]);
  return 0;
}

static void runs_and_threads_change_no_bit(void **state) {
  (void)state;
  static trace other;
  for (size_t i = 0; i < N_CLOUDS; i++) {
    run_network(&clouds[i], with_threads(1), &other);
    expect_equal(&clouds[i], &base[i], &other, 0, "a second run");
    run_network(&clouds[i], with_threads(2), &other);
    expect_equal(&clouds[i], &base[i], &other, 0, "2 threads");
    run_network(&clouds[i], with_threads(5), &other);
    expect_equal(&clouds[i], &base[i], &other, 0, "5 threads");
  }
}

/// A host executor that is as unlike threads as it may be.
static void run_in_reverse(void *user, int n_jobs, void (*job)(void *arg, int index), void *arg) {
  ++*(int *)user;
  for (int i = n_jobs - 1; i >= 0; i--) job(arg, i);
}

static void executor_changes_no_bit(void **state) {
  (void)state;
  static trace other;
  int n_runs = 0;
  for (size_t i = 0; i < N_CLOUDS; i++) {
    lat_context_opts opts = with_threads(5);
    opts.executor.run = run_in_reverse;
    opts.executor.user = &n_runs;
    run_network(&clouds[i], opts, &other);
    expect_equal(&clouds[i], &base[i], &other, 0, "the host executor");
  }
  assert_true(n_runs > 0); // it was used at all
}

/// Each level is a cap: what this machine lacks falls to the best below, and is compared all the same.
static void cpu_level_changes_no_bit_of_float32_layers(void **state) {
  (void)state;
  static trace other;
  for (size_t i = 0; i < N_CLOUDS - 1; i++) { // the largest is there for its many ranges
    for (int level = LAT_CPU_LEVEL_SCALAR; level <= LAT_CPU_LEVEL_AVX512; level++) {
      lat_context_opts opts = with_threads(2);
      opts.cpu_level = (lat_cpu_level)level;
      run_network(&clouds[i], opts, &other);
      expect_equal(&clouds[i], &base[i], &other, 1, lat_cpu_level_name(opts.cpu_level));
    }
  }
}

/// Results differ where inputs do: what the comparisons above rest on.
static void other_seed_changes_the_trace(void **state) {
  (void)state;
  static trace other;
  cloud changed = clouds[2];
  changed.seed++;
  run_network(&changed, with_threads(1), &other);
  assert_int_equal(base[2].n, other.n);
  for (int i = 0; i < other.n; i++) assert_true(base[2].result[i].hash != other.result[i].hash);
}

/// A batch of two items, and the second item alone under the same batch index: its rows have the same bits.
static void other_items_change_no_bit(void **state) {
  (void)state;
  enum { N = 900 };
  static int32_t rows[2 * N][4];
  for (int i = 0; i < 2 * N; i++) {
    uint32_t word[4];
    lat_random_block(99, 0, (uint64_t)i, word);
    rows[i][0] = i / N;
    for (int a = 0; a < 3; a++) rows[i][a + 1] = (int32_t)(word[a] % 12);
  }
  lat_context_opts opts = with_threads(2);
  lat_context *context = NULL;
  lat_test_assert_ok(lat_context_create(&opts, &context));
  lat_array *feats = uniform(context, LAT_DTYPE_F32, 2, (int64_t[]){2 * N, CHANNELS}, 1.0, 1);
  lat_array *w = kernel_weight(context, LAT_DTYPE_F32, WIDTH, CHANNELS, 3, 2);
  lat_array_view both_rows = lat_view_2d(rows, LAT_DTYPE_I32, 2 * N, 4), both_feats = lat_array_as_view(feats);
  lat_array_view one_rows = lat_view_2d(rows[N], LAT_DTYPE_I32, N, 4);
  lat_array_view one_feats = lat_view_2d((const float *)both_feats.data + N * CHANNELS, LAT_DTYPE_F32, N, CHANNELS);
  lat_weight weight = lat_weight_dense(lat_array_as_view(w));
  lat_coords *both_set = NULL, *one_set = NULL;
  lat_tensor *both = NULL, *one = NULL, *both_y = NULL, *one_y = NULL;
  lat_array *both_pool = NULL, *one_pool = NULL;
  lat_test_assert_ok(lat_coords_create(context, &both_rows, NULL, &both_set));
  lat_test_assert_ok(lat_coords_create(context, &one_rows, NULL, &one_set));
  lat_test_assert_ok(lat_tensor_create(context, both_set, &both_feats, NULL, &both));
  lat_test_assert_ok(lat_tensor_create(context, one_set, &one_feats, NULL, &one));
  lat_test_assert_ok(lat_subm_conv3d(context, both, &weight, NULL, NULL, &both_y));
  lat_test_assert_ok(lat_subm_conv3d(context, one, &weight, NULL, NULL, &one_y));
  lat_test_assert_ok(lat_global_pool(context, both_y, LAT_POOL_AVG, -1, &both_pool));
  lat_test_assert_ok(lat_global_pool(context, one_y, LAT_POOL_AVG, -1, &one_pool));
  const float *both_data = lat_tensor_feats(both_y).data, *one_data = lat_tensor_feats(one_y).data;
  assert_memory_equal(both_data + N * WIDTH, one_data, N * WIDTH * sizeof(float));
  assert_memory_equal((float *)lat_array_data(both_pool) + WIDTH, (float *)lat_array_data(one_pool) + WIDTH,
                      WIDTH * sizeof(float));
  lat_array_release(one_pool);
  lat_array_release(both_pool);
  lat_tensor_release(one_y);
  lat_tensor_release(both_y);
  lat_tensor_release(one);
  lat_tensor_release(both);
  lat_coords_release(one_set);
  lat_coords_release(both_set);
  lat_array_release(w);
  lat_array_release(feats);
  lat_context_destroy(context);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(runs_and_threads_change_no_bit),
      cmocka_unit_test(executor_changes_no_bit),
      cmocka_unit_test(cpu_level_changes_no_bit_of_float32_layers),
      cmocka_unit_test(other_seed_changes_the_trace),
      cmocka_unit_test(other_items_change_no_bit),
  };
  return cmocka_run_group_tests(tests, run_bases, NULL);
}
