// Weight panels: what a convolution makes of its weight before the first row, kept apart from plans so that they share it.

#include <string.h>

#include "backend/backend.h"
#include "core/alloc.h"
#include "core/array_internal.h"
#include "core/checked.h"
#include "core/compiler.h"
#include "core/context_internal.h"
#include "ops/plan_internal.h"
#include "ops/quant_internal.h"

/// Stands for the pair lists of a layer that has no coordinates yet: some, and no pair twice.
static const lat__pairs distinct_pairs;

lat_status lat__weight_panels_new(lat_context *context, const char *op, const lat__conv_desc *desc,
                                  lat_weight_panels **out) {
  void *memory = NULL;
  *out = NULL;
  lat_status status = lat__alloc_zero(context, op, 1, sizeof **out, &memory);
  if (status) return status;
  lat_weight_panels *panels = memory;
  atomic_init(&panels->refcount, 1);
  panels->context = lat__context_retain(context);
  panels->layer = *desc;
  status = lat__backend_of(context)->conv_pack(context, desc, &panels->packed);
  if (status) {
    lat_weight_panels_release(panels);
  } else {
    *out = panels;
  }
  return status;
}

lat_status lat__check_quantizes(const char *op, const lat__conv_desc *desc) {
  if (desc->groups > 1) {
    return lat_fail(LAT_STATUS_INVALID_ARGUMENT,
                    "%s: quantized features need a weight of one group: got %lld groups, expected 1", op,
                    (long long)desc->groups);
  }
  if (desc->c_in > LAT__MOST_CODED_CHANNELS) {
    return lat_fail(LAT_STATUS_INVALID_ARGUMENT,
                    "%s: too many channels for quantized features: got %lld, expected at most %d", op,
                    (long long)desc->c_in, LAT__MOST_CODED_CHANNELS);
  }
  return LAT_STATUS_OK;
}

bool lat__weight_panels_fit(lat_context *context, const lat_weight_panels *panels, const lat__conv_desc *desc) {
  const lat__conv_desc *layer = &panels->layer;
  bool same_kind = (layer->weight.form == LAT__WEIGHT_PACKED) == (desc->weight.form == LAT__WEIGHT_PACKED) &&
                   layer->weight.dtype == desc->weight.dtype && layer->weight.bits == desc->weight.bits &&
                   layer->quantizes_x == desc->quantizes_x && (layer->norm_eps > 0.0f) == (desc->norm_eps > 0.0f);
  return same_kind && layer->c_in == desc->c_in && layer->c_out == desc->c_out && layer->dtype == desc->dtype &&
         layer->n_kernels == desc->n_kernels && lat__max_i64(1, layer->groups) == lat__max_i64(1, desc->groups) &&
         lat__backend_of(context)->conv_packed_fits(context, desc, panels->packed);
}

// --- from a weight alone ----------------------------------------------------------------------------------------------

/// The layer's sizes and its weight; a dense one must be kept until the panels are made.
static lat_status describe(lat_context *context, const char *op, const lat_weight *weight, int64_t groups,
                           lat__conv_operands *operands) {
  lat_status status = LAT_STATUS_OK;
  int64_t count = 0;
  lat__conv_weight_sizes sizes;
  lat__conv_desc *desc = &operands->desc;
  if (weight->packed) {
    const lat_quantized_weight *packed = weight->packed;
    sizes = (lat__conv_weight_sizes){LAT__WEIGHT_PACKED, packed->in_channels, packed->out_channels, packed->n_kernels};
    desc->weight = lat__quantized_weight_desc(packed);
  } else {
    LAT_TRY(lat__view_check(op, "weight", &weight->dense, &count), done);
    if (!lat__dtype_is_feature(weight->dense.dtype)) {
      status = lat_fail(LAT_STATUS_INVALID_DTYPE, "%s: weight dtype: got %s, expected float32, float16 or bfloat16", op,
                        lat_dtype_name(weight->dense.dtype));
      goto done;
    }
    LAT_TRY(lat__conv_weight_sizes_of(op, &weight->dense, true, &sizes), done);
    LAT_TRY(lat__conv_open_dense(context, &weight->dense, sizes.form, operands), done);
  }
  if (sizes.n_kernels > INT32_MAX || !lat__mul_i64(sizes.c_in, groups, &desc->c_in)) {
    status = lat_fail(LAT_STATUS_OVERFLOW, "%s: weight: got %lld kernel elements, expected a layer within int32", op,
                      (long long)sizes.n_kernels);
    goto done;
  }
  LAT_TRY(lat__conv_check_groups(op, "output channels", sizes.c_out, groups), done);
  desc->c_out = sizes.c_out;
  desc->n_kernels = (int32_t)sizes.n_kernels;
  desc->groups = groups;
  desc->pairs = sizes.n_kernels > 1 ? &distinct_pairs : NULL;
done:
  return status;
}

