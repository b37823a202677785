// Random models. A drawn operation looks for operands whose strides and channels fit; where none does, it is left out.
#include "support/random_model.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "support/test_support.h"

enum {
  N_INPUT_SETS = 2,
  N_ROWS = 40,
  N_POINTS = 30,
  N_IDS = 20,
  MOST_VALUES = 64,
  MOST_CHANNELS = 40,
  POINT_ROWS = -1,
  OTHER_ROWS = -2
};

/// A value of the model in the making.
typedef struct item {
  lat_value value;
  bool sparse, used;
  int64_t channels;
  int32_t stride; ///< of every axis
  int rows;       ///< which rows it has: equal numbers, equal rows
} item;

typedef struct maker {
  lat_nn *nn;
  lat_test_random *random;
  random_rules rules;
  item items[MOST_VALUES];
  int n_items, n_rows, n_dense, version, needs_training;
  lat_nn_points points;
  lat_value ids;
} maker;

static int below(maker *m, int bound) {
  return (int)lat_test_below(m->random, bound);
}

/// One draw in `n` of what version 3 adds.
static bool adds(maker *m, int n) {
  if (!m->rules.version3 || below(m, n)) return false;
  m->version = 3;
  return true;
}

static void keep(maker *m, lat_value value, bool sparse, int64_t channels, int32_t stride, int rows) {
  lat_test_assert_ok(lat_nn_status(m->nn));
  assert_true(value != 0 && m->n_items < MOST_VALUES);
  m->items[m->n_items++] = (item){value, sparse, false, channels, stride, rows};
}

/// A drawn value of one kind whose stride is a multiple of `stride`, or NULL. It counts as read.
static item *draw(maker *m, bool sparse, int32_t stride) {
  int first = below(m, m->n_items);
  for (int i = 0; i < m->n_items; i++) {
    item *found = &m->items[(first + i) % m->n_items];
    if (found->sparse != sparse || (sparse && found->stride % stride)) continue;
    found->used = true;
    return found;
  }
  return NULL;
}

/// A drawn sparse value of exactly this stride, or NULL.
static item *draw_of_stride(maker *m, int32_t stride) {
  int first = below(m, m->n_items);
  for (int i = 0; i < m->n_items; i++) {
    item *found = &m->items[(first + i) % m->n_items];
    if (!found->sparse || found->stride != stride) continue;
    found->used = true;
    return found;
  }
  return NULL;
}

static lat_triple triple(maker *m, int least, int n) {
  return (lat_triple){least + below(m, n), least + below(m, n), least + below(m, n)};
}

// --- convolutions and pools -----------------------------------------------------------------------------------------

static int32_t groups_of(maker *m) {
  return adds(m, 4) ? 2 : 0;
}

static void add_forward(maker *m) {
  item *x = draw(m, true, 1);
  int32_t stride = 1 + below(m, 2);
  bool packed = x->channels == 32 && below(m, 2);
  lat_nn_conv_opts o = LAT_NN_CONV_OPTS_INIT;
  o.kernel_size = triple(m, 1, 3);
  o.stride = lat_triple_all(stride);
  o.padding = triple(m, 0, 2);
  o.dilation = triple(m, 1, 2);
  o.no_bias = below(m, 2);
  if (x->stride * stride > 8) return;
  if (packed) {
    o.bits = below(m, 2) ? 4 : 8;
  } else {
    o.groups = groups_of(m);
  }
  item *target = below(m, 3) ? NULL : draw_of_stride(m, x->stride * stride);
  if (adds(m, 3)) {
    o.support = LAT_SUPPORT_REACH;
    if (!target && below(m, 2)) o.bounds = lat_triple_all(24);
  }
  if (target) o.target = target->value;
  int rows = target ? target->rows : m->n_rows++;
  int64_t out = packed || below(m, 3) ? 8 : 32;
  lat_value y = packed ? lat_nn_quantized_conv3d(m->nn, x->value, x->channels, out, &o)
                       : lat_nn_conv3d(m->nn, x->value, x->channels, out, &o);
  keep(m, y, true, out, x->stride * stride, rows);
}

