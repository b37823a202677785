// Reach support with bounds against a dense convolution: a box of voxels, loops over the whole output grid with the
// window of a dense layer, and nothing sparse about it. Small integers: exact.
//
// covers: lat_conv3d
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include <lattice/lattice.h>

#include "support/tensor_cases.h"
#include "support/test_support.h"

enum { N_PROBLEMS = 60, C_IN = 2, C_OUT = 3, N_ITEMS = 2, MAX_EXTENT = 7 };

/// One axis of a dense layer.
typedef struct dense_axis {
  int32_t extent, size, stride, padding, dilation, n_out;
} dense_axis;

typedef struct dense_problem {
  dense_axis axes[3];
  int64_t n;
  int32_t *rows;
  double *x;       ///< (n, C_IN)
  float *w;        ///< (K, C_IN, C_OUT)
  double *box;     ///< (N_ITEMS, x, y, z, C_IN), zero where there is no row
  uint8_t *filled; ///< (N_ITEMS, x, y, z)
} dense_problem;

/// Number of windows of a padded axis, counted one by one.
static int32_t count_windows(const dense_axis *a) {
  int32_t n = 0;
  for (int32_t start = 0; start + (a->size - 1) * a->dilation < a->extent + 2 * a->padding; start += a->stride) n++;
  return n;
}

static dense_axis draw_axis(lat_test_random *random) {
  dense_axis a = {.extent = 1 + (int32_t)lat_test_below(random, MAX_EXTENT),
                  .size = 1 + (int32_t)lat_test_below(random, 4),
                  .stride = 1 + (int32_t)lat_test_below(random, 3),
                  .padding = (int32_t)lat_test_below(random, 3),
                  .dilation = 1 + (int32_t)lat_test_below(random, 2)};
  a.n_out = count_windows(&a);
  return a;
}

static int64_t cell_of(const dense_problem *p, int64_t item, int32_t x, int32_t y, int32_t z) {
  return ((item * p->axes[0].extent + x) * p->axes[1].extent + y) * p->axes[2].extent + z;
}

static dense_problem make_problem(uint64_t seed) {
  lat_test_random random = {seed, 0};
  dense_problem p = {.n = 0};
  do {
    for (int a = 0; a < 3; a++) p.axes[a] = draw_axis(&random);
  } while (p.axes[0].size * p.axes[1].size * p.axes[2].size == 1); // that one keeps the input set, by another rule
  int64_t n_cells = N_ITEMS * (int64_t)p.axes[0].extent * p.axes[1].extent * p.axes[2].extent;
  int64_t volume = (int64_t)p.axes[0].size * p.axes[1].size * p.axes[2].size;
  p.rows = malloc((size_t)n_cells * 16);
  p.x = malloc((size_t)n_cells * C_IN * sizeof *p.x);
  p.box = calloc((size_t)n_cells * C_IN, sizeof *p.box);
  p.filled = calloc((size_t)n_cells, 1);
  p.w = malloc((size_t)volume * C_IN * C_OUT * sizeof *p.w);
  for (int64_t i = 0; i < volume * C_IN * C_OUT; i++) p.w[i] = (float)(lat_test_below(&random, 7) - 3);
  int64_t n_wanted = lat_test_below(&random, n_cells + 1);
  while (p.n < n_wanted) { // rows in random order
    int32_t row[4] = {(int32_t)lat_test_below(&random, N_ITEMS)};
    for (int a = 0; a < 3; a++) row[1 + a] = (int32_t)lat_test_below(&random, p.axes[a].extent);
    int64_t cell = cell_of(&p, row[0], row[1], row[2], row[3]);
    if (p.filled[cell]) continue;
    p.filled[cell] = 1;
    memcpy(p.rows + 4 * p.n, row, sizeof row);
    for (int c = 0; c < C_IN; c++) {
      p.x[p.n * C_IN + c] = p.box[cell * C_IN + c] = (double)(lat_test_below(&random, 9) - 4);
    }
    p.n++;
  }
  return p;
}

static void free_problem(dense_problem *p) {
  free(p->rows), free(p->x), free(p->w), free(p->box), free(p->filled);
}

