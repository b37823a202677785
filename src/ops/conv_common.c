// What the convolutions and linear share: checking and opening weights and biases, and running.

#include "ops/conv_common.h"

#include <float.h>

#include "backend/backend.h"
#include "coords/coords_internal.h"
#include "coords/tensor_internal.h"
#include "core/array_internal.h"
#include "core/checked.h"
#include "core/compiler.h"
#include "core/context_internal.h"
#include "ops/quant_internal.h"

/// eps of normalized convolutions.
#define DEFAULT_EPS 1e-8f

static lat_status check_eps(const char *op, double given, float *eps) {
  if (!eps && given == 0.0) return LAT_STATUS_OK;
  if (!eps) {
    return lat_fail(LAT_STATUS_INVALID_ARGUMENT, "%s: eps is for normalized convolutions: got %g, expected 0", op,
                    given);
  }
  *eps = given == 0.0 ? DEFAULT_EPS : 0.0f;
  if (given > 0.0 && given <= (double)FLT_MAX) *eps = (float)given;
  if (*eps > 0.0f) return LAT_STATUS_OK;
  return lat_fail(LAT_STATUS_INVALID_ARGUMENT, "%s: eps must be positive: got %g, expected a float32 above 0", op,
                  given);
}

lat_status lat__conv_options(const char *op, const lat_conv3d_opts *opts, const lat_kernel_opts *defaults,
                             lat_conv3d_opts *o, lat__geometry *geometry, float *eps) {
  lat_status status = LAT_STATUS_OK;
  LAT_TRY(lat__opts_copy(op, opts, sizeof *o, o), done);
  lat_kernel_opts kernel = {sizeof kernel, o->kernel_size, o->stride, o->padding, o->dilation, o->support, o->bounds};
  LAT_TRY(lat__geometry_check(op, &kernel, defaults, geometry), done);
  LAT_TRY(check_eps(op, o->eps, eps), done);
  if (o->groups == 0) o->groups = 1;
  if (o->groups < 0) {
    status = lat_fail(LAT_STATUS_INVALID_ARGUMENT, "%s: groups must be positive: got %d, expected 1 or more", op,
                      (int)o->groups);
  }
done:
  return status;
}

lat_status lat__conv_check_not_packed(const char *op, const lat_weight *weight) {
  if (!weight || !weight->packed) return LAT_STATUS_OK;
  return lat_fail(
      LAT_STATUS_INVALID_ARGUMENT,
      "%s: normalized convolution does not support packed weights: got an int%d weight, expected a dense one "
      "(packing would drop the normalization)",
      op, (int)weight->packed->bits);
}

lat_status lat__conv_weight_sizes_of(const char *op, const lat_array_view *view, bool pointwise,
                                     lat__conv_weight_sizes *sizes) {
  const int64_t *shape = view->shape;
  char text[128];
  if (view->rank == 2 && pointwise) {
    *sizes = (lat__conv_weight_sizes){LAT__WEIGHT_OUT_KERNEL_IN, shape[1], shape[0], 1};
    return LAT_STATUS_OK;
  }
  if (view->rank == 3) {
    *sizes = (lat__conv_weight_sizes){LAT__WEIGHT_KERNEL_IN_OUT, shape[1], shape[2], shape[0]};
    return LAT_STATUS_OK;
  }
  if (view->rank == 5) {
    *sizes = (lat__conv_weight_sizes){LAT__WEIGHT_OUT_KERNEL_IN, shape[4], shape[0], 0};
    if (!lat__mul_i64(shape[1], shape[2], &sizes->n_kernels) ||
        !lat__mul_i64(sizes->n_kernels, shape[3], &sizes->n_kernels)) {
      return lat_fail(LAT_STATUS_OVERFLOW, "%s: weight kernel volume: got shape %s, expected a volume below 2^31", op,
                      lat__shape_text(view, text, sizeof text));
    }
    return LAT_STATUS_OK;
  }
  return lat_fail(LAT_STATUS_INVALID_SHAPE,
                  pointwise ? "%s: pointwise convolution weight must have shape (C_out, C_in), (1, C_in, C_out) or "
                              "(C_out, 1, 1, 1, C_in): got %s, expected rank 2, 3 or 5"
                            : "%s: mapped convolution weight must have shape (K, C_in, C_out) or "
                              "(C_out, Kx, Ky, Kz, C_in): got %s, expected rank 3 or 5",
                  op, lat__shape_text(view, text, sizeof text));
}

