// Dense arrays against the naive reference: every layout and fold, every feature dtype, 1, 2 and 5 threads; there and
// back; gradients against the reference and against central differences of the forward reference.
// covers: lat_to_dense lat_to_dense_backward lat_from_dense lat_from_dense_backward
#include "support/test_support.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include <lattice/lattice.h>

#include "ref/ref_dense.h"

#define N_CONTEXTS 3
#define N_PROBLEMS 80

static const int32_t thread_counts[N_CONTEXTS] = {1, 2, 5};
static lat_context *contexts[N_CONTEXTS];

/// A box, some of its cells in random order, rows outside of it, and features that are quarters or zero.
typedef struct problem {
  uint64_t seed, drawn;
  ref_box box;
  lat_dtype dtype;
  lat_dense_opts opts;
  int64_t n;
  int32_t *rows;
  double *x;
  void *stored;
} problem;

static int set_up(void **state) {
  (void)state;
  for (int i = 0; i < N_CONTEXTS; i++) {
    lat_context_opts opts = LAT_CONTEXT_OPTS_INIT;
    opts.n_threads = thread_counts[i];
    if (lat_context_create(&opts, &contexts[i])) return 1;
  }
  return 0;
}

static int tear_down(void **state) {
  (void)state;
  for (int i = 0; i < N_CONTEXTS; i++) lat_context_destroy(contexts[i]);
  return 0;
}

static int64_t draw(problem *p, int64_t bound) {
  uint32_t words[4];
  lat_random_block(p->seed, 93, p->drawn++, words);
  return (int64_t)words[0] % bound;
}

static void *allocate(int64_t count, size_t bytes) {
  void *memory = calloc((size_t)count + 1, bytes);
  if (memory == NULL) fail_msg("out of memory");
  return memory;
}

static double load(lat_array_view view, int64_t i) {
  if (view.dtype == LAT_DTYPE_F16) return (double)lat_f16_to_f32(((const uint16_t *)view.data)[i]);
  if (view.dtype == LAT_DTYPE_BF16) return (double)lat_bf16_to_f32(((const uint16_t *)view.data)[i]);
  return (double)((const float *)view.data)[i];
}

static void *store(lat_dtype dtype, const double *values, int64_t count) {
  void *stored = allocate(count, sizeof(float));
  for (int64_t i = 0; i < count; i++) {
    if (dtype == LAT_DTYPE_F32) ((float *)stored)[i] = (float)values[i];
    if (dtype == LAT_DTYPE_F16) ((uint16_t *)stored)[i] = lat_f32_to_f16((float)values[i]);
    if (dtype == LAT_DTYPE_BF16) ((uint16_t *)stored)[i] = lat_f32_to_bf16((float)values[i]);
  }
  return stored;
}

static double *draw_values(problem *p, int64_t count) {
  double *values = allocate(count, sizeof(double));
  for (int64_t i = 0; i < count; i++) values[i] = 0.25 * (double)(draw(p, 9) - 4);
  return values;
}

static void draw_rows(problem *p) {
  const ref_box *box = &p->box;
  int64_t n_cells = box->items * box->extent[0] * box->extent[1] * box->extent[2], n_outside = draw(p, 4);
  p->rows = allocate(4 * (n_cells + n_outside), sizeof(int32_t));
  for (int64_t cell = 0; cell < n_cells; cell++) {
    if (draw(p, 2) == 0) continue;
    int64_t rest = cell;
    int32_t *row = p->rows + 4 * p->n++;
    for (int axis = 2; axis >= 0; axis--) {
      row[1 + axis] = (int32_t)(rest % box->extent[axis] + box->first[axis]);
      rest /= box->extent[axis];
    }
    row[0] = (int32_t)rest;
  }
  for (int64_t i = 0; i < n_outside; i++) {
    int32_t *row = p->rows + 4 * p->n++;
    for (int axis = 0; axis < 3; axis++) row[1 + axis] = (int32_t)box->first[axis];
    row[i] = i % 2 ? (int32_t)(box->first[i - 1] - 1) : i == 0 ? -1 : (int32_t)(box->first[1] + box->extent[1]);
  }
  for (int64_t i = p->n - 1; i > 0; i--) {
    int64_t j = draw(p, i + 1);
    int32_t kept[4];
    memcpy(kept, p->rows + 4 * i, sizeof kept);
    memcpy(p->rows + 4 * i, p->rows + 4 * j, sizeof kept);
    memcpy(p->rows + 4 * j, kept, sizeof kept);
  }
}

