// softmax, dropout and embedding with their gradients: worked values, masks, duplicates, empty inputs, errors.
// covers: lat_softmax lat_softmax_backward lat_dropout lat_dropout_backward lat_embedding_lookup lat_embedding_backward
// null arguments: lat_softmax lat_softmax_backward lat_dropout lat_dropout_backward
// null arguments: lat_embedding_lookup lat_embedding_backward
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include <lattice/feature.h>

#include "support/tensor_cases.h"
#include "support/test_allocator.h"
#include "support/test_support.h"

static lat_context *context;
static lat_test_allocator counter;
static lat_tensor *const poison = (lat_tensor *)&counter;
static lat_array *const poison_array = (lat_array *)&counter;

static const int32_t line[16] = {0, 0, 0, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0, 3, 0, 0};
static const float floats[8] = {1, 2, 3, 4, 5, 6, 7, 8};
static const int32_t integers[4] = {2, 0, 2, 1};

static int set_up(void **state) {
  (void)state;
  memset(&counter, 0, sizeof counter);
  context = lat_test_context_create(&counter, 2);
  return 0;
}

static int tear_down(void **state) {
  (void)state;
  lat_test_context_finish(context, &counter);
  return 0;
}

static void test_softmax_values(void **state) {
  (void)state;
  const float x[8] = {0, 0, 0, 0, 1000, 0, -INFINITY, 1000};
  const double expected[8] = {0.25, 0.25, 0.25, 0.25, 0.5, 0, 0, 0.5};
  lat_array_view view = lat_view_2d(x, LAT_DTYPE_F32, 2, 4);
  lat_array *y = NULL;
  lat_test_assert_ok(lat_softmax(context, &view, &y));
  lat_test_assert_values(lat_array_as_view(y), expected, 8);
  lat_array_release(y);
  const uint16_t halves[2] = {0x3C00, 0x3C00};
  view = lat_view_2d(halves, LAT_DTYPE_F16, 1, 2);
  lat_test_assert_ok(lat_softmax(context, &view, &y));
  assert_int_equal(lat_array_as_view(y).dtype, LAT_DTYPE_F32); // whatever came in
  assert_true(((const float *)lat_array_as_view(y).data)[1] == 0.5f);
  lat_array_release(y);
  const float unknown[2] = {NAN, 1};
  const double nans[2] = {NAN, NAN};
  view = lat_view_2d(unknown, LAT_DTYPE_F32, 1, 2);
  lat_test_assert_ok(lat_softmax(context, &view, &y));
  lat_test_assert_values(lat_array_as_view(y), nans, 2);
  lat_array_release(y);
  view = lat_view_2d(x, LAT_DTYPE_F32, 3, 0);
  lat_test_assert_ok(lat_softmax(context, &view, &y));
  assert_int_equal(lat_array_as_view(y).shape[0], 3);
  lat_array_release(y);
}

static void test_softmax_strided_and_backward(void **state) {
  (void)state;
  lat_array_view view = lat_view_2d(floats, LAT_DTYPE_F32, 2, 2), grad = lat_view_2d(floats, LAT_DTYPE_F32, 2, 2);
  lat_array *y = NULL;
  view.stride[0] = 4;
  lat_test_assert_ok(lat_softmax(context, &view, &y));
  assert_true(fabs((double)((const float *)lat_array_as_view(y).data)[3] - 1 / (1 + exp(-1))) < 1e-7);
  lat_array_release(y);
  lat_test_assert_ok(lat_softmax_backward(context, &view, &grad, &y));
  double p = 1 / (1 + exp(1)); // y = (p, 1 - p), g = (1, 2): p (1 - (2 - p))
  assert_true(fabs((double)((const float *)lat_array_as_view(y).data)[0] - p * (p - 1)) < 1e-7);
  lat_array_release(y);
}

