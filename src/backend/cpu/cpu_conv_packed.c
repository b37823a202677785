// What a convolution makes of its weight before the first row: panels for the kernel, and for a normalized one the squares.
//
// A normalized convolution divides by sqrt(D + eps), where D[o, co] is the sum of W[k, ci, co]^2 over the edges of o and
// over ci. It depends on which edges there are, not on x: a convolution of one channel of ones with the weight sum over
// ci of W[k, ci, co]^2, which is packed as such here.

#include "backend/cpu/cpu_conv.h"
#include "core/alloc.h"
#include "core/checked.h"
#include "core/compiler.h"
#include "core/context_internal.h"

/// Number of floats of panels one row of `columns` deep under every kernel element of `desc`.
static lat_status count_floats(const lat__conv_desc *desc, int64_t columns, int64_t *out) {
  if (lat__mul_i64(desc->n_kernels, columns, out)) return LAT_STATUS_OK;
  return lat_fail(LAT_STATUS_OVERFLOW,
                  "conv: weight size: got %d kernel elements of %lld floats, expected a product within int64",
                  (int)desc->n_kernels, (long long)columns);
}

static lat_status pack_squares(lat_context *context, const lat__conv_desc *desc, lat__conv_packed *packed) {
  lat_status status = LAT_STATUS_OK;
  float *squares = NULL;
  lat__cpu_conv_shape shape;
  LAT_TRY(lat__cpu_conv_products(context, desc, desc->weight.data, &squares), done);
  lat__conv_desc ones = {.c_in = 1, .c_out = desc->c_out, .groups = 1, .n_kernels = desc->n_kernels};
  ones.weight = (lat__weight_desc){.form = LAT__WEIGHT_KERNEL_IN_OUT, .dtype = LAT_DTYPE_F32, .data = squares};
  LAT_TRY(lat__cpu_conv_shape_of(&ones, packed->kernels, &shape), done);
  LAT_TRY(lat__cpu_conv_pack(context, &ones, packed->kernels, packed->kernels->tile_vectors, &packed->squares), done);
  packed->square_columns = shape.columns;
  packed->bytes += shape.columns * desc->n_kernels * (int64_t)sizeof(float);
done:
  lat__free(context, squares);
  return status;
}

/// float32 panels, or rows of weights. Their number of floats was checked.
static lat_status pack_panels(lat_context *context, const lat__conv_desc *desc, lat__conv_packed *packed) {
  packed->by_rows = !packed->depthwise && lat__cpu_conv_rows_fit(desc);
  packed->bytes = desc->n_kernels * packed->shape.kernel_floats * (int64_t)sizeof(float);
  int64_t vectors = packed->by_rows ? packed->kernels->row_vectors : packed->kernels->tile_vectors;
  return lat__cpu_conv_pack(context, desc, packed->kernels, vectors, &packed->panels);
}

lat_status lat__cpu_conv_packed_open(lat_context *context, const lat__conv_desc *desc, lat__conv_packed *packed) {
  lat_status status = LAT_STATUS_OK;
  int64_t n_floats = 0;
  lat__conv_desc weight = *desc;
  *packed = (lat__conv_packed){.kernels = lat__cpu_kernels_of(context->cpu_level),
                               .products = lat__cpu_products_of(context->cpu_level)};
  packed->depthwise = desc->groups > 1 && desc->groups == desc->c_in && desc->groups == desc->c_out;
  if (packed->depthwise) {
    weight.c_in = weight.groups = 1;  // panels one row deep: (n_kernels, columns)
    weight.weight.transposed = false; // one number for each channel reads the same either way
  }
  LAT_TRY(lat__cpu_conv_shape_of(&weight, packed->kernels, &packed->shape), done);
  packed->columns = packed->depthwise ? weight.c_out : packed->shape.columns;
  LAT_TRY(count_floats(desc, packed->shape.kernel_floats, &n_floats), done);
  if (desc->quantizes_x) {
    LAT_TRY(lat__cpu_conv_pack_codes(context, desc, packed), done);
  } else if (lat__cpu_conv_bf16_fits(desc, packed->products)) {
    LAT_TRY(lat__cpu_conv_pack_bf16(context, desc, packed), done);
  } else {
    LAT_TRY(pack_panels(context, &weight, packed), done);
  }
  if (desc->norm_eps > 0.0f) LAT_TRY(pack_squares(context, desc, packed), done);
done:
  return status;
}

void lat__cpu_conv_packed_close(lat_context *context, lat__conv_packed *packed) {
  lat__free(context, packed->panels);
  lat__free(context, packed->squares);
  lat__free(context, packed->codes);
  lat__free(context, packed->code_scales);
  lat__free(context, packed->column_scales);
  lat__free(context, packed->bf16);
  packed->panels = packed->squares = packed->code_scales = packed->column_scales = NULL;
  packed->codes = packed->bf16 = NULL;
}

lat_status lat__cpu_conv_packed_create(lat_context *context, const lat__conv_desc *desc, lat__conv_packed **out) {
  void *memory = NULL;
  *out = NULL;
  lat_status status = lat__alloc_zero(context, "conv", 1, sizeof **out, &memory);
  if (status) return status;
  lat__conv_packed *packed = memory;
  status = lat__cpu_conv_packed_open(context, desc, packed);
  if (status) {
    lat__cpu_conv_packed_destroy(context, packed);
  } else {
    *out = packed;
  }
  return status;
}

void lat__cpu_conv_packed_destroy(lat_context *context, lat__conv_packed *packed) {
  if (!packed) return;
  lat__cpu_conv_packed_close(context, packed);
  lat__free(context, packed);
}

int64_t lat__cpu_conv_packed_bytes(const lat__conv_packed *packed) {
  return packed->bytes;
}

bool lat__cpu_conv_packed_fits(const lat_context *context, const lat__conv_desc *desc, const lat__conv_packed *packed) {
  const lat__cpu_products *products = lat__cpu_products_of(context->cpu_level);
  bool in_panels = !desc->quantizes_x && !lat__cpu_conv_bf16_fits(desc, products);
  return packed->kernels == lat__cpu_kernels_of(context->cpu_level) && packed->products == products &&
         packed->by_rows == (in_panels && lat__cpu_conv_rows_fit(desc));
}