static problem make_problem(uint64_t seed) {
  static const lat_dtype dtypes[] = {LAT_DTYPE_F32, LAT_DTYPE_F16, LAT_DTYPE_BF16};
  problem p = {.seed = seed, .opts = LAT_DENSE_OPTS_INIT};
  int32_t extent[3], first[3];
  p.box.items = seed % 20 == 19 ? 70 : draw(&p, 3) + 1; // now and then many blocks of cells
  p.box.channels = draw(&p, 5);
  p.box.channels_first = (int)(seed % 2);
  p.box.fold = (int)(seed / 2 % 4);
  p.dtype = dtypes[draw(&p, 3)];
  for (int axis = 0; axis < 3; axis++) {
    extent[axis] = (int32_t)draw(&p, 6) + 1;
    first[axis] = (int32_t)draw(&p, 9) - 4;
    p.box.extent[axis] = extent[axis];
    p.box.first[axis] = first[axis];
  }
  p.opts.min_coord = (lat_triple){first[0], first[1], first[2]};
  p.opts.shape = (lat_triple){extent[0], extent[1], extent[2]};
  p.opts.batch_size = p.box.items;
  p.opts.layout = (lat_dense_layout)p.box.channels_first;
  p.opts.fold = (lat_dense_fold)p.box.fold;
  p.opts.outside = LAT_DENSE_OUTSIDE_DROP;
  draw_rows(&p);
  p.x = draw_values(&p, p.n * p.box.channels);
  p.stored = store(p.dtype, p.x, p.n * p.box.channels);
  return p;
}

static void free_problem(problem *p) {
  free(p->rows);
  free(p->x);
  free(p->stored);
}

static lat_tensor *make_tensor(const problem *p, lat_context *context) {
  lat_array_view rows = lat_view_2d(p->rows, LAT_DTYPE_I32, p->n, 4);
  lat_array_view feats = lat_view_2d(p->stored, p->dtype, p->n, p->box.channels);
  lat_coords *coords = NULL;
  lat_tensor *tensor = NULL;
  lat_test_assert_ok(lat_coords_create(context, &rows, NULL, &coords));
  lat_test_assert_ok(lat_tensor_create(context, coords, &feats, NULL, &tensor));
  lat_coords_release(coords);
  return tensor;
}

static void assert_values(lat_array_view view, const double *expected, int64_t count) {
  for (int64_t i = 0; i < count; i++) assert_true(load(view, i) == expected[i]);
}

/// Shape of the dense array, from its definition.
static lat_array_view dense_view(const problem *p, const void *data) {
  int64_t shape[5] = {p->box.items}, channels = p->box.channels;
  int32_t rank = 1;
  if (p->box.fold) channels *= p->box.extent[p->box.fold - 1];
  if (p->box.channels_first) shape[rank++] = channels;
  for (int axis = 0; axis < 3; axis++) {
    if (axis + 1 != p->box.fold) shape[rank++] = p->box.extent[axis];
  }
  if (!p->box.channels_first) shape[rank++] = channels;
  return lat_view(data, p->dtype, rank, shape);
}

static void to_dense_matches_the_reference(void **state) {
  (void)state;
  for (uint64_t seed = 0; seed < N_PROBLEMS; seed++) {
    problem p = make_problem(seed);
    int64_t size = ref_dense_size(&p.box);
    double *expected = allocate(size, sizeof(double)), *grad = draw_values(&p, size);
    double *back = allocate(p.n * p.box.channels, sizeof(double));
    void *stored = store(p.dtype, grad, size);
    lat_array_view grad_view = dense_view(&p, stored);
    ref_to_dense(&p.box, p.rows, p.n, p.x, expected);
    ref_read_dense(&p.box, p.rows, p.n, grad, back);
    for (int i = 0; i < N_CONTEXTS; i++) {
      lat_tensor *tensor = make_tensor(&p, contexts[i]);
      lat_array *dense = NULL, *dx = NULL;
      lat_test_assert_ok(lat_to_dense(contexts[i], tensor, &p.opts, &dense));
      lat_array_view view = lat_array_as_view(dense);
      assert_int_equal(view.rank, grad_view.rank);
      for (int axis = 0; axis < view.rank; axis++) assert_int_equal(view.shape[axis], grad_view.shape[axis]);
      assert_values(view, expected, size);
      lat_test_assert_ok(lat_to_dense_backward(contexts[i], tensor, &grad_view, &p.opts, &dx));
      assert_int_equal(lat_array_count(dx), p.n * p.box.channels);
      assert_values(lat_array_as_view(dx), back, p.n * p.box.channels);
      lat_array_release(dx);
      lat_array_release(dense);
      lat_tensor_release(tensor);
    }
    free(expected), free(grad), free(back), free(stored);
    free_problem(&p);
  }
}