static void test_dropout_mask(void **state) {
  (void)state;
  enum { n = 40000 };
  lat_test_random random = {31, 0};
  int32_t *rows = lat_test_random_rows(&random, n, 1, 40, 0);
  double *values = lat_test_random_values(&random, n, 1, 2);
  lat_dropout_opts opts = LAT_DROPOUT_OPTS_INIT;
  lat_tensor *first = NULL;
  opts.p = 0.3;
  opts.stream = 7;
  for (int32_t threads = 1; threads <= 5; threads += 2) {
    lat_context_opts context_opts = LAT_CONTEXT_OPTS_INIT;
    lat_context *other = NULL;
    lat_tensor *y = NULL;
    lat_array *back = NULL;
    int64_t n_dropped = 0;
    context_opts.n_threads = threads;
    context_opts.seed = 5;
    lat_test_assert_ok(lat_context_create(&context_opts, &other));
    lat_tensor *x = lat_test_tensor(other, rows, n, values, 1, LAT_DTYPE_F32, NULL);
    lat_array_view view = lat_tensor_feats(x);
    lat_test_assert_ok(lat_dropout(other, x, &opts, &y));
    const float *in = view.data, *got = lat_tensor_feats(y).data;
    for (int64_t i = 0; i < n; i++) {
      uint32_t words[4];
      lat_random_block(5, 7, (uint64_t)i / 4, words);
      int kept = (double)words[i % 4] / 0x1p32 >= 0.3;
      n_dropped += !kept;
      assert_true(got[i] == (kept ? (float)((double)in[i] / (1.0 - 0.3)) : 0.0f));
    }
    assert_in_range(n_dropped, n * 29 / 100, n * 31 / 100);
    lat_test_assert_ok(lat_dropout_backward(other, x, &view, &opts, &back));
    lat_test_assert_same_view(lat_array_as_view(back), lat_tensor_feats(y)); // linear, and the same mask
    if (!first) first = lat_tensor_retain(y);
    lat_test_assert_same_view(lat_tensor_feats(first), lat_tensor_feats(y));
    lat_array_release(back);
    lat_tensor_release(y);
    opts.stream = 8;
    lat_test_assert_ok(lat_dropout(other, x, &opts, &y));
    assert_memory_not_equal(lat_tensor_feats(y).data, lat_tensor_feats(first).data, n * sizeof(float));
    opts.stream = 7;
    lat_tensor_release(y);
    lat_tensor_release(x);
    lat_context_destroy(other);
  }
  lat_tensor_release(first);
  free(rows), free(values);
}

static void test_dropout_identity(void **state) {
  (void)state;
  const double values[4] = {1, NAN, INFINITY, -2};
  lat_dropout_opts opts[2] = {LAT_DROPOUT_OPTS_INIT, LAT_DROPOUT_OPTS_INIT};
  opts[0].p = 0;
  opts[1].training = 0;
  lat_tensor *x = lat_test_tensor(context, line, 4, values, 1, LAT_DTYPE_F16, NULL), *y = NULL;
  lat_array_view grad = lat_view_2d(floats, LAT_DTYPE_F32, 4, 1);
  const double expected[4] = {1, 2, 3, 4};
  for (int i = 0; i < 2; i++) {
    lat_array *back = NULL;
    lat_test_assert_ok(lat_dropout(context, x, &opts[i], &y));
    assert_ptr_equal(lat_tensor_feats_array(y), lat_tensor_feats_array(x));
    lat_test_assert_ok(lat_dropout_backward(context, x, &grad, &opts[i], &back));
    assert_int_equal(lat_array_as_view(back).dtype, LAT_DTYPE_F16);
    lat_test_assert_values(lat_array_as_view(back), expected, 4);
    lat_array_release(back);
    lat_tensor_release(y);
  }
  lat_test_assert_ok(lat_dropout(context, x, NULL, &y)); // half of it, training
  double *got = lat_test_read_feats(y);
  for (int i = 0; i < 4; i++) assert_true(got[i] == 0 || got[i] == 2 * values[i] || isnan(got[i]));
  free(got);
  lat_tensor_release(y);
  lat_tensor_release(x);
}

static void test_embedding(void **state) {
  (void)state;
  const int64_t wide[4] = {2, 0, 2, 1};
  const uint8_t bytes[4] = {2, 0, 2, 1};
  const uint32_t words[4] = {2, 0, 2, 1};
  const int16_t shorts[4] = {2, 0, 2, 1};
  const lat_array_view indices[5] = {lat_view_1d(integers, LAT_DTYPE_I32, 4), lat_view_1d(wide, LAT_DTYPE_I64, 4),
                                     lat_view_1d(bytes, LAT_DTYPE_U8, 4), lat_view_1d(words, LAT_DTYPE_U32, 4),
                                     lat_view_1d(shorts, LAT_DTYPE_I16, 4)};
  lat_array_view table = lat_view_2d(floats, LAT_DTYPE_F32, 4, 2), grad = lat_view_2d(floats, LAT_DTYPE_F32, 4, 2);
  const double rows[8] = {5, 6, 1, 2, 5, 6, 3, 4}, sums[8] = {3, 4, 7, 8, 6, 8, 0, 0};
  for (int i = 0; i < 5; i++) {
    lat_array *y = NULL;
    lat_test_assert_ok(lat_embedding_lookup(context, &indices[i], &table, &y));
    lat_test_assert_values(lat_array_as_view(y), rows, 8);
    lat_array_release(y);
    lat_test_assert_ok(lat_embedding_backward(context, &indices[i], &table, &grad, &y));
    lat_test_assert_values(lat_array_as_view(y), sums, 8);
    lat_array_release(y);
  }
  lat_array_view none = lat_view_1d(integers, LAT_DTYPE_I32, 0), nothing = lat_view_2d(floats, LAT_DTYPE_F32, 0, 2);
  const double zeros[8] = {0};
  lat_array *y = NULL;
  lat_test_assert_ok(lat_embedding_lookup(context, &none, &nothing, &y));
  assert_int_equal(lat_array_as_view(y).shape[0], 0);
  lat_array_release(y);
  lat_test_assert_ok(lat_embedding_backward(context, &none, &table, &nothing, &y));
  lat_test_assert_values(lat_array_as_view(y), zeros, 8);
  lat_array_release(y);
}

