// Groups in every convolution: each group is a convolution of its own channels, bit for bit; layouts, packed weights, the
// depthwise form, what is refused.
//
// covers: lat_conv3d lat_subm_conv3d lat_conv_transpose3d lat_generative_conv_transpose3d lat_inverse_conv3d
// covers: lat_normalized_subm_conv3d lat_conv3d_algorithm lat_conv3d_backward
#include <stdlib.h>
#include <string.h>

#include <lattice/lattice.h>

#include "support/tensor_cases.h"
#include "support/test_allocator.h"
#include "support/test_support.h"

typedef lat_status (*conv_fn)(lat_context *, const lat_tensor *, const lat_weight *, const lat_array_view *,
                              const lat_conv3d_opts *, lat_tensor **);
static const conv_fn convs[] = {lat_conv3d,           lat_subm_conv3d,
                                lat_conv_transpose3d, lat_generative_conv_transpose3d,
                                lat_inverse_conv3d,   lat_normalized_subm_conv3d};
enum { N_CONVS = sizeof convs / sizeof convs[0], N = 700, MAX_CHANNELS = 70, K = 27 };

static lat_test_allocator counter;
static lat_context *context;
static lat_coords *coords;
static float values[K * MAX_CHANNELS * MAX_CHANNELS];

static int set_up(void **state) {
  (void)state;
  memset(&counter, 0, sizeof counter);
  context = lat_test_context_create(&counter, 2);
  lat_test_random random = {11, 0};
  int32_t *rows = lat_test_random_rows(&random, N, 2, 6, 0);
  coords = lat_test_coords(context, rows, N);
  free(rows);
  for (size_t i = 0; i < sizeof values / sizeof values[0]; i++) {
    values[i] = (float)lat_test_uniform(&random, -1.0, 1.0);
  }
  return 0;
}

static int tear_down(void **state) {
  (void)state;
  lat_coords_release(coords);
  lat_test_context_finish(context, &counter);
  return 0;
}

/// Channels [first, first + n) of `channels` random ones.
static lat_tensor *make_tensor(int64_t channels, int64_t first, int64_t n, lat_dtype dtype) {
  double *feats = malloc((size_t)(N * n) * sizeof *feats);
  for (int64_t i = 0; i < N * n; i++) feats[i] = (double)values[(i / n * channels + first + i % n) % 4999];
  lat_tensor *x = lat_test_tensor_on(context, coords, feats, n, dtype, NULL);
  free(feats);
  return x;
}

/// Output channels [first, first + n) of the 5-D weight of `depth` input channels.
static lat_array *make_weight(int64_t depth, int64_t first, int64_t n, int64_t volume, lat_dtype dtype) {
  int32_t size = volume == K ? 3 : volume == 8 ? 2 : 1;
  lat_array *weight = NULL;
  lat_array_view view =
      lat_view(values + first * volume * depth, LAT_DTYPE_F32, 5, (const int64_t[5]){n, size, size, size, depth});
  lat_test_assert_ok(lat_array_cast(context, &view, dtype, &weight));
  return weight;
}

static lat_conv3d_opts opts_for(int which, int64_t volume) {
  lat_conv3d_opts opts = LAT_CONV3D_OPTS_INIT;
  opts.kernel_size = lat_triple_all(volume == K ? 3 : volume == 8 ? 2 : 1);
  opts.stride = lat_triple_all(1);
  if (convs[which] == lat_inverse_conv3d) opts.coordinates = coords;
  return opts;
}

static lat_tensor *run(int which, const lat_tensor *x, const lat_array *weight, const float *bias, int64_t c_out,
                       const lat_conv3d_opts *opts) {
  lat_tensor *y = NULL;
  lat_weight w = lat_weight_dense(lat_array_as_view(weight));
  lat_array_view bias_view = lat_view_1d(bias, LAT_DTYPE_F32, c_out);
  lat_test_assert_ok(convs[which](context, x, &w, &bias_view, opts, &y));
  return y;
}

typedef struct group_case {
  int32_t groups;
  int64_t depth, width; ///< channels of one group
  int64_t volume;
  lat_dtype dtype;
} group_case;

