// Packed weights as objects: made from parts, shared, looked into. Packing and unpacking are in quant.c.

#include <stdbool.h>

#include "core/alloc.h"
#include "core/array_internal.h"
#include "core/checked.h"
#include "core/compiler.h"
#include "core/context_internal.h"
#include "ops/quant_internal.h"

lat_status lat__quantized_weight_new(lat_context *context, const char *op, const lat_quantized_weight *facts,
                                     lat_quantized_weight **out) {
  void *memory = NULL;
  *out = NULL;
  lat_status status = lat__alloc_zero(context, op, 1, sizeof(lat_quantized_weight), &memory);
  if (status) return status;
  lat_quantized_weight *weight = memory;
  weight->bits = facts->bits;
  weight->group_size = facts->group_size;
  weight->in_channels = facts->in_channels;
  weight->storage_in = facts->storage_in;
  weight->out_channels = facts->out_channels;
  weight->n_kernels = facts->n_kernels;
  weight->kernel_size = facts->kernel_size;
  weight->layout = facts->layout;
  atomic_init(&weight->refcount, 1);
  weight->context = lat__context_retain(context);
  weight->words = lat_array_retain(facts->words);
  weight->scales = lat_array_retain(facts->scales);
  weight->biases = lat_array_retain(facts->biases);
  *out = weight;
  return LAT_STATUS_OK;
}

lat__weight_desc lat__quantized_weight_desc(const lat_quantized_weight *weight) {
  lat__weight_desc desc = {.form = LAT__WEIGHT_PACKED,
                           .dtype = weight->scales->view.dtype,
                           .bits = weight->bits,
                           .group_size = weight->group_size,
                           .storage_in = weight->storage_in,
                           .words = weight->words->view.data,
                           .scales = weight->scales->view.data,
                           .biases = weight->biases->view.data};
  return desc;
}

static lat_status check_numbers(const char *op, const lat_quantized_info *info) {
  const lat_triple k = info->kernel_size;
  if (info->bits != 4 && info->bits != 8) {
    return lat_fail(LAT_STATUS_INVALID_ARGUMENT, "%s: bits must be 4 or 8: got %d, expected 4 or 8", op,
                    (int)info->bits);
  }
  if (info->group_size != 32 && info->group_size != 64 && info->group_size != 128) {
    return lat_fail(LAT_STATUS_INVALID_ARGUMENT, "%s: group_size must be 32, 64, or 128: got %d, expected one of them",
                    op, (int)info->group_size);
  }
  if (info->in_channels <= 0 || info->out_channels <= 0) {
    return lat_fail(LAT_STATUS_INVALID_ARGUMENT,
                    "%s: channels must be positive: got %lld in and %lld out, expected 1 "
                    "or more",
                    op, (long long)info->in_channels, (long long)info->out_channels);
  }
  if (k.x <= 0 || k.y <= 0 || k.z <= 0) {
    return lat_fail(LAT_STATUS_INVALID_ARGUMENT,
                    "%s: kernel_size values must be positive: got (%d, %d, %d), expected "
                    "1 or more",
                    op, (int)k.x, (int)k.y, (int)k.z);
  }
  return LAT_STATUS_OK;
}

