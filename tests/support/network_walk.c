// A model's graph, one reference layer after the other.
#include "support/network_walk.h"

#include <stdlib.h>
#include <string.h>

#include "support/tensor_cases.h"
#include "support/test_support.h"

typedef struct walk {
  const lat_model *model;
  const network_input *inputs;
  int n_inputs;
  ref_net_value **values;
} walk;

static const network_input *input_of(const walk *w, const char *name) {
  for (int i = 0; i < w->n_inputs; i++) {
    if (strcmp(w->inputs[i].name, name) == 0) return &w->inputs[i];
  }
  fail_msg("network_walk: no input %s", name);
  return NULL;
}

/// The input behind operand `k`.
static const network_input *operand_input(const walk *w, const lat__op *op, int32_t k) {
  return input_of(w, w->model->inputs[w->model->values[op->operands[k]].result].name);
}

/// The parameter behind operand `k` in double, from malloc; NULL when the operand is left out.
static double *parameter(const walk *w, const lat__op *op, int32_t k) {
  if (k >= op->n_operands) return NULL;
  const lat__value *value = &w->model->values[op->operands[k]];
  return lat_test_read(lat_array_as_view(w->model->parameters[w->model->ops[value->op].parameter].dense));
}

static int64_t weight_rows(const walk *w, const lat__op *op, int32_t k) {
  const lat__value *value = &w->model->values[op->operands[k]];
  return lat_array_as_view(w->model->parameters[w->model->ops[value->op].parameter].dense).shape[0];
}

static void put_triple(int32_t out[3], lat_triple t) {
  out[0] = t.x;
  out[1] = t.y;
  out[2] = t.z;
}

static ref_net_value *convolve(const walk *w, const lat__op *op) {
  bool onto = op->kind == LAT__OP_TARGET_CONV_TRANSPOSE3D, subm = op->kind == LAT__OP_SUBM_CONV3D;
  const ref_net_value *x = w->values[op->operands[0]];
  double *weight = parameter(w, op, onto ? 2 : 1), *bias = parameter(w, op, onto ? 3 : 2);
  ref_net_conv conv = {.weight = weight, .bias = bias, .c_out = weight_rows(w, op, onto ? 2 : 1)};
  put_triple(conv.size, lat__op_triple(op, LAT__ATTR_KERNEL_SIZE, lat_triple_all(3)));
  put_triple(conv.stride, lat__op_triple(op, LAT__ATTR_STRIDE, lat_triple_all(1)));
  put_triple(conv.padding, lat__op_triple(op, LAT__ATTR_PADDING, lat_triple_all(0)));
  put_triple(conv.bounds, lat__op_triple(op, LAT__ATTR_BOUNDS, lat_triple_all(0)));
  conv.reach = lat__op_choice(op, LAT__ATTR_SUPPORT, 0) == 1;
  conv.transposed = onto;
  conv.target = onto ? w->values[op->operands[1]] : subm ? x : NULL;
  ref_net_value *y = ref_net_convolve(x, &conv);
  free(weight);
  free(bias);
  return y;
}

static ref_net_value *normalize(const walk *w, const lat__op *op) {
  double *p[4];
  for (int i = 0; i < 4; i++) p[i] = parameter(w, op, i + 1);
  ref_net_value *y =
      ref_net_norm(w->values[op->operands[0]], (const double *const *)p, lat__op_float(op, LAT__ATTR_EPS, 1e-5));
  for (int i = 0; i < 4; i++) free(p[i]);
  return y;
}

static ref_net_value *linear(const walk *w, const lat__op *op) {
  double *weight = parameter(w, op, 1), *bias = parameter(w, op, 2);
  ref_net_value *y = ref_net_linear(w->values[op->operands[0]], weight, bias, weight_rows(w, op, 1));
  free(weight);
  free(bias);
  return y;
}

/// The features of `feats` on the rows of `rows`.
static ref_net_value *with_features(const ref_net_value *rows, const ref_net_value *feats) {
  ref_net_value *y = ref_net_new(rows->n, feats->c, 1);
  memcpy(y->rows, rows->rows, (size_t)rows->n * 4 * sizeof *y->rows);
  memcpy(y->stride, rows->stride, sizeof y->stride);
  memcpy(y->feats, feats->feats, (size_t)(y->n * y->c) * sizeof *y->feats);
  return y;
}