static void add_submanifold(maker *m) {
  item *x = draw(m, true, 1);
  lat_nn_conv_opts o = LAT_NN_CONV_OPTS_INIT;
  o.kernel_size = (lat_triple){1 + 2 * below(m, 2), 1 + 2 * below(m, 2), 3};
  o.dilation = triple(m, 1, 2);
  o.no_bias = below(m, 2);
  int kind = x->channels == 32 ? below(m, 3) : below(m, 2);
  if (kind < 2) o.groups = groups_of(m);
  lat_value y = kind == 2   ? lat_nn_quantized_subm_conv3d(m->nn, x->value, x->channels, 8, &o)
                : kind == 1 ? lat_nn_normalized_subm_conv3d(m->nn, x->value, x->channels, 8, &o)
                            : lat_nn_subm_conv3d(m->nn, x->value, x->channels, 8, &o);
  keep(m, y, true, 8, x->stride, x->rows);
}

static void add_transposed(maker *m) {
  item *x = draw(m, true, 2);
  lat_nn_conv_opts o = LAT_NN_CONV_OPTS_INIT;
  if (!x) return;
  o.kernel_size = triple(m, 2, 2);
  o.no_bias = below(m, 2);
  o.padding = triple(m, 0, 2);
  int kind = x->channels == 32 ? below(m, 3) : below(m, 2);
  item *target = kind == 2 || below(m, 2) ? NULL : draw_of_stride(m, x->stride / 2);
  if (target) o.target = target->value;
  if (kind < 2) o.groups = groups_of(m);
  int rows = target ? target->rows : m->n_rows++;
  lat_value y = kind == 2   ? lat_nn_quantized_conv_transpose3d(m->nn, x->value, x->channels, 8, &o)
                : kind == 1 ? lat_nn_normalized_conv_transpose3d(m->nn, x->value, x->channels, 8, &o)
                            : lat_nn_conv_transpose3d(m->nn, x->value, x->channels, 8, &o);
  keep(m, y, true, 8, x->stride / 2, rows);
}

static void add_generative(maker *m) {
  item *x = draw(m, true, 2);
  lat_nn_conv_opts o = LAT_NN_CONV_OPTS_INIT;
  if (!x) return;
  o.no_bias = below(m, 2);
  int kind = x->channels == 32 ? below(m, 3) : below(m, 2);
  if (kind < 2) o.groups = groups_of(m);
  lat_value y = kind == 2   ? lat_nn_quantized_generative_conv_transpose3d(m->nn, x->value, x->channels, 4, &o)
                : kind == 1 ? lat_nn_normalized_generative_conv_transpose3d(m->nn, x->value, x->channels, 4, &o)
                            : lat_nn_generative_conv_transpose3d(m->nn, x->value, x->channels, 4, &o);
  keep(m, y, true, 4, x->stride / 2, m->n_rows++);
}

static void add_pool(maker *m) {
  item *x = draw(m, true, 1);
  lat_nn_pool_opts o = LAT_NN_POOL_OPTS_INIT;
  if (x->stride > 4) return;
  o.kernel_size = triple(m, 1, 3);
  o.stride = lat_triple_all(1 + below(m, 2));
  o.padding = triple(m, 0, 2);
  o.dilation = triple(m, 1, 2);
  if (adds(m, 3)) {
    o.support = LAT_SUPPORT_REACH;
    if (below(m, 2)) o.bounds = lat_triple_all(20);
  }
  lat_value y = lat_nn_pool3d(m->nn, x->value, (lat_pool_mode)below(m, 3), &o);
  keep(m, y, true, x->channels, x->stride * o.stride.x, m->n_rows++);
}

static void add_unpool(maker *m) {
  item *x = draw(m, true, 2);
  lat_nn_pool_opts o = LAT_NN_POOL_OPTS_INIT;
  if (!x) return;
  item *target = below(m, 2) ? NULL : draw_of_stride(m, x->stride / 2);
  if (target) o.target = target->value;
  int rows = target ? target->rows : m->n_rows++;
  bool trilinear = below(m, 2);
  lat_value y =
      trilinear ? lat_nn_trilinear_upsample3d(m->nn, x->value, &o) : lat_nn_pool_transpose3d(m->nn, x->value, &o);
  keep(m, y, true, x->channels, x->stride / 2, rows);
}