/// The layout is known and can have the kernel size; `*volume` = its product.
static lat_status check_layout(const char *op, const lat_quantized_info *info, int64_t *volume) {
  const lat_triple k = info->kernel_size;
  bool flat = k.y == 1 && k.z == 1;
  bool fits = false;
  switch (info->layout) {
  case LAT_WEIGHT_LAYOUT_LINEAR:
    fits = flat && k.x == 1;
    break;
  case LAT_WEIGHT_LAYOUT_KERNEL_MAJOR:
    fits = flat;
    break;
  case LAT_WEIGHT_LAYOUT_DENSE_5D:
    fits = true;
    break;
  }
  if (!fits) {
    return lat_fail(
        LAT_STATUS_INVALID_ARGUMENT,
        "%s: layout does not allow the kernel_size: got layout %d with (%d, %d, %d), expected (1, 1, 1) for "
        "linear, (K, 1, 1) for kernel-major, any for dense 5-D",
        op, (int)info->layout, (int)k.x, (int)k.y, (int)k.z);
  }
  if (!lat__mul_i64((int64_t)k.x * k.y, k.z, volume) || *volume > INT32_MAX) {
    return lat_fail(LAT_STATUS_INVALID_ARGUMENT,
                    "%s: kernel_size product leaves int32: got (%d, %d, %d), expected a product below 2^31", op,
                    (int)k.x, (int)k.y, (int)k.z);
  }
  return LAT_STATUS_OK;
}

/// `view` has the storage shape of `per_channel` items for each (kernel element, output channel).
static lat_status check_storage(const char *op, const char *name, const lat_array_view *view,
                                const lat_quantized_info *info, int64_t volume, int64_t per_channel) {
  char shape[128];
  int64_t second = volume == 1 ? info->out_channels : per_channel;
  int64_t third = volume == 1 ? per_channel : info->out_channels;
  if (view->rank == 3 && view->shape[0] == volume && view->shape[1] == second && view->shape[2] == third) {
    return LAT_STATUS_OK;
  }
  return lat_fail(LAT_STATUS_INVALID_SHAPE, "%s: %s shape: got %s, expected (%lld, %lld, %lld)", op, name,
                  lat__shape_text(view, shape, sizeof shape), (long long)volume, (long long)second, (long long)third);
}

static lat_status check_dtypes(const char *op, const lat_quantized_info *info) {
  int64_t count = 0;
  lat_status status = LAT_STATUS_OK;
  LAT_TRY(lat__view_check(op, "words", &info->words, &count), done);
  LAT_TRY(lat__view_check(op, "scales", &info->scales, &count), done);
  LAT_TRY(lat__view_check(op, "biases", &info->biases, &count), done);
  if (info->words.dtype != LAT_DTYPE_U32) {
    status = lat_fail(LAT_STATUS_INVALID_DTYPE, "%s: words must be uint32: got %s, expected uint32", op,
                      lat_dtype_name(info->words.dtype));
  } else if (info->scales.dtype != LAT_DTYPE_F32 && info->scales.dtype != LAT_DTYPE_F16) {
    status = lat_fail(LAT_STATUS_INVALID_DTYPE, "%s: scales must be float16 or float32: got %s, expected one of them",
                      op, lat_dtype_name(info->scales.dtype));
  } else if (info->biases.dtype != info->scales.dtype) {
    status = lat_fail(LAT_STATUS_INVALID_DTYPE, "%s: biases must have the dtype of scales: got %s, expected %s", op,
                      lat_dtype_name(info->biases.dtype), lat_dtype_name(info->scales.dtype));
  }
done:
  return status;
}

