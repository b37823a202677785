// DLPack: the layout of the structs, lending, taking with and without a copy, ownership, and every refusal.
// covers: lat_array_to_dlpack lat_array_to_dlpack_versioned lat_array_from_dlpack lat_array_from_dlpack_versioned
// null arguments: lat_array_to_dlpack lat_array_to_dlpack_versioned lat_array_from_dlpack lat_array_from_dlpack_versioned
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include <lattice/lattice.h>

#include "support/test_allocator.h"
#include "support/test_support.h"

static lat_context *context;
static lat_test_allocator counter;
static int n_deleted;

static int set_up(void **state) {
  (void)state;
  memset(&counter, 0, sizeof counter);
  context = lat_test_context_create(&counter, 1);
  n_deleted = 0;
  return 0;
}

static int tear_down(void **state) {
  (void)state;
  lat_test_context_finish(context, &counter);
  return 0;
}

static void count_managed(lat_dlpack_managed *self) {
  assert_non_null(self);
  n_deleted++;
}

static void count_versioned(lat_dlpack_versioned *self) {
  assert_non_null(self);
  n_deleted++;
}

static lat_array *const poison = (lat_array *)&counter; // outputs must not keep this on failure

/// The places that the ABI gives on machines with 64-bit pointers.
static void layout(void **state) {
  (void)state;
  if (sizeof(void *) != 8) skip();
  assert_int_equal(offsetof(lat_dlpack_tensor, device), 8);
  assert_int_equal(offsetof(lat_dlpack_tensor, rank), 16);
  assert_int_equal(offsetof(lat_dlpack_tensor, dtype), 20);
  assert_int_equal(offsetof(lat_dlpack_tensor, shape), 24);
  assert_int_equal(offsetof(lat_dlpack_tensor, stride), 32);
  assert_int_equal(offsetof(lat_dlpack_tensor, byte_offset), 40);
  assert_int_equal(sizeof(lat_dlpack_tensor), 48);
  assert_int_equal(offsetof(lat_dlpack_dtype, lanes), 2);
  assert_int_equal(offsetof(lat_dlpack_managed, owner), 48);
  assert_int_equal(offsetof(lat_dlpack_managed, deleter), 56);
  assert_int_equal(offsetof(lat_dlpack_versioned, owner), 8);
  assert_int_equal(offsetof(lat_dlpack_versioned, deleter), 16);
  assert_int_equal(offsetof(lat_dlpack_versioned, flags), 24);
  assert_int_equal(offsetof(lat_dlpack_versioned, tensor), 32);
  assert_int_equal(sizeof(lat_dlpack_versioned), 80);
}

static const struct {
  lat_dtype dtype;
  uint8_t code, bits;
} pairs[] = {{LAT_DTYPE_F32, 2, 32}, {LAT_DTYPE_F16, 2, 16}, {LAT_DTYPE_F64, 2, 64},
             {LAT_DTYPE_I32, 0, 32}, {LAT_DTYPE_I64, 0, 64}, {LAT_DTYPE_U8, 1, 8},
             {LAT_DTYPE_U32, 1, 32}, {LAT_DTYPE_I16, 0, 16}, {LAT_DTYPE_BF16, 4, 16}};

/// Lent arrays describe themselves and outlive the lender's references, the context included.
static void lend(void **state) {
  (void)state;
  const int64_t shape[3] = {2, 3, 4};
  for (size_t i = 0; i < sizeof pairs / sizeof pairs[0]; i++) {
    lat_array *array = NULL;
    lat_dlpack_managed *managed = NULL;
    lat_dlpack_versioned *versioned = NULL;
    lat_test_assert_ok(lat_array_full(context, pairs[i].dtype, 3, shape, 1.0, &array));
    lat_test_assert_ok(lat_array_to_dlpack(array, &managed));
    lat_test_assert_ok(lat_array_to_dlpack_versioned(array, &versioned));
    const void *data = lat_array_data(array);
    lat_array_release(array);
    assert_int_equal(versioned->major, 1);
    assert_int_equal(versioned->flags, LAT_DLPACK_READ_ONLY);
    const lat_dlpack_tensor *tensors[2] = {&managed->tensor, &versioned->tensor};
    for (int k = 0; k < 2; k++) {
      assert_ptr_equal(tensors[k]->data, data);
      assert_int_equal(tensors[k]->device.type, 1);
      assert_int_equal(tensors[k]->device.id, 0);
      assert_int_equal(tensors[k]->rank, 3);
      assert_int_equal(tensors[k]->dtype.code, pairs[i].code);
      assert_int_equal(tensors[k]->dtype.bits, pairs[i].bits);
      assert_int_equal(tensors[k]->dtype.lanes, 1);
      assert_memory_equal(tensors[k]->shape, shape, sizeof shape);
      assert_true(tensors[k]->stride[0] == 12 && tensors[k]->stride[1] == 4 && tensors[k]->stride[2] == 1);
      assert_int_equal(tensors[k]->byte_offset, 0);
    }
    managed->deleter(managed);
    assert_memory_equal(versioned->tensor.data, data, 1); // still there
    versioned->deleter(versioned);
  }
}

