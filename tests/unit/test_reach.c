// Reach support: outputs, edges and their order worked by hand, identity and caches, packed weights, empty results, and
// every refusal of support and bounds.
#include <stdlib.h>
#include <string.h>

#include <lattice/lattice.h>

#include "support/tensor_cases.h"
#include "support/test_support.h"

#define CHANNELS 32

static lat_context *context;

static int set_up(void **state) {
  (void)state;
  return lat_context_create(NULL, &context) ? 1 : 0;
}

static int tear_down(void **state) {
  (void)state;
  lat_context_destroy(context);
  return 0;
}

/// Rows (0, x, 0, 0).
static lat_coords *make_line(const int32_t *x, int64_t n) {
  int32_t rows[16 * 4] = {0};
  for (int64_t r = 0; r < n; r++) rows[4 * r + 1] = x[r];
  return lat_test_coords(context, rows, n);
}

static lat_kernel_opts line_opts(int32_t size, int32_t stride, int32_t padding, int32_t dilation, int32_t bound) {
  lat_kernel_opts opts = LAT_KERNEL_OPTS_INIT;
  opts.kernel_size = (lat_triple){size, 1, 1};
  opts.stride = (lat_triple){stride, 1, 1};
  opts.padding = (lat_triple){padding, 0, 0};
  opts.dilation = (lat_triple){dilation, 1, 1};
  opts.support = LAT_SUPPORT_REACH;
  if (bound) opts.bounds = (lat_triple){bound, 1, 1};
  return opts;
}

/// One line of inputs with what must come out: x of the outputs in order, then the edges.
typedef struct line_case {
  int32_t size, stride, padding, dilation, bound;
  int64_t n_in, n_out, n_edges;
  int32_t in[4], out[8], edge_in[12], edge_out[12], edge_kernel[12];
} line_case;

static const line_case lines[] = {
    // Stride 1 grows the set: input 0 meets 1 (tap 0), 0 (tap 1), -1 (tap 2); then 2; then 3.
    {3,
     1,
     1,
     1,
     0,
     3,
     5,
     9,
     {0, 1, 2},
     {1, 0, -1, 2, 3},
     {0, 1, 2, 0, 1, 0, 1, 2, 2},
     {0, 0, 0, 1, 1, 2, 3, 3, 4},
     {0, 1, 2, 1, 2, 2, 0, 1, 0}},
    // The same within a box of 3: outputs 0 .. (3 + 2 - 2 - 1) / 1 = 2.
    {3, 1, 1, 1, 3, 3, 3, 7, {0, 1, 2}, {1, 0, 2}, {0, 1, 2, 0, 1, 1, 2}, {0, 0, 0, 1, 1, 2, 2}, {0, 1, 2, 1, 2, 0, 1}},
    // The usual downsampling layer: input 0 meets (0 + 1 - k) / 2 = 0 under tap 1; 1 meets 1 and 0; 3 meets 2 and 1.
    {3, 2, 1, 1, 5, 3, 3, 5, {0, 1, 3}, {0, 1, 2}, {0, 1, 1, 2, 2}, {0, 0, 1, 1, 2}, {1, 2, 0, 2, 0}},
    // In a box of 4 the last output is floor((4 + 2 - 2 - 1) / 2) = 1.
    {3, 2, 1, 1, 4, 3, 2, 4, {0, 1, 3}, {0, 1}, {0, 1, 1, 2}, {0, 0, 1, 1}, {1, 2, 0, 2}},
    // Even size, negative coordinates: -3 meets -2 (tap 1), -2 meets -1 (tap 0), 5 meets 2 (tap 1).
    {2, 2, 0, 1, 0, 3, 3, 3, {-3, -2, 5}, {-2, -1, 2}, {0, 1, 2}, {0, 1, 2}, {1, 0, 1}},
    // Dilation 2: input 0 meets 0 and -2, input 1 meets 1 and -1.
    {2, 1, 0, 2, 0, 2, 4, 4, {0, 1}, {0, -2, 1, -1}, {0, 0, 1, 1}, {0, 1, 2, 3}, {0, 1, 0, 1}},
    // Taps that skip inputs: only even coordinates have an output.
    {1, 2, 0, 1, 0, 4, 2, 2, {3, 2, 1, 0}, {1, 0}, {1, 3}, {0, 1}, {0, 0}},
    // Of equal inputs the first is taken.
    {1, 2, 0, 1, 0, 3, 1, 1, {4, 4, 5}, {2}, {0}, {0}, {0}},
    // A kernel wider than the padded box: the last output is floor((1 + 0 - 4 - 1) / 2) = -2, there is none.
    {5, 2, 0, 1, 1, 1, 0, 0, {0}, {0}, {0}, {0}, {0}},
    // No inputs.
    {3, 2, 1, 1, 0, 0, 0, 0, {0}, {0}, {0}, {0}, {0}},
};