static void check_groups(int which, const group_case *g) {
  int64_t c_in = g->groups * g->depth, c_out = g->groups * g->width;
  lat_conv3d_opts opts = opts_for(which, g->volume), whole = opts;
  lat_tensor *x = make_tensor(c_in, 0, c_in, g->dtype);
  lat_array *weight = make_weight(g->depth, 0, c_out, g->volume, g->dtype);
  whole.groups = g->groups;
  lat_tensor *y = run(which, x, weight, values, c_out, &whole);
  size_t item = lat_dtype_bytes(g->dtype), run_bytes = (size_t)g->width * item;
  for (int64_t group = 0; group < g->groups; group++) {
    lat_tensor *part_x = make_tensor(c_in, group * g->depth, g->depth, g->dtype);
    lat_array *part_weight = make_weight(g->depth, group * g->width, g->width, g->volume, g->dtype);
    lat_tensor *part = run(which, part_x, part_weight, values + group * g->width, g->width, &opts);
    assert_int_equal(lat_tensor_count(part), lat_tensor_count(y));
    for (int64_t r = 0; r < lat_tensor_count(y); r++) {
      const char *got = (const char *)lat_tensor_feats(y).data + (size_t)(r * c_out + group * g->width) * item;
      const char *expected = (const char *)lat_tensor_feats(part).data + (size_t)r * run_bytes;
      if (memcmp(got, expected, run_bytes) != 0) {
        fail_msg("operator %d, group %d of %d (%d to %d channels, volume %d): other bits in row %d", which, (int)group,
                 (int)g->groups, (int)g->depth, (int)g->width, (int)g->volume, (int)r);
      }
    }
    lat_tensor_release(part);
    lat_tensor_release(part_x);
    lat_array_release(part_weight);
  }
  lat_tensor_release(y);
  lat_tensor_release(x);
  lat_array_release(weight);
}

static void test_groups_are_convolutions(void **state) {
  (void)state;
  static const group_case cases[] = {
      {2, 3, 5, K, LAT_DTYPE_F32},  {3, 8, 16, K, LAT_DTYPE_F32}, {2, 16, 32, K, LAT_DTYPE_F16},
      {4, 2, 1, K, LAT_DTYPE_BF16}, {5, 1, 3, 1, LAT_DTYPE_F32},  {2, 7, 9, 1, LAT_DTYPE_F16},
      {13, 1, 1, K, LAT_DTYPE_F32}, {16, 1, 1, 1, LAT_DTYPE_F32}, {24, 1, 1, K, LAT_DTYPE_F16},
      {9, 1, 1, K, LAT_DTYPE_BF16},
  };
  for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
    for (int which = 0; which < N_CONVS; which++) {
      if (convs[which] == lat_generative_conv_transpose3d && cases[i].volume == K && i > 3) continue; // many rows
      check_groups(which, &cases[i]);
    }
  }
}

static void test_layouts(void **state) {
  (void)state;
  enum { GROUPS = 2, DEPTH = 3, WIDTH = 5, C_OUT = GROUPS * WIDTH };
  static float major[K * DEPTH * C_OUT];
  lat_tensor *x = make_tensor(GROUPS * DEPTH, 0, GROUPS * DEPTH, LAT_DTYPE_F32), *y[2] = {NULL, NULL};
  for (int64_t volume = 1; volume <= K; volume += K - 1) {
    for (int64_t i = 0; i < volume * DEPTH * C_OUT; i++) {
      int64_t co = i % C_OUT, ci = i / C_OUT % DEPTH, k = i / C_OUT / DEPTH;
      major[i] = values[(co * volume + k) * DEPTH + ci];
    }
    lat_array *dense = make_weight(DEPTH, 0, C_OUT, volume, LAT_DTYPE_F32);
    lat_conv3d_opts opts = opts_for(0, volume);
    opts.groups = GROUPS;
    lat_weight weights[3] = {
        lat_weight_dense(lat_array_as_view(dense)),
        lat_weight_dense(lat_view(major, LAT_DTYPE_F32, 3, (const int64_t[3]){volume, DEPTH, C_OUT})),
        lat_weight_dense(lat_view_2d(values, LAT_DTYPE_F32, C_OUT, DEPTH))};
    lat_test_assert_ok(lat_conv3d(context, x, &weights[0], NULL, &opts, &y[0]));
    for (int i = 1; i < (volume == 1 ? 3 : 2); i++) {
      lat_test_assert_ok(lat_conv3d(context, x, &weights[i], NULL, &opts, &y[1]));
      lat_test_assert_same_view(lat_tensor_feats(y[0]), lat_tensor_feats(y[1]));
      lat_tensor_release(y[1]);
    }
    lat_tensor_release(y[0]);
    lat_array_release(dense);
  }
  lat_tensor_release(x);
}

