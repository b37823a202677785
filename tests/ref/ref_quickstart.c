// The walk of examples/quickstart.c a second time, as naively as it can be said: double precision, loops over all pairs
// of rows, nothing shared with src/. Weights are drawn by a Philox generator of its own from what array.h documents.
//
// Where the two may differ. Both round each result once to its dtype, the library from a float32 sum, this file from a
// double one. The two sums differ by far less than the spacing of float16, so at most the neighbouring float16 number
// comes out, one ulp away (float32: a few ulps, the error of a short float32 sum). Each operation that rounds adds one
// such step to the error of its result (`table.error`, relative to the largest magnitude); a result that needs no
// rounding adds none, so the integer-valued results must match exactly. Roundings of different elements are
// independent, hence a sum of n elements is off by sqrt(n) steps.

#include "ref/ref_quickstart.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define F16_STEP 0x1p-10
#define F32_STEP 0x1p-20
#define PRINT_STEP 1e-8 // nine digits are printed
#define MAX_ROWS 16

/// Feature rows, and the coordinates they stand on (none for dense arrays).
typedef struct table {
  int64_t rows, columns;
  int half; ///< float16, else float32
  double error;
  int n_coords;
  int32_t coords[MAX_ROWS][4];
  int stride;             ///< 0: a dense array
  double v[32 * 27 * 16]; // the longest of them is a weight
} table;

typedef struct writer {
  ref_line *lines;
  int n, max;
} writer;

// --- numbers ---

static double round_to_half(double value) {
  int exponent = 0;
  if (value == 0.0) return value;
  frexp(value, &exponent);
  int quantum = exponent - 11 < -24 ? -24 : exponent - 11; // of the 11 significant bits, or of the subnormals
  return ldexp(nearbyint(ldexp(value, -quantum)), quantum);
}

static double round_to(int half, double value) {
  return half ? round_to_half(value) : (double)(float)value;
}

/// Rounds the elements to the table's dtype; the first one that changes makes the error one step larger.
static void round_table(table *t) {
  int changed = 0;
  for (int64_t i = 0; i < t->rows * t->columns; i++) {
    double rounded = round_to(t->half, t->v[i]);
    changed = changed || rounded != t->v[i];
    t->v[i] = rounded;
  }
  if (changed) t->error += t->half ? F16_STEP : F32_STEP;
}

/// Philox 4x32-10, word `i mod 4` of block `i / 4`, as in Salmon et al. 2011.
static uint32_t philox_word(uint64_t seed, uint64_t stream, uint64_t i) {
  uint32_t counter[4] = {(uint32_t)(i / 4), (uint32_t)(i / 4 >> 32), (uint32_t)stream, (uint32_t)(stream >> 32)};
  uint32_t key[2] = {(uint32_t)seed, (uint32_t)(seed >> 32)};
  for (int round = 0; round < 10; round++) {
    uint64_t a = counter[0] * UINT64_C(0xD2511F53), b = counter[2] * UINT64_C(0xCD9E8D57);
    uint32_t next[4] = {(uint32_t)(b >> 32) ^ counter[1] ^ key[0], (uint32_t)b,
                        (uint32_t)(a >> 32) ^ counter[3] ^ key[1], (uint32_t)a};
    memcpy(counter, next, sizeof next);
    key[0] += UINT32_C(0x9E3779B9);
    key[1] += UINT32_C(0xBB67AE85);
  }
  return counter[i % 4];
}

/// `n` uniform draws from [-bound, bound), float32, then rounded to float16 when `half`.
static double *draw(uint64_t seed, uint64_t stream, int64_t n, double bound, int half) {
  double *v = malloc((size_t)n * sizeof *v);
  for (int64_t i = 0; i < n; i++) {
    float value = (float)(-bound + philox_word(seed, stream, (uint64_t)i) / 4294967296.0 * (2.0 * bound));
    if ((double)value >= bound) value = nextafterf((float)bound, -INFINITY);
    v[i] = half ? round_to_half((double)value) : (double)value;
  }
  return v;
}

// --- the lines ---

static ref_line *next_line(writer *w) {
  static ref_line dropped;
  ref_line *line = w->n < w->max ? &w->lines[w->n] : &dropped;
  w->n++;
  memset(line, 0, sizeof *line);
  return line;
}

