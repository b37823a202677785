// Dense arrays: worked vectors, defaults, bird's-eye form, and every error.
// covers: lat_to_dense lat_to_dense_backward lat_from_dense lat_from_dense_backward
// null arguments: lat_to_dense lat_to_dense_backward lat_from_dense lat_from_dense_backward
#include "support/test_support.h"

#include <math.h>

#include <lattice/lattice.h>

static lat_context *context;
static lat_tensor *tensor; ///< rows (0 1 0 -1), (1 0 0 0), (0 0 1 0) with features (1 2), (3 4), (5 6)

static lat_tensor *make_tensor(const int32_t (*rows)[4], const float *feats, int64_t n, int64_t n_batches) {
  lat_array_view row_view = lat_view_2d(rows, LAT_DTYPE_I32, n, 4);
  lat_array_view feat_view = lat_view_2d(feats, LAT_DTYPE_F32, n, 2);
  lat_tensor_opts opts = LAT_TENSOR_OPTS_INIT;
  lat_coords *coords = NULL;
  lat_tensor *made = NULL;
  opts.n_batches = n_batches;
  lat_test_assert_ok(lat_coords_create(context, &row_view, NULL, &coords));
  lat_test_assert_ok(lat_tensor_create(context, coords, &feat_view, &opts, &made));
  lat_coords_release(coords);
  return made;
}

static int set_up(void **state) {
  (void)state;
  static const int32_t rows[3][4] = {{0, 1, 0, -1}, {1, 0, 0, 0}, {0, 0, 1, 0}};
  static const float feats[6] = {1, 2, 3, 4, 5, 6};
  if (lat_context_create(NULL, &context)) return 1;
  tensor = make_tensor(rows, feats, 3, 0);
  return 0;
}

static int tear_down(void **state) {
  (void)state;
  lat_tensor_release(tensor);
  lat_context_destroy(context);
  return 0;
}

static lat_dense_opts box_opts(void) {
  lat_dense_opts opts = LAT_DENSE_OPTS_INIT;
  opts.min_coord.z = -1;
  return opts;
}

static void assert_shape(lat_array_view view, int32_t rank, const int64_t *shape) {
  assert_int_equal(view.rank, rank);
  for (int axis = 0; axis < rank; axis++) assert_int_equal(view.shape[axis], shape[axis]);
}

// Cells (b, x, y, z): 16 of them; the box is the smallest from min_coord on.
static void worked_vector_channels_last(void **state) {
  (void)state;
  const int64_t shape[5] = {2, 2, 2, 2, 2};
  float expected[16][2] = {{0}};
  lat_dense_opts opts = box_opts();
  lat_array *dense = NULL;
  expected[4][0] = 1, expected[4][1] = 2; // (0, 1, 0, -1)
  expected[9][0] = 3, expected[9][1] = 4; // (1, 0, 0, 0)
  expected[3][0] = 5, expected[3][1] = 6; // (0, 0, 1, 0)
  lat_test_assert_ok(lat_to_dense(context, tensor, &opts, &dense));
  assert_shape(lat_array_as_view(dense), 5, shape);
  assert_memory_equal(lat_array_data(dense), expected, sizeof expected);
  lat_array_release(dense);
}