/// A packed weight and its dequantized twin give the same bits.
static void check_packed(int32_t groups, int64_t depth, int64_t width, int64_t volume) {
  int64_t c_in = groups * depth, c_out = groups * width;
  lat_tensor *x = make_tensor(c_in, 0, c_in, LAT_DTYPE_F32), *y[2] = {NULL, NULL};
  lat_array *dense = make_weight(depth, 0, c_out, volume, LAT_DTYPE_F32), *unpacked = NULL;
  lat_array_view view = lat_array_as_view(dense);
  lat_quantized_weight *packed = NULL;
  lat_conv3d_opts opts = opts_for(0, volume);
  opts.groups = groups;
  lat_test_assert_ok(lat_quantize_weight(context, &view, NULL, &packed));
  lat_test_assert_ok(lat_dequantize_weight(context, packed, &unpacked));
  lat_weight weights[2] = {lat_weight_packed(packed), lat_weight_dense(lat_array_as_view(unpacked))};
  for (int i = 0; i < 2; i++) lat_test_assert_ok(lat_conv3d(context, x, &weights[i], NULL, &opts, &y[i]));
  lat_test_assert_same_view(lat_tensor_feats(y[0]), lat_tensor_feats(y[1]));
  for (int i = 0; i < 2; i++) lat_tensor_release(y[i]);
  lat_array_release(unpacked);
  lat_quantized_weight_release(packed);
  lat_array_release(dense);
  lat_tensor_release(x);
}

static void test_packed(void **state) {
  (void)state;
  for (int64_t volume = 1; volume <= K; volume += K - 1) {
    check_packed(2, 35, 11, volume);
    check_packed(12, 1, 1, volume);
  }
}

static void test_algorithm(void **state) {
  (void)state;
  char name[LAT_ALGORITHM_NAME_BYTES];
  lat_tensor *x = make_tensor(8, 0, 8, LAT_DTYPE_F32);
  lat_array *weight = make_weight(1, 0, 8, K, LAT_DTYPE_F32);
  lat_weight w = lat_weight_dense(lat_array_as_view(weight));
  lat_conv3d_opts opts = opts_for(0, K);
  opts.groups = 8;
  lat_test_assert_ok(lat_conv3d_algorithm(context, x, &w, &opts, name, sizeof name));
  assert_memory_equal(name, "depthwise_f32_", 14);
  lat_array_release(weight);
  weight = make_weight(2, 0, 8, K, LAT_DTYPE_F32);
  w = lat_weight_dense(lat_array_as_view(weight));
  opts.groups = 4;
  lat_test_assert_ok(lat_conv3d_algorithm(context, x, &w, &opts, name, sizeof name));
  assert_memory_equal(name, "gather_gemm_f32_", 16);
  lat_array_release(weight);
  lat_tensor_release(x);
}

static void refuse(int which, const lat_tensor *x, int64_t depth, int64_t c_out, int32_t groups, lat_status expected,
                   const char *fragment) {
  lat_tensor *out = (lat_tensor *)x;
  lat_weight weight = lat_weight_dense(lat_view(values, LAT_DTYPE_F32, 3, (const int64_t[3]){K, depth, c_out}));
  lat_conv3d_opts opts = opts_for(which, K);
  opts.groups = groups;
  lat_test_assert_error(convs[which](context, x, &weight, NULL, &opts, &out), expected, fragment);
  assert_null(out);
}

static void test_refusals(void **state) {
  (void)state;
  lat_tensor *x = make_tensor(8, 0, 8, LAT_DTYPE_F32);
  lat_array_view dense = lat_view(values, LAT_DTYPE_F32, 3, (const int64_t[3]){K, 8, 8});
  lat_quantized_weight *packed = NULL;
  lat_test_assert_ok(lat_quantize_weight(context, &dense, NULL, &packed));
  for (int which = 0; which < N_CONVS; which++) {
    refuse(which, x, 4, 8, -2, LAT_STATUS_INVALID_ARGUMENT, "groups must be positive: got -2, expected 1 or more");
    refuse(which, x, 4, 8, 3, LAT_STATUS_INVALID_SHAPE,
           "groups must divide x.channels: got 3 groups, expected a divisor of 8");
    refuse(which, x, 4, 7, 2, LAT_STATUS_INVALID_SHAPE, "groups must divide output channels: got 2 groups");
    refuse(which, x, 8, 8, 2, LAT_STATUS_INVALID_SHAPE,
           "weight input channels must match x.channels / groups: got 8, expected 4");
    if (convs[which] == lat_normalized_subm_conv3d) continue;
    lat_tensor *out = x;
    lat_weight weight = lat_weight_packed(packed);
    lat_conv3d_opts opts = opts_for(which, K);
    opts.groups = 2;
    lat_test_assert_error(convs[which](context, x, &weight, NULL, &opts, &out), LAT_STATUS_INVALID_SHAPE,
                          "quantized weight input channels must match x.channels / groups");
    assert_null(out);
    opts.groups = 1;
    opts.eps = 0.5;
    out = x;
    lat_test_assert_error(convs[which](context, x, &weight, NULL, &opts, &out), LAT_STATUS_INVALID_ARGUMENT,
                          "eps is for normalized convolutions");
    assert_null(out);
  }
  lat_quantized_weight_release(packed);
  lat_tensor_release(x);
}

