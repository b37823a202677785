// Packed weights: facts, parts, unpacking, and every error with its status and text.
// covers: lat_quantize_weight lat_dequantize_weight lat_quantized_weight_create lat_quantized_weight_info
// covers: lat_quantized_weight_retain lat_quantized_weight_release
#include "support/test_support.h"

#include <float.h>
#include <math.h>
#include <string.h>

#include <lattice/lattice.h>

static lat_context *context;

static int set_up(void **state) {
  (void)state;
  return lat_context_create(NULL, &context);
}

static int tear_down(void **state) {
  (void)state;
  lat_context_destroy(context);
  return 0;
}

static float numbers[4096];

static lat_quantized_weight *quantize_numbers(int32_t rank, const int64_t *shape, int32_t bits, int32_t group_size) {
  lat_array_view view = lat_view(numbers, LAT_DTYPE_F32, rank, shape);
  lat_quantize_opts opts = LAT_QUANTIZE_OPTS_INIT;
  lat_quantized_weight *packed = NULL;
  for (int i = 0; i < 4096; i++) numbers[i] = (float)(i * 37 % 101 - 40) / 16.0f;
  opts.bits = bits;
  opts.group_size = group_size;
  lat_test_assert_ok(lat_quantize_weight(context, &view, &opts, &packed));
  return packed;
}

static void assert_shape(lat_array_view view, int64_t a, int64_t b, int64_t c) {
  assert_int_equal(view.rank, 3);
  assert_int_equal(view.shape[0], a);
  assert_int_equal(view.shape[1], b);
  assert_int_equal(view.shape[2], c);
}

static void assert_kernel_size(lat_triple size, int32_t x, int32_t y, int32_t z) {
  assert_true(size.x == x && size.y == y && size.z == z);
}

static void facts_of_a_linear_weight(void **state) {
  (void)state;
  const int64_t shape[2] = {7, 40};
  lat_quantized_weight *packed = quantize_numbers(2, shape, 0, 0);
  lat_quantized_info info = lat_quantized_weight_info(packed);
  assert_int_equal(info.bits, 4);
  assert_int_equal(info.group_size, 32);
  assert_int_equal(info.in_channels, 40);
  assert_int_equal(info.storage_in_channels, 64);
  assert_int_equal(info.out_channels, 7);
  assert_int_equal(info.layout, LAT_WEIGHT_LAYOUT_LINEAR);
  assert_kernel_size(info.kernel_size, 1, 1, 1);
  assert_shape(info.words, 1, 7, 8);
  assert_shape(info.scales, 1, 7, 2);
  assert_shape(info.biases, 1, 7, 2);
  assert_int_equal(info.bytes, 7 * 8 * 4 + 2 * 7 * 2 * 4);
  assert_ptr_equal(lat_quantized_weight_retain(packed), packed);
  lat_quantized_weight_release(packed);
  lat_quantized_weight_release(packed);
  lat_quantized_weight_release(NULL);
  assert_null(lat_quantized_weight_retain(NULL));
}

static void facts_of_spatial_weights(void **state) {
  (void)state;
  const int64_t dense[5] = {5, 3, 1, 2, 64}, mapped[3] = {6, 70, 3}, one[3] = {1, 33, 4};
  lat_quantized_weight *packed = quantize_numbers(5, dense, 8, 0);
  lat_quantized_info info = lat_quantized_weight_info(packed);
  assert_int_equal(info.group_size, 64);
  assert_int_equal(info.layout, LAT_WEIGHT_LAYOUT_DENSE_5D);
  assert_kernel_size(info.kernel_size, 3, 1, 2);
  assert_shape(info.words, 6, 16, 5);
  assert_shape(info.scales, 6, 1, 5);
  lat_quantized_weight_release(packed);
  packed = quantize_numbers(3, mapped, 4, 128);
  info = lat_quantized_weight_info(packed);
  assert_int_equal(info.layout, LAT_WEIGHT_LAYOUT_KERNEL_MAJOR);
  assert_kernel_size(info.kernel_size, 6, 1, 1);
  assert_int_equal(info.storage_in_channels, 128);
  assert_shape(info.words, 6, 16, 3);
  assert_shape(info.biases, 6, 1, 3);
  lat_quantized_weight_release(packed);
  packed = quantize_numbers(3, one, 4, 0); // a kernel volume of 1 is stored channel-major whatever the layout
  info = lat_quantized_weight_info(packed);
  assert_int_equal(info.layout, LAT_WEIGHT_LAYOUT_KERNEL_MAJOR);
  assert_shape(info.words, 1, 4, 8);
  lat_quantized_weight_release(packed);
}

