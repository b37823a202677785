// Plans: what a convolution or linear layer checks, looks up and packs, kept; and running it on the caller's buffers.

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "backend/backend.h"
#include "coords/coords_internal.h"
#include "core/alloc.h"
#include "core/checked.h"
#include "core/compiler.h"
#include "core/context_internal.h"
#include "ops/norm_internal.h"
#include "ops/plan_internal.h"

struct lat_plan {
  atomic_int refcount;
  lat_context *context; ///< retained
  const char *name;     ///< of the one-shot call
  lat__conv_desc desc;  ///< points at what follows; x, residual, workspace and y belong to a run
  lat__epilogue_desc epilogue;
  lat_weight_panels *panels;          ///< retained
  lat_array *bias, *norm;             ///< float32 (C_out,) and (3, C_out): mean, scale, shift; or NULL
  lat_relation *relation;             ///< retained, or NULL
  lat_coords *in_coords, *out_coords; ///< retained
  lat_residual residual;
  size_t x_bytes, y_bytes;
};

// --- creation ---------------------------------------------------------------------------------------------------------

/// `t` on borrowed coordinates, without features.
static void make_featureless(const lat_coords *coords, int64_t channels, lat_dtype dtype, lat__featureless_tensor *t) {
  *t = (lat__featureless_tensor){.feats.view = lat_view_2d(NULL, dtype, coords->n_rows, channels)};
  t->tensor = (lat_tensor){.coords = (lat_coords *)coords, .feats = &t->feats, .batch_size = -1};
}

static lat_status check_input(const char *op, const lat_plan_input *input) {
  int64_t count = 0;
  size_t bytes = 0;
  if (!input->coords) {
    return lat_fail(LAT_STATUS_INVALID_ARGUMENT, "%s: input.coords: got NULL, expected a coordinate set", op);
  }
  if (input->channels < 0) {
    return lat_fail(LAT_STATUS_INVALID_SHAPE, "%s: channels must be non-negative: got %lld, expected 0 or more", op,
                    (long long)input->channels);
  }
  if (!lat__dtype_is_feature(input->dtype)) {
    return lat_fail(LAT_STATUS_INVALID_DTYPE, "%s: input dtype: got %s, expected float32, float16 or bfloat16", op,
                    lat_dtype_name(input->dtype));
  }
  if (lat__mul_i64(input->coords->n_rows, input->channels, &count) && lat__bytes_of(count, sizeof(float), &bytes)) {
    return LAT_STATUS_OK;
  }
  return lat_fail(LAT_STATUS_OVERFLOW, "%s: input size: got %lld rows of %lld channels, expected a size within size_t",
                  op, (long long)input->coords->n_rows, (long long)input->channels);
}

lat_status lat__plan_open(const lat_context *context, const char *op, const lat_plan_input *input,
                          const lat_plan_opts *opts, lat_plan **out, lat__plan_request *request) {
  lat_status status = LAT_STATUS_OK;
  lat_plan_input in;
  if (!out) return lat_fail(LAT_STATUS_INVALID_ARGUMENT, "%s: out: got NULL, expected a place for the plan", op);
  *out = NULL;
  request->out = out;
  if (!context) return lat_fail(LAT_STATUS_INVALID_ARGUMENT, "%s: context: got NULL, expected a context", op);
  if (!input) return lat_fail(LAT_STATUS_INVALID_ARGUMENT, "%s: input: got NULL, expected a lat_plan_input", op);
  LAT_TRY(lat__opts_copy(op, input, sizeof in, &in), done);
  LAT_TRY(lat__opts_copy(op, opts, sizeof request->opts, &request->opts), done);
  LAT_TRY(check_input(op, &in), done);
  if ((int)request->opts.residual < LAT_RESIDUAL_NONE || (int)request->opts.residual > LAT_RESIDUAL_AFTER_ACTIVATION) {
    status = lat_fail(LAT_STATUS_INVALID_ARGUMENT,
                      "%s: residual: got %d, expected 0 (none), 1 (before the activation) or 2 (after it)", op,
                      (int)request->opts.residual);
    goto done;
  }
  make_featureless(in.coords, in.channels, in.dtype, &request->x);
done:
  return status;
}

