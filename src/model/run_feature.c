// Operations on features of a program.
#include <lattice/feature.h>

#include "core/compiler.h"
#include "model/program_internal.h"

lat_status lat__run_embedding(lat_session *session, const lat__op *op) {
  lat_status status = LAT_STATUS_OK;
  lat_array_view indices, table;
  lat_array *rows = NULL, *wide = NULL;
  LAT_TRY(lat__run_view(session, op->operands[0], &indices), done);
  table = lat_array_as_view(session->program->constants[lat__run_parameter(session, op->operands[1])].dense);
  LAT_TRY(lat_embedding_lookup(session->context, &indices, &table, &rows), done);
  if (table.dtype != LAT_DTYPE_F32) { // the result is float32 by definition
    lat_array_view view = lat_array_as_view(rows);
    LAT_TRY(lat_array_cast(session->context, &view, LAT_DTYPE_F32, &wide), done);
    lat_array_release(rows);
    rows = wide;
  }
  lat__run_give(session, op->results[0], NULL, rows);
  rows = NULL;
done:
  lat_array_release(rows);
  return status;
}

lat_status lat__run_elementwise(lat_session *session, const lat__op *op) {
  lat_array_view x;
  lat_array *y = NULL;
  lat_status status = lat__run_view(session, op->operands[0], &x);
  bool rounds = lat__op_choice(op, LAT__ATTR_ELEMENTWISE_KIND, 0) == 1;
  if (!status) status = rounds ? lat_round(session->context, &x, &y) : lat_exp(session->context, &x, &y);
  if (!status) lat__run_give(session, op->results[0], NULL, y);
  return status;
}

lat_status lat__run_softmax(lat_session *session, const lat__op *op) {
  lat_array_view x;
  lat_array *y = NULL;
  lat_status status = lat__run_view(session, op->operands[0], &x);
  if (!status) status = lat_softmax(session->context, &x, &y);
  if (!status) lat__run_give(session, op->results[0], NULL, y);
  return status;
}

static lat_gelu_approx gelu_of(int32_t choice) {
  return choice == 1 ? LAT_GELU_TANH : choice == 2 ? LAT_GELU_FAST : LAT_GELU_NONE; // 3, "precise", is none
}

lat_status lat__run_activation(lat_session *session, const lat__op *op) {
  lat_context *context = session->context;
  const lat_tensor *x = NULL;
  lat_tensor *y = NULL;
  lat_status status = lat__run_tensor(session, op->operands[0], &x);
  if (status) return status;
  switch ((lat__activation)lat__op_choice(op, LAT__ATTR_ACTIVATION_KIND, LAT__ACTIVATION_RELU)) {
  case LAT__ACTIVATION_RELU:
    status = lat_relu(context, x, &y);
    break;
  case LAT__ACTIVATION_SIGMOID:
    status = lat_sigmoid(context, x, &y);
    break;
  case LAT__ACTIVATION_SILU:
    status = lat_silu(context, x, &y);
    break;
  case LAT__ACTIVATION_TANH:
    status = lat_tanh(context, x, &y);
    break;
  case LAT__ACTIVATION_LEAKY_RELU:
    status = lat_leaky_relu(context, x, lat__op_float(op, LAT__ATTR_ALPHA, 0.01), &y);
    break;
  case LAT__ACTIVATION_GELU:
    status = lat_gelu(context, x, gelu_of(lat__op_choice(op, LAT__ATTR_APPROXIMATE, 0)), &y);
    break;
  case LAT__ACTIVATION_SOFTPLUS:
    status = lat_softplus(context, x, lat__op_float(op, LAT__ATTR_BETA, 1.0),
                          lat__op_float(op, LAT__ATTR_THRESHOLD, 20.0), &y);
    break;
  }
  if (!status) lat__run_give(session, op->results[0], y, NULL);
  return status;
}