static void check_line(const line_case *c) {
  lat_kernel_opts opts = line_opts(c->size, c->stride, c->padding, c->dilation, c->bound);
  lat_coords *in = make_line(c->in, c->n_in);
  lat_relation *relation = NULL;
  lat_relation_edge_list edges;
  lat_test_assert_ok(lat_relation_create_forward(context, in, &opts, &relation));
  const lat_coords *out = lat_relation_out_coords(relation);
  assert_non_null(out);
  assert_int_equal(lat_coords_count(out), c->n_out);
  assert_int_equal(lat_relation_n_out(relation), c->n_out);
  assert_int_equal(lat_coords_stride(out).x, c->stride);
  assert_int_equal(lat_relation_kind_of(relation), LAT_RELATION_FORWARD);
  const int32_t *rows = lat_coords_rows(out).data;
  for (int64_t r = 0; r < c->n_out; r++) {
    const int32_t expected[4] = {0, c->out[r], 0, 0};
    assert_memory_equal(rows + 4 * r, expected, sizeof expected);
  }
  lat_test_assert_ok(lat_relation_edges(context, relation, &edges));
  assert_int_equal(edges.n_edges, c->n_edges);
  for (int64_t e = 0; e < c->n_edges; e++) {
    assert_int_equal(edges.in_rows[e], c->edge_in[e]);
    assert_int_equal(edges.out_rows[e], c->edge_out[e]);
    assert_int_equal(edges.kernel_ids[e], c->edge_kernel[e]);
  }
  lat_relation_release(relation);
  lat_coords_release(in);
}

static void lines_match(void **state) {
  (void)state;
  for (size_t i = 0; i < sizeof lines / sizeof lines[0]; i++) check_line(&lines[i]);
}

// Two axes at once, two batch items: outputs come by input row, then by kernel index over all axes.
static void planes_match(void **state) {
  (void)state;
  const int32_t in[] = {1, 1, 1, 0, 0, 1, 1, 0};
  const int32_t expected[] = {1, 1, 1, 0, 1, 1, 0, 0, 1, 0, 1, 0, 1, 0, 0, 0,
                              0, 1, 1, 0, 0, 1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0};
  lat_kernel_opts opts = LAT_KERNEL_OPTS_INIT;
  opts.kernel_size = (lat_triple){3, 3, 1};
  opts.stride = (lat_triple){2, 2, 1};
  opts.padding = (lat_triple){1, 1, 0};
  opts.support = LAT_SUPPORT_REACH;
  lat_coords *coords = lat_test_coords(context, in, 2);
  lat_relation *relation = NULL;
  lat_test_assert_ok(lat_relation_create_forward(context, coords, &opts, &relation));
  assert_int_equal(lat_relation_n_out(relation), 8);
  assert_memory_equal(lat_coords_rows(lat_relation_out_coords(relation)).data, expected, sizeof expected);
  lat_relation_release(relation);
  lat_coords_release(coords);
}