/// A packed weight and its dequantized twin give x the same gradient.
static void test_packed_gradient(void **state) {
  (void)state;
  static const int64_t sizes[3][3] = {{2, 35, 11}, {3, 64, 20}, {12, 1, 1}}; // groups, depth, width
  for (int i = 0; i < 6; i++) {
    int64_t groups = sizes[i % 3][0], depth = sizes[i % 3][1], width = sizes[i % 3][2], volume = i < 3 ? K : 1;
    if (volume * depth * groups * width > (int64_t)(sizeof values / sizeof values[0])) continue;
    lat_tensor *x = make_tensor(groups * depth, 0, groups * depth, LAT_DTYPE_F32);
    lat_array *dense = make_weight(depth, 0, groups * width, volume, LAT_DTYPE_F32), *unpacked = NULL;
    lat_array_view view = lat_array_as_view(dense), g = lat_view_2d(values, LAT_DTYPE_F32, N, groups * width);
    lat_quantized_weight *packed = NULL;
    lat_conv3d_opts forward = opts_for(0, volume);
    lat_conv3d_backward_opts opts = LAT_CONV3D_BACKWARD_OPTS_INIT;
    lat_conv_grads grads[2];
    forward.groups = (int32_t)groups;
    opts.forward = &forward;
    opts.grads = LAT_GRAD_X;
    lat_test_assert_ok(lat_quantize_weight(context, &view, NULL, &packed));
    lat_test_assert_ok(lat_dequantize_weight(context, packed, &unpacked));
    lat_weight weights[2] = {lat_weight_packed(packed), lat_weight_dense(lat_array_as_view(unpacked))};
    for (int w = 0; w < 2; w++) {
      lat_test_assert_ok(lat_conv3d_backward(context, x, &weights[w], &g, &opts, &grads[w]));
    }
    lat_test_assert_same_view(lat_array_as_view(grads[0].x), lat_array_as_view(grads[1].x));
    for (int w = 0; w < 2; w++) lat_array_release(grads[w].x);
    lat_array_release(unpacked);
    lat_quantized_weight_release(packed);
    lat_array_release(dense);
    lat_tensor_release(x);
  }
}

// The sum 1 + 2^-11 + 2^-24 rounds up to the next float16, 1 + 2^-10; through float32 it becomes a tie, which rounds down to
// 1. The same with bfloat16: 1 + 2^-8 + 2^-30.
static void test_bias_gradient_rounds_once(void **state) {
  (void)state;
  static const uint16_t parts[2][3] = {{0x3C00, 0x1000, 0x0001}, {0x3F80, 0x3B80, 0x3080}};
  static const lat_dtype dtypes[2] = {LAT_DTYPE_F16, LAT_DTYPE_BF16};
  static const uint16_t expected[2] = {0x3C01, 0x3F81};
  uint16_t g[N] = {0};
  for (int i = 0; i < 2; i++) {
    lat_tensor *x = make_tensor(1, 0, 1, dtypes[i]);
    lat_array *weight = make_weight(1, 0, 1, 1, dtypes[i]);
    lat_weight w = lat_weight_dense(lat_array_as_view(weight));
    lat_conv3d_opts forward = opts_for(0, 1);
    lat_conv3d_backward_opts opts = LAT_CONV3D_BACKWARD_OPTS_INIT;
    lat_conv_grads grads;
    for (int p = 0; p < 3; p++) g[p] = parts[i][p];
    lat_array_view view = lat_view_2d(g, dtypes[i], N, 1);
    opts.forward = &forward;
    opts.grads = LAT_GRAD_BIAS;
    lat_test_assert_ok(lat_conv3d_backward(context, x, &w, &view, &opts, &grads));
    assert_int_equal(*(const uint16_t *)lat_array_as_view(grads.bias).data, expected[i]);
    lat_array_release(grads.bias);
    lat_array_release(weight);
    lat_tensor_release(x);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_groups_are_convolutions),
      cmocka_unit_test(test_layouts),
      cmocka_unit_test(test_packed),
      cmocka_unit_test(test_algorithm),
      cmocka_unit_test(test_refusals),
      cmocka_unit_test(test_packed_gradient),
      cmocka_unit_test(test_bias_gradient_rounds_once),
  };
  return cmocka_run_group_tests(tests, set_up, tear_down);
}