static void add_global_pool(maker *m) {
  item *x = draw(m, true, 1);
  int mode = below(m, x->rows < N_INPUT_SETS ? 3 : 2); // the largest of no rows is an error
  lat_value y = mode == 0   ? lat_nn_global_sum_pool(m->nn, x->value)
                : mode == 1 ? lat_nn_global_avg_pool(m->nn, x->value)
                            : lat_nn_global_max_pool(m->nn, x->value);
  keep(m, y, false, x->channels, 0, OTHER_ROWS);
}

// --- features -------------------------------------------------------------------------------------------------------

static void add_linear(maker *m) {
  item *x = draw(m, below(m, 3) > 0, 1);
  lat_nn_linear_opts o = LAT_NN_LINEAR_OPTS_INIT;
  if (!x) return;
  int64_t out = below(m, 2) ? 32 : 8;
  o.no_bias = below(m, 2);
  lat_value y = x->channels == 32 && below(m, 2) ? lat_nn_quantized_linear(m->nn, x->value, x->channels, out, &o)
                                                 : lat_nn_linear(m->nn, x->value, x->channels, out, &o);
  keep(m, y, x->sparse, out, x->stride, x->rows);
}

static void add_norm(maker *m) {
  int kind = below(m, m->rules.version3 ? 6 : 3);
  item *x = draw(m, kind > 2 || below(m, 3), 1);
  lat_nn_norm_opts o = LAT_NN_NORM_OPTS_INIT;
  lat_value y = 0;
  if (!x) return;
  o.eps = below(m, 2) ? 1e-3 : 1.234567e-5;
  o.no_affine = below(m, 4) == 0;
  o.no_bias = kind != 0 && kind != 2 && kind != 3 && below(m, 3) == 0;
  if (kind > 2) m->version = 3;
  if (kind == 0 || kind == 3) {
    if (kind == 3) o.no_running_stats = 1;
    if (kind == 0 && m->rules.training && below(m, 2)) o.momentum = 0.01, m->needs_training = 1;
    y = lat_nn_batch_norm(m->nn, x->value, x->channels, &o);
  } else if (kind == 1) {
    y = lat_nn_layer_norm(m->nn, x->value, x->channels, &o);
  } else if (kind == 2) {
    y = lat_nn_rms_norm(m->nn, x->value, x->channels, &o);
  } else if (kind == 4) {
    y = lat_nn_instance_norm(m->nn, x->value, x->channels, &o);
  } else {
    y = lat_nn_group_norm(m->nn, x->value, 2, x->channels, &o);
  }
  keep(m, y, x->sparse, x->channels, x->stride, x->rows);
}

static void add_activation(maker *m) {
  item *x = draw(m, below(m, 3) > 0, 1);
  lat_value y = 0;
  if (!x) return;
  switch (below(m, 7)) {
  case 0:
    y = lat_nn_relu(m->nn, x->value);
    break;
  case 1:
    y = lat_nn_sigmoid(m->nn, x->value);
    break;
  case 2:
    y = lat_nn_silu(m->nn, x->value);
    break;
  case 3:
    y = lat_nn_tanh(m->nn, x->value);
    break;
  case 4:
    y = lat_nn_gelu(m->nn, x->value, (lat_gelu_approx)below(m, 3));
    break;
  case 5:
    y = lat_nn_leaky_relu(m->nn, x->value, 0.0123);
    break;
  default:
    y = lat_nn_softplus(m->nn, x->value);
  }
  keep(m, y, x->sparse, x->channels, x->stride, x->rows);
}

