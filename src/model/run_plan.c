// Chains of a program through plans: the weight packed once, the whole chain in one pass over its rows.
#include <lattice/plan.h>

#include "core/compiler.h"
#include "model/program_internal.h"

typedef lat_status (*plan_creator)(lat_context *, const lat_plan_input *, const lat_weight *, const lat_conv3d_opts *,
                                   const lat_plan_opts *, lat_plan **);

static plan_creator creator_of(lat__op_kind kind) {
  switch (kind) {
  case LAT__OP_SUBM_CONV3D:
    return lat_subm_conv3d_plan_create;
  case LAT__OP_NORMALIZED_SUBM_CONV3D:
    return lat_normalized_subm_conv3d_plan_create;
  case LAT__OP_CONV_TRANSPOSE3D:
  case LAT__OP_TARGET_CONV_TRANSPOSE3D:
    return lat_conv_transpose3d_plan_create;
  case LAT__OP_NORMALIZED_CONV_TRANSPOSE3D:
  case LAT__OP_TARGET_NORMALIZED_CONV_TRANSPOSE3D:
    return lat_normalized_conv_transpose3d_plan_create;
  case LAT__OP_GENERATIVE_CONV_TRANSPOSE3D:
    return lat_generative_conv_transpose3d_plan_create;
  case LAT__OP_NORMALIZED_GENERATIVE_CONV_TRANSPOSE3D:
    return lat_normalized_generative_conv_transpose3d_plan_create;
  default:
    return lat_conv3d_plan_create;
  }
}

/// The dispatcher's kind of a graph's activation.
static lat_activation_kind kind_of(const lat__op *op) {
  static const lat_activation_kind gelus[4] = {LAT_ACTIVATION_GELU, LAT_ACTIVATION_GELU_TANH, LAT_ACTIVATION_GELU_FAST,
                                               LAT_ACTIVATION_GELU};
  switch ((lat__activation)lat__op_choice(op, LAT__ATTR_ACTIVATION_KIND, LAT__ACTIVATION_RELU)) {
  case LAT__ACTIVATION_SIGMOID:
    return LAT_ACTIVATION_SIGMOID;
  case LAT__ACTIVATION_SILU:
    return LAT_ACTIVATION_SILU;
  case LAT__ACTIVATION_TANH:
    return LAT_ACTIVATION_TANH;
  case LAT__ACTIVATION_LEAKY_RELU:
    return LAT_ACTIVATION_LEAKY_RELU;
  case LAT__ACTIVATION_GELU:
    return gelus[lat__op_choice(op, LAT__ATTR_APPROXIMATE, 0) & 3];
  case LAT__ACTIVATION_SOFTPLUS:
    return LAT_ACTIVATION_SOFTPLUS;
  default:
    return LAT_ACTIVATION_RELU;
  }
}

/// Everything that a plan's creator borrows.
typedef struct epilogue {
  lat_plan_opts opts;
  lat_norm_opts norm;
  lat_activation_opts activation;
  lat_array_view views[4];
} epilogue;

static void fill_epilogue(const lat_session *session, const lat__chain *chain, epilogue *e) {
  const lat_model *model = session->program->model;
  e->opts = (lat_plan_opts)LAT_PLAN_OPTS_INIT;
  if (chain->norm >= 0 && !chain->folded_weight) {
    const lat__op *norm = &model->ops[chain->norm];
    for (int32_t i = 0; i < 4; i++) {
      int32_t parameter = lat__run_parameter(session, norm->operands[i + 1]);
      e->views[i] = lat_array_as_view(session->program->constants[parameter].dense);
    }
    e->norm = (lat_norm_opts){.struct_bytes = sizeof e->norm,
                              .weight = &e->views[0],
                              .bias = &e->views[1],
                              .mean = &e->views[2],
                              .var = &e->views[3],
                              .eps = lat__op_float(norm, LAT__ATTR_EPS, 0.0)};
    e->opts.norm = &e->norm;
  }
  if (chain->residual >= 0) e->opts.residual = LAT_RESIDUAL_BEFORE_ACTIVATION;
  if (chain->activation >= 0) {
    const lat__op *activation = &model->ops[chain->activation];
    e->activation = (lat_activation_opts){.struct_bytes = sizeof e->activation,
                                          .alpha = lat__op_float(activation, LAT__ATTR_ALPHA, 0.0),
                                          .beta = lat__op_float(activation, LAT__ATTR_BETA, 0.0),
                                          .threshold = lat__op_float(activation, LAT__ATTR_THRESHOLD, 0.0)};
    e->opts.activates = 1;
    e->opts.activation = kind_of(activation);
    e->opts.activation_opts = &e->activation;
  }
}

