// The modules of nn.h on features: linear, embedding, activations, dropout.
#include <math.h>

#include "model/nn_internal.h"

bool lat__nn_packing(lat_nn *nn, int64_t c_in, int32_t *bits, int32_t *group_size) {
  if (*bits == 0) *bits = 4;
  if (*group_size == 0) *group_size = c_in >= 64 ? 64 : 32;
  if (*bits != 4 && *bits != 8) {
    return lat__nn_refuse(nn, LAT_STATUS_INVALID_ARGUMENT, "bits: got %d, expected 4 or 8", (int)*bits);
  }
  if (*group_size == 32 || *group_size == 64 || *group_size == 128) return true;
  return lat__nn_refuse(nn, LAT_STATUS_INVALID_ARGUMENT,
                        "group_size must be 32, 64, or 128: got %d, expected one of them", (int)*group_size);
}

// --- linear and embedding -------------------------------------------------------------------------------------------

static lat__type with_channels(const lat__type *dense, int64_t channels) {
  lat__type type = *dense;
  type.rank = 2;
  type.dims[1] = channels;
  return type;
}

/// Weight, bias and operation; `feats` is dense.
static lat_value append_linear(lat_nn *nn, lat_value feats, int64_t dims_in, int64_t dims_out,
                               const lat_nn_linear_opts *o) {
  lat__nn_param weight = {.name = "weight",
                          .family = LAT__FAMILY_LINEAR,
                          .init = LAT__NN_INIT_UNIFORM,
                          .bound = 1.0 / sqrt((double)dims_in),
                          .rank = 2,
                          .shape = {dims_out, dims_in},
                          .bits = o->bits,
                          .group_size = o->group_size};
  lat__nn_param bias = {.name = "bias",
                        .family = LAT__FAMILY_BIAS,
                        .init = LAT__NN_INIT_UNIFORM,
                        .bound = weight.bound,
                        .rank = 1,
                        .shape = {dims_out}};
  const lat_value operands[3] = {feats, lat__nn_parameter(nn, &weight), o->no_bias ? 0 : lat__nn_parameter(nn, &bias)};
  if (nn->status) return 0;
  lat__type type = with_channels(lat__nn_type(nn, "x", feats), dims_out);
  return lat__nn_result(nn, lat__nn_emit(nn, LAT__OP_LINEAR, operands, 3, &type));
}

static lat_value build_linear(lat_nn *nn, const char *op, bool quantized, lat_value x, const int64_t dims[2],
                              const lat_nn_linear_opts *opts) {
  lat_nn_linear_opts o = LAT_NN_LINEAR_OPTS_INIT;
  if (!lat__nn_options(nn, opts, sizeof o, &o) || !lat__nn_module(nn, op, o.name)) return 0;
  if (!lat__nn_channels_match(nn, "input_dims", dims[0], x)) return 0;
  if (dims[1] <= 0) {
    lat__nn_refuse(nn, LAT_STATUS_INVALID_SHAPE, "output_dims: got %lld, expected at least 1", (long long)dims[1]);
    return 0;
  }
  if (!quantized && (o.bits || o.group_size)) {
    lat__nn_refuse(nn, LAT_STATUS_INVALID_ARGUMENT, "bits: got %d, expected none for a dense module", (int)o.bits);
    return 0;
  }
  if (quantized && !lat__nn_packing(nn, dims[0], &o.bits, &o.group_size)) return 0;
  return lat__nn_close(nn, x, append_linear(nn, lat__nn_open(nn, x), dims[0], dims[1], &o));
}

lat_value lat_nn_linear(lat_nn *nn, lat_value x, int64_t input_dims, int64_t output_dims,
                        const lat_nn_linear_opts *opts) {
  return build_linear(nn, "linear", false, x, (int64_t[2]){input_dims, output_dims}, opts);
}

lat_value lat_nn_quantized_linear(lat_nn *nn, lat_value x, int64_t input_dims, int64_t output_dims,
                                  const lat_nn_linear_opts *opts) {
  return build_linear(nn, "quantized_linear", true, x, (int64_t[2]){input_dims, output_dims}, opts);
}

