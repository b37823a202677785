// Sparse tensors: construction, sharing, batch declarations, lifetime.
// covers: lat_tensor_create lat_tensor_share lat_tensor_with_feats lat_tensor_count lat_tensor_channels
// covers: lat_tensor_dtype lat_tensor_stride lat_tensor_coords lat_tensor_feats lat_tensor_feats_array
// covers: lat_tensor_batch_size lat_tensor_batch_counts lat_tensor_same_coords lat_tensor_retain lat_tensor_release
#include <string.h>

#include <lattice/tensor.h>

#include "coords/tensor_internal.h"
#include "support/test_allocator.h"
#include "support/test_support.h"

static lat_context *context;
static lat_test_allocator counter;
static lat_coords *coords; // five rows, batch column 0 2 0 2 0

static const int32_t rows[20] = {0, 1, 2, 3, 2, 0, 0, 0, 0, -5, 7, 9, 2, 1, 1, 1, 0, 4, 4, 4};
static const float values[10] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10};
static lat_tensor *const poison = (lat_tensor *)&counter;

static int set_up(void **state) {
  (void)state;
  memset(&counter, 0, sizeof counter);
  context = lat_test_context_create(&counter, 1);
  lat_array_view view = lat_view_2d(rows, LAT_DTYPE_I32, 5, 4);
  lat_coords_opts opts = LAT_COORDS_OPTS_INIT;
  opts.stride = (lat_triple){2, 4, 8};
  lat_test_assert_ok(lat_coords_create(context, &view, &opts, &coords));
  return 0;
}

static int tear_down(void **state) {
  (void)state;
  lat_coords_release(coords);
  lat_test_context_finish(context, &counter);
  return 0;
}

static lat_array_view feature_view(void) {
  return lat_view_2d(values, LAT_DTYPE_F32, 5, 2);
}

static lat_tensor *make(const int64_t *counts, int64_t n_batches) {
  lat_tensor_opts opts = LAT_TENSOR_OPTS_INIT;
  lat_array_view view = feature_view();
  lat_tensor *tensor = NULL;
  opts.batch_counts = counts;
  opts.n_batches = n_batches;
  lat_test_assert_ok(lat_tensor_create(context, coords, &view, &opts, &tensor));
  return tensor;
}

static void test_create_copies_features(void **state) {
  (void)state;
  float own[10];
  memcpy(own, values, sizeof own);
  lat_array_view view = lat_view_2d(own, LAT_DTYPE_F32, 5, 2);
  lat_tensor *tensor = NULL;
  lat_test_assert_ok(lat_tensor_create(context, coords, &view, NULL, &tensor));
  own[0] = -1;
  assert_memory_equal(lat_tensor_feats(tensor).data, values, sizeof values);
  assert_int_equal(lat_tensor_count(tensor), 5);
  assert_int_equal(lat_tensor_channels(tensor), 2);
  assert_int_equal(lat_tensor_dtype(tensor), LAT_DTYPE_F32);
  lat_triple stride = lat_tensor_stride(tensor);
  assert_true(stride.x == 2 && stride.y == 4 && stride.z == 8);
  assert_ptr_equal(lat_tensor_coords(tensor), coords);
  assert_int_equal(lat_tensor_batch_size(tensor), -1);
  assert_null(lat_tensor_batch_counts(tensor));
  lat_tensor_release(tensor);
  lat_tensor_release(NULL);
  assert_null(lat_tensor_retain(NULL));
}

static void test_create_reads_strides(void **state) {
  (void)state;
  lat_array_view view = lat_view_2d(values, LAT_DTYPE_F32, 5, 2);
  lat_tensor *tensor = NULL;
  view.stride[0] = 1; // (2, 5) transposed
  view.stride[1] = 5;
  lat_test_assert_ok(lat_tensor_create(context, coords, &view, NULL, &tensor));
  const float expected[10] = {1, 6, 2, 7, 3, 8, 4, 9, 5, 10};
  assert_memory_equal(lat_tensor_feats(tensor).data, expected, sizeof expected);
  lat_tensor_release(tensor);
}

static void test_share_keeps_the_array(void **state) {
  (void)state;
  lat_array_view view = feature_view();
  lat_array *array = NULL;
  lat_tensor *tensor = NULL;
  lat_test_assert_ok(lat_array_create(context, &view, &array));
  lat_test_assert_ok(lat_tensor_share(context, coords, array, NULL, &tensor));
  assert_ptr_equal(lat_tensor_feats_array(tensor), array);
  lat_array_release(array);
  assert_memory_equal(lat_tensor_feats(tensor).data, values, sizeof values);
  lat_tensor_release(tensor);
}