// Values on the codes of their group come back exactly, in the shape that was packed.
static void dequantize_restores_the_layout(void **state) {
  (void)state;
  const int64_t shapes[3][5] = {{4, 32}, {3, 32, 4}, {4, 3, 1, 2, 32}};
  const int32_t ranks[3] = {2, 3, 5};
  static float values[4 * 6 * 32];
  for (int i = 0; i < 4 * 6 * 32; i++)
    values[i] = (float)((i * 5 + i / 32) % 16); // 0 and 15 occur in every 32 in a row
  for (int form = 0; form < 3; form++) {
    lat_array_view view = lat_view(values, LAT_DTYPE_F32, ranks[form], shapes[form]);
    lat_quantized_weight *packed = NULL;
    lat_array *dense = NULL;
    lat_test_assert_ok(lat_quantize_weight(context, &view, NULL, &packed));
    lat_test_assert_ok(lat_dequantize_weight(context, packed, &dense));
    lat_array_view result = lat_array_as_view(dense);
    assert_int_equal(result.rank, ranks[form]);
    assert_int_equal(result.dtype, LAT_DTYPE_F32);
    for (int axis = 0; axis < ranks[form]; axis++) assert_int_equal(result.shape[axis], shapes[form][axis]);
    if (form != 1) {
      assert_memory_equal(result.data, values, (size_t)lat_array_count(dense) * sizeof(float));
    } else {
      for (int64_t i = 0; i < lat_array_count(dense); i++) {
        assert_true(fabsf(((const float *)result.data)[i] - values[i]) <= 0.51f);
      }
    }
    lat_array_release(dense);
    lat_quantized_weight_release(packed);
  }
}

static void parts_make_the_same_weight(void **state) {
  (void)state;
  const int64_t shape[5] = {5, 3, 1, 2, 40};
  lat_quantized_weight *packed = quantize_numbers(5, shape, 8, 32), *copy = NULL;
  lat_array *a = NULL, *b = NULL;
  lat_quantized_info info = lat_quantized_weight_info(packed);
  info.bytes = 1; // ignored, as is storage_in_channels
  info.storage_in_channels = 3;
  lat_test_assert_ok(lat_quantized_weight_create(context, &info, &copy));
  lat_quantized_info copied = lat_quantized_weight_info(copy);
  assert_true(copied.words.data != info.words.data);
  assert_int_equal(copied.storage_in_channels, 64);
  assert_int_equal(copied.bytes, lat_quantized_weight_info(packed).bytes);
  lat_test_assert_ok(lat_dequantize_weight(context, packed, &a));
  lat_test_assert_ok(lat_dequantize_weight(context, copy, &b));
  assert_memory_equal(lat_array_data(a), lat_array_data(b), (size_t)lat_array_count(a) * sizeof(float));
  lat_array_release(a);
  lat_array_release(b);
  lat_quantized_weight_release(packed);
  lat_quantized_weight_release(copy);
}

// A stored weight may hold more groups than its channels need.
static void spare_groups_are_legal(void **state) {
  (void)state;
  const int64_t shape[2] = {3, 64};
  lat_quantized_weight *packed = quantize_numbers(2, shape, 4, 32), *narrow = NULL;
  lat_array *dense = NULL;
  lat_quantized_info info = lat_quantized_weight_info(packed);
  info.in_channels = 20;
  lat_test_assert_ok(lat_quantized_weight_create(context, &info, &narrow));
  assert_int_equal(lat_quantized_weight_info(narrow).storage_in_channels, 64);
  lat_test_assert_ok(lat_dequantize_weight(context, narrow, &dense));
  assert_int_equal(lat_array_as_view(dense).shape[1], 20);
  lat_array_release(dense);
  lat_quantized_weight_release(packed);
  lat_quantized_weight_release(narrow);
}

