// Duplicated rows: transposed and exchanged pair lists that name an output row several times still give every pair its
// term, in every kernel width.
#include <stdlib.h>
#include <string.h>

#include <lattice/lattice.h>

#include "backend/backend.h"
#include "core/context_internal.h"
#include "relation/relation_internal.h"
#include "support/test_support.h"

#define ROWS 40
#define C_IN 5
#define C_OUT 19

static lat_context *context;

/// Small integers: every order of summation gives the same float32.
static float value_of(int64_t i) {
  return (float)(i * 7 % 11) - 5.0F;
}

static int64_t check_pairs(const lat__pairs *pairs) {
  static float x[ROWS * 30 * C_IN], w[27 * C_IN * C_OUT];
  float *y = malloc(sizeof *y * (size_t)pairs->n_out * C_OUT),
        *expected = calloc((size_t)pairs->n_out * C_OUT, sizeof *y);
  assert_non_null(y);
  assert_non_null(expected);
  assert_true(pairs->n_in * C_IN <= (int64_t)(sizeof x / sizeof x[0]));
  for (int64_t i = 0; i < pairs->n_in * C_IN; i++) x[i] = value_of(i);
  for (int64_t i = 0; i < pairs->n_kernels * C_IN * C_OUT; i++) w[i] = value_of(3 * i + 1);
  lat__conv_desc desc = {.pairs = pairs,
                         .n_in = pairs->n_in,
                         .n_out = pairs->n_out,
                         .c_in = C_IN,
                         .c_out = C_OUT,
                         .n_kernels = pairs->n_kernels,
                         .dtype = LAT_DTYPE_F32,
                         .dtype_out = LAT_DTYPE_F32,
                         .x = x,
                         .weight = {.form = LAT__WEIGHT_KERNEL_IN_OUT, .dtype = LAT_DTYPE_F32, .data = w},
                         .y = y};
  lat_test_assert_ok(lat__backend_of(context)->conv(context, &desc));
  for (int64_t list = 0; list < pairs->n_blocks * pairs->n_kernels; list++) {
    int64_t k = list % pairs->n_kernels, first = list / pairs->n_kernels * LAT__PAIR_BLOCK_ROWS;
    for (int64_t p = pairs->offsets[list]; p < pairs->offsets[list + 1]; p++) {
      for (int64_t ci = 0; ci < C_IN; ci++) {
        for (int64_t co = 0; co < C_OUT; co++) {
          expected[lat__pairs_out_row(pairs, first + pairs->local_rows[p]) * C_OUT + co] +=
              x[pairs->in_rows[p] * C_IN + ci] * w[(k * C_IN + ci) * C_OUT + co];
        }
      }
    }
  }
  assert_memory_equal(y, expected, sizeof *y * (size_t)pairs->n_out * C_OUT);
  free(y);
  free(expected);
  return pairs->repeats;
}

static lat_coords *make(int32_t modulus, int32_t stride) {
  int32_t rows[ROWS][4];
  lat_coords *coords = NULL;
  lat_coords_opts opts = LAT_COORDS_OPTS_INIT;
  for (int32_t r = 0; r < ROWS; r++) {
    rows[r][0] = 0, rows[r][1] = r % modulus, rows[r][2] = r % modulus / 3, rows[r][3] = 0;
  }
  opts.stride = lat_triple_all(stride);
  lat_array_view view = lat_view_2d(rows, LAT_DTYPE_I32, ROWS, 4);
  lat_test_assert_ok(lat_coords_create(context, &view, &opts, &coords));
  return coords;
}

static void duplicated_rows(void **state) {
  (void)state;
  const int32_t moduli[] = {ROWS, 7, 1};
  for (int i = 0; i < 3; i++) {
    int duplicated = moduli[i] < ROWS;
    lat_relation *relation = NULL;
    const lat__pairs *by_input = NULL;
    lat_kernel_opts opts = LAT_KERNEL_OPTS_INIT;
    opts.kernel_size = lat_triple_all(3);
    lat_coords *coarse = make(moduli[i], 2), *distinct = make(ROWS, 1), *target = make(moduli[i], 1);
    lat_test_assert_ok(lat_relation_create_transposed(context, coarse, &opts, &relation));
    assert_int_equal(check_pairs(&relation->pairs), duplicated);
    lat_test_assert_ok(lat__relation_pairs_by_input(context, relation, &by_input));
    assert_int_equal(check_pairs(by_input), 0);
    lat_relation_release(relation);
    // A forward relation onto duplicated targets: each input meets every copy under the same kernel element.
    lat_test_assert_ok(lat_relation_create_target(context, distinct, target, &opts, &relation));
    assert_int_equal(check_pairs(&relation->pairs), 0);
    lat_test_assert_ok(lat__relation_pairs_by_input(context, relation, &by_input));
    assert_int_equal(check_pairs(by_input), duplicated);
    lat_relation_release(relation);
    lat_coords_release(coarse);
    lat_coords_release(distinct);
    lat_coords_release(target);
  }
}

static int set_up(void **state) {
  (void)state;
  lat_test_assert_ok(lat_context_create(NULL, &context));
  context->deals_rows = true; // blocks whose rows lie apart
  return 0;
}

static int tear_down(void **state) {
  (void)state;
  lat_context_destroy(context);
  return 0;
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(duplicated_rows)};
  return cmocka_run_group_tests(tests, set_up, tear_down);
}
