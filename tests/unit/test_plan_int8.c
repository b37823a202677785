// Plans with quantized features: the documented sums bit for bit, near the floating product, the same at every level and
// thread count; rows of zeros, NaN and infinities.
//
// covers: lat_conv3d_plan_create lat_linear_plan_create lat_plan_apply
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include <lattice/lattice.h>

#include "support/tensor_cases.h"
#include "support/test_allocator.h"
#include "support/test_support.h"

enum { N = 700, MOST_CHANNELS = 150 };

static lat_test_allocator counter;
static lat_context *context;
static lat_coords *coords;

static int set_up(void **state) {
  (void)state;
  memset(&counter, 0, sizeof counter);
  context = lat_test_context_create(&counter, 2);
  lat_test_random random = {3, 0};
  int32_t *rows = lat_test_random_rows(&random, N, 2, 5, 0);
  coords = lat_test_coords(context, rows, N);
  free(rows);
  return 0;
}

static int tear_down(void **state) {
  (void)state;
  lat_coords_release(coords);
  lat_test_context_finish(context, &counter);
  return 0;
}

/// x in several magnitudes, a few rows of zeros among them.
static lat_tensor *make_x(int64_t channels, lat_dtype dtype) {
  lat_test_random random = {7, 0};
  double *values = malloc(sizeof *values * (size_t)(N * channels));
  for (int64_t i = 0; i < N * channels; i++) {
    double size = i / channels % 9 == 8 ? 0.0 : pow(4.0, (double)(i / channels % 9 - 4));
    values[i] = size * lat_test_uniform(&random, -1.0, 1.0);
  }
  lat_tensor *x = lat_test_tensor_on(context, coords, values, channels, dtype, NULL);
  free(values);
  return x;
}

static lat_quantized_weight *make_weight(int64_t c_out, int32_t size, int64_t c_in, int32_t bits) {
  const int64_t shape[5] = {c_out, size, size, size, c_in};
  lat_array *dense = NULL;
  lat_quantized_weight *packed = NULL;
  const double range[2] = {-0.5, 1.0};
  lat_quantize_opts opts = {sizeof opts, bits, 32};
  lat_test_assert_ok(lat_array_uniform(context, LAT_DTYPE_F32, 5, shape, range, 5, &dense));
  lat_array_view view = lat_array_as_view(dense);
  lat_test_assert_ok(lat_quantize_weight(context, &view, &opts, &packed));
  lat_array_release(dense);
  return packed;
}

/// Element (k, co, index) of words, scales or biases, as quant.h has their storage.
static int64_t stored_at(const lat_array_view *view, int64_t k, int64_t co, int64_t index) {
  if (view->shape[0] == 1) return co * view->shape[2] + index;
  return (k * view->shape[1] + index) * view->shape[2] + co;
}

/// The sum of one edge and one output channel, on top of `sum`.
static float add_edge(const lat_quantized_info *w, const int *codes, float scale, int64_t k, int64_t co, float sum) {
  int64_t n_groups = (w->in_channels + w->group_size - 1) / w->group_size;
  for (int64_t g = 0; g < n_groups; g++) {
    long dot = 0, total = 0;
    for (int64_t ci = g * w->group_size; ci < (g + 1) * w->group_size && ci < w->in_channels; ci++) {
      uint32_t word = ((const uint32_t *)w->words.data)[stored_at(&w->words, k, co, ci * w->bits / 32)];
      dot += codes[ci] * (long)(word >> (ci * w->bits % 32) & ((1u << w->bits) - 1u));
      total += codes[ci];
    }
    float ws = ((const float *)w->scales.data)[stored_at(&w->scales, k, co, g)];
    float wb = ((const float *)w->biases.data)[stored_at(&w->biases, k, co, g)];
    sum = fmaf(scale, fmaf((float)dot, ws, (float)total * wb), sum);
  }
  return sum;
}

static void quantize(const double *x, int64_t channels, int *codes, float *scale) {
  float most = 0.0f;
  for (int64_t c = 0; c < channels; c++) most = fmaxf(most, (float)fabs(x[c]));
  *scale = most / 127.0f;
  for (int64_t c = 0; c < channels; c++) codes[c] = most > 0.0f ? (int)rintf((float)x[c] * (127.0f / most)) : 0;
}