static void assert_refused(const lat_array_view *view, int32_t bits, int32_t group_size, lat_status status,
                           const char *fragment) {
  lat_quantize_opts opts = LAT_QUANTIZE_OPTS_INIT;
  lat_quantized_weight *packed = (lat_quantized_weight *)numbers;
  opts.bits = bits;
  opts.group_size = group_size;
  lat_test_assert_error(lat_quantize_weight(context, view, &opts, &packed), status, fragment);
  assert_null(packed);
}

static void bad_weights_are_refused(void **state) {
  (void)state;
  const int64_t empty[5] = {4, 3, 0, 1, 8}, rank4[4] = {1, 1, 1, 1}, huge[3] = {1, 1, 1};
  lat_array_view view = lat_view_2d(numbers, LAT_DTYPE_F32, 4, 8);
  assert_refused(NULL, 4, 32, LAT_STATUS_INVALID_ARGUMENT, "quantize_weight: weight: got NULL");
  assert_refused(&view, 5, 32, LAT_STATUS_INVALID_ARGUMENT, "bits must be 4 or 8: got 5");
  assert_refused(&view, -4, 32, LAT_STATUS_INVALID_ARGUMENT, "bits must be 4 or 8: got -4");
  assert_refused(&view, 4, 16, LAT_STATUS_INVALID_ARGUMENT, "group_size must be 32, 64, or 128: got 16");
  assert_refused(&view, 8, 256, LAT_STATUS_INVALID_ARGUMENT, "group_size must be 32, 64, or 128");
  view.dtype = LAT_DTYPE_BF16;
  assert_refused(&view, 4, 32, LAT_STATUS_INVALID_DTYPE, "supports float16 and float32: got bfloat16");
  view.dtype = LAT_DTYPE_F64;
  assert_refused(&view, 4, 32, LAT_STATUS_INVALID_DTYPE,
                 "weight quantization supports float16 and float32: got float64");
  view = lat_view_1d(numbers, LAT_DTYPE_F32, 8);
  assert_refused(&view, 4, 32, LAT_STATUS_INVALID_SHAPE, "weight rank: got (8,)");
  view = lat_view(numbers, LAT_DTYPE_F32, 4, rank4);
  assert_refused(&view, 4, 32, LAT_STATUS_INVALID_SHAPE, "weight rank: got (1, 1, 1, 1)");
  view = lat_view(numbers, LAT_DTYPE_F32, 5, empty);
  assert_refused(&view, 4, 32, LAT_STATUS_INVALID_SHAPE, "weight has an empty axis: got (4, 3, 0, 1, 8)");
  view = lat_view_2d(numbers, LAT_DTYPE_F32, 4, 0);
  assert_refused(&view, 4, 32, LAT_STATUS_INVALID_SHAPE, "weight has an empty axis: got (4, 0)");
  view = lat_view_2d(NULL, LAT_DTYPE_F32, 4, 8);
  assert_refused(&view, 4, 32, LAT_STATUS_INVALID_ARGUMENT, "weight data: got NULL");
  view = lat_view(numbers, LAT_DTYPE_F32, 3, huge);
  view.shape[0] = INT64_C(1) << 31; // a broadcast view: nothing is read before the volume is refused
  view.stride[0] = 0;
  assert_refused(&view, 4, 32, LAT_STATUS_OVERFLOW, "kernel volume leaves int32: got (2147483648, 1, 1)");
}

