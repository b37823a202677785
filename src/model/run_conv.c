// Convolutions and linear layers of a program: operands and options from the graph, then the public call.
#include <lattice/conv_normalized.h>
#include <lattice/conv_transpose.h>
#include <lattice/feature.h>

#include "core/compiler.h"
#include "model/program_internal.h"

/// The public call of an operation.
typedef lat_status (*conv_call)(lat_context *, const lat_tensor *, const lat_weight *, const lat_array_view *,
                                const lat_conv3d_opts *, lat_tensor **);

static conv_call call_of(lat__op_kind kind) {
  switch (kind) {
  case LAT__OP_SUBM_CONV3D:
    return lat_subm_conv3d;
  case LAT__OP_NORMALIZED_SUBM_CONV3D:
    return lat_normalized_subm_conv3d;
  case LAT__OP_CONV_TRANSPOSE3D:
  case LAT__OP_TARGET_CONV_TRANSPOSE3D:
    return lat_conv_transpose3d;
  case LAT__OP_NORMALIZED_CONV_TRANSPOSE3D:
  case LAT__OP_TARGET_NORMALIZED_CONV_TRANSPOSE3D:
    return lat_normalized_conv_transpose3d;
  case LAT__OP_GENERATIVE_CONV_TRANSPOSE3D:
    return lat_generative_conv_transpose3d;
  case LAT__OP_NORMALIZED_GENERATIVE_CONV_TRANSPOSE3D:
    return lat_normalized_generative_conv_transpose3d;
  default:
    return lat_conv3d;
  }
}

void lat__model_conv_close(lat__model_conv *o) {
  lat_array_release(o->owned[0]);
  lat_array_release(o->owned[1]);
  lat_quantized_weight_release(o->made);
}

/// `array` in `dtype`, cast into `*owned` when it is not.
static lat_status view_as(lat_session *session, const lat_array *array, lat_dtype dtype, lat_array **owned,
                          lat_array_view *out) {
  *out = lat_array_as_view(array);
  if (out->dtype == dtype) return LAT_STATUS_OK;
  lat_array_release(*owned);
  *owned = NULL;
  lat_status status = lat_array_cast(session->context, out, dtype, owned);
  if (!status) *out = lat_array_as_view(*owned);
  return status;
}

/// The parameter's values in the dtype of the features.
static lat_status dense_as(lat_session *session, int32_t parameter, lat_dtype dtype, lat_array **owned,
                           lat_array_view *out) {
  return view_as(session, session->program->constants[parameter].dense, dtype, owned, out);
}

lat_status lat__model_conv_replace(lat_session *session, const lat__chain *chain, lat__model_conv *o) {
  lat_status status = LAT_STATUS_OK;
  lat_array_view weight;
  lat_dtype dtype = o->dtype;
  LAT_TRY(view_as(session, chain->folded_weight, dtype, &o->owned[0], &weight), done);
  LAT_TRY(view_as(session, chain->folded_bias, dtype, &o->owned[1], &o->bias), done);
  o->weight = lat_weight_dense(weight);
  o->has_bias = true;
done:
  return status;
}

static lat_status open_weight(lat_session *session, const lat__op *op, int32_t index, lat__model_conv *o) {
  const lat_program *program = session->program;
  const lat__parameter *parameter = &program->model->parameters[index];
  if (!parameter->packing.bits) {
    lat_array_view view;
    lat_status status = dense_as(session, index, o->dtype, &o->owned[0], &view);
    o->weight = lat_weight_dense(view);
    return status;
  }
  const lat_quantized_weight *packed = program->constants[index].packed;
  int64_t c_in = o->channels / lat__op_int(op, LAT__ATTR_GROUPS, 1);
  if (!packed || lat_quantized_weight_info(packed).in_channels != c_in) {
    lat_triple kernel = lat__op_triple(op, LAT__ATTR_KERNEL_SIZE, lat_triple_all(1));
    lat_status status = lat__constant_unpack(session->context, parameter, c_in, kernel, &o->made);
    if (status) return status;
    packed = o->made;
  }
  o->weight = lat_weight_packed(packed);
  return LAT_STATUS_OK;
}

