// Arrays and views: checks, strides, wrapping, conversion, overflow.
// covers: lat_array_as_view lat_array_cast lat_array_copy_to lat_array_count lat_array_create lat_array_data
// covers: lat_array_full lat_array_release lat_array_retain lat_array_wrap lat_dtype_bytes lat_dtype_name
#include <math.h>
#include <string.h>

#include <lattice/array.h>

#include "core/array_internal.h"
#include "support/test_allocator.h"
#include "support/test_support.h"

static lat_context *context;
static lat_test_allocator counter;

static int set_up(void **state) {
  (void)state;
  memset(&counter, 0, sizeof counter);
  context = lat_test_context_create(&counter, 1);
  return 0;
}

static int tear_down(void **state) {
  (void)state;
  lat_test_context_finish(context, &counter);
  return 0;
}

static lat_array *const poison = (lat_array *)&counter; // outputs must not keep this on failure

static void test_dtypes(void **state) {
  (void)state;
  const struct {
    lat_dtype dtype;
    size_t bytes;
    const char *name;
  } table[] = {{LAT_DTYPE_F32, 4, "float32"}, {LAT_DTYPE_F16, 2, "float16"}, {LAT_DTYPE_F64, 8, "float64"},
               {LAT_DTYPE_I32, 4, "int32"},   {LAT_DTYPE_I64, 8, "int64"},   {LAT_DTYPE_U8, 1, "uint8"},
               {LAT_DTYPE_U32, 4, "uint32"},  {LAT_DTYPE_I16, 2, "int16"},   {LAT_DTYPE_BF16, 2, "bfloat16"}};
  for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
    assert_int_equal(lat_dtype_bytes(table[i].dtype), table[i].bytes);
    assert_string_equal(lat_dtype_name(table[i].dtype), table[i].name);
  }
  assert_int_equal(lat_dtype_bytes((lat_dtype)0), 0);
  assert_int_equal(lat_dtype_bytes((lat_dtype)99), 0);
  assert_string_equal(lat_dtype_name((lat_dtype)99), "unknown");
}

static void test_create_copies(void **state) {
  (void)state;
  int32_t values[6] = {1, 2, 3, 4, 5, 6};
  lat_array_view view = lat_view_2d(values, LAT_DTYPE_I32, 2, 3);
  lat_array *array = NULL;
  lat_test_assert_ok(lat_array_create(context, &view, &array));
  values[0] = 99;
  lat_array_view copy = lat_array_as_view(array);
  assert_int_equal(((const int32_t *)copy.data)[0], 1);
  assert_int_equal(copy.rank, 2);
  assert_int_equal(copy.shape[0], 2);
  assert_int_equal(copy.shape[1], 3);
  assert_int_equal(copy.stride[0], 3);
  assert_int_equal(copy.stride[1], 1);
  assert_int_equal(lat_array_count(array), 6);
  assert_ptr_equal(lat_array_data(array), copy.data);
  assert_int_equal((uintptr_t)copy.data % 64, 0);
  lat_array_release(array);
  lat_array_release(NULL);
  assert_null(lat_array_retain(NULL));
}

// All six axes with padding between the rows, one axis backwards, one broadcast; compared with index arithmetic.
static void test_create_from_strides(void **state) {
  (void)state;
  double memory[512];
  for (int i = 0; i < 512; i++) memory[i] = i;
  lat_array_view view = {memory + 200, LAT_DTYPE_F64, LAT_DEVICE_CPU, 6, {2, 3, 1, 2, 4, 2}, {100, -40, 7, 0, 5, 2}};
  lat_array *array = NULL;
  lat_test_assert_ok(lat_array_create(context, &view, &array));
  const double *got = lat_array_data(array);
  int64_t at = 0;
  for (int64_t i = 0; i < 96; i++) {
    int64_t rest = i, offset = 0;
    for (int axis = 5; axis >= 0; axis--) {
      offset += rest % view.shape[axis] * view.stride[axis];
      rest /= view.shape[axis];
    }
    assert_true(got[at++] == memory[200 + offset]);
  }
  double copied[96];
  lat_test_assert_ok(lat_array_copy_to(&view, copied, sizeof copied));
  assert_memory_equal(copied, got, sizeof copied);
  lat_array_release(array);
}