/// mean, scale and shift of a batch norm in evaluation mode, as lat_batch_norm has them.
static lat_status take_norm(lat_context *context, const char *op, const lat_norm_opts *opts, lat_plan *plan) {
  lat_status status = LAT_STATUS_OK;
  lat__norm_parameters parameters = {.eps = 0.0f};
  lat__featureless_tensor y;
  const int64_t channels = plan->desc.c_out, shape[2] = {3, channels};
  make_featureless(plan->out_coords, channels, plan->desc.dtype_out, &y);
  LAT_TRY(lat__norm_parameters_take(context, op, LAT__NORM_BATCH, &y.tensor, opts, &parameters), done);
  if (!parameters.mean || !parameters.var) {
    status =
        lat_fail(LAT_STATUS_INVALID_ARGUMENT, "%s: norm needs mean and var: got NULL, expected (C_out,) views", op);
    goto done;
  }
  LAT_TRY(lat__array_new(context, op, LAT_DTYPE_F32, 2, shape, &plan->norm), done);
  float *mean = lat_array_data(plan->norm), *scale = mean + channels, *shift = scale + channels;
  const float *var = lat__norm_values(parameters.var), *weight = lat__norm_values(parameters.weight);
  const float *bias = lat__norm_values(parameters.bias);
  for (int64_t c = 0; c < channels; c++) {
    mean[c] = lat__norm_values(parameters.mean)[c];
    scale[c] = 1.0f / sqrtf(var[c] + parameters.eps) * (weight ? weight[c] : 1.0f);
    shift[c] = bias ? bias[c] : 0.0f;
  }
  plan->epilogue.mean = mean;
  plan->epilogue.scale = scale;
  plan->epilogue.shift = shift;
done:
  lat__norm_parameters_release(&parameters);
  return status;
}

static lat_status take_epilogue(lat_context *context, const char *op, const lat_plan_opts *opts, lat_plan *plan) {
  lat_status status = LAT_STATUS_OK;
  lat__activation_desc activation;
  lat__epilogue_desc *epilogue = &plan->epilogue;
  if (opts->norm) LAT_TRY(take_norm(context, op, opts->norm, plan), done);
  if (opts->activates) {
    LAT_TRY(lat__activation_check(op, opts->activation, opts->activation_opts, plan->desc.dtype_out, &activation),
            done);
    epilogue->activates = true;
    epilogue->kind = activation.kind;
    epilogue->alpha = activation.alpha;
    epilogue->beta = activation.beta;
    epilogue->threshold = activation.threshold;
  }
  plan->residual = opts->residual;
  epilogue->adds_residual = opts->residual != LAT_RESIDUAL_NONE;
  epilogue->residual_last = opts->residual == LAT_RESIDUAL_AFTER_ACTIVATION;
  if (opts->norm || opts->activates || epilogue->adds_residual) plan->desc.epilogue = epilogue;
done:
  return status;
}

static lat_status count_bytes(const char *op, lat_plan *plan) {
  const lat__conv_desc *desc = &plan->desc;
  int64_t count = 0;
  plan->x_bytes = (size_t)(desc->n_in * desc->c_in) * lat_dtype_bytes(desc->dtype); // checked with the input
  if (lat__mul_i64(desc->n_out, desc->c_out, &count) &&
      lat__bytes_of(count, lat_dtype_bytes(desc->dtype_out), &plan->y_bytes)) {
    return LAT_STATUS_OK;
  }
  return lat_fail(LAT_STATUS_OVERFLOW, "%s: result size: got %lld rows of %lld channels, expected a size within size_t",
                  op, (long long)desc->n_out, (long long)desc->c_out);
}