/// One output of the dense layer. Returns how many voxels of its window are filled.
static int dense_output(const dense_problem *p, const int32_t *out, double y[C_OUT]) {
  const dense_axis *a = p->axes;
  int n_filled = 0;
  int64_t k = 0;
  memset(y, 0, C_OUT * sizeof *y);
  for (int32_t kx = 0; kx < a[0].size; kx++) {
    for (int32_t ky = 0; ky < a[1].size; ky++) {
      for (int32_t kz = 0; kz < a[2].size; kz++, k++) {
        int32_t x = out[1] * a[0].stride + kx * a[0].dilation - a[0].padding;
        int32_t y_at = out[2] * a[1].stride + ky * a[1].dilation - a[1].padding;
        int32_t z = out[3] * a[2].stride + kz * a[2].dilation - a[2].padding;
        if (x < 0 || y_at < 0 || z < 0 || x >= a[0].extent || y_at >= a[1].extent || z >= a[2].extent) continue;
        int64_t cell = cell_of(p, out[0], x, y_at, z);
        n_filled += p->filled[cell];
        for (int ci = 0; ci < C_IN; ci++) {
          for (int co = 0; co < C_OUT; co++) {
            y[co] += p->box[cell * C_IN + ci] * (double)p->w[(k * C_IN + ci) * C_OUT + co];
          }
        }
      }
    }
  }
  return n_filled;
}

/// The row of a tensor with the given coordinates, or -1.
static int64_t find_row(const lat_tensor *y, const int32_t *row) {
  const int32_t *rows = lat_coords_rows(lat_tensor_coords(y)).data;
  for (int64_t r = 0; r < lat_tensor_count(y); r++) {
    if (memcmp(rows + 4 * r, row, 16) == 0) return r;
  }
  return -1;
}

static lat_tensor *run(lat_context *context, const dense_problem *p) {
  const dense_axis *a = p->axes;
  lat_conv3d_opts opts = LAT_CONV3D_OPTS_INIT;
  opts.kernel_size = (lat_triple){a[0].size, a[1].size, a[2].size};
  opts.stride = (lat_triple){a[0].stride, a[1].stride, a[2].stride};
  opts.padding = (lat_triple){a[0].padding, a[1].padding, a[2].padding};
  opts.dilation = (lat_triple){a[0].dilation, a[1].dilation, a[2].dilation};
  opts.support = LAT_SUPPORT_REACH;
  opts.bounds = (lat_triple){a[0].extent, a[1].extent, a[2].extent};
  const int64_t shape[3] = {(int64_t)a[0].size * a[1].size * a[2].size, C_IN, C_OUT};
  lat_weight weight = lat_weight_dense(lat_view(p->w, LAT_DTYPE_F32, 3, shape));
  lat_tensor *x = lat_test_tensor(context, p->rows, p->n, p->x, C_IN, LAT_DTYPE_F32, NULL), *y = NULL;
  lat_test_assert_ok(lat_conv3d(context, x, &weight, NULL, &opts, &y));
  lat_tensor_release(x);
  return y;
}

static void check_problem(lat_context *context, uint64_t seed) {
  dense_problem p = make_problem(seed);
  lat_tensor *y = run(context, &p);
  const float *feats = lat_tensor_feats(y).data;
  int64_t n_active = 0;
  int32_t out[4];
  for (out[0] = 0; out[0] < N_ITEMS; out[0]++) {
    for (out[1] = 0; out[1] < p.axes[0].n_out; out[1]++) {
      for (out[2] = 0; out[2] < p.axes[1].n_out; out[2]++) {
        for (out[3] = 0; out[3] < p.axes[2].n_out; out[3]++) {
          double expected[C_OUT];
          int64_t row = find_row(y, out);
          bool active = dense_output(&p, out, expected) > 0;
          if (active != (row >= 0)) fail_msg("seed %d: row (%d, %d, %d)", (int)seed, out[1], out[2], out[3]);
          n_active += active;
          for (int co = 0; active && co < C_OUT; co++) {
            if ((double)feats[row * C_OUT + co] != expected[co]) fail_msg("seed %d: other values", (int)seed);
          }
        }
      }
    }
  }
  assert_int_equal(n_active, lat_tensor_count(y)); // no output outside the dense grid
  lat_tensor_release(y);
  free_problem(&p);
}

static void matches_a_dense_layer(void **state) {
  (void)state;
  lat_context *context = NULL;
  lat_test_assert_ok(lat_context_create(NULL, &context));
  for (uint64_t seed = 1; seed <= N_PROBLEMS; seed++) check_problem(context, seed);
  lat_context_destroy(context);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(matches_a_dense_layer)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