// Heights become channels: channel c of height k is channel 2 c + k.
static void birds_eye_form_stacks_heights(void **state) {
  (void)state;
  const int64_t first[4] = {2, 4, 2, 2}, last[4] = {2, 2, 2, 4};
  for (int layout = 0; layout < 2; layout++) {
    lat_dense_opts opts = box_opts();
    float expected[2][4][2][2] = {{{{0}}}}; // (b, channel, x, y)
    lat_array *dense = NULL;
    expected[0][0][1][0] = 1, expected[0][2][1][0] = 2;
    expected[1][1][0][0] = 3, expected[1][3][0][0] = 4;
    expected[0][1][0][1] = 5, expected[0][3][0][1] = 6;
    opts.layout = (lat_dense_layout)layout;
    opts.fold = LAT_DENSE_FOLD_Z;
    lat_test_assert_ok(lat_to_dense(context, tensor, &opts, &dense));
    assert_shape(lat_array_as_view(dense), 4, layout ? first : last);
    const float *values = lat_array_data(dense);
    for (int i = 0; i < 32; i++) {
      int b = i / 16, c = i / 4 % 4, x = i / 2 % 2, y = i % 2;
      assert_true(values[layout ? i : ((b * 2 + x) * 2 + y) * 4 + c] == expected[b][c][x][y]);
    }
    lat_array_release(dense);
  }
}

static void batch_size_is_asked_declared_or_found(void **state) {
  (void)state;
  const int32_t rows[1][4] = {{1, 0, 0, 0}};
  const float feats[2] = {1, 2};
  for (int64_t declared = 0; declared < 5; declared += 4) {
    lat_tensor *x = make_tensor(rows, feats, 1, declared);
    lat_dense_opts opts = LAT_DENSE_OPTS_INIT;
    lat_array *dense = NULL;
    lat_test_assert_ok(lat_to_dense(context, x, NULL, &dense));
    assert_int_equal(lat_array_as_view(dense).shape[0], declared ? 4 : 2);
    lat_array_release(dense);
    opts.batch_size = 7;
    lat_test_assert_ok(lat_to_dense(context, x, &opts, &dense));
    assert_int_equal(lat_array_as_view(dense).shape[0], 7);
    lat_array_release(dense);
    lat_tensor_release(x);
  }
}

static void nan_counts_and_minus_zero_does_not(void **state) {
  (void)state;
  const int64_t shape[5] = {1, 4, 1, 1, 1};
  const float wide[4] = {-0.0f, NAN, 0.0f, 2.0f};
  const uint16_t narrow[4] = {0x8000, 0x7E00, 0x0000, 0x0001};
  const int32_t expected[2][4] = {{0, 1, 0, 0}, {0, 3, 0, 0}};
  for (int half = 0; half < 2; half++) {
    lat_array_view view =
        lat_view(half ? (const void *)narrow : (const void *)wide, half ? LAT_DTYPE_F16 : LAT_DTYPE_F32, 5, shape);
    lat_tensor *made = NULL;
    lat_test_assert_ok(lat_from_dense(context, &view, NULL, &made));
    assert_int_equal(lat_tensor_count(made), 2);
    assert_memory_equal(lat_coords_rows(lat_tensor_coords(made)).data, expected, sizeof expected);
    assert_int_equal(lat_tensor_stride(made).x, 1);
    lat_tensor_release(made);
  }
}

static void strided_arrays_are_read(void **state) {
  (void)state;
  const float values[6] = {0, 7, 8, 9, 0, 1}; // (2, 3) read as (3, 2) cells of one channel
  const uint8_t marks[12] = {1, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0};
  const int64_t shape[5] = {1, 3, 2, 1, 1}, mask_shape[4] = {1, 3, 2, 1};
  const float expected[2] = {0, 8};
  lat_array_view view = lat_view(values, LAT_DTYPE_F32, 5, shape), mask = lat_view(marks, LAT_DTYPE_U8, 4, mask_shape);
  lat_dense_opts opts = LAT_DENSE_OPTS_INIT;
  lat_tensor *made = NULL;
  view.stride[1] = 1, view.stride[2] = 3;
  mask.stride[1] = 3, mask.stride[2] = 2;
  opts.mask = &mask; // cells (0, 0) and (2, 0)
  lat_test_assert_ok(lat_from_dense(context, &view, &opts, &made));
  assert_int_equal(lat_tensor_count(made), 2);
  assert_memory_equal(lat_tensor_feats(made).data, expected, sizeof expected);
  lat_tensor_release(made);
}

