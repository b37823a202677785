// Sparse tensors from arrays: every rule for duplicates, collation, and taking a tensor apart by batch item.
// null arguments: lat_sparse_from_coordinates lat_sparse_collate lat_tensor_decompose
// covers: lat_sparse_from_coordinates lat_sparse_collate lat_tensor_decompose
#include "support/test_support.h"

#include <math.h>
#include <string.h>

#include <lattice/lattice.h>

#include "ref/ref_duplicates.h"

#define N_ROWS 6

static lat_context *context;

// Rows 0, 2 and 5 are equal, and so are 1 and 3.
static const int32_t rows[] = {1, 5, -5, 0, 0, 7, 7, 7, 1, 5, -5, 0, 0, 7, 7, 7, 0, 0, 0, 1, 1, 5, -5, 0};
static const float feats[] = {1, 2, 3, 4, 5, -6, 7, 8, 9, 10, 0.5f, 0.25f};
static const int32_t distinct[] = {1, 5, -5, 0, 0, 7, 7, 7, 0, 0, 0, 1};

static int set_up(void **state) {
  (void)state;
  return lat_context_create(NULL, &context) != LAT_STATUS_OK;
}

static int tear_down(void **state) {
  (void)state;
  lat_context_destroy(context);
  return 0;
}

static lat_array_view row_view(void) {
  return lat_view_2d(rows, LAT_DTYPE_I32, N_ROWS, 4);
}

static lat_array_view feat_view(void) {
  return lat_view_2d(feats, LAT_DTYPE_F32, N_ROWS, 2);
}

static lat_tensor *create(lat_duplicates duplicates, const int64_t *counts, int64_t n_batches) {
  lat_array_view coords = row_view(), features = feat_view();
  lat_from_coordinates_opts opts = LAT_FROM_COORDINATES_OPTS_INIT;
  lat_tensor *x = NULL;
  opts.duplicates = duplicates;
  opts.batch_counts = counts;
  opts.n_batches = n_batches;
  lat_test_assert_ok(lat_sparse_from_coordinates(context, &coords, &features, &opts, &x));
  return x;
}

static void assert_tensor(const lat_tensor *x, const int32_t *expected_rows, const float *expected, int64_t n) {
  assert_int_equal(lat_tensor_count(x), n);
  assert_int_equal(lat_tensor_channels(x), 2);
  assert_memory_equal(lat_coords_rows(lat_tensor_coords(x)).data, expected_rows, (size_t)n * 4 * sizeof(int32_t));
  assert_memory_equal(lat_tensor_feats(x).data, expected, (size_t)n * 2 * sizeof(float));
}

static void every_rule_gives_its_rows(void **state) {
  (void)state;
  static const float first[] = {1, 2, 3, 4, 9, 10}, sum[] = {6.5f, -3.75f, 10, 12, 9, 10};
  static const float mean[] = {6.5f / 3, -3.75f / 3, 5, 6, 9, 10}, max[] = {5, 2, 7, 8, 9, 10};
  static const float *const expected[] = {NULL, NULL, first, sum, mean, max};
  lat_tensor *x = create(LAT_DUPLICATES_NONE, NULL, 0);
  assert_tensor(x, rows, feats, N_ROWS);
  assert_int_equal(lat_tensor_batch_size(x), -1);
  lat_tensor_release(x);
  for (int rule = LAT_DUPLICATES_FIRST; rule <= LAT_DUPLICATES_MAX; rule++) {
    x = create((lat_duplicates)rule, NULL, 0);
    assert_tensor(x, distinct, expected[rule], 3);
    assert_int_equal(lat_tensor_batch_size(x), -1);
    lat_tensor_release(x);
  }
}

static void batch_metadata_is_counted_again(void **state) {
  (void)state;
  static const int64_t given[] = {3, 3, 0}, expected[] = {2, 1, 0};
  lat_tensor *x = create(LAT_DUPLICATES_NONE, given, 3);
  assert_int_equal(lat_tensor_batch_size(x), 3);
  assert_memory_equal(lat_tensor_batch_counts(x), given, sizeof given);
  lat_tensor_release(x);
  x = create(LAT_DUPLICATES_MEAN, given, 3);
  assert_int_equal(lat_tensor_batch_size(x), 3);
  assert_memory_equal(lat_tensor_batch_counts(x), expected, sizeof expected);
  lat_tensor_release(x);
  x = create(LAT_DUPLICATES_MAX, NULL, 4);
  assert_int_equal(lat_tensor_batch_size(x), 4);
  assert_null(lat_tensor_batch_counts(x));
  lat_tensor_release(x);
}

