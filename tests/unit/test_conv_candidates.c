// The list that a convolution's algorithm comes from: names, order, refusals.
//
// covers: lat_conv3d_candidates
#include "support/test_support.h"

#include <string.h>

#include <lattice/lattice.h>

static lat_context *context;
static const float zeros[27 * 16 * 16];

static lat_tensor *make_tensor(int64_t channels) {
  static const int32_t rows[3][4] = {{0, 0, 0, 0}, {0, 1, 0, 0}, {0, 2, 0, 0}};
  lat_array_view row_view = lat_view_2d(rows, LAT_DTYPE_I32, 3, 4);
  lat_array_view feats = lat_view_2d(zeros, LAT_DTYPE_F32, 3, channels);
  lat_coords *coords = NULL;
  lat_tensor *x = NULL;
  lat_test_assert_ok(lat_coords_create(context, &row_view, NULL, &coords));
  lat_test_assert_ok(lat_tensor_create(context, coords, &feats, NULL, &x));
  lat_coords_release(coords);
  return x;
}

static lat_weight weight_of(int64_t n_kernels, int64_t c_in, int64_t c_out) {
  const int64_t shape[3] = {n_kernels, c_in, c_out};
  return lat_weight_dense(lat_view(zeros, LAT_DTYPE_F32, 3, shape));
}

/// The list of candidates says what the algorithm's name says, and why the ones before it were not taken.
static void assert_taken(const lat_tensor *x, const lat_weight *weight, const lat_conv3d_opts *opts,
                         const char *expected) {
  char name[LAT_ALGORITHM_NAME_BYTES];
  lat_conv_candidates list;
  lat_test_assert_ok(lat_conv3d_algorithm(context, x, weight, opts, name, sizeof name));
  lat_test_assert_ok(lat_conv3d_candidates(context, x, weight, opts, &list));
  assert_in_range(list.count, 2, LAT_CONV_MOST_CANDIDATES);
  assert_in_range(list.taken, 0, list.count - 1);
  const char *taken = list.items[list.taken].name;
  assert_string_equal(taken, expected);
  assert_int_equal(strncmp(name, taken, strlen(taken)), 0);
  for (int64_t i = 0; i < list.count; i++) {
    assert_true(list.items[i].name && list.items[i].name[0]);
    if (i < list.taken) assert_true(list.items[i].refusal && list.items[i].refusal[0]);
  }
  assert_null(list.items[list.taken].refusal);
  assert_null(list.items[list.count - 1].refusal); // the last one takes everything
}

static void test_candidates(void **state) {
  (void)state;
  lat_tensor *x = make_tensor(1);
  lat_weight weight = weight_of(3, 1, 1);
  lat_conv3d_opts opts = LAT_CONV3D_OPTS_INIT;
  opts.kernel_size = (lat_triple){3, 1, 1};
  assert_taken(x, &weight, &opts, "gather_gemm");
  opts.kernel_size = lat_triple_all(1);
  weight = weight_of(1, 1, 1);
  assert_taken(x, &weight, &opts, "identity_gemm");
  lat_tensor_release(x);
  x = make_tensor(16);
  opts = (lat_conv3d_opts)LAT_CONV3D_OPTS_INIT;
  opts.groups = 16;
  weight = weight_of(27, 1, 16);
  assert_taken(x, &weight, &opts, "depthwise");
  lat_tensor_release(x);
  x = make_tensor(4);
  opts.groups = 1;
  weight = weight_of(27, 4, 64);
  assert_taken(x, &weight, &opts, "row_gemm");
  lat_tensor_release(x);
}

static int open_context(void **state) {
  (void)state;
  return lat_context_create(NULL, &context) != LAT_STATUS_OK;
}

static int close_context(void **state) {
  (void)state;
  lat_context_destroy(context);
  return 0;
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(test_candidates)};
  return cmocka_run_group_tests_name("conv_candidates", tests, open_context, close_context);
}