static void offsets_count_from_zero(void **state) {
  (void)state;
  const int32_t expected[] = {0, 0, 0, 0, 0, 1, 2, 0, 0, 2, 0, 1, 4, 0, 0, 4, 0, 1};
  lat_kernel_opts opts = LAT_KERNEL_OPTS_INIT;
  opts.kernel_size = (lat_triple){3, 1, 2};
  opts.dilation = (lat_triple){2, 1, 1};
  opts.support = LAT_SUPPORT_REACH;
  lat_array *offsets = NULL;
  lat_test_assert_ok(lat_kernel_offsets(context, &opts, &offsets));
  assert_memory_equal(lat_array_as_view(offsets).data, expected, sizeof expected);
  lat_array_release(offsets);
}

// --- identity and caches ----------------------------------------------------------------------------------------------

static lat_relation *forward_of(const lat_coords *coords, const lat_kernel_opts *opts) {
  lat_relation *relation = NULL;
  lat_test_assert_ok(lat_relation_create_forward(context, coords, opts, &relation));
  return relation;
}

static void same_geometry_is_shared(void **state) {
  (void)state;
  const int32_t x[] = {0, 1, 4};
  lat_coords *coords = make_line(x, 3);
  lat_kernel_opts reach = line_opts(3, 2, 1, 1, 0), floor_opts = reach, bounded = line_opts(3, 2, 1, 1, 5),
                  wider = line_opts(3, 2, 1, 1, 6);
  floor_opts.support = LAT_SUPPORT_FLOOR;
  lat_relation *first = forward_of(coords, &reach), *again = forward_of(coords, &reach);
  lat_relation *others[3] = {forward_of(coords, &floor_opts), forward_of(coords, &bounded), forward_of(coords, &wider)};
  assert_ptr_equal(first, again);
  for (int i = 0; i < 3; i++) {
    assert_ptr_not_equal(first, others[i]);
    assert_ptr_not_equal(others[i], others[(i + 1) % 3]);
    assert_ptr_not_equal(lat_relation_out_coords(first), lat_relation_out_coords(others[i]));
    lat_relation_release(others[i]);
  }
  lat_relation_release(first);
  lat_relation_release(again);
  // A submanifold relation is one object under both rules.
  lat_kernel_opts subm = LAT_KERNEL_OPTS_INIT, subm_reach = subm;
  subm_reach.support = LAT_SUPPORT_REACH;
  lat_test_assert_ok(lat_relation_create_subm(context, coords, &subm, &first));
  lat_test_assert_ok(lat_relation_create_subm(context, coords, &subm_reach, &again));
  assert_ptr_equal(first, again);
  lat_relation_release(first);
  lat_relation_release(again);
  lat_coords_release(coords);
}

// A 1x1x1 kernel at stride 1 without padding keeps the set, inputs outside the bounds included.
static void one_tap_keeps_identity(void **state) {
  (void)state;
  const int32_t x[] = {-7, 1, 90};
  const double values[] = {1, 2, 3};
  const float two[] = {2.0F};
  lat_coords *coords = make_line(x, 3);
  lat_tensor *tensor = lat_test_tensor_on(context, coords, values, 1, LAT_DTYPE_F32, NULL), *y = NULL;
  lat_kernel_opts opts = line_opts(1, 1, 0, 1, 4);
  lat_relation *relation = forward_of(coords, &opts);
  assert_null(lat_relation_out_coords(relation));
  assert_int_equal(lat_relation_n_out(relation), 3);
  lat_relation_release(relation);
  lat_conv3d_opts conv = LAT_CONV3D_OPTS_INIT;
  conv.kernel_size = lat_triple_all(1);
  conv.support = LAT_SUPPORT_REACH;
  conv.bounds = lat_triple_all(4);
  lat_weight weight = lat_weight_dense(lat_view_2d(two, LAT_DTYPE_F32, 1, 1));
  lat_test_assert_ok(lat_conv3d(context, tensor, &weight, NULL, &conv, &y));
  assert_true(lat_tensor_same_coords(y, tensor));
  lat_test_assert_values(lat_tensor_feats(y), (const double[]){2, 4, 6}, 3);
  lat_tensor_release(y);
  lat_test_assert_ok(lat_pool3d(context, tensor, LAT_POOL_SUM, &opts, &y));
  assert_true(lat_tensor_same_coords(y, tensor));
  lat_tensor_release(y);
  lat_tensor_release(tensor);
  lat_coords_release(coords);
}