lat_status lat__conv_check_groups(const char *op, const char *what, int64_t channels, int64_t groups) {
  if (channels % groups == 0) return LAT_STATUS_OK;
  return lat_fail(LAT_STATUS_INVALID_SHAPE, "%s: groups must divide %s: got %lld groups, expected a divisor of %lld",
                  op, what, (long long)groups, (long long)channels);
}

/// `kind` is "" or "quantized ".
static lat_status check_sizes(const lat__conv_operands *operands, const char *kind, const lat__geometry *geometry,
                              const lat__conv_weight_sizes *sizes) {
  const char *op = operands->op;
  int64_t channels = lat_tensor_channels(operands->x), groups = operands->desc.groups;
  int64_t c_in = sizes->c_in, n_kernels = sizes->n_kernels;
  lat_status status = lat__conv_check_groups(op, "x.channels", channels, groups);
  if (status) return status;
  if (c_in != channels / groups) {
    return lat_fail(LAT_STATUS_INVALID_SHAPE,
                    "%s: %sweight input channels must match x.channels%s: got %lld, expected %lld", op, kind,
                    groups > 1 ? " / groups" : "", (long long)c_in, (long long)(channels / groups));
  }
  status = lat__conv_check_groups(op, "output channels", sizes->c_out, groups);
  if (status) return status;
  if (n_kernels != geometry->n_kernels) {
    return lat_fail(LAT_STATUS_INVALID_SHAPE,
                    "%s: %sweight kernel rows must match the convolution kernel: got %lld, expected %d", op, kind,
                    (long long)n_kernels, (int)geometry->n_kernels);
  }
  return LAT_STATUS_OK;
}

static lat_status open_checked_dense(lat_context *context, const lat_array_view *view, const lat__geometry *geometry,
                                     lat__conv_operands *operands) {
  const char *op = operands->op;
  lat_dtype dtype = lat_tensor_dtype(operands->x);
  int64_t count = 0;
  lat__conv_weight_sizes sizes = {.form = LAT__WEIGHT_OUT_KERNEL_IN};
  lat_status status = lat__view_check(op, "weight", view, &count);
  if (status) return status;
  if (view->dtype != dtype) {
    return lat_fail(LAT_STATUS_INVALID_DTYPE, "%s: convolution weights must match feature dtype: got %s, expected %s",
                    op, lat_dtype_name(view->dtype), lat_dtype_name(dtype));
  }
  LAT_TRY(lat__conv_weight_sizes_of(op, view, lat__geometry_pointwise(geometry), &sizes), done);
  LAT_TRY(check_sizes(operands, "", geometry, &sizes), done);
  operands->desc.c_out = sizes.c_out;
  LAT_TRY(lat__conv_open_dense(context, view, sizes.form, operands), done);
done:
  return status;
}

lat_status lat__conv_open_dense(lat_context *context, const lat_array_view *view, lat__weight_form form,
                                lat__conv_operands *operands) {
  lat_status status = lat__view_contiguous_array(context, operands->op, view, &operands->dense);
  if (status) return status;
  operands->desc.weight = (lat__weight_desc){.form = form, .dtype = view->dtype, .data = operands->dense->view.data};
  return LAT_STATUS_OK;
}

lat_status lat__conv_open_bias(lat_context *context, const lat_array_view *bias, lat_dtype round_to,
                               lat__conv_operands *operands) {
  const char *op = operands->op;
  int64_t c_out = operands->desc.c_out, count = 0;
  char text[128];
  if (!bias) return LAT_STATUS_OK;
  lat_status status = lat__view_check(op, "bias", bias, &count);
  if (status) return status;
  if (bias->rank != 1) {
    return lat_fail(LAT_STATUS_INVALID_SHAPE, "%s: bias must have shape (C_out,): got %s, expected (%lld,)", op,
                    lat__shape_text(bias, text, sizeof text), (long long)c_out);
  }
  if (bias->shape[0] != c_out) {
    return lat_fail(LAT_STATUS_INVALID_SHAPE, "%s: bias channels must match output channels: got %lld, expected %lld",
                    op, (long long)bias->shape[0], (long long)c_out);
  }
  status = lat__channel_vector(context, op, "bias", bias, c_out, round_to, &operands->bias);
  if (!status) operands->desc.bias = operands->bias->view.data;
  return status;
}