static uint64_t id_of(const lat_coords *coords) {
  return coords ? lat_coords_id(coords) : 0;
}

/// Remembers panels that are not the program's: the next plan of the chain takes them.
static void keep_panels(const lat__chain *chain, lat__kept_plan *kept) {
  const lat_weight_panels *panels = lat_plan_panels(kept->plan);
  if (panels == chain->panels || panels == kept->panels) return;
  lat_weight_panels_release(kept->panels);
  kept->panels = lat_weight_panels_retain(panels);
}

static lat_status create_plan(lat_session *session, const lat__op *op, const lat_plan_input *input,
                              const lat_coords *target, const lat_weight *weight, const lat_plan_opts *plan_opts,
                              lat_plan **out) {
  lat_context *context = session->context;
  if (op->kind == LAT__OP_LINEAR) return lat_linear_plan_create(context, input, weight, plan_opts, out);
  lat_conv3d_opts opts = lat__conv_opts_of(op);
  opts.coordinates = target;
  return creator_of(op->kind)(context, input, weight, &opts, plan_opts, out);
}

lat_status lat__chain_plan(lat_session *session, const lat__chain *chain, const lat__shape *x,
                           const lat_coords *target) {
  lat_status status = LAT_STATUS_OK;
  const lat__op *op = &session->program->model->ops[chain->conv];
  lat__kept_plan *kept = &session->plans[chain - session->program->chains];
  lat__model_conv operands = {.dtype = x->dtype, .channels = x->channels};
  epilogue e;
  bool same = kept->plan && kept->x_id == id_of(x->coords) && kept->target_id == id_of(target) &&
              kept->dtype == x->dtype && kept->channels == x->channels;
  if (same) return LAT_STATUS_OK;
  lat_plan_release(kept->plan);
  kept->plan = NULL;
  session->n_rebuilt++;
  const lat_plan_input input = {sizeof input, x->coords, x->channels, x->dtype};
  fill_epilogue(session, chain, &e);
  LAT_TRY(lat__model_conv_open_weight(session, op, lat__has_target(op->kind) ? 2 : 1, &operands), done);
  if (chain->folded_weight) LAT_TRY(lat__model_conv_replace(session, chain, &operands), done);
  if (operands.has_bias) e.opts.bias = &operands.bias;
  e.opts.panels = kept->panels ? kept->panels : chain->panels;
  LAT_TRY(create_plan(session, op, &input, target, &operands.weight, &e.opts, &kept->plan), done);
  keep_panels(chain, kept);
  kept->x_id = id_of(x->coords);
  kept->target_id = id_of(target);
  kept->dtype = x->dtype;
  kept->channels = x->channels;
done:
  lat__model_conv_close(&operands);
  return status;
}

/// The operations of a chain one by one: with their own weights, folded or not.
static lat_status run_apart(lat_session *session, const lat__chain *chain) {
  lat_status status = LAT_STATUS_OK;
  for (int32_t i = 0; i < chain->n_ops && !status; i++) {
    const lat__op *op = &session->program->model->ops[chain->ops[i]];
    status = lat__run_fn_of(op->kind)(session, op);
  }
  return status;
}

lat_status lat__run_chain(lat_session *session, const lat__chain *chain) {
  lat_status status = LAT_STATUS_OK;
  const lat_tensor *x = NULL, *residual = NULL;
  lat_tensor *y = NULL;
  lat__kept_plan *kept = &session->plans[chain - session->program->chains];
  const lat__op *op = &session->program->model->ops[chain->conv];
  LAT_TRY(lat__run_tensor(session, op->operands[0], &x), done);
  const lat__shape shape = {lat_tensor_coords(x), lat_tensor_count(x), lat_tensor_channels(x), lat_tensor_dtype(x)};
  const lat_coords *target =
      lat__has_target(op->kind) ? lat_tensor_coords(session->slots[op->operands[1]].tensor) : NULL;
  LAT_TRY(lat__chain_plan(session, chain, &shape, target), done);
  lat_plan_facts facts = lat_plan_info(kept->plan);
  if (chain->residual >= 0) {
    residual = session->slots[chain->residual].tensor;
    bool fits = lat_tensor_coords(residual) == facts.out_coords && lat_tensor_dtype(residual) == facts.out_dtype &&
                lat_tensor_channels(residual) == facts.out_channels &&
                lat_tensor_batch_size(residual) == lat_tensor_batch_size(x);
    if (!fits) return run_apart(session, chain);
  }
  LAT_TRY(lat_plan_apply(session->context, kept->plan, x, residual, &y), done);
  lat__run_give(session, chain->result, y, NULL);
done:
  return status;
}