static void test_scalar_array(void **state) {
  (void)state;
  const float value = 2.5f;
  lat_array_view view = {&value, LAT_DTYPE_F32, LAT_DEVICE_CPU, 0, {0}, {0}};
  lat_array *array = NULL;
  lat_test_assert_ok(lat_array_create(context, &view, &array));
  assert_int_equal(lat_array_count(array), 1);
  assert_true(*(const float *)lat_array_data(array) == 2.5f);
  lat_array_release(array);
  lat_test_assert_ok(lat_array_full(context, LAT_DTYPE_I64, 0, NULL, -3.9, &array));
  assert_true(*(const int64_t *)lat_array_data(array) == -3);
  lat_array_release(array);
}

static void test_empty_arrays(void **state) {
  (void)state;
  const int64_t huge = INT64_C(1) << 40;
  const int64_t shapes[][3] = {{0, 3, 2}, {3, 0, 2}, {huge, huge, 0}, {0, huge, huge}, {huge, 0, huge}};
  for (size_t i = 0; i < sizeof shapes / sizeof shapes[0]; i++) {
    lat_array_view view = lat_view(NULL, LAT_DTYPE_F64, 3, shapes[i]);
    lat_array *array = NULL, *wrapped = NULL, *filled = NULL;
    view.stride[0] = 17; // strides of an empty array do not matter
    view.stride[2] = -5;
    lat_test_assert_ok(lat_array_create(context, &view, &array));
    assert_int_equal(lat_array_count(array), 0);
    lat_test_assert_ok(lat_array_wrap(context, &view, NULL, NULL, &wrapped));
    assert_int_equal(lat_array_count(wrapped), 0);
    lat_test_assert_ok(lat_array_full(context, LAT_DTYPE_U8, 3, shapes[i], 1.0, &filled));
    assert_int_equal(lat_array_count(filled), 0);
    lat_test_assert_ok(lat_array_copy_to(&view, NULL, 0));
    lat_array_release(array);
    lat_array_release(wrapped);
    lat_array_release(filled);
  }
}

typedef struct bad_view {
  lat_array_view view;
  lat_status status;
  const char *fragment;
} bad_view;

static void test_bad_views(void **state) {
  (void)state;
  float value = 0;
  const int64_t large = INT64_C(1) << 31;
  const bad_view table[] = {
      {{&value, (lat_dtype)77, LAT_DEVICE_CPU, 1, {1}, {1}}, LAT_STATUS_INVALID_DTYPE, "unknown dtype: got 77"},
      {{&value, LAT_DTYPE_F32, (lat_device)3, 1, {1}, {1}}, LAT_STATUS_INVALID_ARGUMENT, "unknown device: got 3"},
      {{&value, LAT_DTYPE_F32, LAT_DEVICE_CPU, -1, {1}, {1}}, LAT_STATUS_INVALID_SHAPE, "impossible rank: got -1"},
      {{&value, LAT_DTYPE_F32, LAT_DEVICE_CPU, 7, {1}, {1}}, LAT_STATUS_INVALID_SHAPE, "impossible rank: got 7"},
      {{&value, LAT_DTYPE_F32, LAT_DEVICE_CPU, 1, {-2}, {1}}, LAT_STATUS_INVALID_SHAPE, "axis 0 is negative: got -2"},
      {{&value, LAT_DTYPE_F32, LAT_DEVICE_CPU, 2, {0, -1}, {1, 1}}, LAT_STATUS_INVALID_SHAPE, "axis 1 is negative"},
      {{NULL, LAT_DTYPE_F32, LAT_DEVICE_CPU, 1, {3}, {1}}, LAT_STATUS_INVALID_ARGUMENT, "data: got NULL, expected 3"},
      {{&value, LAT_DTYPE_F32, LAT_DEVICE_CPU, 2, {large, large}, {1, 1}}, LAT_STATUS_OVERFLOW, "address space"},
      {{&value, LAT_DTYPE_F64, LAT_DEVICE_CPU, 3, {large, large, large}, {1, 1, 1}}, LAT_STATUS_OVERFLOW, "address"},
  };
  for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
    const bad_view *bad = &table[i];
    lat_array *out = poison;
    lat_test_assert_error(lat_array_create(context, &bad->view, &out), bad->status, bad->fragment);
    assert_null(out);
    out = poison;
    lat_test_assert_error(lat_array_wrap(context, &bad->view, NULL, NULL, &out), bad->status, bad->fragment);
    assert_null(out);
    out = poison;
    lat_test_assert_error(lat_array_cast(context, &bad->view, LAT_DTYPE_F32, &out), bad->status, bad->fragment);
    assert_null(out);
    lat_test_assert_error(lat_array_copy_to(&bad->view, &value, 4), bad->status, bad->fragment);
  }
}

