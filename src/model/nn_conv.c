// The convolution modules of nn.h, dense and quantized: one path, told apart by a small table.
#include <math.h>

#include "model/nn_internal.h"

/// What one class of module is.
typedef struct conv_class {
  const char *name;
  lat__op_kind op;
  lat__op_kind target_op; ///< with a target; LAT__N_OPS: there is none
  int32_t size, stride;   ///< defaults
  bool normalized;
  bool generative; ///< no padding, no dilation
  bool subm;       ///< odd sizes, no stride, no padding
} conv_class;

static const conv_class conv3d = {
    .name = "conv3d", .op = LAT__OP_CONV3D, .target_op = LAT__OP_TARGET_CONV3D, .size = 3, .stride = 1};
static const conv_class subm_conv3d = {
    .name = "subm_conv3d", .op = LAT__OP_SUBM_CONV3D, .target_op = LAT__N_OPS, .size = 3, .stride = 1, .subm = true};
static const conv_class normalized_subm_conv3d = {.name = "normalized_subm_conv3d",
                                                  .op = LAT__OP_NORMALIZED_SUBM_CONV3D,
                                                  .target_op = LAT__N_OPS,
                                                  .size = 3,
                                                  .stride = 1,
                                                  .normalized = true,
                                                  .subm = true};
static const conv_class conv_transpose3d = {.name = "conv_transpose3d",
                                            .op = LAT__OP_CONV_TRANSPOSE3D,
                                            .target_op = LAT__OP_TARGET_CONV_TRANSPOSE3D,
                                            .size = 2,
                                            .stride = 2};
static const conv_class normalized_conv_transpose3d = {.name = "normalized_conv_transpose3d",
                                                       .op = LAT__OP_NORMALIZED_CONV_TRANSPOSE3D,
                                                       .target_op = LAT__OP_TARGET_NORMALIZED_CONV_TRANSPOSE3D,
                                                       .size = 2,
                                                       .stride = 2,
                                                       .normalized = true};
// Onto a target the generative geometry is the transposed one (semantics 4.6).
static const conv_class generative_conv_transpose3d = {.name = "generative_conv_transpose3d",
                                                       .op = LAT__OP_GENERATIVE_CONV_TRANSPOSE3D,
                                                       .target_op = LAT__OP_TARGET_CONV_TRANSPOSE3D,
                                                       .size = 2,
                                                       .stride = 2,
                                                       .generative = true};
static const conv_class normalized_generative_conv_transpose3d = {.name = "normalized_generative_conv_transpose3d",
                                                                  .op = LAT__OP_NORMALIZED_GENERATIVE_CONV_TRANSPOSE3D,
                                                                  .target_op =
                                                                      LAT__OP_TARGET_NORMALIZED_CONV_TRANSPOSE3D,
                                                                  .size = 2,
                                                                  .stride = 2,
                                                                  .normalized = true,
                                                                  .generative = true};

/// A module that is being built.
typedef struct conv_build {
  const conv_class *class;
  lat_nn_conv_opts opts; ///< defaults filled in
  int64_t c_in, c_out;
} conv_build;

static bool is_ones(lat_triple t) {
  return t.x == 1 && t.y == 1 && t.z == 1;
}

static bool is_zeros(lat_triple t) {
  return t.x == 0 && t.y == 0 && t.z == 0;
}

static bool check_odd(lat_nn *nn, const lat_nn_conv_opts *o) {
  if (!is_ones(o->stride) || !is_zeros(o->padding) || o->target) {
    return lat__nn_refuse(nn, LAT_STATUS_INVALID_ARGUMENT,
                          "a submanifold convolution keeps its input's set: got a stride, padding or target, expected "
                          "none");
  }
  if (o->kernel_size.x % 2 && o->kernel_size.y % 2 && o->kernel_size.z % 2) return true;
  return lat__nn_refuse(nn, LAT_STATUS_INVALID_ARGUMENT,
                        "subm_conv3d requires odd kernel_size values: got (%d, %d, %d), expected odd ones",
                        (int)o->kernel_size.x, (int)o->kernel_size.y, (int)o->kernel_size.z);
}

static bool check_numbers(lat_nn *nn, conv_build *build) {
  lat_nn_conv_opts *o = &build->opts;
  const conv_class *class = build->class;
  if (o->groups == 0) o->groups = 1;
  if (o->eps == 0.0) o->eps = 1e-8;
  if (build->c_out <= 0) {
    return lat__nn_refuse(nn, LAT_STATUS_INVALID_SHAPE, "out_channels: got %lld, expected at least 1",
                          (long long)build->c_out);
  }
  if (o->groups < 1 || build->c_in % o->groups || build->c_out % o->groups) {
    return lat__nn_refuse(nn, LAT_STATUS_INVALID_ARGUMENT,
                          "groups must divide the channels: got %d, expected a divisor of %lld and %lld",
                          (int)o->groups, (long long)build->c_in, (long long)build->c_out);
  }
  if (class->normalized && !(o->eps > 0.0 && isfinite(o->eps))) {
    return lat__nn_refuse(nn, LAT_STATUS_INVALID_ARGUMENT, "eps must be positive: got %g, expected more than 0",
                          o->eps);
  }
  return true;
}