static void test_batch_declarations(void **state) {
  (void)state;
  const int64_t counts[4] = {3, 0, 2, 0};
  lat_tensor *tensor = make(counts, 4);
  assert_int_equal(lat_tensor_batch_size(tensor), 4);
  assert_memory_equal(lat_tensor_batch_counts(tensor), counts, sizeof counts);
  assert_ptr_not_equal(lat_tensor_batch_counts(tensor), counts);
  lat_tensor_release(tensor);
  tensor = make(NULL, 7);
  assert_int_equal(lat_tensor_batch_size(tensor), 7);
  assert_null(lat_tensor_batch_counts(tensor));
  lat_tensor_release(tensor);
}

static void assert_refused(const lat_tensor_opts *opts, const lat_array_view *view, lat_status status,
                           const char *fragment) {
  lat_tensor *tensor = poison;
  lat_test_assert_error(lat_tensor_create(context, coords, view, opts, &tensor), status, fragment);
  assert_null(tensor);
}

static void test_bad_batches(void **state) {
  (void)state;
  const lat_array_view view = feature_view();
  const int64_t negative[3] = {3, -1, 3}, few[3] = {2, 0, 2}, many[3] = {3, 0, 3}, swapped[3] = {2, 0, 3};
  const int64_t wrapping[3] = {3, INT64_MAX, INT64_MAX}, two[2] = {3, 2};
  lat_tensor_opts opts = LAT_TENSOR_OPTS_INIT;
  opts.n_batches = -1;
  assert_refused(&opts, &view, LAT_STATUS_INVALID_ARGUMENT, "n_batches: got -1");
  opts.n_batches = 2;
  assert_refused(&opts, &view, LAT_STATUS_INVALID_ARGUMENT, "n_batches must equal the batch column: got batch index 2");
  opts.n_batches = 3;
  opts.batch_counts = negative;
  assert_refused(&opts, &view, LAT_STATUS_INVALID_ARGUMENT,
                 "batch_counts must be non-negative: got -1 for batch item 1");
  opts.batch_counts = few;
  assert_refused(&opts, &view, LAT_STATUS_INVALID_ARGUMENT,
                 "batch_counts must cover all sparse rows: got a sum below 5");
  opts.batch_counts = many;
  assert_refused(&opts, &view, LAT_STATUS_INVALID_ARGUMENT,
                 "batch_counts must cover all sparse rows: got a sum above 5");
  opts.batch_counts = wrapping;
  assert_refused(&opts, &view, LAT_STATUS_INVALID_ARGUMENT, "batch_counts must cover all sparse rows");
  opts.batch_counts = swapped;
  assert_refused(&opts, &view, LAT_STATUS_INVALID_ARGUMENT,
                 "batch_counts must equal the batch column: got 2 for batch item 0, expected 3 rows");
  opts.batch_counts = two;
  opts.n_batches = 2;
  assert_refused(&opts, &view, LAT_STATUS_INVALID_ARGUMENT, "got batch index 2 at row 1");
  opts.n_batches = 0;
  assert_refused(&opts, &view, LAT_STATUS_INVALID_ARGUMENT, "batch_counts must cover all sparse rows");
  opts = (lat_tensor_opts)LAT_TENSOR_OPTS_INIT;
  opts.struct_bytes = 3;
  assert_refused(&opts, &view, LAT_STATUS_INVALID_ARGUMENT, "opts.struct_bytes");
}

static void test_negative_batch_index(void **state) {
  (void)state;
  const int32_t row[4] = {-1, 0, 0, 0};
  const float one = 1;
  lat_array_view row_view = lat_view_2d(row, LAT_DTYPE_I32, 1, 4), view = lat_view_2d(&one, LAT_DTYPE_F32, 1, 1);
  lat_tensor_opts opts = LAT_TENSOR_OPTS_INIT;
  lat_coords *negative = NULL;
  lat_tensor *tensor = NULL;
  lat_test_assert_ok(lat_coords_create(context, &row_view, NULL, &negative));
  lat_test_assert_ok(lat_tensor_create(context, negative, &view, NULL, &tensor)); // undeclared: anything goes
  lat_tensor_release(tensor);
  opts.n_batches = 1;
  tensor = poison;
  lat_test_assert_error(lat_tensor_create(context, negative, &view, &opts, &tensor), LAT_STATUS_INVALID_ARGUMENT,
                        "got batch index -1 at row 0");
  assert_null(tensor);
  lat_coords_release(negative);
}