lat_status lat__run_dropout(lat_session *session, const lat__op *op) {
  const lat_tensor *x = NULL;
  lat_tensor *y = NULL;
  lat_dropout_opts opts = LAT_DROPOUT_OPTS_INIT;
  lat_status status = lat__run_tensor(session, op->operands[0], &x);
  if (status) return status;
  opts.p = lat__op_float(op, LAT__ATTR_P, 0.5);
  opts.training = session->program->training;
  // Each dropout of a run has a stream of its own.
  opts.stream = session->opts.dropout_stream * UINT64_C(0x9E3779B97F4A7C15) + (uint64_t)session->n_dropouts++;
  status = lat_dropout(session->context, x, &opts, &y);
  if (!status) lat__run_give(session, op->results[0], y, NULL);
  return status;
}

// --- norms ----------------------------------------------------------------------------------------------------------

/// The operands of a norm behind x, as views; `n` of them are there.
static int32_t norm_views(const lat_session *session, const lat__op *op, lat_array_view views[4]) {
  int32_t n = op->n_operands - 1;
  for (int32_t i = 0; i < n; i++) {
    views[i] = lat_array_as_view(session->program->constants[lat__run_parameter(session, op->operands[i + 1])].dense);
  }
  return n;
}

static lat_status call_norm(lat_session *session, const lat__op *op, const lat_tensor *x, const lat_norm_opts *opts,
                            lat_tensor **out) {
  switch (op->kind) {
  case LAT__OP_LAYER_NORM:
    return lat_layer_norm(session->context, x, opts, out);
  case LAT__OP_RMS_NORM:
    return lat_rms_norm(session->context, x, opts, out);
  case LAT__OP_INSTANCE_NORM:
    return lat_instance_norm(session->context, x, opts, out);
  case LAT__OP_GROUP_NORM:
    return lat_group_norm(session->context, x, lat__op_int(op, LAT__ATTR_GROUPS, 1), opts, out);
  default:
    return lat_batch_norm(session->context, x, opts, out);
  }
}

/// Running statistics after this run, kept for the results.
static lat_status update_statistics(lat_session *session, const lat__op *op, const lat_tensor *x,
                                    const lat_array_view views[4]) {
  lat__statistic *s = &session->statistics[session->n_statistics];
  s->mean = lat__run_parameter(session, op->operands[3]);
  s->var = lat__run_parameter(session, op->operands[4]);
  lat_status status = lat_batch_norm_update_running(session->context, x, &views[2], &views[3],
                                                    lat__op_float(op, LAT__ATTR_MOMENTUM, 0.1), &s->stats);
  if (!status) session->n_statistics++;
  return status;
}

lat_status lat__run_norm(lat_session *session, const lat__op *op) {
  lat_status status = LAT_STATUS_OK;
  const lat_tensor *x = NULL;
  lat_tensor *wide = NULL, *y = NULL;
  lat_array_view views[4];
  lat_norm_opts opts = LAT_NORM_OPTS_INIT;
  int32_t n = norm_views(session, op, views);
  bool learns = op->kind == LAT__OP_BATCH_NORM && session->program->training && n == 4;
  LAT_TRY(lat__run_tensor(session, op->operands[0], &x), done);
  opts.eps = lat__op_float(op, LAT__ATTR_EPS, 0.0);
  if (n > 0) opts.weight = &views[0];
  if (n > 1) opts.bias = &views[1];
  if (n == 4 && !learns) {
    opts.mean = &views[2];
    opts.var = &views[3];
  }
  LAT_TRY(call_norm(session, op, x, &opts, &wide), done);
  // float32 parameters widen 16-bit features; a module gives back what it got.
  LAT_TRY(lat_cast(session->context, wide, lat_tensor_dtype(x), &y), done);
  if (learns) LAT_TRY(update_statistics(session, op, x, views), done);
  lat__run_give(session, op->results[0], y, NULL);
  y = NULL;
done:
  lat_tensor_release(wide);
  lat_tensor_release(y);
  return status;
}