// x's own set as target keeps its identity although the forward relation of the geometry would make another set.
static void own_set_as_target_keeps_identity(void **state) {
  (void)state;
  const int32_t x[] = {0, 1, 2};
  const double values[] = {1, 2, 4};
  const float weights[] = {1.0F, 10.0F, 100.0F};
  const int64_t shape[3] = {3, 1, 1};
  lat_coords *coords = make_line(x, 3);
  lat_tensor *tensor = lat_test_tensor_on(context, coords, values, 1, LAT_DTYPE_F32, NULL), *y = NULL;
  lat_conv3d_opts opts = LAT_CONV3D_OPTS_INIT;
  opts.kernel_size = (lat_triple){3, 1, 1};
  opts.support = LAT_SUPPORT_REACH;
  opts.coordinates = coords;
  lat_weight weight = lat_weight_dense(lat_view(weights, LAT_DTYPE_F32, 3, shape));
  lat_test_assert_ok(lat_conv3d(context, tensor, &weight, NULL, &opts, &y));
  assert_true(lat_tensor_same_coords(y, tensor));
  lat_test_assert_values(lat_tensor_feats(y), (const double[]){421, 42, 4}, 3); // taps from 0: x, x + 1, x + 2
  lat_tensor_release(y);
  lat_tensor_release(tensor);
  lat_coords_release(coords);
}

// --- operators --------------------------------------------------------------------------------------------------------

static void packed_weights_equal_their_codes(void **state) {
  (void)state;
  lat_test_random random = {3, 0};
  int32_t *rows = lat_test_random_rows(&random, 200, 2, 4, 0);
  double *values = lat_test_random_values(&random, 200 * CHANNELS, -1, 1);
  lat_array *wide = NULL, *codes = NULL;
  const int64_t shape[5] = {CHANNELS, 3, 2, 3, CHANNELS};
  lat_test_assert_ok(lat_array_uniform(context, LAT_DTYPE_F32, 5, shape, (const double[2]){-1, 1}, 5, &wide));
  lat_array_view wide_view = lat_array_as_view(wide);
  lat_quantize_opts quantize = LAT_QUANTIZE_OPTS_INIT;
  lat_quantized_weight *packed = NULL;
  lat_tensor *tensor = lat_test_tensor(context, rows, 200, values, CHANNELS, LAT_DTYPE_F32, NULL), *a = NULL, *b = NULL;
  lat_conv3d_opts opts = LAT_CONV3D_OPTS_INIT;
  opts.kernel_size = (lat_triple){3, 2, 3};
  opts.stride = lat_triple_all(2);
  opts.padding = lat_triple_all(1);
  opts.support = LAT_SUPPORT_REACH;
  opts.bounds = lat_triple_all(5);
  for (int bits = 4; bits <= 8; bits += 4) {
    quantize.bits = bits;
    lat_test_assert_ok(lat_quantize_weight(context, &wide_view, &quantize, &packed));
    lat_test_assert_ok(lat_dequantize_weight(context, packed, &codes));
    lat_weight small = lat_weight_packed(packed), dense = lat_weight_dense(lat_array_as_view(codes));
    lat_test_assert_ok(lat_conv3d(context, tensor, &small, NULL, &opts, &a));
    lat_test_assert_ok(lat_conv3d(context, tensor, &dense, NULL, &opts, &b));
    assert_true(lat_tensor_count(a) > 0);
    assert_true(lat_tensor_same_coords(a, b));
    lat_test_assert_same_view(lat_tensor_feats(a), lat_tensor_feats(b));
    lat_tensor_release(a), lat_tensor_release(b);
    lat_array_release(codes);
    lat_quantized_weight_release(packed);
  }
  lat_tensor_release(tensor);
  lat_array_release(wide);
  free(rows), free(values);
}