static void stride_and_int64_rows_are_taken(void **state) {
  (void)state;
  static const int64_t wide[] = {0, INT32_MIN, INT32_MAX, 0, 0, INT32_MIN, INT32_MAX, 0};
  static const int32_t narrow[] = {0, INT32_MIN, INT32_MAX, 0};
  lat_array_view coords = lat_view_2d(wide, LAT_DTYPE_I64, 2, 4), features = lat_view_2d(feats, LAT_DTYPE_F32, 2, 2);
  lat_from_coordinates_opts opts = LAT_FROM_COORDINATES_OPTS_INIT;
  lat_tensor *x = NULL;
  opts.duplicates = LAT_DUPLICATES_SUM;
  opts.stride = (lat_triple){2, 4, 8};
  lat_test_assert_ok(lat_sparse_from_coordinates(context, &coords, &features, &opts, &x));
  assert_tensor(x, narrow, (const float[]){4, 6}, 1);
  assert_int_equal(lat_tensor_stride(x).z, 8);
  lat_tensor_release(x);
}

static uint32_t draw(uint64_t seed, uint64_t *n, uint32_t bound) {
  uint32_t words[4];
  lat_random_block(seed, 8, (*n)++, words);
  return words[0] % bound;
}

/// A random value that `dtype` holds exactly; rarely NaN.
static float draw_value(uint64_t seed, uint64_t *n, lat_dtype dtype) {
  float value = (float)((int32_t)draw(seed, n, 4001) - 2000) / 64;
  if (draw(seed, n, 60) == 0) value = NAN;
  if (dtype == LAT_DTYPE_F16) return lat_f16_to_f32(lat_f32_to_f16(value));
  return dtype == LAT_DTYPE_BF16 ? lat_bf16_to_f32(lat_f32_to_bf16(value)) : value;
}

static float value_at(const lat_array_view *view, int64_t i) {
  if (view->dtype == LAT_DTYPE_F32) return ((const float *)view->data)[i];
  uint16_t bits = ((const uint16_t *)view->data)[i];
  return view->dtype == LAT_DTYPE_F16 ? lat_f16_to_f32(bits) : lat_bf16_to_f32(bits);
}

static float rounded(lat_dtype dtype, double value) {
  if (dtype == LAT_DTYPE_F32) return (float)value;
  return dtype == LAT_DTYPE_F16 ? lat_f16_to_f32(lat_f32_to_f16((float)value))
                                : lat_bf16_to_f32(lat_f32_to_bf16((float)value));
}

// Values are multiples of 1/64 below 32, so that every sum is exact in float32 and in double, and a mean is rounded to
// float32 and then to the dtype in both.
static void random_rows_match_the_reference(void **state) {
  (void)state;
  enum { MAX = 200, CHANNELS = 3 };
  static const lat_dtype dtypes[] = {LAT_DTYPE_F32, LAT_DTYPE_F16, LAT_DTYPE_BF16};
  static int32_t in[4 * MAX], expected_rows[4 * MAX];
  static double x[MAX * CHANNELS], y[MAX * CHANNELS];
  static float wide[MAX * CHANNELS];
  for (uint64_t seed = 1; seed <= 60; seed++) {
    uint64_t n = 0;
    lat_dtype dtype = dtypes[seed % 3];
    int64_t n_in = draw(seed, &n, MAX + 1);
    uint32_t extent = 1 + draw(seed, &n, 8);
    for (int64_t i = 0; i < 4 * n_in; i++) in[i] = (int32_t)draw(seed, &n, i % 4 ? extent : 2) - (i % 4 ? 2 : 0);
    for (int64_t i = 0; i < n_in * CHANNELS; i++) x[i] = (double)(wide[i] = draw_value(seed, &n, dtype));
    lat_array_view row_rows = lat_view_2d(in, LAT_DTYPE_I32, n_in, 4);
    lat_array_view wide_view = lat_view_2d(wide, LAT_DTYPE_F32, n_in, CHANNELS);
    lat_array *narrow = NULL;
    lat_test_assert_ok(lat_array_cast(context, &wide_view, dtype, &narrow));
    lat_array_view narrow_view = lat_array_as_view(narrow);
    for (int rule = LAT_DUPLICATES_FIRST; rule <= LAT_DUPLICATES_MAX; rule++) {
      lat_from_coordinates_opts opts = LAT_FROM_COORDINATES_OPTS_INIT;
      lat_tensor *got = NULL;
      opts.duplicates = (lat_duplicates)rule;
      lat_test_assert_ok(lat_sparse_from_coordinates(context, &row_rows, &narrow_view, &opts, &got));
      int64_t n_out = ref_reduce_duplicates(in, n_in, rule, x, CHANNELS, expected_rows, y);
      lat_array_view view = lat_tensor_feats(got);
      assert_int_equal(lat_tensor_count(got), n_out);
      assert_int_equal(view.dtype, dtype);
      assert_memory_equal(lat_coords_rows(lat_tensor_coords(got)).data, expected_rows, (size_t)n_out * 16);
      for (int64_t i = 0; i < n_out * CHANNELS; i++) {
        float a = value_at(&view, i), b = rounded(dtype, y[i]);
        if (!(a == b || (isnan(a) && isnan(b)))) fail_msg("rule %d: got %g, expected %g", rule, (double)a, (double)b);
      }
      lat_tensor_release(got);
    }
    lat_array_release(narrow);
  }
}