lat_value lat_nn_embedding(lat_nn *nn, lat_value x, int64_t num_embeddings, int64_t dims, const char *name) {
  if (!lat__nn_module(nn, "embedding", name)) return 0;
  const lat__type *indices = lat__nn_type(nn, "x", x);
  if (!indices) return 0;
  if (indices->kind != LAT__TYPE_TENSOR || indices->rank != 1 || indices->elem != LAT__ELEM_I32) {
    lat__nn_refuse(nn, LAT_STATUS_INVALID_DTYPE, "x: got %s, expected an int32 tensor of rank 1",
                   lat__type_kind_name(indices->kind));
    return 0;
  }
  if (num_embeddings <= 0 || dims <= 0) {
    lat__nn_refuse(nn, LAT_STATUS_INVALID_SHAPE, "num_embeddings and dims: got %lld and %lld, expected at least 1",
                   (long long)num_embeddings, (long long)dims);
    return 0;
  }
  lat__nn_param weight = {.name = "weight",
                          .family = LAT__FAMILY_EMBEDDING,
                          .init = LAT__NN_INIT_UNIFORM,
                          .bound = sqrt(1.0 / (double)dims),
                          .rank = 2,
                          .shape = {num_embeddings, dims}};
  const lat_value operands[2] = {x, lat__nn_parameter(nn, &weight)};
  lat__type type = {.kind = LAT__TYPE_TENSOR, .elem = LAT__ELEM_F32, .rank = 2, .dims = {-1, dims}};
  return lat__nn_result(nn, lat__nn_emit(nn, LAT__OP_EMBEDDING_LOOKUP, operands, 2, &type));
}

// --- activations ----------------------------------------------------------------------------------------------------

/// One activation with its parameters.
typedef struct activation_build {
  const char *name;
  lat__activation kind;
  int32_t approximate;
  double alpha;
} activation_build;

/// Features of x for a module without parameters; 0 when something is wrong.
static lat_value open_features(lat_nn *nn, const char *op, lat_value x) {
  if (!lat__nn_module(nn, op, NULL)) return 0;
  const lat__type *type = lat__nn_type(nn, "x", x);
  if (!type) return 0;
  if (lat__nn_type_channels(type) <= 0) {
    lat__nn_refuse(nn, LAT_STATUS_INVALID_SHAPE, "x: got %s without channels, expected a sparse or a rank-2 tensor",
                   lat__type_kind_name(type->kind));
    return 0;
  }
  return lat__nn_open(nn, x);
}

static lat_value build_activation(lat_nn *nn, lat_value x, const activation_build *build) {
  lat_value feats = open_features(nn, build->name, x);
  if (!feats) return 0;
  lat__type type = *lat__nn_type(nn, "x", feats);
  int32_t at = lat__nn_emit(nn, LAT__OP_ACTIVATION, &feats, 1, &type);
  if (at < 0) return 0;
  lat__op *op = lat__nn_op(nn, at);
  lat__op_set_choice(op, LAT__ATTR_ACTIVATION_KIND, (int32_t)build->kind);
  lat__op_set_choice(op, LAT__ATTR_APPROXIMATE, build->approximate);
  lat__op_set_float(op, LAT__ATTR_ALPHA, build->alpha);
  lat__op_set_float(op, LAT__ATTR_BETA, 1.0);
  lat__op_set_float(op, LAT__ATTR_THRESHOLD, 20.0);
  return lat__nn_close(nn, x, lat__nn_result(nn, at));
}

lat_value lat_nn_relu(lat_nn *nn, lat_value x) {
  return build_activation(nn, x, &(activation_build){"relu", LAT__ACTIVATION_RELU, 0, 0.01});
}

lat_value lat_nn_sigmoid(lat_nn *nn, lat_value x) {
  return build_activation(nn, x, &(activation_build){"sigmoid", LAT__ACTIVATION_SIGMOID, 0, 0.01});
}

lat_value lat_nn_silu(lat_nn *nn, lat_value x) {
  return build_activation(nn, x, &(activation_build){"silu", LAT__ACTIVATION_SILU, 0, 0.01});
}