// No output at all: forward, gradient and product still have their shapes.
static void empty_results(void **state) {
  (void)state;
  const int32_t x[] = {1, 3};
  const double values[] = {1, 2};
  const float weights[] = {1.0F};
  const int64_t shape[3] = {1, 1, 1};
  lat_coords *coords = make_line(x, 2);
  lat_tensor *tensor = lat_test_tensor_on(context, coords, values, 1, LAT_DTYPE_F32, NULL), *y = NULL;
  lat_weight weight = lat_weight_dense(lat_view(weights, LAT_DTYPE_F32, 3, shape));
  lat_conv3d_opts opts = LAT_CONV3D_OPTS_INIT;
  lat_conv3d_backward_opts backward = LAT_CONV3D_BACKWARD_OPTS_INIT;
  opts.kernel_size = lat_triple_all(1);
  opts.stride = (lat_triple){2, 1, 1};
  opts.support = LAT_SUPPORT_REACH;
  backward.forward = &opts;
  lat_test_assert_ok(lat_conv3d(context, tensor, &weight, NULL, &opts, &y));
  assert_int_equal(lat_tensor_count(y), 0);
  lat_tensor_release(y);
  lat_conv_grads grads;
  lat_array_view none = lat_view_2d(NULL, LAT_DTYPE_F32, 0, 1);
  lat_test_assert_ok(lat_conv3d_backward(context, tensor, &weight, &none, &backward, &grads));
  lat_test_assert_values(lat_array_as_view(grads.x), (const double[]){0, 0}, 2);
  lat_test_assert_values(lat_array_as_view(grads.weight), (const double[]){0}, 1);
  lat_array_release(grads.x), lat_array_release(grads.weight), lat_array_release(grads.bias);
  lat_kernel_opts pool = line_opts(1, 2, 0, 1, 0);
  lat_array *dx = NULL;
  lat_test_assert_ok(lat_pool3d(context, tensor, LAT_POOL_MAX, &pool, &y));
  assert_int_equal(lat_tensor_count(y), 0);
  lat_test_assert_ok(lat_pool3d_backward(context, tensor, LAT_POOL_MAX, &pool, &none, &dx));
  lat_test_assert_values(lat_array_as_view(dx), (const double[]){0, 0}, 2);
  lat_array_release(dx);
  lat_tensor_release(y);
  lat_tensor_release(tensor);
  lat_coords_release(coords);
}

// --- refusals ---------------------------------------------------------------------------------------------------------

typedef struct bad_geometry {
  int32_t size, padding, dilation;
  int support;
  lat_triple bounds;
  lat_status status;
  const char *fragment;
} bad_geometry;

static const bad_geometry bad_geometries[] = {
    {3, 0, 1, 2, {0, 0, 0}, LAT_STATUS_INVALID_ARGUMENT, "support is unknown: got 2, expected 0 (floor) or 1 (reach)"},
    {3, 0, 1, -1, {0, 0, 0}, LAT_STATUS_INVALID_ARGUMENT, "support is unknown: got -1"},
    {3, 0, 1, 0, {4, 5, 6}, LAT_STATUS_INVALID_ARGUMENT, "bounds without reach support: got bounds (4, 5, 6)"},
    {3, 0, 1, 1, {4, -5, 6}, LAT_STATUS_INVALID_ARGUMENT, "bounds values must be positive: got (4, -5, 6)"},
    {3, 0, 1, 1, {4, 0, 6}, LAT_STATUS_INVALID_ARGUMENT, "bounds values must be positive: got (4, 0, 6)"},
    {3, 1, 1, 1, {5, 5, INT32_MAX}, LAT_STATUS_OVERFLOW, "padded bounds leave int32: got bounds (5, 5, 2147483647)"},
    {3, 1 << 30, 1, 1, {5, 5, 5}, LAT_STATUS_OVERFLOW, "padded bounds leave int32"},
    {3, 0, 1 << 30, 1, {0, 0, 0}, LAT_STATUS_OVERFLOW, "kernel offsets leave int32"},
};