static void expect_refused(const lat_array_view *coords, const lat_array_view *features,
                           const lat_from_coordinates_opts *opts, lat_status status, const char *fragment) {
  lat_tensor *out = (lat_tensor *)&context;
  lat_test_assert_error(lat_sparse_from_coordinates(context, coords, features, opts, &out), status, fragment);
  assert_null(out);
}

static void bad_arrays_are_refused(void **state) {
  (void)state;
  static const int64_t wrong[] = {2, 4}, far[] = {0, 0, 0, INT64_C(1) << 31};
  lat_array_view coords = row_view(), features = feat_view(), other = lat_view_2d(rows, LAT_DTYPE_I32, 8, 3);
  lat_from_coordinates_opts opts = LAT_FROM_COORDINATES_OPTS_INIT;
  expect_refused(&other, &features, &opts, LAT_STATUS_INVALID_SHAPE, "coords must have shape (N, 4)");
  other = lat_view_2d(feats, LAT_DTYPE_F32, 3, 4);
  expect_refused(&other, &features, &opts, LAT_STATUS_INVALID_DTYPE, "coords must be int32 or int64");
  other = lat_view_2d(far, LAT_DTYPE_I64, 1, 4);
  expect_refused(&other, &features, &opts, LAT_STATUS_OVERFLOW,
                 "sparse_from_coordinates: coords leaves int32: got 2147483648 at row 0");
  other = lat_view_2d(feats, LAT_DTYPE_F32, 4, 3);
  expect_refused(&coords, &other, &opts, LAT_STATUS_INVALID_SHAPE, "coords and feats must have the same row count");
  other = lat_view_1d(feats, LAT_DTYPE_F32, 6);
  expect_refused(&coords, &other, &opts, LAT_STATUS_INVALID_SHAPE, "feats must have shape (N, C)");
  other = lat_view_2d(rows, LAT_DTYPE_I32, 6, 2);
  expect_refused(&coords, &other, &opts, LAT_STATUS_INVALID_DTYPE, "feats dtype: got int32");
  opts.stride = (lat_triple){1, -1, 1};
  expect_refused(&coords, &features, &opts, LAT_STATUS_INVALID_ARGUMENT,
                 "sparse_from_coordinates: stride values must be positive");
  opts.stride = (lat_triple){0, 0, 0};
  opts.batch_counts = wrong;
  opts.n_batches = 2;
  for (int rule = LAT_DUPLICATES_NONE; rule <= LAT_DUPLICATES_MEAN; rule += LAT_DUPLICATES_MEAN) {
    opts.duplicates = (lat_duplicates)rule;
    expect_refused(&coords, &features, &opts, LAT_STATUS_INVALID_ARGUMENT,
                   "batch_counts must equal the batch column: got 2 for batch item 0, expected 3");
  }
  opts.struct_bytes = 3;
  expect_refused(&coords, &features, &opts, LAT_STATUS_INVALID_ARGUMENT, "struct_bytes");
}

