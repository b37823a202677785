#include "support/tensor_cases.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include <lattice/context.h>

#include "support/test_support.h"

static uint32_t next_word(lat_test_random *random) {
  uint32_t block[4];
  lat_random_block(random->seed, 1234, random->n++, block);
  return block[0];
}

int64_t lat_test_below(lat_test_random *random, int64_t bound) {
  return (int64_t)(((uint64_t)next_word(random) << 16 ^ next_word(random)) % (uint64_t)bound);
}

double lat_test_uniform(lat_test_random *random, double low, double high) {
  return low + (high - low) * ((double)next_word(random) * 0x1p-32);
}

lat_coords *lat_test_coords(lat_context *context, const int32_t *rows, int64_t n) {
  lat_array_view view = lat_view_2d(rows, LAT_DTYPE_I32, n, 4);
  lat_coords *coords = NULL;
  lat_test_assert_ok(lat_coords_create(context, &view, NULL, &coords));
  return coords;
}

lat_tensor *lat_test_tensor_on(lat_context *context, const lat_coords *coords, const double *values, int64_t channels,
                               lat_dtype dtype, const lat_tensor_opts *opts) {
  lat_array_view view = lat_view_2d(values, LAT_DTYPE_F64, lat_coords_count(coords), channels);
  lat_array *feats = NULL;
  lat_tensor *tensor = NULL;
  lat_test_assert_ok(lat_array_cast(context, &view, dtype, &feats));
  lat_test_assert_ok(lat_tensor_share(context, coords, feats, opts, &tensor));
  lat_array_release(feats);
  return tensor;
}

lat_tensor *lat_test_tensor(lat_context *context, const int32_t *rows, int64_t n, const double *values,
                            int64_t channels, lat_dtype dtype, const lat_tensor_opts *opts) {
  lat_coords *coords = lat_test_coords(context, rows, n);
  lat_tensor *tensor = lat_test_tensor_on(context, coords, values, channels, dtype, opts);
  lat_coords_release(coords);
  return tensor;
}

// Distinct rows: a start and a step that is coprime to the number of cells of the box walk through it without repeats.
int32_t *lat_test_random_rows(lat_test_random *random, int64_t n, int64_t n_batches, int64_t extent, int duplicates) {
  int64_t side = 2 * extent + 1, cells = n_batches * side * side * side;
  int64_t step = 1 + lat_test_below(random, cells), at = lat_test_below(random, cells);
  for (int64_t a = step, b = cells; b != 0;) {
    int64_t rest = a % b;
    a = b;
    b = rest;
    if (b == 0 && a != 1) { // not coprime: try the next step
      a = ++step;
      b = cells;
    }
  }
  if (!duplicates && n > cells) fail_msg("no %lld distinct rows in %lld cells", (long long)n, (long long)cells);
  int32_t *rows = malloc((size_t)(n > 0 ? n : 1) * 4 * sizeof *rows);
  for (int64_t r = 0; r < n; r++) {
    int64_t cell = duplicates ? lat_test_below(random, cells) : at;
    rows[4 * r] = (int32_t)(cell / (side * side * side));
    rows[4 * r + 1] = (int32_t)(cell / (side * side) % side - extent);
    rows[4 * r + 2] = (int32_t)(cell / side % side - extent);
    rows[4 * r + 3] = (int32_t)(cell % side - extent);
    at = (at + step) % cells;
  }
  return rows;
}

double *lat_test_random_values(lat_test_random *random, int64_t n, double low, double high) {
  double *values = malloc((size_t)(n > 0 ? n : 1) * sizeof *values);
  for (int64_t i = 0; i < n; i++) values[i] = lat_test_uniform(random, low, high);
  return values;
}

static int64_t count_of(lat_array_view view) {
  int64_t count = 1;
  for (int32_t axis = 0; axis < view.rank; axis++) count *= view.shape[axis];
  return count;
}

double *lat_test_read(lat_array_view view) {
  int64_t n = count_of(view);
  double *values = malloc((size_t)(n > 0 ? n : 1) * sizeof *values);
  for (int64_t i = 0; i < n; i++) {
    const uint16_t *half = view.data;
    if (view.dtype == LAT_DTYPE_F32) values[i] = (double)((const float *)view.data)[i];
    if (view.dtype == LAT_DTYPE_F16) values[i] = (double)lat_f16_to_f32(half[i]);
    if (view.dtype == LAT_DTYPE_BF16) values[i] = (double)lat_bf16_to_f32(half[i]);
  }
  return values;
}

double *lat_test_read_feats(const lat_tensor *tensor) {
  return lat_test_read(lat_tensor_feats(tensor));
}

void lat_test_assert_values(lat_array_view got, const double *expected, int64_t n) {
  assert_int_equal(count_of(got), n);
  double *values = lat_test_read(got);
  for (int64_t i = 0; i < n; i++) {
    if (values[i] != expected[i] && !(isnan(values[i]) && isnan(expected[i]))) {
      double value = values[i];
      free(values);
      fail_msg("element %lld: got %a (%g), expected %a (%g)", (long long)i, value, value, expected[i], expected[i]);
    }
  }
  free(values);
}

void lat_test_assert_same_view(lat_array_view a, lat_array_view b) {
  assert_int_equal(a.dtype, b.dtype);
  assert_int_equal(a.rank, b.rank);
  for (int32_t axis = 0; axis < a.rank; axis++) assert_int_equal(a.shape[axis], b.shape[axis]);
  size_t bytes = (size_t)count_of(a) * lat_dtype_bytes(a.dtype);
  if (bytes > 0) assert_memory_equal(a.data, b.data, bytes);
}