/// The caller's panels where they are those that the plan would make, else its own.
static lat_status take_panels(lat_context *context, const char *op, const lat_plan_opts *opts, lat_plan *plan) {
  lat_status status = LAT_STATUS_OK;
  if (opts->panels && lat__weight_panels_fit(context, opts->panels, &plan->desc)) {
    plan->panels = lat_weight_panels_retain(opts->panels);
  } else {
    status = lat__weight_panels_new(context, op, &plan->desc, &plan->panels);
  }
  if (!status) plan->desc.packed = plan->panels->packed;
  return status;
}

static lat_status make_plan(lat_context *context, const lat__conv_operands *operands, const lat__conv_place *place,
                            const lat__plan_request *request) {
  lat_status status = LAT_STATUS_OK;
  void *memory = NULL;
  lat_plan *plan = NULL;
  LAT_TRY(lat__alloc_zero(context, operands->op, 1, sizeof *plan, &memory), done);
  plan = memory;
  atomic_init(&plan->refcount, 1);
  plan->context = lat__context_retain(context);
  plan->name = request->name;
  plan->desc = operands->desc;
  plan->desc.pairs = place->pairs;
  plan->desc.n_out = place->out_coords->n_rows;
  plan->relation = lat_relation_retain(place->relation);
  plan->in_coords = lat_coords_retain(operands->x->coords);
  plan->out_coords = lat_coords_retain(place->out_coords);
  plan->bias = lat_array_retain(operands->bias);
  LAT_TRY(count_bytes(operands->op, plan), done);
  LAT_TRY(take_epilogue(context, operands->op, &request->opts, plan), done);
  plan->desc.quantizes_x = request->opts.quantizes_features != 0;
  if (plan->desc.quantizes_x) LAT_TRY(lat__check_quantizes(operands->op, &plan->desc), done);
  LAT_TRY(take_panels(context, operands->op, &request->opts, plan), done);
  plan->desc.weight.data = plan->desc.weight.words = plan->desc.weight.scales = plan->desc.weight.biases = NULL;
  *request->out = plan;
  plan = NULL;
done:
  lat_plan_release(plan);
  return status;
}

lat_status lat__conv_goal_check(const char *op, const lat_context *context, const lat_tensor *x,
                                const lat__conv_goal *goal) {
  return goal->plan ? LAT_STATUS_OK : lat__op_check(op, context, "x", x, goal->tensor);
}

lat_status lat__conv_reach_goal(lat_context *context, lat__conv_operands *operands, const lat__conv_place *place,
                                const lat__conv_goal *goal) {
  if (goal->plan) return make_plan(context, operands, place, goal->plan);
  return lat__conv_run(context, operands, place->pairs, place->out_coords, goal->tensor);
}

lat_plan *lat_plan_retain(const lat_plan *plan) {
  lat_plan *shared = (lat_plan *)plan; // the count of a const object may change
  if (shared) atomic_fetch_add_explicit(&shared->refcount, 1, memory_order_relaxed);
  return shared;
}

void lat_plan_release(lat_plan *plan) {
  if (!plan || atomic_fetch_sub_explicit(&plan->refcount, 1, memory_order_acq_rel) != 1) return;
  lat_context *context = plan->context;
  lat_weight_panels_release(plan->panels);
  lat_array_release(plan->bias);
  lat_array_release(plan->norm);
  lat_relation_release(plan->relation);
  lat_coords_release(plan->in_coords);
  lat_coords_release(plan->out_coords);
  lat__free(context, plan);
  lat__context_release(context);
}

// --- facts ------------------------------------------------------------------------------------------------------------