static void add_row_math(maker *m) {
  item *x = draw(m, false, 1);
  if (!x) return;
  int kind = below(m, 3);
  lat_value y = kind == 0   ? lat_nn_exp(m->nn, x->value)
                : kind == 1 ? lat_nn_round(m->nn, x->value)
                            : lat_nn_softmax(m->nn, x->value);
  keep(m, y, false, x->channels, 0, x->rows);
}

static void add_dropout(maker *m) {
  item *x = draw(m, below(m, 2), 1);
  if (!x || !m->rules.training) return;
  m->needs_training = 1;
  keep(m, lat_nn_dropout(m->nn, x->value, 0.25), x->sparse, x->channels, x->stride, x->rows);
}

static void add_embedding(maker *m) {
  keep(m, lat_nn_embedding(m->nn, m->ids, 7, 8, NULL), false, 8, 0, OTHER_ROWS);
}

/// The features of a sparse value, or a sparse value with other features on its rows.
static void add_features(maker *m) {
  item *x = draw(m, true, 1);
  if (below(m, 2)) {
    keep(m, lat_nn_features(m->nn, x->value), false, x->channels, 0, x->rows);
    return;
  }
  for (int i = 0; i < m->n_items; i++) {
    item *dense = &m->items[i];
    if (dense->sparse || dense->rows != x->rows) continue;
    dense->used = true;
    keep(m, lat_nn_with_features(m->nn, x->value, dense->value), true, dense->channels, x->stride, x->rows);
    return;
  }
}

// --- algebra, points, dense -----------------------------------------------------------------------------------------

static void add_binary(maker *m) {
  item *a = draw(m, true, 1), *b = NULL;
  lat_binary_opts o = LAT_BINARY_OPTS_INIT;
  for (int tries = 0; tries < 8 && (!b || b->channels != a->channels); tries++) b = draw_of_stride(m, a->stride);
  if (!b || b->channels != a->channels) return;
  o.op = (lat_binary)below(m, 5);
  o.join = (lat_join)(1 + below(m, 4));
  o.lhs_fill = below(m, 2) ? 0.0 : -1.5;
  o.rhs_fill = below(m, 2) ? 0.0 : 0.1;
  keep(m, lat_nn_binary(m->nn, a->value, b->value, &o), true, a->channels, a->stride,
       a->rows == b->rows ? a->rows : m->n_rows++);
}

static void add_cat(maker *m) {
  item *x = draw(m, true, 1);
  int n = m->rules.version3 && below(m, 3) == 0 ? 3 : 2, rows = x->rows;
  lat_value values[3] = {x->value};
  int64_t channels = x->channels;
  for (int i = 1; i < n; i++) {
    item *other = draw_of_stride(m, x->stride);
    values[i] = other->value;
    channels += other->channels;
    if (other->rows != rows) rows = OTHER_ROWS;
  }
  if (channels > MOST_CHANNELS) return;
  if (n > 2) m->version = 3;
  lat_value y = lat_nn_cat(m->nn, values, n, (lat_join)below(m, 5));
  keep(m, y, true, channels, x->stride, rows == OTHER_ROWS ? m->n_rows++ : rows);
}

static void add_reindex(maker *m) {
  item *x = draw(m, true, 1), *target = draw_of_stride(m, x->stride);
  lat_value y = lat_nn_reindex(m->nn, x->value, target->value, below(m, 2) ? 0.0 : 0.3);
  keep(m, y, true, x->channels, x->stride, target->rows);
}

static void add_concat_reduce(maker *m) {
  item *x = draw(m, true, 1), *other = NULL;
  if (!m->rules.version3) return;
  for (int tries = 0; tries < 8 && (!other || other->channels != x->channels); tries++)
    other = draw(m, true, x->stride);
  if (!other || other->channels != x->channels) return;
  const lat_value values[2] = {x->value, other->value};
  static const lat_duplicates rules[4] = {LAT_DUPLICATES_FIRST, LAT_DUPLICATES_SUM, LAT_DUPLICATES_MEAN,
                                          LAT_DUPLICATES_MAX};
  m->version = 3;
  keep(m, lat_nn_concat_reduce(m->nn, values, 2, rules[below(m, 4)]), true, x->channels, x->stride, m->n_rows++);
}