static void test_bad_features(void **state) {
  (void)state;
  const double doubles[10] = {0};
  const lat_array_view rank_1 = lat_view_1d(values, LAT_DTYPE_F32, 5);
  const lat_array_view short_one = lat_view_2d(values, LAT_DTYPE_F32, 4, 2);
  const lat_array_view wrong_dtype = lat_view_2d(doubles, LAT_DTYPE_F64, 5, 2);
  const lat_array_view no_data = lat_view_2d(NULL, LAT_DTYPE_F32, 5, 2);
  assert_refused(NULL, &rank_1, LAT_STATUS_INVALID_SHAPE, "feats must have shape (N, C): got (5,)");
  assert_refused(NULL, &short_one, LAT_STATUS_INVALID_SHAPE,
                 "coords and feats must have the same row count: got 4 feature rows, expected 5");
  assert_refused(NULL, &wrong_dtype, LAT_STATUS_INVALID_DTYPE,
                 "feats dtype: got float64, expected float32, float16 or bfloat16");
  assert_refused(NULL, &no_data, LAT_STATUS_INVALID_ARGUMENT, "feats data: got NULL");
  assert_refused(NULL, NULL, LAT_STATUS_INVALID_ARGUMENT, "feats: got NULL");
}

static void test_null_arguments(void **state) {
  (void)state;
  lat_array_view view = feature_view();
  lat_tensor *tensor = poison;
  lat_array *array = NULL;
  lat_test_assert_ok(lat_array_create(context, &view, &array));
  lat_test_assert_error(lat_tensor_create(context, coords, &view, NULL, NULL), LAT_STATUS_INVALID_ARGUMENT, "out");
  lat_test_assert_error(lat_tensor_create(NULL, coords, &view, NULL, &tensor), LAT_STATUS_INVALID_ARGUMENT, "context");
  assert_null(tensor);
  lat_test_assert_error(lat_tensor_create(context, NULL, &view, NULL, &tensor), LAT_STATUS_INVALID_ARGUMENT, "coords");
  lat_test_assert_error(lat_tensor_share(context, coords, NULL, NULL, &tensor), LAT_STATUS_INVALID_ARGUMENT,
                        "tensor_share: feats: got NULL");
  lat_test_assert_error(lat_tensor_with_feats(context, NULL, array, &tensor), LAT_STATUS_INVALID_ARGUMENT,
                        "tensor: got");
  lat_tensor *source = make(NULL, 0);
  lat_test_assert_error(lat_tensor_with_feats(context, source, NULL, &tensor), LAT_STATUS_INVALID_ARGUMENT, "feats");
  lat_test_assert_error(lat_tensor_with_feats(context, source, array, NULL), LAT_STATUS_INVALID_ARGUMENT, "out");
  lat_test_assert_error(lat_tensor_with_feats(NULL, source, array, &tensor), LAT_STATUS_INVALID_ARGUMENT, "context");
  assert_null(tensor);
  lat_tensor_release(source);
  lat_array_release(array);
}

static void test_with_feats(void **state) {
  (void)state;
  const int64_t counts[3] = {3, 0, 2};
  const uint16_t halves[15] = {0};
  lat_tensor *source = make(counts, 3), *other = NULL;
  lat_array_view view = lat_view_2d(halves, LAT_DTYPE_F16, 5, 3), wrong = lat_view_2d(halves, LAT_DTYPE_F16, 3, 5);
  lat_array *array = NULL, *wrong_array = NULL;
  lat_test_assert_ok(lat_array_create(context, &view, &array));
  lat_test_assert_ok(lat_array_create(context, &wrong, &wrong_array));
  lat_test_assert_ok(lat_tensor_with_feats(context, source, array, &other));
  assert_true(lat_tensor_same_coords(source, other));
  assert_ptr_equal(lat_tensor_feats_array(other), array);
  assert_int_equal(lat_tensor_channels(other), 3);
  assert_memory_equal(lat_tensor_batch_counts(other), counts, sizeof counts);
  lat_tensor_release(other);
  lat_test_assert_error(lat_tensor_with_feats(context, source, wrong_array, &other), LAT_STATUS_INVALID_SHAPE,
                        "same row count");
  assert_null(other);
  lat_array_release(array);
  lat_array_release(wrong_array);
  lat_tensor_release(source);
}