/// What was lent comes back without a copy; the last holder frees it, whoever that is.
static void there_and_back(void **state) {
  (void)state;
  const int64_t shape[2] = {3, 2};
  lat_array *array = NULL, *again = NULL, *third = NULL;
  lat_dlpack_managed *managed = NULL;
  lat_dlpack_versioned *versioned = NULL;
  lat_test_assert_ok(lat_array_full(context, LAT_DTYPE_F32, 2, shape, 2.5, &array));
  const void *data = lat_array_data(array);
  lat_test_assert_ok(lat_array_to_dlpack(array, &managed));
  lat_array_release(array);
  lat_test_assert_ok(lat_array_from_dlpack(context, managed, &again));
  assert_ptr_equal(lat_array_data(again), data);
  lat_test_assert_ok(lat_array_to_dlpack_versioned(again, &versioned));
  lat_array_release(again);
  lat_test_assert_ok(lat_array_from_dlpack_versioned(context, versioned, &third));
  lat_array_view view = lat_array_as_view(third);
  assert_true(view.rank == 2 && view.shape[0] == 3 && view.shape[1] == 2 && view.dtype == LAT_DTYPE_F32);
  assert_true(((const float *)view.data)[5] == 2.5f);
  lat_array_release(third);
}

/// The lent memory is freed after the context was given up.
static void outlives_the_context(void **state) {
  (void)state;
  lat_test_allocator own;
  lat_dlpack_managed *managed = NULL;
  lat_array *array = NULL;
  const int64_t n = 4;
  memset(&own, 0, sizeof own);
  lat_context *short_lived = lat_test_context_create(&own, 1);
  lat_test_assert_ok(lat_array_full(short_lived, LAT_DTYPE_U8, 1, &n, 7, &array));
  lat_test_assert_ok(lat_array_to_dlpack(array, &managed));
  lat_array_release(array);
  lat_context_destroy(short_lived);
  assert_int_equal(((const uint8_t *)managed->tensor.data)[3], 7);
  managed->deleter(managed);
  assert_int_equal(own.live_blocks, 0);
}

static lat_dlpack_managed foreign(void *data, uint8_t code, uint8_t bits, int32_t rank, int64_t *shape,
                                  int64_t *stride) {
  return (lat_dlpack_managed){
      .tensor =
          {.data = data, .device = {1, 0}, .rank = rank, .dtype = {code, bits, 1}, .shape = shape, .stride = stride},
      .deleter = count_managed};
}

/// Contiguous memory is shared, of every dtype and bool, with and without strides and behind an offset.
static void shared_memory(void **state) {
  (void)state;
  static double storage[8];
  int64_t shape[2] = {2, 3}, stride[2] = {3, 1}, odd_stride[2] = {3, 77};
  for (size_t i = 0; i <= sizeof pairs / sizeof pairs[0]; i++) {
    bool is_bool = i == sizeof pairs / sizeof pairs[0];
    lat_dlpack_managed source =
        foreign(storage, is_bool ? 6 : pairs[i].code, is_bool ? 8 : pairs[i].bits, 2, shape, i % 2 ? stride : NULL);
    lat_array *array = NULL;
    n_deleted = 0;
    source.tensor.byte_offset = 8;
    lat_test_assert_ok(lat_array_from_dlpack(context, &source, &array));
    assert_ptr_equal(lat_array_data(array), storage + 1);
    assert_int_equal(lat_array_as_view(array).dtype, is_bool ? LAT_DTYPE_U8 : pairs[i].dtype);
    assert_int_equal(n_deleted, 0);
    lat_array *second = lat_array_retain(array);
    lat_array_release(array);
    assert_int_equal(n_deleted, 0);
    lat_array_release(second);
    assert_int_equal(n_deleted, 1);
  }
  // The stride of an axis of length 1 does not matter.
  int64_t column[2] = {2, 1};
  odd_stride[0] = 1;
  lat_dlpack_managed source = foreign(storage, 2, 64, 2, column, odd_stride);
  lat_array *array = NULL;
  lat_test_assert_ok(lat_array_from_dlpack(context, &source, &array));
  assert_ptr_equal(lat_array_data(array), storage);
  lat_array_release(array);
}

