// Sparse networks in double.
#include "ref/ref_network.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static void *take(int64_t n, size_t bytes) {
  void *memory = calloc(n > 0 ? (size_t)n : 1, bytes);
  if (!memory) abort();
  return memory;
}

ref_net_value *ref_net_new(int64_t n, int64_t c, int with_rows) {
  ref_net_value *value = take(1, sizeof *value);
  value->n = n;
  value->c = c;
  for (int axis = 0; axis < 3; axis++) value->stride[axis] = 1;
  value->rows = with_rows ? take(4 * n, sizeof *value->rows) : NULL;
  value->feats = take(n * c, sizeof *value->feats);
  return value;
}

void ref_net_free(ref_net_value *value) {
  if (!value) return;
  free(value->rows);
  free(value->feats);
  free(value);
}

/// The rows of x, with `c` channels of zeros.
static ref_net_value *like(const ref_net_value *x, int64_t c) {
  ref_net_value *y = ref_net_new(x->n, c, x->rows != NULL);
  if (x->rows) memcpy(y->rows, x->rows, (size_t)x->n * 4 * sizeof *y->rows);
  memcpy(y->stride, x->stride, sizeof y->stride);
  return y;
}

ref_net_value *ref_net_copy(const ref_net_value *x) {
  ref_net_value *y = like(x, x->c);
  memcpy(y->feats, x->feats, (size_t)(x->n * x->c) * sizeof *y->feats);
  return y;
}

/// The first row with these coordinates, or -1.
static int64_t find(const ref_net_value *x, const int32_t row[4]) {
  for (int64_t i = 0; i < x->n; i++) {
    if (memcmp(x->rows + 4 * i, row, 4 * sizeof *row) == 0) return i;
  }
  return -1;
}

static int32_t floor_div(int32_t a, int32_t b) {
  int32_t q = a / b;
  return q * b > a ? q - 1 : q;
}

/// Appends a row unless it is there; `set` has room.
static void insert(ref_net_value *set, const int32_t row[4]) {
  if (find(set, row) >= 0) return;
  memcpy(set->rows + 4 * set->n++, row, 4 * sizeof *row);
}

// --- convolution ------------------------------------------------------------------------------------------------------

/// Kernel element k as three indices.
static void element(const int32_t size[3], int32_t k, int32_t at[3]) {
  at[2] = k % size[2];
  at[1] = k / size[2] % size[1];
  at[0] = k / size[2] / size[1];
}

static int32_t volume(const int32_t size[3]) {
  return size[0] * size[1] * size[2];
}

/// The output that reach support gives input `row` under element k; 0 when there is none.
static int reached(const ref_net_conv *c, const int32_t *row, int32_t k, int32_t out[4]) {
  int32_t at[3];
  element(c->size, k, at);
  out[0] = row[0];
  for (int a = 0; a < 3; a++) {
    int32_t there = row[a + 1] + c->padding[a] - at[a];
    if (there % c->stride[a]) return 0;
    out[a + 1] = there / c->stride[a];
    if (!c->bounds[a]) continue;
    if (out[a + 1] < 0 || out[a + 1] > (c->bounds[a] + 2 * c->padding[a] - c->size[a]) / c->stride[a]) return 0;
  }
  return 1;
}

/// Output rows, without features.
static ref_net_value *outputs(const ref_net_value *x, const ref_net_conv *c) {
  if (c->target) return like(c->target, c->c_out);
  int same = 1;
  for (int a = 0; a < 3; a++) same = same && c->stride[a] == 1 && c->padding[a] == 0;
  if (same && (!c->reach || volume(c->size) == 1)) return like(x, c->c_out);
  int64_t room = c->reach ? x->n * volume(c->size) : x->n;
  ref_net_value *y = ref_net_new(room, c->c_out, 1);
  y->n = 0;
  for (int64_t i = 0; i < x->n; i++) {
    int32_t out[4] = {x->rows[4 * i]};
    for (int32_t k = 0; c->reach && k < volume(c->size); k++) {
      if (reached(c, x->rows + 4 * i, k, out)) insert(y, out);
    }
    for (int a = 0; a < 3 && !c->reach; a++) out[a + 1] = floor_div(x->rows[4 * i + a + 1], c->stride[a]);
    if (!c->reach) insert(y, out);
  }
  for (int a = 0; a < 3; a++) y->stride[a] = x->stride[a] * c->stride[a];
  return y;
}