static void test_null_arguments(void **state) {
  (void)state;
  float value = 1;
  const int64_t n = 1;
  lat_array_view view = lat_view_1d(&value, LAT_DTYPE_F32, 1);
  lat_array *out = poison;
  lat_test_assert_error(lat_array_create(context, &view, NULL), LAT_STATUS_INVALID_ARGUMENT, "array_create: out");
  lat_test_assert_error(lat_array_create(NULL, &view, &out), LAT_STATUS_INVALID_ARGUMENT, "array_create: context");
  assert_null(out);
  lat_test_assert_error(lat_array_create(context, NULL, &out), LAT_STATUS_INVALID_ARGUMENT, "source: got NULL");
  lat_test_assert_error(lat_array_wrap(context, &view, NULL, NULL, NULL), LAT_STATUS_INVALID_ARGUMENT,
                        "array_wrap: out");
  lat_test_assert_error(lat_array_wrap(context, NULL, NULL, NULL, &out), LAT_STATUS_INVALID_ARGUMENT, "view: got NULL");
  lat_test_assert_error(lat_array_full(context, LAT_DTYPE_F32, 1, &n, 0, NULL), LAT_STATUS_INVALID_ARGUMENT, "out");
  lat_test_assert_error(lat_array_full(NULL, LAT_DTYPE_F32, 1, &n, 0, &out), LAT_STATUS_INVALID_ARGUMENT, "context");
  lat_test_assert_error(lat_array_full(context, LAT_DTYPE_F32, 1, NULL, 0, &out), LAT_STATUS_INVALID_ARGUMENT, "shape");
  lat_test_assert_error(lat_array_cast(context, NULL, LAT_DTYPE_F32, &out), LAT_STATUS_INVALID_ARGUMENT, "source");
  lat_test_assert_error(lat_array_cast(context, &view, LAT_DTYPE_F32, NULL), LAT_STATUS_INVALID_ARGUMENT, "out");
  lat_test_assert_error(lat_array_cast(context, &view, (lat_dtype)0, &out), LAT_STATUS_INVALID_DTYPE, "unknown dtype");
  lat_test_assert_error(lat_array_copy_to(NULL, &value, 4), LAT_STATUS_INVALID_ARGUMENT, "source: got NULL");
  lat_test_assert_error(lat_array_copy_to(&view, NULL, 4), LAT_STATUS_INVALID_ARGUMENT, "buffer: got NULL");
}

static void test_copy_to_needs_room(void **state) {
  (void)state;
  const uint32_t values[3] = {1, 2, 3};
  uint32_t buffer[3] = {9, 9, 9};
  lat_array_view view = lat_view_1d(values, LAT_DTYPE_U32, 3);
  lat_test_assert_error(lat_array_copy_to(&view, buffer, 11), LAT_STATUS_INVALID_SHAPE, "got 11 bytes, expected 12");
  assert_int_equal(buffer[0], 9);
  lat_test_assert_ok(lat_array_copy_to(&view, buffer, 12));
  assert_memory_equal(buffer, values, 12);
}

static void count_release(void *user) {
  ++*(int *)user;
}

static void test_wrap_borrows_until_the_last_reference(void **state) {
  (void)state;
  float values[4] = {1, 2, 3, 4};
  int n_released = 0;
  lat_array_view view = lat_view_2d(values, LAT_DTYPE_F32, 2, 2);
  lat_array *array = NULL;
  lat_test_assert_ok(lat_array_wrap(context, &view, count_release, &n_released, &array));
  assert_ptr_equal(lat_array_data(array), values);
  lat_array *shared = lat_array_retain(array);
  assert_ptr_equal(shared, array);
  lat_array_release(array);
  assert_int_equal(n_released, 0);
  lat_array_release(shared);
  assert_int_equal(n_released, 1);
  view.stride[0] = 1; // the transposed matrix
  view.stride[1] = 2;
  array = poison;
  lat_test_assert_error(lat_array_wrap(context, &view, count_release, &n_released, &array), LAT_STATUS_INVALID_SHAPE,
                        "view is not contiguous");
  assert_null(array);
  assert_int_equal(n_released, 1); // not called on failure
}

