// Packed weights against the naive reference: random shapes, layouts, strides, magnitudes and both dtypes; the error of
// unpacking; thread counts.
// covers: lat_quantize_weight lat_dequantize_weight
#include "support/test_support.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include <lattice/lattice.h>

#include "ref/ref_half.h"
#include "ref/ref_quant.h"

#define N_CONTEXTS 3

typedef struct problem {
  uint64_t seed;
  lat_dtype dtype;
  int32_t bits, group_size;
  lat_triple kernel;
  int64_t n_kernels, in_channels, out_channels;
  int32_t rank;
  float *rows; ///< (n_kernels, out_channels, in_channels): values that the dtype holds
  void *data;  ///< the same in the layout and dtype of the weight, with gaps
  lat_array_view view;
} problem;

static const int32_t thread_counts[N_CONTEXTS] = {1, 2, 5};
static lat_context *contexts[N_CONTEXTS];

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

static double draw_unit(uint64_t seed, uint64_t *n) {
  uint32_t words[4];
  lat_random_block(seed, 33, (*n)++, words);
  return (double)words[0] * 0x1p-32;
}

static int64_t draw(uint64_t seed, uint64_t *n, int64_t bound) {
  return (int64_t)(draw_unit(seed, n) * (double)bound);
}

// Rows of different kinds: any sign, one sign, constant, steps that hit ties, a far offset.
static void draw_rows(problem *p, uint64_t *n) {
  double magnitude = pow(10.0, (double)draw(p->seed, n, 8) - 4.0);
  for (int64_t row = 0; row < p->n_kernels * p->out_channels; row++) {
    int64_t kind = draw(p->seed, n, 6);
    for (int64_t c = 0; c < p->in_channels; c++) {
      double value = 2.0 * draw_unit(p->seed, n) - 1.0;
      if (kind == 1) value = fabs(value);
      if (kind == 2) value = -fabs(value);
      if (kind == 3) value = 0.7;
      if (kind == 4) value = rint(value * 30.0) / 32.0;
      if (kind == 5) value = 1.0 + value * 1e-6;
      value *= magnitude;
      p->rows[row * p->in_channels + c] = (float)(p->dtype == LAT_DTYPE_F16 ? ref_half_round(value) : value);
    }
  }
}

// Lays the rows out as rank 2, 3 or 5, with every second element of the memory unused.
static void lay_out(problem *p) {
  const int64_t k = p->n_kernels, ci = p->in_channels, co = p->out_channels;
  const int64_t linear[2] = {co, ci}, mapped[3] = {k, ci, co};
  const int64_t dense[5] = {co, p->kernel.x, p->kernel.y, p->kernel.z, ci};
  p->data = calloc((size_t)(2 * k * ci * co), sizeof(float));
  for (int64_t row = 0; row < k * co; row++) {
    for (int64_t c = 0; c < ci; c++) {
      int64_t kernel = row / co, channel = row % co;
      int64_t at = p->rank == 3 ? (kernel * ci + c) * co + channel : (channel * k + kernel) * ci + c;
      if (p->dtype == LAT_DTYPE_F16) {
        ((uint16_t *)p->data)[2 * at] = lat_f32_to_f16(p->rows[row * ci + c]);
      } else {
        ((float *)p->data)[2 * at] = p->rows[row * ci + c];
      }
    }
  }
  p->view = lat_view(p->data, p->dtype, p->rank, p->rank == 2 ? linear : p->rank == 3 ? mapped : dense);
  for (int axis = 0; axis < p->rank; axis++) p->view.stride[axis] *= 2;
}

static problem make_problem(uint64_t seed) {
  uint64_t n = 0;
  problem p = {.seed = seed, .kernel = {1, 1, 1}};
  p.dtype = draw(seed, &n, 2) ? LAT_DTYPE_F32 : LAT_DTYPE_F16;
  p.bits = draw(seed, &n, 2) ? 4 : 8;
  p.group_size = 32 << draw(seed, &n, 3);
  p.rank = (int32_t[]){2, 3, 5}[draw(seed, &n, 3)];
  if (p.rank > 2) p.kernel.x = 1 + (int32_t)draw(seed, &n, 4);
  if (p.rank == 5) p.kernel.y = 1 + (int32_t)draw(seed, &n, 3);
  if (p.rank == 5) p.kernel.z = 1 + (int32_t)draw(seed, &n, 3);
  p.n_kernels = (int64_t)p.kernel.x * p.kernel.y * p.kernel.z;
  p.in_channels = 1 + draw(seed, &n, 150);
  p.out_channels = 1 + draw(seed, &n, 20);
  p.rows = calloc((size_t)(p.n_kernels * p.in_channels * p.out_channels), sizeof(float));
  draw_rows(&p, &n);
  lay_out(&p);
  return p;
}

static double value_at(lat_array_view view, int64_t i) {
  if (view.dtype == LAT_DTYPE_F16) return (double)lat_f16_to_f32(((const uint16_t *)view.data)[i]);
  return (double)((const float *)view.data)[i];
}

static double stored(lat_dtype dtype, float value) {
  return dtype == LAT_DTYPE_F16 ? ref_half_round(value) : (double)value;
}