static void test_softmax_errors(void **state) {
  (void)state;
  lat_array_view good = lat_view_2d(floats, LAT_DTYPE_F32, 2, 2), flat = lat_view_1d(floats, LAT_DTYPE_F32, 4);
  lat_array_view wrong = lat_view_2d(integers, LAT_DTYPE_I32, 2, 2), wide = lat_view_2d(floats, LAT_DTYPE_F32, 2, 4);
  const struct {
    lat_context *context;
    const lat_array_view *x, *grad;
    lat_status status;
    const char *fragment;
  } cases[7] = {{NULL, &good, &good, LAT_STATUS_INVALID_ARGUMENT, "context: got NULL"},
                {context, NULL, &good, LAT_STATUS_INVALID_ARGUMENT, "x: got NULL"},
                {context, &flat, &good, LAT_STATUS_INVALID_SHAPE, "x expects a rank-2 array: got (4,)"},
                {context, &wrong, &good, LAT_STATUS_INVALID_DTYPE, "x dtype: got int32"},
                {context, &good, NULL, LAT_STATUS_INVALID_ARGUMENT, "grad_out: got NULL"},
                {context, &good, &wide, LAT_STATUS_INVALID_SHAPE, "grad_out must have the shape of the result"},
                {context, &good, &wrong, LAT_STATUS_INVALID_DTYPE, "grad_out dtype: got int32"}};
  for (int i = 0; i < 7; i++) {
    lat_array *y = poison_array;
    lat_test_assert_error(lat_softmax_backward(cases[i].context, cases[i].x, cases[i].grad, &y), cases[i].status,
                          cases[i].fragment);
    assert_null(y);
    if (i >= 4) continue;
    y = poison_array;
    lat_test_assert_error(lat_softmax(cases[i].context, cases[i].x, &y), cases[i].status, cases[i].fragment);
    assert_null(y);
  }
  lat_test_assert_error(lat_softmax(context, &good, NULL), LAT_STATUS_INVALID_ARGUMENT, "softmax: out: got NULL");
  lat_test_assert_error(lat_softmax_backward(context, &good, &good, NULL), LAT_STATUS_INVALID_ARGUMENT,
                        "softmax_backward: out: got NULL");
}

static void test_dropout_errors(void **state) {
  (void)state;
  const double values[2] = {1, 2}, bad[4] = {-0.1, 1.0, NAN, 2.0};
  lat_tensor *x = lat_test_tensor(context, line, 2, values, 1, LAT_DTYPE_F32, NULL), *y = poison;
  lat_array_view good = lat_view_2d(floats, LAT_DTYPE_F32, 2, 1), wide = lat_view_2d(floats, LAT_DTYPE_F32, 2, 2);
  lat_dropout_opts opts = LAT_DROPOUT_OPTS_INIT;
  lat_array *g = poison_array;
  for (int i = 0; i < 4; i++) {
    opts.p = bad[i];
    y = poison;
    lat_test_assert_error(lat_dropout(context, x, &opts, &y), LAT_STATUS_INVALID_ARGUMENT, "dropout: p must be in");
    assert_null(y);
    g = poison_array;
    lat_test_assert_error(lat_dropout_backward(context, x, &good, &opts, &g), LAT_STATUS_INVALID_ARGUMENT,
                          "dropout_backward: p must be in");
    assert_null(g);
  }
  y = poison;
  lat_test_assert_error(lat_dropout(NULL, x, NULL, &y), LAT_STATUS_INVALID_ARGUMENT, "dropout: context: got NULL");
  assert_null(y);
  y = poison;
  lat_test_assert_error(lat_dropout(context, NULL, NULL, &y), LAT_STATUS_INVALID_ARGUMENT, "dropout: x: got NULL");
  assert_null(y);
  lat_test_assert_error(lat_dropout(context, x, NULL, NULL), LAT_STATUS_INVALID_ARGUMENT, "dropout: out: got NULL");
  const struct {
    lat_context *context;
    const lat_tensor *x;
    const lat_array_view *grad;
    lat_status status;
    const char *fragment;
  } cases[4] = {{NULL, x, &good, LAT_STATUS_INVALID_ARGUMENT, "context: got NULL"},
                {context, NULL, &good, LAT_STATUS_INVALID_ARGUMENT, "x: got NULL"},
                {context, x, NULL, LAT_STATUS_INVALID_ARGUMENT, "grad_out: got NULL"},
                {context, x, &wide, LAT_STATUS_INVALID_SHAPE, "grad_out must have the shape of the result"}};
  for (int i = 0; i < 4; i++) {
    g = poison_array;
    lat_test_assert_error(lat_dropout_backward(cases[i].context, cases[i].x, cases[i].grad, NULL, &g), cases[i].status,
                          cases[i].fragment);
    assert_null(g);
  }
  lat_test_assert_error(lat_dropout_backward(context, x, &good, NULL, NULL), LAT_STATUS_INVALID_ARGUMENT,
                        "dropout_backward: out: got NULL");
  lat_tensor_release(x);
}