static void empty_tensors_and_arrays_work(void **state) {
  (void)state;
  const int64_t none[5] = {0, 0, 0, 0, 2}, hollow[5] = {1, 2147483647, 2147483647, 1, 0};
  lat_tensor *x = make_tensor(NULL, NULL, 0, 0), *made = NULL;
  lat_array *dense = NULL, *grad = NULL;
  lat_test_assert_ok(lat_to_dense(context, x, NULL, &dense));
  assert_shape(lat_array_as_view(dense), 5, none);
  lat_array_view view = lat_array_as_view(dense);
  lat_test_assert_ok(lat_to_dense_backward(context, x, &view, NULL, &grad));
  assert_int_equal(lat_array_count(grad), 0);
  lat_array_release(grad);
  lat_test_assert_ok(lat_from_dense(context, &view, NULL, &made));
  assert_int_equal(lat_tensor_count(made), 0);
  assert_int_equal(lat_tensor_channels(made), 2);
  lat_array_view feats = lat_tensor_feats(made);
  lat_test_assert_ok(lat_from_dense_backward(context, &view, made, &feats, NULL, &grad));
  lat_array_release(grad);
  lat_tensor_release(made);
  view = lat_view(NULL, LAT_DTYPE_F32, 5, hollow);
  lat_test_assert_ok(lat_from_dense(context, &view, NULL, &made));
  assert_int_equal(lat_tensor_count(made), 0);
  lat_tensor_release(made);
  lat_array_release(dense);
  lat_tensor_release(x);
}

/// Shape of the gradients below.
static int64_t grad_shape[5] = {2, 2, 2, 2, 2};

/// Both directions of to_dense must refuse alike.
static void refuse_to(const lat_tensor *x, const lat_dense_opts *opts, lat_status expected, const char *fragment) {
  const float zeros[64] = {0};
  lat_array_view grad = lat_view(zeros, LAT_DTYPE_F32, 5, grad_shape);
  lat_array *out = (lat_array *)tensor;
  lat_test_assert_error(lat_to_dense(context, x, opts, &out), expected, fragment);
  assert_null(out);
  out = (lat_array *)tensor;
  lat_test_assert_error(lat_to_dense_backward(context, x, &grad, opts, &out), expected, fragment);
  assert_null(out);
}

static void bad_arguments_of_to_dense_are_refused(void **state) {
  (void)state;
  lat_dense_opts opts = box_opts();
  lat_array *out = (lat_array *)tensor;
  lat_test_assert_error(lat_to_dense(NULL, tensor, NULL, &out), LAT_STATUS_INVALID_ARGUMENT,
                        "to_dense: context: got NULL");
  assert_null(out);
  lat_test_assert_error(lat_to_dense(context, tensor, NULL, NULL), LAT_STATUS_INVALID_ARGUMENT,
                        "to_dense: out: got NULL");
  refuse_to(NULL, NULL, LAT_STATUS_INVALID_ARGUMENT, "x: got NULL");
  opts.layout = (lat_dense_layout)2;
  refuse_to(tensor, &opts, LAT_STATUS_INVALID_ARGUMENT, "layout: got 2");
  opts = box_opts();
  opts.fold = (lat_dense_fold)4;
  refuse_to(tensor, &opts, LAT_STATUS_INVALID_ARGUMENT, "fold: got 4");
  opts = box_opts();
  opts.outside = (lat_dense_outside)-1;
  refuse_to(tensor, &opts, LAT_STATUS_INVALID_ARGUMENT, "outside: got -1");
  opts = box_opts();
  opts.batch_size = -2;
  refuse_to(tensor, &opts, LAT_STATUS_INVALID_ARGUMENT, "batch_size must be non-negative: got -2");
  opts = box_opts();
  opts.shape = (lat_triple){2, 0, 2};
  refuse_to(tensor, &opts, LAT_STATUS_INVALID_ARGUMENT, "shape must be positive: got (2, 0, 2)");
  opts.shape = (lat_triple){2, 2, -1};
  refuse_to(tensor, &opts, LAT_STATUS_INVALID_ARGUMENT, "shape must be positive");
  opts = box_opts();
  opts.struct_bytes = 5;
  refuse_to(tensor, &opts, LAT_STATUS_INVALID_ARGUMENT, "struct_bytes");
}