lat_plan_facts lat_plan_info(const lat_plan *plan) {
  const lat__conv_desc *desc = &plan->desc;
  return (lat_plan_facts){.op = plan->name,
                          .in_coords = plan->in_coords,
                          .out_coords = plan->out_coords,
                          .in_rows = desc->n_in,
                          .in_channels = desc->c_in,
                          .out_rows = desc->n_out,
                          .out_channels = desc->c_out,
                          .in_dtype = desc->dtype,
                          .out_dtype = desc->dtype_out,
                          .out_stride = plan->out_coords->stride,
                          .residual = plan->residual,
                          .out_bytes = plan->y_bytes,
                          .weight_bytes = lat_weight_panels_bytes(plan->panels)};
}

const lat_weight_panels *lat_plan_panels(const lat_plan *plan) {
  return plan->panels;
}

static lat_status check_plan(const char *op, const lat_context *context, const lat_plan *plan) {
  if (!context) return lat_fail(LAT_STATUS_INVALID_ARGUMENT, "%s: context: got NULL, expected a context", op);
  if (!plan) return lat_fail(LAT_STATUS_INVALID_ARGUMENT, "%s: plan: got NULL, expected a plan", op);
  return LAT_STATUS_OK;
}

lat_status lat_plan_workspace_bytes(lat_context *context, const lat_plan *plan, size_t *bytes) {
  static const char op[] = "plan_workspace_bytes";
  lat_status status = check_plan(op, context, plan);
  if (status) return status;
  if (!bytes) return lat_fail(LAT_STATUS_INVALID_ARGUMENT, "%s: bytes: got NULL, expected a place for the number", op);
  return lat__backend_of(context)->conv_workspace(context, &plan->desc, bytes);
}

/// Appends ` + name`, or name at the beginning, to the list of steps.
static void add_step(char *steps, size_t bytes, const char *name) {
  size_t used = strlen(steps);
  snprintf(steps + used, bytes - used, "%s%s", used > 0 ? " + " : ", ", name);
}

lat_status lat_plan_explain(lat_context *context, const lat_plan *plan, char *text, size_t text_bytes) {
  static const char op[] = "plan_explain";
  static const char *const activations[] = {"relu", "sigmoid",   "silu",      "tanh",     "leaky_relu",
                                            "gelu", "gelu_tanh", "gelu_fast", "softplus", "exp"};
  char algorithm[LAT_ALGORITHM_NAME_BYTES], steps[64] = "";
  lat_status status = check_plan(op, context, plan);
  if (status) return status;
  if (!text) return lat_fail(LAT_STATUS_INVALID_ARGUMENT, "%s: text: got NULL, expected a text buffer", op);
  const lat__conv_desc *desc = &plan->desc;
  const lat__epilogue_desc *epilogue = &plan->epilogue;
  if (desc->bias) add_step(steps, sizeof steps, "bias");
  if (epilogue->mean) add_step(steps, sizeof steps, "norm");
  if (plan->residual == LAT_RESIDUAL_BEFORE_ACTIVATION) add_step(steps, sizeof steps, "residual");
  if (epilogue->activates) add_step(steps, sizeof steps, activations[epilogue->kind]);
  if (plan->residual == LAT_RESIDUAL_AFTER_ACTIVATION) add_step(steps, sizeof steps, "residual");
  lat__backend_of(context)->conv_algorithm(context, desc, algorithm, sizeof algorithm);
  snprintf(text, text_bytes, "%s: %s, %lld x %lld to %lld x %lld, %d kernel elements, %lld pairs%s", plan->name,
           algorithm, (long long)desc->n_in, (long long)desc->c_in, (long long)desc->n_out, (long long)desc->c_out,
           (int)desc->n_kernels, (long long)(desc->pairs ? desc->pairs->n_edges : desc->n_out), steps);
  return LAT_STATUS_OK;
}

// --- running ----------------------------------------------------------------------------------------------------------