/// Defaults and checks of everything but the channels of x.
static bool check_options(lat_nn *nn, conv_build *build) {
  lat_nn_conv_opts *o = &build->opts;
  const conv_class *class = build->class;
  if (!lat__nn_triple(nn, "kernel_size", &o->kernel_size, class->size, 1)) return false;
  if (!lat__nn_triple(nn, "stride", &o->stride, class->stride, 1)) return false;
  if (!lat__nn_triple(nn, "padding", &o->padding, 0, 0)) return false;
  if (!lat__nn_triple(nn, "dilation", &o->dilation, 1, 1)) return false;
  if (!lat__nn_check_support(nn, o->support, &o->bounds)) return false;
  bool reach = o->support == LAT_SUPPORT_REACH;
  if (reach && (class->op != LAT__OP_CONV3D || (o->target && o->bounds.x))) {
    return lat__nn_refuse(nn, LAT_STATUS_INVALID_ARGUMENT,
                          "support and bounds: got reach, expected it of conv3d, and bounds without a target");
  }
  if (class->subm && !check_odd(nn, o)) return false;
  if (class->generative && !(is_zeros(o->padding) && is_ones(o->dilation))) {
    return lat__nn_refuse(nn, LAT_STATUS_INVALID_ARGUMENT,
                          "a generative convolution has none: got a padding or dilation, expected 0 and 1");
  }
  return check_numbers(nn, build);
}

/// Bits and group size of a quantized module; zeros for a dense one.
static bool check_packing(lat_nn *nn, conv_build *build, bool quantized) {
  lat_nn_conv_opts *o = &build->opts;
  if (!quantized) {
    if (!o->bits && !o->group_size) return true;
    return lat__nn_refuse(nn, LAT_STATUS_INVALID_ARGUMENT, "bits: got %d, expected none for a dense module",
                          (int)o->bits);
  }
  return lat__nn_packing(nn, build->c_in / o->groups, &o->bits, &o->group_size);
}

static lat_value add_weight(lat_nn *nn, const conv_build *build) {
  const lat_nn_conv_opts *o = &build->opts;
  int64_t c_in = build->c_in / o->groups;
  double volume = (double)o->kernel_size.x * o->kernel_size.y * o->kernel_size.z;
  return lat__nn_parameter(
      nn, &(lat__nn_param){.name = "weight",
                           .family = LAT__FAMILY_CONV3D,
                           .init = LAT__NN_INIT_UNIFORM,
                           .bound = sqrt(1.0 / ((double)c_in * volume)),
                           .rank = 5,
                           .shape = {build->c_out, o->kernel_size.x, o->kernel_size.y, o->kernel_size.z, c_in},
                           .bits = o->bits,
                           .group_size = o->group_size});
}

static lat_value add_bias(lat_nn *nn, const conv_build *build) {
  if (build->opts.no_bias) return 0;
  return lat__nn_parameter(
      nn,
      &(lat__nn_param){
          .name = "bias", .family = LAT__FAMILY_BIAS, .init = LAT__NN_INIT_ZEROS, .rank = 1, .shape = {build->c_out}});
}

/// Sets what the operation has of: sizes, stride, padding, dilation, eps, accumulation, groups.
static void set_attributes(lat__op *op, const conv_build *build) {
  const lat_nn_conv_opts *o = &build->opts;
  lat__op_set_triple(op, LAT__ATTR_KERNEL_SIZE, o->kernel_size);
  if (lat__op_attr_of(op, LAT__ATTR_STRIDE)) lat__op_set_triple(op, LAT__ATTR_STRIDE, o->stride);
  if (lat__op_attr_of(op, LAT__ATTR_PADDING)) lat__op_set_triple(op, LAT__ATTR_PADDING, o->padding);
  if (lat__op_attr_of(op, LAT__ATTR_DILATION)) lat__op_set_triple(op, LAT__ATTR_DILATION, o->dilation);
  if (build->class->normalized) lat__op_set_float(op, LAT__ATTR_EPS, o->eps);
  if (o->groups > 1) lat__op_set_int(op, LAT__ATTR_GROUPS, o->groups);
  lat__nn_set_support(op, o->support, o->bounds);
  lat__op_set_choice(op, LAT__ATTR_ACCUMULATION, 0);
}