// The internal rule that operators use: counts stay on the same set; on another one only the batch size does.
static void test_batches_of_new_tensors(void **state) {
  (void)state;
  const int64_t counts[3] = {3, 0, 2};
  lat_tensor *source = make(counts, 3), *other = NULL;
  lat_array_view view = lat_coords_rows(coords);
  lat_coords *twin = NULL;
  lat_test_assert_ok(lat_coords_create(context, &view, NULL, &twin));
  lat_test_assert_ok(lat__tensor_new(context, "test", twin, lat_tensor_feats_array(source), source, &other));
  assert_false(lat_tensor_same_coords(source, other)); // equal values are not the same identity
  assert_int_equal(lat_tensor_batch_size(other), 3);
  assert_null(lat_tensor_batch_counts(other));
  lat_tensor_release(other);
  lat_test_assert_ok(lat__tensor_new(context, "test", coords, lat_tensor_feats_array(source), NULL, &other));
  assert_int_equal(lat_tensor_batch_size(other), -1);
  lat_tensor_release(other);
  lat_test_assert_ok(lat__tensor_new_sized(context, "test", coords, lat_tensor_feats_array(source), 9, &other));
  assert_int_equal(lat_tensor_batch_size(other), 9);
  lat_tensor_release(other);
  lat_coords_release(twin);
  lat_tensor_release(source);
}

static void test_tensor_keeps_its_parts(void **state) {
  (void)state;
  const float one[2] = {1, 2};
  const int32_t row[8] = {0, 0, 0, 0, 0, 1, 1, 1};
  lat_array_view row_view = lat_view_2d(row, LAT_DTYPE_I32, 2, 4), view = lat_view_2d(one, LAT_DTYPE_F32, 2, 1);
  lat_coords *own = NULL;
  lat_tensor *tensor = NULL;
  lat_test_assert_ok(lat_coords_create(context, &row_view, NULL, &own));
  lat_test_assert_ok(lat_tensor_create(context, own, &view, NULL, &tensor));
  lat_coords_release(own);
  lat_tensor *shared = lat_tensor_retain(tensor);
  lat_tensor_release(tensor);
  assert_memory_equal(lat_coords_rows(lat_tensor_coords(shared)).data, row, sizeof row);
  lat_tensor_release(shared);
}

static void test_empty_tensors(void **state) {
  (void)state;
  lat_array_view row_view = lat_view_2d(NULL, LAT_DTYPE_I32, 0, 4), view = lat_view_2d(NULL, LAT_DTYPE_F16, 0, 4);
  lat_array_view no_channels = lat_view_2d(NULL, LAT_DTYPE_F32, 5, 0);
  const int64_t counts[2] = {0, 0};
  lat_tensor_opts opts = LAT_TENSOR_OPTS_INIT;
  lat_coords *none = NULL;
  lat_tensor *tensor = NULL;
  lat_test_assert_ok(lat_coords_create(context, &row_view, NULL, &none));
  opts.batch_counts = counts;
  opts.n_batches = 2;
  lat_test_assert_ok(lat_tensor_create(context, none, &view, &opts, &tensor));
  assert_int_equal(lat_tensor_count(tensor), 0);
  assert_int_equal(lat_tensor_channels(tensor), 4);
  assert_int_equal(lat_tensor_batch_size(tensor), 2);
  lat_tensor_release(tensor);
  opts.n_batches = 0; // counts of a batch of no items
  lat_test_assert_ok(lat_tensor_create(context, none, &view, &opts, &tensor));
  assert_int_equal(lat_tensor_batch_size(tensor), 0);
  lat_tensor_release(tensor);
  lat_test_assert_ok(lat_tensor_create(context, coords, &no_channels, NULL, &tensor));
  assert_int_equal(lat_tensor_channels(tensor), 0);
  lat_tensor_release(tensor);
  lat_coords_release(none);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void) {
  const struct CMUnitTest tests[] = {
      TEST(test_create_copies_features),
      TEST(test_create_reads_strides),
      TEST(test_share_keeps_the_array),
      TEST(test_batch_declarations),
      TEST(test_bad_batches),
      TEST(test_negative_batch_index),
      TEST(test_bad_features),
      TEST(test_null_arguments),
      TEST(test_with_feats),
      TEST(test_batches_of_new_tensors),
      TEST(test_tensor_keeps_its_parts),
      TEST(test_empty_tensors),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