static void test_contiguous_views(void **state) {
  (void)state;
  float value = 0;
  lat_array_view view = {&value, LAT_DTYPE_F32, LAT_DEVICE_CPU, 3, {2, 1, 3}, {3, 99, 1}};
  assert_true(lat__view_contiguous(&view)); // the step of an axis of length one does not matter
  view.stride[0] = 4;
  assert_false(lat__view_contiguous(&view));
  view.shape[1] = 0;
  assert_true(lat__view_contiguous(&view));
  view = (lat_array_view){&value, LAT_DTYPE_F32, LAT_DEVICE_CPU, 1, {5}, {0}};
  assert_false(lat__view_contiguous(&view));
}

static void test_full(void **state) {
  (void)state;
  const int64_t shape[2] = {7, 9};
  lat_array *array = NULL;
  lat_test_assert_ok(lat_array_full(context, LAT_DTYPE_F16, 2, shape, 1.0 + 0x1p-11 + 0x1p-40, &array));
  for (int i = 0; i < 63; i++) assert_int_equal(((uint16_t *)lat_array_data(array))[i], 0x3C01); // one rounding, up
  lat_array_release(array);
  lat_test_assert_ok(lat_array_full(context, LAT_DTYPE_U8, 2, shape, 255.9, &array));
  for (int i = 0; i < 63; i++) assert_int_equal(((uint8_t *)lat_array_data(array))[i], 255);
  lat_array_release(array);
  const struct {
    lat_dtype dtype;
    double value;
  } unfit[] = {{LAT_DTYPE_U8, 256},  {LAT_DTYPE_U8, -1},      {LAT_DTYPE_U32, -1},       {LAT_DTYPE_I32, 2147483648.0},
               {LAT_DTYPE_I32, NAN}, {LAT_DTYPE_I64, 0x1p63}, {LAT_DTYPE_I64, -INFINITY}};
  for (size_t i = 0; i < sizeof unfit / sizeof unfit[0]; i++) {
    array = poison;
    lat_test_assert_error(lat_array_full(context, unfit[i].dtype, 2, shape, unfit[i].value, &array),
                          LAT_STATUS_INVALID_ARGUMENT, "value does not fit the dtype");
    assert_null(array);
  }
}

// One element from one dtype to another; NULL when it does not fit.
static const void *cast_one(lat_dtype from, const void *value, lat_dtype to, void *result) {
  lat_array_view view = lat_view_1d(value, from, 1);
  lat_array *array = poison;
  lat_status status = lat_array_cast(context, &view, to, &array);
  if (status) {
    lat_test_assert_error(status, LAT_STATUS_OVERFLOW, "array_cast: element 0 does not fit");
    assert_null(array);
    return NULL;
  }
  memcpy(result, lat_array_data(array), lat_dtype_bytes(to));
  lat_array_release(array);
  return result;
}

static void test_cast_to_integers(void **state) {
  (void)state;
  const struct {
    double value;
    lat_dtype to;
    int fits;
    int64_t expected;
  } table[] = {
      {-0.99, LAT_DTYPE_U8, 1, 0},
      {255.99, LAT_DTYPE_U8, 1, 255},
      {256, LAT_DTYPE_U8, 0, 0},
      {-1, LAT_DTYPE_U8, 0, 0},
      {2147483647.5, LAT_DTYPE_I32, 1, 2147483647},
      {2147483648.0, LAT_DTYPE_I32, 0, 0},
      {-2147483648.9, LAT_DTYPE_I32, 1, INT32_MIN},
      {-2147483649.0, LAT_DTYPE_I32, 0, 0},
      {32767.9, LAT_DTYPE_I16, 1, 32767},
      {-32768.9, LAT_DTYPE_I16, 1, -32768},
      {32768.0, LAT_DTYPE_I16, 0, 0},
      {4294967295.0, LAT_DTYPE_U32, 1, 4294967295},
      {4294967296.0, LAT_DTYPE_U32, 0, 0},
      {0x1p62, LAT_DTYPE_I64, 1, INT64_C(1) << 62},
      {-0x1p63, LAT_DTYPE_I64, 1, INT64_MIN},
      {0x1p63, LAT_DTYPE_I64, 0, 0},
      {NAN, LAT_DTYPE_I32, 0, 0},
      {INFINITY, LAT_DTYPE_I64, 0, 0},
  };
  for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
    int64_t result = 0; // little-endian or not, the low bytes below are read through the right type
    const void *got = cast_one(LAT_DTYPE_F64, &table[i].value, table[i].to, &result);
    assert_int_equal(got != NULL, table[i].fits);
    if (!got) continue;
    if (table[i].to == LAT_DTYPE_U8) assert_true(*(const uint8_t *)got == table[i].expected);
    if (table[i].to == LAT_DTYPE_I16) assert_true(*(const int16_t *)got == table[i].expected);
    if (table[i].to == LAT_DTYPE_I32) assert_true(*(const int32_t *)got == table[i].expected);
    if (table[i].to == LAT_DTYPE_U32) assert_true(*(const uint32_t *)got == table[i].expected);
    if (table[i].to == LAT_DTYPE_I64) assert_true(*(const int64_t *)got == table[i].expected);
  }
}