static void weights_that_are_not_finite_are_refused(void **state) {
  (void)state;
  const int64_t shape[5] = {2, 1, 3, 1, 40};
  float values[2 * 3 * 40] = {0};
  uint16_t half[64] = {0};
  lat_array_view view = lat_view(values, LAT_DTYPE_F32, 5, shape);
  values[(1 * 3 + 2) * 40 + 35] = INFINITY; // output channel 1, kernel element 2
  assert_refused(&view, 4, 32, LAT_STATUS_INVALID_ARGUMENT,
                 "weight must be finite: got inf at kernel element 2, output channel 1, input channel 35");
  values[(0 * 3 + 2) * 40 + 39] = NAN;
  assert_refused(&view, 8, 32, LAT_STATUS_INVALID_ARGUMENT,
                 "nan at kernel element 2, output channel 0, input channel 39");
  view = lat_view_2d(half, LAT_DTYPE_F16, 2, 32);
  half[40] = 0xFC00;
  assert_refused(&view, 8, 32, LAT_STATUS_INVALID_ARGUMENT,
                 "got -inf at kernel element 0, output channel 1, input channel 8");
}

// code * scale must come back finite in the weight's dtype.
static void ranges_that_leave_the_dtype_are_refused(void **state) {
  (void)state;
  float values[64] = {0};
  uint16_t half[64] = {0};
  lat_array_view view = lat_view_2d(values, LAT_DTYPE_F32, 2, 32);
  values[32] = FLT_MAX, values[33] = -FLT_MAX;
  assert_refused(
      &view, 4, 32, LAT_STATUS_OVERFLOW,
      "range of a group leaves float32: got kernel element 0, output channel 1, the group of input channel 0");
  view = lat_view_2d(half, LAT_DTYPE_F16, 2, 32);
  half[0] = 0x7BFF, half[1] = 0xFBFF; // 65504 and -65504
  assert_refused(&view, 8, 32, LAT_STATUS_OVERFLOW, "range of a group leaves float16");
  half[0] = 0x7B53, half[1] = 0; // 60000 alone is fine
  lat_quantized_weight *packed = NULL;
  lat_test_assert_ok(lat_quantize_weight(context, &view, NULL, &packed));
  lat_quantized_weight_release(packed);
}

static void null_handles_are_refused(void **state) {
  (void)state;
  const int64_t shape[2] = {2, 8};
  lat_quantized_weight *packed = quantize_numbers(2, shape, 4, 32), *other = packed;
  lat_quantized_info info = lat_quantized_weight_info(packed);
  lat_array_view view = lat_view_2d(numbers, LAT_DTYPE_F32, 2, 8);
  lat_array *array = (lat_array *)packed;
  lat_test_assert_error(lat_quantize_weight(NULL, &view, NULL, &other), LAT_STATUS_INVALID_ARGUMENT,
                        "quantize_weight: context: got NULL");
  assert_null(other);
  lat_test_assert_error(lat_quantize_weight(context, &view, NULL, NULL), LAT_STATUS_INVALID_ARGUMENT,
                        "quantize_weight: out: got NULL");
  lat_test_assert_error(lat_dequantize_weight(NULL, packed, &array), LAT_STATUS_INVALID_ARGUMENT,
                        "dequantize_weight: context: got NULL");
  assert_null(array);
  array = (lat_array *)packed;
  lat_test_assert_error(lat_dequantize_weight(context, NULL, &array), LAT_STATUS_INVALID_ARGUMENT,
                        "dequantize_weight: weight: got NULL");
  assert_null(array);
  lat_test_assert_error(lat_dequantize_weight(context, packed, NULL), LAT_STATUS_INVALID_ARGUMENT,
                        "dequantize_weight: out: got NULL");
  other = packed;
  lat_test_assert_error(lat_quantized_weight_create(NULL, &info, &other), LAT_STATUS_INVALID_ARGUMENT,
                        "quantized_weight_create: context: got NULL");
  assert_null(other);
  other = packed;
  lat_test_assert_error(lat_quantized_weight_create(context, NULL, &other), LAT_STATUS_INVALID_ARGUMENT,
                        "quantized_weight_create: info: got NULL");
  assert_null(other);
  lat_test_assert_error(lat_quantized_weight_create(context, &info, NULL), LAT_STATUS_INVALID_ARGUMENT,
                        "quantized_weight_create: out: got NULL");
  lat_quantized_weight_release(packed);
}

