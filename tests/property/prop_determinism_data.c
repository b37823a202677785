// The same bytes for 1, 2 and 5 threads and in a second run, of the operations that make, align, take apart and code data:
// what prop_determinism's network and the families' own tests do not walk through.
// covers: lat_relation_build_many lat_sparse_align lat_sparse_from_coordinates lat_sparse_from_coordinates_backward
// covers: lat_sparse_collate lat_tensor_decompose lat_range_encode_from_prob lat_range_decode_from_prob
// covers: lat_rans_encode_from_prob lat_rans_decode_from_prob
#include <stdlib.h>
#include <string.h>

#include <lattice/lattice.h>

#include "support/tensor_cases.h"
#include "support/test_support.h"

enum { ROWS = 9000, CHANNELS = 3, ALPHABET = 17, MAX_RESULTS = 64 };

/// Results of a run in the order they were made: bytes and a hash of each.
typedef struct trace {
  int n;
  int64_t bytes[MAX_RESULTS];
  uint64_t hash[MAX_RESULTS];
} trace;

static void record(trace *results, const void *data, int64_t bytes) {
  uint64_t hash = UINT64_C(0xcbf29ce484222325);
  for (int64_t i = 0; i < bytes; i++) hash = (hash ^ ((const unsigned char *)data)[i]) * UINT64_C(0x100000001b3);
  assert_true(results->n < MAX_RESULTS);
  results->bytes[results->n] = bytes;
  results->hash[results->n++] = hash;
}

static void record_view(trace *results, lat_array_view view) {
  int64_t bytes = (int64_t)lat_dtype_bytes(view.dtype);
  for (int32_t axis = 0; axis < view.rank; axis++) bytes *= view.shape[axis];
  record(results, view.data, bytes);
}

static void take_array(trace *results, lat_array *array) {
  record_view(results, lat_array_as_view(array));
  lat_array_release(array);
}

static void take_tensor(trace *results, lat_tensor *tensor) {
  record_view(results, lat_coords_rows(lat_tensor_coords(tensor)));
  record_view(results, lat_tensor_feats(tensor));
  lat_tensor_release(tensor);
}

/// What every run gets: rows with duplicates, features that do not sum exactly, probabilities, symbols.
typedef struct inputs {
  int32_t *rows, *symbols;
  float *feats, *prob;
} inputs;

static inputs make_inputs(uint64_t seed) {
  lat_test_random random = {seed, 0};
  inputs in = {lat_test_random_rows(&random, ROWS, 3, 7, 1), malloc(ROWS * sizeof(int32_t)),
               malloc(ROWS * CHANNELS * sizeof(float)), malloc((size_t)ROWS * ALPHABET * sizeof(float))};
  assert_true(in.symbols && in.feats && in.prob);
  for (int i = 0; i < ROWS; i++) in.symbols[i] = (int32_t)lat_test_below(&random, ALPHABET);
  for (int i = 0; i < ROWS * CHANNELS; i++) in.feats[i] = (float)lat_test_uniform(&random, -1, 1);
  for (int i = 0; i < ROWS * ALPHABET; i++) in.prob[i] = (float)lat_test_uniform(&random, 0, 0.1);
  return in;
}

static void run_sets(lat_context *context, const inputs *in, trace *results) {
  lat_coords *coords = lat_test_coords(context, in->rows, ROWS);
  lat_coords *other = lat_test_coords(context, in->rows + 4 * (ROWS / 2), ROWS / 2);
  lat_kernel_opts down = LAT_KERNEL_OPTS_INIT, reach = LAT_KERNEL_OPTS_INIT;
  down.stride = reach.stride = lat_triple_all(2);
  reach.support = LAT_SUPPORT_REACH;
  lat_relation_geometry pyramid[] = {{LAT_RELATION_SUBMANIFOLD, 0, 0, NULL},
                                     {LAT_RELATION_FORWARD, 0, 0, &down},
                                     {LAT_RELATION_SUBMANIFOLD, 2, 0, NULL},
                                     {LAT_RELATION_FORWARD, 2, 0, &reach}};
  lat_relation *relations[4];
  lat_test_assert_ok(lat_relation_build_many(context, coords, pyramid, 4, relations));
  for (int i = 0; i < 4; i++) {
    lat_relation_edge_list edges;
    lat_test_assert_ok(lat_relation_edges(context, relations[i], &edges));
    record(results, edges.in_rows, edges.n_edges * 4);
    record(results, edges.out_rows, edges.n_edges * 4);
    record(results, edges.kernel_ids, edges.n_edges * 4);
    lat_relation_release(relations[i]);
  }
  for (int join = LAT_JOIN_INNER; join <= LAT_JOIN_OUTER; join++) {
    lat_sparse_alignment rows;
    lat_test_assert_ok(lat_sparse_align(context, other, coords, (lat_join)join, &rows));
    record_view(results, lat_coords_rows(rows.coords));
    take_array(results, rows.lhs_rows);
    take_array(results, rows.rhs_rows);
    lat_coords_release(rows.coords);
  }
  lat_coords_release(other);
  lat_coords_release(coords);
}