lat_status lat__conv_open(lat_context *context, const char *op, const lat_tensor *x, const lat_weight *weight,
                          const lat_array_view *bias, const lat__geometry *geometry, lat__conv_operands *operands) {
  lat_status status = LAT_STATUS_OK;
  lat_dtype dtype = lat_tensor_dtype(x);
  if (!weight) return lat_fail(LAT_STATUS_INVALID_ARGUMENT, "%s: weight: got NULL, expected a weight", op);
  if (!lat__dtype_is_feature(dtype)) {
    return lat_fail(LAT_STATUS_INVALID_DTYPE,
                    "%s: convolution supports float32 and float16 tensors: got %s, expected "
                    "float32, float16 or bfloat16",
                    op, lat_dtype_name(dtype));
  }
  operands->op = op;
  operands->x = x;
  operands->desc = (lat__conv_desc){.n_in = lat_tensor_count(x),
                                    .c_in = lat_tensor_channels(x),
                                    .groups = operands->groups > 0 ? operands->groups : 1,
                                    .n_kernels = geometry->n_kernels,
                                    .dtype = dtype,
                                    .dtype_out = dtype,
                                    .x = lat_tensor_feats(x).data};
  if (weight->packed) {
    const lat_quantized_weight *packed = weight->packed;
    lat__conv_weight_sizes sizes = {LAT__WEIGHT_PACKED, packed->in_channels, packed->out_channels, packed->n_kernels};
    LAT_TRY(check_sizes(operands, "quantized ", geometry, &sizes), done);
    operands->desc.c_out = packed->out_channels;
    operands->desc.weight = lat__quantized_weight_desc(packed);
  } else {
    LAT_TRY(open_checked_dense(context, &weight->dense, geometry, operands), done);
  }
  LAT_TRY(lat__conv_open_bias(context, bias, dtype, operands), done);
done:
  return status;
}

void lat__conv_close(lat__conv_operands *operands) {
  lat_array_release(operands->dense);
  lat_array_release(operands->bias);
  operands->dense = NULL;
  operands->bias = NULL;
}

static void log_algorithm(lat_context *context, const char *op, const lat__conv_desc *desc) {
  char name[LAT_ALGORITHM_NAME_BYTES];
  if (!context->log) return;
  lat__backend_of(context)->conv_algorithm(context, desc, name, sizeof name);
  lat__log(context, LAT_LOG_DEBUG, "%s: %s, %lld rows of %lld channels to %lld rows of %lld, %lld pairs", op, name,
           (long long)desc->n_in, (long long)desc->c_in, (long long)desc->n_out, (long long)desc->c_out,
           (long long)(desc->pairs ? desc->pairs->n_edges : desc->n_out));
}

lat_status lat__conv_check_target_stride(const char *op, const lat_coords *given, lat_triple expected) {
  lat_triple stride = given->stride;
  if (stride.x == expected.x && stride.y == expected.y && stride.z == expected.z) return LAT_STATUS_OK;
  return lat_fail(LAT_STATUS_INVALID_ARGUMENT,
                  "%s: coordinates must use the convolution output stride: got (%d, %d, %d), expected (%d, %d, %d)", op,
                  (int)stride.x, (int)stride.y, (int)stride.z, (int)expected.x, (int)expected.y, (int)expected.z);
}

lat_status lat__conv_run(lat_context *context, lat__conv_operands *operands, const lat__pairs *pairs,
                         const lat_coords *out_coords, lat_tensor **out) {
  lat_status status = LAT_STATUS_OK;
  lat_array *y = NULL;
  lat__conv_desc *desc = &operands->desc;
  desc->pairs = pairs;
  desc->n_out = out_coords->n_rows;
  LAT_TRY(lat__array_new_2d(context, operands->op, desc->dtype_out, desc->n_out, desc->c_out, &y), done);
  desc->y = lat_array_data(y);
  log_algorithm(context, operands->op, desc);
  LAT_TRY(lat__backend_of(context)->conv(context, desc), done);
  LAT_TRY(lat__tensor_new(context, operands->op, out_coords, y, operands->x, out), done);
done:
  lat_array_release(y);
  return status;
}