static lat_status check_features(const char *op, const char *name, const lat_array_view *view, int64_t rows,
                                 int64_t channels, lat_dtype dtype) {
  char text[128];
  int64_t count = 0;
  lat_status status = lat__view_check(op, name, view, &count);
  if (status) return status;
  if (view->rank != 2 || view->shape[0] != rows || view->shape[1] != channels) {
    return lat_fail(LAT_STATUS_INVALID_SHAPE, "%s: %s must have shape (rows, channels): got %s, expected (%lld, %lld)",
                    op, name, lat__shape_text(view, text, sizeof text), (long long)rows, (long long)channels);
  }
  if (view->dtype != dtype) {
    return lat_fail(LAT_STATUS_INVALID_DTYPE, "%s: %s dtype: got %s, expected %s", op, name,
                    lat_dtype_name(view->dtype), lat_dtype_name(dtype));
  }
  if (lat__view_contiguous(view)) return LAT_STATUS_OK;
  return lat_fail(LAT_STATUS_INVALID_SHAPE,
                  "%s: %s must be contiguous: got strides (%lld, %lld), expected (%lld, 1), since a run copies nothing",
                  op, name, (long long)view->stride[0], (long long)view->stride[1], (long long)channels);
}

static lat_status check_residual(const char *op, const lat_plan *plan, const lat_array_view *residual) {
  const lat__conv_desc *desc = &plan->desc;
  if (plan->residual == LAT_RESIDUAL_NONE) {
    if (!residual) return LAT_STATUS_OK;
    return lat_fail(LAT_STATUS_INVALID_ARGUMENT, "%s: residual: got one, expected NULL (the plan adds none)", op);
  }
  if (!residual) {
    return lat_fail(LAT_STATUS_INVALID_ARGUMENT, "%s: residual: got NULL, expected (%lld, %lld) %s features", op,
                    (long long)desc->n_out, (long long)desc->c_out, lat_dtype_name(desc->dtype_out));
  }
  return check_features(op, "residual", residual, desc->n_out, desc->c_out, desc->dtype_out);
}

/// A piece of memory with its name.
typedef struct memory_range {
  const char *name;
  const void *data;
  size_t bytes;
} memory_range;

static lat_status check_apart(const char *op, const memory_range *a, const memory_range *b) {
  uintptr_t first = (uintptr_t)a->data, second = (uintptr_t)b->data;
  if (a->bytes == 0 || b->bytes == 0) return LAT_STATUS_OK;
  if (first < second ? second - first >= a->bytes : first - second >= b->bytes) return LAT_STATUS_OK;
  return lat_fail(LAT_STATUS_INVALID_ARGUMENT, "%s: %s must not overlap %s: got ranges of %zu and %zu bytes %zu apart",
                  op, a->name, b->name, a->bytes, b->bytes, (size_t)(first < second ? second - first : first - second));
}

static lat_status check_room(const char *op, const memory_range *range, size_t needed) {
  if (!range->data && needed > 0) {
    return lat_fail(LAT_STATUS_INVALID_ARGUMENT, "%s: %s: got NULL, expected %zu bytes", op, range->name, needed);
  }
  if (range->bytes >= needed) return LAT_STATUS_OK;
  return lat_fail(LAT_STATUS_INVALID_ARGUMENT, "%s: %s is too small: got %zu bytes, expected %zu", op, range->name,
                  range->bytes, needed);
}

static lat_status check_memory(lat_context *context, const char *op, const lat_plan *plan, const lat_plan_buffers *b) {
  lat_status status = LAT_STATUS_OK;
  size_t needed = 0, item = lat_dtype_bytes(plan->desc.dtype_out);
  memory_range y = {"y", b->y, b->y_bytes}, workspace = {"workspace", b->workspace, b->workspace_bytes};
  LAT_TRY(lat__backend_of(context)->conv_workspace(context, &plan->desc, &needed), done);
  LAT_TRY(check_room(op, &y, plan->y_bytes), done);
  LAT_TRY(check_room(op, &workspace, needed), done);
  if ((uintptr_t)b->y % item != 0) {
    status =
        lat_fail(LAT_STATUS_INVALID_ARGUMENT, "%s: y must be aligned to its elements: got an address modulo %zu of %zu",
                 op, item, (size_t)((uintptr_t)b->y % item));
    goto done;
  }
  y.bytes = plan->y_bytes; // what is written
  workspace.bytes = needed;
  memory_range x = {"x", b->x->data, plan->x_bytes};
  memory_range residual = {"residual", b->residual ? b->residual->data : NULL, b->residual ? plan->y_bytes : 0};
  LAT_TRY(check_apart(op, &y, &x), done);
  LAT_TRY(check_apart(op, &y, &residual), done);
  LAT_TRY(check_apart(op, &y, &workspace), done);
  LAT_TRY(check_apart(op, &workspace, &x), done);
  LAT_TRY(check_apart(op, &workspace, &residual), done);
done:
  return status;
}