lat_status lat__model_conv_open_weight(lat_session *session, const lat__op *op, int32_t first, lat__model_conv *o) {
  lat_status status = LAT_STATUS_OK;
  LAT_TRY(open_weight(session, op, lat__run_parameter(session, op->operands[first]), o), done);
  if (lat__op_operand(op, first + 1) >= 0) {
    int32_t bias = lat__run_parameter(session, op->operands[first + 1]);
    LAT_TRY(dense_as(session, bias, o->dtype, &o->owned[1], &o->bias), done);
    o->has_bias = true;
  }
done:
  return status;
}

lat_status lat__model_conv_open(lat_session *session, const lat__op *op, int32_t first, lat__model_conv *o) {
  lat_status status = lat__run_tensor(session, op->operands[0], &o->x);
  if (status) return status;
  o->dtype = lat_tensor_dtype(o->x);
  o->channels = lat_tensor_channels(o->x);
  return lat__model_conv_open_weight(session, op, first, o);
}

bool lat__has_target(lat__op_kind kind) {
  return kind == LAT__OP_TARGET_CONV3D || kind == LAT__OP_TARGET_CONV_TRANSPOSE3D ||
         kind == LAT__OP_TARGET_NORMALIZED_CONV_TRANSPOSE3D;
}

lat_conv3d_opts lat__conv_opts_of(const lat__op *op) {
  lat_conv3d_opts opts = LAT_CONV3D_OPTS_INIT;
  const lat_triple none = {0, 0, 0};
  opts.kernel_size = lat__op_triple(op, LAT__ATTR_KERNEL_SIZE, none);
  opts.stride = lat__op_triple(op, LAT__ATTR_STRIDE, none);
  opts.padding = lat__op_triple(op, LAT__ATTR_PADDING, none);
  opts.dilation = lat__op_triple(op, LAT__ATTR_DILATION, none);
  opts.groups = (int32_t)lat__op_int(op, LAT__ATTR_GROUPS, 0);
  opts.support = (lat_support)lat__op_choice(op, LAT__ATTR_SUPPORT, LAT_SUPPORT_FLOOR);
  opts.bounds = lat__op_triple(op, LAT__ATTR_BOUNDS, none);
  opts.eps = lat__op_float(op, LAT__ATTR_EPS, 0.0);
  return opts;
}

lat_status lat__run_conv(lat_session *session, const lat__op *op) {
  lat_status status = LAT_STATUS_OK;
  bool onto_target = lat__has_target(op->kind);
  lat__model_conv o = {0};
  lat_tensor *y = NULL;
  lat_conv3d_opts opts = lat__conv_opts_of(op);
  LAT_TRY(lat__model_conv_open(session, op, onto_target ? 2 : 1, &o), done);
  if (onto_target) opts.coordinates = lat_tensor_coords(session->slots[op->operands[1]].tensor);
  LAT_TRY(call_of(op->kind)(session->context, o.x, &o.weight, o.has_bias ? &o.bias : NULL, &opts, &y), done);
  lat__run_give(session, op->results[0], y, NULL);
done:
  lat__model_conv_close(&o);
  return status;
}

lat_status lat__run_linear(lat_session *session, const lat__op *op) {
  lat_status status = LAT_STATUS_OK;
  lat__model_conv o = {0};
  lat_tensor *y = NULL;
  LAT_TRY(lat__model_conv_open(session, op, 1, &o), done);
  LAT_TRY(lat_linear(session->context, o.x, &o.weight, o.has_bias ? &o.bias : NULL, &y), done);
  lat__run_give(session, op->results[0], y, NULL);
done:
  lat__model_conv_close(&o);
  return status;
}