static lat_status check_opts(const char *op, const lat_weight *weight, const lat_weight_panels_opts *o) {
  if (o->groups < 0) {
    return lat_fail(LAT_STATUS_INVALID_ARGUMENT, "%s: groups must be positive: got %d, expected 1 or more", op,
                    (int)o->groups);
  }
  if (o->dtype && !lat__dtype_is_feature(o->dtype)) {
    return lat_fail(LAT_STATUS_INVALID_DTYPE, "%s: dtype: got %s, expected float32, float16 or bfloat16", op,
                    lat_dtype_name(o->dtype));
  }
  return o->normalized ? lat__conv_check_not_packed(op, weight) : LAT_STATUS_OK;
}

lat_status lat_weight_panels_create(lat_context *context, const lat_weight *weight, const lat_weight_panels_opts *opts,
                                    lat_weight_panels **out) {
  static const char op[] = "weight_panels_create";
  lat_status status = LAT_STATUS_OK;
  lat_weight_panels_opts o;
  lat__conv_operands operands = {.op = op};
  if (out) *out = NULL;
  if (!context || !weight || !out) {
    return lat_fail(LAT_STATUS_INVALID_ARGUMENT, "%s: %s: got NULL, expected one", op,
                    !context  ? "context"
                    : !weight ? "weight"
                              : "out");
  }
  LAT_TRY(lat__opts_copy(op, opts, sizeof o, &o), done);
  LAT_TRY(check_opts(op, weight, &o), done);
  LAT_TRY(describe(context, op, weight, o.groups ? o.groups : 1, &operands), done);
  operands.desc.dtype = o.dtype ? o.dtype : operands.desc.weight.dtype;
  operands.desc.quantizes_x = o.quantizes_features != 0;
  if (operands.desc.quantizes_x) LAT_TRY(lat__check_quantizes(op, &operands.desc), done);
  operands.desc.norm_eps = o.normalized ? 1.0f : 0.0f; // panels depend on whether there is one
  LAT_TRY(lat__weight_panels_new(context, op, &operands.desc, out), done);
done:
  lat__conv_close(&operands);
  return status;
}

size_t lat_weight_panels_bytes(const lat_weight_panels *panels) {
  return panels ? (size_t)lat__backend_of(panels->context)->conv_packed_bytes(panels->packed) : 0;
}

lat_weight_panels *lat_weight_panels_retain(const lat_weight_panels *panels) {
  lat_weight_panels *shared = (lat_weight_panels *)panels; // the count of a const object may change
  if (shared) atomic_fetch_add_explicit(&shared->refcount, 1, memory_order_relaxed);
  return shared;
}

void lat_weight_panels_release(lat_weight_panels *panels) {
  if (!panels || atomic_fetch_sub_explicit(&panels->refcount, 1, memory_order_acq_rel) != 1) return;
  lat_context *context = panels->context;
  if (panels->packed) lat__backend_of(context)->conv_packed_destroy(context, panels->packed);
  lat__free(context, panels);
  lat__context_release(context);
}