/// The input row that meets output `row` under element k, or -1.
static int64_t meets(const ref_net_value *x, const ref_net_conv *c, const int32_t *row, int32_t k) {
  int32_t at[3], in[4] = {row[0]};
  element(c->size, k, at);
  for (int a = 0; a < 3; a++) {
    if (c->transposed) {
      int32_t there = row[a + 1] + c->padding[a] - at[a];
      if (there % c->stride[a]) return -1;
      in[a + 1] = there / c->stride[a];
    } else {
      int32_t centre = c->size[a] % 2 && !c->reach ? c->size[a] / 2 : 0;
      in[a + 1] = row[a + 1] * c->stride[a] - c->padding[a] + at[a] - centre;
    }
  }
  return find(x, in);
}

ref_net_value *ref_net_convolve(const ref_net_value *x, const ref_net_conv *c) {
  ref_net_value *y = outputs(x, c);
  int32_t n_elements = volume(c->size);
  for (int64_t o = 0; o < y->n; o++) {
    double *sum = y->feats + o * y->c;
    for (int64_t co = 0; c->bias && co < y->c; co++) sum[co] = c->bias[co];
    for (int32_t k = 0; k < n_elements; k++) {
      int64_t i = meets(x, c, y->rows + 4 * o, k);
      if (i < 0) continue;
      for (int64_t co = 0; co < y->c; co++) {
        const double *w = c->weight + (co * n_elements + k) * x->c;
        for (int64_t ci = 0; ci < x->c; ci++) sum[co] += w[ci] * x->feats[i * x->c + ci];
      }
    }
  }
  return y;
}

// --- features ---------------------------------------------------------------------------------------------------------

ref_net_value *ref_net_norm(const ref_net_value *x, const double *const p[4], double eps) {
  ref_net_value *y = like(x, x->c);
  for (int64_t i = 0; i < x->n * x->c; i++) {
    int64_t c = i % x->c;
    y->feats[i] = (x->feats[i] - p[2][c]) / sqrt(p[3][c] + eps) * p[0][c] + p[1][c];
  }
  return y;
}

ref_net_value *ref_net_relu(const ref_net_value *x) {
  ref_net_value *y = like(x, x->c);
  for (int64_t i = 0; i < x->n * x->c; i++) y->feats[i] = x->feats[i] > 0.0 ? x->feats[i] : 0.0;
  return y;
}

ref_net_value *ref_net_linear(const ref_net_value *x, const double *weight, const double *bias, int64_t c_out) {
  ref_net_value *y = like(x, c_out);
  for (int64_t i = 0; i < x->n * c_out; i++) {
    const double *w = weight + i % c_out * x->c, *in = x->feats + i / c_out * x->c;
    y->feats[i] = bias ? bias[i % c_out] : 0.0;
    for (int64_t ci = 0; ci < x->c; ci++) y->feats[i] += w[ci] * in[ci];
  }
  return y;
}

ref_net_value *ref_net_add(const ref_net_value *a, const ref_net_value *b) {
  ref_net_value *y = ref_net_copy(a);
  for (int64_t i = 0; i < a->n * a->c; i++) y->feats[i] += b->feats[i];
  return y;
}

ref_net_value *ref_net_cat(const ref_net_value *a, const ref_net_value *b) {
  ref_net_value *y = like(a, a->c + b->c);
  for (int64_t i = 0; i < a->n; i++) {
    memcpy(y->feats + i * y->c, a->feats + i * a->c, (size_t)a->c * sizeof *y->feats);
    memcpy(y->feats + i * y->c + a->c, b->feats + i * b->c, (size_t)b->c * sizeof *y->feats);
  }
  return y;
}

ref_net_value *ref_net_reindex(const ref_net_value *x, const ref_net_value *target) {
  ref_net_value *y = like(target, x->c);
  for (int64_t i = 0; i < y->n; i++) {
    int64_t from = find(x, y->rows + 4 * i);
    if (from >= 0) memcpy(y->feats + i * y->c, x->feats + from * x->c, (size_t)x->c * sizeof *y->feats);
  }
  return y;
}