// Place of item `index` of `per_row` of (kernel, channel) in packed storage.
static int64_t place(const problem *p, int64_t row, int64_t per_row, int64_t index) {
  if (p->n_kernels == 1) return row * per_row + index;
  return (row / p->out_channels * per_row + index) * p->out_channels + row % p->out_channels;
}

// One group: codes, scale, bias and the unpacked values are the reference's; the error is at most half a step, or a
// whole one where the far end of the range was clamped.
static void check_group(const problem *p, const lat_quantized_info *info, lat_array_view dense, int64_t row,
                        int64_t g) {
  float values[128] = {0};
  unsigned codes[128];
  float scale, bias;
  const int64_t per_word = 32 / p->bits, first = g * p->group_size;
  const int64_t n_words = info->storage_in_channels / per_word, n_groups = info->storage_in_channels / p->group_size;
  for (int64_t c = 0; c < p->group_size && first + c < p->in_channels; c++) {
    values[c] = p->rows[row * p->in_channels + first + c];
  }
  ref_quantize_group(values, p->group_size, p->bits, codes, &scale, &bias);
  int64_t at = place(p, row, n_groups, g);
  double stored_scale = stored(p->dtype, scale), stored_bias = stored(p->dtype, bias);
  assert_true(value_at(info->scales, at) == stored_scale);
  assert_true(value_at(info->biases, at) == stored_bias);
  for (int64_t c = 0; c < p->group_size; c++) {
    int64_t channel = first + c;
    uint32_t word = ((const uint32_t *)info->words.data)[place(p, row, n_words, channel / per_word)];
    unsigned code = word >> (channel % per_word * p->bits) & ((1u << p->bits) - 1);
    assert_int_equal(code, codes[c]);
    if (channel >= p->in_channels) continue;
    int64_t kernel = row / p->out_channels, out = row % p->out_channels;
    int64_t i = p->rank == 3 ? (kernel * p->in_channels + channel) * p->out_channels + out
                             : (out * p->n_kernels + kernel) * p->in_channels + channel;
    double unpacked = value_at(dense, i);
    assert_true(unpacked == ref_dequantize(code, stored_scale, stored_bias, p->dtype == LAT_DTYPE_F16));
    int clamped = code == (1u << p->bits) - 1;
    double rounding = (p->dtype == LAT_DTYPE_F16 ? 0x1p-11 : 0x1p-24) *
                          (3.0 * fabs((double)bias) + 3.0 * code * fabs((double)scale)) +
                      0x1p-24 * (1.0 + code);
    assert_true(fabs(unpacked - (double)values[c]) <= (clamped ? 1.0 : 0.5) * fabs((double)scale) + rounding);
  }
}

static void assert_same_storage(const lat_quantized_info *a, const lat_quantized_info *b) {
  size_t n_words = (size_t)(a->words.shape[0] * a->words.shape[1] * a->words.shape[2]);
  size_t n_groups = (size_t)(a->scales.shape[0] * a->scales.shape[1] * a->scales.shape[2]);
  assert_int_equal(a->bytes, b->bytes);
  assert_memory_equal(a->words.data, b->words.data, n_words * sizeof(uint32_t));
  assert_memory_equal(a->scales.data, b->scales.data, n_groups * lat_dtype_bytes(a->scales.dtype));
  assert_memory_equal(a->biases.data, b->biases.data, n_groups * lat_dtype_bytes(a->scales.dtype));
}

static void random_weights_match_the_reference(void **state) {
  (void)state;
  for (uint64_t seed = 1; seed <= 150; seed++) {
    problem p = make_problem(seed);
    lat_quantize_opts opts = LAT_QUANTIZE_OPTS_INIT;
    lat_quantized_weight *packed[N_CONTEXTS];
    lat_quantized_info info[N_CONTEXTS];
    lat_array *dense[N_CONTEXTS];
    opts.bits = p.bits;
    opts.group_size = p.group_size;
    for (int i = 0; i < N_CONTEXTS; i++) {
      lat_test_assert_ok(lat_quantize_weight(contexts[i], &p.view, &opts, &packed[i]));
      lat_test_assert_ok(lat_dequantize_weight(contexts[i], packed[i], &dense[i]));
      info[i] = lat_quantized_weight_info(packed[i]);
      assert_same_storage(&info[0], &info[i]);
      assert_memory_equal(lat_array_data(dense[0]), lat_array_data(dense[i]),
                          (size_t)lat_array_count(dense[0]) * lat_dtype_bytes(p.dtype));
    }
    assert_int_equal(info[0].storage_in_channels % p.group_size, 0);
    assert_true(info[0].storage_in_channels - p.in_channels < p.group_size);
    for (int64_t row = 0; row < p.n_kernels * p.out_channels; row++) {
      for (int64_t g = 0; g < info[0].storage_in_channels / p.group_size; g++) {
        check_group(&p, &info[0], lat_array_as_view(dense[0]), row, g);
      }
    }
    for (int i = 0; i < N_CONTEXTS; i++) {
      lat_quantized_weight_release(packed[i]);
      lat_array_release(dense[i]);
    }
    free(p.rows);
    free(p.data);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(random_weights_match_the_reference)};
  return cmocka_run_group_tests(tests, set_up, tear_down);
}