static void bad_geometry_is_refused(void **state) {
  (void)state;
  const int32_t x[] = {0};
  const double values[] = {1};
  const float zeros[27] = {0};
  const int64_t shape[3] = {27, 1, 1};
  lat_coords *coords = make_line(x, 1);
  lat_tensor *tensor = lat_test_tensor_on(context, coords, values, 1, LAT_DTYPE_F32, NULL), *y = NULL;
  lat_weight weight = lat_weight_dense(lat_view(zeros, LAT_DTYPE_F32, 3, shape));
  for (size_t i = 0; i < sizeof bad_geometries / sizeof bad_geometries[0]; i++) {
    const bad_geometry *c = &bad_geometries[i];
    lat_relation *relation = NULL;
    lat_kernel_opts opts = LAT_KERNEL_OPTS_INIT;
    opts.kernel_size = lat_triple_all(c->size);
    opts.padding = lat_triple_all(c->padding);
    opts.dilation = lat_triple_all(c->dilation);
    opts.support = (lat_support)c->support;
    opts.bounds = c->bounds;
    lat_test_assert_error(lat_relation_create_forward(context, coords, &opts, &relation), c->status, c->fragment);
    assert_null(relation);
    lat_test_assert_error(lat_pool3d(context, tensor, LAT_POOL_SUM, &opts, &y), c->status, c->fragment);
    assert_null(y);
    lat_conv3d_opts conv = LAT_CONV3D_OPTS_INIT;
    conv.kernel_size = opts.kernel_size, conv.padding = opts.padding, conv.dilation = opts.dilation;
    conv.support = opts.support, conv.bounds = opts.bounds;
    lat_test_assert_error(lat_conv3d(context, tensor, &weight, NULL, &conv, &y), c->status, c->fragment);
    assert_null(y);
  }
  lat_tensor_release(tensor);
  lat_coords_release(coords);
}

typedef lat_status (*conv_fn)(lat_context *, const lat_tensor *, const lat_weight *, const lat_array_view *,
                              const lat_conv3d_opts *, lat_tensor **);

// Bounds where the output set is given, and reach support of a transposed geometry.
static void wrong_place_is_refused(void **state) {
  (void)state;
  const lat_status bad = LAT_STATUS_INVALID_ARGUMENT;
  const conv_fn submanifold[] = {lat_subm_conv3d, lat_normalized_subm_conv3d};
  const conv_fn transposed[] = {lat_conv_transpose3d, lat_generative_conv_transpose3d, lat_normalized_conv_transpose3d,
                                lat_normalized_generative_conv_transpose3d};
  const int32_t x[] = {0};
  const double values[] = {1};
  const float zeros[27] = {0};
  const int64_t shape[3] = {27, 1, 1};
  lat_coords *coords = make_line(x, 1);
  lat_tensor *tensor = lat_test_tensor_on(context, coords, values, 1, LAT_DTYPE_F32, NULL), *y = NULL;
  lat_weight weight = lat_weight_dense(lat_view(zeros, LAT_DTYPE_F32, 3, shape));
  lat_relation *relation = NULL;
  lat_kernel_opts opts = LAT_KERNEL_OPTS_INIT;
  lat_conv3d_opts conv = LAT_CONV3D_OPTS_INIT;
  opts.support = conv.support = LAT_SUPPORT_REACH;
  static const char floor_text[] = "support must be floor: got 1, expected 0";
  lat_test_assert_error(lat_relation_create_transposed(context, coords, &opts, &relation), bad, floor_text);
  lat_test_assert_error(lat_relation_create_generative(context, coords, &opts, &relation), bad, floor_text);
  lat_test_assert_error(lat_relation_create_target_transposed(context, coords, coords, &opts, &relation), bad,
                        floor_text);
  lat_test_assert_error(lat_pool_transpose3d(context, tensor, NULL, &opts, &y), bad, floor_text);
  for (int i = 0; i < 4; i++) {
    lat_test_assert_error(transposed[i](context, tensor, &weight, NULL, &conv, &y), bad, floor_text);
    assert_null(y);
  }
  opts.bounds = conv.bounds = lat_triple_all(9);
  static const char bounds_text[] = "bounds must be absent where the output set is given: got (9, 9, 9)";
  lat_test_assert_error(lat_relation_create_subm(context, coords, &opts, &relation), bad, bounds_text);
  lat_test_assert_error(lat_relation_create_target(context, coords, coords, &opts, &relation), bad, bounds_text);
  assert_null(relation);
  for (int i = 0; i < 2; i++) {
    lat_test_assert_error(submanifold[i](context, tensor, &weight, NULL, &conv, &y), bad, bounds_text);
  }
  conv.coordinates = coords;
  lat_test_assert_error(lat_conv3d(context, tensor, &weight, NULL, &conv, &y), bad, bounds_text);
  assert_null(y);
  lat_tensor_release(tensor);
  lat_coords_release(coords);
}