// --- rows -------------------------------------------------------------------------------------------------------------

/// Adds the features of row i of x to the row of y with these coordinates, which is made when it is not there.
static void add_to(ref_net_value *y, const int32_t row[4], const double *feats) {
  insert(y, row);
  double *sum = y->feats + find(y, row) * y->c;
  for (int64_t c = 0; c < y->c; c++) sum[c] += feats[c];
}

ref_net_value *ref_net_sum_pool(const ref_net_value *x, const int32_t size[3], const int32_t stride[3]) {
  ref_net_value *y = ref_net_new(x->n, x->c, 1);
  y->n = 0;
  for (int64_t i = 0; i < x->n; i++) {
    int32_t out[4] = {x->rows[4 * i]};
    for (int a = 0; a < 3; a++) out[a + 1] = floor_div(x->rows[4 * i + a + 1], stride[a]);
    insert(y, out);
  }
  for (int64_t o = 0; o < y->n; o++) {
    for (int32_t k = 0; k < volume(size); k++) {
      int32_t at[3], in[4] = {y->rows[4 * o]};
      element(size, k, at);
      for (int a = 0; a < 3; a++)
        in[a + 1] = y->rows[4 * o + a + 1] * stride[a] + at[a] - (size[a] % 2 ? size[a] / 2 : 0);
      int64_t i = find(x, in);
      for (int64_t c = 0; i >= 0 && c < x->c; c++) y->feats[o * y->c + c] += x->feats[i * x->c + c];
    }
  }
  for (int a = 0; a < 3; a++) y->stride[a] = x->stride[a] * stride[a];
  return y;
}

ref_net_value *ref_net_concat_sum(const ref_net_value *const *values, int n) {
  int64_t room = 0;
  for (int v = 0; v < n; v++) room += values[v]->n;
  ref_net_value *y = ref_net_new(room, values[0]->c, 1);
  y->n = 0;
  memcpy(y->stride, values[0]->stride, sizeof y->stride);
  for (int v = 0; v < n; v++) {
    for (int64_t i = 0; i < values[v]->n; i++) {
      int32_t row[4] = {values[v]->rows[4 * i]};
      for (int a = 0; a < 3; a++) row[a + 1] = values[v]->rows[4 * i + a + 1] * (values[v]->stride[a] / y->stride[a]);
      add_to(y, row, values[v]->feats + i * y->c);
    }
  }
  return y;
}

// --- points -----------------------------------------------------------------------------------------------------------

ref_net_value *ref_net_voxelize(const float *points, const int32_t *batch, const ref_net_value *feats,
                                const double size[3], const int32_t stride[3]) {
  ref_net_value *y = ref_net_new(feats->n, feats->c, 1);
  double *count = take(feats->n, sizeof *count);
  y->n = 0;
  for (int64_t i = 0; i < feats->n; i++) {
    int32_t row[4] = {batch[i]};
    for (int a = 0; a < 3; a++) row[a + 1] = (int32_t)floorf(points[3 * i + a] / (float)size[a]);
    add_to(y, row, feats->feats + i * feats->c);
    count[find(y, row)] += 1.0;
  }
  for (int64_t i = 0; i < y->n * y->c; i++) y->feats[i] /= count[i / y->c];
  memcpy(y->stride, stride, sizeof y->stride);
  free(count);
  return y;
}

ref_net_value *ref_net_devoxelize(const float *points, const int32_t *batch, int64_t n, const ref_net_value *voxels,
                                  const double size[3]) {
  ref_net_value *y = ref_net_new(n, voxels->c, 0);
  for (int64_t i = 0; i < n; i++) {
    for (int corner = 0; corner < 8; corner++) {
      double weight = 1.0;
      int32_t row[4] = {batch[i]};
      for (int a = 0; a < 3; a++) {
        double q = (double)(points[3 * i + a] / (float)size[a]), low = floor(q);
        int up = corner >> a & 1;
        row[a + 1] = (int32_t)low + up;
        weight *= up ? q - low : 1.0 - (q - low);
      }
      int64_t from = find(voxels, row);
      for (int64_t c = 0; from >= 0 && c < y->c; c++) y->feats[i * y->c + c] += weight * voxels->feats[from * y->c + c];
    }
  }
  return y;
}