static lat_nn_voxel_opts grid(maker *m) {
  lat_nn_voxel_opts o = LAT_NN_VOXEL_OPTS_INIT;
  for (int axis = 0; axis < 3; axis++) {
    o.voxel_size[axis] = 0.3 + 0.1 * below(m, 5);
    o.origin[axis] = 0.05 * below(m, 3);
  }
  o.interpolation = below(m, 2) ? LAT_INTERPOLATION_LINEAR : LAT_INTERPOLATION_NEAREST;
  return o;
}

static void add_voxelize(maker *m) {
  lat_nn_voxel_opts o = grid(m);
  item *feats = NULL;
  for (int i = 0; i < m->n_items; i++) {
    if (!m->items[i].sparse && m->items[i].rows == POINT_ROWS && (!feats || below(m, 2))) feats = &m->items[i];
  }
  int32_t stride = 1 + below(m, 2);
  feats->used = true;
  o.stride = lat_triple_all(stride);
  o.reduction = (lat_voxel_reduction)below(m, 2);
  if (adds(m, 3)) o.reduction = LAT_VOXEL_MAX;
  keep(m, lat_nn_voxelize(m->nn, &m->points, feats->value, &o), true, feats->channels, stride, m->n_rows++);
}

static void add_devoxelize(maker *m) {
  item *x = draw(m, true, 1);
  lat_nn_voxel_opts o = grid(m);
  keep(m, lat_nn_devoxelize(m->nn, &m->points, x->value, &o), false, x->channels, 0, POINT_ROWS);
}

/// Dense arrays of rank 4 and 5 are outputs: nothing else takes them.
static void add_to_dense(maker *m) {
  item *x = draw(m, true, 1);
  lat_dense_opts o = LAT_DENSE_OPTS_INIT;
  char name[32];
  if (!m->rules.version3) return;
  o.min_coord = lat_triple_all(-2);
  o.shape = (lat_triple){3, 4, 5};
  o.layout = (lat_dense_layout)below(m, 2);
  o.fold = (lat_dense_fold)below(m, 4);
  o.outside = LAT_DENSE_OUTSIDE_DROP;
  snprintf(name, sizeof name, "dense.%d", m->n_dense++);
  lat_nn_output(m->nn, name, lat_nn_to_dense(m->nn, x->value, below(m, 2), &o));
  m->version = 3;
}

// --- the model ------------------------------------------------------------------------------------------------------

typedef void (*add_fn)(maker *m);

static const add_fn add[] = {add_forward,  add_submanifold, add_transposed, add_generative, add_pool,
                             add_unpool,   add_global_pool, add_linear,     add_norm,       add_activation,
                             add_row_math, add_dropout,     add_embedding,  add_features,   add_binary,
                             add_cat,      add_reindex,     add_voxelize,   add_devoxelize, add_concat_reduce,
                             add_to_dense, add_norm,        add_forward,    add_binary};

lat_model *random_model(lat_context *context, lat_test_random *random, const random_rules *rules, int n_ops,
                        int *version, int *needs_training) {
  maker m = {.random = random, .rules = *rules, .version = 2};
  lat_model *model = NULL;
  lat_test_assert_ok(lat_nn_create(context, &m.nn));
  keep(&m, lat_nn_input(m.nn, "fine", 4, NULL), true, 4, 1, m.n_rows++);
  keep(&m, lat_nn_input(m.nn, "coarse", 32, LAT_OPTS(lat_nn_input_opts, .stride = {2, 2, 2})), true, 32, 2, m.n_rows++);
  m.points = lat_nn_input_points(m.nn, "p", 4);
  keep(&m, m.points.features, false, 4, 0, POINT_ROWS);
  m.ids = lat_nn_input_array(m.nn, "ids", 0, LAT_DTYPE_I32);
  for (int i = 0; i < n_ops; i++) add[below(&m, (int)(sizeof add / sizeof add[0]))](&m);
  for (int i = 0; i < m.n_items; i++) {
    char name[32];
    snprintf(name, sizeof name, "out.%d", i);
    if (!m.items[i].used || i == m.n_items - 1 || below(&m, 8) == 0) lat_nn_output(m.nn, name, m.items[i].value);
  }
  lat_test_assert_ok(lat_nn_finish(m.nn, &model));
  *version = m.needs_training ? 3 : m.version;
  *needs_training = m.needs_training;
  return model;
}