// The first input row whose output leaves int32 is named, unless that output does not exist or lies outside the bounds.
static void outputs_outside_int32(void **state) {
  (void)state;
  const int32_t rows[] = {0, 5, 0, 0, 0, INT32_MAX, 1, 0, 0, INT32_MAX, 2, 0, 0, INT32_MIN, 2, 0};
  lat_coords *coords = lat_test_coords(context, rows, 4);
  lat_kernel_opts opts = line_opts(3, 1, 1, 1, 0);
  lat_relation *relation = NULL;
  opts.stride.y = 2; // the row with y = 1 has no output
  lat_test_assert_error(lat_relation_create_forward(context, coords, &opts, &relation), LAT_STATUS_OVERFLOW,
                        "an output coordinate leaves int32: got input (2147483647, 2, 0) at row 2");
  assert_null(relation);
  opts.padding.x = 0;
  lat_test_assert_error(lat_relation_create_forward(context, coords, &opts, &relation), LAT_STATUS_OVERFLOW,
                        "got input (-2147483648, 2, 0) at row 3");
  opts.bounds = (lat_triple){INT32_MAX, 8, 1};
  lat_test_assert_ok(lat_relation_create_forward(context, coords, &opts, &relation));
  assert_int_equal(lat_relation_n_out(relation), 3); // 5, 4 and 3; the other windows leave the box
  lat_relation_release(relation);
  opts = line_opts(1, 2, 0, 1, 0);
  lat_coords_opts coarse = LAT_COORDS_OPTS_INIT;
  lat_coords *wide = NULL;
  lat_array_view view = lat_view_2d(rows, LAT_DTYPE_I32, 1, 4);
  coarse.stride = (lat_triple){1 << 30, 1, 1};
  lat_test_assert_ok(lat_coords_create(context, &view, &coarse, &wide));
  lat_test_assert_error(lat_relation_create_forward(context, wide, &opts, &relation), LAT_STATUS_OVERFLOW,
                        "output stride leaves int32");
  lat_coords_release(wide);
  lat_coords_release(coords);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(lines_match),
      cmocka_unit_test(planes_match),
      cmocka_unit_test(offsets_count_from_zero),
      cmocka_unit_test(same_geometry_is_shared),
      cmocka_unit_test(one_tap_keeps_identity),
      cmocka_unit_test(own_set_as_target_keeps_identity),
      cmocka_unit_test(packed_weights_equal_their_codes),
      cmocka_unit_test(empty_results),
      cmocka_unit_test(bad_geometry_is_refused),
      cmocka_unit_test(wrong_place_is_refused),
      cmocka_unit_test(outputs_outside_int32),
  };
  return cmocka_run_group_tests(tests, set_up, tear_down);
}