static void rows_outside_are_refused_or_dropped(void **state) {
  (void)state;
  const float expected[2] = {3, 4};
  lat_dense_opts opts = LAT_DENSE_OPTS_INIT;
  lat_array *dense = NULL;
  grad_shape[3] = 1;
  refuse_to(tensor, NULL, LAT_STATUS_INVALID_ARGUMENT, "row lies outside of the box: got (0, 1, 0, -1) at row 0");
  grad_shape[3] = 2;
  opts.min_coord.z = -1;
  opts.shape = (lat_triple){2, 1, 2};
  grad_shape[2] = 1;
  refuse_to(tensor, &opts, LAT_STATUS_INVALID_ARGUMENT, "row lies outside of the box: got (0, 0, 1, 0) at row 2");
  opts.shape.y = 2;
  opts.batch_size = 1;
  grad_shape[2] = 2;
  grad_shape[0] = 1;
  refuse_to(tensor, &opts, LAT_STATUS_INVALID_ARGUMENT, "row lies outside of the box: got (1, 0, 0, 0) at row 1");
  grad_shape[0] = 2;
  opts = (lat_dense_opts)LAT_DENSE_OPTS_INIT;
  opts.outside = LAT_DENSE_OUTSIDE_DROP;
  opts.shape = lat_triple_all(1);
  lat_test_assert_ok(lat_to_dense(context, tensor, &opts, &dense));
  assert_int_equal(lat_array_count(dense), 4);
  assert_memory_equal((const float *)lat_array_data(dense) + 2, expected, sizeof expected);
  lat_array_release(dense);
}

static void duplicates_and_huge_boxes_are_refused(void **state) {
  (void)state;
  const int32_t twins[3][4] = {{0, 1, 1, 1}, {0, 0, 0, 0}, {0, 1, 1, 1}};
  const int32_t corners[2][4] = {{0, INT32_MAX, INT32_MAX, INT32_MAX}, {0, 0, 0, 0}};
  const float feats[6] = {0};
  lat_dense_opts opts = LAT_DENSE_OPTS_INIT;
  lat_tensor *x = make_tensor(twins, feats, 3, 0), *huge = make_tensor(corners, feats, 2, 0);
  lat_array *out = (lat_array *)tensor;
  lat_test_assert_error(lat_to_dense(context, x, NULL, &out), LAT_STATUS_INVALID_ARGUMENT,
                        "duplicate coordinates: got (0, 1, 1, 1) at rows 0 and 2");
  assert_null(out);
  opts.outside = LAT_DENSE_OUTSIDE_DROP; // twins that are dropped do no harm
  opts.shape = lat_triple_all(1);
  lat_test_assert_ok(lat_to_dense(context, x, &opts, &out));
  lat_array_release(out);
  refuse_to(huge, NULL, LAT_STATUS_OVERFLOW, "dense array is too large");
  opts.fold = LAT_DENSE_FOLD_X;
  opts.shape = lat_triple_all(INT32_MAX);
  refuse_to(huge, &opts, LAT_STATUS_OVERFLOW, "dense array is too large");
  lat_tensor_release(huge);
  lat_tensor_release(x);
}

