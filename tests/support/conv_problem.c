// Random convolution problems, see the header.
#include "support/conv_problem.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ref/ref_reach.h"
#include "ref/ref_relation.h"
#include "support/test_support.h"

/// splitmix64.
static uint64_t next_random(uint64_t *state) {
  uint64_t z = *state += 0x9E3779B97F4A7C15u;
  z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
  z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
  return z ^ (z >> 31);
}

int64_t conv_random_below(uint64_t *state, int64_t n) {
  return (int64_t)(next_random(state) >> 33) % n;
}

static void *allocate(int64_t n, size_t item_bytes) {
  void *memory = calloc((size_t)n + 1, item_bytes);
  if (!memory) fail_msg("no memory for a test problem");
  return memory;
}

/// A value that the dtype holds exactly.
static double random_value(uint64_t *state, lat_dtype dtype, bool integers) {
  if (integers) return (double)(conv_random_below(state, 7) - 3);
  float value = (float)((double)(next_random(state) >> 11) * 0x1p-52 - 1.0);
  if (dtype == LAT_DTYPE_F16) value = lat_f16_to_f32(lat_f32_to_f16(value));
  if (dtype == LAT_DTYPE_BF16) value = lat_bf16_to_f32(lat_f32_to_bf16(value));
  return (double)value;
}

static double *random_values(uint64_t *state, int64_t n, lat_dtype dtype, bool integers) {
  double *values = allocate(n, sizeof *values);
  for (int64_t i = 0; i < n; i++) values[i] = random_value(state, dtype, integers);
  return values;
}

/// Rows in a box around a corner that may be negative, in up to three batch items.
static int32_t *random_rows(uint64_t *state, int64_t n, int32_t extent, const int32_t corner[3]) {
  int32_t *rows = allocate(4 * n, sizeof *rows);
  for (int64_t r = 0; r < n; r++) {
    rows[4 * r] = (int32_t)conv_random_below(state, 3);
    for (int axis = 0; axis < 3; axis++) {
      rows[4 * r + 1 + axis] = corner[axis] + (int32_t)conv_random_below(state, extent);
    }
  }
  return rows;
}

static lat_triple random_triple(uint64_t *state, int32_t low, int32_t high) {
  lat_triple t = {low + (int32_t)conv_random_below(state, high - low + 1),
                  low + (int32_t)conv_random_below(state, high - low + 1),
                  low + (int32_t)conv_random_below(state, high - low + 1)};
  return t;
}

static void draw_geometry(uint64_t *state, const conv_problem_opts *opts, conv_problem *p) {
  lat_conv3d_opts *o = &p->opts;
  *o = (lat_conv3d_opts)LAT_CONV3D_OPTS_INIT;
  o->kernel_size = random_triple(state, 1, 4);
  o->dilation = random_triple(state, 1, 2);
  if (opts->submanifold) {
    o->kernel_size.x |= 1, o->kernel_size.y |= 1, o->kernel_size.z |= 1;
    if (o->kernel_size.x == 5 || o->kernel_size.y == 5) o->kernel_size.z = 1; // keep the volume small
  } else {
    if (opts->pointwise || conv_random_below(state, 5) == 0) o->kernel_size = lat_triple_all(1);
    if (!opts->pointwise && conv_random_below(state, 2)) o->stride = random_triple(state, 1, 3);
    if (!opts->pointwise && conv_random_below(state, 3) == 0) o->padding = random_triple(state, 1, 2);
  }
  p->volume = (int64_t)o->kernel_size.x * o->kernel_size.y * o->kernel_size.z;
}

/// Reach support in every third problem, with kernels that multiply rows little, and bounds where they may be given.
static void draw_support(uint64_t *state, conv_problem *p) {
  lat_conv3d_opts *o = &p->opts;
  if (conv_random_below(state, 3) != 0) return;
  int32_t *sizes[3] = {&o->kernel_size.x, &o->kernel_size.y, &o->kernel_size.z};
  for (uint64_t axis = 0; axis < 3; axis++) {
    int32_t most = axis == p->seed % 3 ? 4 : 2;
    if (*sizes[axis] > most) *sizes[axis] = most;
  }
  o->support = LAT_SUPPORT_REACH;
  if (conv_random_below(state, 2)) o->bounds = random_triple(state, 1, 9);
  p->volume = (int64_t)o->kernel_size.x * o->kernel_size.y * o->kernel_size.z;
}