static lat_value append(lat_nn *nn, lat_value x, const conv_build *build) {
  const lat_nn_conv_opts *o = &build->opts;
  lat_value weight = add_weight(nn, build), bias = add_bias(nn, build);
  if (nn->status) return 0;
  lat__type type = *lat__nn_type(nn, "x", x);
  type.channels = build->c_out;
  const lat_value operands[4] = {x, o->target, weight, bias};
  int32_t op = lat__nn_emit(nn, o->target ? build->class->target_op : build->class->op, operands, 4, &type);
  if (op < 0) return 0;
  set_attributes(lat__nn_op(nn, op), build);
  return lat__nn_result(nn, op);
}

static lat_value build_conv(lat_nn *nn, const conv_class *class, bool quantized, lat_value x, conv_build build,
                            const lat_nn_conv_opts *opts) {
  build.class = class;
  build.opts = (lat_nn_conv_opts)LAT_NN_CONV_OPTS_INIT;
  if (!lat__nn_options(nn, opts, sizeof build.opts, &build.opts)) return 0;
  if (!lat__nn_module(nn, class->name, build.opts.name)) return 0;
  if (!lat__nn_sparse(nn, "x", x) || !lat__nn_channels_match(nn, "in_channels", build.c_in, x)) return 0;
  if (!check_options(nn, &build) || !check_packing(nn, &build, quantized)) return 0;
  if (build.opts.target && !lat__nn_sparse(nn, "target", build.opts.target)) return 0;
  return append(nn, x, &build);
}

#define CHANNELS ((conv_build){.c_in = in_channels, .c_out = out_channels})

lat_value lat_nn_conv3d(lat_nn *nn, lat_value x, int64_t in_channels, int64_t out_channels,
                        const lat_nn_conv_opts *opts) {
  return build_conv(nn, &conv3d, false, x, CHANNELS, opts);
}

lat_value lat_nn_subm_conv3d(lat_nn *nn, lat_value x, int64_t in_channels, int64_t out_channels,
                             const lat_nn_conv_opts *opts) {
  return build_conv(nn, &subm_conv3d, false, x, CHANNELS, opts);
}

lat_value lat_nn_normalized_subm_conv3d(lat_nn *nn, lat_value x, int64_t in_channels, int64_t out_channels,
                                        const lat_nn_conv_opts *opts) {
  return build_conv(nn, &normalized_subm_conv3d, false, x, CHANNELS, opts);
}

lat_value lat_nn_conv_transpose3d(lat_nn *nn, lat_value x, int64_t in_channels, int64_t out_channels,
                                  const lat_nn_conv_opts *opts) {
  return build_conv(nn, &conv_transpose3d, false, x, CHANNELS, opts);
}

lat_value lat_nn_normalized_conv_transpose3d(lat_nn *nn, lat_value x, int64_t in_channels, int64_t out_channels,
                                             const lat_nn_conv_opts *opts) {
  return build_conv(nn, &normalized_conv_transpose3d, false, x, CHANNELS, opts);
}

lat_value lat_nn_generative_conv_transpose3d(lat_nn *nn, lat_value x, int64_t in_channels, int64_t out_channels,
                                             const lat_nn_conv_opts *opts) {
  return build_conv(nn, &generative_conv_transpose3d, false, x, CHANNELS, opts);
}

lat_value lat_nn_normalized_generative_conv_transpose3d(lat_nn *nn, lat_value x, int64_t in_channels,
                                                        int64_t out_channels, const lat_nn_conv_opts *opts) {
  return build_conv(nn, &normalized_generative_conv_transpose3d, false, x, CHANNELS, opts);
}

lat_value lat_nn_quantized_conv3d(lat_nn *nn, lat_value x, int64_t in_channels, int64_t out_channels,
                                  const lat_nn_conv_opts *opts) {
  return build_conv(nn, &conv3d, true, x, CHANNELS, opts);
}

lat_value lat_nn_quantized_subm_conv3d(lat_nn *nn, lat_value x, int64_t in_channels, int64_t out_channels,
                                       const lat_nn_conv_opts *opts) {
  return build_conv(nn, &subm_conv3d, true, x, CHANNELS, opts);
}

lat_value lat_nn_quantized_conv_transpose3d(lat_nn *nn, lat_value x, int64_t in_channels, int64_t out_channels,
                                            const lat_nn_conv_opts *opts) {
  return build_conv(nn, &conv_transpose3d, true, x, CHANNELS, opts);
}

lat_value lat_nn_quantized_generative_conv_transpose3d(lat_nn *nn, lat_value x, int64_t in_channels,
                                                       int64_t out_channels, const lat_nn_conv_opts *opts) {
  return build_conv(nn, &generative_conv_transpose3d, true, x, CHANNELS, opts);
}