static void bad_gradients_of_to_dense_are_refused(void **state) {
  (void)state;
  const float zeros[64] = {0};
  const int64_t shape[5] = {2, 2, 2, 2, 2}, thin[5] = {2, 2, 2, 2, 1};
  lat_array_view grad = lat_view(zeros, LAT_DTYPE_F32, 5, shape);
  lat_dense_opts opts = box_opts();
  lat_array *out = (lat_array *)tensor;
  lat_test_assert_error(lat_to_dense_backward(NULL, tensor, &grad, &opts, &out), LAT_STATUS_INVALID_ARGUMENT,
                        "to_dense_backward: context: got NULL");
  assert_null(out);
  lat_test_assert_error(lat_to_dense_backward(context, tensor, &grad, &opts, NULL), LAT_STATUS_INVALID_ARGUMENT,
                        "to_dense_backward: out: got NULL");
  out = (lat_array *)tensor;
  lat_test_assert_error(lat_to_dense_backward(context, tensor, NULL, &opts, &out), LAT_STATUS_INVALID_ARGUMENT,
                        "to_dense_backward: grad_out: got NULL");
  assert_null(out);
  out = (lat_array *)tensor;
  grad = lat_view(zeros, LAT_DTYPE_F32, 5, thin);
  lat_test_assert_error(
      lat_to_dense_backward(context, tensor, &grad, &opts, &out), LAT_STATUS_INVALID_SHAPE,
      "grad_out must have the shape of the dense array: got (2, 2, 2, 2, 1), expected (2, 2, 2, 2, 2)");
  assert_null(out);
  out = (lat_array *)tensor;
  grad = lat_view(zeros, LAT_DTYPE_F16, 5, shape);
  lat_test_assert_error(lat_to_dense_backward(context, tensor, &grad, &opts, &out), LAT_STATUS_INVALID_DTYPE,
                        "grad_out dtype: got float16, expected float32");
  assert_null(out);
}

/// from_dense and its gradient must refuse alike.
static void refuse_from(const lat_array_view *dense, const lat_dense_opts *opts, lat_status expected,
                        const char *fragment) {
  lat_array_view grad = lat_tensor_feats(tensor);
  lat_tensor *made = tensor;
  lat_array *out = (lat_array *)tensor;
  lat_test_assert_error(lat_from_dense(context, dense, opts, &made), expected, fragment);
  assert_null(made);
  lat_test_assert_error(lat_from_dense_backward(context, dense, tensor, &grad, opts, &out), expected, fragment);
  assert_null(out);
}