static bool is_one(lat_triple t) {
  return t.x <= 1 && t.y <= 1 && t.z <= 1; // 0 stands for the default of strides
}

static bool is_zero(lat_triple t) {
  return t.x == 0 && t.y == 0 && t.z == 0;
}

static bool is_pointwise(const conv_problem *p) {
  return p->volume == 1 && is_one(p->opts.stride) && is_zero(p->opts.padding);
}

static void draw_rows(uint64_t *state, const conv_problem_opts *opts, conv_problem *p) {
  int32_t corner[3];
  int32_t extent = opts->large ? 10 : 2 + (int32_t)conv_random_below(state, 4);
  for (int axis = 0; axis < 3; axis++) corner[axis] = (int32_t)conv_random_below(state, 9) - 6;
  p->n = opts->large ? 900 + conv_random_below(state, 900) : conv_random_below(state, 60);
  int32_t *drawn = random_rows(state, p->n, extent, corner);
  // The identity form takes each row's own features, which the reference's lookup by coordinates cannot say.
  p->duplicates = !is_pointwise(p) && conv_random_below(state, 5) == 0;
  if (p->duplicates) {
    p->rows = drawn;
  } else {
    p->rows = allocate(4 * p->n, sizeof *p->rows);
    p->n = ref_unique_rows(drawn, p->n, p->rows, NULL);
    free(drawn);
  }
  if (!opts->submanifold && p->opts.bounds.x == 0 && conv_random_below(state, 4) == 0) {
    p->n_target = conv_random_below(state, 50);
    p->target = random_rows(state, p->n_target, extent + 2, corner);
  }
}

conv_problem conv_problem_create(uint64_t seed, conv_problem_opts opts) {
  uint64_t state = seed * 0x2545F4914F6CDD1Du + 77;
  conv_problem p = {.seed = seed};
  draw_geometry(&state, &opts, &p);
  if (!opts.submanifold) draw_support(&state, &p);
  draw_rows(&state, &opts, &p);
  int64_t max_channels = opts.large ? 9 : 70;
  p.c_in = 1 + conv_random_below(&state, max_channels);
  p.c_out = 1 + conv_random_below(&state, max_channels);
  static const lat_dtype dtypes[4] = {LAT_DTYPE_F32, LAT_DTYPE_F32, LAT_DTYPE_F16, LAT_DTYPE_BF16};
  p.dtype = dtypes[conv_random_below(&state, 4)];
  p.layout = (int)conv_random_below(&state, is_pointwise(&p) ? 3 : 2);
  p.has_bias = conv_random_below(&state, 2);
  p.x = random_values(&state, p.n * p.c_in, p.dtype, opts.integers);
  p.w = random_values(&state, p.volume * p.c_in * p.c_out, p.dtype, opts.integers);
  p.bias = random_values(&state, p.c_out, p.dtype, opts.integers);
  const lat_conv3d_opts *o = &p.opts;
  snprintf(p.text, sizeof p.text,
           "seed %llu: %lld rows, %lld to %lld channels, kernel (%d,%d,%d) stride (%d,%d,%d) padding (%d,%d,%d) %s "
           "layout %d%s%s%s",
           (unsigned long long)seed, (long long)p.n, (long long)p.c_in, (long long)p.c_out, (int)o->kernel_size.x,
           (int)o->kernel_size.y, (int)o->kernel_size.z, (int)o->stride.x, (int)o->stride.y, (int)o->stride.z,
           (int)o->padding.x, (int)o->padding.y, (int)o->padding.z, lat_dtype_name(p.dtype), p.layout,
           p.target ? ", target" : "", o->support ? ", reach" : "", o->bounds.x ? ", bounds" : "");
  return p;
}

void conv_problem_free(conv_problem *p) {
  free(p->rows);
  free(p->target);
  free(p->x);
  free(p->w);
  free(p->bias);
  memset(p, 0, sizeof *p);
}

/// `n` values in a malloc'ed buffer of the dtype.
static void *narrow(const double *values, int64_t n, lat_dtype dtype) {
  void *out = allocate(n, sizeof(float));
  for (int64_t i = 0; i < n; i++) {
    if (dtype == LAT_DTYPE_F16) {
      ((uint16_t *)out)[i] = lat_f32_to_f16((float)values[i]);
    } else if (dtype == LAT_DTYPE_BF16) {
      ((uint16_t *)out)[i] = lat_f32_to_bf16((float)values[i]);
    } else {
      ((float *)out)[i] = (float)values[i];
    }
  }
  return out;
}