static lat_tensor *run_weight(lat_context *runner, const lat_tensor *x, const lat_weight *weight, int32_t size) {
  lat_plan_input input = {sizeof input, lat_tensor_coords(x), lat_tensor_channels(x), lat_tensor_dtype(x)};
  lat_conv3d_opts opts = LAT_CONV3D_OPTS_INIT;
  lat_plan_opts plan_opts = LAT_PLAN_OPTS_INIT;
  opts.kernel_size = lat_triple_all(size);
  plan_opts.quantizes_features = 1;
  lat_plan *plan = NULL;
  lat_tensor *y = NULL;
  char text[LAT_PLAN_EXPLAIN_BYTES];
  lat_test_assert_ok(lat_conv3d_plan_create(runner, &input, weight, &opts, &plan_opts, &plan));
  lat_test_assert_ok(lat_plan_explain(runner, plan, text, sizeof text));
  assert_non_null(strstr(text, "conv3d: quantized_gemm_"));
  lat_test_assert_ok(lat_plan_apply(runner, plan, x, NULL, &y));
  lat_plan_release(plan);
  return y;
}

static lat_tensor *run_plan(lat_context *runner, const lat_tensor *x, const lat_quantized_weight *packed,
                            int32_t size) {
  lat_weight weight = lat_weight_packed(packed);
  return run_weight(runner, x, &weight, size);
}

/// The documented formula over the edges of the relation.
static double *expect(const lat_tensor *x, const lat_quantized_weight *packed, int32_t size) {
  lat_kernel_opts kernel = LAT_KERNEL_OPTS_INIT;
  lat_quantized_info w = lat_quantized_weight_info(packed);
  lat_relation *relation = NULL;
  lat_relation_edge_list edges;
  kernel.kernel_size = lat_triple_all(size);
  lat_test_assert_ok(lat_relation_create_subm(context, coords, &kernel, &relation));
  lat_test_assert_ok(lat_relation_edges(context, relation, &edges));
  double *values = lat_test_read_feats(x), *y = calloc((size_t)(N * w.out_channels), sizeof *y);
  int codes[MOST_CHANNELS];
  float scale = 0.0f;
  for (int64_t e = 0; e < edges.n_edges; e++) { // ordered by output row, then kernel element
    quantize(values + edges.in_rows[e] * w.in_channels, w.in_channels, codes, &scale);
    double *row = y + edges.out_rows[e] * w.out_channels;
    for (int64_t co = 0; co < w.out_channels; co++) {
      row[co] = (double)add_edge(&w, codes, scale, edges.kernel_ids[e], co, (float)row[co]);
    }
  }
  free(values);
  lat_relation_release(relation);
  return y;
}

static void check(int64_t c_in, int64_t c_out, int32_t size, int32_t bits, lat_dtype dtype) {
  lat_tensor *x = make_x(c_in, dtype), *floating = NULL;
  lat_quantized_weight *packed = make_weight(c_out, size, c_in, bits);
  lat_weight weight = lat_weight_packed(packed);
  lat_conv3d_opts opts = LAT_CONV3D_OPTS_INIT;
  opts.kernel_size = lat_triple_all(size);
  lat_tensor *y = run_plan(context, x, packed, size);
  double *expected = expect(x, packed, size);
  for (int64_t i = 0; i < N * c_out; i++) { // one rounding to the dtype
    if (dtype == LAT_DTYPE_F16) expected[i] = (double)lat_f16_to_f32(lat_f32_to_f16((float)expected[i]));
    if (dtype == LAT_DTYPE_BF16) expected[i] = (double)lat_bf16_to_f32(lat_f32_to_bf16((float)expected[i]));
  }
  lat_test_assert_values(lat_tensor_feats(y), expected, N * c_out);
  lat_test_assert_ok(lat_conv3d(context, x, &weight, NULL, &opts, &floating));
  double *near = lat_test_read_feats(floating), difference = 0.0, size_of_result = 0.0;
  for (int64_t i = 0; i < N * c_out; i++) {
    difference += (near[i] - expected[i]) * (near[i] - expected[i]);
    size_of_result += near[i] * near[i];
  }
  assert_true(sqrt(difference / size_of_result) < 0.01); // half a code in 127, averaged over many products
  free(near);
  free(expected);
  lat_tensor_release(floating);
  lat_tensor_release(y);
  lat_tensor_release(x);
  lat_quantized_weight_release(packed);
}