/// from_dense on one context against the reference; with its gradient.
static void check_from_dense(const problem *p, lat_context *context, const double *dense, const lat_array_view *view,
                             const uint8_t *mask) {
  int64_t size = ref_dense_size(&p->box), channels = p->box.channels;
  int64_t n_cells = p->box.items * p->box.extent[0] * p->box.extent[1] * p->box.extent[2];
  int32_t *rows = allocate(4 * n_cells + 4, sizeof(int32_t));
  lat_dense_opts opts = p->opts;
  opts.batch_size = 0;
  opts.stride = (lat_triple){1, 2, 3};
  opts.mask = NULL;
  const int64_t mask_shape[4] = {p->box.items, p->box.extent[0], p->box.extent[1], p->box.extent[2]};
  lat_array_view mask_view = lat_view(mask, LAT_DTYPE_U8, 4, mask_shape);
  if (mask) opts.mask = &mask_view;
  if (!p->box.fold) opts.shape = (lat_triple){0, 0, 0};
  lat_tensor *made = NULL;
  lat_array *back = NULL;
  int64_t n = ref_dense_cells(&p->box, dense, mask, rows);
  double *x = allocate(n * channels, sizeof(double)), *g = allocate(n * channels, sizeof(double));
  double *expected = allocate(size, sizeof(double));
  ref_read_dense(&p->box, rows, n, dense, x);
  lat_test_assert_ok(lat_from_dense(context, view, &opts, &made));
  assert_int_equal(lat_tensor_count(made), n);
  assert_int_equal(lat_tensor_channels(made), channels);
  assert_int_equal(lat_tensor_batch_size(made), p->box.items);
  assert_int_equal(lat_tensor_stride(made).z, 3);
  if (n > 0) assert_memory_equal(lat_coords_rows(lat_tensor_coords(made)).data, rows, (size_t)n * 4 * sizeof *rows);
  assert_values(lat_tensor_feats(made), x, n * channels);
  for (int64_t i = 0; i < n * channels; i++) g[i] = 0.5 * (double)(i % 64) - 3.0;
  void *stored = store(p->dtype, g, n * channels);
  lat_array_view grad_view = lat_view_2d(stored, p->dtype, n, channels);
  lat_test_assert_ok(lat_from_dense_backward(context, view, made, &grad_view, &opts, &back));
  ref_to_dense(&p->box, rows, n, g, expected);
  assert_int_equal(lat_array_as_view(back).rank, view->rank);
  assert_int_equal(lat_array_count(back), size);
  assert_values(lat_array_as_view(back), expected, size);
  lat_array_release(back);
  lat_tensor_release(made);
  free(rows), free(x), free(g), free(expected), free(stored);
}

static void from_dense_matches_the_reference(void **state) {
  (void)state;
  for (uint64_t seed = 0; seed < N_PROBLEMS; seed++) {
    problem p = make_problem(seed);
    int64_t size = ref_dense_size(&p.box);
    int64_t n_cells = p.box.items * p.box.extent[0] * p.box.extent[1] * p.box.extent[2];
    double *dense = draw_values(&p, size);
    uint8_t *mask = allocate(n_cells, 1);
    for (int64_t i = 0; i < size; i++) dense[i] = draw(&p, 3) ? 0.0 : dense[i];
    for (int64_t i = 0; i < n_cells; i++) mask[i] = (uint8_t)(draw(&p, 3) * 100);
    void *stored = store(p.dtype, dense, size);
    lat_array_view view = dense_view(&p, stored);
    for (int i = 0; i < N_CONTEXTS; i++) {
      check_from_dense(&p, contexts[i], dense, &view, NULL);
      check_from_dense(&p, contexts[i], dense, &view, mask);
    }
    free(dense), free(mask), free(stored);
    free_problem(&p);
  }
}

// Each feature moved in turn: the gradient is the change of sum(grad * to_dense), exactly.
static void gradients_match_differences(void **state) {
  (void)state;
  for (uint64_t seed = 200; seed < 216; seed++) {
    problem p = make_problem(seed);
    int64_t size = ref_dense_size(&p.box);
    double *y = allocate(size, sizeof(double)), *grad = draw_values(&p, size);
    void *stored = store(p.dtype, grad, size);
    lat_array_view grad_view = dense_view(&p, stored);
    lat_tensor *tensor = make_tensor(&p, contexts[0]);
    lat_array *dx = NULL;
    lat_test_assert_ok(lat_to_dense_backward(contexts[0], tensor, &grad_view, &p.opts, &dx));
    for (int64_t i = 0; i < p.n * p.box.channels && i < 200; i++) {
      double sums[2] = {0.0, 0.0}, kept = p.x[i];
      for (int side = 0; side < 2; side++) {
        p.x[i] = side ? kept + 0.5 : kept - 0.5;
        ref_to_dense(&p.box, p.rows, p.n, p.x, y);
        for (int64_t j = 0; j < size; j++) sums[side] += grad[j] * y[j];
      }
      p.x[i] = kept;
      assert_true(load(lat_array_as_view(dx), i) == sums[1] - sums[0]);
    }
    lat_array_release(dx);
    lat_tensor_release(tensor);
    free(y), free(grad), free(stored);
    free_problem(&p);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(to_dense_matches_the_reference),
      cmocka_unit_test(from_dense_matches_the_reference),
      cmocka_unit_test(gradients_match_differences),
  };
  return cmocka_run_group_tests(tests, set_up, tear_down);
}