static void bad_rules_and_duplicates_are_refused(void **state) {
  (void)state;
  lat_array_view coords = row_view(), features = feat_view();
  lat_from_coordinates_opts opts = LAT_FROM_COORDINATES_OPTS_INIT;
  lat_tensor *x = NULL;
  opts.duplicates = (lat_duplicates)6;
  expect_refused(&coords, &features, &opts, LAT_STATUS_INVALID_ARGUMENT, "duplicate_reduction is unknown: got 6");
  opts.duplicates = (lat_duplicates)-1;
  expect_refused(&coords, &features, &opts, LAT_STATUS_INVALID_ARGUMENT, "duplicate_reduction is unknown: got -1");
  opts.duplicates = LAT_DUPLICATES_ERROR;
  expect_refused(&coords, &features, &opts, LAT_STATUS_INVALID_ARGUMENT,
                 "duplicate coordinates: got (1, 5, -5, 0) at rows 0 and 2, expected distinct rows");
  coords.data = rows + 4;
  coords.shape[0] = features.shape[0] = 3;
  expect_refused(&coords, &features, &opts, LAT_STATUS_INVALID_ARGUMENT, "got (0, 7, 7, 7) at rows 0 and 2");
  coords.shape[0] = features.shape[0] = 2;
  lat_test_assert_ok(lat_sparse_from_coordinates(context, &coords, &features, &opts, &x));
  assert_tensor(x, rows + 4, feats, 2);
  lat_tensor_release(x);
}

static void null_arguments_are_refused(void **state) {
  (void)state;
  lat_array_view coords = row_view(), features = feat_view();
  lat_tensor *out = (lat_tensor *)&context;
  lat_tensor_items items;
  expect_refused(NULL, &features, NULL, LAT_STATUS_INVALID_ARGUMENT, "coords: got NULL");
  expect_refused(&coords, NULL, NULL, LAT_STATUS_INVALID_ARGUMENT, "feats: got NULL");
  lat_test_assert_error(lat_sparse_from_coordinates(NULL, &coords, &features, NULL, &out), LAT_STATUS_INVALID_ARGUMENT,
                        "context: got NULL");
  assert_null(out);
  lat_test_assert_error(lat_sparse_from_coordinates(context, &coords, &features, NULL, NULL),
                        LAT_STATUS_INVALID_ARGUMENT, "out: got NULL");
  lat_test_assert_error(lat_sparse_collate(NULL, &coords, &features, 1, NULL, &out), LAT_STATUS_INVALID_ARGUMENT,
                        "context: got NULL");
  lat_test_assert_error(lat_sparse_collate(context, NULL, &features, 1, NULL, &out), LAT_STATUS_INVALID_ARGUMENT,
                        "coords: got NULL");
  lat_test_assert_error(lat_sparse_collate(context, &coords, NULL, 1, NULL, &out), LAT_STATUS_INVALID_ARGUMENT,
                        "feats: got NULL");
  lat_test_assert_error(lat_sparse_collate(context, &coords, &features, 1, NULL, NULL), LAT_STATUS_INVALID_ARGUMENT,
                        "out: got NULL");
  lat_tensor *x = create(LAT_DUPLICATES_NONE, NULL, 0);
  lat_test_assert_error(lat_tensor_decompose(NULL, x, &items), LAT_STATUS_INVALID_ARGUMENT, "context: got NULL");
  lat_test_assert_error(lat_tensor_decompose(context, NULL, &items), LAT_STATUS_INVALID_ARGUMENT, "x: got NULL");
  assert_null(items.rows);
  lat_test_assert_error(lat_tensor_decompose(context, x, NULL), LAT_STATUS_INVALID_ARGUMENT, "out: got NULL");
  lat_tensor_release(x);
}

static const int32_t cloud_a[] = {1, 2, 3, 1, 2, 3, -1, 0, 4};
static const int64_t cloud_c[] = {5, 1, 5, 2, 5, 3}; // columns apart: (1, 2, 3)
static const float feats_a[] = {1, 2, 3, 4, 5, 6}, feats_c[] = {9, 8};

static void make_clouds(lat_array_view *coords, lat_array_view *features) {
  coords[0] = lat_view_2d(cloud_a, LAT_DTYPE_I32, 3, 3);
  coords[1] = lat_view_2d(NULL, LAT_DTYPE_I32, 0, 3);
  coords[2] = lat_view_2d(cloud_c + 1, LAT_DTYPE_I64, 1, 3);
  coords[2].stride[1] = 2;
  features[0] = lat_view_2d(feats_a, LAT_DTYPE_F32, 3, 2);
  features[1] = lat_view_2d(NULL, LAT_DTYPE_F32, 0, 2);
  features[2] = lat_view_2d(feats_c, LAT_DTYPE_F32, 1, 2);
}