static void test_documented_sums(void **state) {
  (void)state;
  check(32, 16, 3, 8, LAT_DTYPE_F32);
  check(40, 11, 3, 4, LAT_DTYPE_F16);  // a group that is not full, columns that fill no vector
  check(33, 24, 1, 8, LAT_DTYPE_F32);  // an odd number of channels, no relation
  check(7, 5, 3, 8, LAT_DTYPE_BF16);   // few channels
  check(130, 33, 1, 4, LAT_DTYPE_F32); // several groups
}

/// As make_weight, dense: (c_out, size, size, size, c_in), with a column of zeros.
static lat_array *make_dense(int64_t c_out, int32_t size, int64_t c_in, lat_dtype dtype) {
  const int64_t shape[5] = {c_out, size, size, size, c_in};
  const double range[2] = {-0.5, 1.0};
  lat_array *wide = NULL, *dense = NULL;
  lat_test_assert_ok(lat_array_uniform(context, LAT_DTYPE_F32, 5, shape, range, 5, &wide));
  float *values = lat_array_data(wide);
  for (int64_t i = 0; i < size * size * size * c_in; i++) values[i] = 0.0f;
  lat_array_view view = lat_array_as_view(wide);
  lat_test_assert_ok(lat_array_cast(context, &view, dtype, &dense));
  lat_array_release(wide);
  return dense;
}

static double *read_array(const lat_array *array) {
  lat_array_view view = lat_array_as_view(array);
  lat_array *wide = NULL;
  lat_test_assert_ok(lat_array_cast(context, &view, LAT_DTYPE_F32, &wide));
  int64_t n = lat_array_count(array);
  double *values = malloc(sizeof *values * (size_t)n);
  for (int64_t i = 0; i < n; i++) values[i] = (double)((const float *)lat_array_data(wide))[i];
  lat_array_release(wide);
  return values;
}

/// The documented formula for a dense weight, before the rounding to the dtype.
static double *expect_dense(const lat_tensor *x, const lat_array *dense, int64_t c_out, int32_t size, int64_t c_in) {
  const int64_t n_weights = size * size * size * c_in;
  lat_kernel_opts kernel = LAT_KERNEL_OPTS_INIT;
  lat_relation *relation = NULL;
  lat_relation_edge_list edges;
  kernel.kernel_size = lat_triple_all(size);
  lat_test_assert_ok(lat_relation_create_subm(context, coords, &kernel, &relation));
  lat_test_assert_ok(lat_relation_edges(context, relation, &edges));
  double *values = lat_test_read_feats(x), *w = read_array(dense), *y = calloc((size_t)(N * c_out), sizeof *y);
  int *codes = malloc(sizeof *codes * (size_t)(c_out * n_weights)), x_codes[MOST_CHANNELS];
  float *scales = malloc(sizeof *scales * (size_t)c_out), scale = 0.0f;
  for (int64_t co = 0; co < c_out; co++) quantize(w + co * n_weights, n_weights, codes + co * n_weights, &scales[co]);
  for (int64_t e = 0; e < edges.n_edges; e++) {
    quantize(values + edges.in_rows[e] * c_in, c_in, x_codes, &scale);
    double *row = y + edges.out_rows[e] * c_out;
    for (int64_t co = 0; co < c_out; co++) {
      long dot = 0;
      for (int64_t ci = 0; ci < c_in; ci++) {
        dot += (long)x_codes[ci] * codes[co * n_weights + edges.kernel_ids[e] * c_in + ci];
      }
      row[co] = (double)fmaf(scale, (float)dot, (float)row[co]);
    }
  }
  for (int64_t i = 0; i < N * c_out; i++) y[i] = (double)((float)y[i] * scales[i % c_out]);
  free(values);
  free(w);
  free(codes);
  free(scales);
  lat_relation_release(relation);
  return y;
}