/// Checks everything and derives what the storage says: `facts` without its arrays.
static lat_status check_parts(const char *op, const lat_quantized_info *info, lat_quantized_weight *facts) {
  lat_status status = LAT_STATUS_OK;
  int64_t volume = 0, storage_in = 0;
  LAT_TRY(check_numbers(op, info), done);
  LAT_TRY(check_layout(op, info, &volume), done);
  LAT_TRY(check_dtypes(op, info), done);
  // How many channels are stored is what the words say; more than the logical ones need is legal.
  int64_t n_words = info->words.rank == 3 ? info->words.shape[volume == 1 ? 2 : 1] : 0;
  LAT_TRY(check_storage(op, "words", &info->words, info, volume, n_words), done);
  if (!lat__mul_i64(n_words, 32 / info->bits, &storage_in) || storage_in % info->group_size != 0) {
    status =
        lat_fail(LAT_STATUS_INVALID_SHAPE,
                 "%s: words must hold whole groups: got %lld words of %d-bit codes, expected a multiple of %d codes",
                 op, (long long)n_words, (int)info->bits, (int)info->group_size);
    goto done;
  }
  if (storage_in < info->in_channels) {
    status = lat_fail(LAT_STATUS_INVALID_SHAPE,
                      "%s: words hold too few channels: got %lld, expected at least in_channels %lld", op,
                      (long long)storage_in, (long long)info->in_channels);
    goto done;
  }
  LAT_TRY(check_storage(op, "scales", &info->scales, info, volume, storage_in / info->group_size), done);
  LAT_TRY(check_storage(op, "biases", &info->biases, info, volume, storage_in / info->group_size), done);
  *facts = (lat_quantized_weight){.bits = info->bits,
                                  .group_size = info->group_size,
                                  .in_channels = info->in_channels,
                                  .storage_in = storage_in,
                                  .out_channels = info->out_channels,
                                  .n_kernels = volume,
                                  .kernel_size = info->kernel_size,
                                  .layout = info->layout};
done:
  return status;
}

lat_status lat_quantized_weight_create(lat_context *context, const lat_quantized_info *info,
                                       lat_quantized_weight **out) {
  static const char op[] = "quantized_weight_create";
  lat_status status = LAT_STATUS_OK;
  lat_quantized_weight facts;
  lat_array *words = NULL, *scales = NULL, *biases = NULL;
  if (!out) return lat_fail(LAT_STATUS_INVALID_ARGUMENT, "%s: out: got NULL, expected a place for the weight", op);
  *out = NULL;
  if (!context || !info) {
    return lat_fail(LAT_STATUS_INVALID_ARGUMENT, "%s: %s: got NULL, expected %s", op, context ? "info" : "context",
                    context ? "the parts of a weight" : "a context");
  }
  LAT_TRY(check_parts(op, info, &facts), done);
  LAT_TRY(lat_array_create(context, &info->words, &words), done);
  LAT_TRY(lat_array_create(context, &info->scales, &scales), done);
  LAT_TRY(lat_array_create(context, &info->biases, &biases), done);
  facts.words = words, facts.scales = scales, facts.biases = biases;
  LAT_TRY(lat__quantized_weight_new(context, op, &facts, out), done);
done:
  lat_array_release(words);
  lat_array_release(scales);
  lat_array_release(biases);
  return status;
}

lat_quantized_info lat_quantized_weight_info(const lat_quantized_weight *weight) {
  size_t word_bytes = (size_t)lat_array_count(weight->words) * sizeof(uint32_t);
  size_t group_bytes = (size_t)lat_array_count(weight->scales) * lat_dtype_bytes(weight->scales->view.dtype);
  lat_quantized_info info = {.bits = weight->bits,
                             .group_size = weight->group_size,
                             .in_channels = weight->in_channels,
                             .storage_in_channels = weight->storage_in,
                             .out_channels = weight->out_channels,
                             .kernel_size = weight->kernel_size,
                             .layout = weight->layout,
                             .bytes = word_bytes + 2 * group_bytes,
                             .words = weight->words->view,
                             .scales = weight->scales->view,
                             .biases = weight->biases->view};
  return info;
}

lat_quantized_weight *lat_quantized_weight_retain(const lat_quantized_weight *weight) {
  lat_quantized_weight *shared = (lat_quantized_weight *)weight; // the count of a const object may change
  if (shared) atomic_fetch_add_explicit(&shared->refcount, 1, memory_order_relaxed);
  return shared;
}

void lat_quantized_weight_release(lat_quantized_weight *weight) {
  if (!weight || atomic_fetch_sub_explicit(&weight->refcount, 1, memory_order_acq_rel) != 1) return;
  lat_context *context = weight->context;
  lat_array_release(weight->words);
  lat_array_release(weight->scales);
  lat_array_release(weight->biases);
  lat__free(context, weight);
  lat__context_release(context);
}