static void clouds_become_batch_items(void **state) {
  (void)state;
  static const int32_t expected_rows[] = {0, 1, 2, 3, 0, 1, 2, 3, 0, -1, 0, 4, 2, 1, 2, 3};
  static const float expected[] = {1, 2, 3, 4, 5, 6, 9, 8}, reduced[] = {2, 3, 5, 6, 9, 8};
  static const int64_t counts[] = {3, 0, 1}, reduced_counts[] = {2, 0, 1};
  lat_array_view coords[3], features[3];
  lat_collate_opts opts = LAT_COLLATE_OPTS_INIT;
  lat_tensor *x = NULL;
  make_clouds(coords, features);
  lat_test_assert_ok(lat_sparse_collate(context, coords, features, 3, NULL, &x));
  assert_tensor(x, expected_rows, expected, 4);
  assert_int_equal(lat_tensor_batch_size(x), 3);
  assert_memory_equal(lat_tensor_batch_counts(x), counts, sizeof counts);
  lat_tensor_release(x);
  opts.duplicates = LAT_DUPLICATES_MEAN;
  opts.stride = lat_triple_all(4);
  lat_test_assert_ok(lat_sparse_collate(context, coords, features, 3, &opts, &x));
  assert_tensor(x, expected_rows + 4, reduced, 3);
  assert_memory_equal(lat_tensor_batch_counts(x), reduced_counts, sizeof reduced_counts);
  assert_int_equal(lat_tensor_stride(x).x, 4);
  lat_tensor_release(x);
  lat_test_assert_ok(lat_sparse_collate(context, coords + 1, features + 1, 1, NULL, &x)); // one empty item
  assert_int_equal(lat_tensor_count(x), 0);
  assert_int_equal(lat_tensor_batch_size(x), 1);
  lat_tensor_release(x);
}

static void expect_collate_refused(const lat_array_view *coords, const lat_array_view *features, int64_t n,
                                   const lat_collate_opts *opts, const char *fragment) {
  lat_tensor *out = (lat_tensor *)&context;
  lat_status status = lat_sparse_collate(context, coords, features, n, opts, &out);
  assert_int_not_equal(status, LAT_STATUS_OK);
  lat_test_assert_error(status, status, fragment);
  assert_null(out);
}

static void bad_clouds_are_refused(void **state) {
  (void)state;
  static const int64_t far[] = {0, 0, INT64_MIN};
  lat_array_view coords[3], features[3];
  lat_collate_opts opts = LAT_COLLATE_OPTS_INIT;
  make_clouds(coords, features);
  expect_collate_refused(coords, features, 0, NULL, "expected at least one sparse tensor batch: got 0");
  expect_collate_refused(coords, features, -1, NULL, "expected at least one sparse tensor batch: got -1");
  coords[1] = lat_view_2d(NULL, LAT_DTYPE_I32, 0, 4);
  expect_collate_refused(coords, features, 3, NULL, "sparse_collate: coords[1] must have shape (N, 3): got (0, 4)");
  coords[1] = lat_view_2d(NULL, LAT_DTYPE_F32, 0, 3);
  expect_collate_refused(coords, features, 3, NULL, "coords[1] must be int32 or int64: got float32");
  make_clouds(coords, features);
  coords[2] = lat_view_2d(far, LAT_DTYPE_I64, 1, 3);
  expect_collate_refused(coords, features, 3, NULL, "coords[2] leaves int32: got -9223372036854775808 at row 0");
  make_clouds(coords, features);
  features[2].rank = 1;
  expect_collate_refused(coords, features, 3, NULL, "feats[2] must have shape (N, C): got (1");
  make_clouds(coords, features);
  features[2].shape[0] = 0;
  expect_collate_refused(coords, features, 3, NULL,
                         "coords and feats must have the same row count: got 0 feature rows in feats[2], expected 1");
  make_clouds(coords, features);
  features[1].shape[1] = 3;
  expect_collate_refused(coords, features, 3, NULL, "feats must have the same channels: got 3 in feats[1], expected 2");
  make_clouds(coords, features);
  features[1].dtype = LAT_DTYPE_F16;
  expect_collate_refused(coords, features, 3, NULL,
                         "feats must have the same dtype: got float16 in feats[1], expected float32");
  make_clouds(coords, features);
  for (int i = 0; i < 3; i++) features[i].dtype = LAT_DTYPE_I32;
  expect_collate_refused(coords, features, 3, NULL, "feats dtype: got int32");
  make_clouds(coords, features);
  opts.duplicates = LAT_DUPLICATES_ERROR;
  expect_collate_refused(coords, features, 3, &opts, "duplicate coordinates: got (0, 1, 2, 3) at rows 0 and 1");
  opts.duplicates = (lat_duplicates)9;
  expect_collate_refused(coords, features, 3, &opts, "duplicate_reduction is unknown: got 9");
  opts = (lat_collate_opts)LAT_COLLATE_OPTS_INIT;
  opts.stride = (lat_triple){0, 1, 1};
  expect_collate_refused(coords, features, 3, &opts, "stride values must be positive");
  opts.struct_bytes = 3;
  expect_collate_refused(coords, features, 3, &opts, "struct_bytes");
}