static void unknown_option_sizes_are_refused(void **state) {
  (void)state;
  lat_array_view view = lat_view_2d(numbers, LAT_DTYPE_F32, 2, 8);
  lat_quantize_opts opts = LAT_QUANTIZE_OPTS_INIT;
  lat_quantized_weight *packed = NULL;
  opts.struct_bytes = 1;
  lat_test_assert_error(lat_quantize_weight(context, &view, &opts, &packed), LAT_STATUS_INVALID_ARGUMENT,
                        "quantize_weight");
  assert_null(packed);
}

static void assert_parts_refused(lat_quantized_info info, lat_status status, const char *fragment) {
  lat_quantized_weight *made = (lat_quantized_weight *)numbers;
  lat_test_assert_error(lat_quantized_weight_create(context, &info, &made), status, fragment);
  assert_null(made);
}

static void bad_numbers_of_parts_are_refused(void **state) {
  (void)state;
  const int64_t shape[5] = {5, 3, 1, 2, 40};
  lat_quantized_weight *packed = quantize_numbers(5, shape, 4, 32);
  const lat_quantized_info good = lat_quantized_weight_info(packed);
  lat_quantized_info bad = good;
  bad.bits = 2;
  assert_parts_refused(bad, LAT_STATUS_INVALID_ARGUMENT, "bits must be 4 or 8: got 2");
  bad = good, bad.group_size = 0;
  assert_parts_refused(bad, LAT_STATUS_INVALID_ARGUMENT, "group_size must be 32, 64, or 128: got 0");
  bad = good, bad.in_channels = 0;
  assert_parts_refused(bad, LAT_STATUS_INVALID_ARGUMENT, "channels must be positive: got 0 in and 5 out");
  bad = good, bad.out_channels = -1;
  assert_parts_refused(bad, LAT_STATUS_INVALID_ARGUMENT, "channels must be positive");
  bad = good, bad.kernel_size.y = 0;
  assert_parts_refused(bad, LAT_STATUS_INVALID_ARGUMENT, "kernel_size values must be positive: got (3, 0, 2)");
  bad = good, bad.kernel_size = (lat_triple){INT32_MAX, INT32_MAX, INT32_MAX};
  assert_parts_refused(bad, LAT_STATUS_INVALID_ARGUMENT, "kernel_size product leaves int32");
  bad = good, bad.layout = LAT_WEIGHT_LAYOUT_LINEAR;
  assert_parts_refused(bad, LAT_STATUS_INVALID_ARGUMENT,
                       "layout does not allow the kernel_size: got layout 0 with (3, 1, 2)");
  bad = good, bad.layout = LAT_WEIGHT_LAYOUT_KERNEL_MAJOR;
  assert_parts_refused(bad, LAT_STATUS_INVALID_ARGUMENT, "layout does not allow the kernel_size");
  bad = good, bad.layout = (lat_weight_layout)3;
  assert_parts_refused(bad, LAT_STATUS_INVALID_ARGUMENT, "got layout 3");
  lat_quantized_weight_release(packed);
}

