// Out of memory in the core: contexts and arrays, with the n-th allocation refused for every n.
#include <string.h>

#include <lattice/lattice.h>

#include "support/test_allocator.h"
#include "support/test_support.h"

// What every body ends with: the handle is NULL exactly when the call failed.
static lat_status finish_array(lat_status status, lat_array *array) {
  if (status == LAT_STATUS_OK) {
    lat_test_oom_record_view(lat_array_as_view(array));
  } else {
    assert_null(array);
  }
  lat_array_release(array);
  return status;
}

static lat_status nothing_body(lat_context *context) {
  assert_non_null(context);
  return LAT_STATUS_OK;
}

static lat_status create_body(lat_context *context) {
  const int16_t bits[] = {1, 2, 3, 4, 5, 6};
  lat_array_view view = lat_view_2d(bits, LAT_DTYPE_F16, 2, 3);
  lat_array *array = NULL;
  view.stride[0] = 1; // strided: the transposed matrix
  view.stride[1] = 2;
  lat_status status = lat_array_create(context, &view, &array);
  return finish_array(status, array);
}

static lat_status full_body(lat_context *context) {
  const int64_t shape[] = {300, 70}; // above the size that a context keeps for reuse
  lat_array *array = NULL;
  lat_status status = lat_array_full(context, LAT_DTYPE_F64, 2, shape, 0.25, &array);
  return finish_array(status, array);
}

static lat_status uniform_body(lat_context *context) {
  const int64_t shape[] = {3, 5, 7};
  const double range[2] = {-1.0, 1.0};
  lat_array *array = NULL;
  lat_status status = lat_array_uniform(context, LAT_DTYPE_F32, 3, shape, range, 9, &array);
  return finish_array(status, array);
}

static lat_status cast_body(lat_context *context) {
  const double values[] = {0.5, -2.25, 3.0};
  lat_array_view view = lat_view_1d(values, LAT_DTYPE_F64, 3);
  lat_array *array = NULL;
  lat_status status = lat_array_cast(context, &view, LAT_DTYPE_F32, &array);
  return finish_array(status, array);
}

// Lends an array in both forms and takes it back: shared, and copied because it is transposed on the way.
static lat_status dlpack_body(lat_context *context) {
  const int64_t shape[] = {3, 2};
  const double range[2] = {-1.0, 1.0};
  lat_array *array = NULL, *taken = NULL, *copied = NULL;
  lat_dlpack_managed *managed = NULL;
  lat_dlpack_versioned *versioned = NULL;
  lat_status status = lat_array_uniform(context, LAT_DTYPE_F32, 2, shape, range, 1, &array);
  if (status == LAT_STATUS_OK) status = lat_array_to_dlpack(array, &managed);
  if (status == LAT_STATUS_OK) status = lat_array_from_dlpack(context, managed, &taken);
  if (status == LAT_STATUS_OK) status = lat_array_to_dlpack_versioned(array, &versioned);
  if (status == LAT_STATUS_OK) {
    versioned->tensor.shape[0] = 2;
    versioned->tensor.shape[1] = 3;
    versioned->tensor.stride[0] = 1;
    versioned->tensor.stride[1] = 2;
    status = lat_array_from_dlpack_versioned(context, versioned, &copied);
  }
  if (managed && !taken) managed->deleter(managed);
  if (versioned && !copied) versioned->deleter(versioned);
  lat_array_release(array);
  if (status == LAT_STATUS_OK) lat_test_oom_record_view(lat_array_as_view(taken));
  lat_array_release(taken);
  return finish_array(status, copied);
}

static int n_released;

static void count_release(void *user) {
  (void)user;
  n_released++;
}

static lat_status wrap_body(lat_context *context) {
  static const float values[] = {1, 2, 3};
  lat_array_view view = lat_view_1d(values, LAT_DTYPE_F32, 3);
  lat_array *array = NULL;
  n_released = 0;
  lat_status status = lat_array_wrap(context, &view, count_release, NULL, &array);
  int made = status == LAT_STATUS_OK;
  status = finish_array(status, array);
  assert_int_equal(n_released, made); // on failure the memory stays the caller's
  return status;
}

// Freed blocks that the context keeps go back before the context gives up.
static lat_status reuse_body(lat_context *context) {
  lat_status status = LAT_STATUS_OK;
  for (int64_t rows = 5; rows <= 8 && status == LAT_STATUS_OK; rows++) {
    const int64_t shape[] = {rows, 4096};
    lat_array *array = NULL;
    status = lat_array_full(context, LAT_DTYPE_I64, 2, shape, (double)rows, &array);
    status = finish_array(status, array);
  }
  return status;
}

#define OOM_TEST(body)                                                                                                 \
  static void body##_survives(void **state) {                                                                          \
    (void)state;                                                                                                       \
    lat_test_oom(#body, body);                                                                                         \
  }
OOM_TEST(nothing_body)
OOM_TEST(create_body)
OOM_TEST(full_body)
OOM_TEST(uniform_body)
OOM_TEST(cast_body)
OOM_TEST(dlpack_body)
OOM_TEST(wrap_body)
OOM_TEST(reuse_body)

static void memory_cap_is_an_error(void **state) {
  (void)state;
  lat_test_allocator counter = {.fail_at = 0};
  lat_context_opts opts = LAT_CONTEXT_OPTS_INIT;
  opts.allocator = lat_test_allocator_hooks(&counter);
  opts.memory_cap_bytes = 1 << 20;
  lat_context *context = NULL;
  lat_test_assert_ok(lat_context_create(&opts, &context));
  const int64_t fits[] = {1000};
  const int64_t too_large[] = {1 << 20};
  lat_array *small = NULL;
  lat_array *large = NULL;
  lat_test_assert_ok(lat_array_full(context, LAT_DTYPE_F32, 1, fits, 1.0, &small));
  lat_test_assert_error(lat_array_full(context, LAT_DTYPE_F32, 1, too_large, 1.0, &large), LAT_STATUS_OUT_OF_MEMORY,
                        "array_full: memory cap would be exceeded");
  assert_null(large);
  lat_array_release(small);
  lat_test_context_finish(context, &counter);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(nothing_body_survives),  cmocka_unit_test(create_body_survives),
      cmocka_unit_test(full_body_survives),     cmocka_unit_test(uniform_body_survives),
      cmocka_unit_test(cast_body_survives),     cmocka_unit_test(dlpack_body_survives),
      cmocka_unit_test(wrap_body_survives),     cmocka_unit_test(reuse_body_survives),
      cmocka_unit_test(memory_cap_is_an_error),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