lat_value lat_nn_tanh(lat_nn *nn, lat_value x) {
  return build_activation(nn, x, &(activation_build){"tanh", LAT__ACTIVATION_TANH, 0, 0.01});
}

lat_value lat_nn_gelu(lat_nn *nn, lat_value x, lat_gelu_approx approximate) {
  if (approximate < LAT_GELU_NONE || approximate > LAT_GELU_FAST) {
    return lat_nn_fail(nn, LAT_STATUS_INVALID_ARGUMENT, "gelu: approximate: got %d, expected a lat_gelu_approx",
                       (int)approximate);
  }
  return build_activation(nn, x, &(activation_build){"gelu", LAT__ACTIVATION_GELU, (int32_t)approximate, 0.01});
}

lat_value lat_nn_leaky_relu(lat_nn *nn, lat_value x, double negative_slope) {
  double alpha = negative_slope == 0.0 ? 0.01 : negative_slope;
  if (!(alpha >= 0.0 && isfinite(alpha))) {
    return lat_nn_fail(nn, LAT_STATUS_INVALID_ARGUMENT,
                       "leaky_relu: negative_slope: got %g, expected a finite number of at least 0", negative_slope);
  }
  return build_activation(nn, x, &(activation_build){"leaky_relu", LAT__ACTIVATION_LEAKY_RELU, 0, alpha});
}

lat_value lat_nn_softplus(lat_nn *nn, lat_value x) {
  return build_activation(nn, x, &(activation_build){"softplus", LAT__ACTIVATION_SOFTPLUS, 0, 0.01});
}

lat_value lat_nn_dropout(lat_nn *nn, lat_value x, double p) {
  lat_value feats = open_features(nn, "dropout", x);
  if (!feats) return 0;
  if (!(p >= 0.0 && p < 1.0)) {
    lat__nn_refuse(nn, LAT_STATUS_INVALID_ARGUMENT, "p must be in [0, 1): got %g, expected 0 <= p < 1", p);
    return 0;
  }
  lat__type type = *lat__nn_type(nn, "x", feats);
  int32_t at = lat__nn_emit(nn, LAT__OP_DROPOUT, &feats, 1, &type);
  if (at < 0) return 0;
  lat__op_set_float(lat__nn_op(nn, at), LAT__ATTR_P, p);
  return lat__nn_close(nn, x, lat__nn_result(nn, at));
}

// --- functions of dense values --------------------------------------------------------------------------------------

/// exp, round and softmax: of dense values, float32 out.
static int32_t emit_dense(lat_nn *nn, const char *name, lat__op_kind kind, lat_value x) {
  lat_value feats = open_features(nn, name, x);
  if (!feats) return -1;
  if (feats != x) {
    lat__nn_refuse(nn, LAT_STATUS_INVALID_ARGUMENT, "x: got a sparse tensor, expected a rank-2 tensor");
    return -1;
  }
  lat__type type = *lat__nn_type(nn, "x", x);
  type.elem = LAT__ELEM_F32;
  return lat__nn_emit(nn, kind, &x, 1, &type);
}

static lat_value build_elementwise(lat_nn *nn, const char *name, int32_t choice, lat_value x) {
  int32_t at = emit_dense(nn, name, LAT__OP_ELEMENTWISE, x);
  if (at >= 0) lat__op_set_choice(lat__nn_op(nn, at), LAT__ATTR_ELEMENTWISE_KIND, choice);
  return at < 0 ? 0 : lat__nn_result(nn, at);
}

lat_value lat_nn_exp(lat_nn *nn, lat_value x) {
  return build_elementwise(nn, "exp", 0, x);
}

lat_value lat_nn_round(lat_nn *nn, lat_value x) {
  return build_elementwise(nn, "round", 1, x);
}

lat_value lat_nn_softmax(lat_nn *nn, lat_value x) {
  int32_t at = emit_dense(nn, "softmax", LAT__OP_SOFTMAX, x);
  if (at >= 0) lat__op_set_int(lat__nn_op(nn, at), LAT__ATTR_AXIS, -1);
  return at < 0 ? 0 : lat__nn_result(nn, at);
}
