// The norms of nn.h. What a graph requires and a module does not have (a bias, an affine map) becomes a constant: it is
// stored like a parameter and is none.
#include <math.h>
#include <string.h>

#include "model/nn_internal.h"

/// What tells the norms apart.
typedef struct norm_class {
  const char *name;
  lat__op_kind op;
  bool on_sparse;  ///< takes the sparse value, not its features
  bool needs_both; ///< the operation requires a scale and a bias
  bool has_bias;
  bool has_statistics;
} norm_class;

static const norm_class batch_norm = {"batch_norm", LAT__OP_BATCH_NORM, false, true, true, true};
static const norm_class layer_norm = {"layer_norm", LAT__OP_LAYER_NORM, false, true, true, false};
static const norm_class rms_norm = {"rms_norm", LAT__OP_RMS_NORM, false, true, false, false};
static const norm_class instance_norm = {"instance_norm", LAT__OP_INSTANCE_NORM, true, false, true, false};
static const norm_class group_norm = {"group_norm", LAT__OP_GROUP_NORM, true, false, true, false};

static lat_value channel_parameter(lat_nn *nn, const char *name, int64_t channels, lat__nn_param param) {
  param.name = name;
  param.rank = 1;
  param.shape[0] = channels;
  return lat__nn_parameter(nn, &param);
}

/// Scale, bias, mean and var as far as the norm has them; 0 elsewhere.
static void add_parameters(lat_nn *nn, const norm_class *class, int64_t channels, const lat_nn_norm_opts *o,
                           lat_value out[4]) {
  bool scale = !o->no_affine, bias = class->has_bias && !o->no_affine && !o->no_bias;
  memset(out, 0, 4 * sizeof *out);
  if (scale || class->needs_both) {
    out[0] = channel_parameter(
        nn, "weight", channels,
        (lat__nn_param){.family = LAT__FAMILY_CHANNEL, .init = LAT__NN_INIT_ONES, .is_constant = !scale});
  }
  if (bias || (class->needs_both && class->has_bias)) {
    out[1] = channel_parameter(
        nn, "bias", channels,
        (lat__nn_param){.family = LAT__FAMILY_BIAS, .init = LAT__NN_INIT_ZEROS, .is_constant = !bias});
  }
  if (!class->has_statistics || o->no_running_stats) return;
  lat__nn_param statistic = {.family = LAT__FAMILY_CHANNEL, .init = LAT__NN_INIT_ZEROS, .is_statistic = true};
  out[2] = channel_parameter(nn, "running_mean", channels, statistic);
  statistic.init = LAT__NN_INIT_ONES;
  out[3] = channel_parameter(nn, "running_var", channels, statistic);
}

static bool check_norm(lat_nn *nn, const norm_class *class, lat_nn_norm_opts *o) {
  if (o->eps == 0.0) o->eps = 1e-5;
  if (o->momentum == 0.0) o->momentum = 0.1;
  if (o->momentum < 0.0) o->momentum = 0.0;
  if (!(o->eps > 0.0 && isfinite(o->eps))) {
    return lat__nn_refuse(nn, LAT_STATUS_INVALID_ARGUMENT, "eps must be positive: got %g, expected more than 0",
                          o->eps);
  }
  if (!(o->momentum <= 1.0)) {
    return lat__nn_refuse(nn, LAT_STATUS_INVALID_ARGUMENT, "momentum must be at most 1: got %g, expected 0 to 1",
                          o->momentum);
  }
  if (o->no_running_stats && !class->has_statistics) {
    return lat__nn_refuse(nn, LAT_STATUS_INVALID_ARGUMENT, "no_running_stats: got 1, expected it of batch_norm alone");
  }
  return true;
}

static lat_value build_norm(lat_nn *nn, const norm_class *class, lat_value x, const int64_t sizes[2],
                            const lat_nn_norm_opts *opts) {
  lat_nn_norm_opts o = LAT_NN_NORM_OPTS_INIT;
  lat_value parameters[4];
  if (!lat__nn_options(nn, opts, sizeof o, &o) || !lat__nn_module(nn, class->name, o.name)) return 0;
  if (!lat__nn_channels_match(nn, "channels", sizes[0], x) || !check_norm(nn, class, &o)) return 0;
  if (class->on_sparse && !lat__nn_sparse(nn, "x", x)) return 0;
  if (sizes[1] < 1 || sizes[0] % sizes[1]) {
    lat__nn_refuse(nn, LAT_STATUS_INVALID_ARGUMENT,
                   "groups must divide the channels: got %lld, expected a divisor of %lld", (long long)sizes[1],
                   (long long)sizes[0]);
    return 0;
  }
  lat_value input = class->on_sparse ? x : lat__nn_open(nn, x);
  add_parameters(nn, class, sizes[0], &o, parameters);
  if (nn->status) return 0;
  lat__type type = *lat__nn_type(nn, "x", input);
  const lat_value operands[5] = {input, parameters[0], parameters[1], parameters[2], parameters[3]};
  int32_t at = lat__nn_emit(nn, class->op, operands, 5, &type);
  if (at < 0) return 0;
  lat__op *op = lat__nn_op(nn, at);
  lat__op_set_float(op, LAT__ATTR_EPS, o.eps);
  if (class == &group_norm) lat__op_set_int(op, LAT__ATTR_GROUPS, sizes[1]);
  if (class == &batch_norm && o.momentum != 0.1) lat__op_set_float(op, LAT__ATTR_MOMENTUM, o.momentum);
  lat_value y = lat__nn_result(nn, at);
  return class->on_sparse ? y : lat__nn_close(nn, x, y);
}

lat_value lat_nn_batch_norm(lat_nn *nn, lat_value x, int64_t num_features, const lat_nn_norm_opts *opts) {
  return build_norm(nn, &batch_norm, x, (int64_t[2]){num_features, 1}, opts);
}

lat_value lat_nn_layer_norm(lat_nn *nn, lat_value x, int64_t dims, const lat_nn_norm_opts *opts) {
  return build_norm(nn, &layer_norm, x, (int64_t[2]){dims, 1}, opts);
}

lat_value lat_nn_rms_norm(lat_nn *nn, lat_value x, int64_t dims, const lat_nn_norm_opts *opts) {
  return build_norm(nn, &rms_norm, x, (int64_t[2]){dims, 1}, opts);
}

lat_value lat_nn_instance_norm(lat_nn *nn, lat_value x, int64_t channels, const lat_nn_norm_opts *opts) {
  return build_norm(nn, &instance_norm, x, (int64_t[2]){channels, 1}, opts);
}

lat_value lat_nn_group_norm(lat_nn *nn, lat_value x, int64_t groups, int64_t channels, const lat_nn_norm_opts *opts) {
  return build_norm(nn, &group_norm, x, (int64_t[2]){channels, groups}, opts);
}