static void test_cast_between_integers(void **state) {
  (void)state;
  int64_t big = INT64_C(5000000000), wide = 0;
  int32_t negative = -7, narrow = 0;
  uint32_t top = 4294967295u;
  uint8_t byte = 0;
  assert_null(cast_one(LAT_DTYPE_I64, &big, LAT_DTYPE_I32, &narrow));
  assert_null(cast_one(LAT_DTYPE_I32, &negative, LAT_DTYPE_U32, &top));
  assert_null(cast_one(LAT_DTYPE_I32, &negative, LAT_DTYPE_U8, &byte));
  assert_non_null(cast_one(LAT_DTYPE_I32, &negative, LAT_DTYPE_I64, &wide));
  assert_true(wide == -7);
  assert_non_null(cast_one(LAT_DTYPE_U32, &top, LAT_DTYPE_I64, &wide));
  assert_true(wide == INT64_C(4294967295));
  assert_null(cast_one(LAT_DTYPE_U32, &top, LAT_DTYPE_I32, &narrow));
}

static uint16_t half_of(double value) {
  uint16_t half = 0;
  assert_non_null(cast_one(LAT_DTYPE_F64, &value, LAT_DTYPE_F16, &half));
  return half;
}

// Through float32 these would round twice: first onto the middle between two halves, then to the even one.
static void test_cast_double_to_half_rounds_once(void **state) {
  (void)state;
  assert_int_equal(half_of(1.0 + 0x1p-11 + 0x1p-50), 0x3C01);
  assert_int_equal(half_of(1.0 + 0x1p-11), 0x3C00);
  assert_int_equal(half_of(1.0 + 3 * 0x1p-11 - 0x1p-50), 0x3C01);
  assert_int_equal(half_of(1.0 + 3 * 0x1p-11), 0x3C02);
  assert_int_equal(half_of(-(1.0 + 0x1p-11 + 0x1p-50)), 0xBC01);
  assert_int_equal(half_of(65520.0 - 0x1p-30), 0x7BFF);
  assert_int_equal(half_of(65520.0), 0x7C00);
  assert_int_equal(half_of(0x1p-25 + 0x1p-70), 0x0001);
  assert_int_equal(half_of(0x1p-25), 0x0000);
  assert_int_equal(half_of(1e-300), 0x0000);
  assert_int_equal(half_of(-1e-300), 0x8000);
  assert_int_equal(half_of(1e300), 0x7C00);
  assert_int_equal(half_of(-INFINITY), 0xFC00);
  assert_int_equal(half_of(NAN) & 0x7E00, 0x7E00);
}

static void test_cast_floats(void **state) {
  (void)state;
  double wide = 1.0 + 0x1p-24, back = 0; // a tie in float32: to even
  float narrow = 0;
  uint16_t half = 0x3555;
  int64_t odd = (INT64_C(1) << 53) + 1;
  cast_one(LAT_DTYPE_F64, &wide, LAT_DTYPE_F32, &narrow);
  assert_true(narrow == 1.0f);
  cast_one(LAT_DTYPE_F16, &half, LAT_DTYPE_F64, &back);
  assert_true(back == 0x1.554p-2);
  cast_one(LAT_DTYPE_I64, &odd, LAT_DTYPE_F64, &back);
  assert_true(back == 0x1p53);
  int64_t tie = (INT64_C(1) << 24) + 1;
  cast_one(LAT_DTYPE_I64, &tie, LAT_DTYPE_F32, &narrow);
  assert_true(narrow == 0x1p24f);
  uint8_t byte = 200;
  cast_one(LAT_DTYPE_U8, &byte, LAT_DTYPE_F16, &half);
  assert_true(lat_f16_to_f32(half) == 200.0f);
}