static void check_dense(int64_t c_in, int64_t c_out, int32_t size, lat_dtype dtype) {
  lat_tensor *x = make_x(c_in, dtype);
  lat_array *dense = make_dense(c_out, size, c_in, dtype);
  lat_weight weight = lat_weight_dense(lat_array_as_view(dense));
  lat_tensor *y = run_weight(context, x, &weight, size);
  double *expected = expect_dense(x, dense, c_out, size, c_in);
  for (int64_t i = 0; i < N * c_out; i++) {
    if (dtype == LAT_DTYPE_F16) expected[i] = (double)lat_f16_to_f32(lat_f32_to_f16((float)expected[i]));
    if (dtype == LAT_DTYPE_BF16) expected[i] = (double)lat_bf16_to_f32(lat_f32_to_bf16((float)expected[i]));
  }
  lat_test_assert_values(lat_tensor_feats(y), expected, N * c_out);
  free(expected);
  lat_tensor_release(y);
  lat_tensor_release(x);
  lat_array_release(dense);
}

static void test_dense_weights(void **state) {
  (void)state;
  check_dense(32, 16, 3, LAT_DTYPE_F32);
  check_dense(7, 11, 3, LAT_DTYPE_F16); // channels and columns that fill nothing
  check_dense(130, 70, 1, LAT_DTYPE_F32);
  check_dense(33, 40, 3, LAT_DTYPE_BF16);
}

// An output channel whose weights hold something that is not finite is NaN, the others are not.
static void test_strange_weights(void **state) {
  (void)state;
  lat_tensor *x = make_x(16, LAT_DTYPE_F32);
  lat_array *dense = make_dense(6, 1, 16, LAT_DTYPE_F32);
  float *values = lat_array_data(dense);
  values[1 * 16 + 3] = NAN;
  values[3 * 16 + 15] = -INFINITY;
  lat_weight weight = lat_weight_dense(lat_array_as_view(dense));
  lat_tensor *y = run_weight(context, x, &weight, 1);
  double *got = lat_test_read_feats(y);
  for (int64_t i = 0; i < N * 6; i++) assert_int_equal(isnan(got[i]), i % 6 == 1 || i % 6 == 3);
  free(got);
  lat_tensor_release(y);
  lat_tensor_release(x);
  lat_array_release(dense);
}

static void test_refusals(void **state) {
  (void)state;
  const int64_t grouped_shape[5] = {4, 1, 1, 1, 2}, long_shape[5] = {1, 1, 1, 1, (1 << 17) + 1};
  float *numbers = calloc((1 << 17) + 1, sizeof *numbers);
  lat_conv3d_opts opts = LAT_CONV3D_OPTS_INIT;
  lat_plan_opts plan_opts = LAT_PLAN_OPTS_INIT;
  lat_plan *plan = (lat_plan *)&counter;
  opts.kernel_size = lat_triple_all(1);
  opts.groups = 2;
  plan_opts.quantizes_features = 1;
  lat_plan_input input = {sizeof input, coords, 4, LAT_DTYPE_F32};
  lat_weight weight = lat_weight_dense(lat_view(numbers, LAT_DTYPE_F32, 5, grouped_shape));
  lat_test_assert_error(lat_conv3d_plan_create(context, &input, &weight, &opts, &plan_opts, &plan),
                        LAT_STATUS_INVALID_ARGUMENT,
                        "conv3d_plan_create: quantized features need a weight of one group: got 2 groups, expected 1");
  assert_null(plan);
  plan = (lat_plan *)&counter;
  opts.groups = 1;
  input.channels = long_shape[4];
  weight = lat_weight_dense(lat_view(numbers, LAT_DTYPE_F32, 5, long_shape));
  lat_test_assert_error(lat_conv3d_plan_create(context, &input, &weight, &opts, &plan_opts, &plan),
                        LAT_STATUS_INVALID_ARGUMENT,
                        "too many channels for quantized features: got 131073, expected at most 131072");
  assert_null(plan);
  free(numbers);
}