static void say(ref_line *line, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void say(ref_line *line, const char *format, ...) {
  size_t used = strlen(line->text);
  va_list arguments;
  va_start(arguments, format);
  vsnprintf(line->text + used, sizeof line->text - used, format, arguments);
  va_end(arguments);
}

static void expect_number(ref_line *line, const char *name, double value, double tolerance) {
  say(line, " %s=#", name);
  line->value[line->n_numbers] = value;
  line->tolerance[line->n_numbers++] = tolerance + PRINT_STEP * fabs(value);
}

static void expect_checksums(ref_line *line, const table *t) {
  double sum = 0.0, magnitude = 0.0, mix = 0.0, largest = 0.0, mix_squares = 0.0;
  int64_t n = t->rows * t->columns;
  for (int64_t i = 0; i < n; i++) {
    double factor = (double)(i % 7 + 1);
    sum += t->v[i];
    magnitude += fabs(t->v[i]);
    mix += factor * t->v[i];
    mix_squares += factor * factor;
    largest = fmax(largest, fabs(t->v[i]));
  }
  double step = t->error * largest;
  expect_number(line, "sum", sum, step * sqrt((double)n));
  expect_number(line, "abs", magnitude, step * sqrt((double)n));
  expect_number(line, "mix", mix, step * sqrt(mix_squares));
  expect_number(line, "first", t->v[0], step);
}

static void expect_table(writer *w, const char *name, const table *t) {
  ref_line *line = next_line(w);
  say(line, "%s: (%lld, %lld) %s", name, (long long)t->rows, (long long)t->columns, t->half ? "float16" : "float32");
  if (t->stride) say(line, " stride (%d,%d,%d)", t->stride, t->stride, t->stride);
  expect_checksums(line, t);
}

static void expect_coords(writer *w, const char *name, const table *t) {
  ref_line *line = next_line(w);
  say(line, "%s:", name);
  for (int64_t r = 0; r < t->rows; r++) {
    say(line, " (%d,%d,%d,%d)", t->coords[r][0], t->coords[r][1], t->coords[r][2], t->coords[r][3]);
  }
}

static void expect_text(writer *w, const char *text) {
  say(next_line(w), "%s", text);
}

static void expect_list(writer *w, const char *name, const double *values, int n) {
  ref_line *line = next_line(w);
  say(line, "%s:", name);
  for (int i = 0; i < n; i++) say(line, " %.9g", values[i]);
}

// --- tables ---

static table *table_new(int64_t rows, int64_t columns, int half, double value) {
  table *t = calloc(1, sizeof *t);
  t->rows = rows;
  t->columns = columns;
  t->half = half;
  for (int64_t i = 0; i < rows * columns; i++) t->v[i] = value;
  return t;
}

/// A table on the support of `like`, with its error.
static table *table_on(const table *like, int64_t columns, int half) {
  table *t = table_new(like->rows, columns, half, 0.0);
  memcpy(t->coords, like->coords, sizeof t->coords);
  t->stride = like->stride;
  t->error = like->error;
  return t;
}

static int add_coords(table *t, int32_t batch, int32_t x, int32_t y, int32_t z) {
  const int32_t row[4] = {batch, x, y, z};
  for (int i = 0; i < t->n_coords; i++) {
    if (memcmp(t->coords[i], row, sizeof row) == 0) return i;
  }
  memcpy(t->coords[t->n_coords], row, sizeof row);
  return t->n_coords++;
}

static int32_t floor_half(int32_t value) {
  return (int32_t)floor(value / 2.0);
}

/// Whether input row `in` lies under element `k` of a centred 3x3x3 kernel at output row `out`.
static int meets(const int32_t in[4], const int32_t out[4], int stride, int k) {
  return in[0] == out[0] && in[1] == out[1] * stride + k / 9 - 1 && in[2] == out[2] * stride + k / 3 % 3 - 1 &&
         in[3] == out[3] * stride + k % 3 - 1;
}

// --- operations ---

/// 3x3x3 convolution at stride 1 on the rows of x. `w` is (C_out, 27, C_in), or NULL for ones.
static table *convolve(const table *x, const double *w, int64_t c_out) {
  table *y = table_on(x, c_out, x->half);
  for (int64_t o = 0; o < y->rows; o++) {
    for (int64_t i = 0; i < x->rows; i++) {
      for (int k = 0; k < 27; k++) {
        if (!meets(x->coords[i], y->coords[o], 1, k)) continue;
        for (int64_t co = 0; co < c_out; co++) {
          for (int64_t ci = 0; ci < x->columns; ci++) {
            double weight = w ? w[(co * 27 + k) * x->columns + ci] : 1.0;
            y->v[o * c_out + co] += x->v[i * x->columns + ci] * weight;
          }
        }
      }
    }
  }
  round_table(y);
  return y;
}

/// `w` is (C_out, C_in), or NULL for ones.
static table *project(const table *x, const double *w, int64_t c_out) {
  table *y = table_on(x, c_out, x->half);
  for (int64_t r = 0; r < x->rows; r++) {
    for (int64_t co = 0; co < c_out; co++) {
      for (int64_t ci = 0; ci < x->columns; ci++) {
        y->v[r * c_out + co] += x->v[r * x->columns + ci] * (w ? w[co * x->columns + ci] : 1.0);
      }
    }
  }
  round_table(y);
  return y;
}

/// (x - mean) / sqrt(variance + 1e-5) over `n` elements that are `step` apart.
static void normalize(const double *x, double *y, int64_t n, int64_t step) {
  double mean = 0.0, variance = 0.0;
  for (int64_t i = 0; i < n; i++) mean += x[i * step] / (double)n;
  for (int64_t i = 0; i < n; i++) variance += (x[i * step] - mean) * (x[i * step] - mean) / (double)n;
  for (int64_t i = 0; i < n; i++) y[i * step] = (x[i * step] - mean) / sqrt(variance + 1e-5);
}

static table *batch_norm(const table *x, int half) {
  table *y = table_on(x, x->columns, half);
  for (int64_t c = 0; c < x->columns; c++) normalize(x->v + c, y->v + c, x->rows, x->columns);
  round_table(y);
  return y;
}

static table *layer_norm(const table *x, int half) {
  table *y = table_on(x, x->columns, half);
  for (int64_t r = 0; r < x->rows; r++) normalize(x->v + r * x->columns, y->v + r * x->columns, x->columns, 1);
  round_table(y);
  return y;
}

static table *rms_norm(const table *x, int half) {
  table *y = table_on(x, x->columns, half);
  for (int64_t r = 0; r < x->rows; r++) {
    const double *row = x->v + r * x->columns;
    double square = 0.0;
    for (int64_t c = 0; c < x->columns; c++) square += row[c] * row[c] / (double)x->columns;
    for (int64_t c = 0; c < x->columns; c++) y->v[r * x->columns + c] = row[c] / sqrt(square + 1e-5);
  }
  round_table(y);
  return y;
}

static double relu(double v) {
  return fmax(v, 0.0);
}

static double gelu_tanh(double v) {
  return 0.5 * v * (1.0 + tanh(sqrt(2.0 / acos(-1.0)) * (v + 0.044715 * v * v * v)));
}

static double twice(double v) {
  return v + v;
}

static table *map(const table *x, double (*function)(double)) {
  table *y = table_on(x, x->columns, x->half);
  for (int64_t i = 0; i < x->rows * x->columns; i++) y->v[i] = function(x->v[i]);
  round_table(y);
  return y;
}

/// Maximum or average over the rows under a 3x3x3 kernel at stride 2, in float32.
static table *pool(const table *x, int maximum) {
  table *y = table_new(0, x->columns, 0, 0.0);
  y->stride = 2 * x->stride;
  y->error = x->error;
  for (int64_t i = 0; i < x->rows; i++) {
    const int32_t *in = x->coords[i];
    add_coords(y, in[0], floor_half(in[1]), floor_half(in[2]), floor_half(in[3]));
  }
  y->rows = y->n_coords;
  for (int64_t o = 0; o < y->rows; o++) {
    for (int64_t c = 0; c < x->columns; c++) {
      double sum = 0.0, largest = -INFINITY, n = 0.0;
      for (int64_t i = 0; i < x->rows; i++) {
        for (int k = 0; k < 27; k++) {
          if (!meets(x->coords[i], y->coords[o], 2, k)) continue;
          sum += x->v[i * x->columns + c];
          largest = fmax(largest, x->v[i * x->columns + c]);
          n += 1.0;
        }
      }
      y->v[o * x->columns + c] = maximum ? largest : sum / n;
    }
  }
  round_table(y);
  return y;
}

/// Average of all rows: the walk has one batch item.
static table *average_rows(const table *x) {
  table *y = table_new(1, x->columns, x->half, 0.0);
  y->error = x->error;
  for (int64_t r = 0; r < x->rows; r++) {
    for (int64_t c = 0; c < x->columns; c++) y->v[c] += x->v[r * x->columns + c] / (double)x->rows;
  }
  round_table(y);
  return y;
}

static table *join_columns(const table *a, const table *b) {
  table *y = table_on(a, a->columns + b->columns, a->half);
  for (int64_t r = 0; r < a->rows; r++) {
    memcpy(y->v + r * y->columns, a->v + r * a->columns, (size_t)a->columns * sizeof(double));
    memcpy(y->v + r * y->columns + a->columns, b->v + r * b->columns, (size_t)b->columns * sizeof(double));
  }
  return y;
}

/// Affine codes of `n` values that share a scale and a bias, in float32 as the format defines it; on return `w` holds
/// what the codes stand for in the dtype of the weight.
static void requantize_group(double *w, int n, int bits, int half) {
  float levels = (float)((1 << bits) - 1), low = (float)w[0], high = (float)w[0];
  for (int i = 1; i < n; i++) {
    low = fminf(low, (float)w[i]);
    high = fmaxf(high, (float)w[i]);
  }
  int from_low = fabsf(low) > fabsf(high);
  float scale = fmaxf((high - low) / levels, 1e-7f), edge = from_low ? low : high, bias = 0.0f;
  if (!from_low) scale = -scale;
  float q0 = rintf(edge / scale);
  if (q0 != 0.0f) {
    scale = edge / q0;
    bias = edge;
  }
  for (int i = 0; i < n; i++) {
    float code = fminf(fmaxf(rintf(((float)w[i] - bias) / scale), 0.0f), levels);
    w[i] = round_to(half, round_to(half, (double)code * round_to(half, (double)scale)) + round_to(half, (double)bias));
  }
}

/// Replaces `n_rows` rows of 16 input channels (padded to one group of 32) by what their packed form stands for.
static void requantize(double *w, int64_t n_rows, int bits, int half) {
  for (int64_t r = 0; r < n_rows; r++) {
    double group[32] = {0};
    memcpy(group, w + 16 * r, 16 * sizeof *group);
    requantize_group(group, 32, bits, half);
    memcpy(w + 16 * r, group, 16 * sizeof *group);
  }
}

// --- the sections ---

static table *section_create(writer *w) {
  table *x = table_new(4, 16, 1, 1.0);
  x->stride = 1;
  add_coords(x, 0, 0, 0, 0);
  add_coords(x, 0, 1, 0, 0);
  add_coords(x, 0, 1, 1, 0);
  add_coords(x, 0, 2, 1, 0);
  expect_coords(w, "x coords", x);
  expect_table(w, "x", x);
  return x;
}

static void section_convolution(writer *w, const table *x) {
  table *y = convolve(x, NULL, 32);
  double column[4];
  for (int r = 0; r < 4; r++) column[r] = y->v[32 * r];
  expect_table(w, "conv3d y", y);
  expect_table(w, "subm_conv3d z", y); // at stride 1 the forward support is the input's
  expect_text(w, "z shares the coordinates of x: yes");
  expect_list(w, "z column 0", column, 4);
  expect_table(w, "conv3d y_target", y); // the same rows once more
  expect_text(w, "y_target shares the coordinates of x: no");
  expect_table(w, "conv3d y_own", y);
  expect_text(w, "y_own shares the coordinates of x: yes");
  free(y);
}

/// The stream of a parameter: FNV-1a of its name.
static uint64_t stream_of(const char *name) {
  uint64_t hash = UINT64_C(0xcbf29ce484222325);
  for (; *name; name++) hash = (hash ^ (unsigned char)*name) * UINT64_C(0x100000001b3);
  return hash;
}

static table *section_modules(writer *w, const table *x, uint64_t seed) {
  double *conv = draw(seed, stream_of("0.weight"), 32 * 27 * 16, sqrt(1.0 / (16 * 27)), 1);
  double *subm = draw(seed, stream_of("3.weight"), 32 * 27 * 32, sqrt(1.0 / (32 * 27)), 1);
  table *h0 = convolve(x, conv, 32), *h1 = batch_norm(h0, 1), *h2 = map(h1, relu), *h3 = convolve(h2, subm, 32);
  table *h4 = layer_norm(h3, 1);
  expect_table(w, "block Conv3d", h0);
  expect_table(w, "block BatchNorm", h1);
  expect_table(w, "block ReLU", h2);
  expect_table(w, "block SubmConv3d", h3);
  expect_table(w, "block LayerNorm", h4);
  free(h3);
  free(h2);
  free(h1);
  free(h0);
  free(subm);
  free(conv);
  return h4;
}

static void section_pooling(writer *w, const table *h) {
  table *pooled = pool(h, 1), *pooled_avg = pool(h, 0), *summary = average_rows(pooled);
  expect_coords(w, "max_pool3d coords", pooled);
  expect_table(w, "max_pool3d pooled", pooled);
  expect_table(w, "avg_pool3d pooled_avg", pooled_avg);
  expect_table(w, "global_avg_pool summary", summary);
  free(summary);
  free(pooled_avg);
  free(pooled);
}

static void section_features_and_algebra(writer *w, const table *x) {
  table *h0 = map(x, relu), *h1 = map(h0, gelu_tanh), *h2 = layer_norm(h1, 0), *h3 = rms_norm(h2, 0);
  table *h4 = project(h3, NULL, 32), *residual = map(h4, twice), *merged = join_columns(h4, residual);
  expect_table(w, "relu h", h0);
  expect_table(w, "gelu h", h1);
  expect_table(w, "layer_norm h", h2);
  expect_table(w, "rms_norm h", h3);
  expect_table(w, "linear h", h4);
  expect_table(w, "sparse_add residual", residual);
  expect_table(w, "sparse_cat_aligned merged", merged);
  free(merged);
  free(residual);
  free(h4);
  free(h3);
  free(h2);
  free(h1);
  free(h0);
}

/// Each point is alone in its voxel, so the voxels have the points' features, ones.
static void section_points(writer *w) {
  static const float points[3][3] = {{0.05f, 0.05f, 0.05f}, {0.12f, 0.08f, 0.05f}, {1.10f, 0.95f, 0.80f}};
  table *voxels = table_new(0, 8, 0, 1.0), *again = table_new(3, 8, 0, 0.0);
  voxels->stride = 1;
  for (int p = 0; p < 3; p++) {
    int32_t at[3]; // positions are float32 by definition
    for (int a = 0; a < 3; a++) at[a] = (int32_t)floorf(points[p][a] / 0.1f);
    add_coords(voxels, 0, at[0], at[1], at[2]);
  }
  voxels->rows = voxels->n_coords;
  for (int64_t i = 0; i < voxels->rows * 8; i++) voxels->v[i] = 1.0;
  for (int p = 0; p < 3; p++) {
    for (int64_t r = 0; r < voxels->rows; r++) {
      double weight = 1.0;
      for (int a = 0; a < 3; a++) {
        float q = points[p][a] / 0.1f;
        weight *= fmax(0.0, 1.0 - fabs((double)q - voxels->coords[r][a + 1]));
      }
      for (int c = 0; c < 8; c++) again->v[8 * p + c] += weight;
    }
  }
  round_table(again);
  expect_coords(w, "voxelize coords", voxels);
  expect_table(w, "voxelize voxels", voxels);
  expect_table(w, "devoxelize point_features_again", again);
  free(again);
  free(voxels);
}

static void expect_packed(writer *w, const char *name, const double *weight, int64_t n_rows, int bits, int half) {
  ref_line *line = next_line(w);
  long long words = n_rows * 32 * bits / 8, parameters = n_rows * 2 * (half ? 2 : 4);
  say(line, "%s: bits %d group 32 in 16 stored 32 out 32 bytes %lld", name, bits, words + parameters);
  table *t = table_new(n_rows, 16, half, 0.0);
  memcpy(t->v, weight, (size_t)n_rows * 16 * sizeof *weight);
  t->error = half ? 0.0 : F32_STEP; // float16 is emulated step by step
  line = next_line(w);
  say(line, n_rows > 32 ? "  dequantized: (32, 3, 3, 3, 16) %s" : "  dequantized: (32, 16) %s",
      half ? "float16" : "float32");
  expect_checksums(line, t);
  free(t);
}

static void section_quantized(writer *w, const table *x, uint64_t seed) {
  double *dense = draw(seed, 3, 32 * 16, 1.0, 1);
  double *conv = draw(seed, 4, 32 * 27 * 16, sqrt(1.0 / (16 * 27)), 0);
  double *linear = draw(seed, 5, 32 * 16, sqrt(1.0 / 16), 0);
  requantize(dense, 32, 8, 1);
  requantize(conv, 32 * 27, 4, 0);
  requantize(linear, 32, 8, 0);
  table *qy = convolve(x, conv, 32), *qh = project(x, linear, 32);
  expect_packed(w, "packed_linear_weight", dense, 32, 8, 1);
  expect_packed(w, "quantized_conv", conv, 32 * 27, 4, 0);
  expect_table(w, "quantized_conv qy", qy);
  expect_packed(w, "qlinear", linear, 32, 8, 0);
  expect_table(w, "qlinear qh", qh);
  free(qh);
  free(qy);
  free(linear);
  free(conv);
  free(dense);
}

static void section_kernel_relation(writer *w, const table *x) {
  double in[64], out[64], kernel[64];
  int n = 0;
  for (int o = 0; o < 4; o++) {
    for (int k = 0; k < 27; k++) {
      for (int i = 0; i < 4; i++) {
        if (!meets(x->coords[i], x->coords[o], 1, k)) continue;
        in[n] = i;
        out[n] = o;
        kernel[n++] = k;
      }
    }
  }
  expect_list(w, "relation in_rows", in, n);
  expect_list(w, "relation out_rows", out, n);
  expect_list(w, "relation kernel_ids", kernel, n);
}

static double squared_distance(const int32_t a[4], const int32_t b[4]) {
  double x = a[1] - b[1], y = a[2] - b[2], z = a[3] - b[3];
  return x * x + y * y + z * z;
}

static void section_neighbours(writer *w, const table *x) {
  double query[16], source[16], id[16], distance[16];
  int n = 0;
  for (int q = 0; q < 4; q++) {
    int first = n;
    for (int squared = 0; squared <= 4; squared++) { // nearest first, equally near ones by row
      for (int s = 0; s < 4; s++) {
        if (squared_distance(x->coords[q], x->coords[s]) != squared) continue;
        query[n] = q;
        source[n] = s;
        id[n] = n - first;
        distance[n++] = squared;
      }
    }
  }
  table *gathered = table_new(n, 16, 1, 1.0);
  expect_list(w, "neighbors query_rows", query, n);
  expect_list(w, "neighbors source_rows", source, n);
  expect_list(w, "neighbors neighbor_ids", id, n);
  expect_list(w, "neighbors squared_distances", distance, n);
  expect_table(w, "gather_neighbor_features gathered", gathered);
  free(gathered);
}

int ref_quickstart_lines(uint64_t seed, ref_line *lines, int max_lines) {
  writer w = {lines, 0, max_lines};
  table *x = section_create(&w);
  section_convolution(&w, x);
  table *h = section_modules(&w, x, seed);
  section_pooling(&w, h);
  section_features_and_algebra(&w, x);
  section_points(&w);
  section_quantized(&w, x, seed);
  section_kernel_relation(&w, x);
  section_neighbours(&w, x);
  free(h);
  free(x);
  return w.n;
}

int ref_line_matches(const ref_line *expected, const char *line, char *reason, size_t reason_bytes) {
  const char *want = expected->text, *got = line;
  for (int number = 0; *want; want++) {
    if (*want != '#') {
      if (*want == *got++) continue;
      snprintf(reason, reason_bytes, "text differs at \"%.20s\"", want);
      return 0;
    }
    char *end = NULL;
    double value = strtod(got, &end), wanted = expected->value[number], tolerance = expected->tolerance[number];
    if (end == got || !(fabs(value - wanted) <= tolerance)) {
      snprintf(reason, reason_bytes, "number %d: got %.*s, expected %.12g within %.3g", number, (int)(end - got), got,
               wanted, tolerance);
      return 0;
    }
    got = end;
    number++;
  }
  if (*got) snprintf(reason, reason_bytes, "text goes on: \"%.20s\"", got);
  return *got == '\0';
}