/// Strided and misaligned memory is copied and given back at once.
static void copied_memory(void **state) {
  (void)state;
  static const int32_t values[6] = {0, 1, 2, 3, 4, 5};
  int32_t storage[6];
  _Alignas(8) unsigned char bytes[sizeof storage + 1];
  int64_t shape[2] = {3, 2}, transposed[2] = {1, 3}, one[1] = {6}, backwards[1] = {-1};
  lat_array *array = NULL;
  memcpy(storage, values, sizeof storage);
  lat_dlpack_managed source = foreign(storage, 0, 32, 2, shape, transposed);
  lat_test_assert_ok(lat_array_from_dlpack(context, &source, &array));
  assert_int_equal(n_deleted, 1);
  static const int32_t expected[6] = {0, 3, 1, 4, 2, 5};
  assert_memory_equal(lat_array_data(array), expected, sizeof expected);
  lat_array_release(array);
  source = foreign(storage + 5, 0, 32, 1, one, backwards);
  lat_test_assert_ok(lat_array_from_dlpack(context, &source, &array));
  assert_int_equal(((const int32_t *)lat_array_data(array))[0], 5);
  assert_int_equal(((const int32_t *)lat_array_data(array))[5], 0);
  lat_array_release(array);
  memcpy(bytes + 1, values, sizeof values);
  source = foreign(bytes, 0, 32, 1, one, NULL);
  source.tensor.byte_offset = 1;
  lat_test_assert_ok(lat_array_from_dlpack(context, &source, &array));
  assert_memory_equal(lat_array_data(array), values, sizeof values);
  lat_array_release(array);
  assert_int_equal(n_deleted, 3);
}

/// Scalars, arrays without elements, tensors without a deleter.
static void edges(void **state) {
  (void)state;
  float value = 3;
  int64_t shape[3] = {INT64_MAX, 0, INT64_MAX};
  lat_array *array = NULL;
  lat_dlpack_managed source = foreign(&value, 2, 32, 0, NULL, NULL);
  source.deleter = NULL;
  lat_test_assert_ok(lat_array_from_dlpack(context, &source, &array));
  assert_int_equal(lat_array_count(array), 1);
  lat_array_release(array);
  source = foreign(NULL, 2, 32, 3, shape, NULL);
  source.tensor.byte_offset = 16;
  lat_test_assert_ok(lat_array_from_dlpack(context, &source, &array));
  assert_int_equal(lat_array_count(array), 0);
  lat_array_release(array);
  assert_int_equal(n_deleted, 1);
  lat_dlpack_versioned versioned = {.major = 1, .minor = 9, .deleter = NULL, .tensor = source.tensor};
  lat_test_assert_ok(lat_array_from_dlpack_versioned(context, &versioned, &array));
  lat_array_release(array);
}

static void expect_refused(lat_dlpack_managed source, lat_status expected, const char *fragment) {
  lat_array *array = poison;
  lat_test_assert_error(lat_array_from_dlpack(context, &source, &array), expected, fragment);
  assert_null(array);
  lat_dlpack_versioned versioned = {.major = 1, .deleter = count_versioned, .tensor = source.tensor};
  array = poison;
  lat_test_assert_error(lat_array_from_dlpack_versioned(context, &versioned, &array), expected, fragment);
  assert_null(array);
  assert_int_equal(n_deleted, 0); // the tensor stays the caller's
}