static void test_linear(void **state) {
  (void)state;
  lat_tensor *x = make_x(48, LAT_DTYPE_F32), *y = NULL;
  lat_quantized_weight *packed = make_weight(9, 1, 48, 8);
  lat_weight weight = lat_weight_packed(packed);
  lat_plan_input input = {sizeof input, coords, 48, LAT_DTYPE_F32};
  lat_plan_opts opts = LAT_PLAN_OPTS_INIT;
  opts.quantizes_features = 1;
  lat_plan *plan = NULL;
  lat_test_assert_ok(lat_linear_plan_create(context, &input, &weight, &opts, &plan));
  lat_test_assert_ok(lat_plan_apply(context, plan, x, NULL, &y));
  double *expected = expect(x, packed, 1);
  lat_test_assert_values(lat_tensor_feats(y), expected, N * 9);
  free(expected);
  lat_plan_release(plan);
  lat_tensor_release(y);
  lat_tensor_release(x);
  lat_quantized_weight_release(packed);
}

static void test_levels_and_threads(void **state) {
  (void)state;
  lat_tensor *x = make_x(64, LAT_DTYPE_F32);
  lat_quantized_weight *packed = make_weight(40, 3, 64, 8);
  lat_tensor *base = run_plan(context, x, packed, 3);
  for (int i = 0; i < 3; i++) {
    lat_context_opts opts = LAT_CONTEXT_OPTS_INIT;
    lat_context *other = NULL;
    opts.cpu_level = (lat_cpu_level[]){LAT_CPU_LEVEL_SCALAR, LAT_CPU_LEVEL_AVX2, LAT_CPU_LEVEL_AVX512}[i];
    opts.n_threads = 1 + 2 * i;
    lat_test_assert_ok(lat_context_create(&opts, &other));
    lat_tensor *y = run_plan(other, x, packed, 3);
    lat_test_assert_same_view(lat_tensor_feats(y), lat_tensor_feats(base));
    lat_tensor_release(y);
    lat_context_destroy(other);
  }
  lat_tensor_release(base);
  lat_tensor_release(x);
  lat_quantized_weight_release(packed);
}

// What is not finite stays in the rows that it meets; the largest and the smallest numbers do not overflow a code.
static void test_strange_rows(void **state) {
  (void)state;
  enum { C = 32 };
  const double odd[] = {NAN, INFINITY, -INFINITY, 3e38, 1e-45, -1e-40, 0.0, -0.0};
  double *values = calloc((size_t)N * C, sizeof *values);
  for (int r = 0; r < N; r++) {
    for (int c = 0; c < C; c++) values[r * C + c] = c == r % C ? odd[r % 8] : r % 8 < 3 ? 1.0 : odd[r % 8] / 2.0;
  }
  lat_tensor *x = lat_test_tensor_on(context, coords, values, C, LAT_DTYPE_F32, NULL);
  lat_quantized_weight *packed = make_weight(8, 1, C, 8);
  lat_tensor *y = run_plan(context, x, packed, 1);
  double *got = lat_test_read_feats(y);
  for (int r = 0; r < N; r++) {
    for (int c = 0; c < 8; c++) {
      double value = got[r * 8 + c];
      if (r % 8 < 3) assert_true(isnan(value));
      if (r % 8 == 3) assert_false(isnan(value));
      if (r % 8 > 3) assert_true(fabs(value) < 1e-38);
    }
  }
  free(got);
  free(values);
  lat_tensor_release(y);
  lat_tensor_release(x);
  lat_quantized_weight_release(packed);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test_setup_teardown(test_documented_sums, set_up, tear_down),
      cmocka_unit_test_setup_teardown(test_dense_weights, set_up, tear_down),
      cmocka_unit_test_setup_teardown(test_strange_weights, set_up, tear_down),
      cmocka_unit_test_setup_teardown(test_refusals, set_up, tear_down),
      cmocka_unit_test_setup_teardown(test_linear, set_up, tear_down),
      cmocka_unit_test_setup_teardown(test_levels_and_threads, set_up, tear_down),
      cmocka_unit_test_setup_teardown(test_strange_rows, set_up, tear_down),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