static void run_creation(lat_context *context, const inputs *in, trace *results) {
  lat_array_view rows = lat_view_2d(in->rows, LAT_DTYPE_I32, ROWS, 4),
                 feats = lat_view_2d(in->feats, LAT_DTYPE_F32, ROWS, CHANNELS);
  for (int rule = LAT_DUPLICATES_FIRST; rule <= LAT_DUPLICATES_MAX; rule++) {
    lat_from_coordinates_opts opts = LAT_FROM_COORDINATES_OPTS_INIT;
    lat_tensor *tensor = NULL;
    lat_array *grad = NULL;
    opts.duplicates = (lat_duplicates)rule;
    lat_test_assert_ok(lat_sparse_from_coordinates(context, &rows, &feats, &opts, &tensor));
    lat_array_view grad_out = lat_tensor_feats(tensor);
    lat_test_assert_ok(lat_sparse_from_coordinates_backward(context, &rows, &feats, &grad_out, &opts, &grad));
    take_array(results, grad);
    take_tensor(results, tensor);
  }
  lat_array_view clouds[2], values[2];
  for (int i = 0; i < 2; i++) {
    clouds[i] = rows;
    clouds[i].data = in->rows + 1 + (int64_t)i * 4 * (ROWS / 2); // x, y, z of each half
    clouds[i].shape[0] = ROWS / 2;
    clouds[i].shape[1] = 3;
    values[i] = lat_view_2d(in->feats + (int64_t)i * CHANNELS * (ROWS / 2), LAT_DTYPE_F32, ROWS / 2, CHANNELS);
  }
  lat_collate_opts collate = LAT_COLLATE_OPTS_INIT;
  collate.duplicates = LAT_DUPLICATES_SUM;
  lat_tensor *joined = NULL;
  lat_tensor_items items;
  lat_test_assert_ok(lat_sparse_collate(context, clouds, values, 2, &collate, &joined));
  lat_test_assert_ok(lat_tensor_decompose(context, joined, &items));
  take_array(results, items.offsets);
  take_array(results, items.rows);
  take_array(results, items.coords);
  take_array(results, items.feats);
  take_tensor(results, joined);
}

static void run_coding(lat_context *context, const inputs *in, trace *results) {
  lat_array_view prob = lat_view_2d(in->prob, LAT_DTYPE_F32, ROWS, ALPHABET),
                 symbols = lat_view_1d(in->symbols, LAT_DTYPE_I32, ROWS);
  lat_array *range = NULL, *rans = NULL, *back = NULL;
  lat_test_assert_ok(lat_range_encode_from_prob(context, &prob, &symbols, &range));
  lat_test_assert_ok(lat_rans_encode_from_prob(context, &prob, &symbols, &rans));
  lat_array_view range_view = lat_array_as_view(range), rans_view = lat_array_as_view(rans);
  lat_test_assert_ok(lat_range_decode_from_prob(context, &prob, &range_view, &back));
  assert_memory_equal(lat_array_data(back), in->symbols, ROWS * sizeof(int32_t));
  take_array(results, back);
  lat_test_assert_ok(lat_rans_decode_from_prob(context, &prob, &rans_view, &back));
  assert_memory_equal(lat_array_data(back), in->symbols, ROWS * sizeof(int32_t));
  take_array(results, back);
  take_array(results, range);
  take_array(results, rans);
}

static trace run(const inputs *in, int32_t n_threads) {
  trace results;
  lat_context *context = NULL;
  lat_context_opts opts = LAT_CONTEXT_OPTS_INIT;
  memset(&results, 0, sizeof results);
  opts.n_threads = n_threads;
  lat_test_assert_ok(lat_context_create(&opts, &context));
  run_sets(context, in, &results);
  run_creation(context, in, &results);
  run_coding(context, in, &results);
  lat_context_destroy(context);
  return results;
}

static void same_bytes(void **state) {
  (void)state;
  static const int32_t n_threads[] = {1, 2, 5};
  for (uint64_t seed = 1; seed <= 2; seed++) {
    inputs in = make_inputs(seed);
    trace first = run(&in, 1);
    for (int i = 0; i < 3; i++) {
      trace again = run(&in, n_threads[i]);
      assert_int_equal(again.n, first.n);
      for (int r = 0; r < first.n; r++) {
        if (again.hash[r] != first.hash[r] || again.bytes[r] != first.bytes[r]) {
          fail_msg("seed %d, %d threads: result %d differs", (int)seed, (int)n_threads[i], r);
        }
      }
    }
    free(in.rows);
    free(in.symbols);
    free(in.feats);
    free(in.prob);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(same_bytes)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