static void bad_arguments_of_from_dense_are_refused(void **state) {
  (void)state;
  const float values[64] = {0};
  const int64_t shape[5] = {2, 2, 2, 2, 2}, folded[4] = {2, 2, 2, 5};
  lat_array_view view = lat_view(values, LAT_DTYPE_F32, 5, shape);
  lat_dense_opts opts = LAT_DENSE_OPTS_INIT;
  refuse_from(NULL, NULL, LAT_STATUS_INVALID_ARGUMENT, "dense: got NULL");
  lat_array_view bad = lat_view(values, LAT_DTYPE_F32, 4, shape);
  refuse_from(&bad, NULL, LAT_STATUS_INVALID_SHAPE, "dense must have 5 axes: got shape (2, 2, 2, 2)");
  bad = lat_view(values, LAT_DTYPE_I32, 5, shape);
  refuse_from(&bad, NULL, LAT_STATUS_INVALID_DTYPE, "dense dtype: got int32");
  opts.layout = (lat_dense_layout)-1;
  refuse_from(&view, &opts, LAT_STATUS_INVALID_ARGUMENT, "layout: got -1");
  opts = (lat_dense_opts)LAT_DENSE_OPTS_INIT;
  opts.fold = (lat_dense_fold)-1;
  refuse_from(&view, &opts, LAT_STATUS_INVALID_ARGUMENT, "fold: got -1");
  opts.fold = LAT_DENSE_FOLD_Z;
  refuse_from(&view, &opts, LAT_STATUS_INVALID_SHAPE, "dense must have 4 axes: got shape (2, 2, 2, 2, 2)");
  bad = lat_view(values, LAT_DTYPE_F32, 4, folded);
  refuse_from(&bad, &opts, LAT_STATUS_INVALID_ARGUMENT, "shape must give the length of the folded axis: got 0");
  opts.shape.z = 2;
  refuse_from(&bad, &opts, LAT_STATUS_INVALID_SHAPE, "channels must be a multiple of the folded axis: got 5");
  opts = (lat_dense_opts)LAT_DENSE_OPTS_INIT;
  opts.shape.y = 3;
  refuse_from(&view, &opts, LAT_STATUS_INVALID_SHAPE, "shape must match the dense array: got 3 on axis 1");
  opts = (lat_dense_opts)LAT_DENSE_OPTS_INIT;
  opts.min_coord.x = INT32_MAX;
  refuse_from(&view, &opts, LAT_STATUS_OVERFLOW, "coordinates leave int32: got 2 cells from 2147483647 on axis 0");
  opts = (lat_dense_opts)LAT_DENSE_OPTS_INIT;
  opts.outside = (lat_dense_outside)7;
  refuse_from(&view, &opts, LAT_STATUS_INVALID_ARGUMENT, "outside: got 7");
  opts.struct_bytes = 1;
  refuse_from(&view, &opts, LAT_STATUS_INVALID_ARGUMENT, "struct_bytes");
  const int64_t items[5] = {2147483649, 0, 1, 1, 1}, wide[5] = {1, 2147483647, 2147483647, 2147483647, 0};
  bad = lat_view(NULL, LAT_DTYPE_F32, 5, items);
  refuse_from(&bad, NULL, LAT_STATUS_OVERFLOW, "coordinates leave int32: got 2147483649 batch items");
  bad = lat_view(NULL, LAT_DTYPE_F32, 5, wide);
  refuse_from(&bad, NULL, LAT_STATUS_OVERFLOW, "dense array is too large: got 1 items of (2147483647, 2147483647, ");
}

static void refuse_made(const lat_array_view *dense, const lat_dense_opts *opts, lat_status expected,
                        const char *fragment) {
  lat_tensor *made = tensor;
  lat_test_assert_error(lat_from_dense(context, dense, opts, &made), expected, fragment);
  assert_null(made);
}

static void bad_masks_and_strides_are_refused(void **state) {
  (void)state;
  const float values[64] = {0};
  const int64_t shape[5] = {2, 2, 2, 2, 2}, other[4] = {2, 2, 1, 2};
  lat_array_view view = lat_view(values, LAT_DTYPE_F32, 5, shape);
  lat_array_view mask = lat_view(values, LAT_DTYPE_U8, 4, other);
  lat_dense_opts opts = LAT_DENSE_OPTS_INIT;
  lat_tensor *made = tensor;
  lat_test_assert_error(lat_from_dense(NULL, &view, NULL, &made), LAT_STATUS_INVALID_ARGUMENT,
                        "from_dense: context: got NULL");
  assert_null(made);
  lat_test_assert_error(lat_from_dense(context, &view, NULL, NULL), LAT_STATUS_INVALID_ARGUMENT,
                        "from_dense: out: got NULL");
  opts.mask = &mask;
  refuse_made(&view, &opts, LAT_STATUS_INVALID_SHAPE,
              "mask must have shape (B, X, Y, Z): got (2, 2, 1, 2), expected (2, 2, 2, 2)");
  mask = lat_view(values, LAT_DTYPE_I32, 4, shape);
  refuse_made(&view, &opts, LAT_STATUS_INVALID_DTYPE, "mask must be uint8: got int32");
  mask = lat_view(NULL, LAT_DTYPE_U8, 4, shape);
  refuse_made(&view, &opts, LAT_STATUS_INVALID_ARGUMENT, "mask data: got NULL");
  opts.mask = NULL;
  opts.stride = (lat_triple){1, 1, 0};
  refuse_made(&view, &opts, LAT_STATUS_INVALID_ARGUMENT, "stride must be positive: got (1, 1, 0)");
  opts.stride = (lat_triple){-1, 1, 1};
  refuse_made(&view, &opts, LAT_STATUS_INVALID_ARGUMENT, "stride must be positive");
}