static lat_coords *make_coords(lat_context *context, const int32_t *rows, int64_t n, lat_triple stride) {
  lat_coords *coords = NULL;
  lat_coords_opts opts = LAT_COORDS_OPTS_INIT;
  opts.stride = stride;
  lat_array_view view = lat_view_2d(rows, LAT_DTYPE_I32, n, 4);
  lat_test_assert_ok(lat_coords_create(context, &view, &opts, &coords));
  return coords;
}

static lat_array_view weight_view(const conv_problem *p, const void *data) {
  lat_triple k = p->opts.kernel_size;
  const int64_t shapes[3][5] = {
      {p->c_out, k.x, k.y, k.z, p->c_in}, {p->volume, p->c_in, p->c_out}, {p->c_out, p->c_in}};
  static const int32_t ranks[3] = {5, 3, 2};
  return lat_view(data, p->dtype, ranks[p->layout], shapes[p->layout]);
}

lat_tensor *conv_problem_run(lat_context *context, const conv_problem *p, const int32_t *rows, int64_t n,
                             const double *x, bool submanifold) {
  void *feats = narrow(x, n * p->c_in, p->dtype), *w = narrow(p->w, p->volume * p->c_in * p->c_out, p->dtype);
  // A bias of the other dtype now and then: its values are exact in both when the features are 16 bits wide.
  lat_dtype bias_dtype = p->dtype != LAT_DTYPE_F32 && p->seed % 2 ? LAT_DTYPE_F32 : p->dtype;
  void *bias = narrow(p->bias, p->c_out, bias_dtype);
  lat_conv3d_opts opts = p->opts;
  lat_coords *coords = make_coords(context, rows, n, lat_triple_all(1)), *target = NULL;
  if (p->target) {
    lat_triple stride = is_zero(opts.stride) ? lat_triple_all(1) : opts.stride;
    target = make_coords(context, p->target, p->n_target, stride);
    opts.coordinates = target;
  }
  lat_array_view view = lat_view_2d(feats, p->dtype, n, p->c_in), bias_view = lat_view_1d(bias, bias_dtype, p->c_out);
  lat_weight weight = lat_weight_dense(weight_view(p, w));
  lat_tensor *tensor = NULL, *y = NULL;
  lat_test_assert_ok(lat_tensor_create(context, coords, &view, NULL, &tensor));
  const lat_array_view *bias_or_none = p->has_bias ? &bias_view : NULL;
  if (submanifold) {
    lat_test_assert_ok(lat_subm_conv3d(context, tensor, &weight, bias_or_none, &opts, &y));
  } else {
    lat_test_assert_ok(lat_conv3d(context, tensor, &weight, bias_or_none, &opts, &y));
  }
  lat_tensor_release(tensor);
  lat_coords_release(coords);
  lat_coords_release(target);
  free(feats);
  free(w);
  free(bias);
  return y;
}

double conv_problem_value(const lat_tensor *y, int64_t index) {
  const void *data = lat_tensor_feats(y).data;
  if (lat_tensor_dtype(y) == LAT_DTYPE_F16) return (double)lat_f16_to_f32(((const uint16_t *)data)[index]);
  if (lat_tensor_dtype(y) == LAT_DTYPE_BF16) return (double)lat_bf16_to_f32(((const uint16_t *)data)[index]);
  return (double)((const float *)data)[index];
}

static void to_array(lat_triple t, int32_t zero_means, int32_t out[3]) {
  out[0] = t.x ? t.x : zero_means;
  out[1] = t.y ? t.y : zero_means;
  out[2] = t.z ? t.z : zero_means;
}

ref_reach conv_problem_reach(const conv_problem *p) {
  ref_reach reach;
  to_array(p->opts.kernel_size, 3, reach.size);
  to_array(p->opts.stride, 1, reach.stride);
  to_array(p->opts.padding, 0, reach.padding);
  to_array(p->opts.dilation, 1, reach.dilation);
  to_array(p->opts.bounds, 0, reach.bounds);
  return reach;
}