static ref_net_value *sum_pool(const walk *w, const lat__op *op) {
  int32_t size[3], stride[3];
  put_triple(size, lat__op_triple(op, LAT__ATTR_KERNEL_SIZE, lat_triple_all(2)));
  put_triple(stride, lat__op_triple(op, LAT__ATTR_STRIDE, lat_triple_all(2)));
  return ref_net_sum_pool(w->values[op->operands[0]], size, stride);
}

static ref_net_value *points(const walk *w, const lat__op *op) {
  const network_input *at = operand_input(w, op, 0);
  const double *size = lat__op_attr_of(op, LAT__ATTR_VOXEL_SIZE)->u.f64;
  const ref_net_value *x = w->values[op->operands[1]];
  if (op->kind == LAT__OP_DEVOXELIZE) return ref_net_devoxelize(at->points, at->batch, at->value->n, x, size);
  int32_t stride[3];
  put_triple(stride, lat__op_triple(op, LAT__ATTR_STRIDE, lat_triple_all(1)));
  return ref_net_voxelize(at->points, at->batch, x, size, stride);
}

static ref_net_value *run_op(const walk *w, const lat__op *op) {
  ref_net_value *const *v = w->values;
  const ref_net_value *operands[8] = {NULL};
  for (int32_t i = 0; i < op->n_operands && i < 8; i++) operands[i] = v[op->operands[i]];
  switch (op->kind) {
  case LAT__OP_SPARSE_MAKE:
    return ref_net_copy(operand_input(w, op, 0)->value);
  case LAT__OP_SPARSE_DECOMPOSE:
    return ref_net_copy(operands[0]);
  case LAT__OP_SPARSE_WITH_FEATURES:
    return with_features(operands[0], operands[1]);
  case LAT__OP_SPARSE_REINDEX:
    return ref_net_reindex(operands[0], operands[1]);
  case LAT__OP_BATCH_NORM:
    return normalize(w, op);
  case LAT__OP_ACTIVATION:
    return ref_net_relu(operands[0]);
  case LAT__OP_DROPOUT:
    return ref_net_copy(operands[0]);
  case LAT__OP_LINEAR:
    return linear(w, op);
  case LAT__OP_SPARSE_BINARY:
    return ref_net_add(operands[0], operands[1]);
  case LAT__OP_SPARSE_CAT:
    return ref_net_cat(operands[0], operands[1]);
  case LAT__OP_CONCAT_REDUCE:
    return ref_net_concat_sum(operands, op->n_operands);
  case LAT__OP_POOL3D:
    return sum_pool(w, op);
  case LAT__OP_VOXELIZE:
  case LAT__OP_DEVOXELIZE:
    return points(w, op);
  case LAT__OP_TO_DENSE:
    return ref_net_copy(operands[0]);
  default:
    if (!lat__op_attr_of(op, LAT__ATTR_ACCUMULATION)) fail_msg("network_walk: %s", lat__op_table[op->kind].name);
    return convolve(w, op);
  }
}

ref_net_value *network_walk(const lat_model *model, const network_input *inputs, int n_inputs) {
  walk w = {model, inputs, n_inputs, NULL};
  w.values = calloc((size_t)model->n_values, sizeof *w.values);
  assert_non_null(w.values);
  for (int64_t i = 0; i < model->n_inputs; i++) {
    const char *name = model->inputs[i].name;
    for (int k = 0; k < n_inputs; k++) {
      if (strcmp(inputs[k].name, name) == 0) w.values[i] = ref_net_copy(inputs[k].value);
    }
  }
  for (int64_t i = 0; i < model->n_ops; i++) {
    const lat__op *op = &model->ops[i];
    if (op->kind == LAT__OP_WEIGHT) continue;
    w.values[op->results[op->kind == LAT__OP_SPARSE_DECOMPOSE ? 1 : 0]] = run_op(&w, op);
  }
  ref_net_value *result = ref_net_copy(w.values[model->outputs[0].value]);
  for (int64_t i = 0; i < model->n_values; i++) ref_net_free(w.values[i]);
  free(w.values);
  return result;
}