static void refuse_back(const lat_array_view *dense, const lat_tensor *result, const lat_array_view *grad,
                        const lat_dense_opts *opts, lat_status expected, const char *fragment) {
  lat_array *out = (lat_array *)tensor;
  lat_test_assert_error(lat_from_dense_backward(context, dense, result, grad, opts, &out), expected, fragment);
  assert_null(out);
}

static void bad_gradients_of_from_dense_are_refused(void **state) {
  (void)state;
  const float values[64] = {0};
  const int32_t twins[3][4] = {{0, 1, 1, 1}, {0, 0, 0, 0}, {0, 1, 1, 1}};
  const int64_t shape[5] = {2, 2, 2, 2, 2};
  lat_array_view view = lat_view(values, LAT_DTYPE_F32, 5, shape), grad = lat_view_2d(values, LAT_DTYPE_F32, 3, 2);
  lat_array_view bad = lat_view_2d(values, LAT_DTYPE_F32, 3, 3);
  lat_tensor *doubled = make_tensor(twins, values, 3, 0);
  lat_array *out = (lat_array *)tensor;
  lat_test_assert_error(lat_from_dense_backward(NULL, &view, tensor, &grad, NULL, &out), LAT_STATUS_INVALID_ARGUMENT,
                        "from_dense_backward: context: got NULL");
  assert_null(out);
  lat_test_assert_error(lat_from_dense_backward(context, &view, tensor, &grad, NULL, NULL), LAT_STATUS_INVALID_ARGUMENT,
                        "from_dense_backward: out: got NULL");
  refuse_back(&view, NULL, &grad, NULL, LAT_STATUS_INVALID_ARGUMENT, "result: got NULL");
  refuse_back(&view, tensor, NULL, NULL, LAT_STATUS_INVALID_ARGUMENT, "grad_out: got NULL");
  refuse_back(&view, tensor, &bad, NULL, LAT_STATUS_INVALID_SHAPE,
              "grad_out must have the shape of the result's features: got (3, 3), expected (3, 2)");
  bad = lat_view_2d(values, LAT_DTYPE_BF16, 3, 2);
  refuse_back(&view, tensor, &bad, NULL, LAT_STATUS_INVALID_DTYPE, "grad_out dtype: got bfloat16, expected float32");
  refuse_back(&view, tensor, &grad, NULL, LAT_STATUS_INVALID_ARGUMENT,
              "row lies outside of the box: got (0, 1, 0, -1) at row 0");
  refuse_back(&view, doubled, &grad, NULL, LAT_STATUS_INVALID_ARGUMENT, "duplicate coordinates");
  lat_tensor_release(doubled);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(worked_vector_channels_last),
      cmocka_unit_test(birds_eye_form_stacks_heights),
      cmocka_unit_test(batch_size_is_asked_declared_or_found),
      cmocka_unit_test(nan_counts_and_minus_zero_does_not),
      cmocka_unit_test(strided_arrays_are_read),
      cmocka_unit_test(empty_tensors_and_arrays_work),
      cmocka_unit_test(bad_arguments_of_to_dense_are_refused),
      cmocka_unit_test(rows_outside_are_refused_or_dropped),
      cmocka_unit_test(duplicates_and_huge_boxes_are_refused),
      cmocka_unit_test(bad_gradients_of_to_dense_are_refused),
      cmocka_unit_test(bad_arguments_of_from_dense_are_refused),
      cmocka_unit_test(bad_masks_and_strides_are_refused),
      cmocka_unit_test(bad_gradients_of_from_dense_are_refused),
  };
  return cmocka_run_group_tests(tests, set_up, tear_down);
}