static void test_cast_reads_strides_and_names_the_element(void **state) {
  (void)state;
  const double values[8] = {1, -1, 2, -1, 300, -1, 4, -1};
  lat_array_view view = lat_view_1d(values, LAT_DTYPE_F64, 4);
  lat_array *array = NULL;
  view.stride[0] = 2;
  lat_test_assert_ok(lat_array_cast(context, &view, LAT_DTYPE_I32, &array));
  const int32_t expected[4] = {1, 2, 300, 4};
  assert_memory_equal(lat_array_data(array), expected, sizeof expected);
  lat_array_release(array);
  lat_test_assert_error(lat_array_cast(context, &view, LAT_DTYPE_U8, &array), LAT_STATUS_OVERFLOW,
                        "element 2 does not fit: got 300, expected a value of uint8");
  assert_null(array);
  lat_test_assert_ok(lat_array_cast(context, &view, LAT_DTYPE_F64, &array)); // the same dtype copies
  assert_ptr_not_equal(lat_array_data(array), values);
  lat_array_release(array);
}

static void test_channel_vector(void **state) {
  (void)state;
  const uint16_t halves[4] = {0x3C00, 0xC000, 0x7C00, 0x0001};
  const float third[2] = {1.0f / 3.0f, -1.0f / 3.0f};
  const int32_t integers[2] = {1, 2};
  lat_array_view view = lat_view_1d(halves, LAT_DTYPE_F16, 4);
  lat_array *vector = poison;
  lat_test_assert_ok(lat__channel_vector(context, "op", "bias", NULL, 3, LAT_DTYPE_F32, &vector));
  assert_null(vector);
  view.stride[0] = -1;
  view.data = halves + 3;
  lat_test_assert_ok(lat__channel_vector(context, "op", "bias", &view, 4, LAT_DTYPE_F32, &vector));
  const float expected[4] = {0x1p-24f, INFINITY, -2.0f, 1.0f};
  assert_memory_equal(lat_array_data(vector), expected, sizeof expected);
  lat_array_release(vector);
  view = lat_view_1d(third, LAT_DTYPE_F32, 2);
  lat_test_assert_ok(lat__channel_vector(context, "op", "bias", &view, 2, LAT_DTYPE_F16, &vector));
  assert_true(((const float *)lat_array_data(vector))[0] == 0x1.554p-2f); // a third in float16
  lat_array_release(vector);
  vector = poison;
  lat_test_assert_error(lat__channel_vector(context, "op", "bias", &view, 3, LAT_DTYPE_F32, &vector),
                        LAT_STATUS_INVALID_SHAPE, "op: bias must have shape (C,): got (2,), expected (3,)");
  assert_null(vector);
  view = lat_view_2d(third, LAT_DTYPE_F32, 2, 1);
  lat_test_assert_error(lat__channel_vector(context, "op", "bias", &view, 2, LAT_DTYPE_F32, &vector),
                        LAT_STATUS_INVALID_SHAPE, "got (2, 1)");
  view = lat_view_1d(integers, LAT_DTYPE_I32, 2);
  lat_test_assert_error(lat__channel_vector(context, "op", "bias", &view, 2, LAT_DTYPE_F32, &vector),
                        LAT_STATUS_INVALID_DTYPE, "bias dtype: got int32");
  assert_null(vector);
}

static void test_shape_text(void **state) {
  (void)state;
  const int64_t shape[3] = {2, 30, 4};
  char text[64], small[6];
  lat_array_view view = lat_view(NULL, LAT_DTYPE_F32, 3, shape);
  assert_string_equal(lat__shape_text(&view, text, sizeof text), "(2, 30, 4)");
  view.rank = 1;
  assert_string_equal(lat__shape_text(&view, text, sizeof text), "(2,)");
  view.rank = 0;
  assert_string_equal(lat__shape_text(&view, text, sizeof text), "()");
  view.rank = 3;
  assert_int_equal(strlen(lat__shape_text(&view, small, sizeof small)), 5); // cut, not overrun
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void) {
  const struct CMUnitTest tests[] = {
      TEST(test_dtypes),
      TEST(test_create_copies),
      TEST(test_create_from_strides),
      TEST(test_scalar_array),
      TEST(test_empty_arrays),
      TEST(test_bad_views),
      TEST(test_null_arguments),
      TEST(test_copy_to_needs_room),
      TEST(test_wrap_borrows_until_the_last_reference),
      TEST(test_contiguous_views),
      TEST(test_full),
      TEST(test_cast_to_integers),
      TEST(test_cast_between_integers),
      TEST(test_cast_double_to_half_rounds_once),
      TEST(test_cast_floats),
      TEST(test_cast_reads_strides_and_names_the_element),
      TEST(test_channel_vector),
      TEST(test_shape_text),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