static void release_items(lat_tensor_items *items) {
  lat_array_release(items->offsets);
  lat_array_release(items->rows);
  lat_array_release(items->coords);
  lat_array_release(items->feats);
}

static void a_tensor_comes_apart_by_batch_item(void **state) {
  (void)state;
  static const int64_t offsets[] = {0, 3, 6, 6};
  static const int32_t order[] = {1, 3, 4, 0, 2, 5};
  for (int declared = 0; declared < 2; declared++) {
    lat_tensor *x = create(LAT_DUPLICATES_NONE, NULL, declared ? 3 : 0);
    lat_tensor_items items;
    lat_test_assert_ok(lat_tensor_decompose(context, x, &items));
    assert_int_equal(items.n_items, declared ? 3 : 2);
    assert_int_equal(lat_array_count(items.offsets), items.n_items + 1);
    assert_memory_equal(lat_array_data(items.offsets), offsets, ((size_t)items.n_items + 1) * sizeof(int64_t));
    assert_int_equal(lat_array_count(items.rows), N_ROWS);
    assert_memory_equal(lat_array_data(items.rows), order, sizeof order);
    for (int i = 0; i < N_ROWS; i++) {
      assert_memory_equal((int32_t *)lat_array_data(items.coords) + 3 * i, rows + 4 * order[i] + 1, 12);
      assert_memory_equal((float *)lat_array_data(items.feats) + 2 * i, feats + 2 * order[i], 8);
    }
    release_items(&items);
    lat_tensor_release(x);
  }
}

static void ordered_empty_and_negative_items_come_apart(void **state) {
  (void)state;
  static const int32_t in_order[] = {0, 1, 1, 1, 2, 2, 2, 2}, negative[] = {-1, 1, 1, 1, 1, 2, 2, 2};
  static const int64_t in_order_offsets[] = {0, 1, 1, 2}, negative_offsets[] = {0, 0, 1};
  lat_array_view features = lat_view_2d(feats, LAT_DTYPE_F32, 2, 2);
  for (int64_t n = 0; n <= 2; n++) { // n = 1: the negative batch index takes no part
    lat_array_view coords = lat_view_2d(n == 1 ? negative : in_order, LAT_DTYPE_I32, n ? 2 : 0, 4);
    lat_tensor *x = NULL;
    lat_tensor_items items;
    features.shape[0] = n ? 2 : 0;
    lat_test_assert_ok(lat_sparse_from_coordinates(context, &coords, &features, NULL, &x));
    lat_test_assert_ok(lat_tensor_decompose(context, x, &items));
    assert_int_equal(items.n_items, n == 0 ? 0 : n == 1 ? 2 : 3);
    assert_int_equal(lat_array_count(items.rows), n);
    const int64_t *expected = n == 1 ? negative_offsets : in_order_offsets;
    assert_memory_equal(lat_array_data(items.offsets), expected, ((size_t)items.n_items + 1) * sizeof(int64_t));
    if (n == 1) assert_int_equal(*(int32_t *)lat_array_data(items.rows), 1);
    release_items(&items);
    lat_tensor_release(x);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(every_rule_gives_its_rows),
      cmocka_unit_test(batch_metadata_is_counted_again),
      cmocka_unit_test(stride_and_int64_rows_are_taken),
      cmocka_unit_test(random_rows_match_the_reference),
      cmocka_unit_test(bad_arrays_are_refused),
      cmocka_unit_test(bad_rules_and_duplicates_are_refused),
      cmocka_unit_test(null_arguments_are_refused),
      cmocka_unit_test(clouds_become_batch_items),
      cmocka_unit_test(bad_clouds_are_refused),
      cmocka_unit_test(a_tensor_comes_apart_by_batch_item),
      cmocka_unit_test(ordered_empty_and_negative_items_come_apart),
  };
  return cmocka_run_group_tests(tests, set_up, tear_down);
}