static void test_embedding_errors(void **state) {
  (void)state;
  const int64_t above[3] = {0, 1, 4}, below[2] = {0, -1};
  lat_array_view table = lat_view_2d(floats, LAT_DTYPE_F32, 4, 2), flat = lat_view_1d(floats, LAT_DTYPE_F32, 4);
  lat_array_view ints = lat_view_1d(integers, LAT_DTYPE_I32, 4), grad = lat_view_2d(floats, LAT_DTYPE_F32, 4, 2);
  lat_array_view ints_2d = lat_view_2d(integers, LAT_DTYPE_I32, 2, 2),
                 short_grad = lat_view_2d(floats, LAT_DTYPE_F32, 3, 2);
  lat_array_view high = lat_view_1d(above, LAT_DTYPE_I64, 3), low = lat_view_1d(below, LAT_DTYPE_I64, 2);
  const struct {
    lat_context *context;
    const lat_array_view *indices, *table, *grad;
    lat_status status;
    const char *fragment;
  } cases[11] = {
      {NULL, &ints, &table, &grad, LAT_STATUS_INVALID_ARGUMENT, "context: got NULL"},
      {context, NULL, &table, &grad, LAT_STATUS_INVALID_ARGUMENT, "indices: got NULL"},
      {context, &ints, NULL, &grad, LAT_STATUS_INVALID_ARGUMENT, "table: got NULL"},
      {context, &ints_2d, &table, &grad, LAT_STATUS_INVALID_SHAPE, "indices must have shape (N,): got (2, 2)"},
      {context, &flat, &table, &grad, LAT_STATUS_INVALID_DTYPE, "indices dtype: got float32"},
      {context, &ints, &flat, &grad, LAT_STATUS_INVALID_SHAPE, "table expects a rank-2 array"},
      {context, &ints, &ints_2d, &grad, LAT_STATUS_INVALID_DTYPE, "table dtype: got int32"},
      {context, &high, &table, &grad, LAT_STATUS_INVALID_ARGUMENT,
       "indices[2] is out of range: got 4, expected 0 to 3"},
      {context, &low, &table, &grad, LAT_STATUS_INVALID_ARGUMENT, "indices[1] is out of range: got -1"},
      {context, &ints, &table, NULL, LAT_STATUS_INVALID_ARGUMENT, "grad_out: got NULL"},
      {context, &ints, &table, &short_grad, LAT_STATUS_INVALID_SHAPE, "grad_out must have the shape of the result"}};
  for (int i = 0; i < 11; i++) {
    lat_array *y = poison_array;
    lat_test_assert_error(lat_embedding_backward(cases[i].context, cases[i].indices, cases[i].table, cases[i].grad, &y),
                          cases[i].status, cases[i].fragment);
    assert_null(y);
    if (i >= 9) continue;
    y = poison_array;
    lat_test_assert_error(lat_embedding_lookup(cases[i].context, cases[i].indices, cases[i].table, &y), cases[i].status,
                          cases[i].fragment);
    assert_null(y);
  }
  lat_test_assert_error(lat_embedding_lookup(context, &ints, &table, NULL), LAT_STATUS_INVALID_ARGUMENT,
                        "embedding_lookup: out: got NULL");
  lat_test_assert_error(lat_embedding_backward(context, &ints, &table, &grad, NULL), LAT_STATUS_INVALID_ARGUMENT,
                        "embedding_backward: out: got NULL");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void) {
  const struct CMUnitTest tests[] = {
      TEST(test_softmax_values), TEST(test_softmax_strided_and_backward),
      TEST(test_dropout_mask),   TEST(test_dropout_identity),
      TEST(test_embedding),      TEST(test_softmax_errors),
      TEST(test_dropout_errors), TEST(test_embedding_errors),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