static void bad_arrays_of_parts_are_refused(void **state) {
  (void)state;
  const int64_t shape[5] = {5, 3, 1, 2, 40}; // words (6, 8, 5), scales (6, 2, 5)
  lat_quantized_weight *packed = quantize_numbers(5, shape, 4, 32);
  const lat_quantized_info good = lat_quantized_weight_info(packed);
  lat_quantized_info bad = good;
  bad.words.dtype = LAT_DTYPE_I32;
  assert_parts_refused(bad, LAT_STATUS_INVALID_DTYPE, "words must be uint32: got int32");
  bad = good, bad.scales.dtype = LAT_DTYPE_I32;
  assert_parts_refused(bad, LAT_STATUS_INVALID_DTYPE, "scales must be float16 or float32: got int32");
  bad = good, bad.scales.dtype = LAT_DTYPE_BF16;
  assert_parts_refused(bad, LAT_STATUS_INVALID_DTYPE, "scales must be float16 or float32: got bfloat16");
  bad = good, bad.biases.dtype = LAT_DTYPE_F16;
  assert_parts_refused(bad, LAT_STATUS_INVALID_DTYPE,
                       "biases must have the dtype of scales: got float16, expected float32");
  bad = good, bad.words.data = NULL;
  assert_parts_refused(bad, LAT_STATUS_INVALID_ARGUMENT, "words data: got NULL");
  bad = good, bad.scales.data = NULL;
  assert_parts_refused(bad, LAT_STATUS_INVALID_ARGUMENT, "scales data: got NULL");
  bad = good, bad.biases.data = NULL;
  assert_parts_refused(bad, LAT_STATUS_INVALID_ARGUMENT, "biases data: got NULL");
  bad = good, bad.words.rank = 2;
  assert_parts_refused(bad, LAT_STATUS_INVALID_SHAPE, "words shape: got (6, 8), expected (6, 0, 5)");
  bad = good, bad.out_channels = 4;
  assert_parts_refused(bad, LAT_STATUS_INVALID_SHAPE, "words shape: got (6, 8, 5), expected (6, 8, 4)");
  bad = good, bad.kernel_size.x = 2;
  assert_parts_refused(bad, LAT_STATUS_INVALID_SHAPE, "words shape: got (6, 8, 5), expected (4, 8, 5)");
  bad = good, bad.words.shape[1] = 7;
  assert_parts_refused(bad, LAT_STATUS_INVALID_SHAPE, "words must hold whole groups: got 7 words of 4-bit codes");
  bad = good, bad.words.shape[1] = 4;
  assert_parts_refused(bad, LAT_STATUS_INVALID_SHAPE,
                       "words hold too few channels: got 32, expected at least in_channels 40");
  bad = good, bad.scales.shape[1] = 1;
  assert_parts_refused(bad, LAT_STATUS_INVALID_SHAPE, "scales shape: got (6, 1, 5), expected (6, 2, 5)");
  bad = good, bad.biases.shape[0] = 5;
  assert_parts_refused(bad, LAT_STATUS_INVALID_SHAPE, "biases shape: got (5, 2, 5), expected (6, 2, 5)");
  lat_quantized_weight_release(packed);
}

// The weight outlives its context.
static void a_weight_outlives_its_context(void **state) {
  (void)state;
  lat_context *short_lived = NULL;
  lat_quantized_weight *packed = NULL;
  lat_array *dense = NULL;
  lat_array_view view = lat_view_2d(numbers, LAT_DTYPE_F32, 2, 8);
  lat_test_assert_ok(lat_context_create(NULL, &short_lived));
  lat_test_assert_ok(lat_quantize_weight(short_lived, &view, NULL, &packed));
  lat_context_destroy(short_lived);
  lat_test_assert_ok(lat_dequantize_weight(context, packed, &dense));
  lat_quantized_weight_release(packed);
  lat_array_release(dense);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(facts_of_a_linear_weight),
      cmocka_unit_test(facts_of_spatial_weights),
      cmocka_unit_test(dequantize_restores_the_layout),
      cmocka_unit_test(parts_make_the_same_weight),
      cmocka_unit_test(spare_groups_are_legal),
      cmocka_unit_test(bad_weights_are_refused),
      cmocka_unit_test(weights_that_are_not_finite_are_refused),
      cmocka_unit_test(ranges_that_leave_the_dtype_are_refused),
      cmocka_unit_test(null_handles_are_refused),
      cmocka_unit_test(unknown_option_sizes_are_refused),
      cmocka_unit_test(bad_numbers_of_parts_are_refused),
      cmocka_unit_test(bad_arrays_of_parts_are_refused),
      cmocka_unit_test(a_weight_outlives_its_context),
  };
  return cmocka_run_group_tests(tests, set_up, tear_down);
}