// --- inputs ---------------------------------------------------------------------------------------------------------

static void bind(random_inputs *inputs, const char *name, lat_array_view view, void *memory) {
  inputs->views[inputs->n_views] = view;
  inputs->memory[inputs->n_views] = memory;
  inputs->bindings[inputs->n++] = (lat_binding){name, NULL, &inputs->views[inputs->n_views++]};
}

static void bind_sparse(lat_context *context, lat_test_random *random, random_inputs *inputs, int which) {
  static const char *const names[2] = {"fine", "coarse"};
  const int64_t channels = which ? 32 : 4;
  lat_tensor_opts opts = LAT_TENSOR_OPTS_INIT;
  lat_coords_opts set = LAT_COORDS_OPTS_INIT;
  lat_coords *coords = NULL;
  int32_t *rows = lat_test_random_rows(random, N_ROWS, 1, 3, 0);
  double *values = lat_test_random_values(random, N_ROWS * channels, -1.0, 1.0);
  lat_array_view view = lat_view_2d(rows, LAT_DTYPE_I32, N_ROWS, 4);
  for (int i = 0; i < N_ROWS; i++) rows[4 * i] = i % 2; // no item is empty
  set.stride = lat_triple_all(1 + which);
  opts.n_batches = 2;
  lat_test_assert_ok(lat_coords_create(context, &view, &set, &coords));
  inputs->tensors[which] = lat_test_tensor_on(context, coords, values, channels, LAT_DTYPE_F32, &opts);
  inputs->bindings[inputs->n++] = (lat_binding){names[which], inputs->tensors[which], NULL};
  lat_coords_release(coords);
  free(rows);
  free(values);
}

random_inputs *random_inputs_new(lat_context *context, lat_test_random *random) {
  random_inputs *inputs = calloc(1, sizeof *inputs);
  float *points = calloc(N_POINTS * 3, sizeof *points), *feats = calloc(N_POINTS * 4, sizeof *feats);
  int32_t *batch = calloc(N_POINTS, sizeof *batch), *active = calloc(1, sizeof *active);
  int32_t *ids = calloc(N_IDS, sizeof *ids);
  assert_true(inputs && points && feats && batch && active && ids);
  bind_sparse(context, random, inputs, 0);
  bind_sparse(context, random, inputs, 1);
  for (int i = 0; i < N_POINTS * 3; i++) points[i] = (float)lat_test_uniform(random, -1.0, 1.0);
  for (int i = 0; i < N_POINTS * 4; i++) feats[i] = (float)lat_test_uniform(random, -1.0, 1.0);
  for (int i = 0; i < N_POINTS; i++) batch[i] = i >= N_POINTS / 2;
  for (int i = 0; i < N_IDS; i++) ids[i] = (int32_t)lat_test_below(random, 7);
  *active = N_POINTS;
  bind(inputs, "p_points", lat_view_2d(points, LAT_DTYPE_F32, N_POINTS, 3), points);
  bind(inputs, "p_features", lat_view_2d(feats, LAT_DTYPE_F32, N_POINTS, 4), feats);
  bind(inputs, "p_batch", lat_view_1d(batch, LAT_DTYPE_I32, N_POINTS), batch);
  bind(inputs, "p_active", lat_view_1d(active, LAT_DTYPE_I32, 1), active);
  bind(inputs, "ids", lat_view_1d(ids, LAT_DTYPE_I32, N_IDS), ids);
  return inputs;
}

void random_inputs_free(random_inputs *inputs) {
  for (int i = 0; i < 2; i++) lat_tensor_release(inputs->tensors[i]);
  for (int64_t i = 0; i < inputs->n_views; i++) free(inputs->memory[i]);
  free(inputs);
}