static void refusals(void **state) {
  (void)state;
  float storage[4] = {0};
  int64_t shape[7] = {1, 1, 1, 1, 1, 1, 1}, four[1] = {4}, negative[1] = {-1}, huge[2] = {INT64_MAX, 2};
  static const uint8_t bad[][2] = {{1, 64}, {1, 16}, {0, 8},  {2, 8}, {2, 128},
                                   {5, 64}, {4, 32}, {3, 64}, {6, 1}, {0, 4}};
  lat_dlpack_managed source = foreign(storage, 2, 32, 1, four, NULL);
  source.tensor.device.type = 2;
  expect_refused(source, LAT_STATUS_UNSUPPORTED, "device: got type 2, expected 1 (CPU)");
  for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
    char text[64];
    snprintf(text, sizeof text, "dtype: got code %d with %d bits and 1 lanes, expected float16", bad[i][0], bad[i][1]);
    expect_refused(foreign(storage, bad[i][0], bad[i][1], 1, four, NULL), LAT_STATUS_INVALID_DTYPE, text);
  }
  for (int lanes = 0; lanes <= 4; lanes += 4) {
    source = foreign(storage, 2, 32, 1, four, NULL);
    source.tensor.dtype.lanes = (uint16_t)lanes;
    expect_refused(source, LAT_STATUS_INVALID_DTYPE, lanes ? "and 4 lanes" : "and 0 lanes");
  }
  expect_refused(foreign(storage, 2, 32, 1, NULL, NULL), LAT_STATUS_INVALID_ARGUMENT,
                 "shape: got NULL, expected 1 axis lengths");
  expect_refused(foreign(storage, 2, 32, 7, shape, NULL), LAT_STATUS_INVALID_SHAPE,
                 "tensor has an impossible rank: got 7, expected 0 to 6");
  expect_refused(foreign(storage, 2, 32, -1, shape, NULL), LAT_STATUS_INVALID_SHAPE, "impossible rank: got -1");
  expect_refused(foreign(storage, 2, 32, 1, negative, NULL), LAT_STATUS_INVALID_SHAPE, "tensor axis 0 is negative");
  expect_refused(foreign(storage, 2, 32, 2, huge, NULL), LAT_STATUS_OVERFLOW, "more bytes than an address space");
  expect_refused(foreign(NULL, 2, 32, 1, four, NULL), LAT_STATUS_INVALID_ARGUMENT,
                 "tensor data: got NULL, expected 4 elements");
}

static void versions(void **state) {
  (void)state;
  float storage[4] = {0};
  int64_t four[1] = {4};
  lat_dlpack_managed source = foreign(storage, 2, 32, 1, four, NULL);
  lat_array *array = poison;
  lat_dlpack_versioned versioned = {.major = 2, .minor = 3, .deleter = count_versioned, .tensor = source.tensor};
  lat_test_assert_error(lat_array_from_dlpack_versioned(context, &versioned, &array), LAT_STATUS_UNSUPPORTED,
                        "array_from_dlpack_versioned: DLPack version: got 2.3, expected 1");
  assert_null(array);
  versioned.major = 1;
  lat_test_assert_ok(lat_array_from_dlpack_versioned(context, &versioned, &array));
  lat_array_release(array);
  assert_int_equal(n_deleted, 1);
}

static void null_arguments(void **state) {
  (void)state;
  float storage[4] = {0};
  int64_t four[1] = {4};
  lat_dlpack_managed source = foreign(storage, 2, 32, 1, four, NULL), *managed = &source;
  lat_dlpack_versioned versioned = {.major = 1, .tensor = source.tensor}, *lent = &versioned;
  lat_array *array = poison;
  const lat_status bad = LAT_STATUS_INVALID_ARGUMENT;
  lat_test_assert_error(lat_array_to_dlpack(NULL, &managed), bad, "array_to_dlpack: array: got NULL");
  assert_null(managed);
  lat_test_assert_error(lat_array_to_dlpack(poison, NULL), bad, "array_to_dlpack: out: got NULL");
  lat_test_assert_error(lat_array_to_dlpack_versioned(NULL, &lent), bad, "array: got NULL");
  assert_null(lent);
  lat_test_assert_error(lat_array_to_dlpack_versioned(poison, NULL), bad, "out: got NULL");
  lat_test_assert_error(lat_array_from_dlpack(NULL, &source, &array), bad, "context must not be NULL");
  assert_null(array);
  array = poison;
  lat_test_assert_error(lat_array_from_dlpack(context, NULL, &array), bad, "source must not be NULL");
  assert_null(array);
  lat_test_assert_error(lat_array_from_dlpack(context, &source, NULL), bad, "out must not be NULL");
  array = poison;
  lat_test_assert_error(lat_array_from_dlpack_versioned(NULL, &versioned, &array), bad, "context must not be NULL");
  assert_null(array);
  array = poison;
  lat_test_assert_error(lat_array_from_dlpack_versioned(context, NULL, &array), bad, "source must not be NULL");
  assert_null(array);
  lat_test_assert_error(lat_array_from_dlpack_versioned(context, &versioned, NULL), bad, "out must not be NULL");
  assert_int_equal(n_deleted, 0);
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)

int main(void) {
  const struct CMUnitTest tests[] = {
      TEST(layout),        TEST(lend),          TEST(there_and_back), TEST(outlives_the_context),
      TEST(shared_memory), TEST(copied_memory), TEST(edges),          TEST(refusals),
      TEST(versions),      TEST(null_arguments)};
  return cmocka_run_group_tests_name("dlpack", tests, NULL, NULL);
}