lat_status lat_plan_run(lat_context *context, const lat_plan *plan, const lat_plan_buffers *buffers) {
  static const char op[] = "plan_run";
  lat_status status = LAT_STATUS_OK;
  lat_plan_buffers b;
  LAT_TRY(check_plan(op, context, plan), done);
  if (!buffers) {
    status = lat_fail(LAT_STATUS_INVALID_ARGUMENT, "%s: buffers: got NULL, expected a lat_plan_buffers", op);
    goto done;
  }
  LAT_TRY(lat__opts_copy(op, buffers, sizeof b, &b), done);
  lat__conv_desc desc = plan->desc;
  LAT_TRY(check_features(op, "x", b.x, desc.n_in, desc.c_in, desc.dtype), done);
  LAT_TRY(check_residual(op, plan, b.residual), done);
  LAT_TRY(check_memory(context, op, plan, &b), done);
  desc.x = b.x->data;
  desc.residual = b.residual ? b.residual->data : NULL;
  desc.y = b.y;
  desc.workspace = b.workspace;
  LAT_TRY(lat__backend_of(context)->conv(context, &desc), done);
done:
  return status;
}

static lat_status check_set(const char *op, const char *name, const char *which, const lat_tensor *tensor,
                            const lat_coords *expected) {
  if (!tensor || tensor->coords == expected) return LAT_STATUS_OK;
  return lat_fail(LAT_STATUS_INVALID_ARGUMENT,
                  "%s: %s must lie on the plan's %s set: got another set of %lld rows, expected that one of %lld rows",
                  op, name, which, (long long)tensor->coords->n_rows, (long long)expected->n_rows);
}

lat_status lat_plan_apply(lat_context *context, const lat_plan *plan, const lat_tensor *x, const lat_tensor *residual,
                          lat_tensor **out) {
  static const char op[] = "plan_apply";
  lat_status status = LAT_STATUS_OK;
  lat_array *y = NULL;
  void *workspace = NULL;
  size_t workspace_bytes = 0;
  LAT_TRY(lat__op_check(op, context, "x", x, out), done);
  LAT_TRY(check_plan(op, context, plan), done);
  LAT_TRY(check_set(op, "x", "input", x, plan->in_coords), done);
  LAT_TRY(check_set(op, "residual", "output", residual, plan->out_coords), done);
  LAT_TRY(lat_plan_workspace_bytes(context, plan, &workspace_bytes), done);
  LAT_TRY(lat__alloc(context, op, workspace_bytes, &workspace), done);
  LAT_TRY(lat__array_new_2d(context, op, plan->desc.dtype_out, plan->desc.n_out, plan->desc.c_out, &y), done);
  lat_plan_buffers buffers = {.struct_bytes = sizeof buffers,
                              .x = &x->feats->view,
                              .residual = residual ? &residual->feats->view : NULL,
                              .y = lat_array_data(y),
                              .y_bytes = plan->y_bytes,
                              .workspace = workspace,
                              .workspace_bytes = workspace_bytes};
  LAT_TRY(lat_plan_run(context, plan, &buffers), done);
  LAT_TRY(lat__tensor_new(context, op, plan->out_coords, y, x, out), done);
done:
  lat__free(context, workspace);
  lat_array_release(y);
  return status;
}