/// The output rows that the rules ask for, malloc'ed.
static int32_t *expected_rows(const conv_problem *p, int64_t *n) {
  const int32_t stride[3] = {p->opts.stride.x ? p->opts.stride.x : 1, p->opts.stride.y ? p->opts.stride.y : 1,
                             p->opts.stride.z ? p->opts.stride.z : 1};
  const int32_t *source = p->target ? p->target : p->rows;
  if (p->opts.support == LAT_SUPPORT_REACH && !p->target && !is_pointwise(p)) {
    ref_reach reach = conv_problem_reach(p);
    int32_t *reached = NULL;
    *n = ref_reach_support(p->rows, p->n, &reach, &reached);
    return reached;
  }
  *n = p->target ? p->n_target : p->n;
  int32_t *rows = allocate(4 * *n, sizeof *rows);
  bool keeps = is_one(p->opts.stride) && is_zero(p->opts.padding);
  if (p->target || keeps) {
    memcpy(rows, source, (size_t)(4 * *n) * sizeof *rows);
  } else {
    *n = ref_floor_support(p->rows, p->n, stride, rows);
  }
  return rows;
}

void conv_problem_check(const conv_problem *p, const lat_tensor *y, bool exact) {
  int64_t n_out = 0;
  int32_t *rows = expected_rows(p, &n_out);
  if (lat_tensor_count(y) != n_out) fail_msg("%s: got %lld rows", p->text, (long long)lat_tensor_count(y));
  if (memcmp(rows, lat_coords_rows(lat_tensor_coords(y)).data, (size_t)n_out * 16) != 0) {
    fail_msg("%s: other output rows", p->text);
  }
  ref_conv ref = {.in = p->rows,
                  .out = rows,
                  .n_in = p->n,
                  .n_out = n_out,
                  .c_in = p->c_in,
                  .c_out = p->c_out,
                  .x = p->x,
                  .w = p->w,
                  .bias = p->has_bias ? p->bias : NULL,
                  .from_zero = p->opts.support == LAT_SUPPORT_REACH,
                  .layout = p->layout == 1 ? REF_WEIGHT_KERNEL_IN_OUT : REF_WEIGHT_OUT_KERNEL_IN};
  to_array(p->opts.kernel_size, 3, ref.size);
  to_array(p->opts.stride, 1, ref.stride);
  to_array(p->opts.padding, 0, ref.padding);
  to_array(p->opts.dilation, 1, ref.dilation);
  double *expected = allocate(n_out * p->c_out, sizeof *expected),
         *magnitude = allocate(n_out * p->c_out, sizeof *magnitude);
  int64_t *terms = allocate(n_out * p->c_out, sizeof *terms);
  ref_conv3d(&ref, expected, magnitude, terms);
  assert_int_equal(lat_tensor_channels(y), p->c_out);
  for (int64_t i = 0; i < n_out * p->c_out; i++) {
    double bound = exact ? 0.0 : sqrt((double)terms[i]) * 0x1p-23 * magnitude[i];
    if (!exact && p->dtype == LAT_DTYPE_F16) bound += 0x1p-11 * (fabs(expected[i]) + bound) + 0x1p-25;
    if (!exact && p->dtype == LAT_DTYPE_BF16) bound += 0x1p-8 * (fabs(expected[i]) + bound);
    double got = conv_problem_value(y, i);
    if (!(fabs(got - expected[i]) <= bound)) {
      fail_msg("%s: element %lld: got %.9g, expected %.9g within %.3g", p->text, (long long)i, got, expected[i], bound);
    }
  }
  free(rows);
  free(expected);
  free(magnitude);
  free(terms);
}

void conv_problem_assert_same(const conv_problem *p, const lat_tensor *a, const lat_tensor *b, const char *what) {
  int64_t n = lat_tensor_count(a), channels = lat_tensor_channels(a);
  bool same =
      lat_tensor_count(b) == n && lat_tensor_channels(b) == channels && lat_tensor_dtype(a) == lat_tensor_dtype(b);
  size_t bytes = (size_t)(n * channels) * lat_dtype_bytes(lat_tensor_dtype(a));
  same = same && memcmp(lat_coords_rows(lat_tensor_coords(a)).data, lat_coords_rows(lat_tensor_coords(b)).data,
                        (size_t)n * 16) == 0;
  same = same && memcmp(lat_tensor_feats(a).data, lat_tensor_feats(b).data, bytes) == 0;
  if (!same) fail_msg("%s: differs: %s", p->text, what);
}
